//! The gateway itself, and how its children are driven: inside its own calls, with a limit.

use crate::acquire::{Lost, Waiting};
use crate::action::{Action, Event, InstallRefusal};
use crate::command::Command;
use crate::counters::{Counters, count};
use crate::defaults;
use crate::demux::{ESP, Ports};
use crate::inbound::{DropReason, InPacket, Inbound};
use crate::plan::Plan;
use crate::route::Routes;
use crate::suite;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use drive::{Datagram, Instant, Machine, MonotonicClock, Path, SecretBytes, Timers, Verdict};
use esp_ah::{OpenKey, Packet, SealKey, SequenceBits};
use ikev1_core::{
    AllocateSpi, ChildId, CommandError, ConnectionId, Encapsulation, Endpoint, Handle, InstallSa, RemoveSa, Role,
    TrafficSelector,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng as _};
use sad::{
    FlowId, InboundKeys, OutboundKeys, OwnerId, SaHandle, SaMode, SaParameters, SaProtocol, Sad, Spi, WindowSize,
};
use spd::TemplateId;

/// A VPN endpoint: exchanges, policies and associations behind one loop.
///
/// Control datagrams, time and commands come in by `handle_datagram`, `handle_timeout` and
/// `handle_command`; clear packets by [`seal_batch`](Self::seal_batch) or
/// [`handle_packet`](Self::handle_packet), ESP by [`open_batch`](Self::open_batch) or
/// `handle_datagram`. After every call drain `poll_action`.
pub struct Gateway {
    pub(crate) ike: Endpoint,
    pub(crate) sad: Sad,
    pub(crate) policies: spd::Database,
    pub(crate) routes: Routes,
    pub(crate) connections: Vec<String>,
    pub(crate) waiting: Waiting<TemplateId>,
    pub(crate) pairs: BTreeMap<ChildId, Pair>,
    pub(crate) ports: Ports,
    pub(crate) counters: Counters,
    pub(crate) clock: MonotonicClock,
    pub(crate) closed: bool,
    /// Renewed pairs that wait to send.
    switches: Timers<ChildId>,
    window: WindowSize,
    entropy: ChaCha20Rng,
    actions: VecDeque<Action>,
}

/// A pair of associations, one per direction, as the exchanges agreed it.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) template: TemplateId,
    pub(crate) policy: spd::PolicyId,
    pub(crate) inbound: Option<SaHandle>,
    pub(crate) outbound: Option<SaHandle>,
    /// What sealed packets travel on.
    pub(crate) path: Path,
    pub(crate) local: TrafficSelector,
    pub(crate) remote: TrafficSelector,
    pub(crate) sent_reported: Option<Instant>,
    pub(crate) seen_reported: Option<Instant>,
}

impl Gateway {
    /// Returns a gateway that has done nothing yet. Draws 32 octets of `entropy` at once, for SPIs.
    pub fn new(plan: Plan, mut entropy: Box<dyn CryptoRng + Send>) -> Self {
        let mut spis = ChaCha20Rng::from_rng(&mut entropy);
        let connections = plan.ike.connections().map(|(_, connection)| connection.name().into()).collect();
        let ports = Ports { ike: plan.ike.ike_port(), nat_t: plan.ike.nat_t_port() };
        Self {
            sad: Sad::new(sad::SadSettings::default(), &mut spis),
            ike: Endpoint::new(plan.ike, entropy),
            policies: plan.policies,
            routes: plan.routes,
            connections,
            waiting: Waiting::new(plan.waiting),
            pairs: BTreeMap::new(),
            ports,
            counters: Counters::default(),
            clock: MonotonicClock::new(),
            closed: false,
            switches: Timers::new(),
            window: plan.replay_window,
            entropy: spis,
            actions: VecDeque::new(),
        }
    }

