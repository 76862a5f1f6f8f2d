use crate::action::{Action, AllocateSpi, Direction, RemoveReason};
use crate::counters::count;
use crate::defaults;
use crate::error::{DropReason, Failure};
use crate::event::Event;
use crate::flight::{Answered, Request};
use crate::ids::{ChildId, PolicyId, Role, Ticket};
use crate::informational::notify;
use crate::machine::Endpoint;
use crate::machine::phase1::Taken;
use crate::machine::receive::Incoming;
use crate::machine::sa::{Core, Exchange, IkeSa, Phase, Quick, Up, Waiting};
use crate::machine::send::Name;
use crate::machine::timers::TimerKey;
use crate::message::Opened;
use crate::negotiate::Refusals;
use crate::plan::{ConnectionPlan, SpiSource};
use crate::quick::{initiator, responder};
use crate::refused::Refused;
use crate::state_name::StateName;
use crate::transition::{self, Protection};
use alloc::boxed::Box;
use drive::{Instant, Transmit, Verdict};
use ipsec_wire::isakmp::{Body, Payloads};
use ipsec_wire::registry::{ExchangeType, ProtocolId};

/// How many SPIs are drawn before giving up: each is free but by a chance of one in thousands.
const SPI_DRAWS: usize = 16;
/// The lowest SPI that is not reserved, RFC 2406 §2.1.
pub(super) const FIRST_SPI: u32 = 256;

/// The parts of an SA that a quick mode works with.
struct Under<'a> {
    core: &'a mut Core,
    up: &'a mut Up,
}

fn under(sa: &mut IkeSa) -> Option<Under<'_>> {
    match &mut sa.phase {
        Phase::Up(up) => Some(Under { core: &mut sa.core, up }),
        Phase::SaSent(_) | Phase::KeSent(_) | Phase::AuthSent(_) | Phase::SaRecv(_) | Phase::KeRecv(_) => None,
    }
}

impl Endpoint {
    /// Starts a quick mode as initiator: an SPI is found, then message 1 goes out.
    pub(super) fn start_quick(&mut self, now: Instant, sa: &mut IkeSa, waiting: Waiting) {
        if sa.core.exchanges.len() >= defaults::MAX_EXCHANGES_PER_SA {
            count(&mut self.counters.acquire_phase2_start_failed);
            return self.phase2_failed(&sa.core, waiting, Failure::Limit);
        }
        let message_id = self.draw_message_id(&sa.core);
        let ticket = Ticket(self.next_id());
        let Some(Under { core, up }) = under(sa) else { return };
        let exchange = Exchange {
            role: Role::Initiator,
            child: waiting.child,
            policy: waiting.policy,
            replaces: waiting.replaces,
            state: Quick::Starting(ticket),
            iv: up.iv.for_message_id(message_id),
            request: None,
            answered: None,
            began: ticket.0,
        };
        up.negotiations = up.negotiations.saturating_add(1);
        core.exchanges.insert(message_id, exchange);
        self.event(Event::Phase2Started {
            child: waiting.child,
            ike_sa: sa.core.id,
            policy: waiting.policy,
            role: Role::Initiator,
            message_id,
            replaces: waiting.replaces,
        });
        self.find_spi(now, sa, message_id, ticket);
    }

    /// Finds the inbound SPI of an exchange: draws one, or asks the caller.
    fn find_spi(&mut self, now: Instant, sa: &mut IkeSa, message_id: u32, ticket: Ticket) {
        match self.plan.spi_source {
            SpiSource::Endpoint => match self.draw_spi() {
                Some(spi) => self.with_spi(now, sa, message_id, spi),
                None => self.fail_exchange(sa, message_id, Failure::NoSpi),
            },
            SpiSource::Caller => {
                let Some(exchange) = sa.core.exchanges.get(&message_id) else { return };
                self.tickets.insert(ticket, (sa.core.id, message_id));
                self.timers.set(TimerKey::Exchange(sa.core.id, message_id), now + defaults::TICKET_TIMEOUT);
                self.out.action(Action::AllocateSpi(AllocateSpi {
                    ticket,
                    child: exchange.child,
                    connection: sa.core.connection,
                    policy: exchange.policy,
                    protocol: 50,
                    local: sa.core.path.local.ip(),
                    remote: sa.core.path.remote.ip(),
                }));
            }
        }
    }

