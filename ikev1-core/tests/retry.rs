//! Attempts after a failure, and lives that are extended while they are used.

use crate::common::{A, B, Pair, SITE, connection, left, plan, policy, right};
use core::time::Duration;
use drive::Schedule;
use ikev1_core::{Command, ConnectionConfig, Event, Failure, Peer, RemoveReason, RetryAttempts};

fn quick_to_give_up(connection: ConnectionConfig) -> ConnectionConfig {
    connection.resend_schedule(Schedule::Constant(Duration::from_secs(2))).resends(1)
}

/// Lets time pass at the left end only: nobody answers.
fn alone(pair: &mut Pair, seconds: u64) {
    let until = pair.now + Duration::from_secs(seconds);
    while let Some(at) = pair.left.endpoint.poll_timeout().filter(|at| *at <= until) {
        pair.left.endpoint.handle_timeout(at);
        pair.left.drain(at);
    }
    pair.now = until;
    pair.wire.clear();
}

fn retries(pair: &Pair) -> usize {
    pair.left.count(|event| matches!(event, Event::Retrying { .. }))
}

fn failures(pair: &Pair) -> usize {
    pair.left.count(|event| matches!(event, Event::Phase1Failed { .. }))
}

#[test]
fn without_being_told_a_failure_is_final() {
    let mut pair = Pair::new(plan(quick_to_give_up(left())), plan(right()));
    pair.initiate();
    alone(&mut pair, 600);
    assert_eq!((failures(&pair), retries(&pair)), (1, 0));
    assert_eq!(pair.left.endpoint.poll_timeout(), None);
}

#[test]
fn phase_1_is_tried_again_as_often_as_told_and_counted() {
    let times = quick_to_give_up(left()).retry_attempts(RetryAttempts::Times(3));
    let mut pair = Pair::new(plan(times), plan(right()));
    pair.initiate();
    alone(&mut pair, 600);
    assert_eq!((failures(&pair), retries(&pair)), (4, 3));
    assert_eq!(pair.left.endpoint.counters().retry_phase1, 3);
    assert_eq!(pair.left.endpoint.poll_timeout(), None);
}

#[test]
fn a_peer_that_comes_back_ends_the_attempts() {
    let times = quick_to_give_up(left()).retry_attempts(RetryAttempts::Continuous);
    let mut pair = Pair::new(plan(times), plan(right()));
    pair.initiate();
    alone(&mut pair, 60);
    assert!(retries(&pair) > 2);
    pair.advance(Duration::from_secs(10));
    assert!(pair.left.established() && pair.right.established());
    let before = retries(&pair);
    pair.advance(Duration::from_secs(600));
    assert_eq!(retries(&pair), before);
}

#[test]
fn attempts_without_end_end_after_a_day() {
    let times = left().resends(0).resend_schedule(Schedule::Constant(Duration::from_secs(600)));
    let mut pair = Pair::new(plan(times.retry_attempts(RetryAttempts::Continuous)), plan(right()));
    pair.initiate();
    alone(&mut pair, 2 * 86_400);
    assert!((70..=75).contains(&retries(&pair)), "{}", retries(&pair));
    assert_eq!(pair.left.endpoint.poll_timeout(), None);
}

#[test]
fn phase_2_that_is_refused_is_tried_again_under_the_same_isakmp_sa() {
    let ours = quick_to_give_up(left()).retry_attempts(RetryAttempts::Times(2));
    let theirs = connection(B, A).policy(policy([10, 10, 9, 0], [10, 10, 1, 0]));
    let mut pair = Pair::new(plan(ours), plan(theirs));
    pair.initiate();
    pair.settle();
    pair.advance(Duration::from_secs(60));
    let refused = |event: &Event| matches!(event, Event::Phase2Failed { failure: Failure::RefusedByPeer(_), .. });
    assert_eq!((pair.left.count(refused), retries(&pair)), (3, 2));
    assert_eq!(pair.left.endpoint.counters().retry_phase2, 2);
    assert_eq!(pair.left.endpoint.status().ike_sas.len(), 1);
}

#[test]
fn closing_stops_the_attempts() {
    let times = quick_to_give_up(left()).retry_attempts(RetryAttempts::Continuous);
    let mut pair = Pair::new(plan(times), plan(right()));
    pair.initiate();
    alone(&mut pair, 5);
    pair.command(Command::CloseConnection { connection: SITE });
    alone(&mut pair, 600);
    assert_eq!(pair.left.endpoint.poll_timeout(), None);
}

/// A telephone: no liveness checks, no renewals, no goodbye.
fn telephone() -> Pair {
    let client = left().dpd(ikev1_core::DpdMode::Off).lifetime(Duration::from_secs(600)).soft_per_mille((999, 999));
    let server = right().peer(Peer::Any).lifetime(Duration::from_secs(600)).extend_while_used(true);
    let mut pair = Pair::new(plan(client), plan(server));
    pair.initiate();
    pair.settle();
    assert!(pair.right.established());
    pair
}

#[test]
fn a_life_is_extended_by_a_minute_at_a_time_while_traffic_comes_and_then_ends_with_all() {
    let mut pair = telephone();
    let child = pair.right.endpoint.status().children[0].child;
    // The telephone is gone; what arrives of it is traffic only.
    for _ in 0..70 {
        let until = pair.now + Duration::from_secs(10);
        while let Some(at) = pair.right.endpoint.poll_timeout().filter(|at| *at <= until) {
            pair.right.endpoint.handle_timeout(at);
            pair.right.drain(at);
        }
        pair.now = until;
        pair.right.endpoint.handle_command(until, Command::TrafficSeen { child }).unwrap();
    }
    let extended = pair.right.count(|event| matches!(event, Event::LifeExtended { .. }));
    assert!((1..=3).contains(&extended), "{extended}");
    assert_eq!(pair.right.endpoint.status().ike_sas.len(), 1);
    while let Some(at) = pair.right.endpoint.poll_timeout() {
        pair.right.endpoint.handle_timeout(at);
        pair.right.drain(at);
    }
    assert_eq!(pair.right.removed.last().unwrap().reason, RemoveReason::Expired);
    assert!(pair.right.endpoint.status().ike_sas.is_empty() && pair.right.endpoint.status().children.is_empty());
}

#[test]
fn only_peers_at_one_address_are_tried_again() {
    let any = connection(A, B).peer(Peer::Any).retry_attempts(RetryAttempts::Times(1));
    assert!(ikev1_core::Config::new().connection(any).build().is_err());
    let many = left().retry_attempts(RetryAttempts::Times(17));
    assert!(ikev1_core::Config::new().connection(many).build().is_err());
}
