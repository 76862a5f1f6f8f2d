use super::{Encapsulation, ModeError};
use crate::packet::{BufferTooSmall, Room};
use crate::suite::Suite;
use core::net::IpAddr;
use ipsec_wire::checksum::Checksum;
use ipsec_wire::icmp::{self, IcmpMessage};
use ipsec_wire::ipv4::{self, Ipv4Fields, Ipv4Packet};
use ipsec_wire::ipv6::{self, Ipv6Fields, Ipv6Packet};

/// The least path MTU that we believe over IPv4; what lower reports would save no path has.
pub const MIN_MTU_V4: usize = 576;
/// The least path MTU of IPv6 (RFC 8200 §5).
pub const MIN_MTU_V6: usize = 1280;

/// What fits through one association, worked out from the path MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathMtu {
    suite: Suite,
    encapsulation: Encapsulation,
    path: usize,
}

impl PathMtu {
    /// Returns the state for a path of so many octets, at least the family's least.
    pub fn new(suite: Suite, encapsulation: Encapsulation, path: usize) -> Self {
        Self { suite, encapsulation, path: path.max(least(encapsulation.v6)) }
    }

    /// Returns the path MTU.
    pub const fn path(&self) -> usize {
        self.path
    }

    /// Takes a report from the path; returns whether it changed anything.
    ///
    /// Reports only lower, and never below [`MIN_MTU_V4`] or [`MIN_MTU_V6`]: they come from anyone. The caller
    /// has matched the report's packet with an association, and starts anew from time to time (RFC 4301 §8.2.2).
    pub fn lower(&mut self, reported: usize) -> bool {
        let believed = reported.max(least(self.encapsulation.v6));
        let lower = believed < self.path;
        if lower {
            self.path = believed;
        }
        lower
    }

    /// Returns the longest inner packet that passes without fragments.
    pub fn inner(&self) -> usize {
        let room = self.path.saturating_sub(self.encapsulation.octets());
        self.suite.max_payload(room).unwrap_or(0)
    }

    /// Returns the MTU to tell the sender of a packet that is too long: [`inner`](Self::inner), but for IPv6
    /// never below 1280, which its senders would not take.
    pub fn to_tell(&self, v6_inside: bool) -> usize {
        if v6_inside { self.inner().max(MIN_MTU_V6) } else { self.inner() }
    }

    /// Returns the TCP maximum segment size for connections inside.
    pub fn tcp_mss(&self, v6_inside: bool) -> usize {
        // IP header and TCP header without options (RFC 6691).
        self.inner().saturating_sub(if v6_inside { ipv6::HEADER_LEN + 20 } else { ipv4::MIN_HEADER_LEN + 20 })
    }
}

const fn least(v6: bool) -> usize {
    if v6 { MIN_MTU_V6 } else { MIN_MTU_V4 }
}

