//! The operator's words, and the plan they become.

use crate::defaults;
use crate::digest::{DigestAlgorithm, Keys, SharedSecret};
use crate::registry::{CdnResult, PseudowireType, SequencingLevel};
use crate::wire::{Carrier, Dialect, Sublayer};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use drive::{Backoff, Path};

/// The longest name or end identifier: no router takes more, and a message with all of them fits.
const MAX_NAME: usize = 255;

/// A peer of the plan, by its position in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub usize);

/// How many octets of cookie this end demands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CookieLength {
    /// No cookie.
    None,
    /// Four octets.
    Four,
    /// Eight octets: what RFC 3931 §8.2 recommends against blind insertion.
    #[default]
    Eight,
}

/// Which end asks for a provisioned session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Initiate {
    /// The peer.
    #[default]
    Peer,
    /// This end, by an incoming call (ICRQ): what pseudowires use.
    IncomingCall,
    /// This end, by an outgoing call (OCRQ).
    OutgoingCall,
}

/// One circuit that sessions bind to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitConfig {
    /// The identifier both ends know the circuit by; routers use decimal text.
    pub remote_end_id: Vec<u8>,
    /// What is carried.
    pub pseudowire: PseudowireType,
    /// The cookie demanded of what arrives.
    pub cookie: CookieLength,
    /// The sublayer demanded of what arrives.
    pub sublayer: Sublayer,
    /// Which packets that arrive must be numbered.
    pub sequencing: SequencingLevel,
    /// Which end asks.
    pub initiate: Initiate,
    /// Whether a tie breaker is sent with the request.
    pub tie_breaker: bool,
    /// Whether the circuit is up at first.
    pub active: bool,
    /// The MTU of the interface; told to the peer, and a different one of the peer's ends the session.
    pub mtu: Option<u16>,
    /// Transmit speed in bit/s.
    pub tx_speed: Option<u64>,
    /// Receive speed in bit/s.
    pub rx_speed: Option<u64>,
    /// A channel number for the peer's logs.
    pub physical_channel: Option<u32>,
    /// The application the session is for.
    pub application_code: Option<u16>,
    /// The group of the attachment circuit, RFC 4667.
    pub attachment_group: Option<Vec<u8>>,
    /// This end's name of the circuit, RFC 4667.
    pub local_end_id: Option<Vec<u8>>,
    /// Octets of a Frame Relay header, 2 or 4, RFC 4591.
    pub frame_relay_header: u16,
    /// The VLAN identifier written into tagged frames that arrive.
    pub rewrite_vlan: Option<u16>,
    /// After how many old packets in sequence their numbers are believed; 0 for never.
    pub resynchronise_after: u8,
}

impl Default for CircuitConfig {
    fn default() -> Self {
        Self {
            remote_end_id: Vec::new(),
            pseudowire: PseudowireType::ETHERNET,
            cookie: CookieLength::default(),
            sublayer: Sublayer::None,
            sequencing: SequencingLevel::NONE,
            initiate: Initiate::Peer,
            tie_breaker: true,
            active: true,
            mtu: None,
            tx_speed: None,
            rx_speed: None,
            physical_channel: None,
            application_code: None,
            attachment_group: None,
            local_end_id: None,
            frame_relay_header: 2,
            rewrite_vlan: None,
            resynchronise_after: defaults::RESYNCHRONISE_AFTER,
        }
    }
}

/// What is done with a request for a circuit that is not provisioned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UnknownCircuits {
    /// It is refused.
    #[default]
    Refuse,
    /// It is accepted with these settings, the end identifier and the pseudowire being the peer's.
    Accept(CircuitConfig),
    /// The caller is asked.
    Ask,
}

