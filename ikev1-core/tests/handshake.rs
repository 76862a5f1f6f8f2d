//! Main mode and quick mode between two endpoints, over a wire that loses nothing.

use crate::common::{A, B, End, Pair, SITE, connection, endpoint, esp, left, net, plan, policy, right, transform};
use core::time::Duration;
use drive::Instant;
use ikev1_core::auth::PreSharedKey;
use ikev1_core::crypto::{CipherAlgorithm, DhGroup, HashAlgorithm};
use ikev1_core::proposal::{AesKey, EspCipher, Integrity, Phase1Transform, Protection};
use ikev1_core::{
    Action, Command, Config, DpdMode, Event, Failure, IkeSaState, KeyLogLine, Peer, RemoteIdentity, RemoveReason,
    SpiSource, StateName,
};
use ikev1_core::{ConnectionConfig, Identity, PolicyConfig};
use ipsec_wire::registry::{ExchangeType, PayloadType};

fn agrees(left: ConnectionConfig, right: ConnectionConfig) -> Pair {
    let mut pair = Pair::new(plan(left), plan(right));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established(), "{:?}", pair.left.events);
    pair.assert_mirrored();
    pair
}

#[test]
fn main_mode_and_quick_mode_make_mirrored_sas_in_nine_messages() {
    let pair = agrees(left(), right());
    assert_eq!(pair.seen.len(), 9);
    assert_eq!(pair.left.installed.len(), 2);
}

#[test]
fn every_cipher_hash_and_group_of_phase_1_works() {
    for cipher in CipherAlgorithm::ALL {
        for hash in HashAlgorithm::ALL {
            let chosen = Phase1Transform { cipher, hash, ..transform(DhGroup::Modp768) };
            agrees(left().phase1(vec![chosen]), right().phase1(vec![chosen]));
        }
    }
    for group in [DhGroup::Modp1024, DhGroup::Modp1536, DhGroup::Modp2048] {
        agrees(left().phase1(vec![transform(group)]), right().phase1(vec![transform(group)]));
    }
}

#[test]
fn every_protection_of_phase_2_works_with_and_without_pfs() {
    let ciphers = [
        EspCipher::AesCbc(AesKey::Bits128),
        EspCipher::AesCbc(AesKey::Bits192),
        EspCipher::AesCbc(AesKey::Bits256),
        EspCipher::TripleDes,
        EspCipher::Des,
        EspCipher::Null,
    ];
    let integrities = [
        Integrity::HmacMd5,
        Integrity::HmacSha1,
        Integrity::HmacSha2_256,
        Integrity::HmacSha2_384,
        Integrity::HmacSha2_512,
    ];
    for cipher in ciphers {
        for integrity in integrities {
            let suites = vec![Protection::Esp { cipher, integrity: Some(integrity) }];
            let ours = policy([10, 10, 1, 0], [10, 10, 2, 0]).suites(suites.clone());
            let theirs = policy([10, 10, 2, 0], [10, 10, 1, 0]).suites(suites);
            let (ours, theirs) = if integrity == Integrity::HmacSha1 {
                (ours.pfs(DhGroup::Modp768), theirs.pfs(DhGroup::Modp768))
            } else {
                (ours, theirs)
            };
            let pair = agrees(connection(A, B).policy(ours), connection(B, A).policy(theirs));
            assert_eq!(pair.left.installed[0].keys.0.len(), cipher.keymat_len());
            assert_eq!(pair.left.installed[0].keys.1.len(), integrity.keymat_len());
        }
    }
}

#[test]
fn the_first_acceptable_transform_of_several_is_chosen_and_the_others_are_explained() {
    let offered = vec![
        Phase1Transform {
            cipher: CipherAlgorithm::Aes256,
            hash: HashAlgorithm::Sha2_512,
            ..transform(DhGroup::Modp1024)
        },
        Phase1Transform { cipher: CipherAlgorithm::TripleDes, ..transform(DhGroup::Modp768) },
        transform(DhGroup::Modp768),
    ];
    let pair = agrees(left().phase1(offered), right());
    let negotiated = |event: &Event| match event {
        Event::Phase1Negotiated { number, passed_over, .. } => Some((*number, passed_over.len())),
        _ => None,
    };
    assert_eq!(pair.right.events.iter().find_map(negotiated), Some((3, 2)));
    assert_eq!(pair.left.events.iter().find_map(negotiated), Some((3, 0)));
}

#[test]
fn the_trace_names_every_message_of_the_exchange() {
    let pair = agrees(left(), right());
    let names: Vec<(ExchangeType, u8)> = pair
        .left
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Message(trace) => Some((trace.exchange, trace.number)),
            _ => None,
        })
        .collect();
    let main = (1..=6).map(|number| (ExchangeType::MAIN, number));
    let quick = (1..=3).map(|number| (ExchangeType::QUICK, number));
    assert_eq!(names, main.chain(quick).collect::<Vec<_>>());
    let Some(Event::Message(first)) = pair.left.events.iter().find(|event| matches!(event, Event::Message(_))) else {
        panic!("no trace");
    };
    assert_eq!(first.payloads[0], PayloadType::SA);
}

