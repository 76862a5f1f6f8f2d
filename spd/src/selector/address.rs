use super::Family;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;
use thiserror::Error;

/// Why an address selector was refused: the operator's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The text is not an address.
    #[error("not an address")]
    Text,
    /// The prefix is longer than the address.
    #[error("the prefix is longer than the address")]
    PrefixLength,
    /// The mask is not ones followed by zeros; a wildcard says so by name.
    #[error("the mask is not a prefix")]
    Mask,
    /// The first of the range is after the last.
    #[error("the range ends before it starts")]
    Reversed,
    /// IPv4 and IPv6 in one selector or list.
    #[error("IPv4 and IPv6 in one selector")]
    MixedFamilies,
    /// A list holds nothing.
    #[error("the list is empty")]
    Empty,
    /// A list is longer than one policy may have.
    #[error("the list holds more than {max} selectors", max = AddressSet::MAX_SELECTORS)]
    TooMany,
}

/// What an address selector is, for those who show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Every address of both families.
    Any,
    /// The addresses that share the first `length` bits with `network`, whose other bits are zero.
    Prefix {
        /// The first address.
        network: IpAddr,
        /// The number of leading bits that count.
        length: u8,
    },
    /// The addresses from `first` to `last`, both included, of one family.
    Range {
        /// The first address.
        first: IpAddr,
        /// The last address.
        last: IpAddr,
    },
    /// The addresses equal to `value` in the bits that are set in `mask`, which need not be a prefix.
    Wildcard {
        /// The value of the bits that count; zero in the others.
        value: IpAddr,
        /// The bits that count.
        mask: IpAddr,
    },
}

/// One address, prefix, range or masked address of either family, or any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressSelector(Shape);

impl AddressSelector {
    /// The selector of every address of both families.
    pub const ANY: Self = Self(Shape::Any);

    /// Returns the selector of one address.
    pub const fn address(address: IpAddr) -> Self {
        Self(Shape::Prefix { network: address, length: width(address) })
    }

    /// Returns the selector of the addresses that share the first `length` bits with `address`.
    ///
    /// The remaining bits of `address` are ignored, as routers do.
    ///
    /// # Errors
    /// [`AddressError::PrefixLength`].
    pub fn prefix(address: IpAddr, length: u8) -> Result<Self, AddressError> {
        if length > width(address) {
            return Err(AddressError::PrefixLength);
        }
        let mask = prefix_mask(address, length);
        Ok(Self(Shape::Prefix { network: and(address, mask), length }))
    }

    /// Returns the selector of `address` under a contiguous `mask`, such as 255.255.255.0.
    ///
    /// # Errors
    /// [`AddressError::Mask`], [`AddressError::MixedFamilies`].
    pub fn masked(address: IpAddr, mask: IpAddr) -> Result<Self, AddressError> {
        if family(address) != family(mask) {
            return Err(AddressError::MixedFamilies);
        }
        let length = bits(mask).leading_ones() as u8;
        if bits(prefix_mask(address, length)) != bits(mask) {
            return Err(AddressError::Mask);
        }
        Self::prefix(address, length)
    }

    /// Returns the selector of the addresses equal to `address` in the bits set in `mask`, whatever its form.
    ///
    /// # Errors
    /// [`AddressError::MixedFamilies`].
    pub fn wildcard(address: IpAddr, mask: IpAddr) -> Result<Self, AddressError> {
        match Self::masked(address, mask) {
            Err(AddressError::Mask) => Ok(Self(Shape::Wildcard { value: and(address, mask), mask })),
            other => other,
        }
    }

    /// Returns the selector of the addresses from `first` to `last`, both included.
    ///
    /// # Errors
    /// [`AddressError::Reversed`], [`AddressError::MixedFamilies`].
    pub fn range(first: IpAddr, last: IpAddr) -> Result<Self, AddressError> {
        if family(first) != family(last) {
            return Err(AddressError::MixedFamilies);
        }
        if bits(first) > bits(last) {
            return Err(AddressError::Reversed);
        }
        if first == last {
            return Ok(Self::address(first));
        }
        Ok(Self(Shape::Range { first, last }))
    }

    /// Returns what this selector is.
    pub const fn shape(&self) -> Shape {
        self.0
    }

    /// Returns the one family this can match, or `None` if both.
    pub const fn family(&self) -> Option<Family> {
        match self.0 {
            Shape::Any => None,
            Shape::Prefix { network: address, .. }
            | Shape::Range { first: address, .. }
            | Shape::Wildcard { value: address, .. } => Some(family(address)),
        }
    }

    /// Returns whether `address` satisfies this.
    pub fn matches(&self, address: IpAddr) -> bool {
        if let Some(wanted) = self.family()
            && wanted != family(address)
        {
            return false;
        }
        match self.0 {
            Shape::Any => true,
            Shape::Prefix { network, length } => and(address, prefix_mask(address, length)) == network,
            Shape::Range { first, last } => (bits(first)..=bits(last)).contains(&bits(address)),
            Shape::Wildcard { value, mask } => and(address, mask) == value,
        }
    }

