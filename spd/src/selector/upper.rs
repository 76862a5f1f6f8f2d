use alloc::boxed::Box;
use core::fmt;
use core::str::FromStr;
use thiserror::Error;

pub(crate) const ICMP: u8 = 1;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const MOBILITY: u8 = 135;

/// The protocols people write by name, RFC 4301 aside.
const NAMES: [(&str, u8); 10] = [
    ("icmp", ICMP),
    ("tcp", 6),
    ("udp", 17),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmpv6", ICMPV6),
    ("ospf", 89),
    ("sctp", 132),
];

/// Returns whether the first four octets of protocol `number` are two ports.
pub(crate) const fn has_ports(number: u8) -> bool {
    // TCP, UDP, DCCP, SCTP, UDP-Lite.
    matches!(number, 6 | 17 | 33 | 132 | 136)
}

/// Returns whether protocol `number` has one selector, its message type.
pub(crate) const fn has_message(number: u8) -> bool {
    matches!(number, ICMP | ICMPV6 | MOBILITY)
}

/// Returns whether an ICMP or ICMPv6 message of this kind quotes a packet that it tells its sender of, and is meant for
/// hosts far away: redirects are for the same link only, and source quench for nobody any more, RFC 6633.
pub(crate) const fn is_error(number: u8, kind: u8) -> bool {
    match number {
        // Destination unreachable, time exceeded, parameter problem: RFC 792.
        ICMP => matches!(kind, 3 | 11 | 12),
        // RFC 4443 §2.1.
        ICMPV6 => matches!(kind, 1..=127),
        _ => false,
    }
}

/// Why a protocol, port or message selector was refused: the operator's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UpperError {
    /// The first of the range is after the last.
    #[error("the range ends before it starts")]
    Reversed,
    /// A list holds nothing.
    #[error("the list is empty")]
    Empty,
    /// A list is longer than one policy may have.
    #[error("the list holds more than {max} ranges", max = PortSet::MAX_RANGES)]
    TooMany,
    /// The text is neither a name nor a number that fits.
    #[error("not a name or number known here")]
    Text,
}

/// The protocol that a policy asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProtocolSelector {
    /// Every protocol, hidden ones included.
    #[default]
    Any,
    /// Only packets whose protocol cannot be seen: IPv6 fragments, RFC 4301 §4.4.1.1.
    Opaque,
    /// This one.
    Number(u8),
}

impl ProtocolSelector {
    /// Returns whether a packet with this protocol satisfies the selector; `None` is one that cannot be seen.
    pub const fn matches(self, protocol: Option<u8>) -> bool {
        match (self, protocol) {
            (Self::Any, _) | (Self::Opaque, None) => true,
            (Self::Number(wanted), Some(number)) => wanted == number,
            (Self::Opaque, Some(_)) | (Self::Number(_), None) => false,
        }
    }
}

/// `any`, `opaque`, a name such as `tcp`, or 0 to 255.
impl FromStr for ProtocolSelector {
    type Err = UpperError;

    fn from_str(text: &str) -> Result<Self, UpperError> {
        if text.eq_ignore_ascii_case("any") {
            return Ok(Self::Any);
        }
        if text.eq_ignore_ascii_case("opaque") {
            return Ok(Self::Opaque);
        }
        let named = NAMES.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, number)| *number);
        named.or_else(|| text.parse().ok()).map(Self::Number).ok_or(UpperError::Text)
    }
}

impl fmt::Display for ProtocolSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Opaque => f.write_str("opaque"),
            Self::Number(number) => match NAMES.iter().find(|(_, known)| known == number) {
                Some((name, _)) => f.write_str(name),
                None => write!(f, "{number}"),
            },
        }
    }
}

/// The ports that a policy asks for on one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSet(Ports);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ports {
    Any,
    Opaque,
    /// Never empty; each first at most its last.
    Ranges(Box<[(u16, u16)]>),
}

impl Default for PortSet {
    fn default() -> Self {
        Self::any()
    }
}

impl PortSet {
    /// The most ranges one list may hold.
    pub const MAX_RANGES: usize = 64;

    /// Returns the selector that asks nothing: every port, none, and hidden ones.
    pub const fn any() -> Self {
        Self(Ports::Any)
    }

    /// Returns the selector of packets that show no port, RFC 4301 §4.4.1.1.
    pub const fn opaque() -> Self {
        Self(Ports::Opaque)
    }

    /// Returns the selector of one port.
    pub fn port(port: u16) -> Self {
        Self(Ports::Ranges(Box::new([(port, port)])))
    }

    /// Returns the selector of the ports from `first` to `last`, both included.
    ///
    /// All of 0 to 65535 is not the same as any: it asks for a port that can be seen.
    ///
    /// # Errors
    /// [`UpperError::Reversed`].
    pub fn range(first: u16, last: u16) -> Result<Self, UpperError> {
        Self::ranges(&[(first, last)])
    }

