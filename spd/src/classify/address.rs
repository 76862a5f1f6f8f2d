use crate::Family;
use core::fmt::Debug;

/// An address of one family as a number.
pub(crate) trait Address: Copy + Ord + Debug {
    /// Bits of an address.
    const BITS: u32;
    /// Which family the addresses are of.
    const FAMILY: Family;
    /// Zero.
    const ZERO: Self;
    /// The prefix lengths that tables are made for before they are made for more.
    const COARSE: &'static [u32];
    /// The bits of both addresses together that make a table tell enough apart without ports, where there are many
    /// tables.
    const ENOUGH: u32;
    /// Those that do where there are few.
    const PLENTY: u32;

    /// How an entry keeps where its range ends.
    type End: Copy + Debug + PartialEq;
    /// What entries are aligned as: to a cache line, where they fill one.
    type Alignment: Copy + Debug;

    fn from_bits(bits: u128) -> Self;
    fn bits(self) -> u128;
    /// Both addresses as the first words of a flat key, the local one first, its first bit the highest.
    fn words(local: Self, remote: Self) -> [u64; 4];
    /// The mask of the first `length` bits.
    fn prefix(length: u32) -> Self;
    fn and(self, mask: Self) -> Self;
    /// Both addresses as one number, to be hashed.
    fn join(local: Self, remote: Self) -> u64;
    /// The first bits, as many as the longest of `COARSE`.
    fn site(self) -> u64;
    /// The lowest bits after the last `shift`.
    fn shifted(self, shift: u32) -> usize;
    fn common_prefix(first: Self, last: Self) -> u32;
    /// The range as an entry keeps it, and whether that is no wider.
    fn keep(first: Self, last: Self) -> (Self, Self::End, bool);
    /// The last address of a range that is kept so.
    fn last(first: Self, end: Self::End) -> Self;
    /// Whether the address lies in a range that is kept so.
    fn lies_in(self, first: Self, end: Self::End) -> bool;
}

/// As long as a line of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct CacheLine;

/// The end is the last address.
impl Address for u32 {
    const BITS: u32 = 32;
    const FAMILY: Family = Family::V4;
    const ZERO: Self = 0;
    const COARSE: &'static [u32] = &[24, 16, 8];
    const ENOUGH: u32 = 24;
    const PLENTY: u32 = 32;

    type End = u32;
    type Alignment = CacheLine;

    fn from_bits(bits: u128) -> Self {
        bits as u32
    }

    fn bits(self) -> u128 {
        self.into()
    }

    #[inline(always)]
    fn words(local: Self, remote: Self) -> [u64; 4] {
        [Self::join(local, remote), 0, 0, 0]
    }

    fn prefix(length: u32) -> Self {
        u32::MAX.checked_shl(32 - length.min(32)).unwrap_or(0)
    }

    #[inline(always)]
    fn and(self, mask: Self) -> Self {
        self & mask
    }

    #[inline(always)]
    fn join(local: Self, remote: Self) -> u64 {
        u64::from(local) << 32 | u64::from(remote)
    }

    #[inline(always)]
    fn site(self) -> u64 {
        (self >> 8).into()
    }

    #[inline(always)]
    fn shifted(self, shift: u32) -> usize {
        (self >> (shift & 31)) as usize
    }

    fn common_prefix(first: Self, last: Self) -> u32 {
        (first ^ last).leading_zeros()
    }

    fn keep(first: Self, last: Self) -> (Self, u32, bool) {
        (first, last, true)
    }

    fn last(_: Self, end: u32) -> Self {
        end
    }

    #[inline(always)]
    fn lies_in(self, first: Self, end: u32) -> bool {
        (first <= self) & (self <= end)
    }
}

/// The end is a prefix length: a range that is no prefix is kept as the shortest that holds it, and the policy
/// itself is asked. That spares 30 of an entry's 110 octets, and nearly every range of IPv6 is a prefix.
impl Address for u128 {
    const BITS: u32 = 128;
    const FAMILY: Family = Family::V6;
    const ZERO: Self = 0;
    const COARSE: &'static [u32] = &[64, 56, 48, 40, 32, 16];
    const ENOUGH: u32 = 64;
    const PLENTY: u32 = 96;

    type End = u8;
    type Alignment = ();

    fn from_bits(bits: u128) -> Self {
        bits
    }

    fn bits(self) -> u128 {
        self
    }

    #[inline(always)]
    fn words(local: Self, remote: Self) -> [u64; 4] {
        [(local >> 64) as u64, local as u64, (remote >> 64) as u64, remote as u64]
    }

    fn prefix(length: u32) -> Self {
        u128::MAX.checked_shl(128 - length.min(128)).unwrap_or(0)
    }

    #[inline(always)]
    fn and(self, mask: Self) -> Self {
        self & mask
    }

    #[inline(always)]
    fn join(local: Self, remote: Self) -> u64 {
        mix((local >> 64) as u64, local as u64) ^ mix(remote as u64, (remote >> 64) as u64)
    }

    #[inline(always)]
    fn site(self) -> u64 {
        (self >> 64) as u64
    }

    #[inline(always)]
    fn shifted(self, shift: u32) -> usize {
        (self >> (shift & 127)) as usize
    }

    fn common_prefix(first: Self, last: Self) -> u32 {
        (first ^ last).leading_zeros()
    }

    fn keep(first: Self, last: Self) -> (Self, u8, bool) {
        let length = Self::common_prefix(first, last);
        let prefix = first & Self::prefix(length);
        (prefix, length as u8, (first, last) == (prefix, Self::last(prefix, length as u8)))
    }

    fn last(first: Self, length: u8) -> Self {
        first | !Self::prefix(length.into())
    }

    #[inline(always)]
    fn lies_in(self, first: Self, length: u8) -> bool {
        (self ^ first).leading_zeros() >= u32::from(length)
    }
}

/// Mixes two numbers into one: a wide product, folded.
#[inline(always)]
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xd1b5_4a32_d192_ed03);
    (product as u64) ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_kept_range_holds_all_of_the_range_and_says_whether_more(a in any::<u128>(), b in any::<u128>(), shift in 0u32..128) {
            let (first, last) = ((a >> shift).min(b >> shift), (a >> shift).max(b >> shift));
            let (prefix, end, exact) = u128::keep(first, last);
            prop_assert!(first.lies_in(prefix, end) && last.lies_in(prefix, end));
            prop_assert!(prefix <= first && last <= u128::last(prefix, end));
            prop_assert_eq!(exact, (first, last) == (prefix, u128::last(prefix, end)));
            for outside in [prefix.checked_sub(1), u128::last(prefix, end).checked_add(1)].into_iter().flatten() {
                prop_assert!(!outside.lies_in(prefix, end));
            }
            let (low, high) = (first as u32, last as u32);
            let (low, high) = (low.min(high), low.max(high));
            prop_assert_eq!(u32::keep(low, high), (low, high, true));
        }
    }
}
