use crate::action::{Action, AllocateSpi, Direction, RemoveReason};
use crate::counters::count;
use crate::defaults;
use crate::error::{DropReason, Failure};
use crate::event::Event;
use crate::flight::Request;
use crate::ids::{ChildId, Role, Ticket};
use crate::machine::connected::Commit;
use crate::machine::phase1::Taken;
use crate::machine::receive::Incoming;
use crate::machine::sa::{Core, Exchange, IkeSa, Phase, Quick, SpiSearch, Up, Waiting};
use crate::machine::send::Name;
use crate::machine::timers::TimerKey;
use crate::machine::{Asked, Endpoint};
use crate::message::Opened;
use crate::plan::{ConnectionPlan, SpiSource};
use crate::quick::initiator;
use crate::refused::{Refused, Why};
use crate::state_name::StateName;
use crate::transition::{self, Protection};
use alloc::vec::Vec;
use drive::{Instant, Transmit};
use ipsec_wire::isakmp::{Body, Payloads};
use ipsec_wire::registry::{ExchangeType, ProtocolId};

/// How many SPIs are drawn before giving up: each is free but by a chance of one in thousands.
const SPI_DRAWS: usize = 16;
/// The lowest SPI that is not reserved, RFC 2406 §2.1; the lowest CPI that is negotiated, RFC 3173 §3.3.
pub(super) const FIRST_SPI: u32 = 256;
/// The CPIs that are negotiated, RFC 3173 §3.3: those above are for private use.
const CPIS: u32 = 61_440 - FIRST_SPI;

/// The parts of an SA that a quick mode works with.
pub(super) struct Under<'a> {
    pub(super) core: &'a mut Core,
    pub(super) up: &'a mut Up,
}

pub(super) fn under(sa: &mut IkeSa) -> Option<Under<'_>> {
    match &mut sa.phase {
        Phase::Up(up) => Some(Under { core: &mut sa.core, up }),
        Phase::SaSent(_)
        | Phase::KeSent(_)
        | Phase::AuthSent(_)
        | Phase::SaRecv(_)
        | Phase::KeRecv(_)
        | Phase::SaKeSent(_)
        | Phase::SaKeAuthSent(_)
        | Phase::BaseSaSent(_)
        | Phase::BaseKeAuthSent(_)
        | Phase::BaseSaRecv(_)
        | Phase::Judging(..) => None,
    }
}

impl Endpoint {
    /// Starts a quick mode as initiator: SPIs are found, then message 1 goes out.
    pub(super) fn start_quick(&mut self, now: Instant, sa: &mut IkeSa, waiting: Waiting) {
        if sa.core.at_work() >= defaults::MAX_EXCHANGES_PER_SA {
            if sa.core.waiting.len() >= defaults::MAX_WAITING_ACQUIRES {
                count(&mut self.counters.acquire_phase2_start_failed);
                return self.phase2_failed(&sa.core, waiting, Failure::Limit);
            }
            count(&mut self.counters.acquire_queued);
            sa.core.waiting.push(waiting);
            return;
        }
        let client = sa.up().and_then(|up| up.session.address);
        let connection = self.plan.connection(sa.core.connection);
        if connection.is_none_or(|connection| connection.policy_for(waiting.policy, client).is_none()) {
            // The policy is for a client with another address, or with one at all.
            return self.phase2_failed(&sa.core, waiting, Failure::NoAddress);
        }
        let message_id = self.draw_message_id(&sa.core);
        let Some(policy) = self.plan.policy(sa.core.connection, waiting.policy) else { return };
        let wanted = match initiator::wanted(policy, &sa.core.ends()) {
            Ok(wanted) => wanted,
            Err(failure) => {
                count(&mut self.counters.acquire_phase2_start_failed);
                return self.phase2_failed(&sa.core, waiting, failure);
            }
        };
        let commits = policy.commit_bit;
        let search = self.search(&wanted);
        let began = self.next_id();
        let Some(Under { core, up }) = under(sa) else { return };
        let exchange = Exchange {
            role: Role::Initiator,
            child: waiting.child,
            policy: waiting.policy,
            replaces: waiting.replaces,
            state: Quick::Starting(search),
            iv: up.iv.for_message_id(message_id),
            request: None,
            answered: None,
            began,
            commit: Commit { sent: commits, ..Commit::default() },
        };
        core.exchanges.insert(message_id, exchange);
        if let Some(connection) = self.plan.shared(core.connection) {
            self.carries_one_more(now, core, up, &connection);
        }
        self.event(Event::Phase2Started {
            child: waiting.child,
            ike_sa: sa.core.id,
            policy: waiting.policy,
            role: Role::Initiator,
            message_id,
            replaces: waiting.replaces,
        });
        self.find_spis(now, sa, message_id);
    }

