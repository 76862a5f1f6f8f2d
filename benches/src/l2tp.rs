//! L2TPv3: data headers against one copy of the frame, and what 100,000 sessions cost.

use crate::measure::Report;
use arrayvec::ArrayVec;
use drive::{Instant, Machine as _, Path, Transmit};
use l2tpv3::config::{CircuitConfig, PeerConfig, UnknownCircuits};
use l2tpv3::registry::{PseudowireType, SequencingLevel};
use l2tpv3::wire::{Carrier, Cookie, MAX_DATA_HEADER, Sublayer};
use l2tpv3::{
    Action, Call, Command, Config, DATA_SESSION_OCTETS, DataPlane, Endpoint, Handle, InPacket, OutFrame, PeerId,
    SessionId, SessionParameters,
};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::num::NonZeroU32;
use std::time::Duration;

/// Octets of the frame.
const FRAME: usize = 1_400;
/// Frames that lie cold in memory: more than any cache holds.
const COLD: usize = 1 << 16;
/// Look-ups of a trace: many more than any branch predictor learns.
const TRACE: usize = 1 << 16;
/// Look-ups in one timed call.
const BURST: usize = 64;
/// Sessions: few, and as many as an endpoint is to carry.
const SESSIONS: [usize; 2] = [100, 100_000];

/// Measures the data plane, look-up, timers and memory.
pub fn run(report: &mut Report) {
    headers(report);
    crowds(report);
    timers(report);
    let octets = DATA_SESSION_OCTETS as f64;
    report.line("l2tp octets of a session in the data plane vs 512", octets, 512.0, octets / 512.0, Some(1.0));
    memory(report);
}

fn path() -> Path {
    Path::ip(Carrier::PROTOCOL, [192, 0, 2, 1].into(), [192, 0, 2, 2].into())
}

fn parameters(local: NonZeroU32) -> SessionParameters {
    SessionParameters {
        path: path(),
        local_id: SessionId(local),
        remote_id: local,
        local_cookie: Cookie::eight(*b"cookie!!"),
        remote_cookie: Cookie::eight(*b"cookie!!"),
        pseudowire: PseudowireType::ETHERNET,
        receive_sublayer: Sublayer::Default,
        send_sublayer: Sublayer::Default,
        receive_sequencing: SequencingLevel::NONE,
        send_sequencing: SequencingLevel::ALL,
        rewrite_vlan: None,
        resynchronise_after: 0,
    }
}

/// One frame encapsulated and decapsulated in place, each against one copy of a frame that no cache holds.
fn headers(report: &mut Report) {
    let id = NonZeroU32::MIN;
    let mut plane = DataPlane::new();
    plane.install(parameters(id)).expect("the id is free");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let cold = vec![7u8; COLD * FRAME];
    let order: Vec<usize> = (0..COLD).map(|_| rng.next_u32() as usize % COLD).collect();
    let mut buffer = vec![0u8; MAX_DATA_HEADER + FRAME];
    let mut target = vec![0u8; FRAME];
    let mut at = 0;
    let mut copy = || {
        at = (at + 1) % COLD;
        let start = order[at] * FRAME;
        target.copy_from_slice(&cold[start..start + FRAME]);
        target[FRAME - 1]
    };
    report.compare(
        "l2tp encapsulate 1400 vs one copy from cold memory",
        Some(0.5),
        || plane.encapsulate(SessionId(id), &mut buffer, MAX_DATA_HEADER..MAX_DATA_HEADER + FRAME).is_ok(),
        &mut copy,
    );
    let mut opener = DataPlane::new();
    opener.install(parameters(id)).expect("the id is free");
    let sent = plane.encapsulate(SessionId(id), &mut buffer, MAX_DATA_HEADER..MAX_DATA_HEADER + FRAME);
    let mut packet = buffer[sent.expect("there is room").packet].to_vec();
    report.compare(
        "l2tp decapsulate 1400 vs one copy from cold memory",
        Some(0.5),
        || opener.decapsulate(path(), &mut packet).is_ok(),
        &mut copy,
    );
}

