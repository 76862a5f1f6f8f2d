//! The gateway itself, and how its children are driven: inside its own calls, with a limit.

use crate::acquire::{Lost, Waiting};
use crate::action::{Action, Event};
use crate::algorithms::Algorithms;
use crate::command::Command;
use crate::compression::CompressionCounters;
use crate::contest::Peers;
use crate::counters::{Counters, count};
use crate::defaults;
use crate::demux::Ports;
use crate::fragments::RefusedFragments;
use crate::header::Header;
use crate::inbound::{DropReason, InPacket, Inbound};
use crate::lent_ports::LentPorts;
use crate::outbound::ROOM;
use crate::pair::Pair;
use crate::path_mtu::Budget;
use crate::plan::Plan;
use crate::route::Routes;
use crate::session::Sessions;
use crate::setup::Setups;
use crate::shared::Flows;
use crate::udp_tunnel::Tunnel;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::IpAddr;
use drive::{Datagram, Instant, Machine, MonotonicClock, Timers, Verdict};
use esp_ah::ipcomp::{Deflater, Inflater, MAX_INFLATED};
use esp_ah::{Packet, Provider};
use ikev1_core::{ChildId, CommandError, ConnectionId, Endpoint, Handle, Role};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng as _};
use sad::{Sad, WindowSize};
use spd::{FragmentTracker, TemplateId};

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
    pub(crate) setups: Setups,
    /// Pairs whose set-up is under way, each with its policy.
    pub(crate) making: BTreeMap<ChildId, Option<spd::PolicyId>>,
    pub(crate) sessions: Sessions,
    pub(crate) peers: Peers,
    /// Whether the newest peer takes traffic over from another.
    pub(crate) take_over: bool,
    /// Which session uses what, where peers look alike.
    pub(crate) flows: Flows,
    /// The ports lent to peers that use the same as others.
    pub(crate) lent_ports: LentPorts,
    /// What first fragments showed.
    pub(crate) fragments: FragmentTracker,
    pub(crate) refused_fragments: RefusedFragments,
    /// What the compression of pairs that are gone did.
    pub(crate) compression: CompressionCounters,
    /// What the algorithms of pairs that are gone did.
    pub(crate) algorithms: Algorithms,
    pub(crate) clock: MonotonicClock,
    pub(crate) closed: bool,
    /// Renewed pairs that wait to send.
    pub(crate) switches: Timers<ChildId>,
    pub(crate) window: WindowSize,
    /// Who does the cryptography of ESP, as far as it goes.
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) entropy: ChaCha20Rng,
    /// Made when the first pair with compression is installed: it is large.
    pub(crate) deflater: Option<Deflater>,
    /// Made when the first compressed packet arrives: it is large.
    pub(crate) inflater: Option<Inflater>,
    /// By which SPI and address each pair's packets are known to routers on their way.
    pub(crate) outbound_spis: BTreeMap<(u32, IpAddr), ChildId>,
    /// The MTU that every path is held to.
    pub(crate) path_mtu: Option<usize>,
    /// ESP in UDP on port 2746.
    pub(crate) tunnel: Tunnel,
    pub(crate) reports: Budget,
    pub(crate) replies: Budget,
    /// The identification of the last header that was written here.
    pub(crate) identification: u16,
    actions: VecDeque<Action>,
}

