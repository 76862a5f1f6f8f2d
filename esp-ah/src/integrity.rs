//! Integrity algorithms: their keys, made ready, and the ICV.

pub(crate) mod cbc_mac;
pub(crate) mod hmac;

use crate::suite::{IntegrityAlgorithm, MAX_ICV_LEN};
use alloc::boxed::Box;
use arrayvec::ArrayVec;
use cbc_mac::CbcMac;
use hmac::{HmacKey, Mac, Md5, Sha1, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

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

    /// Returns the ICV of a message. The caller takes as many octets as the algorithm's ICV has.
    #[inline]
    pub(crate) fn icv(&self, message: &Message<'_>) -> [u8; MAX_ICV_LEN] {
        self.start().finish(message)
    }
}

/// What an ICV is made over.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) octets: &'a [u8],
    /// The upper half of an extended sequence number, which follows them.
    pub(crate) high: Option<[u8; 4]>,
}

impl<'a> Message<'a> {
    /// Makes the message of the octets of a packet and its sequence number.
    pub(crate) const fn new(octets: &'a [u8], extended: bool, high: u32) -> Self {
        Self { octets, high: if extended { Some(high.to_be_bytes()) } else { None } }
    }

    fn suffix(&self) -> &[u8] {
        self.high.as_ref().map_or(&[], |high| high)
    }
}

/// Messages hashed side by side: enough to fill the processor, which more do no better.
const ABREAST: usize = 4;

/// Returns the ICVs of at most `N` messages, each under its own key, as [`Integrity::icv`] does.
///
/// Hashing in vector lanes belongs in here.
pub(crate) fn icvs<'k, const N: usize>(
    messages: impl Iterator<Item = (&'k Integrity, Message<'k>)>,
) -> ArrayVec<[u8; MAX_ICV_LEN], N> {
    let mut icvs = ArrayVec::new();
    let messages: ArrayVec<_, N> = messages.collect();
    let mut rest = messages.as_slice();
    while let [(key, message), ..] = rest {
        let mut made = [[0; MAX_ICV_LEN]; ABREAST];
        macro_rules! abreast {
            ($hash:ident) => {{
                let same = rest.iter().map_while(|(key, message)| {
                    let Integrity::$hash(key) = key else { return None };
                    let key: &HmacKey<$hash> = key;
                    Some((key, *message))
                });
                let same: ArrayVec<_, ABREAST> = same.take(ABREAST).collect();
                HmacKey::abreast(&same, &mut made);
                same.len()
            }};
        }
        let count = match key {
            Integrity::Md5(_) => abreast!(Md5),
            Integrity::Sha1(_) => abreast!(Sha1),
            Integrity::Sha256(_) => abreast!(Sha256),
            Integrity::Sha384(_) => abreast!(Sha384),
            Integrity::Sha512(_) => abreast!(Sha512),
            // Nothing waits in AES that another packet could fill.
            Integrity::None | Integrity::CbcMac(_) => {
                made = [key.icv(message); ABREAST];
                1
            }
        };
        icvs.extend(made.into_iter().take(count));
        rest = rest.get(count..).unwrap_or_default();
    }
    icvs
}

/// Compares an ICV with as much of the computed value, in constant time; an empty ICV is never right.
pub(crate) fn same(icv: &[u8], computed: &[u8]) -> bool {
    let Some(computed) = computed.get(..icv.len()).filter(|_| !icv.is_empty()) else { return false };
    // ICVs are 8 to 32 octets, a multiple of four: a few words are compared faster than octets.
    let ((a, a_rest), (b, b_rest)) = (icv.as_chunks::<4>(), computed.as_chunks::<4>());
    let words = a.iter().zip(b).fold(0, |sum, (&a, &b)| sum | (u32::from_ne_bytes(a) ^ u32::from_ne_bytes(b)));
    let differing = a_rest.iter().zip(b_rest).fold(words, |sum, (a, b)| sum | u32::from(a ^ b));
    differing.ct_eq(&0).into()
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

    /// Takes what is left of the whole message, and returns the ICV as [`Integrity::icv`] does.
    #[inline]
    pub(crate) fn finish(&mut self, message: &Message<'_>) -> [u8; MAX_ICV_LEN] {
        let mut icv = [0; MAX_ICV_LEN];
        match self {
            Self::None => {}
            Self::Md5(mac) => mac.finish(message, &mut icv),
            Self::Sha1(mac) => mac.finish(message, &mut icv),
            Self::Sha256(mac) => mac.finish(message, &mut icv),
            Self::Sha384(mac) => mac.finish(message, &mut icv),
            Self::Sha512(mac) => mac.finish(message, &mut icv),
            Self::CbcMac(key) => {
                icv.iter_mut().zip(key.mac(message.octets, message.suffix())).for_each(|(to, from)| *to = from)
            }
        }
        icv
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn messages_of_any_algorithms_and_lengths_side_by_side_get_the_icvs_they_get_alone(
            mut messages in proptest::collection::vec((0usize..9, 0usize..400, any::<u8>(), any::<Option<[u8; 4]>>()), 0..=16),
        ) {
            let keys: Vec<Integrity> = IntegrityAlgorithm::ALL
                .iter()
                .map(|&algorithm| Integrity::new(algorithm, &std::vec![7; algorithm.key_len()]).unwrap())
                .collect();
            // Runs of one algorithm, as batches have them, and two keys.
            messages.sort_by_key(|message| message.0);
            let others: Vec<Integrity> = IntegrityAlgorithm::ALL
                .iter()
                .map(|&algorithm| Integrity::new(algorithm, &std::vec![8; algorithm.key_len()]).unwrap())
                .collect();
            let texts: Vec<Vec<u8>> = messages.iter().map(|&(_, len, octet, _)| std::vec![octet; len]).collect();
            let listed: Vec<(&Integrity, Message<'_>)> = messages
                .iter()
                .zip(&texts)
                .map(|(&(algorithm, _, octet, high), octets)| {
                    let from = if octet & 1 == 0 { &keys } else { &others };
                    (&from[algorithm], Message { octets, high })
                })
                .collect();
            let alone: Vec<[u8; MAX_ICV_LEN]> = listed.iter().map(|(key, message)| key.icv(message)).collect();
            prop_assert_eq!(icvs::<16>(listed.into_iter()).to_vec(), alone);
        }
    }
}
