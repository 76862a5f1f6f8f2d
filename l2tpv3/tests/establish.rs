//! Connections and sessions come up, carry frames and go down, in every flavour.

mod common;

use common::*;
use core::time::Duration;
use l2tpv3::config::{CircuitConfig, CookieLength, Initiate, PeerConfig, UnknownCircuits};
use l2tpv3::digest::{DigestAlgorithm, SharedSecret};
use l2tpv3::registry::{CdnResult, PseudowireType, SequencingLevel, StopResult};
use l2tpv3::wire::{Carrier, CircuitErrors, Dialect, Sublayer};
use l2tpv3::*;

fn secrets(words: &[&str]) -> Vec<SharedSecret> {
    words.iter().map(|word| SharedSecret::copied(word.as_bytes())).collect()
}

/// Brings a pair up and sends a frame each way.
fn works(mut pair: Pair) -> Pair {
    pair.connect();
    pair.run(5);
    let (left, right) = (pair.left, pair.right);
    let (ours, theirs) = (pair.session(left), pair.session(right));
    pair.send_frame(left, ours, &frame(1)).unwrap();
    pair.send_frame(right, theirs, &frame(2)).unwrap();
    pair.run(1);
    assert_eq!(pair.frames(right), [(theirs, frame(1))]);
    assert_eq!(pair.frames(left), [(ours, frame(2))]);
    pair
}

#[test]
fn a_connection_and_a_session_come_up_over_both_carriers() {
    for carrier in [Carrier::Ip, Carrier::Udp] {
        let pair = works(pair(left(carrier), right(), calm(), 1));
        let ups: Vec<_> = pair.events(pair.left);
        assert!(
            matches!(&ups[0], Event::ConnectionUp { identity, .. } if identity.host_name == b"right.example" && identity.router_id == Some(2))
        );
        assert!(matches!(&ups[1], Event::SessionUp { remote_end_id, .. } if remote_end_id == b"101"));
        assert_eq!(ups.len(), 2);
        assert_eq!(pair.endpoint(pair.left).counters().retransmissions, 0);
    }
}

#[test]
fn authentication_works_with_each_hash_with_hidden_avps_and_during_changes_of_both() {
    let md5 = || vec![DigestAlgorithm::Md5];
    let sha1 = || vec![DigestAlgorithm::Sha1];
    let both = || vec![DigestAlgorithm::Sha1, DigestAlgorithm::Md5];
    for (ours, theirs) in [
        ((secrets(&["secret"]), md5()), (secrets(&["secret"]), md5())),
        ((secrets(&["secret"]), sha1()), (secrets(&["secret"]), sha1())),
        // One end has both secrets, the other the old or the new one only.
        ((secrets(&["new", "old"]), md5()), (secrets(&["old"]), md5())),
        ((secrets(&["old"]), md5()), (secrets(&["new", "old"]), md5())),
        ((secrets(&["new", "old"]), md5()), (secrets(&["new"]), md5())),
        // One end has both hashes, the other one of them.
        ((secrets(&["secret"]), both()), (secrets(&["secret"]), md5())),
        ((secrets(&["secret"]), sha1()), (secrets(&["secret"]), both())),
    ] {
        for hide in [false, true] {
            let ours = PeerConfig {
                secrets: ours.0.iter().map(|secret| SharedSecret::copied(secret.expose())).collect(),
                digests: ours.1.clone(),
                ..left(Carrier::Ip)
            };
            let theirs = PeerConfig {
                secrets: theirs.0.iter().map(|secret| SharedSecret::copied(secret.expose())).collect(),
                digests: theirs.1.clone(),
                ..right()
            };
            // Values are hidden with the first secret, so both ends must have that one.
            let hide = hide && ours.secrets.len() == theirs.secrets.len();
            let pair = works(pair(PeerConfig { hide, ..ours }, PeerConfig { hide, ..theirs }, calm(), 3));
            let status = &pair.endpoint(pair.left).connection_statuses(pair.net.now())[0];
            assert!(status.authenticated && status.bad_digests == 0);
        }
    }
}

