use crate::database::Database;
use crate::order::Order;
use crate::{Action, DatabaseCounters, FilterCounters, InterfaceId, Peer, Policy, PolicyCounters, PolicyId};
use alloc::vec::Vec;
use core::net::IpAddr;

/// A policy as it is configured: what an operator is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration<'a> {
    /// The interface whose list it is in.
    pub interface: InterfaceId,
    /// Its place in that list, counted from 1.
    pub position: usize,
    /// The policy.
    pub policy: &'a Policy,
}

/// What the database holds, and what it counted.
impl Database {
    /// Returns the policy.
    pub fn policy(&self, id: PolicyId) -> Option<&Policy> {
        self.record(id).map(|record| &record.policy)
    }

    /// Returns the interface of a policy.
    pub fn interface_of(&self, id: PolicyId) -> Option<InterfaceId> {
        self.record(id).map(|record| record.interface)
    }

    /// Returns the position of a policy in the list of its interface, counted from 1.
    pub fn position(&self, id: PolicyId) -> Option<usize> {
        let record = self.record(id)?;
        Some(self.interfaces.get(record.interface)?.order.position(record.label)? + 1)
    }

    /// Returns the policy at a position of an interface, counted from 1.
    pub fn at(&self, interface: InterfaceId, position: usize) -> Option<PolicyId> {
        self.id(self.interfaces.get(interface)?.order.at(position.checked_sub(1)?)?)
    }

    /// Returns the policies of an interface in order.
    pub fn iter(&self, interface: InterfaceId) -> impl Iterator<Item = (PolicyId, &Policy)> {
        let order = self.interfaces.get(interface).map(|interface| &interface.order);
        order.into_iter().flat_map(Order::iter).filter_map(|slot| Some((self.id(slot)?, self.policy_in(slot)?)))
    }

    /// Returns the interfaces.
    pub fn interfaces(&self) -> impl Iterator<Item = InterfaceId> {
        self.interfaces.ids()
    }

    /// Looks a policy up by its name for an operator, and counts that.
    pub fn look_up(&mut self, interface: InterfaceId, name: &str) -> Option<PolicyId> {
        let found = self.by_name(interface, name);
        let counters = &mut self.counters;
        let counter = if found.is_some() { &mut counters.get_good } else { &mut counters.get_failed };
        *counter = counter.saturating_add(1);
        found
    }

