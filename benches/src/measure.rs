//! Measures ours against an anchor, interleaved, and prints one line a case.

#![expect(clippy::disallowed_types, reason = "a benchmark reads the clock; the libraries never do")]

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Rounds of a comparison; the median of their ratios is reported.
const ROUNDS: usize = 9;
/// How long one side of one round runs at least, so that the clock's grain does not count.
const ROUND_TIME: Duration = Duration::from_millis(20);

/// How often the sides of a comparison over traces take turns, and how long a turn is: longer in all than what else a
/// machine does at a time, for the most part.
const TURNS: usize = 12;
const TURN: Duration = Duration::from_millis(250);

/// The lines of one run.
#[derive(Debug, Default)]
pub struct Report {
    /// Only cases whose names hold this are run.
    filter: String,
    cases: usize,
    missed: Vec<String>,
}

impl Report {
    /// Returns a report of the cases whose names hold `filter`, of all when there is none, and prints the head of its
    /// table.
    pub fn new(filter: Option<String>) -> Self {
        println!("{:<52} {:>12} {:>12} {:>7} {:>7}", "case", "ours ns", "anchor ns", "ratio", "target");
        Self { filter: filter.unwrap_or_default(), ..Self::default() }
    }

    /// Returns whether a case of this name is run, for those whose setting up is long.
    pub fn wants(&self, name: &str) -> bool {
        name.contains(&self.filter)
    }

    /// Times `ours` and `anchor` in turn and prints their medians, the ratio and the highest ratio allowed, if the
    /// case is wanted.
    ///
    /// Both closures do the same work once a call; what they return is kept from the optimiser.
    pub fn compare<A, B>(
        &mut self,
        name: &str,
        target: Option<f64>,
        mut ours: impl FnMut() -> A,
        mut anchor: impl FnMut() -> B,
    ) {
        if !self.wants(name) {
            return;
        }
        let ours_calls = calls_per_round(&mut ours);
        let anchor_calls = calls_per_round(&mut anchor);
        let mut rounds = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let ours = time(&mut ours, ours_calls);
            let anchor = time(&mut anchor, anchor_calls);
            rounds.push((ours, anchor));
        }
        let ours = median(rounds.iter().map(|r| r.0));
        let anchor = median(rounds.iter().map(|r| r.1));
        let ratio = median(rounds.iter().map(|r| r.0 / r.1));
        self.line(name, ours, anchor, ratio, target);
    }

    /// Times `ours` and `anchor` over a trace of so many segments of so many calls, and prints the line of the case as
    /// [`compare`](Self::compare) does, if it is wanted. Each closure does the segment whose number it gets.
    ///
    /// Of each segment the shortest time counts: where one side waits for memory and the other does not, what else the
    /// machine does at the time would hit that side alone. So that neither pushes out of the cache what the other needs,
    /// a turn is many passes; so that both see the same machine, there are several turns, as long for either.
    pub fn compare_traces<A, B>(
        &mut self,
        name: &str,
        target: Option<f64>,
        (segments, calls): (usize, usize),
        mut ours: impl FnMut(usize) -> A,
        mut anchor: impl FnMut(usize) -> B,
    ) {
        if !self.wants(name) {
            return;
        }
        let (mut ours_shortest, mut anchor_shortest) = (vec![f64::INFINITY; segments], vec![f64::INFINITY; segments]);
        for _ in 0..TURNS {
            shorten(&mut ours_shortest, &mut ours);
            shorten(&mut anchor_shortest, &mut anchor);
        }
        let each = |shortest: &[f64]| shortest.iter().sum::<f64>() / (segments * calls) as f64;
        let (ours, anchor) = (each(&ours_shortest), each(&anchor_shortest));
        self.line(name, ours, anchor, ours / anchor, target);
    }

    /// Prints a ratio measured elsewhere as a line of this report, if the case is wanted.
    pub fn line(&mut self, name: &str, ours: f64, anchor: f64, ratio: f64, target: Option<f64>) {
        if !self.wants(name) {
            return;
        }
        self.cases += 1;
        let shown = target.map_or_else(|| "-".to_owned(), |t| format!("{t:.2}"));
        println!("{name:<52} {ours:>12.1} {anchor:>12.1} {ratio:>7.2} {shown:>7}");
        if target.is_some_and(|target| ratio > target) {
            self.missed.push(name.to_owned());
        }
    }

    /// Prints how many targets were missed and returns whether some case was run and none missed.
    pub fn finish(&self) -> bool {
        println!("{} cases, {} above their target", self.cases, self.missed.len());
        for name in &self.missed {
            println!("above its target: {name}");
        }
        self.cases > 0 && self.missed.is_empty()
    }
}

/// Makes passes over a trace for a [`TURN`], at least one, and keeps the shortest nanoseconds of each segment.
fn shorten<T>(shortest: &mut [f64], work: &mut impl FnMut(usize) -> T) {
    let begun = Instant::now();
    loop {
        for (segment, shortest) in shortest.iter_mut().enumerate() {
            *shortest = shortest.min(time(&mut || work(segment), 1));
        }
        if begun.elapsed() >= TURN {
            return;
        }
    }
}

/// Returns the median nanoseconds of a call, for what has a bound and no anchor.
pub fn nanoseconds<T>(mut work: impl FnMut() -> T) -> f64 {
    let calls = calls_per_round(&mut work);
    median((0..ROUNDS).map(|_| time(&mut work, calls)))
}

/// Returns what one call gives, and the seconds it took: for work that is too long to repeat, or never the same.
pub fn seconds<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let begun = Instant::now();
    let result = work();
    (result, begun.elapsed().as_secs_f64())
}

fn calls_per_round<T>(work: &mut impl FnMut() -> T) -> u32 {
    let mut calls = 1u32;
    loop {
        let begun = Instant::now();
        for _ in 0..calls {
            black_box(work());
        }
        if begun.elapsed() >= ROUND_TIME || calls >= 1 << 28 {
            return calls;
        }
        calls = calls.saturating_mul(2);
    }
}

/// Returns nanoseconds a call.
fn time<T>(work: &mut impl FnMut() -> T, calls: u32) -> f64 {
    let begun = Instant::now();
    for _ in 0..calls {
        black_box(work());
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_number_of_values_is_the_middle_one() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
    }

    #[test]
    fn a_ratio_above_its_target_is_reported_as_missed() {
        let mut report = Report::default();
        report.line("good", 1.0, 2.0, 0.5, Some(0.6));
        report.line("unbounded", 9.0, 1.0, 9.0, None);
        assert!(report.finish());
        report.line("bad", 2.0, 1.0, 2.0, Some(1.0));
        assert!(!report.finish());
    }

    #[test]
    fn only_cases_whose_names_hold_the_filter_are_run() {
        let mut report = Report { filter: "acl".to_owned(), ..Report::default() };
        report.compare("spd tunnels", Some(0.0), || panic!("not wanted"), || panic!("not wanted"));
        report.line("spd tunnels", 2.0, 1.0, 2.0, Some(1.0));
        assert!(!report.finish(), "no case was run");
        report.line("spd acl 100", 1.0, 2.0, 0.5, Some(1.0));
        assert!(report.finish());
    }
}
