//! The policy debugger: each of its settings tells what it says and nothing else, and telling changes nothing.

use crate::common::{LEFT, LEFT_HOST, RIGHT, RIGHT_HOST, Side, Sites, echo, left_behind_nat, right_for_anyone};
use core::net::Ipv4Addr;
use core::time::Duration;
use drive::{Datagram, Instant, Path, SecretBytes};
use esp_ah::suite::AesKey;
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, Suite};
use gateway::{
    Action, ChildId, ClearRefusal, Command, CommandError, Config, ConfigError, DebugSettings, DebugTarget, Event,
    Exemption, FilterOf, Gateway, Manual, ManualSa, Outcome, Trace, TraceLine, TracePlace, TraceStage, defaults,
};
use ikev1_core::proposal::Mode;
use proptest::prelude::*;
use simnet::{Entropy, Link, NodeId};
use spd::{AddressSelector, Direction, PortSet, ProtocolSelector, Selector};

const SECOND: Duration = Duration::from_secs(1);
const OFF: DebugSettings = DebugSettings::OFF;

fn filter(flags: &str) -> DebugSettings {
    DebugSettings { filter: flags.parse().unwrap(), ..OFF }
}

fn packet(flags: &str) -> DebugSettings {
    DebugSettings { packet: flags.parse().unwrap(), ..OFF }
}

fn trace(flags: &str) -> DebugSettings {
    DebugSettings { trace: flags.parse().unwrap(), ..OFF }
}

fn debug(sites: &mut Sites, node: NodeId, of: DebugTarget, settings: DebugSettings) {
    sites.net.command(node, Command::Debug { of, settings }).unwrap().unwrap();
}

fn net() -> DebugTarget {
    DebugTarget::Policy("net".into())
}

fn traces(sites: &Sites, node: NodeId) -> Vec<Trace> {
    let trace = |event: &Event| if let Event::Trace(trace) = event { Some((**trace).clone()) } else { None };
    sites.events(node).filter_map(trace).collect()
}

/// Returns what was told at a node since the last call, as it reads, without what packets hold.
fn told(sites: &mut Sites, node: NodeId) -> Vec<String> {
    let lines = traces(sites, node).iter().map(first_line).collect();
    sites.net.handler.events.clear();
    lines
}

fn first_line(trace: &Trace) -> String {
    trace.to_string().lines().next().unwrap().to_owned()
}

/// A tunnel that is up and quiet, with a policy before its own that names no packet of it.
fn quiet(seed: u64) -> Sites {
    let printer = Selector {
        remote: AddressSelector::address([10, 10, 2, 9].into()).into(),
        protocol: ProtocolSelector::Number(6),
        ..Selector::default()
    };
    let left = Side::left().config().exempt("printer", printer, Exemption::Discard).build().unwrap();
    let mut sites = Sites::new(seed, left, Side::right().plan());
    sites.net.handler.silent = true;
    sites.up();
    sites.net.handler.events.clear();
    sites
}

fn child(sites: &Sites, node: NodeId) -> ChildId {
    sites.machine(node).snapshot(sites.net.now()).ipsec[0].status.child
}

/// Sends one echo request from the left and lets it arrive.
fn ping(sites: &mut Sites) {
    assert_eq!(sites.ping(sites.left, 1), Outcome::Sent);
    sites.run(SECOND);
}

#[test]
fn rows_1350_and_1351_filter_lines_read_as_routers_print_them() {
    let mut sites = quiet(1);
    let (left, right) = (sites.left, sites.right);
    let number = child(&sites, left).0;
    debug(&mut sites, left, DebugTarget::AllPolicies, filter("all"));
    ping(&mut sites);
    let mut expected = vec!["IPSEC: filt: pass: laddr: pol printer".to_owned()];
    expected.push("IPSEC: filt: fail: raddr: pol printer".into());
    let all = ["laddr", "raddr", "proto", "lport", "rport", "icmp"];
    expected.extend(all.map(|selector| format!("IPSEC: filt: pass: {selector}: pol net")));
    expected.extend(all.map(|selector| format!("IPSEC: filt: pass: {selector}: sa {number}")));
    assert_eq!(told(&mut sites, left), expected);
    // What arrives is held against the pair it came through first.
    let number = child(&sites, right).0;
    debug(&mut sites, right, net(), filter("laddress"));
    ping(&mut sites);
    let expected = [format!("IPSEC: filt: pass: laddr: sa {number}"), "IPSEC: filt: pass: laddr: pol net".to_owned()];
    assert_eq!(told(&mut sites, right), expected);
}