    /// Returns a policy as it is configured, for an operator, and counts that.
    pub fn configuration(&mut self, id: PolicyId) -> Option<Configuration<'_>> {
        let found = self.position(id).is_some();
        let counters = &mut self.counters;
        let counter = if found { &mut counters.get_config_good } else { &mut counters.get_config_failed };
        *counter = counter.saturating_add(1);
        let (interface, position) = (self.interface_of(id)?, self.position(id)?);
        Some(Configuration { interface, position, policy: self.policy(id)? })
    }

    /// Returns the policy of this name on an interface.
    pub fn by_name(&self, interface: InterfaceId, name: &str) -> Option<PolicyId> {
        let mut candidates = self.interfaces.get(interface)?.names.candidates(name);
        let slot = candidates.find(|slot| self.policy_in(*slot).is_some_and(|policy| policy.name() == name))?;
        self.id(slot)
    }

    /// Returns the policies that protect traffic with the peer at `address`, in order, those for that
    /// address before those for any; for a responder that has to choose.
    pub fn by_peer(&mut self, interface: InterfaceId, address: IpAddr) -> Vec<PolicyId> {
        let protecting = |policy: &Policy| matches!(policy.action(), Action::Protect(_));
        let mut exact = Vec::new();
        let mut open = Vec::new();
        for (id, policy) in self.iter(interface).filter(|(_, policy)| protecting(policy)) {
            match policy.peer() {
                Peer::Address(peer) if *peer == address => exact.push(id),
                Peer::Any | Peer::Dynamic => open.push(id),
                Peer::Address(_) | Peer::Host(_) => {}
            }
        }
        exact.append(&mut open);
        let counters = &mut self.counters;
        let counter =
            if exact.is_empty() { &mut counters.find_by_peer_failed } else { &mut counters.find_by_peer_good };
        *counter = counter.saturating_add(1);
        exact
    }

    /// Returns the policies whose names a pair of identities satisfies, in order.
    pub fn by_names(&self, interface: InterfaceId, local: Option<&str>, remote: Option<&str>) -> Vec<PolicyId> {
        let matching = |policy: &Policy| policy.selector().name_refusal(local, remote).is_none();
        self.iter(interface).filter(|(_, policy)| matching(policy)).map(|(id, _)| id).collect()
    }

    /// Returns the instances made of a policy.
    pub fn instances(&self, of: PolicyId) -> &[PolicyId] {
        self.record(of).map_or(&[], |record| &record.instances)
    }

    /// Returns how many packets met this policy.
    pub fn hits(&self, id: PolicyId) -> Option<u64> {
        self.record(id).map(|record| record.hits)
    }

    /// Returns the counters of a policy.
    pub fn policy_counters(&self, id: PolicyId) -> Option<&PolicyCounters> {
        self.record(id).map(|record| &record.counters)
    }

    /// Returns the counters of a policy, for those who process its packets and to reset them.
    pub fn policy_counters_mut(&mut self, id: PolicyId) -> Option<&mut PolicyCounters> {
        self.record_mut(id).map(|record| &mut record.counters)
    }

    #[cfg(test)]
    pub(crate) fn set_index_sizes(&mut self, interface: InterfaceId, sizes: crate::classify::Sizes) {
        if let Some(listed) = self.interfaces.get_mut(interface) {
            listed.v4.set_sizes(sizes);
            listed.v6.set_sizes(sizes);
        }
    }

    /// Returns whether entries of IPv4 stand in tables, or go there.
    #[cfg(test)]
    pub(crate) fn index_has_tables(&self, interface: InterfaceId) -> bool {
        self.interfaces.get(interface).is_some_and(|listed| listed.v4.has_tables())
    }

    /// Returns how many entries of IPv4 no look-up asks since others cover them, and whether it has to ask them for now.
    #[cfg(test)]
    pub(crate) fn index_covered(&self, interface: InterfaceId) -> (usize, bool) {
        self.interfaces.get(interface).map_or((0, false), |listed| listed.v4.covered())
    }

    /// Returns the octets the index of an interface takes, beside the policies themselves.
    pub fn index_octets(&self, interface: InterfaceId) -> usize {
        self.interfaces.get(interface).map_or(0, |listed| listed.v4.octets() + listed.v6.octets())
    }

    /// Goes on with what changes of the index of an interface have begun, some microseconds' worth, and returns whether
    /// there is more to do.
    ///
    /// Every change does the same, so nobody has to call this. But when a long list has just been loaded and no more
    /// changes come, look-ups are quicker once it has returned false.
    pub fn settle(&mut self, interface: InterfaceId) -> bool {
        self.interfaces.get_mut(interface).is_some_and(|listed| listed.v4.settle() | listed.v6.settle())
    }

    /// Returns what changes of the index of an interface cost so far: entries moved and words written.
    ///
    /// It grows by half a million at most with a change of one combination of ranges, and four for each policy: an
    /// index that changes its shape does so a part a change.
    pub fn index_work(&self, interface: InterfaceId) -> u64 {
        self.interfaces.get(interface).map_or(0, |listed| listed.v4.work() + listed.v6.work())
    }

    /// Returns the counters of the database.
    pub fn counters(&self) -> &DatabaseCounters {
        &self.counters
    }

    /// Returns the counters of the database, for those who look policies up on behalf of others.
    pub fn counters_mut(&mut self) -> &mut DatabaseCounters {
        &mut self.counters
    }

    /// Returns which selectors refused packets in [`explain`](Self::explain).
    pub fn filter_counters(&self) -> &FilterCounters {
        &self.filters
    }

    /// Sets the counters of the database and the filters to zero, and those of its policies with their hits.
    pub fn reset_counters(&mut self) {
        self.counters.reset();
        self.filters.reset();
        for record in self.records_mut() {
            record.hits = 0;
            record.counters.reset();
        }
    }
}
