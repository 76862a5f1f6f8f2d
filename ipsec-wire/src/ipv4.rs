//! IPv4 headers and their options.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Version|  IHL  |Type of Service|          Total Length         |
//! |         Identification        |Flags|      Fragment Offset    |
//! |  Time to Live |    Protocol   |         Header Checksum       |
//! |                       Source Address                          |
//! |                    Destination Address                        |
//! |                    Options                    |    Padding    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//! (RFC 791 §3.1)

use crate::checksum::{self, Checksum};
use crate::error::{ErrorKind, WireError};
use crate::octets::{array, read_u8, read_u16, span, write};
use core::net::Ipv4Addr;

/// Octets of a header without options.
pub const MIN_HEADER_LEN: usize = 20;
/// Octets of the longest header.
pub const MAX_HEADER_LEN: usize = 60;
/// Octets of the longest packet.
pub const MAX_PACKET_LEN: usize = 65535;

mod at {
    pub(super) const VERSION_IHL: usize = 0;
    pub(super) const TRAFFIC_CLASS: usize = 1;
    pub(super) const TOTAL_LENGTH: usize = 2;
    pub(super) const IDENTIFICATION: usize = 4;
    pub(super) const FLAGS_OFFSET: usize = 6;
    pub(super) const TTL: usize = 8;
    pub(super) const PROTOCOL: usize = 9;
    pub(super) const CHECKSUM: usize = 10;
    pub(super) const SOURCE: usize = 12;
    pub(super) const DESTINATION: usize = 16;
    pub(super) const OPTIONS: usize = 20;
}

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

/// A view of an IPv4 packet: header, options and payload.
///
/// Octets beyond the total length (link padding) are not part of the packet.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4Packet<T> {
    octets: T,
}

impl<T: AsRef<[u8]>> Ipv4Packet<T> {
    /// Checks lengths and version, and makes the view.
    ///
    /// The header checksum is not checked: see [`checksum_is_valid`](Self::checksum_is_valid).
    ///
    /// # Errors
    /// Fewer octets than the header or the total length says, another version, a header length below 5
    /// words or beyond the total length.
    pub fn new_checked(octets: T) -> Result<Self, WireError> {
        let bytes = octets.as_ref();
        if bytes.len() < MIN_HEADER_LEN {
            return Err(WireError::new(ErrorKind::Truncated, "IPv4 header", bytes.len()));
        }
        let version_ihl = read_u8(bytes, at::VERSION_IHL);
        if version_ihl >> 4 != 4 {
            return Err(WireError::new(ErrorKind::Range, "IP version", at::VERSION_IHL));
        }
        let header_len = usize::from(version_ihl & 0xf) * 4;
        let total_len = usize::from(read_u16(bytes, at::TOTAL_LENGTH));
        if header_len < MIN_HEADER_LEN || header_len > total_len {
            return Err(WireError::new(ErrorKind::Length, "IPv4 header length", at::VERSION_IHL));
        }
        if total_len > bytes.len() {
            return Err(WireError::new(ErrorKind::Length, "IPv4 total length", at::TOTAL_LENGTH));
        }
        Ok(Self { octets })
    }

    /// Returns the octets of the header, options included: 20 to 60.
    pub fn header_len(&self) -> usize {
        usize::from(read_u8(self.octets.as_ref(), at::VERSION_IHL) & 0xf) * 4
    }

    /// Returns the octets of the packet.
    pub fn total_len(&self) -> usize {
        read_u16(self.octets.as_ref(), at::TOTAL_LENGTH).into()
    }

    /// Returns the octet that holds DSCP (upper six bits) and ECN (lower two).
    pub fn traffic_class(&self) -> u8 {
        read_u8(self.octets.as_ref(), at::TRAFFIC_CLASS)
    }

    /// Returns the identification.
    pub fn identification(&self) -> u16 {
        read_u16(self.octets.as_ref(), at::IDENTIFICATION)
    }

    /// Returns whether the packet must not be fragmented.
    pub fn dont_fragment(&self) -> bool {
        self.flags_offset() & DONT_FRAGMENT != 0
    }

    /// Returns whether another fragment follows this one.
    pub fn more_fragments(&self) -> bool {
        self.flags_offset() & MORE_FRAGMENTS != 0
    }

    /// Returns where in the datagram this fragment stands, in octets.
    pub fn fragment_offset(&self) -> usize {
        usize::from(self.flags_offset() & OFFSET_MASK) * 8
    }

    /// Returns whether this is a fragment: the first, a middle or the last one.
    pub fn is_fragment(&self) -> bool {
        self.flags_offset() & (MORE_FRAGMENTS | OFFSET_MASK) != 0
    }

    /// Returns the time to live.
    pub fn ttl(&self) -> u8 {
        read_u8(self.octets.as_ref(), at::TTL)
    }

    /// Returns the protocol of the payload.
    pub fn protocol(&self) -> u8 {
        read_u8(self.octets.as_ref(), at::PROTOCOL)
    }

    /// Returns the header checksum as it stands.
    pub fn checksum(&self) -> u16 {
        read_u16(self.octets.as_ref(), at::CHECKSUM)
    }

