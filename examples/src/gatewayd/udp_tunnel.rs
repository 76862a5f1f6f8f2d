//! ESP in UDP on port 2746: `udp_tunnel` in the file.

use nat_t::udp_tunnel::DEFAULT_PORT;
use serde::Deserialize;

/// How the ESP of a child travels in UDP, as routers did it before NAT traversal; the peer must say the same.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpTunnel {
    /// The port at the peer.
    #[serde(default = "port")]
    pub remote_port: u16,
    /// Whether a heartbeat goes there every 30 seconds.
    #[serde(default)]
    pub heartbeat: bool,
}

impl UdpTunnel {
    /// Returns what the engine is given.
    pub const fn plan(&self) -> gateway::UdpTunnel {
        gateway::UdpTunnel { remote_port: self.remote_port, heartbeat: self.heartbeat }
    }
}

/// Returns the usual port, of both ends.
pub(super) fn port() -> u16 {
    DEFAULT_PORT
}