    /// Takes in one datagram of any kind; a copying form of [`open_batch`](Self::open_batch) for ESP.
    pub fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Verdict<DropReason> {
        let now = self.clock.observe(now);
        let verdict = match self.sort(datagram) {
            Inbound::Control => match self.ike.handle_datagram(now, datagram) {
                Verdict::Accepted => Verdict::Accepted,
                Verdict::Duplicate => Verdict::Duplicate,
                Verdict::Ignored(reason) => Verdict::Ignored(reason.into()),
            },
            Inbound::Dropped(reason) => Verdict::Ignored(reason),
            Inbound::Unprocessed | Inbound::Deliver { .. } => self.open_copy(now, datagram),
        };
        self.drain(now);
        verdict
    }

    fn open_copy(&mut self, now: Instant, datagram: Datagram<'_>) -> Verdict<DropReason> {
        let mut buffer = datagram.payload.to_vec();
        let mut item = InPacket::new(datagram.path, Packet::whole(&mut buffer));
        self.open_lot(now, core::slice::from_mut(&mut item));
        let (outcome, range) = (item.outcome, item.packet.range());
        match outcome {
            Inbound::Deliver { .. } => {
                self.push(Action::Deliver(Bytes::from(buffer).slice(range)));
                Verdict::Accepted
            }
            Inbound::Dropped(reason) => Verdict::Ignored(reason),
            Inbound::Control | Inbound::Unprocessed => Verdict::Ignored(DropReason::NotOurs),
        }
    }

