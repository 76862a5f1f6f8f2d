//! Which negotiation stands behind a policy, and which associations stand before it.

use crate::carriers::Carriers;
use crate::header::OuterRules;
use crate::route_template::RouteTemplate;
use crate::udp_tunnel::UdpTunnel;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use ikev1_core::{ConnectionId, TrafficSelector};
use spd::{AddressSelector, InterfaceId, PortSet, ProtocolSelector, Selector, TemplateId, Upper};

/// The one boundary between clear and protected that a gateway guards.
pub(crate) const INTERFACE: InterfaceId = InterfaceId(0);

/// The phase 2 policies of the plan, each with the policy of the database that leads to it.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    routes: Vec<Route>,
    negotiated: BTreeMap<(ConnectionId, ikev1_core::PolicyId), TemplateId>,
}

/// One phase 2 policy, and the pairs of associations that carry its traffic.
#[derive(Debug)]
pub(crate) struct Route {
    /// The phase 2 policy; none if the keys are manual.
    pub(crate) negotiation: Option<(ConnectionId, ikev1_core::PolicyId)>,
    pub(crate) spd: spd::PolicyId,
    pub(crate) name: String,
    /// How the header around what it tunnels is made.
    pub(crate) outer: OuterRules,
    /// How its ESP travels in UDP, if the UDP tunnel is on.
    pub(crate) tunnel: Option<UdpTunnel>,
    /// The template of routes to what its tunnels reach, if such are wanted.
    pub(crate) route_template: Option<RouteTemplate>,
    /// Pairs that may send: one per peer, and one more while it is renewed.
    pub(crate) carriers: Carriers,
}

