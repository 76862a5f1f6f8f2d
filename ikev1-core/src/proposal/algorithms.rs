//! The algorithms of phase 2, each with what its keys and its numbers are.

use core::fmt;
use ipsec_wire::registry::{AhTransform, AuthAlgorithm, EspTransform, IpcompTransform};

/// The key lengths of AES.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AesKey {
    /// 128 bits.
    Bits128,
    /// 192 bits.
    Bits192,
    /// 256 bits.
    Bits256,
}

impl AesKey {
    /// All members.
    pub const ALL: [Self; 3] = [Self::Bits128, Self::Bits192, Self::Bits256];

    /// Returns the length in bits, as the attribute "Key Length" has it.
    pub const fn bits(self) -> u16 {
        match self {
            Self::Bits128 => 128,
            Self::Bits192 => 192,
            Self::Bits256 => 256,
        }
    }

    /// Returns the length in octets.
    pub const fn octets(self) -> usize {
        match self {
            Self::Bits128 => 16,
            Self::Bits192 => 24,
            Self::Bits256 => 32,
        }
    }
}

/// The lengths of the integrity check value of a combined mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Icv {
    /// 8 octets.
    Octets8,
    /// 12 octets.
    Octets12,
    /// 16 octets.
    Octets16,
}

/// The ciphers of ESP, combined modes among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EspCipher {
    /// No confidentiality (RFC 2410).
    Null,
    /// DES-CBC (RFC 2405).
    Des,
    /// 3DES-CBC (RFC 2451).
    TripleDes,
    /// AES-CBC (RFC 3602).
    AesCbc(AesKey),
    /// AES-CTR (RFC 3686).
    AesCtr(AesKey),
    /// AES-CCM (RFC 4309).
    AesCcm(AesKey, Icv),
    /// AES-GCM (RFC 4106).
    AesGcm(AesKey, Icv),
    /// AES-GMAC: integrity alone (RFC 4543).
    NullAesGmac(AesKey),
}

impl EspCipher {
    /// Returns the transform number on the wire.
    pub const fn number(self) -> EspTransform {
        match self {
            Self::Null => EspTransform::NULL,
            Self::Des => EspTransform::DES,
            Self::TripleDes => EspTransform::TRIPLE_DES,
            Self::AesCbc(_) => EspTransform::AES_CBC,
            Self::AesCtr(_) => EspTransform::AES_CTR,
            Self::AesCcm(_, Icv::Octets8) => EspTransform::AES_CCM_8,
            Self::AesCcm(_, Icv::Octets12) => EspTransform::AES_CCM_12,
            Self::AesCcm(_, Icv::Octets16) => EspTransform::AES_CCM_16,
            Self::AesGcm(_, Icv::Octets8) => EspTransform::AES_GCM_8,
            Self::AesGcm(_, Icv::Octets12) => EspTransform::AES_GCM_12,
            Self::AesGcm(_, Icv::Octets16) => EspTransform::AES_GCM_16,
            Self::NullAesGmac(_) => EspTransform::NULL_AUTH_AES_GMAC,
        }
    }

    /// Returns the value of the attribute "Key Length" in bits, or `None` where the cipher has but one.
    pub const fn key_length_attribute(self) -> Option<u16> {
        match self {
            Self::Null | Self::Des | Self::TripleDes => None,
            Self::AesCbc(key)
            | Self::AesCtr(key)
            | Self::AesCcm(key, _)
            | Self::AesGcm(key, _)
            | Self::NullAesGmac(key) => Some(key.bits()),
        }
    }

    /// Returns the octets of KEYMAT that are the cipher's: its key, then its salt or nonce if it has one.
    pub const fn keymat_len(self) -> usize {
        match self {
            Self::Null => 0,
            Self::Des => 8,
            Self::TripleDes => 24,
            Self::AesCbc(key) => key.octets(),
            Self::AesCtr(key) | Self::AesGcm(key, _) | Self::NullAesGmac(key) => key.octets() + 4,
            Self::AesCcm(key, _) => key.octets() + 3,
        }
    }

    /// Returns whether it protects integrity by itself, so that no integrity algorithm may go with it.
    pub const fn is_combined(self) -> bool {
        matches!(self, Self::AesCcm(..) | Self::AesGcm(..) | Self::NullAesGmac(_))
    }

