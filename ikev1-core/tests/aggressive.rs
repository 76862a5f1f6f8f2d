//! Aggressive mode with a pre-shared key: both roles, the connection chosen by identity, NATs, loss,
//! noise, and what is refused.

use crate::common::lossy;
use crate::common::{A, B, End, Pair, SITE, connection, endpoint, left, plan, policy, right, transform};
use core::time::Duration;
use drive::{Datagram, Instant, Path, Transmit, Verdict};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::crypto::{CipherAlgorithm, DhGroup, HashAlgorithm};
use ikev1_core::proposal::Phase1Transform;
use ikev1_core::{
    Action, Command, Config, ConnectionConfig, ConnectionId, Direction, DropReason, Encapsulation, Endpoint, Event,
    Failure, Identity, Peer, Phase1Mode, RemoteIdentity, StateName,
};
use ipsec_wire::isakmp::{Body, Header, Message};
use ipsec_wire::registry::{ExchangeType, PayloadType};
use nat_t::Location;
use simnet::nat::NatConfig;
use simnet::{Chance, Harness, Link, Realm, World};

fn aggressive(connection: ConnectionConfig) -> ConnectionConfig {
    connection.mode(Phase1Mode::Aggressive).dangerously_allow_aggressive_mode(true)
}

fn answering(connection: ConnectionConfig) -> ConnectionConfig {
    connection.dangerously_allow_aggressive_mode(true)
}

fn group_name() -> Identity {
    Identity::KeyId(b"labgroup".to_vec())
}

fn agrees(left: ConnectionConfig, right: ConnectionConfig) -> Pair {
    let mut pair = Pair::new(plan(left), plan(right));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established(), "{:?}", pair.left.events);
    pair.assert_mirrored();
    pair
}

fn ordinary() -> Pair {
    Pair::new(plan(aggressive(left())), plan(answering(right())))
}

#[test]
fn aggressive_mode_and_quick_mode_make_mirrored_sas_in_six_messages() {
    let pair = agrees(aggressive(left()), answering(right()));
    assert_eq!(pair.seen.len(), 6);
    for end in [&pair.left, &pair.right] {
        let status = &end.endpoint.status().ike_sas[0];
        assert_eq!(status.exchange_state, StateName::AggressiveUp);
        assert_eq!(status.exchange_state.name(), "UP");
    }
    let exchanges: Vec<ExchangeType> =
        pair.seen.iter().map(|seen| Message::parse(&seen.payload).unwrap().header().exchange).collect();
    assert_eq!(exchanges[..3], [ExchangeType::AGGRESSIVE; 3]);
    assert!(matches!(Message::parse(&pair.seen[2].payload).unwrap().body(), Body::Encrypted(_)));
}

#[test]
fn every_cipher_and_hash_and_both_kinds_of_groups_work() {
    for cipher in CipherAlgorithm::ALL {
        for hash in HashAlgorithm::ALL {
            let chosen = vec![Phase1Transform { cipher, hash, ..transform(DhGroup::Modp768) }];
            agrees(aggressive(left().phase1(chosen.clone())), answering(right().phase1(chosen)));
        }
    }
    for group in [DhGroup::Modp1024, DhGroup::Modp2048, DhGroup::Ecp256] {
        let chosen = vec![transform(group)];
        agrees(aggressive(left().phase1(chosen.clone())), answering(right().phase1(chosen)));
    }
}

#[test]
fn the_group_is_that_of_the_public_value_whatever_the_responder_would_rather_have() {
    let both = vec![transform(DhGroup::Modp1536), transform(DhGroup::Modp768)];
    let pair = agrees(aggressive(left()), answering(right().phase1(both)));
    assert_eq!(pair.right.endpoint.status().ike_sas[0].transform.unwrap().group, DhGroup::Modp768);
}

#[test]
fn the_responder_tells_that_a_hash_over_its_key_went_out() {
    let pair = agrees(aggressive(left()), answering(right()));
    let exposed = |event: &Event| matches!(event, Event::KeyHashExposed { peer: Identity::Address(_), .. });
    assert_eq!((pair.left.count(exposed), pair.right.count(exposed)), (0, 1));
}

