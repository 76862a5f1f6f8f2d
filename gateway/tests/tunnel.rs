//! A tunnel between two sites: brought up, used, taken down.

use crate::common::{LEFT_BEHIND_NAT, OFFICE, Sites, left_behind_nat, right_for_anyone};
use core::time::Duration;
use drive::Path;
use gateway::{Command, Event, Outcome};
use ikev1_core::Event as Ike;
use nat_t::Location;
use simnet::{Chance, Link};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn pings_pass_both_ways_through_a_negotiated_tunnel() {
    let mut sites = Sites::plain(1);
    sites.up();
    for number in 0..10 {
        assert_eq!(sites.ping(sites.left, number), Outcome::Sent);
        assert_eq!(sites.ping(sites.right, 100 + number), Outcome::Sent);
        sites.run(SECOND);
    }
    for number in 0..10 {
        assert_eq!(sites.replies(sites.left, number), 1);
        assert_eq!(sites.replies(sites.right, 100 + number), 1);
    }
}

#[test]
fn the_first_packet_starts_the_negotiation_and_follows_it() {
    let mut sites = Sites::plain(2);
    assert_eq!(sites.ping(sites.left, 1), Outcome::Waits);
    assert_eq!(sites.ping(sites.left, 2), Outcome::Waits);
    sites.run(5 * SECOND);
    assert_eq!((sites.replies(sites.left, 1), sites.replies(sites.left, 2)), (1, 1));
    let acquired = sites.events(sites.left).filter(|event| matches!(event, Event::Acquiring { .. })).count();
    assert_eq!(acquired, 1);
}

#[test]
fn without_a_nat_esp_travels_directly_in_ip() {
    let mut sites = Sites::plain(3);
    sites.up();
    sites.net.world.start_capture();
    let _ = sites.ping(sites.left, 1);
    sites.run(SECOND);
    let packets = sites.net.world.capture().unwrap().packets();
    let esp: Vec<_> = packets.iter().filter(|(_, packet)| packet.path.protocol == 50).collect();
    assert_eq!(esp.len(), 2);
    assert!(packets.iter().all(|(_, packet)| !contains(&packet.payload, &[0x61; 16])), "clear text on the wire");
}

#[test]
fn through_a_nat_esp_travels_in_udp_on_port_4500() {
    let mut sites = Sites::behind_nat(4, left_behind_nat().plan(), right_for_anyone().plan());
    sites.up();
    sites.net.world.start_capture();
    for number in 0..5 {
        let _ = sites.ping(sites.left, number);
        let _ = sites.ping(sites.right, 100 + number);
    }
    sites.run(SECOND);
    for number in 0..5 {
        assert_eq!(sites.replies(sites.left, number), 1);
        assert_eq!(sites.replies(sites.right, 100 + number), 1);
    }
    let found = |event: &Event| matches!(event, Event::Ike(Ike::NatDetected { nat: Location::Local, .. }));
    assert!(sites.events(sites.left).any(found));
    let packets = sites.net.world.capture().unwrap().packets();
    assert!(packets.iter().all(|(_, packet)| packet.path.protocol == Path::UDP));
    assert_ne!(sites.machine(sites.right).snapshot(sites.net.now()).isakmp[0].path.remote.ip(), LEFT_BEHIND_NAT);
}

#[test]
fn a_new_mapping_of_the_nat_is_followed_once_a_packet_proves_it() {
    let mut sites = Sites::behind_nat(5, left_behind_nat().plan(), right_for_anyone().plan());
    sites.up();
    let nat = sites.nat.unwrap();
    sites.net.world.nat_mut(nat).unwrap().rebind();
    let _ = sites.ping(sites.left, 1);
    sites.run(2 * SECOND);
    let _ = sites.ping(sites.right, 2);
    sites.run(2 * SECOND);
    assert_eq!(sites.replies(sites.left, 1), 1);
    assert_eq!(sites.replies(sites.right, 2), 1);
}

#[test]
fn closing_tells_the_peer_and_leaves_nothing() {
    let mut sites = Sites::plain(6);
    sites.up();
    sites.net.command(sites.left, Command::CloseConnection { connection: OFFICE }).unwrap().unwrap();
    sites.run(40 * SECOND);
    for node in [sites.left, sites.right] {
        let snapshot = sites.machine(node).snapshot(sites.net.now());
        assert!(snapshot.ipsec.is_empty() && snapshot.isakmp.is_empty(), "{snapshot:#?}");
    }
}

#[test]
fn deleting_the_pair_ends_it_on_both_sides_and_traffic_makes_another() {
    let mut sites = Sites::plain(7);
    sites.up();
    let child = sites.machine(sites.right).snapshot(sites.net.now()).ipsec[0].status.child;
    sites.net.command(sites.right, Command::DeleteChild { child }).unwrap().unwrap();
    sites.run(SECOND);
    assert!(!sites.has_tunnel(sites.left) && !sites.has_tunnel(sites.right));
    assert_eq!(sites.ping(sites.left, 1), Outcome::Waits);
    sites.run(5 * SECOND);
    assert_eq!(sites.replies(sites.left, 1), 1);
}

#[test]
fn over_a_link_that_loses_a_fifth_a_tunnel_comes_up_or_says_why_not() {
    let mut up = 0;
    for seed in 0..20 {
        let mut sites = Sites::plain(seed);
        sites.net.world.set_links(Link::lossy(Duration::from_millis(20), Chance::percent(20)));
        sites.initiate(sites.left);
        sites.run(400 * SECOND);
        if sites.has_tunnel(sites.left) && sites.has_tunnel(sites.right) {
            up += 1;
            continue;
        }
        let failed = |event: &Event| matches!(event, Event::Ike(Ike::Phase1Failed { .. } | Ike::Phase2Failed { .. }));
        assert!(sites.events(sites.left).any(failed), "seed {seed}");
        assert!(sites.machine(sites.left).snapshot(sites.net.now()).ipsec.is_empty(), "seed {seed}");
    }
    assert!(up >= 15, "only {up} of 20");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut sites = Sites::plain(8);
        sites.net.world.set_links(Link::hostile(Duration::from_millis(20)));
        sites.net.start_record();
        sites.initiate(sites.left);
        sites.run(30 * SECOND);
        let _ = sites.ping(sites.left, 1);
        sites.run(30 * SECOND);
        format!("{:?}", sites.net.record())
    };
    assert_eq!(run(), run());
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
