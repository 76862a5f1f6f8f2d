//! INITIAL-CONTACT: what a peer that knows of no older SA may end, and what not.

use crate::common;
use crate::common::{plan, right};
use crate::scripted::{Scripted, chain, hashed};
use drive::Verdict;
use ikev1_core::{ConnectionConfig, DpdMode, DropReason, Event};
use ipsec_wire::isakmp::payload::Notification;
use ipsec_wire::isakmp::{Chain, Cookie, Header, MessageId};
use ipsec_wire::registry::{Doi, ExchangeType, NotifyType, ProtocolId};

fn config() -> ConnectionConfig {
    right().dpd(DpdMode::Off)
}

fn initial_contact(cookies: [Cookie; 2]) -> Chain {
    chain(|chain| {
        chain.push(&Notification {
            doi: Doi::IPSEC,
            protocol: ProtocolId::ISAKMP,
            notify_type: NotifyType::INITIAL_CONTACT,
            spi: [cookies[0].0, cookies[1].0].concat(),
            data: Vec::new(),
        });
    })
}

fn counts(peer: &Scripted) -> (usize, usize) {
    let status = peer.end.endpoint.status();
    (status.ike_sas.len(), status.children.len())
}

fn obeyed(peer: &Scripted) -> usize {
    peer.end.count(|event| matches!(event, Event::InitialContact { .. }))
}

/// As racoon says it: in a message of its own, after the new SA has taken over the old pairs.
#[test]
fn said_in_a_message_of_its_own_it_ends_what_was_made_before() {
    let mut peer = Scripted::up(plan(config()));
    peer.quick();
    let mut peer = peer.rebooted();
    assert_eq!(counts(&peer), (2, 1), "the new SA took the pair over");
    let said = initial_contact(peer.cookies);
    assert_eq!(peer.inform(&said), Verdict::Accepted);
    assert_eq!(counts(&peer), (1, 0));
    assert!(peer.end.has(|event| matches!(event, Event::InitialContact { ike_sas: 1, children: 1, .. })));
    peer.answers.clear();
    peer.quick();
    // Said again, it does not end what was made since.
    assert_eq!(peer.inform(&said), Verdict::Accepted);
    assert_eq!(counts(&peer), (1, 1));
}

/// Kept back on the way, or said by one who keeps old keys: newer SAs stay.
#[test]
fn said_under_an_older_sa_it_ends_nothing_newer() {
    let mut peer = Scripted::up(plan(config()));
    let id = peer.fresh_id();
    let said = initial_contact(peer.cookies);
    let hash = peer.keys.isakmp().hash_1(id, said.octets());
    let late = peer.sealed(ExchangeType::INFORMATIONAL, id, &hashed(hash.as_bytes(), &said));
    let mut peer = peer.rebooted();
    peer.quick();
    assert_eq!(peer.deliver(&late), Verdict::Accepted);
    assert_eq!(counts(&peer), (2, 1));
}

/// Row 49, and row 47: nobody who has not proven it is the peer ends anything by it.
#[test]
fn row_49_in_clear_under_a_wrong_hash_or_before_the_proof_it_ends_nothing() {
    let mut peer = Scripted::up(plan(config()));
    peer.quick();
    let said = initial_contact(peer.cookies);
    let header = Header::new(peer.cookies[0], peer.cookies[1], ExchangeType::INFORMATIONAL, MessageId(peer.fresh_id()));
    let clear = header.enclose(said.first(), said.octets()).unwrap();
    assert_eq!(peer.deliver(&clear), Verdict::Ignored(DropReason::Unprotected));
    let id = peer.fresh_id();
    let wrong = peer.sealed(ExchangeType::INFORMATIONAL, id, &hashed(&[7; 20], &said));
    assert_eq!(peer.deliver(&wrong), Verdict::Ignored(DropReason::WrongHash));
    // Somebody at the peer's address goes as far as the keys, and cannot prove the rest.
    let mut stranger = peer.rebooted_to_message_4();
    let said = initial_contact(stranger.cookies);
    assert_eq!(stranger.inform(&said), Verdict::Ignored(DropReason::Unexpected));
    assert_eq!((counts(&stranger), obeyed(&stranger)), ((2, 1), 0));
}

#[test]
fn an_end_that_is_to_ignore_it_tells_of_it_and_keeps_everything() {
    let mut peer = Scripted::up(plan(config().ignore_initial_contact(true)));
    peer.quick();
    let mut peer = peer.rebooted();
    let said = initial_contact(peer.cookies);
    assert_eq!(peer.inform(&said), Verdict::Accepted);
    assert_eq!((counts(&peer), obeyed(&peer)), ((2, 1), 0));
    let told = |event: &Event| {
        matches!(event, Event::NotifyReceived { notify: NotifyType::INITIAL_CONTACT, protected: true, .. })
    };
    assert!(peer.end.has(told));
}

/// In message 5 too, where it is not covered by HASH_I: the pair is taken over as by any renewal.
#[test]
fn an_end_that_is_to_ignore_it_takes_the_pairs_over_when_it_stands_in_phase_1() {
    let mut pair = common::Pair::new(plan(common::left()), plan(config().ignore_initial_contact(true)));
    pair.initiate();
    pair.settle();
    pair.left = common::End::new(common::endpoint(plan(common::left()), 77));
    pair.initiate();
    pair.settle();
    assert!(!pair.right.has(|event| matches!(event, Event::InitialContact { .. })));
    assert!(pair.right.has(|event| matches!(event, Event::SasAdopted { count: 1, .. })));
}

#[test]
fn an_end_that_is_not_to_send_it_does_not() {
    for sends in [true, false] {
        let left = common::left().initial_contact(sends);
        let mut pair = common::Pair::new(plan(left), plan(right()));
        pair.initiate();
        pair.settle();
        assert!(pair.left.established());
        assert_eq!(pair.right.has(|event| matches!(event, Event::InitialContact { .. })), sends);
    }
}
