use crate::action::Direction;
use crate::auth::{ProofKind, RemoteKey};
use crate::counters::count;
use crate::error::{DropReason, Failure};
use crate::event::Event;
use crate::flight::{Answered, Request};
use crate::identity::Identity;
use crate::ids::{ConnectionId, Cookies, IkeSaId, Role};
use crate::informational::{delete, notify};
use crate::keys::{IsakmpKeys, IvChain};
use crate::machine::Endpoint;
use crate::machine::receive::Incoming;
use crate::machine::sa::{Core, Envelope, IkeSa, Phase};
use crate::machine::send::Name;
use crate::machine::timers::TimerKey;
use crate::message::Opened;
use crate::phase1::main::initiator;
use crate::plan::{ConnectionPlan, Phase1Mode, RemoteIdentity};
use crate::refused::Refused;
use crate::transition::{self, Protection, Row};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use drive::{Instant, Path, Transmit, Verdict};
use ipsec_wire::isakmp::{Body, Cookie, Payloads};
use nat_t::float::{Ports, moved};
use nat_t::{Location, Version};

/// What became of a datagram.
pub(super) type Taken = Result<Verdict<DropReason>, DropReason>;

impl Endpoint {
    /// Starts phase 1 as initiator: message 1 goes out. A renewal keeps the mode.
    pub(super) fn start_phase1(
        &mut self,
        now: Instant,
        id: ConnectionId,
        path: Path,
        replaces: Option<IkeSaId>,
    ) -> Option<IkeSaId> {
        if self.table.len() >= self.plan.max_ike_sas {
            count(&mut self.counters.acquire_phase1_start_failed);
            return None;
        }
        let connection = self.plan.shared(id)?;
        let renewed = replaces.and_then(|id| self.table.get(id)).map(|sa| sa.core.mode);
        let mode = renewed.unwrap_or(connection.mode);
        let cookies = Cookies { initiator: self.draw_cookie(), responder: Cookie::ZERO };
        let ike_sa = IkeSaId(self.next_id());
        let mut core = Core::new(now, (ike_sa, Role::Initiator, mode, id), cookies, path);
        core.replaces = replaces;
        let (phase, chain) = match mode {
            Phase1Mode::Main => {
                let (state, chain) = initiator::SaSent::start(&connection);
                (Phase::SaSent(state), chain)
            }
            Phase1Mode::Aggressive => self.aggressive_1(&core, &connection)?,
            Phase1Mode::Base => self.base_1(&core, &connection),
        };
        self.event(Event::Phase1Started { ike_sa, role: Role::Initiator, connection: id, path, replaces });
        let transmit = self.clear(core.envelope(), Name::phase1(mode, 1), &chain);
        self.request(now, &mut core, transmit);
        self.table.add(core.with(phase));
        Some(ike_sa)
    }

    pub(super) fn draw_cookie(&mut self) -> Cookie {
        let mut cookie = Cookie::ZERO;
        while cookie.is_zero() {
            self.rng.fill_bytes(&mut cookie.0);
        }
        cookie
    }

    /// Sends a message of phase 1 that waits for its answer.
    pub(super) fn request(&mut self, now: Instant, core: &mut Core, transmit: Transmit) {
        let Some(connection) = self.plan.shared(core.connection) else { return };
        let mut request = Request::new(transmit.clone(), connection.backoff);
        let gap = request.gap().unwrap_or_default();
        self.timers.set(TimerKey::Phase1(core.id), now + gap);
        core.request = Some(request);
        self.send(transmit);
    }

    /// Sends a message of phase 1 to a peer that has proven nothing, if what it sent allows as much.
    pub(super) fn reply(&mut self, core: &mut Core, transmit: Transmit) -> Option<Transmit> {
        if !core.budget.spend(self.octets_on_wire(&transmit)) {
            count(&mut self.own.budget_refused);
            return None;
        }
        self.send(transmit.clone());
        Some(transmit)
    }

