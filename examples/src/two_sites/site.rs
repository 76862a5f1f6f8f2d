//! One of the two sites of a scenario.

use crate::gatewayd::file::{FileError, Mode, Parts};
use crate::gatewayd::words::{EspProposal, Group, Identity, IkeProposal, Prefix, SecretText, Span, Suites};
use core::net::{IpAddr, Ipv4Addr};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One site: a gateway, the LAN behind it, and a host there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The address of the gateway, unless a NAT hides it.
    pub address: Ipv4Addr,
    /// The network behind it.
    pub lan: Prefix,
    /// The host there that pings and answers.
    pub host: Ipv4Addr,
    /// What its gateway calls itself; without it its address, the subject of its certificate, or behind a NAT a name.
    pub id: Option<Identity>,
    /// The pre-shared key it knows.
    pub psk: Option<SecretText>,
    /// A PEM file with its private RSA key, in place of `psk`: both sites sign. Paths are from where the program runs.
    pub key_file: Option<PathBuf>,
    /// A PEM file with its certificates, its own first.
    pub cert_file: Option<PathBuf>,
    /// A PEM file with the authorities it trusts.
    pub ca_file: Option<PathBuf>,
    /// The user who must prove who he is to the other site by XAUTH.
    pub user: Option<String>,
    /// The password of that user.
    pub password: Option<SecretText>,
    /// The users of the other site with their passwords, whom this site asks.
    #[serde(default)]
    pub users: BTreeMap<String, SecretText>,
    /// Whether only the site with the key file proves itself by that, draft-ietf-ipsec-isakmp-hybrid-auth; the
    /// other one trusts `ca_file`, and its user proves who he is.
    #[serde(default)]
    pub hybrid: bool,
    /// The addresses that it lends: the host of the other site is then its client, with the first of them.
    pub clients: Option<Clients>,
    /// The mode of phase 1.
    #[serde(default)]
    pub exchange: Phase1,
    /// Whether long messages of the negotiation travel in parts.
    #[serde(default)]
    pub fragmentation: Parts,
    /// The longest packet of the negotiation that is not cut.
    pub fragment_size: Option<u16>,
    /// How long nothing may be heard before it asks whether the other site lives; without it, it never asks.
    pub dpd_idle: Option<Span>,
    /// What it offers and accepts for the ISAKMP SA, best first.
    pub ike: Vec<IkeProposal>,
    /// The lifetime of the ISAKMP SA.
    pub ike_lifetime: Option<Span>,
    /// Tunnel, or transport between the gateways themselves, which are then their own hosts.
    #[serde(default)]
    pub mode: Mode,
    /// What it offers and accepts for the IPsec SAs, best first.
    pub esp: Option<Vec<EspProposal>>,
    /// The same as text, bundles of ESP, AH and IPComp among them, in place of `esp`.
    pub suites: Option<Suites>,
    /// The group of perfect forward secrecy for `suites`.
    pub pfs: Option<Group>,
    /// Their lifetime.
    pub esp_lifetime: Option<Span>,
    /// Whether broken and weak algorithms may be named: DES, MD5, groups 1 and 2.
    #[serde(default)]
    pub dangerously_allow_weak: bool,
}

/// The mode of phase 1; other modes than main tell anyone who listens who the gateways are, and with a pre-shared
/// key let him try keys offline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase1 {
    /// Six messages.
    #[default]
    Main,
    /// Three messages.
    Aggressive,
    /// Four messages.
    Base,
}

/// What a site gives to its client by mode-config.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// The first address that it lends.
    pub first: Ipv4Addr,
    /// The last address.
    pub last: Ipv4Addr,
    /// Whether it gives without being asked.
    #[serde(default)]
    pub push: bool,
    /// Servers of names.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
    /// The networks that clients of Cisco's reach through the tunnel; all if none is named.
    #[serde(default)]
    pub split_include: Vec<Prefix>,
    /// A text for the client to show.
    pub banner: Option<String>,
    /// The domain that the client's names are in.
    pub default_domain: Option<String>,
}

impl Site {
    /// Checks what can be seen without the other site.
    pub(super) fn check(&self, side: &str) -> Result<(), FileError> {
        let refused = |name: &str, reason: String| Err(FileError::refused(format!("{side}.{name}"), reason));
        if let Err(error) = self.lan.network() {
            return refused("lan", error.to_string());
        }
        if self.lan.address.is_ipv6() {
            return refused("lan", "must be an IPv4 network here".to_owned());
        }
        if !holds(self.lan, self.host) {
            return refused("host", format!("{} is not in {}", self.host, self.lan));
        }
        match (&self.psk, &self.key_file) {
            (Some(psk), None) if psk.0.is_empty() => return refused("psk", "must not be empty".to_owned()),
            (Some(_), None) if self.hybrid => return refused("psk", "hybrid has no pre-shared key".to_owned()),
            (Some(_), None) => {}
            (None, Some(_)) if self.cert_file.is_some() && (self.ca_file.is_some() || self.hybrid) => {}
            (None, Some(_)) => return refused("key_file", "needs cert_file and ca_file".to_owned()),
            (None, None) if self.hybrid && self.ca_file.is_some() && self.user.is_some() => {}
            (None, None) if self.hybrid => return refused("hybrid", "needs key_file, or ca_file and user".to_owned()),
            (Some(_), Some(_)) | (None, None) => return refused("psk", "give psk or key_file".to_owned()),
        }
        if let Some(clients) = &self.clients
            && clients.first > clients.last
        {
            return refused("clients.last", format!("is before clients.first, {}", clients.first));
        }
        if self.user.is_some() != self.password.is_some() {
            return refused("user", "user and password belong together".to_owned());
        }
        if self.user.is_some() && !self.users.is_empty() {
            return refused("users", "one site asks, the other is asked".to_owned());
        }
        if self.ike.is_empty() {
            return refused("ike", "must name at least one proposal".to_owned());
        }
        match (&self.esp, &self.suites) {
            (Some(esp), None) if esp.is_empty() => refused("esp", "must name at least one proposal".to_owned()),
            (Some(_), None) | (None, Some(_)) => Ok(()),
            (Some(_), Some(_)) | (None, None) => refused("esp", "give esp or suites".to_owned()),
        }?;
        Ok(())
    }
}

fn bits(address: IpAddr, length: u8) -> u128 {
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    bits.checked_shr(width - u32::from(length)).unwrap_or(0)
}

pub(super) fn holds(network: Prefix, host: Ipv4Addr) -> bool {
    bits(network.address, network.length) == bits(host.into(), network.length)
}

pub(super) fn overlap(a: Prefix, b: Prefix) -> bool {
    let length = a.length.min(b.length);
    bits(a.address, length) == bits(b.address, length)
}
