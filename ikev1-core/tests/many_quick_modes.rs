//! Many quick modes at once, their limits, what waits for a place, and the lifetimes they may agree on.

use crate::common;
use crate::common::{A, B, Pair, SITE, connection, esp, plan};
use core::time::Duration;
use ikev1_core::proposal::{EspCipher, Icv, Lifetime, LifetimeRule, Protection};
use ikev1_core::{Command, ConnectionConfig, Event, Failure, IkeSaState, PolicyConfig, PolicyId, TrafficSelector};

fn net(third: u8) -> TrafficSelector {
    common::net([10, 10, third, 0])
}

fn policies(mut connection: ConnectionConfig, count: u8, left: bool) -> ConnectionConfig {
    for number in 0..count {
        let (ours, theirs) = if left { (number, 200) } else { (200, number) };
        let policy = PolicyConfig::new(&format!("net {number}")).local(net(ours)).remote(net(theirs));
        connection = connection.policy(policy.suites([esp()]));
    }
    connection
}

fn pair(count: u8, with: impl Fn(ConnectionConfig) -> ConnectionConfig) -> Pair {
    let (left, right) = (with(connection(A, B)), with(connection(B, A)));
    Pair::new(plan(policies(left, count, true)), plan(policies(right, count, false)))
}

#[test]
fn a_hundred_policies_come_up_under_one_isakmp_sa_however_few_places_there_are() {
    let mut pair = pair(100, |connection| connection);
    pair.initiate();
    let mut most = 0;
    for _ in 0..2_000 {
        let working = |status: &ikev1_core::Status| {
            let sas = status.ike_sas.iter().flat_map(|sa| &sa.exchanges);
            sas.filter(|exchange| exchange.state != ikev1_core::StateName::DeleteDelay).count()
        };
        most = most.max(working(&pair.left.endpoint.status()));
        if pair.step().is_none() {
            break;
        }
    }
    assert_eq!(most, ikev1_core::defaults::MAX_EXCHANGES_PER_SA);
    for end in [&pair.left, &pair.right] {
        assert_eq!(end.count(|event| matches!(event, Event::SaEstablished { .. })), 100);
        assert_eq!(end.count(|event| matches!(event, Event::Phase2Failed { .. })), 0);
        assert_eq!(end.endpoint.status().ike_sas.len(), 1);
    }
    pair.assert_mirrored();
}

#[test]
fn finished_exchanges_are_kept_to_answer_repeats_but_not_without_end() {
    let mut pair = pair(2, |connection| connection.delete_delay(Duration::from_secs(30)));
    pair.initiate();
    pair.settle();
    for _ in 0..ikev1_core::defaults::MAX_EXCHANGES_KEPT {
        let child = pair.left.endpoint.status().children.last().unwrap().child;
        pair.command(Command::RekeyChild { child });
        pair.settle();
    }
    for end in [&pair.left, &pair.right] {
        let kept = end.endpoint.status().ike_sas[0].exchanges.len();
        assert_eq!(kept, ikev1_core::defaults::MAX_EXCHANGES_KEPT);
    }
}

#[test]
fn equal_requests_are_merged_whether_phase_1_or_a_place_is_missing() {
    let mut pair = pair(40, |connection| connection);
    let acquire = |policy| Command::Acquire { connection: SITE, policy: PolicyId(policy), packet: None };
    for _ in 0..3 {
        for policy in 0..40 {
            pair.left.endpoint.handle_command(pair.now, acquire(policy)).unwrap();
        }
    }
    assert_eq!(pair.left.endpoint.counters().acquire_equivalent_found, 80);
    pair.settle();
    assert_eq!(pair.left.count(|event| matches!(event, Event::SaEstablished { .. })), 40);
    // Under an SA that is up they are merged with what is at work or waits for a place.
    let mut again = self::pair(40, |connection| connection);
    again.command(acquire(39));
    again.settle();
    for _ in 0..2 {
        for policy in 0..39 {
            again.left.endpoint.handle_command(again.now, acquire(policy)).unwrap();
        }
    }
    again.settle();
    assert_eq!(again.left.count(|event| matches!(event, Event::SaEstablished { .. })), 40);
}

#[test]
fn after_so_many_quick_modes_phase_1_is_negotiated_anew() {
    let mut pair = pair(5, |connection| connection.phase2_limit(2));
    pair.initiate();
    pair.settle();
    pair.advance(Duration::from_secs(1));
    pair.initiate();
    pair.settle();
    pair.advance(Duration::from_secs(1));
    assert_eq!(pair.left.endpoint.status().children.len(), 5);
    pair.assert_mirrored();
    let status = pair.left.endpoint.status();
    let current: Vec<_> = status.ike_sas.iter().filter(|sa| sa.state == IkeSaState::Active).collect();
    assert_eq!(current.len(), 1);
    assert_ne!(current[0].ike_sa, ikev1_core::IkeSaId(1));
    // A renewal begins under a fresh SA, and no SA is used beyond its limit by the end that starts.
    let before = current[0].ike_sa;
    for _ in 0..4 {
        let child = pair.left.endpoint.status().children.iter().find(|child| !child.superseded).unwrap().child;
        pair.command(Command::RekeyChild { child });
        pair.settle();
        pair.advance(Duration::from_secs(1));
    }
    let after = pair.left.endpoint.status();
    assert!(after.ike_sas.iter().any(|sa| sa.state == IkeSaState::Active && sa.ike_sa != before));
    pair.advance(Duration::from_secs(40));
    assert_eq!(pair.left.endpoint.status().children.len(), 5);
    pair.assert_mirrored();
}

