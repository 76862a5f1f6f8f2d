//! Association look-up against a hash map, the replay window by size, and the memory of an association.

use crate::measure::{Report, nanoseconds};
use drive::{Instant, Path};
use esp_ah::suite::AesKey;
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, OpenKey, SealKey, SequenceBits, Suite};
use hashbrown::HashMap;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use sad::{
    FlowId, InboundKeys, Lifetime, Limits, OutboundKeys, OwnerId, ReplayWindow, SaMode, SaParameters, SaProtocol, Sad,
    SadSettings, SourceCheck, WindowSize,
};
use std::hint::black_box;
use std::net::IpAddr;

/// Look-ups of a trace: many more than any branch predictor learns.
const TRACE: usize = 1 << 16;
/// Look-ups in one timed call.
const BURST: usize = 64;

/// Measures look-ups, windows and memory.
pub fn run(report: &mut Report) {
    for (count, target) in [(1_000, 0.4), (100_000, 0.15), (1_000_000, 0.4)] {
        lookup(report, count, target);
    }
    for size in WindowSize::ALL.into_iter().skip(1).filter(|size| *size != WindowSize::Packets64) {
        window(report, size);
    }
    memory(report);
}

fn lookup(report: &mut Report, count: usize, target: f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut sad = Sad::new(SadSettings { limit: count, ..SadSettings::default() }, &mut rng);
    let here: IpAddr = [192, 0, 2, 1].into();
    let mut map: HashMap<(u32, IpAddr, u8), u32, foldhash::fast::FixedState> = HashMap::default();
    let spis: Vec<u32> = (0..count)
        .map(|index| {
            let owner = OwnerId(index as u64);
            let allocated = sad.allocate_spi(Instant::ZERO, SaProtocol::Esp, here, owner, &mut rng);
            let (_, spi) = allocated.expect("the database has room");
            map.insert((spi.get(), here, 50), index as u32);
            spi.get()
        })
        .collect();
    let trace: Vec<u32> = (0..TRACE).map(|_| spis[rng.next_u32() as usize % count]).collect();
    let bursts: Vec<&[u32]> = trace.chunks(BURST).collect();
    let (mut ours, mut anchor) = (0, 0);
    let next = |at: &mut usize| {
        *at = (*at + 1) % bursts.len();
        bursts[*at]
    };
    // What a batch of received packets does; the target is the project's.
    report.compare(
        &format!("sad look-up {count}, burst x {BURST} / hashbrown, foldhash"),
        Some(target),
        || {
            let mut arrivals = sad.arrivals(black_box(here), SaProtocol::Esp);
            next(&mut ours).iter().filter(|spi| arrivals.find(**spi).is_some()).count()
        },
        || {
            let here = black_box(here);
            next(&mut anchor).iter().filter(|spi| map.get(&(**spi, here, 50)).is_some()).count()
        },
    );
    // The destination is read with every packet, as packets say it: neither side may convert or hash it once for all.
    // The target is said of the burst, whose shape is that of the driver behind it.
    let destinations = black_box([here; BURST]);
    report.compare(
        &format!("sad look-up {count}, single x {BURST} / hashbrown, foldhash"),
        None,
        || {
            let packets = next(&mut ours).iter().zip(&destinations);
            packets.filter(|(spi, here)| sad.find(**spi, **here, SaProtocol::Esp).is_some()).count()
        },
        || {
            let packets = next(&mut anchor).iter().zip(&destinations);
            packets.filter(|(spi, here)| map.get(&(**spi, **here, 50)).is_some()).count()
        },
    );
}

/// In order, and shuffled within sixteen: what networks do.
fn window(report: &mut Report, size: WindowSize) {
    for (name, step) in [("in order", 0u64), ("shuffled", 11)] {
        let run = |window: &mut ReplayWindow, base: &mut u64| {
            for index in 0..BURST as u64 {
                let number = *base + (index & !15) + ((index * (step | 1)) & 15);
                if window.check(number).is_ok() {
                    let _ = black_box(window.accept(number));
                }
            }
            *base += BURST as u64;
        };
        let mut ours = (ReplayWindow::new(size, SequenceBits::Bits64), 1);
        let mut anchor = (ReplayWindow::new(WindowSize::Packets64, SequenceBits::Bits64), 1);
        report.compare(
            &format!("replay window {} {name} x {BURST} vs 64", size.packets()),
            Some(1.3),
            || run(&mut ours.0, &mut ours.1),
            || run(&mut anchor.0, &mut anchor.1),
        );
    }
}

/// Limits as IKE agrees them: an association waits in the queue of deadlines.
fn limited() -> Lifetime {
    let time = Some(std::time::Duration::from_secs(3600));
    Lifetime { soft: Limits { time, ..Limits::NONE }, hard: Limits { time, octets: Some(1 << 32), packets: None } }
}

/// Octets of an association and direction with AES-128 and SHA-1 and a window of 128, as the allocator counts.
fn memory(report: &mut Report) {
    const COUNT: usize = 1 << 14;
    let suite = Suite::new(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacSha1_96)
        .expect("the suite is lawful");
    let keymat = vec![7; suite.keymat_len()];
    let here: IpAddr = [192, 0, 2, 1].into();
    let path = Path::ip(50, here, [192, 0, 2, 2].into());
    let mut octets = [0u64; 2];
    for outbound in [false, true] {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut kept = None;
        let measured = allocation_counter::measure(|| {
            let mut sad = Sad::new(SadSettings { limit: COUNT, ..SadSettings::default() }, &mut rng);
            for index in 0..COUNT {
                let parameters = SaParameters {
                    mode: SaMode::Tunnel,
                    path,
                    flow: FlowId(index as u64),
                    owner: OwnerId(index as u64),
                    lifetime: limited(),
                };
                if outbound {
                    let spi = sad::Spi::new(256 + index as u32).expect("it is not reserved");
                    let key = SealKey::new(suite, SequenceBits::Bits32, &keymat).expect("the keys are right");
                    let keys = OutboundKeys::Esp(key);
                    sad.install_outbound(Instant::ZERO, spi, &parameters, keys, None).expect("there is room");
                } else {
                    let allocated = sad.allocate_spi(Instant::ZERO, SaProtocol::Esp, here, OwnerId(1), &mut rng);
                    let (larval, _) = allocated.expect("there is room");
                    let key = OpenKey::new(suite, SequenceBits::Bits32, &keymat).expect("the keys are right");
                    let (keys, window) = (InboundKeys::Esp(key), WindowSize::Packets128);
                    sad.install_inbound(Instant::ZERO, larval, &parameters, window, SourceCheck::Any, keys)
                        .expect("it is larval");
                }
            }
            kept = Some(sad);
        });
        octets[usize::from(outbound)] = u64::try_from(measured.bytes_current).unwrap_or(0) / COUNT as u64;
        drop(kept);
    }
    for (name, octets) in [("inbound", octets[0]), ("outbound", octets[1])] {
        let name = format!("sad octets, AES-128 + SHA1, {name}, vs 640");
        report.line(&name, octets as f64, 640.0, octets as f64 / 640.0, Some(1.0));
    }
    let build = nanoseconds(|| SealKey::new(suite, SequenceBits::Bits32, &keymat));
    report.line("sad one key schedule, ns", build, build, 1.0, None);
}
