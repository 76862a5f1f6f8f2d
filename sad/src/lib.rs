//! The Security Association Database: keys, sequence numbers, anti-replay, lifetimes, counters.
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

mod lifetime;
mod replay;
mod sequence;
mod spi;
mod state;

pub use lifetime::{Lifetime, LimitKind, Limits, SoftRule};
pub use replay::{ReplayError, ReplayWindow, WindowSize};
pub use sequence::{SequenceCounter, SequenceExhausted, SequenceWidth};
pub use spi::Spi;
pub use state::SaState;
