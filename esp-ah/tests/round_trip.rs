//! Every suite seals and opens; every flip, cut and wrong key is refused.

use esp_ah::{BufferTooSmall, IntegrityAlgorithm, Room, open_batch, seal_batch};
use esp_ah::{OpenError, OpenJob, OpenKey, Packet, SealError, SealJob, SealKey, SequenceBits, Suite};

const SPI: u32 = 0x1234_5678;
const HEADROOM: usize = 40;
const TAILROOM: usize = 64;

fn keymat(suite: Suite) -> Vec<u8> {
    (0..suite.keymat_len()).map(|n| (n * 7 + 13) as u8).collect()
}

fn keys(suite: Suite, bits: SequenceBits) -> (SealKey, OpenKey) {
    let keymat = keymat(suite);
    (SealKey::new(suite, bits, &keymat).unwrap(), OpenKey::new(suite, bits, &keymat).unwrap())
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 3) as u8).collect()
}

fn seal(key: &SealKey, payload: &[u8], sequence: u64, filler: usize) -> Result<Vec<u8>, SealError> {
    let mut buffer = vec![0xee; HEADROOM + payload.len() + filler + TAILROOM];
    buffer[HEADROOM..HEADROOM + payload.len()].copy_from_slice(payload);
    let packet = Packet::new(&mut buffer, HEADROOM..HEADROOM + payload.len()).unwrap();
    let mut jobs = [SealJob::new(key, packet, SPI, sequence, 4).with_filler(filler)];
    seal_batch(&mut jobs);
    let [job] = jobs;
    Ok(job.finish()?.octets().to_vec())
}

fn open(key: &OpenKey, packet: &[u8], sequence: u64) -> Result<(Vec<u8>, u8), OpenError> {
    let mut buffer = packet.to_vec();
    let mut jobs = [OpenJob::new(key, Packet::whole(&mut buffer), sequence)];
    open_batch(&mut jobs);
    let [job] = jobs;
    let opened = job.finish()?;
    Ok((opened.packet.octets().to_vec(), opened.next_header))
}

fn authenticated(suite: Suite) -> bool {
    suite.icv_len() > 0
}

#[test]
fn every_suite_opens_what_it_seals_at_every_length() {
    let mut suites = 0;
    for suite in Suite::all() {
        suites += 1;
        for bits in [SequenceBits::Bits32, SequenceBits::Bits64] {
            let (sealer, opener) = keys(suite, bits);
            for len in (0..70).chain([255, 256, 1400]) {
                let payload = payload(len);
                let sealed = seal(&sealer, &payload, 9, 0).unwrap();
                assert_eq!(sealed[..8], [0x12, 0x34, 0x56, 0x78, 0, 0, 0, 9]);
                assert_eq!(open(&opener, &sealed, 9), Ok((payload, 4)), "{suite}, {len} octets");
            }
        }
    }
    // Combined: 9 GCM, 9 CCM, 3 GMAC, ChaCha20. Of 9 others each with 8 integrity algorithms, the 5 of CBC encrypt
    // alone too.
    assert_eq!(suites, 22 + 9 * 8 + 5);
}

#[test]
fn every_bit_of_a_sealed_packet_counts_and_every_truncation_is_refused() {
    for suite in Suite::all().filter(|&suite| authenticated(suite)) {
        let (sealer, opener) = keys(suite, SequenceBits::Bits32);
        let sealed = seal(&sealer, &payload(21), 1, 0).unwrap();
        for bit in 0..sealed.len() * 8 {
            // The receiver looks the key up by SPI; a flip there is only seen by the ICV if the key is the same.
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&opener, &flipped, 1), Err(OpenError::Icv), "{suite}, bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(open(&opener, &sealed[..len], 1).is_err(), "{suite}, {len} octets");
        }
        let longer: Vec<u8> = sealed.iter().copied().chain([0; 16]).collect();
        assert!(open(&opener, &longer, 1).is_err());
    }
}

