//! Perfect forward secrecy for identities: one quick mode for each ISAKMP SA, which is deleted then (RFC 2409 §8).

use crate::common::{A, B, End, Pair, SITE, connection, esp, left, net, plan, policy, right};
use core::time::Duration;
use drive::Instant;
use ikev1_core::{
    Action, Command, Config, ConnectionConfig, Endpoint, Event, Failure, ModeConfig, ModeConfigClient, Phase1Mode,
    PolicyConfig, PolicyId, RemoveReason,
};
use simnet::{Chance, Harness, Link, World};

fn alone(connection: ConnectionConfig) -> ConnectionConfig {
    connection.pfs_identities(true)
}

fn pair() -> Pair {
    Pair::new(plan(alone(left())), plan(alone(right())))
}

fn up(mut pair: Pair) -> Pair {
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
    pair
}

fn ike_sas(end: &End) -> usize {
    end.endpoint.status().ike_sas.len()
}

fn children(end: &End) -> usize {
    end.endpoint.status().children.len()
}

fn spent(end: &End) -> usize {
    end.count(|event| matches!(event, Event::IkeSaEnded { reason: RemoveReason::Spent, .. }))
}

#[test]
fn the_isakmp_sa_is_deleted_after_its_quick_mode_and_the_pair_stays() {
    let mut pair = up(pair());
    assert_eq!((ike_sas(&pair.left), ike_sas(&pair.right)), (1, 1));
    pair.advance(Duration::from_secs(30));
    // For as long as message 3 may have to be sent again.
    assert_eq!(ike_sas(&pair.left), 1);
    pair.advance(Duration::from_secs(2));
    for end in [&pair.left, &pair.right] {
        assert_eq!((ike_sas(end), children(end), end.installed.len()), (0, 1, 2));
        assert!(end.removed.is_empty());
    }
    assert!(spent(&pair.left) + spent(&pair.right) >= 1);
    pair.assert_mirrored();
    // Nothing else happens until the pair is renewed.
    pair.advance(Duration::from_secs(3_600));
    assert_eq!((ike_sas(&pair.left), children(&pair.left)), (0, 1));
}

#[test]
fn one_end_alone_may_want_it() {
    for (ours, theirs) in [(true, false), (false, true)] {
        let want = |connection: ConnectionConfig, wants: bool| connection.pfs_identities(wants);
        let mut pair = up(Pair::new(plan(want(left(), ours)), plan(want(right(), theirs))));
        pair.advance(Duration::from_secs(40));
        for end in [&pair.left, &pair.right] {
            assert_eq!((ike_sas(end), children(end)), (0, 1), "{ours} {theirs}");
        }
        pair.assert_mirrored();
    }
}

fn two(connection: ConnectionConfig, (near, far): (u8, u8)) -> ConnectionConfig {
    let other = PolicyConfig::new("other").local(net([10, 20, near, 0])).remote(net([10, 20, far, 0]));
    connection.policy(policy([10, 10, near, 0], [10, 10, far, 0])).policy(other.suites(vec![esp()]))
}

#[test]
fn each_policy_gets_an_isakmp_sa_of_its_own_and_none_ends_another() {
    let plans = || (plan(alone(two(connection(A, B), (1, 2)))), plan(alone(two(connection(B, A), (2, 1)))));
    let (ours, theirs) = plans();
    let mut pair = Pair::new(ours, theirs);
    pair.initiate();
    pair.settle();
    for end in [&pair.left, &pair.right] {
        assert_eq!((ike_sas(end), children(end)), (2, 2));
        assert!(end.endpoint.status().ike_sas.iter().all(|sa| sa.phase2_negotiations == 1));
    }
    pair.advance(Duration::from_secs(40));
    assert_eq!((ike_sas(&pair.left), children(&pair.left), children(&pair.right)), (0, 2, 2));
    pair.assert_mirrored();
    // One after the other comes to the same.
    let (ours, theirs) = plans();
    let mut pair = Pair::new(ours, theirs);
    for policy in [PolicyId(0), PolicyId(1)] {
        pair.command(Command::Acquire { connection: SITE, policy, packet: None });
        pair.settle();
        pair.advance(Duration::from_secs(10));
    }
    assert_eq!((ike_sas(&pair.left), children(&pair.left), children(&pair.right)), (2, 2, 2));
    assert!(pair.right.removed.is_empty());
}

#[test]
fn a_renewal_takes_a_phase_1_of_its_own_and_ends_the_old_pair_as_ever() {
    let short = |connection: ConnectionConfig, local, remote| {
        alone(connection.policy(policy(local, remote).lifetime(Duration::from_secs(200))))
    };
    let ours = short(connection(A, B), [10, 10, 1, 0], [10, 10, 2, 0]);
    let theirs = short(connection(B, A), [10, 10, 2, 0], [10, 10, 1, 0]);
    let mut pair = up(Pair::new(plan(ours), plan(theirs)));
    pair.advance(Duration::from_secs(260));
    for end in [&pair.left, &pair.right] {
        assert_eq!((ike_sas(end), children(end), end.installed.len()), (0, 1, 2));
        assert_eq!(end.count(|event| matches!(event, Event::Phase1Established { .. })), 2);
        assert_eq!(end.count(|event| matches!(event, Event::SaRekeyed { .. })), 1);
        // INITIAL-CONTACT of the second phase 1 would have taken the pair that is to be renewed.
        assert!(end.removed.iter().all(|removed| removed.reason != RemoveReason::InitialContact));
    }
    pair.assert_mirrored();
}

