//! What a policy asks of a packet, RFC 4301 §4.4.1.1.

pub(crate) mod address;
mod name;
mod part;
pub(crate) mod upper;

pub use address::{AddressError, AddressSelector, AddressSet, Shape};
pub use name::NameSelector;
pub use part::SelectorPart;
pub use upper::{MessageSelector, PortSet, ProtocolSelector, UpperError};

use crate::PacketKey;
use core::fmt;
use thiserror::Error;

/// The IP version of a packet or of an address selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The selectors of one policy; the default matches every packet.
///
/// Local is the source of what is sent and the destination of what is received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// The addresses on this side.
    pub local: AddressSet,
    /// The addresses on the far side.
    pub remote: AddressSet,
    /// The protocol above IP and its extension headers.
    pub protocol: ProtocolSelector,
    /// The port on this side.
    pub local_port: PortSet,
    /// The port on the far side.
    pub remote_port: PortSet,
    /// The ICMP type and code, or the type of an IPv6 Mobility header.
    pub message: MessageSelector,
    /// The identity of this side in quick mode; never taken from a packet.
    pub local_name: NameSelector,
    /// The identity of the far side in quick mode; never taken from a packet.
    pub remote_name: NameSelector,
}

/// The selector that kept a policy from matching. The names are those of the counters that people know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// `localAddressMaskFailed`: an address, prefix or mask on this side.
    LocalAddressMask,
    /// `localAddressRangeFailed`: a range on this side.
    LocalAddressRange,
    /// `remoteAddressMaskFailed`: an address, prefix or mask on the far side.
    RemoteAddressMask,
    /// `remoteAddressRangeFailed`: a range on the far side.
    RemoteAddressRange,
    /// `transportProtoFailed`: the protocol above IP.
    Protocol,
    /// `localPortFailed`: the port on this side, or a fragment that does not show it.
    LocalPort,
    /// `remotePortFailed`: the port on the far side, or a fragment that does not show it.
    RemotePort,
    /// `icmpTypeFailed`: the ICMP type and code, or a fragment that does not show them.
    Message,
    /// `neighbourDiscFailed`: not one of the four messages of neighbour discovery.
    NeighbourDiscovery,
    /// `localNameFailed`: the identity of this side.
    LocalName,
    /// `remoteNameFailed`: the identity of the far side.
    RemoteName,
    /// The policy is for the other direction.
    Direction,
}

impl Refusal {
    /// Returns the name of the counter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LocalAddressMask => "localAddressMaskFailed",
            Self::LocalAddressRange => "localAddressRangeFailed",
            Self::RemoteAddressMask => "remoteAddressMaskFailed",
            Self::RemoteAddressRange => "remoteAddressRangeFailed",
            Self::Protocol => "transportProtoFailed",
            Self::LocalPort => "localPortFailed",
            Self::RemotePort => "remotePortFailed",
            Self::Message => "icmpTypeFailed",
            Self::NeighbourDiscovery => "neighbourDiscFailed",
            Self::LocalName => "localNameFailed",
            Self::RemoteName => "remoteNameFailed",
            Self::Direction => "directionFailed",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a set of selectors cannot be a policy: the operator's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// One side is IPv4 and the other IPv6: no packet could match.
    #[error("the local and remote addresses are not of one family")]
    MixedFamilies,
    /// Ports are asked for of a protocol that has none.
    #[error("protocol {0} has no ports")]
    NoPorts(u8),
    /// A type and code is asked for of a protocol that has none.
    #[error("protocol {0} has no message type")]
    NoMessageType(u8),
    /// Both ports and a message type are asked for: no packet has both.
    #[error("ports and a message type cannot both be selected")]
    PortsAndMessage,
    /// Neighbour discovery is part of IPv6 only.
    #[error("neighbour discovery is part of IPv6 only")]
    NeighbourDiscoveryOverIpv4,
    /// The lists multiply to more combinations than one policy may cost.
    #[error("the lists of this policy make {0} combinations, at most {max} are allowed", max = Selector::MAX_COMBINATIONS)]
    TooManyCombinations(usize),
}

impl Selector {
    /// The most combinations of address, port and message ranges that one policy may have.
    ///
    /// Each costs one entry of the index, so this bounds what a list of policies can cost.
    pub const MAX_COMBINATIONS: usize = 256;

    /// Returns whether `key` satisfies every selector. Names are not part of a packet and are not asked.
    pub fn matches(&self, key: &PacketKey) -> bool {
        self.refusal(key).is_none()
    }

