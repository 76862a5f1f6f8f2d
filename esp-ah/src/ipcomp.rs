//! IP payload compression (RFC 3173) with DEFLATE (RFC 2394), in place, each packet for itself.

use crate::packet::{BufferTooSmall, Packet, Room};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use ipsec_wire::WireError;
use ipsec_wire::ipcomp::{CPI_DEFLATE, CPI_LZS, HEADER_LEN, IpcompDatagram, emit_header};
use miniz_oxide::DataFormat;
use miniz_oxide::deflate::CompressionLevel;
use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, TDEFLStatus, compress};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// Payloads shorter than this are not tried: they hardly ever shrink (RFC 2394 §2.3 says below 90).
pub const THRESHOLD: usize = 90;
/// Octets of the longest payload that comes out: what an IP packet can carry.
pub const MAX_INFLATED: usize = 65535;

/// A compression algorithm that an IPComp association can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompressionAlgorithm {
    /// DEFLATE.
    Deflate,
    /// LZS: recognised, so that an offer can be refused by its name; we do not have it.
    Lzs,
}

impl CompressionAlgorithm {
    /// Returns the IPCOMP transform identifier (RFC 2407 §4.4.5).
    pub const fn transform_id(self) -> u8 {
        match self {
            Self::Deflate => 2,
            Self::Lzs => 3,
        }
    }

    /// Returns the algorithm of an IPCOMP transform identifier.
    pub const fn from_transform(id: u8) -> Option<Self> {
        match id {
            2 => Some(Self::Deflate),
            3 => Some(Self::Lzs),
            _ => None,
        }
    }

    /// Returns the algorithm of a well-known Compression Parameter Index (RFC 3173 §3.3).
    pub const fn from_cpi(cpi: u16) -> Option<Self> {
        match cpi {
            CPI_DEFLATE => Some(Self::Deflate),
            CPI_LZS => Some(Self::Lzs),
            _ => None,
        }
    }

    /// Returns whether we can compress and decompress with it.
    pub const fn is_supported(self) -> bool {
        matches!(self, Self::Deflate)
    }
}

/// Why an IPComp datagram was not expanded; it is unchanged then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IpcompError {
    /// The header lies.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The index is not the association's.
    #[error("compression parameter index {0} is not the association's")]
    Cpi(u16),
    /// The octets are not one whole DEFLATE stream.
    #[error("damaged DEFLATE stream")]
    Damaged,
    /// The payload would be longer than [`MAX_INFLATED`].
    #[error("the payload would be longer than an IP packet")]
    TooLong,
    /// The buffer has too little room behind the packet.
    #[error(transparent)]
    BufferTooSmall(#[from] BufferTooSmall),
}

/// What became of a payload that was to be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressed {
    /// It shrank: an IPComp datagram now, to be sent as protocol 108.
    Yes,
    /// It is too short or would not shrink: unchanged, to be sent as it is (RFC 3173 §2.2).
    No,
}

/// Compresses payloads for outbound associations; one serves any number of them.
///
/// It holds some 300 KiB, made once: nothing is allocated for a packet.
pub struct Deflater {
    state: Box<CompressorOxide>,
    output: Vec<u8>,
}

impl Deflater {
    /// Makes a compressor at the usual level.
    pub fn new() -> Self {
        let mut state = Box::<CompressorOxide>::default();
        state.set_format_and_level(DataFormat::Raw, CompressionLevel::DefaultLevel as u8);
        Self { state, output: vec![0; MAX_INFLATED] }
    }

