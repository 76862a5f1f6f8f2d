//! Messages written, read, cut, flipped and forged.

use l2tpv3::digest::{Check, DigestAlgorithm, Digests, Keys, Nonces, sign};
use l2tpv3::registry::{ErrorCode, MessageType, PseudowireType, SequencingLevel, SublayerType, VendorId};
use l2tpv3::wire::*;
use proptest::prelude::*;
use std::borrow::Cow;
use std::num::NonZeroU32;

fn everything() -> Attributes<'static> {
    Attributes {
        result: Some(ResultCode { result: 2, error: Some(ErrorCode::UNKNOWN_AVP), text: Cow::Borrowed(b"why") }),
        tie_breaker: Some(*b"tiebreak"),
        host_name: Some(Cow::Borrowed(b"a.example")),
        vendor_name: Some(Cow::Borrowed(b"us")),
        receive_window: Some(8),
        serial_number: Some(1),
        physical_channel: Some(2),
        circuit_errors: Some(CircuitErrors {
            hardware_overruns: 1,
            buffer_overruns: 2,
            timeouts: 3,
            alignment_errors: 4,
        }),
        router_id: Some(0x0a00_0001),
        assigned_connection_id: NonZeroU32::new(7),
        capabilities: Some(vec![PseudowireType::ETHERNET_VLAN, PseudowireType::ETHERNET]),
        local_session_id: NonZeroU32::new(8),
        remote_session_id: Some(0),
        cookie: Some(Cookie::eight(*b"cookie!!")),
        remote_end_id: Some(Cow::Borrowed(b"101")),
        application_code: Some(3),
        pseudowire: Some(PseudowireType::ETHERNET),
        sublayer: Some(SublayerType::DEFAULT),
        sequencing: Some(SequencingLevel::ALL),
        circuit_status: Some(CircuitStatus { active: true, new: true }),
        preferred_language: Some(Cow::Borrowed(b"en")),
        nonce: Some(Cow::Borrowed(&[9; 16])),
        tx_speed: Some(1_000_000_000),
        rx_speed: Some(1_000_000_001),
        frame_relay_header: Some(4),
        attachment_group: Some(Cow::Borrowed(b"group")),
        local_end_id: Some(Cow::Borrowed(b"here")),
        interface_mtu: Some(1446),
        fcs_retention: Some(4),
        vendor: vec![
            VendorAvp { vendor: VendorId(40_000), attribute: 1, mandatory: false, value: Cow::Borrowed(b"v") },
            VendorAvp { vendor: VendorId(100_000), attribute: 2, mandatory: false, value: Cow::Borrowed(b"wide") },
        ],
    }
}

fn read<'a>(octets: &'a [u8], key: Option<&HidingKey>) -> Collected<'a> {
    Collected::read(&ControlMessage::parse(octets).unwrap(), key).unwrap()
}

#[test]
fn every_avp_is_read_as_written_in_both_dialects() {
    for dialect in [Dialect::Rfc, Dialect::Cisco] {
        let options = EmitOptions { connection_id: 5, dialect, ..EmitOptions::default() };
        let octets = emit(MessageType::ICRQ, &everything(), &options).unwrap();
        let collected = read(&octets, None);
        assert_eq!(collected.attributes, everything());
        assert_eq!((collected.offence, collected.cisco_drafts), (None, dialect == Dialect::Cisco));
    }
}

#[test]
fn hidden_avps_are_read_with_the_secret_and_end_the_session_without() {
    let keys = Keys::derive(b"secret");
    let options = EmitOptions { hiding: Some((keys.hiding(), [7; 16], [8; 16])), ..EmitOptions::default() };
    let octets = emit(MessageType::ICRQ, &everything(), &options).unwrap();
    assert!(!octets.windows(8).any(|window| window == b"cookie!!"));
    let collected = read(&octets, Some(keys.hiding()));
    let Attributes { vendor, .. } = everything();
    assert_eq!(collected.attributes, Attributes { vendor, ..everything() });
    assert_eq!(collected.offence, None);
    let blind = read(&octets, None);
    assert_eq!(blind.offence.unwrap().kind, OffenceKind::Hidden);
    assert_eq!(blind.attributes.cookie, None);
    let wrong = read(&octets, Some(Keys::derive(b"other").hiding())).offence;
    assert!(wrong.is_some());
}

#[test]
fn the_drafts_of_cisco_alone_are_understood_and_give_way_to_the_ietf() {
    let draft = |attribute, value: &[u8]| RawAvp { vendor: 9, attribute, value: value.to_vec(), ..RawAvp::default() };
    let kind = RawAvp { flags: 0x8000, value: vec![0, 10], ..RawAvp::default() };
    let ietf = RawAvp { attribute: 63, value: vec![0, 0, 0, 5], ..RawAvp::default() };
    let message =
        RawMessage { avps: vec![kind, draft(3, &[0, 0, 0, 4]), draft(7, &[0, 5]), ietf], ..RawMessage::default() };
    let octets = message.octets();
    let collected = read(&octets, None);
    assert!(collected.cisco_drafts);
    assert_eq!(collected.attributes.pseudowire, Some(PseudowireType::ETHERNET));
    assert_eq!(collected.attributes.local_session_id, NonZeroU32::new(5));
}

