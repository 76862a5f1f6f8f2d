use crate::{
    Direction, MessageSelector, PacketKey, PortSet, ProtocolSelector, Refusal, Selector, SelectorError, Upper,
};
use alloc::boxed::Box;
use core::fmt;
use core::net::IpAddr;
use thiserror::Error;

/// A policy of one database: a slot and its generation, so that an id kept too long is an error and
/// never another policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// The slot, then the generation.
impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// What protection means: a number the owner of the database gives and understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateId(pub u32);

/// What happens to packets that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// They are dropped (DENY).
    Discard,
    /// They pass in the clear (PERMIT).
    Bypass,
    /// They pass only protected as the template says (IPSEC).
    Protect(TemplateId),
}

/// Which packets a policy is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Applies {
    /// Packets of both directions.
    #[default]
    Both,
    /// Packets that are sent.
    Outbound,
    /// Packets that are received.
    Inbound,
}

impl Applies {
    /// Returns whether packets of `direction` are asked about.
    pub const fn to(self, direction: Direction) -> bool {
        matches!(
            (self, direction),
            (Self::Both, _) | (Self::Outbound, Direction::Outbound) | (Self::Inbound, Direction::Inbound)
        )
    }
}

/// Who the far end of the protection is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Peer {
    /// Whoever shows the right identity, from an address that stays.
    #[default]
    Any,
    /// Whoever shows the right identity, from an address that may change.
    Dynamic,
    /// The host at this address.
    Address(IpAddr),
    /// The host of this name, which the owner of the database resolves.
    Host(Box<str>),
}

/// Where a policy came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The operator wrote it as a policy.
    #[default]
    Configured,
    /// It is an entry of a crypto map.
    CryptoMap,
    /// It is an entry of an access list.
    AccessList,
    /// It was made for one peer out of a policy for any or dynamic peers.
    Instance {
        /// The policy it was made from.
        of: PolicyId,
    },
}

/// Which selectors of an association come from the packet that asked for it instead of the policy
/// (the PFP flags of RFC 4301 §4.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FromPacket {
    /// The address on this side.
    pub local_address: bool,
    /// The address on the far side.
    pub remote_address: bool,
    /// The protocol above IP.
    pub protocol: bool,
    /// The port on this side.
    pub local_port: bool,
    /// The port on the far side.
    pub remote_port: bool,
    /// The ICMP type and code.
    pub message: bool,
}

/// Why a policy was refused: the operator's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The name is empty, too long, or not printable.
    #[error("a policy name has 1 to {max} printable characters", max = Policy::MAX_NAME)]
    Name,
    /// The selectors contradict each other.
    #[error(transparent)]
    Selector(#[from] SelectorError),
}

/// One policy: which packets, and what happens to them. Checked when made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    name: Box<str>,
    selector: Selector,
    action: Action,
    applies: Applies,
    peer: Peer,
    origin: Origin,
    from_packet: FromPacket,
    carries_fragments: bool,
}

impl Policy {
    /// The most characters of a name.
    pub const MAX_NAME: usize = 23;

    /// Returns a configured policy for both directions and any peer.
    ///
    /// A policy that selects neighbour discovery and says protect says bypass instead: an address
    /// cannot be resolved through an association that needs the address.
    ///
    /// # Errors
    /// [`PolicyError`], naming the mistake.
    pub fn new(name: &str, selector: Selector, action: Action) -> Result<Self, PolicyError> {
        let length = name.chars().count();
        if length == 0 || length > Self::MAX_NAME || name.chars().any(char::is_control) {
            return Err(PolicyError::Name);
        }
        selector.check()?;
        let action = match action {
            Action::Protect(_) if selector.message == MessageSelector::NeighbourDiscovery => Action::Bypass,
            Action::Discard | Action::Bypass | Action::Protect(_) => action,
        };
        Ok(Self {
            name: name.into(),
            selector,
            action,
            applies: Applies::default(),
            peer: Peer::default(),
            origin: Origin::default(),
            from_packet: FromPacket::default(),
            carries_fragments: false,
        })
    }

    /// Returns the policy for packets of `applies` only.
    #[must_use]
    pub fn with_applies(mut self, applies: Applies) -> Self {
        self.applies = applies;
        self
    }

    /// Returns the policy for `peer`.
    #[must_use]
    pub fn with_peer(mut self, peer: Peer) -> Self {
        self.peer = peer;
        self
    }

    /// Returns the policy with where it came from.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Returns the policy with some selectors of its associations taken from packets.
    #[must_use]
    pub fn with_from_packet(mut self, from_packet: FromPacket) -> Self {
        self.from_packet = from_packet;
        self
    }

