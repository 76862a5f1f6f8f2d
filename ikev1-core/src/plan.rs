use crate::auth::Authentication;
use crate::config::{ModeConfig, Xauth};
use crate::crypto::DhGroup;
use crate::fragment::{FragmentLimits, Fragmentation};
use crate::identity::Identity;
use crate::ids::{ConnectionId, PolicyId, Role};
use crate::negotiate::Rules;
use crate::proposal::{AuthenticationMethod, Bundle, IpsecTransform, Lifetime, Mode, Phase1Transform, Protection};
use crate::selector::TrafficSelector;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;
use drive::Backoff;
use ipsec_wire::registry::ExchangeType;
use nat_t::Support;

mod liveness;

pub(crate) use liveness::HeartbeatPlan;
pub use liveness::{DeadPeerAction, DpdMode, HeartbeatMode};

/// Who may be at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The peer at one address; either end may start.
    Address(IpAddr),
    /// A peer at any address of a subnet, such as one provider's clients; only the peer can start.
    Subnet {
        /// Any address of the subnet.
        address: IpAddr,
        /// The length of its prefix, 0 to 32 or 0 to 128.
        prefix: u8,
    },
    /// A peer at any address; only the peer can start.
    Any,
}

impl Peer {
    /// Returns how closely this names the peer at an address, `None` if it does not: the longest
    /// prefix wins, one address is the longest of all, and any address the shortest.
    pub fn closeness(&self, remote: IpAddr) -> Option<u16> {
        match self {
            Self::Any => Some(0),
            Self::Subnet { address, prefix } => {
                let subnet = TrafficSelector::subnet(*address, *prefix).ok()?;
                let holds = subnet.first() <= remote && remote <= subnet.last();
                (holds && address.is_ipv4() == remote.is_ipv4()).then(|| u16::from(*prefix).saturating_add(1))
            }
            Self::Address(address) => (*address == remote).then_some(u16::MAX),
        }
    }
}

/// The ways through phase 1, RFC 2409 §5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase1Mode {
    /// Six messages; identities travel encrypted.
    #[default]
    Main,
    /// Three messages; identities travel in clear, and with a pre-shared key the responder gives a hash
    /// over the key to whoever asks: a key that can be guessed is found offline.
    Aggressive,
    /// Four messages, all in clear; nobody computes a power for a peer that has proven nothing. Identities
    /// travel in clear, and with a pre-shared key both ends send hashes over the key that whoever listens can
    /// try keys against offline (draft-ietf-ipsec-ike-base-mode).
    Base,
}

impl Phase1Mode {
    /// Returns the exchange type.
    pub const fn exchange(self) -> ExchangeType {
        match self {
            Self::Main => ExchangeType::MAIN,
            Self::Aggressive => ExchangeType::AGGRESSIVE,
            Self::Base => ExchangeType::BASE,
        }
    }
}

/// Which identity the peer must prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteIdentity {
    /// Its own address, as the datagrams show it: the default for a fixed peer.
    PeerAddress,
    /// This one.
    Exactly(Identity),
    /// Any: whoever holds the key. The default for a peer at any address.
    Anyone,
}

/// When this end sends its certificates with its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendCertificates {
    /// Always, for peers that want them and do not say so.
    Always,
    /// If the peer asks for certificates, RFC 4945 §3.3.6.
    IfAsked,
    /// Never: the peer has them already.
    Never,
}

/// How often an exchange that this end started, and that failed, is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAttempts {
    /// So many times, 0 to 16.
    Times(u8),
    /// Until it succeeds, for a day at most.
    Continuous,
}

/// Who chooses inbound SPIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpiSource {
    /// The caller: [`Action::AllocateSpi`](crate::Action::AllocateSpi) asks for each.
    Caller,
    /// The endpoint draws them from its entropy, for callers who do not care.
    Endpoint,
}

/// The settings of an endpoint, checked once: made by [`Config::build`](crate::Config::build).
#[derive(Debug)]
pub struct Plan {
    pub(crate) connections: Vec<Arc<ConnectionPlan>>,
    pub(crate) ike_port: u16,
    pub(crate) nat_t_port: u16,
    pub(crate) spi_source: SpiSource,
    pub(crate) trace: bool,
    pub(crate) key_log: bool,
    pub(crate) half_open_timeout: Duration,
    pub(crate) max_half_open: usize,
    pub(crate) max_half_open_per_address: usize,
    pub(crate) max_ike_sas: usize,
    pub(crate) fragment_limits: FragmentLimits,
    pub(crate) max_unproven_dh: u32,
    pub(crate) pools: Vec<PoolPlan>,
}

/// A range of addresses for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PoolPlan {
    pub(crate) name: String,
    pub(crate) first: IpAddr,
    pub(crate) last: IpAddr,
}

