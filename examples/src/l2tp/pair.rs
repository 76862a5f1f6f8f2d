//! The script of `l2tp-pair`: come up, carry frames, show the status, go down.

use super::ipsec;
use super::router::{Router, RouterAction, RouterDrop};
use super::story;
use crate::gatewayd::file::LogLevel;
use crate::gatewayd::log::Log;
use core::time::Duration;
use drive::{Instant, Path, Transmit, Verdict};
use gateway::Gateway;
use ikev1_core::auth::PreSharedKey;
use ikev1_core::{ConnectionConfig, Peer};
use l2tpv3::config::{CircuitConfig, Initiate, PeerConfig};
use l2tpv3::digest::SharedSecret;
use l2tpv3::registry::{SequencingLevel, StopResult};
use l2tpv3::wire::{Carrier, Sublayer};
use l2tpv3::{Action, Command, Config, Endpoint, Handle, PeerId, SessionId};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;
use simnet::{Capture, Chance, Handler, Harness, Link, Loss, NodeId, Orders, World};
use std::error::Error;
use std::io::Write;

const LEFT: [u8; 4] = [192, 0, 2, 1];
const RIGHT: [u8; 4] = [192, 0, 2, 2];
/// The circuit both ends know.
const CIRCUIT: &str = "101";
/// Between one frame and the next.
const PACE: Duration = Duration::from_millis(10);
/// How long the two ends are given to come up.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a run is to be like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Decides every chance.
    pub seed: u64,
    /// What carries L2TP.
    pub carrier: Carrier,
    /// Packets lost of a hundred.
    pub loss: u32,
    /// Packets held back of a hundred.
    pub reorder: u32,
    /// The secret both ends share.
    pub secret: Option<String>,
    /// Whether AVPs are hidden.
    pub hide: bool,
    /// Whether frames are numbered.
    pub sequencing: bool,
    /// Whether IPsec protects everything, keyed by IKE with a pre-shared key.
    pub ipsec: bool,
    /// Renews the IPsec SAs after this many frames, if any.
    pub rekey_after: Option<u16>,
    /// Frames sent each way.
    pub frames: u16,
}

/// What came of a run.
pub struct Outcome {
    /// Whether the session came up, nothing came twice, and all was clean at the end.
    pub is_success: bool,
    /// All that travelled.
    pub capture: Option<Capture>,
}

type Machine = Router<ChaCha12Rng>;

struct Teller<'a> {
    out: &'a mut dyn Write,
    names: [&'static str; 2],
    /// What says the news of IPsec in words.
    log: Option<Log>,
    /// The frames that arrived at each end.
    frames: [Vec<Vec<u8>>; 2],
    failed: Option<std::io::Error>,
}

impl Teller<'_> {
    fn tell(&mut self, now: Instant, node: NodeId, text: &str) {
        let name = self.names.get(node.index()).copied().unwrap_or_default();
        if let Err(error) = writeln!(self.out, "{now:>12} {name:<5} {text}") {
            self.failed.get_or_insert(error);
        }
    }
}

impl Teller<'_> {
    fn tell_control(&mut self, now: Instant, node: NodeId, path: Path, payload: &[u8]) {
        if let Some(text) = story::control(path, payload) {
            self.tell(now, node, &format!("> {text}"));
        }
    }
}

impl Handler<Machine> for Teller<'_> {
    fn on_action(&mut self, now: Instant, node: NodeId, action: RouterAction, _: &mut Orders<Machine>) {
        match action {
            RouterAction::Frame(_, frame) => {
                if let Some(frames) = self.frames.get_mut(node.index()) {
                    frames.push(frame);
                }
            }
            RouterAction::L2tp(Action::Event(event)) => self.tell(now, node, &format!("* {}", story::event(&event))),
            RouterAction::Inside { sent: true, path, payload } => self.tell_control(now, node, path, &payload),
            RouterAction::Inside { sent: false, .. } => {}
            RouterAction::Ipsec(event) => {
                let said = self.log.as_ref().map(|log| log.text(&event));
                if let Some((LogLevel::Warn | LogLevel::Info, text)) = said {
                    self.tell(now, node, &format!("* {text}"));
                }
            }
            other => self.tell(now, node, &format!("{other:?}")),
        }
    }

    fn on_sent(&mut self, now: Instant, node: NodeId, packet: &Transmit) {
        self.tell_control(now, node, packet.path, &packet.payload);
    }

    fn on_received(&mut self, now: Instant, node: NodeId, _: &Transmit, verdict: &Verdict<RouterDrop>) {
        if let Verdict::Ignored(reason) = verdict {
            self.tell(now, node, &format!("dropped: {reason}"));
        }
    }
}

