//! The network: ways through NATs, attackers, incidents, captures.

use bytes::Bytes;
use core::net::SocketAddr;
use core::time::Duration;
use drive::{Instant, Path, Transmit};
use pcap_file::pcap::PcapReader;
use simnet::tamper::{self, Outbox};
use simnet::{Chance, Incident, Link, NatConfig, NatDrop, Oversize, Realm, Tap, World};

const LEFT: [u8; 4] = [192, 0, 2, 1];
const RIGHT: [u8; 4] = [192, 0, 2, 2];
const HIDDEN: [u8; 4] = [10, 1, 0, 10];

fn packet(from: ([u8; 4], u16), to: impl Into<SocketAddr>) -> Transmit {
    Transmit { path: Path::new(from.into(), to.into()), payload: Bytes::from_static(b"payload") }
}

#[test]
fn a_packet_arrives_after_the_latency_with_its_ends_exchanged() {
    let mut world = World::new(1);
    world.set_links(Link::with_latency(Duration::from_millis(20)));
    let left = world.add_node("left", LEFT);
    let right = world.add_node("right", RIGHT);
    world.send(left, packet((LEFT, 500), (RIGHT, 4500)));
    let arrival = world.arrive().unwrap();
    assert_eq!(arrival.node, right);
    assert_eq!(arrival.packet.path, Path::new((RIGHT, 4500).into(), (LEFT, 500).into()));
    assert_eq!(world.now(), Instant::from_millis(20));
    assert_eq!(world.counters().delivered, 1);
}

#[test]
fn a_node_behind_a_nat_is_seen_as_the_nat_and_reached_through_it() {
    let mut world = World::new(1);
    let nat = world.add_nat(NatConfig::new([192, 0, 2, 254].into()));
    let left = world.add_node_in(Realm::Behind(nat), "left", HIDDEN);
    let right = world.add_node("right", RIGHT);
    world.send(left, packet((HIDDEN, 500), (RIGHT, 500)));
    let seen = world.arrive().unwrap().packet.path.remote;
    assert_eq!(seen.ip(), core::net::IpAddr::from([192, 0, 2, 254]));
    assert_ne!(seen.port(), 500);
    world.send(right, packet((RIGHT, 500), seen));
    let back = world.arrive().unwrap();
    assert_eq!((back.node, back.packet.path.local), (left, (HIDDEN, 500).into()));
    world.send(right, packet((RIGHT, 4500), seen));
    assert_eq!(world.arrive(), None);
    assert_eq!(world.counters().of(Incident::Nat(NatDrop::Filtered)), 1);
    world.nat_mut(nat).unwrap().rebind();
    world.send(right, packet((RIGHT, 500), seen));
    assert_eq!(world.arrive(), None);
    assert_eq!(world.counters().of(Incident::Nat(NatDrop::NoMapping)), 1);
}

#[test]
fn a_nat_behind_a_nat_translates_twice_and_neighbours_behind_one_nat_talk_directly() {
    let mut world = World::new(1);
    let carrier = world.add_nat(NatConfig::new([192, 0, 2, 254].into()));
    let home = world.add_nat_in(Realm::Behind(carrier), NatConfig::new([100, 64, 0, 1].into()));
    let left = world.add_node_in(Realm::Behind(home), "left", HIDDEN);
    let neighbour = world.add_node_in(Realm::Behind(home), "neighbour", [10, 1, 0, 11]);
    let right = world.add_node("right", RIGHT);
    world.send(left, packet((HIDDEN, 500), (RIGHT, 500)));
    let seen = world.arrive().unwrap().packet.path.remote;
    world.send(right, packet((RIGHT, 500), seen));
    assert_eq!(world.arrive().unwrap().node, left);
    world.send(left, packet((HIDDEN, 500), ([10, 1, 0, 11], 500)));
    let direct = world.arrive().unwrap();
    assert_eq!((direct.node, direct.packet.path.remote), (neighbour, (HIDDEN, 500).into()));
    assert_eq!(world.nat(home).unwrap().mappings(), 1);
}

#[test]
fn private_addresses_cannot_be_reached_from_outside() {
    let mut world = World::new(1);
    let nat = world.add_nat(NatConfig::new([192, 0, 2, 254].into()));
    world.add_node_in(Realm::Behind(nat), "left", HIDDEN);
    let right = world.add_node("right", RIGHT);
    world.send(right, packet((RIGHT, 500), (HIDDEN, 500)));
    assert_eq!(world.counters().of(Incident::NoRoute), 1);
    world.send(right, packet((LEFT, 500), (RIGHT, 500)));
    assert_eq!(world.counters().of(Incident::ForeignSource), 1);
    assert_eq!(world.arrive(), None);
}

