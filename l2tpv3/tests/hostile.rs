//! Forged, broken and foreign messages: each holds the attack, and the lawful traffic beside it.

mod common;

use common::*;
use core::time::Duration;
use drive::{Datagram, Instant, Machine, Path, Verdict};
use l2tpv3::config::PeerConfig;
use l2tpv3::digest::SharedSecret;
use l2tpv3::registry::{AttributeType, MessageType, StopResult};
use l2tpv3::transition::{ConnectionState, TABLE};
use l2tpv3::wire::{
    Attributes, Carrier, Collected, ControlMessage, EmitOptions, Packet, RawAvp, RawMessage, classify, emit,
};
use l2tpv3::*;
use std::borrow::Cow;
use std::num::NonZeroU32;

fn secret(peer: PeerConfig) -> PeerConfig {
    PeerConfig { secrets: vec![SharedSecret::copied(b"secret")], ..peer }
}

fn plain(peer: PeerConfig) -> PeerConfig {
    PeerConfig { integrity: false, ..peer }
}

/// A pair that is up, with one session.
fn up(left: PeerConfig, right: PeerConfig) -> Pair {
    let mut pair = pair(left, right, calm(), 1);
    pair.connect();
    pair.run(3);
    pair
}

fn avp(attribute: AttributeType, value: &[u8]) -> RawAvp {
    RawAvp { flags: 0x8000, attribute: attribute.0, value: value.to_vec(), ..RawAvp::default() }
}

fn kind(message: MessageType) -> RawAvp {
    avp(AttributeType::MESSAGE_TYPE, &message.0.to_be_bytes())
}

fn over(carrier: Carrier, octets: Vec<u8>) -> Vec<u8> {
    match carrier {
        Carrier::Ip => [vec![0; 4], octets].concat(),
        Carrier::Udp => octets,
    }
}

/// Hands octets to a node as if they came over `path` (as that node sees it).
fn inject(pair: &mut Pair, node: simnet::NodeId, path: Path, octets: &[u8]) -> Verdict<DropReason> {
    pair.net.call(node, |now, router| router.handle_datagram(now, Datagram { path, payload: octets })).unwrap()
}

/// What the right end would say next to the left one: connection id, Ns, Nr.
fn next(pair: &Pair) -> (u32, u16, u16) {
    let status = &pair.endpoint(pair.right).connection_statuses(pair.net.now())[0];
    (status.remote_id, status.ns, status.nr)
}

/// The right end's next message to the left one, with these AVPs and without digest.
fn forged(pair: &Pair, avps: Vec<RawAvp>) -> Vec<u8> {
    let (connection_id, ns, nr) = next(pair);
    over(Carrier::Ip, RawMessage { connection_id, ns, nr, avps, ..RawMessage::default() }.octets())
}

fn still_works(pair: &mut Pair) {
    let (l, r) = (pair.left, pair.right);
    let (ours, theirs) = (pair.session(l), pair.session(r));
    let before = pair.frames(r).len();
    pair.send_frame(l, ours, &frame(7)).unwrap();
    pair.run(1);
    assert_eq!(pair.frames(r)[before..], [(theirs, frame(7))]);
    pair.command(l, Command::SetCircuit { session: ours, active: false }).unwrap();
    pair.command(l, Command::SetCircuit { session: ours, active: true }).unwrap();
    pair.run(1);
    assert_eq!(pair.endpoint(l).connection_statuses(pair.net.now())[0].pending, 0, "the control channel moves on");
}

