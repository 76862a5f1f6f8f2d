//! Providers: who is asked for what, and what becomes of packets whose provider fails or loses what it refuses.

use esp_ah::ah::{AhError, AhKey, ah_locate, ah_seal, ah_verify};
use esp_ah::suite::{AesKey, IcvLen, MAX_ICV_LEN};
use esp_ah::{
    Aead, BuiltIn, CipherAlgorithm, IntegrityAlgorithm, Mac, Pieces, Provider, ProviderFailed, ProviderId, Suite,
};
use esp_ah::{OpenError, OpenJob, OpenKey, Packet, SealError, SealJob, SealKey, SequenceBits, open_batch, seal_batch};
use std::sync::Mutex;

const HEADROOM: usize = 24;
const SPI: u32 = 0x1234_5678;

fn combined(cipher: CipherAlgorithm) -> Suite {
    Suite::new(cipher, IntegrityAlgorithm::None).unwrap()
}

fn gcm() -> Suite {
    combined(CipherAlgorithm::AesGcm(AesKey::Bits128, IcvLen::Octets16))
}

/// The suite whose hash has the most blocks in the longest pieces.
fn sha512() -> Suite {
    Suite::new(CipherAlgorithm::AesCbc(AesKey::Bits256), IntegrityAlgorithm::HmacSha512_256).unwrap()
}

fn keymat(suite: Suite) -> Vec<u8> {
    (0..suite.keymat_len()).map(|n| (n * 7 + 13) as u8).collect()
}

fn keys(suite: Suite, bits: SequenceBits, provider: &dyn Provider) -> (SealKey, OpenKey) {
    let keymat = keymat(suite);
    (
        SealKey::with_provider(suite, bits, &keymat, provider).unwrap(),
        OpenKey::with_provider(suite, bits, &keymat, provider).unwrap(),
    )
}

fn seal(key: &SealKey, payload: &[u8], sequence: u64) -> Result<Vec<u8>, SealError> {
    let mut buffer = [&[0; HEADROOM][..], payload, &[0; 64]].concat();
    let packet = Packet::new(&mut buffer, HEADROOM..HEADROOM + payload.len()).unwrap();
    let mut jobs = [SealJob::new(key, packet, SPI, sequence, 4)];
    seal_batch(&mut jobs);
    let [job] = jobs;
    Ok(job.finish()?.octets().to_vec())
}

/// Opens in place and returns where the payload is.
fn open(key: &OpenKey, packet: &mut [u8], sequence: u64, keep: bool) -> Result<core::ops::Range<usize>, OpenError> {
    let mut jobs = [OpenJob::new(key, Packet::whole(packet), sequence).kept_if_refused(keep)];
    open_batch(&mut jobs);
    let [job] = jobs;
    Ok(job.finish()?.packet.range())
}

/// A provider that can do everything and nothing well.
#[derive(Debug, Default)]
struct Broken {
    asked: Mutex<Vec<CipherAlgorithm>>,
    asked_for_macs: Mutex<Vec<IntegrityAlgorithm>>,
}

impl Provider for Broken {
    fn id(&self) -> ProviderId {
        ProviderId::new(4000)
    }

    fn aead(&self, cipher: CipherAlgorithm, key: &[u8], salt: &[u8]) -> Option<Box<dyn Aead>> {
        let lengths = cipher.lengths();
        assert_eq!((key.len(), salt.len()), (lengths.key, lengths.salt));
        self.asked.lock().unwrap().push(cipher);
        Some(Box::new(BrokenKey))
    }

    fn mac(&self, algorithm: IntegrityAlgorithm, key: &[u8]) -> Option<Box<dyn Mac>> {
        assert_eq!(key.len(), algorithm.key_len());
        self.asked_for_macs.lock().unwrap().push(algorithm);
        Some(Box::new(BrokenKey))
    }
}

struct BrokenKey;

impl Mac for BrokenKey {
    fn icv(&self, message: &mut Pieces<'_>) -> Result<[u8; MAX_ICV_LEN], ProviderFailed> {
        message(&mut |_| ());
        Err(ProviderFailed)
    }
}

