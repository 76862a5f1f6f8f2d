use super::reader::Reader;
use crate::error::{WireError, WireErrorKind};
use crate::registry::{AttributeType, VendorId};

const MANDATORY: u16 = 0x8000;
const HIDDEN: u16 = 0x4000;
const LENGTH_MASK: u16 = 0x03ff;
/// The octets of an AVP header, and so the least value of its length field.
pub(super) const AVP_HEADER: usize = 6;
/// The greatest value of the length field of an AVP.
pub(super) const MAX_AVP: usize = 0x03ff;

/// The most AVPs one message may carry: the longest lawful message has about 25.
pub const MAX_AVPS: usize = 128;

/// One AVP as it arrived, RFC 3931 §5.1.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |M|H| rsvd  |      Length       |           Vendor ID           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |         Attribute Type        |        Attribute Value ...
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avp<'a> {
    /// The M bit: it matters only to a receiver that does not know the AVP.
    pub mandatory: bool,
    /// The H bit: the value is hidden.
    pub hidden: bool,
    /// Whose numbers `attribute` is one of.
    pub vendor: VendorId,
    /// The type.
    pub attribute: AttributeType,
    /// The value, hidden or not.
    pub value: &'a [u8],
    /// The offset of the AVP in the message.
    pub offset: usize,
}

impl Avp<'_> {
    /// Returns whether this is the IETF's AVP of the given type.
    pub fn is(&self, attribute: AttributeType) -> bool {
        self.vendor == VendorId::IETF && self.attribute == attribute
    }
}

/// The AVPs of a message, one by one. After an error there are no more.
#[derive(Clone, Debug)]
pub struct Avps<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Avps<'a> {
    /// Returns an iterator over the AVPs in `octets`, which stand at `offset` of the message.
    pub const fn new(octets: &'a [u8], offset: usize) -> Self {
        Self { reader: Reader::at(octets, offset), left: MAX_AVPS }
    }

    fn parse_next(&mut self) -> Result<Avp<'a>, WireError> {
        let offset = self.reader.offset();
        self.left = self.left.checked_sub(1).ok_or(WireError::new(WireErrorKind::TooManyAvps, "AVPs", offset))?;
        let word = self.reader.u16("AVP header")?;
        let vendor = self.reader.u16("AVP vendor")?;
        let attribute = self.reader.u16("AVP type")?;
        let length = usize::from(word & LENGTH_MASK);
        let bad_length = WireError::new(WireErrorKind::BadLength, "AVP length", offset);
        let value_length = length.checked_sub(AVP_HEADER).ok_or(bad_length)?;
        let value = self.reader.take(value_length, "AVP value").map_err(|_| bad_length)?;
        Ok(Avp {
            mandatory: word & MANDATORY != 0,
            hidden: word & HIDDEN != 0,
            vendor: VendorId(u32::from(vendor)),
            attribute: AttributeType(attribute),
            value,
            offset,
        })
    }
}

impl<'a> Iterator for Avps<'a> {
    type Item = Result<Avp<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let next = self.parse_next();
        if next.is_err() {
            self.reader = Reader::at(&[], self.reader.offset());
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn every_length_field_from_0_to_1023_ends_the_walk_or_moves_on() {
        let mut octets = alloc::vec![0u8; 40];
        octets[0] = 0x80;
        for length in 0..=1023u16 {
            octets[0] = 0x80 | (length >> 8) as u8;
            octets[1] = length as u8;
            let walked: Vec<_> = Avps::new(&octets, 0).collect();
            let first = walked[0];
            if (6..=40).contains(&length) {
                assert_eq!(first.unwrap().value.len(), usize::from(length) - 6);
            } else {
                assert_eq!(walked.len(), 1);
                assert_eq!(first.unwrap_err().kind, WireErrorKind::BadLength);
            }
        }
    }

    #[test]
    fn a_zero_length_avp_ends_the_walk_with_an_error() {
        let walked: Vec<_> = Avps::new(&[0x80, 2, 0, 0, 0, 0, 0], 12).collect();
        assert_eq!(walked.len(), 1);
        assert_eq!(walked[0], Err(WireError::new(WireErrorKind::BadLength, "AVP length", 12)));
    }

    #[test]
    fn the_type_is_known_together_with_the_vendor() {
        let avp = Avps::new(&[0x80, 8, 0, 9, 0, 2, 0, 5], 0).next().unwrap().unwrap();
        assert!(!avp.is(AttributeType::PROTOCOL_VERSION));
        assert_eq!((avp.vendor, avp.attribute), (VendorId::CISCO, AttributeType(2)));
    }

    #[test]
    fn a_message_of_nothing_but_avps_is_cut_at_the_limit() {
        let octets = [0, 6, 0, 0, 1, 0].repeat(MAX_AVPS + 1);
        let walked: Vec<_> = Avps::new(&octets, 0).collect();
        assert_eq!(walked.len(), MAX_AVPS + 1);
        assert_eq!(walked[MAX_AVPS].unwrap_err().kind, WireErrorKind::TooManyAvps);
    }
}
