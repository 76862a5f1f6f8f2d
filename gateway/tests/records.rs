//! What firewalls and translators around a gateway have to know of it.

use crate::common::{LEFT, LEFT_HOST, RIGHT, RIGHT_HOST, Side, Sites, echo};
use core::net::Ipv4Addr;
use core::time::Duration;
use drive::{Datagram, Path};
use gateway::{Action, ClearRefusal, InPacket, Inbound, OutPacket, Outbound, Packet, ROOM};
use spd::{Decision, Direction, InboundRefusal};

const SECOND: Duration = Duration::from_secs(1);

/// A tunnel, and a ping of the left as it was sealed, which did not arrive.
fn sealed(seed: u64) -> (Sites, Vec<u8>) {
    let mut sites = Sites::plain(seed);
    sites.up();
    let ping = echo(LEFT_HOST, RIGHT_HOST, 1);
    let call = move |now, gateway: &mut gateway::Gateway| {
        let mut buffer = [&[0; ROOM][..], &ping, &[0; ROOM]].concat();
        let end = buffer.len() - ROOM;
        let mut lot = [OutPacket::new(Packet::new(&mut buffer, ROOM..end).unwrap())];
        gateway.seal_batch(now, &mut lot);
        assert!(matches!(lot[0].outcome, Outbound::Send(_)));
        lot[0].packet.octets().to_vec()
    };
    let packet = sites.net.call(sites.left, call).unwrap();
    (sites, packet)
}

#[test]
fn what_is_delivered_names_the_pair_that_it_came_through() {
    for in_place in [false, true] {
        let (mut sites, packet) = sealed(1);
        let pair = sites.machine(sites.right).snapshot(sites.net.now()).ipsec[0].status.child;
        let path = Path::ip(50, RIGHT.into(), LEFT.into());
        let call = move |now, gateway: &mut gateway::Gateway| {
            if in_place {
                let mut buffer = packet.clone();
                let mut lot = [InPacket::new(path, Packet::whole(&mut buffer))];
                gateway.open_batch(now, &mut lot);
                return matches!(lot[0].outcome, Inbound::Deliver { child } if child == pair);
            }
            let _ = gateway.handle_datagram(now, Datagram { path, payload: &packet });
            core::iter::from_fn(|| gateway.poll_action())
                .any(|action| matches!(action, Action::Deliver(_, child) if child == pair))
        };
        assert!(sites.net.call(sites.right, call).unwrap());
    }
}

#[test]
fn the_source_of_outer_packets_is_the_address_that_the_connection_names() {
    // Of another interface than the packets leave by, as where that has no address of its own.
    let loopback = Ipv4Addr::new(198, 51, 100, 7);
    let right = Side { peer: ikev1_core::Peer::Address(loopback.into()), ..Side::right() };
    let left = Side { local: loopback, ..Side::left() };
    let mut sites = Sites::between(2, (loopback.into(), left.plan()), (RIGHT.into(), right.plan()));
    sites.net.world.start_capture();
    sites.up();
    let _ = sites.ping(sites.left, 1);
    sites.run(SECOND);
    assert_eq!(sites.replies(sites.left, 1), 1);
    let packets = sites.net.world.capture().unwrap().packets();
    assert!(packets.iter().any(|(_, packet)| packet.path.protocol == 50));
    for (_, packet) in packets {
        assert!([packet.path.local.ip(), packet.path.remote.ip()].contains(&loopback.into()), "{}", packet.path);
    }
}

#[test]
fn who_translates_addresses_can_ask_first_whether_a_packet_is_for_a_tunnel() {
    let (sites, _) = sealed(3);
    let gateway = sites.machine(sites.left);
    let before = gateway.snapshot(sites.net.now()).policies[0].hits;
    let ask = |to| gateway.decision(Direction::Outbound, &echo(LEFT_HOST, to, 1)).unwrap();
    assert!(matches!(ask(RIGHT_HOST), Decision::Protect { .. }));
    assert_eq!(ask(Ipv4Addr::new(203, 0, 113, 9)), Decision::Discard { policy: None });
    assert_eq!(gateway.snapshot(sites.net.now()).policies[0].hits, before, "asking counts nothing");
}

#[test]
fn what_came_protected_is_delivered_where_clear_packets_may_not_come_in() {
    let (mut sites, packet) = sealed(4);
    let clear = echo(LEFT_HOST, RIGHT_HOST, 1);
    let refused = sites.net.call(sites.right, move |now, gateway| gateway.admit_clear(now, &clear)).unwrap();
    assert!(matches!(refused, Err(ClearRefusal::Policy(InboundRefusal::NotProtected(_)))), "{refused:?}");
    let path = Path::ip(50, RIGHT.into(), LEFT.into());
    let call =
        move |now, gateway: &mut gateway::Gateway| gateway.handle_datagram(now, Datagram { path, payload: &packet });
    assert_eq!(sites.net.call(sites.right, call).unwrap(), drive::Verdict::Accepted);
    sites.run(SECOND);
    assert_eq!(sites.net.handler.delivered[0].2, echo(LEFT_HOST, RIGHT_HOST, 1));
}
