//! Counter mode with a 32-bit block counter, as CTR, GCM and CCM of ESP use it.

use super::aes::{AesEnc, Block};
use cipher::{InnerIvInit, StreamCipherCore};
use ctr::CtrCore;
use ctr::flavors::Ctr32BE;

/// Adds the key stream that starts at the counter block `first` to `octets`.
///
/// A packet is far shorter than the 2^32 blocks at which the counter would come round.
pub(crate) fn apply(aes: &AesEnc, first: &Block, octets: &mut [u8]) {
    CtrCore::<&AesEnc, Ctr32BE>::inner_iv_init(aes, first).apply_keystream_partial(octets.into());
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
}
