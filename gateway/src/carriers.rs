//! The pairs of associations that may send the traffic of one policy, found by packet without looking at them all: a hub
//! has one for each of its peers.

use crate::route::{holds, ports};
use alloc::collections::BTreeMap;
use core::net::{IpAddr, Ipv4Addr};
use core::ops::Bound;
use ikev1_core::{ChildId, TrafficSelector};
use spd::PacketKey;

/// How much a pair is preferred: newer ones have higher ranks, and a renewed one that waits a lower one than the pair it
/// replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank(u128);

/// Pairs that may send what their selectors name.
#[derive(Debug, Default)]
pub(crate) struct Carriers {
    ranks: BTreeMap<ChildId, Rank>,
    by_rank: BTreeMap<Rank, Carrier>,
    /// By the far side of their traffic, where that is a prefix, and by rank.
    by_remote: BTreeMap<Place, BTreeMap<Rank, Carrier>>,
    /// How many places there are of each family and length.
    shapes: BTreeMap<(bool, Option<u8>), usize>,
    /// How often a pair came in front of all others.
    fronts: u64,
}

/// A pair of associations that may send what its selectors name.
#[derive(Clone, Copy, Debug)]
struct Carrier {
    child: ChildId,
    local: TrafficSelector,
    remote: TrafficSelector,
}

/// A prefix, or all ranges of a family that are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    length: Option<u8>,
    first: IpAddr,
}

impl Place {
    fn of(selector: &TrafficSelector) -> Self {
        match selector.prefix() {
            Some(length) => Self { length: Some(length), first: selector.first() },
            None => Self { length: None, first: unspecified(selector.first().is_ipv6()) },
        }
    }

    /// Returns the place of this length that an address lies in.
    fn around(address: IpAddr, length: Option<u8>) -> Option<Self> {
        let first = match length {
            Some(length) => TrafficSelector::subnet(address, length).ok()?.first(),
            None => unspecified(address.is_ipv6()),
        };
        Some(Self { length, first })
    }

    const fn shape(&self) -> (bool, Option<u8>) {
        (self.first.is_ipv6(), self.length)
    }
}

const fn unspecified(v6: bool) -> IpAddr {
    if v6 { IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) }
}

impl Carriers {
    /// Adds a pair that may send: in front of all others, or behind the one it replaces.
    pub(crate) fn attach(
        &mut self,
        child: ChildId,
        local: TrafficSelector,
        remote: TrafficSelector,
        behind: Option<ChildId>,
    ) {
        self.detach(child);
        let rank = behind.and_then(|old| self.rank_behind(old)).unwrap_or_else(|| self.front());
        self.insert(rank, Carrier { child, local, remote });
    }

    /// Puts a pair in front of all others.
    pub(crate) fn promote(&mut self, child: ChildId) {
        if let Some(carrier) = self.detach(child) {
            let rank = self.front();
            self.insert(rank, carrier);
        }
    }

    /// Takes a pair away: it may not send any more.
    pub(crate) fn forget(&mut self, child: ChildId) {
        self.detach(child);
    }

    /// Returns the newest pair whose selectors name the packet.
    pub(crate) fn newest(&self, key: &PacketKey) -> Option<ChildId> {
        let newest =
            self.buckets(key.remote).filter_map(|bucket| bucket.iter().rev().find(|(_, one)| one.carries(key)));
        newest.max_by_key(|(rank, _)| **rank).map(|(_, carrier)| carrier.child)
    }

    /// Returns all pairs whose selectors name the packet, in no order, each with its rank.
    pub(crate) fn each(&self, key: &PacketKey) -> impl Iterator<Item = (Rank, ChildId)> {
        let all = self.buckets(key.remote).flat_map(BTreeMap::iter);
        all.filter(|(_, carrier)| carrier.carries(key)).map(|(rank, carrier)| (*rank, carrier.child))
    }

