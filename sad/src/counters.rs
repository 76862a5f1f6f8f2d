use crate::SaProtocol;

drive::counters! {
    /// What was asked of the database as a whole.
    pub struct DatabaseCounters {
        /// An association was found by SPI, destination and protocol.
        find_good => "findSaGood",
        /// None was found.
        find_failed => "findSaFailed",
        /// A packet to send found its association by the handle.
        get_good => "getSaGood",
        /// The handle of a packet to send was stale.
        get_failed => "getSaFailed",
        /// An association was added.
        add_good => "addSaGood",
        /// An association was refused.
        add_failed => "addSaFailed",
        /// An association was deleted.
        delete_good => "deleteSaGood",
        /// There was no such association to delete.
        delete_failed => "deleteSaFailed",
        /// An SPI between 1 and 255, or 0, arrived.
        reserved_spi => "reservedSpi",
        /// A packet was too short to hold an SPI and a sequence number.
        too_short => "packetTooShort",
        /// A fragment arrived where whole packets with AH are expected, RFC 4302 §3.4.1.
        ah_fragment => "ahFragmentReceived",
        /// A packet arrived as one with AH and has none, or its headers lie.
        ah_malformed => "ahMalformed",
        /// A larval association ran out of time.
        larval_expired => "larvalExpired",
    }
}

/// What one association did to packets it sent. Thirty-two bits suffice for what ends in a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutboundTally {
    pub packets: u64,
    pub octets: u64,
    /// Refused before any cryptography: not in a state to carry, no room, too long.
    pub refused: u32,
    /// Refused because the sequence numbers are used up.
    pub sequence_exhausted: u32,
    /// AH on a fragment.
    pub fragments: u32,
}

/// What one association did to packets it received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InboundTally {
    pub packets: u64,
    pub octets: u64,
    /// Refused before any cryptography: not in a state to carry, wrong source, headers around AH that lie.
    pub refused: u32,
    /// Too short for its own fields, of a length no cipher makes, or AH of another length than its ICV makes it.
    pub malformed: u32,
    /// Seen before.
    pub replayed: u32,
    /// From before the window.
    pub too_old: u32,
    /// The ICV is wrong.
    pub icv_invalid: u32,
    /// The padding is wrong, after a right ICV.
    pub padding_invalid: u32,
    /// Dummies of traffic flow confidentiality, which hold nothing.
    pub dummies: u32,
}

/// The counters of one association under the names of the per-association table, those of the other
/// direction and protocol zero.
///
/// Cryptography here starts and ends within one call, so what a router counts at the start and at
/// the good end of a step differs only by the failures of that step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaCounters {
    out: OutboundTally,
    into: InboundTally,
    ah: bool,
}

impl SaCounters {
    /// How many names [`iter`](Self::iter) gives.
    pub const COUNT: usize = 58;

    pub(crate) fn outbound(protocol: SaProtocol, out: OutboundTally) -> Self {
        Self { out, into: InboundTally::default(), ah: protocol == SaProtocol::Ah }
    }

    pub(crate) fn inbound(protocol: SaProtocol, into: InboundTally) -> Self {
        Self { out: OutboundTally::default(), into, ah: protocol == SaProtocol::Ah }
    }

    /// Returns the packets carried.
    pub const fn packets(&self) -> u64 {
        self.out.packets.saturating_add(self.into.packets)
    }

    /// Returns the octets carried, of the packets inside.
    pub const fn octets(&self) -> u64 {
        self.out.octets.saturating_add(self.into.octets)
    }

    /// Returns the packets that came from before the window, apart from those seen before.
    pub const fn too_old(&self) -> u64 {
        self.into.too_old as u64
    }

    /// Returns the dummies received, RFC 4303 §2.6.
    pub const fn dummies(&self) -> u64 {
        self.into.dummies as u64
    }

