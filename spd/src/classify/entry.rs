use super::address::Address;
use crate::{Applies, Decision, Direction, PacketKey, Policy, PolicyId, PortSet, ProtocolSelector, Shape, Upper};
use alloc::vec::Vec;

/// What a packet shows above IP, one of five, in each direction.
mod kind {
    pub(super) const PORTS: u32 = 0;
    pub(super) const MESSAGE: u32 = 1;
    pub(super) const ABSENT: u32 = 2;
    pub(super) const HIDDEN: u32 = 3;
    pub(super) const PROTOCOL_HIDDEN: u32 = 4;
    pub(super) const COUNT: u32 = 5;
    pub(super) const ALL: u16 = (1 << COUNT) - 1;
}

/// A packet as the index sees it: its key, flattened to numbers of one family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flat<A> {
    pub local: A,
    pub remote: A,
    /// Local port, remote port, protocol, 4 zero bits, kind: from the highest bit down.
    pub rest: u64,
}

impl<A: Address> Flat<A> {
    /// The word of [`words`](Self::words) that is the rest.
    pub const REST: usize = 4;
    /// A packet of no meaning.
    pub const NONE: Self = Self { local: A::ZERO, remote: A::ZERO, rest: 0 };

    /// Flattens a key, whose addresses come apart.
    #[inline]
    pub fn new(direction: Direction, local: A, remote: A, key: &PacketKey) -> Self {
        let (kind, ports) = match (key.protocol, key.upper) {
            (Some(_), Upper::Ports { local, remote }) => (kind::PORTS, u64::from(local) << 16 | u64::from(remote)),
            (_, upper) => without_ports(key.protocol.is_some(), upper),
        };
        let kind = kind + if direction == Direction::Inbound { kind::COUNT } else { 0 };
        let protocol = u64::from(key.protocol.unwrap_or(0));
        Self { local, remote, rest: ports << 32 | protocol << 8 | u64::from(kind) }
    }

    /// The same as words, to take nibbles from: the addresses, then the rest.
    #[inline(always)]
    pub fn words(&self) -> [u64; 8] {
        let [a, b, c, d] = A::words(self.local, self.remote);
        [a, b, c, d, self.rest, 0, 0, 0]
    }

    #[inline(always)]
    pub fn local_port(&self) -> u16 {
        (self.rest >> 48) as u16
    }

    #[inline(always)]
    pub fn remote_port(&self) -> u16 {
        (self.rest >> 32) as u16
    }

    #[inline(always)]
    pub fn protocol(&self) -> u8 {
        (self.rest >> 8) as u8
    }

    #[inline(always)]
    pub fn kind(&self) -> u32 {
        self.rest as u32 & 15
    }
}

/// The kind of a packet that shows no ports, and what stands in the place of the ports.
#[inline(never)]
fn without_ports(protocol: bool, upper: Upper) -> (u32, u64) {
    match upper {
        _ if !protocol => (kind::PROTOCOL_HIDDEN, 0),
        Upper::Message(message) => (kind::MESSAGE, u64::from(message) << 16),
        Upper::Absent => (kind::ABSENT, 0),
        Upper::Ports { .. } | Upper::Hidden => (kind::HIDDEN, 0),
    }
}

/// One combination of a policy's ranges; all bounds are included. With IPv4 it fills a line of the cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<A: Address> {
    /// The place of the policy in its list; a lower label comes first.
    pub label: u64,
    local: A,
    remote: A,
    local_end: A::End,
    remote_end: A::End,
    pub local_port: (u16, u16),
    pub remote_port: (u16, u16),
    /// What the policy decides: a look-up need not ask for it elsewhere.
    pub decision: Decision,
    /// The next entry of a chain, in a table.
    pub next: u32,
    /// The kinds of packet that match, and in which directions.
    pub kinds: u16,
    pub protocol: (u8, u8),
    /// Whether the ranges say all; else the policy itself is asked: a mask with holes, a range of IPv6.
    pub exact: bool,
    /// The table it stands in, if it does: a number that the table keeps.
    pub table: u8,
    /// Whether others stand aside because this one covers them.
    pub covering: bool,
    _alignment: [A::Alignment; 0],
}

const _: () = assert!(size_of::<Entry<u32>>() == 64 && size_of::<Entry<u128>>() == 80);

impl<A: Address> Entry<A> {
    /// The first and last address on this side.
    pub fn local(&self) -> (A, A) {
        (self.local, A::last(self.local, self.local_end))
    }

    /// The first and last address on the far side.
    pub fn remote(&self) -> (A, A) {
        (self.remote, A::last(self.remote, self.remote_end))
    }

    /// The slot of the policy.
    pub fn slot(&self) -> u32 {
        self.decision.policy().map_or(u32::MAX, |policy| policy.slot)
    }

    /// Returns a key that lies in this entry.
    pub fn corner(&self) -> Flat<A> {
        let rest = self.rest() | u64::from(self.kinds.trailing_zeros());
        Flat { local: self.local().0, remote: self.remote().0, rest }
    }

    /// Returns the key in this entry that is farthest from its [`corner`](Self::corner): whatever both lie in holds all
    /// between.
    pub fn far_corner(&self) -> Flat<A> {
        let ports = u64::from(self.local_port.1) << 48 | u64::from(self.remote_port.1) << 32;
        let rest = ports | u64::from(self.protocol.1) << 8 | u64::from(self.kinds.trailing_zeros());
        Flat { local: self.local().1, remote: self.remote().1, rest }
    }

    /// Whether this comes before another and matches all that it does: then the other is never the first that matches.
    pub fn covers(&self, other: &Self) -> bool {
        self.label < other.label && self.holds(other)
    }

