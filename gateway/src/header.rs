//! The IP header around a sealed packet: what it says, and how it is written by callers without an IP stack.

use core::net::IpAddr;
use drive::Path;
use esp_ah::Packet;
use esp_ah::mode::{DontFragment, Dscp, Ecn, EcnOutward, Inner, ModeError, Ttl};
use ipsec_wire::ipv4::{self, Ipv4Fields};
use ipsec_wire::ipv6::{self, Ipv6Fields};
use ipsec_wire::udp;

/// How the header around a tunnel is made from the header inside, RFC 4301 §5.1.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OuterRules {
    /// Don't Fragment.
    pub dont_fragment: DontFragment,
    /// Time to live or hop limit.
    pub ttl: Ttl,
    /// DSCP.
    pub dscp: Dscp,
    /// ECN, RFC 6040.
    pub ecn: EcnOutward,
    /// When a packet that is too long for its path, and may be fragmented, is.
    pub fragmenting: Fragmenting,
}

/// When an IPv4 packet that is too long for its path once sealed, and may be fragmented, is fragmented, RFC 4301 §8.2.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fragmenting {
    /// After it was sealed, by the caller's system or by routers; the peer puts it together before it opens it.
    #[default]
    After,
    /// Before: each fragment is sealed by itself, and the far end puts the packet together. Only where the association
    /// is for all ports, since fragments do not show theirs.
    Before,
}

impl OuterRules {
    /// Returns what the header around a packet says.
    pub(crate) const fn around(&self, inner: &Inner) -> Header {
        let dscp = match self.dscp {
            Dscp::Copy => inner.traffic_class & 0xfc,
            Dscp::Fixed(dscp) => dscp << 2,
        };
        Header {
            traffic_class: dscp | Ecn::of(inner.traffic_class).enter(self.ecn).bits(),
            dont_fragment: match self.dont_fragment {
                DontFragment::Copy => inner.dont_fragment,
                DontFragment::Set => true,
                DontFragment::Clear => false,
            },
            ttl: match self.ttl {
                Ttl::Fixed(ttl) => ttl,
                Ttl::Copy => inner.ttl,
            },
        }
    }
}

/// What the IP header of a packet says besides addresses and protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Whether routers on the way must not fragment the packet; of IPv4 only.
    pub dont_fragment: bool,
    /// Time to live or hop limit.
    pub ttl: u8,
}

/// What a system says when nobody asks for anything else.
impl Default for Header {
    fn default() -> Self {
        Self { traffic_class: 0, dont_fragment: true, ttl: 64 }
    }
}

impl Header {
    /// What is said of a datagram that routers may fragment: a message of the exchanges, which nothing answers if it is
    /// too long for its path.
    pub const PLAIN: Self = Self { traffic_class: 0, dont_fragment: false, ttl: 64 };

    /// Puts the headers of its path before a payload that is to be sent: UDP if the path says so, and IP.
    ///
    /// For callers without an IP stack; a socket does the same. What is sealed with AH has its header already
    /// and must not come here. `identification` is of IPv4 only, and should not repeat soon where routers may
    /// fragment (RFC 6864 §4).
    ///
    /// # Errors
    /// Too little headroom, a packet too long for IP, ends of two families.
    pub fn prepend(&self, path: Path, identification: u16, packet: &mut Packet<'_>) -> Result<(), ModeError> {
        let ends = (path.local.ip(), path.remote.ip());
        if path.is_udp() {
            packet.grow_front(udp::HEADER_LEN)?;
            // RFC 3948 §2.1: without a checksum.
            udp::emit_header(packet.octets_mut(), path.local.port(), path.remote.port(), None)?;
        }
        self.prepend_ip(ends, path.protocol, identification, packet)
    }

    /// Puts an IP header before a payload of `protocol` from the first address to the second.
    pub(crate) fn prepend_ip(
        &self,
        ends: (IpAddr, IpAddr),
        protocol: u8,
        identification: u16,
        packet: &mut Packet<'_>,
    ) -> Result<(), ModeError> {
        let payload_len = packet.len();
        match ends {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let total = payload_len.saturating_add(ipv4::MIN_HEADER_LEN);
                let fields = Ipv4Fields {
                    traffic_class: self.traffic_class,
                    total_len: u16::try_from(total).map_err(|_| ModeError::TooLong(total))?,
                    identification,
                    dont_fragment: self.dont_fragment,
                    ttl: self.ttl,
                    protocol,
                    source,
                    destination,
                };
                packet.grow_front(ipv4::MIN_HEADER_LEN)?.copy_from_slice(&fields.emit());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let fields = Ipv6Fields {
                    traffic_class: self.traffic_class,
                    flow_label: 0,
                    payload_len: u16::try_from(payload_len).map_err(|_| ModeError::TooLong(payload_len))?,
                    next_header: protocol,
                    hop_limit: self.ttl,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(traffic_class: u8, dont_fragment: bool) -> Inner {
        Inner { next_header: 4, traffic_class, dont_fragment, ttl: 7, total_len: 20 }
    }

    #[test]
    fn each_field_is_set_copied_or_cleared_as_the_rules_say() {
        let rules = OuterRules::default();
        for set in [false, true] {
            let plain = rules.around(&inner(0b1011_1001, set));
            assert_eq!(plain, Header { traffic_class: 0b1011_1001, dont_fragment: false, ttl: 64 });
            let copied = OuterRules { dont_fragment: DontFragment::Copy, ttl: Ttl::Copy, ..rules };
            assert_eq!(copied.around(&inner(0, set)), Header { traffic_class: 0, dont_fragment: set, ttl: 7 });
        }
        let fixed = OuterRules {
            dont_fragment: DontFragment::Set,
            ttl: Ttl::Fixed(9),
            dscp: Dscp::Fixed(10),
            ecn: EcnOutward::Clear,
            fragmenting: Fragmenting::Before,
        };
        assert_eq!(fixed.around(&inner(0xff, false)), Header { traffic_class: 40, dont_fragment: true, ttl: 9 });
    }

    #[test]
    fn the_header_of_a_path_fits_its_payload() {
        let path = Path::new(([192, 0, 2, 1], 4500).into(), ([192, 0, 2, 2], 4501).into());
        let mut buffer = [7; 64];
        let mut packet = Packet::new(&mut buffer, 40..64).unwrap();
        Header::default().prepend(path, 5, &mut packet).unwrap();
        let view = ipv4::Ipv4Packet::new_checked(packet.octets()).unwrap();
        assert!(view.checksum_is_valid());
        assert_eq!((view.total_len(), view.identification(), view.protocol(), view.ttl()), (52, 5, 17, 64));
        let datagram = udp::UdpDatagram::new_checked(view.payload()).unwrap();
        assert_eq!((datagram.source_port(), datagram.destination_port(), datagram.checksum()), (4500, 4501, 0));
        assert_eq!(datagram.payload(), [7; 24]);
        let mut tight = [7; 20];
        let mut packet = Packet::whole(&mut tight);
        assert!(matches!(Header::default().prepend(path, 5, &mut packet), Err(ModeError::BufferTooSmall(_))));
    }
}
