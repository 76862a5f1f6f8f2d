use crate::SaProtocol;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::net::{IpAddr, Ipv4Addr};

/// What a look-up compares, in eight octets, so that a hundred thousand of them stay near the processor and
/// a look-up touches one cache line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Probe {
    pub spi: u32,
    /// The generation, above eight bits that say where the association's packets go to.
    rest: u32,
}

impl Probe {
    /// Generations of a slot; one that used them up is never used again.
    pub const GENERATIONS: u32 = 1 << 24;

    #[inline]
    pub const fn place(self) -> Place {
        Place((self.rest & 0xff) as u8)
    }

    #[inline]
    pub const fn generation(self) -> u32 {
        self.rest >> 8
    }

    pub const fn is_vacant(self) -> bool {
        self.place().0 == Place::NOWHERE.0
    }

    /// Gives the slot to an association.
    pub const fn occupy(&mut self, spi: u32, place: Place) {
        self.spi = spi;
        self.rest = (self.rest & !0xff) | place.0 as u32;
    }

    /// Takes the slot back; returns whether there is a generation left for it. The SPI stays, as the one not
    /// to draw next.
    pub const fn vacate(&mut self) -> bool {
        let next = self.generation() + 1;
        self.rest = next.wrapping_shl(8);
        next < Self::GENERATIONS
    }
}

/// A destination and protocol by a number of their own: a host has few addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place(u8);

impl Place {
    /// That of a vacant slot.
    pub const NOWHERE: Self = Self(0);
    /// One for which there was no number: the association is found another way.
    pub const ELSEWHERE: Self = Self(u8::MAX);

    /// Returns the number, at most 255.
    #[inline]
    pub const fn number(self) -> u32 {
        self.0 as u32
    }

    const fn is_numbered(self) -> bool {
        self.0 != Self::NOWHERE.0 && self.0 != Self::ELSEWHERE.0
    }
}

/// Where packets go to: the destination as 128 bits, an IPv4 one as RFC 4291 §2.5.5.2 maps it, and the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    high: u64,
    low: u64,
    protocol: u8,
}

impl Target {
    #[inline]
    pub const fn new(destination: IpAddr, protocol: SaProtocol) -> Self {
        let (high, low) = match destination {
            IpAddr::V4(address) => (0, 0xffff_0000_0000 | address.to_bits() as u64),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                ((bits >> 64) as u64, bits as u64)
            }
        };
        Self { high, low, protocol: protocol.number() }
    }

    /// Returns an IPv4 target in one word, which is never zero.
    #[inline]
    const fn short(address: Ipv4Addr, protocol: SaProtocol) -> u64 {
        // As the octets lie: nothing orders these words.
        (protocol.number() as u64) << 32 | u32::from_ne_bytes(address.octets()) as u64
    }

    /// Returns the target in one word, zero if it is no IPv4 one.
    const fn to_short(self) -> u64 {
        if self.high == 0 && self.low >> 32 == 0xffff {
            let octets = ((self.low & 0xffff_ffff) as u32).to_be_bytes();
            (self.protocol as u64) << 32 | u32::from_ne_bytes(octets) as u64
        } else {
            0
        }
    }

    /// Compares word by word, in registers: compared as octets in memory, the load would wait for the stores
    /// that made a target just before, which costs more than all of a look-up.
    #[inline]
    const fn is(self, other: &Self) -> bool {
        (self.high ^ other.high) | (self.low ^ other.low) | (self.protocol ^ other.protocol) as u64 == 0
    }
}

/// The numbers of destinations and protocols, while associations use them.
#[derive(Debug)]
pub(crate) struct Places {
    /// By number, with how many slots use it. As many as an octet can say, so that no number is out of range. The
    /// first and the last stand for no target and stay empty.
    known: Box<[(Target, u32); 256]>,
    /// By number, what most packets say of their destination, so that one word is compared.
    short: Box<[u64; 256]>,
}

impl Places {
    /// Returns whether a place is this one.
    #[inline]
    pub fn is(&self, place: Place, destination: IpAddr, protocol: SaProtocol) -> bool {
        let number = usize::from(place.0);
        match destination {
            IpAddr::V4(address) => {
                self.short.get(number).is_some_and(|known| *known == Target::short(address, protocol))
            }
            IpAddr::V6(_) => {
                self.known.get(number).is_some_and(|(known, _)| Target::new(destination, protocol).is(known))
            }
        }
    }

    /// Returns the number of a target for one more slot; [`Place::ELSEWHERE`] if all are in use.
    pub fn take(&mut self, target: Target) -> Place {
        let mut free = Place::ELSEWHERE;
        let numbered = (0..=u8::MAX).map(Place).zip(self.known.iter_mut());
        for (place, (known, users)) in numbered.filter(|(place, _)| place.is_numbered()) {
            if *users > 0 && *known == target {
                *users += 1;
                return place;
            }
            if *users == 0 && free == Place::ELSEWHERE {
                free = place;
            }
        }
        let number = usize::from(free.0);
        if let (true, Some(entry), Some(short)) =
            (free.is_numbered(), self.known.get_mut(number), self.short.get_mut(number))
        {
            (*entry, *short) = ((target, 1), target.to_short());
        }
        free
    }

