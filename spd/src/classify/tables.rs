use super::address::{Address, mix};
use super::entry::{Entry, Flat};
use super::index::Index;
use alloc::vec;
use alloc::vec::Vec;

/// Entries in hash tables, one for each combination of prefix lengths and exact fields that is in use,
/// and an index that says which tables can hold a match at all.
///
/// Tables are made from policies and never from packets, so no traffic makes more of them. What would
/// make a chain or the number of tables too long is refused, and goes elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Tables<A: Address> {
    tables: Vec<Table<A>>,
    entries: Vec<Entry<A>>,
    free: Vec<u32>,
    index: Index,
    /// Entries removed since the index was built: their bits are still in it.
    removed: usize,
    /// From so many tables on, entries that may share one with more share it.
    fine: usize,
}

const NIL: u32 = u32::MAX;
/// One bit of a word each.
const MAX_TABLES: usize = 64;
/// How many entries are looked up to weigh what look-ups cost.
const WEIGHED: usize = 64;
/// How many packets a batch takes through the tables side by side.
pub(crate) const LANES: usize = 32;
/// How many tables are fine in lists of some thousand entries: they tell apart by ports what addresses do not.
const FINE_TABLES: usize = 32;
/// The longest chain: what a look-up asks of one table at most.
const MAX_CHAIN: usize = 16;

/// What the entries of a table have in common: at least so many bits of prefix, and these fields exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tuple {
    local: u8,
    remote: u8,
    /// `PROTOCOL`, `LOCAL_PORT`, `REMOTE_PORT`.
    exact: u8,
}

const PROTOCOL: u8 = 1;
const LOCAL_PORT: u8 = 2;
const REMOTE_PORT: u8 = 4;

#[derive(Clone, Debug)]
struct Table<A> {
    tuple: Tuple,
    /// The bits of a key that count.
    local: A,
    remote: A,
    rest: u64,
    /// The hash of a chain, cut, and its first entry. A power of two of them, at most half in use, see [`room`].
    chains: Vec<Chain>,
    used: usize,
    /// No entry has a lower label.
    best: u64,
    /// No entry of this or a later table has.
    best_from_here: u64,
}

/// A search that has looked into its first chain.
#[derive(Clone, Copy)]
struct Begun {
    /// The tables to ask, a bit each.
    tables: u64,
    /// The first entry of the chain of the first of them.
    at: u32,
}

#[derive(Clone, Copy, Debug)]
struct Chain {
    /// 0 where there never was a chain.
    tag: u32,
    head: u32,
}

impl Chain {
    const EMPTY: Self = Self { tag: 0, head: NIL };
}

impl<A: Address> Default for Tables<A> {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            entries: Vec::new(),
            free: Vec::new(),
            index: Index::default(),
            removed: 0,
            fine: FINE_TABLES,
        }
    }
}

impl<A: Address> Tables<A> {
    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Returns tables for a list so long that it takes all tables there may be: none of them is fine.
    pub fn shared() -> Self {
        Self { fine: 0, ..Self::default() }
    }

    /// Returns whether these may have fine tables.
    pub fn are_fine(&self) -> bool {
        self.fine > 0
    }

    /// Takes an entry in, unless its chains are full.
    pub fn insert(&mut self, entry: Entry<A>) -> Result<(), Entry<A>> {
        for (tuple, most) in Tuple::of(&entry).forms::<A>().into_iter().zip([self.fine, MAX_TABLES, MAX_TABLES]) {
            let Some(table) = self.table(tuple, most) else { continue };
            if self.put(table, entry) {
                return Ok(());
            }
        }
        Err(entry)
    }

    /// Removes an entry; returns whether it was here.
    pub fn remove(&mut self, entry: &Entry<A>) -> bool {
        let Some((table, chain, previous, at)) = self.locate(entry) else { return false };
        let next = self.entries.get(at as usize).map_or(NIL, |entry| entry.next);
        if let Some(previous) = self.entries.get_mut(previous as usize) {
            previous.next = next;
        } else if let Some(chain) = self.tables.get_mut(table).and_then(|table| table.chains.get_mut(chain)) {
            chain.head = next;
        }
        if let Some(entry) = self.entries.get_mut(at as usize) {
            // Not in a chain, and matches nothing.
            entry.kinds = 0;
        }
        self.free.push(at);
        self.removed += 1;
        if self.removed > self.len().max(MAX_TABLES) {
            self.rebuild_index();
        }
        true
    }

