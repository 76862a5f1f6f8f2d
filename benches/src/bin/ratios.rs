//! Prints the ratios of ours to its anchors: `cargo run --release -p benches --bin ratios -- NAME... [FILTER]`.

use benches::measure::Report;
use benches::{esp, handshake, l2tp, sad, spd, wire};
use clap::{Parser, ValueEnum};
use std::process::ExitCode;

/// A group of cases.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Group {
    /// Packets sealed and opened through the association database.
    Esp,
    /// IKEv1 exchanges against their bare exponentiations.
    Handshake,
    /// L2TPv3 frames in place against one copy, look-up and timers.
    L2tp,
    /// Look-up of associations.
    Sad,
    /// Look-up and change of policies.
    Spd,
    /// Messages walked and typed, against a naive parser.
    Wire,
}

impl Group {
    fn run(self, report: &mut Report) {
        match self {
            Self::Esp => esp::run(report),
            Self::Handshake => handshake::run(report),
            Self::L2tp => l2tp::run(report),
            Self::Sad => sad::run(report),
            Self::Spd => spd::run(report),
            Self::Wire => wire::run(report),
        }
    }
}

/// Measures ours against its anchors, interleaved in one process, and prints one line a case.
///
/// `ratio` is ours over the anchor: lower is better; `target` is the highest ratio allowed.
#[derive(Debug, Parser)]
struct Arguments {
    /// The groups to run, all of them when none is named: esp, handshake, l2tp, sad, spd, wire. A last word that is
    /// none of these runs only the cases whose names hold it.
    #[arg(value_name = "GROUP... FILTER")]
    words: Vec<String>,
    /// Ends with an error when a ratio is above its target.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut words = arguments.words.as_slice();
    let mut groups = Vec::new();
    while let Some((Ok(group), rest)) = words.split_first().map(|(word, rest)| (Group::from_str(word, true), rest)) {
        groups.push(group);
        words = rest;
    }
    if words.len() > 1 {
        eprintln!("one filter at most, after the groups: {words:?}");
        return ExitCode::FAILURE;
    }
    if groups.is_empty() {
        groups.extend(Group::value_variants());
    }
    let mut report = Report::new(words.first().cloned());
    for group in groups {
        group.run(&mut report);
    }
    if report.finish() || !arguments.check { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
