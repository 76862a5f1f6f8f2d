//! The contract that every machine keeps.
//!
//! The loop is the same everywhere, in six steps:
//!
//! 1. wait for a datagram, a tick or a command;
//! 2. make **one** `handle_*` call;
//! 3. drain [`poll_action`](Machine::poll_action) to `None`;
//! 4. perform each action;
//! 5. read [`poll_timeout`](Machine::poll_timeout);
//! 6. sleep until then.
//!
//! What a caller may rely on, and what the tests of every machine hold:
//!
//! - A time earlier than one already seen is taken as the latest seen.
//! - [`handle_timeout`](Machine::handle_timeout) before the time named does nothing.
//! - After `handle_timeout(now)` and a full drain, `poll_timeout` is later than `now`, or `None`.
//! - Queues are bounded, and each says what it drops first.
//! - The same inputs and the same entropy give the same outputs, byte for byte.
//! - The work of one call is bounded by a named constant.
//! - Hostile bytes are not the caller's failure: they are a [`Verdict::Ignored`] with its reason,
//!   and a counter.

use crate::{Datagram, Instant, Transmit};

/// What became of a datagram.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<DropReason> {
    /// It was taken in and changed the state of the machine.
    Accepted,
    /// It was a repeat of one already taken in; at most the stored answer went out again.
    Duplicate,
    /// It was dropped and counted, and nothing else happened.
    Ignored(DropReason),
}

/// An action that may be a datagram to send.
pub trait IntoTransmit: Sized {
    /// Returns the datagram to send, or the action itself if it is something else.
    ///
    /// # Errors
    /// The action, unchanged, when it is not a transmit.
    fn into_transmit(self) -> Result<Transmit, Self>;
}

/// A pure state machine: datagrams, time and commands in, actions out.
///
/// Each machine has these as inherent methods; the trait exists so that networks, recorders and
/// programs can be written once.
pub trait Machine {
    /// What the caller can ask for.
    type Command;
    /// What a command that was taken is known by.
    type Handle;
    /// Why a command was refused.
    type CommandError;
    /// Why a datagram was dropped.
    type DropReason;
    /// Work for the caller, news included.
    type Action: IntoTransmit;

    /// Takes in one datagram.
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Verdict<Self::DropReason>;

    /// Lets time pass up to `now`.
    fn handle_timeout(&mut self, now: Instant);

    /// Takes in one command.
    ///
    /// # Errors
    /// The caller's mistake; the machine is unchanged.
    fn handle_command(&mut self, now: Instant, command: Self::Command) -> Result<Self::Handle, Self::CommandError>;

    /// Returns the next action, until there is none.
    fn poll_action(&mut self) -> Option<Self::Action>;

    /// Returns when the machine wants [`handle_timeout`](Self::handle_timeout) next; `None` means no timer.
    fn poll_timeout(&self) -> Option<Instant> {
        self.next_timer().map(|(at, _)| at)
    }

    /// Returns when the machine wants to be called next, and why, for logs.
    fn next_timer(&self) -> Option<(Instant, &'static str)>;
}
