//! Forged and broken messages of a peer: each holds the attack, and the lawful traffic beside it.

mod common;

use common::forge::*;
use common::*;
use core::time::Duration;
use drive::{Datagram, Instant, Machine, Path, Verdict};
use l2tpv3::config::PeerConfig;
use l2tpv3::registry::{AttributeType, MessageType, StopResult};
use l2tpv3::transition::{ConnectionState, TABLE};
use l2tpv3::wire::{Attributes, Carrier, Collected, ControlMessage, EmitOptions, RawAvp, RawMessage, emit};
use l2tpv3::*;
use std::borrow::Cow;
use std::num::NonZeroU32;

/// A pair that is up, with one session.
fn up(left: PeerConfig, right: PeerConfig) -> Pair {
    let mut pair = pair(left, right, calm(), 1);
    pair.connect();
    pair.run(3);
    pair
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
