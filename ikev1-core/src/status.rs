use crate::action::{Encapsulation, Lifetimes, SpiPair};
use crate::counters::{Counters, OwnCounters};
use crate::identity::Identity;
use crate::ids::{ChildId, ConnectionId, Cookies, IkeSaId, PolicyId, Role};
use crate::plan::HeartbeatMode;
use crate::proposal::{Mode, Phase1Transform};
use crate::selector::TrafficSelector;
use crate::state_name::{DpdState, IkeSaState, StateName};
use crate::transaction::UserName;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;
use drive::{Instant, Path};
use ipsec_wire::registry::ExchangeType;
use nat_t::{Location, Version};

/// Everything that an endpoint can show, at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The ISAKMP SAs, oldest first.
    pub ike_sas: Vec<IkeSaStatus>,
    /// The pairs of IPsec SAs, oldest first, those that are being made included.
    pub children: Vec<ChildStatus>,
    /// ISAKMP SAs whose peer has proven nothing: `Embryonic`.
    pub embryonic: usize,
    /// Messages of which parts are missing: how many, and the octets that are kept of these and of those
    /// joined lately.
    pub in_parts: (usize, usize),
    /// The counters that routers show.
    pub counters: Counters,
    /// The counters that they do not.
    pub own_counters: OwnCounters,
}

/// An ISAKMP SA, as `show isakmp sa` and its kin have it.
#[derive(Clone, Debug, PartialEq)]
pub struct IkeSaStatus {
    /// The SA.
    pub ike_sa: IkeSaId,
    /// Its cookies.
    pub cookies: Cookies,
    /// The connection, and its name in the configuration.
    pub connection: ConnectionId,
    /// The name of the connection.
    pub name: String,
    /// Which end sent the first message.
    pub role: Role,
    /// The state of the SA.
    pub state: IkeSaState,
    /// The state of phase 1.
    pub exchange_state: StateName,
    /// Where the peer is.
    pub path: Path,
    /// Who this end says it is.
    pub local_identity: Option<Identity>,
    /// Who the peer proved to be.
    pub remote_identity: Option<Identity>,
    /// The transform in force.
    pub transform: Option<Phase1Transform>,
    /// Where NATs stand.
    pub nat: Location,
    /// The version of NAT traversal in common.
    pub nat_version: Option<Version>,
    /// The state of liveness checks.
    pub dpd: DpdState,
    /// The number of the next R-U-THERE.
    pub dpd_next_tx: u32,
    /// The number of the last R-U-THERE of the peer.
    pub dpd_last_rx: u32,
    /// R-U-THERE without an answer.
    pub dpd_retries: u32,
    /// How far this end takes part in heartbeats: `Heartbeat Mode`.
    pub heartbeats: HeartbeatMode,
    /// The number of the next heartbeat.
    pub heartbeat_next_tx: u32,
    /// The number of the last heartbeat of the peer, 0 before the first.
    pub heartbeat_last_rx: u32,
    /// When phase 1 began.
    pub created: Instant,
    /// When both ends had proven who they are.
    pub established: Option<Instant>,
    /// How long it lives.
    pub lifetime: Option<Duration>,
    /// When it is renewed.
    pub soft: Option<Instant>,
    /// When it ends.
    pub hard: Option<Instant>,
    /// How many quick modes ran under it: `Phase 2 Negotiations`.
    pub phase2_negotiations: u64,
    /// The pairs of IPsec SAs under it.
    pub children: Vec<ChildId>,
    /// The exchanges at work, or kept to answer repeats.
    pub exchanges: Vec<ExchangeStatus>,
    /// Requests that wait for phase 1.
    pub queued: usize,
    /// Resends left for the message of phase 1 that waits for an answer: `Packet Retry Counter`.
    pub resends_left: Option<u32>,
    /// The transactions of phase 1.5 at work, or kept to answer repeats.
    pub transactions: Vec<TransactionStatus>,
    /// The user that XAUTH proved.
    pub user: Option<UserName>,
    /// The address that mode-config gave to the client: `dynamic allocated peer ip`.
    pub client_address: Option<IpAddr>,
}

/// An exchange at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeStatus {
    /// What it is.
    pub exchange: ExchangeType,
    /// Its message id.
    pub message_id: u32,
    /// Which end sent the first message.
    pub role: Role,
    /// Its state.
    pub state: StateName,
    /// The pair it makes.
    pub child: ChildId,
    /// Whether the peer set the commit bit: `Commit bit received`.
    pub commit_received: bool,
    /// Whether this end sets the commit bit.
    pub commit_sent: bool,
    /// Resends left for the message that waits for an answer: `Packet Retry Counter`.
    pub resends_left: Option<u32>,
}

/// A transaction of XAUTH or mode-config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionStatus {
    /// Its message id.
    pub message_id: u32,
    /// Which end sent the first message.
    pub role: Role,
    /// Its state.
    pub state: StateName,
    /// Resends left for the message that waits for an answer: `Packet Retry Counter`.
    pub resends_left: Option<u32>,
}

/// A pair of IPsec SAs.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildStatus {
    /// The pair.
    pub child: ChildId,
    /// The SA it is under.
    pub ike_sa: IkeSaId,
    /// Its connection.
    pub connection: ConnectionId,
    /// Its policy.
    pub policy: PolicyId,
    /// The name of the policy in the configuration.
    pub name: String,
    /// Which end sent the first message of its quick mode.
    pub role: Role,
    /// Its protocols with their SPIs, in the order in which they are applied to an outbound packet.
    pub sas: Vec<SpiPair>,
    /// Tunnel or transport.
    pub mode: Mode,
    /// Native or in UDP.
    pub encapsulation: Encapsulation,
    /// The traffic of this side.
    pub local: TrafficSelector,
    /// The traffic of the peer's side.
    pub remote: TrafficSelector,
    /// How long it lives.
    pub lifetimes: Lifetimes,
    /// When it came into force.
    pub established: Instant,
    /// Whether both directions are there.
    pub complete: bool,
    /// Whether a newer pair took its place for sending.
    pub superseded: bool,
}
