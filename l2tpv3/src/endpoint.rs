//! The machine: all connections and sessions of one end.

use crate::action::{Action, Cause, Command, CommandError, ConnectionId, DownReason, Event, Handle, SessionDownReason};
use crate::config::{PeerId, PeerPlan, Plan};
use crate::control::{Connection, Timer};
use crate::counters::EndpointCounters;
use crate::data_plane::{DataPlane, Decapsulated, EncapsulateError, Encapsulated, InPacket, OutFrame, SessionId};
use crate::drops::DropReason;
use crate::registry::StopResult;
use crate::reliable::Expiry;
use crate::session::Session;
use crate::table::IdTable;
use crate::wire::{Carrier, Packet, classify};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::ops::Range;
use drive::{Datagram, Instant, Machine, MonotonicClock, Path, Timers, Verdict};
use rand_core::CryptoRng;

/// Actions that may wait to be polled. Beyond it transmits are dropped first, as a network would;
/// the peer's retransmission or ours repairs that. A caller that drains never meets it.
pub const ACTION_LIMIT: usize = 65_536;

/// One end of L2TPv3: its control connections and sessions, in both roles, and their data plane.
///
/// It is a [`Machine`] for control messages. Data messages go through
/// [`encapsulate`](Self::encapsulate) and [`decapsulate`](Self::decapsulate) in the caller's buffers;
/// [`handle_datagram`](Self::handle_datagram) answers [`DropReason::IsData`] for them.
///
/// Randomness (identifiers, cookies, nonces, tie breakers, jitter) is drawn from `R` in an order that
/// depends on the calls only.
#[derive(Debug)]
pub struct Endpoint<R> {
    pub(crate) plan: Plan,
    pub(crate) rng: R,
    pub(crate) clock: MonotonicClock,
    pub(crate) timers: Timers<Timer>,
    pub(crate) connections: IdTable<Connection>,
    /// Connections by path and the peer's identifier.
    pub(crate) by_remote: BTreeMap<(Path, u32), ConnectionId>,
    pub(crate) by_peer: BTreeMap<PeerId, BTreeSet<ConnectionId>>,
    pub(crate) half_open: usize,
    pub(crate) sessions: IdTable<Session>,
    /// Sessions by connection and the peer's identifier.
    pub(crate) by_remote_session: BTreeMap<(ConnectionId, NonZeroU32), NonZeroU32>,
    /// Our requests without an answer, by connection and circuit: what a tie is found by.
    pub(crate) outstanding: BTreeMap<(ConnectionId, Vec<u8>), NonZeroU32>,
    pub(crate) data: DataPlane,
    pub(crate) serial_number: u32,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) counters: EndpointCounters,
}

impl<R: CryptoRng> Endpoint<R> {
    /// Returns an endpoint without connections. Persistent peers are called at the first
    /// [`handle_timeout`](Machine::handle_timeout), which is due at once.
    pub fn new(plan: Plan, rng: R) -> Self {
        let mut timers = Timers::new();
        for (index, _) in plan.peers.iter().enumerate().filter(|(_, peer)| peer.config.persistent) {
            timers.set(Timer::Reconnect(PeerId(index)), Instant::ZERO);
        }
        Self {
            plan,
            rng,
            clock: MonotonicClock::new(),
            timers,
            connections: IdTable::default(),
            by_remote: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            half_open: 0,
            sessions: IdTable::default(),
            by_remote_session: BTreeMap::new(),
            outstanding: BTreeMap::new(),
            data: DataPlane::new(),
            serial_number: 0,
            actions: VecDeque::new(),
            counters: EndpointCounters::default(),
        }
    }

    /// Puts the data header in front of a frame in the caller's buffer; see [`DataPlane::encapsulate`].
    ///
    /// # Errors
    /// No such session, a circuit that is down, a runt, too little room.
    #[inline]
    pub fn encapsulate(
        &mut self,
        session: SessionId,
        buffer: &mut [u8],
        frame: Range<usize>,
    ) -> Result<Encapsulated, EncapsulateError> {
        self.data.encapsulate(session, buffer, frame)
    }

    /// Checks and takes off the data header of a packet that fills the caller's buffer; see
    /// [`DataPlane::decapsulate`]. A packet that passes tells that its peer is alive.
    ///
    /// # Errors
    /// Why the packet is dropped.
    #[inline]
    pub fn decapsulate(&mut self, now: Instant, path: Path, buffer: &mut [u8]) -> Result<Decapsulated, DropReason> {
        match self.data.decapsulate_for(path, buffer) {
            Ok((decapsulated, owner)) => {
                hear(&mut self.connections, owner, now);
                Ok(decapsulated)
            }
            Err(reason) => {
                let reason = not_ready(&self.sessions, path, buffer, reason);
                self.counters.drops.count(reason);
                Err(reason)
            }
        }
    }

