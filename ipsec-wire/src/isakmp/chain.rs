use super::header::GENERIC_LEN;
use super::payload::Emit;
use crate::error::WireError;
use crate::registry::PayloadType;
use crate::writer::Writer;
use alloc::vec::Vec;

/// Builds a payload chain: each payload is announced by the one before it.
///
/// What cannot be written is told by [`finish`](Self::finish).
#[derive(Clone, Debug, Default)]
pub struct ChainBuilder {
    first: PayloadType,
    last: usize,
    octets: Vec<u8>,
    failed: Option<WireError>,
}

impl ChainBuilder {
    /// Returns a chain of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a payload under the number of its type.
    pub fn push<P: Emit + ?Sized>(&mut self, payload: &P) {
        self.push_as(payload.payload_type(), payload);
    }

    /// Appends a payload under another number: a NAT-D payload in the numbering of a draft, say.
    pub fn push_as<P: Emit + ?Sized>(&mut self, payload_type: PayloadType, payload: &P) {
        self.octets.reserve(payload.emitted_len().saturating_add(GENERIC_LEN));
        self.append(payload_type, |writer| payload.emit(writer));
    }

    /// Appends a payload whose body is given as octets.
    pub fn push_body(&mut self, payload_type: PayloadType, body: &[u8]) {
        self.append(payload_type, |writer| writer.octets(body));
    }

    /// Returns the chain.
    ///
    /// # Errors
    /// [`ErrorKind::TooLong`](crate::ErrorKind::TooLong) when something did not fit its length field.
    pub fn finish(self) -> Result<Chain, WireError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(Chain { first: self.first, octets: self.octets }),
        }
    }

    fn append(&mut self, payload_type: PayloadType, body: impl FnOnce(&mut Writer<'_>)) {
        let start = self.octets.len();
        let mut writer = Writer::new(&mut self.octets);
        write_payload(&mut writer, PayloadType::NONE, body);
        if let Err(error) = writer.finish() {
            let error = WireError { offset: error.offset.saturating_add(start), ..error };
            self.failed.get_or_insert(error);
            return;
        }
        if start == 0 {
            self.first = payload_type;
        } else if let Some(next) = self.octets.get_mut(self.last) {
            *next = payload_type.0;
        }
        self.last = start;
    }
}

/// A payload chain ready to be hashed, encrypted, or put behind a header.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Chain {
    first: PayloadType,
    octets: Vec<u8>,
}

impl Chain {
    /// Returns the type of the first payload; [`PayloadType::NONE`] when there is none.
    pub const fn first(&self) -> PayloadType {
        self.first
    }

    /// Returns the octets.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Returns the octets, without copying them.
    pub fn into_octets(self) -> Vec<u8> {
        self.octets
    }

    /// Returns the chain with a payload in front: the HASH that covers all the others, say.
    ///
    /// # Errors
    /// [`ErrorKind::TooLong`](crate::ErrorKind::TooLong) when the payload does not fit its length field.
    pub fn prepended<P: Emit + ?Sized>(&self, payload: &P) -> Result<Self, WireError> {
        let len = payload.emitted_len().saturating_add(GENERIC_LEN).saturating_add(self.octets.len());
        let mut octets = Vec::with_capacity(len);
        let mut writer = Writer::new(&mut octets);
        write_payload(&mut writer, self.first, |writer| payload.emit(writer));
        writer.octets(&self.octets);
        writer.finish()?;
        Ok(Self { first: payload.payload_type(), octets })
    }
}

/// Writes a generic payload header and the body behind it (RFC 2408 §3.2).
pub(crate) fn write_payload(writer: &mut Writer<'_>, next: PayloadType, body: impl FnOnce(&mut Writer<'_>)) {
    let start = writer.len();
    writer.u8(next.0);
    writer.u8(0);
    let length = writer.hole_u16();
    body(writer);
    let written = writer.len().saturating_sub(start);
    writer.fill_u16(length, written, "payload length");
}
