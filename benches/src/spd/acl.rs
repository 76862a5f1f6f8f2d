//! Look-ups and changes against DPDK's rte_acl on the same lists and packets.

use super::rules::{Kind, Probe, Rule, probes, rules};
use super::{Bench, REALISTIC, TRACE, WAN};
use crate::measure::{Report, seconds};
use bench_anchors::{Acl, AclKey, AclMethod, AclRule};
use spd::{Decision, Direction};
use std::hint::black_box;

/// Packets of one timed step: as many on each side.
const STEP: usize = 256;

/// Measures each realistic list one packet a call and in rte_acl's best bursts, and a change against its build.
pub fn run(report: &mut Report) {
    for (name, kind) in REALISTIC {
        // At least so many times as fast: one at a time, then against the best burst.
        for (count, single, burst) in [(100, 2.0, 0.4), (1_000, 2.0, 0.4), (10_000, 3.0, 0.7), (100_000, 4.0, 0.9)] {
            let alone = format!("spd {name} {count} vs rte_acl one at a time");
            let bursts = format!("spd {name} {count} vs rte_acl best burst");
            let change = format!("spd {name} {count} change vs rte_acl build");
            if ![&alone, &bursts, &change].into_iter().any(|case| report.wants(case)) {
                continue;
            }
            let mut bench = Bench::new(kind, count, false);
            let (acl, build) = build(kind, count);
            let Some(acl) = acl else {
                println!("spd {name} {count}: rte_acl refuses the list");
                continue;
            };
            let side = Side { acl: &acl, at: 0, results: [0; STEP] };
            bench.agrees(&acl, AclMethod::Scalar);
            for (case, target, sizes) in [(alone, single, &[1][..]), (bursts, burst, &[32, STEP])] {
                let (size, method) = side.fastest(sizes);
                let mut ours = 0;
                let mut side = Side { acl: &acl, at: 0, results: [0; STEP] };
                let case = format!("{case} ({method:?} {size})");
                let theirs = || side.step(size, method);
                if size == 1 {
                    let ours = || {
                        for _ in 0..STEP {
                            let _ = black_box(bench.step(&mut ours));
                        }
                    };
                    report.compare(&case, Some(1.0 / target), ours, theirs);
                } else {
                    let mut decisions = [Decision::Discard { policy: None }; STEP];
                    let ours = || {
                        bench.batch(&mut ours, &mut decisions);
                        black_box(&decisions);
                    };
                    report.compare(&case, Some(1.0 / target), ours, theirs);
                }
            }
            if count == 100_000 {
                let ours = bench.change_nanoseconds();
                let anchor = build * 1e9;
                report.line(&change, ours, anchor, ours / anchor, Some(0.001));
            }
        }
    }
}

/// Builds the list and returns it with the seconds that took.
fn build(kind: Kind, count: usize) -> (Option<Acl>, f64) {
    let list = rules(kind, count);
    let trace: Vec<_> = probes(&list, TRACE).iter().map(key).collect();
    let list: Vec<_> = list.iter().map(rule).collect();
    seconds(|| Acl::new(&list, &trace))
}

/// One list of rte_acl on its way through the trace.
struct Side<'a> {
    acl: &'a Acl,
    at: usize,
    results: [u32; STEP],
}

impl Side<'_> {
    fn step(&mut self, burst: usize, method: AclMethod) -> bool {
        self.at = (self.at + STEP) % TRACE;
        self.acl.run(self.at, burst, method, &mut self.results)
    }

    /// Returns the fastest of its methods and of these bursts on this machine.
    fn fastest(&self, bursts: &[usize]) -> (usize, AclMethod) {
        let mut best = (f64::INFINITY, (1, AclMethod::Scalar));
        for &burst in bursts {
            for method in AclMethod::ALL {
                let mut side = Side { acl: self.acl, at: 0, results: [0; STEP] };
                if !side.step(burst, method) {
                    continue;
                }
                let (_, time) = seconds(|| {
                    for _ in 0..TRACE / STEP {
                        side.step(burst, method);
                    }
                });
                if time < best.0 {
                    best = (time, (burst, method));
                }
            }
        }
        best.1
    }
}

impl Bench {
    /// As many look-ups of the trace as there is room for, in one call.
    fn batch(&self, at: &mut usize, decisions: &mut [Decision]) {
        *at = (*at + decisions.len()) % TRACE;
        self.database.decide_batch(WAN, Direction::Outbound, &self.keys[*at..], decisions);
    }

    /// Checks that both find the same policies.
    fn agrees(&self, acl: &Acl, method: AclMethod) {
        for first in (0..TRACE).step_by(STEP).take(8) {
            let mut results = [0; STEP];
            assert!(acl.run(first, 1, method, &mut results));
            for (key, found) in self.keys[first..].iter().zip(results) {
                let ours = self.database.decide(super::WAN, spd::Direction::Outbound, key).policy();
                let theirs = usize::try_from(found).ok().and_then(|place| place.checked_sub(1));
                assert_eq!(ours, theirs.map(|place| self.ids[place]), "{key:?}");
            }
        }
    }
}

fn rule(rule: &Rule) -> AclRule {
    AclRule {
        source: rule.local,
        destination: rule.remote,
        source_port: rule.local_port.into(),
        destination_port: rule.remote_port.into(),
        source_length: rule.local_length,
        destination_length: rule.remote_length,
        protocol: rule.protocol.unwrap_or(0),
        protocol_mask: if rule.protocol.is_some() { u8::MAX } else { 0 },
    }
}

fn key(probe: &Probe) -> AclKey {
    AclKey {
        protocol: probe.protocol,
        pad: [0; 3],
        source: probe.local,
        destination: probe.remote,
        source_port: probe.local_port,
        destination_port: probe.remote_port,
    }
}
