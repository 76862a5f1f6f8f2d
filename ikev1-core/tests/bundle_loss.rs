//! Bundles over links that lose, double and reorder.

use crate::common;
use crate::common::{A, B, SITE, connection, plan};
use core::time::Duration;
use drive::Instant;
use ikev1_core::proposal::{Bundle, Protection};
use ikev1_core::{Action, Command, Direction, Endpoint, Event, Failure, PolicyConfig};
use simnet::{Chance, Harness, Link, NodeId, World};

fn policy(local: u8, remote: u8) -> PolicyConfig {
    let text = "ipcomp-deflate + esp-aes128-sha1 + ah-sha1";
    let net = |third| common::net([10, 10, third, 0]);
    PolicyConfig::new("net").local(net(local)).remote(net(remote)).suites(Bundle::parse_alternatives(text).unwrap())
}

/// The SAs that an end installed in one direction: protocol, SPI, keys.
fn installed(harness: &Harness<Endpoint>, node: NodeId, wanted: Direction) -> Vec<(Protection, u32, Vec<u8>)> {
    let actions = harness.actions(node).iter();
    let of = actions.filter_map(|(_, action)| match action {
        Action::InstallSa(install) if install.direction == wanted => Some(&install.sas),
        _ => None,
    });
    of.flatten()
        .map(|sa| (sa.suite, sa.spi, [sa.encryption_key.expose(), sa.integrity_key.expose()].concat()))
        .collect()
}

/// Runs one handshake; whatever comes up is whole, and the same at both ends.
fn completes(seed: u64, link: Link) -> bool {
    let mut world = World::new(seed);
    world.set_links(link);
    let (ours, theirs) = (world.add_node("left", A), world.add_node("right", B));
    let (left, right) = (world.entropy(ours), world.entropy(theirs));
    let mut harness = Harness::new(world);
    harness.place(ours, Endpoint::new(plan(connection(A, B).policy(policy(1, 2))), Box::new(left)));
    harness.place(theirs, Endpoint::new(plan(connection(B, A).policy(policy(2, 1))), Box::new(right)));
    harness.command(ours, Command::Initiate { connection: SITE }).unwrap().unwrap();
    let up = |harness: &Harness<Endpoint>, node| installed(harness, node, Direction::Outbound).len() == 3;
    let failed = |harness: &Harness<Endpoint>| {
        [ours, theirs].iter().flat_map(|node| harness.actions(*node)).find_map(|(_, action)| match action {
            Action::Event(Event::Phase1Failed { failure, .. } | Event::Phase2Failed { failure, .. }) => {
                Some(failure.clone())
            }
            _ => None,
        })
    };
    let done = |harness: &Harness<Endpoint>| failed(harness).is_some() || up(harness, ours) && up(harness, theirs);
    assert!(harness.wait_for(Instant::from_secs(2_000), done).unwrap(), "seed {seed}: neither up nor failed");
    if let Some(failure) = failed(&harness) {
        let limit = matches!(failure, Failure::Timeout { .. } | Failure::HalfOpenTimeout | Failure::ProbablyWrongKey);
        assert!(limit, "seed {seed}: {failure:?}");
        return false;
    }
    for (one, other) in [(ours, theirs), (theirs, ours)] {
        let (sent, taken) =
            (installed(&harness, one, Direction::Outbound), installed(&harness, other, Direction::Inbound));
        assert!(sent.iter().all(|sa| taken.contains(sa)), "seed {seed}: the ends do not fit");
    }
    true
}

#[test]
fn bundles_come_up_whole_or_not_at_all_over_a_fifth_of_loss() {
    let link = Link::lossy(Duration::from_millis(20), Chance::percent(20));
    let completed = (0..50).filter(|seed| completes(*seed, link)).count();
    assert!(completed >= 47, "{completed} of 50");
}

#[test]
fn bundles_come_up_over_links_that_double_and_reorder() {
    let completed = (0..20).filter(|seed| completes(*seed, Link::hostile(Duration::from_millis(30)))).count();
    assert!(completed >= 17, "{completed} of 20");
}
