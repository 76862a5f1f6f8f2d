use core::fmt;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SaHandle {
    pub(crate) side: Side,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl SaHandle {
    /// Returns which way the association carries packets.
    pub const fn side(self) -> Side {
        self.side
    }
}

/// `in 5.1`: side, slot and generation.
impl fmt::Display for SaHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Inbound => "in",
            Side::Outbound => "out",
        };
        write!(f, "{side} {}.{}", self.slot, self.generation)
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
