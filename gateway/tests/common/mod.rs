//! Two gateways with a LAN each, on a simulated network.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use drive::Instant;
use gateway::{Action, Command, Config, Event, Gateway, Outcome, Plan};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::{ConnectionConfig, ConnectionId, Identity, Peer, PolicyConfig, RemoteIdentity, TrafficSelector};
use simnet::{Handler, Harness, Link, NatConfig, NatId, NodeId, Orders, Realm, World};

pub const LEFT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const RIGHT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub const LEFT_BEHIND_NAT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
pub const LEFT_HOST: Ipv4Addr = Ipv4Addr::new(10, 10, 1, 1);
pub const RIGHT_HOST: Ipv4Addr = Ipv4Addr::new(10, 10, 2, 1);
pub const OFFICE: ConnectionId = ConnectionId(0);
pub const KEY: &[u8] = b"a key for tests";

/// What one side is configured with.
pub struct Side {
    pub local: Ipv4Addr,
    pub peer: Peer,
    pub lan: Ipv4Addr,
    pub far_lan: Ipv4Addr,
    pub key: &'static [u8],
    pub remote_identity: Option<RemoteIdentity>,
    pub lifetime: Duration,
    pub ike_lifetime: Duration,
    pub kilobytes: Option<u64>,
}

impl Side {
    pub fn left() -> Self {
        Self {
            local: LEFT,
            peer: Peer::Address(RIGHT.into()),
            lan: network(LEFT_HOST),
            far_lan: network(RIGHT_HOST),
            key: KEY,
            remote_identity: None,
            lifetime: Duration::from_secs(3_600),
            ike_lifetime: Duration::from_secs(28_800),
            kilobytes: None,
        }
    }

    pub fn right() -> Self {
        Self {
            local: RIGHT,
            peer: Peer::Address(LEFT.into()),
            lan: network(RIGHT_HOST),
            far_lan: network(LEFT_HOST),
            ..Self::left()
        }
    }

    pub fn config(self) -> Config {
        let mut child =
            PolicyConfig::new("net").local(subnet(self.lan)).remote(subnet(self.far_lan)).lifetime(self.lifetime);
        if let Some(kilobytes) = self.kilobytes {
            child = child.kilobytes(kilobytes);
        }
        let mut connection = ConnectionConfig::new("office")
            .local(IpAddr::from(self.local))
            .peer(self.peer)
            .pre_shared_key(PreSharedKey::copied(self.key))
            .lifetime(self.ike_lifetime)
            .policy(child);
        if let Some(identity) = self.remote_identity {
            connection = connection.remote_identity(identity);
        }
        Config::new(ikev1_core::Config::new().connection(connection))
    }

    pub fn plan(self) -> Plan {
        self.config().build().unwrap()
    }
}

fn network(host: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = host.octets();
    Ipv4Addr::new(a, b, c, 0)
}

pub fn subnet(network: Ipv4Addr) -> TrafficSelector {
    TrafficSelector::subnet(network.into(), 24).unwrap()
}

/// The hosts behind both gateways: they answer echo requests, and everything is noted.
#[derive(Default)]
pub struct Lans {
    pub delivered: Vec<(Instant, NodeId, Vec<u8>)>,
    /// Whether nobody answers echo requests.
    pub silent: bool,
    pub bypassed: Vec<(NodeId, Vec<u8>)>,
    /// Answers to senders on this side.
    pub answers: Vec<(NodeId, Vec<u8>)>,
    pub events: Vec<(Instant, NodeId, Event)>,
    pub key_lines: usize,
}

impl Handler<Gateway> for Lans {
    fn on_action(&mut self, now: Instant, node: NodeId, action: Action, orders: &mut Orders<Gateway>) {
        match action {
            Action::Deliver(packet, _) => {
                self.delivered.push((now, node, packet.to_vec()));
                if !self.silent && packet.get(20) == Some(&8) {
                    let reply = echo_reply(&packet);
                    orders.call(node, move |now, gateway| {
                        let _ = gateway.handle_packet(now, &reply);
                    });
                }
            }
            Action::Bypass(packet) => self.bypassed.push((node, packet.to_vec())),
            Action::Event(event) => self.events.push((now, node, event)),
            Action::Reply(packet) => self.answers.push((node, packet.to_vec())),
            Action::KeyLog(_) => self.key_lines += 1,
            other => panic!("{other:?}"),
        }
    }
}

/// Two gateways that know each other.
pub struct Sites {
    pub net: Harness<Gateway, Lans>,
    pub left: NodeId,
    pub right: NodeId,
    pub nat: Option<NatId>,
}

impl Sites {
    pub fn new(seed: u64, left: Plan, right: Plan) -> Self {
        let mut world = World::new(seed);
        world.set_links(Link::with_latency(Duration::from_millis(10)));
        let left_node = world.add_node("left", LEFT);
        Self::finish(world, left_node, None, left, right)
    }

