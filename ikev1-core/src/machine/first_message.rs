//! What the three modes of phase 1 have in common where a responder takes in their first message.

use crate::action::Direction;
use crate::auth::PreSharedKey;
use crate::error::{DropReason, Failure};
use crate::event::Event;
use crate::identity::Identity;
use crate::ids::{ConnectionId, IkeSaId, Role};
use crate::machine::Endpoint;
use crate::machine::phase1::wanted_identity;
use crate::machine::receive::Incoming;
use crate::machine::sa::{Core, Envelope};
use crate::machine::send::Name;
use crate::negotiate::Phase1Choice;
use crate::phase1;
use crate::plan::{ConnectionPlan, Phase1Mode, RemoteIdentity};
use crate::refused::Refused;
use crate::ride_along::vendor::Capabilities;
use crate::state_name::StateName;
use crate::transition::{self, Protection};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use drive::{Instant, Path};
use ipsec_wire::isakmp::{Body, Payloads};

/// What answers a message 1 that says who it is from.
pub(super) struct Found<Offer> {
    pub(super) ike_sa: IkeSaId,
    pub(super) id: ConnectionId,
    pub(super) connection: Arc<ConnectionPlan>,
    pub(super) peer: Identity,
    pub(super) offer: Offer,
    /// `false` if no connection takes the identity, and this one only lends its face.
    pub(super) takes_identity: bool,
}

/// A connection, what it makes of the offer, and whether it takes the identity.
type ByIdentity<Offer> = (ConnectionId, Arc<ConnectionPlan>, Offer, bool);

/// What a responder begins.
pub(super) struct Began<'a> {
    pub(super) ike_sa: IkeSaId,
    pub(super) mode: Phase1Mode,
    pub(super) id: ConnectionId,
    pub(super) connection: &'a ConnectionPlan,
}

