//! What a peer that has proven itself may make this end keep.

use crate::common::{plan, right};
use crate::scripted::{OUR_SPI, Scripted, chain};
use core::time::Duration;
use drive::Verdict;
use ikev1_core::{ConnectionConfig, DpdMode, DropReason, Event, Failure, defaults};
use ipsec_wire::isakmp::payload::Delete;
use ipsec_wire::registry::{Doi, ProtocolId};

fn config() -> ConnectionConfig {
    right().dpd(DpdMode::Off).delete_delay(Duration::from_secs(1))
}

fn children(peer: &Scripted) -> usize {
    peer.end.endpoint.status().children.len()
}

fn delete_one(peer: &mut Scripted) {
    let delete =
        Delete { doi: Doi::IPSEC, protocol: ProtocolId::ESP, spi_size: 4, data: OUR_SPI.to_be_bytes().to_vec() };
    let rest = chain(|chain| chain.push(&delete));
    assert_eq!(peer.inform(&rest), Verdict::Accepted);
}

/// Row 95: a peer that makes pairs without end.
#[test]
fn row_95_a_peer_has_so_many_pairs_and_no_more_and_what_it_deletes_makes_room() {
    let mut peer = Scripted::up(plan(config()));
    for _ in 0..defaults::MAX_CHILDREN_PER_PEER {
        peer.quick();
    }
    for _ in 0..20 {
        let id = peer.fresh_id();
        let message_1 = peer.quick_1(id, &peer.quick_rest(&Scripted::lawful_ids()));
        assert_eq!(peer.deliver(&message_1), Verdict::Ignored(DropReason::Refused));
    }
    let refused = |event: &Event| matches!(event, Event::Phase2Failed { failure: Failure::Limit, .. });
    assert_eq!((children(&peer), peer.end.count(refused)), (defaults::MAX_CHILDREN_PER_PEER, 20));
    assert_eq!(peer.end.endpoint.status().ike_sas.len(), 1, "the SA stays");
    peer.answers.clear();
    delete_one(&mut peer);
    peer.quick();
    assert_eq!(children(&peer), defaults::MAX_CHILDREN_PER_PEER);
}

/// Row 95, and the lawful traffic: who renews and deletes goes on for ever.
#[test]
fn row_95_renewals_that_delete_what_they_replace_never_meet_the_limit() {
    let mut peer = Scripted::up(plan(config()));
    for _ in 0..2 * defaults::MAX_CHILDREN_PER_PEER {
        peer.quick();
        if children(&peer) > 1 {
            delete_one(&mut peer);
        }
    }
    assert_eq!(children(&peer), 1);
}

/// Row 95: quick modes that are begun and never finished.
#[test]
fn row_95_quick_modes_left_open_are_limited_and_their_pairs_go_with_them() {
    let mut peer = Scripted::up(plan(config()));
    let mut taken = 0;
    for _ in 0..500 {
        let id = peer.fresh_id();
        let message_1 = peer.quick_1(id, &peer.quick_rest(&Scripted::lawful_ids()));
        match peer.deliver(&message_1) {
            Verdict::Accepted => taken += 1,
            verdict => assert_eq!(verdict, Verdict::Ignored(DropReason::Limit)),
        }
    }
    assert_eq!((taken, children(&peer)), (defaults::MAX_EXCHANGES_PER_SA, defaults::MAX_EXCHANGES_PER_SA));
    for _ in 0..300 {
        peer.pass(Duration::from_secs(1));
    }
    assert_eq!(children(&peer), 0);
    peer.answers.clear();
    peer.quick();
}