#[test]
fn row_1348_selector_tells_of_the_selectors_that_are_named() {
    let mut sites = quiet(2);
    let left = sites.left;
    for (flag, word) in [
        ("laddress", Some("laddr")),
        ("raddress", Some("raddr")),
        ("lport", Some("lport")),
        ("rport", Some("rport")),
        ("transportprotocol", Some("proto")),
        // No packet shows a name.
        ("lname", None),
        ("rname", None),
    ] {
        debug(&mut sites, left, net(), filter(flag));
        ping(&mut sites);
        let lines = told(&mut sites, left);
        let of_policy = lines.iter().find(|line| line.ends_with("pol net"));
        assert_eq!(of_policy.cloned(), word.map(|word| format!("IPSEC: filt: pass: {word}: pol net")), "{flag}");
        assert!(lines.iter().all(|line| line.contains(word.unwrap_or("nothing")) || line.contains("icmp")), "{flag}");
    }
}

#[test]
fn a_filter_that_is_told_moves_the_counters_of_the_policy_filter() {
    let mut sites = quiet(17);
    let left = sites.left;
    let counted = |sites: &Sites| sites.machine(left).snapshot(sites.net.now()).filter_counters.remote_address_mask;
    ping(&mut sites);
    assert_eq!(counted(&sites), 0, "nobody walks the policies one by one");
    debug(&mut sites, left, net(), filter("lport"));
    ping(&mut sites);
    assert_eq!(counted(&sites), 1);
}

#[test]
fn row_1347_result_tells_of_what_passes_or_of_what_fails() {
    let mut sites = quiet(3);
    let left = sites.left;
    debug(&mut sites, left, DebugTarget::AllPolicies, filter("fail"));
    ping(&mut sites);
    assert_eq!(told(&mut sites, left), ["IPSEC: filt: fail: raddr: pol printer"]);
    debug(&mut sites, left, DebugTarget::AllPolicies, filter("pass"));
    ping(&mut sites);
    let lines = told(&mut sites, left);
    assert!(lines.len() == 13 && lines.iter().all(|line| line.contains(": pass: ")), "{lines:#?}");
    // What fails has no result before it fails.
    debug(&mut sites, left, DebugTarget::AllPolicies, OFF);
    debug(&mut sites, left, net(), packet("fail ipsec"));
    ping(&mut sites);
    let number = child(&sites, left).0;
    assert_eq!(told(&mut sites, left), [format!("IPSEC net: {number}: OUT: pre processing")]);
}

#[test]
fn row_1345_direction_tells_of_what_is_sent_or_of_what_is_received() {
    let mut sites = quiet(4);
    let left = sites.left;
    for (direction, word) in [("out", ": OUT: "), ("in", ": IN: ")] {
        debug(&mut sites, left, net(), DebugSettings { trace: direction.parse().unwrap(), ..packet(direction) });
        ping(&mut sites);
        assert_eq!(sites.ping(sites.right, 2), Outcome::Sent);
        sites.run(SECOND);
        let lines = told(&mut sites, left);
        assert!(!lines.is_empty() && lines.iter().all(|line| line.contains(word)), "{lines:#?}");
    }
}

