//! The vocabulary that every machine of the family speaks: time, datagrams, timers, back-off, secrets.
//!
//! Nothing here reads a clock, opens a socket or draws randomness. A caller feeds datagrams, ticks
//! and commands into a [`Machine`], drains its actions, and sleeps until the time it names.
//! [`machine`] states the contract in full.
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

mod backoff;
mod counters;
mod datagram;
pub mod machine;
mod secret;
mod time;
mod timers;

pub use backoff::{Backoff, BackoffError, Retry, Schedule};
pub use datagram::{Datagram, Path, Transmit};
pub use machine::{IntoTransmit, Machine, Verdict};
pub use secret::{SecretBytes, ct_eq};
pub use time::{Instant, MonotonicClock};
pub use timers::Timers;

/// Parts that [`secret!`] needs in the crate that calls it.
#[doc(hidden)]
pub mod __private {
    pub use alloc::vec::Vec;
    pub use core::fmt;
}
