use crate::entry::{Hardness, OutboundKeys};
use crate::inbound::{LOT, Lot};
use crate::sequence::max_sequence;
use crate::{Action, EngineFailure, LimitKind, SaHandle, SaProtocol, SaState, Sad, SealFailure, SequenceExhausted};
use drive::Instant;
use esp_ah::ah::AhError;
use esp_ah::{Packet, SealError, SealJob, SequenceBits, seal_batch};
use thiserror::Error;

/// Why a packet was not sealed. It is unchanged, and counted with its association.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealRefusal {
    /// The batch was not sealed yet.
    #[error("the packet was not sealed yet")]
    NotRun,
    /// The handle is stale, or of the other direction.
    #[error("the association is gone")]
    Stale,
    /// The association is past a hard limit.
    #[error("the association is {0}")]
    NotCarrying(SaState),
    /// The sequence numbers are used up; the association is dead.
    #[error("the sequence numbers are used up")]
    SequenceExhausted,
    /// The sequence numbers of the last snapshot are used up: take the next one.
    #[error("the next snapshot is due")]
    SnapshotDue,
    /// The association is not of the protocol asked for.
    #[error("the association is of another protocol")]
    OtherProtocol,
    /// Its keys are not here: [`submit_seal`](Sad::submit_seal) it.
    #[error("the keys of the association are elsewhere")]
    KeysElsewhere,
    /// It was to be sealed elsewhere, and could not be.
    #[error(transparent)]
    Engine(#[from] EngineFailure),
    /// No room, or too long.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// AH cannot be put into this packet.
    #[error(transparent)]
    Ah(#[from] AhError),
}

impl From<SealFailure> for SealRefusal {
    fn from(failure: SealFailure) -> Self {
        match failure {
            SealFailure::Seal(error) => Self::Seal(error),
            SealFailure::Ah(error) => Self::Ah(error),
            SealFailure::Engine(failure) => Self::Engine(failure),
        }
    }
}

/// One packet to send through an association.
#[derive(Debug)]
pub struct Outgoing<'b> {
    /// The association to send it with.
    pub association: SaHandle,
    /// The payload, and afterwards the ESP packet, in a buffer with room around it.
    pub packet: Packet<'b>,
    /// What the payload is: 4 or 41 in tunnel mode, the protocol in transport mode, 59 for a dummy.
    pub next_header: u8,
    /// Octets of filler after the payload, to hide its length. Lawful only if the payload says its own.
    pub filler: usize,
    outcome: Result<u64, SealRefusal>,
}

impl<'b> Outgoing<'b> {
    /// Returns a packet without filler.
    pub const fn new(association: SaHandle, packet: Packet<'b>, next_header: u8) -> Self {
        Self { association, packet, next_header, filler: 0, outcome: Err(SealRefusal::NotRun) }
    }

    /// Returns the packet with `octets` of filler.
    #[must_use]
    pub const fn with_filler(mut self, octets: usize) -> Self {
        self.filler = octets;
        self
    }

    /// Returns the sequence number that the packet was sealed with.
    ///
    /// # Errors
    /// Why it was not.
    pub const fn outcome(&self) -> Result<u64, SealRefusal> {
        self.outcome
    }
}

/// Where a packet that is admitted will be sealed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    Here,
    Elsewhere,
}

