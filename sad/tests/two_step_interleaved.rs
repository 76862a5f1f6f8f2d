//! Tickets completed in any order leave what the direct path leaves in that order.

use crate::common::engine::{Engine, submit};
use crate::common::*;
use core::time::Duration;
use drive::Instant;
use proptest::prelude::*;
use sad::*;

/// One thing that happens; times are seconds since the last.
#[derive(Clone, Copy, Debug)]
enum Step {
    Submit(usize),
    /// Of those under way, this one from the oldest on.
    Complete(usize),
    Lose(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0usize..64).prop_map(Step::Submit),
        6 => (0usize..8).prop_map(Step::Complete),
        1 => (0usize..8).prop_map(Step::Lose),
        1 => (1u64..12).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..120)
}

fn lifetimes() -> impl Strategy<Value = Lifetime> {
    let limits = (prop::option::of(1u64..60), prop::option::of(1u64..1500), prop::option::of(1u64..40));
    (limits, 1u16..=1000).prop_map(|((seconds, octets, packets), part)| {
        let time = seconds.map(Duration::from_secs);
        let hard = Limits { time, octets, packets };
        let less = |limit: u64| limit * u64::from(part) / 1000;
        let soft = Limits {
            time: time.map(|time| time * u32::from(part) / 1000),
            octets: octets.map(less),
            packets: packets.map(less),
        };
        Lifetime { soft, hard }
    })
}

/// All that must be equal in both ways, counters apart.
fn shown(sad: &Sad, association: SaHandle) -> Option<String> {
    let SaStatus { state, detail, .. } = sad.status(association)?;
    let detail = detail.unwrap();
    Some(format!(
        "{state} {:?} {:?} {:?} {:?} {:?} {:?} {} {} {}",
        detail.used,
        detail.time_left,
        detail.octets_left,
        detail.packets_left,
        detail.window,
        detail.bitmap,
        detail.counters.packets(),
        detail.counters.octets(),
        detail.counters.dummies(),
    ))
}

