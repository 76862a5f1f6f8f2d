use crate::action::Direction;
use crate::auth::ProofKind;
use crate::counters::count;
use crate::error::{DropReason, Failure};
use crate::event::Event;
use crate::flight::{Answered, Budget};
use crate::identity::Identity;
use crate::ids::{ConnectionId, IkeSaId, Role};
use crate::informational::notify;
use crate::keys::NextIv;
use crate::machine::Endpoint;
use crate::machine::first_message::Began;
use crate::machine::judge::{CameTo, Claimed};
use crate::machine::phase1::{Taken, credential, found_nat, local_identity, suspect, wanted_identity};
use crate::machine::receive::{Arrived, Incoming};
use crate::machine::sa::{Core, Envelope, IkeSa, Phase};
use crate::machine::send::Name;
use crate::machine::timers::TimerKey;
use crate::phase1::main::{Authenticated, responder};
use crate::phase1::proof::Proof;
use crate::plan::{ConnectionPlan, Peer, Phase1Mode};
use crate::proposal::Phase1Transform;
use crate::refused::Refused;
use crate::state_name::StateName;
use crate::transition::{Protection, Row};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use drive::{Instant, Path, Verdict};
use ipsec_wire::isakmp::Payloads;

impl Endpoint {
    /// Message 1: an unknown initiator. Nothing is kept unless the offer is acceptable.
    pub(super) fn on_main_1(&mut self, now: Instant, incoming: &Incoming<'_>) -> Taken {
        let payloads = self.first_message(incoming, Phase1Mode::Main, StateName::MainIdle)?;
        let mut refused: Option<(ConnectionId, Refused)> = None;
        let mut accepted = None;
        for id in self.candidates(incoming.path) {
            let Some(connection) = self.plan.shared(id) else { continue };
            match responder::check_offer(&connection, &payloads) {
                Ok(offer) => {
                    accepted = Some((id, offer));
                    break;
                }
                Err(why) => {
                    refused.get_or_insert((id, why));
                }
            }
        }
        let ike_sa = IkeSaId(self.next_id());
        let Some((id, offer)) = accepted else {
            let Some((id, why)) = refused else { return Err(DropReason::NoConnection) };
            return Err(self.refuse_first(ike_sa, id, why, incoming));
        };
        let connection = self.plan.shared(id).ok_or(DropReason::NoConnection)?;
        let began = Began { ike_sa, mode: Phase1Mode::Main, id, connection: &connection };
        let mut core = self.begin_responding(now, began, incoming, &payloads, (&offer.choice, offer.capabilities));
        let cookies = core.cookies;
        let (state, chain) = responder::SaRecv::start(offer, &connection, cookies);
        let transmit = self.clear(core.envelope(), Name::main(2), &chain);
        let reply = self.reply(&mut core, transmit);
        core.answered = Some(Answered::new(incoming.fingerprint, reply));
        self.timers.set(TimerKey::Phase1(ike_sa), now + self.plan.half_open_timeout);
        self.table.add(core.with(Phase::SaRecv(state)));
        Ok(Verdict::Accepted)
    }

    /// Refuses message 1 of either mode: a notification within the budget, an event, and no state.
    pub(super) fn refuse_first(
        &mut self,
        ike_sa: IkeSaId,
        connection: ConnectionId,
        why: Refused,
        incoming: &Incoming<'_>,
    ) -> DropReason {
        let drop = why.drop;
        if why.failure().is_none() {
            return drop;
        }
        let why = why.into_why();
        let failure = why.failure;
        let notify_type = notify::notify_of(&failure);
        let send = self.plan.connection(connection).is_some_and(|connection| connection.send_notifies);
        if let Some(notify_type) = notify_type.filter(|_| send) {
            let chain = notify::about_isakmp(notify_type, incoming.cookies, Vec::new());
            let to = Envelope { ike_sa, cookies: incoming.cookies, path: incoming.path };
            let mut budget = Budget::default();
            budget.received(incoming.length);
            let message_id = self.rng.next_u32();
            let transmit = self.clear(to, Name::informational(message_id), &chain);
            if budget.spend(transmit.payload.len()) {
                self.send(transmit);
                self.event(Event::NotifySent { path: incoming.path, notify: notify_type, protected: false });
            }
        }
        count(&mut self.counters.done_phase1_failed);
        self.event(Event::Phase1Failed {
            ike_sa,
            connection: Some(connection),
            role: Role::Responder,
            path: incoming.path,
            failure,
            refusals: why.refusals,
        });
        drop
    }

    /// Checks the limits on SAs whose peer has proven nothing.
    pub(super) fn check_half_open(&self, path: Path) -> Result<(), DropReason> {
        let full = self.table.half_open() >= self.plan.max_half_open
            || self.table.half_open_from(path.remote.ip()) >= self.plan.max_half_open_per_address
            || self.table.len() >= self.plan.max_ike_sas;
        if full { Err(DropReason::HalfOpenLimit) } else { Ok(()) }
    }

