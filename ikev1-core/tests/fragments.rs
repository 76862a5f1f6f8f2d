//! IKE fragmentation between two ends: every message in parts, in any order, lost and doubled, and what
//! an attacker can and cannot do with parts.

use crate::common::{A, B, Pair, SITE, left, plan, right};
use core::time::Duration;
use drive::{Instant, Path, Transmit, Verdict};
use ikev1_core::{
    Action, Command, Config, ConfigError, ConnectionConfig, DropReason, Endpoint, Event, FragmentFault, FragmentLimits,
    Fragmentation, OwnCounters, Plan,
};
use ipsec_wire::isakmp::payload::Fragment;
use ipsec_wire::isakmp::{ChainBuilder, Header};
use ipsec_wire::registry::PayloadType;
use simnet::{Chance, Harness, Link, World};

/// The smallest size: every message but the shortest goes in parts.
const SMALL: u16 = 128;

fn cutting(connection: ConnectionConfig) -> ConnectionConfig {
    connection.fragment_size(SMALL)
}

fn small() -> Pair {
    Pair::new(plan(cutting(left())), plan(cutting(right())))
}

fn is_part(transmit: &Transmit) -> bool {
    let payload = transmit.payload.strip_prefix(&[0; 4]).unwrap_or(&transmit.payload);
    Header::parse(payload).is_ok_and(|header| header.next_payload == PayloadType::FRAGMENT)
}

fn own(pair: &Pair) -> [OwnCounters; 2] {
    [*pair.left.endpoint.own_counters(), *pair.right.endpoint.own_counters()]
}

/// A handshake in parts, stopped when the parts of message `n` (from 0) are on the wire.
fn stopped_before(n: usize) -> (Pair, Vec<Transmit>) {
    let mut pair = small();
    pair.initiate();
    for _ in 0..n {
        for _ in 0..pair.wire.len() {
            pair.step();
        }
    }
    let parts = pair.wire.drain(..).collect();
    (pair, parts)
}

fn finishes(pair: &mut Pair) -> bool {
    pair.settle();
    pair.advance(Duration::from_secs(20));
    pair.left.established() && pair.right.established() && pair.left.endpoint.status().in_parts.0 == 0
}

#[test]
fn every_message_after_the_first_goes_in_parts_and_the_sas_are_mirrored() {
    let mut pair = small();
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
    pair.assert_mirrored();
    for transmit in &pair.seen {
        let longest = usize::from(SMALL) - 28;
        let first = Header::parse(&transmit.payload).is_ok_and(|header| header.responder_cookie.is_zero());
        assert!(first || transmit.payload.len() <= longest, "{} octets", transmit.payload.len());
    }
    let [ours, theirs] = own(&pair);
    assert_eq!((ours.fragmented_sent, theirs.fragmented_received), (theirs.fragmented_received, ours.fragmented_sent));
    assert!(ours.fragmented_sent >= 2 && theirs.fragmented_sent >= 2, "{ours:?} {theirs:?}");
    assert_eq!(ours.fragments_refused + theirs.fragments_refused, 0);
}

#[test]
fn messages_that_fit_and_peers_that_announce_nothing_get_whole_messages() {
    let whole = |left: ConnectionConfig, right: ConnectionConfig| {
        let mut pair = Pair::new(plan(left), plan(right));
        pair.initiate();
        pair.settle();
        assert!(pair.left.established() && pair.right.established());
        assert!(!pair.seen.iter().any(is_part));
    };
    whole(left(), right());
    whole(cutting(left()), cutting(right()).fragmentation(Fragmentation::Off));
    whole(cutting(left()).fragmentation(Fragmentation::Off), cutting(right()));
    whole(cutting(left()).fragmentation(Fragmentation::Accept), right());
    whole(left(), cutting(right()).fragmentation(Fragmentation::Accept));
}

#[test]
fn an_end_that_accepts_joins_and_sends_whole_messages() {
    let accepting = cutting(right()).fragmentation(Fragmentation::Accept);
    let mut pair = Pair::new(plan(cutting(left())), plan(accepting));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
    let [ours, theirs] = own(&pair);
    assert!(ours.fragmented_sent > 0 && theirs.fragmented_received == ours.fragmented_sent);
    assert_eq!(theirs.fragmented_sent, 0);
}

