use super::{Connection, Hint, Remote, Role, State, Timer};
use crate::action::{Cause, CommandError, ConnectionId, DownReason, Event, PeerIdentity};
use crate::config::PeerId;
use crate::defaults;
use crate::endpoint::Endpoint;
use crate::registry::{ErrorCode, MessageType, StopResult};
use crate::reliable::Channel;
use crate::wire::{Attributes, Carrier, Collected, Dialect};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;
use drive::{Instant, Path};
use rand_core::CryptoRng;

/// What an endpoint assumes of a peer that has not said how much it takes, RFC 3931 §5.4.3.
pub(super) const ASSUMED_WINDOW: u16 = 4;

impl<R: CryptoRng> Endpoint<R> {
    /// Opens a connection: idle to wait-ctl-reply.
    pub(crate) fn connect(
        &mut self,
        now: Instant,
        peer: PeerId,
        path: Option<Path>,
    ) -> Result<ConnectionId, CommandError> {
        let plan = self.plan.peer(peer).ok_or(CommandError::UnknownPeer)?;
        let path = path.or(plan.config.path).ok_or(CommandError::NoPath)?;
        Carrier::of(path).ok_or(CommandError::NoPath)?;
        if let Some(live) = self.live_connection(peer) {
            return Err(CommandError::AlreadyConnected(live));
        }
        if self.connections.len() >= self.plan.local.max_connections {
            return Err(CommandError::ConnectionLimit);
        }
        let role = Role::Initiator;
        let tie_breaker = plan.config.tie_breaker;
        let setup = plan.config.setup;
        let dialect = plan.config.dialect;
        let id = self.create(now, peer, role, path, dialect, State::WaitReply { tie_breaker: None, hint: Hint::None });
        let tie_breaker = tie_breaker.then(|| self.draw_octets());
        self.request(id, tie_breaker);
        self.timers.set(Timer::Setup(id), now + setup);
        self.timers.cancel(&Timer::Reconnect(peer));
        self.settle(now, id);
        Ok(id)
    }

