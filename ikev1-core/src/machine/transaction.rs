//! The transaction exchange: one question or one order, and what the other end says to it.

use crate::action::Direction;
use crate::counters::count;
use crate::defaults;
use crate::error::{DropReason, Failure};
use crate::event::Event;
use crate::flight::{Answered, Request};
use crate::ids::{IkeSaId, Role, Ticket};
use crate::keys::IvChain;
use crate::machine::Endpoint;
use crate::machine::phase1::Taken;
use crate::machine::phase2::{Under, under};
use crate::machine::receive::Incoming;
use crate::machine::sa::IkeSa;
use crate::machine::send::Name;
use crate::machine::timers::TimerKey;
use crate::message::{Opened, built, check_hash_1, hashed};
use crate::plan::ConnectionPlan;
use crate::state_name::StateName;
use crate::transaction::{Wanted, XauthQuestion, address_is_refused, conceal};
use crate::transition::{self, Protection};
use alloc::vec::Vec;
use drive::{Instant, Transmit, Verdict};
use ipsec_wire::isakmp::payload::{Attribute, Attributes, Configuration, OwnedConfiguration};
use ipsec_wire::isakmp::{Body, ChainBuilder};
use ipsec_wire::registry::{ConfigAttribute, ConfigType, ExchangeType, PayloadType};
use zeroize::Zeroize;

/// A transaction exchange.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) role: Role,
    pub(crate) state: State,
    /// What ties its messages together: the answer must have that of the question.
    pub(crate) identifier: u16,
    pub(crate) iv: IvChain,
    pub(crate) request: Option<Request>,
    pub(crate) answered: Option<Answered>,
}

impl Transaction {
    pub(crate) const fn initiator(state: State, identifier: u16, iv: IvChain) -> Self {
        Self { role: Role::Initiator, state, identifier, iv, request: None, answered: None }
    }
}

/// Where a transaction stands, with what is known then.
#[derive(Debug)]
pub(crate) enum State {
    /// XAUTH, server: the question is sent.
    QuestionSent(XauthQuestion),
    /// XAUTH, server: the answer is there, the caller is asked whether it is right.
    Verifying(Ticket),
    /// XAUTH, server: the outcome is sent.
    StatusSent(bool),
    /// XAUTH, client: the caller is asked for the answer.
    AskingUser(Ticket, XauthQuestion),
    /// Mode-config, client: the settings are asked for.
    SettingsWanted,
    /// Mode-config, server: settings are sent unasked.
    SettingsSent,
    /// Mode-config, server: the caller is asked for the address; `None` if the client did not ask.
    AskingAddress(Ticket, Option<Wanted>),
    /// Kept to answer repeats; under the same message id a responder takes one more question.
    Done(StateName),
}

impl State {
    pub(crate) const fn name(&self) -> StateName {
        match self {
            Self::QuestionSent(_) | Self::SettingsWanted => StateName::TransactionReqSent,
            Self::Verifying(_) => StateName::TransactionRepRecv,
            Self::StatusSent(_) | Self::SettingsSent => StateName::TransactionSetSent,
            Self::AskingUser(..) | Self::AskingAddress(_, Some(_)) => StateName::TransactionReqRecv,
            Self::AskingAddress(_, None) => StateName::TransactionIdle,
            Self::Done(name) => *name,
        }
    }
}

/// What a lawful message of a transaction means here.
enum Step {
    Answer(XauthQuestion),
    StatusAcknowledged(bool),
    Settings,
    SettingsAcknowledged,
    Request,
    Set,
}