#[test]
fn a_responder_that_does_not_allow_it_is_silent() {
    let mut pair = Pair::new(plan(aggressive(left())), plan(right()));
    pair.initiate();
    pair.settle();
    assert_eq!(pair.right.endpoint.own_counters().no_connection, 1);
    assert!(pair.right.log.is_empty());
    pair.advance(Duration::from_secs(400));
    assert!(pair.left.has(|event| matches!(
        event,
        Event::Phase1Failed { failure: Failure::Timeout { sendings: 9, hint: None }, .. }
    )));
}

#[test]
fn starting_it_needs_the_dangerous_word_and_one_group() {
    let refusal = |connection| Config::new().connection(connection).build().unwrap_err().to_string();
    let text = refusal(left().mode(Phase1Mode::Aggressive));
    assert!(text.starts_with("site.mode: aggressive mode") && text.contains("dangerously_"), "{text}");
    let two = vec![transform(DhGroup::Modp1024), transform(DhGroup::Modp768)];
    assert_eq!(refusal(aggressive(left().phase1(two))), "site.phase1: aggressive mode offers one group only");
}

/// A hub with a connection for each of several identities, each with its own key and policy.
fn hub(identities: &[(&str, Identity)]) -> Config {
    identities.iter().fold(Config::new().trace(true), |config, (name, identity)| {
        let site = ConnectionConfig::new(name)
            .local(core::net::IpAddr::from(B))
            .remote_identity(RemoteIdentity::Exactly(identity.clone()))
            .pre_shared_key(PreSharedKey::copied(name.as_bytes()))
            .phase1(vec![transform(DhGroup::Modp768)])
            .dangerously_allow_weak_algorithms(true)
            .policy(policy([10, 10, 2, 0], [10, 10, 1, 0]));
        config.connection(answering(site))
    })
}

fn identities() -> Vec<(&'static str, Identity)> {
    vec![
        ("group", group_name()),
        ("domain", Identity::Fqdn("left.example.org".into())),
        ("user", Identity::UserFqdn("alice@example.org".into())),
        ("address", Identity::Address(A.into())),
    ]
}

#[test]
fn the_responder_picks_the_connection_and_its_key_by_the_identity() {
    for (at, (name, identity)) in identities().into_iter().enumerate() {
        let ours = aggressive(left()).local_identity(identity).pre_shared_key(PreSharedKey::copied(name.as_bytes()));
        let mut pair = Pair::new(plan(ours), hub(&identities()).build().unwrap());
        pair.initiate();
        pair.settle();
        assert!(pair.left.established() && pair.right.established(), "{name}");
        let status = &pair.right.endpoint.status().ike_sas[0];
        assert_eq!((status.connection, status.name.as_str()), (ConnectionId(at as u32), name));
    }
}

#[test]
fn a_fixed_peer_wins_over_any_and_a_named_identity_over_anyone() {
    let fixed = Peer::Address(A.into());
    let exactly = || RemoteIdentity::Exactly(group_name());
    // Worst first in the plan, so that its order does not decide.
    let classes = [
        ("anyone-any", Peer::Any, RemoteIdentity::Anyone),
        ("named-any", Peer::Any, exactly()),
        ("anyone-fixed", fixed, RemoteIdentity::Anyone),
        ("named-fixed", fixed, exactly()),
    ];
    for best in (0..classes.len()).rev() {
        let config = classes.iter().take(best + 1).fold(Config::new(), |config, (name, peer, identity)| {
            let class = ConnectionConfig::new(name)
                .peer(*peer)
                .local(core::net::IpAddr::from(B))
                .remote_identity(identity.clone())
                .pre_shared_key(PreSharedKey::copied(b"psk for the interop lab"))
                .phase1(vec![transform(DhGroup::Modp768)])
                .dangerously_allow_weak_algorithms(true)
                .policy(policy([10, 10, 2, 0], [10, 10, 1, 0]));
            config.connection(answering(class))
        });
        let mut pair = Pair::new(plan(aggressive(left()).local_identity(group_name())), config.build().unwrap());
        pair.initiate();
        pair.settle();
        assert!(pair.left.established());
        assert_eq!(pair.right.endpoint.status().ike_sas[0].name, classes[best].0);
    }
}

