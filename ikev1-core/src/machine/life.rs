use crate::action::{Action, Encapsulation, RemoveReason};
use crate::counters::count;
use crate::defaults;
use crate::error::Failure;
use crate::event::Event;
use crate::ids::{ChildId, IkeSaId, PolicyId, Role};
use crate::informational::delete;
use crate::informational::dpd::Dpd;
use crate::machine::Endpoint;
use crate::machine::child::Child;
use crate::machine::sa::{Core, Finished, IkeSa, Phase, Up, Waiting, failure_of};
use crate::machine::timers::TimerKey;
use crate::negotiate::Refusals;
use crate::phase1::Proven;
use crate::plan::{ConnectionPlan, DeadPeerAction};
use alloc::boxed::Box;
use alloc::vec::Vec;
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

    /// Ends phase 1 well: the SA is up, older ones of the same peer step back, what waits begins.
    pub(super) fn establish(&mut self, now: Instant, core: Core, connection: &ConnectionPlan, proven: Proven) -> IkeSa {
        let Proven { keys, iv, transform, peer, initial_contact } = proven;
        let life = transform.lifetime.seconds.map_or(connection.lifetime, Duration::from_secs);
        let life = life.max(defaults::MIN_PEER_LIFETIME);
        let soft = now + self.soft_limit(connection, core.role, life);
        let hard = now + life;
        let dpd = Dpd::new(connection.dpd, core.capabilities.dpd, now, &mut *self.rng);
        count(&mut self.counters.done_good);
        self.event(Event::Phase1Established {
            ike_sa: core.id,
            cookies: core.cookies,
            connection: core.connection,
            role: core.role,
            peer: peer.clone(),
            path: core.path,
            transform,
            lifetime: life,
            replaces: core.replaces,
        });
        self.timers.cancel(&TimerKey::Phase1(core.id));
        self.timers.set(TimerKey::IkeSoft(core.id), soft);
        self.timers.set(TimerKey::IkeHard(core.id), hard);
        if dpd.asks() {
            self.timers.set(TimerKey::Dpd(core.id), now + connection.dpd_idle);
        }
        if core.nat.is_local_behind() {
            self.timers.set(TimerKey::Keepalive(core.id), now + connection.keepalive);
        }
        let up = Up {
            keys,
            iv,
            transform,
            peer,
            since: now,
            lifetime: life,
            soft,
            hard,
            dpd,
            replaced_by: None,
            negotiations: 0,
            finished: Finished::default(),
        };
        let mut sa = core.with(Phase::Up(Box::new(up)));
        if initial_contact {
            self.on_initial_contact(&sa);
        } else {
            self.adopt(now, &sa, connection.delete_delay);
        }
        for waiting in core::mem::take(&mut sa.core.waiting) {
            self.start_quick(now, &mut sa, waiting);
        }
        sa
    }

    /// The peer knows no older SA: those of the same identity and address go.
    pub(super) fn on_initial_contact(&mut self, sa: &IkeSa) {
        let Some(peer) = sa.peer_key() else { return };
        let older: Vec<IkeSaId> = self
            .table
            .of_connection(peer.connection)
            .filter(|other| other.core.id != sa.core.id && other.peer_key().as_ref() == Some(&peer))
            .map(|other| other.core.id)
            .collect();
        let made_under_older = |child: &&Child| child.ike_sa != sa.core.id && child.peer == peer;
        let children: Vec<ChildId> =
            self.table.children_of_connection(peer.connection).filter(made_under_older).map(|child| child.id).collect();
        self.event(Event::InitialContact { ike_sa: sa.core.id, ike_sas: older.len(), children: children.len() });
        for child in children {
            self.remove_child(child, RemoveReason::InitialContact);
        }
        for older in older {
            if let Some(older) = self.table.take(older) {
                self.end_ike(older, RemoveReason::InitialContact, false);
            }
        }
    }

    /// Moves the IPsec SAs of the same peer under a new SA; the older ones are kept for a while only.
    fn adopt(&mut self, now: Instant, sa: &IkeSa, delete_delay: Duration) {
        let Some(peer) = sa.peer_key() else { return };
        let older: Vec<IkeSaId> = self
            .table
            .of_connection(peer.connection)
            .filter(|other| other.is_current() && other.peer_key().as_ref() == Some(&peer))
            .map(|other| other.core.id)
            .collect();
        for id in &older {
            let Some(mut other) = self.table.take(*id) else { continue };
            if let Some(up) = other.up_mut() {
                up.replaced_by = Some(sa.core.id);
            }
            self.table.put(other);
            for timer in [TimerKey::IkeSoft(*id), TimerKey::Dpd(*id), TimerKey::Keepalive(*id)] {
                self.timers.cancel(&timer);
            }
            if sa.core.role == Role::Initiator {
                self.timers.set(TimerKey::IkeRetire(*id), now + delete_delay);
            }
        }
        let moved: Vec<(ChildId, IkeSaId)> = self
            .table
            .children_of_connection(peer.connection)
            .filter(|child| child.peer == peer && child.ike_sa != sa.core.id)
            .map(|child| (child.id, child.ike_sa))
            .collect();
        for (child, _) in &moved {
            if let Some(child) = self.table.child_mut(*child) {
                child.ike_sa = sa.core.id;
            }
        }
        if let (Some((_, from)), count) = (moved.first(), moved.len()) {
            self.event(Event::SasAdopted { from: *from, to: sa.core.id, count });
        }
    }

    /// Ends phase 1 badly: nothing of it stays, and what waited for it fails too.
    pub(super) fn fail_phase1(&mut self, sa: IkeSa, failure: Failure) {
        self.timers.cancel(&TimerKey::Phase1(sa.core.id));
        count(&mut self.counters.done_phase1_failed);
        self.event(Event::Phase1Failed {
            ike_sa: sa.core.id,
            connection: Some(sa.core.connection),
            role: sa.core.role,
            path: sa.core.path,
            failure: failure.clone(),
            refusals: Refusals::default(),
        });
        for waiting in &sa.core.waiting {
            self.phase2_failed(&sa.core, *waiting, failure.clone());
        }
        self.table.forget(&sa);
    }

    pub(super) fn phase2_failed(&mut self, core: &Core, waiting: Waiting, failure: Failure) {
        count(&mut self.own.exchanges_failed);
        self.event(Event::Phase2Failed {
            child: waiting.child,
            ike_sa: Some(core.id),
            connection: core.connection,
            policy: Some(waiting.policy),
            role: Role::Initiator,
            failure,
            refusals: Refusals::default(),
            asked: None,
        });
    }

    /// Ends an SA that was taken out. Its exchanges are cut short; its IPsec SAs stay unless told.
    pub(super) fn end_ike(&mut self, mut sa: IkeSa, reason: RemoveReason, with_children: bool) {
        let id = sa.core.id;
        if sa.up().is_none() {
            return self.fail_phase1(sa, failure_of(&reason));
        }
        for message_id in sa.core.exchanges.keys().copied().collect::<Vec<u32>>() {
            self.drop_exchange(&mut sa, message_id, failure_of(&reason));
        }
        for timer in [
            TimerKey::IkeSoft(id),
            TimerKey::IkeHard(id),
            TimerKey::IkeRetire(id),
            TimerKey::Dpd(id),
            TimerKey::Keepalive(id),
        ] {
            self.timers.cancel(&timer);
        }
        self.table.forget(&sa);
        let under: Vec<ChildId> = self
            .table
            .children_of_connection(sa.core.connection)
            .filter(|child| child.ike_sa == id)
            .map(|child| child.id)
            .collect();
        let successor = sa.peer_key().and_then(|peer| self.table.current(&peer));
        for child in under {
            if with_children {
                self.remove_child(child, reason.clone());
            } else if let (Some(successor), Some(child)) = (successor, self.table.child_mut(child)) {
                child.ike_sa = successor;
            }
        }
        self.event(Event::IkeSaEnded { ike_sa: id, connection: sa.core.connection, reason });
    }

    /// Tells the peer that an SA and its IPsec SAs are gone: the IPsec SAs first.
    pub(super) fn tell_ike_end(&mut self, sa: &IkeSa, with_children: bool) {
        let send = self.plan.connection(sa.core.connection).is_some_and(|connection| connection.send_deletes);
        if !send || sa.up().is_none() {
            return;
        }
        if with_children {
            let under: Vec<ChildId> = self
                .table
                .children_of_connection(sa.core.connection)
                .filter(|child| child.ike_sa == sa.core.id)
                .map(|child| child.id)
                .collect();
            for child in under {
                self.tell_child_end(sa, child);
            }
        }
        self.inform_up(sa, &delete::of_isakmp(sa.core.cookies));
    }

    /// Tells the peer that one pair of IPsec SAs is gone.
    pub(super) fn tell_child_end(&mut self, sa: &IkeSa, child: ChildId) {
        if let Some(child) = self.table.child(child) {
            let chain = delete::of_child(child.protection.protocol(), child.inbound_spi);
            self.inform_up(sa, &chain);
        }
    }

    /// Ends a pair of IPsec SAs and tells the peer, if there is an SA to tell it under.
    pub(super) fn delete_child(&mut self, id: ChildId, reason: RemoveReason) {
        let Some(child) = self.table.child(id) else { return };
        let under = self.table.get(child.ike_sa).filter(|sa| sa.up().is_some()).map(|sa| sa.core.id);
        let under = under.or_else(|| self.table.current(&child.peer));
        let connection = child.peer.connection;
        let send = self.plan.connection(connection).is_some_and(|connection| connection.send_deletes);
        if let Some(sa) = under.filter(|_| send).and_then(|under| self.table.take(under)) {
            self.tell_child_end(&sa, id);
            self.table.put(sa);
        } else if !send {
            count(&mut self.counters.info_phase2_delete_off);
        }
        self.remove_child(id, reason);
    }

    /// Ends a pair of IPsec SAs.
    pub(super) fn remove_child(&mut self, id: ChildId, reason: RemoveReason) {
        let Some(child) = self.table.remove_child(id) else { return };
        for timer in [TimerKey::ChildSoft(id), TimerKey::ChildHard(id), TimerKey::ChildRetire(id)] {
            self.timers.cancel(&timer);
        }
        let removal = child.removal(reason.clone());
        self.out.action(Action::RemoveSa(removal));
        let (connection, policy) = (child.peer.connection, child.policy);
        self.event(Event::SaEnded { child: id, connection, policy, reason });
    }

    /// A message of the peer proved authentic: it lives, and it is where the message came from.
    pub(super) fn proved_alive(&mut self, now: Instant, sa: &mut IkeSa, path: Path) {
        if let Some(up) = sa.up_mut() {
            up.dpd.heard(now);
        }
        if path != sa.core.path {
            self.move_path(sa, path);
        }
    }

    /// Follows a peer whose NAT changed its mapping.
    pub(super) fn move_path(&mut self, sa: &mut IkeSa, path: Path) {
        let before = sa.peer_key();
        let from = core::mem::replace(&mut sa.core.path, path);
        for exchange in sa.core.exchanges.values_mut() {
            if let Some(request) = &mut exchange.request {
                request.redirect(path);
            }
        }
        self.event(Event::PathChanged { ike_sa: sa.core.id, from, to: path });
        let Some(before) = before else { return };
        let moved: Vec<ChildId> = self
            .table
            .children_of_connection(before.connection)
            .filter(|child| child.peer == before)
            .map(|child| child.id)
            .collect();
        for id in moved {
            let Some(child) = self.table.child_mut(id) else { continue };
            child.peer.address = path.remote.ip();
            if let Encapsulation::Udp(old) = &mut child.encapsulation
                && *old != path
            {
                *old = path;
                child.remote_end = path.remote.ip();
                self.out.action(Action::UpdatePath { child: id, path });
            }
        }
    }

    pub(super) fn ike_soft_due(&mut self, now: Instant, id: IkeSaId) {
        let Some(sa) = self.table.get(id) else { return };
        let Some(up) = sa.up() else { return };
        let (connection, path, hard) = (sa.core.connection, sa.core.path, up.hard);
        let at_work = |other: &IkeSa| other.core.replaces == Some(id);
        if !self.table.of_connection(connection).any(at_work) {
            self.start_main(now, connection, path, Some(id));
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
    pub(super) fn ike_hard_due(&mut self, id: IkeSaId) {
        let Some(sa) = self.table.take(id) else { return };
        let with_children = sa.is_current();
        self.tell_ike_end(&sa, with_children);
        self.end_ike(sa, RemoveReason::Expired, with_children);
    }

    pub(super) fn ike_retire_due(&mut self, id: IkeSaId) {
        let Some(sa) = self.table.take(id) else { return };
        self.tell_ike_end(&sa, false);
        self.end_ike(sa, RemoveReason::Replaced, false);
    }

    pub(super) fn keepalive_due(&mut self, now: Instant, id: IkeSaId) {
        let Some(sa) = self.table.get(id) else { return };
        let Some(connection) = self.plan.connection(sa.core.connection) else { return };
        self.timers.set(TimerKey::Keepalive(id), now + connection.keepalive);
        self.out.keepalive(sa.core.path);
    }

    pub(super) fn dpd_due(&mut self, now: Instant, id: IkeSaId) {
        let Some(sa) = self.table.take(id) else { return };
        let Some(connection) = self.plan.shared(sa.core.connection) else { return self.table.put(sa) };
        let Some(up) = sa.up().filter(|up| up.dpd.asks()) else { return self.table.put(sa) };
        let idle_until = up.dpd.last_heard() + connection.dpd_idle;
        if up.dpd.retries() == 0 && now < idle_until {
            self.timers.set(TimerKey::Dpd(id), idle_until);
            return self.table.put(sa);
        }
        let Some(_) = connection.backoff.gap(up.dpd.retries()) else {
            return self.peer_dead(now, sa, &connection);
        };
        self.table.put(sa);
        self.probe(now, id);
    }

    /// Asks the peer whether it lives, and waits for the answer.
    pub(super) fn probe(&mut self, now: Instant, id: IkeSaId) {
        let Some(mut sa) = self.table.take(id) else { return };
        let (cookies, backoff) =
            (sa.core.cookies, self.plan.connection(sa.core.connection).map(|connection| connection.backoff));
        if let (Some(up), Some(backoff)) = (sa.up_mut(), backoff) {
            let retries = up.dpd.retries();
            let (sequence, chain) = up.dpd.ask(cookies);
            self.event(Event::PeerProbed { ike_sa: id, sequence, retries });
            self.inform_up(&sa, &chain);
            self.timers.set(TimerKey::Dpd(id), now + backoff.gap(retries).unwrap_or_default());
        }
        self.table.put(sa);
    }

    /// Removes everything that is shared with a dead peer, and starts again if the plan says so.
    fn peer_dead(&mut self, now: Instant, sa: IkeSa, connection: &ConnectionPlan) {
        let (id, connection_id, path) = (sa.core.id, sa.core.connection, sa.core.path);
        let Some(peer) = sa.peer_key() else { return self.table.put(sa) };
        self.table.put(sa);
        let (children, policies): (Vec<ChildId>, Vec<PolicyId>) = self
            .table
            .children_of_connection(connection_id)
            .filter(|child| child.peer == peer)
            .map(|child| (child.id, child.policy))
            .unzip();
        let sas: Vec<IkeSaId> = self
            .table
            .of_connection(connection_id)
            .filter(|other| other.peer_key().as_ref() == Some(&peer))
            .map(|other| other.core.id)
            .collect();
        self.event(Event::PeerDead { ike_sa: id, connection: connection_id, children: children.clone() });
        for child in children {
            self.remove_child(child, RemoveReason::PeerDead);
        }
        for id in sas {
            if let Some(sa) = self.table.take(id) {
                self.end_ike(sa, RemoveReason::PeerDead, true);
            }
        }
        if connection.dead_peer == DeadPeerAction::Restart
            && let Some(id) = self.start_main(now, connection_id, path, None)
        {
            let mut wanted = policies;
            wanted.sort_unstable();
            wanted.dedup();
            for policy in wanted {
                let child = self.next_child_id();
                self.wait(id, Waiting { child, policy, replaces: None });
            }
        }
    }

    /// Lets a request wait for phase 1.
    pub(super) fn wait(&mut self, id: IkeSaId, waiting: Waiting) {
        if let Some(mut sa) = self.table.take(id) {
            count(&mut self.counters.acquire_queued);
            sa.core.waiting.push(waiting);
            self.table.put(sa);
        }
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
}