/// Returns what a message means in a state, `None` if nothing.
fn step(state: &State, config_type: ConfigType) -> Option<Step> {
    match (state, config_type) {
        // Some gateways and clients say ACK where REPLY is due.
        (State::QuestionSent(question), ConfigType::REPLY | ConfigType::ACK) => Some(Step::Answer(question.clone())),
        (State::StatusSent(ok), ConfigType::ACK) => Some(Step::StatusAcknowledged(*ok)),
        (State::SettingsWanted, ConfigType::REPLY) => Some(Step::Settings),
        (State::SettingsSent, ConfigType::ACK) => Some(Step::SettingsAcknowledged),
        (State::Done(StateName::TransactionIdle | StateName::TransactionRepSent), ConfigType::REQUEST) => {
            Some(Step::Request)
        }
        (State::Done(StateName::TransactionIdle), ConfigType::SET) => Some(Step::Set),
        (
            State::QuestionSent(_)
            | State::StatusSent(_)
            | State::Verifying(_)
            | State::AskingUser(..)
            | State::SettingsWanted
            | State::SettingsSent
            | State::AskingAddress(..)
            | State::Done(_),
            _,
        ) => None,
    }
}

impl Endpoint {
    /// Takes in a message of a transaction exchange.
    pub(super) fn on_transaction(&mut self, now: Instant, incoming: &Incoming<'_>) -> Taken {
        let found = self.table.with_cookies(incoming.cookies);
        let Some(sa) = found.and_then(|id| self.table.take(id)) else { return Err(DropReason::UnknownCookies) };
        let (sa, taken) = self.transaction(now, sa, incoming);
        if let Some(sa) = sa {
            self.table.put(sa);
        }
        taken
    }

    fn transaction(&mut self, now: Instant, mut sa: IkeSa, incoming: &Incoming<'_>) -> (Option<IkeSa>, Taken) {
        let message_id = incoming.message_id();
        if sa.up().is_none() {
            // The first question may overtake the last message of phase 1: it will come again.
            self.message_3_is_missing(&mut sa, incoming);
            return (Some(sa), Err(DropReason::Unexpected));
        }
        let Body::Encrypted(body) = incoming.body else { return (Some(sa), Err(DropReason::ClearText)) };
        if !self.may_come(&sa.core, incoming.path) {
            return (Some(sa), Err(DropReason::WrongSource));
        }
        let repeat = sa.core.transactions.get_mut(&message_id).and_then(|transaction| transaction.answered.as_mut());
        if let Some(answered) = repeat.filter(|answered| answered.is_repeat(&incoming.fingerprint)) {
            let verdict = self.answer_repeat(answered);
            return (Some(sa), Ok(verdict));
        }
        let Some(connection) = self.plan.shared(sa.core.connection) else {
            return (Some(sa), Err(DropReason::NoConnection));
        };
        let mut transaction = match self.find_transaction(&mut sa, message_id) {
            Ok(transaction) => transaction,
            Err(reason) => return (Some(sa), Err(reason)),
        };
        let opened = self.open_transaction(&sa, &transaction, incoming, body);
        let read = opened.as_ref().map_err(|reason| *reason).and_then(|opened| {
            let configuration = configuration(opened)?;
            let step = step(&transaction.state, configuration.config_type).ok_or(DropReason::Unexpected)?;
            // Zero: strongSwan answers with it whatever it was asked with, and the message id has told already.
            let answers = [transaction.identifier, 0].contains(&configuration.identifier);
            if transaction.role == Role::Initiator && !answers {
                return Err(DropReason::Identifier(configuration.identifier));
            }
            // Without an address the SA would end: the server may still say it in a form that addresses have.
            if matches!(step, Step::Settings) && address_is_refused(configuration.attributes) {
                return Err(DropReason::Malformed);
            }
            Ok((opened.next_iv(), configuration, step))
        });
        let (next_iv, configuration, step) = match read {
            Ok(read) => read,
            Err(reason) => {
                self.keep_known(&mut sa, message_id, transaction);
                return (Some(sa), Err(reason));
            }
        };
        transaction.iv.commit(next_iv);
        transaction.answered = Some(Answered::new(incoming.fingerprint, None));
        transaction.request = None;
        if transaction.role == Role::Responder {
            transaction.identifier = configuration.identifier;
        }
        self.timers.cancel(&TimerKey::Transaction(sa.core.id, message_id));
        self.proved_alive(now, &mut sa, incoming.path);
        let attributes = configuration.attributes;
        match step {
            Step::Answer(question) => {
                self.on_answer(now, sa, &connection, (message_id, transaction), &question, attributes)
            }
            Step::StatusAcknowledged(ok) => {
                self.finish(now, &mut sa, &connection, (message_id, transaction), StateName::TransactionAckRecv);
                self.on_status_acknowledged(now, sa, &connection, ok)
            }
            Step::Request if is_xauth(attributes) => {
                self.on_question(now, sa, &connection, (message_id, transaction), attributes)
            }
            Step::Set if is_xauth(attributes) => {
                self.on_status(now, sa, &connection, (message_id, transaction), attributes)
            }
            Step::Settings => {
                self.finish(now, &mut sa, &connection, (message_id, transaction), StateName::TransactionRepRecv);
                self.on_settings(now, sa, &connection, attributes)
            }
            Step::SettingsAcknowledged => {
                self.finish(now, &mut sa, &connection, (message_id, transaction), StateName::TransactionAckRecv);
                self.on_settings_acknowledged(now, &mut sa, &connection);
                (Some(sa), Ok(Verdict::Accepted))
            }
            Step::Request => self.on_settings_wanted(now, sa, &connection, (message_id, transaction), attributes),
            Step::Set => self.on_settings_set(now, sa, &connection, (message_id, transaction), attributes),
        }
    }

