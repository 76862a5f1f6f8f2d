//! Counter mode with a 32-bit block counter, as CTR, GCM and CCM of ESP use it.

use super::aes::{AesEnc, Block};
use cipher::consts::U16;
use cipher::typenum::Unsigned;
use cipher::{BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, ParBlocks};

/// Counter blocks made at a time.
///
/// They are written as words and read as vectors: with many between, reads do not wait for writes.
const RUN: usize = 32;

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
        let mut run = [Block::default(); RUN];
        for octets in self.octets.chunks_mut(RUN * 16) {
            let stream = run.get_mut(..octets.len().div_ceil(16)).unwrap_or_default();
            for block in stream.iter_mut() {
                *block = (fixed | u128::from(counter)).to_be_bytes().into();
                counter = counter.wrapping_add(1);
            }
            encrypt_run(backend, stream);
            let (blocks, tail) = Block::slice_as_chunks_mut(octets);
            let whole = blocks.len();
            for (block, key) in blocks.iter_mut().zip(&*stream) {
                *block = (u128::from_ne_bytes(block.0) ^ u128::from_ne_bytes(key.0)).to_ne_bytes().into();
            }
            if let Some(key) = stream.get(whole) {
                tail.iter_mut().zip(key).for_each(|(octet, key)| *octet ^= key);
            }
        }
    }
}

/// Encrypts blocks, as many at once as the backend likes.
#[inline(always)]
fn encrypt_run<B: BlockCipherEncBackend<BlockSize = U16>>(backend: &B, blocks: &mut [Block]) {
    let (full, rest) = ParBlocks::<B>::slice_as_chunks_mut(blocks);
    for blocks in full {
        backend.encrypt_par_blocks(blocks.into());
    }
    if rest.len() * 2 > B::ParBlocksSize::USIZE {
        // Cheaper with idle lanes than one after another.
        let mut padded = ParBlocks::<B>::default();
        padded.iter_mut().zip(&*rest).for_each(|(to, from)| *to = *from);
        backend.encrypt_par_blocks((&mut padded).into());
        rest.iter_mut().zip(&padded).for_each(|(to, from)| *to = *from);
    } else {
        for block in rest {
            backend.encrypt_block(block.into());
        }
    }
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
