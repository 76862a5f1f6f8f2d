//! Renewal of associations while traffic flows.

use crate::common::{LEFT, Side, Sites};
use core::time::Duration;
use gateway::{Command, Event, Outcome};
use ikev1_core::Event as Ike;
use simnet::Link;

const SECOND: Duration = Duration::from_secs(1);

/// Sends a ping each way ten times a second, and checks that all were answered.
fn traffic(sites: &mut Sites, pings: u16) {
    for number in 0..pings {
        assert_eq!(sites.ping(sites.left, number), Outcome::Sent, "ping {number} from the left");
        assert_eq!(sites.ping(sites.right, number), Outcome::Sent, "ping {number} from the right");
        sites.run(SECOND / 10);
    }
    sites.run(SECOND);
    for node in [sites.left, sites.right] {
        let lost: Vec<_> = (0..pings).filter(|number| sites.replies(node, *number) != 1).collect();
        assert!(lost.is_empty(), "no reply to {lost:?}");
    }
}

#[test]
fn renewing_the_pair_under_traffic_loses_no_packet() {
    let short = Duration::from_secs(20);
    let left = Side { lifetime: short, ..Side::left() };
    let right = Side { lifetime: short, ..Side::right() };
    let mut sites = Sites::new(1, left.plan(), right.plan());
    sites.up();
    traffic(&mut sites, 600);
    let renewals = sites.events(sites.left).filter(|event| matches!(event, Event::Ike(Ike::SaRekeyed { .. }))).count();
    assert!(renewals >= 2, "{renewals} renewals");
    assert!(sites.machine(sites.left).snapshot(sites.net.now()).ipsec.len() <= 2);
}

#[test]
fn a_pair_whose_kilobytes_run_out_is_renewed_without_loss() {
    let left = Side { kilobytes: Some(10), ..Side::left() };
    let right = Side { kilobytes: Some(10), ..Side::right() };
    let mut sites = Sites::new(5, left.plan(), right.plan());
    sites.up();
    let first = sites.machine(sites.left).snapshot(sites.net.now()).ipsec[0].clone();
    // A ping and its reply carry 84 octets each way: 8 kilobytes, the soft limit, are reached after about a hundred.
    traffic(&mut sites, 200);
    let renewals = sites.events(sites.left).filter(|event| matches!(event, Event::Ike(Ike::SaRekeyed { .. }))).count();
    assert!(renewals >= 2, "{renewals} renewals");
    for pair in sites.machine(sites.left).snapshot(sites.net.now()).ipsec {
        assert!(pair.status.superseded || pair.status.child != first.status.child);
        for side in pair.inbound.iter().chain(&pair.outbound) {
            assert!(side.detail.as_ref().unwrap().counters.octets() <= 10 * 1_024);
        }
    }
}

/// Returns the SPIs of the ESP packets that the left sent since the capture began, in order.
fn spis_sent(sites: &Sites) -> Vec<u32> {
    let packets = sites.net.world.capture().unwrap().packets().iter().map(|(_, packet)| packet);
    let sent = packets.filter(|packet| packet.path.protocol == 50 && packet.path.local.ip() == LEFT);
    sent.map(|packet| u32::from_be_bytes(packet.payload[..4].try_into().unwrap())).collect()
}

/// A peer may install its half of a renewed pair only when the last message arrives, so packets must not
/// overtake that message.
#[test]
fn a_renewed_pair_sends_once_the_peer_has_used_it_or_has_had_time() {
    for peer_answers in [true, false] {
        let mut sites = Sites::plain(4);
        sites.up();
        let child = sites.machine(sites.left).snapshot(sites.net.now()).ipsec[0].status.child;
        sites.net.command(sites.left, Command::RekeyChild { child }).unwrap().unwrap();
        sites.run(SECOND);
        let pairs = sites.machine(sites.left).snapshot(sites.net.now()).ipsec;
        let [old, new] = [0, 1].map(|index: usize| pairs[index].status.sas[0].outbound);
        sites.net.world.start_capture();
        if !peer_answers {
            sites.net.world.set_link(sites.right, Link::cut());
        }
        let _ = sites.ping(sites.left, 1);
        sites.run(SECOND);
        let _ = sites.ping(sites.left, 2);
        sites.run(10 * SECOND);
        let _ = sites.ping(sites.left, 3);
        assert_eq!(spis_sent(&sites), if peer_answers { [old, new, new] } else { [old, old, new] });
    }
}

#[test]
fn renewing_the_isakmp_sa_under_traffic_keeps_the_pair() {
    let mut sites = Sites::plain(2);
    sites.up();
    let before = sites.machine(sites.left).snapshot(sites.net.now());
    sites.net.command(sites.left, Command::RekeyIke { ike_sa: before.isakmp[0].ike_sa }).unwrap().unwrap();
    traffic(&mut sites, 100);
    sites.run(60 * SECOND);
    let after = sites.machine(sites.left).snapshot(sites.net.now());
    assert_eq!(after.isakmp.len(), 1);
    assert_ne!(after.isakmp[0].cookies, before.isakmp[0].cookies);
    assert_eq!(after.ipsec[0].status.sas[0].inbound, before.ipsec[0].status.sas[0].inbound);
}

#[test]
fn a_pair_that_is_not_renewed_ends_with_its_lifetime() {
    let left = Side { lifetime: Duration::from_secs(20), ..Side::left() };
    let right = Side { lifetime: Duration::from_secs(20), ..Side::right() };
    let mut sites = Sites::new(3, left.plan(), right.plan());
    sites.up();
    sites.net.world.set_links(Link::cut());
    sites.run(60 * SECOND);
    assert!(!sites.has_tunnel(sites.left) && !sites.has_tunnel(sites.right));
}