/// Row 155 of the list of flaws.
#[test]
fn a_stop_or_cdn_without_digest_keeps_an_authenticated_connection() {
    let mut pair = up(secret(left(Carrier::Ip)), secret(right()));
    let l = pair.left;
    let session = pair.session(l).0.get().to_be_bytes();
    for message in [MessageType::STOP_CCN, MessageType::CDN, MessageType::HELLO, MessageType::SLI] {
        let avps = vec![
            kind(message),
            avp(AttributeType::RESULT_CODE, &[0, 1]),
            avp(AttributeType::REMOTE_SESSION_ID, &session),
        ];
        let octets = forged(&pair, avps.clone());
        let verdict = inject(&mut pair, l, path(Carrier::Ip), &octets);
        assert_eq!(verdict, Verdict::Ignored(DropReason::MissingDigest));
        let mut avps = avps;
        let mut digest = vec![0; 17];
        digest[5] = 5;
        avps.insert(1, avp(AttributeType::MESSAGE_DIGEST, &digest));
        let octets = forged(&pair, avps);
        assert_eq!(inject(&mut pair, l, path(Carrier::Ip), &octets), Verdict::Ignored(DropReason::BadDigest));
    }
    // Not even an empty message is taken: it could acknowledge what never arrived.
    let octets = forged(&pair, vec![]);
    assert_eq!(inject(&mut pair, l, path(Carrier::Ip), &octets), Verdict::Ignored(DropReason::MissingDigest));
    assert_eq!(pair.endpoint(l).connection_statuses(pair.net.now())[0].bad_digests, 9);
    still_works(&mut pair);
}

#[test]
fn a_stop_without_digest_ends_an_unauthenticated_connection_only_with_the_right_ids_number_and_address() {
    let mut pair = up(plain(left(Carrier::Ip)), plain(right()));
    let l = pair.left;
    let stop = vec![kind(MessageType::STOP_CCN), avp(AttributeType::RESULT_CODE, &[0, 1])];
    let octets = forged(&pair, stop.clone());
    let elsewhere = Path::ip(115, LEFT.into(), [192, 0, 2, 99].into());
    assert_eq!(inject(&mut pair, l, elsewhere, &octets), Verdict::Ignored(DropReason::WrongPath));
    let (connection_id, ns, nr) = next(&pair);
    for (connection_id, ns, nr, reason) in [
        (connection_id ^ 1, ns, nr, DropReason::UnknownConnection),
        (connection_id, ns.wrapping_add(300), nr, DropReason::BeyondWindow),
        (connection_id, ns, nr.wrapping_add(1), DropReason::InvalidNr),
    ] {
        let octets = RawMessage { connection_id, ns, nr, avps: stop.clone(), ..RawMessage::default() }.octets();
        assert_eq!(inject(&mut pair, l, path(Carrier::Ip), &over(Carrier::Ip, octets)), Verdict::Ignored(reason));
    }
    still_works(&mut pair);
    let octets = forged(&pair, stop);
    assert_eq!(inject(&mut pair, l, path(Carrier::Ip), &octets), Verdict::Accepted);
    assert!(pair.endpoint(l).session_statuses(pair.net.now()).is_empty());
}

/// Row 155: the setting.
#[test]
fn where_the_configuration_wants_it_a_stop_without_digest_ends_nothing_and_one_with_digest_still_does() {
    let strict = |peer: PeerConfig| PeerConfig { refuse_unauthenticated_stop: true, ..peer };
    let mut pair = up(strict(plain(left(Carrier::Ip))), plain(right()));
    let l = pair.left;
    for result in [[0, 1], [0, 6]] {
        let octets = forged(&pair, vec![kind(MessageType::STOP_CCN), avp(AttributeType::RESULT_CODE, &result)]);
        let verdict = inject(&mut pair, l, path(Carrier::Ip), &octets);
        assert_eq!(verdict, Verdict::Ignored(DropReason::UnauthenticatedStop));
    }
    still_works(&mut pair);
    // Our own StopCCN is acknowledged and ends the connection as ever.
    let connection = pair.connection(l);
    pair.command(l, Command::Disconnect { connection, result: StopResult::CLEARED }).unwrap();
    pair.run(60);
    assert!(pair.endpoint(l).connection_statuses(pair.net.now()).is_empty());

    let mut pair = up(strict(secret(left(Carrier::Ip))), secret(right()));
    let connection = pair.connection(pair.right);
    pair.command(pair.right, Command::Disconnect { connection, result: StopResult::CLEARED }).unwrap();
    pair.run(1);
    assert!(pair.endpoint(pair.left).session_statuses(pair.net.now()).is_empty());
}