/// One peer, or a template for peers that nothing else fits.
#[derive(Debug)]
pub struct PeerConfig {
    /// The ends of a connection that this end opens; `None` if only the peer opens it.
    pub path: Option<Path>,
    /// The address requests of the peer come from; `None` for any.
    pub address: Option<IpAddr>,
    /// The host name the peer must give; `None` for any.
    pub host_name: Option<String>,
    /// The router id the peer must give; `None` for any.
    pub router_id: Option<u32>,
    /// The shared secrets: none to go without authentication, two during a change, the first being sent first.
    pub secrets: Vec<SharedSecret>,
    /// The digests: one, or two during a change.
    pub digests: Vec<DigestAlgorithm>,
    /// Whether messages without authentication carry a digest as integrity check.
    pub integrity: bool,
    /// Whether AVPs that may be hidden are.
    pub hide: bool,
    /// Whether a StopCCN is dropped unless a secret authenticates it. Without secrets the connection then
    /// ends by the peer's silence only; nothing else keeps a forged StopCCN with the right numbers out
    /// where IPsec does not protect the path. With secrets every message is authenticated anyway.
    pub refuse_unauthenticated_stop: bool,
    /// Whether the drafts of Cisco are sent too; to peers that send them they always are.
    pub dialect: Dialect,
    /// Whether a tie breaker is sent with the request.
    pub tie_breaker: bool,
    /// Whether the connection is opened by itself and opened again whenever it ends.
    pub persistent: bool,
    /// Silence after which a HELLO is sent; `None` for never.
    pub hello: Option<Duration>,
    /// Retransmission of messages.
    pub retransmission: Backoff,
    /// Retransmission of the request that opens a connection.
    pub request_retransmission: Backoff,
    /// Time for the connection to come up.
    pub setup: Duration,
    /// Time for a session to come up.
    pub session_setup: Duration,
    /// The range from which the time between attempts is drawn.
    pub reconnect: (Duration, Duration),
    /// The circuits that are provisioned.
    pub circuits: Vec<CircuitConfig>,
    /// What is done with requests for others.
    pub unknown_circuits: UnknownCircuits,
}

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            path: None,
            address: None,
            host_name: None,
            router_id: None,
            secrets: Vec::new(),
            digests: Vec::from([DigestAlgorithm::Md5]),
            integrity: true,
            hide: false,
            refuse_unauthenticated_stop: false,
            dialect: Dialect::Rfc,
            tie_breaker: true,
            persistent: false,
            hello: Some(defaults::HELLO),
            retransmission: defaults::RETRANSMISSION,
            request_retransmission: defaults::RETRANSMISSION,
            setup: defaults::SETUP,
            session_setup: defaults::SESSION_SETUP,
            reconnect: defaults::RECONNECT,
            circuits: Vec::new(),
            unknown_circuits: UnknownCircuits::Refuse,
        }
    }
}

/// An endpoint in the operator's words.
#[derive(Debug)]
pub struct Config {
    /// This end's name: 1 to 255 ASCII characters.
    pub host_name: String,
    /// This end's router id, often an IPv4 address.
    pub router_id: u32,
    /// This end's make, told to peers unless empty.
    pub vendor_name: String,
    /// Messages taken before an acknowledgement.
    pub receive_window: u16,
    /// What can be carried.
    pub capabilities: Vec<PseudowireType>,
    /// The peers; a request goes to the first that fits.
    pub peers: Vec<PeerConfig>,
    /// Connections at once.
    pub max_connections: usize,
    /// Connections at once whose peers have not proven their address.
    pub max_half_open: usize,
    /// Sessions at once.
    pub max_sessions: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host_name: String::new(),
            router_id: 0,
            vendor_name: String::new(),
            receive_window: defaults::RECEIVE_WINDOW,
            capabilities: Vec::from([PseudowireType::ETHERNET, PseudowireType::ETHERNET_VLAN]),
            peers: Vec::new(),
            max_connections: defaults::MAX_CONNECTIONS,
            max_half_open: defaults::MAX_HALF_OPEN,
            max_sessions: defaults::MAX_SESSIONS,
        }
    }
}

