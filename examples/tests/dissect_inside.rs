//! `dissect` on what is inside ESP packets and L2TPv3 sessions, in captures made here.

mod captures;

use captures::{capture, tell};
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, Packet, SealJob, SealKey, SequenceBits, Suite, seal_batch};
use examples::dissect::run::Settings;
use ipsec_wire::ipv4::{Ipv4Fields, Ipv4Packet};
use l2tpv3::registry::{AttributeType, MessageType};
use l2tpv3::wire::{RawAvp, RawMessage};
use std::net::Ipv4Addr;

const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const KEY: [u8; 20] = [0x0b; 20];

/// An IPv4 packet, or the fragment of one that starts at `offset` octets.
fn ipv4((source, destination): (Ipv4Addr, Ipv4Addr), protocol: u8, offset: u16, more: bool, body: &[u8]) -> Vec<u8> {
    let fields = Ipv4Fields {
        traffic_class: 0,
        total_len: 20 + body.len() as u16,
        identification: 7,
        dont_fragment: false,
        ttl: 64,
        protocol,
        source,
        destination,
    };
    let mut octets = fields.emit().to_vec();
    octets[6..8].copy_from_slice(&((offset / 8) | if more { 0x2000 } else { 0 }).to_be_bytes());
    octets.extend(body);
    Ipv4Packet::new_checked(&mut octets[..]).unwrap().fill_checksum();
    octets
}

/// ESP with NULL encryption from here to there.
fn esp(sequence: u64, next_header: u8, body: &[u8]) -> Vec<u8> {
    let suite = Suite::new(CipherAlgorithm::Null, IntegrityAlgorithm::HmacSha1_96).unwrap();
    let key = SealKey::new(suite, SequenceBits::Bits32, &KEY).unwrap();
    let mut buffer = [&[0; 64][..], body, &[0; 64]].concat();
    let packet = Packet::new(&mut buffer, 64..64 + body.len()).unwrap();
    let mut jobs = [SealJob::new(&key, packet, 0x1234, sequence, next_header)];
    seal_batch(&mut jobs);
    let [job] = jobs;
    ipv4((HERE, THERE), 50, 0, false, job.finish().unwrap().octets())
}

fn with_keys() -> Settings {
    let mut settings = Settings { check: true, ..Settings::default() };
    settings.keys.add_esp(&format!("00001234:null::sha1:{}", hex::encode(KEY))).unwrap();
    settings
}

/// A UDP datagram to port 500 with a first message of main mode and a long vendor id.
fn isakmp() -> Vec<u8> {
    let mut message = vec![1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 13, 0x10, 2, 0, 0, 0, 0, 0];
    message.extend((28 + 4 + 1600_u32).to_be_bytes());
    message.extend([&[0, 0, 0x06, 0x44][..], &[0x5a; 1600]].concat());
    let length = 8 + message.len() as u16;
    [500, 500, length, 0].into_iter().flat_map(u16::to_be_bytes).chain(message).collect()
}

#[test]
fn what_transport_mode_protects_is_told() {
    let (text, _) = tell(&capture(&[(0, esp(1, 17, &isakmp()))]), &with_keys());
    assert!(text.contains("Inside From: 192.0.2.1:500  To: 192.0.2.2:500  Carries: ISAKMP"), "{text}");
    assert!(text.contains("ISAKMP Cookies: 0102030405060708"), "{text}");
}

#[test]
fn fragments_inside_a_tunnel_are_put_together() {
    let inner = (Ipv4Addr::new(10, 1, 0, 1), Ipv4Addr::new(10, 2, 0, 1));
    let whole = isakmp();
    let parts = [ipv4(inner, 17, 0, true, &whole[..800]), ipv4(inner, 17, 800, false, &whole[800..])];
    for order in [[0, 1], [1, 0]] {
        let packets: Vec<_> =
            order.iter().enumerate().map(|(at, part)| (at as u32, esp(at as u64 + 1, 4, &parts[*part]))).collect();
        let (text, totals) = tell(&capture(&packets), &with_keys());
        assert_eq!(totals.told, 2);
        assert_eq!(text.matches("Inside: an IP fragment that waits for the others").count(), 1, "{text}");
        assert!(text.contains("Inside put together from frames: 1, 2"), "{text}");
        assert!(text.contains("Inside From: 10.1.0.1:500  To: 10.2.0.1:500  Carries: ISAKMP"), "{text}");
    }
}

