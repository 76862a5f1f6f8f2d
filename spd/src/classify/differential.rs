//! The index against the linear scan, over random lists, changes and packets.

use super::Sizes;
use crate::{
    Action, AddressSelector, AddressSet, Applies, Database, Decision, Direction, InterfaceId, MessageSelector,
    PacketKey, Policy, PolicyId, PortSet, Position, ProtocolSelector, Selector, Upper, WhenEmpty,
};
use alloc::format;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const WAN: InterfaceId = InterfaceId(0);

/// A source of choices, few of them equal and many of them near each other.
struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.0.next_u32() % n
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    fn port(&mut self) -> u16 {
        [0, 1, 80, 443, 500, 1023, 1024, 4500, 32767, 32768, 65534, 65535][self.below(12) as usize]
    }

    fn address(&mut self, v6: bool) -> IpAddr {
        let low = [0, 1, 2, 255, 256, 65535][self.below(6) as usize];
        let high = [0, 10 << 24, 10 << 24 | 1 << 16, 127 << 24, 128 << 24, 192 << 24 | 168 << 16, 255 << 24]
            [self.below(7) as usize];
        if v6 {
            let site =
                [0x2001_0db8_0000_0000u128, 0x2001_0db8_0001_0000, 0, 0xffff_0000_0000_0000][self.below(4) as usize];
            Ipv6Addr::from_bits(site << 64 | u128::from(high) << 32 | u128::from(low)).into()
        } else {
            Ipv4Addr::from_bits(high | low).into()
        }
    }

    fn selector(&mut self, v6: bool) -> AddressSelector {
        let width = if v6 { 128 } else { 32 };
        let (a, b) = (self.address(v6), self.address(v6));
        match self.below(10) {
            0..=1 => AddressSelector::ANY,
            2..=5 => AddressSelector::prefix(a, self.below(width + 1) as u8).unwrap(),
            6 => AddressSelector::address(a),
            7..=8 => AddressSelector::range(a.min(b), a.max(b)).unwrap(),
            _ => AddressSelector::wildcard(a, b).unwrap(),
        }
    }

    fn set(&mut self, v6: bool) -> AddressSet {
        let count = if self.chance(10) { 3 } else { 1 };
        AddressSet::new((0..count).map(|_| self.selector(v6)).collect::<Vec<_>>()).unwrap()
    }

    fn ports(&mut self) -> PortSet {
        let (a, b) = (self.port(), self.port());
        match self.below(10) {
            0..=3 => PortSet::any(),
            4 => PortSet::opaque(),
            5..=6 => PortSet::port(a),
            7..=8 => PortSet::range(a.min(b), a.max(b)).unwrap(),
            _ => PortSet::ranges(&[(a, a), (b, b)]).unwrap(),
        }
    }

    fn protocol(&mut self) -> u8 {
        [0, 1, 6, 6, 17, 50, 58, 255][self.below(8) as usize]
    }

    fn policy(&mut self, name: &str) -> Policy {
        loop {
            let v6 = self.chance(40);
            let (a, b) = (self.port(), self.port());
            let selector = Selector {
                local: self.set(v6),
                remote: self.set(v6),
                protocol: match self.below(10) {
                    0..=4 => ProtocolSelector::Any,
                    5 => ProtocolSelector::Opaque,
                    _ => ProtocolSelector::Number(self.protocol()),
                },
                local_port: if self.chance(50) { PortSet::any() } else { self.ports() },
                remote_port: if self.chance(30) { PortSet::any() } else { self.ports() },
                message: match self.below(20) {
                    0 => MessageSelector::Opaque,
                    1 => MessageSelector::NeighbourDiscovery,
                    2..=3 => MessageSelector::Range { first: a.min(b), last: a.max(b) },
                    _ => MessageSelector::Any,
                },
                ..Selector::default()
            };
            let applies = [Applies::Both, Applies::Both, Applies::Outbound, Applies::Inbound][self.below(4) as usize];
            if let Ok(policy) = Policy::new(name, selector, Action::Bypass) {
                return policy.with_applies(applies);
            }
        }
    }

    /// A policy like many others: of few networks and services, so that a list says the same again and again.
    fn common_policy(&mut self, name: &str) -> Policy {
        let network = |dice: &mut Self| match dice.below(8) {
            0 => AddressSelector::prefix([10, 0, 0, 0].into(), 8).unwrap().into(),
            1 => AddressSelector::prefix([10, 1, 0, 0].into(), 16).unwrap().into(),
            _ => AddressSelector::ANY.into(),
        };
        let port = [80, 443][self.below(2) as usize];
        let selector = Selector {
            local: network(self),
            remote: network(self),
            protocol: [ProtocolSelector::Number(6), ProtocolSelector::Any][usize::from(self.chance(20))],
            local_port: if self.chance(30) { PortSet::range(1024, u16::MAX).unwrap() } else { PortSet::any() },
            remote_port: if self.chance(50) {
                PortSet::port(port)
            } else {
                PortSet::range(port, port + self.below(4) as u16).unwrap()
            },
            ..Selector::default()
        };
        let applies = [Applies::Both, Applies::Both, Applies::Both, Applies::Inbound][self.below(4) as usize];
        Policy::new(name, selector, Action::Bypass).unwrap().with_applies(applies)
    }

    /// A packet: any, or one at a corner of a policy.
    fn key(&mut self, near: Option<&Policy>) -> PacketKey {
        let v6 = near.and_then(|policy| policy.selector().family()).map_or(self.chance(40), |f| f == crate::Family::V6);
        let (local, remote) = match near {
            Some(policy) => (self.corner(&policy.selector().local, v6), self.corner(&policy.selector().remote, v6)),
            None => (self.address(v6), self.address(v6)),
        };
        let protocol = match near.map(|policy| policy.selector().protocol) {
            Some(ProtocolSelector::Number(number)) if self.chance(80) => Some(number),
            _ if self.chance(10) => None,
            _ => Some(self.protocol()),
        };
        let upper = match self.below(5) {
            0 => Upper::Message(self.port()),
            1 => Upper::Absent,
            2 => Upper::Hidden,
            _ => Upper::Ports { local: self.near_port(), remote: self.near_port() },
        };
        PacketKey { local, remote, protocol, upper }
    }

    fn near_port(&mut self) -> u16 {
        self.port().wrapping_add([0, 0, 1, u16::MAX][self.below(4) as usize])
    }

    /// A bound of one of the selectors, or the address before or after it.
    fn corner(&mut self, set: &AddressSet, v6: bool) -> IpAddr {
        let family = if v6 { crate::Family::V6 } else { crate::Family::V4 };
        let selectors = set.selectors();
        let Some((low, high)) = selectors[self.below(selectors.len() as u32) as usize].bounds(family) else {
            return self.address(v6);
        };
        let at = match self.below(5) {
            0 => low,
            1 => high,
            2 => low.wrapping_sub(1),
            3 => high.wrapping_add(1),
            _ => low + (high - low) / 2,
        };
        if v6 { Ipv6Addr::from_bits(at).into() } else { Ipv4Addr::from_bits(at as u32).into() }
    }
}

