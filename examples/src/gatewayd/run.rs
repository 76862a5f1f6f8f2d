//! The loop: wait, one call into the engine, drain its actions, perform them, sleep until its next timer.

use super::clock::Clock;
use super::control::{Control, Request, Which};
use super::datagrams::Inbox;
use super::file::{File, FileError, Start};
use super::keylog::KeyLog;
use super::log::Log;
use super::packets;
use super::signals::Signals;
use super::sockets::Sockets;
use super::status;
use super::trust::Trust;
use super::tun::Device;
use core::net::IpAddr;
use core::time::Duration;
use drive::{Instant, Path};
use gateway::{Action, Command, ConnectionId, Gateway, Header, Plan};
use ikev1_core::{UserVerdict, Users, VerifyCertificate};
use mio::{Events, Poll, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// How long peers are given to hear of the end: the deletes are sent at once, this only drains them.
const GOODBYE: Duration = Duration::from_millis(200);

pub(super) const TUN: Token = Token(0);
const SIGNALS: Token = Token(1);
pub(super) const SOCKETS: usize = 16;
const CONTROL: usize = 4_096;

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

/// The daemon: the engine and everything it touches.
pub struct Daemon {
    pub(super) engine: Gateway,
    trust: Trust,
    pub(super) clock: Clock,
    pub(super) log: Log,
    poll: Poll,
    pub(super) sockets: Sockets,
    pub(super) device: Device,
    signals: Signals,
    control: Option<Control>,
    keylog: Option<KeyLog>,
    /// Who may connect, by connection.
    users: BTreeMap<ConnectionId, Users>,
    /// The addresses that mode-config gave to this end, as they are on the device.
    addresses: BTreeMap<ConnectionId, IpAddr>,
    /// Sources that may hold more than was read: the poll reports each arrival only once.
    pub(super) ready: BTreeSet<Token>,
    pub(super) inbox: Inbox,
    pub(super) buffers: Vec<Vec<u8>>,
    /// When to end, once asked to.
    end: Option<Instant>,
}

impl Daemon {
    /// Opens everything a configuration asks for.
    ///
    /// # Errors
    /// The plan or the system refuses.
    pub fn open(file: &File, plan: Plan) -> Result<Self, DaemonError> {
        let signals = Signals::catch()?;
        let poll = Poll::new()?;
        let mut sockets = Sockets::open(&file.daemon, plan.udp_tunnel_port())?;
        sockets.register(poll.registry(), SOCKETS)?;
        let device = Device::open(&file.tun)?;
        device.register(poll.registry(), TUN)?;
        signals.register(poll.registry(), SIGNALS)?;
        let control = match &file.daemon.control {
            Some(path) => Some(Control::listen(path, poll.registry(), CONTROL)?),
            None => None,
        };
        let keylog = file.daemon.dangerously_keylog_dir.as_deref().map(KeyLog::open).transpose()?;
        let mut users = BTreeMap::new();
        for (index, connection) in file.connection.iter().enumerate() {
            let known = connection.users(&format!("connection[{index}]"))?;
            let id = plan.ike().connection_named(&connection.name);
            users.extend(id.zip(known));
        }
        let entropy = Box::new(rand_core::UnwrapErr(getrandom::SysRng));
        Ok(Self {
            log: Log::new(file.daemon.log, &plan),
            trust: Trust::of(file)?,
            engine: Gateway::new(plan, entropy),
            clock: Clock::start(),
            poll,
            sockets,
            device,
            signals,
            control,
            keylog,
            users,
            addresses: BTreeMap::new(),
            ready: BTreeSet::new(),
            inbox: Inbox::new(),
            buffers: packets::buffers(),
            end: None,
        })
    }

    /// Runs until a signal, the command `quit`, or a failure of the system.
    ///
    /// # Errors
    /// The system refuses to wait.
    pub fn run(&mut self, file: &File) -> Result<(), DaemonError> {
        self.log.line(self.clock.now(), &format!("serving {:?}", file.daemon.listen));
        for missing in self.sockets.missing() {
            self.log.warning(self.clock.now(), missing);
        }
        for connection in &file.connection {
            if connection.start == Start::Boot {
                drop(self.request(&Request::Initiate(connection.name.clone())));
            }
        }
        let mut events = Events::with_capacity(64);
        loop {
            let now = self.clock.now();
            if self.end.is_some_and(|end| end <= now) {
                return Ok(());
            }
            self.wait(now, &mut events)?;
            let mut turns: BTreeSet<Token> = core::mem::take(&mut self.ready);
            turns.extend(events.iter().map(|event| event.token()));
            for token in turns {
                self.turn(token)?;
            }
            if self.engine.poll_timeout().is_some_and(|at| at <= self.clock.now()) {
                self.engine.handle_timeout(self.clock.now());
                self.perform();
            }
        }
    }

    fn wait(&mut self, now: Instant, events: &mut Events) -> io::Result<()> {
        let next = [self.engine.poll_timeout(), self.end].into_iter().flatten().min();
        let pause = if self.ready.is_empty() {
            // Rounded up: a timer that is called early is called again at once.
            next.map(|at| at.saturating_duration_since(now) + Duration::from_millis(1))
        } else {
            Some(Duration::ZERO)
        };
        match self.poll.poll(events, pause) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }

    fn turn(&mut self, token: Token) -> io::Result<()> {
        match token {
            TUN => self.read_device()?,
            SIGNALS => {
                if self.signals.came() {
                    self.log.line(self.clock.now(), "asked to end");
                    drop(self.request(&Request::Quit));
                }
            }
            Token(CONTROL..) => self.read_control(token),
            Token(number) => self.read_socket(number.saturating_sub(SOCKETS)),
        }
        Ok(())
    }

    /// Drains the engine's actions and performs each.
    pub(super) fn perform(&mut self) {
        let now = self.clock.now();
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Transmit(transmit, header) => self.send(now, transmit.path, header, &[&transmit.payload]),
                // An answer for a sender on this side takes the way of what is delivered to it.
                Action::Deliver(packet, _) | Action::Reply(packet) => self.device.put(&packet),
                Action::KeyLog(line) => {
                    if let Some(Err(error)) = self.keylog.as_mut().map(|keylog| keylog.write(&line)) {
                        self.complain(&error, "key log");
                    }
                }
                Action::VerifyCertificate(question) => self.judge(now, &question),
                Action::VerifyUser(question) => {
                    let refused = UserVerdict::Refuse { message: None };
                    let verdict = self.users.get(&question.connection).map_or(refused, |users| users.verify(&question));
                    // The SA may have ended in the same instant.
                    let _ =
                        self.engine.handle_command(now, Command::ProvideVerdict { ticket: question.ticket, verdict });
                }
                Action::AskUser(question) => {
                    self.log.warning(now, "the gateway asks for more than the configuration says");
                    let answer = Command::ProvideAnswer { ticket: question.ticket, answer: None };
                    let _ = self.engine.handle_command(now, answer);
                }
                Action::Event(event) => {
                    if let gateway::Event::Ike(ikev1_core::Event::Configured { connection, settings, .. }) = &event {
                        self.take_address(now, *connection, settings.address);
                    }
                    self.log.event(now, &event);
                }
                other => self.log.line(now, &format!("not performed: {other:?}")),
            }
        }
        if let Err(error) = self.device.flush() {
            self.complain(&error, "TUN device");
        }
    }

    /// Answers whether a peer's certificates are trusted.
    fn judge(&mut self, now: Instant, question: &VerifyCertificate) {
        let (answer, error) = self.trust.judge(question, Clock::unix_seconds());
        if let Some(error) = error {
            self.log.warning(now, &format!("certificate of {} not trusted: {error}", question.identity));
        }
        // The exchange may have ended in the same instant.
        let _ = self.engine.handle_command(now, answer);
    }

    /// Puts the address that mode-config gave on the device, in place of the one before.
    fn take_address(&mut self, now: Instant, connection: ConnectionId, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        let before = self.addresses.insert(connection, address);
        if before == Some(address) {
            return;
        }
        if let Err(error) = self.device.change_address(before, address) {
            self.complain(&error, "TUN device");
        }
        self.log.line(now, &format!("{address} is on the device"));
    }

    pub(super) fn send(&mut self, now: Instant, path: Path, header: Header, payloads: &[&[u8]]) {
        if let Err(error) = self.sockets.send(path, header, payloads)
            && !is_transient(&error)
        {
            self.log.warning(now, &format!("{path}: {error}"));
        }
    }

    pub(super) fn complain(&self, error: &io::Error, what: &str) {
        if !is_transient(error) {
            self.log.warning(self.clock.now(), &format!("{what}: {error}"));
        }
    }

    fn read_control(&mut self, token: Token) {
        let Some(mut control) = self.control.take() else { return };
        for (client, line) in control.ready(self.poll.registry(), token) {
            let answer = match line.parse::<Request>() {
                Ok(request) => self.request(&request),
                Err(error) => Err(error.to_string()),
            };
            let answer = answer.unwrap_or_else(|error| serde_json::json!({ "error": error }));
            control.answer(self.poll.registry(), client, &answer.to_string());
        }
        self.control = Some(control);
    }

    fn request(&mut self, request: &Request) -> Result<serde_json::Value, String> {
        let now = self.clock.now();
        let commands = match request {
            Request::Status => return Ok(status::of(&self.engine.snapshot(now))),
            Request::Quit => {
                self.end = Some(now + GOODBYE);
                vec![Command::CloseAll]
            }
            Request::Initiate(name) => vec![Command::Initiate { connection: self.connection(name)? }],
            Request::Rekey(which) => {
                self.each(which, now, |id| Command::RekeyIke { ike_sa: id }, |id| Command::RekeyChild { child: id })?
            }
            Request::Delete(which) => {
                self.each(which, now, |id| Command::DeleteIke { ike_sa: id }, |id| Command::DeleteChild { child: id })?
            }
        };
        let count = commands.len();
        for command in commands {
            let taken = self.engine.handle_command(now, command);
            self.perform();
            taken.map_err(|error| error.to_string())?;
        }
        Ok(serde_json::json!({ "done": count }))
    }

    fn connection(&self, name: &str) -> Result<gateway::ConnectionId, String> {
        self.engine.connection_named(name).ok_or_else(|| format!("no connection is called {name}"))
    }

    fn each(
        &self,
        which: &Which,
        now: Instant,
        ike: impl Fn(gateway::IkeSaId) -> Command,
        child: impl Fn(gateway::ChildId) -> Command,
    ) -> Result<Vec<Command>, String> {
        let snapshot = self.engine.snapshot(now);
        let commands: Vec<_> = match which {
            Which::Ike(name) => snapshot.isakmp.iter().filter(|sa| sa.name == *name).map(|sa| ike(sa.ike_sa)).collect(),
            Which::Child(name) => {
                let of = |pair: &&gateway::PairStatus| pair.status.name == *name && !pair.status.superseded;
                snapshot.ipsec.iter().filter(of).map(|pair| child(pair.status.child)).collect()
            }
        };
        if commands.is_empty() { Err("there is no such association".to_owned()) } else { Ok(commands) }
    }
}

/// Returns whether an error only says that there is nothing to read or no room to write just now.
pub(super) fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
