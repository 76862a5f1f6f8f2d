//! What an endpoint asks of its caller and tells it, and what a caller asks of an endpoint.

use crate::config::{CircuitConfig, PeerId};
use crate::counters::SessionCounters;
use crate::data_plane::{InstallError, SessionId, SessionParameters};
use crate::registry::{CdnResult, ErrorCode, PseudowireType, StopResult};
use crate::wire::CircuitErrors;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;
use drive::{IntoTransmit, Path, Transmit};

/// A control connection, by the identifier this end assigned to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub NonZeroU32);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a session is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// ICRQ, ICRP, ICCN.
    Incoming,
    /// OCRQ, OCRP, OCCN.
    Outgoing,
}

/// What a caller can ask for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Command {
    /// Open a connection to a peer, over its path or another.
    Connect {
        /// The peer.
        peer: PeerId,
        /// The path in place of the peer's.
        path: Option<Path>,
    },
    /// End a connection and all its sessions. A persistent peer is not called again.
    Disconnect {
        /// The connection.
        connection: ConnectionId,
        /// The reason told to the peer.
        result: StopResult,
    },
    /// Open a session; it waits for the connection if need be.
    Open {
        /// The connection.
        connection: ConnectionId,
        /// The circuit.
        circuit: Box<CircuitConfig>,
        /// How it is asked for.
        call: Call,
    },
    /// End a session.
    Close {
        /// The session.
        session: SessionId,
        /// The reason told to the peer.
        result: CdnResult,
    },
    /// Accept a call that [`Action::Decide`] asked about.
    Accept {
        /// The session.
        session: SessionId,
        /// The circuit it binds to; the end identifier is the peer's.
        circuit: Box<CircuitConfig>,
    },
    /// Refuse a call that [`Action::Decide`] asked about.
    Refuse {
        /// The session.
        session: SessionId,
        /// The reason told to the peer.
        result: CdnResult,
    },
    /// Say how placing an outgoing call ended that [`Action::PlaceCall`] asked for.
    CallPlaced {
        /// The session.
        session: SessionId,
        /// The reason told to the peer if it failed.
        outcome: Result<(), CdnResult>,
    },
    /// Tell the peer that the circuit went up or down.
    SetCircuit {
        /// The session.
        session: SessionId,
        /// Whether it is up.
        active: bool,
    },
    /// Tell the peer of circuit errors (WEN), at most once a minute.
    ReportErrors {
        /// The session.
        session: SessionId,
        /// The counts since the session came up.
        errors: CircuitErrors,
    },
    /// Add a session without control connection.
    AddStatic(SessionParameters),
    /// Remove a session without control connection.
    RemoveStatic(SessionId),
    /// Note that data of a connection arrived, where something else than this endpoint carries it.
    Heard(ConnectionId),
    /// End all connections because this end shuts down.
    ShutDown,
}

/// What a command that was taken is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handle {
    /// A connection.
    Connection(ConnectionId),
    /// A session.
    Session(SessionId),
    /// Nothing to be known by.
    Done,
}

/// Why a command was refused; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no such peer.
    UnknownPeer,
    /// There is no such connection.
    UnknownConnection,
    /// There is no such session.
    UnknownSession,
    /// No path is known to the peer, or it cannot carry L2TP.
    NoPath,
    /// A connection to the peer is up or coming up.
    AlreadyConnected(ConnectionId),
    /// The connection is ending.
    Closing,
    /// The session or connection is in a state that has no place for the command.
    WrongState,
    /// As many connections exist as may.
    ConnectionLimit,
    /// As many sessions exist as may.
    SessionLimit,
    /// So much waits to be sent that nothing more is taken.
    Busy,
    /// The last WEN is not a minute old.
    TooSoon,
    /// The circuit contradicts itself or the capabilities.
    BadCircuit,
    /// The peer did not say it can carry this.
    UnsupportedPseudowire,
    /// A static session could not be added.
    Static(InstallError),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownPeer => "unknown peer",
            Self::UnknownConnection => "unknown connection",
            Self::UnknownSession => "unknown session",
            Self::NoPath => "no path to the peer",
            Self::AlreadyConnected(connection) => return write!(f, "connection {connection} exists"),
            Self::Closing => "the connection is ending",
            Self::WrongState => "not in this state",
            Self::ConnectionLimit => "connection limit reached",
            Self::SessionLimit => "session limit reached",
            Self::Busy => "too much waits to be sent",
            Self::TooSoon => "the last report is not a minute old",
            Self::BadCircuit => "the circuit contradicts itself or the capabilities",
            Self::UnsupportedPseudowire => "the peer does not support the pseudowire type",
            Self::Static(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for CommandError {}

/// Who a peer says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Its host name.
    pub host_name: Vec<u8>,
    /// Its router id, if it gave one.
    pub router_id: Option<u32>,
    /// Its make.
    pub vendor_name: Vec<u8>,
    /// What it can carry.
    pub capabilities: Vec<PseudowireType>,
}

