//! Every payload: known octets in, the same octets out, and nothing shorter or longer taken.

use ipsec_wire::isakmp::broken::{BrokenMessage, BrokenPayload};
use ipsec_wire::isakmp::payload::*;
use ipsec_wire::isakmp::{Body, ChainBuilder, Cookie, Header, Message, MessageId, OwnedMessage, Payloads};
use ipsec_wire::registry::*;
use ipsec_wire::{ErrorKind, WireError, Writer};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Samples of bodies, from the RFCs' field descriptions and from what routers print.
fn samples() -> Vec<(PayloadType, &'static str)> {
    vec![
        // One proposal of two transforms, with a lifetime in both forms.
        (
            PayloadType::SA,
            "0000000100000001 0000003c01010002 0300001801010000 80010007 800e0080 800b0001 800c7080 \
             0000001c02010000 80010005 80020002 800b0001 000c0004 0020c49b",
        ),
        // Labels for secrecy and integrity.
        (
            PayloadType::SA,
            "0000000100000007 0000002a 00030000aabbcc00 00210000 ffffffff80000000 00040000 01020304 00000000 \
             000000140103040111223344 00000008010c0000",
        ),
        (PayloadType::KEY_EXCHANGE, "000102030405060708090a0b0c0d0e0f"),
        (PayloadType::IDENTIFICATION, "011101f4c0000201"),
        (PayloadType::IDENTIFICATION, "02000000636c69656e74"),
        (PayloadType::IDENTIFICATION, "03000000 7540646f6d61696e"),
        (PayloadType::IDENTIFICATION, "04000000 c0a81400ffffff00"),
        (PayloadType::IDENTIFICATION, "05000000 20010db8000000000000000000000001"),
        (PayloadType::IDENTIFICATION, "06000000 20010db8000000000000000000000000 ffffffff000000000000000000000000"),
        (PayloadType::IDENTIFICATION, "07110001 c0a81401c0a81464"),
        (PayloadType::IDENTIFICATION, "08000000 20010db8000000000000000000000001 20010db80000000000000000000000ff"),
        (PayloadType::IDENTIFICATION, "09000000 300d310b3009060355040613024a50"),
        (PayloadType::IDENTIFICATION, "0a000000 8204686f7374"),
        (PayloadType::IDENTIFICATION, "0b000000 6c616267726f7570"),
        (PayloadType::IDENTIFICATION, "0c000000 0500000c01000000c0000201 0000000b02000000666f6f"),
        (PayloadType::IDENTIFICATION, "00000000"),
        (PayloadType::CERTIFICATE, "04 30820100"),
        (PayloadType::CERTIFICATE, "04"),
        (PayloadType::CERTIFICATE_REQUEST, "04"),
        (PayloadType::CERTIFICATE_REQUEST, "04 3000"),
        (PayloadType::HASH, "0123456789abcdef0123456789abcdef01234567"),
        (PayloadType::SIGNATURE, "ffeeddcc"),
        (PayloadType::NONCE, "0011223344556677"),
        // INITIAL-CONTACT as the AR570S prints it: both cookies as the SPI.
        (PayloadType::NOTIFICATION, "00000001 01106002 0011223344556677 8899aabbccddeeff"),
        (PayloadType::NOTIFICATION, "00000001 01108d28 0011223344556677 8899aabbccddeeff 00000007"),
        (PayloadType::NOTIFICATION, "00000001 03046000 3f854d43 80010001 0002000400015180"),
        (PayloadType::NOTIFICATION, "00000001 03046001 3f854d43 00000001"),
        (PayloadType::DELETE, "00000001 03040002 3f854d43 3f854d44"),
        (PayloadType::DELETE, "00000001 01100001 0011223344556677 8899aabbccddeeff"),
        (PayloadType::VENDOR_ID, "09002689dfd6b712"),
        (PayloadType::ATTRIBUTES, "0100 0014 c0880000 40890000 408a0000"),
        (PayloadType::SA_KEK, "01020304"),
        (PayloadType::SEQUENCE_NUMBER, "00000001"),
        (PayloadType::NAT_D, "0123456789abcdef0123456789abcdef"),
        (PayloadType::NAT_D_DRAFT, "0123456789abcdef0123456789abcdef"),
        (PayloadType::NAT_OA, "01000000 c0000201"),
        (PayloadType::NAT_OA_DRAFT, "05000000 20010db8000000000000000000000001"),
        (PayloadType::FRAGMENT, "0001 01 00 aabbcc"),
        (PayloadType(200), "aabbcc"),
    ]
}

