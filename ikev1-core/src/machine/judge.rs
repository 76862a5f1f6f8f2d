use crate::action::{Action, VerifyCertificate};
use crate::auth::{RemoteKey, RsaVerifyingKey};
use crate::command::Handle;
use crate::defaults;
use crate::error::{CommandError, DropReason, Failure};
use crate::flight::Answered;
use crate::identity::Identity;
use crate::ids::{ConnectionId, Ticket};
use crate::keys::{IsakmpKeys, IvChain, NextIv};
use crate::machine::phase1::Taken;
use crate::machine::receive::Arrived;
use crate::machine::sa::{Core, IkeSa, Phase};
use crate::machine::timers::TimerKey;
use crate::machine::{Asked, Endpoint};
use crate::phase1::proof::Claim;
use crate::phase1::{aggressive, base, main};
use crate::refused::Refused;
use crate::state_name::StateName;
use alloc::boxed::Box;
use drive::{Instant, Verdict};

/// A message of the peer whose signature is still to be checked, with the state that it came to.
#[derive(Debug)]
pub(crate) struct Claimed {
    /// The connection whose credentials decide.
    pub(crate) connection: ConnectionId,
    pub(crate) arrived: Arrived,
    pub(crate) claim: Claim,
    pub(crate) came_to: CameTo,
}

/// The state that a message with a signature came to, and what was read from it.
#[derive(Debug)]
pub(crate) enum CameTo {
    /// Main mode, responder, message 5.
    KeRecv(Box<main::responder::KeRecv>, NextIv, main::Authenticated),
    /// Main mode, initiator, message 6.
    AuthSent(Box<main::initiator::AuthSent>, NextIv, main::Authenticated),
    /// Aggressive mode, initiator, message 2.
    SaKeSent(Box<aggressive::initiator::SaKeSent>, Box<aggressive::initiator::Authenticated>),
    /// Aggressive mode, responder, message 3; without an IV if it came in clear.
    SaKeAuthSent(Box<aggressive::responder::SaKeAuthSent>, Option<NextIv>, aggressive::responder::Authenticated),
    /// Base mode, initiator, message 4.
    BaseKeAuthSent(Box<base::initiator::KeAuthSent>, base::initiator::Authenticated),
    /// Base mode, responder, message 3.
    BaseSaRecv(Box<base::responder::SaRecv>, base::responder::Received),
}

impl CameTo {
    fn peer(&self) -> &Identity {
        match self {
            Self::KeRecv(_, _, read) => &read.peer,
            Self::AuthSent(_, _, read) => &read.peer,
            Self::SaKeSent(_, read) => &read.peer,
            Self::SaKeAuthSent(state, ..) => &state.peer,
            Self::BaseKeAuthSent(state, _) => &state.peer,
            Self::BaseSaRecv(state, _) => &state.peer,
        }
    }

    /// Returns the state as it was before the message, whose signature was refused.
    fn phase(self) -> Phase {
        match self {
            Self::KeRecv(state, ..) => Phase::KeRecv(state),
            Self::AuthSent(state, ..) => Phase::AuthSent(state),
            Self::SaKeSent(state, _) => Phase::SaKeSent(state),
            Self::SaKeAuthSent(state, ..) => Phase::SaKeAuthSent(state),
            Self::BaseKeAuthSent(mut state, read) => {
                state.doubt(read);
                Phase::BaseKeAuthSent(state)
            }
            Self::BaseSaRecv(state, _) => Phase::BaseSaRecv(state),
        }
    }

    /// Returns the keys, the IV chain before the message, and whether the peer holds the SA for made;
    /// none where the peer has no keys yet, and in base mode, where none are computed before the proof.
    fn keys(&self) -> Option<(&IsakmpKeys, IvChain, bool)> {
        match self {
            Self::KeRecv(state, ..) => Some((state.keys.isakmp(), state.iv, false)),
            Self::AuthSent(state, ..) => Some((state.keys.isakmp(), state.iv, true)),
            Self::SaKeAuthSent(state, ..) => Some((state.keys.isakmp(), state.iv, true)),
            Self::SaKeSent(..) | Self::BaseKeAuthSent(..) | Self::BaseSaRecv(..) => None,
        }
    }