/// What a StopCCN or CDN said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The result code; [`StopResult`] and [`CdnResult`] name it.
    pub result: u16,
    /// The error code.
    pub error: Option<ErrorCode>,
    /// The text.
    pub text: String,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownReason {
    /// The caller wanted it.
    Local(Cause),
    /// The peer sent a StopCCN.
    Peer(Cause),
    /// The peer broke the protocol; this is what it was told.
    Protocol(Cause),
    /// The peer does not answer.
    Silent,
    /// The time for coming up is over.
    SetupTimeout,
    /// The peer answered, but without the authentication that is demanded, or with a wrong digest.
    NotAuthenticated,
    /// The peer demands authentication, and no secret is known for it.
    SecretNeeded,
    /// The peer answered in version 2.
    SpeaksVersion2,
    /// The peer opened a connection at the same time and won, or opened a new one in place of this.
    Replaced(ConnectionId),
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionDownReason {
    /// The caller wanted it.
    Local(Cause),
    /// The peer sent a CDN.
    Peer(Cause),
    /// The peer broke the protocol or asked for what cannot be; this is what it was told.
    Protocol(Cause),
    /// The peer asked for the same circuit at the same time and won.
    LostTie,
    /// The time for coming up is over.
    SetupTimeout,
    /// Its connection ended.
    ConnectionDown,
}

/// News for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection came up.
    ConnectionUp {
        /// The connection.
        connection: ConnectionId,
        /// The peer it belongs to.
        peer: PeerId,
        /// Who the peer says it is.
        identity: Box<PeerIdentity>,
    },
    /// A connection ended, or did not come up.
    ConnectionDown {
        /// The connection.
        connection: ConnectionId,
        /// The peer it belongs to.
        peer: PeerId,
        /// Why.
        reason: DownReason,
    },
    /// A session came up; frames pass.
    SessionUp {
        /// Its connection.
        connection: ConnectionId,
        /// What was agreed; a data plane elsewhere is set up from this.
        parameters: Box<SessionParameters>,
        /// The circuit.
        remote_end_id: Vec<u8>,
    },
    /// A session ended, or did not come up.
    SessionDown {
        /// The session.
        session: SessionId,
        /// Its connection.
        connection: ConnectionId,
        /// Why.
        reason: SessionDownReason,
        /// What it counted.
        counters: Box<SessionCounters>,
    },
    /// The peer's circuit went up or down.
    PeerCircuit {
        /// The session.
        session: SessionId,
        /// Whether it is up.
        active: bool,
    },
    /// The peer reports circuit errors.
    PeerErrors {
        /// The session.
        session: SessionId,
        /// Its counts.
        errors: CircuitErrors,
    },
}

/// A call that the peer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRequest {
    /// The session it would be.
    pub session: SessionId,
    /// Its connection.
    pub connection: ConnectionId,
    /// How it is asked for.
    pub call: Call,
    /// The circuit.
    pub remote_end_id: Vec<u8>,
    /// What is to be carried.
    pub pseudowire: PseudowireType,
    /// The number people know the session by.
    pub serial_number: Option<u32>,
    /// The application.
    pub application_code: Option<u16>,
    /// The MTU of the peer's interface.
    pub mtu: Option<u16>,
}

/// Work for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Send a datagram.
    Transmit(Transmit),
    /// Answer with [`Command::Accept`] or [`Command::Refuse`].
    Decide(Box<CallRequest>),
    /// Place an outgoing call and answer with [`Command::CallPlaced`].
    PlaceCall(SessionId),
    /// Read the news.
    Event(Event),
}

impl IntoTransmit for Action {
    fn into_transmit(self) -> Result<Transmit, Self> {
        match self {
            Self::Transmit(transmit) => Ok(transmit),
            other @ (Self::Decide(_) | Self::PlaceCall(_) | Self::Event(_)) => Err(other),
        }
    }
}
