use crate::error::Failure;
use crate::event::Event;
use crate::identity::Identity;
use crate::ids::{ChildId, ConnectionId, IkeSaId, PolicyId, Role, Ticket};
use crate::proposal::{Mode, Protection};
use crate::selector::TrafficSelector;
use crate::transaction::{AskUser, UserName, VerifyUser};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use drive::{IntoTransmit, Path, SecretBytes, Transmit};

/// Work for the caller.
#[derive(Debug)]
#[non_exhaustive]
pub enum Action {
    /// Send a datagram.
    Transmit(Transmit),
    /// Choose an inbound SPI of a pair that is being made; answer with
    /// [`Command::ProvideSpi`](crate::Command::ProvideSpi).
    ///
    /// Comes once for each protocol that the pair may have, and only when the plan says that the caller
    /// chooses.
    AllocateSpi(AllocateSpi),
    /// An SPI that was provided is not needed any more: no SA was made of it.
    ReleaseSpi {
        /// The SPI; of IPComp the CPI.
        spi: u32,
        /// The IP protocol it was for: 50, 51 or 108.
        protocol: u8,
        /// The tunnel end on this machine that it was for.
        local: IpAddr,
    },
    /// Judge the certificates that a peer presents; answer with
    /// [`Command::CertificateVerdict`](crate::Command::CertificateVerdict).
    ///
    /// Comes only where the peer signs and the plan does not hold its key.
    VerifyCertificate(Box<VerifyCertificate>),
    /// Install one direction of a pair of IPsec SAs, all its protocols together.
    InstallSa(Box<InstallSa>),
    /// Remove both directions of a pair, or the one that is installed.
    RemoveSa(RemoveSa),
    /// Use another path for the UDP encapsulation of a pair: a NAT changed its mapping, or the peer moved.
    UpdatePath {
        /// The pair.
        child: ChildId,
        /// The path from now on.
        path: Path,
    },
    /// Say whether the peer's user is who he says; answer with
    /// [`Command::ProvideVerdict`](crate::Command::ProvideVerdict). Comes of a server of XAUTH.
    VerifyUser(Box<VerifyUser>),
    /// Ask the user of this end; answer with
    /// [`Command::ProvideAnswer`](crate::Command::ProvideAnswer). Comes of a client of XAUTH.
    AskUser(Box<AskUser>),
    /// Find an address for a client; answer with
    /// [`Command::ProvideAddress`](crate::Command::ProvideAddress).
    ///
    /// Comes only when the plan says that the caller has the addresses.
    AllocateAddress(Box<AllocateAddress>),
    /// An address that was provided is not used any more.
    ReleaseAddress {
        /// The connection it was for.
        connection: ConnectionId,
        /// The address.
        address: IpAddr,
    },
    /// A line for the key log, only when the plan asks for it.
    KeyLog(KeyLogLine),
    /// News for people.
    Event(Event),
}

/// The question for an inbound SPI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocateSpi {
    /// The number the answer must carry.
    pub ticket: Ticket,
    /// The pair that is being made.
    pub child: ChildId,
    /// Its connection.
    pub connection: ConnectionId,
    /// Its policy.
    pub policy: PolicyId,
    /// The IP protocol of the SA: 50 or 51, or 108, whose CPI is of 16 bits.
    pub protocol: u8,
    /// The tunnel end on this machine, the destination of the SA.
    pub local: IpAddr,
    /// The tunnel end of the peer.
    pub remote: IpAddr,
}

/// The question for the address of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocateAddress {
    /// The number the answer must carry.
    pub ticket: Ticket,
    /// The SA.
    pub ike_sa: IkeSaId,
    /// Its connection.
    pub connection: ConnectionId,
    /// Who the peer proved to be in phase 1.
    pub peer: Identity,
    /// The user that XAUTH proved.
    pub user: Option<UserName>,
    /// Where the peer is.
    pub path: Path,
    /// The address the client would like: the one it had.
    pub wish: Option<IpAddr>,
}

/// The question whether a peer's certificates vouch for its identity.
///
/// The peer has not shown yet that it holds the key: that is checked with the key of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyCertificate {
    /// The number the answer must carry.
    pub ticket: Ticket,
    /// The ISAKMP SA that is being made; it waits for the answer.
    pub ike_sa: IkeSaId,
    /// Its connection.
    pub connection: ConnectionId,
    /// Where the peer is.
    pub path: Path,
    /// Who the peer says it is: the certificate must prove this identity.
    pub identity: Identity,
    /// The certificates in DER as they came, the peer's own first, at most eight; none if the peer thinks
    /// that its key is known here.
    pub certificates: Vec<Vec<u8>>,
}

/// Which way an SA protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the peer to this end.
    Inbound,
    /// From this end to the peer.
    Outbound,
}

/// What the packets of an SA travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    /// Directly in IP, as protocol 50 or 51.
    Native,
    /// In UDP along this path: on the NAT-T port of this end as RFC 3948 has it, on its ISAKMP port behind the
    /// eight octets of [`nat_t::demux::NON_IKE_MARKER`], as drafts 00 and 01 of NAT traversal have it.
    Udp(Path),
}

/// How long an SA lives; `None` means without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// When this end renews the pair.
    pub soft: Duration,
    /// When the pair is removed.
    pub hard: Duration,
    /// The kilobytes after which the caller asks for a renewal with
    /// [`Command::RekeyChild`](crate::Command::RekeyChild).
    pub soft_kilobytes: Option<u64>,
    /// The kilobytes after which nothing more may be protected.
    pub hard_kilobytes: Option<u64>,
}

