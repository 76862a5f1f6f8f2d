use crate::action::RemoveReason;
use crate::command::{Command, Handle};
use crate::counters::count;
use crate::defaults;
use crate::error::{CommandError, Failure};
use crate::event::Event;
use crate::ids::{ChildId, ConnectionId, IkeSaId, PolicyId, Role, Ticket};
use crate::machine::phase2::FIRST_SPI;
use crate::machine::sa::{IkeSa, Quick, Waiting};
use crate::machine::timers::TimerKey;
use crate::machine::{Asked, Endpoint};
use crate::plan::{ConnectionPlan, Peer};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use drive::{Instant, Path};
use ipsec_wire::registry::ProtocolId;

impl Endpoint {
    pub(super) fn command(&mut self, now: Instant, command: Command) -> Result<Handle, CommandError> {
        if self.closed {
            return Err(CommandError::Closed);
        }
        match command {
            Command::Initiate { connection } => self.initiate(now, connection),
            Command::Acquire { connection, policy, .. } => {
                count(&mut self.counters.acquire);
                let plan = self.connection(connection)?;
                if plan.policy(policy).is_none() {
                    count(&mut self.counters.acquire_no_policy);
                    return Err(CommandError::UnknownPolicy(connection, policy));
                }
                self.acquire(now, connection, policy).map(Handle::Child)
            }
            Command::RekeyChild { child } => {
                self.known_child(child)?;
                Ok(self.renew_child(now, child).map_or(Handle::Done, Handle::Child))
            }
            Command::RekeyIke { ike_sa } => {
                let sa = self.known_ike(ike_sa)?;
                let (connection, path) = (sa.core.connection, sa.core.path);
                let new = self.start_phase1(now, connection, path, Some(ike_sa)).ok_or(CommandError::TooMany)?;
                Ok(Handle::Ike(new))
            }
            Command::DeleteChild { child } => {
                self.known_child(child)?;
                self.delete_child(child, RemoveReason::DeletedLocally);
                Ok(Handle::Done)
            }
            Command::DeleteIke { ike_sa } => {
                self.known_or_half_open(ike_sa)?;
                self.close(ike_sa);
                Ok(Handle::Done)
            }
            Command::CloseConnection { connection } => {
                self.connection(connection)?;
                self.close_connection(connection);
                Ok(Handle::Done)
            }
            Command::CloseAll => {
                let connections: Vec<ConnectionId> = self.plan.connections().map(|(id, _)| id).collect();
                for connection in connections {
                    self.close_connection(connection);
                }
                self.closed = true;
                self.event(Event::Closed);
                Ok(Handle::Done)
            }
            Command::ProvideSpi { ticket, spi } => self.provide_spi(now, ticket, spi),
            Command::ProvideVerdict { ticket, verdict } => self.provide_verdict(now, ticket, verdict),
            Command::ProvideAddress { ticket, address } => self.provide_address(now, ticket, address),
            Command::ProvideAnswer { ticket, answer } => self.provide_answer(now, ticket, answer.as_deref()),
            Command::CertificateVerdict { ticket, key } => self.certificate_verdict(now, ticket, key),
            Command::TrafficSeen { child } => {
                let under = self.known_child(child)?;
                if let Some(mut sa) = self.table.take(under) {
                    if let Some(up) = sa.up_mut() {
                        up.dpd.heard(now);
                    }
                    self.table.put(sa);
                }
                Ok(Handle::Done)
            }
            Command::PathLearned { child, path } => {
                let under = self.known_child(child)?;
                if let Some(mut sa) = self.table.take(under) {
                    let same_port = self.is_marked(path) == self.is_marked(sa.core.path);
                    if sa.core.nat.is_nat() && same_port && path != sa.core.path {
                        self.move_path(&mut sa, path);
                    }
                    self.table.put(sa);
                }
                Ok(Handle::Done)
            }
            Command::TrafficSent { child } => {
                let under = self.known_child(child)?;
                let keepalive = TimerKey::Keepalive(under);
                let period = self
                    .table
                    .get(under)
                    .and_then(|sa| self.plan.connection(sa.core.connection))
                    .map(|connection| connection.keepalive);
                if let (Some(period), Some(_)) = (period, self.timers.deadline(&keepalive)) {
                    self.timers.set(keepalive, now + period);
                }
                Ok(Handle::Done)
            }
            Command::Probe { ike_sa } => {
                let sa = self.known_ike(ike_sa)?;
                if sa.up().is_some_and(|up| up.dpd.asks()) {
                    self.probe(now, ike_sa);
                }
                Ok(Handle::Done)
            }
        }
    }

