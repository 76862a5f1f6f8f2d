//! The shape of the scenario file.

use super::site::{Site, overlap};
use crate::gatewayd::file::FileError;
use crate::gatewayd::locate;
use core::net::Ipv4Addr;
use core::time::Duration;
use serde::Deserialize;
use simnet::{Chance, Link, Loss, NatConfig};

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
    /// How it ends.
    pub end: Ending,
}

impl Default for Script {
    fn default() -> Self {
        Self { pings: 4, interval_ms: 500, size: 56, rekey: Rekey::Child, idle_seconds: 30, end: Ending::Close }
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
    /// Nothing, and the pings after it are left out too.
    Nothing,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// The left closes, and says so.
    Close,
    /// The wire is cut: each site has to find out by itself, which takes `dpd_idle`.
    Cut,
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
        for side in [Side::Left, Side::Right] {
            let (of, other) = (self.site(side), self.site(side.other()));
            if let Some(clients) = &of.clients
                && clients.first != other.host
            {
                let reason = format!("must be {}.clients.first, {}", side.name(), clients.first);
                return Err(FileError::refused(format!("{}.host", side.other().name()), reason));
            }
            if self.script.end == Ending::Cut && of.dpd_idle.is_none() {
                let reason = "is missing: who never asks does not find out that the wire is cut";
                return Err(FileError::refused(format!("{}.dpd_idle", side.name()), reason));
            }
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

fn percent(field: &str, value: u32) -> Result<(), FileError> {
    within(field, value, 0, 100)
}

fn within(field: &str, value: u32, least: u32, most: u32) -> Result<(), FileError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(FileError::refused(field, format!("{value} is not within {least} to {most}")))
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
