mod ecp;
mod group;
mod modp;
mod primes;

pub use group::DhGroup;

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use ecp::Curve;
use group::Arithmetic;
use modp::Exponent;
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

drive::secret! {
    /// The private value of one side, big endian: the exponent x, or of a curve the scalar.
    pub struct DhPrivate;
}

drive::secret! {
    /// The shared value g^xy, left-padded with zeros to the length of the group; of a curve its x
    /// coordinate.
    pub struct DhShared;
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
    /// 0, 1, p - 1 and anything from p on, or a point that is not on the curve, would give the secret
    /// away.
    #[error("{group}: the public value is degenerate or not of the group")]
    DegeneratePublic {
        /// The negotiated group.
        group: DhGroup,
    },
    /// A private value of 0, or one too large for the group.
    #[error("{group}: the private value is out of range")]
    PrivateRange {
        /// The group asked for.
        group: DhGroup,
    },
}

/// One side's private and public value in a group, good for one exchange.
pub struct DhKeyPair {
    group: DhGroup,
    private: Private,
    public: Vec<u8>,
}

enum Private {
    Modp(Exponent),
    Ecp(Curve, DhPrivate),
}

impl DhKeyPair {
    /// Draws a private value and computes the public one.
    ///
    /// A MODP exponent has exactly `exponent_bits` bits; a length outside [`DhGroup::exponent_bits`] is
    /// taken to its nearest end.
    pub fn generate(group: DhGroup, exponent_bits: u32, rng: &mut dyn CryptoRng) -> Self {
        let private = match group.arithmetic() {
            Arithmetic::Modp(prime) => {
                let bits = exponent_bits.clamp(*group.exponent_bits().start(), *group.exponent_bits().end());
                let mut octets = vec![0; octets_of(bits)];
                rng.fill_bytes(&mut octets);
                if let Some(first) = octets.first_mut() {
                    // The highest bit is set, so that the length is what was asked for.
                    let top = 1 << ((bits - 1) % 8);
                    *first = *first & (top - 1) | top;
                }
                Private::Modp(Exponent::new(prime, group.bits(), DhPrivate::new(octets), bits))
            }
            Arithmetic::Ecp(curve) => Private::Ecp(curve, curve.draw(rng)),
        };
        Self::of(group, private)
    }

    /// Computes the public value for a given private one, big endian.
    ///
    /// For replaying known answers; an exchange draws its own with [`generate`](Self::generate).
    ///
    /// # Errors
    /// [`DhError::PrivateRange`].
    pub fn from_private(group: DhGroup, private: DhPrivate) -> Result<Self, DhError> {
        let refused = DhError::PrivateRange { group };
        let private = match group.arithmetic() {
            Arithmetic::Modp(prime) => {
                let zero = private.expose().iter().fold(0, |any, octet| any | octet) == 0;
                if zero || private.len() > prime.len() {
                    return Err(refused);
                }
                let bits = u32::try_from(private.len() * 8).unwrap_or(group.bits());
                Private::Modp(Exponent::new(prime, group.bits(), private, bits))
            }
            Arithmetic::Ecp(curve) if curve.has_scalar(&private) => Private::Ecp(curve, private),
            Arithmetic::Ecp(_) => return Err(refused),
        };
        Ok(Self::of(group, private))
    }

    fn of(group: DhGroup, private: Private) -> Self {
        let public = match &private {
            Private::Modp(exponent) => exponent.raise(&[2]).to_vec(),
            Private::Ecp(curve, scalar) => curve.public(scalar),
        };
        Self { group, private, public }
    }

    /// Returns the group.
    pub fn group(&self) -> DhGroup {
        self.group
    }

    /// Returns our public value, the contents of our KE payload: [`DhGroup::public_len`] octets.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Computes the shared value from the contents of the peer's KE payload.
    ///
    /// # Errors
    /// Those of [`DhGroup::check_public`].
    pub fn agree(&self, peer: &[u8]) -> Result<DhShared, DhError> {
        self.group.check_public(peer)?;
        let shared: Option<Zeroizing<Vec<u8>>> = match &self.private {
            Private::Modp(exponent) => Some(exponent.raise(peer)),
            Private::Ecp(curve, scalar) => curve.agree(scalar, peer),
        };
        let shared = shared.ok_or(DhError::DegeneratePublic { group: self.group })?;
        Ok(DhShared::copied(&shared))
    }
}

impl fmt::Debug for DhKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DhKeyPair").field("group", &self.group).finish_non_exhaustive()
    }
}

/// Returns how many octets hold so many bits.
const fn octets_of(bits: u32) -> usize {
    bits.div_ceil(8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unsupported;
    use alloc::format;
    use ipsec_wire::registry::Group;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn pair(group: DhGroup) -> DhKeyPair {
        DhKeyPair::generate(group, group.default_exponent_bits(), &mut ChaCha20Rng::seed_from_u64(1))
    }

    #[test]
    fn degenerate_public_values_are_refused_and_their_neighbours_taken() {
        for group in [DhGroup::Modp768, DhGroup::Modp1024] {
            let ours = pair(group);
            let Arithmetic::Modp(p) = group.arithmetic() else { panic!("a curve") };
            let p = p.to_vec();
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
            let Private::Modp(exponent) = &pair.private else { panic!("a curve") };
            assert_eq!(exponent.bit_len(), bits);
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
        assert_eq!(format!("{:?}", pair(DhGroup::Modp768)), "DhKeyPair { group: Modp768, .. }");
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

    const CURVES: [DhGroup; 3] = [DhGroup::Ecp256, DhGroup::Ecp384, DhGroup::Ecp521];

    #[test]
    fn points_off_the_curve_are_refused() {
        for group in CURVES {
            let ours = pair(group);
            let good = pair(group).public().to_vec();
            assert!(ours.agree(&good).is_ok());
            for bad in [vec![0; good.len()], vec![0xff; good.len()], good.iter().rev().copied().collect()] {
                assert_eq!(ours.agree(&bad).unwrap_err(), DhError::DegeneratePublic { group });
            }
            for at in [0, good.len() / 2, good.len() - 1] {
                let mut bent = good.clone();
                bent[at] ^= 1;
                assert_eq!(ours.agree(&bent).unwrap_err(), DhError::DegeneratePublic { group });
            }
            for got in [0, 1, good.len() / 2 + 1, good.len() - 1, good.len() + 1] {
                let refused = ours.agree(&vec![4; got]).unwrap_err();
                assert_eq!(refused, DhError::PublicLength { group, wanted: good.len(), got });
            }
        }
    }

    #[test]
    fn scalars_of_zero_or_from_the_order_on_are_refused() {
        for group in CURVES {
            let len = group.shared_len();
            for bad in [vec![], vec![0; len], vec![0xff; len], vec![1; len + 1]] {
                let refused = DhKeyPair::from_private(group, DhPrivate::new(bad)).unwrap_err();
                assert_eq!(refused, DhError::PrivateRange { group });
            }
        }
    }

    #[test]
    fn a_broken_generator_ends_the_draw() {
        struct Ones;
        impl rand_core::TryRng for Ones {
            type Error = core::convert::Infallible;
            fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
                Ok(u32::MAX)
            }
            fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
                Ok(u64::MAX)
            }
            fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Self::Error> {
                octets.fill(0xff);
                Ok(())
            }
        }
        impl rand_core::TryCryptoRng for Ones {}
        for group in DhGroup::ALL {
            assert_eq!(DhKeyPair::generate(group, 0, &mut Ones).public().len(), group.public_len());
        }
    }
}
