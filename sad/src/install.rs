use crate::ends::Ends;
use crate::entry::{Common, Inbound, InboundKeys, Outbound, OutboundKeys};
use crate::table::{Larval, Occupant};
use crate::{
    KeyDescription, OwnerId, SaHandle, SaParameters, SaProtocol, SaState, Sad, SadError, SequenceCounter, Side,
    SourceCheck, Spi, WindowSize,
};
use alloc::boxed::Box;
use core::net::IpAddr;
use core::time::Duration;
use drive::{Instant, Path};
use rand_core::Rng;

impl Sad {
    /// Gives out an SPI for packets to `destination`: a larval association. Draws one number, very rarely more.
    ///
    /// # Errors
    /// [`SadError::Full`].
    pub fn allocate_spi<R: Rng + ?Sized>(
        &mut self,
        now: Instant,
        protocol: SaProtocol,
        destination: IpAddr,
        owner: OwnerId,
        rng: &mut R,
    ) -> Result<(SaHandle, Spi), SadError> {
        let now = self.clock.observe(now);
        let allocated = self.take_inbound_slot().and_then(|slot| {
            let last = self.probes.get(slot as usize).map_or(0, |probe| probe.spi);
            let spi = (0..4).find_map(|_| {
                let drawn = self.layout.draw(slot as usize, last, rng)?;
                (!self.is_foreign(drawn, protocol, destination)).then_some(drawn)
            });
            if spi.is_none() {
                self.inbound_free.push_back(slot);
            }
            Some((slot, spi?))
        });
        let Some((slot, spi)) = allocated else {
            self.counters.add_failed = self.counters.add_failed.saturating_add(1);
            return Err(SadError::Full(self.settings.limit));
        };
        let larval = Larval { spi, protocol, destination, owner, created: now };
        let handle = self.occupy(slot, spi, protocol, destination, Occupant::Larval(Box::new(larval)), None);
        self.timers.set(handle, now + self.settings.larval_time);
        Ok((handle, spi))
    }

    /// Installs the keys of an SPI that was given out: the larval association is mature and keeps its handle.
    ///
    /// # Errors
    /// [`SadError::Stale`], [`SadError::NotLarval`].
    pub fn install_inbound(
        &mut self,
        now: Instant,
        larval: SaHandle,
        parameters: &SaParameters,
        window: WindowSize,
        source: SourceCheck,
        keys: InboundKeys,
    ) -> Result<(), SadError> {
        let now = self.clock.observe(now);
        let installed = self.promote(now, larval, parameters, window, source, keys);
        self.count_addition(&installed);
        installed
    }

    /// Installs an inbound association under an SPI chosen by the operator or by nobody else: manual keys.
    ///
    /// # Errors
    /// [`SadError::SpiTaken`], [`SadError::Full`], [`SadError::ManualKeys`].
    pub fn install_inbound_manual(
        &mut self,
        now: Instant,
        spi: Spi,
        parameters: &SaParameters,
        keys: InboundKeys,
    ) -> Result<SaHandle, SadError> {
        let now = self.clock.observe(now);
        let installed = if keys.may_be_manual() {
            let KeyDescription { transform, bits, .. } = keys.describe();
            let common = Common::new(now, transform.protocol(), spi, parameters);
            self.place_foreign(Inbound::new(common, WindowSize::Off, SourceCheck::Any, bits), keys)
        } else {
            Err(SadError::ManualKeys)
        };
        self.count_addition(&installed);
        installed
    }

    /// Installs an association that sends under the peer's `spi`, beside its pair if it has one.
    ///
    /// # Errors
    /// [`SadError::Full`], [`SadError::Stale`] of the pair, [`SadError::NotAPair`].
    pub fn install_outbound(
        &mut self,
        now: Instant,
        spi: Spi,
        parameters: &SaParameters,
        keys: OutboundKeys,
        pair: Option<SaHandle>,
    ) -> Result<SaHandle, SadError> {
        let now = self.clock.observe(now);
        let installed = self.check_pair(pair).and_then(|()| {
            let KeyDescription { transform, bits, .. } = keys.describe();
            let mut common = Common::new(now, transform.protocol(), spi, parameters);
            common.pair = pair;
            let sequence = SequenceCounter::new(bits);
            self.place_outbound(Outbound { common, sequence, tally: Default::default(), keys: Some(keys) })
        });
        if let (Ok(handle), Some(pair)) = (&installed, pair)
            && let Some(inbound) = self.inbound_mut(pair)
        {
            inbound.common.pair = Some(*handle);
        }
        self.count_addition(&installed);
        installed
    }

