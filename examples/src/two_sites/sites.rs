//! From the scenario to the plan of each gateway and to the network between them.

use super::scenario::{NatSettings, Scenario, Side};
use super::site::{Clients, Phase1};
use crate::gatewayd::clients::{ModeConfig, Pool, Xauth};
use crate::gatewayd::cryptography::Cryptography;
use crate::gatewayd::file::{self, Child, Connection, Daemon, File, FileError, LogLevel, Start, Tun};
use crate::gatewayd::negotiation::Negotiation;
use crate::gatewayd::outer::Outer;
use crate::gatewayd::trust::Trust;
use crate::gatewayd::words::{Identity, Prefix, Remote, SecretText};
use core::net::{IpAddr, Ipv4Addr};
use drive::SecretBytes;
use gateway::Plan;
use ikev1_core::Users;
use simnet::{NodeId, Realm, World};
use std::collections::BTreeMap;

/// What a client's own policy covers before it has its address.
const EVERYTHING: Prefix = Prefix { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 0 };

/// What the one pair of networks is called, in the log and the tables.
pub const CHILD: &str = "lans";

/// What the range of addresses for clients is called.
const POOL: &str = "clients";

/// Returns the plan of the gateway on a side, that of a `gatewayd` with this configuration, and whose certificates it
/// trusts.
///
/// # Errors
/// What the engine refuses, with the site it concerns.
pub fn plan(scenario: &Scenario, side: Side, log_keys: bool) -> Result<(Plan, Trust), FileError> {
    let local = IpAddr::from(scenario.own_address(side));
    let file = File {
        daemon: Daemon {
            path_mtu: None,
            newest_takes_over: false,
            listen: vec![local],
            ike_port: 500,
            nat_t_port: 4500,
            udp_tunnel_port: 2746,
            replay_window: 64,
            half_open: None,
            raw_esp: true,
            raw_ah: false,
            no_ike: false,
            cryptography: Cryptography::default(),
            control: None,
            log: LogLevel::Trace,
            dangerously_keylog_dir: log_keys.then(Default::default),
        },
        tun: Tun { name: "lan".to_owned(), address: None, mtu: 1400 },
        policy: Vec::new(),
        pool: scenario.site(side).clients.iter().map(pool).collect(),
        manual: Vec::new(),
        connection: vec![connection(scenario, side)],
        debug: BTreeMap::new(),
    };
    let plan = file.plan().map_err(|error| refusal(side, &error.to_string()))?;
    Ok((plan, Trust::of(&file)?))
}

/// Returns the users whom a site asks.
pub fn users(scenario: &Scenario, side: Side) -> Users {
    let mut users = Users::new();
    for (name, password) in &scenario.site(side).users {
        users.insert(name.as_str().into(), SecretBytes::copied(password.0.expose()));
    }
    users
}

/// Returns a refusal of the engine under the name that the field has in the scenario.
fn refusal(side: Side, text: &str) -> FileError {
    let of_connection = text.strip_prefix(&format!("{}.", connection_name(side))).unwrap_or(text);
    for (engine, ours) in [
        ("phase1: ", "ike"),
        ("lifetime: ", "ike_lifetime"),
        ("pre_shared_key: ", "psk"),
        ("lans.suites: ", "esp"),
        ("lans.pfs: ", "esp"),
        ("lans.lifetime: ", "esp_lifetime"),
    ] {
        if let Some(reason) = of_connection.strip_prefix(engine) {
            return FileError::refused(format!("{}.{ours}", side.name()), reason);
        }
    }
    FileError::refused(side.name(), text)
}

fn pool(clients: &Clients) -> Pool {
    Pool { name: POOL.to_owned(), first: clients.first.into(), last: clients.last.into() }
}

/// What the two sites make of mode-config: the one lends, the other takes.
fn mode_config(ours: Option<&Clients>, theirs: Option<&Clients>) -> Option<(ModeConfig, file::Side)> {
    let empty = |push| ModeConfig {
        pool: None,
        push,
        dns: Vec::new(),
        nbns: Vec::new(),
        split_include: Vec::new(),
        banner: None,
        default_domain: None,
    };
    match (ours, theirs) {
        (Some(ours), _) => {
            let lent = ModeConfig {
                pool: Some(POOL.to_owned()),
                dns: ours.dns.clone(),
                split_include: ours.split_include.clone(),
                banner: ours.banner.clone(),
                default_domain: ours.default_domain.clone(),
                ..empty(ours.push)
            };
            Some((lent, file::Side::Remote))
        }
        (None, Some(theirs)) => Some((empty(theirs.push), file::Side::Local)),
        (None, None) => None,
    }
}

fn connection_name(side: Side) -> String {
    format!("to-{}", side.other().name())
}

