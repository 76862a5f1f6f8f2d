//! Bound End-to-End Tunnel mode (draft-nikander-esp-beet-mode-09): tunnel semantics between two fixed inner
//! addresses, with packets as short as in transport mode, because the inner header is not sent.

use super::ModeError;
use crate::packet::Packet;
use core::net::IpAddr;
use ipsec_wire::ipv4::{self, Ipv4Fields, Ipv4Packet};
use ipsec_wire::ipv6::{self, Ipv6Fields, Ipv6Packet};
use ipsec_wire::{ErrorKind, WireError};

/// The protocol number of the pseudo header that carries IPv4 options.
pub const BEET_PSEUDO_HEADER: u8 = 94;

/// Octets of the pseudo header before padding and options.
const PSEUDO_LEN: usize = 4;
/// The option of IPv4 that does nothing.
const NOP: u8 = ipv4::NO_OPERATION;

/// The inner addresses that both ends of an association know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeetAddresses {
    /// The sender's.
    pub source: IpAddr,
    /// The receiver's.
    pub destination: IpAddr,
}

/// What is left of a packet that enters: the payload, and what the outer header takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeetPayload {
    /// What the payload is: a transport, an extension header, or [`BEET_PSEUDO_HEADER`].
    pub next_header: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Don't Fragment; always set for IPv6.
    pub dont_fragment: bool,
    /// Time to live or hop limit.
    pub ttl: u8,
}

/// Takes the inner header off a packet that enters; IPv4 options move into a pseudo header.
///
/// # Errors
/// A header that lies, a fragment, or addresses that are not the association's.
pub fn beet_enter(packet: &mut Packet<'_>, addresses: BeetAddresses) -> Result<BeetPayload, ModeError> {
    let inner = super::Inner::of(packet.octets())?;
    let filler = packet.len().saturating_sub(inner.total_len);
    let truncated = ModeError::Wire(WireError::new(ErrorKind::Truncated, "IP header", 0));
    let mut payload = BeetPayload {
        next_header: 0,
        traffic_class: inner.traffic_class,
        dont_fragment: inner.dont_fragment,
        ttl: inner.ttl,
    };
    if inner.next_header == super::IPV6 {
        let view = Ipv6Packet::new_checked(packet.octets())?;
        if (addresses.source, addresses.destination) != (view.source().into(), view.destination().into()) {
            return Err(ModeError::Family);
        }
        if view.upper_layer()?.fragment.is_some() {
            return Err(ModeError::Fragment);
        }
        payload.next_header = view.next_header();
        packet.trim_front(ipv6::HEADER_LEN).ok_or(truncated)?;
    } else {
        let view = Ipv4Packet::new_checked(packet.octets())?;
        if (addresses.source, addresses.destination) != (view.source().into(), view.destination().into()) {
            return Err(ModeError::Family);
        }
        if view.is_fragment() {
            return Err(ModeError::Fragment);
        }
        payload.next_header = view.protocol();
        let options = view.header_len().saturating_sub(ipv4::MIN_HEADER_LEN);
        packet.trim_front(ipv4::MIN_HEADER_LEN).ok_or(truncated)?;
        // A payload of the pseudo header's own number would be taken for one.
        if options > 0 || payload.next_header == BEET_PSEUDO_HEADER {
            // Pseudo header, padding and options fill whole units of 8 octets; the header is 20 octets, so
            // there is always room where it stood.
            let padding = if options.is_multiple_of(8) { 4 } else { 0 };
            let head = packet.grow_front(PSEUDO_LEN + padding)?;
            head.fill(NOP);
            let units = u8::try_from(options / 8).unwrap_or(u8::MAX);
            let fields = [payload.next_header, units, u8::try_from(padding).unwrap_or(0), 0];
            head.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
            payload.next_header = BEET_PSEUDO_HEADER;
        }
    }
    packet.trim_back(filler).ok_or(truncated)?;
    Ok(payload)
}

