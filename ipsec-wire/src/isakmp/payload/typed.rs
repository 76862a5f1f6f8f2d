use super::{
    Certificate, CertificateRequest, Configuration, Delete, Fragment, GroupKey, Hash, Identification, KeyExchange,
    NatDetection, NatNumbering, NatOriginalAddress, Nonce, Notification, SecurityAssociation, Signature, VendorId,
};
use crate::error::{ErrorKind, WireError};
use crate::isakmp::RawPayload;
use crate::reader::Reader;
use crate::registry::PayloadType;

/// A payload of any type, its body read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each variant is named as the struct it holds")]
pub enum Payload<'a> {
    SecurityAssociation(SecurityAssociation<'a>),
    KeyExchange(KeyExchange<&'a [u8]>),
    Identification(Identification<&'a [u8]>),
    Certificate(Certificate<&'a [u8]>),
    CertificateRequest(CertificateRequest<&'a [u8]>),
    Hash(Hash<&'a [u8]>),
    Signature(Signature<&'a [u8]>),
    Nonce(Nonce<&'a [u8]>),
    Notification(Notification<&'a [u8]>),
    Delete(Delete<&'a [u8]>),
    VendorId(VendorId<&'a [u8]>),
    Configuration(Configuration<'a>),
    NatDetection(NatDetection<&'a [u8]>),
    NatOriginalAddress(NatOriginalAddress),
    Fragment(Fragment<&'a [u8]>),
    GroupKey(GroupKey<&'a [u8]>),
    /// A number that nothing defines in version 1: those of IKEv2 (33 and up), private ones, others.
    Unknown(PayloadType, &'a [u8]),
}

impl<'a> Payload<'a> {
    /// Reads the body by the number of the payload.
    ///
    /// The numbers 15 and 16 are those of group key management here; between peers that chose a
    /// draft of NAT traversal that uses them, call [`NatDetection::parse`] and
    /// [`NatOriginalAddress::parse`] instead.
    ///
    /// # Errors
    /// Those of the payload's own `parse`; [`ErrorKind::NextPayload`] for a Proposal or a
    /// Transform, which live in an SA payload only.
    #[inline]
    pub fn parse(raw: RawPayload<'a>) -> Result<Self, WireError> {
        Self::parse_body(raw.payload_type(), raw.reader(), raw.offset())
    }

    /// Reads the body of a payload whose generic header begins at `offset`.
    pub(crate) fn parse_body(payload_type: PayloadType, raw: Reader<'a>, offset: usize) -> Result<Self, WireError> {
        Ok(match payload_type {
            PayloadType::SA => Self::SecurityAssociation(SecurityAssociation::parse(raw)?),
            PayloadType::KEY_EXCHANGE => Self::KeyExchange(KeyExchange::parse(raw)?),
            PayloadType::IDENTIFICATION => Self::Identification(Identification::parse(raw)?),
            PayloadType::CERTIFICATE => Self::Certificate(Certificate::parse(raw)?),
            PayloadType::CERTIFICATE_REQUEST => Self::CertificateRequest(CertificateRequest::parse(raw)?),
            PayloadType::HASH => Self::Hash(Hash::parse(raw)?),
            PayloadType::SIGNATURE => Self::Signature(Signature::parse(raw)?),
            PayloadType::NONCE => Self::Nonce(Nonce::parse(raw)?),
            PayloadType::NOTIFICATION => Self::Notification(Notification::parse(raw)?),
            PayloadType::DELETE => Self::Delete(Delete::parse(raw)?),
            PayloadType::VENDOR_ID => Self::VendorId(VendorId::parse(raw)?),
            PayloadType::ATTRIBUTES => Self::Configuration(Configuration::parse(raw)?),
            PayloadType::NAT_D => Self::NatDetection(NatDetection::parse(NatNumbering::Rfc3947, raw)?),
            PayloadType::NAT_D_DRAFT => Self::NatDetection(NatDetection::parse(NatNumbering::Drafts00To03, raw)?),
            PayloadType::NAT_OA => Self::NatOriginalAddress(NatOriginalAddress::parse(NatNumbering::Rfc3947, raw)?),
            PayloadType::NAT_OA_DRAFT => {
                Self::NatOriginalAddress(NatOriginalAddress::parse(NatNumbering::Drafts00To03, raw)?)
            }
            PayloadType::FRAGMENT => Self::Fragment(Fragment::parse(raw)?),
            PayloadType::PROPOSAL | PayloadType::TRANSFORM => {
                return Err(WireError::new(ErrorKind::NextPayload, "payload type", offset));
            }
            other if GroupKey::is_group_key(other) => Self::GroupKey(GroupKey::parse(other, raw)?),
            _ => Self::Unknown(payload_type, raw.peek_rest()),
        })
    }
}
