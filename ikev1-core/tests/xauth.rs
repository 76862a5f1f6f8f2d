//! XAUTH: the user is proven after phase 1, and nothing of phase 2 runs before.

use crate::common;
use crate::common::{A, B, End, Pair, SITE, connection, left, plan, policy, right};
use core::time::Duration;
use drive::{SecretBytes, Verdict};
use ikev1_core::{
    Action, AskUser, Command, CommandError, ConnectionConfig, DropReason, Event, Failure, IkeSaState, Phase1Mode,
    RemoveReason, UserName, UserVerdict, Users, VerifyUser, Xauth, XauthAnswer, XauthClient, XauthField, XauthKind,
    XauthQuestion, XauthServer,
};
use ipsec_wire::registry::{AuthMethod, ExchangeType};

fn alice() -> UserName {
    "alice".into()
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::copied(text.as_bytes())
}

fn users() -> Option<Users> {
    let mut users = Users::new();
    users.insert(alice(), secret("alice password"));
    Some(users)
}

fn client(password: &str) -> Xauth {
    Xauth::Client(XauthClient::new().credentials(alice(), secret(password)))
}

fn server() -> Xauth {
    Xauth::Server(XauthServer::new())
}

fn pair(left: ConnectionConfig, right: ConnectionConfig) -> Pair {
    let mut pair = Pair::new(plan(left), plan(right));
    pair.right.users = users();
    pair.left.users = users();
    pair
}

fn run(left: ConnectionConfig, right: ConnectionConfig) -> Pair {
    let mut pair = pair(left, right);
    pair.initiate();
    pair.settle();
    pair
}

fn authenticated(end: &End) -> Vec<(String, bool)> {
    let user = |event: &Event| match event {
        Event::UserAuthenticated { user, is_peer, .. } => Some((user.to_string(), *is_peer)),
        _ => None,
    };
    end.events.iter().filter_map(user).collect()
}

fn ended(end: &End) -> Vec<RemoveReason> {
    let reason = |event: &Event| match event {
        Event::IkeSaEnded { reason, .. } => Some(reason.clone()),
        _ => None,
    };
    end.events.iter().filter_map(reason).collect()
}

/// Returns the exchange types that went over the wire, each sender's repeats included.
fn exchanges(pair: &Pair) -> Vec<(bool, ExchangeType, u32)> {
    let of = |transmit: &drive::Transmit| {
        let message = ipsec_wire::isakmp::Message::parse(&transmit.payload).unwrap();
        let from_left = transmit.path.local.ip() == core::net::IpAddr::from(A);
        (from_left, message.header().exchange, message.header().message_id.0)
    };
    pair.seen.iter().map(of).collect()
}

#[test]
fn a_user_with_the_right_password_gets_through_in_both_modes_and_whoever_starts() {
    for aggressive in [false, true] {
        for server_starts in [false, true] {
            let mode = if aggressive { Phase1Mode::Aggressive } else { Phase1Mode::Main };
            let set = |end: ConnectionConfig| end.mode(mode).dangerously_allow_aggressive_mode(true);
            let (ours, theirs) =
                if server_starts { (server(), client("alice password")) } else { (client("alice password"), server()) };
            let pair = run(set(left().xauth(ours)), set(right().xauth(theirs)));
            assert!(pair.left.established() && pair.right.established(), "{aggressive} {server_starts}");
            pair.assert_mirrored();
            let (client, server) = if server_starts { (&pair.right, &pair.left) } else { (&pair.left, &pair.right) };
            assert_eq!(authenticated(client), [("alice".into(), false)]);
            assert_eq!(authenticated(server), [("alice".into(), true)]);
            let method = |end: &End| end.endpoint.status().ike_sas[0].transform.unwrap().authentication.number();
            let wanted =
                if server_starts { AuthMethod::XAUTH_RESP_PRE_SHARED } else { AuthMethod::XAUTH_INIT_PRE_SHARED };
            assert_eq!((method(client), method(server)), (wanted, wanted));
        }
    }
}

