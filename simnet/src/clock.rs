use core::time::Duration;
use drive::Instant;

/// The virtual clock: it stands still until somebody moves it, and never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    now: Instant,
}

impl Clock {
    /// Returns a clock that stands at [`Instant::ZERO`].
    pub const fn new() -> Self {
        Self { now: Instant::ZERO }
    }

    /// Returns a clock that stands at `start`.
    pub const fn starting_at(start: Instant) -> Self {
        Self { now: start }
    }

    /// Returns the time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Moves the clock to `to`; an earlier time leaves it where it is.
    pub fn advance_to(&mut self, to: Instant) {
        self.now = self.now.max(to);
    }

    /// Moves the clock on by `by`.
    pub fn advance(&mut self, by: Duration) {
        self.now += by;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let mut clock = Clock::starting_at(Instant::from_secs(5));
        clock.advance_to(Instant::from_secs(3));
        assert_eq!(clock.now(), Instant::from_secs(5));
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), Instant::from_secs(6));
    }
}