/// A data plane with sessions under random identifiers, and a walk among them that no predictor learns.
struct Crowd {
    plane: DataPlane,
    trace: Vec<SessionId>,
    place: usize,
    /// The buffers of a burst, each with a frame or packet behind room for its header.
    buffers: Vec<Vec<u8>>,
}

impl Crowd {
    fn of(count: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(count as u64);
        let mut plane = DataPlane::new();
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            if let Some(id) = NonZeroU32::new(rng.next_u32())
                && plane.install(parameters(id)).is_ok()
            {
                ids.push(SessionId(id));
            }
        }
        let trace: Vec<SessionId> = (0..TRACE).map(|_| ids[rng.next_u32() as usize % count]).collect();
        Self { plane, trace, place: 0, buffers: vec![vec![7; MAX_DATA_HEADER + FRAME]; BURST] }
    }

    fn burst(&mut self) -> std::ops::Range<usize> {
        self.place = (self.place + BURST) % TRACE;
        self.place..self.place + BURST
    }

    fn look_up(&mut self) -> usize {
        let burst = self.burst();
        self.trace[burst].iter().filter(|id| self.plane.contains(**id)).count()
    }

    fn encapsulate(&mut self) -> usize {
        let burst = self.burst();
        let Self { plane, trace, buffers, .. } = self;
        let frame = MAX_DATA_HEADER..MAX_DATA_HEADER + FRAME;
        let frames = trace[burst].iter().zip(buffers);
        frames.filter_map(|(id, buffer)| plane.encapsulate(*id, buffer, frame.clone()).ok()).count()
    }

    fn encapsulate_batch(&mut self) -> usize {
        let burst = self.burst();
        let Self { plane, trace, buffers, .. } = self;
        let frame = MAX_DATA_HEADER..MAX_DATA_HEADER + FRAME;
        let frames = trace[burst].iter().zip(buffers);
        let mut batch: ArrayVec<_, BURST> =
            frames.map(|(id, buffer)| OutFrame::new(*id, buffer, frame.clone())).collect();
        plane.encapsulate_batch(&mut batch);
        batch.iter().filter(|item| matches!(item.outcome, Some(Ok(_)))).count()
    }

    /// Writes into each buffer the header of a packet to its session; the frames are left as they are.
    fn address(&mut self) {
        let burst = self.burst();
        for (id, buffer) in self.trace[burst].iter().zip(&mut self.buffers) {
            buffer[4..8].copy_from_slice(&id.0.get().to_be_bytes());
            buffer[8..16].copy_from_slice(b"cookie!!");
        }
    }

    fn decapsulate(&mut self) -> usize {
        self.address();
        let Self { plane, buffers, .. } = self;
        buffers.iter_mut().filter_map(|buffer| plane.decapsulate(path(), &mut buffer[4..]).ok()).count()
    }

    fn decapsulate_batch(&mut self) -> usize {
        self.address();
        let Self { plane, buffers, .. } = self;
        let packets = buffers.iter_mut().map(|buffer| InPacket::new(path(), &mut buffer[4..]));
        let mut batch: ArrayVec<_, BURST> = packets.collect();
        plane.decapsulate_batch(&mut batch);
        batch.iter().filter(|item| matches!(item.outcome, Some(Ok(_)))).count()
    }
}

/// Random sessions among many against random sessions among few: look-up alone, and whole frames in
/// batches and one by one. One by one each frame waits for the memory of its session, which is the
/// machine's and not ours: those lines have no target, and show what a batch is for.
fn crowds(report: &mut Report) {
    let [mut few, mut many] = SESSIONS.map(Crowd::of);
    let target = Some(3.0);
    report.compare("l2tp look-up among 100,000 x 64 vs among 100", target, || many.look_up(), || few.look_up());
    report.compare(
        "l2tp encapsulate among 100,000 x 64 vs among 100",
        None,
        || many.encapsulate(),
        || few.encapsulate(),
    );
    report.compare(
        "l2tp decapsulate among 100,000 x 64 vs among 100",
        None,
        || many.decapsulate(),
        || few.decapsulate(),
    );
    report.compare(
        "l2tp encapsulate_batch among 100,000 x 64 vs among 100",
        target,
        || many.encapsulate_batch(),
        || few.encapsulate_batch(),
    );
    report.compare(
        "l2tp decapsulate_batch among 100,000 x 64 vs among 100",
        target,
        || many.decapsulate_batch(),
        || few.decapsulate_batch(),
    );
    // The batch against the same frames one by one, where sessions are spread over more than the cache holds.
    let mut other = Crowd::of(SESSIONS[1]);
    report.compare(
        "l2tp encapsulate_batch vs one by one, 100,000 sessions",
        Some(1.1),
        || many.encapsulate_batch(),
        || other.encapsulate(),
    );
    report.compare(
        "l2tp decapsulate_batch vs one by one, 100,000 sessions",
        Some(1.1),
        || many.decapsulate_batch(),
        || other.decapsulate(),
    );
}