/// What is wrong with a configuration: the operator's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `host_name` is empty, too long or not ASCII.
    HostName,
    /// `vendor_name` is too long or not ASCII.
    VendorName,
    /// `receive_window` is 0 or above 32767.
    ReceiveWindow,
    /// `capabilities` is empty or longer than 100.
    Capabilities,
    /// A limit is 0.
    Limits,
    /// `path` of a peer carries neither IP protocol 115 nor UDP, or is missing though the peer is persistent.
    Path(PeerId),
    /// More than two `secrets`, or an empty one.
    Secrets(PeerId),
    /// No `digests`, or more than two.
    Digests(PeerId),
    /// `hide` without a secret.
    HideWithoutSecret(PeerId),
    /// A timer of a peer is zero, or its `reconnect` range is empty.
    Timers(PeerId),
    /// An end identifier is too long or provisioned twice.
    RemoteEndId(PeerId),
    /// A circuit's pseudowire is not among the capabilities.
    Pseudowire(PeerId),
    /// A circuit demands numbers without a sublayer to put them in.
    SequencingWithoutSublayer(PeerId),
    /// A circuit's Frame Relay header is neither 2 nor 4 octets.
    FrameRelayHeader(PeerId),
    /// A circuit's VLAN identifier is above 4094.
    Vlan(PeerId),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, peer) = match self {
            Self::HostName => ("host_name must have 1 to 255 ASCII characters", None),
            Self::VendorName => ("vendor_name must have at most 255 ASCII characters", None),
            Self::ReceiveWindow => ("receive_window must be 1 to 32767", None),
            Self::Capabilities => ("capabilities must name 1 to 100 pseudowire types", None),
            Self::Limits => ("limits must not be 0", None),
            Self::Path(peer) => ("path must carry IP protocol 115 or UDP", Some(peer)),
            Self::Secrets(peer) => ("secrets must be at most two, none empty", Some(peer)),
            Self::Digests(peer) => ("digests must be one or two", Some(peer)),
            Self::HideWithoutSecret(peer) => ("hide needs a secret", Some(peer)),
            Self::Timers(peer) => ("timers must not be zero, nor the reconnect range empty", Some(peer)),
            Self::RemoteEndId(peer) => ("remote_end_id must be at most 255 octets and provisioned once", Some(peer)),
            Self::Pseudowire(peer) => ("pseudowire must be among the capabilities", Some(peer)),
            Self::SequencingWithoutSublayer(peer) => ("sequencing needs a sublayer", Some(peer)),
            Self::FrameRelayHeader(peer) => ("frame_relay_header must be 2 or 4", Some(peer)),
            Self::Vlan(peer) => ("rewrite_vlan must be at most 4094", Some(peer)),
        };
        f.write_str(text)?;
        peer.map_or(Ok(()), |peer| write!(f, " (peer {})", peer.0))
    }
}

impl core::error::Error for ConfigError {}

/// What a configuration says of one peer, checked.
#[derive(Debug)]
pub(crate) struct PeerPlan {
    pub(crate) config: PeerConfig,
    pub(crate) keys: Vec<Keys>,
    pub(crate) circuits: Vec<Arc<CircuitConfig>>,
}

/// A configuration that was checked, once and for all.
#[derive(Debug)]
pub struct Plan {
    pub(crate) local: Config,
    pub(crate) peers: Vec<PeerPlan>,
    pub(crate) by_address: BTreeMap<IpAddr, Vec<PeerId>>,
    pub(crate) anywhere: Vec<PeerId>,
    /// The keys of the integrity check: those of an empty secret.
    pub(crate) integrity: Keys,
}

impl Config {
    /// Checks the configuration.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn build(mut self) -> Result<Plan, ConfigError> {
        let name = |name: &str, least: usize| (least..=MAX_NAME).contains(&name.len()) && name.is_ascii();
        check(name(&self.host_name, 1), ConfigError::HostName)?;
        check(name(&self.vendor_name, 0), ConfigError::VendorName)?;
        check((1..0x8000).contains(&self.receive_window), ConfigError::ReceiveWindow)?;
        check((1..=100).contains(&self.capabilities.len()), ConfigError::Capabilities)?;
        let limits = [self.max_connections, self.max_half_open, self.max_sessions];
        check(limits.into_iter().all(|limit| limit > 0), ConfigError::Limits)?;
        let (mut by_address, mut anywhere) = (BTreeMap::<IpAddr, Vec<PeerId>>::new(), Vec::new());
        let mut peers = Vec::new();
        for (index, peer) in core::mem::take(&mut self.peers).into_iter().enumerate() {
            let id = PeerId(index);
            match peer.address.or(peer.path.map(|path| path.remote.ip())) {
                Some(address) => by_address.entry(address).or_default().push(id),
                None => anywhere.push(id),
            }
            peers.push(peer.build(id, &self.capabilities)?);
        }
        Ok(Plan { local: self, peers, by_address, anywhere, integrity: Keys::derive(b"") })
    }
}

fn check(right: bool, error: ConfigError) -> Result<(), ConfigError> {
    if right { Ok(()) } else { Err(error) }
}

