use crate::error::{ErrorKind, WireError};
use crate::isakmp::limits;
use crate::reader::Reader;
use crate::writer::Writer;
use alloc::vec::Vec;
use core::fmt;

/// A data attribute: a class and a value (RFC 2408 §3.3).
///
/// ```text
/// +-+-------------+---------------+---------------+---------------+
/// |F|       Attribute Type        |  F=0: Length, F=1: Value      |
/// +-+-------------+---------------+---------------+---------------+
/// ~                        F=0: Value                             ~
/// +---------------+---------------+---------------+---------------+
/// ```
///
/// `Debug` shows the length of a variable value and not the value: it may be a password.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attribute<B> {
    /// What it is about; 15 bits.
    pub class: u16,
    /// The value, in the form it has on the wire.
    pub value: AttributeValue<B>,
}

/// The value of an attribute, in one of the two forms of the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttributeValue<B> {
    /// Type and value (TV): 16 bits.
    Basic(u16),
    /// Type, length and value (TLV): any octets.
    Variable(B),
}

/// The bit that tells a basic attribute from a variable one.
const BASIC: u16 = 0x8000;

impl<B> Attribute<B> {
    /// Returns an attribute in basic form.
    pub fn basic(class: impl Into<u16>, value: impl Into<u16>) -> Self {
        Self { class: class.into(), value: AttributeValue::Basic(value.into()) }
    }

    /// Returns an attribute in variable form.
    pub fn variable(class: impl Into<u16>, value: B) -> Self {
        Self { class: class.into(), value: AttributeValue::Variable(value) }
    }
}

impl Attribute<Vec<u8>> {
    /// Returns an attribute of a number: in basic form if it fits, else in four octets, else in eight.
    pub fn number(class: impl Into<u16>, value: u64) -> Self {
        if let Ok(short) = u16::try_from(value) {
            Self::basic(class, short)
        } else if let Ok(word) = u32::try_from(value) {
            Self::variable(class, word.to_be_bytes().to_vec())
        } else {
            Self::variable(class, value.to_be_bytes().to_vec())
        }
    }
}

impl<B: AsRef<[u8]>> Attribute<B> {
    /// Returns the value as a number, whatever its form.
    ///
    /// # Errors
    /// [`ErrorKind::Empty`] for a variable value of no octets, [`ErrorKind::Range`] for more than eight.
    pub fn to_u64(&self) -> Result<u64, ErrorKind> {
        match &self.value {
            AttributeValue::Basic(value) => Ok(u64::from(*value)),
            AttributeValue::Variable(octets) => match octets.as_ref() {
                [] => Err(ErrorKind::Empty),
                octets if octets.len() > 8 => Err(ErrorKind::Range),
                octets => Ok(octets.iter().fold(0, |value, octet| (value << 8) | u64::from(*octet))),
            },
        }
    }

    /// Returns the value as a number of 16 bits, whatever its form.
    ///
    /// # Errors
    /// As [`to_u64`](Self::to_u64), and [`ErrorKind::Range`] for a larger number: nothing is cut.
    pub fn to_u16(&self) -> Result<u16, ErrorKind> {
        self.to_u64()?.try_into().map_err(|_| ErrorKind::Range)
    }

    /// Returns the octets of a variable value; `None` for a basic one.
    pub fn octets(&self) -> Option<&[u8]> {
        match &self.value {
            AttributeValue::Basic(_) => None,
            AttributeValue::Variable(octets) => Some(octets.as_ref()),
        }
    }

    /// Returns a copy that owns its octets.
    pub fn to_owned(&self) -> Attribute<Vec<u8>> {
        let value = match &self.value {
            AttributeValue::Basic(value) => AttributeValue::Basic(*value),
            AttributeValue::Variable(octets) => AttributeValue::Variable(octets.as_ref().to_vec()),
        };
        Attribute { class: self.class, value }
    }

    /// Returns the octets that [`emit`](Self::emit) writes.
    pub fn emitted_len(&self) -> usize {
        4usize.saturating_add(self.octets().map_or(0, <[u8]>::len))
    }