    /// Starts the quick modes that waited for a place under their SA.
    pub(super) fn start_waiting(&mut self, now: Instant, sa: &mut IkeSa) {
        while sa.up().is_some() && !sa.core.waiting.is_empty() && sa.core.at_work() < defaults::MAX_EXCHANGES_PER_SA {
            let waiting = sa.core.waiting.remove(0);
            self.start_quick(now, sa, waiting);
        }
    }

    /// Returns the search for an SPI of each of the protocols.
    pub(super) fn search(&mut self, protocols: &[ProtocolId]) -> SpiSearch {
        let open = protocols.iter().map(|protocol| (Ticket(self.next_id()), *protocol)).collect();
        SpiSearch { open, ..SpiSearch::default() }
    }

    /// Finds the inbound SPIs of an exchange: draws them, or asks the caller for each.
    pub(super) fn find_spis(&mut self, now: Instant, sa: &mut IkeSa, message_id: u32) {
        let Some(exchange) = sa.core.exchanges.get_mut(&message_id) else { return };
        let Some(search) = exchange.state.search_mut() else { return };
        match self.plan.spi_source {
            SpiSource::Endpoint => {
                let wanted: Vec<ProtocolId> = search.open.iter().map(|(_, protocol)| *protocol).collect();
                for protocol in wanted {
                    match self.draw_spi(protocol) {
                        Some(spi) => self.with_spi(now, sa, message_id, (protocol, spi)),
                        None => return self.fail_exchange(sa, message_id, Failure::NoSpi),
                    }
                }
            }
            SpiSource::Caller => {
                self.timers.set(TimerKey::Exchange(sa.core.id, message_id), now + defaults::TICKET_TIMEOUT);
                for (ticket, protocol) in &search.open {
                    self.tickets.insert(*ticket, (sa.core.id, Asked::Spi(message_id, *protocol)));
                    self.out.action(Action::AllocateSpi(AllocateSpi {
                        ticket: *ticket,
                        child: exchange.child,
                        connection: sa.core.connection,
                        policy: exchange.policy,
                        protocol: ip_protocol(*protocol),
                        local: sa.core.path.local.ip(),
                        remote: sa.core.path.remote.ip(),
                    }));
                }
            }
        }
    }

    fn draw_spi(&mut self, protocol: ProtocolId) -> Option<u32> {
        let in_range = |drawn: u32| match protocol {
            ProtocolId::IPCOMP => FIRST_SPI + drawn % CPIS,
            _ => drawn,
        };
        (0..SPI_DRAWS)
            .map(|_| in_range(self.rng.next_u32()))
            .find(|spi| *spi >= FIRST_SPI && !self.table.inbound_in_use(protocol, *spi))
    }

    /// Takes one inbound SPI; an exchange goes on when it has all.
    pub(super) fn with_spi(&mut self, now: Instant, sa: &mut IkeSa, message_id: u32, found: (ProtocolId, u32)) {
        let Some(mut exchange) = sa.core.exchanges.remove(&message_id) else { return };
        let Some(search) = exchange.state.search_mut() else {
            sa.core.exchanges.insert(message_id, exchange);
            return;
        };
        search.found.add(found.0, found.1);
        search.open.retain(|(_, protocol)| *protocol != found.0);
        match exchange.state {
            Quick::Starting(search) if search.open.is_empty() => {
                let exchange = Exchange { state: Quick::Done, ..exchange };
                self.quick_1(now, sa, message_id, exchange, search.found);
            }
            Quick::SendingHashSaNonce(search, request) if search.open.is_empty() => {
                let exchange = Exchange { state: Quick::Done, ..exchange };
                self.quick_2(now, sa, message_id, exchange, *request, &search.found);
            }
            state @ (Quick::Starting(_)
            | Quick::SendingHashSaNonce(..)
            | Quick::WaitHashSaNonce(_)
            | Quick::WaitHash(_)
            | Quick::WaitConnected(_)
            | Quick::Done) => {
                sa.core.exchanges.insert(message_id, Exchange { state, ..exchange });
            }
        }
    }

    /// Sends a message of quick mode that waits for its answer.
    pub(super) fn request_phase2(
        &mut self,
        now: Instant,
        core: &Core,
        connection: &ConnectionPlan,
        message_id: u32,
        exchange: &mut Exchange,
        transmit: Transmit,
    ) {
        let mut request = Request::new(transmit.clone(), connection.backoff);
        let gap = request.gap().unwrap_or_default();
        self.timers.set(TimerKey::Exchange(core.id, message_id), now + gap);
        exchange.request = Some(request);
        self.send(transmit);
    }

