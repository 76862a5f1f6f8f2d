//! MACs that chain AES over the message: AES-XCBC-MAC and AES-CMAC, which differ in their keys only.

use crate::cipher::aes::{AesEnc, Block};
use cipher::consts::U16;
use cipher::{BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser};
use zeroize::Zeroize;

/// Chains whole blocks: `state = E_K(state xor block)` for each.
pub(crate) fn absorb(aes: &AesEnc, state: &mut Block, blocks: &[Block]) {
    aes.encrypt_with_backend(Absorb { state, blocks });
}

/// Chains octets, with zeros after the last ones up to a whole block.
pub(crate) fn absorb_padded(aes: &AesEnc, state: &mut Block, octets: &[u8]) {
    let (blocks, tail) = Block::slice_as_chunks(octets);
    absorb(aes, state, blocks);
    if !tail.is_empty() {
        let mut last = Block::default();
        for (to, from) in last.iter_mut().zip(tail) {
            *to = *from;
        }
        absorb(aes, state, &[last]);
    }
}

struct Absorb<'a> {
    state: &'a mut Block,
    blocks: &'a [Block],
}

impl BlockSizeUser for Absorb<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Absorb<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let mut state = *self.state;
        for block in self.blocks {
            xor(&mut state, block);
            backend.encrypt_block((&mut state).into());
        }
        *self.state = state;
    }
}

fn xor(a: &mut Block, b: &Block) {
    for (x, y) in a.iter_mut().zip(b) {
        *x ^= y;
    }
}

/// The keys of AES-XCBC-MAC (RFC 3566) or AES-CMAC (RFC 4493).
pub(crate) struct CbcMac {
    aes: AesEnc,
    /// Added to a last block that is whole.
    whole: Block,
    /// Added to a last block that was padded.
    padded: Block,
}

impl CbcMac {
    /// `K1 = E_K(01..01)`, `K2 = E_K(02..02)`, `K3 = E_K(03..03)` (RFC 3566 §4).
    pub(crate) fn xcbc(key: &[u8]) -> Option<Self> {
        if key.len() != 16 {
            return None;
        }
        let outer = AesEnc::new(key)?;
        let derive = |octet: u8| {
            let mut block: Block = cipher::array::Array([octet; 16]);
            outer.encrypt_block(&mut block);
            block
        };
        let mut first = derive(1);
        let aes = AesEnc::new(&first);
        first.0.zeroize();
        Some(Self { aes: aes?, whole: derive(2), padded: derive(3) })
    }

    /// `L = E_K(0)`, `K1 = L dbl`, `K2 = K1 dbl` (RFC 4493 §2.3).
    pub(crate) fn cmac(key: &[u8]) -> Option<Self> {
        if key.len() != 16 {
            return None;
        }
        let aes = AesEnc::new(key)?;
        let mut root = Block::default();
        aes.encrypt_block(&mut root);
        let whole = double(&root);
        root.0.zeroize();
        let padded = double(&whole);
        Some(Self { aes, whole, padded })
    }

    /// Returns the MAC over `octets` and then `suffix` (at most 16 octets), as if they were one string.
    pub(crate) fn mac(&self, octets: &[u8], suffix: &[u8]) -> [u8; 16] {
        // The last block stands apart: it takes a key of its own. It is empty only if all is.
        let last_start = octets.len().saturating_add(suffix.len()).saturating_sub(1) / 16 * 16;
        let (head, tail) = octets.split_at_checked(last_start).unwrap_or_else(|| {
            // The suffix reaches over the last block's edge.
            octets.split_at_checked(octets.len() / 16 * 16).unwrap_or((octets, &[]))
        });
        let mut state = Block::default();
        absorb(&self.aes, &mut state, Block::slice_as_chunks(head).0);
        let mut rest = tail.iter().chain(suffix).copied();
        let mut last = Block::default();
        let mut filled = fill(&mut last, &mut rest);
        let mut next = Block::default();
        let more = fill(&mut next, &mut rest);
        if more > 0 {
            absorb(&self.aes, &mut state, &[last]);
            (last, filled) = (next, more);
        }
        if let Some(end) = last.get_mut(filled) {
            *end = 0x80;
            xor(&mut last, &self.padded);
        } else {
            xor(&mut last, &self.whole);
        }
        absorb(&self.aes, &mut state, &[last]);
        state.into()
    }
}

impl Drop for CbcMac {
    fn drop(&mut self) {
        self.whole.0.zeroize();
        self.padded.0.zeroize();
    }
}

fn fill(block: &mut Block, octets: &mut impl Iterator<Item = u8>) -> usize {
    let mut filled = 0;
    for (to, from) in block.iter_mut().zip(octets) {
        *to = from;
        filled += 1;
    }
    filled
}

/// Doubles in GF(2^128), in constant time.
fn double(block: &Block) -> Block {
    let value = u128::from_be_bytes((*block).into());
    let carry = (value >> 127).wrapping_neg() & 0x87;
    ((value << 1) ^ carry).to_be_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;
    use std::vec::Vec;

    #[test]
    fn aes_xcbc_answers_as_rfc_3566_says() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../tests/vectors/aes_xcbc_rfc3566_rfc4434.json")).unwrap();
        let mut counted = 0;
        for vector in vectors["vectors"].as_array().unwrap() {
            if vector["alg"] != "AES-XCBC-MAC-96" {
                continue;
            }
            let field = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
            let mac = CbcMac::xcbc(&field("key")).unwrap().mac(&field("data"), &[]);
            assert_eq!(mac.to_vec(), field("mac"));
            counted += 1;
        }
        assert!(counted >= 7);
    }

    #[test]
    fn aes_cmac_answers_as_rfc_4493_says() {
        let key = hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap();
        let message = hex::decode(concat!(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
            "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
        ))
        .unwrap();
        let cmac = CbcMac::cmac(&key).unwrap();
        for (len, mac) in [
            (0, "bb1d6929e95937287fa37d129b756746"),
            (16, "070a16b46b4d4144f79bdd9dd04a287c"),
            (40, "dfa66747de9ae63030ca32611497c827"),
            (64, "51f0bebf7e3b9d92fc49741779363cfe"),
        ] {
            assert_eq!(hex::encode(cmac.mac(&message[..len], &[])), mac);
        }
    }

    proptest! {
        #[test]
        fn a_suffix_counts_as_the_end_of_the_message(octets: Vec<u8>, suffix in proptest::collection::vec(any::<u8>(), 0..=16)) {
            let cmac = CbcMac::cmac(&[7; 16]).unwrap();
            let whole: Vec<u8> = octets.iter().chain(&suffix).copied().collect();
            prop_assert_eq!(cmac.mac(&octets, &suffix), cmac.mac(&whole, &[]));
        }
    }
}