#[test]
fn a_forged_packet_stays_as_it_came() {
    for suite in Suite::all().filter(|&suite| authenticated(suite)) {
        let (sealer, opener) = keys(suite, SequenceBits::Bits32);
        let mut sealed = seal(&sealer, &payload(40), 1, 0).unwrap();
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        let before = sealed.clone();
        let mut jobs = [OpenJob::new(&opener, Packet::whole(&mut sealed), 1)];
        open_batch(&mut jobs);
        assert_eq!(jobs[0].outcome(), Err(OpenError::Icv));
        assert_eq!(jobs[0].packet().octets(), before, "{suite}");
    }
}

#[test]
fn another_key_opens_nothing() {
    for suite in Suite::all().filter(|&suite| authenticated(suite)) {
        let (sealer, _) = keys(suite, SequenceBits::Bits32);
        let mut other = keymat(suite);
        other.iter_mut().for_each(|octet| *octet ^= 0x10);
        let opener = OpenKey::new(suite, SequenceBits::Bits32, &other).unwrap();
        let sealed = seal(&sealer, &payload(40), 1, 0).unwrap();
        assert_eq!(open(&opener, &sealed, 1), Err(OpenError::Icv), "{suite}");
    }
}

#[test]
fn the_upper_half_of_an_extended_sequence_number_is_under_the_icv() {
    for suite in Suite::all().filter(|&suite| authenticated(suite)) {
        let (sealer, opener) = keys(suite, SequenceBits::Bits64);
        let sequence = 0x1_0000_0005;
        let sealed = seal(&sealer, &payload(40), sequence, 0).unwrap();
        assert_eq!(sealed[4..8], [0, 0, 0, 5], "only the lower half is on the wire");
        assert!(open(&opener, &sealed, sequence).is_ok(), "{suite}");
        assert_eq!(open(&opener, &sealed, 5), Err(OpenError::Icv), "{suite}");
        assert_eq!(open(&opener, &sealed, 0x2_0000_0005), Err(OpenError::Icv), "{suite}");
        let (_, short) = keys(suite, SequenceBits::Bits32);
        assert_eq!(open(&short, &sealed, sequence), Err(OpenError::Icv), "{suite}");
    }
}

#[test]
fn sequence_numbers_of_zero_and_beyond_the_width_are_not_sent() {
    let suite = Suite::all().next().unwrap();
    let (short, _) = keys(suite, SequenceBits::Bits32);
    let (long, _) = keys(suite, SequenceBits::Bits64);
    assert_eq!(seal(&short, &[1], 0, 0), Err(SealError::Sequence(0)));
    assert_eq!(seal(&long, &[1], 0, 0), Err(SealError::Sequence(0)));
    assert!(seal(&short, &[1], u32::MAX.into(), 0).is_ok());
    assert_eq!(seal(&short, &[1], 1 << 32, 0), Err(SealError::Sequence(1 << 32)));
    assert!(seal(&long, &[1], u64::MAX, 0).is_ok());
}

#[test]
fn every_length_below_the_smallest_packet_is_refused() {
    for suite in Suite::all() {
        let (_, opener) = keys(suite, SequenceBits::Bits32);
        let smallest = 8 + suite.cipher().lengths().iv + suite.cipher().lengths().block.max(4) + suite.icv_len();
        for len in 0..smallest {
            let refused = open(&opener, &vec![0; len], 1);
            assert!(matches!(refused, Err(OpenError::TooShort | OpenError::Unaligned)), "{suite}, {len}: {refused:?}");
        }
    }
}

/// Seals a text whose last octets are ours, so that padding can be wrong under a right ICV.
fn seal_with_trailer(suite: Suite, text: &[u8]) -> Vec<u8> {
    // With NULL encryption the text stands in the packet; the ICV is made over it anew.
    assert_eq!(suite.cipher(), esp_ah::CipherAlgorithm::Null);
    let mut packet = [&SPI.to_be_bytes()[..], &1u32.to_be_bytes(), text].concat();
    let key = &keymat(suite)[..];
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(key).unwrap();
    mac.update(&packet);
    packet.extend(&mac.finalize().into_bytes()[..12]);
    packet
}

