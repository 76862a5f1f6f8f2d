use super::SessionState;
use crate::action::{CommandError, SessionDownReason};
use crate::data_plane::SessionId;
use crate::endpoint::Endpoint;
use crate::registry::{CdnResult, MessageType};
use crate::wire::Attributes;
use alloc::string::String;
use core::num::NonZeroU32;
use drive::Instant;
use rand_core::CryptoRng;

impl<R: CryptoRng> Endpoint<R> {
    /// Takes in OCRP: wait-reply to wait-connect.
    pub(super) fn handle_outgoing_reply(&mut self, now: Instant, session_id: NonZeroU32, theirs: &Attributes<'_>) {
        match self.take_reply(session_id, theirs) {
            Ok((_, remote)) => self.enter(now, session_id, SessionState::WaitConnect(remote)),
            Err(refusal) => self.close_session(now, session_id, refusal, SessionDownReason::Protocol),
        }
    }

    /// Takes in how placing a call ended: wait-cs-answer to established by OCCN, or a CDN.
    pub(crate) fn call_placed(
        &mut self,
        now: Instant,
        session: SessionId,
        outcome: Result<(), CdnResult>,
    ) -> Result<(), CommandError> {
        let placed = self.sessions.get(session.0).ok_or(CommandError::UnknownSession)?;
        let SessionState::WaitAnswer(remote) = placed.state else { return Err(CommandError::WrongState) };
        let id = placed.connection;
        match outcome {
            Ok(()) => {
                let attributes = Attributes {
                    local_session_id: Some(session.0),
                    remote_session_id: Some(remote.id.get()),
                    ..Attributes::default()
                };
                self.send(id, MessageType::OCCN, &attributes);
                self.session_established(now, session.0);
            }
            Err(result) => {
                self.close_session(now, session.0, (result, None, String::new()), SessionDownReason::Local);
            }
        }
        Ok(())
    }
}
