use crate::Fragment;
use crate::selector::upper;
use core::net::IpAddr;
use thiserror::Error;

/// Which way a packet goes through the boundary that policies guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From this side to the far side: the source is local.
    Outbound,
    /// From the far side to this side: the destination is local.
    Inbound,
}

/// What policies look at in a packet, seen from this side: local is the source of what is sent and the
/// destination of what is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketKey {
    /// The address on this side.
    pub local: IpAddr,
    /// The address on the far side.
    pub remote: IpAddr,
    /// The protocol above IP and its extension headers; `None` if a fragment hides it.
    pub protocol: Option<u8>,
    /// What the header of that protocol shows.
    pub upper: Upper,
}

/// What the header above IP shows to policies, RFC 4301 §4.4.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Upper {
    /// Ports of TCP, UDP, SCTP, DCCP or UDP-Lite.
    Ports {
        /// The port on this side.
        local: u16,
        /// The port on the far side.
        remote: u16,
    },
    /// `type * 256 + code` of ICMP, `type * 256` of a Mobility header.
    Message(u16),
    /// Nothing: the protocol has neither ports nor a message type.
    Absent,
    /// The fields are in another fragment, or cut off.
    Hidden,
}

impl Upper {
    pub(crate) const fn local_port(self) -> Option<u16> {
        match self {
            Self::Ports { local, .. } => Some(local),
            Self::Message(_) | Self::Absent | Self::Hidden => None,
        }
    }

    pub(crate) const fn remote_port(self) -> Option<u16> {
        match self {
            Self::Ports { remote, .. } => Some(remote),
            Self::Message(_) | Self::Absent | Self::Hidden => None,
        }
    }

    pub(crate) const fn message(self) -> Option<u16> {
        match self {
            Self::Message(message) => Some(message),
            Self::Ports { .. } | Self::Absent | Self::Hidden => None,
        }
    }

    /// Reads the fields of `protocol` from the start of its header, as (source, destination).
    fn read(protocol: u8, header: &[u8]) -> Self {
        if upper::has_ports(protocol) {
            return match header {
                [a, b, c, d, ..] => {
                    Self::Ports { local: u16::from_be_bytes([*a, *b]), remote: u16::from_be_bytes([*c, *d]) }
                }
                _ => Self::Hidden,
            };
        }
        if protocol == upper::MOBILITY {
            // Next header, length, then the type: RFC 6275 §6.1.1.
            return header.get(2).map_or(Self::Hidden, |kind| Self::Message(u16::from(*kind) << 8));
        }
        if upper::has_message(protocol) {
            return match header {
                [kind, code, ..] => Self::Message(u16::from_be_bytes([*kind, *code])),
                _ => Self::Hidden,
            };
        }
        Self::Absent
    }
}

/// Why no key could be taken from a packet: its headers lie or are cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The first four bits are neither 4 nor 6.
    #[error("the IP version is neither 4 nor 6")]
    Version,
    /// The packet is shorter than its header says or needs.
    #[error("the packet is cut off")]
    Truncated,
    /// The header length of IPv4 is below 20 octets or beyond the packet.
    #[error("the header length is impossible")]
    HeaderLength,
    /// More extension headers than any honest packet has.
    #[error("more than {max} extension headers", max = PacketKey::MAX_EXTENSION_HEADERS)]
    TooManyExtensionHeaders,
}

/// What a packet consists of, as far as policies look at it.
pub(crate) struct Parts<'a> {
    pub key: PacketKey,
    /// Which fragment it is, unless it is whole.
    pub fragment: Option<Fragment>,
    /// What is above IP, if it starts in this packet.
    pub payload: &'a [u8],
}

/// How much of a packet is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// What an ICMP error quotes: its end may be cut off.
    Quoted,
}

impl Extent {
    /// The octets from `first` to before `end`, or those of them that have to be there.
    fn part(self, octets: &[u8], first: usize, end: usize) -> Option<&[u8]> {
        let end = if self == Self::Quoted { end.min(octets.len()) } else { end };
        octets.get(first..end)
    }
}

/// The extension headers that are skipped to find the protocol, RFC 4301 §4.4.1.1.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

