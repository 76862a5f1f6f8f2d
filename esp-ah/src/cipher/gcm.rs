//! Galois/counter mode and GMAC.
//!
//! Encryption and authentication are separate steps here (the `polyval` and `ctr` crates do the work),
//! so that an ICV of any length is checked before anything is decrypted.
//!
//! `GHASH(H, X) = rev(POLYVAL(mulX(rev(H)), rev(X)))` with `rev` the octets in reverse order
//! (RFC 8452, appendix A).

use super::aes::{AesEnc, Block};
use super::ctr;
use cipher::BlockCipherEncrypt;
use polyval::Polyval;
use polyval::universal_hash::UniversalHash;
use zeroize::Zeroize;

/// The keys of AES-GCM or AES-GMAC.
pub(crate) struct Gcm {
    aes: AesEnc,
    hash: Polyval,
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
        let hash = Polyval::new(&reversed.into());
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
        self.masked(iv, [associated, ciphertext], lengths(associated.len(), ciphertext.len()))
    }

    /// Returns the tag of GMAC over `head` and then `octets`, as if they followed each other.
    ///
    /// RFC 4543 §3.3 puts SPI, sequence number (64 bits with ESN), IV and payload under the tag.
    pub(crate) fn gmac(&self, iv: [u8; 8], head: &[u8; 12], octets: &[u8]) -> [u8; 16] {
        let mut first = [0; 16];
        for (to, from) in first.iter_mut().zip(head.iter().chain(octets)) {
            *to = *from;
        }
        let rest = octets.get(4..).unwrap_or_default();
        self.masked(iv, [&first, rest], lengths(head.len().saturating_add(octets.len()), 0))
    }

    /// Returns the hash of both parts, each filled up with zeros to whole blocks, and of the block of their lengths,
    /// under the first key stream block.
    fn masked(&self, iv: [u8; 8], parts: [&[u8]; 2], lengths: u128) -> [u8; 16] {
        // It waits for nothing, so it goes side by side with the start of the hash.
        let mut mask = ctr::counter_block(self.salt, iv);
        self.aes.encrypt_block(&mut mask);
        let mut hash = self.hash.clone();
        let mut feed = Feed::new(&mut hash, parts.iter().map(|part| part.len().div_ceil(16)).sum::<usize>());
        parts.into_iter().for_each(|part| feed.octets(part));
        feed.finish(lengths);
        (u128::from_le_bytes(hash.finalize().into()) ^ u128::from_be_bytes(mask.0)).to_be_bytes()
    }
}

/// Returns the block that says how long everything was. Packets are far below 2^61 octets.
fn lengths(associated: usize, ciphertext: usize) -> u128 {
    let bits = |octets: usize| (octets as u128).wrapping_mul(8);
    (bits(associated) << 64) | bits(ciphertext)
}

/// Blocks turned round before POLYVAL takes them: it is fastest when it does not read what was written just before.
const RUN: usize = 32;
/// Blocks that POLYVAL takes with one reduction.
const ABREAST: usize = 4;

/// GHASH over blocks as they come.
struct Feed<'a> {
    hash: &'a mut Polyval,
    waiting: [polyval::Block; RUN],
    count: usize,
}

impl<'a> Feed<'a> {
    /// Starts with as many blocks of zeros as make `blocks` and the block of lengths whole rows: before everything
    /// else they change nothing, and each block outside of a row would cost as much as a row.
    fn new(hash: &'a mut Polyval, blocks: usize) -> Self {
        let count = blocks.wrapping_add(1).wrapping_neg() % ABREAST;
        Self { hash, waiting: [polyval::Block::default(); RUN], count }
    }

    /// Takes octets, with zeros after the last ones up to a whole block.
    #[inline]
    fn octets(&mut self, octets: &[u8]) {
        let (mut blocks, tail) = octets.as_chunks::<16>();
        while !blocks.is_empty() {
            let free = self.waiting.get_mut(self.count..).unwrap_or_default();
            let (now, later) = blocks.split_at_checked(free.len()).unwrap_or((blocks, &[]));
            for (to, from) in free.iter_mut().zip(now) {
                *to = u128::from_be_bytes(*from).to_le_bytes().into();
            }
            self.count = self.count.saturating_add(now.len());
            self.flush_full();
            blocks = later;
        }
        if !tail.is_empty() {
            self.block(filled_up(tail));
        }
    }

    /// Takes one block, as a number.
    #[inline]
    fn block(&mut self, block: u128) {
        if let Some(to) = self.waiting.get_mut(self.count) {
            *to = block.to_le_bytes().into();
        }
        self.count = self.count.saturating_add(1);
        self.flush_full();
    }

    #[inline]
    fn flush_full(&mut self) {
        if self.count >= RUN {
            self.hash.update(&self.waiting);
            self.count = 0;
        }
    }

    /// Takes the last block and hands over what waits.
    #[inline]
    fn finish(mut self, last: u128) {
        self.block(last);
        self.hash.update(self.waiting.get(..self.count).unwrap_or_default());
    }
}

/// Returns a block of fewer than 16 octets, and zeros after them. Those of ESP are a multiple of four.
#[inline]
fn filled_up(tail: &[u8]) -> u128 {
    let (words, octets) = tail.as_chunks::<4>();
    let block = words.iter().fold(0, |block, word| (block << 32) | u128::from(u32::from_be_bytes(*word)));
    let block = octets.iter().fold(block, |block, octet| (block << 8) | u128::from(*octet));
    let missing = 16usize.saturating_sub(tail.len()) as u32;
    block.checked_shl(missing.saturating_mul(8)).unwrap_or(0)
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
