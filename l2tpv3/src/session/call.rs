use super::{RemoteEnd, Session, SessionState};
use crate::action::{Call, Cause, CommandError, ConnectionId, Event, SessionDownReason};
use crate::config::{CircuitConfig, CookieLength, Initiate};
use crate::control::Timer;
use crate::data_plane::{SessionId, SessionParameters};
use crate::endpoint::Endpoint;
use crate::registry::{CdnResult, ErrorCode, MessageType, SequencingLevel};
use crate::reliable::QUEUE_LIMIT;
use crate::wire::{Attributes, CircuitErrors, CircuitStatus, Cookie, Sublayer};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use drive::Instant;
use rand_core::CryptoRng;

/// Why a call cannot be: the result, the error and the text of the CDN.
pub(super) type Refusal = (CdnResult, Option<ErrorCode>, String);

impl<R: CryptoRng> Endpoint<R> {
    /// Makes a session of this end's; its request goes out when the connection lets it.
    pub(crate) fn open_session(
        &mut self,
        now: Instant,
        id: ConnectionId,
        circuit: Arc<CircuitConfig>,
        call: Call,
    ) -> Result<SessionId, CommandError> {
        circuit.check(&self.plan.local.capabilities).map_err(|_| CommandError::BadCircuit)?;
        let connection = self.connections.get(id.0).ok_or(CommandError::UnknownConnection)?;
        if connection.is_closing() {
            return Err(CommandError::Closing);
        }
        let offered = connection.is_established().then(|| connection.identity()).flatten();
        if offered.is_some_and(|identity| !identity.capabilities.contains(&circuit.pseudowire)) {
            return Err(CommandError::UnsupportedPseudowire);
        }
        let session = self.create_session(now, id, circuit, call, true, SessionState::WaitControlConnection)?;
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.waiting.push_back(session);
        }
        Ok(SessionId(session))
    }

    pub(super) fn create_session(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        circuit: Arc<CircuitConfig>,
        call: Call,
        ours: bool,
        state: SessionState,
    ) -> Result<NonZeroU32, CommandError> {
        if self.sessions.len() >= self.plan.local.max_sessions {
            return Err(CommandError::SessionLimit);
        }
        let id = self.draw_session_id();
        let local_cookie = match circuit.cookie {
            CookieLength::None => Cookie::NONE,
            CookieLength::Four => Cookie::four(self.draw_octets()),
            CookieLength::Eight => Cookie::eight(self.draw_octets()),
        };
        let tie_breaker = (ours && circuit.tie_breaker).then(|| self.draw_octets());
        let serial_number = ours.then(|| {
            self.serial_number = self.serial_number.wrapping_add(1);
            self.serial_number
        });
        let session = Session {
            connection,
            active: circuit.active,
            circuit,
            call,
            ours,
            state,
            local_cookie,
            tie_breaker,
            serial_number,
            changed: now,
            last_report: None,
            peer_errors: CircuitErrors::default(),
        };
        // The identifier was drawn because it is free.
        let _ = self.sessions.insert(id, session);
        if let Some(connection) = self.connections.get_mut(connection.0) {
            connection.sessions.insert(id);
        }
        Ok(id)
    }

    /// Draws an identifier that no session has, static ones included.
    pub(crate) fn draw_session_id(&mut self) -> NonZeroU32 {
        loop {
            let id = self.sessions.draw(&mut self.rng);
            if self.data.parameters(SessionId(id)).is_none() {
                return id;
            }
        }
    }

    /// Opens the provisioned circuits that this end asks for and that have no session.
    pub(crate) fn open_provisioned(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get(id.0) else { return };
        let Some(peer) = self.plan.peer(connection.peer) else { return };
        let sessions = connection.sessions.iter().filter_map(|session| self.sessions.get(*session));
        let taken: BTreeSet<Vec<u8>> = sessions.map(|session| session.circuit.remote_end_id.clone()).collect();
        let wanted: Vec<_> =
            peer.circuits.iter().filter(|circuit| !taken.contains(&circuit.remote_end_id)).cloned().collect();
        for circuit in wanted {
            let call = match circuit.initiate {
                Initiate::Peer => continue,
                Initiate::IncomingCall => Call::Incoming,
                Initiate::OutgoingCall => Call::Outgoing,
            };
            // A peer that cannot carry it, or a full table, leaves the circuit without a session.
            let _ = self.open_session(now, id, circuit, call);
        }
    }

    /// Sends the requests that wait for a connection, as many as the queue takes without filling up.
    pub(crate) fn open_waiting(&mut self, now: Instant, id: ConnectionId) {
        loop {
            let Some(connection) = self.connections.get_mut(id.0) else { return };
            if !connection.is_established() || connection.channel.pending() >= QUEUE_LIMIT / 2 {
                return;
            }
            let Some(session) = connection.waiting.pop_front() else { return };
            self.request_session(now, id, session);
        }
    }

    /// Sends ICRQ or OCRQ: wait-control-conn to wait-reply.
    fn request_session(&mut self, now: Instant, id: ConnectionId, session_id: NonZeroU32) {
        let Some(connection) = self.connections.get(id.0) else { return };
        let setup = self.plan.peer(connection.peer).map(|peer| peer.config.session_setup);
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        session.state = SessionState::WaitReply;
        session.changed = now;
        let circuit = Arc::clone(&session.circuit);
        let message = match session.call {
            Call::Incoming => MessageType::ICRQ,
            Call::Outgoing => MessageType::OCRQ,
        };
        let offer = session.offer(session_id, 0);
        let attributes = Attributes {
            tie_breaker: session.tie_breaker,
            serial_number: session.serial_number,
            remote_end_id: Some(Cow::Borrowed(&circuit.remote_end_id)),
            application_code: circuit.application_code,
            pseudowire: Some(circuit.pseudowire),
            attachment_group: circuit.attachment_group.as_deref().map(Cow::Borrowed),
            local_end_id: circuit.local_end_id.as_deref().map(Cow::Borrowed),
            ..offer
        };
        self.outstanding.insert((id, circuit.remote_end_id.clone()), session_id);
        self.send(id, message, &attributes);
        if let Some(setup) = setup {
            self.timers.set(Timer::SessionSetup(session_id), now + setup);
        }
    }

    /// Puts a session into the data plane: frames may arrive from now on, and are sent once it is up.
    pub(super) fn install(&mut self, session_id: NonZeroU32) {
        let Some(session) = self.sessions.get(session_id) else { return };
        let Some(remote) = session.state.remote() else { return };
        let Some(connection) = self.connections.get(session.connection.0) else { return };
        let parameters = SessionParameters {
            path: connection.path,
            local_id: SessionId(session_id),
            remote_id: remote.id,
            local_cookie: session.local_cookie,
            remote_cookie: remote.cookie,
            pseudowire: session.circuit.pseudowire,
            receive_sublayer: session.circuit.sublayer,
            send_sublayer: remote.sublayer,
            receive_sequencing: session.circuit.sequencing,
            send_sequencing: remote.sequencing,
            rewrite_vlan: session.circuit.rewrite_vlan,
            resynchronise_after: session.circuit.resynchronise_after,
        };
        self.by_remote_session.insert((session.connection, remote.id), session_id);
        // The identifier is free and the path carries L2TP: nothing can refuse this.
        let _ = self.data.install_for(Some(session.connection.0), parameters);
        self.data.set_peer_circuit(SessionId(session_id), false);
    }

    /// The session is up: to established.
    pub(super) fn session_established(&mut self, now: Instant, session_id: NonZeroU32) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let Some(remote) = session.state.remote().copied() else { return };
        session.state = SessionState::Established(remote);
        session.changed = now;
        let (connection, remote_end_id) = (session.connection, session.circuit.remote_end_id.clone());
        self.timers.cancel(&Timer::SessionSetup(session_id));
        self.data.set_send_format(SessionId(session_id), remote.sublayer, remote.sequencing);
        self.data.set_peer_circuit(SessionId(session_id), remote.active);
        let Some(parameters) = self.data.parameters(SessionId(session_id)).copied() else { return };
        self.counters.sessions_up += 1;
        self.event(Event::SessionUp { connection, parameters: Box::new(parameters), remote_end_id });
        if !remote.active {
            self.event(Event::PeerCircuit { session: SessionId(session_id), active: false });
        }
    }

    /// Ends a session with a CDN.
    pub(crate) fn close_session(
        &mut self,
        now: Instant,
        session_id: NonZeroU32,
        (result, error, text): Refusal,
        reason: fn(Cause) -> SessionDownReason,
    ) {
        let Some(session) = self.sessions.get(session_id) else { return };
        let connection = session.connection;
        let cause = Cause { result: result.0, error, text };
        if !matches!(session.state, SessionState::WaitControlConnection) {
            let remote = session.state.remote().map_or(0, |remote| remote.id.get());
            let attributes = Attributes {
                result: Some(cause.to_result()),
                local_session_id: Some(session_id),
                remote_session_id: Some(remote),
                ..Attributes::default()
            };
            self.send(connection, MessageType::CDN, &attributes);
        }
        self.end_session(now, session_id, reason(cause));
    }

    /// Ends a session without a word to the peer, and opens its circuit again later if that is wanted.
    pub(super) fn end_session(&mut self, now: Instant, session_id: NonZeroU32, reason: SessionDownReason) {
        let Some(session) = self.sessions.get(session_id) else { return };
        let (id, initiate) = (session.connection, session.circuit.initiate);
        let ended_here = matches!(reason, SessionDownReason::Local(_));
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.sessions.remove(&session_id);
            let persistent = self.plan.peer(connection.peer).filter(|peer| peer.config.persistent);
            if let Some(peer) = persistent.filter(|_| !ended_here && initiate != Initiate::Peer) {
                self.timers.set(Timer::Provision(id), now + peer.config.reconnect.0);
            }
        }
        self.drop_session(session_id, reason);
    }

    /// Removes a session from everything but its connection's set.
    pub(crate) fn drop_session(&mut self, session_id: NonZeroU32, reason: SessionDownReason) {
        let Some(session) = self.sessions.remove(session_id) else { return };
        let connection = session.connection;
        if let Some(remote) = session.state.remote() {
            self.by_remote_session.remove(&(connection, remote.id));
        }
        self.no_longer_outstanding(connection, &session.circuit, session_id);
        self.timers.cancel(&Timer::SessionSetup(session_id));
        let counters = Box::new(self.data.remove(SessionId(session_id)).unwrap_or_default());
        self.counters.sessions_down += 1;
        self.event(Event::SessionDown { session: SessionId(session_id), connection, reason, counters });
    }

    pub(super) fn no_longer_outstanding(&mut self, id: ConnectionId, circuit: &CircuitConfig, session: NonZeroU32) {
        let key = (id, circuit.remote_end_id.clone());
        if self.outstanding.get(&key) == Some(&session) {
            self.outstanding.remove(&key);
        }
    }

    /// The session did not come up in time.
    pub(crate) fn session_setup_over(&mut self, now: Instant, session_id: NonZeroU32) {
        let Some(session) = self.sessions.get(session_id) else { return };
        let connection = session.connection;
        let refusal = (CdnResult::STATE_ERROR, None, String::new());
        self.close_session(now, session_id, refusal, |_| SessionDownReason::SetupTimeout);
        self.settle(now, connection);
    }
}