    /// Takes in a message of phase 1.
    pub(super) fn on_phase1(&mut self, now: Instant, mode: Phase1Mode, incoming: &Incoming<'_>) -> Taken {
        let known = if incoming.cookies.responder.is_zero() {
            match self.table.with_first(incoming.cookies.initiator, incoming.path.remote) {
                Some(id) => Some(id),
                // A first message of this end's own came back.
                None if self.table.began_with(incoming.cookies.initiator) => return Err(DropReason::Unexpected),
                None => {
                    return match mode {
                        Phase1Mode::Main => self.on_main_1(now, incoming),
                        Phase1Mode::Aggressive => self.on_aggressive_1(now, incoming),
                        Phase1Mode::Base => self.on_base_1(now, incoming),
                    };
                }
            }
        } else {
            let unanswered = incoming.cookies.with_responder(Cookie::ZERO);
            self.table.with_cookies(incoming.cookies).or_else(|| self.table.with_cookies(unanswered))
        };
        let Some(mut sa) = known.and_then(|id| self.table.take(id)) else {
            count(&mut self.counters.rx_no_exchange_phase1);
            return Err(DropReason::UnknownCookies);
        };
        if sa.core.mode != mode {
            self.table.put(sa);
            return Err(DropReason::Unexpected);
        }
        if sa.is_half_open_responder() {
            sa.core.budget.received(incoming.received);
        }
        let is_answered = sa.core.answered.as_ref().is_some_and(Answered::would_resend);
        if let Some(repeat) = self.phase1_repeat(&mut sa, incoming) {
            if is_answered {
                self.repeat_questions(&sa);
            }
            self.table.put(sa);
            return repeat;
        }
        let (sa, taken) = self.advance(now, sa, incoming);
        if let Some(sa) = sa {
            self.table.put(sa);
        }
        taken
    }

    /// Answers a repeat of the last message taken in, or of the last one refused.
    fn phase1_repeat(&mut self, sa: &mut IkeSa, incoming: &Incoming<'_>) -> Option<Taken> {
        let half_open = sa.is_half_open_responder();
        let core = &mut sa.core;
        for slot in [&mut core.answered, &mut core.refused] {
            let Some(answered) = slot.as_mut().filter(|answered| answered.is_repeat(&incoming.fingerprint)) else {
                continue;
            };
            let octets = answered.reply().map_or(0, |reply| self.octets_on_wire(reply));
            if half_open && !core.budget.spend(octets) {
                count(&mut self.own.budget_refused);
                return Some(Err(DropReason::RepeatLimit));
            }
            return Some(Ok(self.answer_repeat(answered)));
        }
        None
    }

    /// Takes in a message of phase 1 that is new to its SA. The SA comes back unless it ended.
    fn advance(&mut self, now: Instant, sa: IkeSa, incoming: &Incoming<'_>) -> (Option<IkeSa>, Taken) {
        let IkeSa { core, phase } = sa;
        // Which of two rows it is follows from how the peer proves itself.
        let proof = self
            .plan
            .connection(core.connection)
            .map_or(ProofKind::Hash, |connection| connection.authentication.peer_proof());
        let Some(row) = transition::row_for(core.mode.exchange(), core.role, phase.state_name(core.mode), proof) else {
            return (Some(core.with(phase)), Err(DropReason::Unexpected));
        };
        // Until both ends are proven the source is fixed, but for the move to the NAT-T port.
        let moves = match &phase {
            Phase::KeRecv(_) => core.floats(),
            // Where NATs stand is said in the very message that comes from the new port.
            Phase::SaKeAuthSent(_) => core.capabilities.nat_t.is_some_and(Version::floats),
            Phase::SaSent(_) | Phase::KeSent(_) | Phase::AuthSent(_) | Phase::SaRecv(_) => false,
            Phase::SaKeSent(_) | Phase::Judging(..) | Phase::Up(_) => false,
            // All four messages of base mode stay where they began.
            Phase::BaseSaSent(_) | Phase::BaseKeAuthSent(_) | Phase::BaseSaRecv(_) => false,
        };
        if incoming.path != core.path && !(moves && self.is_marked(incoming.path)) {
            return (Some(core.with(phase)), Err(DropReason::WrongSource));
        }
        let protection = match incoming.body {
            Body::Clear(_) => Protection::Clear,
            Body::Encrypted(_) => Protection::Encrypted,
        };
        if let Err(reason) = row.takes(protection) {
            return (Some(core.with(phase)), Err(reason));
        }
        match (incoming.body, phase) {
            (_, Phase::SaKeAuthSent(state)) => self.on_aggressive_3(now, core, state, incoming, row),
            (Body::Encrypted(body), Phase::KeRecv(state)) => self.on_main_5(now, core, state, incoming, body, row),
            (Body::Encrypted(body), Phase::AuthSent(state)) => self.on_main_6(now, core, state, incoming, body, row),
            (Body::Encrypted(_), phase) => (Some(core.with(phase)), Err(DropReason::Unexpected)),
            (Body::Clear(payloads), phase) => self.advance_clear(now, core, phase, incoming, &payloads, row),
        }
    }

