//! Integrity algorithms: their keys, made ready, and the ICV.

pub(crate) mod cbc_mac;
mod hash;
pub(crate) mod hmac;
#[cfg(all(feature = "lanes", target_arch = "x86_64"))]
mod lanes;
mod provided;

use crate::provider::{Provider, ProviderFailed, ProviderId};
use crate::suite::{IntegrityAlgorithm, MAX_ICV_LEN};
use alloc::boxed::Box;
use arrayvec::ArrayVec;
use cbc_mac::CbcMac;
use core::cmp::Reverse;
use hash::{Md5, Sha1, Sha256, Sha384, Sha512};
use hmac::HmacKey;
use provided::Provided;
use subtle::ConstantTimeEq;

/// An ICV, of which as many octets count as the algorithm's has, or why there is none.
pub(crate) type Icv = Result<[u8; MAX_ICV_LEN], ProviderFailed>;

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
    Provided(Provided),
}

impl Integrity {
    /// Makes the key ready, by the provider if it does the algorithm; `None` if its length is not the algorithm's.
    pub(crate) fn new(provider: &dyn Provider, algorithm: IntegrityAlgorithm, key: &[u8]) -> Option<Self> {
        if key.len() != algorithm.key_len() {
            return None;
        }
        if let Some(provided) = Provided::new(provider, algorithm, key) {
            return Some(Self::Provided(provided));
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

    /// Returns who does it.
    pub(crate) const fn provider(&self) -> ProviderId {
        if let Self::Provided(provided) = self { provided.id } else { ProviderId::BUILT_IN }
    }

    /// Returns a number that tells one algorithm from another.
    const fn kind(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Md5(_) => 1,
            Self::Sha1(_) => 2,
            Self::Sha256(_) => 3,
            Self::Sha384(_) => 4,
            Self::Sha512(_) => 5,
            Self::CbcMac(_) => 6,
            Self::Provided(_) => 7,
        }
    }

    /// Returns how many blocks of AES are best done between two pieces of a message.
    ///
    /// Found by measuring: with fewer, the hash is begun more often than it gains; with more, a processor does not see
    /// past them.
    pub(crate) const fn step(&self) -> usize {
        match self {
            Self::Md5(_) => 4,
            Self::None | Self::CbcMac(_) | Self::Sha1(_) | Self::Sha256(_) => 8,
            Self::Sha384(_) | Self::Sha512(_) | Self::Provided(_) => 16,
        }
    }

    /// Returns the ICV of a message. The caller takes as many octets as the algorithm's ICV has.
    pub(crate) fn icv(&self, message: &Message<'_>) -> Icv {
        self.icv_beside(&mut { *message })
    }

    /// Does the work, and returns the ICV of the message that is there afterwards, as [`icv`](Self::icv) does.
    ///
    /// A hash waits for itself and leaves most of the processor idle: AES done between its blocks costs next to
    /// nothing.
    pub(crate) fn icv_beside(&self, work: &mut dyn Beside) -> Icv {
        let mut icv = [0; MAX_ICV_LEN];
        match self {
            Self::None => work.work(&mut |_| ()),
            Self::Md5(key) => key.beside(work, &mut icv),
            Self::Sha1(key) => key.beside(work, &mut icv),
            Self::Sha256(key) => key.beside(work, &mut icv),
            Self::Sha384(key) => key.beside(work, &mut icv),
            Self::Sha512(key) => key.beside(work, &mut icv),
            // Of AES itself, nothing is to be had in between.
            Self::CbcMac(key) => {
                work.work(&mut |_| ());
                let message = work.message();
                icv.iter_mut().zip(key.mac(message.octets, message.suffix())).for_each(|(to, from)| *to = from);
            }
            Self::Provided(provided) => return provided.icv_beside(work),
        }
        Ok(icv)
    }
}

/// Work that makes a message while it is hashed.
pub(crate) trait Beside {
    /// Does the work, and calls `hash` every now and then with the message as far as it stands.
    fn work(&mut self, hash: &mut dyn FnMut(&[u8]));
    /// Returns the whole message, the work being done.
    fn message(&self) -> Message<'_>;
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

/// Nothing is to be done.
impl Beside for Message<'_> {
    fn work(&mut self, _: &mut dyn FnMut(&[u8])) {}

    fn message(&self) -> Message<'_> {
        *self
    }
}

/// Returns the ICVs of at most `N` messages, each under its own key, as [`Integrity::icv`] does.
pub(crate) fn icvs<'k, const N: usize>(
    messages: impl Iterator<Item = (&'k Integrity, Message<'k>)>,
) -> ArrayVec<Icv, N> {
    let messages: ArrayVec<_, N> = messages.collect();
    // Those of one hash go side by side, and long ones first: a long one at the end outlasts its company.
    let places = messages.iter().enumerate();
    let mut order: ArrayVec<_, N> =
        places.map(|(place, (key, message))| (key.kind(), Reverse(message.octets.len()), place)).collect();
    order.sort_unstable();
    let mut icvs: ArrayVec<Icv, N> = messages.iter().map(|_| Ok([0; MAX_ICV_LEN])).collect();
    for like in order.chunk_by(|a, b| a.0 == b.0) {
        let like = like.iter().map(|&(_, _, place)| place);
        let listed = like.clone().filter_map(|place| messages.get(place));
        macro_rules! abreast {
            ($hash:ident) => {{
                let same = listed.filter_map(|(key, message)| {
                    let Integrity::$hash(key) = key else { return None };
                    let key: &HmacKey<$hash> = key;
                    Some((key, *message))
                });
                let same: ArrayVec<_, N> = same.collect();
                HmacKey::abreast::<N>(&same, like, |place, icv| {
                    if let Some(to) = icvs.get_mut(place) {
                        *to = Ok(icv);
                    }
                });
            }};
        }
        match listed.clone().next() {
            Some((Integrity::Md5(_), _)) => abreast!(Md5),
            Some((Integrity::Sha1(_), _)) => abreast!(Sha1),
            Some((Integrity::Sha256(_), _)) => abreast!(Sha256),
            Some((Integrity::Sha384(_), _)) => abreast!(Sha384),
            Some((Integrity::Sha512(_), _)) => abreast!(Sha512),
            // Nothing waits in AES that another packet could fill, and a provider takes one packet at a time.
            Some((Integrity::None | Integrity::CbcMac(_) | Integrity::Provided(_), _)) | None => {
                for place in like {
                    if let (Some((key, message)), Some(to)) = (messages.get(place), icvs.get_mut(place)) {
                        *to = key.icv(message);
                    }
                }
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::BuiltIn;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn messages_of_any_algorithms_and_lengths_side_by_side_get_the_icvs_they_get_alone(
            messages in proptest::collection::vec((0usize..9, 0usize..400, any::<u8>(), any::<Option<[u8; 4]>>()), 0..=16),
        ) {
            let keys: Vec<Integrity> = IntegrityAlgorithm::ALL
                .iter()
                .map(|&algorithm| Integrity::new(&BuiltIn, algorithm, &std::vec![7; algorithm.key_len()]).unwrap())
                .collect();
            let others: Vec<Integrity> = IntegrityAlgorithm::ALL
                .iter()
                .map(|&algorithm| Integrity::new(&BuiltIn, algorithm, &std::vec![8; algorithm.key_len()]).unwrap())
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
            let alone: Vec<Icv> = listed.iter().map(|(key, message)| key.icv(message)).collect();
            prop_assert_eq!(icvs::<16>(listed.into_iter()).to_vec(), alone);
        }
    }
}
