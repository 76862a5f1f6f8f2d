use super::Emit;
use crate::error::WireError;
use crate::reader::Reader;
use crate::registry::PayloadType;
use crate::writer::Writer;
use alloc::vec::Vec;

/// A payload of group key management (SAK, SAT, KD, SEQ, POP, GAP: RFC 3547 §5), kept as octets.
///
/// The numbers 15 and 16 mean NAT-D and NAT-OA between peers that chose one of the drafts 04 to 08
/// of NAT traversal: see [`NatNumbering`](super::NatNumbering).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupKey<B> {
    /// Which of them it is.
    pub payload_type: PayloadType,
    /// The body, which may be empty.
    pub data: B,
}

impl<'a> GroupKey<&'a [u8]> {
    /// Takes a body as it is.
    ///
    /// # Errors
    /// None today.
    pub fn parse(payload_type: PayloadType, body: impl Into<Reader<'a>>) -> Result<Self, WireError> {
        Ok(Self { payload_type, data: body.into().rest() })
    }

    /// Returns whether a number is one of group key management.
    pub fn is_group_key(payload_type: PayloadType) -> bool {
        (PayloadType::SA_KEK..=PayloadType::PROOF_OF_POSSESSION).contains(&payload_type)
            || payload_type == PayloadType::GROUP_ASSOCIATED_POLICY
    }
}

impl<B: AsRef<[u8]>> GroupKey<B> {
    /// Returns a copy that owns its octets.
    pub fn to_owned(&self) -> GroupKey<Vec<u8>> {
        GroupKey { payload_type: self.payload_type, data: self.data.as_ref().to_vec() }
    }
}

impl<B: AsRef<[u8]>> Emit for GroupKey<B> {
    fn payload_type(&self) -> PayloadType {
        self.payload_type
    }

    fn emitted_len(&self) -> usize {
        self.data.as_ref().len()
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        writer.octets(self.data.as_ref());
    }
}
