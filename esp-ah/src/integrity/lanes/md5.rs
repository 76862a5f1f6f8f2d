//! MD5 in lanes (RFC 1321 §3.4).

use super::{BLOCK_WORDS, From, Lanes, add, rotate_left, sixteen_times};
use crate::integrity::hash::Md5;
use fearless_simd::{Simd, u32x16};

impl Lanes<4, 16> for Md5 {
    type Word = u32;
    type Words<S: Simd> = u32x16<S>;
    const ORDER: u8 = 0;
    const FROM: From = From { avx512: 2, avx2: Some(4) };

    #[inline(always)]
    fn rounds<S: Simd>(state: &mut [u32x16<S>; 4], x: [u32x16<S>; BLOCK_WORDS]) {
        let before = *state;
        let [first, second, third, fourth] = &T;
        // F, G, H and I; the words of the block in steps of 1, 5, 3 and 7.
        sixteen(state, &x, first, [7, 12, 17, 22], |i| i, |b, c, d| d ^ (b & (c ^ d)));
        sixteen(state, &x, second, [5, 9, 14, 20], |i| 1 + 5 * i, |b, c, d| c ^ (d & (b ^ c)));
        sixteen(state, &x, third, [4, 11, 16, 23], |i| 5 + 3 * i, |b, c, d| b ^ c ^ d);
        sixteen(state, &x, fourth, [6, 10, 15, 21], |i| 7 * i, |b, c, d| c ^ (b | !d));
        add(state, &before);
    }
}

/// Sixteen operations `a = b + ((a + f(b, c, d) + X[k] + T[i]) <<< s)`.
#[inline(always)]
fn sixteen<S: Simd>(
    state: &mut [u32x16<S>; 4],
    x: &[u32x16<S>; BLOCK_WORDS],
    constants: &[u32; 16],
    shifts: [u32; 4],
    k: impl Fn(usize) -> usize,
    f: impl Fn(u32x16<S>, u32x16<S>, u32x16<S>) -> u32x16<S>,
) {
    let [mut a, mut b, mut c, mut d] = *state;
    sixteen_times!(|i| {
        let next = b + rotate_left(a + f(b, c, d) + (x[k(i) % 16] + constants[i]), shifts[i % 4]);
        (a, b, c, d) = (d, next, b, c);
    });
    *state = [a, b, c, d];
}

/// `T[i] = floor(2^32 * |sin(i)|)`, i in radians from 1 (RFC 1321 §3.4).
#[rustfmt::skip]
const T: [[u32; 16]; 4] = [
    [
        0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
        0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    ],
    [
        0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
        0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    ],
    [
        0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
        0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    ],
    [
        0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
        0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
    ],
];
