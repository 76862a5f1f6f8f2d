//! Hashing in vector lanes: a message in each lane, a word of every message in each vector.
//!
//! The rounds of a hash wait for each other, those of many messages do not: with 512-bit vectors, sixteen SHA-1 take
//! as long as five through the processor's own SHA instructions. The rounds stand here once more, written with vectors
//! for words; no crate has them. What they do does not depend on what is hashed.
//!
//! Functions of vectors must be inlined up to where the processor's instructions are chosen; closures given to the
//! standard library may not be. Hence plain loops.

#![expect(
    clippy::indexing_slicing,
    reason = "lanes, words and rounds are counted below the constant lengths of arrays, and places are those of messages, of \
              which each has a state"
)]

mod md5;
mod sha1;
mod sha2;

use super::hash::Hash;
use fearless_simd::{Level, Simd, SimdInt, SimdIntElement, prelude::*, u8x64};

/// Writes a body out for every number below sixteen: the compiler lets loops of this length stand, and what they index
/// would lie in memory.
macro_rules! sixteen_times {
    (|$number:ident| $body:expr) => {
        sixteen_times!($number $body; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    ($number:ident $body:expr; $($value:literal)*) => {
        $({
            let $number: usize = $value;
            $body
        })*
    };
}
use sixteen_times;

/// Words of a block of any of the hashes.
const BLOCK_WORDS: usize = 16;

/// A hash in lanes: its state has `W` words, and a vector of 64 octets has one word of each of `L` messages.
pub(super) trait Lanes<const W: usize, const L: usize>: Hash<State = [Self::Word; W]> {
    /// A word.
    type Word: SimdIntElement;
    /// One word of each message.
    type Words<S: Simd>: SimdInt<S, Element = Self::Word, Array = [Self::Word; L], ByteVector = u8x64<S>>;
    /// What turns the place of an octet in its word on the wire into that in a little-endian one, by exclusive or.
    const ORDER: u8;
    /// Messages from which on the lanes are faster than the hash crate.
    const FROM: From;

    /// Takes a block of each message into the states.
    fn rounds<S: Simd>(state: &mut [Self::Words<S>; W], block: [Self::Words<S>; BLOCK_WORDS]);
}

/// Messages from which on lanes are faster, by the vectors that there are; found by measuring.
pub(super) struct From {
    pub(super) avx512: usize,
    /// Where a processor with these vectors may do better without.
    pub(super) avx2: Option<usize>,
}

/// Takes blocks into the states while enough messages have some, and leaves the rest of each message.
pub(super) fn compress<H: Lanes<W, L>, const W: usize, const L: usize>(
    states: &mut [H::State],
    messages: &mut [&[H::Block]],
) where
    H::Block: AsRef<[u8]>,
{
    let level = Level::new();
    if let Some(simd) = level.as_avx512() {
        take::<H, W, L>(simd, H::FROM.avx512, states, messages);
    } else if let (Some(simd), Some(from)) = (level.as_avx2(), H::FROM.avx2) {
        take::<H, W, L>(simd, from, states, messages);
    }
}

/// Takes blocks while at least `from` messages have some. A message that ends makes place for the next.
fn take<H: Lanes<W, L>, const W: usize, const L: usize>(
    simd: impl Simd,
    from: usize,
    states: &mut [H::State],
    messages: &mut [&[H::Block]],
) where
    H::Block: AsRef<[u8]>,
{
    if messages.len() < from {
        return;
    }
    let mut waiting = 0..messages.len().min(states.len());
    let mut places: [Option<usize>; L] = [None; L];
    let mut inputs: [&[H::Block]; L] = [&[]; L];
    let mut words = [[H::Word::default(); L]; W];
    loop {
        let (mut running, mut count) = (0, usize::MAX);
        for lane in 0..L {
            if inputs[lane].is_empty() {
                if let Some(ended) = places[lane].take() {
                    states[ended] = column(&words, lane);
                    messages[ended] = &[];
                }
                let Some(next) = waiting.find(|&at| !messages[at].is_empty()) else { continue };
                set_column(&mut words, lane, &states[next]);
                (places[lane], inputs[lane]) = (Some(next), messages[next]);
            }
            running += 1;
            count = count.min(inputs[lane].len());
        }
        if running < from.max(1) {
            break;
        }
        simd.vectorize(
            #[inline(always)]
            || hash::<_, H, W, L>(simd, &mut words, count, &inputs),
        );
        for input in &mut inputs {
            *input = input.get(count..).unwrap_or_default();
        }
    }
    for (lane, place) in places.into_iter().enumerate() {
        if let Some(at) = place {
            (states[at], messages[at]) = (column(&words, lane), inputs[lane]);
        }
    }
}

fn column<T: Copy + Default, const W: usize, const L: usize>(rows: &[[T; L]; W], lane: usize) -> [T; W] {
    let mut column = [T::default(); W];
    for (word, row) in column.iter_mut().zip(rows) {
        *word = row[lane];
    }
    column
}

fn set_column<T: Copy, const W: usize, const L: usize>(rows: &mut [[T; L]; W], lane: usize, column: &[T; W]) {
    for (row, &word) in rows.iter_mut().zip(column) {
        row[lane] = word;
    }
}

/// Takes `count` blocks of each message; a lane without one hashes zeros, and what comes out is thrown away.
#[inline(always)]
fn hash<S: Simd, H: Lanes<W, L>, const W: usize, const L: usize>(
    simd: S,
    words: &mut [[H::Word; L]; W],
    count: usize,
    messages: &[&[H::Block]; L],
) where
    H::Block: AsRef<[u8]>,
{
    let mut state = [H::Words::<S>::splat(simd, H::Word::default()); W];
    for (vector, words) in state.iter_mut().zip(&*words) {
        *vector = H::Words::<S>::load_array_ref(simd, words);
    }
    let order = u8x64::load_array(simd, core::array::from_fn(|at| (at as u8 % 16) ^ H::ORDER));
    for at in 0..count {
        let mut block = [H::Words::<S>::splat(simd, H::Word::default()); BLOCK_WORDS];
        // A vector holds all the words of a block of SHA-256, and half of those of SHA-512.
        sixteen_times!(|row| {
            let octets = messages[row % L].get(at).and_then(|block| block.as_ref().as_chunks().0.get(row / L));
            let octets = u8x64::load_array_ref(simd, octets.unwrap_or(&[0; 64]));
            block[row] = octets.swizzle_dyn_within_blocks(order).bitcast();
        });
        transpose::<S, _, L>(&mut block);
        H::rounds(&mut state, block);
    }
    for (vector, words) in state.iter().zip(words) {
        vector.store_array(words);
    }
}

/// Turns rows into columns, `L` at a time: their halves are interleaved until every word has come to its place.
#[inline(always)]
fn transpose<S: Simd, V: SimdInt<S>, const L: usize>(rows: &mut [V; BLOCK_WORDS]) {
    for _ in 0..L.ilog2() {
        let from = *rows;
        sixteen_times!(|to| {
            let at = to / L * L + to % L / 2;
            let (even, odd) = from[at].interleave(from[at + L / 2]);
            rows[to] = if to.is_multiple_of(2) { even } else { odd };
        });
    }
}

/// Adds what the state was before the rounds.
#[inline(always)]
fn add<S: Simd, V: SimdInt<S>, const W: usize>(state: &mut [V; W], before: &[V; W]) {
    for (word, &before) in state.iter_mut().zip(before) {
        *word += before;
    }
}

/// Rotates every word to the left by a number of bits below that of a word.
#[inline(always)]
fn rotate_left<S: Simd, V: SimdInt<S>>(words: V, bits: u32) -> V {
    (words << bits) | (words >> (size_of::<V::Element>() as u32 * 8 - bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integrity::hash::{Md5, Sha1, Sha256, Sha384, Sha512};
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Hashes messages of so many blocks with vectors of every kind that the processor has, and with the hash crate.
    fn check<H: Lanes<W, L>, const W: usize, const L: usize>(lengths: &[usize], from: usize, seed: u8)
    where
        H::Block: AsRef<[u8]>,
        H::State: PartialEq + core::fmt::Debug,
    {
        let mut octet = seed;
        let mut next = || {
            octet = octet.wrapping_mul(29).wrapping_add(113);
            octet
        };
        let mut block = || {
            let mut block = H::ZERO;
            block.as_mut().iter_mut().for_each(|octet| *octet = next());
            block
        };
        let texts: Vec<Vec<H::Block>> = lengths.iter().map(|&len| (0..len).map(|_| block()).collect()).collect();
        let mut begun: Vec<H::State> = lengths.iter().map(|_| H::START).collect();
        for (state, salt) in begun.iter_mut().zip(0..) {
            let mut block = H::ZERO;
            block.as_mut().fill(salt);
            H::compress(state, &[block]);
        }
        let mut wanted = begun.clone();
        wanted.iter_mut().zip(&texts).for_each(|(state, text)| H::compress(state, text));

        let level = Level::new();
        macro_rules! each {
            ($($vectors:ident)*) => {
                $(if let Some(simd) = level.$vectors() {
                    let (mut states, mut rest) = (begun.clone(), texts.iter().map(Vec::as_slice).collect::<Vec<_>>());
                    take::<H, W, L>(simd, from, &mut states, &mut rest);
                    // Too few are left: whoever calls does those.
                    assert!(rest.iter().filter(|blocks| !blocks.is_empty()).count() < from.max(1));
                    states.iter_mut().zip(rest).for_each(|(state, rest)| H::compress(state, rest));
                    assert_eq!(states, wanted);
                })*
            };
        }
        each!(as_sse2 as_avx2 as_avx512);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn lanes_of_any_lengths_give_what_the_hash_crates_give(
            lengths in proptest::collection::vec(0usize..6, 0..=40),
            from in 0usize..6,
            seed: u8,
        ) {
            check::<Md5, _, _>(&lengths, from, seed);
            check::<Sha1, _, _>(&lengths, from, seed);
            check::<Sha256, _, _>(&lengths, from, seed);
            check::<Sha384, _, _>(&lengths, from, seed);
            check::<Sha512, _, _>(&lengths, from, seed);
        }
    }
}
