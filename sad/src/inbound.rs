use crate::counters::InboundTally;
use crate::entry::{Inbound, InboundKeys};
use crate::table::Occupant;
use crate::{
    Action, EngineFailure, FlowId, ReplayError, SaHandle, SaMode, SaProtocol, SaState, Sad, SequenceBits, Side,
    SourceCheck, Spi,
};
use arrayvec::ArrayVec;
use drive::{Instant, Path};
use esp_ah::ah::AhError;
use esp_ah::{OpenError, OpenJob, Packet, open_batch_if};
use thiserror::Error;

/// Packets that are worked on together; a longer batch is worked on in lots of so many.
pub(crate) const LOT: usize = 64;

/// One value for each packet of a lot, on the stack: a batch of one pays for one.
pub(crate) type Lot<T> = ArrayVec<T, LOT>;

/// The next header of a dummy packet, RFC 4303 §2.6.
const NO_NEXT_HEADER: u8 = 59;

/// Why a received packet was dropped. To the sender each looks the same: silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DropReason {
    /// The batch was not opened yet.
    #[error("the packet was not opened yet")]
    NotRun,
    /// Too short for an SPI and a sequence number.
    #[error("shorter than an SPI and a sequence number")]
    TooShort,
    /// The SPI is 0, which means IKE on port 4500, or one of the 255 that are reserved.
    #[error("SPI {0} is reserved")]
    ReservedSpi(u32),
    /// No association has this SPI, destination and protocol.
    #[error("no association with SPI 0x{0:08X}")]
    UnknownSpi(u32),
    /// The association has no keys yet, or is past a hard limit.
    #[error("the association is {0}")]
    NotCarrying(SaState),
    /// The packet came from another address than the association's peer.
    #[error("not from the association's peer")]
    WrongSource,
    /// The sequence number was seen before, or cannot be told from one that was.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The association stands within others of a bundle, and the packet did not come through them.
    #[error("not first through the outer associations of the bundle")]
    NotFirstInBundle,
    /// The association is not the next of the bundle that the packet came through.
    #[error("not the next association of the bundle")]
    NotNextInBundle,
    /// The ICV, the lengths or the padding are wrong.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The ICV, the length or what is around the Authentication Header are wrong.
    #[error(transparent)]
    Ah(#[from] AhError),
    /// The keys of the association are not here: [`submit_open`](Sad::submit_open) it.
    #[error("the keys of the association are elsewhere")]
    KeysElsewhere,
    /// It was to be opened elsewhere, and could not be.
    #[error(transparent)]
    Engine(#[from] EngineFailure),
    /// Its association went while it was opened elsewhere.
    #[error("the association is gone")]
    Gone,
    /// It was authentic and held nothing, on purpose.
    #[error("a dummy packet")]
    Dummy,
}

/// What a packet turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The association it came through.
    pub association: SaHandle,
    /// Whose traffic the association carries.
    pub flow: FlowId,
    /// How the packet was put in.
    pub mode: SaMode,
    /// What the payload is: 4 or 41 in tunnel mode, the protocol in transport mode.
    pub next_header: u8,
    /// Its whole sequence number.
    pub sequence: u64,
    /// Whether no later packet came before it: only then may its source move the peer, RFC 3948 §3.
    pub newest: bool,
}

/// One received packet, which starts with the SPI.
#[derive(Debug)]
pub struct Incoming<'b> {
    /// Where it arrived and whom it came from.
    pub path: Path,
    /// The ESP packet, and afterwards its payload.
    pub packet: Packet<'b>,
    /// The association the packet came through before, in a bundle.
    pub through: Option<SaHandle>,
    outcome: Result<Opened, DropReason>,
}

impl<'b> Incoming<'b> {
    /// Returns a packet to open.
    pub const fn new(path: Path, packet: Packet<'b>) -> Self {
        Self { path, packet, through: None, outcome: Err(DropReason::NotRun) }
    }

    /// Returns the packet with the association it came through before, in a bundle.
    #[must_use]
    pub const fn with_through(mut self, association: SaHandle) -> Self {
        self.through = Some(association);
        self
    }

    /// Returns what the packet turned out to be.
    ///
    /// # Errors
    /// Why it was dropped.
    pub const fn outcome(&self) -> Result<Opened, DropReason> {
        self.outcome
    }

