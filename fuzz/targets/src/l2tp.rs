//! L2TPv3: datagrams, AVPs, hidden values, data headers, and the machine under typed operations.

use arbitrary::{Arbitrary, Unstructured};
use drive::{Datagram, Instant, Machine as _, Path};
use l2tpv3::config::{CircuitConfig, Initiate, PeerConfig, UnknownCircuits};
use l2tpv3::digest::{Digests, Keys, Nonces, SharedSecret};
use l2tpv3::registry::{AttributeType, CdnResult, PseudowireType, SequencingLevel, StopResult};
use l2tpv3::wire::{
    Avps, Carrier, CircuitErrors, Collected, ControlMessage, Cookie, EmitOptions, Packet, Sublayer, classify, emit,
    hide, unhide,
};
use l2tpv3::{Action, Call, Command, Config, DataPlane, Endpoint, Handle, PeerId, SessionId, SessionParameters};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

/// Operations of one run of the machine.
const OPERATIONS: usize = 200;

/// The carrier and the rest of an input: the first octet chooses.
fn carrier(data: &[u8]) -> (Carrier, &[u8]) {
    match data.split_first() {
        Some((first, rest)) if first & 1 == 0 => (Carrier::Ip, rest),
        Some((_, rest)) => (Carrier::Udp, rest),
        None => (Carrier::Ip, data),
    }
}

/// Control messages: what is read is written, and reads the same again.
pub fn message(data: &[u8]) {
    let (carrier, octets) = carrier(data);
    let Ok(Packet::Control(message)) = classify(carrier, octets) else { return };
    let keys = Keys::derive(b"secret");
    let both = [l2tpv3::digest::DigestAlgorithm::Md5, l2tpv3::digest::DigestAlgorithm::Sha1];
    let _ = Digests::of(&message).check(&[&keys], &both, Nonces::default());
    let Ok(read) = Collected::read(&message, Some(keys.hiding())) else { return };
    // An extended vendor number that fits 16 bits moves out of its envelope and may mean something there.
    if read.attributes.vendor.iter().any(|avp| avp.vendor.0 <= 0xffff) {
        return;
    }
    let Ok(written) = emit(read.message_type, &read.attributes, &EmitOptions::default()) else { return };
    let again = ControlMessage::parse(&written).expect("what is written has a lawful header");
    let again = Collected::read(&again, None).expect("what is written has lawful AVPs");
    assert_eq!(again.attributes, read.attributes);
}

/// Lists of AVPs: each step moves on, and offsets lie within the octets.
pub fn avps(data: &[u8]) {
    let mut last = None;
    for avp in Avps::new(data, 0).map_while(Result::ok) {
        assert!(last < Some(avp.offset) && avp.offset + 6 + avp.value.len() <= data.len());
        last = Some(avp.offset);
    }
}

/// Hidden values: with a secret the fuzzer knows, so that it gets past the hash.
pub fn hidden(data: &[u8]) {
    let keys = Keys::derive(b"secret");
    let (vector, rest) = data.split_at(data.len().min(16));
    let attribute = AttributeType(66);
    if let Some(value) = unhide(keys.hiding(), attribute, vector, rest) {
        assert!(value.len() + 2 <= rest.len());
    }
    let masked = hide(keys.hiding(), attribute, vector, rest, &[]);
    if u16::try_from(rest.len()).is_ok() {
        assert_eq!(unhide(keys.hiding(), attribute, vector, &masked).as_deref(), Some(rest));
    }
}

