use crate::auth::PreSharedKey;
use crate::crypto::DhGroup;
use crate::defaults;
use crate::error::{ConfigError, ConfigProblem};
use crate::identity::Identity;
use crate::plan::{ConnectionPlan, DeadPeerAction, DpdMode, Peer, Plan, PolicyPlan, RemoteIdentity, SpiSource};
use crate::proposal::{AuthenticationMethod, Mode, Phase1Transform, Protection};
use crate::selector::TrafficSelector;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::RangeInclusive;
use core::time::Duration;
use drive::{Backoff, Schedule};

/// The settings of an endpoint in the operator's words; [`build`](Self::build) checks them all.
///
/// What is not said stands in [`defaults`].
#[derive(Debug)]
pub struct Config {
    connections: Vec<ConnectionConfig>,
    ike_port: u16,
    nat_t_port: u16,
    spi_source: SpiSource,
    trace: bool,
    key_log: bool,
    half_open_timeout: Duration,
    max_half_open: usize,
    max_half_open_per_address: usize,
    max_ike_sas: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections: Vec::new(),
            ike_port: defaults::IKE_PORT,
            nat_t_port: defaults::NAT_T_PORT,
            spi_source: SpiSource::Endpoint,
            trace: false,
            key_log: false,
            half_open_timeout: defaults::HALF_OPEN_TIMEOUT,
            max_half_open: defaults::MAX_HALF_OPEN,
            max_half_open_per_address: defaults::MAX_HALF_OPEN_PER_ADDRESS,
            max_ike_sas: defaults::MAX_IKE_SAS,
        }
    }
}

/// The connections in one plan, at most.
const MAX_CONNECTIONS: u64 = 65_536;
/// The policies in one connection, at most.
const MAX_POLICIES: u64 = 1_024;
/// The transforms in one offer, at most: the transform number is one octet.
const MAX_TRANSFORMS: u64 = 255;
/// Lives, in seconds: what a 32-bit attribute holds; routers have 300 or 600 to 31449600.
const LIFETIME: RangeInclusive<u64> = 2..=31_449_600;

impl Config {
    /// Returns a configuration without connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a connection.
    #[must_use]
    pub fn connection(mut self, connection: ConnectionConfig) -> Self {
        self.connections.push(connection);
        self
    }

    /// Sets the UDP ports on this machine: of ISAKMP, and of NAT-T.
    #[must_use]
    pub fn ports(mut self, ike: u16, nat_t: u16) -> Self {
        (self.ike_port, self.nat_t_port) = (ike, nat_t);
        self
    }

    /// Sets who chooses inbound SPIs; without it the endpoint draws them.
    #[must_use]
    pub fn spi_source(mut self, source: SpiSource) -> Self {
        self.spi_source = source;
        self
    }

    /// Asks for an event per message.
    #[must_use]
    pub fn trace(mut self, trace: bool) -> Self {
        self.trace = trace;
        self
    }

    /// Asks for key log lines: whoever has them reads the traffic.
    #[must_use]
    pub fn dangerously_log_keys(mut self, log: bool) -> Self {
        self.key_log = log;
        self
    }

    /// Sets how long a responder keeps an ISAKMP SA whose initiator proves nothing.
    #[must_use]
    pub fn half_open_timeout(mut self, timeout: Duration) -> Self {
        self.half_open_timeout = timeout;
        self
    }

    /// Sets the most half-open ISAKMP SAs as responder: in all, and for one address.
    #[must_use]
    pub fn max_half_open(mut self, total: usize, per_address: usize) -> Self {
        (self.max_half_open, self.max_half_open_per_address) = (total, per_address);
        self
    }

    /// Sets the most ISAKMP SAs.
    #[must_use]
    pub fn max_ike_sas(mut self, most: usize) -> Self {
        self.max_ike_sas = most;
        self
    }

