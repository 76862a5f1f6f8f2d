use super::{DhPrivate, octets_of};
use alloc::vec;
use alloc::vec::Vec;
use p256::NistP256;
use p256::elliptic_curve::point::PointCompression;
use p256::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use p256::elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytesSize, PublicKey, SecretKey};
use p384::NistP384;
use p521::NistP521;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// The curves of RFC 5903; a public value is x | y, a shared value is x.
#[derive(Clone, Copy)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

/// How often a scalar is drawn before the generator is taken for broken.
///
/// A lawful one misses the range once in four thousand million draws at most.
const DRAWS: usize = 8;

/// The tag of an uncompressed point before x | y (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;

impl Curve {
    const fn bits(self) -> u32 {
        match self {
            Self::P256 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    /// Draws a scalar between 1 and the order of the curve, by trial.
    pub(super) fn draw(self, rng: &mut dyn CryptoRng) -> DhPrivate {
        let mut octets = Zeroizing::new(vec![0; octets_of(self.bits())]);
        for _ in 0..DRAWS {
            rng.fill_bytes(&mut octets);
            if let Some(first) = octets.first_mut() {
                *first &= 0xff >> (octets_of(self.bits()) * 8 - self.bits() as usize);
            }
            let scalar = DhPrivate::copied(&octets);
            if self.has_scalar(&scalar) {
                return scalar;
            }
        }
        // A generator that fails so often is none; the exchange still ends in a lawful way.
        if let Some(first) = octets.first_mut() {
            *first = 0;
        }
        if let Some(last) = octets.last_mut() {
            *last |= 1;
        }
        DhPrivate::copied(&octets)
    }

    /// Returns whether a scalar lies between 1 and the order of the curve.
    pub(super) fn has_scalar(self, scalar: &DhPrivate) -> bool {
        match self {
            Self::P256 => secret::<NistP256>(scalar).is_some(),
            Self::P384 => secret::<NistP384>(scalar).is_some(),
            Self::P521 => secret::<NistP521>(scalar).is_some(),
        }
    }

    /// Returns whether x | y is a point of the curve.
    pub(super) fn has_point(self, point: &[u8]) -> bool {
        match self {
            Self::P256 => public::<NistP256>(point).is_some(),
            Self::P384 => public::<NistP384>(point).is_some(),
            Self::P521 => public::<NistP521>(point).is_some(),
        }
    }

    /// Multiplies the base point; nothing comes of a scalar that [`has_scalar`](Self::has_scalar) refuses.
    pub(super) fn public(self, scalar: &DhPrivate) -> Vec<u8> {
        let point = match self {
            Self::P256 => multiple::<NistP256>(scalar),
            Self::P384 => multiple::<NistP384>(scalar),
            Self::P521 => multiple::<NistP521>(scalar),
        };
        point.unwrap_or_default()
    }

    /// Multiplies the peer's point and returns the x coordinate.
    pub(super) fn agree(self, scalar: &DhPrivate, point: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::P256 => shared::<NistP256>(scalar, point),
            Self::P384 => shared::<NistP384>(scalar, point),
            Self::P521 => shared::<NistP521>(scalar, point),
        }
    }
}

fn secret<C: p256::elliptic_curve::Curve>(scalar: &DhPrivate) -> Option<SecretKey<C>> {
    SecretKey::from_slice(scalar.expose()).ok()
}

fn public<C>(point: &[u8]) -> Option<PublicKey<C>>
where
    C: CurveArithmetic,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
{
    PublicKey::from_sec1_bytes(&[&[UNCOMPRESSED], point].concat()).ok()
}

fn multiple<C>(scalar: &DhPrivate) -> Option<Vec<u8>>
where
    C: CurveArithmetic + PointCompression,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
{
    let tagged = secret::<C>(scalar)?.public_key().to_sec1_bytes();
    tagged.strip_prefix(&[UNCOMPRESSED]).map(<[u8]>::to_vec)
}

fn shared<C>(scalar: &DhPrivate, point: &[u8]) -> Option<Zeroizing<Vec<u8>>>
where
    C: CurveArithmetic,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
{
    let shared = secret::<C>(scalar)?.diffie_hellman(&public::<C>(point)?);
    Some(Zeroizing::new(shared.raw_secret_bytes().to_vec()))
}
