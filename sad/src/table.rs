use crate::entry::{Common, Hardness, Inbound, InboundKeys, Outbound};
use crate::spi::SpiLayout;
use crate::{Action, DatabaseCounters, FlowId, LimitKind, OwnerId, SaHandle, SaProtocol, SaState, Side, Spi};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
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

/// A slot of the inbound table: what look-ups compare stands here, the rest behind pointers, so that a
/// look-up touches one cache line.
#[derive(Debug, Default)]
pub(crate) struct InboundSlot {
    pub spi: u32,
    pub generation: u32,
    destination: [u64; 2],
    /// 0 when vacant: look-ups never ask for protocol 0.
    protocol: u8,
    /// None while larval, and once dead. Apart from the occupant, because packets are verified with the
    /// keys while windows move.
    pub keys: Option<Box<InboundKeys>>,
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
    /// Slot by slot beside `occupants`.
    pub(crate) slots: Vec<InboundSlot>,
    pub(crate) occupants: Vec<Option<Occupant>>,
    pub(crate) inbound_free: VecDeque<u32>,
    outbound: Vec<OutboundSlot>,
    outbound_free: VecDeque<u32>,
    /// Inbound associations whose SPI was chosen by somebody else: manual keys.
    foreign: BTreeMap<(u32, u8, [u64; 2]), u32>,
    /// The outbound associations of each flow, oldest first.
    flows: hashbrown::HashMap<FlowId, Vec<SaHandle>, foldhash::fast::FixedState>,
    pub(crate) clock: MonotonicClock,
    pub(crate) timers: Timers<SaHandle>,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) counters: DatabaseCounters,
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
            slots: Vec::new(),
            occupants: Vec::new(),
            inbound_free: VecDeque::new(),
            outbound: Vec::new(),
            outbound_free: VecDeque::new(),
            foreign: BTreeMap::new(),
            flows: hashbrown::HashMap::default(),
            clock: MonotonicClock::new(),
            timers: Timers::new(),
            actions: VecDeque::new(),
            counters: DatabaseCounters::default(),
        }
    }

    /// Returns the inbound association of a packet's SPI, destination and protocol, RFC 4301 §4.1.
    ///
    /// ```
    /// # use sad::*;
    /// # use rand_core::SeedableRng;
    /// # let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    /// let mut sad = Sad::new(SadSettings::default(), &mut rng);
    /// let here = [192, 0, 2, 1].into();
    /// let (handle, spi) =
    ///     sad.allocate_spi(drive::Instant::ZERO, SaProtocol::Esp, here, OwnerId(1), &mut rng)?;
    /// assert_eq!(sad.find(spi.get(), here, SaProtocol::Esp), Some(handle));
    /// assert_eq!(sad.find(spi.get(), [192, 0, 2, 2].into(), SaProtocol::Esp), None);
    /// # Ok::<(), SadError>(())
    /// ```
    #[inline]
    pub fn find(&self, spi: u32, destination: IpAddr, protocol: SaProtocol) -> Option<SaHandle> {
        let destination = flat(destination);
        let slot = self.layout.slot(spi);
        if let Some(found) = self.slots.get(slot)
            && found.spi == spi
            && found.protocol == protocol.number()
            && found.destination == destination
        {
            return Some(SaHandle { side: Side::Inbound, slot: slot as u32, generation: found.generation });
        }
        self.find_foreign(spi, destination, protocol)
    }

    /// Returns the association to send a flow's packets with: the newest that is mature, else the newest
    /// that is dying.
    pub fn outbound_for(&self, flow: FlowId) -> Option<SaHandle> {
        let listed = self.flows.get(&flow)?;
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
        self.flows.get(&flow).map_or(&[], Vec::as_slice)
    }

    /// Returns every association, larval and dead ones included, inbound ones first.
    pub fn iter(&self) -> impl Iterator<Item = SaHandle> {
        let inbound = self.slots.iter().enumerate().filter(|(_, slot)| slot.protocol != 0);
        let outbound = self.outbound.iter().enumerate().filter(|(_, slot)| slot.association.is_some());
        let inbound =
            inbound.map(|(slot, s)| SaHandle { side: Side::Inbound, slot: slot as u32, generation: s.generation });
        let outbound =
            outbound.map(|(slot, s)| SaHandle { side: Side::Outbound, slot: slot as u32, generation: s.generation });
        inbound.chain(outbound)
    }

    /// Returns the number of associations, larval and dead ones included.
    pub fn len(&self) -> usize {
        let inbound = self.slots.len().saturating_sub(self.inbound_free.len());
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

    /// Sets the counters of the database to zero.
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
        let slot = self.slots.get(handle.slot as usize)?;
        let ours = handle.side == Side::Inbound && slot.generation == handle.generation;
        self.occupants.get(handle.slot as usize)?.as_ref().filter(|_| ours)
    }

    pub(crate) fn occupant_mut(&mut self, handle: SaHandle) -> Option<&mut Occupant> {
        let slot = self.slots.get(handle.slot as usize)?;
        let ours = handle.side == Side::Inbound && slot.generation == handle.generation;
        self.occupants.get_mut(handle.slot as usize)?.as_mut().filter(|_| ours)
    }

    pub(crate) fn outbound(&self, handle: SaHandle) -> Option<&Outbound> {
        let slot = self.outbound.get(handle.slot as usize)?;
        let ours = handle.side == Side::Outbound && slot.generation == handle.generation;
        slot.association.as_deref().filter(|_| ours)
    }

    pub(crate) fn outbound_mut(&mut self, handle: SaHandle) -> Option<&mut Outbound> {
        let slot = self.outbound.get_mut(handle.slot as usize)?;
        let ours = handle.side == Side::Outbound && slot.generation == handle.generation;
        slot.association.as_deref_mut().filter(|_| ours)
    }

    pub(crate) fn common(&self, handle: SaHandle) -> Option<&Common> {
        match (handle.side, self.occupant(handle)) {
            (Side::Inbound, Some(Occupant::Live(inbound))) => Some(&inbound.common),
            (Side::Inbound, _) => None,
            (Side::Outbound, _) => self.outbound(handle).map(|outbound| &outbound.common),
        }
    }

    pub(crate) fn common_mut(&mut self, handle: SaHandle) -> Option<&mut Common> {
        match handle.side {
            Side::Inbound => self.inbound_mut(handle).map(|inbound| &mut inbound.common),
            Side::Outbound => self.outbound_mut(handle).map(|outbound| &mut outbound.common),
        }
    }

    /// Wipes the keys of an association and lets it stand for a while, to be shown.
    pub(crate) fn kill(&mut self, handle: SaHandle) {
        match handle.side {
            Side::Inbound => {
                let Some(inbound) = self.inbound_mut(handle) else { return };
                inbound.common.state = SaState::Dead;
                if let Some(slot) = self.slots.get_mut(handle.slot as usize) {
                    slot.keys = None;
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
        let Common { spi, protocol, path, .. } = inbound.common;
        let destination = path.local.ip();
        if self.find(spi.get(), destination, protocol).is_some() {
            return Err(SadError::SpiTaken(spi));
        }
        let slot = self.take_inbound_slot().ok_or(SadError::Full(self.settings.limit))?;
        let at = inbound.common.soft_at.min(inbound.common.hard_at);
        let handle = self.occupy(slot, spi, protocol, destination, Occupant::Live(Box::new(inbound)), Some(keys));
        self.foreign.insert((spi.get(), protocol.number(), flat(destination)), slot);
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
        let mut handle = SaHandle { side: Side::Outbound, slot, generation: 0 };
        if let Some(place) = self.outbound.get_mut(slot as usize) {
            handle.generation = place.generation;
            place.association = Some(Box::new(outbound));
        }
        // As a rule one association a flow, two while one takes over from the other.
        self.flows.entry(flow).or_insert_with(|| Vec::with_capacity(1)).push(handle);
        self.arm(handle, at);
        Ok(handle)
    }

    pub(crate) fn is_foreign(&self, spi: Spi, protocol: SaProtocol, destination: IpAddr) -> bool {
        self.foreign.contains_key(&(spi.get(), protocol.number(), flat(destination)))
    }

    #[cold]
    fn find_foreign(&self, spi: u32, destination: [u64; 2], protocol: SaProtocol) -> Option<SaHandle> {
        let slot = *self.foreign.get(&(spi, protocol.number(), destination))?;
        let generation = self.slots.get(slot as usize)?.generation;
        Some(SaHandle { side: Side::Inbound, slot, generation })
    }

    /// A vacant slot: one never used, else the one that is vacant the longest.
    pub(crate) fn take_inbound_slot(&mut self) -> Option<u32> {
        if self.slots.len() < self.settings.limit {
            self.slots.push(InboundSlot::default());
            self.occupants.push(None);
            return Some((self.slots.len() - 1) as u32);
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
        let mut handle = SaHandle { side: Side::Inbound, slot, generation: 0 };
        let index = slot as usize;
        if let (Some(place), Some(stands)) = (self.slots.get_mut(index), self.occupants.get_mut(index)) {
            handle.generation = place.generation;
            place.spi = spi.get();
            place.protocol = protocol.number();
            place.destination = flat(destination);
            place.keys = keys.map(Box::new);
            *stands = Some(occupant);
        }
        handle
    }

    pub(crate) fn vacate_inbound(&mut self, handle: SaHandle) -> bool {
        if self.occupant(handle).is_none() {
            return false;
        }
        let index = handle.slot as usize;
        let (Some(place), Some(stands)) = (self.slots.get_mut(index), self.occupants.get_mut(index)) else {
            return false;
        };
        self.foreign.remove(&(place.spi, place.protocol, place.destination));
        place.keys = None;
        *stands = None;
        // The SPI stays, as the one not to draw next; the protocol says that nobody has it.
        place.protocol = 0;
        // A slot whose generations are used up is never used again, so no handle comes back.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.inbound_free.push_back(handle.slot);
        }
        true
    }

    pub(crate) fn vacate_outbound(&mut self, handle: SaHandle) -> bool {
        let Some(flow) = self.outbound(handle).map(|outbound| outbound.common.flow) else { return false };
        if let Some(listed) = self.flows.get_mut(&flow) {
            listed.retain(|other| *other != handle);
            if listed.is_empty() {
                self.flows.remove(&flow);
            }
        }
        let Some(place) = self.outbound.get_mut(handle.slot as usize) else { return false };
        place.association = None;
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.outbound_free.push_back(handle.slot);
        }
        true
    }
}

/// The address as 128 bits, an IPv4 one as RFC 4291 §2.5.5.2 maps it.
fn flat(address: IpAddr) -> [u64; 2] {
    match address {
        IpAddr::V4(address) => [0, 0xffff_0000_0000 | u64::from(address.to_bits())],
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            [(bits >> 64) as u64, bits as u64]
        }
    }
}
