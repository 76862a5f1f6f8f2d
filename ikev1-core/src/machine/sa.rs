use crate::action::RemoveReason;
use crate::defaults;
use crate::error::{DropReason, Failure};
use crate::flight::{Answered, Budget, Request};
use crate::identity::Identity;
use crate::ids::{ChildId, ConnectionId, Cookies, IkeSaId, PolicyId, Role, Ticket};
use crate::informational::dpd::Dpd;
use crate::informational::heartbeat::Heartbeats;
use crate::keys::{IsakmpKeys, IvChain, NextIv};
use crate::machine::companions::Companions;
use crate::machine::connected::{Commit, Held};
use crate::machine::judge::Claimed;
use crate::machine::session::Session;
use crate::machine::transaction::Transaction;
use crate::phase1::main::{initiator, responder};
use crate::phase1::{aggressive, base};
use crate::plan::Phase1Mode;
use crate::proposal::Phase1Transform;
use crate::quick;
use crate::ride_along::vendor::Capabilities;
use crate::state_name::{IkeSaState, StateName};
use crate::transaction::UserName;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use drive::{Instant, Path};
use ipsec_wire::registry::ProtocolId;
use nat_t::Location;

/// An ISAKMP SA, from its first message to its end.
#[derive(Debug)]
pub(crate) struct IkeSa {
    pub(crate) core: Core,
    pub(crate) phase: Phase,
}

/// What an SA has in every phase.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) id: IkeSaId,
    pub(crate) role: Role,
    pub(crate) mode: Phase1Mode,
    pub(crate) connection: ConnectionId,
    pub(crate) cookies: Cookies,
    pub(crate) path: Path,
    /// The peer under which the table finds it; that follows when it is put back.
    pub(crate) filed_under: Option<PeerKey>,
    /// Where the peer was when the exchange began.
    pub(crate) origin: SocketAddr,
    pub(crate) created: Instant,
    pub(crate) capabilities: Capabilities,
    pub(crate) nat: Location,
    /// The SA that this one is to replace.
    pub(crate) replaces: Option<IkeSaId>,
    /// The message of phase 1 that waits for its answer; a responder has one in aggressive mode only.
    pub(crate) request: Option<Request>,
    /// The last message of phase 1 taken in.
    pub(crate) answered: Option<Answered>,
    /// The last message of phase 1 refused, and the notification sent for it.
    pub(crate) refused: Option<Answered>,
    /// Why the last one was refused: what the exchange fails with if nothing better comes.
    pub(crate) suspicion: Option<Failure>,
    /// The last unprotected notification.
    pub(crate) hint: Option<u16>,
    pub(crate) budget: Budget,
    /// How many signatures of the peer were looked at.
    pub(crate) signature_checks: u8,
    /// The IV past the last message whose signature was refused.
    pub(crate) refused_iv: Option<NextIv>,
    pub(crate) exchanges: BTreeMap<u32, Exchange>,
    /// Requests that wait for phase 1.
    pub(crate) waiting: Vec<Waiting>,
    /// The transactions of phase 1.5, by message id.
    pub(crate) transactions: BTreeMap<u32, Transaction>,
    /// What went with the bundles that the peer deleted.
    pub(crate) companions: Companions,
}

impl Core {
    pub(crate) fn new(
        now: Instant,
        (id, role, mode, connection): (IkeSaId, Role, Phase1Mode, ConnectionId),
        cookies: Cookies,
        path: Path,
    ) -> Self {
        Self {
            id,
            role,
            mode,
            connection,
            cookies,
            path,
            filed_under: None,
            origin: path.remote,
            created: now,
            capabilities: Capabilities::default(),
            nat: Location::Unknown,
            replaces: None,
            request: None,
            answered: None,
            refused: None,
            suspicion: None,
            hint: None,
            budget: Budget::default(),
            signature_checks: 0,
            refused_iv: None,
            exchanges: BTreeMap::new(),
            waiting: Vec::new(),
            transactions: BTreeMap::new(),
            companions: Companions::default(),
        }
    }

    pub(crate) const fn envelope(&self) -> Envelope {
        Envelope { ike_sa: self.id, cookies: self.cookies, path: self.path }
    }

    pub(crate) const fn with(self, phase: Phase) -> IkeSa {
        IkeSa { core: self, phase }
    }

