use super::address::Address;
use super::entry::{Entry, Flat};
use super::index::Index;
use super::slab::{NIL, Slab};
use super::table::{Refused, Standing, Table, Tuple};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::convert::Infallible;

/// Entries in hash tables, one for each combination of prefix lengths and exact fields that is in use,
/// and an index that says which tables can hold a match at all.
///
/// Tables are made from policies and never from packets, so no traffic makes more of them. What would
/// make a chain or the number of tables too long is refused, and goes elsewhere. No change waits for all entries:
/// they keep their places, a table that grows looks at none, and an index of another shape is made beside the old one,
/// some entries a change.
#[derive(Clone, Debug)]
pub(crate) struct Tables<A: Address> {
    tables: Vec<Table<A>>,
    /// The place in `tables` of the table with each id: its bit in the index.
    numbers: [u8; MAX_TABLES],
    entries: Slab<Entry<A>>,
    index: Index,
    renewal: Option<Box<Renewal>>,
    /// Entries removed since the index was begun: their bits are still in it.
    removed: usize,
    /// Whether entries that may share a table with more have one with fewer first.
    fine: bool,
    /// What changes cost so far, see [`work`](Self::work).
    work: u64,
}

/// An index being made, in which tables that have the first policies come first.
#[derive(Clone, Debug)]
struct Renewal {
    index: Index,
    /// It has the entries at lower places.
    done: u32,
    /// As in [`Tables`], once this is done.
    numbers: [u8; MAX_TABLES],
    /// The lowest label of the entries it has, for each id of a table.
    best: [u64; MAX_TABLES],
}

/// One bit of a word each.
const MAX_TABLES: usize = 64;
/// How many entries are looked up to weigh what look-ups cost.
const WEIGHED: usize = 64;
/// How many packets a batch takes through the tables side by side.
pub(crate) const LANES: usize = 32;
/// How many tables are fine: they tell apart by ports what addresses do not.
const FINE_TABLES: usize = 32;
/// How many entries a change takes into a new index, and after how many words written it takes no more.
const RENEWED: usize = 32;
const RENEWED_WORDS: u64 = 1 << 12;
/// Lists of up to so many entries change their form at once: they have not the memory for two.
pub(super) const AT_ONCE: usize = 192;

/// A search that has looked into its first chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    /// The tables to ask, a bit each.
    tables: u64,
    /// The first entry of the chain of the first of them.
    at: u32,
}

impl Begun {
    /// One that has no table to ask.
    pub const NONE: Self = Self { tables: 0, at: NIL };
}

impl<A: Address> Default for Tables<A> {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            numbers: [0; MAX_TABLES],
            entries: Slab::default(),
            index: Index::default(),
            renewal: None,
            removed: 0,
            fine: true,
            work: 0,
        }
    }
}

impl<A: Address> Tables<A> {
    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes an entry in, unless its chains are full or one covers it.
    pub fn insert(&mut self, entry: Entry<A>) -> Result<(), Entry<A>> {
        self.renew();
        let limits = [FINE_TABLES, MAX_TABLES, MAX_TABLES];
        let forms = Tuple::of(&entry).forms::<A>().into_iter().zip(limits).skip(usize::from(!self.fine));
        let mut placed = false;
        for (tuple, most) in forms {
            let table = self.table(tuple, most).and_then(|number| self.tables.get_mut(number));
            match table.map(|table| table.insert(entry, &mut self.entries, &mut self.work)) {
                Some(Ok(place)) => {
                    self.note(place);
                    placed = true;
                    break;
                }
                Some(Err(Refused::Covered)) => break,
                Some(Err(Refused::Full)) | None => {}
            }
        }
        if self.renewal.is_none() && self.index.is_outgrown(self.len()) {
            self.begin_renewal();
        }
        if placed { Ok(()) } else { Err(entry) }
    }

    /// Removes and returns an entry, if it was here.
    pub fn remove(&mut self, entry: &Entry<A>) -> Option<Entry<A>> {
        self.renew();
        let removed = self.take_out(entry);
        self.removed += usize::from(removed.is_some());
        if self.renewal.is_none() && self.removed > self.len().max(MAX_TABLES) {
            self.begin_renewal();
        }
        removed
    }

    /// Returns whether entries that may share a table with more have one with fewer first.
    pub fn are_fine(&self) -> bool {
        self.fine
    }

    /// Returns tables for a list so long that it takes all tables there may be: entries share them with more.
    pub fn shared() -> Self {
        Self { fine: false, ..Self::default() }
    }

    /// Returns the number of places that entries stand at, those that are free included.
    pub fn places(&self) -> usize {
        self.entries.places()
    }

    /// Takes out the entry at a place, to be put elsewhere.
    pub fn take(&mut self, place: usize) -> Option<Entry<A>> {
        let entry = *self.entries.at(place as u32).filter(|entry| !entry.is_void())?;
        self.take_out(&entry)
    }

