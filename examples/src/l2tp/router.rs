//! An endpoint and its data plane, with a gateway below them where IPsec is to protect them: one machine.

use bytes::Bytes;
use core::fmt;
use core::ops::Range;
use drive::{Datagram, Instant, IntoTransmit, Machine, Path, Transmit, Verdict};
use gateway::{Event, Gateway, datagram_of};
use l2tpv3::wire::{Carrier, MAX_DATA_HEADER, Packet, classify};
use l2tpv3::{Action, Command, CommandError, EncapsulateError, Endpoint, Handle, SessionId};
use rand_core::CryptoRng;
use std::collections::VecDeque;

/// Takes the frames that arrive.
pub type Deliver<'a> = dyn FnMut(SessionId, &[u8]) + 'a;

/// An endpoint that speaks over the network, or through a gateway that protects what it says.
///
/// With a gateway, every datagram of the network goes to the gateway and to nobody else: L2TP that
/// comes in clear never reaches the endpoint. What comes out of an association does, and what the
/// endpoint says goes into one. That is all it takes to put L2TPv3 on IPsec.
pub struct Router<R> {
    endpoint: Endpoint<R>,
    ipsec: Option<Gateway>,
    actions: VecDeque<RouterAction>,
}

/// Work for the caller.
#[derive(Debug)]
pub enum RouterAction {
    /// Send a datagram.
    Transmit(Transmit),
    /// A frame arrived; only of [`Machine::handle_datagram`], the other forms take a closure.
    Frame(SessionId, Vec<u8>),
    /// A control message travels inside IPsec: for logs.
    Inside {
        /// Whether it is ours.
        sent: bool,
        /// The ends, and what carries it.
        path: Path,
        /// The message.
        payload: Bytes,
    },
    /// What the endpoint wants, datagrams apart.
    L2tp(Action),
    /// News of the gateway.
    Ipsec(Box<Event>),
}

impl IntoTransmit for RouterAction {
    fn into_transmit(self) -> Result<Transmit, Self> {
        if let Self::Transmit(transmit) = self { Ok(transmit) } else { Err(self) }
    }
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterDrop {
    /// The endpoint dropped it.
    L2tp(l2tpv3::DropReason),
    /// The gateway dropped it.
    Ipsec(gateway::DropReason),
}

impl fmt::Display for RouterDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::L2tp(reason) => reason.fmt(f),
            Self::Ipsec(reason) => write!(f, "IPsec: {reason}"),
        }
    }
}

impl<R: CryptoRng> Router<R> {
    /// Returns a router around an endpoint, on a gateway if there is one.
    pub const fn new(endpoint: Endpoint<R>, ipsec: Option<Gateway>) -> Self {
        Self { endpoint, ipsec, actions: VecDeque::new() }
    }

    /// Returns the endpoint.
    pub const fn endpoint(&self) -> &Endpoint<R> {
        &self.endpoint
    }

    /// Returns the gateway, if there is one.
    pub const fn ipsec(&self) -> Option<&Gateway> {
        self.ipsec.as_ref()
    }

    /// Takes in a datagram that fills the caller's buffer, and hands out the frames that it brings.
    pub fn receive(
        &mut self,
        now: Instant,
        path: Path,
        payload: &mut [u8],
        deliver: &mut Deliver<'_>,
    ) -> Verdict<RouterDrop> {
        let verdict = match &mut self.ipsec {
            None => open(&mut self.endpoint, now, path, payload, deliver),
            Some(gateway) => match gateway.handle_datagram(now, Datagram { path, payload }) {
                Verdict::Accepted => Verdict::Accepted,
                Verdict::Duplicate => Verdict::Duplicate,
                Verdict::Ignored(reason) => Verdict::Ignored(RouterDrop::Ipsec(reason)),
            },
        };
        self.settle(now, deliver);
        verdict
    }

    /// Sends `frame`, a range of `buffer` with room in front, through a session.
    ///
    /// Without IPsec the packet is made in place and given to `send`; with it a copy goes into the gateway.
    ///
    /// # Errors
    /// The session cannot carry it.
    pub fn send_frame(
        &mut self,
        now: Instant,
        session: SessionId,
        buffer: &mut [u8],
        frame: Range<usize>,
        send: &mut dyn FnMut(Path, &[u8]),
    ) -> Result<(), EncapsulateError> {
        let sent = self.endpoint.encapsulate(session, buffer, frame)?;
        let packet = buffer.get(sent.packet).unwrap_or_default();
        match &mut self.ipsec {
            None => send(sent.path, packet),
            Some(gateway) => {
                let transmit = Transmit { path: sent.path, payload: Bytes::copy_from_slice(packet) };
                // What no association takes now waits for one, or is dropped and counted there.
                let _ = gateway.handle_transmit(now, transmit);
                self.settle(now, &mut |_, _| {});
            }
        }
        Ok(())
    }