const fn is_extension(next_header: u8) -> bool {
    matches!(next_header, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS)
}

impl PacketKey {
    /// The most IPv6 extension headers that are walked; RFC 8200 §4.1 recommends fewer.
    pub const MAX_EXTENSION_HEADERS: usize = 16;

    /// Takes the key from an IPv4 or IPv6 packet; octets after the packet's own length are ignored.
    ///
    /// A fragment that does not hold the fields above IP has [`Upper::Hidden`], RFC 4301 §7.
    ///
    /// # Errors
    /// [`KeyError`] when the headers contradict the octets.
    pub fn from_packet(packet: &[u8], direction: Direction) -> Result<Self, KeyError> {
        Self::with_fragment(packet, direction).map(|(key, _)| key)
    }

    /// Takes the key from a packet as [`from_packet`](Self::from_packet) does, and which fragment it is; `None` when it
    /// is whole.
    ///
    /// An IPv6 packet with a fragment header and no other fragments is whole, RFC 6946.
    ///
    /// # Errors
    /// [`KeyError`] when the headers contradict the octets.
    pub fn with_fragment(packet: &[u8], direction: Direction) -> Result<(Self, Option<Fragment>), KeyError> {
        let Parts { key, fragment, .. } = Self::parts(packet, Extent::Whole)?;
        let key = match direction {
            Direction::Outbound => key,
            Direction::Inbound => key.reversed(),
        };
        Ok((key, fragment))
    }

