//! The configuration file.

use super::sockets::Service;
use crate::gatewayd::file::LogLevel;
use crate::gatewayd::words::{EspProposal, Identity, IkeProposal, SecretText, Span};
use crate::l2tp::ipsec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::num::NonZeroU32;
use core::time::Duration;
use drive::{Backoff, Path, Schedule};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::{ConnectionConfig, DpdMode, RemoteIdentity};
use l2tpv3::config::{CircuitConfig, ConfigError, CookieLength, Initiate, PeerConfig};
use l2tpv3::digest::{DigestAlgorithm, SharedSecret};
use l2tpv3::registry::{PseudowireType, SequencingLevel};
use l2tpv3::wire::{Carrier, Cookie, Dialect, Sublayer};
use l2tpv3::{Config, SessionId, SessionParameters, defaults};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

const IKE_PORT: u16 = 500;
const NAT_T_PORT: u16 = 4500;
/// The IP protocol number of ESP.
const ESP: u8 = 50;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("{path}: {1}", path = .0.display())]
    Read(PathBuf, std::io::Error),
    /// It is not TOML, or not of this shape.
    #[error("{0}")]
    Shape(#[from] toml::de::Error),
    /// The endpoint refuses it.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// IPsec refuses it; the text names the field.
    #[error("ipsec: {0}")]
    Ipsec(#[from] gateway::ConfigError),
    /// A static session is wrong.
    #[error("static session {0}: {1}")]
    Static(u32, &'static str),
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// This end.
    pub local: Local,
    /// IPsec for everything that is said to peers, if it is wanted.
    pub ipsec: Option<Ipsec>,
    /// The peers, each with its circuits.
    #[serde(default)]
    pub peer: Vec<Peer>,
    /// The sessions without control connection.
    #[serde(default, rename = "static")]
    pub statics: Vec<Static>,
}

/// This end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// The addresses to serve.
    pub listen: Vec<IpAddr>,
    /// Whether IP protocol 115 is served; needs the right to open raw sockets.
    #[serde(default)]
    pub ip: bool,
    /// The UDP port to serve, if any.
    pub udp_port: Option<u16>,
    /// This end's name.
    pub host_name: String,
    /// This end's router id; often an address, need not be one.
    pub router_id: Ipv4Addr,
    /// The Unix socket for commands.
    pub control: Option<PathBuf>,
    /// Whether each control message is logged.
    #[serde(default)]
    pub trace: bool,
}

/// IPsec below L2TP: IKEv1 with a pre-shared key in main mode, ESP in transport mode between the two
/// ends' own addresses; directly over IP, or in UDP port 4500 where a NAT is found.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ipsec {
    /// The pre-shared key.
    pub psk: SecretText,
    /// Our identity; our address if absent.
    pub local_id: Option<Identity>,
    /// The identity of every peer; its address if absent.
    pub remote_id: Option<Identity>,
    /// The choices for the ISAKMP SA, best first.
    pub ike: Option<Vec<IkeProposal>>,
    /// The choices for the IPsec SAs, best first.
    pub esp: Option<Vec<EspProposal>>,
    /// The lifetime of the ISAKMP SA.
    pub ike_lifetime: Option<Span>,
    /// The lifetime of the IPsec SAs.
    pub lifetime: Option<Span>,
    /// How long a silent peer goes unquestioned; absent: never asked, since L2TP asks by itself.
    pub dpd_idle: Option<Span>,
    /// Whether ESP directly over IP is served; needs the right to open raw sockets. Without it, ESP
    /// travels in UDP port 4500 even where no NAT is found.
    #[serde(default)]
    pub raw_esp: bool,
    /// Whether NATs are looked for. A peer that always claims one then gets ESP in UDP.
    #[serde(default = "yes")]
    pub nat_traversal: bool,
    /// Whether broken and weak algorithms may be offered and accepted: DES, MD5, groups 1 and 2.
    #[serde(default)]
    pub dangerously_allow_weak: bool,
}

