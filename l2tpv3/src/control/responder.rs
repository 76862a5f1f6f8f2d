use super::authenticate::{check, nonce_in};
use super::initiator::{ASSUMED_WINDOW, identity, identity_fits};
use super::transition::row;
use super::{Budget, Remote, Role, State, Timer};
use crate::action::ConnectionId;
use crate::config::PeerId;
use crate::config::Plan;
use crate::digest::Nonces;
use crate::drops::DropReason;
use crate::endpoint::Endpoint;
use crate::registry::{AttributeType, ErrorCode, MessageType, StopResult};
use crate::wire::{Attributes, Collected, ControlMessage, Dialect, ResultCode};
use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;
use core::net::IpAddr;
use drive::{Instant, Path, Verdict};
use rand_core::CryptoRng;

/// How a tie between two requests ends.
enum Tie {
    None,
    Won,
    Lost,
    Equal(ConnectionId),
    Reflected,
}

impl<R: CryptoRng> Endpoint<R> {
    /// Takes in a message without a connection id: a request, or a StopCCN from a peer that has not our id yet.
    pub(crate) fn handle_unaddressed(
        &mut self,
        now: Instant,
        path: Path,
        message: &ControlMessage<'_>,
        octets: usize,
    ) -> Verdict<DropReason> {
        if message.is_zero_length_body() {
            return Verdict::Ignored(DropReason::UnknownConnection);
        }
        let request = match Collected::read(message, None) {
            Ok(request) => request,
            Err(error) => return Verdict::Ignored(DropReason::Malformed(error.kind)),
        };
        match request.message_type {
            MessageType::SCCRQ => self.handle_request(now, path, message, &request, octets),
            MessageType::STOP_CCN => self.handle_unaddressed_stop(now, path, message, &request),
            _ => Verdict::Ignored(DropReason::UnknownConnection),
        }
    }

    /// Takes in a SCCRQ: idle to wait-ctl-conn.
    fn handle_request(
        &mut self,
        now: Instant,
        path: Path,
        message: &ControlMessage<'_>,
        blind: &Collected<'_>,
        octets: usize,
    ) -> Verdict<DropReason> {
        if message.header.ns != 0 || message.header.nr != 0 {
            return Verdict::Ignored(DropReason::Unexpected);
        }
        let found = self.plan.requester(path.remote.ip(), &blind.attributes);
        let Some(peer_id) = found else { return Verdict::Ignored(DropReason::UnknownPeer) };
        let Some(peer) = self.plan.peer(peer_id) else { return Verdict::Ignored(DropReason::UnknownPeer) };
        let nonce = nonce_in(message);
        if peer.authenticates() != nonce.is_some() {
            self.refuse(path, blind, None, (StopResult::NOT_AUTHORISED, None, ""));
            return Verdict::Ignored(DropReason::AuthenticationMismatch);
        }
        let key = match check(peer, &self.plan.integrity, message, Nonces::default()) {
            Ok(key) => key,
            Err(reason) => return Verdict::Ignored(reason),
        };
        let hiding = key.and_then(|key| peer.keys.get(key)).map(crate::digest::Keys::hiding);
        let request = match Collected::read(message, hiding) {
            Ok(request) => request,
            Err(error) => return Verdict::Ignored(DropReason::Malformed(error.kind)),
        };
        self.counters.ignored_avps += u64::from(request.ignored);
        let signed = Some((peer_id.0, nonce.unwrap_or_default()));
        if let Some((error, text)) = fault(&request) {
            self.refuse(path, &request, signed, (StopResult::GENERAL_ERROR, Some(error), &text));
            return Verdict::Ignored(DropReason::Refused);
        }
        let Some(remote_id) = request.attributes.assigned_connection_id else {
            return Verdict::Ignored(DropReason::Refused);
        };
        if let Some(existing) = self.by_remote.get(&(path, remote_id.get())).copied() {
            return self.handle_repeated_request(now, existing, octets);
        }
        match self.tie(peer_id, path.remote.ip(), &request.attributes) {
            Tie::None | Tie::Lost => {}
            Tie::Reflected => return Verdict::Ignored(DropReason::Reflected),
            Tie::Won => {
                self.refuse(path, &request, signed, (StopResult::EXISTS, None, "lost the tie"));
                return Verdict::Ignored(DropReason::Refused);
            }
            Tie::Equal(ours) => {
                self.redraw(now, ours);
                return Verdict::Ignored(DropReason::Refused);
            }
        }
        if self.connections.len() >= self.plan.local.max_connections {
            return Verdict::Ignored(DropReason::ConnectionLimit);
        }
        if self.half_open >= self.plan.local.max_half_open {
            return Verdict::Ignored(DropReason::HalfOpenLimit);
        }
        self.accept_request(now, path, peer_id, remote_id, &request, octets);
        Verdict::Accepted
    }