    /// Returns the first selector that `key` does not satisfy.
    pub fn refusal(&self, key: &PacketKey) -> Option<Refusal> {
        if !self.local.matches(key.local) {
            return Some(if self.local.is_range() { Refusal::LocalAddressRange } else { Refusal::LocalAddressMask });
        }
        if !self.remote.matches(key.remote) {
            return Some(if self.remote.is_range() { Refusal::RemoteAddressRange } else { Refusal::RemoteAddressMask });
        }
        if !self.protocol.matches(key.protocol) {
            return Some(Refusal::Protocol);
        }
        let upper = key.shown();
        if !self.local_port.matches(upper.local_port()) {
            return Some(Refusal::LocalPort);
        }
        if !self.remote_port.matches(upper.remote_port()) {
            return Some(Refusal::RemotePort);
        }
        if !self.message.matches(key.protocol, upper.message()) {
            return Some(match self.message {
                MessageSelector::NeighbourDiscovery => Refusal::NeighbourDiscovery,
                MessageSelector::Any | MessageSelector::Opaque | MessageSelector::Range { .. } => Refusal::Message,
            });
        }
        None
    }

    /// Returns which of the two names refuses a peer that showed these identities.
    pub fn name_refusal(&self, local: Option<&str>, remote: Option<&str>) -> Option<Refusal> {
        if !self.local_name.matches(local) {
            return Some(Refusal::LocalName);
        }
        if !self.remote_name.matches(remote) {
            return Some(Refusal::RemoteName);
        }
        None
    }

    /// Returns whether these ask for ports or a message type: a non-trivial value, RFC 4301 §7.
    pub fn selects_ports(&self) -> bool {
        self.local_port.is_specific() || self.remote_port.is_specific() || self.message.is_specific()
    }

    /// Returns whether these ask for fragments that show no ports or message type, RFC 4301 §7.2.
    pub fn asks_for_fragments(&self) -> bool {
        self.local_port.is_opaque() || self.remote_port.is_opaque() || self.message == MessageSelector::Opaque
    }

    /// Returns the one family these selectors can match, or `None` if both.
    pub fn family(&self) -> Option<Family> {
        let fixed = match self.protocol {
            ProtocolSelector::Opaque => Some(Family::V6),
            ProtocolSelector::Any | ProtocolSelector::Number(_) => None,
        };
        let neighbours = (self.message == MessageSelector::NeighbourDiscovery).then_some(Family::V6);
        self.local.family().or(self.remote.family()).or(fixed).or(neighbours)
    }

    /// Checks that some packet could match.
    ///
    /// # Errors
    /// [`SelectorError`], naming the contradiction.
    pub fn check(&self) -> Result<(), SelectorError> {
        let family = self.local.family().or(self.remote.family());
        if let (Some(local), Some(remote)) = (self.local.family(), self.remote.family())
            && local != remote
        {
            return Err(SelectorError::MixedFamilies);
        }
        let ports = self.local_port.is_specific() || self.remote_port.is_specific();
        let message = self.message.is_specific();
        if ports && message {
            return Err(SelectorError::PortsAndMessage);
        }
        if let ProtocolSelector::Number(number) = self.protocol {
            if ports && !upper::has_ports(number) {
                return Err(SelectorError::NoPorts(number));
            }
            if message && !upper::has_message(number) {
                return Err(SelectorError::NoMessageType(number));
            }
            if self.message == MessageSelector::NeighbourDiscovery && number != upper::ICMPV6 {
                return Err(SelectorError::NoMessageType(number));
            }
        }
        if self.message == MessageSelector::NeighbourDiscovery && family == Some(Family::V4) {
            return Err(SelectorError::NeighbourDiscoveryOverIpv4);
        }
        let combinations = [self.local.len(), self.remote.len(), self.local_port.len(), self.remote_port.len()]
            .into_iter()
            .fold(1usize, usize::saturating_mul);
        if combinations > Self::MAX_COMBINATIONS {
            return Err(SelectorError::TooManyCombinations(combinations));
        }
        Ok(())
    }
}