    /// Compresses the payload in `packet`, of kind `next_header`, if that makes it shorter with the header.
    pub fn compress(&mut self, packet: &mut Packet<'_>, next_header: u8, cpi: u16) -> Compressed {
        let before = packet.len();
        if before < THRESHOLD {
            return Compressed::No;
        }
        let room = before.saturating_sub(HEADER_LEN).saturating_sub(1);
        let Some(output) = self.output.get_mut(..room) else { return Compressed::No };
        self.state.reset();
        let (status, _, written) = compress(&mut self.state, packet.octets(), output, TDEFLFlush::Finish);
        if status != TDEFLStatus::Done {
            return Compressed::No;
        }
        let header = emit_header(next_header, cpi);
        let octets = packet.octets_mut();
        let new = header.iter().chain(output.iter().take(written));
        octets.iter_mut().zip(new).for_each(|(to, from)| *to = *from);
        let shorter_by = before.saturating_sub(HEADER_LEN).saturating_sub(written);
        match packet.trim_back(shorter_by) {
            Some(()) => Compressed::Yes,
            None => Compressed::No,
        }
    }
}

impl Default for Deflater {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Deflater {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Deflater")
    }
}

/// Expands payloads of inbound associations; one serves any number of them.
///
/// It holds some 80 KiB, made once: nothing is allocated for a packet.
pub struct Inflater {
    state: Box<DecompressorOxide>,
    output: Vec<u8>,
}

impl Inflater {
    /// Makes an expander.
    pub fn new() -> Self {
        Self { state: Box::default(), output: vec![0; MAX_INFLATED] }
    }

    /// Expands the IPComp datagram in `packet` and returns the kind of its payload.
    ///
    /// The work is bounded by [`MAX_INFLATED`], whatever the octets claim.
    ///
    /// # Errors
    /// A header that lies, another index, a stream that is damaged, too long, or not all of the datagram, or
    /// too little room behind the packet.
    pub fn expand(&mut self, packet: &mut Packet<'_>, cpi: u16) -> Result<u8, IpcompError> {
        let view = IpcompDatagram::new_checked(packet.octets())?;
        if view.cpi() != cpi {
            return Err(IpcompError::Cpi(view.cpi()));
        }
        let next_header = view.next_header();
        self.state.init();
        let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, read, written) = decompress(&mut self.state, view.payload(), &mut self.output, 0, flags);
        if status == TINFLStatus::HasMoreOutput {
            return Err(IpcompError::TooLong);
        }
        if status != TINFLStatus::Done || read != view.payload().len() {
            return Err(IpcompError::Damaged);
        }
        let payload = self.output.get(..written).unwrap_or_default();
        match written.checked_sub(packet.len()) {
            Some(growth) => {
                if growth > packet.tailroom() {
                    return Err(BufferTooSmall { room: Room::Tail, needed: growth }.into());
                }
                packet.grow_back(growth)?;
            }
            None => {
                let shrink = packet.len().saturating_sub(written);
                packet.trim_back(shrink).ok_or(IpcompError::Damaged)?;
            }
        }
        packet.octets_mut().copy_from_slice(payload);
        Ok(next_header)
    }
}

