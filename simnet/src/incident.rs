use crate::nat::NatDrop;
use core::fmt;
use std::collections::BTreeMap;

/// What the network did to a packet, other than carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Incident {
    /// The link lost it.
    Lost,
    /// The link carried it twice.
    Duplicated,
    /// The link held it back, so that later packets may overtake it.
    HeldBack,
    /// The link flipped a bit of it.
    Corrupted,
    /// It was larger than the MTU of a link that does not fragment, or than any IP packet.
    TooBig,
    /// The attacker let it not travel.
    Stopped,
    /// A NAT dropped it.
    Nat(NatDrop),
    /// Nobody has its destination.
    NoRoute,
    /// Its source is not an address of the node that sent it.
    ForeignSource,
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Duplicated => "duplicated",
            Self::HeldBack => "held back",
            Self::Corrupted => "corrupted",
            Self::TooBig => "too big",
            Self::Stopped => "stopped by the attacker",
            Self::Nat(NatDrop::NoMapping) => "dropped by the NAT: no mapping",
            Self::Nat(NatDrop::Filtered) => "dropped by the NAT: filtered",
            Self::Nat(NatDrop::Protocol) => "dropped by the NAT: protocol",
            Self::Nat(NatDrop::Full) => "dropped by the NAT: table full",
            Self::NoRoute => "no route",
            Self::ForeignSource => "foreign source address",
        })
    }
}

/// How many packets the network took in, gave out, and did what to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that nodes sent.
    pub sent: u64,
    /// Packets that reached a node.
    pub delivered: u64,
    /// Incidents by kind.
    pub incidents: BTreeMap<Incident, u64>,
}

impl Counters {
    /// Returns how often `incident` happened.
    pub fn of(&self, incident: Incident) -> u64 {
        self.incidents.get(&incident).copied().unwrap_or(0)
    }
}
