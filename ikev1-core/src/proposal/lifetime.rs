use alloc::vec::Vec;
use core::fmt;
use ipsec_wire::isakmp::payload::Attribute;
use ipsec_wire::registry::LifeType;

/// How long an SA may live: seconds, kilobytes, either, both, or not said.
///
/// Values are at least 1; what is larger than 64 bits on the wire is the largest there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Lifetime {
    /// Seconds after which the SA expires.
    pub seconds: Option<u64>,
    /// Kilobytes of 1024 octets after which the SA expires.
    pub kilobytes: Option<u64>,
}

impl Lifetime {
    /// The lifetime of a phase 2 SA when none is said, in seconds (RFC 2407 §4.5).
    pub const DEFAULT_SECONDS: u64 = 28_800;

    /// Returns a lifetime in seconds alone.
    pub const fn seconds(seconds: u64) -> Self {
        Self { seconds: Some(seconds), kilobytes: None }
    }

    /// Returns the shorter of both in each unit; a unit that only one of them says is taken from that one.
    #[must_use]
    pub fn shorter(self, other: Self) -> Self {
        let shorter = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { seconds: shorter(self.seconds, other.seconds), kilobytes: shorter(self.kilobytes, other.kilobytes) }
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.seconds, self.kilobytes) {
            (None, None) => f.write_str("none"),
            (Some(seconds), None) => write!(f, "{seconds} s"),
            (None, Some(kilobytes)) => write!(f, "{kilobytes} kB"),
            (Some(seconds), Some(kilobytes)) => write!(f, "{seconds} s, {kilobytes} kB"),
        }
    }
}

/// Writes the attributes of a lifetime: a type and a duration for each unit that is said.
pub(super) fn attributes(
    class_type: u16,
    class_duration: u16,
    lifetime: Lifetime,
) -> impl Iterator<Item = Attribute<Vec<u8>>> {
    [(LifeType::SECONDS, lifetime.seconds), (LifeType::KILOBYTES, lifetime.kilobytes)]
        .into_iter()
        .filter_map(|(unit, duration)| Some((unit, duration?)))
        .flat_map(move |(unit, duration)| {
            [Attribute::basic(class_type, unit), Attribute::number(class_duration, duration)]
        })
}

/// What to do with a lifetime that the peer offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LifetimeRule {
    /// Take any, and live by the shorter of both.
    #[default]
    Shorter,
    /// Take any, and live by it.
    Obey,
    /// Refuse one that is longer than ours, live by it otherwise.
    Strict,
    /// Refuse every other than ours.
    Exact,
}