fn octets(hex: &str) -> Vec<u8> {
    hex::decode(hex.split_whitespace().collect::<String>()).unwrap()
}

fn message_of(payload_type: PayloadType, body: &[u8]) -> Vec<u8> {
    let payloads = vec![BrokenPayload::new(payload_type, body.to_vec())];
    BrokenMessage { payloads, ..BrokenMessage::default() }.to_octets()
}

fn parse(payload_type: PayloadType, body: &[u8]) -> Result<OwnedPayload, WireError> {
    match Message::parse(&message_of(payload_type, body)).unwrap().body() {
        Body::Clear(chain) => Payload::parse(chain.iter().next().unwrap()).map(|payload| payload.to_owned()),
        Body::Encrypted(_) => unreachable!(),
    }
}

#[test]
fn every_sample_is_read_and_written_back_as_it_came() {
    for (payload_type, hex) in samples() {
        let body = octets(hex);
        let payload = parse(payload_type, &body).unwrap_or_else(|error| panic!("{payload_type} {hex}: {error}"));
        assert_eq!(payload.payload_type(), payload_type, "{hex}");
        assert_eq!(payload.emitted_len(), body.len(), "{hex}");
        assert_eq!(hex::encode(payload.to_body().unwrap()), hex::encode(&body));
        // Into a buffer that holds other octets already.
        let mut junk = vec![0xee; 7];
        let mut writer = Writer::new(&mut junk);
        payload.emit(&mut writer);
        writer.finish().unwrap();
        assert_eq!(junk[..7], [0xee; 7]);
        assert_eq!(junk[7..], body);
    }
}

#[test]
fn every_cut_of_a_sample_is_refused_or_is_a_shorter_payload_that_writes_itself() {
    for (payload_type, hex) in samples() {
        let body = octets(hex);
        for length in 0..body.len() {
            if let Ok(payload) = parse(payload_type, &body[..length]) {
                // Only those that end in opaque octets, or in a list, can be shorter.
                assert_eq!(payload.to_body().unwrap().len(), payload.emitted_len(), "{hex} cut to {length}");
                assert!(
                    !matches!(payload, OwnedPayload::NatOriginalAddress(_) | OwnedPayload::SecurityAssociation(_)),
                    "{hex} cut to {length}"
                );
            }
        }
    }
}

#[test]
fn octets_after_a_fixed_layout_are_refused() {
    for (payload_type, hex) in samples() {
        let mut body = octets(hex);
        body.push(0);
        let result = parse(payload_type, &body);
        let open = match payload_type {
            PayloadType::SA | PayloadType::DELETE | PayloadType::NAT_OA | PayloadType::NAT_OA_DRAFT => false,
            // One octet that can be no attribute is ignored in a transaction.
            _ => true,
        };
        assert_eq!(result.is_ok(), open, "{hex}");
    }
}

#[test]
fn flips_of_one_and_two_bits_of_a_sample_do_no_harm() {
    for (payload_type, hex) in samples() {
        let body = octets(hex);
        for first in 0..body.len() * 8 {
            for second in 0..first {
                let mut broken = body.clone();
                broken[first / 8] ^= 1 << (first % 8);
                broken[second / 8] ^= 1 << (second % 8);
                if let Ok(payload) = parse(payload_type, &broken) {
                    assert!(payload.to_body().is_ok());
                }
            }
        }
    }
}

