use crate::crypto::DhGroup;
use crate::defaults;
use crate::error::{ConfigError, ConfigProblem};
use crate::negotiate::{Order, Rules};
use crate::plan::{Dynamic, PolicyPlan};
use crate::proposal::{Bundle, Lifetime, LifetimeRule, Mode};
use crate::selector::TrafficSelector;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use super::{LIFETIME, MAX_TRANSFORMS, check_name, setters, within, wrong};

/// One phase 2 policy: which traffic, and how it is protected.
#[derive(Clone, Debug)]
pub struct PolicyConfig {
    pub(super) name: String,
    local: Option<TrafficSelector>,
    remote: Option<TrafficSelector>,
    mode: Mode,
    suites: Vec<Bundle>,
    pfs: Option<DhGroup>,
    lifetime: Duration,
    kilobytes: Option<u64>,
    extended_sequence: bool,
    accept_narrower: bool,
    dynamic: Dynamic,
    always_send_ids: bool,
    commit_bit: bool,
    rules: Rules,
}

impl PolicyConfig {
    /// Returns a tunnel policy with safe settings and no traffic.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_string(),
            local: None,
            remote: None,
            mode: Mode::Tunnel,
            suites: defaults::phase2_offer().into_iter().map(Bundle::from).collect(),
            pfs: None,
            lifetime: defaults::CHILD_LIFETIME,
            kilobytes: None,
            extended_sequence: false,
            accept_narrower: false,
            dynamic: Dynamic::Neither,
            always_send_ids: false,
            commit_bit: false,
            rules: Rules::default(),
        }
    }

    setters! {
        /// Sets the traffic on this side; in transport mode it may be left out and is that of this end.
        local(local: TrafficSelector);
        /// Sets the traffic on the peer's side; in transport mode it may be left out and is that of the peer.
        remote(remote: TrafficSelector);
        /// Sets tunnel or transport.
        mode(mode: Mode);
        /// Sets the group of perfect forward secrecy.
        pfs(pfs: DhGroup);
        /// Sets the life of the IPsec SAs.
        lifetime(lifetime: Duration);
        /// Sets the life of the IPsec SAs in kilobytes.
        kilobytes(kilobytes: u64);
        /// Sets whether sequence numbers have 64 bits, RFC 4304; the peer must want the same.
        extended_sequence(extended_sequence: bool);
        /// Sets whether a responder takes selectors that are part of its own.
        accept_narrower(accept_narrower: bool);
        /// Sets which side is narrowed to the address that mode-config gives to the client: what is set
        /// for that side is what the address must be in.
        dynamic(dynamic: Dynamic);
        /// Sets whether an initiator names the traffic even if it is that between the two ends, which is meant
        /// when nothing is named.
        always_send_ids(always_send_ids: bool);
        /// Sets whether this end, in either role, has the peer wait until it confirms a pair of IPsec SAs, RFC 2408
        /// §3.1: the commit bit. Some peers do not know it.
        commit_bit(commit_bit: bool);
    }

    /// Sets what a responder does with an offered lifetime; without it the shorter of both counts.
    #[must_use]
    pub fn lifetime_rule(mut self, rule: LifetimeRule) -> Self {
        self.rules.lifetime = rule;
        self
    }

    /// Sets the shortest and the longest lifetime that is taken from a peer, in the units that are said.
    #[must_use]
    pub fn lifetime_window(mut self, shortest: Lifetime, longest: Lifetime) -> Self {
        (self.rules.shortest, self.rules.longest) = (shortest, longest);
        self
    }

    /// Sets whose order decides when several proposals are acceptable; without it the peer's.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.rules.order = order;
        self
    }

    /// Sets the protocols and algorithms, best first.
    ///
    /// Each is a [`Protection`](crate::proposal::Protection) alone or a [`Bundle`] of several;
    /// [`Bundle::parse_alternatives`] reads them from text.
    #[must_use]
    pub fn suites<S: Into<Bundle>>(mut self, suites: impl IntoIterator<Item = S>) -> Self {
        self.suites = suites.into_iter().map(Into::into).collect();
        self
    }

    /// Checks the policy; `ends` are the two ends of the connection, as far as they are known.
    pub(super) fn build(
        self,
        connection: &str,
        ends: (Option<IpAddr>, Option<IpAddr>),
        weak_allowed: bool,
    ) -> Result<PolicyPlan, ConfigError> {
        check_name(&self.name)?;
        let field = |field: &str| format!("{connection}.{}.{field}", self.name);
        let (local, remote) = match self.mode {
            Mode::Tunnel => (self.local, self.remote),
            // What the ends themselves send is all that transport mode can carry.
            Mode::Transport => {
                let family = ends.0.or(ends.1).or(self.local.or(self.remote).map(|selector| selector.first()));
                let end = |known: Option<IpAddr>| known.map(TrafficSelector::host).or(family.map(any_of));
                (self.local.or_else(|| end(ends.0)), self.remote.or_else(|| end(ends.1)))
            }
        };
        let Some(local) = local else { return Err(wrong(&field("local"), ConfigProblem::Missing)) };
        let Some(remote) = remote else { return Err(wrong(&field("remote"), ConfigProblem::Missing)) };
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
            extended_sequence: self.extended_sequence,
            accept_narrower: self.accept_narrower,
            dynamic: self.dynamic,
            always_send_ids: self.always_send_ids,
            commit_bit: self.commit_bit,
            rules: self.rules,
            name: self.name,
        })
    }
}

/// Returns the selector of every address of the same family.
fn any_of(address: IpAddr) -> TrafficSelector {
    TrafficSelector::subnet(address, 0).unwrap_or(TrafficSelector::host(address))
}
