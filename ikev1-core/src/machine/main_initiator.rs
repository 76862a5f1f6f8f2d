use crate::action::Direction;
use crate::counters::count;
use crate::error::{DropReason, Failure};
use crate::event::Event;
use crate::flight::Answered;
use crate::keys::NextIv;
use crate::machine::Endpoint;
use crate::machine::judge::{CameTo, Claimed};
use crate::machine::phase1::{Taken, found_nat, local_identity, suspect, wanted_identity};
use crate::machine::receive::{Arrived, Incoming};
use crate::machine::sa::{Core, IkeSa, Phase};
use crate::machine::send::Name;
use crate::negotiate::Refusals;
use crate::phase1::main::{Authenticated, initiator};
use crate::phase1::proof::Proof;
use crate::refused::Refused;
use crate::transition::{Protection, Row};
use alloc::boxed::Box;
use drive::{Instant, Verdict};
use ipsec_wire::isakmp::Payloads;

impl Endpoint {
    /// Message 2: the responder's choice.
    pub(super) fn on_main_2(
        &mut self,
        now: Instant,
        mut core: Core,
        state: initiator::SaSent,
        incoming: &Incoming<'_>,
        payloads: &Payloads<'_>,
    ) -> (Option<IkeSa>, Taken) {
        let Some(connection) = self.plan.shared(core.connection) else {
            return (Some(core.with(Phase::SaSent(state))), Err(DropReason::NoConnection));
        };
        let answer = match state.check(&connection, payloads) {
            Ok(answer) => answer,
            Err(why) => return suspect(core, Phase::SaSent(state), why),
        };
        self.table.set_cookies(&mut core, incoming.cookies);
        core.capabilities = answer.capabilities;
        self.agree_on_parts(&core, &connection);
        core.answered = Some(Answered::new(incoming.fingerprint, None));
        let (next, chain) = state.commit(&answer, &connection, core.cookies, core.path, &mut *self.rng);
        self.event(Event::Phase1Negotiated {
            ike_sa: core.id,
            chosen: answer.transform,
            number: answer.number,
            passed_over: Refusals::default(),
        });
        let transmit = self.clear(core.envelope(), Name::main(3), &chain);
        self.request(now, &mut core, transmit);
        (Some(core.with(Phase::KeSent(Box::new(next)))), Ok(Verdict::Accepted))
    }

    /// Message 4: the responder's half of the exchange. With a NAT, message 5 goes to the NAT-T ports.
    pub(super) fn on_main_4(
        &mut self,
        now: Instant,
        mut core: Core,
        state: Box<initiator::KeSent>,
        incoming: &Incoming<'_>,
        payloads: &Payloads<'_>,
    ) -> (Option<IkeSa>, Taken) {
        let Some(connection) = self.plan.shared(core.connection) else {
            return (Some(core.with(Phase::KeSent(state))), Err(DropReason::NoConnection));
        };
        let exchanged = match state.check(core.path, payloads) {
            Ok(exchanged) => exchanged,
            Err(why) => return suspect(core, Phase::KeSent(state), why),
        };
        core.nat = found_nat(exchanged.nat, &connection);
        self.learn_more(&mut core, &connection, payloads);
        core.answered = Some(Answered::new(incoming.fingerprint, None));
        self.move_to_nat_t(&mut core, &connection);
        let first_contact = self.is_first_contact(&core, &connection);
        let identity = local_identity(&connection, core.path);
        let (mut next, chain) = match state.prove(exchanged, &connection, &identity, first_contact, &mut *self.rng) {
            Ok(proven) => proven,
            Err(_) => {
                self.fail_phase1(core.with(Phase::KeSent(state)), Failure::Signing);
                return (None, Err(DropReason::Refused));
            }
        };
        self.log_isakmp_key(core.cookies, next.keys.isakmp());
        self.tell_nat(&core);
        let transmit = self.sealed(core.envelope(), Name::main(5), &chain, next.keys.isakmp(), &mut next.iv);
        self.request(now, &mut core, transmit);
        (Some(core.with(Phase::AuthSent(Box::new(next)))), Ok(Verdict::Accepted))
    }

    /// Message 6: who the responder is, and the proof.
    pub(super) fn on_main_6(
        &mut self,
        now: Instant,
        mut core: Core,
        state: Box<initiator::AuthSent>,
        incoming: &Incoming<'_>,
        body: &[u8],
        row: &Row,
    ) -> (Option<IkeSa>, Taken) {
        let Some(connection) = self.plan.shared(core.connection) else {
            return (Some(core.with(Phase::AuthSent(state))), Err(DropReason::NoConnection));
        };
        let opened = match self.open(incoming, body, (state.keys.isakmp(), &state.iv), row) {
            Ok(opened) => opened,
            Err(drop) => return suspect(core, Phase::AuthSent(state), drop.into()),
        };
        let checked = opened.payloads().map_err(Refused::from).and_then(|payloads| {
            let read = state.check(&connection, &payloads)?;
            Ok((payloads, read))
        });
        let (payloads, (authenticated, proof)) = match checked {
            Ok(checked) => checked,
            Err(why) => return suspect(core, Phase::AuthSent(state), why),
        };
        self.trace(
            Direction::Inbound,
            core.envelope(),
            Name::main(6),
            &payloads,
            Protection::Encrypted,
            incoming.length,
        );
        count(&mut self.counters.rx_decrypt_good);
        self.learn_more(&mut core, &connection, &payloads);
        let (arrived, next_iv) = (incoming.arrived(), opened.next_iv());
        match proof {
            Proof::Known => self.main_6_proven(now, core, state, &arrived, next_iv, authenticated),
            Proof::Claimed(claim) => {
                let came_to = CameTo::AuthSent(state, next_iv, authenticated);
                let connection = core.connection;
                self.judge(now, core, Claimed { connection, arrived, claim, came_to })
            }
        }
    }

    /// The responder has proven who it is: phase 1 is done if that is whom this end wants.
    pub(super) fn main_6_proven(
        &mut self,
        now: Instant,
        mut core: Core,
        mut state: Box<initiator::AuthSent>,
        arrived: &Arrived,
        next_iv: NextIv,
        authenticated: Authenticated,
    ) -> (Option<IkeSa>, Taken) {
        state.iv.commit(next_iv);
        let Some(connection) = self.plan.shared(core.connection) else {
            return (None, Err(DropReason::NoConnection));
        };
        if let Some(wanted) = wanted_identity(&connection, core.path)
            && !wanted.matches(&authenticated.peer)
        {
            self.peer_not_wanted(&core, &connection, Some(authenticated.peer), Failure::WrongIdentity);
            self.refuse_peer(&core, state.keys.isakmp(), &state.iv, true);
            self.fail_phase1(core.with(Phase::AuthSent(state)), Failure::WrongIdentity);
            return (None, Err(DropReason::Refused));
        }
        core.request = None;
        core.answered = Some(Answered::new(arrived.fingerprint, None));
        let proven = state.commit(authenticated);
        (Some(self.establish(now, core, &connection, proven)), Ok(Verdict::Accepted))
    }
}
