//! Every suite, batches of many associations against single packets, and no allocation on the way.

use crate::common::*;
use allocation_counter::measure;
use drive::Instant;
use esp_ah::{OpenKey, Packet, SealKey, Suite};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sad::*;

const NOW: Instant = Instant::from_secs(1);

#[test]
fn every_suite_goes_both_ways() {
    for suite in Suite::all() {
        for bits in [SequenceBits::Bits32, SequenceBits::Bits64] {
            let mut tunnel = Tunnel::new(&Plan { suite, bits, ..Plan::default() });
            for length in [0, 1, 63, 200] {
                let payload = vec![0x5a; length];
                let wire = tunnel.seal(NOW, &payload).unwrap();
                assert_eq!(tunnel.open(NOW, &wire).unwrap().1, payload, "{suite} {bits:?} {length}");
                assert!(tunnel.open(NOW, &wire).is_err());
            }
        }
    }
}

#[test]
fn a_dummy_of_every_suite_is_sealed_counted_and_dropped() {
    for suite in Suite::all() {
        let mut tunnel = Tunnel::new(&Plan { suite, ..Plan::default() });
        let mut buffer = [0x11; 200];
        let packet = Packet::new(&mut buffer, 64..100).unwrap();
        let mut dummy = Outgoing::new(tunnel.sealing, packet, 59).with_filler(13);
        tunnel.left.seal(NOW, &mut dummy).unwrap();
        let wire = dummy.packet.octets().to_vec();
        assert_eq!(tunnel.open(NOW, &wire).unwrap_err(), DropReason::Dummy, "{suite}");
        assert_eq!(tunnel.open(NOW, &wire).unwrap_err(), DropReason::Replay(ReplayError::Replayed), "{suite}");
        let counters = tunnel.right.status(tunnel.opening).unwrap().detail.unwrap().counters;
        assert_eq!((counters.dummies(), counters.packets(), counters.octets()), (1, 0, 0), "{suite}");
    }
}

/// Several tunnels between two databases.
struct Many {
    left: Sad,
    right: Sad,
    sealing: Vec<SaHandle>,
}

impl Many {
    fn new(count: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut left = Sad::new(SadSettings::default(), &mut rng);
        let mut right = Sad::new(SadSettings::default(), &mut rng);
        let suites: Vec<_> = Suite::all().filter(|suite| !suite.is_dangerous()).collect();
        let there = SaParameters { path: path().reversed(), ..parameters(Lifetime::default()) };
        let sealing = (0..count).map(|index| {
            let (suite, bits) = (suites[index % suites.len()], SequenceBits::Bits32);
            let keymat = keymat(suite);
            let destination = there.path.local.ip();
            let (larval, spi) = right.allocate_spi(NOW, SaProtocol::Esp, destination, OWNER, &mut rng).unwrap();
            let open = InboundKeys::Esp(OpenKey::new(suite, bits, &keymat).unwrap());
            let window = WindowSize::Packets64;
            right.install_inbound(NOW, larval, &there, window, SourceCheck::Any, open).unwrap();
            let seal = OutboundKeys::Esp(SealKey::new(suite, bits, &keymat).unwrap());
            left.install_outbound(NOW, spi, &parameters(Lifetime::default()), seal, None).unwrap()
        });
        let sealing = sealing.collect();
        Self { left, right, sealing }
    }

    /// Seals a batch and returns what goes on the wire.
    fn seal(&mut self, packets: &[(usize, usize)], batch: usize) -> Vec<Vec<u8>> {
        let mut buffers: Vec<_> = packets.iter().map(|(_, length)| vec![0xa5; length + 192]).collect();
        let mut items: Vec<_> = packets
            .iter()
            .zip(&mut buffers)
            .map(|((association, length), buffer)| {
                let packet = Packet::new(buffer, 96..96 + length).unwrap();
                Outgoing::new(self.sealing[*association], packet, 4)
            })
            .collect();
        for chunk in items.chunks_mut(batch) {
            self.left.seal_batch(NOW, chunk);
        }
        items.iter().map(|item| item.outcome().map(|_| item.packet.octets().to_vec()).unwrap()).collect()
    }

    fn open(&mut self, wire: &[Vec<u8>], batch: usize) -> Vec<Result<Vec<u8>, DropReason>> {
        let mut buffers = wire.to_vec();
        let mut items: Vec<_> =
            buffers.iter_mut().map(|buffer| Incoming::new(path().reversed(), Packet::whole(buffer))).collect();
        for chunk in items.chunks_mut(batch) {
            self.right.open_batch(NOW, chunk);
        }
        items.iter().map(|item| item.outcome().map(|_| item.packet.octets().to_vec())).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_batch_of_many_associations_is_its_packets_one_by_one(
        packets in proptest::collection::vec((0usize..8, 0usize..300), 1..150),
        batch in 1usize..150,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..4),
    ) {
        let (mut together, mut alone) = (Many::new(8), Many::new(8));
        let mut wire = together.seal(&packets, batch);
        prop_assert_eq!(&wire, &alone.seal(&packets, 1));
        for (packet, octet) in damage {
            let packet = packet.index(wire.len());
            let octet = octet.index(wire[packet].len());
            wire[packet][octet] ^= 0x40;
        }
        wire.push(wire[0].clone());
        prop_assert_eq!(together.open(&wire, batch), alone.open(&wire, 1));
    }
}

#[test]
fn nothing_is_allocated_for_a_packet() {
    let mut many = Many::new(8);
    let mut buffers = vec![vec![0u8; 1700]; 128];
    // The first packet through an association is news, which is queued.
    for round in 0..3 {
        let handles = &many.sealing;
        let mut outgoing: Vec<_> = buffers
            .iter_mut()
            .enumerate()
            .map(|(index, buffer)| Outgoing::new(handles[index % 8], Packet::new(buffer, 96..1496).unwrap(), 4))
            .collect();
        let sealing = measure(|| many.left.seal_batch(NOW, &mut outgoing));
        let ranges: Vec<_> = outgoing.into_iter().map(|item| item.packet.range()).collect();
        let mut incoming: Vec<_> = buffers
            .iter_mut()
            .zip(ranges)
            .map(|(buffer, range)| Incoming::new(path().reversed(), Packet::new(buffer, range).unwrap()))
            .collect();
        let opening = measure(|| many.right.open_batch(NOW, &mut incoming));
        assert!(incoming.iter().all(|item| item.outcome().is_ok()));
        if round > 0 {
            assert_eq!((sealing.count_total, opening.count_total), (0, 0));
        }
        while many.right.poll_action().is_some() {}
    }
    // The measure sees allocations where there are some.
    assert!(measure(|| drop(Many::new(1))).count_total > 0);
}
