use alloc::vec::Vec;
use core::num::NonZeroU32;
use rand_core::Rng;

/// The slots of identifiers that this end chose: look-up is one probe of a sparse index.
///
/// Identifiers are drawn at random (or set by the operator), never by a peer, so their low bits
/// spread well by themselves and no peer can make them collide. The index holds whole identifiers, so
/// that a look-up touches nothing else; slots are dense, and those that came free are given out again.
#[derive(Debug, Default)]
pub(crate) struct IdIndex {
    /// Identifier and slot, the identifier 0 marking a free place; a power of two, at most half full.
    places: Vec<(u32, u32)>,
    free: Vec<u32>,
    slots: usize,
}

impl IdIndex {
    pub(crate) const fn len(&self) -> usize {
        self.slots - self.free.len()
    }

    #[inline]
    fn find(&self, id: u32) -> Option<(usize, usize)> {
        let mask = self.places.len().checked_sub(1)?;
        let mut place = id as usize & mask;
        loop {
            match *self.places.get(place)? {
                (0, _) => return None,
                (found, slot) if found == id => return Some((place, slot as usize)),
                _ => place = (place + 1) & mask,
            }
        }
    }

    /// Returns the slot of an identifier.
    #[inline]
    pub(crate) fn slot(&self, id: NonZeroU32) -> Option<usize> {
        self.find(id.get()).map(|(_, slot)| slot)
    }

    /// Gives an identifier a slot: one that came free, or the first that never was given; `None` if it has one.
    pub(crate) fn insert(&mut self, id: NonZeroU32) -> Option<usize> {
        if self.slot(id).is_some() {
            return None;
        }
        if (self.len() + 1) * 2 > self.places.len() {
            self.grow();
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            (self.slots - 1) as u32
        });
        self.place(id.get(), slot);
        Some(slot as usize)
    }

    fn grow(&mut self) {
        let size = (self.places.len() * 2).max(16);
        let old = core::mem::replace(&mut self.places, alloc::vec![(0, 0); size]);
        old.into_iter().filter(|(id, _)| *id != 0).for_each(|(id, slot)| self.place(id, slot));
    }

    fn place(&mut self, id: u32, slot: u32) {
        let mask = self.places.len().saturating_sub(1);
        let mut place = id as usize & mask;
        while let Some(entry) = self.places.get_mut(place) {
            if entry.0 == 0 {
                *entry = (id, slot);
                return;
            }
            place = (place + 1) & mask;
        }
    }

    /// Takes an identifier out and returns the slot it had, which is free from now on.
    pub(crate) fn remove(&mut self, id: NonZeroU32) -> Option<usize> {
        let (place, slot) = self.find(id.get())?;
        self.free.push(slot as u32);
        self.close_gap(place);
        Some(slot)
    }

    /// Moves later entries of a run forward, so that no probe stops short of them.
    fn close_gap(&mut self, mut gap: usize) {
        let mask = self.places.len().saturating_sub(1);
        let mut place = gap;
        loop {
            place = (place + 1) & mask;
            let Some(&(id, slot)) = self.places.get(place) else { return };
            if id != 0 && (place.wrapping_sub(id as usize & mask) & mask) < (place.wrapping_sub(gap) & mask) {
                continue;
            }
            if let Some(entry) = self.places.get_mut(gap) {
                *entry = (id, slot);
            }
            if id == 0 {
                return;
            }
            gap = place;
        }
    }
}

/// Values under identifiers that this end chose.
#[derive(Debug)]
pub(crate) struct IdTable<T> {
    index: IdIndex,
    slots: Vec<Option<(NonZeroU32, T)>>,
}

impl<T> Default for IdTable<T> {
    fn default() -> Self {
        Self { index: IdIndex::default(), slots: Vec::new() }
    }
}

impl<T> IdTable<T> {
    pub(crate) const fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn get(&self, id: NonZeroU32) -> Option<&T> {
        self.slots.get(self.index.slot(id)?)?.as_ref().map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, id: NonZeroU32) -> Option<&mut T> {
        self.slots.get_mut(self.index.slot(id)?)?.as_mut().map(|(_, value)| value)
    }

    pub(crate) fn contains(&self, id: NonZeroU32) -> bool {
        self.index.slot(id).is_some()
    }

    /// Puts a value under an identifier that is not taken; otherwise gives it back.
    pub(crate) fn insert(&mut self, id: NonZeroU32, value: T) -> Result<(), T> {
        let Some(slot) = self.index.insert(id) else { return Err(value) };
        match self.slots.get_mut(slot) {
            Some(place) => *place = Some((id, value)),
            None => self.slots.push(Some((id, value))),
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, id: NonZeroU32) -> Option<T> {
        let slot = self.index.remove(id)?;
        self.slots.get_mut(slot)?.take().map(|(_, value)| value)
    }

    /// Returns the values in the order of their slots, which depends on the calls made only.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NonZeroU32, &T)> {
        self.slots.iter().flatten().map(|(id, value)| (*id, value))
    }

    /// Draws an identifier that is not taken.
    pub(crate) fn draw(&self, rng: &mut impl Rng) -> NonZeroU32 {
        loop {
            if let Some(id) = NonZeroU32::new(rng.next_u32())
                && !self.contains(id)
            {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_table_equals_a_map(operations in proptest::collection::vec((1u32..40, 0u32..8, any::<bool>()), 0..300)) {
            let mut table = IdTable::default();
            let mut map = BTreeMap::new();
            for (low, high, insert) in operations {
                // Identifiers that collide in every low bit but five.
                let id = NonZeroU32::new(low | high << 20).unwrap();
                if insert {
                    let taken = table.insert(id, high).is_err();
                    prop_assert_eq!(taken, map.contains_key(&id));
                    map.entry(id).or_insert(high);
                } else {
                    prop_assert_eq!(table.remove(id), map.remove(&id));
                }
                prop_assert_eq!(table.len(), map.len());
                for low in 1..40 {
                    for high in 0..8 {
                        let id = NonZeroU32::new(low | high << 20).unwrap();
                        prop_assert_eq!(table.get(id), map.get(&id));
                    }
                }
            }
            prop_assert_eq!(table.iter().count(), map.len());
        }
    }
}
