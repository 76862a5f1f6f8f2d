use super::hash::HashAlgorithm;
use crate::keys::SkeyidE;
use aes::{Aes128, Aes192, Aes256};
use alloc::vec::Vec;
use cbc::{Decryptor, Encryptor};
use cipher::consts::{U8, U16};
use cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use core::fmt;
use des::{Des, TdesEde3};
use thiserror::Error;
use zeroize::Zeroizing;

/// The ciphers, each with its key length, that protect ISAKMP messages, all in CBC mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CipherAlgorithm {
    /// DES-CBC, 8 octets of key.
    Des,
    /// 3DES-CBC in the order encrypt, decrypt, encrypt with three keys, 24 octets.
    TripleDes,
    /// AES-CBC with a key of 128 bits.
    Aes128,
    /// AES-CBC with a key of 192 bits.
    Aes192,
    /// AES-CBC with a key of 256 bits.
    Aes256,
}

impl CipherAlgorithm {
    /// All members, weakest first.
    pub const ALL: [Self; 5] = [Self::Des, Self::TripleDes, Self::Aes128, Self::Aes192, Self::Aes256];

    /// Returns the value of the phase 1 attribute "Encryption Algorithm" (RFC 2409 appendix A, RFC 3602).
    pub const fn number(self) -> u16 {
        match self {
            Self::Des => 1,
            Self::TripleDes => 5,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 7,
        }
    }

    /// Returns the length of the key in octets.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Des => 8,
            Self::Aes128 => 16,
            Self::TripleDes | Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    /// Returns the value of the attribute "Key Length" in bits, or `None` where the cipher has but one.
    pub const fn key_length_attribute(self) -> Option<u16> {
        match self {
            Self::Des | Self::TripleDes => None,
            Self::Aes128 => Some(128),
            Self::Aes192 => Some(192),
            Self::Aes256 => Some(256),
        }
    }

    /// Returns the length of a block, and so of the IV, in octets.
    pub const fn block_len(self) -> usize {
        match self {
            Self::Des | Self::TripleDes => 8,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
        }
    }

    /// Returns the name that operators know.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Des => "DES-CBC",
            Self::TripleDes => "3DES-CBC",
            Self::Aes128 => "AES-CBC-128",
            Self::Aes192 => "AES-CBC-192",
            Self::Aes256 => "AES-CBC-256",
        }
    }

    /// Returns whether a plan must ask for it by a `dangerously_` name.
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::Des)
    }
}

impl fmt::Display for CipherAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why octets could not be encrypted or decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CipherError {
    /// CBC takes whole blocks, and at least one.
    #[error("{len} octets are not a whole number of blocks of {block}")]
    NotWholeBlocks {
        /// Octets given.
        len: usize,
        /// Octets in a block.
        block: usize,
    },
    /// The IV is that of another cipher.
    #[error("an IV of {got} octets, the cipher has {wanted}")]
    IvLength {
        /// Octets in a block.
        wanted: usize,
        /// Octets given.
        got: usize,
    },
    /// The key has the wrong length.
    #[error("a key of {got} octets, the cipher has {wanted}")]
    KeyLength {
        /// Octets in a key.
        wanted: usize,
        /// Octets given.
        got: usize,
    },
}

/// The IV of a CBC message: one block, 8 or 16 octets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BlockIv {
    octets: [u8; 16],
    len: usize,
}

impl BlockIv {
    /// Takes the first block's worth of the octets for the cipher, or `None` if they are too few.
    pub fn from_prefix(algorithm: CipherAlgorithm, octets: &[u8]) -> Option<Self> {
        let block = octets.get(..algorithm.block_len())?;
        let mut iv = Self { octets: [0; 16], len: block.len() };
        for (to, from) in iv.octets.iter_mut().zip(block) {
            *to = *from;
        }
        Some(iv)
    }

