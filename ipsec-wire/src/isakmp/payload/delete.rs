use super::Emit;
use crate::error::{ErrorKind, WireError};
use crate::isakmp::limits;
use crate::reader::Reader;
use crate::registry::{Doi, PayloadType, ProtocolId};
use crate::writer::Writer;
use alloc::vec::Vec;
use core::slice::ChunksExact;

/// SAs that the sender has deleted (RFC 2408 §3.15).
///
/// ```text
/// +---------------+---------------+---------------+---------------+
/// |              Domain of Interpretation  (DOI)                  |
/// +---------------+---------------+---------------+---------------+
/// |  Protocol-Id  |   SPI Size    |           # of SPIs           |
/// +---------------+---------------+---------------+---------------+
/// ~               Security Parameter Index(es) (SPI)              ~
/// +---------------+---------------+---------------+---------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Delete<B> {
    /// The domain that the protocol number belongs to.
    pub doi: Doi,
    /// The protocol of the SAs.
    pub protocol: ProtocolId,
    /// The octets of one SPI: 16 (both cookies) for ISAKMP, 4 for ESP and AH, 2 or 4 for IPComp.
    pub spi_size: u8,
    /// The SPIs, one behind the other.
    pub data: B,
}

impl<'a> Delete<&'a [u8]> {
    /// Reads a body.
    ///
    /// For ISAKMP the SPI may have 8 octets or none, as some peers send it; of size 0 there can
    /// only be SPIs that say nothing, so their count is not bounded by octets and must be at most 1.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] below the fixed part, [`ErrorKind::SpiSize`] when the size does not
    /// fit the protocol, [`ErrorKind::Count`] when count times size is not what is left,
    /// [`ErrorKind::TooMany`] beyond [`limits::SPIS`].
    pub fn parse(body: impl Into<Reader<'a>>) -> Result<Self, WireError> {
        let mut reader = body.into();
        let doi = Doi(reader.u32("DOI")?);
        let protocol = ProtocolId(reader.u8("protocol id")?);
        let size_fault = reader.error(ErrorKind::SpiSize, "SPI size");
        let spi_size = reader.u8("SPI size")?;
        let count_fault = reader.error(ErrorKind::Count, "number of SPIs");
        let count = usize::from(reader.u16("number of SPIs")?);
        let fits = match protocol {
            ProtocolId::ISAKMP => matches!(spi_size, 0 | 8 | 16),
            ProtocolId::AH | ProtocolId::ESP => spi_size == 4,
            ProtocolId::IPCOMP => matches!(spi_size, 2 | 4),
            _ => true,
        };
        if !fits {
            return Err(size_fault);
        }
        if count > limits::SPIS {
            return Err(WireError { kind: ErrorKind::TooMany, ..count_fault });
        }
        let data = reader.rest();
        let announced = count.checked_mul(usize::from(spi_size));
        if announced != Some(data.len()) || (spi_size == 0 && count > 1) {
            return Err(count_fault);
        }
        Ok(Self { doi, protocol, spi_size, data })
    }
}

impl<B: AsRef<[u8]>> Delete<B> {
    /// The octets before the SPIs.
    pub const FIXED_LEN: usize = 8;

    /// Returns the SPIs in order.
    pub fn spis(&self) -> Spis<'_> {
        let data = self.data.as_ref();
        // chunks_exact wants at least 1; of size 0 there is no data, so nothing comes out.
        Spis { chunks: data.chunks_exact(usize::from(self.spi_size.max(1))) }
    }

    /// Returns a copy that owns its octets.
    pub fn to_owned(&self) -> Delete<Vec<u8>> {
        let data = self.data.as_ref().to_vec();
        Delete { doi: self.doi, protocol: self.protocol, spi_size: self.spi_size, data }
    }
}

impl<B: AsRef<[u8]>> Emit for Delete<B> {
    fn payload_type(&self) -> PayloadType {
        PayloadType::DELETE
    }

    fn emitted_len(&self) -> usize {
        self.data.as_ref().len().saturating_add(Self::FIXED_LEN)
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        writer.u32(self.doi.0);
        writer.octets(&[self.protocol.0, self.spi_size]);
        writer.count_u16(self.spis().chunks.len(), "number of SPIs");
        writer.octets(self.data.as_ref());
    }
}

/// The SPIs of a Delete payload, in order.
#[derive(Clone, Debug)]
pub struct Spis<'a> {
    chunks: ChunksExact<'a, u8>,
}

impl<'a> Iterator for Spis<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.chunks.next()
    }
}