    /// Takes a transaction out, or begins one as its responder.
    fn find_transaction(&mut self, sa: &mut IkeSa, message_id: u32) -> Result<Transaction, DropReason> {
        let id = sa.core.id;
        let Some(Under { core, up }) = under(sa) else { return Err(DropReason::Unexpected) };
        if let Some(transaction) = core.transactions.remove(&message_id) {
            return Ok(transaction);
        }
        if message_id == 0 {
            return Err(DropReason::MessageId(0));
        }
        up.finished.admits(message_id)?;
        if core.exchanges.contains_key(&message_id) {
            return Err(DropReason::Replay);
        }
        if core.transactions.len() >= defaults::MAX_TRANSACTIONS_PER_SA {
            // One that is only kept to answer repeats gives way.
            let done = core.transactions.iter().find(|(_, other)| matches!(other.state, State::Done(_)));
            let Some(done) = done.map(|(id, _)| *id) else { return Err(DropReason::Limit) };
            core.transactions.remove(&done);
            up.finished.insert(done);
            self.timers.cancel(&TimerKey::Transaction(id, done));
        }
        Ok(Transaction {
            role: Role::Responder,
            state: State::Done(StateName::TransactionIdle),
            identifier: 0,
            iv: up.iv.for_message_id(message_id),
            request: None,
            answered: None,
        })
    }

    /// Puts back a transaction whose message was refused; one that the message would have begun is forgotten.
    fn keep_known(&mut self, sa: &mut IkeSa, message_id: u32, transaction: Transaction) {
        if !matches!(transaction.state, State::Done(StateName::TransactionIdle)) {
            sa.core.transactions.insert(message_id, transaction);
        }
    }

    /// Decrypts a message, holds its payloads against the transition table, and checks its HASH.
    fn open_transaction(
        &mut self,
        sa: &IkeSa,
        transaction: &Transaction,
        incoming: &Incoming<'_>,
        body: &[u8],
    ) -> Result<Opened, DropReason> {
        let up = sa.up().ok_or(DropReason::Unexpected)?;
        let row = transition::row(ExchangeType::TRANSACTION, transaction.role, transaction.state.name())
            .ok_or(DropReason::Unexpected)?;
        let opened = self.open(incoming, body, (&up.keys, &transaction.iv), row)?;
        let payloads = opened.payloads()?;
        check_hash_1(&up.keys, incoming.message_id(), &payloads)?;
        count(&mut self.counters.rx_decrypt_good);
        let name = Name::transaction(row.message, incoming.message_id());
        let from = sa.core.envelope();
        self.trace(Direction::Inbound, from, name, &payloads, Protection::Encrypted, incoming.length);
        Ok(opened)
    }

