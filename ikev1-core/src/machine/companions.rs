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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proposal::{AesKey, EspCipher, Integrity, Protection};

    fn bundle(number: u32) -> [SpiPair; 2] {
        let integrity = Integrity::HmacSha1;
        let esp = Protection::Esp { cipher: EspCipher::AesCbc(AesKey::Bits128), integrity: Some(integrity) };
        [(esp, 0x1000), (Protection::Ah { integrity }, 0x2000)].map(|(suite, base)| SpiPair {
            suite,
            inbound: base + number,
            outbound: 0x10_0000 + base + number,
        })
    }

    #[test]
    fn the_rest_of_a_bundle_is_known_once_by_either_spi_and_only_under_its_protocol() {
        for spi in [0x2001, 0x10_2001] {
            let mut companions = Companions::default();
            companions.remember(&bundle(1), (ProtocolId::ESP, 0x10_1001));
            assert!(!companions.take(ProtocolId::ESP, 0x10_1001), "what was named is gone already");
            assert!(!companions.take(ProtocolId::ESP, spi));
            assert!(companions.take(ProtocolId::AH, spi));
            assert!(!companions.take(ProtocolId::AH, spi));
        }
    }

    #[test]
    fn a_flood_of_deleted_bundles_is_bounded_and_the_latest_are_known() {
        let mut companions = Companions::default();
        for number in 0..1_000 {
            companions.remember(&bundle(number), (ProtocolId::ESP, 0x10_1000 + number));
        }
        assert_eq!(companions.0.len(), MOST);
        assert!(companions.take(ProtocolId::AH, 0x10_2000 + 999) && !companions.take(ProtocolId::AH, 0x10_2000));
    }
}
