//! Resending what was not answered, and answering what is asked again: data, not states.

use crate::crypto::HashAlgorithm;
use crate::defaults;
use drive::{Backoff, Retry, Transmit};

/// The digest by which a repeat of a message is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Returns the fingerprint of a message as it arrived.
    pub(crate) fn of(message: &[u8]) -> Self {
        let mut octets = [0; 32];
        octets.copy_from_slice(HashAlgorithm::Sha2_256.digest(&[message]).as_bytes());
        Self(octets)
    }
}

impl Fingerprint {
    /// Returns two octets of it, never 0: enough to tell the messages of one SA apart.
    pub(crate) fn short(&self) -> u16 {
        let [first, second, ..] = self.0;
        u16::from_be_bytes([first, second]).max(1)
    }
}

/// A message that waits for its answer.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    transmit: Transmit,
    retry: Retry,
}

impl Request {
    /// Takes a message that is sent for the first time; [`gap`](Self::gap) says when to come back.
    pub(crate) const fn new(transmit: Transmit, backoff: Backoff) -> Self {
        Self { transmit, retry: Retry::new(backoff) }
    }

    /// Counts a sending and returns how long to wait, `None` when the limit is used up.
    pub(crate) fn gap(&mut self) -> Option<core::time::Duration> {
        self.retry.next_gap(core::time::Duration::ZERO)
    }

    /// Returns the message, to be sent again as it was.
    pub(crate) const fn transmit(&self) -> &Transmit {
        &self.transmit
    }

    /// Returns how often it was sent.
    pub(crate) const fn sendings(&self) -> u32 {
        self.retry.sendings()
    }

    /// Returns how many resends are left.
    pub(crate) const fn resends_left(&self) -> u32 {
        self.retry.resends_left()
    }

    /// Sends from now on along another path: the peer was found elsewhere.
    pub(crate) const fn redirect(&mut self, path: drive::Path) {
        self.transmit.path = path;
    }
}

/// The last message taken in, and what was sent for it.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    fingerprint: Fingerprint,
    reply: Option<Transmit>,
    resends: u32,
}

/// What to do with a repeat.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Send the stored reply again.
    Resend(Transmit),
    /// There is nothing to send.
    Nothing,
    /// It was answered often enough.
    Exhausted,
}

impl Answered {
    /// Remembers a message and its reply, if it had one.
    pub(crate) const fn new(fingerprint: Fingerprint, reply: Option<Transmit>) -> Self {
        Self { fingerprint, reply, resends: 0 }
    }

    /// Remembers the reply once it is made.
    pub(crate) fn set_reply(&mut self, reply: Transmit) {
        self.reply = Some(reply);
    }

    /// Returns whether a message is a repeat of the one remembered.
    pub(crate) fn is_repeat(&self, fingerprint: &Fingerprint) -> bool {
        self.fingerprint == *fingerprint
    }

    /// Returns the reply.
    pub(crate) const fn reply(&self) -> Option<&Transmit> {
        self.reply.as_ref()
    }

    /// Returns whether a repeat would be answered.
    pub(crate) const fn would_resend(&self) -> bool {
        self.reply.is_some() && self.resends < defaults::MAX_REPLY_RESENDS
    }

    /// Counts a repeat and returns what to do.
    pub(crate) fn repeat(&mut self) -> Repeat {
        let Some(reply) = &self.reply else { return Repeat::Nothing };
        if self.resends >= defaults::MAX_REPLY_RESENDS {
            return Repeat::Exhausted;
        }
        self.resends = self.resends.saturating_add(1);
        Repeat::Resend(reply.clone())
    }
}

/// How much went to an address that has proven nothing, against what came from it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    received: u64,
    sent: u64,
    granted: u64,
}

impl Budget {
    /// Counts octets received.
    pub(crate) const fn received(&mut self, octets: usize) {
        self.received = self.received.saturating_add(octets as u64);
    }

    /// Allows so many octets more.
    pub(crate) const fn grant(&mut self, octets: usize) {
        self.granted = self.granted.saturating_add(octets as u64);
    }

    /// Returns whether so many octets may go out, and counts them if so.
    #[must_use]
    pub(crate) const fn spend(&mut self, octets: usize) -> bool {
        let sent = self.sent.saturating_add(octets as u64);
        if sent > self.received.saturating_mul(defaults::AMPLIFICATION_FACTOR).saturating_add(self.granted) {
            return false;
        }
        self.sent = sent;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use core::time::Duration;
    use drive::{Path, Schedule};

    fn transmit() -> Transmit {
        Transmit {
            path: Path::new(([192, 0, 2, 1], 500).into(), ([192, 0, 2, 2], 500).into()),
            payload: Bytes::from_static(b"reply"),
        }
    }

    #[test]
    fn a_request_is_sent_again_until_its_limit() {
        let backoff = Backoff::new(Schedule::Constant(Duration::from_secs(4)), 2).unwrap();
        let mut request = Request::new(transmit(), backoff);
        for left in [2, 1, 0] {
            assert_eq!(request.gap(), Some(Duration::from_secs(4)));
            assert_eq!(request.resends_left(), left);
        }
        assert_eq!(request.gap(), None);
        assert_eq!(request.sendings(), 3);
    }

    #[test]
    fn a_repeat_is_answered_from_store_a_bounded_number_of_times() {
        let mut answered = Answered::new(Fingerprint::of(b"request"), Some(transmit()));
        assert!(answered.is_repeat(&Fingerprint::of(b"request")));
        assert!(!answered.is_repeat(&Fingerprint::of(b"requesT")));
        for _ in 0..defaults::MAX_REPLY_RESENDS {
            assert_eq!(answered.repeat(), Repeat::Resend(transmit()));
        }
        assert_eq!(answered.repeat(), Repeat::Exhausted);
        assert_eq!(Answered::new(Fingerprint::of(b""), None).repeat(), Repeat::Nothing);
    }

    #[test]
    fn no_more_than_three_times_what_came_goes_to_an_unproven_address() {
        let mut budget = Budget::default();
        assert!(!budget.spend(1));
        budget.received(100);
        assert!(budget.spend(300));
        assert!(!budget.spend(1));
    }
}
