//! The Security Association Database: keys, sequence numbers, anti-replay, lifetimes, counters, RFC 4301 §4.4.2.
//!
//! [`Sad`] holds the associations of both directions and is the one way packets take through them:
//! [`seal_batch`](Sad::seal_batch) and [`open_batch`](Sad::open_batch) do the whole of ESP in the order that
//! is safe, on the caller's buffers. It is driven as every machine of the family: after each call drain
//! [`poll_action`](Sad::poll_action), then sleep until [`poll_timeout`](Sad::poll_timeout).
//!
//! The way of an association:
//!
//! ```text
//! allocate_spi -> larval -> install_inbound  -> mature -> soft limit -> dying -> hard limit -> dead -> gone
//!                           install_outbound -> mature
//! ```
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;

mod action;
mod ah;
mod arrivals;
mod bundle;
mod complete;
mod counters;
mod ends;
mod entry;
mod expiry;
mod handle;
mod inbound;
mod install;
mod lifetime;
mod outbound;
mod probe;
mod replay;
mod sequence;
mod snapshot;
mod spi;
mod state;
mod status;
#[cfg(feature = "serde")]
mod stored;
mod submit;
mod table;
mod ticket;
mod totals;
mod transform;

pub use action::Action;
pub use arrivals::Arrivals;
pub use counters::{DatabaseCounters, SaCounters};
pub use entry::{InboundKeys, OutboundKeys, SaMode, SaParameters, SourceCheck};
pub use esp_ah::{ProviderId, SequenceBits};
pub use handle::{FlowId, OwnerId, SaHandle, SaProtocol, Side};
pub use inbound::{DropReason, Incoming, Opened};
pub use lifetime::{Lifetime, LimitKind, Limits, SoftRule};
pub use outbound::{Outgoing, SealRefusal};
pub use replay::{ReplayError, ReplayWindow, WindowSize};
pub use sequence::{SequenceCounter, SequenceExhausted};
pub use snapshot::SaSnapshot;
pub use spi::Spi;
pub use state::SaState;
pub use status::{SaDetail, SaStatus};
pub use table::{Sad, SadError, SadSettings};
pub use ticket::{EngineFailure, OpenFailure, OpenTicket, OpenedPayload, SealFailure, SealTicket, Unopened};
pub use totals::{AfterRemoval, ProtocolCounters};
pub use transform::{KeyDescription, SaTransform};
