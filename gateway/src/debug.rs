//! What is told of single packets, and of which: the settings of the policy debugger.

use crate::defaults;
use core::fmt;
use core::ops::BitOr;
use core::str::FromStr;
use ikev1_core::ChildId;

use alloc::string::String;

/// Whose packets are told about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DebugTarget {
    /// Those of every policy and of every pair, whatever they had before.
    AllPolicies,
    /// Those of the policy of this name, and of its pairs that have no settings of their own.
    Policy(String),
    /// Those of one pair, in place of what its policy says.
    Pair(ChildId),
}

/// What is told of the packets of a policy or of a pair: a set of flags for each kind of line.
///
/// The lines show clear packets to whoever reads them, because the operator asks for it; they never hold a key. What is
/// told costs time and memory: at most [`MAX_TRACES`](defaults::MAX_TRACES) lines wait, and what goes beyond is counted.
///
/// ```
/// use gateway::{DebugFlags, DebugSettings};
///
/// let mut settings = DebugSettings::OFF;
/// settings.filter = "in fail raddress".parse()?;                    // why packets find no policy
/// settings.packet = DebugFlags::only(DebugFlags::OUT | DebugFlags::IP_HEADER);
/// settings.packet_length = 40;
/// assert!(settings.is_on());
/// # Ok::<(), gateway::NotDebugFlags>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebugSettings {
    /// `Debug device`: a number of the caller's for where the lines go; it stands in each of them.
    pub device: u32,
    /// `Filter debug flags`: each selector that a packet is held against.
    pub filter: DebugFlags,
    /// `Packet debug flags`: packets before and after they are processed.
    pub packet: DebugFlags,
    /// `Trace debug flags`: the steps that packets take.
    pub trace: DebugFlags,
    /// `Packet debug length`: how many octets of a packet are shown, at most
    /// [`MAX_DEBUG_LENGTH`](defaults::MAX_DEBUG_LENGTH); what is more is taken as that.
    pub packet_length: usize,
}

impl DebugSettings {
    /// Nothing is told.
    pub const OFF: Self = Self {
        device: defaults::DEBUG_DEVICE,
        filter: DebugFlags::OFF,
        packet: DebugFlags::OFF,
        trace: DebugFlags::OFF,
        packet_length: defaults::DEBUG_LENGTH,
    };

    /// Everything is told.
    pub const ALL: Self =
        Self { filter: DebugFlags::ALL, packet: DebugFlags::ALL, trace: DebugFlags::ALL, ..Self::OFF };

    /// Returns whether anything is told.
    pub fn is_on(&self) -> bool {
        [self.filter, self.packet, self.trace].iter().any(|flags| *flags != DebugFlags::OFF)
    }

    /// Returns the settings with a packet length that is within its bound.
    pub(crate) fn bounded(self) -> Self {
        Self { packet_length: self.packet_length.min(defaults::MAX_DEBUG_LENGTH), ..self }
    }
}

impl Default for DebugSettings {
    fn default() -> Self {
        Self::OFF
    }
}

/// Which lines of one kind are told, a bit for each value of each filter that routers have.
///
/// A line is told if what it is about is among the flags. Filters that a kind has not do not matter to it.
///
/// | Filter | Values | Kinds |
/// |---|---|---|
/// | `DIRECTION` | `out`, `in`; `both` | all |
/// | `RESULT` | `pass`, `fail` | all; what is to be processed yet has neither |
/// | `SELECTOR` | `laddress`, `lname`, `lport`, `raddress`, `rname`, `rport`, `transportprotocol` | filter |
/// | `WHERE` | `ipsec`, the main path; `protocol`, each protocol by itself | packet, trace |
/// | `DISPLAY` | `bufferheader`, `ipheader`, `data` | packet |
///
/// Names are no part of a packet, so `lname` and `rname` alone tell nothing of it. The ICMP type goes with
/// `transportprotocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DebugFlags(u32);

