use crate::sequence::max_sequence;
use alloc::boxed::Box;
use alloc::vec;
use esp_ah::SequenceBits;
use thiserror::Error;

/// How many of the latest sequence numbers are told apart, RFC 4303 §3.4.3.
///
/// There is no default: off is always somebody's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WindowSize {
    /// Replays are not detected. For manual keys, whose peer may start again from 1.
    Off,
    /// 32 packets, the least RFC 4303 allows.
    Packets32,
    /// 64 packets, the default of RFC 4303.
    Packets64,
    /// 128 packets.
    Packets128,
    /// 256 packets.
    Packets256,
    /// 512 packets.
    Packets512,
    /// 1024 packets.
    Packets1024,
    /// 2048 packets.
    Packets2048,
    /// 4096 packets.
    Packets4096,
}

impl WindowSize {
    /// Every size, off first.
    pub const ALL: [Self; 9] = [
        Self::Off,
        Self::Packets32,
        Self::Packets64,
        Self::Packets128,
        Self::Packets256,
        Self::Packets512,
        Self::Packets1024,
        Self::Packets2048,
        Self::Packets4096,
    ];

    /// Returns the number of packets, 0 for off.
    pub const fn packets(self) -> u64 {
        match self {
            Self::Off => 0,
            Self::Packets32 => 32,
            Self::Packets64 => 64,
            Self::Packets128 => 128,
            Self::Packets256 => 256,
            Self::Packets512 => 512,
            Self::Packets1024 => 1024,
            Self::Packets2048 => 2048,
            Self::Packets4096 => 4096,
        }
    }

    /// Returns the size of that many packets, 0 for off.
    pub fn from_packets(packets: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.packets() == packets)
    }
}

/// Why a sequence number is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// Numbers start at 1.
    #[error("sequence number 0")]
    Zero,
    /// It was seen before.
    #[error("a replayed packet")]
    Replayed,
    /// It lies before the window, so nobody knows whether it was seen before.
    #[error("a packet from before the window")]
    TooOld,
}

/// The window over received sequence numbers: a ring of bits, RFC 6479.
///
/// The ring holds one word more than the window, at least, so that moving on means clearing words
/// and never shifting bits: its cost does not depend on its size.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    /// The greatest number accepted, 0 before the first.
    top: u64,
    ring: Ring,
    /// At most 4096.
    size: u16,
    bits: SequenceBits,
}

/// Windows of up to 128 packets stand in the association itself.
#[derive(Clone, Debug)]
enum Ring {
    Small([u64; 4]),
    Large(Box<[u64]>),
}

impl ReplayWindow {
    /// Returns a window that has seen nothing.
    pub fn new(size: WindowSize, bits: SequenceBits) -> Self {
        let words = (size.packets() / 64 + 1).next_power_of_two() as usize;
        let ring = if words <= 4 { Ring::Small([0; 4]) } else { Ring::Large(vec![0; words].into()) };
        Self { top: 0, ring, size: size.packets() as u16, bits }
    }

    /// Returns a window as it was: `top` the greatest number accepted, and every number up to it seen.
    pub fn resumed(size: WindowSize, bits: SequenceBits, top: u64) -> Self {
        let mut window = Self::new(size, bits);
        window.top = top.min(max_sequence(bits));
        window.ring.words_mut().fill(u64::MAX);
        if window.size > 0 {
            window.clear_after_top();
        }
        window
    }

    /// Returns the whole number of a packet that shows `low`, RFC 4303 appendix A2.2.
    ///
    /// With 64 bits the upper half is the one that puts the number nearest to the window. `None` if that
    /// would be before the first packet.
    pub fn extend(&self, low: u32) -> Option<u64> {
        match self.bits {
            SequenceBits::Bits32 => Some(u64::from(low)),
            SequenceBits::Bits64 => {
                // Without a window, 2^31 to each side are told apart.
                let below = if self.size == 0 { 1 << 31 } else { self.packets() };
                let bottom = self.top.wrapping_sub(below - 1);
                // The first number not below the bottom whose lower half is `low`; A2.2's two cases in one.
                let offset = u64::from(low.wrapping_sub(bottom as u32));
                let before_the_first = self.top < below - 1;
                match (bottom.checked_add(offset), before_the_first) {
                    (Some(_), true) => None,
                    (Some(number), false) => Some(number),
                    // Beyond 2^64: the true end of the space, or a bottom that lies before zero.
                    (None, true) => Some(bottom.wrapping_add(offset)),
                    (None, false) => None,
                }
            }
        }
    }

