//! The shape of the scenario file.

use crate::gatewayd::file::FileError;
use crate::gatewayd::locate;
use crate::gatewayd::words::{EspProposal, Group, Identity, IkeProposal, Prefix, SecretText, Span, Suites};
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use serde::Deserialize;
use simnet::{Chance, Link, Loss, NatConfig};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The scenario that is run when none is named.
pub const BUILT_IN: &str = include_str!("../../scenarios/two-sites.toml");

/// A whole scenario, every field in the operator's words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What the network does to packets.
    #[serde(default)]
    pub link: LinkSettings,
    /// A NAT in front of one gateway.
    pub nat: Option<NatSettings>,
    /// What happens.
    #[serde(default)]
    pub script: Script,
    /// The site whose host pings first.
    pub left: Site,
    /// The other site.
    pub right: Site,
}

/// What the network does to packets, in each direction.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkSettings {
    /// The time every packet takes.
    pub latency_ms: u32,
    /// The most that chance adds to it.
    pub jitter_ms: u32,
    /// How many of a hundred packets are lost.
    pub loss_percent: u32,
    /// How many of a hundred packets are carried twice.
    pub duplicate_percent: u32,
    /// How many of a hundred packets are held back.
    pub reorder_percent: u32,
    /// The largest packet that travels in one piece.
    pub mtu: u32,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self { latency_ms: 20, jitter_ms: 0, loss_percent: 5, duplicate_percent: 0, reorder_percent: 0, mtu: 1500 }
    }
}

impl LinkSettings {
    /// Returns the link of the simulated network.
    pub fn link(&self) -> Link {
        Link {
            jitter: Duration::from_millis(self.jitter_ms.into()),
            loss: Loss::Random(Chance::percent(self.loss_percent)),
            duplicate: Chance::percent(self.duplicate_percent),
            reorder: Chance::percent(self.reorder_percent),
            mtu: self.mtu as usize,
            ..Link::with_latency(Duration::from_millis(self.latency_ms.into()))
        }
    }
}

/// A NAT in front of one gateway.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatSettings {
    /// Whether it is there.
    #[serde(default)]
    pub enabled: bool,
    /// Which gateway it hides.
    #[serde(default)]
    pub site: Side,
    /// The address of that gateway behind it.
    pub inside: Ipv4Addr,
    /// The address the world sees.
    pub outside: Ipv4Addr,
    /// How long an unused mapping lives.
    #[serde(default = "nat_idle")]
    pub idle_seconds: u32,
}

impl NatSettings {
    /// Returns the NAT of the simulated network.
    pub fn config(&self) -> NatConfig {
        NatConfig { idle: Duration::from_secs(self.idle_seconds.into()), ..NatConfig::new(self.outside.into()) }
    }
}

/// The least that RFC 4787 §4.3 allows a NAT.
fn nat_idle() -> u32 {
    120
}

/// One of the two sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The site whose host pings first.
    #[default]
    Left,
    /// The other site.
    Right,
}

impl Side {
    /// Returns the other side.
    pub const fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    /// Returns the word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }
}

/// What happens.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// How many pings go each way, before and after the rekey.
    pub pings: u16,
    /// The time between two.
    pub interval_ms: u32,
    /// The octets of data in each.
    pub size: u16,
    /// What is renewed.
    pub rekey: Rekey,
    /// How long nothing is said before the end.
    pub idle_seconds: u32,
}

impl Default for Script {
    fn default() -> Self {
        Self { pings: 4, interval_ms: 500, size: 56, rekey: Rekey::Child, idle_seconds: 30 }
    }
}

/// What is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rekey {
    /// The IPsec SAs.
    Child,
    /// The ISAKMP SA.
    Ike,
}

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
    /// The mode of phase 1.
    #[serde(default)]
    pub exchange: Phase1,
    /// What it offers and accepts for the ISAKMP SA, best first.
    pub ike: Vec<IkeProposal>,
    /// The lifetime of the ISAKMP SA.
    pub ike_lifetime: Option<Span>,
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