/// Row 155: a refusal of a request nobody authenticated, found by the peer's identifier.
#[test]
fn where_the_configuration_wants_it_a_stop_for_a_half_open_connection_changes_nothing() {
    for refuse in [false, true] {
        let peer = PeerConfig { refuse_unauthenticated_stop: refuse, ..plain(right()) };
        let mut router = router("right.example", 2, vec![peer], 5);
        let from = path(Carrier::Ip).reversed();
        let octets = request(77, Attributes::default());
        let verdict = router.handle_datagram(Instant::ZERO, Datagram { path: from, payload: &octets });
        assert_eq!(verdict, Verdict::Accepted);
        let avps = vec![
            kind(MessageType::STOP_CCN),
            avp(AttributeType::RESULT_CODE, &[0, 1]),
            avp(AttributeType::ASSIGNED_CONNECTION_ID, &77u32.to_be_bytes()),
        ];
        let stop = over(Carrier::Ip, RawMessage { ns: 1, avps, ..RawMessage::default() }.octets());
        let verdict = router.handle_datagram(Instant::ZERO, Datagram { path: from, payload: &stop });
        let left = router.endpoint.connection_statuses(Instant::ZERO).len();
        match refuse {
            true => assert_eq!((verdict, left), (Verdict::Ignored(DropReason::UnauthenticatedStop), 1)),
            false => assert_eq!((verdict, left), (Verdict::Accepted, 0)),
        }
    }
}

/// Row 148: an unknown AVP with the M bit, in each message.
#[test]
fn an_unknown_mandatory_avp_ends_the_session_or_the_connection_and_the_peer_is_told_which() {
    for row in TABLE.iter().filter(|row| row.lawful.contains(&ConnectionState::Established)) {
        if matches!(row.message, MessageType::STOP_CCN | MessageType::CDN) {
            continue;
        }
        let mut pair = up(plain(left(Carrier::Ip)), plain(right()));
        let (l, session) = (pair.left, pair.session(pair.left));
        let avps = vec![
            kind(row.message),
            avp(AttributeType::REMOTE_SESSION_ID, &session.0.get().to_be_bytes()),
            avp(AttributeType(999), b"?"),
        ];
        let octets = forged(&pair, avps);
        assert_eq!(inject(&mut pair, l, path(Carrier::Ip), &octets), Verdict::Accepted);
        let cause = pair.events(l).into_iter().rev().find_map(|event| match event {
            Event::SessionDown { reason: SessionDownReason::Protocol(cause), .. } => Some((true, cause)),
            Event::ConnectionDown { reason: DownReason::Protocol(cause), .. } => Some((false, cause)),
            _ => None,
        });
        let (is_session, cause) = cause.unwrap_or_else(|| panic!("{} changed nothing", row.message));
        assert_eq!(is_session, row.message.is_session(), "{}", row.message);
        assert_eq!((cause.result, cause.error.unwrap().0), (2, 8), "{}", row.message);
        assert_eq!(cause.text, "unknown mandatory AVP 0:999");
        assert_eq!(pair.endpoint(l).connection_statuses(pair.net.now())[0].state == "established", is_session);
    }
}

#[test]
fn an_unknown_avp_without_the_m_bit_changes_nothing() {
    let mut pair = up(plain(left(Carrier::Ip)), plain(right()));
    let l = pair.left;
    let mut odd = avp(AttributeType(999), b"?");
    odd.flags = 0;
    let octets = forged(&pair, vec![kind(MessageType::HELLO), odd]);
    assert_eq!(inject(&mut pair, l, path(Carrier::Ip), &octets), Verdict::Accepted);
    assert_eq!(pair.endpoint(l).counters().ignored_avps, 1);
    assert_eq!(pair.endpoint(l).connection_statuses(pair.net.now())[0].state, "established");
}

