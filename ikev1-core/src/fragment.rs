//! Messages that travel in parts, payload 132 of Cisco and Microsoft: cut on the way out, joined on
//! the way in.
//!
//! Parts prove nothing, so what is kept of them is bounded in every way, and a set of parts that
//! contradict each other costs that set alone: the peer sends it again.

mod assembly;
mod cut;

use crate::defaults;
use core::time::Duration;

pub(crate) use assembly::{Assembly, SLOT, Step, Which};
pub(crate) use cut::Cut;

/// How far an end takes part in IKE fragmentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fragmentation {
    /// Neither announces it nor takes parts.
    Off,
    /// Announces it and joins parts, but sends every message whole.
    Accept,
    /// As [`Accept`](Self::Accept), and cuts long messages to a peer that announced it.
    #[default]
    On,
    /// Cuts long messages whatever the peer announced, and joins parts of a peer that announced
    /// nothing: some know parts without saying so.
    Force,
}

/// What is kept of messages that are not whole yet, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentLimits {
    /// The parts of one message, 2 to 255.
    pub parts: u8,
    /// The octets of one message, 576 to 65535.
    pub octets: usize,
    /// The messages of one ISAKMP SA, 1 to 16.
    pub messages_per_sa: usize,
    /// The octets in all, at least those of one message.
    pub total_octets: usize,
    /// How long the parts of a message are kept, 1 to 600 s.
    pub age: Duration,
}

impl Default for FragmentLimits {
    fn default() -> Self {
        Self {
            parts: defaults::MAX_FRAGMENTS,
            octets: defaults::MAX_DATAGRAM,
            messages_per_sa: defaults::MAX_FRAGMENTED_PER_SA,
            total_octets: defaults::MAX_FRAGMENT_OCTETS,
            age: defaults::FRAGMENT_AGE,
        }
    }
}

/// Why a part of a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentFault {
    /// The peer did not announce parts, or this end does not take them.
    #[error("parts were not agreed on")]
    NotAgreed,
    /// The part is empty, is number 0, or does not stand alone in its message.
    #[error("the part is malformed")]
    Malformed,
    /// Its number is above the most parts that a message may have.
    #[error("too many parts")]
    TooMany,
    /// The message would be longer than it may be.
    #[error("the message is too long")]
    TooLong,
    /// Another part came under its number: the first one stays.
    #[error("another part came under this number")]
    Differs,
    /// Two parts say that they are the last, or one stands behind the last: the set is dropped.
    #[error("the parts contradict each other")]
    Conflict,
    /// The parts together are no message of this SA.
    #[error("the parts are no message")]
    NotAMessage,
}