    /// Whether this matches all that another does.
    pub fn holds(&self, other: &Self) -> bool {
        fn spans<T: Ord>(wide: (T, T), narrow: (T, T)) -> bool {
            wide.0 <= narrow.0 && narrow.1 <= wide.1
        }
        self.exact
            && spans(self.local(), other.local())
            && spans(self.remote(), other.remote())
            && spans(self.local_port, other.local_port)
            && spans(self.remote_port, other.remote_port)
            && spans(self.protocol, other.protocol)
            && self.kinds & other.kinds == other.kinds
    }

    /// Returns the rest of a key that lies in this entry, but for the kind of packet.
    pub fn rest(&self) -> u64 {
        u64::from(self.local_port.0) << 48 | u64::from(self.remote_port.0) << 32 | u64::from(self.protocol.0) << 8
    }

    #[inline(always)]
    pub fn matches(&self, key: &Flat<A>) -> bool {
        let addresses =
            key.local.lies_in(self.local, self.local_end) & key.remote.lies_in(self.remote, self.remote_end);
        let (local, remote, protocol) = (key.local_port(), key.remote_port(), key.protocol());
        let above = (self.local_port.0 <= local)
            & (local <= self.local_port.1)
            & (self.remote_port.0 <= remote)
            & (remote <= self.remote_port.1)
            & (self.protocol.0 <= protocol)
            & (protocol <= self.protocol.1)
            & (self.kinds >> key.kind() & 1 != 0);
        addresses & above
    }

    /// Whether this is the same combination of the same policy.
    pub fn same(&self, other: &Self) -> bool {
        (self.decision, self.label) == (other.decision, other.label)
            && (self.local, self.local_end) == (other.local, other.local_end)
            && (self.remote, self.remote_end) == (other.remote, other.remote_end)
            && self.local_port == other.local_port
            && self.remote_port == other.remote_port
    }
}

/// Returns the combinations of a policy's ranges in one family; at most
/// [`Selector::MAX_COMBINATIONS`](crate::Selector::MAX_COMBINATIONS).
pub(crate) fn entries<A: Address>(policy: &Policy, label: u64, id: PolicyId) -> Vec<Entry<A>> {
    let selector = policy.selector();
    let (kinds, protocol) = kinds(policy);
    if kinds == 0 {
        return Vec::new();
    }
    let bounds = |set: &crate::AddressSet| -> Vec<_> {
        let wildcard = |selector: &crate::AddressSelector| matches!(selector.shape(), Shape::Wildcard { .. });
        let bounds = |s: &crate::AddressSelector| {
            let (low, high) = s.bounds(A::FAMILY)?;
            let (first, end, exact) = A::keep(A::from_bits(low), A::from_bits(high));
            Some((first, end, exact && !wildcard(s)))
        };
        set.selectors().iter().filter_map(bounds).collect()
    };
    let ports = |set: &PortSet| -> Vec<_> {
        if set.is_specific() { set.as_ranges().into() } else { alloc::vec![(0, u16::MAX)] }
    };
    let local_ports = match selector.message.bounds() {
        Some(range) => alloc::vec![range],
        None => ports(&selector.local_port),
    };
    let remote_ports = ports(&selector.remote_port);
    let remotes = bounds(&selector.remote);
    let mut entries = Vec::new();
    for (local, local_end, local_exact) in bounds(&selector.local) {
        for (remote, remote_end, remote_exact) in &remotes {
            for local_port in &local_ports {
                for remote_port in &remote_ports {
                    entries.push(Entry {
                        label,
                        local,
                        remote: *remote,
                        local_end,
                        remote_end: *remote_end,
                        local_port: *local_port,
                        remote_port: *remote_port,
                        decision: Decision::of(id, policy.action()),
                        next: u32::MAX,
                        kinds,
                        protocol,
                        exact: local_exact && *remote_exact,
                        table: 0,
                        covering: false,
                        _alignment: [],
                    });
                }
            }
        }
    }
    entries
}

/// Returns the kinds of packet that can match a policy, in each direction, and the range of protocols.
fn kinds(policy: &Policy) -> (u16, (u8, u8)) {
    let selector = policy.selector();
    let shown = |set: &PortSet| match (set.is_specific(), set.is_opaque()) {
        (true, _) => 1 << kind::PORTS,
        (_, true) => kind::ALL & !(1 << kind::PORTS),
        (false, false) => kind::ALL,
    };
    let message = match (selector.message.is_specific(), selector.message) {
        (true, _) => 1 << kind::MESSAGE,
        (false, crate::MessageSelector::Opaque) => kind::ALL & !(1 << kind::MESSAGE),
        (false, _) => kind::ALL,
    };
    let (protocol, range) = match selector.protocol {
        ProtocolSelector::Any if selector.message == crate::MessageSelector::NeighbourDiscovery => {
            (kind::ALL, (crate::selector::upper::ICMPV6, crate::selector::upper::ICMPV6))
        }
        ProtocolSelector::Any => (kind::ALL, (0, u8::MAX)),
        ProtocolSelector::Opaque => (1 << kind::PROTOCOL_HIDDEN, (0, u8::MAX)),
        ProtocolSelector::Number(number) => (kind::ALL & !(1 << kind::PROTOCOL_HIDDEN), (number, number)),
    };
    let kinds = shown(&selector.local_port) & shown(&selector.remote_port) & message & protocol;
    let directions = match policy.applies() {
        Applies::Both => kinds | kinds << kind::COUNT,
        Applies::Outbound => kinds,
        Applies::Inbound => kinds << kind::COUNT,
    };
    (directions, range)
}
