use super::Emit;
use crate::error::{ErrorKind, WireError};
use crate::isakmp::header::generic;
use crate::isakmp::limits;
use crate::reader::Reader;
use crate::registry::{IdType, PayloadType};
use crate::writer::Writer;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Who a side is in phase 1, or what traffic an SA is for in phase 2 (RFC 2407 §4.6.2).
///
/// ```text
/// +---------------+---------------+---------------+---------------+
/// |   ID Type     |  Protocol ID  |             Port              |
/// +---------------+---------------+---------------+---------------+
/// ~                     Identification Data                       ~
/// +---------------+---------------+---------------+---------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identification<B> {
    /// The form of the data.
    pub id_type: IdType,
    /// The IP protocol; 0 for any.
    pub protocol: u8,
    /// The port; 0 for any.
    pub port: u16,
    /// The data; see [`identity`](Self::identity).
    pub data: B,
}

impl<'a> Identification<&'a [u8]> {
    /// Reads a body; what the data says is told by [`identity`](Self::identity).
    ///
    /// The data may be empty: a hybrid client sends type 0 and nothing
    /// (draft-ietf-ipsec-isakmp-hybrid-auth §3.2.1).
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] below the fixed part.
    pub fn parse(body: impl Into<Reader<'a>>) -> Result<Self, WireError> {
        let mut reader = body.into();
        let id_type = IdType(reader.u8("ID type")?);
        let protocol = reader.u8("protocol id")?;
        let port = reader.u16("port")?;
        Ok(Self { id_type, protocol, port, data: reader.rest() })
    }
}

impl<B: AsRef<[u8]>> Identification<B> {
    /// The octets before the data.
    pub const FIXED_LEN: usize = 4;

    /// Returns what the data says.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] for data whose length does not fit the type; for an ID_LIST what is
    /// wrong with its members.
    pub fn identity(&self) -> Result<Identity<'_>, ErrorKind> {
        Identity::parse(self.id_type, self.data.as_ref())
    }

    /// Returns a copy that owns its octets.
    pub fn to_owned(&self) -> Identification<Vec<u8>> {
        Identification {
            id_type: self.id_type,
            protocol: self.protocol,
            port: self.port,
            data: self.data.as_ref().to_vec(),
        }
    }
}

impl<B: AsRef<[u8]>> Emit for Identification<B> {
    fn payload_type(&self) -> PayloadType {
        PayloadType::IDENTIFICATION
    }

    fn emitted_len(&self) -> usize {
        self.data.as_ref().len().saturating_add(Self::FIXED_LEN)
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        writer.octets(&[self.id_type.0, self.protocol]);
        writer.u16(self.port);
        writer.octets(self.data.as_ref());
    }
}