impl PeerConfig {
    fn build(mut self, id: PeerId, capabilities: &[PseudowireType]) -> Result<PeerPlan, ConfigError> {
        let path_fits = self.path.map_or(!self.persistent, |path| Carrier::of(path).is_some());
        check(path_fits, ConfigError::Path(id))?;
        let secrets_fit = self.secrets.len() <= 2 && self.secrets.iter().all(|secret| !secret.is_empty());
        check(secrets_fit, ConfigError::Secrets(id))?;
        check((1..=2).contains(&self.digests.len()), ConfigError::Digests(id))?;
        check(!self.hide || !self.secrets.is_empty(), ConfigError::HideWithoutSecret(id))?;
        let (least, most) = self.reconnect;
        let timers = [self.hello.unwrap_or(Duration::MAX), self.setup, self.session_setup, least];
        let timers_fit = least <= most && timers.iter().all(|timer| !timer.is_zero());
        check(timers_fit, ConfigError::Timers(id))?;
        let circuits = core::mem::take(&mut self.circuits);
        for (index, circuit) in circuits.iter().enumerate() {
            circuit.check(capabilities).map_err(|error| error(id))?;
            let earlier = circuits.iter().take(index);
            let twice = earlier.into_iter().any(|other| other.remote_end_id == circuit.remote_end_id);
            check(!twice, ConfigError::RemoteEndId(id))?;
        }
        if let UnknownCircuits::Accept(circuit) = &self.unknown_circuits {
            circuit.check(capabilities).map_err(|error| error(id))?;
        }
        let keys = self.secrets.iter().map(|secret| Keys::derive(secret.expose())).collect();
        // Only the keys are needed from here on.
        self.secrets.clear();
        Ok(PeerPlan { config: self, keys, circuits: circuits.into_iter().map(Arc::new).collect() })
    }
}

impl CircuitConfig {
    /// Checks one circuit; what is wrong is said of a peer.
    pub(crate) fn check(&self, capabilities: &[PseudowireType]) -> Result<(), fn(PeerId) -> ConfigError> {
        let octets = [Some(&self.remote_end_id), self.attachment_group.as_ref(), self.local_end_id.as_ref()];
        if octets.into_iter().flatten().any(|octets| octets.len() > MAX_NAME) {
            return Err(ConfigError::RemoteEndId);
        }
        if !capabilities.contains(&self.pseudowire) {
            return Err(ConfigError::Pseudowire);
        }
        if self.sequencing != SequencingLevel::NONE && self.sublayer == Sublayer::None {
            return Err(ConfigError::SequencingWithoutSublayer);
        }
        if !matches!(self.frame_relay_header, 2 | 4) {
            return Err(ConfigError::FrameRelayHeader);
        }
        if self.rewrite_vlan.is_some_and(|vlan| vlan > 4094) {
            return Err(ConfigError::Vlan);
        }
        Ok(())
    }
}

impl PeerPlan {
    /// Returns whether messages are authenticated.
    pub(crate) const fn authenticates(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Finds the settings for a circuit that the peer asks for.
    pub(crate) fn circuit(&self, remote_end_id: &[u8], pseudowire: PseudowireType) -> Answer {
        let provisioned = self.circuits.iter().find(|circuit| circuit.remote_end_id == remote_end_id);
        match (provisioned, &self.config.unknown_circuits) {
            (Some(circuit), _) if circuit.pseudowire == pseudowire => Answer::Accept(Arc::clone(circuit)),
            (Some(_), _) => Answer::Refuse(CdnResult::UNSUPPORTED_PSEUDOWIRE),
            (None, UnknownCircuits::Refuse) => Answer::Refuse(CdnResult::NO_FACILITY_EVER),
            (None, UnknownCircuits::Accept(template)) => {
                let remote_end_id = remote_end_id.to_vec();
                Answer::Accept(Arc::new(CircuitConfig { remote_end_id, pseudowire, ..template.clone() }))
            }
            (None, UnknownCircuits::Ask) => Answer::Ask,
        }
    }
}

/// The answer to a request for a circuit.
#[derive(Debug)]
pub(crate) enum Answer {
    Accept(Arc<CircuitConfig>),
    Refuse(CdnResult),
    Ask,
}

impl Plan {
    /// Returns the peers that a request from `address` may belong to, in the order of the configuration.
    pub(crate) fn candidates(&self, address: IpAddr) -> impl Iterator<Item = PeerId> {
        let known = self.by_address.get(&address).map(Vec::as_slice).unwrap_or_default();
        known.iter().chain(&self.anywhere).copied()
    }

    pub(crate) fn peer(&self, id: PeerId) -> Option<&PeerPlan> {
        self.peers.get(id.0)
    }
}
