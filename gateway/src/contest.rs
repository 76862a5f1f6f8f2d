//! Peers that want to carry the same traffic of one policy in tunnel mode.
//!
//! A peer that comes back, from wherever, takes its traffic over from where it was before: it has proven that it is
//! the same. Another peer does not, unless the plan says that the newest may: traffic never moves from one to the
//! other without a word, RFC 3948 §5.1.

use crate::action::InstallRefusal;
use crate::pair::Pair;
use crate::pump::Gateway;
use alloc::collections::BTreeMap;
use ikev1_core::proposal::Mode;
use ikev1_core::{Event as Ike, Identity, IkeSaId, InstallSa, UserName};

/// Who a peer has proven to be: its identity, and its user if that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    identity: Identity,
    user: Option<UserName>,
}

/// Who is behind each ISAKMP SA.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    known: BTreeMap<IkeSaId, Who>,
}

impl Peers {
    /// Learns from news of the exchanges.
    pub(crate) fn learn(&mut self, event: &Ike) {
        if let Ike::Phase1Established { ike_sa, peer, replaces, .. } = event {
            // The user is not asked again for a renewal.
            let before = replaces.and_then(|old| self.known.get(&old)).filter(|before| before.identity == *peer);
            let user = before.and_then(|before| before.user.clone());
            self.known.insert(*ike_sa, Who { identity: peer.clone(), user });
        } else if let Ike::UserAuthenticated { ike_sa, user, is_peer: true, .. } = event {
            if let Some(who) = self.known.get_mut(ike_sa) {
                who.user = Some(user.clone());
            }
        } else if let Ike::IkeSaEnded { ike_sa, .. } = event {
            self.known.remove(ike_sa);
        }
    }

    pub(crate) fn of(&self, ike_sa: IkeSaId) -> Option<&Who> {
        self.known.get(&ike_sa)
    }
}

impl Gateway {
    /// Checks that no other peer carries what a new pair is for.
    pub(crate) fn check_contest(&self, install: &InstallSa, pair: &Pair) -> Result<(), InstallRefusal> {
        let renews = install.replaces.and_then(|old| self.pairs.get(&old)).and_then(|old| old.session);
        if self.take_over || pair.mode != Mode::Tunnel || renews.is_some() {
            return Ok(());
        }
        let Some(route) = self.routes.of(pair.template) else { return Ok(()) };
        let who = self.peers.of(install.ike_sa);
        let overlapping = route.carriers.overlapping(pair.local, pair.remote);
        for other in overlapping.filter_map(|child| self.pairs.get(&child)) {
            if other.path.remote != pair.path.remote
                && let Some(session) = other.session
                && self.sessions.who(session) != who
            {
                return Err(InstallRefusal::Contested { by: other.path.remote });
            }
        }
        Ok(())
    }
}
