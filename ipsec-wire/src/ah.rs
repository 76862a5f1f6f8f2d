//! The Authentication Header.
//!
//! ```text
//! | Next Header   |  Payload Len  |          RESERVED             |
//! |                 Security Parameters Index (SPI)               |
//! |                    Sequence Number Field                      |
//! |                Integrity Check Value-ICV (variable)           |
//! ```
//! (RFC 4302 §2)

use crate::error::{ErrorKind, WireError};
use crate::octets::{read_u8, read_u16, read_u32, span, write};

/// Octets before the ICV.
pub const FIXED_LEN: usize = 12;
/// The protocol number.
pub const PROTOCOL: u8 = 51;

mod at {
    pub(super) const NEXT_HEADER: usize = 0;
    pub(super) const PAYLOAD_LEN: usize = 1;
    pub(super) const RESERVED: usize = 2;
    pub(super) const SPI: usize = 4;
    pub(super) const SEQUENCE: usize = 8;
}

/// A view of an Authentication Header and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct AhHeader<T> {
    octets: T,
}

impl<T: AsRef<[u8]>> AhHeader<T> {
    /// Checks the lengths and makes the view.
    ///
    /// # Errors
    /// Fewer octets than the fixed part or the payload length says, or a payload length below the fixed part.
    pub fn new_checked(octets: T) -> Result<Self, WireError> {
        let bytes = octets.as_ref();
        if bytes.len() < FIXED_LEN {
            return Err(WireError::new(ErrorKind::Truncated, "AH header", bytes.len()));
        }
        let view = Self { octets };
        if view.header_len() < FIXED_LEN || view.header_len() > view.octets.as_ref().len() {
            return Err(WireError::new(ErrorKind::Length, "AH payload length", at::PAYLOAD_LEN));
        }
        Ok(view)
    }

    /// Returns the octets of the header, ICV and its padding included.
    ///
    /// The field counts 32-bit words, minus 2 (RFC 4302 §2.2).
    pub fn header_len(&self) -> usize {
        usize::from(read_u8(self.octets.as_ref(), at::PAYLOAD_LEN)).saturating_add(2).saturating_mul(4)
    }

    /// Returns the kind of what follows the header.
    pub fn next_header(&self) -> u8 {
        read_u8(self.octets.as_ref(), at::NEXT_HEADER)
    }

    /// Returns the reserved field: senders set zero, receivers ignore it but it is under the ICV.
    pub fn reserved(&self) -> u16 {
        read_u16(self.octets.as_ref(), at::RESERVED)
    }

    /// Returns the Security Parameters Index.
    pub fn spi(&self) -> u32 {
        read_u32(self.octets.as_ref(), at::SPI)
    }

    /// Returns the lower 32 bits of the sequence number.
    pub fn sequence(&self) -> u32 {
        read_u32(self.octets.as_ref(), at::SEQUENCE)
    }

    /// Returns the ICV with its padding.
    pub fn icv(&self) -> &[u8] {
        span(self.octets.as_ref(), FIXED_LEN, self.header_len())
    }

    /// Returns what follows the header.
    pub fn payload(&self) -> &[u8] {
        span(self.octets.as_ref(), self.header_len(), self.octets.as_ref().len())
    }
}

/// Writes the header with an ICV of zeros at the start of `octets`; `header_len` counts ICV and padding.
///
/// # Errors
/// A length that is no multiple of four, below 12, above 1028 or beyond `octets`.
pub fn emit_header(
    octets: &mut [u8],
    next_header: u8,
    header_len: usize,
    spi: u32,
    sequence: u32,
) -> Result<(), WireError> {
    let bad = WireError::new(ErrorKind::Length, "AH payload length", at::PAYLOAD_LEN);
    if !header_len.is_multiple_of(4) || header_len < FIXED_LEN {
        return Err(bad);
    }
    let words = u8::try_from(header_len / 4 - 2).map_err(|_| bad)?;
    let header = octets.get_mut(..header_len).ok_or(bad)?;
    header.fill(0);
    write(header, at::NEXT_HEADER, &[next_header, words]);
    write(header, at::SPI, &spi.to_be_bytes());
    write(header, at::SEQUENCE, &sequence.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emitted_header_is_read_back() {
        let mut octets = [0xff; 26];
        emit_header(&mut octets, 6, 24, 0x100, 7).unwrap();
        let view = AhHeader::new_checked(&octets).unwrap();
        assert_eq!((view.next_header(), view.header_len(), view.reserved()), (6, 24, 0));
        assert_eq!((view.spi(), view.sequence()), (0x100, 7));
        assert_eq!((view.icv(), view.payload()), (&[0; 12][..], &[0xff, 0xff][..]));
    }

    #[test]
    fn payload_lengths_of_0_1_and_255_are_held_against_the_octets() {
        let mut octets = [0; 24];
        for (words, good) in [(0, false), (1, true), (4, true), (5, false), (255, false)] {
            octets[1] = words;
            assert_eq!(AhHeader::new_checked(&octets).is_ok(), good, "payload length {words}");
        }
        for len in 0..24 {
            octets[1] = 4;
            assert!(AhHeader::new_checked(&octets[..len]).is_err());
        }
        for header_len in [0, 8, 13, 28, 1032] {
            assert!(emit_header(&mut octets, 6, header_len, 1, 1).is_err());
        }
    }
}
