//! Heartbeats, in the format of our own: who sends, who listens, and what a silent peer costs.

use crate::common::{End, Pair, SITE, left, plan, right};
use crate::scripted::{Scripted, chain};
use core::time::Duration;
use drive::{Transmit, Verdict};
use ikev1_core::{Command, Config, ConnectionConfig, DpdMode, Event, HeartbeatMode, RemoveReason};
use ipsec_wire::isakmp::payload::Notification;
use ipsec_wire::isakmp::{Chain, Header};
use ipsec_wire::registry::{Doi, ExchangeType, NotifyType, ProtocolId};

/// No other message may come in between.
fn quiet(connection: ConnectionConfig, mode: HeartbeatMode) -> ConnectionConfig {
    connection.dpd(DpdMode::Off).heartbeats(mode)
}

fn up(ours: HeartbeatMode, theirs: HeartbeatMode) -> Pair {
    let mut pair = Pair::new(plan(quiet(left(), ours)), plan(quiet(right(), theirs)));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
    pair
}

fn numbers(end: &End) -> (u32, u32) {
    let status = end.endpoint.status();
    (status.ike_sas[0].heartbeat_next_tx, status.ike_sas[0].heartbeat_last_rx)
}

fn is_dead(end: &End) -> bool {
    end.has(|event| matches!(event, Event::PeerDead { .. }))
}

#[test]
fn each_end_that_sends_does_so_every_20_seconds_and_the_other_counts() {
    use HeartbeatMode::{Both, Off, Receive, Send};
    for (ours, theirs, left, right) in [
        (Off, Off, (1, 0), (1, 0)),
        (Send, Receive, (6, 0), (1, 5)),
        (Receive, Send, (1, 5), (6, 0)),
        (Both, Both, (6, 5), (6, 5)),
        // Nobody listens, which costs nothing.
        (Send, Off, (6, 0), (1, 0)),
        // Nobody sends: a peer that was never heard is not held for dead.
        (Receive, Off, (1, 0), (1, 0)),
        (Receive, Receive, (1, 0), (1, 0)),
    ] {
        let mut pair = up(ours, theirs);
        pair.advance(Duration::from_secs(110));
        assert_eq!((numbers(&pair.left), numbers(&pair.right)), (left, right), "{ours:?} {theirs:?}");
        assert!(!is_dead(&pair.left) && !is_dead(&pair.right), "{ours:?} {theirs:?}");
        assert_eq!(pair.left.endpoint.status().ike_sas[0].heartbeats, ours);
    }
}

/// Lets time pass for one end, whose peer is not there.
fn alone(pair: &mut Pair, by: Duration) -> Vec<Transmit> {
    let until = pair.now + by;
    let mut sent = Vec::new();
    while let Some(next) = pair.left.endpoint.poll_timeout().filter(|next| *next <= until) {
        pair.left.endpoint.handle_timeout(next);
        sent.extend(pair.left.drain(next));
        pair.now = next;
        if is_dead(&pair.left) {
            return sent;
        }
    }
    pair.now = until;
    sent
}

#[test]
fn three_missed_in_a_row_end_everything_that_is_shared_with_the_peer() {
    let mut pair = up(HeartbeatMode::Receive, HeartbeatMode::Send);
    pair.advance(Duration::from_secs(45));
    assert_eq!(numbers(&pair.left), (1, 2));
    let (heard, start) = (40, pair.now);
    alone(&mut pair, Duration::from_secs(300));
    assert!(is_dead(&pair.left));
    // The third would have come at 60 s after the last, and may be half a period late.
    assert_eq!((pair.now - start).as_secs() + 45 - heard, 70);
    assert!(pair.left.has(|event| matches!(event, Event::HeartbeatsMissed { missed: 3, .. })));
    assert!(pair.left.installed.is_empty() && pair.left.endpoint.status().ike_sas.is_empty());
    assert!(pair.left.removed.iter().all(|removed| removed.reason == RemoveReason::PeerDead));
    assert_eq!(pair.left.endpoint.poll_timeout(), None);
}

#[test]
fn two_lost_in_a_row_are_no_harm() {
    let mut pair = up(HeartbeatMode::Receive, HeartbeatMode::Send);
    for round in 0..12 {
        let until = pair.now + Duration::from_secs(20);
        while let Some(next) = [&pair.left, &pair.right]
            .into_iter()
            .filter_map(|end| end.endpoint.poll_timeout())
            .min()
            .filter(|next| *next <= until)
        {
            pair.now = next;
            pair.left.endpoint.handle_timeout(next);
            pair.right.endpoint.handle_timeout(next);
            pair.drain();
            if round % 3 != 0 {
                pair.wire.clear();
            }
            pair.settle();
        }
        pair.now = until;
    }
    assert!(!is_dead(&pair.left));
    assert_eq!(pair.left.endpoint.own_counters().heartbeats_received, 4);
}

#[test]
fn after_a_renewal_the_new_isakmp_sa_beats_and_listens() {
    let short = Duration::from_secs(100);
    let config = |connection: ConnectionConfig| quiet(connection, HeartbeatMode::Both).lifetime(short);
    let mut pair = Pair::new(plan(config(left())), plan(config(right())));
    pair.initiate();
    pair.settle();
    pair.advance(Duration::from_secs(90));
    let adopted = |event: &Event| matches!(event, Event::SasAdopted { .. });
    assert!(pair.left.has(adopted) && pair.right.has(adopted));
    // The peer was heard under the old SA, and dies before it is heard under the new one.
    let start = pair.now;
    alone(&mut pair, Duration::from_secs(200));
    assert!(is_dead(&pair.left) && (pair.now - start).as_secs() <= 70);
}

