use crate::action::Direction;
use crate::counters::count;
use crate::defaults;
use crate::error::{DropReason, Failure};
use crate::event::Event;
use crate::flight::Answered;
use crate::ids::{PolicyId, Role};
use crate::informational::notify;
use crate::machine::Endpoint;
use crate::machine::connected::Commit;
use crate::machine::phase1::Taken;
use crate::machine::phase2::{Under, under};
use crate::machine::receive::Incoming;
use crate::machine::sa::{Exchange, IkeSa, PeerKey, Quick};
use crate::machine::send::Name;
use crate::plan::ConnectionPlan;
use crate::quick::{Spis, responder};
use crate::refused::Refused;
use crate::state_name::StateName;
use alloc::boxed::Box;
use drive::{Instant, Verdict};
use ipsec_wire::isakmp::Flags;
use ipsec_wire::registry::ProtocolId;

impl Endpoint {
    /// Message 1: the peer wants a pair of SAs.
    pub(super) fn on_quick_1(&mut self, now: Instant, sa: &mut IkeSa, incoming: &Incoming<'_>, body: &[u8]) -> Taken {
        let message_id = incoming.message_id();
        let ends = sa.core.ends();
        sa.up().map_or(Ok(()), |up| up.finished.admits(message_id))?;
        if sa.core.at_work() >= defaults::MAX_EXCHANGES_PER_SA {
            return Err(DropReason::Limit);
        }
        let connection = self.plan.shared(sa.core.connection).ok_or(DropReason::NoConnection)?;
        let Some(Under { core, up }) = under(sa) else { return Err(DropReason::Unexpected) };
        let began = self.next_id();
        let mut exchange = Exchange {
            role: Role::Responder,
            child: self.next_child_id(),
            policy: PolicyId(0),
            replaces: None,
            state: Quick::Done,
            iv: up.iv.for_message_id(message_id),
            request: None,
            answered: Some(Answered::new(incoming.fingerprint, None)),
            began,
            commit: Commit { received: incoming.header.flags.contains(Flags::COMMIT), ..Commit::default() },
        };
        let opened = self.open_quick(up, &exchange, incoming, body, StateName::QuickReceivingMessage)?;
        let payloads = opened.payloads()?;
        let client = up.session.address;
        let checked = responder::check_request(&connection, ends, client, &up.keys, message_id, &payloads);
        // A wrong HASH proves nothing, and nothing changes.
        if let Err(why) = &checked
            && why.drop == DropReason::WrongHash
        {
            return Err(why.drop);
        }
        exchange.iv.commit(opened.next_iv());
        self.carries_one_more(now, core, up, &connection);
        self.trace_quick(core, 1, incoming, &payloads);
        let child = exchange.child;
        let policy = checked.as_ref().map_or(PolicyId(0), |request| request.policy);
        self.event(Event::Phase2Started {
            child,
            ike_sa: core.id,
            policy,
            role: Role::Responder,
            message_id,
            replaces: None,
        });
        let peer = PeerKey::of(core, up);
        let checked = checked.and_then(|request| match self.has_enough(&peer, &connection) {
            true => Err(Refused::because(Failure::Limit)),
            false => Ok(request),
        });
        let request = match checked {
            Ok(request) => request,
            Err(why) => {
                let drop = why.drop;
                self.proved_alive(now, sa, incoming.path);
                self.refuse_quick(now, sa, message_id, exchange, why);
                return Err(drop);
            }
        };
        exchange.policy = request.policy;
        exchange.commit.sent = connection.policy(request.policy).is_some_and(|policy| policy.commit_bit);
        self.event(Event::Phase2Negotiated {
            child,
            chosen: request.bundle(),
            number: request.choice.agreement.proposal_number,
            passed_over: request.choice.refusals.clone(),
        });
        let search = self.search(&request.wanted());
        exchange.state = Quick::SendingHashSaNonce(search, Box::new(request));
        core.exchanges.insert(message_id, exchange);
        self.proved_alive(now, sa, incoming.path);
        self.find_spis(now, sa, message_id);
        Ok(Verdict::Accepted)
    }

    /// Returns whether a peer has as many pairs of IPsec SAs as it may have.
    fn has_enough(&self, peer: &PeerKey, connection: &ConnectionPlan) -> bool {
        let most = defaults::MAX_CHILDREN_PER_PEER.max(connection.policies.len().saturating_mul(4));
        self.table.count_of_peer(peer) >= most
    }

