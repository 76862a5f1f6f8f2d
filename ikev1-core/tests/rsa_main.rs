//! Main mode with RSA signatures: both roles, keys by certificate and by plan, and what a forger gains.

use crate::common;
use crate::common::signing::{
    LEFT, RIGHT, agrees, credential, failed_with, key, name, pair, payloads, signing, signing_left, signing_right,
    trust, unanswered,
};
use crate::common::{B, Pair, SITE, left, plan, right};
use core::time::Duration;
use drive::{Transmit, Verdict};
use ikev1_core::auth::{Authentication, RemoteKey};
use ikev1_core::crypto::DhGroup;
use ikev1_core::{
    Command, CommandError, Config, ConnectionConfig, DropReason, Event, Failure, Peer, RemoteIdentity, StateName,
};
use ipsec_wire::registry::{NotifyType, PayloadType};

/// Delivers main mode up to a message, which is returned and not delivered.
fn up_to(pair: &mut Pair, number: usize) -> Transmit {
    pair.initiate();
    for _ in 1..number {
        pair.step();
    }
    pair.wire.pop_front().unwrap()
}

#[test]
fn certificates_and_signatures_travel_encrypted_and_each_end_asks_once() {
    let pair = agrees(signing_left(), signing_right());
    assert_eq!(pair.seen.len(), 9);
    use PayloadType as P;
    assert!(payloads(&pair.right, 4).contains(&P::CERTIFICATE_REQUEST));
    let message_5 = payloads(&pair.left, 5);
    let wanted = [P::IDENTIFICATION, P::CERTIFICATE, P::SIGNATURE, P::CERTIFICATE_REQUEST, P::NOTIFICATION];
    assert_eq!(message_5, wanted);
    assert_eq!(payloads(&pair.right, 6), [P::IDENTIFICATION, P::CERTIFICATE, P::SIGNATURE]);
    for (end, certificate, peer) in [(&pair.left, RIGHT, "right"), (&pair.right, LEFT, "left")] {
        let [question] = end.questions.as_slice() else { panic!("{:?}", end.questions) };
        assert_eq!(
            (question.identity.clone(), question.certificates.as_slice()),
            (name(peer), &[certificate.to_vec()][..])
        );
        assert!(
            end.has(|event| matches!(event, Event::Phase1Established { peer: proven, .. } if *proven == name(peer)))
        );
    }
}

#[test]
fn a_chain_arrives_whole_and_in_order() {
    let chain: [&[u8]; 3] = [LEFT, b"intermediate", b"another"];
    let pair = agrees(signing(left(), "left", "right", &chain), signing_right());
    assert_eq!(pair.right.questions[0].certificates, chain);
}

#[test]
fn with_the_peers_key_in_the_plan_nobody_is_asked() {
    let raw = |config: ConnectionConfig, ours: &str, theirs: &str| {
        let local = credential(ours, &[]);
        config.authentication(Authentication::RsaSignature { local, remote: RemoteKey::Key(key(theirs)) })
    };
    let mut pair = pair(raw(left(), "left", "right"), raw(right(), "right", "left"));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
    assert!(pair.left.questions.is_empty() && pair.right.questions.is_empty());
    assert_eq!(
        payloads(&pair.left, 5),
        [PayloadType::IDENTIFICATION, PayloadType::SIGNATURE, PayloadType::NOTIFICATION]
    );
}

#[test]
fn the_right_connection_of_several_is_found_by_the_identity() {
    let two = |title: &str, theirs: &str| {
        let config = ConnectionConfig::new(title)
            .local(std::net::IpAddr::from(B))
            .peer(Peer::Any)
            .phase1(vec![common::transform(DhGroup::Modp768)])
            .dangerously_allow_weak_algorithms(true)
            .policy(common::policy([10, 10, 2, 0], [10, 10, 1, 0]));
        signing(config, "right", theirs, &[RIGHT])
    };
    let hub = Config::new().connection(two("other", "other")).connection(two("wanted", "left")).build().unwrap();
    let mut pair = Pair::new(plan(signing_left()), hub);
    pair.left.trust = Some(trust);
    pair.right.trust = Some(trust);
    pair.initiate();
    pair.settle();
    assert!(pair.left.established());
    assert_eq!(pair.right.endpoint.status().ike_sas[0].name, "wanted");
}

