//! Base mode with RSA signatures, and hybrid: both roles, what is signed, and what a forger gains.

use crate::common::lossy;
use crate::common::signing::{
    LEFT, RIGHT, agrees, credential, failed_with, key, name, pair, payloads, signing, signing_left, signing_right,
    unanswered,
};
use crate::common::{A, B, End, Pair, connection, endpoint, left, plan, policy, right};
use crate::support::pem;
use core::time::Duration;
use drive::{Datagram, Instant, Path, Transmit, Verdict};
use ikev1_core::auth::{Authentication, RemoteKey};
use ikev1_core::crypto::HashAlgorithm;
use ikev1_core::{
    Command, CommandError, Config, ConnectionConfig, DropReason, Event, Failure, Peer, Phase1Mode, RemoteIdentity,
    StateName,
};
use ipsec_wire::isakmp::{Body, ChainBuilder, Header, Message};
use ipsec_wire::registry::{NotifyType, PayloadType};
use simnet::{Chance, Link};

fn base(connection: ConnectionConfig) -> ConnectionConfig {
    connection.mode(Phase1Mode::Base)
}

fn ours() -> ConnectionConfig {
    base(signing_left())
}

fn theirs() -> ConnectionConfig {
    base(signing_right())
}

/// Each knows the key of the other, so that nobody is asked.
fn by_key(config: ConnectionConfig, ours: &str, theirs: &str) -> ConnectionConfig {
    let (local, remote) = (credential(ours, &[]), RemoteKey::Key(key(theirs)));
    base(config.authentication(Authentication::RsaSignature { local, remote }))
}

/// Delivers base mode up to a message, which is returned and not delivered.
fn up_to(pair: &mut Pair, number: usize) -> Transmit {
    pair.initiate();
    for _ in 1..number {
        pair.step();
    }
    pair.wire.pop_front().unwrap()
}

fn body(transmit: &Transmit, payload_type: PayloadType) -> Vec<u8> {
    let message = Message::parse(&transmit.payload).unwrap();
    let Body::Clear(payloads) = message.body() else { panic!("base mode is clear") };
    payloads.find(payload_type).unwrap().body().to_vec()
}

#[test]
fn four_messages_with_certificates_make_an_sa_and_each_end_asks_once() {
    let pair = agrees(ours(), theirs());
    assert_eq!(pair.seen.len(), 8);
    use PayloadType as P;
    assert_eq!(&payloads(&pair.left, 1)[..4], [P::SA, P::IDENTIFICATION, P::NONCE, P::VENDOR_ID]);
    assert_eq!(&payloads(&pair.right, 2)[..4], [P::SA, P::IDENTIFICATION, P::NONCE, P::CERTIFICATE_REQUEST]);
    let message_3 = [P::KEY_EXCHANGE, P::CERTIFICATE, P::SIGNATURE, P::CERTIFICATE_REQUEST, P::NAT_D, P::NAT_D];
    assert_eq!(payloads(&pair.left, 3), message_3);
    assert_eq!(payloads(&pair.right, 4), [P::KEY_EXCHANGE, P::CERTIFICATE, P::SIGNATURE, P::NAT_D, P::NAT_D]);
    assert_eq!((pair.left.questions.len(), pair.right.questions.len()), (1, 1));
    for (end, peer) in [(&pair.left, "right"), (&pair.right, "left")] {
        assert!(!end.has(|event| matches!(event, Event::KeyHashExposed { .. })));
        assert!(
            end.has(|event| matches!(event, Event::Phase1Established { peer: proven, .. } if *proven == name(peer)))
        );
        assert_eq!(end.endpoint.status().ike_sas[0].exchange_state, StateName::BaseUp);
    }
}

