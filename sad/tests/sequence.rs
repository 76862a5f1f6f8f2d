//! Sequence numbers at their edges, extended ones, snapshots and what they keep from being used twice.

use crate::common::*;
use drive::Instant;
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, OpenError, OpenKey, Packet, Ring, SealKey, Suite};
use esp_ah::{suite::AesKey, suite::IcvLen};
use sad::*;

const NOW: Instant = Instant::from_secs(1);

fn extended(suite: Suite) -> Plan {
    Plan { suite, bits: SequenceBits::Bits64, ..Plan::default() }
}

/// Plans with extended numbers: of suites of each kind, and of a provider that loses what it refuses.
fn extended_plans() -> [Plan; 5] {
    let gcm = CipherAlgorithm::AesGcm(AesKey::Bits128, IcvLen::Octets16);
    let gcm = Suite::new(gcm, IntegrityAlgorithm::None).unwrap();
    let chacha = Suite::new(CipherAlgorithm::ChaCha20Poly1305, IntegrityAlgorithm::None).unwrap();
    let by_ring = |suite| Plan { provider: &Ring, ..extended(suite) };
    [extended(suite()), extended(gcm), extended(chacha), by_ring(gcm), by_ring(chacha)]
}

fn seal_key(plan: &Plan) -> OutboundKeys {
    let key = SealKey::with_provider(plan.suite, plan.bits, &keymat(plan.suite), plan.provider);
    OutboundKeys::Esp(key.unwrap())
}

fn open_key(plan: &Plan) -> InboundKeys {
    let key = OpenKey::with_provider(plan.suite, plan.bits, &keymat(plan.suite), plan.provider);
    InboundKeys::Esp(key.unwrap())
}

/// Puts both ends of a tunnel to where `last` was the last number sent, and `top` the greatest received.
fn forward(tunnel: &mut Tunnel, plan: &Plan, last: u64, top: u64) {
    let mut sent = tunnel.left.snapshot(tunnel.sealing, 0).unwrap();
    sent.reserved = last;
    tunnel.left.remove(tunnel.sealing).unwrap();
    tunnel.sealing = tunnel.left.restore_outbound(NOW, &sent, seal_key(plan), None).unwrap();
    tunnel.left.snapshot(tunnel.sealing, u64::MAX).unwrap();
    let mut received = tunnel.right.snapshot(tunnel.opening, 0).unwrap();
    received.reserved = top;
    tunnel.right.remove(tunnel.opening).unwrap();
    tunnel.opening = tunnel.right.restore_inbound(NOW, &received, open_key(plan)).unwrap();
}

#[test]
fn a_short_sequence_ends_the_association_before_it_wraps() {
    let plan = Plan::default();
    let mut tunnel = Tunnel::new(&plan);
    let last = u64::from(u32::MAX);
    forward(&mut tunnel, &plan, last - 2, last - 2);
    let wire = [tunnel.seal(NOW, b"a").unwrap(), tunnel.seal(NOW, b"b").unwrap()];
    assert_eq!(tunnel.seal(NOW, b"c").unwrap_err(), SealRefusal::SequenceExhausted);
    assert_eq!(tunnel.seal(NOW, b"d").unwrap_err(), SealRefusal::NotCarrying(SaState::Dead));
    assert_eq!(wire[1][4..8], [255; 4]);
    assert_eq!(tunnel.open(NOW, &wire[1]).unwrap().0.sequence, last);
    assert_eq!(tunnel.open(NOW, &wire[0]).unwrap().0.sequence, last - 1);
    let said = actions(&mut tunnel.left);
    let soft = said.iter().any(|a| matches!(a, Action::SoftExpired { limit: LimitKind::Sequence, .. }));
    let hard = said.iter().any(|a| matches!(a, Action::HardExpired { limit: LimitKind::Sequence, .. }));
    assert!(soft && hard, "{said:?}");
}

