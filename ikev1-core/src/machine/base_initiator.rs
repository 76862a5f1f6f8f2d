use crate::error::{DropReason, Failure};
use crate::event::Event;
use crate::flight::Answered;
use crate::keys::{IvChain, Phase1Keys};
use crate::machine::Endpoint;
use crate::machine::judge::{CameTo, Claimed};
use crate::machine::phase1::{Taken, found_nat, local_identity, suspect, wanted_identity};
use crate::machine::receive::{Arrived, Incoming};
use crate::machine::sa::{Core, IkeSa, Phase};
use crate::machine::send::Name;
use crate::message::built;
use crate::negotiate::Refusals;
use crate::phase1::base::initiator;
use crate::phase1::proof::Proof;
use crate::plan::{ConnectionPlan, Phase1Mode};
use crate::refused::Refused;
use crate::ride_along::initial_contact;
use alloc::boxed::Box;
use drive::{Instant, Verdict};
use ipsec_wire::isakmp::{Chain, ChainBuilder, Payloads};

impl Endpoint {
    /// Builds message 1.
    pub(super) fn base_1(&mut self, core: &Core, connection: &ConnectionPlan) -> (Phase, Chain) {
        let identity = local_identity(connection, core.path);
        let (state, chain) = initiator::SaSent::start(connection, &identity, &mut *self.rng);
        (Phase::BaseSaSent(Box::new(state)), chain)
    }

    /// Message 2: the responder's choice, and who it says it is. Message 3 proves this end.
    pub(super) fn on_base_2(
        &mut self,
        now: Instant,
        mut core: Core,
        state: Box<initiator::SaSent>,
        incoming: &Incoming<'_>,
        payloads: &Payloads<'_>,
    ) -> (Option<IkeSa>, Taken) {
        let Some(connection) = self.plan.shared(core.connection) else {
            return (Some(core.with(Phase::BaseSaSent(state))), Err(DropReason::NoConnection));
        };
        let answer = match state.check(&connection, payloads) {
            Ok(answer) => answer,
            Err(why) => return suspect(core, Phase::BaseSaSent(state), why),
        };
        self.table.set_cookies(&mut core, incoming.cookies);
        core.capabilities = answer.capabilities;
        self.agree_on_parts(&core, &connection);
        core.answered = Some(Answered::new(incoming.fingerprint, None));
        self.event(Event::Phase1Negotiated {
            ike_sa: core.id,
            chosen: answer.transform,
            number: answer.number,
            passed_over: Refusals::default(),
        });
        let peer = answer.peer.clone();
        let (next, chain) = match state.prove(answer, &connection, core.cookies, core.path, &mut *self.rng) {
            Ok(proven) => proven,
            Err(_) => {
                self.fail_phase1(core.with(Phase::BaseSaSent(state)), Failure::Signing);
                return (None, Err(DropReason::Refused));
            }
        };
        if connection.authentication.pre_shared_key().is_some() {
            let (ike_sa, connection, path) = (core.id, core.connection, core.path);
            self.event(Event::KeyHashExposed { ike_sa, connection, path, peer });
        }
        let transmit = self.clear(core.envelope(), Name::phase1(Phase1Mode::Base, 3), &chain);
        self.request(now, &mut core, transmit);
        (Some(core.with(Phase::BaseKeAuthSent(Box::new(next)))), Ok(Verdict::Accepted))
    }

