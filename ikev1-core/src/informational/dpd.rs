use crate::ids::Cookies;
use crate::informational::notify::about_isakmp;
use crate::plan::DpdMode;
use crate::state_name::DpdState;
use drive::Instant;
use ipsec_wire::isakmp::Chain;
use ipsec_wire::registry::NotifyType;
use rand_core::CryptoRng;

/// Whether the peer lives: traffic-based, RFC 3706.
///
/// Only what proved authentic counts as life. Each question has its own number, and an answer to any
/// question since the peer was last heard counts: acknowledgements may overtake each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dpd {
    mode: DpdMode,
    peer_answers: bool,
    next_tx: u32,
    last_rx: u32,
    retries: u32,
    heard: Instant,
}

impl Dpd {
    /// Starts at the moment that phase 1 ends. The first number is random, RFC 3706 §5.4.
    pub(crate) fn new(mode: DpdMode, peer_answers: bool, now: Instant, rng: &mut dyn CryptoRng) -> Self {
        // Far from the top, so that an SA never comes to the wrap.
        let next_tx = rng.next_u32() >> 2;
        Self { mode, peer_answers, next_tx, last_rx: 0, retries: 0, heard: now }
    }

    /// Returns whether this end asks.
    pub(crate) const fn asks(&self) -> bool {
        matches!(self.mode, DpdMode::Both) && self.peer_answers
    }

    /// Takes a sign of life.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.retries = 0;
    }

    /// Returns when the peer was last heard.
    pub(crate) const fn last_heard(&self) -> Instant {
        self.heard
    }

    /// Returns how often the peer was asked since it was last heard.
    pub(crate) const fn retries(&self) -> u32 {
        self.retries
    }

    /// Returns the next question and its number, and counts it.
    pub(crate) fn ask(&mut self, cookies: Cookies) -> (u32, Chain) {
        let sequence = self.next_tx;
        self.next_tx = sequence.wrapping_add(1);
        self.retries = self.retries.saturating_add(1);
        (sequence, about_isakmp(NotifyType::R_U_THERE, cookies, sequence.to_be_bytes().to_vec()))
    }

    /// Returns the answer to a question, unless this end does not take part or the number is old.
    pub(crate) fn answer(&mut self, sequence: u32, cookies: Cookies) -> Option<Chain> {
        if self.mode == DpdMode::Off || sequence < self.last_rx {
            return None;
        }
        self.last_rx = sequence;
        Some(about_isakmp(NotifyType::R_U_THERE_ACK, cookies, sequence.to_be_bytes().to_vec()))
    }

    /// Returns whether an acknowledgement is for one of the questions that are open.
    pub(crate) const fn acknowledges(&self, sequence: u32) -> bool {
        let age = self.next_tx.wrapping_sub(sequence);
        age >= 1 && age <= self.retries
    }

    /// Returns the state under the name routers show.
    pub(crate) const fn state(&self) -> DpdState {
        match (self.mode, self.peer_answers, self.retries) {
            (DpdMode::Off, _, _) => DpdState::Off,
            (DpdMode::Receive, _, _) => DpdState::ActiveReceive,
            (DpdMode::Both, false, _) => DpdState::None,
            (DpdMode::Both, true, 0) => DpdState::Active,
            (DpdMode::Both, true, 1) => DpdState::IdleQuery,
            (DpdMode::Both, true, _) => DpdState::IdleQueryRetry,
        }
    }

    /// Returns the numbers that routers show: next sent, last received.
    pub(crate) const fn numbers(&self) -> (u32, u32) {
        (self.next_tx, self.last_rx)
    }
}
