//! UDP headers.
//!
//! ```text
//! |          Source Port          |       Destination Port        |
//! |            Length             |           Checksum            |
//! ```
//! (RFC 768)

use crate::checksum::Checksum;
use crate::error::{ErrorKind, WireError};
use crate::octets::{read_u16, span, write};
use core::net::IpAddr;

/// Octets of the header.
pub const HEADER_LEN: usize = 8;
/// The protocol number.
pub const PROTOCOL: u8 = 17;

mod at {
    pub(super) const SOURCE_PORT: usize = 0;
    pub(super) const DESTINATION_PORT: usize = 2;
    pub(super) const LENGTH: usize = 4;
    pub(super) const CHECKSUM: usize = 6;
}

/// A view of a UDP datagram: header and payload.
#[derive(Clone, Copy, Debug)]
pub struct UdpDatagram<T> {
    octets: T,
}

impl<T: AsRef<[u8]>> UdpDatagram<T> {
    /// Checks lengths and makes the view.
    ///
    /// # Errors
    /// Fewer octets than the header or the length field says, or a length below the header's.
    pub fn new_checked(octets: T) -> Result<Self, WireError> {
        let bytes = octets.as_ref();
        if bytes.len() < HEADER_LEN {
            return Err(WireError::new(ErrorKind::Truncated, "UDP header", bytes.len()));
        }
        let length = usize::from(read_u16(bytes, at::LENGTH));
        if length < HEADER_LEN || length > bytes.len() {
            return Err(WireError::new(ErrorKind::Length, "UDP length", at::LENGTH));
        }
        Ok(Self { octets })
    }

    /// Returns the source port.
    pub fn source_port(&self) -> u16 {
        read_u16(self.octets.as_ref(), at::SOURCE_PORT)
    }

    /// Returns the destination port.
    pub fn destination_port(&self) -> u16 {
        read_u16(self.octets.as_ref(), at::DESTINATION_PORT)
    }

    /// Returns the octets of header and payload.
    pub fn length(&self) -> usize {
        read_u16(self.octets.as_ref(), at::LENGTH).into()
    }

    /// Returns the checksum; zero says that the sender made none.
    pub fn checksum(&self) -> u16 {
        read_u16(self.octets.as_ref(), at::CHECKSUM)
    }

    /// Returns whether the checksum is right between these addresses, or absent over IPv4.
    ///
    /// Addresses of two families never match.
    pub fn checksum_is_valid(&self, source: IpAddr, destination: IpAddr) -> bool {
        let datagram = span(self.octets.as_ref(), 0, self.length());
        match (source, destination) {
            (IpAddr::V4(_), IpAddr::V4(_)) if self.checksum() == 0 => true,
            (IpAddr::V6(_), IpAddr::V6(_)) if self.checksum() == 0 => false,
            _ => pseudo(source, destination, datagram.len()).is_some_and(|sum| sum.with(datagram).is_valid()),
        }
    }

    /// Returns the payload.
    pub fn payload(&self) -> &[u8] {
        span(self.octets.as_ref(), HEADER_LEN, self.length())
    }
}

/// Writes the header of a datagram whose payload of `octets.len() - 8` octets is in place.
///
/// With `addresses` the checksum is made (zero becomes `ffff`), without it the field is zero: so is it
/// for ESP in UDP over IPv4 (RFC 3948 §2.1).
///
/// # Errors
/// A buffer shorter than the header or longer than the length field can say.
pub fn emit_header(
    octets: &mut [u8],
    source_port: u16,
    destination_port: u16,
    addresses: Option<(IpAddr, IpAddr)>,
) -> Result<(), WireError> {
    let length = match u16::try_from(octets.len()) {
        Ok(length) if octets.len() >= HEADER_LEN => length,
        Ok(_) | Err(_) => return Err(WireError::new(ErrorKind::Length, "UDP length", at::LENGTH)),
    };
    write(octets, at::SOURCE_PORT, &source_port.to_be_bytes());
    write(octets, at::DESTINATION_PORT, &destination_port.to_be_bytes());
    write(octets, at::LENGTH, &length.to_be_bytes());
    write(octets, at::CHECKSUM, &[0, 0]);
    let sum = addresses.and_then(|(source, destination)| pseudo(source, destination, octets.len()));
    if let Some(sum) = sum {
        let checksum = match sum.with(octets).finish() {
            0 => 0xffff,
            other => other,
        };
        write(octets, at::CHECKSUM, &checksum.to_be_bytes());
    }
    Ok(())
}

fn pseudo(source: IpAddr, destination: IpAddr, length: usize) -> Option<Checksum> {
    let length = u16::try_from(length).ok()?;
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Some(Checksum::pseudo_ipv4(source, destination, PROTOCOL, length))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Some(Checksum::pseudo_ipv6(source, destination, PROTOCOL, length.into()))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V6(core::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn an_emitted_header_is_read_back_with_a_valid_checksum() {
        for (source, destination) in [(A, A), (B, B)] {
            let mut octets = [0, 0, 0, 0, 0, 0, 0, 0, 5, 6, 7];
            emit_header(&mut octets, 4500, 4501, Some((source, destination))).unwrap();
            let view = UdpDatagram::new_checked(&octets).unwrap();
            assert_eq!((view.source_port(), view.destination_port(), view.length()), (4500, 4501, 11));
            assert_eq!(view.payload(), [5, 6, 7]);
            assert!(view.checksum() != 0 && view.checksum_is_valid(source, destination));
            assert!(!view.checksum_is_valid(A, B));
            octets[10] ^= 1;
            assert!(!UdpDatagram::new_checked(&octets).unwrap().checksum_is_valid(source, destination));
        }
    }

    #[test]
    fn no_checksum_is_lawful_over_ipv4_only() {
        let mut octets = [0; 9];
        emit_header(&mut octets, 1, 2, None).unwrap();
        let view = UdpDatagram::new_checked(&octets).unwrap();
        assert!(view.checksum_is_valid(A, A) && !view.checksum_is_valid(B, B));
    }

    #[test]
    fn lengths_that_lie_are_typed_errors() {
        let mut octets = [0; 9];
        emit_header(&mut octets, 1, 2, None).unwrap();
        for len in 0..octets.len() {
            assert!(UdpDatagram::new_checked(&octets[..len]).is_err());
        }
        octets[5] = 7;
        assert!(UdpDatagram::new_checked(&octets).is_err());
        assert!(emit_header(&mut [0; 7], 1, 2, None).is_err());
    }
}