#[test]
fn every_cookie_and_sublayer_is_negotiated_each_way_on_its_own() {
    for cookie in [CookieLength::None, CookieLength::Four, CookieLength::Eight] {
        for (sublayer, sequencing) in [
            (Sublayer::None, SequencingLevel::NONE),
            (Sublayer::Default, SequencingLevel::NONE),
            (Sublayer::Default, SequencingLevel::NON_IP),
            (Sublayer::Default, SequencingLevel::ALL),
        ] {
            let ours = CircuitConfig { cookie, sublayer, sequencing, ..asked("101") };
            let pair = works(pair(PeerConfig { circuits: vec![ours], ..left(Carrier::Udp) }, right(), calm(), 4));
            let (l, r) = (pair.session(pair.left), pair.session(pair.right));
            let (l, r) = (
                *pair.endpoint(pair.left).data_plane().parameters(l).unwrap(),
                *pair.endpoint(pair.right).data_plane().parameters(r).unwrap(),
            );
            assert_eq!((l.local_cookie, l.remote_cookie), (r.remote_cookie, r.local_cookie));
            assert_eq!((l.receive_sublayer, l.send_sublayer), (r.send_sublayer, r.receive_sublayer));
            assert_eq!((l.receive_sequencing, l.send_sequencing), (r.send_sequencing, r.receive_sequencing));
            assert_eq!((l.receive_sublayer, l.receive_sequencing), (sublayer, sequencing));
            assert_eq!(l.local_id.0, r.remote_id);
        }
    }
}

#[test]
fn the_drafts_of_cisco_are_sent_when_configured_and_answered_in_kind() {
    let pair = works(pair(PeerConfig { dialect: Dialect::Cisco, ..left(Carrier::Ip) }, right(), calm(), 5));
    assert_eq!(pair.endpoint(pair.right).counters().drops.total(), 0);
}

#[test]
fn an_outgoing_call_of_a_provisioned_circuit_comes_up_at_once() {
    let ours = CircuitConfig { initiate: Initiate::OutgoingCall, ..circuit("101") };
    works(pair(PeerConfig { circuits: vec![ours], ..left(Carrier::Ip) }, right(), calm(), 6));
}

#[test]
fn an_outgoing_call_is_placed_by_the_caller_and_may_fail() {
    for outcome in [Ok(()), Err(CdnResult::NO_FACILITY)] {
        let ours = CircuitConfig { initiate: Initiate::OutgoingCall, ..circuit("101") };
        let theirs = PeerConfig { circuits: vec![], unknown_circuits: UnknownCircuits::Ask, ..right() };
        let mut pair = pair(PeerConfig { circuits: vec![ours], ..left(Carrier::Ip) }, theirs, calm(), 7);
        pair.connect();
        pair.run(2);
        let asked = pair.net.take_actions(pair.right).into_iter().find_map(|(_, action)| match action {
            Action::Decide(request) => Some(request),
            _ => None,
        });
        let request = asked.unwrap();
        assert_eq!((request.call, &request.remote_end_id[..]), (Call::Outgoing, &b"101"[..]));
        pair.command(pair.right, Command::Accept { session: request.session, circuit: Box::new(circuit("")) }).unwrap();
        pair.run(2);
        let placed = pair.net.take_actions(pair.right);
        assert!(placed.iter().any(|(_, action)| *action == Action::PlaceCall(request.session)));
        pair.command(pair.right, Command::CallPlaced { session: request.session, outcome }).unwrap();
        pair.run(2);
        let up = pair.events(pair.left).iter().any(|event| matches!(event, Event::SessionUp { .. }));
        let failed = pair.events(pair.left).iter().any(|event| {
            matches!(event, Event::SessionDown { reason: SessionDownReason::Peer(cause), .. } if cause.result == CdnResult::NO_FACILITY.0)
        });
        assert_eq!((up, failed), (outcome.is_ok(), outcome.is_err()));
    }
}

#[test]
fn a_caller_that_is_asked_accepts_or_refuses_an_incoming_call() {
    for accept in [true, false] {
        let theirs = PeerConfig { circuits: vec![], unknown_circuits: UnknownCircuits::Ask, ..right() };
        let mut pair = pair(left(Carrier::Ip), theirs, calm(), 8);
        pair.connect();
        pair.run(2);
        let asked = pair.net.take_actions(pair.right).into_iter().find_map(|(_, action)| match action {
            Action::Decide(request) => Some(request.session),
            _ => None,
        });
        let session = asked.unwrap();
        let command = if accept {
            Command::Accept { session, circuit: Box::new(CircuitConfig { cookie: CookieLength::Four, ..circuit("") }) }
        } else {
            Command::Refuse { session, result: CdnResult::ADMINISTRATIVE }
        };
        pair.command(pair.right, command).unwrap();
        pair.run(2);
        let up = pair.events(pair.left).iter().any(|event| matches!(event, Event::SessionUp { .. }));
        assert_eq!(up, accept);
        if accept {
            assert_eq!(pair.session(pair.right), session);
        }
    }
}

