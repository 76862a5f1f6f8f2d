use crate::acquire::Limits;
use crate::manual::ManualPlan;
use crate::route::Routes;
use crate::udp_tunnel::TunnelPlan;
use alloc::sync::Arc;
use alloc::vec::Vec;
use esp_ah::Provider;
use ikev1_core::{ConnectionId, PolicyId};
use sad::WindowSize;
use spd::Database;

/// The settings of a gateway, checked once: made by [`Config::build`](crate::Config::build).
#[derive(Debug)]
pub struct Plan {
    pub(crate) ike: ikev1_core::Plan,
    pub(crate) policies: Database,
    pub(crate) routes: Routes,
    pub(crate) waiting: Limits,
    pub(crate) replay_window: WindowSize,
    pub(crate) path_mtu: Option<usize>,
    pub(crate) take_over: bool,
    pub(crate) manual: Vec<ManualPlan>,
    pub(crate) tunnel: TunnelPlan,
    pub(crate) provider: Arc<dyn Provider>,
}

impl Plan {
    /// Returns the plan of the exchanges.
    pub fn ike(&self) -> &ikev1_core::Plan {
        &self.ike
    }

    /// Returns the policies in their order, on interface 0; on interface 1 the built-in ones, which come before.
    pub fn policies(&self) -> &Database {
        &self.policies
    }

    /// Returns the port on this side that the UDP tunnel needs, if a policy has it on.
    pub fn udp_tunnel_port(&self) -> Option<u16> {
        self.tunnel.open.then_some(self.tunnel.port)
    }

    /// Returns the connection and its phase 2 policy of that name.
    pub fn child_named(&self, name: &str) -> Option<(ConnectionId, PolicyId)> {
        self.routes.named(name)
    }
}
