//! Which negotiation stands behind a policy, and which associations stand before it.

use crate::header::OuterRules;
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
    /// The phase 2 policy; none if the keys are manual.
    pub(crate) negotiation: Option<(ConnectionId, ikev1_core::PolicyId)>,
    pub(crate) spd: spd::PolicyId,
    pub(crate) name: String,
    /// How the header around what it tunnels is made.
    pub(crate) outer: OuterRules,
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
        negotiation: Option<(ConnectionId, ikev1_core::PolicyId)>,
        spd: spd::PolicyId,
        name: &str,
        outer: OuterRules,
    ) {
        self.routes.push(Route { negotiation, spd, name: name.into(), outer, carriers: Vec::new() });
    }

    pub(crate) fn of(&self, template: TemplateId) -> Option<&Route> {
        self.routes.get(usize::try_from(template.0).ok()?)
    }

    /// Returns the number of a phase 2 policy.
    pub(crate) fn template(&self, connection: ConnectionId, policy: ikev1_core::PolicyId) -> Option<TemplateId> {
        let index = self.routes.iter().position(|route| route.negotiation == Some((connection, policy)))?;
        u32::try_from(index).ok().map(TemplateId)
    }

    /// Returns the numbers of one phase 2 policy of a connection, or of all.
    pub(crate) fn templates(&self, connection: ConnectionId, policy: Option<ikev1_core::PolicyId>) -> Vec<TemplateId> {
        self.iter()
            .filter(|(_, route)| {
                route.negotiation.is_some_and(|(of, known)| of == connection && policy.is_none_or(|one| one == known))
            })
            .map(|(template, _)| template)
            .collect()
    }

    pub(crate) fn named(&self, name: &str) -> Option<(ConnectionId, ikev1_core::PolicyId)> {
        self.routes.iter().find(|route| route.name == name)?.negotiation
    }

    fn iter(&self) -> impl Iterator<Item = (TemplateId, &Route)> {
        (0..).map(TemplateId).zip(&self.routes)
    }

    /// Adds a pair that may send: in front of all others, or behind the one it replaces.
    pub(crate) fn attach(
        &mut self,
        template: TemplateId,
        child: ChildId,
        local: TrafficSelector,
        remote: TrafficSelector,
        behind: Option<ChildId>,
    ) {
        let Some(route) = self.of_mut(template) else { return };
        route.carriers.retain(|carrier| carrier.child != child);
        let replaced = behind.and_then(|old| route.carriers.iter().position(|carrier| carrier.child == old));
        let place = replaced.map_or(0, |index| index.saturating_add(1));
        route.carriers.insert(place, Carrier { child, local, remote });
    }

    /// Puts a pair in front of all others.
    pub(crate) fn promote(&mut self, template: TemplateId, child: ChildId) {
        let Some(route) = self.of_mut(template) else { return };
        let Some(index) = route.carriers.iter().position(|carrier| carrier.child == child) else { return };
        let carrier = route.carriers.remove(index);
        route.carriers.insert(0, carrier);
    }

    /// Takes a pair away: it may not send any more.
    pub(crate) fn detach(&mut self, template: TemplateId, child: ChildId) {
        if let Some(route) = self.of_mut(template) {
            route.carriers.retain(|carrier| carrier.child != child);
        }
    }

    fn of_mut(&mut self, template: TemplateId) -> Option<&mut Route> {
        self.routes.get_mut(usize::try_from(template.0).ok()?)
    }
}

impl Route {
    /// Returns the pairs that may send and whose selectors name a packet that these name too, newest first.
    pub(crate) fn overlapping(&self, local: TrafficSelector, remote: TrafficSelector) -> impl Iterator<Item = ChildId> {
        let both = move |carrier: &&Carrier| overlap(&carrier.local, &local) && overlap(&carrier.remote, &remote);
        self.carriers.iter().filter(both).map(|carrier| carrier.child)
    }

