use esp_ah::SequenceBits;
use thiserror::Error;

/// Returns the greatest number of so many bits.
pub(crate) const fn max_sequence(bits: SequenceBits) -> u64 {
    match bits {
        SequenceBits::Bits32 => u32::MAX as u64,
        SequenceBits::Bits64 => u64::MAX,
    }
}

/// The sequence numbers of an association are used up: it never sends again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the sequence numbers are used up")]
pub struct SequenceExhausted;

/// The sequence numbers of what is sent: each once, from 1, never around, RFC 4303 §3.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceCounter {
    last: u64,
    bits: SequenceBits,
}

impl SequenceCounter {
    /// Returns a counter whose first number is 1.
    pub const fn new(bits: SequenceBits) -> Self {
        Self { last: 0, bits }
    }

    /// Returns a counter whose first number is the one after `last`.
    pub const fn after(last: u64, bits: SequenceBits) -> Self {
        Self { last, bits }
    }

    /// Takes the next number.
    ///
    /// # Errors
    /// [`SequenceExhausted`]; it stays so.
    pub const fn take(&mut self) -> Result<u64, SequenceExhausted> {
        if self.last >= max_sequence(self.bits) {
            return Err(SequenceExhausted);
        }
        self.last += 1;
        Ok(self.last)
    }

    /// Passes over `count` numbers, so that nobody who used some of them unseen can be repeated.
    pub fn skip(&mut self, count: u64) {
        self.last = self.last.saturating_add(count).min(max_sequence(self.bits));
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
                assert_eq!(counter.take(), Err(SequenceExhausted));
            }
            counter.skip(u64::MAX);
            assert_eq!(counter.last(), max_sequence(width));
        }
    }

    #[test]
    fn extended_numbers_go_on_where_short_ones_end() {
        let mut counter = SequenceCounter::after(u64::from(u32::MAX), SequenceBits::Bits64);
        assert_eq!(counter.take(), Ok(1 << 32));
    }

    #[test]
    fn numbers_passed_over_are_never_taken() {
        let mut counter = SequenceCounter::new(SequenceBits::Bits32);
        counter.skip(1000);
        assert_eq!(counter.take(), Ok(1001));
    }
}
