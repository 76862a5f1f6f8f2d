use crate::action::Direction;
use crate::error::DropReason;
use crate::event::Event;
use crate::flight::Answered;
use crate::machine::Endpoint;
use crate::machine::phase1::Taken;
use crate::machine::phase2::{Under, under};
use crate::machine::receive::Incoming;
use crate::machine::sa::{Exchange, IkeSa, Quick, Waiting};
use crate::machine::send::Name;
use crate::negotiate::Refusals;
use crate::quick::{Spis, initiator};
use crate::refused::Refused;
use crate::state_name::StateName;
use alloc::boxed::Box;
use drive::{Instant, Verdict};
use ipsec_wire::isakmp::Flags;
use ipsec_wire::registry::ProtocolId;

impl Endpoint {
    /// Sends message 1.
    pub(super) fn quick_1(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        message_id: u32,
        mut exchange: Exchange,
        spis: Spis,
    ) {
        let ends = sa.core.ends();
        let Some(Under { core, up }) = under(sa) else { return };
        let Some(connection) = self.plan.shared(core.connection) else { return };
        let Some(policy) = connection.policy_for(exchange.policy, up.session.address) else { return };
        let plan = (&*connection, &*policy);
        let released = spis.clone();
        let started = initiator::WaitHashSaNonce::start(plan, spis, ends, &up.keys, message_id, &mut *self.rng);
        let (state, chain) = match started {
            Ok(started) => started,
            Err(failure) => {
                self.release_spis(core, released.iter());
                let waiting = Waiting { child: exchange.child, policy: exchange.policy, replaces: exchange.replaces };
                return self.phase2_failed(core, waiting, failure);
            }
        };
        let name = Name { commit: exchange.commit.sent, ..Name::quick(1, message_id) };
        let transmit = self.sealed(core.envelope(), name, &chain, &up.keys, &mut exchange.iv);
        exchange.state = Quick::WaitHashSaNonce(Box::new(state));
        self.request_phase2(now, core, &connection, message_id, &mut exchange, transmit);
        core.exchanges.insert(message_id, exchange);
    }

    /// Message 2: the responder's choice. Both halves are in force, and message 3 says so.
    pub(super) fn on_quick_2(
        &mut self,
        now: Instant,
        sa: &mut IkeSa,
        incoming: &Incoming<'_>,
        body: &[u8],
        mut exchange: Exchange,
        state: Box<initiator::WaitHashSaNonce>,
    ) -> Taken {
        let message_id = incoming.message_id();
        let Some(Under { core, up }) = under(sa) else { return Err(DropReason::Unexpected) };
        let connection = self.plan.shared(core.connection).ok_or(DropReason::NoConnection)?;
        let opened = self.open_quick(up, &exchange, incoming, body, StateName::QuickWaitHashSaNonce);
        let checked = opened.map_err(Refused::from).and_then(|opened| {
            let payloads = opened.payloads()?;
            let checked = state.check(&up.keys, message_id, &payloads);
            if !matches!(&checked, Err(why) if why.drop == DropReason::WrongHash) {
                self.trace_quick(core, 2, incoming, &payloads);
            }
            Ok((opened.next_iv(), checked?))
        });
        let (next_iv, answer) = match checked {
            Ok(checked) => checked,
            Err(why) if why.is_proven() => {
                let drop = why.drop;
                self.release_spis(core, state.spis().iter());
                self.proved_alive(now, sa, incoming.path);
                exchange.answered = Some(Answered::new(incoming.fingerprint, None));
                self.refuse_quick(now, sa, message_id, exchange, why);
                return Err(drop);
            }
            Err(why) => {
                exchange.state = Quick::WaitHashSaNonce(state);
                core.exchanges.insert(message_id, exchange);
                return Err(why.drop);
            }
        };
        exchange.iv.commit(next_iv);
        self.event(Event::Phase2Negotiated {
            child: exchange.child,
            chosen: answer.agreement.bundle(),
            number: answer.agreement.number,
            passed_over: Refusals::default(),
        });
        // What was offered besides what was chosen needs its SPIs no longer.
        let chosen = |wanted: ProtocolId| {
            answer.agreement.parts.iter().any(|part| part.transform.protection.protocol() == wanted)
        };
        self.release_spis(core, state.spis().iter().filter(|(protocol, _)| !chosen(*protocol)));
        let chain = state.commit(&answer, &up.keys, message_id);
        let name = Name { commit: exchange.commit.sent, ..Name::quick(3, message_id) };
        let path = incoming.path;
        let to = crate::machine::sa::Envelope { path, ..core.envelope() };
        let transmit = self.sealed(to, name, &chain, &up.keys, &mut exchange.iv);
        self.send(transmit.clone());
        exchange.answered = Some(Answered::new(incoming.fingerprint, Some(transmit.clone())));
        exchange.request = None;
        exchange.commit.received = incoming.header.flags.contains(Flags::COMMIT);
        self.proved_alive(now, sa, path);
        let halves = (&answer.inbound, &answer.outbound);
        self.add_child(now, sa, &connection, &mut exchange, &answer.agreement, halves);
        self.install(exchange.child, Direction::Inbound, answer.inbound);
        let waits = exchange.commit.received;
        if waits {
            let last = Some((&*connection, transmit));
            self.hold(now, &sa.core, (message_id, &mut exchange), answer.outbound, last);
        } else {
            self.install(exchange.child, Direction::Outbound, answer.outbound);
        }
        if exchange.commit.sent
            && let Some(Under { core, up }) = under(sa)
            && let Some(transmit) = self.confirm(core, up, message_id, &exchange)
        {
            self.send(transmit.clone());
            exchange.commit.confirmation = Some(transmit);
        }
        if waits {
            sa.core.exchanges.insert(message_id, exchange);
            return Ok(Verdict::Accepted);
        }
        self.complete(now, exchange.child);
        self.linger(now, sa, &connection, message_id, exchange);
        Ok(Verdict::Accepted)
    }
}
