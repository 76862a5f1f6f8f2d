/// The two bits of Explicit Congestion Notification (RFC 3168 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// 00: the transport does not know ECN.
    NotCapable,
    /// 01: capable.
    Capable1,
    /// 10: capable.
    Capable0,
    /// 11: congestion was met.
    Congestion,
}

/// What the outer header says about ECN when a packet enters a tunnel (RFC 6040 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum EcnOutward {
    /// Normal mode: the inner bits are copied. For peers that follow RFC 4301 or RFC 6040 when they open.
    #[default]
    Copy,
    /// Compatibility mode: 00. For peers that would lose a congestion mark.
    Clear,
}

impl Ecn {
    /// Returns the two bits of a traffic class.
    pub const fn of(traffic_class: u8) -> Self {
        match traffic_class & 3 {
            0 => Self::NotCapable,
            1 => Self::Capable1,
            2 => Self::Capable0,
            _ => Self::Congestion,
        }
    }

    /// Returns the bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotCapable => 0,
            Self::Capable1 => 1,
            Self::Capable0 => 2,
            Self::Congestion => 3,
        }
    }

    /// Returns what the outer header says when a packet with these inner bits enters a tunnel.
    pub const fn enter(self, outward: EcnOutward) -> Self {
        match outward {
            EcnOutward::Copy => self,
            EcnOutward::Clear => Self::NotCapable,
        }
    }

    /// Returns what the inner header says when the packet leaves a tunnel whose outer header said `outer`;
    /// `None` if the packet must be dropped (RFC 6040 §4.2, figure 4).
    pub const fn leave(self, outer: Self) -> Option<Self> {
        match (self, outer) {
            (Self::NotCapable, Self::Congestion) => None,
            (Self::NotCapable, Self::NotCapable | Self::Capable0 | Self::Capable1) => Some(Self::NotCapable),
            (Self::Congestion, _) | (Self::Capable0 | Self::Capable1, Self::Congestion) => Some(Self::Congestion),
            (Self::Capable0, Self::Capable1) => Some(Self::Capable1),
            (Self::Capable0 | Self::Capable1, _) => Some(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_16_pairs_leave_a_tunnel_as_rfc_6040_figure_4_says() {
        use Ecn::{Capable0 as E0, Capable1 as E1, Congestion as Ce, NotCapable as No};
        let outer = [No, E0, E1, Ce];
        for (inner, results) in [
            (No, [Some(No), Some(No), Some(No), None]),
            (E0, [Some(E0), Some(E0), Some(E1), Some(Ce)]),
            (E1, [Some(E1), Some(E1), Some(E1), Some(Ce)]),
            (Ce, [Some(Ce), Some(Ce), Some(Ce), Some(Ce)]),
        ] {
            assert_eq!(outer.map(|outer| inner.leave(outer)), results, "inner {inner:?}");
        }
    }

    #[test]
    fn bits_are_read_back_and_entering_copies_or_clears() {
        for bits in 0..=255u8 {
            let ecn = Ecn::of(bits);
            assert_eq!(ecn.bits(), bits & 3);
            assert_eq!(ecn.enter(EcnOutward::Copy), ecn);
            assert_eq!(ecn.enter(EcnOutward::Clear), Ecn::NotCapable);
        }
    }
}
