use crate::fragment::{Assembly, Cut};
use crate::ids::{ChildId, ConnectionId, Cookies, IkeSaId, PolicyId, Role};
use crate::machine::child::Child;
use crate::machine::peers::Peers;
use crate::machine::sa::{Core, IkeSa, PeerKey};
use alloc::collections::{BTreeMap, BTreeSet};
use core::net::{IpAddr, SocketAddr};
use ipsec_wire::isakmp::Cookie;
use ipsec_wire::registry::ProtocolId;

/// All SAs, and the ways to find them.
///
/// An ISAKMP SA that is being worked on is taken out and put back; its entries in the indexes stay.
#[derive(Debug, Default)]
pub(crate) struct Table {
    sas: BTreeMap<IkeSaId, IkeSa>,
    by_cookies: BTreeMap<Cookies, IkeSaId>,
    /// Responders, by what is known of their first message.
    by_first: BTreeMap<(Cookie, SocketAddr), IkeSaId>,
    by_connection: BTreeSet<(ConnectionId, IkeSaId)>,
    /// Those whose peer is not known yet.
    nameless: BTreeSet<(ConnectionId, IkeSaId)>,
    /// Renewals, by the SA that they are to replace.
    renewals: BTreeMap<IkeSaId, IkeSaId>,
    peers: Peers,
    half_open: BTreeMap<IpAddr, usize>,
    half_open_total: usize,
    children: BTreeMap<ChildId, Child>,
    by_inbound: BTreeMap<(ProtocolId, u32), ChildId>,
    children_of: BTreeSet<(ConnectionId, PolicyId, ChildId)>,
    children_under: BTreeSet<(IkeSaId, ChildId)>,
    /// How messages to peers that take parts are cut.
    cuts: BTreeMap<Cookies, Cut>,
    /// The parts that wait for the rest of their message.
    pub(crate) assembly: Assembly,
    /// How many pairs were looked at.
    #[cfg(test)]
    looked_at: core::cell::Cell<usize>,
}

impl Table {
    /// Adds a new SA under its cookies and connection; a responder's counts as half-open.
    pub(crate) fn add(&mut self, sa: IkeSa) {
        self.by_cookies.insert(sa.core.cookies, sa.core.id);
        self.by_connection.insert((sa.core.connection, sa.core.id));
        if sa.is_half_open_responder() {
            self.by_first.insert((sa.core.cookies.initiator, sa.core.origin), sa.core.id);
            let address = self.half_open.entry(sa.core.origin.ip()).or_default();
            *address = address.saturating_add(1);
            self.half_open_total = self.half_open_total.saturating_add(1);
        }
        if let Some(old) = sa.core.replaces {
            self.renewals.insert(old, sa.core.id);
        }
        self.nameless.insert((sa.core.connection, sa.core.id));
        self.put(sa);
    }

    /// Takes an SA out to work on it.
    pub(crate) fn take(&mut self, id: IkeSaId) -> Option<IkeSa> {
        self.sas.remove(&id)
    }

    /// Puts an SA back, under its peer if that became known or changed.
    pub(crate) fn put(&mut self, mut sa: IkeSa) {
        if !sa.is_filed() {
            self.unfile(&sa);
            let peer = sa.peer_key();
            match peer.clone() {
                Some(peer) => self.peers.add_sa(peer, sa.core.id),
                None => drop(self.nameless.insert((sa.core.connection, sa.core.id))),
            }
            sa.core.filed_under = peer;
        }
        self.sas.insert(sa.core.id, sa);
    }

    fn unfile(&mut self, sa: &IkeSa) {
        match &sa.core.filed_under {
            Some(peer) => self.peers.remove_sa(peer, sa.core.id),
            None => drop(self.nameless.remove(&(sa.core.connection, sa.core.id))),
        }
    }

    /// Forgets an SA that was taken out, everywhere.
    pub(crate) fn forget(&mut self, sa: &IkeSa) {
        self.by_cookies.remove(&sa.core.cookies);
        self.cuts.remove(&sa.core.cookies);
        self.assembly.forget(sa.core.id);
        self.by_connection.remove(&(sa.core.connection, sa.core.id));
        self.by_first.remove(&(sa.core.cookies.initiator, sa.core.origin));
        self.unfile(sa);
        if let Some(old) = sa.core.replaces.filter(|old| self.renewals.get(old) == Some(&sa.core.id)) {
            self.renewals.remove(&old);
        }
        if sa.is_half_open_responder() {
            self.no_longer_half_open(sa.core.origin.ip());
        }
    }

