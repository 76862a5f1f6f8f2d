//! Base mode with a pre-shared key: both roles, the proofs recomputed, NATs, loss, noise, and what is
//! refused.

use crate::common::lossy::{self, events};
use crate::common::{A, B, End, Pair, SITE, connection, endpoint, left, plan, policy, right, transform};
use core::net::IpAddr;
use core::time::Duration;
use drive::{Datagram, Instant, Path, SecretBytes, Transmit, Verdict};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::crypto::{CipherAlgorithm, DhGroup, HashAlgorithm};
use ikev1_core::proposal::Phase1Transform;
use ikev1_core::{
    Action, Command, Config, ConnectionConfig, DropReason, Encapsulation, Endpoint, Event, Failure, Identity, Peer,
    Phase1Mode, RemoteIdentity, StateName, Users, Xauth, XauthClient, XauthServer,
};
use ipsec_wire::isakmp::{Body, Header, Message};
use ipsec_wire::registry::{ExchangeType, NotifyType, PayloadType};
use nat_t::Location;
use simnet::nat::NatConfig;
use simnet::{Chance, Harness, Link, Realm, World};

fn base(connection: ConnectionConfig) -> ConnectionConfig {
    connection.mode(Phase1Mode::Base).dangerously_allow_base_mode(true)
}

fn answering(connection: ConnectionConfig) -> ConnectionConfig {
    connection.dangerously_allow_base_mode(true)
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
    Pair::new(plan(base(left())), plan(answering(right())))
}

/// Delivers so many messages of base mode.
fn after(messages: usize) -> Pair {
    let mut pair = ordinary();
    pair.initiate();
    for _ in 0..messages {
        assert_eq!(pair.step(), Some(Verdict::Accepted));
    }
    pair
}

fn body(transmit: &Transmit, payload_type: PayloadType) -> Vec<u8> {
    let message = Message::parse(&transmit.payload).unwrap();
    let Body::Clear(payloads) = message.body() else { panic!("base mode is clear") };
    payloads.find(payload_type).unwrap().body().to_vec()
}

fn exchange(transmit: &Transmit) -> ExchangeType {
    Header::parse(&transmit.payload).unwrap().exchange
}

fn failed_with(end: &End, wanted: &Failure) -> bool {
    end.has(|event| matches!(event, Event::Phase1Failed { failure, .. } if failure == wanted))
}

fn received(end: &End, wanted: NotifyType, is_protected: bool) -> bool {
    end.has(|event| matches!(event, Event::NotifyReceived { notify, protected, .. } if *notify == wanted && *protected == is_protected))
}

#[test]
fn four_clear_messages_then_first_contact_and_quick_mode_make_mirrored_sas() {
    let pair = agrees(base(left()), answering(right()));
    let exchanges: Vec<ExchangeType> = pair.seen.iter().map(exchange).collect();
    assert_eq!(exchanges[..4], [ExchangeType::BASE; 4]);
    assert_eq!(exchanges[4..], [&[ExchangeType::INFORMATIONAL][..], &[ExchangeType::QUICK; 3]].concat());
    let payloads = |transmit: &Transmit| -> Vec<PayloadType> {
        let message = Message::parse(&transmit.payload).unwrap();
        let Body::Clear(payloads) = message.body() else { panic!("base mode is clear") };
        payloads.iter().map(|payload| payload.payload_type()).collect()
    };
    use PayloadType as P;
    for at in [0, 1] {
        let found = payloads(&pair.seen[at]);
        assert_eq!(found[..3], [P::SA, P::IDENTIFICATION, P::NONCE]);
        assert!(found[3..].iter().all(|payload| *payload == P::VENDOR_ID));
    }
    for at in [2, 3] {
        assert_eq!(payloads(&pair.seen[at]), [P::KEY_EXCHANGE, P::HASH, P::NAT_D, P::NAT_D]);
    }
    for end in [&pair.left, &pair.right] {
        let status = &end.endpoint.status().ike_sas[0];
        assert_eq!(status.exchange_state, StateName::BaseUp);
        assert_eq!(status.exchange_state.name(), "UP");
    }
    assert!(pair.right.has(|event| matches!(event, Event::InitialContact { ike_sas: 0, children: 0, .. })));
}

