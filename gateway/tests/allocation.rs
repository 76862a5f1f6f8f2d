//! Nothing is allocated for a lot of packets, sealed or opened, once the first has passed.

use crate::common::{LEFT_HOST, RIGHT_HOST, Sites, echo};
use drive::Path;
use gateway::{InPacket, Inbound, OutPacket, Outbound, Packet, ROOM};

const LOT: usize = 64;

type Buffers = Vec<Vec<u8>>;

/// Seals one lot and returns it with its path and the allocations it cost.
fn seal(sites: &mut Sites, first: u16) -> (Buffers, Path, u64) {
    let packets = (0..LOT as u16).map(|number| echo(LEFT_HOST, RIGHT_HOST, first + number));
    let mut buffers: Buffers = packets.map(|packet| [&[0; ROOM][..], &packet, &[0; ROOM]].concat()).collect();
    let call = move |now, gateway: &mut gateway::Gateway| {
        let mut lot: Vec<_> = buffers
            .iter_mut()
            .map(|buffer| {
                let end = buffer.len() - ROOM;
                OutPacket::new(Packet::new(buffer, ROOM..end).unwrap())
            })
            .collect();
        let cost = allocation_counter::measure(|| gateway.seal_batch(now, &mut lot)).count_total;
        let Outbound::Send(path) = lot[0].outcome else { panic!("{:?}", lot[0].outcome) };
        let sealed = lot.iter().map(|item| item.packet.octets().to_vec()).collect();
        (sealed, path, cost)
    };
    sites.net.call(sites.left, call).unwrap()
}

fn open(sites: &mut Sites, mut wire: Buffers, path: Path) -> u64 {
    let call = move |now, gateway: &mut gateway::Gateway| {
        let mut lot: Vec<_> =
            wire.iter_mut().map(|buffer| InPacket::new(path.reversed(), Packet::whole(buffer))).collect();
        let cost = allocation_counter::measure(|| gateway.open_batch(now, &mut lot)).count_total;
        assert!(lot.iter().all(|item| matches!(item.outcome, Inbound::Deliver { .. })));
        cost
    };
    sites.net.call(sites.right, call).unwrap()
}

#[test]
fn a_lot_of_packets_costs_no_allocation_after_the_first() {
    let mut sites = Sites::plain(1);
    sites.up();
    let (wire, path, _) = seal(&mut sites, 0);
    open(&mut sites, wire, path);
    for round in 1..5 {
        let (wire, path, sealing) = seal(&mut sites, round * 64);
        let opening = open(&mut sites, wire, path);
        assert_eq!((sealing, opening), (0, 0), "round {round}");
    }
}
