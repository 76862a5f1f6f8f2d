//! How near memory is on this machine, beside which the growth of look-ups has to be read: that of 100,000 policies
//! takes about 8 MB, that of 100 stays near the processor.

use crate::measure::Report;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A cycle through all lines of so many octets, in no order: each read has to wait for the one before.
struct Cycle {
    lines: Vec<[u32; 16]>,
    at: u32,
}

impl Cycle {
    fn new(octets: usize) -> Self {
        let mut order: Vec<u32> = (0..(octets / 64) as u32).collect();
        let mut dice = ChaCha8Rng::seed_from_u64(11);
        for index in (1..order.len()).rev() {
            order.swap(index, (dice.next_u64() % (index as u64 + 1)) as usize);
        }
        let mut lines = vec![[0; 16]; order.len()];
        for (from, to) in order.iter().zip(order.iter().cycle().skip(1)) {
            lines[*from as usize][0] = *to;
        }
        Self { lines, at: 0 }
    }

    fn step(&mut self) -> u32 {
        self.at = self.lines[self.at as usize][0];
        self.at
    }
}

/// Measures a read of memory as large as the index of a long list against one of what stays near.
pub fn run(report: &mut Report) {
    for megabytes in [2, 4, 8, 16] {
        let name = format!("spd a read in {megabytes} MB of memory vs in 32 KB");
        if report.wants(&name) {
            let (mut far, mut near) = (Cycle::new(megabytes << 20), Cycle::new(32 << 10));
            report.compare(&name, None, || far.step(), || near.step());
        }
    }
}
