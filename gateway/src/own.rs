//! Datagrams of this machine's own programs, which go through associations in transport mode.
//!
//! A machine such as an L2TPv3 endpoint speaks in [`Transmit`] and [`Datagram`]; the gateway protects
//! whole IP packets. Here the one becomes the other.

use crate::action::Action;
use crate::counters::count;
use crate::header::Header;
use crate::outbound::{OutboundDrop, Outcome};
use crate::pump::Gateway;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use drive::{Datagram, Instant, Path, Transmit};
use esp_ah::Packet;
use esp_ah::mode::Encapsulation;
use ipsec_wire::ipv4::Ipv4Packet;
use ipsec_wire::ipv6::Ipv6Packet;
use ipsec_wire::udp::{self, UdpDatagram};

impl Gateway {
    /// Takes in a datagram that a program of this machine sends: as [`handle_packet`](Self::handle_packet) with
    /// the IP packet it would travel in, checksums included.
    ///
    /// When no policy protects it, it comes back unchanged as [`Action::Transmit`]. The other way, what the
    /// gateway delivers is read by [`datagram_of`].
    ///
    /// ```
    /// # use drive::{Instant, Path, Transmit};
    /// # use gateway::{Action, Gateway, datagram_of};
    /// # fn joined(now: Instant, gateway: &mut Gateway, l2tp_says: Transmit, mut l2tp_hears: impl FnMut(drive::Datagram<'_>)) {
    /// let _ = gateway.handle_transmit(now, l2tp_says);
    /// while let Some(action) = gateway.poll_action() {
    ///     match action {
    ///         Action::Deliver(packet, _) => {
    ///             if let Some(datagram) = datagram_of(&packet) {
    ///                 l2tp_hears(datagram);
    ///             }
    ///         }
    ///         // Action::Transmit goes to the network, and so on.
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    pub fn handle_transmit(&mut self, now: Instant, transmit: Transmit) -> Outcome {
        let now = self.clock.observe(now);
        count(&mut self.counters.out_packets);
        let Some(packet) = packet_of(&transmit) else {
            count(&mut self.counters.out_malformed);
            return Outcome::Dropped(OutboundDrop::Malformed);
        };
        count(&mut self.counters.out_copies);
        let outcome = self.seal_copy(now, &packet, |_| Action::Transmit(transmit, Header::PLAIN));
        self.drain(now);
        outcome
    }
}

/// Returns the IP packet that a datagram travels in; `None` if it is too long, or its ends are of two families.
fn packet_of(transmit: &Transmit) -> Option<Vec<u8>> {
    let Path { protocol, local, remote } = transmit.path;
    let ends = (local.ip(), remote.ip());
    let head = Encapsulation::towards(remote.ip(), transmit.path.is_udp()).octets();
    let mut buffer = vec![0; head];
    buffer.extend_from_slice(&transmit.payload);
    let end = buffer.len();
    let mut packet = Packet::new(&mut buffer, head..end)?;
    if transmit.path.is_udp() {
        packet.grow_front(udp::HEADER_LEN).ok()?;
        udp::emit_header(packet.octets_mut(), local.port(), remote.port(), Some(ends)).ok()?;
    }
    // Not to be fragmented, it needs no identification, RFC 6864 §4.1.
    Header::default().prepend_ip(ends, protocol, 0, &mut packet).ok()?;
    Some(buffer)
}

/// Returns the datagram that an IP packet to this machine carries: the payload of UDP, or of IP itself, with
/// the path it came on.
///
/// `None` for fragments, and for packets whose headers or UDP checksum are wrong.
pub fn datagram_of(packet: &[u8]) -> Option<Datagram<'_>> {
    let (source, destination, protocol, payload) = match packet.first()? >> 4 {
        4 => {
            let view = Ipv4Packet::new_checked(packet).ok()?;
            if view.is_fragment() {
                return None;
            }
            let payload = packet.get(view.header_len()..view.total_len())?;
            (IpAddr::from(view.source()), IpAddr::from(view.destination()), view.protocol(), payload)
        }
        6 => {
            let view = Ipv6Packet::new_checked(packet).ok()?;
            let upper = view.upper_layer().ok()?;
            if upper.fragment.is_some() {
                return None;
            }
            let payload = packet.get(upper.offset..view.total_len())?;
            (view.source().into(), view.destination().into(), upper.protocol, payload)
        }
        _ => return None,
    };
    if protocol != Path::UDP {
        return Some(Datagram { path: Path::ip(protocol, destination, source), payload });
    }
    let view = UdpDatagram::new_checked(payload).ok()?;
    if !view.checksum_is_valid(source, destination) {
        return None;
    }
    let local = SocketAddr::new(destination, view.destination_port());
    let remote = SocketAddr::new(source, view.source_port());
    Some(Datagram { path: Path::new(local, remote), payload: payload.get(udp::HEADER_LEN..view.length())? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn ends(v6: bool) -> (IpAddr, IpAddr) {
        if v6 {
            ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap())
        } else {
            ([192, 0, 2, 1].into(), [192, 0, 2, 2].into())
        }
    }

    #[test]
    fn what_goes_into_a_packet_comes_out_of_it_at_the_other_end() {
        for v6 in [false, true] {
            let (local, remote) = ends(v6);
            let udp = Path::new(SocketAddr::new(local, 1701), SocketAddr::new(remote, 40_000));
            for path in [udp, Path::ip(115, local, remote), Path::ip(47, local, remote)] {
                for payload in [&b""[..], b"a", b"the payload"] {
                    let transmit = Transmit { path, payload: Bytes::copy_from_slice(payload) };
                    let packet = packet_of(&transmit).unwrap();
                    assert_eq!(datagram_of(&packet), Some(Datagram { path: path.reversed(), payload }));
                }
            }
        }
    }

    #[test]
    fn every_truncation_and_every_flip_under_the_checksum_is_no_datagram() {
        for v6 in [false, true] {
            let (local, remote) = ends(v6);
            let path = Path::new(SocketAddr::new(local, 1701), SocketAddr::new(remote, 1701));
            let packet = packet_of(&Transmit { path, payload: Bytes::from_static(b"the payload") }).unwrap();
            assert!((0..packet.len()).all(|length| datagram_of(&packet[..length]).is_none()));
            let header = if v6 { 40 } else { 20 };
            for bit in header * 8..packet.len() * 8 {
                let mut flipped = packet.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(datagram_of(&flipped), None, "bit {bit}");
            }
        }
    }

    #[test]
    fn ends_of_two_families_and_payloads_too_long_make_no_packet() {
        let (v4, v6) = (ends(false).0, ends(true).0);
        let long = Bytes::from(vec![0; 65_516]);
        assert_eq!(packet_of(&Transmit { path: Path::ip(115, v4, v6), payload: Bytes::new() }), None);
        assert_eq!(packet_of(&Transmit { path: Path::ip(115, v4, v4), payload: long.clone() }), None);
        assert!(packet_of(&Transmit { path: Path::ip(115, v6, v6), payload: long }).is_some());
    }
}
