//! The loop: determinism, bounds, handlers, time.

mod pinger;

use core::time::Duration;
use drive::{Instant, Path, Transmit, Verdict};
use pinger::{Action, Ask, Busy, GAP, Pinger, TRIES};
use simnet::{Chance, Entry, Harness, Link, NodeId, Orders, RunError, World};

const LEFT: [u8; 4] = [192, 0, 2, 1];
const RIGHT: [u8; 4] = [192, 0, 2, 2];

fn path() -> Path {
    Path::new((LEFT, 500).into(), (RIGHT, 500).into())
}

fn pair(seed: u64, link: Link) -> (Harness<Pinger>, NodeId, NodeId) {
    let mut world = World::new(seed);
    world.set_links(link);
    let mut harness = Harness::new(world);
    let left = harness.add("left", LEFT, Pinger::default());
    let right = harness.add("right", RIGHT, Pinger::default());
    (harness, left, right)
}

fn recorded(seed: u64) -> Vec<Entry> {
    let (mut harness, left, _) = pair(seed, Link::hostile(Duration::from_millis(20)));
    harness.start_record();
    for _ in 0..20 {
        harness.command(left, Ask(path())).unwrap().unwrap();
        harness.run_to_end().unwrap();
    }
    harness.record().to_vec()
}

#[test]
fn the_same_seed_gives_the_same_record_and_another_seed_another() {
    assert_eq!(recorded(1), recorded(1));
    assert_ne!(recorded(1), recorded(2));
}

#[test]
fn an_answer_takes_one_round_trip() {
    let (mut harness, left, _) = pair(1, Link::with_latency(Duration::from_millis(20)));
    harness.command(left, Ask(path())).unwrap().unwrap();
    harness.run_to_end().unwrap();
    assert_eq!(harness.take_actions(left), [(Instant::from_millis(40), Action::Answered(path()))]);
    assert_eq!(harness.now(), Instant::from_millis(40));
}

#[test]
fn retransmission_gets_through_a_lossy_link_and_gives_up_on_a_cut_one() {
    for seed in 0..20 {
        let (mut harness, left, _) = pair(seed, Link::lossy(Duration::from_millis(20), Chance::percent(20)));
        harness.command(left, Ask(path())).unwrap().unwrap();
        harness.run_to_end().unwrap();
        assert!(matches!(harness.actions(left), [(_, Action::Answered(_))]), "seed {seed}");
    }
    let (mut harness, left, _) = pair(1, Link::cut());
    harness.command(left, Ask(path())).unwrap().unwrap();
    harness.run_to_end().unwrap();
    assert_eq!(harness.actions(left), [(Instant::ZERO + GAP * TRIES, Action::GaveUp)]);
}

#[test]
fn a_run_until_stops_there_with_the_clock_at_the_deadline() {
    let (mut harness, left, _) = pair(1, Link::cut());
    harness.command(left, Ask(path())).unwrap().unwrap();
    harness.run_until(Instant::from_millis(250)).unwrap();
    assert_eq!(harness.now(), Instant::from_millis(250));
    assert_eq!(harness.world.counters().sent, 3);
    harness.run_for(Duration::from_millis(50)).unwrap();
    assert_eq!(harness.world.counters().sent, 4);
}

#[test]
fn waiting_stops_at_the_condition_or_says_that_it_never_held() {
    let (mut harness, left, _) = pair(1, Link::with_latency(Duration::from_millis(20)));
    harness.command(left, Ask(path())).unwrap().unwrap();
    let answered = |harness: &Harness<Pinger>| !harness.actions(left).is_empty();
    assert_eq!(harness.wait_for(Instant::from_millis(30), answered), Ok(false));
    assert_eq!(harness.wait_for(Instant::from_millis(90), answered), Ok(true));
    assert_eq!(harness.now(), Instant::from_millis(40));
}

#[test]
fn a_run_without_end_is_given_up_with_its_count_and_seed() {
    let (mut harness, left, _) = pair(77, Link::cut());
    harness.set_step_limit(5);
    harness.command(left, Ask(path())).unwrap().unwrap();
    let error = harness.run_to_end().unwrap_err();
    assert_eq!(error, RunError::StepLimit { seed: 77, steps: 5, at: Instant::from_millis(500) });
    assert_eq!(error.to_string(), "seed 77: the run was still going after 5 steps, at 0.500000");
}

