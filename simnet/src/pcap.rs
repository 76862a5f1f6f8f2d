//! A record of what travelled, as a capture file.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use drive::{Instant, Path, Transmit};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, Endianness, TsResolution};
use std::io::{self, Write};

/// The octets of an IPv4 header without options.
const IPV4_HEADER: usize = 20;
/// The octets of an IPv6 header.
const IPV6_HEADER: usize = 40;
/// The octets of a UDP header.
const UDP_HEADER: usize = 8;
/// The hop count that every packet shows.
const TTL: u8 = 64;
/// The most octets of one packet that are recorded: no IP packet without jumbograms is longer.
const SNAP_LENGTH: u32 = 65_535 + 40;

/// Packets with their times, to be written as a classic pcap file of link type RAW.
///
/// Machines deal in payloads; the IP and UDP headers around them are made here, with their checksums.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    packets: Vec<(Instant, Transmit)>,
}

impl Capture {
    /// Returns an empty capture.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a packet.
    pub fn record(&mut self, at: Instant, packet: &Transmit) {
        self.packets.push((at, packet.clone()));
    }

    /// Returns what was recorded, in the order of recording.
    pub fn packets(&self) -> &[(Instant, Transmit)] {
        &self.packets
    }

    /// Writes the file; times count from the epoch of the virtual clock.
    ///
    /// # Errors
    /// The writer's.
    pub fn write_to(&self, writer: impl Write) -> io::Result<()> {
        let header = PcapHeader {
            snaplen: SNAP_LENGTH,
            datalink: DataLink::RAW,
            ts_resolution: TsResolution::MicroSecond,
            endianness: Endianness::Little,
            ..PcapHeader::default()
        };
        let mut writer = PcapWriter::with_header(writer, header).map_err(io::Error::other)?;
        for (number, (at, packet)) in self.packets.iter().enumerate() {
            // The identification of IPv4 headers only has to differ from packet to packet.
            let octets = ip_packet(packet, number as u16);
            let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
            let stamp = Duration::from_micros(at.as_micros());
            writer.write_packet(&PcapPacket::new_owned(stamp, length, octets)).map_err(io::Error::other)?;
        }
        writer.into_writer().flush()
    }
}

/// Returns the octets of the headers that carry a packet.
pub(crate) fn header_length(path: &Path) -> usize {
    let ip = match path.remote {
        SocketAddr::V4(_) => IPV4_HEADER,
        SocketAddr::V6(_) => IPV6_HEADER,
    };
    if path.is_udp() { ip + UDP_HEADER } else { ip }
}

/// Returns the most octets of payload that an IP packet can hold.
pub(crate) fn payload_limit(path: &Path) -> usize {
    let udp = if path.is_udp() { UDP_HEADER } else { 0 };
    match path.remote {
        SocketAddr::V4(_) => 65_535 - IPV4_HEADER - udp,
        SocketAddr::V6(_) => 65_535 - udp,
    }
}

