use super::slab::NIL;
use alloc::vec;
use alloc::vec::Vec;

/// A hash table from the hash of a chain to its first entry.
///
/// What it keeps of a hash says where it belongs, the highest bits first; who finds that place taken stands farther on,
/// and all stand in order. So a search ends at the first that is not below what it looks for, which is soon in a full
/// table too; and growth is one pass from front to back that looks at no entry.
#[derive(Clone, Debug)]
pub(super) struct Chains {
    /// A power of two of them where chains belong, not all in use, see [`room`]; then those [`beyond`].
    places: Vec<Chain>,
    /// How far right the bits of a tag are moved that say where it belongs.
    shift: u32,
    /// Places that are or were in use.
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Chain {
    /// Half of the hash; `NONE` where there is no chain.
    tag: u32,
    head: u32,
}

/// After every tag of a chain.
const NONE: u32 = u32::MAX;

impl Chain {
    const EMPTY: Self = Self { tag: NONE, head: NIL };
}

/// The places of a table with few entries, as a power of two.
const FEWEST: u32 = 3;
/// How far from where it belongs a chain stands at most. Chance does not get there.
const FARTHEST: usize = 64;

impl Default for Chains {
    fn default() -> Self {
        Self::empty(FEWEST)
    }
}

impl Chains {
    fn empty(bits: u32) -> Self {
        let places = 1 << bits;
        Self { places: vec![Chain::EMPTY; places + beyond(places)], shift: u32::BITS - bits, used: 0 }
    }

    /// Returns the first entry of the chain with this hash.
    #[inline(always)]
    pub fn head(&self, hash: u64) -> u32 {
        self.find(hash).map_or(NIL, |chain| self.head_at(chain))
    }

    /// As [`head`](Self::head), with one guess fewer: a processor that guessed wrong would not yet look for the chains
    /// of the packets that come after.
    #[inline(always)]
    pub fn head_in_batch(&self, hash: u64) -> u32 {
        let tag = tag(hash);
        let home = self.home(tag);
        let is_farther = self.places.get(home).is_some_and(|chain| chain.tag < tag);
        self.find_from(home + usize::from(is_farther), tag).map_or(NIL, |chain| self.head_at(chain))
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
        self.find_from(self.home(tag), tag)
    }

    #[inline(always)]
    fn find_from(&self, mut at: usize, tag: u32) -> Option<usize> {
        loop {
            let chain = self.places.get(at)?;
            if chain.tag >= tag {
                return (chain.tag == tag).then_some(at);
            }
            at = at.wrapping_add(1);
        }
    }

    /// Returns where the chain with this hash is, which is begun if there is none, unless too many belong there; `work`
    /// is told how many others moved.
    pub fn find_or_begin(&mut self, hash: u64, work: &mut u64) -> Option<usize> {
        if let Some(chain) = self.find(hash) {
            return Some(chain);
        }
        if self.used >= room(1 << self.bits()) {
            *work += self.grow();
        }
        self.begin(tag(hash), work)
    }

    /// Returns the octets this takes, itself not included.
    pub fn octets(&self) -> usize {
        self.places.capacity() * size_of::<Chain>()
    }

    const fn bits(&self) -> u32 {
        u32::BITS - self.shift
    }

    /// Returns where a chain belongs.
    #[inline(always)]
    const fn home(&self, tag: u32) -> usize {
        tag.wrapping_shr(self.shift) as usize
    }

    /// Begins a chain that is not here, where it belongs, if none has to stand too far from there for it.
    fn begin(&mut self, tag: u32, work: &mut u64) -> Option<usize> {
        let home = self.home(tag);
        let at = home + self.places.get(home..)?.iter().position(|other| other.tag > tag)?;
        let moved = self.places.get(at..)?.iter().position(|other| other.tag == NONE)?;
        let is_too_far = |(place, chain): (usize, &Chain)| place + 1 - self.home(chain.tag) > FARTHEST;
        if at - home > FARTHEST || (at..).zip(self.places.get(at..at + moved)?).any(is_too_far) {
            return None;
        }
        let run = self.places.get_mut(at..=at + moved)?;
        run.rotate_right(1);
        *run.first_mut()? = Chain { tag, head: NIL };
        *work += moved as u64;
        self.used += 1;
        Some(at)
    }

    /// Makes room for more chains, and drops those that are empty; returns how many were moved. None stands farther from
    /// where it belongs than before.
    fn grow(&mut self) -> u64 {
        let live = |chain: &&Chain| chain.head != NIL;
        let count = self.places.iter().filter(live).count();
        let mut bits = self.bits();
        while room(1 << bits) <= count * 5 / 4 {
            bits += 1;
        }
        let mut grown = Self::empty(bits);
        let mut free = 0;
        for chain in self.places.iter().filter(live) {
            let at = grown.home(chain.tag).max(free);
            if let Some(place) = grown.places.get_mut(at) {
                *place = *chain;
            }
            free = at + 1;
        }
        grown.used = count;
        core::mem::replace(self, grown).places.len() as u64
    }
}

/// How many places there are beyond those where chains belong: for all that may stand there.
const fn beyond(places: usize) -> usize {
    if room(places) < FARTHEST { room(places) } else { FARTHEST }
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
    (hash >> 32) as u32 & !1
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
    /// Begins a chain for each of these hashes; returns those that were not refused.
    fn begin_all(chains: &mut Chains, hashes: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut work = 0;
        let begun = hashes.filter(|hash| {
            let chain = chains.find_or_begin(*hash, &mut work);
            chain.inspect(|chain| chains.set_head(*chain, tag(*hash))).is_some()
        });
        let begun = begun.collect();
        assert!(work < 40_000 && chains.octets() <= 8192, "{work} {}", chains.octets());
        begun
    }

    #[test]
    fn chains_of_like_hashes_stand_near_where_they_belong_or_are_refused() {
        let like = |number: u64| number << 33;
        let mut chains = Chains::default();
        let begun = begin_all(&mut chains, (1..1000).map(|number| like(number * 389 % 1000)));
        assert_eq!(begun.len(), FARTHEST + 1);
        for hash in (0..1000).map(like) {
            assert_eq!(chains.head(hash), if begun.contains(&hash) { tag(hash) } else { NIL });
        }
        assert_eq!(begin_all(&mut chains, [like(1 << 30)].into_iter()).len(), 1);
    }

    #[test]
    fn chains_of_like_hashes_stand_beyond_the_last_place_where_chains_belong() {
        let mut chains = Chains::default();
        let begun = begin_all(&mut chains, (0..1000).map(|number: u64| !(number << 33)));
        assert_eq!(begun.len(), FARTHEST + 1);
        assert!(begun.iter().all(|hash| chains.head(*hash) == tag(*hash)));
    }
}
