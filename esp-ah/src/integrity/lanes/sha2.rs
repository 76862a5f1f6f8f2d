//! SHA-256, SHA-384 and SHA-512 in lanes (FIPS 180-4 §6.2.2, §6.4.2): one algorithm, whose words have 32 or 64 bits.

use super::{BLOCK_WORDS, From, Lanes, add, rotate_left, sixteen_times};
use crate::integrity::hash::{Sha256, Sha384, Sha512};
use fearless_simd::{Simd, SimdInt, u32x16, u64x8};

macro_rules! lanes {
    ($hash:ident, $lanes:literal, $word:ty, $words:ident, $order:literal, $from:expr, $parameters:ident) => {
        impl Lanes<8, $lanes> for $hash {
            type Word = $word;
            type Words<S: Simd> = $words<S>;
            const ORDER: u8 = $order;
            const FROM: From = $from;

            #[inline(always)]
            fn rounds<S: Simd>(state: &mut [$words<S>; 8], block: [$words<S>; BLOCK_WORDS]) {
                rounds::<S, _, $parameters>(state, block);
            }
        }
    };
}

lanes!(Sha256, 16, u32, u32x16, 3, From { avx512: 10, avx2: None }, Bits32);
lanes!(Sha384, 8, u64, u64x8, 7, From { avx512: 2, avx2: Some(5) }, Bits64);
lanes!(Sha512, 8, u64, u64x8, 7, From { avx512: 2, avx2: Some(5) }, Bits64);

/// What differs with the width of a word.
trait Parameters {
    type Word;
    const ROUNDS: usize;
    /// Bits by which `Sigma_0`, `Sigma_1`, `sigma_0` and `sigma_1` rotate to the right; the last of a small one shifts.
    const UPPER: [[u32; 3]; 2];
    const LOWER: [[u32; 3]; 2];
    /// The constant of a round, of which `K` has the first 64 bits.
    fn constant(k: u64) -> Self::Word;
}

/// FIPS 180-4 §4.1.2.
struct Bits32;

impl Parameters for Bits32 {
    type Word = u32;
    const ROUNDS: usize = 64;
    const UPPER: [[u32; 3]; 2] = [[2, 13, 22], [6, 11, 25]];
    const LOWER: [[u32; 3]; 2] = [[7, 18, 3], [17, 19, 10]];

    #[inline(always)]
    fn constant(k: u64) -> u32 {
        (k >> 32) as u32
    }
}

/// FIPS 180-4 §4.1.3.
struct Bits64;

impl Parameters for Bits64 {
    type Word = u64;
    const ROUNDS: usize = 80;
    const UPPER: [[u32; 3]; 2] = [[28, 34, 39], [14, 18, 41]];
    const LOWER: [[u32; 3]; 2] = [[1, 8, 7], [19, 61, 6]];

    #[inline(always)]
    fn constant(k: u64) -> u64 {
        k
    }
}

/// All rounds, sixteen at a time, the first of them with the words of the block.
#[inline(always)]
fn rounds<S: Simd, V: SimdInt<S>, P: Parameters<Word = V::Element>>(state: &mut [V; 8], mut w: [V; BLOCK_WORDS]) {
    let before = *state;
    let [first, further @ ..] = &K;
    sixteen::<S, V, P>(state, &w, first);
    for k in further.iter().take(P::ROUNDS / 16 - 1) {
        schedule::<S, V, P>(&mut w);
        sixteen::<S, V, P>(state, &w, k);
    }
    add(state, &before);
}

/// `T_1 = h + Sigma_1(e) + Ch(e, f, g) + K_t + W_t`, `T_2 = Sigma_0(a) + Maj(a, b, c)`.
#[inline(always)]
fn sixteen<S: Simd, V: SimdInt<S>, P: Parameters<Word = V::Element>>(state: &mut [V; 8], w: &[V; 16], k: &[u64; 16]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    sixteen_times!(|t| {
        let first = h + upper(e, P::UPPER[1]) + (g ^ (e & (f ^ g))) + (w[t] + P::constant(k[t]));
        let second = upper(a, P::UPPER[0]) + ((a & b) | (c & (a | b)));
        (a, b, c, d, e, f, g, h) = (first + second, a, b, c, d + first, e, f, g);
    });
    *state = [a, b, c, d, e, f, g, h];
}

/// `W_t = sigma_1(W_t-2) + W_t-7 + sigma_0(W_t-15) + W_t-16` of the next sixteen rounds.
#[inline(always)]
fn schedule<S: Simd, V: SimdInt<S>, P: Parameters<Word = V::Element>>(w: &mut [V; 16]) {
    sixteen_times!(|t| {
        w[t] += lower(w[(t + 14) % 16], P::LOWER[1]) + w[(t + 9) % 16] + lower(w[(t + 1) % 16], P::LOWER[0]);
    });
}