    /// Takes the last block's worth of a ciphertext, or `None` if there is less than that.
    pub fn from_last_block(algorithm: CipherAlgorithm, ciphertext: &[u8]) -> Option<Self> {
        let at = ciphertext.len().checked_sub(algorithm.block_len())?;
        Self::from_prefix(algorithm, ciphertext.get(at..)?)
    }

    /// Returns the octets.
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&self.octets)
    }
}

impl fmt::Debug for BlockIv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockIv(")?;
        self.as_bytes().iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(")")
    }
}

drive::secret! {
    /// The octets of the ISAKMP cipher key.
    struct KeyOctets;
}

/// The key of the ISAKMP cipher, expanded once for all messages of an SA.
pub struct CipherKey {
    algorithm: CipherAlgorithm,
    octets: KeyOctets,
    rounds: Rounds,
}

enum Rounds {
    Des(Des),
    TripleDes(TdesEde3),
    Aes128(Aes128),
    Aes192(Aes192),
    Aes256(Aes256),
}

impl CipherKey {
    /// Takes a key of exactly the cipher's length.
    pub fn new(algorithm: CipherAlgorithm, key: &[u8]) -> Result<Self, CipherError> {
        let wrong = |_| CipherError::KeyLength { wanted: algorithm.key_len(), got: key.len() };
        let rounds = match algorithm {
            CipherAlgorithm::Des => Rounds::Des(Des::new_from_slice(key).map_err(wrong)?),
            CipherAlgorithm::TripleDes => Rounds::TripleDes(TdesEde3::new_from_slice(key).map_err(wrong)?),
            CipherAlgorithm::Aes128 => Rounds::Aes128(Aes128::new_from_slice(key).map_err(wrong)?),
            CipherAlgorithm::Aes192 => Rounds::Aes192(Aes192::new_from_slice(key).map_err(wrong)?),
            CipherAlgorithm::Aes256 => Rounds::Aes256(Aes256::new_from_slice(key).map_err(wrong)?),
        };
        Ok(Self { algorithm, octets: KeyOctets::copied(key), rounds })
    }

    /// Derives the key from SKEYID_e (RFC 2409 appendix B).
    ///
    /// ```text
    /// SKEYID_e long enough:  its first octets
    /// otherwise:             Ka = K1 | K2 | K3 ..
    ///   K1 = prf(SKEYID_e, 0)      (0 is one octet)
    ///   Kn = prf(SKEYID_e, Kn-1)
    /// ```
    ///
    /// For DES the first eight octets that are neither a weak nor a semi-weak key.
    pub fn derive(algorithm: CipherAlgorithm, hash: HashAlgorithm, skeyid_e: &SkeyidE) -> Self {
        let strong = |key: &[u8]| algorithm != CipherAlgorithm::Des || des::weak_key_test(key).is_ok();
        let from = |material: &[u8]| {
            material
                .chunks_exact(algorithm.key_len())
                .filter(|key| strong(key))
                .find_map(|key| Self::new(algorithm, key).ok())
        };
        if let Some(key) = from(skeyid_e.expose()) {
            return key;
        }
        let mut last = hash.prf(skeyid_e.expose(), &[&[0]]);
        let mut material = Zeroizing::new(Vec::with_capacity(algorithm.key_len() + last.expose().len()));
        loop {
            material.extend_from_slice(last.expose());
            if let Some(key) = from(&material) {
                return key;
            }
            last = hash.prf(skeyid_e.expose(), &[last.expose()]);
        }
    }

    /// Returns the cipher.
    pub fn algorithm(&self) -> CipherAlgorithm {
        self.algorithm
    }

    /// Returns the octets of the key, for a key log that the operator asked for.
    pub fn expose(&self) -> &[u8] {
        self.octets.expose()
    }

