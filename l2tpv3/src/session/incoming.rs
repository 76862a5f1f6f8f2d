use super::call::remote_end;
use super::{RemoteEnd, SessionState};
use crate::action::{Action, Call, CallRequest, CommandError, ConnectionId, SessionDownReason};
use crate::config::{Answer, CircuitConfig};
use crate::control::Timer;
use crate::data_plane::SessionId;
use crate::endpoint::Endpoint;
use crate::registry::{CdnResult, ErrorCode, MessageType};
use crate::wire::{Attributes, Collected};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::cmp::Ordering;
use core::num::NonZeroU32;
use drive::Instant;
use rand_core::CryptoRng;

impl<R: CryptoRng> Endpoint<R> {
    /// Takes in ICRQ or OCRQ for a session that is not: idle to wait-connect, to wait-cs-answer, or a CDN.
    pub(super) fn handle_call(&mut self, now: Instant, id: ConnectionId, call: Call, request: &Collected<'_>) {
        let theirs = &request.attributes;
        let Some(connection) = self.connections.get(id.0) else { return };
        let Some(peer) = self.plan.peer(connection.peer) else { return };
        let (Some(pseudowire), Some(remote_end_id)) = (theirs.pseudowire, theirs.remote_end_id.as_deref()) else {
            return;
        };
        if !self.plan.local.capabilities.contains(&pseudowire) {
            self.refuse_call(id, theirs, (CdnResult::UNSUPPORTED_PSEUDOWIRE, None, String::new()));
            return;
        }
        let answer = peer.circuit(remote_end_id, pseudowire);
        if let Some(ours) = self.outstanding.get(&(id, remote_end_id.to_vec())).copied()
            && !self.settle_tie(now, id, ours, theirs)
        {
            return;
        }
        match answer {
            Answer::Refuse(result) => self.refuse_call(id, theirs, (result, None, String::new())),
            Answer::Ask => self.ask(now, id, call, theirs),
            Answer::Accept(circuit) => {
                let made = remote_end(&circuit, theirs).and_then(|remote| {
                    let state = SessionState::Deciding(remote);
                    let full = |_| (CdnResult::NO_FACILITY, Some(ErrorCode::RESOURCES), String::new());
                    self.create_session(now, id, circuit, call, false, state).map_err(full)
                });
                match made {
                    Ok(session_id) => {
                        if let Some(session) = self.sessions.get_mut(session_id) {
                            session.serial_number = theirs.serial_number;
                        }
                        self.answer_call(now, session_id, true);
                    }
                    Err(refusal) => self.refuse_call(id, theirs, refusal),
                }
            }
        }
    }

    /// Settles a tie with our own request for the same circuit, RFC 3931 §5.4.4; returns whether theirs goes on.
    fn settle_tie(&mut self, now: Instant, id: ConnectionId, ours: NonZeroU32, theirs: &Attributes<'_>) -> bool {
        let Some(session) = self.sessions.get(ours) else { return true };
        let order = match (session.tie_breaker, theirs.tie_breaker) {
            (Some(ours), Some(theirs)) => ours.cmp(&theirs),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => {
                // Neither can win: both end.
                let refusal = || (CdnResult::LOST_TIE, None, String::new());
                self.close_session(now, ours, refusal(), |_| SessionDownReason::LostTie);
                self.refuse_call(id, theirs, refusal());
                return false;
            }
        };
        match order {
            Ordering::Less => self.refuse_call(id, theirs, (CdnResult::LOST_TIE, None, String::new())),
            Ordering::Greater => self.end_session(now, ours, SessionDownReason::LostTie),
            Ordering::Equal => {
                let (circuit, call) = (Arc::clone(&session.circuit), session.call);
                self.refuse_call(id, theirs, (CdnResult::LOST_TIE, None, String::new()));
                self.end_session(now, ours, SessionDownReason::LostTie);
                // Once more, with a new tie breaker.
                let _ = self.open_session(now, id, circuit, call);
            }
        }
        order == Ordering::Greater
    }

    /// Asks the caller about a call. Until the answer nothing is said to the peer.
    fn ask(&mut self, now: Instant, id: ConnectionId, call: Call, theirs: &Attributes<'_>) {
        let (Some(pseudowire), Some(remote_end_id)) = (theirs.pseudowire, theirs.remote_end_id.as_deref()) else {
            return;
        };
        let setup = self.peer_of(id).map(|peer| peer.config.session_setup);
        let placeholder =
            CircuitConfig { remote_end_id: remote_end_id.to_vec(), pseudowire, ..CircuitConfig::default() };
        let made = remote_end(&placeholder, theirs).and_then(|remote| {
            let state = SessionState::Deciding(remote);
            let full = |_| (CdnResult::NO_FACILITY, Some(ErrorCode::RESOURCES), String::new());
            self.create_session(now, id, Arc::new(placeholder), call, false, state).map_err(full)
        });
        let session_id = match made {
            Ok(session_id) => session_id,
            Err(refusal) => return self.refuse_call(id, theirs, refusal),
        };
        if let Some(session) = self.sessions.get_mut(session_id) {
            session.serial_number = theirs.serial_number;
            if let Some(remote) = session.state.remote() {
                self.by_remote_session.insert((id, remote.id), session_id);
            }
        }
        if let Some(setup) = setup {
            self.timers.set(Timer::SessionSetup(session_id), now + setup);
        }
        self.act(Action::Decide(Box::new(CallRequest {
            session: SessionId(session_id),
            connection: id,
            call,
            remote_end_id: remote_end_id.to_vec(),
            pseudowire,
            serial_number: theirs.serial_number,
            application_code: theirs.application_code,
            mtu: theirs.interface_mtu,
        })));
    }

