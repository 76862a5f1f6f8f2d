use crate::action::{Action, Direction, Encapsulation, InstallSa, Lifetimes, ProtocolSa, SpiPair};
use crate::counters::count;
use crate::defaults;
use crate::event::Event;
use crate::ids::{ChildId, Role};
use crate::machine::Endpoint;
use crate::machine::child::Child;
use crate::machine::sa::{Exchange, IkeSa};
use crate::machine::timers::TimerKey;
use crate::plan::ConnectionPlan;
use crate::proposal::{Lifetime, Mode};
use crate::quick::{Agreement, Half};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;
use drive::{Instant, SecretBytes};

impl Endpoint {
    /// Adds a pair of IPsec SAs, of which no half is installed yet.
    pub(super) fn add_child(
        &mut self,
        now: Instant,
        sa: &IkeSa,
        connection: &ConnectionPlan,
        exchange: &mut Exchange,
        agreement: &Agreement,
        (inbound, outbound): (&Half, &Half),
    ) {
        let Some(peer) = sa.peer_key() else { return };
        let seconds = agreement.lifetime.seconds.unwrap_or(Lifetime::DEFAULT_SECONDS);
        let hard = Duration::from_secs(seconds).max(defaults::MIN_PEER_LIFETIME);
        let soft = self.soft_limit(connection, exchange.role, hard);
        let kilobytes = agreement.lifetime.kilobytes;
        let part = match exchange.role {
            Role::Initiator => connection.soft_per_mille.0,
            Role::Responder => connection.soft_per_mille.1,
        };
        let soft_kilobytes = kilobytes.map(|kilobytes| (kilobytes.saturating_mul(part.into()) / 1_000).max(1));
        let spis = inbound.sas.iter().zip(&outbound.sas);
        let sas = agreement.parts.iter().zip(spis).map(|(part, ((inbound, _), (outbound, _)))| SpiPair {
            suite: part.transform.protection,
            inbound: *inbound,
            outbound: *outbound,
        });
        let mut child = Child {
            id: exchange.child,
            ike_sa: sa.core.id,
            policy: exchange.policy,
            peer,
            role: exchange.role,
            sas: sas.collect(),
            extended_sequence: agreement.parts.iter().any(|part| part.transform.extended_sequence),
            pfs: agreement.pfs(),
            mode: agreement.mode(),
            encapsulation: agreement.udp().map_or(Encapsulation::Native, |_| Encapsulation::Udp(sa.core.path)),
            local_end: sa.core.path.local.ip(),
            remote_end: sa.core.path.remote.ip(),
            local: agreement.traffic.local,
            remote: agreement.traffic.remote,
            original: agreement.original,
            lifetimes: Lifetimes { soft, hard, soft_kilobytes, hard_kilobytes: kilobytes },
            began: exchange.began,
            finished: 0,
            since: now,
            replaces: exchange.replaces,
            complete: false,
            superseded: false,
        };
        if child.replaces.is_none() {
            child.replaces = self.table.in_use(&child).last().map(|older| older.id);
        }
        let (soft, hard) = child.limits();
        self.timers.set(TimerKey::ChildSoft(child.id), soft);
        self.timers.set(TimerKey::ChildHard(child.id), hard);
        self.table.add_child(child);
    }

    /// Hands one direction of a pair to the caller.
    pub(super) fn install(&mut self, id: ChildId, direction: Direction, half: Half) {
        let Some(child) = self.table.child(id) else { return };
        let empty = || (SecretBytes::new(Vec::new()), SecretBytes::new(Vec::new()));
        let sas = child.sas.iter().zip(&half.sas).enumerate().map(|(at, (sa, (spi, keymat)))| {
            let (encryption, _) = sa.suite.keymat_lens();
            let (encryption_key, integrity_key) = keymat.split(encryption).unwrap_or_else(empty);
            // What is applied first makes the tunnel; the rest goes around its packets.
            let mode = if at == 0 { child.mode } else { Mode::Transport };
            let extended_sequence = child.extended_sequence && sa.suite.has_sequence();
            ProtocolSa { spi: *spi, suite: sa.suite, extended_sequence, encryption_key, integrity_key, mode }
        });
        let install = InstallSa {
            child: id,
            replaces: child.replaces,
            ike_sa: child.ike_sa,
            connection: child.peer.connection,
            policy: child.policy,
            role: child.role,
            direction,
            sas: sas.collect(),
            mode: child.mode,
            encapsulation: child.encapsulation,
            local: child.local_end,
            remote: child.remote_end,
            local_selector: child.local,
            remote_selector: child.remote,
            original: child.original,
            lifetimes: child.lifetimes,
        };
        self.log_esp_keys(&install);
        self.out.action(Action::InstallSa(Box::new(install)));
    }

    /// Both directions of a pair are installed: it takes over from older ones.
    pub(super) fn complete(&mut self, now: Instant, id: ChildId) {
        let finished = self.next_id();
        let Some(child) = self.table.child_mut(id) else { return };
        child.finished = finished;
        child.complete = true;
        child.since = now;
        let (soft, hard) = child.limits();
        self.timers.set(TimerKey::ChildSoft(id), soft);
        self.timers.set(TimerKey::ChildHard(id), hard);
        let Some(child) = self.table.child(id) else { return };
        count(&mut self.counters.done_good);
        self.stop_retrying(child.peer.connection);
        let Some(child) = self.table.child(id) else { return };
        let established = Event::SaEstablished {
            child: id,
            ike_sa: child.ike_sa,
            connection: child.peer.connection,
            policy: child.policy,
            role: child.role,
            sas: child.sas.clone(),
            pfs: child.pfs,
            local: child.local,
            remote: child.remote,
            lifetimes: child.lifetimes,
            replaces: child.replaces,
        };
        self.event(established);
        let Some(child) = self.table.child(id) else { return };
        let older: Vec<(ChildId, bool)> =
            self.table.in_use(child).map(|other| (other.id, child.prevails_over(other))).collect();
        for (other, prevails) in older {
            let (winner, loser) = if prevails { (id, other) } else { (other, id) };
            self.supersede(now, winner, loser);
        }
    }

    /// The loser only takes in from now on; the end that started the winner deletes it after a while.
    fn supersede(&mut self, now: Instant, winner: ChildId, loser: ChildId) {
        let Some((role, connection)) = self.table.child(winner).map(|child| (child.role, child.peer.connection)) else {
            return;
        };
        let Some(delete_delay) = self.plan.connection(connection).map(|connection| connection.delete_delay) else {
            return;
        };
        if let Some(child) = self.table.child_mut(loser) {
            child.superseded = true;
        }
        self.timers.cancel(&TimerKey::ChildSoft(loser));
        if role == Role::Initiator {
            self.timers.set(TimerKey::ChildRetire(loser), now + delete_delay);
        }
        self.event(Event::SaRekeyed { child: winner, replaced: loser });
    }
}
