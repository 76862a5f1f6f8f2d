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

mod congestion;
pub mod counters;
mod data_plane;
pub mod digest;
mod drops;
mod error;
pub mod pseudowire;
pub mod registry;
pub mod reliable;
mod sequence;
mod table;
pub mod wire;

pub use congestion::Window;
pub use data_plane::{
    DATA_SESSION_OCTETS, DataPlane, Decapsulated, EncapsulateError, Encapsulated, InstallError, SessionId,
    SessionParameters,
};
pub use drops::{DropCounters, DropReason};
pub use error::{WireError, WireErrorKind};
