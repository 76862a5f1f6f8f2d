use crate::{EngineFailure, ReplayError, SaProtocol, SealRefusal};
use alloc::boxed::Box;
use esp_ah::SealError;
use esp_ah::ah::AhError;

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

/// Packets that an association carried, either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    pub packets: u64,
    pub octets: u64,
}

impl Carried {
    pub const fn count(&mut self, octets: u64) {
        self.packets = self.packets.saturating_add(1);
        self.octets = self.octets.saturating_add(octets);
    }

    pub const fn take_back(&mut self, octets: u64) {
        self.packets = self.packets.saturating_sub(1);
        self.octets = self.octets.saturating_sub(octets);
    }
}

/// What one association did to packets it sent.
#[derive(Debug, Default)]
pub(crate) struct OutboundTally {
    pub carried: Carried,
    /// What is rare: most associations never pay for it.
    rare: Option<Box<Unsent>>,
}

impl OutboundTally {
    pub fn new(packets: u64, octets: u64) -> Self {
        Self { carried: Carried { packets, octets }, rare: None }
    }

    /// Counts a packet that is not sent, and gives the reason back.
    #[cold]
    pub fn refuse(&mut self, refusal: SealRefusal) -> SealRefusal {
        let unsent = self.unsent();
        count(if refusal == SealRefusal::SequenceExhausted {
            &mut unsent.sequence_exhausted
        } else if refusal == SealRefusal::Ah(AhError::Fragment) {
            &mut unsent.fragments
        } else if refusal == SealRefusal::KeysElsewhere {
            &mut unsent.tickets.not_taken
        } else if matches!(refusal, SealRefusal::Seal(SealError::Provider(_))) {
            &mut unsent.tickets.cipher_failed
        } else if matches!(refusal, SealRefusal::Seal(SealError::Integrity(_)) | SealRefusal::Ah(AhError::Integrity(_)))
        {
            &mut unsent.tickets.integrity_failed
        } else {
            &mut unsent.refused
        });
        refusal
    }

    pub fn unsent(&mut self) -> &mut Unsent {
        self.rare.get_or_insert_default()
    }
}

/// Packets to send that were not, or not yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unsent {
    /// Refused before any cryptography: not in a state to carry, no room, too long.
    pub refused: u64,
    /// Refused because the sequence numbers are used up.
    pub sequence_exhausted: u64,
    /// AH on a fragment.
    pub fragments: u64,
    /// Those in two steps.
    pub tickets: TicketTally,
}

/// What became of packets whose cryptography was to happen elsewhere or by a provider, but for those that passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TicketTally {
    /// Started and not completed yet, or never.
    pub under_way: u64,
    /// Not taken: an engine had no room, or the keys are elsewhere and a packet came to be done here.
    pub not_taken: u64,
    /// The cipher failed, and on the way out the integrity with it, there being nothing to cover.
    pub cipher_failed: u64,
    /// The integrity failed, which is not to say that it is wrong.
    pub integrity_failed: u64,
    /// Done for an association that had ended meanwhile.
    pub bad_state: u64,
    /// Those of them that came out right: inbound, of a cipher.
    pub bad_state_right: u64,
}

impl TicketTally {
    pub const fn begin(&mut self) {
        self.under_way = self.under_way.saturating_add(1);
    }

    pub const fn end(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    pub fn count_failure(&mut self, failure: EngineFailure) {
        count(match failure {
            EngineFailure::NotTaken => &mut self.not_taken,
            EngineFailure::Cipher => &mut self.cipher_failed,
            EngineFailure::Integrity => &mut self.integrity_failed,
        });
    }
}

/// Counts one.
pub(crate) const fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

/// What one association did to packets it received.
#[derive(Debug, Default)]
pub(crate) struct InboundTally {
    pub carried: Carried,
    pub dropped: Dropped,
    /// Those in two steps, once there is one: most associations never pay for it.
    rare: Option<Box<TicketTally>>,
}

impl InboundTally {
    pub fn new(packets: u64, octets: u64) -> Self {
        Self { carried: Carried { packets, octets }, ..Self::default() }
    }

