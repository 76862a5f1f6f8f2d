//! Transport mode: between the ends themselves, with and without a NAT between them.

use crate::common;
use crate::common::{A, B, Pair, SITE, connection, esp, plan};
use bytes::Bytes;
use core::net::IpAddr;
use core::time::Duration;
use drive::Instant;
use ikev1_core::proposal::{Bundle, Mode, UdpEncapsulation};
use ikev1_core::{
    Action, Command, ConnectionConfig, Direction, Encapsulation, Endpoint, Event, Failure, Identity, OriginalAddresses,
    Peer, PolicyConfig, RemoteIdentity, TrafficSelector,
};
use ipsec_wire::registry::{ExchangeType, PayloadType};
use nat_t::Version;
use simnet::nat::NatConfig;
use simnet::{Harness, Link, NodeId, Realm, World};

const INSIDE: [u8; 4] = [10, 1, 0, 10];
const OUTSIDE: [u8; 4] = [192, 0, 2, 254];

fn policy() -> PolicyConfig {
    PolicyConfig::new("ends").mode(Mode::Transport).suites([esp()])
}

fn host(address: [u8; 4]) -> TrafficSelector {
    TrafficSelector::host(address.into())
}

fn run(left: ConnectionConfig, right: ConnectionConfig) -> Pair {
    let mut pair = Pair::new(plan(left), plan(right));
    pair.initiate();
    pair.settle();
    pair
}

fn agreed(left: PolicyConfig, right: PolicyConfig) -> Pair {
    let pair = run(connection(A, B).policy(left), connection(B, A).policy(right));
    assert!(pair.left.established() && pair.right.established());
    pair.assert_mirrored();
    pair
}

/// The payloads of the quick mode message of that number, as the left end sent or received it.
fn payloads(pair: &Pair, number: u8) -> Vec<PayloadType> {
    let of = |event: &Event| match event {
        Event::Message(trace) if trace.exchange == ExchangeType::QUICK && trace.number == number => {
            Some(trace.payloads.clone())
        }
        _ => None,
    };
    pair.left.events.iter().find_map(of).unwrap()
}

fn refusal(end: &common::End) -> Failure {
    let failed = |event: &Event| match event {
        Event::Phase2Failed { failure, .. } => Some(failure.clone()),
        _ => None,
    };
    end.events.iter().find_map(failed).unwrap()
}

#[test]
fn between_the_ends_themselves_no_identities_are_sent() {
    let pair = agreed(policy(), policy());
    for number in [1, 2] {
        assert!(!payloads(&pair, number).contains(&PayloadType::IDENTIFICATION));
        assert!(!payloads(&pair, number).contains(&PayloadType::NAT_OA));
    }
    let child = &pair.right.endpoint.status().children[0];
    assert_eq!((child.mode, child.local, child.remote), (Mode::Transport, host(B), host(A)));
    assert_eq!(child.encapsulation, Encapsulation::Native);
}

#[test]
fn identities_of_the_ends_are_sent_when_told_so_and_mean_the_same() {
    let pair = agreed(policy().always_send_ids(true), policy());
    for number in [1, 2] {
        assert_eq!(payloads(&pair, number).iter().filter(|of| **of == PayloadType::IDENTIFICATION).count(), 2);
    }
}

#[test]
fn a_tunnel_between_the_ends_themselves_needs_no_identities_either() {
    let tunnel = |local, remote| PolicyConfig::new("ends").local(host(local)).remote(host(remote)).suites([esp()]);
    let pair = agreed(tunnel(A, B), tunnel(B, A));
    assert!(!payloads(&pair, 1).contains(&PayloadType::IDENTIFICATION));
}

#[test]
fn one_protocol_and_port_are_named_and_agreed() {
    let l2tp = |address| host(address).with_protocol(17).with_port(1701);
    let pair = agreed(policy().local(l2tp(A)).remote(l2tp(B)), policy().local(l2tp(B)).remote(l2tp(A)));
    assert!(payloads(&pair, 1).contains(&PayloadType::IDENTIFICATION));
    assert_eq!(pair.left.endpoint.status().children[0].remote, l2tp(B));
    // A policy of every protocol is another one, unless parts of it are taken too.
    let other =
        run(connection(A, B).policy(policy().local(l2tp(A)).remote(l2tp(B))), connection(B, A).policy(policy()));
    assert_eq!(refusal(&other.right), Failure::NoPolicy);
    agreed(policy().local(l2tp(A)).remote(l2tp(B)), policy().accept_narrower(true));
}

#[test]
fn transport_for_other_addresses_than_the_ends_is_never_asked_for_nor_taken() {
    let elsewhere = policy().local(host([10, 10, 1, 1]));
    let pair = run(connection(A, B).policy(elsewhere), connection(B, A).policy(policy()));
    assert_eq!(refusal(&pair.left), Failure::NotTheEnds);
    assert!(pair.left.endpoint.status().children.is_empty());
    // A peer that asks for it is refused: its identities are not those of the ends.
    let tunnel = PolicyConfig::new("net").local(host([10, 10, 1, 1])).remote(host(B)).suites([esp()]);
    let pair = run(connection(A, B).policy(tunnel), connection(B, A).policy(policy().accept_narrower(true)));
    assert_eq!(refusal(&pair.right), Failure::NoPolicy);
}

