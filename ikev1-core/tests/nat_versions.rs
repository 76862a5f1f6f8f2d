//! The versions of NAT traversal: each as the only one that both ends know, and the best where they know more.

use crate::common::{A, B, Pair, SITE, connection, left, plan, policy, right};
use core::time::Duration;
use drive::{Datagram, Instant, Path, Verdict};
use ikev1_core::{
    Action, Command, ConnectionConfig, Direction, DropReason, Encapsulation, Endpoint, Event, Identity, MessageTrace,
    Peer, Phase1Mode, RemoteIdentity,
};
use ipsec_wire::isakmp::{Body, ChainBuilder, Header, Message};
use ipsec_wire::registry::{ExchangeType, PayloadType};
use nat_t::{Location, Support, Version};
use simnet::nat::NatConfig;
use simnet::{Harness, Link, NatId, NodeId, Realm, World};

const INSIDE: [u8; 4] = [10, 1, 0, 10];
const OUTSIDE: [u8; 4] = [192, 0, 2, 254];

/// An initiator behind a NAT, and a responder that anyone may come to.
struct Nat {
    harness: Harness<Endpoint>,
    inside: NodeId,
    outside: NodeId,
    nat: NatId,
}

fn mode(connection: ConnectionConfig, mode: Phase1Mode) -> ConnectionConfig {
    connection.mode(mode).dangerously_allow_aggressive_mode(true).dangerously_allow_base_mode(true)
}

impl Nat {
    fn new(way: Phase1Mode, ours: Support, theirs: Support) -> Self {
        Self::with(way, |left| left.nat_t_versions(ours), |right| right.nat_t_versions(theirs))
    }

    fn with(
        way: Phase1Mode,
        ours: impl FnOnce(ConnectionConfig) -> ConnectionConfig,
        theirs: impl FnOnce(ConnectionConfig) -> ConnectionConfig,
    ) -> Self {
        let name = Identity::Fqdn("left.example.org".into());
        let left = connection(INSIDE, B).local_identity(name.clone()).policy(policy([10, 10, 1, 0], [10, 10, 2, 0]));
        let right = right().peer(Peer::Any).remote_identity(RemoteIdentity::Exactly(name));
        let mut world = World::new(1);
        world.set_links(Link::with_latency(Duration::from_millis(10)));
        let nat = world.add_nat(NatConfig::new(OUTSIDE.into()));
        let inside = world.add_node_in(Realm::Behind(nat), "left", INSIDE);
        let outside = world.add_node("right", B);
        let (for_left, for_right) = (world.entropy(inside), world.entropy(outside));
        let mut harness = Harness::new(world);
        harness.place(inside, Endpoint::new(plan(mode(ours(left), way)), Box::new(for_left)));
        harness.place(outside, Endpoint::new(plan(mode(theirs(right), way)), Box::new(for_right)));
        harness.start_record();
        harness.command(inside, Command::Initiate { connection: SITE }).unwrap().unwrap();
        harness.run_until(Instant::from_secs(5)).unwrap();
        Self { harness, inside, outside, nat }
    }

    fn version(&self, node: NodeId) -> Option<Version> {
        self.harness.machine(node).unwrap().status().ike_sas[0].nat_version
    }

    fn location(&self, node: NodeId) -> Location {
        self.harness.machine(node).unwrap().status().ike_sas[0].nat
    }

    fn path(&self, node: NodeId) -> Path {
        self.harness.machine(node).unwrap().status().ike_sas[0].path
    }

    fn encapsulation(&self, node: NodeId) -> Encapsulation {
        let outbound = |action: &Action| match action {
            Action::InstallSa(sa) if sa.direction == Direction::Outbound => Some(sa.encapsulation),
            _ => None,
        };
        self.harness.actions(node).iter().find_map(|(_, action)| outbound(action)).unwrap()
    }

    /// The messages that a node sent.
    fn sent(&self, node: NodeId) -> Vec<MessageTrace> {
        let trace = |action: &Action| match action {
            Action::Event(Event::Message(trace)) if trace.direction == Direction::Outbound => Some((**trace).clone()),
            _ => None,
        };
        self.harness.actions(node).iter().filter_map(|(_, action)| trace(action)).collect()
    }

    fn ports_sent_from(&self, node: NodeId) -> Vec<u16> {
        let sent = self.harness.record().iter().filter(|entry| entry.node == node);
        sent.filter_map(|entry| match &entry.what {
            simnet::What::Sent(packet) => Some(packet.path.local.port()),
            _ => None,
        })
        .collect()
    }
}