impl Aead for BrokenKey {
    fn seal(&self, _: [u8; 8], _: &[u8], text: &mut [u8]) -> Result<[u8; 16], ProviderFailed> {
        text.fill(0);
        Err(ProviderFailed)
    }

    fn open(&self, _: [u8; 8], _: &[u8], text: &mut [u8], _: &[u8]) -> Result<bool, ProviderFailed> {
        text.fill(0);
        Err(ProviderFailed)
    }
}

#[test]
fn a_provider_is_asked_for_combined_modes_that_encrypt_and_for_icvs_that_stand_apart_and_for_nothing_else() {
    let provider = Broken::default();
    for suite in Suite::all() {
        let (sealer, opener) = keys(suite, SequenceBits::Bits64, &provider);
        let wanted = suite.cipher().is_combined() && suite.cipher().is_confidential();
        let mac = suite.integrity() != IntegrityAlgorithm::None;
        let by = |provided: bool| if provided { provider.id() } else { ProviderId::BUILT_IN };
        assert_eq!((sealer.provider(), opener.provider()), (by(wanted), by(wanted)), "{suite}");
        let icvs = (sealer.integrity_provider(), opener.integrity_provider());
        assert_eq!(icvs, (by(wanted || mac), by(wanted || mac)), "{suite}");
        let asked = std::mem::take(&mut *provider.asked.lock().unwrap());
        assert_eq!(asked, vec![suite.cipher(); if wanted { 2 } else { 0 }]);
        let asked = std::mem::take(&mut *provider.asked_for_macs.lock().unwrap());
        assert_eq!(asked, vec![suite.integrity(); if mac { 2 } else { 0 }]);
    }
}

#[test]
fn what_a_provider_does_not_make_is_built_in() {
    let (sealer, opener) = keys(gcm(), SequenceBits::Bits32, &BuiltIn);
    assert_eq!((sealer.provider(), opener.provider()), (ProviderId::BUILT_IN, ProviderId::BUILT_IN));
    let same = SealKey::new(gcm(), SequenceBits::Bits32, &keymat(gcm())).unwrap();
    assert_eq!(seal(&sealer, b"payload", 1), seal(&same, b"payload", 1));
}

#[test]
fn a_provider_that_fails_is_an_error_of_its_own_and_no_wrong_icv() {
    let (sealer, opener) = keys(gcm(), SequenceBits::Bits32, &Broken::default());
    assert_eq!(seal(&sealer, b"payload", 1), Err(SealError::Provider(ProviderFailed)));
    let good = SealKey::new(gcm(), SequenceBits::Bits32, &keymat(gcm())).unwrap();
    let mut packet = seal(&good, b"payload", 1).unwrap();
    assert_eq!(open(&opener, &mut packet, 1, false), Err(OpenError::Provider(ProviderFailed)));
}

/// An IPv4 packet of a protocol that nobody looks into.
const IPV4: [u8; 20] = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 59, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];

