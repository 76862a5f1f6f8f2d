use crate::link::{Carried, Carrier, Copied};
use crate::nat::{Nat, NatConfig};
use crate::pcap::{Capture, header_length, payload_limit};
use crate::tamper::{self, Outbox, Tamper};
use crate::{Clock, Counters, Entropy, Incident, Link};
use core::net::IpAddr;
use core::time::Duration;
use drive::{Instant, Transmit};
use std::collections::BTreeMap;

/// How many NATs a packet may pass before it counts as going in circles.
const MAX_HOPS: usize = 16;
/// Streams of the seed from here on are the network's own; below are the nodes'.
const NETWORK_STREAMS: u64 = 1 << 32;

/// A node of the world, numbered in the order of adding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

impl NodeId {
    /// Returns its number, from 0.
    pub const fn index(self) -> usize {
        self.0
    }
}

/// A NAT of the world, numbered in the order of adding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NatId(usize);

/// Where an address means something: the Internet, or the inside of one NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Realm {
    /// The public address space.
    Internet,
    /// The private address space behind a NAT.
    Behind(NatId),
}

/// Where packets are recorded. Both are between the NATs of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tap {
    /// Before the link, after the attacker: what will be lost is there too.
    Sent,
    /// Behind the link: what got through, when it did.
    Arrived,
}

/// A packet that reached its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The node.
    pub node: NodeId,
    /// The packet with the ends as the node sees them: `local` is its own.
    pub packet: Transmit,
}

struct Node {
    name: String,
    addresses: Vec<(Realm, IpAddr)>,
    carrier: Carrier,
    has_own_link: bool,
}

struct Gate {
    parent: Realm,
    nat: Nat,
}

struct Flight {
    realm: Realm,
    packet: Transmit,
}

/// The network: nodes, NATs, links, an attacker, and the packets on their way.
///
/// A packet takes the link of the node that sends it; what is behind a NAT reaches the outside through
/// it, and is reached only through its mappings. NATs may stand behind NATs.
pub struct World {
    seed: u64,
    clock: Clock,
    default_link: Link,
    nodes: Vec<Node>,
    hosts: BTreeMap<(Realm, IpAddr), NodeId>,
    gates: Vec<Gate>,
    flights: BTreeMap<(Instant, u64), Flight>,
    next_flight: u64,
    tamper: Option<Box<dyn Tamper>>,
    capture: Option<(Tap, Capture)>,
    watched: Option<Vec<(Instant, Incident, Transmit)>>,
    counters: Counters,
}

