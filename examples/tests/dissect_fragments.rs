//! `dissect` on packets that come in IP fragments, in captures made here.

mod captures;

use captures::tell;
use examples::dissect::run::Settings;
use ipsec_wire::ipv4::{Ipv4Fields, Ipv4Packet};
use ipsec_wire::ipv6::Ipv6Fields;
use std::net::{Ipv4Addr, Ipv6Addr};

const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const DESTINATION: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A capture of IP packets, one each second.
fn capture(packets: &[Vec<u8>]) -> Vec<u8> {
    captures::capture(
        &packets.iter().enumerate().map(|(second, packet)| (second as u32, packet.clone())).collect::<Vec<_>>(),
    )
}

fn check() -> Settings {
    Settings { check: true, ..Settings::default() }
}

/// A UDP datagram with a first message of main mode that holds a long vendor id.
fn datagram(port: u16) -> Vec<u8> {
    let vendor_id = vec![0x5a; 3000];
    let mut message = vec![1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 13, 0x10, 2, 0, 0, 0, 0, 0];
    message.extend((28 + 4 + vendor_id.len() as u32).to_be_bytes());
    message.extend([0, 0]);
    message.extend((4 + vendor_id.len() as u16).to_be_bytes());
    message.extend(vendor_id);
    let mut datagram = Vec::new();
    for word in [port, port, 8 + message.len() as u16, 0] {
        datagram.extend(word.to_be_bytes());
    }
    datagram.extend(message);
    datagram
}

/// One fragment: the octets from `offset`, in units of one octet.
fn ipv4(identification: u16, protocol: u8, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
    let fields = Ipv4Fields {
        traffic_class: 0,
        total_len: 20 + payload.len() as u16,
        identification,
        dont_fragment: false,
        ttl: 64,
        protocol,
        source: SOURCE,
        destination: DESTINATION,
    };
    let mut octets = fields.emit().to_vec();
    let place = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
    octets[6..8].copy_from_slice(&place.to_be_bytes());
    octets.extend(payload);
    Ipv4Packet::new_checked(&mut octets[..]).unwrap().fill_checksum();
    octets
}

/// A fragment behind a hop-by-hop header.
fn ipv6(identification: u32, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
    let fields = Ipv6Fields {
        traffic_class: 0,
        flow_label: 0,
        payload_len: 16 + payload.len() as u16,
        next_header: 0,
        hop_limit: 64,
        source: Ipv6Addr::LOCALHOST,
        destination: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
    };
    let mut octets = fields.emit().to_vec();
    octets.extend([44, 0, 1, 4, 0, 0, 0, 0, 17, 0]);
    octets.extend((offset as u16 | u16::from(more)).to_be_bytes());
    octets.extend(identification.to_be_bytes());
    octets.extend(payload);
    octets
}

/// Three fragments of a datagram.
fn three(cut: impl Fn(usize, bool, &[u8]) -> Vec<u8>, datagram: &[u8]) -> [Vec<u8>; 3] {
    let (first, rest) = datagram.split_at(1480);
    let (second, third) = rest.split_at(1480);
    [cut(0, true, first), cut(1480, true, second), cut(2960, false, third)]
}

fn ipv4_parts(port: u16) -> [Vec<u8>; 3] {
    three(|offset, more, payload| ipv4(7, 17, offset, more, payload), &datagram(port))
}

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

#[test]
fn fragments_of_either_family_in_any_order_are_told_once_with_their_frames() {
    let families = [ipv4_parts(500), three(|offset, more, payload| ipv6(7, offset, more, payload), &datagram(500))];
    for parts in families {
        for order in ORDERS {
            let file = capture(&order.map(|part| parts[part].clone()));
            let (text, totals) = tell(&file, &check());
            assert_eq!((totals.frames, totals.told), (3, 3), "{text}");
            assert_eq!(text.matches("Frame #:").count(), 1, "{text}");
            assert!(text.starts_with("Frame #: 3  At: 2.000000"), "{text}");
            assert!(text.contains("Put together from frames: 1, 2, 3"), "{text}");
            assert!(text.contains("Length: 3004  Type: Vendor ID (13)"), "{text}");
            assert!(!text.contains("ERROR"), "{text}");
        }
    }
}

#[test]
fn a_fragment_that_comes_twice_does_no_harm() {
    let [first, second, third] = ipv4_parts(500);
    let (text, totals) = tell(&capture(&[first.clone(), second, first, third]), &check());
    assert_eq!(totals.told, 4);
    assert!(text.contains("Put together from frames: 1, 2, 3, 4"), "{text}");
}

#[test]
fn packets_with_other_identifications_are_kept_apart() {
    let whole = datagram(500);
    let parts = |id| three(move |offset, more, payload| ipv4(id, 17, offset, more, payload), &whole);
    let (one, other) = (parts(1), parts(2));
    let mixed: Vec<_> = one.into_iter().zip(other).flat_map(|(one, other)| [one, other]).collect();
    let (text, totals) = tell(&capture(&mixed), &check());
    assert_eq!(totals.told, 6);
    assert!(text.contains("frames: 1, 3, 5\n") && text.contains("frames: 2, 4, 6\n"), "{text}");
}