    /// Returns the number of a target that one slot uses no more.
    pub fn give_back(&mut self, place: Place) {
        if let Some((_, users)) = self.known.get_mut(usize::from(place.0)) {
            *users = users.saturating_sub(1);
        }
    }
}

impl Default for Places {
    fn default() -> Self {
        Self { known: Box::new([(Target::default(), 0); 256]), short: Box::new([0; 256]) }
    }
}

/// Slots that the SPI does not say: its SPI was chosen by somebody else, or its place has no number.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    slots: BTreeMap<(u32, Target), u32>,
    keys: BTreeMap<u32, (u32, Target)>,
}

impl Strangers {
    pub fn insert(&mut self, spi: u32, target: Target, slot: u32) {
        self.slots.insert((spi, target), slot);
        self.keys.insert(slot, (spi, target));
    }

    pub fn find(&self, spi: u32, target: Target) -> Option<u32> {
        self.slots.get(&(spi, target)).copied()
    }

    pub fn remove(&mut self, slot: u32) {
        if let Some(key) = self.keys.remove(&slot) {
            self.slots.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_eight_octets_and_its_generations_end() {
        assert_eq!(size_of::<Probe>(), 8);
        let mut probe = Probe { spi: 7, rest: (Probe::GENERATIONS - 2) << 8 };
        probe.occupy(9, Place(3));
        assert_eq!((probe.spi, probe.place(), probe.generation()), (9, Place(3), Probe::GENERATIONS - 2));
        assert!(probe.vacate());
        assert!(probe.is_vacant());
        probe.occupy(9, Place::ELSEWHERE);
        assert!(!probe.vacate());
    }

    #[test]
    fn a_place_keeps_its_number_while_it_is_used_and_the_last_numbers_run_out() {
        let mut places = Places::default();
        let address = |n: u128| IpAddr::from(n.to_be_bytes());
        let target = |n| Target::new(address(n), SaProtocol::Esp);
        let is = |places: &Places, place, n| places.is(place, address(n), SaProtocol::Esp);
        for n in 0..254 {
            let place = places.take(target(n));
            assert!(is(&places, place, n));
            assert!(!places.is(place, address(n), SaProtocol::Ah));
            assert!(!is(&places, place, n ^ 1) && !is(&places, place, n ^ (1 << 127)));
            assert_eq!(places.take(target(n)), place);
        }
        assert_eq!(places.take(target(254)), Place::ELSEWHERE);
        assert!(!is(&places, Place::ELSEWHERE, 254) && !is(&places, Place::NOWHERE, 0));
        places.give_back(Place(4));
        assert_eq!(places.take(target(254)), Place::ELSEWHERE);
        places.give_back(Place(4));
        assert_eq!(places.take(target(254)), Place(4));
        assert!(is(&places, Place(4), 254));
    }

    #[test]
    fn an_ipv4_destination_is_found_in_one_word_and_as_ipv6_maps_it_and_not_once_its_number_is_another_ones() {
        let v4 = Ipv4Addr::new(192, 0, 2, 1);
        let both = [IpAddr::V4(v4), IpAddr::V6(v4.to_ipv6_mapped())];
        let others = [IpAddr::from([192, 0, 2, 2]), [1, 2, 0, 192].into(), IpAddr::V6(v4.to_ipv6_compatible())];
        for (taken_as, protocol) in both.into_iter().zip([SaProtocol::Esp, SaProtocol::Ah]) {
            let mut places = Places::default();
            let place = places.take(Target::new(taken_as, protocol));
            for destination in both {
                assert!(places.is(place, destination, protocol), "{taken_as} {destination}");
                let other = if protocol == SaProtocol::Esp { SaProtocol::Ah } else { SaProtocol::Esp };
                assert!(!places.is(place, destination, other));
                assert!(!places.is(Place::NOWHERE, destination, protocol));
                assert!(!places.is(Place::ELSEWHERE, destination, protocol));
            }
            assert!(others.iter().all(|other| !places.is(place, *other, protocol)));
            assert!(!Places::default().is(place, [0; 4].into(), protocol));
            places.give_back(place);
            let six = IpAddr::from([0x20; 16]);
            assert_eq!(places.take(Target::new(six, protocol)), place);
            assert!(places.is(place, six, protocol) && both.iter().all(|gone| !places.is(place, *gone, protocol)));
        }
    }

    #[test]
    fn a_stranger_is_forgotten_with_its_slot() {
        let mut strangers = Strangers::default();
        let target = |protocol| Target::new([192, 0, 2, 1].into(), protocol);
        strangers.insert(300, target(SaProtocol::Esp), 4);
        let find = |strangers: &Strangers, protocol| strangers.find(300, target(protocol));
        assert_eq!((find(&strangers, SaProtocol::Esp), find(&strangers, SaProtocol::Ah)), (Some(4), None));
        strangers.remove(4);
        assert_eq!(find(&strangers, SaProtocol::Esp), None);
    }
}
