//! L2TPv3 control connections, sessions and data headers as a sans-I/O state machine.
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

pub mod digest;
mod error;
pub mod registry;
pub mod wire;

pub use error::{WireError, WireErrorKind};