#[test]
fn an_unknown_message_type_ends_the_connection_only_with_the_m_bit() {
    for (flags, ends) in [(0x8000, true), (0, false)] {
        for vendor in [0, 9] {
            let mut pair = up(plain(left(Carrier::Ip)), plain(right()));
            let l = pair.left;
            let octets = forged(&pair, vec![RawAvp { flags, vendor, ..kind(MessageType(99)) }]);
            assert_eq!(inject(&mut pair, l, path(Carrier::Ip), &octets), Verdict::Accepted);
            let state = pair.endpoint(l).connection_statuses(pair.net.now())[0].state;
            assert_eq!(state == "closing", ends);
        }
    }
}

/// From the transition table: every message in every state that does not allow it.
#[test]
fn a_message_its_state_does_not_allow_ends_the_connection_with_a_state_error() {
    for row in TABLE {
        if row.lawful.contains(&ConnectionState::Established) {
            continue;
        }
        let mut pair = up(plain(left(Carrier::Ip)), plain(right()));
        let l = pair.left;
        let octets = forged(&pair, vec![kind(row.message)]);
        assert_eq!(inject(&mut pair, l, path(Carrier::Ip), &octets), Verdict::Accepted, "{}", row.message);
        let down = pair.events(l).into_iter().find_map(|event| match event {
            Event::ConnectionDown { reason: DownReason::Protocol(cause), .. } => Some(cause),
            _ => None,
        });
        assert_eq!(down.unwrap().result, 7, "{}", row.message);
    }
}

/// From the transition table: every message without each of the AVPs it must carry.
#[test]
fn a_message_without_a_required_avp_ends_what_it_is_about() {
    for row in TABLE.iter().filter(|row| row.lawful.contains(&ConnectionState::Established) && !row.required.is_empty())
    {
        for missing in row.required.iter().filter(|attribute| **attribute != AttributeType::REMOTE_SESSION_ID) {
            let mut pair = up(plain(left(Carrier::Ip)), plain(right()));
            let (l, session) = (pair.left, pair.session(pair.left));
            let mut avps =
                vec![kind(row.message), avp(AttributeType::REMOTE_SESSION_ID, &session.0.get().to_be_bytes())];
            avps.extend(row.required.iter().filter(|attribute| *attribute != missing).filter_map(|attribute| {
                match *attribute {
                    AttributeType::REMOTE_SESSION_ID => None,
                    AttributeType::LOCAL_SESSION_ID => Some(avp(*attribute, &[0, 0, 0, 9])),
                    _ => Some(avp(*attribute, &[0, 5])),
                }
            }));
            let octets = forged(&pair, avps);
            assert_eq!(inject(&mut pair, l, path(Carrier::Ip), &octets), Verdict::Accepted);
            let down = pair.events(l).into_iter().find_map(|event| match event {
                Event::SessionDown { reason: SessionDownReason::Protocol(cause), .. } => Some(cause),
                _ => None,
            });
            assert_eq!(down.unwrap().text, format!("{} without {missing}", row.message));
        }
    }
}

/// Rows 140 and 98 of the users' list: lengths that do not add up cost a counter, and nothing else.
#[test]
fn a_message_whose_avps_do_not_add_up_is_dropped_and_the_connection_kept() {
    let mut pair = up(plain(left(Carrier::Ip)), plain(right()));
    let l = pair.left;
    for length in (0..6).chain([9, 1023]) {
        let mut broken = avp(AttributeType::RESULT_CODE, &[0, 1]);
        broken.length = Some(length);
        let octets = forged(&pair, vec![kind(MessageType::STOP_CCN), broken]);
        let verdict = inject(&mut pair, l, path(Carrier::Ip), &octets);
        assert_eq!(verdict, Verdict::Ignored(DropReason::Malformed(WireErrorKind::BadLength)), "{length}");
    }
    for first in [avp(AttributeType::RESULT_CODE, &[0, 1]), RawAvp { flags: 0xc000, ..kind(MessageType::HELLO) }] {
        let octets = forged(&pair, vec![first]);
        let verdict = inject(&mut pair, l, path(Carrier::Ip), &octets);
        assert_eq!(verdict, Verdict::Ignored(DropReason::Malformed(WireErrorKind::NoMessageType)));
    }
    still_works(&mut pair);
}

