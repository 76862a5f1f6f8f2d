//! What protects L2TPv3 by IPsec: transport mode between the two ends' own addresses.

use core::net::IpAddr;
use drive::Path;
use ikev1_core::proposal::{Mode, Protection};
use ikev1_core::{PolicyConfig, TrafficSelector};

/// The IPsec SAs that carry what travels on one path.
///
/// Over IP that is protocol 115 between the two addresses; over UDP the one pair of ports.
pub fn policy(name: &str, path: Path, suites: Option<Vec<Protection>>) -> PolicyConfig {
    let selector =
        |address: IpAddr, port: u16| TrafficSelector::host(address).with_protocol(path.protocol).with_port(port);
    let policy = PolicyConfig::new(name)
        .mode(Mode::Transport)
        .local(selector(path.local.ip(), path.local.port()))
        .remote(selector(path.remote.ip(), path.remote.port()));
    match suites {
        Some(suites) => policy.suites(suites),
        None => policy,
    }
}
