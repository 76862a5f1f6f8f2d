//! What anyone may say from anywhere before it has proven anything, and what that costs.

mod common;

use common::forge::*;
use common::*;
use drive::{Datagram, Instant, Machine, Path, Verdict};
use l2tpv3::config::PeerConfig;
use l2tpv3::digest::SharedSecret;
use l2tpv3::registry::{AttributeType, MessageType};
use l2tpv3::wire::{Attributes, Carrier, Collected, ControlMessage, Packet, RawAvp, RawMessage, classify};
use l2tpv3::*;
use std::borrow::Cow;

fn open_to_all() -> Router {
    router("right.example", 2, vec![PeerConfig { address: None, ..plain(right()) }], 5)
}

/// Rows 90 and 154.
#[test]
fn a_flood_of_requests_meets_the_limit_and_is_forgotten_and_gets_no_more_than_three_times_its_octets() {
    let mut router = open_to_all();
    let (mut received, mut sent) = (0, 0);
    let mut now = Instant::ZERO;
    for n in 0..5_000u32 {
        let [_, b, c, d] = n.to_be_bytes();
        let path = Path::ip(115, RIGHT.into(), [10, b, c, d].into());
        let octets = request(n + 1, Attributes::default());
        received += octets.len();
        let verdict = router.handle_datagram(now, Datagram { path, payload: &octets });
        let expected = if n < 64 { Verdict::Accepted } else { Verdict::Ignored(DropReason::HalfOpenLimit) };
        assert_eq!(verdict, expected);
        sent += drain(&mut router).0;
    }
    assert_eq!(router.endpoint.connection_statuses(now).len(), 64);
    while let Some(at) = router.poll_timeout() {
        now = at;
        router.handle_timeout(now);
        sent += drain(&mut router).0;
    }
    assert!(sent <= 3 * received, "{sent} octets for {received}");
    assert!(router.endpoint.counters().withheld > 0);
    assert!(router.endpoint.connection_statuses(now).is_empty(), "all half-open ones are forgotten");
    // And a lawful peer gets in again.
    let path = path(Carrier::Ip).reversed();
    let payload = &request(1, Attributes::default());
    assert_eq!(router.handle_datagram(now, Datagram { path, payload }), Verdict::Accepted);
}

#[test]
fn each_half_open_address_gets_no_more_than_three_times_its_octets() {
    let mut router = open_to_all();
    let octets = request(1, Attributes::default());
    let path = path(Carrier::Ip).reversed();
    let (mut received, mut sent, mut now) = (0, 0, Instant::ZERO);
    for _ in 0..5 {
        received += octets.len();
        let _ = router.handle_datagram(now, Datagram { path, payload: &octets });
        sent += drain(&mut router).0;
        for _ in 0..3 {
            if let Some(at) = router.poll_timeout() {
                now = at;
                router.handle_timeout(now);
                sent += drain(&mut router).0;
            }
        }
        assert!(sent <= 3 * received, "{sent} octets for {received}");
    }
}

#[test]
fn requests_that_are_refused_leave_nothing_behind() {
    let mut router = router("right.example", 2, vec![secret(right())], 5);
    let path = path(Carrier::Ip).reversed();
    for n in 1..2_000 {
        // Without authentication: refused with result 4, in fewer than three times the octets.
        let octets = request(n, Attributes::default());
        let verdict = router.handle_datagram(Instant::ZERO, Datagram { path, payload: &octets });
        assert_eq!(verdict, Verdict::Ignored(DropReason::AuthenticationMismatch));
        let (size, sent) = drain(&mut router);
        assert!(size <= 3 * octets.len());
        let Ok(Packet::Control(message)) = classify(Carrier::Ip, &sent[0]) else { panic!() };
        let stop = Collected::read(&message, None).unwrap();
        assert_eq!((stop.message_type, stop.attributes.result.unwrap().result), (MessageType::STOP_CCN, 4));
        assert_eq!(message.header.connection_id, n);
        // With a nonce but a wrong digest: not a word.
        let octets = request(n, Attributes { nonce: Some(Cow::Borrowed(&[1; 16])), ..Attributes::default() });
        let verdict = router.handle_datagram(Instant::ZERO, Datagram { path, payload: &octets });
        assert_eq!(verdict, Verdict::Ignored(DropReason::MissingDigest));
        assert!(drain(&mut router).1.is_empty());
    }
    assert!(router.endpoint.connection_statuses(Instant::ZERO).is_empty());
    assert_eq!(router.poll_timeout(), None);
}

