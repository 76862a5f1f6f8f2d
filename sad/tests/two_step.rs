//! Packets in two steps, for cryptography that happens elsewhere: against the direct path, and what each step counts.

use crate::common::engine::{ENGINE, Engine, described, elsewhere, submit};
use crate::common::*;
use core::time::Duration;
use drive::Instant;
use esp_ah::ah::{AhError, AhKey, ah_seal, ah_strip, ah_verify};
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, OpenError, Packet, SealError, Suite, suite::AesKey, suite::IcvLen};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sad::*;

const NOW: Instant = Instant::from_secs(1);

fn total(sad: &Sad, protocol: SaProtocol, name: &str) -> u64 {
    sad.protocol_counters(protocol).iter().find(|(known, _)| *known == name).unwrap().1
}

/// Asserts that what started ended or is under way, for each step of a protocol.
fn balanced(sad: &Sad, protocol: SaProtocol, under_way: u64) {
    let steps: &[[&str; 6]] = match protocol {
        SaProtocol::Esp => &[
            [
                "espOutEncryptionStart",
                "espOutEncryptionFailImm",
                "espOutEncryptionFail",
                "espOutEncryptionGood",
                "espOutEncDoneGetSaFail",
                "espOutEncDoneSaBadState",
            ],
            [
                "espOutHashStart",
                "espOutHashFailImm",
                "espOutHashFail",
                "espOutHashGood",
                "espOutHashDoneGetSaFail",
                "espOutHashDoneSaBadState",
            ],
            [
                "espInHashStart",
                "espInHashFailImm",
                "espInHashFail",
                "espInHashGood",
                "espInHashDoneGetSaFail",
                "espInHashDoneSaBadState",
            ],
        ],
        SaProtocol::Ah => &[
            [
                "ahOutHashStart",
                "ahOutHashFailImm",
                "ahOutHashFail",
                "ahOutHashGood",
                "ahOutHashDoneGetSaFail",
                "ahOutHashDoneSaBadState",
            ],
            [
                "ahInHashStart",
                "ahInHashFailImm",
                "ahInHashFail",
                "ahInHashGood",
                "ahInHashDoneGetSaFail",
                "ahInHashDoneSaBadState",
            ],
        ],
    };
    for [start, ends @ ..] in steps {
        let ended: u64 = ends.iter().map(|end| total(sad, protocol, end)).sum();
        let started = total(sad, protocol, start);
        // Each database has one direction in these tests.
        assert!(started == 0 || started == ended + under_way, "{start} {started} {ended} {under_way}");
    }
}

#[test]
fn an_engine_seals_and_opens_what_the_direct_path_opens_and_seals() {
    for suite in Suite::all().filter(|suite| !suite.is_dangerous()) {
        for bits in [SequenceBits::Bits32, SequenceBits::Bits64] {
            let plan = Plan { suite, bits, ..Plan::default() };
            // The keys are here as well: a worker thread has copies of its own.
            let (mut tunnel, engine) = (Tunnel::new(&plan), Engine::new(&plan));
            let ticket = tunnel.left.submit_seal(NOW, tunnel.sealing, 9).unwrap();
            assert_eq!((ticket.association(), ticket.spi(), ticket.sequence()), (tunnel.sealing, tunnel.spi, 1));
            assert_eq!((ticket.mode(), ticket.keys().transform), (SaMode::Tunnel, SaTransform::Esp(suite)));
            assert_eq!((ticket.keys().bits, ticket.keys().provider), (bits, ProviderId::BUILT_IN));
            let wire = engine.seal(&ticket, b"a payload");
            assert_eq!(tunnel.left.complete_seal(NOW, ticket, Ok(())), Ok(1));
            assert_eq!(tunnel.open(NOW, &wire).unwrap().1, b"a payload", "{suite}");

            let wire = tunnel.seal(NOW, b"another").unwrap();
            let ticket = submit(&mut tunnel.right, NOW, &wire).unwrap();
            assert_eq!((ticket.association(), ticket.spi(), ticket.sequence()), (tunnel.opening, tunnel.spi, 2));
            assert_eq!((ticket.mode(), ticket.keys().transform), (SaMode::Tunnel, SaTransform::Esp(suite)));
            let result = engine.open(&ticket, &wire);
            let opened = tunnel.right.complete_open(NOW, ticket, result).unwrap();
            assert_eq!((opened.next_header, opened.sequence, opened.newest), (4, 2, true), "{suite}");
            assert_eq!((opened.association, opened.flow), (tunnel.opening, FLOW));
            assert_eq!(tunnel.counter(Side::Inbound, "inProcessDone"), 2);
        }
    }
}

