use crate::entry::{Common, Hardness, Inbound, InboundKeys, Outbound};
use crate::probe::{Place, Places, Probe, Strangers, Target};
use crate::spi::SpiLayout;
use crate::{
    Action, AfterRemoval, DatabaseCounters, FlowId, LimitKind, OwnerId, ProtocolCounters, SaHandle, SaProtocol,
    SaState, SaTransform, Side, Spi,
};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;
use drive::{Instant, MonotonicClock, Timers};
use rand_core::Rng;
use thiserror::Error;

/// Why the database refused a call: the caller's mistake, or no room. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SadError {
    /// The handle is stale, or of the other direction.
    #[error("association {0} is gone")]
    Stale(SaHandle),
    /// The association has its keys already, or had.
    #[error("association {0} is not larval")]
    NotLarval(SaHandle),
    /// Another association has this SPI, destination and protocol.
    #[error("SPI {0} is taken")]
    SpiTaken(Spi),
    /// The database is full.
    #[error("the database holds its limit of {0} associations a direction")]
    Full(usize),
    /// The two associations are not of two directions.
    #[error("a pair is one association of each direction")]
    NotAPair,
    /// The snapshot is of an association whose time is over.
    #[error("the association has expired")]
    Expired,
    /// The snapshot and the keys are of two directions, protocols or widths of sequence numbers.
    #[error("the keys are not those of the snapshot")]
    OtherKeys,
    /// The two associations cannot be neighbours in a bundle.
    #[error("not two associations that can be neighbours in a bundle")]
    NotABundle,
    /// The keys are for the other protocol than the SPI.
    #[error("the keys are not for the protocol of association {0}")]
    OtherProtocol(SaHandle),
    /// The cipher is safe only with keys that are never used twice, which manual keys are.
    #[error("this cipher must not be used with manual keys")]
    ManualKeys,
}

/// The settings of a database; the default suits a host or small gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SadSettings {
    /// The most associations a direction, larval ones included; at most 2^24.
    pub limit: usize,
    /// How long an SPI waits for its keys.
    pub larval_time: Duration,
    /// How long a dead association is shown.
    pub dead_time: Duration,
}

impl Default for SadSettings {
    fn default() -> Self {
        Self { limit: 1 << 16, larval_time: Duration::from_secs(60), dead_time: Duration::from_secs(30) }
    }
}

/// What an SPI was given out for, until its keys come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Larval {
    pub spi: Spi,
    pub protocol: SaProtocol,
    pub destination: IpAddr,
    pub owner: OwnerId,
    pub created: Instant,
}

#[derive(Debug)]
pub(crate) enum Occupant {
    Larval(Box<Larval>),
    Live(Box<Inbound>),
}

#[derive(Debug, Default)]
struct OutboundSlot {
    generation: u32,
    association: Option<Box<Outbound>>,
}

/// The associations of a host or gateway, RFC 4301 §4.4.2.
///
/// Inbound SPIs are chosen here: the slot lies inside the SPI, so a look-up is one indexed load. Time is
/// given by the caller; what falls due comes out of [`poll_action`](Self::poll_action).
#[derive(Debug)]
pub struct Sad {
    pub(crate) settings: SadSettings,
    pub(crate) layout: SpiLayout,
    /// Slot by slot, as `keys` and `occupants` are.
    pub(crate) probes: Vec<Probe>,
    /// None while larval, and once dead. Apart from the occupants, because packets are verified with the
    /// keys while windows move.
    pub(crate) keys: Vec<Option<Box<InboundKeys>>>,
    pub(crate) occupants: Vec<Option<Occupant>>,
    pub(crate) places: Places,
    pub(crate) inbound_free: VecDeque<u32>,
    outbound: Vec<OutboundSlot>,
    outbound_free: VecDeque<u32>,
    /// Inbound associations whose SPI was chosen by somebody else, as manual keys have it.
    strangers: Strangers,
    /// The outbound associations of each flow, oldest first.
    flows: hashbrown::HashMap<FlowId, Listed, foldhash::fast::FixedState>,
    pub(crate) clock: MonotonicClock,
    pub(crate) timers: Timers<SaHandle>,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) counters: DatabaseCounters,
    /// What associations that are gone have done: of ESP, of AH.
    pub(crate) gone: [ProtocolCounters; 2],
    /// What was done elsewhere for associations that were gone by then; as long as there are algorithms, at most.
    pub(crate) after_removal: Vec<(SaTransform, AfterRemoval)>,
}

impl Sad {
    /// Returns an empty database. Draws one number, which keeps SPIs from being guessed.
    pub fn new<R: Rng + ?Sized>(settings: SadSettings, rng: &mut R) -> Self {
        Self::with_layout(settings, SpiLayout::new(settings.limit, rng))
    }

