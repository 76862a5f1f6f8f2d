//! What ESP and AH carry and what goes around it: tunnel, transport and BEET mode.
//!
//! Fields that the outer header takes from the inner one are read before sealing ([`Inner::of`]), because
//! afterwards they are ciphertext. A caller whose system builds IP headers leaves the outer header out and
//! sends the ESP packet as the payload of protocol 50 or of UDP.

mod beet;
mod ecn;
mod fragment;
mod overhead;
mod path_mtu;
mod transport;
mod tunnel;
mod udp;

pub use beet::{BEET_PSEUDO_HEADER, BeetAddresses, BeetPayload, beet_enter, beet_leave};
pub use ecn::{Ecn, EcnOutward};
pub use fragment::{Fragment, Fragments, fragments};
pub use overhead::Encapsulation;
pub use path_mtu::{MIN_MTU_V4, MIN_MTU_V6, PathMtu, too_big_reply};
pub use transport::{TransportSplit, transport_split};
pub use tunnel::{DontFragment, Dscp, Inner, OuterHeader, Ttl, tunnel_leave};
pub use udp::{UdpPorts, udp_enter, udp_leave};

use crate::packet::BufferTooSmall;
use ipsec_wire::WireError;

/// Protocol number of IPv4 inside something.
pub const IPV4: u8 = 4;
/// Protocol number of IPv6 inside something.
pub const IPV6: u8 = 41;
/// Protocol number that says "nothing": a dummy packet, to be dropped (RFC 4303 §2.6).
pub const DUMMY: u8 = 59;

/// Why headers could not be put around a packet or taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModeError {
    /// The packet's own headers lie.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The buffer has too little room around the packet.
    #[error(transparent)]
    BufferTooSmall(#[from] BufferTooSmall),
    /// The packet would be longer than IP can say.
    #[error("the packet would have {0} octets")]
    TooLong(usize),
    /// The packet is a fragment where only whole datagrams may be (RFC 4301 §7).
    #[error("a fragment")]
    Fragment,
    /// What came out is not what the next header announced.
    #[error("next header {0} does not fit the payload")]
    NextHeader(u8),
    /// A router on the way marked congestion on a packet that cannot carry the mark (RFC 6040 §4.2).
    #[error("congestion mark on a packet without ECN")]
    Congestion,
    /// The addresses are of two families, or not of the packet's.
    #[error("addresses of the wrong family")]
    Family,
    /// A dummy packet: drop it and count it.
    #[error("dummy packet")]
    Dummy,
}
