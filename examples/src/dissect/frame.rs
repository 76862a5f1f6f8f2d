//! From a frame to what it carries: link layer, IP, UDP.

use super::capture::Frame;
use ipsec_wire::ah::AhHeader;
use ipsec_wire::ipv4::Ipv4Packet;
use ipsec_wire::ipv6::Ipv6Packet;
use ipsec_wire::udp::UdpDatagram;
use ipsec_wire::{ErrorKind, WireError};
use l2tpv3::wire::Carrier;
use pcap_file::DataLink;
use std::net::{IpAddr, SocketAddr};

/// An IP packet that carries something of ours.
#[derive(Clone, Debug)]
pub struct Carried<'a> {
    /// Whom it is from; the port is 0 without UDP.
    pub source: SocketAddr,
    /// Whom it is for.
    pub destination: SocketAddr,
    /// What it carries.
    pub content: Content<'a>,
}

/// What an IP packet carries.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// An ISAKMP message, without the marker.
    Isakmp(&'a [u8]),
    /// A NAT keepalive, or what pretends to be one.
    NatKeepalive(&'a [u8]),
    /// An ESP packet, in UDP or not.
    Esp(&'a [u8]),
    /// An AH header and what it protects.
    Ah(&'a [u8]),
    /// An L2TP packet.
    L2tp(Carrier, &'a [u8]),
    /// A part of an IP packet that cannot be read alone.
    Part,
    /// A packet whose headers are broken.
    Broken(WireError),
}

/// Returns what a frame carries; `None` when it is nothing of ours.
pub fn carried(frame: &Frame) -> Option<Carried<'_>> {
    ip(network(frame.link, &frame.octets)?)
}

/// Skips the link layer; `None` when no IP packet follows.
pub fn network(link: DataLink, octets: &[u8]) -> Option<&[u8]> {
    match link {
        DataLink::ETHERNET => {
            let mut rest = octets.get(12..)?;
            loop {
                let (kind, after) = rest.split_first_chunk::<2>()?;
                match u16::from_be_bytes(*kind) {
                    0x8100 | 0x88a8 => rest = after.get(2..)?,
                    0x0800 | 0x86dd => return Some(after),
                    _ => return None,
                }
            }
        }
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 | DataLink::Unknown(12 | 14) => Some(octets),
        DataLink::NULL | DataLink::LOOP => octets.get(4..),
        DataLink::LINUX_SLL => octets.get(16..),
        DataLink::LINUX_SLL2 => octets.get(20..),
        _ => None,
    }
}

/// Finds what an IP packet carries.
pub fn ip(octets: &[u8]) -> Option<Carried<'_>> {
    let (source, destination, protocol, offset, is_part) = match octets.first()? >> 4 {
        4 => {
            let packet = match Ipv4Packet::new_checked(octets) {
                Ok(packet) => packet,
                Err(error) => return broken_ipv4(octets, error),
            };
            let ends = (packet.source().into(), packet.destination().into());
            (ends.0, ends.1, packet.protocol(), packet.header_len()..packet.total_len(), packet.is_fragment())
        }
        6 => {
            // What cannot be read has no protocol that would make it ours.
            let packet = Ipv6Packet::new_checked(octets).ok()?;
            let ends: (IpAddr, IpAddr) = (packet.source().into(), packet.destination().into());
            match ipv6_upper_layer(&packet) {
                Ok((protocol, offset, is_part)) => (ends.0, ends.1, protocol, offset..packet.total_len(), is_part),
                Err(error) => return Some(plain(ends.0, ends.1, Content::Broken(error))),
            }
        }
        _ => return None,
    };
    let body = octets.get(offset)?;
    if is_part {
        return [17, 50, 51, 115].contains(&protocol).then(|| plain(source, destination, Content::Part));
    }
    upper(source, destination, protocol, body)
}

/// Finds what a protocol above IP carries.
pub fn upper(source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8]) -> Option<Carried<'_>> {
    match protocol {
        4 | 41 => ip(body),
        17 => udp(source, destination, body),
        50 => Some(plain(source, destination, Content::Esp(body))),
        51 => Some(plain(source, destination, Content::Ah(body))),
        115 => Some(plain(source, destination, Content::L2tp(Carrier::Ip, body))),
        _ => None,
    }
}

