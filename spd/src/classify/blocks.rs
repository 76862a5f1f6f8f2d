use super::above;
use super::address::Address;
use super::entry::{Entry, Flat};
use alloc::vec::Vec;

/// Entries in list order, in blocks of up to 512, each with rows of bits: for a nibble of the key and each
/// of its sixteen values, which entries can match.
///
/// A look-up joins the rows of the key's nibbles, those that tell most apart first, and asks the entries
/// that are left, in order. Nothing makes it worse than linear in the number of blocks: it takes what
/// tables cannot.
#[derive(Clone, Debug)]
pub(crate) struct Blocks<A: Address> {
    blocks: Vec<Block<A>>,
    len: usize,
    /// What changes cost so far, see [`work`](Self::work).
    work: u64,
}

/// The words of the widest row, and of narrower ones for blocks of few entries.
const WORDS: [usize; 3] = [2, 4, 8];
const BLOCK: usize = 8 * 64;
/// Blocks of so few entries have no rows: asking them all is quicker.
const PLAIN: usize = 12;
/// The most nibbles a block has rows for; what they leave over is asked.
const MAX_NIBBLES: usize = 28;
/// In how many blocks one is looked for that covers an entry.
const COVERING_BLOCKS: usize = 8;
/// The rows that are joined between two looks at what is left.
const STRIDE: usize = 4;

/// Four bits of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Nibble {
    /// Where they are in the words of a flat key.
    word: u8,
    word_shift: u8,
    /// What they are part of, and how far from its end.
    field: Field,
    shift: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Local,
    Remote,
    LocalPort,
    RemotePort,
    Protocol,
    Kind,
}

#[derive(Clone, Debug)]
pub(super) struct Block<A: Address> {
    entries: Vec<Entry<A>>,
    nibbles: Vec<Nibble>,
    /// For each nibble sixteen rows of `words` words each.
    rows: Vec<u64>,
    words: usize,
    /// How many entries there were when the nibbles were chosen.
    chosen_at: usize,
}

impl<A: Address> Default for Blocks<A> {
    fn default() -> Self {
        Self { blocks: Vec::new(), len: 0, work: 0 }
    }
}