impl Sad {
    /// Seals packets in place: association, lifetime, sequence number, IV, padding, encryption, ICV.
    ///
    /// Packets of one association keep their order; those of a batch are encrypted side by side. Nothing
    /// is allocated or copied. Each packet knows what became of it, and none holds up the others.
    pub fn seal_batch(&mut self, now: Instant, packets: &mut [Outgoing<'_>]) {
        let now = self.clock.observe(now);
        for lot in packets.chunks_mut(LOT) {
            self.seal_lot(now, lot);
        }
    }

    /// Seals one packet; a batch of one.
    ///
    /// # Errors
    /// Why it was not sealed.
    pub fn seal(&mut self, now: Instant, packet: &mut Outgoing<'_>) -> Result<u64, SealRefusal> {
        self.seal_batch(now, core::slice::from_mut(packet));
        packet.outcome
    }

    fn seal_lot(&mut self, now: Instant, lot: &mut [Outgoing<'_>]) {
        for item in lot.iter_mut() {
            // What will have become of it if nothing goes wrong.
            item.outcome = self.admit(now, item.association, SaProtocol::Esp, item.packet.len() as u64, Where::Here);
        }
        let stale = lot.iter().filter(|item| item.outcome == Err(SealRefusal::Stale)).count();
        self.count_looked_up(lot.len() as u64, stale as u64);

        let mut outcomes = Lot::new();
        {
            let mut jobs: Lot<Option<SealJob<'_, '_>>> = Lot::new();
            jobs.extend(lot.iter_mut().map(|item| {
                let sequence = item.outcome.ok()?;
                let found = self.outbound(item.association)?;
                match found.keys.as_ref()? {
                    OutboundKeys::Esp(key) => {
                        let spi = found.common.spi.get();
                        let job = SealJob::new(key, item.packet.reborrow(), spi, sequence, item.next_header);
                        Some(job.with_filler(item.filler))
                    }
                    // An association of ESP was admitted, with its keys here.
                    OutboundKeys::Ah(_) | OutboundKeys::Elsewhere(_) => None,
                }
            }));
            seal_batch(&mut jobs);
            outcomes.extend(jobs.iter().map(|job| job.as_ref().map(|job| (job.outcome(), job.packet().range()))));
        }

        for (item, outcome) in lot.iter_mut().zip(&outcomes) {
            let Ok(sequence) = item.outcome else { continue };
            // What failed is as long as it was.
            let octets = item.packet.len() as u64;
            match outcome {
                Some((Ok(()), range)) => {
                    // The range came out of this very buffer.
                    let _ = item.packet.set_range(range.clone());
                }
                Some((Err(error), _)) => item.outcome = Err((*error).into()),
                None => item.outcome = Err(SealRefusal::NotRun),
            }
            self.account(now, item.association, sequence, octets, item.outcome.err());
        }
        // Not before those are sealed that got the last numbers.
        for item in lot.iter().filter(|item| item.outcome == Err(SealRefusal::SequenceExhausted)) {
            self.exhausted(item.association);
        }
    }

    /// Counts how many packets found their association, those that were asked for less those that did not.
    pub(crate) const fn count_looked_up(&mut self, asked: u64, stale: u64) {
        let counters = &mut self.counters;
        counters.get_failed = counters.get_failed.saturating_add(stale);
        counters.get_good = counters.get_good.saturating_add(asked.saturating_sub(stale));
    }

    /// Ends an association whose sequence numbers are used up.
    pub(crate) fn exhausted(&mut self, association: SaHandle) {
        self.reach(association, Hardness::Hard, LimitKind::Sequence);
    }

    /// Checks the association, takes a sequence number and returns it; counts the packet as carried if it is sealed here.
    ///
    /// Where this says [`SealRefusal::SequenceExhausted`] the caller calls [`exhausted`](Self::exhausted).
    #[inline]
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        association: SaHandle,
        protocol: SaProtocol,
        octets: u64,
        place: Where,
    ) -> Result<u64, SealRefusal> {
        let found = self.outbound_mut(association).ok_or(SealRefusal::Stale)?;
        if found.common.protocol != protocol {
            return Err(SealRefusal::OtherProtocol);
        }
        let tally = &mut found.tally;
        if let Some(state) = found.common.not_carrying(now, tally.carried) {
            return Err(tally.refuse(SealRefusal::NotCarrying(state)));
        }
        if place == Where::Here && matches!(found.keys, Some(OutboundKeys::Elsewhere(_))) {
            return Err(tally.refuse(SealRefusal::KeysElsewhere));
        }
        let sequence = match found.sequence.take() {
            Ok(sequence) => sequence,
            Err(SequenceExhausted::Reserve) => return Err(tally.refuse(SealRefusal::SnapshotDue)),
            Err(SequenceExhausted::End) => return Err(tally.refuse(SealRefusal::SequenceExhausted)),
        };
        match place {
            Where::Here => tally.carried.count(octets),
            Where::Elsewhere => tally.unsent().tickets.begin(),
        }
        if found.sequence.is_due(sequence) {
            self.actions.push_back(Action::SnapshotDue { association });
        }
        Ok(sequence)
    }

    /// Takes a failed packet of so many octets back out of the count, and acts on limits that were reached.
    pub(crate) fn account(
        &mut self,
        now: Instant,
        association: SaHandle,
        sequence: u64,
        octets: u64,
        refusal: Option<SealRefusal>,
    ) {
        let Some(found) = self.outbound_mut(association) else { return };
        let tally = &mut found.tally;
        if let Some(refusal) = refusal {
            tally.carried.take_back(octets);
            tally.refuse(refusal);
            return;
        }
        found.common.set_used(now);
        let limit = found.common.limit_reached(tally.carried);
        let nearly_used_up = found.common.state == SaState::Mature && sequence >= soft_sequence(found.sequence.bits());
        if let Some((hardness, kind)) = limit {
            self.reach(association, hardness, kind);
        } else if nearly_used_up {
            self.reach(association, Hardness::Soft, LimitKind::Sequence);
        }
    }
}

/// Where a successor is asked for because sequence numbers run out: at seven eighths.
const fn soft_sequence(bits: SequenceBits) -> u64 {
    max_sequence(bits) - max_sequence(bits) / 8
}
