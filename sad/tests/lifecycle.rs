//! Associations from their SPI to their end: larval, mature, dying, dead, gone.

use crate::common::*;
use core::time::Duration;
use drive::{Instant, Path};
use esp_ah::{OpenKey, SealKey};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sad::*;

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(11)
}

fn seconds(seconds: u64) -> Instant {
    Instant::from_secs(seconds)
}

fn limits(time: u64) -> Limits {
    Limits { time: Some(Duration::from_secs(time)), ..Limits::NONE }
}

fn seal_key() -> OutboundKeys {
    OutboundKeys::Esp(SealKey::new(suite(), SequenceBits::Bits32, &keymat(suite())).unwrap())
}

fn open_key() -> InboundKeys {
    InboundKeys::Esp(OpenKey::new(suite(), SequenceBits::Bits32, &keymat(suite())).unwrap())
}

/// A pair of associations at one end, with these limits.
fn pair(sad: &mut Sad, now: Instant, lifetime: Lifetime) -> (SaHandle, SaHandle, Spi) {
    let here = path().local.ip();
    let (inbound, spi) = sad.allocate_spi(now, SaProtocol::Esp, here, OWNER, &mut rng()).unwrap();
    let parameters = parameters(lifetime);
    let window = WindowSize::Packets64;
    sad.install_inbound(now, inbound, &parameters, window, SourceCheck::Any, open_key()).unwrap();
    let outbound = sad.install_outbound(now, spi, &parameters, seal_key(), Some(inbound)).unwrap();
    (inbound, outbound, spi)
}

fn state(sad: &Sad, handle: SaHandle) -> Option<SaState> {
    sad.status(handle).map(|status| status.state)
}

#[test]
fn an_spi_without_keys_runs_out_of_time_and_is_free_again() {
    let mut sad = Sad::new(SadSettings::default(), &mut rng());
    let here = path().local.ip();
    let (larval, spi) = sad.allocate_spi(seconds(1), SaProtocol::Esp, here, OWNER, &mut rng()).unwrap();
    assert_eq!(state(&sad, larval), Some(SaState::Larval));
    assert_eq!(sad.next_timer(), Some((seconds(61), "sad larval association")));
    sad.handle_timeout(seconds(60));
    assert_eq!(actions(&mut sad), []);
    sad.handle_timeout(seconds(61));
    assert_eq!(actions(&mut sad), [Action::LarvalExpired { association: larval, spi, owner: OWNER }]);
    assert_eq!((sad.poll_timeout(), sad.len(), sad.find(spi.get(), here, SaProtocol::Esp)), (None, 0, None));
    let window = WindowSize::Packets64;
    let late = sad.install_inbound(
        seconds(62),
        larval,
        &parameters(Lifetime::default()),
        window,
        SourceCheck::Any,
        open_key(),
    );
    assert_eq!(late, Err(SadError::Stale(larval)));
}

#[test]
fn keys_are_installed_once() {
    let mut sad = Sad::new(SadSettings::default(), &mut rng());
    let (inbound, _, _) = pair(&mut sad, seconds(0), Lifetime::default());
    let again = sad.install_inbound(
        seconds(0),
        inbound,
        &parameters(Lifetime::default()),
        WindowSize::Packets64,
        SourceCheck::Any,
        open_key(),
    );
    assert_eq!(again, Err(SadError::NotLarval(inbound)));
    assert_eq!(sad.counters().add_failed, 1);
}

