//! The index: from a packet to the first policy that matches, without asking them all.
//!
//! One per interface and family. A short list stands in blocks of bits. A longer one stands in hash
//! tables, with a per-field index that says which tables to ask, and what hashing cannot tell apart
//! stands in blocks beside them. A list made so that hashing is of no use stands in blocks, however
//! long. The linear scan of [`Database::explain`](crate::Database::explain) is
//! the oracle.

mod address;
mod blocks;
mod entry;
mod index;
mod tables;

pub(crate) use address::Address;
pub(crate) use entry::Flat;
pub(crate) use tables::LANES;

use crate::{Decision, Policy, PolicyId};
use blocks::Blocks;
use entry::{Entry, entries};
use tables::Tables;

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

impl Sizes {
    const USUAL: Self = Self { large: 64, small: 40, long: 1 << 15, weighed: true };
}

#[derive(Clone, Debug)]
pub(crate) struct Classifier<A: Address> {
    /// Empty while the list is short.
    tables: Tables<A>,
    /// The whole list while it is short, else what the tables refused.
    blocks: Blocks<A>,
    large: bool,
    /// From how many entries on tables are tried: later, if they proved useless before.
    large_at: usize,
    /// At how many entries it is weighed next whether the tables are of use.
    weigh_at: usize,
    sizes: Sizes,
}

impl<A: Address> Default for Classifier<A> {
    fn default() -> Self {
        Self {
            tables: Tables::default(),
            blocks: Blocks::default(),
            large: false,
            large_at: Sizes::USUAL.large,
            weigh_at: 0,
            sizes: Sizes::USUAL,
        }
    }
}

impl<A: Address> Classifier<A> {
    pub fn insert(&mut self, policy: &Policy, label: u64, id: PolicyId) {
        for entry in entries::<A>(policy, label, id) {
            if !self.large && self.blocks.len() >= self.large_at {
                self.enlarge();
            }
            self.place(entry);
        }
    }

    pub fn remove(&mut self, policy: &Policy, label: u64, id: PolicyId) {
        if self.large {
            for entry in entries::<A>(policy, label, id) {
                self.tables.remove(&entry);
            }
        }
        self.blocks.remove(label);
        if self.len() < self.sizes.small {
            self.large_at = self.sizes.large;
            if self.large {
                self.shrink();
            }
        }
    }

    /// Takes over new labels, in list order. They do not change the order of the list.
    pub fn relabel(&mut self, policy: &Policy, old: u64, new: u64, id: PolicyId) {
        if self.large {
            for entry in entries::<A>(policy, old, id) {
                self.tables.relabel(&entry, new);
            }
        }
        self.blocks.relabel(old, new);
    }

    /// Returns what the first policy that matches decides; `ask` says of a slot whether its policy matches, where
    /// the index cannot.
    #[inline]
    pub fn find(&self, key: &Flat<A>, ask: impl Fn(u32) -> bool) -> Option<Decision> {
        let mut found = if self.large { self.tables.find(key, &ask) } else { None };
        if self.blocks.len() > 0 {
            let bound = found.map_or(u64::MAX, |entry| entry.label);
            found = self.blocks.find(key, bound, &ask).or(found);
        }
        found.map(|entry| entry.decision)
    }

    /// Tells `found` for each of up to [`LANES`] packets what [`find`](Self::find) returns. Both `ask` and `found` get
    /// the packet's number first.
    #[inline]
    pub fn find_batch(
        &self,
        keys: &[Flat<A>],
        ask: impl Fn(usize, u32) -> bool,
        mut found: impl FnMut(usize, Option<Decision>),
    ) {
        if !self.large {
            for (number, key) in keys.iter().enumerate() {
                found(number, self.find(key, |slot| ask(number, slot)));
            }
            return;
        }
        let blocks = self.blocks.len() > 0;
        self.tables.find_batch(keys, &ask, |number, mut entry| {
            if let (true, Some(key)) = (blocks, keys.get(number)) {
                let bound = entry.map_or(u64::MAX, |entry| entry.label);
                entry = self.blocks.find(key, bound, &|slot| ask(number, slot)).or(entry);
            }
            found(number, entry.map(|entry| entry.decision));
        });
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.tables.len() + self.blocks.len()
    }

    /// Returns the octets this takes.
    pub fn octets(&self) -> usize {
        self.blocks.octets() + if self.large { self.tables.octets() } else { 0 }
    }

    #[cfg(test)]
    pub fn set_sizes(&mut self, sizes: Sizes) {
        self.sizes = sizes;
        self.large_at = sizes.large;
    }

    fn place(&mut self, entry: Entry<A>) {
        let refused = if self.large { self.tables.insert(entry) } else { Err(entry) };
        if let Err(entry) = refused {
            self.blocks.insert(entry);
        }
        if self.large && self.len() >= self.weigh_at {
            self.weigh_at = self.len() * 2;
            if self.sizes.weighed && self.are_tables_useless() {
                self.large_at = self.len() * 2;
                self.shrink();
            } else if self.len() >= self.sizes.long && self.tables.are_fine() {
                let tables = core::mem::replace(&mut self.tables, Tables::shared());
                for entry in tables.iter() {
                    self.place(*entry);
                }
            }
        }
    }

    /// Whether a look-up would cost less if the whole list stood in blocks, counted in what asking a table or an entry
    /// costs.
    fn are_tables_useless(&self) -> bool {
        let (steps, depth) = self.tables.weigh();
        let blocks = |entries: usize| BLOCKS_AT_ALL + BLOCK * (1 + entries * depth / 256 / BLOCK_ENTRIES);
        let beside = if self.blocks.len() > 0 { blocks(self.blocks.len()) } else { 0 };
        steps + beside > blocks(self.len())
    }

    fn enlarge(&mut self) {
        self.large = true;
        // Weighed when all are in their places.
        self.weigh_at = self.blocks.len().max(1);
        for entry in core::mem::take(&mut self.blocks).iter() {
            self.place(*entry);
        }
    }

    fn shrink(&mut self) {
        self.large = false;
        let tables = core::mem::take(&mut self.tables);
        let mut all: alloc::vec::Vec<_> = tables.iter().chain(self.blocks.iter()).copied().collect();
        all.sort_by_key(|entry| entry.label);
        self.blocks = Blocks::from_sorted(&all);
    }
}