    /// Takes in a clear message of phase 1 that is new to its SA.
    fn advance_clear(
        &mut self,
        now: Instant,
        core: Core,
        phase: Phase,
        incoming: &Incoming<'_>,
        payloads: &Payloads<'_>,
        row: &Row,
    ) -> (Option<IkeSa>, Taken) {
        let types = payloads.iter().map(|payload| payload.payload_type());
        if let Err(reason) = transition::admit(row, Protection::Clear, types) {
            return (Some(core.with(phase)), Err(reason));
        }
        let from = Envelope { cookies: incoming.cookies, ..core.envelope() };
        let name = Name::phase1(core.mode, row.message);
        self.trace(Direction::Inbound, from, name, payloads, Protection::Clear, incoming.length);
        match phase {
            Phase::SaSent(state) => self.on_main_2(now, core, state, incoming, payloads),
            Phase::SaRecv(state) => self.on_main_3(now, core, state, incoming, payloads),
            Phase::KeSent(state) => self.on_main_4(now, core, state, incoming, payloads),
            Phase::SaKeSent(state) => self.on_aggressive_2(now, core, state, incoming, payloads),
            Phase::BaseSaSent(state) => self.on_base_2(now, core, state, incoming, payloads),
            Phase::BaseSaRecv(state) => self.on_base_3(now, core, state, incoming, payloads),
            Phase::BaseKeAuthSent(state) => self.on_base_4(now, core, state, incoming, payloads),
            Phase::KeRecv(_) | Phase::AuthSent(_) | Phase::SaKeAuthSent(_) | Phase::Judging(..) | Phase::Up(_) => {
                (Some(core.with(phase)), Err(DropReason::Unexpected))
            }
        }
    }

    /// Moves an initiator to the NAT-T ports, if a NAT was found.
    pub(super) fn move_to_nat_t(&self, core: &mut Core, connection: &ConnectionPlan) {
        if core.floats() {
            let local = Ports { ike: self.plan.ike_port, nat_t: self.plan.nat_t_port };
            let remote = Ports { ike: connection.peer_port, nat_t: connection.peer_nat_t_port };
            core.path = moved(core.path, local, remote);
        }
    }

    /// Returns whether a message of an SA that is up may come this way: along its path, from behind a NAT to the
    /// NAT-T port, or as all of base mode did, since its responder does not know yet that the initiator moved.
    /// Where nothing moves to that port, a NAT may put another source in place of the one that was known.
    pub(super) fn may_come(&self, core: &Core, path: Path) -> bool {
        let began = core.mode == Phase1Mode::Base
            && core.role == Role::Initiator
            && path.remote == core.origin
            && path.local.port() == self.plan.ike_port
            && path.local.ip() == core.path.local.ip();
        let mapped = if core.floats() { self.is_marked(path) || began } else { path.local == core.path.local };
        path == core.path || core.nat.is_nat() && mapped
    }

