//! Facts that routers' manuals and traces print, one test for each.

use ipsec_wire::ErrorKind;
use ipsec_wire::isakmp::broken::{BrokenMessage, BrokenPayload};
use ipsec_wire::isakmp::payload::{
    Attribute, Attributes, Emit, Offer, OfferedProposal, OfferedTransform, SecurityAssociation, Situation,
};
use ipsec_wire::isakmp::vendor::{Meaning, NatTraversal, Product, recognise};
use ipsec_wire::isakmp::{Flags, Header, Message, MessageId, describe};
use ipsec_wire::registry::{
    ConfigAttribute, EspTransform, ExchangeType, IkeAttribute, IpsecAttribute, NotifyType, PayloadType, ProtocolId,
};

/// The text of a message of one payload.
fn text(payload_type: PayloadType, body: &[u8]) -> String {
    let payloads = vec![BrokenPayload::new(payload_type, body.to_vec())];
    describe::message(&BrokenMessage { payloads, ..BrokenMessage::default() }.to_octets()).to_string()
}

fn proposal(number: u8, protocol: ProtocolId, spi: &[u8]) -> OfferedProposal {
    let transform = |number| OfferedTransform { number, id: EspTransform::TRIPLE_DES.0, attributes: Vec::new() };
    OfferedProposal { number, protocol, spi: spi.to_vec(), transforms: vec![transform(1), transform(2)] }
}

#[test]
fn proposals_of_one_number_and_alternatives_keep_the_order_of_the_wire() {
    let proposals = vec![
        proposal(1, ProtocolId::ESP, &[0x3f, 0x85, 0x4d, 0x43]),
        proposal(1, ProtocolId::AH, &[0x3f, 0x85, 0x4d, 0x44]),
        proposal(2, ProtocolId::ESP, &[0x3f, 0x85, 0x4d, 0x45]),
        // A CPI of two octets beside ESP: the PIX complained of it.
        proposal(2, ProtocolId::IPCOMP, &[0x12, 0x34]),
    ];
    let offer = Offer { situation: Situation::IDENTITY_ONLY, proposals };
    let body = offer.to_body().unwrap();
    let sa = SecurityAssociation::parse(&body[..]).unwrap();
    let seen: Vec<_> =
        sa.proposals().map(|proposal| (proposal.number, proposal.protocol, proposal.spi.len())).collect();
    let expected = [(ProtocolId::ESP, 4), (ProtocolId::AH, 4), (ProtocolId::ESP, 4), (ProtocolId::IPCOMP, 2)];
    assert_eq!(seen, [1, 1, 2, 2].iter().zip(expected).map(|(n, (p, l))| (*n, p, l)).collect::<Vec<_>>());
    assert_eq!(sa.to_offer(), offer);
    // The chains inside run on 2 and 3 and end with 0, whatever follows the SA payload.
    let mut at = 8;
    for (index, proposal) in offer.proposals.iter().enumerate() {
        assert_eq!(body[at], if index == 3 { 0 } else { 2 });
        let first = at + 8 + proposal.spi.len();
        assert_eq!((body[first], body[first + 8]), (3, 0));
        at = first + 16;
    }
}

#[test]
fn attributes_are_found_in_whatever_order_they_stand() {
    let attributes = [(1u16, 7u64), (14, 256), (2, 2), (4, 2), (12, 2_147_483)];
    // Every order of five.
    for order in 0..120 {
        let mut left = attributes.to_vec();
        let mut rest = order;
        let mut octets = Vec::new();
        for size in (1..=5).rev() {
            let (class, value) = left.remove(rest % size);
            rest /= size;
            octets.extend(Attribute::number(class, value).to_octets());
        }
        let list = Attributes::parse(&octets[..]).unwrap();
        for (class, value) in attributes {
            assert_eq!(list.find(class).unwrap().to_u64(), Ok(value));
        }
    }
}

/// The octets of an attribute.
trait ToOctets {
    fn to_octets(&self) -> Vec<u8>;
}

impl ToOctets for Attribute<Vec<u8>> {
    fn to_octets(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        let mut writer = ipsec_wire::Writer::new(&mut octets);
        self.emit(&mut writer);
        writer.finish().unwrap();
        octets
    }
}

#[test]
fn lifetimes_stand_in_the_forms_that_a_pix_prints() {
    for (hex, seconds) in [
        ("800b70 80", 28800),
        ("000b0004 0020c49b", 2_147_483),
        ("000b0004 00465000", 4_608_000),
        ("000b0004 00015180", 86400),
    ] {
        let octets = hex::decode(hex.replace(' ', "")).unwrap();
        let list = Attributes::parse(&octets[..]).unwrap();
        assert_eq!(list.find(11u16).unwrap().to_u64(), Ok(seconds));
    }
    assert_eq!(Attribute::number(11u16, 28800).to_octets(), hex::decode("800b7080").unwrap());
    assert_eq!(Attribute::number(11u16, 86400).to_octets(), hex::decode("000b000400015180").unwrap());
}