#[test]
fn a_peer_that_does_not_authenticate_is_never_talked_to_silently() {
    let mut mixed = pair(secret(left(Carrier::Ip)), plain(right()), calm(), 1);
    mixed.connect();
    mixed.run(100);
    assert!(matches!(
        &mixed.events(mixed.left)[..],
        [Event::ConnectionDown { reason: DownReason::NotAuthenticated, .. }]
    ));
    let mut mixed = pair(plain(left(Carrier::Ip)), secret(right()), calm(), 1);
    mixed.connect();
    mixed.run(100);
    assert!(
        matches!(&mixed.events(mixed.left)[..], [Event::ConnectionDown { reason: DownReason::Peer(cause), .. }] if cause.result == 4)
    );
    let wrong = PeerConfig { secrets: vec![SharedSecret::copied(b"other")], ..right() };
    let mut mixed = pair(secret(left(Carrier::Ip)), wrong, calm(), 1);
    mixed.connect();
    mixed.run(100);
    assert!(matches!(&mixed.events(mixed.left)[..], [Event::ConnectionDown { reason: DownReason::Silent, .. }]));
    assert!(mixed.endpoint(mixed.right).counters().drops.of(DropReason::BadDigest) >= 10);
}

/// A recorded session does not start another: row 152, and replay of a whole exchange.
#[test]
fn messages_of_an_old_connection_are_worth_nothing_to_a_new_one() {
    let record = |seed| {
        let mut pair = pair(secret(left(Carrier::Ip)), secret(right()), calm(), seed);
        pair.net.start_record();
        pair.connect();
        pair.run(3);
        pair
    };
    let old = record(1);
    let sent: Vec<_> = old
        .net
        .record()
        .iter()
        .filter_map(|entry| match &entry.what {
            simnet::What::Sent(packet) if entry.node == old.left => Some(packet.clone()),
            _ => None,
        })
        .collect();
    let mut router = router("right.example", 2, vec![secret(right())], 777);
    let mut accepted = 0;
    for packet in &sent {
        let verdict = router.handle_datagram(Instant::ZERO, packet.as_received());
        accepted += usize::from(verdict == Verdict::Accepted);
    }
    // The request opens half a connection, as it must; with new nonces nothing that follows fits.
    assert_eq!(accepted, 1);
    assert!(router.endpoint.session_statuses(Instant::ZERO).is_empty());
    assert_eq!(router.endpoint.connection_statuses(Instant::ZERO)[0].state, "wait-ctl-conn");
}

#[test]
fn our_own_request_sent_back_to_us_is_recognised() {
    let mut peer = plain(left(Carrier::Ip));
    peer.circuits.clear();
    let mut router = router("left.example", 1, vec![peer], 5);
    router.handle_command(Instant::ZERO, Command::Connect { peer: PeerId(0), path: None }).unwrap();
    let (_, sent) = drain(&mut router);
    let verdict = router.handle_datagram(Instant::ZERO, Datagram { path: path(Carrier::Ip), payload: &sent[0] });
    assert_eq!(verdict, Verdict::Ignored(DropReason::Reflected));
    assert_eq!(router.endpoint.connection_statuses(Instant::ZERO)[0].state, "wait-ctl-reply");
}

#[test]
fn equal_tie_breakers_make_the_request_start_again_with_a_new_one() {
    let mut router = router("left.example", 1, vec![plain(left(Carrier::Ip))], 5);
    router.handle_command(Instant::ZERO, Command::Connect { peer: PeerId(0), path: None }).unwrap();
    let tie_breaker = |octets: &[u8]| {
        let Ok(Packet::Control(message)) = classify(Carrier::Ip, octets) else { panic!() };
        Collected::read(&message, None).unwrap().attributes.tie_breaker.unwrap()
    };
    let first = tie_breaker(&drain(&mut router).1[0]);
    let payload = &request(77, Attributes { tie_breaker: Some(first), ..Attributes::default() });
    let verdict = router.handle_datagram(Instant::ZERO, Datagram { path: path(Carrier::Ip), payload });
    assert_eq!(verdict, Verdict::Ignored(DropReason::Refused));
    let (_, sent) = drain(&mut router);
    assert_ne!(tie_breaker(&sent[0]), first);
    assert_eq!(router.endpoint.connection_statuses(Instant::ZERO).len(), 1);
}

/// A forged winner does not take our request away: row 44 of the taste, before authentication nothing dies.
#[test]
fn a_request_that_wins_the_tie_ends_ours_only_once_its_sender_is_proven() {
    let mut pair = pair(plain(left(Carrier::Ip)), plain(right()), calm(), 1);
    pair.connect();
    let payload = request(77, Attributes { tie_breaker: Some([0; 8]), ..Attributes::default() });
    let l = pair.left;
    assert_eq!(inject(&mut pair, l, path(Carrier::Ip), &payload), Verdict::Accepted);
    pair.run(3);
    assert!(pair.events(l).iter().any(|event| matches!(event, Event::ConnectionUp { .. })));
    assert!(pair.events(l).iter().any(|event| matches!(event, Event::SessionUp { .. })));
}

