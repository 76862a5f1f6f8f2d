//! The loop: wait, one call into the engine, drain its actions, perform them, sleep until its next timer.

use super::clock::Clock;
use super::control::{Control, Request, Which};
use super::datagrams::{Arrived, Inbox};
use super::file::{File, FileError, Start};
use super::keylog::KeyLog;
use super::log::Log;
use super::signals::Signals;
use super::sockets::{PLAIN, Received, Sockets};
use super::status;
use super::trust::Trust;
use super::tun::{CUTS, Device};
use core::net::IpAddr;
use core::time::Duration;
use drive::{Datagram, Instant, Path, Verdict};
use gateway::{Action, Command, ConnectionId, Gateway, Header, InPacket, Inbound, OutPacket, Outbound, Packet, Plan};
use ikev1_core::{UserVerdict, Users, VerifyCertificate};
use mio::{Events, Poll, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Packets that are sealed or opened in one call.
const BATCH: usize = CUTS;
/// Batches read from one source before the others get their turn.
const ROUNDS: usize = 4;
/// Octets before a clear packet: ESP header and IV go there.
const HEADROOM: usize = 128;
/// Octets after a clear packet: padding and ICV go there.
const TAILROOM: usize = 128;
/// Octets before a received datagram: the IP header of what comes out of transport mode goes there.
const _: () = assert!(HEADROOM >= gateway::ROOM);
/// The longest datagram or packet.
const LONGEST: usize = 65_535;
/// How long peers are given to hear of the end: the deletes are sent at once, this only drains them.
const GOODBYE: Duration = Duration::from_millis(200);

const TUN: Token = Token(0);
const SIGNALS: Token = Token(1);
const SOCKETS: usize = 16;
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
    engine: Gateway,
    trust: Trust,
    clock: Clock,
    log: Log,
    poll: Poll,
    sockets: Sockets,
    device: Device,
    signals: Signals,
    control: Option<Control>,
    keylog: Option<KeyLog>,
    /// Who may connect, by connection.
    users: BTreeMap<ConnectionId, Users>,
    /// The addresses that mode-config gave to this end, as they are on the device.
    addresses: BTreeMap<ConnectionId, IpAddr>,
    /// Sources that may hold more than was read: the poll reports each arrival only once.
    ready: BTreeSet<Token>,
    inbox: Inbox,
    buffers: Vec<Vec<u8>>,
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
        let mut sockets = Sockets::open(&file.daemon)?;
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
            buffers: (0..BATCH).map(|_| vec![0; HEADROOM + LONGEST + TAILROOM]).collect(),
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

    fn read_device(&mut self) -> io::Result<()> {
        let mut buffers = core::mem::take(&mut self.buffers);
        let mut dry = false;
        let mut lengths = [0; BATCH];
        for _ in 0..ROUNDS {
            let read = match self.device.receive(&mut buffers, &mut lengths, HEADROOM) {
                Ok(read) => read,
                Err(error) if is_transient(&error) => {
                    dry = error.kind() == io::ErrorKind::WouldBlock;
                    break;
                }
                // The device is gone, says the system; else one read could not be cut, and more may follow.
                Err(error) if error.raw_os_error().is_some() => return Err(error),
                Err(error) => {
                    self.complain(&error, "TUN device");
                    continue;
                }
            };
            self.seal(&mut buffers, lengths.get(..read).unwrap_or_default());
        }
        if !dry {
            self.ready.insert(TUN);
        }
        self.buffers = buffers;
        Ok(())
    }

    fn seal(&mut self, buffers: &mut [Vec<u8>], lengths: &[usize]) {
        let now = self.clock.now();
        let mut batch: Vec<OutPacket<'_>> = buffers
            .iter_mut()
            .zip(lengths)
            .filter_map(|(buffer, length)| Packet::new(buffer, HEADROOM..HEADROOM + length))
            .map(OutPacket::new)
            .collect();
        self.engine.seal_batch(now, &mut batch);
        let mut run: Vec<&[u8]> = Vec::with_capacity(batch.len());
        let mut towards = None;
        for sealed in &batch {
            let Outbound::Send(path) = sealed.outcome else { continue };
            if let Some((path, header)) = towards.replace((path, sealed.header)).filter(|old| Some(*old) != towards) {
                self.send(now, path, header, &run);
                run.clear();
            }
            run.push(sealed.packet.octets());
        }
        if let Some((path, header)) = towards {
            self.send(now, path, header, &run);
        }
        self.perform();
    }

    fn read_socket(&mut self, index: usize) {
        let mut inbox = core::mem::take(&mut self.inbox);
        let mut more = true;
        for _ in 0..ROUNDS {
            match self.sockets.receive(index, &mut inbox) {
                Ok(rest) => more = rest,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => more = false,
                // It concerns one datagram, and more may follow.
                Err(error) => self.complain(&error, "socket"),
            }
            self.take_in(index, &inbox);
            if !more {
                break;
            }
        }
        if more {
            self.ready.insert(Token(SOCKETS + index));
        }
        self.inbox = inbox;
    }

    fn take_in(&mut self, index: usize, inbox: &Inbox) {
        let now = self.clock.now();
        let mut buffers = core::mem::take(&mut self.buffers);
        let mut arrived = inbox.datagrams().peekable();
        while arrived.peek().is_some() {
            let mut batch: Vec<InPacket<'_>> = Vec::with_capacity(BATCH);
            for (buffer, arrived) in buffers.iter_mut().zip(&mut arrived) {
                batch.extend(self.place(now, index, &arrived, buffer));
            }
            self.unseal(now, &mut batch);
        }
        drop(arrived);
        self.buffers = buffers;
    }

    /// Puts what is for the associations or the exchanges into a buffer with room around it.
    fn place<'b>(
        &mut self,
        now: Instant,
        index: usize,
        arrived: &Arrived<'_>,
        buffer: &'b mut [u8],
    ) -> Option<InPacket<'b>> {
        match self.sockets.read(index, arrived)? {
            Received::Datagram { path, payload, traffic_class } => {
                let range = HEADROOM..HEADROOM + payload.len();
                buffer.get_mut(range.clone())?.copy_from_slice(payload);
                let packet = InPacket::new(path, Packet::new(buffer, range)?);
                Some(InPacket { traffic_class, ..packet })
            }
            Received::Report { v6, message } => {
                // Most are not about us; those that are become news.
                let _ = self.engine.handle_icmp(now, v6, message);
                None
            }
        }
    }

    fn unseal(&mut self, now: Instant, batch: &mut [InPacket<'_>]) {
        self.engine.open_batch(now, batch);
        for opened in batch {
            match opened.outcome {
                Inbound::Deliver { .. } => self.device.put(opened.packet.octets()),
                Inbound::Control => {
                    let datagram = Datagram { path: opened.path, payload: opened.packet.octets() };
                    if let Verdict::Ignored(reason) = self.engine.handle_datagram(now, datagram) {
                        self.log.dropped(now, opened.path, &reason);
                    }
                    self.perform();
                }
                Inbound::Dropped(reason) => self.log.dropped(now, opened.path, &reason),
                Inbound::Unprocessed => {}
            }
        }
        self.perform();
    }

    /// Drains the engine's actions and performs each.
    fn perform(&mut self) {
        let now = self.clock.now();
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Transmit(transmit) => self.send(now, transmit.path, PLAIN, &[&transmit.payload]),
                // An answer for a sender on this side takes the way of what is delivered to it.
                Action::Deliver(packet) | Action::Reply(packet) => self.device.put(&packet),
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

    fn send(&mut self, now: Instant, path: Path, header: Header, payloads: &[&[u8]]) {
        if let Err(error) = self.sockets.send(path, header, payloads)
            && !is_transient(&error)
        {
            self.log.warning(now, &format!("{path}: {error}"));
        }
    }

    fn complain(&self, error: &io::Error, what: &str) {
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
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