    /// Returns the IV past the message, if it came encrypted.
    const fn next_iv(&self) -> Option<NextIv> {
        match self {
            Self::KeRecv(_, next, _) | Self::AuthSent(_, next, _) => Some(*next),
            Self::SaKeAuthSent(_, next, _) => *next,
            Self::SaKeSent(..) | Self::BaseKeAuthSent(..) | Self::BaseSaRecv(..) => None,
        }
    }

    pub(crate) const fn state_name(&self) -> StateName {
        match self {
            Self::KeRecv(..) | Self::AuthSent(..) => StateName::MainAuthRecv,
            Self::SaKeSent(..) => StateName::AggressiveSaKeAuthRecv,
            Self::SaKeAuthSent(..) => StateName::AggressiveAuthRecv,
            Self::BaseKeAuthSent(..) | Self::BaseSaRecv(..) => StateName::BaseKeAuthRecv,
        }
    }

    /// Returns whether the peer started and has proven nothing.
    pub(crate) const fn is_half_open_responder(&self) -> bool {
        match self {
            Self::KeRecv(..) | Self::SaKeAuthSent(..) | Self::BaseSaRecv(..) => true,
            Self::AuthSent(..) | Self::SaKeSent(..) | Self::BaseKeAuthSent(..) => false,
        }
    }
}

impl Endpoint {
    /// Finds the key for a signature: the one of the plan, or the one of a certificate, for which the
    /// caller is asked. Meanwhile the SA takes in nothing else.
    pub(super) fn judge(&mut self, now: Instant, mut core: Core, claimed: Claimed) -> (Option<IkeSa>, Taken) {
        if core.signature_checks >= defaults::MAX_SIGNATURE_CHECKS {
            return (Some(core.with(claimed.came_to.phase())), Err(DropReason::Limit));
        }
        core.signature_checks = core.signature_checks.saturating_add(1);
        let connection = self.plan.shared(claimed.connection);
        let Some(remote) = connection.as_ref().and_then(|connection| connection.authentication.remote_key()) else {
            return (Some(core.with(claimed.came_to.phase())), Err(DropReason::NoConnection));
        };
        if let RemoteKey::Key(key) = remote {
            return self.judged(now, core, claimed, Some(key.clone()));
        }
        let ticket = Ticket(self.next_id());
        self.tickets.insert(ticket, (core.id, Asked::Verdict));
        self.out.action(Action::VerifyCertificate(Box::new(VerifyCertificate {
            ticket,
            ike_sa: core.id,
            connection: claimed.connection,
            path: claimed.arrived.path,
            identity: claimed.came_to.peer().clone(),
            certificates: claimed.claim.certificates.clone(),
        })));
        self.timers.set(TimerKey::Phase1(core.id), now + defaults::TICKET_TIMEOUT);
        core.refused = Some(Answered::new(claimed.arrived.fingerprint, None));
        (Some(core.with(Phase::Judging(ticket, Box::new(claimed)))), Ok(Verdict::Accepted))
    }

    /// The caller has judged the certificates.
    pub(super) fn certificate_verdict(
        &mut self,
        now: Instant,
        ticket: Ticket,
        key: Option<RsaVerifyingKey>,
    ) -> Result<Handle, CommandError> {
        let unknown = CommandError::UnknownTicket(ticket);
        let (id, _) =
            self.tickets.get(&ticket).copied().filter(|(_, asked)| *asked == Asked::Verdict).ok_or(unknown)?;
        let IkeSa { core, phase } = self.table.take(id).ok_or(unknown)?;
        match phase {
            Phase::Judging(asked, claimed) if asked == ticket => {
                self.tickets.remove(&ticket);
                if let (Some(sa), _) = self.judged(now, core, *claimed, key) {
                    self.table.put(sa);
                }
                Ok(Handle::Done)
            }
            phase @ (Phase::SaSent(_)
            | Phase::KeSent(_)
            | Phase::AuthSent(_)
            | Phase::SaRecv(_)
            | Phase::KeRecv(_)
            | Phase::SaKeSent(_)
            | Phase::SaKeAuthSent(_)
            | Phase::BaseSaSent(_)
            | Phase::BaseKeAuthSent(_)
            | Phase::BaseSaRecv(_)
            | Phase::Judging(..)
            | Phase::Up(_)) => {
                self.table.put(core.with(phase));
                Err(unknown)
            }
        }
    }