    pub(crate) fn with_layout(settings: SadSettings, layout: SpiLayout) -> Self {
        let limit = settings.limit.min(SpiLayout::MAX_SLOTS).min(layout.slots());
        Self {
            settings: SadSettings { limit, ..settings },
            layout,
            probes: Vec::new(),
            keys: Vec::new(),
            occupants: Vec::new(),
            inbound_free: VecDeque::new(),
            outbound: Vec::new(),
            outbound_free: VecDeque::new(),
            strangers: Strangers::default(),
            places: Places::default(),
            flows: hashbrown::HashMap::default(),
            clock: MonotonicClock::new(),
            timers: Timers::new(),
            actions: VecDeque::new(),
            counters: DatabaseCounters::default(),
            gone: [ProtocolCounters::new(SaProtocol::Esp), ProtocolCounters::new(SaProtocol::Ah)],
            after_removal: Vec::new(),
        }
    }

    /// Returns the association to send a flow's packets with: the newest that is mature, else the newest
    /// that is dying.
    pub fn outbound_for(&self, flow: FlowId) -> Option<SaHandle> {
        let listed = self.flows.get(&flow)?.as_slice();
        let state = |handle: &SaHandle| self.outbound(*handle).map(|association| association.common.state);
        let newest = |wanted| listed.iter().rev().find(|handle| state(handle) == Some(wanted));
        newest(SaState::Mature).or_else(|| newest(SaState::Dying)).copied()
    }

    /// Returns whose traffic an association carries; none for one that is larval or gone.
    pub fn flow_of(&self, association: SaHandle) -> Option<FlowId> {
        self.common(association).map(|common| common.flow)
    }

    /// Returns the SPI of an association; none for one that is larval or gone.
    pub fn spi_of(&self, association: SaHandle) -> Option<Spi> {
        self.common(association).map(|common| common.spi)
    }

    /// Returns the last sequence number that an outbound association sent; none for any other.
    pub fn last_sequence(&self, association: SaHandle) -> Option<u64> {
        self.outbound(association).map(|association| association.sequence.last())
    }

    /// Returns the outbound associations of a flow, oldest first, dead ones included.
    pub fn outbound_of(&self, flow: FlowId) -> &[SaHandle] {
        self.flows.get(&flow).map_or(&[], Listed::as_slice)
    }

    /// Returns every association, larval and dead ones included, inbound ones first.
    pub fn iter(&self) -> impl Iterator<Item = SaHandle> {
        let inbound = self.probes.iter().enumerate().filter(|(_, probe)| !probe.is_vacant());
        let outbound = self.outbound.iter().enumerate().filter(|(_, slot)| slot.association.is_some());
        let inbound = inbound.map(|(slot, probe)| SaHandle::new(Side::Inbound, slot as u32, probe.generation()));
        let outbound = outbound.map(|(slot, place)| SaHandle::new(Side::Outbound, slot as u32, place.generation));
        inbound.chain(outbound)
    }

    /// Returns the number of associations, larval and dead ones included.
    pub fn len(&self) -> usize {
        let inbound = self.probes.len().saturating_sub(self.inbound_free.len());
        inbound.saturating_add(self.outbound.len().saturating_sub(self.outbound_free.len()))
    }

    /// Returns whether there is no association.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the counters of the database.
    pub fn counters(&self) -> &DatabaseCounters {
        &self.counters
    }

    /// Sets the counters of the database to zero; those of associations are theirs.
    pub fn reset_counters(&mut self) {
        self.counters.reset();
    }

    pub(crate) fn inbound_mut(&mut self, handle: SaHandle) -> Option<&mut Inbound> {
        match self.occupant_mut(handle)? {
            Occupant::Live(inbound) => Some(inbound),
            Occupant::Larval(_) => None,
        }
    }

    pub(crate) fn occupant(&self, handle: SaHandle) -> Option<&Occupant> {
        let probe = self.probes.get(handle.slot() as usize)?;
        let ours = handle.side() == Side::Inbound && probe.generation() == handle.generation();
        self.occupants.get(handle.slot() as usize)?.as_ref().filter(|_| ours)
    }

    pub(crate) fn occupant_mut(&mut self, handle: SaHandle) -> Option<&mut Occupant> {
        let probe = self.probes.get(handle.slot() as usize)?;
        let ours = handle.side() == Side::Inbound && probe.generation() == handle.generation();
        self.occupants.get_mut(handle.slot() as usize)?.as_mut().filter(|_| ours)
    }

