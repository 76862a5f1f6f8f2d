//! Who does the cryptography of an association.

use core::fmt;

/// The number of who does an association's cryptography, for people and logs to tell one from another.
///
/// Routers show it as the channel of their encryption engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderId(u32);

impl ProviderId {
    /// This crate itself.
    pub const BUILT_IN: Self = Self(0);

    /// Returns the id of this number; 0 is this crate itself.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
