use thiserror::Error;

/// A number from the wire that names no algorithm of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("number {0} is not supported")]
pub struct Unsupported(pub u16);