impl World {
    /// Returns an empty world whose every chance is decided by `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            clock: Clock::new(),
            default_link: Link::default(),
            nodes: Vec::new(),
            hosts: BTreeMap::new(),
            gates: Vec::new(),
            flights: BTreeMap::new(),
            next_flight: 0,
            tamper: None,
            capture: None,
            watched: None,
            counters: Counters::default(),
        }
    }

    /// Adds a node to the Internet.
    pub fn add_node(&mut self, name: &str, address: impl Into<IpAddr>) -> NodeId {
        self.add_node_in(Realm::Internet, name, address)
    }

    /// Adds a node to a realm.
    pub fn add_node_in(&mut self, realm: Realm, name: &str, address: impl Into<IpAddr>) -> NodeId {
        let id = NodeId(self.nodes.len());
        let entropy = Entropy::stream(self.seed, NETWORK_STREAMS + id.0 as u64);
        let carrier = Carrier::new(self.default_link, entropy);
        self.nodes.push(Node { name: name.to_owned(), addresses: Vec::new(), carrier, has_own_link: false });
        self.add_address(id, realm, address);
        id
    }

    /// Gives a node one more address. An address that another node of the realm has moves over.
    pub fn add_address(&mut self, node: NodeId, realm: Realm, address: impl Into<IpAddr>) {
        let address = address.into();
        let Some(entry) = self.nodes.get_mut(node.0) else { return };
        entry.addresses.push((realm, address));
        self.hosts.insert((realm, address), node);
    }

    /// Adds a NAT whose outside is on the Internet.
    pub fn add_nat(&mut self, config: NatConfig) -> NatId {
        self.add_nat_in(Realm::Internet, config)
    }

    /// Adds a NAT whose outside is in a realm, as behind another NAT.
    pub fn add_nat_in(&mut self, parent: Realm, config: NatConfig) -> NatId {
        let id = NatId(self.gates.len());
        self.gates.push(Gate { parent, nat: Nat::new(config) });
        id
    }

    /// Sets the link of every node that has none of its own, now and later.
    pub fn set_links(&mut self, link: Link) {
        self.default_link = link;
        self.nodes.iter_mut().filter(|node| !node.has_own_link).for_each(|node| node.carrier.set_link(link));
    }

    /// Sets the link that takes what `node` sends.
    pub fn set_link(&mut self, node: NodeId, link: Link) {
        if let Some(node) = self.nodes.get_mut(node.0) {
            node.has_own_link = true;
            node.carrier.set_link(link);
        }
    }

    /// Puts an attacker on the wire, in place of the one before.
    pub fn set_tamper(&mut self, tamper: impl Tamper + 'static) {
        self.tamper = Some(Box::new(tamper));
    }

    /// Takes the attacker off the wire.
    pub fn clear_tamper(&mut self) {
        self.tamper = None;
    }

    /// Starts recording what is sent.
    pub fn start_capture(&mut self) {
        self.start_capture_of(Tap::Sent);
    }

    /// Starts recording at one side of the link, between the sender's NAT and the receiver's.
    pub fn start_capture_of(&mut self, tap: Tap) {
        self.capture.get_or_insert_with(|| (tap, Capture::new()));
    }

    /// Returns what was recorded since [`start_capture`](Self::start_capture).
    pub fn capture(&self) -> Option<&Capture> {
        self.capture.as_ref().map(|(_, capture)| capture)
    }

    /// Starts keeping incidents, one by one, for [`take_incidents`](Self::take_incidents).
    pub fn watch(&mut self) {
        self.watched.get_or_insert_default();
    }

    /// Returns the incidents since the last call, with the packets as they travelled.
    pub fn take_incidents(&mut self) -> Vec<(Instant, Incident, Transmit)> {
        self.watched.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Returns the seed.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the randomness of one node: its own stream of the seed, from the start at each call.
    pub fn entropy(&self, node: NodeId) -> Entropy {
        Entropy::stream(self.seed, node.0 as u64)
    }

    /// Returns the time.
    pub const fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Returns the counters.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns the name of a node; empty for one of another world.
    pub fn name(&self, node: NodeId) -> &str {
        self.nodes.get(node.0).map_or("", |node| &node.name)
    }

    /// Returns the node that has an address.
    pub fn node_at(&self, realm: Realm, address: impl Into<IpAddr>) -> Option<NodeId> {
        self.hosts.get(&(realm, address.into())).copied()
    }

    /// Returns a NAT.
    pub fn nat(&self, nat: NatId) -> Option<&Nat> {
        self.gates.get(nat.0).map(|gate| &gate.nat)
    }

    /// Returns a NAT, to rebind it.
    pub fn nat_mut(&mut self, nat: NatId) -> Option<&mut Nat> {
        self.gates.get_mut(nat.0).map(|gate| &mut gate.nat)
    }

    /// Sends a packet from a node.
    pub fn send(&mut self, node: NodeId, packet: Transmit) {
        self.counters.sent += 1;
        let source = packet.path.local.ip();
        let realm = self
            .nodes
            .get(node.0)
            .and_then(|node| node.addresses.iter().find(|(_, address)| *address == source).map(|(realm, _)| *realm));
        let Some(realm) = realm else { return self.note(Incident::ForeignSource, &packet) };
        if packet.payload.len() > payload_limit(&packet.path) {
            return self.note(Incident::TooBig, &packet);
        }
        let mut packet = packet;
        match self.climb(realm, &mut packet) {
            Ok(realm) => self.put_on_wire(node, realm, packet),
            Err(incident) => self.note(incident, &packet),
        }
    }

    /// Lets a packet arrive out of nowhere on the Internet, with any source, `delay` from now.
    pub fn inject(&mut self, delay: Duration, packet: Transmit) {
        self.tap(Tap::Sent, &packet);
        self.launch(self.clock.now() + delay, Realm::Internet, packet);
    }

    /// Returns when the next packet arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.flights.first_key_value().map(|((at, _), _)| *at)
    }

    /// Moves the clock to the next packet that reaches a node, and returns it.
    ///
    /// Packets that a NAT drops or that nobody is there for are counted on the way.
    pub fn arrive(&mut self) -> Option<Arrival> {
        self.arrive_before(Instant::MAX)
    }

    /// Does the same for packets that arrive at `limit` or earlier. The clock stays at or before `limit`.
    pub fn arrive_before(&mut self, limit: Instant) -> Option<Arrival> {
        while self.next_arrival()? <= limit {
            let ((at, _), flight) = self.flights.pop_first()?;
            self.clock.advance_to(at);
            let mut packet = flight.packet;
            self.tap(Tap::Arrived, &packet);
            match self.descend(flight.realm, &mut packet) {
                Ok(node) => {
                    self.counters.delivered += 1;
                    return Some(Arrival { node, packet: Transmit { path: packet.path.reversed(), ..packet } });
                }
                Err(incident) => self.note(incident, &packet),
            }
        }
        None
    }

    /// Moves the clock. Packets that should have arrived by then arrive late.
    pub fn advance_to(&mut self, to: Instant) {
        self.clock.advance_to(to);
    }

    /// Takes a packet outward, through NATs, to the realm that has its destination.
    fn climb(&mut self, from: Realm, packet: &mut Transmit) -> Result<Realm, Incident> {
        let mut realm = from;
        for _ in 0..MAX_HOPS {
            if self.is_known(realm, packet.path.remote.ip()) {
                return Ok(realm);
            }
            let Realm::Behind(nat) = realm else { return Err(Incident::NoRoute) };
            let now = self.clock.now();
            let gate = self.gates.get_mut(nat.0).ok_or(Incident::NoRoute)?;
            gate.nat.outbound(now, packet).map_err(Incident::Nat)?;
            realm = gate.parent;
        }
        Err(Incident::NoRoute)
    }

    /// Takes a packet inward, through NATs, to the node that has its destination.
    fn descend(&mut self, from: Realm, packet: &mut Transmit) -> Result<NodeId, Incident> {
        let mut realm = from;
        for _ in 0..MAX_HOPS {
            let destination = packet.path.remote.ip();
            if let Some(node) = self.hosts.get(&(realm, destination)) {
                return Ok(*node);
            }
            let now = self.clock.now();
            let (number, gate) = self
                .gates
                .iter_mut()
                .enumerate()
                .find(|(_, gate)| gate.parent == realm && gate.nat.config().outside == destination)
                .ok_or(Incident::NoRoute)?;
            gate.nat.inbound(now, packet).map_err(Incident::Nat)?;
            realm = Realm::Behind(NatId(number));
        }
        Err(Incident::NoRoute)
    }

    fn is_known(&self, realm: Realm, address: IpAddr) -> bool {
        let is_gate = |gate: &Gate| gate.parent == realm && gate.nat.config().outside == address;
        self.hosts.contains_key(&(realm, address)) || self.gates.iter().any(is_gate)
    }

    fn put_on_wire(&mut self, node: NodeId, realm: Realm, packet: Transmit) {
        let now = self.clock.now();
        let passed = match &mut self.tamper {
            None => vec![(Duration::ZERO, packet)],
            Some(tamper) => {
                let mut outbox = Outbox::default();
                tamper.on_packet(now, packet.clone(), &mut outbox);
                let passed = outbox.into_packets();
                if passed.is_empty() {
                    self.note(Incident::Stopped, &packet);
                }
                passed
            }
        };
        for (delay, packet) in passed {
            self.tap(Tap::Sent, &packet);
            self.carry(node, realm, delay, packet);
        }
    }

    fn carry(&mut self, node: NodeId, realm: Realm, delay: Duration, packet: Transmit) {
        let Some(sender) = self.nodes.get_mut(node.0) else { return };
        let header = header_length(&packet.path);
        match sender.carrier.carry(self.clock.now(), header, packet.payload.len()) {
            Carried::Lost => self.note(Incident::Lost, &packet),
            Carried::TooBig => self.note(Incident::TooBig, &packet),
            Carried::Arrives { first, second, held_back } => {
                if held_back {
                    self.note(Incident::HeldBack, &packet);
                }
                if second.is_some() {
                    self.note(Incident::Duplicated, &packet);
                }
                for copy in [Some(first), second].into_iter().flatten() {
                    self.land(realm, delay, copy, &packet);
                }
            }
        }
    }

    fn land(&mut self, realm: Realm, delay: Duration, copy: Copied, packet: &Transmit) {
        let landed = match copy.flip {
            None => packet.clone(),
            Some(bit) => {
                self.note(Incident::Corrupted, packet);
                tamper::flipped(packet, bit)
            }
        };
        self.launch(copy.at + delay, realm, landed);
    }

    fn launch(&mut self, at: Instant, realm: Realm, packet: Transmit) {
        self.flights.insert((at, self.next_flight), Flight { realm, packet });
        self.next_flight += 1;
    }

    fn tap(&mut self, tap: Tap, packet: &Transmit) {
        if let Some((_, capture)) = self.capture.as_mut().filter(|(wanted, _)| *wanted == tap) {
            capture.record(self.clock.now(), packet);
        }
    }

    fn note(&mut self, incident: Incident, packet: &Transmit) {
        *self.counters.incidents.entry(incident).or_default() += 1;
        if let Some(watched) = &mut self.watched {
            watched.push((self.clock.now(), incident, packet.clone()));
        }
    }
}