#[test]
fn a_lost_message_3_is_brought_back_before_the_isakmp_sa_goes() {
    let mut pair = pair();
    pair.initiate();
    while !pair.left.established() {
        assert!(pair.step().is_some());
    }
    pair.wire.clear();
    assert!(!pair.right.established());
    pair.advance(Duration::from_secs(40));
    assert!(pair.right.established());
    pair.advance(Duration::from_secs(60));
    assert_eq!((ike_sas(&pair.left), ike_sas(&pair.right)), (0, 0));
    pair.assert_mirrored();
}

#[test]
fn a_quick_mode_that_is_still_at_work_keeps_its_isakmp_sa() {
    let mut pair = pair();
    pair.initiate();
    // Up to message 1 of quick mode, which never arrives.
    while pair.left.endpoint.status().ike_sas[0].exchanges.is_empty() {
        assert!(pair.step().is_some());
    }
    pair.wire.clear();
    let at = |pair: &mut Pair, by: u64| {
        let until = pair.now + Duration::from_secs(by);
        while let Some(next) = pair.left.endpoint.poll_timeout().filter(|next| *next <= until) {
            pair.left.endpoint.handle_timeout(next);
            pair.left.drain(next);
        }
        pair.now = until;
    };
    at(&mut pair, 250);
    assert_eq!(ike_sas(&pair.left), 1, "it is sent again for 292 s");
    at(&mut pair, 100);
    assert_eq!(ike_sas(&pair.left), 0);
    let timed_out = |event: &Event| matches!(event, Event::Phase2Failed { failure: Failure::Timeout { .. }, .. });
    assert_eq!((pair.left.count(timed_out), children(&pair.left)), (1, 0));
}

#[test]
fn several_quick_modes_of_a_peer_under_one_isakmp_sa_are_let_be() {
    let ours = two(connection(A, B), (1, 2));
    let theirs = alone(two(connection(B, A), (2, 1)));
    let mut pair = Pair::new(plan(ours), plan(theirs));
    pair.initiate();
    pair.settle();
    assert_eq!((ike_sas(&pair.right), children(&pair.left), children(&pair.right)), (1, 2, 2));
    pair.advance(Duration::from_secs(40));
    assert_eq!((ike_sas(&pair.right), children(&pair.left), children(&pair.right)), (0, 2, 2));
    pair.assert_mirrored();
}

#[test]
fn it_needs_main_mode_and_excludes_a_limit_of_its_own_and_sessions_of_users() {
    let refusal =
        |connection: ConnectionConfig| Config::new().connection(connection).build().map(drop).unwrap_err().to_string();
    let limited = refusal(alone(left()).phase2_limit(3));
    assert_eq!(limited, "site.pfs_identities: with it each ISAKMP SA carries one quick mode");
    let address = alone(left()).mode_config(ModeConfig::Client(ModeConfigClient::new()));
    assert_eq!(refusal(address), "site.pfs_identities: a session of a user needs an ISAKMP SA that stays");
    let aggressive = alone(left()).mode(Phase1Mode::Aggressive).dangerously_allow_aggressive_mode(true);
    assert_eq!(refusal(aggressive), "site.pfs_identities: main mode alone protects identities");
}

#[test]
fn under_loss_both_pairs_come_up_or_fail_by_their_own_limits_and_no_isakmp_sa_stays() {
    for seed in 0..30 {
        let mut world = World::new(seed);
        world.set_links(Link::lossy(Duration::from_millis(20), Chance::percent(15)));
        let nodes = [world.add_node("left", A), world.add_node("right", B)];
        let plans = [plan(alone(two(connection(A, B), (1, 2)))), plan(alone(two(connection(B, A), (2, 1))))];
        let entropy = nodes.map(|node| world.entropy(node));
        let mut harness = Harness::new(world);
        for ((node, plan), entropy) in nodes.into_iter().zip(plans).zip(entropy) {
            harness.place(node, Endpoint::new(plan, Box::new(entropy)));
        }
        harness.command(nodes[0], Command::Initiate { connection: SITE }).unwrap().unwrap();
        harness.run_until(Instant::from_secs(900)).unwrap();
        let failed =
            |action: &Action| matches!(action, Action::Event(Event::Phase1Failed { .. } | Event::Phase2Failed { .. }));
        let failures =
            nodes.iter().flat_map(|node| harness.actions(*node)).filter(|(_, action)| failed(action)).count();
        let left = harness.machine(nodes[0]).unwrap().status();
        assert!(left.ike_sas.is_empty(), "seed {seed}");
        assert!(failures > 0 || left.children.len() == 2, "seed {seed}: {} pairs", left.children.len());
    }
}
