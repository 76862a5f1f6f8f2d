use crate::table::Occupant;
use crate::{SaCounters, SaHandle, SaProtocol, SaTransform, Sad, Side};

/// The counters of every association of one protocol together, those included that are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolCounters {
    protocol: SaProtocol,
    /// By the order of [`SaCounters::all`].
    sums: [u64; SaCounters::ALL],
    after_removal: AfterRemoval,
    installed: u64,
    removed: u64,
}

/// What became of tickets whose association was gone when they were completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AfterRemoval {
    /// Tickets of packets to send.
    pub sealed: u64,
    /// Tickets of packets received.
    pub verified: u64,
    /// Those of them that came out right.
    pub decrypted: u64,
}

impl AfterRemoval {
    const NONE: Self = Self { sealed: 0, verified: 0, decrypted: 0 };

    pub(crate) fn add(&mut self, more: &Self) {
        for (sum, more) in [
            (&mut self.sealed, more.sealed),
            (&mut self.verified, more.verified),
            (&mut self.decrypted, more.decrypted),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// A name of a table, and those of what it is the sum of.
type Row = (&'static str, &'static [&'static str]);

/// What no association counts, being gone.
const SEALED: &str = "sealed after removal";
const VERIFIED: &str = "verified after removal";
const DECRYPTED: &str = "decrypted after removal";

const ESP: &[Row] = &[
    ("espOutBufChainCopy", &["espOutBufChainCopy"]),
    ("espOutSeqNumberCycled", &["seqNumberCycled"]),
    ("espOutEncryptionStart", &["espEncryptionStart"]),
    ("espOutEncryptionFailImm", &["espEncryptionFailImm"]),
    ("espOutEncDoneGetSaFail", &[SEALED]),
    ("espOutEncryptionFail", &["espEncryptionFail"]),
    ("espOutEncDoneSaBadState", &["outDoneSaBadState"]),
    ("espOutEncryptionGood", &["espEncryptionGood"]),
    ("espOutHashStart", &["espOutHashStart"]),
    ("espOutHashFailImm", &["espOutHashFailImm"]),
    ("espOutHashDoneGetSaFail", &[SEALED]),
    ("espOutHashFail", &["espOutHashFail"]),
    ("espOutHashDoneSaBadState", &["outDoneSaBadState"]),
    ("espOutHashGood", &["espOutHashGood"]),
    ("espInBufChainCopy", &["espInBufChainCopy"]),
    ("espInIcvInvalid", &["espIcvInvalid"]),
    ("espInPaddingInvalid", &["espPaddingInvalid"]),
    ("espInReplayedPacket", &["espReplayedPacket"]),
    ("espInHashStart", &["espInHashStart"]),
    ("espInHashFailImm", &["espInHashFailImm"]),
    ("espInHashDoneGetSaFail", &[VERIFIED]),
    ("espInHashFail", &["espInHashFail"]),
    ("espInHashDoneSaBadState", &["inHashDoneSaBadState"]),
    ("espInHashGood", &["espInHashGood"]),
    ("espInDecryptionStart", &["espDecryptionStart", DECRYPTED]),
    ("espInDecryptionFailImm", &["espDecryptionFailImm"]),
    ("espInEncDoneGetSaFail", &[DECRYPTED]),
    ("espInDecryptionFail", &["espDecryptionFail"]),
    ("espInEncDoneSaBadState", &["inEncDoneSaBadState"]),
    ("espInDecryptionGood", &["espDecryptionGood"]),
];

const AH: &[Row] = &[
    ("ahOutBufChainCopy", &["ahOutBufChainCopy"]),
    ("ahOutSeqNumberCycled", &["ahSeqNumberCycled"]),
    ("ahOutFragmentSeen", &["ahFragmentSeen"]),
    ("ahOutHashStart", &["ahOutHashStart"]),
    ("ahOutHashFailImm", &["ahOutHashFailImm"]),
    ("ahOutHashDoneGetSaFail", &[SEALED]),
    ("ahOutHashFail", &["ahOutHashFail"]),
    ("ahOutHashDoneSaBadState", &["outDoneSaBadState"]),
    ("ahOutHashGood", &["ahOutHashGood"]),
    ("ahInBufChainCopy", &["ahInBufChainCopy"]),
    ("ahInReplayedPacket", &["ahReplayedPacket"]),
    ("ahInIcvInvalid", &["ahIcvInvalid"]),
    ("ahInBadPayloadLength", &["ahBadPayloadLength"]),
    ("ahInHashStart", &["ahInHashStart"]),
    ("ahInHashFailImm", &["ahInHashFailImm"]),
    ("ahInHashDoneGetSaFail", &[VERIFIED]),
    ("ahInHashFail", &["ahInHashFail"]),
    ("ahInHashDoneSaBadState", &["inHashDoneSaBadState"]),
    ("ahInHashGood", &["ahInHashGood"]),
];

impl ProtocolCounters {
    pub(crate) const fn new(protocol: SaProtocol) -> Self {
        Self { protocol, sums: [0; SaCounters::ALL], after_removal: AfterRemoval::NONE, installed: 0, removed: 0 }
    }

    /// Takes the counters of one more association.
    pub(crate) fn add(&mut self, counters: &SaCounters) {
        for (sum, (_, value)) in self.sums.iter_mut().zip(counters.all()) {
            *sum = sum.saturating_add(value);
        }
        self.installed = self.installed.saturating_add(1);
    }

    /// Takes what was done after an association was gone.
    pub(crate) fn add_after_removal(&mut self, more: &AfterRemoval) {
        self.after_removal.add(more);
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
        let sums = rows.iter().map(|(name, of)| (*name, of.iter().map(|of| self.sum(of)).fold(0, u64::saturating_add)));
        done.into_iter().zip([self.installed, self.removed]).chain(sums)
    }

    fn sum(&self, name: &str) -> u64 {
        match name {
            SEALED => return self.after_removal.sealed,
            VERIFIED => return self.after_removal.verified,
            DECRYPTED => return self.after_removal.decrypted,
            _ => {}
        }
        let mut named = SaCounters::default().all().zip(&self.sums);
        named.find(|((known, _), _)| *known == name).map_or(0, |(_, sum)| *sum)
    }
}

impl Sad {
    /// Returns what all associations of a protocol did together, those included that are gone. Reads every one.
    pub fn protocol_counters(&self, protocol: SaProtocol) -> ProtocolCounters {
        let gone = self.gone.iter().find(|gone| gone.protocol() == protocol);
        let mut sum = gone.cloned().unwrap_or(ProtocolCounters::new(protocol));
        for handle in self.iter() {
            if let Some((_, counters)) = self.counters_of(handle).filter(|(known, _)| *known == protocol) {
                sum.add(&counters);
            }
        }
        for (_, more) in self.after_removal.iter().filter(|(transform, _)| transform.protocol() == protocol) {
            sum.add_after_removal(more);
        }
        sum
    }

    /// Returns what became of tickets whose association was gone when they were completed, for each transform that
    /// any had.
    pub fn after_removal(&self) -> &[(SaTransform, AfterRemoval)] {
        &self.after_removal
    }

    /// Counts a ticket whose association is gone.
    pub(crate) fn count_after_removal(&mut self, transform: SaTransform, more: &AfterRemoval) {
        match self.after_removal.iter_mut().find(|(known, _)| *known == transform) {
            Some((_, sums)) => sums.add(more),
            None => self.after_removal.push((transform, *more)),
        }
    }

    /// The protocol and counters of an association that got its keys.
    fn counters_of(&self, handle: SaHandle) -> Option<(SaProtocol, SaCounters)> {
        let protocol = self.common(handle)?.protocol;
        let counters = match (handle.side(), self.occupant(handle)) {
            (Side::Inbound, Some(Occupant::Live(live))) => SaCounters::inbound(protocol, &live.tally),
            (Side::Inbound, _) => return None,
            (Side::Outbound, _) => SaCounters::outbound(protocol, &self.outbound(handle)?.tally),
        };
        Some((protocol, counters))
    }

    /// Keeps the counters of an association that is about to go.
    pub(crate) fn bury(&mut self, handle: SaHandle) {
        let Some((protocol, counters)) = self.counters_of(handle) else { return };
        if let Some(gone) = self.gone.iter_mut().find(|gone| gone.protocol() == protocol) {
            gone.add(&counters);
            gone.count_removal();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn every_sum_is_of_a_counter_that_exists_and_every_name_comes_once() {
        let mut known: BTreeSet<_> = SaCounters::default().all().map(|(name, _)| name).collect();
        assert_eq!(known.len(), SaCounters::ALL);
        known.extend([SEALED, VERIFIED, DECRYPTED]);
        let mut names = BTreeSet::new();
        for (name, of) in ESP.iter().chain(AH) {
            assert!(!of.is_empty() && of.iter().all(|of| known.contains(of)), "{name}");
            assert!(names.insert(name), "{name}");
        }
        assert_eq!((ESP.len(), AH.len()), (30, 19));
    }
}