    /// Marks an entry that covers this one; returns whether there is one.
    pub fn mark_covering(&mut self, entry: &Entry<A>) -> bool {
        let (near, far) = (entry.corner(), entry.far_corner());
        let mut tables = self.index.tables(&near) & self.index.tables(&far);
        while let Some(table) = self.tables.get(tables.trailing_zeros() as usize) {
            let mut at = table.chain(&near);
            while let Some(other) = self.entries.at(at) {
                if other.covers(entry) {
                    if let Some(other) = self.entries.at_mut(at) {
                        other.set_covering();
                    }
                    return true;
                }
                at = other.next;
            }
            tables &= tables - 1;
        }
        false
    }

    /// Gives an entry another label; its place among others stays. Returns whether it was here.
    pub fn relabel(&mut self, entry: &Entry<A>, new: u64) -> bool {
        let Some((number, standing)) = self.locate(entry) else { return false };
        if let Some(entry) = self.entries.at_mut(standing.place) {
            entry.label = new;
        }
        self.lower_best(number, new);
        true
    }

    /// Looks into the chain of the first table that can hold a match.
    #[inline(always)]
    pub fn begin(&self, key: &Flat<A>) -> Begun {
        self.begin_with(key, Table::chain)
    }

    #[inline(always)]
    fn begin_with(&self, key: &Flat<A>, chain: impl Fn(&Table<A>, &Flat<A>) -> u32) -> Begun {
        let tables = self.index.tables(key);
        let first = self.tables.get(tables.trailing_zeros() as usize);
        Begun { tables, at: first.map_or(NIL, |table| chain(table, key)) }
    }

    /// Begins up to [`LANES`] searches: all look into their first chain, then all look at its first entry. So they wait
    /// for memory together and not one after another.
    #[inline(always)]
    pub fn begin_batch(&self, keys: &[Flat<A>]) -> [Begun; LANES] {
        let mut begun = [Begun::NONE; LANES];
        for (begun, key) in begun.iter_mut().zip(keys) {
            *begun = self.begin_with(key, Table::chain_in_batch);
        }
        // The label is of no interest yet; that its line is on the way is.
        core::hint::black_box(begun.map(|begun| match self.entries.at(begun.at) {
            Some(entry) => entry.label,
            None => 0,
        }));
        begun
    }

    /// Returns what a look-up of packets like these entries costs: how many tables and entries it asks on average,
    /// and how far down the list the answer stands, as a part of 256.
    pub fn weigh(&self) -> (usize, usize) {
        let step = (self.entries.places() / WEIGHED).max(1);
        let sample = || self.entries.iter().step_by(step).filter(|entry| !entry.is_void());
        let (mut steps, mut before, mut count) = (0, 0, 0);
        for entry in sample() {
            let key = entry.corner();
            let found = self.search(&key, self.begin(&key), |_| Ok::<_, Infallible>(true), || steps += 1);
            let found = found.unwrap_or_else(|never| match never {});
            let label = found.map_or(u64::MAX, |found| found.label);
            before += sample().filter(|entry| entry.label < label).count();
            count += 1;
        }
        let count = count.max(1);
        (steps / count, before * 256 / (count * count))
    }

