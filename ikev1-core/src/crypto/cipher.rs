use super::hash::HashAlgorithm;
use crate::keys::SkeyidE;
use aes::{Aes128, Aes192, Aes256};
use alloc::vec::Vec;
use cbc::{Decryptor, Encryptor};
use cipher::consts::{U8, U16};
use cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use core::fmt;
use des::{Des, TdesEde3};
use ipsec_wire::registry::IkeCipher;
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
    pub const fn number(self) -> IkeCipher {
        match self {
            Self::Des => IkeCipher::DES_CBC,
            Self::TripleDes => IkeCipher::TRIPLE_DES_CBC,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => IkeCipher::AES_CBC,
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn key(algorithm: CipherAlgorithm) -> CipherKey {
        CipherKey::new(algorithm, &vec![0x5b; algorithm.key_len()]).unwrap()
    }

    #[test]
    fn what_was_encrypted_decrypts_and_both_name_the_same_next_iv() {
        for algorithm in CipherAlgorithm::ALL {
            let key = key(algorithm);
            let iv = BlockIv::from_prefix(algorithm, &[7; 16]).unwrap();
            for blocks in 1..20 {
                let plaintext: Vec<u8> = (0..blocks * algorithm.block_len()).map(|n| n as u8).collect();
                let mut octets = plaintext.clone();
                let sealed = key.encrypt(&iv, &mut octets).unwrap();
                assert_ne!(octets, plaintext);
                let opened = key.decrypt(&iv, &mut octets).unwrap();
                assert_eq!(octets, plaintext);
                assert_eq!(sealed, opened);
            }
        }
    }

    #[test]
    fn part_blocks_and_no_blocks_are_refused_and_left_alone() {
        for algorithm in CipherAlgorithm::ALL {
            let key = key(algorithm);
            let block = algorithm.block_len();
            let iv = BlockIv::from_prefix(algorithm, &[7; 16]).unwrap();
            for len in (0..3 * block).filter(|len| *len == 0 || len % block != 0) {
                let mut octets = vec![3; len];
                assert_eq!(key.decrypt(&iv, &mut octets), Err(CipherError::NotWholeBlocks { len, block }));
                assert_eq!(key.encrypt(&iv, &mut octets), Err(CipherError::NotWholeBlocks { len, block }));
                assert_eq!(octets, vec![3; len]);
            }
        }
    }

    #[test]
    fn an_iv_or_a_key_of_another_cipher_is_refused() {
        let iv = BlockIv::from_prefix(CipherAlgorithm::Des, &[1; 8]).unwrap();
        let mut octets = [0; 16];
        let refused = key(CipherAlgorithm::Aes128).encrypt(&iv, &mut octets);
        assert_eq!(refused, Err(CipherError::IvLength { wanted: 16, got: 8 }));
        for algorithm in CipherAlgorithm::ALL {
            for got in (0..64).filter(|got| *got != algorithm.key_len()) {
                let refused = CipherKey::new(algorithm, &vec![1; got]).unwrap_err();
                assert_eq!(refused, CipherError::KeyLength { wanted: algorithm.key_len(), got });
            }
        }
    }

    #[test]
    fn a_short_skeyid_e_is_expanded_by_ka_and_a_long_one_is_cut() {
        let skeyid_e = SkeyidE::copied(&[9; 20]);
        let hash = HashAlgorithm::Sha1;
        let k1 = hash.prf(skeyid_e.expose(), &[&[0]]);
        let k2 = hash.prf(skeyid_e.expose(), &[k1.expose()]);
        let ka = [k1.expose(), k2.expose()].concat();
        for (algorithm, expected) in [
            (CipherAlgorithm::Des, &[9; 8][..]),
            (CipherAlgorithm::Aes128, &[9; 16]),
            (CipherAlgorithm::TripleDes, &ka[..24]),
            (CipherAlgorithm::Aes192, &ka[..24]),
            (CipherAlgorithm::Aes256, &ka[..32]),
        ] {
            assert_eq!(CipherKey::derive(algorithm, hash, &skeyid_e).expose(), expected);
        }
    }

    #[test]
    fn a_weak_des_key_gives_way_to_the_next_eight_octets_and_then_to_ka() {
        let hash = HashAlgorithm::Md5;
        let weak = [0x01; 8];
        let semi_weak = [0x01, 0xfe, 0x01, 0xfe, 0x01, 0xfe, 0x01, 0xfe];
        let derive = |skeyid_e: &[u8]| CipherKey::derive(CipherAlgorithm::Des, hash, &SkeyidE::copied(skeyid_e));
        assert_eq!(derive(&[weak, [5; 8]].concat()).expose(), [5; 8]);
        assert_eq!(derive(&[semi_weak, [5; 8]].concat()).expose(), [5; 8]);
        let both = [weak, semi_weak].concat();
        assert_eq!(derive(&both).expose(), &hash.prf(&both, &[&[0]]).expose()[..8]);
    }
}