#[test]
fn peers_of_version_2_are_refused_by_name_in_their_own_version() {
    let mut router = open_to_all();
    let path = Path::new((RIGHT, 1701).into(), ([10, 0, 0, 1], 1701).into());
    let avps = vec![
        kind(MessageType::SCCRQ),
        avp(AttributeType::PROTOCOL_VERSION, &[1, 0]),
        avp(AttributeType::HOST_NAME, b"old"),
        avp(AttributeType::FRAMING_CAPABILITIES, &[0, 0, 0, 3]),
        avp(AttributeType::ASSIGNED_TUNNEL_ID, &[0x12, 0x34]),
    ];
    let payload = &RawMessage { flags: 0xc802, avps, ..RawMessage::default() }.octets();
    let verdict = router.handle_datagram(Instant::ZERO, Datagram { path, payload });
    assert_eq!(verdict, Verdict::Ignored(DropReason::Version2Peer));
    let (_, sent) = drain(&mut router);
    let message = ControlMessage::parse(&sent[0]).unwrap();
    assert_eq!((message.header.version, message.header.version_2_ids(), message.header.nr), (2, (0x1234, 0), 1));
    let stop = Collected::read(&message, None).unwrap();
    let result = stop.attributes.result.unwrap();
    assert_eq!((stop.message_type, result.result, result.error.unwrap().0), (MessageType::STOP_CCN, 5, 3));
    assert!(stop.version_2_tunnel.is_some());
    for (payload, reason) in [
        (&[0x00, 0x02, 0, 0, 0, 0, 0, 0][..], DropReason::Version2),
        (&[0x00, 0x01, 0, 0], DropReason::L2f),
        (&[0xc8, 0x02, 0, 12, 0, 1, 0, 0, 0, 1, 0, 1], DropReason::Version2),
    ] {
        assert_eq!(router.handle_datagram(Instant::ZERO, Datagram { path, payload }), Verdict::Ignored(reason));
    }
}

#[test]
fn a_request_for_automatic_fallback_is_answered_in_version_3() {
    // As a public implementation sends it: version 2 AVPs with the M bit, those of version 3 without.
    let mut router = open_to_all();
    let path = Path::new((RIGHT, 1701).into(), ([10, 0, 0, 1], 40_000).into());
    let optional = |attribute, value: &[u8]| RawAvp { flags: 0, ..avp(attribute, value) };
    let avps = vec![
        kind(MessageType::SCCRQ),
        avp(AttributeType::PROTOCOL_VERSION, &[1, 0]),
        avp(AttributeType::HOST_NAME, b"new"),
        avp(AttributeType::FRAMING_CAPABILITIES, &[0, 0, 0, 3]),
        avp(AttributeType::ASSIGNED_TUNNEL_ID, &[0x12, 0x34]),
        optional(AttributeType::ROUTER_ID, &[0, 0, 0, 1]),
        optional(AttributeType::ASSIGNED_CONNECTION_ID, &[0, 0, 0, 9]),
        optional(AttributeType::PSEUDOWIRE_CAPABILITIES, &[0, 5]),
    ];
    let payload = &RawMessage { flags: 0xc802, avps, ..RawMessage::default() }.octets();
    assert_eq!(router.handle_datagram(Instant::ZERO, Datagram { path, payload }), Verdict::Accepted);
    let (_, sent) = drain(&mut router);
    let message = ControlMessage::parse(&sent[0]).unwrap();
    assert_eq!((message.header.version, message.header.connection_id), (3, 9));
}

#[test]
fn a_peer_that_answers_in_version_2_is_named_as_such() {
    let mut router = router("left.example", 1, vec![plain(left(Carrier::Udp))], 5);
    router.handle_command(Instant::ZERO, Command::Connect { peer: PeerId(0), path: None }).unwrap();
    let payload = &RawMessage { flags: 0xc802, avps: vec![kind(MessageType::SCCRP)], ..RawMessage::default() }.octets();
    let _ = router.handle_datagram(Instant::ZERO, Datagram { path: path(Carrier::Udp), payload });
    let mut reason = None;
    while let (None, Some(at)) = (&reason, router.poll_timeout()) {
        router.handle_timeout(at);
        while let Some(action) = router.poll_action() {
            if let Action::Event(Event::ConnectionDown { reason: found, .. }) = action {
                reason = Some(found);
            }
        }
    }
    assert_eq!(reason, Some(DownReason::SpeaksVersion2));
}
