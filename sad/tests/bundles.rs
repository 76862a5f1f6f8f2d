//! AH, AH around ESP, and manual keys.

use crate::common::broken::Broken;
use crate::common::*;
use drive::{Instant, Path};
use esp_ah::ah::{AhError, AhKey};
use esp_ah::{BuiltIn, CipherAlgorithm, IntegrityAlgorithm, OpenKey, Packet, Provider, ProviderFailed};
use esp_ah::{SealKey, Suite, suite::AesKey, suite::IcvLen};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sad::*;

const NOW: Instant = Instant::from_secs(1);

fn ah_key(provider: &dyn Provider) -> AhKey {
    let algorithm = IntegrityAlgorithm::HmacSha256_128;
    AhKey::with_provider(algorithm, SequenceBits::Bits32, &[5; 32], provider).unwrap()
}

/// A whole IPv4 packet of `protocol`.
fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 7, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    packet.extend_from_slice(payload);
    let length = (packet.len() as u16).to_be_bytes();
    packet[2..4].copy_from_slice(&length);
    packet
}

/// One end that sends AH around ESP, one that receives it.
struct Ends {
    left: Sad,
    right: Sad,
    esp: (SaHandle, SaHandle),
    ah: (SaHandle, SaHandle),
}

impl Ends {
    fn new() -> Self {
        Self::with_ah_by(&BuiltIn)
    }

    fn with_ah_by(provider: &dyn Provider) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut left = Sad::new(SadSettings::default(), &mut rng);
        let mut right = Sad::new(SadSettings::default(), &mut rng);
        let there = SaParameters { path: path().reversed(), ..parameters(Lifetime::default()) };
        let here = parameters(Lifetime::default());
        let bits = SequenceBits::Bits32;
        let mut pair = |protocol, open: InboundKeys, seal: OutboundKeys| {
            let destination = there.path.local.ip();
            let (opening, spi) = right.allocate_spi(NOW, protocol, destination, OWNER, &mut rng).unwrap();
            let window = WindowSize::Packets64;
            right.install_inbound(NOW, opening, &there, window, SourceCheck::Any, open).unwrap();
            (left.install_outbound(NOW, spi, &here, seal, None).unwrap(), opening)
        };
        let keymat = keymat(suite());
        let open = InboundKeys::Esp(OpenKey::new(suite(), bits, &keymat).unwrap());
        let seal = OutboundKeys::Esp(SealKey::new(suite(), bits, &keymat).unwrap());
        let esp = pair(SaProtocol::Esp, open, seal);
        let ah = pair(SaProtocol::Ah, InboundKeys::Ah(ah_key(provider)), OutboundKeys::Ah(ah_key(provider)));
        Self { left, right, esp, ah }
    }

    fn seal_ah(&mut self, packet: &[u8]) -> Result<Vec<u8>, SealRefusal> {
        let mut buffer = [&[0; 64][..], packet].concat();
        let mut packet = Packet::new(&mut buffer, 64..64 + packet.len()).unwrap();
        self.left.seal_ah(NOW, self.ah.0, &mut packet)?;
        Ok(packet.octets().to_vec())
    }

    fn seal_esp(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut buffer = [&[0; 64][..], payload, &[0; 64]].concat();
        let packet = Packet::new(&mut buffer, 64..64 + payload.len()).unwrap();
        let mut outgoing = Outgoing::new(self.esp.0, packet, 6);
        self.left.seal(NOW, &mut outgoing).unwrap();
        outgoing.packet.octets().to_vec()
    }

    fn open_ah(&mut self, wire: &[u8]) -> Result<(Opened, Vec<u8>), DropReason> {
        let mut buffer = wire.to_vec();
        let mut packet = Packet::whole(&mut buffer);
        let opened = self.right.open_ah(NOW, self.arrival(), None, &mut packet)?;
        Ok((opened, packet.octets().to_vec()))
    }

    fn open_esp(&mut self, wire: &[u8], through: Option<SaHandle>) -> Result<Vec<u8>, DropReason> {
        let mut buffer = wire.to_vec();
        let mut incoming = Incoming::new(self.arrival(), Packet::whole(&mut buffer));
        incoming.through = through;
        self.right.open(NOW, &mut incoming)?;
        Ok(incoming.packet.octets().to_vec())
    }

    fn arrival(&self) -> Path {
        path().reversed()
    }

    fn counter(&self, handle: SaHandle, name: &str) -> u64 {
        let sad = if handle.side() == Side::Inbound { &self.right } else { &self.left };
        let counters = sad.status(handle).unwrap().detail.unwrap().counters;
        counters.iter().find(|(known, _)| *known == name).unwrap().1
    }
}

