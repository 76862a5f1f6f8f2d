use super::header::{Flags, Header};
use super::message::{Body, Message};
use super::payload::{OwnedPayload, Payload};
use super::{Chain, ChainBuilder};
use crate::error::WireError;
use crate::registry::PayloadType;
use alloc::vec::Vec;

/// A message that owns what it says: it can be kept, built and written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnedMessage {
    /// The header; its first payload and length are set when the message is written.
    pub header: Header,
    /// What follows it.
    pub body: OwnedBody,
}

/// The body of an [`OwnedMessage`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OwnedBody {
    /// Payloads in clear, in order.
    Clear(Vec<OwnedPayload>),
    /// Ciphertext.
    Encrypted(Vec<u8>),
}

impl OwnedMessage {
    /// Reads a message and everything in it.
    ///
    /// # Errors
    /// Those of [`Message::parse`] and [`Payload::parse`].
    pub fn parse(datagram: &[u8]) -> Result<Self, WireError> {
        let message = Message::parse(datagram)?;
        let body = match message.body() {
            Body::Encrypted(ciphertext) => OwnedBody::Encrypted(ciphertext.to_vec()),
            Body::Clear(payloads) => {
                let read = |raw| Ok(Payload::parse(raw)?.to_owned());
                OwnedBody::Clear(payloads.iter().map(read).collect::<Result<_, WireError>>()?)
            }
        };
        Ok(Self { header: *message.header(), body })
    }

    /// Returns the octets of the message.
    ///
    /// The encryption flag of the header follows the body, but for a message of one fragment.
    ///
    /// # Errors
    /// [`ErrorKind::TooLong`](crate::ErrorKind::TooLong) and the like when something does not fit.
    pub fn to_octets(&self) -> Result<Vec<u8>, WireError> {
        match &self.body {
            OwnedBody::Encrypted(ciphertext) => self
                .header
                .with_flags(self.header.flags.with(Flags::ENCRYPTION))
                .enclose(self.header.next_payload, ciphertext),
            OwnedBody::Clear(payloads) => {
                let chain = chain(payloads)?;
                let mut header = self.header;
                if chain.first() != PayloadType::FRAGMENT {
                    header.flags = Flags(header.flags.0 & !Flags::ENCRYPTION.0);
                }
                header.enclose(chain.first(), chain.octets())
            }
        }
    }
}

fn chain(payloads: &[OwnedPayload]) -> Result<Chain, WireError> {
    let mut builder = ChainBuilder::new();
    payloads.iter().for_each(|payload| builder.push(payload));
    builder.finish()
}
