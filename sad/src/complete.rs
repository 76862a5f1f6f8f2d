use crate::counters::count;
use crate::inbound::Found;
use crate::{
    AfterRemoval, DropReason, EngineFailure, OpenFailure, OpenTicket, Opened, OpenedPayload, Sad, SealFailure,
    SealRefusal, SealTicket, Unopened,
};
use drive::Instant;
use esp_ah::ah::AhError;
use esp_ah::{OpenError, SealError};

/// The second of two steps. Tickets may be completed in any order: windows, counters, lifetimes and actions are then
/// what they would be had the packets been sealed and opened here, in that order.
impl Sad {
    /// Says what became of a packet that was to be sealed elsewhere: counts, lifetime, limits. Returns its sequence
    /// number.
    ///
    /// # Errors
    /// The packet must not be sent: its association is gone ([`SealRefusal::Stale`]) or past a hard limit
    /// ([`SealRefusal::NotCarrying`]), or it was not sealed.
    pub fn complete_seal(
        &mut self,
        now: Instant,
        ticket: SealTicket,
        result: Result<(), SealFailure>,
    ) -> Result<u64, SealRefusal> {
        let now = self.clock.observe(now);
        let SealTicket { association, spi, sequence, keys, octets, .. } = ticket;
        let Some(found) = self.outbound_mut(association).filter(|found| found.common.spi == spi) else {
            self.count_after_removal(keys.transform, &AfterRemoval { sealed: 1, ..AfterRemoval::default() });
            return Err(SealRefusal::Stale);
        };
        let carried = found.tally.carried;
        let tickets = &mut found.tally.unsent().tickets;
        tickets.end();
        if let Some(state) = found.common.not_carrying(now, carried) {
            count(&mut tickets.bad_state);
            return Err(SealRefusal::NotCarrying(state));
        }
        if let Err(failure) = result {
            match failure {
                SealFailure::Engine(failure) => tickets.count_failure(failure),
                SealFailure::Seal(SealError::Integrity(_)) | SealFailure::Ah(AhError::Integrity(_)) => {
                    tickets.count_failure(EngineFailure::Integrity);
                }
                SealFailure::Seal(_) | SealFailure::Ah(_) => tickets.count_failure(EngineFailure::Cipher),
            }
            return Err(failure.into());
        }
        found.tally.carried.count(octets);
        self.account(now, association, sequence, octets, None);
        Ok(sequence)
    }

    /// Says what became of a packet that was to be opened elsewhere: replay check again and replay update, counts,
    /// lifetime, limits.
    ///
    /// Only now is it known whether the packet may be used: of two copies under way together one is a replay.
    ///
    /// # Errors
    /// The packet must not be used: see [`Unopened`].
    pub fn complete_open(
        &mut self,
        now: Instant,
        ticket: OpenTicket,
        result: Result<OpenedPayload, OpenFailure>,
    ) -> Result<Opened, Unopened> {
        let now = self.clock.observe(now);
        let found = ticket.found;
        let spi = ticket.spi;
        let Some(live) = self.inbound_mut(found.handle()).filter(|live| live.common.spi == spi) else {
            let decrypted = u64::from(result.is_ok());
            let more = AfterRemoval { verified: 1, decrypted, ..AfterRemoval::default() };
            self.count_after_removal(ticket.keys.transform, &more);
            return Err(DropReason::Gone.into());
        };
        let state = live.common.not_carrying(now, live.tally.carried);
        let tickets = live.tally.tickets();
        tickets.end();
        if let Some(state) = state {
            count(&mut tickets.bad_state);
            tickets.bad_state_right = tickets.bad_state_right.saturating_add(result.is_ok().into());
            return Err(DropReason::NotCarrying(state).into());
        }
        let octets = result.map_or(0, |payload| payload.octets);
        let verdict = match result {
            Err(OpenFailure::Open(error)) => Err(DropReason::Open(error)),
            Err(OpenFailure::Ah(error)) => Err(DropReason::Ah(error)),
            Err(OpenFailure::Engine(failure)) => Err(DropReason::Engine(failure)),
            Ok(payload) => Ok(payload.next_header),
        };
        let opened = match verdict {
            // Padding is looked at only behind a right ICV.
            Ok(_) | Err(DropReason::Open(OpenError::PadLength | OpenError::PadOctets)) => {
                live.icv_failures_in_row = 0;
                match live.window.accept(found.sequence) {
                    Ok(newest) => verdict.map(|next_header| (next_header, newest)),
                    Err(replayed) => Err(replayed.into()),
                }
            }
            Err(reason) => Err(reason),
        };
        let opened = self.account_inbound(now, found, opened, octets);
        if !ticket.again
            && let Err(DropReason::Open(OpenError::Icv) | DropReason::Ah(AhError::Icv)) = opened
            && let Some(next) = self.try_next_half(found)
        {
            return Err(Unopened::Again(OpenTicket { found: next, again: true, ..ticket }));
        }
        Ok(opened?)
    }

    /// Returns the other number to try, as one more ticket, and takes the failure of the first back: the packet is
    /// counted once, by what the second try finds.
    fn try_next_half(&mut self, first: Found) -> Option<Found> {
        let next = first.resynchronised()?;
        let live = crate::inbound::live(&mut self.occupants, first.slot)?;
        live.tally.dropped.icv_invalid = live.tally.dropped.icv_invalid.saturating_sub(1);
        live.icv_failures_in_row = live.icv_failures_in_row.saturating_sub(1);
        live.tally.tickets().begin();
        Some(next)
    }
}
