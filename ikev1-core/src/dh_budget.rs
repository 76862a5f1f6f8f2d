use drive::Instant;

/// How many Diffie-Hellman exchanges peers that have proven nothing may still cause.
///
/// It fills up with time. The last half is for peers that the plan names by their address: a flood from
/// anywhere leaves them a way in.
#[derive(Debug)]
pub(crate) struct DhBudget {
    at: Instant,
    /// In millionths of an exchange.
    spare: u64,
}

/// One exchange.
const ONE: u64 = 1_000_000;
/// How many seconds' worth is kept.
const SECONDS: u64 = 2;

impl DhBudget {
    /// Returns a full budget.
    pub(crate) const fn new() -> Self {
        Self { at: Instant::ZERO, spare: u64::MAX }
    }

    /// Takes one exchange out, if there is one for such a peer.
    #[must_use]
    pub(crate) fn take(&mut self, now: Instant, per_second: u32, is_named: bool) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_micros().min(u128::from(u32::MAX)) as u64;
        self.at = self.at.max(now);
        let full = u64::from(per_second) * SECONDS * ONE;
        self.spare = self.spare.saturating_add(elapsed.saturating_mul(per_second.into())).min(full);
        let reserved = if is_named { 0 } else { full / 2 };
        if self.spare < reserved.saturating_add(ONE) {
            return false;
        }
        self.spare = self.spare.saturating_sub(ONE);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &mut DhBudget, now: Instant, is_named: bool) -> usize {
        (0..1_000).take_while(|_| budget.take(now, 10, is_named)).count()
    }

    #[test]
    fn half_is_for_anyone_all_for_named_peers_and_time_fills_it_up_to_two_seconds_worth() {
        let mut budget = DhBudget::new();
        let second = Instant::from_secs;
        assert_eq!(taken(&mut budget, second(1), false), 10);
        assert_eq!(taken(&mut budget, second(1), true), 10);
        assert_eq!(taken(&mut budget, second(2), false), 0);
        assert_eq!(taken(&mut budget, second(2), true), 10);
        assert_eq!(taken(&mut budget, second(1_000), true), 20);
        // Time that goes back gives nothing.
        assert_eq!(taken(&mut budget, second(500), true), 0);
        assert_eq!(taken(&mut budget, Instant::from_millis(1_000_100), true), 1);
    }
}
