use crate::{SaCounters, SaProtocol};

/// The counters of every association of one protocol together, those included that are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolCounters {
    protocol: SaProtocol,
    /// By the order of [`SaCounters::iter`].
    sums: [u64; SaCounters::COUNT],
    installed: u64,
    removed: u64,
}

/// A name of a table, and that of the counter of an association it is the sum of. What nothing here ever does, as
/// copying buffers or finishing a computation for an association that went away meanwhile, has none.
type Row = (&'static str, Option<&'static str>);

const ESP: &[Row] = &[
    ("espOutBufChainCopy", Some("espOutBufChainCopy")),
    ("espOutSeqNumberCycled", Some("outProcessFail")),
    ("espOutEncryptionStart", Some("espEncryptionStart")),
    ("espOutEncryptionFailImm", Some("espEncryptionFailImm")),
    ("espOutEncDoneGetSaFail", None),
    ("espOutEncryptionFail", Some("espEncryptionFail")),
    ("espOutEncDoneSaBadState", None),
    ("espOutEncryptionGood", Some("espEncryptionGood")),
    ("espOutHashStart", Some("espOutHashStart")),
    ("espOutHashFailImm", Some("espOutHashFailImm")),
    ("espOutHashDoneGetSaFail", None),
    ("espOutHashFail", Some("espOutHashFail")),
    ("espOutHashDoneSaBadState", None),
    ("espOutHashGood", Some("espOutHashGood")),
    ("espInBufChainCopy", Some("espInBufChainCopy")),
    ("espInIcvInvalid", Some("espIcvInvalid")),
    ("espInPaddingInvalid", Some("espPaddingInvalid")),
    ("espInReplayedPacket", Some("espReplayedPacket")),
    ("espInHashStart", Some("espInHashStart")),
    ("espInHashFailImm", Some("espInHashFailImm")),
    ("espInHashDoneGetSaFail", None),
    ("espInHashFail", Some("espInHashFail")),
    ("espInHashDoneSaBadState", None),
    ("espInHashGood", Some("espInHashGood")),
    ("espInDecryptionStart", Some("espDecryptionStart")),
    ("espInDecryptionFailImm", Some("espDecryptionFailImm")),
    ("espInEncDoneGetSaFail", None),
    ("espInDecryptionFail", Some("espDecryptionFail")),
    ("espInEncDoneSaBadState", None),
    ("espInDecryptionGood", Some("espDecryptionGood")),
];

const AH: &[Row] = &[
    ("ahOutBufChainCopy", Some("ahOutBufChainCopy")),
    ("ahOutSeqNumberCycled", Some("ahSeqNumberCycled")),
    ("ahOutFragmentSeen", Some("ahFragmentSeen")),
    ("ahOutHashStart", Some("ahOutHashStart")),
    ("ahOutHashFailImm", Some("ahOutHashFailImm")),
    ("ahOutHashDoneGetSaFail", None),
    ("ahOutHashFail", Some("ahOutHashFail")),
    ("ahOutHashDoneSaBadState", None),
    ("ahOutHashGood", Some("ahOutHashGood")),
    ("ahInBufChainCopy", Some("ahInBufChainCopy")),
    ("ahInReplayedPacket", Some("ahReplayedPacket")),
    ("ahInIcvInvalid", Some("ahIcvInvalid")),
    ("ahInBadPayloadLength", Some("ahBadPayloadLength")),
    ("ahInHashStart", Some("ahInHashStart")),
    ("ahInHashFailImm", Some("ahInHashFailImm")),
    ("ahInHashDoneGetSaFail", None),
    ("ahInHashFail", Some("ahInHashFail")),
    ("ahInHashDoneSaBadState", None),
    ("ahInHashGood", Some("ahInHashGood")),
];

impl ProtocolCounters {
    pub(crate) const fn new(protocol: SaProtocol) -> Self {
        Self { protocol, sums: [0; SaCounters::COUNT], installed: 0, removed: 0 }
    }

    /// Takes the counters of one more association.
    pub(crate) fn add(&mut self, counters: &SaCounters) {
        for (sum, (_, value)) in self.sums.iter_mut().zip(counters.iter()) {
            *sum = sum.saturating_add(value);
        }
        self.installed = self.installed.saturating_add(1);
    }

    pub(crate) const fn count_removal(&mut self) {
        self.removed = self.removed.saturating_add(1);
    }

    /// Returns the protocol.
    pub const fn protocol(&self) -> SaProtocol {
        self.protocol
    }

    /// Returns how many associations got their keys.
    pub const fn installed(&self) -> u64 {
        self.installed
    }

    /// Returns how many of them are gone.
    pub const fn removed(&self) -> u64 {
        self.removed
    }

    /// Returns each counter with the name of its table in front of its own, in the order of the tables.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let (rows, done) = match self.protocol {
            SaProtocol::Esp => (ESP, ["espSetupDone", "espRemoveDone"]),
            SaProtocol::Ah => (AH, ["ahSetupDone", "ahRemoveDone"]),
        };
        let sums = rows.iter().map(|(name, of)| (*name, of.map_or(0, |of| self.sum(of))));
        done.into_iter().zip([self.installed, self.removed]).chain(sums)
    }

    fn sum(&self, name: &str) -> u64 {
        let mut named = SaCounters::default().iter().zip(&self.sums);
        named.find(|((known, _), _)| *known == name).map_or(0, |(_, sum)| *sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn every_sum_is_of_a_counter_that_exists_and_every_name_comes_once() {
        let known: BTreeSet<_> = SaCounters::default().iter().map(|(name, _)| name).collect();
        assert_eq!(known.len(), SaCounters::COUNT);
        let mut names = BTreeSet::new();
        for (name, of) in ESP.iter().chain(AH) {
            assert!(of.is_none_or(|of| known.contains(of)), "{name}");
            assert!(names.insert(name), "{name}");
        }
        assert_eq!((ESP.len(), AH.len()), (30, 19));
    }
}
