use super::responder::fault;
use super::transition::{ConnectionState, row};
use super::{Connection, Early, State, Timer};
use crate::action::{Cause, ConnectionId, DownReason};
use crate::defaults;
use crate::digest::{Digests, Keys};
use crate::drops::DropReason;
use crate::endpoint::Endpoint;
use crate::registry::{AttributeType, CdnResult, ErrorCode, MessageType, StopResult, VendorId};
use crate::reliable::Place;
use crate::wire::{Collected, ControlMessage};
use alloc::format;
use drive::{Instant, Path, Verdict};
use rand_core::CryptoRng;

impl Connection {
    pub(crate) const fn state_name(&self) -> ConnectionState {
        match self.state {
            State::WaitReply { .. } => ConnectionState::WaitCtlReply,
            State::WaitConnect { .. } => ConnectionState::WaitCtlConn,
            State::Established { .. } => ConnectionState::Established,
            State::Closing { .. } => ConnectionState::Closing,
        }
    }

    /// Returns whether a message may come over `path`: the one of the connection; but the peer may
    /// answer a request over UDP from a port of its choice, RFC 3931 §4.1.2.2.
    fn accepts_path(&self, path: Path) -> bool {
        if path == self.path {
            return true;
        }
        let waiting = matches!(self.state, State::WaitReply { .. });
        let same_ends = path.local == self.path.local && path.remote.ip() == self.path.remote.ip();
        waiting && same_ends && path.protocol == self.path.protocol
    }
}

impl<R: CryptoRng> Endpoint<R> {
    /// Takes in a message for a connection. The order is: path, digest, Nr, place, structure; only
    /// then does anything change.
    pub(crate) fn handle_addressed(
        &mut self,
        now: Instant,
        id: ConnectionId,
        path: Path,
        message: &ControlMessage<'_>,
    ) -> Verdict<DropReason> {
        let Some(connection) = self.connections.get(id.0) else {
            return Verdict::Ignored(DropReason::UnknownConnection);
        };
        if !connection.accepts_path(path) {
            return Verdict::Ignored(DropReason::WrongPath);
        }
        let key = if message.is_zero_length_body() && !self.peer_of(id).is_some_and(|peer| peer.authenticates()) {
            None
        } else {
            match self.authenticate(id, message) {
                Ok(key) => key,
                Err(reason) => return Verdict::Ignored(reason),
            }
        };
        let Some(connection) = self.connections.get(id.0) else {
            return Verdict::Ignored(DropReason::UnknownConnection);
        };
        // A connection that is ending anyway acknowledges the peer's word, which some wait for.
        if key.is_none() && is(message, MessageType::STOP_CCN) && !connection.is_closing() && self.refuses_stop(id) {
            return Verdict::Ignored(DropReason::UnauthenticatedStop);
        }
        let header = message.header;
        if connection.channel.check_nr(header.nr).is_err() {
            return Verdict::Ignored(DropReason::InvalidNr);
        }
        let acknowledgement = message.is_zero_length_body() || is(message, MessageType::ACK);
        if acknowledgement {
            self.heard(now, id, message);
            self.acknowledge(now, id, header.nr);
            self.settle(now, id);
            return Verdict::Accepted;
        }
        match connection.channel.place(header.ns) {
            Place::Beyond => Verdict::Ignored(DropReason::BeyondWindow),
            Place::Duplicate => {
                self.heard(now, id, message);
                self.counters.duplicates += 1;
                self.acknowledge(now, id, header.nr);
                if let Some(connection) = self.connections.get_mut(id.0) {
                    connection.channel.owe_acknowledgement();
                }
                self.settle(now, id);
                Verdict::Duplicate
            }
            Place::Early => {
                // Before the peer's identifier is known there is nothing to answer with.
                if matches!(connection.state, State::WaitReply { .. }) {
                    return Verdict::Ignored(DropReason::BeyondWindow);
                }
                self.heard(now, id, message);
                self.acknowledge(now, id, header.nr);
                if let Some(connection) = self.connections.get_mut(id.0) {
                    connection.channel.keep_early(header.ns, Early { octets: message.octets().to_vec(), key });
                }
                self.settle(now, id);
                Verdict::Accepted
            }
            Place::Next if connection.channel.is_full() => Verdict::Ignored(DropReason::Busy),
            Place::Next => self.handle_next(now, id, path, message, key),
        }
    }

    /// Returns whether only an authenticated StopCCN ends a connection.
    fn refuses_stop(&self, id: ConnectionId) -> bool {
        self.peer_of(id).is_some_and(|peer| peer.config.refuse_unauthenticated_stop)
    }