    /// Returns the least and greatest address this can match in `wanted`, right-aligned.
    ///
    /// A wildcard matches only some of the addresses between its bounds.
    pub(crate) fn bounds(&self, wanted: Family) -> Option<(u128, u128)> {
        let ones = match wanted {
            Family::V4 => u128::from(u32::MAX),
            Family::V6 => u128::MAX,
        };
        match self.0 {
            Shape::Any => Some((0, ones)),
            _ if self.family() != Some(wanted) => None,
            Shape::Prefix { network, length } => {
                let host = !right_aligned(prefix_mask(network, length)) & ones;
                Some((right_aligned(network), right_aligned(network) | host))
            }
            Shape::Range { first, last } => Some((right_aligned(first), right_aligned(last))),
            Shape::Wildcard { value, mask } => {
                Some((right_aligned(value), right_aligned(value) | (!right_aligned(mask) & ones)))
            }
        }
    }
}

/// `any`, `10.0.0.1`, `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `10.0.0.1-10.0.0.9`, `10.0.0.1&255.0.0.255`.
impl FromStr for AddressSelector {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| AddressError::Text);
        if text.trim().eq_ignore_ascii_case("any") {
            return Ok(Self::ANY);
        }
        if let Some((first, last)) = text.split_once('-') {
            return Self::range(address(first)?, address(last)?);
        }
        if let Some((value, mask)) = text.split_once('&') {
            return Self::wildcard(address(value)?, address(mask)?);
        }
        if let Some((network, length)) = text.split_once('/') {
            return match length.trim().parse() {
                Ok(length) => Self::prefix(address(network)?, length),
                Err(_) => Self::masked(address(network)?, address(length)?),
            };
        }
        Ok(Self::address(address(text)?))
    }
}

impl fmt::Display for AddressSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Shape::Any => f.write_str("any"),
            Shape::Prefix { network, length } if length == width(network) => write!(f, "{network}"),
            Shape::Prefix { network, length } => write!(f, "{network}/{length}"),
            Shape::Range { first, last } => write!(f, "{first}-{last}"),
            Shape::Wildcard { value, mask } => write!(f, "{value}&{mask}"),
        }
    }
}

/// A list of address selectors of one family; a packet satisfies it if it satisfies one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSet(Box<[AddressSelector]>);

impl Default for AddressSet {
    fn default() -> Self {
        Self::any()
    }
}

impl AddressSet {
    /// The most selectors one list may hold.
    pub const MAX_SELECTORS: usize = 64;

    /// Returns the set of every address of both families.
    pub fn any() -> Self {
        Self(Box::new([AddressSelector::ANY]))
    }

    /// Returns the set of all that one of `selectors` matches.
    ///
    /// # Errors
    /// [`AddressError::Empty`], [`AddressError::TooMany`], [`AddressError::MixedFamilies`].
    pub fn new(selectors: impl IntoIterator<Item = AddressSelector>) -> Result<Self, AddressError> {
        let selectors: Vec<_> = selectors.into_iter().take(Self::MAX_SELECTORS + 1).collect();
        if selectors.is_empty() {
            return Err(AddressError::Empty);
        }
        if selectors.len() > Self::MAX_SELECTORS {
            return Err(AddressError::TooMany);
        }
        if selectors.contains(&AddressSelector::ANY) {
            return Ok(Self::any());
        }
        let families = selectors.iter().map(AddressSelector::family);
        if families.clone().zip(families.skip(1)).any(|(a, b)| a != b) {
            return Err(AddressError::MixedFamilies);
        }
        Ok(Self(selectors.into_boxed_slice()))
    }

    /// Returns the selectors of the set.
    pub fn selectors(&self) -> &[AddressSelector] {
        &self.0
    }

    /// Returns whether one of the selectors matches `address`.
    pub fn matches(&self, address: IpAddr) -> bool {
        self.0.iter().any(|selector| selector.matches(address))
    }

    /// Returns the one family this can match, or `None` if both.
    pub fn family(&self) -> Option<Family> {
        self.0.first().and_then(AddressSelector::family)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_range(&self) -> bool {
        self.0.iter().any(|selector| matches!(selector.shape(), Shape::Range { .. }))
    }
}

impl From<AddressSelector> for AddressSet {
    fn from(selector: AddressSelector) -> Self {
        Self(Box::new([selector]))
    }
}

/// Selectors separated by commas.
impl FromStr for AddressSet {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut selectors = Vec::new();
        for part in text.split(',') {
            if selectors.len() >= Self::MAX_SELECTORS {
                return Err(AddressError::TooMany);
            }
            selectors.push(part.parse()?);
        }
        Self::new(selectors)
    }
}

