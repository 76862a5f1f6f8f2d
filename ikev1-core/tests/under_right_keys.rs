//! What a peer may not do although it has the right keys: before it proved who it is, and after.

use crate::common;
use crate::common::{A, B, SITE, connection, plan, policy, right};
use crate::scripted::{OUR_SPI, Scripted, chain, hashed, id_body};
use core::time::Duration;
use drive::Verdict;
use ikev1_core::{Action, Command, DpdMode, DropReason, Event, Failure, RemoveReason, SpiSource, StateName};
use ipsec_wire::isakmp::ChainBuilder;
use ipsec_wire::isakmp::payload::{Delete, Notification};
use ipsec_wire::registry::{Doi, ExchangeType, NotifyType, PayloadType, ProtocolId};

fn keyed() -> Scripted {
    Scripted::keyed(plan(right()))
}

fn up() -> Scripted {
    Scripted::up(plan(right()))
}

fn notify(builder: &mut ChainBuilder, notify_type: NotifyType, spi: &[u8], data: &[u8]) {
    builder.push(&Notification {
        doi: Doi::IPSEC,
        protocol: if spi.len() == 4 { ProtocolId::ESP } else { ProtocolId::ISAKMP },
        notify_type,
        spi: spi.to_vec(),
        data: data.to_vec(),
    });
}

fn delete_isakmp(peer: &Scripted, builder: &mut ChainBuilder) {
    let spi = [peer.cookies[0].0, peer.cookies[1].0].concat();
    builder.push(&Delete { doi: Doi::IPSEC, protocol: ProtocolId::ISAKMP, spi_size: 16, data: spi });
}

fn state(peer: &Scripted) -> StateName {
    peer.end.endpoint.status().ike_sas[0].exchange_state
}

/// The lawful message 5 still works, and quick mode after it.
fn completes(mut peer: Scripted) {
    let message_5 = peer.message_5(&id_body(1, 0, 0, &A), |hash| hash);
    assert_eq!(peer.deliver(&message_5), Verdict::Accepted);
    assert_eq!(state(&peer), StateName::MainUp);
}

/// Row 39: keys are there, but nobody is proven.
#[test]
fn row_39_a_protected_informational_before_the_proof_changes_nothing() {
    let mut peer = keyed();
    for notify_type in [NotifyType::NO_PROPOSAL_CHOSEN, NotifyType::INITIAL_CONTACT, NotifyType(36_136)] {
        let spi = [peer.cookies[0].0, peer.cookies[1].0].concat();
        let rest = chain(|chain| notify(chain, notify_type, &spi, &[0, 0, 0, 1]));
        assert_eq!(peer.inform(&rest), Verdict::Ignored(DropReason::Unexpected));
    }
    let rest = chain(|chain| delete_isakmp(&peer, chain));
    assert_eq!(peer.inform(&rest), Verdict::Ignored(DropReason::Unexpected));
    assert!(peer.answers.is_empty());
    assert_eq!(state(&peer), StateName::MainKeRecv);
    completes(peer);
}

/// Row 40, and CVE-2014-2338 in IKEv2: quick mode under the right keys before message 5.
#[test]
fn row_40_quick_mode_under_the_right_keys_before_the_proof_is_not_looked_at() {
    let mut peer = keyed();
    let id = peer.fresh_id();
    let message_1 = peer.quick_1(id, &peer.quick_rest(&Scripted::lawful_ids()));
    assert_eq!(peer.deliver(&message_1), Verdict::Ignored(DropReason::Unexpected));
    assert!(peer.answers.is_empty() && peer.end.endpoint.status().children.is_empty());
    completes(peer);
}

/// Row 69, and row 19: the HASH of message 5 has its exact length.
#[test]
fn row_69_a_hash_of_any_other_length_or_content_is_no_proof() {
    let mut peer = keyed();
    let bends: [fn(Vec<u8>) -> Vec<u8>; 5] = [
        |_| Vec::new(),
        |hash| hash[..1].to_vec(),
        |hash| hash[..hash.len() - 1].to_vec(),
        |hash| [&hash[..], &[0]].concat(),
        |mut hash| {
            hash[0] ^= 1;
            hash
        },
    ];
    for bend in bends {
        let bent = peer.message_5(&id_body(1, 0, 0, &A), bend);
        assert!(matches!(peer.deliver(&bent), Verdict::Ignored(_)));
        assert_eq!(state(&peer), StateName::MainKeRecv);
    }
    completes(peer);
}

