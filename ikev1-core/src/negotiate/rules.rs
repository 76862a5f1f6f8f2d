use crate::proposal::{Lifetime, LifetimeRule, Mismatch, Term};

/// Whose order decides when several offers are acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// The first acceptable transform of the offer.
    #[default]
    Offer,
    /// The first policy of the plan that any transform fits.
    Plan,
}

/// How a responder judges, besides the policies themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rules {
    /// Whose order decides.
    pub order: Order,
    /// What to do with an offered lifetime.
    pub lifetime: LifetimeRule,
    /// The shortest lifetime that is taken, in the units that are said.
    pub shortest: Lifetime,
    /// The longest lifetime that is taken, in the units that are said.
    pub longest: Lifetime,
}

impl Rules {
    /// Checks that a lifetime is neither shorter nor longer than what is taken.
    pub(crate) fn takes(&self, offered: Lifetime) -> Result<(), Mismatch> {
        let refused = |wanted| Mismatch { offered: Term::Lifetime(offered), wanted: Term::Lifetime(wanted) };
        if below(offered.seconds, self.shortest.seconds) || below(offered.kilobytes, self.shortest.kilobytes) {
            return Err(refused(self.shortest));
        }
        if below(self.longest.seconds, offered.seconds) || below(self.longest.kilobytes, offered.kilobytes) {
            return Err(refused(self.longest));
        }
        Ok(())
    }

    /// Settles on a lifetime, or refuses the one that is offered.
    pub(super) fn settle(&self, offered: Lifetime, ours: Lifetime) -> Result<Lifetime, Mismatch> {
        self.takes(offered)?;
        let refused = |wanted| Mismatch { offered: Term::Lifetime(offered), wanted: Term::Lifetime(wanted) };
        let longer = below(ours.seconds, offered.seconds) || below(ours.kilobytes, offered.kilobytes);
        match self.lifetime {
            LifetimeRule::Strict if longer => Err(refused(ours)),
            LifetimeRule::Exact if offered != ours => Err(refused(ours)),
            LifetimeRule::Shorter | LifetimeRule::Strict | LifetimeRule::Exact => Ok(offered.shorter(ours)),
            LifetimeRule::Obey => Ok(Lifetime {
                seconds: offered.seconds.or(ours.seconds),
                kilobytes: offered.kilobytes.or(ours.kilobytes),
            }),
        }
    }
}

/// Returns whether one is less than the other, where both are said.
fn below(one: Option<u64>, other: Option<u64>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one < other)
}
