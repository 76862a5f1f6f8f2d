//! Fragments, which do not all show the ports that policies ask for, RFC 4301 §7.4.

use crate::common::{KEY, LEFT, LEFT_HOST, RIGHT, RIGHT_HOST, Side, Sites, subnet};
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use gateway::{
    ClearRefusal, Command, Config, ConfigError, DebugSettings, DebugTarget, Event, Exemption, OutboundDrop, Outcome,
    Plan, Snapshot,
};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::{ConnectionConfig, Peer, PolicyConfig};
use simnet::NodeId;
use spd::{AddressSelector, FragmentRefusal, InboundRefusal, PortSet, ProtocolSelector, Selector};

const SECOND: Duration = Duration::from_secs(1);
const FAR: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const PEST: u16 = 99;

/// A gateway that drops what goes to or comes from port 99 far away, and lets everything else there pass.
fn sites(seed: u64) -> Sites {
    let far = |port: PortSet| Selector {
        remote: AddressSelector::address(FAR.into()).into(),
        protocol: ProtocolSelector::Number(17),
        remote_port: port,
        ..Selector::default()
    };
    let left = Side::left().config().exempt("pest", far(PortSet::port(PEST)), Exemption::Discard).exempt(
        "far",
        far(PortSet::any()),
        Exemption::Bypass,
    );
    Sites::new(seed, left.build().unwrap(), Side::right().plan())
}

/// A fragment of a UDP datagram of 280 octets: its first 152, or the rest.
fn fragment(from: Ipv4Addr, to: Ipv4Addr, id: u16, port: u16, first: bool) -> Vec<u8> {
    let (offset, length): (u16, usize) = if first { (0x2000, 152) } else { (152 / 8, 128) };
    let mut packet = vec![0x45, 0];
    packet.extend_from_slice(&(20 + length as u16).to_be_bytes());
    packet.extend_from_slice(&id.to_be_bytes());
    packet.extend_from_slice(&offset.to_be_bytes());
    packet.extend_from_slice(&[64, 17, 0, 0]);
    packet.extend_from_slice(&from.octets());
    packet.extend_from_slice(&to.octets());
    if first {
        let (source, destination) = if [FAR, RIGHT_HOST].contains(&from) { (port, 1000) } else { (1000, port) };
        packet.extend_from_slice(&u16::to_be_bytes(source));
        packet.extend_from_slice(&u16::to_be_bytes(destination));
        packet.extend_from_slice(&[1, 24, 0, 0]);
    }
    packet.resize(20 + length, 7);
    packet
}

fn send(sites: &mut Sites, id: u16, port: u16, first: bool) -> Outcome {
    sites.send(sites.left, &fragment(LEFT_HOST, FAR, id, port, first))
}

fn hear(sites: &mut Sites, id: u16, port: u16, first: bool) -> Result<(), ClearRefusal> {
    let packet = fragment(FAR, LEFT_HOST, id, port, first);
    sites.net.call(sites.left, move |now, gateway| gateway.admit_clear(now, &packet)).unwrap()
}

fn refused(sites: &Sites) -> Vec<(bool, FragmentRefusal, u64)> {
    let of = |event: &Event| match event {
        Event::FragmentsRefused { outbound, reason, count, .. } => Some((*outbound, *reason, *count)),
        _ => None,
    };
    sites.events(sites.left).filter_map(of).collect()
}

#[test]
fn a_later_fragment_to_send_meets_the_policy_of_its_first() {
    let mut sites = sites(1);
    assert_eq!(send(&mut sites, 1, 53, true), Outcome::Bypassed);
    assert_eq!(send(&mut sites, 1, 53, false), Outcome::Bypassed);
    assert_eq!(send(&mut sites, 2, PEST, true), Outcome::Dropped(OutboundDrop::Discard));
    assert_eq!(send(&mut sites, 2, PEST, false), Outcome::Dropped(OutboundDrop::Discard));
    let alone = Outcome::Dropped(OutboundDrop::Fragments(FragmentRefusal::NoFirst));
    assert_eq!(send(&mut sites, 3, PEST, false), alone);
    sites.run(SECOND);
    assert_eq!(refused(&sites), [(true, FragmentRefusal::NoFirst, 1)]);
    let shown = sites.machine(sites.left).snapshot(sites.net.now());
    assert_eq!((shown.counters.out_fragments_refused, shown.counters.out_bypassed), (1, 2));
    let fragments = &shown.fragment_counters;
    assert_eq!((fragments.first, fragments.followed, fragments.no_first), (2, 2, 1));
}

