use super::{Emit, Offer, Proposals, Situation};
use crate::error::{ErrorKind, WireError};
use crate::reader::Reader;
use crate::registry::{Doi, PayloadType};
use crate::writer::Writer;

/// An offer, or the choice made from one (RFC 2408 §3.4, RFC 2407 §4.6.1), in place and checked.
///
/// The owned form, which can be built, is [`Offer`].
///
/// ```text
/// +---------------+---------------+---------------+---------------+
/// |              Domain of Interpretation  (DOI)                  |
/// ~                           Situation                           ~
/// ~                           Proposals                           ~
/// +---------------+---------------+---------------+---------------+
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SecurityAssociation<'a> {
    body: &'a [u8],
    situation: Reader<'a>,
    proposals: Proposals<'a>,
    proposal_count: usize,
}

impl<'a> SecurityAssociation<'a> {
    /// Reads a body and everything in it: proposals, transforms, attributes.
    ///
    /// # Errors
    /// [`ErrorKind::Doi`] for a domain other than IPsec, [`ErrorKind::Situation`] for unknown
    /// bits, [`ErrorKind::NextPayload`] for a chain of proposals or transforms that does not say
    /// what it holds, [`ErrorKind::Count`] for announced transforms that are not there,
    /// [`ErrorKind::SpiSize`], [`ErrorKind::TooMany`], and the errors of lengths.
    pub fn parse(body: impl Into<Reader<'a>>) -> Result<Self, WireError> {
        let mut reader = body.into();
        let body = reader.peek_rest();
        let offset = reader.offset();
        if Doi(reader.u32("DOI")?) != Doi::IPSEC {
            return Err(WireError::new(ErrorKind::Doi, "DOI", offset));
        }
        let situation = reader;
        Situation::parse(&mut reader)?;
        if reader.is_empty() {
            return Err(reader.error(ErrorKind::Empty, "proposals"));
        }
        let (proposals, proposal_count) = Proposals::parse(reader)?;
        Ok(Self { body, situation, proposals, proposal_count })
    }

    /// Returns the situation.
    pub fn situation(&self) -> Situation<&'a [u8]> {
        // It was read when the payload was, so the default is never returned.
        let mut octets = self.situation;
        Situation::parse(&mut octets).unwrap_or_default()
    }

    /// Returns the proposals in order.
    pub const fn proposals(&self) -> Proposals<'a> {
        self.proposals
    }

    /// Returns how many proposals there are.
    pub const fn proposal_count(&self) -> usize {
        self.proposal_count
    }

    /// Returns the octets as they came: `SAi_b` of RFC 2409 §5.
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Returns the owned form.
    pub fn to_offer(&self) -> Offer {
        Offer {
            situation: self.situation().to_owned(),
            proposals: self.proposals().map(|proposal| proposal.to_offered()).collect(),
        }
    }
}

impl Emit for SecurityAssociation<'_> {
    fn payload_type(&self) -> PayloadType {
        PayloadType::SA
    }

    fn emitted_len(&self) -> usize {
        self.body.len()
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        writer.octets(self.body);
    }
}
