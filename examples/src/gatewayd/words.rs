//! The words of the configuration file: addresses, durations, identities, algorithms.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;
use core::time::Duration;
use drive::SecretBytes;
use ikev1_core::proposal::{Bundle, BundleTextError};
use serde::{Deserialize, Deserializer};

/// Why a word of the configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// It is not `address/length`, or the length is beyond the family's.
    #[error("`{0}` is not a prefix: write an address, a slash and a length, such as 10.1.0.0/16")]
    Prefix(String),
    /// Bits to the right of the prefix length are set.
    #[error("`{0}` has bits set beyond its length")]
    HostBits(String),
    /// It is not a number with a unit.
    #[error("`{0}` is not a duration: write a number and s, m, h or d, such as 8h")]
    Duration(String),
    /// It is no association with manual keys.
    #[error("not an association: write esp 0xSPI CIPHER-HASH HEXKEYS, ah 0xSPI HASH HEXKEY, or ipcomp 0xCPI")]
    Association,
    /// It is neither an address nor `any`.
    #[error("`{0}` is neither an address nor `any`")]
    Remote(String),
    /// It is no identity of a kind we know.
    #[error("`{0}` is not an identity: write an address, a domain name, user@domain, dn:C=CH,CN=NAME, or keyid:TEXT")]
    Identity(String),
    /// A word of a proposal is unknown.
    #[error("`{word}` in `{proposal}` is no algorithm we know here; write {expected}")]
    Algorithm {
        /// The unknown word.
        word: String,
        /// The proposal it stands in.
        proposal: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A proposal lacks a part.
    #[error("`{proposal}` names no {part}; write {expected}")]
    Missing {
        /// The proposal.
        proposal: String,
        /// The part that is missing.
        part: &'static str,
        /// What a whole proposal looks like.
        expected: &'static str,
    },
}

macro_rules! from_text {
    ($($name:ty),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

from_text!(Prefix, Span, Remote, Identity, IkeProposal, EspProposal, Group, Suites);

/// An address with a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// Its leading bits that count.
    pub length: u8,
}

impl Prefix {
    /// Returns an error if a bit beyond the length is set.
    pub fn network(self) -> Result<Self, WordError> {
        let (bits, width) = match self.address {
            IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let beyond = bits.checked_shl(u32::from(self.length)).unwrap_or(0);
        if self.length < width && beyond != 0 {
            return Err(WordError::HostBits(self.to_string()));
        }
        Ok(self)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let refused = || WordError::Prefix(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(refused)?;
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let length: u8 = length.parse().map_err(|_| refused())?;
        if length > if address.is_ipv4() { 32 } else { 128 } {
            return Err(refused());
        }
        Ok(Self { address, length })
    }
}

/// A span of time, written `90s`, `15m`, `8h` or `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let refused = || WordError::Duration(text.to_owned());
        let (number, factor) = match text.as_bytes().last() {
            Some(b's') => (text.strip_suffix('s'), 1),
            Some(b'm') => (text.strip_suffix('m'), 60),
            Some(b'h') => (text.strip_suffix('h'), 3_600),
            Some(b'd') => (text.strip_suffix('d'), 86_400),
            _ => (None, 0),
        };
        let number: u64 = number.and_then(|digits| digits.parse().ok()).ok_or_else(refused)?;
        let seconds = number.checked_mul(factor).ok_or_else(refused)?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

/// The peer's address, the subnet it comes from, or any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// This address.
    Address(IpAddr),
    /// Whoever comes from this subnet; such a connection can answer only.
    Subnet(Prefix),
    /// Whoever comes; such a connection can answer only.
    Any,
}

impl FromStr for Remote {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        if text == "any" {
            return Ok(Self::Any);
        }
        if text.contains('/') {
            return text.parse().and_then(Prefix::network).map(Self::Subnet);
        }
        text.parse().map(Self::Address).map_err(|_| WordError::Remote(text.to_owned()))
    }
}

/// What one end calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// An address.
    Address(IpAddr),
    /// A domain name.
    Fqdn(String),
    /// A user at a domain.
    UserFqdn(String),
    /// A distinguished name.
    DistinguishedName(ikev1_core::Identity),
    /// Octets that mean something to both ends only.
    KeyId(Vec<u8>),
}

impl FromStr for Identity {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        if let Some(name) = text.strip_prefix("dn:") {
            let name = ikev1_core::Identity::distinguished_name(name);
            return name.map(Self::DistinguishedName).ok_or_else(|| WordError::Identity(text.to_owned()));
        }
        if let Some(key) = text.strip_prefix("keyid:") {
            return if key.is_empty() {
                Err(WordError::Identity(text.to_owned()))
            } else {
                Ok(Self::KeyId(key.as_bytes().to_vec()))
            };
        }
        let sound = |name: &str| {
            !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet))
        };
        match text.split_once('@') {
            Some((user, domain)) if sound(user) && sound(domain) => Ok(Self::UserFqdn(text.to_owned())),
            None if sound(text) => Ok(Self::Fqdn(text.to_owned())),
            Some(_) | None => Err(WordError::Identity(text.to_owned())),
        }
    }
}

