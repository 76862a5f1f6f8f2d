use crate::selector::address::{family, right_aligned};
use crate::{Applies, Direction, Family, PacketKey, Policy, PortSet, ProtocolSelector, Shape, Upper};
use alloc::vec::Vec;
use core::fmt::Debug;

/// An address of one family as a number.
pub(crate) trait Address: Copy + Ord + Debug {
    /// Bits of an address.
    const BITS: u32;
    /// Which family the addresses are of.
    const FAMILY: Family;
    /// The bits left out at the end when an address picks its cell of the table index: for IPv4 the first
    /// twelve bits pick, for IPv6 the twelve after the first 32, which a site's addresses share.
    const CELL_SHIFT: u32;
    /// The prefix lengths that tables are made for before they are made for more.
    const COARSE: &'static [u32];
    /// The bits of both addresses together that make a table tell enough apart without ports.
    const ENOUGH: u32;

    fn from_bits(bits: u128) -> Self;
    fn bits(self) -> u128;
    /// Both addresses as the first words of a flat key, the local one first, its first bit the highest.
    fn words(local: Self, remote: Self) -> [u64; 4];
    /// The mask of the first `length` bits.
    fn prefix(length: u32) -> Self;
    fn and(self, mask: Self) -> Self;
    /// Both addresses as one number, to be hashed.
    fn join(local: Self, remote: Self) -> u64;
    fn cell(self) -> usize;
    fn common_prefix(first: Self, last: Self) -> u32;
}

impl Address for u32 {
    const BITS: u32 = 32;
    const FAMILY: Family = Family::V4;
    const CELL_SHIFT: u32 = 20;
    const COARSE: &'static [u32] = &[24, 16, 8];
    const ENOUGH: u32 = 24;

    fn from_bits(bits: u128) -> Self {
        bits as u32
    }

    fn bits(self) -> u128 {
        self.into()
    }

    #[inline(always)]
    fn words(local: Self, remote: Self) -> [u64; 4] {
        [Self::join(local, remote), 0, 0, 0]
    }

    fn prefix(length: u32) -> Self {
        u32::MAX.checked_shl(32 - length.min(32)).unwrap_or(0)
    }

    #[inline(always)]
    fn and(self, mask: Self) -> Self {
        self & mask
    }

    #[inline(always)]
    fn join(local: Self, remote: Self) -> u64 {
        u64::from(local) << 32 | u64::from(remote)
    }

    #[inline(always)]
    fn cell(self) -> usize {
        (self >> Self::CELL_SHIFT) as usize
    }

    fn common_prefix(first: Self, last: Self) -> u32 {
        (first ^ last).leading_zeros()
    }
}

impl Address for u128 {
    const BITS: u32 = 128;
    const FAMILY: Family = Family::V6;
    const CELL_SHIFT: u32 = 84;
    const COARSE: &'static [u32] = &[64, 56, 48, 40, 32, 16];
    const ENOUGH: u32 = 64;

    fn from_bits(bits: u128) -> Self {
        bits
    }

    fn bits(self) -> u128 {
        self
    }

    #[inline(always)]
    fn words(local: Self, remote: Self) -> [u64; 4] {
        [(local >> 64) as u64, local as u64, (remote >> 64) as u64, remote as u64]
    }

    fn prefix(length: u32) -> Self {
        u128::MAX.checked_shl(128 - length.min(128)).unwrap_or(0)
    }

    #[inline(always)]
    fn and(self, mask: Self) -> Self {
        self & mask
    }

    #[inline(always)]
    fn join(local: Self, remote: Self) -> u64 {
        mix((local >> 64) as u64, local as u64) ^ mix(remote as u64, (remote >> 64) as u64)
    }

    #[inline(always)]
    fn cell(self) -> usize {
        (self >> Self::CELL_SHIFT) as usize & 0xfff
    }

    fn common_prefix(first: Self, last: Self) -> u32 {
        (first ^ last).leading_zeros()
    }
}