    /// Returns the matching entry with the lowest label: searches table by table, and calls `step` for each and for each
    /// entry asked. `ask` says whether an entry matches that is not exact.
    ///
    /// # Errors
    /// What `ask` says when it cannot say.
    #[inline(always)]
    pub fn search<E>(
        &self,
        key: &Flat<A>,
        Begun { mut tables, mut at }: Begun,
        ask: impl Fn(u32) -> Result<bool, E>,
        mut step: impl FnMut(),
    ) -> Result<Option<&Entry<A>>, E> {
        let mut found = None;
        let mut best = u64::MAX;
        while tables != 0 {
            step();
            while let Some(entry) = self.entries.at(at) {
                if entry.label >= best {
                    break;
                }
                step();
                if entry.matches(key) && (entry.is_exact() || ask(entry.slot())?) {
                    best = entry.label;
                    found = Some(entry);
                    break;
                }
                at = entry.next;
            }
            loop {
                tables &= tables.wrapping_sub(1);
                let Some(table) = self.tables.get(tables.trailing_zeros() as usize) else { return Ok(found) };
                if table.best_from_here >= best {
                    return Ok(found);
                }
                if table.best < best {
                    at = table.chain(key);
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Returns the octets this takes.
    pub fn octets(&self) -> usize {
        let renewal = self.renewal.as_ref().map_or(0, |renewal| size_of::<Renewal>() + renewal.index.octets());
        self.tables.capacity() * size_of::<Table<A>>()
            + self.tables.iter().map(Table::octets).sum::<usize>()
            + self.entries.octets()
            + self.index.octets()
            + renewal
    }

    /// Returns how many entries changes have moved and words of an index they have written so far.
    pub fn work(&self) -> u64 {
        self.work
    }

    /// The number of the table that an entry stands in, and where.
    fn locate(&self, entry: &Entry<A>) -> Option<(usize, Standing)> {
        Tuple::of(entry).forms::<A>().into_iter().find_map(|tuple| {
            let number = self.tables.iter().position(|table| table.tuple == tuple)?;
            Some((number, self.tables.get(number)?.locate(entry, &self.entries)?))
        })
    }

    fn take_out(&mut self, entry: &Entry<A>) -> Option<Entry<A>> {
        let (number, standing) = self.locate(entry)?;
        let entry = self.entries.at(standing.place).copied();
        if let Some(table) = self.tables.get_mut(number) {
            table.remove(standing, &mut self.entries);
        }
        entry
    }

    /// The table of a tuple, made if there are fewer than so many or one is of no use any more.
    fn table(&mut self, tuple: Tuple, most: usize) -> Option<usize> {
        if let Some(number) = self.tables.iter().position(|table| table.tuple == tuple) {
            return Some(number);
        }
        if self.tables.len() < most {
            let number = self.tables.len();
            // Its number is the next one in an index being made as well.
            let id = number as u8;
            self.tables.push(Table::new(tuple, id));
            for numbers in [Some(&mut self.numbers), self.renewal.as_mut().map(|renewal| &mut renewal.numbers)] {
                if let Some(place) = numbers.and_then(|numbers| numbers.get_mut(number)) {
                    *place = id;
                }
            }
            return Some(number);
        }
        // Bits that are left of an empty table cost a vain look.
        let number = self.tables.iter().position(|table| table.len == 0)?;
        self.tables.get_mut(number)?.turn_into(tuple);
        Some(number)
    }

    /// Notes that an entry was put at a place.
    fn note(&mut self, place: u32) {
        let Some(entry) = self.entries.at(place) else { return };
        let (label, id) = (entry.label, usize::from(entry.table));
        let number = self.numbers.get(id).map_or(0, |number| usize::from(*number));
        self.work += 1 + self.index.add(number, entry);
        if let Some(renewal) = self.renewal.as_mut().filter(|renewal| place < renewal.done) {
            self.work += renewal.add(entry);
        }
        self.lower_best(number, label);
    }

    /// Notes that a table holds an entry of this label.
    fn lower_best(&mut self, number: usize, label: u64) {
        if let Some(table) = self.tables.get_mut(number) {
            table.best = table.best.min(label);
            if let Some(best) = self.renewal.as_mut().and_then(|renewal| renewal.best.get_mut(usize::from(table.id))) {
                *best = label.min(*best);
            }
        }
        for table in self.tables.iter_mut().take(number + 1) {
            table.best_from_here = table.best_from_here.min(label);
        }
    }

    /// Begins an index for what is there.
    fn begin_renewal(&mut self) {
        self.removed = 0;
        let mut order: Vec<_> = self.tables.iter().map(|table| (table.best, table.id)).collect();
        order.sort_unstable();
        let mut numbers = self.numbers;
        for (number, (_, id)) in order.into_iter().enumerate() {
            if let Some(place) = numbers.get_mut(usize::from(id)) {
                *place = number as u8;
            }
        }
        let index = Index::shaped(&self.entries, !self.fine);
        self.work += index.words();
        self.renewal = Some(Box::new(Renewal { index, done: 0, numbers, best: [u64::MAX; MAX_TABLES] }));
        if self.entries.places() <= AT_ONCE {
            while self.renew() {}
        }
    }

    /// Goes on with an index that is being made, and takes it over once it has all entries; returns whether there is
    /// more to do.
    pub fn renew(&mut self) -> bool {
        let Some(renewal) = &mut self.renewal else { return false };
        let mut words = 0;
        for _ in 0..RENEWED {
            let Some(entry) = self.entries.at(renewal.done) else {
                self.end_renewal();
                return false;
            };
            if !entry.is_void() {
                words += renewal.add(entry);
            }
            renewal.done += 1;
            if words > RENEWED_WORDS {
                break;
            }
        }
        self.work += words;
        true
    }

    fn end_renewal(&mut self) {
        let Some(renewal) = self.renewal.take() else { return };
        let Renewal { index, numbers, best, .. } = *renewal;
        (self.index, self.numbers) = (index, numbers);
        let by_id = |id: u8| (numbers.get(usize::from(id)).copied(), best.get(usize::from(id)).copied());
        self.tables.sort_by_key(|table| by_id(table.id).0);
        let mut best = u64::MAX;
        for table in self.tables.iter_mut().rev() {
            table.best = by_id(table.id).1.unwrap_or(0);
            best = best.min(table.best);
            table.best_from_here = best;
        }
    }
}

impl Renewal {
    /// Takes an entry in; returns how many words that wrote.
    fn add<A: Address>(&mut self, entry: &Entry<A>) -> u64 {
        let id = usize::from(entry.table);
        if let Some(best) = self.best.get_mut(id) {
            *best = entry.label.min(*best);
        }
        self.index.add(self.numbers.get(id).map_or(0, |number| usize::from(*number)), entry)
    }
}
