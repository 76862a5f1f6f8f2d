//! IPv6 headers, their extension headers and options.
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Version| Traffic Class |           Flow Label                  |
//! |         Payload Length        |  Next Header  |   Hop Limit   |
//! |                         Source Address                        |
//! |                      Destination Address                      |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//! (RFC 8200 §3)

use crate::error::{ErrorKind, WireError};
use crate::octets::{array, read_u8, read_u16, read_u32, span, write};
use core::net::Ipv6Addr;

/// Octets of the fixed header.
pub const HEADER_LEN: usize = 40;
/// Octets of the longest packet without a jumbo payload option.
pub const MAX_PACKET_LEN: usize = HEADER_LEN + 65535;
/// Most extension headers walked in one packet.
///
/// RFC 8200 §4.1 names seven at most; twice that leaves room for the odd but lawful.
pub const MAX_EXTENSION_HEADERS: usize = 14;

/// Next header values of the extension headers that a walker steps over.
pub mod next_header {
    /// Hop-by-Hop Options.
    pub const HOP_BY_HOP: u8 = 0;
    /// Routing.
    pub const ROUTING: u8 = 43;
    /// Fragment.
    pub const FRAGMENT: u8 = 44;
    /// Encapsulating Security Payload.
    pub const ESP: u8 = 50;
    /// Authentication Header.
    pub const AUTHENTICATION: u8 = 51;
    /// Nothing follows.
    pub const NO_NEXT_HEADER: u8 = 59;
    /// Destination Options.
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// Mobility.
    pub const MOBILITY: u8 = 135;
}

mod at {
    pub(super) const VERSION_CLASS_FLOW: usize = 0;
    pub(super) const PAYLOAD_LENGTH: usize = 4;
    pub(super) const NEXT_HEADER: usize = 6;
    pub(super) const HOP_LIMIT: usize = 7;
    pub(super) const SOURCE: usize = 8;
    pub(super) const DESTINATION: usize = 24;
}

/// A view of an IPv6 packet: fixed header and everything after it.
///
/// Octets beyond the payload length (link padding) are not part of the packet.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6Packet<T> {
    octets: T,
}

impl<T: AsRef<[u8]>> Ipv6Packet<T> {
    /// Checks length and version, and makes the view.
    ///
    /// # Errors
    /// Fewer octets than the fixed header and the payload length say, or another version.
    pub fn new_checked(octets: T) -> Result<Self, WireError> {
        let bytes = octets.as_ref();
        if bytes.len() < HEADER_LEN {
            return Err(WireError::new(ErrorKind::Truncated, "IPv6 header", bytes.len()));
        }
        if read_u8(bytes, at::VERSION_CLASS_FLOW) >> 4 != 6 {
            return Err(WireError::new(ErrorKind::Range, "IP version", at::VERSION_CLASS_FLOW));
        }
        let view = Self { octets };
        if view.total_len() > view.octets.as_ref().len() {
            return Err(WireError::new(ErrorKind::Length, "IPv6 payload length", at::PAYLOAD_LENGTH));
        }
        Ok(view)
    }

    /// Returns the octet that holds DSCP (upper six bits) and ECN (lower two).
    pub fn traffic_class(&self) -> u8 {
        // The octet is the middle of the first 16 bits: the shift leaves exactly eight.
        ((read_u16(self.octets.as_ref(), at::VERSION_CLASS_FLOW) >> 4) & 0xff) as u8
    }

    /// Returns the flow label: 20 bits.
    pub fn flow_label(&self) -> u32 {
        read_u32(self.octets.as_ref(), at::VERSION_CLASS_FLOW) & 0x000f_ffff
    }

    /// Returns the octets after the fixed header.
    pub fn payload_len(&self) -> usize {
        read_u16(self.octets.as_ref(), at::PAYLOAD_LENGTH).into()
    }

    /// Returns the octets of the packet.
    pub fn total_len(&self) -> usize {
        HEADER_LEN.saturating_add(self.payload_len())
    }

    /// Returns the kind of the header after the fixed one.
    pub fn next_header(&self) -> u8 {
        read_u8(self.octets.as_ref(), at::NEXT_HEADER)
    }

    /// Returns the hop limit.
    pub fn hop_limit(&self) -> u8 {
        read_u8(self.octets.as_ref(), at::HOP_LIMIT)
    }

    /// Returns the source address.
    pub fn source(&self) -> Ipv6Addr {
        Ipv6Addr::from(array::<16>(self.octets.as_ref(), at::SOURCE))
    }