    /// Checks a number, and changes nothing: before the ICV.
    ///
    /// # Errors
    /// [`ReplayError`]; never with a window of [`WindowSize::Off`].
    pub fn check(&self, number: u64) -> Result<(), ReplayError> {
        if self.size == 0 || number > self.top {
            return Ok(());
        }
        if number == 0 {
            return Err(ReplayError::Zero);
        }
        if self.top - number >= self.packets() {
            return Err(ReplayError::TooOld);
        }
        let (word, bit) = self.place(number);
        let seen = self.ring.words().get(word).is_some_and(|word| word & bit != 0);
        if seen { Err(ReplayError::Replayed) } else { Ok(()) }
    }

    /// Checks a number again and marks it as seen: after the ICV. Returns whether it is the greatest so far.
    ///
    /// It is checked again because of two copies of a packet in one batch.
    ///
    /// # Errors
    /// [`ReplayError`]; nothing changed.
    pub fn accept(&mut self, number: u64) -> Result<bool, ReplayError> {
        self.check(number)?;
        let newest = number > self.top;
        if self.size == 0 {
            self.top = self.top.max(number);
            return Ok(newest);
        }
        let (word, bit) = self.place(number);
        let last = (self.top / 64) as usize;
        let words = self.ring.words_mut();
        if newest {
            let passed = (number / 64 - self.top / 64).min(words.len() as u64) as usize;
            let mask = words.len() - 1;
            for step in 1..=passed {
                if let Some(word) = words.get_mut(last.wrapping_add(step) & mask) {
                    *word = 0;
                }
            }
            self.top = number;
        }
        if let Some(word) = words.get_mut(word) {
            *word |= bit;
        }
        Ok(newest)
    }

    /// Returns the greatest number accepted, 0 before the first.
    pub const fn top(&self) -> u64 {
        self.top
    }

    /// Returns the number of packets the window tells apart, 0 for off.
    pub const fn packets(&self) -> u64 {
        self.size as u64
    }

    /// Returns how wide the numbers are.
    pub const fn bits(&self) -> SequenceBits {
        self.bits
    }

    /// Returns whether each number of the window was seen, the greatest first.
    pub fn bitmap(&self) -> impl Iterator<Item = bool> {
        (0..self.packets())
            .map(|back| self.top.checked_sub(back).is_some_and(|number| number > 0 && self.check(number).is_err()))
    }

    fn place(&self, number: u64) -> (usize, u64) {
        let mask = self.ring.words().len() - 1;
        ((number / 64) as usize & mask, 1 << (number % 64))
    }

    /// Clears the bits of numbers in the top's own word that are still to come.
    fn clear_after_top(&mut self) {
        let (word, bit) = self.place(self.top);
        if let Some(word) = self.ring.words_mut().get_mut(word) {
            *word &= bit | (bit - 1);
        }
    }
}