    /// Begins a transaction: its first message goes out and waits for the answer.
    pub(super) fn begin_transaction(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        connection: &ConnectionPlan,
        (state, identifier): (State, u16),
        (config_type, attributes): (ConfigType, Vec<Attribute<Vec<u8>>>),
    ) {
        let message_id = self.draw_message_id(&sa.core);
        let Some(iv) = sa.up().map(|up| up.iv.for_message_id(message_id)) else { return };
        let mut transaction = Transaction::initiator(state, identifier, iv);
        let Some(transmit) = self.say(sa, (message_id, &mut transaction), 1, config_type, attributes) else { return };
        let mut request = Request::new(transmit.clone(), connection.backoff);
        let gap = request.gap().unwrap_or_default();
        self.timers.set(TimerKey::Transaction(sa.core.id, message_id), now + gap);
        transaction.request = Some(request);
        sa.core.transactions.insert(message_id, transaction);
        self.send(transmit);
    }

    /// Answers a transaction and keeps it for repeats.
    pub(super) fn answer_transaction(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        connection: &ConnectionPlan,
        (message_id, mut transaction): (u32, Transaction),
        (config_type, attributes): (ConfigType, Vec<Attribute<Vec<u8>>>),
    ) {
        let said = self.say(sa, (message_id, &mut transaction), 2, config_type, attributes);
        if let (Some(transmit), Some(answered)) = (said, &mut transaction.answered) {
            answered.set_reply(transmit.clone());
            self.send(transmit);
        }
        let name =
            if config_type == ConfigType::ACK { StateName::TransactionAckSent } else { StateName::TransactionRepSent };
        self.finish(now, sa, connection, (message_id, transaction), name);
    }

    /// Keeps a finished transaction to answer repeats.
    pub(super) fn finish(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        connection: &ConnectionPlan,
        (message_id, mut transaction): (u32, Transaction),
        name: StateName,
    ) {
        transaction.state = State::Done(name);
        transaction.request = None;
        // Whoever asks may ask again for as long as phase 1.5 may take, longer than the last message of
        // other exchanges is repeated.
        let kept = match transaction.role {
            Role::Initiator => connection.delete_delay,
            Role::Responder => connection.delete_delay.max(connection.session_time()),
        };
        self.timers.set(TimerKey::Transaction(sa.core.id, message_id), now + kept);
        sa.core.transactions.insert(message_id, transaction);
    }

    /// Sends again what waits for an answer: what the peer does shows that it did not get it, or that its
    /// answer was lost.
    pub(super) fn repeat_questions(&mut self, sa: &IkeSa) {
        for request in sa.core.transactions.values().filter_map(|transaction| transaction.request.as_ref()) {
            self.send(Transmit { path: sa.core.path, ..request.transmit().clone() });
        }
    }

    /// Puts a transaction to wait for the caller; the ticket it is to be answered with is returned.
    pub(super) fn question(&mut self, sa: &IkeSa, message_id: u32) -> Ticket {
        let ticket = Ticket(self.next_id());
        self.questions.insert(ticket, (sa.core.id, message_id));
        ticket
    }

    /// Builds a message: `HDR*, HASH, ATTR`.
    fn say(
        &mut self,
        sa: &mut IkeSa,
        (message_id, transaction): (u32, &mut Transaction),
        number: u8,
        config_type: ConfigType,
        attributes: Vec<Attribute<Vec<u8>>>,
    ) -> Option<Transmit> {
        let Under { core, up } = under(sa)?;
        let mut configuration = OwnedConfiguration { config_type, identifier: transaction.identifier, attributes };
        let mut chain = ChainBuilder::new();
        chain.push(&configuration);
        let rest = built(chain);
        let chain = hashed(&up.keys.hash_1(message_id, rest.octets()), &rest);
        let name = Name::transaction(number, message_id);
        let transmit = self.sealed(core.envelope(), name, &chain, &up.keys, &mut transaction.iv);
        // A password may have been in it.
        conceal(&mut configuration.attributes, |_| true);
        rest.into_octets().zeroize();
        chain.into_octets().zeroize();
        Some(transmit)
    }