    fn draw_spi(&mut self) -> Option<u32> {
        (0..SPI_DRAWS).map(|_| self.rng.next_u32()).find(|spi| *spi >= FIRST_SPI && !self.table.inbound_in_use(*spi))
    }

    /// Goes on with an exchange whose inbound SPI is found.
    pub(super) fn with_spi(&mut self, now: Instant, sa: &mut IkeSa, message_id: u32, spi: u32) {
        let Some(exchange) = sa.core.exchanges.remove(&message_id) else { return };
        match exchange.state {
            Quick::Starting(_) => {
                let exchange = Exchange { state: Quick::Done, ..exchange };
                self.quick_1(now, sa, message_id, exchange, spi);
            }
            Quick::SendingHashSaNonce(_, request) => {
                let exchange = Exchange { state: Quick::Done, ..exchange };
                self.quick_2(now, sa, message_id, exchange, *request, spi);
            }
            state @ (Quick::WaitHashSaNonce(_) | Quick::WaitHash(_) | Quick::Done) => {
                sa.core.exchanges.insert(message_id, Exchange { state, ..exchange });
            }
        }
    }

    /// Sends message 1.
    fn quick_1(&mut self, now: Instant, sa: &mut IkeSa, message_id: u32, mut exchange: Exchange, spi: u32) {
        let udp = sa.core.udp();
        let Some(Under { core, up }) = under(sa) else { return };
        let Some(connection) = self.plan.shared(core.connection) else { return };
        let Some(policy) = connection.policy(exchange.policy) else { return };
        let plan = (&*connection, policy);
        let (state, chain) = initiator::WaitHashSaNonce::start(plan, spi, udp, &up.keys, message_id, &mut *self.rng);
        let name = Name::quick(1, message_id);
        let transmit = self.sealed(core.envelope(), name, &chain, &up.keys, &mut exchange.iv);
        exchange.state = Quick::WaitHashSaNonce(Box::new(state));
        self.request_phase2(now, core, &connection, message_id, &mut exchange, transmit);
        core.exchanges.insert(message_id, exchange);
    }

    /// Sends a message of quick mode that waits for its answer.
    fn request_phase2(
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
        self.table.put(sa);
        taken
    }

    fn quick(&mut self, now: Instant, sa: &mut IkeSa, incoming: &Incoming<'_>) -> Taken {
        let message_id = incoming.message_id();
        if sa.up().is_none() {
            // Nothing of phase 2 is looked at before both ends have proven who they are.
            return Err(DropReason::Unexpected);
        }
        let Body::Encrypted(body) = incoming.body else { return Err(DropReason::ClearText) };
        if incoming.path != sa.core.path && !(sa.core.nat.is_nat() && self.is_marked(incoming.path)) {
            return Err(DropReason::WrongSource);
        }
        let Some(mut exchange) = sa.core.exchanges.remove(&message_id) else {
            return self.on_quick_1(now, sa, incoming, body);
        };
        if let Some(answered) = exchange.answered.as_mut().filter(|answered| answered.is_repeat(&incoming.fingerprint))
        {
            let verdict = self.answer_repeat(answered);
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
            state @ (Quick::Starting(_) | Quick::SendingHashSaNonce(..) | Quick::Done) => {
                exchange.state = state;
                sa.core.exchanges.insert(message_id, exchange);
                Err(DropReason::Unexpected)
            }
        }
    }

