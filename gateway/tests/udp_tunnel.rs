//! ESP in UDP on port 2746, with its heartbeat, between two gateways whose policies have it on.

use crate::common::{
    KEY, LEFT, LEFT_BEHIND_NAT, LEFT_HOST, Lans, OFFICE, RIGHT, RIGHT_HOST, Side, Sites, echo, subnet,
};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use drive::{Datagram, Path, SecretBytes, Verdict};
use esp_ah::suite::AesKey;
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, Suite};
use gateway::{
    Command, Config, ConfigError, DropReason, Gateway, Manual, ManualSa, Outcome, Plan, Snapshot, UdpTunnel,
    UdpTunnelCounters, UdpTunnelProblem,
};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::proposal::{Bundle, Mode};
use ikev1_core::{ConnectionConfig, Identity, Peer, PolicyConfig, RemoteIdentity, TrafficSelector};
use nat_t::udp_tunnel::{ESP_HEADER, HEARTBEAT, NotOurs};
use proptest::prelude::*;
use simnet::{Chance, Link, NatConfig, NodeId, PortChoice, Realm, World};

const SECOND: Duration = Duration::from_secs(1);
const BEATING: UdpTunnel = UdpTunnel { remote_port: 2746, heartbeat: true };

fn lan(host: Ipv4Addr) -> TrafficSelector {
    subnet((u32::from(host) & !255).into())
}

fn connection(local: Ipv4Addr, peer: Peer) -> ConnectionConfig {
    ConnectionConfig::new("office")
        .local(IpAddr::from(local))
        .peer(peer)
        .pre_shared_key(PreSharedKey::copied(KEY))
        .nat_traversal(false)
}

fn child(name: &str, left: bool) -> PolicyConfig {
    let (near, far) = if left { (LEFT_HOST, RIGHT_HOST) } else { (RIGHT_HOST, LEFT_HOST) };
    PolicyConfig::new(name).local(lan(near)).remote(lan(far))
}