    /// Returns the destination address.
    pub fn destination(&self) -> Ipv6Addr {
        Ipv6Addr::from(array::<16>(self.octets.as_ref(), at::DESTINATION))
    }

    /// Returns the octets after the fixed header, extension headers included.
    pub fn payload(&self) -> &[u8] {
        span(self.octets.as_ref(), HEADER_LEN, self.total_len())
    }

    /// Returns an iterator over the extension headers.
    ///
    /// It ends at the upper layer, at ESP, at No Next Header, after a fragment header of a later
    /// fragment, or after the first error.
    pub fn extension_headers(&self) -> ExtensionHeaders<'_> {
        ExtensionHeaders {
            octets: span(self.octets.as_ref(), 0, self.total_len()),
            upper: UpperLayer { protocol: self.next_header(), offset: HEADER_LEN, fragment: None },
            left: MAX_EXTENSION_HEADERS,
            done: false,
        }
    }

    /// Returns what stands after the extension headers.
    ///
    /// # Errors
    /// An extension header that goes beyond the packet, or too many of them.
    pub fn upper_layer(&self) -> Result<UpperLayer, WireError> {
        let mut headers = self.extension_headers();
        for header in headers.by_ref() {
            header?;
        }
        Ok(headers.upper)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Ipv6Packet<T> {
    /// Sets DSCP and ECN.
    pub fn set_traffic_class(&mut self, traffic_class: u8) {
        let old = read_u32(self.octets.as_ref(), at::VERSION_CLASS_FLOW);
        let new = (old & 0xf00f_ffff) | (u32::from(traffic_class) << 20);
        write(self.octets.as_mut(), at::VERSION_CLASS_FLOW, &new.to_be_bytes());
    }

    /// Sets the octets after the fixed header; the caller keeps them within the view.
    pub fn set_payload_len(&mut self, payload_len: u16) {
        write(self.octets.as_mut(), at::PAYLOAD_LENGTH, &payload_len.to_be_bytes());
    }

    /// Sets the kind of the header after the fixed one.
    pub fn set_next_header(&mut self, next_header: u8) {
        write(self.octets.as_mut(), at::NEXT_HEADER, &[next_header]);
    }

    /// Sets the hop limit.
    pub fn set_hop_limit(&mut self, hop_limit: u8) {
        write(self.octets.as_mut(), at::HOP_LIMIT, &[hop_limit]);
    }
}

/// The fields of an IPv6 header that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Fields {
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// The flow label: the lower 20 bits count.
    pub flow_label: u32,
    /// Octets after the header.
    pub payload_len: u16,
    /// The kind of what follows.
    pub next_header: u8,
    /// The hop limit.
    pub hop_limit: u8,
    /// The source address.
    pub source: Ipv6Addr,
    /// The destination address.
    pub destination: Ipv6Addr,
}

impl Ipv6Fields {
    /// Returns the header.
    pub fn emit(&self) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        let first = 0x6000_0000 | (u32::from(self.traffic_class) << 20) | (self.flow_label & 0x000f_ffff);
        write(&mut header, at::VERSION_CLASS_FLOW, &first.to_be_bytes());
        write(&mut header, at::PAYLOAD_LENGTH, &self.payload_len.to_be_bytes());
        write(&mut header, at::NEXT_HEADER, &[self.next_header, self.hop_limit]);
        write(&mut header, at::SOURCE, &self.source.octets());
        write(&mut header, at::DESTINATION, &self.destination.octets());
        header
    }
}

/// Where a fragment stands in its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Octets before it in the fragmentable part.
    pub offset: usize,
    /// Whether another one follows.
    pub more: bool,
    /// The identification that all fragments of a datagram share.
    pub identification: u32,
}

/// What stands after the extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpperLayer {
    /// The protocol: a transport, ESP, No Next Header, or whatever a later fragment continues.
    pub protocol: u8,
    /// Octets from the start of the packet to it.
    pub offset: usize,
    /// The fragment header passed on the way; with an offset above zero there is no transport header.
    pub fragment: Option<Fragment>,
}

/// One extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionHeader<'a> {
    /// Its kind: the next header value that announced it.
    pub kind: u8,
    /// Octets from the start of the packet to it.
    pub offset: usize,
    /// The whole header.
    pub octets: &'a [u8],
}

impl<'a> ExtensionHeader<'a> {
    /// Returns the kind of what follows.
    pub fn next_header(&self) -> u8 {
        read_u8(self.octets, 0)
    }

