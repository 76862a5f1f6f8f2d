//! Drafts 00 and 01 of NAT traversal: IKE and ESP share port 500, and eight octets of zero tell them apart.

use crate::common::{
    KEY, LEFT_BEHIND_NAT, LEFT_HOST, RIGHT, RIGHT_HOST, Side, Sites, echo, left_behind_nat, right_for_anyone, subnet,
};
use bytes::Bytes;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use drive::{Datagram, Path, Transmit, Verdict};
use gateway::{Config, DropReason, OutboundDrop, Outcome, Plan, datagram_of};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::proposal::Mode;
use ikev1_core::{ConnectionConfig, Identity, Peer, PolicyConfig, RemoteIdentity, TrafficSelector};
use nat_t::demux::{NON_IKE_MARKER, NotOurs};
use nat_t::{Support, Version};
use simnet::{NodeId, What};

const NAT_OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

fn config(side: Side, versions: Support) -> Config {
    let child = PolicyConfig::new("net").local(subnet(side.lan)).remote(subnet(side.far_lan));
    let mut connection = ConnectionConfig::new("office")
        .local(IpAddr::from(side.local))
        .peer(side.peer)
        .pre_shared_key(PreSharedKey::copied(side.key))
        .nat_t_versions(versions)
        .policy(child);
    if let Some(identity) = side.remote_identity {
        connection = connection.remote_identity(identity);
    }
    Config::new(ikev1_core::Config::new().connection(connection))
}

fn plan(side: Side, versions: Support) -> Plan {
    config(side, versions).build().unwrap()
}

fn only(version: Version) -> Sites {
    let versions = Support::NONE.with(version);
    let mut sites = Sites::behind_nat(1, plan(left_behind_nat(), versions), plan(right_for_anyone(), versions));
    sites.net.start_record();
    sites.up();
    sites
}

/// What a node sent that is not IKE, with the port it left from.
fn esp(sites: &Sites, node: NodeId) -> Vec<(u16, Vec<u8>)> {
    let sent = sites.net.record().iter().filter(|entry| entry.node == node);
    let packets = sent.filter_map(|entry| match &entry.what {
        What::Sent(packet) => Some((packet.path.local.port(), packet.payload.to_vec())),
        _ => None,
    });
    packets.filter(|(_, payload)| payload.len() > 8 && payload[..8] == NON_IKE_MARKER).collect()
}

#[test]
fn packets_pass_both_ways_on_port_500_behind_the_marker() {
    for version in [Version::Draft00, Version::Draft01] {
        let mut sites = only(version);
        let (left, right) = (sites.left, sites.right);
        for (number, node) in [(1, left), (2, right)] {
            let _ = sites.ping(node, number);
            sites.run(Duration::from_secs(1));
            assert_eq!(sites.replies(node, number), 1, "{version}");
        }
        for node in [left, right] {
            let sent = esp(&sites, node);
            assert_eq!(sent.len(), 2, "{version}");
            assert!(sent.iter().all(|(port, payload)| *port == 500 && payload[8..12] != [0; 4]), "{version}");
        }
        let ports = sites.net.record().iter().filter_map(|entry| match &entry.what {
            What::Sent(packet) => Some(packet.path.local.port()),
            _ => None,
        });
        assert!(ports.into_iter().all(|port| port == 500), "{version}");
    }
}

#[test]
fn a_version_that_moves_puts_no_marker_before_esp() {
    let mut sites = only(Version::Draft02);
    let left = sites.left;
    let _ = sites.ping(left, 1);
    sites.run(Duration::from_secs(1));
    assert_eq!(sites.replies(left, 1), 1);
    assert!(esp(&sites, left).is_empty());
}

#[test]
fn a_new_mapping_is_followed_by_esp_on_port_500() {
    let mut sites = only(Version::Draft00);
    let (left, right) = (sites.left, sites.right);
    let nat = sites.nat.unwrap();
    sites.net.world.nat_mut(nat).unwrap().rebind();
    let _ = sites.ping(left, 1);
    sites.run(Duration::from_secs(1));
    assert_eq!(sites.replies(left, 1), 1, "the answer goes where the request came from");
    let _ = sites.ping(right, 2);
    sites.run(Duration::from_secs(1));
    assert_eq!(sites.replies(right, 2), 1);
}

