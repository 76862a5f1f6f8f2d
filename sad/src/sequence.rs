use thiserror::Error;

/// Whether sequence numbers have 32 or 64 bits (extended, RFC 4304 and RFC 4303 §2.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SequenceWidth {
    /// 32 bits: an association ends after 2^32 - 1 packets at most.
    #[default]
    Bits32,
    /// 64 bits, of which the lower 32 are sent.
    Bits64,
}

impl SequenceWidth {
    /// Returns the greatest number there is.
    pub const fn max(self) -> u64 {
        match self {
            Self::Bits32 => u32::MAX as u64,
            Self::Bits64 => u64::MAX,
        }
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
    width: SequenceWidth,
}

impl SequenceCounter {
    /// Returns a counter whose first number is 1.
    pub const fn new(width: SequenceWidth) -> Self {
        Self { last: 0, width }
    }

    /// Returns a counter whose first number is the one after `last`.
    pub const fn after(last: u64, width: SequenceWidth) -> Self {
        Self { last, width }
    }

    /// Takes the next number.
    ///
    /// # Errors
    /// [`SequenceExhausted`]; it stays so.
    pub const fn take(&mut self) -> Result<u64, SequenceExhausted> {
        if self.last >= self.width.max() {
            return Err(SequenceExhausted);
        }
        self.last += 1;
        Ok(self.last)
    }

    /// Passes over `count` numbers, so that nobody who used some of them unseen can be repeated.
    pub fn skip(&mut self, count: u64) {
        self.last = self.last.saturating_add(count).min(self.width.max());
    }

    /// Returns the last number taken, 0 before the first.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Returns how many numbers are left.
    pub const fn remaining(&self) -> u64 {
        self.width.max().saturating_sub(self.last)
    }

    /// Returns the width.
    pub const fn width(&self) -> SequenceWidth {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_is_1_and_the_last_is_all_ones() {
        let mut counter = SequenceCounter::new(SequenceWidth::Bits32);
        assert_eq!(counter.take(), Ok(1));
        let mut counter = SequenceCounter::after(u64::from(u32::MAX) - 1, SequenceWidth::Bits32);
        assert_eq!((counter.take(), counter.remaining()), (Ok(u64::from(u32::MAX)), 0));
    }

    #[test]
    fn numbers_that_are_used_up_stay_so_and_never_wrap() {
        for width in [SequenceWidth::Bits32, SequenceWidth::Bits64] {
            let mut counter = SequenceCounter::after(width.max(), width);
            for _ in 0..3 {
                assert_eq!(counter.take(), Err(SequenceExhausted));
            }
            counter.skip(u64::MAX);
            assert_eq!(counter.last(), width.max());
        }
    }

    #[test]
    fn extended_numbers_go_on_where_short_ones_end() {
        let mut counter = SequenceCounter::after(u64::from(u32::MAX), SequenceWidth::Bits64);
        assert_eq!(counter.take(), Ok(1 << 32));
    }

    #[test]
    fn numbers_passed_over_are_never_taken() {
        let mut counter = SequenceCounter::new(SequenceWidth::Bits32);
        counter.skip(1000);
        assert_eq!(counter.take(), Ok(1001));
    }
}
