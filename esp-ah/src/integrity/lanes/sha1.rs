//! SHA-1 in lanes (FIPS 180-4 §6.1.2).

use super::{BLOCK_WORDS, From, Lanes, add, rotate_left, sixteen_times};
use crate::integrity::hash::Sha1;
use fearless_simd::{Simd, u32x16};

impl Lanes<5, 16> for Sha1 {
    type Word = u32;
    type Words<S: Simd> = u32x16<S>;
    const ORDER: u8 = 3;
    const FROM: From = From { avx512: 6, avx2: Some(12) };

    #[inline(always)]
    fn rounds<S: Simd>(state: &mut [u32x16<S>; 5], mut w: [u32x16<S>; BLOCK_WORDS]) {
        let before = *state;
        sixteen(state, &w, 0);
        schedule(&mut w);
        sixteen(state, &w, 16);
        schedule(&mut w);
        sixteen(state, &w, 32);
        schedule(&mut w);
        sixteen(state, &w, 48);
        schedule(&mut w);
        sixteen(state, &w, 64);
        add(state, &before);
    }
}

/// `T = ROTL^5(a) + f_t(b, c, d) + e + K_t + W_t`, for t from `first` on.
#[inline(always)]
fn sixteen<S: Simd>(state: &mut [u32x16<S>; 5], w: &[u32x16<S>; BLOCK_WORDS], first: usize) {
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    sixteen_times!(|t| {
        // Ch, Parity, Maj, Parity (§4.1.1), and the constants of §4.2.1.
        let (f, k) = match (first + t) / 20 {
            0 => (d ^ (b & (c ^ d)), 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => ((b & c) | (d & (b | c)), 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next = rotate_left(a, 5) + f + e + (w[t] + k);
        (a, b, c, d, e) = (next, a, rotate_left(b, 30), c, d);
    });
    *state = [a, b, c, d, e];
}

/// `W_t = ROTL^1(W_t-3 xor W_t-8 xor W_t-14 xor W_t-16)` of the next sixteen rounds.
#[inline(always)]
fn schedule<S: Simd>(w: &mut [u32x16<S>; BLOCK_WORDS]) {
    sixteen_times!(|t| {
        w[t] = rotate_left(w[(t + 13) % 16] ^ w[(t + 8) % 16] ^ w[(t + 2) % 16] ^ w[t], 1);
    });
}