    /// Writes the attribute.
    pub fn emit(&self, writer: &mut Writer<'_>) {
        if self.class & BASIC != 0 {
            writer.fail(ErrorKind::Range, "attribute type");
        }
        match &self.value {
            AttributeValue::Basic(value) => {
                writer.u16(self.class | BASIC);
                writer.u16(*value);
            }
            AttributeValue::Variable(octets) => {
                writer.u16(self.class);
                writer.count_u16(octets.as_ref().len(), "attribute length");
                writer.octets(octets.as_ref());
            }
        }
    }
}

impl<'a> Attribute<&'a [u8]> {
    #[inline]
    fn parse(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let [high, low, word @ ..] = reader.array::<4>("attribute")?;
        let (class, word) = (u16::from_be_bytes([high, low]), u16::from_be_bytes(word));
        if class & BASIC != 0 {
            return Ok(Self { class: class & !BASIC, value: AttributeValue::Basic(word) });
        }
        let octets = reader.octets(usize::from(word), "attribute value")?;
        Ok(Self { class, value: AttributeValue::Variable(octets) })
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Attribute<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            AttributeValue::Basic(value) => write!(f, "Attribute({}: {value})", self.class),
            AttributeValue::Variable(octets) => {
                write!(f, "Attribute({}: {} octets)", self.class, octets.as_ref().len())
            }
        }
    }
}

/// A list of attributes in place, checked.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    octets: Reader<'a>,
}

impl<'a> Attributes<'a> {
    /// Reads a list that must fill the octets.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] inside an attribute, [`ErrorKind::TooMany`] beyond [`limits::ATTRIBUTES`].
    pub fn parse(octets: impl Into<Reader<'a>>) -> Result<Self, WireError> {
        let list = Self::unchecked(octets.into());
        list.check()?;
        Ok(list)
    }

    /// Reads a list as [`parse`](Self::parse), but ignores one to three octets at the end, which
    /// can be no attribute: some peers pad inside the payload.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_padded(octets: impl Into<Reader<'a>>) -> Result<Self, WireError> {
        let mut whole = octets.into();
        let left = walk(whole, 3)?;
        let octets = whole.sub(whole.len().saturating_sub(left), "attributes")?;
        Ok(Self { octets })
    }

    /// Takes octets that have been checked, or will be.
    #[inline]
    pub(super) const fn unchecked(octets: Reader<'a>) -> Self {
        Self { octets }
    }

    /// Checks the list.
    #[inline]
    pub(super) fn check(&self) -> Result<(), WireError> {
        walk(self.octets, 0).map(|_| ())
    }

    /// Returns the attributes in order.
    pub const fn iter(&self) -> AttributesIter<'a> {
        AttributesIter { rest: self.octets }
    }

    /// Returns the first attribute of a class.
    pub fn find(&self, class: impl Into<u16>) -> Option<Attribute<&'a [u8]>> {
        let class = class.into();
        self.iter().find(|attribute| attribute.class == class)
    }

    /// Returns the octets of the list.
    pub const fn octets(&self) -> &'a [u8] {
        self.octets.peek_rest()
    }
}

impl<'a> IntoIterator for Attributes<'a> {
    type Item = Attribute<&'a [u8]>;
    type IntoIter = AttributesIter<'a>;

    fn into_iter(self) -> AttributesIter<'a> {
        self.iter()
    }
}

/// Walks attributes until at most `spare` octets are left, and returns how many are.
#[inline]
fn walk(mut rest: Reader<'_>, spare: usize) -> Result<usize, WireError> {
    let mut count: usize = 0;
    while rest.len() > spare {
        if count == limits::ATTRIBUTES {
            return Err(rest.error(ErrorKind::TooMany, "attributes"));
        }
        Attribute::parse(&mut rest)?;
        count = count.saturating_add(1);
    }
    Ok(rest.len())
}

/// The attributes of a list, in order.
#[derive(Clone, Copy, Debug)]
pub struct AttributesIter<'a> {
    rest: Reader<'a>,
}

impl<'a> Iterator for AttributesIter<'a> {
    type Item = Attribute<&'a [u8]>;

    #[inline]
    fn next(&mut self) -> Option<Attribute<&'a [u8]>> {
        // The list was checked, so only its end is an error.
        Attribute::parse(&mut self.rest).ok()
    }
}
