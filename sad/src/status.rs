use crate::entry::Common;
use crate::table::Occupant;
use crate::{
    FlowId, InboundKeys, KeyDescription, Lifetime, OutboundKeys, OwnerId, ReplayWindow, SaCounters, SaHandle, SaMode,
    SaProtocol, SaState, SaTransform, Sad, SequenceBits, SequenceCounter, Side, Spi,
};
use alloc::boxed::Box;
use core::time::Duration;
use drive::{Instant, Path};
use esp_ah::{IntegrityAlgorithm, ProviderId, Suite};

/// One association as it is now: a copy, to be shown.
#[derive(Clone, Debug)]
pub struct SaStatus {
    /// The association.
    pub association: SaHandle,
    /// ESP or AH.
    pub protocol: SaProtocol,
    /// Where it is in its life.
    pub state: SaState,
    /// Its SPI.
    pub spi: Spi,
    /// Who agreed its keys, or is about to.
    pub owner: OwnerId,
    /// When it was made.
    pub created: Instant,
    /// What it has besides, once it has its keys.
    pub detail: Option<SaDetail>,
}

/// What an association has once it has its keys.
#[derive(Clone, Debug)]
pub struct SaDetail {
    /// How packets are put in.
    pub mode: SaMode,
    /// The outer ends, and what carries the packets between them.
    pub path: Path,
    /// Whose traffic it carries.
    pub flow: FlowId,
    /// The association of the other direction that was agreed with it.
    pub pair: Option<SaHandle>,
    /// Its algorithms, if it is of ESP; none once it is dead.
    pub suite: Option<Suite>,
    /// Its algorithm, if it is of AH; none once it is dead.
    pub integrity: Option<IntegrityAlgorithm>,
    /// `Encryption ENCO channel`: who encrypts, if it is of ESP; none once it is dead.
    pub encryption_provider: Option<ProviderId>,
    /// `Hash ENCO channel`: who makes ICVs, unless the cipher does; none once it is dead.
    pub hash_provider: Option<ProviderId>,
    /// Its limits.
    pub lifetime: Lifetime,
    /// How long it lasts still, if time limits it.
    pub time_left: Option<Duration>,
    /// How many octets it carries still, if they limit it.
    pub octets_left: Option<u64>,
    /// How many packets it carries still, if they limit it.
    pub packets_left: Option<u64>,
    /// When it last carried a packet.
    pub used: Option<Instant>,
    /// What became of its packets.
    pub counters: SaCounters,
    /// How wide its sequence numbers are.
    pub bits: SequenceBits,
    /// The last sequence number sent, or the greatest received.
    pub last_sequence: u64,
    /// The packets its replay window tells apart, 0 for off; none for what sends.
    pub window: Option<u64>,
    /// For each sequence number of the window whether it was received, the greatest first.
    pub bitmap: Box<[bool]>,
}

impl Sad {
    /// Returns an association as it is now.
    pub fn status(&self, association: SaHandle) -> Option<SaStatus> {
        match association.side() {
            Side::Inbound => match self.occupant(association)? {
                Occupant::Larval(larval) => Some(SaStatus {
                    association,
                    protocol: larval.protocol,
                    state: SaState::Larval,
                    spi: larval.spi,
                    owner: larval.owner,
                    created: larval.created,
                    detail: None,
                }),
                Occupant::Live(live) => {
                    let keys = self.keys.get(association.slot() as usize).and_then(|keys| keys.as_deref());
                    let keys = keys.map(InboundKeys::describe);
                    let counters = SaCounters::inbound(live.common.protocol, &live.tally);
                    Some(self.describe(association, &live.common, keys, counters, Progress::Window(&live.window)))
                }
            },
            Side::Outbound => {
                let live = self.outbound(association)?;
                let keys = live.keys.as_ref().map(OutboundKeys::describe);
                let counters = SaCounters::outbound(live.common.protocol, &live.tally);
                Some(self.describe(association, &live.common, keys, counters, Progress::Counter(&live.sequence)))
            }
        }
    }

    fn describe(
        &self,
        association: SaHandle,
        common: &Common,
        keys: Option<KeyDescription>,
        counters: SaCounters,
        progress: Progress<'_>,
    ) -> SaStatus {
        let lifetime = common.lifetime();
        let hard = lifetime.hard;
        let (bits, last_sequence, window, bitmap) = match progress {
            Progress::Counter(counter) => (counter.bits(), counter.last(), None, Box::default()),
            Progress::Window(window) => {
                (window.bits(), window.top(), Some(window.packets()), window.bitmap().collect())
            }
        };
        let (suite, integrity) = match keys.map(|keys| keys.transform) {
            Some(SaTransform::Esp(suite)) => (Some(suite), None),
            Some(SaTransform::Ah(integrity)) => (None, Some(integrity)),
            None => (None, None),
        };
        let hash = integrity.or_else(|| suite.map(Suite::integrity)).filter(|hash| *hash != IntegrityAlgorithm::None);
        let detail = SaDetail {
            mode: common.mode,
            path: common.path.path(),
            flow: common.flow,
            pair: common.pair,
            suite,
            integrity,
            encryption_provider: keys.map(|keys| keys.provider).filter(|_| suite.is_some()),
            hash_provider: keys.map(|keys| keys.integrity_provider).filter(|_| hash.is_some()),
            lifetime,
            time_left: (common.hard_at != Instant::MAX).then(|| common.hard_at - self.clock.latest()),
            octets_left: hard.octets.map(|limit| limit.saturating_sub(counters.octets())),
            packets_left: hard.packets.map(|limit| limit.saturating_sub(counters.packets())),
            used: common.used(),
            counters,
            bits,
            last_sequence,
            window,
            bitmap,
        };
        SaStatus {
            association,
            protocol: common.protocol,
            state: common.state,
            spi: common.spi,
            owner: common.owner,
            created: common.created,
            detail: Some(detail),
        }
    }
}

/// How far an association got with its sequence numbers.
enum Progress<'a> {
    Counter(&'a SequenceCounter),
    Window(&'a ReplayWindow),
}
