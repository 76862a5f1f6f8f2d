//! Trying again after an exchange that this end started has failed, as routers do when told so.

use crate::counters::count;
use crate::defaults;
use crate::error::Failure;
use crate::event::Event;
use crate::ids::{ConnectionId, PolicyId};
use crate::machine::Endpoint;
use crate::machine::timers::TimerKey;
use crate::plan::RetryAttempts;
use alloc::vec::Vec;
use drive::Instant;

/// What a connection tries again, and how often it did.
#[derive(Debug)]
pub(crate) struct Retrying {
    since: Instant,
    attempts: u32,
    policies: Vec<PolicyId>,
}

impl Endpoint {
    /// Remembers policies whose negotiation failed, to try them again after a while.
    pub(super) fn try_later(&mut self, id: ConnectionId, policies: impl Iterator<Item = PolicyId>, failure: &Failure) {
        let now = self.clock.latest();
        let Some(connection) = self.plan.shared(id).filter(|_| can_pass(failure) && !self.closed) else { return };
        if connection.retry_attempts == RetryAttempts::Times(0) {
            return;
        }
        let retrying = self.retries.entry(id).or_insert(Retrying { since: now, attempts: 0, policies: Vec::new() });
        for policy in policies {
            if !retrying.policies.contains(&policy) {
                retrying.policies.push(policy);
            }
        }
        let goes_on = match connection.retry_attempts {
            RetryAttempts::Times(times) => retrying.attempts < times.into(),
            RetryAttempts::Continuous => now.saturating_duration_since(retrying.since) < defaults::RETRY_END,
        };
        if !goes_on {
            self.retries.remove(&id);
        } else if !retrying.policies.is_empty() {
            let gap = connection.backoff.gap(0).unwrap_or(defaults::MESSAGE_TIMEOUT);
            self.timers.set(TimerKey::Retry(id), now + gap);
        }
    }

    /// Forgets what was to be tried again: a pair came up, or nobody wants it any more.
    pub(super) fn stop_retrying(&mut self, id: ConnectionId) {
        if self.retries.remove(&id).is_some() {
            self.timers.cancel(&TimerKey::Retry(id));
        }
    }

    pub(super) fn retry_due(&mut self, now: Instant, id: ConnectionId) {
        let Some(retrying) = self.retries.get_mut(&id) else { return };
        retrying.attempts = retrying.attempts.saturating_add(1);
        let (attempt, policies) = (retrying.attempts, core::mem::take(&mut retrying.policies));
        match self.table.of_connection(id).any(|sa| sa.is_current()) {
            true => count(&mut self.counters.retry_phase2),
            false => count(&mut self.counters.retry_phase1),
        }
        self.event(Event::Retrying { connection: id, attempt });
        for policy in policies {
            // What cannot even begin fails like what has begun: with its own event, or not at all.
            let _ = self.acquire(now, id, policy);
        }
    }
}

/// Returns whether a failure may pass if one only tries again.
const fn can_pass(failure: &Failure) -> bool {
    !matches!(
        failure,
        Failure::Closed
            | Failure::IkeSaGone
            | Failure::PeerDead
            | Failure::Limit
            | Failure::NoSpi
            | Failure::NotTheEnds
            | Failure::AhBehindNat
    )
}
