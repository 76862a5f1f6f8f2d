//! Frames through the data plane, and what must not get through.

use drive::Path;
use l2tpv3::registry::{PseudowireType, SequencingLevel};
use l2tpv3::wire::{Carrier, Cookie, MAX_DATA_HEADER, Sublayer};
use l2tpv3::{
    DATA_SESSION_OCTETS, DataPlane, DropReason, EncapsulateError, InstallError, SessionId, SessionParameters,
};
use proptest::prelude::*;
use serde_json::Value;
use std::num::NonZeroU32;

const HERE: [u8; 4] = [192, 0, 2, 1];
const THERE: [u8; 4] = [192, 0, 2, 2];

fn id(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn path(carrier: Carrier) -> Path {
    match carrier {
        Carrier::Ip => Path::ip(Carrier::PROTOCOL, HERE.into(), THERE.into()),
        Carrier::Udp => Path::new((HERE, 1701).into(), (THERE, 1701).into()),
    }
}

fn parameters(
    carrier: Carrier,
    cookies: (&[u8], &[u8]),
    sublayer: Sublayer,
    level: SequencingLevel,
) -> SessionParameters {
    SessionParameters {
        path: path(carrier),
        local_id: SessionId(id(1001)),
        remote_id: id(2001),
        local_cookie: Cookie::from_slice(cookies.0).unwrap(),
        remote_cookie: Cookie::from_slice(cookies.1).unwrap(),
        pseudowire: PseudowireType::ETHERNET,
        receive_sublayer: sublayer,
        send_sublayer: sublayer,
        receive_sequencing: level,
        send_sequencing: level,
        rewrite_vlan: None,
        resynchronise_after: 5,
    }
}

fn mirrored(parameters: SessionParameters) -> SessionParameters {
    SessionParameters {
        path: parameters.path.reversed(),
        local_id: SessionId(parameters.remote_id),
        remote_id: parameters.local_id.0,
        local_cookie: parameters.remote_cookie,
        remote_cookie: parameters.local_cookie,
        receive_sublayer: parameters.send_sublayer,
        send_sublayer: parameters.receive_sublayer,
        receive_sequencing: parameters.send_sequencing,
        send_sequencing: parameters.receive_sequencing,
        ..parameters
    }
}

struct Pair {
    ours: DataPlane,
    theirs: DataPlane,
    session: SessionId,
}

fn pair(parameters: SessionParameters) -> Pair {
    let (mut ours, mut theirs) = (DataPlane::new(), DataPlane::new());
    ours.install(parameters).unwrap();
    theirs.install(mirrored(parameters)).unwrap();
    Pair { ours, theirs, session: parameters.local_id }
}

impl Pair {
    fn packet(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut buffer = vec![0xee; MAX_DATA_HEADER];
        buffer.extend_from_slice(frame);
        let end = buffer.len();
        let sent = self.ours.encapsulate(self.session, &mut buffer, MAX_DATA_HEADER..end).unwrap();
        buffer[sent.packet].to_vec()
    }

    fn receive(&mut self, packet: &[u8]) -> Result<Vec<u8>, DropReason> {
        let mut packet = packet.to_vec();
        let path = self.ours.parameters(self.session).unwrap().path.reversed();
        let received = self.theirs.decapsulate(path, &mut packet)?;
        Ok(packet[received.frame].to_vec())
    }
}

fn arp() -> Vec<u8> {
    let mut frame = vec![0xff; 12];
    frame.extend_from_slice(&[0x08, 0x06]);
    frame.extend_from_slice(&[0; 28]);
    frame
}

fn ip() -> Vec<u8> {
    let mut frame = arp();
    frame[13] = 0;
    frame
}

#[test]
fn frames_pass_in_every_layout() {
    for carrier in [Carrier::Ip, Carrier::Udp] {
        for cookies in [(&b""[..], &b""[..]), (b"abcd", b"efghijkl"), (b"efghijkl", b""), (b"01234567", b"76543210")] {
            for sublayer in [Sublayer::None, Sublayer::Default] {
                for level in [SequencingLevel::NONE, SequencingLevel::NON_IP, SequencingLevel::ALL] {
                    let mut pair = pair(parameters(carrier, cookies, sublayer, level));
                    for frame in [arp(), ip(), arp()] {
                        let packet = pair.packet(&frame);
                        let overhead = pair.ours.parameters(pair.session).unwrap().overhead().unwrap();
                        assert_eq!(packet.len(), frame.len() + overhead);
                        assert_eq!(pair.receive(&packet), Ok(frame));
                    }
                }
            }
        }
    }
}

/// The packets of a kernel's static pseudowire, by the file they were captured to.
fn captured(file: &str) -> Vec<(String, Vec<u8>)> {
    let json: Value = serde_json::from_str(include_str!("vectors/captures.json")).unwrap();
    let frames = json["captures"].as_array().unwrap().iter().filter(|frame| frame["file"] == file);
    let octets = |frame: &Value| hex::decode(frame["payload"].as_str().unwrap()).unwrap();
    frames.map(|frame| (frame["tshark"]["sid"].as_str().unwrap().to_string(), octets(frame))).collect()
}

#[test]
fn packets_of_a_linux_kernel_are_opened_and_made_again_octet_for_octet() {
    let all: &[u8] = &[0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8];
    let ours: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8];
    for (file, carrier, cookie, sublayer, level) in [
        ("linux-l2tpv3-ip-default.pcap", Carrier::Ip, 0, Sublayer::Default, SequencingLevel::NONE),
        ("linux-l2tpv3-ip-nol2spec.pcap", Carrier::Ip, 0, Sublayer::None, SequencingLevel::NONE),
        ("linux-l2tpv3-ip-cookie8.pcap", Carrier::Ip, 8, Sublayer::None, SequencingLevel::NONE),
        ("linux-l2tpv3-ip-cookie4-seq.pcap", Carrier::Ip, 4, Sublayer::Default, SequencingLevel::ALL),
        ("linux-l2tpv3-udp-cookie8.pcap", Carrier::Udp, 8, Sublayer::None, SequencingLevel::NONE),
    ] {
        // The kernel's end has session 2001 (0x7d1) and sends to 1001 (0x3e9).
        let parameters = parameters(carrier, (&all[..cookie], &ours[..cookie]), sublayer, level);
        let mut pair = pair(parameters);
        let packets = captured(file);
        assert!(packets.len() > 5, "{file}");
        for (session, packet) in packets {
            if session != "0x000007d1" {
                continue;
            }
            let frame = pair.receive(&packet).unwrap_or_else(|reason| panic!("{file}: {reason}"));
            assert!(frame.len() >= 42, "{file}");
            if level == SequencingLevel::NONE {
                assert_eq!(pair.packet(&frame), packet, "{file}");
            }
        }
    }
}