    /// Returns the selector of all these ranges, both ends included.
    ///
    /// # Errors
    /// [`UpperError::Reversed`], [`UpperError::Empty`], [`UpperError::TooMany`].
    pub fn ranges(ranges: &[(u16, u16)]) -> Result<Self, UpperError> {
        if ranges.is_empty() {
            return Err(UpperError::Empty);
        }
        if ranges.len() > Self::MAX_RANGES {
            return Err(UpperError::TooMany);
        }
        if ranges.iter().any(|(first, last)| first > last) {
            return Err(UpperError::Reversed);
        }
        Ok(Self(Ports::Ranges(ranges.into())))
    }

    /// Returns whether a packet with this port satisfies the selector; `None` is one that shows none.
    pub fn matches(&self, port: Option<u16>) -> bool {
        match (&self.0, port) {
            (Ports::Any, _) | (Ports::Opaque, None) => true,
            (Ports::Ranges(ranges), Some(port)) => ranges.iter().any(|(first, last)| (*first..=*last).contains(&port)),
            (Ports::Opaque, Some(_)) | (Ports::Ranges(_), None) => false,
        }
    }

    /// Returns whether this asks for ports that can be seen.
    pub const fn is_specific(&self) -> bool {
        matches!(self.0, Ports::Ranges(_))
    }

    /// Returns whether this asks for ports that cannot be seen.
    pub const fn is_opaque(&self) -> bool {
        matches!(self.0, Ports::Opaque)
    }

    /// Returns the ranges, or none when the selector is any or opaque.
    pub fn as_ranges(&self) -> &[(u16, u16)] {
        match &self.0 {
            Ports::Any | Ports::Opaque => &[],
            Ports::Ranges(ranges) => ranges,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.as_ranges().len().max(1)
    }
}

/// `any`, `opaque`, or a list such as `80,8000-8080`.
impl FromStr for PortSet {
    type Err = UpperError;