impl<A: Address> Blocks<A> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn insert(&mut self, entry: Entry<A>) {
        self.len += 1;
        let mut index = self.blocks.partition_point(|block| block.last_label() < entry.label);
        let is_full = |block: &Block<A>| block.entries.len() >= BLOCK;
        if self.blocks.get(index).is_none_or(|block| entry.label < block.first_label()) {
            // Between two blocks, or at an end: a list that grows there leaves full blocks behind, and no small ones.
            let has_room = |index: &usize| self.blocks.get(*index).is_some_and(|block| !is_full(block));
            let Some(neighbour) = [index.wrapping_sub(1), index].into_iter().find(has_room) else {
                return self.blocks.insert(index, Block::new(alloc::vec![entry], &mut self.work));
            };
            index = neighbour;
        }
        let Some(block) = self.blocks.get_mut(index) else { return };
        if !is_full(block) {
            return block.insert(entry, &mut self.work);
        }
        let mut tail = Block::new(block.entries.split_off(BLOCK / 2), &mut self.work);
        block.choose(&mut self.work);
        let half = if block.last_label() < entry.label { &mut tail } else { block };
        half.insert(entry, &mut self.work);
        self.blocks.insert(index + 1, tail);
    }

    /// Removes and returns the entries of a policy, whose label is `label`.
    pub fn remove(&mut self, label: u64) -> Vec<Entry<A>> {
        let mut removed = Vec::new();
        let mut index = self.blocks.partition_point(|block| block.last_label() < label);
        while let Some(block) = self.blocks.get_mut(index) {
            let at = block.entries.partition_point(|entry| entry.label < label);
            let Some(entry) = block.entries.get(at).filter(|entry| entry.label == label) else { break };
            removed.push(*entry);
            let is_last = at + 1 == block.entries.len();
            self.remove_at(index, at);
            // The next one may begin with others of the policy.
            index += usize::from(is_last && at > 0);
        }
        removed
    }

    /// Returns all entries.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<A>> {
        self.blocks.iter().flat_map(|block| &block.entries)
    }

    /// Returns the blocks that end with this label or a higher one.
    pub fn blocks_from(&self, label: u64) -> impl Iterator<Item = &Block<A>> {
        self.blocks.iter().skip(self.blocks.partition_point(|block| block.last_label() < label))
    }

    /// Looks for an entry that covers this one, in the few blocks right before it, and marks it; returns whether there
    /// is one.
    pub fn mark_covering(&mut self, entry: &Entry<A>) -> bool {
        let end = self.blocks.partition_point(|block| block.first_label() < entry.label);
        let few = self.blocks.iter_mut().take(end).rev().take(COVERING_BLOCKS);
        few.into_iter().any(|block| block.mark_covering(entry))
    }

    /// Takes out up to `most` entries of labels below this, those of the highest first.
    pub fn take(&mut self, below: u64, most: usize) -> Vec<Entry<A>> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let first_above = self.blocks.partition_point(|block| block.first_label() < below);
            let Some(index) = first_above.checked_sub(1) else { break };
            let Some(block) = self.blocks.get(index) else { break };
            let at = block.entries.partition_point(|entry| entry.label < below).saturating_sub(1);
            let Some(entry) = block.entries.get(at) else { break };
            taken.push(*entry);
            self.remove_at(index, at);
        }
        taken
    }

    fn remove_at(&mut self, index: usize, at: usize) {
        let Some(block) = self.blocks.get_mut(index) else { return };
        self.work += block.rows.len() as u64;
        block.remove(at);
        self.len -= 1;
        if block.entries.is_empty() {
            self.blocks.remove(index);
        }
    }

    /// Gives the entries of a policy another label; their order stays.
    pub fn relabel(&mut self, old: u64, new: u64) {
        let first = self.blocks.partition_point(|block| block.last_label() < old);
        for block in self.blocks.iter_mut().skip(first) {
            let at = block.entries.partition_point(|entry| entry.label < old);
            let mut found = false;
            for entry in block.entries.iter_mut().skip(at).take_while(|entry| entry.label == old) {
                entry.label = new;
                found = true;
            }
            if !found {
                break;
            }
        }
    }

    /// Returns whether there are entries before this one; none is after all.
    #[inline(always)]
    pub fn may_come_before(&self, entry: Option<&Entry<A>>) -> bool {
        self.blocks.first().is_some_and(|block| entry.is_none_or(|entry| block.first_label() < entry.label))
    }

    /// Returns the first entry that matches and has a label below `bound`.
    #[inline]
    pub fn find(&self, key: &Flat<A>, bound: u64, ask: &impl Fn(u32) -> bool) -> Option<&Entry<A>> {
        for block in &self.blocks {
            if block.entries.first().is_none_or(|first| first.label >= bound) {
                return None;
            }
            if let Some(entry) = block.find(key, ask) {
                return (entry.label < bound).then_some(entry);
            }
        }
        None
    }

    /// Returns how many words of rows changes have written so far.
    pub fn work(&self) -> u64 {
        self.work
    }

    /// Returns the octets this takes.
    pub fn octets(&self) -> usize {
        let block = |block: &Block<A>| {
            size_of::<Block<A>>()
                + block.entries.capacity() * size_of::<Entry<A>>()
                + block.rows.capacity() * size_of::<u64>()
                + block.nibbles.capacity() * size_of::<Nibble>()
        };
        self.blocks.iter().map(block).sum()
    }
}

impl<A: Address> Block<A> {
    fn new(entries: Vec<Entry<A>>, work: &mut u64) -> Self {
        let mut block = Self { entries, nibbles: Vec::new(), rows: Vec::new(), words: 0, chosen_at: 0 };
        block.choose(work);
        block
    }

    pub fn first_label(&self) -> u64 {
        self.entries.first().map_or(u64::MAX, |entry| entry.label)
    }

