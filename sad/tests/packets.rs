//! Packets through the whole path: association, sequence, lifetime, ESP, replay, counters.

use crate::common::*;
use drive::Instant;
use esp_ah::{OpenError, Packet, SealError};
use sad::*;

const NOW: Instant = Instant::from_secs(1);

#[test]
fn what_one_end_seals_the_other_opens() {
    let mut tunnel = Tunnel::new(&Plan::default());
    for (count, length) in [0usize, 1, 20, 1400, 9000].into_iter().enumerate() {
        let payload = vec![0x45; length];
        let wire = tunnel.seal(NOW, &payload).unwrap();
        assert_eq!(wire[..4], tunnel.spi.get().to_be_bytes());
        let (opened, got) = tunnel.open(NOW, &wire).unwrap();
        assert_eq!(got, payload);
        assert_eq!((opened.next_header, opened.sequence, opened.newest), (4, count as u64 + 1, true));
        assert_eq!((opened.association, opened.flow), (tunnel.opening, FLOW));
    }
    assert_eq!(tunnel.counter(Side::Outbound, "outProcessDone"), 5);
    assert_eq!(tunnel.counter(Side::Inbound, "inProcessDone"), 5);
    assert_eq!(
        actions(&mut tunnel.right),
        [Action::FirstUse { association: tunnel.opening, flow: FLOW, owner: OWNER }]
    );
    assert_eq!(actions(&mut tunnel.left), []);
}

#[test]
fn a_replayed_packet_changes_nothing_but_its_counter() {
    let mut tunnel = Tunnel::new(&Plan::default());
    let wire = tunnel.seal(NOW, b"one").unwrap();
    tunnel.open(NOW, &wire).unwrap();
    let before = format!("{:?}", tunnel.right.status(tunnel.opening).unwrap().detail.unwrap().bitmap);
    assert_eq!(tunnel.open(NOW, &wire).unwrap_err(), DropReason::Replay(ReplayError::Replayed));
    assert_eq!(tunnel.counter(Side::Inbound, "espReplayedPacket"), 1);
    assert_eq!(tunnel.counter(Side::Inbound, "inProcessDone"), 1);
    assert_eq!(format!("{:?}", tunnel.right.status(tunnel.opening).unwrap().detail.unwrap().bitmap), before);
}

#[test]
fn two_copies_in_one_batch_are_one_packet() {
    let mut tunnel = Tunnel::new(&Plan::default());
    let wire = tunnel.seal(NOW, b"one").unwrap();
    let mut buffers = [wire.clone(), wire];
    let mut batch: Vec<_> =
        buffers.iter_mut().map(|buffer| Incoming::new(path().reversed(), Packet::whole(buffer))).collect();
    tunnel.right.open_batch(NOW, &mut batch);
    assert!(batch[0].outcome().is_ok());
    assert_eq!(batch[1].outcome(), Err(DropReason::Replay(ReplayError::Replayed)));
}