impl Scenario {
    /// Reads a scenario and checks it.
    ///
    /// # Errors
    /// The field that is wrong, and why.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let scenario: Self = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let mut field = locate::field_at(text, span.clone());
            if field.is_empty() {
                field.push_str("the scenario");
            }
            FileError::Field { line: locate::line_at(text, span.start), field, reason: error.message().to_owned() }
        })?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Puts what the command line says in place of what the file says.
    ///
    /// # Errors
    /// There is no NAT to put there, or a value is out of range.
    pub fn change(&mut self, nat: bool, loss_percent: Option<u32>) -> Result<(), FileError> {
        if nat {
            let there = self.nat.as_mut().ok_or_else(|| FileError::refused("nat", "is missing: --nat needs it"))?;
            there.enabled = true;
        }
        if let Some(loss_percent) = loss_percent {
            self.link.loss_percent = loss_percent;
        }
        self.check()
    }

    /// Returns the site on a side.
    pub const fn site(&self, side: Side) -> &Site {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    /// Returns the NAT, if it is there.
    pub fn active_nat(&self) -> Option<&NatSettings> {
        self.nat.as_ref().filter(|nat| nat.enabled)
    }

    /// Returns the address that the gateway of a site has itself: behind a NAT its inside one.
    pub fn own_address(&self, side: Side) -> Ipv4Addr {
        match self.active_nat() {
            Some(nat) if nat.site == side => nat.inside,
            Some(_) | None => self.site(side).address,
        }
    }

    fn check(&self) -> Result<(), FileError> {
        percent("link.loss_percent", self.link.loss_percent)?;
        percent("link.duplicate_percent", self.link.duplicate_percent)?;
        percent("link.reorder_percent", self.link.reorder_percent)?;
        within("link.latency_ms", self.link.latency_ms, 0, 60_000)?;
        within("link.jitter_ms", self.link.jitter_ms, 0, 60_000)?;
        within("link.mtu", self.link.mtu, 576, 65_535)?;
        within("script.pings", self.script.pings.into(), 1, 10_000)?;
        within("script.interval_ms", self.script.interval_ms, 1, 3_600_000)?;
        within("script.size", self.script.size.into(), 0, 60_000)?;
        within("script.idle_seconds", self.script.idle_seconds, 0, 86_400)?;
        for side in [Side::Left, Side::Right] {
            self.site(side).check(side.name())?;
        }
        if self.left.address == self.right.address {
            return Err(FileError::refused("right.address", "is left.address"));
        }
        if overlap(self.left.lan, self.right.lan) {
            let reason = format!("overlaps left.lan, {}: a host could be on either side", self.left.lan);
            return Err(FileError::refused("right.lan", reason));
        }
        if let Some(nat) = &self.nat {
            within("nat.idle_seconds", nat.idle_seconds, 1, 86_400)?;
            if nat.outside == self.site(nat.site.other()).address {
                let reason = format!("is the address of the other site, {}", nat.site.other().name());
                return Err(FileError::refused("nat.outside", reason));
            }
        }
        Ok(())
    }
}

impl Site {
    fn check(&self, side: &str) -> Result<(), FileError> {
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
            (Some(_), None) => {}
            (None, Some(_)) if self.cert_file.is_some() && self.ca_file.is_some() => {}
            (None, Some(_)) => return refused("key_file", "needs cert_file and ca_file".to_owned()),
            (Some(_), Some(_)) | (None, None) => return refused("psk", "give psk or key_file".to_owned()),
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

fn percent(field: &str, value: u32) -> Result<(), FileError> {
    within(field, value, 0, 100)
}

fn within(field: &str, value: u32, least: u32, most: u32) -> Result<(), FileError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(FileError::refused(field, format!("{value} is not within {least} to {most}")))
}

fn bits(address: IpAddr, length: u8) -> u128 {
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    bits.checked_shr(width - u32::from(length)).unwrap_or(0)
}

fn holds(network: Prefix, host: Ipv4Addr) -> bool {
    bits(network.address, network.length) == bits(host.into(), network.length)
}

fn overlap(a: Prefix, b: Prefix) -> bool {
    let length = a.length.min(b.length);
    bits(a.address, length) == bits(b.address, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(from: &str, to: &str) -> String {
        assert!(BUILT_IN.contains(from), "the built-in scenario no longer contains {from}");
        Scenario::parse(&BUILT_IN.replacen(from, to, 1)).unwrap_err().to_string()
    }

    #[test]
    fn the_built_in_scenario_is_accepted() {
        let scenario = Scenario::parse(BUILT_IN).unwrap();
        assert_eq!(scenario.link.loss_percent, 5);
        assert!(scenario.active_nat().is_none());
        assert_eq!(scenario.own_address(Side::Left), Ipv4Addr::new(192, 0, 2, 1));
    }

    #[test]
    fn behind_the_nat_a_gateway_has_its_inside_address() {
        let scenario = Scenario::parse(&BUILT_IN.replacen("enabled = false", "enabled = true", 1)).unwrap();
        assert_eq!(scenario.own_address(Side::Left), Ipv4Addr::new(10, 1, 0, 10));
        assert_eq!(scenario.own_address(Side::Right), Ipv4Addr::new(192, 0, 2, 2));
    }

    #[test]
    fn a_wrong_field_is_named_with_its_reason() {
        for (from, to, field, reason) in [
            ("loss_percent = 5", "loss_percent = 101", "link.loss_percent", "101 is not within 0 to 100"),
            ("loss_percent = 5", "loss = 5", "link.loss", "unknown field"),
            ("lan = \"10.10.1.0/24\"", "lan = \"10.10.1.1/24\"", "left.lan", "bits set beyond"),
            ("lan = \"10.10.2.0/24\"", "lan = \"10.10.0.0/16\"", "right.lan", "overlaps left.lan"),
            ("host = \"10.10.1.10\"", "host = \"10.10.9.10\"", "left.host", "is not in 10.10.1.0/24"),
            ("address = \"192.0.2.2\"", "address = \"192.0.2.1\"", "right.address", "is left.address"),
            ("aes256-sha512-modp3072", "aes256-sha512-modp3", "left.ike", "`modp3`"),
            ("rekey = \"child\"", "rekey = \"all\"", "script.rekey", "unknown variant"),
            ("outside = \"192.0.2.254\"", "outside = \"192.0.2.2\"", "nat.outside", "other site"),
            ("mtu = 1500", "mtu = 500", "link.mtu", "500 is not within 576 to 65535"),
        ] {
            let error = refusal(from, to);
            assert!(error.contains(field) && error.contains(reason), "{to}: {error}");
        }
    }
}
