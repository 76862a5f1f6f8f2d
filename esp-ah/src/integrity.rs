//! Integrity algorithms: their keys, made ready, and the ICV.

pub(crate) mod cbc_mac;
pub(crate) mod hmac;

use crate::suite::{IntegrityAlgorithm, MAX_ICV_LEN};
use alloc::boxed::Box;
use cbc_mac::CbcMac;
use hmac::{Hash, HmacKey, Md5, Sha1, Sha256, Sha384, Sha512};

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
    pub(crate) fn icv(&self, octets: &[u8], suffix: &[u8]) -> Icv {
        self.icv_beside(octets, suffix, |_| ())
    }

    /// Returns the ICV and does other work beside it: `work` calls what it is given between its own steps, until that
    /// returns false because nothing of the hash is left.
    ///
    /// A hash waits for itself and leaves most of the processor idle; AES in between costs next to nothing.
    pub(crate) fn icv_beside(&self, octets: &[u8], suffix: &[u8], work: impl FnOnce(&mut dyn FnMut() -> bool)) -> Icv {
        match self {
            Self::None | Self::CbcMac(_) => work(&mut || false),
            Self::Md5(key) => return beside(key, octets, suffix, work),
            Self::Sha1(key) => return beside(key, octets, suffix, work),
            Self::Sha256(key) => return beside(key, octets, suffix, work),
            Self::Sha384(key) => return beside(key, octets, suffix, work),
            Self::Sha512(key) => return beside(key, octets, suffix, work),
        }
        self.icv_alone(octets, suffix)
    }

    /// Encrypts, and returns the ICV over what comes of it: `encrypt` calls what it is given with as much of the
    /// octets as is encrypted so far, and the hash follows it.
    pub(crate) fn icv_behind(
        &self,
        octets: &mut [u8],
        suffix: &[u8],
        encrypt: impl FnOnce(&mut [u8], &mut dyn FnMut(&[u8])),
    ) -> Icv {
        match self {
            Self::None | Self::CbcMac(_) => encrypt(octets, &mut |_| ()),
            Self::Md5(key) => return behind(key, octets, suffix, encrypt),
            Self::Sha1(key) => return behind(key, octets, suffix, encrypt),
            Self::Sha256(key) => return behind(key, octets, suffix, encrypt),
            Self::Sha384(key) => return behind(key, octets, suffix, encrypt),
            Self::Sha512(key) => return behind(key, octets, suffix, encrypt),
        }
        self.icv_alone(octets, suffix)
    }

    /// The ICV of an algorithm that is no HMAC.
    fn icv_alone(&self, octets: &[u8], suffix: &[u8]) -> Icv {
        let mut icv = [0; MAX_ICV_LEN];
        if let Self::CbcMac(key) = self {
            icv.iter_mut().zip(key.mac(octets, suffix)).for_each(|(to, from)| *to = from);
        }
        icv
    }
}

/// As many octets as the longest ICV has.
type Icv = [u8; MAX_ICV_LEN];

fn beside<H: Hash>(key: &HmacKey<H>, octets: &[u8], suffix: &[u8], work: impl FnOnce(&mut dyn FnMut() -> bool)) -> Icv {
    let (mut icv, mut mac) = ([0; MAX_ICV_LEN], key.start());
    work(&mut || mac.take(octets, 1));
    mac.finish(octets, suffix, &mut icv);
    icv
}

fn behind<H: Hash>(
    key: &HmacKey<H>,
    octets: &mut [u8],
    suffix: &[u8],
    encrypt: impl FnOnce(&mut [u8], &mut dyn FnMut(&[u8])),
) -> Icv {
    let (mut icv, mut mac) = ([0; MAX_ICV_LEN], key.start());
    encrypt(octets, &mut |encrypted| {
        mac.take(encrypted, usize::MAX);
    });
    mac.finish(octets, suffix, &mut icv);
    icv
}
