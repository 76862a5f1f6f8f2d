use crate::entry::Hardness;
use crate::table::Occupant;
use crate::{Action, LimitKind, SaHandle, SaState, Sad};
use drive::Instant;

impl Sad {
    /// Lets time pass up to `now`; what falls due comes out of [`poll_action`](Self::poll_action).
    pub fn handle_timeout(&mut self, now: Instant) {
        self.clock.observe(now);
    }

    /// Returns the next action, until there is none.
    ///
    /// A call works through what fell due until something is to be said, so ten thousand associations
    /// that end together end one call at a time.
    pub fn poll_action(&mut self) -> Option<Action> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Some(action);
            }
            let due = self.timers.pop_due(self.clock.latest())?;
            self.fall_due(due);
        }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is wanted next; `None` means no timer.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_timer().map(|(at, _)| at)
    }

    /// Returns when the database wants to be called next, and why, for logs.
    pub fn next_timer(&self) -> Option<(Instant, &'static str)> {
        let (at, handle) = self.timers.next()?;
        let why = match self.common(*handle).map(|common| common.state) {
            Some(SaState::Mature) => "sad soft lifetime",
            Some(SaState::Dying) => "sad hard lifetime",
            Some(SaState::Dead) => "sad dead association",
            Some(SaState::Larval) | None => "sad larval association",
        };
        Some((at, why))
    }

    fn fall_due(&mut self, handle: SaHandle) {
        let now = self.clock.latest();
        if let Some(Occupant::Larval(larval)) = self.occupant(handle) {
            let action = Action::LarvalExpired { association: handle, spi: larval.spi, owner: larval.owner };
            let _ = self.remove(handle);
            self.counters.larval_expired = self.counters.larval_expired.saturating_add(1);
            self.actions.push_back(action);
            return;
        }
        let Some(common) = self.common(handle) else { return };
        match common.state {
            SaState::Larval => {}
            SaState::Dead => {
                let _ = self.remove(handle);
            }
            SaState::Mature | SaState::Dying if common.hard_at <= now => {
                self.reach(handle, Hardness::Hard, LimitKind::Time);
            }
            SaState::Mature => self.reach(handle, Hardness::Soft, LimitKind::Time),
            SaState::Dying => {
                let at = common.hard_at;
                self.arm(handle, at);
            }
        }
    }
}
