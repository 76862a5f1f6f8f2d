use super::{
    Certificate, CertificateRequest, Delete, Emit, Fragment, GroupKey, Hash, Identification, KeyExchange, NatDetection,
    NatOriginalAddress, Nonce, Notification, Offer, OwnedConfiguration, Payload, Signature, VendorId,
};
use crate::registry::PayloadType;
use crate::writer::Writer;
use alloc::vec::Vec;

/// Defines the owned payload of any type, and what is the same for each.
macro_rules! owned_payload {
    ($($variant:ident($type:ty),)*) => {
        /// A payload of any type that owns what it says: it can be kept, built and written.
        #[non_exhaustive]
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each variant is named as the struct it holds")]
        pub enum OwnedPayload {
            $($variant($type),)*
            /// A number that nothing defines, and the body.
            Unknown(PayloadType, Vec<u8>),
        }

        impl Emit for OwnedPayload {
            fn payload_type(&self) -> PayloadType {
                match self {
                    $(Self::$variant(payload) => payload.payload_type(),)*
                    Self::Unknown(payload_type, _) => *payload_type,
                }
            }

            fn emitted_len(&self) -> usize {
                match self {
                    $(Self::$variant(payload) => payload.emitted_len(),)*
                    Self::Unknown(_, body) => body.len(),
                }
            }

            fn emit(&self, writer: &mut Writer<'_>) {
                match self {
                    $(Self::$variant(payload) => payload.emit(writer),)*
                    Self::Unknown(_, body) => writer.octets(body),
                }
            }
        }
    };
}

owned_payload! {
    SecurityAssociation(Offer),
    KeyExchange(KeyExchange<Vec<u8>>),
    Identification(Identification<Vec<u8>>),
    Certificate(Certificate<Vec<u8>>),
    CertificateRequest(CertificateRequest<Vec<u8>>),
    Hash(Hash<Vec<u8>>),
    Signature(Signature<Vec<u8>>),
    Nonce(Nonce<Vec<u8>>),
    Notification(Notification<Vec<u8>>),
    Delete(Delete<Vec<u8>>),
    VendorId(VendorId<Vec<u8>>),
    Configuration(OwnedConfiguration),
    NatDetection(NatDetection<Vec<u8>>),
    NatOriginalAddress(NatOriginalAddress),
    Fragment(Fragment<Vec<u8>>),
    GroupKey(GroupKey<Vec<u8>>),
}

impl Payload<'_> {
    /// Returns a copy that owns what it says.
    pub fn to_owned(&self) -> OwnedPayload {
        match self {
            Self::SecurityAssociation(sa) => OwnedPayload::SecurityAssociation(sa.to_offer()),
            Self::KeyExchange(payload) => OwnedPayload::KeyExchange(payload.to_owned()),
            Self::Identification(payload) => OwnedPayload::Identification(payload.to_owned()),
            Self::Certificate(payload) => OwnedPayload::Certificate(payload.to_owned()),
            Self::CertificateRequest(payload) => OwnedPayload::CertificateRequest(payload.to_owned()),
            Self::Hash(payload) => OwnedPayload::Hash(payload.to_owned()),
            Self::Signature(payload) => OwnedPayload::Signature(payload.to_owned()),
            Self::Nonce(payload) => OwnedPayload::Nonce(payload.to_owned()),
            Self::Notification(payload) => OwnedPayload::Notification(payload.to_owned()),
            Self::Delete(payload) => OwnedPayload::Delete(payload.to_owned()),
            Self::VendorId(payload) => OwnedPayload::VendorId(payload.to_owned()),
            Self::Configuration(payload) => OwnedPayload::Configuration(payload.to_owned()),
            Self::NatDetection(payload) => OwnedPayload::NatDetection(payload.to_owned()),
            Self::NatOriginalAddress(payload) => OwnedPayload::NatOriginalAddress(*payload),
            Self::Fragment(payload) => OwnedPayload::Fragment(payload.to_owned()),
            Self::GroupKey(payload) => OwnedPayload::GroupKey(payload.to_owned()),
            Self::Unknown(payload_type, body) => OwnedPayload::Unknown(*payload_type, body.to_vec()),
        }
    }
}
