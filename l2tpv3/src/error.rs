use core::fmt;

/// What is wrong with octets that should be an L2TP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum WireErrorKind {
    /// The octets end before the field does.
    Truncated,
    /// A length field contradicts the octets that are there.
    BadLength,
    /// Octets follow the end of the message.
    Trailing,
    /// The T, L or S bit is not set in a control message.
    BadFlags,
    /// The version is none that has this header.
    BadVersion,
    /// The first AVP is not a Message Type in clear.
    NoMessageType,
    /// More AVPs than a message may have here.
    TooManyAvps,
    /// What is to be written does not fit its length field.
    TooLong,
}

/// Where octets stop being an L2TP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireError {
    /// What is wrong.
    pub kind: WireErrorKind,
    /// The field in which it was seen.
    pub field: &'static str,
    /// The offset of that field from the start of the message.
    pub offset: usize,
}

impl WireError {
    pub(crate) const fn new(kind: WireErrorKind, field: &'static str, offset: usize) -> Self {
        Self { kind, field, offset }
    }
}

impl fmt::Display for WireErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated",
            Self::BadLength => "bad length",
            Self::Trailing => "trailing octets",
            Self::BadFlags => "bad flags",
            Self::BadVersion => "bad version",
            Self::NoMessageType => "no message type",
            Self::TooManyAvps => "too many AVPs",
            Self::TooLong => "too long",
        })
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} at octet {}", self.kind, self.field, self.offset)
    }
}

impl core::error::Error for WireError {}