#[test]
fn closing_leaves_no_timer_behind() {
    let mut pair = up(HeartbeatMode::Both, HeartbeatMode::Both);
    pair.advance(Duration::from_secs(50));
    pair.command(Command::CloseConnection { connection: SITE });
    pair.settle();
    pair.advance(Duration::from_secs(60));
    for end in [&pair.left, &pair.right] {
        assert_eq!(end.endpoint.poll_timeout(), None);
    }
}

fn beat(peer: &Scripted, notify: u16, spi: Vec<u8>, data: &[u8]) -> Chain {
    let _ = peer;
    chain(|chain| {
        chain.push(&Notification {
            doi: Doi::IPSEC,
            protocol: ProtocolId::ISAKMP,
            notify_type: NotifyType(notify),
            spi,
            data: data.to_vec(),
        });
    })
}

fn cookies(peer: &Scripted) -> Vec<u8> {
    [peer.cookies[0].0, peer.cookies[1].0].concat()
}

/// A replay, or any number that is not higher than the last, is no sign of life; what is no heartbeat is a
/// notification like any other.
#[test]
fn only_a_new_number_of_the_right_form_counts() {
    let mut peer = Scripted::up(plan(quiet(right(), HeartbeatMode::Receive)));
    let own = |peer: &Scripted| {
        let own = peer.end.endpoint.own_counters();
        (own.heartbeats_received, own.heartbeats_stale)
    };
    let said = |peer: &mut Scripted, notify: u16, spi: Vec<u8>, data: &[u8]| {
        let message = beat(peer, notify, spi, data);
        assert_eq!(peer.inform(&message), Verdict::Accepted);
    };
    let number = ikev1_core::defaults::HEARTBEAT_NOTIFY;
    let spi = cookies(&peer);
    for (value, counts) in [(5_u32, (1, 0)), (5, (1, 1)), (4, (1, 2)), (0, (1, 3)), (6, (2, 3)), (u32::MAX, (3, 3))] {
        said(&mut peer, number, spi.clone(), &value.to_be_bytes());
        assert_eq!(own(&peer), counts, "{value}");
    }
    let status = peer.end.endpoint.status();
    assert_eq!(status.ike_sas[0].heartbeat_last_rx, u32::MAX);
    for (notify, spi, data) in [
        (number, spi.clone(), &[0, 0, 0][..]),
        (number, spi.clone(), &[0; 5]),
        (number, Vec::new(), &[0, 0, 0, 9]),
        (number, vec![0; 16], &[0, 0, 0, 9]),
        (number + 1, spi, &[0, 0, 0, 9]),
    ] {
        let before = peer.end.count(|event| matches!(event, Event::NotifyReceived { .. }));
        said(&mut peer, notify, spi, data);
        assert_eq!(own(&peer), (3, 3));
        assert_eq!(peer.end.count(|event| matches!(event, Event::NotifyReceived { .. })), before + 1);
    }
}

#[test]
fn an_end_that_has_them_off_takes_one_for_any_notification() {
    let mut peer = Scripted::up(plan(quiet(right(), HeartbeatMode::Off)));
    let message = beat(&peer, ikev1_core::defaults::HEARTBEAT_NOTIFY, cookies(&peer), &[0, 0, 0, 1]);
    assert_eq!(peer.inform(&message), Verdict::Accepted);
    assert_eq!(peer.end.endpoint.own_counters().heartbeats_received, 0);
    assert_eq!(peer.end.count(|event| matches!(event, Event::NotifyReceived { .. })), 1);
}

#[test]
fn number_period_and_limit_are_settings() {
    let config = |connection: ConnectionConfig, mode| {
        let period = Duration::from_secs(3);
        quiet(connection, mode).heartbeat_period(period).heartbeats_missed(5).heartbeat_notify(40_000)
    };
    let ours = plan(config(left(), HeartbeatMode::Receive));
    let mut pair = Pair::new(ours, plan(config(right(), HeartbeatMode::Send)));
    pair.initiate();
    pair.settle();
    pair.advance(Duration::from_secs(10));
    assert_eq!(numbers(&pair.left), (1, 3));
    let beats = pair
        .seen
        .iter()
        .filter(|transmit| Header::parse(&transmit.payload).unwrap().exchange == ExchangeType::INFORMATIONAL);
    assert_eq!(beats.count(), 3);
    let start = pair.now;
    alone(&mut pair, Duration::from_secs(60));
    assert!(is_dead(&pair.left));
    // Five periods and a half after the last, which was a second ago.
    assert_eq!((pair.now - start).as_millis(), 15_500);
    let refusal =
        |connection: ConnectionConfig| Config::new().connection(connection).build().map(drop).unwrap_err().to_string();
    assert_eq!(refusal(left().heartbeat_notify(16_384)), "site.heartbeat_notify: 16384 is not within 32768 to 40959");
    assert_eq!(
        refusal(left().heartbeats(HeartbeatMode::Send).heartbeat_notify(36_136)),
        "site.heartbeat_notify: that number is one of dead peer detection"
    );
    assert_eq!(refusal(left().heartbeat_period(Duration::ZERO)), "site.heartbeat_period: 0 is not within 1 to 3600");
}