#[test]
fn force_cuts_for_a_peer_that_announced_nothing_and_joins_its_parts() {
    let forced = |connection| cutting(connection).fragmentation(Fragmentation::Force);
    let mut pair = Pair::new(plan(forced(left())), plan(right().fragmentation(Fragmentation::Off)));
    pair.initiate();
    pair.settle();
    // Who takes no parts is not reached by force; nothing breaks, and the limits end it.
    assert!(!pair.right.established());
    assert!(own(&pair)[1].fragments_refused > 0);
    let mut pair = Pair::new(plan(forced(left())), plan(forced(right())));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
}

#[test]
fn parts_of_each_message_come_in_any_order() {
    for n in 1..9 {
        let count = stopped_before(n).1.len();
        let mut orders: Vec<Vec<usize>> = vec![(0..count).rev().collect()];
        orders.extend((1..count).map(|shift| (0..count).map(|at| (at + shift) % count).collect()));
        orders.extend((0..count).map(|last| (0..count).filter(|at| *at != last).chain([last]).collect()));
        for order in orders {
            let (mut pair, parts) = stopped_before(n);
            pair.wire.extend(order.iter().map(|at| parts[*at].clone()));
            assert!(finishes(&mut pair), "message {} in order {order:?}", n + 1);
        }
    }
}

#[test]
fn every_part_twice_and_a_message_sent_whole_and_in_parts_change_nothing() {
    for n in 1..9 {
        let (mut pair, parts) = stopped_before(n);
        for part in &parts {
            pair.wire.push_back(part.clone());
            pair.wire.push_back(part.clone());
        }
        assert!(finishes(&mut pair), "message {} doubled", n + 1);
    }
}

#[test]
fn a_lost_part_is_filled_in_by_the_resend_which_bears_the_same_id() {
    let (mut pair, mut parts) = stopped_before(2);
    assert!(parts.len() >= 2);
    drop(parts.remove(0));
    pair.wire.extend(parts.clone());
    pair.settle();
    let repeats = own(&pair)[1].duplicates;
    pair.advance(Duration::from_secs(5));
    assert!(pair.left.established() && pair.right.established());
    // The resend's first part made the message whole; the others were there.
    assert_eq!(own(&pair)[1].duplicates - repeats, parts.len() as u64);
}

#[test]
fn parts_whose_rest_never_comes_are_forgotten_after_their_age() {
    let (mut pair, parts) = stopped_before(2);
    pair.wire.push_back(parts[0].clone());
    pair.settle();
    assert_eq!(pair.right.endpoint.status().in_parts.0, 1);
    let now = pair.now + FragmentLimits::default().age;
    assert!(pair.right.endpoint.poll_timeout().is_some_and(|at| at <= now));
    pair.right.endpoint.handle_timeout(now);
    assert_eq!(pair.right.endpoint.status().in_parts, (0, 0));
    assert_eq!(pair.right.endpoint.own_counters().fragmented_expired, 1);
    assert!(pair.right.endpoint.poll_timeout().is_none_or(|at| at > now));
}

/// A part as an attacker on the path makes it.
fn forged(like: &Transmit, id: u16, number: u8, flags: u8, data: &[u8]) -> Transmit {
    let mut body = vec![];
    body.extend_from_slice(&id.to_be_bytes());
    body.extend_from_slice(&[number, flags]);
    body.extend_from_slice(data);
    forged_body(like, &body)
}

fn forged_body(like: &Transmit, body: &[u8]) -> Transmit {
    let header = Header::parse(&like.payload).unwrap();
    let outer = Header::new(header.initiator_cookie, header.responder_cookie, header.exchange, header.message_id);
    let mut chain = ChainBuilder::new();
    chain.push_body(PayloadType::FRAGMENT, body);
    let chain = chain.finish().unwrap();
    let mut payload = Vec::new();
    outer.enclose_into(chain.first(), chain.octets(), &mut payload).unwrap();
    Transmit { path: like.path, payload: payload.into() }
}

fn id_of(part: &Transmit) -> u16 {
    u16::from_be_bytes([part.payload[32], part.payload[33]])
}

fn fault(verdict: &Verdict<DropReason>) -> Option<FragmentFault> {
    match verdict {
        Verdict::Ignored(DropReason::Fragment(fault)) => Some(*fault),
        _ => None,
    }
}