    /// Returns whether a plan must ask for it by a `dangerously_` name.
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::Des)
    }
}

impl fmt::Display for EspCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", super::Term::Esp(self.number(), self.key_length_attribute()))
    }
}

/// The integrity algorithms of ESP and AH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Integrity {
    /// HMAC-MD5-96 (RFC 2403).
    HmacMd5,
    /// HMAC-SHA-1-96 (RFC 2404).
    HmacSha1,
    /// HMAC-SHA-256-128 (RFC 4868).
    HmacSha2_256,
    /// HMAC-SHA-256 cut to 96 bits, as old peers do under the number of the 128-bit form.
    HmacSha2_256Cut96,
    /// HMAC-SHA-384-192 (RFC 4868).
    HmacSha2_384,
    /// HMAC-SHA-512-256 (RFC 4868).
    HmacSha2_512,
    /// AES-XCBC-MAC-96 (RFC 3566).
    AesXcbc,
    /// AES-GMAC, in AH only (RFC 4543).
    AesGmac(AesKey),
}

impl Integrity {
    /// Returns the value of the attribute "Authentication Algorithm".
    pub const fn number(self) -> AuthAlgorithm {
        match self {
            Self::HmacMd5 => AuthAlgorithm::HMAC_MD5,
            Self::HmacSha1 => AuthAlgorithm::HMAC_SHA,
            Self::HmacSha2_256 | Self::HmacSha2_256Cut96 => AuthAlgorithm::HMAC_SHA2_256,
            Self::HmacSha2_384 => AuthAlgorithm::HMAC_SHA2_384,
            Self::HmacSha2_512 => AuthAlgorithm::HMAC_SHA2_512,
            Self::AesXcbc => AuthAlgorithm::AES_XCBC_MAC,
            Self::AesGmac(AesKey::Bits128) => AuthAlgorithm::AES_128_GMAC,
            Self::AesGmac(AesKey::Bits192) => AuthAlgorithm::AES_192_GMAC,
            Self::AesGmac(AesKey::Bits256) => AuthAlgorithm::AES_256_GMAC,
        }
    }

    /// Returns the transform number of an AH proposal.
    pub const fn ah_number(self) -> AhTransform {
        match self {
            Self::HmacMd5 => AhTransform::MD5,
            Self::HmacSha1 => AhTransform::SHA,
            Self::HmacSha2_256 | Self::HmacSha2_256Cut96 => AhTransform::SHA2_256,
            Self::HmacSha2_384 => AhTransform::SHA2_384,
            Self::HmacSha2_512 => AhTransform::SHA2_512,
            Self::AesXcbc => AhTransform::AES_XCBC_MAC,
            Self::AesGmac(AesKey::Bits128) => AhTransform::AES_128_GMAC,
            Self::AesGmac(AesKey::Bits192) => AhTransform::AES_192_GMAC,
            Self::AesGmac(AesKey::Bits256) => AhTransform::AES_256_GMAC,
        }
    }

    /// Returns the octets of KEYMAT that are the integrity algorithm's.
    pub const fn keymat_len(self) -> usize {
        match self {
            Self::HmacMd5 | Self::AesXcbc => 16,
            Self::HmacSha1 => 20,
            Self::HmacSha2_256 | Self::HmacSha2_256Cut96 => 32,
            Self::HmacSha2_384 => 48,
            Self::HmacSha2_512 => 64,
            Self::AesGmac(key) => key.octets() + 4,
        }
    }

    /// Returns whether a plan must ask for it by a `dangerously_` name.
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::HmacMd5 | Self::HmacSha2_256Cut96)
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", super::Term::Authenticator(Some(self.number())))?;
        if *self == Self::HmacSha2_256Cut96 { f.write_str(" cut to 96 bits") } else { Ok(()) }
    }
}

/// The compression algorithms of IPComp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// DEFLATE (RFC 2394).
    Deflate,
    /// LZS (RFC 2395).
    Lzs,
}

impl Compression {
    /// Returns the transform number on the wire.
    pub const fn number(self) -> IpcompTransform {
        match self {
            Self::Deflate => IpcompTransform::DEFLATE,
            Self::Lzs => IpcompTransform::LZS,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deflate => "DEFLATE",
            Self::Lzs => "LZS",
        })
    }
}
