//! What a packet shows above IP as one number, and ranges of it, which are compared all at a time.

use crate::{Direction, PacketKey, Upper};

/// What a packet shows above IP, one of five, in each direction. There is none of number 0.
pub(super) mod kind {
    pub const PORTS: u32 = 1;
    pub const MESSAGE: u32 = 2;
    pub const ABSENT: u32 = 3;
    pub const HIDDEN: u32 = 4;
    pub const PROTOCOL_HIDDEN: u32 = 5;
    pub const COUNT: u32 = 5;
    pub const ALL: u16 = 0b11_1110;
}

/// The lowest bits of the fields in the number of a packet. After the highest bit of each stands one that is zero, see
/// [`SPARE`]. Only the kind has none: it stands in six bits, not as its number but as its place among [`KINDS`].
pub(super) const LOCAL_PORT: u32 = 32;
pub(super) const REMOTE_PORT: u32 = 15;
pub(super) const PROTOCOL: u32 = 6;
pub(super) const KIND: u32 = 0;

/// The bits after the fields. Set in a number, they stay set where a field was no lower than the one that is taken from
/// it, and no field borrows from the next.
const SPARE: u64 = 1 << (LOCAL_PORT + 16) | 1 << (REMOTE_PORT + 16) | 1 << (PROTOCOL + 8);
/// Where the kinds of packet stand in the low end of a range, a bit each; the first stands for none, it is spare. A
/// multiple of 16: so the lowest nibble of a packet's number is its kind.
const KINDS: u32 = 48;
const KIND_FIELD: u64 = 63;

/// Returns what a packet shows.
#[inline(always)]
pub(super) fn of(direction: Direction, key: &PacketKey) -> u64 {
    let (kind, ports) = match (key.protocol, key.upper) {
        (Some(_), Upper::Ports { local, remote }) => (kind::PORTS, (local, remote)),
        (_, upper) => without_ports(key.protocol.is_some(), upper),
    };
    let kind = kind + if direction == Direction::Inbound { kind::COUNT } else { 0 };
    fields(ports, key.protocol.unwrap_or(0)) | u64::from(KINDS + kind)
}

/// The kind of a packet that shows no ports, and what stands in the place of the ports.
#[inline(never)]
fn without_ports(protocol: bool, upper: Upper) -> (u32, (u16, u16)) {
    match upper {
        _ if !protocol => (kind::PROTOCOL_HIDDEN, (0, 0)),
        Upper::Message(message) => (kind::MESSAGE, (message, 0)),
        Upper::Absent => (kind::ABSENT, (0, 0)),
        Upper::Ports { .. } | Upper::Hidden => (kind::HIDDEN, (0, 0)),
    }
}

#[inline(always)]
fn fields((local_port, remote_port): (u16, u16), protocol: u8) -> u64 {
    u64::from(local_port) << LOCAL_PORT | u64::from(remote_port) << REMOTE_PORT | u64::from(protocol) << PROTOCOL
}

#[inline(always)]
pub(super) fn local_port(above: u64) -> u16 {
    (above >> LOCAL_PORT) as u16
}

#[inline(always)]
pub(super) fn remote_port(above: u64) -> u16 {
    (above >> REMOTE_PORT) as u16
}

#[inline(always)]
pub(super) fn protocol(above: u64) -> u8 {
    (above >> PROTOCOL) as u8
}

/// Ranges of ports and of protocols, all bounds included, and the kinds of packet that lie in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first of each field, no kind, and the kinds that match from [`KINDS`] on.
    low: u64,
    /// The last of each field, all bits of the kind, and [`SPARE`].
    high: u64,
}

impl Range {
    pub fn new(local_port: (u16, u16), remote_port: (u16, u16), protocol: (u8, u8), kinds: u16) -> Self {
        Self {
            low: fields((local_port.0, remote_port.0), protocol.0) | u64::from(kinds) << KINDS,
            high: fields((local_port.1, remote_port.1), protocol.1) | KIND_FIELD | SPARE,
        }
    }

