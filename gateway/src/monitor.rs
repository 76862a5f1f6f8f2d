//! Everything a gateway can show, at one instant.

use crate::counters::Counters;
use crate::layers::Layers;
use crate::manual;
use crate::pump::Gateway;
use alloc::string::String;
use alloc::vec::Vec;
use drive::Instant;
use ikev1_core::{ChildStatus, ConnectionId, IkeSaStatus, PolicyId};
use spd::{Decision, Direction, Explanation, KeyError, PacketKey};

/// Everything a gateway can show, at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When.
    pub now: Instant,
    /// The ISAKMP SAs, oldest first.
    pub isakmp: Vec<IkeSaStatus>,
    /// ISAKMP SAs whose peer has proven nothing: `Embryonic`.
    pub embryonic: usize,
    /// The pairs of IPsec SAs, oldest first, those that are being made included.
    pub ipsec: Vec<PairStatus>,
    /// The pairs with manual keys.
    pub manual: Vec<ManualStatus>,
    /// The policies, in their order.
    pub policies: Vec<PolicyStatus>,
    /// Packets that wait for associations.
    pub waiting: usize,
    /// The counters of packets at the boundary.
    pub counters: Counters,
    /// The counters of the exchanges that routers show.
    pub ike_counters: ikev1_core::Counters,
    /// The counters of the exchanges that they do not.
    pub own_ike_counters: ikev1_core::OwnCounters,
    /// The counters of the association database.
    pub sad_counters: sad::DatabaseCounters,
    /// The counters of the policy database.
    pub spd_counters: spd::DatabaseCounters,
}

/// A pair of IPsec SAs.
#[derive(Clone, Debug)]
pub struct PairStatus {
    /// What the exchanges know of it.
    pub status: ChildStatus,
    /// The name of its connection.
    pub connection: String,
    /// What it received, once it can: an association for each protocol, innermost first.
    pub inbound: Vec<sad::SaStatus>,
    /// What it sent, once it can: an association for each protocol, innermost first.
    pub outbound: Vec<sad::SaStatus>,
}

/// A pair of bundles with manual keys.
#[derive(Clone, Debug)]
pub struct ManualStatus {
    /// Its name.
    pub name: String,
    /// What it received: an association for each protocol, innermost first.
    pub inbound: Vec<sad::SaStatus>,
    /// What it sent: an association for each protocol, innermost first.
    pub outbound: Vec<sad::SaStatus>,
}

/// A policy.
#[derive(Clone, Debug)]
pub struct PolicyStatus {
    /// Its `Position`, from 1.
    pub position: usize,
    /// Its `Name`.
    pub name: String,
    /// Its `Action`.
    pub action: spd::Action,
    /// Which packets it names.
    pub selector: spd::Selector,
    /// The negotiation behind it.
    pub negotiation: Option<(ConnectionId, PolicyId)>,
    /// `Number of Out Packets queued`.
    pub waiting: usize,
    /// Packets that matched it.
    pub hits: u64,
    /// Its counters.
    pub counters: spd::PolicyCounters,
}

impl Gateway {
    /// Returns everything there is to show.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let status = self.ike.status();
        let name = |id: ConnectionId| {
            let index = usize::try_from(id.0).ok();
            index.and_then(|index| self.connections.get(index)).cloned().unwrap_or_default()
        };
        let pair = |status: ChildStatus| {
            let known = self.pairs.get(&status.child);
            PairStatus {
                connection: name(status.connection),
                inbound: known.map(|pair| self.layer_status(pair.inbound)).unwrap_or_default(),
                outbound: known.map(|pair| self.layer_status(pair.outbound)).unwrap_or_default(),
                status,
            }
        };
        Snapshot {
            now,
            isakmp: status.ike_sas,
            embryonic: status.embryonic,
            ipsec: status.children.into_iter().map(pair).collect(),
            manual: self.manual_status(),
            policies: self.policy_status(),
            waiting: self.waiting.len(),
            counters: self.counters.clone(),
            ike_counters: status.counters,
            own_ike_counters: status.own_counters,
            sad_counters: self.sad.counters().clone(),
            spd_counters: self.policies.counters().clone(),
        }
    }

    fn layer_status(&self, layers: Layers) -> Vec<sad::SaStatus> {
        layers.associations().filter_map(|association| self.sad.status(association)).collect()
    }

    fn manual_status(&self) -> Vec<ManualStatus> {
        let manual = self.pairs.range(manual::FIRST_CHILD..);
        manual
            .map(|(_, pair)| ManualStatus {
                name: self.routes.of(pair.template).map(|route| route.name.clone()).unwrap_or_default(),
                inbound: self.layer_status(pair.inbound),
                outbound: self.layer_status(pair.outbound),
            })
            .collect()
    }

    /// Says what the policies do with a clear packet and why, and does nothing with it.
    ///
    /// # Errors
    /// The headers of the packet lie.
    pub fn explain(&mut self, direction: Direction, packet: &[u8]) -> Result<Explanation, KeyError> {
        let key = PacketKey::from_packet(packet, direction)?;
        Ok(self.policies.explain(crate::route::INTERFACE, direction, &key))
    }

    /// Returns what the policies say about a packet, and counts nothing.
    ///
    /// # Errors
    /// The headers of the packet lie.
    pub fn decision(&self, direction: Direction, packet: &[u8]) -> Result<Decision, KeyError> {
        let key = PacketKey::from_packet(packet, direction)?;
        Ok(self.policies.decide(crate::route::INTERFACE, direction, &key))
    }

    fn policy_status(&self) -> Vec<PolicyStatus> {
        (1..)
            .zip(self.policies.iter(crate::route::INTERFACE))
            .map(|(position, (id, policy))| {
                let template = match policy.action() {
                    spd::Action::Protect(template) => Some(template),
                    spd::Action::Bypass | spd::Action::Discard => None,
                };
                let route = template.and_then(|template| self.routes.of(template));
                PolicyStatus {
                    position,
                    name: policy.name().into(),
                    action: policy.action(),
                    selector: policy.selector().clone(),
                    negotiation: route.and_then(|route| route.negotiation),
                    waiting: template.map_or(0, |template| self.waiting.count(template)),
                    hits: self.policies.hits(id).unwrap_or(0),
                    counters: self.policies.policy_counters(id).cloned().unwrap_or_default(),
                }
            })
            .collect()
    }
}
