//! What each algorithm did, for all associations together.

use crate::layers::Layers;
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm};
use sad::{AfterRemoval, SaCounters, SaTransform};

drive::counters! {
    /// What one algorithm did: the names stand behind that of the algorithm.
    ///
    /// The gateway works on each packet within one call, so none of its own is discarded on the way; what its database
    /// gave out as tickets is counted as routers count what they hand to an engine.
    pub struct AlgorithmCounters {
        /// Keys that were taken apart for it.
        keymat_processed => "KeymatProcessed",
        /// Associations that it was not there for.
        attach_fail => "AttachFail",
        /// Associations that got it.
        attach_good => "AttachGood",
        /// Keys that it refused.
        configure_fail => "ConfigureFail",
        /// Keys that it took.
        configure_good => "ConfigureGood",
        /// Associations that it was taken from.
        remove => "Remove",
        /// Those of them that are gone.
        detached => "Detached",
        /// Packets sent that went through it.
        encode_good => "EncodeGood",
        /// Packets received that went through it.
        decode_good => "DecodeGood",
        /// Packets sent that did not.
        encode_fail => "EncodeFail",
        /// Packets received that it found wrong: their ICV, or after a right one their padding.
        decode_fail => "DecodeFail",
        /// Packets to send whose association ended while it worked.
        encode_discard => "EncodeDiscard",
        /// Packets received whose association ended while it worked.
        decode_discard => "DecodeDiscard",
        /// Packets to send whose association was gone when it was done.
        encode_get_info_fail => "EncodeGetInfoFail",
    }
}

/// An algorithm as routers count them, with those that they do not have behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CountedAlgorithm {
    /// No encryption.
    Null,
    /// DES.
    Des,
    /// 3DES with one CBC chain around each block cipher; no peer uses it, and it stays zero.
    TripleDesInner,
    /// 3DES with one CBC chain around all three, RFC 2451.
    TripleDesOuter,
    /// 3DES with two keys: none is negotiated, and it stays zero.
    TripleDesTwoKeys,
    /// AES in any mode, ciphers and integrity alike.
    Aes,
    /// SHA-1 and SHA-2 in HMAC.
    Sha,
    /// MD5 in HMAC.
    Md5,
    /// DES as integrity: it is never negotiated, and stays zero.
    DesMac,
    /// LZS: it is recognised and refused, and stays zero.
    Lzs,
    /// DEFLATE.
    Deflate,
    /// ChaCha20 with Poly1305.
    ChaCha20Poly1305,
}

impl CountedAlgorithm {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 12] = [
        Self::Null,
        Self::Des,
        Self::TripleDesInner,
        Self::TripleDesOuter,
        Self::TripleDesTwoKeys,
        Self::Aes,
        Self::Sha,
        Self::Md5,
        Self::DesMac,
        Self::Lzs,
        Self::Deflate,
        Self::ChaCha20Poly1305,
    ];

    /// Returns what its counters' names begin with.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Des => "des",
            Self::TripleDesInner => "3DesInner",
            Self::TripleDesOuter => "3DesOuter",
            Self::TripleDesTwoKeys => "3Des2Key",
            Self::Aes => "aes",
            Self::Sha => "sha",
            Self::Md5 => "md5",
            Self::DesMac => "desmac",
            Self::Lzs => "lzs",
            Self::Deflate => "deflate",
            Self::ChaCha20Poly1305 => "chacha20poly1305",
        }
    }

    const fn of_cipher(cipher: CipherAlgorithm) -> Option<Self> {
        match cipher {
            CipherAlgorithm::Null => Some(Self::Null),
            CipherAlgorithm::DesCbc => Some(Self::Des),
            CipherAlgorithm::TripleDesCbc => Some(Self::TripleDesOuter),
            CipherAlgorithm::AesCbc(_)
            | CipherAlgorithm::AesCtr(_)
            | CipherAlgorithm::AesGcm(..)
            | CipherAlgorithm::AesCcm(..)
            | CipherAlgorithm::AesGmac(_) => Some(Self::Aes),
            CipherAlgorithm::ChaCha20Poly1305 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }

    const fn of_integrity(integrity: IntegrityAlgorithm) -> Option<Self> {
        match integrity {
            IntegrityAlgorithm::None => None,
            IntegrityAlgorithm::HmacMd5_96 => Some(Self::Md5),
            IntegrityAlgorithm::HmacSha1_96
            | IntegrityAlgorithm::HmacSha256_128
            | IntegrityAlgorithm::HmacSha256_96
            | IntegrityAlgorithm::HmacSha384_192
            | IntegrityAlgorithm::HmacSha512_256 => Some(Self::Sha),
            IntegrityAlgorithm::AesXcbc96 | IntegrityAlgorithm::AesCmac96 => Some(Self::Aes),
            _ => None,
        }
    }
}