/// What is signed, once more from what went over the wire: HMAC-SHA-1 and the modular power by hand.
#[test]
fn the_signatures_on_the_wire_are_over_the_hashes_of_the_formulas() {
    use PayloadType as P;
    let pair = agrees(by_key(signing_left(), "left", "right"), by_key(signing_right(), "right", "left"));
    let sha1 = HashAlgorithm::Sha1;
    let hmac = |key: &[u8], message: &[u8]| -> Vec<u8> {
        let padded = |pad: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ pad).collect() };
        let inner = sha1.digest(&[&padded(0x36), message]);
        sha1.digest(&[&padded(0x5c), inner.as_bytes()]).as_bytes().to_vec()
    };
    let seen = &pair.seen;
    let nonces = [body(&seen[0], P::NONCE), body(&seen[1], P::NONCE)].concat();
    let key_of_hashes = sha1.digest(&[&nonces]);
    let (idii, sai) = (body(&seen[0], P::IDENTIFICATION), body(&seen[0], P::SA));
    let (xi, xr) = (body(&seen[2], P::KEY_EXCHANGE), body(&seen[3], P::KEY_EXCHANGE));
    let (cky_i, cky_r) = (&seen[3].payload[..8], &seen[3].payload[8..16]);
    let hash_i = hmac(key_of_hashes.as_bytes(), &[&xi, cky_i, cky_r, &sai, &idii].concat());
    let hash_r = hmac(key_of_hashes.as_bytes(), &[&xi, &xr, cky_i, cky_r, &sai, &idii].concat());
    for (signer, hash, message) in [("left", hash_i, &seen[2]), ("right", hash_r, &seen[3])] {
        let opened = opened(signer, &body(message, P::SIGNATURE));
        // PKCS #1 block type 1: 00 01 FF .. FF 00, then the hash alone, RFC 2409 §5.1.
        assert_eq!(opened[..3], [0, 1, 0xff], "{signer}");
        assert_eq!(opened[opened.len() - 21], 0, "{signer}");
        assert_eq!(opened[opened.len() - 20..], hash, "{signer}");
    }
}

/// The signature to the power of the public exponent.
fn opened(signer: &str, signature: &[u8]) -> Vec<u8> {
    use num_bigint::BigUint;
    let (modulus, exponent) = public(signer);
    let power = BigUint::from_bytes_be(signature).modpow(&exponent, &modulus).to_bytes_be();
    [vec![0; signature.len() - power.len()], power].concat()
}

/// Reads modulus and exponent from the PEM of a public key: its last two integers.
fn public(signer: &str) -> (num_bigint::BigUint, num_bigint::BigUint) {
    let text: String = pem(&format!("{signer}.pub.pem")).lines().filter(|line| !line.starts_with('-')).collect();
    let value = |symbol: u8| -> u32 {
        match symbol {
            b'A'..=b'Z' => u32::from(symbol - b'A'),
            b'a'..=b'z' => u32::from(symbol - b'a') + 26,
            b'0'..=b'9' => u32::from(symbol - b'0') + 52,
            b'+' => 62,
            b'/' => 63,
            other => panic!("{other}"),
        }
    };
    let mut der = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0, |bits, symbol| bits << 6 | value(*symbol)) << (6 * (4 - four.len()));
        der.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    // The exponent is 02 03 01 00 01 at the very end; the modulus of 2048 bits is the integer before it.
    let end = der.len() - 5;
    assert_eq!(der[end..], [2, 3, 1, 0, 1]);
    let modulus = num_bigint::BigUint::from_bytes_be(&der[end - 256..end]);
    assert_eq!(modulus.bits(), 2_048);
    (modulus, num_bigint::BigUint::from(65_537u32))
}

#[test]
fn hybrid_authentication_makes_an_sa_once_the_user_is_proven() {
    use drive::SecretBytes;
    use ikev1_core::{Users, Xauth, XauthClient, XauthServer};
    let gateway = Authentication::HybridGateway(credential("right", &[RIGHT]));
    let client = Authentication::HybridClient(RemoteKey::Key(key("right")));
    let alice = XauthClient::new().credentials("alice".into(), SecretBytes::copied(b"secret"));
    let ours = base(left().authentication(client)).xauth(Xauth::Client(alice));
    let theirs = base(right().authentication(gateway)).xauth(Xauth::Server(XauthServer::new()));
    let mut pair = Pair::new(plan(ours), plan(theirs));
    let mut users = Users::new();
    users.insert("alice".into(), SecretBytes::copied(b"secret"));
    pair.right.users = Some(users);
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established(), "{:?}", pair.right.events);
}

#[test]
fn while_either_caller_thinks_its_sa_waits() {
    let mut pair = pair(ours(), theirs());
    (pair.left.trust, pair.right.trust) = (None, None);
    let message_3 = up_to(&mut pair, 3);
    assert_eq!(pair.deliver(&message_3), Verdict::Accepted);
    pair.drain();
    let status = pair.right.endpoint.status();
    assert_eq!((status.ike_sas[0].exchange_state, status.embryonic), (StateName::BaseKeAuthRecv, 1));
    assert_eq!(pair.deliver(&message_3), Verdict::Duplicate);
    assert!(pair.wire.is_empty(), "no power and no proof before the verdict");
    let (ticket, now) = (pair.right.questions[0].ticket, pair.now);
    let answer = |name| Command::CertificateVerdict { ticket, key: Some(key(name)) };
    pair.right.endpoint.handle_command(now, answer("left")).unwrap();
    assert_eq!(pair.right.endpoint.handle_command(now, answer("left")), Err(CommandError::UnknownTicket(ticket)));
    pair.settle();
    assert_eq!(pair.left.endpoint.status().ike_sas[0].exchange_state, StateName::BaseKeAuthRecv);
    let (ticket, now) = (pair.left.questions[0].ticket, pair.now);
    let answer = Command::CertificateVerdict { ticket, key: Some(key("right")) };
    pair.left.endpoint.handle_command(now, answer).unwrap();
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
}