/// Walks the extension headers; AH ends the walk, for it is what we look for.
fn ipv6_upper_layer(packet: &Ipv6Packet<&[u8]>) -> Result<(u8, usize, bool), WireError> {
    let mut next = packet.next_header();
    let mut offset = ipsec_wire::ipv6::HEADER_LEN;
    let body = packet.payload();
    loop {
        let here = body.get(offset - ipsec_wire::ipv6::HEADER_LEN..).unwrap_or_default();
        let fault = WireError::new(ErrorKind::Truncated, "extension header", offset);
        match next {
            0 | 43 | 60 => {
                let [after, units] = *here.first_chunk::<2>().ok_or(fault)?;
                let length = usize::from(units) * 8 + 8;
                if here.len() < length {
                    return Err(fault);
                }
                next = after;
                offset += length;
            }
            44 => {
                let header = here.first_chunk::<8>().ok_or(fault)?;
                let place = u16::from_be_bytes([header[2], header[3]]);
                return Ok((header[0], offset + 8, place & 0xfff9 != 0));
            }
            protocol => return Ok((protocol, offset, false)),
        }
    }
}

/// A packet that would be ours if its lengths were right: cut by the capture, or broken.
fn broken_ipv4(octets: &[u8], error: WireError) -> Option<Carried<'_>> {
    let header = octets.first_chunk::<20>()?;
    let ours = match header[9] {
        17 => {
            let ports = octets.get(usize::from(header[0] & 0x0f) * 4..)?.first_chunk::<4>()?;
            let ports = [u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]])];
            ports.into_iter().any(is_ours)
        }
        protocol => [50, 51, 115].contains(&protocol),
    };
    let address = |at: usize| IpAddr::from([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    ours.then(|| plain(address(12), address(16), Content::Broken(error)))
}

fn udp(source: IpAddr, destination: IpAddr, body: &[u8]) -> Option<Carried<'_>> {
    let ports = body.first_chunk::<4>()?;
    let ports = (u16::from_be_bytes([ports[0], ports[1]]), u16::from_be_bytes([ports[2], ports[3]]));
    let either = |port| ports.0 == port || ports.1 == port;
    let datagram = match UdpDatagram::new_checked(body) {
        Ok(datagram) => datagram,
        Err(error) => {
            return (is_ours(ports.0) || is_ours(ports.1)).then(|| plain(source, destination, Content::Broken(error)));
        }
    };
    // The datagram's own payload lives as long as the view, so it is cut out of the body again.
    let payload = body.get(ipsec_wire::udp::HEADER_LEN..datagram.length())?;
    let content = if either(4500) {
        natt(payload)?
    } else if either(500) {
        // Drafts 00 and 01 of NAT traversal put ESP on port 500, behind eight zero octets.
        match payload.split_first_chunk::<8>() {
            Some(([0, 0, 0, 0, 0, 0, 0, 0], rest)) if rest.get(9) != Some(&0x10) => Content::Esp(rest),
            _ => Content::Isakmp(payload),
        }
    } else if either(1701) {
        Content::L2tp(Carrier::Udp, payload)
    } else if payload.get(17) == Some(&0x10) && isakmp_length_fits(payload) {
        // Behind a NAT both ports may be others; the header tells.
        Content::Isakmp(payload)
    } else {
        return None;
    };
    let (source, destination) = (SocketAddr::new(source, ports.0), SocketAddr::new(destination, ports.1));
    Some(Carried { source, destination, content })
}

/// Tells what is on port 4500 (RFC 3948 §2).
fn natt(payload: &[u8]) -> Option<Content<'_>> {
    match payload {
        [] => None,
        [0, 0, 0, 0, message @ ..] => Some(Content::Isakmp(message)),
        [_] | [0xff, ..] if payload.len() < 4 => Some(Content::NatKeepalive(payload)),
        esp => Some(Content::Esp(esp)),
    }
}

/// Returns whether a UDP port is that of something of ours.
pub fn is_ours(port: u16) -> bool {
    [500, 4500, 1701].contains(&port)
}

fn isakmp_length_fits(payload: &[u8]) -> bool {
    payload.get(24..28).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes)
        == u32::try_from(payload.len()).ok()
}

fn plain<'a>(source: IpAddr, destination: IpAddr, content: Content<'a>) -> Carried<'a> {
    Carried { source: SocketAddr::new(source, 0), destination: SocketAddr::new(destination, 0), content }
}

/// Returns the name of what is carried.
pub fn name(content: &Content<'_>) -> &'static str {
    match content {
        Content::Isakmp(_) => "ISAKMP",
        Content::NatKeepalive(_) => "NAT keepalive",
        Content::Esp(_) => "ESP",
        Content::Ah(_) => "AH",
        Content::L2tp(..) => "L2TP",
        Content::Part => "IP fragment",
        Content::Broken(_) => "broken headers",
    }
}

/// Reads an AH header at the start of a body.
///
/// # Errors
/// What is wrong with it.
pub fn ah(octets: &[u8]) -> Result<AhHeader<&[u8]>, WireError> {
    AhHeader::new_checked(octets)
}
