//! The one table of algorithms: what exists, under which numbers, with which lengths.

use core::fmt;

/// Octets of the longest ICV in the table.
pub const MAX_ICV_LEN: usize = 32;
/// Octets of the longest explicit IV in the table.
pub const MAX_IV_LEN: usize = 16;

/// The key length of AES.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AesKey {
    /// 16 octets.
    Bits128,
    /// 24 octets.
    Bits192,
    /// 32 octets.
    Bits256,
}

impl AesKey {
    /// Every length.
    pub const ALL: [Self; 3] = [Self::Bits128, Self::Bits192, Self::Bits256];

    /// Returns the key's octets.
    pub const fn octets(self) -> usize {
        match self {
            Self::Bits128 => 16,
            Self::Bits192 => 24,
            Self::Bits256 => 32,
        }
    }

    /// Returns the key's bits, as the Key Length attribute says them.
    pub const fn bits(self) -> u16 {
        match self {
            Self::Bits128 => 128,
            Self::Bits192 => 192,
            Self::Bits256 => 256,
        }
    }

    /// Returns the length of so many bits.
    pub const fn from_bits(bits: u16) -> Option<Self> {
        match bits {
            128 => Some(Self::Bits128),
            192 => Some(Self::Bits192),
            256 => Some(Self::Bits256),
            _ => None,
        }
    }
}

/// The ICV length of a combined mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IcvLen {
    /// 8 octets.
    Octets8,
    /// 12 octets.
    Octets12,
    /// 16 octets.
    Octets16,
}

impl IcvLen {
    /// Every length.
    pub const ALL: [Self; 3] = [Self::Octets8, Self::Octets12, Self::Octets16];

    /// Returns the octets.
    pub const fn octets(self) -> usize {
        match self {
            Self::Octets8 => 8,
            Self::Octets12 => 12,
            Self::Octets16 => 16,
        }
    }
}

/// An encryption algorithm of ESP that we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CipherAlgorithm {
    /// No encryption (RFC 2410).
    Null,
    /// DES in CBC mode (RFC 2405). Dangerous: the key is found by trial.
    DesCbc,
    /// 3DES in CBC mode (RFC 2451).
    TripleDesCbc,
    /// AES in CBC mode (RFC 3602).
    AesCbc(AesKey),
    /// AES in counter mode (RFC 3686).
    AesCtr(AesKey),
    /// AES in Galois/counter mode (RFC 4106).
    AesGcm(AesKey, IcvLen),
    /// AES in counter mode with CBC-MAC (RFC 4309).
    AesCcm(AesKey, IcvLen),
    /// AES-GMAC: authentication as GCM does it, no encryption (RFC 4543).
    AesGmac(AesKey),
    /// ChaCha20 and Poly1305 (RFC 7634).
    ChaCha20Poly1305,
}

/// What a cipher needs and adds, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CipherLengths {
    /// The key, without salt.
    pub key: usize,
    /// The salt (or nonce) that follows the key in the key material.
    pub salt: usize,
    /// The explicit IV in each packet.
    pub iv: usize,
    /// The block: payload, padding and trailer are filled up to a multiple.
    pub block: usize,
    /// The ICV of a combined mode, else zero.
    pub icv: usize,
}

impl CipherAlgorithm {
    /// Every cipher in the table.
    pub fn all() -> impl Iterator<Item = Self> {
        let plain = [Self::Null, Self::DesCbc, Self::TripleDesCbc, Self::ChaCha20Poly1305];
        let keyed = AesKey::ALL.into_iter().flat_map(|key| [Self::AesCbc(key), Self::AesCtr(key), Self::AesGmac(key)]);
        let sized = AesKey::ALL.into_iter().flat_map(|key| {
            IcvLen::ALL.into_iter().flat_map(move |icv| [Self::AesGcm(key, icv), Self::AesCcm(key, icv)])
        });
        plain.into_iter().chain(keyed).chain(sized)
    }

