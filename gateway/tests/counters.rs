//! Every counter of the data plane moves with what it counts. README.md has the names.

use crate::common::{KEY, LEFT, LEFT_HOST, OFFICE, RIGHT, RIGHT_HOST, Side, Sites, echo, subnet};
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use drive::{Datagram, Path, SecretBytes};
use esp_ah::suite::AesKey;
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, Suite};
use gateway::{
    ClearRefusal, Command, Config, CountedAlgorithm, Exemption, Manual, ManualSa, OutboundDrop, Outcome, Plan, Snapshot,
};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::proposal::{Bundle, Mode};
use ikev1_core::{ConnectionConfig, Peer, PolicyConfig, TrafficSelector};
use simnet::{Link, NodeId};
use spd::{AddressSelector, InboundRefusal, Selector};

const SECOND: Duration = Duration::from_secs(1);

fn plan(bundle: &str, mode: Mode, local: Ipv4Addr, remote: Ipv4Addr) -> Plan {
    let lan = |end: Ipv4Addr| if end == LEFT { LEFT_HOST } else { RIGHT_HOST };
    let select = |end: Ipv4Addr| match mode {
        Mode::Tunnel => subnet((u32::from(lan(end)) & !255).into()),
        Mode::Transport => TrafficSelector::host(end.into()),
    };
    let suites = Bundle::parse_alternatives(bundle).unwrap();
    let policy = PolicyConfig::new("net").mode(mode).local(select(local)).remote(select(remote)).suites(suites);
    let connection = ConnectionConfig::new("office")
        .local(IpAddr::from(local))
        .peer(Peer::Address(remote.into()))
        .pre_shared_key(PreSharedKey::copied(KEY))
        .policy(policy);
    Config::new(ikev1_core::Config::new().connection(connection)).build().unwrap()
}

fn sites(seed: u64, (left, right): (&str, &str), mode: Mode) -> Sites {
    let mut sites = Sites::new(seed, plan(left, mode, LEFT, RIGHT), plan(right, mode, RIGHT, LEFT));
    sites.net.handler.silent = true;
    sites
}

fn snapshot(sites: &Sites, node: NodeId) -> Snapshot {
    sites.machine(node).snapshot(sites.net.now())
}

/// Returns a counter of the protocols by its name.
fn protocol(sites: &Sites, node: NodeId, name: &str) -> u64 {
    let counters = snapshot(sites, node).protocol_counters;
    let mut found = counters.iter().filter(|(known, _)| known == name);
    let (_, value) = found.next().unwrap_or_else(|| panic!("no counter {name}"));
    assert_eq!(found.next(), None, "{name} twice");
    value
}

/// Returns what an algorithm encoded, decoded, and found wrong.
fn algorithm(sites: &Sites, node: NodeId, wanted: CountedAlgorithm) -> (u64, u64, u64) {
    let all = snapshot(sites, node).algorithm_counters;
    let (_, found) = all.iter().find(|(algorithm, _)| *algorithm == wanted).unwrap();
    (found.encode_good, found.decode_good, found.decode_fail)
}

/// Gives what the left sends to the right by hand, changed, in place of the network.
fn deliver(sites: &mut Sites, packet: &[u8], number: u8) {
    let path = Path::ip(number, RIGHT.into(), LEFT.into());
    let payload = packet.to_vec();
    let datagram = move |now, gateway: &mut gateway::Gateway| {
        let _ = gateway.handle_datagram(now, Datagram { path, payload: &payload });
    };
    sites.net.call(sites.right, datagram).unwrap();
}

/// Returns what the left seals of a packet, and keeps it from arriving.
fn sealed(sites: &mut Sites, packet: &[u8]) -> Vec<u8> {
    sites.net.world.set_link(sites.left, Link::cut());
    sites.net.world.start_capture();
    assert_eq!(sites.send(sites.left, packet), Outcome::Sent);
    let sealed = sites.net.world.capture().unwrap().packets()[0].1.payload.to_vec();
    sites.net.world.set_link(sites.left, Link::with_latency(SECOND / 100));
    sealed
}

