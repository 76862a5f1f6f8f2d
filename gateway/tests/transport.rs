//! Transport mode: the datagrams of the two machines themselves.

use crate::common::{KEY, LEFT, LEFT_BEHIND_NAT, RIGHT, Sites};
use bytes::Bytes;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use drive::{Path, Transmit};
use gateway::{Config, DropReason, OutboundDrop, Outcome, Plan, datagram_of};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::proposal::{EspCipher, Integrity, Mode, Protection};
use ikev1_core::{ConnectionConfig, Identity, Peer, PolicyConfig, RemoteIdentity, TrafficSelector};
use simnet::NodeId;

const SECOND: Duration = Duration::from_secs(1);
const L2TP: u8 = 115;
const UDP: u8 = 17;
const NAT_OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

/// One end of a transport mode association for one protocol, and for one port of it if not 0.
struct End {
    local: IpAddr,
    peer: Peer,
    identity: Option<RemoteIdentity>,
    remote: TrafficSelector,
    protocol: u8,
    port: u16,
    suites: Option<Vec<Protection>>,
}

impl End {
    fn new(local: impl Into<IpAddr>, remote: impl Into<IpAddr>, protocol: u8, port: u16) -> Self {
        let (local, remote) = (local.into(), remote.into());
        let selector = TrafficSelector::host(remote);
        Self { local, peer: Peer::Address(remote), identity: None, remote: selector, protocol, port, suites: None }
    }

    /// An end for whoever knows the key and calls itself `identity`, as behind a NAT.
    fn for_anyone(local: impl Into<IpAddr>, identity: IpAddr, protocol: u8, port: u16) -> Self {
        let anyone = TrafficSelector::subnet(Ipv4Addr::UNSPECIFIED.into(), 0).unwrap();
        let identity = Some(RemoteIdentity::Exactly(Identity::Address(identity)));
        let unspecified = Ipv4Addr::UNSPECIFIED;
        Self { peer: Peer::Any, identity, remote: anyone, ..Self::new(local, unspecified, protocol, port) }
    }

    fn plan(self) -> Plan {
        let select = |selector: TrafficSelector| selector.with_protocol(self.protocol).with_port(self.port);
        let mut policy = PolicyConfig::new("own")
            .mode(Mode::Transport)
            .local(select(TrafficSelector::host(self.local)))
            .remote(select(self.remote))
            .accept_narrower(true);
        if let Some(suites) = self.suites {
            policy = policy.suites(suites);
        }
        let mut connection = ConnectionConfig::new("office")
            .local(self.local)
            .peer(self.peer)
            .pre_shared_key(PreSharedKey::copied(KEY))
            .policy(policy);
        if let Some(identity) = self.identity {
            connection = connection.remote_identity(identity);
        }
        Config::new(ikev1_core::Config::new().connection(connection)).build().unwrap()
    }
}

fn native(seed: u64, protocol: u8, port: u16) -> Sites {
    let left = End::new(LEFT, RIGHT, protocol, port).plan();
    let right = End::new(RIGHT, LEFT, protocol, port).plan();
    let mut sites = Sites::new(seed, left, right);
    sites.net.handler.silent = true;
    sites
}

fn behind_nat(seed: u64, protocol: u8, port: u16) -> Sites {
    let left = End::new(LEFT_BEHIND_NAT, RIGHT, protocol, port).plan();
    let right = End::for_anyone(RIGHT, LEFT_BEHIND_NAT.into(), protocol, port).plan();
    let mut sites = Sites::behind_nat(seed, left, right);
    sites.net.handler.silent = true;
    sites
}

fn udp(local: impl Into<IpAddr>, remote: impl Into<IpAddr>, port: u16) -> Path {
    Path::new(SocketAddr::new(local.into(), port), SocketAddr::new(remote.into(), port))
}

fn send(sites: &mut Sites, node: NodeId, path: Path, payload: &[u8]) -> Outcome {
    let transmit = Transmit { path, payload: Bytes::copy_from_slice(payload) };
    sites.net.call(node, move |now, gateway| gateway.handle_transmit(now, transmit)).unwrap()
}

/// Returns the datagrams delivered on `node`.
fn heard(sites: &Sites, node: NodeId) -> Vec<(Path, Vec<u8>)> {
    let packets = sites.net.handler.delivered.iter().filter(|(_, at, _)| *at == node);
    packets
        .map(|(_, _, packet)| {
            let datagram = datagram_of(packet).expect("a whole packet with right checksums");
            (datagram.path, datagram.payload.to_vec())
        })
        .collect()
}

