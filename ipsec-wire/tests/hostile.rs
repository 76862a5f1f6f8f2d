//! Octets that have broken other programs: one test for each known class, with the lawful traffic
//! that a careless cure would break.

mod common;

use ipsec_wire::isakmp::broken::{BrokenMessage, BrokenPayload};
use ipsec_wire::isakmp::payload::{
    Attribute, Attributes, Delete, Fragment, NatDetection, NatNumbering, Payload, Proposal, SecurityAssociation,
};
use ipsec_wire::isakmp::{Body, Flags, Leniency, Message, RawPayload, describe, limits};
use ipsec_wire::registry::{PayloadType, ProtocolId};
use ipsec_wire::{ErrorKind, WireError};

fn datagram(payloads: Vec<BrokenPayload>) -> Vec<u8> {
    BrokenMessage { payloads, ..BrokenMessage::default() }.to_octets()
}

/// Parses a message of one payload with this body.
fn one(payload_type: PayloadType, body: &[u8]) -> Result<(), WireError> {
    with(&datagram(vec![BrokenPayload::new(payload_type, body.to_vec())]), |raw| Payload::parse(raw).map(|_| ()))
}

/// Hands the first payload of a clear message to `use_it`.
fn with<T>(octets: &[u8], use_it: impl Fn(RawPayload<'_>) -> Result<T, WireError>) -> Result<T, WireError> {
    match Message::parse(octets)?.body() {
        Body::Clear(chain) => use_it(chain.iter().next().expect("a payload")),
        Body::Encrypted(_) => panic!("encrypted"),
    }
}

fn kind<T>(result: Result<T, WireError>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind)
}

const DEFINED: [PayloadType; 24] = [
    PayloadType::SA,
    PayloadType::PROPOSAL,
    PayloadType::TRANSFORM,
    PayloadType::KEY_EXCHANGE,
    PayloadType::IDENTIFICATION,
    PayloadType::CERTIFICATE,
    PayloadType::CERTIFICATE_REQUEST,
    PayloadType::HASH,
    PayloadType::SIGNATURE,
    PayloadType::NONCE,
    PayloadType::NOTIFICATION,
    PayloadType::DELETE,
    PayloadType::VENDOR_ID,
    PayloadType::ATTRIBUTES,
    PayloadType::SA_KEK,
    PayloadType::SA_TEK,
    PayloadType::KEY_DOWNLOAD,
    PayloadType::SEQUENCE_NUMBER,
    PayloadType::PROOF_OF_POSSESSION,
    PayloadType::NAT_D,
    PayloadType::NAT_OA,
    PayloadType::NAT_D_DRAFT,
    PayloadType::NAT_OA_DRAFT,
    PayloadType::FRAGMENT,
];

#[test]
fn a_datagram_shorter_than_the_header_is_refused_whatever_is_forgiven() {
    let whole = datagram(vec![BrokenPayload::new(PayloadType::VENDOR_ID, vec![1; 16])]);
    for length in 0..28 {
        for leniency in [Leniency::default(), Leniency { trailing_octets: true }] {
            let error = Message::parse_with(&whole[..length], leniency).unwrap_err();
            assert_eq!(error, WireError::new(ErrorKind::Truncated, "ISAKMP header", 0));
        }
    }
    assert!(Message::parse(&whole).is_ok());
}

#[test]
fn every_version_octet_but_1_0_is_one_clean_refusal_and_ikev2_has_its_own() {
    for version in 0..=255u8 {
        let message = BrokenMessage { version: Some(version), ..BrokenMessage::default() }.to_octets();
        let expected = match version >> 4 {
            1 if version == 0x10 => None,
            1 => Some(ErrorKind::MinorVersion),
            2 => Some(ErrorKind::Ikev2),
            _ => Some(ErrorKind::MajorVersion),
        };
        assert_eq!(kind(Message::parse(&message)), expected, "{version:02x}");
    }
}

#[test]
fn a_header_length_that_is_not_that_of_the_datagram_is_refused() {
    let message = BrokenMessage {
        payloads: vec![BrokenPayload::new(PayloadType::VENDOR_ID, vec![1; 36])],
        ..BrokenMessage::default()
    };
    let truth = u32::try_from(message.to_octets().len()).unwrap();
    let extremes = [0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX];
    for length in (0..=2 * truth).chain(extremes) {
        let lying = BrokenMessage { length: Some(length), ..message.clone() }.to_octets();
        let expected = (length != truth).then_some(ErrorKind::Length);
        assert_eq!(kind(Message::parse(&lying)), expected, "{length}");
    }
}