#[test]
fn several_policies_of_one_connection_come_up_under_one_isakmp_sa() {
    let second = |local, remote| PolicyConfig::new("other").local(net(local)).remote(net(remote)).suites(vec![esp()]);
    let ours = left().policy(second([10, 10, 1, 0], [10, 10, 3, 0]));
    let theirs = right().policy(second([10, 10, 3, 0], [10, 10, 1, 0]));
    let pair = agrees(ours, theirs);
    assert_eq!(pair.left.installed.len(), 4);
    assert_eq!(pair.left.endpoint.status().ike_sas.len(), 1);
}

#[test]
fn a_responder_for_any_peer_takes_an_initiator_by_its_identity() {
    let name = Identity::Fqdn("left.example.org".into());
    let ours = left().local_identity(name.clone());
    let theirs = right().peer(Peer::Any).remote_identity(RemoteIdentity::Exactly(name.clone()));
    let pair = agrees(ours, theirs);
    let proven = |event: &Event| matches!(event, Event::Phase1Established { peer, .. } if *peer == name);
    assert!(pair.right.has(proven));
}

#[test]
fn a_second_connection_with_the_same_key_is_found_by_identity() {
    let (one, two) = (Identity::Fqdn("one.example.org".into()), Identity::Fqdn("two.example.org".into()));
    let roaming = |name: &str, identity: &Identity| {
        ConnectionConfig::new(name)
            .local(std::net::IpAddr::from(B))
            .remote_identity(RemoteIdentity::Exactly(identity.clone()))
            .pre_shared_key(PreSharedKey::copied(b"psk for the interop lab"))
            .phase1(vec![transform(DhGroup::Modp768)])
            .dangerously_allow_weak_algorithms(true)
            .policy(policy([10, 10, 2, 0], [10, 10, 1, 0]))
    };
    let hub = Config::new().connection(roaming("one", &one)).connection(roaming("two", &two)).build().unwrap();
    let mut pair = Pair::new(plan(left().local_identity(two)), hub);
    pair.initiate();
    pair.settle();
    assert!(pair.left.established());
    assert_eq!(pair.right.endpoint.status().ike_sas[0].name, "two");
}

#[test]
fn the_caller_may_choose_the_spis() {
    let caller = |connection| Config::new().connection(connection).spi_source(SpiSource::Caller).build().unwrap();
    let mut pair = Pair::new(caller(left()), caller(right()));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
    pair.assert_mirrored();
    assert!(pair.left.installed.iter().all(|installed| (0x1000..0x3000).contains(&installed.spi)));
}

#[test]
fn a_question_without_an_answer_ends_the_quick_mode_and_leaves_phase_1() {
    let caller = Config::new().connection(left()).spi_source(SpiSource::Caller).build().unwrap();
    let mut pair = Pair::new(caller, plan(right()));
    let now = pair.now;
    pair.left.endpoint.handle_command(now, Command::Initiate { connection: SITE }).unwrap();
    // Phase 1 by hand, so that the question is seen and not answered.
    for _ in 0..3 {
        for transmit in transmits(&mut pair.left.endpoint) {
            let _ = pair.right.endpoint.handle_datagram(now, transmit.as_received());
        }
        for transmit in transmits(&mut pair.right.endpoint) {
            let _ = pair.left.endpoint.handle_datagram(now, transmit.as_received());
        }
    }
    let mut asked = None;
    while let Some(action) = pair.left.endpoint.poll_action() {
        if let Action::AllocateSpi(ask) = action {
            asked = Some(ask.ticket);
        }
    }
    let ticket = asked.expect("the caller is asked");
    pair.left.endpoint.handle_timeout(now + Duration::from_secs(40));
    pair.left.drain(now);
    assert!(pair.left.has(|event| matches!(event, Event::Phase2Failed { failure: Failure::NoSpi, .. })));
    let late = pair.left.endpoint.handle_command(now, Command::ProvideSpi { ticket, spi: Some(4096) });
    assert!(late.is_err());
    assert_eq!(pair.left.endpoint.status().ike_sas[0].state, IkeSaState::Active);
}

fn transmits(endpoint: &mut ikev1_core::Endpoint) -> Vec<drive::Transmit> {
    let mut found = Vec::new();
    let mut rest = Vec::new();
    while let Some(action) = endpoint.poll_action() {
        match action {
            Action::Transmit(transmit) => found.push(transmit),
            other => rest.push(other),
        }
    }
    if rest.iter().any(|action| matches!(action, Action::AllocateSpi(_))) {
        panic!("asked before phase 1 was done by hand");
    }
    found
}