impl Session {
    /// Returns what every message that sets the session up says of this end.
    pub(super) fn offer(&self, session_id: NonZeroU32, remote_id: u32) -> Attributes<'static> {
        let circuit = &self.circuit;
        let relay = circuit.pseudowire == crate::registry::PseudowireType::FRAME_RELAY;
        Attributes {
            physical_channel: circuit.physical_channel,
            local_session_id: Some(session_id),
            remote_session_id: Some(remote_id),
            cookie: (!self.local_cookie.is_empty()).then_some(self.local_cookie),
            sublayer: (!circuit.sublayer.is_empty()).then(|| circuit.sublayer.number()),
            sequencing: (circuit.sequencing != SequencingLevel::NONE).then_some(circuit.sequencing),
            circuit_status: Some(CircuitStatus { active: self.active, new: true }),
            tx_speed: circuit.tx_speed,
            rx_speed: circuit.rx_speed,
            frame_relay_header: relay.then_some(circuit.frame_relay_header),
            interface_mtu: circuit.mtu,
            ..Attributes::default()
        }
    }
}

/// Reads what the peer says of its end, and whether it goes together with the circuit.
pub(super) fn remote_end(circuit: &CircuitConfig, theirs: &Attributes<'_>) -> Result<RemoteEnd, Refusal> {
    let missing = (CdnResult::GENERAL_ERROR, Some(ErrorCode::SESSION_ID), String::from("no session id"));
    let id = theirs.local_session_id.ok_or(missing)?;
    let mut remote = RemoteEnd {
        id,
        cookie: theirs.cookie.unwrap_or_default(),
        sublayer: Sublayer::None,
        sequencing: SequencingLevel::NONE,
        active: true,
    };
    remote.update(theirs)?;
    if let (Some(ours), Some(mtu)) = (circuit.mtu, theirs.interface_mtu)
        && ours != mtu
    {
        return Err((CdnResult::MTU_MISMATCH, None, String::new()));
    }
    let relay = circuit.pseudowire == crate::registry::PseudowireType::FRAME_RELAY;
    if relay && theirs.frame_relay_header.unwrap_or(2) != circuit.frame_relay_header {
        return Err((CdnResult::FRAME_RELAY_HEADER, None, String::new()));
    }
    Ok(remote)
}

impl RemoteEnd {
    /// Takes in what a message says anew of the format and the circuit.
    pub(super) fn update(&mut self, theirs: &Attributes<'_>) -> Result<(), Refusal> {
        if let Some(number) = theirs.sublayer {
            let unsupported =
                |_| (CdnResult::GENERAL_ERROR, Some(ErrorCode::RANGE), String::from("unsupported sublayer"));
            self.sublayer = Sublayer::try_from(number).map_err(unsupported)?;
        }
        if let Some(level) = theirs.sequencing {
            if level > SequencingLevel::ALL {
                return Err((
                    CdnResult::GENERAL_ERROR,
                    Some(ErrorCode::RANGE),
                    String::from("unknown sequencing level"),
                ));
            }
            self.sequencing = level;
        }
        if self.sequencing != SequencingLevel::NONE && self.sublayer == Sublayer::None {
            return Err((CdnResult::SEQUENCING_WITHOUT_SUBLAYER, None, String::new()));
        }
        if let Some(status) = theirs.circuit_status {
            self.active = status.active;
        }
        Ok(())
    }
}