#[test]
fn a_batch_that_uses_up_the_numbers_sends_those_that_got_one() {
    let plan = Plan::default();
    let mut tunnel = Tunnel::new(&plan);
    let last = u64::from(u32::MAX);
    forward(&mut tunnel, &plan, last - 2, last - 2);
    let mut buffers = [[0; 160]; 4];
    let mut batch: Vec<_> = buffers
        .iter_mut()
        .map(|buffer| Outgoing::new(tunnel.sealing, Packet::new(buffer, 64..84).unwrap(), 4))
        .collect();
    tunnel.left.seal_batch(NOW, &mut batch);
    let outcomes: Vec<_> = batch.iter().map(Outgoing::outcome).collect();
    let used_up = Err(SealRefusal::SequenceExhausted);
    assert_eq!(outcomes, [Ok(last - 1), Ok(last), used_up, used_up]);
    let wire = batch[1].packet.octets().to_vec();
    assert_eq!(tunnel.open(NOW, &wire).unwrap().0.sequence, last);
    assert_eq!(tunnel.counter(Side::Outbound, "outProcessDone"), 2);
    assert_eq!(tunnel.left.status(tunnel.sealing).unwrap().state, SaState::Dead);
}

#[test]
fn a_successor_is_asked_for_at_seven_eighths_of_the_numbers_and_not_before() {
    for bits in [SequenceBits::Bits32, SequenceBits::Bits64] {
        let plan = Plan { bits, ..Plan::default() };
        let mut tunnel = Tunnel::new(&plan);
        let most = if bits == SequenceBits::Bits32 { u64::from(u32::MAX) } else { u64::MAX };
        let soft = most - most / 8;
        forward(&mut tunnel, &plan, soft - 2, soft - 2);
        tunnel.seal(NOW, b"a").unwrap();
        assert_eq!(actions(&mut tunnel.left), []);
        tunnel.seal(NOW, b"b").unwrap();
        let said = actions(&mut tunnel.left);
        assert!(matches!(said[..], [Action::SoftExpired { limit: LimitKind::Sequence, .. }]), "{said:?}");
        tunnel.seal(NOW, b"c").unwrap();
        assert_eq!(actions(&mut tunnel.left), [], "said once");
    }
}

#[test]
fn a_number_of_zero_is_refused_before_the_icv() {
    let mut tunnel = Tunnel::new(&Plan::default());
    let mut wire = tunnel.seal(NOW, b"a").unwrap();
    wire[4..8].fill(0);
    assert_eq!(tunnel.open(NOW, &wire).unwrap_err(), DropReason::Replay(ReplayError::Zero));
}

#[test]
fn extended_numbers_cross_two_to_the_32_in_any_order_within_the_window() {
    for plan in extended_plans() {
        let mut tunnel = Tunnel::new(&plan);
        let edge = 1u64 << 32;
        forward(&mut tunnel, &plan, edge - 40, edge - 40);
        let wire: Vec<_> = (0..80u8).map(|n| tunnel.seal(NOW, &[n; 30]).unwrap()).collect();
        // Backwards in groups of thirty: within a window of 64.
        for group in wire.chunks(30) {
            for packet in group.iter().rev() {
                tunnel.open(NOW, packet).unwrap();
                assert_eq!(tunnel.open(NOW, packet).unwrap_err(), DropReason::Replay(ReplayError::Replayed));
            }
        }
        let detail = tunnel.right.status(tunnel.opening).unwrap().detail.unwrap();
        assert_eq!(detail.last_sequence, edge + 40);
    }
}

#[test]
fn the_upper_half_is_under_the_icv() {
    for plan in extended_plans() {
        let mut tunnel = Tunnel::new(&plan);
        // The receiver is one turn of the lower half behind.
        forward(&mut tunnel, &plan, (1 << 32) + 100, 100);
        let wire = tunnel.seal(NOW, b"a").unwrap();
        assert_eq!(tunnel.open(NOW, &wire).unwrap_err(), DropReason::Open(OpenError::Icv));
    }
}