#[inline(always)]
fn upper<S: Simd, V: SimdInt<S>>(words: V, [x, y, z]: [u32; 3]) -> V {
    rotate_right(words, x) ^ rotate_right(words, y) ^ rotate_right(words, z)
}

#[inline(always)]
fn lower<S: Simd, V: SimdInt<S>>(words: V, [x, y, shift]: [u32; 3]) -> V {
    rotate_right(words, x) ^ rotate_right(words, y) ^ (words >> shift)
}

#[inline(always)]
fn rotate_right<S: Simd, V: SimdInt<S>>(words: V, bits: u32) -> V {
    rotate_left(words, size_of::<V::Element>() as u32 * 8 - bits)
}

/// The first 64 bits of the fractional parts of the cube roots of the first eighty primes (FIPS 180-4 §4.2.2, §4.2.3).
#[rustfmt::skip]
const K: [[u64; 16]; 5] = [
    [
        0x428a_2f98_d728_ae22, 0x7137_4491_23ef_65cd, 0xb5c0_fbcf_ec4d_3b2f, 0xe9b5_dba5_8189_dbbc,
        0x3956_c25b_f348_b538, 0x59f1_11f1_b605_d019, 0x923f_82a4_af19_4f9b, 0xab1c_5ed5_da6d_8118,
        0xd807_aa98_a303_0242, 0x1283_5b01_4570_6fbe, 0x2431_85be_4ee4_b28c, 0x550c_7dc3_d5ff_b4e2,
        0x72be_5d74_f27b_896f, 0x80de_b1fe_3b16_96b1, 0x9bdc_06a7_25c7_1235, 0xc19b_f174_cf69_2694,
    ],
    [
        0xe49b_69c1_9ef1_4ad2, 0xefbe_4786_384f_25e3, 0x0fc1_9dc6_8b8c_d5b5, 0x240c_a1cc_77ac_9c65,
        0x2de9_2c6f_592b_0275, 0x4a74_84aa_6ea6_e483, 0x5cb0_a9dc_bd41_fbd4, 0x76f9_88da_8311_53b5,
        0x983e_5152_ee66_dfab, 0xa831_c66d_2db4_3210, 0xb003_27c8_98fb_213f, 0xbf59_7fc7_beef_0ee4,
        0xc6e0_0bf3_3da8_8fc2, 0xd5a7_9147_930a_a725, 0x06ca_6351_e003_826f, 0x1429_2967_0a0e_6e70,
    ],
    [
        0x27b7_0a85_46d2_2ffc, 0x2e1b_2138_5c26_c926, 0x4d2c_6dfc_5ac4_2aed, 0x5338_0d13_9d95_b3df,
        0x650a_7354_8baf_63de, 0x766a_0abb_3c77_b2a8, 0x81c2_c92e_47ed_aee6, 0x9272_2c85_1482_353b,
        0xa2bf_e8a1_4cf1_0364, 0xa81a_664b_bc42_3001, 0xc24b_8b70_d0f8_9791, 0xc76c_51a3_0654_be30,
        0xd192_e819_d6ef_5218, 0xd699_0624_5565_a910, 0xf40e_3585_5771_202a, 0x106a_a070_32bb_d1b8,
    ],
    [
        0x19a4_c116_b8d2_d0c8, 0x1e37_6c08_5141_ab53, 0x2748_774c_df8e_eb99, 0x34b0_bcb5_e19b_48a8,
        0x391c_0cb3_c5c9_5a63, 0x4ed8_aa4a_e341_8acb, 0x5b9c_ca4f_7763_e373, 0x682e_6ff3_d6b2_b8a3,
        0x748f_82ee_5def_b2fc, 0x78a5_636f_4317_2f60, 0x84c8_7814_a1f0_ab72, 0x8cc7_0208_1a64_39ec,
        0x90be_fffa_2363_1e28, 0xa450_6ceb_de82_bde9, 0xbef9_a3f7_b2c6_7915, 0xc671_78f2_e372_532b,
    ],
    [
        0xca27_3ece_ea26_619c, 0xd186_b8c7_21c0_c207, 0xeada_7dd6_cde0_eb1e, 0xf57d_4f7f_ee6e_d178,
        0x06f0_67aa_7217_6fba, 0x0a63_7dc5_a2c8_98a6, 0x113f_9804_bef9_0dae, 0x1b71_0b35_131c_471b,
        0x28db_77f5_2304_7d84, 0x32ca_ab7b_40c7_2493, 0x3c9e_be0a_15c9_bebc, 0x431d_67c4_9c10_0d4c,
        0x4cc5_d4be_cb3e_42b6, 0x597f_299c_fc65_7e2a, 0x5fcb_6fab_3ad6_faec, 0x6c44_198c_4a47_5817,
    ],
];
