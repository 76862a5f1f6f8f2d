use crate::crypto::DhGroup;
use crate::defaults;
use crate::error::{ConfigError, ConfigProblem};
use crate::plan::{Dynamic, PolicyPlan};
use crate::proposal::{Mode, Protection};
use crate::selector::TrafficSelector;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use super::{LIFETIME, MAX_TRANSFORMS, check_name, setters, within, wrong};

/// One phase 2 policy: which traffic, and how it is protected.
#[derive(Clone, Debug)]
pub struct PolicyConfig {
    pub(super) name: String,
    local: Option<TrafficSelector>,
    remote: Option<TrafficSelector>,
    mode: Mode,
    suites: Vec<Protection>,
    pfs: Option<DhGroup>,
    lifetime: Duration,
    kilobytes: Option<u64>,
    accept_narrower: bool,
    dynamic: Dynamic,
}

impl PolicyConfig {
    /// Returns a tunnel policy with safe settings and no traffic.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_string(),
            local: None,
            remote: None,
            mode: Mode::Tunnel,
            suites: defaults::phase2_offer(),
            pfs: None,
            lifetime: defaults::CHILD_LIFETIME,
            kilobytes: None,
            accept_narrower: false,
            dynamic: Dynamic::Neither,
        }
    }

    setters! {
        /// Sets the traffic on this side.
        local(local: TrafficSelector);
        /// Sets the traffic on the peer's side.
        remote(remote: TrafficSelector);
        /// Sets tunnel or transport.
        mode(mode: Mode);
        /// Sets the protocols and algorithms, best first.
        suites(suites: Vec<Protection>);
        /// Sets the group of perfect forward secrecy.
        pfs(pfs: DhGroup);
        /// Sets the life of the IPsec SAs.
        lifetime(lifetime: Duration);
        /// Sets the life of the IPsec SAs in kilobytes.
        kilobytes(kilobytes: u64);
        /// Sets whether a responder takes selectors that are part of its own.
        accept_narrower(accept_narrower: bool);
        /// Sets which side is narrowed to the address that mode-config gives to the client: what is set
        /// for that side is what the address must be in.
        dynamic(dynamic: Dynamic);
    }

    pub(super) fn build(self, connection: &str, weak_allowed: bool) -> Result<PolicyPlan, ConfigError> {
        check_name(&self.name)?;
        let field = |field: &str| format!("{connection}.{}.{field}", self.name);
        let Some(local) = self.local else { return Err(wrong(&field("local"), ConfigProblem::Missing)) };
        let Some(remote) = self.remote else { return Err(wrong(&field("remote"), ConfigProblem::Missing)) };
        if local.first().is_ipv4() != remote.first().is_ipv4() {
            return Err(wrong(&field("remote"), ConfigProblem::Family));
        }
        within(&field("suites"), self.suites.len() as u64, 1..=MAX_TRANSFORMS)?;
        for suite in &self.suites {
            if suite.is_weak() && !weak_allowed {
                return Err(wrong(&field("suites"), ConfigProblem::Weak(suite.to_string())));
            }
            if !suite.is_lawful() {
                return Err(wrong(&field("suites"), ConfigProblem::Conflict("its parts cannot stand together")));
            }
        }
        if let Some(group) = self.pfs
            && group.is_weak()
            && !weak_allowed
        {
            return Err(wrong(&field("pfs"), ConfigProblem::Weak(group.name().to_string())));
        }
        within(&field("lifetime"), self.lifetime.as_secs(), LIFETIME)?;
        if let Some(kilobytes) = self.kilobytes {
            within(&field("kilobytes"), kilobytes, 1..=u32::MAX.into())?;
        }
        Ok(PolicyPlan {
            local,
            remote,
            mode: self.mode,
            suites: self.suites,
            pfs: self.pfs,
            lifetime: self.lifetime,
            kilobytes: self.kilobytes,
            accept_narrower: self.accept_narrower,
            dynamic: self.dynamic,
            name: self.name,
        })
    }
}
