use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One side of the traffic that a pair of IPsec SAs carries: addresses, protocol and port.
///
/// On the wire it is an identification payload of quick mode, RFC 2407 §4.6.2. IKEv1 has no
/// narrowing: both ends must mean the same set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrafficSelector {
    first: IpAddr,
    last: IpAddr,
    protocol: u8,
    port: u16,
}

/// Why something is not a traffic selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// The identity type does not name addresses.
    #[error("identity type {0} does not name addresses")]
    Type(u8),
    /// The length does not fit the type.
    #[error("identity type {0} does not have {1} octets")]
    Length(u8, usize),
    /// The mask has a zero bit before a one bit.
    #[error("the mask has a gap")]
    Mask,
    /// The prefix is longer than the address.
    #[error("the prefix /{0} is too long")]
    Prefix(u8),
    /// The first address of the range is above the last, or of another family.
    #[error("the range is empty")]
    EmptyRange,
    /// A port was given for a protocol that has none.
    #[error("protocol {0} has no ports")]
    PortWithoutProtocol(u8),
}

impl TrafficSelector {
    /// Returns the selector of one address, any protocol and port.
    pub const fn host(address: IpAddr) -> Self {
        Self { first: address, last: address, protocol: 0, port: 0 }
    }

    /// Returns the selector of the subnet that holds `address`, any protocol and port.
    ///
    /// # Errors
    /// A prefix longer than the address.
    pub fn subnet(address: IpAddr, prefix: u8) -> Result<Self, SelectorError> {
        let bits = width(address);
        let host_bits = u32::from(bits.checked_sub(prefix).ok_or(SelectorError::Prefix(prefix))?);
        let mask = if host_bits == 128 { u128::MAX } else { (1u128 << host_bits) - 1 };
        let value = to_number(address);
        Ok(Self {
            first: from_number(value & !mask, address),
            last: from_number(value | mask, address),
            protocol: 0,
            port: 0,
        })
    }

    /// Returns the selector of all addresses from `first` to `last`, any protocol and port.
    ///
    /// # Errors
    /// Addresses of two families, or `first` above `last`.
    pub fn range(first: IpAddr, last: IpAddr) -> Result<Self, SelectorError> {
        if first.is_ipv4() != last.is_ipv4() || first > last {
            return Err(SelectorError::EmptyRange);
        }
        Ok(Self { first, last, protocol: 0, port: 0 })
    }

    /// Returns the same addresses for one upper protocol; 0 means any.
    #[must_use]
    pub const fn with_protocol(self, protocol: u8) -> Self {
        Self { first: self.first, last: self.last, protocol, port: self.port }
    }

    /// Returns the same addresses and protocol for one port; 0 means any.
    #[must_use]
    pub const fn with_port(self, port: u16) -> Self {
        Self { first: self.first, last: self.last, protocol: self.protocol, port }
    }

    /// Returns the lowest address.
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// Returns the highest address.
    pub const fn last(&self) -> IpAddr {
        self.last
    }

    /// Returns the upper protocol; 0 means any.
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Returns the port; 0 means any.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the prefix length if the addresses are exactly one subnet.
    pub fn prefix(&self) -> Option<u8> {
        let (first, last) = (to_number(self.first), to_number(self.last));
        let mask = first ^ last;
        let contiguous = mask & mask.wrapping_add(1) == 0;
        if !contiguous || first & mask != 0 {
            return None;
        }
        width(self.first).checked_sub(u8::try_from(mask.count_ones()).ok()?)
    }

    /// Returns whether all that `other` selects is selected here as well.
    pub fn contains(&self, other: &Self) -> bool {
        self.first.is_ipv4() == other.first.is_ipv4()
            && self.first <= other.first
            && other.last <= self.last
            && (self.protocol == 0 || self.protocol == other.protocol)
            && (self.port == 0 || self.port == other.port)
    }