/// `local 10.0.0.0/8 remote any protocol tcp remote-port 80`, leaving out what matches everything.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local {} remote {}", self.local, self.remote)?;
        if self.protocol != ProtocolSelector::Any {
            write!(f, " protocol {}", self.protocol)?;
        }
        if self.local_port != PortSet::any() {
            write!(f, " local-port {}", self.local_port)?;
        }
        if self.remote_port != PortSet::any() {
            write!(f, " remote-port {}", self.remote_port)?;
        }
        if self.message != MessageSelector::Any {
            write!(f, " icmp {}", self.message)?;
        }
        if self.local_name != NameSelector::Any {
            write!(f, " local-name {}", self.local_name)?;
        }
        if self.remote_name != NameSelector::Any {
            write!(f, " remote-name {}", self.remote_name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Upper;
    use alloc::string::ToString;
    use alloc::vec;

    fn tcp(local: [u8; 4], remote: [u8; 4], local_port: u16, remote_port: u16) -> PacketKey {
        PacketKey {
            local: local.into(),
            remote: remote.into(),
            protocol: Some(6),
            upper: Upper::Ports { local: local_port, remote: remote_port },
        }
    }

    #[test]
    fn the_default_matches_every_packet() {
        let all = Selector::default();
        assert!(all.matches(&tcp([1, 2, 3, 4], [5, 6, 7, 8], 1, 2)));
        let hidden = PacketKey { protocol: None, upper: Upper::Hidden, ..tcp([1, 2, 3, 4], [5, 6, 7, 8], 1, 2) };
        assert!(all.matches(&hidden));
        assert_eq!(all.to_string(), "local any remote any");
    }

    #[test]
    fn a_refusal_names_the_selector_and_its_form() {
        let web = Selector {
            local: "10.0.0.0/8".parse().unwrap(),
            remote: "192.0.2.1-192.0.2.9".parse().unwrap(),
            protocol: ProtocolSelector::Number(6),
            remote_port: PortSet::port(80),
            ..Selector::default()
        };
        assert_eq!(web.check(), Ok(()));
        assert_eq!(web.refusal(&tcp([10, 1, 1, 1], [192, 0, 2, 5], 4000, 80)), None);
        assert_eq!(web.refusal(&tcp([11, 1, 1, 1], [192, 0, 2, 5], 4000, 80)), Some(Refusal::LocalAddressMask));
        assert_eq!(web.refusal(&tcp([10, 1, 1, 1], [192, 0, 2, 10], 4000, 80)), Some(Refusal::RemoteAddressRange));
        assert_eq!(web.refusal(&tcp([10, 1, 1, 1], [192, 0, 2, 5], 4000, 81)), Some(Refusal::RemotePort));
        let udp = PacketKey { protocol: Some(17), ..tcp([10, 1, 1, 1], [192, 0, 2, 5], 4000, 80) };
        assert_eq!(web.refusal(&udp), Some(Refusal::Protocol));
        assert_eq!(web.to_string(), "local 10.0.0.0/8 remote 192.0.2.1-192.0.2.9 protocol tcp remote-port 80");
    }

    #[test]
    fn a_fragment_without_ports_matches_any_and_opaque_only() {
        let fragment = PacketKey { upper: Upper::Hidden, ..tcp([1, 1, 1, 1], [2, 2, 2, 2], 0, 0) };
        let any = Selector { protocol: ProtocolSelector::Number(6), ..Selector::default() };
        let opaque = Selector { local_port: PortSet::opaque(), remote_port: PortSet::opaque(), ..any.clone() };
        let every_port = Selector { remote_port: PortSet::range(0, 65535).unwrap(), ..any.clone() };
        assert!(any.matches(&fragment));
        assert!(opaque.matches(&fragment));
        assert_eq!(every_port.refusal(&fragment), Some(Refusal::RemotePort));
        assert!(!opaque.matches(&tcp([1, 1, 1, 1], [2, 2, 2, 2], 0, 0)));
    }

    #[test]
    fn contradictions_are_refused_by_name() {
        let v4: AddressSet = "10.0.0.0/8".parse().unwrap();
        let v6: AddressSet = "2001:db8::/32".parse().unwrap();
        let mixed = Selector { local: v4.clone(), remote: v6, ..Selector::default() };
        assert_eq!(mixed.check(), Err(SelectorError::MixedFamilies));
        let gre =
            Selector { protocol: ProtocolSelector::Number(47), local_port: PortSet::port(1), ..Selector::default() };
        assert_eq!(gre.check(), Err(SelectorError::NoPorts(47)));
        let message = MessageSelector::message(8, 0);
        let tcp = Selector { protocol: ProtocolSelector::Number(6), message, ..Selector::default() };
        assert_eq!(tcp.check(), Err(SelectorError::NoMessageType(6)));
        let both = Selector { local_port: PortSet::port(1), message, ..Selector::default() };
        assert_eq!(both.check(), Err(SelectorError::PortsAndMessage));
        let nd = Selector { local: v4, message: MessageSelector::NeighbourDiscovery, ..Selector::default() };
        assert_eq!(nd.check(), Err(SelectorError::NeighbourDiscoveryOverIpv4));
        let ranges: vec::Vec<(u16, u16)> = (0..16).map(|i| (i * 10, i * 10)).collect();
        let ports = PortSet::ranges(&ranges).unwrap();
        let hosts = (0..3u8).map(|i| AddressSelector::address([10, 0, 0, i].into()));
        let many = Selector {
            local: AddressSet::new(hosts).unwrap(),
            local_port: ports.clone(),
            remote_port: ports,
            ..Selector::default()
        };
        assert_eq!(many.check(), Err(SelectorError::TooManyCombinations(768)));
    }
}