    /// Takes in a message of quick mode.
    pub(super) fn on_quick(&mut self, now: Instant, incoming: &Incoming<'_>) -> Taken {
        let found = self.table.with_cookies(incoming.cookies);
        let Some(mut sa) = found.and_then(|id| self.table.take(id)) else {
            count(&mut self.counters.rx_phase2_no_sa);
            return Err(DropReason::UnknownCookies);
        };
        let taken = self.quick(now, &mut sa, incoming);
        self.start_waiting(now, &mut sa);
        self.table.put(sa);
        taken
    }

    fn quick(&mut self, now: Instant, sa: &mut IkeSa, incoming: &Incoming<'_>) -> Taken {
        let message_id = incoming.message_id();
        if sa.up().is_none() {
            self.message_3_is_missing(sa, incoming);
            // Nothing of phase 2 is looked at before both ends have proven who they are.
            return Err(DropReason::Unexpected);
        }
        if !sa.is_open() {
            // However authentic: the user has not been proven, or has no address.
            return Err(DropReason::NotOpen);
        }
        let Body::Encrypted(body) = incoming.body else { return Err(DropReason::ClearText) };
        if !self.may_come(&sa.core, incoming.path) {
            return Err(DropReason::WrongSource);
        }
        let Some(mut exchange) = sa.core.exchanges.remove(&message_id) else {
            return self.on_quick_1(now, sa, incoming, body);
        };
        if let Some(answered) = exchange.answered.as_mut().filter(|answered| answered.is_repeat(&incoming.fingerprint))
        {
            let confirmation = exchange.commit.confirmation.clone().filter(|_| answered.would_resend());
            let verdict = self.answer_repeat(answered);
            if let Some(confirmation) = confirmation {
                self.send(confirmation);
            }
            sa.core.exchanges.insert(message_id, exchange);
            return Ok(verdict);
        }
        match exchange.state {
            Quick::WaitHashSaNonce(state) => {
                exchange.state = Quick::Done;
                self.on_quick_2(now, sa, incoming, body, exchange, state)
            }
            Quick::WaitHash(state) => {
                exchange.state = Quick::Done;
                self.on_quick_3(now, sa, incoming, body, exchange, state)
            }
            Quick::WaitConnected(_) => self.on_quick_4(now, sa, incoming, body, exchange),
            state @ (Quick::Starting(_) | Quick::SendingHashSaNonce(..) | Quick::Done) => {
                exchange.state = state;
                sa.core.exchanges.insert(message_id, exchange);
                Err(DropReason::Unexpected)
            }
        }
    }

    /// Decrypts a message of quick mode and holds its payloads against the transition table.
    pub(super) fn open_quick(
        &mut self,
        up: &Up,
        exchange: &Exchange,
        incoming: &Incoming<'_>,
        body: &[u8],
        state: StateName,
    ) -> Result<Opened, DropReason> {
        let row = transition::row(ExchangeType::QUICK, exchange.role, state).ok_or(DropReason::Unexpected)?;
        self.open(incoming, body, (&up.keys, &exchange.iv), row)
    }

    pub(super) fn trace_quick(&mut self, core: &Core, number: u8, incoming: &Incoming<'_>, payloads: &Payloads<'_>) {
        count(&mut self.counters.rx_decrypt_good);
        let name = Name::quick(number, incoming.message_id());
        let from = core.envelope();
        self.trace(Direction::Inbound, from, name, payloads, Protection::Encrypted, incoming.length);
    }

    /// Keeps a finished exchange to answer repeats, RFC 2408 §5.1 and the delete delay of routers.
    pub(super) fn linger(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        connection: &ConnectionPlan,
        message_id: u32,
        exchange: Exchange,
    ) {
        count(&mut self.counters.delete_delay_started);
        self.timers.set(TimerKey::Exchange(sa.core.id, message_id), now + connection.delete_delay);
        sa.core.exchanges.insert(message_id, exchange);
        if sa.core.exchanges.len() > defaults::MAX_EXCHANGES_KEPT
            && let Some(oldest) = sa.core.oldest_done()
        {
            sa.core.exchanges.remove(&oldest);
            self.timers.cancel(&TimerKey::Exchange(sa.core.id, oldest));
            if let Some(up) = sa.up_mut() {
                up.finished.insert(oldest);
            }
        }
    }

    /// Gives back SPIs that the caller chose and no SA was made of.
    pub(super) fn release_spis(&mut self, core: &Core, spis: impl IntoIterator<Item = (ProtocolId, u32)>) {
        if self.plan.spi_source == SpiSource::Caller {
            for (protocol, spi) in spis {
                let protocol = ip_protocol(protocol);
                self.out.action(Action::ReleaseSpi { spi, protocol, local: core.path.local.ip() });
            }
        }
    }