#[test]
fn octets_after_the_message_are_ignored_only_when_that_is_forgiven() {
    let mut padded = datagram(vec![BrokenPayload::new(PayloadType::VENDOR_ID, vec![1; 16])]);
    let truth = padded.len();
    padded.extend([0; 3]);
    assert_eq!(kind(Message::parse(&padded)), Some(ErrorKind::Length));
    let message = Message::parse_with(&padded, Leniency { trailing_octets: true }).unwrap();
    assert_eq!(message.octets().len(), truth);
}

#[test]
fn a_payload_length_below_its_own_header_does_not_stop_the_walk_but_ends_it() {
    for length in 0..4u16 {
        let mut payload = BrokenPayload::new(PayloadType::VENDOR_ID, vec![1; 16]);
        payload.length = Some(length);
        let error = Message::parse(&datagram(vec![payload.clone(), payload])).unwrap_err();
        assert_eq!(error, WireError::new(ErrorKind::Length, "payload length", 30));
    }
}

#[test]
fn of_all_payload_lengths_only_the_true_one_parses_for_every_type() {
    for payload_type in DEFINED {
        for length in 0..=u16::MAX {
            let payload = BrokenPayload { length: Some(length), ..BrokenPayload::new(payload_type, vec![0; 60]) };
            let result = Message::parse(&datagram(vec![payload])).map(|_| ());
            let expected = match length {
                64 => None,
                4..64 => Some(ErrorKind::Trailing),
                _ => Some(ErrorKind::Length),
            };
            assert_eq!(kind(result), expected, "{payload_type} {length}");
        }
    }
}

#[test]
fn a_body_below_its_fixed_part_is_refused_with_the_place() {
    let fixed = [
        (PayloadType::SA, 8),
        (PayloadType::KEY_EXCHANGE, 1),
        (PayloadType::IDENTIFICATION, 4),
        (PayloadType::CERTIFICATE, 1),
        (PayloadType::CERTIFICATE_REQUEST, 1),
        (PayloadType::HASH, 1),
        (PayloadType::SIGNATURE, 1),
        (PayloadType::NONCE, 8),
        (PayloadType::NOTIFICATION, 8),
        (PayloadType::DELETE, 8),
        (PayloadType::VENDOR_ID, 1),
        (PayloadType::ATTRIBUTES, 4),
        (PayloadType::NAT_D, 1),
        (PayloadType::NAT_D_DRAFT, 1),
        (PayloadType::NAT_OA, 8),
        (PayloadType::NAT_OA_DRAFT, 8),
        (PayloadType::FRAGMENT, 4),
    ];
    for (payload_type, least) in fixed {
        for length in 0..least {
            // An address family and a domain that exist, so that only the length is wrong.
            let body: Vec<u8> = [1, 0, 0, 1, 0, 0, 0, 1].into_iter().take(length).collect();
            let body = if payload_type == PayloadType::SA { [0, 0, 0, 1, 0, 0, 0, 1][..length].to_vec() } else { body };
            let error = one(payload_type, &body).unwrap_err();
            let short = matches!(error.kind, ErrorKind::Truncated | ErrorKind::Empty | ErrorKind::Length);
            assert!(short && (32..=32 + length).contains(&error.offset), "{payload_type} {length}: {error}");
        }
    }
}

#[test]
fn a_delete_whose_count_times_size_is_not_its_body_is_refused() {
    let body = |protocol: u8, size: u8, count: u16, spis: usize| {
        let mut body = vec![0, 0, 0, 1, protocol, size];
        body.extend(count.to_be_bytes());
        body.extend(vec![7; spis]);
        body
    };
    let parse = |protocol, size, count, spis| kind(Delete::parse(&body(protocol, size, count, spis)[..]));
    assert_eq!(parse(9, 255, 0xffff, 16), Some(ErrorKind::TooMany));
    assert_eq!(parse(9, 255, 1000, 16), Some(ErrorKind::Count));
    assert_eq!(parse(3, 4, 2, 4), Some(ErrorKind::Count));
    assert_eq!(parse(3, 4, 1, 8), Some(ErrorKind::Count));
    for size in (0..=255).filter(|size| *size != 4) {
        assert_eq!(parse(3, size, 1, usize::from(size)), Some(ErrorKind::SpiSize), "ESP {size}");
        assert_eq!(parse(2, size, 1, usize::from(size)), Some(ErrorKind::SpiSize), "AH {size}");
    }
    for size in 0..=255 {
        let expected = (![0, 8, 16].contains(&size)).then_some(ErrorKind::SpiSize);
        assert_eq!(parse(1, size, 1, usize::from(size)), expected, "ISAKMP {size}");
    }
    // What peers do send: both SPIs of a pair, the cookies, nothing at all.
    assert_eq!(parse(3, 4, 2, 8), None);
    assert_eq!(parse(1, 16, 1, 16), None);
    assert_eq!(parse(4, 2, 3, 6), None);
    assert_eq!(parse(3, 4, 0, 0), None);
    let none = body(1, 0, 1, 0);
    assert_eq!(Delete::parse(&none[..]).unwrap().spis().count(), 0);
    assert_eq!(parse(1, 0, 2, 0), Some(ErrorKind::Count));
}

