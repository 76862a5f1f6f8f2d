//! Galois/counter mode and GMAC.
//!
//! Encryption and authentication are separate steps here (the `ghash` and `ctr` crates do the work),
//! so that an ICV of any length is checked before anything is decrypted.

use super::aes::{AesEnc, Block};
use super::ctr;
use alloc::boxed::Box;
use cipher::BlockCipherEncrypt;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;

/// The keys of AES-GCM or AES-GMAC.
pub(crate) struct Gcm {
    aes: AesEnc,
    hash: Box<GHash>,
    salt: [u8; 4],
}

impl Gcm {
    /// Takes the AES key and the salt that follows it in the key material.
    pub(crate) fn new(key: &[u8], salt: &[u8]) -> Option<Self> {
        let aes = AesEnc::new(key)?;
        // H = E_K(0^128) (SP 800-38D §7.1)
        let mut hash_key = Block::default();
        aes.encrypt_block(&mut hash_key);
        let hash = Box::new(GHash::new(&hash_key));
        zeroize::Zeroize::zeroize(&mut hash_key.0);
        Some(Self { aes, hash, salt: salt.try_into().ok()? })
    }

    /// Encrypts or decrypts the payload: the key stream starts after J_0.
    pub(crate) fn apply(&self, iv: [u8; 8], octets: &mut [u8]) {
        let mut first = ctr::counter_block(self.salt, iv);
        if let Some(last) = first.last_mut() {
            *last = 2;
        }
        ctr::apply(&self.aes, &first, octets);
    }

    /// Returns the tag over associated data and ciphertext (SP 800-38D §7.1).
    pub(crate) fn tag(&self, iv: [u8; 8], associated: &[u8], ciphertext: &[u8]) -> [u8; 16] {
        let mut hash = (*self.hash).clone();
        hash.update_padded(associated);
        hash.update_padded(ciphertext);
        self.finish(hash, iv, associated.len(), ciphertext.len())
    }

    /// Returns the tag of GMAC over `head` and then `octets`, as if they followed each other.
    ///
    /// RFC 4543 §3.3 puts SPI, sequence number (64 bits with ESN), IV and payload under the tag.
    pub(crate) fn gmac(&self, iv: [u8; 8], head: &[u8; 12], octets: &[u8]) -> [u8; 16] {
        let mut first = Block::default();
        for (to, from) in first.iter_mut().zip(head.iter().chain(octets)) {
            *to = *from;
        }
        let mut hash = (*self.hash).clone();
        hash.update(&[first]);
        hash.update_padded(octets.get(4..).unwrap_or_default());
        self.finish(hash, iv, head.len().saturating_add(octets.len()), 0)
    }

    fn finish(&self, mut hash: GHash, iv: [u8; 8], associated_len: usize, ciphertext_len: usize) -> [u8; 16] {
        // Lengths of packets: far below 2^61 octets.
        let bits = |octets: usize| (octets as u64).wrapping_mul(8).to_be_bytes();
        let mut lengths = Block::default();
        for (to, from) in lengths.iter_mut().zip(bits(associated_len).into_iter().chain(bits(ciphertext_len))) {
            *to = from;
        }
        hash.update(&[lengths]);
        let mut mask = ctr::counter_block(self.salt, iv);
        self.aes.encrypt_block(&mut mask);
        let mut tag = hash.finalize();
        for (a, b) in tag.iter_mut().zip(&mask) {
            *a ^= b;
        }
        tag.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn aes_gcm_answers_as_mcgrew_and_viega_say() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/esp_aes_gcm_mcgrew.json")).unwrap();
        let vectors = vectors["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 6);
        for vector in vectors {
            let field = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
            let gcm = Gcm::new(&field("key"), &field("salt")).unwrap();
            let iv: [u8; 8] = field("iv").try_into().unwrap();
            let mut text = field("plaintext");
            gcm.apply(iv, &mut text);
            assert_eq!(text, field("ciphertext"));
            let tag = gcm.tag(iv, &field("aad"), &text);
            assert_eq!(tag.to_vec(), field("icv"));
        }
    }
}
