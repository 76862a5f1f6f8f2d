use crate::action::Direction;
use crate::error::{DropReason, Failure};
use crate::event::Event;
use crate::flight::{Answered, Request};
use crate::keys::NextIv;
use crate::machine::Endpoint;
use crate::machine::first_message::{Began, Found};
use crate::machine::judge::{CameTo, Claimed};
use crate::machine::phase1::{Taken, found_nat, local_identity, suspect, wanted_identity};
use crate::machine::receive::{Arrived, Incoming};
use crate::machine::sa::{Core, IkeSa, Phase};
use crate::machine::send::Name;
use crate::machine::timers::TimerKey;
use crate::phase1::aggressive::responder;
use crate::phase1::proof::Proof;
use crate::plan::{ConnectionPlan, Phase1Mode};
use crate::refused::Refused;
use crate::state_name::StateName;
use crate::transition::{self, Protection, Row};
use alloc::boxed::Box;
use drive::{Instant, Verdict};
use ipsec_wire::isakmp::Body;
use nat_t::float::Ports;

impl Endpoint {
    /// Message 1: an unknown initiator that says who it is. Nothing is kept unless the offer is
    /// acceptable.
    pub(super) fn on_aggressive_1(&mut self, now: Instant, incoming: &Incoming<'_>) -> Taken {
        let payloads = self.first_message(incoming, Phase1Mode::Aggressive, StateName::AggressiveIdle)?;
        let found = self.first_by_identity(
            incoming,
            &payloads,
            |connection| connection.aggressive,
            |connection| responder::check_offer(connection, &payloads),
        );
        let Found { ike_sa, id, connection, peer, offer, takes_identity } = found?;
        self.may_exponentiate(now, incoming.path, &connection)?;
        let agreed = match offer.agree(&connection, &mut *self.rng) {
            Ok(agreed) => agreed,
            Err(why) => return Err(self.refuse_first(ike_sa, id, why, incoming)),
        };
        let decoy = self.draw_decoy();
        let psk = connection.authentication.pre_shared_key();
        let psk = if takes_identity { psk } else { psk.map(|_| &decoy) };
        let began = Began { ike_sa, mode: Phase1Mode::Aggressive, id, connection: &connection };
        let mut core = self.begin_responding(now, began, incoming, &payloads, (&offer.choice, offer.capabilities));
        let (cookies, path) = (core.cookies, core.path);
        if takes_identity && psk.is_some() {
            self.event(Event::KeyHashExposed { ike_sa, connection: id, path, peer: peer.clone() });
        } else if !takes_identity {
            self.nobody_takes(&mut core, &connection, &peer);
        }
        let ours = local_identity(&connection, path);
        let ends = (peer, &ours);
        let made =
            responder::SaKeAuthSent::start(offer, agreed, &connection, psk, ends, (cookies, path), &mut *self.rng);
        let (state, chain) = match made {
            Ok(made) => made,
            Err(why) => return Err(self.refuse_first(ike_sa, id, why, incoming)),
        };
        self.log_isakmp_key(cookies, state.keys.isakmp());
        let transmit = self.clear(core.envelope(), Name::phase1(Phase1Mode::Aggressive, 2), &chain);
        let mut request = Request::new(transmit.clone(), connection.backoff);
        let gap = request.gap().unwrap_or_default().min(self.plan.half_open_timeout);
        core.request = Some(request);
        // Certificates are longer than a small multiple of message 1; where the plan allows this mode with
        // signatures, they are sent once for each message 1 that is new.
        if psk.is_none() {
            core.budget.grant(self.octets_on_wire(&transmit));
        }
        let reply = self.reply(&mut core, transmit);
        core.answered = Some(Answered::new(incoming.fingerprint, reply));
        self.timers.set(TimerKey::Phase1(ike_sa), now + gap);
        self.table.add(core.with(Phase::SaKeAuthSent(Box::new(state))));
        Ok(Verdict::Accepted)
    }