    /// Gives an entry another label; its place among others stays. Returns whether it was here.
    pub fn relabel(&mut self, entry: &Entry<A>, new: u64) -> bool {
        let Some((table, _, _, at)) = self.locate(entry) else { return false };
        if let Some(entry) = self.entries.get_mut(at as usize) {
            entry.label = new;
        }
        self.lower_best(table, new);
        true
    }

    /// Returns the matching entry with the lowest label.
    #[inline]
    pub fn find(&self, key: &Flat<A>, ask: &impl Fn(u32) -> bool) -> Option<&Entry<A>> {
        self.search(key, self.begin(key), ask, || {})
    }

    /// Tells `found` for each of up to [`LANES`] packets the matching entry with the lowest label. Both `ask` and
    /// `found` get the packet's number first.
    ///
    /// All look into their first chain, then all look at its first entry, then each goes on alone: so they wait for
    /// memory together and not one after another.
    #[inline(always)]
    pub fn find_batch<'a>(
        &'a self,
        keys: &[Flat<A>],
        ask: &impl Fn(usize, u32) -> bool,
        mut found: impl FnMut(usize, Option<&'a Entry<A>>),
    ) {
        let mut begun = [Begun { tables: 0, at: NIL }; LANES];
        for (begun, key) in begun.iter_mut().zip(keys) {
            *begun = self.begin(key);
        }
        // The label is of no interest yet; that its line is on the way is.
        core::hint::black_box(begun.map(|begun| self.entries.get(begun.at as usize).map_or(0, |entry| entry.label)));
        for (number, (key, begun)) in keys.iter().zip(begun).enumerate() {
            found(number, self.search(key, begun, &|slot| ask(number, slot), || {}));
        }
    }

    /// Returns what a look-up of packets like these entries costs: how many tables and entries it asks on average,
    /// and how far down the list the answer stands, as a part of 256.
    pub fn weigh(&self) -> (usize, usize) {
        let step = (self.entries.len() / WEIGHED).max(1);
        let sample = || self.entries.iter().step_by(step).filter(|entry| entry.kinds != 0);
        let (mut steps, mut before, mut count) = (0, 0, 0);
        for entry in sample() {
            let key = entry.corner();
            let found = self.search(&key, self.begin(&key), &|_| true, || steps += 1);
            let label = found.map_or(u64::MAX, |found| found.label);
            before += sample().filter(|entry| entry.label < label).count();
            count += 1;
        }
        let count = count.max(1);
        (steps / count, before * 256 / (count * count))
    }

    /// Looks into the chain of the first table that can hold a match.
    #[inline(always)]
    fn begin(&self, key: &Flat<A>) -> Begun {
        let tables = self.index.tables(key);
        let first = self.tables.get(tables.trailing_zeros() as usize);
        Begun { tables, at: first.map_or(NIL, |table| table.chain(table.hash_key(key))) }
    }

    /// Searches table by table, and calls `step` for each and for each entry asked.
    #[inline(always)]
    fn search(
        &self,
        key: &Flat<A>,
        begun: Begun,
        ask: &impl Fn(u32) -> bool,
        mut step: impl FnMut(),
    ) -> Option<&Entry<A>> {
        let Begun { mut tables, mut at } = begun;
        let mut found = None;
        let mut best = u64::MAX;
        while tables != 0 {
            step();
            while let Some(entry) = self.entries.get(at as usize) {
                if entry.label >= best {
                    break;
                }
                step();
                if entry.matches(key) && (entry.exact || ask(entry.slot())) {
                    best = entry.label;
                    found = Some(entry);
                    break;
                }
                at = entry.next;
            }
            loop {
                tables &= tables - 1;
                let Some(table) = self.tables.get(tables.trailing_zeros() as usize) else { return found };
                if table.best_from_here >= best {
                    return found;
                }
                if table.best < best {
                    at = table.chain(table.hash_key(key));
                    break;
                }
            }
        }
        found
    }