#[test]
fn a_question_without_an_answer_ends_phase_1_on_both_ends() {
    unanswered(ours, theirs, Duration::from_secs(400));
}

#[test]
fn a_certificate_that_is_not_trusted_ends_in_nothing_and_the_responder_is_told_under_protection() {
    for distrusting_left in [true, false] {
        let chain: &[u8] = if distrusting_left { LEFT } else { b"forged" };
        let mut pair = pair(base(signing(left(), "left", "right", &[chain])), theirs());
        if distrusting_left {
            pair.left.trust = Some(|_| None);
        }
        pair.initiate();
        pair.settle();
        pair.advance(Duration::from_secs(400));
        let told = |event: &Event| matches!(event, Event::NotifyReceived { notify: NotifyType::AUTHENTICATION_FAILED, protected, .. } if *protected == distrusting_left);
        let (end, other) = if distrusting_left { (&pair.left, &pair.right) } else { (&pair.right, &pair.left) };
        assert!(failed_with(end, &Failure::CertificateRefused));
        assert!(other.has(told), "{:?}", other.events);
        for end in [&pair.left, &pair.right] {
            assert!(!end.established() && end.endpoint.status().ike_sas.is_empty());
        }
    }
}

#[test]
fn an_identity_that_is_proven_but_not_wanted_ends_the_exchange_on_both_ends() {
    for unwanted_left in [true, false] {
        let other = RemoteIdentity::Exactly(name("other"));
        let mut pair = if unwanted_left {
            pair(ours(), theirs().remote_identity(other))
        } else {
            pair(ours().remote_identity(other), theirs())
        };
        pair.initiate();
        pair.settle();
        let refusing = if unwanted_left { &pair.right } else { &pair.left };
        assert!(failed_with(refusing, &Failure::WrongIdentity), "{:?}", refusing.events);
        pair.advance(Duration::from_secs(400));
        for end in [&pair.left, &pair.right] {
            assert!(!end.established() && end.endpoint.status().ike_sas.is_empty());
        }
    }
}

#[test]
fn bent_copies_of_either_proof_cost_four_checks_at_most_and_the_right_message_still_counts_before() {
    for number in [3, 4] {
        let mut pair =
            Pair::new(plan(by_key(signing_left(), "left", "right")), plan(by_key(signing_right(), "right", "left")));
        let message = up_to(&mut pair, number);
        let signature = body(&message, PayloadType::SIGNATURE);
        let at = message.payload.windows(signature.len()).position(|window| window == signature).unwrap();
        let bent = |by: u8| {
            let mut octets = message.payload.to_vec();
            octets[at + 20] ^= by;
            Transmit { payload: octets.into(), ..message.clone() }
        };
        for by in 1..4 {
            assert!(matches!(pair.deliver(&bent(by)), Verdict::Ignored(_)));
            pair.drain();
            assert!(!pair.left.established() && !pair.right.established());
        }
        pair.wire.clear();
        assert_eq!(pair.deliver(&message), Verdict::Accepted, "message {number}");
        pair.settle();
        assert!(pair.left.established() && pair.right.established());

        let mut pair =
            Pair::new(plan(by_key(signing_left(), "left", "right")), plan(by_key(signing_right(), "right", "left")));
        let message = up_to(&mut pair, number);
        let limited = (1..20)
            .filter(|by| {
                let mut octets = message.payload.to_vec();
                octets[at + 20] ^= by;
                let bent = Transmit { payload: octets.into(), ..message.clone() };
                let limited = pair.deliver(&bent) == Verdict::Ignored(DropReason::Limit);
                pair.drain();
                limited
            })
            .count();
        assert_eq!(limited, 15, "message {number}");
    }
}

