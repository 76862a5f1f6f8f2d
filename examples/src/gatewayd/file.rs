//! The shape of the configuration file.

use super::clients::{ModeConfig, Pool, Xauth};
use super::cryptography::Cryptography;
use super::debug::Debug;
use super::locate;
use super::manual::Manual;
use super::negotiation::Negotiation;
use super::outer::Outer;
use super::udp_tunnel::{self, UdpTunnel};
use super::words::{EspProposal, Group, Identity, IkeProposal, Prefix, Remote, SecretText, Span, Suites};
use core::net::IpAddr;
use drive::SecretBytes;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A whole configuration file, every field in the operator's words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What concerns the program and not one connection.
    pub daemon: Daemon,
    /// The device that clear packets come from and go to.
    pub tun: Tun,
    /// Policies that come before those of the connections, first match wins.
    #[serde(default)]
    pub policy: Vec<Policy>,
    /// The addresses for clients.
    #[serde(default)]
    pub pool: Vec<Pool>,
    /// Pairs of associations with manual keys.
    #[serde(default)]
    pub manual: Vec<Manual>,
    /// The peers.
    #[serde(default)]
    pub connection: Vec<Connection>,
    /// What is told of single packets, by the name of the policy, child or pair with manual keys.
    #[serde(default)]
    pub debug: BTreeMap<String, Debug>,
}

/// What concerns the program and not one connection.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Daemon {
    /// The addresses of this machine to serve; one pair of UDP sockets each.
    pub listen: Vec<IpAddr>,
    /// The UDP port of IKE.
    #[serde(default = "ike_port")]
    pub ike_port: u16,
    /// The UDP port of NAT traversal.
    #[serde(default = "nat_t_port")]
    pub nat_t_port: u16,
    /// The UDP port of children with `udp_tunnel`.
    #[serde(default = "udp_tunnel::port")]
    pub udp_tunnel_port: u16,
    /// How far packets may come out of order: 32, 64, 128, 256, 512, 1024, 2048 or 4096.
    #[serde(default = "replay_window")]
    pub replay_window: u32,
    /// How long a peer may take for each next message before it has proven who it is.
    pub half_open: Option<Span>,
    /// Whether to open raw sockets for ESP directly over IPv4.
    #[serde(default)]
    pub raw_esp: bool,
    /// Whether to open raw sockets for AH over IPv4.
    #[serde(default)]
    pub raw_ah: bool,
    /// The longest packet on the paths to peers; that of the devices of `listen` if absent.
    pub path_mtu: Option<usize>,
    /// Whether a peer takes over the traffic that another one carries under the same child.
    #[serde(default)]
    pub newest_takes_over: bool,
    /// Whether IKE is off, its sockets closed: manual keys only.
    #[serde(default)]
    pub no_ike: bool,
    /// Who does the cryptography of packets: built-in, or ring where it is faster.
    #[serde(default)]
    pub cryptography: Cryptography,
    /// The Unix socket that takes commands.
    pub control: Option<PathBuf>,
    /// How much to log.
    #[serde(default)]
    pub log: LogLevel,
    /// A directory for the keys of every association, in the form Wireshark reads.
    pub dangerously_keylog_dir: Option<PathBuf>,
}

/// How much to log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Failures only.
    Warn,
    /// What happens to associations.
    #[default]
    Info,
    /// Every message of every exchange.
    Trace,
}

/// The device that clear packets come from and go to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tun {
    /// Its name.
    pub name: String,
    /// Its address, if it needs one of its own.
    pub address: Option<Prefix>,
    /// The longest packet it carries.
    #[serde(default = "tun_mtu")]
    pub mtu: u16,
}

