use crate::ids::Cookies;
use crate::machine::Endpoint;
use crate::machine::child::Child;
use crate::machine::phase1::local_identity;
use crate::machine::sa::{Exchange, IkeSa};
use crate::machine::transaction::Transaction;
use crate::state_name::DpdState;
use crate::status::{ChildStatus, ExchangeStatus, IkeSaStatus, Status, TransactionStatus};
use alloc::string::ToString;
use ipsec_wire::registry::ExchangeType;

impl Endpoint {
    pub(super) fn snapshot(&self) -> Status {
        Status {
            ike_sas: self.table.sas().map(|sa| self.ike_status(sa)).collect(),
            children: self.table.children().map(|child| self.child_status(child)).collect(),
            embryonic: self.table.sas().filter(|sa| sa.up().is_none()).count(),
            in_parts: self.table.assembly.load(),
            counters: self.counters,
            own_counters: self.own,
        }
    }

    fn ike_status(&self, sa: &IkeSa) -> IkeSaStatus {
        let core = &sa.core;
        let up = sa.up();
        let connection = self.plan.connection(core.connection);
        let cookies: Cookies = core.cookies;
        let (heartbeat_next_tx, heartbeat_last_rx) = up.map_or((0, 0), |up| up.heartbeats.numbers());
        let (dpd_next_tx, dpd_last_rx) = up.map_or((0, 0), |up| up.dpd.numbers());
        IkeSaStatus {
            ike_sa: core.id,
            cookies,
            connection: core.connection,
            name: connection.map(|connection| connection.name.to_string()).unwrap_or_default(),
            role: core.role,
            state: sa.state(),
            exchange_state: sa.phase.state_name(core.mode),
            path: core.path,
            local_identity: connection.map(|connection| local_identity(connection, core.path)),
            remote_identity: up.map(|up| up.peer.clone()),
            transform: up.map(|up| up.transform),
            nat: core.nat,
            nat_version: core.capabilities.nat_t,
            dpd: up.map_or(DpdState::None, |up| up.dpd.state()),
            dpd_next_tx,
            dpd_last_rx,
            dpd_retries: up.map_or(0, |up| up.dpd.retries()),
            heartbeats: connection.map(|connection| connection.heartbeats.mode).unwrap_or_default(),
            heartbeat_next_tx,
            heartbeat_last_rx,
            created: core.created,
            established: up.map(|up| up.since),
            lifetime: up.map(|up| up.lifetime),
            soft: up.map(|up| up.soft),
            hard: up.map(|up| up.hard),
            phase2_negotiations: up.map_or(0, |up| up.negotiations),
            children: self.table.children_under(core.id).map(|child| child.id).collect(),
            exchanges: core.exchanges.iter().map(|(id, exchange)| exchange_status(*id, exchange)).collect(),
            queued: core.waiting.len(),
            resends_left: core.request.as_ref().map(|request| request.resends_left()),
            transactions: core
                .transactions
                .iter()
                .map(|(id, transaction)| transaction_status(*id, transaction))
                .collect(),
            user: up.and_then(|up| up.session.user().cloned()),
            client_address: up.and_then(|up| up.session.address),
        }
    }

    fn child_status(&self, child: &Child) -> ChildStatus {
        let policy = self.plan.policy(child.peer.connection, child.policy);
        ChildStatus {
            child: child.id,
            ike_sa: child.ike_sa,
            connection: child.peer.connection,
            policy: child.policy,
            name: policy.map(|policy| policy.name.to_string()).unwrap_or_default(),
            role: child.role,
            sas: child.sas.clone(),
            mode: child.mode,
            encapsulation: child.encapsulation,
            local: child.local,
            remote: child.remote,
            lifetimes: child.lifetimes,
            established: child.since,
            complete: child.complete,
            superseded: child.superseded,
        }
    }
}

fn exchange_status(message_id: u32, exchange: &Exchange) -> ExchangeStatus {
    ExchangeStatus {
        exchange: ExchangeType::QUICK,
        message_id,
        role: exchange.role,
        state: exchange.state.state_name(),
        child: exchange.child,
        commit_received: exchange.commit.received,
        commit_sent: exchange.commit.sent,
        resends_left: exchange.request.as_ref().map(|request| request.resends_left()),
    }
}

fn transaction_status(message_id: u32, transaction: &Transaction) -> TransactionStatus {
    TransactionStatus {
        message_id,
        role: transaction.role,
        state: transaction.state.name(),
        resends_left: transaction.request.as_ref().map(|request| request.resends_left()),
    }
}
