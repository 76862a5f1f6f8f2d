//! Cipher block chaining.
//!
//! `C_i = E_K(P_i xor C_{i-1})`, `C_0 = IV` (RFC 3602 §2.1): one packet is a chain that waits for itself,
//! so packets of one key are encrypted side by side, a block of each in turn. The processor overlaps
//! them, which is five times as fast. The exclusive or is done on local copies: done on stored
//! blocks, loads wait for stores and the gain is lost.

use cipher::array::{Array, ArraySize};
use cipher::{
    BlockCipherDecrypt, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockModeDecrypt,
    BlockSizeUser, InnerIvInit,
};
use core::marker::PhantomData;

/// Packets encrypted side by side: enough to fill the pipeline of every processor with AES instructions.
pub(crate) const LANES: usize = 8;

/// One packet's blocks on their way through the cipher.
pub(crate) struct Lane<'a, N: ArraySize> {
    chain: Array<u8, N>,
    blocks: &'a mut [Array<u8, N>],
}

impl<'a, N: ArraySize> Lane<'a, N> {
    /// Makes a lane of whole blocks that chain from `chain`; octets after the last whole block stay as they are.
    pub(crate) fn new(chain: Array<u8, N>, octets: &'a mut [u8]) -> Self {
        Self { chain, blocks: Array::slice_as_chunks_mut(octets).0 }
    }

    /// Takes the next `count` blocks out of the lane.
    #[inline(always)]
    fn take(&mut self, count: usize) -> &'a mut [Array<u8, N>] {
        let (now, later) = core::mem::take(&mut self.blocks).split_at_mut_checked(count).unwrap_or_default();
        self.blocks = later;
        now
    }
}

impl<N: ArraySize> Default for Lane<'_, N> {
    fn default() -> Self {
        Self { chain: Array::default(), blocks: &mut [] }
    }
}

/// Encrypts all lanes under one key; a lane that ends makes place for the next.
pub(crate) fn encrypt<'a, C: BlockCipherEncrypt>(cipher: &C, lanes: impl Iterator<Item = Lane<'a, C::BlockSize>>) {
    cipher.encrypt_with_backend(Lockstep { waiting: lanes.fuse(), size: PhantomData });
}

/// Encrypts lanes under two keys, for keys that have not enough packets to fill the processor alone.
pub(crate) fn encrypt_two<C: BlockCipherEncrypt>(ciphers: [&C; 2], lanes: [Half<'_, C::BlockSize>; 2]) {
    let [first, second] = ciphers;
    first.encrypt_with_backend(WithFirst { second, lanes });
}

/// Lanes of a key beside those of another.
type Half<'a, N> = [Lane<'a, N>; LANES / 2];

/// Encrypts the whole blocks of one packet from `start` on, and calls `behind` with everything before and up to the
/// last block encrypted, every `step` blocks.
///
/// A lone chain leaves the processor idle most of the time; what `behind` does fits in between.
pub(crate) fn encrypt_alone<C: BlockCipherEncrypt>(
    cipher: &C,
    chain: Array<u8, C::BlockSize>,
    octets: &mut [u8],
    start: usize,
    step: usize,
    behind: &mut dyn FnMut(&[u8]),
) {
    cipher.encrypt_with_backend(Alone { chain, octets, at: start, step: step.max(1), behind });
}

/// Decrypts one packet's whole blocks; blocks do not wait for each other here.
pub(crate) fn decrypt<C: BlockCipherDecrypt>(cipher: &C, iv: &Array<u8, C::BlockSize>, octets: &mut [u8]) {
    let (blocks, _) = Array::slice_as_chunks_mut(octets);
    cbc::Decryptor::<&C>::inner_iv_init(cipher, iv).decrypt_blocks(blocks);
}

struct Alone<'a, N: ArraySize> {
    chain: Array<u8, N>,
    octets: &'a mut [u8],
    at: usize,
    step: usize,
    behind: &'a mut dyn FnMut(&[u8]),
}

impl<N: ArraySize> BlockSizeUser for Alone<'_, N> {
    type BlockSize = N;
}

