use alloc::vec::Vec;

/// Items that keep their places, in chunks: taking one more in never moves the others.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
}

/// No place.
pub(super) const NIL: u32 = u32::MAX;
/// How many items a chunk holds.
const CHUNK: usize = 1024;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Returns the number of items.
    pub fn len(&self) -> usize {
        self.places() - self.free.len()
    }

    /// Returns the number of places, those that are free included.
    pub fn places(&self) -> usize {
        let last = self.chunks.last().map_or(0, Vec::len);
        self.chunks.len().saturating_sub(1) * CHUNK + last
    }

    /// Returns the item at a place; at a free one the item that was there last.
    #[inline(always)]
    pub fn at(&self, place: u32) -> Option<&T> {
        let place = place as usize;
        self.chunks.get(place / CHUNK)?.get(place % CHUNK)
    }

    pub fn at_mut(&mut self, place: u32) -> Option<&mut T> {
        let place = place as usize;
        self.chunks.get_mut(place / CHUNK)?.get_mut(place % CHUNK)
    }

    /// Takes an item in and returns its place.
    pub fn insert(&mut self, item: T) -> u32 {
        if let Some(place) = self.free.pop() {
            if let Some(old) = self.at_mut(place) {
                *old = item;
            }
            return place;
        }
        let place = self.places() as u32;
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => {
                if chunk.len() == chunk.capacity() {
                    // By an eighth and not by twice: items are most of what a list takes.
                    chunk.reserve_exact((chunk.len() / 8 + 8).min(CHUNK - chunk.len()));
                }
                chunk.push(item);
            }
            Some(_) | None => {
                let mut chunk = Vec::with_capacity(8);
                chunk.push(item);
                self.chunks.push(chunk);
            }
        }
        place
    }

    /// Frees a place.
    pub fn remove(&mut self, place: u32) {
        self.free.push(place);
    }

    /// Returns the items of all places in their order, those of free ones included.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.chunks.iter().flatten()
    }

    /// Returns the octets this takes.
    pub fn octets(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<T>()).sum::<usize>()
            + self.chunks.capacity() * size_of::<Vec<T>>()
            + self.free.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stay_and_free_ones_are_used_again() {
        let mut slab = Slab::default();
        let places: Vec<u32> = (0..CHUNK as u32 * 2 + 10).map(|item| slab.insert(item)).collect();
        for (item, place) in places.iter().enumerate() {
            assert_eq!(slab.at(*place), Some(&(item as u32)));
        }
        assert_eq!((slab.len(), slab.places()), (places.len(), places.len()));
        slab.remove(places[7]);
        assert_eq!((slab.len(), slab.places()), (places.len() - 1, places.len()));
        assert_eq!(slab.insert(99), places[7]);
        assert_eq!(slab.at(places[7]), Some(&99));
        assert_eq!(slab.at(NIL), None);
        assert_eq!(slab.iter().count(), places.len());
    }
}