fn connection(scenario: &Scenario, side: Side) -> Connection {
    let (site, far) = (scenario.site(side), scenario.site(side.other()));
    let remote = far_address(scenario, side);
    // An address behind a NAT proves nothing to the other end, so both give names there.
    let hidden =
        |side: Side| scenario.active_nat().map(|_| Identity::Fqdn(format!("{}.two-sites.example", side.name())));
    let name = |side: Side| scenario.site(side).id.clone().or_else(|| hidden(side));
    let secret = |text: &SecretText| SecretText(SecretBytes::copied(text.0.expose()));
    let xauth = (site.user.is_some() || !site.users.is_empty()).then(|| Xauth {
        users_file: None,
        attempts: None,
        user: site.user.clone(),
        password: site.password.as_ref().map(secret),
        password_file: None,
    });
    let (mode_config, client) = mode_config(site.clients.as_ref(), far.clients.as_ref()).unzip();
    Connection {
        name: connection_name(side),
        local: scenario.own_address(side).into(),
        remote: Remote::Address(remote.into()),
        local_id: name(side),
        remote_id: name(side.other()),
        psk: site.psk.as_ref().map(secret),
        psk_file: None,
        key_file: site.key_file.clone(),
        cert_file: site.cert_file.clone(),
        ca_file: site.ca_file.clone(),
        remote_key_file: None,
        hybrid: site.hybrid,
        fragmentation: site.fragmentation,
        fragment_size: site.fragment_size,
        start: Start::Traffic,
        ike: Some(site.ike.clone()),
        ike_lifetime: site.ike_lifetime,
        renew_percent: None,
        retransmit: None,
        retries: None,
        nat_keepalive: None,
        force_udp: false,
        negotiation: Negotiation::default(),
        dpd_idle: site.dpd_idle,
        dangerously_allow_weak: site.dangerously_allow_weak,
        dangerously_aggressive: site.exchange == Phase1::Aggressive,
        dangerously_base: site.exchange == Phase1::Base,
        xauth,
        mode_config,
        child: vec![Child {
            outer: Outer::default(),
            udp_tunnel: None,
            route_template: None,
            name: CHILD.to_owned(),
            // What a client may reach, and who it is, the other site says.
            local: if far.clients.is_some() { EVERYTHING } else { site.lan },
            remote: far.lan,
            esp: site.esp.clone(),
            mode: site.mode,
            suites: site.suites.clone(),
            pfs: site.pfs,
            lifetime: site.esp_lifetime,
            client,
        }],
    }
}

/// Returns the address at which a side finds the other: the NAT's, if one hides it.
fn far_address(scenario: &Scenario, side: Side) -> Ipv4Addr {
    match scenario.active_nat() {
        Some(nat) if nat.site == side.other() => nat.outside,
        Some(_) | None => scenario.site(side.other()).address,
    }
}

/// The network of a scenario, with a node for each gateway.
pub struct Network {
    /// The network.
    pub world: World,
    /// The gateway on the left.
    pub left: NodeId,
    /// The gateway on the right.
    pub right: NodeId,
}

impl Network {
    /// Returns the network of a scenario.
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let mut world = World::new(seed);
        world.set_links(scenario.link.link());
        let gate = scenario.active_nat().map(|nat| (nat.site, world.add_nat(nat.config())));
        let mut add = |side: Side| {
            let realm = match gate {
                Some((hidden, nat)) if hidden == side => Realm::Behind(nat),
                Some(_) | None => Realm::Internet,
            };
            world.add_node_in(realm, side.name(), scenario.own_address(side))
        };
        let (left, right) = (add(Side::Left), add(Side::Right));
        Self { world, left, right }
    }

    /// Returns the node of a side.
    pub const fn node(&self, side: Side) -> NodeId {
        match side {
            Side::Left => self.left,
            Side::Right => self.right,
        }
    }
}

/// Returns the picture of a scenario, a line each.
pub fn picture(scenario: &Scenario) -> Vec<String> {
    let mut lines = Vec::new();
    for side in [Side::Left, Side::Right] {
        let site = scenario.site(side);
        let gate = match scenario.active_nat() {
            Some(NatSettings { site: hidden, inside, outside, .. }) if *hidden == side => {
                format!("{inside}, behind a NAT at {outside}")
            }
            Some(_) | None => site.address.to_string(),
        };
        lines.push(format!("{:<6} gateway {gate}; LAN {} with host {}", side.name(), site.lan, site.host));
    }
    let link = &scenario.link;
    lines.push(format!(
        "link   {} ms + up to {} ms, {} % lost, {} % twice, {} % held back, MTU {}",
        link.latency_ms, link.jitter_ms, link.loss_percent, link.duplicate_percent, link.reorder_percent, link.mtu
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::super::scenario::BUILT_IN;
    use super::*;

    #[test]
    fn what_the_engine_refuses_is_named_as_in_the_scenario() {
        for (from, to, field) in [
            ("aes256-sha512-modp3072", "des-sha1-modp2048", "left.ike: "),
            ("aes256-sha512-modp2048", "aes128-md5-modp2048", "left.esp: "),
            ("ike_lifetime = \"8h\"", "ike_lifetime = \"1s\"", "left.ike_lifetime: "),
            ("esp_lifetime = \"1h\"", "esp_lifetime = \"1s\"", "left.esp_lifetime: "),
        ] {
            assert!(BUILT_IN.contains(from), "the built-in scenario no longer contains {from}");
            let scenario = Scenario::parse(&BUILT_IN.replacen(from, to, 1)).unwrap();
            let error = plan(&scenario, Side::Left, false).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
            assert!(plan(&scenario, Side::Right, false).is_ok());
        }
    }
}