/// Mixes two numbers into one: a wide product, folded.
#[inline(always)]
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xd1b5_4a32_d192_ed03);
    (product as u64) ^ (product >> 64) as u64
}

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
    /// The same again, to take nibbles from: the words of the addresses, then the rest.
    pub words: [u64; 8],
}

impl<A: Address> Flat<A> {
    /// The word of [`words`](Self::words) that is the rest.
    pub const REST: usize = 4;

    pub fn new(direction: Direction, key: &PacketKey) -> Self {
        let (kind, local, remote) = match (key.protocol, key.upper) {
            (None, _) => (kind::PROTOCOL_HIDDEN, 0, 0),
            (Some(_), Upper::Ports { local, remote }) => (kind::PORTS, local, remote),
            (Some(_), Upper::Message(message)) => (kind::MESSAGE, message, 0),
            (Some(_), Upper::Absent) => (kind::ABSENT, 0, 0),
            (Some(_), Upper::Hidden) => (kind::HIDDEN, 0, 0),
        };
        let kind = kind + if direction == Direction::Inbound { kind::COUNT } else { 0 };
        let [ports, protocol] = [u64::from(local) << 16 | u64::from(remote), u64::from(key.protocol.unwrap_or(0))];
        let local = A::from_bits(right_aligned(key.local));
        let remote = A::from_bits(right_aligned(key.remote));
        let rest = ports << 32 | protocol << 8 | u64::from(kind);
        let [a, b, c, d] = A::words(local, remote);
        Self { local, remote, rest, words: [a, b, c, d, rest, 0, 0, 0] }
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

/// One combination of a policy's ranges; all bounds are included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<A> {
    /// The place of the policy in its list; a lower label comes first.
    pub label: u64,
    pub local: (A, A),
    pub remote: (A, A),
    pub local_port: (u16, u16),
    pub remote_port: (u16, u16),
    /// The slot of the policy.
    pub slot: u32,
    /// The next entry of a chain, in a table.
    pub next: u32,
    /// The kinds of packet that match, and in which directions.
    pub kinds: u16,
    pub protocol: (u8, u8),
    /// Whether the ranges say all; a mask with holes is asked of the policy itself.
    pub exact: bool,
}

impl<A: Address> Entry<A> {
    #[inline(always)]
    pub fn matches(&self, key: &Flat<A>) -> bool {
        let addresses = (self.local.0 <= key.local)
            & (key.local <= self.local.1)
            & (self.remote.0 <= key.remote)
            & (key.remote <= self.remote.1);
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
}

/// Returns the combinations of a policy's ranges in one family; at most
/// [`Selector::MAX_COMBINATIONS`](crate::Selector::MAX_COMBINATIONS).
pub(crate) fn entries<A: Address>(policy: &Policy, label: u64, slot: u32) -> Vec<Entry<A>> {
    let selector = policy.selector();
    let (kinds, protocol) = kinds(policy);
    if kinds == 0 {
        return Vec::new();
    }
    let bounds = |set: &crate::AddressSet| -> Vec<_> {
        let wildcard = |selector: &crate::AddressSelector| matches!(selector.shape(), Shape::Wildcard { .. });
        let bounds = |s: &crate::AddressSelector| {
            s.bounds(A::FAMILY).map(|(low, high)| (A::from_bits(low), A::from_bits(high), !wildcard(s)))
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
    for (low, high, local_exact) in bounds(&selector.local) {
        for (remote_low, remote_high, remote_exact) in &remotes {
            for local_port in &local_ports {
                for remote_port in &remote_ports {
                    entries.push(Entry {
                        label,
                        local: (low, high),
                        remote: (*remote_low, *remote_high),
                        local_port: *local_port,
                        remote_port: *remote_port,
                        slot,
                        next: u32::MAX,
                        kinds,
                        protocol,
                        exact: local_exact && *remote_exact,
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

/// Returns the family of a key whose two addresses are of one family.
pub(crate) fn family_of(key: &PacketKey) -> Option<Family> {
    let of_local = family(key.local);
    (of_local == family(key.remote)).then_some(of_local)
}