    /// Message 4: the responder's half of the exchange, and its proof.
    pub(super) fn on_base_4(
        &mut self,
        now: Instant,
        mut core: Core,
        state: Box<initiator::KeAuthSent>,
        incoming: &Incoming<'_>,
        payloads: &Payloads<'_>,
    ) -> (Option<IkeSa>, Taken) {
        let Some(connection) = self.plan.shared(core.connection) else {
            return (Some(core.with(Phase::BaseKeAuthSent(state))), Err(DropReason::NoConnection));
        };
        let (checked, proof) = match state.check(&connection, core.path, payloads) {
            Ok(checked) => checked,
            Err(why) => {
                if why.drop == DropReason::WrongHash && core.suspicion.is_none() {
                    let claimed = Some(state.peer.clone());
                    self.peer_not_wanted(&core, &connection, claimed, Failure::AuthenticationFailed);
                }
                // Anyone may have sent it, so the right one is waited for; the same again costs nothing.
                core.refused = Some(Answered::new(incoming.fingerprint, None));
                return suspect(core, Phase::BaseKeAuthSent(state), why);
            }
        };
        self.learn_more(&mut core, &connection, payloads);
        let arrived = incoming.arrived();
        match proof {
            Proof::Known => self.base_4_proven(now, core, state, &arrived, &checked),
            Proof::Claimed(claim) => {
                let came_to = CameTo::BaseKeAuthSent(state, checked);
                let connection = core.connection;
                self.judge(now, core, Claimed { connection, arrived, claim, came_to })
            }
        }
    }

    /// The responder has proven who it is: phase 1 is done if that is whom this end wants. With a NAT, what
    /// comes next goes to the NAT-T ports.
    pub(super) fn base_4_proven(
        &mut self,
        now: Instant,
        mut core: Core,
        state: Box<initiator::KeAuthSent>,
        arrived: &Arrived,
        checked: &initiator::Authenticated,
    ) -> (Option<IkeSa>, Taken) {
        let Some(connection) = self.plan.shared(core.connection) else {
            return (Some(core.with(Phase::BaseKeAuthSent(state))), Err(DropReason::NoConnection));
        };
        let (keys, iv) = match state.agree(checked, &connection) {
            Ok(agreed) => agreed,
            Err(why) => return suspect(core, Phase::BaseKeAuthSent(state), why),
        };
        core.request = None;
        core.nat = found_nat(checked.nat, &connection);
        self.log_isakmp_key(core.cookies, keys.isakmp());
        if let Some(wanted) = wanted_identity(&connection, core.path)
            && !wanted.matches(&state.peer)
        {
            self.peer_not_wanted(&core, &connection, Some(state.peer.clone()), Failure::WrongIdentity);
            self.refuse_peer(&core, keys.isakmp(), &iv, true);
            self.fail_phase1(core.with(Phase::BaseKeAuthSent(state)), Failure::WrongIdentity);
            return (None, Err(DropReason::Refused));
        }
        self.move_to_nat_t(&mut core, &connection);
        self.tell_nat(&core);
        // The four messages are in clear: what is acted on must come after them.
        if self.is_first_contact(&core, &connection) {
            let mut chain = ChainBuilder::new();
            initial_contact::contribute(core.cookies, &mut chain);
            self.inform(&core, keys.isakmp(), &iv, &built(chain));
        }
        core.answered = Some(Answered::new(arrived.fingerprint, None));
        let proven = state.commit(keys, iv);
        (Some(self.establish(now, core, &connection, proven)), Ok(Verdict::Accepted))
    }

    /// Returns the keys that the sender of a message 4 which was not taken holds, to tell it so; none in other
    /// states and other modes.
    pub(super) fn keys_of_doubted(&self, sa: &IkeSa) -> Option<(Phase1Keys, IvChain)> {
        let connection = self.plan.connection(sa.core.connection)?;
        let agreed: Result<_, Refused> = match &sa.phase {
            Phase::BaseKeAuthSent(state) => state.agree(state.doubted()?, connection),
            Phase::Judging(_, claimed) => {
                let CameTo::BaseKeAuthSent(state, checked) = &claimed.came_to else { return None };
                state.agree(checked, connection)
            }
            Phase::SaSent(_)
            | Phase::KeSent(_)
            | Phase::AuthSent(_)
            | Phase::SaRecv(_)
            | Phase::KeRecv(_)
            | Phase::SaKeSent(_)
            | Phase::SaKeAuthSent(_)
            | Phase::BaseSaSent(_)
            | Phase::BaseSaRecv(_)
            | Phase::Up(_) => return None,
        };
        agreed.ok()
    }
}
