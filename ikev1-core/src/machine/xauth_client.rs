//! XAUTH as its client: questions of the gateway, answered from the plan or by the caller.

use crate::action::Action;
use crate::command::Handle;
use crate::config::{Xauth, XauthClient};
use crate::error::{CommandError, DropReason, Failure};
use crate::event::Event;
use crate::ids::Ticket;
use crate::machine::Endpoint;
use crate::machine::phase1::Taken;
use crate::machine::sa::IkeSa;
use crate::machine::session::Stage;
use crate::machine::timers::TimerKey;
use crate::machine::transaction::{State, Transaction};
use crate::plan::ConnectionPlan;
use crate::transaction::{
    AskUser, UserName, XauthAnswer, XauthField, XauthKind, XauthQuestion, chap_response, read_question, read_status,
    write_answer,
};
use alloc::boxed::Box;
use drive::{Instant, SecretBytes, Verdict};
use ipsec_wire::isakmp::payload::{Attribute, Attributes};
use ipsec_wire::registry::{ConfigAttribute, ConfigType};

/// The most rounds of questions that are answered under one SA.
const MAX_ROUNDS: u32 = 64;

impl Endpoint {
    /// A question to the user of this end.
    pub(super) fn on_question(
        &mut self,
        now: Instant,
        mut sa: IkeSa,
        connection: &ConnectionPlan,
        (message_id, mut transaction): (u32, Transaction),
        attributes: Attributes<'_>,
    ) -> (Option<IkeSa>, Taken) {
        let Some(client) = xauth_client(connection) else { return (Some(sa), Err(DropReason::Unexpected)) };
        let asked = sa.core.transactions.values().any(|other| matches!(other.state, State::AskingUser(..)));
        let Some(round) = (!asked).then(|| next_round(&mut sa)).flatten() else {
            return (Some(sa), Err(DropReason::Limit));
        };
        let (ike_sa, connection_id) = (sa.core.id, sa.core.connection);
        let question = match read_question(attributes) {
            Ok((question, told)) => {
                self.tell_unsupported(ike_sa, &told.unsupported);
                question
            }
            Err(_) => {
                let unreadable = XauthQuestion::default();
                self.give_answer(now, &mut sa, connection, (message_id, transaction), &unreadable, None);
                return (Some(sa), Err(DropReason::Refused));
            }
        };
        self.event(Event::UserAsked { ike_sa, connection: connection_id, round });
        if let Some(answer) = self.configured_answer(client, &question, round) {
            let transaction = (message_id, transaction);
            self.give_answer(now, &mut sa, connection, transaction, &question, Some(&answer));
            return (Some(sa), Ok(Verdict::Accepted));
        }
        let ticket = self.question(&sa, message_id);
        transaction.state = State::AskingUser(ticket, question.clone());
        self.timers.set(TimerKey::Transaction(ike_sa, message_id), now + client.time);
        sa.core.transactions.insert(message_id, transaction);
        let ask = AskUser { ticket, ike_sa, connection: connection_id, round, question };
        self.out.action(Action::AskUser(Box::new(ask)));
        (Some(sa), Ok(Verdict::Accepted))
    }

    /// Returns the answer that the plan has: to the first question, if that is an ordinary one.
    fn configured_answer(&mut self, client: &XauthClient, question: &XauthQuestion, round: u32) -> Option<XauthAnswer> {
        let (user, password) = client.credentials.as_ref().filter(|_| round == 1)?;
        let plain = question.asks.iter().all(|field| [XauthField::User, XauthField::Password].contains(field));
        if !plain {
            return None;
        }
        let response = match (question.kind, &question.challenge) {
            (XauthKind::Generic, None) => SecretBytes::copied(password.expose()),
            (XauthKind::RadiusChap, Some(challenge)) => {
                let [identifier, ..] = self.rng.next_u32().to_be_bytes();
                chap_response(identifier, password.expose(), challenge)
            }
            (XauthKind::Generic | XauthKind::RadiusChap | XauthKind::Otp | XauthKind::SKey, _) => return None,
        };
        Some(XauthAnswer::password(user.clone(), response))
    }