    /// Decrypts a message of quick mode and holds its payloads against the transition table.
    fn open_quick(
        &mut self,
        up: &Up,
        exchange: &Exchange,
        incoming: &Incoming<'_>,
        body: &[u8],
        state: StateName,
    ) -> Result<(Opened, &'static transition::Row), DropReason> {
        let row = transition::row(ExchangeType::QUICK, exchange.role, state).ok_or(DropReason::Unexpected)?;
        let opened = self.open(incoming, body, &up.keys, &exchange.iv)?;
        let types = opened.payloads()?.iter();
        transition::admit(row, Protection::Encrypted, types.map(|payload| payload.payload_type()))
            .map_err(|_| DropReason::DecryptFailed)?;
        Ok((opened, row))
    }

    fn trace_quick(&mut self, core: &Core, number: u8, incoming: &Incoming<'_>, payloads: &Payloads<'_>) {
        count(&mut self.counters.rx_decrypt_good);
        let name = Name::quick(number, incoming.message_id());
        let from = core.envelope();
        self.trace(Direction::Inbound, from, name, payloads, Protection::Encrypted, incoming.length);
    }

    /// Message 1: the peer wants a pair of SAs.
    fn on_quick_1(&mut self, now: Instant, sa: &mut IkeSa, incoming: &Incoming<'_>, body: &[u8]) -> Taken {
        let message_id = incoming.message_id();
        let udp = sa.core.udp();
        let Some(Under { core, up }) = under(sa) else { return Err(DropReason::Unexpected) };
        if up.finished.contains(message_id) {
            return Err(DropReason::Replay);
        }
        if core.exchanges.len() >= defaults::MAX_EXCHANGES_PER_SA {
            return Err(DropReason::Limit);
        }
        let connection = self.plan.shared(core.connection).ok_or(DropReason::NoConnection)?;
        let ticket = Ticket(self.next_id());
        let mut exchange = Exchange {
            role: Role::Responder,
            child: self.next_child_id(),
            policy: PolicyId(0),
            replaces: None,
            state: Quick::Done,
            iv: up.iv.for_message_id(message_id),
            request: None,
            answered: Some(Answered::new(incoming.fingerprint, None)),
            began: ticket.0,
        };
        let (opened, _) = self.open_quick(up, &exchange, incoming, body, StateName::QuickReceivingMessage)?;
        let payloads = opened.payloads()?;
        let ends = (core.path.local.ip(), core.path.remote.ip());
        let checked = responder::check_request(&connection, ends, udp, &up.keys, message_id, &payloads);
        // A wrong HASH proves nothing, and nothing changes.
        if let Err(why) = &checked
            && why.drop == DropReason::WrongHash
        {
            return Err(why.drop);
        }
        exchange.iv.commit(opened.next_iv());
        up.negotiations = up.negotiations.saturating_add(1);
        self.trace_quick(core, 1, incoming, &payloads);
        let child = exchange.child;
        let policy = checked.as_ref().map_or(PolicyId(0), |request| request.policy);
        self.event(Event::Phase2Started {
            child,
            ike_sa: core.id,
            policy,
            role: Role::Responder,
            message_id,
            replaces: None,
        });
        let request = match checked {
            Ok(request) => request,
            Err(why) => {
                let drop = why.drop;
                self.proved_alive(now, sa, incoming.path);
                self.refuse_quick(now, sa, message_id, exchange, why);
                return Err(drop);
            }
        };
        exchange.policy = request.policy;
        self.event(Event::Phase2Negotiated {
            child,
            chosen: request.transform().protection,
            number: request.choice.agreement.proposal_number,
            passed_over: request.choice.refusals.clone(),
        });
        exchange.state = Quick::SendingHashSaNonce(ticket, Box::new(request));
        core.exchanges.insert(message_id, exchange);
        self.proved_alive(now, sa, incoming.path);
        self.find_spi(now, sa, message_id, ticket);
        Ok(Verdict::Accepted)
    }