    /// Returns whether the header checksum is right.
    pub fn checksum_is_valid(&self) -> bool {
        Checksum::new().with(self.header()).is_valid()
    }

    /// Returns the source address.
    pub fn source(&self) -> Ipv4Addr {
        Ipv4Addr::from(array::<4>(self.octets.as_ref(), at::SOURCE))
    }

    /// Returns the destination address.
    pub fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::from(array::<4>(self.octets.as_ref(), at::DESTINATION))
    }

    /// Returns the header, options included.
    pub fn header(&self) -> &[u8] {
        span(self.octets.as_ref(), 0, self.header_len())
    }

    /// Returns an iterator over the options.
    pub fn options(&self) -> Ipv4Options<'_> {
        Ipv4Options { octets: self.header(), next: at::OPTIONS }
    }

    /// Returns the octets after the header, up to the total length.
    pub fn payload(&self) -> &[u8] {
        span(self.octets.as_ref(), self.header_len(), self.total_len())
    }

    fn flags_offset(&self) -> u16 {
        read_u16(self.octets.as_ref(), at::FLAGS_OFFSET)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Ipv4Packet<T> {
    /// Sets DSCP and ECN, and keeps the checksum right.
    pub fn set_traffic_class(&mut self, traffic_class: u8) {
        let version_ihl = read_u8(self.octets.as_ref(), at::VERSION_IHL);
        self.replace_word(at::VERSION_IHL, u16::from_be_bytes([version_ihl, traffic_class]));
    }

    /// Sets the total length, and keeps the checksum right.
    ///
    /// The caller keeps it within the octets of the view and beyond the header.
    pub fn set_total_len(&mut self, total_len: u16) {
        self.replace_word(at::TOTAL_LENGTH, total_len);
    }

    /// Sets the time to live, and keeps the checksum right.
    pub fn set_ttl(&mut self, ttl: u8) {
        let protocol = self.protocol();
        self.replace_word(at::TTL, u16::from_be_bytes([ttl, protocol]));
    }

    /// Sets the protocol, and keeps the checksum right.
    pub fn set_protocol(&mut self, protocol: u8) {
        let ttl = self.ttl();
        self.replace_word(at::TTL, u16::from_be_bytes([ttl, protocol]));
    }

    /// Sets the checksum anew over the whole header.
    pub fn fill_checksum(&mut self) {
        write(self.octets.as_mut(), at::CHECKSUM, &[0, 0]);
        let sum = Checksum::new().with(self.header()).finish();
        write(self.octets.as_mut(), at::CHECKSUM, &sum.to_be_bytes());
    }

    fn replace_word(&mut self, offset: usize, word: u16) {
        let old = read_u16(self.octets.as_ref(), offset);
        let sum = checksum::update(self.checksum(), old, word);
        write(self.octets.as_mut(), offset, &word.to_be_bytes());
        write(self.octets.as_mut(), at::CHECKSUM, &sum.to_be_bytes());
    }
}

/// The fields of an IPv4 header without options that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Fields {
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Octets of header and payload.
    pub total_len: u16,
    /// The identification.
    pub identification: u16,
    /// Whether routers on the way must not fragment the packet.
    pub dont_fragment: bool,
    /// The time to live.
    pub ttl: u8,
    /// The protocol of the payload.
    pub protocol: u8,
    /// The source address.
    pub source: Ipv4Addr,
    /// The destination address.
    pub destination: Ipv4Addr,
}

impl Ipv4Fields {
    /// Returns the header with its checksum.
    pub fn emit(&self) -> [u8; MIN_HEADER_LEN] {
        let mut header = [0; MIN_HEADER_LEN];
        let flags = if self.dont_fragment { DONT_FRAGMENT } else { 0 };
        write(&mut header, at::VERSION_IHL, &[0x45, self.traffic_class]);
        write(&mut header, at::TOTAL_LENGTH, &self.total_len.to_be_bytes());
        write(&mut header, at::IDENTIFICATION, &self.identification.to_be_bytes());
        write(&mut header, at::FLAGS_OFFSET, &flags.to_be_bytes());
        write(&mut header, at::TTL, &[self.ttl, self.protocol]);
        write(&mut header, at::SOURCE, &self.source.octets());
        write(&mut header, at::DESTINATION, &self.destination.octets());
        let sum = Checksum::new().with(&header).finish();
        write(&mut header, at::CHECKSUM, &sum.to_be_bytes());
        header
    }
}

/// One option of an IPv4 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Option<'a> {
    /// The option's type octet: copied flag, class and number.
    pub kind: u8,
    /// Where the option starts in the header.
    pub offset: usize,
    /// The whole option, type and length octets included.
    pub octets: &'a [u8],
}

/// Iterates over the options of an IPv4 header and ends after the first error.
///
/// Every step moves on by at least one octet (No Operation) or two (all others), so that an option
/// of length zero cannot hold the walker.
#[derive(Clone, Debug)]
pub struct Ipv4Options<'a> {
    octets: &'a [u8],
    next: usize,
}

