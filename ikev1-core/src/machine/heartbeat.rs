//! Heartbeats: each end that is told to says now and then that it lives, and the other one listens.

use crate::counters::count;
use crate::event::Event;
use crate::ids::IkeSaId;
use crate::machine::Endpoint;
use crate::machine::sa::IkeSa;
use crate::machine::timers::TimerKey;
use crate::plan::ConnectionPlan;
use drive::Instant;

impl Endpoint {
    /// Begins to send under an SA that is up.
    pub(super) fn begin_heartbeats(&mut self, now: Instant, id: IkeSaId, connection: &ConnectionPlan) {
        if connection.heartbeats.sends() {
            self.timers.set(TimerKey::Heartbeat(id), now + connection.heartbeats.period);
        }
    }

    /// Sends the next one.
    pub(super) fn heartbeat_due(&mut self, now: Instant, id: IkeSaId) {
        let Some(mut sa) = self.table.take(id) else { return };
        let cookies = sa.core.cookies;
        let plan = self.plan.connection(sa.core.connection).map(|connection| connection.heartbeats);
        if let (Some(up), Some(plan)) = (sa.up_mut(), plan) {
            let chain = up.heartbeats.beat(plan.notify, cookies);
            self.inform_up(&sa, &chain);
            count(&mut self.own.heartbeats_sent);
            self.timers.set(TimerKey::Heartbeat(id), now + plan.period);
        }
        self.table.put(sa);
    }

    /// One came, under protection.
    pub(super) fn on_heartbeat(&mut self, now: Instant, sa: &mut IkeSa, number: u32) {
        let id = sa.core.id;
        let plan = self.plan.connection(sa.core.connection).map(|connection| connection.heartbeats);
        let (Some(up), Some(plan)) = (sa.up_mut(), plan.filter(|plan| plan.listens())) else { return };
        if !up.heartbeats.take(number) {
            return count(&mut self.own.heartbeats_stale);
        }
        count(&mut self.own.heartbeats_received);
        // Those of an SA that was replaced end with its use.
        if up.replaced_by.is_none() {
            self.timers.set(TimerKey::HeartbeatsMissed(id), now + plan.patience());
        }
    }

    /// A newer SA takes the place of one: it sends from now on, and it is where a peer that was heard is waited for.
    pub(super) fn pass_heartbeats(&mut self, now: Instant, old: &IkeSa, new: &IkeSa) {
        for timer in [TimerKey::Heartbeat(old.core.id), TimerKey::HeartbeatsMissed(old.core.id)] {
            self.timers.cancel(&timer);
        }
        let plan = self.plan.connection(new.core.connection).map(|connection| connection.heartbeats);
        if let Some(plan) = plan.filter(|plan| plan.listens())
            && old.up().is_some_and(|up| up.heartbeats.is_heard())
        {
            self.timers.set(TimerKey::HeartbeatsMissed(new.core.id), now + plan.patience());
        }
    }

    /// Too many in a row did not come: the peer is dead.
    pub(super) fn heartbeats_missed(&mut self, now: Instant, id: IkeSaId) {
        let Some(sa) = self.table.take(id) else { return };
        let Some(connection) = self.plan.shared(sa.core.connection) else { return self.table.put(sa) };
        self.event(Event::HeartbeatsMissed { ike_sa: id, missed: connection.heartbeats.missed });
        self.peer_dead(now, sa, &connection);
    }
}