/// Row 149: identifiers of others.
#[test]
fn a_session_message_cannot_touch_a_session_of_another_connection() {
    let mut second = plain(right());
    second.address = Some([192, 0, 2, 3].into());
    let mut peer = plain(left(Carrier::Ip));
    peer.path = Some(Path::ip(115, [192, 0, 2, 3].into(), RIGHT.into()));
    let mut world = simnet::World::new(3);
    world.set_links(calm());
    let mut net = simnet::Harness::new(world);
    let left_node = net.add("left", LEFT, router("left.example", 1, vec![plain(left(Carrier::Ip))], 1));
    let right_node = net.add("right", RIGHT, router("right.example", 2, vec![plain(right()), second], 2));
    let third = net.add("third", [192, 0, 2, 3], router("third.example", 3, vec![peer], 3));
    let mut pair = Pair { net, left: left_node, right: right_node };
    pair.connect();
    pair.net.command(third, Command::Connect { peer: PeerId(0), path: None }).unwrap().unwrap();
    pair.run(3);
    // The third router sends a CDN, lawful on its own connection, with the session id of the left one's session.
    let now = pair.net.now();
    let victim = pair.endpoint(right_node).session_statuses(now).into_iter().find(|status| {
        let connection = status.connection.unwrap();
        pair.endpoint(right_node).connection_status(now, connection).unwrap().path.remote.ip()
            == std::net::IpAddr::from(LEFT)
    });
    let victim = victim.unwrap().session;
    let status = &pair.endpoint(third).connection_statuses(now)[0];
    let (connection_id, ns, nr) = (status.remote_id, status.ns, status.nr);
    let avps = vec![
        kind(MessageType::CDN),
        avp(AttributeType::RESULT_CODE, &[0, 3]),
        avp(AttributeType::REMOTE_SESSION_ID, &victim.0.get().to_be_bytes()),
    ];
    let octets = over(Carrier::Ip, RawMessage { connection_id, ns, nr, avps, ..RawMessage::default() }.octets());
    let from_third = Path::ip(115, RIGHT.into(), [192, 0, 2, 3].into());
    assert_eq!(inject(&mut pair, right_node, from_third, &octets), Verdict::Accepted);
    assert!(pair.endpoint(right_node).session_status(now, victim).is_some());
    assert_eq!(pair.endpoint(right_node).counters().drops.of(DropReason::UnknownSession), 1);
}

/// A request as an attacker makes it, from any address.
fn request(id: u32, more: Attributes<'_>) -> Vec<u8> {
    let attributes = Attributes {
        host_name: Some(Cow::Borrowed(b"left.example")),
        router_id: Some(1),
        assigned_connection_id: NonZeroU32::new(id),
        capabilities: Some(vec![registry::PseudowireType::ETHERNET]),
        ..more
    };
    over(Carrier::Ip, emit(MessageType::SCCRQ, &attributes, &EmitOptions::default()).unwrap())
}

fn open_to_all() -> Router {
    router("right.example", 2, vec![PeerConfig { address: None, ..plain(right()) }], 5)
}

