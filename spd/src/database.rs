use crate::interface::{Interface, InterfaceId, Interfaces, WhenEmpty};
use crate::order::Relabel;
use crate::{
    Action, AddressSet, DatabaseCounters, FilterCounters, FragmentCheck, Origin, Peer, Policy, PolicyCounters,
    PolicyError, PolicyId, Selector,
};
use alloc::boxed::Box;
use alloc::vec::Vec;
use thiserror::Error;

/// Where a policy is put in the list of its interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Position {
    /// After all others.
    #[default]
    Last,
    /// At this place, counted from 1; what stands there and after moves back.
    At(usize),
    /// Directly before this policy.
    Before(PolicyId),
}

/// Why the database refused a change: the caller's or operator's mistake. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// There is no such interface.
    #[error("there is no such interface")]
    NoInterface,
    /// The interface is there already.
    #[error("the interface is there already")]
    InterfaceExists,
    /// The policy was removed, replaced, or never of this database.
    #[error("policy {0} is gone")]
    NoPolicy(PolicyId),
    /// Positions are counted from 1 and may be at most one after the last.
    #[error("position {asked} is not between 1 and {last}")]
    Position {
        /// The position asked for.
        asked: usize,
        /// The last position there may be.
        last: usize,
    },
    /// The policy named stands on another interface.
    #[error("policy {0} is on another interface")]
    OtherInterface(PolicyId),
    /// Another policy of the interface has the name.
    #[error("another policy of the interface has this name")]
    DuplicateName,
    /// The database is full.
    #[error("the database holds its limit of {0} policies")]
    Full(usize),
    /// Only policies that protect, for any or dynamic peers, have instances.
    #[error("policy {0} is not one to make instances of")]
    NotInstantiable(PolicyId),
    /// The policy itself is impossible.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// A policy as it stands in the database.
#[derive(Debug)]
pub(crate) struct Record {
    pub policy: Policy,
    pub interface: InterfaceId,
    pub label: u64,
    pub hits: u64,
    pub instances: Vec<PolicyId>,
    pub counters: PolicyCounters,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    record: Option<Box<Record>>,
}

/// The policies of a host or gateway, ordered per interface: the first that matches decides, and what
/// none matches is dropped, RFC 4301 §4.4.1.
#[derive(Debug)]
pub struct Database {
    slots: Vec<Slot>,
    free: Vec<u32>,
    len: usize,
    limit: usize,
    pub(crate) interfaces: Interfaces,
    pub(crate) counters: DatabaseCounters,
    pub(crate) filters: FilterCounters,
}

impl Default for Database {
    fn default() -> Self {
        Self::new()
    }
}

impl Database {
    /// The most policies a database holds unless told otherwise.
    pub const DEFAULT_LIMIT: usize = 1 << 20;

    /// Returns an empty database.
    pub fn new() -> Self {
        Self::with_limit(Self::DEFAULT_LIMIT)
    }