#[test]
fn a_method_that_differs_is_refused_by_its_name() {
    let mut pair = pair(signing_left(), right());
    pair.initiate();
    pair.settle();
    let text = pair.right.events.iter().find_map(|event| match event {
        Event::Phase1Failed { refusals, .. } => Some(refusals.to_string()),
        _ => None,
    });
    assert_eq!(text.unwrap(), "transform 1 against policy 1: auth RSA signatures, wanted pre-shared key");
}

#[test]
fn while_the_caller_thinks_the_sa_waits_and_takes_nothing_in() {
    let mut pair = pair(signing_left(), signing_right());
    pair.right.trust = None;
    let message_5 = up_to(&mut pair, 5);
    assert_eq!(pair.deliver(&message_5), Verdict::Accepted);
    pair.drain();
    let status = pair.right.endpoint.status();
    assert_eq!(status.ike_sas[0].exchange_state, StateName::MainAuthRecv);
    assert_eq!(status.embryonic, 1);
    // The same again is no new question, and another message does not fit.
    assert_eq!(pair.deliver(&message_5), Verdict::Duplicate);
    let mut other = message_5.clone();
    let mut octets = other.payload.to_vec();
    *octets.last_mut().unwrap() ^= 1;
    other.payload = octets.into();
    assert_eq!(pair.deliver(&other), Verdict::Ignored(DropReason::Unexpected));
    pair.drain();
    let [question] = pair.right.questions.as_slice() else { panic!() };
    let (ticket, now) = (question.ticket, pair.now);
    let answer = || Command::CertificateVerdict { ticket, key: Some(key("left")) };
    pair.right.endpoint.handle_command(now, answer()).unwrap();
    assert_eq!(pair.right.endpoint.handle_command(now, answer()), Err(CommandError::UnknownTicket(ticket)));
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
}

/// Told by the peer under protection that the proof was not taken.
fn told(event: &Event) -> bool {
    matches!(event, Event::NotifyReceived { notify: NotifyType::AUTHENTICATION_FAILED, protected: true, .. })
}

#[test]
fn a_question_without_an_answer_ends_phase_1_and_the_peer_is_told() {
    for (mut pair, silent_left) in unanswered(signing_left, signing_right, Duration::from_secs(31)) {
        let (silent, other) = if silent_left { (&pair.left, &pair.right) } else { (&pair.right, &pair.left) };
        assert!(other.has(told), "{:?}", other.events);
        let ticket = silent.questions[0].ticket;
        let late = Command::CertificateVerdict { ticket, key: None };
        let now = pair.now;
        let end = if silent_left { &mut pair.left } else { &mut pair.right };
        assert_eq!(end.endpoint.handle_command(now, late), Err(CommandError::UnknownTicket(ticket)));
    }
}

#[test]
fn a_ticket_answers_its_own_kind_of_question_only() {
    let mut pair = pair(signing_left(), signing_right());
    pair.right.trust = None;
    pair.initiate();
    pair.settle();
    let (ticket, now) = (pair.right.questions[0].ticket, pair.now);
    let wrong = Command::ProvideSpi { ticket, spi: Some(4_096) };
    assert_eq!(pair.right.endpoint.handle_command(now, wrong), Err(CommandError::UnknownTicket(ticket)));
    let right = Command::CertificateVerdict { ticket, key: Some(key("left")) };
    assert!(pair.right.endpoint.handle_command(now, right).is_ok());
    pair.settle();
    assert!(pair.left.established());
}