    /// Returns how many quick modes are at work; those that are kept to answer repeats are not.
    pub(crate) fn at_work(&self) -> usize {
        self.exchanges.values().filter(|exchange| !matches!(exchange.state, Quick::Done)).count()
    }

    /// Returns the oldest quick mode that is kept to answer repeats only.
    pub(crate) fn oldest_done(&self) -> Option<u32> {
        let done = self.exchanges.iter().filter(|(_, exchange)| matches!(exchange.state, Quick::Done));
        done.min_by_key(|(_, exchange)| exchange.began).map(|(id, _)| *id)
    }

    /// Returns whether its messages move to the NAT-T ports: a NAT was found, and the version in common knows
    /// those ports.
    pub(crate) const fn floats(&self) -> bool {
        match self.capabilities.nat_t {
            Some(version) => nat_t::float::moves(version, self.nat),
            None => false,
        }
    }

    /// Returns the two ends, for the quick modes under this SA.
    pub(crate) fn ends(&self) -> quick::Ends {
        let nat = self.capabilities.nat_t.filter(|_| self.nat.is_nat());
        let behind = self.nat.is_local_behind();
        quick::Ends { local: self.path.local.ip(), remote: self.path.remote.ip(), nat, behind }
    }
}

/// Where an SA stands, with what is known then.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Initiator, message 1 is sent.
    SaSent(initiator::SaSent),
    /// Initiator, message 3 is sent.
    KeSent(Box<initiator::KeSent>),
    /// Initiator, message 5 is sent.
    AuthSent(Box<initiator::AuthSent>),
    /// Responder, message 2 is sent.
    SaRecv(responder::SaRecv),
    /// Responder, message 4 is sent.
    KeRecv(Box<responder::KeRecv>),
    /// Aggressive mode, initiator, message 1 is sent.
    SaKeSent(Box<aggressive::initiator::SaKeSent>),
    /// Aggressive mode, responder, message 2 is sent.
    SaKeAuthSent(Box<aggressive::responder::SaKeAuthSent>),
    /// Base mode, initiator, message 1 is sent.
    BaseSaSent(Box<base::initiator::SaSent>),
    /// Base mode, initiator, message 3 is sent.
    BaseKeAuthSent(Box<base::initiator::KeAuthSent>),
    /// Base mode, responder, message 2 is sent.
    BaseSaRecv(Box<base::responder::SaRecv>),
    /// The caller is asked whether it trusts the peer's certificates.
    Judging(Ticket, Box<Claimed>),
    /// Both ends have proven who they are.
    Up(Box<Up>),
}

impl Phase {
    pub(crate) const fn state_name(&self, mode: Phase1Mode) -> StateName {
        match self {
            Self::SaKeSent(_) => StateName::AggressiveSaKeSent,
            Self::SaKeAuthSent(_) => StateName::AggressiveSaKeAuthSent,
            Self::SaSent(_) => StateName::MainSaSent,
            Self::KeSent(_) => StateName::MainKeSent,
            Self::AuthSent(_) => StateName::MainAuthSent,
            Self::SaRecv(_) => StateName::MainSaRecv,
            Self::KeRecv(_) => StateName::MainKeRecv,
            Self::BaseSaSent(_) => StateName::BaseSaSent,
            Self::BaseKeAuthSent(_) => StateName::BaseKeAuthSent,
            Self::BaseSaRecv(_) => StateName::BaseSaRecv,
            Self::Judging(_, claimed) => claimed.came_to.state_name(),
            Self::Up(_) => match mode {
                Phase1Mode::Main => StateName::MainUp,
                Phase1Mode::Aggressive => StateName::AggressiveUp,
                Phase1Mode::Base => StateName::BaseUp,
            },
        }
    }
}

/// What is known once phase 1 is done.
#[derive(Debug)]
pub(crate) struct Up {
    pub(crate) keys: IsakmpKeys,
    /// Where the IV chain of phase 1 ended.
    pub(crate) iv: IvChain,
    pub(crate) transform: Phase1Transform,
    pub(crate) peer: Identity,
    pub(crate) since: Instant,
    pub(crate) lifetime: Duration,
    pub(crate) soft: Instant,
    pub(crate) hard: Instant,
    pub(crate) dpd: Dpd,
    pub(crate) heartbeats: Heartbeats,
    pub(crate) replaced_by: Option<IkeSaId>,
    pub(crate) negotiations: u64,
    /// It was for one quick mode, which has begun.
    pub(crate) spent: bool,
    pub(crate) finished: Finished,
    /// Phase 1.5: what stands between phase 1 and phase 2.
    pub(crate) session: Session,
}

