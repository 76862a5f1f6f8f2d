use esp_ah::SequenceBits;
use thiserror::Error;

/// Returns the greatest number of so many bits.
pub(crate) const fn max_sequence(bits: SequenceBits) -> u64 {
    match bits {
        SequenceBits::Bits32 => u32::MAX as u64,
        SequenceBits::Bits64 => u64::MAX,
    }
}

/// Why there is no next sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SequenceExhausted {
    /// They are used up: the association never sends again.
    #[error("the sequence numbers are used up")]
    End,
    /// Those reserved by the last snapshot are used up: the next snapshot lets it go on.
    #[error("the sequence numbers of the last snapshot are used up")]
    Reserve,
}

/// The sequence numbers of what is sent: each once, from 1, never around, RFC 4303 §3.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceCounter {
    last: u64,
    /// Numbers above belong to whoever is restored from the last snapshot.
    reserved: u64,
    /// Where the next snapshot is due.
    due_at: u64,
    bits: SequenceBits,
}

impl SequenceCounter {
    /// Returns a counter whose first number is 1.
    pub const fn new(bits: SequenceBits) -> Self {
        Self::after(0, bits)
    }

    /// Returns a counter whose first number is the one after `last`.
    pub const fn after(last: u64, bits: SequenceBits) -> Self {
        Self { last, reserved: u64::MAX, due_at: u64::MAX, bits }
    }

    /// Returns a counter that gives nothing until it is told to [`reserve`](Self::reserve), and then the numbers
    /// after `last`.
    pub const fn restored(last: u64, bits: SequenceBits) -> Self {
        Self { last, reserved: last, due_at: last, bits }
    }

    /// Lets `count` numbers be taken from now on, and no more; returns the last of them.
    pub fn reserve(&mut self, count: u64) -> u64 {
        self.reserved = self.last.saturating_add(count).min(max_sequence(self.bits));
        self.due_at = self.last.saturating_add(count.div_ceil(2));
        self.reserved
    }

    /// Returns whether `number` is the one at which the next snapshot is due.
    pub const fn is_due(&self, number: u64) -> bool {
        number == self.due_at
    }

    /// Takes the next number.
    ///
    /// # Errors
    /// [`SequenceExhausted`].
    pub const fn take(&mut self) -> Result<u64, SequenceExhausted> {
        if self.last >= max_sequence(self.bits) {
            return Err(SequenceExhausted::End);
        }
        if self.last >= self.reserved {
            return Err(SequenceExhausted::Reserve);
        }
        self.last += 1;
        Ok(self.last)
    }

    /// Returns the last number taken, 0 before the first.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Returns how many numbers are left.
    pub const fn remaining(&self) -> u64 {
        max_sequence(self.bits).saturating_sub(self.last)
    }

    /// Returns how wide the numbers are.
    pub const fn bits(&self) -> SequenceBits {
        self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_is_1_and_the_last_is_all_ones() {
        let mut counter = SequenceCounter::new(SequenceBits::Bits32);
        assert_eq!(counter.take(), Ok(1));
        let mut counter = SequenceCounter::after(u64::from(u32::MAX) - 1, SequenceBits::Bits32);
        assert_eq!((counter.take(), counter.remaining()), (Ok(u64::from(u32::MAX)), 0));
    }

    #[test]
    fn numbers_that_are_used_up_stay_so_and_never_wrap() {
        for width in [SequenceBits::Bits32, SequenceBits::Bits64] {
            let mut counter = SequenceCounter::after(max_sequence(width), width);
            for _ in 0..3 {
                assert_eq!(counter.take(), Err(SequenceExhausted::End));
            }
            assert_eq!(counter.last(), max_sequence(width));
        }
    }

    #[test]
    fn extended_numbers_go_on_where_short_ones_end() {
        let mut counter = SequenceCounter::after(u64::from(u32::MAX), SequenceBits::Bits64);
        assert_eq!(counter.take(), Ok(1 << 32));
    }

    #[test]
    fn a_restored_counter_gives_nothing_before_it_reserves_and_nothing_beyond() {
        let mut original = SequenceCounter::new(SequenceBits::Bits32);
        original.take().unwrap();
        assert_eq!(original.reserve(3), 4);
        let mut restored = SequenceCounter::restored(4, SequenceBits::Bits32);
        assert_eq!(restored.take(), Err(SequenceExhausted::Reserve));
        assert_eq!((original.take(), original.take(), original.take()), (Ok(2), Ok(3), Ok(4)));
        assert_eq!(original.take(), Err(SequenceExhausted::Reserve));
        restored.reserve(u64::MAX);
        assert_eq!(restored.take(), Ok(5));
    }
}
