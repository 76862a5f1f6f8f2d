//! What a policy protects never leaves in clear, whatever goes wrong.

use crate::common;
use crate::common::{KEY, LEFT_HOST, RIGHT_HOST, Side, Sites, echo};
use core::net::Ipv4Addr;
use core::time::Duration;
use gateway::{Command, Event, Exemption, Limits, Lost, OutboundDrop, Outcome};
use ikev1_core::Event as Ike;
use proptest::prelude::*;
use simnet::Link;
use spd::Selector;

const SECOND: Duration = Duration::from_secs(1);

fn wrong_key() -> Side {
    Side { key: b"another key", ..Side::right() }
}

#[test]
fn with_a_wrong_key_nothing_leaves_and_both_ends_say_why() {
    let mut sites = Sites::new(1, Side::left().plan(), wrong_key().plan());
    sites.net.world.start_capture();
    assert_eq!(sites.ping(sites.left, 1), Outcome::Waits);
    sites.run(400 * SECOND);
    assert!(!sites.has_tunnel(sites.left) && !sites.has_tunnel(sites.right));
    let captured = sites.net.world.capture().unwrap();
    assert!(captured.packets().iter().all(|(_, packet)| packet.path.is_udp()));
    let failed = |event: &Event| matches!(event, Event::Ike(Ike::Phase1Failed { .. }));
    assert!(sites.events(sites.left).any(failed));
    let wrong = |event: &Event| matches!(event, Event::Ike(Ike::AuthenticationFailed { .. }));
    assert!(sites.events(sites.right).any(wrong));
    assert!(sites.events(sites.left).any(|event| matches!(event, Event::WaitingLost { packets: 1, .. })));
    for node in [sites.left, sites.right] {
        assert!(sites.machine(node).snapshot(sites.net.now()).isakmp.is_empty());
    }
}

#[test]
fn waiting_packets_are_bounded_and_the_oldest_go_first() {
    let limits = Limits { per_policy: 4, total: 8, rest: SECOND };
    let plan = Side::left().config().waiting(limits).build().unwrap();
    let mut sites = Sites::new(2, plan, Side::right().plan());
    for number in 0..10 {
        assert_eq!(sites.ping(sites.left, number), Outcome::Waits);
    }
    assert_eq!(sites.machine(sites.left).snapshot(sites.net.now()).counters.waiting_dropped, 6);
    sites.run(5 * SECOND);
    let answered: Vec<_> = (0..10).filter(|number| sites.replies(sites.left, *number) == 1).collect();
    assert_eq!(answered, [6, 7, 8, 9]);
    let overflow = |event: &&Event| matches!(event, Event::WaitingLost { reason: Lost::PolicyQueueFull, .. });
    assert!(sites.events(sites.left).any(|event| overflow(&event)));
}

#[test]
fn exemptions_are_asked_before_the_tunnel() {
    let to = |address: Ipv4Addr| Selector {
        remote: spd::AddressSelector::address(address.into()).into(),
        ..Selector::default()
    };
    let printer = Ipv4Addr::new(10, 10, 2, 9);
    let camera = Ipv4Addr::new(10, 10, 2, 8);
    let plan = Side::left()
        .config()
        .exempt("printer", to(printer), Exemption::Discard)
        .exempt("camera", to(camera), Exemption::Bypass)
        .build()
        .unwrap();
    let mut sites = Sites::new(3, plan, Side::right().plan());
    sites.up();
    assert_eq!(sites.send(sites.left, &echo(LEFT_HOST, printer, 1)), Outcome::Dropped(OutboundDrop::Discard));
    assert_eq!(sites.send(sites.left, &echo(LEFT_HOST, camera, 2)), Outcome::Bypassed);
    assert_eq!(sites.net.handler.bypassed.len(), 1);
    let nowhere = Ipv4Addr::new(8, 8, 8, 8);
    assert_eq!(sites.send(sites.left, &echo(LEFT_HOST, nowhere, 3)), Outcome::Dropped(OutboundDrop::Discard));
    assert_eq!(sites.send(sites.left, &[0x45, 0, 0]), Outcome::Dropped(OutboundDrop::Malformed));
}

#[test]
fn after_the_pair_is_gone_packets_wait_instead_of_leaving() {
    let mut sites = Sites::plain(4);
    sites.up();
    sites.net.world.set_links(Link::cut());
    let child = sites.machine(sites.left).snapshot(sites.net.now()).ipsec[0].status.child;
    sites.net.command(sites.left, Command::DeleteChild { child }).unwrap().unwrap();
    assert_eq!(sites.ping(sites.left, 1), Outcome::Waits);
    sites.run(600 * SECOND);
    assert!(sites.net.handler.bypassed.is_empty());
    assert_eq!(sites.machine(sites.left).snapshot(sites.net.now()).counters.waiting_dropped, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn protected_traffic_never_leaves_in_clear(
        seed: u64,
        steps in proptest::collection::vec((0u8..6, any::<u8>(), any::<u8>()), 1..40),
    ) {
        let mut sites = Sites::new(seed, Side::left().plan(), Side { key: if seed % 4 == 0 { b"x" } else { KEY }, ..Side::right() }.plan());
        sites.net.world.start_capture();
        for (number, (step, a, b)) in (0..).zip(steps) {
            match step {
                0 => sites.initiate(sites.left),
                1 => sites.net.world.set_links(if a & 1 == 0 { Link::cut() } else { Link::hostile(Duration::from_millis(5)) }),
                2 => {
                    let snapshot = sites.machine(sites.left).snapshot(sites.net.now());
                    if let Some(pair) = snapshot.ipsec.first() {
                        let _ = sites.net.command(sites.left, Command::DeleteChild { child: pair.status.child }).unwrap();
                    }
                }
                3 => sites.run(Duration::from_secs(u64::from(a))),
                _ => {
                    let host = Ipv4Addr::new(10, 10, 2, b);
                    let outcome = sites.send(sites.left, &echo(Ipv4Addr::new(10, 10, 1, a), host, number));
                    prop_assert!(outcome != Outcome::Bypassed);
                }
            }
        }
        sites.run(5 * SECOND);
        prop_assert!(sites.net.handler.bypassed.is_empty());
        for (_, packet) in sites.net.world.capture().unwrap().packets() {
            prop_assert!(!packet.payload.windows(16).any(|window| window == [0x61; 16]), "clear text in {:?}", packet.path);
        }
    }
}

#[test]
fn packets_for_the_far_side_that_arrive_in_clear_are_none_of_the_gateways() {
    let mut sites = Sites::plain(5);
    sites.up();
    let before = sites.net.handler.delivered.len();
    let clear = echo(LEFT_HOST, RIGHT_HOST, 9);
    let path = drive::Path::ip(4, common::LEFT.into(), common::RIGHT.into());
    sites.net.send(sites.left, drive::Transmit { path, payload: clear.into() });
    sites.run(SECOND);
    assert_eq!(sites.net.handler.delivered.len(), before);
}
