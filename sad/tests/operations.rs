//! Random operations on two databases: whatever the order, what the documentation promises stays true.

use crate::common::{FLOW, OWNER, actions, keymat, parameters, path};
use core::time::Duration;
use drive::Instant;
use esp_ah::{OpenKey, Packet, SealKey, Suite};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sad::*;
use std::collections::BTreeSet;

/// The most associations a direction: few, so that databases get full and slots are used again.
const LIMIT: usize = 6;

#[derive(Clone, Debug)]
enum Operation {
    Allocate,
    Install { suite: prop::sample::Index, extended: bool, window: prop::sample::Index, limits: u8 },
    Seal { which: prop::sample::Index, count: usize, length: usize, room: bool },
    Deliver { which: prop::sample::Index, count: usize },
    Forge { which: prop::sample::Index, bit: prop::sample::Index },
    Wait { seconds: u64 },
    Back { seconds: u64 },
    Remove { which: prop::sample::Index, inbound: bool },
    RemoveAfter { which: prop::sample::Index, inbound: bool, seconds: u64 },
    Keep { which: prop::sample::Index, reserve: u64 },
    CrashAndRestore { which: prop::sample::Index },
    UseStale,
}

fn operations() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let index = any::<prop::sample::Index>;
    prop_oneof![
        1 => Just(Allocate),
        4 => (index(), any::<bool>(), index(), 0u8..4)
            .prop_map(|(suite, extended, window, limits)| Install { suite, extended, window, limits }),
        8 => (index(), 1usize..5, 0usize..100, prop::bool::weighted(0.9))
            .prop_map(|(which, count, length, room)| Seal { which, count, length, room }),
        8 => (index(), 1usize..5).prop_map(|(which, count)| Deliver { which, count }),
        2 => (index(), index()).prop_map(|(which, bit)| Forge { which, bit }),
        3 => (0u64..40).prop_map(|seconds| Wait { seconds }),
        1 => (0u64..40).prop_map(|seconds| Back { seconds }),
        1 => (index(), any::<bool>()).prop_map(|(which, inbound)| Remove { which, inbound }),
        1 => (index(), any::<bool>(), 0u64..40)
            .prop_map(|(which, inbound, seconds)| RemoveAfter { which, inbound, seconds }),
        2 => (index(), 0u64..12).prop_map(|(which, reserve)| Keep { which, reserve }),
        1 => index().prop_map(|which| CrashAndRestore { which }),
        1 => Just(UseStale),
    ]
}

/// An association as both ends know it.
struct Known {
    sealing: Option<SaHandle>,
    opening: Option<SaHandle>,
    suite: Suite,
    bits: SequenceBits,
    window: WindowSize,
    kept: Option<SaSnapshot>,
    /// What went on the wire: sequence number and IV, none of them twice.
    numbers: BTreeSet<u64>,
    ivs: BTreeSet<Vec<u8>>,
    delivered: BTreeSet<u64>,
}

struct Sent {
    known: usize,
    sequence: u64,
    payload: Vec<u8>,
    wire: Vec<u8>,
}

struct Run {
    left: Sad,
    right: Sad,
    rng: ChaCha8Rng,
    now: Instant,
    latest: Instant,
    known: Vec<Known>,
    sent: Vec<Sent>,
    stale: Vec<SaHandle>,
    larval: usize,
}

