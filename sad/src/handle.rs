use core::fmt;
use core::num::NonZeroU64;

/// Which way an association carries packets. An association carries one way only, RFC 4301 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Received packets; the SPI is ours.
    Inbound,
    /// Packets sent; the SPI is the peer's.
    Outbound,
}

/// An association of one database: a slot and its generation, so that a handle kept too long is an
/// error and never another association.
///
/// From the highest bit: one that is set, so that no handle is 0; the side; 30 bits of slot; 32 of generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SaHandle(NonZeroU64);

impl SaHandle {
    const MARK: NonZeroU64 = NonZeroU64::MIN.saturating_add((1 << 63) - 1);
    const OUTBOUND: u64 = 1 << 62;
    const SLOT: u64 = (1 << 30) - 1;

    /// Returns the handle of a slot; there are far fewer than 2^30.
    #[inline]
    pub(crate) fn new(side: Side, slot: u32, generation: u32) -> Self {
        let side = match side {
            Side::Inbound => 0,
            Side::Outbound => Self::OUTBOUND,
        };
        Self(Self::MARK | (side | ((u64::from(slot) & Self::SLOT) << 32) | u64::from(generation)))
    }

    /// Returns which way the association carries packets.
    #[inline]
    pub const fn side(self) -> Side {
        if self.0.get() & Self::OUTBOUND == 0 { Side::Inbound } else { Side::Outbound }
    }

    #[inline]
    pub(crate) const fn slot(self) -> u32 {
        ((self.0.get() >> 32) & Self::SLOT) as u32
    }

    #[inline]
    pub(crate) const fn generation(self) -> u32 {
        (self.0.get() & u32::MAX as u64) as u32
    }
}

impl fmt::Debug for SaHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaHandle({self})")
    }
}

/// `in 5.1`: side, slot and generation.
impl fmt::Display for SaHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side() {
            Side::Inbound => "in",
            Side::Outbound => "out",
        };
        write!(f, "{side} {}.{}", self.slot(), self.generation())
    }
}

/// Whose traffic an association carries: a number the owner of the database gives and understands,
/// as a rule one per policy and its instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub u64);

/// Who agreed the keys of an association: a number the owner of the database gives and understands,
/// as a rule that of an ISAKMP association.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(pub u64);

/// The protocol of an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SaProtocol {
    /// Encapsulating Security Payload, protocol 50.
    Esp,
    /// Authentication Header, protocol 51.
    Ah,
}

impl SaProtocol {
    /// Returns the IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Esp => 50,
            Self::Ah => 51,
        }
    }
}

impl fmt::Display for SaProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Esp => "ESP",
            Self::Ah => "AH",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spi::SpiLayout;
    use alloc::string::ToString;

    #[test]
    fn a_handle_gives_back_what_it_was_made_of_and_costs_eight_octets_even_when_absent() {
        for side in [Side::Inbound, Side::Outbound] {
            for (slot, generation) in [(0, 0), (5, 1), (SpiLayout::MAX_SLOTS as u32 - 1, u32::MAX)] {
                let handle = SaHandle::new(side, slot, generation);
                assert_eq!((handle.side(), handle.slot(), handle.generation()), (side, slot, generation));
            }
        }
        assert_eq!(size_of::<Option<SaHandle>>(), 8);
        assert_eq!(SaHandle::new(Side::Outbound, 3, 7).to_string(), "out 3.7");
        assert!(SaHandle::new(Side::Inbound, 9, 9) < SaHandle::new(Side::Outbound, 0, 0));
    }
}
