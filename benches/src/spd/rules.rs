//! Lists of rules and packets as networks have them, and as nobody should: own generators, after ClassBench in
//! spirit (skewed address trees, mixes of prefix lengths, the more specific first, a final rule for all).

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// The kinds of list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Permits for key exchange and services in front, then tunnels between /24s in random order.
    Tunnels,
    /// Server access lists: the destination is specific, the source mixed.
    Acl,
    /// Firewalls: many wildcards, port ranges on both sides.
    Firewall,
    /// A mixture.
    Mixture,
    /// Hostile: every pair of masks, nested random port ranges, few addresses.
    HostileMasks,
    /// Hostile: no addresses at all, narrow random port ranges on both sides.
    HostilePorts,
}

/// A rule; each pair is first and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub local: u32,
    pub local_length: u8,
    pub remote: u32,
    pub remote_length: u8,
    pub local_port: (u16, u16),
    pub remote_port: (u16, u16),
    pub protocol: Option<u8>,
}

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    pub local: u32,
    pub remote: u32,
    pub local_port: u16,
    pub remote_port: u16,
    pub protocol: u8,
}

const ALL: (u16, u16) = (0, u16::MAX);
const WELL_KNOWN: [u16; 14] = [22, 25, 53, 80, 110, 123, 143, 161, 389, 443, 1433, 1521, 3306, 8080];

const ANY: Rule =
    Rule { local: 0, local_length: 0, remote: 0, remote_length: 0, local_port: ALL, remote_port: ALL, protocol: None };

pub fn mask(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(n)) >> 32) as u32
    }

    /// A number below `n`, the lower the likelier.
    fn skewed(&mut self, n: u32) -> u32 {
        let part = f64::from(self.0.next_u32()) / 4_294_967_296.0;
        (part * part * f64::from(n)) as u32
    }

    fn pick<T: Copy>(&mut self, weights: &[(u32, T)]) -> T {
        let mut at = self.below(weights.iter().map(|(weight, _)| weight).sum());
        for (weight, value) in weights {
            if at < *weight {
                return *value;
            }
            at -= weight;
        }
        weights[0].1
    }

    /// Few networks, some subnets of each, hosts in each.
    fn address(&mut self, networks: u32, base: u32) -> u32 {
        let network = self.skewed(networks).wrapping_mul(2_654_435_761).wrapping_add(base) & 0xffff_0000;
        network | self.skewed(256) << 8 | self.below(256)
    }

    fn service(&mut self) -> u16 {
        if self.below(4) > 0 { WELL_KNOWN[self.below(14) as usize] } else { self.below(20_000) as u16 }
    }

    fn exact(&mut self) -> (u16, u16) {
        let port = self.service();
        (port, port)
    }

    fn short_range(&mut self, length: u32) -> (u16, u16) {
        let port = self.service();
        (port, port.saturating_add(1 + self.below(length) as u16))
    }

    fn nested_range(&mut self) -> (u16, u16) {
        let (a, b) = (self.below(65_536) as u16, self.below(65_536) as u16);
        (a.min(b), a.max(b))
    }

    fn rule(&mut self, kind: Kind, networks: u32) -> Rule {
        let mut rule = ANY;
        match kind {
            Kind::Tunnels => {}
            Kind::Acl => {
                rule.local_length =
                    self.pick(&[(30, 32), (10, 28), (8, 27), (8, 26), (25, 24), (6, 20), (8, 16), (5, 0)]);
                rule.remote_length = self.pick(&[(60, 32), (8, 30), (6, 28), (5, 27), (14, 24), (4, 20), (3, 16)]);
                rule.remote_port = match self.below(100) {
                    0..55 => self.exact(),
                    55..88 => ALL,
                    88..94 => (1024, u16::MAX),
                    _ => self.short_range(100),
                };
                rule.protocol = self.pick(&[(75, Some(6)), (15, Some(17)), (4, Some(1)), (6, None)]);
            }
            Kind::Firewall => {
                rule.local_length = self.pick(&[(35, 0), (5, 8), (10, 16), (20, 24), (5, 28), (25, 32)]);
                rule.remote_length = self.pick(&[(35, 0), (3, 8), (10, 16), (17, 24), (5, 28), (30, 32)]);
                rule.local_port = match self.below(100) {
                    0..60 => ALL,
                    60..85 => (1024, u16::MAX),
                    _ => self.exact(),
                };
                rule.remote_port = match self.below(100) {
                    0..15 => ALL,
                    15..30 => (1024, u16::MAX),
                    30..85 => self.exact(),
                    _ => self.short_range(1000),
                };
                rule.protocol = self.pick(&[(60, Some(6)), (30, Some(17)), (4, Some(1)), (3, Some(50)), (3, None)]);
            }
            Kind::Mixture => {
                rule.local_length = self.pick(&[(14, 0), (4, 8), (10, 16), (6, 22), (22, 24), (6, 28), (38, 32)]);
                rule.remote_length = self.pick(&[(10, 0), (3, 8), (10, 16), (6, 22), (20, 24), (6, 28), (45, 32)]);
                rule.local_port = match self.below(100) {
                    0..75 => ALL,
                    75..88 => (1024, u16::MAX),
                    _ => self.exact(),
                };
                rule.remote_port = match self.below(100) {
                    0..48 => ALL,
                    48..56 => (1024, u16::MAX),
                    56..94 => self.exact(),
                    _ => self.short_range(100),
                };
                rule.protocol = self.pick(&[(50, Some(6)), (25, Some(17)), (10, Some(1)), (15, None)]);
            }
            Kind::HostileMasks => {
                rule.local_length = self.below(33) as u8;
                rule.remote_length = self.below(33) as u8;
                rule.local_port = self.nested_range();
                rule.remote_port = self.nested_range();
                rule.protocol = self.pick(&[(40, Some(6)), (40, Some(17)), (20, None)]);
            }
            Kind::HostilePorts => {
                let (a, b) = (self.below(65_000) as u16, self.below(65_000) as u16);
                rule.local_port = (a, a + self.below(400) as u16);
                rule.remote_port = (b, b + self.below(400) as u16);
                rule.protocol = Some(17);
            }
        }
        if matches!(rule.protocol, Some(1 | 50)) {
            (rule.local_port, rule.remote_port) = (ALL, ALL);
        }
        rule.local = self.address(networks, 0x0a00_0000) & mask(rule.local_length);
        rule.remote = self.address(networks, 0xc0a8_0000) & mask(rule.remote_length);
        rule
    }
}

