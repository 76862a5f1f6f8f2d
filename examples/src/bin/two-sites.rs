//! Two sites joined by a tunnel, over a simulated network: the first thing to try.
//!
//! Prints the exchange message by message, pings both ways, renews, closes, and shows the status of
//! both ends. Nothing is opened and nobody waits: the clock and the network are virtual.

use clap::{Parser, ValueEnum};
use examples::two_sites::files;
use examples::two_sites::run::{self, Keep};
use examples::two_sites::scenario::{BUILT_IN, Scenario};
use simnet::Tap;
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Two gateways and two LANs in one process: a tunnel is negotiated, used, renewed and closed.
#[derive(Debug, Parser)]
#[command(name = "two-sites", version)]
struct Arguments {
    /// The scenario; the built-in one is printed with --print-scenario.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Prints the built-in scenario, comments and all, and does nothing else.
    #[arg(long)]
    print_scenario: bool,
    /// Decides every chance of the run: keys, cookies, which packets are lost.
    #[arg(long, value_name = "N", default_value_t = 11)]
    seed: u64,
    /// Puts the NAT of the scenario in front of its gateway.
    #[arg(long)]
    nat: bool,
    /// Loses this many of a hundred packets, whatever the scenario says.
    #[arg(long, value_name = "PERCENT")]
    loss: Option<u32>,
    /// Records what travels between the gateways, for Wireshark.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Where it is recorded: `arrived` has what got through, `sent` what was lost as well.
    ///
    /// Wireshark takes a quick mode message that was resent for the next one of its exchange and cannot
    /// decrypt it, so the capture shows each message once where it can.
    #[arg(long, value_name = "WHERE", default_value = "arrived")]
    tap: Where,
    /// Writes the keys of all associations into the two tables that Wireshark reads.
    #[arg(long, value_name = "DIR")]
    keylog: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Where {
    Sent,
    Arrived,
}

impl Where {
    const fn tap(self) -> Tap {
        match self {
            Self::Sent => Tap::Sent,
            Self::Arrived => Tap::Arrived,
        }
    }
}

fn main() -> ExitCode {
    match start(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("two-sites: {error}");
            ExitCode::from(2)
        }
    }
}

fn start(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let mut out = io::stdout().lock();
    if arguments.print_scenario {
        out.write_all(BUILT_IN.as_bytes())?;
        return Ok(true);
    }
    let mut scenario = match &arguments.scenario {
        Some(path) => Scenario::parse(&files::read(path)?)?,
        None => Scenario::parse(BUILT_IN)?,
    };
    scenario.change(arguments.nat, arguments.loss)?;
    let keep = Keep { capture: arguments.pcap.as_ref().map(|_| arguments.tap.tap()), keys: arguments.keylog.is_some() };
    let outcome = run::run(&scenario, arguments.seed, keep, &mut out)?;
    if let (Some(path), Some(capture)) = (&arguments.pcap, &outcome.capture) {
        files::write_capture(path, capture)?;
        writeln!(out, "capture  {} packets in {}", capture.packets().len(), path.display())?;
    }
    if let Some(directory) = &arguments.keylog {
        files::write_keys(directory, &outcome.keys)?;
        writeln!(out, "keys     {} lines in {}", outcome.keys.len(), directory.display())?;
    }
    Ok(outcome.is_success)
}