/// Data packets into sessions of every layout: a frame lies within the packet, or the packet is dropped.
pub fn data(data: &[u8]) {
    let (carrier, octets) = carrier(data);
    let path = match carrier {
        Carrier::Ip => Path::ip(Carrier::PROTOCOL, [192, 0, 2, 1].into(), [192, 0, 2, 2].into()),
        Carrier::Udp => Path::new(([192, 0, 2, 1], 1701).into(), ([192, 0, 2, 2], 1701).into()),
    };
    let mut plane = DataPlane::new();
    for (number, cookie, sublayer, kind) in [
        (1, Cookie::NONE, Sublayer::None, PseudowireType::ETHERNET),
        (2, Cookie::four([0; 4]), Sublayer::Default, PseudowireType::ETHERNET_VLAN),
        (3, Cookie::eight([0; 8]), Sublayer::Default, PseudowireType::PPP),
    ] {
        let Some(id) = NonZeroU32::new(number) else { continue };
        let sequencing = if sublayer == Sublayer::None { SequencingLevel::NONE } else { SequencingLevel::ALL };
        let parameters = SessionParameters {
            path,
            local_id: SessionId(id),
            remote_id: id,
            local_cookie: cookie,
            remote_cookie: cookie,
            pseudowire: kind,
            receive_sublayer: sublayer,
            send_sublayer: sublayer,
            receive_sequencing: sequencing,
            send_sequencing: sequencing,
            rewrite_vlan: Some(7),
            resynchronise_after: 2,
        };
        plane.install(parameters).expect("the identifiers differ");
    }
    let mut buffer = octets.to_vec();
    if let Ok(opened) = plane.decapsulate(path, &mut buffer) {
        assert!(!opened.frame.is_empty() && opened.frame.end == buffer.len());
    }
}

/// One operation on two endpoints that talk to each other over a network the fuzzer is.
#[derive(Arbitrary, Debug)]
enum Operation {
    /// The oldest datagram to one end arrives.
    Deliver { right: bool },
    /// It is lost.
    Lose { right: bool },
    /// It arrives and stays.
    Repeat { right: bool },
    /// It arrives after the next one.
    Swap { right: bool },
    /// A bit of it is flipped on the way.
    Flip { right: bool, bit: u16 },
    /// Octets of the fuzzer's arrive.
    Forge { right: bool, octets: Vec<u8> },
    /// Time runs to the next timer, or for so many milliseconds.
    Wait { millis: Option<u16> },
    /// One end opens a connection.
    Connect { right: bool },
    /// One end opens a session.
    Open { right: bool, circuit: u8, outgoing: bool },
    /// One end closes a session, or reports on it, or changes its circuit.
    Session { right: bool, which: u8, what: u8 },
    /// One end closes its connections.
    Close { right: bool },
}

struct End {
    endpoint: Endpoint<ChaCha12Rng>,
    inbox: VecDeque<Vec<u8>>,
    path: Path,
}

fn end(name: &str, router_id: u32, path: Path, secret: bool) -> End {
    let circuit = |id: u8| CircuitConfig {
        remote_end_id: vec![id],
        initiate: if id == 0 { Initiate::IncomingCall } else { Initiate::Peer },
        sublayer: Sublayer::Default,
        sequencing: SequencingLevel::ALL,
        ..CircuitConfig::default()
    };
    let peer = PeerConfig {
        path: Some(path),
        secrets: secret.then(|| SharedSecret::copied(b"secret")).into_iter().collect(),
        hide: secret,
        circuits: (0..2).map(circuit).collect(),
        unknown_circuits: UnknownCircuits::Accept(CircuitConfig::default()),
        ..PeerConfig::default()
    };
    let config = Config { host_name: name.to_owned(), router_id, peers: vec![peer], ..Config::default() };
    let plan = config.build().expect("the configuration is sound");
    End { endpoint: Endpoint::new(plan, ChaCha12Rng::seed_from_u64(router_id.into())), inbox: VecDeque::new(), path }
}