    fn from_str(text: &str) -> Result<Self, UpperError> {
        if text.eq_ignore_ascii_case("any") {
            return Ok(Self::any());
        }
        if text.eq_ignore_ascii_case("opaque") {
            return Ok(Self::opaque());
        }
        let mut ranges = alloc::vec::Vec::new();
        for part in text.split(',') {
            if ranges.len() >= Self::MAX_RANGES {
                return Err(UpperError::TooMany);
            }
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let port = |text: &str| text.trim().parse().map_err(|_| UpperError::Text);
            ranges.push((port(first)?, port(last)?));
        }
        Self::ranges(&ranges)
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ports::Any => f.write_str("any"),
            Ports::Opaque => f.write_str("opaque"),
            Ports::Ranges(ranges) => {
                for (index, (first, last)) in ranges.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{first}")?;
                    if first != last {
                        write!(f, "-{last}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// The ICMP type and code, or Mobility header type, that a policy asks for.
///
/// A message is one number, `type * 256 + code`, RFC 4301 §4.4.1.1; the code of a Mobility header is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MessageSelector {
    /// Every packet, whether it has a message type or not.
    #[default]
    Any,
    /// Only packets that show no message type.
    Opaque,
    /// `first <= type * 256 + code <= last`.
    Range {
        /// The least `type * 256 + code`.
        first: u16,
        /// The greatest `type * 256 + code`.
        last: u16,
    },
    /// The router and neighbour solicitations and advertisements of IPv6, types 133 to 136.
    NeighbourDiscovery,
}

impl MessageSelector {
    /// Returns the selector of one type and code.
    pub const fn message(kind: u8, code: u8) -> Self {
        let message = u16::from_be_bytes([kind, code]);
        Self::Range { first: message, last: message }
    }

    /// Returns the selector of one type with any code.
    pub const fn kind(kind: u8) -> Self {
        Self::Range { first: u16::from_be_bytes([kind, 0]), last: u16::from_be_bytes([kind, 255]) }
    }

    /// Returns the selector of `(T-start*256) + C-start <= (t*256) + c <= (T-end*256) + C-end`.
    ///
    /// # Errors
    /// [`UpperError::Reversed`].
    pub fn range(start: (u8, u8), end: (u8, u8)) -> Result<Self, UpperError> {
        let (first, last) = (u16::from_be_bytes([start.0, start.1]), u16::from_be_bytes([end.0, end.1]));
        if first > last {
            return Err(UpperError::Reversed);
        }
        Ok(Self::Range { first, last })
    }

    /// Returns whether a packet with this protocol and message satisfies the selector; `None` is not shown.
    pub fn matches(self, protocol: Option<u8>, message: Option<u16>) -> bool {
        match (self.bounds(), self) {
            (Some((first, last)), _) => {
                let right = self != Self::NeighbourDiscovery || protocol == Some(ICMPV6);
                right && message.is_some_and(|message| (first..=last).contains(&message))
            }
            (None, Self::Opaque) => message.is_none(),
            (None, Self::Any | Self::Range { .. } | Self::NeighbourDiscovery) => true,
        }
    }

    /// Returns whether this asks for a message type that can be seen.
    pub const fn is_specific(self) -> bool {
        matches!(self, Self::Range { .. } | Self::NeighbourDiscovery)
    }

    pub(crate) const fn bounds(self) -> Option<(u16, u16)> {
        match self {
            Self::Any | Self::Opaque => None,
            Self::Range { first, last } => Some((first, last)),
            Self::NeighbourDiscovery => Some((133 * 256, 136 * 256 + 255)),
        }
    }
}

/// `any`, `opaque`, `ndall`, a type such as `8`, a type and code such as `3/4`.
impl FromStr for MessageSelector {
    type Err = UpperError;

    fn from_str(text: &str) -> Result<Self, UpperError> {
        match text {
            _ if text.eq_ignore_ascii_case("any") => Ok(Self::Any),
            _ if text.eq_ignore_ascii_case("opaque") => Ok(Self::Opaque),
            _ if text.eq_ignore_ascii_case("ndall") => Ok(Self::NeighbourDiscovery),
            _ => {
                let number = |text: &str| text.trim().parse().map_err(|_| UpperError::Text);
                match text.split_once('/') {
                    Some((kind, code)) => Ok(Self::message(number(kind)?, number(code)?)),
                    None => Ok(Self::kind(number(text)?)),
                }
            }
        }
    }
}

impl fmt::Display for MessageSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Opaque => f.write_str("opaque"),
            Self::NeighbourDiscovery => f.write_str("ndall"),
            Self::Range { first, last } => {
                let ([kind, code], [last_kind, last_code]) = (first.to_be_bytes(), last.to_be_bytes());
                if (kind, code, last_code) == (last_kind, 0, 255) {
                    return write!(f, "{kind}");
                }
                write!(f, "{kind}/{code}")?;
                if first != last { write!(f, "-{last_kind}/{last_code}") } else { Ok(()) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn protocols_are_written_by_name_or_number() {
        for (text, selector) in [
            ("any", ProtocolSelector::Any),
            ("opaque", ProtocolSelector::Opaque),
            ("tcp", ProtocolSelector::Number(6)),
            ("ospf", ProtocolSelector::Number(89)),
            ("0", ProtocolSelector::Number(0)),
            ("255", ProtocolSelector::Number(255)),
        ] {
            assert_eq!(text.parse(), Ok(selector));
            assert_eq!(selector.to_string(), text);
        }
        assert_eq!("TCP".parse(), Ok(ProtocolSelector::Number(6)));
        assert_eq!("256".parse::<ProtocolSelector>(), Err(UpperError::Text));
    }

    #[test]
    fn ports_are_written_as_lists_of_ranges() {
        let ports: PortSet = "0,80,8000-8080,65535".parse().unwrap();
        assert_eq!(ports.as_ranges(), [(0, 0), (80, 80), (8000, 8080), (65535, 65535)]);
        assert_eq!(ports.to_string(), "0,80,8000-8080,65535");
        assert!(ports.matches(Some(8080)) && !ports.matches(Some(8081)) && !ports.matches(None));
        assert_eq!("90-80".parse::<PortSet>(), Err(UpperError::Reversed));
        assert_eq!("".parse::<PortSet>(), Err(UpperError::Text));
        assert_eq!("65536".parse::<PortSet>(), Err(UpperError::Text));
        assert_eq!(PortSet::ranges(&[]), Err(UpperError::Empty));
        assert_eq!("1,".repeat(64).parse::<PortSet>(), Err(UpperError::TooMany));
    }

    #[test]
    fn a_message_range_is_compared_as_one_number() {
        let range = MessageSelector::range((3, 4), (5, 1)).unwrap();
        for (kind, code, expected) in [(3, 3, false), (3, 4, true), (4, 255, true), (5, 1, true), (5, 2, false)] {
            assert_eq!(range.matches(Some(ICMP), Some(u16::from_be_bytes([kind, code]))), expected);
        }
        assert_eq!(MessageSelector::range((5, 1), (3, 4)), Err(UpperError::Reversed));
        for text in ["any", "opaque", "ndall", "8", "3/4"] {
            assert_eq!(text.parse::<MessageSelector>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn neighbour_discovery_is_four_messages_of_icmpv6() {
        let nd = MessageSelector::NeighbourDiscovery;
        for kind in 0..=255u8 {
            let expected = (133..=136).contains(&kind);
            assert_eq!(nd.matches(Some(ICMPV6), Some(u16::from_be_bytes([kind, 0]))), expected);
            assert!(!nd.matches(Some(ICMP), Some(u16::from_be_bytes([kind, 0]))));
        }
        assert!(!nd.matches(Some(ICMPV6), None));
    }
}
