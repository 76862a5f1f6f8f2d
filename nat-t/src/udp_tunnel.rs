//! ESP over UDP as routers did it before RFC 3948: port 2746, switched on by hand at both ends.
//!
//! Nothing is detected and nothing negotiated: a policy says that its ESP travels in UDP to a port of the
//! peer, and both routers must say so. With heartbeats on, each end sends one every 30 seconds to keep
//! NATs open; to receive one has no effect. NAT traversal by RFC 3947 is off in such a policy, and AH is
//! not possible.
//!
//! The manuals that describe the setting count packets of a bad version but print no layout. This one is
//! ours, in four octets before the ESP packet:
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Version (1)  |     Kind      |       RESERVED (zero)         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! Kind 0 is ESP, kind 1 a heartbeat, which has nothing behind the header.

use core::fmt;
use core::time::Duration;
use drive::Instant;

/// The port at both ends unless set otherwise.
pub const DEFAULT_PORT: u16 = 2746;
/// The time between two heartbeats.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
/// The octets in front of each ESP packet.
pub const HEADER_LENGTH: usize = 4;
/// The header of an ESP packet.
pub const ESP_HEADER: [u8; HEADER_LENGTH] = [VERSION, KIND_ESP, 0, 0];
/// A heartbeat, whole.
pub const HEARTBEAT: [u8; HEADER_LENGTH] = [VERSION, KIND_HEARTBEAT, 0, 0];

const VERSION: u8 = 1;
const KIND_ESP: u8 = 0;
const KIND_HEARTBEAT: u8 = 1;
/// The octets of SPI and sequence number: no ESP packet is shorter.
const SHORTEST_ESP: usize = 8;

/// What a datagram on the port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// An ESP packet, from its SPI on.
    Esp(&'a [u8]),
    /// A heartbeat.
    Heartbeat,
}

/// Why a datagram is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotOurs {
    /// It is shorter than its header, or than any ESP packet behind it.
    TooShort,
    /// Its version is not 1.
    BadVersion,
    /// Its kind is unknown, or its reserved octets are not zero.
    BadHeader,
    /// A heartbeat has octets behind its header.
    TrailingOctets,
}

impl fmt::Display for NotOurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "too short",
            Self::BadVersion => "bad version",
            Self::BadHeader => "bad header",
            Self::TrailingOctets => "octets behind a heartbeat",
        })
    }
}

/// Tells what a datagram on the tunnel's port is.
///
/// # Errors
/// What is wrong with it; it is to be counted and forgotten.
pub fn parse(payload: &[u8]) -> Result<Content<'_>, NotOurs> {
    let (header, rest) = payload.split_first_chunk::<HEADER_LENGTH>().ok_or(NotOurs::TooShort)?;
    match *header {
        ESP_HEADER if rest.len() < SHORTEST_ESP => Err(NotOurs::TooShort),
        ESP_HEADER => Ok(Content::Esp(rest)),
        HEARTBEAT if rest.is_empty() => Ok(Content::Heartbeat),
        HEARTBEAT => Err(NotOurs::TrailingOctets),
        [VERSION, ..] => Err(NotOurs::BadHeader),
        _ => Err(NotOurs::BadVersion),
    }
}

/// The counters of a router's page, under its names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// `outPkt`: ESP packets sent.
    pub out_pkt: u64,
    /// `inPkt`: ESP packets received.
    pub in_pkt: u64,
    /// `outPktFail`: ESP packets that could not be sent.
    pub out_pkt_fail: u64,
    /// `inPktBadVersion`: datagrams of another version.
    pub in_pkt_bad_version: u64,
    /// `inPktNoPolicy`: ESP packets from an end for which no policy has the tunnel on.
    pub in_pkt_no_policy: u64,
    /// `outUdpHeartBeat`: heartbeats sent.
    pub out_udp_heart_beat: u64,
    /// `inUdpHeartBeat`: heartbeats received.
    pub in_udp_heart_beat: u64,
    /// Other datagrams that made no sense; not on the router's page.
    pub in_pkt_malformed: u64,
}

/// The tunnel to one peer: its ports, its heartbeat, its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpTunnel {
    remote_port: u16,
    next_heartbeat: Option<Instant>,
    counters: Counters,
}

