//! The IP Payload Compression header.
//!
//! ```text
//! |  Next Header  |     Flags     | Compression Parameter Index   |
//! ```
//! (RFC 3173 §3)

use crate::error::{ErrorKind, WireError};
use crate::octets::{read_u8, read_u16, span, write};

/// Octets of the header.
pub const HEADER_LEN: usize = 4;
/// The protocol number.
pub const PROTOCOL: u8 = 108;
/// The well-known index of DEFLATE (RFC 2394).
pub const CPI_DEFLATE: u16 = 2;
/// The well-known index of LZS (RFC 2395).
pub const CPI_LZS: u16 = 3;

mod at {
    pub(super) const NEXT_HEADER: usize = 0;
    pub(super) const FLAGS: usize = 1;
    pub(super) const CPI: usize = 2;
}

/// A view of an IPComp datagram: header and compressed octets.
#[derive(Clone, Copy, Debug)]
pub struct IpcompDatagram<T> {
    octets: T,
}

impl<T: AsRef<[u8]>> IpcompDatagram<T> {
    /// Checks the length and makes the view.
    ///
    /// # Errors
    /// Fewer than four octets.
    pub fn new_checked(octets: T) -> Result<Self, WireError> {
        match octets.as_ref().len() {
            HEADER_LEN.. => Ok(Self { octets }),
            len => Err(WireError::new(ErrorKind::Truncated, "IPComp header", len)),
        }
    }

    /// Returns the kind of the compressed payload.
    pub fn next_header(&self) -> u8 {
        read_u8(self.octets.as_ref(), at::NEXT_HEADER)
    }

    /// Returns the flags: reserved, ignored by receivers.
    pub fn flags(&self) -> u8 {
        read_u8(self.octets.as_ref(), at::FLAGS)
    }

    /// Returns the Compression Parameter Index.
    pub fn cpi(&self) -> u16 {
        read_u16(self.octets.as_ref(), at::CPI)
    }

    /// Returns the compressed octets.
    pub fn payload(&self) -> &[u8] {
        span(self.octets.as_ref(), HEADER_LEN, self.octets.as_ref().len())
    }
}

/// Returns the header.
pub fn emit_header(next_header: u8, cpi: u16) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    write(&mut header, at::NEXT_HEADER, &[next_header, 0]);
    write(&mut header, at::CPI, &cpi.to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emitted_header_is_read_back() {
        let header = emit_header(4, CPI_DEFLATE);
        let view = IpcompDatagram::new_checked(&header).unwrap();
        assert_eq!((view.next_header(), view.flags(), view.cpi(), view.payload()), (4, 0, 2, &[][..]));
        for len in 0..4 {
            assert!(IpcompDatagram::new_checked(&header[..len]).is_err());
        }
    }
}