/// What carries L2TP.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// IP protocol 115.
    #[default]
    Ip,
    /// UDP.
    Udp,
}

/// One peer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// What people call it.
    pub name: String,
    /// Our address.
    pub local: IpAddr,
    /// Its address.
    pub remote: IpAddr,
    /// What carries L2TP.
    #[serde(default)]
    pub over: Over,
    /// Whether this end opens the connection, and opens it again whenever it ends.
    #[serde(default)]
    pub initiate: bool,
    /// The secrets: none, one, or the new and the old.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// `md5` or `sha1`, or both.
    #[serde(default)]
    pub digests: Vec<Digest>,
    /// Whether messages without secret carry a digest as integrity check.
    #[serde(default = "yes")]
    pub integrity: bool,
    /// Whether AVPs are hidden.
    #[serde(default)]
    pub hide: bool,
    /// Whether a StopCCN is dropped unless a secret authenticates it.
    #[serde(default)]
    pub refuse_unauthenticated_stop: bool,
    /// Whether the drafts of Cisco are sent too.
    #[serde(default)]
    pub cisco: bool,
    /// Seconds of silence before a HELLO; 0 for never.
    #[serde(default = "hello")]
    pub hello: u64,
    /// Retransmissions of a message.
    #[serde(default = "retries")]
    pub retries: u32,
    /// The name it must give.
    pub host_name: Option<String>,
    /// The router id it must give.
    pub router_id: Option<Ipv4Addr>,
    /// The circuits.
    #[serde(default)]
    pub circuit: Vec<Circuit>,
}

/// The hash of a digest.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Digest {
    /// HMAC-MD5.
    Md5,
    /// HMAC-SHA-1.
    Sha1,
}

/// Which frames are numbered.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sequencing {
    /// None.
    #[default]
    None,
    /// Those that do not carry IP.
    NonIp,
    /// All.
    All,
}

/// One circuit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Circuit {
    /// The identifier both ends know it by.
    pub id: String,
    /// The TAP device.
    pub tap: String,
    /// The MTU of the device; what is left of 1500 octets if absent.
    pub mtu: Option<u16>,
    /// Whether the MTU is told to the peer and must be the same there.
    #[serde(default)]
    pub negotiate_mtu: bool,
    /// Octets of cookie this end demands: 0, 4 or 8.
    #[serde(default = "cookie")]
    pub cookie: u8,
    /// Whether this end demands the default sublayer.
    #[serde(default)]
    pub sublayer: bool,
    /// Which frames this end demands numbered.
    #[serde(default)]
    pub sequencing: Sequencing,
    /// Whether this end asks for the session; by default the end that opens the connection does.
    pub initiate: Option<bool>,
}

/// A session without control connection, as `ip l2tp` makes them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Static {
    /// Our address.
    pub local: IpAddr,
    /// The peer's address.
    pub remote: IpAddr,
    /// What carries L2TP.
    #[serde(default)]
    pub over: Over,
    /// The session id in packets that arrive.
    pub local_id: u32,
    /// The session id in packets that are sent.
    pub remote_id: u32,
    /// The cookie in packets that arrive, in hex.
    #[serde(default)]
    pub local_cookie: String,
    /// The cookie in packets that are sent, in hex.
    #[serde(default)]
    pub remote_cookie: String,
    /// Whether packets have the default sublayer.
    #[serde(default)]
    pub sublayer: bool,
    /// Which frames are numbered.
    #[serde(default)]
    pub sequencing: Sequencing,
    /// The TAP device.
    pub tap: String,
    /// The MTU of the device; what is left of 1500 octets if absent.
    pub mtu: Option<u16>,
}

const fn yes() -> bool {
    true
}

const fn hello() -> u64 {
    defaults::HELLO.as_secs()
}

const fn retries() -> u32 {
    defaults::RETRANSMISSION.limit()
}