#[test]
fn a_good_certificate_with_a_signature_by_another_key_proves_nothing() {
    let forged = left()
        .authentication(Authentication::RsaSignature {
            local: credential("right", &[LEFT]),
            remote: RemoteKey::Certificate { authorities: Vec::new() },
        })
        .local_identity(name("left"));
    let mut forger = pair(base(forged), theirs());
    forger.initiate();
    forger.settle();
    forger.advance(Duration::from_secs(400));
    assert!(failed_with(&forger.right, &Failure::WrongSignature));
    assert!(!forger.right.has(|event| matches!(event, Event::Phase1Established { .. })));
}

#[test]
fn base_mode_is_answered_only_where_it_is_asked_for() {
    let mut pair = pair(ours(), signing_right());
    pair.initiate();
    let message_1 = pair.wire.pop_front().unwrap();
    assert_eq!(pair.deliver(&message_1), Verdict::Ignored(DropReason::NoConnection));
}

/// Row 88: who signs costs public key operations before it is proven; how many in a second is limited.
#[test]
fn signatures_of_the_unproven_come_out_of_the_budget_of_work() {
    let anyone =
        by_key(connection(B, A).peer(Peer::Any), "right", "left").policy(policy([10, 10, 2, 0], [10, 10, 1, 0]));
    let tight = Config::new().connection(anyone).max_unproven_dh(2).build().unwrap();
    let mut end = End::new(endpoint(tight, 5));
    let mut pair = Pair::new(plan(by_key(left(), "left", "right")), plan(by_key(right(), "right", "left")));
    let message_1 = up_to(&mut pair, 1);
    assert_eq!(pair.deliver(&message_1), Verdict::Accepted);
    pair.drain();
    pair.step();
    let message_3 = pair.wire.pop_front().unwrap();
    let now = Instant::from_secs(1);
    let mut verdicts = Vec::new();
    for number in 0..10u8 {
        let path = Path::new((B, 500).into(), ([198, 51, 100, number + 1], 500).into());
        let mut octets = message_1.payload.to_vec();
        octets[0] = number + 1;
        assert_eq!(end.endpoint.handle_datagram(now, Datagram { path, payload: &octets }), Verdict::Accepted);
        let message_2 = end.drain(now).remove(0);
        let mut octets_3 = message_3.payload.to_vec();
        octets_3[..16].copy_from_slice(&message_2.payload[..16]);
        verdicts.push(end.endpoint.handle_datagram(now, Datagram { path, payload: &octets_3 }));
        end.drain(now);
    }
    let limited = verdicts.iter().filter(|verdict| **verdict == Verdict::Ignored(DropReason::WorkLimit)).count();
    assert!((5..10).contains(&limited), "{verdicts:?}");
    assert!(!end.established());
}

/// A message 3 with a HASH where a signature is due, and with no proof at all.
#[test]
fn a_peer_that_signs_nothing_where_a_signature_is_due_proves_nothing() {
    let mut pair = pair(ours(), theirs());
    let message_3 = up_to(&mut pair, 3);
    for with_hash in [true, false] {
        let mut chain = ChainBuilder::new();
        chain.push_body(PayloadType::KEY_EXCHANGE, &body(&message_3, PayloadType::KEY_EXCHANGE));
        if with_hash {
            chain.push_body(PayloadType::HASH, &[0; 20]);
        }
        let chain = chain.finish().unwrap();
        let payload = Header::parse(&message_3.payload).unwrap().enclose(chain.first(), chain.octets()).unwrap();
        let forged = Transmit { payload: payload.into(), ..message_3.clone() };
        assert_eq!(pair.deliver(&forged), Verdict::Ignored(DropReason::PayloadSet));
    }
    assert_eq!(pair.deliver(&message_3), Verdict::Accepted);
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
}

fn outcome(seed: u64, link: Link) -> Result<Instant, Failure> {
    lossy::outcome(seed, link, plan(by_key(left(), "left", "right")), plan(by_key(right(), "right", "left")))
}

#[test]
fn twenty_percent_loss_both_ways_completes_or_fails_by_its_own_limits_for_50_seeds() {
    let link = Link::lossy(Duration::from_millis(20), Chance::percent(20));
    let mut completed = 0;
    for seed in 0..50 {
        match outcome(seed, link) {
            Ok(_) => completed += 1,
            Err(failure) => assert!(
                matches!(failure, Failure::Timeout { .. } | Failure::HalfOpenTimeout),
                "seed {seed}: {failure:?}"
            ),
        }
    }
    assert!(completed >= 46, "{completed} of 50");
}

#[test]
fn the_actions_are_the_same_twice() {
    let logs = |_| {
        let pair = agrees(ours(), theirs());
        (pair.left.log, pair.right.log)
    };
    assert_eq!(logs(1), logs(2));
}
