//! AH, ESP within AH, and compression within both: negotiated, and with manual keys.

use crate::common::{KEY, LEFT, LEFT_HOST, OFFICE, RIGHT, RIGHT_HOST, Sites, echo, subnet};
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use drive::{Datagram, Path, SecretBytes, Verdict};
use esp_ah::suite::{AesKey, IcvLen};
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, Suite};
use gateway::{Config, ConfigError, DropReason, Manual, ManualProblem, ManualSa, Outcome, Plan};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::proposal::{Bundle, Mode};
use ikev1_core::{ConnectionConfig, Peer, PolicyConfig, TrafficSelector};

const SECOND: Duration = Duration::from_secs(1);
const ESP: u8 = 50;
const AH: u8 = 51;

/// Every combination of the three protocols that protects something, and what travels.
const BUNDLES: [(&str, u8); 7] = [
    ("ah-sha1", AH),
    ("ah-sha256", AH),
    ("ah-sha1 + esp-aes128", AH),
    ("ah-sha1 + esp-aes256-sha256", AH),
    ("esp-aes128-sha1 + ipcomp-deflate", ESP),
    ("ah-sha1 + ipcomp-deflate", AH),
    ("ah-sha1 + esp-aes128-sha1 + ipcomp-deflate", AH),
];

fn plan(bundle: &str, mode: Mode, ends: (IpAddr, IpAddr), nets: (TrafficSelector, TrafficSelector)) -> Plan {
    let (local, remote) = match mode {
        Mode::Tunnel => nets,
        Mode::Transport => (TrafficSelector::host(ends.0), TrafficSelector::host(ends.1)),
    };
    let suites = Bundle::parse_alternatives(bundle).unwrap();
    let policy = PolicyConfig::new("net").mode(mode).local(local).remote(remote).suites(suites);
    let connection = ConnectionConfig::new("office")
        .local(ends.0)
        .peer(Peer::Address(ends.1))
        .pre_shared_key(PreSharedKey::copied(KEY))
        .policy(policy);
    Config::new(ikev1_core::Config::new().connection(connection)).build().unwrap()
}

fn nets() -> (TrafficSelector, TrafficSelector) {
    (subnet(Ipv4Addr::new(10, 10, 1, 0)), subnet(Ipv4Addr::new(10, 10, 2, 0)))
}

fn sites(seed: u64, bundle: &str, mode: Mode) -> Sites {
    let (near, far) = nets();
    let left = plan(bundle, mode, (LEFT.into(), RIGHT.into()), (near, far));
    let right = plan(bundle, mode, (RIGHT.into(), LEFT.into()), (far, near));
    Sites::new(seed, left, right)
}

/// Returns the hosts that talk: those behind the gateways, or the gateways themselves.
fn hosts(mode: Mode) -> (Ipv4Addr, Ipv4Addr) {
    match mode {
        Mode::Tunnel => (LEFT_HOST, RIGHT_HOST),
        Mode::Transport => (LEFT, RIGHT),
    }
}

#[test]
fn pings_pass_through_every_bundle_in_both_modes() {
    for (seed, (bundle, protocol)) in (0..).zip(BUNDLES) {
        for mode in [Mode::Tunnel, Mode::Transport] {
            let mut sites = sites(seed, bundle, mode);
            sites.up();
            sites.net.world.start_capture();
            let (left_host, right_host) = hosts(mode);
            for number in 0..3 {
                assert_eq!(sites.send(sites.left, &echo(left_host, right_host, number)), Outcome::Sent, "{bundle}");
                assert_eq!(sites.send(sites.right, &echo(right_host, left_host, 100 + number)), Outcome::Sent);
                sites.run(SECOND);
            }
            for number in 0..3 {
                assert_eq!(sites.replies(sites.left, number), 1, "{bundle} in {mode:?}");
                assert_eq!(sites.replies(sites.right, 100 + number), 1, "{bundle} in {mode:?}");
            }
            let packets = sites.net.world.capture().unwrap().packets();
            assert!(packets.iter().all(|(_, packet)| packet.path.protocol == protocol), "{bundle}");
            let pair = &sites.machine(sites.left).snapshot(sites.net.now()).ipsec[0];
            let layers = usize::from(bundle.contains("esp")) + usize::from(bundle.contains("ah-"));
            assert_eq!((pair.inbound.len(), pair.outbound.len()), (layers, layers), "{bundle}");
        }
    }
}