#[test]
fn calls_that_cannot_be_are_refused_by_their_result_code() {
    let template = |circuit: CircuitConfig| UnknownCircuits::Accept(circuit);
    let mtu = |mtu| CircuitConfig { mtu: Some(mtu), ..asked("101") };
    let vlan = CircuitConfig { pseudowire: PseudowireType::ETHERNET_VLAN, ..asked("101") };
    for (ours, theirs, unknown, result) in [
        (asked("7"), circuit("101"), UnknownCircuits::Refuse, CdnResult::NO_FACILITY_EVER),
        (vlan, circuit("101"), UnknownCircuits::Refuse, CdnResult::UNSUPPORTED_PSEUDOWIRE),
        (
            mtu(1500),
            CircuitConfig { mtu: Some(1446), ..circuit("101") },
            UnknownCircuits::Refuse,
            CdnResult::MTU_MISMATCH,
        ),
        (
            CircuitConfig { mtu: Some(9000), ..asked("7") },
            circuit("101"),
            template(CircuitConfig { mtu: Some(1500), ..circuit("") }),
            CdnResult::MTU_MISMATCH,
        ),
    ] {
        let ours = PeerConfig { circuits: vec![ours], ..left(Carrier::Ip) };
        let theirs = PeerConfig { circuits: vec![theirs], unknown_circuits: unknown, ..right() };
        let mut pair = pair(ours, theirs, calm(), 9);
        pair.connect();
        pair.run(2);
        let refused = pair.events(pair.left).into_iter().find_map(|event| match event {
            Event::SessionDown { reason: SessionDownReason::Peer(cause), .. } => Some(cause.result),
            _ => None,
        });
        assert_eq!(refused, Some(result.0));
        assert_eq!(pair.endpoint(pair.left).connection_statuses(pair.net.now())[0].state, "established");
    }
}

#[test]
fn a_frame_relay_header_of_another_length_is_refused() {
    let relay = |length, initiate| CircuitConfig {
        pseudowire: PseudowireType::FRAME_RELAY,
        frame_relay_header: length,
        initiate,
        ..circuit("101")
    };
    let config = |name: &str, id, peer: PeerConfig| Config {
        host_name: name.into(),
        router_id: id,
        capabilities: vec![PseudowireType::FRAME_RELAY],
        peers: vec![peer],
        ..Config::default()
    };
    for (theirs, up) in [(2, true), (4, false)] {
        let ours = PeerConfig { circuits: vec![relay(2, Initiate::IncomingCall)], ..left(Carrier::Ip) };
        let theirs = PeerConfig { circuits: vec![relay(theirs, Initiate::Peer)], ..right() };
        let (l, r) = (router_of(config("l", 1, ours), 1), router_of(config("r", 2, theirs), 2));
        let mut pair = pair_of(l, r, calm(), 1);
        pair.connect();
        pair.run(2);
        assert_eq!(pair.events(pair.left).iter().any(|event| matches!(event, Event::SessionUp { .. })), up);
    }
}

#[test]
fn a_circuit_that_goes_down_stops_the_peers_frames_until_it_is_up_again() {
    let mut pair = works(pair(left(Carrier::Ip), right(), calm(), 10));
    let (l, r) = (pair.left, pair.right);
    let (ours, theirs) = (pair.session(l), pair.session(r));
    pair.command(l, Command::SetCircuit { session: ours, active: false }).unwrap();
    pair.run(1);
    assert_eq!(pair.send_frame(r, theirs, &frame(3)), Err(EncapsulateError::CircuitDown));
    assert!(pair.events(r).contains(&Event::PeerCircuit { session: theirs, active: false }));
    assert_eq!(pair.endpoint(r).session_status(pair.net.now(), theirs).unwrap().circuits, (true, false));
    let interface =
        |pair: &Pair, node, session| pair.endpoint(node).session_status(pair.net.now(), session).unwrap().interface();
    assert_eq!(interface(&pair, l, ours), "link down, administratively down");
    assert_eq!(interface(&pair, r, theirs), "link down, administratively up");
    pair.command(l, Command::SetCircuit { session: ours, active: true }).unwrap();
    pair.run(1);
    assert_eq!(pair.send_frame(r, theirs, &frame(3)), Ok(()));
}