impl Ring {
    fn words(&self) -> &[u64] {
        match self {
            Self::Small(words) => words,
            Self::Large(words) => words,
        }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        match self {
            Self::Small(words) => words,
            Self::Large(words) => words,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// The window as RFC 4303 §3.4.3 says it, without any cleverness.
    struct Naive {
        size: u64,
        seen: BTreeSet<u64>,
    }

    impl Naive {
        fn accept(&mut self, number: u64) -> Result<bool, ReplayError> {
            let top = self.seen.last().copied().unwrap_or(0);
            match number {
                _ if self.size == 0 => {}
                0 => return Err(ReplayError::Zero),
                _ if number <= top && top - number >= self.size => return Err(ReplayError::TooOld),
                _ if self.seen.contains(&number) => return Err(ReplayError::Replayed),
                _ => {}
            }
            self.seen.insert(number);
            Ok(number > top)
        }
    }

    fn sizes() -> impl Strategy<Value = WindowSize> {
        proptest::sample::select(&WindowSize::ALL[..])
    }

    proptest! {
        #[test]
        fn the_window_equals_a_naive_set(
            size in sizes(),
            start in prop_oneof![Just(0u64), Just((1 << 32) - 100), Just(u64::MAX - 20_000)],
            steps in proptest::collection::vec((0u64..6000, 0u64..5000), 1..300),
        ) {
            let mut window = ReplayWindow::new(size, SequenceBits::Bits64);
            let mut naive = Naive { size: size.packets(), seen: BTreeSet::new() };
            let mut at = start;
            for (forward, back) in steps {
                // Mostly small steps, now and then a jump of more than any window.
                at = at.saturating_add(if forward < 5500 { forward % 7 } else { forward });
                let number = at.saturating_sub(if back < 2500 { back % 150 } else { back });
                prop_assert_eq!(window.check(number), naive_check(&naive, number));
                prop_assert_eq!(window.accept(number), naive.accept(number));
                prop_assert_eq!(window.top(), naive.seen.last().copied().unwrap_or(0));
            }
        }

        #[test]
        fn an_extended_number_is_found_again_if_it_is_near_the_window(
            size in sizes(),
            top in prop_oneof![0u64..10_000, (1u64 << 32) - 5000..(1 << 32) + 5000, any::<u64>()],
            ahead in 0u64..1 << 31,
            behind in any::<u64>(),
            forward in any::<bool>(),
        ) {
            let window = ReplayWindow::resumed(size, SequenceBits::Bits64, top);
            let below = if size == WindowSize::Off { 1 << 31 } else { size.packets() };
            let number = if forward { top.checked_add(ahead) } else { top.checked_sub(behind % below) };
            if let Some(number) = number {
                prop_assert_eq!(window.extend(number as u32), Some(number));
            }
        }
    }

    fn naive_check(naive: &Naive, number: u64) -> Result<(), ReplayError> {
        let mut copy = Naive { size: naive.size, seen: naive.seen.clone() };
        copy.accept(number).map(|_| ())
    }

    #[test]
    fn a_lower_half_from_before_the_first_packet_is_refused() {
        let window = ReplayWindow::new(WindowSize::Packets64, SequenceBits::Bits64);
        assert_eq!(window.extend(1), Some(1));
        assert_eq!(window.extend(u32::MAX - 64), Some(u64::from(u32::MAX) - 64));
        assert_eq!(window.extend(u32::MAX), None);
        let end = ReplayWindow::resumed(WindowSize::Packets64, SequenceBits::Bits64, u64::MAX);
        assert_eq!(end.extend(u32::MAX), Some(u64::MAX));
        assert_eq!(end.extend(5), None);
    }

    #[test]
    fn a_check_changes_nothing() {
        let mut window = ReplayWindow::new(WindowSize::Packets64, SequenceBits::Bits32);
        window.accept(10).unwrap();
        for number in [5, 10, 11, 4_000_000] {
            let before: Vec<_> = window.bitmap().collect();
            let _ = window.check(number);
            assert_eq!((window.top(), window.bitmap().collect::<Vec<_>>()), (10, before));
        }
    }

    #[test]
    fn the_oldest_of_the_window_is_accepted_once_and_the_one_before_never() {
        for size in WindowSize::ALL.into_iter().skip(1) {
            let mut window = ReplayWindow::new(size, SequenceBits::Bits32);
            assert_eq!(window.accept(0), Err(ReplayError::Zero));
            assert_eq!(window.accept(10_000), Ok(true));
            let oldest = 10_001 - size.packets();
            assert_eq!(window.accept(oldest), Ok(false));
            assert_eq!(window.accept(oldest), Err(ReplayError::Replayed));
            assert_eq!(window.accept(oldest - 1), Err(ReplayError::TooOld));
            assert_eq!(window.bitmap().filter(|seen| *seen).count(), 2);
            assert_eq!(WindowSize::from_packets(size.packets()), Some(size));
        }
    }

    #[test]
    fn a_window_that_is_off_accepts_everything() {
        let mut window = ReplayWindow::new(WindowSize::Off, SequenceBits::Bits32);
        for number in [0, 7, 7, 3, 0] {
            assert!(window.accept(number).is_ok());
        }
        assert_eq!((window.top(), window.bitmap().count()), (7, 0));
    }

    #[test]
    fn a_resumed_window_accepts_nothing_it_may_have_seen() {
        for size in WindowSize::ALL.into_iter().skip(1) {
            for top in [1, 63, 64, 5000, 5055] {
                let mut window = ReplayWindow::resumed(size, SequenceBits::Bits32, top);
                for number in top.saturating_sub(5000)..=top {
                    assert!(window.accept(number).is_err(), "{size:?} {top} {number}");
                }
                for number in top + 1..top + 200 {
                    assert_eq!(window.accept(number), Ok(true), "{size:?} {top} {number}");
                }
            }
        }
    }
}