    pub(crate) fn draw_octets<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        self.rng.fill_bytes(&mut octets);
        octets
    }

    /// Makes a connection with fresh identifier and nonce.
    pub(super) fn create(
        &mut self,
        now: Instant,
        peer: PeerId,
        role: Role,
        path: Path,
        dialect: Dialect,
        state: State,
    ) -> ConnectionId {
        let id = ConnectionId(self.connections.draw(&mut self.rng));
        let authenticates = self.plan.peer(peer).is_some_and(super::super::config::PeerPlan::authenticates);
        let local_nonce = if authenticates { self.draw_octets::<{ defaults::NONCE }>().to_vec() } else { Vec::new() };
        let backoff = self.plan.peer(peer).map_or(defaults::RETRANSMISSION, |plan| match role {
            Role::Initiator => plan.config.request_retransmission,
            Role::Responder => plan.config.retransmission,
        });
        let connection = Connection {
            peer,
            role,
            path,
            state,
            dialect,
            local_nonce,
            remote_nonce: Vec::new(),
            explicit_acknowledgement: authenticates,
            channel: Channel::new(backoff, self.plan.local.receive_window, ASSUMED_WINDOW),
            sessions: BTreeSet::new(),
            waiting: VecDeque::new(),
            created: now,
            changed: now,
            last_heard: now,
            last_hello: None,
            bad_digests: 0,
            received_messages: 0,
            sent_messages: 0,
            last_cause: None,
        };
        // The identifier was drawn because it is free.
        let _ = self.connections.insert(id.0, connection);
        self.by_peer.entry(peer).or_default().insert(id);
        id
    }

    fn request(&mut self, id: ConnectionId, tie_breaker: Option<[u8; 8]>) {
        let Some(connection) = self.connections.get_mut(id.0) else { return };
        connection.state = State::WaitReply { tie_breaker, hint: Hint::None };
        let nonce = connection.local_nonce.clone();
        self.introduce(id, MessageType::SCCRQ, &nonce, tie_breaker);
    }

    /// Sends a SCCRQ or SCCRP: who this end is.
    pub(super) fn introduce(
        &mut self,
        id: ConnectionId,
        message: MessageType,
        nonce: &[u8],
        tie_breaker: Option<[u8; 8]>,
    ) {
        let local = &self.plan.local;
        let (host_name, vendor_name) = (local.host_name.clone(), local.vendor_name.clone());
        let attributes = Attributes {
            tie_breaker,
            host_name: Some(Cow::Borrowed(host_name.as_bytes())),
            vendor_name: (!vendor_name.is_empty()).then_some(Cow::Borrowed(vendor_name.as_bytes())),
            receive_window: Some(local.receive_window),
            router_id: Some(local.router_id),
            assigned_connection_id: Some(id.0),
            capabilities: Some(local.capabilities.clone()),
            nonce: (!nonce.is_empty()).then_some(Cow::Borrowed(nonce)),
            ..Attributes::default()
        };
        self.send(id, message, &attributes);
    }

    /// Takes in a SCCRP in wait-ctl-reply: to established.
    pub(super) fn handle_reply(&mut self, now: Instant, id: ConnectionId, path: Path, reply: &Collected<'_>) {
        let attributes = &reply.attributes;
        let Some(remote_id) = attributes.assigned_connection_id else { return };
        let (Some(connection), plan) = (self.connections.get_mut(id.0), &self.plan) else { return };
        let Some(peer) = plan.peer(connection.peer) else { return };
        let expected = identity_fits(&peer.config, attributes);
        connection.path = path;
        connection.remote_nonce = attributes.nonce.as_ref().map(|nonce| nonce.to_vec()).unwrap_or_default();
        let window = attributes.receive_window.unwrap_or(ASSUMED_WINDOW);
        connection.channel.establish(window, peer.config.retransmission);
        if reply.cisco_drafts {
            connection.dialect = Dialect::Cisco;
        }
        let remote = Remote { id: remote_id, identity: identity(attributes) };
        connection.state = State::Established { remote };
        if !expected {
            let cause = Cause {
                result: StopResult::NOT_AUTHORISED.0,
                error: Some(ErrorCode::NONE),
                text: "host name or router id is not the expected one".into(),
            };
            self.close(now, id, cause.clone(), DownReason::Protocol(cause));
            return;
        }
        self.by_remote.insert((path, remote_id.get()), id);
        self.send(id, MessageType::SCCCN, &Attributes::default());
        self.established(now, id);
    }

    /// Does what both roles do when a connection comes up.
    pub(super) fn established(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.0) else { return };
        connection.changed = now;
        let (peer, role) = (connection.peer, connection.role);
        let Some(identity) = connection.identity().cloned() else { return };
        self.counters.connections_up += 1;
        self.timers.cancel(&Timer::Setup(id));
        self.timers.cancel(&Timer::Reconnect(peer));
        self.arm_hello(now, id);
        self.event(Event::ConnectionUp { connection: id, peer, identity: Box::new(identity) });
        self.replace_others(now, id, peer, role);
        self.open_provisioned(now, id);
    }

    /// Ends what this connection takes the place of: our own request that lost the tie, and an older
    /// connection that the same end had opened before it forgot it.
    fn replace_others(&mut self, now: Instant, id: ConnectionId, peer: PeerId, role: Role) {
        let others: Vec<_> =
            self.by_peer.get(&peer).into_iter().flatten().copied().filter(|other| *other != id).collect();
        for other in others {
            let Some(connection) = self.connections.get(other.0) else { continue };
            let lost = role == Role::Responder && matches!(connection.state, State::WaitReply { .. });
            let forgotten = connection.is_established() && connection.role == role;
            if lost {
                self.abandon(now, other, DownReason::Replaced(id));
            } else if forgotten {
                let cause = Cause { result: StopResult::EXISTS.0, ..Cause::default() };
                self.close(now, other, cause, DownReason::Replaced(id));
            }
        }
    }

    /// Starts our request again with a new tie breaker, after both drew the same.
    pub(super) fn redraw(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get(id.0) else { return };
        let (peer, path, sessions) = (connection.peer, connection.path, connection.sessions.clone());
        let waiting = connection.waiting.clone();
        let Some(plan) = self.plan.peer(peer) else { return };
        let (dialect, setup) = (plan.config.dialect, plan.config.setup);
        let state = State::WaitReply { tie_breaker: None, hint: Hint::None };
        let new = self.create(now, peer, Role::Initiator, path, dialect, state);
        for session in &sessions {
            if let Some(session) = self.sessions.get_mut(*session) {
                session.connection = new;
            }
        }
        if let Some(connection) = self.connections.get_mut(new.0) {
            connection.sessions = sessions;
            connection.waiting = waiting;
        }
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.sessions.clear();
            connection.waiting.clear();
        }
        self.forget(id);
        let tie_breaker = self.draw_octets();
        self.request(new, Some(tie_breaker));
        self.timers.set(Timer::Setup(new), now + setup);
        self.settle(now, new);
    }

    /// Draws when a persistent peer is called again.
    pub(crate) fn arm_reconnect(&mut self, now: Instant, peer: PeerId) {
        let Some(plan) = self.plan.peer(peer) else { return };
        if !plan.config.persistent {
            return;
        }
        let (least, most) = plan.config.reconnect;
        let spread = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
        let draw = Duration::from_micros(self.rng.next_u64() % spread.saturating_add(1).max(1));
        self.timers.set(Timer::Reconnect(peer), now + least + draw);
    }
}

/// Returns who a SCCRQ or SCCRP says its sender is.
pub(super) fn identity(attributes: &Attributes<'_>) -> PeerIdentity {
    let owned = |octets: &Option<Cow<'_, [u8]>>| octets.as_ref().map(|octets| octets.to_vec()).unwrap_or_default();
    PeerIdentity {
        host_name: owned(&attributes.host_name),
        router_id: attributes.router_id,
        vendor_name: owned(&attributes.vendor_name),
        capabilities: attributes.capabilities.clone().unwrap_or_default(),
    }
}

/// Returns whether a SCCRQ or SCCRP may be from a peer.
pub(super) fn identity_fits(peer: &crate::config::PeerConfig, attributes: &Attributes<'_>) -> bool {
    let name_fits = peer.host_name.as_ref().is_none_or(|name| attributes.host_name.as_deref() == Some(name.as_bytes()));
    let id_fits = peer.router_id.is_none_or(|id| attributes.router_id == Some(id));
    name_fits && id_fits
}