    /// Returns the policy with its word on later fragments of packets whose ports it selects: whether its associations
    /// carry them, as both ends must agree by their configuration, RFC 4301 §7.3.
    /// [`FragmentCheck::StatefulProtected`](crate::FragmentCheck::StatefulProtected) says so of all policies.
    #[must_use]
    pub fn with_carries_fragments(mut self, carries: bool) -> Self {
        self.carries_fragments = carries;
        self
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what the policy asks of packets.
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    /// Returns what happens to packets that match.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Returns which directions the policy is for.
    pub fn applies(&self) -> Applies {
        self.applies
    }

    /// Returns who the far end is.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Returns where the policy came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Returns which selectors of its associations come from packets.
    pub fn from_packet(&self) -> FromPacket {
        self.from_packet
    }

    /// Returns whether its associations carry later fragments of packets whose ports it selects.
    pub fn carries_fragments(&self) -> bool {
        self.carries_fragments
    }

    /// Returns what keeps the policy from matching a packet of `direction`.
    pub fn refusal(&self, direction: Direction, key: &PacketKey) -> Option<Refusal> {
        if !self.applies.to(direction) {
            return Some(Refusal::Direction);
        }
        self.selector.refusal(key)
    }

    /// Returns the selectors of an association that the packet `key` asks for: the policy's, or the
    /// packet's where the policy says so, RFC 4301 §4.4.2.2.
    ///
    /// What the packet does not show stays as the policy has it.
    #[must_use]
    pub fn association_selector(&self, key: &PacketKey) -> Selector {
        let mut selector = self.selector.clone();
        let from = self.from_packet;
        if from.local_address {
            selector.local = crate::AddressSelector::address(key.local).into();
        }
        if from.remote_address {
            selector.remote = crate::AddressSelector::address(key.remote).into();
        }
        if let (true, Some(protocol)) = (from.protocol, key.protocol) {
            selector.protocol = ProtocolSelector::Number(protocol);
        }
        match key.upper {
            Upper::Ports { local, remote } => {
                if from.local_port {
                    selector.local_port = PortSet::port(local);
                }
                if from.remote_port {
                    selector.remote_port = PortSet::port(remote);
                }
            }
            Upper::Message(message) if from.message => {
                selector.message = MessageSelector::Range { first: message, last: message };
            }
            Upper::Message(_) | Upper::Absent | Upper::Hidden => {}
        }
        selector
    }

    pub(crate) fn instance(&self, of: PolicyId, name: &str, selector: Selector) -> Result<Self, PolicyError> {
        let instance = Self::new(name, selector, self.action)?;
        Ok(Self {
            applies: self.applies,
            peer: self.peer.clone(),
            origin: Origin::Instance { of },
            from_packet: self.from_packet,
            ..instance
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_23_characters() {
        let make = |name: &str| Policy::new(name, Selector::default(), Action::Discard).map(|_| ());
        assert_eq!(make(""), Err(PolicyError::Name));
        assert_eq!(make("a\nb"), Err(PolicyError::Name));
        assert_eq!(make(&"x".repeat(24)), Err(PolicyError::Name));
        assert_eq!(make(&"é".repeat(23)), Ok(()));
    }

    #[test]
    fn neighbour_discovery_is_bypassed_by_itself() {
        let selector = Selector { message: MessageSelector::NeighbourDiscovery, ..Selector::default() };
        let protect = Policy::new("nd", selector.clone(), Action::Protect(TemplateId(1))).unwrap();
        assert_eq!(protect.action(), Action::Bypass);
        let discard = Policy::new("nd", selector, Action::Discard).unwrap();
        assert_eq!(discard.action(), Action::Discard);
    }

    #[test]
    fn an_association_takes_from_the_packet_what_the_policy_says() {
        let selector = Selector { local: "10.0.0.0/8".parse().unwrap(), ..Selector::default() };
        let from_packet =
            FromPacket { local_address: true, remote_port: true, protocol: true, ..FromPacket::default() };
        let policy =
            Policy::new("web", selector, Action::Protect(TemplateId(1))).unwrap().with_from_packet(from_packet);
        let key = PacketKey {
            local: [10, 1, 2, 3].into(),
            remote: [192, 0, 2, 1].into(),
            protocol: Some(6),
            upper: Upper::Ports { local: 4000, remote: 80 },
        };
        let narrowed = policy.association_selector(&key);
        assert_eq!(alloc::format!("{narrowed}"), "local 10.1.2.3 remote any protocol tcp remote-port 80");
        assert!(narrowed.matches(&key));
    }
}