    /// Checks everything and returns the plan.
    ///
    /// # Errors
    /// The first field that is wrong, and why.
    pub fn build(self) -> Result<Plan, ConfigError> {
        within("connections", self.connections.len() as u64, 0..=MAX_CONNECTIONS)?;
        within("ike_port", self.ike_port.into(), 1..=65_535)?;
        within("nat_t_port", self.nat_t_port.into(), 1..=65_535)?;
        within("half_open_timeout", self.half_open_timeout.as_secs(), 1..=86_400)?;
        if self.ike_port == self.nat_t_port {
            return Err(wrong("nat_t_port", ConfigProblem::Conflict("the NAT-T port is the ISAKMP port")));
        }
        let mut connections: Vec<Arc<ConnectionPlan>> = Vec::new();
        for connection in self.connections {
            if connections.iter().any(|other| other.name == connection.name) {
                return Err(wrong(&connection.name, ConfigProblem::Duplicate));
            }
            connections.push(Arc::new(connection.build()?));
        }
        Ok(Plan {
            connections,
            ike_port: self.ike_port,
            nat_t_port: self.nat_t_port,
            spi_source: self.spi_source,
            trace: self.trace,
            key_log: self.key_log,
            half_open_timeout: self.half_open_timeout,
            max_half_open: self.max_half_open,
            max_half_open_per_address: self.max_half_open_per_address,
            max_ike_sas: self.max_ike_sas,
        })
    }
}

/// One connection: the peer, how both prove who they are, and the traffic to protect.
#[derive(Debug)]
pub struct ConnectionConfig {
    name: String,
    peer: Peer,
    peer_port: u16,
    peer_nat_t_port: u16,
    local: Option<IpAddr>,
    local_identity: Option<Identity>,
    remote_identity: Option<RemoteIdentity>,
    psk: Option<PreSharedKey>,
    phase1: Vec<Phase1Transform>,
    exponent_bits: Option<u32>,
    lifetime: Duration,
    schedule: Schedule,
    retries: u32,
    delete_delay: Duration,
    dpd: DpdMode,
    dpd_idle: Duration,
    dead_peer: DeadPeerAction,
    nat_traversal: bool,
    force_encapsulation: bool,
    keepalive: Duration,
    initial_contact: bool,
    send_deletes: bool,
    send_notifies: bool,
    trust_unprotected_errors: bool,
    children_end_with_ike: bool,
    soft_per_mille: (u32, u32),
    jitter_per_mille: u32,
    weak: bool,
    policies: Vec<PolicyConfig>,
}