/// A message of type `kind` with one more AVP.
fn with(avp: RawAvp) -> Vec<u8> {
    let kind = RawAvp { flags: 0x8000, value: vec![0, 10], ..RawAvp::default() };
    RawMessage { avps: vec![kind, avp], ..RawMessage::default() }.octets()
}

#[test]
fn vendor_9_number_2_is_not_the_protocol_version() {
    let octets = with(RawAvp { vendor: 9, attribute: 2, value: vec![0, 5], ..RawAvp::default() });
    assert_eq!(read(&octets, None).attributes.capabilities, Some(vec![PseudowireType::ETHERNET]));
}

#[test]
fn an_unknown_avp_counts_only_with_the_m_bit() {
    for attribute in [200, 58000] {
        let octets = with(RawAvp { attribute, value: vec![1], ..RawAvp::default() });
        let collected = read(&octets, None);
        assert_eq!((collected.offence, collected.ignored), (None, 1));
        let octets = with(RawAvp { flags: 0x8000, attribute, value: vec![1], ..RawAvp::default() });
        let offence = read(&octets, None).offence.unwrap();
        assert_eq!((offence.kind, offence.error_code()), (OffenceKind::Unknown, ErrorCode::UNKNOWN_AVP));
        assert_eq!(offence.to_string(), format!("unknown mandatory AVP 0:{attribute}"));
    }
}

#[test]
fn a_malformed_avp_counts_only_with_the_m_bit() {
    // RFC 3931 section 7.1: an Rx Connect Speed of four octets is passed over.
    let octets = with(RawAvp { attribute: 75, value: vec![0; 4], ..RawAvp::default() });
    assert_eq!((read(&octets, None).offence, read(&octets, None).ignored), (None, 1));
    let octets = with(RawAvp { flags: 0x8000, attribute: 75, value: vec![0; 4], ..RawAvp::default() });
    assert_eq!(read(&octets, None).offence.unwrap().kind, OffenceKind::Length);
    let octets = with(RawAvp { flags: 0x8000, attribute: 63, value: vec![0; 4], ..RawAvp::default() });
    assert_eq!(read(&octets, None).offence.unwrap().kind, OffenceKind::Range);
}

#[test]
fn avps_of_version_2_are_passed_over_whatever_their_m_bit() {
    for attribute in [2, 3, 4, 6, 9, 11, 13] {
        let octets = with(RawAvp { flags: 0x8000, attribute, value: vec![1, 0], ..RawAvp::default() });
        assert_eq!(read(&octets, None).offence, None, "{attribute}");
    }
}

#[test]
fn of_an_avp_that_comes_twice_the_first_counts() {
    let kind = RawAvp { flags: 0x8000, value: vec![0, 10], ..RawAvp::default() };
    let serial = |last| RawAvp { attribute: 15, value: vec![0, 0, 0, last], ..RawAvp::default() };
    let octets = RawMessage { avps: vec![kind, serial(1), serial(2)], ..RawMessage::default() }.octets();
    let collected = read(&octets, None);
    assert_eq!((collected.attributes.serial_number, collected.ignored), (Some(1), 1));
}

#[test]
fn a_fault_in_one_hidden_avp_says_nothing_about_the_next() {
    let kind = RawAvp { flags: 0x8000, value: vec![0, 10], ..RawAvp::default() };
    let hidden = RawAvp { flags: 0x4000, attribute: 66, value: vec![1; 9], ..RawAvp::default() };
    let serial = RawAvp { attribute: 15, value: vec![0, 0, 0, 1], ..RawAvp::default() };
    let octets = RawMessage { avps: vec![kind, hidden, serial], ..RawMessage::default() }.octets();
    let keys = Keys::derive(b"s");
    let collected = read(&octets, Some(keys.hiding()));
    assert_eq!((collected.attributes.serial_number, collected.attributes.remote_end_id), (Some(1), None));
}

#[test]
fn a_value_too_long_for_an_avp_is_not_written() {
    let long = Attributes { host_name: Some(Cow::Owned(vec![b'a'; 1018])), ..Attributes::default() };
    assert!(emit(MessageType::SCCRQ, &long, &EmitOptions::default()).is_err());
    let fits = Attributes { host_name: Some(Cow::Owned(vec![b'a'; 1017])), ..Attributes::default() };
    assert!(emit(MessageType::SCCRQ, &fits, &EmitOptions::default()).is_ok());
}

