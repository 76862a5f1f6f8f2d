//! Every default, with its reason.

use core::time::Duration;
use drive::{Backoff, Schedule};

/// Messages taken before an acknowledgement. RFC 3931 §5.4.3 has peers assume 4 without the AVP; 16
/// lets a hundred sessions come up in a few round trips and bounds what is kept out of order.
pub const RECEIVE_WINDOW: u16 = 16;

/// Silence after which a HELLO is sent, RFC 3931 §4.4.
pub const HELLO: Duration = Duration::from_secs(60);

/// Time for a control connection to come up; Cisco's default, inside which all retransmissions of both ends fit.
pub const SETUP: Duration = Duration::from_secs(300);

/// Time for a session to come up once its request is out.
pub const SESSION_SETUP: Duration = Duration::from_secs(120);

/// Time between attempts, drawn from this range so that routers that lost the same link spread out.
pub const RECONNECT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// How long the end that received a StopCCN answers repetitions, RFC 3931 §3.3.2.
pub const LINGER: Duration = Duration::from_secs(31);

/// How long the end that sent a StopCCN answers one of the peer, after its own was acknowledged.
pub const CLOSED_LINGER: Duration = Duration::from_secs(5);

/// A WEN goes out at most once in this time, RFC 3931 §6.13.
pub const WEN_INTERVAL: Duration = Duration::from_secs(60);

/// Old packets in sequence after which their numbers are believed, RFC 3931 appendix C.
pub const RESYNCHRONISE_AFTER: u8 = 16;

/// Octets of nonces and random vectors, RFC 3931 §5.4.1.
pub const NONCE: usize = 16;

/// Octets that may go to a peer that has not proven its address, for each octet that came from it.
pub const AMPLIFICATION: u64 = 3;

/// Control connections at once.
pub const MAX_CONNECTIONS: usize = 4096;

/// Control connections of peers that have not proven their address.
pub const MAX_HALF_OPEN: usize = 64;

/// Sessions at once: this bounds the work that the end of one connection makes.
pub const MAX_SESSIONS: usize = 131_072;

/// Retransmission: 1, 2, 4, then 8 s, ten times, RFC 3931 §4.2.
pub const RETRANSMISSION: Backoff = match Backoff::new(
    Schedule::Exponential { first: Duration::from_secs(1), numerator: 2, denominator: 1, cap: Duration::from_secs(8) },
    10,
) {
    Ok(backoff) => backoff,
    // Evaluated by the compiler, which would refuse the schedule.
    Err(_) => unreachable!(),
};
