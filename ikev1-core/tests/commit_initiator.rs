//! The commit bit set by the initiator, and by both ends: who waits for whose CONNECTED.

use crate::common;
use crate::common::{A, B, End, Pair, SITE, left, plan, policy, right};
use core::time::Duration;
use drive::{Instant, Transmit};
use ikev1_core::{Action, Command, ConnectionConfig, Direction, Endpoint, Event, Failure, StateName};
use ipsec_wire::registry::{ExchangeType, NotifyType};
use simnet::{Chance, Harness, Link, World};

const EXCHANGE: usize = 18;
const FLAGS: usize = 19;
const MESSAGE_ID: usize = 20;
const COMMIT: u8 = 2;

fn is(transmit: &Transmit, exchange: ExchangeType) -> bool {
    transmit.payload[EXCHANGE] == exchange.0
}

fn directions(end: &End) -> Vec<Direction> {
    end.installed.iter().map(|sa| sa.direction).collect()
}

fn pair(ours: bool, theirs: bool) -> Pair {
    Pair::new(plan(left().commit_bit(ours)), plan(right().commit_bit(theirs)))
}

/// Up to the moment at which messages 1 to 3 of quick mode are delivered.
fn to_message_3(mut pair: Pair) -> Pair {
    pair.initiate();
    let mut quick = 0;
    while quick < 3 {
        quick += usize::from(is(&pair.wire[0], ExchangeType::QUICK));
        assert!(pair.step().is_some());
    }
    pair
}

#[test]
fn an_initiator_that_sets_it_makes_the_responder_wait_for_its_connected() {
    let mut pair = to_message_3(pair(true, false));
    // The responder takes in, but sends nothing yet; the initiator is done, and says so.
    assert_eq!(directions(&pair.right), [Direction::Inbound]);
    assert!(pair.left.established() && !pair.right.established());
    let exchange = &pair.right.endpoint.status().ike_sas[0].exchanges[0];
    assert_eq!((exchange.commit_received, exchange.commit_sent), (true, false));
    assert_eq!(exchange.state, StateName::QuickSendingHash);
    let exchange = &pair.left.endpoint.status().ike_sas[0].exchanges[0];
    assert_eq!((exchange.commit_received, exchange.commit_sent), (false, true));
    assert_eq!(pair.wire.len(), 1);
    let (connected, message_3) = (&pair.wire[0], pair.seen.last().unwrap());
    assert!(is(connected, ExchangeType::INFORMATIONAL));
    // RFC 2408 §3.1: under the message id of the quick mode.
    assert_eq!(connected.payload[MESSAGE_ID..][..4], message_3.payload[MESSAGE_ID..][..4]);
    pair.settle();
    assert_eq!(directions(&pair.right), [Direction::Inbound, Direction::Outbound]);
    assert!(pair.right.established());
    pair.assert_mirrored();
    assert_eq!(pair.right.endpoint.own_counters().connected_missing, 0);
}

#[test]
fn the_bit_is_in_the_messages_of_the_end_that_sets_it_and_nowhere_else() {
    for (ours, theirs) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut pair = pair(ours, theirs);
        pair.initiate();
        pair.settle();
        for transmit in &pair.seen {
            let by_left = transmit.path.local.ip() == core::net::IpAddr::from(A);
            let sets = is(transmit, ExchangeType::QUICK) && if by_left { ours } else { theirs };
            assert_eq!(transmit.payload[FLAGS] & COMMIT != 0, sets);
        }
        pair.assert_mirrored();
        assert!(pair.left.established() && pair.right.established());
    }
}

/// Message 3 tells the responder as much as CONNECTED would: only the initiator waits, and nobody for ever.
#[test]
fn if_both_set_it_the_initiator_waits_and_the_responder_does_not() {
    let mut pair = to_message_3(pair(true, true));
    assert_eq!(directions(&pair.left), [Direction::Inbound]);
    assert!(!pair.left.established() && pair.right.established());
    pair.settle();
    assert!(pair.left.established());
    pair.assert_mirrored();
    let connected =
        |event: &Event| matches!(event, Event::NotifyReceived { notify: NotifyType::CONNECTED, protected: true, .. });
    assert_eq!((pair.left.count(connected), pair.right.count(connected)), (1, 1));
    let missing = |end: &End| end.endpoint.own_counters().connected_missing;
    assert_eq!((missing(&pair.left), missing(&pair.right)), (0, 0));
}

#[test]
fn one_policy_may_set_it_and_another_not() {
    let two = |connection: ConnectionConfig, (near, far): (u8, u8), commit: bool| {
        let other = policy([10, 10, near, 0], [10, 10, far, 0]);
        let named = ikev1_core::PolicyConfig::new("other").local(common::net([10, 10, near + 10, 0]));
        let named = named.remote(common::net([10, 10, far + 10, 0])).suites(vec![common::esp()]);
        connection.policy(other.commit_bit(commit)).policy(named)
    };
    let ours = two(common::connection(A, B), (1, 2), true);
    let theirs = two(common::connection(B, A), (2, 1), false);
    let mut pair = Pair::new(plan(ours), plan(theirs));
    pair.initiate();
    pair.settle();
    let first = |sets: bool| {
        let of_left = pair.seen.iter().filter(|transmit| transmit.path.local.ip() == core::net::IpAddr::from(A));
        let quick = of_left.filter(|transmit| is(transmit, ExchangeType::QUICK));
        quick.filter(|transmit| (transmit.payload[FLAGS] & COMMIT != 0) == sets).count()
    };
    assert_eq!((first(true), first(false)), (2, 2), "messages 1 and 3 of each quick mode");
    assert_eq!(pair.right.installed.len(), 4);
    pair.assert_mirrored();
}

