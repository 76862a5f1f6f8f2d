//! An L2TPv3 endpoint on Linux: control connections and sessions over IP 115 or UDP, frames on TAP devices.

use clap::Parser;
use examples::l2tp::daemon::file::File;
use examples::l2tp::daemon::run::{Daemon, DaemonError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// An L2TPv3 endpoint: Ethernet frames between TAP devices of two machines.
#[derive(Debug, Parser)]
struct Arguments {
    /// The configuration file; `examples/l2tpd.toml` is one with comments.
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
            eprintln!("l2tpd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: &Path, check: bool) -> Result<(), DaemonError> {
    let file = File::read(config)?;
    if check {
        file.config().build().map_err(examples::l2tp::daemon::file::FileError::from)?;
        file.protection()?;
        println!("{}: sound", config.display());
        return Ok(());
    }
    Daemon::open(&file)?.run()
}
