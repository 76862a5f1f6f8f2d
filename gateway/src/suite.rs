//! From the words of a negotiation to the transforms of the data path.

use esp_ah::suite::{AesKey, IcvLen};
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, Suite};
use ikev1_core::proposal::{self, Compression, EspCipher, Icv, Integrity, Protection};

/// How the data path does one protocol of what was negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transform {
    /// IPComp with DEFLATE.
    Ipcomp,
    /// ESP.
    Esp(Suite),
    /// AH.
    Ah(IntegrityAlgorithm),
}

impl Transform {
    /// Returns where it stands among the protocols that a packet goes through: 0 first.
    pub(crate) const fn layer(&self) -> u8 {
        match self {
            Self::Ipcomp => 0,
            Self::Esp(_) => 1,
            Self::Ah(_) => 2,
        }
    }
}

/// Returns the transform of what was negotiated, `None` if the data path has none like it.
///
/// With `beside_ah`, ESP needs no integrity of its own.
pub(crate) fn of(protection: Protection, beside_ah: bool) -> Option<Transform> {
    match protection {
        Protection::Esp { cipher, integrity } => {
            let cipher = cipher_of(cipher);
            let suite = match integrity {
                Some(integrity) => Suite::new(cipher, integrity_of(integrity)?).ok(),
                None if beside_ah && !cipher.is_combined() => Suite::dangerously_unauthenticated(cipher).ok(),
                None => Suite::new(cipher, IntegrityAlgorithm::None).ok(),
            };
            suite.map(Transform::Esp)
        }
        Protection::Ah { integrity } => integrity_of(integrity).map(Transform::Ah),
        Protection::Ipcomp { compression } => (compression == Compression::Deflate).then_some(Transform::Ipcomp),
    }
}

const fn cipher_of(cipher: EspCipher) -> CipherAlgorithm {
    match cipher {
        EspCipher::Null => CipherAlgorithm::Null,
        EspCipher::Des => CipherAlgorithm::DesCbc,
        EspCipher::TripleDes => CipherAlgorithm::TripleDesCbc,
        EspCipher::AesCbc(key) => CipherAlgorithm::AesCbc(aes(key)),
        EspCipher::AesCtr(key) => CipherAlgorithm::AesCtr(aes(key)),
        EspCipher::AesCcm(key, icv) => CipherAlgorithm::AesCcm(aes(key), octets(icv)),
        EspCipher::AesGcm(key, icv) => CipherAlgorithm::AesGcm(aes(key), octets(icv)),
        EspCipher::NullAesGmac(key) => CipherAlgorithm::AesGmac(aes(key)),
    }
}

const fn aes(key: proposal::AesKey) -> AesKey {
    match key {
        proposal::AesKey::Bits128 => AesKey::Bits128,
        proposal::AesKey::Bits192 => AesKey::Bits192,
        proposal::AesKey::Bits256 => AesKey::Bits256,
    }
}

const fn octets(icv: Icv) -> IcvLen {
    match icv {
        Icv::Octets8 => IcvLen::Octets8,
        Icv::Octets12 => IcvLen::Octets12,
        Icv::Octets16 => IcvLen::Octets16,
    }
}

const fn integrity_of(integrity: Integrity) -> Option<IntegrityAlgorithm> {
    match integrity {
        Integrity::HmacMd5 => Some(IntegrityAlgorithm::HmacMd5_96),
        Integrity::HmacSha1 => Some(IntegrityAlgorithm::HmacSha1_96),
        Integrity::HmacSha2_256 => Some(IntegrityAlgorithm::HmacSha256_128),
        Integrity::HmacSha2_256Cut96 => Some(IntegrityAlgorithm::HmacSha256_96),
        Integrity::HmacSha2_384 => Some(IntegrityAlgorithm::HmacSha384_192),
        Integrity::HmacSha2_512 => Some(IntegrityAlgorithm::HmacSha512_256),
        Integrity::AesXcbc => Some(IntegrityAlgorithm::AesXcbc96),
        // It stands in AH only.
        Integrity::AesGmac(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keymat_len(protection: Protection) -> usize {
        match of(protection, false).unwrap() {
            Transform::Esp(suite) => suite.keymat_len(),
            Transform::Ah(integrity) => integrity.key_len(),
            Transform::Ipcomp => 0,
        }
    }

    #[test]
    fn lengths_of_key_material_agree_between_negotiation_and_data_path() {
        let keys = [proposal::AesKey::Bits128, proposal::AesKey::Bits192, proposal::AesKey::Bits256];
        let plain = [EspCipher::Null, EspCipher::Des, EspCipher::TripleDes].into_iter();
        let ciphers = plain.chain(keys.map(EspCipher::AesCbc)).chain(keys.map(EspCipher::AesCtr));
        let integrities = [
            Integrity::HmacMd5,
            Integrity::HmacSha1,
            Integrity::HmacSha2_256,
            Integrity::HmacSha2_256Cut96,
            Integrity::HmacSha2_384,
            Integrity::HmacSha2_512,
            Integrity::AesXcbc,
        ];
        for integrity in integrities {
            let protection = Protection::Ah { integrity };
            assert_eq!(keymat_len(protection), protection.keymat_lens().1, "{integrity:?}");
        }
        for cipher in ciphers {
            for integrity in integrities {
                let protection = Protection::Esp { cipher, integrity: Some(integrity) };
                let (a, b) = protection.keymat_lens();
                assert_eq!(keymat_len(protection), a + b, "{cipher:?} {integrity:?}");
            }
        }
        for key in keys {
            for icv in [Icv::Octets8, Icv::Octets12, Icv::Octets16] {
                for cipher in [EspCipher::AesGcm(key, icv), EspCipher::AesCcm(key, icv)] {
                    let protection = Protection::Esp { cipher, integrity: None };
                    assert_eq!(keymat_len(protection), protection.keymat_lens().0, "{cipher:?}");
                }
            }
        }
    }

    #[test]
    fn what_the_data_path_lacks_has_no_suite() {
        assert_eq!(of(Protection::Ipcomp { compression: Compression::Lzs }, false), None);
        let bare = |cipher| Protection::Esp { cipher, integrity: None };
        assert_eq!(of(bare(EspCipher::Null), false), None);
        let aes = bare(EspCipher::AesCbc(proposal::AesKey::Bits128));
        assert_eq!(of(aes, false), None, "ciphertext that anyone can change");
        assert!(of(aes, true).is_some(), "AH around it is its integrity");
    }
}
