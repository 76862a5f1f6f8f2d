//! What a show command prints.

use crate::action::{Call, Cause, ConnectionId, PeerIdentity};
use crate::config::PeerId;
use crate::control::{Connection, Role, State};
use crate::counters::SessionCounters;
use crate::data_plane::SessionId;
use crate::endpoint::Endpoint;
use crate::registry::{PseudowireType, SequencingLevel};
use crate::session::Session;
use crate::wire::{CircuitErrors, Cookie, Sublayer};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;
use drive::{Instant, Path};

/// A control connection as a show command prints it; routers say tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// `Local Tunnel ID`.
    pub connection: ConnectionId,
    /// `Remote Tunnel ID`, 0 before it is known.
    pub remote_id: u32,
    /// The peer it belongs to.
    pub peer: PeerId,
    /// Which end opened it.
    pub role: Role,
    /// `State`, by the RFC's name.
    pub state: &'static str,
    /// `Tunnel address`.
    pub path: Path,
    /// `Remote Host Name`, `Remote Router-ID`, make and capabilities, once known.
    pub remote: Option<PeerIdentity>,
    /// `Ns`: the number of the next message.
    pub ns: u16,
    /// `Nr`: the number expected next.
    pub nr: u16,
    /// The messages that may be out, by the peer's receive window.
    pub peer_window: u16,
    /// The messages that may be out for now.
    pub congestion_window: usize,
    /// Messages not acknowledged.
    pub pending: usize,
    /// Messages sent again.
    pub retransmissions: u64,
    /// Messages taken in and sent, acknowledgements included.
    pub messages: (u64, u64),
    /// Messages whose digest was wrong or missing.
    pub bad_digests: u64,
    /// Whether messages are authenticated.
    pub authenticated: bool,
    /// Sessions, waiting ones included.
    pub sessions: usize,
    /// Time since it was opened.
    pub age: Duration,
    /// Time since its state changed (`LastChange`).
    pub since_change: Duration,
    /// Time since the peer was heard.
    pub since_heard: Duration,
    /// When the last HELLO was sent.
    pub last_hello: Option<Instant>,
    /// What the last StopCCN said, in either direction.
    pub last_cause: Option<Cause>,
}

/// A session as a show command prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStatus {
    /// `Local Session ID`.
    pub session: SessionId,
    /// `Remote Session ID`, 0 before it is known.
    pub remote_id: u32,
    /// Its connection, `None` for a static session.
    pub connection: Option<ConnectionId>,
    /// `State`, by the RFC's name.
    pub state: &'static str,
    /// How it was asked for, and whether this end did.
    pub call: Option<(Call, bool)>,
    /// `Serial No`.
    pub serial_number: Option<u32>,
    /// `Local Cookie`.
    pub local_cookie: Cookie,
    /// `Remote Cookie`.
    pub remote_cookie: Cookie,
    /// What is carried.
    pub pseudowire: PseudowireType,
    /// The circuit.
    pub remote_end_id: Vec<u8>,
    /// Whether this end's circuit and the peer's are up.
    pub circuits: (bool, bool),
    /// The sublayers in packets that arrive and are sent.
    pub sublayers: (Sublayer, Sublayer),
    /// The sequencing of packets that arrive and are sent.
    pub sequencing: (SequencingLevel, SequencingLevel),
    /// The next sequence number to send, and the one expected.
    pub sequence_numbers: (u32, u32),
    /// The MTU of the interface.
    pub mtu: Option<u16>,
    /// What the peer's last WEN said.
    pub peer_errors: CircuitErrors,
    /// What was counted; [`SessionCounters::interface`] gives the router's names.
    pub counters: SessionCounters,
    /// Time since its state changed, `None` for a static session.
    pub since_change: Option<Duration>,
}

impl<R> Endpoint<R> {
    /// Returns the status of every connection, in an order that depends on the calls only.
    pub fn connection_statuses(&self, now: Instant) -> Vec<ConnectionStatus> {
        self.connections.iter().map(|(id, connection)| connection.status(ConnectionId(id), now)).collect()
    }

    /// Returns the status of one connection.
    pub fn connection_status(&self, now: Instant, connection: ConnectionId) -> Option<ConnectionStatus> {
        self.connections.get(connection.0).map(|found| found.status(connection, now))
    }

    /// Returns the status of every session with a connection.
    pub fn session_statuses(&self, now: Instant) -> Vec<SessionStatus> {
        self.sessions.iter().map(|(id, session)| self.describe(id, session, now)).collect()
    }

    /// Returns the status of one session, with or without a connection.
    pub fn session_status(&self, now: Instant, session: SessionId) -> Option<SessionStatus> {
        match self.sessions.get(session.0) {
            Some(found) => Some(self.describe(session.0, found, now)),
            None => self.describe_static(session),
        }
    }

    fn describe(&self, id: NonZeroU32, session: &Session, now: Instant) -> SessionStatus {
        let session_id = SessionId(id);
        let remote = session.state.remote();
        SessionStatus {
            session: session_id,
            remote_id: remote.map_or(0, |remote| remote.id.get()),
            connection: Some(session.connection),
            state: session.state.name(),
            call: Some((session.call, session.ours)),
            serial_number: session.serial_number,
            local_cookie: session.local_cookie,
            remote_cookie: remote.map(|remote| remote.cookie).unwrap_or_default(),
            pseudowire: session.circuit.pseudowire,
            remote_end_id: session.circuit.remote_end_id.clone(),
            circuits: (session.active, remote.is_some_and(|remote| remote.active)),
            sublayers: (session.circuit.sublayer, remote.map(|remote| remote.sublayer).unwrap_or_default()),
            sequencing: (session.circuit.sequencing, remote.map_or(SequencingLevel::NONE, |remote| remote.sequencing)),
            sequence_numbers: self.data.sequence_numbers(session_id).unwrap_or_default(),
            mtu: session.circuit.mtu,
            peer_errors: session.peer_errors,
            counters: self.data.counters(session_id).unwrap_or_default(),
            since_change: Some(now - session.changed),
        }
    }