#[test]
fn every_version_works_in_every_mode_as_the_only_one_that_both_ends_know() {
    for version in Version::ALL {
        for way in [Phase1Mode::Main, Phase1Mode::Aggressive, Phase1Mode::Base] {
            let only = Support::NONE.with(version);
            let nat = Nat::new(way, only, only);
            let (inside, outside) = (nat.inside, nat.outside);
            assert_eq!(
                (nat.version(inside), nat.version(outside)),
                (Some(version), Some(version)),
                "{version} {way:?}"
            );
            assert_eq!((nat.location(inside), nat.location(outside)), (Location::Local, Location::Remote), "{version}");
            let port = if version.floats() { 4500 } else { 500 };
            assert_eq!(nat.path(inside), Path::new((INSIDE, port).into(), (B, port).into()), "{version} {way:?}");
            let seen = nat.path(outside);
            assert_eq!((seen.local, seen.remote.ip()), ((B, port).into(), OUTSIDE.into()), "{version} {way:?}");
            for node in [inside, outside] {
                assert_eq!(nat.encapsulation(node), Encapsulation::Udp(nat.path(node)), "{version} {way:?}");
            }
            let sent = nat.sent(inside);
            let payload = PayloadType(version.nat_d_payload());
            assert!(sent.iter().any(|trace| trace.payloads.contains(&payload)), "{version} {way:?}");
            // The attribute Encapsulation Mode, in its short form.
            let [high, low] = version.udp_tunnel_mode().to_be_bytes();
            let offer = sent.iter().find(|trace| trace.exchange == ExchangeType::QUICK).unwrap();
            assert!(offer.clear.windows(4).any(|four| four == [0x80, 4, high, low]), "{version} {way:?}");
        }
    }
}

#[test]
fn the_best_version_in_common_is_chosen() {
    use Version::*;
    let (every, standard, none) = (Support::EVERY, Support::STANDARD, Support::NONE);
    let oldest = none.with(Draft00);
    for (ours, theirs, chosen) in [
        (every, every, Some(Rfc3947)),
        (every, standard.without(Rfc3947), Some(Draft03)),
        (standard, every.without(Rfc3947).without(Draft03), Some(Draft02Newline)),
        (every, oldest.with(Draft02), Some(Draft02)),
        (oldest.with(Draft08), every, Some(Draft08)),
        (oldest.with(Draft01), every, Some(Draft01)),
        (every, oldest, Some(Draft00)),
        (oldest, every, Some(Draft00)),
        (oldest, standard, None),
        (standard, oldest, None),
        // What this end did not offer is never chosen, whatever it would answer.
        (standard, none.with(Draft07), None),
    ] {
        let nat = Nat::new(Phase1Mode::Main, ours, theirs);
        assert_eq!((nat.version(nat.inside), nat.version(nat.outside)), (chosen, chosen));
    }
}

#[test]
fn drafts_00_and_01_need_a_setting() {
    let offered = |connection: ConnectionConfig| {
        let mut pair = Pair::new(plan(connection), plan(right()));
        pair.initiate();
        let message_1 = Message::parse(&pair.wire[0].payload).unwrap();
        let Body::Clear(payloads) = message_1.body() else { panic!("message 1 is clear") };
        payloads.iter().filter_map(|payload| Version::recognise(payload.body())).collect::<Vec<_>>()
    };
    let ordinary = offered(left());
    assert!(ordinary.iter().all(|version| version.floats()) && ordinary.len() == 4);
    assert_eq!(offered(left().nat_t_versions(Support::EVERY))[4..], [Version::Draft01, Version::Draft00]);
    assert!(offered(left().nat_traversal(false)).is_empty());
    assert!(!plan(left()).esp_on_ike_port());
    assert!(plan(left().nat_t_versions(Support::EVERY)).esp_on_ike_port());
    assert!(!plan(left().nat_t_versions(Support::EVERY).nat_traversal(false)).esp_on_ike_port());
    let text = ikev1_core::Config::new()
        .connection(left().nat_t_versions(Support::NONE).force_encapsulation(true))
        .build()
        .unwrap_err()
        .to_string();
    assert_eq!(text, "site.force_encapsulation: encapsulation in UDP needs nat_traversal");
}

fn old() -> Support {
    Support::NONE.with(Version::Draft00)
}

#[test]
fn with_draft_00_nothing_leaves_port_500_keepalives_and_renewals_included() {
    let short = Duration::from_secs(100);
    let quiet = Duration::from_secs(1_000);
    let change = move |connection: ConnectionConfig| connection.nat_t_versions(old()).lifetime(short).dpd_idle(quiet);
    let mut nat = Nat::with(Phase1Mode::Main, change, change);
    nat.harness.run_for(Duration::from_secs(60)).unwrap();
    let keepalives = |nat: &Nat, node| {
        let sent = nat.harness.record().iter().filter(|entry| entry.node == node);
        sent.filter(|entry| matches!(&entry.what, simnet::What::Sent(packet) if packet.payload[..] == [0xff])).count()
    };
    assert_eq!((keepalives(&nat, nat.inside), keepalives(&nat, nat.outside)), (3, 0));
    nat.harness.run_for(Duration::from_secs(60)).unwrap();
    let adopted = |action: &Action| matches!(action, Action::Event(Event::SasAdopted { count: 1, .. }));
    for node in [nat.inside, nat.outside] {
        assert!(nat.harness.actions(node).iter().any(|(_, action)| adopted(action)));
        assert!(nat.ports_sent_from(node).iter().all(|port| *port == 500));
    }
}