#[test]
fn after_many_wrong_icvs_in_a_row_the_next_upper_half_is_tried() {
    for plan in extended_plans() {
        let mut tunnel = Tunnel::new(&plan);
        forward(&mut tunnel, &plan, (1 << 32) + 100, 100);
        for _ in 1..Sad::RESYNCHRONISE_AFTER {
            let wire = tunnel.seal(NOW, b"a").unwrap();
            assert_eq!(tunnel.open(NOW, &wire).unwrap_err(), DropReason::Open(OpenError::Icv));
        }
        let wire = tunnel.seal(NOW, b"a").unwrap();
        let (opened, payload) = tunnel.open(NOW, &wire).unwrap();
        assert_eq!((opened.sequence >> 32, payload.as_slice()), (1, &b"a"[..]));
        let before = u64::from(Sad::RESYNCHRONISE_AFTER) - 1;
        assert_eq!(tunnel.counter(Side::Inbound, "espIcvInvalid"), before);
        // Forgeries stay refused, each counted once, and the window stays.
        let mut forged = wire.clone();
        forged[4..8].copy_from_slice(&9_999_999u32.to_be_bytes());
        for _ in 0..2 * Sad::RESYNCHRONISE_AFTER {
            assert_eq!(tunnel.open(NOW, &forged).unwrap_err(), DropReason::Open(OpenError::Icv));
        }
        assert_eq!(tunnel.counter(Side::Inbound, "espIcvInvalid"), before + 2 * (before + 1));
        let next = tunnel.seal(NOW, b"b").unwrap();
        assert_eq!(tunnel.open(NOW, &next).unwrap().1, b"b");
    }
}

#[test]
fn a_batch_in_doubt_comes_through_with_the_next_upper_half_whole() {
    for plan in extended_plans() {
        let mut tunnel = Tunnel::new(&plan);
        forward(&mut tunnel, &plan, (1 << 32) + 100, 100);
        for _ in 1..Sad::RESYNCHRONISE_AFTER {
            let wire = tunnel.seal(NOW, b"a").unwrap();
            assert_eq!(tunnel.open(NOW, &wire).unwrap_err(), DropReason::Open(OpenError::Icv));
        }
        let mut wire: Vec<_> = (0..20u8).map(|n| tunnel.seal(NOW, &[n; 30]).unwrap()).collect();
        wire[7][20] ^= 1;
        let mut lot: Vec<_> =
            wire.iter_mut().map(|wire| Incoming::new(path().reversed(), Packet::whole(wire))).collect();
        tunnel.right.open_batch(NOW, &mut lot);
        for (n, item) in (0u8..).zip(&lot) {
            match item.outcome() {
                Ok(opened) => assert_eq!((opened.sequence >> 32, item.packet.octets()), (1, &[n; 30][..])),
                Err(reason) => assert_eq!((n, reason), (7, DropReason::Open(OpenError::Icv))),
            }
        }
        assert_eq!(lot.iter().filter(|item| item.outcome().is_ok()).count(), 19);
    }
}

#[test]
fn no_number_and_no_iv_comes_twice_over_any_run_of_snapshots_crashes_and_restores() {
    let gcm = CipherAlgorithm::AesGcm(AesKey::Bits128, IcvLen::Octets16);
    let plan = Plan { suite: Suite::new(gcm, IntegrityAlgorithm::None).unwrap(), ..Plan::default() };
    let mut tunnel = Tunnel::new(&plan);
    let mut seen = std::collections::BTreeSet::new();
    let mut kept = tunnel.left.snapshot(tunnel.sealing, 10).unwrap();
    for round in 0..40u64 {
        // Some rounds run into the end of what the snapshot reserved, some crash long before.
        for _ in 0..round % 13 {
            match tunnel.seal(NOW, b"a") {
                Ok(wire) => assert!(seen.insert(wire[4..16].to_vec()), "a number or IV came twice"),
                Err(refusal) => assert_eq!(refusal, SealRefusal::SnapshotDue),
            }
        }
        if round % 3 == 0 {
            kept = tunnel.left.snapshot(tunnel.sealing, 10).unwrap();
        }
        if round % 2 == 0 {
            tunnel.left.remove(tunnel.sealing).unwrap();
            tunnel.sealing = tunnel.left.restore_outbound(NOW, &kept, seal_key(&plan), None).unwrap();
            assert_eq!(tunnel.seal(NOW, b"a").unwrap_err(), SealRefusal::SnapshotDue);
            kept = tunnel.left.snapshot(tunnel.sealing, 10).unwrap();
        }
    }
    assert!(seen.len() > 100);
}

