use aes::{Aes128Dec, Aes128Enc, Aes192Dec, Aes192Enc, Aes256Dec, Aes256Enc};
use alloc::boxed::Box;
use cipher::consts::U16;
use cipher::{
    BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit,
};

/// A block of AES.
pub(crate) type Block = cipher::array::Array<u8, U16>;

/// Round keys of AES for encryption, of any key length.
///
/// One type for three lengths keeps every mode written once; the choice is made once per call. The longer
/// keys live in a box, so that an association with the common one stays small.
pub(crate) enum AesEnc {
    Bits128(Aes128Enc),
    Bits192(Box<Aes192Enc>),
    Bits256(Box<Aes256Enc>),
}

impl AesEnc {
    /// Expands a key of 16, 24 or 32 octets; `None` for any other length.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Aes128Enc::new_from_slice(key).ok().map(Self::Bits128),
            24 => Aes192Enc::new_from_slice(key).ok().map(|aes| Self::Bits192(Box::new(aes))),
            32 => Aes256Enc::new_from_slice(key).ok().map(|aes| Self::Bits256(Box::new(aes))),
            _ => None,
        }
    }
}

impl BlockSizeUser for AesEnc {
    type BlockSize = U16;
}

impl BlockCipherEncrypt for AesEnc {
    #[inline]
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U16>) {
        match self {
            Self::Bits128(aes) => aes.encrypt_with_backend(f),
            Self::Bits192(aes) => aes.encrypt_with_backend(f),
            Self::Bits256(aes) => aes.encrypt_with_backend(f),
        }
    }
}

/// Round keys of AES for decryption, of any key length.
pub(crate) enum AesDec {
    Bits128(Aes128Dec),
    Bits192(Box<Aes192Dec>),
    Bits256(Box<Aes256Dec>),
}

impl AesDec {
    /// Expands a key of 16, 24 or 32 octets; `None` for any other length.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Aes128Dec::new_from_slice(key).ok().map(Self::Bits128),
            24 => Aes192Dec::new_from_slice(key).ok().map(|aes| Self::Bits192(Box::new(aes))),
            32 => Aes256Dec::new_from_slice(key).ok().map(|aes| Self::Bits256(Box::new(aes))),
            _ => None,
        }
    }
}

impl BlockSizeUser for AesDec {
    type BlockSize = U16;
}

impl BlockCipherDecrypt for AesDec {
    #[inline]
    fn decrypt_with_backend(&self, f: impl BlockCipherDecClosure<BlockSize = U16>) {
        match self {
            Self::Bits128(aes) => aes.decrypt_with_backend(f),
            Self::Bits192(aes) => aes.decrypt_with_backend(f),
            Self::Bits256(aes) => aes.decrypt_with_backend(f),
        }
    }
}