/// HASH_I and HASH_R once more from what went over the wire, with HMAC by hand.
#[test]
fn the_proofs_on_the_wire_are_those_of_the_formulas() {
    use PayloadType as P;
    for hash in HashAlgorithm::ALL {
        let chosen = vec![Phase1Transform { hash, ..transform(DhGroup::Modp768) }];
        let pair = agrees(base(left().phase1(chosen.clone())), answering(right().phase1(chosen)));
        let hmac = |key: &[u8], message: &[u8]| -> Vec<u8> {
            let block = if hash.output_len() > 32 { 128 } else { 64 };
            let key = if key.len() > block { hash.digest(&[key]).as_bytes().to_vec() } else { key.to_vec() };
            let padded =
                |pad: u8| -> Vec<u8> { (0..block).map(|at| key.get(at).copied().unwrap_or(0) ^ pad).collect() };
            let inner = hash.digest(&[&padded(0x36), message]);
            hash.digest(&[&padded(0x5c), inner.as_bytes()]).as_bytes().to_vec()
        };
        let seen = &pair.seen;
        let (ni, nr) = (body(&seen[0], P::NONCE), body(&seen[1], P::NONCE));
        let (idii, idir) = (body(&seen[0], P::IDENTIFICATION), body(&seen[1], P::IDENTIFICATION));
        let (xi, xr) = (body(&seen[2], P::KEY_EXCHANGE), body(&seen[3], P::KEY_EXCHANGE));
        let sai = body(&seen[0], P::SA);
        let (cky_i, cky_r) = (&seen[3].payload[..8], &seen[3].payload[8..16]);
        let skeyid = hmac(b"psk for the interop lab", &[ni, nr].concat());
        let said = [&xi, cky_i, cky_r, &sai, &idii].concat();
        assert_eq!(body(&seen[2], P::HASH), hmac(&skeyid, &said), "HASH_I, {hash:?}");
        let said = [&xr, &xi, cky_r, cky_i, &sai, &idir].concat();
        assert_eq!(body(&seen[3], P::HASH), hmac(&skeyid, &said), "HASH_R, {hash:?}");
    }
}

#[test]
fn every_cipher_and_hash_and_both_kinds_of_groups_work_and_the_group_is_negotiated() {
    for cipher in CipherAlgorithm::ALL {
        for hash in HashAlgorithm::ALL {
            let chosen = vec![Phase1Transform { cipher, hash, ..transform(DhGroup::Modp768) }];
            agrees(base(left().phase1(chosen.clone())), answering(right().phase1(chosen)));
        }
    }
    let offered = vec![transform(DhGroup::Modp1536), transform(DhGroup::Ecp256), transform(DhGroup::Modp768)];
    let pair = agrees(base(left().phase1(offered)), answering(right().phase1(vec![transform(DhGroup::Ecp256)])));
    assert_eq!(pair.right.endpoint.status().ike_sas[0].transform.unwrap().group, DhGroup::Ecp256);
}

#[test]
fn it_needs_the_dangerous_word_with_a_pre_shared_key_in_either_role() {
    let refusal = Config::new().connection(left().mode(Phase1Mode::Base)).build().unwrap_err().to_string();
    assert!(refusal.starts_with("site.mode: base mode") && refusal.contains("dangerously_"), "{refusal}");
    let mut pair = Pair::new(plan(base(left())), plan(right()));
    pair.initiate();
    pair.settle();
    assert_eq!(pair.right.endpoint.own_counters().no_connection, 1);
    assert!(pair.right.log.is_empty());
}

