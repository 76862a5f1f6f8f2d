//! The payloads of ISAKMP, one file each.
//!
//! Every payload is a struct over the octets it holds: `Identification<&[u8]>` borrows a received
//! message, `Identification<Vec<u8>>` owns what it says. `parse` takes a
//! [`RawPayload`](super::RawPayload) or plain octets of a body (without the generic header),
//! [`Emit`] writes a body.

mod attribute;
mod certificate;
mod configuration;
mod delete;
mod fragment;
mod group_key;
mod hash;
mod identification;
mod key_exchange;
mod nat_detection;
mod nat_original_address;
mod nonce;
mod notification;
mod offer;
mod opaque;
mod owned;
mod proposal;
mod security_association;
mod signature;
mod situation;
mod transform;
mod typed;
mod vendor_id;

pub use attribute::{Attribute, AttributeValue, Attributes, AttributesIter};
pub use certificate::{Certificate, CertificateRequest};
pub use configuration::{Configuration, OwnedConfiguration};
pub use delete::{Delete, Spis};
pub use fragment::Fragment;
pub use group_key::GroupKey;
pub use hash::Hash;
pub use identification::{Identification, Identities, Identity};
pub use key_exchange::KeyExchange;
pub use nat_detection::{NatDetection, NatNumbering};
pub use nat_original_address::NatOriginalAddress;
pub use nonce::Nonce;
pub use notification::{Notification, NotificationData};
pub use offer::{Offer, OfferedProposal, OfferedTransform};
pub use owned::OwnedPayload;
pub use proposal::{Proposal, Proposals};
pub use security_association::SecurityAssociation;
pub use signature::Signature;
pub use situation::{Label, Labels, Situation};
pub use transform::{Transform, Transforms};
pub use typed::Payload;
pub use vendor_id::VendorId;

use crate::error::WireError;
use crate::registry::PayloadType;
use crate::writer::Writer;
use alloc::vec::Vec;

/// A payload body that can be written.
pub trait Emit {
    /// Returns the number that names it in a chain.
    fn payload_type(&self) -> PayloadType;

    /// Returns the octets that [`emit`](Self::emit) writes.
    fn emitted_len(&self) -> usize;

    /// Writes the body, without the generic header.
    fn emit(&self, writer: &mut Writer<'_>);

    /// Returns the body, as it is hashed.
    ///
    /// # Errors
    /// [`ErrorKind::TooLong`](crate::ErrorKind::TooLong) when something does not fit its length field.
    fn to_body(&self) -> Result<Vec<u8>, WireError> {
        let mut body = Vec::with_capacity(self.emitted_len());
        let mut writer = Writer::new(&mut body);
        self.emit(&mut writer);
        writer.finish()?;
        Ok(body)
    }
}
