use super::address::Address;
use super::blocks::Blocks;
use super::entry::{Entry, Flat};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Entries that are never the first to match, since an earlier one matches all that they do: they stand aside, and
/// look-ups do not ask them.
///
/// When an entry goes that covered some, look-ups ask them all again until it is known which ones nothing covers any
/// more; changes look at some each.
#[derive(Clone, Debug)]
pub(super) struct Covered<A: Address> {
    entries: Blocks<A>,
    /// Those that covered some and are gone, the longest first; `None` stands for many.
    gone: VecDeque<Option<Entry<A>>>,
    /// From which label on entries are held against the first of the gone next.
    next: u64,
    /// In how many blocks was looked so far.
    work: u64,
}

/// How many of the gone are told apart.
const MOST_GONE: usize = 16;
/// In how many blocks of entries a change looks.
const LOOKED_AT: usize = 16;

impl<A: Address> Default for Covered<A> {
    fn default() -> Self {
        Self { entries: Blocks::default(), gone: VecDeque::new(), next: 0, work: 0 }
    }
}

impl<A: Address> Covered<A> {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether something that covered some is gone: they may be the first to match.
    #[inline(always)]
    pub fn is_in_doubt(&self) -> bool {
        !self.gone.is_empty()
    }

    pub fn insert(&mut self, entry: Entry<A>) {
        self.entries.insert(entry);
    }

    /// Removes and returns the entries of a policy, whose label is `label`.
    pub fn remove(&mut self, label: u64) -> Vec<Entry<A>> {
        self.entries.remove(label)
    }

    /// Gives the entries of a policy another label; their order stays.
    pub fn relabel(&mut self, old: u64, new: u64) {
        self.entries.relabel(old, new);
        self.next = 0;
    }

    /// Notes that an entry is gone.
    pub fn lose(&mut self, entry: Entry<A>) {
        if !entry.is_covering() || self.len() == 0 {
            return;
        }
        if self.gone.len() < MOST_GONE {
            self.gone.push_back(Some(entry));
        } else {
            self.gone.clear();
            self.gone.push_back(None);
            self.next = 0;
        }
    }

    /// Returns the first entry that matches and has a label below `bound`, if there may be one.
    #[inline]
    pub fn find(&self, key: &Flat<A>, bound: u64, ask: &impl Fn(u32) -> bool) -> Option<&Entry<A>> {
        if self.is_in_doubt() { self.entries.find(key, bound, ask) } else { None }
    }

    /// Returns the entries of some policies that may not be covered any more, about `most` at a time.
    pub fn doubtful(&mut self, most: usize) -> Vec<Entry<A>> {
        let mut doubtful: Vec<Entry<A>> = Vec::new();
        let Some(gone) = self.gone.front() else { return doubtful };
        let from = self.next;
        for (looked_at, block) in self.entries.blocks_from(from).enumerate() {
            if looked_at == LOOKED_AT {
                self.next = block.first_label();
                return doubtful;
            }
            self.work += 1;
            for entry in block.within(gone.as_ref()).filter(|entry| entry.label >= from) {
                // Those of one policy stay together.
                if doubtful.len() >= most && doubtful.last().is_some_and(|last| last.label != entry.label) {
                    self.next = entry.label;
                    return doubtful;
                }
                doubtful.push(*entry);
            }
        }
        self.gone.pop_front();
        self.next = 0;
        doubtful
    }

    /// Returns what changes cost so far: blocks looked at and words of rows written.
    pub fn work(&self) -> u64 {
        self.work + self.entries.work()
    }

    /// Returns the octets this takes.
    pub fn octets(&self) -> usize {
        self.entries.octets() + self.gone.capacity() * size_of::<Option<Entry<A>>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(label: u64) -> Entry<u32> {
        let policy = crate::Policy::new("any", crate::Selector::default(), crate::Action::Discard).unwrap();
        let id = crate::PolicyId { slot: label as u32, generation: 0 };
        let mut entry = super::super::entries::<u32>(&policy, label, id)[0];
        entry.set_covering();
        entry
    }

    /// Everything, in doubt because of `gone` that are gone.
    fn in_doubt(labels: impl Iterator<Item = u64>, gone: u64) -> Covered<u32> {
        let mut covered = Covered::default();
        labels.for_each(|label| covered.insert(entry(label)));
        (0..gone).for_each(|label| covered.lose(entry(label)));
        covered
    }

    /// The labels of what is doubtful, some at a time, until nothing is.
    fn doubtful(covered: &mut Covered<u32>) -> Vec<u64> {
        let mut labels = Vec::new();
        while covered.is_in_doubt() {
            labels.extend(covered.doubtful(2).iter().map(|entry| entry.label));
        }
        labels
    }

    #[test]
    fn all_that_what_is_gone_covered_are_doubtful_some_at_a_time() {
        let mut covered = in_doubt((10..=50).step_by(10), 1);
        assert_eq!(covered.doubtful(2).len(), 2);
        assert_eq!(doubtful(&mut covered), [30, 40, 50]);
        assert!(in_doubt(core::iter::empty(), 1).gone.is_empty(), "nothing was covered");
    }

    #[test]
    fn new_labels_on_the_way_leave_none_out() {
        let mut covered = in_doubt((10..=50).step_by(10), 1);
        assert_eq!(covered.doubtful(2).len(), 2);
        for number in 1..=5 {
            covered.relabel(10 * number, number);
        }
        assert!(doubtful(&mut covered).ends_with(&[3, 4, 5]));
    }

    #[test]
    fn what_is_gone_is_told_apart_up_to_a_bound() {
        let mut covered = in_doubt((10..=50).step_by(10), 5 * MOST_GONE as u64);
        assert!(covered.gone.len() <= MOST_GONE);
        assert!(doubtful(&mut covered).ends_with(&[10, 20, 30, 40, 50]));
    }
}