    /// Returns the pairs whose selectors name a packet that these name too, in no order.
    pub(crate) fn overlapping(&self, local: TrafficSelector, remote: TrafficSelector) -> impl Iterator<Item = ChildId> {
        let v6 = remote.first().is_ipv6();
        let shapes = self.shapes.range((v6, None)..=(v6, Some(u8::MAX))).map(|((_, length), _)| *length);
        // Prefixes of one length that share an address with this range begin at the one around its first address.
        let places = shapes.filter_map(move |length| {
            let first = Place::around(remote.first(), length)?;
            Some((first, Place { length, first: if length.is_some() { remote.last() } else { first.first } }))
        });
        let range = |(first, last)| self.by_remote.range((Bound::Included(first), Bound::Included(last)));
        let all = places.flat_map(range).flat_map(|(_, bucket)| bucket.values());
        let both = move |carrier: &&Carrier| overlap(&carrier.local, &local) && overlap(&carrier.remote, &remote);
        all.filter(both).map(|carrier| carrier.child)
    }

    /// Returns those that a packet to this address may be for, by place: one for each length of prefix that there is.
    fn buckets(&self, remote: IpAddr) -> impl Iterator<Item = &BTreeMap<Rank, Carrier>> {
        let v6 = remote.is_ipv6();
        let shapes = self.shapes.range((v6, None)..=(v6, Some(u8::MAX)));
        shapes.filter_map(move |((_, length), _)| self.by_remote.get(&Place::around(remote, *length)?))
    }

    fn insert(&mut self, rank: Rank, carrier: Carrier) {
        let place = Place::of(&carrier.remote);
        let bucket = self.by_remote.entry(place).or_default();
        if bucket.is_empty() {
            let places = self.shapes.entry(place.shape()).or_default();
            *places = places.saturating_add(1);
        }
        bucket.insert(rank, carrier);
        self.ranks.insert(carrier.child, rank);
        self.by_rank.insert(rank, carrier);
    }

    fn detach(&mut self, child: ChildId) -> Option<Carrier> {
        let rank = self.ranks.remove(&child)?;
        let carrier = self.by_rank.remove(&rank)?;
        let place = Place::of(&carrier.remote);
        let bucket = self.by_remote.get_mut(&place)?;
        bucket.remove(&rank);
        if bucket.is_empty() {
            self.by_remote.remove(&place);
            let places = self.shapes.get_mut(&place.shape())?;
            *places = places.saturating_sub(1);
            if *places == 0 {
                self.shapes.remove(&place.shape());
            }
        }
        Some(carrier)
    }

    /// Returns a rank above all others. Between two of these there is room for as many halves as a word has bits.
    fn front(&mut self) -> Rank {
        self.fronts = self.fronts.saturating_add(1);
        Rank(u128::from(self.fronts) << 64)
    }

    /// Returns a rank right below that of a pair; none if it is gone, or if there is no room, which takes 64 renewals of
    /// renewals that all still wait.
    fn rank_behind(&self, old: ChildId) -> Option<Rank> {
        let above = self.ranks.get(&old)?;
        let below = self.by_rank.range(..above).next_back().map_or(Rank(0), |(rank, _)| *rank);
        let between = below.0 + (above.0 - below.0) / 2;
        (between > below.0).then_some(Rank(between))
    }
}

impl Carrier {
    fn carries(&self, key: &PacketKey) -> bool {
        let (local, remote) = ports(key.upper).unzip();
        holds(&self.local, key.local, key.protocol, local) && holds(&self.remote, key.remote, key.protocol, remote)
    }
}