    fn accept_request(
        &mut self,
        now: Instant,
        path: Path,
        peer_id: PeerId,
        remote_id: core::num::NonZeroU32,
        request: &Collected<'_>,
        octets: usize,
    ) {
        let attributes = &request.attributes;
        let Some(plan) = self.plan.peer(peer_id) else { return };
        let (backoff, setup) = (plan.config.retransmission, plan.config.setup);
        let dialect = if request.cisco_drafts { Dialect::Cisco } else { plan.config.dialect };
        let state = State::WaitConnect {
            remote: Remote { id: remote_id, identity: identity(attributes) },
            budget: Budget { received: octets as u64, sent: 0 },
        };
        let id = self.create(now, peer_id, Role::Responder, path, dialect, state);
        self.half_open += 1;
        self.by_remote.insert((path, remote_id.get()), id);
        let Some(connection) = self.connections.get_mut(id.0) else { return };
        connection.remote_nonce = attributes.nonce.as_ref().map(|nonce| nonce.to_vec()).unwrap_or_default();
        connection.channel.establish(attributes.receive_window.unwrap_or(ASSUMED_WINDOW), backoff);
        connection.channel.advance();
        connection.received_messages = 1;
        let nonce = connection.local_nonce.clone();
        self.introduce(id, MessageType::SCCRP, &nonce, None);
        self.timers.set(Timer::Setup(id), now + setup);
        self.settle(now, id);
    }

    /// A request that comes again shows that the reply was lost: it goes out at once, within the budget.
    fn handle_repeated_request(&mut self, now: Instant, id: ConnectionId, octets: usize) -> Verdict<DropReason> {
        self.counters.duplicates += 1;
        if let Some(connection) = self.connections.get_mut(id.0) {
            if let State::WaitConnect { budget, .. } = &mut connection.state {
                budget.received += octets as u64;
                connection.channel.resend_now();
            } else {
                connection.channel.owe_acknowledgement();
            }
        }
        self.settle(now, id);
        Verdict::Duplicate
    }

    /// Compares a request with our own to the same peer, RFC 3931 §5.4.3: the lower value wins.
    fn tie(&self, peer: PeerId, address: IpAddr, theirs: &Attributes<'_>) -> Tie {
        for id in self.connections_of(peer, address) {
            let Some(connection) = self.connections.get(id.0) else { continue };
            let State::WaitReply { tie_breaker, .. } = &connection.state else { continue };
            if theirs.assigned_connection_id == Some(id.0) && theirs.tie_breaker == *tie_breaker {
                return Tie::Reflected;
            }
            return match (tie_breaker, theirs.tie_breaker) {
                (None, None) => Tie::None,
                (None, Some(_)) => Tie::Lost,
                (Some(_), None) => Tie::Won,
                (Some(ours), Some(theirs)) => match ours.cmp(&theirs) {
                    core::cmp::Ordering::Less => Tie::Won,
                    core::cmp::Ordering::Equal => Tie::Equal(id),
                    core::cmp::Ordering::Greater => Tie::Lost,
                },
            };
        }
        Tie::None
    }