/// Checks packets near policies and elsewhere, in both directions, each alone and all as a batch.
fn check(database: &mut Database, dice: &mut Dice, ids: &[PolicyId], packets: usize) {
    let mut keys = Vec::new();
    for _ in 0..packets {
        let near = (!ids.is_empty() && dice.chance(85)).then(|| ids[dice.below(ids.len() as u32) as usize]);
        keys.push(dice.key(near.and_then(|id| database.policy(id))));
        if dice.chance(3) {
            // Nobody's packet, but of one batch with others.
            keys.push(PacketKey { local: dice.address(false), remote: dice.address(true), ..dice.key(None) });
        }
    }
    for direction in [Direction::Outbound, Direction::Inbound] {
        let expected: Vec<_> = keys.iter().map(|key| database.explain(WAN, direction, key).decision).collect();
        let single: Vec<_> = keys.iter().map(|key| database.decide(WAN, direction, key)).collect();
        assert_eq!(single, expected, "{direction:?} {keys:?}");
        let mut batch = alloc::vec![Decision::Discard { policy: None }; keys.len()];
        database.decide_batch(WAN, direction, &keys, &mut batch);
        assert_eq!(batch, expected, "{direction:?} {keys:?}");
    }
}

/// Makes a policy of a name.
type Make = fn(&mut Dice, &str) -> Policy;

