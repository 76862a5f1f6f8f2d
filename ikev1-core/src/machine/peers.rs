//! What each peer has: one look-up in a hub costs what that peer has, not what all peers have.

use crate::ids::{ChildId, IkeSaId, PolicyId};
use crate::machine::child::Child;
use crate::machine::sa::PeerKey;
use crate::selector::TrafficSelector;
use alloc::collections::{BTreeMap, BTreeSet};
use ipsec_wire::registry::ProtocolId;

/// The traffic of a pair: its policy, and both ends of it.
type Flow = (PolicyId, TrafficSelector, TrafficSelector);

/// The SAs of every peer that has some.
#[derive(Debug, Default)]
pub(crate) struct Peers(BTreeMap<PeerKey, Belongings>);

/// The SAs of one peer.
#[derive(Debug, Default)]
struct Belongings {
    sas: BTreeSet<IkeSaId>,
    children: BTreeSet<ChildId>,
    flows: BTreeSet<(Flow, ChildId)>,
    /// The SPIs that the peer chose: other peers may have chosen the same.
    outbound: BTreeSet<(ProtocolId, u32, ChildId)>,
}

impl Peers {
    pub(crate) fn add_sa(&mut self, peer: PeerKey, id: IkeSaId) {
        self.0.entry(peer).or_default().sas.insert(id);
    }

    pub(crate) fn remove_sa(&mut self, peer: &PeerKey, id: IkeSaId) {
        self.change(peer, |belongings| belongings.sas.remove(&id));
    }

    pub(crate) fn add_child(&mut self, child: &Child) {
        let belongings = self.0.entry(child.peer.clone()).or_default();
        belongings.children.insert(child.id);
        belongings.flows.insert((flow(child), child.id));
        for sa in &child.sas {
            belongings.outbound.insert((sa.suite.protocol(), sa.outbound, child.id));
        }
    }

    pub(crate) fn remove_child(&mut self, child: &Child) {
        self.change(&child.peer, |belongings| {
            belongings.flows.remove(&(flow(child), child.id));
            for sa in &child.sas {
                belongings.outbound.remove(&(sa.suite.protocol(), sa.outbound, child.id));
            }
            belongings.children.remove(&child.id)
        });
    }

    /// Returns the ISAKMP SAs of a peer, oldest first.
    pub(crate) fn sas(&self, peer: &PeerKey) -> impl Iterator<Item = IkeSaId> {
        self.0.get(peer).into_iter().flat_map(|belongings| belongings.sas.iter().copied())
    }

    /// Returns the pairs of a peer, oldest first.
    pub(crate) fn children(&self, peer: &PeerKey) -> impl Iterator<Item = ChildId> {
        self.0.get(peer).into_iter().flat_map(|belongings| belongings.children.iter().copied())
    }

    /// Returns the oldest pair of a peer that has an SPI of the peer's choosing.
    pub(crate) fn with_outbound(&self, protocol: ProtocolId, spi: u32, peer: &PeerKey) -> Option<ChildId> {
        let range = (protocol, spi, ChildId(0))..=(protocol, spi, ChildId(u64::MAX));
        self.0.get(peer)?.outbound.range(range).next().map(|(.., id)| *id)
    }

    /// Returns how many pairs a peer has.
    pub(crate) fn count(&self, peer: &PeerKey) -> usize {
        self.0.get(peer).map_or(0, |belongings| belongings.children.len())
    }

    /// Returns the pairs of the same peer that carry the same traffic of the same policy, oldest first; the pair
    /// itself is among them if it was added.
    pub(crate) fn same_flow(&self, child: &Child) -> impl Iterator<Item = ChildId> {
        let flow = flow(child);
        let range = (flow, ChildId(0))..=(flow, ChildId(u64::MAX));
        let belongings = self.0.get(&child.peer).into_iter();
        belongings.flat_map(move |belongings| belongings.flows.range(range.clone()).map(|(_, id)| *id))
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes something from a peer, and forgets a peer that has nothing more.
    fn change(&mut self, peer: &PeerKey, take: impl FnOnce(&mut Belongings) -> bool) {
        let Some(belongings) = self.0.get_mut(peer) else { return };
        take(belongings);
        if belongings.sas.is_empty() && belongings.children.is_empty() {
            self.0.remove(peer);
        }
    }
}

const fn flow(child: &Child) -> Flow {
    (child.policy, child.local, child.remote)
}
