//! A host on a LAN: it pings, and answers pings.

use bytes::{Bytes, BytesMut};
use core::net::Ipv4Addr;
use core::time::Duration;
use drive::Instant;
use ipsec_wire::checksum::Checksum;
use ipsec_wire::icmp::{self, IcmpMessage};
use ipsec_wire::ipv4::{Ipv4Fields, Ipv4Packet, MIN_HEADER_LEN};
use std::collections::BTreeMap;

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
const TTL: u8 = 64;

/// A host with one address.
#[derive(Debug)]
pub struct Host {
    address: Ipv4Addr,
    identifier: u16,
    sequence: u16,
    identification: u16,
    waiting: BTreeMap<u16, Instant>,
    round_trips: Vec<Duration>,
    answered: u64,
}

/// What a packet was to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A ping; this is the answer to send.
    Request {
        /// Who pinged.
        from: Ipv4Addr,
        /// The number of the ping.
        sequence: u16,
        /// The answer, a whole IP packet.
        answer: Bytes,
    },
    /// The answer to a ping.
    Reply {
        /// Who answered.
        from: Ipv4Addr,
        /// The number of the ping.
        sequence: u16,
        /// The time since the ping.
        round_trip: Duration,
    },
    /// The answer to no ping, or one answered already.
    Stray {
        /// The number in it.
        sequence: u16,
    },
    /// Not a sound ping or answer for this host.
    Unreadable,
}

impl Host {
    /// Returns a host; `identifier` tells its pings from others.
    pub fn new(address: Ipv4Addr, identifier: u16) -> Self {
        Self {
            address,
            identifier,
            sequence: 0,
            identification: 0,
            waiting: BTreeMap::new(),
            round_trips: Vec::new(),
            answered: 0,
        }
    }

    /// Returns its address.
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Returns the next ping with `size` octets of data, a whole IP packet, and its number.
    pub fn ping(&mut self, now: Instant, to: Ipv4Addr, size: u16) -> (u16, Bytes) {
        self.sequence = self.sequence.wrapping_add(1);
        self.waiting.insert(self.sequence, now);
        let data: Vec<u8> = (0..size).map(|n| n as u8).collect();
        let rest = [self.identifier.to_be_bytes(), self.sequence.to_be_bytes()];
        (self.sequence, self.packet(to, ECHO_REQUEST, &rest.concat(), &data))
    }

    /// Takes in a packet from the LAN's gateway.
    pub fn receive(&mut self, now: Instant, octets: &[u8]) -> Received {
        self.read(now, octets).unwrap_or(Received::Unreadable)
    }

    /// Returns the round trips of the pings that were answered.
    pub fn round_trips(&self) -> &[Duration] {
        &self.round_trips
    }

    /// Returns how many pings were sent, and how many of others were answered.
    pub const fn counts(&self) -> (u16, u64) {
        (self.sequence, self.answered)
    }

    fn read(&mut self, now: Instant, octets: &[u8]) -> Option<Received> {
        let packet = Ipv4Packet::new_checked(octets).ok()?;
        if packet.protocol() != icmp::PROTOCOL || packet.destination() != self.address || !packet.checksum_is_valid() {
            return None;
        }
        let message = IcmpMessage::new_checked(packet.payload()).ok()?;
        if Checksum::new().with(packet.payload()).finish() != 0 {
            return None;
        }
        let rest = packet.payload().get(4..8)?;
        let (identifier, sequence) = rest.split_at_checked(2)?;
        let sequence = u16::from_be_bytes(sequence.try_into().ok()?);
        match message.kind() {
            ECHO_REQUEST => {
                self.answered += 1;
                let answer = self.packet(packet.source(), ECHO_REPLY, rest, message.body());
                Some(Received::Request { from: packet.source(), sequence, answer })
            }
            ECHO_REPLY if identifier == self.identifier.to_be_bytes() => Some(match self.waiting.remove(&sequence) {
                Some(sent) => {
                    let round_trip = now - sent;
                    self.round_trips.push(round_trip);
                    Received::Reply { from: packet.source(), sequence, round_trip }
                }
                None => Received::Stray { sequence },
            }),
            _ => None,
        }
    }

    fn packet(&mut self, to: Ipv4Addr, kind: u8, rest: &[u8], data: &[u8]) -> Bytes {
        self.identification = self.identification.wrapping_add(1);
        let checksum = Checksum::new().with(&[kind, 0, 0, 0]).with(rest).with(data).finish();
        let length = MIN_HEADER_LEN + icmp::HEADER_LEN + data.len();
        let header = Ipv4Fields {
            traffic_class: 0,
            total_len: u16::try_from(length).unwrap_or(u16::MAX),
            identification: self.identification,
            dont_fragment: false,
            ttl: TTL,
            protocol: icmp::PROTOCOL,
            source: self.address,
            destination: to,
        };
        let mut packet = BytesMut::with_capacity(length);
        packet.extend_from_slice(&header.emit());
        packet.extend_from_slice(&[kind, 0]);
        packet.extend_from_slice(&checksum.to_be_bytes());
        packet.extend_from_slice(rest);
        packet.extend_from_slice(data);
        packet.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: Ipv4Addr = Ipv4Addr::new(10, 10, 1, 10);
    const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 10, 2, 10);

    #[test]
    fn a_ping_is_answered_and_the_answer_ends_its_wait() {
        for size in [0, 1, 56, 1400] {
            let (mut left, mut right) = (Host::new(LEFT, 7), Host::new(RIGHT, 8));
            let (sequence, ping) = left.ping(Instant::ZERO, RIGHT, size);
            let Received::Request { from: LEFT, sequence: 1, answer } = right.receive(Instant::ZERO, &ping) else {
                panic!("{size}: not a ping")
            };
            let expected = Received::Reply { from: RIGHT, sequence, round_trip: Duration::from_millis(40) };
            assert_eq!(left.receive(Instant::from_millis(40), &answer), expected);
            assert_eq!(left.receive(Instant::from_millis(41), &answer), Received::Stray { sequence });
            assert_eq!(left.round_trips(), [Duration::from_millis(40)]);
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_makes_a_ping_unreadable() {
        let (mut left, mut right) = (Host::new(LEFT, 7), Host::new(RIGHT, 8));
        let (_, ping) = left.ping(Instant::ZERO, RIGHT, 8);
        for bit in 0..ping.len() * 8 {
            let mut octets = ping.to_vec();
            octets[bit / 8] ^= 0x80 >> (bit % 8);
            assert_eq!(right.receive(Instant::ZERO, &octets), Received::Unreadable, "bit {bit}");
        }
    }
}
