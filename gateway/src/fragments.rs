//! Fragments that are dropped because nobody can tell what they are part of, RFC 4301 §7.

use crate::action::Event;
use crate::defaults;
use crate::pump::Gateway;
use drive::Instant;
use spd::{Fragment, FragmentRefusal, PacketKey, Policy, PolicyId, PortSet, Upper};

/// When news of refused fragments was last given, and how many were refused since.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RefusedFragments {
    told: Option<Instant>,
    since: u64,
}

impl Gateway {
    /// Returns what pairs are chosen and checked by: for a later fragment, which shows no ports, those that its policy
    /// asks for, if that carries such fragments. Which policy it is, the first fragment told.
    pub(crate) fn as_whole(&self, policy: PolicyId, key: PacketKey, fragment: Option<&Fragment>) -> PacketKey {
        if fragment.is_none_or(Fragment::is_first) {
            return key;
        }
        let carries = self.policies.policy(policy).filter(|policy| policy.carries_fragments());
        let Some(selector) = carries.map(Policy::selector) else { return key };
        let first = |ports: &PortSet| ports.as_ranges().first().map_or(0, |(first, _)| *first);
        let upper = Upper::Ports { local: first(&selector.local_port), remote: first(&selector.remote_port) };
        PacketKey { upper, ..key }
    }

    /// Gives news of a refused fragment: of the first at once, then seldom, since anyone can send such.
    pub(crate) fn fragment_refused(&mut self, now: Instant, outbound: bool, reason: FragmentRefusal, key: &PacketKey) {
        let refused = &mut self.refused_fragments;
        refused.since = refused.since.saturating_add(1);
        if refused.told.is_some_and(|told| now - told < defaults::FRAGMENT_NEWS) {
            return;
        }
        let count = refused.since;
        *refused = RefusedFragments { told: Some(now), since: 0 };
        let (local, remote) = (key.local, key.remote);
        self.news(Event::FragmentsRefused { outbound, reason, local, remote, count });
    }
}