    /// Refuses a lawful message of quick mode: a protected notification, which is kept for repeats.
    pub(super) fn refuse_quick(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        message_id: u32,
        mut exchange: Exchange,
        why: Refused,
    ) {
        let why = why.into_why();
        let Some(connection) = self.plan.shared(sa.core.connection) else { return };
        if let Some(notify_type) = notify::notify_of(&why.failure) {
            if connection.send_notifies {
                let chain = notify::about_child(notify_type, ProtocolId::ESP, why.spi.unwrap_or(0));
                self.inform_up(sa, &chain);
                let path = sa.core.path;
                self.event(Event::NotifySent { path, notify: notify_type, protected: true });
            } else {
                count(&mut self.counters.info_phase2_notify_off);
            }
        }
        self.quick_failed(&sa.core, &exchange, why);
        exchange.state = Quick::Done;
        exchange.request = None;
        self.linger(now, sa, &connection, message_id, exchange);
    }

    /// Sends message 2; the inbound half is in force from here on.
    pub(super) fn quick_2(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        message_id: u32,
        mut exchange: Exchange,
        request: responder::Request,
        spis: &Spis,
    ) {
        let Some(Under { core, up }) = under(sa) else { return };
        let Some(connection) = self.plan.shared(core.connection) else { return };
        let started = responder::WaitHash::start(request, &connection, spis, &up.keys, message_id, &mut *self.rng);
        let (state, inbound, chain) = match started {
            Ok(started) => started,
            Err(failure) => {
                self.release_spis(core, spis.iter());
                return self.refuse_quick(now, sa, message_id, exchange, Refused::because(failure));
            }
        };
        let name = Name { commit: exchange.commit.sent, ..Name::quick(2, message_id) };
        let transmit = self.sealed(core.envelope(), name, &chain, &up.keys, &mut exchange.iv);
        if let Some(answered) = &mut exchange.answered {
            answered.set_reply(transmit.clone());
        }
        self.request_phase2(now, core, &connection, message_id, &mut exchange, transmit);
        let halves = (&inbound, &state.outbound);
        self.add_child(now, sa, &connection, &mut exchange, &state.agreement, halves);
        exchange.state = Quick::WaitHash(Box::new(state));
        self.install(exchange.child, Direction::Inbound, inbound);
        sa.core.exchanges.insert(message_id, exchange);
    }

    /// Message 3: the initiator is there, and message 1 was no replay. The outbound half is in force.
    pub(super) fn on_quick_3(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        incoming: &Incoming<'_>,
        body: &[u8],
        mut exchange: Exchange,
        state: Box<responder::WaitHash>,
    ) -> Taken {
        let message_id = incoming.message_id();
        let Some(Under { core, up }) = under(sa) else { return Err(DropReason::Unexpected) };
        let connection = self.plan.shared(core.connection).ok_or(DropReason::NoConnection)?;
        let opened = self.open_quick(up, &exchange, incoming, body, StateName::QuickWaitHash);
        let checked = opened.map_err(Refused::from).and_then(|opened| {
            let payloads = opened.payloads()?;
            state.check(&payloads)?;
            self.trace_quick(core, 3, incoming, &payloads);
            Ok(opened.next_iv())
        });
        let next_iv = match checked {
            Ok(next_iv) => next_iv,
            Err(why) => {
                exchange.state = Quick::WaitHash(state);
                core.exchanges.insert(message_id, exchange);
                return Err(why.drop);
            }
        };
        exchange.iv.commit(next_iv);
        exchange.answered = Some(Answered::new(incoming.fingerprint, None));
        let message_2 = exchange.request.take().map(|request| request.transmit().clone());
        exchange.commit.received |= incoming.header.flags.contains(Flags::COMMIT);
        self.proved_alive(now, sa, incoming.path);
        if exchange.commit.holds_responder() {
            let last = message_2.map(|transmit| (&*connection, transmit));
            self.hold(now, &sa.core, (message_id, &mut exchange), state.outbound, last);
            sa.core.exchanges.insert(message_id, exchange);
            return Ok(Verdict::Accepted);
        }
        self.install(exchange.child, Direction::Outbound, state.outbound);
        if exchange.commit.sent
            && let Some(Under { core, up }) = under(sa)
            && let Some(transmit) = self.confirm(core, up, message_id, &exchange)
        {
            self.send(transmit.clone());
            exchange.answered = Some(Answered::new(incoming.fingerprint, Some(transmit)));
        }
        self.complete(now, exchange.child);
        self.linger(now, sa, &connection, message_id, exchange);
        Ok(Verdict::Accepted)
    }
}
