//! `dissect` on L2TP packets, in captures made here.

mod captures;

use examples::dissect::run::Settings;
use ipsec_wire::ipv4::Ipv4Fields;
use l2tpv3::registry::{AttributeType, MessageType};
use l2tpv3::wire::{RawAvp, RawMessage};
use std::net::Ipv4Addr;

/// A capture of one IP packet of protocol 115 with a message behind the zero session id.
fn capture(message: &[u8]) -> Vec<u8> {
    let fields = Ipv4Fields {
        traffic_class: 0,
        total_len: 24 + message.len() as u16,
        identification: 0,
        dont_fragment: false,
        ttl: 64,
        protocol: 115,
        source: Ipv4Addr::new(192, 0, 2, 1),
        destination: Ipv4Addr::new(192, 0, 2, 2),
    };
    captures::capture(&[(0, [&fields.emit()[..], &[0; 4], message].concat())])
}

fn tell(message: &RawMessage, json: bool) -> (String, u64) {
    let settings = Settings { check: true, json, ..Settings::default() };
    let (text, totals) = captures::tell(&capture(&message.octets()), &settings);
    (text, totals.breaches)
}

fn avp(flags: u16, vendor: u16, attribute: AttributeType, value: &[u8]) -> RawAvp {
    RawAvp { flags, length: None, vendor, attribute: attribute.0, value: value.to_vec() }
}

fn message(kind: MessageType, avps: Vec<RawAvp>) -> RawMessage {
    let first = avp(0x8000, 0, AttributeType::MESSAGE_TYPE, &kind.0.to_be_bytes());
    let avps = std::iter::once(first).chain(avps).collect();
    RawMessage { flags: 0xc803, length: None, connection_id: 0x0102_0304, ns: 5, nr: 6, avps }
}

#[test]
fn attributes_are_told_in_words() {
    let cisco = AttributeType(4);
    let sccrq = message(
        MessageType::SCCRQ,
        vec![
            avp(0x8000, 0, AttributeType::HOST_NAME, b"r1.example"),
            avp(0x8000, 0, AttributeType::ROUTER_ID, &[192, 0, 2, 9]),
            avp(0x8000, 0, AttributeType::ASSIGNED_CONNECTION_ID, &[0xde, 0xad, 0xbe, 0xef]),
            avp(0x8000, 0, AttributeType::PSEUDOWIRE_CAPABILITIES, &[0, 5, 0, 4]),
            avp(0, 0, AttributeType::TX_SPEED, &[0, 0, 0, 0, 0x3b, 0x9a, 0xca, 0]),
            avp(0x8000, 0, AttributeType::CIRCUIT_STATUS, &[0, 3]),
            avp(0xc000, 0, AttributeType::REMOTE_END_ID, &[1, 2, 3, 4]),
            avp(0, 9, cisco, &[0, 0, 0, 7]),
            avp(0, 4242, AttributeType(1), &[0xaa]),
        ],
    );
    let (text, breaches) = tell(&sccrq, false);
    assert_eq!(breaches, 0);
    for line in [
        "  L2TPv3 control Message: SCCRQ (1)  Connection: 01020304  Ns: 5  Nr: 6",
        "    AVP Type: Message Type (0)  Flags: M-",
        "      Value: SCCRQ (1)",
        "    AVP Type: Host Name (7)  Flags: M-",
        "      Value: \"r1.example\"",
        "      Value: 192.0.2.9",
        "      Value: deadbeef",
        "      Value: Ethernet (5)",
        "      Value: Ethernet VLAN (4)",
        "      Value: 1000000000",
        "      Value: up, of a new circuit",
        "    AVP Type: Remote End ID (66)  Flags: MH",
        "      Hidden value: 01020304",
        "    AVP Type: Remote Session ID (4)  Vendor: Cisco (9)  Flags: --",
        "      Value: 00000007",
        "    AVP Type: unknown (1)  Vendor: unknown (4242)  Flags: --",
        "      Value: aa",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is missing:\n{text}");
    }
    let (json, _) = tell(&sccrq, true);
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    let avps = object["inside"][0]["inside"].as_array().unwrap();
    assert_eq!(avps.len(), 10);
    assert_eq!(avps[1]["fields"]["Value"], "r1.example");
    assert_eq!(avps[4]["fields"]["Value"][1]["name"], "Ethernet VLAN");
}

#[test]
fn why_a_session_or_a_connection_ends_is_told_by_its_own_names() {
    for (kind, name) in [(MessageType::STOP_CCN, "shutting down (6)"), (MessageType::CDN, "unknown (6)")] {
        let ends = message(kind, vec![avp(0x8000, 0, AttributeType::RESULT_CODE, b"\0\x06\0\x08gone")]);
        let (text, _) = tell(&ends, false);
        for line in [format!("Result: {name}"), "Error: unknown mandatory AVP (8)".into(), "Text: \"gone\"".into()] {
            assert!(text.lines().any(|told| told.trim() == line), "{line} is missing:\n{text}");
        }
    }
}

#[test]
fn an_empty_message_is_an_acknowledgement_and_one_of_version_2_has_its_ids() {
    let empty = RawMessage { flags: 0xc803, length: None, connection_id: 1, ns: 2, nr: 3, avps: Vec::new() };
    assert!(tell(&empty, false).0.contains("Message: acknowledgement, no body  Connection: 00000001"));
    let old = RawMessage { flags: 0xc802, connection_id: 0x0007_0009, ..empty };
    assert!(tell(&old, false).0.contains("L2TPv2 control Message: acknowledgement, no body  Tunnel: 7  Session: 9"));
}

#[test]
fn values_of_the_wrong_length_are_octets_and_broken_attributes_break_a_rule() {
    let odd = message(
        MessageType::HELLO,
        vec![
            avp(0x8000, 0, AttributeType::ROUTER_ID, &[1, 2, 3]),
            avp(0x8000, 0, AttributeType::RESULT_CODE, &[1, 2, 3]),
            avp(0x8000, 0, AttributeType::TX_SPEED, &[1; 9]),
        ],
    );
    let (text, breaches) = tell(&odd, false);
    assert_eq!((text.matches("Value: 010203").count(), breaches), (2, 0), "{text}");
    assert!(text.contains("Value: 010101010101010101"), "{text}");
    let broken = RawAvp { length: Some(5), ..avp(0x8000, 0, AttributeType::HOST_NAME, b"x") };
    let (text, breaches) = tell(&message(MessageType::HELLO, vec![broken]), false);
    assert_eq!(breaches, 1);
    assert!(text.contains("ERROR:") && text.contains("BREAKS: RFC 3931"), "{text}");
}