#[test]
fn bundles_pass_over_ipv6() {
    let ends: [IpAddr; 2] = ["2001:db8::1", "2001:db8::2"].map(|end| end.parse().unwrap());
    let (near, far) = nets();
    for (seed, (bundle, _)) in (20..).zip(BUNDLES) {
        let left = plan(bundle, Mode::Tunnel, (ends[0], ends[1]), (near, far));
        let right = plan(bundle, Mode::Tunnel, (ends[1], ends[0]), (far, near));
        let mut sites = Sites::between(seed, (ends[0], left), (ends[1], right));
        sites.up();
        assert_eq!(sites.ping(sites.left, 1), Outcome::Sent, "{bundle}");
        sites.run(SECOND);
        assert_eq!(sites.replies(sites.left, 1), 1, "{bundle}");
    }
}

/// Random octets would not shrink and travel as they are, RFC 3173 §2.2.
#[test]
fn compression_makes_packets_shorter_where_it_can() {
    let mut sites = sites(40, "esp-aes128-sha1 + ipcomp-deflate", Mode::Tunnel);
    sites.net.handler.silent = true;
    sites.up();
    sites.net.world.start_capture();
    let mut dense = echo(LEFT_HOST, RIGHT_HOST, 2);
    dense.extend(core::iter::repeat_n(0, 916));
    let mut noise = simnet::Entropy::new(5);
    dense[28..].iter_mut().for_each(|octet| *octet = noise.below(256) as u8);
    let mut plain = dense.clone();
    plain[28..].fill(b'a');
    for packet in [&mut dense, &mut plain] {
        // Protocol 253 (RFC 3692) has no checksum to be wrong.
        packet[9] = 253;
        packet[2..4].copy_from_slice(&1000u16.to_be_bytes());
        assert_eq!(sites.send(sites.left, packet), Outcome::Sent);
        sites.run(SECOND);
    }
    let lengths: Vec<_> = sites.net.world.capture().unwrap().packets().iter().map(|(_, p)| p.payload.len()).collect();
    assert!(lengths[0] > 1000 && lengths[1] < 200, "{lengths:?}");
    let delivered: Vec<_> = sites.net.handler.delivered.iter().map(|(_, _, packet)| packet.clone()).collect();
    assert!(delivered == [dense, plain]);
}

/// ESP that the peer sealed for within AH, taken out of it by somebody on the way.
#[test]
fn esp_without_the_ah_around_it_is_dropped_and_counted_and_the_whole_still_passes() {
    let mut sites = sites(41, "ah-sha1 + esp-aes128-sha1", Mode::Tunnel);
    sites.up();
    sites.net.world.start_capture();
    sites.net.handler.silent = true;
    sites.net.world.set_link(sites.left, simnet::Link::cut());
    assert_eq!(sites.ping(sites.left, 1), Outcome::Sent);
    let whole = sites.net.world.capture().unwrap().packets()[0].1.payload.clone();
    // IPv4 without options, AH of 24 octets, ESP.
    let bare = whole.slice(20 + 24..);
    let mut deliver = |protocol: u8, payload: bytes::Bytes| {
        let path = Path::ip(protocol, RIGHT.into(), LEFT.into());
        sites
            .net
            .call(sites.right, move |now, gateway| gateway.handle_datagram(now, Datagram { path, payload: &payload }))
    };
    let bundle = Verdict::Ignored(DropReason::Association(sad::DropReason::NotFirstInBundle));
    assert_eq!(deliver(ESP, bare).unwrap(), bundle);
    assert_eq!(deliver(AH, whole.clone()).unwrap(), Verdict::Accepted);
    assert!(matches!(deliver(AH, whole).unwrap(), Verdict::Ignored(DropReason::Association(_))), "a replay");
    let policy = sites.machine(sites.right).snapshot(sites.net.now()).policies.remove(0);
    assert_eq!((policy.counters.in_not_first_sa_in_bundle, policy.counters.in_process_done), (1, 1));
}

