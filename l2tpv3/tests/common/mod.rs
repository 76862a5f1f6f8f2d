//! Two ends over a simulated network.
#![allow(dead_code, reason = "not every test file needs every part")]

pub mod forge;

use core::time::Duration;
use drive::{Datagram, Instant, Machine, Path, Transmit, Verdict};
use l2tpv3::config::{CircuitConfig, Initiate, PeerConfig};
use l2tpv3::wire::{Carrier, MAX_DATA_HEADER};
use l2tpv3::{
    Action, Command, CommandError, Config, ConnectionId, DropReason, Endpoint, Event, Handle, PeerId, SessionId,
};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use simnet::{Harness, Link, NodeId, World};

pub const LEFT: [u8; 4] = [192, 0, 2, 1];
pub const RIGHT: [u8; 4] = [192, 0, 2, 2];

/// An endpoint with the data plane that a program would put beside it.
pub struct Router {
    pub endpoint: Endpoint<ChaCha12Rng>,
    pub frames: Vec<(SessionId, Vec<u8>)>,
}

impl Machine for Router {
    type Command = Command;
    type Handle = Handle;
    type CommandError = CommandError;
    type DropReason = DropReason;
    type Action = Action;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Verdict<DropReason> {
        match self.endpoint.handle_datagram(now, datagram) {
            Verdict::Ignored(DropReason::IsData) => {
                let mut buffer = datagram.payload.to_vec();
                match self.endpoint.decapsulate(now, datagram.path, &mut buffer) {
                    Ok(found) => {
                        self.frames.push((found.session, buffer[found.frame].to_vec()));
                        Verdict::Accepted
                    }
                    Err(reason) => Verdict::Ignored(reason),
                }
            }
            verdict => verdict,
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
    }

    fn handle_command(&mut self, now: Instant, command: Command) -> Result<Handle, CommandError> {
        self.endpoint.handle_command(now, command)
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.endpoint.poll_action()
    }

    fn next_timer(&self) -> Option<(Instant, &'static str)> {
        self.endpoint.next_timer()
    }
}

pub fn path(carrier: Carrier) -> Path {
    match carrier {
        Carrier::Ip => Path::ip(Carrier::PROTOCOL, LEFT.into(), RIGHT.into()),
        Carrier::Udp => Path::new((LEFT, 1701).into(), (RIGHT, 1701).into()),
    }
}

pub fn circuit(id: &str) -> CircuitConfig {
    CircuitConfig { remote_end_id: id.into(), ..CircuitConfig::default() }
}

pub fn asked(id: &str) -> CircuitConfig {
    CircuitConfig { initiate: Initiate::IncomingCall, ..circuit(id) }
}

/// The left end: it knows the path to the right one and opens.
pub fn left(carrier: Carrier) -> PeerConfig {
    PeerConfig { path: Some(path(carrier)), hello: None, circuits: vec![asked("101")], ..PeerConfig::default() }
}

/// The right end: it waits.
pub fn right() -> PeerConfig {
    PeerConfig { address: Some(LEFT.into()), hello: None, circuits: vec![circuit("101")], ..PeerConfig::default() }
}

pub fn router(name: &str, router_id: u32, peers: Vec<PeerConfig>, seed: u64) -> Router {
    let config = Config { host_name: name.into(), vendor_name: "ours".into(), router_id, peers, ..Config::default() };
    router_of(config, seed)
}

pub fn router_of(config: Config, seed: u64) -> Router {
    let plan = config.build().unwrap();
    Router { endpoint: Endpoint::new(plan, ChaCha12Rng::seed_from_u64(seed)), frames: Vec::new() }
}

/// Two routers on one network.
pub struct Pair {
    pub net: Harness<Router>,
    pub left: NodeId,
    pub right: NodeId,
}

pub fn pair(left: PeerConfig, right: PeerConfig, link: Link, seed: u64) -> Pair {
    pair_of(
        router("left.example", 1, vec![left], seed * 2),
        router("right.example", 2, vec![right], seed * 2 + 1),
        link,
        seed,
    )
}

pub fn pair_of(left: Router, right: Router, link: Link, seed: u64) -> Pair {
    let mut world = World::new(seed);
    world.set_links(link);
    let mut net = Harness::new(world);
    let left = net.add("left", LEFT, left);
    let right = net.add("right", RIGHT, right);
    Pair { net, left, right }
}

/// A network with 10 ms of latency and nothing wrong.
pub fn calm() -> Link {
    Link::with_latency(Duration::from_millis(10))
}

impl Pair {
    pub fn connect(&mut self) -> ConnectionId {
        match self.net.command(self.left, Command::Connect { peer: PeerId(0), path: None }).unwrap().unwrap() {
            Handle::Connection(connection) => connection,
            other => panic!("{other:?}"),
        }
    }

    pub fn run(&mut self, seconds: u64) {
        self.net.run_for(Duration::from_secs(seconds)).unwrap();
    }

    pub fn command(&mut self, node: NodeId, command: Command) -> Result<Handle, CommandError> {
        self.net.command(node, command).unwrap()
    }

    pub fn events(&self, node: NodeId) -> Vec<Event> {
        let events = self.net.actions(node).iter().filter_map(|(_, action)| match action {
            Action::Event(event) => Some(event.clone()),
            _ => None,
        });
        events.collect()
    }

    pub fn endpoint(&self, node: NodeId) -> &Endpoint<ChaCha12Rng> {
        &self.net.machine(node).unwrap().endpoint
    }

    /// The one session of a node that is up.
    pub fn session(&self, node: NodeId) -> SessionId {
        let statuses = self.endpoint(node).session_statuses(self.net.now());
        let up: Vec<_> = statuses.iter().filter(|status| status.state == "established").collect();
        assert_eq!(up.len(), 1, "{statuses:?}");
        up[0].session
    }

    pub fn connection(&self, node: NodeId) -> ConnectionId {
        let statuses = self.endpoint(node).connection_statuses(self.net.now());
        let up: Vec<_> = statuses.iter().filter(|status| status.state == "established").collect();
        assert_eq!(up.len(), 1, "{statuses:?}");
        up[0].connection
    }

    pub fn send_frame(
        &mut self,
        node: NodeId,
        session: SessionId,
        frame: &[u8],
    ) -> Result<(), l2tpv3::EncapsulateError> {
        let mut buffer = vec![0; MAX_DATA_HEADER];
        buffer.extend_from_slice(frame);
        let range = MAX_DATA_HEADER..buffer.len();
        let packet = self.net.call(node, |_, router| {
            router
                .endpoint
                .encapsulate(session, &mut buffer, range)
                .map(|sent| Transmit { path: sent.path, payload: buffer[sent.packet].to_vec().into() })
        });
        self.net.send(node, packet.unwrap()?);
        Ok(())
    }

    pub fn frames(&self, node: NodeId) -> &[(SessionId, Vec<u8>)] {
        &self.net.machine(node).unwrap().frames
    }
}

pub fn frame(tag: u8) -> Vec<u8> {
    let mut frame = vec![0x02; 12];
    frame.extend_from_slice(&[0x08, 0x06]);
    frame.extend_from_slice(&[tag; 46]);
    frame
}