#[test]
fn a_pair_that_comes_is_renewed_and_goes_moves_every_counter_of_set_up_and_removal() {
    let bundle = "ah-sha1 + esp-aes128-sha1 + ipcomp-deflate";
    let mut sites = sites(1, (bundle, bundle), Mode::Tunnel);
    let fresh = snapshot(&sites, sites.left).bundle_counters;
    assert_eq!((fresh.bundle_spec_add_good, fresh.sa_spec_add_good, fresh.setup_started), (1, 3, 0));
    sites.up();
    let child = snapshot(&sites, sites.left).ipsec[0].status.child;
    sites.net.command(sites.left, Command::RekeyChild { child }).unwrap().unwrap();
    sites.run(SECOND);
    // The peer's first packet on the new pair ends the old one.
    assert_eq!(sites.ping(sites.right, 1), Outcome::Sent);
    sites.run(60 * SECOND);
    sites.net.command(sites.left, Command::CloseConnection { connection: OFFICE }).unwrap().unwrap();
    sites.run(SECOND);
    for node in [sites.left, sites.right] {
        let shown = snapshot(&sites, node);
        let all = &shown.bundle_counters;
        assert_eq!((all.setup_started, all.setup_done, all.setup_failed), (2, 2, 0));
        assert_eq!((all.setup_sa_setup_started, all.sa_spec_get_good, all.bundle_spec_get_good), (6, 6, 2));
        assert_eq!((all.remove_started, all.remove_sa_setup_started, all.remove_done), (2, 6, 2));
        let of = &shown.policies[0].counters;
        assert_eq!((of.setup_started, of.setup_sa_setup_started, of.setup_done, of.setup_failed), (2, 6, 2, 0));
        assert_eq!((of.remove_started, of.remove_sa_setup_started, of.remove_done), (2, 6, 2));
        for name in ["espSetupDone", "ahSetupDone", "compSetupDone", "espRemoveDone", "ahRemoveDone", "compRemoveDone"]
        {
            assert_eq!(protocol(&sites, node, name), 2, "{name}");
        }
    }
    assert_eq!(snapshot(&sites, sites.left).policies[0].counters.in_bundle_replaced, 1);
}

#[test]
fn a_negotiation_that_fails_counts_its_set_up_as_failed() {
    let mut sites = sites(2, ("esp-aes128-sha1", "esp-aes256-sha256"), Mode::Tunnel);
    assert_eq!(sites.ping(sites.left, 1), Outcome::Waits);
    sites.run(120 * SECOND);
    let shown = snapshot(&sites, sites.left);
    let (all, of) = (&shown.bundle_counters, &shown.policies[0].counters);
    assert_eq!((all.setup_started, all.setup_done, all.setup_failed), (1, 0, 1));
    assert_eq!((of.setup_started, of.setup_failed, of.out_no_bundle, of.out_setup_bundle_fail), (1, 1, 1, 1));
    assert_eq!(shown.counters.waiting_dropped, 1);
}

#[test]
fn packets_move_the_counters_of_their_protocol_and_algorithms_and_those_of_pairs_that_went_stay() {
    let mut sites = sites(3, ("ah-sha256 + esp-aes128-sha1", "ah-sha256 + esp-aes128-sha1"), Mode::Tunnel);
    sites.up();
    let whole = sealed(&mut sites, &echo(LEFT_HOST, RIGHT_HOST, 1));
    let mut forged = whole.clone();
    *forged.last_mut().unwrap() ^= 1;
    deliver(&mut sites, &forged, 51);
    deliver(&mut sites, &whole, 51);
    deliver(&mut sites, &whole, 51);
    for name in ["ahOutHashGood", "espOutEncryptionGood", "espOutHashGood"] {
        assert_eq!(protocol(&sites, sites.left, name), 1, "{name}");
    }
    for name in ["ahInHashGood", "ahInIcvInvalid", "ahInReplayedPacket", "espInDecryptionGood", "espInHashGood"] {
        assert_eq!(protocol(&sites, sites.right, name), 1, "{name}");
    }
    for _ in 0..2 {
        assert_eq!(algorithm(&sites, sites.left, CountedAlgorithm::Aes), (1, 0, 0));
        assert_eq!(algorithm(&sites, sites.left, CountedAlgorithm::Sha), (2, 0, 0), "AH and ESP");
        assert_eq!(algorithm(&sites, sites.right, CountedAlgorithm::Aes), (0, 1, 0));
        assert_eq!(algorithm(&sites, sites.right, CountedAlgorithm::Sha), (0, 2, 1));
        assert_eq!(algorithm(&sites, sites.right, CountedAlgorithm::Md5), (0, 0, 0));
        sites.net.command(sites.left, Command::CloseConnection { connection: OFFICE }).unwrap().unwrap();
        sites.run(SECOND);
    }
    let sha = &snapshot(&sites, sites.right).algorithm_counters;
    let sha = &sha.iter().find(|(algorithm, _)| *algorithm == CountedAlgorithm::Sha).unwrap().1;
    assert_eq!((sha.attach_good, sha.configure_good, sha.remove, sha.detached), (4, 4, 4, 4));
    let of = &snapshot(&sites, sites.right).policies[0].counters;
    assert_eq!((of.in_process_done, of.in_process_fail), (1, 2));
}

