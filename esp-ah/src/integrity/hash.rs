//! The five hash functions, and blocks of several messages taken side by side.

use arrayvec::ArrayVec;
use zeroize::Zeroize;

/// A hash function as HMAC sees it: a state and a function over whole blocks.
pub(crate) trait Hash: Sized {
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
    /// Takes blocks of several messages into their states in vector lanes, as far as that is faster, and leaves the
    /// rest of each message.
    fn compress_lanes(_states: &mut [Self::State], _messages: &mut [&[Self::Block]]) {}
    /// Splits off the whole blocks.
    fn split(octets: &[u8]) -> (&[Self::Block], &[u8]);
    /// Returns two blocks as octets.
    fn flatten(blocks: &mut [Self::Block; 2]) -> &mut [u8];
    /// Returns the message length in bits as the padding says it.
    fn length(bits: u64) -> [u8; 8];
    /// Writes the state out as the digest, as far as `out` reaches; returns the digest's octets.
    fn write_digest(state: &Self::State, out: &mut [u8]) -> usize;
}

/// Messages hashed side by side by the hash crates: enough to fill the processor, which more do no better.
const ABREAST: usize = 4;

/// Takes blocks of at most `N` messages, each into its own state.
///
/// A hash waits for itself at every step, and leaves most of the processor to others.
pub(crate) fn compress_all<'m, H: Hash, const N: usize>(
    states: &mut [H::State],
    messages: impl Iterator<Item = &'m [H::Block]>,
) where
    H::Block: 'm,
{
    let mut messages: ArrayVec<&[H::Block], N> = messages.take(N).collect();
    H::compress_lanes(states, &mut messages);
    for (states, messages) in states.chunks_mut(ABREAST).zip(messages.chunks(ABREAST)) {
        let most = messages.iter().map(|blocks| blocks.len()).max().unwrap_or(0);
        for at in 0..most {
            for (state, blocks) in states.iter_mut().zip(messages) {
                if let Some(block) = blocks.get(at) {
                    H::compress(state, core::slice::from_ref(block));
                }
            }
        }
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

            #[cfg(all(feature = "lanes", target_arch = "x86_64"))]
            fn compress_lanes(states: &mut [Self::State], messages: &mut [&[Self::Block]]) {
                super::lanes::compress::<Self, _, _>(states, messages);
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
