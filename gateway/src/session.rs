//! Tunnels to peers: one is up with the first pair of a policy, and down with the last.
//!
//! Pairs that renew each other, and those to the same peer under the same policy, are one session.

use crate::action::Event;
use crate::contest::Who;
use crate::pair::Pair;
use crate::pump::Gateway;
use crate::route_template::RouteTemplate;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;
use drive::Instant;
use ikev1_core::{ChildId, ConnectionId, PolicyId, RemoveReason, TrafficSelector};
use sad::SaHandle;
use spd::TemplateId;

/// What went through a session: packets, and octets of the packets inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets received.
    pub in_packets: u64,
    /// Their octets.
    pub in_octets: u64,
    /// Packets sent.
    pub out_packets: u64,
    /// Their octets.
    pub out_octets: u64,
}

impl Traffic {
    fn add(&mut self, other: Self) {
        let sums = [&mut self.in_packets, &mut self.in_octets, &mut self.out_packets, &mut self.out_octets];
        let others = [other.in_packets, other.in_octets, other.out_packets, other.out_octets];
        for (sum, more) in sums.into_iter().zip(others) {
            *sum = sum.saturating_add(more);
        }
    }
}

/// A tunnel to a peer, as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionStatus {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its policy.
    pub policy: PolicyId,
    /// The peer; port 0 where packets do not travel in UDP.
    pub peer: SocketAddr,
    /// When it came up.
    pub since: Instant,
    /// Pairs of associations that it has, those that are being replaced included.
    pub pairs: usize,
    /// What went through it, through pairs that are gone too.
    pub traffic: Traffic,
}

/// The number of a session: those that began earlier have lower ones, and none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionId(u64);

#[cfg(test)]
impl SessionId {
    pub(crate) const fn of_test(number: u64) -> Self {
        Self(number)
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
    by_peer: BTreeMap<(TemplateId, SocketAddr), SessionId>,
    begun: u64,
}

#[derive(Debug)]
struct Session {
    template: TemplateId,
    who: Option<Who>,
    status: SessionStatus,
    /// What its pairs reach, and how many do.
    reaches: BTreeMap<TrafficSelector, usize>,
}

impl Sessions {
    /// Adds a pair to the session of its peer, or of the pair it renews; tells whether the session is new.
    fn join(
        &mut self,
        template: TemplateId,
        renews: Option<SessionId>,
        who: Option<&Who>,
        begins: SessionStatus,
    ) -> (SessionId, bool) {
        let key = (template, begins.peer);
        let known = renews.or_else(|| self.by_peer.get(&key).copied());
        if let Some((id, session)) = known.and_then(|id| Some((id, self.sessions.get_mut(&id)?))) {
            session.status.pairs = session.status.pairs.saturating_add(1);
            return (id, false);
        }
        self.begun = self.begun.saturating_add(1);
        let id = SessionId(self.begun);
        self.sessions.insert(id, Session { template, who: who.cloned(), status: begins, reaches: BTreeMap::new() });
        self.by_peer.insert(key, id);
        (id, true)
    }

    /// Takes a pair away; returns the session if that was its last.
    fn leave(&mut self, id: SessionId, traffic: Traffic) -> Option<SessionStatus> {
        let session = self.sessions.get_mut(&id)?;
        session.status.traffic.add(traffic);
        session.status.pairs = session.status.pairs.saturating_sub(1);
        if session.status.pairs > 0 {
            return None;
        }
        let Session { template, status, .. } = self.sessions.remove(&id)?;
        self.forget((template, status.peer), id);
        Some(status)
    }

    /// Notes that a pair of a session reaches this; tells whether none did before.
    fn reach(&mut self, id: SessionId, to: TrafficSelector) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        let pairs = session.reaches.entry(to).or_default();
        *pairs = pairs.saturating_add(1);
        *pairs == 1
    }

    /// Notes that a pair that reached this goes; returns the session if none of its pairs does any more.
    fn reach_no_more(&mut self, id: SessionId, to: TrafficSelector) -> Option<SessionStatus> {
        let session = self.sessions.get_mut(&id)?;
        let pairs = session.reaches.get_mut(&to)?;
        *pairs = pairs.saturating_sub(1);
        if *pairs > 0 {
            return None;
        }
        session.reaches.remove(&to);
        Some(session.status)
    }

    /// Returns who the peer of a session is.
    pub(crate) fn who(&self, id: SessionId) -> Option<&Who> {
        self.sessions.get(&id)?.who.as_ref()
    }

    /// Returns whether a session is still up.
    pub(crate) fn is_up(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// Notes that the peer of a session is elsewhere now.
    pub(crate) fn move_to(&mut self, id: SessionId, peer: SocketAddr) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (template, before) = (session.template, session.status.peer);
        session.status.peer = peer;
        self.forget((template, before), id);
        self.by_peer.insert((template, peer), id);
    }

    fn forget(&mut self, key: (TemplateId, SocketAddr), id: SessionId) {
        if self.by_peer.get(&key) == Some(&id) {
            self.by_peer.remove(&key);
        }
    }
}

