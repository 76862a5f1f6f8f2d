//! Aggressive mode with RSA signatures: both roles, certificates in clear, and what a forger gains.

use crate::common;
use crate::common::signing::{
    LEFT, RIGHT, agrees, credential, failed_with, key, name, pair, payloads, signing, signing_left, signing_right,
    unanswered,
};
use crate::common::{Pair, left, right};
use core::time::Duration;
use drive::Verdict;
use ikev1_core::auth::{Authentication, RemoteKey};
use ikev1_core::{
    Command, ConnectionConfig, DropReason, Event, Failure, Phase1Mode, RemoteIdentity, StateName, VerifyCertificate,
};
use ipsec_wire::registry::{NotifyType, PayloadType};

fn ours() -> ConnectionConfig {
    signing_left().mode(Phase1Mode::Aggressive)
}

fn theirs() -> ConnectionConfig {
    signing_right().mode(Phase1Mode::Aggressive)
}

/// Delivers a number of messages.
fn steps(pair: &mut Pair, number: usize) {
    pair.initiate();
    for _ in 0..number {
        pair.step();
    }
}

#[test]
fn three_messages_with_certificates_make_an_sa_and_no_hash_of_a_key_is_shown() {
    let pair = agrees(ours(), theirs());
    assert_eq!(pair.seen.len(), 6);
    use PayloadType as P;
    let message_1 = payloads(&pair.left, 1);
    assert_eq!(&message_1[..5], [P::SA, P::KEY_EXCHANGE, P::NONCE, P::IDENTIFICATION, P::CERTIFICATE_REQUEST]);
    let message_2 = payloads(&pair.right, 2);
    let wanted =
        [P::SA, P::KEY_EXCHANGE, P::NONCE, P::IDENTIFICATION, P::CERTIFICATE, P::SIGNATURE, P::CERTIFICATE_REQUEST];
    assert_eq!(&message_2[..7], wanted);
    assert_eq!(&payloads(&pair.left, 3)[..2], [P::CERTIFICATE, P::SIGNATURE]);
    assert_eq!((pair.left.questions.len(), pair.right.questions.len()), (1, 1));
    assert!(!pair.right.has(|event| matches!(event, Event::KeyHashExposed { .. })));
    for (end, peer) in [(&pair.left, "right"), (&pair.right, "left")] {
        assert!(
            end.has(|event| matches!(event, Event::Phase1Established { peer: proven, .. } if *proven == name(peer)))
        );
    }
}

#[test]
fn a_large_certificate_is_sent_to_a_small_message_1() {
    let large = vec![7; 4_000];
    let chain: [&[u8]; 2] = [RIGHT, &large];
    let pair = agrees(ours(), signing(right(), "right", "left", &chain).mode(Phase1Mode::Aggressive));
    assert_eq!(pair.left.questions[0].certificates, chain);
}

#[test]
fn keys_of_the_plan_need_no_question() {
    let raw = |config: ConnectionConfig, ours: &str, theirs: &str| {
        let local = credential(ours, &[]);
        let remote = RemoteKey::Key(key(theirs));
        config.authentication(Authentication::RsaSignature { local, remote }).mode(Phase1Mode::Aggressive)
    };
    let pair = agrees(raw(left(), "left", "right"), raw(right(), "right", "left"));
    assert!(pair.left.questions.is_empty() && pair.right.questions.is_empty());
}

#[test]
fn while_either_caller_thinks_its_sa_waits() {
    let mut pair = pair(ours(), theirs());
    let trusted = (pair.left.trust.take(), pair.right.trust.take());
    assert!(trusted.0.is_some() && trusted.1.is_some());
    steps(&mut pair, 2);
    let message_2 = pair.seen[1].clone();
    assert_eq!(pair.left.endpoint.status().ike_sas[0].exchange_state, StateName::AggressiveSaKeAuthRecv);
    assert_eq!(pair.deliver(&message_2), Verdict::Duplicate);
    let (ticket, now) = (pair.left.questions[0].ticket, pair.now);
    let answer = Command::CertificateVerdict { ticket, key: Some(key("right")) };
    pair.left.endpoint.handle_command(now, answer).unwrap();
    pair.drain();
    pair.step();
    assert_eq!(pair.right.endpoint.status().ike_sas[0].exchange_state, StateName::AggressiveAuthRecv);
    let (ticket, now) = (pair.right.questions[0].ticket, pair.now);
    let answer = Command::CertificateVerdict { ticket, key: Some(key("left")) };
    pair.right.endpoint.handle_command(now, answer).unwrap();
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
}