/// The settings of one of two ends with the policy `net`.
fn end(left: bool) -> Config {
    let (local, remote) = if left { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
    let connection = connection(local, Peer::Address(remote.into())).policy(child("net", left));
    Config::new(ikev1_core::Config::new().connection(connection))
}

fn plan(left: bool, tunnel: UdpTunnel) -> Plan {
    end(left).udp_tunnel("net", tunnel).build().unwrap()
}

fn sites(seed: u64, tunnel: UdpTunnel) -> Sites {
    Sites::new(seed, plan(true, tunnel), plan(false, tunnel))
}

fn snapshot(sites: &Sites, node: NodeId) -> Snapshot {
    sites.machine(node).snapshot(sites.net.now())
}

fn counters(sites: &Sites, node: NodeId) -> UdpTunnelCounters {
    snapshot(sites, node).udp_tunnel.counters
}

/// Gives a datagram from `remote` to the port of the tunnel on the right.
fn give(sites: &mut Sites, remote: SocketAddr, payload: &[u8]) -> Verdict<DropReason> {
    let path = Path::new((RIGHT, 2746).into(), remote);
    let payload = payload.to_vec();
    let call = move |now, gateway: &mut Gateway| gateway.handle_datagram(now, Datagram { path, payload: &payload });
    sites.net.call(sites.right, call).unwrap()
}

#[test]
fn esp_of_the_policy_travels_in_udp_2746_and_the_exchanges_on_500() {
    let mut sites = sites(1, UdpTunnel::default());
    sites.net.world.start_capture();
    sites.up();
    for number in 0..5 {
        assert_eq!(sites.ping(sites.left, number), Outcome::Sent);
        assert_eq!(sites.ping(sites.right, 100 + number), Outcome::Sent);
    }
    sites.run(SECOND);
    for number in 0..5 {
        assert_eq!((sites.replies(sites.left, number), sites.replies(sites.right, 100 + number)), (1, 1));
    }
    let mut tunnelled = 0;
    for (_, packet) in sites.net.world.capture().unwrap().packets() {
        assert!(packet.path.is_udp(), "{}", packet.path);
        match (packet.path.local.port(), packet.path.remote.port()) {
            (500, 500) => assert_ne!(packet.payload[..4], ESP_HEADER),
            (2746, 2746) => {
                tunnelled += 1;
                assert_eq!(packet.payload[..4], ESP_HEADER);
            }
            _ => panic!("{}", packet.path),
        }
    }
    assert_eq!(tunnelled, 20);
    for node in [sites.left, sites.right] {
        let expected = UdpTunnelCounters { out_pkt: 10, in_pkt: 10, ..UdpTunnelCounters::default() };
        assert_eq!(counters(&sites, node), expected);
        let shown = snapshot(&sites, node);
        assert!(shown.udp_tunnel.open && shown.udp_tunnel.listen_port == 2746);
        assert_eq!(shown.policies[0].udp_tunnel, Some(UdpTunnel::default()));
        assert_eq!(shown.ipsec[0].data.as_ref().unwrap().path.local.port(), 2746);
    }
}

#[test]
fn each_end_may_listen_on_a_port_of_its_own() {
    let left = end(true).udp_tunnel_port(2_800).udp_tunnel("net", UdpTunnel { remote_port: 2_900, heartbeat: true });
    let right = end(false).udp_tunnel_port(2_900).udp_tunnel("net", UdpTunnel { remote_port: 2_800, heartbeat: true });
    let mut sites = Sites::new(2, left.build().unwrap(), right.build().unwrap());
    sites.up();
    let _ = sites.ping(sites.left, 1);
    sites.run(SECOND);
    assert_eq!(sites.replies(sites.left, 1), 1);
    assert_eq!(counters(&sites, sites.right).in_udp_heart_beat, 1);
    assert_eq!(snapshot(&sites, sites.left).udp_tunnel.listen_port, 2_800);
}

#[test]
fn over_a_link_that_loses_a_tenth_pings_pass_heartbeats_count_and_renewal_works() {
    for seed in 10..14 {
        let mut sites = sites(seed, BEATING);
        sites.net.world.set_links(Link::lossy(20 * SECOND / 1_000, Chance::percent(10)));
        sites.initiate(sites.left);
        sites.run(60 * SECOND);
        let Some(first) = snapshot(&sites, sites.left).ipsec.first().map(|pair| pair.status.child) else {
            panic!("seed {seed}: no tunnel");
        };
        let ping = |sites: &mut Sites, from: u16| {
            for number in from..from + 50 {
                let _ = sites.ping(sites.left, number);
                sites.run(SECOND);
            }
            (from..from + 50).filter(|number| sites.replies(sites.left, *number) == 1).count()
        };
        let before = ping(&mut sites, 0);
        sites.net.command(sites.left, Command::RekeyChild { child: first }).unwrap().unwrap();
        sites.run(60 * SECOND);
        let pairs = snapshot(&sites, sites.left).ipsec;
        assert!(pairs.iter().any(|pair| pair.status.complete && pair.status.child != first), "seed {seed}");
        let after = ping(&mut sites, 1_000);
        assert!(before >= 30 && after >= 30, "seed {seed}: {before} and {after} of 50");
        for (one, other) in [(sites.left, sites.right), (sites.right, sites.left)] {
            let (sent, heard) = (counters(&sites, one).out_udp_heart_beat, counters(&sites, other).in_udp_heart_beat);
            assert!((6..=9).contains(&sent) && heard <= sent && heard >= 2, "seed {seed}: {heard} of {sent}");
        }
    }
}

#[test]
fn heartbeats_go_every_thirty_seconds_once_per_peer_while_a_pair_stands() {
    let config = |left: bool| {
        let (local, remote) = if left { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
        let udp = child("udp", left);
        let (near, far) = if left { (LEFT_HOST, RIGHT_HOST) } else { (RIGHT_HOST, LEFT_HOST) };
        let connection = connection(local, Peer::Address(remote.into()))
            .policy(udp.local(lan(near).with_protocol(17)).remote(lan(far).with_protocol(17)))
            .policy(child("net", left));
        let config = Config::new(ikev1_core::Config::new().connection(connection));
        config.udp_tunnel("net", BEATING).udp_tunnel("udp", BEATING).build().unwrap()
    };
    let mut sites = Sites::new(3, config(true), config(false));
    sites.run(100 * SECOND);
    assert_eq!(counters(&sites, sites.left).out_udp_heart_beat, 0, "there is no pair yet");
    sites.up();
    assert_eq!(snapshot(&sites, sites.left).ipsec.len(), 2);
    sites.run(118 * SECOND);
    sites.net.world.start_capture();
    sites.run(30 * SECOND);
    let packets = sites.net.world.capture().unwrap().packets();
    let beats: Vec<_> = packets.iter().filter(|(_, packet)| packet.path.remote.port() == 2746).collect();
    assert_eq!(beats.len(), 2, "one from each end");
    assert!(beats.iter().all(|(_, packet)| packet.payload[..] == HEARTBEAT));
    assert_eq!(counters(&sites, sites.left).out_udp_heart_beat, 6);
    sites.net.command(sites.left, Command::CloseConnection { connection: OFFICE }).unwrap().unwrap();
    sites.run(SECOND);
    for node in [sites.left, sites.right] {
        let sent = counters(&sites, node).out_udp_heart_beat;
        sites.run(100 * SECOND);
        assert_eq!(counters(&sites, node).out_udp_heart_beat, sent);
    }
}

#[test]
fn a_heartbeat_that_arrives_does_nothing_but_count() {
    let mut sites = sites(4, UdpTunnel::default());
    sites.up();
    let before = (sites.machine(sites.right).next_timer(), format!("{:?}", snapshot(&sites, sites.right).ipsec));
    sites.net.world.start_capture();
    for from in [LEFT, Ipv4Addr::new(203, 0, 113, 9)] {
        assert_eq!(give(&mut sites, (from, 2746).into(), &HEARTBEAT), Verdict::Ignored(DropReason::Heartbeat));
    }
    let after = (sites.machine(sites.right).next_timer(), format!("{:?}", snapshot(&sites, sites.right).ipsec));
    assert_eq!(before, after);
    assert!(sites.net.world.capture().unwrap().packets().is_empty(), "no answer");
    assert_eq!(counters(&sites, sites.right).in_udp_heart_beat, 2);
}

#[test]
fn without_a_policy_that_has_it_on_the_tunnel_is_closed() {
    let mut sites = Sites::new(5, Side::left().plan(), Side::right().plan());
    sites.up();
    let shown = snapshot(&sites, sites.right);
    assert!(!shown.udp_tunnel.open && shown.udp_tunnel.listen_port == 2746);
    assert_eq!(shown.policies[0].udp_tunnel, None);
    assert_eq!(give(&mut sites, (LEFT, 2746).into(), &HEARTBEAT), Verdict::Ignored(DropReason::NotOurs));
    assert_eq!(counters(&sites, sites.right), UdpTunnelCounters::default());
}

#[test]
fn what_comes_for_no_policy_with_the_tunnel_on_is_counted_and_dropped() {
    // One policy has the tunnel on, the other has not.
    let config = |left: bool| {
        let (local, remote) = if left { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
        let (near, far) = if left { (LEFT_HOST, RIGHT_HOST) } else { (RIGHT_HOST, LEFT_HOST) };
        let connection = connection(local, Peer::Address(remote.into()))
            .policy(child("udp", left).local(lan(near).with_protocol(17)).remote(lan(far).with_protocol(17)))
            .policy(child("net", left));
        let config = Config::new(ikev1_core::Config::new().connection(connection));
        config.udp_tunnel("udp", UdpTunnel::default()).build().unwrap()
    };
    let mut sites = Sites::new(6, config(true), config(false));
    sites.up();
    sites.net.world.start_capture();
    sites.net.world.set_link(sites.left, Link::cut());
    assert_eq!(sites.ping(sites.left, 1), Outcome::Sent);
    let native = sites.net.world.capture().unwrap().packets()[0].1.clone();
    assert_eq!(native.path.protocol, 50);
    let wrapped = [&ESP_HEADER[..], &native.payload].concat();
    let no_policy = Verdict::Ignored(DropReason::UdpTunnelPolicy);
    assert_eq!(give(&mut sites, (LEFT, 2746).into(), &wrapped), no_policy, "its policy has the tunnel off");
    let mut unknown = wrapped.clone();
    unknown[4..8].fill(0xee);
    assert_eq!(give(&mut sites, (Ipv4Addr::new(203, 0, 113, 9), 2746).into(), &unknown), no_policy, "a stranger");
    let verdict = give(&mut sites, (LEFT, 2746).into(), &unknown);
    assert!(matches!(verdict, Verdict::Ignored(DropReason::Association(_))), "{verdict:?}");
    let counted = counters(&sites, sites.right);
    assert_eq!((counted.in_pkt_no_policy, counted.in_pkt), (2, 1));
    // Nothing was lost by it: the packet itself still passes where it belongs.
    let path = native.path.reversed();
    let call =
        move |now, gateway: &mut Gateway| gateway.handle_datagram(now, Datagram { path, payload: &native.payload });
    assert_eq!(sites.net.call(sites.right, call).unwrap(), Verdict::Accepted);
}

#[test]
fn another_version_or_form_is_counted_and_dropped() {
    let mut sites = sites(7, UdpTunnel::default());
    sites.up();
    for (payload, reason) in [
        (&[2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8][..], NotOurs::BadVersion),
        (&[0xff], NotOurs::TooShort),
        (&[1, 9, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], NotOurs::BadHeader),
        (&[1, 1, 0, 0, 9], NotOurs::TrailingOctets),
    ] {
        assert_eq!(give(&mut sites, (LEFT, 2746).into(), payload), Verdict::Ignored(DropReason::UdpTunnel(reason)));
    }
    let counted = counters(&sites, sites.right);
    assert_eq!((counted.in_pkt_bad_version, counted.in_pkt_malformed), (1, 3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn no_datagram_on_the_port_moves_anything_but_a_counter(
        payloads in proptest::collection::vec(
            (any::<bool>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..80)), 1..40),
    ) {
        let mut sites = sites(8, BEATING);
        sites.up();
        let _ = sites.ping(sites.left, 1);
        sites.run(SECOND);
        let spi = snapshot(&sites, sites.right).ipsec[0].status.sas[0].inbound.to_be_bytes();
        let state = |sites: &Sites| {
            let pairs = snapshot(sites, sites.right).ipsec;
            let pair = pairs[0].inbound[0].detail.as_ref().unwrap();
            (pairs.len(), pairs[0].status.clone(), pair.last_sequence, pair.bitmap.clone(), pair.path)
        };
        let before = format!("{:?}", state(&sites));
        let sum = |sites: &Sites| {
            let counters = counters(sites, sites.right);
            counters.iter().filter(|(name, _)| name.starts_with("in")).map(|(_, value)| value).sum::<u64>()
        };
        let counted = sum(&sites);
        let count = payloads.len() as u64;
        for (formed, ours, mut payload) in payloads {
            if formed {
                payload = [&ESP_HEADER[..], &payload].concat();
            }
            if ours && payload.len() >= 8 {
                payload[4..8].copy_from_slice(&spi);
            }
            let verdict = give(&mut sites, (LEFT, 2746).into(), &payload);
            prop_assert!(matches!(verdict, Verdict::Ignored(_)));
        }
        prop_assert_eq!(sum(&sites), counted + count, "each is counted once");
        prop_assert_eq!(format!("{:?}", state(&sites)), before);
        let _ = sites.ping(sites.left, 2);
        sites.run(SECOND);
        prop_assert_eq!(sites.replies(sites.left, 2), 1);
    }
}

#[test]
fn the_overhead_has_the_udp_header_and_that_of_the_tunnel_in_it() {
    let suites = Bundle::parse_alternatives("esp-aes128-sha1").unwrap();
    let connection = connection(LEFT, Peer::Address(RIGHT.into())).policy(child("net", true).suites(suites));
    let left = Config::new(ikev1_core::Config::new().connection(connection)).path_mtu(1_400);
    let left = left.udp_tunnel("net", UdpTunnel::default()).build().unwrap();
    let mut sites = Sites::new(9, left, plan(false, UdpTunnel::default()));
    sites.net.handler.silent = true;
    sites.up();
    let data = snapshot(&sites, sites.left).ipsec.remove(0).data.unwrap();
    let mut long = echo(LEFT_HOST, RIGHT_HOST, 1);
    long.resize(data.longest, 0);
    long[2..4].copy_from_slice(&(data.longest as u16).to_be_bytes());
    long[6] = 0x40;
    sites.net.world.start_capture();
    assert_eq!(sites.send(sites.left, &long), Outcome::Sent);
    let sealed = sites.net.world.capture().unwrap().packets()[0].1.payload.len();
    // 20 of IPv4 and 8 of UDP; inside 4 of the tunnel, 8 of ESP, 16 of IV, 2 of the trailer and 12 of the ICV.
    assert!((1_400 - 15..=1_400).contains(&(sealed + 28)), "{sealed}");
    assert_eq!(sealed, 4 + 8 + 16 + data.longest + 2 + 12);
    assert_eq!(data.overhead, 1_400 - data.longest);
    long.push(0);
    long[2..4].copy_from_slice(&(data.longest as u16 + 1).to_be_bytes());
    assert!(matches!(sites.send(sites.left, &long), Outcome::Dropped(_)));
}

#[test]
fn a_router_that_quotes_a_packet_of_the_tunnel_is_believed() {
    let mut sites = sites(20, UdpTunnel::default());
    sites.up();
    sites.net.world.start_capture();
    assert_eq!(sites.ping(sites.left, 1), Outcome::Sent);
    let sealed = sites.net.world.capture().unwrap().packets()[0].1.payload.clone();
    let mut report = vec![3, 4, 0, 0, 0, 0, 3, 0xe8, 0x45, 0, 5, 0xdc, 0, 0, 0x40, 0, 64, 17, 0, 0];
    report.extend_from_slice(&LEFT.octets());
    report.extend_from_slice(&RIGHT.octets());
    report.extend_from_slice(&[0x0a, 0xba, 0x0a, 0xba, 5, 0xc8, 0, 0]);
    report.extend_from_slice(&sealed[..20]);
    let call = move |now, gateway: &mut Gateway| gateway.handle_icmp(now, false, &report).map(drop);
    assert_eq!(sites.net.call(sites.left, call).unwrap(), Ok(()));
    assert_eq!(snapshot(&sites, sites.left).ipsec[0].data.as_ref().unwrap().path_mtu, Some(1_000));
}

/// Two ends with a NAT before the left one that keeps ports, for as long as the mapping is used.
fn behind_a_nat(seed: u64, tunnel: UdpTunnel) -> Sites {
    let mut world = World::new(seed);
    world.set_links(Link::with_latency(SECOND / 100));
    let nat = NatConfig {
        port_choice: PortChoice::Preserve,
        ports: (1, 65_535),
        ..NatConfig::new(Ipv4Addr::new(192, 0, 2, 254).into())
    };
    let nat = world.add_nat(nat);
    let left = world.add_node_in(Realm::Behind(nat), "left", LEFT_BEHIND_NAT);
    let right = world.add_node("right", RIGHT);
    let of = |left: bool| {
        let connection = if left {
            connection(LEFT_BEHIND_NAT, Peer::Address(RIGHT.into()))
        } else {
            let identity = RemoteIdentity::Exactly(Identity::Address(LEFT_BEHIND_NAT.into()));
            connection(RIGHT, Peer::Any).remote_identity(identity)
        };
        let config = Config::new(ikev1_core::Config::new().connection(connection.policy(child("net", left))));
        config.udp_tunnel("net", tunnel).build().unwrap()
    };
    let machine = |node, plan| Gateway::new(plan, Box::new(world.entropy(node)));
    let (left_machine, right_machine) = (machine(left, of(true)), machine(right, of(false)));
    let mut net = simnet::Harness::with_handler(world, Lans::default());
    net.place(left, left_machine);
    net.place(right, right_machine);
    Sites { net, left, right, nat: Some(nat) }
}

#[test]
fn heartbeats_keep_a_nat_open_that_silence_would_close() {
    for (seed, heartbeat) in [(30, true), (31, false)] {
        let mut sites = behind_a_nat(seed, UdpTunnel { heartbeat, ..UdpTunnel::default() });
        sites.up();
        let _ = sites.ping(sites.left, 1);
        sites.run(SECOND);
        assert_eq!(sites.replies(sites.left, 1), 1);
        sites.run(1_000 * SECOND);
        let _ = sites.ping(sites.right, 2);
        sites.run(SECOND);
        assert_eq!(sites.replies(sites.right, 2), usize::from(heartbeat));
    }
}

#[test]
fn manual_keys_go_through_the_tunnel_too() {
    let of = |left: bool| {
        let (local, remote) = if left { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
        let (near, far) = if left { (LEFT_HOST, RIGHT_HOST) } else { (RIGHT_HOST, LEFT_HOST) };
        let cipher = CipherAlgorithm::AesCbc(AesKey::Bits128);
        let sa = |spi: u32| {
            let suite = Suite::new(cipher, IntegrityAlgorithm::HmacSha1_96).unwrap();
            ManualSa::Esp { spi, suite, keymat: SecretBytes::new(vec![spi as u8; suite.keymat_len()]) }
        };
        let (out, back) = if left { (0x1001, 0x2002) } else { (0x2002, 0x1001) };
        let pair = Manual::new("by hand", Mode::Tunnel, local.into(), remote.into());
        let pair = pair.traffic(lan(near), lan(far)).sends(sa(out)).receives(sa(back));
        Config::new(ikev1_core::Config::new()).manual(pair).udp_tunnel("by hand", BEATING)
    };
    let mut sites = Sites::new(40, of(true).build().unwrap(), of(false).build().unwrap());
    assert_eq!(sites.ping(sites.left, 1), Outcome::Sent);
    sites.run(61 * SECOND);
    assert_eq!(sites.replies(sites.left, 1), 1);
    let counted = counters(&sites, sites.right);
    assert_eq!((counted.in_pkt, counted.out_pkt), (1, 1));
    assert!((2..=3).contains(&counted.in_udp_heart_beat), "{counted:?}");
    assert_eq!(snapshot(&sites, sites.left).manual[0].data.path.remote.port(), 2746);
}

#[test]
fn transport_mode_goes_through_the_tunnel_too() {
    let of = |left: bool| {
        let (local, remote) = if left { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
        let host = |end: Ipv4Addr| TrafficSelector::host(end.into());
        let policy = PolicyConfig::new("net").mode(Mode::Transport).local(host(local)).remote(host(remote));
        let connection = connection(local, Peer::Address(remote.into())).policy(policy);
        Config::new(ikev1_core::Config::new().connection(connection)).udp_tunnel("net", BEATING).build().unwrap()
    };
    let mut sites = Sites::new(41, of(true), of(false));
    sites.up();
    sites.net.world.start_capture();
    assert_eq!(sites.send(sites.left, &echo(LEFT, RIGHT, 1)), Outcome::Sent);
    sites.run(SECOND);
    assert_eq!(sites.replies(sites.left, 1), 1);
    let packets = sites.net.world.capture().unwrap().packets();
    assert!(packets.iter().all(|(_, packet)| packet.path.remote.port() == 2746 && packet.payload[..4] == ESP_HEADER));
}

#[test]
fn settings_that_contradict_each_other_name_their_field() {
    let problem = |config: Config| match config.build().unwrap_err() {
        ConfigError::UdpTunnel { problem, .. } => problem,
        other => panic!("{other}"),
    };
    let on = UdpTunnel::default();
    assert_eq!(problem(end(true).udp_tunnel("nowhere", on)), UdpTunnelProblem::UnknownPolicy);
    assert_eq!(problem(Side::left().config().udp_tunnel("net", on)), UdpTunnelProblem::NatTraversal);
    let no_port = UdpTunnel { remote_port: 0, heartbeat: false };
    assert_eq!(problem(end(true).udp_tunnel("net", no_port)), UdpTunnelProblem::RemotePort);
    assert_eq!(problem(end(true).udp_tunnel("net", on).udp_tunnel_port(0)), UdpTunnelProblem::Closed);
    for port in [500, 4500] {
        assert_eq!(problem(end(true).udp_tunnel("net", on).udp_tunnel_port(port)), UdpTunnelProblem::PortOfIke);
    }
    let suites = Bundle::parse_alternatives("esp-aes128-sha1, ah-sha1 + esp-aes128-sha1").unwrap();
    let connection = connection(LEFT, Peer::Address(RIGHT.into())).policy(child("net", true).suites(suites));
    let ah = Config::new(ikev1_core::Config::new().connection(connection)).udp_tunnel("net", on);
    assert_eq!(problem(ah), UdpTunnelProblem::Ah);
    let text = Side::left().config().udp_tunnel("net", on).build().unwrap_err().to_string();
    assert!(text.contains("net: nat_traversal"), "{text}");
    // Where the tunnel is off, its port troubles nobody.
    assert!(end(true).udp_tunnel_port(0).build().is_ok());
}
