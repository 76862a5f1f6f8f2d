use super::{DUMMY, Ecn, EcnOutward, IPV4, IPV6, ModeError};
use crate::packet::Packet;
use core::net::IpAddr;
use ipsec_wire::ipv4::{self, Ipv4Fields, Ipv4Packet};
use ipsec_wire::ipv6::{self, Ipv6Fields, Ipv6Packet};
use ipsec_wire::{ErrorKind, WireError};

/// What the outer header's Don't Fragment bit says (RFC 4301 §8.1); IPv6 has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum DontFragment {
    /// What the inner header's says; an IPv6 packet counts as set.
    Copy,
    /// Set.
    Set,
    /// Clear: routers on the way may fragment. The default of the routers we stand in for.
    #[default]
    Clear,
}

/// What the outer header's time to live or hop limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ttl {
    /// A constant (RFC 4301 §5.1.2: constructed).
    Fixed(u8),
    /// The inner header's.
    Copy,
}

impl Default for Ttl {
    fn default() -> Self {
        Self::Fixed(64)
    }
}

/// What the outer header's DSCP is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Dscp {
    /// The inner header's.
    #[default]
    Copy,
    /// A constant: the lower six bits count. Hides the inner one.
    Fixed(u8),
}

/// What an outer header takes from the packet that goes into the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// The next header that announces the packet: 4 or 41.
    pub next_header: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Don't Fragment; always set for IPv6.
    pub dont_fragment: bool,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// Octets of the packet; what follows in a buffer is not part of it.
    pub total_len: usize,
}

impl Inner {
    /// Reads an IP packet of either family.
    ///
    /// # Errors
    /// A header that lies.
    pub fn of(packet: &[u8]) -> Result<Self, WireError> {
        match packet.first().map(|octet| octet >> 4) {
            Some(4) => {
                let view = Ipv4Packet::new_checked(packet)?;
                Ok(Self {
                    next_header: IPV4,
                    traffic_class: view.traffic_class(),
                    dont_fragment: view.dont_fragment(),
                    ttl: view.ttl(),
                    total_len: view.total_len(),
                })
            }
            Some(6) => {
                let view = Ipv6Packet::new_checked(packet)?;
                Ok(Self {
                    next_header: IPV6,
                    traffic_class: view.traffic_class(),
                    dont_fragment: true,
                    ttl: view.hop_limit(),
                    total_len: view.total_len(),
                })
            }
            Some(_) => Err(WireError::new(ErrorKind::Range, "IP version", 0)),
            None => Err(WireError::new(ErrorKind::Truncated, "IP version", 0)),
        }
    }
}

/// How the outer header of a tunnel is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OuterHeader {
    /// Our address.
    pub source: IpAddr,
    /// The peer's address.
    pub destination: IpAddr,
    /// Don't Fragment.
    pub dont_fragment: DontFragment,
    /// Time to live or hop limit.
    pub ttl: Ttl,
    /// DSCP.
    pub dscp: Dscp,
    /// ECN.
    pub ecn: EcnOutward,
}

