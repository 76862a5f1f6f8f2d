use crate::action::{Action, Encapsulation, RemoveReason};
use crate::event::Event;
use crate::ids::{ChildId, IkeSaId, PolicyId};
use crate::machine::Endpoint;
use crate::machine::sa::IkeSa;
use crate::machine::timers::TimerKey;
use crate::plan::{ConnectionPlan, DeadPeerAction};
use alloc::vec::Vec;
use drive::{Instant, Path};

impl Endpoint {
    /// A message of the peer proved authentic: it lives, and it is where the message came from.
    pub(super) fn proved_alive(&mut self, now: Instant, sa: &mut IkeSa, path: Path) {
        if let Some(up) = sa.up_mut() {
            up.dpd.heard(now);
        }
        // A peer that was met on the NAT-T port does not go back to the other.
        if path != sa.core.path && (self.is_marked(path) || !self.is_marked(sa.core.path)) {
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
        let moved: Vec<ChildId> = self.table.children_of_peer(&before).map(|child| child.id).collect();
        for id in moved {
            self.table.move_peer(id, path.remote.ip());
            let Some(child) = self.table.child_mut(id) else { continue };
            if let Encapsulation::Udp(old) = &mut child.encapsulation
                && *old != path
            {
                *old = path;
                child.remote_end = path.remote.ip();
                self.out.action(Action::UpdatePath { child: id, path });
            }
        }
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
    pub(super) fn peer_dead(&mut self, now: Instant, sa: IkeSa, connection: &ConnectionPlan) {
        let (id, connection_id, path) = (sa.core.id, sa.core.connection, sa.core.path);
        let Some(peer) = sa.peer_key() else { return self.end_ike(sa, RemoveReason::PeerDead, true) };
        self.table.put(sa);
        let (children, policies): (Vec<ChildId>, Vec<PolicyId>) =
            self.table.children_of_peer(&peer).map(|child| (child.id, child.policy)).unzip();
        let sas: Vec<IkeSaId> = self.table.of_peer(&peer).map(|other| other.core.id).collect();
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
            && let Some(id) = self.start_phase1(now, connection_id, path, None)
        {
            let mut wanted = policies;
            wanted.sort_unstable();
            wanted.dedup();
            for policy in wanted {
                // What cannot even wait fails like what has begun: with its own event, or not at all.
                let _ = self.quick_or_wait(now, id, policy, None);
            }
        }
    }
}
