//! Two peers want to carry the same traffic of one policy in tunnel mode.

use crate::common;
use crate::common::{KEY, LEFT_HOST, Lans, OFFICE, RIGHT, RIGHT_HOST, Side, echo, subnet};
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use gateway::{Command, Event, Gateway, InstallRefusal, Outcome};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::{ConnectionConfig, Identity, Peer, PolicyConfig, RemoteIdentity};
use simnet::{Harness, Link, NodeId, World};

const SECOND: Duration = Duration::from_secs(1);
const HOME: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const AWAY: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

struct Net {
    net: Harness<Gateway, Lans>,
    peers: [NodeId; 2],
    hub: NodeId,
}

impl Net {
    /// Two peers, with these names and the same network, and a hub for whoever has the key.
    fn new(names: [&str; 2], newest_takes_over: bool) -> Self {
        let mut world = World::new(1);
        world.set_links(Link::with_latency(Duration::from_millis(10)));
        let mut machines = Vec::new();
        for (address, name) in [HOME, AWAY].into_iter().zip(names) {
            let policy = PolicyConfig::new("net")
                .local(subnet(Ipv4Addr::new(10, 10, 1, 0)))
                .remote(subnet(Ipv4Addr::new(10, 10, 2, 0)));
            let connection = ConnectionConfig::new("office")
                .local(IpAddr::from(address))
                .peer(Peer::Address(RIGHT.into()))
                .pre_shared_key(PreSharedKey::copied(KEY))
                .mode(ikev1_core::Phase1Mode::Aggressive)
                .dangerously_allow_aggressive_mode(true)
                .local_identity(Identity::Fqdn(name.into()))
                .policy(policy);
            let config = gateway::Config::new(ikev1_core::Config::new().connection(connection));
            machines.push((world.add_node(name, address), config.build().unwrap()));
        }
        let policy = PolicyConfig::new("net")
            .local(subnet(Ipv4Addr::new(10, 10, 2, 0)))
            .remote(subnet(Ipv4Addr::new(10, 10, 1, 0)));
        let connection = ConnectionConfig::new("office")
            .local(IpAddr::from(RIGHT))
            .peer(Peer::Any)
            .pre_shared_key(PreSharedKey::copied(KEY))
            .mode(ikev1_core::Phase1Mode::Aggressive)
            .dangerously_allow_aggressive_mode(true)
            .remote_identity(RemoteIdentity::Anyone)
            .policy(policy);
        let config = gateway::Config::new(ikev1_core::Config::new().connection(connection));
        let hub = world.add_node("hub", RIGHT);
        machines.push((hub, config.newest_takes_over(newest_takes_over).build().unwrap()));
        let machines: Vec<_> = machines
            .into_iter()
            .map(|(node, plan)| (node, Gateway::new(plan, Box::new(world.entropy(node)))))
            .collect();
        let peers = [machines[0].0, machines[1].0];
        let mut net = Harness::with_handler(world, Lans { silent: true, ..Lans::default() });
        for (node, machine) in machines {
            net.place(node, machine);
        }
        Self { net, peers, hub }
    }

    fn up(&mut self, peer: usize) {
        self.net.command(self.peers[peer], Command::Initiate { connection: OFFICE }).unwrap().unwrap();
        self.net.run_for(5 * SECOND).unwrap();
    }

    /// Sends a packet from behind the hub; returns how many each peer got.
    fn send(&mut self) -> [usize; 2] {
        self.net.handler.delivered.clear();
        let packet = echo(RIGHT_HOST, LEFT_HOST, 1);
        let outcome = self.net.call(self.hub, move |now, hub| hub.handle_packet(now, &packet)).unwrap();
        assert_eq!(outcome, Outcome::Sent);
        self.net.run_for(SECOND).unwrap();
        self.peers.map(|peer| self.net.handler.delivered.iter().filter(|(_, at, _)| *at == peer).count())
    }

    fn contests(&self) -> usize {
        let contested = |event: &Event| matches!(event, Event::InstallRefused { reason: InstallRefusal::Contested { by }, .. } if by.ip() == HOME);
        self.net.handler.events.iter().filter(|(_, at, event)| *at == self.hub && contested(event)).count()
    }
}

#[test]
fn another_peer_does_not_take_the_traffic_of_the_first_and_is_refused_by_name() {
    let mut net = Net::new(["home.example.org", "thief.example.org"], false);
    net.up(0);
    assert_eq!(net.send(), [1, 0]);
    net.up(1);
    assert!(net.contests() > 0);
    assert_eq!(net.send(), [1, 0]);
    // Once the first is gone, the second is welcome.
    net.net.command(net.peers[0], Command::CloseConnection { connection: OFFICE }).unwrap().unwrap();
    net.net.run_for(SECOND).unwrap();
    net.up(1);
    assert_eq!(net.send(), [0, 1]);
}

#[test]
fn a_peer_that_comes_back_from_elsewhere_takes_its_traffic_over() {
    let mut net = Net::new(["roamer.example.org"; 2], false);
    net.up(0);
    // It went away without a word.
    net.net.world.set_link(net.peers[0], Link::cut());
    net.up(1);
    assert_eq!(net.contests(), 0);
    assert_eq!(net.send(), [0, 1]);
}

#[test]
fn another_peer_takes_over_where_the_plan_says_so() {
    let mut net = Net::new(["home.example.org", "spare.example.org"], true);
    net.up(0);
    net.net.world.set_link(net.peers[0], Link::cut());
    net.up(1);
    assert_eq!(net.contests(), 0);
    assert_eq!(net.send(), [0, 1]);
}

#[test]
fn peers_of_one_policy_with_networks_of_their_own_do_not_contest() {
    let mut sites = common::Sites::new(2, Side::left().plan(), Side::right().plan());
    sites.up();
    sites.initiate(sites.right);
    sites.run(5 * SECOND);
    let refused = |event: &Event| matches!(event, Event::InstallRefused { .. });
    assert!(!sites.events(sites.left).chain(sites.events(sites.right)).any(refused));
}