impl Plan {
    /// Returns the connections with their names for commands.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, &ConnectionPlan)> {
        (0u32..).map(ConnectionId).zip(self.connections.iter().map(|connection| &**connection))
    }

    /// Returns the connection of that name in the configuration.
    pub fn connection_named(&self, name: &str) -> Option<ConnectionId> {
        self.connections().find(|(_, connection)| connection.name == name).map(|(id, _)| id)
    }

    /// Returns a connection.
    pub fn connection(&self, id: ConnectionId) -> Option<&ConnectionPlan> {
        self.connections.get(usize::try_from(id.0).ok()?).map(|connection| &**connection)
    }

    /// Returns a connection to hold on to while the machine works.
    pub(crate) fn shared(&self, id: ConnectionId) -> Option<Arc<ConnectionPlan>> {
        self.connections.get(usize::try_from(id.0).ok()?).cloned()
    }

    /// Returns a policy of a connection.
    pub fn policy(&self, connection: ConnectionId, policy: PolicyId) -> Option<&PolicyPlan> {
        self.connection(connection)?.policy(policy)
    }

    /// Returns the UDP port of ISAKMP on this machine.
    pub const fn ike_port(&self) -> u16 {
        self.ike_port
    }

    /// Returns the UDP port of NAT-T on this machine.
    pub const fn nat_t_port(&self) -> u16 {
        self.nat_t_port
    }

    /// Returns whether ESP may come to the ISAKMP port, behind eight octets of zero, because a connection knows
    /// drafts 00 or 01 of NAT traversal: [`nat_t::demux::port_500`] then sorts what comes there.
    pub fn esp_on_ike_port(&self) -> bool {
        self.connections.iter().any(|connection| connection.nat_t.shares_the_ike_port())
    }
}

/// One connection of a plan.
#[derive(Debug)]
pub struct ConnectionPlan {
    pub(crate) name: String,
    pub(crate) peer: Peer,
    pub(crate) peer_port: u16,
    pub(crate) peer_nat_t_port: u16,
    pub(crate) local: Option<IpAddr>,
    pub(crate) local_identity: Option<Identity>,
    pub(crate) remote_identity: RemoteIdentity,
    pub(crate) authentication: Authentication,
    pub(crate) send_certificates: SendCertificates,
    pub(crate) mode: Phase1Mode,
    pub(crate) aggressive: bool,
    pub(crate) base: bool,
    pub(crate) phase1: Vec<Phase1Transform>,
    pub(crate) exponent_bits: Option<u32>,
    pub(crate) lifetime: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) delete_delay: Duration,
    pub(crate) dpd: DpdMode,
    pub(crate) dpd_idle: Duration,
    pub(crate) dead_peer: DeadPeerAction,
    pub(crate) heartbeats: HeartbeatPlan,
    pub(crate) nat_t: Support,
    pub(crate) force_encapsulation: bool,
    pub(crate) fragmentation: Fragmentation,
    pub(crate) fragment_size: u16,
    pub(crate) keepalive: Duration,
    pub(crate) initial_contact: bool,
    pub(crate) ignore_initial_contact: bool,
    pub(crate) send_deletes: bool,
    pub(crate) send_notifies: bool,
    pub(crate) trust_unprotected_errors: bool,
    pub(crate) children_end_with_ike: bool,
    pub(crate) phase2_limit: Option<u32>,
    /// Whether each ISAKMP SA carries one quick mode and ends.
    pub(crate) pfs_identities: bool,
    pub(crate) retry_attempts: RetryAttempts,
    pub(crate) extend_while_used: bool,
    pub(crate) soft_per_mille: (u32, u32),
    pub(crate) jitter_per_mille: u32,
    /// Whether weak algorithms and keys are allowed.
    pub(crate) weak: bool,
    pub(crate) policies: Vec<PolicyPlan>,
    pub(crate) xauth: Option<Xauth>,
    pub(crate) mode_config: Option<ModeConfig>,
}

impl ConnectionPlan {
    /// Returns the name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns who may be at the other end.
    pub const fn peer(&self) -> Peer {
        self.peer
    }

    /// Returns the address on this machine, if the configuration fixes it.
    pub const fn local(&self) -> Option<IpAddr> {
        self.local
    }

    /// Returns whether NAT traversal is on.
    pub fn nat_traversal(&self) -> bool {
        self.nat_t.is_on()
    }

    /// Returns the policies with their names for commands.
    pub fn policies(&self) -> impl Iterator<Item = (PolicyId, &PolicyPlan)> {
        (0u32..).map(PolicyId).zip(&self.policies)
    }

    /// Returns the policy of that name in the configuration.
    pub fn policy_named(&self, name: &str) -> Option<PolicyId> {
        self.policies().find(|(_, policy)| policy.name == name).map(|(id, _)| id)
    }

    /// Returns a policy.
    pub fn policy(&self, id: PolicyId) -> Option<&PolicyPlan> {
        self.policies.get(usize::try_from(id.0).ok()?)
    }

    /// Returns how the ends prove to each other who they are.
    pub const fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// Returns the method of authentication that transforms name when this end has a role in phase 1:
    /// with the side of the user in it if there is one.
    pub(crate) const fn method(&self, role: Role) -> AuthenticationMethod {
        let base = self.authentication.method(role);
        match &self.xauth {
            Some(xauth) => xauth.method(base, role),
            None => base,
        }
    }