/// Who does not know those drafts takes all that comes to port 500 for IKE; who does sorts it.
#[test]
fn what_is_neither_ike_nor_esp_is_dropped_on_port_500_only_where_they_share_it() {
    let marked = |octets: &[u8]| [&NON_IKE_MARKER[..], octets].concat();
    let path = Path::new((RIGHT, 500).into(), (LEFT_BEHIND_NAT, 500).into());
    let verdict = |versions: Support, payload: &[u8]| {
        let mut sites = Sites::behind_nat(1, plan(left_behind_nat(), versions), plan(right_for_anyone(), versions));
        let right = sites.right;
        let payload = payload.to_vec();
        sites.net.call(right, move |now, gateway| gateway.handle_datagram(now, Datagram { path, payload: &payload }))
    };
    let every = |payload: &[u8]| verdict(Support::EVERY, payload).unwrap();
    assert_eq!(every(&[0xff]), Verdict::Ignored(DropReason::Keepalive));
    assert_eq!(every(&marked(&[1; 3])), Verdict::Ignored(DropReason::NatT(NotOurs::TooShort)));
    assert_eq!(every(&marked(&[0; 40])), Verdict::Ignored(DropReason::NatT(NotOurs::ReservedSpi)));
    assert!(matches!(every(&marked(&[9; 40])), Verdict::Ignored(DropReason::Association(_))));
    assert!(matches!(every(&[9; 40]), Verdict::Ignored(DropReason::Ike(_))));
    for payload in [&[0xff][..], &marked(&[9; 40])] {
        assert!(matches!(verdict(Support::STANDARD, payload).unwrap(), Verdict::Ignored(DropReason::Ike(_))));
    }
}

#[test]
fn the_marker_counts_for_the_longest_packet_that_fits() {
    let longest = |version: Version, mtu: usize| {
        let versions = Support::NONE.with(version);
        let left = config(left_behind_nat(), versions).path_mtu(mtu).build().unwrap();
        let mut sites = Sites::behind_nat(1, left, plan(right_for_anyone(), versions));
        sites.up();
        let left = sites.left;
        let mut packet = echo(LEFT_HOST, RIGHT_HOST, 1);
        packet.resize(1_500, 0);
        packet[2..4].copy_from_slice(&1_500_u16.to_be_bytes());
        // Not to be fragmented.
        packet[6] = 0x40;
        match sites.send(left, &packet) {
            Outcome::Dropped(OutboundDrop::TooLong { mtu }) => mtu,
            other => panic!("{other:?}"),
        }
    };
    for mtu in [1_000, 1_008, 1_400] {
        assert_eq!(longest(Version::Draft00, mtu + 8), longest(Version::Draft02, mtu));
    }
    assert!(longest(Version::Draft00, 1_000) < longest(Version::Draft02, 1_008));
}

/// One end of transport mode for L2TP in UDP.
fn transport(local: Ipv4Addr, peer: Peer, remote: TrafficSelector, versions: Support) -> Plan {
    let select = |selector: TrafficSelector| selector.with_protocol(17).with_port(1701);
    let policy = PolicyConfig::new("own")
        .mode(Mode::Transport)
        .local(select(TrafficSelector::host(local.into())))
        .remote(select(remote))
        .accept_narrower(true);
    let mut connection = ConnectionConfig::new("office")
        .local(IpAddr::from(local))
        .peer(peer)
        .pre_shared_key(PreSharedKey::copied(KEY))
        .nat_t_versions(versions)
        .policy(policy);
    if peer == Peer::Any {
        let identity = Identity::Address(LEFT_BEHIND_NAT.into());
        connection = connection.remote_identity(RemoteIdentity::Exactly(identity));
    }
    Config::new(ikev1_core::Config::new().connection(connection)).build().unwrap()
}

/// Each sender computes the UDP checksum over the addresses that it sees; old drafts tell only one of them.
#[test]
fn in_transport_mode_checksums_fit_both_ways_in_every_version() {
    for version in Version::ALL {
        let versions = Support::NONE.with(version);
        let left =
            transport(LEFT_BEHIND_NAT, Peer::Address(RIGHT.into()), TrafficSelector::host(RIGHT.into()), versions);
        let anyone = TrafficSelector::subnet(Ipv4Addr::UNSPECIFIED.into(), 0).unwrap();
        let mut sites = Sites::behind_nat(1, left, transport(RIGHT, Peer::Any, anyone, versions));
        sites.net.handler.silent = true;
        sites.up();
        let inside = Path::new((LEFT_BEHIND_NAT, 1701).into(), (RIGHT, 1701).into());
        let outside = Path::new((RIGHT, 1701).into(), (NAT_OUTSIDE, 1701).into());
        for (node, path, payload) in [(sites.left, inside, b"out"), (sites.right, outside, b"bck")] {
            let transmit = Transmit { path, payload: Bytes::from_static(payload) };
            let outcome = sites.net.call(node, move |now, gateway| gateway.handle_transmit(now, transmit));
            assert_eq!(outcome.unwrap(), Outcome::Sent);
            sites.run(Duration::from_secs(1));
        }
        let heard = |node| {
            let mut packets = sites.net.handler.delivered.iter().filter(|(_, at, _)| *at == node);
            let (_, _, packet) = packets.next().unwrap();
            let datagram = datagram_of(packet).expect("a whole packet with right checksums");
            (datagram.path, datagram.payload.to_vec())
        };
        assert_eq!(heard(sites.right), (outside, b"out".to_vec()), "{version}");
        assert_eq!(heard(sites.left), (inside, b"bck".to_vec()), "{version}");
    }
}