/// Writes the ICMP message that tells the sender of `offending` which MTU to keep, and returns its octets.
///
/// It is "fragmentation needed" for IPv4 (RFC 1191 §4) and "packet too big" for IPv6 (RFC 4443 §3.2), from
/// the address `from`, with as much of the packet as such a message carries.
///
/// Returns `Ok(0)` for packets that no error answers: later fragments, ICMP errors, and those from
/// addresses that are no single host's (RFC 1122 §3.2.2, RFC 4443 §2.4).
///
/// # Errors
/// A packet that lies, a `from` of the other family, or `out` shorter than the message.
pub fn too_big_reply(out: &mut [u8], offending: &[u8], from: IpAddr, mtu: usize) -> Result<usize, ModeError> {
    match (super::Inner::of(offending)?.next_header, from) {
        (super::IPV4, IpAddr::V4(from)) => {
            let packet = Ipv4Packet::new_checked(offending)?;
            let source = packet.source();
            let silent = packet.fragment_offset() > 0
                || (packet.protocol() == icmp::PROTOCOL && is_error(packet.payload(), false))
                || source.is_multicast()
                || source.is_unspecified()
                || source.is_broadcast()
                || packet.destination().is_multicast();
            if silent {
                return Ok(0);
            }
            let rest = u32::from(u16::try_from(mtu).unwrap_or(u16::MAX));
            let quoted = quote(offending, packet.total_len(), MIN_MTU_V4 - ipv4::MIN_HEADER_LEN - icmp::HEADER_LEN);
            let total = ipv4::MIN_HEADER_LEN.saturating_add(icmp::HEADER_LEN).saturating_add(quoted.len());
            let fields = Ipv4Fields {
                traffic_class: 0,
                total_len: u16::try_from(total).map_err(|_| ModeError::TooLong(total))?,
                identification: 0,
                dont_fragment: true,
                ttl: 64,
                protocol: icmp::PROTOCOL,
                source: from,
                destination: source,
            };
            write(out, total, &fields.emit(), [3, 4], rest, quoted, Checksum::new())
        }
        (super::IPV6, IpAddr::V6(from)) => {
            let packet = Ipv6Packet::new_checked(offending)?;
            let upper = packet.upper_layer()?;
            let source = packet.source();
            let body = offending.get(upper.offset..).unwrap_or_default();
            let silent = upper.fragment.is_some_and(|fragment| fragment.offset > 0)
                || (upper.protocol == icmp::PROTOCOL_V6 && is_error(body, true))
                || source.is_multicast()
                || source.is_unspecified();
            if silent {
                return Ok(0);
            }
            let quoted = quote(offending, packet.total_len(), MIN_MTU_V6 - ipv6::HEADER_LEN - icmp::HEADER_LEN);
            let payload = icmp::HEADER_LEN.saturating_add(quoted.len());
            let payload_len = u16::try_from(payload).map_err(|_| ModeError::TooLong(payload))?;
            let fields = Ipv6Fields {
                traffic_class: 0,
                flow_label: 0,
                payload_len,
                next_header: icmp::PROTOCOL_V6,
                hop_limit: 64,
                source: from,
                destination: source,
            };
            let rest = u32::try_from(mtu).unwrap_or(u32::MAX);
            let sum = Checksum::pseudo_ipv6(from, source, icmp::PROTOCOL_V6, payload_len.into());
            write(out, payload.saturating_add(ipv6::HEADER_LEN), &fields.emit(), [2, 0], rest, quoted, sum)
        }
        _ => Err(ModeError::Family),
    }
}

fn is_error(message: &[u8], v6: bool) -> bool {
    match IcmpMessage::new_checked(message) {
        Ok(view) if v6 => view.kind() < 128,
        Ok(view) => matches!(view.kind(), 3 | 4 | 5 | 11 | 12),
        Err(_) => true,
    }
}

fn quote(offending: &[u8], total_len: usize, room: usize) -> &[u8] {
    offending.get(..total_len.min(room)).unwrap_or(offending)
}

