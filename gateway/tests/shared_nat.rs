//! Two machines behind one NAT talk to one server in transport mode, RFC 3948 §5.2: to the server they look alike.

use crate::common::{KEY, Lans, OFFICE, RIGHT};
use bytes::Bytes;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use drive::{Path, Transmit};
use gateway::{Command, Config, Gateway, Outcome, Plan, datagram_of};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::proposal::Mode;
use ikev1_core::{ConnectionConfig, Peer, PolicyConfig, RemoteIdentity, TrafficSelector};
use simnet::{Harness, Link, NatConfig, NatId, NodeId, Realm, World};

const SECOND: Duration = Duration::from_secs(1);
const GRE: u8 = 47;
const ARI: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
const BOB: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 4);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

fn plan(local: Ipv4Addr, peer: Peer, remote: TrafficSelector) -> Plan {
    let policy = PolicyConfig::new("own")
        .mode(Mode::Transport)
        .local(TrafficSelector::host(local.into()))
        .remote(remote)
        .accept_narrower(true);
    let mut connection = ConnectionConfig::new("office")
        .local(IpAddr::from(local))
        .peer(peer)
        .pre_shared_key(PreSharedKey::copied(KEY))
        .policy(policy);
    if peer == Peer::Any {
        connection = connection.remote_identity(RemoteIdentity::Anyone);
    }
    Config::new(ikev1_core::Config::new().connection(connection)).build().unwrap()
}

struct Net {
    net: Harness<Gateway, Lans>,
    nat: NatId,
    ari: NodeId,
    bob: NodeId,
    server: NodeId,
}

impl Net {
    /// Ari comes first, then Bob.
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        world.set_links(Link::with_latency(Duration::from_millis(10)));
        let nat = world.add_nat(NatConfig::new(OUTSIDE.into()));
        let ari = world.add_node_in(Realm::Behind(nat), "ari", ARI);
        let bob = world.add_node_in(Realm::Behind(nat), "bob", BOB);
        let server = world.add_node("server", RIGHT);
        let client = |local| plan(local, Peer::Address(RIGHT.into()), TrafficSelector::host(RIGHT.into()));
        let anyone = TrafficSelector::subnet(Ipv4Addr::UNSPECIFIED.into(), 0).unwrap();
        let plans = [(ari, client(ARI)), (bob, client(BOB)), (server, plan(RIGHT, Peer::Any, anyone))];
        let mut machines = Vec::new();
        for (node, plan) in plans {
            machines.push((node, Gateway::new(plan, Box::new(world.entropy(node)))));
        }
        let mut net = Harness::with_handler(world, Lans { silent: true, ..Lans::default() });
        for (node, machine) in machines {
            net.place(node, machine);
        }
        let mut net = Self { net, nat, ari, bob, server };
        for node in [ari, bob] {
            net.net.command(node, Command::Initiate { connection: OFFICE }).unwrap().unwrap();
            net.run();
        }
        assert_eq!(net.net.machine(server).unwrap().snapshot(net.net.now()).sessions.len(), 2);
        net
    }

    fn run(&mut self) {
        self.net.run_for(5 * SECOND).unwrap();
    }

    /// A client's program sends from one port to the server's 1701.
    fn asks(&mut self, node: NodeId, port: u16, payload: &[u8]) {
        let local = if node == self.ari { ARI } else { BOB };
        self.send(node, Path::new(SocketAddr::new(local.into(), port), SocketAddr::new(RIGHT.into(), 1701)), payload);
    }

    /// The server's program answers to a port of who looks like the NAT.
    fn answers(&mut self, port: u16, payload: &[u8]) {
        let path = Path::new(SocketAddr::new(RIGHT.into(), 1701), SocketAddr::new(OUTSIDE.into(), port));
        self.send(self.server, path, payload);
    }

    fn send(&mut self, node: NodeId, path: Path, payload: &[u8]) {
        let transmit = Transmit { path, payload: Bytes::copy_from_slice(payload) };
        let outcome = self.net.call(node, move |now, gateway| gateway.handle_transmit(now, transmit)).unwrap();
        assert_eq!(outcome, Outcome::Sent);
        self.run();
    }

    /// Returns what a node heard since it was last asked, and from which port.
    fn heard_from(&mut self, node: NodeId) -> Vec<(u16, Vec<u8>)> {
        let delivered = core::mem::take(&mut self.net.handler.delivered);
        let (here, elsewhere): (Vec<_>, Vec<_>) = delivered.into_iter().partition(|(_, at, _)| *at == node);
        self.net.handler.delivered = elsewhere;
        let read = |packet: &[u8]| {
            let datagram = datagram_of(packet).expect("a whole packet with right checksums");
            (datagram.path.remote.port(), datagram.payload.to_vec())
        };
        here.iter().map(|(_, _, packet)| read(packet)).collect()
    }

    fn heard(&mut self, node: NodeId) -> Vec<Vec<u8>> {
        self.heard_from(node).into_iter().map(|(_, payload)| payload).collect()
    }

    fn counters(&self) -> gateway::Counters {
        self.net.machine(self.server).unwrap().snapshot(self.net.now()).counters
    }
}