/// One peer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Its name, in logs and commands.
    pub name: String,
    /// Our address towards it, one of `daemon.listen`.
    pub local: IpAddr,
    /// Its address, or `any`.
    pub remote: Remote,
    /// Our identity; our address if absent.
    pub local_id: Option<Identity>,
    /// Its identity; its address if absent.
    pub remote_id: Option<Identity>,
    /// The pre-shared key.
    pub psk: Option<SecretText>,
    /// A file that holds the pre-shared key, in place of `psk`.
    pub psk_file: Option<PathBuf>,
    /// A PEM file with our private RSA key, in place of `psk`: both ends sign.
    pub key_file: Option<PathBuf>,
    /// A PEM file with our certificates, our own first; none if the peer has our public key.
    pub cert_file: Option<PathBuf>,
    /// A PEM file with the authorities whose certificates the peer may present.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the peer's public RSA key, in place of `ca_file`.
    pub remote_key_file: Option<PathBuf>,
    /// Whether only the gateway signs, and the other end proves its user by `xauth` alone: `key_file` on the
    /// gateway, `ca_file` or `remote_key_file` on the user's end.
    #[serde(default)]
    pub hybrid: bool,
    /// When to start negotiating.
    #[serde(default)]
    pub start: Start,
    /// The choices for the ISAKMP SA, best first.
    pub ike: Option<Vec<IkeProposal>>,
    /// The lifetime of the ISAKMP SA.
    pub ike_lifetime: Option<Span>,
    /// After how much of a lifetime its renewal begins, in per cent.
    pub renew_percent: Option<u32>,
    /// The first gap between resends of a message.
    pub retransmit: Option<Span>,
    /// How often a message is resent.
    pub retries: Option<u32>,
    /// The gap between keepalives through a NAT.
    pub nat_keepalive: Option<Span>,
    /// Whether ESP goes in UDP even where no NAT is found.
    #[serde(default)]
    pub force_udp: bool,
    /// How long a silent peer goes unquestioned; absent: never asked.
    pub dpd_idle: Option<Span>,
    /// Whether long messages of the negotiation are cut in parts: yes, no, accept, or force.
    #[serde(default)]
    pub fragmentation: Parts,
    /// The longest IP datagram that a message of the negotiation travels in whole.
    pub fragment_size: Option<u16>,
    /// What this peer wants otherwise than most.
    #[serde(default)]
    pub negotiation: Negotiation,
    /// Whether broken and weak algorithms may be offered and accepted: DES, MD5, groups 1 and 2.
    #[serde(default)]
    pub dangerously_allow_weak: bool,
    /// Whether phase 1 runs in aggressive mode, in both roles: whoever asks can then try keys offline.
    #[serde(default)]
    pub dangerously_aggressive: bool,
    /// Whether phase 1 starts in base mode, and is answered in it: whoever listens can then try keys offline.
    #[serde(default)]
    pub dangerously_base: bool,
    /// The user who must prove who he is, at the peer or here.
    pub xauth: Option<Xauth>,
    /// What a client is given, or takes.
    pub mode_config: Option<ModeConfig>,
    /// What is to be protected.
    pub child: Vec<Child>,
}

/// Whether long messages of the negotiation are cut in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parts {
    /// For peers that announce that they can join them.
    #[default]
    Yes,
    /// Never, nor are parts taken.
    No,
    /// Never, but parts are joined.
    Accept,
    /// For every peer.
    Force,
}

/// When to start negotiating.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// At once.
    Boot,
    /// When a packet needs it.
    #[default]
    Traffic,
    /// Never: the peer or a command starts.
    Never,
}

/// What packets are protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Those between two networks.
    #[default]
    Tunnel,
    /// Those between the two ends themselves.
    Transport,
}

/// What one pair of IPsec SAs protects.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Child {
    /// Its name, in logs and commands; no other child or policy has it.
    pub name: String,
    /// The network behind us.
    pub local: Prefix,
    /// The network behind the peer.
    pub remote: Prefix,
    /// Tunnel or transport.
    #[serde(default)]
    pub mode: Mode,
    /// The choices for the IPsec SAs, best first; all with the same group, or all without.
    pub esp: Option<Vec<EspProposal>>,
    /// The choices as text, bundles of ESP, AH and IPComp among them, in place of `esp`.
    pub suites: Option<Suites>,
    /// The group of perfect forward secrecy for `suites`.
    pub pfs: Option<Group>,
    /// Their lifetime.
    pub lifetime: Option<Span>,
    /// The side that is narrowed to the address which mode-config gives to the client.
    pub client: Option<Side>,
    /// How the header around the tunnel is made.
    #[serde(default)]
    pub outer: Outer,
    /// ESP in UDP as before NAT traversal; off if absent.
    pub udp_tunnel: Option<UdpTunnel>,
    /// The template of routes to what its tunnels reach: gatewayd says in its log when one is wanted.
    pub route_template: Option<String>,
}

/// A side of a pair of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Ours: this end is the client.
    Local,
    /// The peer's: it is the client.
    Remote,
}

/// A policy for packets that no association protects.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name, in logs.
    pub name: String,
    /// What becomes of the packets.
    pub action: PolicyAction,
    /// The network on our side.
    pub local: Prefix,
    /// The network on the other side.
    pub remote: Prefix,
    /// The IP protocol; all if absent.
    pub protocol: Option<u8>,
}

/// What becomes of packets that no association protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyAction {
    /// They pass in clear. Known so that it can be refused with a reason: a TUN device has no other way out.
    Bypass,
    /// They are dropped.
    Discard,
}