#[test]
fn a_later_fragment_from_outside_meets_the_policy_of_its_first() {
    let mut sites = sites(2);
    assert_eq!(hear(&mut sites, 1, 53, true), Ok(()));
    assert_eq!(hear(&mut sites, 1, 53, false), Ok(()));
    assert!(matches!(hear(&mut sites, 2, PEST, true), Err(ClearRefusal::Policy(InboundRefusal::Discarded(_)))));
    assert!(matches!(hear(&mut sites, 2, PEST, false), Err(ClearRefusal::Policy(InboundRefusal::Discarded(_)))));
    let alone = Err(ClearRefusal::Policy(InboundRefusal::Fragment(FragmentRefusal::NoFirst)));
    for _ in 0..5 {
        assert_eq!(hear(&mut sites, 3, PEST, false), alone);
    }
    sites.run(SECOND);
    // What follows soon after is told with the next.
    assert_eq!(refused(&sites), [(false, FragmentRefusal::NoFirst, 1)]);
    sites.run(100 * SECOND);
    assert_eq!(hear(&mut sites, 3, PEST, false), alone);
    sites.run(SECOND);
    assert_eq!(refused(&sites), [(false, FragmentRefusal::NoFirst, 1), (false, FragmentRefusal::NoFirst, 5)]);
    assert_eq!(sites.machine(sites.left).snapshot(sites.net.now()).counters.in_clear_refused, 8);
}

#[test]
fn a_first_fragment_is_forgotten_after_a_while_and_no_other_speaks_for_it() {
    let mut sites = sites(3);
    assert_eq!(send(&mut sites, 1, 53, true), Outcome::Bypassed);
    // Of another direction, and too late.
    let alone = Err(ClearRefusal::Policy(InboundRefusal::Fragment(FragmentRefusal::NoFirst)));
    assert_eq!(hear(&mut sites, 1, 53, false), alone);
    sites.run(60 * SECOND);
    let late = Outcome::Dropped(OutboundDrop::Fragments(FragmentRefusal::NoFirst));
    assert_eq!(send(&mut sites, 1, 53, false), late);
}

#[test]
fn a_fragment_over_the_ports_of_the_first_is_refused() {
    let mut sites = sites(4);
    assert_eq!(send(&mut sites, 1, 53, true), Outcome::Bypassed);
    let mut over = fragment(LEFT_HOST, FAR, 1, 53, false);
    over[6..8].copy_from_slice(&[0, 136 / 8]);
    let overlap = Outcome::Dropped(OutboundDrop::Fragments(FragmentRefusal::Overlap));
    assert_eq!(sites.send(sites.left, &over), overlap);
    assert_eq!(send(&mut sites, 1, 53, false), Outcome::Bypassed, "the lawful one still passes");
}

#[test]
fn fragments_between_networks_pass_their_tunnel_both_ways_without_a_first() {
    let mut sites = sites(5);
    sites.up();
    for (node, from, to) in [(sites.left, LEFT_HOST, RIGHT_HOST), (sites.right, RIGHT_HOST, LEFT_HOST)] {
        for first in [false, true] {
            assert_eq!(sites.send(node, &fragment(from, to, 7, 53, first)), Outcome::Sent);
        }
    }
    sites.run(SECOND);
    assert_eq!(sites.net.handler.delivered.len(), 4);
    assert_eq!(refused(&sites), []);
}

#[test]
fn the_policy_debugger_says_of_a_later_fragment_what_its_first_decided() {
    let mut sites = sites(9);
    let settings = DebugSettings { filter: "rport".parse().unwrap(), ..DebugSettings::OFF };
    let command = Command::Debug { of: DebugTarget::AllPolicies, settings };
    sites.net.command(sites.left, command).unwrap().unwrap();
    let mut told = |id, port, first| {
        let _ = send(&mut sites, id, port, first);
        let lines: Vec<String> = sites
            .events(sites.left)
            .map(|event| {
                let Event::Trace(trace) = event else { panic!("{event:?}") };
                trace.to_string()
            })
            .collect();
        sites.net.handler.events.clear();
        lines
    };
    let (passes, fails) = ("IPSEC: filt: pass: rport: pol pest", "IPSEC: filt: fail: rport: pol pest");
    let far = "IPSEC: filt: pass: rport: pol far";
    assert_eq!(
        (told(1, PEST, true), told(2, 53, true)),
        (vec![passes.to_owned()], vec![fails.to_owned(), far.to_owned()])
    );
    assert_eq!(
        (told(1, PEST, false), told(2, 53, false)),
        (vec![passes.to_owned()], vec![fails.to_owned(), far.to_owned()])
    );
}

