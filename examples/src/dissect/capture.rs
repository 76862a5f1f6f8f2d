//! Captures: pcap and pcapng files as frames.

use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError, TsResolution};
use std::time::Duration;

/// One frame of a capture.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its number; the first is 1.
    pub number: u64,
    /// When it was seen, since 1970.
    pub time: Duration,
    /// What its octets begin with.
    pub link: DataLink,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// Reads every frame of a capture, in either format.
///
/// # Errors
/// A file that is neither, or that ends in the middle of a frame.
pub fn read(file: &[u8]) -> Result<Vec<Frame>, PcapError> {
    // A section header block begins a pcapng file, in either byte order.
    if file.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) { read_pcapng(file) } else { read_pcap(file) }
}

fn read_pcap(file: &[u8]) -> Result<Vec<Frame>, PcapError> {
    let mut reader = PcapReader::new(file)?;
    let header = reader.header();
    let nanoseconds_per_unit = if header.ts_resolution == TsResolution::NanoSecond { 1 } else { 1000 };
    let mut frames = Vec::new();
    // Raw, because the crate refuses lawful frames that were longer than the snapshot length.
    while let Some(packet) = reader.next_raw_packet() {
        let packet = packet?;
        let number = frames.len() as u64 + 1;
        let nanoseconds = u64::from(packet.ts_frac) * nanoseconds_per_unit;
        let time = Duration::from_secs(packet.ts_sec.into()) + Duration::from_nanos(nanoseconds);
        frames.push(Frame { number, time, link: header.datalink, octets: packet.data.into_owned() });
    }
    Ok(frames)
}

fn read_pcapng(file: &[u8]) -> Result<Vec<Frame>, PcapError> {
    let mut reader = PcapNgReader::new(file)?;
    let mut links = Vec::new();
    let mut frames = Vec::new();
    while let Some(block) = reader.next_block() {
        let (interface, time, octets) = match block? {
            Block::SectionHeader(_) => {
                links.clear();
                continue;
            }
            Block::InterfaceDescription(interface) => {
                links.push(interface.linktype);
                continue;
            }
            Block::EnhancedPacket(packet) => (packet.interface_id as usize, packet.timestamp, packet.data.into_owned()),
            Block::SimplePacket(packet) => (0, Duration::ZERO, packet.data.into_owned()),
            _ => continue,
        };
        let Some(link) = links.get(interface).copied() else { continue };
        frames.push(Frame { number: frames.len() as u64 + 1, time, link, octets });
    }
    Ok(frames)
}