#[test]
fn an_association_whose_keys_are_elsewhere_takes_packets_in_two_steps_only() {
    let (mut tunnel, engine) = elsewhere(&Plan::default());
    assert_eq!(tunnel.seal(NOW, b"one").unwrap_err(), SealRefusal::KeysElsewhere);
    assert_eq!(tunnel.counter(Side::Outbound, "espEncryptionFailImm"), 1);
    assert_eq!(tunnel.counter(Side::Outbound, "outProcessFailImm"), 1);
    // No number was taken.
    let ticket = tunnel.left.submit_seal(NOW, tunnel.sealing, 3).unwrap();
    assert_eq!(ticket.sequence(), 1);
    let wire = engine.seal(&ticket, b"one");
    tunnel.left.complete_seal(NOW, ticket, Ok(())).unwrap();

    assert_eq!(tunnel.open(NOW, &wire).unwrap_err(), DropReason::KeysElsewhere);
    assert_eq!(tunnel.counter(Side::Inbound, "espInHashFailImm"), 1);
    assert_eq!(tunnel.counter(Side::Inbound, "inProcessFailImm"), 1);
    let ticket = submit(&mut tunnel.right, NOW, &wire).unwrap();
    let result = engine.open(&ticket, &wire);
    assert_eq!(tunnel.right.complete_open(NOW, ticket, result).unwrap().sequence, 1);
    assert_eq!(tunnel.counter(Side::Inbound, "inProcessDone"), 1);
    balanced(&tunnel.left, SaProtocol::Esp, 0);
    balanced(&tunnel.right, SaProtocol::Esp, 0);

    for (sad, association) in [(&tunnel.left, tunnel.sealing), (&tunnel.right, tunnel.opening)] {
        let detail = sad.status(association).unwrap().detail.unwrap();
        assert_eq!(detail.suite, Some(suite()));
        assert_eq!((detail.encryption_provider, detail.hash_provider), (Some(ENGINE), Some(ENGINE)));
    }
}

#[test]
fn a_sequence_number_is_given_once_whatever_becomes_of_its_ticket() {
    let plan = Plan::default();
    let (mut tunnel, engine) = (Tunnel::new(&plan), Engine::new(&plan));
    let mut seen = std::collections::BTreeSet::new();
    for turn in 0..40 {
        let ticket = tunnel.left.submit_seal(NOW, tunnel.sealing, 1).unwrap();
        assert!(seen.insert(ticket.sequence()));
        match turn % 4 {
            0 => drop(ticket),
            1 => {
                let failure = SealFailure::Engine(EngineFailure::Cipher);
                let refusal = SealRefusal::Engine(EngineFailure::Cipher);
                assert_eq!(tunnel.left.complete_seal(NOW, ticket, Err(failure)), Err(refusal));
            }
            2 => {
                let wire = engine.seal(&ticket, b"x");
                tunnel.left.complete_seal(NOW, ticket, Ok(())).unwrap();
                tunnel.open(NOW, &wire).unwrap();
            }
            _ => {
                drop(ticket);
                let wire = tunnel.seal(NOW, b"direct").unwrap();
                assert!(seen.insert(tunnel.open(NOW, &wire).unwrap().0.sequence));
            }
        }
    }
    assert_eq!(tunnel.counter(Side::Outbound, "outProcessDone"), 20);
    balanced(&tunnel.left, SaProtocol::Esp, 20);
}