    /// Returns whether the address is in the set.
    pub fn contains_address(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Returns the identity type of the wire: address, subnet or range.
    pub fn type_number(&self) -> u8 {
        let v6 = if self.first.is_ipv6() { 1 } else { 0 };
        if self.first == self.last {
            return if v6 == 1 { 5 } else { 1 };
        }
        if self.prefix().is_some() { if v6 == 1 { 6 } else { 4 } } else { 7 + v6 }
    }

    /// Returns the identification data as it stands on the wire.
    pub fn data(&self) -> Vec<u8> {
        let mut data = octets(self.first);
        match self.type_number() {
            1 | 5 => {}
            4 | 6 => {
                let mask = !(to_number(self.first) ^ to_number(self.last));
                data.extend(octets(from_number(mask & family_mask(self.first), self.first)));
            }
            _ => data.extend(octets(self.last)),
        }
        data
    }

    /// Reads a selector from an identification payload of quick mode.
    ///
    /// # Errors
    /// Types that name no addresses, lengths that do not fit, masks with gaps, empty ranges, a
    /// port without a protocol that has ports.
    pub fn read(type_number: u8, protocol: u8, port: u16, data: &[u8]) -> Result<Self, SelectorError> {
        let selector = match type_number {
            1 => Self::host(v4(type_number, data)?),
            5 => Self::host(v6(type_number, data)?),
            4 | 6 | 7 | 8 => {
                let (a, b) = data.split_at_checked(data.len() / 2).unwrap_or((data, &[]));
                let read = if matches!(type_number, 4 | 7) { v4 } else { v6 };
                let length = SelectorError::Length(type_number, data.len());
                let (a, b) = (read(type_number, a).map_err(|_| length)?, read(type_number, b).map_err(|_| length)?);
                if matches!(type_number, 7 | 8) { Self::range(a, b)? } else { Self::masked(a, b)? }
            }
            other => return Err(SelectorError::Type(other)),
        };
        if port != 0 && protocol == 0 {
            return Err(SelectorError::PortWithoutProtocol(protocol));
        }
        Ok(selector.with_protocol(protocol).with_port(port))
    }

    fn masked(address: IpAddr, mask: IpAddr) -> Result<Self, SelectorError> {
        let host = !to_number(mask) & family_mask(mask);
        if host & host.wrapping_add(1) != 0 {
            return Err(SelectorError::Mask);
        }
        let host_bits = u8::try_from(host.count_ones()).map_err(|_| SelectorError::Mask)?;
        Self::subnet(address, width(address).saturating_sub(host_bits))
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

const fn family_mask(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(_) => u32::MAX as u128,
        IpAddr::V6(_) => u128::MAX,
    }
}

fn to_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn from_number(value: u128, family: IpAddr) -> IpAddr {
    match family {
        IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(value & family_mask(family)).unwrap_or(u32::MAX)).into(),
        IpAddr::V6(_) => Ipv6Addr::from(value).into(),
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn v4(type_number: u8, data: &[u8]) -> Result<IpAddr, SelectorError> {
    <[u8; 4]>::try_from(data).map(Into::into).map_err(|_| SelectorError::Length(type_number, data.len()))
}

fn v6(type_number: u8, data: &[u8]) -> Result<IpAddr, SelectorError> {
    <[u8; 16]>::try_from(data).map(Into::into).map_err(|_| SelectorError::Length(type_number, data.len()))
}

/// `10.10.1.0/24`, `10.0.0.1-10.0.0.9`, with `/protocol:port` in brackets when not any.
impl fmt::Display for TrafficSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix() {
            Some(prefix) => write!(f, "{}/{prefix}", self.first)?,
            None => write!(f, "{}-{}", self.first, self.last)?,
        }
        if self.protocol != 0 {
            write!(f, "[{}", self.protocol)?;
            if self.port != 0 {
                write!(f, ":{}", self.port)?;
            }
            f.write_str("]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn net(text: [u8; 4], prefix: u8) -> TrafficSelector {
        TrafficSelector::subnet(text.into(), prefix).unwrap()
    }

    #[test]
    fn a_subnet_travels_as_address_and_mask() {
        let selector = net([10, 10, 1, 7], 24);
        assert_eq!(selector.type_number(), 4);
        assert_eq!(selector.data(), [10, 10, 1, 0, 255, 255, 255, 0]);
        assert_eq!(TrafficSelector::read(4, 0, 0, &selector.data()), Ok(selector));
        assert_eq!(selector.to_string(), "10.10.1.0/24");
    }

    #[test]
    fn everything_is_the_subnet_of_prefix_zero() {
        let all = net([1, 2, 3, 4], 0);
        assert_eq!(all.data(), [0; 8]);
        assert_eq!(all.prefix(), Some(0));
        let all6 = TrafficSelector::subnet(Ipv6Addr::LOCALHOST.into(), 0).unwrap();
        assert_eq!(TrafficSelector::read(6, 0, 0, &all6.data()), Ok(all6));
    }

    #[test]
    fn hosts_and_ranges_have_their_own_types() {
        let host = TrafficSelector::host([10, 0, 0, 1].into());
        assert_eq!((host.type_number(), host.data()), (1, alloc::vec![10, 0, 0, 1]));
        let range = TrafficSelector::range([10, 0, 0, 1].into(), [10, 0, 0, 9].into()).unwrap();
        assert_eq!((range.type_number(), range.data()), (7, alloc::vec![10, 0, 0, 1, 10, 0, 0, 9]));
        assert_eq!(range.with_protocol(6).with_port(80).to_string(), "10.0.0.1-10.0.0.9[6:80]");
    }

    #[test]
    fn masks_with_gaps_empty_ranges_and_odd_lengths_are_refused() {
        assert_eq!(TrafficSelector::read(4, 0, 0, &[10, 0, 0, 0, 255, 0, 255, 0]), Err(SelectorError::Mask));
        assert_eq!(TrafficSelector::read(7, 0, 0, &[10, 0, 0, 9, 10, 0, 0, 1]), Err(SelectorError::EmptyRange));
        for length in (0..40).filter(|l| *l != 8) {
            let data = alloc::vec![1; length];
            assert_eq!(TrafficSelector::read(4, 0, 0, &data), Err(SelectorError::Length(4, length)));
        }
    }

    #[test]
    fn identity_types_that_name_no_addresses_are_refused() {
        for type_number in (0u8..=255).filter(|t| ![1, 4, 5, 6, 7, 8].contains(t)) {
            assert_eq!(TrafficSelector::read(type_number, 0, 0, &[0; 8]), Err(SelectorError::Type(type_number)));
        }
    }

    #[test]
    fn a_wider_set_contains_a_narrower_one_and_not_the_other_way() {
        let wide = net([10, 0, 0, 0], 8);
        let narrow = net([10, 10, 1, 0], 24).with_protocol(17);
        assert!(wide.contains(&narrow));
        assert!(!narrow.contains(&wide));
        assert!(!wide.with_protocol(6).contains(&narrow));
    }

    proptest! {
        #[test]
        fn subnets_and_ranges_read_back(a: u32, b: u32, prefix in 0u8..=32, protocol: u8) {
            let subnet = TrafficSelector::subnet(Ipv4Addr::from(a).into(), prefix).unwrap().with_protocol(protocol);
            prop_assert_eq!(TrafficSelector::read(subnet.type_number(), protocol, 0, &subnet.data()), Ok(subnet));
            prop_assert_eq!(subnet.prefix(), Some(prefix));
            let range = TrafficSelector::range(Ipv4Addr::from(a.min(b)).into(), Ipv4Addr::from(a.max(b)).into()).unwrap();
            prop_assert_eq!(TrafficSelector::read(range.type_number(), 0, 0, &range.data()), Ok(range));
        }

        #[test]
        fn reading_any_octets_never_panics(type_number: u8, protocol: u8, port: u16, data in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = TrafficSelector::read(type_number, protocol, port, &data);
        }
    }
}
