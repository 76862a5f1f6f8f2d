//! What happens between a packet that needs an association and the association.
//!
//! Such a packet waits in a bounded queue while the negotiation that it started runs. It leaves the
//! queue under protection or not at all.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use drive::Instant;

/// How much may wait, and how long a refused negotiation is let rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Packets that may wait for one policy; then its oldest is dropped.
    pub per_policy: usize,
    /// Packets that may wait in all; then the oldest of all is dropped.
    pub total: usize,
    /// How long after a failed negotiation traffic starts no other of the same policy.
    pub rest: Duration,
}

/// Why a waiting packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// The policy's share of the queue was full and this was its oldest packet.
    #[error("oldest of a full policy queue")]
    PolicyQueueFull,
    /// The whole queue was full and this was the oldest packet.
    #[error("oldest of a full queue")]
    QueueFull,
    /// The negotiation failed.
    #[error("negotiation failed")]
    NegotiationFailed,
}

/// Packets that wait for associations, and negotiations that rest, by policy.
#[derive(Debug)]
pub(crate) struct Waiting<K> {
    limits: Limits,
    /// Oldest first; never longer than `limits.total`, so walking it is cheap enough.
    packets: VecDeque<(K, Bytes)>,
    resting: BTreeMap<K, Instant>,
    /// Negotiations that were started, and when.
    started: BTreeMap<K, Instant>,
}

/// After how long a negotiation of which nothing was heard is asked for again. The exchanges merge equal
/// requests, so this costs nothing while one is at work.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// What a packet that found no association should cause.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It waits for a negotiation.
    Waits {
        /// Another packet had to go for it.
        lost: Option<Lost>,
        /// The negotiation is to be started.
        start: bool,
    },
    /// It is dropped: a negotiation failed a moment ago.
    Resting,
}

impl<K: Copy + Ord> Waiting<K> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, packets: VecDeque::new(), resting: BTreeMap::new(), started: BTreeMap::new() }
    }

    /// Takes in a packet that found no association.
    pub(crate) fn admit(&mut self, now: Instant, policy: K, packet: &[u8]) -> Admission {
        if self.resting.get(&policy).is_some_and(|until| *until > now) {
            return Admission::Resting;
        }
        self.resting.remove(&policy);
        let mut lost = None;
        if self.count(policy) >= self.limits.per_policy {
            if let Some(oldest) = self.packets.iter().position(|(of, _)| *of == policy) {
                self.packets.remove(oldest);
            }
            lost = Some(Lost::PolicyQueueFull);
        } else if self.packets.len() >= self.limits.total {
            self.packets.pop_front();
            lost = Some(Lost::QueueFull);
        }
        self.packets.push_back((policy, Bytes::copy_from_slice(packet)));
        let start = self.started.get(&policy).is_none_or(|at| now - *at >= ASK_AGAIN);
        if start {
            self.started.insert(policy, now);
        }
        Admission::Waits { lost, start }
    }

    /// Removes and returns the packets of a policy, oldest first: its association is there.
    pub(crate) fn release(&mut self, policy: K) -> Vec<Bytes> {
        self.resting.remove(&policy);
        self.started.remove(&policy);
        let mut released = Vec::new();
        self.packets.retain(|(of, packet)| {
            let waits = *of != policy;
            if !waits {
                released.push(packet.clone());
            }
            waits
        });
        released
    }

    /// Drops the packets of a policy and lets its negotiation rest; returns how many were dropped.
    ///
    /// Does nothing if no packet started that negotiation.
    pub(crate) fn fail(&mut self, now: Instant, policy: K) -> u64 {
        if self.started.remove(&policy).is_none() {
            return 0;
        }
        let before = self.packets.len();
        self.packets.retain(|(of, _)| *of != policy);
        self.resting.insert(policy, now + self.limits.rest);
        before.saturating_sub(self.packets.len()) as u64
    }

    /// Returns how many packets wait for a policy.
    pub(crate) fn count(&self, policy: K) -> usize {
        self.packets.iter().filter(|(of, _)| *of == policy).count()
    }

    /// Returns how many packets wait in all.
    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn first() -> Admission {
        Admission::Waits { lost: None, start: true }
    }

    const LIMITS: Limits = Limits { per_policy: 3, total: 5, rest: Duration::from_secs(10) };

    fn waits(lost: Option<Lost>) -> Admission {
        Admission::Waits { lost, start: false }
    }

    #[test]
    fn the_oldest_packet_of_a_policy_goes_first() {
        let mut waiting = Waiting::new(LIMITS);
        assert_eq!(waiting.admit(Instant::ZERO, 'a', &[0]), first());
        for octet in 1..3 {
            assert_eq!(waiting.admit(Instant::ZERO, 'a', &[octet]), waits(None));
        }
        assert_eq!(waiting.admit(Instant::ZERO, 'a', &[3]), waits(Some(Lost::PolicyQueueFull)));
        let left: Vec<_> = waiting.release('a').iter().map(|packet| packet[0]).collect();
        assert_eq!(left, [1, 2, 3]);
    }

    #[test]
    fn a_full_queue_drops_the_oldest_of_all() {
        let mut waiting = Waiting::new(LIMITS);
        for policy in ['a', 'a', 'b', 'b', 'c'] {
            let _ = waiting.admit(Instant::ZERO, policy, &[0]);
        }
        assert_eq!(waiting.admit(Instant::ZERO, 'c', &[0]), waits(Some(Lost::QueueFull)));
        assert_eq!((waiting.count('a'), waiting.count('b'), waiting.count('c')), (1, 2, 2));
    }

    #[test]
    fn a_failed_negotiation_rests_and_then_traffic_may_start_it_again() {
        let mut waiting = Waiting::new(LIMITS);
        assert_eq!(waiting.admit(Instant::ZERO, 'a', &[0]), first());
        assert_eq!(waiting.admit(Instant::ZERO, 'b', &[0]), first());
        assert_eq!(waiting.fail(Instant::from_secs(1), 'a'), 1);
        assert_eq!(waiting.admit(Instant::from_secs(10), 'a', &[0]), Admission::Resting);
        assert_eq!(waiting.admit(Instant::from_secs(11), 'a', &[0]), first());
        assert_eq!(waiting.count('b'), 1);
    }

    #[test]
    fn a_negotiation_that_went_silent_is_asked_for_again() {
        let mut waiting = Waiting::new(LIMITS);
        assert_eq!(waiting.admit(Instant::ZERO, 'a', &[0]), first());
        assert_eq!(waiting.admit(Instant::from_secs(29), 'a', &[0]), waits(None));
        assert_eq!(waiting.admit(Instant::from_secs(30), 'a', &[0]), first());
    }

    #[test]
    fn a_failure_that_no_packet_started_changes_nothing() {
        let mut waiting = Waiting::new(LIMITS);
        assert_eq!(waiting.fail(Instant::ZERO, 'a'), 0);
        assert_eq!(waiting.admit(Instant::ZERO, 'a', &[0]), first());
    }

    proptest! {
        #[test]
        fn the_queue_never_passes_its_limits(packets in proptest::collection::vec(0u8..6, 0..100)) {
            let mut waiting = Waiting::new(LIMITS);
            for policy in packets {
                let _ = waiting.admit(Instant::ZERO, policy, &[policy]);
                prop_assert!(waiting.len() <= LIMITS.total);
                prop_assert!(waiting.count(policy) <= LIMITS.per_policy);
            }
        }
    }
}
