//! HMAC on the bare block functions of the hash crates.
//!
//! `H(K xor opad, H(K xor ipad, text))` (RFC 2104 §2). The states after `K xor ipad` and `K xor opad` are
//! kept, so a packet costs its own blocks and one more, and a key costs two states (40 octets for SHA-1).

use super::{ABREAST, Beside, Message};
use arrayvec::ArrayVec;
use zeroize::Zeroize;

/// A hash function as HMAC sees it: a state and a function over whole blocks.
pub(crate) trait Hash {
    /// The chaining state.
    type State: Copy + Zeroize;
    /// A block.
    type Block: AsMut<[u8]> + Copy;
    /// The state before the first block.
    const START: Self::State;
    /// A block of zeros.
    const ZERO: Self::Block;
    /// Octets of the message length at the end of the padding.
    const LENGTH_LEN: usize;

    /// Takes whole blocks into the state.
    fn compress(state: &mut Self::State, blocks: &[Self::Block]);
    /// Splits off the whole blocks.
    fn split(octets: &[u8]) -> (&[Self::Block], &[u8]);
    /// Returns two blocks as octets.
    fn flatten(blocks: &mut [Self::Block; 2]) -> &mut [u8];
    /// Returns the message length in bits as the padding says it.
    fn length(bits: u64) -> [u8; 8];
    /// Writes the state out as the digest, as far as `out` reaches; returns the digest's octets.
    fn write_digest(state: &Self::State, out: &mut [u8]) -> usize;
}

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

    /// Writes the MACs of several messages into the first octets of `out`, a block of each in turn; see [`Mac::finish`].
    ///
    /// A hash waits for itself at every step, and leaves most of the processor to others.
    pub(crate) fn abreast<const N: usize>(messages: &[(&Self, Message<'_>)], out: &mut [[u8; N]]) {
        if let ([(key, message)], [out, ..]) = (messages, &mut *out) {
            return key.start().finish(message, out);
        }
        let mut macs: ArrayVec<Mac<'_, H>, ABREAST> = messages.iter().map(|(key, _)| key.start()).collect();
        let blocks = |message: &Message<'_>| H::split(message.octets).0.len();
        let most = messages.iter().map(|(_, message)| blocks(message)).max().unwrap_or(0);
        for _ in 0..most {
            for (mac, (_, message)) in macs.iter_mut().zip(messages) {
                mac.take(message.octets, 1);
            }
        }
        for (mac, (_, message)) in macs.iter_mut().zip(messages) {
            mac.end_message(message);
        }
        for (mac, out) in macs.iter_mut().zip(out) {
            mac.digest_again(out);
        }
    }

    /// Does the work and writes the MAC of the message that is there afterwards; see [`Mac::finish`].
    pub(crate) fn beside(&self, work: &mut dyn Beside, out: &mut [u8]) {
        let mut mac = self.start();
        work.work(&mut |octets| mac.take(octets, usize::MAX));
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
    /// Takes at most `most` more whole blocks of `octets`, the message as far as it stands.
    fn take(&mut self, octets: &[u8], most: usize) {
        let waiting = H::split(octets).0.get(self.taken..).unwrap_or_default();
        let now = waiting.get(..most).unwrap_or(waiting);
        if !now.is_empty() {
            H::compress(&mut self.state, now);
            self.taken = self.taken.saturating_add(now.len());
        }
    }

    /// Takes what is left of a message, and writes the MAC into `out` as far as `out` reaches.
    fn finish(&mut self, message: &Message<'_>, out: &mut [u8]) {
        self.take(message.octets, usize::MAX);
        self.end_message(message);
        self.digest_again(out);
    }

    /// Takes the end of a message whose whole blocks are taken.
    #[inline]
    fn end_message(&mut self, message: &Message<'_>) {
        let (_, tail) = H::split(message.octets);
        let suffix = message.suffix();
        finish::<H>(&mut self.state, tail, suffix, message.octets.len().saturating_add(suffix.len()));
    }

    /// Takes what the message gave under the outer key.
    #[inline]
    fn digest_again(&mut self, out: &mut [u8]) {
        let mut digest = [0; MAX_DIGEST_LEN];
        let len = H::write_digest(&self.state, &mut digest);
        self.state = self.key.outer;
        finish::<H>(&mut self.state, digest.get(..len).unwrap_or_default(), &[], len);
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

/// Takes the last octets, the padding and the length; one block of key went before the message.
#[inline(always)]
fn finish<H: Hash>(state: &mut H::State, tail: &[u8], suffix: &[u8], message_len: usize) {
    let mut blocks = [H::ZERO; 2];
    let octets = H::flatten(&mut blocks);
    let block_len = octets.len() / 2;
    let marked = tail.len().saturating_add(suffix.len());
    let used = if marked.saturating_add(1).saturating_add(H::LENGTH_LEN) > block_len { 2 } else { 1 };
    put(octets, 0, tail);
    put(octets, tail.len(), suffix);
    put(octets, marked, &[0x80]);
    let bits = (block_len as u64).wrapping_add(message_len as u64).wrapping_mul(8);
    put(octets, (used * block_len).saturating_sub(8), &H::length(bits));
    H::compress(state, blocks.get(..used).unwrap_or_default());
}

#[inline(always)]
fn put(octets: &mut [u8], at: usize, value: &[u8]) {
    if let Some(field) = octets.get_mut(at..at.saturating_add(value.len())) {
        field.copy_from_slice(value);
    }
}

#[cfg(not(feature = "fast-md5"))]
use md5::block_api::compress as compress_md5;

#[cfg(feature = "fast-md5")]
fn compress_md5(state: &mut [u32; 4], blocks: &[[u8; 64]]) {
    blocks.iter().for_each(|block| fast_md5::transform(state, block));
}

macro_rules! hash {
    ($(#[$meta:meta])* $name:ident, $word:ty, $words:literal, $block:literal, $length:literal, $digest:literal,
     $compress:path, $length_to_bytes:expr, $to_bytes:ident, $start:expr) => {
        $(#[$meta])*
        pub(crate) struct $name;

        impl Hash for $name {
            type State = [$word; $words];
            type Block = [u8; $block];
            const START: Self::State = $start;
            const ZERO: Self::Block = [0; $block];
            const LENGTH_LEN: usize = $length;

            #[inline(always)]
            fn compress(state: &mut Self::State, blocks: &[Self::Block]) {
                $compress(state, blocks);
            }

            #[inline(always)]
            fn split(octets: &[u8]) -> (&[Self::Block], &[u8]) {
                octets.as_chunks()
            }

            #[inline(always)]
            fn flatten(blocks: &mut [Self::Block; 2]) -> &mut [u8] {
                blocks.as_flattened_mut()
            }

            #[inline(always)]
            fn length(bits: u64) -> [u8; 8] {
                $length_to_bytes(bits)
            }

            #[inline(always)]
            fn write_digest(state: &Self::State, out: &mut [u8]) -> usize {
                let words = out.chunks_mut(size_of::<$word>()).take($digest / size_of::<$word>());
                for (to, word) in words.zip(state) {
                    to.iter_mut().zip(word.$to_bytes()).for_each(|(to, from)| *to = from);
                }
                $digest
            }
        }
    };
}

hash!(
    /// MD5 (RFC 1321).
    Md5, u32, 4, 64, 8, 16, compress_md5, u64::to_le_bytes, to_le_bytes,
    [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476]
);
hash!(
    /// SHA-1 (FIPS 180-4 §5.3.1).
    Sha1, u32, 5, 64, 8, 20, sha1::block_api::compress, u64::to_be_bytes, to_be_bytes,
    [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0]
);
hash!(
    /// SHA-256 (FIPS 180-4 §5.3.3).
    Sha256, u32, 8, 64, 8, 32, sha2::block_api::compress256, u64::to_be_bytes, to_be_bytes,
    [
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
    ]
);
hash!(
    /// SHA-384 (FIPS 180-4 §5.3.4).
    Sha384, u64, 8, 128, 16, 48, sha2::block_api::compress512, u64::to_be_bytes, to_be_bytes,
    [
        0xcbbb_9d5d_c105_9ed8, 0x629a_292a_367c_d507, 0x9159_015a_3070_dd17, 0x152f_ecd8_f70e_5939,
        0x6733_2667_ffc0_0b31, 0x8eb4_4a87_6858_1511, 0xdb0c_2e0d_64f9_8fa7, 0x47b5_481d_befa_4fa4,
    ]
);
hash!(
    /// SHA-512 (FIPS 180-4 §5.3.5).
    Sha512, u64, 8, 128, 16, 64, sha2::block_api::compress512, u64::to_be_bytes, to_be_bytes,
    [
        0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1,
        0x510e_527f_ade6_82d1, 0x9b05_688c_2b3e_6c1f, 0x1f83_d9ab_fb41_bd6b, 0x5be0_cd19_137e_2179,
    ]
);

#[cfg(test)]
mod tests {
    use super::*;
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
        H::split(octets).0.iter().for_each(|_| mac.take(octets, 1));
        mac.finish(&message, &mut stepped);
        assert_eq!(stepped, out);
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