    /// Returns the lengths: the table itself.
    pub const fn lengths(self) -> CipherLengths {
        let (key, salt, iv, block, icv) = match self {
            Self::Null => (0, 0, 0, 1, 0),
            Self::DesCbc => (8, 0, 8, 8, 0),
            Self::TripleDesCbc => (24, 0, 8, 8, 0),
            Self::AesCbc(key) => (key.octets(), 0, 16, 16, 0),
            Self::AesCtr(key) => (key.octets(), 4, 8, 1, 0),
            Self::AesGcm(key, icv) => (key.octets(), 4, 8, 1, icv.octets()),
            Self::AesCcm(key, icv) => (key.octets(), 3, 8, 1, icv.octets()),
            Self::AesGmac(key) => (key.octets(), 4, 8, 1, 16),
            Self::ChaCha20Poly1305 => (32, 4, 8, 1, 16),
        };
        CipherLengths { key, salt, iv, block, icv }
    }

    /// Returns whether the cipher authenticates by itself, so that it stands without an integrity algorithm.
    pub const fn is_combined(self) -> bool {
        self.lengths().icv > 0
    }

    /// Returns whether the cipher hides what it carries.
    pub const fn is_confidential(self) -> bool {
        !matches!(self, Self::Null | Self::AesGmac(_))
    }

    /// Returns whether only an operator who asks for it by a dangerous name should get it.
    pub const fn is_dangerous(self) -> bool {
        matches!(self, Self::DesCbc)
    }

    /// Returns the ESP transform identifier (RFC 2407 §4.4.4 and the IPsec registry).
    ///
    /// IKEv1 has none for ChaCha20-Poly1305; 28 is the number of IKEv2, which peers that offer it use.
    pub const fn transform_id(self) -> u8 {
        match self {
            Self::DesCbc => 2,
            Self::TripleDesCbc => 3,
            Self::Null => 11,
            Self::AesCbc(_) => 12,
            Self::AesCtr(_) => 13,
            Self::AesCcm(_, IcvLen::Octets8) => 14,
            Self::AesCcm(_, IcvLen::Octets12) => 15,
            Self::AesCcm(_, IcvLen::Octets16) => 16,
            Self::AesGcm(_, IcvLen::Octets8) => 18,
            Self::AesGcm(_, IcvLen::Octets12) => 19,
            Self::AesGcm(_, IcvLen::Octets16) => 20,
            Self::AesGmac(_) => 23,
            Self::ChaCha20Poly1305 => 28,
        }
    }

    /// Returns the value of the Key Length attribute, for ciphers that need one.
    pub const fn key_length(self) -> Option<u16> {
        match self {
            Self::Null | Self::DesCbc | Self::TripleDesCbc | Self::ChaCha20Poly1305 => None,
            Self::AesCbc(key)
            | Self::AesCtr(key)
            | Self::AesGcm(key, _)
            | Self::AesCcm(key, _)
            | Self::AesGmac(key) => Some(key.bits()),
        }
    }

    /// Returns the cipher of a transform identifier and Key Length attribute, if it is in the table.
    ///
    /// AES without the attribute is 128 bits, as peers mean it (RFC 3602 §3 recommends it as default).
    pub fn from_transform(id: u8, key_length: Option<u16>) -> Option<Self> {
        let key_length = key_length.or_else(|| Self::all().find(|c| c.transform_id() == id)?.key_length());
        Self::all().find(|cipher| cipher.transform_id() == id && cipher.key_length() == key_length)
    }
}

impl fmt::Display for CipherAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Null => f.write_str("NULL"),
            Self::DesCbc => f.write_str("DES-CBC"),
            Self::TripleDesCbc => f.write_str("3DES-CBC"),
            Self::AesCbc(key) => write!(f, "AES-{}-CBC", key.bits()),
            Self::AesCtr(key) => write!(f, "AES-{}-CTR", key.bits()),
            Self::AesGcm(key, icv) => write!(f, "AES-{}-GCM-{}", key.bits(), icv.octets()),
            Self::AesCcm(key, icv) => write!(f, "AES-{}-CCM-{}", key.bits(), icv.octets()),
            Self::AesGmac(key) => write!(f, "AES-{}-GMAC", key.bits()),
            Self::ChaCha20Poly1305 => f.write_str("ChaCha20-Poly1305"),
        }
    }
}