    /// Returns whether INITIAL-CONTACT is due: no other SA with the peer is known, not even an IPsec SA whose ISAKMP
    /// SA has ended. Where several ISAKMP SAs are made side by side none says it, for it would end the others.
    pub(super) fn is_first_contact(&self, core: &Core, connection: &ConnectionPlan) -> bool {
        let stands = |other: &IkeSa| other.up().is_some() || connection.pfs_identities;
        connection.initial_contact
            && core.replaces.is_none()
            && !self.table.of_connection(core.connection).any(stands)
            && self.table.children_of_connection(core.connection).next().is_none()
    }

    /// Tells a peer that is another than wanted, and if it holds the SA for made, that it is gone.
    pub(super) fn refuse_peer(&mut self, core: &Core, keys: &IsakmpKeys, iv: &IvChain, made: bool) {
        let send = self.plan.connection(core.connection).is_some_and(|connection| connection.send_notifies);
        if let Some(notify_type) = notify::notify_of(&Failure::WrongIdentity).filter(|_| send || made) {
            let chain = notify::about_isakmp(notify_type, core.cookies, Vec::new());
            self.inform(core, keys, iv, &chain);
            self.event(Event::NotifySent { path: core.path, notify: notify_type, protected: true });
        }
        if made {
            self.inform(core, keys, iv, &delete::of_isakmp(core.cookies));
        }
    }

    /// Decrypts a message and holds its payloads against its row of the transition table: what decrypts to a wrong
    /// set of payloads decrypted to garbage. Its IV chain stays where it is.
    pub(super) fn open(
        &mut self,
        incoming: &Incoming<'_>,
        body: &[u8],
        (keys, iv): (&IsakmpKeys, &IvChain),
        row: &Row,
    ) -> Result<Opened, DropReason> {
        count(&mut self.counters.rx_decrypt_start);
        let opened = Opened::new(&incoming.header, body, iv, keys.cipher())?;
        let types = opened.payloads()?.iter().map(|payload| payload.payload_type());
        transition::admit(row, Protection::Encrypted, types).map_err(|_| DropReason::DecryptFailed)?;
        Ok(opened)
    }

    /// Tells where NATs stand.
    pub(super) fn tell_nat(&mut self, core: &Core) {
        if let Some(version) = core.capabilities.nat_t {
            self.event(Event::NatDetected { ike_sa: core.id, nat: core.nat, version, path: core.path });
        }
    }
}

/// Keeps an SA whose message was refused, and what that makes suspect: nothing else changes.
pub(super) fn suspect(mut core: Core, phase: Phase, why: Refused) -> (Option<IkeSa>, Taken) {
    if let Some(failure) = why.failure() {
        core.suspicion = Some(failure.clone());
    }
    (Some(core.with(phase)), Err(why.drop))
}

/// Returns where NATs stand, this end counted as behind one if the plan wants encapsulation.
pub(super) const fn found_nat(detected: Location, connection: &ConnectionPlan) -> Location {
    match (detected, connection.force_encapsulation) {
        (Location::None, true) => Location::Local,
        (Location::Remote, true) => Location::Both,
        (detected, _) => detected,
    }
}

/// Returns who this end says it is.
pub(super) fn local_identity(connection: &ConnectionPlan, path: Path) -> Identity {
    connection.local_identity.clone().unwrap_or(Identity::Address(path.local.ip()))
}

/// Returns whom the peer must prove to be, `None` if anyone.
pub(super) fn wanted_identity(connection: &ConnectionPlan, path: Path) -> Option<Identity> {
    match &connection.remote_identity {
        RemoteIdentity::Anyone => None,
        RemoteIdentity::Exactly(identity) => Some(identity.clone()),
        RemoteIdentity::PeerAddress => Some(Identity::Address(path.remote.ip())),
    }
}

/// Returns what the peer's proof is checked with, in words.
pub(super) fn credential(connection: &ConnectionPlan) -> String {
    match connection.authentication.remote_key() {
        None => format!("pre-shared key of {}", connection.name),
        Some(RemoteKey::Key(_)) => format!("public key of {}", connection.name),
        Some(RemoteKey::Certificate { .. }) => format!("certificate for {}", connection.name),
    }
}