    /// The SPI and the lower half of the sequence number that the packet shows, if it is long enough.
    pub(crate) fn shown(&self) -> Option<(u32, u32)> {
        let &[a, b, c, d, e, f, g, h] = self.packet.octets().first_chunk()?;
        Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])))
    }
}

/// What the first pass found out about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub slot: u32,
    pub generation: u32,
    pub sequence: u64,
    /// Whether the upper half of its number is in doubt.
    pub doubtful: bool,
}

impl Found {
    pub fn handle(self) -> SaHandle {
        SaHandle::new(Side::Inbound, self.slot, self.generation)
    }

    /// Returns the same with the next upper half of its number, if that is in doubt: more than 2^32 packets may have
    /// been lost, RFC 4303 appendix A3.
    pub(crate) fn resynchronised(self) -> Option<Self> {
        let sequence = self.sequence.checked_add(1 << 32).filter(|_| self.doubtful)?;
        Some(Self { sequence, ..self })
    }
}

impl Sad {
    /// How many wrong ICVs in a row make the upper half of extended numbers doubtful: from that one on each
    /// packet that fails is tried once more, RFC 4303 appendix A3.
    pub const RESYNCHRONISE_AFTER: u32 = 64;

    /// Opens packets in place, in this order: association, replay check, ICV, replay update, decryption, padding.
    ///
    /// Nothing changes for a packet whose ICV is wrong but a counter. Nothing is allocated or copied. Each
    /// packet knows what became of it, and none holds up the others.
    pub fn open_batch(&mut self, now: Instant, packets: &mut [Incoming<'_>]) {
        let now = self.clock.observe(now);
        for lot in packets.chunks_mut(LOT) {
            self.open_lot(now, lot);
        }
    }

    /// Opens one packet; a batch of one.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn open(&mut self, now: Instant, packet: &mut Incoming<'_>) -> Result<Opened, DropReason> {
        self.open_batch(now, core::slice::from_mut(packet));
        packet.outcome
    }