/// Returns the IP packet that carries `packet`, with right lengths and checksums.
///
/// Ends of different families, which no network carries, are written as IPv6 with mapped addresses.
pub fn ip_packet(packet: &Transmit, identification: u16) -> Vec<u8> {
    let path = packet.path;
    match (path.local.ip(), path.remote.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => ipv4_packet(packet, source, destination, identification),
        (source, destination) => ipv6_packet(packet, mapped(source), mapped(destination)),
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn ipv4_packet(packet: &Transmit, source: Ipv4Addr, destination: Ipv4Addr, identification: u16) -> Vec<u8> {
    let protocol = packet.path.protocol;
    let mut pseudo = Sum::default();
    pseudo.add(&source.octets());
    pseudo.add(&destination.octets());
    let upper = upper_layer(packet, pseudo);
    let mut header = Vec::with_capacity(IPV4_HEADER + upper.len());
    header.extend([0x45, 0]);
    header.extend(length16(IPV4_HEADER + upper.len()));
    header.extend(identification.to_be_bytes());
    header.extend([0, 0, TTL, protocol]);
    let mut sum = Sum::default();
    sum.add(&header);
    sum.add(&source.octets());
    sum.add(&destination.octets());
    header.extend(sum.checksum().to_be_bytes());
    header.extend(source.octets());
    header.extend(destination.octets());
    header.extend(upper);
    header
}

fn ipv6_packet(packet: &Transmit, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
    let mut pseudo = Sum::default();
    pseudo.add(&source.octets());
    pseudo.add(&destination.octets());
    let upper = upper_layer(packet, pseudo);
    let mut octets = Vec::with_capacity(IPV6_HEADER + upper.len());
    octets.extend([0x60, 0, 0, 0]);
    octets.extend(length16(upper.len()));
    octets.extend([packet.path.protocol, TTL]);
    octets.extend(source.octets());
    octets.extend(destination.octets());
    octets.extend(upper);
    octets
}

/// Returns what follows the IP header: the payload, behind a UDP header if UDP carries it.
fn upper_layer(packet: &Transmit, mut pseudo: Sum) -> Vec<u8> {
    if !packet.path.is_udp() {
        return packet.payload.to_vec();
    }
    let length = length16(UDP_HEADER + packet.payload.len());
    let mut octets = Vec::with_capacity(UDP_HEADER + packet.payload.len());
    octets.extend(packet.path.local.port().to_be_bytes());
    octets.extend(packet.path.remote.port().to_be_bytes());
    octets.extend(length);
    pseudo.add(&[0, Path::UDP]);
    pseudo.add(&length);
    pseudo.add(&octets);
    pseudo.add(&packet.payload);
    // Zero means that there is no checksum; the sum that comes out as zero is sent as all ones (RFC 768).
    let checksum = match pseudo.checksum() {
        0 => 0xffff,
        sum => sum,
    };
    octets.extend(checksum.to_be_bytes());
    octets.extend(&packet.payload);
    octets
}

fn length16(octets: usize) -> [u8; 2] {
    u16::try_from(octets).unwrap_or(u16::MAX).to_be_bytes()
}

/// The running one's complement sum of RFC 1071. Every piece but the last has an even length.
#[derive(Clone, Copy, Default)]
struct Sum(u64);

impl Sum {
    fn add(&mut self, octets: &[u8]) {
        let (pairs, rest) = octets.as_chunks::<2>();
        let last = rest.first().map_or(0, |octet| u64::from(*octet) << 8);
        self.0 += pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum::<u64>() + last;
    }

    fn checksum(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use pcap_file::pcap::PcapReader;

    fn verifies(octets: &[u8]) -> bool {
        let mut sum = Sum::default();
        sum.add(octets);
        sum.checksum() == 0
    }

    fn udp(payload: &'static [u8]) -> Transmit {
        let path = Path::new(([192, 0, 2, 1], 500).into(), ([192, 0, 2, 2], 4500).into());
        Transmit { path, payload: Bytes::from_static(payload) }
    }

    #[test]
    fn the_ipv4_header_of_the_textbook_gets_its_checksum() {
        // 172.16.10.99 > 172.16.10.12: the worked example of many a course.
        let mut sum = Sum::default();
        sum.add(&[
            0x45, 0, 0, 0x3c, 0x1c, 0x46, 0x40, 0, 0x40, 0x06, 0, 0, 0xac, 0x10, 0x0a, 0x63, 0xac, 0x10, 0x0a, 0x0c,
        ]);
        assert_eq!(sum.checksum(), 0xb1e6);
    }

    #[test]
    fn udp_over_ipv4_has_right_lengths_and_checksums_for_even_and_odd_payloads() {
        for payload in [&b""[..], b"a", b"ab", b"abc"] {
            let octets = ip_packet(&udp(payload), 7);
            let (ip, upper) = octets.split_at(IPV4_HEADER);
            assert!(verifies(ip));
            assert_eq!(ip[2..4], (octets.len() as u16).to_be_bytes());
            let mut pseudo = ip[12..20].to_vec();
            pseudo.extend([0, 17]);
            pseudo.extend(&upper[4..6]);
            pseudo.extend(upper);
            assert!(verifies(&pseudo));
            assert_eq!(&upper[8..], payload);
        }
    }

    #[test]
    fn udp_over_ipv6_has_a_right_checksum() {
        let ends = ["[2001:db8::1]:500".parse().unwrap(), "[2001:db8::2]:500".parse().unwrap()];
        let packet = Transmit { path: Path::new(ends[0], ends[1]), payload: Bytes::from_static(b"odd") };
        let octets = ip_packet(&packet, 0);
        let (ip, upper) = octets.split_at(IPV6_HEADER);
        let mut pseudo = ip[8..40].to_vec();
        pseudo.extend([0, 17]);
        pseudo.extend(&upper[4..6]);
        pseudo.extend(upper);
        assert!(verifies(&pseudo));
        assert_eq!(ip[4..6], [0, 11]);
    }

    #[test]
    fn payloads_over_ip_follow_the_ip_header() {
        let path = Path::ip(50, [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let octets = ip_packet(&Transmit { path, payload: Bytes::from_static(b"spi.") }, 0);
        assert_eq!(octets[9], 50);
        assert_eq!(&octets[20..], b"spi.");
    }

    #[test]
    fn the_file_reads_back_with_its_times_and_packets() {
        let mut capture = Capture::new();
        capture.record(Instant::from_micros(1_500_001), &udp(b"first"));
        capture.record(Instant::from_secs(9), &udp(b"second"));
        let mut file = Vec::new();
        capture.write_to(&mut file).unwrap();
        let mut reader = PcapReader::new(&file[..]).unwrap();
        assert_eq!(reader.header().datalink, DataLink::RAW);
        let first = reader.next_packet().unwrap().unwrap().into_owned();
        assert_eq!(first.timestamp, Duration::from_micros(1_500_001));
        assert_eq!(first.data, ip_packet(&udp(b"first"), 0));
        let second = reader.next_packet().unwrap().unwrap().into_owned();
        assert_eq!(&second.data[28..], b"second");
        assert!(reader.next_packet().is_none());
    }
}
