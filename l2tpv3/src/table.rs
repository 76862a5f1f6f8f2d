use alloc::vec::Vec;
use core::num::NonZeroU32;
use rand_core::Rng;

/// Values under identifiers that this end chose: look-up is one probe of a sparse index.
///
/// Identifiers are drawn at random (or set by the operator), never by a peer, so their low bits
/// spread well by themselves and no peer can make them collide.
#[derive(Debug)]
pub(crate) struct IdTable<T> {
    /// Identifier and slot, the identifier 0 marking a free place; a power of two, at most half full.
    index: Vec<(u32, u32)>,
    slots: Vec<Option<(NonZeroU32, T)>>,
    free: Vec<u32>,
}

impl<T> Default for IdTable<T> {
    fn default() -> Self {
        Self { index: Vec::new(), slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> IdTable<T> {
    pub(crate) const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn find(&self, id: u32) -> Option<(usize, usize)> {
        let mask = self.index.len().checked_sub(1)?;
        let mut place = id as usize & mask;
        loop {
            match *self.index.get(place)? {
                (0, _) => return None,
                (found, slot) if found == id => return Some((place, slot as usize)),
                _ => place = (place + 1) & mask,
            }
        }
    }

    #[inline]
    pub(crate) fn get(&self, id: NonZeroU32) -> Option<&T> {
        let (_, slot) = self.find(id.get())?;
        self.slots.get(slot)?.as_ref().map(|(_, value)| value)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: NonZeroU32) -> Option<&mut T> {
        let (_, slot) = self.find(id.get())?;
        self.slots.get_mut(slot)?.as_mut().map(|(_, value)| value)
    }

    pub(crate) fn contains(&self, id: NonZeroU32) -> bool {
        self.find(id.get()).is_some()
    }

    /// Puts a value under an identifier that is not taken; otherwise gives it back.
    pub(crate) fn insert(&mut self, id: NonZeroU32, value: T) -> Result<(), T> {
        if self.contains(id) {
            return Err(value);
        }
        if (self.len() + 1) * 2 > self.index.len() {
            self.grow();
        }
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        match self.slots.get_mut(slot as usize) {
            Some(place) => *place = Some((id, value)),
            None => self.slots.push(Some((id, value))),
        }
        self.place(id.get(), slot);
        Ok(())
    }

    fn grow(&mut self) {
        let size = (self.index.len() * 2).max(16);
        self.index = alloc::vec![(0, 0); size];
        let taken: Vec<_> =
            (0u32..).zip(&self.slots).filter_map(|(n, slot)| slot.as_ref().map(|(id, _)| (id.get(), n))).collect();
        taken.into_iter().for_each(|(id, slot)| self.place(id, slot));
    }

    fn place(&mut self, id: u32, slot: u32) {
        let mask = self.index.len().saturating_sub(1);
        let mut place = id as usize & mask;
        while let Some(entry) = self.index.get_mut(place) {
            if entry.0 == 0 {
                *entry = (id, slot);
                return;
            }
            place = (place + 1) & mask;
        }
    }

    pub(crate) fn remove(&mut self, id: NonZeroU32) -> Option<T> {
        let (place, slot) = self.find(id.get())?;
        let (_, value) = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot as u32);
        self.close_gap(place);
        Some(value)
    }

    /// Moves later entries of a run forward, so that no probe stops short of them.
    fn close_gap(&mut self, mut gap: usize) {
        let mask = self.index.len().saturating_sub(1);
        let mut place = gap;
        loop {
            place = (place + 1) & mask;
            let Some(&(id, slot)) = self.index.get(place) else { return };
            if id != 0 && (place.wrapping_sub(id as usize & mask) & mask) < (place.wrapping_sub(gap) & mask) {
                continue;
            }
            if let Some(entry) = self.index.get_mut(gap) {
                *entry = (id, slot);
            }
            if id == 0 {
                return;
            }
            gap = place;
        }
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