    /// Returns an iterator over the options of a Hop-by-Hop or Destination Options header.
    pub fn options(&self) -> Ipv6Options<'a> {
        Ipv6Options { octets: self.octets, next: 2, base: self.offset }
    }
}

/// Iterates over extension headers and ends after the first error.
///
/// Every step moves on by at least eight octets and their number is bounded.
#[derive(Clone, Debug)]
pub struct ExtensionHeaders<'a> {
    octets: &'a [u8],
    upper: UpperLayer,
    left: usize,
    done: bool,
}

impl<'a> ExtensionHeaders<'a> {
    fn step(&mut self) -> Result<Option<ExtensionHeader<'a>>, WireError> {
        let UpperLayer { protocol: kind, offset, .. } = self.upper;
        if !is_extension(kind) {
            return Ok(None);
        }
        self.left =
            self.left.checked_sub(1).ok_or(WireError::new(ErrorKind::TooMany, "IPv6 extension headers", offset))?;
        let truncated = WireError::new(ErrorKind::Length, "IPv6 extension header", offset);
        let rest = self.octets.get(offset..).unwrap_or(&[]);
        if rest.len() < 8 {
            return Err(truncated);
        }
        let unit = usize::from(read_u8(rest, 1));
        let len = match kind {
            next_header::FRAGMENT => 8,
            // RFC 4302 §2.2: in 4-octet words, minus 2.
            next_header::AUTHENTICATION => unit.saturating_add(2).saturating_mul(4),
            _ => unit.saturating_add(1).saturating_mul(8),
        };
        if len < 8 {
            return Err(truncated);
        }
        let octets = rest.get(..len).ok_or(truncated)?;
        let header = ExtensionHeader { kind, offset, octets };
        self.upper.protocol = header.next_header();
        self.upper.offset = offset.saturating_add(len);
        if kind == next_header::FRAGMENT {
            let word = read_u16(octets, 2);
            let fragment = Fragment {
                offset: usize::from(word & 0xfff8),
                more: word & 1 != 0,
                identification: read_u32(octets, 4),
            };
            self.done |= fragment.offset > 0;
            self.upper.fragment = Some(fragment);
        }
        Ok(Some(header))
    }
}

impl<'a> Iterator for ExtensionHeaders<'a> {
    type Item = Result<ExtensionHeader<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step().transpose();
        self.done |= !matches!(step, Some(Ok(_)));
        step
    }
}

fn is_extension(kind: u8) -> bool {
    matches!(
        kind,
        next_header::HOP_BY_HOP
            | next_header::ROUTING
            | next_header::FRAGMENT
            | next_header::AUTHENTICATION
            | next_header::DESTINATION_OPTIONS
            | next_header::MOBILITY
    )
}

/// One option of a Hop-by-Hop or Destination Options header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Option<'a> {
    /// The option's type octet: what an unknowing node does, whether it may change, and the number.
    pub kind: u8,
    /// Where the option starts in its header.
    pub offset: usize,
    /// The option's data, without type and length octets.
    pub data: &'a [u8],
}

impl Ipv6Option<'_> {
    /// Returns whether the data may change on the way (RFC 8200 §4.2, the third bit of the type).
    pub const fn is_mutable(&self) -> bool {
        self.kind & 0x20 != 0
    }
}

/// Iterates over the options of an extension header and ends after the first error.
#[derive(Clone, Debug)]
pub struct Ipv6Options<'a> {
    octets: &'a [u8],
    next: usize,
    base: usize,
}

/// The option of one octet that pads.
pub const PAD_1: u8 = 0;

