//! Control connections, RFC 3931 §3.3 and §7.2.

mod authenticate;
mod initiator;
mod keepalive;
mod receive;
mod responder;
mod teardown;
pub mod transition;
mod transmit;

use crate::action::{Cause, ConnectionId, PeerIdentity};
use crate::config::PeerId;
use crate::reliable::Channel;
use crate::wire::Dialect;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::num::NonZeroU32;
use drive::{Instant, Path};

/// Which end opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This end.
    Initiator,
    /// The peer.
    Responder,
}

/// A control message to send: from its flags word on, Ns, Nr and digests still zero.
#[derive(Debug)]
pub(crate) struct Outgoing(pub(crate) Vec<u8>);

/// A control message that came early, its digest checked.
#[derive(Debug)]
pub(crate) struct Early {
    pub(crate) octets: Vec<u8>,
    pub(crate) key: Option<usize>,
}

/// The peer of a connection that answered or asked.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) id: NonZeroU32,
    pub(crate) identity: PeerIdentity,
}

/// Why an attempt has no success so far: what unauthenticated answers say is remembered, not obeyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hint {
    #[default]
    None,
    NotAuthenticated,
    SecretNeeded,
    SpeaksVersion2,
}

/// The states of RFC 3931 §7.2; a connection that does not exist is idle.
#[derive(Debug)]
pub(crate) enum State {
    /// SCCRQ sent.
    WaitReply { tie_breaker: Option<[u8; 8]>, hint: Hint },
    /// SCCRP sent.
    WaitConnect { remote: Remote, budget: Budget },
    /// Up.
    Established { remote: Remote },
    /// StopCCN sent or received; only reliable delivery goes on.
    Closing { remote_id: u32 },
}

/// How much may go to a peer that has not proven its address.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Budget {
    pub(crate) const fn allows(self, octets: usize) -> bool {
        self.sent.saturating_add(octets as u64) <= self.received.saturating_mul(crate::defaults::AMPLIFICATION)
    }
}

/// One control connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: PeerId,
    pub(crate) role: Role,
    pub(crate) path: Path,
    pub(crate) state: State,
    pub(crate) dialect: Dialect,
    /// This end's nonce; empty without authentication.
    pub(crate) local_nonce: Vec<u8>,
    /// The peer's nonce; empty without authentication, and before the peer has sent it: both go so into digests.
    pub(crate) remote_nonce: Vec<u8>,
    /// Whether the peer is known to take an ACK message with digest; otherwise the empty message it must know is sent.
    pub(crate) explicit_acknowledgement: bool,
    pub(crate) channel: Channel<Outgoing, Early>,
    pub(crate) sessions: BTreeSet<NonZeroU32>,
    /// Sessions whose request is still to be sent.
    pub(crate) waiting: VecDeque<NonZeroU32>,
    pub(crate) created: Instant,
    pub(crate) changed: Instant,
    pub(crate) last_heard: Instant,
    pub(crate) last_hello: Option<Instant>,
    pub(crate) bad_digests: u64,
    pub(crate) received_messages: u64,
    pub(crate) sent_messages: u64,
    pub(crate) last_cause: Option<Cause>,
}

impl Connection {
    /// Returns the peer's identifier of the connection, 0 before it is known.
    pub(crate) fn remote_id(&self) -> u32 {
        match &self.state {
            State::WaitReply { .. } => 0,
            State::WaitConnect { remote, .. } | State::Established { remote } => remote.id.get(),
            State::Closing { remote_id } => *remote_id,
        }
    }

    pub(crate) const fn is_established(&self) -> bool {
        matches!(self.state, State::Established { .. })
    }

    pub(crate) const fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing { .. })
    }

    pub(crate) const fn is_half_open(&self) -> bool {
        matches!(self.state, State::WaitConnect { .. })
    }

    /// Returns who the peer says it is, once it said so.
    pub(crate) const fn identity(&self) -> Option<&PeerIdentity> {
        match &self.state {
            State::WaitConnect { remote, .. } | State::Established { remote } => Some(&remote.identity),
            State::WaitReply { .. } | State::Closing { .. } => None,
        }
    }
}

/// What happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A message was not acknowledged.
    Retransmit(ConnectionId),
    /// The peer was silent.
    Hello(ConnectionId),
    /// The connection did not come up.
    Setup(ConnectionId),
    /// Nobody needs what is left of the connection any more.
    Linger(ConnectionId),
    /// A persistent peer is to be called.
    Reconnect(PeerId),
    /// Provisioned circuits without a session are to be opened again.
    Provision(ConnectionId),
    /// A session did not come up.
    SessionSetup(NonZeroU32),
}

impl Timer {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Retransmit(_) => "retransmit",
            Self::Hello(_) => "hello",
            Self::Setup(_) => "connection setup",
            Self::Linger(_) => "linger",
            Self::Reconnect(_) => "reconnect",
            Self::Provision(_) => "provision",
            Self::SessionSetup(_) => "session setup",
        }
    }
}
