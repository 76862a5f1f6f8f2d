//! Snapshots as text: they come back as they were, and no text makes an association repeat a number.

#![cfg(feature = "serde")]

use crate::common::*;
use core::time::Duration;
use drive::Instant;
use esp_ah::{OpenKey, SealKey};
use sad::*;

fn tunnel() -> Tunnel {
    let hard = Limits { time: Some(Duration::from_secs(3600)), octets: Some(1 << 40), packets: None };
    let soft = Limits { time: Some(Duration::from_secs(3000)), ..Limits::NONE };
    Tunnel::new(&Plan { lifetime: Lifetime { soft, hard }, source: SourceCheck::Peer, ..Plan::default() })
}

fn again(snapshot: &SaSnapshot) -> SaSnapshot {
    serde_json::from_str(&serde_json::to_string(snapshot).unwrap()).unwrap()
}

#[test]
fn a_snapshot_comes_back_from_text_as_it_was() {
    let mut tunnel = tunnel();
    let now = Instant::from_secs(5);
    let wire = tunnel.seal(now, &[1; 40]).unwrap();
    tunnel.open(now, &wire).unwrap();
    let sealing = tunnel.left.snapshot(tunnel.sealing, 100).unwrap();
    let opening = tunnel.right.snapshot(tunnel.opening, 100).unwrap();
    assert_eq!((again(&sealing), again(&opening)), (sealing, opening));
}

#[test]
fn what_is_restored_from_text_repeats_no_number_and_sends_nothing_before_its_own_snapshot() {
    let mut tunnel = tunnel();
    let now = Instant::from_secs(5);
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for _ in 0..4 {
        let kept = again(&tunnel.left.snapshot(tunnel.sealing, 3).unwrap());
        // The program may go on after its snapshot, to the last number that belongs to it.
        while let Ok(wire) = tunnel.seal(now, &[1; 40]) {
            seen.push(wire[4..24].to_vec());
        }
        let keys = OutboundKeys::Esp(SealKey::new(suite(), SequenceBits::Bits32, &keymat(suite())).unwrap());
        tunnel.left.remove(tunnel.sealing).unwrap();
        tunnel.sealing = tunnel.left.restore_outbound(now, &kept, keys, None).unwrap();
        assert_eq!(tunnel.seal(now, &[1; 40]), Err(SealRefusal::SnapshotDue));
    }
    assert_eq!(seen.len(), 12);
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count, "a sequence number or IV came twice");
}

#[test]
fn what_is_received_is_refused_again_after_a_restore_from_text() {
    let mut tunnel = tunnel();
    let now = Instant::from_secs(5);
    let wires: Vec<_> = (0..3).map(|_| tunnel.seal(now, &[1; 40]).unwrap()).collect();
    tunnel.open(now, &wires[0]).unwrap();
    let kept = again(&tunnel.right.snapshot(tunnel.opening, 1).unwrap());
    tunnel.open(now, &wires[1]).unwrap();
    tunnel.right.remove(tunnel.opening).unwrap();
    let keys = InboundKeys::Esp(OpenKey::new(suite(), SequenceBits::Bits32, &keymat(suite())).unwrap());
    tunnel.opening = tunnel.right.restore_inbound(now, &kept, keys).unwrap();
    assert!(matches!(tunnel.open(now, &wires[0]), Err(DropReason::Replay(_))));
    assert!(matches!(tunnel.open(now, &wires[1]), Err(DropReason::Replay(_))));
    assert!(tunnel.open(now, &wires[2]).is_ok());
}

#[test]
fn text_that_says_what_cannot_be_is_refused() {
    let mut tunnel = tunnel();
    let snapshot = tunnel.left.snapshot(tunnel.sealing, 100).unwrap();
    let text = serde_json::to_value(&snapshot).unwrap();
    for (field, value) in [
        ("version", 2.into()),
        ("protocol", 6.into()),
        ("spi", 255.into()),
        ("window", 65.into()),
        ("window", 64.into()),
        ("side", "inbound".into()),
        ("reserved", (1u64 << 32).into()),
        ("local", "nowhere".into()),
        ("surprise", 1.into()),
    ] {
        let mut changed: serde_json::Value = text.clone();
        changed[field] = value;
        assert!(serde_json::from_value::<SaSnapshot>(changed).is_err(), "{field}");
    }
    assert!(serde_json::from_value::<SaSnapshot>(text).is_ok());
}