    pub fn tickets(&mut self) -> &mut TicketTally {
        self.rare.get_or_insert_default()
    }
}

/// Packets received that were dropped here. Thirty-two bits suffice for what ends in a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Refused before any cryptography: not in a state to carry, wrong source, headers around AH that lie.
    pub refused: u32,
    /// Too short for its own fields, of a length no cipher makes, or AH of another length than its ICV makes it.
    pub malformed: u32,
    /// Seen before.
    pub replayed: u32,
    /// From before the window.
    pub too_old: u32,
    /// Those of the two that were found out after a right ICV: copies that were under way together.
    pub late: u32,
    /// The ICV is wrong.
    pub icv_invalid: u32,
    /// The padding is wrong, after a right ICV.
    pub padding_invalid: u32,
    /// Dummies of traffic flow confidentiality, which hold nothing.
    pub dummies: u32,
}

impl Dropped {
    pub const fn refuse(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    pub const fn count_replay(&mut self, error: ReplayError) {
        let counter = match error {
            ReplayError::TooOld => &mut self.too_old,
            ReplayError::Replayed | ReplayError::Zero => &mut self.replayed,
        };
        *counter = counter.saturating_add(1);
    }
}

/// The counters of one association under the names of the per-association table, those of the other
/// direction and protocol zero.
///
/// Of each step what started is what failed at once, failed and was good together, and with two steps
/// ([`Sad::submit_seal`](crate::Sad::submit_seal)) what was done for an association that had ended and what is still
/// under way. A ticket starts all its steps, but for decryption, which starts when the ICV is known to be right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaCounters {
    sent: Carried,
    unsent: Unsent,
    received: Carried,
    dropped: Dropped,
    tickets: TicketTally,
    ah: bool,
}

impl SaCounters {
    /// How many names [`iter`](Self::iter) gives.
    pub const COUNT: usize = 58;
    /// How many there are with those that only tables of a protocol have.
    pub(crate) const ALL: usize = Self::COUNT + 4;

    pub(crate) fn outbound(protocol: SaProtocol, tally: &OutboundTally) -> Self {
        let unsent = tally.rare.as_deref().copied().unwrap_or_default();
        Self { sent: tally.carried, unsent, ah: protocol == SaProtocol::Ah, ..Self::default() }
    }

    pub(crate) fn inbound(protocol: SaProtocol, tally: &InboundTally) -> Self {
        let tickets = tally.rare.as_deref().copied().unwrap_or_default();
        let ah = protocol == SaProtocol::Ah;
        Self { received: tally.carried, dropped: tally.dropped, tickets, ah, ..Self::default() }
    }

    /// Returns the packets carried.
    pub const fn packets(&self) -> u64 {
        self.sent.packets.saturating_add(self.received.packets)
    }

    /// Returns the octets carried, of the packets inside.
    pub const fn octets(&self) -> u64 {
        self.sent.octets.saturating_add(self.received.octets)
    }

    /// Returns the packets that came from before the window, apart from those seen before.
    pub const fn too_old(&self) -> u64 {
        self.dropped.too_old as u64
    }

    /// Returns the dummies received, RFC 4303 §2.6.
    pub const fn dummies(&self) -> u64 {
        self.dropped.dummies as u64
    }

    /// Returns the tickets that were not completed: packets under way elsewhere, or lost there.
    pub const fn under_way(&self) -> u64 {
        self.unsent.tickets.under_way.saturating_add(self.tickets.under_way)
    }

    /// Returns the packets that were sealed elsewhere when the association had ended, and thrown away.
    pub const fn sealed_too_late(&self) -> u64 {
        self.unsent.tickets.bad_state
    }

    /// Returns the packets that were opened elsewhere when the association had ended, and thrown away.
    pub const fn opened_too_late(&self) -> u64 {
        self.tickets.bad_state
    }