    fn last_label(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.label)
    }

    #[inline(never)]
    fn find(&self, key: &Flat<A>, ask: &impl Fn(u32) -> bool) -> Option<&Entry<A>> {
        match self.words {
            0 => self.entries.iter().find(|entry| entry.matches(key) && (entry.is_exact() || ask(entry.slot()))),
            2 => self.find_in_rows::<2>(key, ask),
            4 => self.find_in_rows::<4>(key, ask),
            _ => self.find_in_rows::<8>(key, ask),
        }
    }

    /// Which entries may match, a bit each: all that do, and some that do not.
    #[inline(always)]
    fn join<const W: usize>(&self, key: &Flat<A>) -> [u64; W] {
        let (rows, _) = self.rows.as_chunks::<W>();
        let words = key.words();
        let mut left = [u64::MAX; W];
        for (nibbles, rows) in self.nibbles.chunks(STRIDE).zip(rows.chunks(STRIDE * 16)) {
            for (nibble, values) in nibbles.iter().zip(rows.chunks_exact(16)) {
                if let Some(row) = values.get(nibble.of(&words)) {
                    for (left, row) in left.iter_mut().zip(row) {
                        *left &= row;
                    }
                }
            }
            // Once no word has two bits left, asking is quicker than joining more rows.
            if left.iter().fold(0, |two, word| two | word & word.wrapping_sub(1)) == 0 {
                break;
            }
        }
        left
    }

    #[inline]
    fn find_in_rows<const W: usize>(&self, key: &Flat<A>, ask: &impl Fn(u32) -> bool) -> Option<&Entry<A>> {
        for (word, bits) in self.join::<W>(key).into_iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                let entry = self.entries.get(word * 64 + bits.trailing_zeros() as usize)?;
                if entry.matches(key) && (entry.is_exact() || ask(entry.slot())) {
                    return Some(entry);
                }
                bits &= bits - 1;
            }
        }
        None
    }

    /// Marks an entry that covers this one; returns whether there is one.
    fn mark_covering(&mut self, entry: &Entry<A>) -> bool {
        let place = match self.words {
            0 => self.entries.iter().position(|other| other.covers(entry)),
            2 => self.covering::<2>(entry),
            4 => self.covering::<4>(entry),
            _ => self.covering::<8>(entry),
        };
        let Some(covering) = place.and_then(|place| self.entries.get_mut(place)) else { return false };
        covering.set_covering();
        true
    }

    fn covering<const W: usize>(&self, entry: &Entry<A>) -> Option<usize> {
        let (near, far) = (self.join::<W>(&entry.corner()), self.join::<W>(&entry.far_corner()));
        let both = near.into_iter().zip(far).map(|(near, far)| near & far);
        places(both).find(|place| self.entries.get(*place).is_some_and(|other| other.covers(entry)))
    }

    /// Returns the entries that another holds, or all if there is none.
    pub fn within<'a>(&'a self, wide: Option<&'a Entry<A>>) -> impl Iterator<Item = &'a Entry<A>> {
        let mut left = [u64::MAX; BLOCK / 64];
        for (nibble, rows) in self.nibbles.iter().zip(self.rows.chunks_exact((self.words * 16).max(1))) {
            // Where the other has one value only, so has what it holds.
            let values = wide.map_or(u16::MAX, |wide| nibble.values(wide));
            if values.is_power_of_two() {
                let row =
                    rows.chunks_exact(self.words.max(1)).nth(values.trailing_zeros() as usize).unwrap_or_default();
                for (left, row) in left.iter_mut().zip(row) {
                    *left &= row;
                }
            }
        }
        let may_be = places(left).map_while(|place| self.entries.get(place));
        may_be.filter(move |entry| wide.is_none_or(|wide| wide.holds(entry)))
    }

    fn insert(&mut self, entry: Entry<A>, work: &mut u64) {
        let at = self.entries.partition_point(|other| other.label <= entry.label);
        self.entries.insert(at, entry);
        let outgrown = self.words > 0 && self.entries.len() > self.words * 64;
        if outgrown || self.entries.len() > PLAIN && self.entries.len() >= 2 * self.chosen_at {
            return self.choose(work);
        }
        *work += self.rows.len() as u64;
        let Self { nibbles, rows, words, .. } = self;
        for (nibble, values) in nibbles.iter().zip(rows.chunks_exact_mut((*words * 16).max(1))) {
            let values_of_entry = nibble.values(&entry);
            for (value, row) in values.chunks_exact_mut(*words).enumerate() {
                insert_bit(row, at, values_of_entry >> value & 1 != 0);
            }
        }
    }

    fn remove(&mut self, at: usize) {
        self.entries.remove(at);
        for row in self.rows.chunks_exact_mut(self.words.max(1)) {
            remove_bit(row, at);
        }
    }

    /// Chooses the nibbles that tell most apart, and builds their rows.
    fn choose(&mut self, work: &mut u64) {
        self.chosen_at = self.entries.len();
        self.nibbles.clear();
        self.rows.clear();
        self.words = 0;
        if self.entries.len() <= PLAIN {
            return;
        }
        let words = WORDS.into_iter().find(|words| self.entries.len() <= words * 64).unwrap_or(BLOCK / 64);
        self.words = words;
        let most = self.entries.len() * 16;
        let mut weighed: Vec<_> = Nibble::all::<A>()
            .map(|nibble| {
                let weight: usize = self.entries.iter().map(|entry| nibble.values(entry).count_ones() as usize).sum();
                (weight, nibble)
            })
            .filter(|(weight, _)| *weight < most)
            .collect();
        weighed.sort_by_key(|(weight, _)| *weight);
        weighed.truncate(MAX_NIBBLES);
        self.nibbles.extend(weighed.into_iter().map(|(_, nibble)| nibble));
        self.rows.resize(self.nibbles.len() * 16 * words, 0);
        self.rows.shrink_to_fit();
        *work += (self.entries.len() * self.nibbles.len() + self.rows.len()) as u64;
        for (nibble, rows) in self.nibbles.iter().zip(self.rows.chunks_exact_mut(words * 16)) {
            for (word, entries) in self.entries.chunks(64).enumerate() {
                let mut columns = [0; 16];
                for (bit, entry) in entries.iter().enumerate() {
                    let values = u64::from(nibble.values(entry));
                    for (value, column) in columns.iter_mut().enumerate() {
                        *column |= (values >> value & 1) << bit;
                    }
                }
                for (row, column) in rows.chunks_exact_mut(words).zip(columns) {
                    if let Some(row) = row.get_mut(word) {
                        *row = column;
                    }
                }
            }
        }
    }
}

