//! ChaCha20 and Poly1305.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce, Tag};

/// The key of ChaCha20-Poly1305: nonce = salt | IV (RFC 7634 §2).
pub(crate) struct ChaCha {
    aead: ChaCha20Poly1305,
    salt: [u8; 4],
}

impl ChaCha {
    /// Takes the key and the salt that follows it in the key material.
    pub(crate) fn new(key: &[u8], salt: &[u8]) -> Option<Self> {
        Some(Self { aead: ChaCha20Poly1305::new_from_slice(key).ok()?, salt: salt.try_into().ok()? })
    }

    /// Encrypts the payload and returns the tag.
    pub(crate) fn seal(&self, iv: [u8; 8], associated: &[u8], octets: &mut [u8]) -> [u8; 16] {
        // It fails above 256 GiB only.
        self.aead.encrypt_inout_detached(&self.nonce(iv), associated, octets.into()).map_or([0; 16], |tag| tag.into())
    }

    /// Decrypts the payload if the tag is right; else changes nothing and returns false.
    pub(crate) fn open(&self, iv: [u8; 8], associated: &[u8], octets: &mut [u8], tag: [u8; 16]) -> bool {
        self.aead.decrypt_inout_detached(&self.nonce(iv), associated, octets.into(), &Tag::from(tag)).is_ok()
    }

    fn nonce(&self, iv: [u8; 8]) -> Nonce {
        let mut nonce = Nonce::default();
        for (to, from) in nonce.iter_mut().zip(self.salt.into_iter().chain(iv)) {
            *to = from;
        }
        nonce
    }
}