    /// Lets time pass up to `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock.observe(now);
        self.ike.handle_timeout(now);
        self.sad.handle_timeout(now);
        while let Some(child) = self.switches.pop_due(now) {
            self.switch(child);
        }
        self.drain(now);
    }

    /// Takes in one command.
    ///
    /// # Errors
    /// The caller's mistake; the gateway is unchanged.
    pub fn handle_command(&mut self, now: Instant, command: Command) -> Result<Handle, CommandError> {
        let now = self.clock.observe(now);
        let taken = self.ike.handle_command(now, command.into())?;
        if command == Command::CloseAll {
            self.closed = true;
        }
        self.drain(now);
        Ok(taken)
    }

    /// Returns the next action, until there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is wanted next; `None` means no timer.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_timer().map(|(at, _)| at)
    }

    /// Returns when the gateway wants to be called next, and why, for logs.
    pub fn next_timer(&self) -> Option<(Instant, &'static str)> {
        let switch = self.switches.next().map(|(at, _)| (at, "switch to a renewed pair"));
        let timers = [self.ike.next_timer(), self.sad.next_timer(), switch];
        timers.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Returns the connection of that name in the configuration.
    pub fn connection_named(&self, name: &str) -> Option<ConnectionId> {
        let index = self.connections.iter().position(|known| known == name)?;
        u32::try_from(index).ok().map(ConnectionId)
    }

    pub(crate) fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(crate) fn news(&mut self, event: Event) {
        if self.actions.len() >= defaults::MAX_ACTIONS {
            count(&mut self.counters.events_dropped);
            return;
        }
        self.push(Action::Event(event));
    }

    /// Performs what exchanges and associations ask for, until they are silent or the limit is reached;
    /// what is left then is performed by the next call.
    pub(crate) fn drain(&mut self, now: Instant) {
        for _ in 0..defaults::MAX_ACTIONS_PER_CALL {
            if let Some(action) = self.ike.poll_action() {
                self.perform(now, action);
            } else if let Some(action) = self.sad.poll_action() {
                self.perform_sad(now, action);
            } else {
                return;
            }
        }
    }

    fn perform(&mut self, now: Instant, action: ikev1_core::Action) {
        use ikev1_core::Action as Ike;
        match action {
            Ike::Transmit(transmit) => self.push(Action::Transmit(transmit)),
            Ike::AllocateSpi(question) => self.allocate(now, &question),
            Ike::ReleaseSpi { spi, local } => {
                if let Some(larval) = self.sad.find(spi, local, SaProtocol::Esp) {
                    // It may have run out of time in the meantime, which comes to the same.
                    let _ = self.sad.remove(larval);
                }
            }
            Ike::InstallSa(install) => {
                let child = install.child;
                if let Err(reason) = self.install(now, *install) {
                    self.news(Event::InstallRefused { child, reason });
                    let _ = self.ike.handle_command(now, ikev1_core::Command::DeleteChild { child });
                }
            }
            Ike::RemoveSa(removal) => self.remove(&removal),
            Ike::UpdatePath { child, path } => self.move_pair(child, path),
            Ike::KeyLog(line) => self.push(Action::KeyLog(line)),
            Ike::Event(event) => {
                self.learn(now, &event);
                self.news(Event::Ike(event));
            }
            _ => {}
        }
    }

    fn perform_sad(&mut self, now: Instant, action: sad::Action) {
        let command = if let sad::Action::SoftExpired { flow, .. } = action {
            ikev1_core::Command::RekeyChild { child: ChildId(flow.0) }
        } else if let sad::Action::HardExpired { flow, .. } = action {
            ikev1_core::Command::DeleteChild { child: ChildId(flow.0) }
        } else {
            if let sad::Action::FirstUse { flow, .. } = action {
                let child = ChildId(flow.0);
                if self.switches.cancel(&child).is_some() {
                    self.switch(child);
                }
            }
            return;
        };
        // The exchanges may have ended the pair in the same instant.
        let _ = self.ike.handle_command(now, command);
    }

    fn allocate(&mut self, now: Instant, question: &AllocateSpi) {
        let owner = OwnerId(question.child.0);
        let ours = question.protocol == ESP;
        let allocated = ours
            .then(|| self.sad.allocate_spi(now, SaProtocol::Esp, question.local, owner, &mut self.entropy).ok())
            .flatten();
        let spi = allocated.map(|(_, spi)| spi.get());
        let answer = ikev1_core::Command::ProvideSpi { ticket: question.ticket, spi };
        if let (Err(_), Some((larval, _))) = (self.ike.handle_command(now, answer), allocated) {
            let _ = self.sad.remove(larval);
        }
    }

    fn install(&mut self, now: Instant, install: InstallSa) -> Result<(), InstallRefusal> {
        let template = self.routes.template(install.connection, install.policy).ok_or(InstallRefusal::UnknownPolicy)?;
        let policy = self.routes.of(template).map(|route| route.spd).ok_or(InstallRefusal::UnknownPolicy)?;
        let suite = suite::of(install.suite).ok_or(InstallRefusal::Suite)?;
        if install.mode != ikev1_core::proposal::Mode::Tunnel {
            return Err(InstallRefusal::Mode);
        }
        let mut keymat = Vec::with_capacity(suite.keymat_len());
        keymat.extend_from_slice(install.encryption_key.expose());
        keymat.extend_from_slice(install.integrity_key.expose());
        let keymat = SecretBytes::new(keymat);
        let path = match install.encapsulation {
            Encapsulation::Native => Path::ip(ESP, install.local, install.remote),
            Encapsulation::Udp(path) => path,
        };
        let parameters = SaParameters {
            mode: SaMode::Tunnel,
            path,
            flow: FlowId(install.child.0),
            owner: OwnerId(install.ike_sa.0),
            lifetime: lifetime(&install.lifetimes),
        };
        let pair = self.pairs.entry(install.child).or_insert(Pair {
            template,
            policy,
            inbound: None,
            outbound: None,
            path,
            local: install.local_selector,
            remote: install.remote_selector,
            sent_reported: None,
            seen_reported: None,
        });
        match install.direction {
            ikev1_core::Direction::Inbound => {
                let keys = OpenKey::new(suite, SequenceBits::Bits32, keymat.expose())?;
                let larval = self.sad.find(install.spi, install.local, SaProtocol::Esp);
                let larval = larval.ok_or(InstallRefusal::SpiGone)?;
                let source = sad::SourceCheck::Any;
                self.sad.install_inbound(now, larval, &parameters, self.window, source, InboundKeys::Esp(keys))?;
                pair.inbound = Some(larval);
            }
            ikev1_core::Direction::Outbound => {
                let keys = SealKey::new(suite, SequenceBits::Bits32, keymat.expose())?;
                let spi = Spi::new(install.spi).ok_or(InstallRefusal::ReservedSpi)?;
                let keys = OutboundKeys::Esp(keys);
                pair.outbound = Some(self.sad.install_outbound(now, spi, &parameters, keys, pair.inbound)?);
                let behind = install.replaces.filter(|_| install.role == Role::Initiator);
                let (local, remote) = (install.local_selector, install.remote_selector);
                self.routes.attach(template, install.child, local, remote, behind);
                if behind.is_some() {
                    self.switches.set(install.child, now + defaults::SWITCH_DELAY);
                }
                self.count_policy(policy, |counters| &mut counters.setup_done);
                for packet in self.waiting.release(template) {
                    // What still finds no association waits again, or is counted as dropped.
                    let _ = self.seal_copy(now, &packet);
                }
            }
        }
        Ok(())
    }

    fn remove(&mut self, removal: &RemoveSa) {
        let Some(pair) = self.pairs.remove(&removal.child) else { return };
        self.routes.detach(pair.template, removal.child);
        self.switches.cancel(&removal.child);
        for association in [pair.inbound, pair.outbound].into_iter().flatten() {
            // It may be dead and gone already, which comes to the same.
            let _ = self.sad.remove(association);
        }
    }

    /// Lets a renewed pair send: the peer has shown that it has its keys, or has had time enough.
    fn switch(&mut self, child: ChildId) {
        if let Some(template) = self.pairs.get(&child).map(|pair| pair.template) {
            self.routes.promote(template, child);
        }
    }

    fn move_pair(&mut self, child: ChildId, path: Path) {
        let Some(pair) = self.pairs.get_mut(&child) else { return };
        pair.path = path;
        for association in [pair.inbound, pair.outbound].into_iter().flatten() {
            let _ = self.sad.set_path(association, path);
        }
    }

    /// Learns from news of the exchanges which negotiations came to nothing.
    fn learn(&mut self, now: Instant, event: &ikev1_core::Event) {
        use ikev1_core::Event as Ike;
        let (connection, policy) =
            if let Ike::Phase1Failed { connection: Some(connection), role: Role::Initiator, .. } = event {
                (*connection, None)
            } else if let Ike::Phase2Failed { connection, policy, role: Role::Initiator, .. } = event {
                (*connection, *policy)
            } else if let Ike::PeerDead { connection, .. } = event {
                (*connection, None)
            } else {
                return;
            };
        for template in self.routes.templates(connection, policy) {
            self.acquire_failed(now, template);
        }
    }

    pub(crate) fn acquire_failed(&mut self, now: Instant, template: TemplateId) {
        let packets = self.waiting.fail(now, template);
        self.counters.waiting_dropped = self.counters.waiting_dropped.saturating_add(packets);
        let names = self.routes.of(template).map(|route| (route.connection, route.policy, route.spd));
        if let (Some((connection, policy, spd)), 1..) = (names, packets) {
            self.count_policy(spd, |counters| &mut counters.setup_failed);
            self.news(Event::WaitingLost { connection, policy, packets, reason: Lost::NegotiationFailed });
        }
    }
}

/// The limits in octets; those in time are kept by the exchanges, which renew and remove.
fn lifetime(lifetimes: &ikev1_core::Lifetimes) -> sad::Lifetime {
    let octets = |kilobytes: Option<u64>| kilobytes.map(|kilobytes| kilobytes.saturating_mul(1_024));
    let limits = |kilobytes| sad::Limits { octets: octets(kilobytes), ..sad::Limits::NONE };
    sad::Lifetime { soft: limits(lifetimes.soft_kilobytes), hard: limits(lifetimes.hard_kilobytes) }
}

impl Machine for Gateway {
    type Command = Command;
    type Handle = Handle;
    type CommandError = CommandError;
    type DropReason = DropReason;
    type Action = Action;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Verdict<DropReason> {
        Self::handle_datagram(self, now, datagram)
    }

    fn handle_timeout(&mut self, now: Instant) {
        Self::handle_timeout(self, now);
    }

    fn handle_command(&mut self, now: Instant, command: Command) -> Result<Handle, CommandError> {
        Self::handle_command(self, now, command)
    }

    fn poll_action(&mut self) -> Option<Action> {
        Self::poll_action(self)
    }

    fn next_timer(&self) -> Option<(Instant, &'static str)> {
        Self::next_timer(self)
    }
}