    /// Checks a signature with the key that was found, and goes on if it is right.
    fn judged(
        &mut self,
        now: Instant,
        core: Core,
        claimed: Claimed,
        key: Option<RsaVerifyingKey>,
    ) -> (Option<IkeSa>, Taken) {
        let Claimed { connection, arrived, claim, came_to } = claimed;
        let weak_allowed = self.plan.connection(connection).is_some_and(|connection| connection.weak);
        let checked = match key {
            None => Err(Failure::CertificateRefused),
            Some(key) if key.is_weak() && !weak_allowed => Err(Failure::WeakKey(key.bits())),
            Some(key) => key.verify(&claim.hash, &claim.signature).map_err(|_| Failure::WrongSignature),
        };
        if let Err(failure) = checked {
            return self.not_proven(now, core, came_to, &arrived, failure);
        }
        match came_to {
            CameTo::KeRecv(state, next_iv, read) => self.main_5_proven(now, core, state, &arrived, next_iv, read),
            CameTo::AuthSent(state, next_iv, read) => self.main_6_proven(now, core, state, &arrived, next_iv, read),
            CameTo::SaKeSent(state, read) => self.aggressive_2_proven(now, core, state, &arrived, read),
            CameTo::SaKeAuthSent(state, next_iv, read) => {
                self.aggressive_3_proven(now, core, state, &arrived, next_iv, read)
            }
            CameTo::BaseKeAuthSent(state, read) => self.base_4_proven(now, core, state, &arrived, &read),
            CameTo::BaseSaRecv(state, read) => self.base_3_proven(now, core, state, &arrived, read),
        }
    }

    /// A signature proved nothing. The exchange waits a little, for the message may be a forged copy; how
    /// often is limited.
    fn not_proven(
        &mut self,
        now: Instant,
        mut core: Core,
        came_to: CameTo,
        arrived: &Arrived,
        failure: Failure,
    ) -> (Option<IkeSa>, Taken) {
        let peer = came_to.peer().clone();
        core.refused_iv = came_to.next_iv();
        // If it was a copy, the right one is under way.
        self.timers.set(TimerKey::Phase1(core.id), now + defaults::REFUSAL_GRACE);
        if came_to.is_half_open_responder() {
            return self.refuse_proof(core, came_to.phase(), Some(peer), arrived, Refused::because(failure));
        }
        if core.suspicion.is_none()
            && let Some(connection) = self.plan.shared(core.connection)
        {
            self.peer_not_wanted(&core, &connection, Some(peer), failure.clone());
        }
        core.refused = Some(Answered::new(arrived.fingerprint, None));
        core.suspicion = Some(failure);
        (Some(core.with(came_to.phase())), Err(DropReason::Refused))
    }

    /// Ends an exchange whose signature proved nothing, or was not judged in time, and tells the peer.
    pub(super) fn end_unproven(&mut self, sa: IkeSa, failure: Failure) {
        self.tell_unproven(&sa);
        self.fail_phase1(sa, failure);
    }

    /// Tells the peer under protection that its proof was not taken, before the exchange ends for it: a
    /// responder may hold the SA for made.
    fn tell_unproven(&mut self, sa: &IkeSa) {
        if let Some((keys, iv)) = self.keys_of_doubted(sa) {
            return self.refuse_peer(&sa.core, keys.isakmp(), &iv, true);
        }
        let phase = match &sa.phase {
            Phase::Judging(_, claimed) => claimed.came_to.keys(),
            Phase::KeRecv(state) => Some((state.keys.isakmp(), state.iv, false)),
            Phase::AuthSent(state) => Some((state.keys.isakmp(), state.iv, true)),
            Phase::SaKeAuthSent(state) => Some((state.keys.isakmp(), state.iv, true)),
            Phase::SaSent(_) | Phase::KeSent(_) | Phase::SaRecv(_) | Phase::SaKeSent(_) | Phase::Up(_) => None,
            Phase::BaseSaSent(_) | Phase::BaseKeAuthSent(_) | Phase::BaseSaRecv(_) => None,
        };
        let Some((keys, mut iv, made)) = phase else { return };
        let past =
            if let Phase::Judging(_, claimed) = &sa.phase { claimed.came_to.next_iv() } else { sa.core.refused_iv };
        // The peer's chain is past the message that was refused here.
        if let Some(past) = past {
            iv.commit(past);
        }
        self.refuse_peer(&sa.core, keys, &iv, made);
    }
}
