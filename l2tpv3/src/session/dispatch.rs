use super::call::Refusal;
use super::{Session, SessionState};
use crate::action::{Call, Cause, ConnectionId, SessionDownReason};
use crate::drops::DropReason;
use crate::endpoint::Endpoint;
use crate::registry::{CdnResult, ErrorCode, MessageType};
use crate::wire::{Attributes, Collected, ResultCode};
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::num::NonZeroU32;
use drive::Instant;
use rand_core::CryptoRng;

impl<R: CryptoRng> Endpoint<R> {
    /// Finds the session a message is about: by our identifier, or by the peer's if it does not know ours,
    /// RFC 3931 §5.4.4. A session of another connection is none.
    fn find_session(&self, id: ConnectionId, attributes: &Attributes<'_>) -> Option<NonZeroU32> {
        match NonZeroU32::new(attributes.remote_session_id.unwrap_or(0)) {
            Some(ours) => {
                self.sessions.get(ours).filter(|session| session.connection == id)?;
                Some(ours)
            }
            None => self.by_remote_session.get(&(id, attributes.local_session_id?)).copied(),
        }
    }

    /// Takes in a session message that is well-formed and lawful in the state of its connection.
    pub(crate) fn handle_session_message(&mut self, now: Instant, id: ConnectionId, message: &Collected<'_>) {
        let attributes = &message.attributes;
        let found = self.find_session(id, attributes);
        match (message.message_type, found) {
            (MessageType::ICRQ, None) => self.handle_call(now, id, Call::Incoming, message),
            (MessageType::OCRQ, None) => self.handle_call(now, id, Call::Outgoing, message),
            (MessageType::CDN, Some(session)) => {
                let cause = Cause::of(message);
                let lost = cause.result == CdnResult::LOST_TIE.0;
                let reason = if lost { SessionDownReason::LostTie } else { SessionDownReason::Peer(cause) };
                self.end_session(now, session, reason);
            }
            (MessageType::SLI, Some(session)) => self.handle_link_info(session, attributes),
            (MessageType::WEN, Some(session)) => self.handle_errors(session, attributes),
            (kind, Some(session)) => self.handle_answer(now, session, kind, message),
            // A reply to a request that is no more is told so; the rest needs no answer, RFC 3931 §7.3.
            (MessageType::ICRP | MessageType::OCRP, None) => {
                let refusal = (CdnResult::GENERAL_ERROR, Some(ErrorCode::SESSION_ID), String::new());
                self.refuse_call(id, attributes, refusal);
                self.counters.drops.count(DropReason::UnknownSession);
            }
            (_, None) => self.counters.drops.count(DropReason::UnknownSession),
        }
    }

    /// Takes in the messages that move a call on, and ends it if its state does not allow them.
    fn handle_answer(&mut self, now: Instant, session_id: NonZeroU32, kind: MessageType, message: &Collected<'_>) {
        let Some(session) = self.sessions.get(session_id) else { return };
        let Session { state, call, ours, .. } = *session;
        let attributes = &message.attributes;
        match (kind, call, ours, state) {
            (MessageType::ICRP, Call::Incoming, true, SessionState::WaitReply) => {
                self.handle_incoming_reply(now, session_id, attributes);
            }
            (MessageType::ICCN, Call::Incoming, false, SessionState::WaitConnect(_)) => {
                self.handle_connected_call(now, session_id, attributes);
            }
            (MessageType::OCRP, Call::Outgoing, true, SessionState::WaitReply) => {
                self.handle_outgoing_reply(now, session_id, attributes);
            }
            (MessageType::OCCN, Call::Outgoing, true, SessionState::WaitConnect(_)) => {
                self.handle_connected_call(now, session_id, attributes);
            }
            _ => {
                let text = format!("{kind} in {}", state.name());
                let refusal = (CdnResult::STATE_ERROR, None, text);
                self.close_session(now, session_id, refusal, SessionDownReason::Protocol);
            }
        }
    }

    /// Takes in the message that completes a call: to established.
    fn handle_connected_call(&mut self, now: Instant, session_id: NonZeroU32, attributes: &Attributes<'_>) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let updated = session.state.remote_mut().map_or(Ok(()), |remote| remote.update(attributes));
        match updated {
            Ok(()) => self.session_established(now, session_id),
            Err(refusal) => self.close_session(now, session_id, refusal, SessionDownReason::Protocol),
        }
    }

    /// A session message that cannot be understood ends its session, RFC 3931 §5.2.
    pub(crate) fn session_fault(
        &mut self,
        now: Instant,
        id: ConnectionId,
        message: &Collected<'_>,
        result: CdnResult,
        error: Option<ErrorCode>,
        text: String,
    ) {
        let attributes = &message.attributes;
        let found = self.find_session(id, attributes);
        match (message.message_type, found) {
            (MessageType::CDN, Some(session)) => {
                self.end_session(now, session, SessionDownReason::Peer(Cause::of(message)));
            }
            (MessageType::CDN, None) => {}
            (_, Some(session)) => {
                self.close_session(now, session, (result, error, text), SessionDownReason::Protocol);
            }
            (_, None) => self.refuse_call(id, attributes, (result, error, text)),
        }
    }

    /// Sends a CDN for a session that never was.
    pub(super) fn refuse_call(&mut self, id: ConnectionId, theirs: &Attributes<'_>, (result, error, text): Refusal) {
        let Some(remote) = theirs.local_session_id else { return };
        let error = error.or((!text.is_empty()).then_some(ErrorCode::NONE));
        let local = NonZeroU32::new(theirs.remote_session_id.unwrap_or(0)).unwrap_or_else(|| self.draw_session_id());
        let attributes = Attributes {
            result: Some(ResultCode { result: result.0, error, text: Cow::Borrowed(text.as_bytes()) }),
            local_session_id: Some(local),
            remote_session_id: Some(remote.get()),
            ..Attributes::default()
        };
        self.send(id, MessageType::CDN, &attributes);
    }
}
