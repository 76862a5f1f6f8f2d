//! Policy look-up and change against a vectorised linear scan, on generated lists.

#[cfg(feature = "anchors")]
mod acl;
mod memory;
mod rules;
mod scan;

use crate::measure::{Report, nanoseconds, seconds};
use rules::{Kind, Probe, Rule, mask, probes, rules};
use scan::Scan;
use spd::{
    Action, AddressSelector, Database, Decision, Direction, InterfaceId, PacketKey, Policy, PolicyId, PortSet,
    Position, ProtocolSelector, Selector, Upper, WhenEmpty,
};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const WAN: InterfaceId = InterfaceId(0);
/// Packets of a trace: many more than any branch predictor learns.
const TRACE: usize = 1 << 16;

/// How a trace is cut where it is gone through again and again: segments, and packets of each.
const SEGMENTS: (usize, usize) = (TRACE / SEGMENT, SEGMENT);
const SEGMENT: usize = 2048;

/// Packets of a burst.
const BURST: usize = 32;

/// The lists that real networks have.
const REALISTIC: [(&str, Kind); 4] =
    [("tunnels", Kind::Tunnels), ("acl", Kind::Acl), ("firewall", Kind::Firewall), ("mixture", Kind::Mixture)];

const HOSTILE: [(&str, Kind); 2] = [("hostile-masks", Kind::HostileMasks), ("hostile-ports", Kind::HostilePorts)];

/// Measures look-ups, growth, changes and memory.
pub fn run(report: &mut Report) {
    for v6 in [false, true] {
        for (name, kind) in REALISTIC {
            let name = if v6 { format!("spd ipv6 {name}") } else { format!("spd {name}") };
            for count in [100, 1_000, 10_000, 100_000] {
                let lookup = format!("{name} {count} vs scan");
                if report.wants(&lookup) {
                    Bench::new(kind, count, v6).lookup(report, &lookup, 1.0);
                }
            }
            // Targets of IPv6 are our own: those of IPv4.
            let growth_target = if kind == Kind::Tunnels { 4.0 } else { 7.0 };
            let (growth, octets) = (format!("{name} growth 100 to 100000"), format!("{name} octets a policy"));
            if report.wants(&growth) || report.wants(&octets) {
                let bench = Bench::new(kind, 100_000, v6);
                let small = Bench::new(kind, 100, v6);
                bench.growth(report, &growth, &small, growth_target);
                bench.growth_in_bursts(report, &format!("{growth} in bursts"), &small);
                bench.octets(report, &octets, 128.0);
            }
        }
    }
    for (name, kind) in HOSTILE {
        for count in [1_000, 10_000] {
            let (lookup, octets) =
                (format!("spd {name} {count} vs scan"), format!("spd {name} {count} octets a policy"));
            if report.wants(&lookup) || report.wants(&octets) {
                let bench = Bench::new(kind, count, false);
                bench.lookup(report, &lookup, 1.5);
                bench.octets(report, &octets, 512.0);
            }
        }
    }
    memory::run(report);
    #[cfg(feature = "anchors")]
    acl::run(report);
    for (name, kind) in REALISTIC {
        let change = format!("spd {name} change at 100000");
        if report.wants(&change) {
            let mut bench = Bench::new(kind, 100_000, false);
            let average = bench.change_nanoseconds();
            report.line(&format!("{change} vs 5 us"), average, 5_000.0, average / 5_000.0, Some(1.0));
            spread(report, &change, bench.changes(100_000));
        }
        let load = format!("spd {name} load of 100000");
        if report.wants(&load) {
            spread(report, &load, load_times(kind, 100_000));
        }
    }
}

/// A database of generated policies, the scan beside it, and a trace.
struct Bench {
    database: Database,
    ids: Vec<PolicyId>,
    scan: Scan,
    probes: Vec<Probe>,
    keys: Vec<PacketKey>,
    v6: bool,
}

impl Bench {
    fn new(kind: Kind, count: usize, v6: bool) -> Self {
        let rules = rules(kind, count);
        let mut database = Database::new();
        database.add_interface(WAN, WhenEmpty::Discard).expect("the interface is new");
        let ids = rules.iter().enumerate().map(|(index, rule)| {
            let policy = policy(rule, &format!("r{index}"), v6);
            database.insert(WAN, Position::Last, policy).expect("the policy is possible")
        });
        let ids: Vec<_> = ids.collect();
        let probes = probes(&rules, TRACE);
        let keys: Vec<_> = probes.iter().map(|probe| key(probe, v6)).collect();
        let scan = Scan::new(&rules, v6);
        for (probe, key) in probes.iter().zip(&keys).take(2_000_000 / count + 50) {
            let found = database.decide(WAN, Direction::Outbound, key).policy();
            assert_eq!(found, scan.find(probe).map(|index| ids[index]), "{probe:?}");
        }
        Self { database, ids, scan, probes, keys, v6 }
    }

    /// One look-up of the trace, wherever it stands.
    fn step(&self, at: &mut usize) -> Decision {
        *at = (*at + 1) % TRACE;
        self.database.decide(WAN, Direction::Outbound, &self.keys[*at])
    }

    fn lookup(&self, report: &mut Report, name: &str, target: f64) {
        let (mut ours, mut anchor) = (0, 0);
        let scan = || {
            anchor = (anchor + 1) % TRACE;
            self.scan.find(&self.probes[anchor])
        };
        report.compare(name, Some(target), || self.step(&mut ours), scan);
    }

