use crate::error::WireErrorKind;
use core::fmt;

/// Declares the reasons, their texts and their counters in one list.
macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident => $text:literal,)*) => {
        /// Why a datagram was dropped: the fault of the network or of the peer, never of the caller.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum DropReason {
            /// The octets are no L2TP message.
            Malformed(WireErrorKind),
            $($(#[$meta])* $name,)*
        }

        impl DropReason {
            const COUNT: usize = [$(stringify!($name),)*].len() + 1;

            const fn index(self) -> usize {
                enum Place { Malformed, $($name,)* }
                match self {
                    Self::Malformed(_) => Place::Malformed as usize,
                    $(Self::$name => Place::$name as usize,)*
                }
            }

            const NAMES: [&'static str; Self::COUNT] = ["malformed", $($text,)*];
        }
    };
}

reasons! {
    /// The path carries neither IP protocol 115 nor UDP.
    OtherProtocol => "other protocol",
    /// A request of L2TPv2; it was refused by a StopCCN of version 2.
    Version2Peer => "version 2 peer",
    /// Anything else of L2TPv2.
    Version2 => "version 2",
    /// A packet of L2F.
    L2f => "L2F",
    /// A data message: it belongs to the data plane.
    IsData => "data message",
    /// No control connection has this identifier.
    UnknownConnection => "unknown connection",
    /// The connection or session runs over another path.
    WrongPath => "wrong path",
    /// A message without the digest that authentication demands.
    MissingDigest => "missing digest",
    /// A message whose digest is wrong.
    BadDigest => "bad digest",
    /// The peer does not authenticate, and must; or does, and no secret is known for it.
    AuthenticationMismatch => "authentication mismatch",
    /// A StopCCN without authentication, which the configuration refuses.
    UnauthenticatedStop => "unauthenticated stop",
    /// An Nr for what was never sent.
    InvalidNr => "invalid Nr",
    /// A number beyond the receive window.
    BeyondWindow => "beyond window",
    /// So much waits to be sent that nothing more is taken in.
    Busy => "busy",
    /// As many connections are half open as may be.
    HalfOpenLimit => "half-open limit",
    /// As many connections exist as may.
    ConnectionLimit => "connection limit",
    /// No peer is configured that this could be.
    UnknownPeer => "unknown peer",
    /// A request that was refused, with an answer.
    Refused => "refused",
    /// Our own request, sent back to us.
    Reflected => "reflected",
    /// A message that its state does not allow and that nothing can be done about.
    Unexpected => "unexpected message",
    /// A message type that is not known and need not be.
    UnknownMessage => "unknown message",
    /// A session message for a session that does not exist.
    UnknownSession => "unknown session",
    /// Data for a session that is not up yet.
    NotReady => "session not ready",
    /// Data with a wrong cookie.
    CookieMismatch => "cookie mismatch",
    /// Data with a sequence number of the past.
    OldSequence => "old sequence number",
    /// Data without the sequence number that every frame must have.
    MissingSequence => "missing sequence number",
    /// Data too short for a frame.
    Runt => "runt",
    /// A frame without a tag on a VLAN pseudowire.
    Untagged => "untagged frame",
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Malformed(kind) = self {
            return write!(f, "malformed: {kind}");
        }
        f.write_str(Self::NAMES.get(self.index()).copied().unwrap_or_default())
    }
}

/// How often each reason was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropCounters([u64; DropReason::COUNT]);

impl Default for DropCounters {
    fn default() -> Self {
        Self([0; DropReason::COUNT])
    }
}

impl DropCounters {
    pub(crate) fn count(&mut self, reason: DropReason) {
        if let Some(counter) = self.0.get_mut(reason.index()) {
            *counter = counter.saturating_add(1);
        }
    }

    /// Returns how often a reason was met; all malformed messages count as one reason.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0.get(reason.index()).copied().unwrap_or_default()
    }

    /// Returns how many datagrams were dropped.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Returns all reasons by name with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        DropReason::NAMES.into_iter().zip(self.0)
    }
}