fn avp(attribute: AttributeType, value: &[u8]) -> RawAvp {
    RawAvp { flags: 0x8000, length: None, vendor: 0, attribute: attribute.0, value: value.to_vec() }
}

/// A control message over IP.
fn control(ends: (Ipv4Addr, Ipv4Addr), kind: MessageType, avps: Vec<RawAvp>) -> Vec<u8> {
    let avps = std::iter::once(avp(AttributeType::MESSAGE_TYPE, &kind.0.to_be_bytes())).chain(avps).collect();
    let message = RawMessage { flags: 0xc803, length: None, connection_id: 1, ns: 0, nr: 0, avps };
    ipv4(ends, 115, 0, false, &[&[0; 4], &message.octets()[..]].concat())
}

/// A session whose ends assign 0xa1 with a cookie and a sublayer, and 0xb2 with neither.
fn session() -> Vec<(u32, Vec<u8>)> {
    let request = vec![
        avp(AttributeType::LOCAL_SESSION_ID, &[0, 0, 0, 0xa1]),
        avp(AttributeType::REMOTE_SESSION_ID, &[0; 4]),
        avp(AttributeType::PSEUDOWIRE_TYPE, &[0, 5]),
        avp(AttributeType::ASSIGNED_COOKIE, b"8octets!"),
        avp(AttributeType::SUBLAYER, &[0, 1]),
    ];
    let reply = vec![
        avp(AttributeType::LOCAL_SESSION_ID, &[0, 0, 0, 0xb2]),
        avp(AttributeType::REMOTE_SESSION_ID, &[0, 0, 0, 0xa1]),
    ];
    vec![(0, control((HERE, THERE), MessageType::ICRQ, request)), (0, control((THERE, HERE), MessageType::ICRP, reply))]
}

/// An Ethernet frame with an ESP packet that nothing opens.
fn frame() -> Vec<u8> {
    let packet = ipv4((Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)), 50, 0, false, &[9; 40]);
    [&[2; 12][..], &[8, 0], &packet].concat()
}

#[test]
fn the_frames_of_a_session_are_found_behind_cookie_and_sublayer() {
    let mut packets = session();
    let to_here = [&[0, 0, 0, 0xa1][..], b"8octets!", &[0x40, 0, 0, 5], &frame()].concat();
    let to_there = [&[0, 0, 0, 0xb2][..], &frame()].concat();
    packets.push((1, ipv4((THERE, HERE), 115, 0, false, &to_here)));
    packets.push((2, ipv4((HERE, THERE), 115, 0, false, &to_there)));
    let (text, totals) = tell(&capture(&packets), &Settings::default());
    assert_eq!(totals.told, 4);
    assert!(text.contains("Cookie: 386f637465747321  It is: as assigned"), "{text}");
    assert!(text.contains("Sequence: 5"), "{text}");
    assert_eq!(text.matches("Pseudowire: Ethernet (5)").count(), 2, "{text}");
    assert_eq!(text.matches("Inside From: 10.0.0.1  To: 10.0.0.2  Carries: ESP").count(), 2, "{text}");
}

#[test]
fn a_wrong_cookie_is_told_and_what_follows_it_is_not_followed() {
    let mut packets = session();
    let wrong = [&[0, 0, 0, 0xa1][..], b"8octets?", &[0; 4], &frame()].concat();
    packets.push((1, ipv4((THERE, HERE), 115, 0, false, &wrong)));
    packets.push((2, ipv4((THERE, HERE), 115, 0, false, &[0, 0, 0, 0xa1, 1, 2])));
    packets.push((3, ipv4((THERE, HERE), 115, 0, false, &[0, 0, 0, 0xc3, 1, 2])));
    let (text, totals) = tell(&capture(&packets), &Settings::default());
    assert_eq!(totals.told, 5);
    assert!(text.contains("It is: NOT as assigned"), "{text}");
    assert!(!text.contains("Inside"), "{text}");
    assert!(text.contains("ERROR: shorter than its session's cookie and sublayer"), "{text}");
    assert!(text.contains("L2TPv3 data Session: 000000c3\n    Octets: 000000c30102"), "{text}");
}