#[test]
fn each_end_of_sealing_elsewhere_has_its_counter() {
    let (mut tunnel, _) = elsewhere(&Plan::default());
    let handle = tunnel.sealing;
    let ends = [
        Ok(()),
        Err(SealFailure::Engine(EngineFailure::NotTaken)),
        Err(SealFailure::Engine(EngineFailure::Cipher)),
        Err(SealFailure::Engine(EngineFailure::Integrity)),
        Err(SealFailure::Seal(SealError::TooLong(70000))),
    ];
    for end in ends {
        let ticket = tunnel.left.submit_seal(NOW, handle, 10).unwrap();
        let completed = tunnel.left.complete_seal(NOW, ticket, end);
        assert_eq!(completed.map(|_| ()), end.map_err(SealRefusal::from));
    }
    let expect = |sad: &Sad, wanted: [(&str, u64); 10]| {
        for (name, value) in wanted {
            assert_eq!(total(sad, SaProtocol::Esp, name), value, "{name}");
        }
    };
    let counts = |done: [u64; 4]| {
        [
            ("espOutEncryptionStart", 5 + done[0] + done[2]),
            ("espOutEncryptionFailImm", 1),
            ("espOutEncryptionFail", 2),
            ("espOutEncryptionGood", 2),
            ("espOutEncDoneGetSaFail", done[0]),
            ("espOutEncDoneSaBadState", done[2]),
            ("espOutHashGood", 1),
            ("espOutHashFail", 3),
            ("espOutHashDoneGetSaFail", done[1]),
            ("espOutHashDoneSaBadState", done[3]),
        ]
    };
    expect(&tunnel.left, counts([0; 4]));
    balanced(&tunnel.left, SaProtocol::Esp, 0);

    let (late, gone) =
        (tunnel.left.submit_seal(NOW, handle, 10).unwrap(), tunnel.left.submit_seal(NOW, handle, 10).unwrap());
    balanced(&tunnel.left, SaProtocol::Esp, 2);
    let end = NOW + Duration::from_secs(5);
    tunnel.left.remove_after(NOW, handle, Duration::from_secs(5)).unwrap();
    let dead = SealRefusal::NotCarrying(SaState::Dead);
    assert_eq!(tunnel.left.complete_seal(end, late, Ok(())), Err(dead));
    tunnel.left.remove(handle).unwrap();
    assert_eq!(tunnel.left.complete_seal(end, gone, Ok(())), Err(SealRefusal::Stale));
    expect(&tunnel.left, counts([1; 4]));
    balanced(&tunnel.left, SaProtocol::Esp, 0);
    let [(transform, after)] = tunnel.left.after_removal() else { panic!("one transform was used") };
    assert_eq!((*transform, after.sealed, after.verified), (SaTransform::Esp(suite()), 1, 0));
}