impl Default for Inflater {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Inflater")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<u8> {
        [&[0x45, 0][..], &b"The quick brown fox jumps over the lazy dog. ".repeat(6)].concat()
    }

    /// `sample()` as raw DEFLATE of zlib 1.2.13, level 9.
    const BY_ZLIB: &str = "736508c94855282ccd4cce56482aca2fcf5348cbaf50c82acd2d2856c82f4b2d522801\
                           4ae72456552aa4e4a7eb290c7bc500";

    fn compress_one(payload: &[u8]) -> (Compressed, Vec<u8>) {
        let mut buffer = payload.to_vec();
        let mut packet = Packet::whole(&mut buffer);
        let done = Deflater::new().compress(&mut packet, 4, CPI_DEFLATE);
        (done, packet.octets().to_vec())
    }

    fn expand_one(datagram: &[u8], room: usize) -> Result<(u8, Vec<u8>), IpcompError> {
        let mut buffer = datagram.to_vec();
        buffer.resize(datagram.len() + room, 0xee);
        let mut packet = Packet::new(&mut buffer, 0..datagram.len()).unwrap();
        let next_header = Inflater::new().expand(&mut packet, CPI_DEFLATE)?;
        Ok((next_header, packet.octets().to_vec()))
    }

    #[test]
    fn a_stream_made_by_zlib_expands() {
        let stream = hex::decode(BY_ZLIB).unwrap();
        let datagram = [&emit_header(4, CPI_DEFLATE)[..], &stream].concat();
        assert_eq!(expand_one(&datagram, 400), Ok((4, sample())));
    }

    #[test]
    fn what_shrinks_comes_back_and_what_does_not_stays() {
        let (done, datagram) = compress_one(&sample());
        assert_eq!(done, Compressed::Yes);
        assert!(datagram.len() < sample().len() && datagram[..4] == [4, 0, 0, 2]);
        assert_eq!(expand_one(&datagram, 400), Ok((4, sample())));

        let short = &sample()[..THRESHOLD - 1];
        assert_eq!(compress_one(short), (Compressed::No, short.to_vec()));
        let mut state = 1u32;
        let noise: Vec<u8> = (0..1000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        assert_eq!(compress_one(&noise), (Compressed::No, noise.clone()));
    }

    #[test]
    fn a_bomb_is_refused_at_the_length_of_an_ip_packet() {
        let mut state = Box::<CompressorOxide>::default();
        state.set_format_and_level(DataFormat::Raw, 9);
        let mut stream = vec![0; 4096];
        let zeros = vec![0; 1 << 20];
        let (status, _, written) = compress(&mut state, &zeros, &mut stream, TDEFLFlush::Finish);
        assert_eq!(status, TDEFLStatus::Done);
        let datagram = [&emit_header(4, CPI_DEFLATE)[..], &stream[..written]].concat();
        assert!(datagram.len() < 2000);
        assert_eq!(expand_one(&datagram, 1 << 17), Err(IpcompError::TooLong));
    }

    #[test]
    fn truncations_trailing_octets_and_other_indexes_are_refused_and_change_nothing() {
        let (_, datagram) = compress_one(&sample());
        for len in 0..datagram.len() {
            assert!(expand_one(&datagram[..len], 400).is_err(), "{len} octets");
        }
        let trailing = [&datagram[..], &[0]].concat();
        assert_eq!(expand_one(&trailing, 400), Err(IpcompError::Damaged));
        let mut other = datagram.clone();
        other[3] = 3;
        assert_eq!(expand_one(&other, 400), Err(IpcompError::Cpi(3)));
        let needed = sample().len() - datagram.len();
        let small = BufferTooSmall { room: Room::Tail, needed };
        assert_eq!(expand_one(&datagram, needed - 1), Err(small.into()));
        assert!(expand_one(&datagram, needed).is_ok());
    }

    #[test]
    fn algorithms_have_their_numbers() {
        for algorithm in [CompressionAlgorithm::Deflate, CompressionAlgorithm::Lzs] {
            assert_eq!(CompressionAlgorithm::from_transform(algorithm.transform_id()), Some(algorithm));
            assert_eq!(CompressionAlgorithm::from_cpi(algorithm.transform_id().into()), Some(algorithm));
        }
        assert!(!CompressionAlgorithm::Lzs.is_supported() && CompressionAlgorithm::Deflate.is_supported());
        assert_eq!(CompressionAlgorithm::from_transform(1), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_payload_comes_back(octets in proptest::collection::vec(0u8..4, 0..2000)) {
            let (done, datagram) = compress_one(&octets);
            if done == Compressed::Yes {
                prop_assert_eq!(expand_one(&datagram, 2000), Ok((4, octets)));
            } else {
                prop_assert_eq!(datagram, octets);
            }
        }

        #[test]
        fn noise_never_panics(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            let datagram = [&emit_header(4, CPI_DEFLATE)[..], &octets].concat();
            let _ = expand_one(&datagram, 100);
        }
    }
}