#[test]
fn compression_counts_what_shrank_what_did_not_and_what_was_too_short() {
    let bundle = "esp-aes128-sha1 + ipcomp-deflate";
    let mut sites = sites(4, (bundle, bundle), Mode::Tunnel);
    sites.up();
    let mut packet = |octets: &[u8]| {
        let mut packet = echo(LEFT_HOST, RIGHT_HOST, 1);
        packet.truncate(20);
        // Protocol 253 (RFC 3692) has no checksum to be wrong.
        packet[9] = 253;
        packet.extend_from_slice(octets);
        let length = u16::try_from(packet.len()).unwrap();
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(sites.send(sites.left, &packet), Outcome::Sent);
    };
    let mut noise = simnet::Entropy::new(5);
    packet(&[b'a'; 500]);
    packet(&core::array::from_fn::<u8, 500, _>(|_| noise.below(256) as u8));
    packet(b"short");
    sites.run(SECOND);
    let expected = [
        ("compOutCompTooSmall", 1, 0),
        ("compOutCompressionStart", 2, 0),
        ("compOutDataExpansion", 1, 0),
        ("compOutCompressionGood", 1, 0),
        ("compOutBufChainCopy", 1, 0),
        ("compInDecompressionStart", 0, 1),
        ("compInDecompressionGood", 0, 1),
        ("compInBufChainCopy", 0, 1),
    ];
    for (name, left, right) in expected {
        assert_eq!(protocol(&sites, sites.left, name), left, "{name}");
        assert_eq!(protocol(&sites, sites.right, name), right, "{name}");
    }
    assert_eq!(algorithm(&sites, sites.left, CountedAlgorithm::Deflate), (1, 0, 0));
    let pair = snapshot(&sites, sites.right).ipsec.remove(0).data.unwrap();
    assert_eq!(pair.compression_provider, Some(esp_ah::ProviderId::BUILT_IN));
    assert_eq!(pair.compression.unwrap().in_good, 1);
    assert!(pair.cpi.0.is_some() && pair.cpi.1.is_some());
    assert_eq!(snapshot(&sites, sites.right).policies[0].counters.in_comp_uncompressed, 2);
    sites.net.command(sites.left, Command::CloseConnection { connection: OFFICE }).unwrap().unwrap();
    sites.run(SECOND);
    assert_eq!(protocol(&sites, sites.right, "compInDecompressionGood"), 1, "those of a pair that went stay");
}