    /// Sends a copy of a frame through a session; the packet is among the actions.
    ///
    /// # Errors
    /// The session cannot carry it.
    pub fn send_copy(&mut self, now: Instant, session: SessionId, frame: &[u8]) -> Result<(), EncapsulateError> {
        let mut buffer = vec![0; MAX_DATA_HEADER];
        buffer.extend_from_slice(frame);
        let (range, mut out) = (MAX_DATA_HEADER..buffer.len(), None);
        self.send_frame(now, session, &mut buffer, range, &mut |path, packet| {
            out = Some(Transmit { path, payload: Bytes::copy_from_slice(packet) });
        })?;
        self.actions.extend(out.map(RouterAction::Transmit));
        Ok(())
    }

    /// Gives a command to the gateway.
    ///
    /// # Errors
    /// There is no gateway, or it refuses the command.
    pub fn ipsec_command(&mut self, now: Instant, command: gateway::Command) -> Result<(), String> {
        let gateway = self.ipsec.as_mut().ok_or("there is no IPsec here")?;
        gateway.handle_command(now, command).map_err(|error| error.to_string())?;
        self.settle(now, &mut |_, _| {});
        Ok(())
    }

    /// Carries what endpoint and gateway have for each other, until both are silent.
    fn settle(&mut self, now: Instant, deliver: &mut Deliver<'_>) {
        let Self { endpoint, ipsec, actions } = self;
        loop {
            let mut is_silent = true;
            while let Some(action) = endpoint.poll_action() {
                is_silent = false;
                match (action, &mut *ipsec) {
                    (Action::Transmit(transmit), Some(gateway)) => {
                        let (path, payload) = (transmit.path, transmit.payload.clone());
                        actions.push_back(RouterAction::Inside { sent: true, path, payload });
                        let _ = gateway.handle_transmit(now, transmit);
                    }
                    (Action::Transmit(transmit), None) => actions.push_back(RouterAction::Transmit(transmit)),
                    (other, _) => actions.push_back(RouterAction::L2tp(other)),
                }
            }
            while let Some(action) = ipsec.as_mut().and_then(Gateway::poll_action) {
                is_silent = false;
                match action {
                    gateway::Action::Transmit(transmit, _) => actions.push_back(RouterAction::Transmit(transmit)),
                    gateway::Action::Event(event) => actions.push_back(RouterAction::Ipsec(Box::new(event))),
                    gateway::Action::Deliver(packet, _) => {
                        let Some(Datagram { path, payload }) = datagram_of(&packet) else { continue };
                        if is_control(path, payload) {
                            let payload = Bytes::copy_from_slice(payload);
                            actions.push_back(RouterAction::Inside { sent: false, path, payload });
                        }
                        // What the endpoint does not want it counts.
                        let _ = open(endpoint, now, path, &mut payload.to_vec(), deliver);
                    }
                    // The plan has no policy that passes anything by, and logs no keys.
                    _ => {}
                }
            }
            if is_silent {
                return;
            }
        }
    }
}

fn is_control(path: Path, payload: &[u8]) -> bool {
    matches!(Carrier::of(path).map(|carrier| classify(carrier, payload)), Some(Ok(Packet::Control(_))))
}

/// Gives a datagram to the endpoint; what that calls data is opened in place.
fn open<R: CryptoRng>(
    endpoint: &mut Endpoint<R>,
    now: Instant,
    path: Path,
    payload: &mut [u8],
    deliver: &mut Deliver<'_>,
) -> Verdict<RouterDrop> {
    match endpoint.handle_datagram(now, Datagram { path, payload }) {
        Verdict::Accepted => Verdict::Accepted,
        Verdict::Duplicate => Verdict::Duplicate,
        Verdict::Ignored(l2tpv3::DropReason::IsData) => match endpoint.decapsulate(now, path, payload) {
            Ok(opened) => {
                deliver(opened.session, payload.get(opened.frame).unwrap_or_default());
                Verdict::Accepted
            }
            Err(reason) => Verdict::Ignored(RouterDrop::L2tp(reason)),
        },
        Verdict::Ignored(reason) => Verdict::Ignored(RouterDrop::L2tp(reason)),
    }
}

impl<R: CryptoRng> Machine for Router<R> {
    type Command = Command;
    type Handle = Handle;
    type CommandError = CommandError;
    type DropReason = RouterDrop;
    type Action = RouterAction;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Verdict<RouterDrop> {
        let mut frames = Vec::new();
        let mut buffer = datagram.payload.to_vec();
        let verdict = self.receive(now, datagram.path, &mut buffer, &mut |session, frame| {
            frames.push(RouterAction::Frame(session, frame.to_vec()));
        });
        self.actions.extend(frames);
        verdict
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        if let Some(gateway) = &mut self.ipsec {
            gateway.handle_timeout(now);
        }
        self.settle(now, &mut |_, _| {});
    }

    fn handle_command(&mut self, now: Instant, command: Command) -> Result<Handle, CommandError> {
        let handle = self.endpoint.handle_command(now, command)?;
        self.settle(now, &mut |_, _| {});
        Ok(handle)
    }

    fn poll_action(&mut self) -> Option<RouterAction> {
        self.actions.pop_front()
    }

    fn next_timer(&self) -> Option<(Instant, &'static str)> {
        let timers = [self.endpoint.next_timer(), self.ipsec.as_ref().and_then(Gateway::next_timer)];
        timers.into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}
