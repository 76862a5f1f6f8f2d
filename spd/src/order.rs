use alloc::vec::Vec;

/// An ordered list with positions, whose items carry labels that ascend in list order.
///
/// Look-ups compare labels, so inserting at a position renumbers nobody. Labels have gaps; when one
/// is used up, a neighbourhood gets new labels. Items stand in chunks: a position is found by
/// walking the chunk lengths, an item by its label.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    chunks: Vec<Vec<Item>>,
    len: usize,
    /// The label of the item that came last.
    last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    label: u64,
    slot: u32,
}

/// A new label for an item, from a neighbourhood that was spread out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Relabel {
    pub slot: u32,
    pub old: u64,
    pub new: u64,
}

impl Order {
    /// Where chunks are split: a compromise of walking chunks and moving items within one.
    const MAX_CHUNK: usize = 512;
    /// The gap left when appending, so that 2^23 appends fit on each side of the first item.
    const STEP: u64 = 1 << 40;
    /// The gap left between items that come one after the other at one place, so that 2^20 fit between two appended ones.
    const NEXT_STEP: u64 = 1 << 20;
    /// The least gap that spreading out must gain; else it takes in more neighbours.
    const MIN_STEP: u64 = 1 << 16;

    pub fn len(&self) -> usize {
        self.len
    }

    /// Inserts `slot` so that it has `position`, counted from 0, and returns its label.
    ///
    /// `relabelled` takes the items whose labels had to change; their order did not.
    pub fn insert(&mut self, position: usize, slot: u32, relabelled: &mut Vec<Relabel>) -> u64 {
        let position = position.min(self.len);
        self.len += 1;
        if self.chunks.is_empty() {
            self.chunks.push(Vec::new());
        }
        let (chunk, offset) = self.locate(position);
        let mut label = self.label_between(chunk, offset);
        if label.is_none() {
            self.spread(chunk, relabelled);
            label = self.label_between(chunk, offset);
        }
        // Spreading over the whole list leaves room for any number of items that memory can hold.
        let label = label.unwrap_or(u64::MAX);
        self.last = label;
        if let Some(items) = self.chunks.get_mut(chunk) {
            items.insert(offset.min(items.len()), Item { label, slot });
            if items.len() > Self::MAX_CHUNK {
                let tail = items.split_off(Self::MAX_CHUNK / 2);
                self.chunks.insert(chunk + 1, tail);
            }
        }
        label
    }

    /// Removes the item with `label`.
    pub fn remove(&mut self, label: u64) {
        let Some((chunk, offset)) = self.find(label) else { return };
        let Some(items) = self.chunks.get_mut(chunk) else { return };
        items.remove(offset);
        self.len -= 1;
        if items.is_empty() {
            self.chunks.remove(chunk);
        } else if items.len() < Self::MAX_CHUNK / 8 && chunk > 0 {
            let tail = self.chunks.remove(chunk);
            if let Some(before) = self.chunks.get_mut(chunk - 1) {
                before.extend(tail);
                if before.len() > Self::MAX_CHUNK {
                    let tail = before.split_off(Self::MAX_CHUNK / 2);
                    self.chunks.insert(chunk, tail);
                }
            }
        }
    }

    /// Returns the position of the item with `label`, counted from 0.
    pub fn position(&self, label: u64) -> Option<usize> {
        let (chunk, offset) = self.find(label)?;
        Some(self.chunks.iter().take(chunk).map(Vec::len).sum::<usize>() + offset)
    }

    /// Returns the item at `position`, counted from 0.
    pub fn at(&self, position: usize) -> Option<u32> {
        let (chunk, offset) = self.locate(position);
        self.chunks.get(chunk)?.get(offset).map(|item| item.slot)
    }