#[test]
fn payload_lengths_are_those_that_a_router_prints() {
    for (payload_type, body, line) in [
        (PayloadType::KEY_EXCHANGE, 96, "Length: 100  Type: Key Exchange (4)"),
        (PayloadType::KEY_EXCHANGE, 128, "Length: 132  Type: Key Exchange (4)"),
        (PayloadType::NONCE, 20, "Length: 24  Type: Nonce (10)"),
        (PayloadType::HASH, 20, "Length: 24  Type: Hash (8)"),
    ] {
        let text = text(payload_type, &vec![1; body]);
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    let text = text(PayloadType::IDENTIFICATION, b"\x02\0\0\0client");
    assert!(text.contains("Type: ID_FQDN (2)  ProtocolId: 0  Port: 0  Value: \"client\""), "{text}");
}

#[test]
fn headers_have_the_exchanges_flags_and_message_ids_of_the_traces() {
    let names = [
        (1, "Base"),
        (2, "Identity Protection"),
        (3, "Authentication Only"),
        (4, "Aggressive"),
        (5, "Informational"),
        (6, "Transaction"),
        (32, "Quick Mode"),
        (33, "New Group Mode"),
    ];
    for (number, name) in names {
        assert!(ExchangeType(number).name().is_some_and(|known| known.starts_with(name)), "{number} {name}");
    }
    assert_eq!(ExchangeType(77).to_string(), "unknown (77)");
    for id in [0x7736_489b, 0x5733_9a70, 2_141_307_752, 0xc87f_4f43] {
        let message = BrokenMessage { message_id: MessageId(id), ..BrokenMessage::default() }.to_octets();
        let header = Header::parse(&message).unwrap();
        assert_eq!(header.message_id.to_string(), format!("{id:08x}"));
        assert_eq!(header.message_id.to_octets(), id.to_be_bytes());
    }
    for bits in 0..=255u8 {
        let message = BrokenMessage { flags: Flags(bits), ..BrokenMessage::default() }.to_octets();
        let flags = Header::parse(&message).unwrap().flags;
        assert_eq!(flags.contains(Flags::ENCRYPTION), bits & 1 != 0);
        assert_eq!(flags.contains(Flags::COMMIT), bits & 2 != 0);
        assert_eq!(flags.contains(Flags::AUTHENTICATION_ONLY), bits & 4 != 0);
        assert_eq!(flags.has_unknown(), bits & !7 != 0);
    }
}

#[test]
fn attribute_classes_of_both_phases_have_names() {
    for class in 1..=16 {
        assert!(IkeAttribute(class).name().is_some(), "phase 1 class {class}");
    }
    for class in 1..=11 {
        assert!(IpsecAttribute(class).name().is_some(), "phase 2 class {class}");
    }
}

#[test]
fn notifications_have_names() {
    let errors = 1..=30u16;
    let status = [16384, 24576, 24577, 24578, 36136, 36137, 40001, 40500, 40501, 40502, 40503];
    for number in errors.chain(status) {
        assert!(NotifyType(number).name().is_some(), "{number}");
    }
    assert_eq!(NotifyType::INITIAL_CONTACT.0, 24578);
}

#[test]
fn configuration_attributes_that_a_pix_calls_unknown_have_names() {
    let standard = 1..=14u16;
    let xauth = 16520..=16529;
    let unity = [28672, 28673, 28674, 28676, 28677, 28679, 28680];
    for number in standard.chain(xauth).chain(unity) {
        let name = ConfigAttribute(number).name().unwrap_or_else(|| panic!("{number}"));
        assert!(!name.is_empty());
        let mut body = vec![1, 0, 0, 0];
        body.extend((0x8000 | number).to_be_bytes());
        body.extend([0, 0]);
        let text = text(PayloadType::ATTRIBUTES, &body);
        assert!(text.contains(name) && !text.contains("unknown ("), "{number}:\n{text}");
    }
}

#[test]
fn peers_are_told_by_the_vendor_ids_of_the_traces() {
    use Meaning::{DeadPeerDetection, Fragmentation, NatTraversal as Natt, Unity, Xauth};
    for (hex, meaning) in [
        ("cd60464335df21f87cfdb2fc68b6a448", Natt(NatTraversal::Draft02)),
        ("90cb80913ebb696e086381b5ec427b1f", Natt(NatTraversal::Draft02Newline)),
        ("7d9419a65310ca6f2c179d9215529d56", Natt(NatTraversal::Draft03)),
        ("8f8d83826d246b6fc7a8a6a428c11de8", Natt(NatTraversal::Draft08)),
        ("4a131c81070358455c5728f20e95452f", Natt(NatTraversal::Rfc3947)),
        ("afcad71368a1f1c96b8696fc77570100", DeadPeerDetection),
        ("12f5f28c457168a9702d9fe274cc0100", Unity),
        ("09002689dfd6b712", Xauth),
        ("4048b7d56ebce88525e7de7f00d6c2d3", Fragmentation),
        ("4048b7d56ebce88525e7de7f00d6c2d3c0000000", Fragmentation),
        ("1e2b516905991c7d7c96fcbfb587e46100000004", Meaning::Product(Product::Windows)),
        ("1f07f70eaa6514d3b0fa96542a500100", Meaning::Product(Product::CiscoConcentrator)),
    ] {
        let octets = hex::decode(hex).unwrap();
        assert_eq!(recognise(&octets).map(|found| found.known.meaning), Some(meaning), "{hex}");
    }
}

#[test]
fn a_version_octet_is_printed_as_10_and_another_is_an_error_of_its_own() {
    let message = BrokenMessage::default().to_octets();
    assert!(describe::message(&message).to_string().contains("Ver: 10"));
    let mut newer = message;
    newer[17] = 0x20;
    assert_eq!(Message::parse(&newer).unwrap_err().kind, ErrorKind::Ikev2);
}
