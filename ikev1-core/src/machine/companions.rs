//! The rest of bundles that a peer deleted by one of their SPIs.

use crate::action::SpiPair;
use alloc::collections::VecDeque;
use ipsec_wire::registry::ProtocolId;

/// How many SAs are remembered: a Delete for each follows at once or never.
const MOST: usize = 64;

/// The SAs that went with the one that a Delete named: a peer deletes a bundle by a payload or a message for each
/// protocol, and the first takes all of it.
#[derive(Debug, Default)]
pub(crate) struct Companions(VecDeque<SpiPair>);

impl Companions {
    /// Remembers the SAs of a pair but the one that was named; the oldest are forgotten first.
    pub(crate) fn remember(&mut self, sas: &[SpiPair], (protocol, spi): (ProtocolId, u32)) {
        for sa in sas.iter().filter(|sa| !is(sa, protocol, spi)) {
            if self.0.len() >= MOST {
                self.0.pop_front();
            }
            self.0.push_back(*sa);
        }
    }

    /// Returns whether an SPI is one of those, and forgets it.
    pub(crate) fn take(&mut self, protocol: ProtocolId, spi: u32) -> bool {
        let found = self.0.iter().position(|sa| is(sa, protocol, spi));
        found.and_then(|at| self.0.remove(at)).is_some()
    }
}

fn is(sa: &SpiPair, protocol: ProtocolId, spi: u32) -> bool {
    sa.suite.protocol() == protocol && (sa.outbound == spi || sa.inbound == spi)
}
