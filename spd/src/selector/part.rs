//! The selectors of a policy one by one, in the order in which a packet is held against them.

use super::Refusal;

/// One selector of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SelectorPart {
    /// The address on this side.
    LocalAddress,
    /// The address on the far side.
    RemoteAddress,
    /// The protocol above IP.
    Protocol,
    /// The port on this side.
    LocalPort,
    /// The port on the far side.
    RemotePort,
    /// The ICMP type and code, or the four messages of neighbour discovery.
    Message,
    /// The identity of this side; no packet shows it.
    LocalName,
    /// The identity of the far side; no packet shows it.
    RemoteName,
}

impl SelectorPart {
    /// Those that packets are held against, in this order: what stands before the one that refuses was satisfied.
    pub const ASKED: [Self; 6] =
        [Self::LocalAddress, Self::RemoteAddress, Self::Protocol, Self::LocalPort, Self::RemotePort, Self::Message];
}

impl Refusal {
    /// Returns the selector that refused; none where the policy is for the other direction.
    pub const fn part(self) -> Option<SelectorPart> {
        Some(match self {
            Self::LocalAddressMask | Self::LocalAddressRange => SelectorPart::LocalAddress,
            Self::RemoteAddressMask | Self::RemoteAddressRange => SelectorPart::RemoteAddress,
            Self::Protocol => SelectorPart::Protocol,
            Self::LocalPort => SelectorPart::LocalPort,
            Self::RemotePort => SelectorPart::RemotePort,
            Self::Message | Self::NeighbourDiscovery => SelectorPart::Message,
            Self::LocalName => SelectorPart::LocalName,
            Self::RemoteName => SelectorPart::RemoteName,
            Self::Direction => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddressSelector, MessageSelector, PacketKey, PortSet, ProtocolSelector, Selector, Upper};
    use proptest::prelude::*;

    /// Returns the selector with nothing asked from `part` on.
    fn before(selector: &Selector, part: SelectorPart) -> Selector {
        let any = Selector::default();
        let keeps = |one: SelectorPart| one < part;
        let pick = |one| if keeps(one) { selector.clone() } else { any.clone() };
        Selector {
            local: pick(SelectorPart::LocalAddress).local,
            remote: pick(SelectorPart::RemoteAddress).remote,
            protocol: pick(SelectorPart::Protocol).protocol,
            local_port: pick(SelectorPart::LocalPort).local_port,
            remote_port: pick(SelectorPart::RemotePort).remote_port,
            message: pick(SelectorPart::Message).message,
            ..any.clone()
        }
    }

    proptest! {
        #[test]
        fn what_stands_before_the_selector_that_refuses_was_satisfied(
            local in 0u8..2, remote in 0u8..2, protocol in 0u8..3, local_port in 0u16..3, remote_port in 0u16..3,
            message: bool, hidden: bool, upper_local in 1u16..3, upper_remote in 1u16..3, packet_protocol in 0u8..2,
        ) {
            let address = |last: u8| AddressSelector::address([10, 0, 0, last].into()).into();
            let port = |port: u16| if port == 0 { PortSet::any() } else { PortSet::port(port) };
            let selector = Selector {
                local: address(local),
                remote: address(remote),
                protocol: [ProtocolSelector::Any, ProtocolSelector::Number(6), ProtocolSelector::Number(17)]
                    [usize::from(protocol)],
                local_port: port(local_port),
                remote_port: port(remote_port),
                message: if message { MessageSelector::message(8, 0) } else { MessageSelector::Any },
                ..Selector::default()
            };
            let key = PacketKey {
                local: [10, 0, 0, 1].into(),
                remote: [10, 0, 0, 1].into(),
                protocol: Some([6, 17][usize::from(packet_protocol)]),
                upper: if hidden { Upper::Hidden } else { Upper::Ports { local: upper_local, remote: upper_remote } },
            };
            match selector.refusal(&key) {
                None => {
                    for part in SelectorPart::ASKED {
                        prop_assert!(before(&selector, part).matches(&key));
                    }
                }
                Some(refusal) => {
                    let part = refusal.part().unwrap();
                    prop_assert!(SelectorPart::ASKED.contains(&part));
                    prop_assert!(before(&selector, part).matches(&key));
                    let next = SelectorPart::ASKED.into_iter().find(|next| *next > part);
                    let upto = next.map_or(selector.clone(), |next| before(&selector, next));
                    prop_assert_eq!(upto.refusal(&key), Some(refusal));
                }
            }
        }
    }
}