impl DebugFlags {
    /// Nothing is told.
    pub const OFF: Self = Self(0);
    /// `DIRECTION=OUT`.
    pub const OUT: Self = Self(1);
    /// `DIRECTION=IN`.
    pub const IN: Self = Self(1 << 1);
    /// `RESULT=PASS`.
    pub const PASS: Self = Self(1 << 2);
    /// `RESULT=FAIL`.
    pub const FAIL: Self = Self(1 << 3);
    /// `WHERE=IPSEC`: the main path.
    pub const IPSEC: Self = Self(1 << 4);
    /// `WHERE=PROTOCOL`: ESP, AH and compression, each by itself.
    pub const PROTOCOL: Self = Self(1 << 5);
    /// `DISPLAY=BUFFERHEADER`.
    pub const BUFFER_HEADER: Self = Self(1 << 8);
    /// `DISPLAY=IPHEADER`.
    pub const IP_HEADER: Self = Self(1 << 9);
    /// `DISPLAY=DATA`.
    pub const DATA: Self = Self(1 << 10);
    /// `SELECTOR=LADDRESS`.
    pub const LOCAL_ADDRESS: Self = Self(1 << 16);
    /// `SELECTOR=LNAME`.
    pub const LOCAL_NAME: Self = Self(1 << 17);
    /// `SELECTOR=LPORT`.
    pub const LOCAL_PORT: Self = Self(1 << 18);
    /// `SELECTOR=RADDRESS`.
    pub const REMOTE_ADDRESS: Self = Self(1 << 19);
    /// `SELECTOR=RNAME`.
    pub const REMOTE_NAME: Self = Self(1 << 20);
    /// `SELECTOR=RPORT`.
    pub const REMOTE_PORT: Self = Self(1 << 21);
    /// `SELECTOR=TRANSPORTPROTOCOL`.
    pub const TRANSPORT_PROTOCOL: Self = Self(1 << 22);
    /// Everything.
    pub const ALL: Self = Self(DIRECTION.0 | RESULT.0 | WHERE.0 | DISPLAY.0 | SELECTOR.0);

    /// Returns everything but, of each filter that `flags` has a value of, the other values.
    pub fn only(flags: Self) -> Self {
        let of = |filter: Self| if flags.0 & filter.0 == 0 { filter } else { Self(flags.0 & filter.0) };
        [DIRECTION, RESULT, WHERE, DISPLAY, SELECTOR].into_iter().map(of).fold(Self::OFF, BitOr::bitor)
    }

    /// Returns whether all of `flags` are here.
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Returns the bits, as routers show them.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

const DIRECTION: DebugFlags = DebugFlags(DebugFlags::OUT.0 | DebugFlags::IN.0);
const RESULT: DebugFlags = DebugFlags(DebugFlags::PASS.0 | DebugFlags::FAIL.0);
const WHERE: DebugFlags = DebugFlags(DebugFlags::IPSEC.0 | DebugFlags::PROTOCOL.0);
const DISPLAY: DebugFlags = DebugFlags(DebugFlags::BUFFER_HEADER.0 | DebugFlags::IP_HEADER.0 | DebugFlags::DATA.0);
const SELECTOR: DebugFlags = DebugFlags(0x7f << 16);

impl BitOr for DebugFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Eight hexadecimal digits: `00000000`.
impl fmt::Display for DebugFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}", self.0)
    }
}

/// A text that does not name debug flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write off, all, or what is wanted: out, in, both, pass, fail, ipsec, protocol, bufferheader, ipheader, data, \
     laddress, lname, lport, raddress, rname, rport, transportprotocol"
)]
pub struct NotDebugFlags;

/// Reads `off`, `all`, or values of the filters with commas or spaces between: of a filter that none is named of, all
/// are meant.
impl FromStr for DebugFlags {
    type Err = NotDebugFlags;

