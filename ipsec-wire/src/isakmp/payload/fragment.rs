use super::Emit;
use crate::error::{ErrorKind, WireError};
use crate::reader::Reader;
use crate::registry::PayloadType;
use crate::writer::Writer;
use alloc::vec::Vec;

/// A part of a message that was too long for the path (Cisco and Microsoft, payload 132).
///
/// ```text
/// +---------------+---------------+---------------+---------------+
/// |          Fragment ID          |    Number     |     Flags     |
/// +---------------+---------------+---------------+---------------+
/// ~            a slice of the whole message, header first         ~
/// +---------------+---------------+---------------+---------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment<B> {
    /// Which message it is a part of.
    pub id: u16,
    /// Which part it is; the first is 1.
    pub number: u8,
    /// The flags; bit 0 marks the last part, the others are ignored and kept.
    pub flags: u8,
    /// The part itself.
    pub data: B,
}

impl<B> Fragment<B> {
    /// The flag of the last part.
    pub const LAST: u8 = 1;
    /// The octets before the data.
    pub const FIXED_LEN: usize = 4;

    /// Returns whether it is the last part.
    pub const fn is_last(&self) -> bool {
        self.flags & Self::LAST != 0
    }
}

impl<'a> Fragment<&'a [u8]> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] below the fixed part, [`ErrorKind::Range`] for the number 0,
    /// [`ErrorKind::Empty`] for a part that holds nothing.
    pub fn parse(body: impl Into<Reader<'a>>) -> Result<Self, WireError> {
        let mut reader = body.into();
        let id = reader.u16("fragment id")?;
        let fault = reader.error(ErrorKind::Range, "fragment number");
        let number = reader.u8("fragment number")?;
        let flags = reader.u8("fragment flags")?;
        if number == 0 {
            return Err(fault);
        }
        Ok(Self { id, number, flags, data: reader.some_rest("fragment data")? })
    }
}

impl<B: AsRef<[u8]>> Fragment<B> {
    /// Returns a copy that owns its octets.
    pub fn to_owned(&self) -> Fragment<Vec<u8>> {
        Fragment { id: self.id, number: self.number, flags: self.flags, data: self.data.as_ref().to_vec() }
    }
}

impl<B: AsRef<[u8]>> Emit for Fragment<B> {
    fn payload_type(&self) -> PayloadType {
        PayloadType::FRAGMENT
    }

    fn emitted_len(&self) -> usize {
        self.data.as_ref().len().saturating_add(Self::FIXED_LEN)
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        writer.u16(self.id);
        writer.octets(&[self.number, self.flags]);
        writer.octets(self.data.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_without_data_or_with_number_zero_is_refused() {
        for length in 0..4 {
            assert_eq!(Fragment::parse(&[0, 1, 1, 1][..length]).unwrap_err().kind, ErrorKind::Truncated);
        }
        let empty = Fragment::parse(&[0, 1, 1, 1]).unwrap_err();
        assert_eq!(empty, WireError::new(ErrorKind::Empty, "fragment data", 4));
        let zero = Fragment::parse(&[0, 1, 0, 1, 9]).unwrap_err();
        assert_eq!(zero, WireError::new(ErrorKind::Range, "fragment number", 2));
    }

    #[test]
    fn the_last_part_is_told_by_bit_0_alone() {
        assert!(Fragment::parse(&[0, 1, 2, 0xff, 9]).unwrap().is_last());
        assert!(!Fragment::parse(&[0, 1, 2, 0xfe, 9]).unwrap().is_last());
    }
}
