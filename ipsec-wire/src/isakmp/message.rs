use super::header::{Flags, GENERIC_LEN, Header, generic};
use super::limits;
use crate::error::{ErrorKind, WireError};
use crate::reader::Reader;
use crate::registry::PayloadType;

/// A received message: its header, and its body in place.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    header: Header,
    octets: &'a [u8],
    body: Body<'a>,
}

/// What follows the header of a message.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// A payload chain in clear, checked.
    Clear(Payloads<'a>),
    /// Ciphertext: decrypt it and read the chain with [`Payloads::parse_decrypted`].
    Encrypted(&'a [u8]),
}

/// What a receiver forgives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leniency {
    /// Octets after the length that the header states are ignored: some peers pad the datagram.
    pub trailing_octets: bool,
}

impl<'a> Message<'a> {
    /// Reads a message that must fill `datagram`.
    ///
    /// A message whose first payload is a fragment (132) is read as clear whatever its flags say:
    /// some peers leave the encryption flag of the whole on each part.
    ///
    /// # Errors
    /// Those of [`Header::parse`]; [`ErrorKind::Length`] when the length in the header is not that
    /// of the datagram; for a clear body those of [`Payloads::parse`]; [`ErrorKind::Empty`] for an
    /// encrypted body of no octets.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, WireError> {
        Self::parse_with(datagram, Leniency::default())
    }

    /// Reads a message as [`parse`](Self::parse), but forgives what `leniency` says.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_with(datagram: &'a [u8], leniency: Leniency) -> Result<Self, WireError> {
        let header = Header::parse(datagram)?;
        let fault = WireError::new(ErrorKind::Length, "message length", 24);
        let length = usize::try_from(header.length).map_err(|_| fault)?;
        let octets = datagram.get(..length).ok_or(fault)?;
        if octets.len() != datagram.len() && !leniency.trailing_octets {
            return Err(fault);
        }
        let body = octets.get(Header::LEN..).ok_or(fault)?;
        let encrypted = header.flags.contains(Flags::ENCRYPTION) && header.next_payload != PayloadType::FRAGMENT;
        let body = if !encrypted {
            Body::Clear(Payloads::parse(header.next_payload, Reader::at(body, Header::LEN))?)
        } else if body.is_empty() {
            return Err(WireError::new(ErrorKind::Empty, "encrypted body", Header::LEN));
        } else {
            Body::Encrypted(body)
        };
        Ok(Self { header, octets, body })
    }

    /// Returns the header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Returns what follows the header.
    pub const fn body(&self) -> Body<'a> {
        self.body
    }

    /// Returns the octets of the whole message, as they came.
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }
}

/// A chain of payloads whose generic headers have been checked.
///
/// Payloads are found by the next-payload octet of the one before. Bodies have not been looked at:
/// [`Payload::parse`](super::payload::Payload::parse) does that.
#[derive(Clone, Copy, Debug)]
pub struct Payloads<'a> {
    first: PayloadType,
    chain: Reader<'a>,
    padding: &'a [u8],
    count: usize,
}

impl<'a> Payloads<'a> {
    /// Reads a chain that must fill the octets; `first` is the type of its first payload.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`], [`ErrorKind::Length`] or [`ErrorKind::Reserved`] for a generic
    /// header that is none; [`ErrorKind::Trailing`] for octets after the last payload;
    /// [`ErrorKind::TooMany`] beyond [`limits::PAYLOADS`].
    pub fn parse(first: PayloadType, octets: impl Into<Reader<'a>>) -> Result<Self, WireError> {
        let payloads = Self::walk(first, octets.into())?;
        if payloads.padding.is_empty() {
            return Ok(payloads);
        }
        let end = payloads.chain.offset().saturating_add(payloads.chain.len());
        Err(WireError::new(ErrorKind::Trailing, "payload chain", end))
    }

    /// Reads a chain that was decrypted: whatever follows its last payload is padding
    /// (RFC 2409 appendix B).
    ///
    /// # Errors
    /// As [`parse`](Self::parse), but for `Trailing`.
    pub fn parse_decrypted(first: PayloadType, octets: impl Into<Reader<'a>>) -> Result<Self, WireError> {
        Self::walk(first, octets.into())
    }

    fn walk(first: PayloadType, reader: Reader<'a>) -> Result<Self, WireError> {
        let mut rest = reader;
        let mut next = first;
        let mut count: usize = 0;
        while next != PayloadType::NONE {
            if count == limits::PAYLOADS {
                return Err(rest.error(ErrorKind::TooMany, "payloads"));
            }
            // Each step moves four octets at least, so the walk ends.
            (next, _) = generic(&mut rest)?;
            count = count.saturating_add(1);
        }
        let mut whole = reader;
        let chain = whole.sub(reader.len().saturating_sub(rest.len()), "payload chain")?;
        Ok(Self { first, chain, padding: whole.rest(), count })
    }