#[test]
fn the_next_snapshot_is_asked_for_when_half_is_used() {
    let mut tunnel = Tunnel::new(&Plan::default());
    tunnel.left.snapshot(tunnel.sealing, 4).unwrap();
    tunnel.seal(NOW, b"a").unwrap();
    assert_eq!(actions(&mut tunnel.left), []);
    tunnel.seal(NOW, b"a").unwrap();
    assert_eq!(actions(&mut tunnel.left), [Action::SnapshotDue { association: tunnel.sealing }]);
}

#[test]
fn a_restored_association_refuses_what_it_may_have_received_and_keeps_its_counts() {
    let plan = Plan::default();
    let mut tunnel = Tunnel::new(&plan);
    let wire: Vec<_> = (0..30).map(|_| tunnel.seal(NOW, b"abc").unwrap()).collect();
    tunnel.open(NOW, &wire[0]).unwrap();
    let kept = tunnel.right.snapshot(tunnel.opening, 20).unwrap();
    tunnel.open(NOW, &wire[5]).unwrap();
    tunnel.right.remove(tunnel.opening).unwrap();
    tunnel.opening = tunnel.right.restore_inbound(NOW, &kept, open_key(&plan)).unwrap();
    for packet in &wire[..21] {
        assert!(matches!(tunnel.open(NOW, packet), Err(DropReason::Replay(_))));
    }
    for packet in &wire[21..] {
        tunnel.open(NOW, packet).unwrap();
    }
    assert_eq!(tunnel.counter(Side::Inbound, "inProcessDone"), 10);
    let twice = tunnel.right.restore_inbound(NOW, &kept, open_key(&plan));
    assert_eq!(twice, Err(SadError::SpiTaken(tunnel.spi)));
}

#[test]
fn a_snapshot_is_restored_only_as_what_it_is_and_in_time() {
    let hard = Limits { time: Some(core::time::Duration::from_secs(100)), ..Limits::NONE };
    let plan = Plan { lifetime: Lifetime { soft: Limits::NONE, hard }, ..Plan::default() };
    let mut tunnel = Tunnel::new(&plan);
    let sent = tunnel.left.snapshot(tunnel.sealing, 1).unwrap();
    let received = tunnel.right.snapshot(tunnel.opening, 1).unwrap();
    let other = extended(suite());
    assert_eq!(tunnel.left.restore_outbound(NOW, &received, seal_key(&plan), None), Err(SadError::OtherKeys));
    assert_eq!(tunnel.left.restore_outbound(NOW, &sent, seal_key(&other), None), Err(SadError::OtherKeys));
    assert_eq!(tunnel.right.restore_inbound(NOW, &sent, open_key(&plan)), Err(SadError::OtherKeys));
    let late = Instant::from_secs(100);
    assert_eq!(tunnel.left.restore_outbound(late, &sent, seal_key(&plan), None), Err(SadError::Expired));
    assert_eq!(tunnel.left.snapshot_all(1).len(), 1);
    let stale = tunnel.sealing;
    tunnel.left.remove(stale).unwrap();
    assert_eq!(tunnel.left.snapshot(stale, 1), Err(SadError::Stale(stale)));
}

#[test]
fn a_restore_counts_as_an_addition_and_one_past_its_limit_is_refused() {
    let hard = Limits { packets: Some(3), ..Limits::NONE };
    let plan = Plan { lifetime: Lifetime { soft: Limits::NONE, hard }, ..Plan::default() };
    let mut tunnel = Tunnel::new(&plan);
    let mut kept = tunnel.left.snapshot(tunnel.sealing, 1).unwrap();
    let before = tunnel.left.counters().clone();
    tunnel.left.restore_outbound(NOW, &kept, seal_key(&plan), None).unwrap();
    assert_eq!(tunnel.left.counters().add_good, before.add_good + 1);
    kept.packets = 3;
    assert_eq!(tunnel.left.restore_outbound(NOW, &kept, seal_key(&plan), None), Err(SadError::Expired));
    assert_eq!(tunnel.left.counters().add_failed, before.add_failed + 1);
}
