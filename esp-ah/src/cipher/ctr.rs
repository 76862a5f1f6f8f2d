//! Counter mode with a 32-bit block counter, as CTR, GCM and CCM of ESP use it.

use super::aes::{AesEnc, Block};
use cipher::consts::U16;
use cipher::{BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser};

/// Counter blocks made and encrypted side by side: so few stay in registers, and the processor overlaps
/// them with the next.
const RUN: usize = 4;

/// Adds the key stream that starts at the counter block `first` to `octets`.
///
/// A packet is far shorter than the 2^32 blocks at which the counter would come round.
pub(crate) fn apply(aes: &AesEnc, first: &Block, octets: &mut [u8]) {
    aes.encrypt_with_backend(KeyStream { first: *first, octets });
}

struct KeyStream<'a> {
    first: Block,
    octets: &'a mut [u8],
}

impl BlockSizeUser for KeyStream<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for KeyStream<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let first = u128::from_be_bytes(self.first.0);
        let fixed = first & !u128::from(u32::MAX);
        let mut counter = (first & u128::from(u32::MAX)) as u32;
        let mut stream = || -> [Block; RUN] {
            let mut run: [Block; RUN] = core::array::from_fn(|_| {
                let block = (fixed | u128::from(counter)).to_be_bytes().into();
                counter = counter.wrapping_add(1);
                block
            });
            for block in &mut run {
                backend.encrypt_block(block.into());
            }
            run
        };
        let (blocks, tail) = Block::slice_as_chunks_mut(self.octets);
        let (runs, rest) = blocks.as_chunks_mut::<RUN>();
        for run in runs {
            for (block, key) in run.iter_mut().zip(stream()) {
                *block = xor(block, &key);
            }
        }
        if rest.is_empty() && tail.is_empty() {
            return;
        }
        let last = stream();
        let mut keys = last.iter();
        for (block, key) in rest.iter_mut().zip(&mut keys) {
            *block = xor(block, key);
        }
        if let Some(key) = keys.next() {
            // Texts of ESP are a multiple of four octets.
            let ((words, octets), (word_keys, _)) = (tail.as_chunks_mut::<4>(), key.as_chunks::<4>());
            let whole = words.as_flattened().len();
            for (word, key) in words.iter_mut().zip(word_keys) {
                *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(*key)).to_ne_bytes();
            }
            octets.iter_mut().zip(key.iter().skip(whole)).for_each(|(octet, key)| *octet ^= key);
        }
    }
}

#[inline(always)]
fn xor(a: &Block, b: &Block) -> Block {
    (u128::from_ne_bytes(a.0) ^ u128::from_ne_bytes(b.0)).to_ne_bytes().into()
}

/// AES-CTR of ESP: counter block = nonce | IV | 00000001 (RFC 3686 §4).
pub(crate) struct Ctr {
    aes: AesEnc,
    nonce: [u8; 4],
}

impl Ctr {
    /// Takes the AES key and the nonce that follows it in the key material.
    pub(crate) fn new(key: &[u8], nonce: &[u8]) -> Option<Self> {
        Some(Self { aes: AesEnc::new(key)?, nonce: nonce.try_into().ok()? })
    }

    /// Encrypts or decrypts.
    pub(crate) fn apply(&self, iv: [u8; 8], octets: &mut [u8]) {
        apply(&self.aes, &counter_block(self.nonce, iv), octets);
    }
}

/// Returns salt | IV | 00000001, the first counter block of CTR and GCM.
pub(crate) fn counter_block(salt: [u8; 4], iv: [u8; 8]) -> Block {
    let block = (u128::from(u32::from_be_bytes(salt)) << 96) | (u128::from(u64::from_be_bytes(iv)) << 32) | 1;
    block.to_be_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn aes_ctr_answers_as_rfc_3686_says() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/aes_ctr_rfc3686.json")).unwrap();
        let vectors = vectors["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 9);
        for vector in vectors {
            let field = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
            let ctr = Ctr::new(&field("key"), &field("nonce")).unwrap();
            let mut text = field("plaintext");
            ctr.apply(field("iv").try_into().unwrap(), &mut text);
            assert_eq!(text, field("ciphertext"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_length_from_any_counter_is_what_single_blocks_give(len in 0usize..1600, first: [u8; 16]) {
            let aes = AesEnc::new(&[9; 24]).unwrap();
            let mut octets = std::vec![0x5a; len];
            apply(&aes, &first.into(), &mut octets);
            let mut counter = u32::from_be_bytes(first[12..].try_into().unwrap());
            for chunk in octets.chunks(16) {
                let mut block = Block::from(first);
                block[12..].copy_from_slice(&counter.to_be_bytes());
                aes.encrypt_block(&mut block);
                prop_assert!(chunk.iter().zip(block).all(|(&octet, key)| octet == key ^ 0x5a));
                counter = counter.wrapping_add(1);
            }
        }
    }
}
