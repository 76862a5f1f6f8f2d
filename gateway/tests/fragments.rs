//! Fragments, which do not all show the ports that policies ask for, RFC 4301 §7.4.

mod common;

use common::{LEFT_HOST, RIGHT_HOST, Side, Sites};
use core::net::Ipv4Addr;
use core::time::Duration;
use gateway::{ClearRefusal, Command, DebugSettings, DebugTarget, Event, Exemption, OutboundDrop, Outcome};
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
        let (source, destination) = if from == FAR { (port, 1000) } else { (1000, port) };
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