impl Gateway {
    /// Returns a gateway that has done nothing yet. Draws 32 octets of `entropy` at once, for SPIs.
    pub fn new(plan: Plan, mut entropy: Box<dyn CryptoRng + Send>) -> Self {
        let mut spis = ChaCha20Rng::from_rng(&mut entropy);
        let connections = plan.ike.connections().map(|(_, connection)| connection.name().into()).collect();
        let mut setups = Setups::default();
        setups.count_specifications(&plan.ike);
        let shared = plan.ike.esp_on_ike_port();
        let ports =
            Ports { ike: plan.ike.ike_port(), nat_t: plan.ike.nat_t_port(), shared, tunnel: plan.udp_tunnel_port() };
        let mut gateway = Self {
            sad: Sad::new(sad::SadSettings::default(), &mut spis),
            ike: Endpoint::new(plan.ike, entropy),
            policies: plan.policies,
            routes: plan.routes,
            connections,
            waiting: Waiting::new(plan.waiting),
            pairs: BTreeMap::new(),
            ports,
            counters: Counters::default(),
            setups,
            making: BTreeMap::new(),
            sessions: Sessions::default(),
            peers: Peers::default(),
            take_over: plan.take_over,
            flows: Flows::default(),
            lent_ports: LentPorts::default(),
            fragments: FragmentTracker::default(),
            refused_fragments: RefusedFragments::default(),
            compression: CompressionCounters::default(),
            algorithms: Algorithms::default(),
            clock: MonotonicClock::new(),
            closed: false,
            switches: Timers::new(),
            window: plan.replay_window,
            provider: plan.provider,
            entropy: spis,
            deflater: None,
            inflater: None,
            outbound_spis: BTreeMap::new(),
            path_mtu: plan.path_mtu,
            tunnel: Tunnel::new(plan.tunnel),
            reports: Budget::default(),
            replies: Budget::default(),
            identification: 0,
            actions: VecDeque::new(),
        };
        gateway.install_manual(plan.manual);
        gateway
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
        count(&mut self.counters.in_copies);
        let mut buffer = vec![0; ROOM];
        buffer.extend_from_slice(datagram.payload);
        let end = buffer.len();
        if self.deflater.is_some() {
            buffer.resize(end.saturating_add(MAX_INFLATED), 0);
        }
        let Some(packet) = Packet::new(&mut buffer, ROOM..end) else { return Verdict::Ignored(DropReason::Inner) };
        let mut item = InPacket::new(datagram.path, packet);
        self.open_lot(now, core::slice::from_mut(&mut item));
        let (outcome, range) = (item.outcome, item.packet.range());
        match outcome {
            Inbound::Deliver { child } => {
                self.push(Action::Deliver(Bytes::from(buffer).slice(range), child));
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
        self.fragments.handle_timeout(now);
        while let Some(child) = self.switches.pop_due(now) {
            self.switch(child);
        }
        self.send_heartbeats(now);
        self.drain(now);
    }

    /// Takes in one command.
    ///
    /// # Errors
    /// The caller's mistake; the gateway is unchanged.
    pub fn handle_command(&mut self, now: Instant, command: Command) -> Result<Handle, CommandError> {
        let now = self.clock.observe(now);
        let closes = matches!(command, Command::CloseAll);
        let taken = self.ike.handle_command(now, command.into())?;
        if closes {
            self.closed = true;
            self.tunnel.close();
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
        let timers = [self.ike.next_timer(), self.sad.next_timer(), switch, self.tunnel.next()];
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
            Ike::Transmit(transmit) => self.push(Action::Transmit(transmit, Header::PLAIN)),
            Ike::AllocateSpi(question) => self.allocate(now, &question),
            Ike::ReleaseSpi { spi, protocol, local } => self.release(spi, protocol, local),
            Ike::InstallSa(install) => {
                let child = install.child;
                if let Err(reason) = self.install(now, &install) {
                    self.count_refused(&install, reason);
                    self.news(Event::InstallRefused { child, reason });
                    let _ = self.ike.handle_command(now, ikev1_core::Command::DeleteChild { child });
                }
            }
            Ike::RemoveSa(removal) => self.remove(now, removal),
            Ike::UpdatePath { child, path } => self.move_pair(child, path),
            Ike::VerifyCertificate(question) => self.push(Action::VerifyCertificate(question)),
            Ike::KeyLog(line) => self.push(Action::KeyLog(line)),
            Ike::VerifyUser(question) => self.push(Action::VerifyUser(question)),
            Ike::AskUser(question) => self.push(Action::AskUser(question)),
            Ike::AllocateAddress(question) => self.push(Action::AllocateAddress(question)),
            Ike::ReleaseAddress { connection, address } => {
                self.push(Action::ReleaseAddress { connection, address });
            }
            Ike::Event(event) => {
                self.peers.learn(&event);
                self.learn(now, &event);
                self.news(Event::Ike(event));
            }
            _ => {}
        }
    }

    fn perform_sad(&mut self, now: Instant, action: sad::Action) {
        self.count_expiry(&action);
        let command = if let sad::Action::SoftExpired { flow, .. } = action {
            ikev1_core::Command::RekeyChild { child: ChildId(flow.0) }
        } else if let sad::Action::HardExpired { flow, .. } = action {
            ikev1_core::Command::DeleteChild { child: ChildId(flow.0) }
        } else {
            if let sad::Action::FirstUse { flow, .. } = action {
                let child = ChildId(flow.0);
                if self.switches.cancel(&child).is_some() {
                    if let Some(policy) = self.pairs.get(&child).map(|pair| pair.policy) {
                        self.count_policy(policy, |counters| &mut counters.in_bundle_replaced);
                    }
                    self.switch(child);
                }
            }
            return;
        };
        // The exchanges may have ended the pair in the same instant.
        let _ = self.ike.handle_command(now, command);
    }

    /// Learns from news of the exchanges which negotiations came to nothing.
    fn learn(&mut self, now: Instant, event: &ikev1_core::Event) {
        use ikev1_core::Event as Ike;
        let (connection, policy) =
            if let Ike::Phase1Failed { connection: Some(connection), role: Role::Initiator, .. } = event {
                (*connection, None)
            } else if let Ike::Phase2Failed { child, connection, policy, role, .. } = event {
                self.count_unmade(*child);
                if *role != Role::Initiator {
                    return;
                }
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
        let names = self.routes.of(template).and_then(|route| Some((route.negotiation?, route.spd)));
        if let (Some(((connection, policy), spd)), 1..) = (names, packets) {
            self.count_policy(spd, |counters| &mut counters.out_setup_bundle_fail);
            self.news(Event::WaitingLost { connection, policy, packets, reason: Lost::NegotiationFailed });
        }
    }
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