#[test]
fn identities_say_what_their_octets_say() {
    let says = |hex: &str, check: &dyn Fn(Identity<'_>)| {
        let body = octets(hex);
        check(Identification::parse(&body[..]).unwrap().identity().unwrap());
    };
    says("011101f4c0000201", &|id| assert_eq!(id, Identity::Ipv4(Ipv4Addr::new(192, 0, 2, 1))));
    says("0200000061", &|id| assert_eq!(id, Identity::Fqdn(b"a")));
    says("0300000061", &|id| assert_eq!(id, Identity::UserFqdn(b"a")));
    says("04000000c0a81400ffffff00", &|id| {
        assert_eq!(id, Identity::Ipv4Subnet(Ipv4Addr::new(192, 168, 20, 0), Ipv4Addr::new(255, 255, 255, 0)));
    });
    says("07000000c0a81401c0a81464", &|id| {
        assert_eq!(id, Identity::Ipv4Range(Ipv4Addr::new(192, 168, 20, 1), Ipv4Addr::new(192, 168, 20, 100)));
    });
    says("0500000020010db8000000000000000000000001", &|id| {
        assert_eq!(id, Identity::Ipv6("2001:db8::1".parse::<Ipv6Addr>().unwrap()));
    });
    says("0b00000061", &|id| assert_eq!(id, Identity::KeyId(b"a")));
    says("00000000", &|id| assert_eq!(id, Identity::Other(IdType(0), b"")));
    says("630000006161", &|id| assert_eq!(id, Identity::Other(IdType(99), b"aa")));
    says("0c000000 0500000c01000000c0000201 0000000b02000000666f6f", &|id| {
        let Identity::List(members) = id else { panic!("{id:?}") };
        let members: Vec<_> = members.map(|member| (member.id_type, member.data.to_vec())).collect();
        assert_eq!(members, [(IdType::IPV4_ADDR, vec![192, 0, 2, 1]), (IdType::FQDN, b"foo".to_vec())]);
    });
}

#[test]
fn identities_of_the_wrong_length_or_lists_in_lists_are_refused() {
    let kind = |hex: &str| {
        let body = octets(hex);
        Identification::parse(&body[..]).unwrap().identity().unwrap_err()
    };
    for id_type in ["01", "04", "05", "06", "07", "08"] {
        for length in [0, 1, 3, 5, 7, 9, 15, 17, 31, 33] {
            assert_eq!(kind(&format!("{id_type}000000{}", "00".repeat(length))), ErrorKind::Length);
        }
    }
    assert_eq!(kind("0c000000"), ErrorKind::Empty);
    assert_eq!(kind("0c000000 000000080c000000"), ErrorKind::Nested);
    assert_eq!(kind("0c000000 0000000901000000aa"), ErrorKind::Length);
    assert_eq!(kind("0c000000 000000"), ErrorKind::Truncated);
    let member = "0000000901000000aa".replace("09", "0c").replace("aa", "c0000201");
    assert_eq!(kind(&format!("0c000000{}", member.repeat(65))), ErrorKind::TooMany);
}

#[test]
fn notifications_say_what_their_data_says() {
    let data = |hex: &str, check: &dyn Fn(Result<NotificationData<'_>, ErrorKind>)| {
        let body = octets(hex);
        check(Notification::parse(&body[..]).unwrap().typed_data());
    };
    data("00000001 01008d28 00000007", &|data| assert!(matches!(data, Ok(NotificationData::AreYouThere(7)))));
    data("00000001 01008d29 ffffffff", &|data| {
        assert!(matches!(data, Ok(NotificationData::AreYouThereAck(u32::MAX))));
    });
    for length in [0, 1, 2, 3, 5, 6, 7, 8] {
        let hex = format!("00000001 01008d28 {}", "00".repeat(length));
        data(&hex, &|data| assert!(matches!(data, Err(ErrorKind::Length)), "{length}"));
    }
    data("00000001 03006001 00000001", &|data| assert!(matches!(data, Ok(NotificationData::ReplayStatus(true)))));
    data("00000001 03006001 00000002", &|data| assert!(matches!(data, Err(ErrorKind::Range))));
    data("00000001 03006000 80010001 800202a3", &|data| {
        let Ok(NotificationData::ResponderLifetime(list)) = data else { panic!("{data:?}") };
        assert_eq!(list.find(IpsecAttribute::SA_LIFE_DURATION).unwrap().to_u64(), Ok(675));
    });
    data("00000001 03006000 80", &|data| assert!(matches!(data, Err(ErrorKind::Truncated))));
    data("00000001 01006002", &|data| assert!(matches!(data, Ok(NotificationData::InitialContact))));
    data("00000001 01009e35 c0000209", &|data| {
        assert!(matches!(data, Ok(NotificationData::LoadBalance(gateway)) if gateway == Ipv4Addr::new(192, 0, 2, 9)));
    });
    data("00000001 0300000b 11223344", &|data| assert!(matches!(data, Ok(NotificationData::InvalidSpi(0x1122_3344)))));
    data("00000001 0300000e aa", &|data| assert!(matches!(data, Ok(NotificationData::Opaque([0xaa])))));
}

