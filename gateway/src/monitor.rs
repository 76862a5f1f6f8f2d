//! Everything a gateway can show, at one instant.

use crate::algorithms::{AlgorithmCounters, Algorithms, CountedAlgorithm};
use crate::built_in::BUILT_IN;
use crate::compression::CompressionCounters;
use crate::counters::Counters;
use crate::defaults;
use crate::header::OuterRules;
use crate::layers::Layers;
use crate::manual;
use crate::pair::Pair;
use crate::path_mtu;
use crate::pump::Gateway;
use crate::route::INTERFACE;
use crate::session::SessionStatus;
use crate::setup::{BundleCounters, SetupCounters};
use crate::udp_tunnel::{UdpTunnel, UdpTunnelStatus};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use drive::{Instant, Path};

use ikev1_core::{ChildStatus, ConnectionId, IkeSaStatus, PolicyId};
use sad::{ProviderId, SaProtocol};
use spd::{Decision, Direction, Explanation, InterfaceId, KeyError, PacketKey};

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
    /// The tunnels to peers that are up, oldest first.
    pub sessions: Vec<SessionStatus>,
    /// The policies that come before all others: the gateway's own datagrams pass.
    pub built_in: Vec<PolicyStatus>,
    /// The policies, in their order.
    pub policies: Vec<PolicyStatus>,
    /// Packets that wait for associations.
    pub waiting: usize,
    /// The counters of packets at the boundary.
    pub counters: Counters,
    /// ESP in UDP on port 2746: `IPsec over UDP`.
    pub udp_tunnel: UdpTunnelStatus,
    /// The counters of the exchanges that routers show.
    pub ike_counters: ikev1_core::Counters,
    /// The counters of the exchanges that they do not.
    pub own_ike_counters: ikev1_core::OwnCounters,
    /// The counters of the association database.
    pub sad_counters: sad::DatabaseCounters,
    /// The counters of the policy database.
    pub spd_counters: spd::DatabaseCounters,
    /// Which selectors refused packets that were asked about with [`explain`](Gateway::explain).
    pub filter_counters: spd::FilterCounters,
    /// What became of fragments.
    pub fragment_counters: spd::FragmentCounters,
    /// The counters of bundles as they come and go.
    pub bundle_counters: BundleCounters,
    /// The counters of each protocol.
    pub protocol_counters: ProtocolCounters,
    /// The counters of each algorithm.
    pub algorithm_counters: Vec<(CountedAlgorithm, AlgorithmCounters)>,
}

/// The counters of each protocol, for all associations together, those included that are gone.
#[derive(Clone, Debug)]
pub struct ProtocolCounters {
    /// What ESP did to packets, and how many of its associations came and went.
    pub esp: sad::ProtocolCounters,
    /// What AH did.
    pub ah: sad::ProtocolCounters,
    /// What compression did.
    pub compression: CompressionCounters,
    /// How associations of ESP were made and removed.
    pub esp_setup: SetupCounters,
    /// How those of AH were.
    pub ah_setup: SetupCounters,
    /// How compressions were.
    pub compression_setup: SetupCounters,
}

impl ProtocolCounters {
    /// Returns every counter with its name, that of the protocol in front: the names of set-up and removal first.
    pub fn iter(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let made = [("esp", &self.esp_setup), ("ah", &self.ah_setup), ("comp", &self.compression_setup)];
        let made = made.into_iter().flat_map(|(protocol, counters)| {
            // Only ESP has a cipher beside its integrity.
            let both = protocol == "esp";
            let has = move |name: &str| both || !(name.contains("Enc") || name.contains("Hash"));
            counters
                .iter()
                .filter(move |(name, _)| has(name))
                .map(move |(name, value)| (format!("{protocol}{name}"), value))
        });
        let done = self.esp.iter().chain(self.ah.iter()).filter(|(name, _)| !name.contains("Done") || !is_setup(name));
        made.chain(done.chain(self.compression.iter()).map(|(name, value)| (name.into(), value)))
    }
}

/// Returns whether a name is of set-up and removal, which are counted for pairs and not for each direction.
fn is_setup(name: &str) -> bool {
    name.ends_with("SetupDone") || name.ends_with("RemoveDone")
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
    /// What its data path is like, once there is one.
    pub data: Option<DataStatus>,
}

