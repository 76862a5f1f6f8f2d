use super::ModeError;
use crate::packet::Packet;
use ipsec_wire::ipv4::{Ipv4Packet, MIN_HEADER_LEN};
use ipsec_wire::ipv6::{HEADER_LEN, Ipv6Packet, next_header};
use ipsec_wire::{ErrorKind, WireError};

/// Where a packet parts in transport mode: headers that stay in clear, and the payload that is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportSplit {
    /// Octets of IP header and of extension headers that routers need.
    pub header_len: usize,
    /// Octets of the whole packet.
    pub total_len: usize,
    /// What the payload is.
    pub next_header: u8,
    /// Where in the clear headers that number stands, to be replaced by 50 or 51.
    next_header_at: usize,
    v6: bool,
}

/// Finds where ESP or AH goes in transport mode.
///
/// For IPv4 after the header with its options; for IPv6 after Hop-by-Hop, Routing and the Destination
/// Options before Routing (RFC 4303 §3.1.1).
///
/// # Errors
/// Headers that lie, or a fragment: transport mode protects whole datagrams only.
pub fn transport_split(packet: &[u8]) -> Result<TransportSplit, ModeError> {
    match packet.first().map(|octet| octet >> 4) {
        Some(4) => {
            let view = Ipv4Packet::new_checked(packet)?;
            if view.is_fragment() {
                return Err(ModeError::Fragment);
            }
            Ok(TransportSplit {
                header_len: view.header_len(),
                total_len: view.total_len(),
                next_header: view.protocol(),
                next_header_at: 9,
                v6: false,
            })
        }
        Some(6) => split_v6(packet),
        Some(_) => Err(WireError::new(ErrorKind::Range, "IP version", 0).into()),
        None => Err(WireError::new(ErrorKind::Truncated, "IP version", 0).into()),
    }
}

fn split_v6(packet: &[u8]) -> Result<TransportSplit, ModeError> {
    let view = Ipv6Packet::new_checked(packet)?;
    let mut split = TransportSplit {
        header_len: HEADER_LEN,
        total_len: view.total_len(),
        next_header: view.next_header(),
        next_header_at: 6,
        v6: true,
    };
    for header in view.extension_headers() {
        let header = header?;
        match header.kind {
            next_header::FRAGMENT => return Err(ModeError::Fragment),
            // What stands before one of these, a Destination Options header included, stays with it.
            next_header::HOP_BY_HOP | next_header::ROUTING => {
                split.header_len = header.offset.saturating_add(header.octets.len());
                split.next_header = header.next_header();
                split.next_header_at = header.offset;
            }
            _ => {}
        }
    }
    Ok(split)
}

impl TransportSplit {
    /// Makes a gap of `gap` octets between headers and payload and leaves the payload in `packet`.
    ///
    /// `gap` is what sealing will put before the payload: SPI, sequence number and IV.
    ///
    /// # Errors
    /// Too little headroom, or a packet that is not the one that was split.
    pub fn part(&self, packet: &mut Packet<'_>, gap: usize) -> Result<(), ModeError> {
        let wrong = ModeError::Wire(WireError::new(ErrorKind::Truncated, "IP header", packet.len()));
        let filler = packet.len().checked_sub(self.total_len).ok_or(wrong)?;
        if self.header_len > self.total_len {
            return Err(wrong);
        }
        packet.open_gap(self.header_len, gap)?;
        packet.trim_back(filler).ok_or(wrong)?;
        packet.trim_front(self.header_len.saturating_add(gap)).ok_or(wrong)
    }

    /// Takes the clear headers, which stand right before the sealed payload, back into `packet`, and makes
    /// their length and protocol fit.
    ///
    /// # Errors
    /// A packet too long for IP, or one that [`part`](Self::part) did not leave.
    pub fn join(&self, packet: &mut Packet<'_>, protocol: u8) -> Result<(), ModeError> {
        let total = packet.len().saturating_add(self.header_len);
        let said = if self.v6 { total.saturating_sub(HEADER_LEN) } else { total };
        let said = u16::try_from(said).map_err(|_| ModeError::TooLong(total))?;
        packet.grow_front(self.header_len)?;
        self.rewrite(packet.octets_mut(), protocol, said)
    }