    /// One packet a call, the shape in which `target` was measured first: the trace has 16 octets a packet, as its headers
    /// would, so that no list of ready keys takes the cache from the index.
    fn growth(&self, report: &mut Report, name: &str, small: &Self, target: f64) {
        let segment = |bench: &Self, segment: usize| {
            for probe in &bench.probes[segment * SEGMENT..][..SEGMENT] {
                let _ = black_box(bench.database.decide(WAN, Direction::Outbound, &key(probe, bench.v6)));
            }
        };
        report.compare_traces(name, Some(target), SEGMENTS, |at| segment(self, at), |at| segment(small, at));
    }

    fn growth_in_bursts(&self, report: &mut Report, name: &str, small: &Self) {
        let segment = |bench: &Self, segment: usize| {
            let mut decisions = [Decision::Discard { policy: None }; BURST];
            for probes in bench.probes[segment * SEGMENT..][..SEGMENT].as_chunks::<BURST>().0 {
                let keys = &probes.each_ref().map(|probe| key(probe, bench.v6));
                bench.database.decide_batch(WAN, Direction::Outbound, keys, &mut decisions);
                black_box(&decisions);
            }
        };
        report.compare_traces(name, None, SEGMENTS, |at| segment(self, at), |at| segment(small, at));
    }

    fn octets(&self, report: &mut Report, name: &str, target: f64) {
        let octets = self.database.index_octets(WAN) as f64 / self.ids.len() as f64;
        report.line(name, octets, 1.0, octets, Some(target));
    }

    fn change_nanoseconds(&mut self) -> f64 {
        let mut at = 0;
        nanoseconds(|| {
            at = (at + 7919) % self.ids.len();
            let position = self.database.position(self.ids[at]).expect("the policy is there");
            let policy = self.remove(at);
            self.insert(at, position, policy);
        }) / 2.0
    }

    /// The nanoseconds of each of so many removals and insertions.
    fn changes(&mut self, count: usize) -> Vec<f64> {
        let mut times = Vec::with_capacity(count);
        let mut at = 0;
        while times.len() < count {
            at = (at + 7919) % self.ids.len();
            let position = self.database.position(self.ids[at]).expect("the policy is there");
            let (policy, removal) = seconds(|| self.remove(at));
            let ((), insertion) = seconds(|| self.insert(at, position, policy));
            times.extend([removal * 1e9, insertion * 1e9]);
        }
        times
    }

    fn remove(&mut self, at: usize) -> Policy {
        let policy = self.database.policy(self.ids[at]).expect("the policy is there").clone();
        self.database.remove(self.ids[at]).expect("the policy is there");
        policy
    }

    fn insert(&mut self, at: usize, position: usize, policy: Policy) {
        self.ids[at] = self.database.insert(WAN, Position::At(position), policy).expect("the place is there");
    }
}

/// The nanoseconds of each insertion of a list from nothing.
fn load_times(kind: Kind, count: usize) -> Vec<f64> {
    let mut database = Database::new();
    database.add_interface(WAN, WhenEmpty::Discard).expect("the interface is new");
    let policies =
        rules(kind, count).into_iter().enumerate().map(|(index, rule)| policy(&rule, &format!("r{index}"), false));
    let policies: Vec<_> = policies.collect();
    let insert =
        |policy| seconds(|| database.insert(WAN, Position::Last, policy).expect("the policy is possible")).1 * 1e9;
    policies.into_iter().map(insert).collect()
}

/// Prints the slowest of many changes, beside their average.
fn spread(report: &mut Report, name: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let average = times.iter().sum::<f64>() / times.len() as f64;
    for (what, slow) in
        [("slowest", times[times.len() - 1]), ("slowest but 1 in 1000", times[times.len() * 999 / 1000])]
    {
        report.line(&format!("{name} {what}"), slow, average, slow / average, None);
    }
}

fn address(bits: u32, v6: bool) -> IpAddr {
    if v6 {
        // A site's addresses: the network in the upper half, the rest of the rule's bits below.
        let site = 0x2001_0db8_0000_0000 | u128::from(bits >> 8);
        Ipv6Addr::from_bits(site << 64 | u128::from(bits & 0xff)).into()
    } else {
        Ipv4Addr::from_bits(bits).into()
    }
}

/// The length of the prefix that a rule's prefix stands for.
fn prefix_length(length: u8, v6: bool) -> u8 {
    match (v6, length) {
        (false, length) => length,
        (true, 0) => 0,
        // The upper 24 bits end at /64, the lower 8 at /128.
        (true, 1..=24) => 40 + length,
        (true, 25..) => 96 + length,
    }
}

fn selector(bits: u32, length: u8, v6: bool) -> AddressSelector {
    AddressSelector::prefix(address(bits, v6), prefix_length(length, v6)).expect("the prefix is possible")
}

fn policy(rule: &Rule, name: &str, v6: bool) -> Policy {
    let ports = |(first, last): (u16, u16)| match (first, last) {
        (0, u16::MAX) => PortSet::any(),
        (first, last) => PortSet::range(first, last).expect("the range is possible"),
    };
    let selector = Selector {
        local: selector(rule.local & mask(rule.local_length), rule.local_length, v6).into(),
        remote: selector(rule.remote & mask(rule.remote_length), rule.remote_length, v6).into(),
        protocol: rule.protocol.map_or(ProtocolSelector::Any, ProtocolSelector::Number),
        local_port: ports(rule.local_port),
        remote_port: ports(rule.remote_port),
        ..Selector::default()
    };
    // Port ranges of no protocol in particular match those that have ports, as in the scan.
    Policy::new(name, selector, Action::Bypass).expect("the policy is possible")
}

fn key(probe: &Probe, v6: bool) -> PacketKey {
    PacketKey {
        local: address(probe.local, v6),
        remote: address(probe.remote, v6),
        protocol: Some(probe.protocol),
        upper: Upper::Ports { local: probe.local_port, remote: probe.remote_port },
    }
}
