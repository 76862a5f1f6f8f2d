//! XAUTH as its server: questions, the caller's verdict, the outcome.

use crate::action::Action;
use crate::command::Handle;
use crate::config::{Xauth, XauthServer};
use crate::defaults;
use crate::error::{CommandError, DropReason, Failure};
use crate::event::Event;
use crate::ids::Ticket;
use crate::machine::Endpoint;
use crate::machine::phase1::Taken;
use crate::machine::sa::IkeSa;
use crate::machine::session::{Asking, Stage};
use crate::machine::timers::TimerKey;
use crate::machine::transaction::{State, Transaction};
use crate::plan::ConnectionPlan;
use crate::state_name::StateName;
use crate::transaction::{
    UserName, UserVerdict, VerifyUser, XauthKind, XauthQuestion, read_answer, status, write_question,
};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use drive::{Instant, Verdict};
use ipsec_wire::isakmp::payload::Attributes;
use ipsec_wire::registry::{ConfigType, XauthStatus};

/// The octets of a challenge that this end draws.
const CHALLENGE: usize = 16;

impl Endpoint {
    /// Asks the first question.
    pub(super) fn begin_asking(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        connection: &ConnectionPlan,
        server: &XauthServer,
    ) {
        let [high, low, ..] = self.rng.next_u32().to_be_bytes();
        let identifier = u16::from_be_bytes([high, low]);
        if let Some(asking) = asking(sa) {
            asking.identifier = identifier;
        }
        let question = self.first_question(server, None);
        self.ask(now, sa, connection, question);
    }

    fn first_question(&mut self, server: &XauthServer, message: Option<String>) -> XauthQuestion {
        let mut question = server.question.clone();
        question.message = message.or(question.message);
        match (question.kind, &question.challenge) {
            (XauthKind::RadiusChap, None) => {
                let mut challenge = alloc::vec![0; CHALLENGE];
                self.rng.fill_bytes(&mut challenge);
                question.challenge = Some(challenge);
            }
            // The server says what challenges there are once it knows the name.
            (XauthKind::Otp | XauthKind::SKey, None) => question.challenge = Some(alloc::vec::Vec::new()),
            (XauthKind::Generic | XauthKind::RadiusChap | XauthKind::Otp | XauthKind::SKey, _) => {}
        }
        question
    }

    /// Asks one round of questions, unless there were too many.
    fn ask(&mut self, now: Instant, sa: &mut IkeSa, connection: &ConnectionPlan, question: XauthQuestion) {
        let (ike_sa, most) = (sa.core.id, xauth_server(connection).map_or(1, |server| server.rounds));
        let Some(asking) = asking(sa) else { return };
        if asking.rounds >= most {
            return self.tell_status(now, sa, connection, false);
        }
        asking.rounds = asking.rounds.saturating_add(1);
        let (round, identifier) = (asking.rounds, asking.identifier);
        self.event(Event::UserAsked { ike_sa, connection: sa.core.connection, round });
        let attributes = write_question(&question);
        let state = (State::QuestionSent(question), identifier);
        self.begin_transaction(now, sa, connection, state, (ConfigType::REQUEST, attributes));
    }

    /// The user's answer: the caller is asked whether it is right.
    pub(super) fn on_answer(
        &mut self,
        now: Instant,
        mut sa: IkeSa,
        connection: &ConnectionPlan,
        (message_id, mut transaction): (u32, Transaction),
        question: &XauthQuestion,
        attributes: Attributes<'_>,
    ) -> (Option<IkeSa>, Taken) {
        let read = read_answer(question, attributes).ok().filter(|(answer, _)| answer.answers(question));
        let named = asking(&mut sa).map(|asking| match &read {
            // Who changes his name between two rounds might prove one half of each.
            Some((answer, _)) => match (&asking.claimed, &answer.user) {
                (Some(before), Some(now)) if before != now => false,
                (_, Some(now)) => {
                    asking.claimed = Some(now.clone());
                    true
                }
                (_, None) => true,
            },
            None => false,
        });
        let (Some((answer, told)), Some(true)) = (read, named) else {
            self.finish(now, &mut sa, connection, (message_id, transaction), StateName::TransactionRepRecv);
            self.refuse_user(now, &mut sa, connection, None);
            return (Some(sa), Err(DropReason::Refused));
        };
        self.tell_unsupported(sa.core.id, &told.unsupported);
        let ticket = self.question(&sa, message_id);
        transaction.state = State::Verifying(ticket);
        self.timers.set(TimerKey::Transaction(sa.core.id, message_id), now + defaults::TICKET_TIMEOUT);
        let peer = sa.up().map(|up| up.peer.clone());
        let (ike_sa, connection_id, path) = (sa.core.id, sa.core.connection, sa.core.path);
        if let (Some(asking), Some(peer)) = (asking(&mut sa), peer) {
            self.out.action(Action::VerifyUser(Box::new(VerifyUser {
                ticket,
                ike_sa,
                connection: connection_id,
                peer,
                path,
                round: asking.rounds,
                failures: asking.failures,
                user: asking.claimed.clone(),
                question: question.clone(),
                answer,
            })));
        }
        sa.core.transactions.insert(message_id, transaction);
        (Some(sa), Ok(Verdict::Accepted))
    }