impl OuterHeader {
    /// Returns a header between two addresses with the default for everything else.
    ///
    /// # Errors
    /// Addresses of two families.
    pub fn new(source: IpAddr, destination: IpAddr) -> Result<Self, ModeError> {
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(ModeError::Family);
        }
        Ok(Self {
            source,
            destination,
            dont_fragment: DontFragment::default(),
            ttl: Ttl::default(),
            dscp: Dscp::default(),
            ecn: EcnOutward::default(),
        })
    }

    /// Returns the outer traffic class for an inner one.
    pub const fn traffic_class(&self, inner: u8) -> u8 {
        let dscp = match self.dscp {
            Dscp::Copy => inner & 0xfc,
            Dscp::Fixed(dscp) => dscp << 2,
        };
        dscp | Ecn::of(inner).enter(self.ecn).bits()
    }

    /// Puts the header before a packet of the given protocol (50, 51 or 17).
    ///
    /// `identification` is of IPv4 only; the caller sees to it that it does not repeat soon where routers may
    /// fragment (RFC 6864 §4).
    ///
    /// # Errors
    /// Too little headroom, a packet too long for IP, addresses of two families.
    pub fn prepend(
        &self,
        packet: &mut Packet<'_>,
        protocol: u8,
        inner: &Inner,
        identification: u16,
    ) -> Result<(), ModeError> {
        let payload_len = packet.len();
        let traffic_class = self.traffic_class(inner.traffic_class);
        let ttl = match self.ttl {
            Ttl::Fixed(ttl) => ttl,
            Ttl::Copy => inner.ttl,
        };
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let total = payload_len.saturating_add(ipv4::MIN_HEADER_LEN);
                let fields = Ipv4Fields {
                    traffic_class,
                    total_len: u16::try_from(total).map_err(|_| ModeError::TooLong(total))?,
                    identification,
                    dont_fragment: match self.dont_fragment {
                        DontFragment::Copy => inner.dont_fragment,
                        DontFragment::Set => true,
                        DontFragment::Clear => false,
                    },
                    ttl,
                    protocol,
                    source,
                    destination,
                };
                packet.grow_front(ipv4::MIN_HEADER_LEN)?.copy_from_slice(&fields.emit());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let fields = Ipv6Fields {
                    traffic_class,
                    flow_label: 0,
                    payload_len: u16::try_from(payload_len).map_err(|_| ModeError::TooLong(payload_len))?,
                    next_header: protocol,
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
}

/// Checks a packet that came out of a tunnel, takes filler off its end, and passes congestion marks on.
///
/// `outer` is the traffic class of the outer header, if the caller has it. The inner DSCP stays as it is.
///
/// # Errors
/// A dummy; a payload that is not the IP packet that `next_header` announced; a congestion mark on a packet
/// that cannot carry it.
pub fn tunnel_leave(packet: &mut Packet<'_>, next_header: u8, outer: Option<u8>) -> Result<Inner, ModeError> {
    match next_header {
        IPV4 | IPV6 => {}
        DUMMY => return Err(ModeError::Dummy),
        other => return Err(ModeError::NextHeader(other)),
    }
    let mut inner = Inner::of(packet.octets())?;
    if inner.next_header != next_header {
        return Err(ModeError::NextHeader(next_header));
    }
    let filler = packet.len().saturating_sub(inner.total_len);
    if let Some(outer) = outer {
        let before = Ecn::of(inner.traffic_class);
        let after = before.leave(Ecn::of(outer)).ok_or(ModeError::Congestion)?;
        if after != before {
            inner.traffic_class = (inner.traffic_class & 0xfc) | after.bits();
            let octets = packet.octets_mut();
            if next_header == IPV4 {
                Ipv4Packet::new_checked(octets)?.set_traffic_class(inner.traffic_class);
            } else {
                Ipv6Packet::new_checked(octets)?.set_traffic_class(inner.traffic_class);
            }
        }
    }
    packet.trim_back(filler).ok_or(ModeError::NextHeader(next_header))?;
    Ok(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use std::vec::Vec;

    const V4: (IpAddr, IpAddr) = (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)));
    const V6: (IpAddr, IpAddr) = (
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)),
    );

    fn inner(v6: bool, traffic_class: u8, dont_fragment: bool) -> Vec<u8> {
        let mut octets = if v6 {
            let (source, destination) = (Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);
            let fields = Ipv6Fields {
                traffic_class,
                flow_label: 5,
                payload_len: 4,
                next_header: 17,
                hop_limit: 33,
                source,
                destination,
            };
            fields.emit().to_vec()
        } else {
            let fields = Ipv4Fields {
                traffic_class,
                total_len: 24,
                identification: 1,
                dont_fragment,
                ttl: 33,
                protocol: 17,
                source: Ipv4Addr::new(10, 0, 0, 1),
                destination: Ipv4Addr::new(10, 0, 1, 1),
            };
            fields.emit().to_vec()
        };
        octets.extend([1, 2, 3, 4]);
        octets
    }

    #[test]
    fn outer_and_inner_of_both_families_go_together_in_all_four_pairings() {
        for v6_inside in [false, true] {
            for (source, destination) in [V4, V6] {
                let octets = inner(v6_inside, 0xb9, true);
                let read = Inner::of(&octets).unwrap();
                let mut buffer = [&[0; 40][..], &octets].concat();
                let mut packet = Packet::new(&mut buffer, 40..40 + octets.len()).unwrap();
                let outer = OuterHeader::new(source, destination).unwrap();
                outer.prepend(&mut packet, 50, &read, 77).unwrap();
                let made = Inner::of(packet.octets()).unwrap();
                assert_eq!((made.traffic_class, made.ttl, made.total_len), (0xb9, 64, packet.len()));
                if source.is_ipv4() {
                    let view = Ipv4Packet::new_checked(packet.octets()).unwrap();
                    assert!(view.checksum_is_valid() && !view.dont_fragment());
                    assert_eq!((view.protocol(), view.identification(), view.payload()), (50, 77, &octets[..]));
                }
            }
        }
    }

    #[test]
    fn dont_fragment_ttl_and_dscp_follow_their_settings() {
        let read = |dont_fragment| Inner::of(&inner(false, 0xb8, dont_fragment)).unwrap();
        let make = |outer: &OuterHeader, inner: &Inner| {
            let mut buffer = [0; 60];
            let mut packet = Packet::new(&mut buffer, 40..60).unwrap();
            outer.prepend(&mut packet, 50, inner, 0).unwrap();
            Inner::of(packet.octets()).unwrap()
        };
        let mut outer = OuterHeader::new(V4.0, V4.1).unwrap();
        for (setting, clear, set) in
            [(DontFragment::Copy, false, true), (DontFragment::Set, true, true), (DontFragment::Clear, false, false)]
        {
            outer.dont_fragment = setting;
            assert_eq!(make(&outer, &read(false)).dont_fragment, clear);
            assert_eq!(make(&outer, &read(true)).dont_fragment, set);
        }
        outer.ttl = Ttl::Copy;
        assert_eq!(make(&outer, &read(true)).ttl, 33);
        outer.ttl = Ttl::Fixed(9);
        outer.dscp = Dscp::Fixed(10);
        assert_eq!((make(&outer, &read(true)).ttl, make(&outer, &read(true)).traffic_class), (9, 40));
    }

    #[test]
    fn filler_comes_off_and_congestion_marks_pass_on() {
        for v6 in [false, true] {
            let octets = inner(v6, 0xba, true);
            let mut buffer = [&octets[..], &[0; 30]].concat();
            let mut packet = Packet::whole(&mut buffer);
            let next_header = if v6 { IPV6 } else { IPV4 };
            let left = tunnel_leave(&mut packet, next_header, Some(3)).unwrap();
            assert_eq!((left.traffic_class, packet.len()), (0xbb, octets.len()));
            assert_eq!(Inner::of(packet.octets()).unwrap(), left);
            if !v6 {
                assert!(Ipv4Packet::new_checked(packet.octets()).unwrap().checksum_is_valid());
            }
        }
    }

    #[test]
    fn what_is_not_the_announced_packet_is_refused() {
        let mut octets = inner(false, 0, true);
        let mut leave = |next_header, outer| tunnel_leave(&mut Packet::whole(&mut octets), next_header, outer);
        assert_eq!(leave(IPV6, None), Err(ModeError::NextHeader(41)));
        assert_eq!(leave(6, None), Err(ModeError::NextHeader(6)));
        assert_eq!(leave(DUMMY, None), Err(ModeError::Dummy));
        assert_eq!(leave(IPV4, Some(3)), Err(ModeError::Congestion));
        assert!(leave(IPV4, Some(2)).is_ok());
        assert!(matches!(tunnel_leave(&mut Packet::whole(&mut []), IPV4, None), Err(ModeError::Wire(_))));
        octets[3] = 200;
        assert!(matches!(tunnel_leave(&mut Packet::whole(&mut octets), IPV4, None), Err(ModeError::Wire(_))));
        assert_eq!(OuterHeader::new(V4.0, V6.1), Err(ModeError::Family));
    }
}