#[test]
fn datagrams_of_both_machines_pass_in_native_esp() {
    for (seed, protocol, port) in [(1, L2TP, 0), (2, UDP, 1701)] {
        let mut sites = native(seed, protocol, port);
        sites.up();
        sites.net.world.start_capture();
        let path = if port == 0 { Path::ip(protocol, LEFT.into(), RIGHT.into()) } else { udp(LEFT, RIGHT, port) };
        let (left, right) = (sites.left, sites.right);
        assert_eq!(send(&mut sites, left, path, b"from the left, in clear"), Outcome::Sent);
        assert_eq!(send(&mut sites, right, path.reversed(), b"from the right"), Outcome::Sent);
        sites.run(SECOND);
        assert_eq!(heard(&sites, right), [(path.reversed(), b"from the left, in clear".to_vec())]);
        assert_eq!(heard(&sites, left), [(path, b"from the right".to_vec())]);
        for (_, packet) in sites.net.world.capture().unwrap().packets() {
            assert_eq!(packet.path.protocol, 50);
            assert!(!packet.payload.windows(8).any(|window| window == b"in clear"));
        }
    }
}

#[test]
fn datagrams_of_both_machines_pass_over_ipv6() {
    let left: IpAddr = "2001:db8::1".parse().unwrap();
    let right: IpAddr = "2001:db8::2".parse().unwrap();
    let plans = [(left, right), (right, left)].map(|(local, remote)| End::new(local, remote, UDP, 1701).plan());
    let [left_plan, right_plan] = plans;
    let mut sites = Sites::between(3, (left, left_plan), (right, right_plan));
    sites.net.handler.silent = true;
    sites.up();
    let path = udp(left, right, 1701);
    let node = sites.left;
    assert_eq!(send(&mut sites, node, path, b"six"), Outcome::Sent);
    let node = sites.right;
    assert_eq!(send(&mut sites, node, path.reversed(), b"back"), Outcome::Sent);
    sites.run(SECOND);
    assert_eq!(heard(&sites, sites.right), [(path.reversed(), b"six".to_vec())]);
    assert_eq!(heard(&sites, sites.left), [(path, b"back".to_vec())]);
}

/// The sender computes the UDP checksum over its private address; the receiver sees the NAT's.
#[test]
fn through_a_nat_the_checksums_fit_the_addresses_that_the_receiver_sees() {
    let mut sites = behind_nat(4, UDP, 1701);
    sites.up();
    sites.net.world.start_capture();
    let inside = udp(LEFT_BEHIND_NAT, RIGHT, 1701);
    let outside = udp(RIGHT, NAT_OUTSIDE, 1701);
    let (left, right) = (sites.left, sites.right);
    assert_eq!(send(&mut sites, left, inside, b"out"), Outcome::Sent);
    sites.run(SECOND);
    assert_eq!(send(&mut sites, right, outside, b"back"), Outcome::Sent);
    sites.run(SECOND);
    assert_eq!(heard(&sites, right), [(outside, b"out".to_vec())]);
    assert_eq!(heard(&sites, left), [(inside, b"back".to_vec())]);
    assert!(sites.net.world.capture().unwrap().packets().iter().all(|(_, packet)| packet.path.is_udp()));
}

#[test]
fn a_new_mapping_of_the_nat_does_not_show_in_what_is_carried() {
    let mut sites = behind_nat(5, UDP, 1701);
    sites.up();
    let nat = sites.nat.unwrap();
    sites.net.world.nat_mut(nat).unwrap().rebind();
    let (left, right) = (sites.left, sites.right);
    let outside = udp(RIGHT, NAT_OUTSIDE, 1701);
    assert_eq!(send(&mut sites, left, udp(LEFT_BEHIND_NAT, RIGHT, 1701), b"moved"), Outcome::Sent);
    sites.run(2 * SECOND);
    assert_eq!(send(&mut sites, right, outside, b"found"), Outcome::Sent);
    sites.run(2 * SECOND);
    assert_eq!(heard(&sites, right), [(outside, b"moved".to_vec())]);
    assert_eq!(heard(&sites, left).len(), 1);
}