#[test]
fn an_offer_is_built_as_strongswan_and_routers_send_it() {
    let offer = Offer {
        situation: Situation::IDENTITY_ONLY,
        proposals: vec![OfferedProposal {
            number: 1,
            protocol: ProtocolId::ISAKMP,
            spi: vec![],
            transforms: vec![OfferedTransform {
                number: 1,
                id: IsakmpTransform::KEY_IKE.0,
                attributes: vec![
                    Attribute::number(IkeAttribute::ENCRYPTION_ALGORITHM, 7),
                    Attribute::number(IkeAttribute::KEY_LENGTH, 128),
                    Attribute::number(IkeAttribute::LIFE_DURATION, 2_147_483),
                ],
            }],
        }],
    };
    let expected = "0000000100000001 0000002001010001 0000001801010000 80010007 800e0080 000c0004 0020c49b";
    assert_eq!(hex::encode(offer.to_body().unwrap()), expected.replace(' ', ""));
    let body = offer.to_body().unwrap();
    assert_eq!(SecurityAssociation::parse(&body[..]).unwrap().to_offer(), offer);
}

#[test]
fn a_chain_announces_each_payload_and_a_hash_can_be_put_in_front() {
    let mut chain = ChainBuilder::new();
    chain.push(&Nonce { data: [1; 8] });
    chain.push(&Identification { id_type: IdType::IPV4_ADDR, protocol: 0, port: 0, data: [192, 0, 2, 1] });
    chain.push_as(PayloadType::SA_KEK, &NatDetection { numbering: NatNumbering::Rfc3947, data: [2; 4] });
    chain.push_body(PayloadType(200), &[3]);
    let tail = chain.finish().unwrap();
    assert_eq!(tail.first(), PayloadType::NONCE);
    let chain = tail.prepended(&Hash { data: [9; 4] }).unwrap();
    assert_eq!(chain.first(), PayloadType::HASH);
    let payloads = Payloads::parse(chain.first(), chain.octets()).unwrap();
    let types: Vec<u8> = payloads.iter().map(|raw| raw.payload_type().0).collect();
    assert_eq!(types, [8, 10, 5, 15, 200]);
    let hash = payloads.find(PayloadType::HASH).unwrap();
    assert_eq!(payloads.after(&hash), tail.octets(), "what HASH(1) covers");
    assert_eq!(hash.body(), [9; 4]);
    assert_eq!(hash.octets(), [10, 0, 0, 8, 9, 9, 9, 9]);
    let last = payloads.iter().last().unwrap();
    assert_eq!(payloads.after(&last), []);
    assert_eq!((last.offset(), last.next_payload()), (chain.octets().len() - 5, PayloadType::NONE));
}

