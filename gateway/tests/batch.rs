//! Many packets in one call, in the caller's buffers.

use crate::common::{LEFT, LEFT_HOST, RIGHT, RIGHT_HOST, Sites, echo};
use core::net::Ipv4Addr;
use drive::Path;
use gateway::{InPacket, Inbound, OutPacket, Outbound, OutboundDrop, Packet, ROOM};

const BATCH: usize = 150;

/// A clear packet in the middle of a buffer with room around it.
fn buffer(packet: &[u8]) -> Vec<u8> {
    [&[0; ROOM][..], packet, &[0; ROOM]].concat()
}

#[test]
fn a_batch_is_sealed_and_opened_in_place_and_each_packet_has_its_own_outcome() {
    let mut sites = Sites::plain(1);
    sites.up();
    let stranger = Ipv4Addr::new(8, 8, 8, 8);
    let mut buffers: Vec<Vec<u8>> = (0..BATCH as u16)
        .map(|number| match number % 3 {
            0 => buffer(&echo(LEFT_HOST, stranger, number)),
            1 if number == 10 => buffer(&[0x45, 0, 0, 84]),
            _ => buffer(&echo(LEFT_HOST, RIGHT_HOST, number)),
        })
        .collect();
    let sealed = sites
        .net
        .call(sites.left, move |now, gateway| {
            let mut batch: Vec<_> = buffers
                .iter_mut()
                .map(|buffer| {
                    let end = buffer.len() - ROOM;
                    OutPacket::new(Packet::new(buffer, ROOM..end).unwrap())
                })
                .collect();
            gateway.seal_batch(now, &mut batch);
            batch.iter().map(|item| (item.outcome, item.packet.octets().to_vec())).collect::<Vec<_>>()
        })
        .unwrap();
    let native = Path::ip(50, LEFT.into(), RIGHT.into());
    let mut wire = Vec::new();
    for (number, (outcome, octets)) in sealed.into_iter().enumerate() {
        let expected = match number % 3 {
            0 => Outbound::Dropped(OutboundDrop::Discard),
            _ if number == 10 => Outbound::Dropped(OutboundDrop::Malformed),
            _ => Outbound::Send(native),
        };
        assert_eq!(outcome, expected, "packet {number}");
        if outcome == Outbound::Send(native) {
            assert!(!octets.windows(16).any(|window| window == [0x61; 16]), "packet {number} is clear");
            wire.push((number as u16, octets));
        }
    }
    assert_eq!(wire.len(), BATCH / 3 * 2 - 1);
    wire.insert(5, (0, vec![0xab; 100]));
    wire.push(wire[0].clone());
    let opened = sites
        .net
        .call(sites.right, move |now, gateway| {
            let mut buffers: Vec<_> = wire.iter().map(|(_, octets)| octets.clone()).collect();
            let mut batch: Vec<_> =
                buffers.iter_mut().map(|buffer| InPacket::new(native.reversed(), Packet::whole(buffer))).collect();
            gateway.open_batch(now, &mut batch);
            let outcomes = batch.iter().map(|item| (item.outcome, item.packet.octets().to_vec()));
            wire.iter().map(|(number, _)| *number).zip(outcomes).collect::<Vec<_>>()
        })
        .unwrap();
    let last = opened.len() - 1;
    for (place, (number, (outcome, octets))) in opened.into_iter().enumerate() {
        if place == 5 || place == last {
            assert!(matches!(outcome, Inbound::Dropped(_)), "noise and replays are dropped, not {outcome:?}");
        } else {
            assert!(matches!(outcome, Inbound::Deliver { .. }), "packet {number}: {outcome:?}");
            assert_eq!(octets, echo(LEFT_HOST, RIGHT_HOST, number));
        }
    }
}

#[test]
fn datagrams_of_the_exchanges_are_told_apart_and_left_as_they_are() {
    let mut sites = Sites::plain(2);
    sites.up();
    let outcomes = sites
        .net
        .call(sites.right, |now, gateway| {
            let path = |port: u16| Path::new((RIGHT, port).into(), (LEFT, port).into());
            let mut datagrams = [
                (path(500), vec![7; 40]),
                (path(4500), [&[0; 4][..], &[7; 40]].concat()),
                (path(4500), vec![0xff]),
                (path(4500), vec![]),
                (path(4500), vec![9; 40]),
                (path(53), vec![9; 40]),
            ];
            let before: Vec<_> = datagrams.iter().map(|(_, payload)| payload.clone()).collect();
            let mut batch: Vec<_> =
                datagrams.iter_mut().map(|(path, payload)| InPacket::new(*path, Packet::whole(payload))).collect();
            gateway.open_batch(now, &mut batch);
            assert!(batch.iter().zip(before).all(|(item, before)| item.packet.octets() == before));
            batch.iter().map(|item| item.outcome).collect::<Vec<_>>()
        })
        .unwrap();
    assert_eq!(outcomes[..2], [Inbound::Control; 2]);
    assert!(outcomes[2..].iter().all(|outcome| matches!(outcome, Inbound::Dropped(_))), "{outcomes:?}");
}

#[test]
fn a_packet_without_room_around_it_is_refused_and_not_sent() {
    let mut sites = Sites::plain(3);
    sites.up();
    let outcome = sites
        .net
        .call(sites.left, |now, gateway| {
            let mut packet = echo(LEFT_HOST, RIGHT_HOST, 1);
            let mut item = OutPacket::new(Packet::whole(&mut packet));
            gateway.seal_batch(now, core::slice::from_mut(&mut item));
            item.outcome
        })
        .unwrap();
    assert!(matches!(outcome, Outbound::Dropped(OutboundDrop::Unsealed(_))), "{outcome:?}");
}
