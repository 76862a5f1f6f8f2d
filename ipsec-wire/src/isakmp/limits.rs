//! How much one message may hold, and why.
//!
//! Each limit is far above what any lawful peer sends, and keeps the work of one message small. A
//! message that passes one is refused whole with [`ErrorKind::TooMany`](crate::ErrorKind::TooMany).

/// Payloads in one message.
///
/// The longest lawful ones carry some thirty vendor ids, or a certificate request for every
/// authority that a host trusts.
pub const PAYLOADS: usize = 256;

/// Proposals in one SA payload: the proposal number is one octet.
pub const PROPOSALS: usize = 256;

/// Transforms in one SA payload, over all its proposals.
///
/// One proposal announces 255 at most; a client that offers every cipher with every hash in each
/// of a dozen proposals stays below a thousand.
pub const TRANSFORMS: usize = 1024;

/// Attributes in one transform or one transaction.
///
/// A private group takes ten; a long reply to a configuration request holds one attribute for each
/// network behind the gateway.
pub const ATTRIBUTES: usize = 256;

/// Identities in one ID_LIST: one for each address of a multi-homed host.
pub const IDENTITIES: usize = 64;

/// SPIs in one Delete payload.
///
/// A gateway that drops every SA of a peer at once names them in few messages; the largest
/// datagram could hold sixteen thousand.
pub const SPIS: usize = 1024;