/// Row 36, CVE-2023-38711: every type of identity where a peer names itself.
#[test]
fn row_36_every_identity_type_in_phase_1_is_judged_and_only_the_right_one_passes() {
    for id_type in 0..=255 {
        for data in [&A[..], &[], &[0; 1], b"left.example.org", &[0; 16], &[0xff; 300]] {
            let mut peer = keyed();
            let message_5 = peer.message_5(&id_body(id_type, 0, 0, data), |hash| hash);
            let verdict = peer.deliver(&message_5);
            let lawful = id_type == 1 && data == A;
            assert_eq!(verdict == Verdict::Accepted, lawful, "type {id_type} with {} octets: {verdict:?}", data.len());
        }
    }
}

/// Row 36: and where it names traffic.
#[test]
fn row_36_every_identity_type_in_quick_mode_is_judged_and_phase_1_stays() {
    // Refused exchanges are kept for a while, and their number is limited: time must pass.
    let mut peer = Scripted::up(plan(right().delete_delay(Duration::from_secs(1)).dpd(DpdMode::Off)));
    let [ours, theirs] = <[Vec<u8>; 2]>::try_from(Scripted::lawful_ids()).unwrap();
    for id_type in (0..=255).filter(|id_type| *id_type != 4) {
        for length in [0, 4, 8, 16, 32] {
            let odd = id_body(id_type, 0, 0, &[10; 32][..length]);
            for ids in [[odd.clone(), theirs.clone()], [ours.clone(), odd.clone()]] {
                let id = peer.fresh_id();
                let message_1 = peer.quick_1(id, &peer.quick_rest(&ids));
                let verdict = peer.deliver(&message_1);
                let judged = matches!(verdict, Verdict::Ignored(DropReason::Refused | DropReason::Malformed));
                assert!(judged, "type {id_type} of {length} octets: {verdict:?}");
                peer.pass(Duration::from_millis(1_001));
            }
        }
    }
    assert!(peer.end.endpoint.status().children.is_empty());
    peer.answers.clear();
    peer.quick();
}

/// Row 36, CVE-2023-38711: a name where a network is configured, by whichever end it is sent.
#[test]
fn row_36_a_name_as_idci_or_idcr_is_refused_with_its_reason_and_networks_still_pass() {
    let mut peer = up();
    let [ours, theirs] = <[Vec<u8>; 2]>::try_from(Scripted::lawful_ids()).unwrap();
    let name = |id_type: u8| id_body(id_type, 17, 1_701, b"gateway.example.org");
    // 2 is a host's name, 3 a user's, 9 and 10 are of X.500, 11 is a key id, and 12 is nothing.
    for id_type in [2, 3, 9, 10, 11, 12] {
        for ids in [[name(id_type), theirs.clone()], [ours.clone(), name(id_type)], [name(id_type), name(id_type)]] {
            let id = peer.fresh_id();
            let message_1 = peer.quick_1(id, &peer.quick_rest(&ids));
            assert_eq!(peer.deliver(&message_1), Verdict::Ignored(DropReason::Refused));
            let refused = peer.end.events.iter().rev().find_map(|event| match event {
                Event::Phase2Failed { failure, .. } => Some(failure.clone()),
                _ => None,
            });
            assert_eq!(refused, Some(Failure::NoPolicy), "type {id_type}");
            let told = |event: &Event| {
                matches!(event, Event::NotifySent { notify: NotifyType::INVALID_ID_INFORMATION, protected: true, .. })
            };
            assert!(peer.end.has(told), "type {id_type}");
            peer.end.events.clear();
        }
    }
    assert_eq!((state(&peer), peer.end.endpoint.status().children.len()), (StateName::MainUp, 0));
    peer.answers.clear();
    peer.quick();
}

