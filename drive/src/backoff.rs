use core::fmt;
use core::time::Duration;

/// How the gap between two sendings of one message grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schedule {
    /// Every gap is the same.
    Constant(Duration),
    /// `T, 2T`, then each gap `2T` longer than the last: 4, 8, 16, 24, 32, 40, 48, 56, 64 s for `T` = 4 s.
    Incremental(Duration),
    /// Each gap is `numerator / denominator` times the last, and at most `cap`.
    Exponential {
        /// The first gap.
        first: Duration,
        /// Numerator of the growth factor.
        numerator: u32,
        /// Denominator of the growth factor.
        denominator: u32,
        /// The longest gap.
        cap: Duration,
    },
}

/// Why a [`Backoff`] cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackoffError {
    /// A gap of zero would send without end.
    ZeroGap,
    /// The growth factor is below one or has a zero denominator.
    Shrinking,
}

impl fmt::Display for BackoffError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroGap => "the first gap must be longer than zero",
            Self::Shrinking => "the growth factor must be at least one",
        })
    }
}

impl core::error::Error for BackoffError {}

/// A schedule of gaps with a limit on resends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    schedule: Schedule,
    limit: u32,
}

impl Backoff {
    /// Returns a back-off that sends once and then at most `limit` times more.
    ///
    /// # Errors
    /// A first gap of zero, or a factor that would make gaps shorter.
    pub const fn new(schedule: Schedule, limit: u32) -> Result<Self, BackoffError> {
        let first = match schedule {
            Schedule::Constant(gap) | Schedule::Incremental(gap) => gap,
            Schedule::Exponential { first, numerator, denominator, cap } => {
                if denominator == 0 || numerator < denominator {
                    return Err(BackoffError::Shrinking);
                }
                if cap.is_zero() {
                    return Err(BackoffError::ZeroGap);
                }
                first
            }
        };
        if first.is_zero() {
            return Err(BackoffError::ZeroGap);
        }
        Ok(Self { schedule, limit })
    }

    /// Returns how many resends follow the first sending.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Returns the schedule of the gaps.
    pub const fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// Returns the gap after sending number `sending` (0 is the first), or `None` past the limit.
    ///
    /// The gap after the last resend is the time to wait before giving up.
    pub fn gap(&self, sending: u32) -> Option<Duration> {
        if sending > self.limit {
            return None;
        }
        Some(match self.schedule {
            Schedule::Constant(gap) => gap,
            Schedule::Incremental(first) if sending == 0 => first,
            Schedule::Incremental(first) => first.saturating_mul(2).saturating_mul(sending),
            Schedule::Exponential { first, numerator, denominator, cap } => {
                let mut gap = first;
                for _ in 0..sending {
                    if gap >= cap {
                        break;
                    }
                    gap = gap.saturating_mul(numerator) / denominator;
                }
                gap.min(cap)
            }
        })
    }

    /// Returns the time from the first sending to giving up.
    pub fn total(&self) -> Duration {
        (0..=self.limit).filter_map(|n| self.gap(n)).fold(Duration::ZERO, Duration::saturating_add)
    }
}

/// The state of one message under a [`Backoff`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    backoff: Backoff,
    sendings: u32,
}

impl Retry {
    /// Returns the state before the first sending.
    pub const fn new(backoff: Backoff) -> Self {
        Self { backoff, sendings: 0 }
    }

    /// Counts a sending and returns how long to wait for an answer; `None` when the limit is used up.
    ///
    /// `jitter` is added to the gap: the caller draws it, so that a run is reproducible.
    pub fn next_gap(&mut self, jitter: Duration) -> Option<Duration> {
        let gap = self.backoff.gap(self.sendings)?;
        self.sendings = self.sendings.saturating_add(1);
        Some(gap.saturating_add(jitter))
    }

    /// Returns how often the message was sent.
    pub const fn sendings(&self) -> u32 {
        self.sendings
    }

    /// Returns how many resends are left.
    pub const fn resends_left(&self) -> u32 {
        self.backoff.limit.saturating_add(1).saturating_sub(self.sendings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn seconds(backoff: Backoff) -> Vec<u64> {
        (0..).map_while(|n| backoff.gap(n)).map(|gap| gap.as_secs()).collect()
    }

    #[test]
    fn incremental_gaps_are_those_of_the_router_manual() {
        let backoff = Backoff::new(Schedule::Incremental(Duration::from_secs(4)), 8).unwrap();
        assert_eq!(seconds(backoff), [4, 8, 16, 24, 32, 40, 48, 56, 64]);
        assert_eq!(backoff.total(), Duration::from_secs(292));
    }

    #[test]
    fn constant_gaps_stay_the_same_up_to_the_limit() {
        let backoff = Backoff::new(Schedule::Constant(Duration::from_secs(10)), 2).unwrap();
        assert_eq!(seconds(backoff), [10, 10, 10]);
    }

    #[test]
    fn exponential_gaps_grow_by_the_factor_up_to_the_cap() {
        let schedule = Schedule::Exponential {
            first: Duration::from_secs(4),
            numerator: 9,
            denominator: 5,
            cap: Duration::from_secs(30),
        };
        let gaps: Vec<_> = (0..6).filter_map(|n| Backoff::new(schedule, 5).unwrap().gap(n)).collect();
        assert_eq!(gaps[0], Duration::from_millis(4_000));
        assert_eq!(gaps[1], Duration::from_millis(7_200));
        assert_eq!(gaps[2], Duration::from_millis(12_960));
        assert_eq!(gaps[4], Duration::from_secs(30));
        assert_eq!(gaps[5], Duration::from_secs(30));
    }

    #[test]
    fn a_retry_ends_after_its_limit() {
        let mut retry = Retry::new(Backoff::new(Schedule::Constant(Duration::from_secs(1)), 1).unwrap());
        assert_eq!(retry.resends_left(), 2);
        assert_eq!(retry.next_gap(Duration::ZERO), Some(Duration::from_secs(1)));
        assert_eq!(retry.resends_left(), 1);
        assert_eq!(retry.next_gap(Duration::from_millis(5)), Some(Duration::from_millis(1_005)));
        assert_eq!(retry.next_gap(Duration::ZERO), None);
        assert_eq!(retry.sendings(), 2);
    }

    #[test]
    fn schedules_that_would_flood_are_refused() {
        let zero = Backoff::new(Schedule::Constant(Duration::ZERO), 1);
        assert_eq!(zero, Err(BackoffError::ZeroGap));
        let shrinking = Schedule::Exponential {
            first: Duration::from_secs(1),
            numerator: 1,
            denominator: 2,
            cap: Duration::from_secs(9),
        };
        assert_eq!(Backoff::new(shrinking, 1), Err(BackoffError::Shrinking));
    }

    proptest! {
        #[test]
        fn gaps_never_shrink_and_never_pass_the_cap(first in 1u64..100_000, n in 1u32..20, d in 1u32..20, cap in 1u64..10_000_000, limit in 0u32..40) {
            prop_assume!(n >= d);
            let cap = Duration::from_millis(cap);
            let backoff = Backoff::new(Schedule::Exponential { first: Duration::from_millis(first), numerator: n, denominator: d, cap }, limit).unwrap();
            let mut last = Duration::ZERO;
            for sending in 0..=limit {
                let gap = backoff.gap(sending).unwrap();
                prop_assert!(gap >= last && gap <= cap);
                last = gap;
            }
            prop_assert_eq!(backoff.gap(limit + 1), None);
        }
    }
}