    /// Installs an association that sends, with manual keys.
    ///
    /// # Errors
    /// As [`install_outbound`](Self::install_outbound), and [`SadError::ManualKeys`].
    pub fn install_outbound_manual(
        &mut self,
        now: Instant,
        spi: Spi,
        parameters: &SaParameters,
        keys: OutboundKeys,
        pair: Option<SaHandle>,
    ) -> Result<SaHandle, SadError> {
        if !keys.may_be_manual() {
            self.counters.add_failed = self.counters.add_failed.saturating_add(1);
            return Err(SadError::ManualKeys);
        }
        self.install_outbound(now, spi, parameters, keys, pair)
    }

    /// Removes an association at once, whatever its state; its pair stays.
    ///
    /// # Errors
    /// [`SadError::Stale`].
    pub fn remove(&mut self, association: SaHandle) -> Result<(), SadError> {
        let removed = match association.side() {
            Side::Inbound => self.vacate_inbound(association),
            Side::Outbound => self.vacate_outbound(association),
        };
        self.timers.cancel(&association);
        let counters = &mut self.counters;
        let counter = if removed { &mut counters.delete_good } else { &mut counters.delete_failed };
        *counter = counter.saturating_add(1);
        if removed { Ok(()) } else { Err(SadError::Stale(association)) }
    }

    /// Lets an association end after `delay`, if it does not end sooner: for what is still on its way to
    /// an inbound association after its successor took over. Says [`Action::HardExpired`](crate::Action::HardExpired) then.
    ///
    /// An outbound one is used no more while its flow has another.
    ///
    /// # Errors
    /// [`SadError::Stale`].
    pub fn remove_after(&mut self, now: Instant, association: SaHandle, delay: Duration) -> Result<(), SadError> {
        let now = self.clock.observe(now);
        let common = self.common_mut(association).ok_or(SadError::Stale(association))?;
        if common.state == SaState::Mature {
            common.state = SaState::Dying;
        }
        common.hard_at = common.hard_at.min(now + delay);
        // Its end is its own: the pair was told the same, or stays.
        common.pair = None;
        let at = common.hard_at;
        self.timers.set(association, at);
        Ok(())
    }

    /// Changes the outer ends of an association: the peer moved, and proved it.
    ///
    /// The destination of an inbound association is part of its identity and stays.
    ///
    /// # Errors
    /// [`SadError::Stale`].
    pub fn set_path(&mut self, association: SaHandle, path: Path) -> Result<(), SadError> {
        let common = self.common_mut(association).ok_or(SadError::Stale(association))?;
        common.path = Ends::new(path);
        Ok(())
    }

    fn promote(
        &mut self,
        now: Instant,
        handle: SaHandle,
        parameters: &SaParameters,
        window: WindowSize,
        source: SourceCheck,
        keys: InboundKeys,
    ) -> Result<(), SadError> {
        let occupant = self.occupant_mut(handle).ok_or(SadError::Stale(handle))?;
        let Occupant::Larval(larval) = occupant else { return Err(SadError::NotLarval(handle)) };
        let KeyDescription { transform, bits, .. } = keys.describe();
        if larval.protocol != transform.protocol() {
            return Err(SadError::OtherProtocol(handle));
        }
        let common = Common::new(now, larval.protocol, larval.spi, parameters);
        let at = common.soft_at.min(common.hard_at);
        *occupant = Occupant::Live(Box::new(Inbound::new(common, window, source, bits)));
        if let Some(held) = self.keys.get_mut(handle.slot() as usize) {
            *held = Some(Box::new(keys));
        }
        self.arm(handle, at);
        Ok(())
    }

    pub(crate) fn check_pair(&self, pair: Option<SaHandle>) -> Result<(), SadError> {
        match pair {
            None => Ok(()),
            Some(pair) if pair.side() == Side::Outbound => Err(SadError::NotAPair),
            Some(pair) => self.common(pair).map(|_| ()).ok_or(SadError::Stale(pair)),
        }
    }

    fn count_addition<T>(&mut self, added: &Result<T, SadError>) {
        let counters = &mut self.counters;
        let counter = if added.is_ok() { &mut counters.add_good } else { &mut counters.add_failed };
        *counter = counter.saturating_add(1);
    }
}
