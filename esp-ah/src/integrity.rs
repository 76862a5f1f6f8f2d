//! Integrity algorithms: their keys, made ready, and the ICV.

pub(crate) mod cbc_mac;
pub(crate) mod hmac;

use crate::suite::{IntegrityAlgorithm, MAX_ICV_LEN};
use alloc::boxed::Box;
use cbc_mac::CbcMac;
use hmac::{HmacKey, Mac, Md5, Sha1, Sha256, Sha384, Sha512};

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

    /// Starts an ICV that has taken nothing.
    #[inline]
    pub(crate) fn start(&self) -> Running<'_> {
        match self {
            Self::None => Running::None,
            Self::Md5(key) => Running::Md5(key.start()),
            Self::Sha1(key) => Running::Sha1(key.start()),
            Self::Sha256(key) => Running::Sha256(key.start()),
            Self::Sha384(key) => Running::Sha384(key.start()),
            Self::Sha512(key) => Running::Sha512(key.start()),
            Self::CbcMac(key) => Running::CbcMac(key),
        }
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
            Self::Md5(key) => key.start().finish(octets, suffix, &mut icv),
            Self::Sha1(key) => key.start().finish(octets, suffix, &mut icv),
            Self::Sha256(key) => key.start().finish(octets, suffix, &mut icv),
            Self::Sha384(key) => key.start().finish(octets, suffix, &mut icv),
            Self::Sha512(key) => key.start().finish(octets, suffix, &mut icv),
            Self::CbcMac(key) => icv.iter_mut().zip(key.mac(octets, suffix)).for_each(|(to, from)| *to = from),
        }
        icv
    }
}

/// An ICV under way.
///
/// A hash waits for itself and leaves most of the processor idle: AES done between its blocks costs next to
/// nothing.
pub(crate) enum Running<'k> {
    None,
    Md5(Mac<'k, Md5>),
    Sha1(Mac<'k, Sha1>),
    Sha256(Mac<'k, Sha256>),
    Sha384(Mac<'k, Sha384>),
    Sha512(Mac<'k, Sha512>),
    CbcMac(&'k CbcMac),
}

impl Running<'_> {
    /// Takes at most `most` more whole blocks of `octets`, the message as far as it stands; returns whether there
    /// was one.
    #[inline]
    pub(crate) fn take(&mut self, octets: &[u8], most: usize) -> bool {
        match self {
            // Of AES itself, there is nothing to be done in between.
            Self::None | Self::CbcMac(_) => false,
            Self::Md5(mac) => mac.take(octets, most),
            Self::Sha1(mac) => mac.take(octets, most),
            Self::Sha256(mac) => mac.take(octets, most),
            Self::Sha384(mac) => mac.take(octets, most),
            Self::Sha512(mac) => mac.take(octets, most),
        }
    }

    /// Takes what is left of `octets`, the whole message, and then `suffix`, and returns the ICV as
    /// [`Integrity::icv`] does.
    #[inline]
    pub(crate) fn finish(&mut self, octets: &[u8], suffix: &[u8]) -> [u8; MAX_ICV_LEN] {
        let mut icv = [0; MAX_ICV_LEN];
        match self {
            Self::None => {}
            Self::Md5(mac) => mac.finish(octets, suffix, &mut icv),
            Self::Sha1(mac) => mac.finish(octets, suffix, &mut icv),
            Self::Sha256(mac) => mac.finish(octets, suffix, &mut icv),
            Self::Sha384(mac) => mac.finish(octets, suffix, &mut icv),
            Self::Sha512(mac) => mac.finish(octets, suffix, &mut icv),
            Self::CbcMac(key) => icv.iter_mut().zip(key.mac(octets, suffix)).for_each(|(to, from)| *to = from),
        }
        icv
    }
}
