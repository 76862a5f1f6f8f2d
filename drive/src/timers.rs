use crate::Instant;
use alloc::collections::{BTreeMap, BTreeSet};

/// A queue of deadlines, each known by a key: set, cancel and next in O(log n).
///
/// A key holds one deadline at a time. Keys that fall due at the same instant come out in the order
/// of the keys, so a run is reproducible.
#[derive(Clone, Debug)]
pub struct Timers<K> {
    by_time: BTreeSet<(Instant, K)>,
    by_key: BTreeMap<K, Instant>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new(), by_key: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Timers<K> {
    /// Returns an empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the deadline of `key`, in place of the one it had.
    pub fn set(&mut self, key: K, at: Instant) {
        if let Some(old) = self.by_key.insert(key.clone(), at) {
            self.by_time.remove(&(old, key.clone()));
        }
        self.by_time.insert((at, key));
    }

    /// Removes the deadline of `key` and returns it.
    pub fn cancel(&mut self, key: &K) -> Option<Instant> {
        let at = self.by_key.remove(key)?;
        self.by_time.remove(&(at, key.clone()));
        Some(at)
    }

    /// Returns the deadline of `key`.
    pub fn deadline(&self, key: &K) -> Option<Instant> {
        self.by_key.get(key).copied()
    }

    /// Returns the earliest deadline and its key.
    pub fn next(&self) -> Option<(Instant, &K)> {
        self.by_time.first().map(|(at, key)| (*at, key))
    }

    /// Removes and returns the earliest key whose deadline is not after `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        if self.by_time.first()?.0 > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// Returns the number of deadlines.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Returns whether no deadline is set.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn a_key_holds_one_deadline_at_a_time() {
        let mut timers = Timers::new();
        timers.set("a", Instant::from_secs(1));
        timers.set("a", Instant::from_secs(3));
        assert_eq!(timers.len(), 1);
        assert_eq!(timers.pop_due(Instant::from_secs(2)), None);
        assert_eq!(timers.pop_due(Instant::from_secs(3)), Some("a"));
        assert!(timers.is_empty());
    }

    #[test]
    fn a_cancelled_deadline_never_falls_due() {
        let mut timers = Timers::new();
        timers.set(1, Instant::from_secs(1));
        assert_eq!(timers.cancel(&1), Some(Instant::from_secs(1)));
        assert_eq!(timers.cancel(&1), None);
        assert_eq!(timers.pop_due(Instant::MAX), None);
        assert_eq!(timers.next(), None);
    }

    proptest! {
        #[test]
        fn the_queue_equals_a_sorted_list(ops in proptest::collection::vec((0u8..16, 0u64..64, any::<bool>()), 0..200)) {
            let mut timers = Timers::new();
            let mut naive: Vec<(u8, Instant)> = Vec::new();
            for (key, at, set) in ops {
                naive.retain(|(k, _)| *k != key);
                if set {
                    timers.set(key, Instant::from_micros(at));
                    naive.push((key, Instant::from_micros(at)));
                } else {
                    timers.cancel(&key);
                }
                prop_assert_eq!(timers.next().map(|(at, k)| (at, *k)), naive.iter().map(|(k, at)| (*at, *k)).min());
                prop_assert_eq!(timers.len(), naive.len());
            }
            naive.sort_by_key(|(k, at)| (*at, *k));
            for (key, at) in naive {
                prop_assert_eq!(timers.deadline(&key), Some(at));
                prop_assert_eq!(timers.pop_due(at), Some(key));
            }
            prop_assert!(timers.is_empty());
        }
    }
}