    fn handle_next(
        &mut self,
        now: Instant,
        id: ConnectionId,
        path: Path,
        message: &ControlMessage<'_>,
        key: Option<usize>,
    ) -> Verdict<DropReason> {
        // A message whose AVPs do not add up is not taken in: it can only be lost, not half understood.
        if let Err(error) = Collected::read(message, None) {
            return Verdict::Ignored(DropReason::Malformed(error.kind));
        }
        self.heard(now, id, message);
        self.acknowledge(now, id, message.header.nr);
        self.take_in(now, id, path, message, key);
        // What had come early follows; the window bounds how much there can be.
        while let Some(early) = self.connections.get_mut(id.0).and_then(|connection| connection.channel.take_early()) {
            if let Ok(message) = ControlMessage::parse(&early.octets) {
                self.take_in(now, id, path, &message, early.key);
            }
        }
        self.settle(now, id);
        Verdict::Accepted
    }

    fn heard(&mut self, now: Instant, id: ConnectionId, message: &ControlMessage<'_>) {
        self.counters.received_messages += 1;
        let Some(connection) = self.connections.get_mut(id.0) else { return };
        connection.last_heard = now;
        connection.received_messages += 1;
        let integrity = self.plan.peer(connection.peer).is_some_and(|peer| peer.config.integrity);
        if integrity && !connection.explicit_acknowledgement && !Digests::of(message).is_empty() {
            connection.explicit_acknowledgement = true;
        }
        if let State::WaitConnect { budget, .. } = &mut connection.state {
            budget.received += message.octets().len() as u64;
        }
    }

    fn acknowledge(&mut self, now: Instant, id: ConnectionId, nr: u16) {
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.channel.acknowledge(now, nr);
        }
    }

    /// Counts the expected message as received and does what it says.
    fn take_in(
        &mut self,
        now: Instant,
        id: ConnectionId,
        path: Path,
        message: &ControlMessage<'_>,
        key: Option<usize>,
    ) {
        let (Some(connection), plan) = (self.connections.get_mut(id.0), &self.plan) else { return };
        connection.channel.advance();
        let state = connection.state_name();
        let keys = plan.peer(connection.peer).and_then(|peer| peer.keys.get(key?));
        let Ok(message) = Collected::read(message, keys.map(Keys::hiding)) else { return };
        self.counters.ignored_avps += u64::from(message.ignored);
        if state == ConnectionState::Closing {
            if message.message_type == MessageType::STOP_CCN && message.message_vendor == VendorId::IETF {
                self.timers.set(Timer::Linger(id), now + defaults::LINGER);
            }
            return;
        }
        let known = row(message.message_type).filter(|_| message.message_vendor == VendorId::IETF);
        let Some(row) = known else {
            if message.message_mandatory {
                let text = format!("unknown mandatory message {}:{}", message.message_vendor.0, message.message_type.0);
                self.protocol_error(now, id, StopResult::GENERAL_ERROR, Some(ErrorCode::UNKNOWN_AVP), text);
            } else {
                self.counters.drops.count(DropReason::UnknownMessage);
            }
            return;
        };
        if !row.lawful.contains(&state) {
            let text = format!("{} in {}", message.message_type, state.name());
            self.protocol_error(now, id, StopResult::STATE_ERROR, None, text);
            return;
        }
        match (fault(&message), message.message_type) {
            (_, MessageType::STOP_CCN) => self.handle_stop(now, id, &message),
            (Some((error, text)), kind) if kind.is_session() => {
                self.session_fault(now, id, &message, CdnResult::GENERAL_ERROR, Some(error), text);
            }
            (Some((error, text)), _) => {
                self.protocol_error(now, id, StopResult::GENERAL_ERROR, Some(error), text);
            }
            (None, MessageType::SCCRP) => self.handle_reply(now, id, path, &message),
            (None, MessageType::SCCCN) => self.handle_connected(now, id),
            (None, kind) if kind.is_session() => self.handle_session_message(now, id, &message),
            // A HELLO asks for nothing but its acknowledgement.
            (None, _) => {}
        }
    }

    fn protocol_error(
        &mut self,
        now: Instant,
        id: ConnectionId,
        result: StopResult,
        error: Option<ErrorCode>,
        text: alloc::string::String,
    ) {
        let cause = Cause { result: result.0, error, text };
        self.close(now, id, cause.clone(), DownReason::Protocol(cause));
    }
}

/// Returns whether a message says first that it is of a type: what decides before it is taken in.
fn is(message: &ControlMessage<'_>, kind: MessageType) -> bool {
    let first = message.avps().next().and_then(Result::ok);
    first.is_some_and(|avp| avp.is(AttributeType::MESSAGE_TYPE) && avp.value == kind.0.to_be_bytes())
}
