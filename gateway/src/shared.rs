//! Peers that cannot be told apart by address: several behind one NAT, in transport mode, RFC 3948 §5.2.
//!
//! To this machine and its programs they are one, the NAT. Who of them began to use a protocol with a pair of ports
//! keeps it, until it is gone or has been silent for a while: answers go to it alone. Another that uses the same is
//! lent a port of its own towards the programs; what has no ports is dropped. What nobody used yet goes to the peer
//! that is here longest.

use crate::carriers::Rank;
use crate::counters::count;
use crate::defaults::{FLOW_AGE, MAX_FLOWS};
use crate::inbound::DropReason;
use crate::lent_ports::{End, write_port};
use crate::pair::Pair;
use crate::pump::Gateway;
use crate::route::ports;
use crate::session::SessionId;
use alloc::collections::BTreeMap;
use core::cmp::Reverse;
use core::net::IpAddr;
use drive::Instant;
use ikev1_core::ChildId;
use ikev1_core::proposal::Mode;
use spd::{PacketKey, TemplateId};

/// What programs tell each other apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flow {
    local: IpAddr,
    remote: IpAddr,
    protocol: Option<u8>,
    ports: Option<(u16, u16)>,
}

impl Flow {
    pub(crate) fn of(key: &PacketKey) -> Self {
        Self { local: key.local, remote: key.remote, protocol: key.protocol, ports: ports(key.upper) }
    }

    /// Returns the local and the remote port, if there are any.
    pub(crate) const fn ports(&self) -> Option<(u16, u16)> {
        self.ports
    }

    /// Returns the flow with another remote port.
    pub(crate) fn with_remote_port(self, port: u16) -> Self {
        Self { ports: self.ports.map(|(local, _)| (local, port)), ..self }
    }
}

/// Which session uses which flow. What was not used for [`FLOW_AGE`] to twice that is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    young: BTreeMap<Flow, SessionId>,
    old: BTreeMap<Flow, SessionId>,
    turned: Instant,
}

impl Flows {
    fn owner(&mut self, now: Instant, flow: Flow) -> Option<SessionId> {
        if now - self.turned >= FLOW_AGE {
            let idle = now - self.turned >= FLOW_AGE * 2;
            self.old = core::mem::take(&mut self.young);
            if idle {
                self.old.clear();
            }
            self.turned = now;
        }
        self.young.get(&flow).or_else(|| self.old.get(&flow)).copied()
    }

    fn is_used(&self, flow: Flow) -> bool {
        self.young.contains_key(&flow) || self.old.contains_key(&flow)
    }

    /// Notes that a session uses a flow; `false` if there is no room.
    fn note(&mut self, flow: Flow, session: SessionId) -> bool {
        let room = self.young.len() < MAX_FLOWS || self.young.contains_key(&flow);
        if room {
            self.young.insert(flow, session);
        }
        room
    }
}

/// Returns whether the peer of a pair may look like others.
fn may_be_shared(pair: &Pair) -> bool {
    pair.mode == Mode::Transport && pair.ends.translated && pair.session.is_some()
}

impl Gateway {
    /// Returns the pair that carries a packet: the newest that may, of the peer that uses the flow.
    pub(crate) fn carrier(&mut self, now: Instant, template: TemplateId, key: &PacketKey) -> Option<ChildId> {
        let route = self.routes.of(template)?;
        let newest = route.carriers.newest(key)?;
        if !may_be_shared(self.pairs.get(&newest)?) {
            return Some(newest);
        }
        let flow = Flow::of(key);
        let owner = self.flows.owner(now, flow);
        let of = |(rank, child): (Rank, ChildId)| Some((self.pairs.get(&child)?.session?, rank, child));
        let all = || route.carriers.each(key).filter_map(of);
        let newest_of = |owner| all().filter(|(session, ..)| *session == owner).max_by_key(|(_, rank, _)| *rank);
        let longest_here = || all().min_by_key(|(session, rank, _)| (*session, Reverse(*rank)));
        let (session, _, child) = owner.and_then(newest_of).or_else(longest_here)?;
        // Without room the flow belongs to nobody, and takes this way again.
        let _ = self.flows.note(flow, session);
        Some(child)
    }

