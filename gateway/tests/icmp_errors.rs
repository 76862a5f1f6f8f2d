//! ICMP errors about traffic whose policies name other protocols than ICMP, RFC 4301 §6.2.

use crate::common::{KEY, LEFT, LEFT_HOST, RIGHT, RIGHT_HOST, Sites, echo, subnet};
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use drive::{Instant, SecretBytes};
use esp_ah::suite::AesKey;
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, Suite};
use gateway::{
    Config, DropReason, Exemption, Gateway, InPacket, Inbound, Manual, ManualSa, OutPacket, Outbound, OutboundDrop,
    Outcome, Packet, ROOM,
};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::proposal::Mode;
use ikev1_core::{ConnectionConfig, Peer, PolicyConfig, TrafficSelector};
use ipsec_wire::ipv4::Ipv4Packet;
use spd::{AddressSelector, ProtocolSelector, Selector};

const NOW: Instant = Instant::from_secs(1);
/// Routers behind the two gateways, on the way to the hosts.
const LEFT_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 10, 1, 254);
const RIGHT_ROUTER: Ipv4Addr = Ipv4Addr::new(10, 10, 2, 254);
const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const DISCARD: Outcome = Outcome::Dropped(OutboundDrop::Discard);

/// Hosts on the left talk to port 80 of those on the right, and no more.
fn config(left: bool) -> Config {
    let client = subnet([10, 10, 1, 0].into()).with_protocol(6);
    let server = subnet([10, 10, 2, 0].into()).with_protocol(6).with_port(80);
    let (address, peer, near, far) = if left { (LEFT, RIGHT, client, server) } else { (RIGHT, LEFT, server, client) };
    let connection = ConnectionConfig::new("office")
        .local(IpAddr::from(address))
        .peer(Peer::Address(peer.into()))
        .pre_shared_key(PreSharedKey::copied(KEY))
        .policy(PolicyConfig::new("web").local(near).remote(far));
    Config::new(ikev1_core::Config::new().connection(connection))
}

fn sites(left: Config, right: Config) -> Sites {
    Sites::new(1, left.build().unwrap(), right.build().unwrap())
}

fn ipv4(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = (20 + payload.len() as u16).to_be_bytes();
    let header = [0x45, 0, l0, l1, 0, 1, 0, 0, 64, protocol, 0, 0];
    let mut packet = [&header[..], &from.octets(), &to.octets(), payload].concat();
    Ipv4Packet::new_checked(&mut packet[..]).unwrap().fill_checksum();
    packet
}

fn tcp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16)) -> Vec<u8> {
    let ports = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    ipv4(6, from.0, to.0, &[&ports[..], &[0; 8], &[0x50, 0x10, 0, 0, 0, 0, 0, 0]].concat())
}

/// What the client sends to the server.
fn request() -> Vec<u8> {
    tcp((LEFT_HOST, 1024), (RIGHT_HOST, 80))
}

/// An ICMP error, which quotes the header and eight octets, as the oldest routers do.
fn error(from: Ipv4Addr, to: Ipv4Addr, kind: u8, about: &[u8]) -> Vec<u8> {
    ipv4(1, from, to, &[&[kind, 0, 0, 0, 0, 0, 0, 0][..], &about[..28]].concat())
}

#[test]
fn an_icmp_error_about_what_a_tunnel_carries_takes_that_tunnel_in_both_directions() {
    let mut sites = sites(config(true), config(false));
    sites.up();
    let answer = tcp((RIGHT_HOST, 80), (LEFT_HOST, 1024));
    let to_client = error(RIGHT_ROUTER, LEFT_HOST, 3, &request());
    let to_server = error(LEFT_ROUTER, RIGHT_HOST, 11, &answer);
    assert_eq!(sites.send(sites.right, &to_client), Outcome::Sent);
    assert_eq!(sites.send(sites.left, &to_server), Outcome::Sent);
    sites.run(Duration::from_secs(1));
    let delivered: Vec<_> = sites.net.handler.delivered.iter().map(|(_, at, packet)| (*at, packet.clone())).collect();
    assert_eq!(delivered, [(sites.left, to_client), (sites.right, to_server)]);
    for node in [sites.left, sites.right] {
        let shown = sites.machine(node).snapshot(sites.net.now());
        let counters = &shown.counters;
        assert_eq!((counters.out_errors, counters.in_errors, counters.in_opened), (1, 1, 1));
        assert_eq!((counters.out_no_policy, counters.in_outside, counters.in_policy_refused), (0, 0, 0));
        let of = shown.policies.iter().find(|policy| policy.counters.in_process_done > 0).unwrap().counters.clone();
        assert_eq!((of.out_process_start, of.out_process_done), (1, 1));
        assert_eq!((of.in_process_start, of.in_process_done), (1, 1));
        assert_eq!(shown.ipsec.len(), 1, "no other association was made");
    }
}