#[test]
fn a_wrong_cookie_of_any_length_is_dropped_and_counted() {
    for length in [4, 8] {
        let cookie = &b"abcdefgh"[..length];
        let mut pair = pair(parameters(Carrier::Ip, (cookie, cookie), Sublayer::None, SequencingLevel::NONE));
        let packet = pair.packet(&arp());
        for bit in 32..32 + length * 8 {
            let mut wrong = packet.clone();
            wrong[bit / 8] ^= 0x80 >> (bit % 8);
            assert_eq!(pair.receive(&wrong), Err(DropReason::CookieMismatch));
        }
        assert!(pair.receive(&packet).is_ok());
        let counters = pair.theirs.counters(SessionId(id(2001))).unwrap();
        assert_eq!((counters.cookie_mismatches, counters.received_packets), (length as u64 * 8, 1));
        assert_eq!(counters.interface().in_drops, length as u64 * 8);
    }
}

#[test]
fn the_length_of_the_cookie_comes_from_the_session_and_not_from_the_packet() {
    let mut with = pair(parameters(Carrier::Ip, (b"abcdefgh", b"abcdefgh"), Sublayer::None, SequencingLevel::NONE));
    let mut without = pair(parameters(Carrier::Ip, (b"", b""), Sublayer::None, SequencingLevel::NONE));
    let bare = without.packet(&arp());
    assert_eq!(with.receive(&bare), Err(DropReason::CookieMismatch));
}

