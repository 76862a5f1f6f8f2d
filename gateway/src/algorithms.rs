//! What each algorithm did, for all associations together.

use crate::layers::Layers;
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm};
use sad::SaCounters;

drive::counters! {
    /// What one algorithm did: the names stand behind that of the algorithm.
    ///
    /// Routers hand packets to an engine and take them back; here each is worked on within one call, so none is
    /// discarded on the way.
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
        /// Packets to send that were thrown away while it worked.
        encode_discard => "EncodeDiscard",
        /// Packets received that were thrown away while it worked.
        decode_discard => "DecodeDiscard",
        /// Packets to send whose association was gone.
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
            // A combined mode checks the ICV itself.
            let icv = integrity.is_none().then_some("espIcvInvalid");
            if let Some(cipher) = CountedAlgorithm::of_cipher(suite.cipher()) {
                let good = ("espEncryptionGood", "espDecryptionGood");
                self.count(cipher, counters, good, [icv, Some("espPaddingInvalid")], gone);
            }
            if let Some(integrity) = integrity {
                let good = ("espOutHashGood", "espInHashGood");
                self.count(integrity, counters, good, [Some("espIcvInvalid"), None], gone);
            }
        }
        if let (Some(integrity), Some(counters)) = (layers.integrity.and_then(CountedAlgorithm::of_integrity), ah) {
            self.count(integrity, counters, ("ahOutHashGood", "ahInHashGood"), [Some("ahIcvInvalid"), None], gone);
        }
    }

    fn count(
        &mut self,
        algorithm: CountedAlgorithm,
        counters: &SaCounters,
        (encoded, decoded): (&str, &str),
        failed: [Option<&str>; 2],
        gone: bool,
    ) {
        let value = |name: &str| counters.iter().find(|(known, _)| *known == name).map_or(0, |(_, value)| value);
        let failed = failed.into_iter().flatten().map(value).fold(0, u64::saturating_add);
        let Some(sums) = self.of(algorithm) else { return };
        let went = u64::from(gone);
        for (sum, more) in [
            (&mut sums.keymat_processed, 1),
            (&mut sums.attach_good, 1),
            (&mut sums.configure_good, 1),
            (&mut sums.remove, went),
            (&mut sums.detached, went),
            (&mut sums.encode_good, value(encoded)),
            (&mut sums.decode_good, value(decoded)),
            (&mut sums.decode_fail, failed),
        ] {
            *sum = sum.saturating_add(more);
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
