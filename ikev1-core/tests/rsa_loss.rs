//! Signatures over links that lose, double, reorder and delay.

mod common;

use common::signing::{credential, key};
use common::{A, B, SITE, left, plan, right};
use core::time::Duration;
use drive::Instant;
use ikev1_core::auth::{Authentication, RemoteKey};
use ikev1_core::{Action, Command, ConnectionConfig, Endpoint, Event, Failure, Phase1Mode, Plan};
use simnet::{Chance, Harness, Link, NodeId, World};

/// An end whose plan holds the peer's key, so that nobody need be asked.
fn signing(config: ConnectionConfig, ours: &str, theirs: &str, mode: Phase1Mode) -> Plan {
    let (local, remote) = (credential(ours, &[]), RemoteKey::Key(key(theirs)));
    plan(config.authentication(Authentication::RsaSignature { local, remote }).mode(mode))
}

fn events(harness: &Harness<Endpoint>, node: NodeId) -> impl Iterator<Item = &Event> {
    harness.actions(node).iter().filter_map(|(_, action)| match action {
        Action::Event(event) => Some(event),
        _ => None,
    })
}

fn outcome(seed: u64, link: Link, mode: Phase1Mode) -> Result<Instant, Failure> {
    let mut world = World::new(seed);
    world.set_links(link);
    let (left_node, right_node) = (world.add_node("left", A), world.add_node("right", B));
    let (ours, theirs) = (world.entropy(left_node), world.entropy(right_node));
    let mut harness = Harness::new(world);
    harness.place(left_node, Endpoint::new(signing(left(), "left", "right", mode), Box::new(ours)));
    harness.place(right_node, Endpoint::new(signing(right(), "right", "left", mode), Box::new(theirs)));
    harness.command(left_node, Command::Initiate { connection: SITE }).unwrap().unwrap();
    let failed = |harness: &Harness<Endpoint>| {
        events(harness, left_node).chain(events(harness, right_node)).find_map(|event| match event {
            Event::Phase1Failed { failure, .. } | Event::Phase2Failed { failure, .. } => Some(failure.clone()),
            _ => None,
        })
    };
    let up = |harness: &Harness<Endpoint>, node| {
        events(harness, node).any(|event| matches!(event, Event::SaEstablished { .. }))
    };
    let both = |harness: &Harness<Endpoint>| up(harness, left_node) && up(harness, right_node);
    let done = |harness: &Harness<Endpoint>| failed(harness).is_some() || both(harness);
    assert!(harness.wait_for(Instant::from_secs(2_000), done).unwrap(), "seed {seed}: neither up nor failed");
    match failed(&harness) {
        Some(failure) => Err(failure),
        None => Ok(harness.now()),
    }
}

#[test]
fn twenty_percent_loss_both_ways_completes_or_fails_by_its_own_limits_in_both_modes() {
    let link = Link::lossy(Duration::from_millis(20), Chance::percent(20));
    for mode in [Phase1Mode::Main, Phase1Mode::Aggressive] {
        let mut completed = 0;
        for seed in 0..50 {
            match outcome(seed, link, mode) {
                Ok(_) => completed += 1,
                Err(failure) => assert!(
                    matches!(failure, Failure::Timeout { .. } | Failure::HalfOpenTimeout),
                    "{mode:?}, seed {seed}: {failure:?}"
                ),
            }
        }
        assert!(completed >= 46, "{mode:?}: {completed} of 50");
    }
}

#[test]
fn doubled_reordered_and_bursty_links_complete_in_both_modes() {
    for mode in [Phase1Mode::Main, Phase1Mode::Aggressive] {
        let link = Link::hostile(Duration::from_millis(30));
        let completed = (0..20).filter(|seed| outcome(*seed, link, mode).is_ok()).count();
        assert!(completed >= 17, "{mode:?}: {completed} of 20");
    }
}