fn with_lifetimes(ours: PolicyConfig, theirs: PolicyConfig) -> Pair {
    let left = connection(A, B).policy(ours.local(net(1)).remote(net(2)).suites([esp()]));
    let right = connection(B, A).policy(theirs.local(net(2)).remote(net(1)).suites([esp()]));
    let mut pair = Pair::new(plan(left), plan(right));
    pair.initiate();
    pair.settle();
    pair
}

fn lives(pair: &Pair) -> [(u64, Option<u64>); 2] {
    [&pair.left, &pair.right].map(|end| {
        let lifetimes = end.endpoint.status().children[0].lifetimes;
        (lifetimes.hard.as_secs(), lifetimes.hard_kilobytes)
    })
}

fn policy(seconds: u64) -> PolicyConfig {
    PolicyConfig::new("net").lifetime(Duration::from_secs(seconds))
}

#[test]
fn both_ends_live_by_the_shorter_life_in_each_unit_because_the_responder_tells() {
    let pair = with_lifetimes(policy(3_600), policy(600).kilobytes(1_000));
    assert_eq!(lives(&pair), [(600, Some(1_000)); 2]);
    let pair = with_lifetimes(policy(600).kilobytes(5_000), policy(3_600).kilobytes(1_000));
    assert_eq!(lives(&pair), [(600, Some(1_000)); 2]);
    let soft = pair.left.endpoint.status().children[0].lifetimes.soft_kilobytes;
    assert_eq!(soft, Some(875));
}

#[test]
fn a_responder_refuses_lives_outside_of_its_window_and_tells_which() {
    let window = |policy: PolicyConfig| policy.lifetime_window(Lifetime::seconds(300), Lifetime::seconds(3_600));
    for (seconds, taken) in [(299, false), (300, true), (3_600, true), (3_601, false)] {
        let pair = with_lifetimes(policy(seconds), window(policy(3_600)));
        assert_eq!(pair.right.established(), taken, "{seconds}");
    }
    let pair = with_lifetimes(policy(60), window(policy(3_600)));
    let told = pair.right.events.iter().find_map(|event| match event {
        Event::Phase2Failed { failure: Failure::NoProposalChosen, refusals, .. } => Some(refusals.to_string()),
        _ => None,
    });
    assert_eq!(told.unwrap(), "proposal 1, transform 1 against policy 1: lifetime 60 s, wanted 300 s");
}

#[test]
fn a_responder_that_takes_no_longer_life_refuses_it_and_one_that_obeys_lives_by_it() {
    let strict = with_lifetimes(policy(3_600), policy(600).lifetime_rule(LifetimeRule::Strict));
    assert!(!strict.right.established());
    let obeying = with_lifetimes(policy(3_600), policy(600).lifetime_rule(LifetimeRule::Obey));
    assert_eq!(lives(&obeying), [(3_600, None); 2]);
}

#[test]
fn an_initiator_refuses_a_life_announced_outside_of_its_window() {
    let window = policy(3_600).lifetime_window(Lifetime::seconds(300), Lifetime::default());
    let pair = with_lifetimes(window, policy(60));
    let refused = Failure::Lifetime(Lifetime::seconds(60));
    assert!(pair.left.has(|event| matches!(event, Event::Phase2Failed { failure, .. } if *failure == refused)));
    assert!(pair.left.installed.is_empty());
}

#[test]
fn extended_sequence_numbers_are_agreed_with_every_kind_of_cipher_and_only_if_both_want_them() {
    let key = ikev1_core::proposal::AesKey::Bits256;
    let alone = |cipher| Protection::Esp { cipher, integrity: None };
    let kinds = [
        esp(),
        alone(EspCipher::AesGcm(key, Icv::Octets16)),
        alone(EspCipher::AesCcm(key, Icv::Octets8)),
        alone(EspCipher::NullAesGmac(key)),
        Protection::Ah { integrity: ikev1_core::proposal::Integrity::AesGmac(key) },
    ];
    let run = |suite: Protection, ours: bool, theirs: bool| {
        let policy = |esn| PolicyConfig::new("net").suites([suite]).extended_sequence(esn);
        let left = connection(A, B).policy(policy(ours).local(net(1)).remote(net(2)));
        let right = connection(B, A).policy(policy(theirs).local(net(2)).remote(net(1)));
        let mut pair = Pair::new(plan(left), plan(right));
        pair.initiate();
        pair.settle();
        pair
    };
    for suite in kinds {
        let pair = run(suite, true, true);
        assert!(pair.left.established() && pair.right.established(), "{suite}");
        pair.assert_mirrored();
        assert!(!run(suite, true, false).right.established());
        assert!(!run(suite, false, true).right.established());
    }
}