#[test]
fn compressed_packets_of_another_index_are_counted_as_failed_at_once() {
    let end = |left: bool| {
        let (local, remote) = if left { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
        let suite = Suite::new(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacSha1_96).unwrap();
        let esp = |spi: u32| ManualSa::Esp { spi, suite, keymat: SecretBytes::new(vec![7; 36]) };
        let (sends, receives) = if left { (0x1001, 0x1002) } else { (0x1002, 0x1001) };
        let manual = Manual::new("manual", Mode::Transport, local.into(), remote.into())
            .sends(ManualSa::Ipcomp { cpi: 0x4001 })
            .sends(esp(sends))
            .receives(ManualSa::Ipcomp { cpi: 0x4002 })
            .receives(esp(receives));
        Config::new(ikev1_core::Config::new()).manual(manual).build().unwrap()
    };
    let mut sites = Sites::new(5, end(true), end(false));
    let mut long = echo(LEFT, RIGHT, 1);
    long.resize(400, b'a');
    long[2..4].copy_from_slice(&400_u16.to_be_bytes());
    assert_eq!(sites.send(sites.left, &long), Outcome::Sent);
    sites.run(SECOND);
    assert_eq!(protocol(&sites, sites.right, "compInDecompressionFailImm"), 1);
    assert_eq!(protocol(&sites, sites.right, "compInDecompressionGood"), 0);
    assert_eq!(snapshot(&sites, sites.right).policies[0].counters.in_process_fail, 1);
}

#[test]
fn limits_in_octets_are_counted_by_direction() {
    let side = |side: Side| Side { kilobytes: Some(10), ..side }.plan();
    let mut sites = Sites::new(6, side(Side::left()), side(Side::right()));
    sites.net.handler.silent = true;
    sites.up();
    for number in 0..110 {
        let _ = sites.ping(sites.left, number);
        sites.run(SECOND / 20);
    }
    let of = |node| snapshot(&sites, node).policies[0].counters.clone();
    assert_eq!(of(sites.left).out_bundle_soft_expire, 1);
    assert!(of(sites.right).in_bundle_soft_expire <= 1 && of(sites.right).out_bundle_soft_expire == 0);
}

#[test]
fn packets_that_cannot_be_sealed_or_opened_are_counted_for_their_policy() {
    let mut sites = sites(7, ("esp-aes128-sha1", "esp-aes128-sha1"), Mode::Transport);
    sites.up();
    let mut fragment = echo(LEFT, RIGHT, 1);
    fragment[6] = 0x20;
    assert_eq!(sites.send(sites.left, &fragment), Outcome::Dropped(OutboundDrop::Fragment));
    let of = snapshot(&sites, sites.left).policies.remove(0).counters;
    assert_eq!((of.out_process_start, of.out_process_fail_imm, of.out_process_done), (1, 1, 0));
    let mut whole = sealed(&mut sites, &echo(LEFT, RIGHT, 2));
    whole[20] ^= 1;
    deliver(&mut sites, &whole, 50);
    let of = snapshot(&sites, sites.right).policies.remove(0).counters;
    assert_eq!((of.in_process_fail, of.in_process_done), (1, 0));
    assert_eq!(protocol(&sites, sites.right, "espInIcvInvalid"), 1);
}

#[test]
fn a_clear_packet_comes_in_only_if_a_policy_lets_it_pass() {
    let select =
        |remote: [u8; 4]| Selector { remote: AddressSelector::address(remote.into()).into(), ..Selector::default() };
    let config = Side::left().config().exempt("printer", select([203, 0, 113, 1]), Exemption::Bypass).exempt(
        "pest",
        select([203, 0, 113, 2]),
        Exemption::Discard,
    );
    let mut sites = Sites::new(8, config.build().unwrap(), Side::right().plan());
    let mut ask = |from: [u8; 4]| {
        let packet = echo(from.into(), LEFT_HOST, 1);
        sites.net.call(sites.left, move |now, gateway| gateway.admit_clear(now, &packet)).unwrap()
    };
    assert_eq!(ask([203, 0, 113, 1]), Ok(()));
    assert!(matches!(ask([203, 0, 113, 2]), Err(ClearRefusal::Policy(InboundRefusal::Discarded(_)))));
    assert!(matches!(ask(RIGHT_HOST.octets()), Err(ClearRefusal::Policy(InboundRefusal::NotProtected(_)))));
    assert_eq!(ask([203, 0, 113, 3]), Err(ClearRefusal::Policy(InboundRefusal::NoPolicy)));
    let lies = sites.net.call(sites.left, |now, gateway| gateway.admit_clear(now, &[0x45, 0, 0])).unwrap();
    assert_eq!(lies, Err(ClearRefusal::Malformed));
    let shown = snapshot(&sites, sites.left);
    let counters = &shown.counters;
    assert_eq!((counters.in_clear, counters.in_bypassed, counters.in_no_policy), (5, 1, 1));
    assert_eq!((counters.in_clear_refused, counters.in_malformed), (2, 1));
    let of = |name: &str| &shown.policies.iter().find(|policy| policy.name == name).unwrap().counters;
    assert_eq!((of("printer").in_permit, of("pest").in_deny, of("net").in_action_ipsec_fail), (1, 1, 1));
}

#[test]
fn the_overhead_of_a_pair_is_what_its_packets_get_longer() {
    let mut sites = sites(9, ("esp-aes128-sha1", "esp-aes128-sha1"), Mode::Tunnel);
    sites.up();
    let data = snapshot(&sites, sites.left).ipsec.remove(0).data.unwrap();
    // 20 of IPv4, 8 of ESP, 16 of IV, 2 of the trailer and 12 of the ICV; and what blocks of 16 leave over.
    assert_eq!((data.path_mtu, data.longest, data.overhead), (None, 1_438, 62));
    let mut long = echo(LEFT_HOST, RIGHT_HOST, 1);
    long.resize(data.longest, 0);
    long[2..4].copy_from_slice(&1_438_u16.to_be_bytes());
    assert_eq!(sealed(&mut sites, &long).len() + 20, 1_496);
}