/// Rows 71 and 72: no narrowing, and no identities mean the two addresses only.
#[test]
fn rows_71_and_72_wider_one_sided_and_missing_identities_are_refused_and_exact_ones_pass() {
    let mut peer = up();
    let [ours, theirs] = <[Vec<u8>; 2]>::try_from(Scripted::lawful_ids()).unwrap();
    let everything = id_body(4, 0, 0, &[0; 8]);
    let wider = id_body(4, 0, 0, &[10, 10, 0, 0, 255, 255, 0, 0]);
    let one_port = id_body(4, 6, 80, &[10, 10, 2, 0, 255, 255, 255, 0]);
    let cases = [
        vec![everything.clone(), theirs.clone()],
        vec![ours.clone(), everything.clone()],
        vec![everything.clone(), everything],
        vec![wider, theirs.clone()],
        vec![ours.clone(), one_port],
        vec![theirs, ours.clone()],
        vec![ours],
        vec![],
    ];
    for ids in cases {
        let id = peer.fresh_id();
        let message_1 = peer.quick_1(id, &peer.quick_rest(&ids));
        assert!(matches!(peer.deliver(&message_1), Verdict::Ignored(_)), "{ids:?}");
    }
    assert!(peer.end.endpoint.status().children.is_empty());
    peer.answers.clear();
    peer.quick();
    // A policy of the two addresses themselves takes a quick mode without identities.
    let ends = policy([10, 10, 2, 0], [10, 10, 1, 0])
        .local(ikev1_core::TrafficSelector::host(B.into()))
        .remote(ikev1_core::TrafficSelector::host(A.into()));
    let mut peer = Scripted::up(plan(connection(B, A).policy(ends)));
    let id = peer.fresh_id();
    let message_1 = peer.quick_1(id, &peer.quick_rest(&[]));
    assert_eq!(peer.deliver(&message_1), Verdict::Accepted);
}

/// Row 43: message id 0, one in use, one that is used up.
#[test]
fn row_43_message_ids_of_zero_in_use_or_used_up_make_nothing() {
    let mut peer = up();
    let rest = peer.quick_rest(&Scripted::lawful_ids());
    let hash = peer.keys.isakmp().hash_1(0, rest.octets());
    let zero = peer.sealed(ExchangeType::QUICK, 0, &hashed(hash.as_bytes(), &rest));
    assert_eq!(peer.deliver(&zero), Verdict::Ignored(DropReason::MessageId(0)));
    let id = peer.fresh_id();
    let message_1 = peer.quick_1(id, &rest);
    assert_eq!(peer.deliver(&message_1), Verdict::Accepted);
    // Another first message under the id that is in use.
    let other = chain(|chain| {
        chain.push_body(PayloadType::VENDOR_ID, b"another");
    });
    let other = peer.quick_1(id, &hashed(b"", &other));
    assert!(matches!(peer.deliver(&other), Verdict::Ignored(_)));
    assert_eq!(peer.end.endpoint.status().ike_sas[0].exchanges.len(), 1);
    // An informational under the id of the quick mode, and one under its own id twice.
    let alive = chain(|chain| notify(chain, NotifyType::CONNECTED, &[], &[]));
    let id = peer.fresh_id();
    let hash = peer.keys.isakmp().hash_1(id, alive.octets());
    let once = peer.sealed(ExchangeType::INFORMATIONAL, id, &hashed(hash.as_bytes(), &alive));
    assert_eq!(peer.deliver(&once), Verdict::Accepted);
    assert_eq!(peer.deliver(&once), Verdict::Ignored(DropReason::Replay));
    peer.quick_after_timeout();
}

/// Rows 43, 44 and 119: nothing in a recorded message says that it is old, so what came under an SA is remembered as
/// long as the SA lives: it makes nothing, is no life, and moves no path.
#[test]
fn rows_43_44_119_what_was_recorded_a_thousand_messages_ago_does_nothing() {
    let mut peer = up();
    let hello = chain(|chain| notify(chain, NotifyType::CONNECTED, &[], &[]));
    let say = |peer: &mut Scripted| {
        let id = peer.fresh_id();
        let hash = peer.keys.isakmp().hash_1(id, hello.octets());
        let octets = peer.sealed(ExchangeType::INFORMATIONAL, id, &hashed(hash.as_bytes(), &hello));
        assert_eq!(peer.deliver(&octets), Verdict::Accepted);
        octets
    };
    let old = say(&mut peer);
    for _ in 0..1_000 {
        say(&mut peer);
    }
    let before = peer.end.endpoint.status();
    assert_eq!(peer.deliver(&old), Verdict::Ignored(DropReason::Replay));
    assert_eq!(peer.end.endpoint.status().ike_sas, before.ike_sas);
}