#[test]
fn each_end_of_opening_elsewhere_has_its_counter() {
    let plan = Plan::default();
    let (mut tunnel, engine) = elsewhere(&plan);
    let handle = tunnel.opening;
    let wire: Vec<_> = (0..10)
        .map(|_| {
            let ticket = tunnel.left.submit_seal(NOW, tunnel.sealing, 9).unwrap();
            let wire = engine.seal(&ticket, b"a payload");
            tunnel.left.complete_seal(NOW, ticket, Ok(())).unwrap();
            wire
        })
        .collect();
    let right = OpenedPayload { next_header: 4, octets: 9 };
    let ends = [
        Ok(right),
        Ok(OpenedPayload { next_header: 59, octets: 9 }),
        Err(OpenFailure::Open(OpenError::Icv)),
        Err(OpenFailure::Open(OpenError::PadOctets)),
        Err(OpenFailure::Open(OpenError::Unaligned)),
        Err(OpenFailure::Engine(EngineFailure::NotTaken)),
        Err(OpenFailure::Engine(EngineFailure::Cipher)),
        Err(OpenFailure::Engine(EngineFailure::Integrity)),
    ];
    for (wire, end) in wire.iter().zip(ends) {
        let ticket = submit(&mut tunnel.right, NOW, wire).unwrap();
        let said = match tunnel.right.complete_open(NOW, ticket, end) {
            Ok(_) => Ok(()),
            Err(Unopened::Dropped(reason)) => Err(reason),
            Err(Unopened::Again(_)) => panic!("short numbers are never in doubt"),
        };
        let wanted = match end {
            Ok(OpenedPayload { next_header: 59, .. }) => Err(DropReason::Dummy),
            Ok(_) => Ok(()),
            Err(OpenFailure::Open(error)) => Err(DropReason::Open(error)),
            Err(OpenFailure::Ah(error)) => Err(DropReason::Ah(error)),
            Err(OpenFailure::Engine(failure)) => Err(DropReason::Engine(failure)),
        };
        assert_eq!(said, wanted);
    }
    let expect = |sad: &Sad, done: u64| {
        for (name, value) in [
            ("espInHashStart", 8 + 4 * done),
            ("espInHashFailImm", 2),
            ("espInHashFail", 2),
            ("espInHashGood", 4),
            ("espInIcvInvalid", 1),
            ("espInPaddingInvalid", 1),
            ("espInHashDoneGetSaFail", 2 * done),
            ("espInHashDoneSaBadState", 2 * done),
            ("espInDecryptionStart", 4 + 2 * done),
            ("espInDecryptionFail", 1),
            ("espInDecryptionGood", 3),
            ("espInEncDoneGetSaFail", done),
            ("espInEncDoneSaBadState", done),
        ] {
            assert_eq!(total(sad, SaProtocol::Esp, name), value, "{name}");
        }
    };
    expect(&tunnel.right, 0);
    balanced(&tunnel.right, SaProtocol::Esp, 0);
    // What the engine failed at, or found wrong, is not received: a copy of it still can be.
    let bitmap = tunnel.right.status(handle).unwrap().detail.unwrap().bitmap;
    assert_eq!(bitmap[..4], [true, false, true, true]);

    let mut under_way: Vec<_> =
        [8, 9, 8, 9].map(|at| submit(&mut tunnel.right, NOW, &wire[at]).unwrap()).into_iter().collect();
    balanced(&tunnel.right, SaProtocol::Esp, 4);
    tunnel.right.remove_after(NOW, handle, Duration::from_secs(5)).unwrap();
    let end = NOW + Duration::from_secs(5);
    let wrong = Err(OpenFailure::Open(OpenError::Icv));
    let dead = DropReason::NotCarrying(SaState::Dead);
    let mut complete = |sad: &mut Sad, result| sad.complete_open(end, under_way.pop().unwrap(), result).unwrap_err();
    assert_eq!(complete(&mut tunnel.right, Ok(right)), dead.into());
    // What is wrong never reached the cipher.
    assert_eq!(complete(&mut tunnel.right, wrong), dead.into());
    tunnel.right.remove(handle).unwrap();
    assert_eq!(complete(&mut tunnel.right, Ok(right)), DropReason::Gone.into());
    assert_eq!(complete(&mut tunnel.right, wrong), DropReason::Gone.into());
    expect(&tunnel.right, 1);
    balanced(&tunnel.right, SaProtocol::Esp, 0);
    let [(transform, after)] = tunnel.right.after_removal() else { panic!("one transform was used") };
    assert_eq!(*transform, SaTransform::Esp(suite()));
    assert_eq!((after.sealed, after.verified, after.decrypted), (0, 2, 1));
}

#[test]
fn of_two_copies_under_way_together_one_is_a_replay() {
    let (mut tunnel, engine) = (Tunnel::new(&Plan::default()), Engine::new(&Plan::default()));
    let wire = tunnel.seal(NOW, b"one").unwrap();
    let [first, second] = [0; 2].map(|_| submit(&mut tunnel.right, NOW, &wire).unwrap());
    let results = [engine.open(&first, &wire), engine.open(&second, &wire)];
    // In the other order: what counts is who is done first.
    assert!(tunnel.right.complete_open(NOW, second, results[1]).unwrap().newest);
    let replayed = DropReason::Replay(ReplayError::Replayed);
    assert_eq!(tunnel.right.complete_open(NOW, first, results[0]).unwrap_err(), replayed.into());
    assert_eq!(submit(&mut tunnel.right, NOW, &wire).unwrap_err(), replayed);
    assert_eq!(tunnel.counter(Side::Inbound, "espReplayedPacket"), 2);
    assert_eq!(tunnel.counter(Side::Inbound, "espInHashGood"), 2);
    assert_eq!(tunnel.counter(Side::Inbound, "inProcessDone"), 1);
    balanced(&tunnel.right, SaProtocol::Esp, 0);
}