/// Two endpoints under typed operations: no panic, the contract of timers, bounded state, and a session
/// that both ends call established carries a frame.
pub fn machine(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(secret) = bool::arbitrary(&mut input) else { return };
    let path = Path::ip(Carrier::PROTOCOL, [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let mut ends = [end("left", 1, path, secret), end("right", 2, path.reversed(), secret)];
    let mut now = Instant::ZERO;
    for _ in 0..OPERATIONS {
        let Ok(operation) = Operation::arbitrary(&mut input) else { break };
        perform(&mut ends, &mut now, operation);
        drain(&mut ends);
        for end in &ends {
            assert!(end.endpoint.connection_statuses(now).len() <= 64 + 4);
        }
    }
}

fn perform(ends: &mut [End; 2], now: &mut Instant, operation: Operation) {
    match operation {
        Operation::Deliver { right } => {
            let end = &mut ends[usize::from(right)];
            if let Some(octets) = end.inbox.pop_front() {
                receive(end, *now, &octets);
            }
        }
        Operation::Lose { right } => drop(ends[usize::from(right)].inbox.pop_front()),
        Operation::Repeat { right } => {
            let end = &mut ends[usize::from(right)];
            if let Some(octets) = end.inbox.front().cloned() {
                receive(end, *now, &octets);
            }
        }
        Operation::Swap { right } => {
            let inbox = &mut ends[usize::from(right)].inbox;
            if inbox.len() > 1 {
                inbox.swap(0, 1);
            }
        }
        Operation::Flip { right, bit } => {
            if let Some(octets) = ends[usize::from(right)].inbox.front_mut() {
                let bit = usize::from(bit) % (octets.len() * 8).max(1);
                if let Some(octet) = octets.get_mut(bit / 8) {
                    *octet ^= 1 << (bit % 8);
                }
            }
        }
        Operation::Forge { right, octets } => receive(&mut ends[usize::from(right)], *now, &octets),
        Operation::Wait { millis } => {
            let next = ends.iter().filter_map(|end| end.endpoint.poll_timeout()).min();
            *now = match millis {
                Some(millis) => *now + Duration::from_millis(millis.into()),
                None => next.unwrap_or(*now).max(*now),
            };
            for end in ends {
                end.endpoint.handle_timeout(*now);
                assert!(end.endpoint.poll_timeout().is_none_or(|at| at > *now), "a timer that is due stays due");
            }
        }
        Operation::Connect { right } => {
            let command = Command::Connect { peer: PeerId(0), path: None };
            let _ = ends[usize::from(right)].endpoint.handle_command(*now, command);
        }
        Operation::Open { right, circuit, outgoing } => {
            let end = &mut ends[usize::from(right)];
            let Some(connection) = end.endpoint.connection_statuses(*now).first().map(|status| status.connection)
            else {
                return;
            };
            let circuit = Box::new(CircuitConfig { remote_end_id: vec![circuit % 4], ..CircuitConfig::default() });
            let call = if outgoing { Call::Outgoing } else { Call::Incoming };
            if let Ok(Handle::Session(session)) =
                end.endpoint.handle_command(*now, Command::Open { connection, circuit, call })
            {
                assert!(end.endpoint.session_status(*now, session).is_some());
            }
        }
        Operation::Session { right, which, what } => session(&mut ends[usize::from(right)], *now, which, what),
        Operation::Close { right } => {
            let end = &mut ends[usize::from(right)];
            for status in end.endpoint.connection_statuses(*now) {
                let command = Command::Disconnect { connection: status.connection, result: StopResult::CLEARED };
                let _ = end.endpoint.handle_command(*now, command);
            }
        }
    }
}

fn session(end: &mut End, now: Instant, which: u8, what: u8) {
    let sessions = end.endpoint.session_statuses(now);
    let Some(status) = sessions.get(usize::from(which) % sessions.len().max(1)) else { return };
    let session = status.session;
    let command = match what % 5 {
        0 => Command::Close { session, result: CdnResult::ADMINISTRATIVE },
        1 => Command::SetCircuit { session, active: what >= 128 },
        2 => Command::ReportErrors { session, errors: CircuitErrors::default() },
        3 => Command::CallPlaced { session, outcome: Ok(()) },
        _ => Command::Accept { session, circuit: Box::default() },
    };
    let _ = end.endpoint.handle_command(now, command);
    if status.state == "established" && status.circuits.1 {
        let mut buffer = [0; 80];
        if end.endpoint.session_status(now, session).is_some_and(|status| status.circuits.1) {
            end.endpoint.encapsulate(session, &mut buffer, 20..80).expect("an established session carries frames");
        }
    }
}

fn receive(end: &mut End, now: Instant, octets: &[u8]) {
    let datagram = Datagram { path: end.path, payload: octets };
    let _ = end.endpoint.handle_datagram(now, datagram);
    let _ = end.endpoint.decapsulate(now, end.path, &mut octets.to_vec());
}

fn drain(ends: &mut [End; 2]) {
    let [left, right] = ends;
    carry(&mut left.endpoint, &mut right.inbox);
    carry(&mut right.endpoint, &mut left.inbox);
}

fn carry(from: &mut Endpoint<ChaCha12Rng>, to: &mut VecDeque<Vec<u8>>) {
    while let Some(action) = from.poll_action() {
        if let Action::Transmit(transmit) = action {
            to.push_back(transmit.payload.to_vec());
        }
    }
    // The network holds only so much.
    to.truncate(64);
}
