//! Who does the cryptography of an association.

#[cfg(feature = "openssl")]
pub(crate) mod openssl;
#[cfg(feature = "ring")]
pub(crate) mod ring;

use crate::suite::{CipherAlgorithm, IntegrityAlgorithm, MAX_ICV_LEN};
use alloc::boxed::Box;
use core::fmt;

/// The number of who does an association's cryptography, for people and logs to tell one from another.
///
/// Routers show it as the channel of their encryption engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderId(u32);

impl ProviderId {
    /// This crate itself.
    pub const BUILT_IN: Self = Self(0);

    /// Returns the id of this number. Those below 256 are this crate's to give.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Somebody else who does cryptography: a faster library, or hardware.
///
/// It makes the keys of associations. What it does not make, this crate does itself, so that every suite works with
/// every provider, and gives the same octets.
pub trait Provider: fmt::Debug + Send + Sync {
    /// Returns the number that is shown for its associations.
    fn id(&self) -> ProviderId;

    /// Makes a key ready, or returns `None` for what this provider does not do.
    ///
    /// It is asked for ciphers that encrypt and authenticate: AES-GCM and AES-CCM with each length of ICV, and
    /// ChaCha20-Poly1305. `key` and `salt` are as long as [`CipherAlgorithm::lengths`] says; the nonce of a packet is
    /// the salt and then its IV. Each direction of an association has a key of its own.
    fn aead(&self, _cipher: CipherAlgorithm, _key: &[u8], _salt: &[u8]) -> Option<Box<dyn Aead>> {
        None
    }

    /// Makes a key of an integrity algorithm ready, or returns `None` for what this provider does not do.
    ///
    /// It is asked for every algorithm of a suite whose cipher makes no ICV, and of AH. `key` is as long as
    /// [`IntegrityAlgorithm::key_len`] says.
    fn mac(&self, _algorithm: IntegrityAlgorithm, _key: &[u8]) -> Option<Box<dyn Mac>> {
        None
    }
}

/// A key of a combined mode that a [`Provider`] made ready.
///
/// It allocates nothing for a packet, and wipes itself on drop as far as it can.
pub trait Aead: Send + Sync {
    /// Encrypts `text` in place and returns the ICV; of a shorter ICV, the first octets count.
    ///
    /// The caller never gives an IV twice.
    ///
    /// # Errors
    /// The provider could not; `text` is lost then.
    fn seal(&self, iv: [u8; 8], associated: &[u8], text: &mut [u8]) -> Result<[u8; 16], ProviderFailed>;

    /// Decrypts `text` in place and returns true if `icv`, which is as long as the cipher's, is right.
    ///
    /// Otherwise `text` does not hold the plaintext afterwards. It holds what it held before if
    /// [`keeps_refused`](Self::keeps_refused) says so.
    ///
    /// # Errors
    /// The provider could not; `text` is lost then.
    fn open(&self, iv: [u8; 8], associated: &[u8], text: &mut [u8], icv: &[u8]) -> Result<bool, ProviderFailed>;

    /// Returns whether a text whose ICV is wrong stays as it came.
    ///
    /// For a provider that decrypts before it knows, as the fastest do, it does not. Then an association with extended
    /// sequence numbers keeps a built-in key as well, for packets that may have to be tried twice
    /// ([`OpenJob::kept_if_refused`](crate::OpenJob::kept_if_refused)).
    fn keeps_refused(&self) -> bool {
        false
    }
}

/// A key of an integrity algorithm that a [`Provider`] made ready.
///
/// It allocates nothing for a packet, and wipes itself on drop as far as it can.
pub trait Mac: Send + Sync {
    /// Returns the ICV of a message that comes in pieces; of a shorter ICV, the first octets count.
    ///
    /// `message` is to be called once. It gives every piece, in order, to the function it is given, and encrypts between
    /// them: a hash that is done with a piece before it takes the next one leaves the processor room for the cipher.
    ///
    /// # Errors
    /// The provider could not; what is sealed is lost then.
    fn icv(&self, message: &mut Pieces<'_>) -> Result<[u8; MAX_ICV_LEN], ProviderFailed>;
}

/// A message that comes in pieces: what it is given is called with each of them.
pub type Pieces<'a> = dyn FnMut(&mut dyn FnMut(&[u8])) + 'a;

/// A provider could not seal or open a packet: the packet is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the provider of the cryptography failed")]
pub struct ProviderFailed;

/// The provider that makes nothing, so that this crate does everything itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuiltIn;

impl Provider for BuiltIn {
    fn id(&self) -> ProviderId {
        ProviderId::BUILT_IN
    }
}