#[test]
fn a_circuit_that_is_down_from_the_start_is_told_with_the_call() {
    let ours = CircuitConfig { active: false, ..asked("101") };
    let mut pair = pair(PeerConfig { circuits: vec![ours], ..left(Carrier::Ip) }, right(), calm(), 11);
    pair.connect();
    pair.run(2);
    let (r, theirs) = (pair.right, pair.session(pair.right));
    assert_eq!(pair.send_frame(r, theirs, &frame(3)), Err(EncapsulateError::CircuitDown));
}

#[test]
fn circuit_errors_are_reported_once_a_minute() {
    let mut pair = works(pair(left(Carrier::Ip), right(), calm(), 12));
    let (l, r) = (pair.left, pair.right);
    let (session, theirs) = (pair.session(l), pair.session(r));
    let errors = CircuitErrors { hardware_overruns: 1, buffer_overruns: 2, timeouts: 3, alignment_errors: 4 };
    pair.command(l, Command::ReportErrors { session, errors }).unwrap();
    assert_eq!(pair.command(l, Command::ReportErrors { session, errors }), Err(CommandError::TooSoon));
    pair.run(61);
    assert!(pair.command(l, Command::ReportErrors { session, errors }).is_ok());
    assert!(pair.events(r).contains(&Event::PeerErrors { session: theirs, errors }));
}

#[test]
fn a_closed_session_leaves_the_connection_and_a_closed_connection_leaves_nothing() {
    let mut pair = works(pair(left(Carrier::Ip), right(), calm(), 13));
    let (l, r) = (pair.left, pair.right);
    let session = pair.session(l);
    pair.command(l, Command::Close { session, result: CdnResult::ADMINISTRATIVE }).unwrap();
    pair.run(1);
    for node in [l, r] {
        assert!(pair.endpoint(node).session_statuses(pair.net.now()).is_empty());
        assert!(pair.endpoint(node).data_plane().is_empty());
    }
    let connection = pair.connection(l);
    pair.command(l, Command::Disconnect { connection, result: StopResult::CLEARED }).unwrap();
    assert_eq!(
        pair.command(l, Command::Disconnect { connection, result: StopResult::CLEARED }),
        Err(CommandError::Closing)
    );
    pair.run(40);
    for node in [l, r] {
        assert!(pair.endpoint(node).connection_statuses(pair.net.now()).is_empty());
    }
    assert!(pair.events(r).iter().any(
        |event| matches!(event, Event::ConnectionDown { reason: DownReason::Peer(cause), .. } if cause.result == 1)
    ));
    assert!(pair.net.step().unwrap().is_none(), "no timer is left");
}

#[test]
fn a_connection_that_ends_takes_its_sessions_with_it() {
    let mut pair = works(pair(left(Carrier::Ip), right(), calm(), 14));
    pair.command(pair.right, Command::ShutDown).unwrap();
    pair.run(1);
    for node in [pair.left, pair.right] {
        assert!(pair.events(node).iter().any(|event| matches!(event, Event::SessionDown { reason: SessionDownReason::ConnectionDown, counters, .. } if counters.sent_packets == 1)));
        assert!(pair.endpoint(node).data_plane().is_empty());
    }
}

#[test]
fn a_status_shows_every_field_of_the_router_manual() {
    let pair = works(pair(left(Carrier::Ip), right(), calm(), 15));
    let now = pair.net.now();
    let endpoint = pair.endpoint(pair.left);
    let tunnel = endpoint.connection_statuses(now)[0].to_string();
    for field in [
        "Tunnel address       : 192.0.2.1 --> 192.0.2.2",
        "State              : established",
        "Remote Host Name   : right.example",
        "Remote Router-ID   : 0.0.0.2",
        "Local Tunnel ID    : ",
        "Remote Tunnel ID   : ",
        "Ns, Nr             : 4, 2",
    ] {
        assert!(tunnel.contains(field), "{field} in\n{tunnel}");
    }
    let status = endpoint.session_status(now, pair.session(pair.left)).unwrap();
    let session = status.to_string();
    for field in [
        "Status               : link up, administratively up",
        "State              : established",
        "Serial No          : 1",
        "Local Cookie       : ",
        "Remote Cookie      : ",
        "Ipkts 1 Ierrs 0 Opkts 1",
        "InOctets 60 OutOctets 60 InDrops 0 OutDiscards 0 InUnknownProtos 0",
    ] {
        assert!(session.contains(field), "{field} in\n{session}");
    }
    assert!(session.contains(&format!("Local Session ID   : {}", status.session)));
    assert!(session.contains(&format!("Remote Session ID  : {}", status.remote_id)));
}