#[test]
fn every_one_bit_flip_that_ah_covers_is_dropped() {
    let mut sites = sites(42, "ah-sha256 + esp-aes128", Mode::Tunnel);
    sites.up();
    sites.net.world.start_capture();
    sites.net.world.set_link(sites.left, simnet::Link::cut());
    assert_eq!(sites.ping(sites.left, 1), Outcome::Sent);
    let whole = sites.net.world.capture().unwrap().packets()[0].1.payload.to_vec();
    // TOS, flags, offset, TTL and checksum change on the way and are not covered, RFC 4302 §3.3.3.1.1.1.
    let covered = (0..whole.len()).filter(|at| ![1, 6, 7, 8, 10, 11].contains(at));
    for at in covered {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            let path = Path::ip(AH, RIGHT.into(), LEFT.into());
            let verdict = sites.net.call(sites.right, move |now, gateway| {
                gateway.handle_datagram(now, Datagram { path, payload: &flipped })
            });
            assert!(matches!(verdict.unwrap(), Verdict::Ignored(_)), "octet {at} bit {bit}");
        }
    }
    let path = Path::ip(AH, RIGHT.into(), LEFT.into());
    let verdict = sites
        .net
        .call(sites.right, move |now, gateway| gateway.handle_datagram(now, Datagram { path, payload: &whole }));
    assert_eq!(verdict.unwrap(), Verdict::Accepted);
}

#[test]
fn a_bundle_is_renewed_and_removed_as_one() {
    let mut sites = sites(43, "ah-sha1 + esp-aes128", Mode::Tunnel);
    sites.up();
    let child = sites.machine(sites.left).snapshot(sites.net.now()).ipsec[0].status.child;
    sites.net.command(sites.left, gateway::Command::RekeyChild { child }).unwrap().unwrap();
    for number in 0..30 {
        assert_eq!(sites.ping(sites.left, number), Outcome::Sent);
        sites.run(SECOND);
        assert_eq!(sites.replies(sites.left, number), 1, "ping {number}");
    }
    sites.net.command(sites.left, gateway::Command::CloseConnection { connection: OFFICE }).unwrap().unwrap();
    sites.run(60 * SECOND);
    for node in [sites.left, sites.right] {
        let counters = sites.machine(node).snapshot(sites.net.now()).sad_counters;
        // Two pairs of two associations a direction, and nothing else.
        assert_eq!((counters.add_good, counters.delete_good), (8, 8));
    }
}

fn keys(octets: usize, seed: u8) -> SecretBytes {
    SecretBytes::new((0..octets).map(|at| at as u8 ^ seed).collect())
}

fn suite() -> Suite {
    Suite::new(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacSha1_96).unwrap()
}

/// The associations from the left to the right, or back, in the order in which they are applied.
fn manual_layers(bundle: &str, seed: u8) -> Vec<ManualSa> {
    let mut layers = Vec::new();
    if bundle.contains("ipcomp") {
        layers.push(ManualSa::Ipcomp { cpi: 0x4000 + u16::from(seed) });
    }
    if bundle.contains("esp") {
        layers.push(ManualSa::Esp { spi: 0x1000 + u32::from(seed), suite: suite(), keymat: keys(36, seed) });
    }
    if bundle.contains("ah") {
        let integrity = IntegrityAlgorithm::HmacSha256_128;
        layers.push(ManualSa::Ah { spi: 0x2000 + u32::from(seed), integrity, key: keys(32, seed) });
    }
    layers
}