    /// Puts the data header in front of each frame of a batch; see [`DataPlane::encapsulate_batch`].
    pub fn encapsulate_batch(&mut self, batch: &mut [OutFrame<'_>]) {
        self.data.encapsulate_batch(batch);
    }

    /// Checks and takes off the data header of each packet of a batch, as [`decapsulate`](Self::decapsulate) does.
    pub fn decapsulate_batch(&mut self, now: Instant, batch: &mut [InPacket<'_>]) {
        let Self { data, connections, sessions, counters, .. } = self;
        data.decapsulate_batch_for(batch, |item, owner| match item.outcome {
            Some(Err(reason)) => {
                let reason = not_ready(sessions, item.path, item.buffer, reason);
                counters.drops.count(reason);
                item.outcome = Some(Err(reason));
            }
            Some(Ok(_)) | None => hear(connections, owner, now),
        });
    }

    pub(crate) fn act(&mut self, action: Action) {
        if self.actions.len() < ACTION_LIMIT || !matches!(action, Action::Transmit(_)) {
            self.actions.push_back(action);
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.act(Action::Event(event));
    }

    pub(crate) fn peer_of(&self, id: ConnectionId) -> Option<&PeerPlan> {
        self.plan.peer(self.connections.get(id.0)?.peer)
    }

    /// Returns a connection to a peer that is up or coming up.
    pub(crate) fn live_connection(&self, peer: PeerId) -> Option<ConnectionId> {
        let ids = self.by_peer.get(&peer)?;
        ids.iter().copied().find(|id| self.connections.get(id.0).is_some_and(|connection| !connection.is_closing()))
    }

    fn receive(&mut self, now: Instant, datagram: Datagram<'_>) -> Verdict<DropReason> {
        let path = datagram.path;
        let Some(carrier) = Carrier::of(path) else { return Verdict::Ignored(DropReason::OtherProtocol) };
        let message = match classify(carrier, datagram.payload) {
            Ok(Packet::Control(message)) => message,
            Ok(Packet::Data(_)) => return Verdict::Ignored(DropReason::IsData),
            Ok(Packet::Version2Data) => return Verdict::Ignored(DropReason::Version2),
            Ok(Packet::L2f) => return Verdict::Ignored(DropReason::L2f),
            Err(error) => return Verdict::Ignored(DropReason::Malformed(error.kind)),
        };
        let octets = datagram.payload.len();
        if message.header.version == 2 {
            return self.handle_version_2(now, path, &message, octets);
        }
        match NonZeroU32::new(message.header.connection_id) {
            Some(id) => self.handle_addressed(now, ConnectionId(id), path, &message),
            None => self.handle_unaddressed(now, path, &message, octets),
        }
    }

    fn fire(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::Retransmit(id) => {
                let Some(connection) = self.connections.get_mut(id.0) else { return };
                match connection.channel.handle_timeout(now) {
                    Expiry::GaveUp => self.give_up(now, id),
                    Expiry::NotYet | Expiry::Resend => self.settle(now, id),
                }
            }
            Timer::Hello(id) => self.hello_due(now, id),
            Timer::Setup(id) => self.setup_over(now, id),
            Timer::Linger(id) => self.forget(id),
            Timer::Reconnect(peer) => {
                if self.live_connection(peer).is_none() && self.connect(now, peer, None).is_err() {
                    self.arm_reconnect(now, peer);
                }
            }
            Timer::Provision(id) => {
                self.open_provisioned(now, id);
                self.settle(now, id);
            }
            Timer::SessionSetup(session) => self.session_setup_over(now, session),
        }
    }

    fn obey(&mut self, now: Instant, command: Command) -> Result<Handle, CommandError> {
        match command {
            Command::Connect { peer, path } => self.connect(now, peer, path).map(Handle::Connection),
            Command::Disconnect { connection, result } => {
                let found = self.connections.get(connection.0).ok_or(CommandError::UnknownConnection)?;
                if found.is_closing() {
                    return Err(CommandError::Closing);
                }
                let cause = Cause { result: result.0, ..Cause::default() };
                self.close(now, connection, cause.clone(), DownReason::Local(cause));
                Ok(Handle::Done)
            }
            Command::Open { connection, circuit, call } => {
                let session = self.open_session(now, connection, Arc::new(*circuit), call)?;
                self.settle(now, connection);
                Ok(Handle::Session(session))
            }
            Command::Close { session, result } | Command::Refuse { session, result } => {
                let found = self.sessions.get(session.0).ok_or(CommandError::UnknownSession)?;
                let connection = found.connection;
                if self.connections.get(connection.0).is_some_and(|connection| connection.channel.is_full()) {
                    return Err(CommandError::Busy);
                }
                self.close_session(now, session.0, (result, None, String::new()), SessionDownReason::Local);
                self.settle(now, connection);
                Ok(Handle::Done)
            }
            Command::Accept { session, circuit } => {
                self.accept_call(now, session, *circuit).map(|()| Handle::Session(session))
            }
            Command::CallPlaced { session, outcome } => {
                let connection = self.sessions.get(session.0).ok_or(CommandError::UnknownSession)?.connection;
                self.call_placed(now, session, outcome)?;
                self.settle(now, connection);
                Ok(Handle::Done)
            }
            Command::SetCircuit { session, active } => self.set_circuit(now, session, active).map(|()| Handle::Done),
            Command::ReportErrors { session, errors } => {
                self.report_errors(now, session, errors).map(|()| Handle::Done)
            }
            Command::AddStatic(parameters) => {
                if self.sessions.contains(parameters.local_id.0) {
                    return Err(CommandError::Static(crate::data_plane::InstallError::IdTaken));
                }
                self.data.install(parameters).map_err(CommandError::Static)?;
                Ok(Handle::Session(parameters.local_id))
            }
            Command::RemoveStatic(session) => {
                if self.sessions.contains(session.0) {
                    return Err(CommandError::WrongState);
                }
                self.data.remove(session).map(|_| Handle::Done).ok_or(CommandError::UnknownSession)
            }
            Command::Heard(connection) => {
                let found = self.connections.get_mut(connection.0).ok_or(CommandError::UnknownConnection)?;
                found.last_heard = found.last_heard.max(now);
                Ok(Handle::Done)
            }
            Command::ShutDown => {
                let ids: Vec<_> = self.connections.iter().map(|(id, _)| ConnectionId(id)).collect();
                for id in ids {
                    let cause = Cause { result: StopResult::SHUTTING_DOWN.0, ..Cause::default() };
                    self.close(now, id, cause.clone(), DownReason::Local(cause));
                }
                let peers: Vec<_> = (0..self.plan.peers.len()).map(PeerId).collect();
                for peer in peers {
                    self.timers.cancel(&Timer::Reconnect(peer));
                }
                Ok(Handle::Done)
            }
        }
    }
}

/// Notes that data of a connection arrived.
fn hear(connections: &mut IdTable<Connection>, owner: Option<NonZeroU32>, now: Instant) {
    if let Some(connection) = owner.and_then(|owner| connections.get_mut(owner)) {
        connection.last_heard = connection.last_heard.max(now);
    }
}

/// Tells a session that is coming up from one that is not.
fn not_ready(sessions: &IdTable<Session>, path: Path, buffer: &[u8], reason: DropReason) -> DropReason {
    if reason != DropReason::UnknownSession {
        return reason;
    }
    let Some(Ok(Packet::Data(id))) = Carrier::of(path).map(|carrier| classify(carrier, buffer)) else { return reason };
    if NonZeroU32::new(id).is_some_and(|id| sessions.contains(id)) { DropReason::NotReady } else { reason }
}

impl<R> Endpoint<R> {
    /// Returns the data plane, for its counters and parameters.
    pub const fn data_plane(&self) -> &DataPlane {
        &self.data
    }

    /// Returns what was counted.
    pub const fn counters(&self) -> &EndpointCounters {
        &self.counters
    }
}

impl<R: CryptoRng> Machine for Endpoint<R> {
    type Command = Command;
    type Handle = Handle;
    type CommandError = CommandError;
    type DropReason = DropReason;
    type Action = Action;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Verdict<DropReason> {
        let now = self.clock.observe(now);
        let verdict = self.receive(now, datagram);
        // Data is the data plane's to count.
        if let Verdict::Ignored(reason) = verdict
            && reason != DropReason::IsData
        {
            self.counters.drops.count(reason);
        }
        verdict
    }

    /// Lets time pass. Each timer that is due fires once; what it sets anew lies in the future.
    fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock.observe(now);
        while let Some(timer) = self.timers.pop_due(now) {
            self.fire(now, timer);
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) -> Result<Handle, CommandError> {
        let now = self.clock.observe(now);
        self.obey(now, command)
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn next_timer(&self) -> Option<(Instant, &'static str)> {
        self.timers.next().map(|(at, timer)| (at, timer.name()))
    }
}