    /// Returns the pairs that may send, newest first.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = ChildId> {
        self.carriers.iter().map(|carrier| carrier.child)
    }

    /// Returns the pairs whose selectors name the packet, newest first.
    pub(crate) fn carriers(&self, key: &PacketKey) -> impl Iterator<Item = ChildId> {
        self.carriers
            .iter()
            .filter(|carrier| {
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

/// Returns whether a packet may be of both.
fn overlap(one: &TrafficSelector, other: &TrafficSelector) -> bool {
    let either = |one: u16, other: u16| one == 0 || other == 0 || one == other;
    one.first().is_ipv4() == other.first().is_ipv4()
        && one.first() <= other.last()
        && other.first() <= one.last()
        && either(one.protocol().into(), other.protocol().into())
        && either(one.port(), other.port())
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

    fn subnet(address: [u8; 4], length: u8) -> TrafficSelector {
        TrafficSelector::subnet(address.into(), length).unwrap()
    }

    fn key(local: [u8; 4], remote: [u8; 4]) -> PacketKey {
        PacketKey {
            local: local.into(),
            remote: remote.into(),
            protocol: Some(17),
            upper: Upper::Ports { local: 1_000, remote: 53 },
        }
    }

    fn routes() -> Routes {
        let mut database = spd::Database::new();
        database.add_interface(INTERFACE, spd::WhenEmpty::Discard).unwrap();
        let policy = spd::Policy::new("net", Selector::default(), spd::Action::Protect(TemplateId(0))).unwrap();
        let id = database.insert(INTERFACE, spd::Position::Last, policy).unwrap();
        let mut routes = Routes::default();
        routes.add(Some((ConnectionId(0), ikev1_core::PolicyId(0))), id, "net", OuterRules::default());
        routes
    }

    #[test]
    fn the_newest_pair_whose_traffic_holds_the_packet_carries_it() {
        let mut routes = routes();
        let template = TemplateId(0);
        let local = subnet([10, 1, 0, 0], 16);
        routes.attach(template, ChildId(1), local, subnet([10, 2, 0, 0], 16), None);
        routes.attach(template, ChildId(2), local, subnet([10, 2, 7, 0], 24), None);
        let carrier =
            |routes: &Routes, remote| routes.of(template).unwrap().carriers(&key([10, 1, 0, 1], remote)).next();
        assert_eq!(carrier(&routes, [10, 2, 7, 1]), Some(ChildId(2)));
        assert_eq!(carrier(&routes, [10, 2, 8, 1]), Some(ChildId(1)));
        assert_eq!(carrier(&routes, [10, 3, 0, 1]), None);
        routes.detach(template, ChildId(2));
        assert_eq!(carrier(&routes, [10, 2, 7, 1]), Some(ChildId(1)));
        routes.attach(template, ChildId(1), local, subnet([10, 2, 0, 0], 16), None);
        routes.detach(template, ChildId(1));
        assert_eq!(carrier(&routes, [10, 2, 7, 1]), None);
    }

    #[test]
    fn a_renewed_pair_waits_behind_the_one_it_replaces_until_promoted() {
        let mut routes = routes();
        let template = TemplateId(0);
        let (local, remote) = (subnet([10, 1, 0, 0], 16), subnet([10, 2, 0, 0], 16));
        routes.attach(template, ChildId(1), local, remote, None);
        routes.attach(template, ChildId(2), local, remote, Some(ChildId(1)));
        let carrier =
            |routes: &Routes| routes.of(template).unwrap().carriers(&key([10, 1, 0, 1], [10, 2, 0, 1])).next();
        assert_eq!(carrier(&routes), Some(ChildId(1)));
        routes.promote(template, ChildId(2));
        assert_eq!(carrier(&routes), Some(ChildId(2)));
        routes.attach(template, ChildId(3), local, remote, Some(ChildId(9)));
        assert_eq!(carrier(&routes), Some(ChildId(3)), "the one it replaces is gone already");
        routes.detach(template, ChildId(3));
        routes.detach(template, ChildId(2));
        assert_eq!(carrier(&routes), Some(ChildId(1)));
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

    #[test]
    fn selectors_overlap_if_one_packet_may_be_of_both() {
        let net = |third: u8, length: u8| subnet([10, 0, third, 0], length);
        let six = TrafficSelector::host([0_u16; 8].into());
        assert!(overlap(&net(0, 16), &net(7, 24)) && overlap(&net(7, 24), &net(0, 16)));
        assert!(!overlap(&net(6, 24), &net(7, 24)) && !overlap(&net(0, 8), &six));
        let udp = net(7, 24).with_protocol(17);
        assert!(overlap(&udp, &net(7, 24)) && !overlap(&udp, &net(7, 24).with_protocol(6)));
        assert!(overlap(&udp.with_port(53), &udp) && !overlap(&udp.with_port(53), &udp.with_port(54)));
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
