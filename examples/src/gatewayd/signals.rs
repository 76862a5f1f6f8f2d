//! SIGINT and SIGTERM as something to wait for, so that peers are told before the program ends.

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::AsRawFd as _;

/// The signals that ask the program to end.
#[derive(Debug)]
pub struct Signals {
    waiting: SignalFd,
}

impl Signals {
    /// Takes SIGINT and SIGTERM over from their default action.
    ///
    /// # Errors
    /// What the system says.
    pub fn catch() -> io::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGINT);
        set.add(Signal::SIGTERM);
        set.thread_block()?;
        Ok(Self { waiting: SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)? })
    }

    /// Registers for reading.
    ///
    /// # Errors
    /// The system refuses.
    pub fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.waiting.as_raw_fd()), token, Interest::READABLE)
    }

    /// Returns whether a signal came since the last call.
    pub fn came(&self) -> bool {
        let mut came = false;
        while let Ok(Some(_)) = self.waiting.read_signal() {
            came = true;
        }
        came
    }
}