/// Rows 43 and 44: what is remembered is bounded, so an SA is renewed long before it can take no more messages.
#[test]
fn rows_43_44_an_sa_that_has_taken_half_of_its_messages_is_renewed() {
    let mut peer = up();
    let hello = chain(|chain| notify(chain, NotifyType::CONNECTED, &[], &[]));
    // A first message has no cookie of the responder's.
    let renewals = |peer: &Scripted| peer.answers.iter().filter(|octets| octets[8..16] == [0; 8]).count();
    let half = ikev1_core::defaults::MAX_FINISHED_IDS / 2;
    for _ in 1..half {
        assert_eq!(peer.inform(&hello), Verdict::Accepted);
    }
    peer.pass(Duration::ZERO);
    assert_eq!(renewals(&peer), 0);
    assert_eq!(peer.inform(&hello), Verdict::Accepted);
    peer.pass(Duration::ZERO);
    assert_eq!(renewals(&peer), 1);
}

/// Row 43, the lawful traffic: vpnc draws the message ids of its Deletes from one octet, and 0 is one of them.
#[test]
fn row_43_a_delete_under_message_id_0_is_obeyed() {
    let mut peer = up();
    peer.quick();
    let rest = chain(|chain| delete_isakmp(&peer, chain));
    let hash = peer.keys.isakmp().hash_1(0, rest.octets());
    let right = peer.sealed(ExchangeType::INFORMATIONAL, 0, &hashed(hash.as_bytes(), &rest));
    assert_eq!(peer.deliver(&right), Verdict::Accepted);
    assert!(peer.end.endpoint.status().ike_sas.is_empty());
}

/// Row 48, CVE-2019-10155: HASH missing, not first, short, long, of another message id, twice.
#[test]
fn row_48_an_informational_acts_only_under_the_exact_hash_in_front() {
    let mut peer = up();
    peer.quick();
    let rest = chain(|chain| delete_isakmp(&peer, chain));
    let right_hash = |peer: &Scripted, id: u32| peer.keys.isakmp().hash_1(id, rest.octets()).as_bytes().to_vec();
    let bends: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |_| Vec::new(),
        |hash| hash[..hash.len() - 1].to_vec(),
        |hash| [&hash[..], &[0]].concat(),
        |mut hash| {
            hash[19] ^= 0x80;
            hash
        },
    ];
    for bend in bends {
        let id = peer.fresh_id();
        let hash = bend(right_hash(&peer, id));
        let octets = peer.sealed(ExchangeType::INFORMATIONAL, id, &hashed(&hash, &rest));
        assert!(matches!(peer.deliver(&octets), Verdict::Ignored(_)));
    }
    let id = peer.fresh_id();
    let missing = peer.sealed(ExchangeType::INFORMATIONAL, id, &rest);
    assert!(matches!(peer.deliver(&missing), Verdict::Ignored(_)));
    let hash = right_hash(&peer, id);
    let behind = chain(|chain| {
        delete_isakmp(&peer, chain);
        chain.push_body(PayloadType::HASH, &hash);
    });
    let behind = peer.sealed(ExchangeType::INFORMATIONAL, id, &behind);
    assert!(matches!(peer.deliver(&behind), Verdict::Ignored(_)));
    let of_another = right_hash(&peer, id + 1);
    let of_another = peer.sealed(ExchangeType::INFORMATIONAL, id, &hashed(&of_another, &rest));
    assert_eq!(peer.deliver(&of_another), Verdict::Ignored(DropReason::WrongHash));
    let status = peer.end.endpoint.status();
    assert_eq!((status.ike_sas.len(), status.children.len()), (1, 1));
    assert_eq!(peer.inform(&rest), Verdict::Accepted);
    assert!(peer.end.endpoint.status().ike_sas.is_empty());
}