    /// Ends an exchange badly: what it asked for and what it made is taken back.
    pub(super) fn fail_exchange(&mut self, sa: &mut IkeSa, message_id: u32, failure: Failure) {
        if let Some(exchange) = self.drop_exchange(sa, message_id, failure)
            && let Some(up) = sa.up_mut()
        {
            let _: ChildId = exchange;
            up.finished.insert(message_id);
        }
    }

    /// Forgets an exchange, and returns the pair it would have made if it was not finished.
    pub(super) fn drop_exchange(&mut self, sa: &mut IkeSa, message_id: u32, failure: Failure) -> Option<ChildId> {
        let exchange = sa.core.exchanges.remove(&message_id)?;
        self.timers.cancel(&TimerKey::Exchange(sa.core.id, message_id));
        match &exchange.state {
            Quick::Done => return None,
            Quick::Starting(search) | Quick::SendingHashSaNonce(search, _) => {
                for (ticket, _) in &search.open {
                    self.tickets.remove(ticket);
                }
                self.release_spis(&sa.core, search.found.iter());
            }
            Quick::WaitHashSaNonce(state) => self.release_spis(&sa.core, state.spis().iter()),
            Quick::WaitHash(_) | Quick::WaitConnected(_) => {
                self.remove_child(exchange.child, RemoveReason::Failed(failure.clone()));
            }
        }
        self.quick_failed(&sa.core, &exchange, Refused::because(failure).into_why());
        Some(exchange.child)
    }

    /// Counts and tells that a quick mode failed, and tries it again later if the plan says so.
    pub(super) fn quick_failed(&mut self, core: &Core, exchange: &Exchange, why: Why) {
        count(&mut self.own.exchanges_failed);
        if exchange.role == Role::Initiator && exchange.replaces.is_none() {
            self.try_later(core.connection, core::iter::once(exchange.policy), &why.failure);
        }
        self.event(Event::Phase2Failed {
            child: exchange.child,
            ike_sa: Some(core.id),
            connection: core.connection,
            policy: Some(exchange.policy),
            role: exchange.role,
            failure: why.failure,
            refusals: why.refusals,
            asked: why.asked,
        });
    }

    /// Sends the last message of an exchange again, gives up, or forgets a finished one.
    pub(super) fn exchange_due(&mut self, now: Instant, id: crate::ids::IkeSaId, message_id: u32) {
        let Some(mut sa) = self.table.take(id) else { return };
        let Some(exchange) = sa.core.exchanges.get_mut(&message_id) else { return self.table.put(sa) };
        match (&exchange.state, &mut exchange.request) {
            (Quick::Done, _) => {
                sa.core.exchanges.remove(&message_id);
                if let Some(up) = sa.up_mut() {
                    up.finished.insert(message_id);
                }
            }
            (Quick::WaitConnected(_), _) => self.held_due(now, &mut sa, message_id),
            (Quick::WaitHashSaNonce(_) | Quick::WaitHash(_), Some(request)) => match request.gap() {
                Some(gap) => {
                    let (transmit, sendings, left) =
                        (request.transmit().clone(), request.sendings(), request.resends_left());
                    count(&mut self.counters.tx_retry);
                    let exchange = ExchangeType::QUICK;
                    self.event(Event::Resent { ike_sa: id, exchange, message_id, sendings, left });
                    self.send(transmit);
                    self.timers.set(TimerKey::Exchange(id, message_id), now + gap);
                }
                None => {
                    let sendings = request.sendings();
                    let child = exchange.child;
                    count(&mut self.counters.tx_retry_timed_out);
                    // The initiator may believe that the pair is there: it is told that it is not.
                    self.tell_child_end(&sa, child);
                    self.fail_exchange(&mut sa, message_id, Failure::Timeout { sendings, hint: None });
                }
            },
            (
                Quick::Starting(_) | Quick::SendingHashSaNonce(..) | Quick::WaitHashSaNonce(_) | Quick::WaitHash(_),
                _,
            ) => {
                self.fail_exchange(&mut sa, message_id, Failure::NoSpi);
            }
        }
        self.start_waiting(now, &mut sa);
        self.table.put(sa);
    }
}

/// Returns the number that a protocol of a proposal has in the IP header.
const fn ip_protocol(protocol: ProtocolId) -> u8 {
    match protocol {
        ProtocolId::AH => 51,
        ProtocolId::IPCOMP => 108,
        _ => 50,
    }
}
