//! Lives extended while they are used, for clients that neither renew nor say goodbye.
//!
//! Old telephones hold an SA as long as it lives and notice nothing of its end. A router that is told so
//! extends the life of their ISAKMP SA by a minute at a time while traffic comes, and ends it with all that
//! it carries after a minute without.

use crate::defaults;
use crate::event::Event;
use crate::ids::Role;
use crate::machine::Endpoint;
use crate::machine::sa::IkeSa;
use crate::machine::timers::TimerKey;
use crate::plan::Peer;
use drive::Instant;

impl Endpoint {
    /// Returns whether the life of an SA is extended by its traffic instead of being renewed.
    pub(super) fn is_extended(&self, sa: &IkeSa) -> bool {
        let Some(connection) = self.plan.connection(sa.core.connection) else { return false };
        connection.extend_while_used && sa.core.role == Role::Responder && !matches!(connection.peer, Peer::Address(_))
    }

    /// Extends the life of an SA at its end, if traffic came lately. Returns whether it did.
    ///
    /// Without effect if its IPsec SAs live shorter than it does: they end first, and the client renews them.
    pub(super) fn extend(&mut self, now: Instant, sa: &mut IkeSa) -> bool {
        if !self.is_extended(sa) {
            return false;
        }
        let Some(peer) = sa.peer_key() else { return false };
        let id = sa.core.id;
        let Some(up) = sa.up_mut() else { return false };
        let life = up.lifetime;
        let children = || self.table.children_of_peer(&peer);
        let (any, longer) = (children().count() > 0, children().any(|child| child.lifetimes.hard >= life));
        if any && !longer {
            self.event(Event::ExtensionInactive { ike_sa: id });
        }
        if !longer {
            return false;
        }
        if now.saturating_duration_since(up.dpd.last_heard()) >= defaults::EXTENSION {
            return false;
        }
        up.hard = now + defaults::EXTENSION;
        self.timers.set(TimerKey::IkeHard(id), up.hard);
        self.event(Event::LifeExtended { ike_sa: id, by: defaults::EXTENSION });
        true
    }
}