fn change(database: &mut Database, dice: &mut Dice, make: Make, ids: &mut Vec<PolicyId>, number: usize, growth: u32) {
    let last = ids.len() + 1;
    let any = |dice: &mut Dice, ids: &[PolicyId]| dice.below(ids.len() as u32) as usize;
    match dice.below(100) {
        choice if ids.is_empty() || choice < growth => {
            // Now and then at one place again and again, so that labels run out.
            let position = if dice.chance(50) { 1 + last / 2 } else { 1 + dice.below(last as u32) as usize };
            let policy = make(dice, &format!("p{number}"));
            ids.push(database.insert(WAN, Position::At(position.min(last)), policy).unwrap());
        }
        choice if choice % 3 == 0 => {
            let at = any(dice, ids);
            let position = Position::At(1 + any(dice, ids));
            database.move_to(ids[at], position).unwrap();
        }
        choice if choice % 3 == 1 => {
            let at = any(dice, ids);
            let policy = make(dice, &format!("p{number}"));
            ids[at] = database.replace(ids[at], policy).unwrap().0;
        }
        _ => {
            let at = any(dice, ids);
            database.remove(ids.swap_remove(at)).unwrap();
        }
    }
}

/// Takes one policy after the other out, and checks after each.
fn empty(database: &mut Database, dice: &mut Dice, mut ids: Vec<PolicyId>) {
    while let Some(id) = ids.pop() {
        database.remove(id).unwrap();
        check(database, dice, &ids, 1);
    }
}

fn database(sizes: Sizes) -> Database {
    let mut database = Database::new();
    database.add_interface(WAN, WhenEmpty::Discard).unwrap();
    database.set_index_sizes(WAN, sizes);
    database
}

/// Tables, tables that share, all in turn, blocks.
const FORMS: [Sizes; 4] = [
    Sizes { large: 0, small: 0, long: usize::MAX, weighed: false },
    Sizes { large: 0, small: 0, long: 0, weighed: false },
    Sizes { large: 40, small: 20, long: 90, weighed: true },
    Sizes { large: usize::MAX, small: 0, long: usize::MAX, weighed: true },
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_index_equals_the_linear_scan_through_random_changes(
        seed in any::<u64>(),
        form in 0..FORMS.len(),
        growth in 40u32..90,
        changes in 1usize..160,
    ) {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
        let mut database = database(FORMS[form]);
        let mut ids = Vec::new();
        for number in 0..changes {
            change(&mut database, &mut dice, Dice::policy, &mut ids, number, growth);
            check(&mut database, &mut dice, &ids, 4);
        }
        empty(&mut database, &mut dice, ids);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_list_that_says_the_same_again_and_again_equals_the_linear_scan(
        seed in any::<u64>(),
        form in 0..FORMS.len(),
        changes in 100usize..300,
        settled in 0u32..50,
    ) {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
        let mut database = database(FORMS[form]);
        let mut ids = Vec::new();
        for number in 0..changes {
            // First mostly growth, then as much goes as comes.
            let growth = if number < changes / 2 { 95 } else { 34 };
            change(&mut database, &mut dice, Dice::common_policy, &mut ids, number, growth);
            if dice.chance(settled) {
                database.settle(WAN);
            }
            check(&mut database, &mut dice, &ids, 3);
        }
        empty(&mut database, &mut dice, ids);
        prop_assert_eq!(database.index_covered(WAN).0, 0);
    }
}

#[test]
fn of_policies_that_say_the_same_the_next_decides_once_the_first_is_gone() {
    let mut database = database(FORMS[0]);
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(6));
    let web = |number: u16| {
        let selector = Selector {
            protocol: ProtocolSelector::Number(6),
            remote_port: PortSet::port(80),
            local_port: PortSet::range(0, 5000 - number).unwrap(),
            ..Selector::default()
        };
        Policy::new(&format!("p{number}"), selector, Action::Bypass).unwrap()
    };
    let mut ids: Vec<_> = (0..400).map(|number| database.insert(WAN, Position::Last, web(number)).unwrap()).collect();
    assert_eq!(database.index_covered(WAN), (399, false), "the first covers all others");
    let near = dice.key(database.policy(ids[0]));
    let ports = Upper::Ports { local: 1, remote: 80 };
    let key = PacketKey { protocol: Some(6), upper: ports, ..near };
    let mut doubts = 0;
    while !ids.is_empty() {
        assert_eq!(database.decide(WAN, Direction::Outbound, &key).policy(), ids.first().copied());
        database.remove(ids.remove(0)).unwrap();
        doubts += usize::from(database.index_covered(WAN).1);
        if ids.len() % 7 == 0 {
            while database.settle(WAN) {}
            let covered = database.index_covered(WAN);
            assert!(!covered.1 && covered.0 + 16 >= ids.len(), "{covered:?} of {}", ids.len());
        }
    }
    assert!(doubts > 100, "{doubts}");
    assert_eq!(database.index_covered(WAN), (0, false));
}