    pub(crate) fn outbound(&self, handle: SaHandle) -> Option<&Outbound> {
        let slot = self.outbound.get(handle.slot() as usize)?;
        let ours = handle.side() == Side::Outbound && slot.generation == handle.generation();
        slot.association.as_deref().filter(|_| ours)
    }

    pub(crate) fn outbound_mut(&mut self, handle: SaHandle) -> Option<&mut Outbound> {
        let slot = self.outbound.get_mut(handle.slot() as usize)?;
        let ours = handle.side() == Side::Outbound && slot.generation == handle.generation();
        slot.association.as_deref_mut().filter(|_| ours)
    }

    pub(crate) fn common(&self, handle: SaHandle) -> Option<&Common> {
        match (handle.side(), self.occupant(handle)) {
            (Side::Inbound, Some(Occupant::Live(inbound))) => Some(&inbound.common),
            (Side::Inbound, _) => None,
            (Side::Outbound, _) => self.outbound(handle).map(|outbound| &outbound.common),
        }
    }

    pub(crate) fn common_mut(&mut self, handle: SaHandle) -> Option<&mut Common> {
        match handle.side() {
            Side::Inbound => self.inbound_mut(handle).map(|inbound| &mut inbound.common),
            Side::Outbound => self.outbound_mut(handle).map(|outbound| &mut outbound.common),
        }
    }

    /// Wipes the keys of an association and lets it stand for a while, to be shown.
    pub(crate) fn kill(&mut self, handle: SaHandle) {
        match handle.side() {
            Side::Inbound => {
                let Some(inbound) = self.inbound_mut(handle) else { return };
                inbound.common.state = SaState::Dead;
                if let Some(keys) = self.keys.get_mut(handle.slot() as usize) {
                    *keys = None;
                }
            }
            Side::Outbound => {
                let Some(outbound) = self.outbound_mut(handle) else { return };
                outbound.common.state = SaState::Dead;
                outbound.keys = None;
            }
        }
        let at = self.clock.latest() + self.settings.dead_time;
        self.timers.set(handle, at);
    }

    /// Acts on a limit that was reached: soft once a pair, hard once and for all.
    pub(crate) fn reach(&mut self, handle: SaHandle, hardness: Hardness, limit: LimitKind) {
        let Some(common) = self.common_mut(handle) else { return };
        let (pair, flow, owner, spi) = (common.pair, common.flow, common.owner, common.spi);
        match (hardness, common.state) {
            (_, SaState::Larval | SaState::Dead) | (Hardness::Soft, SaState::Dying) => {}
            (Hardness::Soft, SaState::Mature) => {
                for handle in [Some(handle), pair].into_iter().flatten() {
                    let Some(common) = self.common_mut(handle) else { continue };
                    if common.state == SaState::Mature {
                        common.state = SaState::Dying;
                        let at = common.hard_at;
                        self.arm(handle, at);
                    }
                }
                self.actions.push_back(Action::SoftExpired { association: handle, pair, flow, owner, limit });
            }
            (Hardness::Hard, SaState::Mature | SaState::Dying) => {
                for handle in [Some(handle), pair].into_iter().flatten() {
                    self.kill(handle);
                }
                self.actions.push_back(Action::HardExpired { association: handle, pair, spi, flow, owner, limit });
            }
        }
    }

    /// Sets the timer of an association, unless its time is without end.
    pub(crate) fn arm(&mut self, handle: SaHandle, at: Instant) {
        if at == Instant::MAX {
            self.timers.cancel(&handle);
        } else {
            self.timers.set(handle, at);
        }
    }

    pub(crate) fn place_foreign(&mut self, inbound: Inbound, keys: InboundKeys) -> Result<SaHandle, SadError> {
        let Common { spi, protocol, ref path, .. } = inbound.common;
        let destination = path.path().local.ip();
        if self.find(spi.get(), destination, protocol).is_some() {
            return Err(SadError::SpiTaken(spi));
        }
        let slot = self.take_inbound_slot().ok_or(SadError::Full(self.settings.limit))?;
        let at = inbound.common.soft_at.min(inbound.common.hard_at);
        let handle = self.occupy(slot, spi, protocol, destination, Occupant::Live(Box::new(inbound)), Some(keys));
        self.strangers.insert(spi.get(), Target::new(destination, protocol), slot);
        self.arm(handle, at);
        Ok(handle)
    }

