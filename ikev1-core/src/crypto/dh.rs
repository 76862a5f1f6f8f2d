use super::modp;
use crate::Unsupported;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use ipsec_wire::registry::{Group, GroupType};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

drive::secret! {
    /// The private exponent x of one side, big endian.
    pub struct DhPrivate;
}

drive::secret! {
    /// The shared value g^xy, left-padded with zeros to the length of the group.
    pub struct DhShared;
}

/// The Diffie-Hellman groups that phase 1 and PFS negotiate.
///
/// Numbers are those of the attribute "Group Description" (RFC 2409 §6, RFC 3526).
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
}

impl DhGroup {
    /// All members, weakest first.
    pub const ALL: [Self; 8] = [
        Self::Modp768,
        Self::Modp1024,
        Self::Modp1536,
        Self::Modp2048,
        Self::Modp3072,
        Self::Modp4096,
        Self::Modp6144,
        Self::Modp8192,
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
        }
    }

    /// Returns the value of the attribute "Group Type".
    pub const fn group_type(self) -> GroupType {
        GroupType::MODP
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
        }
    }

    /// Returns the length of a public value, the contents of a KE payload, in octets.
    pub const fn public_len(self) -> usize {
        self.prime().len()
    }

    /// Returns the length of the shared value in octets.
    pub const fn shared_len(self) -> usize {
        self.prime().len()
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
        }
    }

    /// Returns the lengths of private exponents that may be set, in bits.
    ///
    /// The lower end is the one that routers have for every group, the upper one bit less than the prime.
    pub const fn exponent_bits(self) -> RangeInclusive<u32> {
        160..=self.bits() - 1
    }

    /// Checks a public value of the peer: the length of the group, and 1 < y < p - 1 (RFC 2631 §2.1.5).
    ///
    /// It is cheap, so that nothing is computed for a value that will be refused.
    ///
    /// # Errors
    /// [`DhError::PublicLength`] or [`DhError::DegeneratePublic`].
    pub fn check_public(self, peer: &[u8]) -> Result<(), DhError> {
        let prime = self.prime();
        if peer.len() != prime.len() {
            return Err(DhError::PublicLength { group: self, wanted: prime.len(), got: peer.len() });
        }
        let (Some((y_last, y_head)), Some((p_last, p_head))) = (peer.split_last(), prime.split_last()) else {
            return Err(DhError::DegeneratePublic { group: self });
        };
        let at_most_one = *y_last <= 1 && y_head.iter().all(|octet| *octet == 0);
        // The prime is odd: p - 1 differs in the last octet only.
        let at_least_last = (y_head, *y_last) >= (p_head, p_last.saturating_sub(1));
        if at_most_one || at_least_last { Err(DhError::DegeneratePublic { group: self }) } else { Ok(()) }
    }

    const fn bits(self) -> u32 {
        match self {
            Self::Modp768 => 768,
            Self::Modp1024 => 1024,
            Self::Modp1536 => 1536,
            Self::Modp2048 => 2048,
            Self::Modp3072 => 3072,
            Self::Modp4096 => 4096,
            Self::Modp6144 => 6144,
            Self::Modp8192 => 8192,
        }
    }

    const fn prime(self) -> &'static [u8] {
        match self {
            Self::Modp768 => &modp::P768,
            Self::Modp1024 => &modp::P1024,
            Self::Modp1536 => &modp::P1536,
            Self::Modp2048 => &modp::P2048,
            Self::Modp3072 => &modp::P3072,
            Self::Modp4096 => &modp::P4096,
            Self::Modp6144 => &modp::P6144,
            Self::Modp8192 => &modp::P8192,
        }
    }

    fn montgomery(self) -> BoxedMontyParams {
        let prime = BoxedUint::from_be_slice_truncated(self.prime(), self.bits());
        let prime = Odd::new(prime).expect("every prime of the table is odd");
        BoxedMontyParams::new_vartime(prime)
    }
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