#[test]
fn a_second_digest_covers_a_change_of_secret_and_of_algorithm() {
    let (old, new) = (Keys::derive(b"old"), Keys::derive(b"new"));
    let slots = DigestSlots { first: Some(DigestAlgorithm::Md5), second: Some(DigestAlgorithm::Sha1), mandatory: true };
    let options = EmitOptions { digests: slots, ..EmitOptions::default() };
    let mut octets = emit(MessageType::HELLO, &Attributes::default(), &options).unwrap();
    let nonces = Nonces { sender: b"sender's", receiver: b"receiver's" };
    sign(&mut octets, &[(DigestAlgorithm::Md5, &old), (DigestAlgorithm::Sha1, &new)], nonces);
    let both = [DigestAlgorithm::Md5, DigestAlgorithm::Sha1];
    let message = ControlMessage::parse(&octets).unwrap();
    assert_eq!(Digests::of(&message).check(&[&new], &both, nonces), Check::Right(0));
    assert_eq!(Digests::of(&message).check(&[&old], &both, nonces), Check::Right(0));
    assert_eq!(Digests::of(&message).check(&[&new], &[DigestAlgorithm::Md5], nonces), Check::Wrong);
    // Signing again, with another Nr, gives a right message again.
    octets[11] = 9;
    sign(&mut octets, &[(DigestAlgorithm::Md5, &old), (DigestAlgorithm::Sha1, &new)], nonces);
    let message = ControlMessage::parse(&octets).unwrap();
    assert_eq!(Digests::of(&message).check(&[&old], &both, nonces), Check::Right(0));
}

#[test]
fn a_digest_anywhere_but_behind_the_message_type_is_none() {
    let kind = RawAvp { flags: 0x8000, value: vec![0, 6], ..RawAvp::default() };
    let serial = RawAvp { attribute: 15, value: vec![0; 4], ..RawAvp::default() };
    let digest = RawAvp { flags: 0x8000, attribute: 59, value: vec![0; 17], ..RawAvp::default() };
    let octets = RawMessage { avps: vec![kind, serial, digest], ..RawMessage::default() }.octets();
    let message = ControlMessage::parse(&octets).unwrap();
    let keys = Keys::derive(b"");
    assert_eq!(Digests::of(&message).check(&[&keys], &[DigestAlgorithm::Md5], Nonces::default()), Check::Missing);
}

#[test]
fn digests_of_every_length_are_refused_unless_it_is_the_right_one() {
    let keys = Keys::derive(b"");
    for length in 0..40 {
        for number in [0u8, 1, 2] {
            let kind = RawAvp { flags: 0x8000, value: vec![0, 6], ..RawAvp::default() };
            let mut value = vec![0; length];
            value.iter_mut().take(1).for_each(|octet| *octet = number);
            let digest = RawAvp { flags: 0x8000, attribute: 59, value, ..RawAvp::default() };
            let octets = RawMessage { avps: vec![kind, digest.clone(), digest], ..RawMessage::default() }.octets();
            let message = ControlMessage::parse(&octets).unwrap();
            let both = [DigestAlgorithm::Md5, DigestAlgorithm::Sha1];
            assert_eq!(Digests::of(&message).check(&[&keys], &both, Nonces::default()), Check::Wrong);
        }
    }
}

#[test]
fn no_truncation_and_no_flip_of_two_bits_makes_the_reader_fall() {
    let octets = emit(MessageType::ICRQ, &everything(), &EmitOptions::default()).unwrap();
    let keys = Keys::derive(b"s");
    let consume = |octets: &[u8]| {
        if let Ok(message) = ControlMessage::parse(octets) {
            let _ = Collected::read(&message, Some(keys.hiding()));
        }
    };
    for end in 0..octets.len() {
        assert!(ControlMessage::parse(&octets[..end]).is_err());
    }
    for first in 0..octets.len() * 8 {
        let mut flipped = octets.clone();
        flipped[first / 8] ^= 1 << (first % 8);
        consume(&flipped);
        let second = (first * 7 + 3) % (octets.len() * 8);
        flipped[second / 8] ^= 1 << (second % 8);
        consume(&flipped);
    }
}

proptest! {
    #[test]
    fn anything_behind_a_header_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut octets = vec![0xc8, 3];
        octets.extend_from_slice(&(body.len() as u16 + 12).to_be_bytes());
        octets.extend_from_slice(&[0; 8]);
        octets.extend_from_slice(&body);
        let message = ControlMessage::parse(&octets).unwrap();
        let _ = Collected::read(&message, None);
    }

    #[test]
    fn what_is_read_is_written_and_read_again_the_same(
        avps in proptest::collection::vec((prop_oneof![0u16..110, Just(58)], any::<bool>(), proptest::collection::vec(any::<u8>(), 0..24)), 0..12),
    ) {
        let mut list = vec![RawAvp { flags: 0x8000, value: vec![0, 10], ..RawAvp::default() }];
        list.extend(avps.into_iter().map(|(attribute, mandatory, value)| RawAvp { flags: u16::from(mandatory) << 15, attribute, value, ..RawAvp::default() }));
        let octets = RawMessage { avps: list, ..RawMessage::default() }.octets();
        let first = read(&octets, None);
        // A vendor number that fits 16 bits moves out of its Extended Vendor ID and may then mean a draft.
        prop_assume!(first.attributes.vendor.iter().all(|avp| avp.vendor.0 > 0xffff));
        let again = emit(first.message_type, &first.attributes, &EmitOptions::default()).unwrap();
        let second = read(&again, None);
        prop_assert_eq!(&first.attributes, &second.attributes);
        prop_assert_eq!(second.offence, None);
    }
}