/// draft-beaulieu-ike-xauth §4: REQUEST and REPLY share a message id, SET and ACK another.
#[test]
fn the_messages_are_request_reply_set_ack_and_then_quick_mode() {
    let pair = run(left().xauth(client("alice password")), right().xauth(server()));
    let after: Vec<_> =
        exchanges(&pair).into_iter().filter(|(_, exchange, _)| *exchange != ExchangeType::MAIN).collect();
    let [(false, _, request), (true, _, reply), (false, _, set), (true, _, ack), quick @ ..] = after.as_slice() else {
        panic!("{after:?}")
    };
    assert!(after[..4].iter().all(|(_, exchange, _)| *exchange == ExchangeType::TRANSACTION));
    assert!(request == reply && set == ack && request != set);
    assert!(quick.iter().all(|(_, exchange, _)| *exchange == ExchangeType::QUICK) && quick.len() == 3);
}

#[test]
fn one_end_without_xauth_gets_no_proposal_chosen() {
    for (ours, theirs) in [(left().xauth(client("x")), right()), (left(), right().xauth(server()))] {
        let pair = run(ours, theirs);
        let refused = |event: &Event| matches!(event, Event::Phase1Failed { failure: Failure::NoProposalChosen, .. });
        assert!(pair.right.has(refused));
        assert!(!pair.right.established());
    }
}

/// SET(STATUS=FAIL), ACK, and the SA is gone on both ends without a Delete, as strongSwan does.
#[test]
fn a_wrong_password_ends_the_sa_on_both_ends_and_what_waited_fails() {
    let pair = run(left().xauth(client("wrong")), right().xauth(server()));
    for end in [&pair.left, &pair.right] {
        assert_eq!(ended(end), [RemoveReason::Failed(Failure::UserRefused)]);
        let status = end.endpoint.status();
        assert!(status.ike_sas.is_empty() && status.children.is_empty());
        assert_eq!(end.endpoint.poll_timeout(), None);
    }
    let failed = |event: &Event| matches!(event, Event::Phase2Failed { failure: Failure::UserRefused, .. });
    assert_eq!(pair.left.count(failed), 1);
    let refused =
        |event: &Event| matches!(event, Event::UserRefused { user: Some(user), left: 0, .. } if *user == alice());
    assert!(pair.left.has(refused) && pair.right.has(refused));
    let informational =
        exchanges(&pair).iter().filter(|(_, exchange, _)| *exchange == ExchangeType::INFORMATIONAL).count();
    assert_eq!(informational, 0);
}

/// Returns the questions of one end that wait for the test.
fn verify(end: &mut End) -> Box<VerifyUser> {
    match end.asked.pop() {
        Some(Action::VerifyUser(ask)) => ask,
        other => panic!("{other:?}"),
    }
}

fn asked(end: &mut End) -> Box<AskUser> {
    match end.asked.pop() {
        Some(Action::AskUser(ask)) => ask,
        other => panic!("{other:?}"),
    }
}

fn answer(pair: &mut Pair, answer: XauthAnswer) {
    let ask = asked(&mut pair.left);
    let command = Command::ProvideAnswer { ticket: ask.ticket, answer: Some(Box::new(answer)) };
    pair.left.endpoint.handle_command(pair.now, command).unwrap();
    pair.settle();
}

fn verdict(pair: &mut Pair, verdict: UserVerdict) -> Box<VerifyUser> {
    let ask = verify(&mut pair.right);
    let command = Command::ProvideVerdict { ticket: ask.ticket, verdict };
    pair.right.endpoint.handle_command(pair.now, command).unwrap();
    pair.settle();
    ask
}

/// A pair whose users and checks are the test's.
fn by_hand(server: XauthServer) -> Pair {
    let mut pair =
        Pair::new(plan(left().xauth(Xauth::Client(XauthClient::new()))), plan(right().xauth(Xauth::Server(server))));
    pair.initiate();
    pair.settle();
    pair
}

