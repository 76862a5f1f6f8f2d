use core::time::Duration;

/// How far this end takes part in liveness checks, RFC 3706.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DpdMode {
    /// Neither asks nor answers, and does not announce that it could.
    Off,
    /// Answers, does not ask.
    Receive,
    /// Asks a peer that is silent, and answers.
    Both,
}

/// What happens to a connection whose peer is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadPeerAction {
    /// Its SAs are removed; traffic or the peer starts it again.
    Clear,
    /// Its SAs are removed and it is started again at once.
    Restart,
}

/// How far this end takes part in heartbeats: notifications under the ISAKMP SA that say that the sender lives and
/// are not answered.
///
/// Routers have them under these words, in formats of their makers. The one here is ours, and only ends that run
/// this crate understand each other: a notification with the number that is configured, SPI both cookies, data a
/// number of four octets that starts at 1 and rises by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeartbeatMode {
    /// Neither sends nor listens.
    #[default]
    Off,
    /// Sends.
    Send,
    /// Listens: a peer that was heard once and then falls silent is dead.
    Receive,
    /// Sends and listens.
    Both,
}

/// What a connection does about heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeartbeatPlan {
    pub(crate) mode: HeartbeatMode,
    pub(crate) period: Duration,
    pub(crate) missed: u32,
    pub(crate) notify: u16,
}

impl HeartbeatPlan {
    pub(crate) const fn sends(&self) -> bool {
        matches!(self.mode, HeartbeatMode::Send | HeartbeatMode::Both)
    }

    pub(crate) const fn listens(&self) -> bool {
        matches!(self.mode, HeartbeatMode::Receive | HeartbeatMode::Both)
    }

    /// Returns how long after a heartbeat so many have been missed: the last of them may be half a period late.
    pub(crate) fn patience(&self) -> Duration {
        self.period.saturating_mul(self.missed).saturating_add(self.period / 2)
    }
}
