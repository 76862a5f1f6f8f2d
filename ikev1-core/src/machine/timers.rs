use crate::counters::count;
use crate::error::Failure;
use crate::event::Event;
use crate::ids::{ChildId, ConnectionId, IkeSaId, Role};
use crate::machine::Endpoint;
use crate::machine::sa::{IkeSa, Phase};
use drive::Instant;

/// What falls due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    /// A message of phase 1 is sent again, or a half-open SA ends.
    Phase1(IkeSaId),
    /// A message of quick mode is sent again, or an exchange ends.
    Exchange(IkeSaId, u32),
    /// An ISAKMP SA is renewed.
    IkeSoft(IkeSaId),
    /// An ISAKMP SA ends.
    IkeHard(IkeSaId),
    /// An ISAKMP SA that was replaced, or was for one quick mode, is deleted.
    IkeRetire(IkeSaId),
    /// A silent peer is asked whether it lives.
    Dpd(IkeSaId),
    /// A heartbeat is sent.
    Heartbeat(IkeSaId),
    /// Too many heartbeats of the peer did not come.
    HeartbeatsMissed(IkeSaId),
    /// Parts of messages have waited too long for the rest.
    Fragments,
    /// A NAT mapping is kept open.
    Keepalive(IkeSaId),
    /// A pair of IPsec SAs is renewed.
    ChildSoft(ChildId),
    /// A pair of IPsec SAs ends.
    ChildHard(ChildId),
    /// A pair of IPsec SAs that was replaced is deleted.
    ChildRetire(ChildId),
    /// What failed is tried again.
    Retry(ConnectionId),
    /// A message of a transaction is sent again, or the transaction ends.
    Transaction(IkeSaId, u32),
    /// Phase 1.5 takes too long.
    Session(IkeSaId),
}

impl TimerKey {
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Phase1(_) => "phase 1 resend or end",
            Self::Exchange(..) => "phase 2 resend or end",
            Self::IkeSoft(_) => "ISAKMP SA soft limit",
            Self::IkeHard(_) => "ISAKMP SA hard limit",
            Self::IkeRetire(_) => "replaced or spent ISAKMP SA",
            Self::Fragments => "parts of messages",
            Self::Dpd(_) => "dead peer detection",
            Self::Heartbeat(_) => "heartbeat",
            Self::HeartbeatsMissed(_) => "heartbeats of the peer",
            Self::Keepalive(_) => "NAT keepalive",
            Self::ChildSoft(_) => "IPsec SA soft limit",
            Self::ChildHard(_) => "IPsec SA hard limit",
            Self::ChildRetire(_) => "replaced IPsec SA",
            Self::Retry(_) => "another attempt",
            Self::Transaction(..) => "transaction resend or end",
            Self::Session(_) => "phase 1.5 limit",
        }
    }
}

impl Endpoint {
    /// Works through what is due. Each timer that fires is gone or is set to a later time, so the
    /// work is bounded by the number of SAs and exchanges.
    pub(super) fn expire_timers(&mut self, now: Instant) {
        while let Some(key) = self.timers.pop_due(now) {
            match key {
                TimerKey::Phase1(id) => self.phase1_due(now, id),
                TimerKey::Exchange(id, message_id) => self.exchange_due(now, id, message_id),
                TimerKey::IkeSoft(id) => self.ike_soft_due(now, id),
                TimerKey::IkeHard(id) => self.ike_hard_due(now, id),
                TimerKey::IkeRetire(id) => self.ike_retire_due(now, id),
                TimerKey::Fragments => self.parts_due(now),
                TimerKey::Dpd(id) => self.dpd_due(now, id),
                TimerKey::Heartbeat(id) => self.heartbeat_due(now, id),
                TimerKey::HeartbeatsMissed(id) => self.heartbeats_missed(now, id),
                TimerKey::Keepalive(id) => self.keepalive_due(now, id),
                TimerKey::ChildSoft(id) => self.child_soft_due(now, id),
                TimerKey::ChildHard(id) => self.child_hard_due(id),
                TimerKey::ChildRetire(id) => self.child_retire_due(id),
                TimerKey::Retry(id) => self.retry_due(now, id),
                TimerKey::Transaction(id, message_id) => self.transaction_due(now, id, message_id),
                TimerKey::Session(id) => self.session_due(now, id),
            }
        }
    }