    pub fn behind_nat(seed: u64, left: Plan, right: Plan) -> Self {
        let mut world = World::new(seed);
        world.set_links(Link::with_latency(Duration::from_millis(10)));
        let nat = world.add_nat(NatConfig::new(Ipv4Addr::new(192, 0, 2, 254).into()));
        let left_node = world.add_node_in(Realm::Behind(nat), "left", LEFT_BEHIND_NAT);
        Self::finish(world, left_node, Some(nat), left, right)
    }

    pub fn plain(seed: u64) -> Self {
        Self::new(seed, Side::left().plan(), Side::right().plan())
    }

    /// Two gateways at other addresses than the usual ones.
    pub fn between(seed: u64, left: (IpAddr, Plan), right: (IpAddr, Plan)) -> Self {
        let mut world = World::new(seed);
        world.set_links(Link::with_latency(Duration::from_millis(10)));
        let left_node = world.add_node("left", left.0);
        let right_node = world.add_node("right", right.0);
        Self::place(world, (left_node, right_node), None, left.1, right.1)
    }

    fn finish(mut world: World, left: NodeId, nat: Option<NatId>, left_plan: Plan, right_plan: Plan) -> Self {
        let right = world.add_node("right", RIGHT);
        Self::place(world, (left, right), nat, left_plan, right_plan)
    }

    fn place(
        world: World,
        (left, right): (NodeId, NodeId),
        nat: Option<NatId>,
        left_plan: Plan,
        right_plan: Plan,
    ) -> Self {
        let left_machine = Gateway::new(left_plan, Box::new(world.entropy(left)));
        let right_machine = Gateway::new(right_plan, Box::new(world.entropy(right)));
        let mut net = Harness::with_handler(world, Lans::default());
        net.place(left, left_machine);
        net.place(right, right_machine);
        Self { net, left, right, nat }
    }

    /// Gives a clear packet to the gateway on `node`.
    pub fn send(&mut self, node: NodeId, packet: &[u8]) -> Outcome {
        let packet = packet.to_vec();
        self.net.call(node, move |now, gateway| gateway.handle_packet(now, &packet)).unwrap()
    }

    /// Sends an echo request from the host behind `node` to the other side.
    pub fn ping(&mut self, node: NodeId, number: u16) -> Outcome {
        let (from, to) = if node == self.left { (LEFT_HOST, RIGHT_HOST) } else { (RIGHT_HOST, LEFT_HOST) };
        self.send(node, &echo(from, to, number))
    }

    /// Returns how many echo replies with this number came back to the host behind `node`.
    pub fn replies(&self, node: NodeId, number: u16) -> usize {
        let is_reply = |packet: &[u8]| packet[20] == 0 && packet[26..28] == number.to_be_bytes();
        self.net.handler.delivered.iter().filter(|(_, at, packet)| *at == node && is_reply(packet)).count()
    }

    pub fn run(&mut self, time: Duration) {
        self.net.run_for(time).unwrap();
    }

    pub fn initiate(&mut self, node: NodeId) {
        self.net.command(node, Command::Initiate { connection: OFFICE }).unwrap().unwrap();
    }

    /// Brings the tunnel up from the left.
    pub fn up(&mut self) {
        self.initiate(self.left);
        self.run(Duration::from_secs(5));
        assert!(self.has_tunnel(self.left) && self.has_tunnel(self.right), "{:#?}", self.net.handler.events);
    }

    pub fn machine(&self, node: NodeId) -> &Gateway {
        self.net.machine(node).unwrap()
    }

    pub fn has_tunnel(&self, node: NodeId) -> bool {
        self.machine(node).snapshot(self.net.now()).ipsec.iter().any(|pair| pair.status.complete)
    }

    pub fn events(&self, node: NodeId) -> impl Iterator<Item = &Event> {
        self.net.handler.events.iter().filter(move |(_, at, _)| *at == node).map(|(_, _, event)| event)
    }
}

pub fn left_behind_nat() -> Side {
    Side { local: LEFT_BEHIND_NAT, remote_identity: None, ..Side::left() }
}

pub fn right_for_anyone() -> Side {
    let identity = RemoteIdentity::Exactly(Identity::Address(LEFT_BEHIND_NAT.into()));
    Side { peer: Peer::Any, remote_identity: Some(identity), ..Side::right() }
}

/// An IPv4 packet with an ICMP echo request.
pub fn echo(from: Ipv4Addr, to: Ipv4Addr, number: u16) -> Vec<u8> {
    icmp(8, from, to, number)
}

fn echo_reply(request: &[u8]) -> Vec<u8> {
    let address = |at: usize| Ipv4Addr::new(request[at], request[at + 1], request[at + 2], request[at + 3]);
    icmp(0, address(16), address(12), u16::from_be_bytes([request[26], request[27]]))
}

fn icmp(kind: u8, from: Ipv4Addr, to: Ipv4Addr, number: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 84, 0, 1, 0, 0, 64, 1, 0, 0];
    packet.extend_from_slice(&from.octets());
    packet.extend_from_slice(&to.octets());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(&[kind, 0, 0, 0, 0, 7]);
    packet.extend_from_slice(&number.to_be_bytes());
    packet.resize(84, 0x61);
    let sum = checksum(&packet[20..]);
    packet[22..24].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn checksum(octets: &[u8]) -> u16 {
    let sum: u32 = octets.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}