#[test]
fn rows_1352_and_1349_packets_are_told_before_and_after_the_main_path_and_each_protocol() {
    let mut sites = quiet(5);
    let (left, right) = (sites.left, sites.right);
    debug(&mut sites, left, net(), packet("ipsec"));
    let number = child(&sites, left).0;
    ping(&mut sites);
    let line =
        |place: &str, number: u64, way: &str, stage: &str| format!("{place} net: {number}: {way}: {stage} processing");
    let main = [line("IPSEC", number, "OUT", "pre"), line("IPSEC", number, "OUT", "post")];
    assert_eq!(told(&mut sites, left), main);
    debug(&mut sites, left, net(), packet("protocol"));
    ping(&mut sites);
    assert_eq!(told(&mut sites, left), [line("ESP", number, "OUT", "pre"), line("ESP", number, "OUT", "post")]);
    let number = child(&sites, right).0;
    debug(&mut sites, right, net(), packet("all"));
    ping(&mut sites);
    let both = [
        line("IPSEC", number, "IN", "pre"),
        line("ESP", number, "IN", "pre"),
        line("ESP", number, "IN", "post"),
        line("IPSEC", number, "IN", "post"),
    ];
    assert_eq!(told(&mut sites, right), both);
}

#[test]
fn row_1346_display_shows_the_buffer_the_ip_header_and_the_data_cut_to_the_packet_debug_length() {
    let mut sites = quiet(6);
    let left = sites.left;
    let sent = echo(LEFT_HOST, RIGHT_HOST, 1);
    let shown = |sites: &mut Sites, settings: DebugSettings| {
        debug(sites, left, net(), settings);
        ping(sites);
        let all = traces(sites, left);
        sites.net.handler.events.clear();
        let packets = all.into_iter().map(|trace| match trace.line {
            TraceLine::Packet(packet) => packet,
            other => panic!("{other:?}"),
        });
        let [before, after] = packets.collect::<Vec<_>>().try_into().unwrap();
        assert_eq!((before.stage, after.stage), (TraceStage::Before, TraceStage::After));
        (before, after)
    };
    let (before, after) = shown(&mut sites, packet("ipsec data"));
    assert_eq!((before.data.as_slice(), before.buffer, before.ip_header), (&sent[..72], None, None));
    assert_eq!(after.data.len(), 72);
    assert!(!after.data.windows(8).any(|window| window == [0x61; 8]), "sealed");
    let (before, after) = shown(&mut sites, DebugSettings { packet_length: 20, ..packet("ipsec data") });
    assert_eq!((before.data.as_slice(), after.data.len()), (&sent[..20], 20));
    let (before, after) = shown(&mut sites, packet("ipsec bufferheader"));
    let (buffer, sealed) = (before.buffer.unwrap(), after.buffer.unwrap());
    assert_eq!((buffer.headroom, buffer.length, buffer.tailroom), (gateway::ROOM, 84, gateway::ROOM));
    assert!(sealed.length > 84 && before.data.is_empty() && before.ip_header.is_none());
    let (before, after) = shown(&mut sites, packet("ipsec ipheader"));
    assert_eq!(after.ip_header, None, "what is sealed has no header here");
    let text = before.to_string();
    let header = format!("\n  ip: {LEFT_HOST} > {RIGHT_HOST}, protocol 1, 84 octets, tos 0x00, ttl 64, id 1");
    assert!(text.ends_with(&header), "{text}");
}

