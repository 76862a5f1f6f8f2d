use super::Emit;
use crate::error::WireError;
use crate::reader::Reader;
use crate::registry::PayloadType;
use crate::writer::Writer;
use alloc::vec::Vec;

/// The payload numbers of NAT traversal, which the chosen version decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum NatNumbering {
    /// RFC 3947: 20 and 21.
    #[default]
    Rfc3947,
    /// draft-ietf-ipsec-nat-t-ike-00 to -03: 130 and 131.
    Drafts00To03,
    /// draft-ietf-ipsec-nat-t-ike-04 to -08: 15 and 16, which group key management owns now.
    Drafts04To08,
}

impl NatNumbering {
    /// Returns the number of NAT-D.
    pub const fn nat_d(self) -> PayloadType {
        match self {
            Self::Rfc3947 => PayloadType::NAT_D,
            Self::Drafts00To03 => PayloadType::NAT_D_DRAFT,
            Self::Drafts04To08 => PayloadType::SA_KEK,
        }
    }

    /// Returns the number of NAT-OA.
    pub const fn nat_oa(self) -> PayloadType {
        match self {
            Self::Rfc3947 => PayloadType::NAT_OA,
            Self::Drafts00To03 => PayloadType::NAT_OA_DRAFT,
            Self::Drafts04To08 => PayloadType::SA_TEK,
        }
    }
}

/// The hash of the cookies and one end of the path (NAT-D, RFC 3947 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NatDetection<B> {
    /// Under which numbers it travels.
    pub numbering: NatNumbering,
    /// `HASH(CKY-I | CKY-R | IP | Port)`.
    pub data: B,
}

impl<'a> NatDetection<&'a [u8]> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`ErrorKind::Empty`](crate::ErrorKind::Empty) for no octets.
    pub fn parse(numbering: NatNumbering, body: impl Into<Reader<'a>>) -> Result<Self, WireError> {
        Ok(Self { numbering, data: body.into().some_rest("NAT-D hash")? })
    }
}

impl<B: AsRef<[u8]>> NatDetection<B> {
    /// Returns a copy that owns its octets.
    pub fn to_owned(&self) -> NatDetection<Vec<u8>> {
        NatDetection { numbering: self.numbering, data: self.data.as_ref().to_vec() }
    }
}

impl<B: AsRef<[u8]>> Emit for NatDetection<B> {
    fn payload_type(&self) -> PayloadType {
        self.numbering.nat_d()
    }

    fn emitted_len(&self) -> usize {
        self.data.as_ref().len()
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        writer.octets(self.data.as_ref());
    }
}