#[test]
fn a_long_list_equals_the_linear_scan_in_every_form() {
    for (seed, sizes) in FORMS.into_iter().enumerate() {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed as u64));
        let mut database = database(sizes);
        let mut ids = Vec::new();
        for number in 0..2500 {
            change(&mut database, &mut dice, Dice::policy, &mut ids, number, 90);
        }
        check(&mut database, &mut dice, &ids, 400);
    }
}

#[test]
fn one_place_asked_for_again_and_again_spreads_labels_and_keeps_the_order() {
    for sizes in FORMS {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(5));
        let mut database = database(sizes);
        let mut ids = Vec::new();
        for number in 0..700 {
            let policy = dice.policy(&format!("p{number}"));
            ids.push(database.insert(WAN, Position::At(1 + number / 2), policy).unwrap());
        }
        check(&mut database, &mut dice, &ids, 300);
    }
}

#[test]
fn a_key_of_two_families_is_answered_as_the_linear_scan_does() {
    let mut database = database(FORMS[0]);
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(5));
    database.insert(WAN, Position::Last, dice.policy("a")).unwrap();
    database.insert(WAN, Position::Last, Policy::new("all", Selector::default(), Action::Discard).unwrap()).unwrap();
    let key = PacketKey { local: dice.address(false), remote: dice.address(true), ..dice.key(None) };
    let expected = database.explain(WAN, Direction::Outbound, &key).decision;
    assert_eq!(database.decide(WAN, Direction::Outbound, &key), expected);
}

#[test]
fn a_list_that_tables_do_not_help_stands_in_blocks_and_equals_the_linear_scan() {
    let mut database = database(Sizes { large: 100, small: 50, long: usize::MAX, weighed: true });
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(3));
    let mut ids = Vec::new();
    let mut attempts = 0;
    for port in 1..5 {
        for local in 0..=32u8 {
            for remote in (0..=32u8).step_by(2) {
                let prefix = |length| AddressSelector::prefix([10, 0, 0, 1].into(), length).unwrap().into();
                let remote_port = PortSet::range(0, port).unwrap();
                let (local, remote) = (prefix(local), prefix(remote));
                let selector = Selector { local, remote, remote_port, ..Selector::default() };
                let policy = Policy::new(&format!("{}", ids.len()), selector, Action::Bypass).unwrap();
                let before = database.index_has_tables(WAN);
                ids.push(database.insert(WAN, Position::At(1), policy).unwrap());
                attempts += usize::from(!before && database.index_has_tables(WAN));
            }
        }
    }
    check(&mut database, &mut dice, &ids, 500);
    assert_eq!(attempts, 1, "a longer list is tried with a sample only");
    assert!(!database.index_has_tables(WAN));
    // Blocks alone cost so much at most.
    assert!(database.index_octets(WAN) / ids.len() < 256, "{}", database.index_octets(WAN) / ids.len());
}
