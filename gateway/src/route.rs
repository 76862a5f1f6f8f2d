//! Which negotiation stands behind a policy, and which associations stand before it.

use alloc::string::String;
use alloc::vec::Vec;
use ikev1_core::{ChildId, ConnectionId, TrafficSelector};
use spd::{AddressSelector, InterfaceId, PacketKey, PortSet, ProtocolSelector, Selector, TemplateId, Upper};

/// The one boundary between clear and protected that a gateway guards.
pub(crate) const INTERFACE: InterfaceId = InterfaceId(0);

/// The phase 2 policies of the plan, each with the policy of the database that leads to it.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    routes: Vec<Route>,
}

/// One phase 2 policy, and the pairs of associations that carry its traffic.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) connection: ConnectionId,
    pub(crate) policy: ikev1_core::PolicyId,
    pub(crate) spd: spd::PolicyId,
    pub(crate) name: String,
    /// Pairs that may send, newest first. A few at most: one per peer, and one more while it is renewed.
    carriers: Vec<Carrier>,
}

/// A pair of associations that may send what its selectors name.
#[derive(Clone, Copy, Debug)]
struct Carrier {
    child: ChildId,
    local: TrafficSelector,
    remote: TrafficSelector,
}

impl Routes {
    /// Returns the number that the next route will have in the policies.
    pub(crate) fn next(&self) -> TemplateId {
        TemplateId(u32::try_from(self.routes.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn add(
        &mut self,
        connection: ConnectionId,
        policy: ikev1_core::PolicyId,
        spd: spd::PolicyId,
        name: &str,
    ) {
        self.routes.push(Route { connection, policy, spd, name: name.into(), carriers: Vec::new() });
    }

    pub(crate) fn of(&self, template: TemplateId) -> Option<&Route> {
        self.routes.get(usize::try_from(template.0).ok()?)
    }

    /// Returns the number of a phase 2 policy.
    pub(crate) fn template(&self, connection: ConnectionId, policy: ikev1_core::PolicyId) -> Option<TemplateId> {
        let index = self.routes.iter().position(|route| route.connection == connection && route.policy == policy)?;
        u32::try_from(index).ok().map(TemplateId)
    }

    pub(crate) fn named(&self, name: &str) -> Option<(ConnectionId, ikev1_core::PolicyId)> {
        self.routes.iter().find(|route| route.name == name).map(|route| (route.connection, route.policy))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TemplateId, &Route)> {
        (0..).map(TemplateId).zip(&self.routes)
    }

    /// Puts a pair in front: it is the newest that may send.
    pub(crate) fn attach(
        &mut self,
        template: TemplateId,
        child: ChildId,
        local: TrafficSelector,
        remote: TrafficSelector,
    ) {
        let route = usize::try_from(template.0).ok().and_then(|index| self.routes.get_mut(index));
        if let Some(route) = route {
            route.carriers.retain(|carrier| carrier.child != child);
            route.carriers.insert(0, Carrier { child, local, remote });
        }
    }

    /// Takes a pair away: it may not send any more.
    pub(crate) fn detach(&mut self, template: TemplateId, child: ChildId) {
        let route = usize::try_from(template.0).ok().and_then(|index| self.routes.get_mut(index));
        if let Some(route) = route {
            route.carriers.retain(|carrier| carrier.child != child);
        }
    }
}

impl Route {
    /// Returns the newest pair whose selectors name the packet.
    pub(crate) fn carrier(&self, key: &PacketKey) -> Option<ChildId> {
        self.carriers
            .iter()
            .find(|carrier| {
                holds(&carrier.local, key.local, key.protocol, ports(key.upper).map(|(local, _)| local))
                    && holds(&carrier.remote, key.remote, key.protocol, ports(key.upper).map(|(_, remote)| remote))
            })
            .map(|carrier| carrier.child)
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
