use core::fmt;

/// The life of an association, by the names of RFC 2367 §2.4 (PF_KEY).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SaState {
    /// Its SPI is given out and its keys are still being agreed; it carries nothing.
    Larval,
    /// It is inside its lifetime and carries traffic.
    Mature,
    /// It is past a soft limit: it carries traffic while its successor is made.
    Dying,
    /// It is past a hard limit or deleted: it carries nothing, its keys are gone, and it is shown until cleaned up.
    Dead,
}

impl SaState {
    /// Returns whether an association in this state carries traffic.
    pub const fn carries_traffic(self) -> bool {
        matches!(self, Self::Mature | Self::Dying)
    }

    /// Returns the name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Larval => "larval",
            Self::Mature => "mature",
            Self::Dying => "dying",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for SaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
