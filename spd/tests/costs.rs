//! What the index of a list costs: memory, and work a change, in lists as networks have them and as nobody should.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use spd::{
    Action, AddressSelector, Database, InterfaceId, Policy, PortSet, Position, ProtocolSelector, Selector, WhenEmpty,
};

const WAN: InterfaceId = InterfaceId(0);
/// The most octets a policy, for any list of at least a hundred.
const HARD_CAP: usize = 512;
/// What a change of a policy with one combination of ranges costs at most, however long the list: mostly the entries
/// that go from one form of the index to another with it, and their rows.
const WORK: u64 = 600_000;
/// Places of hash tables a policy that one change may move besides, when a table grows: 8 octets each, one after the
/// other.
const PLACES: u64 = 4;

fn prefix(v6: bool, bits: u32, length: u8) -> AddressSelector {
    let address: core::net::IpAddr = if v6 {
        core::net::Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(bits) << 40).into()
    } else {
        core::net::Ipv4Addr::from_bits(bits).into()
    };
    AddressSelector::prefix(address, if v6 { 56 + length } else { length }).unwrap()
}

/// The shapes of lists.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// /24 to /24, each another.
    Tunnels,
    /// Hosts of few networks, most with a service.
    Servers,
    /// Every pair of prefix lengths, nested ranges of ports, few addresses.
    Masks,
    /// No addresses, narrow ranges of ports on both sides.
    Ports,
    /// Half of all addresses on each side.
    Halves,
    /// All the same.
    Same,
    /// No two alike in the lowest bits only, so that all would be in one cell of a cut.
    Hosts,
}

fn selector(kind: Kind, v6: bool, dice: &mut ChaCha8Rng, number: usize) -> Selector {
    let below = |dice: &mut ChaCha8Rng, n: u32| dice.next_u32() % n;
    let narrow = |dice: &mut ChaCha8Rng, width: u32| {
        let first = below(dice, 65_000) as u16;
        PortSet::range(first, first.saturating_add(below(dice, width) as u16)).unwrap()
    };
    let number = number as u32;
    let any = Selector::default();
    match kind {
        Kind::Tunnels => Selector {
            local: prefix(v6, 0x0a00_0000 | below(dice, 16) << 8, 24).into(),
            remote: prefix(v6, 0x6400_0000 + number.wrapping_mul(2_654_435_761) % 60_000 * 256, 24).into(),
            ..any
        },
        Kind::Servers => Selector {
            local: prefix(v6, 0x0a00_0000 | below(dice, 1 << 16), [0, 16, 24, 32][below(dice, 4) as usize]).into(),
            remote: prefix(v6, 0xc0a8_0000 | below(dice, 1 << 12), 32).into(),
            protocol: ProtocolSelector::Number(6),
            remote_port: PortSet::port([22, 25, 53, 80, 443, 8080][below(dice, 6) as usize]),
            ..any
        },
        Kind::Masks => Selector {
            local: prefix(v6, 0x0a00_0000 | below(dice, 4), below(dice, 33) as u8).into(),
            remote: prefix(v6, 0xc0a8_0000 | below(dice, 4), below(dice, 33) as u8).into(),
            local_port: narrow(dice, 60_000),
            remote_port: narrow(dice, 60_000),
            ..any
        },
        Kind::Ports => Selector {
            protocol: ProtocolSelector::Number(17),
            local_port: narrow(dice, 400),
            remote_port: narrow(dice, 400),
            ..any
        },
        Kind::Halves => Selector {
            local: prefix(v6, below(dice, 2) << 31, 1).into(),
            remote: prefix(v6, below(dice, 2) << 31, 1).into(),
            remote_port: PortSet::port(number as u16),
            ..any
        },
        Kind::Same => any,
        Kind::Hosts => Selector { remote: prefix(v6, number, 32).into(), ..any },
    }
}