impl Nibble {
    /// Every nibble of a key.
    fn all<A: Address>() -> impl Iterator<Item = Self> {
        let start = Flat::<A>::ABOVE as u32 * 64;
        let (local, remote) = if A::BITS == 32 { (32, 0) } else { (0, 128) };
        [
            (Field::Local, local, A::BITS),
            (Field::Remote, remote, A::BITS),
            (Field::LocalPort, start + above::LOCAL_PORT, 16),
            (Field::RemotePort, start + above::REMOTE_PORT, 16),
            (Field::Protocol, start + above::PROTOCOL, 8),
            (Field::Kind, start + above::KIND, 4),
        ]
        .into_iter()
        .flat_map(|(field, start, bits)| {
            (0..bits).step_by(4).map(move |shift| {
                // An address of 128 bits has its upper word first.
                let at = start + if bits == 128 { shift ^ 64 } else { shift };
                Self { word: (at / 64) as u8, word_shift: (at % 64) as u8, field, shift: shift as u8 }
            })
        })
    }

    #[inline(always)]
    fn of(self, words: &[u64; 8]) -> usize {
        let word = words.get(usize::from(self.word & 7)).copied().unwrap_or(0);
        (word >> (self.word_shift & 63)) as usize & 15
    }

    /// Which of the sixteen values a key can have that matches `entry`: one bit each.
    fn values<A: Address>(self, entry: &Entry<A>) -> u16 {
        let bits = |(first, last): (A, A)| (first.bits(), last.bits());
        fn wide<T: Into<u128>>((first, last): (T, T)) -> (u128, u128) {
            (first.into(), last.into())
        }
        let (low, high): (u128, u128) = match self.field {
            Field::Local => bits(entry.local()),
            Field::Remote => bits(entry.remote()),
            Field::LocalPort => wide(entry.above.local_port()),
            Field::RemotePort => wide(entry.above.remote_port()),
            Field::Protocol => wide(entry.above.protocol()),
            Field::Kind => return entry.above.kinds(),
        };
        let shift = u32::from(self.shift);
        let above = (high >> shift >> 4) - (low >> shift >> 4);
        let (first, last) = ((low >> shift) as u32 & 15, (high >> shift) as u32 & 15);
        let (from_first, to_last) = (u16::MAX << first, u16::MAX >> (15 - last));
        match above {
            0 => from_first & to_last,
            1 => from_first | to_last,
            _ => u16::MAX,
        }
    }
}

/// Returns the places of the bits that are set, in order. Look-ups go through them by hand, which takes a tenth to a
/// third less time.
fn places(words: impl IntoIterator<Item = u64>) -> impl Iterator<Item = usize> {
    words.into_iter().enumerate().flat_map(|(word, mut bits)| {
        core::iter::from_fn(move || {
            let place = (bits != 0).then(|| word * 64 + bits.trailing_zeros() as usize);
            bits &= bits.wrapping_sub(1);
            place
        })
    })
}

