use crate::{FlowId, LimitKind, OwnerId, SaHandle, Spi};

/// Work for the owner of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// An association, or the other of its pair, reached a soft limit: make a successor. Said once a pair, and
    /// not if one batch took it past its hard limit as well.
    SoftExpired {
        /// The association that reached the limit.
        association: SaHandle,
        /// The association of the other direction.
        pair: Option<SaHandle>,
        /// Whose traffic it carries.
        flow: FlowId,
        /// Who agreed its keys.
        owner: OwnerId,
        /// Which limit.
        limit: LimitKind,
    },
    /// An association reached a hard limit and is dead, and so is the other of its pair: tell the peer.
    /// Said once a pair.
    HardExpired {
        /// The association that reached the limit.
        association: SaHandle,
        /// The association of the other direction, dead too.
        pair: Option<SaHandle>,
        /// The SPI of the association that reached the limit.
        spi: Spi,
        /// Whose traffic it carried.
        flow: FlowId,
        /// Who agreed its keys.
        owner: OwnerId,
        /// Which limit.
        limit: LimitKind,
    },
    /// No keys were installed for an SPI in time; the SPI is free again.
    LarvalExpired {
        /// The stale handle of the association that was to be.
        association: SaHandle,
        /// Its SPI.
        spi: Spi,
        /// Who was to agree its keys.
        owner: OwnerId,
    },
    /// An inbound association carried its first packet: the peer has its keys, and an older one of the
    /// flow may go.
    FirstUse {
        /// The association.
        association: SaHandle,
        /// Whose traffic it carries.
        flow: FlowId,
        /// Who agreed its keys.
        owner: OwnerId,
    },
    /// Half of the sequence numbers of an outbound association's last snapshot are used: take the next one.
    SnapshotDue {
        /// The association.
        association: SaHandle,
    },
}