    /// Sends the last message of a transaction again, gives up, or forgets a finished one.
    pub(super) fn transaction_due(&mut self, now: Instant, id: IkeSaId, message_id: u32) {
        let Some(mut sa) = self.table.take(id) else { return };
        let Some(connection) = self.plan.shared(sa.core.connection) else { return self.table.put(sa) };
        let Some(mut transaction) = sa.core.transactions.remove(&message_id) else { return self.table.put(sa) };
        match (&transaction.state, &mut transaction.request) {
            (State::Done(_), _) => {
                if let Some(up) = sa.up_mut() {
                    up.finished.insert(message_id);
                }
                self.table.put(sa);
            }
            (
                State::QuestionSent(_) | State::StatusSent(_) | State::SettingsWanted | State::SettingsSent,
                Some(request),
            ) => {
                let (sendings, refused) = (request.sendings(), matches!(transaction.state, State::StatusSent(false)));
                let Some(gap) = request.gap() else {
                    count(&mut self.counters.tx_retry_timed_out);
                    let failure =
                        if refused { Failure::UserRefused } else { Failure::Timeout { sendings, hint: None } };
                    return self.fail_session(sa, failure);
                };
                let transmit = Transmit { path: sa.core.path, ..request.transmit().clone() };
                let (sendings, left) = (request.sendings(), request.resends_left());
                count(&mut self.counters.tx_retry);
                let exchange = ExchangeType::TRANSACTION;
                self.event(Event::Resent { ike_sa: id, exchange, message_id, sendings, left });
                self.send(transmit);
                self.timers.set(TimerKey::Transaction(id, message_id), now + gap);
                sa.core.transactions.insert(message_id, transaction);
                self.table.put(sa);
            }
            (State::Verifying(ticket), _) => {
                self.questions.remove(ticket);
                self.finish(now, &mut sa, &connection, (message_id, transaction), StateName::TransactionRepRecv);
                self.refuse_user(now, &mut sa, &connection, None);
                self.table.put(sa);
            }
            (State::AskingUser(ticket, question), _) => {
                self.questions.remove(ticket);
                let question = question.clone();
                self.give_answer(now, &mut sa, &connection, (message_id, transaction), &question, None);
                self.table.put(sa);
            }
            (State::AskingAddress(ticket, _), _) => {
                self.questions.remove(ticket);
                sa.core.transactions.insert(message_id, transaction);
                self.address_known(now, &mut sa, &connection, message_id, None);
                self.table.put(sa);
            }
            (State::QuestionSent(_) | State::StatusSent(_) | State::SettingsWanted | State::SettingsSent, None) => {
                self.table.put(sa);
            }
        }
    }

    /// Tells of attributes that nobody here understands.
    pub(super) fn tell_unsupported(&mut self, ike_sa: IkeSaId, unsupported: &[ConfigAttribute]) {
        for attribute in unsupported.iter().take(defaults::MAX_UNSUPPORTED_EVENTS) {
            self.event(Event::AttributeNotSupported { ike_sa, attribute: *attribute });
        }
    }
}

/// Returns the attributes payload of a message that was opened.
fn configuration(opened: &Opened) -> Result<Configuration<'_>, DropReason> {
    let payloads = opened.payloads()?;
    let payload = payloads.find(PayloadType::ATTRIBUTES).ok_or(DropReason::PayloadSet)?;
    Configuration::parse(payload).map_err(|_| DropReason::Malformed)
}

/// Returns whether attributes are about the user rather than about settings.
fn is_xauth(attributes: Attributes<'_>) -> bool {
    let range = ConfigAttribute::XAUTH_TYPE.0..=ConfigAttribute::XAUTH_ANSWER.0;
    attributes.iter().any(|attribute| range.contains(&attribute.class))
}
