use crate::auth::RsaVerifyingKey;
use crate::ids::{ChildId, ConnectionId, IkeSaId, PolicyId, Ticket};
use crate::selector::TrafficSelector;
use crate::transaction::{UserVerdict, XauthAnswer};
use alloc::boxed::Box;
use core::net::IpAddr;
use drive::Path;

/// What the caller can ask of an [`Endpoint`](crate::Endpoint). It may hold a password, so it is not copied.
#[derive(Debug)]
#[non_exhaustive]
pub enum Command {
    /// Starts phase 1 with the peer of a connection, then phase 2 of all its policies.
    Initiate {
        /// The connection.
        connection: ConnectionId,
    },
    /// Makes a pair of IPsec SAs of one policy, with phase 1 first if there is none.
    ///
    /// Equal requests that are at work already are merged.
    Acquire {
        /// The connection.
        connection: ConnectionId,
        /// The policy of that connection.
        policy: PolicyId,
        /// The traffic that asked, local then remote, for logs; the SAs carry the policy's own.
        packet: Option<(TrafficSelector, TrafficSelector)>,
    },
    /// Renews a pair of IPsec SAs before its time, as when its kilobytes run out.
    RekeyChild {
        /// The pair to replace.
        child: ChildId,
    },
    /// Renews an ISAKMP SA before its time; its IPsec SAs move to the new one.
    RekeyIke {
        /// The SA to replace.
        ike_sa: IkeSaId,
    },
    /// Ends a pair of IPsec SAs and tells the peer.
    DeleteChild {
        /// The pair to end.
        child: ChildId,
    },
    /// Ends an ISAKMP SA and tells the peer; its IPsec SAs end too.
    DeleteIke {
        /// The SA to end.
        ike_sa: IkeSaId,
    },
    /// Ends all SAs of a connection and tells the peers.
    CloseConnection {
        /// The connection.
        connection: ConnectionId,
    },
    /// Ends everything and tells all peers; the endpoint takes nothing more in.
    CloseAll,
    /// Answers [`Action::AllocateSpi`](crate::Action::AllocateSpi).
    ProvideSpi {
        /// The number of the question.
        ticket: Ticket,
        /// The inbound SPI, 256 or above, of IPComp 65535 or below; `None` when there is none to give.
        spi: Option<u32>,
    },
    /// Answers [`Action::VerifyCertificate`](crate::Action::VerifyCertificate).
    CertificateVerdict {
        /// The number of the question.
        ticket: Ticket,
        /// The key that the peer's certificate vouches for; `None` if it is not trusted, or does not prove
        /// the identity.
        key: Option<RsaVerifyingKey>,
    },
    /// Says that ESP or AH of a pair passed its integrity check: a sign of life of the peer.
    ///
    /// Once a second for each pair is enough.
    TrafficSeen {
        /// The pair whose inbound SA took the packet.
        child: ChildId,
    },
    /// Says that ESP of a pair passed its check and came from a new address: the NAT's mapping changed.
    PathLearned {
        /// The pair whose inbound SA took the packet.
        child: ChildId,
        /// Where it came from, on the NAT-T port.
        path: Path,
    },
    /// Says that ESP of a pair went out, so that no keepalive is needed for a while.
    TrafficSent {
        /// The pair whose outbound SA made the packet.
        child: ChildId,
    },
    /// Answers [`Action::VerifyUser`](crate::Action::VerifyUser).
    ProvideVerdict {
        /// The number of the question.
        ticket: Ticket,
        /// Whether the user is who he says.
        verdict: UserVerdict,
    },
    /// Answers [`Action::AskUser`](crate::Action::AskUser).
    ProvideAnswer {
        /// The number of the question.
        ticket: Ticket,
        /// What the user says; `None` when there is no user to ask.
        answer: Option<Box<XauthAnswer>>,
    },
    /// Answers [`Action::AllocateAddress`](crate::Action::AllocateAddress).
    ProvideAddress {
        /// The number of the question.
        ticket: Ticket,
        /// The address of the client; `None` when there is none to give.
        address: Option<IpAddr>,
    },
    /// Asks the peer at once whether it lives.
    Probe {
        /// The ISAKMP SA to ask under.
        ike_sa: IkeSaId,
    },
}

/// What a command that was taken is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handle {
    /// Phase 1 runs, or is there already, as this SA.
    Ike(IkeSaId),
    /// A pair of IPsec SAs is being made, or was already.
    Child(ChildId),
    /// The command is done.
    Done,
}
