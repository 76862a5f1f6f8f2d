use crate::action::{Encapsulation, Lifetimes, OriginalAddresses, RemoveReason, RemoveSa, SpiPair};
use crate::crypto::DhGroup;
use crate::ids::{ChildId, IkeSaId, PolicyId, Role};
use crate::machine::sa::PeerKey;
use crate::proposal::Mode;
use crate::selector::TrafficSelector;
use alloc::vec::Vec;
use core::net::IpAddr;
use drive::Instant;

/// A pair of IPsec SAs, from the moment its inbound half is installed.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) id: ChildId,
    pub(crate) ike_sa: IkeSaId,
    pub(crate) policy: PolicyId,
    pub(crate) peer: PeerKey,
    pub(crate) role: Role,
    /// Its protocols, in the order in which they are applied to an outbound packet.
    pub(crate) sas: Vec<SpiPair>,
    pub(crate) extended_sequence: bool,
    pub(crate) pfs: Option<DhGroup>,
    pub(crate) mode: Mode,
    pub(crate) encapsulation: Encapsulation,
    pub(crate) local_end: IpAddr,
    pub(crate) remote_end: IpAddr,
    pub(crate) local: TrafficSelector,
    pub(crate) remote: TrafficSelector,
    pub(crate) original: Option<OriginalAddresses>,
    pub(crate) lifetimes: Lifetimes,
    /// The places of the beginning and the end of its quick mode among everything that this end
    /// began and finished.
    pub(crate) began: u64,
    pub(crate) finished: u64,
    pub(crate) since: Instant,
    pub(crate) replaces: Option<ChildId>,
    /// Both directions are installed.
    pub(crate) complete: bool,
    /// A newer pair is for sending now.
    pub(crate) superseded: bool,
}

impl Child {
    /// Returns whether this pair is for sending rather than `older`, which was complete before it.
    ///
    /// The newer one is, unless their quick modes overlapped: then both ends started one at once, and
    /// the higher of the lower SPIs decides, which both ends know.
    pub(crate) fn prevails_over(&self, older: &Self) -> bool {
        let low = |child: &Self| child.sas.iter().map(|sa| sa.inbound.min(sa.outbound)).min();
        self.began > older.finished || low(self) > low(older)
    }

    pub(crate) fn removal(&self, reason: RemoveReason) -> RemoveSa {
        RemoveSa {
            child: self.id,
            connection: self.peer.connection,
            policy: self.policy,
            sas: self.sas.clone(),
            reason,
        }
    }

    /// Returns when this end renews it, and when it ends.
    pub(crate) fn limits(&self) -> (Instant, Instant) {
        (self.since + self.lifetimes.soft, self.since + self.lifetimes.hard)
    }
}
