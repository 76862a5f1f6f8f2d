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
    /// Reads a transform payload, generic header included; its attributes are not looked at.
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let offset = reader.offset();
        let (next, mut body) = generic(reader)?;
        let expected = if reader.is_empty() { PayloadType::NONE } else { PayloadType::TRANSFORM };
        if next != expected {
            return Err(WireError::new(ErrorKind::NextPayload, "transform next payload", offset));
        }
        let [number, id, _, _] = body.array("transform number, id and reserved")?;
        Ok(Self { number, id, attributes: Attributes::unchecked(body) })
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
    /// Takes octets that have been checked, or will be.
    pub(super) const fn unchecked(octets: Reader<'a>) -> Self {
        Self { rest: octets }
    }

    /// Checks everything, and returns the count; at most `limit`.
    pub(super) fn check(&self, limit: usize) -> Result<usize, WireError> {
        let mut rest = self.rest;
        let mut count: usize = 0;
        while !rest.is_empty() {
            if count == limit {
                return Err(rest.error(ErrorKind::TooMany, "transforms"));
            }
            Transform::read(&mut rest)?.attributes.check()?;
            count = count.saturating_add(1);
        }
        Ok(count)
    }
}

impl<'a> Iterator for Transforms<'a> {
    type Item = Transform<'a>;

    #[inline]
    fn next(&mut self) -> Option<Transform<'a>> {
        // The chain was checked, so only its end is an error.
        Transform::read(&mut self.rest).ok()
    }
}