/// Moves the bits of a row from `at` one up and puts `bit` there.
fn insert_bit(row: &mut [u64], at: usize, bit: bool) {
    let (mut from, mut carry) = (at % 64, u64::from(bit));
    for word in row.iter_mut().skip(at / 64) {
        let below = (1u64 << from) - 1;
        let moved = *word & !below;
        *word = *word & below | moved << 1 | carry << from;
        (from, carry) = (0, moved >> 63);
    }
}

/// Takes the bit at `at` out of a row and moves those above one down.
fn remove_bit(row: &mut [u64], at: usize) {
    let (mut words, mut carry) = (row.iter_mut().skip(at / 64).rev().peekable(), 0);
    while let Some(word) = words.next() {
        let first = words.peek().is_none();
        let below = if first { (1u64 << (at % 64)) - 1 } else { 0 };
        // In the first word the bit itself goes, in the others their lowest moves to the word before.
        let above = *word & !below & !(u64::from(first) << (at % 64));
        let out = *word & 1;
        *word = *word & below | above >> 1 | carry << 63;
        carry = out;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_that_grows_at_an_end_or_in_a_gap_leaves_full_blocks_behind_and_keeps_its_order() {
        let policy = crate::Policy::new("any", crate::Selector::default(), crate::Action::Discard).unwrap();
        let id = crate::PolicyId { slot: 0, generation: 0 };
        let grown = |labels: &mut dyn Iterator<Item = u64>| {
            let mut blocks = Blocks::default();
            let mut count = 0;
            for label in labels {
                blocks.insert(super::super::entries::<u32>(&policy, label, id)[0]);
                count += 1;
            }
            let labels: Vec<_> =
                blocks.blocks.iter().flat_map(|block| &block.entries).map(|entry| entry.label).collect();
            assert!(labels.is_sorted() && labels.len() == count && blocks.len() == count);
            blocks.blocks.len()
        };
        let most = 4 * BLOCK as u64;
        assert_eq!(grown(&mut (0..most)), 4);
        assert_eq!(grown(&mut (0..most).rev()), 4);
        // The ends first, then what is between them, upwards or downwards.
        let half = most / 2;
        let ends = || (0..half).chain(most..most + half);
        assert_eq!(grown(&mut ends().chain(half..most)), 6);
        assert_eq!(grown(&mut ends().chain((half..most).rev())), 6);
    }

    proptest! {
        #[test]
        fn bits_move_as_items_of_a_list_do(
            bits in proptest::collection::vec(any::<bool>(), 1..BLOCK),
            at in any::<prop::sample::Index>(),
            bit in any::<bool>(),
        ) {
            let row = |bits: &[bool]| {
                let mut row = [0u64; 8];
                for (index, bit) in bits.iter().enumerate() {
                    row[index / 64] |= u64::from(*bit) << (index % 64);
                }
                row
            };
            let (mut list, mut packed) = (bits.clone(), row(&bits));
            let place = at.index(list.len() + 1);
            list.insert(place, bit);
            insert_bit(&mut packed, place, bit);
            prop_assert_eq!(packed, row(&list));
            let place = at.index(list.len());
            list.remove(place);
            remove_bit(&mut packed, place);
            prop_assert_eq!(packed, row(&list));
        }

        #[test]
        fn a_nibble_has_the_values_that_some_number_of_the_range_has(low in any::<u16>(), length in 0u16..2000, shift in 0u8..4) {
            let high = low.saturating_add(length);
            let local_port = crate::PortSet::range(low, high).unwrap();
            let selector = crate::Selector { local_port, ..crate::Selector::default() };
            let policy = crate::Policy::new("ports", selector, crate::Action::Discard).unwrap();
            let id = crate::PolicyId { slot: 0, generation: 0 };
            let entry = super::super::entries::<u32>(&policy, 0, id)[0];
            let expected = (low..=high).fold(0u16, |all, number| all | 1 << (number >> (4 * shift) & 15));
            let nibble = Nibble { word: 4, word_shift: 0, field: Field::LocalPort, shift: 4 * shift };
            prop_assert_eq!(nibble.values(&entry), expected);
        }
    }
}
