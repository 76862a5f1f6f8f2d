//! The smallest machine with a timer, a retransmission and an end: asks until it is answered.

use bytes::Bytes;
use core::time::Duration;
use drive::{Datagram, Instant, IntoTransmit, Machine, Path, Transmit, Verdict};
use std::collections::VecDeque;

pub const GAP: Duration = Duration::from_millis(100);
pub const TRIES: u32 = 20;

#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    Transmit(Transmit),
    Answered(Path),
    GaveUp,
}

impl IntoTransmit for Action {
    fn into_transmit(self) -> Result<Transmit, Self> {
        match self {
            Self::Transmit(packet) => Ok(packet),
            other @ (Self::Answered(_) | Self::GaveUp) => Err(other),
        }
    }
}

/// Asks along this path.
#[derive(Debug)]
pub struct Ask(pub Path);

#[derive(Debug, PartialEq, Eq)]
pub struct Busy;

#[derive(Debug, PartialEq, Eq)]
pub struct NotAsked;

#[derive(Default)]
pub struct Pinger {
    actions: VecDeque<Action>,
    asking: Option<(Path, Instant, u32)>,
    /// Never lets go of its timer: a fault for the harness to find.
    pub spins: bool,
}

impl Pinger {
    fn ask(&mut self, now: Instant, path: Path, tries: u32) {
        self.asking = Some((path, now + GAP, tries));
        self.actions.push_back(Action::Transmit(Transmit { path, payload: Bytes::from_static(b"ask") }));
    }
}

impl Machine for Pinger {
    type Command = Ask;
    type Handle = ();
    type CommandError = Busy;
    type DropReason = NotAsked;
    type Action = Action;

    fn handle_datagram(&mut self, _: Instant, datagram: Datagram<'_>) -> Verdict<NotAsked> {
        match (datagram.payload, self.asking) {
            (b"ask", _) => {
                let answer = Transmit { path: datagram.path, payload: Bytes::from_static(b"answer") };
                self.actions.push_back(Action::Transmit(answer));
                Verdict::Accepted
            }
            (b"answer", Some(_)) => {
                self.asking = None;
                self.actions.push_back(Action::Answered(datagram.path));
                Verdict::Accepted
            }
            (b"answer", None) => Verdict::Duplicate,
            _ => Verdict::Ignored(NotAsked),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        let Some((path, at, tries)) = self.asking else { return };
        if now < at || self.spins {
            return;
        }
        if tries >= TRIES {
            self.asking = None;
            self.actions.push_back(Action::GaveUp);
            return;
        }
        self.ask(now, path, tries + 1);
    }

    fn handle_command(&mut self, now: Instant, Ask(path): Ask) -> Result<(), Busy> {
        if self.asking.is_some() {
            return Err(Busy);
        }
        self.ask(now, path, 1);
        Ok(())
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn next_timer(&self) -> Option<(Instant, &'static str)> {
        self.asking.map(|(_, at, _)| (at, "retransmit"))
    }
}