#[test]
fn a_certificate_that_is_not_trusted_ends_in_nothing_on_both_ends() {
    for (distrusting_left, chain) in [(true, b"left's certificate"), (false, b"forged certificate")] {
        let chain: &[u8] = if distrusting_left { LEFT } else { chain };
        let mut pair = pair(signing(left(), "left", "right", &[chain]), signing_right());
        if distrusting_left {
            pair.left.trust = Some(|_| None);
        }
        pair.initiate();
        pair.settle();
        let named = |event: &Event| {
            matches!(event, Event::AuthenticationFailed { failure: Failure::CertificateRefused, peer: Some(_), credential, .. }
                if credential == "certificate for site")
        };
        let end = if distrusting_left { &pair.left } else { &pair.right };
        assert_eq!(end.count(named), 1);
        pair.advance(Duration::from_secs(400));
        let other = if distrusting_left { &pair.right } else { &pair.left };
        assert!(other.has(told), "{:?}", other.events);
        for end in [&pair.left, &pair.right] {
            assert!(!end.established() && end.endpoint.status().ike_sas.is_empty());
            assert!(end.questions.len() <= 1);
        }
    }
}

/// What was refused leaves no half-open SA behind that would count against the next.
#[test]
fn refused_initiators_do_not_use_up_the_half_open_places() {
    let mut pair = pair(signing(left(), "left", "right", &[b"forged"]), signing_right());
    for _ in 0..20 {
        pair.initiate();
        pair.settle();
        pair.advance(Duration::from_secs(60));
        assert_eq!(pair.right.endpoint.status().embryonic, 0);
    }
    let refused = |event: &Event| matches!(event, Event::Phase1Failed { failure: Failure::CertificateRefused, .. });
    assert_eq!(pair.right.count(refused), 20);
}

/// CVE-2004-0155 and CVE-2004-0607: the certificate is good, the signature is another's.
#[test]
fn a_good_certificate_with_a_signature_by_another_key_proves_nothing() {
    let forged = left()
        .authentication(Authentication::RsaSignature {
            local: credential("right", &[LEFT]),
            remote: RemoteKey::Certificate { authorities: Vec::new() },
        })
        .local_identity(name("left"));
    let mut forger = pair(forged, signing_right());
    forger.initiate();
    forger.settle();
    forger.advance(Duration::from_secs(400));
    assert!(failed_with(&forger.right, &Failure::WrongSignature));
    assert!(!forger.right.has(|event| matches!(event, Event::Phase1Established { .. })));
    // The lawful traffic beside it.
    agrees(signing_left(), signing_right());
}

#[test]
fn a_certificate_of_another_name_proves_nothing() {
    let mallory = signing(left(), "right", "right", &[RIGHT]).local_identity(name("left"));
    let mut pair = pair(mallory, signing_right());
    pair.initiate();
    pair.settle();
    pair.advance(Duration::from_secs(400));
    assert!(failed_with(&pair.right, &Failure::CertificateRefused));
}

#[test]
fn an_identity_that_is_proven_but_not_wanted_is_refused_under_protection_at_once() {
    let wants_other = signing_right().remote_identity(RemoteIdentity::Exactly(name("other")));
    let mut refused = pair(signing_left(), wants_other);
    refused.initiate();
    refused.settle();
    assert!(failed_with(&refused.right, &Failure::WrongIdentity));
    assert!(failed_with(&refused.left, &Failure::RefusedByPeer(24)));
    let wants_other = signing_left().remote_identity(RemoteIdentity::Exactly(name("other")));
    let mut refused = pair(wants_other, signing_right());
    refused.initiate();
    refused.settle();
    assert!(failed_with(&refused.left, &Failure::WrongIdentity));
    assert!(refused.right.endpoint.status().ike_sas.is_empty());
}