/// Delivers forgeries while message 3 is under way, and checks that the lawful one still passes.
fn survives(what: &str, forge: impl Fn(&[Transmit]) -> Vec<Transmit>) -> Vec<Verdict<DropReason>> {
    let (mut pair, parts) = stopped_before(2);
    let verdicts: Vec<_> = forge(&parts).iter().map(|forged| pair.deliver(forged)).collect();
    pair.drain();
    assert!(pair.wire.is_empty(), "{what} is answered");
    assert_eq!(pair.right.endpoint.status().ike_sas.len(), 1, "{what} costs an SA");
    pair.wire.extend(parts);
    pair.settle();
    // Where a set was spoilt, a resend makes it good.
    pair.advance(Duration::from_secs(15));
    let established = pair.left.established() && pair.right.established();
    pair.advance(FragmentLimits::default().age);
    assert!(established, "{what} stops the lawful message");
    assert_eq!(pair.right.endpoint.status().in_parts, (0, 0), "{what} stays");
    verdicts
}

/// Row 23, CVE-2016-1287: the length of a part below that of its header.
#[test]
fn row_23_a_part_shorter_than_its_header_is_malformed() {
    for length in 0..4 {
        let verdicts = survives("a short part", |parts| vec![forged_body(&parts[0], &[0, 1, 1, 1][..length])]);
        assert_eq!(fault(&verdicts[0]), Some(FragmentFault::Malformed), "{length}");
    }
    // A generic header that says less than its own four octets, or more than there is.
    for length in [0u16, 1, 3, 0xffff] {
        let verdicts = survives("a wrong length", |parts| {
            let mut payload = parts[0].payload.to_vec();
            payload[30..32].copy_from_slice(&length.to_be_bytes());
            vec![Transmit { path: parts[0].path, payload: payload.into() }]
        });
        assert_eq!(verdicts[0], Verdict::Ignored(DropReason::Malformed), "{length}");
    }
}

/// Row 24, CVE-2009-1574: a part with a header and no data.
#[test]
fn row_24_a_part_without_data_is_malformed() {
    let verdicts = survives("an empty part", |parts| vec![forged(&parts[0], id_of(&parts[0]), 1, 1, b"")]);
    assert_eq!(fault(&verdicts[0]), Some(FragmentFault::Malformed));
}

/// Row 25, CVE-2016-6381 and CVE-2013-6076: many messages that never become whole.
#[test]
fn row_25_parts_that_never_become_whole_are_bounded_and_unknown_cookies_keep_nothing() {
    let limits = FragmentLimits { total_octets: 80_000, ..FragmentLimits::default() };
    let config = Config::new().connection(cutting(right())).fragment_limits(limits);
    let mut pair = Pair::new(plan(cutting(left())), config.build().unwrap());
    pair.initiate();
    for _ in 0..2 {
        for _ in 0..pair.wire.len() {
            pair.step();
        }
    }
    let parts: Vec<Transmit> = pair.wire.drain(..).collect();
    for id in 0..2_000 {
        for number in 1..=3 {
            let verdict = pair.deliver(&forged(&parts[0], id, number, 0, &[7; 1_000]));
            assert_eq!(verdict, Verdict::Accepted);
        }
        let (messages, octets) = pair.right.endpoint.status().in_parts;
        assert!(messages <= limits.messages_per_sa && octets <= limits.total_octets);
    }
    let mut unknown = forged(&parts[0], 1, 1, 0, b"x").payload.to_vec();
    unknown[8] ^= 1;
    let unknown = Transmit { path: parts[0].path, payload: unknown.into() };
    assert_eq!(pair.deliver(&unknown), Verdict::Ignored(DropReason::UnknownCookies));
    let mut before_answer = unknown.payload.to_vec();
    before_answer[8..16].fill(0);
    let before_answer = Transmit { path: parts[0].path, payload: before_answer.into() };
    assert_eq!(pair.deliver(&before_answer), Verdict::Ignored(DropReason::UnknownCookies));
    pair.wire.extend(parts);
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
    // With the SA go the parts that were kept for it.
    pair.command(Command::CloseConnection { connection: SITE });
    pair.settle();
    assert_eq!(pair.right.endpoint.status().in_parts, (0, 0));
}

/// Rows 26 and 27, CVE-2016-10396 and the fix that broke lawful traffic.
#[test]
fn rows_26_and_27_a_tail_first_a_resent_tail_and_a_second_message_work() {
    let (mut pair, parts) = stopped_before(2);
    let mut tail_first = parts.clone();
    tail_first.rotate_right(1);
    let tail = tail_first[0].clone();
    pair.wire.push_back(tail.clone());
    pair.wire.extend(tail_first);
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
    // The tail once more, after its message is done.
    assert_eq!(pair.deliver(&tail), Verdict::Duplicate);
    pair.drain();
    assert!(pair.wire.is_empty());
    pair.advance(FragmentLimits::default().age);
    assert_eq!(pair.right.endpoint.status().in_parts, (0, 0));
}