    /// Returns the transforms of phase 1 as they are offered or wanted in a role: all with the
    /// authentication and the life of the connection.
    pub(crate) fn phase1_offer(&self, role: Role) -> Vec<Phase1Transform> {
        let lifetime = Lifetime::seconds(self.lifetime.as_secs());
        let authentication = self.method(role);
        self.phase1.iter().map(|transform| Phase1Transform { authentication, lifetime, ..*transform }).collect()
    }

    /// Returns how long phase 1.5 may take.
    pub(crate) fn session_time(&self) -> Duration {
        self.xauth.as_ref().map_or(crate::defaults::SESSION_TIMEOUT, Xauth::time)
    }

    /// Returns a policy as it is for a client with this address; `None` if it needs one that is not there.
    pub(crate) fn policy_for(&self, id: PolicyId, client: Option<IpAddr>) -> Option<Cow<'_, PolicyPlan>> {
        self.policy(id)?.for_client(client)
    }

    /// Returns the policies as they are for a client with this address.
    pub(crate) fn policies_for(&self, client: Option<IpAddr>) -> impl Iterator<Item = (PolicyId, Cow<'_, PolicyPlan>)> {
        self.policies().filter_map(move |(id, policy)| Some((id, policy.for_client(client)?)))
    }

    /// Returns the length of the private exponent for a group, in bits.
    pub(crate) fn exponent_bits(&self, group: DhGroup) -> u32 {
        self.exponent_bits.unwrap_or(group.default_exponent_bits())
    }
}

/// One phase 2 policy of a connection: which traffic, and how it is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyPlan {
    pub(crate) name: String,
    pub(crate) local: TrafficSelector,
    pub(crate) remote: TrafficSelector,
    pub(crate) mode: Mode,
    pub(crate) suites: Vec<Bundle>,
    pub(crate) pfs: Option<DhGroup>,
    pub(crate) lifetime: Duration,
    pub(crate) kilobytes: Option<u64>,
    pub(crate) extended_sequence: bool,
    pub(crate) accept_narrower: bool,
    pub(crate) dynamic: Dynamic,
    pub(crate) always_send_ids: bool,
    /// Whether the peer is to wait until this end confirms.
    pub(crate) commit_bit: bool,
    /// What is done with the lifetimes that a peer offers or announces.
    pub(crate) rules: Rules,
}

/// Which side of a policy is the address that mode-config gives to a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dynamic {
    /// Neither: both are as configured.
    #[default]
    Neither,
    /// This side: the address that this end is given.
    Local,
    /// The peer's side: the address that the peer is given.
    Remote,
}

impl PolicyPlan {
    /// Returns the name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the traffic on this side.
    pub const fn local(&self) -> TrafficSelector {
        self.local
    }

    /// Returns the traffic on the peer's side.
    pub const fn remote(&self) -> TrafficSelector {
        self.remote
    }

    /// Returns tunnel or transport.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns the alternatives that are offered and taken, best first.
    pub fn suites(&self) -> &[Bundle] {
        &self.suites
    }

    /// Returns the group of perfect forward secrecy, if it is asked for.
    pub const fn pfs(&self) -> Option<DhGroup> {
        self.pfs
    }

    /// Returns how long its pairs last: the time, and the kilobytes if they are limited.
    pub const fn lifetime(&self) -> (Duration, Option<u64>) {
        (self.lifetime, self.kilobytes)
    }

    /// Returns the policy as it is for a client with this address: the side that is the client's is
    /// narrowed to it. `None` if there is no address, or the policy is not for it.
    pub(crate) fn for_client(&self, client: Option<IpAddr>) -> Option<Cow<'_, Self>> {
        if self.dynamic == Dynamic::Neither {
            return Some(Cow::Borrowed(self));
        }
        let host = TrafficSelector::host(client?);
        let narrowed = |wide: TrafficSelector| {
            let host = host.with_protocol(wide.protocol()).with_port(wide.port());
            wide.contains(&host).then_some(host)
        };
        let mut policy = self.clone();
        match self.dynamic {
            Dynamic::Neither => {}
            Dynamic::Local => policy.local = narrowed(self.local)?,
            Dynamic::Remote => policy.remote = narrowed(self.remote)?,
        }
        Some(Cow::Owned(policy))
    }

    /// Returns the suites of phase 2 as they are offered: each the transforms of its parts.
    pub(crate) fn offer(&self) -> Vec<Vec<IpsecTransform>> {
        let lifetime = Lifetime { seconds: Some(self.lifetime.as_secs()), kilobytes: self.kilobytes };
        let transform = |protection: &Protection| IpsecTransform {
            mode: self.mode,
            pfs: self.pfs,
            lifetime,
            extended_sequence: self.extended_sequence && protection.has_sequence(),
            ..IpsecTransform::new(*protection)
        };
        self.suites.iter().map(|bundle| bundle.parts().iter().map(transform).collect()).collect()
    }
}