    /// Returns each counter with its name, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        self.all().take(Self::COUNT)
    }

    /// Returns those of the table, and then what only the tables of a protocol name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let Self { unsent, dropped, tickets, .. } = *self;
        let Unsent { refused, sequence_exhausted: exhausted, fragments, tickets: out } = unsent;
        let sent = self.sent.packets;
        let out_hash_failed = sum([out.cipher_failed, out.integrity_failed]);
        let encrypted = sum([sent, out.integrity_failed]);
        let sealing = sum([sent, out.not_taken, out_hash_failed, out.bad_state, out.under_way]);

        let [malformed, padding, dummies] =
            [dropped.malformed, dropped.padding_invalid, dropped.dummies].map(u64::from);
        let [replayed, too_old, late, icv] =
            [dropped.replayed, dropped.too_old, dropped.late, dropped.icv_invalid].map(u64::from);
        let received = self.received.packets;
        let decrypted = sum([received, padding, dummies]);
        let decrypting = sum([decrypted, tickets.cipher_failed, tickets.bad_state_right]);
        let in_hash_failed_at_once = sum([malformed, tickets.not_taken]);
        let in_hash_failed = sum([icv, tickets.integrity_failed]);
        let hashed = sum([decrypted, late, tickets.cipher_failed]);
        let hashing = sum([in_hash_failed_at_once, in_hash_failed, hashed, tickets.bad_state, tickets.under_way]);
        let replayed = sum([replayed, too_old]);
        let in_refused = u64::from(dropped.refused);

        let esp = |value: u64| if self.ah { 0 } else { value };
        let ah = |value: u64| if self.ah { value } else { 0 };
        [
            ("outProcessStart", sum([sealing, refused, exhausted, fragments])),
            ("outProcessFailImm", sum([refused, out.not_taken])),
            ("outProcessFail", sum([exhausted, fragments, out_hash_failed, out.bad_state])),
            ("outProcessDone", sent),
            ("espOutBufChainCopy", 0),
            ("espEncryptionStart", esp(sealing)),
            ("espEncryptionFailImm", esp(out.not_taken)),
            ("espEncryptionFail", esp(out.cipher_failed)),
            ("espEncryptionGood", esp(encrypted)),
            ("espOutHashStart", esp(sealing)),
            ("espOutHashFailImm", esp(out.not_taken)),
            ("espOutHashFail", esp(out_hash_failed)),
            ("espOutHashGood", esp(sent)),
            ("ahOutBufChainCopy", 0),
            ("ahSeqNumberCycled", ah(exhausted)),
            ("ahFragmentSeen", ah(fragments)),
            ("ahOutHashStart", ah(sealing)),
            ("ahOutHashFailImm", ah(out.not_taken)),
            ("ahOutHashFail", ah(out_hash_failed)),
            ("ahOutHashGood", ah(sent)),
            ("compOutBufChainCopy", 0),
            ("compTooSmall", 0),
            ("compFragment", 0),
            ("nonExpansionBackoff", 0),
            ("dataExpansion", 0),
            ("compressionStart", 0),
            ("compressionFailImm", 0),
            ("compressionFail", 0),
            ("compressionGood", 0),
            ("inProcessStart", sum([hashing, in_refused, replayed.saturating_sub(late)])),
            ("inProcessFailImm", sum([in_refused, tickets.not_taken])),
            (
                "inProcessFail",
                sum([malformed, replayed, in_hash_failed, padding, tickets.cipher_failed, tickets.bad_state]),
            ),
            ("inProcessDone", received),
            ("espInBufChainCopy", 0),
            ("espReplayedPacket", esp(replayed)),
            ("espInHashStart", esp(hashing)),
            ("espInHashFailImm", esp(in_hash_failed_at_once)),
            ("espInHashFail", esp(in_hash_failed)),
            ("espInHashGood", esp(hashed)),
            ("espDecryptionStart", esp(decrypting)),
            ("espDecryptionFailImm", 0),
            ("espDecryptionFail", esp(tickets.cipher_failed)),
            ("espDecryptionGood", esp(decrypted)),
            ("espIcvInvalid", esp(icv)),
            ("espPaddingInvalid", esp(padding)),
            ("ahInBufChainCopy", 0),
            ("ahReplayedPacket", ah(replayed)),
            ("ahBadPayloadLength", ah(malformed)),
            ("ahIcvInvalid", ah(icv)),
            ("ahInHashStart", ah(hashing)),
            ("ahInHashFailImm", ah(in_hash_failed_at_once)),
            ("ahInHashFail", ah(in_hash_failed)),
            ("ahInHashGood", ah(hashed)),
            ("compInBufChainCopy", 0),
            ("decompressionStart", 0),
            ("decompressionFailImm", 0),
            ("decompressionFail", 0),
            ("decompressionGood", 0),
            ("seqNumberCycled", exhausted),
            ("outDoneSaBadState", out.bad_state),
            ("inHashDoneSaBadState", tickets.bad_state),
            ("inEncDoneSaBadState", tickets.bad_state_right),
        ]
        .into_iter()
    }
}

