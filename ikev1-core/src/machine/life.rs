use crate::action::{Action, RemoveReason};
use crate::counters::count;
use crate::defaults;
use crate::error::Failure;
use crate::event::Event;
use crate::ids::{ChildId, IkeSaId, Role};
use crate::informational::delete;
use crate::informational::dpd::Dpd;
use crate::informational::heartbeat::Heartbeats;
use crate::machine::Endpoint;
use crate::machine::child::Child;
use crate::machine::sa::{Core, Finished, IkeSa, Phase, Up, Waiting, failure_of};
use crate::machine::session::Session;
use crate::machine::timers::TimerKey;
use crate::negotiate::Refusals;
use crate::phase1::Proven;
use crate::plan::ConnectionPlan;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;
use drive::Instant;
use ipsec_wire::registry::NotifyType;

impl Endpoint {
    /// Ends phase 1 well: the SA is up, and phase 1.5 begins.
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
        self.begin_heartbeats(now, core.id, connection);
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
            heartbeats: Heartbeats::default(),
            replaced_by: None,
            negotiations: 0,
            spent: false,
            finished: Finished::default(),
            session: Session::new(connection, initial_contact),
        };
        let mut sa = core.with(Phase::Up(Box::new(up)));
        self.begin_session(now, &mut sa, connection);
        sa
    }

    /// The peer knows no older SA: those of the same identity and address go, unless that is not to be obeyed.
    ///
    /// Some peers say it in a message of its own, which may come late: newer SAs stay, and of the pairs that this SA
    /// took over those go that were made before it.
    pub(super) fn on_initial_contact(&mut self, sa: &IkeSa) {
        let Some(peer) = sa.peer_key() else { return };
        if self.plan.connection(peer.connection).is_none_or(|connection| connection.ignore_initial_contact) {
            let notify = NotifyType::INITIAL_CONTACT;
            self.event(Event::NotifyReceived { ike_sa: sa.core.id, notify, protected: true, spi: None });
            return;
        }
        let older: Vec<IkeSaId> =
            self.table.of_peer(&peer).filter(|other| other.core.id < sa.core.id).map(|other| other.core.id).collect();
        // SAs and pairs are numbered as one.
        let made_before = |child: &&Child| child.id.0 < sa.core.id.0;
        let children: Vec<ChildId> =
            self.table.children_of_peer(&peer).filter(made_before).map(|child| child.id).collect();
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
    pub(super) fn adopt(&mut self, now: Instant, sa: &IkeSa, delete_delay: Duration) {
        let Some(peer) = sa.peer_key() else { return };
        let older: Vec<IkeSaId> =
            self.table.of_peer(&peer).filter(|other| other.is_current()).map(|other| other.core.id).collect();
        for id in &older {
            let Some(mut other) = self.table.take(*id) else { continue };
            if let Some(up) = other.up_mut() {
                up.replaced_by = Some(sa.core.id);
            }
            self.pass_heartbeats(now, &other, sa);
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
            .children_of_peer(&peer)
            .filter(|child| child.ike_sa != sa.core.id)
            .map(|child| (child.id, child.ike_sa))
            .collect();
        for (child, _) in &moved {
            self.table.move_child(*child, sa.core.id);
        }
        if let (Some((_, from)), count) = (moved.first(), moved.len()) {
            self.event(Event::SasAdopted { from: *from, to: sa.core.id, count });
        }
    }

    /// Ends phase 1 badly: nothing of it stays, and what waited for it fails too.
    pub(super) fn fail_phase1(&mut self, sa: IkeSa, failure: Failure) {
        self.timers.cancel(&TimerKey::Phase1(sa.core.id));
        if let Phase::Judging(ticket, _) = &sa.phase {
            self.tickets.remove(ticket);
        }
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
        if sa.core.role == Role::Initiator {
            // A renewal is tried again by its own timer.
            let first = sa.core.waiting.iter().filter(|waiting| waiting.replaces.is_none());
            self.try_later(sa.core.connection, first.map(|waiting| waiting.policy), &failure);
        }
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
        for waiting in core::mem::take(&mut sa.core.waiting) {
            self.phase2_failed(&sa.core, waiting, failure_of(&reason));
        }
        self.end_session(&mut sa);
        for timer in [
            TimerKey::IkeSoft(id),
            TimerKey::IkeHard(id),
            TimerKey::IkeRetire(id),
            TimerKey::Dpd(id),
            TimerKey::Heartbeat(id),
            TimerKey::HeartbeatsMissed(id),
            TimerKey::Keepalive(id),
        ] {
            self.timers.cancel(&timer);
        }
        self.table.forget(&sa);
        let under: Vec<ChildId> = self.table.children_under(id).map(|child| child.id).collect();
        let successor = sa.peer_key().and_then(|peer| self.table.current(&peer));
        for child in under {
            if with_children {
                self.remove_child(child, reason.clone());
            } else if let Some(successor) = successor {
                self.table.move_child(child, successor);
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
            let under: Vec<ChildId> = self.table.children_under(sa.core.id).map(|child| child.id).collect();
            for child in under {
                self.tell_child_end(sa, child);
            }
        }
        self.inform_up(sa, &delete::of_isakmp(sa.core.cookies));
    }

    /// Tells the peer that one pair of IPsec SAs is gone.
    pub(super) fn tell_child_end(&mut self, sa: &IkeSa, child: ChildId) {
        if let Some(child) = self.table.child(child) {
            let chain = delete::of_child(&child.sas);
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
}
