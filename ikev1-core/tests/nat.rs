//! NATs between the ends: detection, the move to port 4500, encapsulation, keepalives, new mappings.

use crate::common;
use crate::common::{A, B, End, Pair, SITE, connection, left, plan, policy, right};
use core::time::Duration;
use drive::{Instant, Path};
use ikev1_core::{
    Action, Command, Config, ConnectionConfig, Direction, DropReason, Encapsulation, Endpoint, Event, Identity, Peer,
    RemoteIdentity,
};
use nat_t::Location;
use simnet::nat::NatConfig;
use simnet::{Harness, Link, NatId, NodeId, Realm, World};

const INSIDE: [u8; 4] = [10, 1, 0, 10];
const OUTSIDE: [u8; 4] = [192, 0, 2, 254];

fn site(name: &str) -> Identity {
    Identity::Fqdn(name.into())
}

fn behind_nat() -> ConnectionConfig {
    connection(INSIDE, B).local_identity(site("left.example.org")).policy(policy([10, 10, 1, 0], [10, 10, 2, 0]))
}

fn hub() -> ConnectionConfig {
    right().peer(Peer::Any).remote_identity(RemoteIdentity::Exactly(site("left.example.org")))
}

fn natted(seed: u64, left: ConnectionConfig, right: ConnectionConfig) -> (Harness<Endpoint>, NodeId, NodeId, NatId) {
    let mut world = World::new(seed);
    world.set_links(Link::with_latency(Duration::from_millis(10)));
    let nat = world.add_nat(NatConfig::new(OUTSIDE.into()));
    let inside = world.add_node_in(Realm::Behind(nat), "left", INSIDE);
    let outside = world.add_node("right", B);
    let (ours, theirs) = (world.entropy(inside), world.entropy(outside));
    let mut harness = Harness::new(world);
    harness.place(inside, Endpoint::new(plan(left), Box::new(ours)));
    harness.place(outside, Endpoint::new(plan(right), Box::new(theirs)));
    harness.command(inside, Command::Initiate { connection: SITE }).unwrap().unwrap();
    harness.run_until(Instant::from_secs(5)).unwrap();
    (harness, inside, outside, nat)
}

fn has(harness: &Harness<Endpoint>, node: NodeId, wanted: impl Fn(&Action) -> bool) -> bool {
    harness.actions(node).iter().any(|(_, action)| wanted(action))
}

fn path(harness: &Harness<Endpoint>, node: NodeId) -> Path {
    harness.machine(node).unwrap().status().ike_sas[0].path
}

#[test]
fn a_nat_is_found_by_both_ends_and_everything_moves_to_port_4500() {
    let (harness, inside, outside, _) = natted(1, behind_nat(), hub());
    let location = |node| harness.machine(node).unwrap().status().ike_sas[0].nat;
    assert_eq!((location(inside), location(outside)), (Location::Local, Location::Remote));
    assert_eq!(path(&harness, inside), Path::new((INSIDE, 4500).into(), (B, 4500).into()));
    let seen = path(&harness, outside);
    assert_eq!((seen.local, seen.remote.ip()), ((B, 4500).into(), OUTSIDE.into()));
    for node in [inside, outside] {
        let udp = path(&harness, node);
        assert!(has(&harness, node, |action| matches!(
            action,
            Action::InstallSa(sa) if sa.direction == Direction::Outbound && sa.encapsulation == Encapsulation::Udp(udp)
        )));
    }
}

#[test]
fn without_a_nat_nothing_moves_and_nothing_is_encapsulated() {
    let pair = Pair::established();
    for end in [&pair.left, &pair.right] {
        let status = end.endpoint.status();
        assert_eq!(status.ike_sas[0].nat, Location::None);
        assert_eq!(status.ike_sas[0].path.local.port(), 500);
        assert_eq!(status.children[0].encapsulation, Encapsulation::Native);
    }
}

#[test]
fn encapsulation_can_be_forced_by_either_end() {
    for (ours, theirs) in [(left().force_encapsulation(true), right()), (left(), right().force_encapsulation(true))] {
        let mut pair = Pair::new(plan(ours), plan(theirs));
        pair.initiate();
        pair.settle();
        for end in [&pair.left, &pair.right] {
            assert!(end.established(), "{:?}", end.events);
            let child = &end.endpoint.status().children[0];
            assert!(matches!(child.encapsulation, Encapsulation::Udp(path) if path.local.port() == 4500));
        }
        assert!(pair.seen.iter().any(|transmit| transmit.path.local.port() == 4500 && transmit.payload[..4] == [0; 4]));
    }
}

#[test]
fn a_peer_without_nat_traversal_stays_on_port_500() {
    let (harness, inside, ..) = natted(1, behind_nat(), hub().nat_traversal(false));
    assert_eq!(path(&harness, inside).local.port(), 500);
    assert_eq!(harness.machine(inside).unwrap().status().ike_sas[0].nat, Location::Unknown);
}

#[test]
fn other_ports_than_500_and_4500_work_on_both_ends() {
    let on = |connection: ConnectionConfig, ike, nat_t| {
        Config::new().trace(true).connection(connection).ports(ike, nat_t).build().unwrap()
    };
    let ours = left().force_encapsulation(true).peer_port(2_500).peer_nat_t_port(24_500);
    let theirs = right().peer_port(501).peer_nat_t_port(4_600);
    let mut pair = Pair::new(on(ours, 501, 4_600), on(theirs, 2_500, 24_500));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
    let last = pair.seen.last().unwrap();
    assert_eq!((last.path.local.port(), last.path.remote.port()), (4_600, 24_500));
}