    /// Message 3: the initiator's proof, in clear or encrypted.
    pub(super) fn on_aggressive_3(
        &mut self,
        now: Instant,
        mut core: Core,
        state: Box<responder::SaKeAuthSent>,
        incoming: &Incoming<'_>,
        row: &Row,
    ) -> (Option<IkeSa>, Taken) {
        let Some(connection) = self.plan.shared(core.connection) else {
            return (Some(core.with(Phase::SaKeAuthSent(state))), Err(DropReason::NoConnection));
        };
        let arrived = incoming.arrived();
        let ((authenticated, proof), next_iv) =
            match self.read_aggressive_3(&mut core, &connection, &state, incoming, row) {
                Ok(checked) => checked,
                Err(why) if matches!(why.drop, DropReason::PayloadSet) => {
                    return suspect(core, Phase::SaKeAuthSent(state), why);
                }
                Err(why) => {
                    let peer = Some(state.peer.clone());
                    return self.refuse_proof(core, Phase::SaKeAuthSent(state), peer, &arrived, why);
                }
            };
        match proof {
            Proof::Known => self.aggressive_3_proven(now, core, state, &arrived, next_iv, authenticated),
            Proof::Claimed(claim) => {
                let came_to = CameTo::SaKeAuthSent(state, next_iv, authenticated);
                let connection = core.connection;
                self.judge(now, core, Claimed { connection, arrived, claim, came_to })
            }
        }
    }

    /// The initiator has proven who it is: phase 1 is done if the connection takes it.
    pub(super) fn aggressive_3_proven(
        &mut self,
        now: Instant,
        mut core: Core,
        mut state: Box<responder::SaKeAuthSent>,
        arrived: &Arrived,
        next_iv: Option<NextIv>,
        authenticated: responder::Authenticated,
    ) -> (Option<IkeSa>, Taken) {
        let Some(connection) = self.plan.shared(core.connection) else {
            return (Some(core.with(Phase::SaKeAuthSent(state))), Err(DropReason::NoConnection));
        };
        if let Some(next_iv) = next_iv {
            state.iv.commit(next_iv);
        }
        core.path = arrived.path;
        core.nat = found_nat(authenticated.nat, &connection);
        if let Some(wanted) = wanted_identity(&connection, core.path)
            && !wanted.matches(&state.peer)
        {
            // Only signatures come here: without its key no peer proves the identity that nobody wants.
            self.peer_not_wanted(&core, &connection, Some(state.peer.clone()), Failure::WrongIdentity);
            self.refuse_peer(&core, state.keys.isakmp(), &state.iv, true);
            self.fail_phase1(core.with(Phase::SaKeAuthSent(state)), Failure::WrongIdentity);
            return (None, Err(DropReason::Refused));
        }
        core.request = None;
        core.suspicion = None;
        self.table.no_longer_half_open(core.origin.ip());
        self.tell_nat(&core);
        core.answered = Some(Answered::new(arrived.fingerprint, None));
        let proven = state.commit(&authenticated);
        (Some(self.establish(now, core, &connection, proven)), Ok(Verdict::Accepted))
    }

    /// Reads message 3, and returns the IV that follows if it came encrypted.
    fn read_aggressive_3(
        &mut self,
        core: &mut Core,
        connection: &ConnectionPlan,
        state: &responder::SaKeAuthSent,
        incoming: &Incoming<'_>,
        row: &Row,
    ) -> Result<((responder::Authenticated, Proof), Option<NextIv>), Refused> {
        let authentication = &connection.authentication;
        let ports = Ports { ike: self.plan.ike_port, nat_t: self.plan.nat_t_port };
        let locals = ports.both(incoming.path.local);
        let remote = incoming.path.remote;
        let name = Name::phase1(Phase1Mode::Aggressive, 3);
        match incoming.body {
            Body::Clear(payloads) => {
                transition::admit(row, Protection::Clear, payloads.iter().map(|payload| payload.payload_type()))?;
                let authenticated = state.check(authentication, &locals, remote, &payloads, false)?;
                self.learn_more(core, connection, &payloads);
                let from = core.envelope();
                self.trace(Direction::Inbound, from, name, &payloads, Protection::Clear, incoming.length);
                Ok((authenticated, None))
            }
            Body::Encrypted(body) => {
                let opened = self.open(incoming, body, (state.keys.isakmp(), &state.iv), row)?;
                let payloads = opened.payloads()?;
                let authenticated = state.check(authentication, &locals, remote, &payloads, true)?;
                self.learn_more(core, connection, &payloads);
                let from = core.envelope();
                self.trace(Direction::Inbound, from, name, &payloads, Protection::Encrypted, incoming.length);
                Ok((authenticated, Some(opened.next_iv())))
            }
        }
    }

    /// The peer goes on while its message 3 is missing: that was lost, so message 2 goes out
    /// again and brings it back.
    pub(super) fn message_3_is_missing(&mut self, sa: &mut IkeSa, incoming: &Incoming<'_>) {
        if !matches!(sa.phase, Phase::SaKeAuthSent(_)) {
            return;
        }
        sa.core.budget.received(incoming.received);
        if let Some(transmit) = sa.core.request.as_ref().map(|request| request.transmit().clone()) {
            let _ = self.reply(&mut sa.core, transmit);
        }
    }
}
