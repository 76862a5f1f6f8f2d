use core::fmt;
use subtle::ConstantTimeEq;

/// A cookie of a session: 0, 4 or 8 octets, RFC 3931 §4.1.
///
/// A cookie guards against misdirected packets and blind insertion. It travels in clear with every
/// packet and status displays show it, so it is no secret; it is compared in constant time all the
/// same, since whoever guesses it may insert frames.
#[derive(Clone, Copy, Default)]
pub struct Cookie {
    /// The octets in network order in the low end; what lies above is zero.
    value: u64,
    length: u8,
}

impl Cookie {
    /// No cookie.
    pub const NONE: Self = Self { value: 0, length: 0 };

    /// Returns a cookie of four octets.
    pub const fn four(octets: [u8; 4]) -> Self {
        Self { value: u32::from_be_bytes(octets) as u64, length: 4 }
    }

    /// Returns a cookie of eight octets.
    pub const fn eight(octets: [u8; 8]) -> Self {
        Self { value: u64::from_be_bytes(octets), length: 8 }
    }

    /// Returns the cookie with these octets, `None` unless there are 0, 4 or 8.
    pub fn from_slice(octets: &[u8]) -> Option<Self> {
        match octets.len() {
            0 => Some(Self::NONE),
            4 => octets.first_chunk().copied().map(Self::four),
            8 => octets.first_chunk().copied().map(Self::eight),
            _ => None,
        }
    }

    /// Returns the number of octets: 0, 4 or 8.
    pub const fn len(self) -> usize {
        self.length as usize
    }

    /// Returns whether there is no cookie.
    pub const fn is_empty(self) -> bool {
        self.length == 0
    }

    /// Writes the octets to the front of `out` and returns how many there are; nothing if there is no room.
    pub fn write(self, out: &mut [u8]) -> usize {
        match self.length {
            4 => out.first_chunk_mut().map(|chunk: &mut [u8; 4]| *chunk = (self.value as u32).to_be_bytes()),
            8 => out.first_chunk_mut().map(|chunk: &mut [u8; 8]| *chunk = self.value.to_be_bytes()),
            _ => None,
        }
        .map_or(0, |()| self.len())
    }

    /// Returns whether `octets` start with this cookie, in constant time; `None` if they are too short for it.
    #[inline]
    pub fn matches(self, octets: &[u8]) -> Option<bool> {
        let value = match self.length {
            0 => return Some(true),
            4 => u64::from(u32::from_be_bytes(*octets.first_chunk()?)),
            _ => u64::from_be_bytes(*octets.first_chunk()?),
        };
        Some(value.ct_eq(&self.value).into())
    }
}

impl PartialEq for Cookie {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && bool::from(self.value.ct_eq(&other.value))
    }
}

impl Eq for Cookie {}

/// The decimal number that routers show, `-` for none.
impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() { f.write_str("-") } else { write!(f, "{}", self.value) }
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length {
            0 => f.write_str("Cookie()"),
            4 => write!(f, "Cookie({:08x})", self.value),
            _ => write!(f, "Cookie({:016x})", self.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_cookie_matches_its_own_octets_and_no_others() {
        let octets = [1, 2, 3, 4, 5, 6, 7, 8];
        for length in [0, 4, 8] {
            let cookie = Cookie::from_slice(&octets[..length]).unwrap();
            assert_eq!(cookie.matches(&octets), Some(true));
            for bit in 0..length * 8 {
                let mut wrong = octets;
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(cookie.matches(&wrong), Some(false), "bit {bit} of {length} octets");
            }
            for short in 0..length {
                assert_eq!(cookie.matches(&octets[..short]), None);
            }
        }
    }

    #[test]
    fn a_written_cookie_is_read_back() {
        for octets in [&b""[..], b"abcd", b"abcdefgh"] {
            let cookie = Cookie::from_slice(octets).unwrap();
            let mut out = [0xee; 9];
            assert_eq!(cookie.write(&mut out), octets.len());
            assert_eq!(&out[..octets.len()], octets);
            assert!(out[octets.len()..].iter().all(|octet| *octet == 0xee));
        }
        for length in [1, 2, 3, 5, 6, 7, 9] {
            assert_eq!(Cookie::from_slice(&[0; 9][..length]), None);
        }
    }

    #[test]
    fn a_cookie_prints_as_the_decimal_number_of_the_router_manual() {
        assert_eq!(format!("{}", Cookie::four(1_680_488_994u32.to_be_bytes())), "1680488994");
        assert_eq!(format!("{}", Cookie::NONE), "-");
    }
}
