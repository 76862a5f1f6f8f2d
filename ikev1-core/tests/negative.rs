//! What is refused between two lawful ends: both say why, the notification goes out, nothing stays.

use crate::common;
use crate::common::{A, B, Pair, connection, esp, left, net, plan, policy, right, transform};
use core::time::Duration;
use ikev1_core::auth::PreSharedKey;
use ikev1_core::crypto::{DhGroup, HashAlgorithm};
use ikev1_core::proposal::{AesKey, EspCipher, Integrity, Phase1Transform, Protection};
use ikev1_core::{ConnectionConfig, Event, Failure, Identity, PolicyConfig, RemoteIdentity};
use ipsec_wire::registry::NotifyType;

/// Runs to the end of all resends and checks that nothing but `isakmp` SAs stay on each end.
fn refused(left: ConnectionConfig, right: ConnectionConfig, isakmp: usize) -> Pair {
    let mut pair = Pair::new(plan(left), plan(right));
    pair.initiate();
    pair.settle();
    pair.advance(Duration::from_secs(400));
    assert!(!pair.left.established() && !pair.right.established());
    for end in [&pair.left, &pair.right] {
        let status = end.endpoint.status();
        assert_eq!(status.ike_sas.len(), isakmp, "{:?}", end.events);
        assert_eq!(status.embryonic, 0);
        assert!(status.children.is_empty() && end.installed.is_empty());
    }
    pair
}

fn failed_with(end: &common::End, wanted: &Failure) -> bool {
    end.has(|event| match event {
        Event::Phase1Failed { failure, .. } | Event::Phase2Failed { failure, .. } => failure == wanted,
        _ => false,
    })
}

fn sent(end: &common::End, wanted: NotifyType) -> bool {
    end.has(|event| matches!(event, Event::NotifySent { notify, .. } if *notify == wanted))
}

fn received(end: &common::End, wanted: NotifyType, is_protected: bool) -> bool {
    end.has(|event| matches!(event, Event::NotifyReceived { notify, protected, .. } if *notify == wanted && *protected == is_protected))
}

#[test]
fn a_wrong_key_is_named_on_both_ends_and_leaves_nothing() {
    let pair = refused(left(), right().pre_shared_key(PreSharedKey::copied(b"another key")), 0);
    assert!(failed_with(&pair.left, &Failure::ProbablyWrongKey));
    assert!(failed_with(&pair.right, &Failure::ProbablyWrongKey));
    assert!(sent(&pair.right, NotifyType::PAYLOAD_MALFORMED));
    assert!(received(&pair.left, NotifyType::PAYLOAD_MALFORMED, false));
    let named = |event: &Event| matches!(event, Event::AuthenticationFailed { credential, .. } if credential == "pre-shared key of site");
    assert_eq!(pair.right.count(named), 1);
}

#[test]
fn an_unacceptable_phase_1_offer_is_refused_with_the_reason_per_transform() {
    let other = Phase1Transform { hash: HashAlgorithm::Sha2_256, ..transform(DhGroup::Modp1024) };
    let pair = refused(left(), right().phase1(vec![other]), 0);
    assert!(sent(&pair.right, NotifyType::NO_PROPOSAL_CHOSEN));
    assert!(received(&pair.left, NotifyType::NO_PROPOSAL_CHOSEN, false));
    let text = |event: &Event| match event {
        Event::Phase1Failed { refusals, failure: Failure::NoProposalChosen, .. } => Some(refusals.to_string()),
        _ => None,
    };
    let text = pair.right.events.iter().find_map(text).unwrap();
    assert_eq!(text, "transform 1 against policy 1: hash SHA-1, wanted SHA2-256");
    let timeout =
        |event: &Event| matches!(event, Event::Phase1Failed { failure: Failure::Timeout { hint: Some(14), .. }, .. });
    assert!(pair.left.has(timeout));
}

#[test]
fn a_trusted_unprotected_error_ends_phase_1_at_once() {
    let other = Phase1Transform { hash: HashAlgorithm::Sha2_256, ..transform(DhGroup::Modp768) };
    let trusting = left().dangerously_trust_unprotected_errors(true);
    let mut pair = Pair::new(plan(trusting), plan(right().phase1(vec![other])));
    pair.initiate();
    pair.settle();
    assert!(failed_with(&pair.left, &Failure::RefusedByPeer(14)));
    assert!(pair.left.endpoint.status().ike_sas.is_empty());
}

