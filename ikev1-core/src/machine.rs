//! The machine: one endpoint with all its ISAKMP SAs and what was negotiated under them.

mod aggressive_initiator;
mod aggressive_responder;
mod base_initiator;
mod base_responder;
mod child;
mod commands;
mod companions;
mod connected;
mod extension;
mod first_message;
mod fragments;
mod heartbeat;
mod inform;
mod install;
mod judge;
mod key_log;
mod life;
mod liveness;
mod main_initiator;
mod main_responder;
mod mode_config_client;
mod mode_config_server;
mod new_group;
mod outbox;
mod peers;
mod phase1;
mod phase2;
mod quick_initiator;
mod quick_responder;
mod receive;
mod renewal;
mod retry;
mod sa;
mod send;
mod session;
mod snapshot;
mod table;
mod timers;
mod transaction;
mod xauth_client;
mod xauth_server;

use crate::action::Action;
use crate::command::{Command, Handle};
use crate::counters::{Counters, OwnCounters};
use crate::dh_budget::DhBudget;
use crate::error::{CommandError, DropReason};
use crate::event::Event;
use crate::ids::{ChildId, ConnectionId, IkeSaId, Ticket};
use crate::machine::outbox::Outbox;
use crate::machine::retry::Retrying;
use crate::machine::table::Table;
use crate::machine::timers::TimerKey;
use crate::plan::Plan;
use crate::status::Status;
use crate::transaction::AddressPool;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use drive::{Datagram, Instant, Machine, MonotonicClock, Timers, Verdict};
use ipsec_wire::registry::ProtocolId;
use rand_core::CryptoRng;

pub(crate) use mode_config_server::pool_of;
/// What the caller was asked under a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// An SPI of a protocol, for the quick mode with this message id.
    Spi(u32, ProtocolId),
    /// A verdict on certificates.
    Verdict,
}

/// An IKEv1 endpoint: UDP payloads, ticks and commands in; actions out.
///
/// - Payloads are exactly those of the wire. On the NAT-T port of the plan each message stands
///   behind the non-ESP marker, both ways; ESP and keepalives are the caller's to sort out before.
/// - Answers go to the address and port a message came from, from the address it came to.
/// - The order in which entropy is drawn is fixed: cookie, private exponent, nonce, message id, SPI,
///   jitter, each when it is needed.
pub struct Endpoint {
    plan: Plan,
    rng: Box<dyn CryptoRng + Send>,
    clock: MonotonicClock,
    table: Table,
    timers: Timers<TimerKey>,
    dh_budget: DhBudget,
    tickets: BTreeMap<Ticket, (IkeSaId, Asked)>,
    /// Questions of phase 1.5 that the caller has not answered.
    questions: BTreeMap<Ticket, (IkeSaId, u32)>,
    /// The addresses for clients, in the order of the plan's pools.
    pools: Vec<AddressPool>,
    retries: BTreeMap<ConnectionId, Retrying>,
    out: Outbox,
    counters: Counters,
    own: OwnCounters,
    last_id: u64,
    closed: bool,
}

impl Endpoint {
    /// Returns an endpoint without any SA.
    ///
    /// `rng` must be seeded from the system's entropy; a fixed seed makes a run reproducible, and
    /// its keys known.
    pub fn new(plan: Plan, rng: Box<dyn CryptoRng + Send>) -> Self {
        let pools = plan.pools.iter().map(|pool| AddressPool::new(pool.first, pool.last)).collect();
        Self {
            plan,
            rng,
            clock: MonotonicClock::new(),
            table: Table::default(),
            timers: Timers::new(),
            dh_budget: DhBudget::new(),
            tickets: BTreeMap::new(),
            questions: BTreeMap::new(),
            pools,
            retries: BTreeMap::new(),
            out: Outbox::default(),
            counters: Counters::default(),
            own: OwnCounters::default(),
            last_id: 0,
            closed: false,
        }
    }

    /// Returns the settings.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the counters that routers show.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns the counters that routers do not show.
    pub const fn own_counters(&self) -> &OwnCounters {
        &self.own
    }

    /// Takes in one UDP payload of the ISAKMP or NAT-T port.
    pub fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Verdict<DropReason> {
        let now = self.clock.observe(now);
        let verdict = self.receive(now, datagram);
        if let Verdict::Ignored(reason) = verdict {
            self.counters.dropped(&mut self.own, reason);
        }
        verdict
    }

    /// Lets time pass up to `now`: resends, renews, expires.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock.observe(now);
        self.expire_timers(now);
    }

    /// Takes in one command.
    ///
    /// # Errors
    /// The caller's mistake; the endpoint is unchanged.
    pub fn handle_command(&mut self, now: Instant, command: Command) -> Result<Handle, CommandError> {
        let now = self.clock.observe(now);
        self.command(now, command)
    }

    /// Returns the next action, until there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.next()
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is wanted next; `None` means no timer.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_timer().map(|(at, _)| at)
    }

    /// Returns when the endpoint wants to be called next, and why.
    pub fn next_timer(&self) -> Option<(Instant, &'static str)> {
        self.timers.next().map(|(at, key)| (at, key.reason()))
    }

    /// Returns everything there is to show.
    pub fn status(&self) -> Status {
        self.snapshot()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }

    fn next_child_id(&mut self) -> ChildId {
        ChildId(self.next_id())
    }

    fn event(&mut self, event: Event) {
        self.out.event(&mut self.own, event);
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("ike_sas", &self.table.len()).field("closed", &self.closed).finish()
    }
}

impl Machine for Endpoint {
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