#[test]
fn equal_acquires_are_merged_while_phase_1_runs_and_while_phase_2_runs() {
    let mut pair = Pair::ordinary();
    let acquire = || Command::Acquire { connection: SITE, policy: ikev1_core::PolicyId(0), packet: None };
    let first = pair.left.endpoint.handle_command(pair.now, acquire()).unwrap();
    let second = pair.left.endpoint.handle_command(pair.now, acquire()).unwrap();
    assert_eq!(first, second);
    pair.settle();
    assert_eq!(pair.left.installed.len(), 2);
    assert_eq!(pair.left.endpoint.counters().acquire_equivalent_found, 1);
}

#[test]
fn a_shorter_lifetime_of_the_responder_is_kept_by_both_ends() {
    let theirs = connection(B, A)
        .lifetime(Duration::from_secs(1_000))
        .policy(policy([10, 10, 2, 0], [10, 10, 1, 0]).lifetime(Duration::from_secs(600)));
    let pair = agrees(left(), theirs);
    for end in [&pair.left, &pair.right] {
        let status = end.endpoint.status();
        assert_eq!(status.children[0].lifetimes.hard, Duration::from_secs(600));
    }
    assert_eq!(pair.right.endpoint.status().ike_sas[0].lifetime, Some(Duration::from_secs(1_000)));
}

#[test]
fn closing_tells_the_peer_and_leaves_nothing_on_either_end() {
    let mut pair = Pair::established();
    pair.command(Command::CloseConnection { connection: SITE });
    pair.settle();
    for end in [&pair.left, &pair.right] {
        let status = end.endpoint.status();
        assert!(status.ike_sas.is_empty() && status.children.is_empty());
        assert!(end.installed.is_empty());
        assert_eq!(end.endpoint.poll_timeout(), None);
    }
    assert_eq!(pair.right.removed[0].reason, RemoveReason::DeletedByPeer);
    assert!(pair.right.has(|event| matches!(event, Event::IkeSaEnded { reason: RemoveReason::DeletedByPeer, .. })));
}

#[test]
fn after_close_all_nothing_is_taken_in() {
    let mut pair = Pair::established();
    pair.command(Command::CloseAll);
    assert!(pair.left.has(|event| matches!(event, Event::Closed)));
    let refused = pair.left.endpoint.handle_command(pair.now, Command::Initiate { connection: SITE });
    assert!(refused.is_err());
}

#[test]
fn deleting_one_pair_leaves_the_isakmp_sa() {
    let mut pair = Pair::established();
    let child = pair.left.endpoint.status().children[0].child;
    pair.command(Command::DeleteChild { child });
    pair.settle();
    assert!(pair.right.installed.is_empty());
    assert_eq!(pair.right.endpoint.status().ike_sas.len(), 1);
}

#[test]
fn a_live_peer_answers_and_a_dead_one_is_removed_after_312_seconds() {
    let mut pair = Pair::established();
    pair.advance(Duration::from_secs(60));
    assert!(pair.left.has(|event| matches!(event, Event::PeerProbed { retries: 0, .. })));
    assert!(!pair.left.has(|event| matches!(event, Event::PeerDead { .. })));
    // From here on the peer hears nothing.
    let heard = pair.now;
    let mut died = None;
    for second in 1..=400 {
        let now = heard + Duration::from_secs(second);
        pair.left.endpoint.handle_timeout(now);
        pair.left.drain(now);
        if pair.left.has(|event| matches!(event, Event::PeerDead { .. })) {
            died = Some(second);
            break;
        }
    }
    // 20 s idle, then 4 + 8 + 16 + .. + 64 s: counted from the last answer, at most one idle time earlier.
    assert!((292..=312).contains(&died.unwrap()), "{died:?}");
    assert!(pair.left.installed.is_empty());
    assert!(pair.left.endpoint.status().ike_sas.is_empty());
}

#[test]
fn traffic_postpones_the_question_whether_the_peer_lives() {
    let mut pair = Pair::established();
    let child = pair.left.endpoint.status().children[0].child;
    for _ in 0..10 {
        pair.advance(Duration::from_secs(10));
        pair.command(Command::TrafficSeen { child });
    }
    assert!(!pair.left.has(|event| matches!(event, Event::PeerProbed { .. })));
}

#[test]
fn an_end_without_dead_peer_detection_is_never_asked() {
    let mut pair = Pair::new(plan(left()), plan(right().dpd(DpdMode::Off)));
    pair.initiate();
    pair.settle();
    pair.advance(Duration::from_secs(100));
    assert!(!pair.left.has(|event| matches!(event, Event::PeerProbed { .. })));
}

