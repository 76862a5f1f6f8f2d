use super::{Attribute, Emit, Situation};
use crate::isakmp::chain::write_payload;
use crate::registry::{Doi, PayloadType, ProtocolId};
use crate::writer::Writer;
use alloc::vec::Vec;

/// The octets of a proposal or transform before its variable part, generic header included.
const ITEM_LEN: usize = 8;

/// An SA payload that can be built: the owned form of
/// [`SecurityAssociation`](super::SecurityAssociation).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Offer {
    /// The situation.
    pub situation: Situation<Vec<u8>>,
    /// The proposals, in the order of the wire.
    pub proposals: Vec<OfferedProposal>,
}

/// The owned form of [`Proposal`](super::Proposal).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OfferedProposal {
    /// The number: equal numbers belong together, different ones are alternatives.
    pub number: u8,
    /// The protocol.
    pub protocol: ProtocolId,
    /// The SPI that the sender wants to be reached by; nothing for ISAKMP.
    pub spi: Vec<u8>,
    /// The transforms to choose from.
    pub transforms: Vec<OfferedTransform>,
}

/// The owned form of [`Transform`](super::Transform).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OfferedTransform {
    /// The number.
    pub number: u8,
    /// The algorithm, in the registry of the proposal's protocol.
    pub id: u8,
    /// The attributes.
    pub attributes: Vec<Attribute<Vec<u8>>>,
}

impl Emit for Offer {
    fn payload_type(&self) -> PayloadType {
        PayloadType::SA
    }

    fn emitted_len(&self) -> usize {
        let head = self.situation.emitted_len().saturating_add(4);
        self.proposals.iter().map(OfferedProposal::emitted_len).fold(head, usize::saturating_add)
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        writer.u32(Doi::IPSEC.0);
        self.situation.emit(writer);
        chained(writer, &self.proposals, PayloadType::PROPOSAL, |writer, proposal| proposal.emit(writer));
    }
}

impl OfferedProposal {
    fn emitted_len(&self) -> usize {
        let head = self.spi.len().saturating_add(ITEM_LEN);
        self.transforms.iter().map(OfferedTransform::emitted_len).fold(head, usize::saturating_add)
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        writer.octets(&[self.number, self.protocol.0]);
        writer.count_u8(self.spi.len(), "SPI size");
        writer.count_u8(self.transforms.len(), "number of transforms");
        writer.octets(&self.spi);
        chained(writer, &self.transforms, PayloadType::TRANSFORM, |writer, transform| transform.emit(writer));
    }
}

impl OfferedTransform {
    fn emitted_len(&self) -> usize {
        self.attributes.iter().map(Attribute::emitted_len).fold(ITEM_LEN, usize::saturating_add)
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        writer.octets(&[self.number, self.id, 0, 0]);
        self.attributes.iter().for_each(|attribute| attribute.emit(writer));
    }
}

/// Writes items as payloads, each announcing that another of its kind follows or that none does.
fn chained<T>(writer: &mut Writer<'_>, items: &[T], kind: PayloadType, emit: impl Fn(&mut Writer<'_>, &T)) {
    let Some((last, before)) = items.split_last() else {
        return;
    };
    for item in before {
        write_payload(writer, kind, |writer| emit(writer, item));
    }
    write_payload(writer, PayloadType::NONE, |writer| emit(writer, last));
}