#[test]
fn a_question_without_an_answer_ends_phase_1() {
    unanswered(ours, theirs, Duration::from_secs(100));
}

#[test]
fn an_untrusted_initiator_is_told_and_nothing_stays() {
    let mut pair = pair(signing(left(), "left", "right", &[b"forged"]).mode(Phase1Mode::Aggressive), theirs());
    pair.initiate();
    pair.settle();
    pair.advance(Duration::from_secs(30));
    assert!(failed_with(&pair.right, &Failure::CertificateRefused));
    let told = |event: &Event| {
        matches!(event, Event::NotifyReceived { notify: NotifyType::AUTHENTICATION_FAILED, protected: true, .. })
    };
    assert!(pair.left.has(told));
    for end in [&pair.left, &pair.right] {
        assert!(end.endpoint.status().ike_sas.is_empty() && !end.established());
    }
}

#[test]
fn an_initiator_does_not_prove_itself_to_an_untrusted_responder() {
    let mut pair = pair(ours(), signing(right(), "right", "left", &[b"forged"]).mode(Phase1Mode::Aggressive));
    pair.initiate();
    pair.settle();
    pair.advance(Duration::from_secs(70));
    assert!(failed_with(&pair.left, &Failure::CertificateRefused));
    assert_eq!(pair.seen.iter().filter(|sent| sent.path.remote.ip() == std::net::IpAddr::from(common::B)).count(), 1);
}

#[test]
fn a_forged_message_2_does_not_keep_the_right_one_from_counting() {
    let mut pair = pair(ours(), theirs());
    steps(&mut pair, 1);
    let message_2 = pair.wire.pop_front().unwrap();
    let mut octets = message_2.payload.to_vec();
    // In the signature: its payload ends where the request, the vendor ids and the NAT-Ds begin.
    let signature = octets.windows(RIGHT.len()).position(|window| window == RIGHT).unwrap() + RIGHT.len() + 20;
    octets[signature] ^= 1;
    let forged = drive::Transmit { payload: octets.into(), ..message_2.clone() };
    let _ = pair.deliver(&forged);
    pair.drain();
    assert!(pair.wire.is_empty());
    assert_eq!(pair.deliver(&message_2), Verdict::Accepted);
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
}

/// The answer does not tell whether an identity is known: it is the same, and only a proof is refused.
#[test]
fn an_identity_that_nobody_wants_is_answered_alike_and_refused_once_it_is_proven() {
    let wants_other = theirs().remote_identity(RemoteIdentity::Exactly(name("other")));
    let mut refused = pair(ours(), wants_other);
    refused.initiate();
    refused.settle();
    assert_eq!(payloads(&refused.right, 2), payloads(&agrees(ours(), theirs()).right, 2));
    assert!(failed_with(&refused.right, &Failure::WrongIdentity));
    assert!(refused.left.endpoint.status().ike_sas.is_empty());
}

#[test]
fn aggressive_mode_is_answered_only_where_it_is_asked_for() {
    let mut pair = pair(ours(), signing_right());
    pair.initiate();
    let message_1 = pair.wire.pop_front().unwrap();
    assert_eq!(pair.deliver(&message_1), Verdict::Ignored(DropReason::NoConnection));
}

#[test]
fn the_certificate_of_an_authority_that_vouches_for_nobody_here_is_no_key() {
    let none: fn(&VerifyCertificate) -> _ = |_| None;
    let mut pair = pair(ours(), theirs());
    pair.right.trust = Some(none);
    pair.initiate();
    pair.settle();
    let refused = |event: &Event| {
        matches!(event, Event::AuthenticationFailed { failure: Failure::CertificateRefused, credential, .. }
            if credential == "certificate for site")
    };
    assert_eq!(pair.right.count(refused), 1);
    assert_eq!(pair.right.questions[0].certificates, [LEFT]);
}