/// What is left of 1500 octets after IPv4, UDP, the longest data header and the Ethernet header.
const MTU: u16 = 1438;

/// The same after ESP in UDP with the largest IV, padding and ICV that can be chosen here.
const MTU_IN_ESP: u16 = 1360;

const fn cookie() -> u8 {
    8
}

impl From<Sequencing> for SequencingLevel {
    fn from(sequencing: Sequencing) -> Self {
        match sequencing {
            Sequencing::None => Self::NONE,
            Sequencing::NonIp => Self::NON_IP,
            Sequencing::All => Self::ALL,
        }
    }
}

const fn sublayer(wanted: bool) -> Sublayer {
    if wanted { Sublayer::Default } else { Sublayer::None }
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is not of this shape.
    pub fn read(path: &std::path::Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path).map_err(|error| FileError::Read(path.to_owned(), error))?;
        Self::parse(&text)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// It is not of this shape.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        Ok(toml::from_str(text)?)
    }

    /// Returns the endpoint's configuration.
    pub fn config(&self) -> Config {
        Config {
            host_name: self.local.host_name.clone(),
            vendor_name: concat!("l2tpd ", env!("CARGO_PKG_VERSION")).to_owned(),
            router_id: self.local.router_id.to_bits(),
            peers: self.peer.iter().map(|peer| peer.config(self)).collect(),
            ..Config::default()
        }
    }

    /// Returns the MTU of a device whose session says `wanted`.
    pub fn mtu(&self, wanted: Option<u16>) -> u16 {
        wanted.unwrap_or(if self.ipsec.is_some() { MTU_IN_ESP } else { MTU })
    }

    /// Returns what sockets are needed: those of L2TP, or in their place those of IKE and ESP.
    pub fn services(&self) -> Vec<Service> {
        match &self.ipsec {
            None => {
                let ip = self.local.ip.then_some(Service::Ip(Carrier::PROTOCOL));
                ip.into_iter().chain(self.local.udp_port.map(Service::Udp)).collect()
            }
            Some(ipsec) => {
                let raw = ipsec.raw_esp.then_some(Service::Ip(ESP));
                [Service::Udp(IKE_PORT), Service::Udp(NAT_T_PORT)].into_iter().chain(raw).collect()
            }
        }
    }

    /// Returns how much of the news of IPsec is logged.
    pub const fn log_level(&self) -> LogLevel {
        if self.local.trace { LogLevel::Trace } else { LogLevel::Info }
    }

    /// Returns the plan of the gateway below, with a connection for each pair of addresses, if there is to be one.
    ///
    /// # Errors
    /// The gateway refuses a value.
    pub fn protection(&self) -> Result<Option<gateway::Plan>, FileError> {
        let Some(ipsec) = &self.ipsec else { return Ok(None) };
        let peers = self.peer.iter().map(|peer| self.path(peer.over, peer.local, peer.remote));
        let statics = self.statics.iter().map(|of| self.path(of.over, of.local, of.remote));
        let mut pairs = BTreeMap::<_, Vec<Path>>::new();
        for path in peers.chain(statics) {
            let paths = pairs.entry((path.local.ip(), path.remote.ip())).or_default();
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        let mut ike = ikev1_core::Config::new().ports(IKE_PORT, NAT_T_PORT).trace(self.local.trace);
        for ((local, remote), paths) in pairs {
            ike = ike.connection(ipsec.connection(local, remote, &paths));
        }
        Ok(Some(gateway::Config::new(ike).build()?))
    }

    fn path(&self, over: Over, local: IpAddr, remote: IpAddr) -> Path {
        match over {
            Over::Ip => Path::ip(Carrier::PROTOCOL, local, remote),
            Over::Udp => {
                let port = self.local.udp_port.unwrap_or(Carrier::PORT);
                Path::new(SocketAddr::new(local, port), SocketAddr::new(remote, Carrier::PORT))
            }
        }
    }

    /// Returns the parameters of a static session.
    ///
    /// # Errors
    /// An identifier of 0, or a cookie that is not 0, 4 or 8 octets of hex.
    pub fn parameters(&self, of: &Static) -> Result<SessionParameters, FileError> {
        let wrong = |what| FileError::Static(of.local_id, what);
        let id = |id| NonZeroU32::new(id).ok_or(wrong("an id is 0"));
        let cookie = |text: &str| hex::decode(text).ok().and_then(|octets| Cookie::from_slice(&octets));
        let level = of.sequencing.into();
        if level != SequencingLevel::NONE && !of.sublayer {
            return Err(wrong("sequencing needs the sublayer"));
        }
        Ok(SessionParameters {
            path: self.path(of.over, of.local, of.remote),
            local_id: SessionId(id(of.local_id)?),
            remote_id: id(of.remote_id)?,
            local_cookie: cookie(&of.local_cookie).ok_or(wrong("a cookie has 0, 4 or 8 octets"))?,
            remote_cookie: cookie(&of.remote_cookie).ok_or(wrong("a cookie has 0, 4 or 8 octets"))?,
            pseudowire: PseudowireType::ETHERNET,
            receive_sublayer: sublayer(of.sublayer),
            send_sublayer: sublayer(of.sublayer),
            receive_sequencing: level,
            send_sequencing: level,
            rewrite_vlan: None,
            resynchronise_after: defaults::RESYNCHRONISE_AFTER,
        })
    }
}

