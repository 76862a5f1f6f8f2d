//! Prints the ratios of ours to its anchors: `cargo run --release -p benches --bin ratios -- NAME...`.

use benches::handshake;
use benches::measure::Report;
use clap::{Parser, ValueEnum};
use std::process::ExitCode;

/// A group of cases.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Group {
    /// IKEv1 exchanges against their bare exponentiations.
    Handshake,
}

impl Group {
    fn run(self, report: &mut Report) {
        match self {
            Self::Handshake => handshake::run(report),
        }
    }
}

/// Measures ours against its anchors, interleaved in one process, and prints one line a case.
///
/// `ratio` is ours over the anchor: lower is better; `target` is the highest ratio allowed.
#[derive(Debug, Parser)]
struct Arguments {
    /// The groups to run; all of them when none is named.
    groups: Vec<Group>,
    /// Ends with an error when a ratio is above its target.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let groups = if arguments.groups.is_empty() { Group::value_variants() } else { &arguments.groups };
    let mut report = Report::new();
    for group in groups {
        group.run(&mut report);
    }
    if report.finish() || !arguments.check { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
