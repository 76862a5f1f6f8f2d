//! Addresses for clients, lent as long as an ISAKMP SA of theirs lives.

use crate::identity::Identity;
use crate::ids::{ConnectionId, IkeSaId};
use crate::transaction::UserName;
use alloc::collections::{BTreeMap, BTreeSet};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who gets an address: the user, or where there is none the peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) connection: ConnectionId,
    pub(crate) identity: Identity,
    pub(crate) user: Option<UserName>,
}

/// An address that is lent.
#[derive(Debug)]
struct Lease {
    owner: Owner,
    /// Where the client is: the same owner at another place is another client.
    place: IpAddr,
    sas: BTreeSet<IkeSaId>,
}

/// A range of addresses for clients.
///
/// The same owner at the same place keeps its address over renewals, and gets it again when it comes
/// back, as long as others have not used up all that were never lent. What is kept is bounded by the
/// size of the range.
#[derive(Debug)]
pub(crate) struct AddressPool {
    /// The next address that was never lent, `None` when there is none.
    fresh: Option<IpAddr>,
    first: IpAddr,
    last: IpAddr,
    leases: BTreeMap<IpAddr, Lease>,
    by_sa: BTreeMap<IkeSaId, IpAddr>,
    by_client: BTreeMap<(Owner, IpAddr), IpAddr>,
    /// The addresses that were given back, in that order, and whose they were.
    idle: BTreeMap<u64, (IpAddr, Owner)>,
    idle_at: BTreeMap<IpAddr, u64>,
    remembered: BTreeMap<Owner, u64>,
    last_idle: u64,
}

impl AddressPool {
    /// Returns a pool of all addresses from the first to the last.
    pub(crate) const fn new(first: IpAddr, last: IpAddr) -> Self {
        Self {
            fresh: Some(first),
            first,
            last,
            leases: BTreeMap::new(),
            by_sa: BTreeMap::new(),
            by_client: BTreeMap::new(),
            idle: BTreeMap::new(),
            idle_at: BTreeMap::new(),
            remembered: BTreeMap::new(),
            last_idle: 0,
        }
    }

    /// Lends an address to an SA, `None` when all are lent.
    pub(crate) fn lend(&mut self, sa: IkeSaId, owner: &Owner, place: IpAddr, wish: Option<IpAddr>) -> Option<IpAddr> {
        if let Some(address) = self.by_sa.get(&sa) {
            return Some(*address);
        }
        let client = (owner.clone(), place);
        // Under an SA that is being renewed the same client has one already.
        let shared = self.by_client.get(&client).copied();
        let address = shared
            .or_else(|| self.remembered(owner))
            .or_else(|| wish.filter(|wish| self.is_free_for_all(*wish)))
            .or_else(|| self.next_fresh())
            .or_else(|| self.idle.first_key_value().map(|(_, (address, _))| *address))?;
        self.forget_idle(address);
        let lease =
            self.leases.entry(address).or_insert_with(|| Lease { owner: owner.clone(), place, sas: BTreeSet::new() });
        lease.sas.insert(sa);
        self.by_sa.insert(sa, address);
        self.by_client.insert(client, address);
        Some(address)
    }

    /// Takes back what an SA had; returns the address if no other SA of the client has it.
    pub(crate) fn give_back(&mut self, sa: IkeSaId) -> Option<IpAddr> {
        let address = self.by_sa.remove(&sa)?;
        let lease = self.leases.get_mut(&address)?;
        lease.sas.remove(&sa);
        if !lease.sas.is_empty() {
            return None;
        }
        let Lease { owner, place, .. } = self.leases.remove(&address)?;
        self.by_client.remove(&(owner.clone(), place));
        self.last_idle = self.last_idle.saturating_add(1);
        // An owner is remembered with one address only: the last.
        self.remembered.insert(owner.clone(), self.last_idle);
        self.idle.insert(self.last_idle, (address, owner));
        self.idle_at.insert(address, self.last_idle);
        Some(address)
    }

    fn remembered(&self, owner: &Owner) -> Option<IpAddr> {
        let at = self.remembered.get(owner)?;
        self.idle.get(at).map(|(address, _)| *address)
    }

    fn is_free_for_all(&self, address: IpAddr) -> bool {
        let same_family = address.is_ipv4() == self.first.is_ipv4();
        same_family
            && (self.first..=self.last).contains(&address)
            && !self.leases.contains_key(&address)
            && !self.idle_at.contains_key(&address)
    }

    /// Returns the lowest address that was never lent.
    fn next_fresh(&mut self) -> Option<IpAddr> {
        while let Some(address) = self.fresh {
            self.fresh = next(address).filter(|next| *next <= self.last);
            // One that was lent by a client's wish is passed over; each address is seen once.
            if self.is_free_for_all(address) {
                return Some(address);
            }
        }
        None
    }

