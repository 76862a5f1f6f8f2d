//! Ciphers: their keys for one direction, made ready.

pub(crate) mod aes;
pub(crate) mod cbc;
pub(crate) mod ccm;
pub(crate) mod chacha;
pub(crate) mod ctr;
pub(crate) mod gcm;
pub(crate) mod provided;

use crate::provider::Provider;
use crate::suite::CipherAlgorithm;
use aes::{AesDec, AesEnc};
use alloc::boxed::Box;
use ccm::Ccm;
use chacha::ChaCha;
use cipher::array::Array;
use cipher::{BlockCipherEncrypt, KeyInit};
use ctr::Ctr;
use des::{Des, TdesEde3};
use gcm::Gcm;
use provided::Provided;
use zeroize::Zeroize;

/// A block cipher for CBC sealing, with the secret that makes its IVs.
///
/// `IV = E_K(mask xor sequence number)`: no IV repeats under one key, because the sequence number does not
/// and encryption is one to one; none can be foretold, because the mask is secret
/// (SP 800-38A, appendix C, with a secret instead of a public counter). It costs one block a packet,
/// and no random octets.
pub(crate) struct CbcSeal<C: BlockCipherEncrypt> {
    pub(crate) cipher: C,
    mask: Array<u8, C::BlockSize>,
}

/// What the mask is made of; any constant would do.
const MASK_LABEL: [u8; 16] = *b"esp explicit iv:";

impl<C: BlockCipherEncrypt> CbcSeal<C> {
    fn new(cipher: C) -> Self {
        let mut mask = Array::<u8, C::BlockSize>::default();
        for (to, from) in mask.iter_mut().zip(MASK_LABEL) {
            *to = from;
        }
        cipher.encrypt_block(&mut mask);
        cipher.encrypt_block(&mut mask);
        Self { cipher, mask }
    }

    /// Returns the block whose encryption is the IV of this sequence number.
    #[inline]
    pub(crate) fn iv_block(&self, sequence: u64) -> Array<u8, C::BlockSize> {
        let mut block = self.mask.clone();
        if let Some(end) = block.last_chunk_mut() {
            *end = (u64::from_be_bytes(*end) ^ sequence).to_be_bytes();
        }
        block
    }
}

impl<C: BlockCipherEncrypt> Drop for CbcSeal<C> {
    fn drop(&mut self) {
        self.mask.iter_mut().for_each(Zeroize::zeroize);
    }
}

/// A cipher's key for sealing.
///
/// AES-CBC stands here itself; the others are larger, or rarer, and live in a box.
pub(crate) enum SealCipher {
    Null,
    Des(Box<CbcSeal<Des>>),
    TripleDes(Box<CbcSeal<TdesEde3>>),
    Aes(CbcSeal<AesEnc>),
    Ctr(Box<Ctr>),
    Gcm(Box<Gcm>),
    Gmac(Box<Gcm>),
    Ccm(Box<Ccm>),
    ChaCha(Box<ChaCha>),
    Provided(Provided),
}

impl SealCipher {
    /// Returns whether it makes the ICV as well.
    pub(crate) const fn is_combined(&self) -> bool {
        match self {
            Self::Gcm(_) | Self::Gmac(_) | Self::Ccm(_) | Self::ChaCha(_) | Self::Provided(_) => true,
            Self::Null | Self::Des(_) | Self::TripleDes(_) | Self::Aes(_) | Self::Ctr(_) => false,
        }
    }

    /// Makes the key ready, by the provider if it does the cipher; `None` if a length is not the algorithm's.
    pub(crate) fn new(provider: &dyn Provider, algorithm: CipherAlgorithm, key: &[u8], salt: &[u8]) -> Option<Self> {
        if let Some(provided) = Provided::sealing(provider, algorithm, key, salt) {
            return Some(Self::Provided(provided));
        }
        Some(match algorithm {
            CipherAlgorithm::Null => Self::Null,
            CipherAlgorithm::DesCbc => Self::Des(Box::new(CbcSeal::new(Des::new_from_slice(key).ok()?))),
            CipherAlgorithm::TripleDesCbc => {
                Self::TripleDes(Box::new(CbcSeal::new(TdesEde3::new_from_slice(key).ok()?)))
            }
            CipherAlgorithm::AesCbc(_) => Self::Aes(CbcSeal::new(AesEnc::new(key)?)),
            CipherAlgorithm::AesCtr(_) => Self::Ctr(Box::new(Ctr::new(key, salt)?)),
            CipherAlgorithm::AesGcm(..) => Self::Gcm(Box::new(Gcm::new(key, salt)?)),
            CipherAlgorithm::AesGmac(_) => Self::Gmac(Box::new(Gcm::new(key, salt)?)),
            CipherAlgorithm::AesCcm(_, icv) => Self::Ccm(Box::new(Ccm::new(key, salt, icv.octets())?)),
            CipherAlgorithm::ChaCha20Poly1305 => Self::ChaCha(Box::new(ChaCha::new(key, salt)?)),
        })
    }
}

/// A cipher's key for opening; see [`SealCipher`].
pub(crate) enum OpenCipher {
    Null,
    Des(Box<Des>),
    TripleDes(Box<TdesEde3>),
    Aes(AesDec),
    Ctr(Box<Ctr>),
    Gcm(Box<Gcm>),
    Gmac(Box<Gcm>),
    Ccm(Box<Ccm>),
    ChaCha(Box<ChaCha>),
    Provided(Provided),
}

impl OpenCipher {
    /// Makes the key ready, as that for sealing; `twice` if packets may have to be tried twice.
    pub(crate) fn new(
        provider: &dyn Provider,
        algorithm: CipherAlgorithm,
        key: &[u8],
        salt: &[u8],
        twice: bool,
    ) -> Option<Self> {
        if let Some(provided) = Provided::opening(provider, algorithm, key, salt, twice) {
            return Some(Self::Provided(provided));
        }
        Some(match algorithm {
            CipherAlgorithm::Null => Self::Null,
            CipherAlgorithm::DesCbc => Self::Des(Box::new(Des::new_from_slice(key).ok()?)),
            CipherAlgorithm::TripleDesCbc => Self::TripleDes(Box::new(TdesEde3::new_from_slice(key).ok()?)),
            CipherAlgorithm::AesCbc(_) => Self::Aes(AesDec::new(key)?),
            CipherAlgorithm::AesCtr(_) => Self::Ctr(Box::new(Ctr::new(key, salt)?)),
            CipherAlgorithm::AesGcm(..) => Self::Gcm(Box::new(Gcm::new(key, salt)?)),
            CipherAlgorithm::AesGmac(_) => Self::Gmac(Box::new(Gcm::new(key, salt)?)),
            CipherAlgorithm::AesCcm(_, icv) => Self::Ccm(Box::new(Ccm::new(key, salt, icv.octets())?)),
            CipherAlgorithm::ChaCha20Poly1305 => Self::ChaCha(Box::new(ChaCha::new(key, salt)?)),
        })
    }
}
