use super::Emit;
use crate::error::WireError;
use crate::reader::Reader;
use crate::registry::{CertificateEncoding, PayloadType};
use crate::writer::Writer;
use alloc::vec::Vec;

/// Defines a payload of an encoding octet and data.
macro_rules! encoded_payload {
    ($(#[$meta:meta])* $name:ident, $payload_type:ident, $field:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name<B> {
            /// The form of the data.
            pub encoding: CertificateEncoding,
            /// The data, which may be empty.
            pub data: B,
        }

        impl<'a> $name<&'a [u8]> {
            /// Reads a body.
            ///
            /// # Errors
            /// [`ErrorKind::Truncated`](crate::ErrorKind::Truncated) for no octets.
            pub fn parse(body: impl Into<Reader<'a>>) -> Result<Self, WireError> {
                let mut reader = body.into();
                let encoding = CertificateEncoding(reader.u8($field)?);
                Ok(Self { encoding, data: reader.rest() })
            }
        }

        impl<B: AsRef<[u8]>> $name<B> {
            /// Returns a copy that owns its octets.
            pub fn to_owned(&self) -> $name<Vec<u8>> {
                $name { encoding: self.encoding, data: self.data.as_ref().to_vec() }
            }
        }

        impl<B: AsRef<[u8]>> Emit for $name<B> {
            fn payload_type(&self) -> PayloadType {
                PayloadType::$payload_type
            }

            fn emitted_len(&self) -> usize {
                self.data.as_ref().len().saturating_add(1)
            }

            fn emit(&self, writer: &mut Writer<'_>) {
                writer.u8(self.encoding.0);
                writer.octets(self.data.as_ref());
            }
        }
    };
}

encoded_payload! {
    /// A certificate, or something that goes with one (RFC 2408 §3.9).
    ///
    /// The data may be empty: a hybrid client answers a request so (draft-ietf-ipsec-isakmp-hybrid-auth §3.2).
    Certificate, CERTIFICATE, "certificate encoding"
}

encoded_payload! {
    /// A wish for a certificate (RFC 2408 §3.10); the data names an authority, or none.
    CertificateRequest, CERTIFICATE_REQUEST, "certificate type"
}
