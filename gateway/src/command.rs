use crate::debug::{DebugSettings, DebugTarget};
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
    /// Changes what is told of packets, as [`Event::Trace`](crate::Event::Trace), until it is changed again.
    Debug {
        /// Whose packets.
        of: DebugTarget,
        /// What is told of them.
        settings: DebugSettings,
    },
}

/// A command with what it is for.
pub(crate) enum Order {
    /// The exchanges.
    Ike(ikev1_core::Command),
    /// The policy debugger.
    Debug(DebugTarget, DebugSettings),
}

impl From<Command> for Order {
    fn from(command: Command) -> Self {
        use ikev1_core::Command as Ike;
        Self::Ike(match command {
            Command::Debug { of, settings } => return Self::Debug(of, settings),
            Command::Initiate { connection } => Ike::Initiate { connection },
            Command::Acquire { connection, policy } => Ike::Acquire { connection, policy, packet: None },
            Command::RekeyIke { ike_sa } => Ike::RekeyIke { ike_sa },
            Command::RekeyChild { child } => Ike::RekeyChild { child },
            Command::DeleteIke { ike_sa } => Ike::DeleteIke { ike_sa },
            Command::DeleteChild { child } => Ike::DeleteChild { child },
            Command::CloseConnection { connection } => Ike::CloseConnection { connection },
            Command::CloseAll => Ike::CloseAll,
            Command::CertificateVerdict { ticket, key } => Ike::CertificateVerdict { ticket, key },
            Command::Probe { ike_sa } => Ike::Probe { ike_sa },
            Command::ProvideVerdict { ticket, verdict } => Ike::ProvideVerdict { ticket, verdict },
            Command::ProvideAnswer { ticket, answer } => Ike::ProvideAnswer { ticket, answer },
            Command::ProvideAddress { ticket, address } => Ike::ProvideAddress { ticket, address },
        })
    }
}