#[test]
fn an_identity_that_nobody_has_is_answered_like_one_with_another_key() {
    let shape = |identity: Identity| {
        let ours = aggressive(left()).local_identity(identity).pre_shared_key(PreSharedKey::copied(b"guess"));
        let mut pair = Pair::new(plan(ours), hub(&[("group", group_name())]).build().unwrap());
        pair.initiate();
        pair.settle();
        let answer = Message::parse(&pair.seen[1].payload).unwrap();
        let Body::Clear(payloads) = answer.body() else { panic!("message 2 is clear") };
        let shape: Vec<(PayloadType, usize)> =
            payloads.iter().map(|payload| (payload.payload_type(), payload.body().len())).collect();
        (pair, shape)
    };
    let (known, known_shape) = shape(group_name());
    let (unknown, unknown_shape) = shape(Identity::KeyId(b"nogroups".to_vec()));
    assert_eq!(known_shape, unknown_shape);
    assert_eq!(known.seen.len(), unknown.seen.len());
    for mut pair in [known, unknown] {
        pair.advance(Duration::from_secs(400));
        assert!(
            pair.left.has(|event| matches!(event, Event::Phase1Failed { failure: Failure::AuthenticationFailed, .. }))
        );
        assert!(pair.left.has(|event| matches!(event, Event::AuthenticationFailed { credential, .. } if credential == "pre-shared key of site")));
        assert!(pair.right.endpoint.status().ike_sas.is_empty());
    }
}

#[test]
fn the_right_key_under_an_unknown_identity_proves_nothing() {
    let ours = aggressive(left()).local_identity(Identity::KeyId(b"other".to_vec()));
    let ours = ours.pre_shared_key(PreSharedKey::copied(b"group"));
    let mut pair = Pair::new(plan(ours), hub(&[("group", group_name())]).build().unwrap());
    pair.initiate();
    pair.settle();
    pair.advance(Duration::from_secs(400));
    assert!(!pair.left.established() && !pair.right.established());
    assert!(pair.right.has(|event| matches!(event, Event::Phase1Failed { failure: Failure::NoKey, .. })));
}

#[test]
fn a_responder_with_another_identity_than_wanted_is_refused_and_told() {
    let wanted = RemoteIdentity::Exactly(Identity::Fqdn("right.example.org".into()));
    let mut pair = Pair::new(plan(aggressive(left()).remote_identity(wanted)), plan(answering(right())));
    pair.initiate();
    pair.settle();
    assert!(pair.left.has(|event| matches!(event, Event::Phase1Failed { failure: Failure::WrongIdentity, .. })));
    assert!(pair.right.has(|event| matches!(event, Event::Phase1Failed { failure: Failure::RefusedByPeer(24), .. })));
    for end in [&pair.left, &pair.right] {
        assert!(end.endpoint.status().ike_sas.is_empty());
    }
}

#[test]
fn a_refused_offer_names_no_cookie_and_leaves_no_state() {
    let other = Phase1Transform { hash: HashAlgorithm::Sha2_256, ..transform(DhGroup::Modp768) };
    let mut pair = Pair::new(plan(aggressive(left())), plan(answering(right().phase1(vec![other]))));
    pair.initiate();
    pair.settle();
    let refusal = *Message::parse(&pair.seen[1].payload).unwrap().header();
    assert!(refusal.responder_cookie.is_zero());
    assert!(pair.right.endpoint.status().ike_sas.is_empty());
    let text = |event: &Event| match event {
        Event::Phase1Failed { refusals, failure: Failure::NoProposalChosen, .. } => Some(refusals.to_string()),
        _ => None,
    };
    let text = pair.right.events.iter().find_map(text).unwrap();
    assert_eq!(text, "transform 1 against policy 1: hash SHA-1, wanted SHA2-256");
}