#[test]
fn the_initiator_tells_that_a_hash_over_its_key_went_out_and_the_responder_gives_none_away_before_a_proof() {
    let pair = agrees(base(left()), answering(right()));
    let exposed = |event: &Event| matches!(event, Event::KeyHashExposed { peer: Identity::Address(_), .. });
    assert_eq!((pair.left.count(exposed), pair.right.count(exposed)), (1, 0));
    let mut pair =
        Pair::new(plan(base(left().pre_shared_key(PreSharedKey::copied(b"guess")))), plan(answering(right())));
    pair.initiate();
    pair.settle();
    pair.advance(Duration::from_secs(400));
    assert!(pair.seen.iter().filter(|seen| exchange(seen) == ExchangeType::BASE).all(|seen| {
        let message = Message::parse(&seen.payload).unwrap();
        let Body::Clear(payloads) = message.body() else { panic!() };
        seen.path.remote.ip() != IpAddr::from(A) || payloads.find(PayloadType::HASH).is_none()
    }));
}

#[test]
fn a_wrong_key_is_named_on_both_ends_and_leaves_nothing() {
    let theirs = answering(right().pre_shared_key(PreSharedKey::copied(b"another key")));
    let mut pair = Pair::new(plan(base(left())), plan(theirs));
    pair.initiate();
    pair.settle();
    pair.advance(Duration::from_secs(400));
    assert!(failed_with(&pair.left, &Failure::ProbablyWrongKey));
    assert!(failed_with(&pair.right, &Failure::AuthenticationFailed));
    assert!(received(&pair.left, NotifyType::PAYLOAD_MALFORMED, false));
    let named = |event: &Event| matches!(event, Event::AuthenticationFailed { credential, .. } if credential == "pre-shared key of site");
    assert_eq!(pair.right.count(named), 1);
    for end in [&pair.left, &pair.right] {
        assert!(end.endpoint.status().ike_sas.is_empty() && !end.established());
    }
}

#[test]
fn a_responder_with_another_identity_than_wanted_is_refused_under_protection_and_told() {
    let wanted = RemoteIdentity::Exactly(Identity::Fqdn("right.example.org".into()));
    let mut pair = Pair::new(plan(base(left()).remote_identity(wanted)), plan(answering(right())));
    pair.initiate();
    pair.settle();
    assert!(failed_with(&pair.left, &Failure::WrongIdentity));
    assert!(received(&pair.right, NotifyType::AUTHENTICATION_FAILED, true));
    for end in [&pair.left, &pair.right] {
        assert!(end.endpoint.status().ike_sas.is_empty());
    }
}

#[test]
fn an_identity_that_nobody_has_is_answered_like_any_other_and_proves_nothing_with_the_right_key() {
    let group = Identity::KeyId(b"labgroup".to_vec());
    let shape = |identity: Identity| {
        let hub = ConnectionConfig::new("group")
            .local(IpAddr::from(B))
            .peer(Peer::Any)
            .remote_identity(RemoteIdentity::Exactly(group.clone()))
            .pre_shared_key(PreSharedKey::copied(b"psk for the interop lab"))
            .phase1(vec![transform(DhGroup::Modp768)])
            .dangerously_allow_weak_algorithms(true)
            .policy(policy([10, 10, 2, 0], [10, 10, 1, 0]));
        let mut pair = Pair::new(plan(base(left()).local_identity(identity)), plan(answering(hub)));
        pair.initiate();
        pair.settle();
        let message = Message::parse(&pair.seen[1].payload).unwrap();
        let Body::Clear(payloads) = message.body() else { panic!() };
        let shape: Vec<(PayloadType, usize)> =
            payloads.iter().map(|payload| (payload.payload_type(), payload.body().len())).collect();
        (pair, shape)
    };
    let (known, known_shape) = shape(group.clone());
    let (mut unknown, unknown_shape) = shape(Identity::KeyId(b"nogroups".to_vec()));
    assert_eq!(known_shape, unknown_shape);
    assert!(known.left.established() && known.right.established());
    unknown.advance(Duration::from_secs(400));
    assert!(!unknown.left.established() && !unknown.right.established());
    assert!(failed_with(&unknown.right, &Failure::NoKey));
    assert!(unknown.right.endpoint.status().ike_sas.is_empty());
}