    /// Refuses a request without keeping anything: if the refusal is lost, the next request brings another.
    fn refuse(
        &mut self,
        path: Path,
        request: &Collected<'_>,
        signed: Option<(usize, &[u8])>,
        (result, error, text): (StopResult, Option<ErrorCode>, &str),
    ) {
        let Some(remote_id) = request.attributes.assigned_connection_id else { return };
        let error = error.or((!text.is_empty()).then_some(ErrorCode::NONE));
        let attributes = Attributes {
            result: Some(ResultCode { result: result.0, error, text: Cow::Borrowed(text.as_bytes()) }),
            assigned_connection_id: Some(self.connections.draw(&mut self.rng)),
            ..Attributes::default()
        };
        self.send_refusal(path, remote_id.get(), signed, &attributes);
    }

    /// Takes in a SCCCN in wait-ctl-conn: to established.
    pub(super) fn handle_connected(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.0) else { return };
        let placeholder = State::Closing { remote_id: connection.remote_id() };
        match core::mem::replace(&mut connection.state, placeholder) {
            State::WaitConnect { remote, .. } => {
                connection.state = State::Established { remote };
                self.half_open = self.half_open.saturating_sub(1);
                self.established(now, id);
            }
            other @ (State::WaitReply { .. } | State::Established { .. } | State::Closing { .. }) => {
                connection.state = other;
            }
        }
    }

    /// Takes in a request of version 2: one for automatic fallback is answered as version 3, others are refused.
    pub(crate) fn handle_version_2(
        &mut self,
        now: Instant,
        path: Path,
        message: &ControlMessage<'_>,
        octets: usize,
    ) -> Verdict<DropReason> {
        let Ok(request) = Collected::read(message, None) else { return Verdict::Ignored(DropReason::Version2) };
        if request.message_type != MessageType::SCCRQ {
            self.note_version_2(path);
            return Verdict::Ignored(DropReason::Version2);
        }
        if request.attributes.assigned_connection_id.is_some() && message.header.connection_id == 0 {
            return self.handle_request(now, path, message, &request, octets);
        }
        if let Some(tunnel) = request.version_2_tunnel.filter(|tunnel| *tunnel != 0) {
            self.refuse_version_2(path, tunnel, message.header.ns);
        }
        Verdict::Ignored(DropReason::Version2Peer)
    }

    /// A peer that answers our request in version 2 will not come up: remembered as the reason.
    fn note_version_2(&mut self, path: Path) {
        let peers: Vec<_> = self.plan.candidates(path.remote.ip()).collect();
        let ids: Vec<_> = peers.iter().filter_map(|peer| self.by_peer.get(peer)).flatten().copied().collect();
        for id in ids {
            if let Some(connection) = self.connections.get_mut(id.0)
                && let State::WaitReply { hint, .. } = &mut connection.state
            {
                *hint = super::Hint::SpeaksVersion2;
            }
        }
    }

    /// Returns the connections to a peer, and those to others that are known at the same address.
    fn connections_of(&self, peer: PeerId, address: IpAddr) -> Vec<ConnectionId> {
        let known = self.plan.by_address.get(&address).into_iter().flatten().copied();
        let others = known.filter(|other| *other != peer);
        core::iter::once(peer).chain(others).filter_map(|peer| self.by_peer.get(&peer)).flatten().copied().collect()
    }
}

impl Plan {
    /// Returns the first peer that a request may be from.
    fn requester(&self, address: IpAddr, attributes: &Attributes<'_>) -> Option<PeerId> {
        let fits = |id: &PeerId| self.peer(*id).is_some_and(|peer| identity_fits(&peer.config, attributes));
        self.candidates(address).find(fits)
    }
}

/// Returns what is wrong with a message beyond its digest and number: the error and its text.
pub(super) fn fault(message: &Collected<'_>) -> Option<(ErrorCode, alloc::string::String)> {
    if let Some(offence) = message.offence {
        return Some((offence.error_code(), format!("{offence}")));
    }
    let missing: AttributeType = row(message.message_type)?.missing(&message.attributes)?;
    Some((ErrorCode::RANGE, format!("{} without {missing}", message.message_type)))
}
