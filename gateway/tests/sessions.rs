//! When a tunnel to a peer is up, when it is down, and what went through it.

use crate::common::{LEFT, OFFICE, RIGHT, Side, Sites, left_behind_nat, right_for_anyone};
use core::time::Duration;
use drive::Instant;
use gateway::{Command, Event, Outcome, RemoveReason, Traffic};
use simnet::{Link, NodeId};

const SECOND: Duration = Duration::from_secs(1);

fn ups(sites: &Sites, node: NodeId) -> usize {
    sites.events(node).filter(|event| matches!(event, Event::SessionUp { .. })).count()
}

fn downs(sites: &Sites, node: NodeId) -> Vec<(RemoveReason, Duration, Traffic)> {
    let down = |event: &Event| match event {
        Event::SessionDown { reason, lasted, traffic, .. } => Some((reason.clone(), *lasted, *traffic)),
        _ => None,
    };
    sites.events(node).filter_map(down).collect()
}

#[test]
fn a_session_is_up_once_over_renewals_and_down_with_its_reason_and_all_it_carried() {
    let mut sites = Sites::plain(1);
    sites.up();
    let began = sites.net.now();
    for number in 0..5 {
        assert_eq!(sites.ping(sites.left, number), Outcome::Sent);
        sites.run(SECOND);
    }
    for _ in 0..2 {
        let pairs = sites.machine(sites.left).snapshot(sites.net.now()).ipsec;
        let child = pairs.iter().find(|pair| !pair.status.superseded).unwrap().status.child;
        sites.net.command(sites.left, Command::RekeyChild { child }).unwrap().unwrap();
        sites.run(60 * SECOND);
        assert_eq!(sites.ping(sites.left, 9), Outcome::Sent);
        sites.run(SECOND);
    }
    let traffic = Traffic { in_packets: 7, in_octets: 7 * 84, out_packets: 7, out_octets: 7 * 84 };
    for (node, peer) in [(sites.left, RIGHT), (sites.right, LEFT)] {
        assert_eq!(ups(&sites, node), 1);
        assert_eq!(downs(&sites, node), []);
        let sessions = sites.machine(node).snapshot(sites.net.now()).sessions;
        assert_eq!(sessions.len(), 1);
        assert_eq!((sessions[0].peer.ip(), sessions[0].traffic), (peer.into(), traffic));
        assert!(sessions[0].since > Instant::ZERO && sessions[0].since <= began);
    }
    sites.net.command(sites.left, Command::CloseConnection { connection: OFFICE }).unwrap().unwrap();
    sites.run(SECOND);
    let reasons = [(sites.left, RemoveReason::DeletedLocally), (sites.right, RemoveReason::DeletedByPeer)];
    for (node, reason) in reasons {
        let downs = downs(&sites, node);
        assert_eq!(downs.len(), 1);
        assert_eq!((&downs[0].0, downs[0].2), (&reason, traffic));
        assert!(downs[0].1 >= 127 * SECOND);
        assert_eq!(sites.machine(node).snapshot(sites.net.now()).sessions, []);
    }
    sites.up();
    assert_eq!((ups(&sites, sites.left), ups(&sites, sites.right)), (2, 2));
}

#[test]
fn a_peer_that_went_away_takes_its_session_down() {
    let left = Side { ike_lifetime: 120 * SECOND, lifetime: 100 * SECOND, ..Side::left() };
    let right = Side { ike_lifetime: 120 * SECOND, lifetime: 100 * SECOND, ..Side::right() };
    let mut sites = Sites::new(2, left.plan(), right.plan());
    sites.up();
    sites.net.world.set_link(sites.right, Link::cut());
    sites.run(600 * SECOND);
    assert_eq!(downs(&sites, sites.left).len(), 1);
}

#[test]
fn a_peer_whose_nat_forgets_it_stays_in_its_session() {
    let mut sites = Sites::behind_nat(3, left_behind_nat().plan(), right_for_anyone().plan());
    sites.up();
    let before = sites.machine(sites.right).snapshot(sites.net.now()).sessions[0];
    let nat = sites.nat.unwrap();
    sites.net.world.nat_mut(nat).unwrap().rebind();
    assert_eq!(sites.ping(sites.left, 1), Outcome::Sent);
    sites.run(SECOND);
    let after = sites.machine(sites.right).snapshot(sites.net.now()).sessions;
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].since, before.since);
    assert_ne!(after[0].peer, before.peer, "it was not moved by the NAT");
    assert_eq!((ups(&sites, sites.right), downs(&sites, sites.right).len()), (1, 0));
}

#[test]
fn a_negotiation_that_fails_makes_no_session() {
    let left = Side { key: b"another key", ..Side::left() };
    let mut sites = Sites::new(4, left.plan(), Side::right().plan());
    sites.initiate(sites.left);
    sites.run(120 * SECOND);
    for node in [sites.left, sites.right] {
        assert_eq!((ups(&sites, node), downs(&sites, node).len()), (0, 0));
    }
}