#[test]
fn the_end_behind_the_nat_sends_a_keepalive_every_20_seconds_and_the_other_none() {
    let (mut harness, inside, outside, _) =
        natted(1, behind_nat().dpd_idle(Duration::from_secs(1_000)), hub().dpd_idle(Duration::from_secs(1_000)));
    harness.start_record();
    harness.run_for(Duration::from_secs(65)).unwrap();
    let keepalives = |node| {
        let sent = harness.record().iter().filter(|entry| entry.node == node);
        sent.filter(|entry| matches!(&entry.what, simnet::What::Sent(packet) if packet.payload[..] == [0xff])).count()
    };
    assert_eq!((keepalives(inside), keepalives(outside)), (3, 0));
}

#[test]
fn a_new_mapping_is_followed_once_a_message_proves_authentic() {
    let (mut harness, inside, outside, nat) = natted(1, behind_nat(), hub());
    let before = path(&harness, outside);
    harness.world.nat_mut(nat).unwrap().rebind();
    harness.run_for(Duration::from_secs(60)).unwrap();
    let after = path(&harness, outside);
    assert_ne!(before.remote.port(), after.remote.port());
    assert!(has(&harness, outside, |action| matches!(action, Action::UpdatePath { path, .. } if *path == after)));
    let alive = harness.machine(inside).unwrap().status().ike_sas[0].dpd_retries;
    assert_eq!(alive, 0);
}

#[test]
fn esp_that_proved_authentic_moves_the_path_too() {
    let (mut harness, _, outside, _) = natted(1, behind_nat(), hub());
    let child = harness.machine(outside).unwrap().status().children[0].child;
    let moved = Path::new((B, 4500).into(), (OUTSIDE, 29_999).into());
    harness.command(outside, Command::PathLearned { child, path: moved }).unwrap().unwrap();
    assert_eq!(path(&harness, outside), moved);
}

#[test]
fn renewal_of_the_isakmp_sa_behind_a_nat_begins_on_port_4500() {
    let short = Duration::from_secs(100);
    let (mut harness, inside, outside, _) = natted(1, behind_nat().lifetime(short), hub().lifetime(short));
    harness.start_record();
    harness.run_for(Duration::from_secs(120)).unwrap();
    let adopted = |action: &Action| matches!(action, Action::Event(Event::SasAdopted { count: 1, .. }));
    assert!(has(&harness, inside, adopted) && has(&harness, outside, adopted));
    let on_500 = harness
        .record()
        .iter()
        .any(|entry| matches!(&entry.what, simnet::What::Sent(packet) if packet.path.local.port() == 500));
    assert!(!on_500);
}

#[test]
fn a_message_on_the_nat_t_port_without_the_marker_is_dropped() {
    let mut pair = Pair::established();
    let path = Path::new((B, 4500).into(), (A, 4500).into());
    let now = pair.now;
    for payload in [&[][..], &[0], &[0, 0, 0], &[0xff], &[1; 64]] {
        let verdict = pair.right.endpoint.handle_datagram(now, drive::Datagram { path, payload });
        assert_eq!(verdict, drive::Verdict::Ignored(DropReason::NoMarker));
    }
    let verdict = pair.right.endpoint.handle_datagram(now, drive::Datagram { path, payload: &[0; 31] });
    assert_eq!(verdict, drive::Verdict::Ignored(DropReason::BadLength));
}

#[test]
fn a_forged_message_from_elsewhere_does_not_move_the_path() {
    let (mut harness, inside, outside, _) = natted(1, behind_nat(), hub());
    let before = path(&harness, outside);
    let cookies = harness.machine(inside).unwrap().status().ike_sas[0].cookies;
    let mut forged = vec![0; 4];
    forged.extend(cookies.initiator.0);
    forged.extend(cookies.responder.0);
    forged.extend([8, 0x10, 5, 1, 1, 2, 3, 4, 0, 0, 0, 60]);
    forged.extend([0x5a; 32]);
    let from = Path::new((B, 4500).into(), ([198, 51, 100, 7], 4500).into());
    let verdict = harness
        .call(outside, |now, endpoint| endpoint.handle_datagram(now, drive::Datagram { path: from, payload: &forged }))
        .unwrap();
    assert!(matches!(verdict, drive::Verdict::Ignored(_)));
    assert_eq!(path(&harness, outside), before);
}

#[test]
fn the_answer_goes_to_the_port_and_from_the_address_that_was_asked() {
    let mut end = End::new(common::endpoint(plan(connection(B, A).peer(Peer::Any)), 3));
    let mut initiator = End::new(common::endpoint(plan(left()), 1));
    let now = Instant::from_secs(1);
    initiator.endpoint.handle_command(now, Command::Initiate { connection: SITE }).unwrap();
    let first = initiator.drain(now).remove(0);
    let asked = Path::new((B, 500).into(), ([203, 0, 113, 5], 31_000).into());
    let verdict = end.endpoint.handle_datagram(now, drive::Datagram { path: asked, payload: &first.payload });
    assert_eq!(verdict, drive::Verdict::Accepted);
    assert_eq!(end.drain(now)[0].path, asked);
}
