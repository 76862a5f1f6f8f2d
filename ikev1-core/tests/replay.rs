//! Repeats and replays: a repeat is answered from store, a replay does nothing.

use crate::common;
use crate::common::{Pair, SITE};
use core::time::Duration;
use drive::{Transmit, Verdict};
use ikev1_core::{Command, DropReason, Event};

/// A handshake step by step, each message delivered twice.
#[test]
fn every_message_twice_gives_the_same_sas_and_each_answer_twice_at_most() {
    let mut pair = Pair::ordinary();
    pair.initiate();
    let mut delivered = 0;
    while let Some(transmit) = pair.wire.pop_front() {
        delivered += 1;
        let _ = pair.deliver(&transmit);
        pair.drain();
        let before = (pair.left.installed.len(), pair.right.installed.len());
        let verdict = pair.deliver(&transmit);
        assert!(!matches!(verdict, Verdict::Accepted), "message {delivered}");
        pair.drain();
        assert_eq!((pair.left.installed.len(), pair.right.installed.len()), before);
        assert!(delivered < 60);
    }
    assert!(pair.left.established() && pair.right.established());
    assert_eq!(pair.left.installed.len(), 2);
    pair.assert_mirrored();
}

#[test]
fn a_lost_last_message_of_phase_1_is_sent_again_for_a_repeat_octet_for_octet() {
    let mut pair = Pair::ordinary();
    pair.initiate();
    for _ in 0..5 {
        pair.step();
    }
    let lost = pair.wire.pop_front().unwrap();
    pair.advance(Duration::from_secs(4));
    assert!(pair.seen.contains(&lost));
    assert!(pair.left.established() && pair.right.established());
}

#[test]
fn a_lost_third_message_of_quick_mode_is_sent_again_for_a_repeat_of_the_second() {
    let mut pair = Pair::ordinary();
    pair.initiate();
    for _ in 0..8 {
        pair.step();
    }
    let lost = pair.wire.pop_front().unwrap();
    assert!(pair.left.established() && !pair.right.established());
    pair.advance(Duration::from_secs(4));
    assert!(pair.seen.contains(&lost));
    assert!(pair.right.established());
}

#[test]
fn a_pair_that_only_one_end_has_is_taken_back_when_the_other_gives_up() {
    let mut pair = Pair::ordinary();
    pair.initiate();
    for _ in 0..8 {
        pair.step();
    }
    // Message 3 and all its repeats are lost.
    for _ in 0..20 {
        let sealed: Vec<Transmit> = pair.wire.drain(..).collect();
        let to_left =
            sealed.into_iter().filter(|transmit| transmit.path.remote.ip() == std::net::IpAddr::from(common::A));
        for transmit in to_left {
            let _ = pair.deliver(&transmit);
        }
        let Some(at) = pair.right.endpoint.poll_timeout() else { break };
        pair.now = at;
        pair.right.endpoint.handle_timeout(at);
        pair.left.endpoint.handle_timeout(at);
        pair.drain();
    }
    assert!(pair.right.has(|event| matches!(event, Event::Phase2Failed { .. })));
    assert!(pair.left.installed.is_empty());
}

#[test]
fn every_message_of_a_finished_handshake_replayed_does_nothing() {
    let mut pair = Pair::established();
    pair.advance(Duration::from_secs(35));
    let status = pair.left.endpoint.status();
    let (left, right) = (pair.left.installed.clone(), pair.right.installed.clone());
    for transmit in pair.seen.clone() {
        let verdict = pair.deliver(&transmit);
        // A first message whose SA is proven is a new half-open attempt at most; all others are dropped.
        if verdict == Verdict::Accepted {
            panic!("{:?} was taken in again", transmit.path);
        }
        pair.drain();
        pair.wire.clear();
    }
    assert_eq!((pair.left.installed.clone(), pair.right.installed.clone()), (left, right));
    let after = pair.left.endpoint.status();
    assert_eq!(after.ike_sas.len(), status.ike_sas.len());
    assert_eq!(after.children, status.children);
}

#[test]
fn a_replayed_first_message_of_quick_mode_makes_no_sa_ever() {
    let mut pair = Pair::established();
    let quick_1 = pair.seen[6].clone();
    for wait in [0, 10, 40, 400] {
        pair.advance(Duration::from_secs(wait));
        let verdict = pair.deliver(&quick_1);
        let expected = if wait <= 10 { Verdict::Duplicate } else { Verdict::Ignored(DropReason::Replay) };
        // The exchange is kept 30 s; after that its message id is used up.
        let kept = if wait <= 10 { Verdict::Duplicate } else { expected };
        assert!(verdict == kept || verdict == Verdict::Ignored(DropReason::Unexpected), "{verdict:?}");
        pair.drain();
        pair.wire.clear();
        assert_eq!(pair.right.installed.len(), 2);
    }
}

#[test]
fn a_replayed_delete_of_an_older_pair_is_dropped() {
    let mut pair = Pair::established();
    let child = pair.left.endpoint.status().children[0].child;
    pair.command(Command::DeleteChild { child });
    let delete = pair.wire[0].clone();
    pair.settle();
    pair.initiate();
    pair.settle();
    assert_eq!(pair.right.installed.len(), 2);
    assert_eq!(pair.deliver(&delete), Verdict::Ignored(DropReason::Replay));
    assert_eq!(pair.right.installed.len(), 2);
}

#[test]
fn a_repeat_is_answered_a_bounded_number_of_times() {
    let mut pair = Pair::ordinary();
    pair.initiate();
    let first = pair.wire.pop_front().unwrap();
    let _ = pair.deliver(&first);
    pair.drain();
    let mut answers = pair.wire.drain(..).count();
    for _ in 0..1_000 {
        let _ = pair.deliver(&first);
        pair.drain();
        answers += pair.wire.drain(..).count();
    }
    assert!(answers <= 17, "{answers}");
}

#[test]
fn no_unproven_address_gets_more_than_three_times_what_it_sent() {
    let mut pair = Pair::ordinary();
    pair.initiate();
    let (mut sent, mut got) = (0, 0);
    // Everything up to message 5, each message many times.
    for _ in 0..3 {
        let Some(transmit) = pair.wire.pop_front() else { break };
        for _ in 0..50 {
            if pair.right.endpoint.status().ike_sas.first().is_some_and(|sa| sa.established.is_some()) {
                break;
            }
            sent += transmit.payload.len();
            let _ = pair.deliver(&transmit);
            let now = pair.now;
            let replies = pair.right.drain(now);
            got += replies.iter().map(|reply| reply.payload.len()).sum::<usize>();
            assert!(got <= 3 * sent);
            if let Some(reply) = replies.into_iter().next()
                && pair.wire.is_empty()
            {
                let _ = pair.left.endpoint.handle_datagram(now, reply.as_received());
                pair.wire.extend(pair.left.drain(now));
            }
        }
    }
}

#[test]
fn a_second_initiation_after_close_is_not_taken_for_a_replay() {
    let mut pair = Pair::established();
    pair.command(Command::CloseConnection { connection: SITE });
    pair.settle();
    pair.initiate();
    pair.settle();
    assert_eq!(pair.left.installed.len(), 2);
    pair.assert_mirrored();
}