#[test]
fn a_pair_expires_softly_once_hard_once_and_is_shown_before_it_goes() {
    let mut sad = Sad::new(SadSettings::default(), &mut rng());
    let lifetime = Lifetime { soft: limits(80), hard: limits(100) };
    let (inbound, outbound, spi) = pair(&mut sad, seconds(0), lifetime);
    assert_eq!(sad.next_timer(), Some((seconds(80), "sad soft lifetime")));
    sad.handle_timeout(seconds(80));
    let soft = Action::SoftExpired {
        association: inbound,
        pair: Some(outbound),
        flow: FLOW,
        owner: OWNER,
        limit: LimitKind::Time,
    };
    assert_eq!(actions(&mut sad), [soft]);
    assert_eq!((state(&sad, inbound), state(&sad, outbound)), (Some(SaState::Dying), Some(SaState::Dying)));
    assert_eq!(sad.outbound_for(FLOW), Some(outbound));
    assert_eq!(sad.next_timer(), Some((seconds(100), "sad hard lifetime")));
    sad.handle_timeout(seconds(100));
    let hard = Action::HardExpired {
        association: inbound,
        pair: Some(outbound),
        spi,
        flow: FLOW,
        owner: OWNER,
        limit: LimitKind::Time,
    };
    assert_eq!(actions(&mut sad), [hard]);
    assert_eq!((state(&sad, inbound), state(&sad, outbound)), (Some(SaState::Dead), Some(SaState::Dead)));
    assert_eq!(sad.outbound_for(FLOW), None);
    assert!(sad.status(outbound).unwrap().detail.unwrap().suite.is_none());
    assert_eq!(sad.poll_timeout(), Some(seconds(130)));
    sad.handle_timeout(seconds(130));
    assert_eq!(actions(&mut sad), []);
    assert!(sad.is_empty() && sad.poll_timeout().is_none());
}

#[test]
fn nothing_passes_after_the_hard_time_even_if_nobody_called_the_timer() {
    let lifetime = Lifetime { soft: Limits::NONE, hard: limits(10) };
    let mut tunnel = Tunnel::new(&Plan { lifetime, ..Plan::default() });
    let wire = tunnel.seal(seconds(9), b"in time").unwrap();
    let late = tunnel.seal(seconds(10), b"late").unwrap_err();
    assert_eq!(late, SealRefusal::NotCarrying(SaState::Dead));
    assert_eq!(tunnel.open(seconds(10), &wire).unwrap_err(), DropReason::NotCarrying(SaState::Dead));
    assert_eq!(tunnel.counter(Side::Inbound, "inProcessFailImm"), 1);
}

#[test]
fn a_packet_limit_ends_the_association_within_a_batch() {
    let packets = |packets| Limits { packets: Some(packets), ..Limits::NONE };
    let lifetime = Lifetime { soft: packets(2), hard: packets(3) };
    let mut tunnel = Tunnel::new(&Plan { lifetime, ..Plan::default() });
    let mut buffers = vec![[0u8; 128]; 5];
    let mut batch: Vec<_> = buffers
        .iter_mut()
        .map(|buffer| Outgoing::new(tunnel.sealing, esp_ah::Packet::new(buffer, 40..60).unwrap(), 4))
        .collect();
    tunnel.left.seal_batch(seconds(1), &mut batch);
    let outcomes: Vec<_> = batch.iter().map(|item| item.outcome().is_ok()).collect();
    assert_eq!(outcomes, [true, true, true, false, false]);
    drop(batch);
    let said = actions(&mut tunnel.left);
    assert!(matches!(said[..], [Action::HardExpired { limit: LimitKind::Packets, .. }]), "{said:?}");
}

#[test]
fn an_octet_limit_counts_what_is_inside_and_saturates() {
    let octets = |octets| Limits { octets: Some(octets), ..Limits::NONE };
    let lifetime = Lifetime { soft: octets(100), hard: octets(u64::MAX) };
    let mut tunnel = Tunnel::new(&Plan { lifetime, ..Plan::default() });
    for _ in 0..4 {
        let wire = tunnel.seal(seconds(1), &[0; 25]).unwrap();
        tunnel.open(seconds(1), &wire).unwrap();
    }
    let said = actions(&mut tunnel.left);
    assert!(matches!(said[..], [Action::SoftExpired { limit: LimitKind::Octets, .. }]), "{said:?}");
    let received = actions(&mut tunnel.right);
    assert!(matches!(received[1], Action::SoftExpired { limit: LimitKind::Octets, .. }), "{received:?}");
    let detail = tunnel.left.status(tunnel.sealing).unwrap().detail.unwrap();
    assert_eq!((detail.counters.octets(), detail.octets_left), (100, Some(u64::MAX - 100)));
}

