//! Sessions, RFC 3931 §3.4, §7.3 and §7.4.

mod call;
mod circuit;
mod dispatch;
mod incoming;
mod outgoing;

use crate::action::{Call, ConnectionId};
use crate::config::CircuitConfig;
use crate::registry::SequencingLevel;
use crate::wire::{CircuitErrors, Cookie, Sublayer};
use alloc::sync::Arc;
use core::num::NonZeroU32;
use drive::Instant;

/// What the peer said of its end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RemoteEnd {
    pub(crate) id: NonZeroU32,
    pub(crate) cookie: Cookie,
    pub(crate) sublayer: Sublayer,
    pub(crate) sequencing: SequencingLevel,
    pub(crate) active: bool,
}

/// The states of RFC 3931 §7.3 and §7.4; a session that does not exist is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionState {
    /// The request waits for the connection.
    WaitControlConnection,
    /// ICRQ or OCRQ sent.
    WaitReply,
    /// ICRP sent, or OCRP received: the message that completes the call is to come.
    WaitConnect(RemoteEnd),
    /// ICRQ or OCRQ received and the caller asked.
    Deciding(RemoteEnd),
    /// OCRP sent and the call being placed.
    WaitAnswer(RemoteEnd),
    /// Up.
    Established(RemoteEnd),
}

impl SessionState {
    /// Returns the RFC's name of the state.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::WaitControlConnection => "wait-control-conn",
            Self::WaitReply => "wait-reply",
            Self::WaitConnect(_) => "wait-connect",
            Self::Deciding(_) => "idle (asked)",
            Self::WaitAnswer(_) => "wait-cs-answer",
            Self::Established(_) => "established",
        }
    }

    /// Returns what is known of the peer's end.
    pub(crate) const fn remote(&self) -> Option<&RemoteEnd> {
        match self {
            Self::WaitControlConnection | Self::WaitReply => None,
            Self::WaitConnect(remote)
            | Self::Deciding(remote)
            | Self::WaitAnswer(remote)
            | Self::Established(remote) => Some(remote),
        }
    }

    pub(crate) const fn remote_mut(&mut self) -> Option<&mut RemoteEnd> {
        match self {
            Self::WaitControlConnection | Self::WaitReply => None,
            Self::WaitConnect(remote)
            | Self::Deciding(remote)
            | Self::WaitAnswer(remote)
            | Self::Established(remote) => Some(remote),
        }
    }
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: ConnectionId,
    pub(crate) circuit: Arc<CircuitConfig>,
    pub(crate) call: Call,
    /// Whether this end asked.
    pub(crate) ours: bool,
    pub(crate) state: SessionState,
    pub(crate) local_cookie: Cookie,
    pub(crate) tie_breaker: Option<[u8; 8]>,
    pub(crate) serial_number: Option<u32>,
    /// Whether this end's circuit is up.
    pub(crate) active: bool,
    pub(crate) changed: Instant,
    pub(crate) last_report: Option<Instant>,
    pub(crate) peer_errors: CircuitErrors,
}
