//! What an attacker on the path can do with packets that passed.

use crate::common::{LEFT, LEFT_HOST, RIGHT, RIGHT_HOST, Side, Sites, echo};
use core::net::Ipv4Addr;
use core::time::Duration;
use drive::{Datagram, Path, Verdict};
use gateway::{Exemption, Outcome};
use spd::{AddressSelector, Selector};

const SECOND: Duration = Duration::from_secs(1);

/// Returns the ESP packets that the left sends for `pings` pings, as the right receives them.
fn captured(sites: &mut Sites, pings: u16) -> Vec<Vec<u8>> {
    sites.net.world.start_capture();
    for number in 0..pings {
        assert_eq!(sites.ping(sites.left, number), Outcome::Sent);
    }
    sites.run(SECOND);
    let captured = sites.net.world.capture().unwrap().packets();
    let sent = |packet: &&drive::Transmit| packet.path.protocol == 50 && packet.path.local.ip() == LEFT;
    captured.iter().map(|(_, packet)| packet).filter(sent).map(|packet| packet.payload.to_vec()).collect()
}

#[test]
fn replayed_esp_is_dropped_and_counted_and_new_packets_still_pass() {
    let mut sites = Sites::plain(1);
    sites.up();
    let packets = captured(&mut sites, 3);
    assert_eq!(packets.len(), 3);
    let before = sites.net.handler.delivered.len();
    let path = Path::ip(50, RIGHT.into(), LEFT.into());
    for payload in &packets {
        let replay = payload.clone();
        let verdict = sites
            .net
            .call(sites.right, move |now, gateway| gateway.handle_datagram(now, Datagram { path, payload: &replay }))
            .unwrap();
        assert!(matches!(verdict, Verdict::Ignored(_)), "{verdict:?}");
    }
    sites.run(SECOND);
    assert_eq!(sites.net.handler.delivered.len(), before);
    assert_eq!(sites.ping(sites.left, 50), Outcome::Sent);
    sites.run(SECOND);
    assert_eq!(sites.replies(sites.left, 50), 1);
}

#[test]
fn every_one_bit_flip_of_an_esp_packet_is_dropped() {
    let mut sites = Sites::plain(2);
    sites.up();
    sites.net.world.set_link(sites.left, simnet::Link::cut());
    let packet = captured(&mut sites, 1).remove(0);
    let path = Path::ip(50, RIGHT.into(), LEFT.into());
    for bit in 0..packet.len() * 8 {
        let mut flipped = packet.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let verdict = sites
            .net
            .call(sites.right, move |now, gateway| gateway.handle_datagram(now, Datagram { path, payload: &flipped }))
            .unwrap();
        assert!(matches!(verdict, Verdict::Ignored(_)), "bit {bit}");
    }
    let verdict = sites
        .net
        .call(sites.right, move |now, gateway| gateway.handle_datagram(now, Datagram { path, payload: &packet }))
        .unwrap();
    assert!(matches!(verdict, Verdict::Accepted));
}

#[test]
fn a_protected_packet_that_the_receivers_policy_does_not_want_is_dropped() {
    let discard = Selector { local: AddressSelector::address(RIGHT_HOST.into()).into(), ..Selector::default() };
    let right = Side::right().config().exempt("not-here", discard, Exemption::Discard).build().unwrap();
    let mut sites = Sites::new(3, Side::left().plan(), right);
    sites.up();
    assert_eq!(sites.ping(sites.left, 1), Outcome::Sent);
    let neighbour = Ipv4Addr::new(10, 10, 2, 2);
    assert_eq!(sites.send(sites.left, &echo(LEFT_HOST, neighbour, 2)), Outcome::Sent);
    sites.run(SECOND);
    let delivered: Vec<_> = sites.net.handler.delivered.iter().filter(|(_, at, _)| *at == sites.right).collect();
    assert_eq!(delivered.len(), 1, "the neighbour's packet passes, the other does not");
    assert_eq!(sites.machine(sites.right).snapshot(sites.net.now()).counters.in_policy_refused, 1);
}

#[test]
fn noise_on_every_port_changes_nothing() {
    let mut sites = Sites::plain(4);
    sites.up();
    let mut entropy = simnet::Entropy::new(9);
    for length in [0_usize, 1, 3, 4, 7, 8, 27, 28, 32, 100, 1_500, 65_507] {
        for (protocol, port) in [(17, 500), (17, 4500), (50, 0), (51, 0), (115, 0)] {
            let noise: Vec<u8> = (0..length).map(|_| entropy.below(256) as u8).collect();
            let path = Path { protocol, local: (RIGHT, port).into(), remote: (LEFT, port).into() };
            let _ = sites
                .net
                .call(sites.right, move |now, gateway| gateway.handle_datagram(now, Datagram { path, payload: &noise }))
                .unwrap();
        }
    }
    assert_eq!(sites.ping(sites.left, 7), Outcome::Sent);
    sites.run(SECOND);
    assert_eq!(sites.replies(sites.left, 7), 1);
    assert!(sites.machine(sites.right).snapshot(sites.net.now()).counters.in_not_opened > 0);
}