#[test]
fn a_renewal_keeps_the_mode_on_both_ends() {
    let mut pair = agrees(aggressive(left()), answering(right()));
    let old = pair.right.endpoint.status().ike_sas[0].ike_sa;
    pair.right.endpoint.handle_command(pair.now, Command::RekeyIke { ike_sa: old }).unwrap();
    pair.settle();
    let states = |end: &End| end.endpoint.status().ike_sas.iter().map(|sa| sa.exchange_state).collect::<Vec<_>>();
    assert_eq!(states(&pair.right), [StateName::AggressiveUp; 2]);
    let from_right = |seen: &&Transmit| Message::parse(&seen.payload).unwrap().header().exchange;
    assert!(pair.seen.iter().skip(6).take(3).all(|seen| from_right(&seen) == ExchangeType::AGGRESSIVE));
    pair.advance(Duration::from_secs(60));
    assert_eq!(states(&pair.left), [StateName::AggressiveUp]);
}

/// A handshake stopped before message `n` (from 0) is delivered, with that message.
fn stopped_before(n: usize) -> (Pair, Transmit) {
    let mut pair = ordinary();
    pair.initiate();
    for _ in 0..n {
        pair.step();
    }
    let next = pair.wire.pop_front().unwrap();
    (pair, next)
}

#[test]
fn truncated_lengthened_and_flipped_messages_are_survived() {
    for n in 0..3 {
        let (_, lawful) = stopped_before(n);
        let payload = lawful.payload.to_vec();
        let mut damaged: Vec<Vec<u8>> = (0..payload.len()).map(|length| payload[..length].to_vec()).collect();
        damaged.push([&payload[..], &[0]].concat());
        // The proposals of message 1 apart, which can become other lawful ones, every bit counts.
        for bit in (0..payload.len() * 8).step_by(if n == 2 { 1 } else { 7 }) {
            let mut flipped = payload.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            damaged.push(flipped);
        }
        let (mut pair, mut lawful) = stopped_before(n);
        for payload in damaged {
            let attempt = Transmit { path: lawful.path, payload: payload.into() };
            if matches!(pair.deliver(&attempt), Verdict::Accepted) {
                // NAT-D, vendor ids and notifications stand outside HASH_I and HASH_R: start afresh.
                (pair, lawful) = stopped_before(n);
            }
            let now = pair.now;
            let _ = (pair.left.drain(now), pair.right.drain(now));
            assert!(!pair.left.established() && !pair.right.established());
        }
        pair.wire.push_back(lawful);
        pair.settle();
        pair.advance(Duration::from_secs(120));
        assert!(pair.left.established() && pair.right.established(), "message {} after damage", n + 1);
    }
}

#[test]
fn a_third_message_in_clear_is_taken_and_a_forged_one_is_not() {
    let (mut pair, third) = stopped_before(2);
    let header = *Message::parse(&third.payload).unwrap().header();
    let forged = |hash: &[u8]| {
        let mut chain = ipsec_wire::isakmp::ChainBuilder::new();
        chain.push_body(PayloadType::HASH, hash);
        let chain = chain.finish().unwrap();
        let clear = Header::new(
            header.initiator_cookie,
            header.responder_cookie,
            ExchangeType::AGGRESSIVE,
            ipsec_wire::isakmp::MessageId(0),
        );
        Transmit { path: third.path, payload: clear.enclose(chain.first(), chain.octets()).unwrap().into() }
    };
    for length in [0, 1, 19, 20, 21, 32] {
        assert_eq!(
            pair.deliver(&forged(&vec![0x5a; length])),
            Verdict::Ignored(DropReason::WrongHash),
            "a HASH of {length} octets"
        );
    }
    // The very payloads that the initiator encrypted.
    let trace = pair.left.events.iter().rev().find_map(|event| match event {
        Event::Message(trace) if trace.number == 3 => Some(trace.clone()),
        _ => None,
    });
    let trace = trace.unwrap();
    let clear = Header::new(
        header.initiator_cookie,
        header.responder_cookie,
        header.exchange,
        ipsec_wire::isakmp::MessageId(0),
    );
    let clear = Transmit { path: third.path, payload: clear.enclose(trace.first, &trace.clear).unwrap().into() };
    assert_eq!(pair.deliver(&clear), Verdict::Accepted);
    assert!(pair.right.endpoint.status().ike_sas[0].established.is_some());
}

