use super::slab::NIL;
use alloc::vec;
use alloc::vec::Vec;

/// A hash table from the hash of a chain to its first entry.
///
/// What it keeps of a hash says where it belongs, the highest bits first: so it grows in one pass from front to back,
/// and looks at no entry for it.
#[derive(Clone, Debug)]
pub(super) struct Chains {
    /// A power of two of them, not all in use, see [`room`].
    places: Vec<Chain>,
    /// How far right the bits of a tag are moved that say where it belongs.
    shift: u32,
    /// Places that are or were in use.
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Chain {
    /// Half of the hash; 0 where there never was a chain.
    tag: u32,
    head: u32,
}

impl Chain {
    const EMPTY: Self = Self { tag: 0, head: NIL };
}

/// The places of a table with few entries, as a power of two.
const FEWEST: u32 = 3;

impl Default for Chains {
    fn default() -> Self {
        Self { places: vec![Chain::EMPTY; 1 << FEWEST], shift: u32::BITS - FEWEST, used: 0 }
    }
}

impl Chains {
    /// Returns the first entry of the chain with this hash.
    #[inline(always)]
    pub fn head(&self, hash: u64) -> u32 {
        match self.find(hash) {
            Some(chain) => self.head_at(chain),
            None => NIL,
        }
    }

    #[inline(always)]
    pub fn head_at(&self, chain: usize) -> u32 {
        match self.places.get(chain) {
            Some(chain) => chain.head,
            None => NIL,
        }
    }

    pub fn set_head(&mut self, chain: usize, head: u32) {
        if let Some(chain) = self.places.get_mut(chain) {
            chain.head = head;
        }
    }

    /// Returns where the chain with this hash is.
    #[inline(always)]
    pub fn find(&self, hash: u64) -> Option<usize> {
        let tag = tag(hash);
        let mut at = tag.wrapping_shr(self.shift) as usize;
        loop {
            let chain = self.places.get(at)?;
            if chain.tag == tag {
                return Some(at);
            }
            if chain.tag == 0 {
                return None;
            }
            at = at.wrapping_add(1) & self.places.len().wrapping_sub(1);
        }
    }

    /// Returns where the chain with this hash is, which is begun if there is none; `work` is told how many others moved.
    pub fn find_or_begin(&mut self, hash: u64, work: &mut u64) -> Option<usize> {
        if let Some(chain) = self.find(hash) {
            return Some(chain);
        }
        if self.used >= room(self.places.len()) {
            *work += self.grow();
        }
        self.begin(Chain { tag: tag(hash), head: NIL })
    }

    /// Returns the octets this takes, itself not included.
    pub fn octets(&self) -> usize {
        self.places.capacity() * size_of::<Chain>()
    }

    /// Puts a chain that is not here where it belongs.
    fn begin(&mut self, chain: Chain) -> Option<usize> {
        let mut at = chain.tag.wrapping_shr(self.shift) as usize;
        while self.places.get(at)?.tag != 0 {
            at = (at + 1) & (self.places.len() - 1);
        }
        *self.places.get_mut(at)? = chain;
        self.used += 1;
        Some(at)
    }

    /// Makes room for more chains, and drops those that are empty; returns how many were moved.
    fn grow(&mut self) -> u64 {
        let live = |chain: &&Chain| chain.head != NIL;
        let count = self.places.iter().filter(live).count();
        let mut places = self.places.len();
        while room(places) <= count * 5 / 4 {
            places *= 2;
        }
        let old = core::mem::replace(&mut self.places, vec![Chain::EMPTY; places]);
        self.shift = u32::BITS - places.ilog2();
        self.used = 0;
        for chain in old.iter().filter(live) {
            self.begin(*chain);
        }
        old.len() as u64
    }
}

/// How many chains a table of so many places has at most. The fewer there are, the fewer searches meet another's chain
/// first; but where there are many chains, empty places are memory that others of the list have to wait for.
const fn room(places: usize) -> usize {
    match places {
        0..4096 => places / 4,
        4096..32768 => places / 2,
        _ => places / 8 * 7,
    }
}

#[inline(always)]
const fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    #[test]
    fn what_was_put_in_is_found_through_growth_and_removal() {
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        let hashes: Vec<u64> = (0..1 << 14).map(|_| dice.next_u64()).collect();
        let mut chains = Chains::default();
        let mut known = BTreeMap::new();
        let mut work = 0;
        for (place, hash) in (0..).zip(&hashes) {
            let chain = chains.find_or_begin(*hash, &mut work).unwrap();
            chains.set_head(chain, place);
            known.insert(tag(*hash), place);
            let other = hashes[dice.next_u32() as usize % hashes.len()];
            if place % 3 == 0 && known.remove(&tag(other)).is_some() {
                chains.set_head(chains.find(other).unwrap(), NIL);
            }
        }
        for hash in &hashes {
            assert_eq!(chains.head(*hash), known.get(&tag(*hash)).copied().unwrap_or(NIL));
        }
        assert!(chains.octets() <= known.len() * 64, "{} for {}", chains.octets(), known.len());
        assert!(work < 5 * hashes.len() as u64, "{work}");
    }
}
