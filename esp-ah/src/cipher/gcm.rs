//! Galois/counter mode and GMAC.
//!
//! Encryption and authentication are separate steps here (the `polyval` and `ctr` crates do the work),
//! so that an ICV of any length is checked before anything is decrypted.
//!
//! `GHASH(H, X) = rev(POLYVAL(mulX(rev(H)), rev(X)))` with `rev` the octets in reverse order
//! (RFC 8452, appendix A).

use super::aes::{AesEnc, Block};
use super::ctr;
use alloc::boxed::Box;
use cipher::BlockCipherEncrypt;
use polyval::Polyval;
use polyval::universal_hash::UniversalHash;
use zeroize::Zeroize;

/// The keys of AES-GCM or AES-GMAC.
pub(crate) struct Gcm {
    aes: AesEnc,
    hash: Box<Polyval>,
    salt: [u8; 4],
}

impl Gcm {
    /// Takes the AES key and the salt that follows it in the key material.
    pub(crate) fn new(key: &[u8], salt: &[u8]) -> Option<Self> {
        let aes = AesEnc::new(key)?;
        // H = E_K(0^128) (SP 800-38D §7.1)
        let mut hash_key = Block::default();
        aes.encrypt_block(&mut hash_key);
        let mut reversed = mul_x(u128::from_be_bytes(hash_key.0)).to_le_bytes();
        let hash = Box::new(Polyval::new(&reversed.into()));
        hash_key.0.zeroize();
        reversed.zeroize();
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
        update(&mut hash, associated);
        update(&mut hash, ciphertext);
        self.finish(hash, iv, associated.len(), ciphertext.len())
    }

    /// Returns the tag of GMAC over `head` and then `octets`, as if they followed each other.
    ///
    /// RFC 4543 §3.3 puts SPI, sequence number (64 bits with ESN), IV and payload under the tag.
    pub(crate) fn gmac(&self, iv: [u8; 8], head: &[u8; 12], octets: &[u8]) -> [u8; 16] {
        let mut first = [0; 16];
        for (to, from) in first.iter_mut().zip(head.iter().chain(octets)) {
            *to = *from;
        }
        let mut hash = (*self.hash).clone();
        update(&mut hash, &first);
        update(&mut hash, octets.get(4..).unwrap_or_default());
        self.finish(hash, iv, head.len().saturating_add(octets.len()), 0)
    }

    fn finish(&self, mut hash: Polyval, iv: [u8; 8], associated_len: usize, ciphertext_len: usize) -> [u8; 16] {
        // Lengths of packets: far below 2^61 octets.
        let bits = |octets: usize| (octets as u128).wrapping_mul(8);
        let lengths = (bits(associated_len) << 64) | bits(ciphertext_len);
        hash.update(&[lengths.to_le_bytes().into()]);
        let mut mask = ctr::counter_block(self.salt, iv);
        self.aes.encrypt_block(&mut mask);
        let sum = u128::from_le_bytes(hash.finalize().into()) ^ u128::from_be_bytes(mask.into());
        sum.to_be_bytes()
    }
}

/// Blocks turned round at a time: as many as POLYVAL takes at once, several times over.
const TURNED: usize = 16;

/// Takes octets, with zeros after the last ones up to a whole block, each block turned round.
fn update(hash: &mut Polyval, octets: &[u8]) {
    let (blocks, tail) = octets.as_chunks::<16>();
    let mut turned = [polyval::Block::default(); TURNED];
    for blocks in blocks.chunks(TURNED) {
        for (to, from) in turned.iter_mut().zip(blocks) {
            *to = u128::from_be_bytes(*from).to_le_bytes().into();
        }
        hash.update(turned.get(..blocks.len()).unwrap_or_default());
    }
    if !tail.is_empty() {
        let mut last = [0; 16];
        for (to, from) in last.iter_mut().zip(tail) {
            *to = *from;
        }
        hash.update(&[u128::from_be_bytes(last).to_le_bytes().into()]);
    }
}

/// Multiplies by X in POLYVAL's field, in constant time (RFC 8452, appendix A).
fn mul_x(value: u128) -> u128 {
    let carry = (value >> 127).wrapping_neg();
    (value << 1) ^ (carry & (0xc200_0000_0000_0000_0000_0000_0000_0001))
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