#[test]
fn an_unacceptable_phase_2_offer_is_refused_under_protection_and_phase_1_stays() {
    let other =
        Protection::Esp { cipher: EspCipher::AesCbc(AesKey::Bits256), integrity: Some(Integrity::HmacSha2_256) };
    let theirs = connection(B, A).policy(policy([10, 10, 2, 0], [10, 10, 1, 0]).suites(vec![other]));
    let pair = refused(left(), theirs, 1);
    assert!(failed_with(&pair.right, &Failure::NoProposalChosen));
    assert!(failed_with(&pair.left, &Failure::RefusedByPeer(14)));
    assert!(received(&pair.left, NotifyType::NO_PROPOSAL_CHOSEN, true));
}

#[test]
fn missing_perfect_forward_secrecy_is_no_proposal_chosen() {
    let theirs = connection(B, A).policy(policy([10, 10, 2, 0], [10, 10, 1, 0]).pfs(DhGroup::Modp768));
    let pair = refused(left(), theirs, 1);
    assert!(failed_with(&pair.right, &Failure::NoProposalChosen));
}

#[test]
fn other_traffic_selectors_are_invalid_id_information_and_the_event_tells_what_was_asked() {
    let theirs = connection(B, A).policy(policy([10, 10, 9, 0], [10, 10, 1, 0]));
    let pair = refused(left(), theirs, 1);
    assert!(received(&pair.left, NotifyType::INVALID_ID_INFORMATION, true));
    let asked = |event: &Event| match event {
        Event::Phase2Failed { failure: Failure::NoPolicy, asked, .. } => *asked,
        _ => None,
    };
    assert_eq!(pair.right.events.iter().find_map(asked), Some((net([10, 10, 1, 0]), net([10, 10, 2, 0]))));
}

#[test]
fn wider_selectors_than_the_policy_are_refused_and_narrower_ones_only_by_setting() {
    let wide = |local: [u8; 4], remote: [u8; 4]| {
        PolicyConfig::new("wide")
            .local(ikev1_core::TrafficSelector::subnet(local.into(), 16).unwrap())
            .remote(net(remote))
            .suites(vec![esp()])
    };
    refused(connection(A, B).policy(wide([10, 10, 1, 0], [10, 10, 2, 0])), right(), 1);
    let mirrored = |narrower| {
        PolicyConfig::new("wide")
            .local(net([10, 10, 2, 0]))
            .remote(ikev1_core::TrafficSelector::subnet([10, 10, 0, 0].into(), 16).unwrap())
            .suites(vec![esp()])
            .accept_narrower(narrower)
    };
    refused(left(), connection(B, A).policy(mirrored(false)), 1);
    let mut pair = Pair::new(plan(left()), plan(connection(B, A).policy(mirrored(true))));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established());
}

#[test]
fn a_responder_with_another_identity_than_wanted_is_refused_and_told() {
    let wanted = RemoteIdentity::Exactly(Identity::Fqdn("right.example.org".into()));
    let pair = refused(left().remote_identity(wanted), right(), 0);
    assert!(failed_with(&pair.left, &Failure::WrongIdentity));
    let told = |event: &Event| matches!(event, Event::AuthenticationFailed { peer: Some(_), wanted: Some(_), .. });
    assert!(pair.left.has(told));
    assert!(received(&pair.right, NotifyType::AUTHENTICATION_FAILED, true));
}

#[test]
fn an_initiator_with_another_identity_than_wanted_is_refused_under_protection() {
    let wanted = RemoteIdentity::Exactly(Identity::Fqdn("left.example.org".into()));
    let pair = refused(left(), right().remote_identity(wanted), 0);
    assert!(failed_with(&pair.right, &Failure::WrongIdentity));
    assert!(failed_with(&pair.left, &Failure::RefusedByPeer(24)));
}

#[test]
fn a_peer_that_no_connection_names_gets_no_answer() {
    let pair = refused(left(), connection(B, [203, 0, 113, 9]), 0);
    assert_eq!(pair.right.endpoint.own_counters().no_connection, 9);
    assert!(pair.right.log.is_empty());
}

#[test]
fn a_silent_peer_ends_phase_1_after_the_last_resend() {
    let mut pair = Pair::ordinary();
    pair.initiate();
    pair.wire.clear();
    for _ in 0..9 {
        let at = pair.left.endpoint.poll_timeout().unwrap();
        pair.left.endpoint.handle_timeout(at);
        pair.left.drain(at);
    }
    let timeout = Failure::Timeout { sendings: 9, hint: None };
    assert!(failed_with(&pair.left, &timeout));
    assert_eq!(pair.left.endpoint.poll_timeout(), None);
    assert_eq!(pair.left.endpoint.counters().tx_retry, 8);
}