/// Row 28: number 0, numbers above the limit and above the tail, two tails.
#[test]
fn row_28_odd_numbers_and_second_tails_are_refused() {
    let cases: [(u8, u8, FragmentFault); 3] =
        [(0, 0, FragmentFault::Malformed), (65, 0, FragmentFault::TooMany), (255, 1, FragmentFault::TooMany)];
    for (number, flags, wanted) in cases {
        let forge = |parts: &[Transmit]| vec![forged(&parts[0], id_of(&parts[0]), number, flags, b"x")];
        assert_eq!(fault(&survives("an odd number", forge)[0]), Some(wanted));
    }
    // A tail where the lawful message has none, and a part behind its tail.
    for (number, flags) in [(1, 1), (2, 1), (64, 0), (64, 1)] {
        survives("a forged tail", |parts| vec![forged(&parts[0], id_of(&parts[0]), number, flags, &[9; 60])]);
    }
    let two_tails = survives("two tails", |parts| {
        vec![forged(&parts[0], 77, 2, 1, b"x"), forged(&parts[0], 77, 3, 1, b"y"), forged(&parts[0], 77, 1, 1, b"z")]
    });
    assert_eq!(two_tails[0], Verdict::Accepted);
    assert_eq!(fault(&two_tails[1]), Some(FragmentFault::Conflict));
    // The set is gone, so this one stands alone: a whole message of one octet.
    assert_eq!(fault(&two_tails[2]), Some(FragmentFault::NotAMessage));
}

/// Row 29: parts of two messages with the same numbers, and one id with two contents.
#[test]
fn row_29_ids_are_kept_apart_and_the_first_content_of_one_wins() {
    survives("another id between", |parts| {
        (1..=2).map(|number| forged(&parts[0], id_of(&parts[0]) ^ 1, number, 0, b"another message")).collect()
    });
    let verdicts = survives("other content under the same number", |parts| {
        let first = parts[0].clone();
        vec![first, forged(&parts[0], id_of(&parts[0]), 1, 0, b"another part")]
    });
    assert_eq!(fault(&verdicts[1]), Some(FragmentFault::Differs));
}

#[test]
fn parts_of_another_sa_of_nothing_or_of_parts_are_no_message() {
    let header = |parts: &[Transmit]| Header::parse(&parts[0].payload).unwrap();
    let whole = |parts: &[Transmit], octets: &[u8]| vec![forged(&parts[0], 5, 1, 1, octets)];
    let nonsense = survives("nonsense", |parts| whole(parts, &[0xff; 40]));
    assert_eq!(fault(&nonsense[0]), Some(FragmentFault::NotAMessage));
    let nested = survives("a part in a part", |parts| whole(parts, &forged(&parts[0], 6, 1, 1, b"inner").payload));
    assert_eq!(fault(&nested[0]), Some(FragmentFault::NotAMessage));
    let other = survives("a message of other cookies", |parts| {
        let mut header = header(parts);
        header.initiator_cookie.0[0] ^= 1;
        let mut octets = Vec::new();
        let mut chain = ChainBuilder::new();
        chain.push_body(PayloadType::VENDOR_ID, b"x");
        let chain = chain.finish().unwrap();
        header.enclose_into(chain.first(), chain.octets(), &mut octets).unwrap();
        whole(parts, &octets)
    });
    assert_eq!(fault(&other[0]), Some(FragmentFault::NotAMessage));
    let two = survives("a part with a companion", |parts| {
        let header = header(parts);
        let mut chain = ChainBuilder::new();
        chain.push(&Fragment { id: 9, number: 1, flags: 1, data: &b"x"[..] });
        chain.push_body(PayloadType::VENDOR_ID, b"x");
        let chain = chain.finish().unwrap();
        let mut payload = Vec::new();
        header.enclose_into(chain.first(), chain.octets(), &mut payload).unwrap();
        vec![Transmit { path: parts[0].path, payload: payload.into() }]
    });
    assert_eq!(fault(&two[0]), Some(FragmentFault::Malformed));
}

