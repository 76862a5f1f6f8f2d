//! Policies that come before all others, in a list of their own: the packets of the gateway itself pass in clear.
//!
//! Without them a policy that protects everything would have the exchanges wait for the associations that they are to
//! make. Only packets of the addresses that connections fix are let pass: those of machines behind this one are not the
//! gateway's own, whatever their ports.

use crate::config::{self, ConfigError};
use crate::demux::Ports;
use crate::pump::Gateway;
use crate::route::ports;
use alloc::collections::BTreeSet;
use alloc::format;
use core::net::IpAddr;
use drive::Path;
use spd::{
    AddressSelector, Arrival, Database, Decision, Direction, InterfaceId, PacketKey, PortSet, ProtocolSelector,
    Selector, WhenEmpty,
};

/// The list of the built-in policies.
pub(crate) const BUILT_IN: InterfaceId = InterfaceId(1);

/// Adds the policies for the packets of the exchanges, of NAT traversal and of the UDP tunnel.
pub(crate) fn add(policies: &mut Database, plan: &ikev1_core::Plan, tunnel: Option<u16>) -> Result<(), ConfigError> {
    config::add_interface(policies, BUILT_IN, WhenEmpty::Discard)?;
    let locals: BTreeSet<IpAddr> = plan.connections().filter_map(|(_, connection)| connection.local()).collect();
    let ports = [("ike", Some(plan.ike_port())), ("nat-t", Some(plan.nat_t_port())), ("udp-tunnel", tunnel)];
    for (number, local) in (1..).zip(locals) {
        for (name, port) in ports.iter().filter_map(|(name, port)| Some((name, (*port)?))) {
            let selector = Selector {
                local: AddressSelector::address(local).into(),
                protocol: ProtocolSelector::Number(Path::UDP),
                local_port: PortSet::port(port),
                ..Selector::default()
            };
            config::add(policies, BUILT_IN, &format!("{name} {number}"), selector, spd::Action::Bypass, false)?;
        }
    }
    Ok(())
}

impl Ports {
    /// Returns whether packets of the gateway itself come from and go to a port.
    const fn has(self, port: u16) -> bool {
        let is_tunnel = matches!(self.tunnel, Some(tunnel) if tunnel == port);
        port == self.ike || port == self.nat_t || is_tunnel
    }
}

impl Gateway {
    /// Returns which built-in policy lets a packet pass, if one does; counts nothing.
    pub(crate) fn built_in(&self, direction: Direction, key: &PacketKey) -> Option<Decision> {
        // So that other packets cost no look-up.
        let (local, _) = ports(key.upper)?;
        if key.protocol != Some(Path::UDP) || !self.ports.has(local) {
            return None;
        }
        let decision = self.policies.decide(BUILT_IN, direction, key);
        matches!(decision, Decision::Bypass { .. }).then_some(decision)
    }

    /// Returns whether a built-in policy lets a packet pass, and counts it for that policy.
    pub(crate) fn passes_built_in(&mut self, direction: Direction, key: &PacketKey) -> bool {
        let passes = self.built_in(direction, key).is_some();
        if passes {
            // The answer is known; this counts.
            match direction {
                Direction::Outbound => drop(self.policies.outbound(BUILT_IN, key)),
                Direction::Inbound => drop(self.policies.inbound(BUILT_IN, key, Arrival::Clear)),
            }
        }
        passes
    }
}