/// Drains a router on its own; returns the octets it sends and the datagrams.
fn drain(router: &mut Router) -> (usize, Vec<Vec<u8>>) {
    let mut sent = Vec::new();
    while let Some(action) = router.poll_action() {
        if let Action::Transmit(transmit) = action {
            sent.push(transmit.payload.to_vec());
        }
    }
    (sent.iter().map(Vec::len).sum(), sent)
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

/// Row 153: identifiers, cookies and nonces come from the caller's entropy.
#[test]
fn identifiers_and_cookies_depend_on_the_entropy_alone() {
    let ids = |seed| {
        let mut pair = pair(plain(left(Carrier::Ip)), plain(right()), calm(), seed);
        pair.connect();
        pair.run(3);
        let session = pair.session(pair.left);
        let parameters = *pair.endpoint(pair.left).data_plane().parameters(session).unwrap();
        (pair.connection(pair.left).0, session.0, format!("{:?}", parameters.local_cookie))
    };
    assert_eq!(ids(1), ids(1));
    let (a, b) = (ids(1), ids(2));
    assert!(a.0 != b.0 && a.1 != b.1 && a.2 != b.2);
}

/// Row 86: secrets are in no debug output.
#[test]
fn no_secret_is_shown() {
    let mut pair = up(secret(left(Carrier::Ip)), secret(right()));
    let shown = pair.net.call(pair.left, |_, router| format!("{:?}", router.endpoint)).unwrap();
    assert!(!shown.contains("115, 101, 99, 114, 101, 116") && !shown.contains("\"secret\""));
    assert!(shown.contains("(16 octets)"));
}

#[test]
fn time_that_goes_backwards_stands_still_and_an_early_timeout_does_nothing() {
    let mut router = router("left.example", 1, vec![plain(left(Carrier::Ip))], 5);
    router.handle_command(Instant::from_secs(100), Command::Connect { peer: PeerId(0), path: None }).unwrap();
    drain(&mut router);
    let due = router.poll_timeout().unwrap();
    assert_eq!(due, Instant::from_secs(101));
    router.handle_timeout(Instant::from_secs(3));
    router.handle_timeout(due - Duration::from_micros(1));
    assert!(drain(&mut router).1.is_empty());
    assert_eq!(router.poll_timeout(), Some(due));
    router.handle_timeout(due);
    assert_eq!(drain(&mut router).1.len(), 1);
    assert!(router.poll_timeout().unwrap() > due);
}

#[test]
fn a_reply_may_come_from_another_port_and_the_ports_are_fixed_then() {
    let mut pair = up(plain(left(Carrier::Udp)), plain(right()));
    // The replayed pair above uses one port; here a responder answers from port 40000.
    let mut router = router("left.example", 1, vec![plain(left(Carrier::Udp))], 5);
    router.handle_command(Instant::ZERO, Command::Connect { peer: PeerId(0), path: None }).unwrap();
    let (_, sent) = drain(&mut router);
    let id = Collected::read(&ControlMessage::parse(&sent[0]).unwrap(), None)
        .unwrap()
        .attributes
        .assigned_connection_id
        .unwrap();
    let reply = Attributes {
        host_name: Some(Cow::Borrowed(b"r")),
        assigned_connection_id: NonZeroU32::new(7),
        capabilities: Some(vec![registry::PseudowireType::ETHERNET]),
        ..Attributes::default()
    };
    let options = EmitOptions { connection_id: id.get(), ..EmitOptions::default() };
    let mut octets = emit(MessageType::SCCRP, &reply, &options).unwrap();
    octets[11] = 1;
    let floated = Path::new((LEFT, 1701).into(), (RIGHT, 40_000).into());
    assert_eq!(router.handle_datagram(Instant::ZERO, Datagram { path: floated, payload: &octets }), Verdict::Accepted);
    let status = &router.endpoint.connection_statuses(Instant::ZERO)[0];
    assert_eq!((status.state, status.path), ("established", floated));
    let verdict = router.handle_datagram(Instant::ZERO, Datagram { path: path(Carrier::Udp), payload: &octets });
    assert_eq!(verdict, Verdict::Ignored(DropReason::WrongPath));
    still_works(&mut pair);
}

#[test]
fn no_more_than_the_limits_of_the_plan_exist() {
    let config =
        Config { host_name: "right".into(), max_sessions: 3, peers: vec![plain(right())], ..Config::default() };
    let circuits = (0..5).map(|n| asked(&n.to_string())).collect();
    let provisioned = (0..5).map(|n| circuit(&n.to_string())).collect();
    let mut config = config;
    config.peers[0].circuits = provisioned;
    let ours = router("left.example", 1, vec![PeerConfig { circuits, ..plain(left(Carrier::Ip)) }], 1);
    let mut pair = pair_of(ours, router_of(config, 2), calm(), 1);
    pair.connect();
    pair.run(3);
    assert_eq!(pair.endpoint(pair.right).session_statuses(pair.net.now()).len(), 3);
    let refused = pair.events(pair.left).into_iter().filter(
        |event| matches!(event, Event::SessionDown { reason: SessionDownReason::Peer(cause), .. } if cause.result == 4),
    );
    assert_eq!(refused.count(), 2);
}