fn manual(bundle: &str, mode: Mode, left: bool) -> Manual {
    let (local, remote) = if left { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
    let (near, far) = nets();
    let mut pair = Manual::new("manual", mode, local.into(), remote.into());
    if mode == Mode::Tunnel {
        pair = if left { pair.traffic(near, far) } else { pair.traffic(far, near) };
    }
    let (sends, receives) = if left { (1, 2) } else { (2, 1) };
    let pair = manual_layers(bundle, sends).into_iter().fold(pair, Manual::sends);
    manual_layers(bundle, receives).into_iter().fold(pair, Manual::receives)
}

#[test]
fn manual_keys_carry_at_once_and_need_no_exchange() {
    for (seed, bundle) in (60..).zip(["esp", "ah", "esp ah", "ipcomp esp", "ipcomp ah", "ipcomp esp ah"]) {
        for mode in [Mode::Tunnel, Mode::Transport] {
            let plan =
                |left| Config::new(ikev1_core::Config::new()).manual(manual(bundle, mode, left)).build().unwrap();
            let mut sites = Sites::new(seed, plan(true), plan(false));
            let (left_host, right_host) = hosts(mode);
            assert_eq!(sites.send(sites.left, &echo(left_host, right_host, 1)), Outcome::Sent, "{bundle}");
            sites.run(SECOND);
            assert_eq!(sites.replies(sites.left, 1), 1, "{bundle} in {mode:?}");
            let snapshot = sites.machine(sites.left).snapshot(sites.net.now());
            assert_eq!(snapshot.manual[0].name, "manual");
            let counted = snapshot.manual[0].inbound[0].detail.as_ref().unwrap().counters.packets();
            assert_eq!(counted, 1);
        }
    }
}

#[test]
fn manual_keys_that_are_unsafe_or_contradict_each_other_are_refused() {
    let build = |manual: Manual| Config::new(ikev1_core::Config::new()).manual(manual).build();
    let problem = |manual: Manual| match build(manual) {
        Err(ConfigError::Manual { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let pair = || Manual::new("manual", Mode::Tunnel, LEFT.into(), RIGHT.into());
    let esp = |spi: u32| ManualSa::Esp { spi, suite: suite(), keymat: keys(36, 1) };
    let ah = |spi: u32| ManualSa::Ah { spi, integrity: IntegrityAlgorithm::HmacSha1_96, key: keys(20, 1) };
    let gcm = Suite::new(CipherAlgorithm::AesGcm(AesKey::Bits128, IcvLen::Octets16), IntegrityAlgorithm::None).unwrap();
    let counter = |spi: u32| ManualSa::Esp { spi, suite: gcm, keymat: keys(20, 1) };
    assert_eq!(problem(pair()), ManualProblem::Order);
    assert_eq!(problem(pair().sends(esp(300))), ManualProblem::Directions);
    let reversed = pair().sends(ah(300)).sends(esp(301)).receives(ah(302)).receives(esp(303));
    assert_eq!(problem(reversed), ManualProblem::Order);
    assert_eq!(problem(pair().sends(esp(300)).receives(esp(255))), ManualProblem::ReservedSpi(255));
    assert_eq!(problem(pair().sends(counter(300)).receives(counter(301))), ManualProblem::Suite(gcm));
    let md5 = |spi: u32| ManualSa::Ah { spi, integrity: IntegrityAlgorithm::HmacMd5_96, key: keys(16, 1) };
    assert_eq!(problem(pair().sends(md5(300)).receives(md5(301))), ManualProblem::Weak);
    assert!(build(pair().sends(md5(300)).receives(md5(301)).dangerously_allow_weak_algorithms()).is_ok());
    let twice = Config::new(ikev1_core::Config::new())
        .manual(pair().sends(esp(300)).receives(esp(301)))
        .manual(Manual::new("other", Mode::Transport, LEFT.into(), RIGHT.into()).sends(esp(300)).receives(esp(301)));
    assert!(matches!(twice.build(), Err(ConfigError::Manual { reason: ManualProblem::DuplicateSpi(301), .. })));
    assert!(build(pair().sends(esp(300)).receives(esp(301))).is_ok());
}