/// Row 35, CVE-2023-38712: payloads behind the Delete of the very SA.
#[test]
fn row_35_what_follows_the_delete_of_the_sa_in_one_message_is_harmless() {
    for doubled in [false, true] {
        let mut peer = up();
        peer.quick();
        let spi = [peer.cookies[0].0, peer.cookies[1].0].concat();
        let rest = chain(|chain| {
            delete_isakmp(&peer, chain);
            notify(chain, NotifyType(36_136), &spi, &[0, 0, 0, 9]);
            notify(chain, NotifyType::INITIAL_CONTACT, &spi, &[]);
            if doubled {
                delete_isakmp(&peer, chain);
            }
        });
        assert_eq!(peer.inform(&rest), Verdict::Accepted);
        assert!(peer.answers.is_empty());
        let status = peer.end.endpoint.status();
        assert!(status.ike_sas.is_empty());
        // IPsec SAs outlive their ISAKMP SA unless the plan says otherwise.
        assert_eq!(status.children.len(), 1);
    }
}

/// Row 38, CVE-2009-0790: R-U-THERE of every length, and under SAs of others.
#[test]
fn row_38_only_a_whole_question_under_its_own_sa_is_answered() {
    let mut peer = up();
    let spi = [peer.cookies[0].0, peer.cookies[1].0].concat();
    for length in (0..=8).filter(|length| *length != 4) {
        let rest = chain(|chain| notify(chain, NotifyType(36_136), &spi, &[0; 8][..length]));
        let _ = peer.inform(&rest);
        assert!(peer.answers.is_empty(), "{length} octets are answered");
        let rest = chain(|chain| notify(chain, NotifyType(36_137), &spi, &[0; 8][..length]));
        let _ = peer.inform(&rest);
        assert!(peer.answers.is_empty());
    }
    assert_eq!(peer.end.endpoint.status().ike_sas.len(), 1);
    let rest = chain(|chain| notify(chain, NotifyType(36_136), &spi, &[0, 0, 0, 7]));
    assert_eq!(peer.inform(&rest), Verdict::Accepted);
    assert_eq!(peer.answers.len(), 1);
}

/// Row 53: a lifetime told after the SA is up, or to zero, changes nothing.
#[test]
fn row_53_a_responder_lifetime_after_the_fact_changes_nothing() {
    let mut peer = up();
    peer.quick();
    let before = peer.end.endpoint.status();
    let seconds = |value: u8| vec![0x80, 1, 0, 1, 0x80, 2, 0, value];
    for (spi, value) in [(OUR_SPI.to_be_bytes().to_vec(), 5), (OUR_SPI.to_be_bytes().to_vec(), 0), (vec![], 5)] {
        let rest = chain(|chain| notify(chain, NotifyType::RESPONDER_LIFETIME, &spi, &seconds(value)));
        assert_eq!(peer.inform(&rest), Verdict::Accepted);
    }
    let after = peer.end.endpoint.status();
    assert_eq!(before.children, after.children);
    assert_eq!(before.ike_sas[0].lifetime, after.ike_sas[0].lifetime);
}

/// Row 50 and its like: SPIs that nobody has, or too many of them.
#[test]
fn row_50_a_delete_of_unknown_spis_is_counted_and_one_of_a_known_spi_acts() {
    let mut peer = up();
    peer.quick();
    let unknown: Vec<u8> = (0..100u32).flat_map(|spi| (0x7000_0000 + spi).to_be_bytes()).collect();
    let esp = |data: Vec<u8>| Delete { doi: Doi::IPSEC, protocol: ProtocolId::ESP, spi_size: 4, data };
    let rest = chain(|chain| chain.push(&esp(unknown)));
    assert_eq!(peer.inform(&rest), Verdict::Accepted);
    assert_eq!(peer.end.endpoint.status().children.len(), 1);
    assert_eq!(peer.end.endpoint.counters().info_phase2_sa_not_found, 100);
    let rest = chain(|chain| chain.push(&esp(OUR_SPI.to_be_bytes().to_vec())));
    assert_eq!(peer.inform(&rest), Verdict::Accepted);
    assert!(peer.end.endpoint.status().children.is_empty());
    assert!(peer.end.removed.iter().any(|removal| removal.reason == RemoveReason::DeletedByPeer));
}