/// The counters of an association that say what one of its algorithms did.
struct Names {
    encoded: &'static str,
    decoded: &'static str,
    not_encoded: &'static [&'static str],
    not_decoded: &'static [&'static str],
}

const CIPHER: Names = Names {
    encoded: "espEncryptionGood",
    decoded: "espDecryptionGood",
    not_encoded: &["espEncryptionFailImm", "espEncryptionFail"],
    not_decoded: &["espDecryptionFail", "espPaddingInvalid"],
};

const COMBINED: Names = Names {
    encoded: "espOutHashGood",
    not_encoded: &["espOutHashFailImm", "espOutHashFail"],
    not_decoded: &["espInHashFail", "espDecryptionFail", "espPaddingInvalid"],
    ..CIPHER
};

const HASH: Names = Names {
    encoded: "espOutHashGood",
    decoded: "espInHashGood",
    not_encoded: &["espOutHashFailImm", "espOutHashFail"],
    not_decoded: &["espInHashFail"],
};

const AH_HASH: Names = Names {
    encoded: "ahOutHashGood",
    decoded: "ahInHashGood",
    not_encoded: &["ahOutHashFailImm", "ahOutHashFail"],
    not_decoded: &["ahInHashFail"],
};

/// The counters of every algorithm.
#[derive(Clone, Debug, Default)]
pub(crate) struct Algorithms([AlgorithmCounters; CountedAlgorithm::ALL.len()]);