impl<N: ArraySize> BlockCipherEncClosure for Alone<'_, N> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = N>>(self, backend: &B) {
        let Self { mut chain, octets, mut at, step, behind } = self;
        loop {
            let (blocks, _) = Array::<u8, N>::slice_as_chunks_mut(octets.get_mut(at..).unwrap_or_default());
            let count = blocks.len().min(step);
            if count == 0 {
                return;
            }
            for block in blocks.iter_mut().take(count) {
                encrypt_block(backend, &mut chain, block);
            }
            at = at.saturating_add(count.saturating_mul(N::USIZE));
            behind(octets.get(..at).unwrap_or_default());
        }
    }
}

struct Lockstep<I, N> {
    waiting: I,
    size: PhantomData<N>,
}

impl<I, N: ArraySize> BlockSizeUser for Lockstep<I, N> {
    type BlockSize = N;
}

impl<'a, N: ArraySize, I: Iterator<Item = Lane<'a, N>>> BlockCipherEncClosure for Lockstep<I, N> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = N>>(mut self, backend: &B) {
        let mut lanes: [Lane<'a, N>; LANES] = core::array::from_fn(|_| Lane::default());
        let mut active = 0;
        loop {
            active = refill(&mut lanes, active, &mut self.waiting);
            let running = lanes.get_mut(..active).unwrap_or_default();
            let Some(steps) = running.iter().map(|lane| lane.blocks.len()).min() else { return };
            if let Ok(full) = <&mut [Lane<'a, N>; LANES]>::try_from(&mut *running) {
                advance_full(backend, full, steps);
            } else if let Ok(half) = <&mut [Lane<'a, N>; LANES / 2]>::try_from(&mut *running) {
                advance_full(backend, half, steps);
            } else if let [lane] = running {
                advance_full(backend, core::array::from_mut(lane), steps);
            } else {
                advance_some(backend, running, steps);
            }
        }
    }
}

struct WithFirst<'c, 'a, C: BlockSizeUser> {
    second: &'c C,
    lanes: [Half<'a, C::BlockSize>; 2],
}

impl<C: BlockSizeUser> BlockSizeUser for WithFirst<'_, '_, C> {
    type BlockSize = C::BlockSize;
}

impl<C: BlockCipherEncrypt> BlockCipherEncClosure for WithFirst<'_, '_, C> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = C::BlockSize>>(self, backend: &B) {
        self.second.encrypt_with_backend(WithBoth { first: backend, lanes: self.lanes });
    }
}

struct WithBoth<'b, 'a, B: BlockSizeUser> {
    first: &'b B,
    lanes: [Half<'a, B::BlockSize>; 2],
}

impl<B: BlockSizeUser> BlockSizeUser for WithBoth<'_, '_, B> {
    type BlockSize = B::BlockSize;
}

impl<A: BlockCipherEncBackend> BlockCipherEncClosure for WithBoth<'_, '_, A> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = A::BlockSize>>(self, second: &B) {
        let steps = self.lanes.as_flattened().iter().map(|lane| lane.blocks.len()).max().unwrap_or(0);
        // A lane that ends stays empty where it is: the chains stay in registers.
        let [mut lanes, mut others] = self.lanes.map(|lanes| lanes.map(|lane| (lane.chain, lane.blocks.iter_mut())));
        for _ in 0..steps {
            step(self.first, &mut lanes);
            step(second, &mut others);
        }
    }
}