/// What the data path of a pair is like.
#[derive(Clone, Debug)]
pub struct DataStatus {
    /// What its packets travel on: through the UDP tunnel too, of which the exchanges know nothing.
    pub path: Path,
    /// `CPI` of what it receives and of what it sends, if it compresses.
    pub cpi: (Option<u16>, Option<u16>),
    /// What became of packets that were compressed, if it compresses.
    pub compression: Option<CompressionCounters>,
    /// `Compression ENCO channel`: who compresses, if it compresses. There is nobody but the gateway itself.
    pub compression_provider: Option<ProviderId>,
    /// How long a path is believed to carry packets, if anything is known.
    pub path_mtu: Option<usize>,
    /// The longest packet that fits that path once it is sealed; that of a path of 1500 octets if nothing is known.
    pub longest: usize,
    /// How many octets a packet of that length gets longer: `ipsec overhead`.
    pub overhead: usize,
    /// How the header around what it tunnels is made.
    pub outer: OuterRules,
    /// `Peer original source` and `destination IP address` of transport mode behind a NAT, if the peer told.
    pub original: Option<(IpAddr, IpAddr)>,
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
    /// What its data path is like.
    pub data: DataStatus,
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
    /// `UDP Tunnel`, with its port and heartbeat, if it is on.
    pub udp_tunnel: Option<UdpTunnel>,
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
                data: known.map(|pair| self.data_status(now, pair)),
                status,
            }
        };
        Snapshot {
            now,
            isakmp: status.ike_sas,
            embryonic: status.embryonic,
            ipsec: status.children.into_iter().map(pair).collect(),
            manual: self.manual_status(now),
            sessions: self.session_status(),
            built_in: self.policy_status(BUILT_IN),
            policies: self.policy_status(INTERFACE),
            waiting: self.waiting.len(),
            counters: self.counters.clone(),
            udp_tunnel: self.tunnel.status(),
            ike_counters: status.counters,
            own_ike_counters: status.own_counters,
            sad_counters: self.sad.counters().clone(),
            spd_counters: self.policies.counters().clone(),
            filter_counters: self.policies.filter_counters().clone(),
            fragment_counters: self.fragments.counters().clone(),
            bundle_counters: self.setups.bundle.clone(),
            protocol_counters: self.protocol_counters(),
            algorithm_counters: self.algorithm_counters(),
        }
    }

    fn layer_status(&self, layers: Layers) -> Vec<sad::SaStatus> {
        layers.associations().filter_map(|association| self.sad.status(association)).collect()
    }

    fn data_status(&self, now: Instant, pair: &Pair) -> DataStatus {
        let path_mtu = pair.mtu.path(now, self.path_mtu);
        let path = path_mtu.unwrap_or(defaults::USUAL_MTU);
        let longest = path_mtu::longest(self.ports, pair, path);
        let compresses = pair.inbound.cpi.is_some() || pair.outbound.cpi.is_some();
        DataStatus {
            path: pair.path,
            cpi: (pair.inbound.cpi, pair.outbound.cpi),
            compression: compresses.then(|| pair.compression.clone()),
            compression_provider: compresses.then_some(ProviderId::BUILT_IN),
            path_mtu,
            longest,
            overhead: path.saturating_sub(longest),
            outer: self.routes.of(pair.template).map(|route| route.outer).unwrap_or_default(),
            original: pair.ends.original,
        }
    }

    fn protocol_counters(&self) -> ProtocolCounters {
        let mut compression = self.compression.clone();
        self.pairs.values().for_each(|pair| compression.add(&pair.compression));
        ProtocolCounters {
            esp: self.sad.protocol_counters(SaProtocol::Esp),
            ah: self.sad.protocol_counters(SaProtocol::Ah),
            compression,
            esp_setup: self.setups.esp.clone(),
            ah_setup: self.setups.ah.clone(),
            compression_setup: self.setups.comp.clone(),
        }
    }

    fn algorithm_counters(&self) -> Vec<(CountedAlgorithm, AlgorithmCounters)> {
        let mut sums = self.algorithms.clone();
        self.pairs.values().for_each(|pair| self.add_algorithms(&mut sums, pair, false));
        sums.add_after_removal(self.sad.after_removal());
        sums.iter().map(|(algorithm, counters)| (algorithm, counters.clone())).collect()
    }

    /// Keeps what the algorithms and the compression of a pair did, before it goes.
    pub(crate) fn count_algorithms_gone(&mut self, pair: &Pair) {
        let mut sums = core::mem::take(&mut self.algorithms);
        self.add_algorithms(&mut sums, pair, true);
        self.algorithms = sums;
        self.compression.add(&pair.compression);
    }

    fn add_algorithms(&self, sums: &mut Algorithms, pair: &Pair, gone: bool) {
        let counters = |association: Option<sad::SaHandle>| {
            let status = association.and_then(|association| self.sad.status(association));
            status.and_then(|status| status.detail).map(|detail| detail.counters)
        };
        for layers in [pair.inbound, pair.outbound] {
            sums.add(layers, counters(layers.esp).as_ref(), counters(layers.ah).as_ref(), gone);
        }
        if pair.outbound.cpi.is_some() {
            sums.add_compression(&pair.compression, gone);
        }
    }

    fn manual_status(&self, now: Instant) -> Vec<ManualStatus> {
        let manual = self.pairs.range(manual::FIRST_CHILD..);
        manual
            .map(|(_, pair)| ManualStatus {
                name: self.routes.of(pair.template).map(|route| route.name.clone()).unwrap_or_default(),
                inbound: self.layer_status(pair.inbound),
                outbound: self.layer_status(pair.outbound),
                data: self.data_status(now, pair),
            })
            .collect()
    }

    /// Says what the policies do with a clear packet and why, and does nothing with it.
    ///
    /// # Errors
    /// The headers of the packet lie.
    pub fn explain(&mut self, direction: Direction, packet: &[u8]) -> Result<Explanation, KeyError> {
        let key = PacketKey::from_packet(packet, direction)?;
        let list = if self.built_in(direction, &key).is_some() { BUILT_IN } else { INTERFACE };
        Ok(self.policies.explain(list, direction, &key))
    }

    /// Returns what the policies say about a packet, and counts nothing.
    ///
    /// # Errors
    /// The headers of the packet lie.
    pub fn decision(&self, direction: Direction, packet: &[u8]) -> Result<Decision, KeyError> {
        let key = PacketKey::from_packet(packet, direction)?;
        let decision = self.built_in(direction, &key);
        Ok(decision.unwrap_or_else(|| self.policies.decide(INTERFACE, direction, &key)))
    }

    fn policy_status(&self, list: InterfaceId) -> Vec<PolicyStatus> {
        (1..)
            .zip(self.policies.iter(list))
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
                    udp_tunnel: route.and_then(|route| route.tunnel),
                    waiting: template.map_or(0, |template| self.waiting.count(template)),
                    hits: self.policies.hits(id).unwrap_or(0),
                    counters: self.policies.policy_counters(id).cloned().unwrap_or_default(),
                }
            })
            .collect()
    }
}