    /// Checks that a peer that has proven nothing may cause one more Diffie-Hellman exchange; what is
    /// cheap to check is checked before.
    pub(super) fn may_exponentiate(
        &mut self,
        now: Instant,
        path: Path,
        connection: &ConnectionPlan,
    ) -> Result<(), DropReason> {
        let is_named = connection.peer == Peer::Address(path.remote.ip());
        if self.dh_budget.take(now, self.plan.max_unproven_dh, is_named) { Ok(()) } else { Err(DropReason::WorkLimit) }
    }

    /// Returns the connections a peer at this address may use: the one that names it most closely
    /// first, and in the order of the plan those that name it as closely.
    pub(super) fn candidates(&self, path: Path) -> Vec<ConnectionId> {
        let local = |connection: &ConnectionPlan| connection.local.is_none_or(|local| local == path.local.ip());
        let closeness = |connection: &ConnectionPlan| connection.peer.closeness(path.remote.ip());
        let mut found: Vec<(Reverse<u16>, ConnectionId)> = self
            .plan
            .connections()
            .filter(|(_, connection)| local(connection))
            .filter_map(|(id, connection)| Some((Reverse(closeness(connection)?), id)))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// Message 3: the initiator's half of the exchange.
    pub(super) fn on_main_3(
        &mut self,
        now: Instant,
        mut core: Core,
        state: responder::SaRecv,
        incoming: &Incoming<'_>,
        payloads: &Payloads<'_>,
    ) -> (Option<IkeSa>, Taken) {
        let Some(connection) = self.plan.shared(core.connection) else {
            return (Some(core.with(Phase::SaRecv(state))), Err(DropReason::NoConnection));
        };
        let checked = state.check(core.path, payloads).and_then(|received| {
            self.may_exponentiate(now, core.path, &connection)?;
            let agreed = state.agree(&received, &connection, &mut *self.rng)?;
            Ok((received, agreed))
        });
        let (received, agreed) = match checked {
            Ok(checked) => checked,
            Err(why) => return suspect(core, Phase::SaRecv(state), why),
        };
        // Each step of the exchange has the whole time for itself.
        self.timers.set(TimerKey::Phase1(core.id), now + self.plan.half_open_timeout);
        core.nat = found_nat(received.nat, &connection);
        self.learn_more(&mut core, &connection, payloads);
        let (next, chain) = state.commit(received, agreed, &connection, core.path, core.capabilities);
        self.log_isakmp_key(core.cookies, next.keys.isakmp());
        self.tell_nat(&core);
        let transmit = self.clear(core.envelope(), Name::main(4), &chain);
        let reply = self.reply(&mut core, transmit);
        core.answered = Some(Answered::new(incoming.fingerprint, reply));
        (Some(core.with(Phase::KeRecv(Box::new(next)))), Ok(Verdict::Accepted))
    }

    /// Message 5: who the initiator is, and the proof.
    pub(super) fn on_main_5(
        &mut self,
        now: Instant,
        mut core: Core,
        state: Box<responder::KeRecv>,
        incoming: &Incoming<'_>,
        body: &[u8],
        row: &Row,
    ) -> (Option<IkeSa>, Taken) {
        let Some(connection) = self.plan.shared(core.connection) else {
            return (Some(core.with(Phase::KeRecv(state))), Err(DropReason::NoConnection));
        };
        let arrived = incoming.arrived();
        let opened = match self.open(incoming, body, (state.keys.isakmp(), &state.iv), row) {
            Ok(opened) => opened,
            Err(drop) => return self.refuse_proof(core, Phase::KeRecv(state), None, &arrived, drop.into()),
        };
        let checked = opened.payloads().map_err(Refused::from).and_then(|payloads| {
            let read = state.check(&connection, &payloads)?;
            Ok((payloads, read))
        });
        let (payloads, (authenticated, proof)) = match checked {
            Ok(checked) => checked,
            Err(why) => return self.refuse_proof(core, Phase::KeRecv(state), None, &arrived, why),
        };
        count(&mut self.counters.rx_decrypt_good);
        let from = Envelope { path: arrived.path, ..core.envelope() };
        self.trace(Direction::Inbound, from, Name::main(5), &payloads, Protection::Encrypted, incoming.length);
        self.learn_more(&mut core, &connection, &payloads);
        let next_iv = opened.next_iv();
        match proof {
            Proof::Known => self.main_5_proven(now, core, state, &arrived, next_iv, authenticated),
            Proof::Claimed(claim) => {
                // If no connection takes the identity, the one at work lets the peer prove it before it is
                // refused.
                let found = self.connection_of(&core, arrived.path, &state.transform, &authenticated.peer);
                let connection = found.map_or(core.connection, |(id, _)| id);
                let came_to = CameTo::KeRecv(state, next_iv, authenticated);
                self.judge(now, core, Claimed { connection, arrived, claim, came_to })
            }
        }
    }

    /// The initiator has proven who it is: phase 1 is done if a connection takes it.
    pub(super) fn main_5_proven(
        &mut self,
        now: Instant,
        mut core: Core,
        mut state: Box<responder::KeRecv>,
        arrived: &Arrived,
        next_iv: NextIv,
        authenticated: Authenticated,
    ) -> (Option<IkeSa>, Taken) {
        state.iv.commit(next_iv);
        core.path = arrived.path;
        let found = self.connection_of(&core, core.path, &state.transform, &authenticated.peer);
        let Some((id, connection)) = found else {
            self.refuse_identity(core, state, authenticated.peer);
            return (None, Err(DropReason::Refused));
        };
        let identity = local_identity(&connection, core.path);
        let chain = match state.answer(&authenticated, &connection, &identity, &mut *self.rng) {
            Ok(chain) => chain,
            Err(_) => {
                self.fail_phase1(core.with(Phase::KeRecv(state)), Failure::Signing);
                return (None, Err(DropReason::Refused));
            }
        };
        self.table.no_longer_half_open(core.origin.ip());
        self.table.set_connection(&mut core, id);
        let transmit = self.sealed(core.envelope(), Name::main(6), &chain, state.keys.isakmp(), &mut state.iv);
        self.send(transmit.clone());
        core.answered = Some(Answered::new(arrived.fingerprint, Some(transmit)));
        let proven = state.commit(authenticated);
        (Some(self.establish(now, core, &connection, proven)), Ok(Verdict::Accepted))
    }

    /// Returns the connection that takes a proven identity: the one at work, or another with the same
    /// key that would have chosen the same transform.
    fn connection_of(
        &self,
        core: &Core,
        path: Path,
        transform: &Phase1Transform,
        peer: &Identity,
    ) -> Option<(ConnectionId, Arc<ConnectionPlan>)> {
        let current = self.plan.shared(core.connection)?;
        let takes =
            |connection: &ConnectionPlan| wanted_identity(connection, path).is_none_or(|wanted| wanted.matches(peer));
        if takes(&current) {
            return Some((core.connection, current));
        }
        let (lifetime, authentication) = (transform.lifetime, transform.authentication);
        let same = |ours: &Phase1Transform| Phase1Transform { lifetime, authentication, ..*ours } == *transform;
        self.candidates(path).into_iter().filter_map(|id| Some((id, self.plan.shared(id)?))).find(|(_, other)| {
            takes(other)
                && other.authentication.proves_like(&current.authentication)
                && other.method(Role::Responder) == authentication
                && other.phase1.iter().any(same)
        })
    }

    /// Refuses a last message that proves nothing: the exchange waits on, for a forger may have sent it.
    ///
    /// The answer is the same whatever was wrong, so that it tells a forger nothing.
    pub(super) fn refuse_proof(
        &mut self,
        mut core: Core,
        phase: Phase,
        peer: Option<Identity>,
        arrived: &Arrived,
        why: Refused,
    ) -> (Option<IkeSa>, Taken) {
        let failure = why.failure().cloned().unwrap_or(Failure::ProbablyWrongKey);
        let Some(connection) = self.plan.shared(core.connection) else {
            return suspect(core, phase, why);
        };
        let send = connection.send_notifies;
        if core.suspicion.is_none() {
            self.event(Event::AuthenticationFailed {
                ike_sa: core.id,
                connection: core.connection,
                path: arrived.path,
                peer,
                wanted: wanted_identity(&connection, core.path),
                credential: credential(&connection),
                failure: failure.clone(),
            });
        }
        let mut sent = None;
        let told = match connection.authentication.peer_proof() {
            ProofKind::Hash => Failure::ProbablyWrongKey,
            ProofKind::Signature => Failure::AuthenticationFailed,
        };
        if let Some(notify_type) = notify::notify_of(&told).filter(|_| send) {
            let chain = notify::about_isakmp(notify_type, core.cookies, Vec::new());
            let to = Envelope { path: arrived.path, ..core.envelope() };
            let message_id = self.rng.next_u32();
            let transmit = self.clear(to, Name::informational(message_id), &chain);
            sent = self.reply(&mut core, transmit);
            if sent.is_some() {
                self.event(Event::NotifySent { path: arrived.path, notify: notify_type, protected: false });
            }
        }
        core.refused = Some(Answered::new(arrived.fingerprint, sent));
        suspect(core, phase, why)
    }

    /// Ends an exchange whose peer proved to be another than wanted.
    fn refuse_identity(&mut self, core: Core, state: Box<responder::KeRecv>, peer: Identity) {
        let Some(connection) = self.plan.shared(core.connection) else { return };
        let wanted = wanted_identity(&connection, core.path);
        self.event(Event::AuthenticationFailed {
            ike_sa: core.id,
            connection: core.connection,
            path: core.path,
            peer: Some(peer),
            wanted,
            credential: credential(&connection),
            failure: Failure::WrongIdentity,
        });
        self.refuse_peer(&core, state.keys.isakmp(), &state.iv, false);
        self.fail_phase1(core.with(Phase::KeRecv(state)), Failure::WrongIdentity);
    }
}
