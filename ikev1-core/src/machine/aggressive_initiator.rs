use crate::error::{DropReason, Failure};
use crate::event::Event;
use crate::flight::Answered;
use crate::identity::Identity;
use crate::machine::Endpoint;
use crate::machine::judge::{CameTo, Claimed};
use crate::machine::phase1::{Taken, credential, found_nat, local_identity, suspect, wanted_identity};
use crate::machine::receive::{Arrived, Incoming};
use crate::machine::sa::{Core, IkeSa, Phase};
use crate::machine::send::Name;
use crate::negotiate::Refusals;
use crate::phase1::proof::Proof;
use crate::phase1::{self, aggressive::initiator};
use crate::plan::{ConnectionPlan, Phase1Mode};
use alloc::boxed::Box;
use drive::{Instant, Verdict};
use ipsec_wire::isakmp::{Chain, Payloads};

impl Endpoint {
    /// Builds message 1. The group is the one in force if an SA is renewed, else that of the first
    /// transform.
    pub(super) fn aggressive_1(&mut self, core: &Core, connection: &ConnectionPlan) -> Option<(Phase, Chain)> {
        let renewed = core.replaces.and_then(|id| self.table.get(id)).and_then(|sa| sa.up());
        let renewed = renewed.map(|up| up.transform.group);
        let group = renewed.or(connection.phase1.first().map(|transform| transform.group))?;
        let identity = local_identity(connection, core.path);
        let (state, chain) = initiator::SaKeSent::start(connection, group, &identity, &mut *self.rng);
        Some((Phase::SaKeSent(Box::new(state)), chain))
    }

    /// Message 2: the responder's choice, its half of the exchange, and its proof. This end is done;
    /// with a NAT, message 3 goes to the NAT-T ports.
    pub(super) fn on_aggressive_2(
        &mut self,
        now: Instant,
        mut core: Core,
        state: Box<initiator::SaKeSent>,
        incoming: &Incoming<'_>,
        payloads: &Payloads<'_>,
    ) -> (Option<IkeSa>, Taken) {
        let Some(connection) = self.plan.shared(core.connection) else {
            return (Some(core.with(Phase::SaKeSent(state))), Err(DropReason::NoConnection));
        };
        let (checked, proof) = match state.check(&connection, incoming.cookies, core.path, payloads) {
            Ok(checked) => checked,
            Err(why) => {
                if why.drop == DropReason::WrongHash && core.suspicion.is_none() {
                    let claimed = phase1::peer_identity(payloads).ok();
                    self.peer_not_wanted(&core, &connection, claimed, Failure::AuthenticationFailed);
                }
                // Anyone may have sent it, so the right one is waited for; the same again costs nothing.
                core.refused = Some(Answered::new(incoming.fingerprint, None));
                return suspect(core, Phase::SaKeSent(state), why);
            }
        };
        let (arrived, checked) = (incoming.arrived(), Box::new(checked));
        match proof {
            Proof::Known => self.aggressive_2_proven(now, core, state, &arrived, checked),
            Proof::Claimed(claim) => {
                let came_to = CameTo::SaKeSent(state, checked);
                let connection = core.connection;
                self.judge(now, core, Claimed { connection, arrived, claim, came_to })
            }
        }
    }

    /// The responder has proven who it is: message 3 goes out if that is whom this end wants.
    pub(super) fn aggressive_2_proven(
        &mut self,
        now: Instant,
        mut core: Core,
        state: Box<initiator::SaKeSent>,
        arrived: &Arrived,
        mut checked: Box<initiator::Authenticated>,
    ) -> (Option<IkeSa>, Taken) {
        let Some(connection) = self.plan.shared(core.connection) else {
            return (Some(core.with(Phase::SaKeSent(state))), Err(DropReason::NoConnection));
        };
        self.table.set_cookies(&mut core, arrived.cookies);
        core.request = None;
        core.capabilities = checked.capabilities;
        self.agree_on_parts(&core, &connection);
        core.nat = found_nat(checked.nat, &connection);
        self.event(Event::Phase1Negotiated {
            ike_sa: core.id,
            chosen: checked.transform,
            number: checked.number,
            passed_over: Refusals::default(),
        });
        self.log_isakmp_key(core.cookies, checked.keys.isakmp());
        if let Some(wanted) = wanted_identity(&connection, core.path)
            && !wanted.matches(&checked.peer)
        {
            self.peer_not_wanted(&core, &connection, Some(checked.peer.clone()), Failure::WrongIdentity);
            self.refuse_peer(&core, checked.keys.isakmp(), &checked.iv, true);
            self.fail_phase1(core.with(Phase::SaKeSent(state)), Failure::WrongIdentity);
            return (None, Err(DropReason::Refused));
        }
        self.move_to_nat_t(&mut core, &connection);
        let first_contact = self.is_first_contact(&core, &connection);
        let chain = match state.message_3(&checked, &connection, core.path, first_contact, &mut *self.rng) {
            Ok(chain) => chain,
            Err(_) => {
                self.fail_phase1(core.with(Phase::SaKeSent(state)), Failure::Signing);
                return (None, Err(DropReason::Refused));
            }
        };
        self.tell_nat(&core);
        let name = Name::phase1(Phase1Mode::Aggressive, 3);
        let transmit = self.sealed(core.envelope(), name, &chain, checked.keys.isakmp(), &mut checked.iv);
        self.send(transmit.clone());
        core.answered = Some(Answered::new(arrived.fingerprint, Some(transmit)));
        (Some(self.establish(now, core, &connection, checked.commit())), Ok(Verdict::Accepted))
    }

    /// Tells that a peer proved nothing, or that it is another than wanted.
    pub(super) fn peer_not_wanted(
        &mut self,
        core: &Core,
        connection: &ConnectionPlan,
        peer: Option<Identity>,
        failure: Failure,
    ) {
        self.event(Event::AuthenticationFailed {
            ike_sa: core.id,
            connection: core.connection,
            path: core.path,
            peer,
            wanted: wanted_identity(connection, core.path),
            credential: credential(connection),
            failure,
        });
    }
}
