use core::fmt;
use rand_core::Rng;

/// A Security Parameters Index. 0 means IKE on port 4500, 1 to 255 are reserved, RFC 4303 §2.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spi(u32);

impl Spi {
    /// The least index that may be used.
    pub const MIN: u32 = 256;

    /// Returns the index, unless it is reserved.
    pub const fn new(spi: u32) -> Option<Self> {
        if spi < Self::MIN { None } else { Some(Self(spi)) }
    }

    /// Returns the number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// `46420787(0x02C45333)`, as routers show it.
impl fmt::Display for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(0x{:08X})", self.0, self.0)
    }
}

impl fmt::Debug for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spi({self})")
    }
}

/// How a slot number lies inside the SPIs that we choose: in the lower bits, below a tag that is drawn
/// at random, all of it masked by a number drawn once.
///
/// The look-up is one indexed load; the whole SPI is then checked in the slot. Tag and mask keep a
/// stranger from guessing an SPI, and an SPI from coming back as soon as its slot does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpiLayout {
    mask: u32,
    /// The bits of the slot number, all ones.
    slot_mask: u32,
}

impl SpiLayout {
    /// The most slots: 8 bits are left for the tag.
    pub const MAX_SLOTS: usize = 1 << 24;
    /// How many tags are tried; a tag is unusable with a chance of 1 in 256 at the worst.
    const TRIES: usize = 64;

    /// Returns a layout for `slots` slots, with a mask drawn from `rng`.
    pub fn new<R: Rng + ?Sized>(slots: usize, rng: &mut R) -> Self {
        let slots = slots.clamp(2, Self::MAX_SLOTS).next_power_of_two();
        Self { mask: rng.next_u32(), slot_mask: (slots - 1) as u32 }
    }

    /// Returns the number of slots that SPIs can say.
    pub const fn slots(self) -> usize {
        self.slot_mask as usize + 1
    }

    /// Returns the slot that `spi` says.
    #[inline]
    pub const fn slot(self, spi: u32) -> usize {
        ((spi ^ self.mask) & self.slot_mask) as usize
    }

    /// Draws an SPI for `slot` that is not reserved and not `last`, the one the slot had before.
    pub fn draw<R: Rng + ?Sized>(self, slot: usize, last: u32, rng: &mut R) -> Option<Spi> {
        (0..Self::TRIES).find_map(|_| {
            let tag = rng.next_u32() << self.slot_mask.count_ones();
            let spi = Spi::new((tag | slot as u32) ^ self.mask)?;
            (spi.get() != last).then_some(spi)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn reserved_indices_are_never_made() {
        assert_eq!(Spi::new(0), None);
        assert_eq!(Spi::new(255), None);
        assert_eq!(Spi::new(46_420_787).unwrap().to_string(), "46420787(0x02C45333)");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for slots in [1, 1000, SpiLayout::MAX_SLOTS] {
            // Without a mask the lower tags give reserved numbers: the hardest case.
            let layout = SpiLayout { mask: 0, ..SpiLayout::new(slots, &mut rng) };
            for slot in 0..layout.slots().min(300) {
                let spi = layout.draw(slot, 0, &mut rng).unwrap();
                assert!(spi.get() >= 256);
                assert_eq!(layout.slot(spi.get()), slot);
            }
        }
    }

    #[test]
    fn an_index_does_not_come_back_with_its_slot() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let layout = SpiLayout::new(SpiLayout::MAX_SLOTS, &mut rng);
        let mut last = layout.draw(5, 0, &mut rng).unwrap();
        for _ in 0..2000 {
            let next = layout.draw(5, last.get(), &mut rng).unwrap();
            assert_ne!(next, last);
            last = next;
        }
    }

    #[test]
    fn indices_of_one_slot_are_spread_over_all_tags() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let layout = SpiLayout::new(1 << 16, &mut rng);
        let drawn: BTreeSet<_> = (0..1000).map(|_| layout.draw(5, 0, &mut rng).unwrap()).collect();
        assert!(drawn.len() > 950);
    }
}