#[test]
fn rows_1344_and_356_trace_tells_the_steps_of_a_packet_there_and_at_the_other_end() {
    let mut sites = quiet(7);
    let (left, right) = (sites.left, sites.right);
    let (here, there) = (child(&sites, left).0, child(&sites, right).0);
    for node in [left, right] {
        debug(&mut sites, node, net(), trace("all"));
    }
    assert_eq!(sites.ping(left, 1), Outcome::Sent);
    let spi = sites.machine(left).snapshot(sites.net.now()).ipsec[0].status.sas[0].outbound;
    let lines: Vec<_> = traces(&sites, left).iter().map(first_line).collect();
    let [looked_up, chosen, sealed, sent] = lines.try_into().unwrap();
    assert_eq!(looked_up, "IPSEC net: OUT: look-up: protect");
    assert_eq!(chosen, format!("IPSEC net: {here}: OUT: carries it"));
    assert_eq!(sealed, format!("ESP net: {here}: OUT: sealed with SPI {spi:#010x}, number 1"));
    assert!(sent.starts_with(&format!("IPSEC net: {here}: OUT: sent, ")), "{sent}");
    sites.run(SECOND);
    let lines = told(&mut sites, right);
    let expected = [
        format!("ESP net: {there}: IN: replay pass, ICV pass, opened with SPI {spi:#010x}, number 1"),
        "IPSEC net: IN: look-up: protect".to_owned(),
        format!("IPSEC net: {there}: IN: delivered, 84 octets"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn row_359_the_acquire_of_a_waiting_packet_is_told_with_its_fields() {
    let mut sites = Sites::plain(8);
    let left = sites.left;
    debug(&mut sites, left, net(), trace("all"));
    assert_eq!(sites.ping(left, 1), Outcome::Waits);
    let plan = Side::left().plan();
    let (connection, policy) = plan.child_named("net").unwrap();
    let offered = plan.ike().policy(connection, policy).unwrap().suites().len();
    let acquire = format!(
        "IPSEC net: OUT: acquire: initiatorAddress {LEFT}, responderAddress {RIGHT}, protId 3, #transforms {offered}, sas 1"
    );
    let expected = ["IPSEC net: OUT: look-up: protect".into(), "IPSEC net: OUT: queued, 1 wait".to_owned(), acquire];
    assert_eq!(told(&mut sites, left), expected);
    // Once the association is there, the packet takes the rest of its way.
    sites.run(5 * SECOND);
    let lines = told(&mut sites, left);
    assert!(lines.iter().any(|line| line.contains(": OUT: sent, ")), "{lines:#?}");
}

/// Returns what the left seals of an echo request, kept from arriving.
fn sealed(sites: &mut Sites) -> Vec<u8> {
    sites.net.world.set_link(sites.left, Link::cut());
    sites.net.world.start_capture();
    assert_eq!(sites.ping(sites.left, 1), Outcome::Sent);
    let sealed = sites.net.world.capture().unwrap().packets()[0].1.payload.to_vec();
    sites.net.world.set_link(sites.left, Link::with_latency(SECOND / 100));
    sealed
}

/// Gives the right a packet by hand, in place of the network.
fn deliver(sites: &mut Sites, octets: &[u8]) {
    let (path, payload) = (Path::ip(50, RIGHT.into(), LEFT.into()), octets.to_vec());
    let call = move |now, gateway: &mut Gateway| {
        let _ = gateway.handle_datagram(now, Datagram { path, payload: &payload });
    };
    sites.net.call(sites.right, call).unwrap();
}

#[test]
fn what_is_forged_or_replayed_is_told_with_its_reason_and_shown_as_it_arrived_only() {
    let mut sites = quiet(9);
    let right = sites.right;
    let whole = sealed(&mut sites);
    let mut forged = whole.clone();
    *forged.last_mut().unwrap() ^= 1;
    let number = child(&sites, right).0;
    let settings = DebugSettings { trace: "fail".parse().unwrap(), ..packet("ipsec data") };
    debug(&mut sites, right, net(), settings);
    deliver(&mut sites, &forged);
    let lines = told(&mut sites, right);
    let line = |stage: &str| format!("IPSEC net: {number}: IN: {stage}");
    assert_eq!(lines[..2], [line("pre processing"), line("post processing: failed")]);
    assert!(lines[2].starts_with(&line("dropped: ")) && lines[2].contains("ICV"), "{lines:#?}");
    assert_eq!(lines.len(), 3);
    deliver(&mut sites, &whole);
    assert_eq!(told(&mut sites, right), [line("pre processing"), line("post processing")]);
    deliver(&mut sites, &whole);
    for trace in traces(&sites, right) {
        if let TraceLine::Packet(packet) = trace.line {
            assert_eq!(packet.data.is_empty(), packet.stage == TraceStage::Failed);
        }
    }
    let lines = told(&mut sites, right);
    assert!(lines[2].contains("dropped: ") && lines[2].contains("replay"), "{lines:#?}");
    // An SPI that nobody has is nobody's.
    forged[..4].fill(0x5a);
    deliver(&mut sites, &forged);
    assert_eq!(told(&mut sites, right), [""; 0]);
}

/// A pair with manual keys: compressed, sealed by ESP, then by AH. One end receives what the other sends.
fn by_hand(local: Ipv4Addr, remote: Ipv4Addr, receives: u32, sends: u32) -> Config {
    let suite = Suite::new(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacSha1_96).unwrap();
    let layers = |spi: u32| {
        let ipcomp = ManualSa::Ipcomp { cpi: u16::try_from(spi).unwrap() };
        let esp = ManualSa::Esp { spi, suite, keymat: SecretBytes::copied(&[9; 36]) };
        let integrity = IntegrityAlgorithm::HmacSha1_96;
        [ipcomp, esp, ManualSa::Ah { spi: spi + 1, integrity, key: SecretBytes::copied(&[7; 20]) }]
    };
    let pair = Manual::new("by-hand", Mode::Transport, local.into(), remote.into());
    let pair = layers(sends).into_iter().fold(pair, Manual::sends);
    let pair = layers(receives).into_iter().fold(pair, Manual::receives);
    Config::new(ikev1_core::Config::new()).manual(pair)
}

#[test]
fn a_bundle_is_told_protocol_by_protocol_and_its_keys_are_in_no_line() {
    let plan = |config: Config| config.debug("by-hand", packet("protocol")).build().unwrap();
    let (left, right) = (by_hand(LEFT, RIGHT, 0x1000, 0x2000), by_hand(RIGHT, LEFT, 0x2000, 0x1000));
    let mut sites = Sites::new(10, plan(left), plan(right));
    sites.net.handler.silent = true;
    let (left, right) = (sites.left, sites.right);
    let mut long = echo(LEFT, RIGHT, 1);
    long.resize(300, 0x61);
    long[2..4].copy_from_slice(&300_u16.to_be_bytes());
    assert_eq!(sites.send(left, &long), Outcome::Sent);
    sites.run(SECOND);
    let places = |sites: &Sites, node: NodeId| -> Vec<_> {
        let of = |trace: Trace| match trace.line {
            TraceLine::Packet(packet) => (packet.place, packet.stage),
            other => panic!("{other:?}"),
        };
        traces(sites, node).into_iter().map(of).collect()
    };
    use TracePlace::{Ah, Esp, Ipcomp};
    use TraceStage::{After, Before};
    let inward = [(Ipcomp, Before), (Ipcomp, After), (Esp, Before), (Esp, After), (Ah, Before), (Ah, After)];
    assert_eq!(places(&sites, left), inward);
    let outward = [(Ah, Before), (Ah, After), (Esp, Before), (Esp, After), (Ipcomp, Before), (Ipcomp, After)];
    assert_eq!(places(&sites, right), outward);
    for trace in traces(&sites, left).iter().chain(&traces(&sites, right)) {
        let text = format!("{trace} {trace:?}");
        for key in [7, 9] {
            assert!(!text.contains(&format!("{key}, {key}, {key}, {key}")), "{text}");
            assert!(!text.contains(&format!("0{key} 0{key} 0{key} 0{key}")), "{text}");
        }
    }
    let shown = &sites.machine(left).snapshot(sites.net.now()).manual[0];
    assert_eq!((shown.child, shown.data.debug), (ChildId(1 << 63), packet("protocol")));
}

#[test]
fn rows_1113_to_1117_and_1162_to_1166_the_settings_of_policies_and_pairs_are_shown() {
    let mut sites = quiet(11);
    let left = sites.left;
    let shown = |sites: &Sites| {
        let snapshot = sites.machine(left).snapshot(sites.net.now());
        let policy = snapshot.policies.iter().find(|policy| policy.name == "net").unwrap().debug;
        (policy, snapshot.ipsec[0].data.clone().unwrap().debug)
    };
    let (policy, pair) = shown(&sites);
    assert_eq!((policy, pair), (OFF, OFF));
    assert_eq!((policy.device, policy.packet_length, policy.filter.to_string()), (16, 72, "00000000".to_owned()));
    let of_policy = DebugSettings { device: 2, packet_length: 100, ..DebugSettings::ALL };
    debug(&mut sites, left, net(), of_policy);
    assert_eq!(shown(&sites), (of_policy, of_policy), "the pair has none of its own");
    let of_pair = DebugSettings { device: 3, trace: "in".parse().unwrap(), ..OFF };
    let pair = child(&sites, left);
    debug(&mut sites, left, DebugTarget::Pair(pair), of_pair);
    assert_eq!(shown(&sites), (of_policy, of_pair));
    debug(&mut sites, left, DebugTarget::AllPolicies, OFF);
    assert_eq!(shown(&sites), (OFF, OFF));
}

#[test]
fn rows_438_1182_and_1270_the_debug_flag_of_isakmp_says_what_its_events_tell() {
    let flags = |trace: bool| {
        let plan = Config::new(ikev1_core::Config::new().trace(trace)).build().unwrap();
        Gateway::new(plan, Box::new(Entropy::new(1))).snapshot(Instant::ZERO).isakmp_debug_flags
    };
    assert_eq!((flags(false), flags(true)), (0b1010, 0b1011));
}

#[test]
fn a_pair_may_be_told_about_alone_or_left_out_and_its_settings_go_with_it() {
    let mut sites = quiet(12);
    let left = sites.left;
    let pair = child(&sites, left);
    debug(&mut sites, left, DebugTarget::Pair(pair), DebugSettings { device: 5, ..packet("out ipsec") });
    ping(&mut sites);
    assert!(traces(&sites, left).iter().all(|trace| trace.device == 5));
    let lines =
        [format!("IPSEC net: {}: OUT: pre processing", pair.0), format!("IPSEC net: {}: OUT: post processing", pair.0)];
    assert_eq!(told(&mut sites, left), lines);
    debug(&mut sites, left, net(), packet("out ipsec"));
    debug(&mut sites, left, DebugTarget::Pair(pair), OFF);
    ping(&mut sites);
    assert_eq!(told(&mut sites, left), [""; 0]);
    sites.net.command(left, Command::DeleteChild { child: pair }).unwrap().unwrap();
    sites.run(SECOND);
    let gone = sites.net.command(left, Command::Debug { of: DebugTarget::Pair(pair), settings: OFF }).unwrap();
    assert_eq!(gone, Err(CommandError::UnknownChild(pair)));
    assert_eq!(sites.ping(left, 1), Outcome::Waits);
    sites.run(5 * SECOND);
    let next = child(&sites, left).0;
    let lines = told(&mut sites, left);
    assert!(lines.contains(&format!("IPSEC net: {next}: OUT: post processing")), "{lines:#?}");
}

#[test]
fn a_name_that_is_no_policy_is_refused_and_changes_nothing() {
    let mut sites = quiet(13);
    let of = DebugTarget::Policy("nett".into());
    let refused = sites.net.command(sites.left, Command::Debug { of, settings: DebugSettings::ALL }).unwrap();
    assert_eq!(refused, Err(CommandError::UnknownPolicyName));
    ping(&mut sites);
    assert!(traces(&sites, sites.left).is_empty());
    let error = Side::left().config().debug("nett", DebugSettings::ALL).build().map(|_| ()).unwrap_err();
    assert_eq!(error, ConfigError::Debug("nett".into()));
}

#[test]
fn a_packet_that_is_dropped_on_its_way_is_told_with_its_reason() {
    let config = Side::left().config().path_mtu(600).debug("net", trace("fail"));
    let mut sites = Sites::new(16, config.build().unwrap(), Side::right().plan());
    sites.up();
    sites.net.handler.events.clear();
    let left = sites.left;
    let number = child(&sites, left).0;
    let mut long = echo(LEFT_HOST, RIGHT_HOST, 1);
    long.resize(600, 0);
    long[2..4].copy_from_slice(&600_u16.to_be_bytes());
    long[6] = 0x40;
    assert!(matches!(sites.send(left, &long), Outcome::Dropped(_)));
    let lines = told(&mut sites, left);
    assert!(lines[0].starts_with(&format!("IPSEC net: {number}: OUT: dropped: longer than the ")), "{lines:#?}");
    assert_eq!(lines.len(), 1);
}

#[test]
fn a_peer_that_sends_from_elsewhere_is_told() {
    let mut sites = Sites::behind_nat(18, left_behind_nat().plan(), right_for_anyone().plan());
    sites.net.handler.silent = true;
    sites.up();
    let right = sites.right;
    debug(&mut sites, right, net(), trace("in ipsec"));
    sites.net.handler.events.clear();
    let nat = sites.nat.unwrap();
    sites.net.world.nat_mut(nat).unwrap().rebind();
    ping(&mut sites);
    let number = child(&sites, right).0;
    let elsewhere = format!("IPSEC net: {number}: IN: the peer is elsewhere: {RIGHT}:4500 > ");
    let lines = told(&mut sites, right);
    assert!(lines.iter().any(|line| line.starts_with(&elsewhere)), "{lines:#?}");
    ping(&mut sites);
    assert!(!told(&mut sites, right).iter().any(|line| line.starts_with(&elsewhere)), "it is known now");
}

#[test]
fn a_clear_packet_that_may_not_come_in_is_told_with_its_policy() {
    let mut sites = quiet(14);
    let left = sites.left;
    debug(&mut sites, left, net(), DebugSettings { trace: "fail".parse().unwrap(), ..filter("raddress") });
    let packet = echo(RIGHT_HOST, LEFT_HOST, 1);
    let refused = sites.net.call(left, move |now, gateway| gateway.admit_clear(now, &packet)).unwrap();
    assert!(matches!(refused, Err(ClearRefusal::Policy(_))));
    let lines = told(&mut sites, left);
    assert_eq!(lines[0], "IPSEC: filt: pass: raddr: pol net");
    assert!(lines[1].starts_with("IPSEC net: IN: dropped: ") && lines[1].ends_with("was clear"), "{lines:#?}");
    assert_eq!(lines.len(), 2);
}

#[test]
fn a_flood_takes_no_more_memory_than_its_lines_may_and_what_is_lost_is_counted_and_told() {
    let mut gateway = Gateway::new(Side::left().plan(), Box::new(Entropy::new(1)));
    let settings = DebugSettings { device: 9, ..DebugSettings::ALL };
    gateway.handle_command(Instant::ZERO, Command::Debug { of: DebugTarget::AllPolicies, settings }).unwrap();
    let packet = echo(LEFT_HOST, RIGHT_HOST, 1);
    for _ in 0..defaults::MAX_TRACES {
        let _ = gateway.handle_packet(Instant::ZERO, &packet);
    }
    let dropped = gateway.snapshot(Instant::ZERO).counters.traces_dropped;
    assert!(dropped >= defaults::MAX_TRACES as u64, "{dropped}");
    let drain = |gateway: &mut Gateway| -> Vec<Trace> {
        let actions = core::iter::from_fn(|| gateway.poll_action());
        let trace = |action| if let Action::Event(Event::Trace(trace)) = action { Some(*trace) } else { None };
        actions.filter_map(trace).collect()
    };
    let told = drain(&mut gateway);
    assert_eq!(told.len(), defaults::MAX_TRACES + 1);
    assert_eq!(told.last(), Some(&Trace { device: 9, line: TraceLine::Lost(dropped) }));
    // Whoever reads again is told again.
    let _ = gateway.handle_packet(Instant::ZERO, &packet);
    let again = drain(&mut gateway);
    assert!(again.len() > 1 && !matches!(again.last().unwrap().line, TraceLine::Lost(_)));
}

#[test]
fn what_is_told_changes_nothing_that_is_sent_or_delivered() {
    let run = |settings: DebugSettings| {
        let plan = |side: Side| side.config().debug("net", settings).build().unwrap();
        let mut sites = Sites::new(15, plan(Side::left()), plan(Side::right()));
        sites.net.world.start_capture();
        for number in 0..5 {
            let _ = sites.ping(sites.left, number);
            sites.run(SECOND);
        }
        let told = traces(&sites, sites.left).len();
        let wire: Vec<_> =
            sites.net.world.capture().unwrap().packets().iter().map(|(_, sent)| sent.payload.to_vec()).collect();
        (wire, sites.net.handler.delivered.clone(), told)
    };
    let (silent, told) = (run(OFF), run(DebugSettings::ALL));
    assert_eq!((silent.2, told.2 > 50), (0, true));
    assert!(silent.0.len() > 10 && silent.0 == told.0);
    assert!(silent.1.len() >= 9 && silent.1 == told.1);
}

/// What the filter lines of one packet say: the policies asked, and the last that had nothing against it.
fn decided(lines: &[Trace]) -> (Vec<String>, Option<String>) {
    let mut asked: Vec<(String, bool)> = Vec::new();
    for trace in lines {
        let TraceLine::Filter(line) = &trace.line else { continue };
        let FilterOf::Policy(name) = &line.of else { continue };
        let passes = line.refusal.is_none();
        match asked.last_mut().filter(|(last, _)| last == name) {
            Some((_, all)) => *all &= passes,
            None => asked.push((name.clone(), passes)),
        }
    }
    let matched = asked.iter().filter(|(_, passes)| *passes).map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert!(matched.len() <= 1, "{asked:?}");
    (asked.into_iter().map(|(name, _)| name).collect(), matched.into_iter().next())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_filter_lines_come_to_the_decision_of_the_index(
        policies in proptest::collection::vec((0u8..3, 0u8..3, 0u16..3, any::<bool>()), 1..6),
        packets in proptest::collection::vec((1u8..3, 1u8..3, 1u16..3, any::<bool>()), 1..8),
    ) {
        let config = Config::new(ikev1_core::Config::new());
        let host = |last: u8| AddressSelector::address([10, 0, 0, last].into()).into();
        let config = policies.iter().enumerate().fold(config, |config, (index, (local, remote, port, bypass))| {
            let mut selector = Selector::default();
            if *local > 0 {
                selector.local = host(*local);
            }
            if *remote > 0 {
                selector.remote = host(*remote);
            }
            if *port > 0 {
                selector.protocol = ProtocolSelector::Number(17);
                selector.remote_port = PortSet::port(*port);
            }
            let action = if *bypass { Exemption::Bypass } else { Exemption::Discard };
            config.exempt(&format!("p{index}"), selector, action)
        });
        let mut gateway = Gateway::new(config.build().unwrap(), Box::new(Entropy::new(1)));
        let of = DebugTarget::AllPolicies;
        gateway.handle_command(Instant::ZERO, Command::Debug { of, settings: filter("all") }).unwrap();
        for (local, remote, port, inbound) in packets {
            let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, local, 10, 0, 0, remote];
            packet.extend_from_slice(&[0, 9, 0, port as u8, 0, 8, 0, 0]);
            let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
            if inbound {
                let _ = gateway.admit_clear(Instant::ZERO, &packet);
            } else {
                let _ = gateway.handle_packet(Instant::ZERO, &packet);
            }
            let actions = core::iter::from_fn(|| gateway.poll_action());
            let trace = |action| if let Action::Event(Event::Trace(trace)) = action { Some(*trace) } else { None };
            let lines: Vec<Trace> = actions.filter_map(trace).collect();
            prop_assert!(lines.iter().all(|trace| matches!(&trace.line, TraceLine::Filter(line) if line.direction == direction)));
            let (asked, matched) = decided(&lines);
            let decision = gateway.decision(direction, &packet).unwrap();
            let snapshot = gateway.snapshot(Instant::ZERO);
            let position = matched.as_ref().and_then(|name| snapshot.policies.iter().position(|policy| policy.name == *name));
            let names: Vec<_> = snapshot.policies.iter().map(|policy| policy.name.clone()).collect();
            prop_assert_eq!(&asked[..], &names[..position.map_or(names.len(), |position| position + 1)]);
            let says = position.map(|position| snapshot.policies[position].action);
            let expected = match decision {
                spd::Decision::Bypass { policy: Some(_) } => Some(spd::Action::Bypass),
                spd::Decision::Discard { policy: Some(_) } => Some(spd::Action::Discard),
                _ => None,
            };
            prop_assert_eq!(says, expected);
        }
    }
}
