//! Combined modes of the `ring` library.

use crate::provider::{Aead, Provider, ProviderFailed, ProviderId};
use crate::suite::{AesKey, CipherAlgorithm, IcvLen};
use alloc::boxed::Box;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, Tag, UnboundKey};

/// The `ring` library: AES-128-GCM-16, AES-256-GCM-16 and ChaCha20-Poly1305 in assembly.
///
/// Packets are decrypted before their ICV is known, and wiped if it is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ring;

impl Ring {
    /// Its number.
    pub const ID: ProviderId = ProviderId::new(1);
}

impl Provider for Ring {
    fn id(&self) -> ProviderId {
        Self::ID
    }

    fn aead(&self, cipher: CipherAlgorithm, key: &[u8], salt: &[u8]) -> Option<Box<dyn Aead>> {
        let algorithm = if cipher == CipherAlgorithm::AesGcm(AesKey::Bits128, IcvLen::Octets16) {
            &AES_128_GCM
        } else if cipher == CipherAlgorithm::AesGcm(AesKey::Bits256, IcvLen::Octets16) {
            &AES_256_GCM
        } else if cipher == CipherAlgorithm::ChaCha20Poly1305 {
            &CHACHA20_POLY1305
        } else {
            return None;
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
        Some(Box::new(RingKey { key, salt: salt.try_into().ok()? }))
    }
}

struct RingKey {
    key: LessSafeKey,
    salt: [u8; 4],
}

impl RingKey {
    /// nonce = salt | IV (RFC 4106 §4, RFC 7634 §2)
    #[inline]
    fn nonce(&self, iv: [u8; 8]) -> Nonce {
        let ([a, b, c, d], [e, f, g, h, i, j, k, l]) = (self.salt, iv);
        Nonce::assume_unique_for_key([a, b, c, d, e, f, g, h, i, j, k, l])
    }

    /// Puts a key of zeros over the key: the library has no way to wipe one.
    fn wipe(&mut self) {
        let algorithm = self.key.algorithm();
        if let Some(Ok(zeros)) = [0; MAX_KEY].get(..algorithm.key_len()).map(|key| UnboundKey::new(algorithm, key)) {
            // A key of one algorithm is as large as another and has nothing outside of itself.
            self.key = LessSafeKey::new(zeros);
        }
        zeroize::optimization_barrier(&self.key);
    }
}

impl Drop for RingKey {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Octets of the longest key.
const MAX_KEY: usize = 32;

impl Aead for RingKey {
    fn seal(&self, iv: [u8; 8], associated: &[u8], text: &mut [u8]) -> Result<[u8; 16], ProviderFailed> {
        // It fails above 64 GiB only.
        let sealed = self.key.seal_in_place_separate_tag(self.nonce(iv), Aad::from(associated), text);
        sealed.ok().and_then(|tag| tag.as_ref().try_into().ok()).ok_or(ProviderFailed)
    }

    fn open(&self, iv: [u8; 8], associated: &[u8], text: &mut [u8], icv: &[u8]) -> Result<bool, ProviderFailed> {
        let tag = Tag::try_from(icv).map_err(|_| ProviderFailed)?;
        let opened = self.key.open_in_place_separate_tag(self.nonce(iv), Aad::from(associated), tag, text, 0..);
        Ok(opened.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wiped_key_is_one_of_zeros() {
        for algorithm in [&AES_128_GCM, &AES_256_GCM, &CHACHA20_POLY1305] {
            let made = |octet| {
                let key = UnboundKey::new(algorithm, &[octet; MAX_KEY][..algorithm.key_len()]).unwrap();
                RingKey { key: LessSafeKey::new(key), salt: [1; 4] }
            };
            let sealed = |key: &RingKey| key.seal([2; 8], &[3; 8], &mut [4; 40]).unwrap();
            let mut key = made(5);
            assert_ne!(sealed(&key), sealed(&made(0)));
            key.wipe();
            assert_eq!(sealed(&key), sealed(&made(0)));
        }
    }
}