#[test]
fn silence_brings_a_hello_and_frames_hold_it_off() {
    let hello = |peer: PeerConfig| PeerConfig { hello: Some(Duration::from_secs(60)), ..peer };
    let mut pair = works(pair(hello(left(Carrier::Ip)), right(), calm(), 16));
    let (l, r) = (pair.left, pair.right);
    let before = pair.endpoint(r).counters().received_messages;
    let theirs = pair.session(r);
    for _ in 0..20 {
        pair.send_frame(r, theirs, &frame(9)).unwrap();
        pair.run(10);
    }
    assert_eq!(pair.endpoint(r).counters().received_messages, before, "data is life enough");
    pair.run(180);
    let hellos = pair.endpoint(r).counters().received_messages - before;
    assert!((2..=3).contains(&hellos), "{hellos}");
    assert!(pair.endpoint(l).connection_statuses(pair.net.now())[0].last_hello.is_some());
}

#[test]
fn a_peer_that_is_gone_is_noticed_and_a_persistent_one_called_again() {
    let ours = PeerConfig { hello: Some(Duration::from_secs(60)), persistent: true, ..left(Carrier::Ip) };
    let mut pair = pair(ours, right(), calm(), 17);
    pair.run(3);
    let (l, r) = (pair.left, pair.right);
    assert!(pair.session(l) != pair.session(r));
    // The peer reboots and forgets everything.
    let fresh = router("right.example", 2, vec![right()], 99);
    pair.net.place(r, fresh);
    pair.run(300);
    assert!(
        pair.events(l).iter().any(|event| matches!(event, Event::ConnectionDown { reason: DownReason::Silent, .. }))
    );
    let (ours, theirs) = (pair.session(l), pair.session(r));
    pair.send_frame(l, ours, &frame(1)).unwrap();
    pair.run(1);
    assert_eq!(pair.frames(r), [(theirs, frame(1))]);
}

#[test]
fn a_persistent_circuit_is_opened_again_after_the_peer_closed_it() {
    let mut pair = pair(PeerConfig { persistent: true, ..left(Carrier::Ip) }, right(), calm(), 18);
    pair.run(3);
    let session = pair.session(pair.right);
    pair.command(pair.right, Command::Close { session, result: CdnResult::CARRIER_LOST }).unwrap();
    pair.run(30);
    assert_ne!(pair.session(pair.right), session);
}

#[test]
fn an_unreachable_peer_is_given_up_after_the_retransmissions_of_the_rfc() {
    let mut pair = pair(left(Carrier::Ip), right(), simnet::Link::cut(), 19);
    pair.connect();
    // 1 + 2 + 4 + 8 times 8 seconds.
    pair.run(70);
    assert!(pair.events(pair.left).is_empty());
    pair.run(2);
    assert!(matches!(&pair.events(pair.left)[..], [Event::ConnectionDown { reason: DownReason::Silent, .. }]));
    assert_eq!(pair.endpoint(pair.left).counters().sent_messages, 11);
}

#[test]
fn both_ends_that_call_at_once_end_up_with_one_connection_and_one_session() {
    for seed in 0..20 {
        let mut peer = right();
        peer.path = Some(path(Carrier::Ip).reversed());
        peer.circuits = vec![asked("101")];
        let mut pair = pair(left(Carrier::Ip), peer, calm(), seed);
        pair.connect();
        pair.command(pair.right, Command::Connect { peer: PeerId(0), path: None }).unwrap();
        pair.run(90);
        let (l, r) = (pair.session(pair.left), pair.session(pair.right));
        pair.connection(pair.left);
        pair.connection(pair.right);
        let theirs = pair.endpoint(pair.left).session_status(pair.net.now(), l).unwrap().remote_id;
        assert_eq!(theirs, r.0.get());
        let one = |node| pair.endpoint(node).connection_statuses(pair.net.now()).len();
        assert_eq!((one(pair.left), one(pair.right)), (1, 1), "seed {seed}");
    }
}