    /// Refuses a lawful message of quick mode: a protected notification, which is kept for repeats.
    fn refuse_quick(&mut self, now: Instant, sa: &mut IkeSa, message_id: u32, mut exchange: Exchange, why: Refused) {
        let why = why.into_why();
        let failure = why.failure;
        let Some(connection) = self.plan.shared(sa.core.connection) else { return };
        if let Some(notify_type) = notify::notify_of(&failure) {
            if connection.send_notifies {
                let chain = notify::about_child(notify_type, ProtocolId::ESP, why.spi.unwrap_or(0));
                self.inform_up(sa, &chain);
                let path = sa.core.path;
                self.event(Event::NotifySent { path, notify: notify_type, protected: true });
            } else {
                count(&mut self.counters.info_phase2_notify_off);
            }
        }
        count(&mut self.own.exchanges_failed);
        self.event(Event::Phase2Failed {
            child: exchange.child,
            ike_sa: Some(sa.core.id),
            connection: sa.core.connection,
            policy: Some(exchange.policy),
            role: exchange.role,
            failure,
            refusals: why.refusals,
            asked: why.asked,
        });
        exchange.state = Quick::Done;
        exchange.request = None;
        self.linger(now, sa, &connection, message_id, exchange);
    }

    /// Sends message 2; the inbound half is in force from here on.
    fn quick_2(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        message_id: u32,
        mut exchange: Exchange,
        request: responder::Request,
        spi: u32,
    ) {
        let Some(Under { core, up }) = under(sa) else { return };
        let Some(connection) = self.plan.shared(core.connection) else { return };
        let started = responder::WaitHash::start(request, &connection, spi, &up.keys, message_id, &mut *self.rng);
        let (state, inbound, chain) = match started {
            Ok(started) => started,
            Err(failure) => {
                self.release_spi(core, spi);
                return self.refuse_quick(now, sa, message_id, exchange, Refused::because(failure));
            }
        };
        let name = Name::quick(2, message_id);
        let transmit = self.sealed(core.envelope(), name, &chain, &up.keys, &mut exchange.iv);
        if let Some(answered) = &mut exchange.answered {
            answered.set_reply(transmit.clone());
        }
        let (agreement, outbound_spi) = (state.agreement, state.outbound.spi);
        exchange.state = Quick::WaitHash(Box::new(state));
        self.request_phase2(now, core, &connection, message_id, &mut exchange, transmit);
        let spis = (spi, outbound_spi);
        self.add_child(now, sa, &connection, &mut exchange, &agreement, spis);
        self.install(exchange.child, Direction::Inbound, inbound);
        sa.core.exchanges.insert(message_id, exchange);
    }

    /// Message 2: the responder's choice. Both halves are in force, and message 3 says so.
    fn on_quick_2(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        incoming: &Incoming<'_>,
        body: &[u8],
        mut exchange: Exchange,
        state: Box<initiator::WaitHashSaNonce>,
    ) -> Taken {
        let message_id = incoming.message_id();
        let Some(Under { core, up }) = under(sa) else { return Err(DropReason::Unexpected) };
        let connection = self.plan.shared(core.connection).ok_or(DropReason::NoConnection)?;
        let opened = self.open_quick(up, &exchange, incoming, body, StateName::QuickWaitHashSaNonce);
        let checked = opened.map_err(Refused::from).and_then(|(opened, _)| {
            let payloads = opened.payloads()?;
            let checked = state.check(&up.keys, message_id, &payloads);
            if !matches!(&checked, Err(why) if why.drop == DropReason::WrongHash) {
                self.trace_quick(core, 2, incoming, &payloads);
            }
            Ok((opened.next_iv(), checked?))
        });
        let (next_iv, answer) = match checked {
            Ok(checked) => checked,
            Err(why) if why.is_proven() => {
                let drop = why.drop;
                self.release_spi(core, state.spi());
                self.proved_alive(now, sa, incoming.path);
                exchange.answered = Some(Answered::new(incoming.fingerprint, None));
                self.refuse_quick(now, sa, message_id, exchange, why);
                return Err(drop);
            }
            Err(why) => {
                exchange.state = Quick::WaitHashSaNonce(state);
                core.exchanges.insert(message_id, exchange);
                return Err(why.drop);
            }
        };
        exchange.iv.commit(next_iv);
        self.event(Event::Phase2Negotiated {
            child: exchange.child,
            chosen: answer.agreement.transform.protection,
            number: answer.agreement.number,
            passed_over: Refusals::default(),
        });
        let chain = state.commit(&answer, &up.keys, message_id);
        let name = Name::quick(3, message_id);
        let path = incoming.path;
        let to = crate::machine::sa::Envelope { path, ..core.envelope() };
        let transmit = self.sealed(to, name, &chain, &up.keys, &mut exchange.iv);
        self.send(transmit.clone());
        exchange.answered = Some(Answered::new(incoming.fingerprint, Some(transmit)));
        exchange.request = None;
        self.proved_alive(now, sa, path);
        let spis = (answer.inbound.spi, answer.outbound.spi);
        self.add_child(now, sa, &connection, &mut exchange, &answer.agreement, spis);
        self.install(exchange.child, Direction::Inbound, answer.inbound);
        self.install(exchange.child, Direction::Outbound, answer.outbound);
        self.complete(now, exchange.child);
        self.linger(now, sa, &connection, message_id, exchange);
        Ok(Verdict::Accepted)
    }