#[test]
fn a_peer_with_a_tunnel_policy_refuses_and_tells_the_mode() {
    let tunnel = PolicyConfig::new("ends").local(host(B)).remote(host(A)).suites([esp()]);
    let pair = run(connection(A, B).policy(policy()), connection(B, A).policy(tunnel));
    let told = pair.right.events.iter().find_map(|event| match event {
        Event::Phase2Failed { refusals, .. } => Some(refusals.to_string()),
        _ => None,
    });
    assert_eq!(told.unwrap(), "proposal 1, transform 1 against policy 1: encapsulation Transport, wanted Tunnel");
}

#[test]
fn bundles_stand_in_transport_mode_too() {
    let both = || policy().suites(Bundle::parse_alternatives("ipcomp-deflate + esp-aes128-sha1 + ah-sha1").unwrap());
    let pair = agreed(both(), both());
    assert_eq!(pair.left.installed.len(), 6);
}

/// Leaves one NAT-T vendor id in messages 1 and 2, which nothing protects, and spoils the others.
fn only(version: Version, payload: &Bytes) -> Bytes {
    let mut octets = payload.to_vec();
    for other in Version::ALL.into_iter().filter(|other| *other != version) {
        let id = other.vendor_id();
        if let Some(at) = octets.windows(id.len()).position(|window| window == id) {
            octets[at] ^= 0xff;
        }
    }
    octets.into()
}

#[test]
fn every_version_of_nat_traversal_tells_the_original_addresses_under_its_own_numbers() {
    for version in Version::ALL {
        let (left, right) = (connection(A, B).policy(policy()), connection(B, A).policy(policy()));
        let mut pair = Pair::new(plan(left.force_encapsulation(true)), plan(right));
        pair.initiate();
        let first = pair.wire.front_mut().unwrap();
        if !first.payload.windows(16).any(|window| window == version.vendor_id()) {
            // Not among those that we offer.
            continue;
        }
        first.payload = only(version, &first.payload);
        pair.settle();
        assert!(pair.left.established() && pair.right.established(), "{version}");
        assert_eq!(pair.left.endpoint.status().ike_sas[0].nat_version, Some(version));
        for number in [1, 2] {
            let sent = payloads(&pair, number).iter().filter(|of| of.0 == version.nat_oa_payload()).count();
            assert_eq!(sent, version.nat_oa_count(), "{version}");
        }
        let offered = format!(
            "{}",
            Mode::Transport
                .number(match version.udp_tunnel_mode() {
                    3 => Some(UdpEncapsulation::Rfc3947),
                    _ => Some(UdpEncapsulation::Drafts),
                })
                .0
        );
        assert_eq!(offered, version.udp_transport_mode().to_string());
        // The left end counts itself behind a NAT: how the peer sees it, it knows only if it is told both.
        let told = version.nat_oa_count() == 2;
        let wanted = told.then_some(OriginalAddresses { source: B.into(), destination: A.into() });
        assert_eq!(pair.left.originals, [wanted; 2], "{version}");
        assert_eq!(pair.right.originals, [Some(OriginalAddresses { source: A.into(), destination: B.into() }); 2]);
    }
}

#[test]
fn tunnel_mode_tells_no_original_addresses() {
    let (left, right) = (common::left().force_encapsulation(true), common::right());
    let pair = run(left, right);
    assert!(pair.left.established());
    assert!(!payloads(&pair, 1).contains(&PayloadType::NAT_OA));
    assert_eq!(pair.left.originals, [None; 2]);
}

fn natted(left: PolicyConfig, right: PolicyConfig) -> (Harness<Endpoint>, NodeId, NodeId) {
    let site = || Identity::Fqdn("left.example.org".into());
    let left = connection(INSIDE, B).local_identity(site()).policy(left);
    let right = connection(B, A).peer(Peer::Any).remote_identity(RemoteIdentity::Exactly(site())).policy(right);
    let mut world = World::new(7);
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
    (harness, inside, outside)
}

#[test]
fn behind_a_nat_each_end_learns_what_the_other_puts_into_its_headers() {
    for named in [false, true] {
        let (harness, inside, outside) = natted(policy().always_send_ids(named), policy());
        let inbound = |node| {
            harness.actions(node).iter().find_map(|(_, action)| match action {
                Action::InstallSa(sa) if sa.direction == Direction::Inbound => Some((sa.original, sa.remote_selector)),
                _ => None,
            })
        };
        let addresses = |source: [u8; 4], destination: [u8; 4]| {
            Some(OriginalAddresses { source: IpAddr::from(source), destination: IpAddr::from(destination) })
        };
        assert_eq!(inbound(outside), Some((addresses(INSIDE, B), host(OUTSIDE))), "named: {named}");
        assert_eq!(inbound(inside), Some((addresses(B, OUTSIDE), host(B))), "named: {named}");
        for node in [inside, outside] {
            let child = &harness.machine(node).unwrap().status().children[0];
            assert!(child.complete && matches!(child.encapsulation, Encapsulation::Udp(_)));
        }
    }
}

#[test]
fn ah_is_not_offered_through_a_nat_and_esp_is_what_remains() {
    let suites = |text| PolicyConfig::suites(policy(), Bundle::parse_alternatives(text).unwrap());
    let (harness, inside, _) = natted(suites("ah-sha1"), suites("ah-sha1"));
    let refused = harness
        .actions(inside)
        .iter()
        .any(|(_, action)| matches!(action, Action::Event(Event::Phase2Failed { failure: Failure::AhBehindNat, .. })));
    assert!(refused);
    let both = "ah-sha1 + esp-aes128-sha1, esp-aes128-sha1";
    let (harness, _, outside) = natted(suites(both), suites(both));
    let sas = &harness.machine(outside).unwrap().status().children[0].sas;
    assert_eq!(sas.iter().map(|sa| sa.suite).collect::<Vec<_>>(), [esp()]);
}