    /// Whether a packet lies in all of it: `low` <= field <= `high` for each field.
    #[inline(always)]
    pub fn contains(self, above: u64) -> bool {
        let from_low = (above | SPARE).wrapping_sub(self.low);
        let to_high = self.high.wrapping_sub(above);
        (from_low & to_high & SPARE == SPARE) & (self.low >> (above & KIND_FIELD) & 1 != 0)
    }

    pub fn local_port(self) -> (u16, u16) {
        (local_port(self.low), local_port(self.high))
    }

    pub fn remote_port(self) -> (u16, u16) {
        (remote_port(self.low), remote_port(self.high))
    }

    pub fn protocol(self) -> (u8, u8) {
        (protocol(self.low), protocol(self.high))
    }

    pub fn kinds(self) -> u16 {
        (self.low >> KINDS) as u16
    }

    /// Returns the same with no kind: nothing lies in it.
    pub fn emptied(self) -> Self {
        Self { low: self.first_fields(), ..self }
    }

    /// Returns the lowest of each field and no kind.
    pub fn first_fields(self) -> u64 {
        self.low & !(u64::MAX << KINDS)
    }

    /// Returns the packets of its first kind that lie at its ends.
    pub fn ends(self) -> (u64, u64) {
        let kind = u64::from(KINDS + self.kinds().trailing_zeros());
        (self.first_fields() | kind, self.high & !SPARE & !KIND_FIELD | kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ordered<T: Ord>(a: T, b: T) -> (T, T) {
        if a <= b { (a, b) } else { (b, a) }
    }

    /// Numbers that are often equal, next to each other, or at an end.
    fn port() -> impl Strategy<Value = u16> {
        prop_oneof![any::<u16>(), 0..3u16, (u16::MAX - 2)..=u16::MAX]
    }

    fn number() -> impl Strategy<Value = u8> {
        prop_oneof![any::<u8>(), 0..3u8, 253..=255u8]
    }

    proptest! {
        #[test]
        fn a_packet_lies_in_a_range_if_each_field_does_and_its_kind_is_one(
            local in (port(), port()), remote in (port(), port()), protocol in (number(), number()),
            kinds in 0u16..1 << 10, ports in (port(), port()), number in number(), shown in 0..5u32, inbound in any::<bool>(),
        ) {
            let (local, remote, protocol) = (ordered(local.0, local.1), ordered(remote.0, remote.1), ordered(protocol.0, protocol.1));
            let range = Range::new(local, remote, protocol, kinds << 1);
            prop_assert_eq!((range.local_port(), range.remote_port(), range.protocol()), (local, remote, protocol));
            prop_assert_eq!(range.kinds(), kinds << 1);
            let upper = match shown {
                0 => Upper::Ports { local: ports.0, remote: ports.1 },
                1 => Upper::Message(ports.0),
                2 => Upper::Absent,
                _ => Upper::Hidden,
            };
            let key = PacketKey {
                local: core::net::Ipv4Addr::UNSPECIFIED.into(),
                remote: core::net::Ipv4Addr::UNSPECIFIED.into(),
                protocol: (shown < 4).then_some(number),
                upper,
            };
            let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
            let seen = [ports, (ports.0, 0), (0, 0), (0, 0), (0, 0)][shown as usize];
            let number = if shown < 4 { number } else { 0 };
            let lies = |range: (u16, u16), value| range.0 <= value && value <= range.1;
            let of_kind = kinds >> (shown + if inbound { 5 } else { 0 }) & 1 != 0;
            let expected = lies(local, seen.0) && lies(remote, seen.1) && protocol.0 <= number && number <= protocol.1 && of_kind;
            let above = of(direction, &key);
            prop_assert_eq!((local_port(above), remote_port(above), super::protocol(above)), (seen.0, seen.1, number));
            prop_assert_eq!(range.contains(above), expected);
            prop_assert!(!range.emptied().contains(above));
            let (first, last) = range.ends();
            prop_assert!(kinds == 0 || range.contains(first) && range.contains(last));
        }
    }
}
