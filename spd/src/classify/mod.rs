//! The index: from a packet to the first policy that matches, without asking them all.
//!
//! One per interface and family. A short list stands in blocks of bits. A longer one stands in hash
//! tables, with a per-field index that says which tables to ask, and what hashing cannot tell apart
//! stands in blocks beside them. A list made so that hashing is of no use stands in blocks, however
//! long. The linear scan of [`Database::explain`](crate::Database::explain) is
//! the oracle.

mod blocks;
mod entry;
mod tables;

pub(crate) use entry::{Flat, entries, family_of};

use blocks::Blocks;
use entry::{Address, Entry};
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
}

impl Sizes {
    const USUAL: Self = Self { large: 1024, small: 512 };
}

#[derive(Clone, Debug)]
pub(crate) struct Classifier<A> {
    /// Empty while the list is short.
    tables: Tables<A>,
    /// The whole list while it is short, else what the tables refused.
    blocks: Blocks<A>,
    large: bool,
    /// From how many entries on tables are tried: later, if they proved useless before.
    large_at: usize,
    sizes: Sizes,
}

impl<A: Address> Default for Classifier<A> {
    fn default() -> Self {
        Self {
            tables: Tables::default(),
            blocks: Blocks::default(),
            large: false,
            large_at: Sizes::USUAL.large,
            sizes: Sizes::USUAL,
        }
    }
}

impl<A: Address> Classifier<A> {
    pub fn insert(&mut self, policy: &crate::Policy, label: u64, slot: u32) {
        for entry in entries::<A>(policy, label, slot) {
            if !self.large && self.blocks.len() >= self.large_at {
                self.enlarge();
            }
            self.place(entry);
        }
    }

    pub fn remove(&mut self, policy: &crate::Policy, label: u64, slot: u32) {
        if self.large {
            for entry in entries::<A>(policy, label, slot) {
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
    pub fn relabel(&mut self, policy: &crate::Policy, old: u64, new: u64, slot: u32) {
        if self.large {
            for entry in entries::<A>(policy, old, slot) {
                self.tables.relabel(&entry, new);
            }
        }
        self.blocks.relabel(old, new);
    }

    /// Returns the slot of the first policy that matches; `ask` says whether a policy whose masks have holes does.
    #[inline]
    pub fn find(&self, key: &Flat<A>, ask: impl Fn(u32) -> bool) -> Option<u32> {
        if !self.large {
            return self.blocks.find(key, u64::MAX, &ask).map(|entry| entry.slot);
        }
        let found = self.tables.find(key, &ask);
        let bound = found.map_or(u64::MAX, |entry| entry.label);
        self.blocks.find(key, bound, &ask).or(found).map(|entry| entry.slot)
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
        if self.large && self.tables.is_scattered() {
            self.large_at = self.len() * 2;
            self.shrink();
        }
    }

    fn enlarge(&mut self) {
        self.large = true;
        for entry in core::mem::take(&mut self.blocks).iter() {
            self.place(*entry);
        }
        if !self.large {
            self.large_at = self.len() * 2;
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