fn sum<const N: usize>(values: [u64; N]) -> u64 {
    values.into_iter().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const TICKETS: TicketTally = TicketTally {
        under_way: 100,
        not_taken: 200,
        cipher_failed: 300,
        integrity_failed: 400,
        bad_state: 500,
        bad_state_right: 60,
    };

    fn value(counters: &SaCounters, name: &str) -> u64 {
        counters.all().find(|(known, _)| *known == name).unwrap().1
    }

    #[test]
    fn every_name_of_the_table_is_there_once_and_what_is_received_and_starts_ends_or_is_under_way() {
        let dropped = Dropped {
            refused: 1,
            malformed: 2,
            replayed: 3,
            too_old: 4,
            late: 2,
            icv_invalid: 5,
            padding_invalid: 6,
            dummies: 7,
        };
        for (protocol, prefix, other) in [(SaProtocol::Esp, "esp", "ah"), (SaProtocol::Ah, "ah", "esp")] {
            let carried = Carried { packets: 10, octets: 1000 };
            let tally = InboundTally { carried, dropped, rare: Some(Box::new(TICKETS)) };
            let counters = SaCounters::inbound(protocol, &tally);
            let value = |name: &str| value(&counters, name);
            assert_eq!((counters.iter().count(), counters.all().count()), (SaCounters::COUNT, SaCounters::ALL));
            let ends = value("inProcessFailImm") + value("inProcessFail") + value("inProcessDone");
            assert_eq!(value("inProcessStart"), ends + counters.dummies() + counters.under_way());
            assert_eq!(value(&format!("{prefix}ReplayedPacket")), 7);
            assert_eq!(value(&format!("{other}ReplayedPacket")), 0);
            let hash = |end: &str| value(&format!("{prefix}InHash{end}"));
            let ended = hash("FailImm") + hash("Fail") + hash("Good") + value("inHashDoneSaBadState");
            assert_eq!(hash("Start"), ended + counters.under_way());
            if protocol == SaProtocol::Esp {
                let ended = value("espDecryptionFail") + value("espDecryptionGood") + value("inEncDoneSaBadState");
                assert_eq!(value("espDecryptionStart"), ended);
            }
        }
    }

    #[test]
    fn what_is_to_be_sent_and_starts_ends_or_is_under_way() {
        let unsent = Unsent { refused: 1, sequence_exhausted: 2, fragments: 4, tickets: TICKETS };
        for (protocol, steps) in
            [(SaProtocol::Esp, &["espEncryption", "espOutHash"][..]), (SaProtocol::Ah, &["ahOutHash"])]
        {
            let tally = OutboundTally { carried: Carried { packets: 3, octets: 30 }, rare: Some(Box::new(unsent)) };
            let counters = SaCounters::outbound(protocol, &tally);
            let value = |name: &str| value(&counters, name);
            assert_eq!((counters.packets(), counters.octets(), value("outProcessDone")), (3, 30, 3));
            assert_eq!(value("seqNumberCycled"), 2);
            assert_eq!(value("ahSeqNumberCycled"), if protocol == SaProtocol::Ah { 2 } else { 0 });
            let ends = value("outProcessFailImm") + value("outProcessFail") + value("outProcessDone");
            assert_eq!(value("outProcessStart"), ends + counters.under_way());
            for step in steps {
                let end = |end: &str| value(&format!("{step}{end}"));
                let ended = end("FailImm") + end("Fail") + end("Good") + value("outDoneSaBadState");
                assert_eq!(end("Start"), ended + counters.under_way(), "{step}");
            }
        }
    }
}