#[test]
fn padding_is_checked_after_the_icv() {
    let suite = Suite::new(esp_ah::CipherAlgorithm::Null, IntegrityAlgorithm::HmacSha1_96).unwrap();
    let (_, opener) = keys(suite, SequenceBits::Bits32);
    let opened = |text: &[u8]| open(&opener, &seal_with_trailer(suite, text), 1);
    assert_eq!(opened(&[7, 7, 1, 2, 3, 4, 4, 6]), Ok((vec![7, 7], 6)));
    assert_eq!(opened(&[1, 2, 3, 4, 5, 6, 6, 6]), Ok((vec![], 6)));
    assert_eq!(opened(&[1, 2, 3, 4, 5, 6, 7, 6]), Err(OpenError::PadLength));
    assert_eq!(opened(&[1, 2, 3, 4, 5, 6, 255, 6]), Err(OpenError::PadLength));
    assert_eq!(opened(&[7, 7, 1, 2, 3, 5, 4, 6]), Err(OpenError::PadOctets));
    assert_eq!(opened(&[7, 7, 0, 0, 0, 0, 4, 6]), Err(OpenError::PadOctets));
    // Every pad length of a long text, right and wrong.
    for pad_length in 0..=255usize {
        let mut text = vec![9; 300 - pad_length];
        text.extend((1..=pad_length).map(|n| n as u8));
        text.extend([pad_length as u8, 6]);
        text.splice(0..0, vec![9; text.len().next_multiple_of(4) - text.len()]);
        assert!(opened(&text).is_ok(), "{pad_length}");
        let mut bad = seal_with_trailer(suite, &text);
        let end = bad.len() - 12;
        bad[end - 2] ^= 1;
        assert_eq!(open(&opener, &bad, 1), Err(OpenError::Icv), "the ICV comes first");
    }
}

#[test]
fn a_buffer_without_room_is_a_typed_error_and_the_packet_is_unchanged() {
    for suite in Suite::all() {
        let (sealer, _) = keys(suite, SequenceBits::Bits32);
        let sealed_len = seal(&sealer, &payload(20), 1, 0).unwrap().len();
        let head = 8 + suite.cipher().lengths().iv;
        let tail = sealed_len - head - 20;
        for (headroom, tailroom, error) in [
            (head - 1, tail, Some(BufferTooSmall { room: Room::Head, needed: head })),
            (head, tail - 1, Some(BufferTooSmall { room: Room::Tail, needed: tail })),
            (head, tail, None),
        ] {
            let mut buffer = vec![0xee; headroom + 20 + tailroom];
            let before = buffer.clone();
            let packet = Packet::new(&mut buffer, headroom..headroom + 20).unwrap();
            let mut jobs = [SealJob::new(&sealer, packet, SPI, 1, 4)];
            seal_batch(&mut jobs);
            assert_eq!(jobs[0].outcome().err(), error.map(SealError::BufferTooSmall));
            if error.is_some() {
                assert_eq!(jobs[0].packet().len(), 20);
                assert_eq!(buffer, before);
            }
        }
    }
}

#[test]
fn octets_around_the_packet_are_not_touched() {
    for suite in Suite::all() {
        let (sealer, opener) = keys(suite, SequenceBits::Bits32);
        let mut buffer = vec![0xee; 200];
        let packet = Packet::new(&mut buffer, 60..101).unwrap();
        let mut jobs = [SealJob::new(&sealer, packet, SPI, 1, 4)];
        seal_batch(&mut jobs);
        let [job] = jobs;
        let (buffer, range) = job.finish().unwrap().into_parts();
        assert!(buffer[..range.start].iter().chain(&buffer[range.end..]).all(|&octet| octet == 0xee), "{suite}");
        let mut jobs = [OpenJob::new(&opener, Packet::new(buffer, range.clone()).unwrap(), 1)];
        open_batch(&mut jobs);
        assert!(jobs[0].outcome().is_ok());
        assert!(buffer[..range.start].iter().chain(&buffer[range.end..]).all(|&octet| octet == 0xee), "{suite}");
    }
}

#[test]
fn a_packet_too_long_for_ip_is_refused_before_anything_is_written() {
    let suite = Suite::all().next().unwrap();
    let (sealer, _) = keys(suite, SequenceBits::Bits32);
    assert!(matches!(seal(&sealer, &vec![0; 65535], 1, 0), Err(SealError::TooLong(_))));
    assert!(matches!(seal(&sealer, &[0; 20], 1, 65535), Err(SealError::TooLong(_))));
    assert!(seal(&sealer, &vec![0; 65400], 1, 0).is_ok());
}