#[test]
fn a_refused_offer_names_no_cookie_and_leaves_no_state() {
    let other = Phase1Transform { hash: HashAlgorithm::Sha2_256, ..transform(DhGroup::Modp768) };
    let mut pair = Pair::new(plan(base(left())), plan(answering(right().phase1(vec![other]))));
    pair.initiate();
    pair.settle();
    assert!(Header::parse(&pair.seen[1].payload).unwrap().responder_cookie.is_zero());
    assert!(pair.right.endpoint.status().ike_sas.is_empty());
    assert!(failed_with(&pair.right, &Failure::NoProposalChosen));
    assert!(received(&pair.left, NotifyType::NO_PROPOSAL_CHOSEN, false));
}

/// Every octet of every message, one after the other: whatever is not the right message moves nothing that
/// the right one needs, and a peer that proved nothing gets no SA.
#[test]
fn no_flipped_octet_of_any_message_is_taken_for_a_proof_and_the_right_message_still_counts() {
    for number in 2..4 {
        let mut pair = after(number);
        let message = pair.wire.pop_front().unwrap();
        // What HASH_I and HASH_R do not cover: vendor ids and NAT-D at the end.
        let covered = {
            let parsed = Message::parse(&message.payload).unwrap();
            let Body::Clear(payloads) = parsed.body() else { panic!() };
            28 + payloads.iter().take(2).map(|payload| 4 + payload.body().len()).sum::<usize>()
        };
        for at in (0..covered).filter(|at| *at < 40 || at % 7 == 0) {
            // Reserved octets mean nothing, and the length of the datagram is checked by the wire's own tests.
            if at == 29 {
                continue;
            }
            let mut octets = message.payload.to_vec();
            octets[at] ^= 0x40;
            let verdict = pair.deliver(&Transmit { payload: octets.into(), ..message.clone() });
            assert!(matches!(verdict, Verdict::Ignored(_)), "message {}, octet {at}: {verdict:?}", number + 1);
            pair.drain();
        }
        assert!(!pair.left.established() && !pair.right.established());
        pair.wire.clear();
        assert_eq!(pair.deliver(&message), Verdict::Accepted, "message {}", number + 1);
        pair.settle();
        assert!(pair.left.established() && pair.right.established());
    }
}

#[test]
fn flipped_first_messages_never_make_an_sa_with_a_peer_that_said_something_else() {
    for number in 0..2 {
        let message = after(number).wire.pop_front().unwrap();
        for at in (16..message.payload.len()).filter(|at| *at < 60 || at % 11 == 0) {
            let mut pair = after(number);
            pair.wire.clear();
            let mut octets = message.payload.to_vec();
            octets[at] ^= 1;
            let _ = pair.deliver(&Transmit { payload: octets.into(), ..message.clone() });
            pair.settle();
            if pair.left.established() || pair.right.established() {
                pair.assert_mirrored();
            }
        }
    }
}

#[test]
fn repeats_are_answered_from_store_a_bounded_number_of_times_and_change_nothing() {
    let mut pair = after(3);
    let (message_1, message_3) = (pair.seen[0].clone(), pair.seen[2].clone());
    let message_4 = pair.wire.pop_front().unwrap();
    pair.wire.clear();
    assert!(matches!(pair.deliver(&message_1), Verdict::Ignored(_) | Verdict::Duplicate));
    pair.drain();
    pair.wire.clear();
    let mut answers = 0;
    for _ in 0..100 {
        assert_eq!(pair.deliver(&message_3), Verdict::Duplicate);
        pair.drain();
        answers += pair.wire.iter().filter(|sent| sent.payload == message_4.payload).count();
        pair.wire.clear();
    }
    assert!((1..=20).contains(&answers), "{answers}");
    assert_eq!(pair.deliver(&message_4), Verdict::Accepted);
    assert_eq!(pair.deliver(&message_4), Verdict::Duplicate);
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
}

