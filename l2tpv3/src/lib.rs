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

mod action;
pub mod config;
mod congestion;
mod control;
pub mod counters;
mod data_plane;
pub mod defaults;
pub mod digest;
mod drops;
mod endpoint;
mod error;
pub mod pseudowire;
pub mod registry;
pub mod reliable;
mod sequence;
mod session;
mod status;
mod table;
pub mod wire;

pub use action::{
    Action, Call, CallRequest, Cause, Command, CommandError, ConnectionId, DownReason, Event, Handle, PeerIdentity,
    SessionDownReason,
};
pub use config::{Config, PeerId, Plan};
pub use congestion::Window;
pub use control::{Role, transition};
pub use data_plane::{
    DATA_SESSION_OCTETS, DataPlane, Decapsulated, EncapsulateError, Encapsulated, InstallError, SessionId,
    SessionParameters,
};
pub use drops::{DropCounters, DropReason};
pub use endpoint::{ACTION_LIMIT, Endpoint};
pub use error::{WireError, WireErrorKind};
pub use status::{ConnectionStatus, SessionStatus};