/// Why a public or private value was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DhError {
    /// A public value must be exactly as long as its group says, leading zeros included.
    #[error("{group}: a public value has {wanted} octets, {got} came")]
    PublicLength {
        /// The negotiated group.
        group: DhGroup,
        /// Its length.
        wanted: usize,
        /// The length that came.
        got: usize,
    },
    /// 0, 1, p - 1 and anything from p on would give the secret away.
    #[error("{group}: the public value is degenerate")]
    DegeneratePublic {
        /// The negotiated group.
        group: DhGroup,
    },
    /// A private exponent of 0, or one longer than the group.
    #[error("{group}: the private value is out of range")]
    PrivateRange {
        /// The group asked for.
        group: DhGroup,
    },
}

/// One side's private and public value in a group, good for one exchange.
pub struct DhKeyPair {
    group: DhGroup,
    params: BoxedMontyParams,
    private: DhPrivate,
    exponent_bits: u32,
    public: Vec<u8>,
}

impl DhKeyPair {
    /// Draws a private exponent of exactly `exponent_bits` bits and computes g^x.
    ///
    /// A length outside [`DhGroup::exponent_bits`] is taken to its nearest end.
    pub fn generate(group: DhGroup, exponent_bits: u32, rng: &mut dyn CryptoRng) -> Self {
        let bits = exponent_bits.clamp(*group.exponent_bits().start(), *group.exponent_bits().end());
        let mut octets = vec![0; octets_of(bits)];
        rng.fill_bytes(&mut octets);
        if let Some(first) = octets.first_mut() {
            // The highest bit is set, so that the length is what was asked for.
            let top = 1 << ((bits - 1) % 8);
            *first = *first & (top - 1) | top;
        }
        Self::compute(group, DhPrivate::new(octets), bits)
    }

    /// Computes g^x for a given private exponent, big endian.
    ///
    /// For replaying known answers; an exchange draws its own with [`generate`](Self::generate).
    pub fn from_private(group: DhGroup, private: DhPrivate) -> Result<Self, DhError> {
        let zero = private.expose().iter().fold(0, |any, octet| any | octet) == 0;
        if zero || private.len() > group.public_len() {
            return Err(DhError::PrivateRange { group });
        }
        let bits = u32::try_from(private.len() * 8).unwrap_or(group.bits());
        Ok(Self::compute(group, private, bits))
    }

    fn compute(group: DhGroup, private: DhPrivate, exponent_bits: u32) -> Self {
        let params = group.montgomery();
        let generator = BoxedUint::from_be_slice_truncated(&[2], group.bits());
        let public = power(&params, generator, &private, exponent_bits).to_vec();
        Self { group, params, private, exponent_bits, public }
    }

    /// Returns the group.
    pub fn group(&self) -> DhGroup {
        self.group
    }

    /// Returns g^x, the contents of our KE payload: [`DhGroup::public_len`] octets.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Computes g^xy from the contents of the peer's KE payload.
    ///
    /// Its length must be that of the group, and 1 < y < p - 1 (RFC 2631 §2.1.5).
    pub fn agree(&self, peer: &[u8]) -> Result<DhShared, DhError> {
        let group = self.group;
        if peer.len() != group.public_len() {
            return Err(DhError::PublicLength { group, wanted: group.public_len(), got: peer.len() });
        }
        let y = BoxedUint::from_be_slice_truncated(peer, group.bits());
        let one = BoxedUint::one_with_precision(group.bits());
        let last = self.params.modulus().as_ref().wrapping_sub(&one);
        if y <= one || y >= last {
            return Err(DhError::DegeneratePublic { group });
        }
        Ok(DhShared::copied(&power(&self.params, y, &self.private, self.exponent_bits)))
    }
}

impl fmt::Debug for DhKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DhKeyPair").field("group", &self.group).field("private", &self.private).finish_non_exhaustive()
    }
}

/// Raises to a secret power, in time that depends on the group and the length of the exponent only.
fn power(params: &BoxedMontyParams, base: BoxedUint, exponent: &DhPrivate, exponent_bits: u32) -> Zeroizing<Vec<u8>> {
    let exponent = BoxedUint::from_be_slice_truncated(exponent.expose(), exponent_bits.next_multiple_of(64));
    let exponent = Zeroizing::new(exponent);
    let mut result = BoxedMontyForm::new(base, params).pow_bounded_exp(&exponent, exponent_bits);
    let value = Zeroizing::new(result.retrieve());
    result.as_montgomery_mut().zeroize();
    Zeroizing::new(value.to_be_bytes().into_vec())
}

