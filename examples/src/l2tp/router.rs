//! An endpoint and its data plane as one machine.

use drive::{Datagram, Instant, Machine, Transmit, Verdict};
use l2tpv3::wire::MAX_DATA_HEADER;
use l2tpv3::{Action, Command, CommandError, DropReason, EncapsulateError, Endpoint, Handle, SessionId};
use rand_core::CryptoRng;

/// An endpoint that keeps the frames that arrive.
///
/// Control messages go to the endpoint as they are; what it calls data is opened by the endpoint's data
/// plane in a buffer of ours. These are the ten lines that every program has.
#[derive(Debug)]
pub struct Router<R> {
    endpoint: Endpoint<R>,
    frames: Vec<(Instant, SessionId, Vec<u8>)>,
}

impl<R: CryptoRng> Router<R> {
    /// Returns a router around an endpoint.
    pub const fn new(endpoint: Endpoint<R>) -> Self {
        Self { endpoint, frames: Vec::new() }
    }

    /// Returns the endpoint.
    pub const fn endpoint(&self) -> &Endpoint<R> {
        &self.endpoint
    }

    /// Returns the frames that arrived, with their time and session.
    pub fn frames(&self) -> &[(Instant, SessionId, Vec<u8>)] {
        &self.frames
    }

    /// Returns a frame as a packet to send.
    ///
    /// # Errors
    /// The session cannot carry it.
    pub fn pack(&mut self, session: SessionId, frame: &[u8]) -> Result<Transmit, EncapsulateError> {
        let mut buffer = vec![0; MAX_DATA_HEADER];
        buffer.extend_from_slice(frame);
        let range = MAX_DATA_HEADER..buffer.len();
        let sent = self.endpoint.encapsulate(session, &mut buffer, range)?;
        buffer.drain(..sent.packet.start);
        Ok(Transmit { path: sent.path, payload: buffer.into() })
    }
}

impl<R: CryptoRng> Machine for Router<R> {
    type Command = Command;
    type Handle = Handle;
    type CommandError = CommandError;
    type DropReason = DropReason;
    type Action = Action;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Verdict<DropReason> {
        match self.endpoint.handle_datagram(now, datagram) {
            Verdict::Ignored(DropReason::IsData) => {
                let mut buffer = datagram.payload.to_vec();
                match self.endpoint.decapsulate(now, datagram.path, &mut buffer) {
                    Ok(opened) => {
                        let frame = buffer.get(opened.frame).unwrap_or_default().to_vec();
                        self.frames.push((now, opened.session, frame));
                        Verdict::Accepted
                    }
                    Err(reason) => Verdict::Ignored(reason),
                }
            }
            verdict => verdict,
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
    }

    fn handle_command(&mut self, now: Instant, command: Command) -> Result<Handle, CommandError> {
        self.endpoint.handle_command(now, command)
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.endpoint.poll_action()
    }

    fn next_timer(&self) -> Option<(Instant, &'static str)> {
        self.endpoint.next_timer()
    }
}