fn write(
    out: &mut [u8],
    total: usize,
    header: &[u8],
    kind_and_code: [u8; 2],
    rest: u32,
    quoted: &[u8],
    sum: Checksum,
) -> Result<usize, ModeError> {
    let too_small = BufferTooSmall { room: Room::Tail, needed: total };
    let out = out.get_mut(..total).ok_or(too_small)?;
    let sum = sum.with(&kind_and_code).with(&rest.to_be_bytes()).with(quoted).finish();
    let octets = header
        .iter()
        .chain(&kind_and_code)
        .copied()
        .chain(sum.to_be_bytes())
        .chain(rest.to_be_bytes())
        .chain(quoted.iter().copied());
    out.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{CipherAlgorithm, IntegrityAlgorithm};
    use core::net::{Ipv4Addr, Ipv6Addr};
    use std::vec::Vec;

    fn mtu(v6: bool, path: usize) -> PathMtu {
        let suite = Suite::new(CipherAlgorithm::DesCbc, IntegrityAlgorithm::HmacSha1_96).unwrap();
        PathMtu::new(suite, Encapsulation { v6, udp: false }, path)
    }

    #[test]
    fn reports_of_0_68_575_and_65535_from_anyone_do_no_harm() {
        for (v6, least) in [(false, 576), (true, 1280)] {
            let mut state = mtu(v6, 1500);
            assert!(!state.lower(65535) && state.path() == 1500);
            for reported in [575, 68, 0] {
                state.lower(reported);
                assert_eq!(state.path(), least);
            }
            assert!(!state.lower(1400), "reports never raise");
        }
    }

    #[test]
    fn the_inner_mtu_is_the_longest_packet_that_passes() {
        let state = mtu(false, 1500);
        // 1500 - 20 - 8 - 8 - 12 = 1452, of it 1448 in blocks, less the trailer.
        assert_eq!((state.inner(), state.to_tell(false), state.tcp_mss(false)), (1446, 1446, 1406));
        assert_eq!((mtu(true, 1280).to_tell(true), mtu(true, 1280).tcp_mss(true)), (1280, 1206 - 60));
    }

    fn ipv4(protocol: u8, len: usize) -> Vec<u8> {
        let fields = Ipv4Fields {
            traffic_class: 0,
            total_len: 20 + len as u16,
            identification: 0,
            dont_fragment: true,
            ttl: 1,
            protocol,
            source: Ipv4Addr::new(10, 0, 0, 1),
            destination: Ipv4Addr::new(10, 0, 0, 2),
        };
        let mut octets = fields.emit().to_vec();
        octets.resize(20 + len, 3);
        octets
    }

    fn ipv6(next_header: u8, len: usize) -> Vec<u8> {
        let (source, destination) = (Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        let fields = Ipv6Fields {
            traffic_class: 0,
            flow_label: 0,
            payload_len: len as u16,
            next_header,
            hop_limit: 1,
            source,
            destination,
        };
        let mut octets = fields.emit().to_vec();
        octets.resize(40 + len, 3);
        octets
    }

    #[test]
    fn the_sender_is_told_in_its_own_family() {
        let mut out = [0; 1280];
        let from = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254));
        let len = too_big_reply(&mut out, &ipv4(17, 1480), from, 1446).unwrap();
        assert_eq!(len, 576);
        let packet = Ipv4Packet::new_checked(&out[..len]).unwrap();
        assert!(packet.checksum_is_valid() && Checksum::new().with(packet.payload()).is_valid());
        assert_eq!(packet.destination(), Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(IcmpMessage::new_checked(packet.payload()).unwrap().fragmentation_needed(), Some(1446));

        let len = too_big_reply(&mut out, &ipv6(17, 1460), IpAddr::V6(Ipv6Addr::LOCALHOST), 1300).unwrap();
        assert_eq!(len, 1280);
        let packet = Ipv6Packet::new_checked(&out[..len]).unwrap();
        let sum = Checksum::pseudo_ipv6(packet.source(), packet.destination(), 58, packet.payload_len() as u32);
        assert!(sum.with(packet.payload()).is_valid());
        assert_eq!(IcmpMessage::new_checked(packet.payload()).unwrap().packet_too_big(), Some(1300));
        assert!(matches!(too_big_reply(&mut out, &ipv6(17, 9), from, 1300), Err(ModeError::Family)));
        assert!(matches!(too_big_reply(&mut out[..20], &ipv4(17, 100), from, 1300), Err(ModeError::BufferTooSmall(_))));
    }

    #[test]
    fn errors_and_later_fragments_are_not_answered() {
        let mut out = [0; 1280];
        let from = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254));
        assert_eq!(too_big_reply(&mut out, &ipv4(1, 100), from, 1446), Ok(0), "type 3 is an error");
        let mut fragment = ipv4(17, 100);
        fragment[7] = 1;
        assert_eq!(too_big_reply(&mut out, &fragment, from, 1446), Ok(0));
        assert_eq!(too_big_reply(&mut out, &ipv6(58, 100), IpAddr::V6(Ipv6Addr::LOCALHOST), 1300), Ok(0));
        let mut echo = ipv4(1, 100);
        echo[20] = 8;
        assert!(too_big_reply(&mut out, &echo, from, 1446).unwrap() > 0);
    }
}
