//! Integrity algorithms: their keys, made ready, and the ICV.

pub(crate) mod cbc_mac;
pub(crate) mod hmac;

use crate::suite::{IntegrityAlgorithm, MAX_ICV_LEN};
use alloc::boxed::Box;
use cbc_mac::CbcMac;
use hmac::{HmacKey, Md5, Sha1, Sha256, Sha384, Sha512};

/// The key of an integrity algorithm, made ready; the same for both directions.
///
/// Those larger than SHA-1's live in a box, so that a key of the most common suite stays small.
pub(crate) enum Integrity {
    None,
    Md5(HmacKey<Md5>),
    Sha1(HmacKey<Sha1>),
    Sha256(Box<HmacKey<Sha256>>),
    Sha384(Box<HmacKey<Sha384>>),
    Sha512(Box<HmacKey<Sha512>>),
    CbcMac(Box<CbcMac>),
}

impl Integrity {
    /// Makes the key ready; `None` if its length is not the algorithm's.
    pub(crate) fn new(algorithm: IntegrityAlgorithm, key: &[u8]) -> Option<Self> {
        if key.len() != algorithm.key_len() {
            return None;
        }
        Some(match algorithm {
            IntegrityAlgorithm::None => Self::None,
            IntegrityAlgorithm::HmacMd5_96 => Self::Md5(HmacKey::new(key)?),
            IntegrityAlgorithm::HmacSha1_96 => Self::Sha1(HmacKey::new(key)?),
            IntegrityAlgorithm::HmacSha256_128 | IntegrityAlgorithm::HmacSha256_96 => {
                Self::Sha256(Box::new(HmacKey::new(key)?))
            }
            IntegrityAlgorithm::HmacSha384_192 => Self::Sha384(Box::new(HmacKey::new(key)?)),
            IntegrityAlgorithm::HmacSha512_256 => Self::Sha512(Box::new(HmacKey::new(key)?)),
            IntegrityAlgorithm::AesXcbc96 => Self::CbcMac(Box::new(CbcMac::xcbc(key)?)),
            IntegrityAlgorithm::AesCmac96 => Self::CbcMac(Box::new(CbcMac::cmac(key)?)),
        })
    }

    /// Returns the ICV over `octets` and then `suffix` (the high half of an extended sequence number).
    ///
    /// The caller takes as many octets as the algorithm's ICV has. Packets are hashed one after another;
    /// code that hashes many in vector lanes belongs behind a batch form of this function.
    #[inline]
    pub(crate) fn icv(&self, octets: &[u8], suffix: &[u8]) -> [u8; MAX_ICV_LEN] {
        let mut icv = [0; MAX_ICV_LEN];
        match self {
            Self::None => {}
            Self::Md5(key) => key.mac(octets, suffix, &mut icv),
            Self::Sha1(key) => key.mac(octets, suffix, &mut icv),
            Self::Sha256(key) => key.mac(octets, suffix, &mut icv),
            Self::Sha384(key) => key.mac(octets, suffix, &mut icv),
            Self::Sha512(key) => key.mac(octets, suffix, &mut icv),
            Self::CbcMac(key) => icv.iter_mut().zip(key.mac(octets, suffix)).for_each(|(to, from)| *to = from),
        }
        icv
    }
}
