mod distinguished_name;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

/// Who an end says it is in phase 1, RFC 2407 §4.6.2.
///
/// Names are compared as the octets that arrived, without regard to the case of ASCII letters in
/// domain names; distinguished names part by part, their strings without regard to case and spacing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Identity {
    /// An address (`ID_IPV4_ADDR`, `ID_IPV6_ADDR`).
    Address(IpAddr),
    /// A domain name (`ID_FQDN`).
    Fqdn(String),
    /// A user at a domain (`ID_USER_FQDN`).
    UserFqdn(String),
    /// A distinguished name in DER (`ID_DER_ASN1_DN`).
    DistinguishedName(Vec<u8>),
    /// Octets that mean something to both ends (`ID_KEY_ID`), such as a group name.
    KeyId(Vec<u8>),
}

/// Why the body of an identification payload names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The type is not one that can name an end.
    #[error("identity type {0} cannot name an end")]
    Type(u8),
    /// The length does not fit the type.
    #[error("identity type {0} does not have {1} octets")]
    Length(u8, usize),
    /// A distinguished name is not one in DER.
    #[error("the distinguished name is malformed")]
    NotName,
    /// A name holds octets that are not printable ASCII.
    #[error("the name is not printable ASCII")]
    NotPrintable,
}

/// The longest name or key id an end may present, in octets: a DN of a large certificate fits.
pub const MAX_IDENTITY: usize = 2048;

impl Identity {
    /// Reads a distinguished name from text such as `C=CH, O=Example, CN=left`; a backslash stands before a
    /// comma that belongs to a value. `None` for unknown types and empty values.
    pub fn distinguished_name(text: &str) -> Option<Self> {
        let der = distinguished_name::from_text(text)?;
        if der.len() > MAX_IDENTITY { None } else { Some(Self::DistinguishedName(der)) }
    }

    /// Returns the number of the identity type on the wire.
    pub const fn type_number(&self) -> u8 {
        match self {
            Self::Address(IpAddr::V4(_)) => 1,
            Self::Fqdn(_) => 2,
            Self::UserFqdn(_) => 3,
            Self::Address(IpAddr::V6(_)) => 5,
            Self::DistinguishedName(_) => 9,
            Self::KeyId(_) => 11,
        }
    }

    /// Returns the identification data as it stands on the wire.
    pub fn data(&self) -> Vec<u8> {
        match self {
            Self::Address(IpAddr::V4(address)) => address.octets().to_vec(),
            Self::Address(IpAddr::V6(address)) => address.octets().to_vec(),
            Self::Fqdn(name) | Self::UserFqdn(name) => name.as_bytes().to_vec(),
            Self::DistinguishedName(octets) | Self::KeyId(octets) => octets.clone(),
        }
    }

    /// Reads an identity from its type and data.
    ///
    /// # Errors
    /// Types that name a set of addresses or are unknown, lengths that do not fit, names that are
    /// not printable ASCII.
    pub fn read(type_number: u8, data: &[u8]) -> Result<Self, IdentityError> {
        let wrong_length = IdentityError::Length(type_number, data.len());
        if data.is_empty() || data.len() > MAX_IDENTITY {
            return Err(wrong_length);
        }
        match type_number {
            1 => <[u8; 4]>::try_from(data).map(|octets| Self::Address(octets.into())).map_err(|_| wrong_length),
            5 => <[u8; 16]>::try_from(data).map(|octets| Self::Address(octets.into())).map_err(|_| wrong_length),
            2 => printable(data).map(Self::Fqdn),
            3 => printable(data).map(Self::UserFqdn),
            9 if distinguished_name::is_name(data) => Ok(Self::DistinguishedName(data.to_vec())),
            9 => Err(IdentityError::NotName),
            11 => Ok(Self::KeyId(data.to_vec())),
            other => Err(IdentityError::Type(other)),
        }
    }

    /// Returns whether both name the same end.
    pub fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fqdn(a), Self::Fqdn(b)) => a.eq_ignore_ascii_case(b),
            (Self::UserFqdn(a), Self::UserFqdn(b)) => a.eq_ignore_ascii_case(b),
            (Self::DistinguishedName(a), Self::DistinguishedName(b)) => distinguished_name::same(a, b),
            (Self::Address(_) | Self::Fqdn(_) | Self::UserFqdn(_) | Self::DistinguishedName(_) | Self::KeyId(_), _) => {
                self == other
            }
        }
    }
}

fn printable(data: &[u8]) -> Result<String, IdentityError> {
    if !data.iter().all(|octet| (0x21..=0x7e).contains(octet)) {
        return Err(IdentityError::NotPrintable);
    }
    String::from_utf8(data.to_vec()).map_err(|_| IdentityError::NotPrintable)
}

impl From<IpAddr> for Identity {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

/// The name as an operator writes it; octets that are no text are in hexadecimal.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Fqdn(name) | Self::UserFqdn(name) => f.write_str(name),
            Self::DistinguishedName(der) => distinguished_name::write(der, f),
            Self::KeyId(octets) => match printable(octets) {
                Ok(text) => write!(f, "keyid:{text}"),
                Err(_) => {
                    f.write_str("keyid:0x")?;
                    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn every_identity_reads_back_from_its_type_and_data() {
        for identity in [
            Identity::Address([192, 0, 2, 1].into()),
            Identity::Address(core::net::Ipv6Addr::LOCALHOST.into()),
            Identity::Fqdn("left.example.org".to_string()),
            Identity::UserFqdn("alice@example.org".to_string()),
            Identity::distinguished_name("C=CH, CN=left").unwrap(),
            Identity::KeyId(b"labgroup".to_vec()),
        ] {
            assert_eq!(Identity::read(identity.type_number(), &identity.data()), Ok(identity));
        }
    }

    #[test]
    fn types_that_name_many_addresses_name_no_end() {
        for type_number in (0u8..=255).filter(|t| ![1, 2, 3, 5, 9, 11].contains(t)) {
            assert_eq!(Identity::read(type_number, b"abcdefgh"), Err(IdentityError::Type(type_number)));
        }
    }

    #[test]
    fn names_with_control_octets_are_refused() {
        assert_eq!(Identity::read(2, b"a\0b"), Err(IdentityError::NotPrintable));
        assert_eq!(Identity::read(3, b"a b"), Err(IdentityError::NotPrintable));
        assert_eq!(Identity::read(1, b"abc"), Err(IdentityError::Length(1, 3)));
    }

    #[test]
    fn domain_names_match_without_regard_to_case() {
        let upper = Identity::Fqdn("LEFT.example.ORG".to_string());
        let lower = Identity::Fqdn("left.example.org".to_string());
        assert!(upper.matches(&lower));
        assert!(!lower.matches(&Identity::UserFqdn("left.example.org".to_string())));
        assert!(!Identity::KeyId(b"A".to_vec()).matches(&Identity::KeyId(b"a".to_vec())));
    }

    #[test]
    fn a_key_id_that_is_no_text_shows_in_hexadecimal() {
        assert_eq!(Identity::KeyId(b"labgroup".to_vec()).to_string(), "keyid:labgroup");
        assert_eq!(Identity::KeyId(alloc::vec![0, 1]).to_string(), "keyid:0x0001");
    }

    proptest! {
        #[test]
        fn what_is_read_writes_the_same_octets(type_number: u8, data in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(identity) = Identity::read(type_number, &data) {
                prop_assert_eq!(identity.type_number(), type_number);
                prop_assert_eq!(identity.data(), data);
            }
        }
    }
}