/// The peer that this end agreed on keys with made message 5; anyone on the path can bend a copy of it.
#[test]
fn a_bent_copy_of_message_5_costs_a_check_and_the_right_one_still_counts() {
    let mut pair = pair(signing_left(), signing_right());
    let message_5 = up_to(&mut pair, 5);
    let bent = |at_block: usize| {
        let mut octets = message_5.payload.to_vec();
        // Inside of the certificate and the signature, which are no structure.
        octets[28 + 16 * at_block] ^= 1;
        Transmit { payload: octets.into(), ..message_5.clone() }
    };
    for at_block in [5, 6, 7] {
        let _ = pair.deliver(&bent(at_block));
        pair.drain();
        assert_eq!(pair.right.endpoint.status().ike_sas[0].exchange_state, StateName::MainKeRecv);
    }
    let _ = pair.deliver(&message_5);
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
}

#[test]
fn no_more_than_four_signatures_are_looked_at_for_one_exchange() {
    let mut pair = pair(signing_left(), signing_right());
    let message_5 = up_to(&mut pair, 5);
    let mut limit = 0;
    for at in 0..20u8 {
        let mut octets = message_5.payload.to_vec();
        octets[28 + 16 * 7] ^= at + 1;
        let bent = Transmit { payload: octets.into(), ..message_5.clone() };
        if pair.deliver(&bent) == Verdict::Ignored(DropReason::Limit) {
            limit += 1;
        }
        pair.drain();
    }
    assert_eq!((pair.right.questions.len(), limit), (4, 16));
    assert_eq!(pair.deliver(&message_5), Verdict::Ignored(DropReason::Limit));
    pair.advance(Duration::from_secs(400));
    assert!(pair.right.endpoint.status().ike_sas.is_empty());
}

#[test]
fn a_peer_that_signs_nothing_where_a_signature_is_due_proves_nothing() {
    // A pre-shared key peer cannot get there, since the methods differ; the table refuses the payloads.
    use ikev1_core::auth::ProofKind;
    use ikev1_core::transition::{Protection, admit, row_for};
    use ipsec_wire::registry::ExchangeType;
    let state = StateName::MainKeRecv;
    let row = row_for(ExchangeType::MAIN, ikev1_core::Role::Responder, state, ProofKind::Signature).unwrap();
    use PayloadType as P;
    let admitted = |payloads: &[P]| admit(row, Protection::Encrypted, payloads.iter().copied()).is_ok();
    assert!(admitted(&[P::IDENTIFICATION, P::SIGNATURE]));
    assert!(admitted(&[P::IDENTIFICATION, P::CERTIFICATE, P::SIGNATURE]));
    assert!(!admitted(&[P::IDENTIFICATION, P::CERTIFICATE]));
    assert!(!admitted(&[P::IDENTIFICATION, P::CERTIFICATE, P::HASH]));
    assert!(!admitted(&[P::IDENTIFICATION, P::HASH, P::SIGNATURE]));
    assert!(!admitted(&[[P::IDENTIFICATION, P::SIGNATURE].as_slice(), &[P::CERTIFICATE; 9]].concat()));
}

#[test]
fn the_actions_are_the_same_twice() {
    let logs = |_| {
        let pair = agrees(signing_left(), signing_right());
        (pair.left.log, pair.right.log)
    };
    assert_eq!(logs(1), logs(2));
}

#[test]
fn weak_keys_and_long_chains_are_refused_by_the_plan() {
    let build = |chain: &[&[u8]]| Config::new().connection(signing(left(), "left", "right", chain)).build();
    assert!(build(&[LEFT; 8]).is_ok());
    assert_eq!(build(&[LEFT; 9]).unwrap_err().to_string(), "site.authentication.chain: 9 is not within 0 to 8");
    let long = vec![0; 16 * 1024 + 1];
    let text = build(&[&long]).unwrap_err().to_string();
    assert_eq!(text, "site.authentication.chain: 16385 is not within 1 to 16384");
    let three = vec![0; 12 * 1024];
    let text = build(&[&three, &three, &three]).unwrap_err().to_string();
    assert_eq!(text, "site.authentication.chain: 36864 is not within 0 to 32768");
}

#[test]
fn nothing_shows_the_key() {
    let plan = plan(signing_left());
    let text = format!("{plan:?} {:?}", plan.connection(SITE).unwrap().authentication());
    assert!(text.contains("RsaSigningKey(2048 bits)"));
}
