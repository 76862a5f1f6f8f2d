//! Messages that are wrong on purpose, for fuzzers and for the tests of peers.
//!
//! Everything that [`ChainBuilder`](super::ChainBuilder) fills in can be given another value here:
//! versions, lengths, counts, next payloads, reserved octets. Nothing is checked.

use super::{Cookie, Flags, Header, MessageId};
use crate::error::WireError;
use crate::isakmp::message::{Body, Message};
use crate::registry::{ExchangeType, PayloadType, ProtocolId};
use alloc::vec;
use alloc::vec::Vec;

/// A message that may be wrong in any way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct BrokenMessage {
    /// The cookie of the side that began.
    pub initiator_cookie: Cookie,
    /// The cookie of the other side.
    pub responder_cookie: Cookie,
    /// The type of the first payload; `None` for the truth.
    pub next_payload: Option<PayloadType>,
    /// The version octet; `None` for 1.0.
    pub version: Option<u8>,
    /// The kind of exchange.
    pub exchange: ExchangeType,
    /// The flags.
    pub flags: Flags,
    /// The message id.
    pub message_id: MessageId,
    /// The length; `None` for the truth.
    pub length: Option<u32>,
    /// The payloads.
    pub payloads: Vec<BrokenPayload>,
    /// Octets after the last payload, inside the true length.
    pub trailing: Vec<u8>,
}

/// A payload, proposal or transform that may be wrong in any way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct BrokenPayload {
    /// What the item before it announces.
    pub payload_type: PayloadType,
    /// What it announces; `None` for the truth.
    pub next_payload: Option<PayloadType>,
    /// The reserved octet.
    pub reserved: u8,
    /// The length; `None` for the truth, cut to its field.
    pub length: Option<u16>,
    /// The body.
    pub body: Vec<Part>,
}

/// A piece of the body of a [`BrokenPayload`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Octets.
    Octets(Vec<u8>),
    /// Items with generic headers: the proposals of an SA, the transforms of a proposal.
    Items(Vec<BrokenPayload>),
}

impl BrokenMessage {
    /// Takes a sound message, to be changed.
    ///
    /// # Errors
    /// Those of [`Message::parse`].
    pub fn from_sound(datagram: &[u8]) -> Result<Self, WireError> {
        let message = Message::parse(datagram)?;
        let header = message.header();
        let (payloads, trailing) = match message.body() {
            Body::Encrypted(ciphertext) => (vec![], ciphertext.to_vec()),
            Body::Clear(chain) => {
                let payloads = chain.iter().map(|raw| BrokenPayload::new(raw.payload_type(), raw.body().to_vec()));
                (payloads.collect(), vec![])
            }
        };
        Ok(Self {
            initiator_cookie: header.initiator_cookie,
            responder_cookie: header.responder_cookie,
            next_payload: Some(header.next_payload),
            version: None,
            exchange: header.exchange,
            flags: header.flags,
            message_id: header.message_id,
            length: None,
            payloads,
            trailing,
        })
    }

    /// Returns the octets.
    pub fn to_octets(&self) -> Vec<u8> {
        let mut body = vec![];
        let first = emit_chain(&self.payloads, &mut body);
        body.extend_from_slice(&self.trailing);
        let length = u32::try_from(body.len().saturating_add(Header::LEN)).unwrap_or(u32::MAX);
        let mut out = Vec::with_capacity(body.len().saturating_add(Header::LEN));
        out.extend_from_slice(&self.initiator_cookie.0);
        out.extend_from_slice(&self.responder_cookie.0);
        out.push(self.next_payload.unwrap_or(first).0);
        out.push(self.version.unwrap_or(Header::VERSION));
        out.extend_from_slice(&[self.exchange.0, self.flags.0]);
        out.extend_from_slice(&self.message_id.to_octets());
        out.extend_from_slice(&self.length.unwrap_or(length).to_be_bytes());
        out.append(&mut body);
        out
    }
}

impl BrokenPayload {
    /// Returns a payload that is right but for what its body says.
    pub fn new(payload_type: PayloadType, body: Vec<u8>) -> Self {
        Self { payload_type, body: vec![Part::Octets(body)], ..Self::default() }
    }

    /// Returns an SA payload of the IPsec domain with these proposals.
    pub fn security_association(proposals: Vec<Self>) -> Self {
        let head = vec![0, 0, 0, 1, 0, 0, 0, 1];
        Self {
            payload_type: PayloadType::SA,
            body: vec![Part::Octets(head), Part::Items(proposals)],
            ..Self::default()
        }
    }

    /// Returns a proposal that announces `count` transforms, whatever it holds.
    pub fn proposal(number: u8, protocol: ProtocolId, spi: &[u8], count: u8, transforms: Vec<Self>) -> Self {
        // A longer SPI than its field can say is one more way to be wrong.
        let spi_size = u8::try_from(spi.len()).unwrap_or(u8::MAX);
        let mut head = vec![number, protocol.0, spi_size, count];
        head.extend_from_slice(spi);
        let body = vec![Part::Octets(head), Part::Items(transforms)];
        Self { payload_type: PayloadType::PROPOSAL, body, ..Self::default() }
    }

    /// Returns a transform with these octets as its attributes.
    pub fn transform(number: u8, id: u8, attributes: &[u8]) -> Self {
        let mut body = vec![number, id, 0, 0];
        body.extend_from_slice(attributes);
        Self::new(PayloadType::TRANSFORM, body)
    }

    fn emit(&self, next: PayloadType, out: &mut Vec<u8>) {
        let mut body = vec![];
        for part in &self.body {
            match part {
                Part::Octets(octets) => body.extend_from_slice(octets),
                Part::Items(items) => {
                    emit_chain(items, &mut body);
                }
            }
        }
        let truth = u16::try_from(body.len().saturating_add(4)).unwrap_or(u16::MAX);
        out.extend_from_slice(&[self.next_payload.unwrap_or(next).0, self.reserved]);
        out.extend_from_slice(&self.length.unwrap_or(truth).to_be_bytes());
        out.append(&mut body);
    }
}

/// Writes items one behind the other, and returns the type of the first.
fn emit_chain(items: &[BrokenPayload], out: &mut Vec<u8>) -> PayloadType {
    let mut following = items.iter().skip(1);
    for item in items {
        let next = following.next().map_or(PayloadType::NONE, |item| item.payload_type);
        item.emit(next, out);
    }
    items.first().map_or(PayloadType::NONE, |item| item.payload_type)
}
