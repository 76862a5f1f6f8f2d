use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network as the attributes of mode-config name one: an address and how much of it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Returns a network; bits beyond the prefix are cleared. `None` if the prefix is longer than the
    /// address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(address) if prefix <= 32 => {
                let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix.into())).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(address) & mask))
            }
            IpAddr::V6(address) if prefix <= 128 => {
                let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix.into())).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(address) & mask))
            }
            IpAddr::V4(_) | IpAddr::V6(_) => return None,
        };
        Some(Self { address, prefix })
    }

    /// Returns the network of an address and a mask; `None` if the mask has holes.
    pub fn masked(address: Ipv4Addr, mask: Ipv4Addr) -> Option<Self> {
        let mask = u32::from(mask);
        let prefix = mask.leading_ones();
        if mask.count_ones() != prefix {
            return None;
        }
        Self::new(address.into(), u8::try_from(prefix).ok()?)
    }

    /// Returns its first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns how many bits of the address count.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Returns the mask of an IPv4 network.
    pub fn mask(&self) -> Ipv4Addr {
        let host = 32u32.saturating_sub(self.prefix.into());
        Ipv4Addr::from(u32::MAX.checked_shl(host).unwrap_or(0))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn masks_and_prefixes_name_the_same_networks() {
        for prefix in 0..=32 {
            let network = Network::new([10, 20, 30, 40].into(), prefix).unwrap();
            let IpAddr::V4(address) = network.address() else { unreachable!() };
            assert_eq!(Network::masked(address, network.mask()), Some(network));
        }
        assert_eq!(Network::new([10, 20, 30, 40].into(), 24).unwrap().to_string(), "10.20.30.0/24");
        assert_eq!(Network::masked([10, 0, 0, 0].into(), [255, 0, 255, 0].into()), None);
        assert_eq!(Network::new([10, 0, 0, 0].into(), 33), None);
        assert_eq!(Network::new(Ipv6Addr::LOCALHOST.into(), 64).unwrap().to_string(), "::/64");
    }
}