fn ike_port() -> u16 {
    500
}

fn nat_t_port() -> u16 {
    4500
}

fn replay_window() -> u32 {
    64
}

/// Room in 1500 octets for IPv4, UDP, and ESP with the largest IV, padding and ICV we negotiate.
fn tun_mtu() -> u16 {
    1400
}

/// Why a configuration was refused: the field, and the reason.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The file is not UTF-8.
    #[error("the file is not UTF-8 text")]
    NotText,
    /// A field is unknown, missing, of the wrong type, or its value has no meaning.
    #[error("line {line}: {field}: {reason}")]
    Field {
        /// The line, counted from 1.
        line: usize,
        /// The path of the field.
        field: String,
        /// Why.
        reason: String,
    },
    /// The engine refuses a value; the text names the connection, child and field.
    #[error("{0}")]
    Engine(String),
    /// A value contradicts another, or is out of its limits.
    #[error("{field}: {reason}")]
    Refused {
        /// The path of the field.
        field: String,
        /// Why.
        reason: String,
    },
}

impl FileError {
    /// Returns the refusal of one field.
    pub fn refused(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Refused { field: field.into(), reason: reason.into() }
    }
}

impl File {
    /// Reads a file and checks each field by itself; what contradicts another is found by `plan`.
    ///
    /// # Errors
    /// The file cannot be read, or a field is refused.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Self::parse(read_secret(path)?.expose())
    }

    /// Reads the octets of a file.
    ///
    /// # Errors
    /// A field is refused.
    pub fn parse(octets: &[u8]) -> Result<Self, FileError> {
        let text = core::str::from_utf8(octets).map_err(|_| FileError::NotText)?;
        let file: Self = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let mut field = locate::field_at(text, span.clone());
            if field.is_empty() {
                field.push_str("the file");
            }
            FileError::Field { line: locate::line_at(text, span.start), field, reason: error.message().to_owned() }
        })?;
        file.check()?;
        Ok(file)
    }
}

impl Connection {
    /// Returns the pre-shared key, from the file or from its own.
    ///
    /// One line end at the end of a key file is not part of the key.
    ///
    /// # Errors
    /// The key file cannot be read, or is empty.
    pub fn key(&self, field: &str) -> Result<SecretBytes, FileError> {
        let octets = match (&self.psk, &self.psk_file) {
            (Some(psk), _) => return Ok(SecretBytes::copied(psk.0.expose())),
            (None, Some(path)) => read_secret(path)?,
            (None, None) => return Err(FileError::refused(format!("{field}.psk"), "give psk or psk_file")),
        };
        let key = octets.expose();
        let key = key.strip_suffix(b"\n").unwrap_or(key);
        if key.is_empty() {
            return Err(FileError::refused(format!("{field}.psk_file"), "the file is empty"));
        }
        Ok(SecretBytes::copied(key))
    }
}

pub(super) fn read_secret(path: &Path) -> Result<SecretBytes, FileError> {
    let octets =
        std::fs::read(path).map_err(|reason| FileError::Unreadable { path: path.display().to_string(), reason })?;
    Ok(SecretBytes::new(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../gatewayd.toml");

    fn refusal(from: &str, to: &str) -> String {
        assert!(SAMPLE.contains(from), "the sample no longer contains {from}");
        File::parse(SAMPLE.replacen(from, to, 1).as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn the_sample_is_accepted() {
        let file = File::parse(SAMPLE.as_bytes()).unwrap();
        assert_eq!(file.daemon.ike_port, 500);
        assert_eq!(file.connection.len(), 1);
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = refusal("mtu = 1400", "mto = 1400");
        assert!(error.contains("tun.mto") && error.contains("unknown field"), "{error}");
    }

    #[test]
    fn a_wrong_type_is_named_with_its_path_and_line() {
        let error = refusal("remote = \"192.0.2.2\"", "remote = 5");
        assert!(error.contains("connection[0].remote") && error.starts_with("line "), "{error}");
    }

    #[test]
    fn a_wrong_word_is_named_with_its_field() {
        let error = refusal("\"aes256-sha256-modp2048\"", "\"aes256-sha256-modp2047\"");
        assert!(error.contains("connection[0].ike: ") && error.contains("modp2047"), "{error}");
    }

    #[test]
    fn the_key_is_never_in_debug_output() {
        let file = File::parse(SAMPLE.as_bytes()).unwrap();
        let shown = format!("{file:?}");
        assert!(shown.contains("octets") && !shown.contains("change me"), "{shown}");
    }
}