    /// Returns the newest pair of a session that may carry a packet.
    pub(crate) fn carrier_of(&self, template: TemplateId, key: &PacketKey, session: SessionId) -> Option<ChildId> {
        let carriers = self.routes.of(template)?.carriers.each(key);
        let of_session = |child: &ChildId| self.pairs.get(child).and_then(|pair| pair.session) == Some(session);
        carriers.filter(|(_, child)| of_session(child)).max_by_key(|(rank, _)| *rank).map(|(_, child)| child)
    }

    /// Notes who uses the flow of a packet that came from a peer; where another does, the peer is lent a port, which is
    /// written into the packet.
    pub(crate) fn claim(
        &mut self,
        now: Instant,
        child: ChildId,
        key: &PacketKey,
        packet: &mut [u8],
    ) -> Result<(), DropReason> {
        let pair = self.pairs.get(&child).filter(|pair| may_be_shared(pair));
        let Some(session) = pair.and_then(|pair| pair.session) else { return Ok(()) };
        let flow = Flow::of(key);
        let owner = self.flows.owner(now, flow).filter(|owner| self.sessions.is_up(*owner));
        let free = owner.is_none_or(|owner| owner == session) && !self.lent_ports.is_lent(flow);
        if free && self.flows.note(flow, session) {
            return Ok(());
        }
        let (flows, before) = (&self.flows, self.lent_ports.len());
        let port = self.lent_ports.lend(now, session, flow, |flow| flows.is_used(flow));
        if self.lent_ports.len() > before {
            count(&mut self.counters.in_ports_lent);
        }
        if port.and_then(|port| write_port(packet, End::Source, port)).is_none() {
            count(&mut self.counters.in_flow_taken);
            return Err(DropReason::FlowTaken);
        }
        Ok(())
    }
}

#[cfg(test)]
impl Flow {
    pub(crate) fn of_test(port: u16) -> Self {
        Self {
            local: [192, 0, 2, 1].into(),
            remote: [192, 0, 2, 2].into(),
            protocol: Some(17),
            ports: Some((1701, port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionId;

    fn flow(port: u16) -> Flow {
        Flow::of_test(port)
    }

    #[test]
    fn a_flow_is_kept_while_it_is_used_and_forgotten_when_it_was_not() {
        let mut flows = Flows::default();
        let mut now = Instant::from_secs(1_000);
        assert_eq!(flows.owner(now, flow(1)), None);
        assert!(flows.note(flow(1), SessionId::of_test(1)) && flows.note(flow(2), SessionId::of_test(2)));
        for _ in 0..10 {
            now += FLOW_AGE / 2;
            assert_eq!(flows.owner(now, flow(1)), Some(SessionId::of_test(1)));
            assert!(flows.note(flow(1), SessionId::of_test(1)));
        }
        assert_eq!(flows.owner(now, flow(2)), None);
        assert_eq!(flows.owner(now + FLOW_AGE * 3, flow(1)), None);
    }

    #[test]
    fn flows_beyond_the_limit_are_not_noted_and_those_that_are_stay() {
        let mut flows = Flows::default();
        let many = (0..u16::MAX).map(flow);
        assert_eq!(many.filter(|flow| flows.note(*flow, SessionId::of_test(1))).count(), MAX_FLOWS.min(65_535));
        let mut other = flow(7);
        other.protocol = Some(6);
        let room = flows.young.len() < MAX_FLOWS;
        assert_eq!(flows.note(other, SessionId::of_test(2)), room);
        assert!(flows.note(flow(3), SessionId::of_test(1)));
    }
}
