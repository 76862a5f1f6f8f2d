//! Loss, duplication, reordering: connections and sessions come up, or fail by their own limits.

mod common;

use common::*;
use core::time::Duration;
use drive::Instant;
use l2tpv3::config::PeerConfig;
use l2tpv3::digest::SharedSecret;
use l2tpv3::registry::StopResult;
use l2tpv3::wire::Carrier;
use l2tpv3::{Command, DownReason, Event, SessionDownReason};
use simnet::{Chance, Link, Loss};

const SEEDS: u64 = 100;

fn link(loss: u32) -> Link {
    Link {
        loss: if loss == 0 { Loss::None } else { Loss::Random(Chance::percent(loss)) },
        jitter: Duration::from_millis(15),
        duplicate: Chance::percent(10),
        reorder: Chance::percent(10),
        reorder_delay: Duration::from_millis(200),
        ..Link::with_latency(Duration::from_millis(20))
    }
}

fn secret(peer: PeerConfig) -> PeerConfig {
    PeerConfig { secrets: vec![SharedSecret::copied(b"secret")], ..peer }
}

/// Runs until both ends agree on ten sessions, or on none; returns when they came up.
fn attempt(loss: u32, seed: u64) -> Option<Instant> {
    let circuits = |peer: PeerConfig, circuit: fn(&str) -> _| PeerConfig {
        circuits: (0..10).map(|n| circuit(&n.to_string())).collect(),
        ..peer
    };
    let ours = circuits(secret(left(Carrier::Ip)), asked);
    let theirs = circuits(secret(right()), circuit);
    let mut pair = pair(ours, theirs, link(loss), seed);
    pair.net.keep_evidence(&format!("l2tp-loss-{loss}-{seed}"));
    pair.connect();
    let up = |pair: &simnet::Harness<Router>, node| pair.machine(node).unwrap().endpoint.data_plane().len() == 10;
    let (l, r) = (pair.left, pair.right);
    let deadline = Instant::from_secs(600);
    let done = |net: &simnet::Harness<Router>| {
        let established = |node| {
            let statuses = net.machine(node).unwrap().endpoint.session_statuses(net.now());
            statuses.iter().filter(|status| status.state == "established").count() == 10
        };
        let gone = |node| net.machine(node).unwrap().endpoint.connection_statuses(net.now()).is_empty();
        (up(net, l) && up(net, r) && established(l) && established(r))
            || (net.now() > Instant::from_secs(1) && gone(l) && gone(r))
    };
    assert!(pair.net.wait_for(deadline, done).unwrap(), "loss {loss} seed {seed}: neither up nor down");
    let came_up = up(&pair.net, l);
    if !came_up {
        // The only ways to fail are the limits.
        for event in pair.events(l) {
            match event {
                Event::ConnectionDown { reason, .. } => {
                    assert!(
                        matches!(reason, DownReason::Silent | DownReason::SetupTimeout | DownReason::Peer(_)),
                        "{reason:?}"
                    );
                }
                Event::SessionDown { reason, .. } => assert_eq!(reason, SessionDownReason::ConnectionDown),
                _ => {}
            }
        }
        return None;
    }
    let now = pair.net.now();
    // Nothing came twice or out of order: each end counts each session once.
    for node in [l, r] {
        let ups = pair.events(node).iter().filter(|event| matches!(event, Event::SessionUp { .. })).count();
        assert_eq!(ups, 10);
        let status = &pair.endpoint(node).connection_statuses(now)[0];
        assert_eq!(status.bad_digests, 0);
    }
    // And down again, to nothing, by acknowledgement or by the limits.
    let connection = pair.connection(l);
    pair.command(l, Command::Disconnect { connection, result: StopResult::CLEARED }).unwrap();
    pair.run(200);
    assert!(pair.endpoint(l).connection_statuses(pair.net.now()).is_empty());
    assert!(pair.endpoint(l).data_plane().is_empty());
    Some(now)
}

#[test]
fn connections_and_sessions_come_up_or_fail_by_their_limits_at_every_loss() {
    let mut table = String::new();
    for loss in [0, 10, 20, 30, 40] {
        let times: Vec<_> = (0..SEEDS).filter_map(|seed| attempt(loss, seed)).map(|at| at.as_micros() / 1000).collect();
        let mut sorted = times.clone();
        sorted.sort_unstable();
        table += &format!(
            "{loss:>2} % loss: {:>3} of {SEEDS} up, median {} ms, slowest {} ms\n",
            times.len(),
            sorted[sorted.len() / 2],
            sorted[sorted.len() - 1]
        );
    }
    assert_eq!(table, TABLE, "\n{table}");
}

/// The timings as they are: a change of the protocol engine shows here.
const TABLE: &str = " 0 % loss: 100 of 100 up, median 655 ms, slowest 1111 ms
10 % loss: 100 of 100 up, median 3568 ms, slowest 10881 ms
20 % loss: 100 of 100 up, median 7682 ms, slowest 34385 ms
30 % loss: 100 of 100 up, median 17242 ms, slowest 93182 ms
40 % loss:  98 of 100 up, median 37614 ms, slowest 120288 ms
";

#[test]
fn a_run_is_the_same_a_second_time() {
    let run = |seed| {
        let mut pair = pair(secret(left(Carrier::Udp)), secret(right()), link(30), seed);
        pair.net.start_record();
        pair.connect();
        pair.run(60);
        pair.net.record().to_vec()
    };
    for seed in 0..10 {
        assert!(run(seed) == run(seed), "seed {seed}");
    }
}

#[test]
fn messages_survive_a_link_that_does_everything_wrong_at_once() {
    for seed in 0..SEEDS / 4 {
        let mut pair = pair(secret(left(Carrier::Ip)), secret(right()), Link::hostile(Duration::from_millis(30)), seed);
        pair.connect();
        let (l, r) = (pair.left, pair.right);
        let up = pair.net.wait_for(Instant::from_secs(400), |net| {
            [l, r].iter().all(|node| net.machine(*node).unwrap().endpoint.counters().sessions_up == 1)
        });
        assert!(up.unwrap(), "seed {seed}");
    }
}
