//! The loop: wait, one call into the endpoint, drain its actions, perform them, sleep until its next timer.

use super::file::{File, FileError};
use super::sockets::Sockets;
use super::status;
use super::tap::Tap;
use crate::gatewayd::clock::Clock;
use crate::gatewayd::control::Control;
use crate::gatewayd::log::Log;
use crate::gatewayd::signals::Signals;
use crate::l2tp::router::{Router, RouterAction};
use crate::l2tp::story;
use core::time::Duration;
use drive::{Instant, Machine as _, Path, Verdict};
use gateway::Gateway;
use l2tpv3::registry::StopResult;
use l2tpv3::wire::MAX_DATA_HEADER;
use l2tpv3::{Action, Command, Endpoint, Event, PeerId, SessionId};
use mio::{Events, Poll, Token};
use rand_core::UnwrapErr;
use std::collections::BTreeMap;
use std::io;

/// The longest frame or datagram.
const LONGEST: usize = 65_535;
/// Packets read from one source before the others get their turn.
const ROUND: usize = 64;
/// How long peers are given to acknowledge the end.
const GOODBYE: Duration = Duration::from_millis(500);

const SIGNALS: Token = Token(0);
const SOCKETS: usize = 16;
const TAPS: usize = 1_024;
const CONTROL: usize = 65_536;