#[test]
fn a_provider_that_fails_in_ah_counts_as_the_hash_and_is_no_forgery() {
    let plain = ipv4(6, b"a segment");
    let wire = Ends::new().seal_ah(&plain).unwrap();
    let mut ends = Ends::with_ah_by(&Broken);
    let provider = ends.left.status(ends.ah.0).unwrap().detail.unwrap().hash_provider;
    assert_eq!(provider, Some(Broken::ID));
    assert_eq!(ends.seal_ah(&plain).unwrap_err(), SealRefusal::Ah(AhError::Integrity(ProviderFailed)));
    assert_eq!((ends.counter(ends.ah.0, "ahOutHashFail"), ends.counter(ends.ah.0, "ahOutHashGood")), (1, 0));
    assert_eq!(ends.open_ah(&wire).unwrap_err(), DropReason::Ah(AhError::Integrity(ProviderFailed)));
    assert_eq!((ends.counter(ends.ah.1, "ahInHashFail"), ends.counter(ends.ah.1, "ahIcvInvalid")), (1, 0));
}

#[test]
fn ah_goes_through_association_replay_icv_and_counters() {
    let mut ends = Ends::new();
    let plain = ipv4(6, b"a segment");
    let wire = ends.seal_ah(&plain).unwrap();
    let (opened, got) = ends.open_ah(&wire).unwrap();
    // The checksum is filled in on the way.
    assert_eq!((opened.next_header, opened.sequence, &got[20..]), (6, 1, &plain[20..]));
    assert_eq!(ends.open_ah(&wire).unwrap_err(), DropReason::Replay(ReplayError::Replayed));
    let mut forged = ends.seal_ah(&plain).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(ends.open_ah(&forged).unwrap_err(), DropReason::Ah(AhError::Icv));
    let mut fragment = plain.clone();
    fragment[6] = 0x20;
    assert_eq!(ends.seal_ah(&fragment).unwrap_err(), SealRefusal::Ah(AhError::Fragment));
    let (sealing, opening) = ends.ah;
    for (handle, name, value) in [
        (sealing, "ahOutHashGood", 2),
        (sealing, "ahFragmentSeen", 1),
        (sealing, "espEncryptionGood", 0),
        (opening, "ahInHashGood", 1),
        (opening, "ahReplayedPacket", 1),
        (opening, "ahIcvInvalid", 1),
        (opening, "espInHashGood", 0),
    ] {
        assert_eq!(ends.counter(handle, name), value, "{name}");
    }
    assert!(ends.right.status(opening).unwrap().detail.unwrap().integrity.is_some());
}

#[test]
fn what_is_wrong_around_ah_is_counted_for_what_it_is() {
    let mut ends = Ends::new();
    let wire = ends.seal_ah(&ipv4(6, b"a segment")).unwrap();
    let mut fragment = wire.clone();
    fragment[6] = 0x20;
    assert_eq!(ends.open_ah(&fragment).unwrap_err(), DropReason::Ah(AhError::Fragment));
    assert_eq!(ends.open_ah(&ipv4(50, b"not AH at all")).unwrap_err(), DropReason::Ah(AhError::Absent));
    assert!(matches!(ends.open_ah(&wire[..30]), Err(DropReason::Ah(AhError::Wire(_)))));
    let counters = ends.right.counters();
    assert_eq!((counters.ah_fragment, counters.ah_malformed, counters.too_short), (1, 2, 0));
    let mut longer = wire.clone();
    longer[21] += 1;
    assert_eq!(ends.open_ah(&longer).unwrap_err(), DropReason::Ah(AhError::PayloadLen));
    assert_eq!(ends.counter(ends.ah.1, "ahBadPayloadLength"), 1);
    // An option that goes beyond the header.
    let mut lies = ipv4(51, &[&[68, 9, 5, 0], &wire[20..]].concat());
    lies[0] = 0x46;
    assert!(matches!(ends.open_ah(&lies), Err(DropReason::Ah(AhError::Wire(_)))));
    assert_eq!(ends.counter(ends.ah.1, "ahBadPayloadLength"), 1);
    assert_eq!(ends.counter(ends.ah.1, "inProcessFailImm"), 1);
    assert!(ends.open_ah(&wire).is_ok(), "none of them moved anything");
    // Each handle of a packet to send was looked up once: a stale one failed.
    assert_eq!((ends.left.counters().get_good, ends.left.counters().get_failed), (1, 0));
    ends.left.remove(ends.ah.0).unwrap();
    assert_eq!(ends.seal_ah(&ipv4(6, b"a")).unwrap_err(), SealRefusal::Stale);
    let mut buffer = [0; 256];
    let mut outgoing = Outgoing::new(ends.ah.0, Packet::new(&mut buffer, 64..100).unwrap(), 6);
    assert_eq!(ends.left.seal(NOW, &mut outgoing).unwrap_err(), SealRefusal::Stale);
    ends.seal_esp(b"a");
    assert_eq!((ends.left.counters().get_good, ends.left.counters().get_failed), (2, 2));
}

