//! ISAKMP and IKEv1 exchanges as a sans-I/O state machine.
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

pub mod auth;
pub mod crypto;
pub mod keys;
pub mod negotiate;
pub mod proposal;
mod unsupported;

pub use unsupported::Unsupported;
