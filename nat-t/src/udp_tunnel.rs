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

drive::counters! {
    /// The counters of a router's page, under its names.
    pub struct Counters {
        /// ESP packets sent.
        out_pkt => "outPkt",
        /// ESP packets received.
        in_pkt => "inPkt",
        /// ESP packets that could not be sent.
        out_pkt_fail => "outPktFail",
        /// Datagrams of another version.
        in_pkt_bad_version => "inPktBadVersion",
        /// ESP packets from an end for which no policy has the tunnel on.
        in_pkt_no_policy => "inPktNoPolicy",
        /// Heartbeats sent.
        out_udp_heart_beat => "outUdpHeartBeat",
        /// Heartbeats received.
        in_udp_heart_beat => "inUdpHeartBeat",
        /// Other datagrams that made no sense; not on the router's page.
        in_pkt_malformed => "inPktMalformed",
    }
}

impl Counters {
    /// Counts a datagram for which [`parse`] found no reading.
    pub fn count_refused(&mut self, reason: NotOurs) {
        let counter = match reason {
            NotOurs::BadVersion => &mut self.in_pkt_bad_version,
            NotOurs::TooShort | NotOurs::BadHeader | NotOurs::TrailingOctets => &mut self.in_pkt_malformed,
        };
        *counter = counter.saturating_add(1);
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
    fn what_is_refused_is_counted_under_the_routers_names() {
        let mut counters = Counters::default();
        for payload in [&[9; 12][..], &[], &[1, 2, 0, 0], &[1, 1, 0, 0, 0]] {
            counters.count_refused(parse(payload).unwrap_err());
        }
        let named: Vec<_> = counters.iter().filter(|(_, value)| *value > 0).collect();
        assert_eq!(named, [("inPktBadVersion", 1), ("inPktMalformed", 3)]);
    }
}