#[test]
fn no_association_is_negotiated_for_an_icmp_error() {
    let mut sites = sites(config(true), config(false));
    assert_eq!(sites.send(sites.right, &error(RIGHT_ROUTER, LEFT_HOST, 3, &request())), DISCARD);
    sites.run(Duration::from_secs(5));
    assert!(!sites.has_tunnel(sites.right) && sites.events(sites.right).next().is_none());
    assert_eq!(sites.machine(sites.right).snapshot(sites.net.now()).counters.out_no_policy, 1);
}

#[test]
fn an_icmp_error_about_anything_else_does_not_leave() {
    let mut sites = sites(config(true), config(false));
    sites.up();
    let request = request();
    let other_port = tcp((LEFT_HOST, 1024), (RIGHT_HOST, 81));
    let other_host = tcp((FAR, 1024), (RIGHT_HOST, 80));
    for refused in [
        error(RIGHT_ROUTER, LEFT_HOST, 3, &other_port),
        error(RIGHT_ROUTER, FAR, 3, &other_host),
        // To another than the sender; no error; the answer to it.
        error(RIGHT_ROUTER, LEFT_ROUTER, 3, &request),
        error(RIGHT_ROUTER, LEFT_HOST, 8, &request),
        error(RIGHT_ROUTER, LEFT_HOST, 5, &request),
        echo(RIGHT_ROUTER, LEFT_HOST, 1),
    ] {
        assert_eq!(sites.send(sites.right, &refused), DISCARD);
    }
    let counters = sites.machine(sites.right).snapshot(sites.net.now()).counters;
    assert_eq!((counters.out_errors, counters.out_no_policy, counters.out_sealed), (0, 6, 0));
}

#[test]
fn a_policy_that_drops_a_packet_on_purpose_drops_icmp_errors_about_tunnels_as_well() {
    let icmp = Selector { protocol: ProtocolSelector::Number(1), ..Selector::default() };
    let router = |local| Selector { local: AddressSelector::address(IpAddr::V4(local)).into(), ..Selector::default() };
    let no = |name, selector| config(false).exempt(name, selector, Exemption::Discard);
    let message = error(RIGHT_ROUTER, LEFT_HOST, 3, &request());
    for right in [no("icmp", icmp.clone()), no("router", router(RIGHT_ROUTER))] {
        let mut sites = sites(config(true), right);
        sites.up();
        assert_eq!(sites.send(sites.right, &message), DISCARD);
    }
    let mut sites = sites(config(true).exempt("icmp", icmp, Exemption::Discard), config(false));
    sites.up();
    assert_eq!(sites.send(sites.right, &message), Outcome::Sent);
    sites.run(Duration::from_secs(1));
    assert_eq!(sites.net.handler.delivered.len(), 0);
    let counters = sites.machine(sites.left).snapshot(sites.net.now()).counters;
    assert_eq!((counters.in_errors, counters.in_outside), (0, 1));
}

