//! Codecs and registries of ISAKMP, ESP, AH and the IP headers around them.
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
mod octets;
pub mod udp;

pub use error::{ErrorKind, WireError};