/// What the data of an identification says (RFC 2407 §4.6.2.2 to §4.6.2.12, RFC 3554 §3).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity<'a> {
    /// ID_IPV4_ADDR.
    Ipv4(Ipv4Addr),
    /// ID_FQDN, without a terminator.
    Fqdn(&'a [u8]),
    /// ID_USER_FQDN, without a terminator.
    UserFqdn(&'a [u8]),
    /// ID_IPV4_ADDR_SUBNET: address and mask, which need not be a prefix.
    Ipv4Subnet(Ipv4Addr, Ipv4Addr),
    /// ID_IPV6_ADDR.
    Ipv6(Ipv6Addr),
    /// ID_IPV6_ADDR_SUBNET: address and mask, which need not be a prefix.
    Ipv6Subnet(Ipv6Addr, Ipv6Addr),
    /// ID_IPV4_ADDR_RANGE: first and last.
    Ipv4Range(Ipv4Addr, Ipv4Addr),
    /// ID_IPV6_ADDR_RANGE: first and last.
    Ipv6Range(Ipv6Addr, Ipv6Addr),
    /// ID_DER_ASN1_DN: a distinguished name in DER.
    DerDn(&'a [u8]),
    /// ID_DER_ASN1_GN: a general name in DER.
    DerGn(&'a [u8]),
    /// ID_KEY_ID: octets that mean something to the peer.
    KeyId(&'a [u8]),
    /// ID_LIST: several identities.
    List(Identities<'a>),
    /// A type that nothing defines, or the reserved type 0.
    Other(IdType, &'a [u8]),
}

impl<'a> Identity<'a> {
    fn parse(id_type: IdType, data: &'a [u8]) -> Result<Self, ErrorKind> {
        match id_type {
            IdType::IPV4_ADDR => exact(data).map(|a: [u8; 4]| Self::Ipv4(a.into())),
            IdType::FQDN => Ok(Self::Fqdn(data)),
            IdType::USER_FQDN => Ok(Self::UserFqdn(data)),
            IdType::IPV4_ADDR_SUBNET => pair(data).map(|(a, m): ([u8; 4], _)| Self::Ipv4Subnet(a.into(), m.into())),
            IdType::IPV6_ADDR => exact(data).map(|a: [u8; 16]| Self::Ipv6(a.into())),
            IdType::IPV6_ADDR_SUBNET => pair(data).map(|(a, m): ([u8; 16], _)| Self::Ipv6Subnet(a.into(), m.into())),
            IdType::IPV4_ADDR_RANGE => pair(data).map(|(a, b): ([u8; 4], _)| Self::Ipv4Range(a.into(), b.into())),
            IdType::IPV6_ADDR_RANGE => pair(data).map(|(a, b): ([u8; 16], _)| Self::Ipv6Range(a.into(), b.into())),
            IdType::DER_ASN1_DN => Ok(Self::DerDn(data)),
            IdType::DER_ASN1_GN => Ok(Self::DerGn(data)),
            IdType::KEY_ID => Ok(Self::KeyId(data)),
            IdType::LIST => Identities::parse(data).map(Self::List),
            _ => Ok(Self::Other(id_type, data)),
        }
    }
}

/// The members of an ID_LIST, in order (RFC 3554 §3).
#[derive(Clone, Copy, Debug)]
pub struct Identities<'a> {
    rest: Reader<'a>,
}

/// Two lists are the same when their octets are.
impl PartialEq for Identities<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.rest.peek_rest() == other.rest.peek_rest()
    }
}

impl Eq for Identities<'_> {}

impl<'a> Identities<'a> {
    /// A list may not stand in a list, so checking it goes one level deep.
    fn parse(data: &'a [u8]) -> Result<Self, ErrorKind> {
        let list = Self { rest: Reader::new(data) };
        let mut rest = list.rest;
        let mut count: usize = 0;
        while !rest.is_empty() {
            let member = member(&mut rest).map_err(|error| error.kind)?;
            count = count.saturating_add(1);
            if count > limits::IDENTITIES {
                return Err(ErrorKind::TooMany);
            }
            if member.id_type == IdType::LIST {
                return Err(ErrorKind::Nested);
            }
            member.identity()?;
        }
        if count == 0 { Err(ErrorKind::Empty) } else { Ok(list) }
    }
}

impl<'a> Iterator for Identities<'a> {
    type Item = Identification<&'a [u8]>;

    fn next(&mut self) -> Option<Identification<&'a [u8]>> {
        member(&mut self.rest).ok()
    }
}

/// Reads one member: a whole payload whose next-payload octet means nothing.
fn member<'a>(rest: &mut Reader<'a>) -> Result<Identification<&'a [u8]>, WireError> {
    let (_, body) = generic(rest)?;
    Identification::parse(body)
}

fn exact<const N: usize>(data: &[u8]) -> Result<[u8; N], ErrorKind> {
    data.try_into().map_err(|_| ErrorKind::Length)
}

fn pair<const N: usize>(data: &[u8]) -> Result<([u8; N], [u8; N]), ErrorKind> {
    let (first, second) = data.split_at_checked(N).ok_or(ErrorKind::Length)?;
    Ok((exact(first)?, exact(second)?))
}