    /// Returns the entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<A>> {
        self.entries.iter().filter(|entry| entry.kinds != 0)
    }

    /// Returns the octets this takes.
    pub fn octets(&self) -> usize {
        let chains: usize = self.tables.iter().map(|table| table.chains.capacity() * size_of::<Chain>()).sum();
        self.entries.capacity() * size_of::<Entry<A>>()
            + self.free.capacity() * size_of::<u32>()
            + self.tables.capacity() * size_of::<Table<A>>()
            + self.index.octets()
            + chains
    }

    /// The table of a tuple, made if there are fewer than so many.
    fn table(&mut self, tuple: Tuple, most: usize) -> Option<usize> {
        if let Some(table) = self.tables.iter().position(|table| table.tuple == tuple) {
            return Some(table);
        }
        if self.tables.len() >= most {
            return None;
        }
        self.tables.push(Table::new(tuple));
        Some(self.tables.len() - 1)
    }

    fn put(&mut self, number: usize, mut entry: Entry<A>) -> bool {
        let Some(table) = self.tables.get_mut(number) else { return false };
        if (table.used + 1) * room(table.chains.len()) > table.chains.len() {
            table.grow(&self.entries);
        }
        let chain = table.chain_to_fill(table.hash_entry(&entry));
        let Some(chain) = table.chains.get_mut(chain) else { return false };
        let (mut before, mut length) = (NIL, 0);
        let mut at = chain.head;
        while let Some(other) = self.entries.get(at as usize) {
            if other.label <= entry.label {
                before = at;
            }
            length += 1;
            at = other.next;
        }
        if length >= MAX_CHAIN {
            return false;
        }
        entry.next = self.entries.get(before as usize).map_or(chain.head, |before| before.next);
        let place = match self.free.pop() {
            Some(place) => {
                if let Some(old) = self.entries.get_mut(place as usize) {
                    *old = entry;
                }
                place
            }
            None => {
                if self.entries.len() == self.entries.capacity() {
                    // By a quarter and not by twice: entries are most of what a list takes.
                    self.entries.reserve_exact(self.entries.len() / 4 + 8);
                }
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };
        match self.entries.get_mut(before as usize) {
            Some(before) => before.next = place,
            None => chain.head = place,
        }
        self.lower_best(number, entry.label);
        self.index.add(number, &entry);
        if self.index.is_outgrown(self.len()) {
            self.rebuild_index();
        }
        true
    }

    /// Notes that a table holds an entry of this label.
    fn lower_best(&mut self, number: usize, label: u64) {
        if let Some(table) = self.tables.get_mut(number) {
            table.best = table.best.min(label);
        }
        for table in self.tables.iter_mut().take(number + 1) {
            table.best_from_here = table.best_from_here.min(label);
        }
    }

    /// Finds the table, chain, entry before and entry that equals `wanted`.
    fn locate(&self, wanted: &Entry<A>) -> Option<(usize, usize, u32, u32)> {
        for tuple in Tuple::of(wanted).forms::<A>() {
            let Some(number) = self.tables.iter().position(|table| table.tuple == tuple) else { continue };
            let table = self.tables.get(number)?;
            let Some(chain) = table.chain_index(table.hash_entry(wanted)) else { continue };
            let (mut before, mut at) = (NIL, table.chains.get(chain)?.head);
            while let Some(entry) = self.entries.get(at as usize) {
                if entry.same(wanted) {
                    return Some((number, chain, before, at));
                }
                before = at;
                at = entry.next;
            }
        }
        None
    }

    /// Builds the index for what is there, and puts the tables of the first policies first.
    fn rebuild_index(&mut self) {
        self.removed = 0;
        self.tables.sort_by_key(|table| table.best);
        let mut index = Index::shaped(&self.entries);
        for (number, table) in self.tables.iter_mut().enumerate() {
            table.best = u64::MAX;
            for chain in &table.chains {
                let mut at = chain.head;
                while let Some(entry) = self.entries.get(at as usize) {
                    table.best = table.best.min(entry.label);
                    index.add(number, entry);
                    at = entry.next;
                }
            }
        }
        self.index = index;
        let mut best = u64::MAX;
        for table in self.tables.iter_mut().rev() {
            best = best.min(table.best);
            table.best_from_here = best;
        }
    }
}

impl<A: Address> Entry<A> {
    /// A key that lies in this entry.
    fn corner(&self) -> Flat<A> {
        let rest = self.rest() | u64::from(self.kinds.trailing_zeros());
        Flat { local: self.local().0, remote: self.remote().0, rest }
    }