#[test]
fn the_first_datagram_starts_the_negotiation_and_follows_it() {
    let mut sites = native(6, L2TP, 0);
    let path = Path::ip(L2TP, LEFT.into(), RIGHT.into());
    let left = sites.left;
    assert_eq!(send(&mut sites, left, path, b"early"), Outcome::Waits);
    sites.run(5 * SECOND);
    assert_eq!(heard(&sites, sites.right), [(path.reversed(), b"early".to_vec())]);
}

#[test]
fn what_is_not_of_the_negotiated_protocol_does_not_leave() {
    let mut sites = native(7, L2TP, 0);
    sites.up();
    let left = sites.left;
    let other = Path::ip(47, LEFT.into(), RIGHT.into());
    assert_eq!(send(&mut sites, left, other, b"gre"), Outcome::Dropped(OutboundDrop::Discard));
    let elsewhere = Path::ip(L2TP, LEFT.into(), [192, 0, 2, 77].into());
    assert_eq!(send(&mut sites, left, elsewhere, b"l2tp"), Outcome::Dropped(OutboundDrop::Discard));
}

/// The left's policy is for every port, and the association that the right asked for is for one.
#[test]
fn an_association_for_part_of_a_policy_does_not_carry_the_rest() {
    let left = End::new(LEFT, RIGHT, UDP, 0).plan();
    let mut sites = Sites::new(8, left, End::new(RIGHT, LEFT, UDP, 1701).plan());
    sites.net.handler.silent = true;
    sites.initiate(sites.right);
    sites.run(5 * SECOND);
    let (left, right) = (sites.left, sites.right);
    assert_eq!(send(&mut sites, left, udp(LEFT, RIGHT, 1702), b"other port"), Outcome::Waits);
    assert_eq!(send(&mut sites, left, udp(LEFT, RIGHT, 1701), b"the port"), Outcome::Sent);
    sites.run(60 * SECOND);
    assert_eq!(heard(&sites, right), [(udp(RIGHT, LEFT, 1701), b"the port".to_vec())]);
}

/// An IPv4 packet of protocol 115 with one option, or one that is a fragment.
fn odd_packet(option: bool, fragment: bool) -> Vec<u8> {
    let header = if option { 24 } else { 20 };
    let mut packet = vec![0x40 | (header as u8 / 4), 0, 0, header as u8 + 8, 0, 1, 0, 0, 64, L2TP, 0, 0];
    if fragment {
        packet[6] = 0x20;
    }
    packet.extend_from_slice(&LEFT.octets());
    packet.extend_from_slice(&RIGHT.octets());
    packet.resize(header + 8, 1);
    packet
}

#[test]
fn fragments_and_options_are_refused_and_whole_packets_still_pass() {
    let mut sites = native(9, L2TP, 0);
    sites.up();
    let left = sites.left;
    assert_eq!(sites.send(left, &odd_packet(true, false)), Outcome::Dropped(OutboundDrop::Options));
    assert_eq!(sites.send(left, &odd_packet(false, true)), Outcome::Dropped(OutboundDrop::Fragment));
    assert_eq!(sites.send(left, &odd_packet(false, false)), Outcome::Sent);
    sites.run(SECOND);
    assert_eq!(heard(&sites, sites.right).len(), 1);
}

/// With the shortest ESP header there is least room for the IP header that is put before the payload.
#[test]
fn a_datagram_in_a_buffer_without_room_is_dropped_with_the_octets_needed() {
    let null = vec![Protection::Esp { cipher: EspCipher::Null, integrity: Some(Integrity::HmacSha1) }];
    let end = |local, remote| End { suites: Some(null.clone()), ..End::new(local, remote, L2TP, 0) };
    let mut sites = Sites::new(10, end(LEFT, RIGHT).plan(), end(RIGHT, LEFT).plan());
    sites.net.handler.silent = true;
    sites.up();
    sites.net.world.start_capture();
    let path = Path::ip(L2TP, LEFT.into(), RIGHT.into());
    let left = sites.left;
    assert_eq!(send(&mut sites, left, path, b"tight"), Outcome::Sent);
    let sealed = sites.net.world.capture().unwrap().packets()[0].1.clone();
    let outcome = sites
        .net
        .call(sites.right, move |now, gateway| {
            let mut octets = sealed.payload.to_vec();
            let mut item = gateway::InPacket::new(sealed.path.reversed(), gateway::Packet::whole(&mut octets));
            gateway.open_batch(now, core::slice::from_mut(&mut item));
            item.outcome
        })
        .unwrap();
    assert!(matches!(outcome, gateway::Inbound::Dropped(DropReason::Room(_))), "{outcome:?}");
}