#[test]
fn every_truncation_is_dropped() {
    for (sublayer, level) in [(Sublayer::None, SequencingLevel::NONE), (Sublayer::Default, SequencingLevel::ALL)] {
        for carrier in [Carrier::Ip, Carrier::Udp] {
            let mut pair = pair(parameters(carrier, (b"abcdefgh", b"abcdefgh"), sublayer, level));
            let packet = pair.packet(&[5; 14]);
            for end in 0..packet.len() {
                assert!(pair.receive(&packet[..end]).is_err(), "{end}");
            }
            assert_eq!(pair.receive(&packet).unwrap(), [5; 14]);
        }
    }
}

#[test]
fn frames_of_0_to_13_octets_are_neither_sent_nor_received() {
    let mut pair = pair(parameters(Carrier::Ip, (b"", b""), Sublayer::None, SequencingLevel::NONE));
    for length in 0..14 {
        let mut buffer = vec![0; MAX_DATA_HEADER + length];
        let refused = pair.ours.encapsulate(pair.session, &mut buffer, MAX_DATA_HEADER..MAX_DATA_HEADER + length);
        assert_eq!(refused, Err(EncapsulateError::BadFrame));
        let mut packet = vec![0, 0, 7, 0xd1];
        packet.resize(4 + length, 0);
        assert_eq!(pair.receive(&packet), Err(DropReason::Runt));
    }
    assert_eq!(pair.theirs.counters(SessionId(id(2001))).unwrap().interface().ierrs, 14);
    assert_eq!(pair.ours.counters(pair.session).unwrap().interface().oerrs, 14);
}

#[test]
fn too_little_room_is_named_and_nothing_is_written() {
    let mut pair = pair(parameters(Carrier::Udp, (b"abcdefgh", b"abcdefgh"), Sublayer::Default, SequencingLevel::ALL));
    let mut buffer = vec![7; 60];
    let refused = pair.ours.encapsulate(pair.session, &mut buffer, 19..60);
    assert_eq!(refused, Err(EncapsulateError::BufferTooSmall { needed: 20 }));
    assert_eq!(buffer, [7; 60]);
    assert_eq!(pair.ours.encapsulate(pair.session, &mut buffer, 20..61), Err(EncapsulateError::BadFrame));
    assert_eq!(pair.ours.encapsulate(pair.session, &mut buffer, 20..60).unwrap().packet, 0..60);
}

#[test]
fn data_from_another_address_or_for_another_session_is_dropped() {
    let mut pair = pair(parameters(Carrier::Ip, (b"", b""), Sublayer::None, SequencingLevel::NONE));
    let mut packet = pair.packet(&arp());
    let other = Path::ip(115, THERE.into(), [192, 0, 2, 9].into());
    assert_eq!(pair.theirs.decapsulate(other, &mut packet), Err(DropReason::WrongPath));
    packet[3] ^= 1;
    assert_eq!(pair.receive(&packet), Err(DropReason::UnknownSession));
    assert_eq!(pair.receive(&[0, 0, 0, 0, 1, 2]), Err(DropReason::Malformed(l2tpv3::WireErrorKind::BadFlags)));
}

#[test]
fn sequenced_frames_come_once_and_in_order_only() {
    let mut pair = pair(parameters(Carrier::Ip, (b"", b""), Sublayer::Default, SequencingLevel::ALL));
    let packets: Vec<_> = (0..4).map(|_| pair.packet(&arp())).collect();
    assert!(pair.receive(&packets[0]).is_ok());
    assert_eq!(pair.receive(&packets[0]), Err(DropReason::OldSequence));
    assert!(pair.receive(&packets[2]).is_ok());
    assert_eq!(pair.receive(&packets[1]), Err(DropReason::OldSequence));
    assert!(pair.receive(&packets[3]).is_ok());
    let mut unnumbered = pair.packet(&arp());
    unnumbered[4] = 0;
    assert_eq!(pair.receive(&unnumbered), Err(DropReason::MissingSequence));
}