    /// Message 3: the initiator is there, and message 1 was no replay. The outbound half is in force.
    fn on_quick_3(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        incoming: &Incoming<'_>,
        body: &[u8],
        mut exchange: Exchange,
        state: Box<responder::WaitHash>,
    ) -> Taken {
        let message_id = incoming.message_id();
        let Some(Under { core, up }) = under(sa) else { return Err(DropReason::Unexpected) };
        let connection = self.plan.shared(core.connection).ok_or(DropReason::NoConnection)?;
        let opened = self.open_quick(up, &exchange, incoming, body, StateName::QuickWaitHash);
        let checked = opened.map_err(Refused::from).and_then(|(opened, _)| {
            let payloads = opened.payloads()?;
            state.check(&payloads)?;
            self.trace_quick(core, 3, incoming, &payloads);
            Ok(opened.next_iv())
        });
        let next_iv = match checked {
            Ok(next_iv) => next_iv,
            Err(why) => {
                exchange.state = Quick::WaitHash(state);
                core.exchanges.insert(message_id, exchange);
                return Err(why.drop);
            }
        };
        exchange.iv.commit(next_iv);
        exchange.answered = Some(Answered::new(incoming.fingerprint, None));
        exchange.request = None;
        self.proved_alive(now, sa, incoming.path);
        self.install(exchange.child, Direction::Outbound, state.outbound);
        self.complete(now, exchange.child);
        self.linger(now, sa, &connection, message_id, exchange);
        Ok(Verdict::Accepted)
    }

    /// Keeps a finished exchange to answer repeats, RFC 2408 §5.1 and the delete delay of routers.
    fn linger(
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
    }

    /// Gives back an SPI that the caller chose and no SA was made of.
    fn release_spi(&mut self, core: &Core, spi: u32) {
        if self.plan.spi_source == SpiSource::Caller {
            self.out.action(Action::ReleaseSpi { spi, local: core.path.local.ip() });
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
        match exchange.state {
            Quick::Done => return None,
            Quick::Starting(ticket) | Quick::SendingHashSaNonce(ticket, _) => {
                self.tickets.remove(&ticket);
            }
            Quick::WaitHashSaNonce(state) => self.release_spi(&sa.core, state.spi()),
            Quick::WaitHash(_) => self.remove_child(exchange.child, RemoveReason::Failed(failure.clone())),
        }
        count(&mut self.own.exchanges_failed);
        self.event(Event::Phase2Failed {
            child: exchange.child,
            ike_sa: Some(sa.core.id),
            connection: sa.core.connection,
            policy: Some(exchange.policy),
            role: exchange.role,
            failure,
            refusals: Refusals::default(),
            asked: None,
        });
        Some(exchange.child)
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
        self.table.put(sa);
    }
}
