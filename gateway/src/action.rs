use crate::acquire::Lost;
use crate::header::Header;
use crate::route_template::RouteTemplate;
use crate::session::Traffic;
use crate::trace::Trace;
use alloc::boxed::Box;
use bytes::Bytes;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use drive::{IntoTransmit, Transmit};
use ikev1_core::{
    AllocateAddress, AskUser, ChildId, ConnectionId, KeyLogLine, PolicyId, RemoveReason, TrafficSelector,
    VerifyCertificate, VerifyUser,
};
use spd::FragmentRefusal;

/// Work for the caller.
#[derive(Debug)]
#[non_exhaustive]
pub enum Action {
    /// Send a datagram, and let the IP header around it say this.
    ///
    /// A caller that leaves the header to its system loses DSCP, ECN and the policy's word about DF, no more. What has
    /// AH in it brings its header along.
    Transmit(Transmit, Header),
    /// Hand a clear packet, which came protected through this pair, to this side. A firewall knows by the pair that it
    /// was decrypted here, and by whom.
    ///
    /// Comes of datagrams given to [`handle_datagram`](crate::Gateway::handle_datagram); those given to
    /// [`open_batch`](crate::Gateway::open_batch) stay in the caller's buffers.
    Deliver(Bytes, ChildId),
    /// Pass a clear packet on as it is: the policy says so. Comes of
    /// [`handle_packet`](crate::Gateway::handle_packet).
    Bypass(Bytes),
    /// Hand an ICMP message to this side: it tells the sender of a packet that the packet is too long for its
    /// path.
    Reply(Bytes),
    /// Judge the certificates that a peer presents; answer with
    /// [`Command::CertificateVerdict`](crate::Command::CertificateVerdict).
    VerifyCertificate(Box<VerifyCertificate>),
    /// Write a line into the key log; only when the plan asks for it.
    KeyLog(KeyLogLine),
    /// Say whether the peer's user is who he says; answer with
    /// [`Command::ProvideVerdict`](crate::Command::ProvideVerdict).
    VerifyUser(Box<VerifyUser>),
    /// Ask the user of this end; answer with
    /// [`Command::ProvideAnswer`](crate::Command::ProvideAnswer).
    AskUser(Box<AskUser>),
    /// Find an address for a client; answer with
    /// [`Command::ProvideAddress`](crate::Command::ProvideAddress).
    AllocateAddress(Box<AllocateAddress>),
    /// An address that was provided is not used any more.
    ReleaseAddress {
        /// The connection it was for.
        connection: ConnectionId,
        /// The address.
        address: IpAddr,
    },
    /// News for people.
    Event(Event),
}

/// News for people: what happened. No event holds a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// News of the exchanges.
    Ike(ikev1_core::Event),
    /// Traffic needs associations that are not there: their negotiation was started.
    Acquiring {
        /// The connection.
        connection: ConnectionId,
        /// Its policy.
        policy: PolicyId,
    },
    /// A tunnel to a peer is up: the first pair of a policy with that peer stands, both ways.
    SessionUp {
        /// The connection.
        connection: ConnectionId,
        /// Its policy.
        policy: PolicyId,
        /// The peer; port 0 where packets do not travel in UDP.
        peer: SocketAddr,
        /// The pair.
        child: ChildId,
        /// The traffic on this side.
        local: TrafficSelector,
        /// The traffic on the peer's side.
        remote: TrafficSelector,
    },
    /// A tunnel to a peer is down: the last pair of a policy with that peer went.
    SessionDown {
        /// The connection.
        connection: ConnectionId,
        /// Its policy.
        policy: PolicyId,
        /// The peer, where it was last.
        peer: SocketAddr,
        /// The pair.
        child: ChildId,
        /// Why that pair went.
        reason: RemoveReason,
        /// How long the tunnel was up.
        lasted: Duration,
        /// What went through it, through all its pairs.
        traffic: Traffic,
    },
    /// A tunnel of a policy with a route template reaches this now: a route there is wanted.
    RouteWanted {
        /// The template.
        template: RouteTemplate,
        /// The connection.
        connection: ConnectionId,
        /// Its policy.
        policy: PolicyId,
        /// The peer; port 0 where packets do not travel in UDP.
        peer: SocketAddr,
        /// What the peer's side of the tunnel is.
        to: TrafficSelector,
    },
    /// No tunnel of the policy to this peer reaches this any more: the route there is of no use.
    RouteUnwanted {
        /// The template.
        template: RouteTemplate,
        /// The connection.
        connection: ConnectionId,
        /// Its policy.
        policy: PolicyId,
        /// The peer, where it was last.
        peer: SocketAddr,
        /// What the peer's side of the tunnel was.
        to: TrafficSelector,
    },
    /// Packets that waited for associations were dropped.
    WaitingLost {
        /// The connection they waited for.
        connection: ConnectionId,
        /// Its policy.
        policy: PolicyId,
        /// How many.
        packets: u64,
        /// Why.
        reason: Lost,
    },
    /// Fragments were dropped because they do not show what policies ask for, and their first fragment does not tell
    /// either. Given at once for the first, then at most once in [`FRAGMENT_NEWS`](crate::defaults::FRAGMENT_NEWS).
    FragmentsRefused {
        /// Whether they were to be sent.
        outbound: bool,
        /// Why the last of them was refused.
        reason: FragmentRefusal,
        /// Its end on this side.
        local: IpAddr,
        /// Its other end.
        remote: IpAddr,
        /// How many there were since the last event.
        count: u64,
    },
    /// A router reported that the path of a pair carries shorter packets than was known.
    PathMtuLowered {
        /// The pair.
        child: ChildId,
        /// The MTU of the path.
        mtu: usize,
    },
    /// A line of the policy debugger, which somebody asked for. It may hold what clear packets say.
    Trace(Box<Trace>),
    /// A negotiated association could not be installed; its pair is deleted.
    InstallRefused {
        /// The pair.
        child: ChildId,
        /// Why.
        reason: InstallRefusal,
    },
}

/// Why a negotiated association could not be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InstallRefusal {
    /// It belongs to no policy of the plan.
    #[error("no policy of the plan")]
    UnknownPolicy,
    /// The data path has no transform like the one negotiated.
    #[error("the data path has no such transform")]
    Suite,
    /// Its protocols are not IPComp, ESP, AH in this order, with ESP or AH.
    #[error("a bundle of other protocols than IPComp, ESP, AH")]
    Order,
    /// It has AH, which does not pass a NAT, and is to travel in UDP.
    #[error("AH in UDP")]
    AhInUdp,
    /// Its inbound SPI ran out of time before the keys came.
    #[error("its SPI ran out of time")]
    SpiGone,
    /// The peer chose an SPI that is reserved.
    #[error("the peer chose a reserved SPI")]
    ReservedSpi,
    /// Another peer carries this traffic, and did not prove to be the same.
    #[error("the peer at {by} carries this traffic")]
    Contested {
        /// Where that peer is.
        by: SocketAddr,
    },
    /// The keys were refused.
    #[error(transparent)]
    Keys(#[from] esp_ah::KeyError),
    /// The database of associations refused it.
    #[error(transparent)]
    Database(#[from] sad::SadError),
}

impl IntoTransmit for Action {
    fn into_transmit(self) -> Result<Transmit, Self> {
        if let Self::Transmit(transmit, _) = self { Ok(transmit) } else { Err(self) }
    }
}