    /// Ends the half-open time of a responder's SA.
    pub(crate) fn no_longer_half_open(&mut self, address: IpAddr) {
        if let Some(count) = self.half_open.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.half_open.remove(&address);
            }
            self.half_open_total = self.half_open_total.saturating_sub(1);
        }
    }

    /// Learns the responder's cookie.
    pub(crate) fn set_cookies(&mut self, core: &mut Core, cookies: Cookies) {
        self.by_cookies.remove(&core.cookies);
        self.by_cookies.insert(cookies, core.id);
        core.cookies = cookies;
    }

    /// Moves an SA that was taken out to another connection: the peer's identity told which it is.
    pub(crate) fn set_connection(&mut self, core: &mut Core, connection: ConnectionId) {
        self.by_connection.remove(&(core.connection, core.id));
        self.by_connection.insert((connection, core.id));
        if self.nameless.remove(&(core.connection, core.id)) {
            self.nameless.insert((connection, core.id));
        }
        core.connection = connection;
    }

    /// Learns how messages under these cookies are cut.
    pub(crate) fn set_cut(&mut self, cookies: Cookies, cut: Cut) {
        self.cuts.insert(cookies, cut);
    }

    pub(crate) fn cut(&self, cookies: Cookies) -> Option<Cut> {
        self.cuts.get(&cookies).copied()
    }

    pub(crate) fn get(&self, id: IkeSaId) -> Option<&IkeSa> {
        self.sas.get(&id)
    }

    pub(crate) fn with_cookies(&self, cookies: Cookies) -> Option<IkeSaId> {
        self.by_cookies.get(&cookies).copied()
    }

    pub(crate) fn with_first(&self, cookie: Cookie, remote: SocketAddr) -> Option<IkeSaId> {
        self.by_first.get(&(cookie, remote)).copied()
    }

    /// Returns whether a cookie is one of this end's own, as initiator.
    pub(crate) fn began_with(&self, cookie: Cookie) -> bool {
        let with = |responder| Cookies { initiator: cookie, responder: Cookie([responder; 8]) };
        let mut found = self.by_cookies.range(with(0)..=with(0xff));
        found.any(|(_, id)| self.sas.get(id).is_some_and(|sa| sa.core.role == Role::Initiator))
    }

    pub(crate) fn half_open(&self) -> usize {
        self.half_open_total
    }

    pub(crate) fn half_open_from(&self, address: IpAddr) -> usize {
        self.half_open.get(&address).copied().unwrap_or(0)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_cookies.len()
    }

    pub(crate) fn sas(&self) -> impl Iterator<Item = &IkeSa> {
        self.sas.values()
    }

    /// Returns the SAs of a connection, oldest first; one that is taken out is not among them.
    pub(crate) fn of_connection(&self, connection: ConnectionId) -> impl DoubleEndedIterator<Item = &IkeSa> {
        let range = (connection, IkeSaId(0))..=(connection, IkeSaId(u64::MAX));
        self.by_connection.range(range).filter_map(|(_, id)| self.sas.get(id))
    }

    /// Returns the newest SA with a peer that no newer one has replaced.
    pub(crate) fn current(&self, peer: &PeerKey) -> Option<IkeSaId> {
        self.of_peer(peer).filter(|sa| sa.is_current()).last().map(|sa| sa.core.id)
    }

    /// Returns the SAs with a peer, oldest first; one that is taken out is not among them.
    pub(crate) fn of_peer(&self, peer: &PeerKey) -> impl Iterator<Item = &IkeSa> {
        self.peers.sas(peer).filter_map(|id| self.sas.get(&id))
    }

    /// Returns the SAs of a connection that may turn out to be with a peer: those with it, and those whose peer is
    /// not known yet.
    pub(crate) fn perhaps_of_peer(&self, peer: &PeerKey) -> impl Iterator<Item = &IkeSa> {
        let range = (peer.connection, IkeSaId(0))..=(peer.connection, IkeSaId(u64::MAX));
        let nameless = self.nameless.range(range).filter_map(|(_, id)| self.sas.get(id));
        self.of_peer(peer).chain(nameless)
    }

    /// Returns the SA that is to replace another.
    pub(crate) fn renewal_of(&self, id: IkeSaId) -> Option<IkeSaId> {
        self.renewals.get(&id).copied().filter(|renewal| self.sas.contains_key(renewal))
    }

    pub(crate) fn add_child(&mut self, child: Child) {
        for sa in &child.sas {
            self.by_inbound.insert((sa.suite.protocol(), sa.inbound), child.id);
        }
        self.children_of.insert((child.peer.connection, child.policy, child.id));
        self.children_under.insert((child.ike_sa, child.id));
        self.peers.add_child(&child);
        self.children.insert(child.id, child);
    }

    pub(crate) fn remove_child(&mut self, id: ChildId) -> Option<Child> {
        let child = self.children.remove(&id)?;
        for sa in &child.sas {
            self.by_inbound.remove(&(sa.suite.protocol(), sa.inbound));
        }
        self.children_of.remove(&(child.peer.connection, child.policy, id));
        self.children_under.remove(&(child.ike_sa, id));
        self.peers.remove_child(&child);
        Some(child)
    }

    /// Moves a pair under another ISAKMP SA.
    pub(crate) fn move_child(&mut self, id: ChildId, ike_sa: IkeSaId) {
        let Some(child) = self.children.get_mut(&id) else { return };
        self.children_under.remove(&(child.ike_sa, id));
        self.children_under.insert((ike_sa, id));
        child.ike_sa = ike_sa;
    }

    /// Learns that the peer of a pair is at another address.
    pub(crate) fn move_peer(&mut self, id: ChildId, address: IpAddr) {
        let Some(child) = self.children.get_mut(&id) else { return };
        self.peers.remove_child(child);
        child.peer.address = address;
        self.peers.add_child(child);
    }

    pub(crate) fn child(&self, id: ChildId) -> Option<&Child> {
        #[cfg(test)]
        self.looked_at.set(self.looked_at.get() + 1);
        self.children.get(&id)
    }

    pub(crate) fn child_mut(&mut self, id: ChildId) -> Option<&mut Child> {
        self.children.get_mut(&id)
    }

    pub(crate) fn children(&self) -> impl Iterator<Item = &Child> {
        self.children.values()
    }

    /// Returns the pairs of a connection, by policy.
    pub(crate) fn children_of_connection(&self, connection: ConnectionId) -> impl Iterator<Item = &Child> {
        let (first, last) = (PolicyId(0), PolicyId(u32::MAX));
        let range = (connection, first, ChildId(0))..=(connection, last, ChildId(u64::MAX));
        self.children_of.range(range).filter_map(|(.., id)| self.child(*id))
    }

    /// Returns the pairs of a policy, oldest first.
    pub(crate) fn children_of_policy(
        &self,
        connection: ConnectionId,
        policy: PolicyId,
    ) -> impl Iterator<Item = &Child> {
        let range = (connection, policy, ChildId(0))..=(connection, policy, ChildId(u64::MAX));
        self.children_of.range(range).filter_map(|(.., id)| self.child(*id))
    }

    /// Returns the pairs with a peer, oldest first.
    pub(crate) fn children_of_peer(&self, peer: &PeerKey) -> impl Iterator<Item = &Child> {
        self.peers.children(peer).filter_map(|id| self.child(id))
    }

    /// Returns how many pairs there are with a peer.
    pub(crate) fn count_of_peer(&self, peer: &PeerKey) -> usize {
        self.peers.count(peer)
    }

    /// Returns the pairs under an ISAKMP SA, oldest first.
    pub(crate) fn children_under(&self, id: IkeSaId) -> impl Iterator<Item = &Child> {
        let range = (id, ChildId(0))..=(id, ChildId(u64::MAX));
        self.children_under.range(range).filter_map(|(_, id)| self.child(*id))
    }

    /// Returns the pairs that are for sending the traffic of `child`, which is not among them, oldest first.
    pub(crate) fn in_use(&self, child: &Child) -> impl Iterator<Item = &Child> {
        let in_use = move |other: &&Child| other.id != child.id && other.complete && !other.superseded;
        self.peers.same_flow(child).filter_map(|id| self.child(id)).filter(in_use)
    }

    /// Returns the pair with a peer that has an SPI of the peer's choosing in one of its protocols.
    pub(crate) fn with_outbound(&self, protocol: ProtocolId, spi: u32, peer: &PeerKey) -> Option<ChildId> {
        self.peers.with_outbound(protocol, spi, peer)
    }

    /// Returns the pair with a peer that has an SPI of ESP or AH in either direction.
    pub(crate) fn with_spi(&self, spi: u32, peer: &PeerKey) -> Option<ChildId> {
        [ProtocolId::ESP, ProtocolId::AH].into_iter().find_map(|protocol| {
            self.with_inbound(protocol, spi, peer).or_else(|| self.with_outbound(protocol, spi, peer))
        })
    }

    /// Returns the pair with a peer that has this inbound SPI.
    pub(crate) fn with_inbound(&self, protocol: ProtocolId, spi: u32, peer: &PeerKey) -> Option<ChildId> {
        let inbound = self.by_inbound.get(&(protocol, spi)).copied();
        inbound.filter(|id| self.child(*id).is_some_and(|child| child.peer == *peer))
    }

    pub(crate) fn inbound_in_use(&self, protocol: ProtocolId, spi: u32) -> bool {
        self.by_inbound.contains_key(&(protocol, spi))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Encapsulation;
    use crate::action::{Lifetimes, SpiPair};
    use crate::identity::Identity;
    use crate::proposal::{AesKey, EspCipher, Integrity, Mode, Protection};
    use crate::selector::TrafficSelector;
    use alloc::vec;
    use alloc::vec::Vec;
    use core::time::Duration;
    use drive::Instant;

    const PEERS: u32 = 5_000;

    fn address(number: u32) -> IpAddr {
        core::net::Ipv4Addr::from(0x0a00_0000 + number).into()
    }

    fn peer(number: u32) -> PeerKey {
        let at = address(number);
        PeerKey { connection: ConnectionId(0), identity: Identity::Address(at), user: None, address: at }
    }

    /// The pair of a peer for one of its policies; each peer has SPIs that others have too.
    fn pair(number: u32, policy: u32) -> Child {
        let id = ChildId(u64::from(number * 2 + policy));
        let suite =
            Protection::Esp { cipher: EspCipher::AesCbc(AesKey::Bits128), integrity: Some(Integrity::HmacSha1) };
        let any = Duration::from_secs(3_600);
        Child {
            id,
            ike_sa: IkeSaId(number.into()),
            policy: PolicyId(policy),
            peer: peer(number),
            role: Role::Responder,
            sas: vec![SpiPair { suite, inbound: 0x1000 + number * 2 + policy, outbound: 0x100 + policy }],
            extended_sequence: false,
            pfs: None,
            mode: Mode::Tunnel,
            encapsulation: Encapsulation::Native,
            local_end: address(0),
            remote_end: address(number),
            local: TrafficSelector::host(address(0)),
            remote: TrafficSelector::host(address(number)),
            original: None,
            lifetimes: Lifetimes { soft: any, hard: any, soft_kilobytes: None, hard_kilobytes: None },
            began: 0,
            finished: 0,
            since: Instant::ZERO,
            replaces: None,
            complete: true,
            superseded: false,
        }
    }

    fn hub() -> Table {
        let mut table = Table::default();
        for number in 1..=PEERS {
            for policy in 0..2 {
                table.add_child(pair(number, policy));
            }
        }
        table
    }

    fn ids<'a>(children: impl Iterator<Item = &'a Child>) -> Vec<ChildId> {
        children.map(|child| child.id).collect()
    }

    /// Returns how many pairs a look-up looks at.
    fn work<T>(table: &Table, look_up: impl FnOnce(&Table) -> T) -> (T, usize) {
        let before = table.looked_at.get();
        let found = look_up(table);
        (found, table.looked_at.get() - before)
    }

    #[test]
    fn among_ten_thousand_pairs_a_look_up_looks_at_those_of_one_peer() {
        let table = hub();
        assert_eq!(table.children().count(), 10_000);
        let (one, two) = (pair(77, 0), pair(77, 1));
        let (of_peer, looked) = work(&table, |table| ids(table.children_of_peer(&peer(77))));
        assert_eq!((of_peer, looked), (vec![one.id, two.id], 2));
        assert_eq!(work(&table, |table| table.count_of_peer(&peer(77))), (2, 0));
        let (under, looked) = work(&table, |table| ids(table.children_under(IkeSaId(77))));
        assert_eq!((under, looked), (vec![one.id, two.id], 2));
        let newer = Child { id: ChildId(1 << 40), ..pair(77, 1) };
        let (in_use, looked) = work(&table, |table| ids(table.in_use(&newer)));
        assert_eq!((in_use, looked), (vec![two.id], 1));
        let inbound = one.sas[0].inbound;
        let (found, looked) = work(&table, |table| table.with_inbound(ProtocolId::ESP, inbound, &peer(77)));
        assert_eq!((found, looked), (Some(one.id), 1));
        assert_eq!(table.with_inbound(ProtocolId::ESP, inbound, &peer(78)), None, "another peer's");
        let (found, looked) = work(&table, |table| table.with_outbound(ProtocolId::ESP, 0x101, &peer(77)));
        assert_eq!((found, looked), (Some(two.id), 0), "all peers chose the same");
    }

    #[test]
    fn what_is_moved_and_removed_is_found_where_it_is_and_nowhere_else() {
        let mut table = hub();
        let pair = pair(77, 0);
        table.move_child(pair.id, IkeSaId(9));
        assert!(ids(table.children_under(IkeSaId(9))).contains(&pair.id));
        assert!(!ids(table.children_under(IkeSaId(77))).contains(&pair.id));
        table.move_peer(pair.id, address(99_999));
        let moved = PeerKey { address: address(99_999), ..peer(77) };
        assert_eq!(ids(table.children_of_peer(&moved)), [pair.id]);
        assert_eq!(table.count_of_peer(&peer(77)), 1);
        for number in 1..=PEERS {
            for policy in 0..2 {
                assert!(table.remove_child(ChildId(u64::from(number * 2 + policy))).is_some());
            }
        }
        assert_eq!(table.children().count(), 0);
        assert!(table.children_of.is_empty() && table.children_under.is_empty());
        assert!(table.by_inbound.is_empty() && table.peers.is_empty());
    }
}