#[test]
fn traffic_goes_out_on_the_newest_mature_association_and_comes_in_on_all() {
    let mut sad = Sad::new(SadSettings::default(), &mut rng());
    let lifetime = Lifetime { soft: limits(80), hard: limits(100) };
    let (old_in, old_out, old_spi) = pair(&mut sad, seconds(0), lifetime);
    sad.handle_timeout(seconds(80));
    assert_eq!(sad.outbound_for(FLOW), Some(old_out));
    let (new_in, new_out, _) = pair(&mut sad, seconds(81), lifetime);
    assert_eq!(sad.outbound_for(FLOW), Some(new_out));
    assert_eq!(sad.outbound_of(FLOW), [old_out, new_out]);
    assert_eq!(sad.find(old_spi.get(), path().local.ip(), SaProtocol::Esp), Some(old_in));
    sad.remove(new_out).unwrap();
    assert_eq!(sad.outbound_for(FLOW), Some(old_out));
    assert_ne!(new_in, old_in);
}

#[test]
fn a_replaced_association_opens_what_is_under_way_until_its_delay_is_over() {
    let mut tunnel = Tunnel::new(&Plan::default());
    let (on_time, late) = (tunnel.seal(seconds(0), b"a").unwrap(), tunnel.seal(seconds(0), b"b").unwrap());
    tunnel.right.remove_after(seconds(1), tunnel.opening, Duration::from_secs(30)).unwrap();
    assert!(tunnel.open(seconds(30), &on_time).is_ok());
    assert_eq!(tunnel.open(seconds(31), &late).unwrap_err(), DropReason::NotCarrying(SaState::Dead));
    let said = actions(&mut tunnel.right);
    assert!(matches!(said[1], Action::HardExpired { limit: LimitKind::Time, .. }), "{said:?}");
    assert_eq!(tunnel.open(seconds(32), &late).unwrap_err(), DropReason::NotCarrying(SaState::Dead));
}

#[test]
fn a_stale_handle_is_an_error_after_its_slot_is_used_again() {
    let settings = SadSettings { limit: 1, ..SadSettings::default() };
    let mut sad = Sad::new(settings, &mut rng());
    let (old_in, old_out, old_spi) = pair(&mut sad, seconds(0), Lifetime::default());
    let here = path().local.ip();
    let full = sad.allocate_spi(seconds(0), SaProtocol::Esp, here, OWNER, &mut rng());
    assert_eq!(full, Err(SadError::Full(1)));
    sad.remove(old_in).unwrap();
    sad.remove(old_out).unwrap();
    let (new_in, new_out, new_spi) = pair(&mut sad, seconds(1), Lifetime::default());
    assert_ne!(new_spi, old_spi);
    for stale in [old_in, old_out] {
        assert_eq!(sad.remove(stale), Err(SadError::Stale(stale)));
        assert_eq!(sad.set_path(stale, path()), Err(SadError::Stale(stale)));
        assert!(sad.status(stale).is_none());
    }
    assert_eq!(sad.find(old_spi.get(), here, SaProtocol::Esp), None);
    assert_eq!(sad.iter().collect::<Vec<_>>(), [new_in, new_out]);
}

#[test]
fn a_clock_that_goes_back_stands_still_and_one_that_jumps_expires_in_order() {
    let mut sad = Sad::new(SadSettings::default(), &mut rng());
    let lifetime = |end| Lifetime { soft: Limits::NONE, hard: limits(end) };
    let (second, _, _) = pair(&mut sad, seconds(0), lifetime(2000));
    let (first, _, _) = pair(&mut sad, seconds(0), lifetime(1000));
    sad.handle_timeout(seconds(500));
    sad.handle_timeout(seconds(1));
    assert_eq!(actions(&mut sad), []);
    sad.handle_timeout(seconds(10 * 365 * 86400));
    let ended: Vec<_> = actions(&mut sad)
        .into_iter()
        .filter_map(
            |action| if let Action::HardExpired { association, .. } = action { Some(association) } else { None },
        )
        .collect();
    assert_eq!(ended, [first, second]);
    assert!(sad.poll_timeout().is_none_or(|at| at > seconds(10 * 365 * 86400)));
}

