//! A VPN gateway on Linux: IKEv1 on UDP 500 and 4500, ESP in UDP or over IP, clear packets on a TUN device.

use clap::Parser;
use examples::gatewayd::file::File;
use examples::gatewayd::link;
use examples::gatewayd::run::{Daemon, DaemonError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A VPN gateway: IKEv1 and ESP with pre-shared keys.
#[derive(Debug, Parser)]
struct Arguments {
    /// The configuration file; `examples/gatewayd.toml` is one with comments.
    #[arg(long)]
    config: PathBuf,
    /// Only say whether the configuration is sound.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments.config, arguments.check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gatewayd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: &Path, check: bool) -> Result<(), DaemonError> {
    let mut file = File::read(config)?;
    file.daemon.path_mtu = file.daemon.path_mtu.or_else(|| link::mtu(&file.daemon.listen));
    let plan = file.plan()?;
    if check {
        println!("{}: sound", config.display());
        return Ok(());
    }
    Daemon::open(&file, plan)?.run(&file)
}
