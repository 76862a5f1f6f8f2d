//! The keepalive timer of the end behind a NAT (RFC 3948 §4).

use core::time::Duration;
use drive::Instant;

/// The silence after which a keepalive is sent: M in RFC 3948 §4.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(20);

/// When to send the next [`KEEPALIVE`](crate::demux::KEEPALIVE) to one peer: after silence, not on schedule.
///
/// It says nothing about life: what arrives is never asked, only what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    interval: Duration,
    due: Option<Instant>,
    sent: u64,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self::new(DEFAULT_INTERVAL)
    }
}

impl Keepalive {
    /// Returns a timer that stands still; an interval of zero never starts.
    pub const fn new(interval: Duration) -> Self {
        Self { interval, due: None, sent: 0 }
    }

    /// Starts the timer: this end is behind a NAT, and the negotiation has moved to port 4500.
    pub fn start(&mut self, now: Instant) {
        if !self.interval.is_zero() && self.due.is_none() {
            self.due = Some(now + self.interval);
        }
    }

    /// Stops the timer: no SA with the peer is left.
    pub fn stop(&mut self) {
        self.due = None;
    }

    /// Puts the next keepalive off, because something else went to the peer through the same mapping.
    pub fn on_sent(&mut self, now: Instant) {
        if let Some(due) = &mut self.due {
            *due = (*due).max(now + self.interval);
        }
    }

    /// Returns whether a keepalive is to be sent now, and sets the time of the next.
    #[must_use]
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        match self.due {
            Some(due) if due <= now => {
                self.due = Some(now + self.interval);
                self.sent = self.sent.saturating_add(1);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is due.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Returns how many keepalives were sent.
    pub const fn sent(&self) -> u64 {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> Keepalive {
        let mut keepalive = Keepalive::default();
        keepalive.start(Instant::ZERO);
        keepalive
    }

    #[test]
    fn a_silent_end_sends_one_every_twenty_seconds() {
        let mut keepalive = started();
        for second in 1..=100 {
            let is_due = keepalive.handle_timeout(Instant::from_secs(second));
            assert_eq!(is_due, second % 20 == 0, "{second}");
        }
        assert_eq!(keepalive.sent(), 5);
    }

    #[test]
    fn other_traffic_puts_it_off() {
        let mut keepalive = started();
        keepalive.on_sent(Instant::from_secs(15));
        assert_eq!(keepalive.poll_timeout(), Some(Instant::from_secs(35)));
        keepalive.on_sent(Instant::from_secs(1));
        assert_eq!(keepalive.poll_timeout(), Some(Instant::from_secs(35)));
        assert!(!keepalive.handle_timeout(Instant::from_secs(20)));
    }

    #[test]
    fn after_a_timeout_the_next_is_later_than_now() {
        let mut keepalive = started();
        assert!(keepalive.handle_timeout(Instant::from_secs(1_000)));
        assert_eq!(keepalive.poll_timeout(), Some(Instant::from_secs(1_020)));
    }

    #[test]
    fn nothing_runs_before_the_start_after_the_stop_or_at_interval_zero() {
        let mut keepalive = Keepalive::default();
        keepalive.on_sent(Instant::from_secs(1));
        assert_eq!(keepalive.poll_timeout(), None);
        assert!(!keepalive.handle_timeout(Instant::MAX));
        let mut stopped = started();
        stopped.stop();
        assert_eq!(stopped.poll_timeout(), None);
        let mut off = Keepalive::new(Duration::ZERO);
        off.start(Instant::ZERO);
        assert_eq!(off.poll_timeout(), None);
    }

    #[test]
    fn starting_again_does_not_put_it_off() {
        let mut keepalive = started();
        keepalive.start(Instant::from_secs(19));
        assert_eq!(keepalive.poll_timeout(), Some(Instant::from_secs(20)));
    }
}