/// Row 88: a flood of first messages costs half-open places and no power; a forged message 3 neither.
#[test]
fn whoever_has_not_proven_the_key_causes_no_exponentiation_and_places_are_limited() {
    let flood = Path::new((B, 500).into(), ([198, 51, 100, 9], 500).into());
    let anyone = answering(connection(B, A).peer(Peer::Any)).policy(policy([10, 10, 2, 0], [10, 10, 1, 0]));
    let tight = Config::new().connection(anyone).max_unproven_dh(1).build().unwrap();
    let mut end = End::new(endpoint(tight, 5));
    let first = after(0).wire.pop_front().unwrap();
    let now = Instant::from_secs(1);
    let mut verdicts = Vec::new();
    for number in 0..200u8 {
        let mut octets = first.payload.to_vec();
        octets[0] = 1;
        octets[1] = number;
        verdicts.push(end.endpoint.handle_datagram(now, Datagram { path: flood, payload: &octets }));
        let sent: usize = end.drain(now).iter().map(|sent| sent.payload.len()).sum();
        assert!(sent <= 3 * octets.len());
    }
    let taken = verdicts.iter().filter(|verdict| **verdict == Verdict::Accepted).count();
    assert!(taken > 1, "message 1 takes nothing out of the budget of powers");
    assert!(verdicts.contains(&Verdict::Ignored(DropReason::HalfOpenLimit)));
    assert!(!verdicts.contains(&Verdict::Ignored(DropReason::WorkLimit)));
    assert_eq!(end.endpoint.status().ike_sas.len(), taken);
}

#[test]
fn a_reflected_message_proves_nothing() {
    let mut pair = after(2);
    let message_3 = pair.wire.pop_front().unwrap();
    let reflected = Transmit { path: message_3.path.reversed(), ..message_3.clone() };
    assert!(matches!(pair.deliver(&reflected), Verdict::Ignored(_)));
    assert_eq!(pair.deliver(&message_3), Verdict::Accepted);
    pair.settle();
    assert!(pair.left.established());
}

#[test]
fn a_renewal_keeps_the_mode_on_both_ends() {
    let mut pair = agrees(base(left()), answering(right()));
    let old = pair.right.endpoint.status().ike_sas[0].ike_sa;
    pair.right.endpoint.handle_command(pair.now, Command::RekeyIke { ike_sa: old }).unwrap();
    pair.settle();
    let states = |end: &End| end.endpoint.status().ike_sas.iter().map(|sa| sa.exchange_state).collect::<Vec<_>>();
    assert_eq!(states(&pair.right), [StateName::BaseUp; 2]);
    pair.advance(Duration::from_secs(60));
    assert_eq!(states(&pair.left), [StateName::BaseUp]);
}

#[test]
fn parts_are_agreed_on_by_the_bit_of_this_mode() {
    let mut pair = Pair::new(plan(base(left().fragment_size(128))), plan(answering(right().fragment_size(128))));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
    assert!(pair.left.endpoint.own_counters().fragmented_sent > 0);
    assert!(pair.right.endpoint.own_counters().fragmented_sent > 0);
}

fn xauth_server(connection: ConnectionConfig) -> ConnectionConfig {
    connection.xauth(Xauth::Server(XauthServer::new()))
}

fn xauth_client(connection: ConnectionConfig) -> ConnectionConfig {
    let client = XauthClient::new().credentials("alice".into(), SecretBytes::copied(b"secret"));
    connection.xauth(Xauth::Client(client))
}

