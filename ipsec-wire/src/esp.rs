//! The Encapsulating Security Payload.
//!
//! ```text
//! |               Security Parameters Index (SPI)                 |
//! |                      Sequence Number                          |
//! |                    Payload Data (variable)                    |
//! |               |     Padding (0-255 octets)                    |
//! |                               |  Pad Length   | Next Header   |
//! |         Integrity Check Value (variable, of the algorithm)    |
//! ```
//! (RFC 4303 §2)

use crate::error::{ErrorKind, WireError};
use crate::octets::{read_u32, span, write};

/// Octets of SPI and sequence number.
pub const HEADER_LEN: usize = 8;
/// Octets of pad length and next header.
pub const TRAILER_LEN: usize = 2;
/// The protocol number.
pub const PROTOCOL: u8 = 50;

mod at {
    pub(super) const SPI: usize = 0;
    pub(super) const SEQUENCE: usize = 4;
}

/// A view of an ESP packet; what follows the header depends on the association.
#[derive(Clone, Copy, Debug)]
pub struct EspPacket<T> {
    octets: T,
}

impl<T: AsRef<[u8]>> EspPacket<T> {
    /// Checks the length and makes the view.
    ///
    /// # Errors
    /// Fewer than eight octets.
    pub fn new_checked(octets: T) -> Result<Self, WireError> {
        match octets.as_ref().len() {
            HEADER_LEN.. => Ok(Self { octets }),
            len => Err(WireError::new(ErrorKind::Truncated, "ESP header", len)),
        }
    }

    /// Returns the Security Parameters Index.
    pub fn spi(&self) -> u32 {
        read_u32(self.octets.as_ref(), at::SPI)
    }

    /// Returns the lower 32 bits of the sequence number.
    pub fn sequence(&self) -> u32 {
        read_u32(self.octets.as_ref(), at::SEQUENCE)
    }

    /// Returns what follows the header: IV, ciphertext, ICV.
    pub fn body(&self) -> &[u8] {
        span(self.octets.as_ref(), HEADER_LEN, self.octets.as_ref().len())
    }
}

/// Writes SPI and the lower 32 bits of the sequence number at the start of `octets`.
///
/// # Errors
/// Fewer than eight octets.
pub fn emit_header(octets: &mut [u8], spi: u32, sequence: u32) -> Result<(), WireError> {
    if octets.len() < HEADER_LEN {
        return Err(WireError::new(ErrorKind::Truncated, "ESP header", octets.len()));
    }
    write(octets, at::SPI, &spi.to_be_bytes());
    write(octets, at::SEQUENCE, &sequence.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emitted_header_is_read_back() {
        let mut octets = [0xff; 10];
        emit_header(&mut octets, 0x0102_0304, 5).unwrap();
        let view = EspPacket::new_checked(&octets).unwrap();
        assert_eq!((view.spi(), view.sequence(), view.body()), (0x0102_0304, 5, &[0xff, 0xff][..]));
    }

    #[test]
    fn fewer_than_eight_octets_are_refused() {
        for len in 0..8 {
            assert!(EspPacket::new_checked(&[0; 8][..len]).is_err());
            assert!(emit_header(&mut [0; 8][..len], 1, 1).is_err());
        }
    }
}
