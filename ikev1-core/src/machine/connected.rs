//! The commit bit and CONNECTED: nothing is sent over a pair before the peer confirms it, RFC 2408 §3.1.

use crate::action::Direction;
use crate::counters::count;
use crate::defaults;
use crate::error::DropReason;
use crate::flight::{Answered, Request};
use crate::informational::notify;
use crate::machine::Endpoint;
use crate::machine::phase1::Taken;
use crate::machine::phase2::{Under, under};
use crate::machine::receive::Incoming;
use crate::machine::sa::{Core, Exchange, IkeSa, Quick, Up};
use crate::machine::send::Name;
use crate::machine::timers::TimerKey;
use crate::message::{check_hash_1, hashed};
use crate::plan::ConnectionPlan;
use crate::quick::Half;
use crate::state_name::StateName;
use alloc::boxed::Box;
use drive::{Instant, Transmit, Verdict};
use ipsec_wire::isakmp::Payloads;
use ipsec_wire::isakmp::payload::Notification;
use ipsec_wire::registry::{NotifyType, PayloadType};

/// Which end of a quick mode asks the other to wait, and what was confirmed.
///
/// An initiator waits for a responder that asks it to. A responder waits for an initiator that asks, unless it
/// asks too: message 3 tells it as much as CONNECTED does, so that two ends that both ask never wait for each
/// other.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    /// The peer set the bit.
    pub(crate) received: bool,
    /// This end sets it.
    pub(crate) sent: bool,
    /// The peer's CONNECTED came before message 3.
    pub(crate) confirmed: bool,
    /// The CONNECTED of this end as initiator: it goes out again with message 3.
    pub(crate) confirmation: Option<Transmit>,
}

impl Commit {
    /// Returns whether a responder that has message 3 waits for CONNECTED.
    pub(crate) const fn holds_responder(&self) -> bool {
        self.received && !self.sent && !self.confirmed
    }
}

/// The outbound half of a pair that waits for CONNECTED.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) outbound: Half,
    /// When this end goes on without it: the bit is in a header that nothing protects, so it must not
    /// hold a pair for ever.
    until: Instant,
}

impl Endpoint {
    /// Holds the outbound half back until the peer confirms, and sends the last message again until then: the
    /// peer answers that with what was lost.
    pub(super) fn hold(
        &mut self,
        now: Instant,
        core: &Core,
        (message_id, exchange): (u32, &mut Exchange),
        outbound: Half,
        last: Option<(&ConnectionPlan, Transmit)>,
    ) {
        let until = now + defaults::CONNECTED_TIMEOUT;
        let mut request = last.map(|(connection, transmit)| Request::new(transmit, connection.backoff));
        let next = request.as_mut().and_then(Request::gap).map_or(until, |gap| until.min(now + gap));
        exchange.request = request;
        exchange.state = Quick::WaitConnected(Box::new(Held { outbound, until }));
        self.timers.set(TimerKey::Exchange(core.id, message_id), next);
    }

    /// Sends the last message again, or goes on without the confirmation.
    pub(super) fn held_due(&mut self, now: Instant, sa: &mut IkeSa, message_id: u32) {
        let Some(exchange) = sa.core.exchanges.get_mut(&message_id) else { return };
        let Quick::WaitConnected(held) = &exchange.state else { return };
        let until = held.until;
        if now >= until {
            count(&mut self.own.connected_missing);
            return self.connected(now, sa, message_id);
        }
        let resend = exchange.request.as_mut().and_then(|request| Some((request.gap()?, request.transmit().clone())));
        let next = resend.as_ref().map_or(until, |(gap, _)| until.min(now + *gap));
        if let Some((_, transmit)) = resend {
            count(&mut self.counters.tx_retry);
            self.send(transmit);
        }
        self.timers.set(TimerKey::Exchange(sa.core.id, message_id), next);
    }

    /// The peer has confirmed, or has had time enough: the outbound half is in force.
    pub(super) fn connected(&mut self, now: Instant, sa: &mut IkeSa, message_id: u32) {
        let Some(mut exchange) = sa.core.exchanges.remove(&message_id) else { return };
        let Quick::WaitConnected(held) = exchange.state else {
            // It may overtake message 3.
            exchange.commit.confirmed |= matches!(exchange.state, Quick::WaitHash(_));
            sa.core.exchanges.insert(message_id, exchange);
            return;
        };
        let Some(connection) = self.plan.shared(sa.core.connection) else { return };
        exchange.state = Quick::Done;
        exchange.request = None;
        self.install(exchange.child, Direction::Outbound, held.outbound);
        self.complete(now, exchange.child);
        self.linger(now, sa, &connection, message_id, exchange);
    }

    /// Builds CONNECTED: an informational message under the message id of the quick mode.
    pub(super) fn confirm(&mut self, core: &Core, up: &Up, message_id: u32, exchange: &Exchange) -> Option<Transmit> {
        let sa = self.table.child(exchange.child)?.sas.last().copied()?;
        let rest = notify::connected(sa.suite.protocol(), sa.inbound);
        let chain = hashed(&up.keys.hash_1(message_id, rest.octets()), &rest);
        let mut iv = up.iv.for_message_id(message_id);
        Some(self.sealed(core.envelope(), Name::informational(message_id), &chain, &up.keys, &mut iv))
    }

    /// Message 4 of quick mode, as some peers send CONNECTED: under the IV chain of the exchange.
    pub(super) fn on_quick_4(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        incoming: &Incoming<'_>,
        body: &[u8],
        mut exchange: Exchange,
    ) -> Taken {
        let message_id = incoming.message_id();
        let Some(Under { core, up }) = under(sa) else { return Err(DropReason::Unexpected) };
        let opened = self.open_quick(up, &exchange, incoming, body, StateName::QuickSendingHash);
        let checked = opened.and_then(|opened| {
            let payloads = opened.payloads()?;
            check_hash_1(&up.keys, message_id, &payloads)?;
            self.trace_quick(core, 4, incoming, &payloads);
            if says_connected(&payloads) { Ok(()) } else { Err(DropReason::Unexpected) }
        });
        if checked.is_ok() {
            exchange.answered = Some(Answered::new(incoming.fingerprint, None));
        }
        core.exchanges.insert(message_id, exchange);
        checked?;
        self.proved_alive(now, sa, incoming.path);
        self.connected(now, sa, message_id);
        Ok(Verdict::Accepted)
    }
}

/// Returns whether one of the notifications is CONNECTED.
fn says_connected(payloads: &Payloads<'_>) -> bool {
    payloads
        .iter()
        .filter(|payload| payload.payload_type() == PayloadType::NOTIFICATION)
        .filter_map(|payload| Notification::parse(payload).ok())
        .any(|notification| notification.notify_type == NotifyType::CONNECTED)
}