    /// Returns each counter with its name, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let (out, into) = (self.out, self.into);
        let [refused, exhausted, fragments] = [out.refused, out.sequence_exhausted, out.fragments].map(u64::from);
        let out_failed = refused + exhausted + fragments;
        let out_started = out.packets.saturating_add(out_failed);
        let [in_refused, malformed] = [into.refused, into.malformed].map(u64::from);
        let [replayed, icv, padding] =
            [u64::from(into.replayed) + u64::from(into.too_old), into.icv_invalid.into(), into.padding_invalid.into()];
        let dummies = u64::from(into.dummies);
        let decrypted = into.packets.saturating_add(padding).saturating_add(dummies);
        let hashed = decrypted.saturating_add(icv);
        let in_started = hashed.saturating_add(in_refused + malformed + replayed);
        let esp = |value: u64| if self.ah { 0 } else { value };
        let ah = |value: u64| if self.ah { value } else { 0 };
        [
            ("outProcessStart", out_started),
            ("outProcessFailImm", refused),
            ("outProcessFail", exhausted + fragments),
            ("outProcessDone", out.packets),
            ("espOutBufChainCopy", 0),
            ("espEncryptionStart", esp(out.packets)),
            ("espEncryptionFailImm", 0),
            ("espEncryptionFail", 0),
            ("espEncryptionGood", esp(out.packets)),
            ("espOutHashStart", esp(out.packets)),
            ("espOutHashFailImm", 0),
            ("espOutHashFail", 0),
            ("espOutHashGood", esp(out.packets)),
            ("ahOutBufChainCopy", 0),
            ("ahSeqNumberCycled", ah(exhausted)),
            ("ahFragmentSeen", ah(fragments)),
            ("ahOutHashStart", ah(out.packets)),
            ("ahOutHashFailImm", 0),
            ("ahOutHashFail", 0),
            ("ahOutHashGood", ah(out.packets)),
            ("compOutBufChainCopy", 0),
            ("compTooSmall", 0),
            ("compFragment", 0),
            ("nonExpansionBackoff", 0),
            ("dataExpansion", 0),
            ("compressionStart", 0),
            ("compressionFailImm", 0),
            ("compressionFail", 0),
            ("compressionGood", 0),
            ("inProcessStart", in_started),
            ("inProcessFailImm", in_refused),
            ("inProcessFail", malformed + replayed + icv + padding),
            ("inProcessDone", into.packets),
            ("espInBufChainCopy", 0),
            ("espReplayedPacket", esp(replayed)),
            ("espInHashStart", esp(hashed)),
            ("espInHashFailImm", esp(malformed)),
            ("espInHashFail", esp(icv)),
            ("espInHashGood", esp(decrypted)),
            ("espDecryptionStart", esp(decrypted)),
            ("espDecryptionFailImm", 0),
            ("espDecryptionFail", 0),
            ("espDecryptionGood", esp(decrypted)),
            ("espIcvInvalid", esp(icv)),
            ("espPaddingInvalid", esp(padding)),
            ("ahInBufChainCopy", 0),
            ("ahReplayedPacket", ah(replayed)),
            ("ahBadPayloadLength", ah(malformed)),
            ("ahIcvInvalid", ah(icv)),
            ("ahInHashStart", ah(hashed)),
            ("ahInHashFailImm", 0),
            ("ahInHashFail", ah(icv)),
            ("ahInHashGood", ah(decrypted)),
            ("compInBufChainCopy", 0),
            ("decompressionStart", 0),
            ("decompressionFailImm", 0),
            ("decompressionFail", 0),
            ("decompressionGood", 0),
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_table_is_there_once_and_what_starts_ends() {
        let into = InboundTally {
            packets: 10,
            octets: 1000,
            refused: 1,
            malformed: 2,
            replayed: 3,
            too_old: 4,
            icv_invalid: 5,
            padding_invalid: 6,
            dummies: 7,
        };
        for protocol in [SaProtocol::Esp, SaProtocol::Ah] {
            let counters = SaCounters::inbound(protocol, into);
            let value = |name| counters.iter().find(|(known, _)| *known == name).unwrap().1;
            assert_eq!(counters.iter().count(), SaCounters::COUNT);
            let ends = value("inProcessFailImm") + value("inProcessFail") + value("inProcessDone");
            assert_eq!(value("inProcessStart"), ends + counters.dummies());
            let prefix = if protocol == SaProtocol::Esp { "esp" } else { "ah" };
            assert_eq!(value(if prefix == "esp" { "espReplayedPacket" } else { "ahReplayedPacket" }), 7);
            assert_eq!(value(if prefix == "esp" { "ahReplayedPacket" } else { "espReplayedPacket" }), 0);
        }
        let out = OutboundTally { packets: 3, octets: 30, refused: 1, sequence_exhausted: 2, fragments: 4 };
        let counters = SaCounters::outbound(SaProtocol::Ah, out);
        let value = |name| counters.iter().find(|(known, _)| *known == name).unwrap().1;
        assert_eq!((value("outProcessStart"), value("outProcessDone"), value("ahSeqNumberCycled")), (10, 3, 2));
        assert_eq!((counters.packets(), counters.octets()), (3, 30));
    }
}