#[test]
fn ten_thousand_that_end_together_end_one_call_at_a_time() {
    let settings = SadSettings { limit: 10_000, ..SadSettings::default() };
    let mut sad = Sad::new(settings, &mut rng());
    let here = path().local.ip();
    let mut rng = rng();
    for _ in 0..10_000 {
        sad.allocate_spi(seconds(0), SaProtocol::Esp, here, OWNER, &mut rng).unwrap();
    }
    sad.handle_timeout(seconds(60));
    for left in (0..10_000).rev() {
        assert!(matches!(sad.poll_action(), Some(Action::LarvalExpired { .. })));
        assert_eq!(sad.len(), left);
    }
    assert_eq!((sad.poll_action(), sad.poll_timeout()), (None, None));
}

#[test]
fn a_path_moves_by_command_only() {
    let mut sad = Sad::new(SadSettings::default(), &mut rng());
    let (_, outbound, _) = pair(&mut sad, seconds(0), Lifetime::default());
    let moved = Path::new(path().local, ([198, 51, 100, 7], 4500).into());
    sad.set_path(outbound, moved).unwrap();
    assert_eq!(sad.status(outbound).unwrap().detail.unwrap().path, moved);
}

#[test]
fn the_counters_of_a_protocol_keep_what_associations_did_that_are_gone() {
    let mut tunnel = Tunnel::new(&Plan::default());
    let now = Instant::from_secs(1);
    let wire = tunnel.seal(now, &[1; 40]).unwrap();
    tunnel.open(now, &wire).unwrap();
    assert!(tunnel.open(now, &wire).is_err());
    let value = |sad: &Sad, protocol, name: &str| {
        sad.protocol_counters(protocol).iter().find(|(known, _)| *known == name).unwrap().1
    };
    for removed in [0, 1] {
        assert_eq!(value(&tunnel.left, SaProtocol::Esp, "espOutEncryptionGood"), 1);
        assert_eq!(value(&tunnel.right, SaProtocol::Esp, "espInDecryptionGood"), 1);
        assert_eq!(value(&tunnel.right, SaProtocol::Esp, "espInReplayedPacket"), 1);
        assert_eq!(value(&tunnel.right, SaProtocol::Ah, "ahInReplayedPacket"), 0);
        let done = ["espSetupDone", "espRemoveDone"].map(|name| value(&tunnel.left, SaProtocol::Esp, name));
        assert_eq!(done, [1, removed]);
        let _ = (tunnel.left.remove(tunnel.sealing), tunnel.right.remove(tunnel.opening));
    }
}

#[test]
fn a_packet_limit_ends_the_receiving_association_within_a_batch_as_it_does_one_by_one() {
    let packets = |packets| Limits { packets: Some(packets), ..Limits::NONE };
    let lifetime = Lifetime { soft: packets(2), hard: packets(3) };
    let outcomes = |batch: usize| {
        // The sender has no limit of its own.
        let mut tunnel = Tunnel::new(&Plan::default());
        let wire: Vec<_> = (0..6u8).map(|n| tunnel.seal(seconds(1), &[n; 9]).unwrap()).collect();
        let limited = Tunnel::new(&Plan { lifetime, ..Plan::default() });
        let (mut right, opening) = (limited.right, limited.opening);
        let mut buffers = wire;
        // The fifth is forged: what comes after the end is refused for that, whatever it is.
        buffers[4][9] ^= 1;
        let mut items: Vec<_> =
            buffers.iter_mut().map(|buffer| Incoming::new(path().reversed(), esp_ah::Packet::whole(buffer))).collect();
        items.chunks_mut(batch).for_each(|chunk| right.open_batch(seconds(1), chunk));
        let outcomes: Vec<_> = items.iter().map(|item| item.outcome().map(|opened| opened.sequence)).collect();
        let said = actions(&mut right);
        let hard = said.iter().filter(|action| matches!(action, Action::HardExpired { .. })).count();
        let counters = right.status(opening).unwrap().detail.unwrap().counters;
        let value = |name| counters.iter().find(|(known, _)| *known == name).unwrap().1;
        (outcomes, hard, value("inProcessDone"), value("inProcessFailImm"), value("espIcvInvalid"))
    };
    let dead = Err(DropReason::NotCarrying(SaState::Dead));
    let expected = (vec![Ok(1), Ok(2), Ok(3), dead, dead, dead], 1, 3, 3, 0);
    for batch in [1, 2, 6] {
        assert_eq!(outcomes(batch), expected, "batches of {batch}");
    }
}