/// Takes both ends of AH away and puts them back with this last number sent, and this greatest received.
fn forward_ah(ends: &mut Ends, bits: SequenceBits, last: u64, top: u64) {
    let key = || AhKey::new(IntegrityAlgorithm::HmacSha256_128, bits, &[5; 32]).unwrap();
    let mut sent = ends.left.snapshot(ends.ah.0, 0).unwrap();
    (sent.reserved, sent.bits) = (last, bits);
    ends.left.remove(ends.ah.0).unwrap();
    ends.ah.0 = ends.left.restore_outbound(NOW, &sent, OutboundKeys::Ah(key()), None).unwrap();
    ends.left.snapshot(ends.ah.0, u64::MAX).unwrap();
    let mut received = ends.right.snapshot(ends.ah.1, 0).unwrap();
    (received.reserved, received.bits) = (top, bits);
    ends.right.remove(ends.ah.1).unwrap();
    ends.ah.1 = ends.right.restore_inbound(NOW, &received, InboundKeys::Ah(key())).unwrap();
}

#[test]
fn ah_ends_before_its_numbers_wrap() {
    let mut ends = Ends::new();
    let last = u64::from(u32::MAX);
    forward_ah(&mut ends, SequenceBits::Bits32, last - 1, last - 1);
    let wire = ends.seal_ah(&ipv4(6, b"the last")).unwrap();
    assert_eq!(ends.open_ah(&wire).unwrap().0.sequence, last);
    assert_eq!(ends.seal_ah(&ipv4(6, b"one more")).unwrap_err(), SealRefusal::SequenceExhausted);
    assert_eq!(ends.seal_ah(&ipv4(6, b"and one")).unwrap_err(), SealRefusal::NotCarrying(SaState::Dead));
    assert_eq!(ends.counter(ends.ah.0, "ahSeqNumberCycled"), 1);
    let hard = actions(&mut ends.left)
        .into_iter()
        .filter(|action| matches!(action, Action::HardExpired { limit: LimitKind::Sequence, .. }));
    assert_eq!(hard.count(), 1);
}

#[test]
fn extended_numbers_of_ah_cross_two_to_the_32_and_find_their_way_back() {
    let mut ends = Ends::new();
    let edge = 1u64 << 32;
    forward_ah(&mut ends, SequenceBits::Bits64, edge - 20, edge - 20);
    let wire: Vec<_> = (0..40).map(|n| ends.seal_ah(&ipv4(6, &[n; 9])).unwrap()).collect();
    for packet in wire.iter().rev() {
        ends.open_ah(packet).unwrap();
        assert_eq!(ends.open_ah(packet).unwrap_err(), DropReason::Replay(ReplayError::Replayed));
    }
    // The receiver missed a whole turn of the lower half.
    forward_ah(&mut ends, SequenceBits::Bits64, edge + 100, 100);
    for _ in 1..Sad::RESYNCHRONISE_AFTER {
        let wire = ends.seal_ah(&ipv4(6, b"lost")).unwrap();
        assert_eq!(ends.open_ah(&wire).unwrap_err(), DropReason::Ah(AhError::Icv));
    }
    let wire = ends.seal_ah(&ipv4(6, b"found")).unwrap();
    assert_eq!(ends.open_ah(&wire).unwrap().0.sequence >> 32, 1);
    assert_eq!(ends.counter(ends.ah.1, "ahIcvInvalid"), u64::from(Sad::RESYNCHRONISE_AFTER) - 1);
}

#[test]
fn an_association_does_only_its_own_protocol() {
    let mut ends = Ends::new();
    let mut buffer = [0; 256];
    let packet = Packet::new(&mut buffer, 64..100).unwrap();
    let mut outgoing = Outgoing::new(ends.ah.0, packet, 6);
    assert_eq!(ends.left.seal(NOW, &mut outgoing).unwrap_err(), SealRefusal::OtherProtocol);
    ends.ah.0 = ends.esp.0;
    assert_eq!(ends.seal_ah(&ipv4(6, b"a")).unwrap_err(), SealRefusal::OtherProtocol);
}

