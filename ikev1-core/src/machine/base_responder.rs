use crate::error::{DropReason, Failure};
use crate::flight::Answered;
use crate::machine::Endpoint;
use crate::machine::first_message::{Began, Found};
use crate::machine::judge::{CameTo, Claimed};
use crate::machine::phase1::{Taken, found_nat, local_identity, suspect, wanted_identity};
use crate::machine::receive::{Arrived, Incoming};
use crate::machine::sa::{Core, IkeSa, Phase};
use crate::machine::send::Name;
use crate::machine::timers::TimerKey;
use crate::phase1::base::responder;
use crate::phase1::proof::Proof;
use crate::plan::Phase1Mode;
use crate::refused::Refused;
use crate::state_name::StateName;
use alloc::boxed::Box;
use drive::{Instant, Verdict};
use ipsec_wire::isakmp::Payloads;

impl Endpoint {
    /// Message 1: an unknown initiator that says who it is. Nothing is kept unless the offer is acceptable,
    /// and no power is computed.
    pub(super) fn on_base_1(&mut self, now: Instant, incoming: &Incoming<'_>) -> Taken {
        let payloads = self.first_message(incoming, Phase1Mode::Base, StateName::BaseIdle)?;
        let found = self.first_by_identity(
            incoming,
            &payloads,
            |connection| connection.base,
            |connection| responder::check_offer(connection, &payloads),
        );
        let Found { ike_sa, id, connection, peer, offer, takes_identity } = found?;
        let decoy = self.draw_decoy();
        let psk = connection.authentication.pre_shared_key();
        let psk = if takes_identity { psk } else { psk.map(|_| &decoy) };
        let began = Began { ike_sa, mode: Phase1Mode::Base, id, connection: &connection };
        let mut core = self.begin_responding(now, began, incoming, &payloads, (&offer.choice, offer.capabilities));
        let cookies = core.cookies;
        if !takes_identity {
            self.nobody_takes(&mut core, &connection, &peer);
        }
        let ours = local_identity(&connection, core.path);
        let (state, chain) = responder::SaRecv::start(offer, &connection, psk, (peer, &ours), cookies, &mut *self.rng);
        let transmit = self.clear(core.envelope(), Name::phase1(Phase1Mode::Base, 2), &chain);
        let reply = self.reply(&mut core, transmit);
        core.answered = Some(Answered::new(incoming.fingerprint, reply));
        self.timers.set(TimerKey::Phase1(ike_sa), now + self.plan.half_open_timeout);
        self.table.add(core.with(Phase::BaseSaRecv(Box::new(state))));
        Ok(Verdict::Accepted)
    }

    /// Message 3: the initiator's half of the exchange, and its proof.
    pub(super) fn on_base_3(
        &mut self,
        now: Instant,
        mut core: Core,
        state: Box<responder::SaRecv>,
        incoming: &Incoming<'_>,
        payloads: &Payloads<'_>,
    ) -> (Option<IkeSa>, Taken) {
        let Some(connection) = self.plan.shared(core.connection) else {
            return (Some(core.with(Phase::BaseSaRecv(state))), Err(DropReason::NoConnection));
        };
        let arrived = incoming.arrived();
        let (received, proof) = match state.check(&connection.authentication, core.path, payloads) {
            Ok(checked) => checked,
            Err(why) => {
                let peer = Some(state.peer.clone());
                // No proof is right for an identity that nobody takes: that stays the reason.
                let unknown = core.suspicion == Some(Failure::NoKey);
                let why = if unknown { Refused::because(Failure::NoKey) } else { why };
                return self.refuse_proof(core, Phase::BaseSaRecv(state), peer, &arrived, why);
            }
        };
        // Who knows the pre-shared key has proven itself; others cause public key operations before they do.
        if connection.authentication.pre_shared_key().is_none()
            && let Err(reason) = self.may_exponentiate(now, core.path, &connection)
        {
            return (Some(core.with(Phase::BaseSaRecv(state))), Err(reason));
        }
        self.learn_more(&mut core, &connection, payloads);
        match proof {
            Proof::Known => self.base_3_proven(now, core, state, &arrived, received),
            Proof::Claimed(claim) => {
                let came_to = CameTo::BaseSaRecv(state, received);
                let connection = core.connection;
                self.judge(now, core, Claimed { connection, arrived, claim, came_to })
            }
        }
    }

    /// The initiator has proven who it is: phase 1 is done if the connection takes it.
    pub(super) fn base_3_proven(
        &mut self,
        now: Instant,
        mut core: Core,
        state: Box<responder::SaRecv>,
        arrived: &Arrived,
        received: responder::Received,
    ) -> (Option<IkeSa>, Taken) {
        let Some(connection) = self.plan.shared(core.connection) else {
            return (Some(core.with(Phase::BaseSaRecv(state))), Err(DropReason::NoConnection));
        };
        if let Some(wanted) = wanted_identity(&connection, core.path)
            && !wanted.matches(&state.peer)
        {
            // Only signatures come here: without its key no peer proves the identity that nobody wants.
            let (peer, why) = (Some(state.peer.clone()), Refused::because(Failure::WrongIdentity));
            if let (Some(sa), _) = self.refuse_proof(core, Phase::BaseSaRecv(state), peer, arrived, why) {
                self.fail_phase1(sa, Failure::WrongIdentity);
            }
            return (None, Err(DropReason::Refused));
        }
        let agreed = match state.agree(&received, &connection, &mut *self.rng) {
            Ok(agreed) => agreed,
            Err(why) => return suspect(core, Phase::BaseSaRecv(state), why),
        };
        core.nat = found_nat(received.nat, &connection);
        let (keyed, chain) =
            match state.prove(received, &agreed, &connection, (core.path, core.capabilities), &mut *self.rng) {
                Ok(proven) => proven,
                Err(_) => {
                    self.fail_phase1(core.with(Phase::BaseSaRecv(state)), Failure::Signing);
                    return (None, Err(DropReason::Refused));
                }
            };
        core.suspicion = None;
        self.log_isakmp_key(core.cookies, keyed.keys.isakmp());
        self.table.no_longer_half_open(core.origin.ip());
        self.tell_nat(&core);
        let transmit = self.clear(core.envelope(), Name::phase1(Phase1Mode::Base, 4), &chain);
        self.send(transmit.clone());
        core.answered = Some(Answered::new(arrived.fingerprint, Some(transmit)));
        let proven = state.commit(keyed);
        (Some(self.establish(now, core, &connection, proven)), Ok(Verdict::Accepted))
    }
}
