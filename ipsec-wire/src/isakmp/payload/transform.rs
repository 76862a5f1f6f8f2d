use super::{Attributes, OfferedTransform};
use crate::error::{ErrorKind, WireError};
use crate::isakmp::header::generic;
use crate::reader::Reader;
use crate::registry::PayloadType;

/// One way to protect traffic: an algorithm and its attributes (RFC 2408 §3.6).
///
/// ```text
/// +---------------+---------------+---------------+---------------+
/// |  Transform #  |  Transform-Id |       RESERVED2, ignored      |
/// +---------------+---------------+---------------+---------------+
/// ~                        SA Attributes                          ~
/// +---------------+---------------+---------------+---------------+
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Transform<'a> {
    /// The number that the offer gives it.
    pub number: u8,
    /// The algorithm, in the registry of the proposal's protocol.
    pub id: u8,
    /// Its attributes.
    pub attributes: Attributes<'a>,
}

impl<'a> Transform<'a> {
    /// Reads a transform payload, generic header included.
    fn parse(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let next_fault = reader.error(ErrorKind::NextPayload, "transform next payload");
        let (next, mut body) = generic(reader)?;
        let expected = if reader.is_empty() { PayloadType::NONE } else { PayloadType::TRANSFORM };
        if next != expected {
            return Err(next_fault);
        }
        let number = body.u8("transform number")?;
        let id = body.u8("transform id")?;
        body.u16("reserved")?;
        Ok(Self { number, id, attributes: Attributes::parse(body)? })
    }

    /// Returns the owned form.
    pub fn to_offered(&self) -> OfferedTransform {
        let attributes = self.attributes.iter().map(|attribute| attribute.to_owned()).collect();
        OfferedTransform { number: self.number, id: self.id, attributes }
    }
}

/// The transforms of a proposal, in order.
#[derive(Clone, Copy, Debug)]
pub struct Transforms<'a> {
    rest: Reader<'a>,
}

impl<'a> Transforms<'a> {
    /// Checks the transforms that fill `octets`, and returns them with their count; at most `limit`.
    pub(super) fn parse(octets: Reader<'a>, limit: usize) -> Result<(Self, usize), WireError> {
        let mut rest = octets;
        let mut count: usize = 0;
        while !rest.is_empty() {
            if count == limit {
                return Err(rest.error(ErrorKind::TooMany, "transforms"));
            }
            Transform::parse(&mut rest)?;
            count = count.saturating_add(1);
        }
        Ok((Self { rest: octets }, count))
    }
}

impl<'a> Iterator for Transforms<'a> {
    type Item = Transform<'a>;

    fn next(&mut self) -> Option<Transform<'a>> {
        // The chain was checked, so only its end is an error.
        Transform::parse(&mut self.rest).ok()
    }
}