    /// The rest of a key that lies in this entry.
    fn rest(&self) -> u64 {
        u64::from(self.local_port.0) << 48 | u64::from(self.remote_port.0) << 32 | u64::from(self.protocol.0) << 8
    }
}

impl Tuple {
    /// The finest tuple of an entry.
    fn of<A: Address>(entry: &Entry<A>) -> Self {
        let common_prefix = |(first, last): (A, A)| A::common_prefix(first, last) as u8;
        let exact = |range: bool, bit| if range { bit } else { 0 };
        Self {
            local: common_prefix(entry.local()),
            remote: common_prefix(entry.remote()),
            exact: exact(entry.protocol.0 == entry.protocol.1, PROTOCOL)
                | exact(entry.local_port.0 == entry.local_port.1, LOCAL_PORT)
                | exact(entry.remote_port.0 == entry.remote_port.1, REMOTE_PORT),
        }
    }

    /// The tuples of the tables that an entry may stand in, the one it is put into first before the others: shared with
    /// others like it, shared with more, its own.
    fn forms<A: Address>(self) -> [Self; 3] {
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

impl<A: Address> Table<A> {
    fn new(tuple: Tuple) -> Self {
        let field = |bit, mask| if tuple.exact & bit != 0 { mask } else { 0 };
        let rest = field(LOCAL_PORT, 0xffff << 48) | field(REMOTE_PORT, 0xffff << 32) | field(PROTOCOL, 0xff << 8);
        let (local, remote) = (A::prefix(tuple.local.into()), A::prefix(tuple.remote.into()));
        Self {
            tuple,
            local,
            remote,
            rest,
            chains: vec![Chain::EMPTY; 8],
            used: 0,
            best: u64::MAX,
            best_from_here: u64::MAX,
        }
    }

    #[inline(always)]
    fn hash_key(&self, key: &Flat<A>) -> u64 {
        self.hash(key.local, key.remote, key.rest)
    }

    fn hash_entry(&self, entry: &Entry<A>) -> u64 {
        self.hash(entry.local().0, entry.remote().0, entry.rest())
    }

    #[inline(always)]
    fn hash(&self, local: A, remote: A, rest: u64) -> u64 {
        mix(A::join(local.and(self.local), remote.and(self.remote)), rest & self.rest)
    }

    /// The first entry of the chain with this hash.
    #[inline(always)]
    fn chain(&self, hash: u64) -> u32 {
        self.chain_index(hash).and_then(|index| self.chains.get(index)).map_or(NIL, |chain| chain.head)
    }

    #[inline(always)]
    fn chain_index(&self, hash: u64) -> Option<usize> {
        let (mask, tag) = (self.chains.len() - 1, tag(hash));
        let mut index = hash as usize & mask;
        loop {
            let chain = self.chains.get(index)?;
            if chain.tag == tag {
                return Some(index);
            }
            if chain.tag == 0 {
                return None;
            }
            index = (index + 1) & mask;
        }
    }

    /// The place of the chain with this hash, which is begun if there is none.
    fn chain_to_fill(&mut self, hash: u64) -> usize {
        let (mask, tag) = (self.chains.len() - 1, tag(hash));
        let mut index = hash as usize & mask;
        while let Some(chain) = self.chains.get_mut(index) {
            if chain.tag == 0 {
                chain.tag = tag;
                self.used += 1;
            }
            if chain.tag == tag {
                break;
            }
            index = (index + 1) & mask;
        }
        index
    }

    /// Makes room for more chains, and drops those that are empty.
    fn grow(&mut self, entries: &[Entry<A>]) {
        let heads: Vec<u32> = self.chains.iter().map(|chain| chain.head).filter(|head| *head != NIL).collect();
        self.chains = vec![Chain::EMPTY; (heads.len().max(2) * room(self.chains.len()) * 3 / 2).next_power_of_two()];
        self.used = 0;
        for head in heads {
            let Some(entry) = entries.get(head as usize) else { continue };
            let index = self.chain_to_fill(self.hash_entry(entry));
            if let Some(chain) = self.chains.get_mut(index) {
                chain.head = head;
            }
        }
    }
}

/// How many times as many places as chains a table of so many places has at least. The more there are, the fewer
/// searches meet another's chain first; but places of large tables are memory to wait for.
const fn room(places: usize) -> usize {
    if places < 4096 { 4 } else { 2 }
}

#[inline(always)]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}
