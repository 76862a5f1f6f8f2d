//! Routes to what tunnels reach, for policies whose peers nobody knows beforehand: `IPROUTETEMPLATE`. The routes are the
//! caller's; the gateway says when one is wanted, and when no longer.

use crate::config::ConfigError;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt;
use ikev1_core::{ConnectionPlan, Peer};

/// The name of a template that the caller makes routes by: 1 to 31 characters, upper and lower case alike.
#[derive(Clone, Debug)]
pub struct RouteTemplate(String);

/// Why a text is no name of a route template: it has not 1 to 31 characters, or others than those that print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a route template has 1 to {} printing characters", RouteTemplate::MAX)]
pub struct NotRouteTemplate;

impl RouteTemplate {
    /// The most characters of a name.
    pub const MAX: usize = 31;

    /// Returns the template of this name.
    ///
    /// # Errors
    /// [`NotRouteTemplate`]: it is no name.
    pub fn new(name: &str) -> Result<Self, NotRouteTemplate> {
        let prints = name.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' ');
        if name.is_empty() || name.len() > Self::MAX || !prints {
            return Err(NotRouteTemplate);
        }
        Ok(Self(name.into()))
    }

    /// Returns the name as it was given.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl PartialEq for RouteTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for RouteTemplate {}

impl fmt::Display for RouteTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with the route template of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteTemplateProblem {
    /// There is no such policy.
    #[error("route_template: there is no such policy")]
    UnknownPolicy,
    /// The peer is at one address, to which the caller has a route before there is a tunnel.
    #[error("route_template: the peer is at an address that is known")]
    KnownPeer,
}

/// Takes the template of a policy of this connection from all of them.
pub(crate) fn take(
    templates: &mut BTreeMap<String, RouteTemplate>,
    connection: &ConnectionPlan,
    policy: &str,
) -> Result<Option<RouteTemplate>, ConfigError> {
    let Some(template) = templates.remove(policy) else { return Ok(None) };
    match connection.peer() {
        Peer::Subnet { .. } | Peer::Any => Ok(Some(template)),
        Peer::Address(_) => Err(wrong(policy, RouteTemplateProblem::KnownPeer)),
    }
}

/// Says that templates are left over whose policies there are not.
pub(crate) fn finish(templates: BTreeMap<String, RouteTemplate>) -> Result<(), ConfigError> {
    let Some((policy, _)) = templates.into_iter().next() else { return Ok(()) };
    Err(wrong(&policy, RouteTemplateProblem::UnknownPolicy))
}

fn wrong(policy: &str, problem: RouteTemplateProblem) -> ConfigError {
    ConfigError::RouteTemplate { policy: policy.into(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_31_characters_and_case_does_not_matter() {
        let longest = "x".repeat(31);
        for name in ["a", "Branch Office", &longest] {
            assert_eq!(RouteTemplate::new(name).unwrap().name(), name);
        }
        for name in ["", &"x".repeat(32), "a\nb", "\u{e4}"] {
            assert_eq!(RouteTemplate::new(name), Err(NotRouteTemplate), "{name:?}");
        }
        assert_eq!(RouteTemplate::new("Branch"), RouteTemplate::new("bRANCH"));
        assert_ne!(RouteTemplate::new("Branch"), RouteTemplate::new("Branches"));
    }
}
