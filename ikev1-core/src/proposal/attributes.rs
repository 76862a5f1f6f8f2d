use super::Lifetime;
use core::fmt;
use ipsec_wire::isakmp::payload::{Attribute, AttributeValue};
use ipsec_wire::registry::LifeType;
use thiserror::Error;

/// Why the attributes of a transform could not be read; such a transform is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AttributeError {
    /// An attribute class that is not understood; it must not be passed over (RFC 2408 §4.2).
    #[error("attribute {0} is not supported")]
    Unknown(u16),
    /// The same attribute twice.
    #[error("{0} comes twice")]
    Repeated(&'static str),
    /// A number of no octets, or one larger than its registry.
    #[error("{0} is not a number of its range")]
    Range(&'static str),
    /// A lifetime in another unit than seconds or kilobytes.
    #[error("life type {0}")]
    LifeType(LifeType),
    /// A life type without a duration, or a duration without a type.
    #[error("life type and life duration do not come in pairs")]
    LifeUnpaired,
    /// A lifetime of 0.
    #[error("a lifetime of 0 {0}")]
    LifeZero(LifeType),
}

/// Reads a number of 16 bits, whichever form it travelled in.
pub(super) fn number(attribute: &Attribute<&[u8]>, field: &'static str) -> Result<u16, AttributeError> {
    u16::try_from(large(attribute, field)?).map_err(|_| AttributeError::Range(field))
}

/// Reads a number of any length; what exceeds 64 bits is the largest there is.
fn large(attribute: &Attribute<&[u8]>, field: &'static str) -> Result<u64, AttributeError> {
    match attribute.value {
        AttributeValue::Basic(value) => Ok(u64::from(value)),
        AttributeValue::Variable([]) => Err(AttributeError::Range(field)),
        AttributeValue::Variable(octets) => Ok(octets.iter().fold(0_u64, |value, octet| {
            value.checked_mul(256).map_or(u64::MAX, |value| value.saturating_add(u64::from(*octet)))
        })),
    }
}

/// Sets an attribute that may come once.
pub(super) fn once<T>(slot: &mut Option<T>, value: T, field: &'static str) -> Result<(), AttributeError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(AttributeError::Repeated(field)),
    }
}

/// Pairs life types with life durations, in whichever order the two of a pair come.
#[derive(Default)]
pub(super) struct LifetimeReader {
    unit: Option<LifeType>,
    duration: Option<u64>,
    lifetime: Lifetime,
}

impl LifetimeReader {
    pub(super) fn life_type(&mut self, attribute: &Attribute<&[u8]>) -> Result<(), AttributeError> {
        let unit = LifeType(number(attribute, "life type")?);
        if self.unit.replace(unit).is_some() {
            return Err(AttributeError::LifeUnpaired);
        }
        self.pair()
    }

    pub(super) fn duration(&mut self, attribute: &Attribute<&[u8]>) -> Result<(), AttributeError> {
        let duration = large(attribute, "life duration")?;
        if self.duration.replace(duration).is_some() {
            return Err(AttributeError::LifeUnpaired);
        }
        self.pair()
    }

    fn pair(&mut self) -> Result<(), AttributeError> {
        let (Some(unit), Some(duration)) = (self.unit, self.duration) else { return Ok(()) };
        (self.unit, self.duration) = (None, None);
        if duration == 0 {
            return Err(AttributeError::LifeZero(unit));
        }
        match unit {
            LifeType::SECONDS => once(&mut self.lifetime.seconds, duration, "lifetime in seconds"),
            LifeType::KILOBYTES => once(&mut self.lifetime.kilobytes, duration, "lifetime in kilobytes"),
            other => Err(AttributeError::LifeType(other)),
        }
    }

    pub(super) fn finish(self) -> Result<Lifetime, AttributeError> {
        match (self.unit, self.duration) {
            (None, None) => Ok(self.lifetime),
            _ => Err(AttributeError::LifeUnpaired),
        }
    }
}

/// Returns whether an offered key length says what is wanted.
///
/// A cipher of one length (`attribute` is `None`) may leave it out, or say it right.
pub(super) fn key_fits(offered: Option<u16>, attribute: Option<u16>, key_len: usize) -> bool {
    match (offered, attribute) {
        (Some(bits), None) => key_len != 0 && usize::from(bits) == key_len.saturating_mul(8),
        (offered, wanted) => offered == wanted,
    }
}

/// A key length as it was offered, for messages: nothing, or the bits.
pub(crate) struct KeyBits(pub(crate) Option<u16>);

impl fmt::Display for KeyBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |bits| write!(f, " {bits}"))
    }
}