const KINDS: [Kind; 7] =
    [Kind::Tunnels, Kind::Servers, Kind::Masks, Kind::Ports, Kind::Halves, Kind::Same, Kind::Hosts];

/// A list grown to `count`, at the end or always at one place, and shrunk again; tells `seen` the length and what the
/// change cost after each.
fn grow_and_shrink(
    kind: Kind,
    v6: bool,
    count: usize,
    at_one_place: bool,
    mut seen: impl FnMut(&Database, usize, u64),
) {
    let mut dice = ChaCha8Rng::seed_from_u64(3);
    let mut database = Database::new();
    database.add_interface(WAN, WhenEmpty::Discard).unwrap();
    let mut ids = Vec::new();
    let mut before = 0;
    let mut told = |database: &Database, before: &mut u64| {
        let work = database.index_work(WAN);
        seen(database, database.len(), work - *before);
        *before = work;
    };
    for number in 0..count {
        let policy = Policy::new(&format!("p{number}"), selector(kind, v6, &mut dice, number), Action::Bypass).unwrap();
        let position = if at_one_place { Position::At(1 + number / 2) } else { Position::Last };
        ids.push(database.insert(WAN, position, policy).unwrap());
        told(&database, &mut before);
    }
    for number in 0..count {
        database.remove(ids[number.wrapping_mul(7919) % count]).unwrap();
        told(&database, &mut before);
    }
}

#[test]
fn no_list_of_a_hundred_or_more_takes_more_than_the_cap() {
    for kind in KINDS {
        for v6 in [false, true] {
            let mut grown = 0;
            let mut worst = 0;
            grow_and_shrink(kind, v6, 1501, false, |database, len, _| {
                // Shrinking keeps what was taken until the list is short.
                if len > grown && len >= 100 {
                    worst = worst.max(database.index_octets(WAN) / len);
                }
                grown = grown.max(len);
            });
            assert!(worst <= HARD_CAP, "{kind:?} ipv6 {v6}: {worst} octets a policy");
        }
    }
}

#[test]
fn a_list_as_networks_have_takes_128_octets_a_policy_from_some_thousands_on() {
    for kind in [Kind::Tunnels, Kind::Servers] {
        let mut octets = 0;
        grow_and_shrink(kind, false, 8001, false, |database, len, _| {
            if len == 8001 {
                octets = database.index_octets(WAN) / len;
            }
        });
        assert!((64..=128).contains(&octets), "{kind:?}: {octets} octets a policy");
    }
}

#[test]
fn no_change_of_any_list_costs_more_than_its_bound() {
    for kind in KINDS {
        for (v6, at_one_place) in [(false, false), (false, true), (true, false)] {
            let (mut worst, mut all, mut changes) = (0, 0, 0);
            grow_and_shrink(kind, v6, 2503, at_one_place, |_, len, work| {
                worst = worst.max(work.saturating_sub(PLACES * len as u64));
                all += work;
                changes += 1;
            });
            assert!(worst <= WORK, "{kind:?} ipv6 {v6} at one place {at_one_place}: {worst} for one change");
            assert!(all / changes <= WORK / 10, "{kind:?} ipv6 {v6}: {} a change", all / changes);
            assert!(all > 0, "{kind:?}: the work is counted");
        }
    }
}

#[test]
fn what_was_begun_comes_to_an_end_when_asked() {
    for kind in KINDS {
        let mut dice = ChaCha8Rng::seed_from_u64(4);
        let mut database = Database::new();
        database.add_interface(WAN, WhenEmpty::Discard).unwrap();
        for number in 0..700 {
            let selector = selector(kind, false, &mut dice, number);
            let policy = Policy::new(&format!("p{number}"), selector, Action::Bypass).unwrap();
            database.insert(WAN, Position::Last, policy).unwrap();
        }
        let steps = (0..1000).take_while(|_| database.settle(WAN)).count();
        assert!(steps < 200, "{kind:?}");
        assert!(!database.settle(WAN));
    }
}
