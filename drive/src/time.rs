use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point in time: microseconds since an epoch that the caller chooses.
///
/// Arithmetic saturates at both ends, so that a hostile lifetime or a clock error can delay a timer
/// for ever but never wrap it into the past.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The caller's epoch.
    pub const ZERO: Self = Self(0);
    /// The last instant that can be expressed; a deadline here never comes.
    pub const MAX: Self = Self(u64::MAX);

    /// Returns the instant `micros` microseconds after the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Returns the instant `millis` milliseconds after the epoch, or [`Instant::MAX`].
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Returns the instant `secs` seconds after the epoch, or [`Instant::MAX`].
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Returns the microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the whole seconds since the epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Returns this instant `duration` later, or [`Instant::MAX`].
    pub const fn saturating_add(self, duration: Duration) -> Self {
        let micros = duration.as_micros();
        if micros > u64::MAX as u128 {
            return Self::MAX;
        }
        Self(self.0.saturating_add(micros as u64))
    }

    /// Returns this instant `duration` earlier, or [`Instant::ZERO`].
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        let micros = duration.as_micros();
        if micros > u64::MAX as u128 {
            return Self::ZERO;
        }
        Self(self.0.saturating_sub(micros as u64))
    }

    /// Returns the time from `earlier` to this instant, zero if `earlier` is later.
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.saturating_add(duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = self.saturating_add(duration);
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        self.saturating_sub(duration)
    }
}

/// Seconds with six decimals, as a log line shows them.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({self})")
    }
}

/// Clamps the times a caller gives, so that a clock that steps back stands still instead.
#[derive(Clone, Copy, Debug, Default)]
pub struct MonotonicClock {
    latest: Instant,
}

impl MonotonicClock {
    /// Returns a clock that has seen nothing yet.
    pub const fn new() -> Self {
        Self { latest: Instant::ZERO }
    }

    /// Takes in `now` and returns the later of it and all times seen before.
    pub fn observe(&mut self, now: Instant) -> Instant {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// Returns the latest time seen.
    pub const fn latest(&self) -> Instant {
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::MAX + Duration::from_secs(1), Instant::MAX);
        assert_eq!(Instant::ZERO + Duration::MAX, Instant::MAX);
        assert_eq!(Instant::from_secs(1) - Duration::MAX, Instant::ZERO);
        assert_eq!(Instant::ZERO - Instant::from_secs(1), Duration::ZERO);
        assert_eq!(Instant::from_secs(u64::MAX), Instant::MAX);
        assert_eq!(Instant::from_millis(u64::MAX), Instant::MAX);
    }

    #[test]
    fn display_shows_seconds_with_six_decimals() {
        assert_eq!(Instant::from_micros(1_000_020).to_string(), "1.000020");
    }

    #[test]
    fn a_clock_that_steps_back_stands_still() {
        let mut clock = MonotonicClock::new();
        assert_eq!(clock.observe(Instant::from_secs(5)), Instant::from_secs(5));
        assert_eq!(clock.observe(Instant::from_secs(3)), Instant::from_secs(5));
        assert_eq!(clock.observe(Instant::from_secs(6)), Instant::from_secs(6));
        assert_eq!(clock.latest(), Instant::from_secs(6));
    }
}
