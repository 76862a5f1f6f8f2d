//! A composed VPN endpoint: policies, associations, IKE and NAT traversal behind one drive loop.
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

mod acquire;

pub use acquire::{Limits, Lost};