#[test]
fn a_machine_that_wants_the_same_time_again_is_named() {
    let (mut harness, left, _) = pair(1, Link::cut());
    harness.command(left, Ask(path())).unwrap().unwrap();
    harness.call(left, |_, machine| machine.spins = true).unwrap();
    let Err(RunError::TimerNotLater { node, reason, .. }) = harness.run_to_end() else { panic!("it spins") };
    assert_eq!((node.as_str(), reason), ("left", "retransmit"));
}

#[test]
fn a_handler_can_answer_with_commands_and_hears_of_refusals() {
    let mut world = World::new(1);
    world.set_links(Link::with_latency(Duration::from_millis(5)));
    let asks = 3;
    let mut answers = 0;
    let handler = |_: Instant, node: NodeId, action: Action, orders: &mut Orders<Pinger>| {
        assert!(matches!(action, Action::Answered(_)));
        answers += 1;
        if answers < asks {
            orders.command(node, Ask(path()));
            orders.command(node, Ask(path()));
        }
    };
    let mut harness = Harness::with_handler(world, handler);
    let left = harness.add("left", LEFT, Pinger::default());
    harness.add("right", RIGHT, Pinger::default());
    harness.command(left, Ask(path())).unwrap().unwrap();
    harness.run_to_end().unwrap();
    assert_eq!(harness.now(), Instant::from_millis(30));
    assert_eq!(harness.refusals().len(), 2);
    assert_eq!(harness.refusals()[0].2, Busy);
    drop(harness);
    assert_eq!(answers, asks);
}

#[test]
fn a_failing_test_leaves_its_capture_named_for_the_seed() {
    let name = format!("simnet-evidence-{}", std::process::id());
    let folder = std::env::var_os("SIMNET_EVIDENCE").map_or_else(std::env::temp_dir, std::path::PathBuf::from);
    let path = folder.join(format!("{name}-seed-31.pcap"));
    let failing = std::panic::catch_unwind(|| {
        let (mut harness, left, _) = pair(31, Link::default());
        harness.keep_evidence(&name);
        harness.command(left, Ask(self::path())).unwrap().unwrap();
        harness.run_to_end().unwrap();
        assert!(harness.actions(left).is_empty(), "it is not");
    });
    assert!(failing.is_err());
    let file = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut reader = pcap_file::pcap::PcapReader::new(&file[..]).unwrap();
    assert_eq!(&reader.next_packet().unwrap().unwrap().data[28..], b"ask");
}

/// Notes the path and the length of everything that passes.
#[derive(Default)]
struct Observer(Vec<(NodeId, &'static str, usize)>);

impl simnet::Handler<Pinger> for Observer {
    fn on_action(&mut self, _: Instant, node: NodeId, _: Action, _: &mut Orders<Pinger>) {
        self.0.push((node, "action", 0));
    }

    fn on_sent(&mut self, _: Instant, node: NodeId, packet: &Transmit) {
        self.0.push((node, "sent", packet.payload.len()));
    }

    fn on_received(&mut self, _: Instant, node: NodeId, packet: &Transmit, verdict: &Verdict<pinger::NotAsked>) {
        assert_eq!(*verdict, Verdict::Accepted);
        self.0.push((node, "received", packet.payload.len()));
    }
}

#[test]
fn a_handler_sees_packets_go_and_come_in_their_order() {
    let mut harness = Harness::with_handler(World::new(1), Observer::default());
    let left = harness.add("left", LEFT, Pinger::default());
    let right = harness.add("right", RIGHT, Pinger::default());
    harness.command(left, Ask(path())).unwrap().unwrap();
    harness.run_to_end().unwrap();
    let seen =
        [(left, "sent", 3), (right, "received", 3), (right, "sent", 6), (left, "received", 6), (left, "action", 0)];
    assert_eq!(harness.handler.0, seen);
}

#[test]
fn a_node_can_be_replaced_as_when_a_peer_reboots() {
    let (mut harness, left, right) = pair(1, Link::with_latency(Duration::from_millis(5)));
    harness.command(left, Ask(path())).unwrap().unwrap();
    assert!(harness.place(left, Pinger::default()).is_some());
    harness.run_to_end().unwrap();
    assert!(harness.actions(left).is_empty(), "the new machine asked nobody");
    assert!(harness.actions(right).is_empty());
}
