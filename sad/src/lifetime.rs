use core::num::NonZeroU64;
use core::time::Duration;
use rand_core::Rng;

/// How long an association may be used; `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Time since the association was made.
    pub time: Option<Duration>,
    /// Octets it carried, counted as RFC 2407 §4.5 has it: those of the packets inside.
    pub octets: Option<u64>,
    /// Packets it carried.
    pub packets: Option<u64>,
}

impl Limits {
    /// No limit at all.
    pub const NONE: Self = Self { time: None, octets: None, packets: None };
}

/// The limits of use of one association, as it keeps them: half the size. A limit of 0 is kept as 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UseLimits {
    octets: Option<NonZeroU64>,
    packets: Option<NonZeroU64>,
}

impl UseLimits {
    pub fn new(limits: &Limits) -> Self {
        let keep = |limit: Option<u64>| limit.and_then(|limit| NonZeroU64::new(limit.max(1)));
        Self { octets: keep(limits.octets), packets: keep(limits.packets) }
    }

    /// Returns the limits again, with that of time as it is given.
    pub fn with_time(self, time: Option<Duration>) -> Limits {
        Limits { time, octets: self.octets.map(NonZeroU64::get), packets: self.packets.map(NonZeroU64::get) }
    }

    /// Returns which limit `packets` and `octets` reach.
    #[inline]
    pub fn reached(&self, packets: u64, octets: u64) -> Option<LimitKind> {
        if self.octets.is_some_and(|limit| octets >= limit.get()) {
            return Some(LimitKind::Octets);
        }
        if self.packets.is_some_and(|limit| packets >= limit.get()) {
            return Some(LimitKind::Packets);
        }
        None
    }
}

/// Which limit of an association was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitKind {
    /// Time since it was made.
    Time,
    /// Octets carried.
    Octets,
    /// Packets carried.
    Packets,
    /// Its sequence numbers are used up, or nearly so.
    Sequence,
}

/// Where the soft limit stands below the hard one.
///
/// Two ends that made an association together reach its soft limit together; ratio by role and
/// jitter let one of them be first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftRule {
    /// The part of the hard limit, in thousandths.
    pub per_mille: u16,
    /// The most that is taken off the soft time at random.
    pub jitter: Duration,
}

impl SoftRule {
    /// 87.5 % less up to 15 seconds, as seen at the initiator's end on routers.
    pub const INITIATOR: Self = Self { per_mille: 875, jitter: Duration::from_secs(15) };
    /// 95 % less up to 15 seconds, as seen at the responder's end on routers.
    pub const RESPONDER: Self = Self { per_mille: 950, jitter: Duration::from_secs(15) };
    /// 80 % without jitter.
    pub const FOUR_FIFTHS: Self = Self { per_mille: 800, jitter: Duration::ZERO };
}

/// The limits of one association: at the soft ones a successor is made, at the hard ones it ends,
/// RFC 4301 §4.4.2.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// Where a successor is asked for.
    pub soft: Limits,
    /// Where it ends.
    pub hard: Limits,
}

impl Lifetime {
    /// Returns the lifetime that ends at `hard` and asks for a successor where `rule` says. Draws one number.
    ///
    /// Jitter takes off at most half of the soft time, so that short lifetimes stay useful.
    pub fn new<R: Rng + ?Sized>(hard: Limits, rule: SoftRule, rng: &mut R) -> Self {
        let part = |whole: u64| (u128::from(whole) * u128::from(rule.per_mille.min(1000)) / 1000) as u64;
        let draw = rng.next_u64();
        let time = hard.time.map(|time| {
            let micros = part(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
            let jitter = u64::try_from(rule.jitter.as_micros()).unwrap_or(u64::MAX).min(micros / 2);
            let off = ((u128::from(draw) * (u128::from(jitter) + 1)) >> 64) as u64;
            Duration::from_micros(micros - off)
        });
        let soft = Limits { time, octets: hard.octets.map(part), packets: hard.packets.map(part) };
        Self { soft, hard }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn soft_limits_are_the_ratio_of_the_hard_ones_less_jitter() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let hard =
            Limits { time: Some(Duration::from_secs(3600)), octets: Some(4_608_000 * 1024), packets: Some(1000) };
        let mut times = alloc::collections::BTreeSet::new();
        for _ in 0..100 {
            let lifetime = Lifetime::new(hard, SoftRule::INITIATOR, &mut rng);
            let time = lifetime.soft.time.unwrap();
            assert!(time <= Duration::from_secs(3150) && time >= Duration::from_secs(3135), "{time:?}");
            assert_eq!(lifetime.soft.packets, Some(875));
            assert_eq!(lifetime.soft.octets, Some(4_608_000 * 896));
            times.insert(time);
        }
        assert!(times.len() > 90);
    }

    #[test]
    fn limits_at_the_edge_of_their_type_neither_overflow_nor_wrap() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let hard = Limits { time: Some(Duration::MAX), octets: Some(u64::MAX), packets: Some(0) };
        let rule = SoftRule { per_mille: u16::MAX, jitter: Duration::MAX };
        let lifetime = Lifetime::new(hard, rule, &mut rng);
        assert_eq!((lifetime.soft.octets, lifetime.soft.packets), (Some(u64::MAX), Some(0)));
        let kept = UseLimits::new(&lifetime.hard);
        assert_eq!((kept.reached(0, 0), kept.reached(1, 0)), (None, Some(LimitKind::Packets)));
        assert_eq!(UseLimits::new(&Limits::NONE).reached(u64::MAX, u64::MAX), None);
        assert_eq!(kept.with_time(None).octets, Some(u64::MAX));
    }
}