/// An encryption algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES in CBC mode with a key of 128 bits.
    Aes128,
    /// AES in CBC mode with a key of 192 bits.
    Aes192,
    /// AES in CBC mode with a key of 256 bits.
    Aes256,
    /// Triple DES.
    TripleDes,
    /// DES: broken, for old peers only.
    Des,
    /// No encryption at all (ESP only).
    Null,
}

/// A hash or its HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// MD5: broken, for old peers only.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A Diffie-Hellman group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// 768 bits, group 1: broken, for old peers only.
    Modp768,
    /// 1024 bits, group 2: weak, for old peers only.
    Modp1024,
    /// 1536 bits, group 5.
    Modp1536,
    /// 2048 bits, group 14.
    Modp2048,
    /// 3072 bits, group 15.
    Modp3072,
    /// 4096 bits, group 16.
    Modp4096,
    /// 6144 bits, group 17.
    Modp6144,
    /// 8192 bits, group 18.
    Modp8192,
    /// The curve P-256, group 19.
    Ecp256,
    /// The curve P-384, group 20.
    Ecp384,
    /// The curve P-521, group 21.
    Ecp521,
}

impl FromStr for Group {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        required(GROUPS, Some(text), text, "group", GROUP_EXPECTED)
    }
}

/// The choices for IPsec SAs in the bundle language, such as `ah-sha1 + esp-aes128, esp-aes256-sha256`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suites(pub Vec<Bundle>);

impl FromStr for Suites {
    type Err = BundleTextError;

    fn from_str(text: &str) -> Result<Self, BundleTextError> {
        Bundle::parse_alternatives(text).map(Self)
    }
}

const CIPHERS: &[(&str, Cipher)] = &[
    ("aes128", Cipher::Aes128),
    ("aes192", Cipher::Aes192),
    ("aes256", Cipher::Aes256),
    ("3des", Cipher::TripleDes),
    ("des", Cipher::Des),
    ("null", Cipher::Null),
];

const HASHES: &[(&str, Hash)] = &[
    ("md5", Hash::Md5),
    ("sha1", Hash::Sha1),
    ("sha256", Hash::Sha256),
    ("sha384", Hash::Sha384),
    ("sha512", Hash::Sha512),
];

const GROUPS: &[(&str, Group)] = &[
    ("modp768", Group::Modp768),
    ("modp1024", Group::Modp1024),
    ("modp1536", Group::Modp1536),
    ("modp2048", Group::Modp2048),
    ("modp3072", Group::Modp3072),
    ("modp4096", Group::Modp4096),
    ("modp6144", Group::Modp6144),
    ("modp8192", Group::Modp8192),
    ("ecp256", Group::Ecp256),
    ("ecp384", Group::Ecp384),
    ("ecp521", Group::Ecp521),
];

const GROUP_EXPECTED: &str = "a group of modp768 to modp8192, ecp256 to ecp521";
const IKE_EXPECTED: &str = "CIPHER-HASH-GROUP of aes128 aes192 aes256 3des des, md5 sha1 sha256 sha384 sha512, modp768 to modp8192, ecp256 to ecp521";
const ESP_EXPECTED: &str = "CIPHER-HASH or CIPHER-HASH-GROUP of aes128 aes192 aes256 3des des null, md5 sha1 sha256 sha384 sha512, modp768 to modp8192, ecp256 to ecp521";

/// One choice for the ISAKMP SA, written `aes256-sha256-modp2048`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IkeProposal {
    /// Encryption of the exchange.
    pub cipher: Cipher,
    /// Its hash and pseudo-random function.
    pub hash: Hash,
    /// Its group.
    pub group: Group,
    text: String,
}

/// One choice for an IPsec SA, written `aes256-sha256`, or with a group for perfect forward secrecy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EspProposal {
    /// Encryption of the packets.
    pub cipher: Cipher,
    /// Their integrity.
    pub hash: Hash,
    /// The group of a fresh exchange, if perfect forward secrecy is wanted.
    pub pfs: Option<Group>,
    text: String,
}

impl FromStr for IkeProposal {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let mut words = text.split('-');
        let cipher = required(CIPHERS, words.next(), text, "cipher", IKE_EXPECTED)?;
        let hash = required(HASHES, words.next(), text, "hash", IKE_EXPECTED)?;
        let group = required(GROUPS, words.next(), text, "group", IKE_EXPECTED)?;
        if cipher == Cipher::Null {
            return Err(unknown("null", text, IKE_EXPECTED));
        }
        finish(words.next(), text, IKE_EXPECTED)?;
        Ok(Self { cipher, hash, group, text: text.to_owned() })
    }
}

