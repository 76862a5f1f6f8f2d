//! What an association shows of itself, under the names that routers have for it.

use crate::common::*;
use drive::Instant;
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, OpenKey, Packet, SealKey, Suite, suite::AesKey, suite::IcvLen};
use sad::*;

const NOW: Instant = Instant::from_secs(5);

fn detail(sad: &Sad, association: SaHandle) -> SaDetail {
    sad.status(association).unwrap().detail.unwrap()
}

#[test]
fn an_association_shows_its_spi_its_times_its_use_and_its_window() {
    let mut tunnel = Tunnel::new(&Plan { window: WindowSize::Packets32, ..Plan::default() });
    for (sad, association) in [(&tunnel.left, tunnel.sealing), (&tunnel.right, tunnel.opening)] {
        let SaStatus { spi, created, owner, protocol, detail, .. } = sad.status(association).unwrap();
        let detail = detail.unwrap();
        assert_eq!(spi.to_string(), format!("{}(0x{:08X})", tunnel.spi.get(), tunnel.spi.get()));
        assert_eq!((created, owner, protocol), (Instant::ZERO, OWNER, SaProtocol::Esp));
        // `(not used)`, `(not yet)/(not yet)`.
        assert_eq!((detail.used, detail.counters.packets(), detail.counters.octets()), (None, 0, 0));
    }
    let wire: Vec<_> = (0..3).map(|_| tunnel.seal(NOW, &[1; 200]).unwrap()).collect();
    tunnel.open(NOW, &wire[0]).unwrap();
    tunnel.open(NOW, &wire[2]).unwrap();
    let (sent, received) = (detail(&tunnel.left, tunnel.sealing), detail(&tunnel.right, tunnel.opening));
    assert_eq!((sent.used, sent.counters.packets(), sent.counters.octets()), (Some(NOW), 3, 600));
    assert_eq!((received.used, received.counters.packets(), received.counters.octets()), (Some(NOW), 2, 400));
    assert_eq!((sent.last_sequence, received.last_sequence), (3, 3));
    assert_eq!((sent.window, received.window, received.bitmap.len()), (None, Some(32), 32));
    assert_eq!(received.bitmap[..4], [true, false, true, false]);
    assert_eq!(tunnel.left.outbound_of(FLOW), [tunnel.sealing]);
}

#[test]
fn who_does_the_cryptography_is_shown_for_the_cipher_and_for_the_hash_until_the_association_is_dead() {
    let built_in = Some(ProviderId::BUILT_IN);
    let gcm = CipherAlgorithm::AesGcm(AesKey::Bits128, IcvLen::Octets16);
    let gcm = Suite::new(gcm, IntegrityAlgorithm::None).unwrap();
    let elsewhere = (Some(ProviderId::new(9)), Some(ProviderId::new(10)));
    for (suite, here) in [(suite(), true), (gcm, true), (suite(), false), (gcm, false)] {
        let mut tunnel = Tunnel::new(&Plan { suite, ..Plan::default() });
        let keymat = keymat(suite);
        let bits = SequenceBits::Bits32;
        let transform = SaTransform::Esp(suite);
        let (provider, integrity_provider) = (ProviderId::new(9), ProviderId::new(10));
        let keys = KeyDescription { transform, bits, provider, integrity_provider };
        let (seal, open) = if here {
            let seal = OutboundKeys::Esp(SealKey::new(suite, bits, &keymat).unwrap());
            (seal, InboundKeys::Esp(OpenKey::new(suite, bits, &keymat).unwrap()))
        } else {
            (OutboundKeys::Elsewhere(keys), InboundKeys::Elsewhere(keys))
        };
        let parameters = parameters(Lifetime::default());
        let sealing = tunnel.left.install_outbound(NOW, tunnel.spi, &parameters, seal, None).unwrap();
        let saved = tunnel.right.snapshot(tunnel.opening, 0).unwrap();
        tunnel.right.remove(tunnel.opening).unwrap();
        let opening = tunnel.right.restore_inbound(NOW, &saved, open).unwrap();
        let (provider, hash) = if here { (built_in, built_in) } else { elsewhere };
        let hash = hash.filter(|_| suite.integrity() != IntegrityAlgorithm::None);
        for (sad, association) in [(&mut tunnel.left, sealing), (&mut tunnel.right, opening)] {
            let shown = detail(sad, association);
            assert_eq!((shown.encryption_provider, shown.hash_provider), (provider, hash), "{suite}");
            sad.remove_after(NOW, association, core::time::Duration::ZERO).unwrap();
            assert!(matches!(sad.poll_action(), Some(Action::HardExpired { .. })));
            let shown = detail(sad, association);
            assert_eq!((shown.suite, shown.encryption_provider, shown.hash_provider), (None, None, None));
        }
    }
}

#[test]
fn of_a_packet_that_was_refused_no_use_is_shown() {
    let mut tunnel = Tunnel::new(&Plan::default());
    let mut wire = tunnel.seal(NOW, b"one").unwrap();
    *wire.last_mut().unwrap() ^= 1;
    assert!(tunnel.open(NOW, &wire).is_err());
    let mut small = [0; 8];
    let mut outgoing = Outgoing::new(tunnel.sealing, Packet::whole(&mut small), 4);
    let later = Instant::from_secs(9);
    assert!(tunnel.left.seal(later, &mut outgoing).is_err());
    assert_eq!(detail(&tunnel.right, tunnel.opening).used, None);
    let sent = detail(&tunnel.left, tunnel.sealing);
    assert_eq!((sent.used, sent.counters.packets()), (Some(NOW), 1));
}