    // Lots are filled where they stand and read by reference: moved, each would be copied with all its room.
    fn open_lot(&mut self, now: Instant, lot: &mut [Incoming<'_>]) {
        let mut handles = Lot::new();
        self.find_lot(lot, &mut handles);
        let mut found: Lot<Option<Found>> = Lot::new();
        for (item, handle) in lot.iter_mut().zip(&handles) {
            let admitted = self.admit_esp(now, item, *handle);
            if let Err(reason) = admitted {
                item.outcome = Err(reason);
            }
            found.push(admitted.ok());
        }

        self.run_inbound(now, lot, &found);
        for (item, found) in lot.iter_mut().zip(&found) {
            let Some(found) = found else { continue };
            if item.outcome == Err(DropReason::Open(OpenError::Icv)) {
                self.resynchronise(now, item, *found);
            }
        }
    }

    /// Looks up the associations of a lot before anything else is done, so that the loads do not wait for each other.
    fn find_lot(&self, lot: &[Incoming<'_>], handles: &mut Lot<Option<SaHandle>>) {
        let arrivals_of = |item: &Incoming<'_>| self.arrivals(item.path.local.ip(), SaProtocol::Esp);
        let Some(mut arrivals) = lot.first().map(arrivals_of) else { return };
        handles.extend(lot.iter().map(|item| {
            if arrivals.destination() != item.path.local.ip() {
                arrivals = arrivals_of(item);
            }
            arrivals.find(item.shown()?.0)
        }));
    }

    /// Verifies, updates windows, decrypts and accounts.
    fn run_inbound(&mut self, now: Instant, lot: &mut [Incoming<'_>], found: &[Option<Found>]) {
        let mut outcomes = Lot::new();
        let mut verdicts: Lot<Option<Result<bool, ReplayError>>> = Lot::new();
        verdicts.extend(lot.iter().map(|_| None));
        {
            let (keys, occupants) = (&self.keys, &mut self.occupants);
            let mut jobs: Lot<Option<OpenJob<'_, '_>>> = Lot::new();
            jobs.extend(lot.iter_mut().zip(found).map(|(item, found)| {
                let at = found.as_ref()?;
                match keys.get(at.slot as usize)?.as_deref()? {
                    InboundKeys::Esp(key) => {
                        let job = OpenJob::new(key, item.packet.reborrow(), at.sequence);
                        Some(job.kept_if_refused(at.doubtful))
                    }
                    // The look-up asked for ESP.
                    InboundKeys::Ah(_) | InboundKeys::Elsewhere(_) => None,
                }
            }));
            open_batch_if(&mut jobs, |index| {
                let (Some(Some(found)), Some(verdict)) = (found.get(index), verdicts.get_mut(index)) else {
                    return false;
                };
                let Some(live) = live(occupants, found.slot) else { return false };
                live.icv_failures_in_row = 0;
                let accepted = live.window.accept(found.sequence);
                *verdict = Some(accepted);
                accepted.is_ok()
            });
            outcomes.extend(jobs.iter().map(|job| job.as_ref().map(|job| (job.outcome(), job.packet().range()))));
        }

        let outcomes = outcomes.iter().zip(&verdicts);
        for ((item, found), (outcome, verdict)) in lot.iter_mut().zip(found).zip(outcomes) {
            let Some(found) = found else { continue };
            let Some((outcome, range)) = outcome else {
                // What was admitted without a job has no keys here.
                item.outcome = self.account_inbound(now, *found, Err(DropReason::KeysElsewhere), 0);
                continue;
            };
            let opened = match (*outcome, *verdict) {
                (_, Some(Err(replayed))) => Err(replayed.into()),
                (Ok(next_header), Some(Ok(newest))) => Ok((next_header, newest)),
                (Ok(_), None) => Err(OpenError::NotRun.into()),
                (Err(error), _) => Err(DropReason::Open(error)),
            };
            item.outcome = self.account_inbound(now, *found, opened, range.len() as u64);
            if item.outcome.is_ok() {
                // The range came out of this very buffer.
                let _ = item.packet.set_range(range.clone());
            }
        }
    }

    /// Reads SPI and sequence number, and admits the packet.
    pub(crate) fn admit_esp(
        &mut self,
        now: Instant,
        item: &Incoming<'_>,
        handle: Option<SaHandle>,
    ) -> Result<Found, DropReason> {
        let Some(shown) = item.shown() else {
            self.counters.too_short = self.counters.too_short.saturating_add(1);
            return Err(DropReason::TooShort);
        };
        self.admit_inbound(now, handle, shown, &item.path, item.through)
    }

    /// Admits a packet that shows this SPI and lower half of a sequence number to the association that was found:
    /// checks what can be checked before the ICV.
    pub(crate) fn admit_inbound(
        &mut self,
        now: Instant,
        handle: Option<SaHandle>,
        (spi, low): (u32, u32),
        path: &Path,
        through: Option<SaHandle>,
    ) -> Result<Found, DropReason> {
        if Spi::new(spi).is_none() {
            self.counters.reserved_spi = self.counters.reserved_spi.saturating_add(1);
            return Err(DropReason::ReservedSpi(spi));
        }
        let Some(handle) = handle else {
            self.counters.find_failed = self.counters.find_failed.saturating_add(1);
            return Err(DropReason::UnknownSpi(spi));
        };
        self.counters.find_good = self.counters.find_good.saturating_add(1);
        let Some(live) = live(&mut self.occupants, handle.slot()) else {
            return Err(DropReason::NotCarrying(SaState::Larval));
        };
        let tally = &mut live.tally;
        if let Some(state) = live.common.not_carrying(now, tally.carried) {
            tally.dropped.refuse();
            return Err(DropReason::NotCarrying(state));
        }
        if live.source == SourceCheck::Peer && live.common.path.peer() != path.remote.ip() {
            tally.dropped.refuse();
            return Err(DropReason::WrongSource);
        }
        if live.common.outer != through {
            tally.dropped.refuse();
            return Err(match through {
                None => DropReason::NotFirstInBundle,
                Some(_) => DropReason::NotNextInBundle,
            });
        }
        let checked = match live.window.extend(low) {
            Some(number) => live.window.check(number).map(|()| number),
            None => Err(ReplayError::TooOld),
        };
        match checked {
            Ok(sequence) => {
                let in_row = live.icv_failures_in_row.saturating_add(1);
                let doubtful = live.window.bits() == SequenceBits::Bits64 && in_row >= Self::RESYNCHRONISE_AFTER;
                Ok(Found { slot: handle.slot(), generation: handle.generation(), sequence, doubtful })
            }
            Err(error) => {
                tally.dropped.count_replay(error);
                Err(error.into())
            }
        }
    }

    /// Tries the next upper half of an extended sequence number once, after many packets in a row failed.
    fn resynchronise(&mut self, now: Instant, item: &mut Incoming<'_>, first: Found) {
        let Some(next) = first.resynchronised() else { return };
        // The packet is counted once, by what the second try finds.
        if let Some(live) = live(&mut self.occupants, first.slot) {
            live.tally.dropped.icv_invalid = live.tally.dropped.icv_invalid.saturating_sub(1);
            live.icv_failures_in_row = live.icv_failures_in_row.saturating_sub(1);
        }
        self.run_inbound(now, core::slice::from_mut(item), &[Some(next)]);
    }

    /// Counts what became of a packet, and acts on limits that were reached.
    pub(crate) fn account_inbound(
        &mut self,
        now: Instant,
        found: Found,
        opened: Result<(u8, bool), DropReason>,
        octets: u64,
    ) -> Result<Opened, DropReason> {
        let handle = found.handle();
        let Some(live) = live(&mut self.occupants, found.slot) else { return Err(DropReason::NotRun) };
        let tally = &mut live.tally;
        if !live.common.state.carries_traffic() {
            // A packet before it in its batch reached the hard limit.
            tally.dropped.refused = tally.dropped.refused.saturating_add(1);
            return Err(DropReason::NotCarrying(live.common.state));
        }
        let (next_header, newest) = match opened {
            Ok(opened) => opened,
            Err(reason) => {
                if is_wrong_icv(reason) {
                    live.icv_failures_in_row = live.icv_failures_in_row.saturating_add(1);
                }
                count_drop(tally, reason);
                return Err(reason);
            }
        };
        if live.common.used().is_none() {
            let (flow, owner) = (live.common.flow, live.common.owner);
            self.actions.push_back(Action::FirstUse { association: handle, flow, owner });
        }
        live.common.set_used(now);
        if next_header == NO_NEXT_HEADER {
            tally.dropped.dummies = tally.dropped.dummies.saturating_add(1);
            return Err(DropReason::Dummy);
        }
        tally.carried.count(octets);
        let opened = Opened {
            association: handle,
            flow: live.common.flow,
            mode: live.common.mode,
            next_header,
            sequence: found.sequence,
            newest,
        };
        if let Some((hardness, kind)) = live.common.limit_reached(tally.carried) {
            self.reach(handle, hardness, kind);
        }
        Ok(opened)
    }
}

/// The live association of a slot that was just found.
pub(crate) fn live(occupants: &mut [Option<Occupant>], slot: u32) -> Option<&mut Inbound> {
    match occupants.get_mut(slot as usize)?.as_mut()? {
        Occupant::Live(inbound) => Some(inbound),
        Occupant::Larval(_) => None,
    }
}

fn is_wrong_icv(reason: DropReason) -> bool {
    matches!(reason, DropReason::Open(OpenError::Icv) | DropReason::Ah(AhError::Icv))
}

fn count_drop(tally: &mut InboundTally, reason: DropReason) {
    let dropped = &mut tally.dropped;
    let counter = if let DropReason::Replay(error) = reason {
        // Those before the ICV were counted before this.
        dropped.late = dropped.late.saturating_add(1);
        return dropped.count_replay(error);
    } else if reason == DropReason::KeysElsewhere {
        return tally.tickets().count_failure(EngineFailure::NotTaken);
    } else if let DropReason::Engine(failure) = reason {
        return tally.tickets().count_failure(failure);
    } else if matches!(reason, DropReason::Open(OpenError::Provider(_))) {
        return tally.tickets().count_failure(EngineFailure::Cipher);
    } else if matches!(reason, DropReason::Open(OpenError::Integrity(_)) | DropReason::Ah(AhError::Integrity(_))) {
        return tally.tickets().count_failure(EngineFailure::Integrity);
    } else if is_wrong_icv(reason) {
        &mut dropped.icv_invalid
    } else if matches!(reason, DropReason::Open(OpenError::PadLength | OpenError::PadOctets)) {
        &mut dropped.padding_invalid
    } else if matches!(reason, DropReason::Ah(error) if error != AhError::PayloadLen) {
        &mut dropped.refused
    } else {
        &mut dropped.malformed
    };
    *counter = counter.saturating_add(1);
}
