use alloc::collections::BTreeMap;
use alloc::vec::Vec;

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
}

/// Destination, as 128 bits, and protocol.
pub(crate) type Target = ([u64; 2], u8);

/// The numbers of destinations and protocols, while associations use them.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Place 1 first; how many slots use it.
    known: Vec<(Target, u32)>,
}

impl Places {
    /// Returns whether a place is this one.
    #[inline]
    pub fn is(&self, place: Place, target: Target) -> bool {
        let index = usize::from(place.0).wrapping_sub(1);
        self.known.get(index).is_some_and(|(known, _)| *known == target)
    }

    /// Returns the number of a target for one more slot; [`Place::ELSEWHERE`] if all are in use.
    pub fn take(&mut self, target: Target) -> Place {
        let same = self.known.iter().position(|(known, users)| *users > 0 && *known == target);
        let index = match same.or_else(|| self.known.iter().position(|(_, users)| *users == 0)) {
            Some(index) => index,
            None if self.known.len() < usize::from(Place::ELSEWHERE.0) - 1 => {
                self.known.push((target, 0));
                self.known.len() - 1
            }
            None => return Place::ELSEWHERE,
        };
        if let Some((known, users)) = self.known.get_mut(index) {
            *known = target;
            *users += 1;
        }
        Place(u8::try_from(index + 1).unwrap_or(Place::ELSEWHERE.0))
    }

    /// Returns the number of a target that one slot uses no more.
    pub fn give_back(&mut self, place: Place) {
        let index = usize::from(place.0).wrapping_sub(1);
        if let Some((_, users)) = self.known.get_mut(index) {
            *users = users.saturating_sub(1);
        }
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
        let target = |n: u64| ([0, n], 50);
        for n in 0..254 {
            let place = places.take(target(n));
            assert!(places.is(place, target(n)) && !places.is(place, ([0, n], 51)));
            assert_eq!(places.take(target(n)), place);
        }
        assert_eq!(places.take(target(254)), Place::ELSEWHERE);
        assert!(!places.is(Place::ELSEWHERE, target(254)) && !places.is(Place::NOWHERE, target(0)));
        places.give_back(Place(4));
        assert_eq!(places.take(target(254)), Place::ELSEWHERE);
        places.give_back(Place(4));
        assert_eq!(places.take(target(254)), Place(4));
        assert!(places.is(Place(4), target(254)));
    }

    #[test]
    fn a_stranger_is_forgotten_with_its_slot() {
        let mut strangers = Strangers::default();
        strangers.insert(300, ([0, 1], 50), 4);
        assert_eq!((strangers.find(300, ([0, 1], 50)), strangers.find(300, ([0, 1], 51))), (Some(4), None));
        strangers.remove(4);
        assert_eq!(strangers.find(300, ([0, 1], 50)), None);
    }
}