/// One SA of one direction: a protocol with its SPI and keys.
#[derive(Debug)]
pub struct ProtocolSa {
    /// The SPI: ours if inbound, the peer's if outbound; of IPComp the CPI, of 16 bits.
    pub spi: u32,
    /// Protocol, cipher with key length, integrity, as negotiated.
    pub suite: Protection,
    /// Whether sequence numbers have 64 bits, RFC 4304.
    pub extended_sequence: bool,
    /// The key of the cipher; empty if there is none.
    pub encryption_key: SecretBytes,
    /// The key of the integrity check; empty if there is none.
    pub integrity_key: SecretBytes,
    /// Tunnel or transport. In a bundle that was negotiated for tunnels the SA that is applied first makes
    /// the tunnel; those after it go around its packets, so they say transport.
    pub mode: Mode,
}

/// One direction of a pair of IPsec SAs, with all that an SA database needs.
#[derive(Debug)]
pub struct InstallSa {
    /// The pair.
    pub child: ChildId,
    /// The pair it replaces: the new one is for sending at once, the old one still takes in.
    pub replaces: Option<ChildId>,
    /// The ISAKMP SA it was negotiated under.
    pub ike_sa: IkeSaId,
    /// The connection.
    pub connection: ConnectionId,
    /// The policy of that connection.
    pub policy: PolicyId,
    /// Which end started the quick mode.
    pub role: Role,
    /// Which way it protects.
    pub direction: Direction,
    /// Its SAs, one for each protocol, in the order in which they are applied to an outbound packet:
    /// IPComp, ESP, AH. There is at least one.
    pub sas: Vec<ProtocolSa>,
    /// Tunnel or transport, as negotiated for all of them.
    pub mode: Mode,
    /// Native or in UDP.
    pub encapsulation: Encapsulation,
    /// The tunnel end on this machine.
    pub local: IpAddr,
    /// The tunnel end of the peer.
    pub remote: IpAddr,
    /// The traffic on this side.
    pub local_selector: TrafficSelector,
    /// The traffic on the peer's side.
    pub remote_selector: TrafficSelector,
    /// In transport mode behind a NAT, the addresses that the peer puts into the headers of its packets,
    /// if it told them: TCP and UDP checksums cover them, RFC 3948 §3.1.2.
    pub original: Option<OriginalAddresses>,
    /// How long it lives. The endpoint itself renews and removes by time.
    pub lifetimes: Lifetimes,
}

/// The addresses that a peer behind a NAT, or one that we are behind a NAT of, puts into its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginalAddresses {
    /// The source of the packets the peer sends, as it leaves the peer.
    pub source: IpAddr,
    /// Their destination, as it leaves the peer.
    pub destination: IpAddr,
}

/// One protocol of a pair of IPsec SAs: how it protects, and the SPIs of both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpiPair {
    /// Protocol, cipher with key length, integrity.
    pub suite: Protection,
    /// The SPI of what this end receives; of IPComp the CPI.
    pub inbound: u32,
    /// The SPI of what this end sends; of IPComp the CPI.
    pub outbound: u32,
}

/// `ESP_AES-CBC 128, HMAC-SHA, SPI in 0x00001001 out 0x00002001`
impl fmt::Display for SpiPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, SPI in {:#010x} out {:#010x}", self.suite, self.inbound, self.outbound)
    }
}

/// Why an SA is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoveReason {
    /// Its time was up.
    Expired,
    /// A newer pair took its place.
    Replaced,
    /// The peer deleted it.
    DeletedByPeer,
    /// The caller deleted it.
    DeletedLocally,
    /// The peer started afresh (INITIAL-CONTACT).
    InitialContact,
    /// The peer is dead.
    PeerDead,
    /// It carried the one quick mode that it was for.
    Spent,
    /// Its ISAKMP SA ended.
    IkeSaGone,
    /// The exchange that made it failed after its inbound half was installed.
    Failed(Failure),
}

impl fmt::Display for RemoveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "its time was up",
            Self::Replaced => "replaced by a newer one",
            Self::DeletedByPeer => "deleted by the peer",
            Self::DeletedLocally => "deleted here",
            Self::InitialContact => "the peer started afresh",
            Self::PeerDead => "the peer is dead",
            Self::Spent => "it carried the one quick mode that it was for",
            Self::IkeSaGone => "its ISAKMP SA ended",
            Self::Failed(failure) => return failure.fmt(f),
        })
    }
}

/// The removal of a pair of IPsec SAs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveSa {
    /// The pair.
    pub child: ChildId,
    /// Its connection.
    pub connection: ConnectionId,
    /// Its policy.
    pub policy: PolicyId,
    /// Its protocols with their SPIs, in the order in which they are applied to an outbound packet.
    pub sas: Vec<SpiPair>,
    /// Why.
    pub reason: RemoveReason,
}

/// A line of the key log in the form that Wireshark reads, with the table it belongs to.
///
/// It is a secret: it opens the traffic of the SA.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyLogLine {
    /// For `ikev1_decryption_table`: initiator cookie and key of the ISAKMP cipher.
    Isakmp(String),
    /// For `esp_sa`: family, addresses, SPI, algorithms and keys of one direction.
    Esp(String),
}

/// Shows the table only.
impl fmt::Debug for KeyLogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Isakmp(_) => "Isakmp(..)",
            Self::Esp(_) => "Esp(..)",
        })
    }
}

impl IntoTransmit for Action {
    fn into_transmit(self) -> Result<Transmit, Self> {
        if let Self::Transmit(transmit) = self { Ok(transmit) } else { Err(self) }
    }
}