#[test]
fn a_provider_that_fails_in_the_hash_is_an_error_of_its_own_alone_in_batches_and_in_ah() {
    let broken = Broken::default();
    let (sealer, opener) = keys(sha512(), SequenceBits::Bits32, &broken);
    assert_eq!(seal(&sealer, b"payload", 1), Err(SealError::Integrity(ProviderFailed)));
    let good = SealKey::new(sha512(), SequenceBits::Bits32, &keymat(sha512())).unwrap();
    let packet = seal(&good, b"payload", 1).unwrap();
    let mut came = packet.clone();
    assert_eq!(open(&opener, &mut came, 1, false), Err(OpenError::Integrity(ProviderFailed)));
    assert_eq!(came, packet, "not decrypted");

    let mut buffers = [[7; 200]; 3];
    let mut jobs = buffers
        .each_mut()
        .map(|buffer| SealJob::new(&sealer, Packet::new(buffer, HEADROOM..HEADROOM + 40).unwrap(), SPI, 1, 4));
    seal_batch(&mut jobs);
    assert_eq!(jobs.map(|job| job.outcome()), [Err(SealError::Integrity(ProviderFailed)); 3]);
    let mut copies = [packet.clone(), packet];
    let mut jobs = copies.each_mut().map(|copy| OpenJob::new(&opener, Packet::whole(copy), 1));
    open_batch(&mut jobs);
    assert_eq!(jobs.map(|job| job.outcome()), [Err(OpenError::Integrity(ProviderFailed)); 2]);

    let algorithm = IntegrityAlgorithm::HmacSha256_128;
    let key = |provider| AhKey::with_provider(algorithm, SequenceBits::Bits32, &[3; 32], provider).unwrap();
    let (failing, good) = (key(&broken as &dyn Provider), key(&BuiltIn));
    assert_eq!((failing.provider(), good.provider()), (broken.id(), ProviderId::BUILT_IN));
    let mut buffer = [[0; 60].as_slice(), &IPV4].concat();
    let mut packet = Packet::new(&mut buffer, 60..80).unwrap();
    ah_seal(&good, &mut packet, SPI, 1).unwrap();
    let (place, came) = (ah_locate(packet.octets()).unwrap(), packet.octets().to_vec());
    assert_eq!(ah_verify(&failing, &mut packet, &place, 1), Err(AhError::Integrity(ProviderFailed)));
    assert_eq!(packet.octets(), came);
    assert_eq!(ah_verify(&good, &mut packet, &place, 1), Ok(()));
    let mut buffer = [[0; 60].as_slice(), &IPV4].concat();
    let mut packet = Packet::new(&mut buffer, 60..80).unwrap();
    assert_eq!(ah_seal(&failing, &mut packet, SPI, 1), Err(AhError::Integrity(ProviderFailed)));
}

/// A provider that does not keep to its contract: it does not ask for the message, or asks twice.
#[derive(Clone, Copy, Debug)]
struct Careless {
    asks: usize,
}

impl Provider for Careless {
    fn id(&self) -> ProviderId {
        ProviderId::new(4001)
    }

    fn mac(&self, _: IntegrityAlgorithm, _: &[u8]) -> Option<Box<dyn Mac>> {
        Some(Box::new(*self))
    }
}

impl Mac for Careless {
    /// The octets in order, folded: enough to tell whether each came once.
    fn icv(&self, message: &mut Pieces<'_>) -> Result<[u8; MAX_ICV_LEN], ProviderFailed> {
        let (mut sum, mut at) = ([0; MAX_ICV_LEN], 0);
        for _ in 0..self.asks {
            message(&mut |piece| {
                for octet in piece {
                    let to: &mut u8 = &mut sum[at % MAX_ICV_LEN];
                    *to = to.wrapping_mul(31).wrapping_add(*octet);
                    at += 1;
                }
            });
        }
        Ok(sum)
    }
}

#[test]
fn a_provider_that_does_not_ask_for_the_message_sends_no_plaintext_and_one_that_asks_twice_encrypts_once() {
    for bits in [SequenceBits::Bits32, SequenceBits::Bits64] {
        for len in [0, 7, 100, 500, 1400] {
            let payload = vec![0x45; len];
            let by = |asks| seal(&keys(sha512(), bits, &Careless { asks }).0, &payload, 9);
            assert_eq!(by(0), Err(SealError::Integrity(ProviderFailed)));
            let once = by(1).unwrap();
            assert_eq!(by(2).unwrap(), once);
            let ours = seal(&keys(sha512(), bits, &BuiltIn).0, &payload, 9).unwrap();
            let icv = once.len() - 32;
            assert_eq!(once[..icv], ours[..icv], "only the ICV differs");

            let opener = keys(sha512(), bits, &Careless { asks: 1 }).1;
            let range = open(&opener, &mut once.clone(), 9, false).unwrap();
            assert_eq!(range.len(), len);
            let opener = keys(sha512(), bits, &Careless { asks: 0 }).1;
            let refused = open(&opener, &mut once.clone(), 9, false);
            assert_eq!(refused, Err(OpenError::Integrity(ProviderFailed)));
        }
    }
}

