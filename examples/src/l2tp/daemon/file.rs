//! The configuration file.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::num::NonZeroU32;
use core::time::Duration;
use drive::{Backoff, Path, Schedule};
use l2tpv3::config::{CircuitConfig, ConfigError, CookieLength, Initiate, PeerConfig};
use l2tpv3::digest::{DigestAlgorithm, SharedSecret};
use l2tpv3::registry::{PseudowireType, SequencingLevel};
use l2tpv3::wire::{Carrier, Cookie, Dialect, Sublayer};
use l2tpv3::{Config, SessionId, SessionParameters, defaults};
use serde::Deserialize;
use std::path::PathBuf;

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
    /// The MTU of the device.
    #[serde(default = "mtu")]
    pub mtu: u16,
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
    /// The MTU of the device.
    #[serde(default = "mtu")]
    pub mtu: u16,
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
const fn mtu() -> u16 {
    1438
}

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
            peers: self.peer.iter().map(|peer| peer.config(self.local.udp_port)).collect(),
            ..Config::default()
        }
    }

    fn path(&self, over: Over, local: IpAddr, remote: IpAddr) -> Path {
        path(over, local, remote, self.local.udp_port)
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

fn path(over: Over, local: IpAddr, remote: IpAddr, udp_port: Option<u16>) -> Path {
    match over {
        Over::Ip => Path::ip(Carrier::PROTOCOL, local, remote),
        Over::Udp => {
            let port = udp_port.unwrap_or(Carrier::PORT);
            Path::new(SocketAddr::new(local, port), SocketAddr::new(remote, Carrier::PORT))
        }
    }
}

impl Peer {
    fn config(&self, udp_port: Option<u16>) -> PeerConfig {
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
            path: Some(path(self.over, self.local, self.remote, udp_port)),
            address: Some(self.remote),
            host_name: self.host_name.clone(),
            router_id: self.router_id.map(Ipv4Addr::to_bits),
            secrets: self.secrets.iter().map(|secret| SharedSecret::copied(secret.as_bytes())).collect(),
            digests: if digests.is_empty() { defaults.digests } else { digests },
            integrity: self.integrity,
            hide: self.hide,
            dialect: if self.cisco { Dialect::Cisco } else { Dialect::Rfc },
            persistent: self.initiate,
            hello: (self.hello > 0).then(|| Duration::from_secs(self.hello)),
            retransmission,
            circuits: self.circuit.iter().map(|circuit| circuit.config(self.initiate)).collect(),
            ..PeerConfig::default()
        }
    }
}

impl Circuit {
    fn config(&self, opens: bool) -> CircuitConfig {
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
            mtu: self.negotiate_mtu.then_some(self.mtu),
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