    /// Encrypts whole blocks in place and returns the last ciphertext block, the next IV.
    pub fn encrypt(&self, iv: &BlockIv, blocks: &mut [u8]) -> Result<BlockIv, CipherError> {
        self.check(iv, blocks)?;
        match &self.rounds {
            Rounds::Des(rounds) => encrypt_8(rounds, iv, blocks),
            Rounds::TripleDes(rounds) => encrypt_8(rounds, iv, blocks),
            Rounds::Aes128(rounds) => encrypt_16(rounds, iv, blocks),
            Rounds::Aes192(rounds) => encrypt_16(rounds, iv, blocks),
            Rounds::Aes256(rounds) => encrypt_16(rounds, iv, blocks),
        }
        self.next_iv(blocks)
    }

    /// Decrypts whole blocks in place and returns the last ciphertext block, the next IV.
    ///
    /// On an error the octets are as they were.
    pub fn decrypt(&self, iv: &BlockIv, blocks: &mut [u8]) -> Result<BlockIv, CipherError> {
        self.check(iv, blocks)?;
        let next = self.next_iv(blocks)?;
        match &self.rounds {
            Rounds::Des(rounds) => decrypt_8(rounds, iv, blocks),
            Rounds::TripleDes(rounds) => decrypt_8(rounds, iv, blocks),
            Rounds::Aes128(rounds) => decrypt_16(rounds, iv, blocks),
            Rounds::Aes192(rounds) => decrypt_16(rounds, iv, blocks),
            Rounds::Aes256(rounds) => decrypt_16(rounds, iv, blocks),
        }
        Ok(next)
    }

    fn check(&self, iv: &BlockIv, blocks: &[u8]) -> Result<(), CipherError> {
        let block = self.algorithm.block_len();
        if iv.len != block {
            return Err(CipherError::IvLength { wanted: block, got: iv.len });
        }
        if blocks.is_empty() || !blocks.len().is_multiple_of(block) {
            return Err(CipherError::NotWholeBlocks { len: blocks.len(), block });
        }
        Ok(())
    }

    fn next_iv(&self, ciphertext: &[u8]) -> Result<BlockIv, CipherError> {
        let block = self.algorithm.block_len();
        BlockIv::from_last_block(self.algorithm, ciphertext)
            .ok_or(CipherError::NotWholeBlocks { len: ciphertext.len(), block })
    }
}

impl fmt::Debug for CipherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CipherKey({}, {} octets)", self.algorithm, self.octets.len())
    }
}

fn encrypt_8<C: BlockCipherEncrypt<BlockSize = U8>>(rounds: &C, iv: &BlockIv, octets: &mut [u8]) {
    let [a, b, c, d, e, f, g, h, ..] = iv.octets;
    let (blocks, _) = Array::slice_as_chunks_mut(octets);
    Encryptor::inner_iv_init(rounds, &Array([a, b, c, d, e, f, g, h])).encrypt_blocks(blocks);
}

fn decrypt_8<C: BlockCipherDecrypt<BlockSize = U8>>(rounds: &C, iv: &BlockIv, octets: &mut [u8]) {
    let [a, b, c, d, e, f, g, h, ..] = iv.octets;
    let (blocks, _) = Array::slice_as_chunks_mut(octets);
    Decryptor::inner_iv_init(rounds, &Array([a, b, c, d, e, f, g, h])).decrypt_blocks(blocks);
}

fn encrypt_16<C: BlockCipherEncrypt<BlockSize = U16>>(rounds: &C, iv: &BlockIv, octets: &mut [u8]) {
    let (blocks, _) = Array::slice_as_chunks_mut(octets);
    Encryptor::inner_iv_init(rounds, &Array(iv.octets)).encrypt_blocks(blocks);
}

fn decrypt_16<C: BlockCipherDecrypt<BlockSize = U16>>(rounds: &C, iv: &BlockIv, octets: &mut [u8]) {
    let (blocks, _) = Array::slice_as_chunks_mut(octets);
    Decryptor::inner_iv_init(rounds, &Array(iv.octets)).decrypt_blocks(blocks);
}
