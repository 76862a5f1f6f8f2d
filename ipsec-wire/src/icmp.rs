//! The part of ICMP and ICMPv6 that selectors and path MTU need.
//!
//! ```text
//! |     Type      |     Code      |          Checksum             |
//! |                 depends on the type (32 bits)                 |
//! |        the packet that caused an error, or data               |
//! ```
//! (RFC 792, RFC 4443 §2.1)

use crate::error::{ErrorKind, WireError};
use crate::octets::{read_u8, read_u16, read_u32, span};

/// Octets of the header of an error message.
pub const HEADER_LEN: usize = 8;
/// The protocol number of ICMP.
pub const PROTOCOL: u8 = 1;
/// The protocol number of ICMPv6.
pub const PROTOCOL_V6: u8 = 58;

mod at {
    pub(super) const TYPE: usize = 0;
    pub(super) const CODE: usize = 1;
    pub(super) const CHECKSUM: usize = 2;
    pub(super) const REST: usize = 4;
}

/// A view of an ICMP or ICMPv6 message.
#[derive(Clone, Copy, Debug)]
pub struct IcmpMessage<T> {
    octets: T,
}

impl<T: AsRef<[u8]>> IcmpMessage<T> {
    /// Checks the length and makes the view.
    ///
    /// # Errors
    /// Fewer than eight octets.
    pub fn new_checked(octets: T) -> Result<Self, WireError> {
        match octets.as_ref().len() {
            HEADER_LEN.. => Ok(Self { octets }),
            len => Err(WireError::new(ErrorKind::Truncated, "ICMP header", len)),
        }
    }

    /// Returns the type.
    pub fn kind(&self) -> u8 {
        read_u8(self.octets.as_ref(), at::TYPE)
    }

    /// Returns the code.
    pub fn code(&self) -> u8 {
        read_u8(self.octets.as_ref(), at::CODE)
    }

    /// Returns the checksum as it stands.
    pub fn checksum(&self) -> u16 {
        read_u16(self.octets.as_ref(), at::CHECKSUM)
    }

    /// Returns the octets after the first eight: in an error, the start of the packet that caused it.
    pub fn body(&self) -> &[u8] {
        span(self.octets.as_ref(), HEADER_LEN, self.octets.as_ref().len())
    }

    /// Returns the MTU that an ICMP "fragmentation needed" reports (RFC 1191 §4), if it is one.
    ///
    /// Routers older than RFC 1191 report zero.
    pub fn fragmentation_needed(&self) -> Option<u16> {
        (self.kind() == 3 && self.code() == 4).then(|| read_u16(self.octets.as_ref(), at::REST + 2))
    }

    /// Returns the MTU that an ICMPv6 "packet too big" reports (RFC 4443 §3.2), if it is one.
    pub fn packet_too_big(&self) -> Option<u32> {
        (self.kind() == 2).then(|| read_u32(self.octets.as_ref(), at::REST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mtu_of_both_families_is_read() {
        let v4 = IcmpMessage::new_checked([3, 4, 0, 0, 0, 0, 5, 120, 0x45]).unwrap();
        assert_eq!((v4.fragmentation_needed(), v4.packet_too_big(), v4.body()), (Some(1400), None, &[0x45][..]));
        let v6 = IcmpMessage::new_checked([2, 0, 0, 0, 0, 0, 5, 0]).unwrap();
        assert_eq!((v6.fragmentation_needed(), v6.packet_too_big(), v6.code()), (None, Some(1280), 0));
    }

    #[test]
    fn fewer_than_eight_octets_are_refused() {
        for len in 0..8 {
            assert!(IcmpMessage::new_checked(&[0; 8][..len]).is_err());
        }
    }
}
