use super::reader::Reader;
use crate::registry::AttributeType;
use alloc::vec::Vec;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use zeroize::Zeroizing;

/// The key that hides AVPs: `HMAC_MD5(shared_secret, 1)`, RFC 3931 §5.3.
pub struct HidingKey(Zeroizing<[u8; 16]>);

impl HidingKey {
    /// Derives the key from the secret both ends share.
    pub fn derive(secret: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 16]);
        // HMAC takes keys of every length.
        if let Ok(mac) = Hmac::<Md5>::new_from_slice(secret) {
            key.copy_from_slice(&mac.chain_update([1]).finalize().into_bytes());
        }
        Self(key)
    }

    fn first_block(&self, attribute: AttributeType, vector: &[u8]) -> [u8; 16] {
        let hash = Md5::new().chain_update(attribute.0.to_be_bytes()).chain_update(*self.0).chain_update(vector);
        hash.finalize().into()
    }

    fn next_block(&self, cipher_text: &[u8]) -> [u8; 16] {
        Md5::new().chain_update(*self.0).chain_update(cipher_text).finalize().into()
    }
}

impl core::fmt::Debug for HidingKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HidingKey(16 octets)")
    }
}

/// Hides a value, RFC 3931 §5.3. The result is two octets and the padding longer.
///
/// ```text
/// b_1 = MD5(A + S + RV)    c_1 = p_1 xor b_1
/// b_i = MD5(S + c_i-1)     c_i = p_i xor b_i
/// ```
pub fn hide(key: &HidingKey, attribute: AttributeType, vector: &[u8], value: &[u8], padding: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    let mut out = Vec::with_capacity(value.len() + padding.len() + 2);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    out.extend_from_slice(padding);
    let mut block = key.first_block(attribute, vector);
    for chunk in out.chunks_mut(16) {
        chunk.iter_mut().zip(block).for_each(|(octet, mask)| *octet ^= mask);
        block = key.next_block(chunk);
    }
    out
}

/// Reverses [`hide`]: returns the original value, `None` if its length does not fit what is there.
pub fn unhide(key: &HidingKey, attribute: AttributeType, vector: &[u8], hidden: &[u8]) -> Option<Vec<u8>> {
    let mut plain = hidden.to_vec();
    let mut block = key.first_block(attribute, vector);
    for (chunk, cipher_text) in plain.chunks_mut(16).zip(hidden.chunks(16)) {
        chunk.iter_mut().zip(block).for_each(|(octet, mask)| *octet ^= mask);
        block = key.next_block(cipher_text);
    }
    let mut reader = Reader::at(&plain, 0);
    let length = usize::from(reader.u16("hidden length").ok()?);
    reader.take(length, "hidden value").ok().map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_of_one_block_hides_as_computed_by_hand_with_md5() {
        // python: key = hmac.new(b"secret", b"\1", "md5"); b1 = md5(b"\0\x42" + key + b"R"*16)
        let key = HidingKey::derive(b"secret");
        let hidden = hide(&key, AttributeType(66), &[b'R'; 16], b"101", b"");
        assert_eq!(hex::encode(hidden), KNOWN_SHORT);
        let hidden = hide(&key, AttributeType(66), &[b'R'; 16], &[b'x'; 30], &[b'p'; 8]);
        assert_eq!(hex::encode(hidden), KNOWN_LONG);
    }

    const KNOWN_SHORT: &str = "1173cb40aa";
    const KNOWN_LONG: &str = "116e8208e35bc25387e346ba3939706aca77218155529524f3efdb43942bac688a10c405dfe3c0be";

    #[test]
    fn an_inner_length_past_the_outer_is_refused() {
        let key = HidingKey::derive(b"secret");
        let vector = [7; 16];
        for outer in 0..40usize {
            for inner in 0..50u16 {
                // Hide a plain text whose first two octets are a length of our choice.
                let mut plain = alloc::vec![0u8; outer];
                plain.iter_mut().zip(inner.to_be_bytes()).for_each(|(octet, length)| *octet = length);
                let mut hidden = plain;
                let mut block = key.first_block(AttributeType(66), &vector);
                for chunk in hidden.chunks_mut(16) {
                    chunk.iter_mut().zip(block).for_each(|(octet, mask)| *octet ^= mask);
                    block = key.next_block(chunk);
                }
                let value = unhide(&key, AttributeType(66), &vector, &hidden);
                assert_eq!(value.is_some(), outer >= 2 && usize::from(inner) <= outer - 2, "{outer} {inner}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_hidden_is_read_with_the_same_secret_and_vector(
            value in proptest::collection::vec(any::<u8>(), 0..80),
            padding in proptest::collection::vec(any::<u8>(), 0..40),
            vector in proptest::collection::vec(any::<u8>(), 1..40),
        ) {
            let key = HidingKey::derive(b"s");
            let hidden = hide(&key, AttributeType(61), &vector, &value, &padding);
            prop_assert_eq!(hidden.len(), value.len() + padding.len() + 2);
            prop_assert_eq!(unhide(&key, AttributeType(61), &vector, &hidden), Some(value));
        }
    }
}