#[test]
fn main_mode_messages_under_aggressive_cookies_are_dropped_in_every_state() {
    for n in 0..=3 {
        let mut pair = ordinary();
        pair.initiate();
        for _ in 0..n {
            pair.step();
        }
        let Some(status) = pair.right.endpoint.status().ike_sas.first().cloned() else { continue };
        let header = Header::new(
            status.cookies.initiator,
            status.cookies.responder,
            ExchangeType::MAIN,
            ipsec_wire::isakmp::MessageId(0),
        );
        let mut chain = ipsec_wire::isakmp::ChainBuilder::new();
        chain.push_body(PayloadType::NONCE, &[1; 16]);
        let chain = chain.finish().unwrap();
        let payload = header.enclose(chain.first(), chain.octets()).unwrap();
        let path = Path::new((B, 500).into(), (A, 500).into());
        let now = pair.now;
        let verdict = pair.right.endpoint.handle_datagram(now, Datagram { path, payload: &payload });
        assert_eq!(verdict, Verdict::Ignored(DropReason::Unexpected));
        pair.settle();
        assert!(pair.left.established() && pair.right.established());
    }
}

#[test]
fn repeats_are_answered_from_store_and_make_nothing_new() {
    let mut pair = ordinary();
    pair.initiate();
    let first = pair.wire.front().unwrap().clone();
    pair.step();
    let second = pair.wire.front().unwrap().clone();
    assert_eq!(pair.deliver(&first), Verdict::Duplicate);
    let now = pair.now;
    assert_eq!(pair.right.drain(now), std::slice::from_ref(&second));
    pair.step();
    let third = pair.wire.front().unwrap().clone();
    assert_eq!(pair.deliver(&second), Verdict::Duplicate);
    let repeated = pair.left.drain(now);
    assert!(repeated.contains(&third));
    pair.settle();
    assert_eq!(pair.deliver(&third), Verdict::Duplicate);
    assert!(pair.right.drain(now).is_empty());
    assert_eq!(pair.right.endpoint.status().ike_sas.len(), 1);
}

#[test]
fn a_lost_third_message_comes_again_when_phase_2_knocks() {
    let mut pair = ordinary();
    pair.initiate();
    pair.step();
    pair.step();
    let _ = pair.wire.pop_front().unwrap();
    // Quick mode arrives before any proof: it is refused, and brings message 2 out again.
    assert_eq!(pair.step(), Some(Verdict::Ignored(DropReason::Unexpected)));
    assert!(!pair.right.established());
    pair.settle();
    pair.advance(Duration::from_secs(10));
    assert!(pair.left.established() && pair.right.established());
    assert_eq!(pair.right.endpoint.status().ike_sas.len(), 1);
}

#[test]
fn a_responder_without_the_proof_sends_again_within_three_times_what_came_and_ends() {
    let mut pair = ordinary();
    pair.initiate();
    let first = pair.wire.pop_front().unwrap();
    assert_eq!(pair.deliver(&first), Verdict::Accepted);
    let mut sent = 0;
    let now = pair.now;
    sent += pair.right.drain(now).iter().map(|transmit| transmit.payload.len()).sum::<usize>();
    while let Some(at) = pair.right.endpoint.poll_timeout() {
        pair.right.endpoint.handle_timeout(at);
        sent += pair.right.drain(at).iter().map(|transmit| transmit.payload.len()).sum::<usize>();
    }
    assert!(sent > first.payload.len() && sent <= 3 * first.payload.len(), "{sent} of {}", first.payload.len());
    assert!(pair.right.endpoint.status().ike_sas.is_empty());
    assert!(pair.right.has(|event| matches!(event, Event::Phase1Failed { failure: Failure::HalfOpenTimeout, .. })));
}

#[test]
fn half_open_sas_are_limited_for_one_address() {
    let mut responder = End::new(endpoint(plan(answering(right())), 3));
    let now = Instant::from_secs(1);
    let mut refused = 0;
    for seed in 0..20 {
        let mut initiator = End::new(endpoint(plan(aggressive(left())), 100 + seed));
        initiator.endpoint.handle_command(now, Command::Initiate { connection: SITE }).unwrap();
        let first = initiator.drain(now).remove(0);
        let verdict = responder.endpoint.handle_datagram(now, first.as_received());
        refused += usize::from(verdict == Verdict::Ignored(DropReason::HalfOpenLimit));
    }
    assert_eq!(refused, 20 - ikev1_core::defaults::MAX_HALF_OPEN_PER_ADDRESS);
}