#[test]
fn only_frames_without_ip_are_numbered_at_level_1() {
    let mut pair = pair(parameters(Carrier::Ip, (b"", b""), Sublayer::Default, SequencingLevel::NON_IP));
    let (first, ip, second) = (pair.packet(&arp()), pair.packet(&ip()), pair.packet(&arp()));
    assert_eq!(first[4..8], [0x40, 0, 0, 0]);
    assert_eq!(ip[4..8], [0, 0, 0, 0]);
    assert_eq!(second[4..8], [0x40, 0, 0, 1]);
    assert!(pair.receive(&second).is_ok());
    assert!(pair.receive(&ip).is_ok(), "IP is not held up by the order of the others");
    assert_eq!(pair.receive(&first), Err(DropReason::OldSequence));
}

#[test]
fn nothing_is_sent_while_the_peers_circuit_is_down() {
    let mut pair = pair(parameters(Carrier::Ip, (b"", b""), Sublayer::None, SequencingLevel::NONE));
    pair.ours.set_peer_circuit(pair.session, false);
    let mut buffer = vec![0; 80];
    let refused = pair.ours.encapsulate(pair.session, &mut buffer, 20..80);
    assert_eq!(refused, Err(EncapsulateError::CircuitDown));
    assert_eq!(pair.ours.counters(pair.session).unwrap().interface().out_discards, 1);
    pair.ours.set_peer_circuit(pair.session, true);
    assert!(pair.ours.encapsulate(pair.session, &mut buffer, 20..80).is_ok());
}

#[test]
fn a_vlan_pseudowire_takes_tagged_frames_only_and_rewrites_the_tag() {
    let vlan = SessionParameters {
        pseudowire: PseudowireType::ETHERNET_VLAN,
        rewrite_vlan: Some(7),
        ..parameters(Carrier::Ip, (b"", b""), Sublayer::None, SequencingLevel::NONE)
    };
    let mut pair = pair(vlan);
    let mut frame = vec![2; 12];
    frame.extend_from_slice(&[0x81, 0, 0x60, 0x05, 8, 6, 0, 0]);
    let packet = pair.packet(&frame);
    assert_eq!(pair.receive(&packet).unwrap()[14..16], [0x60, 0x07]);
    let packet = pair.packet(&arp());
    assert_eq!(pair.receive(&packet), Err(DropReason::Untagged));
}

#[test]
fn a_taken_session_id_and_a_foreign_protocol_are_refused() {
    let parameters = parameters(Carrier::Ip, (b"", b""), Sublayer::None, SequencingLevel::NONE);
    let mut plane = DataPlane::new();
    plane.install(parameters).unwrap();
    assert_eq!(plane.install(parameters), Err(InstallError::IdTaken));
    let foreign = SessionParameters { path: Path::ip(47, HERE.into(), THERE.into()), ..parameters };
    assert_eq!(plane.install(foreign), Err(InstallError::OtherProtocol));
    assert!(plane.remove(parameters.local_id).is_some());
    assert!(plane.is_empty());
}

#[test]
fn the_memory_of_a_session_is_what_the_documentation_says() {
    assert_eq!(DATA_SESSION_OCTETS, 360);
}

proptest! {
    #[test]
    fn any_octets_are_opened_or_dropped(octets in proptest::collection::vec(any::<u8>(), 0..64), known in any::<bool>(), udp in any::<bool>()) {
        let carrier = if udp { Carrier::Udp } else { Carrier::Ip };
        let mut pair = pair(parameters(carrier, (b"", b""), Sublayer::Default, SequencingLevel::ALL));
        let mut octets = octets;
        if known && octets.len() > 8 {
            let at = if udp { octets[1] = 3; 4 } else { 0 };
            octets[0] &= 0x7f;
            octets[at..at + 4].copy_from_slice(&2001u32.to_be_bytes());
        }
        let path = pair.ours.parameters(pair.session).unwrap().path.reversed();
        let length = octets.len();
        if let Ok(opened) = pair.theirs.decapsulate(path, &mut octets) {
            prop_assert!(opened.frame.end == length && opened.frame.len() >= 14);
        }
    }
}