/// Behind a NAT all four messages stay on port 500; what follows is on 4500, whichever end speaks first.
#[test]
fn behind_a_nat_what_follows_the_four_messages_moves_to_port_4500() {
    for with_user in [false, true] {
        let mut world = World::new(3);
        world.set_links(Link::with_latency(Duration::from_millis(10)));
        let nat = world.add_nat(NatConfig::new(IpAddr::from([192, 0, 2, 77])));
        let left_node = world.add_node_in(Realm::Behind(nat), "left", [10, 0, 0, 2]);
        let right_node = world.add_node("right", B);
        let (ours, theirs) = (world.entropy(left_node), world.entropy(right_node));
        let mut harness = Harness::new(world);
        let change = |connection: ConnectionConfig, client: bool| match (with_user, client) {
            (false, _) => connection,
            (true, true) => xauth_client(connection),
            (true, false) => xauth_server(connection),
        };
        let client = connection([10, 0, 0, 2], B).policy(policy([10, 10, 1, 0], [10, 10, 2, 0]));
        let server = connection(B, A).peer(Peer::Any).policy(policy([10, 10, 2, 0], [10, 10, 1, 0]));
        harness.place(left_node, Endpoint::new(plan(change(base(client), true)), Box::new(ours)));
        harness.place(right_node, Endpoint::new(plan(change(answering(server), false)), Box::new(theirs)));
        harness.command(left_node, Command::Initiate { connection: SITE }).unwrap().unwrap();
        let mut users = Users::new();
        users.insert("alice".into(), SecretBytes::copied(b"secret"));
        let mut answered = 0;
        let end = Instant::from_secs(60);
        let up = |harness: &Harness<Endpoint>, node| {
            events(harness, node).any(|event| matches!(event, Event::SaEstablished { .. }))
        };
        while !(up(&harness, left_node) && up(&harness, right_node)) {
            assert!(harness.step_until(end).unwrap().is_some(), "with a user: {with_user}");
            let asked: Vec<_> = harness
                .actions(right_node)
                .iter()
                .filter_map(|(_, action)| match action {
                    Action::VerifyUser(ask) => Some((ask.ticket, users.verify(ask))),
                    _ => None,
                })
                .skip(answered)
                .collect();
            answered += asked.len();
            for (ticket, verdict) in asked {
                harness.command(right_node, Command::ProvideVerdict { ticket, verdict }).unwrap().unwrap();
            }
        }
        for (node, nat) in [(left_node, Location::Local), (right_node, Location::Remote)] {
            assert!(
                events(&harness, node)
                    .any(|event| matches!(event, Event::NatDetected { nat: found, .. } if *found == nat))
            );
            let status = harness.machine(node).unwrap().status();
            assert_eq!(status.ike_sas[0].path.local.port(), 4_500, "with a user: {with_user}");
            let child = &status.children[0];
            assert!(matches!(child.encapsulation, Encapsulation::Udp(path) if path.local.port() == 4_500));
        }
    }
}

fn outcome(seed: u64, link: Link) -> Result<Instant, Failure> {
    lossy::outcome(seed, link, plan(base(left())), plan(answering(right())))
}

#[test]
fn twenty_percent_loss_both_ways_completes_or_fails_by_its_own_limits_for_50_seeds() {
    let link = Link::lossy(Duration::from_millis(20), Chance::percent(20));
    let mut completed = 0;
    for seed in 0..50 {
        match outcome(seed, link) {
            Ok(_) => completed += 1,
            Err(failure) => assert!(
                matches!(failure, Failure::Timeout { .. } | Failure::HalfOpenTimeout | Failure::ProbablyWrongKey),
                "seed {seed}: {failure:?}"
            ),
        }
    }
    assert!(completed >= 46, "{completed} of 50");
}

#[test]
fn doubled_reordered_and_bursty_links_complete() {
    let link = Link::hostile(Duration::from_millis(30));
    let completed = (0..20).filter(|seed| outcome(*seed, link).is_ok()).count();
    assert!(completed >= 17, "{completed} of 20");
}

#[test]
fn the_actions_are_the_same_twice() {
    let logs = |_| {
        let pair = agrees(base(left()), answering(right()));
        (pair.left.log, pair.right.log)
    };
    assert_eq!(logs(1), logs(2));
}