#[test]
fn what_is_under_way_when_a_hard_limit_is_reached_is_not_sent_and_the_limit_holds() {
    let hard = Limits { packets: Some(3), ..Limits::NONE };
    let plan = Plan { lifetime: Lifetime { soft: Limits { packets: Some(2), ..hard }, hard }, ..Plan::default() };
    let (mut tunnel, _) = elsewhere(&plan);
    let tickets: Vec<_> = (0..5).map(|_| tunnel.left.submit_seal(NOW, tunnel.sealing, 10).unwrap()).collect();
    let dead = Err(SealRefusal::NotCarrying(SaState::Dead));
    let done: Vec<_> = tickets.into_iter().rev().map(|ticket| tunnel.left.complete_seal(NOW, ticket, Ok(()))).collect();
    assert_eq!(done, [Ok(5), Ok(4), Ok(3), dead, dead]);
    assert_eq!(tunnel.left.submit_seal(NOW, tunnel.sealing, 10).map(|_| 0), dead);
    let said = actions(&mut tunnel.left);
    assert!(matches!(
        said[..],
        [Action::SoftExpired { limit: LimitKind::Packets, .. }, Action::HardExpired { limit: LimitKind::Packets, .. }]
    ));
    assert_eq!(tunnel.counter(Side::Outbound, "outProcessDone"), 3);
}

#[test]
fn after_many_wrong_icvs_in_a_row_a_second_ticket_is_for_the_next_upper_half() {
    let plan = Plan { bits: SequenceBits::Bits64, ..Plan::default() };
    let (mut tunnel, engine) = elsewhere(&plan);
    let wrong = Err(OpenFailure::Open(OpenError::Icv));
    let icv = || Unopened::from(DropReason::Open(OpenError::Icv));
    let tries = Sad::RESYNCHRONISE_AFTER;
    // The receiver is one turn of the lower half behind the sender; the engine knows only that the ICV is wrong.
    let packet = |number: u32| {
        let wire: Vec<u8> = [tunnel.spi.get(), number].into_iter().flat_map(u32::to_be_bytes).collect();
        [&wire[..], &[0; 60]].concat()
    };
    let packets: Vec<_> = (1..=tries + 2).map(packet).collect();
    let (last, before) = packets.split_last_chunk::<3>().map(|(before, last)| (last, before)).unwrap();
    for wire in before {
        let ticket = submit(&mut tunnel.right, NOW, wire).unwrap();
        assert!(!ticket.is_doubtful());
        assert_eq!(tunnel.right.complete_open(NOW, ticket, wrong).unwrap_err(), icv());
    }
    let again = |tunnel: &mut Tunnel, wire: &[u8]| {
        let ticket = submit(&mut tunnel.right, NOW, wire).unwrap();
        let first = ticket.sequence();
        assert!(ticket.is_doubtful());
        let Err(Unopened::Again(again)) = tunnel.right.complete_open(NOW, ticket, wrong) else { panic!("no doubt") };
        assert_eq!((again.sequence(), again.is_doubtful()), (first + (1 << 32), false));
        again
    };
    let before = u64::from(tries) - 1;
    assert_eq!(tunnel.counter(Side::Inbound, "espIcvInvalid"), before);
    // Wrong again: counted once, and never a third time tried.
    let ticket = again(&mut tunnel, &last[0]);
    balanced(&tunnel.right, SaProtocol::Esp, 1);
    assert_eq!(tunnel.right.complete_open(NOW, ticket, wrong).unwrap_err(), icv());
    assert_eq!(tunnel.counter(Side::Inbound, "espIcvInvalid"), before + 1);
    // Right: the window is where the sender is.
    let ticket = again(&mut tunnel, &last[1]);
    let number = ticket.sequence();
    let right = OpenedPayload { next_header: 4, octets: 3 };
    assert_eq!(tunnel.right.complete_open(NOW, ticket, Ok(right)).unwrap().sequence, number);
    assert_eq!(tunnel.counter(Side::Inbound, "espIcvInvalid"), before + 1);
    assert_eq!(submit(&mut tunnel.right, NOW, &last[2]).unwrap().sequence(), number + 1);
    balanced(&tunnel.right, SaProtocol::Esp, 1);
    drop(engine);
}