/// The path from left to right.
fn path(carrier: Carrier) -> Path {
    match carrier {
        Carrier::Ip => Path::ip(Carrier::PROTOCOL, LEFT.into(), RIGHT.into()),
        Carrier::Udp => Path::new((LEFT, Carrier::PORT).into(), (RIGHT, Carrier::PORT).into()),
    }
}

/// What protects L2TP at one end.
fn protection(path: Path) -> Result<gateway::Plan, gateway::ConfigError> {
    let connection = ConnectionConfig::new("peer")
        .local(path.local.ip())
        .peer(Peer::Address(path.remote.ip()))
        .pre_shared_key(PreSharedKey::copied(b"a key for two ends in one process"))
        .policy(ipsec::policy("l2tp", path, None));
    gateway::Config::new(ikev1_core::Config::new().connection(connection)).build()
}

fn router(settings: &Settings, is_left: bool, world: &World, node: NodeId) -> Result<Machine, Box<dyn Error>> {
    let path = path(settings.carrier);
    let (sublayer, sequencing) = if settings.sequencing {
        (Sublayer::Default, SequencingLevel::ALL)
    } else {
        (Sublayer::None, SequencingLevel::NONE)
    };
    let circuit = CircuitConfig {
        remote_end_id: CIRCUIT.into(),
        initiate: if is_left { Initiate::IncomingCall } else { Initiate::Peer },
        sublayer,
        sequencing,
        ..CircuitConfig::default()
    };
    let secrets = settings.secret.iter().map(|secret| SharedSecret::copied(secret.as_bytes())).collect();
    let peer = PeerConfig {
        path: is_left.then_some(path),
        address: (!is_left).then_some(LEFT.into()),
        secrets,
        hide: settings.hide,
        circuits: vec![circuit],
        ..PeerConfig::default()
    };
    let (name, router_id) = if is_left { ("left.example", LEFT) } else { ("right.example", RIGHT) };
    let config = Config {
        host_name: name.to_owned(),
        router_id: u32::from_be_bytes(router_id),
        peers: vec![peer],
        ..Config::default()
    };
    let seed = settings.seed.wrapping_mul(2).wrapping_add(u64::from(!is_left));
    let endpoint = Endpoint::new(config.build()?, ChaCha12Rng::seed_from_u64(seed));
    let protection = match settings.ipsec {
        true => {
            Some(Gateway::new(protection(if is_left { path } else { path.reversed() })?, Box::new(world.entropy(node))))
        }
        false => None,
    };
    Ok(Router::new(endpoint, protection))
}

/// Renews every pair of IPsec SAs.
fn rekey(now: Instant, router: &mut Machine) -> Result<(), String> {
    let pairs = router.ipsec().map(|gateway| gateway.snapshot(now).ipsec).unwrap_or_default();
    for pair in pairs {
        router.ipsec_command(now, gateway::Command::RekeyChild { child: pair.status.child })?;
    }
    Ok(())
}

fn session(net: &Harness<Machine, Teller<'_>>, node: NodeId) -> Option<SessionId> {
    let statuses = net.machine(node)?.endpoint().session_statuses(net.now());
    statuses.iter().find(|status| status.state == "established").map(|status| status.session)
}

/// A frame that says its number.
fn frame(number: u16) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xb5];
    frame.extend_from_slice(&number.to_be_bytes());
    frame.resize(60, 0);
    frame
}

