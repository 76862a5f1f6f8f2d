//! Handshakes over links that lose, double, reorder and delay.

use crate::common::lossy::{self, events};
use crate::common::{A, B, SITE, connection, left, plan, policy, right};
use core::time::Duration;
use drive::Instant;
use ikev1_core::{Command, Endpoint, Event, Failure};
use simnet::{Chance, Harness, Link, World};

fn harness(seed: u64, link: Link) -> (Harness<Endpoint>, simnet::NodeId, simnet::NodeId) {
    lossy::harness(seed, link, plan(left()), plan(right()))
}

fn outcome(seed: u64, link: Link) -> Result<Instant, Failure> {
    lossy::outcome(seed, link, plan(left()), plan(right()))
}

#[test]
fn twenty_percent_loss_both_ways_completes_or_fails_by_its_own_limits_for_200_seeds() {
    let link = Link::lossy(Duration::from_millis(20), Chance::percent(20));
    let mut completed = 0;
    for seed in 0..200 {
        match outcome(seed, link) {
            Ok(_) => completed += 1,
            Err(failure) => assert!(
                matches!(failure, Failure::Timeout { .. } | Failure::HalfOpenTimeout | Failure::ProbablyWrongKey),
                "seed {seed}: {failure:?}"
            ),
        }
    }
    assert!(completed >= 195, "{completed} of 200");
}

#[test]
fn doubled_reordered_and_bursty_links_complete() {
    let completed = (0..40).filter(|seed| outcome(*seed, Link::hostile(Duration::from_millis(30))).is_ok()).count();
    assert!(completed >= 36, "{completed} of 40");
    let doubling = Link { duplicate: Chance::ALWAYS, jitter: Duration::from_millis(40), ..Link::default() };
    for seed in 0..40 {
        assert!(outcome(seed, doubling).is_ok(), "seed {seed}");
    }
}

#[test]
fn a_cut_link_fails_after_292_seconds() {
    let (mut harness, ours, _) = harness(1, Link::cut());
    harness.command(ours, Command::Initiate { connection: SITE }).unwrap().unwrap();
    harness.run_to_end().unwrap();
    assert_eq!(harness.now(), Instant::from_secs(292));
    let silent = Failure::Timeout { sendings: 9, hint: None };
    assert!(
        events(&harness, ours).any(|event| matches!(event, Event::Phase1Failed { failure, .. } if *failure == silent))
    );
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let (mut harness, ours, _) = harness(7, Link::hostile(Duration::from_millis(20)));
        harness.start_record();
        harness.command(ours, Command::Initiate { connection: SITE }).unwrap().unwrap();
        harness.run_until(Instant::from_secs(300)).unwrap();
        harness.record().to_vec()
    };
    assert_eq!(run(), run());
}

#[test]
fn renewals_under_loss_never_leave_an_end_without_a_pair_for_sending() {
    let life = Duration::from_secs(300);
    for seed in 0..20 {
        let mut world = World::new(seed);
        world.set_links(Link::lossy(Duration::from_millis(20), Chance::percent(10)));
        let (left_node, right_node) = (world.add_node("left", A), world.add_node("right", B));
        let (ours, theirs) = (world.entropy(left_node), world.entropy(right_node));
        let short = |local, peer, from, to| {
            plan(connection(local, peer).lifetime(Duration::from_secs(900)).policy(policy(from, to).lifetime(life)))
        };
        let mut harness = Harness::new(world);
        let one = short(A, B, [10, 10, 1, 0], [10, 10, 2, 0]);
        let two = short(B, A, [10, 10, 2, 0], [10, 10, 1, 0]);
        harness.place(left_node, Endpoint::new(one, Box::new(ours)));
        harness.place(right_node, Endpoint::new(two, Box::new(theirs)));
        harness.command(left_node, Command::Initiate { connection: SITE }).unwrap().unwrap();
        let up = |harness: &Harness<Endpoint>, node| {
            let status = harness.machine(node).unwrap().status();
            status.children.iter().any(|child| child.complete && !child.superseded)
        };
        let both = |harness: &Harness<Endpoint>| up(harness, left_node) && up(harness, right_node);
        if !harness.wait_for(Instant::from_secs(250), both).unwrap() {
            continue;
        }
        for _ in 0..300 {
            harness.run_for(Duration::from_secs(10)).unwrap();
            assert!(both(&harness), "seed {seed} at {}", harness.now());
            let children = harness.machine(left_node).unwrap().status().children.len();
            assert!(children <= 4, "seed {seed}: {children} pairs pile up");
        }
        let renewed = events(&harness, left_node).filter(|event| matches!(event, Event::SaRekeyed { .. })).count();
        assert!(renewed >= 5, "seed {seed}: {renewed} renewals");
    }
}
