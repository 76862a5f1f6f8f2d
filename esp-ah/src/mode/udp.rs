use super::ModeError;
use crate::packet::Packet;
use core::net::IpAddr;
use ipsec_wire::udp::{self, HEADER_LEN, UdpDatagram};

/// The ports of UDP around ESP.
///
/// There are two forms: 4500 on both ends at first (RFC 3948 §2.1; a NAT may change one), and 2746 by
/// configuration on both, the form of older routers, which has four octets of its own before ESP
/// (`nat_t::udp_tunnel`). On 4500 IKE shares the port behind a marker of four zero octets, which no SPI is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UdpPorts {
    /// The source port.
    pub source: u16,
    /// The destination port.
    pub destination: u16,
}

impl UdpPorts {
    /// Port 4500 on both ends.
    pub const NAT_TRAVERSAL: Self = Self { source: 4500, destination: 4500 };
    /// Port 2746 on both ends.
    pub const TUNNEL_2746: Self = Self { source: 2746, destination: 2746 };
}

/// Puts a UDP header before an ESP packet from the first address to the second: without a checksum over IPv4
/// (RFC 3948 §2.1), with one over IPv6, where systems drop what has none (RFC 8200 §8.1).
///
/// For callers that build IP headers themselves; a UDP socket does the same.
///
/// # Errors
/// Too little headroom, or a packet too long for UDP.
pub fn udp_enter(packet: &mut Packet<'_>, ports: UdpPorts, ends: (IpAddr, IpAddr)) -> Result<(), ModeError> {
    let total = packet.len().saturating_add(HEADER_LEN);
    if total > usize::from(u16::MAX) {
        return Err(ModeError::TooLong(total));
    }
    packet.grow_front(HEADER_LEN)?;
    let summed = Some(ends).filter(|(source, _)| source.is_ipv6());
    udp::emit_header(packet.octets_mut(), ports.source, ports.destination, summed)?;
    Ok(())
}

/// Takes the UDP header off and returns its ports.
///
/// The checksum is not looked at: ESP has its own proof (RFC 3948 §2.1).
///
/// # Errors
/// A header that lies.
pub fn udp_leave(packet: &mut Packet<'_>) -> Result<UdpPorts, ModeError> {
    let view = UdpDatagram::new_checked(packet.octets())?;
    let ports = UdpPorts { source: view.source_port(), destination: view.destination_port() };
    let behind = packet.len().saturating_sub(view.length());
    let wrong = ModeError::TooLong(packet.len());
    packet.trim_back(behind).ok_or(wrong)?;
    packet.trim_front(HEADER_LEN).ok_or(wrong)?;
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};

    const V4: (IpAddr, IpAddr) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::BROADCAST));

    #[test]
    fn over_ipv6_there_is_a_checksum_and_it_is_never_zero() {
        let ends: (IpAddr, IpAddr) = (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::UNSPECIFIED.into());
        for payload in 0..=u16::MAX {
            let mut buffer = [0; 10];
            let mut packet = Packet::new(&mut buffer, 8..10).unwrap();
            packet.octets_mut().copy_from_slice(&payload.to_be_bytes());
            udp_enter(&mut packet, UdpPorts::NAT_TRAVERSAL, ends).unwrap();
            let view = UdpDatagram::new_checked(packet.octets()).unwrap();
            assert!(view.checksum() != 0 && view.checksum_is_valid(ends.0, ends.1));
        }
    }

    #[test]
    fn both_forms_go_on_and_come_off() {
        for ports in [UdpPorts::NAT_TRAVERSAL, UdpPorts::TUNNEL_2746] {
            let mut buffer = [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0xee];
            let mut packet = Packet::new(&mut buffer, 8..11).unwrap();
            udp_enter(&mut packet, ports, V4).unwrap();
            assert_eq!(packet.octets()[4..8], [0, 11, 0, 0], "length, and no checksum");
            packet.grow_back(1).unwrap(); // link padding
            assert_eq!(udp_leave(&mut packet), Ok(ports));
            assert_eq!(packet.octets(), [1, 2, 3]);
        }
    }

    #[test]
    fn lies_and_lack_of_room_are_refused() {
        assert!(matches!(udp_leave(&mut Packet::whole(&mut [0; 7])), Err(ModeError::Wire(_))));
        assert!(matches!(udp_leave(&mut Packet::whole(&mut [0; 8])), Err(ModeError::Wire(_))));
        let full = udp_enter(&mut Packet::whole(&mut [0; 8]), UdpPorts::NAT_TRAVERSAL, V4);
        assert!(matches!(full, Err(ModeError::BufferTooSmall(_))));
    }
}
