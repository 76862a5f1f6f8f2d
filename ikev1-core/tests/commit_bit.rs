//! The commit bit and CONNECTED.

use crate::common::{End, Pair, left, plan, right};
use core::time::Duration;
use drive::Transmit;
use ikev1_core::{Direction, Event, StateName};
use ipsec_wire::registry::{ExchangeType, NotifyType};

const EXCHANGE: usize = 18;
const FLAGS: usize = 19;
const COMMIT: u8 = 2;

fn is_quick(transmit: &Transmit) -> bool {
    transmit.payload[EXCHANGE] == ExchangeType::QUICK.0
}

fn directions(end: &End) -> Vec<Direction> {
    end.installed.iter().map(|sa| sa.direction).collect()
}

/// Up to the moment at which message 3 is delivered; the wire then holds what follows it.
fn to_message_3(mut pair: Pair) -> Pair {
    pair.initiate();
    while pair.wire.front().is_some_and(|transmit| !is_quick(transmit)) {
        assert!(pair.step().is_some());
    }
    for _ in 0..3 {
        assert!(is_quick(&pair.wire[0]));
        assert!(pair.step().is_some());
    }
    pair
}

fn committing() -> Pair {
    Pair::new(plan(left()), plan(right().commit_bit(true)))
}

#[test]
fn a_responder_that_sets_it_makes_the_initiator_wait_for_connected() {
    let mut pair = to_message_3(committing());
    // The initiator takes in, but sends nothing yet; the responder is done.
    assert_eq!(directions(&pair.left), [Direction::Inbound]);
    assert!(!pair.left.established() && pair.right.established());
    let exchange = &pair.left.endpoint.status().ike_sas[0].exchanges[0];
    assert_eq!((exchange.state, exchange.commit_received), (StateName::QuickSendingHash, true));
    assert_eq!(pair.wire.len(), 1);
    pair.settle();
    assert_eq!(directions(&pair.left), [Direction::Inbound, Direction::Outbound]);
    assert!(pair.left.established());
    pair.assert_mirrored();
    let connected =
        |event: &Event| matches!(event, Event::NotifyReceived { notify: NotifyType::CONNECTED, protected: true, .. });
    assert_eq!(pair.left.count(connected), 1);
    assert_eq!(pair.seen.len(), 10);
}

#[test]
fn without_it_nobody_waits() {
    let pair = to_message_3(Pair::ordinary());
    assert!(pair.left.established() && pair.right.established());
    assert!(pair.wire.is_empty());
}

#[test]
fn a_lost_connected_is_asked_for_by_message_3_again() {
    let mut pair = to_message_3(committing());
    pair.wire.clear();
    pair.advance(Duration::from_secs(5));
    assert!(pair.left.established());
    pair.assert_mirrored();
    assert_eq!(pair.left.endpoint.own_counters().connected_missing, 0);
    assert_eq!(pair.right.endpoint.status().children.len(), 1);
}

#[test]
fn a_peer_that_never_confirms_holds_the_pair_for_a_limited_time_only() {
    let mut pair = to_message_3(committing());
    pair.wire.clear();
    let start = pair.now;
    while !pair.left.established() {
        let at = pair.left.endpoint.poll_timeout().unwrap();
        pair.left.endpoint.handle_timeout(at);
        pair.left.drain(at);
        pair.now = at;
    }
    assert_eq!((pair.now - start).as_secs(), 20);
    assert_eq!(pair.left.endpoint.own_counters().connected_missing, 1);
    pair.assert_mirrored();
}

/// Nothing protects the flags of a header: anyone on the path can set the bit, which costs a wait at most.
#[test]
fn a_bit_set_on_the_way_delays_and_does_no_more() {
    let mut pair = Pair::ordinary();
    pair.initiate();
    let mut quick = 0;
    while let Some(transmit) = pair.wire.front_mut() {
        if is_quick(transmit) {
            quick += 1;
            if quick == 2 {
                let mut octets = transmit.payload.to_vec();
                octets[FLAGS] |= COMMIT;
                transmit.payload = octets.into();
            }
        }
        assert!(pair.step().is_some());
    }
    assert!(!pair.left.established() && pair.right.established());
    pair.advance(Duration::from_secs(25));
    assert!(pair.left.established());
    pair.assert_mirrored();
}

#[test]
fn a_responder_waits_for_an_initiator_that_sets_it_and_goes_on_in_the_end() {
    let mut pair = Pair::ordinary();
    pair.initiate();
    while let Some(transmit) = pair.wire.front_mut() {
        if is_quick(transmit) {
            let mut octets = transmit.payload.to_vec();
            octets[FLAGS] |= COMMIT;
            transmit.payload = octets.into();
            break;
        }
        assert!(pair.step().is_some());
    }
    pair.settle();
    assert_eq!(directions(&pair.right), [Direction::Inbound]);
    assert!(!pair.right.established());
    pair.advance(Duration::from_secs(25));
    assert!(pair.right.established());
    pair.assert_mirrored();
}

#[test]
fn a_connected_in_clear_or_of_another_exchange_confirms_nothing() {
    let mut pair = to_message_3(committing());
    let connected = pair.wire.pop_front().unwrap();
    let mut clear = connected.clone();
    let mut octets = clear.payload[..28].to_vec();
    octets[16] = 11;
    octets[FLAGS] = 0;
    octets.extend([0, 0, 0, 16, 0, 0, 0, 1, 3, 4, 0x40, 0x00, 0, 0, 0, 1]);
    octets[27] = 44;
    clear.payload = octets.into();
    let _: drive::Verdict<_> = pair.deliver(&clear);
    // The same ciphertext under another message id is garbage.
    let mut moved = connected.clone();
    let mut octets = moved.payload.to_vec();
    octets[20] ^= 1;
    moved.payload = octets.into();
    let _: drive::Verdict<_> = pair.deliver(&moved);
    pair.drain();
    assert!(!pair.left.established());
    let _: drive::Verdict<_> = pair.deliver(&connected);
    pair.drain();
    assert!(pair.left.established());
}

#[test]
fn closing_while_waiting_leaves_nothing_behind() {
    let mut pair = to_message_3(committing());
    pair.wire.clear();
    pair.command(ikev1_core::Command::CloseAll);
    assert!(pair.left.installed.is_empty());
    assert_eq!(pair.left.endpoint.poll_timeout(), None);
}