    fn describe_static(&self, session: SessionId) -> Option<SessionStatus> {
        let parameters = self.data.parameters(session)?;
        Some(SessionStatus {
            session,
            remote_id: parameters.remote_id.get(),
            connection: None,
            state: "established",
            call: None,
            serial_number: None,
            local_cookie: parameters.local_cookie,
            remote_cookie: parameters.remote_cookie,
            pseudowire: parameters.pseudowire,
            remote_end_id: Vec::new(),
            circuits: (true, true),
            sublayers: (parameters.receive_sublayer, parameters.send_sublayer),
            sequencing: (parameters.receive_sequencing, parameters.send_sequencing),
            sequence_numbers: self.data.sequence_numbers(session)?,
            mtu: None,
            peer_errors: CircuitErrors::default(),
            counters: self.data.counters(session)?,
            since_change: None,
        })
    }
}

impl Connection {
    fn status(&self, connection: ConnectionId, now: Instant) -> ConnectionStatus {
        ConnectionStatus {
            connection,
            remote_id: self.remote_id(),
            peer: self.peer,
            role: self.role,
            state: self.state_name().name(),
            path: self.path,
            remote: match &self.state {
                State::WaitConnect { remote, .. } | State::Established { remote } => Some(remote.identity.clone()),
                State::WaitReply { .. } | State::Closing { .. } => None,
            },
            ns: self.channel.next_ns(),
            nr: self.channel.next_nr(),
            peer_window: self.channel.window().limit(),
            congestion_window: self.channel.window().size(),
            pending: self.channel.pending(),
            retransmissions: self.channel.retransmissions(),
            messages: (self.received_messages, self.sent_messages),
            bad_digests: self.bad_digests,
            authenticated: !self.local_nonce.is_empty(),
            sessions: self.sessions.len(),
            age: now - self.created,
            since_change: now - self.changed,
            since_heard: now - self.last_heard,
            last_hello: self.last_hello,
            last_cause: self.last_cause.clone(),
        }
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// A router id as routers print it.
struct DottedQuad(Option<u32>);

impl fmt::Display for DottedQuad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => core::net::Ipv4Addr::from_bits(id).fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// The tunnel part of a SEIL's `show status interface.l2tp`.
impl fmt::Display for ConnectionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (local, remote) = (self.path.local.ip(), self.path.remote.ip());
        writeln!(f, "  Tunnel address       : {local} --> {remote}")?;
        writeln!(f, "  L2TP Tunnel Status")?;
        writeln!(f, "    State              : {}", self.state)?;
        let name = self.remote.as_ref().map_or_else(|| "-".to_owned(), |remote| text(&remote.host_name));
        writeln!(f, "    Remote Host Name   : {name}")?;
        let router_id = DottedQuad(self.remote.as_ref().and_then(|remote| remote.router_id));
        writeln!(f, "    Remote Router-ID   : {router_id}")?;
        writeln!(f, "    Local Tunnel ID    : {}", self.connection)?;
        writeln!(f, "    Remote Tunnel ID   : {}", self.remote_id)?;
        write!(f, "    Ns, Nr             : {}, {}", self.ns, self.nr)
    }
}

impl SessionStatus {
    /// Returns the state of the interface in the words of routers: whether frames pass, and whether this
    /// end's circuit is wanted up.
    pub fn interface(&self) -> &'static str {
        let (ours, theirs) = self.circuits;
        match (self.state == "established" && ours && theirs, ours) {
            (true, _) => "link up, administratively up",
            (false, true) => "link down, administratively up",
            (false, false) => "link down, administratively down",
        }
    }
}

/// The session part of a SEIL's `show status interface.l2tp`, and the counters of the interface.
impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  Status               : {}", self.interface())?;
        writeln!(f, "  L2TP Session Status")?;
        writeln!(f, "    State              : {}", self.state)?;
        writeln!(f, "    Local Session ID   : {}", self.session)?;
        writeln!(f, "    Remote Session ID  : {}", self.remote_id)?;
        match self.serial_number {
            Some(number) => writeln!(f, "    Serial No          : {number}")?,
            None => writeln!(f, "    Serial No          : -")?,
        }
        writeln!(f, "    Local Cookie       : {}", self.local_cookie)?;
        writeln!(f, "    Remote Cookie      : {}", self.remote_cookie)?;
        let counters = self.counters.interface();
        writeln!(
            f,
            "  Ipkts {} Ierrs {} Opkts {} Oerrs {} Colls {}",
            counters.ipkts, counters.ierrs, counters.opkts, counters.oerrs, counters.colls
        )?;
        write!(
            f,
            "  InOctets {} OutOctets {} InDrops {} OutDiscards {} InUnknownProtos {}",
            counters.in_octets,
            counters.out_octets,
            counters.in_drops,
            counters.out_discards,
            counters.in_unknown_protos
        )
    }
}
