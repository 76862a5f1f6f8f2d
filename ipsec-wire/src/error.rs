use core::fmt;

/// What is wrong with octets, in which field, and where.
///
/// `offset` counts from the start of whatever was handed to the parser: the datagram for whole
/// messages, the slice for a single payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} at octet {offset}: {kind}")]
pub struct WireError {
    /// What is wrong.
    pub kind: ErrorKind,
    /// The field it is wrong with, in the words of the RFC.
    pub field: &'static str,
    /// Octets before the field.
    pub offset: usize,
}

impl WireError {
    /// Returns the error `kind` of `field` at `offset`.
    pub const fn new(kind: ErrorKind, field: &'static str, offset: usize) -> Self {
        Self { kind, field, offset }
    }
}

/// The ways in which octets can be wrong.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// The octets end inside a field.
    Truncated,
    /// Octets are left after the last field.
    Trailing,
    /// A length is below the fixed part or beyond the space around it.
    Length,
    /// A body that must hold something is empty.
    Empty,
    /// The major version is 2: an IKEv2 message, for another stack.
    Ikev2,
    /// The major version is neither 1 nor 2.
    MajorVersion,
    /// The minor version is not 0.
    MinorVersion,
    /// A reserved field is not zero where a receiver must check it.
    Reserved,
    /// A next-payload octet disagrees with what follows.
    NextPayload,
    /// An announced count disagrees with what was found.
    Count,
    /// More items than the limit allows.
    TooMany,
    /// A size does not fit the protocol it is for.
    SpiSize,
    /// The domain of interpretation is not one that can be read.
    Doi,
    /// The situation has bits that nothing defines.
    Situation,
    /// A value does not fit the type it is read as.
    Range,
    /// A value is longer than its length field can say.
    TooLong,
    /// A form that must not stand inside itself does.
    Nested,
}

impl core::error::Error for ErrorKind {}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the octets end inside it",
            Self::Trailing => "octets are left after it",
            Self::Length => "length out of bounds",
            Self::Empty => "empty",
            Self::Ikev2 => "IKEv2",
            Self::MajorVersion => "unknown major version",
            Self::MinorVersion => "unknown minor version",
            Self::Reserved => "reserved bits are set",
            Self::NextPayload => "disagrees with what follows",
            Self::Count => "count disagrees with what was found",
            Self::TooMany => "more than the limit",
            Self::SpiSize => "size does not fit the protocol",
            Self::Doi => "unknown domain of interpretation",
            Self::Situation => "unknown situation bits",
            Self::Range => "value out of range",
            Self::TooLong => "too long for its length field",
            Self::Nested => "nested",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn an_error_says_what_where_and_why() {
        let error = WireError::new(ErrorKind::Truncated, "nonce", 28);
        assert_eq!(error.to_string(), "nonce at octet 28: the octets end inside it");
    }
}
