//! What an association costs: a claim that the allocator counts.

use crate::common::*;
use core::time::Duration;
use drive::Instant;
use esp_ah::{OpenKey, SealKey};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sad::*;

/// The most octets an association and direction may cost with AES-128, SHA-1, a window of 128 and a limit of time.
const OCTETS: u64 = 640;
/// A power of two, at which every growing table is full.
const COUNT: u64 = 1 << 12;

fn limited() -> Lifetime {
    let time = Some(Duration::from_secs(3600));
    Lifetime { soft: Limits { time, ..Limits::NONE }, hard: Limits { time, octets: Some(1 << 32), packets: None } }
}

fn octets_each(mut install: impl FnMut(&mut Sad, &mut ChaCha8Rng, u64)) -> u64 {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut sad = Sad::new(SadSettings { limit: COUNT as usize, ..SadSettings::default() }, &mut rng);
    let measured = allocation_counter::measure(|| {
        for index in 0..COUNT {
            install(&mut sad, &mut rng, index);
        }
    });
    assert_eq!(sad.len(), COUNT as usize);
    u64::try_from(measured.bytes_current).unwrap() / COUNT
}

#[test]
fn an_inbound_association_costs_at_most_640_octets() {
    let keymat = keymat(suite());
    let octets = octets_each(|sad, rng, index| {
        let now = Instant::from_micros(index);
        let (larval, _) = sad.allocate_spi(now, SaProtocol::Esp, path().local.ip(), OWNER, rng).unwrap();
        let keys = InboundKeys::Esp(OpenKey::new(suite(), SequenceBits::Bits32, &keymat).unwrap());
        let parameters = SaParameters { flow: FlowId(index), ..parameters(limited()) };
        sad.install_inbound(now, larval, &parameters, WindowSize::Packets128, SourceCheck::Any, keys).unwrap();
    });
    println!("{octets} octets");
    assert!(octets <= OCTETS, "{octets}");
}

#[test]
fn an_outbound_association_costs_at_most_640_octets() {
    let keymat = keymat(suite());
    let octets = octets_each(|sad, _, index| {
        let spi = Spi::new(256 + index as u32).unwrap();
        let keys = OutboundKeys::Esp(SealKey::new(suite(), SequenceBits::Bits32, &keymat).unwrap());
        let parameters = SaParameters { flow: FlowId(index), ..parameters(limited()) };
        sad.install_outbound(Instant::from_micros(index), spi, &parameters, keys, None).unwrap();
    });
    println!("{octets} octets");
    assert!(octets <= OCTETS, "{octets}");
}
