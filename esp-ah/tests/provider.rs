//! Providers: who is asked for what, and what becomes of packets whose provider fails or loses what it refuses.

use esp_ah::suite::{AesKey, IcvLen};
use esp_ah::{Aead, BuiltIn, CipherAlgorithm, IntegrityAlgorithm, Provider, ProviderFailed, ProviderId, Suite};
use esp_ah::{OpenError, OpenJob, OpenKey, Packet, SealError, SealJob, SealKey, SequenceBits, open_batch, seal_batch};
use std::sync::Mutex;

const HEADROOM: usize = 16;
const SPI: u32 = 0x1234_5678;

fn combined(cipher: CipherAlgorithm) -> Suite {
    Suite::new(cipher, IntegrityAlgorithm::None).unwrap()
}

fn gcm() -> Suite {
    combined(CipherAlgorithm::AesGcm(AesKey::Bits128, IcvLen::Octets16))
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
}

struct BrokenKey;

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
fn a_provider_is_asked_for_combined_modes_that_encrypt_and_for_nothing_else() {
    let provider = Broken::default();
    for suite in Suite::all() {
        let (sealer, opener) = keys(suite, SequenceBits::Bits64, &provider);
        let wanted = suite.cipher().is_combined() && suite.cipher().is_confidential();
        let made = if wanted { provider.id() } else { ProviderId::BUILT_IN };
        assert_eq!((sealer.provider(), opener.provider()), (made, made), "{suite}");
        let asked = std::mem::take(&mut *provider.asked.lock().unwrap());
        assert_eq!(asked, vec![suite.cipher(); if wanted { 2 } else { 0 }]);
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
    fn ring_makes_three_suites_and_the_rest_is_built_in() {
        for suite in Suite::all() {
            let (sealer, opener) = keys(suite, SequenceBits::Bits32, &Ring);
            let made = if suites().contains(&suite) { Ring::ID } else { ProviderId::BUILT_IN };
            assert_eq!((sealer.provider(), opener.provider()), (made, made), "{suite}");
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