#[test]
fn the_key_log_has_the_lines_wireshark_reads_only_when_asked() {
    let logged = Config::new().connection(left()).dangerously_log_keys(true).build().unwrap();
    let mut end = End::new(endpoint(logged, 1));
    let mut pair = Pair::new(plan(left()), plan(right()));
    std::mem::swap(&mut pair.left, &mut end);
    let mut lines = Vec::new();
    pair.left.endpoint.handle_command(pair.now, Command::Initiate { connection: SITE }).unwrap();
    for _ in 0..20 {
        let now = pair.now;
        let mut out = Vec::new();
        while let Some(action) = pair.left.endpoint.poll_action() {
            match action {
                Action::Transmit(transmit) => out.push(transmit),
                Action::KeyLog(line) => lines.push(line),
                _ => {}
            }
        }
        for transmit in out {
            let _ = pair.right.endpoint.handle_datagram(now, transmit.as_received());
        }
        for transmit in pair.right.drain(now) {
            let _ = pair.left.endpoint.handle_datagram(now, transmit.as_received());
        }
    }
    let cookie = pair.right.endpoint.status().ike_sas[0].cookies.initiator.to_string();
    assert!(matches!(&lines[0], KeyLogLine::Isakmp(line) if line.starts_with(&cookie) && line.len() == 16 + 1 + 32));
    let esp: Vec<_> = lines.iter().filter(|line| matches!(line, KeyLogLine::Esp(_))).collect();
    assert_eq!(esp.len(), 2);
    assert!(pair.right.log.iter().all(|line| !line.contains("KeyLog")));
}

#[test]
fn the_same_seeds_give_the_same_actions_octet_for_octet() {
    let run = || {
        let mut pair = Pair::established();
        pair.advance(Duration::from_secs(40_000));
        pair.command(Command::CloseAll);
        pair.settle();
        (pair.left.log, pair.right.log, pair.seen)
    };
    assert_eq!(run(), run());
}

#[test]
fn time_that_goes_back_stands_still_and_an_early_tick_does_nothing() {
    let mut pair = Pair::established();
    let before = pair.left.endpoint.status();
    pair.left.endpoint.handle_timeout(Instant::ZERO);
    pair.left.endpoint.handle_timeout(pair.now);
    assert!(pair.left.endpoint.poll_action().is_none());
    assert_eq!(pair.left.endpoint.status(), before);
}

#[test]
fn the_status_names_the_state_of_each_exchange_as_it_runs() {
    let mut pair = Pair::ordinary();
    pair.initiate();
    let mut names = Vec::new();
    for _ in 0..6 {
        let state = |end: &End| end.endpoint.status().ike_sas.first().map(|sa| sa.exchange_state);
        names.push((state(&pair.left), state(&pair.right)));
        pair.step();
    }
    let (left, right): (Vec<_>, Vec<_>) = names.into_iter().unzip();
    use StateName as S;
    assert_eq!(
        left,
        [S::MainSaSent, S::MainSaSent, S::MainKeSent, S::MainKeSent, S::MainAuthSent, S::MainAuthSent].map(Some)
    );
    assert_eq!(
        right,
        [None, Some(S::MainSaRecv), Some(S::MainSaRecv), Some(S::MainKeRecv), Some(S::MainKeRecv), Some(S::MainUp)]
    );
}

#[test]
fn no_debug_output_of_any_action_holds_a_key() {
    let pair = Pair::established();
    let keys: Vec<String> =
        pair.left.installed.iter().flat_map(|i| [hex::encode(&i.keys.0), hex::encode(&i.keys.1)]).collect();
    for line in pair.left.log.iter().chain(&pair.right.log) {
        assert!(keys.iter().all(|key| !line.contains(key.as_str())));
        assert!(!line.contains("psk for the interop lab"));
    }
}

/// Each message lands where its row of the transition table says.
#[test]
fn every_message_of_main_mode_lands_in_the_state_its_row_names() {
    use ikev1_core::Role;
    use ikev1_core::transition::{TABLE, row};
    let mut pair = Pair::ordinary();
    pair.initiate();
    for message in 1..=6u8 {
        let to_right = message % 2 == 1;
        let role = if to_right { Role::Responder } else { Role::Initiator };
        let end = if to_right { &pair.right } else { &pair.left };
        let before = end.endpoint.status().ike_sas.first().map_or(StateName::MainIdle, |sa| sa.exchange_state);
        let row = row(ExchangeType::MAIN, role, before).expect("the state has a row");
        assert_eq!(row.message, message);
        pair.step();
        let end = if to_right { &pair.right } else { &pair.left };
        assert_eq!(end.endpoint.status().ike_sas[0].exchange_state, row.next, "{row}");
    }
    // Six messages, the last two of them once with a hash and once with a signature.
    assert_eq!(TABLE.iter().filter(|row| row.exchange == ExchangeType::MAIN).count(), 8);
}
