use super::{State, Timer};
use crate::action::ConnectionId;
use crate::endpoint::Endpoint;
use crate::registry::MessageType;
use crate::wire::Attributes;
use core::time::Duration;
use drive::Instant;
use rand_core::CryptoRng;

impl<R: CryptoRng> Endpoint<R> {
    /// Sets the first HELLO of a connection that came up; a tenth of jitter keeps many apart, RFC 3931 §4.4.
    pub(super) fn arm_hello(&mut self, now: Instant, id: ConnectionId) {
        let Some(interval) = self.peer_of(id).and_then(|peer| peer.config.hello) else { return };
        let tenth = u64::try_from(interval.as_micros() / 10).unwrap_or(u64::MAX);
        let jitter = Duration::from_micros(self.rng.next_u64() % tenth.saturating_add(1));
        self.timers.set(Timer::Hello(id), now + interval + jitter);
    }

    /// Sends a HELLO if the peer was silent for the whole interval and nothing else asks for its answer.
    pub(crate) fn hello_due(&mut self, now: Instant, id: ConnectionId) {
        let Some(interval) = self.peer_of(id).and_then(|peer| peer.config.hello) else { return };
        let Some(connection) = self.connections.get_mut(id.0) else { return };
        let State::Established { .. } = connection.state else { return };
        let due = connection.last_heard + interval;
        if now < due {
            self.timers.set(Timer::Hello(id), due);
            return;
        }
        let idle = connection.channel.pending() == 0;
        if idle {
            connection.last_hello = Some(now);
        }
        self.timers.set(Timer::Hello(id), now + interval);
        if idle {
            self.send(id, MessageType::HELLO, &Attributes::default());
            self.settle(now, id);
        }
    }
}
