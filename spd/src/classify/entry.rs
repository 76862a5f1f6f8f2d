use super::above::{self, Range, kind};
use super::address::Address;
use crate::{Applies, Decision, Direction, PacketKey, Policy, PolicyId, PortSet, ProtocolSelector, Shape};
use alloc::vec::Vec;

/// A packet as the index sees it: its key, flattened to numbers of one family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flat<A> {
    pub local: A,
    pub remote: A,
    /// What it shows above IP, see [`above`].
    pub above: u64,
}

impl<A: Address> Flat<A> {
    /// The word of [`words`](Self::words) that is what it shows above IP.
    pub const ABOVE: usize = 4;
    /// A packet of no meaning.
    pub const NONE: Self = Self { local: A::ZERO, remote: A::ZERO, above: 0 };

    /// Flattens a key, whose addresses come apart.
    #[inline]
    pub fn new(direction: Direction, local: A, remote: A, key: &PacketKey) -> Self {
        Self { local, remote, above: above::of(direction, key) }
    }

    /// The same as words, to take nibbles from: the addresses, then what is above.
    #[inline(always)]
    pub fn words(&self) -> [u64; 8] {
        let [a, b, c, d] = A::words(self.local, self.remote);
        [a, b, c, d, self.above, 0, 0, 0]
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
    /// The ports, protocols and kinds of packet that match, and in which directions.
    pub above: Range,
    /// What the policy decides: a look-up need not ask for it elsewhere.
    pub decision: Decision,
    /// The next entry of a chain, in a table.
    pub next: u32,
    /// The table it stands in, if it does: a number that the table keeps.
    pub table: u8,
    /// `EXACT`, `COVERING`.
    flags: u8,
    _alignment: [A::Alignment; 0],
}

/// The ranges say all; else the policy itself is asked: a mask with holes, a range of IPv6.
const EXACT: u8 = 1;
/// Others stand aside because this one covers them.
const COVERING: u8 = 2;

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

    #[inline(always)]
    pub fn is_exact(&self) -> bool {
        self.flags & EXACT != 0
    }

    pub fn is_covering(&self) -> bool {
        self.flags & COVERING != 0
    }

    pub fn set_covering(&mut self) {
        self.flags |= COVERING;
    }

    /// Whether it was taken out: nothing matches it.
    pub fn is_void(&self) -> bool {
        self.above.kinds() == 0
    }

    /// Makes it match nothing.
    pub fn make_void(&mut self) {
        self.above = self.above.emptied();
    }

    /// Returns a key that lies in this entry.
    pub fn corner(&self) -> Flat<A> {
        Flat { local: self.local().0, remote: self.remote().0, above: self.above.ends().0 }
    }

    /// Returns the key in this entry that is farthest from its [`corner`](Self::corner): whatever both lie in holds all
    /// between.
    pub fn far_corner(&self) -> Flat<A> {
        Flat { local: self.local().1, remote: self.remote().1, above: self.above.ends().1 }
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
        let (wide, narrow) = (self.above, other.above);
        self.is_exact()
            && spans(self.local(), other.local())
            && spans(self.remote(), other.remote())
            && spans(wide.local_port(), narrow.local_port())
            && spans(wide.remote_port(), narrow.remote_port())
            && spans(wide.protocol(), narrow.protocol())
            && wide.kinds() & narrow.kinds() == narrow.kinds()
    }

    #[inline(always)]
    pub fn matches(&self, key: &Flat<A>) -> bool {
        let addresses =
            key.local.lies_in(self.local, self.local_end) & key.remote.lies_in(self.remote, self.remote_end);
        addresses & self.above.contains(key.above)
    }

    /// Whether this is the same combination of the same policy.
    pub fn same(&self, other: &Self) -> bool {
        (self.decision, self.label) == (other.decision, other.label)
            && (self.local, self.local_end) == (other.local, other.local_end)
            && (self.remote, self.remote_end) == (other.remote, other.remote_end)
            && self.above.local_port() == other.above.local_port()
            && self.above.remote_port() == other.above.remote_port()
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
                        above: Range::new(*local_port, *remote_port, protocol, kinds),
                        decision: Decision::of(id, policy.action()),
                        next: u32::MAX,
                        table: 0,
                        flags: if local_exact && *remote_exact { EXACT } else { 0 },
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
