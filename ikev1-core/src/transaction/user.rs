use alloc::vec::Vec;
use core::fmt;

/// The name of a user, as the octets that XAUTH carried.
///
/// Names are compared octet by octet: no case is folded and nothing is trimmed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Vec<u8>);

impl UserName {
    /// Takes a name over.
    pub fn new(octets: impl Into<Vec<u8>>) -> Self {
        Self(octets.into())
    }

    /// Returns the octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for UserName {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// The name as text; what is not printable ASCII is escaped, so that a name cannot forge a log line.
impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserName(\"{self}\")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_name_with_control_octets_shows_escaped_and_on_one_line() {
        let name = UserName::new(b"alice\nroot logged in\xff".to_vec());
        assert_eq!(name.to_string(), "alice\\nroot logged in\\xff");
        assert_ne!(UserName::from("Alice"), UserName::from("alice"));
    }
}