/// Runs the script and writes down what happens.
///
/// # Errors
/// The settings contradict themselves, a machine breaks the contract, or `out` cannot be written.
pub fn run(settings: &Settings, keep_capture: bool, out: &mut dyn Write) -> Result<Outcome, Box<dyn Error>> {
    let mut world = World::new(settings.seed);
    world.set_links(Link {
        loss: if settings.loss == 0 { Loss::None } else { Loss::Random(Chance::percent(settings.loss)) },
        reorder: Chance::percent(settings.reorder),
        reorder_delay: Duration::from_millis(25),
        ..Link::with_latency(Duration::from_millis(10))
    });
    if keep_capture {
        world.start_capture();
    }
    let log = match settings.ipsec {
        true => Some(Log::new(LogLevel::Info, &protection(path(settings.carrier))?)),
        false => None,
    };
    let (left, right) = (world.add_node("left", LEFT), world.add_node("right", RIGHT));
    let machines = [router(settings, true, &world, left)?, router(settings, false, &world, right)?];
    let teller = Teller { out, names: ["left", "right"], log, frames: [Vec::new(), Vec::new()], failed: None };
    let mut net = Harness::with_handler(world, teller);
    for (node, machine) in [left, right].into_iter().zip(machines) {
        net.place(node, machine);
    }
    let Handle::Connection(connection) = net.command(left, Command::Connect { peer: PeerId(0), path: None })?? else {
        return Err("no connection".into());
    };
    let deadline = net.now() + PATIENCE;
    let up = net.wait_for(deadline, |net| session(net, left).is_some() && session(net, right).is_some())?;
    let (Some(ours), Some(theirs), true) = (session(&net, left), session(&net, right), up) else {
        return Ok(Outcome { is_success: false, capture: net.world.capture().cloned() });
    };
    for number in 0..settings.frames {
        for (node, session) in [(left, ours), (right, theirs)] {
            net.call(node, |now, router| router.send_copy(now, session, &frame(number)))??;
        }
        if settings.rekey_after == Some(number) {
            net.call(left, rekey)??;
        }
        net.run_for(PACE)?;
    }
    net.run_for(Duration::from_secs(1))?;
    let mut is_clean = true;
    for (node, session, name) in [(left, ours, "left"), (right, theirs, "right")] {
        let now = net.now();
        let Some(router) = net.machine(node) else { continue };
        let arrived = net.handler.frames.get(node.index()).map(Vec::as_slice).unwrap_or_default();
        let numbers: Vec<_> = arrived.iter().filter_map(|frame| frame.get(14..16)).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let is_ordered = numbers.is_sorted();
        is_clean &= settings.loss > 0 || sorted.len() == usize::from(settings.frames);
        is_clean &= sorted.len() == numbers.len() && (is_ordered || !settings.sequencing);
        let endpoint = router.endpoint();
        let connection = endpoint.connection_statuses(now).first().map(ToString::to_string).unwrap_or_default();
        let status = endpoint.session_status(now, session).map(|status| status.to_string()).unwrap_or_default();
        let order = if is_ordered { "in order" } else { "not in order" };
        let arrived = numbers.len();
        let out = &mut net.handler.out;
        writeln!(out, "{name}: {arrived} of {} frames arrived, {order}", settings.frames)?;
        writeln!(out, "{connection}\n{status}")?;
    }
    let close = Command::Disconnect { connection, result: StopResult::CLEARED };
    net.command(left, close)??;
    net.run_for(Duration::from_secs(120))?;
    let is_empty = [left, right].iter().all(|node| {
        net.machine(*node).is_some_and(|router| router.endpoint().connection_statuses(net.now()).is_empty())
    });
    if let Some(error) = net.handler.failed.take() {
        return Err(error.into());
    }
    Ok(Outcome { is_success: is_clean && is_empty, capture: net.world.capture().cloned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use drive::Machine as _;

    fn settings() -> Settings {
        Settings {
            seed: 1,
            carrier: Carrier::Ip,
            loss: 20,
            reorder: 20,
            secret: Some("secret".to_owned()),
            hide: true,
            sequencing: true,
            ipsec: false,
            rekey_after: None,
            frames: 50,
        }
    }

    #[test]
    fn frames_pass_a_bad_link_in_order_and_the_ends_part_cleanly() {
        for seed in 1..20 {
            let mut text = Vec::new();
            let outcome = run(&Settings { seed, ..settings() }, false, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(outcome.is_success, "{text}");
            assert!(text.contains("frames arrived, in order"));
            assert!(text.contains("State              : established"));
        }
    }

    /// What comes in clear is dropped and counted, whatever it says; without IPsec it is taken.
    #[test]
    fn l2tp_in_clear_does_not_reach_an_endpoint_below_which_ipsec_is_configured() {
        for (carrier, ipsec) in [(Carrier::Ip, false), (Carrier::Ip, true), (Carrier::Udp, false), (Carrier::Udp, true)]
        {
            let mut world = World::new(1);
            let (left, right) = (world.add_node("left", LEFT), world.add_node("right", RIGHT));
            let clear = Settings { carrier, ..settings() };
            let mut left = router(&clear, true, &world, left).unwrap();
            left.handle_command(Instant::ZERO, Command::Connect { peer: PeerId(0), path: None }).unwrap();
            let Some(RouterAction::Transmit(request)) = left.poll_action() else { panic!("no request") };
            let mut right = router(&Settings { ipsec, ..clear }, false, &world, right).unwrap();
            let not_ours = Verdict::Ignored(RouterDrop::Ipsec(gateway::DropReason::NotOurs));
            let verdict = right.handle_datagram(Instant::ZERO, request.as_received());
            assert_eq!(verdict, if ipsec { not_ours } else { Verdict::Accepted });
            assert_eq!(right.endpoint().connection_statuses(Instant::ZERO).len(), usize::from(!ipsec));
            let data = match carrier {
                Carrier::Ip => vec![0, 0, 0, 9],
                Carrier::Udp => vec![0, 3, 0, 0, 0, 0, 0, 9],
            };
            let data = Transmit { path: request.path, payload: [data, frame(1)].concat().into() };
            let unknown = Verdict::Ignored(RouterDrop::L2tp(l2tpv3::DropReason::UnknownSession));
            let verdict = right.handle_datagram(Instant::ZERO, data.as_received());
            assert_eq!(verdict, if ipsec { not_ours } else { unknown });
        }
    }

    /// Nothing but IKE and ESP travels, and the frames pass.
    #[test]
    fn with_ipsec_all_of_it_travels_in_esp_over_both_carriers() {
        for carrier in [Carrier::Ip, Carrier::Udp] {
            let mut text = Vec::new();
            let settings = Settings { ipsec: true, carrier, loss: 0, reorder: 0, ..settings() };
            let outcome = run(&settings, true, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(outcome.is_success, "{text}");
            assert!(text.contains("50 of 50 frames arrived, in order"), "{text}");
            let capture = outcome.capture.unwrap();
            let mut esp = 0;
            for (_, packet) in capture.packets() {
                match (packet.path.protocol, packet.path.local.port()) {
                    (50, _) => esp += 1,
                    (Path::UDP, 500) => {}
                    other => panic!("{other:?} left in clear"),
                }
                assert!(!packet.payload.windows(13).any(|window| window == b"right.example"));
            }
            assert!(esp > 100);
        }
    }

    /// What users of other programs meet: the connection dies when the keys are renewed.
    #[test]
    fn the_session_outlives_the_renewal_of_the_keys_below_it() {
        for seed in 1..6 {
            let mut text = Vec::new();
            let settings = Settings { ipsec: true, rekey_after: Some(20), loss: 0, reorder: 0, seed, ..settings() };
            let outcome = run(&settings, false, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(outcome.is_success, "{text}");
            assert!(text.contains("50 of 50 frames arrived, in order"), "{text}");
            assert_eq!(text.matches(" === ").count(), 4, "two pairs of SAs, told by both ends: {text}");
        }
    }

    #[test]
    fn with_ipsec_a_bad_link_is_survived_too() {
        for seed in 1..6 {
            let mut text = Vec::new();
            let outcome = run(&Settings { ipsec: true, seed, ..settings() }, false, &mut text).unwrap();
            assert!(outcome.is_success, "{}", String::from_utf8(text).unwrap());
        }
    }

    #[test]
    fn a_run_tells_the_same_story_a_second_time() {
        let mut texts = [Vec::new(), Vec::new()];
        for text in &mut texts {
            run(&settings(), false, text).unwrap();
        }
        assert_eq!(texts[0], texts[1]);
    }

    #[test]
    fn ends_without_each_others_packets_fail_and_say_so() {
        let mut text = Vec::new();
        let outcome = run(&Settings { loss: 100, ..settings() }, false, &mut text).unwrap();
        assert!(!outcome.is_success);
        assert!(String::from_utf8(text).unwrap().contains("the peer does not answer"));
    }
}