/// A peer that could not install a pair names the SPI it was to send with: it means the pair all the same.
#[test]
fn a_delete_that_names_our_own_spi_ends_the_pair_of_its_sender() {
    let mut peer = up();
    peer.quick();
    let ours = peer.end.endpoint.status().children[0].sas[0].inbound;
    let delete = Delete { doi: Doi::IPSEC, protocol: ProtocolId::ESP, spi_size: 4, data: ours.to_be_bytes().to_vec() };
    let rest = chain(|chain| chain.push(&delete));
    assert_eq!(peer.inform(&rest), Verdict::Accepted);
    assert!(peer.end.endpoint.status().children.is_empty());
}

/// Row 54: what proves nothing is no sign of life.
#[test]
fn row_54_spoofed_datagrams_from_the_peers_address_do_not_keep_it_alive() {
    let mut pair = common::Pair::established();
    let cookies = pair.right.endpoint.status().ike_sas[0].cookies;
    let spoofed = |exchange: ExchangeType, id: u32| {
        let header = ipsec_wire::isakmp::Header::new(
            cookies.initiator,
            cookies.responder,
            exchange,
            ipsec_wire::isakmp::MessageId(id),
        );
        let header = header.with_flags(ipsec_wire::isakmp::Flags::ENCRYPTION);
        header.enclose(PayloadType::HASH, &[0x55; 64]).unwrap()
    };
    let path = drive::Path::new((B, 500).into(), (A, 500).into());
    let mut second = 0;
    while !pair.right.has(|event| matches!(event, Event::PeerDead { .. })) {
        second += 1;
        assert!(second <= 340, "the dead peer lives on");
        pair.now += Duration::from_secs(1);
        for (exchange, id) in [(ExchangeType::INFORMATIONAL, second), (ExchangeType::QUICK, second + 1_000)] {
            let payload = spoofed(exchange, id);
            let verdict = pair.right.endpoint.handle_datagram(pair.now, drive::Datagram { path, payload: &payload });
            assert!(matches!(verdict, Verdict::Ignored(_)));
        }
        pair.right.endpoint.handle_timeout(pair.now);
        // The left end is gone: nothing is delivered.
        pair.right.drain(pair.now);
    }
    assert!(pair.right.endpoint.status().ike_sas.is_empty());
}

/// Row 32, CVE-2011-4073: an answer of the caller for an exchange that ended meanwhile.
#[test]
fn row_32_an_answer_for_an_exchange_that_is_gone_is_refused_and_a_message_meanwhile_is_dropped() {
    let config = ikev1_core::Config::new().spi_source(SpiSource::Caller).connection(right());
    let mut peer = Scripted::up(config.build().unwrap());
    let id = peer.fresh_id();
    let message_1 = peer.quick_1(id, &peer.quick_rest(&Scripted::lawful_ids()));
    let datagram = drive::Datagram { path: peer.path, payload: &message_1 };
    assert_eq!(peer.end.endpoint.handle_datagram(peer.now, datagram), Verdict::Accepted);
    let asked = std::iter::from_fn(|| peer.end.endpoint.poll_action()).find_map(|action| match action {
        Action::AllocateSpi(ask) => Some(ask.ticket),
        _ => None,
    });
    let ticket = asked.unwrap();
    // While the caller thinks: the same message, another under its id, and a Delete of everything.
    let datagram = drive::Datagram { path: peer.path, payload: &message_1 };
    assert!(!matches!(peer.end.endpoint.handle_datagram(peer.now, datagram), Verdict::Accepted));
    let rest = chain(|chain| delete_isakmp(&peer, chain));
    assert_eq!(peer.inform(&rest), Verdict::Accepted);
    let late = Command::ProvideSpi { ticket, spi: Some(0x1234) };
    let refused = peer.end.endpoint.handle_command(peer.now, late);
    assert_eq!(refused, Err(ikev1_core::CommandError::UnknownTicket(ticket)));
    assert!(peer.end.installed.is_empty());
    let fresh = Command::Initiate { connection: SITE };
    assert!(peer.end.endpoint.handle_command(peer.now, fresh).is_ok());
}

impl Scripted {
    /// The exchange that was left open ends by its own limit, and a new one works.
    fn quick_after_timeout(mut self) {
        self.pass(Duration::from_secs(100));
        self.answers.clear();
        self.quick();
    }
}