    /// Takes in the caller's yes to a call.
    pub(crate) fn accept_call(
        &mut self,
        now: Instant,
        session: SessionId,
        mut circuit: CircuitConfig,
    ) -> Result<(), CommandError> {
        let capabilities = &self.plan.local.capabilities;
        let asked = self.sessions.get_mut(session.0).ok_or(CommandError::UnknownSession)?;
        let SessionState::Deciding(_) = asked.state else { return Err(CommandError::WrongState) };
        circuit.remote_end_id.clone_from(&asked.circuit.remote_end_id);
        if circuit.pseudowire != asked.circuit.pseudowire || circuit.check(capabilities).is_err() {
            return Err(CommandError::BadCircuit);
        }
        asked.active = circuit.active;
        let octets: [u8; 8] = {
            let mut octets = [0; 8];
            self.rng.fill_bytes(&mut octets);
            octets
        };
        let length = match circuit.cookie {
            crate::config::CookieLength::None => 0,
            crate::config::CookieLength::Four => 4,
            crate::config::CookieLength::Eight => 8,
        };
        asked.local_cookie = octets.get(..length).and_then(crate::wire::Cookie::from_slice).unwrap_or_default();
        asked.circuit = Arc::new(circuit);
        let connection = asked.connection;
        self.answer_call(now, session.0, false);
        self.settle(now, connection);
        Ok(())
    }

    /// Sends ICRP, or OCRP and, if the circuit is at hand, OCCN at once.
    fn answer_call(&mut self, now: Instant, session_id: NonZeroU32, at_hand: bool) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let SessionState::Deciding(remote) = session.state else { return };
        let (id, call) = (session.connection, session.call);
        let attributes = session.offer(session_id, remote.id.get());
        let setup = self.connections.get(id.0).and_then(|connection| self.plan.peer(connection.peer));
        let setup = setup.map(|peer| peer.config.session_setup);
        if let Some(setup) = setup {
            self.timers.set(Timer::SessionSetup(session_id), now + setup);
        }
        match call {
            Call::Incoming => {
                self.enter(now, session_id, SessionState::WaitConnect(remote));
                let attributes = Attributes { physical_channel: None, ..attributes };
                self.send(id, MessageType::ICRP, &attributes);
            }
            Call::Outgoing => {
                self.enter(now, session_id, SessionState::WaitAnswer(remote));
                self.send(id, MessageType::OCRP, &attributes);
                if at_hand {
                    // There is such a session in such a state.
                    let _ = self.call_placed(now, SessionId(session_id), Ok(()));
                } else {
                    self.act(Action::PlaceCall(SessionId(session_id)));
                }
            }
        }
    }

    /// Takes a session into a state that knows the peer's end, and into the data plane.
    pub(super) fn enter(&mut self, now: Instant, session_id: NonZeroU32, state: SessionState) {
        if let Some(session) = self.sessions.get_mut(session_id) {
            session.state = state;
            session.changed = now;
        }
        self.install(session_id);
    }

    /// Takes in ICRP: wait-reply to established, by ICCN.
    pub(super) fn handle_incoming_reply(&mut self, now: Instant, session_id: NonZeroU32, theirs: &Attributes<'_>) {
        match self.take_reply(session_id, theirs) {
            Ok((id, remote)) => {
                self.enter(now, session_id, SessionState::Established(remote));
                let attributes = Attributes {
                    local_session_id: Some(session_id),
                    remote_session_id: Some(remote.id.get()),
                    ..Attributes::default()
                };
                self.send(id, MessageType::ICCN, &attributes);
                self.session_established(now, session_id);
            }
            Err(refusal) => self.close_session(now, session_id, refusal, SessionDownReason::Protocol),
        }
    }

    /// Reads a reply to our request, which is then no longer outstanding.
    pub(super) fn take_reply(
        &mut self,
        session_id: NonZeroU32,
        theirs: &Attributes<'_>,
    ) -> Result<(ConnectionId, RemoteEnd), super::call::Refusal> {
        let gone = (CdnResult::STATE_ERROR, None, String::new());
        let session = self.sessions.get(session_id).ok_or(gone)?;
        let (id, circuit) = (session.connection, Arc::clone(&session.circuit));
        let remote = remote_end(&circuit, theirs)?;
        self.no_longer_outstanding(id, &circuit, session_id);
        Ok((id, remote))
    }
}