macro_rules! setters {
    ($($(#[$meta:meta])* $setter:ident($field:ident: $type:ty);)*) => {
        $($(#[$meta])*
        #[must_use]
        pub fn $setter(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        })*
    };
}

impl ConnectionConfig {
    /// Returns a connection with safe settings and no key, peer at any address.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_string(),
            peer: Peer::Any,
            peer_port: defaults::IKE_PORT,
            peer_nat_t_port: defaults::NAT_T_PORT,
            local: None,
            local_identity: None,
            remote_identity: None,
            psk: None,
            phase1: defaults::phase1_offer(),
            exponent_bits: None,
            lifetime: defaults::IKE_LIFETIME,
            schedule: Schedule::Incremental(defaults::MESSAGE_TIMEOUT),
            retries: defaults::MESSAGE_RETRIES,
            delete_delay: defaults::DELETE_DELAY,
            dpd: DpdMode::Both,
            dpd_idle: defaults::DPD_IDLE,
            dead_peer: DeadPeerAction::Clear,
            nat_traversal: true,
            force_encapsulation: false,
            keepalive: defaults::NAT_KEEPALIVE,
            initial_contact: true,
            send_deletes: true,
            send_notifies: true,
            trust_unprotected_errors: false,
            children_end_with_ike: false,
            soft_per_mille: (defaults::INITIATOR_SOFT_PER_MILLE, defaults::RESPONDER_SOFT_PER_MILLE),
            jitter_per_mille: defaults::SOFT_JITTER_PER_MILLE,
            weak: false,
            policies: Vec::new(),
        }
    }

    setters! {
        /// Sets who may be at the other end.
        peer(peer: Peer);
        /// Sets the peer's port of ISAKMP.
        peer_port(peer_port: u16);
        /// Sets the peer's port of NAT-T.
        peer_nat_t_port(peer_nat_t_port: u16);
        /// Sets the address on this machine; to start an exchange it must be known.
        local(local: IpAddr);
        /// Sets who this end says it is; without it, its address.
        local_identity(local_identity: Identity);
        /// Sets whom the peer must prove to be.
        remote_identity(remote_identity: RemoteIdentity);
        /// Sets the pre-shared key.
        pre_shared_key(psk: PreSharedKey);
        /// Sets the transforms of phase 1, best first.
        phase1(phase1: Vec<Phase1Transform>);
        /// Sets the length of private exponents in bits, for every group.
        exponent_bits(exponent_bits: u32);
        /// Sets the life of the ISAKMP SA.
        lifetime(lifetime: Duration);
        /// Sets how the gap between resends grows.
        resend_schedule(schedule: Schedule);
        /// Sets the number of resends, 0 to 1024.
        resends(retries: u32);
        /// Sets how long the sender of a last message keeps the exchange to answer repeats, 0 to 30 s.
        delete_delay(delete_delay: Duration);
        /// Sets how far this end takes part in liveness checks.
        dpd(dpd: DpdMode);
        /// Sets how long a peer is silent before it is asked, 1 to 86400 s.
        dpd_idle(dpd_idle: Duration);
        /// Sets what happens when the peer is dead.
        dead_peer(dead_peer: DeadPeerAction);
        /// Sets whether NATs are looked for.
        nat_traversal(nat_traversal: bool);
        /// Sets whether ESP goes in UDP even without a NAT.
        force_encapsulation(force_encapsulation: bool);
        /// Sets how often a NAT mapping is kept open, 1 to 3600 s.
        keepalive(keepalive: Duration);
        /// Sets whether INITIAL-CONTACT is sent with the first SA to a peer.
        initial_contact(initial_contact: bool);
        /// Sets whether Deletes are sent.
        send_deletes(send_deletes: bool);
        /// Sets whether error notifications are sent.
        send_notifies(send_notifies: bool);
        /// Sets whether an unprotected error ends an exchange at once: anyone on the path can forge one.
        dangerously_trust_unprotected_errors(trust_unprotected_errors: bool);
        /// Sets whether IPsec SAs end when the peer deletes their ISAKMP SA.
        children_end_with_ike(children_end_with_ike: bool);
        /// Sets the parts of a life, in thousandths, after which its initiator and its responder renew it.
        soft_per_mille(soft_per_mille: (u32, u32));
        /// Sets the largest random part of a life, in thousandths, taken off the soft limit.
        jitter_per_mille(jitter_per_mille: u32);
        /// Allows weak algorithms (DES, MD5, MODP 768 and 1024), which old routers need.
        dangerously_allow_weak_algorithms(weak: bool);
    }

    /// Adds a phase 2 policy.
    #[must_use]
    pub fn policy(mut self, policy: PolicyConfig) -> Self {
        self.policies.push(policy);
        self
    }

    fn build(self) -> Result<ConnectionPlan, ConfigError> {
        let name = self.name;
        check_name(&name)?;
        let field = |field: &str| format!("{name}.{field}");
        let Some(psk) = self.psk else { return Err(wrong(&field("pre_shared_key"), ConfigProblem::Missing)) };
        within(&field("pre_shared_key"), psk.len() as u64, 1..=1_024)?;
        within(&field("peer_port"), self.peer_port.into(), 1..=65_535)?;
        within(&field("peer_nat_t_port"), self.peer_nat_t_port.into(), 1..=65_535)?;
        if let (Peer::Address(peer), Some(local)) = (self.peer, self.local)
            && peer.is_ipv4() != local.is_ipv4()
        {
            return Err(wrong(&field("local"), ConfigProblem::Family));
        }
        within(&field("phase1"), self.phase1.len() as u64, 1..=MAX_TRANSFORMS)?;
        for transform in &self.phase1 {
            if transform.is_weak() && !self.weak {
                return Err(wrong(&field("phase1"), ConfigProblem::Weak(transform.to_string())));
            }
            if transform.authentication != AuthenticationMethod::PreSharedKey {
                return Err(wrong(
                    &field("phase1"),
                    ConfigProblem::Unsupported("authentication without a pre-shared key"),
                ));
            }
            if let Some(bits) = self.exponent_bits {
                let range = transform.group.exponent_bits();
                within(&field("exponent_bits"), bits.into(), (*range.start()).into()..=(*range.end()).into())?;
            }
        }
        within(&field("lifetime"), self.lifetime.as_secs(), LIFETIME)?;
        within(&field("resends"), self.retries.into(), 0..=1_024)?;
        let backoff = Backoff::new(self.schedule, self.retries).map_err(|_| {
            wrong(&field("resend_schedule"), ConfigProblem::Conflict("gaps must be above zero and must not shrink"))
        })?;
        within(&field("delete_delay"), self.delete_delay.as_secs(), 0..=30)?;
        within(&field("dpd_idle"), self.dpd_idle.as_secs(), 1..=86_400)?;
        within(&field("keepalive"), self.keepalive.as_secs(), 1..=3_600)?;
        for part in [self.soft_per_mille.0, self.soft_per_mille.1] {
            within(&field("soft_per_mille"), part.into(), 100..=999)?;
        }
        within(&field("jitter_per_mille"), self.jitter_per_mille.into(), 0..=99)?;
        if self.force_encapsulation && !self.nat_traversal {
            let conflict = ConfigProblem::Conflict("encapsulation in UDP needs nat_traversal");
            return Err(wrong(&field("force_encapsulation"), conflict));
        }
        let remote_identity = self.remote_identity.unwrap_or(match self.peer {
            Peer::Address(_) => RemoteIdentity::PeerAddress,
            Peer::Any => RemoteIdentity::Anyone,
        });
        within(&field("policies"), self.policies.len() as u64, 0..=MAX_POLICIES)?;
        let mut policies: Vec<PolicyPlan> = Vec::new();
        for policy in self.policies {
            if policies.iter().any(|other| other.name == policy.name) {
                return Err(wrong(&field(&policy.name), ConfigProblem::Duplicate));
            }
            policies.push(policy.build(&name, self.weak)?);
        }
        Ok(ConnectionPlan {
            peer: self.peer,
            peer_port: self.peer_port,
            peer_nat_t_port: self.peer_nat_t_port,
            local: self.local,
            local_identity: self.local_identity,
            remote_identity,
            psk,
            phase1: self.phase1,
            exponent_bits: self.exponent_bits,
            lifetime: self.lifetime,
            backoff,
            delete_delay: self.delete_delay,
            dpd: self.dpd,
            dpd_idle: self.dpd_idle,
            dead_peer: self.dead_peer,
            nat_traversal: self.nat_traversal,
            force_encapsulation: self.force_encapsulation,
            keepalive: self.keepalive,
            initial_contact: self.initial_contact,
            send_deletes: self.send_deletes,
            send_notifies: self.send_notifies,
            trust_unprotected_errors: self.trust_unprotected_errors,
            children_end_with_ike: self.children_end_with_ike,
            soft_per_mille: self.soft_per_mille,
            jitter_per_mille: self.jitter_per_mille,
            policies,
            name,
        })
    }
}

/// One phase 2 policy: which traffic, and how it is protected.
#[derive(Clone, Debug)]
pub struct PolicyConfig {
    name: String,
    local: Option<TrafficSelector>,
    remote: Option<TrafficSelector>,
    mode: Mode,
    suites: Vec<Protection>,
    pfs: Option<DhGroup>,
    lifetime: Duration,
    kilobytes: Option<u64>,
    accept_narrower: bool,
}

impl PolicyConfig {
    /// Returns a tunnel policy with safe settings and no traffic.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_string(),
            local: None,
            remote: None,
            mode: Mode::Tunnel,
            suites: defaults::phase2_offer(),
            pfs: None,
            lifetime: defaults::CHILD_LIFETIME,
            kilobytes: None,
            accept_narrower: false,
        }
    }

    setters! {
        /// Sets the traffic on this side.
        local(local: TrafficSelector);
        /// Sets the traffic on the peer's side.
        remote(remote: TrafficSelector);
        /// Sets tunnel or transport.
        mode(mode: Mode);
        /// Sets the protocols and algorithms, best first.
        suites(suites: Vec<Protection>);
        /// Sets the group of perfect forward secrecy.
        pfs(pfs: DhGroup);
        /// Sets the life of the IPsec SAs.
        lifetime(lifetime: Duration);
        /// Sets the life of the IPsec SAs in kilobytes.
        kilobytes(kilobytes: u64);
        /// Sets whether a responder takes selectors that are part of its own.
        accept_narrower(accept_narrower: bool);
    }

    fn build(self, connection: &str, weak_allowed: bool) -> Result<PolicyPlan, ConfigError> {
        check_name(&self.name)?;
        let field = |field: &str| format!("{connection}.{}.{field}", self.name);
        let Some(local) = self.local else { return Err(wrong(&field("local"), ConfigProblem::Missing)) };
        let Some(remote) = self.remote else { return Err(wrong(&field("remote"), ConfigProblem::Missing)) };
        if local.first().is_ipv4() != remote.first().is_ipv4() {
            return Err(wrong(&field("remote"), ConfigProblem::Family));
        }
        within(&field("suites"), self.suites.len() as u64, 1..=MAX_TRANSFORMS)?;
        for suite in &self.suites {
            if suite.is_weak() && !weak_allowed {
                return Err(wrong(&field("suites"), ConfigProblem::Weak(suite.to_string())));
            }
            if !suite.is_lawful() {
                return Err(wrong(&field("suites"), ConfigProblem::Conflict("its parts cannot stand together")));
            }
        }
        if let Some(group) = self.pfs
            && group.is_weak()
            && !weak_allowed
        {
            return Err(wrong(&field("pfs"), ConfigProblem::Weak(group.name().to_string())));
        }
        within(&field("lifetime"), self.lifetime.as_secs(), LIFETIME)?;
        if let Some(kilobytes) = self.kilobytes {
            within(&field("kilobytes"), kilobytes, 1..=u32::MAX.into())?;
        }
        Ok(PolicyPlan {
            local,
            remote,
            mode: self.mode,
            suites: self.suites,
            pfs: self.pfs,
            lifetime: self.lifetime,
            kilobytes: self.kilobytes,
            accept_narrower: self.accept_narrower,
            name: self.name,
        })
    }
}

fn wrong(field: &str, problem: ConfigProblem) -> ConfigError {
    ConfigError { field: field.to_string(), problem }
}

fn within(field: &str, value: u64, range: RangeInclusive<u64>) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(wrong(field, ConfigProblem::OutOfRange { value, least: *range.start(), most: *range.end() }))
}

/// Names are 1 to 24 printable characters, as routers have them.
fn check_name(name: &str) -> Result<(), ConfigError> {
    let fits = (1..=24).contains(&name.chars().count()) && name.chars().all(|c| !c.is_control());
    if fits { Ok(()) } else { Err(wrong(name, ConfigProblem::Name)) }
}
