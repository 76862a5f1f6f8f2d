use crate::action::{Encapsulation, RemoveReason};
use crate::defaults;
use crate::event::Event;
use crate::ids::{ChildId, IkeSaId, Role};
use crate::machine::Endpoint;
use crate::machine::sa::{Core, IkeSa, Quick, Up};
use crate::machine::timers::TimerKey;
use crate::plan::ConnectionPlan;
use core::net::SocketAddr;
use core::time::Duration;
use drive::{Instant, Path};

impl Endpoint {
    /// Returns when an SA is renewed: a part of its life by role, less a random part so that SAs made
    /// together do not expire together.
    pub(super) fn soft_limit(&mut self, connection: &ConnectionPlan, role: Role, life: Duration) -> Duration {
        let part = match role {
            Role::Initiator => connection.soft_per_mille.0,
            Role::Responder => connection.soft_per_mille.1,
        };
        // A draw of 16 bits is fine enough, and lives of a year stay far from overflow.
        let draw = u64::from(self.rng.next_u32() >> 16);
        let per_mille = u64::try_from(life.as_micros()).unwrap_or(u64::MAX) / 1_000;
        let soft = per_mille.saturating_mul(part.into());
        let jitter = per_mille.saturating_mul(connection.jitter_per_mille.into()).saturating_mul(draw) >> 16;
        Duration::from_micros(soft.saturating_sub(jitter))
    }

    /// Counts a quick mode that begins under an ISAKMP SA. When it has carried as many as it may, it is renewed: by
    /// the end that made it at once, by the other one only if that does not. One that is for a single quick mode
    /// ends after it, RFC 2409 §8.
    pub(super) fn carries_one_more(&mut self, now: Instant, core: &Core, up: &mut Up, connection: &ConnectionPlan) {
        up.negotiations = up.negotiations.saturating_add(1);
        let (id, carried) = (core.id, up.negotiations);
        if connection.pfs_identities {
            up.spent = true;
            self.timers.cancel(&TimerKey::IkeSoft(id));
            self.timers.set(TimerKey::IkeRetire(id), now + spent_for(connection));
        } else if connection.phase2_limit.is_some_and(|limit| carried >= limit.into()) {
            let late = match core.role {
                Role::Initiator => Duration::ZERO,
                Role::Responder => defaults::MESSAGE_TIMEOUT,
            };
            self.timers.set(TimerKey::IkeSoft(id), now + late);
        }
    }

    /// Returns the SA under which a quick mode begins where `id` was meant: its successor if it may carry no
    /// more, started if it is not at work; one of its own where each is for a single quick mode.
    pub(super) fn with_capacity(&mut self, now: Instant, id: IkeSaId) -> Option<IkeSaId> {
        let sa = self.table.get(id)?;
        let connection = self.plan.connection(sa.core.connection)?;
        let is_free = |sa: &IkeSa| sa.core.waiting.is_empty() && sa.up().is_none_or(|up| !up.spent);
        if connection.pfs_identities && !is_free(sa) {
            return self.start_phase1(now, sa.core.connection, sa.core.path, None);
        }
        let limit = connection.phase2_limit.filter(|_| !connection.pfs_identities);
        let carried = sa.up().map_or(0, |up| up.negotiations);
        if limit.is_none_or(|limit| carried < limit.into()) {
            return Some(id);
        }
        let (connection, path) = (sa.core.connection, sa.core.path);
        let at_work = self.table.renewal_of(id);
        at_work.or_else(|| self.start_phase1(now, connection, path, Some(id)))
    }

    pub(super) fn ike_soft_due(&mut self, now: Instant, id: IkeSaId) {
        let Some(sa) = self.table.get(id) else { return };
        let Some(up) = sa.up().filter(|up| up.replaced_by.is_none() && !up.spent) else { return };
        if self.is_extended(sa) {
            return;
        }
        let (connection, path, hard) = (sa.core.connection, sa.core.path, up.hard);
        if self.table.renewal_of(id).is_none() {
            self.start_phase1(now, connection, path, Some(id));
        }
        self.try_again(now, TimerKey::IkeSoft(id), hard);
    }