impl Ipsec {
    fn connection(&self, local: IpAddr, remote: IpAddr, paths: &[Path]) -> ConnectionConfig {
        let mut connection = ConnectionConfig::new(&remote.to_string())
            .local(local)
            .peer(ikev1_core::Peer::Address(remote))
            .pre_shared_key(PreSharedKey::copied(self.psk.0.expose()))
            .nat_traversal(self.nat_traversal)
            .force_encapsulation(!self.raw_esp)
            .dangerously_allow_weak_algorithms(self.dangerously_allow_weak);
        if let Some(identity) = &self.local_id {
            connection = connection.local_identity(identity.plan());
        }
        if let Some(identity) = &self.remote_id {
            connection = connection.remote_identity(RemoteIdentity::Exactly(identity.plan()));
        }
        if let Some(proposals) = &self.ike {
            connection = connection.phase1(proposals.iter().map(IkeProposal::plan).collect());
        }
        if let Some(lifetime) = self.ike_lifetime {
            connection = connection.lifetime(lifetime.0);
        }
        connection = match self.dpd_idle {
            Some(idle) => connection.dpd(DpdMode::Both).dpd_idle(idle.0),
            None => connection.dpd(DpdMode::Receive),
        };
        let pfs = self.esp.as_ref().and_then(|proposals| proposals.first()?.pfs);
        for path in paths {
            let suites = self.esp.as_ref().map(|proposals| proposals.iter().map(EspProposal::plan).collect());
            let name = format!("{remote} {}", if path.is_udp() { "udp" } else { "ip" });
            let mut policy = ipsec::policy(&name, *path, suites);
            if let Some(lifetime) = self.lifetime {
                policy = policy.lifetime(lifetime.0);
            }
            if let Some(group) = pfs {
                policy = policy.pfs(group.plan());
            }
            connection = connection.policy(policy);
        }
        connection
    }
}