impl Gateway {
    /// Adds a pair, which may send from now on, to its session.
    pub(crate) fn session_joined(&mut self, now: Instant, install: &ikev1_core::InstallSa) {
        let renews = install.replaces.and_then(|old| self.pairs.get(&old)).and_then(|old| old.session);
        let Some(pair) = self.pairs.get_mut(&install.child) else { return };
        let (connection, policy, peer) = (install.connection, install.policy, pair.path.remote);
        let begins = SessionStatus { connection, policy, peer, since: now, pairs: 1, traffic: Traffic::default() };
        let (id, new) = self.sessions.join(pair.template, renews, self.peers.of(install.ike_sa), begins);
        pair.session = Some(id);
        let (local, remote, route) = (pair.local, pair.remote, pair.template);
        if new {
            self.news(Event::SessionUp { connection, policy, peer, child: install.child, local, remote });
        }
        if self.sessions.reach(id, remote)
            && let Some(template) = self.route_template(route)
        {
            self.news(Event::RouteWanted { template, connection, policy, peer, to: remote });
        }
    }

    fn route_template(&self, route: TemplateId) -> Option<RouteTemplate> {
        self.routes.of(route)?.route_template.clone()
    }

    /// Takes a pair away from its session.
    pub(crate) fn session_left(&mut self, now: Instant, child: ChildId, pair: &Pair, reason: RemoveReason) {
        let Some(session) = pair.session else { return };
        let traffic = self.traffic_of(pair);
        if let Some(status) = self.sessions.reach_no_more(session, pair.remote)
            && let Some(template) = self.route_template(pair.template)
        {
            let SessionStatus { connection, policy, peer, .. } = status;
            self.news(Event::RouteUnwanted { template, connection, policy, peer, to: pair.remote });
        }
        let Some(SessionStatus { connection, policy, peer, since, traffic, .. }) =
            self.sessions.leave(session, traffic)
        else {
            return;
        };
        self.lent_ports.forget(session);
        self.news(Event::SessionDown { connection, policy, peer, child, reason, lasted: now - since, traffic });
    }

    /// The innermost association counts the octets of the packets themselves.
    fn traffic_of(&self, pair: &Pair) -> Traffic {
        let counted = |association: Option<SaHandle>| {
            let status = association.and_then(|association| self.sad.status(association));
            let counters = status.and_then(|status| status.detail).map(|detail| detail.counters);
            counters.map_or((0, 0), |counters| (counters.packets(), counters.octets()))
        };
        let (in_packets, in_octets) = counted(pair.inbound.associations().next());
        let (out_packets, out_octets) = counted(pair.outbound.associations().next());
        Traffic { in_packets, in_octets, out_packets, out_octets }
    }

    /// Returns the sessions, oldest first.
    pub(crate) fn session_status(&self) -> Vec<SessionStatus> {
        let mut sessions: BTreeMap<SessionId, SessionStatus> =
            self.sessions.sessions.iter().map(|(id, session)| (*id, session.status)).collect();
        for pair in self.pairs.values() {
            if let Some(status) = pair.session.and_then(|id| sessions.get_mut(&id)) {
                status.traffic.add(self.traffic_of(pair));
            }
        }
        sessions.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn begins(port: u16) -> SessionStatus {
        SessionStatus {
            connection: ConnectionId(0),
            policy: PolicyId(0),
            peer: (Ipv4Addr::new(192, 0, 2, 1), port).into(),
            since: Instant::ZERO,
            pairs: 1,
            traffic: Traffic::default(),
        }
    }

    #[test]
    fn pairs_to_one_peer_are_one_session_and_those_behind_its_nat_are_others() {
        let mut sessions = Sessions::default();
        let (first, new) = sessions.join(TemplateId(0), None, None, begins(4500));
        assert!(new);
        assert_eq!(sessions.join(TemplateId(0), None, None, begins(4500)), (first, false));
        let (other, new) = sessions.join(TemplateId(0), None, None, begins(4501));
        assert!(new && other != first);
        assert!(sessions.join(TemplateId(1), None, None, begins(4500)).1, "another policy");
        let once = Traffic { in_packets: 1, in_octets: 2, out_packets: 3, out_octets: 4 };
        assert_eq!(sessions.leave(first, once), None);
        let twice = Traffic { in_packets: 2, in_octets: 4, out_packets: 6, out_octets: 8 };
        assert_eq!(sessions.leave(first, once).unwrap().traffic, twice);
        assert_eq!(sessions.leave(first, once), None, "it is gone");
        assert!(sessions.join(TemplateId(0), None, None, begins(4500)).1);
    }

    #[test]
    fn a_peer_that_moves_keeps_its_session_and_leaves_its_place_to_others() {
        let mut sessions = Sessions::default();
        let (first, _) = sessions.join(TemplateId(0), None, None, begins(1));
        sessions.move_to(first, begins(2).peer);
        assert_eq!(sessions.join(TemplateId(0), None, None, begins(2)), (first, false));
        assert_eq!(
            sessions.join(TemplateId(0), Some(first), None, begins(9)),
            (first, false),
            "renewed from elsewhere"
        );
        let (second, new) = sessions.join(TemplateId(0), None, None, begins(1));
        assert!(new);
        // The second now moves to where the first is believed to be, and the first ends.
        sessions.move_to(second, begins(2).peer);
        for _ in 0..3 {
            let _ = sessions.leave(first, Traffic::default());
        }
        assert_eq!(sessions.join(TemplateId(0), None, None, begins(2)), (second, false));
    }
}
