//! Two ends over a network that loses packets, until both are up or one gave up.

use super::{A, B, SITE};
use drive::Instant;
use ikev1_core::{Action, Command, Endpoint, Event, Failure, Plan};
use simnet::{Harness, Link, NodeId, World};

/// Two ends on a network, at rest.
pub fn harness(seed: u64, link: Link, left: Plan, right: Plan) -> (Harness<Endpoint>, NodeId, NodeId) {
    let mut world = World::new(seed);
    world.set_links(link);
    let (ours, theirs) = (world.add_node("left", A), world.add_node("right", B));
    let (one, two) = (world.entropy(ours), world.entropy(theirs));
    let mut harness = Harness::new(world);
    harness.place(ours, Endpoint::new(left, Box::new(one)));
    harness.place(theirs, Endpoint::new(right, Box::new(two)));
    (harness, ours, theirs)
}

pub fn events(harness: &Harness<Endpoint>, node: NodeId) -> impl Iterator<Item = &Event> {
    harness.actions(node).iter().filter_map(|(_, action)| match action {
        Action::Event(event) => Some(event),
        _ => None,
    })
}

/// Lets the left initiate, and returns when both were up, or why an end gave up.
pub fn outcome(seed: u64, link: Link, left: Plan, right: Plan) -> Result<Instant, Failure> {
    let (mut harness, ours, theirs) = harness(seed, link, left, right);
    harness.command(ours, Command::Initiate { connection: SITE }).unwrap().unwrap();
    let failed = |harness: &Harness<Endpoint>| {
        events(harness, ours).chain(events(harness, theirs)).find_map(|event| match event {
            Event::Phase1Failed { failure, .. } | Event::Phase2Failed { failure, .. } => Some(failure.clone()),
            _ => None,
        })
    };
    let up = |harness: &Harness<Endpoint>, node| {
        events(harness, node).any(|event| matches!(event, Event::SaEstablished { .. }))
    };
    let done = |harness: &Harness<Endpoint>| failed(harness).is_some() || up(harness, ours) && up(harness, theirs);
    assert!(harness.wait_for(Instant::from_secs(2_000), done).unwrap(), "seed {seed}: neither up nor failed");
    failed(&harness).map_or(Ok(harness.now()), Err)
}