#[test]
fn an_octet_limit_ends_the_association_with_the_packet_that_reaches_it() {
    let octets = |octets| Limits { octets: Some(octets), ..Limits::NONE };
    for (hard, carried) in [(99, 4), (100, 4), (101, 5)] {
        let lifetime = Lifetime { soft: Limits::NONE, hard: octets(hard) };
        let mut tunnel = Tunnel::new(&Plan { lifetime, ..Plan::default() });
        let sealed = (0..10).filter(|_| tunnel.seal(seconds(1), &[0; 25]).is_ok()).count();
        assert_eq!(sealed, carried, "{hard} octets");
        assert_eq!(tunnel.counter(Side::Outbound, "outProcessFailImm"), 10 - carried as u64);
    }
}

#[test]
fn what_ends_after_a_delay_ends_alone_and_sends_no_more_while_there_is_another() {
    let mut sad = Sad::new(SadSettings::default(), &mut rng());
    let (old_in, old_out, _) = pair(&mut sad, seconds(0), Lifetime::default());
    let (new_in, new_out, _) = pair(&mut sad, seconds(1), Lifetime::default());
    assert_eq!(sad.outbound_for(FLOW), Some(new_out));
    // The newest goes: the older one that is mature sends.
    sad.remove_after(seconds(2), new_out, Duration::from_secs(10)).unwrap();
    assert_eq!((state(&sad, new_out), sad.outbound_for(FLOW)), (Some(SaState::Dying), Some(old_out)));
    sad.remove_after(seconds(2), old_in, Duration::from_secs(30)).unwrap();
    // A shorter delay counts, a longer one does not.
    sad.remove_after(seconds(3), old_in, Duration::from_secs(5)).unwrap();
    sad.remove_after(seconds(3), old_in, Duration::from_secs(500)).unwrap();
    sad.handle_timeout(seconds(8));
    let ended: Vec<_> = actions(&mut sad);
    assert!(matches!(ended[..], [Action::HardExpired { association, pair: None, .. }] if association == old_in));
    assert_eq!(state(&sad, old_in), Some(SaState::Dead));
    assert_eq!((state(&sad, old_out), state(&sad, new_in)), (Some(SaState::Mature), Some(SaState::Mature)));
    sad.handle_timeout(seconds(12));
    assert_eq!(actions(&mut sad).len(), 1);
    assert_eq!((state(&sad, new_out), state(&sad, new_in)), (Some(SaState::Dead), Some(SaState::Mature)));
}

#[test]
fn spis_are_never_reserved_never_in_use_and_come_to_an_end() {
    let settings = SadSettings { limit: 300, ..SadSettings::default() };
    let mut sad = Sad::new(settings, &mut rng());
    let here = path().local.ip();
    let mut rng = rng();
    let mut in_use = std::collections::BTreeMap::new();
    // An operator chose some already.
    for spi in (0..40).map(|n| 256 + n * 7) {
        let spi = Spi::new(spi).unwrap();
        let received = SaParameters { path: path(), ..parameters(Lifetime::default()) };
        let handle = sad.install_inbound_manual(seconds(0), spi, &received, open_key()).unwrap();
        in_use.insert(spi, handle);
    }
    for round in 0..2000 {
        match sad.allocate_spi(seconds(0), SaProtocol::Esp, here, OWNER, &mut rng) {
            Ok((handle, spi)) => {
                assert!(spi.get() >= 256);
                assert_eq!(in_use.insert(spi, handle), None, "{spi} was in use");
                assert_eq!(sad.find(spi.get(), here, SaProtocol::Esp), Some(handle));
            }
            Err(error) => {
                assert_eq!((error, in_use.len()), (SadError::Full(300), 300));
                let oldest = *in_use.keys().nth(round % 300).unwrap();
                sad.remove(in_use.remove(&oldest).unwrap()).unwrap();
                assert_eq!(sad.find(oldest.get(), here, SaProtocol::Esp), None);
            }
        }
    }
    assert!(in_use.iter().all(|(spi, handle)| sad.find(spi.get(), here, SaProtocol::Esp) == Some(*handle)));
}