impl<'a> Iterator for Ipv4Options<'a> {
    type Item = Result<Ipv4Option<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.next;
        let kind = *self.octets.get(offset)?;
        let len = match kind {
            END_OF_OPTIONS => {
                self.next = self.octets.len();
                return None;
            }
            NO_OPERATION => 1,
            _ => match self.octets.get(offset.saturating_add(1)) {
                Some(&len) if len >= 2 => len.into(),
                Some(_) | None => 0,
            },
        };
        let end = offset.saturating_add(len);
        match self.octets.get(offset..end) {
            Some(octets) if len > 0 => {
                self.next = end;
                Some(Ok(Ipv4Option { kind, offset, octets }))
            }
            Some(_) | None => {
                self.next = self.octets.len();
                Some(Err(WireError::new(ErrorKind::Length, "IPv4 option length", offset.saturating_add(1))))
            }
        }
    }
}

/// The option that ends the list.
pub const END_OF_OPTIONS: u8 = 0;
/// The option of one octet that does nothing.
pub const NO_OPERATION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn sample() -> Vec<u8> {
        let fields = Ipv4Fields {
            traffic_class: 0xb8,
            total_len: 24,
            identification: 7,
            dont_fragment: true,
            ttl: 64,
            protocol: 17,
            source: Ipv4Addr::new(192, 0, 2, 1),
            destination: Ipv4Addr::new(198, 51, 100, 2),
        };
        let mut packet = fields.emit().to_vec();
        packet.extend([1, 2, 3, 4]);
        packet
    }

    #[test]
    fn emitted_fields_are_read_back() {
        let octets = sample();
        let packet = Ipv4Packet::new_checked(&octets[..]).unwrap();
        assert_eq!((packet.header_len(), packet.total_len()), (20, 24));
        assert_eq!((packet.traffic_class(), packet.identification()), (0xb8, 7));
        assert!(packet.dont_fragment() && !packet.is_fragment() && packet.fragment_offset() == 0);
        assert_eq!((packet.ttl(), packet.protocol()), (64, 17));
        assert_eq!(packet.source(), Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(packet.destination(), Ipv4Addr::new(198, 51, 100, 2));
        assert_eq!(packet.payload(), [1, 2, 3, 4]);
        assert!(packet.checksum_is_valid());
    }

    #[test]
    fn the_checksum_of_a_packet_seen_on_a_wire_is_right() {
        let header = hex::decode("4500005408f200004001f9fec0a87b03c0a87b64").unwrap();
        assert!(Checksum::new().with(&header).is_valid());
    }

    #[test]
    fn setters_keep_the_checksum_right() {
        let mut octets = sample();
        let mut packet = Ipv4Packet::new_checked(&mut octets[..]).unwrap();
        packet.set_traffic_class(3);
        packet.set_ttl(9);
        packet.set_protocol(50);
        packet.set_total_len(22);
        assert!(packet.checksum_is_valid());
        assert_eq!((packet.traffic_class(), packet.ttl(), packet.protocol()), (3, 9, 50));
        assert_eq!(packet.payload(), [1, 2]);
    }

    #[test]
    fn headers_that_lie_are_typed_errors() {
        let good = sample();
        for len in 0..good.len() {
            assert!(Ipv4Packet::new_checked(&good[..len]).is_err(), "{len} octets");
        }
        for (at, value, field) in [
            (0, 0x65, "IP version"),
            (0, 0x44, "IPv4 header length"),
            (0, 0x47, "IPv4 header length"),
            (3, 25, "IPv4 total length"),
            (3, 19, "IPv4 header length"),
        ] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(Ipv4Packet::new_checked(bad).unwrap_err().field, field);
        }
    }

    #[test]
    fn link_padding_is_not_payload() {
        let mut octets = sample();
        octets.extend([0; 20]);
        assert_eq!(Ipv4Packet::new_checked(octets).unwrap().payload(), [1, 2, 3, 4]);
    }

    fn with_options(options: &[u8]) -> Vec<u8> {
        let mut octets = sample();
        octets.splice(20..20, options.iter().copied());
        octets[0] = 0x40 | ((20 + options.len()) / 4) as u8;
        octets[3] += options.len() as u8;
        octets
    }

    #[test]
    fn options_are_walked_to_their_end() {
        let octets = with_options(&[1, 7, 3, 4, 0x94, 4, 0, 0, 0, 9, 9, 9]);
        let packet = Ipv4Packet::new_checked(octets).unwrap();
        let kinds: Vec<_> = packet.options().map(|option| option.unwrap()).map(|o| (o.kind, o.offset)).collect();
        assert_eq!(kinds, [(1, 20), (7, 21), (0x94, 24)]);
    }

    #[test]
    fn an_option_of_length_zero_one_or_past_the_end_stops_the_walk() {
        for options in [[7, 0, 4, 0], [7, 1, 4, 0], [7, 5, 4, 0], [1, 1, 1, 7]] {
            let octets = with_options(&options);
            let packet = Ipv4Packet::new_checked(octets).unwrap();
            assert!(packet.options().last().unwrap().is_err(), "{options:?}");
            assert!(packet.options().count() <= 4);
        }
    }
}