impl Routes {
    /// Returns the number that the next route will have in the policies.
    pub(crate) fn next(&self) -> TemplateId {
        TemplateId(u32::try_from(self.routes.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn add(
        &mut self,
        negotiation: Option<(ConnectionId, ikev1_core::PolicyId)>,
        spd: spd::PolicyId,
        name: &str,
        outer: OuterRules,
        tunnel: Option<UdpTunnel>,
        route_template: Option<RouteTemplate>,
    ) {
        if let Some(negotiation) = negotiation {
            self.negotiated.insert(negotiation, self.next());
        }
        let carriers = Carriers::default();
        self.routes.push(Route { negotiation, spd, name: name.into(), outer, tunnel, route_template, carriers });
    }

    pub(crate) fn of(&self, template: TemplateId) -> Option<&Route> {
        self.routes.get(usize::try_from(template.0).ok()?)
    }

    /// Returns the number of a phase 2 policy.
    pub(crate) fn template(&self, connection: ConnectionId, policy: ikev1_core::PolicyId) -> Option<TemplateId> {
        self.negotiated.get(&(connection, policy)).copied()
    }

    /// Returns the numbers of one phase 2 policy of a connection, or of all.
    pub(crate) fn templates(&self, connection: ConnectionId, policy: Option<ikev1_core::PolicyId>) -> Vec<TemplateId> {
        let least = policy.unwrap_or(ikev1_core::PolicyId(0));
        let most = policy.unwrap_or(ikev1_core::PolicyId(u32::MAX));
        self.negotiated.range((connection, least)..=(connection, most)).map(|(_, template)| *template).collect()
    }

    pub(crate) fn named(&self, name: &str) -> Option<(ConnectionId, ikev1_core::PolicyId)> {
        self.routes.iter().find(|route| route.name == name)?.negotiation
    }

    /// Returns the pairs that may send under a policy.
    pub(crate) fn carriers_mut(&mut self, template: TemplateId) -> Option<&mut Carriers> {
        self.of_mut(template).map(|route| &mut route.carriers)
    }

    fn of_mut(&mut self, template: TemplateId) -> Option<&mut Route> {
        self.routes.get_mut(usize::try_from(template.0).ok()?)
    }
}

/// Returns the policy selectors of what two traffic selectors name.
pub(crate) fn selector(local: TrafficSelector, remote: TrafficSelector) -> Selector {
    let protocol = if local.protocol() != 0 { local.protocol() } else { remote.protocol() };
    Selector {
        local: addresses(&local).into(),
        remote: addresses(&remote).into(),
        protocol: if protocol == 0 { ProtocolSelector::Any } else { ProtocolSelector::Number(protocol) },
        local_port: port(&local),
        remote_port: port(&remote),
        ..Selector::default()
    }
}

/// Returns whether a traffic selector, as it was negotiated, names one end of a packet.
pub(crate) fn holds(
    selector: &TrafficSelector,
    address: core::net::IpAddr,
    protocol: Option<u8>,
    port: Option<u16>,
) -> bool {
    addresses(selector).matches(address)
        && (selector.protocol() == 0 || protocol == Some(selector.protocol()))
        && (selector.port() == 0 || port == Some(selector.port()))
}

/// Returns the local and remote port that a packet shows.
pub(crate) fn ports(upper: Upper) -> Option<(u16, u16)> {
    match upper {
        Upper::Ports { local, remote } => Some((local, remote)),
        Upper::Message(_) | Upper::Absent | Upper::Hidden => None,
    }
}

fn addresses(selector: &TrafficSelector) -> AddressSelector {
    // Both ends of a traffic selector are of one family and in order: it was checked when it was made.
    match selector.prefix() {
        Some(length) => AddressSelector::prefix(selector.first(), length),
        None => AddressSelector::range(selector.first(), selector.last()),
    }
    .unwrap_or(AddressSelector::address(selector.first()))
}

fn port(selector: &TrafficSelector) -> PortSet {
    if selector.port() == 0 { PortSet::any() } else { PortSet::port(selector.port()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use proptest::prelude::*;
    use spd::PacketKey;

    fn subnet(address: [u8; 4], length: u8) -> TrafficSelector {
        TrafficSelector::subnet(address.into(), length).unwrap()
    }

    #[test]
    fn a_port_that_a_fragment_hides_is_not_held() {
        let dns = subnet([10, 2, 0, 0], 16).with_protocol(17).with_port(53);
        let server = [10, 2, 0, 1].into();
        assert!(holds(&dns, server, Some(17), Some(53)));
        assert!(!holds(&dns, server, Some(17), Some(54)));
        assert!(!holds(&dns, server, Some(17), None));
        assert!(!holds(&dns, server, Some(6), Some(53)));
        assert!(!holds(&dns, server, None, Some(53)));
    }

    proptest! {
        #[test]
        fn policy_and_negotiated_traffic_agree_about_every_packet(
            local: u32, remote: u32, a in 0u8..=32, b in 0u8..=32, protocol in 0u8..3, port in 0u16..3,
            packet_local: u32, packet_remote: u32, packet_protocol in 1u8..3, packet_port in 0u16..3, near: bool,
        ) {
            let (protocol, packet_protocol) = ([0, 6, 17][usize::from(protocol)], [6, 17][usize::from(packet_protocol) - 1]);
            let port = if protocol == 0 { 0 } else { port };
            let local_side = TrafficSelector::subnet(Ipv4Addr::from(local).into(), a).unwrap().with_protocol(protocol);
            let remote_side =
                TrafficSelector::subnet(Ipv4Addr::from(remote).into(), b).unwrap().with_protocol(protocol).with_port(port);
            let key = PacketKey {
                local: Ipv4Addr::from(if near { local } else { packet_local }).into(),
                remote: Ipv4Addr::from(if near { remote ^ (packet_remote & 0xff) } else { packet_remote }).into(),
                protocol: Some(packet_protocol),
                upper: Upper::Ports { local: 9, remote: packet_port },
            };
            let held = holds(&local_side, key.local, key.protocol, Some(9))
                && holds(&remote_side, key.remote, key.protocol, Some(packet_port));
            prop_assert_eq!(selector(local_side, remote_side).matches(&key), held);
        }
    }
}