fn sa(proposals: Vec<BrokenPayload>) -> Result<(), WireError> {
    let octets = datagram(vec![BrokenPayload::security_association(proposals)]);
    with(&octets, |raw| SecurityAssociation::parse(raw).map(|_| ()))
}

fn transform() -> BrokenPayload {
    BrokenPayload::transform(1, 1, &[0x80, 1, 0, 7])
}

#[test]
fn an_spi_size_that_does_not_fit_the_protocol_is_refused() {
    for size in 0..=255usize {
        let of = |protocol| kind(sa(vec![BrokenPayload::proposal(1, protocol, &vec![9; size], 1, vec![transform()])]));
        let expected = |fits: bool| (!fits).then_some(ErrorKind::SpiSize);
        assert_eq!(of(ProtocolId::ISAKMP), expected(size <= 16), "{size}");
        assert_eq!(of(ProtocolId::ESP), expected(size == 4), "{size}");
        assert_eq!(of(ProtocolId::AH), expected(size == 4), "{size}");
        assert_eq!(of(ProtocolId::IPCOMP), expected(size == 2 || size == 4), "{size}");
        assert_eq!(of(ProtocolId(77)), None, "{size}");
    }
}

#[test]
fn announced_transforms_that_are_not_there_and_unannounced_ones_are_refused() {
    for announced in 0..=255u8 {
        for found in [0usize, 1, 2, 254, 255, 256] {
            let result =
                sa(vec![BrokenPayload::proposal(1, ProtocolId::ISAKMP, &[], announced, vec![transform(); found])]);
            let expected = (usize::from(announced) != found).then_some(ErrorKind::Count);
            assert_eq!(kind(result), expected, "{announced} announced, {found} found");
        }
    }
}

#[test]
fn proposals_and_transforms_must_say_what_follows_them() {
    let good = || BrokenPayload::proposal(1, ProtocolId::ISAKMP, &[], 2, vec![transform(), transform()]);
    assert_eq!(sa(vec![good(), good()]), Ok(()));
    for next in 0..=255u8 {
        let mut first = good();
        first.next_payload = Some(PayloadType(next));
        let expected = (next != 2).then_some(ErrorKind::NextPayload);
        assert_eq!(kind(sa(vec![first.clone(), good()])), expected, "proposal {next}");
        let expected = (next != 0).then_some(ErrorKind::NextPayload);
        assert_eq!(kind(sa(vec![first])), expected, "last proposal {next}");
        let mut broken = transform();
        broken.next_payload = Some(PayloadType(next));
        let transforms = vec![broken, transform()];
        let expected = (next != 3).then_some(ErrorKind::NextPayload);
        let result = sa(vec![BrokenPayload::proposal(1, ProtocolId::ISAKMP, &[], 2, transforms)]);
        assert_eq!(kind(result), expected, "transform {next}");
    }
}

#[test]
fn a_chain_that_says_more_or_less_than_there_is_is_refused() {
    let payloads = || vec![BrokenPayload::new(PayloadType::VENDOR_ID, vec![1; 8]); 3];
    let mut message = BrokenMessage { payloads: payloads(), ..BrokenMessage::default() };
    assert!(Message::parse(&message.to_octets()).is_ok());
    message.payloads[2].next_payload = Some(PayloadType::VENDOR_ID);
    assert_eq!(kind(Message::parse(&message.to_octets())), Some(ErrorKind::Truncated));
    message.payloads[2].next_payload = None;
    message.payloads[1].next_payload = Some(PayloadType::NONE);
    assert_eq!(kind(Message::parse(&message.to_octets())), Some(ErrorKind::Trailing));
    let nothing = BrokenMessage { next_payload: Some(PayloadType::NONE), ..message }.to_octets();
    assert_eq!(kind(Message::parse(&nothing)), Some(ErrorKind::Trailing));
}