/// The message ids that were used up, in order of size: a replay under one of them does nothing.
///
/// None is forgotten while the SA lives, for nothing else in a message says that it is new. So an SA takes so many
/// messages and no more, and is renewed at half of that.
#[derive(Debug, Default)]
pub(crate) struct Finished(Vec<u32>);

impl Finished {
    /// Returns whether the peer may begin something under an id.
    pub(crate) fn admits(&self, message_id: u32) -> Result<(), DropReason> {
        match self.0.binary_search(&message_id) {
            Ok(_) => Err(DropReason::Replay),
            Err(_) if self.0.len() >= defaults::MAX_FINISHED_IDS => Err(DropReason::Limit),
            Err(_) => Ok(()),
        }
    }

    /// Remembers an id. What this end began when there was no more room needs none: its answers are known.
    pub(crate) fn insert(&mut self, message_id: u32) {
        if let Err(place) = self.0.binary_search(&message_id)
            && self.0.len() < defaults::MAX_FINISHED_IDS
        {
            self.0.insert(place, message_id);
        }
    }

    /// Returns whether the SA is to be renewed: from half of the room on, and not with every message again.
    pub(crate) fn asks_for_renewal(&self) -> bool {
        self.0.len() >= defaults::MAX_FINISHED_IDS / 2 && self.0.len().is_multiple_of(256)
    }
}

/// A request for a pair of IPsec SAs that waits for phase 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) child: ChildId,
    pub(crate) policy: PolicyId,
    pub(crate) replaces: Option<ChildId>,
}

/// A quick mode.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) role: Role,
    pub(crate) child: ChildId,
    pub(crate) policy: PolicyId,
    pub(crate) replaces: Option<ChildId>,
    pub(crate) state: Quick,
    pub(crate) iv: IvChain,
    pub(crate) request: Option<Request>,
    pub(crate) answered: Option<Answered>,
    /// Its place among everything that this end began and finished.
    pub(crate) began: u64,
    pub(crate) commit: Commit,
}

/// The inbound SPIs of a quick mode while they are being found.
#[derive(Debug, Default)]
pub(crate) struct SpiSearch {
    /// The protocols without one, each with the question that the caller has not answered.
    pub(crate) open: Vec<(Ticket, ProtocolId)>,
    pub(crate) found: quick::Spis,
}

/// Where a quick mode stands, with what is known then.
#[derive(Debug)]
pub(crate) enum Quick {
    /// Initiator, the caller is asked for SPIs.
    Starting(SpiSearch),
    /// Initiator, message 1 is sent.
    WaitHashSaNonce(Box<quick::initiator::WaitHashSaNonce>),
    /// Responder, the caller is asked for SPIs.
    SendingHashSaNonce(SpiSearch, Box<quick::responder::Request>),
    /// Responder, message 2 is sent and the inbound half is in force.
    WaitHash(Box<quick::responder::WaitHash>),
    /// All messages are sent and taken in; the peer, which set the commit bit, has not confirmed yet.
    WaitConnected(Box<Held>),
    /// Kept to answer repeats.
    Done,
}

impl Quick {
    pub(crate) fn search_mut(&mut self) -> Option<&mut SpiSearch> {
        match self {
            Self::Starting(search) | Self::SendingHashSaNonce(search, _) => Some(search),
            Self::WaitHashSaNonce(_) | Self::WaitHash(_) | Self::WaitConnected(_) | Self::Done => None,
        }
    }

    pub(crate) const fn state_name(&self) -> StateName {
        match self {
            Self::Starting(_) => StateName::QuickStarting,
            Self::WaitHashSaNonce(_) => StateName::QuickWaitHashSaNonce,
            Self::SendingHashSaNonce(..) => StateName::QuickSendingHashSaNonce,
            Self::WaitHash(_) => StateName::QuickWaitHash,
            Self::WaitConnected(_) => StateName::QuickSendingHash,
            Self::Done => StateName::DeleteDelay,
        }
    }
}