#[test]
fn a_passcode_a_next_pin_and_a_question_are_further_rounds_of_one_user() {
    let mut pair = by_hand(XauthServer::new());
    answer(&mut pair, XauthAnswer::password(alice(), secret("first")));
    let rounds = [(XauthField::Passcode, "123456"), (XauthField::NextPin, "4711"), (XauthField::Answer, "y")];
    for (round, (field, text)) in rounds.into_iter().enumerate() {
        let message = format!("round {round}");
        let question = XauthQuestion { message: Some(message.clone()), asks: vec![field], ..XauthQuestion::default() };
        let before = verdict(&mut pair, UserVerdict::Ask(question.clone()));
        assert_eq!((before.round as usize, before.user), (round + 1, Some(alice())));
        let ask = match pair.left.asked.last() {
            Some(Action::AskUser(ask)) => ask.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!((ask.question, ask.round as usize), (question, round + 2));
        let mut given = XauthAnswer::default();
        match field {
            XauthField::Passcode => given.passcode = Some(secret(text)),
            XauthField::NextPin => given.next_pin = Some(secret(text)),
            _ => given.answer = Some(secret(text)),
        }
        answer(&mut pair, given);
    }
    let last = verdict(&mut pair, UserVerdict::Accept);
    assert_eq!(last.answer.answer.as_ref().unwrap().expose(), b"y");
    assert!(pair.left.established() && pair.right.established());
    assert_eq!(authenticated(&pair.right), [("alice".into(), true)]);
}

#[test]
fn a_chap_challenge_is_answered_from_the_configuration() {
    let question = XauthQuestion { kind: XauthKind::RadiusChap, ..XauthQuestion::password() };
    let server = |question| Xauth::Server(XauthServer::new().question(question));
    let pair = run(left().xauth(client("alice password")), right().xauth(server(question.clone())));
    assert!(pair.left.established());
    let pair = run(left().xauth(client("other")), right().xauth(server(question)));
    assert!(!pair.left.established() && !pair.right.established());
}

#[test]
fn a_one_time_password_takes_a_challenge_that_depends_on_the_name() {
    let first = XauthQuestion { kind: XauthKind::Otp, asks: vec![XauthField::User], ..XauthQuestion::default() };
    let mut pair = by_hand(XauthServer::new().question(first));
    answer(&mut pair, XauthAnswer { user: Some(alice()), ..XauthAnswer::default() });
    let question = XauthQuestion {
        kind: XauthKind::Otp,
        challenge: Some(b"otp-md5 499 ke1234".to_vec()),
        ..XauthQuestion::password()
    };
    verdict(&mut pair, UserVerdict::Ask(question.clone()));
    let shown = match pair.left.asked.last() {
        Some(Action::AskUser(ask)) => ask.question.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(shown, question);
    answer(&mut pair, XauthAnswer::password(alice(), secret("RIFT ROSY HIP ALE FUND GOAL")));
    verdict(&mut pair, UserVerdict::Accept);
    assert!(pair.left.established());
}

#[test]
fn wrong_answers_are_asked_again_as_often_as_the_plan_allows() {
    let mut pair = by_hand(XauthServer::new().attempts(3));
    for left in [2, 1] {
        answer(&mut pair, XauthAnswer::password(alice(), secret("wrong")));
        verdict(&mut pair, UserVerdict::Refuse { message: Some("again".into()) });
        assert!(pair.right.has(|event| matches!(event, Event::UserRefused { left: l, .. } if *l == left)));
    }
    answer(&mut pair, XauthAnswer::password(alice(), secret("right")));
    let asked = verdict(&mut pair, UserVerdict::Accept);
    assert_eq!((asked.round, asked.failures), (3, 2));
    assert!(pair.left.established());
    let mut pair = by_hand(XauthServer::new().attempts(2));
    for _ in 0..2 {
        answer(&mut pair, XauthAnswer::password(alice(), secret("wrong")));
        verdict(&mut pair, UserVerdict::Refuse { message: None });
    }
    assert!(pair.left.endpoint.status().ike_sas.is_empty() && pair.right.endpoint.status().ike_sas.is_empty());
}

#[test]
fn questions_without_end_are_bounded() {
    let mut pair = by_hand(XauthServer::new().rounds(3));
    let again = XauthQuestion { asks: vec![XauthField::Answer], ..XauthQuestion::default() };
    answer(&mut pair, XauthAnswer::password(alice(), secret("right")));
    for _ in 0..2 {
        verdict(&mut pair, UserVerdict::Ask(again.clone()));
        answer(&mut pair, XauthAnswer { answer: Some(secret("y")), ..XauthAnswer::default() });
    }
    verdict(&mut pair, UserVerdict::Ask(again));
    assert_eq!(ended(&pair.right), [RemoveReason::Failed(Failure::UserRefused)]);
}

/// Who changes his name between rounds could prove one half of each.
#[test]
fn another_name_in_a_later_round_is_refused() {
    let mut pair = by_hand(XauthServer::new());
    answer(&mut pair, XauthAnswer::password(alice(), secret("right")));
    verdict(&mut pair, UserVerdict::Ask(XauthQuestion::password()));
    answer(&mut pair, XauthAnswer::password("root".into(), secret("right")));
    assert!(pair.right.asked.is_empty());
    assert_eq!(ended(&pair.right), [RemoveReason::Failed(Failure::UserRefused)]);
}

#[test]
fn a_user_who_is_not_there_is_refused() {
    let mut pair = by_hand(XauthServer::new());
    let ask = asked(&mut pair.left);
    let command = Command::ProvideAnswer { ticket: ask.ticket, answer: None };
    pair.left.endpoint.handle_command(pair.now, command).unwrap();
    pair.settle();
    for end in [&pair.left, &pair.right] {
        assert_eq!(ended(end), [RemoveReason::Failed(Failure::UserRefused)]);
    }
}

#[test]
fn a_caller_that_never_answers_is_a_refusal() {
    let mut pair = by_hand(XauthServer::new());
    answer(&mut pair, XauthAnswer::password(alice(), secret("right")));
    let ask = verify(&mut pair.right);
    pair.advance(Duration::from_secs(40));
    assert_eq!(ended(&pair.right), [RemoveReason::Failed(Failure::UserRefused)]);
    let late = Command::ProvideVerdict { ticket: ask.ticket, verdict: UserVerdict::Accept };
    let refused = pair.right.endpoint.handle_command(pair.now, late);
    assert_eq!(refused.unwrap_err(), CommandError::UnknownTicket(ask.ticket));
    assert!(!pair.left.established());
}

#[test]
fn a_user_who_thinks_too_long_ends_the_sa_on_both_ends() {
    let mut pair = by_hand(XauthServer::new());
    assert_eq!(pair.right.endpoint.status().ike_sas[0].state, IkeSaState::DoingXauth);
    pair.advance(Duration::from_secs(400));
    for end in [&pair.left, &pair.right] {
        assert!(end.endpoint.status().ike_sas.is_empty());
        assert!(matches!(ended(end).as_slice(), [RemoveReason::Failed(_) | RemoveReason::DeletedByPeer]));
        assert_eq!(end.endpoint.poll_timeout(), None);
    }
}

/// A REQUEST that comes again gets the same REPLY octet for octet, and no second prompt.
#[test]
fn a_repeated_question_gets_the_stored_answer() {
    let mut pair = by_hand(XauthServer::new());
    let request = pair.seen.last().unwrap().clone();
    assert_eq!(pair.deliver(&request), Verdict::Duplicate);
    assert_eq!(pair.left.asked.len(), 1);
    answer(&mut pair, XauthAnswer::password(alice(), secret("right")));
    let reply = pair.seen.last().unwrap().clone();
    assert_eq!(pair.deliver(&request), Verdict::Duplicate);
    let now = pair.now;
    assert_eq!(pair.left.drain(now), std::slice::from_ref(&reply));
    assert!(pair.left.asked.is_empty());
    assert_eq!(pair.deliver(&reply), Verdict::Duplicate);
    assert_eq!(pair.right.asked.len(), 1);
}

#[test]
fn a_renewal_runs_xauth_again_and_keeps_the_pairs() {
    let mut pair = run(left().xauth(client("alice password")), right().xauth(server()));
    let old = pair.left.endpoint.status().ike_sas[0].ike_sa;
    pair.command(Command::RekeyIke { ike_sa: old });
    pair.settle();
    assert_eq!(authenticated(&pair.right).len(), 2);
    assert!(pair.right.has(|event| matches!(event, Event::SasAdopted { count: 1, .. })));
    pair.advance(Duration::from_secs(60));
    for end in [&pair.left, &pair.right] {
        let status = end.endpoint.status();
        assert_eq!((status.ike_sas.len(), status.children.len()), (1, 1));
        assert_ne!(status.ike_sas[0].ike_sa, old);
    }
}

#[test]
fn a_gateway_that_skips_xauth_on_renewal_is_a_setting_of_the_client() {
    let silent = XauthClient::new().credentials(alice(), secret("alice password")).again(false);
    let mut pair = run(left().xauth(Xauth::Client(silent)), right().xauth(server()));
    let old = pair.left.endpoint.status().ike_sas[0].ike_sa;
    pair.command(Command::RekeyIke { ike_sa: old });
    pair.drain();
    // Phase 1 alone: the server's question is lost on the way.
    while let Some(next) = pair.wire.front() {
        let message = ipsec_wire::isakmp::Message::parse(&next.payload).unwrap();
        if message.header().exchange == ExchangeType::TRANSACTION {
            pair.wire.pop_front();
        } else {
            pair.step();
        }
    }
    assert!(pair.left.has(|event| matches!(event, Event::SasAdopted { .. })));
    assert!(!pair.right.has(|event| matches!(event, Event::SasAdopted { .. })), "the server always asks");
}

/// Two users of one group behind one NAT: the same identity, key and address.
#[test]
fn two_users_of_one_group_at_one_address_do_not_replace_each_other() {
    let mut users = users().unwrap();
    users.insert("bob".into(), secret("bob password"));
    let mut server_end = End::new(common::endpoint(plan(right().xauth(server()).initial_contact(true)), 9));
    server_end.users = Some(users);
    let mut connect = |seed: u64, name: &str, now: drive::Instant| {
        let xauth = XauthClient::new().credentials(name.into(), secret(&format!("{name} password")));
        let mut end = End::new(common::endpoint(plan(left().xauth(Xauth::Client(xauth))), seed));
        end.endpoint.handle_command(now, Command::Initiate { connection: SITE }).unwrap();
        for _ in 0..20 {
            for transmit in end.drain(now) {
                let _ = server_end.endpoint.handle_datagram(now, transmit.as_received());
            }
            for transmit in server_end.drain(now) {
                let _ = end.endpoint.handle_datagram(now, transmit.as_received());
            }
        }
        assert!(end.established(), "{name}");
        server_end.endpoint.status().children.len()
    };
    let now = drive::Instant::from_secs(1);
    assert_eq!(connect(1, "alice", now), 1);
    assert_eq!(connect(2, "bob", now), 2, "bob's INITIAL-CONTACT is not about alice");
    assert_eq!(connect(3, "alice", now), 2, "alice started afresh");
}

/// cves.md row 40: authentic, but too early.
#[test]
fn quick_mode_before_the_user_is_proven_is_refused_and_counted() {
    // The peer believes that no XAUTH follows: its quick mode is lawful but for that.
    let mut pair = by_hand(XauthServer::new());
    let quick = {
        let mut eager = run(left().xauth(client("alice password")), right().xauth(server()));
        eager.settle();
        eager.seen.into_iter().find(|transmit| transmit.payload[18] == ExchangeType::QUICK.0).unwrap()
    };
    let sa = &pair.right.endpoint.status().ike_sas[0];
    let mut payload = quick.payload.to_vec();
    payload[..8].copy_from_slice(&sa.cookies.initiator.0);
    payload[8..16].copy_from_slice(&sa.cookies.responder.0);
    let forged = drive::Transmit { path: quick.path, payload: payload.into() };
    assert_eq!(pair.deliver(&forged), Verdict::Ignored(DropReason::NotOpen));
    assert_eq!(pair.right.endpoint.own_counters().not_open, 1);
    assert!(pair.right.endpoint.status().children.is_empty());
    // The lawful user goes on undisturbed.
    answer(&mut pair, XauthAnswer::password(alice(), secret("right")));
    verdict(&mut pair, UserVerdict::Accept);
    assert!(pair.left.established() && pair.right.established());
}

#[test]
fn ours_waits_for_the_user_and_is_merged() {
    let mut pair = by_hand(XauthServer::new());
    assert_eq!(pair.left.endpoint.status().ike_sas[0].queued, 1);
    let acquire = Command::Acquire { connection: SITE, policy: ikev1_core::PolicyId(0), packet: None };
    pair.command(acquire);
    assert_eq!(pair.left.endpoint.status().ike_sas[0].queued, 1);
    assert!(!exchanges(&pair).iter().any(|(_, exchange, _)| *exchange == ExchangeType::QUICK));
    let sa = pair.left.endpoint.status().ike_sas[0].ike_sa;
    pair.command(Command::DeleteIke { ike_sa: sa });
    assert!(pair.left.has(|event| matches!(event, Event::Phase2Failed { failure: Failure::Closed, .. })));
}

#[test]
fn passwords_are_in_no_trace_and_no_debug_output() {
    let pair = run(left().xauth(client("alice password")), right().xauth(server()));
    let mut transactions = 0;
    for end in [&pair.left, &pair.right] {
        for event in &end.events {
            let Event::Message(trace) = event else { continue };
            assert!(!trace.clear.windows(14).any(|window| window == b"alice password"));
            transactions += usize::from(trace.exchange == ExchangeType::TRANSACTION);
        }
        assert!(end.log.iter().all(|line| !line.contains("alice password")));
    }
    assert_eq!(transactions, 8);
    let answer = XauthAnswer::password(alice(), secret("alice password"));
    let command = Command::ProvideAnswer { ticket: ikev1_core::Ticket(1), answer: Some(Box::new(answer)) };
    assert!(!format!("{command:?}").contains("alice password"));
}

#[test]
fn a_lost_outcome_is_sent_again_and_the_user_is_asked_once() {
    let mut pair = by_hand(XauthServer::new());
    answer(&mut pair, XauthAnswer::password(alice(), secret("right")));
    let ask = verify(&mut pair.right);
    let command = Command::ProvideVerdict { ticket: ask.ticket, verdict: UserVerdict::Accept };
    pair.right.endpoint.handle_command(pair.now, command).unwrap();
    pair.drain();
    pair.wire.clear();
    pair.advance(Duration::from_secs(5));
    assert!(pair.left.established() && pair.right.established());
    assert_eq!(authenticated(&pair.left), [("alice".into(), false)]);
}

#[test]
fn dead_users_of_one_group_at_one_address_do_not_take_each_other_along() {
    // Both are still asked for their passwords: neither is anybody in particular.
    let mut server_end = End::new(common::endpoint(plan(right().xauth(server())), 9));
    let now = drive::Instant::from_secs(1);
    let mut ends: Vec<End> = (1..=2)
        .map(|seed| End::new(common::endpoint(plan(left().xauth(Xauth::Client(XauthClient::new()))), seed)))
        .collect();
    for end in &mut ends {
        end.endpoint.handle_command(now, Command::Initiate { connection: SITE }).unwrap();
        for _ in 0..10 {
            for transmit in end.drain(now) {
                let _ = server_end.endpoint.handle_datagram(now, transmit.as_received());
            }
            for transmit in server_end.drain(now) {
                let _ = end.endpoint.handle_datagram(now, transmit.as_received());
            }
        }
        assert_eq!(end.asked.len(), 1);
    }
    let sas = server_end.endpoint.status().ike_sas;
    assert_eq!(sas.len(), 2);
    server_end.endpoint.handle_command(now, Command::DeleteIke { ike_sa: sas[0].ike_sa }).unwrap();
    assert_eq!(server_end.endpoint.status().ike_sas.len(), 1);
}

#[test]
fn connections_of_other_policies_are_not_touched() {
    let pair = run(
        connection(A, B).policy(policy([10, 10, 1, 0], [10, 10, 2, 0])),
        connection(B, A).policy(policy([10, 10, 2, 0], [10, 10, 1, 0])),
    );
    assert!(pair.left.established());
    assert!(!exchanges(&pair).iter().any(|(_, exchange, _)| *exchange == ExchangeType::TRANSACTION));
}