#[test]
fn thousands_of_minimal_payloads_are_one_refusal() {
    let message = datagram(vec![BrokenPayload::new(PayloadType::VENDOR_ID, vec![]); 16_000]);
    let error = Message::parse(&message).unwrap_err();
    assert_eq!(error, WireError::new(ErrorKind::TooMany, "payloads", 28 + 4 * limits::PAYLOADS));
}

#[test]
fn no_payload_number_is_taken_for_another() {
    for number in 0..=255u8 {
        // A body that is sound for most types.
        let body = [1, 0, 1, 0, 192, 0, 2, 1];
        let octets = datagram(vec![BrokenPayload::new(PayloadType(number), body.to_vec())]);
        if number == 0 {
            assert_eq!(kind(Message::parse(&octets)), Some(ErrorKind::Trailing));
            continue;
        }
        let told = with(&octets, |raw| {
            Ok(match Payload::parse(raw) {
                Ok(Payload::GroupKey(_)) => "group key",
                Ok(Payload::NatDetection(_)) => "NAT-D",
                Ok(Payload::NatOriginalAddress(_)) => "NAT-OA",
                Ok(Payload::Fragment(_)) => "fragment",
                Ok(Payload::Configuration(_)) => "attributes",
                Ok(Payload::Unknown(kept, data)) if kept.0 == number && data == body => "unknown",
                Ok(_) => "defined",
                Err(_) => "refused",
            })
        })
        .unwrap();
        let expected = match number {
            1..=3 | 12 => "refused",
            14 => "attributes",
            15..=19 | 22 => "group key",
            20 | 130 => "NAT-D",
            21 | 131 => "NAT-OA",
            132 => "fragment",
            4..=11 | 13 => "defined",
            _ => "unknown",
        };
        assert_eq!(told, expected, "{number}");
    }
}

#[test]
fn number_15_is_nat_detection_only_for_those_who_agreed_on_such_a_draft() {
    let octets = datagram(vec![BrokenPayload::new(PayloadType::SA_KEK, vec![7; 16])]);
    let as_group_key = with(&octets, |raw| Ok(matches!(Payload::parse(raw)?, Payload::GroupKey(_))));
    assert_eq!(as_group_key, Ok(true));
    let numbering = NatNumbering::Drafts04To08;
    let hash = with(&octets, |raw| {
        assert_eq!(raw.payload_type(), numbering.nat_d());
        NatDetection::parse(numbering, raw).map(|detection| detection.data.to_vec())
    });
    assert_eq!(hash, Ok(vec![7; 16]));
}

#[test]
fn the_payload_numbers_of_ikev2_mean_nothing_here() {
    for number in 33..=53u8 {
        let octets = datagram(vec![BrokenPayload::new(PayloadType(number), vec![0; 16])]);
        let unknown = with(&octets, |raw| Ok(matches!(Payload::parse(raw)?, Payload::Unknown(..))));
        assert_eq!(unknown, Ok(true), "{number}");
    }
}

#[test]
fn attributes_of_no_octets_are_empty_and_those_past_the_end_are_refused() {
    let empty = Attributes::parse(&[0, 1, 0, 0]).unwrap();
    assert_eq!(empty.iter().next().unwrap().to_u64(), Err(ErrorKind::Empty));
    for length in 1..=u16::MAX {
        let [high, low] = length.to_be_bytes();
        assert_eq!(kind(Attributes::parse(&[0, 1, high, low])), Some(ErrorKind::Truncated));
    }
    for tail in 1..=3 {
        let octets = [&[0x80, 1, 0, 7][..], &vec![0x80; tail]].concat();
        assert_eq!(kind(Attributes::parse(&octets[..])), Some(ErrorKind::Truncated), "{tail}");
        // In a transaction some peers pad inside the payload.
        assert_eq!(Attributes::parse_padded(&octets[..]).unwrap().iter().count(), 1);
    }
}

