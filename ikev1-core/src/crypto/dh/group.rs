use super::ecp::Curve;
use super::{DhError, modp, octets_of, primes};
use crate::Unsupported;
use core::fmt;
use core::ops::RangeInclusive;
use ipsec_wire::registry::{Group, GroupType};

/// The Diffie-Hellman groups that phase 1 and PFS negotiate.
///
/// Numbers are those of the attribute "Group Description" (RFC 2409 §6, RFC 3526, RFC 5903).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DhGroup {
    /// Group 1, 768 bits.
    Modp768,
    /// Group 2, 1024 bits.
    Modp1024,
    /// Group 5, 1536 bits.
    Modp1536,
    /// Group 14, 2048 bits.
    Modp2048,
    /// Group 15, 3072 bits.
    Modp3072,
    /// Group 16, 4096 bits.
    Modp4096,
    /// Group 17, 6144 bits.
    Modp6144,
    /// Group 18, 8192 bits.
    Modp8192,
    /// Group 19, the curve P-256.
    Ecp256,
    /// Group 20, the curve P-384.
    Ecp384,
    /// Group 21, the curve P-521.
    Ecp521,
}

impl DhGroup {
    /// All members, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Modp768,
        Self::Modp1024,
        Self::Modp1536,
        Self::Modp2048,
        Self::Modp3072,
        Self::Modp4096,
        Self::Modp6144,
        Self::Modp8192,
        Self::Ecp256,
        Self::Ecp384,
        Self::Ecp521,
    ];

    /// Returns the attribute value on the wire.
    pub const fn number(self) -> Group {
        match self {
            Self::Modp768 => Group::MODP_768,
            Self::Modp1024 => Group::MODP_1024,
            Self::Modp1536 => Group::MODP_1536,
            Self::Modp2048 => Group::MODP_2048,
            Self::Modp3072 => Group::MODP_3072,
            Self::Modp4096 => Group::MODP_4096,
            Self::Modp6144 => Group::MODP_6144,
            Self::Modp8192 => Group::MODP_8192,
            Self::Ecp256 => Group::ECP_256,
            Self::Ecp384 => Group::ECP_384,
            Self::Ecp521 => Group::ECP_521,
        }
    }

    /// Returns the value of the attribute "Group Type".
    pub const fn group_type(self) -> GroupType {
        match self.arithmetic() {
            Arithmetic::Modp(_) => GroupType::MODP,
            Arithmetic::Ecp(_) => GroupType::ECP,
        }
    }

    /// Returns the name that operators know.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Modp768 => "MODP-768",
            Self::Modp1024 => "MODP-1024",
            Self::Modp1536 => "MODP-1536",
            Self::Modp2048 => "MODP-2048",
            Self::Modp3072 => "MODP-3072",
            Self::Modp4096 => "MODP-4096",
            Self::Modp6144 => "MODP-6144",
            Self::Modp8192 => "MODP-8192",
            Self::Ecp256 => "ECP-256",
            Self::Ecp384 => "ECP-384",
            Self::Ecp521 => "ECP-521",
        }
    }

    /// Returns the length of a public value, the contents of a KE payload, in octets.
    ///
    /// Of a curve both coordinates, x then y (RFC 5903 §7).
    pub const fn public_len(self) -> usize {
        match self.arithmetic() {
            Arithmetic::Modp(prime) => prime.len(),
            Arithmetic::Ecp(_) => 2 * self.shared_len(),
        }
    }

    /// Returns the length of the shared value in octets; of a curve that of the x coordinate.
    pub const fn shared_len(self) -> usize {
        octets_of(self.bits())
    }

    /// Returns whether a plan must ask for it by a `dangerously_` name.
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::Modp768 | Self::Modp1024)
    }

    /// Returns the length of private exponents when nobody sets it, in bits.
    ///
    /// At least twice the strength of the group, by the lower estimate of RFC 3526 §8 and by NIST SP
    /// 800-57, rounded up to whole 32-bit words.
    pub const fn default_exponent_bits(self) -> u32 {
        match self {
            Self::Modp768 | Self::Modp1024 => 160,
            Self::Modp1536 => 192,
            Self::Modp2048 => 256,
            Self::Modp3072 => 288,
            Self::Modp4096 => 320,
            Self::Modp6144 => 384,
            Self::Modp8192 => 416,
            Self::Ecp256 | Self::Ecp384 | Self::Ecp521 => self.bits(),
        }
    }

    /// Returns the lengths of private exponents that may be set, in bits.
    ///
    /// The lower end is the one that routers have for every group, the upper one bit less than the
    /// prime. A curve has private values of its own length and takes no notice.
    pub const fn exponent_bits(self) -> RangeInclusive<u32> {
        match self.arithmetic() {
            Arithmetic::Modp(_) => 160..=self.bits() - 1,
            Arithmetic::Ecp(_) => 0..=u32::MAX,
        }
    }

    /// Checks a public value of the peer: the length of the group; 1 < y < p - 1 (RFC 2631 §2.1.5), or
    /// a point on the curve (RFC 5903 §6).
    ///
    /// It is cheap, so that nothing is computed for a value that will be refused.
    ///
    /// # Errors
    /// [`DhError::PublicLength`] or [`DhError::DegeneratePublic`].
    pub fn check_public(self, peer: &[u8]) -> Result<(), DhError> {
        if peer.len() != self.public_len() {
            return Err(DhError::PublicLength { group: self, wanted: self.public_len(), got: peer.len() });
        }
        let good = match self.arithmetic() {
            Arithmetic::Modp(prime) => modp::in_range(prime, peer),
            Arithmetic::Ecp(curve) => curve.has_point(peer),
        };
        if good { Ok(()) } else { Err(DhError::DegeneratePublic { group: self }) }
    }

    pub(super) const fn bits(self) -> u32 {
        match self {
            Self::Modp768 => 768,
            Self::Modp1024 => 1024,
            Self::Modp1536 => 1536,
            Self::Modp2048 => 2048,
            Self::Modp3072 => 3072,
            Self::Modp4096 => 4096,
            Self::Modp6144 => 6144,
            Self::Modp8192 => 8192,
            Self::Ecp256 => 256,
            Self::Ecp384 => 384,
            Self::Ecp521 => 521,
        }
    }

    pub(super) const fn arithmetic(self) -> Arithmetic {
        match self {
            Self::Modp768 => Arithmetic::Modp(&primes::P768),
            Self::Modp1024 => Arithmetic::Modp(&primes::P1024),
            Self::Modp1536 => Arithmetic::Modp(&primes::P1536),
            Self::Modp2048 => Arithmetic::Modp(&primes::P2048),
            Self::Modp3072 => Arithmetic::Modp(&primes::P3072),
            Self::Modp4096 => Arithmetic::Modp(&primes::P4096),
            Self::Modp6144 => Arithmetic::Modp(&primes::P6144),
            Self::Modp8192 => Arithmetic::Modp(&primes::P8192),
            Self::Ecp256 => Arithmetic::Ecp(Curve::P256),
            Self::Ecp384 => Arithmetic::Ecp(Curve::P384),
            Self::Ecp521 => Arithmetic::Ecp(Curve::P521),
        }
    }
}

/// How a group computes.
pub(super) enum Arithmetic {
    /// Powers of 2 modulo this prime, big endian.
    Modp(&'static [u8]),
    /// Multiples of the base point.
    Ecp(Curve),
}

impl fmt::Display for DhGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {} ({})", self.number().0, self.name())
    }
}

impl TryFrom<Group> for DhGroup {
    type Error = Unsupported;

    fn try_from(number: Group) -> Result<Self, Unsupported> {
        Self::ALL.into_iter().find(|member| member.number() == number).ok_or(Unsupported(number.0))
    }
}