    /// Returns the type of the first payload; [`PayloadType::NONE`] when there is none.
    pub const fn first_type(&self) -> PayloadType {
        self.first
    }

    /// Returns the octets of the chain, without padding.
    pub const fn octets(&self) -> &'a [u8] {
        self.chain.peek_rest()
    }

    /// Returns what follows the chain; not empty only when it was decrypted.
    pub const fn padding(&self) -> &'a [u8] {
        self.padding
    }

    /// Returns how many payloads there are.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Returns whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the payloads in order.
    #[inline]
    pub const fn iter(&self) -> PayloadsIter<'a> {
        PayloadsIter { next: self.first, rest: self.chain }
    }

    /// Returns the first payload of a type.
    pub fn find(&self, payload_type: PayloadType) -> Option<RawPayload<'a>> {
        self.iter().find(|payload| payload.payload_type == payload_type)
    }

    /// Returns how many payloads have a type.
    pub fn count_of(&self, payload_type: PayloadType) -> usize {
        self.iter().filter(|payload| payload.payload_type == payload_type).count()
    }

    /// Returns every octet of the chain after a payload of it: what HASH(1) of quick mode and
    /// HASH of an informational or transaction exchange cover (RFC 2409 §5.5, §5.7).
    pub fn after(&self, payload: &RawPayload<'_>) -> &'a [u8] {
        let end = payload.offset.saturating_add(payload.octets.len());
        let skip = end.saturating_sub(self.chain.offset());
        self.octets().get(skip..).unwrap_or_default()
    }
}

impl<'a> IntoIterator for Payloads<'a> {
    type Item = RawPayload<'a>;
    type IntoIter = PayloadsIter<'a>;

    #[inline]
    fn into_iter(self) -> PayloadsIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Payloads<'a> {
    type Item = RawPayload<'a>;
    type IntoIter = PayloadsIter<'a>;

    #[inline]
    fn into_iter(self) -> PayloadsIter<'a> {
        self.iter()
    }
}

/// The payloads of a chain, in order.
#[derive(Clone, Copy, Debug)]
pub struct PayloadsIter<'a> {
    next: PayloadType,
    rest: Reader<'a>,
}

impl<'a> Iterator for PayloadsIter<'a> {
    type Item = RawPayload<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawPayload<'a>> {
        if self.next == PayloadType::NONE {
            return None;
        }
        let payload_type = self.next;
        let offset = self.rest.offset();
        let octets = self.rest.peek_rest();
        // The chain was checked, so nothing here is ever missing; it would end the iteration.
        let (next, body) = generic(&mut self.rest).ok()?;
        let octets = octets.get(..body.len().saturating_add(GENERIC_LEN))?;
        self.next = next;
        Some(RawPayload { payload_type, next_payload: next, offset, octets })
    }
}

impl core::iter::FusedIterator for PayloadsIter<'_> {}

/// One payload of a chain, its body not yet looked at.
#[derive(Clone, Copy, Debug)]
pub struct RawPayload<'a> {
    payload_type: PayloadType,
    next_payload: PayloadType,
    offset: usize,
    octets: &'a [u8],
}

impl<'a> RawPayload<'a> {
    /// Returns its type, as the payload before it (or the header) says.
    pub const fn payload_type(&self) -> PayloadType {
        self.payload_type
    }

    /// Returns the type of the payload after it.
    pub const fn next_payload(&self) -> PayloadType {
        self.next_payload
    }

    /// Returns where its generic header begins.
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Returns its octets, generic header included.
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// Returns its octets after the generic header: `SAi_b`, `IDii_b` and the like of RFC 2409 §5.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        self.octets.get(GENERIC_LEN..).unwrap_or_default()
    }

    /// Returns a reader of its body that counts offsets from the start of the message.
    #[inline]
    pub fn reader(&self) -> Reader<'a> {
        Reader::at(self.body(), self.offset.saturating_add(GENERIC_LEN))
    }
}

impl<'a> From<RawPayload<'a>> for Reader<'a> {
    #[inline]
    fn from(payload: RawPayload<'a>) -> Self {
        payload.reader()
    }
}

impl<'a> From<&RawPayload<'a>> for Reader<'a> {
    #[inline]
    fn from(payload: &RawPayload<'a>) -> Self {
        payload.reader()
    }
}
