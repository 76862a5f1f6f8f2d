//! Clear packets that come from the side where protected ones are expected.

use crate::counters::count;
use crate::pump::Gateway;
use crate::route::INTERFACE;
use drive::Instant;
use spd::{Arrival, Direction, InboundRefusal, PacketKey};

/// Why a clear packet may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClearRefusal {
    /// Its headers lie.
    #[error("malformed packet")]
    Malformed,
    /// The policies do not let it in, or want it protected.
    #[error(transparent)]
    Policy(#[from] InboundRefusal),
    /// The gateway is closed.
    #[error("closed")]
    Closed,
}

impl Gateway {
    /// Says whether a clear packet, which arrived on the side where protected ones are expected, may come in: only
    /// if the first policy that names it lets it pass, RFC 4301 §5.2.
    ///
    /// For callers that see such packets. IKE and what is protected is not asked about: it goes to
    /// [`handle_datagram`](Self::handle_datagram).
    ///
    /// # Errors
    /// Why it is to be dropped; it is counted.
    pub fn admit_clear(&mut self, now: Instant, packet: &[u8]) -> Result<(), ClearRefusal> {
        let now = self.clock.observe(now);
        if self.closed {
            return Err(ClearRefusal::Closed);
        }
        count(&mut self.counters.in_clear);
        let Ok((key, fragment)) = PacketKey::with_fragment(packet, Direction::Inbound) else {
            count(&mut self.counters.in_malformed);
            return Err(ClearRefusal::Malformed);
        };
        if self.passes_built_in(Direction::Inbound, &key) {
            count(&mut self.counters.in_bypassed);
            return Ok(());
        }
        let (policies, fragment) = (&mut self.policies, fragment.as_ref());
        match self.fragments.inbound(now, policies, INTERFACE, &key, fragment, Arrival::Clear) {
            Ok(_) => {
                count(&mut self.counters.in_bypassed);
                Ok(())
            }
            Err(refusal) => {
                if let InboundRefusal::Fragment(reason) = refusal {
                    self.fragment_refused(now, false, reason, &key);
                }
                let none = refusal == InboundRefusal::NoPolicy;
                let counters = &mut self.counters;
                count(if none { &mut counters.in_no_policy } else { &mut counters.in_clear_refused });
                Err(refusal.into())
            }
        }
    }
}