impl Algorithms {
    /// Returns each algorithm with its counters.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (CountedAlgorithm, &AlgorithmCounters)> {
        CountedAlgorithm::ALL.into_iter().zip(&self.0)
    }

    fn of(&mut self, algorithm: CountedAlgorithm) -> Option<&mut AlgorithmCounters> {
        let index = CountedAlgorithm::ALL.iter().position(|known| *known == algorithm)?;
        self.0.get_mut(index)
    }

    /// Counts the associations of one direction: those of ESP and AH with their counters, `gone` if they are.
    pub(crate) fn add(&mut self, layers: Layers, esp: Option<&SaCounters>, ah: Option<&SaCounters>, gone: bool) {
        if let (Some(suite), Some(counters)) = (layers.suite, esp) {
            let integrity = CountedAlgorithm::of_integrity(suite.integrity());
            if let Some(cipher) = CountedAlgorithm::of_cipher(suite.cipher()) {
                // A combined mode checks the ICV itself.
                self.count(cipher, counters, if integrity.is_none() { &COMBINED } else { &CIPHER }, gone);
            }
            if let Some(integrity) = integrity {
                self.count(integrity, counters, &HASH, gone);
            }
        }
        if let (Some(integrity), Some(counters)) = (layers.integrity.and_then(CountedAlgorithm::of_integrity), ah) {
            self.count(integrity, counters, &AH_HASH, gone);
        }
    }

    fn count(&mut self, algorithm: CountedAlgorithm, counters: &SaCounters, names: &Names, gone: bool) {
        let value = |name: &str| counters.iter().find(|(known, _)| *known == name).map_or(0, |(_, value)| value);
        let sum = |names: &[&str]| names.iter().map(|name| value(name)).fold(0, u64::saturating_add);
        let Some(sums) = self.of(algorithm) else { return };
        let went = u64::from(gone);
        for (sum, more) in [
            (&mut sums.keymat_processed, 1),
            (&mut sums.attach_good, 1),
            (&mut sums.configure_good, 1),
            (&mut sums.remove, went),
            (&mut sums.detached, went),
            (&mut sums.encode_good, value(names.encoded)),
            (&mut sums.decode_good, value(names.decoded)),
            (&mut sums.encode_fail, sum(names.not_encoded)),
            (&mut sums.decode_fail, sum(names.not_decoded)),
            (&mut sums.encode_discard, counters.sealed_too_late()),
            (&mut sums.decode_discard, counters.opened_too_late()),
        ] {
            *sum = sum.saturating_add(more);
        }
    }

    /// Counts what was sealed elsewhere when its association was gone.
    pub(crate) fn add_after_removal(&mut self, after: &[(SaTransform, AfterRemoval)]) {
        for (transform, after) in after {
            let algorithms = match transform {
                SaTransform::Esp(suite) => {
                    [CountedAlgorithm::of_cipher(suite.cipher()), CountedAlgorithm::of_integrity(suite.integrity())]
                }
                SaTransform::Ah(integrity) => [CountedAlgorithm::of_integrity(*integrity), None],
            };
            for algorithm in algorithms.into_iter().flatten() {
                let Some(sums) = self.of(algorithm) else { continue };
                sums.encode_get_info_fail = sums.encode_get_info_fail.saturating_add(after.sealed);
            }
        }
    }

    /// Counts a compression of a pair.
    pub(crate) fn add_compression(&mut self, counters: &crate::compression::CompressionCounters, gone: bool) {
        let Some(sums) = self.of(CountedAlgorithm::Deflate) else { return };
        let went = u64::from(gone);
        for (sum, more) in [
            (&mut sums.attach_good, 1),
            (&mut sums.configure_good, 1),
            (&mut sums.remove, went),
            (&mut sums.detached, went),
            (&mut sums.encode_good, counters.out_good),
            (&mut sums.encode_fail, counters.out_data_expansion),
            (&mut sums.decode_good, counters.in_good),
            (&mut sums.decode_fail, counters.in_fail),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drive::{Instant, Path};
    use esp_ah::Suite;
    use esp_ah::suite::{AesKey, IcvLen};
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;
    use sad::{
        EngineFailure, FlowId, KeyDescription, Lifetime, OutboundKeys, OwnerId, ProviderId, SaMode, SaParameters, Sad,
        SadSettings, SealFailure, SequenceBits, Spi,
    };

    #[test]
    fn what_an_engine_did_for_an_association_counts_for_its_algorithms() {
        let gcm = CipherAlgorithm::AesGcm(AesKey::Bits128, IcvLen::Octets16);
        let cbc = CipherAlgorithm::AesCbc(AesKey::Bits128);
        for (cipher, integrity, wanted) in [
            (gcm, IntegrityAlgorithm::None, &[CountedAlgorithm::Aes][..]),
            (cbc, IntegrityAlgorithm::HmacSha1_96, &[CountedAlgorithm::Aes, CountedAlgorithm::Sha]),
        ] {
            let suite = Suite::new(cipher, integrity).unwrap();
            let mut sad = Sad::new(SadSettings::default(), &mut ChaCha8Rng::seed_from_u64(1));
            let parameters = SaParameters {
                mode: SaMode::Tunnel,
                path: Path::ip(50, [192, 0, 2, 1].into(), [192, 0, 2, 2].into()),
                flow: FlowId(1),
                owner: OwnerId(1),
                lifetime: Lifetime::default(),
            };
            let keys = KeyDescription {
                transform: SaTransform::Esp(suite),
                bits: SequenceBits::Bits32,
                provider: ProviderId::new(1),
                integrity_provider: ProviderId::new(1),
            };
            let (now, spi) = (Instant::ZERO, Spi::new(256).unwrap());
            let keys = OutboundKeys::Elsewhere(keys);
            let association = sad.install_outbound(now, spi, &parameters, keys, None).unwrap();
            let mut tickets: alloc::vec::Vec<_> =
                (0..4).map(|_| sad.submit_seal(now, association, 9).unwrap()).collect();
            let mut complete = |sad: &mut Sad, result| {
                let _ = sad.complete_seal(now, tickets.pop().unwrap(), result);
            };
            complete(&mut sad, Ok(()));
            complete(&mut sad, Err(SealFailure::Engine(EngineFailure::Cipher)));
            sad.remove_after(now, association, core::time::Duration::ZERO).unwrap();
            complete(&mut sad, Ok(()));
            let counters = sad.status(association).unwrap().detail.unwrap().counters;
            sad.remove(association).unwrap();
            complete(&mut sad, Ok(()));

            let mut sums = Algorithms::default();
            let layers = Layers { suite: Some(suite), ..Layers::default() };
            sums.add(layers, Some(&counters), None, true);
            sums.add_after_removal(sad.after_removal());
            for (algorithm, of) in sums.iter() {
                let used = u64::from(wanted.contains(&algorithm));
                assert_eq!(
                    [of.encode_good, of.encode_fail, of.encode_discard, of.encode_get_info_fail],
                    [used; 4],
                    "{}",
                    algorithm.name()
                );
            }
        }
    }
}