    /// Takes a packet apart, as who sends it sees it.
    pub(crate) fn parts(packet: &[u8], extent: Extent) -> Result<Parts<'_>, KeyError> {
        let parts = match packet.first().map(|first| first >> 4) {
            Some(4) => Self::from_ipv4(packet, extent)?,
            Some(6) => Self::from_ipv6(packet, extent)?,
            Some(_) => return Err(KeyError::Version),
            None => return Err(KeyError::Truncated),
        };
        let is_part = |fragment: &Fragment| fragment.more || fragment.offset > 0 || fragment.nested;
        Ok(Parts { fragment: parts.fragment.filter(is_part), ..parts })
    }

    /// Returns the key as the far side sees it.
    #[must_use]
    pub const fn reversed(self) -> Self {
        let upper = match self.upper {
            Upper::Ports { local, remote } => Upper::Ports { local: remote, remote: local },
            Upper::Message(_) | Upper::Absent | Upper::Hidden => self.upper,
        };
        Self { local: self.remote, remote: self.local, protocol: self.protocol, upper }
    }

    /// Returns what policies may look at above IP: nothing when not even the protocol shows.
    pub(crate) const fn shown(&self) -> Upper {
        if self.protocol.is_none() { Upper::Hidden } else { self.upper }
    }

    fn from_ipv4(packet: &[u8], extent: Extent) -> Result<Parts<'_>, KeyError> {
        let header: &[u8; 20] = packet.first_chunk().ok_or(KeyError::Truncated)?;
        let [version, _, l0, l1, i0, i1, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *header;
        let header_length = usize::from(version & 15) * 4;
        let total_length = usize::from(u16::from_be_bytes([l0, l1]));
        if header_length < 20 || header_length > total_length {
            return Err(KeyError::HeaderLength);
        }
        let payload = extent.part(packet, header_length, total_length).ok_or(KeyError::Truncated)?;
        let flags = u16::from_be_bytes([f0, f1]);
        let length = payload.len() as u32;
        let fragment = Fragment {
            id: u16::from_be_bytes([i0, i1]).into(),
            offset: u32::from(flags & 0x1fff) * 8,
            length,
            more: flags & 0x2000 != 0,
            shown: length,
            nested: false,
        };
        let key = Self {
            local: [s0, s1, s2, s3].into(),
            remote: [d0, d1, d2, d3].into(),
            protocol: Some(protocol),
            upper: if fragment.is_first() { Upper::read(protocol, payload) } else { Upper::Hidden },
        };
        Ok(Parts { key, fragment: Some(fragment), payload })
    }

    fn from_ipv6(packet: &[u8], extent: Extent) -> Result<Parts<'_>, KeyError> {
        let (header, rest) = packet.split_first_chunk::<40>().ok_or(KeyError::Truncated)?;
        let [_, _, _, _, l0, l1, mut next, _, addresses @ ..] = *header;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let mut rest = extent.part(rest, 0, length).ok_or(KeyError::Truncated)?;
        let mut source = [0; 16];
        let mut destination = [0; 16];
        source.copy_from_slice(addresses.first_chunk::<16>().ok_or(KeyError::Truncated)?);
        destination.copy_from_slice(addresses.last_chunk::<16>().ok_or(KeyError::Truncated)?);
        let mut key = Self { local: source.into(), remote: destination.into(), protocol: None, upper: Upper::Hidden };

        let mut fragment: Option<Fragment> = None;
        for _ in 0..Self::MAX_EXTENSION_HEADERS {
            if !is_extension(next) {
                key.protocol = Some(next);
                key.upper = Upper::read(next, rest);
                let fragment = fragment.map(|fragment| Fragment { shown: rest.len() as u32, ..fragment });
                return Ok(Parts { key, fragment, payload: rest });
            }
            let (length, later) = match rest {
                [_, _, o0, o1, i0, i1, i2, i3, data @ ..] if next == FRAGMENT => {
                    let flags = u16::from_be_bytes([*o0, *o1]);
                    let nested = fragment.is_some();
                    let (id, offset) = (u32::from_be_bytes([*i0, *i1, *i2, *i3]), u32::from(flags & 0xfff8));
                    let (more, length) = (flags & 1 != 0, data.len() as u32);
                    fragment = Some(Fragment { id, offset, length, more, shown: 0, nested });
                    (8, offset > 0)
                }
                [_, length, ..] if next != FRAGMENT => (usize::from(*length) * 8 + 8, false),
                _ => (usize::MAX, false),
            };
            let (Some(after), Some(following)) = (rest.get(length..), rest.first()) else {
                // Cut off: a fragment may end inside its headers, a whole packet may not.
                let cut = fragment.filter(|fragment| fragment.more).ok_or(KeyError::Truncated)?;
                return Ok(Parts { key, fragment: Some(cut), payload: &[] });
            };
            next = *following;
            rest = after;
            if later {
                // What follows is the middle of something; the protocol is known only if it comes first in it.
                key.protocol = (!is_extension(next)).then_some(next);
                return Ok(Parts { key, fragment, payload: &[] });
            }
        }
        Err(KeyError::TooManyExtensionHeaders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 192, 0, 2, 9];
        packet.extend_from_slice(payload);
        let length = (packet.len() as u16).to_be_bytes();
        packet[2..4].copy_from_slice(&length);
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        packet
    }

    fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
        packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
        packet.extend_from_slice(&[0x20; 16]);
        packet.extend_from_slice(&[0x30; 16]);
        packet.extend_from_slice(payload);
        packet
    }

    const PORTS: [u8; 8] = [0x10, 0x00, 0, 80, 0, 8, 0, 0];

    fn key(packet: &[u8]) -> PacketKey {
        PacketKey::from_packet(packet, Direction::Outbound).unwrap()
    }

    #[test]
    fn local_is_the_source_of_what_is_sent_and_the_destination_of_what_is_received() {
        let packet = ipv4(17, 0, &PORTS);
        let outbound = key(&packet);
        assert_eq!(outbound.local, IpAddr::from([10, 0, 0, 1]));
        assert_eq!(outbound.upper, Upper::Ports { local: 4096, remote: 80 });
        let inbound = PacketKey::from_packet(&packet, Direction::Inbound).unwrap();
        assert_eq!(inbound.local, IpAddr::from([192, 0, 2, 9]));
        assert_eq!(inbound.upper, Upper::Ports { local: 80, remote: 4096 });
        assert_eq!(inbound.reversed(), outbound);
    }

    #[test]
    fn what_is_above_ipv4_is_read_by_protocol() {
        assert_eq!(key(&ipv4(1, 0, &[8, 0, 1, 2])).upper, Upper::Message(0x0800));
        assert_eq!(key(&ipv4(47, 0, &PORTS)).upper, Upper::Absent);
        assert_eq!(key(&ipv4(6, 0, &PORTS[..3])).upper, Upper::Hidden);
        assert_eq!(key(&ipv4(6, 0x2000, &PORTS)).upper, Upper::Ports { local: 4096, remote: 80 });
        assert_eq!(key(&ipv4(6, 0x2001, &PORTS)).upper, Upper::Hidden);
        assert_eq!(key(&ipv4(6, 0x0001, &PORTS)).protocol, Some(6));
    }

    #[test]
    fn ipv4_options_are_skipped_and_octets_after_the_packet_ignored() {
        let mut packet = ipv4(17, 0, &[1, 1, 1, 1, 0x10, 0, 0, 80]);
        packet[0] = 0x46;
        packet.extend_from_slice(&[9; 9]);
        assert_eq!(key(&packet).upper, Upper::Ports { local: 4096, remote: 80 });
    }

    #[test]
    fn ipv6_extension_headers_are_skipped_but_not_esp_and_ah() {
        let udp = |next: u8, before: &[u8]| key(&ipv6(next, &[before, &PORTS].concat()));
        let skipped = udp(
            HOP_BY_HOP,
            &[43, 0, 0, 0, 0, 0, 0, 0, 60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0],
        );
        assert_eq!((skipped.protocol, skipped.upper), (Some(17), Upper::Ports { local: 4096, remote: 80 }));
        assert_eq!((udp(50, &[]).protocol, udp(50, &[]).upper), (Some(50), Upper::Absent));
        assert_eq!(udp(51, &[17, 4]).protocol, Some(51));
        assert_eq!(udp(135, &[59, 0, 5]).upper, Upper::Message(0x0500));
        assert_eq!(udp(58, &[135, 0]).upper, Upper::Message(135 * 256));
    }

    #[test]
    fn ipv6_fragments_show_what_they_hold() {
        let fragment = |flags: u16, next: u8, rest: &[u8]| {
            let [a, b] = flags.to_be_bytes();
            key(&ipv6(FRAGMENT, &[&[next, 0, a, b, 0, 0, 0, 1], rest].concat()))
        };
        let atomic = fragment(0, 17, &PORTS);
        assert_eq!(atomic.upper, Upper::Ports { local: 4096, remote: 80 });
        let first = fragment(1, 17, &PORTS);
        assert_eq!(first.upper, Upper::Ports { local: 4096, remote: 80 });
        let later = fragment(8 | 1, 17, &PORTS);
        assert_eq!((later.protocol, later.upper), (Some(17), Upper::Hidden));
        let middle_of_options = fragment(8, DESTINATION_OPTIONS, &PORTS);
        assert_eq!((middle_of_options.protocol, middle_of_options.upper), (None, Upper::Hidden));
        let first_ends_in_options = fragment(1, DESTINATION_OPTIONS, &[17, 3, 0, 0]);
        assert_eq!((first_ends_in_options.protocol, first_ends_in_options.upper), (None, Upper::Hidden));
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let refused = |packet: &[u8]| PacketKey::from_packet(packet, Direction::Outbound).unwrap_err();
        assert_eq!(refused(&[]), KeyError::Truncated);
        assert_eq!(refused(&[0x55; 64]), KeyError::Version);
        let mut short_header = ipv4(17, 0, &PORTS);
        short_header[0] = 0x44;
        assert_eq!(refused(&short_header), KeyError::HeaderLength);
        let mut long_header = ipv4(17, 0, &PORTS);
        long_header[0] = 0x4f;
        assert_eq!(refused(&long_header), KeyError::HeaderLength);
        let chain = ipv6(HOP_BY_HOP, &[0; 8 * 32]);
        assert_eq!(refused(&chain), KeyError::TooManyExtensionHeaders);
        assert_eq!(refused(&ipv6(ROUTING, &[17, 9, 0, 0])), KeyError::Truncated);
    }

    #[test]
    fn every_truncation_is_refused_and_none_panics() {
        let v6 = ipv6(HOP_BY_HOP, &[&[44, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 1, 0, 0, 0, 1], &PORTS[..]].concat());
        for packet in [ipv4(17, 0, &PORTS), v6] {
            for length in 0..packet.len() {
                assert!(PacketKey::from_packet(&packet[..length], Direction::Inbound).is_err(), "{length}");
            }
        }
    }
}