#[test]
fn parts_from_elsewhere_are_refused_before_anything_is_kept() {
    let elsewhere = |path: Path| Path::new(path.local, ([203, 0, 113, 9], 500).into());
    let (mut pair, parts) = stopped_before(2);
    let received = parts[0].as_received();
    let now = pair.now;
    let forged = drive::Datagram { path: elsewhere(received.path), payload: received.payload };
    let verdict = pair.right.endpoint.handle_datagram(now, forged);
    assert_eq!(verdict, Verdict::Ignored(DropReason::WrongSource));
    assert_eq!(pair.right.endpoint.status().in_parts, (0, 0));
    pair.wire.extend(parts);
    assert!(finishes(&mut pair));
}

#[test]
fn a_forged_part_of_an_established_sa_destroys_nothing_and_phase_2_still_works() {
    let mut pair = small();
    pair.initiate();
    pair.settle();
    let like =
        pair.seen.iter().rfind(|transmit| transmit.path.remote.ip() == std::net::IpAddr::from(B)).unwrap().clone();
    for (number, flags) in [(1, 1), (1, 0), (2, 1), (3, 1), (64, 1)] {
        let _ = pair.deliver(&forged(&like, 1, number, flags, &[0xaa; 50]));
    }
    let child = pair.left.endpoint.status().children[0].child;
    pair.command(Command::RekeyChild { child });
    pair.settle();
    assert!(pair.left.has(|event| matches!(event, Event::SaRekeyed { .. })));
    assert_eq!(pair.right.endpoint.status().ike_sas.len(), 1);
}

#[test]
fn limits_out_of_range_are_refused_by_name() {
    let refusal = |limits: FragmentLimits| -> ConfigError {
        Config::new().connection(left()).fragment_limits(limits).build().unwrap_err()
    };
    let default = FragmentLimits::default();
    let wrong = [
        (FragmentLimits { parts: 1, ..default }, "fragment_limits.parts: 1 is not within 2 to 255"),
        (FragmentLimits { octets: 575, ..default }, "fragment_limits.octets: 575 is not within 576 to 65535"),
        (FragmentLimits { messages_per_sa: 0, ..default }, "fragment_limits.messages_per_sa: 0 is not within 1 to 16"),
        (
            FragmentLimits { total_octets: 10, ..default },
            "fragment_limits.total_octets: 10 is not within 69631 to 4294967296",
        ),
        (FragmentLimits { age: Duration::ZERO, ..default }, "fragment_limits.age: 0 is not within 1 to 600"),
    ];
    for (limits, text) in wrong {
        assert_eq!(refusal(limits).to_string(), text);
    }
    let text = Config::new().connection(left().fragment_size(127)).build().unwrap_err().to_string();
    assert_eq!(text, "site.fragment_size: 127 is not within 128 to 65535");
}

fn outcome(seed: u64, link: Link, plans: [Plan; 2]) -> bool {
    let mut world = World::new(seed);
    world.set_links(link);
    let nodes = [world.add_node("left", A), world.add_node("right", B)];
    let entropy = nodes.map(|node| world.entropy(node));
    let mut harness = Harness::new(world);
    for ((node, plan), entropy) in nodes.into_iter().zip(plans).zip(entropy) {
        harness.place(node, Endpoint::new(plan, Box::new(entropy)));
    }
    harness.command(nodes[0], Command::Initiate { connection: SITE }).unwrap().unwrap();
    let told = |harness: &Harness<Endpoint>, node, wanted: fn(&Event) -> bool| {
        harness.actions(node).iter().any(|(_, action)| matches!(action, Action::Event(event) if wanted(event)))
    };
    let up = |harness: &Harness<Endpoint>| {
        nodes.iter().all(|node| told(harness, *node, |event| matches!(event, Event::SaEstablished { .. })))
    };
    let failed = |harness: &Harness<Endpoint>| {
        let failed = |event: &Event| matches!(event, Event::Phase1Failed { .. } | Event::Phase2Failed { .. });
        nodes.iter().any(|node| told(harness, *node, failed))
    };
    assert!(harness.wait_for(Instant::from_secs(2_000), |harness| up(harness) || failed(harness)).unwrap());
    up(&harness)
}

#[test]
fn parts_that_are_lost_doubled_and_reordered_complete() {
    let plans = || [plan(cutting(left())), plan(cutting(right()))];
    let lossy = Link::lossy(Duration::from_millis(20), Chance::percent(15));
    let completed = (0..20).filter(|seed| outcome(*seed, lossy, plans())).count();
    assert!(completed >= 18, "{completed} of 20 at 15 % loss");
    let doubling = Link { duplicate: Chance::ALWAYS, jitter: Duration::from_millis(40), ..Link::default() };
    assert!((0..20).all(|seed| outcome(seed, doubling, plans())));
}