#[test]
fn lengths_are_checked_before_a_provider_sees_a_packet() {
    let (sealer, opener) = keys(gcm(), SequenceBits::Bits32, &Broken::default());
    for len in 0..34 {
        let refused = open(&opener, &mut vec![0; len], 1, false);
        assert!(matches!(refused, Err(OpenError::TooShort | OpenError::Unaligned)), "{len}: {refused:?}");
    }
    assert_eq!(seal(&sealer, b"payload", 0), Err(SealError::Sequence(0)));
    assert!(matches!(seal(&sealer, &[0; 65_530], 1), Err(SealError::TooLong(_))));
}

#[cfg(feature = "openssl")]
mod openssl {
    use super::*;
    use esp_ah::OpenSsl;

    fn has_long_hash(suite: Suite) -> bool {
        matches!(suite.integrity(), IntegrityAlgorithm::HmacSha384_192 | IntegrityAlgorithm::HmacSha512_256)
    }

    #[test]
    fn openssl_makes_the_icvs_of_two_hashes_and_the_rest_is_built_in() {
        for suite in Suite::all() {
            let (sealer, opener) = keys(suite, SequenceBits::Bits32, &OpenSsl);
            assert_eq!((sealer.provider(), opener.provider()), (ProviderId::BUILT_IN, ProviderId::BUILT_IN));
            let made = if has_long_hash(suite) { OpenSsl::ID } else { ProviderId::BUILT_IN };
            assert_eq!((sealer.integrity_provider(), opener.integrity_provider()), (made, made), "{suite}");
        }
    }

    #[test]
    fn hashes_by_openssl_and_built_in_seal_to_the_same_octets_and_open_each_other_at_every_length_and_in_batches() {
        for suite in Suite::all().filter(|&suite| has_long_hash(suite)) {
            for bits in [SequenceBits::Bits32, SequenceBits::Bits64] {
                let ((theirs, opener), ours) = (keys(suite, bits, &OpenSsl), keys(suite, bits, &BuiltIn).0);
                for len in (0..300).chain([1023, 1400, 4000]) {
                    let payload: Vec<u8> = (0..len).map(|n| (n * 13) as u8).collect();
                    let sealed = seal(&theirs, &payload, 1 + len as u64).unwrap();
                    assert_eq!(sealed, seal(&ours, &payload, 1 + len as u64).unwrap(), "{suite}, {len}");
                    let mut packet = sealed.clone();
                    let range = open(&opener, &mut packet, 1 + len as u64, false).unwrap();
                    assert_eq!(&packet[range], &payload[..]);
                    let mut forged = sealed;
                    forged[8 + len / 2] ^= 1;
                    assert_eq!(open(&opener, &mut forged, 1 + len as u64, false), Err(OpenError::Icv));
                }
                let mut buffers = [[9; 400]; 6];
                let mut jobs = buffers.each_mut().map(|buffer| {
                    SealJob::new(&theirs, Packet::new(buffer, HEADROOM..HEADROOM + 200).unwrap(), SPI, 5, 4)
                });
                seal_batch(&mut jobs);
                let alone = seal(&ours, &[9; 200], 5).unwrap();
                assert!(jobs.iter().all(|job| job.outcome().is_ok() && job.packet().octets() == alone), "{suite}");
            }
        }
    }
}

#[cfg(feature = "ring")]
mod ring {
    use super::*;
    use esp_ah::Ring;
    use proptest::prelude::*;

    fn suites() -> [Suite; 3] {
        [
            gcm(),
            combined(CipherAlgorithm::AesGcm(AesKey::Bits256, IcvLen::Octets16)),
            combined(CipherAlgorithm::ChaCha20Poly1305),
        ]
    }