    /// Returns an empty database that holds at most `limit` policies, instances included.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            len: 0,
            limit: limit.min(u32::MAX as usize),
            interfaces: Interfaces::default(),
            counters: DatabaseCounters::default(),
            filters: FilterCounters::default(),
        }
    }

    /// Adds an interface without policies.
    ///
    /// # Errors
    /// [`DatabaseError::InterfaceExists`].
    pub fn add_interface(&mut self, interface: InterfaceId, when_empty: WhenEmpty) -> Result<(), DatabaseError> {
        let added = self.interfaces.insert(interface, Interface { when_empty, ..Interface::default() });
        if added { Ok(()) } else { Err(DatabaseError::InterfaceExists) }
    }

    /// Removes an interface and its policies, and returns those, whose associations have to go.
    ///
    /// # Errors
    /// [`DatabaseError::NoInterface`].
    pub fn remove_interface(&mut self, interface: InterfaceId) -> Result<Vec<PolicyId>, DatabaseError> {
        let removed = self.interfaces.remove(interface).ok_or(DatabaseError::NoInterface)?;
        let ids: Vec<_> = removed.order.iter().filter_map(|slot| self.id(slot)).collect();
        for id in &ids {
            self.release(*id);
        }
        Ok(ids)
    }

    /// Says how a [`FragmentTracker`](crate::FragmentTracker) is to decide about fragments on an interface.
    ///
    /// # Errors
    /// [`DatabaseError::NoInterface`].
    pub fn set_fragment_check(&mut self, interface: InterfaceId, check: FragmentCheck) -> Result<(), DatabaseError> {
        self.interfaces.get_mut(interface).ok_or(DatabaseError::NoInterface)?.fragment_check = check;
        Ok(())
    }

    /// Returns how fragments are decided about on an interface.
    pub fn fragment_check(&self, interface: InterfaceId) -> Option<FragmentCheck> {
        self.interfaces.get(interface).map(|listed| listed.fragment_check)
    }

    /// Returns whether some policy of an interface asks for ports or a message type, which fragments may not show.
    pub fn selects_ports(&self, interface: InterfaceId) -> bool {
        self.interfaces.get(interface).is_some_and(|listed| listed.selecting_ports > 0)
    }

    /// Puts a policy into the list of an interface.
    ///
    /// # Errors
    /// [`DatabaseError`]; nothing changed.
    pub fn insert(
        &mut self,
        interface: InterfaceId,
        position: Position,
        policy: Policy,
    ) -> Result<PolicyId, DatabaseError> {
        let inserted = self.try_insert(interface, position, policy);
        let counters = &mut self.counters;
        let counter = if inserted.is_ok() { &mut counters.add_good } else { &mut counters.add_failed };
        *counter = counter.saturating_add(1);
        inserted
    }

    /// Removes a policy and the instances made of it, and returns all these, whose associations have to go.
    ///
    /// # Errors
    /// [`DatabaseError::NoPolicy`].
    pub fn remove(&mut self, id: PolicyId) -> Result<Vec<PolicyId>, DatabaseError> {
        let Some(record) = self.record(id) else {
            self.counters.delete_failed = self.counters.delete_failed.saturating_add(1);
            return Err(DatabaseError::NoPolicy(id));
        };
        let mut removed = record.instances.clone();
        removed.push(id);
        for id in &removed {
            self.withdraw(*id);
        }
        self.counters.delete_good = self.counters.delete_good.saturating_add(1);
        Ok(removed)
    }

    /// Replaces a policy by another in its place.
    ///
    /// The new one has a new id, and the old one's instances go: what was agreed for the old policy was
    /// not agreed for the new one. Returns the new id, and the ids whose associations have to go.
    ///
    /// # Errors
    /// [`DatabaseError`]; nothing changed.
    pub fn replace(&mut self, id: PolicyId, policy: Policy) -> Result<(PolicyId, Vec<PolicyId>), DatabaseError> {
        let replaced = self.try_replace(id, policy);
        let counters = &mut self.counters;
        let counter = if replaced.is_ok() { &mut counters.set_config_good } else { &mut counters.set_config_failed };
        *counter = counter.saturating_add(1);
        replaced
    }

    /// Moves a policy within the list of its interface. Its position is counted as if it had been taken out.
    ///
    /// # Errors
    /// [`DatabaseError`]; nothing changed.
    pub fn move_to(&mut self, id: PolicyId, position: Position) -> Result<(), DatabaseError> {
        let record = self.record(id).ok_or(DatabaseError::NoPolicy(id))?;
        let interface = record.interface;
        let last = self.interfaces.get(interface).map_or(0, |interface| interface.order.len());
        let index = match position {
            Position::Last => last.saturating_sub(1),
            Position::At(asked) if asked == 0 || asked > last => return Err(DatabaseError::Position { asked, last }),
            Position::At(asked) => asked - 1,
            Position::Before(other) if other == id => return Ok(()),
            Position::Before(other) => {
                let before = self.index_before(interface, other)?;
                let own = self.position(id).unwrap_or(0).saturating_sub(1);
                if own < before { before - 1 } else { before }
            }
        };
        self.unlist(id);
        self.list(id, index);
        Ok(())
    }

    /// Makes an instance of a policy for any or dynamic peers: a copy for one peer's addresses, directly
    /// before it.
    ///
    /// # Errors
    /// [`DatabaseError`]; nothing changed.
    pub fn instantiate(
        &mut self,
        of: PolicyId,
        name: &str,
        peer: Peer,
        local: Option<AddressSet>,
        remote: AddressSet,
    ) -> Result<PolicyId, DatabaseError> {
        let record = self.record(of).ok_or(DatabaseError::NoPolicy(of))?;
        let policy = &record.policy;
        let protects = matches!(policy.action(), Action::Protect(_));
        if !protects || !matches!(policy.peer(), Peer::Any | Peer::Dynamic) {
            return Err(DatabaseError::NotInstantiable(of));
        }
        let mut selector: Selector = policy.selector().clone();
        selector.remote = remote;
        if let Some(local) = local {
            selector.local = local;
        }
        let instance = policy.instance(of, name, selector)?.with_peer(peer);
        let interface = record.interface;
        let id = self.insert(interface, Position::Before(of), instance)?;
        if let Some(record) = self.record_mut(of) {
            record.instances.push(id);
        }
        Ok(id)
    }

    /// Returns the number of policies, instances included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there is no policy.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn try_insert(
        &mut self,
        interface: InterfaceId,
        position: Position,
        policy: Policy,
    ) -> Result<PolicyId, DatabaseError> {
        let listed = self.interfaces.get(interface).ok_or(DatabaseError::NoInterface)?;
        if self.len >= self.limit {
            return Err(DatabaseError::Full(self.limit));
        }
        if self.by_name(interface, policy.name()).is_some() {
            return Err(DatabaseError::DuplicateName);
        }
        let last = listed.order.len() + 1;
        let index = match position {
            Position::Last => last - 1,
            Position::At(asked) if asked == 0 || asked > last => return Err(DatabaseError::Position { asked, last }),
            Position::At(asked) => asked - 1,
            Position::Before(other) => self.index_before(interface, other)?,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let id = PolicyId { slot, generation: self.slots.get(slot as usize).map_or(0, |slot| slot.generation) };
        let record =
            Record { policy, interface, label: 0, hits: 0, instances: Vec::new(), counters: PolicyCounters::default() };
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.record = Some(Box::new(record));
            self.len += 1;
        }
        self.list(id, index);
        Ok(id)
    }

    fn try_replace(&mut self, id: PolicyId, policy: Policy) -> Result<(PolicyId, Vec<PolicyId>), DatabaseError> {
        let record = self.record(id).ok_or(DatabaseError::NoPolicy(id))?;
        let interface = record.interface;
        if self.by_name(interface, policy.name()).is_some_and(|other| other != id) {
            return Err(DatabaseError::DuplicateName);
        }
        let mut gone = record.instances.clone();
        for instance in &gone {
            self.withdraw(*instance);
        }
        let position = self.position(id).unwrap_or(1);
        self.withdraw(id);
        gone.push(id);
        let new = self.try_insert(interface, Position::At(position), policy)?;
        Ok((new, gone))
    }

    /// The index, counted from 0, of a policy that must stand on `interface`.
    fn index_before(&self, interface: InterfaceId, other: PolicyId) -> Result<usize, DatabaseError> {
        let record = self.record(other).ok_or(DatabaseError::NoPolicy(other))?;
        if record.interface != interface {
            return Err(DatabaseError::OtherInterface(other));
        }
        Ok(self.position(other).unwrap_or(1) - 1)
    }

    /// Puts a policy into the list of its interface, at `index` counted from 0.
    fn list(&mut self, id: PolicyId, index: usize) {
        let Self { slots, interfaces, .. } = self;
        let record = |slot: u32| {
            let found = slots.get(slot as usize)?;
            Some((PolicyId { slot, generation: found.generation }, found.record.as_ref()?))
        };
        let Some(listed) = record(id.slot).and_then(|(_, record)| interfaces.get_mut(record.interface)) else {
            return;
        };
        let mut relabelled = Vec::new();
        let label = listed.order.insert(index, id.slot, &mut relabelled);
        // Those that move down first to last, then those that move up last to first: so the labels
        // ascend at every step between.
        let down = relabelled.iter().filter(|relabel| relabel.new < relabel.old);
        let up = relabelled.iter().rev().filter(|relabel| relabel.new > relabel.old);
        for Relabel { slot, old, new } in down.chain(up) {
            if let Some((id, record)) = record(*slot) {
                listed.v4.relabel(&record.policy, *old, *new, id);
                listed.v6.relabel(&record.policy, *old, *new, id);
            }
        }
        if let Some((_, record)) = record(id.slot) {
            listed.names.insert(record.policy.name(), id.slot);
            listed.selecting_ports += usize::from(record.policy.selector().selects_ports());
            listed.v4.insert(&record.policy, label, id);
            listed.v6.insert(&record.policy, label, id);
        }
        relabelled.push(Relabel { slot: id.slot, old: 0, new: label });
        for Relabel { slot, new, .. } in relabelled {
            if let Some(record) = slots.get_mut(slot as usize).and_then(|slot| slot.record.as_mut()) {
                record.label = new;
            }
        }
    }

    /// Takes a policy out of the list of its interface.
    fn unlist(&mut self, id: PolicyId) {
        let Self { slots, interfaces, .. } = self;
        let Some(record) = slots.get(id.slot as usize).and_then(|slot| slot.record.as_ref()) else { return };
        let Some(listed) = interfaces.get_mut(record.interface) else { return };
        listed.order.remove(record.label);
        listed.names.remove(record.policy.name(), id.slot);
        listed.selecting_ports -= usize::from(record.policy.selector().selects_ports());
        listed.v4.remove(&record.policy, record.label, id);
        listed.v6.remove(&record.policy, record.label, id);
    }

    /// Takes a policy out for good.
    fn withdraw(&mut self, id: PolicyId) {
        self.unlist(id);
        self.orphan(id);
        self.release(id);
    }

    /// Takes a policy that goes for good out of its parent's instances.
    fn orphan(&mut self, id: PolicyId) {
        if let Some(Origin::Instance { of }) = self.policy(id).map(Policy::origin)
            && let Some(parent) = self.record_mut(of)
        {
            parent.instances.retain(|instance| *instance != id);
        }
    }

    /// Frees the slot of a policy; its id is stale from now on.
    fn release(&mut self, id: PolicyId) {
        let Some(slot) = self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation) else {
            return;
        };
        if slot.record.take().is_none() {
            return;
        }
        self.len -= 1;
        // A slot whose generations are used up is never used again, so no id comes back.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(id.slot);
        }
    }

    pub(crate) fn id(&self, slot: u32) -> Option<PolicyId> {
        let generation = self.slots.get(slot as usize)?.generation;
        Some(PolicyId { slot, generation })
    }

    pub(crate) fn policy_in(&self, slot: u32) -> Option<&Policy> {
        self.slots.get(slot as usize)?.record.as_ref().map(|record| &record.policy)
    }

    pub(crate) fn record(&self, id: PolicyId) -> Option<&Record> {
        self.slots.get(id.slot as usize).filter(|slot| slot.generation == id.generation)?.record.as_deref()
    }

    pub(crate) fn record_mut(&mut self, id: PolicyId) -> Option<&mut Record> {
        self.slots.get_mut(id.slot as usize).filter(|slot| slot.generation == id.generation)?.record.as_deref_mut()
    }

    pub(crate) fn records_mut(&mut self) -> impl Iterator<Item = &mut Record> {
        self.slots.iter_mut().filter_map(|slot| slot.record.as_deref_mut())
    }
}