    /// Sets a soft limit again, so that a renewal that fails is tried again before the end.
    pub(super) fn try_again(&mut self, now: Instant, key: TimerKey, hard: Instant) {
        let left = hard - now;
        let at = now + (left / 2).max(Duration::from_secs(1));
        if at < hard {
            self.timers.set(key, at);
        }
    }

    /// An SA came to its end without a successor: it ends with all that it carries.
    pub(super) fn ike_hard_due(&mut self, now: Instant, id: IkeSaId) {
        let Some(mut sa) = self.table.take(id) else { return };
        if self.extend(now, &mut sa) {
            return self.table.put(sa);
        }
        let with_children = sa.is_current();
        self.tell_ike_end(&sa, with_children);
        self.end_ike(sa, RemoveReason::Expired, with_children);
    }

    pub(super) fn ike_retire_due(&mut self, now: Instant, id: IkeSaId) {
        let Some(sa) = self.table.take(id) else { return };
        let spent = sa.up().is_some_and(|up| up.spent);
        if spent
            && !sa.core.exchanges.is_empty()
            && let Some(connection) = self.plan.connection(sa.core.connection)
        {
            // Its quick mode is at work still, or may have to be answered again.
            self.timers.set(TimerKey::IkeRetire(id), now + spent_for(connection));
            return self.table.put(sa);
        }
        self.tell_ike_end(&sa, false);
        self.end_ike(sa, if spent { RemoveReason::Spent } else { RemoveReason::Replaced }, false);
    }

    pub(super) fn child_soft_due(&mut self, now: Instant, id: ChildId) {
        let Some(child) = self.table.child(id) else { return };
        let (_, hard) = child.limits();
        if child.superseded || !child.complete {
            return;
        }
        self.event(Event::SaExpired { child: id, hard: false });
        self.renew_child(now, id);
        self.try_again(now, TimerKey::ChildSoft(id), hard);
    }

    pub(super) fn child_hard_due(&mut self, id: ChildId) {
        self.event(Event::SaExpired { child: id, hard: true });
        self.delete_child(id, RemoveReason::Expired);
    }

    pub(super) fn child_retire_due(&mut self, id: ChildId) {
        self.delete_child(id, RemoveReason::Replaced);
    }

    /// Renews a pair of IPsec SAs, unless that is at work; phase 1 first if there is none.
    pub(super) fn renew_child(&mut self, now: Instant, id: ChildId) -> Option<ChildId> {
        let child = self.table.child(id)?;
        let (connection, policy, peer) = (child.peer.connection, child.policy, child.peer.clone());
        let encapsulation = child.encapsulation;
        let ends = (child.local_end, child.remote_end);
        let renewal = |sa: &IkeSa| {
            let exchange = sa
                .core
                .exchanges
                .values()
                .find(|exchange| exchange.replaces == Some(id) && !matches!(exchange.state, Quick::Done));
            let waiting = sa.core.waiting.iter().find(|waiting| waiting.replaces == Some(id));
            exchange.map(|exchange| exchange.child).or(waiting.map(|waiting| waiting.child))
        };
        if let Some(at_work) = self.table.perhaps_of_peer(&peer).find_map(renewal) {
            return Some(at_work);
        }
        let ike_sa = match self.table.current(&peer) {
            Some(current) => current,
            None => {
                let plan = self.plan.shared(connection)?;
                let path = match encapsulation {
                    Encapsulation::Udp(path) => path,
                    Encapsulation::Native => {
                        Path::new(SocketAddr::new(ends.0, self.plan.ike_port), SocketAddr::new(ends.1, plan.peer_port))
                    }
                };
                let coming = self
                    .table
                    .perhaps_of_peer(&peer)
                    .find(|sa| sa.core.role == Role::Initiator && !sa.is_open())
                    .map(|sa| sa.core.id);
                coming.or_else(|| self.start_phase1(now, connection, path, None))?
            }
        };
        self.quick_or_wait(now, ike_sa, policy, Some(id)).ok()
    }
}

/// Returns how long an SA is kept that was for one quick mode: as long as that may have to be answered again.
fn spent_for(connection: &ConnectionPlan) -> Duration {
    connection.delete_delay.saturating_add(Duration::from_secs(1))
}
