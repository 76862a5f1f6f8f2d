//! ICMP errors, which are about other packets, RFC 4301 §6.2.

use crate::key::{Extent, Parts};
use crate::selector::upper;
use crate::{Direction, PacketKey, Upper};

/// Octets of an ICMP or ICMPv6 error before the packet that it quotes.
const BEFORE_QUOTE: usize = 8;

impl PacketKey {
    /// Returns what an ICMP error message is about: the key of the return traffic of the packet it quotes, seen from this
    /// side as a packet that goes the way of the message.
    ///
    /// A message that no policy wants by its own header may be sent and accepted through the association that carries
    /// this, RFC 4301 §6.2.
    ///
    /// `None` when the packet is no such message, or is a fragment; when it goes to another host than the sender of what
    /// it quotes; when what it quotes is an ICMP error itself (RFC 1122 §3.2.2), of another family, or too short to show
    /// addresses. What it quotes may be cut off behind them: then [`Upper::Hidden`] stands for ports.
    ///
    /// ```
    /// # use spd::{Direction, PacketKey, Upper};
    /// // A router tells 10.0.0.1 that its packet to port 80 of 10.0.9.9 was too long for the next link.
    /// let quoted = [&[0x45, 0, 5, 220, 0, 0, 0x40, 0, 9, 6, 0, 0, 10, 0, 0, 1, 10, 0, 9, 9][..], &[4, 0, 0, 80]].concat();
    /// let header = [0x45, 0, 0, 52, 0, 0, 0, 0, 9, 1, 0, 0, 10, 0, 9, 254, 10, 0, 0, 1];
    /// let message = [&header[..], &[3, 4, 0, 0, 0, 0, 5, 120], &quoted].concat();
    /// let about = PacketKey::of_quoted(&message, Direction::Inbound).unwrap();
    /// assert_eq!(about.upper, Upper::Ports { local: 1024, remote: 80 });
    /// ```
    pub fn of_quoted(packet: &[u8], direction: Direction) -> Option<Self> {
        let Parts { key: error, fragment: None, payload } = Self::parts(packet, Extent::Whole).ok()? else {
            return None;
        };
        if !error.is_error() {
            return None;
        }
        let quoted = Self::parts(payload.get(BEFORE_QUOTE..)?, Extent::Quoted).ok()?.key;
        // Both are seen by who sent them: the sender of what is quoted is the one that is told.
        if quoted.local != error.remote || quoted.is_error() {
            return None;
        }
        Some(match direction {
            Direction::Outbound => quoted.reversed(),
            Direction::Inbound => quoted,
        })
    }