    fn connection(&self, id: ConnectionId) -> Result<Arc<ConnectionPlan>, CommandError> {
        self.plan.shared(id).ok_or(CommandError::UnknownConnection(id))
    }

    fn known_child(&self, child: ChildId) -> Result<IkeSaId, CommandError> {
        self.table.child(child).map(|child| child.ike_sa).ok_or(CommandError::UnknownChild(child))
    }

    fn known_ike(&self, ike_sa: IkeSaId) -> Result<&IkeSa, CommandError> {
        self.known_or_half_open(ike_sa).and_then(|sa| match sa.up() {
            Some(_) => Ok(sa),
            None => Err(CommandError::UnknownIkeSa(ike_sa)),
        })
    }

    fn known_or_half_open(&self, ike_sa: IkeSaId) -> Result<&IkeSa, CommandError> {
        self.table.get(ike_sa).ok_or(CommandError::UnknownIkeSa(ike_sa))
    }

    /// Returns the path on which this end may start phase 1 with the peer of a connection.
    fn first_path(&self, id: ConnectionId, connection: &ConnectionPlan) -> Result<Path, CommandError> {
        let Peer::Address(peer) = connection.peer else { return Err(CommandError::NoPeerAddress(id)) };
        let local = connection.local.ok_or(CommandError::NoLocalAddress(id))?;
        let remote = SocketAddr::new(peer, connection.peer_port);
        Ok(Path::new(SocketAddr::new(local, self.plan.ike_port), remote))
    }

    /// Returns the newest SA of a connection that is up, or one that this end is making.
    fn usable(&self, connection: ConnectionId) -> Option<IkeSaId> {
        let up = self.table.of_connection(connection).rev().find(|sa| sa.is_current());
        let coming =
            || self.table.of_connection(connection).find(|sa| sa.core.role == Role::Initiator && !sa.is_open());
        up.or_else(coming).map(|sa| sa.core.id)
    }

    /// Returns the SA of a connection that can be used, made if there is none.
    fn usable_or_new(&mut self, now: Instant, id: ConnectionId) -> Result<IkeSaId, CommandError> {
        if let Some(usable) = self.usable(id) {
            return Ok(usable);
        }
        let connection = self.connection(id)?;
        let path = self.first_path(id, &connection)?;
        count(&mut self.counters.acquire_no_sa);
        self.start_phase1(now, id, path, None).ok_or(CommandError::TooMany)
    }

    fn initiate(&mut self, now: Instant, id: ConnectionId) -> Result<Handle, CommandError> {
        let connection = self.connection(id)?;
        let ike_sa = self.usable_or_new(now, id)?;
        for (policy, _) in connection.policies() {
            if self.table.children_of_policy(id, policy).all(|child| child.superseded) {
                self.acquire(now, id, policy)?;
            }
        }
        Ok(Handle::Ike(ike_sa))
    }

