use super::{Emit, NatNumbering};
use crate::error::{ErrorKind, WireError};
use crate::reader::Reader;
use crate::registry::{IdType, PayloadType};
use crate::writer::Writer;
use core::net::IpAddr;

/// The address of an end before any NAT (NAT-OA, RFC 3947 §5.2).
///
/// ```text
/// +---------------+---------------+---------------+---------------+
/// |    ID Type    |           RESERVED, ignored                   |
/// +---------------+---------------+---------------+---------------+
/// |           IPv4 (4 octets) or IPv6 address (16 octets)         |
/// +---------------+---------------+---------------+---------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NatOriginalAddress {
    /// Under which numbers it travels.
    pub numbering: NatNumbering,
    /// The address.
    pub address: IpAddr,
}

impl NatOriginalAddress {
    /// Reads a body.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`], [`ErrorKind::Trailing`] when the length does not fit the type;
    /// [`ErrorKind::Range`] for a type that is not an address.
    pub fn parse<'a>(numbering: NatNumbering, body: impl Into<Reader<'a>>) -> Result<Self, WireError> {
        let mut reader = body.into();
        let fault = reader.error(ErrorKind::Range, "NAT-OA type");
        let id_type = IdType(reader.u8("NAT-OA type")?);
        reader.octets(3, "reserved")?;
        let address = match id_type {
            IdType::IPV4_ADDR => IpAddr::from(reader.array::<4>("NAT-OA address")?),
            IdType::IPV6_ADDR => IpAddr::from(reader.array::<16>("NAT-OA address")?),
            _ => return Err(fault),
        };
        reader.finish("NAT-OA address")?;
        Ok(Self { numbering, address })
    }
}

impl Emit for NatOriginalAddress {
    fn payload_type(&self) -> PayloadType {
        self.numbering.nat_oa()
    }

    fn emitted_len(&self) -> usize {
        match self.address {
            IpAddr::V4(_) => 8,
            IpAddr::V6(_) => 20,
        }
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        match self.address {
            IpAddr::V4(address) => {
                writer.octets(&[IdType::IPV4_ADDR.0, 0, 0, 0]);
                writer.octets(&address.octets());
            }
            IpAddr::V6(address) => {
                writer.octets(&[IdType::IPV6_ADDR.0, 0, 0, 0]);
                writer.octets(&address.octets());
            }
        }
    }
}
