use super::{OfferedProposal, Transforms};
use crate::error::{ErrorKind, WireError};
use crate::isakmp::header::generic;
use crate::isakmp::limits;
use crate::reader::Reader;
use crate::registry::{PayloadType, ProtocolId};

/// One protocol with the transforms to choose from (RFC 2408 §3.5).
///
/// Proposals of the same number belong together (AND); different numbers are alternatives (OR),
/// RFC 2408 §4.2.
///
/// ```text
/// +---------------+---------------+---------------+---------------+
/// |  Proposal #   |  Protocol-Id  |    SPI Size   |# of Transforms|
/// +---------------+---------------+---------------+---------------+
/// ~                        SPI (variable)                         ~
/// ~                          Transforms                           ~
/// +---------------+---------------+---------------+---------------+
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Proposal<'a> {
    /// The number that the offer gives it.
    pub number: u8,
    /// The protocol.
    pub protocol: ProtocolId,
    /// The SPI that the sender wants to be reached by.
    pub spi: &'a [u8],
    transforms: Transforms<'a>,
    transform_count: usize,
}

impl<'a> Proposal<'a> {
    /// Reads a proposal payload, generic header included; its transforms are not looked at.
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let offset = reader.offset();
        let (next, mut body) = generic(reader)?;
        let expected = if reader.is_empty() { PayloadType::NONE } else { PayloadType::PROPOSAL };
        if next != expected {
            return Err(WireError::new(ErrorKind::NextPayload, "proposal next payload", offset));
        }
        let fixed = body.offset();
        let [number, protocol, spi_size, announced] = body.array("proposal number, protocol, SPI size and count")?;
        let protocol = ProtocolId(protocol);
        let fits = match protocol {
            // RFC 2408 §3.5: from 0 to 16, and ignored: the cookies of the header are the SPI.
            ProtocolId::ISAKMP => spi_size <= 16,
            ProtocolId::AH | ProtocolId::ESP => spi_size == 4,
            ProtocolId::IPCOMP => matches!(spi_size, 2 | 4),
            _ => true,
        };
        if !fits {
            return Err(WireError::new(ErrorKind::SpiSize, "SPI size", fixed.saturating_add(2)));
        }
        let spi = body.octets(usize::from(spi_size), "SPI")?;
        let transform_count = usize::from(announced);
        Ok(Self { number, protocol, spi, transforms: Transforms::unchecked(body), transform_count })
    }

    /// Reads a proposal as [`read`](Self::read), and checks its transforms; at most `limit`.
    fn parse(reader: &mut Reader<'a>, limit: usize) -> Result<Self, WireError> {
        let offset = reader.offset();
        let proposal = Self::read(reader)?;
        if proposal.transforms.check(limit)? != proposal.transform_count {
            return Err(WireError::new(ErrorKind::Count, "number of transforms", offset.saturating_add(7)));
        }
        Ok(proposal)
    }

    /// Returns the transforms in order.
    pub const fn transforms(&self) -> Transforms<'a> {
        self.transforms
    }

    /// Returns how many transforms there are.
    pub const fn transform_count(&self) -> usize {
        self.transform_count
    }

    /// Returns the owned form.
    pub fn to_offered(&self) -> OfferedProposal {
        OfferedProposal {
            number: self.number,
            protocol: self.protocol,
            spi: self.spi.to_vec(),
            transforms: self.transforms().map(|transform| transform.to_offered()).collect(),
        }
    }
}

/// The proposals of an SA payload, in order.
#[derive(Clone, Copy, Debug)]
pub struct Proposals<'a> {
    rest: Reader<'a>,
}

impl<'a> Proposals<'a> {
    /// Checks the proposals that fill `octets`, and returns them with their count.
    pub(super) fn parse(octets: Reader<'a>) -> Result<(Self, usize), WireError> {
        let mut rest = octets;
        let mut count: usize = 0;
        let mut transforms_left = limits::TRANSFORMS;
        while !rest.is_empty() {
            if count == limits::PROPOSALS {
                return Err(rest.error(ErrorKind::TooMany, "proposals"));
            }
            let proposal = Proposal::parse(&mut rest, transforms_left)?;
            transforms_left = transforms_left.saturating_sub(proposal.transform_count);
            count = count.saturating_add(1);
        }
        Ok((Self { rest: octets }, count))
    }
}

impl<'a> Iterator for Proposals<'a> {
    type Item = Proposal<'a>;

    #[inline]
    fn next(&mut self) -> Option<Proposal<'a>> {
        // The chain was checked, so only its end is an error.
        Proposal::read(&mut self.rest).ok()
    }
}
