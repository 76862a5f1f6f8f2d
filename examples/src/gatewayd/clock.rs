//! The machine's clock, as the engine wants it.

#![expect(clippy::disallowed_types, reason = "a program reads the clock so that the engine need not")]

use drive::Instant;

/// Microseconds since the program started.
///
/// The clock underneath never steps; while the machine sleeps it stands still, so timers that fell
/// due meanwhile are late by the sleep.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// Returns a clock that shows zero now.
    pub fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// Returns the seconds since 1970, by which certificates are valid.
    pub fn unix_seconds() -> u64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    /// Returns the time since the start.
    pub fn now(self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }
}