impl UdpTunnel {
    /// Returns a tunnel to `remote_port` without heartbeats.
    pub fn new(remote_port: u16) -> Self {
        Self { remote_port, next_heartbeat: None, counters: Counters::default() }
    }

    /// Returns the peer's port.
    pub const fn remote_port(&self) -> u16 {
        self.remote_port
    }

    /// Returns the counters.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns the counters, to count what only the caller sees.
    pub fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// Starts heartbeats, the first at once.
    pub fn start_heartbeats(&mut self, now: Instant) {
        self.next_heartbeat.get_or_insert(now);
    }

    /// Stops heartbeats.
    pub fn stop_heartbeats(&mut self) {
        self.next_heartbeat = None;
    }

    /// Takes in a datagram of the peer and counts it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn receive<'a>(&mut self, payload: &'a [u8]) -> Result<Content<'a>, NotOurs> {
        let content = parse(payload);
        let counter = match content {
            Ok(Content::Esp(_)) => &mut self.counters.in_pkt,
            Ok(Content::Heartbeat) => &mut self.counters.in_udp_heart_beat,
            Err(NotOurs::BadVersion) => &mut self.counters.in_pkt_bad_version,
            Err(NotOurs::TooShort | NotOurs::BadHeader | NotOurs::TrailingOctets) => {
                &mut self.counters.in_pkt_malformed
            }
        };
        *counter = counter.saturating_add(1);
        content
    }

    /// Returns whether a [`HEARTBEAT`] is to be sent now, and sets the time of the next.
    #[must_use]
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        match self.next_heartbeat {
            Some(due) if due <= now => {
                self.next_heartbeat = Some(now + HEARTBEAT_INTERVAL);
                self.counters.out_udp_heart_beat = self.counters.out_udp_heart_beat.saturating_add(1);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is due.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.next_heartbeat
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn an_esp_packet_goes_through_and_every_short_one_is_refused() {
        let packet: Vec<u8> = ESP_HEADER.into_iter().chain(1..=20).collect();
        assert_eq!(parse(&packet), Ok(Content::Esp(&packet[4..])));
        for length in 0..12 {
            assert_eq!(parse(&packet[..length]), Err(NotOurs::TooShort), "{length}");
        }
    }

    #[test]
    fn other_versions_kinds_and_reserved_octets_are_told_apart() {
        assert_eq!(parse(&HEARTBEAT), Ok(Content::Heartbeat));
        assert_eq!(parse(&[1, 1, 0, 0, 0]), Err(NotOurs::TrailingOctets));
        assert_eq!(parse(&[2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]), Err(NotOurs::BadVersion));
        assert_eq!(parse(&[1, 2, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]), Err(NotOurs::BadHeader));
        assert_eq!(parse(&[1, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8]), Err(NotOurs::BadHeader));
    }

    #[test]
    fn heartbeats_come_every_thirty_seconds_and_those_received_change_nothing() {
        let mut tunnel = UdpTunnel::new(DEFAULT_PORT);
        assert_eq!(tunnel.poll_timeout(), None);
        tunnel.start_heartbeats(Instant::ZERO);
        let sent: Vec<_> = (0..=90).filter(|second| tunnel.handle_timeout(Instant::from_secs(*second))).collect();
        assert_eq!(sent, [0, 30, 60, 90]);
        let next = tunnel.poll_timeout();
        assert_eq!(tunnel.receive(&HEARTBEAT), Ok(Content::Heartbeat));
        assert_eq!(tunnel.poll_timeout(), next);
        assert_eq!(tunnel.counters().out_udp_heart_beat, 4);
        assert_eq!(tunnel.counters().in_udp_heart_beat, 1);
        tunnel.stop_heartbeats();
        assert!(!tunnel.handle_timeout(Instant::MAX));
    }

    #[test]
    fn what_arrives_is_counted_under_the_routers_names() {
        let mut tunnel = UdpTunnel::new(DEFAULT_PORT);
        let _ = tunnel.receive(&[9; 12]);
        let _ = tunnel.receive(&[]);
        let _ = tunnel.receive(&[1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let expected = Counters { in_pkt: 1, in_pkt_bad_version: 1, in_pkt_malformed: 1, ..Counters::default() };
        assert_eq!(*tunnel.counters(), expected);
    }
}