    /// Takes the caller's verdict.
    pub(super) fn provide_verdict(
        &mut self,
        now: Instant,
        ticket: Ticket,
        verdict: UserVerdict,
    ) -> Result<Handle, CommandError> {
        let unknown = CommandError::UnknownTicket(ticket);
        let (ike_sa, message_id) = *self.questions.get(&ticket).ok_or(unknown)?;
        let Some(mut sa) = self.table.take(ike_sa) else { return Err(unknown) };
        let waits = |transaction: &&mut Transaction| matches!(transaction.state, State::Verifying(at) if at == ticket);
        let connection = self.plan.shared(sa.core.connection);
        let found = sa.core.transactions.get_mut(&message_id).filter(waits).is_some();
        let (Some(connection), true) = (connection, found) else {
            self.table.put(sa);
            return Err(unknown);
        };
        self.questions.remove(&ticket);
        if let Some(transaction) = sa.core.transactions.remove(&message_id) {
            self.finish(now, &mut sa, &connection, (message_id, transaction), StateName::TransactionRepRecv);
        }
        match verdict {
            UserVerdict::Accept => self.tell_status(now, &mut sa, &connection, true),
            UserVerdict::Refuse { message } => self.refuse_user(now, &mut sa, &connection, message),
            UserVerdict::Ask(question) => self.ask(now, &mut sa, &connection, question),
        }
        self.table.put(sa);
        Ok(Handle::Done)
    }

    /// Counts a wrong answer: the user is asked again, or told that he is refused.
    pub(super) fn refuse_user(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        connection: &ConnectionPlan,
        message: Option<String>,
    ) {
        let (ike_sa, id) = (sa.core.id, sa.core.connection);
        let Some(server) = xauth_server(connection) else { return };
        let Some(asking) = asking(sa) else { return };
        asking.failures = asking.failures.saturating_add(1);
        let left = server.attempts.saturating_sub(asking.failures);
        let user = asking.claimed.take();
        self.event(Event::UserRefused { ike_sa, connection: id, user, left, message: None });
        if left == 0 {
            return self.tell_status(now, sa, connection, false);
        }
        let question = self.first_question(server, message);
        self.ask(now, sa, connection, question);
    }

    /// Tells the client the outcome.
    fn tell_status(&mut self, now: Instant, sa: &mut IkeSa, connection: &ConnectionPlan, ok: bool) {
        let Some(Asking { identifier, .. }) = asking(sa) else { return };
        let identifier = *identifier;
        if !ok && let Some(up) = sa.up_mut() {
            up.session.stage = Stage::Refusing;
        }
        let attributes = status(if ok { XauthStatus::OK } else { XauthStatus::FAIL });
        let state = (State::StatusSent(ok), identifier);
        self.begin_transaction(now, sa, connection, state, (ConfigType::SET, attributes));
    }

    /// The client knows the outcome: the SA goes on, or it ends.
    pub(super) fn on_status_acknowledged(
        &mut self,
        now: Instant,
        mut sa: IkeSa,
        connection: &ConnectionPlan,
        ok: bool,
    ) -> (Option<IkeSa>, Taken) {
        if !ok {
            self.fail_session(sa, Failure::UserRefused);
            return (None, Ok(Verdict::Accepted));
        }
        // One whose name was never asked for is who phase 1 says.
        let identity = sa.up().map(|up| up.peer.to_string());
        let claimed = asking(&mut sa).and_then(|asking| asking.claimed.take());
        let user = claimed.or(identity.map(UserName::new));
        if let Some(user) = user {
            let (ike_sa, id) = (sa.core.id, sa.core.connection);
            self.event(Event::UserAuthenticated { ike_sa, connection: id, user: user.clone(), is_peer: true });
            self.user_proven(now, &mut sa, connection, user);
        }
        (Some(sa), Ok(Verdict::Accepted))
    }
}

fn asking(sa: &mut IkeSa) -> Option<&mut Asking> {
    match sa.up_mut().map(|up| &mut up.session.stage) {
        Some(Stage::Asking(asking)) => Some(asking),
        Some(Stage::Answering(_) | Stage::Refusing | Stage::AwaitingPush | Stage::Configuring | Stage::Open) | None => {
            None
        }
    }
}

fn xauth_server(connection: &ConnectionPlan) -> Option<&XauthServer> {
    match &connection.xauth {
        Some(Xauth::Server(server)) => Some(server),
        Some(Xauth::Client(_)) | None => None,
    }
}