#[test]
fn numbers_are_read_in_both_forms_and_never_cut() {
    let variable = |octets: &[u8]| Attribute::variable(4u16, octets.to_vec());
    for (octets, value) in [
        (&[2][..], Ok(2)),
        (&[0, 2], Ok(2)),
        (&[0, 0, 2], Ok(2)),
        (&[0, 0, 0, 2], Ok(2)),
        (&[0, 0, 0, 0, 0, 0, 0, 2], Ok(2)),
        (&[1, 0, 2], Err(ErrorKind::Range)),
        (&[0, 1, 0, 2], Err(ErrorKind::Range)),
        (&[0; 16], Err(ErrorKind::Range)),
        (&[], Err(ErrorKind::Empty)),
    ] {
        assert_eq!(variable(octets).to_u16(), value, "{octets:?}");
    }
    assert_eq!(Attribute::<Vec<u8>>::basic(4u16, 2u16).to_u16(), Ok(2));
}

#[test]
fn lifetimes_of_up_to_eight_octets_are_exact_and_longer_ones_are_refused() {
    let of = |octets: &[u8]| Attribute::variable(12u16, octets.to_vec()).to_u64();
    assert_eq!(of(&[0, 0x20, 0xc4, 0x9b]), Ok(2_147_483));
    assert_eq!(of(&[0, 0x46, 0x50, 0]), Ok(4_608_000));
    assert_eq!(of(&[0, 0, 0, 0]), Ok(0));
    assert_eq!(of(&[0x80, 0, 0, 0]), Ok(1 << 31));
    assert_eq!(of(&[0xff; 4]), Ok(u64::from(u32::MAX)));
    assert_eq!(of(&[0xff; 8]), Ok(u64::MAX));
    assert_eq!(of(&[0; 9]), Err(ErrorKind::Range));
    for value in [0, 1, 65_535, 65_536, 86_400, u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX] {
        assert_eq!(Attribute::number(12u16, value).to_u64(), Ok(value));
    }
}

#[test]
fn vendor_ids_of_any_length_are_kept_whole() {
    for length in [1usize, 15, 16, 17, 20, 60_000] {
        let octets = datagram(vec![BrokenPayload::new(PayloadType::VENDOR_ID, vec![0xaf; length])]);
        assert_eq!(with(&octets, |raw| Ok(raw.body().len())), Ok(length));
        assert!(describe::message(&octets).to_string().contains("Vendor ID (13)"));
    }
    assert_eq!(kind(one(PayloadType::VENDOR_ID, &[])), Some(ErrorKind::Empty));
}

#[test]
fn empty_hashes_signatures_nonces_and_keys_are_refused_by_name() {
    for (payload_type, field) in [
        (PayloadType::HASH, "hash data"),
        (PayloadType::SIGNATURE, "signature data"),
        (PayloadType::NONCE, "nonce data"),
        (PayloadType::KEY_EXCHANGE, "key exchange data"),
        (PayloadType::NAT_D, "NAT-D hash"),
    ] {
        assert_eq!(one(payload_type, &[]), Err(WireError::new(ErrorKind::Empty, field, 32)));
    }
}

#[test]
fn nonces_outside_8_to_256_octets_are_refused() {
    for length in 1..300 {
        let expected = (!(8..=256).contains(&length)).then_some(ErrorKind::Length);
        assert_eq!(kind(one(PayloadType::NONCE, &vec![1; length])), expected, "{length}");
    }
}

#[test]
fn a_situation_with_unknown_bits_is_refused_and_described() {
    for bits in [0u32, 8, 0x8000_0001, u32::MAX] {
        let mut body = vec![0, 0, 0, 1];
        body.extend(bits.to_be_bytes());
        body.extend([0; 24]);
        assert_eq!(kind(one(PayloadType::SA, &body)), Some(ErrorKind::Situation), "{bits:x}");
        let octets = datagram(vec![BrokenPayload::new(PayloadType::SA, body)]);
        assert!(describe::message(&octets).to_string().contains("ERROR: situation at octet 36"));
    }
}

#[test]
fn a_domain_that_is_not_ipsec_is_refused_by_name() {
    for doi in [0u32, 2, u32::MAX] {
        let mut body = doi.to_be_bytes().to_vec();
        body.extend([0, 0, 0, 1]);
        assert_eq!(kind(one(PayloadType::SA, &body)), Some(ErrorKind::Doi));
    }
}