    /// Takes the caller's answer; `None` says that there is none.
    pub(super) fn provide_answer(
        &mut self,
        now: Instant,
        ticket: Ticket,
        answer: Option<&XauthAnswer>,
    ) -> Result<Handle, CommandError> {
        let unknown = CommandError::UnknownTicket(ticket);
        let (ike_sa, message_id) = *self.questions.get(&ticket).ok_or(unknown)?;
        let Some(mut sa) = self.table.take(ike_sa) else { return Err(unknown) };
        let question = match sa.core.transactions.get(&message_id).map(|transaction| &transaction.state) {
            Some(State::AskingUser(at, question)) if *at == ticket => Some(question.clone()),
            _other => None,
        };
        let (Some(connection), Some(question)) = (self.plan.shared(sa.core.connection), question) else {
            self.table.put(sa);
            return Err(unknown);
        };
        self.questions.remove(&ticket);
        if let Some(transaction) = sa.core.transactions.remove(&message_id) {
            self.give_answer(now, &mut sa, &connection, (message_id, transaction), &question, answer);
        }
        self.table.put(sa);
        Ok(Handle::Done)
    }

    /// Sends an answer, or says that there is none.
    pub(super) fn give_answer(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        connection: &ConnectionPlan,
        transaction: (u32, Transaction),
        question: &XauthQuestion,
        answer: Option<&XauthAnswer>,
    ) {
        let user = answer.and_then(|answer| answer.user.clone());
        if let (Some(Stage::Answering(answering)), Some(user)) = (sa.up_mut().map(|up| &mut up.session.stage), user) {
            answering.claimed = Some(user);
        }
        let attributes = write_answer(question, answer);
        self.answer_transaction(now, sa, connection, transaction, (ConfigType::REPLY, attributes));
    }

    /// The outcome, as the gateway tells it.
    pub(super) fn on_status(
        &mut self,
        now: Instant,
        mut sa: IkeSa,
        connection: &ConnectionPlan,
        transaction: (u32, Transaction),
        attributes: Attributes<'_>,
    ) -> (Option<IkeSa>, Taken) {
        // A server takes the outcome from nobody.
        if xauth_client(connection).is_none() {
            return (Some(sa), Err(DropReason::Unexpected));
        }
        let outcome = read_status(attributes);
        let acknowledged = match outcome {
            Some(_) => alloc::vec![Attribute::variable(ConfigAttribute::XAUTH_STATUS, alloc::vec::Vec::new())],
            None => alloc::vec::Vec::new(),
        };
        self.answer_transaction(now, &mut sa, connection, transaction, (ConfigType::ACK, acknowledged));
        let (ike_sa, id) = (sa.core.id, sa.core.connection);
        let claimed = match sa.up_mut().map(|up| &mut up.session.stage) {
            Some(Stage::Answering(answering)) => Some(answering.claimed.take()),
            Some(Stage::Asking(_) | Stage::Refusing | Stage::AwaitingPush | Stage::Configuring | Stage::Open)
            | None => None,
        };
        match (outcome, claimed) {
            (None, _) | (Some((true, _)), None) => (Some(sa), Ok(Verdict::Accepted)),
            (Some((true, _)), Some(claimed)) => {
                let user = claimed.or(client_user(connection)).unwrap_or(UserName::new(alloc::vec::Vec::new()));
                self.event(Event::UserAuthenticated { ike_sa, connection: id, user: user.clone(), is_peer: false });
                self.user_proven(now, &mut sa, connection, user);
                (Some(sa), Ok(Verdict::Accepted))
            }
            (Some((false, message)), claimed) => {
                let user = claimed.flatten().or(client_user(connection));
                self.event(Event::UserRefused { ike_sa, connection: id, user, left: 0, message });
                self.fail_session(sa, Failure::UserRefused);
                (None, Ok(Verdict::Accepted))
            }
        }
    }
}

/// Counts a round, unless there were too many.
fn next_round(sa: &mut IkeSa) -> Option<u32> {
    match sa.up_mut().map(|up| &mut up.session.stage)? {
        Stage::Answering(answering) => {
            answering.rounds = answering.rounds.saturating_add(1);
            Some(answering.rounds).filter(|rounds| *rounds <= MAX_ROUNDS)
        }
        // The gateway may ask again in the middle of an SA's life.
        Stage::AwaitingPush | Stage::Configuring | Stage::Open => Some(1),
        Stage::Asking(_) | Stage::Refusing => None,
    }
}

fn xauth_client(connection: &ConnectionPlan) -> Option<&XauthClient> {
    match &connection.xauth {
        Some(Xauth::Client(client)) => Some(client),
        Some(Xauth::Server(_)) | None => None,
    }
}

fn client_user(connection: &ConnectionPlan) -> Option<UserName> {
    xauth_client(connection)?.credentials.as_ref().map(|(user, _)| user.clone())
}