#[test]
fn a_lost_connected_is_asked_for_by_message_2_again() {
    let mut pair = to_message_3(pair(true, false));
    pair.wire.clear();
    let before = pair.seen.len();
    pair.advance(Duration::from_secs(5));
    assert!(pair.right.established());
    assert_eq!(pair.right.endpoint.own_counters().connected_missing, 0);
    let again: Vec<bool> = pair.seen[before..].iter().map(|transmit| is(transmit, ExchangeType::QUICK)).collect();
    assert_eq!(again, [true, true, false], "message 2, message 3, CONNECTED");
    pair.assert_mirrored();
}

#[test]
fn a_connected_that_overtakes_message_3_counts() {
    let mut pair = pair(true, false);
    pair.initiate();
    while !pair.wire.iter().any(|transmit| is(transmit, ExchangeType::INFORMATIONAL)) {
        assert!(pair.step().is_some());
    }
    pair.wire.make_contiguous().reverse();
    assert!(is(&pair.wire[0], ExchangeType::INFORMATIONAL) && is(&pair.wire[1], ExchangeType::QUICK));
    pair.step();
    assert!(!pair.right.established());
    pair.step();
    assert!(pair.right.established(), "without another message");
    pair.settle();
    pair.assert_mirrored();
    assert_eq!(pair.right.endpoint.own_counters().connected_missing, 0);
}

#[test]
fn an_initiator_that_never_confirms_holds_the_pair_for_a_limited_time_only() {
    let mut pair = to_message_3(pair(true, false));
    pair.wire.clear();
    let start = pair.now;
    while !pair.right.established() {
        let at = pair.right.endpoint.poll_timeout().unwrap();
        pair.right.endpoint.handle_timeout(at);
        pair.right.drain(at);
        pair.now = at;
    }
    assert_eq!((pair.now - start).as_secs(), 20);
    assert_eq!(pair.right.endpoint.own_counters().connected_missing, 1);
    pair.assert_mirrored();
}

/// Each message of a quick mode is lost once, or comes twice: both ends come up all the same, and nobody waits out
/// the limit.
#[test]
fn each_message_may_be_lost_once_or_come_twice_whoever_sets_it() {
    for (ours, theirs) in [(true, false), (false, true), (true, true)] {
        for twice in [false, true] {
            for at in 0..5 {
                let mut pair = pair(ours, theirs);
                pair.initiate();
                while !is(&pair.wire[0], ExchangeType::QUICK) {
                    assert!(pair.step().is_some());
                }
                for _ in 0..at {
                    pair.step();
                }
                if let Some(transmit) = pair.wire.pop_front()
                    && twice
                {
                    pair.wire.push_front(transmit.clone());
                    pair.wire.push_front(transmit);
                }
                pair.settle();
                pair.advance(Duration::from_secs(15));
                let case = format!("{ours} {theirs} {twice} {at}");
                assert!(pair.left.established() && pair.right.established(), "{case}");
                pair.assert_mirrored();
                for end in [&pair.left, &pair.right] {
                    assert_eq!(end.installed.len(), 2, "{case}");
                    assert_eq!(end.endpoint.own_counters().connected_missing, 0, "{case}");
                }
            }
        }
    }
}

#[test]
fn under_loss_both_ends_come_up_or_fail_by_their_own_limits() {
    let link = Link::lossy(Duration::from_millis(20), Chance::percent(20));
    for (ours, theirs) in [(true, false), (true, true)] {
        let mut completed = 0;
        for seed in 0..50 {
            let mut world = World::new(seed);
            world.set_links(link);
            let nodes = [world.add_node("left", A), world.add_node("right", B)];
            let plans = [plan(left().commit_bit(ours)), plan(right().commit_bit(theirs))];
            let entropy = nodes.map(|node| world.entropy(node));
            let mut harness = Harness::new(world);
            for ((node, plan), entropy) in nodes.into_iter().zip(plans).zip(entropy) {
                harness.place(node, Endpoint::new(plan, Box::new(entropy)));
            }
            harness.command(nodes[0], Command::Initiate { connection: SITE }).unwrap().unwrap();
            let failure = |harness: &Harness<Endpoint>| {
                nodes.iter().flat_map(|node| harness.actions(*node)).find_map(|(_, action)| match action {
                    Action::Event(Event::Phase1Failed { failure, .. } | Event::Phase2Failed { failure, .. }) => {
                        Some(failure.clone())
                    }
                    _ => None,
                })
            };
            let up = |harness: &Harness<Endpoint>, node| {
                let there = |action: &Action| matches!(action, Action::Event(Event::SaEstablished { .. }));
                harness.actions(node).iter().any(|(_, action)| there(action))
            };
            let done =
                |harness: &Harness<Endpoint>| failure(harness).is_some() || nodes.iter().all(|node| up(harness, *node));
            assert!(harness.wait_for(Instant::from_secs(2_000), done).unwrap(), "seed {seed}: neither up nor failed");
            match failure(&harness) {
                None => completed += 1,
                Some(failure) => assert!(
                    matches!(failure, Failure::Timeout { .. } | Failure::HalfOpenTimeout | Failure::ProbablyWrongKey),
                    "seed {seed}: {failure:?}"
                ),
            }
        }
        assert!(completed >= 48, "{completed} of 50");
    }
}