    /// Sends the last message of phase 1 again, or gives up.
    fn phase1_due(&mut self, now: Instant, id: IkeSaId) {
        let Some(mut sa) = self.table.take(id) else { return };
        if matches!(sa.phase, Phase::Judging(..)) {
            return self.end_unproven(sa, Failure::NoVerdict);
        }
        if let Some(failure) = sa.core.suspicion.clone().filter(is_about_signature) {
            return self.end_unproven(sa, failure);
        }
        if sa.core.role == Role::Responder {
            return self.half_open_due(now, sa);
        }
        let Some(request) = &mut sa.core.request else { return self.table.put(sa) };
        let Some(gap) = request.gap() else {
            let sendings = request.sendings();
            count(&mut self.counters.tx_retry_timed_out);
            let failure = timeout_failure(&sa, sendings);
            return self.fail_phase1(sa, failure);
        };
        let (transmit, sendings, left) = (request.transmit().clone(), request.sendings(), request.resends_left());
        count(&mut self.counters.tx_retry);
        self.event(Event::Resent { ike_sa: id, exchange: sa.core.mode.exchange(), message_id: 0, sendings, left });
        self.send(transmit);
        self.timers.set(TimerKey::Phase1(id), now + gap);
        self.table.put(sa);
    }

    /// Sends message 2 of aggressive mode again, as far as the budget goes, or ends a half-open SA.
    fn half_open_due(&mut self, now: Instant, mut sa: IkeSa) {
        let id = sa.core.id;
        let end = sa.core.created + self.plan.half_open_timeout;
        let Some(request) = sa.core.request.as_mut().filter(|_| now < end) else {
            let failure = sa.core.suspicion.clone().unwrap_or(Failure::HalfOpenTimeout);
            return self.fail_phase1(sa, failure);
        };
        let gap = request.gap();
        let (transmit, sendings, left) = (request.transmit().clone(), request.sendings(), request.resends_left());
        if gap.is_some() && self.reply(&mut sa.core, transmit).is_some() {
            count(&mut self.counters.tx_retry);
            let exchange = sa.core.mode.exchange();
            self.event(Event::Resent { ike_sa: id, exchange, message_id: 0, sendings, left });
        }
        self.timers.set(TimerKey::Phase1(id), gap.map_or(end, |gap| (now + gap).min(end)));
        self.table.put(sa);
    }
}

/// Returns whether the peer holds the keys of the exchange and yet did not prove who it is.
const fn is_about_signature(failure: &Failure) -> bool {
    matches!(failure, Failure::CertificateRefused | Failure::WrongSignature | Failure::WeakKey(_))
}

/// Returns why an initiator got no answer it could take: what was refused last, else silence.
///
/// Silence after message 5, or message 3 of base mode, is what a responder with another key looks like.
fn timeout_failure(sa: &IkeSa, sendings: u32) -> Failure {
    if let Some(suspicion) = &sa.core.suspicion {
        return suspicion.clone();
    }
    let proven_with = match &sa.phase {
        Phase::AuthSent(state) => Some(state.transform.authentication),
        Phase::BaseKeAuthSent(state) => Some(state.transform.authentication),
        Phase::SaSent(_) | Phase::KeSent(_) | Phase::SaRecv(_) | Phase::KeRecv(_) | Phase::SaKeSent(_) => None,
        Phase::SaKeAuthSent(_) | Phase::BaseSaSent(_) | Phase::BaseSaRecv(_) | Phase::Judging(..) => None,
        Phase::Up(_) => None,
    };
    if proven_with.is_some_and(|method| method.is_pre_shared_key()) {
        return Failure::ProbablyWrongKey;
    }
    Failure::Timeout { sendings, hint: sa.core.hint }
}
