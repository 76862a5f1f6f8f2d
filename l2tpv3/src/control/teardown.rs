use super::authenticate::check;
use super::{Hint, State, Timer};
use crate::action::{Cause, ConnectionId, DownReason, Event, SessionDownReason};
use crate::defaults;
use crate::digest::Nonces;
use crate::drops::DropReason;
use crate::endpoint::Endpoint;
use crate::registry::{ErrorCode, MessageType};
use crate::wire::{Attributes, Collected, ControlMessage, ResultCode};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use drive::{Instant, Path, Verdict};
use rand_core::CryptoRng;

impl Cause {
    /// Returns what a received message says.
    pub(crate) fn of(message: &Collected<'_>) -> Self {
        message.attributes.result.as_ref().map_or_else(Self::default, |result| Self {
            result: result.result,
            error: result.error,
            text: result.text(),
        })
    }

    pub(crate) fn to_result(&self) -> ResultCode<'_> {
        let error = self.error.or((!self.text.is_empty()).then_some(ErrorCode::NONE));
        ResultCode { result: self.result, error, text: Cow::Borrowed(self.text.as_bytes()) }
    }
}

impl<R: CryptoRng> Endpoint<R> {
    /// Ends a connection: StopCCN, sessions down, and delivery kept alive until the peer has acknowledged.
    pub(crate) fn close(&mut self, now: Instant, id: ConnectionId, cause: Cause, reason: DownReason) {
        let Some(connection) = self.connections.get_mut(id.0) else { return };
        if connection.is_closing() {
            return;
        }
        if let State::WaitReply { .. } = connection.state {
            // The request may never have arrived, so nothing would acknowledge this: it goes out once.
            let path = connection.path;
            let attributes = Attributes {
                result: Some(cause.to_result()),
                assigned_connection_id: Some(id.0),
                ..Attributes::default()
            };
            let (peer, nonce) = (connection.peer.0, core::mem::take(&mut connection.local_nonce));
            self.send_stop_of_request(path, peer, &nonce, &attributes);
            self.abandon(now, id, reason);
            return;
        }
        connection.last_cause = Some(cause.clone());
        connection.channel.forget_unsent();
        let attributes =
            Attributes { result: Some(cause.to_result()), assigned_connection_id: Some(id.0), ..Attributes::default() };
        self.send(id, MessageType::STOP_CCN, &attributes);
        self.go_down(now, id, reason);
        self.settle(now, id);
    }

    /// Takes in a StopCCN.
    pub(super) fn handle_stop(&mut self, now: Instant, id: ConnectionId, stop: &Collected<'_>) {
        let Some(connection) = self.connections.get_mut(id.0) else { return };
        let cause = Cause::of(stop);
        connection.last_cause = Some(cause.clone());
        connection.channel.forget_unsent();
        // Kept for a full cycle, to acknowledge repetitions, RFC 3931 §3.3.2.
        self.timers.set(Timer::Linger(id), now + defaults::LINGER);
        self.go_down(now, id, DownReason::Peer(cause));
    }

    /// Takes in a StopCCN of a peer that does not know our identifier: found by its own and its address.
    pub(super) fn handle_unaddressed_stop(
        &mut self,
        now: Instant,
        path: Path,
        message: &ControlMessage<'_>,
        stop: &Collected<'_>,
    ) -> Verdict<DropReason> {
        let unknown = Verdict::Ignored(DropReason::UnknownConnection);
        let Some(remote_id) = stop.attributes.assigned_connection_id else { return unknown };
        let Some(id) = self.by_remote.get(&(path, remote_id.get())).copied() else { return unknown };
        let Some(connection) = self.connections.get(id.0).filter(|connection| connection.is_half_open()) else {
            return unknown;
        };
        let Some(peer) = self.plan.peer(connection.peer) else { return unknown };
        if peer.config.refuse_unauthenticated_stop && !peer.authenticates() {
            return Verdict::Ignored(DropReason::UnauthenticatedStop);
        }
        let nonces = Nonces { sender: &connection.remote_nonce, receiver: &[] };
        if let Err(reason) = check(peer, &self.plan.integrity, message, nonces) {
            return Verdict::Ignored(reason);
        }
        let cause = Cause::of(stop);
        self.abandon(now, id, DownReason::Peer(cause));
        Verdict::Accepted
    }

    /// Ends a connection without a word.
    pub(crate) fn abandon(&mut self, now: Instant, id: ConnectionId, reason: DownReason) {
        self.go_down(now, id, reason);
        self.forget(id);
    }

    /// The peer does not acknowledge: everything is cleared, RFC 3931 §4.2.
    pub(crate) fn give_up(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get(id.0) else { return };
        let reason = match connection.state {
            State::WaitReply { hint, .. } => hint.reason(),
            State::WaitConnect { .. } | State::Established { .. } | State::Closing { .. } => DownReason::Silent,
        };
        self.abandon(now, id, reason);
    }

    /// The connection did not come up in time.
    pub(crate) fn setup_over(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get(id.0) else { return };
        let reason = match connection.state {
            State::WaitReply { hint, .. } if hint != Hint::None => hint.reason(),
            State::WaitReply { .. } | State::WaitConnect { .. } => DownReason::SetupTimeout,
            State::Established { .. } | State::Closing { .. } => return,
        };
        self.abandon(now, id, reason);
    }

    /// Sessions end, the event goes out, a persistent peer is called later. Nothing happens the second time.
    fn go_down(&mut self, now: Instant, id: ConnectionId, reason: DownReason) {
        let Some(connection) = self.connections.get_mut(id.0) else { return };
        if connection.is_closing() {
            return;
        }
        if connection.is_half_open() {
            self.half_open = self.half_open.saturating_sub(1);
        }
        let peer = connection.peer;
        let local = matches!(reason, DownReason::Local(_));
        connection.state = State::Closing { remote_id: connection.remote_id() };
        connection.changed = now;
        connection.waiting.clear();
        let sessions: Vec<_> = core::mem::take(&mut connection.sessions).into_iter().collect();
        for session in sessions {
            self.drop_session(session, SessionDownReason::ConnectionDown);
        }
        self.timers.cancel(&Timer::Setup(id));
        self.timers.cancel(&Timer::Hello(id));
        self.timers.cancel(&Timer::Provision(id));
        self.counters.connections_down += 1;
        self.event(Event::ConnectionDown { connection: id, peer, reason });
        if !local && self.live_connection(peer).is_none() {
            self.arm_reconnect(now, peer);
        }
    }

    /// Removes what is left of a connection.
    pub(crate) fn forget(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(id.0) else { return };
        let remote = (connection.path, connection.remote_id());
        if self.by_remote.get(&remote) == Some(&id) {
            self.by_remote.remove(&remote);
        }
        if let Some(ids) = self.by_peer.get_mut(&connection.peer) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_peer.remove(&connection.peer);
            }
        }
        for timer in
            [Timer::Retransmit(id), Timer::Hello(id), Timer::Setup(id), Timer::Linger(id), Timer::Provision(id)]
        {
            self.timers.cancel(&timer);
        }
    }
}

impl Hint {
    const fn reason(self) -> DownReason {
        match self {
            Self::None => DownReason::Silent,
            Self::NotAuthenticated => DownReason::NotAuthenticated,
            Self::SecretNeeded => DownReason::SecretNeeded,
            Self::SpeaksVersion2 => DownReason::SpeaksVersion2,
        }
    }
}