#[test]
fn a_request_without_tie_breaker_loses_to_one_with_it() {
    let peer = PeerConfig {
        path: Some(path(Carrier::Ip).reversed()),
        circuits: vec![circuit("101")],
        tie_breaker: false,
        ..right()
    };
    let mut pair = pair(left(Carrier::Ip), peer, calm(), 20);
    pair.command(pair.right, Command::Connect { peer: PeerId(0), path: None }).unwrap();
    pair.connect();
    pair.run(90);
    let status = &pair.endpoint(pair.left).connection_statuses(pair.net.now())[0];
    assert_eq!(status.role, Role::Initiator);
    assert!(pair.events(pair.right).iter().any(|event| matches!(
        event,
        Event::ConnectionDown { reason: DownReason::Replaced(_) | DownReason::Peer(_), .. }
    )));
}

#[test]
fn two_sessions_asked_for_at_once_end_up_as_one() {
    for seed in 0..20 {
        let idle = |peer: PeerConfig| PeerConfig { circuits: vec![circuit("9")], ..peer };
        let mut pair = pair(idle(left(Carrier::Ip)), idle(right()), calm(), seed);
        pair.connect();
        pair.run(2);
        let open = |connection, tie_breaker| Command::Open {
            connection,
            circuit: Box::new(CircuitConfig { tie_breaker, ..circuit("9") }),
            call: Call::Incoming,
        };
        let (l, r) = (pair.left, pair.right);
        let (ours, theirs) = (pair.connection(l), pair.connection(r));
        let with = seed % 4 != 3;
        pair.command(l, open(ours, with)).unwrap();
        pair.command(r, open(theirs, true)).unwrap();
        pair.run(10);
        let remote = pair.endpoint(l).session_status(pair.net.now(), pair.session(l)).unwrap().remote_id;
        assert_eq!(remote, pair.session(r).0.get());
    }
}

#[test]
fn two_sessions_without_tie_breakers_asked_for_at_once_both_end() {
    let idle = |peer: PeerConfig| PeerConfig { circuits: vec![circuit("9")], ..peer };
    let mut pair = pair(idle(left(Carrier::Ip)), idle(right()), calm(), 21);
    pair.connect();
    pair.run(2);
    for node in [pair.left, pair.right] {
        let connection = pair.connection(node);
        let circuit = Box::new(CircuitConfig { tie_breaker: false, ..circuit("9") });
        pair.command(node, Command::Open { connection, circuit, call: Call::Incoming }).unwrap();
    }
    pair.run(10);
    for node in [pair.left, pair.right] {
        assert!(pair.endpoint(node).session_statuses(pair.net.now()).is_empty());
        assert!(
            pair.events(node)
                .iter()
                .any(|event| matches!(event, Event::SessionDown { reason: SessionDownReason::LostTie, .. }))
        );
    }
}

#[test]
fn a_static_session_needs_no_connection() {
    let mut pair = pair(left(Carrier::Ip), right(), calm(), 22);
    let id = |number: u32| core::num::NonZeroU32::new(number).unwrap();
    let parameters = SessionParameters {
        path: path(Carrier::Ip),
        local_id: SessionId(id(1001)),
        remote_id: id(2001),
        local_cookie: wire::Cookie::four(*b"abcd"),
        remote_cookie: wire::Cookie::eight(*b"efghijkl"),
        pseudowire: PseudowireType::ETHERNET,
        receive_sublayer: Sublayer::Default,
        send_sublayer: Sublayer::None,
        receive_sequencing: SequencingLevel::NONE,
        send_sequencing: SequencingLevel::NONE,
        rewrite_vlan: None,
        resynchronise_after: 0,
    };
    let mirrored = SessionParameters {
        path: parameters.path.reversed(),
        local_id: SessionId(id(2001)),
        remote_id: id(1001),
        local_cookie: parameters.remote_cookie,
        remote_cookie: parameters.local_cookie,
        receive_sublayer: Sublayer::None,
        send_sublayer: Sublayer::Default,
        ..parameters
    };
    let (l, r) = (pair.left, pair.right);
    pair.command(l, Command::AddStatic(parameters)).unwrap();
    pair.command(r, Command::AddStatic(mirrored)).unwrap();
    pair.send_frame(l, SessionId(id(1001)), &frame(1)).unwrap();
    pair.run(1);
    assert_eq!(pair.frames(r), [(SessionId(id(2001)), frame(1))]);
    assert_eq!(pair.endpoint(l).session_status(pair.net.now(), SessionId(id(1001))).unwrap().state, "established");
    assert_eq!(pair.command(l, Command::AddStatic(parameters)), Err(CommandError::Static(InstallError::IdTaken)));
    assert_eq!(pair.command(l, Command::RemoveStatic(SessionId(id(1001)))), Ok(Handle::Done));
}
