use crate::counters::{InboundTally, OutboundTally};
use crate::entry::{Common, Inbound, InboundKeys, Outbound, OutboundKeys};
use crate::table::Occupant;
use crate::{
    KeyDescription, ReplayWindow, SaHandle, SaParameters, SaProtocol, SaState, Sad, SadError, SequenceBits,
    SequenceCounter, Side, SourceCheck, Spi, WindowSize,
};
use drive::Instant;

/// An association without its keys, to be kept where it outlives the program.
///
/// Sequence numbers up to [`reserved`](Self::reserved) belong to the association that the snapshot was
/// taken of, those after it to the one that is restored. Neither uses the other's, however often the
/// program ends without warning: the first sends nothing beyond them until its next snapshot, and the
/// second nothing at all until its own first. Nonces are made of sequence numbers, so they come once too. A ticket
/// takes its number when it is submitted, so this holds for packets that are under way elsewhere.
///
/// Times go by the caller's epoch, which has to be the same when it is restored. With the feature `serde` it can be
/// kept as text; a text of a form that is not known is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "crate::stored::Stored", try_from = "crate::stored::Stored"))]
pub struct SaSnapshot {
    /// Which way the association carries packets.
    pub side: Side,
    /// ESP or AH.
    pub protocol: SaProtocol,
    /// Its SPI.
    pub spi: Spi,
    /// What it is.
    pub parameters: SaParameters,
    /// When it was made; its lifetime counts from here.
    pub created: Instant,
    /// When it last carried a packet.
    pub used: Option<Instant>,
    /// Packets carried.
    pub packets: u64,
    /// Octets carried.
    pub octets: u64,
    /// How wide its sequence numbers are.
    pub bits: SequenceBits,
    /// The last sequence number that the original may use, or that counts as received.
    pub reserved: u64,
    /// The replay window; none for what sends.
    pub window: Option<WindowSize>,
    /// What becomes of packets from elsewhere.
    pub source: SourceCheck,
}

impl Sad {
    /// Takes a snapshot that lets the association use `reserve` more sequence numbers.
    ///
    /// An outbound association sends no more than these, and asks for the next snapshot with
    /// [`Action::SnapshotDue`](crate::Action::SnapshotDue) when half of them are used: keep the new one, then go
    /// on. After a restore an inbound one refuses as many as if they had been received.
    ///
    /// # Errors
    /// [`SadError::Stale`] for an association that is gone, larval or dead.
    pub fn snapshot(&mut self, association: SaHandle, reserve: u64) -> Result<SaSnapshot, SadError> {
        let stale = SadError::Stale(association);
        let common = self.common(association).filter(|common| common.state.carries_traffic()).ok_or(stale)?;
        let blank = SaSnapshot {
            side: association.side(),
            protocol: common.protocol,
            spi: common.spi,
            parameters: SaParameters {
                mode: common.mode,
                path: common.path.path(),
                flow: common.flow,
                owner: common.owner,
                lifetime: common.lifetime(),
            },
            created: common.created,
            used: common.used(),
            packets: 0,
            octets: 0,
            bits: SequenceBits::Bits32,
            reserved: 0,
            window: None,
            source: SourceCheck::Any,
        };
        match association.side() {
            Side::Outbound => {
                let live = self.outbound_mut(association).ok_or(stale)?;
                let reserved = live.sequence.reserve(reserve);
                let (packets, octets) = (live.tally.carried.packets, live.tally.carried.octets);
                Ok(SaSnapshot { packets, octets, bits: live.sequence.bits(), reserved, ..blank })
            }
            Side::Inbound => {
                let live = self.inbound_mut(association).ok_or(stale)?;
                Ok(SaSnapshot {
                    packets: live.tally.carried.packets,
                    octets: live.tally.carried.octets,
                    bits: live.window.bits(),
                    reserved: live.window.top().saturating_add(reserve),
                    window: WindowSize::from_packets(live.window.packets()),
                    source: live.source,
                    ..blank
                })
            }
        }
    }

    /// Restores an association that sends. It sends nothing before its first [`snapshot`](Self::snapshot).
    ///
    /// # Errors
    /// [`SadError::Full`], [`SadError::Expired`], [`SadError::NotAPair`], [`SadError::Stale`] of the pair, and
    /// [`SadError::OtherKeys`] for a snapshot of another direction, protocol or width.
    pub fn restore_outbound(
        &mut self,
        now: Instant,
        snapshot: &SaSnapshot,
        keys: OutboundKeys,
        pair: Option<SaHandle>,
    ) -> Result<SaHandle, SadError> {
        let now = self.clock.observe(now);
        let mut common = restored(now, snapshot, Side::Outbound, keys.describe())?;
        self.check_pair(pair)?;
        common.pair = pair;
        let sequence = SequenceCounter::restored(snapshot.reserved, snapshot.bits);
        let tally = OutboundTally::new(snapshot.packets, snapshot.octets);
        let restored = self.place_outbound(Outbound { common, sequence, tally, keys: Some(keys) })?;
        if let Some(inbound) = pair.and_then(|pair| self.inbound_mut(pair)) {
            inbound.common.pair = Some(restored);
        }
        Ok(restored)
    }

    /// Restores an association that receives, under its SPI. What it may have received before is refused.
    ///
    /// # Errors
    /// [`SadError::Full`], [`SadError::Expired`], [`SadError::SpiTaken`], and [`SadError::OtherKeys`] for a
    /// snapshot of another direction, protocol or width.
    pub fn restore_inbound(
        &mut self,
        now: Instant,
        snapshot: &SaSnapshot,
        keys: InboundKeys,
    ) -> Result<SaHandle, SadError> {
        let now = self.clock.observe(now);
        let common = restored(now, snapshot, Side::Inbound, keys.describe())?;
        let size = snapshot.window.ok_or(SadError::OtherKeys)?;
        let mut inbound = Inbound::new(common, size, snapshot.source, snapshot.bits);
        inbound.window = ReplayWindow::resumed(size, snapshot.bits, snapshot.reserved);
        inbound.tally = InboundTally::new(snapshot.packets, snapshot.octets);
        self.place_foreign(inbound, keys)
    }

    /// Takes snapshots of every association that carries traffic.
    ///
    /// # Errors
    /// None of its own; one that ended meanwhile is left out.
    pub fn snapshot_all(&mut self, reserve: u64) -> alloc::vec::Vec<SaSnapshot> {
        let all: alloc::vec::Vec<_> = self.iter().filter(|handle| !self.is_larval(*handle)).collect();
        all.into_iter().filter_map(|handle| self.snapshot(handle, reserve).ok()).collect()
    }

    fn is_larval(&self, handle: SaHandle) -> bool {
        matches!(self.occupant(handle), Some(Occupant::Larval(_)))
    }
}

fn restored(now: Instant, snapshot: &SaSnapshot, side: Side, keys: KeyDescription) -> Result<Common, SadError> {
    if (snapshot.side, snapshot.protocol, snapshot.bits) != (side, keys.transform.protocol(), keys.bits) {
        return Err(SadError::OtherKeys);
    }
    let mut common = Common::new(snapshot.created, snapshot.protocol, snapshot.spi, &snapshot.parameters);
    if common.hard_at <= now {
        return Err(SadError::Expired);
    }
    if let Some(used) = snapshot.used {
        common.set_used(used);
    }
    if common.soft.reached(snapshot.packets, snapshot.octets).is_some() {
        common.state = SaState::Dying;
    }
    Ok(common)
}
