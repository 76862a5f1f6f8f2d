//! Hashes of the OpenSSL library.

use crate::provider::{Mac, Pieces, Provider, ProviderFailed, ProviderId};
use crate::suite::{IntegrityAlgorithm, MAX_ICV_LEN};
use alloc::boxed::Box;
use openssl::sha::{Sha384, Sha512};
use zeroize::Zeroize;

/// The OpenSSL library of the system: HMAC-SHA2-384-192 and HMAC-SHA2-512-256 in assembly.
///
/// It is for packets that come one at a time: only the hashes of this crate take those of a batch side by side. A
/// [`Provider`] that asks it for hashes, and another one for combined modes, has both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenSsl;

impl OpenSsl {
    /// Its number.
    pub const ID: ProviderId = ProviderId::new(2);
}

impl Provider for OpenSsl {
    fn id(&self) -> ProviderId {
        Self::ID
    }

    fn mac(&self, algorithm: IntegrityAlgorithm, key: &[u8]) -> Option<Box<dyn Mac>> {
        if algorithm == IntegrityAlgorithm::HmacSha384_192 {
            Some(Box::new(HmacKey::<Sha384>::new(key)?))
        } else if algorithm == IntegrityAlgorithm::HmacSha512_256 {
            Some(Box::new(HmacKey::<Sha512>::new(key)?))
        } else {
            None
        }
    }
}

/// A hash of 128 octets a block under way.
trait Hash: Clone + Send + Sync {
    type Digest: AsRef<[u8]>;
    fn start() -> Self;
    fn update(&mut self, piece: &[u8]);
    fn finish(self) -> Self::Digest;
}

macro_rules! hash {
    ($hash:ty, $digest:literal) => {
        impl Hash for $hash {
            type Digest = [u8; $digest];

            fn start() -> Self {
                Self::new()
            }

            fn update(&mut self, piece: &[u8]) {
                Self::update(self, piece);
            }

            fn finish(self) -> Self::Digest {
                Self::finish(self)
            }
        }
    };
}

hash!(Sha384, 48);
hash!(Sha512, 64);

/// An HMAC key: the hash after `K xor ipad` and after `K xor opad` (RFC 2104 §2).
struct HmacKey<H: Hash> {
    inner: H,
    outer: H,
}

impl<H: Hash> HmacKey<H> {
    /// Takes a key of at most one block; `None` if it is longer.
    fn new(key: &[u8]) -> Option<Self> {
        let after = |pad: u8| {
            let mut block = [pad; 128];
            block.get_mut(..key.len())?.iter_mut().zip(key).for_each(|(a, b)| *a ^= b);
            let mut hash = H::start();
            hash.update(&block);
            block.zeroize();
            Some(hash)
        };
        Some(Self { inner: after(0x36)?, outer: after(0x5c)? })
    }

    /// Puts the start of a hash over both states: the library has no way to wipe one.
    fn wipe(&mut self) {
        (self.inner, self.outer) = (H::start(), H::start());
        zeroize::optimization_barrier(self);
    }
}

impl<H: Hash> Drop for HmacKey<H> {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl<H: Hash> Mac for HmacKey<H> {
    /// `H(K xor opad, H(K xor ipad, text))`
    fn icv(&self, message: &mut Pieces<'_>) -> Result<[u8; MAX_ICV_LEN], ProviderFailed> {
        let (mut inner, mut outer) = (self.inner.clone(), self.outer.clone());
        message(&mut |piece| inner.update(piece));
        outer.update(inner.finish().as_ref());
        outer.finish().as_ref().first_chunk().copied().ok_or(ProviderFailed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_wiped_key_is_a_hash_of_nothing<H: Hash>() {
        let mut key = HmacKey::<H>::new(&[5; 48]).unwrap();
        let digests = |key: &HmacKey<H>| [&key.inner, &key.outer].map(|hash| hash.clone().finish().as_ref().to_vec());
        let nothing = H::start().finish().as_ref().to_vec();
        assert!(digests(&key).iter().all(|digest| *digest != nothing));
        key.wipe();
        assert!(digests(&key).iter().all(|digest| *digest == nothing));
    }

    #[test]
    fn wiped_keys_are_hashes_of_nothing() {
        a_wiped_key_is_a_hash_of_nothing::<Sha384>();
        a_wiped_key_is_a_hash_of_nothing::<Sha512>();
    }
}