impl Peer {
    fn config(&self, file: &File) -> PeerConfig {
        let digests = self.digests.iter().map(|digest| match digest {
            Digest::Md5 => DigestAlgorithm::Md5,
            Digest::Sha1 => DigestAlgorithm::Sha1,
        });
        let digests: Vec<_> = digests.collect();
        let defaults = PeerConfig::default();
        let schedule = Schedule::Exponential {
            first: Duration::from_secs(1),
            numerator: 2,
            denominator: 1,
            cap: Duration::from_secs(8),
        };
        let retransmission = Backoff::new(schedule, self.retries).unwrap_or(defaults.retransmission);
        PeerConfig {
            path: Some(file.path(self.over, self.local, self.remote)),
            address: Some(self.remote),
            host_name: self.host_name.clone(),
            router_id: self.router_id.map(Ipv4Addr::to_bits),
            secrets: self.secrets.iter().map(|secret| SharedSecret::copied(secret.as_bytes())).collect(),
            digests: if digests.is_empty() { defaults.digests } else { digests },
            integrity: self.integrity,
            hide: self.hide,
            refuse_unauthenticated_stop: self.refuse_unauthenticated_stop,
            dialect: if self.cisco { Dialect::Cisco } else { Dialect::Rfc },
            persistent: self.initiate,
            hello: (self.hello > 0).then(|| Duration::from_secs(self.hello)),
            retransmission,
            circuits: self.circuit.iter().map(|circuit| circuit.config(self.initiate, file)).collect(),
            ..PeerConfig::default()
        }
    }
}

impl Circuit {
    fn config(&self, opens: bool, file: &File) -> CircuitConfig {
        CircuitConfig {
            remote_end_id: self.id.clone().into_bytes(),
            cookie: match self.cookie {
                0 => CookieLength::None,
                4 => CookieLength::Four,
                _ => CookieLength::Eight,
            },
            sublayer: sublayer(self.sublayer),
            sequencing: self.sequencing.into(),
            initiate: if self.initiate.unwrap_or(opens) { Initiate::IncomingCall } else { Initiate::Peer },
            mtu: self.negotiate_mtu.then(|| file.mtu(self.mtu)),
            ..CircuitConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_file_is_sound() {
        let file = File::parse(include_str!("../../../l2tpd.toml")).unwrap();
        file.config().build().unwrap();
        for of in &file.statics {
            file.parameters(of).unwrap();
        }
        assert!(!file.peer.is_empty() && !file.statics.is_empty());
    }

    /// The lines of the sample that ask for IPsec, uncommented.
    fn protected() -> File {
        let text = include_str!("../../../l2tpd.toml").replace("#ipsec ", "");
        File::parse(&text).unwrap()
    }

    #[test]
    fn with_ipsec_nothing_is_served_but_ike_and_esp_and_each_pair_of_addresses_has_its_connection() {
        let file = protected();
        assert_eq!(file.services(), [Service::Udp(500), Service::Udp(4500), Service::Ip(50)]);
        let plan = file.protection().unwrap().unwrap();
        assert_eq!(plan.ike().connections().count(), 3);
        let policies: Vec<_> = plan.ike().connections().flat_map(|(_, of)| of.policies()).collect();
        assert_eq!(policies.len(), 3);
        assert_eq!((file.mtu(None), file.mtu(Some(1200))), (MTU_IN_ESP, 1200));
    }

    #[test]
    fn weak_algorithms_and_esp_with_no_way_to_travel_are_refused() {
        for (from, to) in [("aes128-sha1-modp2048", "des-md5-modp768"), ("raw_esp = true", "nat_traversal = false")] {
            let text = include_str!("../../../l2tpd.toml").replace("#ipsec ", "").replace(from, to);
            let error = File::parse(&text).unwrap().protection().unwrap_err().to_string();
            assert!(error.starts_with("ipsec: "), "{error}");
        }
    }

    #[test]
    fn a_field_that_does_not_exist_is_named() {
        let text = "[local]\nlisten = []\nhost_name = \"a\"\nrouter_id = \"0.0.0.1\"\nspeed = 1\n";
        assert!(File::parse(text).unwrap_err().to_string().contains("speed"));
    }

    #[test]
    fn a_static_session_with_a_cookie_of_three_octets_is_refused() {
        let text = include_str!("../../../l2tpd.toml").replace("\"a1a2a3a4\"", "\"a1a2a3\"");
        let file = File::parse(&text).unwrap();
        assert!(file.statics.iter().any(|of| file.parameters(of).is_err()));
    }
}
