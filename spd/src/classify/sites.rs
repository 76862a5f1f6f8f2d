use super::address::Address;
use super::entry::{Entry, Flat};
use alloc::boxed::Box;
use alloc::vec;

/// Which of the first tables hold an entry of a site: of the addresses that share a prefix as long as the longest that
/// tables share.
///
/// The first tables have the first policies, so they are asked most, and in a long list most of their entries are of one
/// site. The index has no cells for so many sites; with an octet a cell, and a hash to pick it, there is room.
#[derive(Clone, Debug)]
pub(super) struct Sites {
    local: Side,
    remote: Side,
}

#[derive(Clone, Debug)]
struct Side {
    /// The tables that hold an entry of one site whose hash picks the cell, a bit each.
    cells: Box<[u8]>,
    /// How far right a hash is moved to be the number of a cell.
    shift: u32,
    /// The tables that hold an entry of more sites than one.
    all: u8,
}

impl Sites {
    /// Returns one of no entries; so many bits of a hash pick a cell, from one on.
    pub fn new(bits: u32) -> Self {
        let side = || Side { cells: vec![0; 1 << bits].into(), shift: u64::BITS - bits, all: 0 };
        Self { local: side(), remote: side() }
    }

    /// Returns the tables that can hold a match: of the first eight those that do, and all others.
    #[inline(always)]
    pub fn tables<A: Address>(&self, key: &Flat<A>) -> u64 {
        u64::from(self.local.at(key.local) & self.remote.at(key.remote)) | u64::MAX << u8::BITS
    }

    /// Notes that an entry stands in the table of this bit.
    pub fn add<A: Address>(&mut self, bit: u64, entry: &Entry<A>) {
        // One that is not among the first has no bit left.
        self.local.add(bit as u8, entry.local());
        self.remote.add(bit as u8, entry.remote());
    }

    /// Returns the octets this takes, itself not included.
    pub fn octets(&self) -> usize {
        self.local.cells.len() + self.remote.cells.len()
    }
}

impl Side {
    #[inline(always)]
    fn cell<A: Address>(&self, address: A) -> usize {
        address.site().wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_shr(self.shift) as usize
    }

    #[inline(always)]
    fn at<A: Address>(&self, address: A) -> u8 {
        self.cells.get(self.cell(address)).copied().unwrap_or(0) | self.all
    }

    fn add<A: Address>(&mut self, bit: u8, (first, last): (A, A)) {
        let cell = self.cell(first);
        let tables = if first.site() == last.site() { self.cells.get_mut(cell) } else { Some(&mut self.all) };
        if let Some(tables) = tables {
            *tables |= bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn side(bits: u32) -> Side {
        Sites::new(bits).local
    }

    proptest! {
        #[test]
        fn no_address_of_a_range_is_without_the_tables_of_the_range(
            ranges in prop::collection::vec((any::<u128>(), 0u32..=128, 0u32..8), 1..40), inside: u128, bits in 1u32..12,
        ) {
            let (mut v4, mut v6) = (side(bits), side(bits));
            let bounds = |address: u128, length: u32| (address & u128::prefix(length), u128::last(address, length as u8));
            let narrow = |address: u128| (address >> 96) as u32;
            for (address, length, table) in &ranges {
                let (first, last) = bounds(*address, *length);
                v4.add(1 << table, (narrow(first), narrow(last)));
                v6.add(1 << table, (first, last));
            }
            for (address, length, table) in &ranges {
                let (first, last) = bounds(*address, *length);
                for address in [first, last, first | inside & last] {
                    prop_assert!(v4.at(narrow(address)) >> table & 1 != 0);
                    prop_assert!(v6.at(address) >> table & 1 != 0);
                }
            }
        }
    }

    #[test]
    fn most_sites_that_have_no_entry_have_no_table() {
        let site = |number: u32| number.wrapping_mul(2_654_435_761) & 0xffff_ff00;
        let mut side = side(12);
        for number in 0..1000 {
            side.add(1, (site(number), site(number) | 255));
        }
        let asked = (1000..2000).filter(|number| side.at(site(*number)) != 0).count();
        assert!(asked < 300, "{asked}");
    }
}
