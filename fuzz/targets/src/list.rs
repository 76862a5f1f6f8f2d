//! A list of policies that changes: long enough for its index to take every form.

use spd::{
    Action, AddressSelector, Database, Direction, InterfaceId, PacketKey, Policy, PortSet, Position, ProtocolSelector,
    Selector, Upper, WhenEmpty,
};

const WAN: InterfaceId = InterfaceId(0);
/// As many policies are there before the first change: so many that they stand in hash tables.
const BEFORE: u8 = 80;
/// Changes of one run, and the octets of each.
const MOST: usize = 256;
const OCTETS: usize = 4;

/// One of few policies, so that many say the same or more than others.
fn policy(number: usize, what: u8, more: u8) -> Policy {
    let network = |which: u8| -> AddressSelector {
        let text = ["any", "any", "10.0.0.0/8", "10.1.0.0/16"][usize::from(which & 3)];
        text.parse().expect("a prefix")
    };
    let port = [80, 443][usize::from(what >> 7)];
    let selector = Selector {
        local: network(what).into(),
        remote: network(what >> 2).into(),
        protocol: [ProtocolSelector::Number(6), ProtocolSelector::Any][usize::from(more & 1)],
        local_port: if more & 2 == 0 { PortSet::any() } else { PortSet::range(1024, u16::MAX).expect("a range") },
        remote_port: PortSet::range(port, port + u16::from(what >> 4 & 7)).expect("a range"),
        ..Selector::default()
    };
    Policy::new(&number.to_string(), selector, Action::Bypass).expect("a lawful policy")
}

fn key(a: u8, b: u8) -> PacketKey {
    let address = |which: u8| [[10, 0, 0, 1], [10, 1, 0, 1], [192, 0, 2, 1], [10, 1, 255, 255]][usize::from(which & 3)];
    let remote = [80, 443][usize::from(a >> 7)] + u16::from(a >> 4 & 7);
    PacketKey {
        local: address(a).into(),
        remote: address(a >> 2).into(),
        protocol: Some([6, 17][usize::from(b & 1)]),
        upper: Upper::Ports { local: [1023, 1024][usize::from(b >> 1 & 1)], remote },
    }
}

/// Changes of a list: after each, what the index says is what asking each policy in turn says.
pub fn policy_changes(data: &[u8]) {
    let mut database = Database::new();
    database.add_interface(WAN, WhenEmpty::Discard).expect("the first");
    let mut ids = Vec::new();
    for number in 0..BEFORE {
        let policy = policy(number.into(), (number % 3) << 4, number);
        ids.push(database.insert(WAN, Position::Last, policy).expect("there is room"));
    }
    let (changes, _) = data.as_chunks::<OCTETS>();
    for (number, [change, at, what, more]) in (usize::from(BEFORE)..).zip(changes.iter().take(MOST)) {
        let any = |ids: &[_]| usize::from(*at) % ids.len().max(1);
        match change & 7 {
            0 if !ids.is_empty() => {
                database.remove(ids.swap_remove(any(&ids))).expect("it is there");
            }
            1 if !ids.is_empty() => {
                let position = Position::At(1 + usize::from(*what) % ids.len());
                database.move_to(ids[any(&ids)], position).expect("it is there");
            }
            2 if !ids.is_empty() => {
                let place = any(&ids);
                ids[place] = database.replace(ids[place], policy(number, *what, *more)).expect("it is there").0;
            }
            3 => {
                database.settle(WAN);
            }
            _ => {
                let position = Position::At(1 + any(&ids));
                ids.push(database.insert(WAN, position, policy(number, *what, *more)).expect("there is room"));
            }
        }
        for (a, b) in [(*what, *more), (*more, *what), (change >> 3 | at << 4, *at)] {
            let key = key(a, b);
            let decision = database.decide(WAN, Direction::Outbound, &key);
            assert_eq!(decision, database.explain(WAN, Direction::Outbound, &key).decision);
        }
    }
}