/// Returns a list of about `count` rules.
pub fn rules(kind: Kind, count: usize) -> Vec<Rule> {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(42));
    if kind == Kind::Tunnels {
        return tunnels(&mut dice, count);
    }
    let hostile = matches!(kind, Kind::HostileMasks | Kind::HostilePorts);
    let networks = if hostile { 4 } else { (count / 60).max(8) as u32 };
    let mut list: Vec<Rule> = (1..count).map(|_| dice.rule(kind, networks)).collect();
    if !hostile {
        // The more specific first, not quite in order.
        let width = |range: (u16, u16)| 16 - (u32::from(range.1 - range.0) + 1).ilog2();
        list.sort_by_cached_key(|rule| {
            let specific = u32::from(rule.local_length) + u32::from(rule.remote_length);
            let specific = specific + width(rule.local_port) + width(rule.remote_port);
            std::cmp::Reverse(specific * 2 + dice.below(24))
        });
    }
    list.push(ANY);
    list
}

fn tunnels(dice: &mut Dice, count: usize) -> Vec<Rule> {
    let front = (count / 20).clamp(8, 64);
    let mut list: Vec<Rule> = (0..front)
        .map(|index| match index {
            0 => Rule { protocol: Some(17), remote_port: (500, 500), ..ANY },
            1 => Rule { protocol: Some(17), remote_port: (4500, 4500), ..ANY },
            2 => Rule { protocol: Some(50), ..ANY },
            3 => Rule { protocol: Some(1), ..ANY },
            _ => {
                let port = WELL_KNOWN[index % 14];
                let remote = 0x0a00_0000 | dice.below(65_536);
                Rule { protocol: Some(6), remote_port: (port, port), remote, remote_length: 32, ..ANY }
            }
        })
        .collect();
    for index in front..count - 1 {
        let local = 0x0a00_0000 | dice.below(16) << 8;
        let remote = 0x6400_0000 + ((index as u32) << 8);
        let tunnel = Rule { local, local_length: 24, remote, remote_length: 24, ..ANY };
        list.push(tunnel);
        let other = front + dice.below((list.len() - front) as u32) as usize;
        let last = list.len() - 1;
        list.swap(other, last);
    }
    list.push(ANY);
    list
}

/// Returns packets of low locality: a rule chosen evenly, a point chosen evenly in it.
pub fn probes(rules: &[Rule], count: usize) -> Vec<Probe> {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(7));
    let port = |dice: &mut Dice, range: (u16, u16)| range.0 + dice.below(u32::from(range.1 - range.0) + 1) as u16;
    (0..count)
        .map(|_| {
            let rule = rules[dice.below(rules.len() as u32) as usize];
            Probe {
                local: rule.local | dice.0.next_u32() & !mask(rule.local_length),
                remote: rule.remote | dice.0.next_u32() & !mask(rule.remote_length),
                local_port: port(&mut dice, rule.local_port),
                remote_port: port(&mut dice, rule.remote_port),
                protocol: rule.protocol.unwrap_or_else(|| if dice.below(4) == 0 { 17 } else { 6 }),
            }
        })
        .collect()
}