/// Where the messages of an SA go, and under which names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    pub(crate) ike_sa: IkeSaId,
    pub(crate) cookies: Cookies,
    pub(crate) path: Path,
}

/// A peer, as far as one may be taken for another: connection, proven identity, user and address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PeerKey {
    pub(crate) connection: ConnectionId,
    pub(crate) identity: Identity,
    /// Who XAUTH proved: clients of one group behind one NAT differ in nothing else.
    pub(crate) user: Option<UserName>,
    pub(crate) address: IpAddr,
}

impl PeerKey {
    pub(crate) fn of(core: &Core, up: &Up) -> Self {
        Self {
            connection: core.connection,
            identity: up.peer.clone(),
            user: up.session.user().cloned(),
            address: core.path.remote.ip(),
        }
    }

    fn is(&self, core: &Core, up: &Up) -> bool {
        self.connection == core.connection
            && self.address == core.path.remote.ip()
            && self.user.as_ref() == up.session.user()
            && self.identity == up.peer
    }
}

impl IkeSa {
    pub(crate) fn up(&self) -> Option<&Up> {
        if let Phase::Up(up) = &self.phase { Some(up) } else { None }
    }

    pub(crate) fn up_mut(&mut self) -> Option<&mut Up> {
        if let Phase::Up(up) = &mut self.phase { Some(up) } else { None }
    }

    /// Returns whether phase 2 may run under it: phase 1 is proven, and phase 1.5 is done.
    pub(crate) fn is_open(&self) -> bool {
        self.up().is_some_and(|up| up.session.is_open())
    }

    /// Returns whether it can carry new exchanges: no newer one took its place, and it was not for one alone.
    pub(crate) fn is_current(&self) -> bool {
        self.is_open() && self.up().is_some_and(|up| up.replaced_by.is_none() && !up.spent)
    }

    pub(crate) fn peer_key(&self) -> Option<PeerKey> {
        self.known_peer().map(|up| PeerKey::of(&self.core, up))
    }

    /// Returns whether the table would find it under its peer, without building that key.
    pub(crate) fn is_filed(&self) -> bool {
        match (self.known_peer(), &self.core.filed_under) {
            (Some(up), Some(filed)) => filed.is(&self.core, up),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Returns what is known of a peer that is known: until XAUTH has said which user it is, it is nobody in
    /// particular.
    fn known_peer(&self) -> Option<&Up> {
        self.up().filter(|up| !up.session.is_about_the_user())
    }

    pub(crate) fn state(&self) -> IkeSaState {
        match self.up() {
            None => IkeSaState::Embryonic,
            Some(up) if up.replaced_by.is_some() => IkeSaState::Expired,
            Some(up) if up.session.is_about_the_user() => IkeSaState::DoingXauth,
            Some(_) => IkeSaState::Active,
        }
    }

    /// Returns whether its peer has proven nothing and this end answers only.
    pub(crate) const fn is_half_open_responder(&self) -> bool {
        match &self.phase {
            Phase::SaRecv(_) | Phase::KeRecv(_) | Phase::SaKeAuthSent(_) | Phase::BaseSaRecv(_) => true,
            Phase::Judging(_, claimed) => claimed.came_to.is_half_open_responder(),
            Phase::SaSent(_) | Phase::KeSent(_) | Phase::AuthSent(_) | Phase::SaKeSent(_) | Phase::Up(_) => false,
            Phase::BaseSaSent(_) | Phase::BaseKeAuthSent(_) => false,
        }
    }
}

/// Returns the failure that a removal means for exchanges that it cuts short.
pub(crate) fn failure_of(reason: &RemoveReason) -> Failure {
    match reason {
        RemoveReason::PeerDead => Failure::PeerDead,
        RemoveReason::DeletedLocally => Failure::Closed,
        RemoveReason::Expired
        | RemoveReason::Replaced
        | RemoveReason::DeletedByPeer
        | RemoveReason::InitialContact
        | RemoveReason::Spent
        | RemoveReason::IkeSaGone => Failure::IkeSaGone,
        RemoveReason::Failed(failure) => failure.clone(),
    }
}