#[test]
fn each_of_two_peers_behind_one_nat_hears_the_answers_to_its_own_ports() {
    let mut net = Net::new(1);
    for round in 0..3 {
        net.asks(net.ari, 40_001, b"ari asks");
        net.asks(net.bob, 40_002, b"bob asks");
        assert_eq!(net.heard(net.server), [b"ari asks", b"bob asks"]);
        net.answers(40_002, b"to bob");
        net.answers(40_001, b"to ari");
        assert_eq!(net.heard(net.bob), [b"to bob"], "round {round}");
        assert_eq!(net.heard(net.ari), [b"to ari"], "round {round}");
    }
    let counters = net.counters();
    assert_eq!((counters.in_ports_lent, counters.in_flow_taken), (0, 0));
}

#[test]
fn the_second_of_two_peers_behind_one_nat_does_not_take_the_traffic_of_the_first() {
    let mut net = Net::new(2);
    // Before anybody asked, the server's own words go to who came first.
    net.answers(1701, b"hello");
    assert_eq!((net.heard(net.ari).len(), net.heard(net.bob).len()), (1, 0));
    net.asks(net.ari, 1701, b"ari asks");
    net.asks(net.bob, 1701, b"bob asks");
    let heard = net.heard_from(net.server);
    let lent = heard[1].0;
    assert!(lent >= gateway::defaults::FIRST_LENT_PORT);
    assert_eq!(heard, [(1701, b"ari asks".to_vec()), (lent, b"bob asks".to_vec())]);
    net.answers(1701, b"to ari");
    net.answers(lent, b"to bob");
    assert_eq!(net.heard_from(net.ari), [(1701, b"to ari".to_vec())]);
    assert_eq!(net.heard_from(net.bob), [(1701, b"to bob".to_vec())]);
    // Renewal and a new mapping of the NAT change nothing.
    for node in [net.ari, net.bob] {
        let pairs = net.net.machine(node).unwrap().snapshot(net.net.now()).ipsec;
        net.net.command(node, Command::RekeyChild { child: pairs[0].status.child }).unwrap().unwrap();
        net.run();
    }
    net.net.world.nat_mut(net.nat).unwrap().rebind();
    net.asks(net.ari, 1701, b"ari again");
    net.asks(net.bob, 1701, b"bob again");
    assert_eq!(net.heard_from(net.server), [(1701, b"ari again".to_vec()), (lent, b"bob again".to_vec())]);
    net.answers(lent, b"to bob");
    net.answers(1701, b"to ari");
    assert_eq!((net.heard(net.ari), net.heard(net.bob)), (vec![b"to ari".to_vec()], vec![b"to bob".to_vec()]));
    let counters = net.counters();
    assert_eq!((counters.in_ports_lent, counters.in_flow_taken), (1, 0));
    // What is for a peer that is gone goes to nobody else.
    net.net.command(net.bob, Command::CloseConnection { connection: OFFICE }).unwrap().unwrap();
    net.run();
    net.answers(1701, b"to ari still");
    assert_eq!((net.heard(net.ari).len(), net.heard(net.bob).len()), (1, 0));
}

#[test]
fn without_ports_the_second_of_two_peers_is_dropped_until_the_first_is_gone() {
    let mut net = Net::new(4);
    let path = |from: Ipv4Addr| Path::ip(GRE, from.into(), RIGHT.into());
    net.send(net.ari, path(ARI), b"ari asks");
    net.send(net.bob, path(BOB), b"bob asks");
    assert_eq!(net.heard(net.server), [b"ari asks"]);
    assert_eq!(net.counters().in_flow_taken, 1);
    net.send(net.server, Path::ip(GRE, RIGHT.into(), OUTSIDE.into()), b"to ari");
    assert_eq!((net.heard(net.ari).len(), net.heard(net.bob).len()), (1, 0));
    net.net.command(net.ari, Command::CloseConnection { connection: OFFICE }).unwrap().unwrap();
    net.run();
    net.send(net.bob, path(BOB), b"bob at last");
    assert_eq!(net.heard(net.server), [b"bob at last"]);
    net.send(net.server, Path::ip(GRE, RIGHT.into(), OUTSIDE.into()), b"to bob");
    assert_eq!((net.heard(net.ari).len(), net.heard(net.bob).len()), (0, 1));
}

#[test]
fn ports_that_the_first_no_longer_uses_are_free_for_the_second() {
    let mut net = Net::new(3);
    net.asks(net.ari, 1701, b"ari asks");
    net.net.run_for(gateway::defaults::FLOW_AGE * 3).unwrap();
    net.asks(net.bob, 1701, b"bob asks");
    net.answers(1701, b"to bob");
    assert_eq!(net.heard(net.server).len(), 2);
    assert_eq!((net.heard(net.ari).len(), net.heard(net.bob).len()), (0, 1));
}
