use crate::fragment::{Assembly, Cut};
use crate::ids::{ChildId, ConnectionId, Cookies, IkeSaId, Role};
use crate::machine::child::Child;
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
    half_open: BTreeMap<IpAddr, usize>,
    half_open_total: usize,
    children: BTreeMap<ChildId, Child>,
    by_inbound: BTreeMap<(ProtocolId, u32), ChildId>,
    by_outbound: BTreeSet<(ProtocolId, u32, ChildId)>,
    children_of: BTreeSet<(ConnectionId, ChildId)>,
    /// How messages to peers that take parts are cut.
    cuts: BTreeMap<Cookies, Cut>,
    /// The parts that wait for the rest of their message.
    pub(crate) assembly: Assembly,
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
        self.sas.insert(sa.core.id, sa);
    }

    /// Takes an SA out to work on it.
    pub(crate) fn take(&mut self, id: IkeSaId) -> Option<IkeSa> {
        self.sas.remove(&id)
    }

    /// Puts an SA back.
    pub(crate) fn put(&mut self, sa: IkeSa) {
        self.sas.insert(sa.core.id, sa);
    }

    /// Forgets an SA that was taken out, everywhere.
    pub(crate) fn forget(&mut self, sa: &IkeSa) {
        self.by_cookies.remove(&sa.core.cookies);
        self.cuts.remove(&sa.core.cookies);
        self.assembly.forget(sa.core.id);
        self.by_connection.remove(&(sa.core.connection, sa.core.id));
        self.by_first.remove(&(sa.core.cookies.initiator, sa.core.origin));
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
    pub(crate) fn of_connection(&self, connection: ConnectionId) -> impl Iterator<Item = &IkeSa> {
        let range = (connection, IkeSaId(0))..=(connection, IkeSaId(u64::MAX));
        self.by_connection.range(range).filter_map(|(_, id)| self.sas.get(id))
    }

    /// Returns the newest SA with a peer that no newer one has replaced.
    pub(crate) fn current(&self, peer: &PeerKey) -> Option<IkeSaId> {
        let same = |sa: &&IkeSa| sa.is_current() && sa.peer_key().as_ref() == Some(peer);
        self.of_connection(peer.connection).filter(same).last().map(|sa| sa.core.id)
    }

    pub(crate) fn add_child(&mut self, child: Child) {
        for sa in &child.sas {
            let protocol = sa.suite.protocol();
            self.by_inbound.insert((protocol, sa.inbound), child.id);
            self.by_outbound.insert((protocol, sa.outbound, child.id));
        }
        self.children_of.insert((child.peer.connection, child.id));
        self.children.insert(child.id, child);
    }

    pub(crate) fn remove_child(&mut self, id: ChildId) -> Option<Child> {
        let child = self.children.remove(&id)?;
        for sa in &child.sas {
            let protocol = sa.suite.protocol();
            self.by_inbound.remove(&(protocol, sa.inbound));
            self.by_outbound.remove(&(protocol, sa.outbound, id));
        }
        self.children_of.remove(&(child.peer.connection, id));
        Some(child)
    }

    pub(crate) fn child(&self, id: ChildId) -> Option<&Child> {
        self.children.get(&id)
    }

    pub(crate) fn child_mut(&mut self, id: ChildId) -> Option<&mut Child> {
        self.children.get_mut(&id)
    }

    pub(crate) fn children(&self) -> impl Iterator<Item = &Child> {
        self.children.values()
    }

    /// Returns the pairs of a connection, oldest first.
    pub(crate) fn children_of_connection(&self, connection: ConnectionId) -> impl Iterator<Item = &Child> {
        let range = (connection, ChildId(0))..=(connection, ChildId(u64::MAX));
        self.children_of.range(range).filter_map(|(_, id)| self.children.get(id))
    }

    /// Returns the pair with a peer that has an SPI of the peer's choosing in one of its protocols.
    pub(crate) fn with_outbound(&self, protocol: ProtocolId, spi: u32, peer: &PeerKey) -> Option<ChildId> {
        let range = (protocol, spi, ChildId(0))..=(protocol, spi, ChildId(u64::MAX));
        let mine = |id: &ChildId| self.children.get(id).is_some_and(|child| child.peer == *peer);
        self.by_outbound.range(range).map(|(_, _, id)| *id).find(mine)
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
        inbound.filter(|id| self.children.get(id).is_some_and(|child| child.peer == *peer))
    }

    pub(crate) fn inbound_in_use(&self, protocol: ProtocolId, spi: u32) -> bool {
        self.by_inbound.contains_key(&(protocol, spi))
    }
}
