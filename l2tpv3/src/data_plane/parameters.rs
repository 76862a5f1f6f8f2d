use crate::registry::{PseudowireType, SequencingLevel};
use crate::wire::{Carrier, Cookie, DataLayout, Sublayer};
use core::fmt;
use core::num::NonZeroU32;
use core::ops::Range;
use drive::Path;

/// A session of this end: its local session id, which peers put into the packets they send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub NonZeroU32);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// All that the data plane knows of a session: what was negotiated, or what the operator wrote down
/// for a session without control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionParameters {
    /// The ends of the packets, and what carries them.
    pub path: Path,
    /// The session id in packets that arrive.
    pub local_id: SessionId,
    /// The session id in packets that are sent.
    pub remote_id: NonZeroU32,
    /// The cookie demanded of packets that arrive.
    pub local_cookie: Cookie,
    /// The cookie in packets that are sent.
    pub remote_cookie: Cookie,
    /// What the frames are.
    pub pseudowire: PseudowireType,
    /// The sublayer in packets that arrive.
    pub receive_sublayer: Sublayer,
    /// The sublayer in packets that are sent.
    pub send_sublayer: Sublayer,
    /// Which packets that arrive are numbered.
    pub receive_sequencing: SequencingLevel,
    /// Which packets that are sent are numbered.
    pub send_sequencing: SequencingLevel,
    /// The VLAN identifier written into tagged frames that arrive, if any.
    pub rewrite_vlan: Option<u16>,
    /// After how many packets in sequence, all taken for old, their numbers are believed, RFC 3931 appendix C.
    pub resynchronise_after: u8,
}

impl SessionParameters {
    pub(super) fn layout(&self) -> Option<DataLayout> {
        Some(DataLayout {
            carrier: Carrier::of(self.path)?,
            session_id: self.remote_id,
            cookie: self.remote_cookie,
            sublayer: self.send_sublayer,
        })
    }

    /// Returns the octets put in front of each frame, `None` if the path cannot carry L2TP.
    pub fn overhead(&self) -> Option<usize> {
        self.layout().map(|layout| layout.len())
    }
}

/// Why a session was not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallError {
    /// The local session id belongs to another session.
    IdTaken,
    /// The path carries neither IP protocol 115 nor UDP.
    OtherProtocol,
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IdTaken => "the local session id is taken",
            Self::OtherProtocol => "the path carries neither IP protocol 115 nor UDP",
        })
    }
}

impl core::error::Error for InstallError {}

/// Why a frame was not encapsulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncapsulateError {
    /// There is no such session.
    UnknownSession,
    /// The peer's circuit is down: nothing may be sent to it until it says otherwise.
    CircuitDown,
    /// The frame is shorter than its kind allows, or not within the buffer.
    BadFrame,
    /// There is not enough room in front of the frame.
    BufferTooSmall {
        /// The octets needed in front of the frame.
        needed: usize,
    },
}

impl fmt::Display for EncapsulateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSession => f.write_str("unknown session"),
            Self::CircuitDown => f.write_str("the peer's circuit is down"),
            Self::BadFrame => f.write_str("the frame is too short or lies outside the buffer"),
            Self::BufferTooSmall { needed } => write!(f, "{needed} octets are needed in front of the frame"),
        }
    }
}

impl core::error::Error for EncapsulateError {}

/// A packet ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encapsulated {
    /// Where to.
    pub path: Path,
    /// Where in the buffer the packet lies, without any header of the carrier.
    pub packet: Range<usize>,
}

/// A frame taken out of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decapsulated {
    /// The session it belongs to.
    pub session: SessionId,
    /// Where in the buffer the frame lies.
    pub frame: Range<usize>,
}