#[test]
fn with_draft_00_a_new_mapping_is_followed_on_port_500() {
    let mut nat = Nat::new(Phase1Mode::Main, old(), old());
    let before = nat.path(nat.outside);
    let id = nat.nat;
    nat.harness.world.nat_mut(id).unwrap().rebind();
    nat.harness.run_for(Duration::from_secs(60)).unwrap();
    let after = nat.path(nat.outside);
    assert_ne!(before.remote.port(), after.remote.port());
    assert_eq!(after.local, before.local);
    let moved = |action: &Action| matches!(action, Action::UpdatePath { path, .. } if *path == after);
    assert!(nat.harness.actions(nat.outside).iter().any(|(_, action)| moved(action)));
    assert_eq!(nat.harness.machine(nat.inside).unwrap().status().ike_sas[0].dpd_retries, 0);
}

#[test]
fn esp_that_proved_authentic_moves_a_path_but_never_from_one_port_to_the_other() {
    let learned = |version: Version, port: u16| {
        let only = Support::NONE.with(version);
        let mut nat = Nat::new(Phase1Mode::Main, only, only);
        let child = nat.harness.machine(nat.outside).unwrap().status().children[0].child;
        let path = Path::new((B, port).into(), (OUTSIDE, 29_999).into());
        nat.harness.command(nat.outside, Command::PathLearned { child, path }).unwrap().unwrap();
        nat.path(nat.outside) == path
    };
    assert!(learned(Version::Draft00, 500) && learned(Version::Rfc3947, 4500));
    assert!(!learned(Version::Draft00, 4500) && !learned(Version::Rfc3947, 500));
}

#[test]
fn with_draft_00_encapsulation_can_be_forced_and_stays_on_port_500() {
    for (ours, theirs) in [(left().force_encapsulation(true), right()), (left(), right().force_encapsulation(true))] {
        let mut pair = Pair::new(plan(ours.nat_t_versions(old())), plan(theirs.nat_t_versions(old())));
        pair.initiate();
        pair.settle();
        for end in [&pair.left, &pair.right] {
            assert!(end.established(), "{:?}", end.events);
            let child = &end.endpoint.status().children[0];
            assert!(matches!(child.encapsulation, Encapsulation::Udp(path) if path.local.port() == 500));
        }
        assert!(pair.seen.iter().all(|transmit| transmit.path.local.port() == 500));
    }
}

/// Message 5 of draft 00 has no business on the NAT-T port.
#[test]
fn with_draft_00_phase_1_is_not_taken_from_another_port() {
    let mut pair =
        Pair::new(plan(left().nat_t_versions(old()).force_encapsulation(true)), plan(right().nat_t_versions(old())));
    pair.initiate();
    for _ in 0..4 {
        assert_eq!(pair.step(), Some(Verdict::Accepted));
    }
    let message_5 = pair.wire[0].payload.to_vec();
    let marked = [&[0; 4][..], &message_5].concat();
    let path = Path::new((B, 4500).into(), (A, 4500).into());
    let now = pair.now;
    let verdict = pair.right.endpoint.handle_datagram(now, Datagram { path, payload: &marked });
    assert_eq!(verdict, Verdict::Ignored(DropReason::WrongSource));
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
}

/// Some old routers put NAT-D into payload 15, which is another payload today.
#[test]
fn payload_15_is_nat_d_where_a_draft_of_04_to_08_was_chosen_and_passed_over_elsewhere() {
    for (version, body, location) in [
        // What fits no hash of the draft that was chosen is no NAT-D.
        (Version::Draft08, &[9; 7][..], Location::None),
        // A hash that fits neither end stands for a NAT before both.
        (Version::Draft08, &[9; 20], Location::Both),
        (Version::Rfc3947, &[9; 20], Location::None),
        (Version::Draft02, &[9; 20], Location::None),
    ] {
        let only = Support::NONE.with(version);
        let mut pair = Pair::new(plan(left().nat_t_versions(only)), plan(right().nat_t_versions(only)));
        pair.initiate();
        for _ in 0..2 {
            assert_eq!(pair.step(), Some(Verdict::Accepted));
        }
        let message_3 = pair.wire.front_mut().unwrap();
        let message = Message::parse(&message_3.payload).unwrap();
        let Body::Clear(payloads) = message.body() else { panic!("message 3 is clear") };
        let mut chain = ChainBuilder::new();
        let nat_d = PayloadType(version.nat_d_payload());
        // In front of those that fit, or in their place.
        let replaced = location == Location::Both;
        for payload in &payloads {
            if payload.payload_type() != nat_d || !replaced {
                chain.push_body(payload.payload_type(), payload.body());
            }
        }
        for _ in 0..2 {
            chain.push_body(PayloadType::SA_KEK, body);
        }
        let chain = chain.finish().unwrap();
        let octets = Header::parse(&message_3.payload).unwrap().enclose(chain.first(), chain.octets()).unwrap();
        message_3.payload = octets.into();
        assert_eq!(pair.step(), Some(Verdict::Accepted), "{version}");
        assert_eq!(pair.right.endpoint.status().ike_sas[0].nat, location, "{version}");
    }
}
