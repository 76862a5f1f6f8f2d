//! Codecs and registries of ISAKMP, ESP, AH and the IP headers around them.
//!
//! Received octets are read in place: a [`isakmp::Message`] and its payloads borrow the datagram,
//! allocate nothing, and keep the octets as they came, because that is what IKE hashes. What is
//! sent is written through a [`Writer`], which back-fills lengths.
//!
//! Numbers are open newtypes ([`registry`]): an unknown value survives a round trip. Whatever is
//! wrong with octets is a [`WireError`]: what, in which field, at which offset.
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod ah;
pub mod checksum;
mod error;
pub mod esp;
pub mod icmp;
pub mod ipcomp;
pub mod ipv4;
pub mod ipv6;
pub mod isakmp;
mod octets;
mod reader;
pub mod registry;
pub mod udp;
mod writer;

pub use error::{ErrorKind, WireError};
pub use reader::Reader;
pub use writer::{Hole, Writer};
