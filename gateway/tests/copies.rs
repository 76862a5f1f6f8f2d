//! How often a whole packet is copied on its way: never in batches, and counted elsewhere.

use crate::common::{LEFT_HOST, RIGHT_HOST, Side, Sites, echo};
use core::time::Duration;
use gateway::{Exemption, InPacket, OutPacket, Outbound, Outcome, Packet, ROOM};
use simnet::NodeId;
use spd::{AddressSelector, Selector};

const SECOND: Duration = Duration::from_secs(1);

/// Returns copies out and in.
fn copies(sites: &Sites, node: NodeId) -> (u64, u64) {
    let counters = sites.machine(node).snapshot(sites.net.now()).counters;
    (counters.out_copies, counters.in_copies)
}

fn sites() -> Sites {
    let remote = AddressSelector::address([203, 0, 113, 1].into()).into();
    let printer = Selector { remote, ..Selector::default() };
    let left = Side::left().config().exempt("printer", printer, Exemption::Bypass).build().unwrap();
    let mut sites = Sites::new(1, left, Side::right().plan());
    sites.net.handler.silent = true;
    sites
}

#[test]
fn a_packet_by_itself_is_copied_once_each_way_and_once_more_if_it_waits_or_passes_in_clear() {
    let mut sites = sites();
    assert_eq!(sites.ping(sites.left, 1), Outcome::Waits);
    assert_eq!(copies(&sites, sites.left), (2, 0), "to be sealed, and into the queue");
    sites.run(5 * SECOND);
    assert_eq!((copies(&sites, sites.left), copies(&sites, sites.right)), ((3, 0), (0, 1)), "out of the queue");
    assert_eq!(sites.ping(sites.left, 2), Outcome::Sent);
    sites.run(SECOND);
    assert_eq!((copies(&sites, sites.left), copies(&sites, sites.right)), ((4, 0), (0, 2)));
    assert_eq!(sites.send(sites.left, &echo(LEFT_HOST, [203, 0, 113, 1].into(), 3)), Outcome::Bypassed);
    assert_eq!(copies(&sites, sites.left), (6, 0));
}

#[test]
fn in_batches_nothing_is_copied() {
    let mut sites = sites();
    sites.up();
    let before = (copies(&sites, sites.left), copies(&sites, sites.right));
    let sealed = sites
        .net
        .call(sites.left, |now, gateway| {
            let mut buffers: Vec<_> = (0..8)
                .map(|number| [&[0; ROOM][..], &echo(LEFT_HOST, RIGHT_HOST, number), &[0; ROOM]].concat())
                .collect();
            let mut batch: Vec<_> = buffers
                .iter_mut()
                .map(|buffer| {
                    let end = buffer.len() - ROOM;
                    OutPacket::new(Packet::new(buffer, ROOM..end).unwrap())
                })
                .collect();
            gateway.seal_batch(now, &mut batch);
            let sent = batch.iter().map(|item| match item.outcome {
                Outbound::Send(path) => (path.reversed(), item.packet.octets().to_vec()),
                outcome => panic!("{outcome:?}"),
            });
            sent.collect::<Vec<_>>()
        })
        .unwrap();
    let right = sites.right;
    sites
        .net
        .call(right, move |now, gateway| {
            let mut sealed = sealed;
            let mut batch: Vec<_> =
                sealed.iter_mut().map(|(path, buffer)| InPacket::new(*path, Packet::whole(buffer))).collect();
            gateway.open_batch(now, &mut batch);
            assert!(batch.iter().all(|item| matches!(item.outcome, gateway::Inbound::Deliver { .. })));
        })
        .unwrap();
    assert_eq!((copies(&sites, sites.left), copies(&sites, sites.right)), before);
}