    fn forget_idle(&mut self, address: IpAddr) {
        let Some(at) = self.idle_at.remove(&address) else { return };
        if let Some((_, owner)) = self.idle.remove(&at)
            && self.remembered.get(&owner) == Some(&at)
        {
            self.remembered.remove(&owner);
        }
    }
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => u32::from(address).checked_add(1).map(|next| Ipv4Addr::from(next).into()),
        IpAddr::V6(address) => u128::from(address).checked_add(1).map(|next| Ipv6Addr::from(next).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owner(name: u8) -> Owner {
        Owner {
            connection: ConnectionId(0),
            identity: Identity::KeyId(b"group".to_vec()),
            user: Some(UserName::new([name])),
        }
    }

    fn at(last: u8) -> IpAddr {
        [10, 20, 0, last].into()
    }

    fn place(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn pool(size: u8) -> AddressPool {
        AddressPool::new(at(1), at(size))
    }

    #[test]
    fn addresses_go_out_from_the_first_and_come_to_an_end() {
        let mut pool = pool(3);
        for sa in 1..=3 {
            assert_eq!(pool.lend(IkeSaId(sa.into()), &owner(sa), place(sa), None), Some(at(sa)));
        }
        assert_eq!(pool.lend(IkeSaId(4), &owner(4), place(4), None), None);
        assert_eq!(pool.give_back(IkeSaId(2)), Some(at(2)));
        assert_eq!(pool.lend(IkeSaId(4), &owner(4), place(4), None), Some(at(2)));
    }

    #[test]
    fn a_user_gets_the_same_address_again_even_after_others_came() {
        let mut pool = pool(3);
        assert_eq!(pool.lend(IkeSaId(1), &owner(1), place(1), None), Some(at(1)));
        pool.give_back(IkeSaId(1));
        assert_eq!(pool.lend(IkeSaId(2), &owner(2), place(2), None), Some(at(2)));
        assert_eq!(pool.lend(IkeSaId(3), &owner(1), place(9), None), Some(at(1)));
    }

    #[test]
    fn when_all_were_lent_the_one_that_lies_idle_longest_goes_out() {
        let mut pool = pool(2);
        for sa in [1, 2] {
            pool.lend(IkeSaId(sa.into()), &owner(sa), place(sa), None);
        }
        pool.give_back(IkeSaId(2));
        pool.give_back(IkeSaId(1));
        assert_eq!(pool.lend(IkeSaId(3), &owner(3), place(3), None), Some(at(2)));
        assert_eq!(pool.lend(IkeSaId(4), &owner(2), place(2), None), Some(at(1)), "its own is taken");
        assert_eq!(pool.lend(IkeSaId(5), &owner(1), place(1), None), None);
    }

    #[test]
    fn a_renewal_shares_the_address_and_the_last_sa_gives_it_back() {
        let mut pool = pool(3);
        pool.lend(IkeSaId(1), &owner(1), place(1), None);
        assert_eq!(pool.lend(IkeSaId(2), &owner(1), place(1), Some(at(3))), Some(at(1)));
        assert_eq!(pool.give_back(IkeSaId(1)), None);
        assert_eq!(pool.give_back(IkeSaId(1)), None);
        assert_eq!(pool.give_back(IkeSaId(2)), Some(at(1)));
    }

    #[test]
    fn one_user_on_two_machines_has_two_addresses() {
        let mut pool = pool(3);
        pool.lend(IkeSaId(1), &owner(1), place(1), None);
        assert_eq!(pool.lend(IkeSaId(2), &owner(1), place(2), None), Some(at(2)));
    }

    #[test]
    fn a_wish_is_granted_only_for_a_free_address_of_the_pool() {
        let mut pool = pool(9);
        assert_eq!(pool.lend(IkeSaId(1), &owner(1), place(1), Some(at(5))), Some(at(5)));
        assert_eq!(pool.lend(IkeSaId(2), &owner(2), place(2), Some(at(5))), Some(at(1)));
        assert_eq!(pool.lend(IkeSaId(3), &owner(3), place(3), Some(at(200))), Some(at(2)));
        assert_eq!(pool.lend(IkeSaId(4), &owner(4), place(4), Some(Ipv6Addr::LOCALHOST.into())), Some(at(3)));
        pool.give_back(IkeSaId(1));
        assert_eq!(pool.lend(IkeSaId(5), &owner(5), place(5), Some(at(5))), Some(at(4)), "another's, though idle");
        assert_eq!(pool.lend(IkeSaId(6), &owner(6), place(6), None), Some(at(6)));
    }

    #[test]
    fn the_last_address_there_is_does_not_overflow() {
        let broadcast = IpAddr::from(Ipv4Addr::BROADCAST);
        let mut pool = AddressPool::new(broadcast, broadcast);
        assert_eq!(pool.lend(IkeSaId(1), &owner(1), place(1), None), Some(broadcast));
        assert_eq!(pool.lend(IkeSaId(2), &owner(2), place(2), None), None);
    }

    proptest! {
        /// Against the plainest model: nobody else has an address that is lent.
        #[test]
        fn no_address_is_lent_to_two_clients_and_memory_is_bounded(
            steps in proptest::collection::vec((any::<bool>(), 1u8..12, 1u8..4, 0u8..12), 1..200),
        ) {
            let mut pool = pool(6);
            let mut held: BTreeMap<u64, (u8, u8, IpAddr)> = BTreeMap::new();
            for (step, (lend, user, place_of, wish)) in (0u64..).zip(steps) {
                if lend {
                    let wish = (wish > 0).then(|| at(wish));
                    if let Some(address) = pool.lend(IkeSaId(step), &owner(user), place(place_of), wish) {
                        prop_assert!((at(1)..=at(6)).contains(&address));
                        for (other_user, other_place, other) in held.values() {
                            prop_assert_eq!(*other == address, (*other_user, *other_place) == (user, place_of));
                        }
                        held.insert(step, (user, place_of, address));
                    }
                } else if let Some((sa, (_, _, address))) = held.pop_first() {
                    let last = !held.values().any(|(_, _, other)| *other == address);
                    prop_assert_eq!(pool.give_back(IkeSaId(sa)), last.then_some(address));
                }
                prop_assert!(pool.leases.len() + pool.idle.len() <= 6);
                prop_assert!(pool.idle_at.len() == pool.idle.len() && pool.remembered.len() <= pool.idle.len());
            }
        }
    }
}