const INSIDE: [u8; 4] = [10, 1, 0, 10];
const OUTSIDE: [u8; 4] = [192, 0, 2, 254];

#[test]
fn behind_a_nat_the_third_message_and_all_that_follows_use_port_4500() {
    let ours = aggressive(connection(INSIDE, B)).local_identity(group_name());
    let ours = ours.policy(policy([10, 10, 1, 0], [10, 10, 2, 0]));
    let theirs = answering(right()).peer(Peer::Any).remote_identity(RemoteIdentity::Exactly(group_name()));
    let mut world = World::new(1);
    world.set_links(Link::with_latency(Duration::from_millis(10)));
    let nat = world.add_nat(NatConfig::new(OUTSIDE.into()));
    let inside = world.add_node_in(Realm::Behind(nat), "left", INSIDE);
    let outside = world.add_node("right", B);
    let (one, two) = (world.entropy(inside), world.entropy(outside));
    let mut harness = Harness::new(world);
    harness.place(inside, Endpoint::new(plan(ours), Box::new(one)));
    harness.place(outside, Endpoint::new(plan(theirs), Box::new(two)));
    harness.command(inside, Command::Initiate { connection: SITE }).unwrap().unwrap();
    harness.run_until(Instant::from_secs(5)).unwrap();
    let status = |node| harness.machine(node).unwrap().status().ike_sas[0].clone();
    assert_eq!((status(inside).nat, status(outside).nat), (Location::Local, Location::Remote));
    assert_eq!(status(inside).path, Path::new((INSIDE, 4500).into(), (B, 4500).into()));
    assert_eq!((status(outside).path.local, status(outside).path.remote.ip()), ((B, 4500).into(), OUTSIDE.into()));
    let child = harness.machine(outside).unwrap().status().children[0].clone();
    assert!(matches!(child.encapsulation, Encapsulation::Udp(_)));
    let sent_from = harness.actions(inside).iter().filter_map(|(_, action)| match action {
        Action::Event(Event::Message(trace)) if trace.direction == Direction::Outbound => Some(trace.path.local.port()),
        _ => None,
    });
    assert_eq!(sent_from.take(3).collect::<Vec<_>>(), [500, 4500, 4500]);
}

#[test]
fn encapsulation_can_be_forced_by_either_end() {
    for (ours, theirs) in [(left().force_encapsulation(true), right()), (left(), right().force_encapsulation(true))] {
        let pair = agrees(aggressive(ours), answering(theirs));
        for end in [&pair.left, &pair.right] {
            let child = &end.endpoint.status().children[0];
            assert!(matches!(child.encapsulation, Encapsulation::Udp(path) if path.local.port() == 4500));
        }
    }
}

fn outcome(seed: u64, link: Link) -> Result<Instant, Failure> {
    lossy::outcome(seed, link, plan(aggressive(left())), plan(answering(right())))
}

#[test]
fn twenty_percent_loss_both_ways_completes_or_fails_by_its_own_limits_for_200_seeds() {
    let link = Link::lossy(Duration::from_millis(20), Chance::percent(20));
    let mut completed = 0;
    for seed in 0..200 {
        match outcome(seed, link) {
            Ok(_) => completed += 1,
            Err(Failure::Timeout { .. } | Failure::HalfOpenTimeout) => {}
            Err(failure) => panic!("seed {seed}: {failure:?}"),
        }
    }
    assert!(completed >= 190, "{completed} of 200");
}

#[test]
fn doubled_reordered_and_bursty_links_complete() {
    let completed = (0..40).filter(|seed| outcome(*seed, Link::hostile(Duration::from_millis(30))).is_ok()).count();
    assert!(completed >= 36, "{completed} of 40");
    let doubling = Link { duplicate: Chance::ALWAYS, jitter: Duration::from_millis(40), ..Link::default() };
    for seed in 0..40 {
        assert_eq!(outcome(seed, doubling).map(|_| ()), Ok(()), "seed {seed}");
    }
}
