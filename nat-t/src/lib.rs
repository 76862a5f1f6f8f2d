//! NAT traversal for IKE and ESP: detection, port float, encapsulation, keepalives.
//!
//! RFC 3947 and RFC 3948, with the drafts 00 to 08 that old peers speak, as pure functions and small
//! states that an IKE machine and a gateway hold:
//!
//! - [`vendor`]: which vendor ids to offer, which to answer, and what the chosen one means;
//! - [`detect`]: whether an end is behind a NAT, and which;
//! - [`float`]: when and how a negotiation moves to port 4500;
//! - [`demux`]: what a datagram on port 4500 (or 500, in drafts 00 and 01) is;
//! - [`keepalive`]: when to send the one octet that keeps a mapping alive;
//! - [`mapping`]: where the peer is, which only authentic packets may change;
//! - [`original`] and [`checksum`]: the addresses of NAT-OA and what they are for;
//! - [`udp_tunnel`]: the older ESP over UDP of port 2746, with its heartbeat.
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

#[cfg(test)]
extern crate alloc;

pub mod checksum;
pub mod demux;
pub mod detect;
pub mod float;
pub mod keepalive;
pub mod mapping;
pub mod original;
pub mod udp_tunnel;
pub mod vendor;

pub use detect::{Detection, Location};
pub use float::Ports;
pub use keepalive::Keepalive;
pub use mapping::PeerEnd;
pub use vendor::{Support, Version};