impl FromStr for EspProposal {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let mut words = text.split('-');
        let cipher = required(CIPHERS, words.next(), text, "cipher", ESP_EXPECTED)?;
        let hash = required(HASHES, words.next(), text, "hash", ESP_EXPECTED)?;
        let pfs = match words.next() {
            Some(word) => Some(required(GROUPS, Some(word), text, "group", ESP_EXPECTED)?),
            None => None,
        };
        finish(words.next(), text, ESP_EXPECTED)?;
        Ok(Self { cipher, hash, pfs, text: text.to_owned() })
    }
}

impl fmt::Display for IkeProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for EspProposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn required<T: Copy>(
    table: &[(&str, T)],
    word: Option<&str>,
    proposal: &str,
    part: &'static str,
    expected: &'static str,
) -> Result<T, WordError> {
    let Some(word) = word else {
        return Err(WordError::Missing { proposal: proposal.to_owned(), part, expected });
    };
    let row = table.iter().find(|(name, _)| *name == word);
    row.map(|(_, value)| *value).ok_or_else(|| unknown(word, proposal, expected))
}

fn finish(word: Option<&str>, proposal: &str, expected: &'static str) -> Result<(), WordError> {
    word.map_or(Ok(()), |word| Err(unknown(word, proposal, expected)))
}

fn unknown(word: &str, proposal: &str, expected: &'static str) -> WordError {
    WordError::Algorithm { word: word.to_owned(), proposal: proposal.to_owned(), expected }
}

/// A secret written in the file itself.
#[derive(Debug)]
pub struct SecretText(pub SecretBytes);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretBytes::new(text.into_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_with_host_bits_is_refused() {
        let prefix: Prefix = "10.10.1.1/24".parse().unwrap();
        assert_eq!(prefix.network(), Err(WordError::HostBits("10.10.1.1/24".into())));
        for sound in ["10.10.1.0/24", "10.10.1.1/32", "0.0.0.0/0", "2001:db8::/32", "2001:db8::1/128"] {
            let prefix: Prefix = sound.parse().unwrap();
            assert_eq!(prefix.network(), Ok(prefix));
        }
    }

    #[test]
    fn prefixes_beyond_the_family_are_refused() {
        for wrong in ["10.0.0.0", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/-1", ""] {
            assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_have_units_and_do_not_overflow() {
        assert_eq!("8h".parse(), Ok(Span(Duration::from_secs(28_800))));
        assert_eq!("90s".parse(), Ok(Span(Duration::from_secs(90))));
        for wrong in ["", "s", "8", "8w", "-1s", "18446744073709551615d", "8é"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn identities_are_told_apart_by_their_form() {
        assert_eq!("192.0.2.1".parse(), Ok(Identity::Address([192, 0, 2, 1].into())));
        assert_eq!("left.example.org".parse(), Ok(Identity::Fqdn("left.example.org".into())));
        assert_eq!("a@b.example".parse(), Ok(Identity::UserFqdn("a@b.example".into())));
        assert_eq!("keyid:group one".parse(), Ok(Identity::KeyId(b"group one".to_vec())));
        for wrong in ["", "keyid:", "@b", "a@", "a b", "192.0.2.1/24"] {
            assert!(wrong.parse::<Identity>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn proposals_name_cipher_hash_and_group() {
        let proposal: IkeProposal = "aes256-sha256-modp2048".parse().unwrap();
        assert_eq!((proposal.cipher, proposal.hash), (Cipher::Aes256, Hash::Sha256));
        assert_eq!(proposal.group, Group::Modp2048);
        let proposal: EspProposal = "aes128-sha1".parse().unwrap();
        assert_eq!(proposal.pfs, None);
        let proposal: EspProposal = "aes128-sha1-modp1536".parse().unwrap();
        assert_eq!(proposal.pfs, Some(Group::Modp1536));
    }

    #[test]
    fn a_wrong_proposal_is_refused_with_its_word() {
        for (wrong, word) in
            [("aes128-sha1-modp2047", "modp2047"), ("aes-sha1-modp2048", "aes"), ("aes128-sha1-modp2048-x", "x")]
        {
            let error = wrong.parse::<IkeProposal>().unwrap_err();
            assert!(matches!(&error, WordError::Algorithm { word: w, .. } if w == word), "{error}");
        }
        assert!(matches!("aes128".parse::<EspProposal>(), Err(WordError::Missing { part: "hash", .. })));
        assert!("null-sha1-modp2048".parse::<IkeProposal>().is_err());
    }
}
