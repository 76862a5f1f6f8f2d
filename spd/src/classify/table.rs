use super::above;
use super::address::{Address, mix};
use super::chains::Chains;
use super::entry::{Entry, Flat};
use super::slab::{NIL, Slab};

/// The entries of one combination of prefix lengths and exact fields, hashed by what these leave of a packet. Those of
/// one hash are a chain, in the order of the list.
#[derive(Clone, Debug)]
pub(super) struct Table<A> {
    pub tuple: Tuple,
    /// A number of its own, as long as it is there.
    pub id: u8,
    /// The bits of a key that count.
    local: A,
    remote: A,
    above: u64,
    /// No entry has a lower label.
    pub best: u64,
    /// No entry of this or a later table has.
    pub best_from_here: u64,
    /// How many entries there are.
    pub len: usize,
    chains: Chains,
}

/// What the entries of a table have in common: at least so many bits of prefix, and these fields exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tuple {
    local: u8,
    remote: u8,
    /// `PROTOCOL`, `LOCAL_PORT`, `REMOTE_PORT`.
    exact: u8,
}

const PROTOCOL: u8 = 1;
const LOCAL_PORT: u8 = 2;
const REMOTE_PORT: u8 = 4;
/// The longest chain: what a look-up asks of one table at most.
const MAX_CHAIN: usize = 16;

/// Why a table does not take an entry in.
pub(super) enum Refused {
    /// Its chain is as long as chains may be.
    Full,
    /// An earlier entry of its chain matches all that it does.
    Covered,
}

/// Where an entry stands in a table.
pub(super) struct Standing {
    chain: usize,
    before: u32,
    pub place: u32,
}

impl<A: Address> Table<A> {
    pub fn new(tuple: Tuple, id: u8) -> Self {
        let field = |bit, mask| if tuple.exact & bit != 0 { mask } else { 0 };
        let above = field(LOCAL_PORT, 0xffff << above::LOCAL_PORT)
            | field(REMOTE_PORT, 0xffff << above::REMOTE_PORT)
            | field(PROTOCOL, 0xff << above::PROTOCOL);
        Self {
            tuple,
            id,
            local: A::prefix(tuple.local.into()),
            remote: A::prefix(tuple.remote.into()),
            above,
            best: u64::MAX,
            best_from_here: u64::MAX,
            len: 0,
            chains: Chains::default(),
        }
    }

    /// Becomes the table of another tuple, with no entries.
    pub fn turn_into(&mut self, tuple: Tuple) {
        let best_from_here = self.best_from_here;
        *self = Self { best_from_here, ..Self::new(tuple, self.id) };
    }

    /// Returns the first entry of the chain that a packet's match would be in.
    #[inline(always)]
    pub fn chain(&self, key: &Flat<A>) -> u32 {
        self.chains.head(self.hash(key.local, key.remote, key.above))
    }

    /// As [`chain`](Self::chain), for one of many packets.
    #[inline(always)]
    pub fn chain_in_batch(&self, key: &Flat<A>) -> u32 {
        self.chains.head_in_batch(self.hash(key.local, key.remote, key.above))
    }

    /// Takes an entry in, unless its chain is full or covers it; returns its place. Adds to `work` what had to move.
    pub fn insert(
        &mut self,
        mut entry: Entry<A>,
        entries: &mut Slab<Entry<A>>,
        work: &mut u64,
    ) -> Result<u32, Refused> {
        let chain = self.chains.find_or_begin(self.hash_entry(&entry), work).ok_or(Refused::Full)?;
        let (mut before, mut length) = (NIL, 0);
        let mut at = self.chains.head_at(chain);
        while let Some(other) = entries.at(at) {
            if other.covers(&entry) {
                return Err(Refused::Covered);
            }
            if other.label <= entry.label {
                before = at;
            }
            length += 1;
            at = other.next;
        }
        if length >= MAX_CHAIN {
            return Err(Refused::Full);
        }
        entry.table = self.id;
        entry.next = entries.at(before).map_or(self.chains.head_at(chain), |before| before.next);
        let place = entries.insert(entry);
        match entries.at_mut(before) {
            Some(before) => before.next = place,
            None => self.chains.set_head(chain, place),
        }
        self.len += 1;
        Ok(place)
    }

    /// Takes an entry out and frees its place.
    pub fn remove(&mut self, Standing { chain, before, place }: Standing, entries: &mut Slab<Entry<A>>) {
        let Some(entry) = entries.at_mut(place) else { return };
        // Not in a chain, and matches nothing.
        entry.make_void();
        let next = entry.next;
        match entries.at_mut(before) {
            Some(before) => before.next = next,
            None => self.chains.set_head(chain, next),
        }
        entries.remove(place);
        self.len -= 1;
    }

    /// Finds the entry that equals `wanted`.
    pub fn locate(&self, wanted: &Entry<A>, entries: &Slab<Entry<A>>) -> Option<Standing> {
        let chain = self.chains.find(self.hash_entry(wanted))?;
        let (mut before, mut place) = (NIL, self.chains.head_at(chain));
        while let Some(entry) = entries.at(place) {
            if entry.same(wanted) {
                return Some(Standing { chain, before, place });
            }
            (before, place) = (place, entry.next);
        }
        None
    }

    /// Returns the octets this takes, itself not included.
    pub fn octets(&self) -> usize {
        self.chains.octets()
    }

    fn hash_entry(&self, entry: &Entry<A>) -> u64 {
        self.hash(entry.local().0, entry.remote().0, entry.above.first_fields())
    }

    #[inline(always)]
    fn hash(&self, local: A, remote: A, above: u64) -> u64 {
        mix(A::join(local.and(self.local), remote.and(self.remote)), above & self.above)
    }
}

impl Tuple {
    /// The finest tuple of an entry.
    pub fn of<A: Address>(entry: &Entry<A>) -> Self {
        let common_prefix = |(first, last): (A, A)| A::common_prefix(first, last) as u8;
        fn exact<T: PartialEq>((first, last): (T, T), bit: u8) -> u8 {
            if first == last { bit } else { 0 }
        }
        Self {
            local: common_prefix(entry.local()),
            remote: common_prefix(entry.remote()),
            exact: exact(entry.above.protocol(), PROTOCOL)
                | exact(entry.above.local_port(), LOCAL_PORT)
                | exact(entry.above.remote_port(), REMOTE_PORT),
        }
    }

    /// The tuples of the tables that an entry may stand in, the one it is put into first before the others: shared with
    /// others like it, shared with more, its own.
    pub fn forms<A: Address>(self) -> [Self; 3] {
        let cut = |length: u8| {
            let at_most = |coarse: &&u32| **coarse <= u32::from(length);
            A::COARSE.iter().find(at_most).map_or(0, |coarse| *coarse as u8)
        };
        let (local, remote) = (cut(self.local), cut(self.remote));
        let both = u32::from(local) + u32::from(remote);
        let coarse = |enough: u32| Self { local, remote, exact: if both >= enough { 0 } else { self.exact } };
        [coarse(A::PLENTY), coarse(A::ENOUGH), self]
    }
}