/// Why the daemon ended without being asked.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration was refused.
    #[error(transparent)]
    Configuration(#[from] FileError),
    /// The system refused something.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// The daemon: the endpoint and everything it touches.
pub struct Daemon {
    router: Router<UnwrapErr<getrandom::SysRng>>,
    clock: Clock,
    poll: Poll,
    sockets: Sockets,
    taps: Vec<Tap>,
    /// The device of a circuit, by its identifier.
    circuits: BTreeMap<Vec<u8>, usize>,
    /// The session of a device, and the device of a session, while it is up.
    by_tap: BTreeMap<usize, SessionId>,
    by_session: BTreeMap<SessionId, usize>,
    statics: Vec<SessionId>,
    peers: Vec<String>,
    signals: Signals,
    control: Option<Control>,
    trace: bool,
    /// What says the news of IPsec in words.
    log: Option<Log>,
    buffer: Vec<u8>,
    end: Option<Instant>,
}

impl Daemon {
    /// Opens everything a configuration asks for.
    ///
    /// # Errors
    /// The configuration or the system refuses.
    pub fn open(file: &File) -> Result<Self, DaemonError> {
        let plan = file.config().build().map_err(FileError::from)?;
        let signals = Signals::catch()?;
        let poll = Poll::new()?;
        let sockets = Sockets::open(&file.local.listen, &file.services())?;
        let protection = file.protection()?;
        let log = protection.as_ref().map(|plan| Log::new(file.log_level(), plan));
        let ipsec = protection.map(|plan| Gateway::new(plan, Box::new(UnwrapErr(getrandom::SysRng))));
        sockets.register(poll.registry(), SOCKETS)?;
        signals.register(poll.registry(), SIGNALS)?;
        let control = match &file.local.control {
            Some(path) => Some(Control::listen(path, poll.registry(), CONTROL)?),
            None => None,
        };
        let mut daemon = Self {
            router: Router::new(Endpoint::new(plan, UnwrapErr(getrandom::SysRng)), ipsec),
            clock: Clock::start(),
            poll,
            sockets,
            taps: Vec::new(),
            circuits: BTreeMap::new(),
            by_tap: BTreeMap::new(),
            by_session: BTreeMap::new(),
            statics: Vec::new(),
            peers: file.peer.iter().map(|peer| peer.name.clone()).collect(),
            signals,
            control,
            trace: file.local.trace,
            log,
            buffer: vec![0; MAX_DATA_HEADER + LONGEST],
            end: None,
        };
        for circuit in file.peer.iter().flat_map(|peer| &peer.circuit) {
            let tap = daemon.add_tap(&circuit.tap, file.mtu(circuit.mtu))?;
            daemon.circuits.insert(circuit.id.clone().into_bytes(), tap);
        }
        for of in &file.statics {
            let parameters = file.parameters(of)?;
            let tap = daemon.add_tap(&of.tap, file.mtu(of.mtu))?;
            let added = daemon.router.handle_command(Instant::ZERO, Command::AddStatic(parameters));
            added.map_err(|_| FileError::Static(of.local_id, "the id is taken twice"))?;
            daemon.statics.push(parameters.local_id);
            daemon.join(parameters.local_id, tap);
        }
        Ok(daemon)
    }

    fn add_tap(&mut self, name: &str, mtu: u16) -> io::Result<usize> {
        let tap = Tap::open(name, mtu)?;
        let index = self.taps.len();
        tap.register(self.poll.registry(), Token(TAPS + index))?;
        self.taps.push(tap);
        Ok(index)
    }

    fn join(&mut self, session: SessionId, tap: usize) {
        self.by_tap.insert(tap, session);
        self.by_session.insert(session, tap);
    }

    /// Runs until a signal, the command `quit`, or a failure of the system.
    ///
    /// # Errors
    /// The system refuses to wait.
    pub fn run(&mut self) -> Result<(), DaemonError> {
        self.say("serving");
        let mut events = Events::with_capacity(64);
        let mut ready = Vec::new();
        loop {
            let now = self.clock.now();
            if self.end.is_some_and(|end| end <= now) {
                return Ok(());
            }
            let next = [self.router.poll_timeout(), self.end].into_iter().flatten().min();
            let pause = match ready.is_empty() {
                // Rounded up: a timer that is called early is called again at once.
                true => next.map(|at| at.saturating_duration_since(now) + Duration::from_millis(1)),
                false => Some(Duration::ZERO),
            };
            match self.poll.poll(&mut events, pause) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => other?,
            }
            let mut turns: Vec<Token> = core::mem::take(&mut ready);
            turns.extend(events.iter().map(|event| event.token()));
            turns.sort_unstable();
            turns.dedup();
            for token in turns {
                if self.turn(token) {
                    ready.push(token);
                }
            }
            let now = self.clock.now();
            if self.router.poll_timeout().is_some_and(|at| at <= now) {
                self.router.handle_timeout(now);
                self.perform();
            }
        }
    }

    /// Serves one source and returns whether it may hold more.
    fn turn(&mut self, token: Token) -> bool {
        match token {
            SIGNALS => {
                if self.signals.came() {
                    self.quit();
                }
                false
            }
            Token(CONTROL..) => {
                self.read_control(token);
                false
            }
            Token(number @ TAPS..) => (0..ROUND).all(|_| self.read_tap(number - TAPS)),
            Token(number) => (0..ROUND).all(|_| self.read_socket(number.saturating_sub(SOCKETS))),
        }
    }

    /// One frame from a device into its session; returns whether there was one.
    fn read_tap(&mut self, index: usize) -> bool {
        let Some(tap) = self.taps.get(index) else { return false };
        let room = self.buffer.get_mut(MAX_DATA_HEADER..).unwrap_or_default();
        let length = match tap.receive(room) {
            Ok(length) => length,
            Err(error) => return self.is_more_after(&error, "TAP device"),
        };
        // A frame for a circuit without session has nowhere to go.
        let Some(session) = self.by_tap.get(&index) else { return true };
        let (now, frame) = (self.clock.now(), MAX_DATA_HEADER..MAX_DATA_HEADER + length);
        let Self { router, sockets, buffer, .. } = self;
        let mut send = |path, packet: &[u8]| complain(now, path, sockets.send(path, packet));
        // A frame that the session does not take is counted there.
        let _ = router.send_frame(now, *session, buffer, frame, &mut send);
        self.perform();
        true
    }

    /// One datagram from a socket into the endpoint or a device; returns whether there was one.
    fn read_socket(&mut self, index: usize) -> bool {
        let now = self.clock.now();
        let mut buffer = core::mem::take(&mut self.buffer);
        let received = self.sockets.receive(index, &mut buffer);
        let more = match received {
            Ok((path, range)) => {
                if let Some(payload) = buffer.get_mut(range) {
                    self.receive(now, path, payload);
                }
                true
            }
            Err(error) => self.is_more_after(&error, "socket"),
        };
        self.buffer = buffer;
        more
    }

    fn receive(&mut self, now: Instant, path: Path, payload: &mut [u8]) {
        self.tell_control("<", path, payload);
        let Self { router, by_session, taps, .. } = self;
        let mut deliver = |session: SessionId, frame: &[u8]| {
            let tap = by_session.get(&session).and_then(|index| taps.get(*index));
            if let Some(Err(error)) = tap.map(|tap| tap.send(frame)) {
                say(now, &format!("TAP device: {error}"));
            }
        };
        match router.receive(now, path, payload, &mut deliver) {
            Verdict::Ignored(reason) if self.trace => self.say(&format!("dropped from {}: {reason}", path.remote)),
            Verdict::Accepted | Verdict::Duplicate | Verdict::Ignored(_) => {}
        }
        self.perform();
    }

    /// Drains the router's actions and performs each.
    fn perform(&mut self) {
        while let Some(action) = self.router.poll_action() {
            match action {
                RouterAction::Transmit(transmit) => {
                    self.tell_control(">", transmit.path, &transmit.payload);
                    complain(self.clock.now(), transmit.path, self.sockets.send(transmit.path, &transmit.payload));
                }
                RouterAction::Inside { sent, path, payload } => {
                    self.tell_control(if sent { ">" } else { "<" }, path, &payload);
                }
                RouterAction::L2tp(Action::Event(event)) => {
                    self.say(&story::event(&event));
                    self.follow(&event);
                }
                RouterAction::Ipsec(event) => {
                    if let Some(log) = &self.log {
                        log.event(self.clock.now(), &event);
                    }
                }
                other => self.say(&format!("not performed: {other:?}")),
            }
        }
    }

    /// In a trace, prints a control message of L2TP; over IPsec that is what travels inside.
    fn tell_control(&self, sign: &str, path: Path, payload: &[u8]) {
        if let (true, Some(text)) = (self.trace, story::control(path, payload)) {
            self.say(&format!("{sign} {text}"));
        }
    }

    /// Joins devices to sessions that come up, and parts them from those that end.
    fn follow(&mut self, event: &Event) {
        match event {
            Event::SessionUp { parameters, remote_end_id, .. } => {
                if let Some(tap) = self.circuits.get(remote_end_id) {
                    self.join(parameters.local_id, *tap);
                }
            }
            Event::SessionDown { session, .. } => {
                if let Some(tap) = self.by_session.remove(session)
                    && self.by_tap.get(&tap) == Some(session)
                {
                    self.by_tap.remove(&tap);
                }
            }
            _ => {}
        }
    }

    /// A source that is dry has no more; one that failed once may have.
    fn is_more_after(&self, error: &io::Error, what: &str) -> bool {
        match error.kind() {
            io::ErrorKind::WouldBlock => false,
            io::ErrorKind::Interrupted => true,
            _ => {
                // A refusal of an earlier datagram (ICMP) is reported here too and ends nothing.
                self.say(&format!("{what}: {error}"));
                false
            }
        }
    }

    fn say(&self, text: &str) {
        say(self.clock.now(), text);
    }

    fn quit(&mut self) {
        self.say("asked to end");
        let now = self.clock.now();
        self.end = Some(now + GOODBYE);
        // Nothing refuses this.
        let _ = self.router.handle_command(now, Command::ShutDown);
        self.perform();
    }

    fn read_control(&mut self, token: Token) {
        let Some(mut control) = self.control.take() else { return };
        for (client, line) in control.ready(self.poll.registry(), token) {
            let answer = self.obey(&line).unwrap_or_else(|error| serde_json::json!({ "error": error }));
            control.answer(self.poll.registry(), client, &answer.to_string());
        }
        self.control = Some(control);
    }

    fn obey(&mut self, line: &str) -> Result<serde_json::Value, String> {
        let now = self.clock.now();
        let mut words = line.split_whitespace();
        let done = serde_json::json!({ "done": true });
        match (words.next(), words.next(), words.next()) {
            (Some("status"), None, None) => Ok(status::of(&self.router, &self.statics, now)),
            (Some("quit"), None, None) => {
                self.quit();
                Ok(done)
            }
            (Some("connect"), Some(name), None) => {
                let command = Command::Connect { peer: self.peer(name)?, path: None };
                let taken = self.router.handle_command(now, command);
                self.perform();
                taken.map(|_| done).map_err(|error| error.to_string())
            }
            (Some("disconnect"), Some(name), None) => {
                let peer = self.peer(name)?;
                let statuses = self.router.endpoint().connection_statuses(now);
                for status in statuses.iter().filter(|status| status.peer == peer) {
                    let command = Command::Disconnect { connection: status.connection, result: StopResult::CLEARED };
                    // One that is ending already needs no second word.
                    let _ = self.router.handle_command(now, command);
                }
                self.perform();
                Ok(done)
            }
            _ => Err("commands: status, connect NAME, disconnect NAME, quit".to_owned()),
        }
    }

    fn peer(&self, name: &str) -> Result<PeerId, String> {
        let index = self.peers.iter().position(|peer| peer == name);
        index.map(PeerId).ok_or_else(|| format!("no peer is called {name}"))
    }
}

fn say(now: Instant, text: &str) {
    println!("{now:>14} {text}");
}

/// A full socket loses a datagram as a network would; anything else is worth a word.
fn complain(now: Instant, path: Path, sent: io::Result<()>) {
    if let Err(error) = sent
        && error.kind() != io::ErrorKind::WouldBlock
    {
        say(now, &format!("{path}: {error}"));
    }
}