/// Returns whether a packet may be of both.
fn overlap(one: &TrafficSelector, other: &TrafficSelector) -> bool {
    let either = |one: u16, other: u16| one == 0 || other == 0 || one == other;
    one.first().is_ipv4() == other.first().is_ipv4()
        && one.first() <= other.last()
        && other.first() <= one.last()
        && either(one.protocol().into(), other.protocol().into())
        && either(one.port(), other.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use spd::Upper;

    fn subnet(address: [u8; 4], length: u8) -> TrafficSelector {
        TrafficSelector::subnet(address.into(), length).unwrap()
    }

    fn key(remote: [u8; 4]) -> PacketKey {
        let upper = Upper::Ports { local: 1_000, remote: 53 };
        PacketKey { local: [10, 1, 0, 1].into(), remote: remote.into(), protocol: Some(17), upper }
    }

    #[test]
    fn the_newest_pair_whose_traffic_holds_the_packet_carries_it() {
        let mut carriers = Carriers::default();
        let local = subnet([10, 1, 0, 0], 16);
        carriers.attach(ChildId(1), local, subnet([10, 2, 0, 0], 16), None);
        carriers.attach(ChildId(2), local, subnet([10, 2, 7, 0], 24), None);
        assert_eq!(carriers.newest(&key([10, 2, 7, 1])), Some(ChildId(2)));
        assert_eq!(carriers.newest(&key([10, 2, 8, 1])), Some(ChildId(1)));
        assert_eq!(carriers.newest(&key([10, 3, 0, 1])), None);
        carriers.forget(ChildId(2));
        assert_eq!(carriers.newest(&key([10, 2, 7, 1])), Some(ChildId(1)));
        carriers.attach(ChildId(1), local, subnet([10, 2, 0, 0], 16), None);
        carriers.forget(ChildId(1));
        assert_eq!(carriers.newest(&key([10, 2, 7, 1])), None);
        assert!(carriers.shapes.is_empty() && carriers.by_remote.is_empty() && carriers.by_rank.is_empty());
    }

    #[test]
    fn a_renewed_pair_waits_behind_the_one_it_replaces_until_promoted() {
        let mut carriers = Carriers::default();
        let (local, remote) = (subnet([10, 1, 0, 0], 16), subnet([10, 2, 0, 0], 16));
        let newest = |carriers: &Carriers| carriers.newest(&key([10, 2, 0, 1]));
        carriers.attach(ChildId(1), local, remote, None);
        carriers.attach(ChildId(2), local, remote, Some(ChildId(1)));
        assert_eq!(newest(&carriers), Some(ChildId(1)));
        carriers.promote(ChildId(2));
        assert_eq!(newest(&carriers), Some(ChildId(2)));
        carriers.attach(ChildId(3), local, remote, Some(ChildId(9)));
        assert_eq!(newest(&carriers), Some(ChildId(3)), "the one it replaces is gone already");
        carriers.forget(ChildId(3));
        carriers.forget(ChildId(2));
        assert_eq!(newest(&carriers), Some(ChildId(1)));
    }

    #[test]
    fn selectors_overlap_if_one_packet_may_be_of_both() {
        let net = |third: u8, length: u8| subnet([10, 0, third, 0], length);
        let six = TrafficSelector::host([0_u16; 8].into());
        assert!(overlap(&net(0, 16), &net(7, 24)) && overlap(&net(7, 24), &net(0, 16)));
        assert!(!overlap(&net(6, 24), &net(7, 24)) && !overlap(&net(0, 8), &six));
        let udp = net(7, 24).with_protocol(17);
        assert!(overlap(&udp, &net(7, 24)) && !overlap(&udp, &net(7, 24).with_protocol(6)));
        assert!(overlap(&udp.with_port(53), &udp) && !overlap(&udp.with_port(53), &udp.with_port(54)));
    }

    #[test]
    fn among_ten_thousand_peers_a_packet_and_a_new_pair_meet_those_alone_that_are_theirs() {
        let mut carriers = Carriers::default();
        let local = subnet([10, 1, 0, 0], 16);
        let host = |number: u16| {
            let [high, low] = number.to_be_bytes();
            [10, 2, high, low]
        };
        for number in 0..10_000 {
            carriers.attach(ChildId(number.into()), local, subnet(host(number), 32), None);
        }
        carriers.attach(ChildId(20_000), local, subnet([10, 3, 0, 0], 16), None);
        for number in [0, 77, 9_999] {
            let met: usize = carriers.buckets(IpAddr::from(host(number))).map(BTreeMap::len).sum();
            assert_eq!(met, 1);
            assert_eq!(carriers.newest(&key(host(number))), Some(ChildId(number.into())));
            let overlapping: Vec<_> = carriers.overlapping(local, subnet(host(number), 32)).collect();
            assert_eq!(overlapping, [ChildId(number.into())]);
        }
        assert_eq!(carriers.buckets([10, 9, 0, 1].into()).count(), 0);
    }

    /// What the index has to agree with: a list, newest first.
    #[derive(Default)]
    struct Listed(Vec<Carrier>);

    impl Listed {
        fn attach(&mut self, carrier: Carrier, behind: Option<ChildId>) {
            self.0.retain(|known| known.child != carrier.child);
            let replaced = behind.and_then(|old| self.0.iter().position(|known| known.child == old));
            self.0.insert(replaced.map_or(0, |index| index + 1), carrier);
        }

        fn promote(&mut self, child: ChildId) {
            if let Some(index) = self.0.iter().position(|known| known.child == child) {
                let carrier = self.0.remove(index);
                self.0.insert(0, carrier);
            }
        }
    }

    fn remote(number: u8) -> TrafficSelector {
        match number % 8 {
            0 => subnet([0, 0, 0, 0], 0),
            1 => subnet([10, 2, 0, 0], 16),
            2 => TrafficSelector::range([10, 2, 0, 3].into(), [10, 2, 1, 9].into()).unwrap(),
            3 => subnet([10, 2, 0, number], 24).with_protocol(17).with_port(53),
            4 => subnet([10, 2, 1, 0], 24).with_protocol(6),
            5 => TrafficSelector::host([0_u16; 8].into()),
            _ => subnet([10, 2, number % 2, number / 16], 32),
        }
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_a_list(steps in proptest::collection::vec((0u8..4, 0u64..12, 0u64..12, any::<u8>()), 1..60)) {
            let (mut carriers, mut listed) = (Carriers::default(), Listed::default());
            let local = subnet([10, 1, 0, 0], 16);
            for (kind, child, other, number) in steps {
                let child = ChildId(child);
                match kind {
                    0 | 1 => {
                        let behind = (kind == 1).then_some(ChildId(other));
                        carriers.attach(child, local, remote(number), behind);
                        listed.attach(Carrier { child, local, remote: remote(number) }, behind);
                    }
                    2 => {
                        carriers.promote(child);
                        listed.promote(child);
                    }
                    _ => {
                        carriers.forget(child);
                        listed.0.retain(|known| known.child != child);
                    }
                }
                for packet in [[10, 2, 0, 0], [10, 2, 0, 5], [10, 2, 1, 1], [10, 2, 1, 12], [9, 9, 9, 9]] {
                    let key = key(packet);
                    let expected: Vec<_> = listed.0.iter().filter(|one| one.carries(&key)).map(|one| one.child).collect();
                    prop_assert_eq!(carriers.newest(&key), expected.first().copied());
                    let mut each: Vec<_> = carriers.each(&key).collect();
                    each.sort_unstable_by_key(|(rank, _)| core::cmp::Reverse(*rank));
                    prop_assert_eq!(each.into_iter().map(|(_, child)| child).collect::<Vec<_>>(), expected);
                }
                let asked = remote(number);
                let both = |one: &&Carrier| overlap(&one.local, &local) && overlap(&one.remote, &asked);
                let mut expected: Vec<_> = listed.0.iter().filter(both).map(|one| one.child).collect();
                let mut found: Vec<_> = carriers.overlapping(local, asked).collect();
                expected.sort_unstable();
                found.sort_unstable();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