#[test]
fn filler_hides_the_length_and_comes_out_behind_the_payload() {
    for suite in Suite::all() {
        let (sealer, opener) = keys(suite, SequenceBits::Bits32);
        let sealed = seal(&sealer, &payload(33), 1, 100).unwrap();
        assert_eq!(sealed.len(), seal(&sealer, &payload(133), 1, 0).unwrap().len());
        let (opened, _) = open(&opener, &sealed, 1).unwrap();
        assert_eq!(opened, [payload(33), vec![0; 100]].concat());
    }
}

#[test]
fn filler_goes_behind_packets_and_dummies_only() {
    let suite = Suite::all().next().unwrap();
    let (sealer, _) = keys(suite, SequenceBits::Bits32);
    for next_header in 0..=255u8 {
        let mut buffer = [0xee; 256];
        let before = buffer;
        let packet = Packet::new(&mut buffer, 64..84).unwrap();
        let mut jobs = [SealJob::new(&sealer, packet, SPI, 1, next_header).with_filler(20)];
        seal_batch(&mut jobs);
        if [4, 41, 59].contains(&next_header) {
            assert_eq!(jobs[0].outcome(), Ok(()));
        } else {
            // A transport would take the filler for its own octets.
            assert_eq!(jobs[0].outcome(), Err(SealError::Filler(next_header)));
            assert_eq!(buffer, before);
        }
    }
}

#[test]
fn no_explicit_iv_repeats_and_cbc_ivs_are_not_counters() {
    use std::collections::BTreeSet;
    for suite in Suite::all().filter(|suite| suite.cipher().lengths().iv > 0) {
        if suite.integrity() != IntegrityAlgorithm::HmacSha1_96 && !suite.cipher().is_combined() {
            continue;
        }
        let (sealer, _) = keys(suite, SequenceBits::Bits64);
        let iv = suite.cipher().lengths().iv;
        let mut seen = BTreeSet::new();
        for sequence in (1..2000).chain((1 << 32)..(1 << 32) + 2000) {
            let sealed = seal(&sealer, &[], sequence, 0).unwrap();
            assert!(seen.insert(sealed[8..8 + iv].to_vec()), "{suite}: IV of {sequence} repeats");
        }
        if suite.cipher().lengths().block > 1 {
            let first: Vec<_> = seen.iter().take(2).cloned().collect();
            assert!(first[0].iter().zip(&first[1]).filter(|(a, b)| a != b).count() > 1, "{suite}");
        }
    }
}

#[test]
fn a_shorter_icv_is_the_start_of_the_longer_one_where_the_algorithms_say_so() {
    use esp_ah::CipherAlgorithm;
    use esp_ah::suite::{AesKey, IcvLen};
    let icv = |suite: Suite| {
        let (sealer, _) = keys(suite, SequenceBits::Bits64);
        let sealed = seal(&sealer, &payload(50), (7 << 32) + 9, 0).unwrap();
        sealed[sealed.len() - suite.icv_len()..].to_vec()
    };
    let null = |integrity| Suite::new(CipherAlgorithm::Null, integrity).unwrap();
    let (long, short) = (icv(null(IntegrityAlgorithm::HmacSha256_128)), icv(null(IntegrityAlgorithm::HmacSha256_96)));
    assert_eq!((long.len(), short.len(), &long[..12]), (16, 12, &short[..]));
    for key in AesKey::ALL {
        let combined = |cipher| icv(Suite::new(cipher, IntegrityAlgorithm::None).unwrap());
        let long = combined(CipherAlgorithm::AesGcm(key, IcvLen::Octets16));
        assert_eq!(combined(CipherAlgorithm::AesGcm(key, IcvLen::Octets8)), long[..8]);
        assert_eq!(combined(CipherAlgorithm::AesGcm(key, IcvLen::Octets12)), long[..12]);
        // CCM says the length inside what it authenticates, RFC 3610 section 2.2.
        let long = combined(CipherAlgorithm::AesCcm(key, IcvLen::Octets16));
        assert_ne!(combined(CipherAlgorithm::AesCcm(key, IcvLen::Octets8)), long[..8]);
    }
}
