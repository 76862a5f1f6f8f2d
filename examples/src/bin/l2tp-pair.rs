//! Two ends of L2TPv3 over a simulated network: a session comes up, carries Ethernet frames, goes down.
//!
//! Prints every control message and event, and the status of both ends as a router shows it. Nothing is
//! opened and nobody waits: the clock and the network are virtual.

use clap::{Parser, ValueEnum};
use examples::l2tp::pair::{self, Settings};
use l2tpv3::wire::Carrier;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::process::ExitCode;

/// What carries L2TP.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Over {
    /// IP protocol 115.
    Ip,
    /// UDP port 1701.
    Udp,
}

/// Two L2TPv3 endpoints in one process: a connection and a session come up and carry frames.
#[derive(Debug, Parser)]
#[command(name = "l2tp-pair", version)]
struct Arguments {
    /// Decides every chance of the run: identifiers, cookies, which packets are lost.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// What carries L2TP.
    #[arg(long, value_enum, default_value = "ip")]
    over: Over,
    /// Loses this many of a hundred packets.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    loss: u32,
    /// Holds this many of a hundred packets back, so that later ones overtake them.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    reorder: u32,
    /// Authenticates every control message by this secret.
    #[arg(long)]
    secret: Option<String>,
    /// Hides what may be hidden; needs a secret.
    #[arg(long, requires = "secret")]
    hide: bool,
    /// Numbers the frames, so that late and repeated ones are dropped.
    #[arg(long)]
    sequencing: bool,
    /// Protects everything by IPsec: IKE with a pre-shared key, ESP in transport mode.
    #[arg(long)]
    ipsec: bool,
    /// Renews the IPsec SAs after this many frames.
    #[arg(long, value_name = "N", requires = "ipsec")]
    rekey_after: Option<u16>,
    /// Frames to send each way.
    #[arg(long, value_name = "N", default_value_t = 100)]
    frames: u16,
    /// Records what travels, for Wireshark.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
}

fn main() -> ExitCode {
    match start(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("l2tp-pair: {error}");
            ExitCode::from(2)
        }
    }
}

fn start(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let settings = Settings {
        seed: arguments.seed,
        carrier: match arguments.over {
            Over::Ip => Carrier::Ip,
            Over::Udp => Carrier::Udp,
        },
        loss: arguments.loss,
        reorder: arguments.reorder,
        secret: arguments.secret,
        hide: arguments.hide,
        sequencing: arguments.sequencing,
        ipsec: arguments.ipsec,
        rekey_after: arguments.rekey_after,
        frames: arguments.frames,
    };
    let outcome = pair::run(&settings, arguments.pcap.is_some(), &mut io::stdout().lock())?;
    if let (Some(path), Some(capture)) = (&arguments.pcap, &outcome.capture) {
        capture.write_to(BufWriter::new(File::create(path)?))?;
    }
    Ok(outcome.is_success)
}
