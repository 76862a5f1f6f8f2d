use super::SessionState;
use crate::action::{CommandError, Event};
use crate::data_plane::SessionId;
use crate::defaults;
use crate::endpoint::Endpoint;
use crate::registry::MessageType;
use crate::wire::{Attributes, CircuitErrors, CircuitStatus};
use core::num::NonZeroU32;
use drive::Instant;
use rand_core::CryptoRng;

impl<R: CryptoRng> Endpoint<R> {
    /// Takes in SLI: while the peer's circuit is down nothing is sent to it, RFC 3931 §5.4.5.
    pub(super) fn handle_link_info(&mut self, session_id: NonZeroU32, theirs: &Attributes<'_>) {
        let Some(status) = theirs.circuit_status else { return };
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        let up = matches!(session.state, SessionState::Established(_));
        let Some(remote) = session.state.remote_mut() else { return };
        if remote.active == status.active {
            return;
        }
        remote.active = status.active;
        if up {
            self.data.set_peer_circuit(SessionId(session_id), status.active);
            self.event(Event::PeerCircuit { session: SessionId(session_id), active: status.active });
        }
    }

    /// Takes in WEN.
    pub(super) fn handle_errors(&mut self, session_id: NonZeroU32, theirs: &Attributes<'_>) {
        let Some(errors) = theirs.circuit_errors else { return };
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        session.peer_errors = errors;
        self.event(Event::PeerErrors { session: SessionId(session_id), errors });
    }

    /// Tells the peer by SLI that this end's circuit went up or down.
    pub(crate) fn set_circuit(&mut self, now: Instant, session: SessionId, active: bool) -> Result<(), CommandError> {
        let found = self.sessions.get_mut(session.0).ok_or(CommandError::UnknownSession)?;
        if found.active == active {
            return Ok(());
        }
        let id = found.connection;
        let connection = self.connections.get(id.0).ok_or(CommandError::UnknownConnection)?;
        let told = !matches!(found.state, SessionState::WaitControlConnection | SessionState::Deciding(_));
        if told && connection.channel.is_full() {
            return Err(CommandError::Busy);
        }
        found.active = active;
        if told {
            let attributes = Attributes {
                local_session_id: Some(session.0),
                remote_session_id: Some(found.state.remote().map_or(0, |remote| remote.id.get())),
                circuit_status: Some(CircuitStatus { active, new: false }),
                ..Attributes::default()
            };
            self.send(id, MessageType::SLI, &attributes);
            self.settle(now, id);
        }
        Ok(())
    }

    /// Tells the peer of circuit errors by WEN.
    pub(crate) fn report_errors(
        &mut self,
        now: Instant,
        session: SessionId,
        errors: CircuitErrors,
    ) -> Result<(), CommandError> {
        let found = self.sessions.get_mut(session.0).ok_or(CommandError::UnknownSession)?;
        let SessionState::Established(remote) = found.state else { return Err(CommandError::WrongState) };
        if found.last_report.is_some_and(|last| now < last + defaults::WEN_INTERVAL) {
            return Err(CommandError::TooSoon);
        }
        let id = found.connection;
        let connection = self.connections.get(id.0).ok_or(CommandError::UnknownConnection)?;
        if connection.channel.is_full() {
            return Err(CommandError::Busy);
        }
        found.last_report = Some(now);
        let attributes = Attributes {
            circuit_errors: Some(errors),
            local_session_id: Some(session.0),
            remote_session_id: Some(remote.id.get()),
            ..Attributes::default()
        };
        self.send(id, MessageType::WEN, &attributes);
        self.settle(now, id);
        Ok(())
    }
}