/// A gateway with manual keys for this traffic, its own first.
fn manual(mode: Mode, left: bool, near: TrafficSelector, far: TrafficSelector) -> Gateway {
    let suite = Suite::new(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacSha1_96).unwrap();
    let esp = |spi| ManualSa::Esp { spi, suite, keymat: SecretBytes::new(vec![spi as u8; 36]) };
    let (local, remote) = if left { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
    let (sends, receives) = if left { (0x1001, 0x1002) } else { (0x1002, 0x1001) };
    let pair = Manual::new("manual", mode, local.into(), remote.into()).traffic(near, far);
    let pair = pair.sends(esp(sends)).receives(esp(receives));
    let plan = Config::new(ikev1_core::Config::new()).manual(pair).build().unwrap();
    Gateway::new(plan, Box::new(simnet::Entropy::new(u64::from(left))))
}

fn pass(from: &mut Gateway, to: &mut Gateway, clear: &[u8]) -> (Outbound, Inbound) {
    let mut buffer = [&[0; ROOM][..], clear, &[0; ROOM]].concat();
    let mut items = [OutPacket::new(Packet::new(&mut buffer, ROOM..ROOM + clear.len()).unwrap())];
    from.seal_batch(NOW, &mut items);
    let sealed = items[0].outcome;
    let Outbound::Send(path) = sealed else { return (sealed, Inbound::Unprocessed) };
    let mut buffer = [&[0; ROOM][..], items[0].packet.octets()].concat();
    let end = buffer.len();
    let mut items = [InPacket::new(path.reversed(), Packet::new(&mut buffer, ROOM..end).unwrap())];
    to.open_batch(NOW, &mut items);
    (sealed, items[0].outcome)
}

#[test]
fn an_icmp_error_from_a_peer_about_traffic_of_others_is_dropped() {
    let whole = TrafficSelector::subnet([0, 0, 0, 0].into(), 0).unwrap();
    let near = subnet([10, 10, 1, 0].into()).with_protocol(6);
    let far = subnet([10, 10, 2, 0].into()).with_protocol(6).with_port(80);
    // The peer sends whatever it likes.
    let mut peer = manual(Mode::Tunnel, false, whole, whole);
    let mut here = manual(Mode::Tunnel, true, near, far);
    let request = request();
    for (message, wanted) in [
        (error(RIGHT_ROUTER, LEFT_HOST, 3, &request), true),
        (error(FAR, LEFT_HOST, 11, &request), true),
        (error(RIGHT_ROUTER, LEFT_HOST, 3, &tcp((LEFT_HOST, 1024), (RIGHT_HOST, 81))), false),
        (error(RIGHT_ROUTER, LEFT_HOST, 3, &tcp((LEFT_HOST, 1024), (FAR, 80))), false),
        (error(RIGHT_ROUTER, LEFT_HOST, 3, &tcp((RIGHT_HOST, 80), (LEFT_HOST, 1024))), false),
        (error(RIGHT_ROUTER, LEFT_ROUTER, 3, &request), false),
        (error(RIGHT_ROUTER, LEFT_HOST, 5, &request), false),
        (echo(RIGHT_HOST, LEFT_HOST, 1), false),
    ] {
        let (_, opened) = pass(&mut peer, &mut here, &message);
        assert_eq!(matches!(opened, Inbound::Deliver { .. }), wanted, "{opened:?}");
        assert_eq!(opened == Inbound::Dropped(DropReason::Outside), !wanted, "{opened:?}");
    }
    let counters = here.snapshot(NOW).counters;
    assert_eq!((counters.in_errors, counters.in_opened, counters.in_outside), (2, 2, 6));
}

#[test]
fn in_transport_mode_only_this_machine_sends_icmp_errors() {
    let host = |address: Ipv4Addr| TrafficSelector::host(address.into()).with_protocol(17);
    let mut left = manual(Mode::Transport, true, host(LEFT), host(RIGHT));
    let mut right = manual(Mode::Transport, false, host(RIGHT), host(LEFT));
    let sent = ipv4(17, LEFT, RIGHT, &[4, 0, 0, 53, 0, 8, 0, 0]);
    let (_, opened) = pass(&mut right, &mut left, &error(RIGHT, LEFT, 3, &sent));
    assert!(matches!(opened, Inbound::Deliver { .. }), "{opened:?}");
    // As if the other end sent it: the header is made again from the path.
    let (sealed, _) = pass(&mut right, &mut left, &error(RIGHT_ROUTER, LEFT, 3, &sent));
    assert_eq!(sealed, Outbound::Dropped(OutboundDrop::Discard));
}