    /// Closes the gap that opening left between the clear headers and the payload, and makes length and
    /// protocol fit. `packet` is the payload, with the clear headers `gap` octets before it.
    ///
    /// # Errors
    /// A packet that was not opened behind these headers.
    pub fn rejoin(&self, packet: &mut Packet<'_>, gap: usize, protocol: u8) -> Result<(), ModeError> {
        let wrong = ModeError::Wire(WireError::new(ErrorKind::Truncated, "IP header", packet.len()));
        let total = packet.len().saturating_add(self.header_len);
        let said = if self.v6 { total.saturating_sub(HEADER_LEN) } else { total };
        let said = u16::try_from(said).map_err(|_| ModeError::TooLong(total))?;
        packet.grow_front(self.header_len.saturating_add(gap))?;
        packet.close_gap(self.header_len, gap).ok_or(wrong)?;
        self.rewrite(packet.octets_mut(), protocol, said)
    }

    fn rewrite(&self, octets: &mut [u8], protocol: u8, said: u16) -> Result<(), ModeError> {
        if self.v6 {
            let length = octets.get_mut(4..).and_then(|rest| rest.first_chunk_mut());
            let (Some(length), true) = (length, self.header_len >= HEADER_LEN) else {
                return Err(WireError::new(ErrorKind::Truncated, "IPv6 header", 0).into());
            };
            *length = said.to_be_bytes();
            if let Some(field) = octets.get_mut(self.next_header_at) {
                *field = protocol;
            }
            Ipv6Packet::new_checked(octets)?;
        } else {
            let length = octets.get_mut(2..).and_then(|rest| rest.first_chunk_mut());
            let (Some(length), true) = (length, self.header_len >= MIN_HEADER_LEN) else {
                return Err(WireError::new(ErrorKind::Truncated, "IPv4 header", 0).into());
            };
            *length = said.to_be_bytes();
            let mut view = Ipv4Packet::new_checked(octets)?;
            view.set_protocol(protocol);
            view.fill_checksum();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn ipv4() -> Vec<u8> {
        hex::decode("46000020000100004006000001020304050607080101010090000050abcdef01").unwrap()
    }

    fn ipv6() -> Vec<u8> {
        let mut octets = hex::decode("6000000000200040").unwrap();
        octets.extend([1; 32]);
        octets.extend([60, 0, 1, 4, 0, 0, 0, 0]); // hop-by-hop
        octets.extend([43, 0, 1, 4, 0, 0, 0, 0]); // destination options before routing
        octets.extend([60, 0, 4, 0, 0, 0, 0, 0]); // routing
        octets.extend([59, 0, 1, 4, 0, 0, 0, 0]); // destination options for the end
        octets
    }

    #[test]
    fn the_payload_parts_from_headers_and_joins_them_again() {
        for (octets, header_len, next_header) in [(ipv4(), 24, 6), (ipv6(), 64, 60)] {
            let split = transport_split(&octets).unwrap();
            assert_eq!((split.header_len, split.next_header), (header_len, next_header));
            let mut buffer = [&[0xee; 24][..], &octets, &[0xee; 12]].concat();
            let mut packet = Packet::new(&mut buffer, 24..24 + octets.len()).unwrap();
            split.part(&mut packet, 24).unwrap();
            assert_eq!(packet.octets(), &octets[header_len..]);
            packet.grow_front(24).unwrap();
            packet.grow_back(12).unwrap();
            split.join(&mut packet, 50).unwrap();
            let sealed = packet.octets().to_vec();
            let outer = transport_split(&sealed).unwrap();
            assert_eq!((outer.header_len, outer.next_header, outer.total_len), (header_len, 50, sealed.len()));
            if sealed[0] >> 4 == 4 {
                assert!(Ipv4Packet::new_checked(&sealed).unwrap().checksum_is_valid());
            }
            // Back: the payload is what is left between IV and ICV.
            packet.trim_front(header_len + 24).unwrap();
            packet.trim_back(12).unwrap();
            outer.rejoin(&mut packet, 24, next_header).unwrap();
            let mut expected = octets.clone();
            if expected[0] >> 4 == 4 {
                Ipv4Packet::new_checked(&mut expected[..]).unwrap().fill_checksum();
            }
            assert_eq!(packet.octets(), expected);
        }
    }

    #[test]
    fn fragments_and_lies_are_refused() {
        let mut fragment = ipv4();
        fragment[6] = 0x20;
        assert_eq!(transport_split(&fragment), Err(ModeError::Fragment));
        let mut fragment = ipv6();
        fragment[6] = 44;
        assert_eq!(transport_split(&fragment), Err(ModeError::Fragment));
        for octets in [ipv4(), ipv6()] {
            for len in 0..octets.len() {
                assert!(transport_split(&octets[..len]).is_err());
            }
        }
    }
}