    fn is_error(&self) -> bool {
        match (self.protocol, self.upper) {
            (Some(protocol), Upper::Message(message)) => upper::is_error(protocol, message.to_be_bytes()[0]),
            (_, Upper::Ports { .. } | Upper::Message(_) | Upper::Absent | Upper::Hidden) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::net::{Ipv4Addr, Ipv6Addr};

    const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const THERE: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 9);
    const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 254);
    const HERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const THERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 9);
    /// Of ports 1024 and 80.
    const PORTS: [u8; 8] = [4, 0, 0, 80, 0, 0, 0, 0];

    fn v4(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
        let [l0, l1] = (20 + payload.len() as u16).to_be_bytes();
        let header = [0x45, 0, l0, l1, 0, 0, 0, 0, 64, protocol, 0, 0];
        [&header[..], &from.octets(), &to.octets(), payload].concat()
    }

    fn v6(next: u8, from: Ipv6Addr, to: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
        let [l0, l1] = (payload.len() as u16).to_be_bytes();
        [&[0x60, 0, 0, 0, l0, l1, next, 64][..], &from.octets(), &to.octets(), payload].concat()
    }

    fn message(kind: u8, quoted: &[u8]) -> Vec<u8> {
        [&[kind, 0, 0, 0, 0, 0, 0, 0][..], quoted].concat()
    }

    fn about(kind: u8, quoted: &[u8]) -> Option<PacketKey> {
        PacketKey::of_quoted(&v4(1, ROUTER, HERE, &message(kind, quoted)), Direction::Inbound)
    }

    #[test]
    fn an_error_is_about_the_return_traffic_of_what_it_quotes_seen_from_either_side() {
        let sent = v4(6, HERE, THERE, &PORTS);
        let expected = PacketKey::from_packet(&sent, Direction::Outbound).unwrap();
        assert_eq!(about(3, &sent), Some(expected));
        let there = PacketKey::of_quoted(&v4(1, ROUTER, HERE, &message(3, &sent)), Direction::Outbound).unwrap();
        assert_eq!(there, expected.reversed());
        let returned = v4(6, THERE, HERE, &[0, 80, 4, 0, 0, 0, 0, 0]);
        assert_eq!(Ok(there), PacketKey::from_packet(&returned, Direction::Outbound));

        let sent = v6(17, HERE_V6, THERE_V6, &PORTS);
        let told = v6(58, THERE_V6, HERE_V6, &message(2, &sent));
        let expected = PacketKey::from_packet(&sent, Direction::Outbound).unwrap();
        assert_eq!(PacketKey::of_quoted(&told, Direction::Inbound), Some(expected));
    }

    #[test]
    fn messages_that_tell_of_no_packet_far_away_are_about_nothing() {
        let sent = v4(6, HERE, THERE, &PORTS);
        let errors: Vec<u8> = (0..=255).filter(|kind| about(*kind, &sent).is_some()).collect();
        assert_eq!(errors, [3, 11, 12]);
        let sent = v6(6, HERE_V6, THERE_V6, &PORTS);
        let told = |kind| v6(58, THERE_V6, HERE_V6, &message(kind, &sent));
        let is_error = |kind: &u8| PacketKey::of_quoted(&told(*kind), Direction::Inbound).is_some();
        assert!((0..=255).filter(is_error).eq(1..=127));
    }

    #[test]
    fn an_error_to_another_than_the_sender_of_what_it_quotes_is_about_nothing() {
        assert_eq!(about(3, &v4(6, THERE, HERE, &PORTS)), None);
        assert_eq!(about(3, &v4(6, ROUTER, THERE, &PORTS)), None);
    }

    #[test]
    fn an_error_about_an_error_or_in_fragments_or_of_another_family_is_about_nothing() {
        assert!(about(3, &v4(1, HERE, THERE, &message(8, &[]))).is_some());
        assert_eq!(about(3, &v4(1, HERE, THERE, &message(3, &[]))), None);
        assert_eq!(about(3, &v6(6, HERE_V6, THERE_V6, &PORTS)), None);
        let mut first = v4(1, ROUTER, HERE, &message(3, &v4(6, HERE, THERE, &PORTS)));
        first[6] = 0x20;
        assert_eq!(PacketKey::of_quoted(&first, Direction::Inbound), None);
    }

    #[test]
    fn what_is_quoted_may_be_cut_off_anywhere_behind_its_addresses() {
        let mut sent = v4(6, HERE, THERE, &PORTS);
        sent[2..4].copy_from_slice(&1500u16.to_be_bytes());
        for length in 0..=sent.len() {
            let upper = match length {
                0..20 => None,
                20..24 => Some(Upper::Hidden),
                _ => Some(Upper::Ports { local: 1024, remote: 80 }),
            };
            assert_eq!(about(3, &sent[..length]).map(|key| key.upper), upper, "{length}");
        }
        // Of IPv6 an extension header that is cut off hides what is above it, and the protocol with it.
        let options = [&[6, 0, 1, 4, 0, 0, 0, 0][..], &PORTS].concat();
        let sent = v6(60, HERE_V6, THERE_V6, &options);
        for length in 0..=sent.len() {
            let told = v6(58, THERE_V6, HERE_V6, &message(2, &sent[..length]));
            let shown = PacketKey::of_quoted(&told, Direction::Inbound).map(|key| key.upper);
            let expected = match length {
                0..48 => None,
                48..52 => Some(Upper::Hidden),
                _ => Some(Upper::Ports { local: 1024, remote: 80 }),
            };
            assert_eq!(shown, expected, "{length}");
        }
    }

    #[test]
    fn a_later_fragment_that_is_quoted_shows_no_ports() {
        let mut sent = v4(17, HERE, THERE, &PORTS);
        sent[7] = 9;
        assert_eq!(about(11, &sent).map(|key| (key.protocol, key.upper)), Some((Some(17), Upper::Hidden)));
    }
}
