use crate::FragmentCheck;
use crate::classify::Classifier;
use crate::order::Order;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::hash::BuildHasher;

/// An interface: a number the owner of the database gives and understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(pub u32);

/// What happens on an interface that has no policies at all. With one policy or more, what none of
/// them matches is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenEmpty {
    /// Everything is dropped, RFC 4301 §5.
    #[default]
    Discard,
    /// Everything passes in the clear, as on routers where the first policy turns protection on.
    Bypass,
}

#[derive(Debug, Default)]
pub(crate) struct Interface {
    pub when_empty: WhenEmpty,
    pub order: Order,
    pub v4: Classifier<u32>,
    pub v6: Classifier<u128>,
    pub fragment_check: FragmentCheck,
    /// How many policies ask for ports or a message type.
    pub selecting_ports: usize,
    pub names: Names,
}

/// The slots of policies by hashes of their names: a tree, since a hash table would move all names at once to grow.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeSet<(u64, u32)>);

impl Names {
    pub fn insert(&mut self, name: &str, slot: u32) {
        self.0.insert((Self::hash(name), slot));
    }

    pub fn remove(&mut self, name: &str, slot: u32) {
        self.0.remove(&(Self::hash(name), slot));
    }

    /// Returns the slots of policies that may have this name: one or none, as good as always.
    pub fn candidates(&self, name: &str) -> impl Iterator<Item = u32> {
        let hash = Self::hash(name);
        self.0.range((hash, 0)..=(hash, u32::MAX)).map(|(_, slot)| *slot)
    }

    fn hash(name: &str) -> u64 {
        foldhash::fast::FixedState::default().hash_one(name)
    }
}

/// The interfaces in the order of their ids: few, so that a list is quicker than a tree.
#[derive(Debug, Default)]
pub(crate) struct Interfaces(Vec<(InterfaceId, Box<Interface>)>);

impl Interfaces {
    #[inline]
    pub fn get(&self, id: InterfaceId) -> Option<&Interface> {
        match self.0.as_slice() {
            // The usual number of them.
            [(only, interface)] => (*only == id).then_some(interface),
            all => Some(&all.get(self.place(id).ok()?)?.1),
        }
    }

    pub fn get_mut(&mut self, id: InterfaceId) -> Option<&mut Interface> {
        let place = self.place(id).ok()?;
        Some(&mut self.0.get_mut(place)?.1)
    }

    /// Adds an interface; returns whether there was none of this id.
    pub fn insert(&mut self, id: InterfaceId, interface: Interface) -> bool {
        let Err(place) = self.place(id) else { return false };
        self.0.insert(place, (id, Box::new(interface)));
        true
    }

    pub fn remove(&mut self, id: InterfaceId) -> Option<Box<Interface>> {
        let place = self.place(id).ok()?;
        Some(self.0.remove(place).1)
    }

    pub fn ids(&self) -> impl Iterator<Item = InterfaceId> {
        self.0.iter().map(|(id, _)| *id)
    }

    fn place(&self, id: InterfaceId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |(id, _)| *id)
    }
}