#[test]
fn overlapping_fragments_spoil_their_packet_and_break_a_rule() {
    let whole = datagram(500);
    let [first, second, third] = ipv4_parts(500);
    // Other octets in the same place, a part that reaches into the next, and a second end.
    let lies = [
        ipv4(7, 17, 1480, true, &[0; 1480]),
        ipv4(7, 17, 1472, true, &whole[1472..2952]),
        ipv4(7, 17, 2000, false, &[1; 8]),
    ];
    for lie in lies {
        let (text, totals) = tell(&capture(&[first.clone(), second.clone(), lie, third.clone()]), &check());
        assert_eq!((totals.told, totals.breaches), (4, 1), "{text}");
        assert!(text.contains("Not put together: its fragments contradict each other"), "{text}");
        assert!(text.contains("BREAKS: RFC 5722 §3") && text.contains("Parts in frames: 1, 2, 3, 4"), "{text}");
        assert!(!text.contains("ISAKMP Cookies"), "{text}");
    }
}

#[test]
fn a_packet_longer_than_ip_can_hold_or_of_odd_parts_is_refused_with_its_rule() {
    for (part, reason) in [
        (ipv4(7, 17, 65528, false, &[0; 40]), "more than an IP packet can hold"),
        (ipv4(7, 17, 0, true, &[0; 39]), "no multiple of eight"),
        (ipv4(7, 50, 0, true, &[]), "no multiple of eight"),
    ] {
        let (text, totals) = tell(&capture(&[part]), &check());
        assert_eq!(totals.breaches, 1, "{text}");
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn missing_parts_are_told_at_the_end_and_after_a_minute() {
    let [first, second, third] = ipv4_parts(500);
    let (text, totals) = tell(&capture(&[first.clone(), third.clone()]), &check());
    assert_eq!((totals.told, totals.breaches), (2, 0));
    assert!(text.contains("Carries: IP fragment"), "{text}");
    assert!(text.contains("Not put together: parts are missing: octets 1480 to 2959 of its payload\n"), "{text}");
    let late = captures::capture(&[(0, first), (1, third), (62, second)]);
    let (text, totals) = tell(&late, &check());
    assert_eq!(totals.told, 3);
    assert_eq!(text.matches("Not put together").count(), 2, "{text}");
}

#[test]
fn fragments_of_what_is_not_ours_are_not_told() {
    let mut foreign = datagram(53);
    // Not even the version of ISAKMP.
    foreign[8 + 17] = 0;
    let [first, second, third] = three(|offset, more, payload| ipv4(7, 17, offset, more, payload), &foreign);
    let (text, totals) = tell(&capture(&[first.clone(), second, third]), &check());
    assert_eq!((text.as_str(), totals.told), ("", 0));
    assert_eq!(tell(&capture(&[first]), &check()).0, "");
    let tcp = ipv4(7, 6, 0, true, &[0; 8]);
    assert_eq!(tell(&capture(&[tcp]), &check()).0, "");
}

#[test]
fn a_flood_of_first_fragments_is_held_within_bounds_and_each_is_told() {
    let flood: Vec<_> = (0..5000).map(|id| (0, ipv4(id, 50, 0, true, &[0; 1480]))).collect();
    let (text, totals) = tell(&captures::capture(&flood), &check());
    assert_eq!((totals.frames, totals.told), (5000, 5000));
    assert!(text.contains("too many packets were waiting"));
    let many: Vec<_> = (0..8000).rev().map(|unit| ipv4(7, 50, unit * 8, true, &[0; 8])).collect();
    let (text, totals) =
        tell(&captures::capture(&many.into_iter().map(|part| (0, part)).collect::<Vec<_>>()), &check());
    assert_eq!(totals.told, 8000);
    assert!(text.contains("it comes in too many fragments"), "{text}");
}

#[test]
fn an_atomic_fragment_of_ipv6_is_whole() {
    let (text, totals) = tell(&capture(&[ipv6(7, 0, false, &datagram(500))]), &check());
    assert_eq!(totals.told, 1);
    assert!(text.contains("ISAKMP Cookies: 0102030405060708") && !text.contains("Put together"), "{text}");
}

#[test]
fn the_same_facts_are_told_as_json() {
    let settings = Settings { json: true, ..check() };
    let (text, _) = tell(&capture(&ipv4_parts(500)), &settings);
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["fields"]["Put together from frames"], "1, 2, 3");
    assert_eq!(object["inside"][0]["inside"][0]["fields"]["Length"], 3004);
    let [first, ..] = ipv4_parts(500);
    let (text, _) = tell(&capture(&[first]), &settings);
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(object["fields"]["Not put together"].as_str().unwrap().starts_with("parts are missing"), "{text}");
}