/// Puts the inner header back before a payload that came out of ESP.
///
/// `traffic_class` and `ttl` are the outer header's, which took them from the sender's inner one.
///
/// # Errors
/// Too little headroom, addresses of two families, a pseudo header that lies, a packet too long for IP.
pub fn beet_leave(
    packet: &mut Packet<'_>,
    next_header: u8,
    addresses: BeetAddresses,
    traffic_class: u8,
    ttl: u8,
) -> Result<(), ModeError> {
    match (addresses.source, addresses.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let lies = ModeError::Wire(WireError::new(ErrorKind::Length, "BEET pseudo header", 1));
            let mut protocol = next_header;
            let mut options = 0;
            if next_header == BEET_PSEUDO_HEADER {
                let &[inner, units, padding, _] = packet.octets().first_chunk::<PSEUDO_LEN>().ok_or(lies)?;
                let total = usize::from(units).saturating_add(1).saturating_mul(8);
                let head = PSEUDO_LEN.saturating_add(padding.into());
                options = total.checked_sub(head).ok_or(lies)?;
                if padding > 4 || !options.is_multiple_of(4) || options > ipv4::MAX_HEADER_LEN - ipv4::MIN_HEADER_LEN {
                    return Err(lies);
                }
                packet.trim_front(head).ok_or(lies)?;
                if packet.len() < options {
                    return Err(lies);
                }
                protocol = inner;
            }
            let total = packet.len().saturating_add(ipv4::MIN_HEADER_LEN);
            let fields = Ipv4Fields {
                traffic_class,
                total_len: u16::try_from(total).map_err(|_| ModeError::TooLong(total))?,
                identification: 0,
                dont_fragment: true,
                ttl,
                protocol,
                source,
                destination,
            };
            packet.grow_front(ipv4::MIN_HEADER_LEN)?.copy_from_slice(&fields.emit());
            if let Some(first) = packet.octets_mut().first_mut() {
                // At most 15 words: the options were held against the longest header.
                *first = 0x40 | u8::try_from((ipv4::MIN_HEADER_LEN + options) / 4).unwrap_or(5);
            }
            Ipv4Packet::new_checked(packet.octets_mut())?.fill_checksum();
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let fields = Ipv6Fields {
                traffic_class,
                flow_label: 0,
                payload_len: u16::try_from(packet.len()).map_err(|_| ModeError::TooLong(packet.len()))?,
                next_header,
                hop_limit: ttl,
                source,
                destination,
            };
            packet.grow_front(ipv6::HEADER_LEN)?.copy_from_slice(&fields.emit());
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return Err(ModeError::Family),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use std::vec::Vec;

    fn addresses() -> BeetAddresses {
        let octets = [10, 0, 0, 1];
        BeetAddresses { source: Ipv4Addr::from(octets).into(), destination: Ipv4Addr::new(10, 0, 0, 2).into() }
    }

    fn ipv4(options: &[u8]) -> Vec<u8> {
        let mut octets = hex::decode("450000000000400021110000 0a000001 0a000002".replace(' ', "")).unwrap();
        octets.extend(options);
        octets.extend([1, 2, 3, 4, 5]);
        octets[0] = 0x45 + (options.len() / 4) as u8;
        octets[3] = octets.len() as u8;
        Ipv4Packet::new_checked(&mut octets[..]).unwrap().fill_checksum();
        octets
    }

    #[test]
    fn ipv4_with_and_without_options_comes_back_as_it_went() {
        for options in [&[][..], &[1, 1, 1, 1], &[0x94, 4, 0, 0, 1, 1, 1, 1], &[1; 40]] {
            let octets = ipv4(options);
            let mut buffer = [&[0; 8][..], &octets].concat();
            let mut packet = Packet::new(&mut buffer, 8..8 + octets.len()).unwrap();
            let left = beet_enter(&mut packet, addresses()).unwrap();
            assert_eq!(left.next_header, if options.is_empty() { 17 } else { 94 });
            if !options.is_empty() {
                assert!((packet.len() - 5).is_multiple_of(8));
                assert_eq!(usize::from(packet.octets()[1]), (packet.len() - 5) / 8 - 1);
            }
            beet_leave(&mut packet, left.next_header, addresses(), left.traffic_class, left.ttl).unwrap();
            assert_eq!(packet.octets(), octets, "{options:?}");
        }
    }

    #[test]
    fn a_payload_of_the_number_of_the_pseudo_header_comes_back_as_it_went() {
        for options in [&[][..], &[1; 4], &[1; 8]] {
            let mut octets = ipv4(options);
            octets[9] = BEET_PSEUDO_HEADER;
            Ipv4Packet::new_checked(&mut octets[..]).unwrap().fill_checksum();
            let mut buffer = octets.clone();
            let mut packet = Packet::whole(&mut buffer);
            let left = beet_enter(&mut packet, addresses()).unwrap();
            beet_leave(&mut packet, left.next_header, addresses(), left.traffic_class, left.ttl).unwrap();
            assert_eq!(packet.octets(), octets, "{options:?}");
        }
    }

    #[test]
    fn ipv6_comes_back_as_it_went() {
        let (source, destination) = (Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);
        let fields = Ipv6Fields {
            traffic_class: 7,
            flow_label: 0,
            payload_len: 3,
            next_header: 17,
            hop_limit: 9,
            source,
            destination,
        };
        let octets = [&fields.emit()[..], &[1, 2, 3]].concat();
        let mut buffer = octets.clone();
        let mut packet = Packet::whole(&mut buffer);
        let addresses = BeetAddresses { source: source.into(), destination: destination.into() };
        let left = beet_enter(&mut packet, addresses).unwrap();
        assert_eq!((left.next_header, packet.octets()), (17, &[1, 2, 3][..]));
        beet_leave(&mut packet, 17, addresses, 7, 9).unwrap();
        assert_eq!(packet.octets(), octets);
    }

    #[test]
    fn other_addresses_fragments_and_pseudo_headers_that_lie_are_refused() {
        let mut octets = ipv4(&[]);
        octets[19] = 9;
        assert_eq!(beet_enter(&mut Packet::whole(&mut octets), addresses()), Err(ModeError::Family));
        let mut octets = ipv4(&[]);
        octets[6] = 0x20;
        assert_eq!(beet_enter(&mut Packet::whole(&mut octets), addresses()), Err(ModeError::Fragment));
        for pseudo in [&[17, 0, 9, 0, 0, 0, 0, 0][..], &[17, 9, 4, 0], &[17, 0, 0], &[17, 1, 4, 0, 1, 1, 1, 1]] {
            let mut buffer = [&[0; 60][..], pseudo].concat();
            let mut packet = Packet::new(&mut buffer, 60..60 + pseudo.len()).unwrap();
            assert!(beet_leave(&mut packet, 94, addresses(), 0, 64).is_err(), "{pseudo:?}");
        }
    }
}