impl fmt::Display for AddressSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, selector) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{selector}")?;
        }
        Ok(())
    }
}

pub(crate) const fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

/// The address as a number, IPv4 in the low 32 bits.
pub(crate) fn right_aligned(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address as a number, its first bit the highest; orders and compares prefixes of one family.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The mask of the first `length` bits, in the family of `like`.
fn prefix_mask(like: IpAddr, length: u8) -> IpAddr {
    let host = u32::from(width(like).saturating_sub(length));
    match like {
        IpAddr::V4(_) => Ipv4Addr::from_bits(u32::MAX.checked_shl(host).unwrap_or(0)).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(u128::MAX.checked_shl(host).unwrap_or(0)).into(),
    }
}

/// The bits that both have; of two families, none.
fn and(a: IpAddr, b: IpAddr) -> IpAddr {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => Ipv4Addr::from_bits(a.to_bits() & b.to_bits()).into(),
        (IpAddr::V6(a), IpAddr::V6(b)) => Ipv6Addr::from_bits(a.to_bits() & b.to_bits()).into(),
        (IpAddr::V4(_), IpAddr::V6(_)) => Ipv4Addr::UNSPECIFIED.into(),
        (IpAddr::V6(_), IpAddr::V4(_)) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn parse(text: &str) -> AddressSelector {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn every_form_reads_and_writes_as_text() {
        for text in
            ["any", "10.0.0.1", "10.0.0.0/8", "10.0.0.1-10.0.0.9", "10.0.0.1&255.0.0.255", "::1", "2001:db8::/32"]
        {
            assert_eq!(parse(text).to_string(), text);
        }
        assert_eq!(parse("10.1.2.3/255.255.0.0").to_string(), "10.1.0.0/16");
        assert_eq!(parse("10.0.0.7-10.0.0.7").to_string(), "10.0.0.7");
        assert_eq!(parse("0.0.0.0/0").to_string(), "0.0.0.0/0");
    }

    #[test]
    fn mistakes_of_the_operator_are_refused_by_name() {
        for (text, error) in [
            ("10.0.0.0/33", AddressError::PrefixLength),
            ("::/129", AddressError::PrefixLength),
            ("10.0.0.9-10.0.0.1", AddressError::Reversed),
            ("10.0.0.1-::1", AddressError::MixedFamilies),
            ("10.0.0.0/255.0.255.0", AddressError::Mask),
            ("10.0.0.0/ffff::", AddressError::MixedFamilies),
            ("10.0.0", AddressError::Text),
            ("", AddressError::Text),
        ] {
            assert_eq!(text.parse::<AddressSelector>(), Err(error), "{text}");
        }
        assert_eq!(AddressSet::new([]), Err(AddressError::Empty));
        assert_eq!("10.0.0.1,::1".parse::<AddressSet>(), Err(AddressError::MixedFamilies));
        assert_eq!(AddressSet::new([parse("10.0.0.1"); 65]), Err(AddressError::TooMany));
    }

    #[test]
    fn an_any_in_a_list_swallows_the_list() {
        let set: AddressSet = "10.0.0.1,any,::1".parse().unwrap();
        assert_eq!(set, AddressSet::any());
    }

    #[test]
    fn each_form_matches_its_corners_and_not_their_neighbours() {
        for (selector, inside, outside) in [
            ("10.0.0.0/8", "10.0.0.0", "9.255.255.255"),
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.0.0.1-10.0.0.9", "10.0.0.1", "10.0.0.0"),
            ("10.0.0.1-10.0.0.9", "10.0.0.9", "10.0.0.10"),
            ("127.255.255.255-128.0.0.0", "128.0.0.0", "128.0.0.1"),
            ("10.0.0.1&255.0.0.255", "10.9.9.1", "10.9.9.2"),
            ("2001:db8::/33", "2001:db8:7fff:ffff::", "2001:db8:8000::"),
            ("0.0.0.0/0", "255.255.255.255", "::"),
            ("::/0", "::ffff:10.0.0.1", "10.0.0.1"),
        ] {
            assert!(parse(selector).matches(ip(inside)), "{selector} {inside}");
            assert!(!parse(selector).matches(ip(outside)), "{selector} {outside}");
        }
    }

    #[test]
    fn bounds_hold_every_match() {
        assert_eq!(parse("10.0.0.0/8").bounds(Family::V4), Some((0x0a00_0000, 0x0aff_ffff)));
        assert_eq!(parse("10.0.0.0/8").bounds(Family::V6), None);
        assert_eq!(AddressSelector::ANY.bounds(Family::V6), Some((0, u128::MAX)));
        assert_eq!(parse("::/0").bounds(Family::V6), Some((0, u128::MAX)));
        assert_eq!(parse("10.0.0.1&255.0.0.255").bounds(Family::V4), Some((0x0a00_0001, 0x0aff_ff01)));
    }
}
