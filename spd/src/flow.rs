use crate::{Action, AddressSet, Policy, ProtocolSelector, Selector, Shape};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A policy as routers of the IOS and PIX kinds write it: `permit ip 10.1.0.0/255.255.0.0 host 10.2.0.1`.
///
/// Lists print each of their first members only, as such routers have no lists: [`Selector`] itself prints them all.
/// Protection is `permit`, as in the access list of a crypto map; bypass and discard are `deny`.
#[derive(Clone, Copy, Debug)]
pub struct Flow<'a>(pub &'a Policy);

impl fmt::Display for Flow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let selector = self.0.selector();
        let verb = if matches!(self.0.action(), Action::Protect(_)) { "permit" } else { "deny" };
        match protocol(selector) {
            0 => write!(f, "{verb} ip")?,
            number => write!(f, "{verb} {number}")?,
        }
        for (addresses, ports) in [(&selector.local, &selector.local_port), (&selector.remote, &selector.remote_port)] {
            match first(addresses) {
                Shape::Any => f.write_str(" any")?,
                Shape::Prefix { network, length } if length == width(network) => write!(f, " host {network}")?,
                Shape::Prefix { network, length } => write!(f, " {network}/{}", mask(network, length))?,
                Shape::Range { first, last } => write!(f, " range {first} {last}")?,
                Shape::Wildcard { value, mask } => write!(f, " {value}/{mask}")?,
            }
            match ports.as_ranges() {
                [(first, last), ..] if ports.is_specific() && first == last => write!(f, " eq {first}")?,
                [(first, last), ..] if ports.is_specific() => write!(f, " range {first} {last}")?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// The traffic of a policy as such routers show it of an association, the near side and the far side each as
/// `(address/mask/protocol/port)`; 0 where all is meant.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    selector: &'a Selector,
    is_remote: bool,
}

impl<'a> Identity<'a> {
    /// Returns the near side of a selector.
    pub const fn local(selector: &'a Selector) -> Self {
        Self { selector, is_remote: false }
    }

    /// Returns the far side of a selector.
    pub const fn remote(selector: &'a Selector) -> Self {
        Self { selector, is_remote: true }
    }
}

impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Selector { local, remote, local_port, remote_port, .. } = self.selector;
        let (addresses, ports) = if self.is_remote { (remote, remote_port) } else { (local, local_port) };
        match first(addresses) {
            Shape::Any => f.write_str("(0.0.0.0/0.0.0.0")?,
            Shape::Prefix { network, length } => write!(f, "({network}/{}", mask(network, length))?,
            Shape::Range { first, last } => write!(f, "({first}-{last}")?,
            Shape::Wildcard { value, mask } => write!(f, "({value}/{mask}")?,
        }
        let port = ports.as_ranges().first().filter(|_| ports.is_specific()).map_or(0, |(first, _)| *first);
        write!(f, "/{}/{port})", protocol(self.selector))
    }
}

/// The number of the protocol, 0 for any.
const fn protocol(selector: &Selector) -> u8 {
    match selector.protocol {
        ProtocolSelector::Number(number) => number,
        ProtocolSelector::Any | ProtocolSelector::Opaque => 0,
    }
}

fn first(addresses: &AddressSet) -> Shape {
    addresses.selectors().first().map_or(Shape::Any, |selector| selector.shape())
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The mask of a prefix, in the form of the address.
fn mask(address: IpAddr, length: u8) -> IpAddr {
    let (length, v4) = (u32::from(length), address.is_ipv4());
    if v4 {
        Ipv4Addr::from_bits(u32::MAX.checked_shl(32_u32.saturating_sub(length)).unwrap_or(0)).into()
    } else {
        Ipv6Addr::from_bits(u128::MAX.checked_shl(128_u32.saturating_sub(length)).unwrap_or(0)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PortSet, TemplateId};
    use alloc::string::ToString;

    fn policy(local: &str, remote: &str, protocol: ProtocolSelector, remote_port: PortSet) -> Policy {
        let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
        let selector = Selector { local, remote, protocol, remote_port, ..Selector::default() };
        Policy::new("flow", selector, Action::Protect(TemplateId(1))).unwrap()
    }

    #[test]
    fn a_flow_is_written_as_ios_routers_do() {
        let any = PortSet::any;
        let gre = policy("192.0.2.1", "192.0.2.2", ProtocolSelector::Number(47), any());
        assert_eq!(Flow(&gre).to_string(), "permit 47 host 192.0.2.1 host 192.0.2.2");
        let sites = policy("10.1.0.0/16", "10.2.0.0/24", ProtocolSelector::Any, any());
        assert_eq!(Flow(&sites).to_string(), "permit ip 10.1.0.0/255.255.0.0 10.2.0.0/255.255.255.0");
        let web = policy("any", "10.2.0.0-10.2.0.9", ProtocolSelector::Number(6), PortSet::port(80));
        assert_eq!(Flow(&web).to_string(), "permit 6 any range 10.2.0.0 10.2.0.9 eq 80");
        let clear = Policy::new("clear", Selector::default(), Action::Bypass).unwrap();
        assert_eq!(Flow(&clear).to_string(), "deny ip any any");
    }

    #[test]
    fn an_identity_is_written_as_pix_routers_do() {
        let web = policy("10.1.0.0/16", "10.2.0.1", ProtocolSelector::Number(6), PortSet::port(80));
        assert_eq!(Identity::local(web.selector()).to_string(), "(10.1.0.0/255.255.0.0/6/0)");
        assert_eq!(Identity::remote(web.selector()).to_string(), "(10.2.0.1/255.255.255.255/6/80)");
        let six = policy("2001:db8::/32", "any", ProtocolSelector::Any, PortSet::any());
        assert_eq!(Identity::local(six.selector()).to_string(), "(2001:db8::/ffff:ffff::/0/0)");
        assert_eq!(Identity::remote(six.selector()).to_string(), "(0.0.0.0/0.0.0.0/0/0)");
    }
}
