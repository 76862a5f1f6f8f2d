//! The index: from a packet to the first policy that matches, without asking them all.
//!
//! One per interface and family. A short list stands in blocks of bits. A longer one stands in hash
//! tables, with a per-field index that says which tables to ask, and what hashing cannot tell apart
//! stands in blocks beside them; what of it an earlier policy covers stands aside and is not asked. A list
//! made so that hashing is of no use stands in blocks, however long. The linear scan of
//! [`Database::explain`](crate::Database::explain) is the oracle.

mod above;
mod address;
mod blocks;
mod chains;
mod covered;
mod entry;
mod index;
mod sites;
mod slab;
mod table;
mod tables;

pub(crate) use address::Address;
pub(crate) use entry::Flat;
pub(crate) use tables::LANES;

use crate::{Policy, PolicyId};
use alloc::vec::Vec;
use blocks::Blocks;
use core::convert::Infallible;
use covered::Covered;
use entry::{Entry, entries};
use tables::{AT_ONCE, Tables};

#[cfg(test)]
mod differential;

/// When a list changes its form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// From so many entries on it stands in tables.
    pub large: usize,
    /// Below so many it stands in blocks again.
    pub small: usize,
    /// From so many on entries share tables with more, since there are not enough tables.
    pub long: usize,
    /// Whether it is weighed if tables are of use; tests of the tables alone do not.
    pub weighed: bool,
}

/// What blocks cost, where asking a table costs 1: at all, and for each block. As measured, about.
const BLOCKS_AT_ALL: usize = 6;
const BLOCK: usize = 5;
/// How many entries a block holds on average.
const BLOCK_ENTRIES: usize = 384;
/// How many entries tables are tried with, before all go into them.
const TRIED: usize = 256;
/// How many covered entries a change finds another place for at most, about.
const UNCOVERED: usize = 8;
/// How many entries move from one form to the other with each that is inserted or removed.
const MOVED: usize = 32;

impl Sizes {
    const USUAL: Self = Self { large: 64, small: 40, long: 1 << 15, weighed: true };
}

/// Answers are found in tables, then in blocks: so entries move from one to the other a few at a time, and no change
/// waits for them all.
#[derive(Clone, Debug)]
pub(crate) struct Classifier<A: Address> {
    /// None while the list is short.
    tables: Option<Tables<A>>,
    /// Tables that entries leave for others.
    former: Option<Tables<A>>,
    /// The whole list while it is short, else what the tables refused.
    blocks: Blocks<A>,
    /// What the tables refused and nothing can ever meet first.
    covered: Covered<A>,
    moving: Moving,
    /// From how many entries on tables are tried: later, if they proved useless before.
    large_at: usize,
    /// At how many entries it is weighed next whether the tables are of use.
    weigh_at: usize,
    sizes: Sizes,
    /// The work of tables that are gone.
    work: u64,
}

/// The first entry that matches of those in the tables; an error where there are none, or some would have to be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InTables<'a, A: Address>(Result<Option<&'a Entry<A>>, ()>);

/// What goes where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moving {
    /// All stay, and new ones go into the tables if there are any.
    None,
    /// Those in blocks of lower labels than this go into the tables, and new ones do.
    IntoTables(u64),
    /// Those at lower places than this in the tables go into blocks, and new ones do.
    IntoBlocks(usize),
    /// Those at this and higher places of the former tables go into the others, and new ones do.
    FromFormerTables(usize),
}

impl<A: Address> Default for Classifier<A> {
    fn default() -> Self {
        Self {
            tables: None,
            former: None,
            blocks: Blocks::default(),
            covered: Covered::default(),
            moving: Moving::None,
            large_at: Sizes::USUAL.large,
            weigh_at: 0,
            sizes: Sizes::USUAL,
            work: 0,
        }
    }
}

impl<A: Address> Classifier<A> {
    pub fn insert(&mut self, policy: &Policy, label: u64, id: PolicyId) {
        for entry in entries::<A>(policy, label, id) {
            if self.tables.is_none() && self.blocks.len() >= self.large_at {
                self.try_tables();
            }
            self.move_on();
            self.place(entry);
            self.uncover();
            self.weigh();
        }
    }

    pub fn remove(&mut self, policy: &Policy, label: u64, id: PolicyId) {
        for tables in self.tables.iter_mut().chain(&mut self.former) {
            for entry in entries::<A>(policy, label, id) {
                if let Some(entry) = tables.remove(&entry) {
                    self.covered.lose(entry);
                }
            }
        }
        self.covered.remove(label);
        for entry in self.blocks.remove(label) {
            self.covered.lose(entry);
        }
        self.move_on();
        self.uncover();
        if self.len() < self.sizes.small {
            self.large_at = self.sizes.large;
            self.give_up_tables();
        }
    }