/// Two ends joined by nothing but their datagrams.
struct Pair {
    ends: [Endpoint<ChaCha8Rng>; 2],
    now: Instant,
}

impl Pair {
    /// Returns two ends with one connection and `count` sessions.
    fn with_sessions(count: usize) -> Self {
        let template = CircuitConfig::default();
        let peer = |path| PeerConfig {
            path: Some(path),
            unknown_circuits: UnknownCircuits::Accept(template.clone()),
            ..PeerConfig::default()
        };
        let end = |name: &str, router_id, path, seed| {
            let config = Config { host_name: name.to_owned(), router_id, peers: vec![peer(path)], ..Config::default() };
            Endpoint::new(config.build().expect("the configuration is sound"), ChaCha8Rng::seed_from_u64(seed))
        };
        let ends = [end("left", 1, path(), 1), end("right", 2, path().reversed(), 2)];
        let mut pair = Self { ends, now: Instant::ZERO };
        let connect = Command::Connect { peer: PeerId(0), path: None };
        let Ok(Handle::Connection(connection)) = pair.ends[0].handle_command(pair.now, connect) else {
            unreachable!("the peer has a path")
        };
        pair.exchange();
        for number in 0..count {
            let remote_end_id = number.to_string().into_bytes();
            let circuit = Box::new(CircuitConfig { remote_end_id, ..CircuitConfig::default() });
            let open = Command::Open { connection, circuit, call: Call::Incoming };
            pair.ends[0].handle_command(pair.now, open).expect("there is room");
            pair.exchange();
        }
        assert_eq!(pair.ends[1].data_plane().len(), count);
        pair
    }

    /// Carries datagrams until there are none; returns how many.
    fn exchange(&mut self) -> usize {
        let mut carried = 0;
        loop {
            let mut quiet = true;
            for from in [0, 1] {
                let mut sent: Vec<Transmit> = Vec::new();
                while let Some(action) = self.ends[from].poll_action() {
                    if let Action::Transmit(transmit) = action {
                        sent.push(transmit);
                    }
                }
                for transmit in &sent {
                    quiet = false;
                    carried += 1;
                    let _ = self.ends[1 - from].handle_datagram(self.now, transmit.as_received());
                }
            }
            if quiet {
                return carried;
            }
        }
    }

    /// Lets a minute and more of silence pass: both ends send a HELLO and have it acknowledged.
    fn silence(&mut self) -> usize {
        self.now += Duration::from_secs(130);
        self.ends.iter_mut().for_each(|end| end.handle_timeout(self.now));
        self.exchange()
    }
}

/// The timers of a connection with many sessions against those of one with few.
fn timers(report: &mut Report) {
    let [mut few, mut many] = SESSIONS.map(Pair::with_sessions);
    report.compare(
        "l2tp handle_timeout with 100,000 sessions vs with 100",
        Some(3.0),
        || many.silence(),
        || few.silence(),
    );
}

/// All memory of an endpoint with 100,000 negotiated sessions, by session.
fn memory(report: &mut Report) {
    const COUNT: usize = SESSIONS[1];
    let mut kept = None;
    let info = allocation_counter::measure(|| kept = Some(Pair::with_sessions(COUNT)));
    // Two ends hold them.
    let octets = info.bytes_current as f64 / (2 * COUNT) as f64;
    report.line("l2tp octets of a negotiated session vs 2048", octets, 2048.0, octets / 2048.0, Some(1.0));
    drop(kept);
}