/// Encrypts the next block of each lane that has one.
#[inline(always)]
fn step<'a, N: ArraySize, B: BlockCipherEncBackend<BlockSize = N>>(
    backend: &B,
    lanes: &mut [(Array<u8, N>, impl Iterator<Item = &'a mut Array<u8, N>>)],
) {
    for (chain, blocks) in lanes {
        if let Some(block) = blocks.next() {
            encrypt_block(backend, chain, block);
        }
    }
}

/// Puts waiting lanes in the place of those that ended, keeps the running ones together at the front,
/// and returns their number.
#[inline(always)]
fn refill<'a, N: ArraySize>(
    lanes: &mut [Lane<'a, N>],
    mut active: usize,
    waiting: &mut impl Iterator<Item = Lane<'a, N>>,
) -> usize {
    let mut at = 0;
    while let Some(lane) = lanes.get_mut(at) {
        if at < active && !lane.blocks.is_empty() {
            at += 1;
        } else if let Some(next) = waiting.find(|next| !next.blocks.is_empty()) {
            *lane = next;
            at += 1;
            active = active.max(at);
        } else if at < active {
            active -= 1;
            lanes.swap(at, active);
        } else {
            break;
        }
    }
    active
}

/// Encrypts `steps` blocks of each of `L` lanes; the number is known when compiled, so the chains stay in registers.
#[inline(always)]
fn advance_full<N: ArraySize, B: BlockCipherEncBackend<BlockSize = N>, const L: usize>(
    backend: &B,
    lanes: &mut [Lane<'_, N>; L],
    steps: usize,
) {
    let mut running = lanes.each_mut().map(|lane| (lane.chain.clone(), lane.take(steps).iter_mut()));
    for _ in 0..steps {
        step(backend, &mut running);
    }
    for (lane, (chain, _)) in lanes.iter_mut().zip(running) {
        lane.chain = chain;
    }
}

/// Encrypts `steps` blocks of each lane.
#[inline(always)]
fn advance_some<N: ArraySize, B: BlockCipherEncBackend<BlockSize = N>>(
    backend: &B,
    lanes: &mut [Lane<'_, N>],
    steps: usize,
) {
    for _ in 0..steps {
        for lane in lanes.iter_mut() {
            if let [block] = lane.take(1) {
                encrypt_block(backend, &mut lane.chain, block);
            }
        }
    }
}

/// Encrypts one block: `C_i = E_K(P_i xor C_{i-1})`.
#[inline(always)]
fn encrypt_block<N: ArraySize, B: BlockCipherEncBackend<BlockSize = N>>(
    backend: &B,
    chain: &mut Array<u8, N>,
    block: &mut Array<u8, N>,
) {
    let mut text = xor(chain, block);
    backend.encrypt_block((&mut text).into());
    *block = text.clone();
    *chain = text;
}

#[inline(always)]
fn xor<N: ArraySize>(a: &Array<u8, N>, b: &Array<u8, N>) -> Array<u8, N> {
    let mut sum = a.clone();
    for (x, y) in sum.iter_mut().zip(b) {
        *x ^= y;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::aes::{AesDec, AesEnc};
    use cipher::KeyInit;
    use proptest::prelude::*;
    use serde_json::Value;
    use std::vec::Vec;

    fn octets(value: &Value, field: &str) -> Vec<u8> {
        hex::decode(value[field].as_str().unwrap()).unwrap()
    }

    fn encrypt_one<C: BlockCipherEncrypt>(cipher: &C, iv: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut text = plain.to_vec();
        encrypt(cipher, core::iter::once(Lane::new(Array::try_from(iv).unwrap(), &mut text)));
        for step in [1, 4, 100] {
            let (mut alone, mut seen) = ([&[7; 5], plain].concat(), Vec::new());
            let chain = Array::try_from(iv).unwrap();
            encrypt_alone(cipher, chain, &mut alone, 5, step, &mut |encrypted| seen = encrypted.to_vec());
            assert_eq!(alone[5..], text, "alone, with work behind it");
            assert!(text.is_empty() || seen == alone, "the work saw everything encrypted");
        }
        text
    }

    fn decrypt_one<C: BlockCipherDecrypt>(cipher: &C, iv: &[u8], sealed: &[u8]) -> Vec<u8> {
        let mut text = sealed.to_vec();
        decrypt(cipher, &Array::try_from(iv).unwrap(), &mut text);
        text
    }

    #[test]
    fn aes_cbc_answers_as_rfc_3602_says() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/aes_cbc_rfc3602.json")).unwrap();
        for vector in vectors["vectors"].as_array().unwrap() {
            let (key, iv) = (octets(vector, "key"), octets(vector, "iv"));
            let (plain, sealed) = (octets(vector, "plaintext"), octets(vector, "ciphertext"));
            assert_eq!(encrypt_one(&AesEnc::new(&key).unwrap(), &iv, &plain), sealed);
            assert_eq!(decrypt_one(&AesDec::new(&key).unwrap(), &iv, &sealed), plain);
        }
    }

    #[test]
    fn triple_des_cbc_answers_as_nist_says() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/tdes_cbc_acvp.json")).unwrap();
        let vectors = vectors["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 136);
        for vector in vectors {
            let cipher = des::TdesEde3::new_from_slice(&octets(vector, "key")).unwrap();
            let iv = octets(vector, "iv");
            let (plain, sealed) = (octets(vector, "plaintext"), octets(vector, "ciphertext"));
            assert_eq!(encrypt_one(&cipher, &iv, &plain), sealed);
            assert_eq!(decrypt_one(&cipher, &iv, &sealed), plain);
        }
    }

    #[test]
    fn cbc_answers_as_nessie_and_sp_800_38a_say() {
        let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/crypter_aead_misc.json")).unwrap();
        let mut counted = [0; 3];
        for vector in vectors["crypters"].as_array().unwrap() {
            let (key, iv) = (octets(vector, "key"), octets(vector, "iv"));
            let (plain, sealed) = (octets(vector, "plaintext"), octets(vector, "ciphertext"));
            let (kind, answers) = match vector["alg"].as_str().unwrap() {
                "DES" => {
                    let des = des::Des::new_from_slice(&key).unwrap();
                    (0, [encrypt_one(&des, &iv, &plain), decrypt_one(&des, &iv, &sealed)])
                }
                "3DES" => {
                    let des = des::TdesEde3::new_from_slice(&key).unwrap();
                    (1, [encrypt_one(&des, &iv, &plain), decrypt_one(&des, &iv, &sealed)])
                }
                "AES_CBC" => {
                    let aes = (AesEnc::new(&key).unwrap(), AesDec::new(&key).unwrap());
                    (2, [encrypt_one(&aes.0, &iv, &plain), decrypt_one(&aes.1, &iv, &sealed)])
                }
                _ => continue,
            };
            assert_eq!(answers, [sealed, plain], "{}", vector["name"]);
            counted[kind] += 1;
        }
        assert!(counted.iter().all(|&count| count > 0), "{counted:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_mix_of_lanes_gives_what_each_alone_gives(
            lengths in proptest::collection::vec(0usize..12, 0..40),
            seed: [u8; 16],
        ) {
            let aes = AesEnc::new(&seed).unwrap();
            let mut packets: Vec<Vec<u8>> =
                lengths.iter().enumerate().map(|(n, &len)| std::vec![n as u8; len * 16]).collect();
            let alone: Vec<Vec<u8>> = packets.iter().map(|packet| encrypt_one(&aes, &seed, packet)).collect();
            encrypt(&aes, packets.iter_mut().map(|packet| Lane::new(Array(seed), packet)));
            prop_assert_eq!(&packets, &alone);
            let other = AesEnc::new(&[seed, seed].concat()).unwrap();
            let other = [&aes, &other];
            let few = lengths.get(..lengths.len().min(LANES / 2)).unwrap();
            let mut both = [few, few.get(1..).unwrap_or_default()].map(|lengths| {
                lengths.iter().enumerate().map(|(n, &len)| std::vec![n as u8; len * 16]).collect::<Vec<_>>()
            });
            let alone: [Vec<Vec<u8>>; 2] =
                [0, 1].map(|n| both[n].iter().map(|packet| encrypt_one(other[n], &seed, packet)).collect());
            let lanes = both.each_mut().map(|packets| {
                let mut packets = packets.iter_mut().map(|packet| Lane::new(Array(seed), packet));
                core::array::from_fn(|_| packets.next().unwrap_or_default())
            });
            encrypt_two(other, lanes);
            prop_assert_eq!(both, alone);
        }
    }
}