/// An integrity algorithm of ESP and AH that we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IntegrityAlgorithm {
    /// No integrity: right beside a combined mode, dangerous beside anything else.
    None,
    /// HMAC-MD5, 96 bits (RFC 2403). Dangerous in new designs, lawful for old routers.
    HmacMd5_96,
    /// HMAC-SHA-1, 96 bits (RFC 2404).
    HmacSha1_96,
    /// HMAC-SHA-256, 128 bits (RFC 4868).
    HmacSha256_128,
    /// HMAC-SHA-256 cut to 96 bits, as Linux did before 2.6.33 from a draft of RFC 4868.
    HmacSha256_96,
    /// HMAC-SHA-384, 192 bits (RFC 4868).
    HmacSha384_192,
    /// HMAC-SHA-512, 256 bits (RFC 4868).
    HmacSha512_256,
    /// AES-XCBC-MAC, 96 bits (RFC 3566).
    AesXcbc96,
    /// AES-CMAC, 96 bits (RFC 4494).
    AesCmac96,
}

impl IntegrityAlgorithm {
    /// Every integrity algorithm in the table.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::HmacMd5_96,
        Self::HmacSha1_96,
        Self::HmacSha256_128,
        Self::HmacSha256_96,
        Self::HmacSha384_192,
        Self::HmacSha512_256,
        Self::AesXcbc96,
        Self::AesCmac96,
    ];

    /// Returns the key's octets.
    pub const fn key_len(self) -> usize {
        match self {
            Self::None => 0,
            Self::HmacMd5_96 | Self::AesXcbc96 | Self::AesCmac96 => 16,
            Self::HmacSha1_96 => 20,
            Self::HmacSha256_128 | Self::HmacSha256_96 => 32,
            Self::HmacSha384_192 => 48,
            Self::HmacSha512_256 => 64,
        }
    }

    /// Returns the ICV's octets.
    pub const fn icv_len(self) -> usize {
        match self {
            Self::None => 0,
            Self::HmacMd5_96 | Self::HmacSha1_96 | Self::HmacSha256_96 | Self::AesXcbc96 | Self::AesCmac96 => 12,
            Self::HmacSha256_128 => 16,
            Self::HmacSha384_192 => 24,
            Self::HmacSha512_256 => 32,
        }
    }

    /// Returns whether only an operator who asks for it by a dangerous name should get it.
    pub const fn is_dangerous(self) -> bool {
        matches!(self, Self::HmacMd5_96)
    }

    /// Returns the value of the Authentication Algorithm attribute (RFC 2407 §4.5 and the registry).
    ///
    /// The 96-bit cut of HMAC-SHA-256 shares the number of the whole one: peers agree on it by
    /// configuration. AES-CMAC-96 has no number in IKEv1, nor has no integrity.
    pub const fn attribute(self) -> Option<u16> {
        match self {
            Self::None | Self::AesCmac96 => None,
            Self::HmacMd5_96 => Some(1),
            Self::HmacSha1_96 => Some(2),
            Self::HmacSha256_128 | Self::HmacSha256_96 => Some(5),
            Self::HmacSha384_192 => Some(6),
            Self::HmacSha512_256 => Some(7),
            Self::AesXcbc96 => Some(9),
        }
    }

    /// Returns the algorithm of an Authentication Algorithm attribute, if it is in the table.
    pub fn from_attribute(value: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|integrity| integrity.attribute() == Some(value))
    }

    /// Returns the AH transform identifier (RFC 2407 §4.4.3 and the registry).
    pub const fn transform_id(self) -> Option<u8> {
        match self {
            Self::None | Self::AesCmac96 => None,
            Self::HmacMd5_96 => Some(2),
            Self::HmacSha1_96 => Some(3),
            Self::HmacSha256_128 | Self::HmacSha256_96 => Some(5),
            Self::HmacSha384_192 => Some(6),
            Self::HmacSha512_256 => Some(7),
            Self::AesXcbc96 => Some(9),
        }
    }

    /// Returns the algorithm of an AH transform identifier, if it is in the table.
    pub fn from_transform(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|integrity| integrity.transform_id() == Some(id))
    }
}

impl fmt::Display for IntegrityAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::HmacMd5_96 => "HMAC-MD5-96",
            Self::HmacSha1_96 => "HMAC-SHA1-96",
            Self::HmacSha256_128 => "HMAC-SHA2-256-128",
            Self::HmacSha256_96 => "HMAC-SHA2-256-96",
            Self::HmacSha384_192 => "HMAC-SHA2-384-192",
            Self::HmacSha512_256 => "HMAC-SHA2-512-256",
            Self::AesXcbc96 => "AES-XCBC-96",
            Self::AesCmac96 => "AES-CMAC-96",
        })
    }
}