#[test]
fn padding_after_a_decrypted_chain_is_kept_apart() {
    let mut chain = ChainBuilder::new();
    chain.push(&Hash { data: [9; 20] });
    let chain = chain.finish().unwrap();
    for padding in [vec![], vec![0; 8], vec![0xaa, 0xbb, 3]] {
        let octets = [chain.octets(), &padding].concat();
        let payloads = Payloads::parse_decrypted(chain.first(), &octets[..]).unwrap();
        assert_eq!((payloads.octets(), payloads.padding()), (chain.octets(), &padding[..]));
        let strict = Payloads::parse(chain.first(), &octets[..]);
        assert_eq!(strict.is_ok(), padding.is_empty());
    }
}

#[test]
fn what_does_not_fit_its_field_is_not_written() {
    let mut chain = ChainBuilder::new();
    chain.push(&VendorId { data: vec![0; 65_532] });
    assert_eq!(chain.finish().unwrap_err().kind, ErrorKind::TooLong);
    let mut chain = ChainBuilder::new();
    chain.push(&VendorId { data: vec![0; 65_531] });
    assert!(chain.finish().is_ok());
    let proposal = |transforms| OfferedProposal { number: 1, protocol: ProtocolId::ESP, spi: vec![1; 4], transforms };
    let transform = OfferedTransform { number: 1, id: 3, attributes: vec![] };
    let offer = |count| Offer { proposals: vec![proposal(vec![transform.clone(); count])], ..Offer::default() };
    assert!(offer(255).to_body().is_ok());
    assert_eq!(offer(256).to_body().unwrap_err().kind, ErrorKind::TooLong);
    let class = Attribute::basic(0x8000u16, 1u16);
    let bad = OwnedConfiguration { config_type: ConfigType::REQUEST, identifier: 0, attributes: vec![class] };
    assert_eq!(bad.to_body().unwrap_err().kind, ErrorKind::Range);
    let long = Notification {
        doi: Doi::IPSEC,
        protocol: ProtocolId::ESP,
        notify_type: NotifyType(1),
        spi: vec![0; 256],
        data: vec![],
    };
    assert_eq!(long.to_body().unwrap_err().kind, ErrorKind::TooLong);
}

#[test]
fn a_header_encloses_a_body_behind_a_marker() {
    let header = Header::new(Cookie([1; 8]), Cookie([2; 8]), ExchangeType::QUICK, MessageId(7));
    let mut datagram = vec![0; 4];
    header.enclose_into(PayloadType::HASH, &[0xcc; 16], &mut datagram).unwrap();
    assert_eq!(datagram[..4], [0; 4]);
    let read = Header::parse(&datagram[4..]).unwrap();
    assert_eq!((read.next_payload, read.length), (PayloadType::HASH, 44));
}

#[test]
fn debug_does_not_show_the_value_of_an_attribute() {
    let attribute = Attribute::variable(ConfigAttribute::XAUTH_USER_PASSWORD, b"secret".to_vec());
    assert_eq!(format!("{attribute:?}"), "Attribute(16522: 6 octets)");
    let config = OwnedConfiguration { config_type: ConfigType::REPLY, identifier: 1, attributes: vec![attribute] };
    assert!(!format!("{config:?}").contains("115"), "{config:?}");
}

#[test]
fn nat_original_addresses_are_read_in_both_families() {
    let v4 = octets("01000000c0000201");
    let address = NatOriginalAddress::parse(NatNumbering::Rfc3947, &v4[..]).unwrap().address;
    assert_eq!(address, IpAddr::from([192, 0, 2, 1]));
    let wrong = NatOriginalAddress::parse(NatNumbering::Rfc3947, &octets("04000000c0000201")[..]).unwrap_err();
    assert_eq!(wrong.kind, ErrorKind::Range);
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused_and_what_is_read_can_be_written(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(message) = OwnedMessage::parse(&octets) {
            prop_assert!(message.to_octets().is_ok());
        }
    }

    #[test]
    fn any_body_is_read_or_refused_and_what_is_read_can_be_written(
        payload_type in 1..=135u8,
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        if let Ok(payload) = parse(PayloadType(payload_type), &body) {
            let written = payload.to_body().unwrap();
            prop_assert_eq!(written.len(), payload.emitted_len());
            prop_assert_eq!(parse(PayloadType(payload_type), &written).unwrap(), payload);
        }
    }
}
