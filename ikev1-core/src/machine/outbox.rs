use crate::action::Action;
use crate::counters::{Counters, OwnCounters, count};
use crate::defaults;
use crate::event::Event;
use alloc::collections::VecDeque;
use bytes::Bytes;
use drive::{Path, Transmit};

/// What waits for the caller, in order.
///
/// When it is full, events are dropped and counted; work is never dropped, and is bounded by what
/// one call can cause.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    actions: VecDeque<Action>,
}

impl Outbox {
    /// Adds work.
    pub(crate) fn action(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// Adds news.
    pub(crate) fn event(&mut self, own: &mut OwnCounters, event: Event) {
        if self.actions.len() >= defaults::MAX_ACTIONS {
            count(&mut own.events_dropped);
            return;
        }
        self.actions.push_back(Action::Event(event));
    }

    /// Sends a datagram.
    pub(crate) fn send(&mut self, counters: &mut Counters, transmit: Transmit) {
        count(&mut counters.message_sent);
        self.actions.push_back(Action::Transmit(transmit));
    }

    /// Sends the one octet that keeps a NAT mapping open, RFC 3948 §2.3.
    pub(crate) fn keepalive(&mut self, path: Path) {
        self.actions.push_back(Action::Transmit(Transmit { path, payload: Bytes::from_static(&[0xff]) }));
    }

    /// Returns what is next.
    pub(crate) fn next(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
}