    /// Returns the items in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.chunks.iter().flatten().map(|item| item.slot)
    }

    /// The chunk that holds `position`, or the end of the last chunk.
    fn locate(&self, position: usize) -> (usize, usize) {
        let mut rest = position;
        for (index, chunk) in self.chunks.iter().enumerate() {
            if rest < chunk.len() || (index + 1 == self.chunks.len()) {
                return (index, rest);
            }
            rest -= chunk.len();
        }
        (0, rest)
    }

    fn find(&self, label: u64) -> Option<(usize, usize)> {
        let chunk = self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| last.label < label));
        let offset = self.chunks.get(chunk)?.binary_search_by_key(&label, |item| item.label).ok()?;
        Some((chunk, offset))
    }

    /// A label for a new item at `offset` of `chunk`, or none if its neighbours leave no gap.
    fn label_between(&self, chunk: usize, offset: usize) -> Option<u64> {
        let items = self.chunks.get(chunk)?;
        let before = match offset.checked_sub(1) {
            Some(index) => items.get(index),
            None => chunk.checked_sub(1).and_then(|index| self.chunks.get(index)?.last()),
        };
        let after = items.get(offset).or_else(|| self.chunks.get(chunk + 1)?.first());
        match (before.map(|item| item.label), after.map(|item| item.label)) {
            (None, None) => Some(1 << 63),
            (Some(before), None) => before.checked_add(Self::STEP).or_else(|| midpoint(before, u64::MAX)),
            (None, Some(after)) => after.checked_sub(Self::STEP).or_else(|| midpoint(0, after)),
            // One after the other at one place: each takes little of the gap, not half.
            (Some(before), Some(after)) if before == self.last && after - before > 2 * Self::NEXT_STEP => {
                Some(before + Self::NEXT_STEP)
            }
            (Some(before), Some(after)) if after == self.last && after - before > 2 * Self::NEXT_STEP => {
                Some(after - Self::NEXT_STEP)
            }
            (Some(before), Some(after)) => midpoint(before, after),
        }
    }

    /// Gives evenly spaced labels to the items of `chunk`, and of as many neighbours as that needs.
    fn spread(&mut self, chunk: usize, relabelled: &mut Vec<Relabel>) {
        let (mut first, mut end) = (chunk, chunk + 1);
        let (low, step) = loop {
            let low = first.checked_sub(1).and_then(|index| self.chunks.get(index)?.last()).map_or(0, |i| i.label);
            let high = self.chunks.get(end).and_then(|next| next.first()).map_or(u64::MAX, |i| i.label);
            let count: usize = self.chunks.get(first..end).unwrap_or(&[]).iter().map(Vec::len).sum();
            let step = (high - low) / (count as u64 + 1);
            if step >= Self::MIN_STEP || (first == 0 && end >= self.chunks.len()) {
                break (low, step);
            }
            let width = end - first;
            first = first.saturating_sub(width);
            end = (end + width).min(self.chunks.len());
        };
        let mut label = low;
        for item in self.chunks.get_mut(first..end).unwrap_or(&mut []).iter_mut().flatten() {
            label += step;
            relabelled.push(Relabel { slot: item.slot, old: item.label, new: label });
            item.label = label;
        }
    }
}

/// The label halfway, if there is one strictly between.
fn midpoint(low: u64, high: u64) -> Option<u64> {
    let middle = low + (high - low) / 2;
    (middle > low).then_some(middle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    /// An order beside the plain list it must equal.
    #[derive(Default)]
    struct Pair {
        order: Order,
        labels: Vec<u64>,
        naive: Vec<u32>,
        relabels: usize,
    }

    impl Pair {
        fn insert(&mut self, position: usize, slot: u32) {
            let mut relabelled = vec![];
            let label = self.order.insert(position, slot, &mut relabelled);
            self.relabels += relabelled.len();
            for Relabel { slot, old, new } in relabelled {
                let known = &mut self.labels[slot as usize];
                assert_eq!(*known, old);
                *known = new;
            }
            self.labels.resize(self.labels.len().max(slot as usize + 1), 0);
            self.labels[slot as usize] = label;
            self.naive.insert(position.min(self.naive.len()), slot);
        }

        fn check(&self) {
            assert_eq!(self.order.len(), self.naive.len());
            assert_eq!(self.order.iter().collect::<Vec<_>>(), self.naive);
            let labels = self.naive.iter().map(|slot| self.labels[*slot as usize]);
            assert!(labels.clone().zip(labels.skip(1)).all(|(a, b)| a < b));
            for (position, slot) in self.naive.iter().enumerate() {
                assert_eq!(self.order.at(position), Some(*slot));
                assert_eq!(self.order.position(self.labels[*slot as usize]), Some(position));
            }
            assert_eq!(self.order.at(self.naive.len()), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_order_equals_a_plain_list(operations in proptest::collection::vec((0usize..1200, any::<bool>()), 0..1200)) {
            let mut pair = Pair::default();
            for (slot, (position, insert)) in operations.into_iter().enumerate() {
                if insert || pair.naive.is_empty() {
                    pair.insert(position.min(pair.naive.len()), slot as u32);
                } else {
                    let slot = pair.naive.remove(position % pair.naive.len());
                    pair.order.remove(pair.labels[slot as usize]);
                }
            }
            pair.check();
        }
    }

    #[test]
    fn a_gap_that_is_used_up_is_spread_and_the_order_holds() {
        let mut pair = Pair::default();
        for slot in 0..3000 {
            // In the middle, before and after those that came last in turn.
            pair.insert(slot as usize / 2, slot);
        }
        assert!(pair.relabels > 0);
        pair.check();
    }

    #[test]
    fn items_that_come_before_and_after_one_place_in_turn_give_64_others_a_new_label_on_average_at_most() {
        let mut order = Order::default();
        let mut relabelled = vec![];
        for slot in 0..100_000 {
            // Each halves the gap that the one before left: nothing uses gaps up quicker.
            order.insert(slot as usize / 2, slot, &mut relabelled);
        }
        assert!((100_000..64 * 100_000).contains(&relabelled.len()), "{}", relabelled.len());
    }

    #[test]
    fn items_that_come_one_after_the_other_at_one_place_give_few_a_new_label() {
        for descending in [false, true] {
            let mut order = Order::default();
            let mut relabelled = vec![];
            for slot in 0..10 {
                order.insert(slot as usize, slot, &mut relabelled);
            }
            for slot in 10..60_000 {
                let position = if descending { 5 } else { slot as usize - 5 };
                order.insert(position, slot, &mut relabelled);
            }
            assert!(relabelled.len() < 1000, "{} descending {descending}", relabelled.len());
        }
    }
}