    pub(crate) fn place_outbound(&mut self, outbound: Outbound) -> Result<SaHandle, SadError> {
        let slot = match self.outbound_free.pop_front() {
            Some(slot) => slot,
            None if self.outbound.len() < self.settings.limit => {
                self.outbound.push(OutboundSlot::default());
                (self.outbound.len() - 1) as u32
            }
            None => return Err(SadError::Full(self.settings.limit)),
        };
        let flow = outbound.common.flow;
        let at = outbound.common.soft_at.min(outbound.common.hard_at);
        let mut generation = 0;
        if let Some(place) = self.outbound.get_mut(slot as usize) {
            generation = place.generation;
            place.association = Some(Box::new(outbound));
        }
        let handle = SaHandle::new(Side::Outbound, slot, generation);
        self.flows.entry(flow).and_modify(|listed| listed.push(handle)).or_insert(Listed::One(handle));
        self.arm(handle, at);
        Ok(handle)
    }

    pub(crate) fn is_foreign(&self, spi: Spi, protocol: SaProtocol, destination: IpAddr) -> bool {
        self.strangers.find(spi.get(), Target::new(destination, protocol)).is_some()
    }

    #[cold]
    pub(crate) fn find_stranger(&self, spi: u32, target: Target) -> Option<SaHandle> {
        let slot = self.strangers.find(spi, target)?;
        let generation = self.probes.get(slot as usize)?.generation();
        Some(SaHandle::new(Side::Inbound, slot, generation))
    }

    /// A vacant slot: one never used, else the one that is vacant the longest.
    pub(crate) fn take_inbound_slot(&mut self) -> Option<u32> {
        if self.probes.len() < self.settings.limit {
            self.probes.push(Probe::default());
            self.keys.push(None);
            self.occupants.push(None);
            return Some((self.probes.len() - 1) as u32);
        }
        self.inbound_free.pop_front()
    }

    pub(crate) fn occupy(
        &mut self,
        slot: u32,
        spi: Spi,
        protocol: SaProtocol,
        destination: IpAddr,
        occupant: Occupant,
        keys: Option<InboundKeys>,
    ) -> SaHandle {
        let target = Target::new(destination, protocol);
        let place = self.places.take(target);
        if place == Place::ELSEWHERE {
            self.strangers.insert(spi.get(), target, slot);
        }
        let index = slot as usize;
        let mut generation = 0;
        if let Some(probe) = self.probes.get_mut(index) {
            generation = probe.generation();
            probe.occupy(spi.get(), place);
        }
        if let (Some(held), Some(stands)) = (self.keys.get_mut(index), self.occupants.get_mut(index)) {
            *held = keys.map(Box::new);
            *stands = Some(occupant);
        }
        SaHandle::new(Side::Inbound, slot, generation)
    }

    pub(crate) fn vacate_inbound(&mut self, handle: SaHandle) -> bool {
        if self.occupant(handle).is_none() {
            return false;
        }
        self.bury(handle);
        let index = handle.slot() as usize;
        if let (Some(keys), Some(stands)) = (self.keys.get_mut(index), self.occupants.get_mut(index)) {
            *keys = None;
            *stands = None;
        }
        self.strangers.remove(handle.slot());
        let Some(probe) = self.probes.get_mut(index) else { return false };
        self.places.give_back(probe.place());
        // A slot whose generations are used up is never used again, so no handle comes back.
        if probe.vacate() {
            self.inbound_free.push_back(handle.slot());
        }
        true
    }

    pub(crate) fn vacate_outbound(&mut self, handle: SaHandle) -> bool {
        let Some(flow) = self.outbound(handle).map(|outbound| outbound.common.flow) else { return false };
        self.bury(handle);
        if self.flows.get_mut(&flow).is_some_and(|listed| !listed.remove(handle)) {
            self.flows.remove(&flow);
        }
        let Some(place) = self.outbound.get_mut(handle.slot() as usize) else { return false };
        place.association = None;
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.outbound_free.push_back(handle.slot());
        }
        true
    }
}

/// The outbound associations of a flow, oldest first: as a rule one, two while one takes over from the other.
#[derive(Debug)]
enum Listed {
    One(SaHandle),
    #[expect(clippy::box_collection, reason = "the rare case does not cost every flow a vector's three words")]
    Several(Box<Vec<SaHandle>>),
}

impl Listed {
    fn as_slice(&self) -> &[SaHandle] {
        match self {
            Self::One(handle) => core::slice::from_ref(handle),
            Self::Several(handles) => handles,
        }
    }

    fn push(&mut self, handle: SaHandle) {
        match self {
            Self::One(first) => *self = Self::Several(Box::new(alloc::vec![*first, handle])),
            Self::Several(handles) => handles.push(handle),
        }
    }

    /// Returns whether any are left.
    fn remove(&mut self, handle: SaHandle) -> bool {
        if let Self::Several(handles) = self {
            handles.retain(|other| *other != handle);
        }
        match self.as_slice() {
            [] => false,
            [last] if *last == handle => false,
            [last] => {
                *self = Self::One(*last);
                true
            }
            _ => true,
        }
    }
}