    #[test]
    fn ring_makes_three_combined_modes_and_the_rest_is_built_in() {
        for suite in Suite::all() {
            let (sealer, opener) = keys(suite, SequenceBits::Bits32, &Ring);
            let made = if suites().contains(&suite) { Ring::ID } else { ProviderId::BUILT_IN };
            assert_eq!((sealer.provider(), opener.provider()), (made, made), "{suite}");
            assert_eq!((sealer.integrity_provider(), opener.integrity_provider()), (made, made), "{suite}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn ring_and_the_built_in_seal_to_the_same_octets_and_open_each_other(
            (suite, bits) in (prop::sample::select(suites().to_vec()), prop::bool::ANY),
            keymat in prop::collection::vec(any::<u8>(), 36),
            payload in prop::collection::vec(any::<u8>(), 0..1700),
            (sequence, keep) in (1..u64::MAX, prop::bool::ANY),
        ) {
            let (bits, sequence) = if bits {
                (SequenceBits::Bits64, sequence)
            } else {
                (SequenceBits::Bits32, (sequence >> 32).max(1))
            };
            let keymat = &keymat[..suite.keymat_len()];
            let theirs = SealKey::with_provider(suite, bits, keymat, &Ring).unwrap();
            let ours = SealKey::new(suite, bits, keymat).unwrap();
            let sealed = seal(&theirs, &payload, sequence).unwrap();
            prop_assert_eq!(&sealed, &seal(&ours, &payload, sequence).unwrap());
            for opener in [
                OpenKey::with_provider(suite, bits, keymat, &Ring).unwrap(),
                OpenKey::new(suite, bits, keymat).unwrap(),
            ] {
                let mut packet = sealed.clone();
                let range = open(&opener, &mut packet, sequence, keep).unwrap();
                prop_assert_eq!(&packet[range], &payload[..]);
            }
        }
    }

    #[test]
    fn every_bit_of_a_packet_counts_and_no_refused_packet_shows_its_text() {
        for suite in suites() {
            for (bits, keep) in
                [(SequenceBits::Bits32, false), (SequenceBits::Bits64, false), (SequenceBits::Bits64, true)]
            {
                let (sealer, opener) = keys(suite, bits, &Ring);
                let payload = *b"what nobody may read";
                let sealed = seal(&sealer, &payload, 7).unwrap();
                for bit in 0..sealed.len() * 8 {
                    let mut flipped = sealed.clone();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    let came = flipped.clone();
                    assert_eq!(open(&opener, &mut flipped, 7, keep), Err(OpenError::Icv), "{suite}, bit {bit}");
                    assert_eq!(flipped == came, keep, "{suite}, {bits:?}, bit {bit}");
                    assert!(!flipped.windows(8).any(|seen| payload.windows(8).any(|text| text == seen)));
                }
            }
        }
    }

    #[test]
    fn a_kept_packet_opens_with_the_next_upper_half() {
        for suite in suites() {
            let (sealer, opener) = keys(suite, SequenceBits::Bits64, &Ring);
            let sequence = (1 << 32) + 9;
            let mut packet = seal(&sealer, b"payload", sequence).unwrap();
            assert_eq!(open(&opener, &mut packet, 9, true), Err(OpenError::Icv));
            let range = open(&opener, &mut packet, sequence, true).unwrap();
            assert_eq!(&packet[range], b"payload");
        }
    }

    #[test]
    fn two_copies_of_one_packet_are_both_right_and_the_window_tells_them_apart() {
        for suite in suites() {
            let (sealer, opener) = keys(suite, SequenceBits::Bits32, &Ring);
            let sealed = seal(&sealer, b"payload", 1).unwrap();
            let mut copies = [sealed.clone(), sealed];
            let mut jobs = copies.each_mut().map(|copy| OpenJob::new(&opener, Packet::whole(copy), 1));
            esp_ah::open_batch_if(&mut jobs, |index| index == 0);
            assert_eq!(jobs.map(|job| job.outcome()), [Ok(4), Err(OpenError::Rejected)]);
        }
    }
}
