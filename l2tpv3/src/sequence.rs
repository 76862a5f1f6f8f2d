use crate::wire::SEQUENCE_MODULUS;

/// Half of the number space: so far ahead a number is new, RFC 3931 appendix C.
const WINDOW: u32 = SEQUENCE_MODULUS / 2;

/// What a sequence number says of its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the expected one or lies ahead.
    New,
    /// So many old ones came in order that their numbers are believed.
    Resynchronised,
    /// It was received before, or its turn has passed.
    Old,
}

/// The receiving end of data sequencing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequence {
    expected: u32,
    /// The number that would continue a run of old ones.
    run_next: u32,
    /// How long that run is; 0 for none.
    run_length: u8,
    believed_after: u8,
}

impl Sequence {
    /// Returns a receiver that expects 0 and believes a run of `believed_after` old numbers (0: never).
    pub(crate) const fn new(believed_after: u8) -> Self {
        Self { expected: 0, run_next: 0, run_length: 0, believed_after }
    }

    pub(crate) const fn expected(&self) -> u32 {
        self.expected
    }

    pub(crate) fn take(&mut self, number: u32) -> Verdict {
        let ahead = number.wrapping_sub(self.expected) % SEQUENCE_MODULUS;
        if ahead < WINDOW {
            self.accept(number);
            return Verdict::New;
        }
        let length = if self.run_next == number { self.run_length.saturating_add(1) } else { 1 };
        if self.believed_after != 0 && length >= self.believed_after {
            self.accept(number);
            return Verdict::Resynchronised;
        }
        (self.run_next, self.run_length) = ((number + 1) % SEQUENCE_MODULUS, length);
        Verdict::Old
    }

    const fn accept(&mut self, number: u32) {
        self.expected = (number + 1) % SEQUENCE_MODULUS;
        self.run_length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_begin_at_zero_wrap_and_are_taken_once() {
        let mut sequence = Sequence::new(0);
        assert_eq!(sequence.take(0), Verdict::New);
        assert_eq!(sequence.take(0), Verdict::Old);
        assert_eq!(sequence.take(WINDOW), Verdict::New);
        assert_eq!(sequence.take(SEQUENCE_MODULUS - 1), Verdict::New);
        assert_eq!(sequence.take(0), Verdict::New);
    }

    #[test]
    fn a_run_of_old_numbers_is_believed_after_the_threshold_and_a_broken_run_is_not() {
        let mut sequence = Sequence::new(3);
        assert_eq!(sequence.take(1_000), Verdict::New);
        for number in [5, 6, 8, 9] {
            assert_eq!(sequence.take(number), Verdict::Old);
        }
        assert_eq!(sequence.take(10), Verdict::Resynchronised);
        assert_eq!(sequence.take(11), Verdict::New);
    }

    proptest! {
        #[test]
        fn the_receiver_agrees_with_numbers_that_never_wrap(start in 0u64..1 << 26, offset in -(WINDOW as i64)..WINDOW as i64) {
            let mut sequence = Sequence::new(0);
            sequence.expected = (start % u64::from(SEQUENCE_MODULUS)) as u32;
            let number = (start as i64 + offset).rem_euclid(i64::from(SEQUENCE_MODULUS)) as u32;
            let verdict = sequence.take(number);
            prop_assert_eq!(verdict, if offset >= 0 { Verdict::New } else { Verdict::Old });
        }
    }
}
