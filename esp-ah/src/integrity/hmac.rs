//! HMAC on the bare block functions of the hash crates.
//!
//! `H(K xor opad, H(K xor ipad, text))` (RFC 2104 §2). The states after `K xor ipad` and `K xor opad` are
//! kept, so a packet costs its own blocks and one more, and a key costs two states (40 octets for SHA-1).

use super::hash::{Hash, compress_all};
use super::{Beside, Message};
use crate::suite::MAX_ICV_LEN;
use arrayvec::ArrayVec;
use zeroize::Zeroize;

/// The two states of an HMAC key.
pub(crate) struct HmacKey<H: Hash> {
    inner: H::State,
    outer: H::State,
}

impl<H: Hash> HmacKey<H> {
    /// Takes a key of at most one block; `None` if it is longer.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        let absorb = |pad: u8| {
            let mut block = H::ZERO;
            let octets = block.as_mut();
            octets.fill(pad);
            octets.get_mut(..key.len())?.iter_mut().zip(key).for_each(|(a, b)| *a ^= b);
            let mut state = H::START;
            H::compress(&mut state, &[block]);
            block.as_mut().zeroize();
            Some(state)
        };
        Some(Self { inner: absorb(0x36)?, outer: absorb(0x5c)? })
    }

    /// Gives the MACs of at most `N` messages, hashed side by side, each with the message's place.
    pub(crate) fn abreast<const N: usize>(
        messages: &[(&Self, Message<'_>)],
        places: impl Iterator<Item = usize>,
        mut give: impl FnMut(usize, [u8; MAX_ICV_LEN]),
    ) {
        if let [(key, message)] = messages {
            let mut icv = [0; MAX_ICV_LEN];
            key.start().finish(message, &mut icv);
            return places.for_each(|place| give(place, icv));
        }
        let texts = messages.iter().map(|(_, message)| message);
        let mut states: ArrayVec<H::State, N> = messages.iter().map(|(key, _)| key.inner).collect();
        compress_all::<H, N>(&mut states, texts.clone().map(|message| H::split(message.octets).0));
        let mut blocks: ArrayVec<[H::Block; 2], N> = texts.clone().map(|_| [H::ZERO; 2]).collect();
        compress_all::<H, N>(&mut states, texts.zip(&mut blocks).map(|(message, blocks)| end::<H>(blocks, message)));
        let mut outer: ArrayVec<H::State, N> = messages.iter().map(|(key, _)| key.outer).collect();
        let digests = states.iter().zip(&mut blocks).map(|(state, blocks)| digest_block::<H>(blocks, state));
        compress_all::<H, N>(&mut outer, digests);
        for (place, state) in places.zip(&outer) {
            let mut icv = [0; MAX_ICV_LEN];
            H::write_digest(state, &mut icv);
            give(place, icv);
        }
    }

    /// Does the work and writes the MAC of the message that is there afterwards; see [`Mac::finish`].
    pub(crate) fn beside(&self, work: &mut dyn Beside, out: &mut [u8]) {
        let mut mac = self.start();
        work.work(&mut |octets| mac.take(octets));
        mac.finish(&work.message(), out);
    }

    /// Returns a MAC that has taken nothing.
    fn start(&self) -> Mac<'_, H> {
        Mac { key: self, state: self.inner, taken: 0 }
    }
}

/// A MAC under way.
struct Mac<'k, H: Hash> {
    key: &'k HmacKey<H>,
    state: H::State,
    /// Whole blocks taken.
    taken: usize,
}

impl<H: Hash> Mac<'_, H> {
    /// Takes the whole blocks of `octets`, the message as far as it stands.
    fn take(&mut self, octets: &[u8]) {
        let now = H::split(octets).0.get(self.taken..).unwrap_or_default();
        if !now.is_empty() {
            H::compress(&mut self.state, now);
            self.taken = self.taken.saturating_add(now.len());
        }
    }

    /// Takes what is left of a message, and writes the MAC into `out` as far as `out` reaches.
    fn finish(&mut self, message: &Message<'_>, out: &mut [u8]) {
        self.take(message.octets);
        let mut blocks = [H::ZERO; 2];
        H::compress(&mut self.state, end::<H>(&mut blocks, message));
        let digest = digest_block::<H>(&mut blocks, &self.state);
        self.state = self.key.outer;
        H::compress(&mut self.state, digest);
        H::write_digest(&self.state, out);
    }
}

impl<H: Hash> Drop for HmacKey<H> {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

const MAX_DIGEST_LEN: usize = 64;

/// Returns the end of a message, what follows its whole blocks.
#[inline]
fn end<'b, H: Hash>(blocks: &'b mut [H::Block; 2], message: &Message<'_>) -> &'b [H::Block] {
    let (_, tail) = H::split(message.octets);
    let suffix = message.suffix();
    pad::<H>(blocks, tail, suffix, message.octets.len().saturating_add(suffix.len()))
}

/// Returns what the outer key takes: the digest that a message gave under the inner one.
#[inline]
fn digest_block<'b, H: Hash>(blocks: &'b mut [H::Block; 2], state: &H::State) -> &'b [H::Block] {
    let mut digest = [0; MAX_DIGEST_LEN];
    let len = H::write_digest(state, &mut digest);
    pad::<H>(blocks, digest.get(..len).unwrap_or_default(), &[], len)
}

