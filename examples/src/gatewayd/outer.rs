//! How the header around a tunnel is made: `outer` in the file.

use super::file::FileError;
use esp_ah::mode::{DontFragment, Dscp, EcnOutward, Ttl};
use gateway::{Fragmenting, OuterRules};
use serde::Deserialize;

/// How the header around a tunnel is made from the header inside.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outer {
    /// Don't Fragment; cleared if absent.
    pub df: Option<Fragment>,
    /// Time to live: copied, or a number from 1 to 255; 64 if absent.
    pub ttl: Option<CopyOr>,
    /// DSCP: copied, or a number from 0 to 63; copied if absent.
    pub dscp: Option<CopyOr>,
    /// ECN; copied if absent.
    pub ecn: Option<Ecn>,
    /// When a packet that is too long for its path is fragmented; after it was sealed if absent.
    pub fragment: Option<When>,
}

/// Don't Fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fragment {
    /// As the header inside says.
    Copy,
    /// Set.
    Set,
    /// Clear: routers on the way may fragment.
    Clear,
}

/// ECN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ecn {
    /// As the header inside says.
    Copy,
    /// Clear: for peers that would lose a congestion mark.
    Clear,
}

/// When a packet that is too long for its path, and may be fragmented, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Before it is sealed.
    Before,
    /// After it was sealed.
    After,
}

/// A field that is copied, or has a value of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "\"copy\" or a number")]
pub enum CopyOr {
    /// Its own value.
    Value(u8),
    /// As the header inside says.
    Copied(Copied),
}

/// The word for a field that is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Copied {
    /// As the header inside says.
    Copy,
}

impl Outer {
    /// Returns the rules for the engine.
    ///
    /// # Errors
    /// A value is out of its range.
    pub fn plan(&self, field: &str) -> Result<OuterRules, FileError> {
        let mut rules = OuterRules::default();
        if let Some(df) = self.df {
            rules.dont_fragment = match df {
                Fragment::Copy => DontFragment::Copy,
                Fragment::Set => DontFragment::Set,
                Fragment::Clear => DontFragment::Clear,
            };
        }
        match self.ttl {
            None => {}
            Some(CopyOr::Copied(Copied::Copy)) => rules.ttl = Ttl::Copy,
            Some(CopyOr::Value(0)) => return Err(FileError::refused(format!("{field}.ttl"), "must be 1 to 255")),
            Some(CopyOr::Value(ttl)) => rules.ttl = Ttl::Fixed(ttl),
        }
        match self.dscp {
            None | Some(CopyOr::Copied(Copied::Copy)) => {}
            Some(CopyOr::Value(dscp @ ..=63)) => rules.dscp = Dscp::Fixed(dscp),
            Some(CopyOr::Value(_)) => return Err(FileError::refused(format!("{field}.dscp"), "must be 0 to 63")),
        }
        if self.ecn == Some(Ecn::Clear) {
            rules.ecn = EcnOutward::Clear;
        }
        if self.fragment == Some(When::Before) {
            rules.fragmenting = Fragmenting::Before;
        }
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<OuterRules, String> {
        let outer: Outer = toml::from_str(text).map_err(|error| error.to_string())?;
        outer.plan("outer").map_err(|error| error.to_string())
    }

    #[test]
    fn every_field_is_copied_or_has_a_value_of_its_own() {
        assert_eq!(rules(""), Ok(OuterRules::default()));
        let copied = OuterRules { dont_fragment: DontFragment::Copy, ttl: Ttl::Copy, ..OuterRules::default() };
        assert_eq!(rules("df = \"copy\"\nttl = \"copy\"\ndscp = \"copy\"\necn = \"copy\""), Ok(copied));
        let own = OuterRules {
            dont_fragment: DontFragment::Set,
            ttl: Ttl::Fixed(9),
            dscp: Dscp::Fixed(46),
            ecn: EcnOutward::Clear,
            fragmenting: Fragmenting::Before,
        };
        let text = "df = \"set\"\nttl = 9\ndscp = 46\necn = \"clear\"\nfragment = \"before\"";
        assert_eq!(rules(text), Ok(own));
    }

    #[test]
    fn values_out_of_range_name_their_field() {
        for (text, field) in [("ttl = 0", "outer.ttl"), ("dscp = 64", "outer.dscp")] {
            assert!(rules(text).unwrap_err().starts_with(field), "{text}");
        }
        assert!(rules("ttl = \"keep\"").unwrap_err().contains("\"copy\" or a number"));
        assert!(rules("df = 1").is_err());
    }
}
