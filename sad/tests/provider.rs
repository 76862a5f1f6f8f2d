//! A provider of cryptography that fails: its packets are lost, and nothing else.

use crate::common::broken::Broken;
use crate::common::*;
use drive::Instant;
use esp_ah::suite::{AesKey, IcvLen};
use esp_ah::{BuiltIn, CipherAlgorithm, IntegrityAlgorithm, OpenError, Provider, ProviderFailed, ProviderId, Ring};
use esp_ah::{SealError, Suite};
use sad::*;

const NOW: Instant = Instant::from_secs(1);

fn tunnel(provider: &'static dyn Provider) -> Tunnel {
    let gcm = CipherAlgorithm::AesGcm(AesKey::Bits128, IcvLen::Octets16);
    let suite = Suite::new(gcm, IntegrityAlgorithm::None).unwrap();
    Tunnel::new(&Plan { suite, provider, ..Plan::default() })
}

fn hashed_tunnel(provider: &'static dyn Provider) -> Tunnel {
    let cbc = CipherAlgorithm::AesCbc(AesKey::Bits256);
    let suite = Suite::new(cbc, IntegrityAlgorithm::HmacSha512_256).unwrap();
    Tunnel::new(&Plan { suite, provider, ..Plan::default() })
}

#[test]
fn the_provider_of_an_association_is_shown() {
    let (ring, built_in) = (tunnel(&Ring), tunnel(&BuiltIn));
    let shown = |sad: &Sad, association| sad.status(association).unwrap().detail.unwrap().encryption_provider;
    assert_eq!(shown(&ring.left, ring.sealing), Some(Ring::ID));
    assert_eq!(shown(&ring.right, ring.opening), Some(Ring::ID));
    assert_eq!(shown(&built_in.left, built_in.sealing), Some(ProviderId::BUILT_IN));
    let hashed = hashed_tunnel(&Broken);
    for (sad, association) in [(&hashed.left, hashed.sealing), (&hashed.right, hashed.opening)] {
        assert_eq!(shown(sad, association), Some(ProviderId::BUILT_IN));
        assert_eq!(sad.status(association).unwrap().detail.unwrap().hash_provider, Some(Broken::ID));
    }
}

#[test]
fn a_packet_that_the_provider_cannot_seal_is_not_carried_and_costs_its_number() {
    let mut tunnel = tunnel(&Broken);
    let refused = SealRefusal::Seal(SealError::Provider(ProviderFailed));
    assert_eq!(tunnel.seal(NOW, b"a").unwrap_err(), refused);
    assert_eq!(tunnel.counter(Side::Outbound, "espEncryptionFail"), 1);
    assert_eq!(tunnel.counter(Side::Outbound, "espEncryptionStart"), 1);
    assert_eq!(tunnel.counter(Side::Outbound, "outProcessDone"), 0);
    let detail = tunnel.left.status(tunnel.sealing).unwrap().detail.unwrap();
    assert_eq!((detail.last_sequence, detail.counters.packets()), (1, 0));
}

#[test]
fn a_packet_that_the_provider_cannot_open_is_no_forgery_and_moves_no_window() {
    let wire = tunnel(&Ring).seal(NOW, b"a").unwrap();
    let mut tunnel = tunnel(&Broken);
    for _ in 0..3 {
        let dropped = DropReason::Open(OpenError::Provider(ProviderFailed));
        assert_eq!(tunnel.open(NOW, &wire).unwrap_err(), dropped);
    }
    assert_eq!(tunnel.counter(Side::Inbound, "espDecryptionFail"), 3);
    assert_eq!(tunnel.counter(Side::Inbound, "espDecryptionStart"), 3);
    assert_eq!(tunnel.counter(Side::Inbound, "espIcvInvalid"), 0);
    assert_eq!(tunnel.right.status(tunnel.opening).unwrap().detail.unwrap().last_sequence, 0);
}

#[test]
fn a_hash_that_the_provider_cannot_make_is_no_forgery_and_counts_as_the_hash() {
    let wire = hashed_tunnel(&BuiltIn).seal(NOW, b"a").unwrap();
    let mut tunnel = hashed_tunnel(&Broken);
    let refused = SealRefusal::Seal(SealError::Integrity(ProviderFailed));
    assert_eq!(tunnel.seal(NOW, b"a").unwrap_err(), refused);
    let out = |name| tunnel.counter(Side::Outbound, name);
    assert_eq!((out("espEncryptionFail"), out("espEncryptionGood"), out("espOutHashFail")), (0, 1, 1));
    assert_eq!((out("outProcessFail"), out("outProcessDone")), (1, 0));
    for _ in 0..3 {
        let dropped = DropReason::Open(OpenError::Integrity(ProviderFailed));
        assert_eq!(tunnel.open(NOW, &wire).unwrap_err(), dropped);
    }
    let inbound = |name| tunnel.counter(Side::Inbound, name);
    assert_eq!((inbound("espInHashFail"), inbound("espDecryptionFail"), inbound("espIcvInvalid")), (3, 0, 0));
    assert_eq!(tunnel.right.status(tunnel.opening).unwrap().detail.unwrap().last_sequence, 0);
}