    /// Makes a pair of IPsec SAs for a policy, or returns the one that is being made.
    pub(super) fn acquire(
        &mut self,
        now: Instant,
        id: ConnectionId,
        policy: PolicyId,
    ) -> Result<ChildId, CommandError> {
        let waiting =
            |sa: &IkeSa| sa.core.waiting.iter().find(|waiting| waiting.policy == policy).map(|waiting| waiting.child);
        let found = self.table.of_connection(id).find_map(waiting);
        if let Some(child) = found {
            count(&mut self.counters.acquire_equivalent_found);
            self.event(Event::AcquireQueued { connection: id, policy, merged: true });
            return Ok(child);
        }
        let at_work = |sa: &IkeSa| {
            let mut exchanges = sa.core.exchanges.values();
            let same = exchanges.find(|exchange| {
                exchange.policy == policy
                    && exchange.role == Role::Initiator
                    && matches!(exchange.state, Quick::Starting(_) | Quick::WaitHashSaNonce(_))
            });
            same.map(|exchange| exchange.child)
        };
        if let Some(child) = self.table.of_connection(id).find_map(at_work) {
            count(&mut self.counters.acquire_phase2_equivalent);
            return Ok(child);
        }
        let ike_sa = self.usable_or_new(now, id)?;
        self.quick_or_wait(now, ike_sa, policy, None)
    }

    /// Starts a quick mode under an SA that is open for it, or lets it wait for one that is not yet.
    pub(super) fn quick_or_wait(
        &mut self,
        now: Instant,
        ike_sa: IkeSaId,
        policy: PolicyId,
        replaces: Option<ChildId>,
    ) -> Result<ChildId, CommandError> {
        let under = self.with_capacity(now, ike_sa).ok_or(CommandError::TooMany)?;
        let Some(mut sa) = self.table.take(under) else { return Err(CommandError::UnknownIkeSa(ike_sa)) };
        let is_open = sa.is_open();
        if !is_open && sa.core.waiting.len() >= defaults::MAX_WAITING_ACQUIRES {
            self.table.put(sa);
            return Err(CommandError::TooMany);
        }
        let child = self.next_child_id();
        let waiting = Waiting { child, policy, replaces };
        if is_open {
            self.start_quick(now, &mut sa, waiting);
        } else {
            count(&mut self.counters.acquire_queued);
            let connection = sa.core.connection;
            self.event(Event::AcquireQueued { connection, policy, merged: false });
            sa.core.waiting.push(waiting);
        }
        self.table.put(sa);
        Ok(child)
    }

    fn provide_spi(&mut self, now: Instant, ticket: Ticket, spi: Option<u32>) -> Result<Handle, CommandError> {
        let Some((ike_sa, Asked::Spi(message_id, protocol))) = self.tickets.get(&ticket).copied() else {
            return Err(CommandError::UnknownTicket(ticket));
        };
        let last = if protocol == ProtocolId::IPCOMP { u32::from(u16::MAX) } else { u32::MAX };
        if let Some(reserved) = spi.filter(|spi| !(FIRST_SPI..=last).contains(spi)) {
            return Err(CommandError::ReservedSpi(reserved));
        }
        self.tickets.remove(&ticket);
        let Some(mut sa) = self.table.take(ike_sa) else { return Err(CommandError::UnknownTicket(ticket)) };
        match spi {
            Some(spi) => self.with_spi(now, &mut sa, message_id, (protocol, spi)),
            None => self.fail_exchange(&mut sa, message_id, Failure::NoSpi),
        }
        self.table.put(sa);
        Ok(Handle::Done)
    }

    /// Ends an SA and its IPsec SAs, and tells the peer.
    fn close(&mut self, id: IkeSaId) {
        let Some(sa) = self.table.take(id) else { return };
        self.tell_ike_end(&sa, true);
        self.end_ike(sa, RemoveReason::DeletedLocally, true);
    }

    fn close_connection(&mut self, connection: ConnectionId) {
        self.stop_retrying(connection);
        let children: Vec<ChildId> = self.table.children_of_connection(connection).map(|child| child.id).collect();
        for child in children {
            self.delete_child(child, RemoveReason::DeletedLocally);
        }
        let sas: Vec<IkeSaId> = self.table.of_connection(connection).map(|sa| sa.core.id).collect();
        for sa in sas {
            self.close(sa);
        }
    }
}