/// Why a cipher and an integrity algorithm do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SuiteError {
    /// Nothing is protected at all (RFC 4301 §3.2: NULL with NULL must not be).
    #[error("neither encryption nor integrity")]
    NothingProtected,
    /// Encryption without integrity is possible by [`Suite::dangerously_unauthenticated`] only.
    #[error("encryption without integrity")]
    Unauthenticated,
    /// A combined mode stands alone.
    #[error("a combined mode takes no further integrity algorithm")]
    Combined,
}

/// A cipher and an integrity algorithm that go together in ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Suite {
    cipher: CipherAlgorithm,
    integrity: IntegrityAlgorithm,
}

impl Suite {
    /// Returns the suite.
    ///
    /// # Errors
    /// NULL with nothing, a cipher alone that is not a combined mode, or a combined mode with company.
    pub const fn new(cipher: CipherAlgorithm, integrity: IntegrityAlgorithm) -> Result<Self, SuiteError> {
        match (cipher.is_combined(), integrity) {
            (true, IntegrityAlgorithm::None) => Ok(Self { cipher, integrity }),
            (true, _) => Err(SuiteError::Combined),
            (false, IntegrityAlgorithm::None) if cipher.is_confidential() => Err(SuiteError::Unauthenticated),
            (false, IntegrityAlgorithm::None) => Err(SuiteError::NothingProtected),
            (false, _) => Ok(Self { cipher, integrity }),
        }
    }

    /// Returns a suite that encrypts and does not authenticate.
    ///
    /// Whoever is on the way can change such packets and learn from what happens (CVE-2005-0039). Old
    /// routers with a hash algorithm of NONE need it; nothing else does.
    ///
    /// # Errors
    /// A cipher that does not encrypt, or a combined mode, which authenticates anyway; and AES-CTR, whose texts anyone
    /// can change bit by bit (RFC 3686 §3.3).
    pub const fn dangerously_unauthenticated(cipher: CipherAlgorithm) -> Result<Self, SuiteError> {
        match (cipher.is_combined(), cipher.is_confidential()) {
            _ if matches!(cipher, CipherAlgorithm::AesCtr(_)) => Err(SuiteError::Unauthenticated),
            (true, _) => Err(SuiteError::Combined),
            (false, false) => Err(SuiteError::NothingProtected),
            (false, true) => Ok(Self { cipher, integrity: IntegrityAlgorithm::None }),
        }
    }

    /// Returns every suite, those that encrypt only included.
    pub fn all() -> impl Iterator<Item = Self> {
        CipherAlgorithm::all().flat_map(|cipher| {
            IntegrityAlgorithm::ALL
                .into_iter()
                .filter_map(move |integrity| Self::new(cipher, integrity).ok())
                .chain(Self::dangerously_unauthenticated(cipher).ok())
        })
    }

    /// Returns the cipher.
    pub const fn cipher(self) -> CipherAlgorithm {
        self.cipher
    }

    /// Returns the integrity algorithm.
    pub const fn integrity(self) -> IntegrityAlgorithm {
        self.integrity
    }

    /// Returns the octets of key material for one direction: cipher key, salt, integrity key, in this order.
    pub const fn keymat_len(self) -> usize {
        let cipher = self.cipher.lengths();
        cipher.key + cipher.salt + self.integrity.key_len()
    }

    /// Returns the octets of the ICV.
    pub const fn icv_len(self) -> usize {
        self.cipher.lengths().icv + self.integrity.icv_len()
    }

    /// Returns whether only an operator who asks for it by a dangerous name should get it.
    pub const fn is_dangerous(self) -> bool {
        let unauthenticated = matches!(self.integrity, IntegrityAlgorithm::None) && !self.cipher.is_combined();
        unauthenticated || self.cipher.is_dangerous() || self.integrity.is_dangerous()
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cipher.is_combined() {
            write!(f, "{}", self.cipher)
        } else {
            write!(f, "{} + {}", self.cipher, self.integrity)
        }
    }
}