#[test]
fn ah_goes_elsewhere_too() {
    let key = || AhKey::new(IntegrityAlgorithm::HmacSha256_128, SequenceBits::Bits32, &[5; 32]).unwrap();
    let transform = SaTransform::Ah(IntegrityAlgorithm::HmacSha256_128);
    let keys = KeyDescription { transform, bits: SequenceBits::Bits32, provider: ENGINE, integrity_provider: ENGINE };
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let [mut left, mut right] = [0; 2].map(|_| Sad::new(SadSettings::default(), &mut rng));
    let there = SaParameters { path: path().reversed(), ..parameters(Lifetime::default()) };
    let (opening, spi) = right.allocate_spi(NOW, SaProtocol::Ah, there.path.local.ip(), OWNER, &mut rng).unwrap();
    let (window, source) = (WindowSize::Packets64, SourceCheck::Any);
    right.install_inbound(NOW, opening, &there, window, source, InboundKeys::Elsewhere(keys)).unwrap();
    let here = parameters(Lifetime::default());
    let sealing = left.install_outbound(NOW, spi, &here, OutboundKeys::Elsewhere(keys), None).unwrap();

    let mut plain = vec![0x45, 0, 0, 29, 0, 7, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    plain.extend_from_slice(b"a segment");
    let mut fragment = plain.clone();
    fragment[6] = 0x20;
    assert_eq!(left.submit_seal_ah(NOW, sealing, &fragment).unwrap_err(), SealRefusal::Ah(AhError::Fragment));
    assert_eq!(left.submit_seal(NOW, sealing, 9).unwrap_err(), SealRefusal::OtherProtocol);
    let mut buffer = [&[0; 64][..], &plain].concat();
    let mut packet = Packet::new(&mut buffer, 64..64 + plain.len()).unwrap();
    assert_eq!(left.seal_ah(NOW, sealing, &mut packet), Err(SealRefusal::KeysElsewhere));
    let ticket = left.submit_seal_ah(NOW, sealing, packet.octets()).unwrap();
    assert_eq!((ticket.sequence(), ticket.keys()), (1, keys));
    ah_seal(&key(), &mut packet, ticket.spi().get(), ticket.sequence()).unwrap();
    left.complete_seal(NOW, ticket, Ok(())).unwrap();
    let wire = packet.octets().to_vec();
    let ticket = left.submit_seal_ah(NOW, sealing, &plain).unwrap();
    let failure = SealFailure::Ah(AhError::Headers);
    assert_eq!(left.complete_seal(NOW, ticket, Err(failure)), Err(SealRefusal::Ah(AhError::Headers)));
    for (name, value) in [("ahOutFragmentSeen", 1), ("ahOutHashFailImm", 1), ("ahOutHashGood", 1), ("ahOutHashFail", 1)]
    {
        assert_eq!(total(&left, SaProtocol::Ah, name), value, "{name}");
    }
    balanced(&left, SaProtocol::Ah, 0);

    let arrival = path().reversed();
    let mut buffer = wire.clone();
    let mut packet = Packet::whole(&mut buffer);
    assert_eq!(right.open_ah(NOW, arrival, None, &mut packet).unwrap_err(), DropReason::KeysElsewhere);
    assert!(right.submit_open_ah(NOW, arrival, Some(opening), &wire).is_err(), "no bundle");
    let (ticket, place) = right.submit_open_ah(NOW, arrival, None, &wire).unwrap();
    ah_verify(&key(), &mut packet, &place, ticket.sequence()).unwrap();
    ah_strip(&mut packet, &place).unwrap();
    let payload = OpenedPayload { next_header: place.next_header, octets: packet.len() as u64 };
    let opened = right.complete_open(NOW, ticket, Ok(payload)).unwrap();
    assert_eq!((opened.next_header, opened.sequence, &packet.octets()[20..]), (6, 1, &plain[20..]));
    assert!(right.submit_open_ah(NOW, arrival, None, &wire).is_err(), "a replay");
    let mut later = wire.clone();
    for (number, error) in [(2, AhError::PayloadLen), (3, AhError::Icv)] {
        later[20 + 8..20 + 12].copy_from_slice(&u32::to_be_bytes(number));
        let (ticket, _) = right.submit_open_ah(NOW, arrival, None, &later).unwrap();
        let dropped = right.complete_open(NOW, ticket, Err(OpenFailure::Ah(error))).unwrap_err();
        assert_eq!(dropped, DropReason::Ah(error).into());
    }
    for (name, value) in [
        ("ahInHashGood", 1),
        ("ahInHashFail", 1),
        ("ahInHashFailImm", 2),
        ("ahInIcvInvalid", 1),
        ("ahInBadPayloadLength", 1),
    ] {
        assert_eq!(total(&right, SaProtocol::Ah, name), value, "{name}");
    }
    balanced(&right, SaProtocol::Ah, 0);
    let detail = right.status(opening).unwrap().detail.unwrap();
    assert_eq!((detail.encryption_provider, detail.hash_provider), (None, Some(ENGINE)));
}

#[test]
fn what_is_checked_before_the_icv_is_checked_before_a_ticket_is_given() {
    let (mut tunnel, engine) = (Tunnel::new(&Plan::default()), Engine::new(&Plan::default()));
    let wire = tunnel.seal(NOW, b"one").unwrap();
    let mut elsewhere = path().reversed();
    elsewhere.local.set_ip([192, 0, 2, 99].into());
    let mut buffer = wire.clone();
    let incoming = Incoming::new(elsewhere, Packet::whole(&mut buffer));
    let unknown = DropReason::UnknownSpi(tunnel.spi.get());
    assert_eq!(tunnel.right.submit_open(NOW, &incoming).unwrap_err(), unknown);
    assert_eq!(submit(&mut tunnel.right, NOW, &wire[..7]).unwrap_err(), DropReason::TooShort);
    let mut buffer = wire.clone();
    let through = Incoming::new(path().reversed(), Packet::whole(&mut buffer)).with_through(tunnel.opening);
    assert_eq!(tunnel.right.submit_open(NOW, &through).unwrap_err(), DropReason::NotNextInBundle);
    let ticket = submit(&mut tunnel.right, NOW, &wire).unwrap();
    let result = engine.open(&ticket, &wire);
    tunnel.right.complete_open(NOW, ticket, result).unwrap();
    assert_eq!(tunnel.right.submit_open(NOW, &through).unwrap_err(), DropReason::NotNextInBundle);

    let (sealing, opening) = (tunnel.sealing, tunnel.opening);
    assert_eq!(tunnel.left.submit_seal(NOW, opening, 1).unwrap_err(), SealRefusal::Stale);
    assert_eq!(tunnel.left.submit_seal_ah(NOW, sealing, &[0x45; 3]).unwrap_err(), SealRefusal::OtherProtocol);
}

#[test]
fn a_ticket_of_another_database_or_of_a_slot_that_was_given_away_changes_no_association() {
    let (mut tunnel, _) = elsewhere(&Plan::default());
    let (mut other, _) = elsewhere(&Plan::default());
    // Another SPI in the same slot and generation.
    let keys = OutboundKeys::Elsewhere(described(suite(), SequenceBits::Bits32));
    let spi = Spi::new(tunnel.spi.get() ^ 1).unwrap();
    let here = parameters(Lifetime::default());
    let sealing = other.right.install_outbound(NOW, spi, &here, keys, None).unwrap();
    let mut first = Sad::new(SadSettings::default(), &mut ChaCha8Rng::seed_from_u64(1));
    let keys = OutboundKeys::Elsewhere(described(suite(), SequenceBits::Bits32));
    let alien = first.install_outbound(NOW, tunnel.spi, &here, keys, None).unwrap();
    assert_eq!(alien, sealing);
    let ticket = first.submit_seal(NOW, alien, 1).unwrap();
    assert_eq!(other.right.complete_seal(NOW, ticket, Ok(())), Err(SealRefusal::Stale));

    let ticket = tunnel.left.submit_seal(NOW, tunnel.sealing, 1).unwrap();
    tunnel.left.remove(tunnel.sealing).unwrap();
    assert_eq!(tunnel.left.complete_seal(NOW, ticket, Ok(())), Err(SealRefusal::Stale));
}

#[test]
fn keys_elsewhere_are_manual_or_restored_by_the_rules_of_those_here() {
    let gcm = Suite::new(CipherAlgorithm::AesGcm(AesKey::Bits128, IcvLen::Octets16), IntegrityAlgorithm::None).unwrap();
    let (mut tunnel, _) = elsewhere(&Plan::default());
    let here = parameters(Lifetime::default());
    let bits = SequenceBits::Bits32;
    let spi = Spi::new(300).unwrap();
    for (suite, allowed) in [(suite(), true), (gcm, false)] {
        let keys = described(suite, bits);
        let inbound = tunnel.left.install_inbound_manual(NOW, spi, &here, InboundKeys::Elsewhere(keys));
        let outbound = tunnel.left.install_outbound_manual(NOW, spi, &here, OutboundKeys::Elsewhere(keys), None);
        assert_eq!((inbound.is_ok(), outbound.is_ok()), (allowed, allowed), "{suite}");
    }

    let ticket = tunnel.left.submit_seal(NOW, tunnel.sealing, 1).unwrap();
    let snapshot = tunnel.left.snapshot(tunnel.sealing, 2).unwrap();
    let due = [0; 2].map(|_| tunnel.left.submit_seal(NOW, tunnel.sealing, 1).unwrap().sequence());
    assert_eq!((ticket.sequence(), due), (1, [2, 3]));
    assert_eq!(tunnel.left.submit_seal(NOW, tunnel.sealing, 1).unwrap_err(), SealRefusal::SnapshotDue);
    assert_eq!(actions(&mut tunnel.left), [Action::SnapshotDue { association: tunnel.sealing }]);
    // Wherever the keys of the restored one are, it uses no number of these.
    let keys = OutboundKeys::Elsewhere(described(suite(), bits));
    let restored = tunnel.left.restore_outbound(NOW, &snapshot, keys, None).unwrap();
    tunnel.left.snapshot(restored, 10).unwrap();
    assert_eq!(tunnel.left.submit_seal(NOW, restored, 1).unwrap().sequence(), 4);
    let wide = OutboundKeys::Elsewhere(described(suite(), SequenceBits::Bits64));
    assert_eq!(tunnel.left.restore_outbound(NOW, &snapshot, wide, None), Err(SadError::OtherKeys));
}

#[test]
fn the_numbers_end_for_tickets_as_they_do_for_packets_sealed_here() {
    let (mut tunnel, _) = elsewhere(&Plan::default());
    let mut snapshot = tunnel.left.snapshot(tunnel.sealing, 0).unwrap();
    snapshot.reserved = u64::from(u32::MAX) - 1;
    let keys = OutboundKeys::Elsewhere(described(suite(), SequenceBits::Bits32));
    let sealing = tunnel.left.restore_outbound(NOW, &snapshot, keys, None).unwrap();
    tunnel.left.snapshot(sealing, u64::MAX).unwrap();
    let last = tunnel.left.submit_seal(NOW, sealing, 1).unwrap();
    assert_eq!(tunnel.left.complete_seal(NOW, last, Ok(())), Ok(u64::from(u32::MAX)));
    assert_eq!(tunnel.left.submit_seal(NOW, sealing, 1).unwrap_err(), SealRefusal::SequenceExhausted);
    assert_eq!(tunnel.left.status(sealing).unwrap().state, SaState::Dead);
    assert_eq!(total(&tunnel.left, SaProtocol::Esp, "espOutSeqNumberCycled"), 1);
}

#[test]
fn a_ticket_costs_no_memory_and_a_lost_one_neither() {
    let (mut tunnel, engine) = elsewhere(&Plan::default());
    let ticket = tunnel.left.submit_seal(NOW, tunnel.sealing, 3).unwrap();
    let wire = engine.seal(&ticket, b"one");
    drop(ticket);
    let mut buffer = wire.clone();
    let incoming = Incoming::new(path().reversed(), Packet::whole(&mut buffer));
    // The first makes place for the counters of an association.
    drop(tunnel.right.submit_open(NOW, &incoming).unwrap());
    let measured = allocation_counter::measure(|| {
        for _ in 0..1000 {
            drop(tunnel.left.submit_seal(NOW, tunnel.sealing, 3).unwrap());
            drop(tunnel.right.submit_open(NOW, &incoming).unwrap());
        }
        let ticket = tunnel.left.submit_seal(NOW, tunnel.sealing, 3).unwrap();
        tunnel.left.complete_seal(NOW, ticket, Ok(())).unwrap();
    });
    assert_eq!(measured.count_total, 0);
    let detail = tunnel.left.status(tunnel.sealing).unwrap().detail.unwrap();
    assert_eq!((detail.counters.under_way(), detail.counters.packets(), detail.last_sequence), (1001, 1, 1002));
}