#[test]
fn of_a_bundle_the_inner_association_takes_only_what_came_through_the_outer() {
    let mut ends = Ends::new();
    let ((esp_out, esp_in), (ah_out, ah_in)) = (ends.esp, ends.ah);
    ends.left.bundle(ah_out, esp_out).unwrap();
    ends.right.bundle(ah_in, esp_in).unwrap();
    assert_eq!(ends.left.bundle_of(esp_out).collect::<Vec<_>>(), [esp_out, ah_out]);

    let esp = ends.seal_esp(b"a segment");
    let wire = ends.seal_ah(&ipv4(50, &esp)).unwrap();
    // ESP alone, as an attacker would peel it off.
    assert_eq!(ends.open_esp(&esp, None).unwrap_err(), DropReason::NotFirstInBundle);
    assert_eq!(ends.open_esp(&esp, Some(esp_in)).unwrap_err(), DropReason::NotNextInBundle);
    let (opened, packet) = ends.open_ah(&wire).unwrap();
    assert_eq!(ends.right.bundle_next(opened.association), Some(esp_in));
    assert_eq!(ends.open_esp(&packet[20..], Some(opened.association)).unwrap(), b"a segment");
    assert_eq!(ends.right.bundle_next(esp_in), None);
}

#[test]
fn only_neighbours_of_one_direction_make_a_bundle_and_never_a_ring() {
    let mut ends = Ends::new();
    let ((esp_out, esp_in), (_, ah_in)) = (ends.esp, ends.ah);
    assert_eq!(ends.right.bundle(ah_in, ah_in), Err(SadError::NotABundle));
    ends.right.bundle(ah_in, esp_in).unwrap();
    assert_eq!(ends.right.bundle(esp_in, ah_in), Err(SadError::NotABundle));
    assert_eq!(ends.right.bundle(ah_in, esp_in), Err(SadError::NotABundle));
    assert_eq!(ends.right.bundle(esp_out, esp_in), Err(SadError::Stale(esp_out)));
}

#[test]
fn manual_keys_have_chosen_spis_no_window_and_no_cipher_that_dies_of_reuse() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut sad = Sad::new(SadSettings::default(), &mut rng);
    let (bits, spi) = (SequenceBits::Bits32, Spi::new(4096).unwrap());
    let received = SaParameters { path: path().reversed(), ..parameters(Lifetime::default()) };
    let open = |suite: Suite| InboundKeys::Esp(OpenKey::new(suite, bits, &keymat(suite)).unwrap());
    let seal = |suite: Suite| OutboundKeys::Esp(SealKey::new(suite, bits, &keymat(suite)).unwrap());
    let inbound = sad.install_inbound_manual(NOW, spi, &received, open(suite())).unwrap();
    let sent = parameters(Lifetime::default());
    let outbound = sad.install_outbound_manual(NOW, spi, &sent, seal(suite()), Some(inbound)).unwrap();
    let taken = sad.install_inbound_manual(NOW, spi, &received, open(suite()));
    assert_eq!(taken, Err(SadError::SpiTaken(spi)));
    let gcm = CipherAlgorithm::AesGcm(AesKey::Bits128, IcvLen::Octets16);
    let gcm = Suite::new(gcm, IntegrityAlgorithm::None).unwrap();
    let next = Spi::new(4097).unwrap();
    assert_eq!(sad.install_inbound_manual(NOW, next, &received, open(gcm)), Err(SadError::ManualKeys));
    assert_eq!(sad.install_outbound_manual(NOW, next, &sent, seal(gcm), None), Err(SadError::ManualKeys));

    let mut buffer = [0; 256];
    let mut outgoing = Outgoing::new(outbound, Packet::new(&mut buffer, 64..84).unwrap(), 4);
    sad.seal(NOW, &mut outgoing).unwrap();
    let wire = outgoing.packet.octets().to_vec();
    // The peer may begin again from 1: what is seen twice is taken twice.
    for _ in 0..2 {
        let mut buffer = wire.clone();
        let mut incoming = Incoming::new(path().reversed(), Packet::whole(&mut buffer));
        assert_eq!(sad.open(NOW, &mut incoming).unwrap().association, inbound);
    }
    sad.remove(inbound).unwrap();
    assert_eq!(sad.find(spi.get(), received.path.local.ip(), SaProtocol::Esp), None);
}