/// Puts together last octets, padding and length; one block of key went before the message.
#[inline(always)]
fn pad<'b, H: Hash>(blocks: &'b mut [H::Block; 2], tail: &[u8], suffix: &[u8], message_len: usize) -> &'b [H::Block] {
    *blocks = [H::ZERO; 2];
    let octets = H::flatten(blocks);
    let block_len = octets.len() / 2;
    let marked = tail.len().saturating_add(suffix.len());
    let used = if marked.saturating_add(1).saturating_add(H::LENGTH_LEN) > block_len { 2 } else { 1 };
    put(octets, 0, tail);
    put(octets, tail.len(), suffix);
    put(octets, marked, &[0x80]);
    let bits = (block_len as u64).wrapping_add(message_len as u64).wrapping_mul(8);
    put(octets, (used * block_len).saturating_sub(8), &H::length(bits));
    blocks.get(..used).unwrap_or_default()
}

#[inline(always)]
fn put(octets: &mut [u8], at: usize, value: &[u8]) {
    if let Some(field) = octets.get_mut(at..at.saturating_add(value.len())) {
        field.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integrity::hash::{Md5, Sha1, Sha256, Sha384, Sha512};
    use ::hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;
    use serde_json::Value;
    use std::vec::Vec;

    fn mac<H: Hash>(key: &[u8], octets: &[u8], high: Option<[u8; 4]>, len: usize) -> Option<Vec<u8>> {
        let key = HmacKey::<H>::new(key)?;
        let message = Message { octets, high };
        let mut out = std::vec![0; len];
        key.start().finish(&message, &mut out);
        // With work between its blocks it is the same.
        let mut stepped = std::vec![0; len];
        let mut mac = key.start();
        (0..=octets.len()).filter_map(|len| octets.get(..len)).for_each(|octets| mac.take(octets));
        mac.finish(&message, &mut stepped);
        assert_eq!(stepped, out);
        // And with others of its kind beside it, of which there are enough for vector lanes.
        let mut given = 0;
        HmacKey::abreast::<16>(&[(&key, message); 16], 0..16, |place, icv| {
            assert_eq!((place, icv.iter().zip(&out).all(|(a, b)| a == b)), (given, true));
            given += 1;
        });
        assert_eq!(given, 16);
        Some(out)
    }

    #[test]
    fn hmac_answers_as_rfc_2202_and_rfc_4231_say() {
        let mut counted = 0;
        for file in [
            include_str!("../../tests/vectors/hmac_rfc2202.json"),
            include_str!("../../tests/vectors/hmac_sha2_rfc4231.json"),
        ] {
            let vectors: Value = serde_json::from_str(file).unwrap();
            for vector in vectors["vectors"].as_array().unwrap() {
                let field = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
                let (key, data, want) = (field("key"), field("data"), field("mac"));
                let got = match vector["alg"].as_str().unwrap() {
                    "HMAC-MD5" => mac::<Md5>(&key, &data, None, want.len()),
                    "HMAC-SHA1" => mac::<Sha1>(&key, &data, None, want.len()),
                    "HMAC-SHA-256" => mac::<Sha256>(&key, &data, None, want.len()),
                    "HMAC-SHA-384" => mac::<Sha384>(&key, &data, None, want.len()),
                    "HMAC-SHA-512" => mac::<Sha512>(&key, &data, None, want.len()),
                    other => panic!("{other}"),
                };
                // Keys longer than a block never occur in ESP or AH: their lengths are fixed.
                let Some(got) = got else { continue };
                assert_eq!(got, want);
                counted += 1;
            }
        }
        assert!(counted >= 25, "{counted}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn every_length_and_suffix_gives_what_the_hmac_crate_gives(
            octets in proptest::collection::vec(any::<u8>(), 0..300),
            high: Option<[u8; 4]>,
            key: [u8; 32],
        ) {
            macro_rules! check {
                ($ours:ty, $theirs:ty, $len:literal) => {
                    let mut theirs = Hmac::<$theirs>::new_from_slice(&key).unwrap();
                    theirs.update(&octets);
                    theirs.update(high.as_ref().map_or(&[], |high| high));
                    let ours = mac::<$ours>(&key, &octets, high, $len).unwrap();
                    prop_assert_eq!(&theirs.finalize().into_bytes()[..], &ours[..]);
                };
            }
            check!(Md5, md5::Md5, 16);
            check!(Sha1, sha1::Sha1, 20);
            check!(Sha256, sha2::Sha256, 32);
            check!(Sha384, sha2::Sha384, 48);
            check!(Sha512, sha2::Sha512, 64);
        }
    }
}