impl Run {
    fn new() -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let settings = SadSettings { limit: LIMIT, ..SadSettings::default() };
        let (left, right) = (Sad::new(settings, &mut rng), Sad::new(settings, &mut rng));
        let now = Instant::from_secs(1);
        Self { left, right, rng, now, latest: now, known: vec![], sent: vec![], stale: vec![], larval: 0 }
    }

    fn seal_key(known: &Known) -> OutboundKeys {
        OutboundKeys::Esp(SealKey::new(known.suite, known.bits, &keymat(known.suite)).unwrap())
    }

    fn install(&mut self, suite: Suite, bits: SequenceBits, window: WindowSize, limits: u8) {
        let there = path().reversed();
        let allocated = self.right.allocate_spi(self.now, SaProtocol::Esp, there.local.ip(), OWNER, &mut self.rng);
        let Ok((opening, spi)) = allocated else {
            assert_eq!(allocated, Err(SadError::Full(LIMIT)));
            assert_eq!(self.right.iter().count(), LIMIT);
            return;
        };
        let hard = match limits {
            0 => Limits::NONE,
            1 => Limits { time: Some(Duration::from_secs(60)), ..Limits::NONE },
            2 => Limits { packets: Some(9), ..Limits::NONE },
            _ => Limits { octets: Some(300), ..Limits::NONE },
        };
        let lifetime = Lifetime::new(hard, SoftRule::FOUR_FIFTHS, &mut self.rng);
        let open = InboundKeys::Esp(OpenKey::new(suite, bits, &keymat(suite)).unwrap());
        let received = SaParameters { path: there, ..parameters(lifetime) };
        self.right.install_inbound(self.now, opening, &received, window, SourceCheck::Any, open).unwrap();
        let mut known = Known {
            sealing: None,
            opening: Some(opening),
            suite,
            bits,
            window,
            kept: None,
            numbers: BTreeSet::new(),
            ivs: BTreeSet::new(),
            delivered: BTreeSet::new(),
        };
        let seal = Self::seal_key(&known);
        match self.left.install_outbound(self.now, spi, &parameters(lifetime), seal, None) {
            Ok(sealing) => known.sealing = Some(sealing),
            Err(error) => {
                assert_eq!(error, SadError::Full(LIMIT));
                self.right.remove(opening).unwrap();
                return;
            }
        }
        self.known.push(known);
    }

    fn seal(&mut self, number: usize, count: usize, length: usize, room: bool) {
        let Some(sealing) = self.known[number].sealing else { return };
        let tail = if room { 64 } else { 0 };
        let mut buffers: Vec<_> = (0..count).map(|at| vec![at as u8 ^ 0x5a; 64 + length + tail]).collect();
        let packets = buffers.iter_mut().map(|buffer| Packet::new(buffer, 64..64 + length).unwrap());
        let mut items: Vec<_> = packets.map(|packet| Outgoing::new(sealing, packet, 4)).collect();
        self.left.seal_batch(self.now, &mut items);
        let known = &mut self.known[number];
        for (at, item) in items.iter().enumerate() {
            let payload = vec![at as u8 ^ 0x5a; length];
            match item.outcome() {
                Ok(sequence) => {
                    let wire = item.packet.octets().to_vec();
                    assert!(known.numbers.insert(sequence), "number {sequence} twice");
                    let iv = known.suite.cipher().lengths().iv;
                    assert!(iv == 0 || known.ivs.insert(wire[8..8 + iv].to_vec()), "an IV twice");
                    self.sent.push(Sent { known: number, sequence, payload, wire });
                }
                Err(refusal) => {
                    assert_ne!(refusal, SealRefusal::NotRun);
                    assert_eq!(item.packet.octets(), payload, "{refusal}: the packet is unchanged");
                }
            }
        }
    }

    fn deliver(&mut self, first: usize, count: usize) {
        let some: Vec<_> = (first..self.sent.len()).take(count).collect();
        let mut buffers: Vec<_> = some.iter().map(|at| self.sent[*at].wire.clone()).collect();
        let packets = buffers.iter_mut().map(|buffer| Packet::whole(buffer));
        let mut items: Vec<_> = packets.map(|packet| Incoming::new(path().reversed(), packet)).collect();
        self.right.open_batch(self.now, &mut items);
        for (at, item) in some.into_iter().zip(&items) {
            let sent = &self.sent[at];
            let known = &mut self.known[sent.known];
            match item.outcome() {
                Ok(opened) => {
                    assert_eq!(Some(opened.association), known.opening);
                    assert_eq!((opened.sequence, item.packet.octets()), (sent.sequence, &sent.payload[..]));
                    let again = !known.delivered.insert(sent.sequence);
                    assert!(!again || known.window == WindowSize::Off, "delivered twice");
                }
                Err(reason) => assert_ne!(reason, DropReason::NotRun),
            }
        }
    }

    fn forge(&mut self, at: usize, bit: prop::sample::Index) {
        let sent = &self.sent[at];
        let known = &self.known[sent.known];
        // Without integrity anyone can change packets.
        if known.suite.icv_len() == 0 {
            return;
        }
        let mut wire = sent.wire.clone();
        let bit = bit.index(wire.len() * 8);
        wire[bit / 8] ^= 1 << (bit % 8);
        let seen = |sad: &Sad| {
            let detail = known.opening.and_then(|opening| sad.status(opening)).and_then(|status| status.detail);
            detail.map(|detail| (detail.last_sequence, detail.bitmap, detail.used, detail.counters.packets()))
        };
        let before = seen(&self.right);
        let mut incoming = Incoming::new(path().reversed(), Packet::whole(&mut wire));
        assert!(self.right.open(self.now, &mut incoming).is_err(), "a forged packet");
        assert!(seen(&self.right) == before, "a forged packet changed more than a counter");
    }

    fn forget(&mut self, number: usize, inbound: bool) -> Option<SaHandle> {
        let known = &mut self.known[number];
        let handle = if inbound { known.opening.take() } else { known.sealing.take() };
        self.stale.extend(handle);
        handle
    }

    /// Puts what was kept in place of the association, as after a crash; without a snapshot the keys are lost.
    fn crash(&mut self, number: usize) {
        let Some(sealing) = self.known[number].sealing else { return };
        let Some(kept) = self.known[number].kept.clone() else { return };
        let gone = self.left.remove(sealing);
        self.stale.push(sealing);
        let known = &mut self.known[number];
        known.sealing = None;
        if gone.is_err() {
            return;
        }
        match self.left.restore_outbound(self.now, &kept, Self::seal_key(known), None) {
            Ok(sealing) => {
                known.sealing = Some(sealing);
                // It sends nothing before its own first snapshot is kept.
                let mut buffer = [0; 160];
                let mut outgoing = Outgoing::new(sealing, Packet::new(&mut buffer, 64..80).unwrap(), 4);
                assert!(self.left.seal(self.now, &mut outgoing).is_err());
                known.kept = self.left.snapshot(sealing, 5).ok();
            }
            Err(error) => assert_eq!(error, SadError::Expired),
        }
    }

    fn run(&mut self, operation: Operation) {
        let suites: Vec<_> = Suite::all().collect();
        let pick = |index: prop::sample::Index, len: usize| (len > 0).then(|| index.index(len));
        match operation {
            Operation::Allocate => {
                let here = path().remote.ip();
                if self.right.allocate_spi(self.now, SaProtocol::Ah, here, OWNER, &mut self.rng).is_ok() {
                    self.larval += 1;
                }
            }
            Operation::Install { suite, extended, window, limits } => {
                let bits = if extended { SequenceBits::Bits64 } else { SequenceBits::Bits32 };
                self.install(*suite.get(&suites), bits, *window.get(&WindowSize::ALL), limits);
            }
            Operation::Seal { which, count, length, room } => {
                if let Some(number) = pick(which, self.known.len()) {
                    self.seal(number, count, length, room);
                }
            }
            Operation::Deliver { which, count } => {
                if let Some(first) = pick(which, self.sent.len()) {
                    self.deliver(first, count);
                }
            }
            Operation::Forge { which, bit } => {
                if let Some(at) = pick(which, self.sent.len()) {
                    self.forge(at, bit);
                }
            }
            Operation::Wait { seconds } => {
                self.now += Duration::from_secs(seconds);
                self.latest = self.latest.max(self.now);
            }
            Operation::Back { seconds } => {
                self.now =
                    Instant::from_secs(self.now.as_micros() / 1_000_000 - seconds.min(self.now.as_micros() / 1_000_000))
            }
            Operation::Remove { which, inbound } => {
                let Some(number) = pick(which, self.known.len()) else { return };
                if let Some(handle) = self.forget(number, inbound) {
                    let sad = if inbound { &mut self.right } else { &mut self.left };
                    // It may be dead and gone already.
                    let _ = sad.remove(handle);
                }
            }
            Operation::RemoveAfter { which, inbound, seconds } => {
                let Some(number) = pick(which, self.known.len()) else { return };
                let known = &self.known[number];
                let Some(handle) = (if inbound { known.opening } else { known.sealing }) else { return };
                let sad = if inbound { &mut self.right } else { &mut self.left };
                let _ = sad.remove_after(self.now, handle, Duration::from_secs(seconds));
            }
            Operation::Keep { which, reserve } => {
                let Some(number) = pick(which, self.known.len()) else { return };
                let Some(sealing) = self.known[number].sealing else { return };
                if let Ok(kept) = self.left.snapshot(sealing, reserve) {
                    self.known[number].kept = Some(kept);
                }
            }
            Operation::CrashAndRestore { which } => {
                if let Some(number) = pick(which, self.known.len()) {
                    self.crash(number);
                }
            }
            Operation::UseStale => {
                for stale in &self.stale {
                    let sad = if stale.side() == Side::Inbound { &mut self.right } else { &mut self.left };
                    assert_eq!(sad.remove(*stale), Err(SadError::Stale(*stale)));
                    assert!(sad.status(*stale).is_none());
                }
            }
        }
    }

    /// What is true after every operation.
    fn check(&mut self) {
        for sad in [&mut self.left, &mut self.right] {
            sad.handle_timeout(self.now);
            let _ = actions(sad);
            assert!(sad.poll_timeout().is_none_or(|at| at > self.latest), "a timer that is over was not run");
            let all: Vec<_> = sad.iter().collect();
            assert_eq!(all.len(), sad.len());
            let mut spis = BTreeSet::new();
            for handle in &all {
                let status = sad.status(*handle).unwrap();
                if handle.side() == Side::Inbound {
                    assert!(status.spi.get() >= 256 && spis.insert((status.protocol, status.spi)));
                    let here = path().remote.ip();
                    assert_eq!(sad.find(status.spi.get(), here, status.protocol), Some(*handle));
                }
                if let Some(detail) = status.detail {
                    assert_eq!(detail.suite.is_some(), status.state.carries_traffic(), "keys go with the last packet");
                }
            }
            let carrying = |handle: &SaHandle| sad.status(*handle).is_some_and(|status| status.state.carries_traffic());
            let outbound: Vec<_> = all.iter().filter(|handle| handle.side() == Side::Outbound).copied().collect();
            let mut listed = sad.outbound_of(FLOW).to_vec();
            listed.sort();
            assert_eq!(listed, outbound);
            assert_eq!(sad.outbound_for(FLOW).is_some(), outbound.iter().any(carrying));
            assert!(sad.outbound_for(FLOW).is_none_or(|handle| carrying(&handle)));
        }
        // Those that went by themselves are gone for the ends too.
        for known in &mut self.known {
            for (sad, handle) in [(&self.left, &mut known.sealing), (&self.right, &mut known.opening)] {
                if let Some(gone) = handle.filter(|handle| sad.status(*handle).is_none()) {
                    self.stale.push(gone);
                    *handle = None;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_promised_stays_true_over_any_operations(operations in proptest::collection::vec(operations(), 1..120)) {
        let mut run = Run::new();
        for operation in operations {
            run.run(operation);
            run.check();
        }
    }
}

#[test]
fn the_operations_reach_what_they_are_for() {
    // A fixed run through the whole life, so that the property above does not hold of nothing.
    let mut run = Run::new();
    let suites: Vec<_> = Suite::all().collect();
    run.install(suites[20], SequenceBits::Bits32, WindowSize::Packets64, 1);
    run.seal(0, 4, 30, true);
    run.deliver(0, 4);
    run.deliver(0, 4);
    assert_eq!((run.sent.len(), run.known[0].delivered.len()), (4, 4));
    run.known[0].kept = run.left.snapshot(run.known[0].sealing.unwrap(), 3).ok();
    run.seal(0, 4, 30, true);
    assert_eq!(run.sent.len(), 7, "three were reserved");
    run.crash(0);
    run.seal(0, 4, 30, true);
    assert_eq!(run.sent.len(), 11);
    run.now += Duration::from_secs(200);
    run.latest = run.now;
    run.check();
    assert!(run.left.is_empty() || run.left.outbound_for(FLOW).is_none());
}
