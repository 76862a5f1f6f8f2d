use crate::action::{Action, AllocateSpi, Direction, RemoveReason};
use crate::counters::count;
use crate::defaults;
use crate::error::{DropReason, Failure};
use crate::event::Event;
use crate::flight::Request;
use crate::ids::{ChildId, Role, Ticket};
use crate::machine::Endpoint;
use crate::machine::phase1::Taken;
use crate::machine::receive::Incoming;
use crate::machine::sa::{Core, Exchange, IkeSa, Phase, Quick, Up, Waiting};
use crate::machine::send::Name;
use crate::machine::timers::TimerKey;
use crate::message::Opened;
use crate::negotiate::Refusals;
use crate::plan::{ConnectionPlan, SpiSource};
use crate::state_name::StateName;
use crate::transition::{self, Protection};
use drive::{Instant, Transmit};
use ipsec_wire::isakmp::{Body, Payloads};
use ipsec_wire::registry::ExchangeType;

/// How many SPIs are drawn before giving up: each is free but by a chance of one in thousands.
const SPI_DRAWS: usize = 16;
/// The lowest SPI that is not reserved, RFC 2406 §2.1.
pub(super) const FIRST_SPI: u32 = 256;

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
        | Phase::Judging(..) => None,
    }
}

impl Endpoint {
    /// Starts a quick mode as initiator: an SPI is found, then message 1 goes out.
    pub(super) fn start_quick(&mut self, now: Instant, sa: &mut IkeSa, waiting: Waiting) {
        if sa.core.exchanges.len() >= defaults::MAX_EXCHANGES_PER_SA {
            count(&mut self.counters.acquire_phase2_start_failed);
            return self.phase2_failed(&sa.core, waiting, Failure::Limit);
        }
        let client = sa.up().and_then(|up| up.session.address);
        let connection = self.plan.connection(sa.core.connection);
        if connection.is_none_or(|connection| connection.policy_for(waiting.policy, client).is_none()) {
            // The policy is for a client with another address, or with one at all.
            return self.phase2_failed(&sa.core, waiting, Failure::NoAddress);
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
    pub(super) fn find_spi(&mut self, now: Instant, sa: &mut IkeSa, message_id: u32, ticket: Ticket) {
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
    pub(super) fn open_quick(
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
    }

    /// Gives back an SPI that the caller chose and no SA was made of.
    pub(super) fn release_spi(&mut self, core: &Core, spi: u32) {
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
