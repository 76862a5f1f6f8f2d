//! ISAKMP messages: header, payload chain, every payload, in and out.
//!
//! ```
//! use ipsec_wire::isakmp::payload::{Nonce, Payload};
//! use ipsec_wire::isakmp::{Body, ChainBuilder, Cookie, Header, Message, MessageId};
//! use ipsec_wire::registry::ExchangeType;
//!
//! let mut chain = ChainBuilder::new();
//! chain.push(&Nonce { data: [7; 16] });
//! let chain = chain.finish()?;
//! let header = Header::new(Cookie([1; 8]), Cookie([2; 8]), ExchangeType::MAIN, MessageId::ZERO);
//! let datagram = header.enclose(chain.first(), chain.octets())?;
//!
//! let message = Message::parse(&datagram)?;
//! let Body::Clear(payloads) = message.body() else { unreachable!() };
//! for raw in payloads {
//!     assert!(matches!(Payload::parse(raw)?, Payload::Nonce(nonce) if nonce.data == [7; 16]));
//! }
//! # Ok::<(), ipsec_wire::WireError>(())
//! ```
#![deny(clippy::as_conversions, clippy::arithmetic_side_effects)]

#[cfg(any(test, feature = "arbitrary"))]
mod arbitrary;
pub mod broken;
mod chain;
pub mod describe;
mod header;
pub mod limits;
mod message;
mod owned;
pub mod payload;
pub mod vendor;
#[cfg(test)]
mod work;

pub use chain::{Chain, ChainBuilder};
pub use header::{Cookie, Flags, Header, HeaderView, MessageId};
pub use message::{Body, Leniency, Message, Payloads, PayloadsIter, RawPayload};
pub use owned::{OwnedBody, OwnedMessage};