#[test]
fn an_attacker_can_stop_change_replay_and_forge() {
    let mut world = World::new(1);
    let left = world.add_node("left", LEFT);
    world.add_node("right", RIGHT);
    let there = packet((LEFT, 500), (RIGHT, 500));

    world.set_tamper(tamper::drop_where(|number, _| number == 0));
    world.send(left, there.clone());
    assert_eq!(world.counters().of(Incident::Stopped), 1);
    world.send(left, there.clone());
    assert!(world.arrive().is_some());

    world.set_tamper(tamper::flip_bit(0, 7));
    world.send(left, there.clone());
    assert_eq!(&world.arrive().unwrap().packet.payload[..], b"qayload");

    world.set_tamper(tamper::replay_after(Duration::from_secs(1)));
    world.send(left, there.clone());
    assert!(world.arrive().is_some());
    assert!(world.arrive().is_some());
    assert_eq!(world.now(), Instant::from_secs(1));

    world.set_tamper(|_: Instant, mut seen: Transmit, out: &mut Outbox| {
        seen.path.local.set_port(4500);
        out.pass(seen);
    });
    world.send(left, there.clone());
    assert_eq!(world.arrive().unwrap().packet.path.remote.port(), 4500);

    world.clear_tamper();
    world.inject(Duration::from_secs(1), packet(([203, 0, 113, 9], 500), (RIGHT, 500)));
    assert_eq!(world.arrive().unwrap().packet.path.remote, ([203, 0, 113, 9], 500).into());
    assert_eq!(world.now(), Instant::from_secs(2));
}

#[test]
fn incidents_come_one_by_one_with_their_packets() {
    let mut world = World::new(1);
    let left = world.add_node("left", LEFT);
    world.add_node("right", RIGHT);
    world.set_link(left, Link { corrupt: Chance::ALWAYS, duplicate: Chance::ALWAYS, ..Link::default() });
    world.watch();
    let there = packet((LEFT, 500), (RIGHT, 500));
    world.send(left, there.clone());
    let kinds: Vec<_> = world.take_incidents().into_iter().map(|(_, incident, _)| incident).collect();
    assert_eq!(kinds, [Incident::Duplicated, Incident::Corrupted, Incident::Corrupted]);
    let arrived = world.arrive().unwrap().packet.payload;
    let differing: u32 = arrived.iter().zip(&there.payload).map(|(a, b)| (a ^ b).count_ones()).sum();
    assert_eq!(differing, 1);
    assert!(world.take_incidents().is_empty());
}

#[test]
fn what_no_ip_packet_holds_and_what_the_link_does_not_take_is_too_big() {
    let mut world = World::new(1);
    let left = world.add_node("left", LEFT);
    world.add_node("right", RIGHT);
    let sized = |octets: usize| Transmit { payload: vec![0; octets].into(), ..packet((LEFT, 500), (RIGHT, 500)) };
    world.send(left, sized(65_507));
    assert_eq!(world.arrive().unwrap().packet.payload.len(), 65_507);
    world.send(left, sized(65_508));
    assert_eq!(world.counters().of(Incident::TooBig), 1);
    world.set_links(Link { oversize: Oversize::Drop, ..Link::default() });
    world.send(left, sized(1_473));
    assert_eq!(world.counters().of(Incident::TooBig), 2);
    assert_eq!(world.arrive(), None);
}

#[test]
fn a_capture_behind_the_link_lacks_what_was_lost_and_has_what_came_twice() {
    for (tap, link, expected) in [
        (Tap::Sent, Link::cut(), 1),
        (Tap::Arrived, Link::cut(), 0),
        (Tap::Sent, Link { duplicate: Chance::ALWAYS, ..Link::default() }, 1),
        (Tap::Arrived, Link { duplicate: Chance::ALWAYS, ..Link::default() }, 2),
    ] {
        let mut world = World::new(1);
        world.set_links(link);
        let left = world.add_node("left", LEFT);
        world.add_node("right", RIGHT);
        world.start_capture_of(tap);
        world.send(left, packet((LEFT, 500), (RIGHT, 500)));
        while world.arrive().is_some() {}
        assert_eq!(world.capture().unwrap().packets().len(), expected, "{tap:?}, {link:?}");
    }
}

#[test]
fn payloads_directly_over_ip_travel_and_are_captured_as_such() {
    let mut world = World::new(1);
    let left = world.add_node("left", LEFT);
    let right = world.add_node("right", RIGHT);
    world.start_capture();
    for protocol in [50, 51, 115] {
        let path = Path::ip(protocol, LEFT.into(), RIGHT.into());
        world.send(left, Transmit { path, payload: Bytes::from_static(b"over ip") });
        let arrival = world.arrive().unwrap();
        assert_eq!((arrival.node, arrival.packet.path.protocol), (right, protocol));
    }
    let mut file = Vec::new();
    world.capture().unwrap().write_to(&mut file).unwrap();
    let mut reader = PcapReader::new(&file[..]).unwrap();
    let mut protocols = Vec::new();
    while let Some(packet) = reader.next_packet() {
        protocols.push(packet.unwrap().data[9]);
    }
    assert_eq!(protocols, [50, 51, 115]);
}

#[test]
fn the_entropy_of_nodes_does_not_depend_on_the_network() {
    use rand_core::Rng;
    let draw = |link: Link| {
        let mut world = World::new(5);
        world.set_links(link);
        let left = world.add_node("left", LEFT);
        world.add_node("right", RIGHT);
        for _ in 0..10 {
            world.send(left, packet((LEFT, 500), (RIGHT, 500)));
        }
        world.entropy(left).next_u64()
    };
    assert_eq!(draw(Link::default()), draw(Link::hostile(Duration::from_millis(1))));
}