fn value(sad: &Sad, name: &str) -> u64 {
    sad.protocol_counters(SaProtocol::Esp).iter().find(|(known, _)| *known == name).unwrap().1
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn opening_in_two_steps_is_opening_in_the_order_of_completion(
        steps in steps(),
        lifetime in lifetimes(),
        extended in any::<bool>(),
    ) {
        let bits = if extended { SequenceBits::Bits64 } else { SequenceBits::Bits32 };
        let plan = Plan { lifetime, bits, window: WindowSize::Packets32, ..Plan::default() };
        let mut two = Tunnel::new(&plan);
        let mut one = Tunnel::new(&plan);
        let mut sender = Tunnel::new(&Plan { bits, ..Plan::default() });
        let engine = Engine::new(&plan);
        // Whole, forged, and dummies.
        let wire: Vec<_> = (0..64u8).map(|index| {
            let mut wire = sender.seal(Instant::ZERO, &[index; 30]).unwrap();
            if index % 7 == 3 {
                wire[20] ^= 1;
            }
            if index % 11 == 5 {
                let ticket = sender.left.submit_seal(Instant::ZERO, sender.sealing, 0).unwrap();
                wire = engine.seal_as(&ticket, b"", 59);
            }
            wire
        }).collect();
        let mut now = Instant::from_secs(1);
        let mut under_way = Vec::new();
        let mut lost = 0;
        let (mut forged_late, mut replayed_late, mut taken_for_new) = (0, 0, 0);
        for step in steps {
            match step {
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
                Step::Submit(index) => match submit(&mut two.right, now, &wire[index]) {
                    Ok(ticket) => under_way.push((ticket, index)),
                    Err(refused) => prop_assert_eq!(one.open(now, &wire[index]).unwrap_err(), refused),
                },
                Step::Lose(at) if at < under_way.len() => {
                    drop(under_way.remove(at));
                    lost += 1;
                }
                Step::Complete(at) if at < under_way.len() => {
                    let (ticket, index) = under_way.remove(at);
                    let result = engine.open(&ticket, &wire[index]);
                    let is_wrong = result.is_err();
                    let completed = two.right.complete_open(now, ticket, result).map_err(|unopened| match unopened {
                        Unopened::Dropped(reason) => reason,
                        Unopened::Again(_) => unreachable!("so many are never wrong in a row"),
                    });
                    let direct = one.open(now, &wire[index]).map(|(opened, _)| opened);
                    match (completed, direct) {
                        // What ended meanwhile is not found, or found before the window is looked at.
                        (Err(DropReason::Gone), Err(DropReason::UnknownSpi(_))) => {}
                        // The number is that of when it came; what is too old by now, the direct path takes for one of
                        // the next upper half.
                        (Err(DropReason::Replay(ReplayError::TooOld)), Err(DropReason::Open(_))) if extended => {
                            taken_for_new += 1;
                        }
                        // The direct path looks at the window first.
                        (Err(DropReason::Open(_)), Err(DropReason::Replay(_))) if is_wrong => forged_late += 1,
                        (Err(DropReason::Replay(one)), Err(DropReason::Replay(other))) => {
                            prop_assert_eq!(one, other);
                            replayed_late += 1;
                        }
                        (completed, direct) => prop_assert_eq!(completed, direct),
                    }
                }
                Step::Lose(_) | Step::Complete(_) => {}
            }
            two.right.handle_timeout(now);
            one.right.handle_timeout(now);
            prop_assert_eq!(actions(&mut two.right), actions(&mut one.right));
            prop_assert_eq!(shown(&two.right, two.opening), shown(&one.right, one.opening));
            prop_assert_eq!(two.right.poll_timeout(), one.right.poll_timeout());
        }
        for name in ["espInDecryptionGood", "espInPaddingInvalid"] {
            prop_assert_eq!(value(&two.right, name), value(&one.right, name), "{}", name);
        }
        prop_assert_eq!(
            value(&two.right, "espInIcvInvalid") + taken_for_new,
            value(&one.right, "espInIcvInvalid") + forged_late
        );
        prop_assert_eq!(
            value(&two.right, "espInReplayedPacket") + forged_late,
            value(&one.right, "espInReplayedPacket") + taken_for_new
        );
        // What is late was hashed; what ended late, too.
        let ended = value(&two.right, "espInHashDoneSaBadState") + value(&two.right, "espInHashDoneGetSaFail");
        let under_way = under_way.len() as u64 + lost;
        prop_assert_eq!(
            value(&two.right, "espInHashStart"),
            value(&one.right, "espInHashStart") + forged_late + replayed_late + ended + under_way
        );
    }

    #[test]
    fn sealing_in_two_steps_is_sealing_in_the_order_of_completion(steps in steps(), lifetime in lifetimes()) {
        let plan = Plan { lifetime, ..Plan::default() };
        let mut two = Tunnel::new(&plan);
        let mut one = Tunnel::new(&plan);
        let mut now = Instant::from_secs(1);
        let mut under_way: Vec<(SealTicket, usize)> = Vec::new();
        let mut numbers = std::collections::BTreeSet::new();
        let (mut lost, mut failed) = (0, 0);
        for step in steps {
            match step {
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
                Step::Submit(octets) => match two.left.submit_seal(now, two.sealing, octets as u64) {
                    Ok(ticket) => {
                        prop_assert!(numbers.insert(ticket.sequence()), "twice");
                        under_way.push((ticket, octets));
                    }
                    Err(refused) => prop_assert_eq!(one.seal(now, &vec![0; octets]).unwrap_err(), refused),
                },
                Step::Lose(at) if at < under_way.len() => {
                    drop(under_way.remove(at));
                    lost += 1;
                }
                Step::Complete(at) if at < under_way.len() => {
                    let (ticket, octets) = under_way.remove(at);
                    if octets % 9 == 4 {
                        // As the direct path takes a number and fails.
                        let failure = SealFailure::Engine(EngineFailure::Integrity);
                        let completed = two.left.complete_seal(now, ticket, Err(failure));
                        failed += u64::from(completed == Err(SealRefusal::Engine(EngineFailure::Integrity)));
                        prop_assert!(completed.is_err());
                    } else {
                        let number = ticket.sequence();
                        let completed = two.left.complete_seal(now, ticket, Ok(()));
                        match one.seal(now, &vec![0; octets]) {
                            Ok(_) => prop_assert_eq!(completed, Ok(number)),
                            Err(refused) => prop_assert_eq!(completed, Err(refused)),
                        }
                    }
                }
                Step::Lose(_) | Step::Complete(_) => {}
            }
            two.left.handle_timeout(now);
            one.left.handle_timeout(now);
            prop_assert_eq!(actions(&mut two.left), actions(&mut one.left));
            prop_assert_eq!(shown(&two.left, two.sealing), shown(&one.left, one.sealing));
            prop_assert_eq!(two.left.poll_timeout(), one.left.poll_timeout());
        }
        prop_assert_eq!(value(&two.left, "espOutHashGood"), value(&one.left, "espOutHashGood"));
        prop_assert_eq!(value(&two.left, "espOutHashFail"), failed);
        let ended = value(&two.left, "espOutHashDoneSaBadState") + value(&two.left, "espOutHashDoneGetSaFail");
        let under_way = under_way.len() as u64 + lost;
        prop_assert_eq!(
            value(&two.left, "espOutHashStart"),
            value(&one.left, "espOutHashStart") + failed + ended + under_way
        );
    }
}