    /// Takes over new labels, in list order. They do not change the order of the list.
    pub fn relabel(&mut self, policy: &Policy, old: u64, new: u64, id: PolicyId) {
        for tables in self.tables.iter_mut().chain(&mut self.former) {
            for entry in entries::<A>(policy, old, id) {
                tables.relabel(&entry, new);
            }
        }
        self.blocks.relabel(old, new);
        self.covered.relabel(old, new);
    }

    /// Returns what the first policy that matches decides, if that can be told from exact entries in tables alone: else
    /// [`find_beside`](Self::find_beside) goes on with what it returns. That is seldom and stands apart: the rest is short
    /// enough for a processor to work on two packets at a time.
    #[inline(always)]
    pub fn find(&self, key: &Flat<A>) -> Result<Option<&Entry<A>>, InTables<'_, A>> {
        let Some(tables) = &self.tables else { return Err(InTables(Err(()))) };
        self.judge(tables.search(key, tables.begin(key), |_| Err(()), || {}))
    }

    /// Returns what the first policy that matches decides, where tables alone do not tell; `ask` says of a slot whether
    /// its policy matches.
    pub fn find_beside<'a>(
        &'a self,
        key: &Flat<A>,
        InTables(found): InTables<'a, A>,
        ask: impl Fn(u32) -> bool,
    ) -> Option<&'a Entry<A>> {
        let search = |tables: &'a Tables<A>| match tables.search(key, tables.begin(key), |slot| Ok(ask(slot)), || {}) {
            Ok(found) => found,
            Err::<_, Infallible>(never) => match never {},
        };
        let found = found.unwrap_or_else(|()| self.tables.as_ref().and_then(search));
        let former = self.former.as_ref().and_then(search);
        let found = [found, former].into_iter().flatten().min_by_key(|entry| entry.label);
        let bound = |found: Option<&Entry<A>>| found.map_or(u64::MAX, |entry| entry.label);
        let found = self.blocks.find(key, bound(found), &ask).or(found);
        self.covered.find(key, bound(found), &ask).or(found)
    }

    /// Tells `found` for each of up to [`LANES`] packets what the first policy that matches decides. Both `ask` and
    /// `found` get the packet's number first.
    #[inline]
    pub fn find_batch(
        &self,
        keys: &[Flat<A>],
        ask: impl Fn(usize, u32) -> bool,
        mut found: impl FnMut(usize, Option<&Entry<A>>),
    ) {
        let beside = |number: usize, key, in_tables| self.find_beside(key, in_tables, |slot| ask(number, slot));
        let Some(tables) = &self.tables else {
            for (number, key) in keys.iter().enumerate() {
                found(number, beside(number, key, InTables(Err(()))));
            }
            return;
        };
        for (number, (key, begun)) in keys.iter().zip(tables.begin_batch(keys)).enumerate() {
            let first = self.judge(tables.search(key, begun, |_| Err(()), || {}));
            found(number, first.unwrap_or_else(|in_tables| beside(number, key, in_tables)));
        }
    }

    /// Says whether what was found in the tables is all there is to find.
    #[inline(always)]
    fn judge<'a>(&self, found: Result<Option<&'a Entry<A>>, ()>) -> Result<Option<&'a Entry<A>>, InTables<'a, A>> {
        match found {
            Ok(entry)
                if self.former.is_none() && !self.blocks.may_come_before(entry) && !self.covered.is_in_doubt() =>
            {
                Ok(entry)
            }
            Ok(_) | Err(()) => Err(InTables(found)),
        }
    }

    /// Goes on with what changes have begun; returns whether there is more to do.
    pub fn settle(&mut self) -> bool {
        self.move_on();
        self.uncover();
        let mut renews = false;
        for tables in self.tables.iter_mut().chain(&mut self.former) {
            renews |= tables.renew();
        }
        renews || self.moving != Moving::None || self.covered.is_in_doubt()
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.tables.iter().chain(&self.former).map(Tables::len).sum::<usize>() + self.blocks.len() + self.covered.len()
    }

    /// Returns the octets this takes.
    pub fn octets(&self) -> usize {
        self.blocks.octets()
            + self.covered.octets()
            + self.tables.iter().chain(&self.former).map(Tables::octets).sum::<usize>()
    }

    /// Returns what changes cost so far: entries moved and words written.
    pub fn work(&self) -> u64 {
        let tables: u64 = self.tables.iter().chain(&self.former).map(Tables::work).sum();
        self.work + self.blocks.work() + self.covered.work() + tables
    }

    #[cfg(test)]
    pub fn set_sizes(&mut self, sizes: Sizes) {
        self.sizes = sizes;
        self.large_at = sizes.large;
    }

    #[cfg(test)]
    pub fn has_tables(&self) -> bool {
        self.tables.is_some()
    }

    #[cfg(test)]
    pub fn covered(&self) -> (usize, bool) {
        (self.covered.len(), self.covered.is_in_doubt())
    }

    fn place(&mut self, entry: Entry<A>) {
        let refused = match &mut self.tables {
            Some(tables) if !matches!(self.moving, Moving::IntoBlocks(_)) => tables.insert(entry),
            Some(_) | None => Err(entry),
        };
        let Err(entry) = refused else { return };
        if self.tables.is_some() && self.mark_covering(&entry) {
            self.covered.insert(entry);
        } else {
            self.blocks.insert(entry);
        }
    }

    /// Looks for an entry that covers this one and marks it; returns whether there is one.
    fn mark_covering(&mut self, entry: &Entry<A>) -> bool {
        self.tables.as_mut().is_some_and(|tables| tables.mark_covering(entry)) || self.blocks.mark_covering(entry)
    }

    /// Finds a place again for some of the covered that nothing covers any more.
    fn uncover(&mut self) {
        for policy in self.covered.doubtful(UNCOVERED).chunk_by(|a, b| a.label == b.label) {
            if policy.iter().all(|entry| self.mark_covering(entry)) {
                continue;
            }
            for entry in policy.first().map_or(Vec::new(), |entry| self.covered.remove(entry.label)) {
                self.place(entry);
            }
        }
    }

    /// Moves some entries on to where they go.
    fn move_on(&mut self) {
        match (self.moving, &mut self.tables) {
            (Moving::IntoTables(below), Some(_)) => {
                let batch = self.blocks.take(below, MOVED);
                match batch.iter().map(|entry| entry.label).min() {
                    Some(lowest) => self.moving = Moving::IntoTables(lowest),
                    None => {
                        self.moving = Moving::None;
                        self.weigh_at = 0;
                    }
                }
                for entry in batch {
                    self.place(entry);
                }
            }
            (Moving::IntoBlocks(0), _) => {
                self.work += self.tables.take().map_or(0, |tables| tables.work());
                self.moving = Moving::None;
            }
            (Moving::IntoBlocks(below), Some(tables)) => {
                let first = below.saturating_sub(MOVED);
                for entry in (first..below).filter_map(|place| tables.take(place)) {
                    self.blocks.insert(entry);
                }
                self.moving = Moving::IntoBlocks(first);
            }
            // From the front: those that came first are of the first policies most often, and get the best places.
            (Moving::FromFormerTables(from), _) => {
                let Some(former) = &mut self.former else { return };
                let end = former.places().min(from + MOVED);
                let batch: Vec<_> = (from..end).filter_map(|place| former.take(place)).collect();
                self.moving = Moving::FromFormerTables(end);
                if from == end {
                    self.work += self.former.take().map_or(0, |tables| tables.work());
                    self.moving = Moving::None;
                }
                for entry in batch {
                    self.place(entry);
                }
            }
            (Moving::None, _) | (_, None) => {}
        }
    }

    /// Moves all entries on if they are few.
    fn move_few(&mut self) {
        while self.len() <= AT_ONCE && self.moving != Moving::None {
            self.move_on();
        }
    }

    /// Begins to move all entries into tables, unless those are of no use to a sample of them: until all have moved, a
    /// look-up asks both forms.
    fn try_tables(&mut self) {
        let len = self.blocks.len();
        if self.sizes.weighed && len > AT_ONCE {
            let mut trial = Self { tables: Some(Tables::default()), ..Self::default() };
            for entry in self.blocks.iter().step_by((len / TRIED).max(1)) {
                trial.place(*entry);
            }
            while trial.settle() {}
            self.work += trial.work();
            if trial.are_tables_useless() {
                self.large_at = 2 * len;
                return;
            }
        }
        self.tables = Some(Tables::default());
        self.moving = Moving::IntoTables(u64::MAX);
        self.move_few();
    }

    /// Weighs from time to time if the tables are of use.
    fn weigh(&mut self) {
        if self.moving != Moving::None || self.tables.is_none() || self.len() < self.weigh_at {
            return;
        }
        let len = self.len();
        self.weigh_at = len * 2;
        if self.sizes.weighed && self.are_tables_useless() {
            self.large_at = len * 2;
            self.give_up_tables();
        } else if len >= self.sizes.long && self.tables.as_ref().is_some_and(Tables::are_fine) {
            self.former = self.tables.replace(Tables::shared());
            self.moving = Moving::FromFormerTables(0);
        }
    }

    /// Whether a look-up would cost less if the whole list stood in blocks, counted in what asking a table or an entry
    /// costs.
    fn are_tables_useless(&self) -> bool {
        let Some(tables) = &self.tables else { return true };
        let (steps, depth) = tables.weigh();
        let blocks = |entries: usize| BLOCKS_AT_ALL + BLOCK * (1 + entries * depth / 256 / BLOCK_ENTRIES);
        let beside = if self.blocks.len() > 0 { blocks(self.blocks.len()) } else { 0 };
        steps + beside > blocks(self.len())
    }

    fn give_up_tables(&mut self) {
        // What is being left is left first.
        if let (Some(tables), Moving::None | Moving::IntoTables(_)) = (&self.tables, self.moving) {
            self.moving = Moving::IntoBlocks(tables.places());
            self.move_few();
        }
    }
}
