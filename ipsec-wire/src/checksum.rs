//! The Internet checksum.

use core::net::{Ipv4Addr, Ipv6Addr};

/// A running ones' complement sum over octets (RFC 1071).
///
/// Pieces of odd length may follow each other: the sum remembers where in a 16-bit word it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum {
    sum: u64,
    odd: bool,
}

impl Checksum {
    /// Returns the sum over nothing.
    pub const fn new() -> Self {
        Self { sum: 0, odd: false }
    }

    /// Returns the sum over the pseudo-header of IPv4 (RFC 793 §3.1).
    pub fn pseudo_ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u16) -> Self {
        Self::new().with(&source.octets()).with(&destination.octets()).with_u16(protocol.into()).with_u16(length)
    }

    /// Returns the sum over the pseudo-header of IPv6 (RFC 8200 §8.1).
    pub fn pseudo_ipv6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: u32) -> Self {
        Self::new()
            .with(&source.octets())
            .with(&destination.octets())
            .with(&length.to_be_bytes())
            .with_u16(protocol.into())
    }

    /// Adds octets.
    #[must_use]
    pub fn with(mut self, octets: &[u8]) -> Self {
        let rest = match (self.odd, octets.split_first()) {
            (true, Some((&low, rest))) => {
                self.sum += u64::from(low);
                self.odd = false;
                rest
            }
            (_, _) => octets,
        };
        let (words, tail) = rest.as_chunks::<2>();
        // A datagram has at most 32768 words of 16 bits: 64 bits never overflow in a lifetime.
        self.sum += words.iter().map(|&word| u64::from(u16::from_be_bytes(word))).sum::<u64>();
        if let &[high] = tail {
            self.sum += u64::from(high) << 8;
            self.odd = true;
        }
        self
    }

    /// Adds a 16-bit word; the sum must stand at an even octet.
    #[must_use]
    pub fn with_u16(self, word: u16) -> Self {
        self.with(&word.to_be_bytes())
    }

    /// Returns the checksum to put on the wire.
    pub const fn finish(self) -> u16 {
        !fold(self.sum)
    }

    /// Returns whether octets that include their own checksum sum up right.
    pub const fn is_valid(self) -> bool {
        fold(self.sum) == 0xffff
    }
}

/// Returns a checksum after one 16-bit word under it changed from `old` to `new`.
///
/// `HC' = ~(~HC + ~m + m')` (RFC 1624 §3, equation 3).
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    // Each term is below 2^16: no overflow.
    !fold(!checksum as u64 + !old as u64 + new as u64)
}

const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn the_example_of_rfc_1071_sums_to_ddf2() {
        let sum = Checksum::new().with(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), !0xddf2);
    }

    #[test]
    fn the_examples_of_rfc_1624_update_without_the_two_zeros_trap() {
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    proptest! {
        #[test]
        fn pieces_sum_like_the_whole(octets: Vec<u8>, cut: usize) {
            let cut = cut % (octets.len() + 1);
            let pieces = Checksum::new().with(&octets[..cut]).with(&octets[cut..]);
            prop_assert_eq!(pieces.finish(), Checksum::new().with(&octets).finish());
        }

        #[test]
        fn an_update_equals_a_new_sum(mut octets in proptest::collection::vec(any::<u8>(), 4..64), new: u16) {
            octets.truncate(octets.len() & !1);
            octets[0] |= 1; // an all-zero string has two checksums
            let before = Checksum::new().with(&octets).finish();
            let old = u16::from_be_bytes([octets[2], octets[3]]);
            octets[2..4].copy_from_slice(&new.to_be_bytes());
            prop_assert_eq!(update(before, old, new), Checksum::new().with(&octets).finish());
        }

        #[test]
        fn octets_with_their_checksum_are_valid(mut octets in proptest::collection::vec(any::<u8>(), 2..64)) {
            octets[0] = 0;
            octets[1] = 0;
            let sum = Checksum::new().with(&octets).finish();
            octets[..2].copy_from_slice(&sum.to_be_bytes());
            prop_assert!(Checksum::new().with(&octets).is_valid());
        }
    }
}