/// Returns how many octets hold so many bits.
const fn octets_of(bits: u32) -> usize {
    bits.div_ceil(8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn pair(group: DhGroup) -> DhKeyPair {
        DhKeyPair::generate(group, group.default_exponent_bits(), &mut ChaCha20Rng::seed_from_u64(1))
    }

    #[test]
    fn degenerate_public_values_are_refused_and_their_neighbours_taken() {
        for group in [DhGroup::Modp768, DhGroup::Modp1024] {
            let ours = pair(group);
            let p = group.prime().to_vec();
            let value = |low: u8| {
                let mut octets = vec![0; group.public_len()];
                *octets.last_mut().unwrap() = low;
                octets
            };
            let below = |by: u8| {
                let mut octets = p.clone();
                *octets.last_mut().unwrap() -= by;
                octets
            };
            for bad in [value(0), value(1), below(1), p.clone(), vec![0xff; group.public_len()]] {
                assert_eq!(ours.agree(&bad).unwrap_err(), DhError::DegeneratePublic { group });
                assert_eq!(group.check_public(&bad), Err(DhError::DegeneratePublic { group }));
            }
            assert_eq!(group.check_public(&value(2)), Ok(()));
            assert_eq!(group.check_public(&below(2)), Ok(()));
            assert!(ours.agree(&value(2)).is_ok());
            assert!(ours.agree(&below(2)).is_ok());
        }
    }

    #[test]
    fn a_public_value_of_any_other_length_is_refused() {
        let ours = pair(DhGroup::Modp768);
        for got in [0, 1, 95, 97, 128, 1024] {
            let refused = ours.agree(&vec![3; got]).unwrap_err();
            assert_eq!(refused, DhError::PublicLength { group: DhGroup::Modp768, wanted: 96, got });
        }
    }

    #[test]
    fn the_exponent_has_exactly_the_length_asked_for_within_the_groups_range() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        for (asked, bits) in [(0, 160), (160, 160), (161, 161), (167, 167), (768, 767), (u32::MAX, 767)] {
            let pair = DhKeyPair::generate(DhGroup::Modp768, asked, &mut rng);
            let leading = pair.private.expose()[0].leading_zeros();
            assert_eq!(u32::try_from(pair.private.len()).unwrap() * 8 - leading, bits);
        }
    }

    #[test]
    fn a_shared_value_with_leading_zeros_keeps_them() {
        let group = DhGroup::Modp768;
        let ours = DhKeyPair::from_private(group, DhPrivate::copied(&[1])).unwrap();
        let mut peer = vec![0; 96];
        peer[95] = 7;
        assert_eq!(ours.agree(&peer).unwrap().expose(), peer);
        assert_eq!(ours.public().len(), 96);
    }

    #[test]
    fn private_values_of_zero_or_too_many_octets_are_refused() {
        for bad in [vec![], vec![0; 20], vec![1; 97]] {
            let refused = DhKeyPair::from_private(DhGroup::Modp768, DhPrivate::new(bad)).unwrap_err();
            assert_eq!(refused, DhError::PrivateRange { group: DhGroup::Modp768 });
        }
    }

    #[test]
    fn debug_shows_neither_exponent_nor_public_value() {
        assert_eq!(
            format!("{:?}", pair(DhGroup::Modp768)),
            "DhKeyPair { group: Modp768, private: DhPrivate(20 octets), .. }"
        );
    }

    #[test]
    fn numbers_of_the_groups_round_trip_and_others_are_unsupported() {
        for number in 0..=u16::MAX {
            match DhGroup::try_from(Group(number)) {
                Ok(group) => assert_eq!(group.number().0, number),
                Err(refused) => assert_eq!(refused, Unsupported(number)),
            }
        }
    }
}
