use alloc::boxed::Box;
use core::net::IpAddr;
use ikev1_core::auth::RsaVerifyingKey;
use ikev1_core::{ChildId, ConnectionId, IkeSaId, PolicyId, Ticket, UserVerdict, XauthAnswer};

/// What the caller can ask of a [`Gateway`](crate::Gateway). It may hold a password, so it is not copied.
#[derive(Debug)]
#[non_exhaustive]
pub enum Command {
    /// Negotiates all associations of a connection.
    Initiate {
        /// The connection.
        connection: ConnectionId,
    },
    /// Negotiates the associations of one phase 2 policy.
    Acquire {
        /// The connection.
        connection: ConnectionId,
        /// The policy of that connection.
        policy: PolicyId,
    },
    /// Renews an ISAKMP SA; its IPsec SAs move to the new one.
    RekeyIke {
        /// The SA to replace.
        ike_sa: IkeSaId,
    },
    /// Renews a pair of IPsec SAs.
    RekeyChild {
        /// The pair to replace.
        child: ChildId,
    },
    /// Ends an ISAKMP SA and its IPsec SAs, and tells the peer.
    DeleteIke {
        /// The SA to end.
        ike_sa: IkeSaId,
    },
    /// Ends a pair of IPsec SAs and tells the peer.
    DeleteChild {
        /// The pair to end.
        child: ChildId,
    },
    /// Ends everything of a connection and tells the peers.
    CloseConnection {
        /// The connection.
        connection: ConnectionId,
    },
    /// Ends everything and tells all peers; the gateway takes nothing more in.
    CloseAll,
    /// Answers [`Action::VerifyCertificate`](crate::Action::VerifyCertificate).
    CertificateVerdict {
        /// The number of the question.
        ticket: Ticket,
        /// The key that the peer's certificate vouches for; `None` if it is not trusted.
        key: Option<RsaVerifyingKey>,
    },
    /// Asks a peer at once whether it lives.
    Probe {
        /// The ISAKMP SA to ask under.
        ike_sa: IkeSaId,
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
}

impl From<Command> for ikev1_core::Command {
    fn from(command: Command) -> Self {
        match command {
            Command::Initiate { connection } => Self::Initiate { connection },
            Command::Acquire { connection, policy } => Self::Acquire { connection, policy, packet: None },
            Command::RekeyIke { ike_sa } => Self::RekeyIke { ike_sa },
            Command::RekeyChild { child } => Self::RekeyChild { child },
            Command::DeleteIke { ike_sa } => Self::DeleteIke { ike_sa },
            Command::DeleteChild { child } => Self::DeleteChild { child },
            Command::CloseConnection { connection } => Self::CloseConnection { connection },
            Command::CloseAll => Self::CloseAll,
            Command::CertificateVerdict { ticket, key } => Self::CertificateVerdict { ticket, key },
            Command::Probe { ike_sa } => Self::Probe { ike_sa },
            Command::ProvideVerdict { ticket, verdict } => Self::ProvideVerdict { ticket, verdict },
            Command::ProvideAnswer { ticket, answer } => Self::ProvideAnswer { ticket, answer },
            Command::ProvideAddress { ticket, address } => Self::ProvideAddress { ticket, address },
        }
    }
}
