//! Keepalives and the following of a moved peer, against a NAT that forgets and rebinds.

use core::net::SocketAddr;
use core::time::Duration;
use drive::{Instant, Path, Transmit};
use nat_t::demux::{Content, KEEPALIVE, port_4500};
use nat_t::mapping::{Change, Freshness, Refusal};
use nat_t::{Keepalive, Location, PeerEnd};
use simnet::{NatConfig, NatId, NodeId, Realm, World};

const INSIDE: ([u8; 4], u16) = ([10, 1, 0, 10], 4500);
const OUTSIDE: [u8; 4] = [192, 0, 2, 254];
const SERVER: ([u8; 4], u16) = ([192, 0, 2, 2], 4500);

/// A client behind a NAT that forgets after a minute, and a server.
struct Net {
    world: World,
    nat: NatId,
    client: NodeId,
    server: NodeId,
}

impl Net {
    fn new() -> Self {
        let mut world = World::new(1);
        let nat = world.add_nat(NatConfig { idle: Duration::from_secs(60), ..NatConfig::new(OUTSIDE.into()) });
        let client = world.add_node_in(Realm::Behind(nat), "client", INSIDE.0);
        let server = world.add_node("server", SERVER.0);
        Self { world, nat, client, server }
    }

    /// Sends from the client and returns where the server sees it come from, and what it is.
    fn up(&mut self, payload: &'static [u8]) -> (Path, Vec<u8>) {
        let path = Path::new(INSIDE.into(), SERVER.into());
        self.world.send(self.client, Transmit { path, payload: payload.into() });
        let arrival = self.world.arrive().unwrap();
        assert_eq!(arrival.node, self.server);
        (arrival.packet.path, arrival.packet.payload.to_vec())
    }

    /// Sends from the server along a path and says whether it reaches the client.
    fn down_reaches(&mut self, path: Path) -> bool {
        self.world.send(self.server, Transmit { path, payload: b"data".as_slice().into() });
        self.world.arrive().is_some_and(|arrival| arrival.node == self.client)
    }
}

#[test]
fn keepalives_hold_a_mapping_open_for_an_hour_and_without_them_it_is_gone() {
    for interval in [20, 0] {
        let mut net = Net::new();
        let (path, _) = net.up(b"first");
        let mut keepalive = Keepalive::new(Duration::from_secs(interval));
        keepalive.start(net.world.now());
        let end = Instant::from_secs(3_600);
        while let Some(due) = keepalive.poll_timeout().filter(|due| *due < end) {
            net.world.advance_to(due);
            assert!(keepalive.handle_timeout(due));
            let (from, payload) = net.up(&KEEPALIVE);
            assert_eq!(port_4500(&payload), Ok(Content::Keepalive));
            assert_eq!(from, path);
        }
        net.world.advance_to(end);
        assert_eq!(net.down_reaches(path), interval > 0);
    }
}

#[test]
fn after_a_rebind_the_server_finds_the_client_by_its_first_authentic_packet() {
    let mut net = Net::new();
    let (path, _) = net.up(b"first");
    let mut peer = PeerEnd::new(path, Location::Remote);
    net.world.nat_mut(net.nat).unwrap().rebind();
    assert!(!net.down_reaches(peer.path()), "the old mapping is gone");
    let (new_path, _) = net.up(b"authentic");
    assert_eq!(peer.on_authenticated(new_path, Freshness::Newest), Change::Moved { from: path, to: new_path });
    assert!(net.down_reaches(peer.path()));
}

#[test]
fn an_old_authentic_packet_sent_again_from_elsewhere_leads_nobody_astray() {
    let mut net = Net::new();
    let (path, packet) = net.up(b"authentic");
    let mut peer = PeerEnd::new(path, Location::Remote);
    let attacker: SocketAddr = ([203, 0, 113, 9], 4500).into();
    net.world.inject(Duration::ZERO, Transmit { path: Path::new(attacker, SERVER.into()), payload: packet.into() });
    let replayed = net.world.arrive().unwrap().packet;
    assert_eq!(replayed.path.remote, attacker);
    let change = peer.on_authenticated(replayed.path, Freshness::MayBeOld);
    assert_eq!(change, Change::Refused(Refusal::NotNewest));
    assert!(net.down_reaches(peer.path()));
}