#[test]
fn a_fragment_shorter_than_its_header_or_without_data_is_refused() {
    for length in 0..=8u16 {
        let payload =
            BrokenPayload { length: Some(length), ..BrokenPayload::new(PayloadType::FRAGMENT, vec![0, 1, 1, 1, 9]) };
        let octets = datagram(vec![payload]);
        assert!(with(&octets, |raw| Payload::parse(raw).map(|_| ())).is_err(), "{length}");
    }
    assert_eq!(kind(one(PayloadType::FRAGMENT, &[0, 1, 1, 1])), Some(ErrorKind::Empty));
    assert_eq!(one(PayloadType::FRAGMENT, &[0, 1, 1, 1, 9]), Ok(()));
}

#[test]
fn every_fragment_number_but_zero_is_kept_with_its_flags() {
    for number in 0..=255u8 {
        for flags in 0..=255u8 {
            let octets = [0, 1, number, flags, 9];
            let parsed = Fragment::parse(&octets);
            if number == 0 {
                assert_eq!(kind(parsed), Some(ErrorKind::Range));
            } else {
                let fragment = parsed.unwrap();
                assert_eq!((fragment.number, fragment.flags, fragment.is_last()), (number, flags, flags & 1 == 1));
            }
        }
    }
}

#[test]
fn a_fragment_with_the_encryption_flag_of_its_whole_is_read() {
    let fragment = BrokenPayload::new(PayloadType::FRAGMENT, vec![0, 1, 1, 1, 9]);
    let message = BrokenMessage { payloads: vec![fragment], flags: Flags::ENCRYPTION, ..BrokenMessage::default() };
    assert!(matches!(Message::parse(&message.to_octets()).unwrap().body(), Body::Clear(_)));
    let hash = BrokenPayload::new(PayloadType::HASH, vec![9; 20]);
    let message = BrokenMessage { payloads: vec![hash], ..message };
    assert!(matches!(Message::parse(&message.to_octets()).unwrap().body(), Body::Encrypted(_)));
}

#[test]
fn an_encrypted_message_of_no_octets_is_refused() {
    let message =
        BrokenMessage { next_payload: Some(PayloadType::HASH), flags: Flags::ENCRYPTION, ..BrokenMessage::default() };
    assert_eq!(kind(Message::parse(&message.to_octets())), Some(ErrorKind::Empty));
}

#[test]
fn reserved_octets_of_payload_headers_must_be_zero() {
    for reserved in 1..=255u8 {
        let payload = BrokenPayload { reserved, ..BrokenPayload::new(PayloadType::VENDOR_ID, vec![1; 8]) };
        let error = Message::parse(&datagram(vec![payload])).unwrap_err();
        assert_eq!(error, WireError::new(ErrorKind::Reserved, "reserved octet", 29));
    }
}

#[test]
fn the_octets_that_are_hashed_are_those_that_came() {
    // RESERVED2 of a transform is ignored on receipt, and must still be in SAi_b as it came.
    let mut octets = datagram(vec![BrokenPayload::security_association(vec![BrokenPayload::proposal(
        1,
        ProtocolId::ISAKMP,
        &[],
        1,
        vec![transform()],
    )])]);
    let at = octets.len() - 6;
    octets[at..at + 2].copy_from_slice(&[0xab, 0xcd]);
    let body = with(&octets, |raw| SecurityAssociation::parse(raw).map(|sa| (sa.body().to_vec(), raw.body().to_vec())));
    let (from_sa, from_payload) = body.unwrap();
    assert_eq!(from_sa, from_payload);
    assert_eq!(from_sa, octets[32..]);
}

#[test]
fn no_flip_of_one_or_two_bits_of_a_captured_message_does_harm() {
    let name_of = |proposal: Proposal<'_>| proposal.transforms().count();
    for (name, message) in common::all_messages().into_iter().filter(|(_, message)| message.len() < 400) {
        let bits = message.len() * 8;
        for first in 0..bits {
            for second in [first, (first + 1) % bits, (first * 7 + 13) % bits] {
                let mut broken = message.clone();
                broken[first / 8] ^= 1 << (first % 8);
                if second != first {
                    broken[second / 8] ^= 1 << (second % 8);
                }
                let Ok(parsed) = Message::parse(&broken) else { continue };
                assert_eq!(parsed.octets(), broken, "{name}");
                let Body::Clear(chain) = parsed.body() else { continue };
                for raw in chain {
                    if let Ok(Payload::SecurityAssociation(sa)) = Payload::parse(raw) {
                        assert!(sa.proposals().map(name_of).sum::<usize>() <= limits::TRANSFORMS);
                    }
                }
            }
        }
    }
}