impl<'a> Iterator for Ipv6Options<'a> {
    type Item = Result<Ipv6Option<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.next;
        let kind = *self.octets.get(offset)?;
        if kind == PAD_1 {
            self.next = offset.saturating_add(1);
            return Some(Ok(Ipv6Option { kind, offset, data: &[] }));
        }
        let start = offset.saturating_add(2);
        let data = self
            .octets
            .get(offset.saturating_add(1))
            .and_then(|&len| self.octets.get(start..start.saturating_add(len.into())));
        match data {
            Some(data) => {
                self.next = start.saturating_add(data.len());
                Some(Ok(Ipv6Option { kind, offset, data }))
            }
            None => {
                self.next = self.octets.len();
                let at = self.base.saturating_add(offset).saturating_add(1);
                Some(Err(WireError::new(ErrorKind::Length, "IPv6 option length", at)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn packet(next_header: u8, payload: &[u8]) -> Vec<u8> {
        let fields = Ipv6Fields {
            traffic_class: 0xb8,
            flow_label: 0xabcde,
            payload_len: payload.len() as u16,
            next_header,
            hop_limit: 64,
            source: Ipv6Addr::LOCALHOST,
            destination: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
        };
        let mut octets = fields.emit().to_vec();
        octets.extend(payload);
        octets
    }

    #[test]
    fn emitted_fields_are_read_back() {
        let mut octets = packet(17, &[1, 2, 3]);
        let mut view = Ipv6Packet::new_checked(&mut octets[..]).unwrap();
        assert_eq!((view.traffic_class(), view.flow_label()), (0xb8, 0xabcde));
        assert_eq!((view.next_header(), view.hop_limit(), view.payload_len()), (17, 64, 3));
        assert_eq!(view.source(), Ipv6Addr::LOCALHOST);
        assert_eq!(view.payload(), [1, 2, 3]);
        view.set_traffic_class(1);
        view.set_hop_limit(2);
        view.set_next_header(50);
        view.set_payload_len(2);
        assert_eq!((view.traffic_class(), view.flow_label()), (1, 0xabcde));
        assert_eq!((view.next_header(), view.hop_limit(), view.payload()), (50, 2, &[1, 2][..]));
    }

    #[test]
    fn headers_that_lie_are_typed_errors() {
        let good = packet(17, &[1, 2, 3]);
        for len in 0..good.len() {
            assert!(Ipv6Packet::new_checked(&good[..len]).is_err(), "{len} octets");
        }
        let mut bad = good;
        bad[0] = 0x45;
        assert_eq!(Ipv6Packet::new_checked(bad).unwrap_err().field, "IP version");
    }

    #[test]
    fn the_chain_is_walked_to_the_upper_layer() {
        let mut payload = Vec::new();
        payload.extend([43, 0, 1, 4, 0, 0, 0, 0]); // hop-by-hop
        payload.extend([44, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]); // routing
        payload.extend([51, 0, 0, 1, 0, 0, 0, 9]); // first fragment
        payload.extend([60, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]); // AH
        payload.extend([6, 0, 1, 4, 0, 0, 0, 0]); // destination options
        payload.extend([0; 20]);
        let octets = packet(0, &payload);
        let view = Ipv6Packet::new_checked(&octets).unwrap();
        let kinds: Vec<_> = view.extension_headers().map(|header| header.unwrap().kind).collect();
        assert_eq!(kinds, [0, 43, 44, 51, 60]);
        let fragment = Some(Fragment { offset: 0, more: true, identification: 9 });
        assert_eq!(view.upper_layer(), Ok(UpperLayer { protocol: 6, offset: 104, fragment }));
    }

    #[test]
    fn a_later_fragment_ends_the_chain() {
        let octets = packet(44, &[0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0]);
        let upper = Ipv6Packet::new_checked(&octets).unwrap().upper_layer().unwrap();
        assert_eq!((upper.protocol, upper.offset), (0, 48));
        assert_eq!(upper.fragment.unwrap().offset, 8);
    }

    #[test]
    fn chains_that_lie_or_never_end_are_typed_errors() {
        for (next, payload) in [
            (0, &[59, 1, 0, 0, 0, 0, 0, 0][..]),
            (0, &[59, 0, 0, 0, 0, 0, 0]),
            (43, &[]),
            (51, &[59, 255, 0, 0, 0, 0, 0, 0]),
            (0, &[0; 8 * 20]),
        ] {
            let octets = packet(next, payload);
            assert!(Ipv6Packet::new_checked(&octets).unwrap().upper_layer().is_err());
        }
    }

    #[test]
    fn options_are_walked_and_lies_stop_the_walk() {
        let header = ExtensionHeader { kind: 0, offset: 40, octets: &[59, 0, 0, 0x3e, 2, 9, 9, 0] };
        let options: Vec<_> = header.options().map(|option| option.unwrap()).collect();
        assert_eq!(options.len(), 3);
        assert!(options[1].is_mutable() && options[1].data == [9, 9] && options[1].offset == 3);
        let header = ExtensionHeader { octets: &[59, 0, 1, 5, 0, 0, 0, 0], ..header };
        let mut options = header.options();
        assert_eq!(options.next().unwrap().unwrap_err().offset, 43);
        assert_eq!(options.next(), None);
    }
}