    fn from_str(text: &str) -> Result<Self, NotDebugFlags> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::OFF);
        }
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        let named = words.map(|word| {
            let known = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
            known.map(|(_, flags)| *flags).ok_or(NotDebugFlags)
        });
        let flags = named.reduce(|all, one| Ok(all? | one?)).ok_or(NotDebugFlags)?;
        flags.map(Self::only)
    }
}

const WORDS: [(&str, DebugFlags); 18] = [
    ("all", DebugFlags::OFF),
    ("out", DebugFlags::OUT),
    ("in", DebugFlags::IN),
    ("both", DIRECTION),
    ("pass", DebugFlags::PASS),
    ("fail", DebugFlags::FAIL),
    ("ipsec", DebugFlags::IPSEC),
    ("protocol", DebugFlags::PROTOCOL),
    ("bufferheader", DebugFlags::BUFFER_HEADER),
    ("ipheader", DebugFlags::IP_HEADER),
    ("data", DebugFlags::DATA),
    ("laddress", DebugFlags::LOCAL_ADDRESS),
    ("lname", DebugFlags::LOCAL_NAME),
    ("lport", DebugFlags::LOCAL_PORT),
    ("raddress", DebugFlags::REMOTE_ADDRESS),
    ("rname", DebugFlags::REMOTE_NAME),
    ("rport", DebugFlags::REMOTE_PORT),
    ("transportprotocol", DebugFlags::TRANSPORT_PROTOCOL),
];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_filter_that_is_not_named_is_wide_open_and_one_that_is_lets_through_what_is_named() {
        let flags: DebugFlags = "IN, fail laddress,rport".parse().unwrap();
        let named = DebugFlags::IN | DebugFlags::FAIL | DebugFlags::LOCAL_ADDRESS | DebugFlags::REMOTE_PORT;
        assert!(flags.has(named | WHERE | DISPLAY));
        for other in [DebugFlags::OUT, DebugFlags::PASS, DebugFlags::REMOTE_ADDRESS, DebugFlags::TRANSPORT_PROTOCOL] {
            assert!(!flags.has(other), "{other}");
        }
        assert_eq!("all".parse(), Ok(DebugFlags::ALL));
        assert_eq!("both".parse(), Ok(DebugFlags::ALL));
        assert_eq!("off".parse(), Ok(DebugFlags::OFF));
    }

    #[test]
    fn every_word_of_routers_is_known_by_itself_and_nothing_else_is() {
        for (word, flags) in WORDS {
            let parsed: DebugFlags = word.to_uppercase().parse().unwrap();
            assert!(parsed.has(flags), "{word}");
            assert_eq!(parsed == DebugFlags::ALL, flags == DebugFlags::OFF || flags == DIRECTION, "{word}");
        }
        for wrong in ["", ",", "on", "in, sideways", "laddr", "off, in"] {
            assert_eq!(wrong.parse::<DebugFlags>(), Err(NotDebugFlags), "{wrong}");
        }
    }

    #[test]
    fn flags_are_shown_in_eight_digits_and_every_bit_has_one_meaning() {
        assert_eq!(DebugFlags::OFF.to_string(), "00000000");
        assert_eq!(DebugFlags::ALL.to_string(), "007F073F");
        let single = WORDS.iter().filter(|(_, flags)| flags.0.count_ones() == 1);
        let seen = single.fold(0, |seen, (word, flags)| {
            assert_eq!(seen & flags.0, 0, "{word}");
            seen | flags.0
        });
        assert_eq!(seen, DebugFlags::ALL.0);
    }

    #[test]
    fn the_length_has_a_most() {
        assert_eq!(DebugSettings::OFF.bounded().packet_length, 72);
        let endless = DebugSettings { packet_length: usize::MAX, ..DebugSettings::OFF };
        assert_eq!(endless.bounded().packet_length, defaults::MAX_DEBUG_LENGTH);
        assert!(!DebugSettings::OFF.is_on() && DebugSettings::ALL.is_on());
    }
}
