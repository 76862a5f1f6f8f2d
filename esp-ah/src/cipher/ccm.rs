//! Counter mode with CBC-MAC, with the nonce of 11 and the length field of 4 octets that ESP uses.

use super::aes::{AesEnc, Block};
use super::ctr;
use crate::integrity::cbc_mac::{absorb, absorb_padded};
use cipher::BlockCipherEncrypt;

/// The keys of AES-CCM.
pub(crate) struct Ccm {
    aes: AesEnc,
    salt: [u8; 3],
    icv_len: u8,
}

/// L - 1 of RFC 3610: the length field has four octets (RFC 4309 §4).
const LENGTH_FLAGS: u8 = 3;
/// There is associated data (RFC 3610 §2.2).
const ASSOCIATED: u8 = 0x40;

impl Ccm {
    /// Takes the AES key, the salt that follows it in the key material, and the ICV length.
    pub(crate) fn new(key: &[u8], salt: &[u8], icv_len: usize) -> Option<Self> {
        let icv_len = u8::try_from(icv_len).ok()?;
        Some(Self { aes: AesEnc::new(key)?, salt: salt.try_into().ok()?, icv_len })
    }

    /// Encrypts or decrypts the payload: the key stream starts at A_1.
    pub(crate) fn apply(&self, iv: [u8; 8], octets: &mut [u8]) {
        ctr::apply(&self.aes, &self.block(LENGTH_FLAGS, iv, 1), octets);
    }

    /// Returns the tag over associated data (below 0xff00 octets) and plaintext (RFC 3610 §2.2, §2.3).
    pub(crate) fn tag(&self, iv: [u8; 8], associated: &[u8], plaintext: &[u8]) -> [u8; 16] {
        // Packets are below 64 KiB.
        let length = u32::try_from(plaintext.len()).unwrap_or(u32::MAX);
        let associated_flag = if associated.is_empty() { 0 } else { ASSOCIATED };
        let flags = associated_flag | ((self.icv_len.saturating_sub(2) / 2) << 3) | LENGTH_FLAGS;
        let mut mac = Block::default();
        absorb(&self.aes, &mut mac, &[self.block(flags, iv, length)]);
        if !associated.is_empty() {
            // Associated data follows its length in two octets; ESP has 8 or 12 octets of it.
            let (head, rest) = associated.split_at_checked(14).unwrap_or((associated, &[]));
            let mut first = Block::default();
            let prefix = u16::try_from(associated.len()).unwrap_or(u16::MAX).to_be_bytes();
            for (to, from) in first.iter_mut().zip(prefix.iter().chain(head)) {
                *to = *from;
            }
            absorb(&self.aes, &mut mac, &[first]);
            absorb_padded(&self.aes, &mut mac, rest);
        }
        absorb_padded(&self.aes, &mut mac, plaintext);
        let mut mask = self.block(LENGTH_FLAGS, iv, 0);
        self.aes.encrypt_block(&mut mask);
        for (a, b) in mac.iter_mut().zip(&mask) {
            *a ^= b;
        }
        mac.into()
    }

    /// Returns flags | salt | IV | number.
    fn block(&self, flags: u8, iv: [u8; 8], number: u32) -> Block {
        let mut block = Block::default();
        let fields = [flags].into_iter().chain(self.salt).chain(iv).chain(number.to_be_bytes());
        for (to, from) in block.iter_mut().zip(fields) {
            *to = from;
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn aes_ccm_answers_as_nist_says() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/crypter_aead_misc.json")).unwrap();
        let mut counted = 0;
        for vector in vectors["aead"].as_array().unwrap() {
            let icv_len = match vector["alg"].as_str().unwrap() {
                "AES_CCM_ICV8" => 8,
                "AES_CCM_ICV12" => 12,
                "AES_CCM_ICV16" => 16,
                _ => continue,
            };
            let field = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
            let ccm = Ccm::new(&field("key"), &field("salt"), icv_len).unwrap();
            let iv: [u8; 8] = field("iv").try_into().unwrap();
            let mut text = field("plaintext");
            let tag = ccm.tag(iv, &field("aad"), &text);
            ccm.apply(iv, &mut text);
            assert_eq!(text, field("ciphertext"), "{}", vector["name"]);
            assert_eq!(tag[..icv_len], field("icv"), "{}", vector["name"]);
            counted += 1;
        }
        assert_eq!(counted, 16);
    }
}