impl Endpoint {
    /// Returns the payloads of a first message that may begin an exchange: they are the lawful ones, and there is
    /// room for one more.
    pub(super) fn first_message<'a>(
        &self,
        incoming: &Incoming<'a>,
        mode: Phase1Mode,
        idle: StateName,
    ) -> Result<Payloads<'a>, DropReason> {
        let row = transition::row(mode.exchange(), Role::Responder, idle).ok_or(DropReason::Unexpected)?;
        let Body::Clear(payloads) = incoming.body else { return Err(DropReason::NoKeys) };
        transition::admit(row, Protection::Clear, payloads.iter().map(|payload| payload.payload_type()))?;
        self.check_half_open(incoming.path)?;
        Ok(payloads)
    }

    /// Finds the connection that answers a first message by the identity in it.
    ///
    /// An identity that no connection takes is answered like any other, with a key that nobody has: otherwise
    /// answers would tell which identities exist.
    pub(super) fn first_by_identity<Offer>(
        &mut self,
        incoming: &Incoming<'_>,
        payloads: &Payloads<'_>,
        allowed: impl Fn(&ConnectionPlan) -> bool,
        check_offer: impl Fn(&ConnectionPlan) -> Result<Offer, Refused>,
    ) -> Result<Found<Offer>, DropReason> {
        let ike_sa = IkeSaId(self.next_id());
        let peer = phase1::peer_identity(payloads);
        let found = self.found_by_identity(incoming.path, peer.as_ref().ok(), allowed, check_offer);
        match (found, peer) {
            (Ok((id, connection, offer, takes_identity)), Ok(peer)) => {
                Ok(Found { ike_sa, id, connection, peer, offer, takes_identity })
            }
            (Ok((id, ..)), Err(why)) => Err(self.refuse_first(ike_sa, id, why, incoming)),
            (Err(Some((id, why))), _) => Err(self.refuse_first(ike_sa, id, why, incoming)),
            (Err(None), _) => Err(DropReason::NoConnection),
        }
    }

    /// Begins an exchange as its responder: tells of message 1 and of what was chosen from it.
    pub(super) fn begin_responding(
        &mut self,
        now: Instant,
        began: Began<'_>,
        incoming: &Incoming<'_>,
        payloads: &Payloads<'_>,
        (choice, capabilities): (&Phase1Choice, Capabilities),
    ) -> Core {
        let Began { ike_sa, mode, id, connection } = began;
        let cookies = incoming.cookies.with_responder(self.draw_cookie());
        let path = incoming.path;
        let from = Envelope { ike_sa, cookies: incoming.cookies, path };
        let name = Name::phase1(mode, 1);
        self.trace(Direction::Inbound, from, name, payloads, Protection::Clear, incoming.length);
        self.event(Event::Phase1Started { ike_sa, role: Role::Responder, connection: id, path, replaces: None });
        self.event(Event::Phase1Negotiated {
            ike_sa,
            chosen: choice.transform,
            number: choice.transform_number.into(),
            passed_over: choice.refusals.clone(),
        });
        let mut core = Core::new(now, (ike_sa, Role::Responder, mode, id), cookies, path);
        core.capabilities = capabilities;
        self.agree_on_parts(&core, connection);
        core.budget.received(incoming.length);
        core
    }

    /// Tells that no connection takes the identity of a peer that is answered nevertheless.
    pub(super) fn nobody_takes(&mut self, core: &mut Core, connection: &ConnectionPlan, peer: &Identity) {
        core.suspicion = Some(Failure::NoKey);
        self.event(Event::AuthenticationFailed {
            ike_sa: core.id,
            connection: core.connection,
            path: core.path,
            peer: Some(peer.clone()),
            wanted: wanted_identity(connection, core.path),
            credential: format!("no connection for {peer}"),
            failure: Failure::NoKey,
        });
    }

    /// Finds the connection for an identity among those that are `allowed`: those that name the peer's address most
    /// closely first, and among those as close the ones that name the identity before those that take anyone.
    ///
    /// # Errors
    /// The first connection that would have answered and why it did not, `None` if there is none.
    fn found_by_identity<Offer>(
        &self,
        path: Path,
        peer: Option<&Identity>,
        allowed: impl Fn(&ConnectionPlan) -> bool,
        check_offer: impl Fn(&ConnectionPlan) -> Result<Offer, Refused>,
    ) -> Result<ByIdentity<Offer>, Option<(ConnectionId, Refused)>> {
        let candidates: Vec<(ConnectionId, Arc<ConnectionPlan>)> = self
            .candidates(path)
            .into_iter()
            .filter_map(|id| Some((id, self.plan.shared(id)?)))
            .filter(|(_, connection)| allowed(connection))
            .collect();
        let takes = |connection: &ConnectionPlan| {
            peer.is_some_and(|peer| wanted_identity(connection, path).is_none_or(|wanted| wanted.matches(peer)))
        };
        let names = |connection: &ConnectionPlan| connection.remote_identity != RemoteIdentity::Anyone;
        let mut ranked: Vec<(bool, ConnectionId, Arc<ConnectionPlan>)> =
            candidates.into_iter().map(|(id, connection)| (takes(&connection), id, connection)).collect();
        let closeness = |connection: &ConnectionPlan| Reverse(connection.peer.closeness(path.remote.ip()));
        ranked.sort_by_key(|(takes, _, connection)| (!*takes, closeness(connection), !names(connection)));
        let mut refused = None;
        for (takes_identity, id, connection) in ranked {
            match check_offer(&connection) {
                Ok(offer) => return Ok((id, connection, offer, takes_identity)),
                Err(why) => refused = refused.or(Some((id, why))),
            }
        }
        Err(refused)
    }

    /// Draws a key that nobody has.
    pub(super) fn draw_decoy(&mut self) -> PreSharedKey {
        let mut octets = alloc::vec![0; 32];
        self.rng.fill_bytes(&mut octets);
        PreSharedKey::new(octets)
    }
}
