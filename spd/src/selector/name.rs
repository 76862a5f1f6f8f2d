use alloc::boxed::Box;
use core::fmt;

/// A symbolic identity, shown in quick mode and not in packets, RFC 4301 §4.4.1.1.
///
/// Two names are the same if their octets are, letter case aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NameSelector {
    /// Every identity, and none.
    #[default]
    Any,
    /// This identity.
    Name(Box<str>),
}

impl NameSelector {
    /// Returns whether a peer that showed `name` satisfies this.
    pub fn matches(&self, name: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Name(wanted) => name.is_some_and(|name| name.eq_ignore_ascii_case(wanted)),
        }
    }
}

impl From<&str> for NameSelector {
    fn from(name: &str) -> Self {
        Self::Name(name.into())
    }
}

impl fmt::Display for NameSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Name(name) => write!(f, "{}", name.escape_debug()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_matches_without_regard_to_case_and_never_an_absent_one() {
        let name = NameSelector::from("Client1");
        assert!(name.matches(Some("client1")));
        assert!(!name.matches(Some("client2")));
        assert!(!name.matches(None));
        assert!(NameSelector::Any.matches(None));
    }
}