/// One of two gateways whose policy protects DNS alone: questions of the left, answers of the right.
fn dns(left: bool, carries: bool) -> Plan {
    let net = |host: Ipv4Addr| subnet((u32::from(host) & !255).into()).with_protocol(17);
    let (asks, answers) = (net(LEFT_HOST), net(RIGHT_HOST).with_port(53));
    let policy = PolicyConfig::new("dns");
    let (local, peer, policy) = if left {
        (LEFT, RIGHT, policy.local(asks).remote(answers))
    } else {
        (RIGHT, LEFT, policy.local(answers).remote(asks))
    };
    let connection = ConnectionConfig::new("office")
        .local(IpAddr::from(local))
        .peer(Peer::Address(peer.into()))
        .pre_shared_key(PreSharedKey::copied(KEY))
        .policy(policy);
    let config = Config::new(ikev1_core::Config::new().connection(connection));
    let config = if carries { config.carries_fragments("dns") } else { config };
    config.build().unwrap()
}

fn snapshot(sites: &Sites, node: NodeId) -> Snapshot {
    sites.machine(node).snapshot(sites.net.now())
}

#[test]
fn a_policy_for_some_ports_carries_later_fragments_where_both_ends_say_so() {
    let mut sites = Sites::new(6, dns(true, true), dns(false, true));
    sites.up();
    for (node, from, to) in [(sites.left, LEFT_HOST, RIGHT_HOST), (sites.right, RIGHT_HOST, LEFT_HOST)] {
        for first in [true, false] {
            assert_eq!(sites.send(node, &fragment(from, to, 7, 53, first)), Outcome::Sent);
        }
    }
    sites.run(SECOND);
    let delivered: Vec<_> = sites.net.handler.delivered.iter().map(|(_, node, packet)| (*node, packet.len())).collect();
    let (left, right) = (sites.left, sites.right);
    assert_eq!(delivered, [(right, 172), (right, 148), (left, 172), (left, 148)]);
    for node in [left, right] {
        let shown = snapshot(&sites, node);
        let fragments = &shown.fragment_counters;
        assert_eq!((fragments.first, fragments.followed, fragments.not_agreed), (2, 2, 0), "sent and received");
        assert_eq!((shown.counters.out_sealed, shown.counters.in_opened), (2, 2));
    }
}

#[test]
fn no_fragment_is_carried_whose_first_was_for_another_port_or_not_seen() {
    let mut sites = Sites::new(7, dns(true, true), dns(false, true));
    sites.up();
    let discard = Outcome::Dropped(OutboundDrop::Discard);
    assert_eq!(sites.send(sites.left, &fragment(LEFT_HOST, RIGHT_HOST, 8, PEST, true)), discard);
    assert_eq!(sites.send(sites.left, &fragment(LEFT_HOST, RIGHT_HOST, 8, PEST, false)), discard);
    assert_eq!(sites.send(sites.left, &fragment(LEFT_HOST, RIGHT_HOST, 9, 53, false)), discard);
    assert_eq!(sites.send(sites.left, &fragment(LEFT_HOST, RIGHT_HOST, 7, 53, true)), Outcome::Sent);
    let mut over = fragment(LEFT_HOST, RIGHT_HOST, 7, 53, false);
    over[6..8].copy_from_slice(&[0, 136 / 8]);
    let overlap = Outcome::Dropped(OutboundDrop::Fragments(FragmentRefusal::Overlap));
    assert_eq!(sites.send(sites.left, &over), overlap);
    assert_eq!(sites.send(sites.left, &fragment(LEFT_HOST, RIGHT_HOST, 7, 53, false)), Outcome::Sent);
}

#[test]
fn an_end_that_does_not_say_so_neither_sends_nor_takes_them() {
    let mut sites = Sites::new(8, dns(true, true), dns(false, false));
    sites.up();
    let not_agreed = Outcome::Dropped(OutboundDrop::Fragments(FragmentRefusal::NotAgreed));
    assert_eq!(sites.send(sites.right, &fragment(RIGHT_HOST, LEFT_HOST, 7, 53, true)), Outcome::Sent);
    assert_eq!(sites.send(sites.right, &fragment(RIGHT_HOST, LEFT_HOST, 7, 53, false)), not_agreed);
    for first in [true, false] {
        assert_eq!(sites.send(sites.left, &fragment(LEFT_HOST, RIGHT_HOST, 7, 53, first)), Outcome::Sent);
    }
    sites.run(SECOND);
    let shown = snapshot(&sites, sites.right);
    assert_eq!((shown.counters.out_fragments_refused, shown.fragment_counters.not_agreed), (1, 1));
    assert_eq!((shown.counters.in_opened, shown.counters.in_outside), (1, 1));
    let at_right = sites.net.handler.delivered.iter().filter(|(_, node, _)| *node == sites.right);
    assert_eq!(at_right.count(), 1, "the first alone");
}

#[test]
fn fragments_of_a_policy_that_is_not_there_are_a_mistake() {
    let error = Side::left().config().carries_fragments("nowhere").build().map(drop).unwrap_err();
    assert_eq!(error, ConfigError::CarriesFragments("nowhere".into()));
}