#[test]
fn a_forged_packet_far_ahead_does_not_move_the_window() {
    let mut tunnel = Tunnel::new(&Plan::default());
    let first = tunnel.seal(NOW, b"one").unwrap();
    let mut forged = first.clone();
    forged[4..8].copy_from_slice(&0xffff_0000u32.to_be_bytes());
    assert_eq!(tunnel.open(NOW, &forged).unwrap_err(), DropReason::Open(OpenError::Icv));
    assert_eq!(tunnel.counter(Side::Inbound, "espIcvInvalid"), 1);
    assert_eq!(tunnel.open(NOW, &first).unwrap().1, b"one");
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() {
    let mut tunnel = Tunnel::new(&Plan::default());
    let wire = tunnel.seal(NOW, b"a payload of some length").unwrap();
    for at in 0..wire.len() {
        for bit in 0..8 {
            let mut flipped = wire.clone();
            flipped[at] ^= 1 << bit;
            assert!(tunnel.open(NOW, &flipped).is_err(), "{at} {bit}");
        }
        assert!(tunnel.open(NOW, &wire[..at]).is_err(), "{at}");
    }
    assert!(tunnel.open(NOW, &wire).is_ok());
}

#[test]
fn an_spi_is_good_only_with_its_destination_and_protocol() {
    let mut tunnel = Tunnel::new(&Plan::default());
    let wire = tunnel.seal(NOW, b"one").unwrap();
    let mut elsewhere = path().reversed();
    elsewhere.local.set_ip([192, 0, 2, 99].into());
    let spi = tunnel.spi.get();
    assert_eq!(tunnel.open_from(NOW, elsewhere, &wire).unwrap_err(), DropReason::UnknownSpi(spi));
    assert_eq!(tunnel.right.find(spi, path().remote.ip(), SaProtocol::Ah), None);
    for reserved in [0u32, 1, 255] {
        let mut packet = wire.clone();
        packet[..4].copy_from_slice(&reserved.to_be_bytes());
        assert_eq!(tunnel.open(NOW, &packet).unwrap_err(), DropReason::ReservedSpi(reserved));
    }
    for length in 0..8 {
        assert_eq!(tunnel.open(NOW, &wire[..length]).unwrap_err(), DropReason::TooShort);
    }
    let counters = tunnel.right.counters();
    assert_eq!((counters.reserved_spi, counters.too_short, counters.find_failed), (3, 8, 1));
}

#[test]
fn another_source_is_refused_only_where_it_is_checked() {
    let mut moved = path().reversed();
    moved.remote = ([198, 51, 100, 7], 4500).into();
    for (source, expected) in [(SourceCheck::Any, None), (SourceCheck::Peer, Some(DropReason::WrongSource))] {
        let mut tunnel = Tunnel::new(&Plan { source, ..Plan::default() });
        let wire = tunnel.seal(NOW, b"one").unwrap();
        assert_eq!(tunnel.open_from(NOW, moved, &wire).err(), expected);
        assert_eq!(tunnel.open(NOW, &wire).is_ok(), expected.is_some());
    }
}

#[test]
fn an_old_packet_is_authentic_but_not_the_newest() {
    let mut tunnel = Tunnel::new(&Plan::default());
    let first = tunnel.seal(NOW, b"one").unwrap();
    let second = tunnel.seal(NOW, b"two").unwrap();
    assert!(tunnel.open(NOW, &second).unwrap().0.newest);
    assert!(!tunnel.open(NOW, &first).unwrap().0.newest);
}

#[test]
fn a_dummy_is_counted_and_dropped() {
    let mut tunnel = Tunnel::new(&Plan::default());
    let mut buffer = [0; 128];
    let packet = Packet::new(&mut buffer, 64..84).unwrap();
    let mut dummy = Outgoing::new(tunnel.sealing, packet, 59);
    tunnel.left.seal(NOW, &mut dummy).unwrap();
    let wire = dummy.packet.octets().to_vec();
    assert_eq!(tunnel.open(NOW, &wire).unwrap_err(), DropReason::Dummy);
    assert_eq!(tunnel.open(NOW, &wire).unwrap_err(), DropReason::Replay(ReplayError::Replayed));
    assert_eq!(tunnel.counter(Side::Inbound, "inProcessDone"), 0);
}

#[test]
fn a_packet_without_room_fails_alone_and_is_not_counted_as_carried() {
    let mut tunnel = Tunnel::new(&Plan::default());
    let (mut small, mut large) = ([0; 20], [0; 128]);
    let mut batch = [
        Outgoing::new(tunnel.sealing, Packet::whole(&mut small), 4),
        Outgoing::new(tunnel.sealing, Packet::new(&mut large, 40..60).unwrap(), 4),
    ];
    tunnel.left.seal_batch(NOW, &mut batch);
    assert!(matches!(batch[0].outcome(), Err(SealRefusal::Seal(SealError::BufferTooSmall(_)))));
    assert_eq!(batch[0].packet.octets(), [0; 20]);
    assert_eq!(batch[1].outcome(), Ok(2));
    assert_eq!(tunnel.counter(Side::Outbound, "outProcessDone"), 1);
    assert_eq!(tunnel.counter(Side::Outbound, "outProcessFailImm"), 1);
}

#[test]
fn filler_hides_the_length_and_is_left_after_the_payload() {
    let mut tunnel = Tunnel::new(&Plan::default());
    let mut buffer = [7; 256];
    let packet = Packet::new(&mut buffer, 64..84).unwrap();
    let mut outgoing = Outgoing::new(tunnel.sealing, packet, 4).with_filler(100);
    tunnel.left.seal(NOW, &mut outgoing).unwrap();
    let wire = outgoing.packet.octets().to_vec();
    let (_, got) = tunnel.open(NOW, &wire).unwrap();
    assert_eq!(got.len(), 120);
    assert_eq!((&got[..20], &got[20..]), (&[7; 20][..], &[0; 100][..]));
}

#[test]
fn stale_handles_and_the_wrong_side_seal_nothing() {
    let mut tunnel = Tunnel::new(&Plan::default());
    let gone = tunnel.sealing;
    tunnel.left.remove(gone).unwrap();
    assert_eq!(tunnel.seal(NOW, b"one").unwrap_err(), SealRefusal::Stale);
    assert_eq!(tunnel.left.remove(gone), Err(SadError::Stale(gone)));
    tunnel.sealing = tunnel.opening;
    assert_eq!(tunnel.seal(NOW, b"one").unwrap_err(), SealRefusal::Stale);
}
