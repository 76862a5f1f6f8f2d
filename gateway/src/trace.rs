//! The lines of the policy debugger: what they hold, and how they read.

use crate::inbound::DropReason;
use crate::outbound::OutboundDrop;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use drive::Path;
use ikev1_core::ChildId;
use ipsec_wire::ipv4::Ipv4Packet;
use ipsec_wire::ipv6::Ipv6Packet;
use sad::SaProtocol;
use spd::{Direction, Refusal, SelectorPart};

/// A line of the policy debugger, as [`DebugSettings`](crate::DebugSettings) ask for it.
///
/// It reads as routers print it; what a packet holds stands on lines of its own behind the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The device of the settings that asked for it.
    pub device: u32,
    /// What is told.
    pub line: TraceLine,
}

/// What a line of the policy debugger tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceLine {
    /// A packet was held against a selector: `IPSEC: filt: pass: laddr: pol vpn`.
    Filter(FilterTrace),
    /// A packet as it was before or after it was processed: `IPSEC vpn: 2: OUT: pre processing`.
    Packet(PacketTrace),
    /// A packet took a step: `ESP vpn: 2: OUT: sealed with SPI 0x00001002, number 7`.
    Step(StepTrace),
    /// Lines that were dropped here, because nobody took those before: how many.
    Lost(u64),
}

/// One selector that a packet was held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterTrace {
    /// Which way the packet goes.
    pub direction: Direction,
    /// Whose selector.
    pub of: FilterOf,
    /// Which selector; none for the direction that a policy is for.
    pub selector: Option<SelectorPart>,
    /// Why the packet does not satisfy it; none if it does.
    pub refusal: Option<Refusal>,
}

/// Whose selectors packets are held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterOf {
    /// Those of a policy, by its name.
    Policy(String),
    /// Those that were negotiated for a pair.
    Pair(ChildId),
}

/// A packet as it was before or after it was processed.
///
/// It is as clear, or as sealed, as the packet was there. No key is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketTrace {
    /// The name of its policy.
    pub policy: String,
    /// The pair that carries it.
    pub child: ChildId,
    /// Which way it goes.
    pub direction: Direction,
    /// By whom it is processed.
    pub place: TracePlace,
    /// When that was.
    pub stage: TraceStage,
    /// `BUFFERHEADER`, if it is displayed.
    pub buffer: Option<BufferHeader>,
    /// `IPHEADER`, if it is displayed and the octets begin with one that does not lie.
    pub ip_header: Option<IpHeader>,
    /// `DATA`: the first octets, if they are displayed; cut to the debug length.
    pub data: Vec<u8>,
}

/// Who processes a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TracePlace {
    /// The main path: everything together.
    Ipsec,
    /// ESP.
    Esp,
    /// AH.
    Ah,
    /// Compression.
    Ipcomp,
}

/// When a packet was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TraceStage {
    /// Before it was processed.
    Before,
    /// After it was.
    After,
    /// After that failed; what is left of the packet is not shown.
    Failed,
}

/// Where a packet stands in its buffer, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferHeader {
    /// Room before it.
    pub headroom: usize,
    /// Its own length.
    pub length: usize,
    /// Room behind it.
    pub tailroom: usize,
}

/// What an IP header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpHeader {
    /// The sender.
    pub source: IpAddr,
    /// The destination.
    pub destination: IpAddr,
    /// The protocol above it; the next header of IPv6.
    pub protocol: u8,
    /// The length of the packet, header included.
    pub length: usize,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// The time to live; the hop limit of IPv6.
    pub ttl: u8,
    /// What IPv4 says about fragments.
    pub fragment: Option<IpFragment>,
}

/// What an IPv4 header says about fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpFragment {
    /// The number of the packet.
    pub identification: u16,
    /// Whether it must not be fragmented.
    pub dont_fragment: bool,
    /// Whether more fragments follow.
    pub more: bool,
    /// Where the fragment begins, in octets.
    pub offset: usize,
}

impl IpHeader {
    /// Reads the header that a packet begins with; none if it lies.
    pub(crate) fn of(packet: &[u8]) -> Option<Self> {
        if packet.first()? >> 4 == 6 {
            let view = Ipv6Packet::new_checked(packet).ok()?;
            return Some(Self {
                source: view.source().into(),
                destination: view.destination().into(),
                protocol: view.next_header(),
                length: view.total_len(),
                traffic_class: view.traffic_class(),
                ttl: view.hop_limit(),
                fragment: None,
            });
        }
        let view = Ipv4Packet::new_checked(packet).ok()?;
        let fragment = IpFragment {
            identification: view.identification(),
            dont_fragment: view.dont_fragment(),
            more: view.more_fragments(),
            offset: view.fragment_offset(),
        };
        Some(Self {
            source: view.source().into(),
            destination: view.destination().into(),
            protocol: view.protocol(),
            length: view.total_len(),
            traffic_class: view.traffic_class(),
            ttl: view.ttl(),
            fragment: Some(fragment),
        })
    }
}

/// A step that a packet took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepTrace {
    /// The name of its policy.
    pub policy: String,
    /// The pair that carries it, if there is one.
    pub child: Option<ChildId>,
    /// Which way it goes.
    pub direction: Direction,
    /// The step.
    pub step: Step,
}

/// What happened to a packet on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The policies were asked, and this is the first that names it.
    LookUp(spd::Action),
    /// A pair was found to carry it.
    Chosen,
    /// It waits for an association; so many wait for this policy.
    Queued(usize),
    /// The negotiation of what it waits for was started.
    Acquire(AcquireTrace),
    /// It was compressed.
    Compressed {
        /// Its octets before.
        from: usize,
        /// Its octets now.
        to: usize,
    },
    /// It was sealed.
    Sealed {
        /// The protocol.
        protocol: SaProtocol,
        /// The SPI.
        spi: u32,
        /// The sequence number.
        sequence: u64,
    },
    /// It leaves.
    Sent {
        /// The path.
        path: Path,
        /// Its octets, as the payload of that path.
        octets: usize,
    },
    /// It was too long for its path, and leaves in fragments that are told by themselves.
    Parted,
    /// It passed the replay check and the ICV, and was opened.
    Opened {
        /// The protocol.
        protocol: SaProtocol,
        /// The SPI.
        spi: u32,
        /// The sequence number.
        sequence: u64,
    },
    /// It came, as the newest, from elsewhere than those before: the exchanges are told.
    PathLearned(Path),
    /// It was expanded.
    Expanded {
        /// Its octets before.
        from: usize,
        /// Its octets now.
        to: usize,
    },
    /// It is handed to this side.
    Delivered {
        /// Its octets.
        octets: usize,
    },
    /// It is dropped instead of sent.
    NotSent(OutboundDrop),
    /// It is dropped instead of handed to this side.
    NotDelivered(DropReason),
}

/// The negotiation that a packet asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireTrace {
    /// `initiatorAddress`: this end, if the plan fixes it.
    pub initiator_address: Option<IpAddr>,
    /// `responderAddress`: the peer, if the plan knows one.
    pub responder_address: Option<IpAddr>,
    /// `protId`: the ISAKMP protocol number of the first association, RFC 2407 §4.4.1.
    pub protocol_id: u8,
    /// How many alternatives are offered.
    pub transforms: usize,
    /// How many associations there will be in each direction: those of the first alternative.
    pub sas: usize,
}

impl Step {
    /// Returns whether it went well.
    pub const fn passed(&self) -> bool {
        !matches!(self, Self::NotSent(_) | Self::NotDelivered(_) | Self::LookUp(spd::Action::Discard))
    }

    /// Returns who took it: a protocol, or the main path.
    pub const fn place(&self) -> TracePlace {
        match self {
            Self::Sealed { protocol, .. } | Self::Opened { protocol, .. } => TracePlace::of(*protocol),
            Self::Compressed { .. } | Self::Expanded { .. } => TracePlace::Ipcomp,
            Self::LookUp(_)
            | Self::Chosen
            | Self::Queued(_)
            | Self::Acquire(_)
            | Self::Sent { .. }
            | Self::Parted
            | Self::PathLearned(_)
            | Self::Delivered { .. }
            | Self::NotSent(_)
            | Self::NotDelivered(_) => TracePlace::Ipsec,
        }
    }
}

impl TracePlace {
    pub(crate) const fn of(protocol: SaProtocol) -> Self {
        match protocol {
            SaProtocol::Esp => Self::Esp,
            SaProtocol::Ah => Self::Ah,
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.line {
            TraceLine::Filter(filter) => filter.fmt(f),
            TraceLine::Packet(packet) => packet.fmt(f),
            TraceLine::Step(step) => step.fmt(f),
            TraceLine::Lost(count) => write!(f, "IPSEC: {count} lines lost"),
        }
    }
}

/// `IPSEC: filt: pass: laddr: pol vpn`, `IPSEC: filt: fail: rport: sa 2`.
impl fmt::Display for FilterTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let result = if self.refusal.is_none() { "pass" } else { "fail" };
        let selector = match self.selector {
            Some(SelectorPart::LocalAddress) => "laddr",
            Some(SelectorPart::RemoteAddress) => "raddr",
            Some(SelectorPart::Protocol) => "proto",
            Some(SelectorPart::LocalPort) => "lport",
            Some(SelectorPart::RemotePort) => "rport",
            Some(SelectorPart::Message) => "icmp",
            Some(SelectorPart::LocalName) => "lname",
            Some(SelectorPart::RemoteName) => "rname",
            None => "dir",
        };
        write!(f, "IPSEC: filt: {result}: {selector}: ")?;
        match &self.of {
            FilterOf::Policy(name) => write!(f, "pol {name}"),
            FilterOf::Pair(child) => write!(f, "sa {}", child.0),
        }
    }
}

/// `IPSEC vpn: 2: OUT: pre processing`, then what is displayed.
impl fmt::Display for PacketTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            TraceStage::Before => "pre processing",
            TraceStage::After => "post processing",
            TraceStage::Failed => "post processing: failed",
        };
        write!(f, "{} {}: {}: {}: {stage}", self.place, self.policy, self.child.0, word(self.direction))?;
        if let Some(BufferHeader { headroom, length, tailroom }) = self.buffer {
            write!(f, "\n  buffer: {headroom} before, {length} octets, {tailroom} behind")?;
        }
        if let Some(header) = &self.ip_header {
            write!(f, "\n  ip: {header}")?;
        }
        for (row, octets) in self.data.chunks(16).enumerate() {
            write!(f, "\n  {:04x}:", row * 16)?;
            octets.iter().try_for_each(|octet| write!(f, " {octet:02x}"))?;
        }
        Ok(())
    }
}

/// `10.0.1.1 > 10.0.2.1, protocol 1, 84 octets, tos 0x00, ttl 64, id 1, df`.
impl fmt::Display for IpHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, destination, protocol, length, traffic_class, ttl, fragment } = self;
        write!(
            f,
            "{source} > {destination}, protocol {protocol}, {length} octets, tos {traffic_class:#04x}, ttl {ttl}"
        )?;
        let Some(IpFragment { identification, dont_fragment, more, offset }) = fragment else { return Ok(()) };
        write!(f, ", id {identification}")?;
        if *dont_fragment {
            f.write_str(", df")?;
        }
        if *more {
            f.write_str(", mf")?;
        }
        if *offset > 0 {
            write!(f, ", offset {offset}")?;
        }
        Ok(())
    }
}

/// `IPSEC vpn: OUT: look-up: protect`, `ESP vpn: 2: OUT: sealed with SPI 0x00001002, number 7`.
impl fmt::Display for StepTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.step.place(), self.policy)?;
        if let Some(child) = self.child {
            write!(f, "{}: ", child.0)?;
        }
        write!(f, "{}: {}", word(self.direction), self.step)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LookUp(spd::Action::Protect(_)) => f.write_str("look-up: protect"),
            Self::LookUp(spd::Action::Bypass) => f.write_str("look-up: bypass"),
            Self::LookUp(spd::Action::Discard) => f.write_str("look-up: discard"),
            Self::Chosen => f.write_str("carries it"),
            Self::Queued(waiting) => write!(f, "queued, {waiting} wait"),
            Self::Acquire(acquire) => acquire.fmt(f),
            Self::Compressed { from, to } => write!(f, "compressed, {from} to {to} octets"),
            Self::Sealed { spi, sequence, .. } => write!(f, "sealed with SPI {spi:#010x}, number {sequence}"),
            Self::Sent { path, octets } => write!(f, "sent, {octets} octets, {path}"),
            Self::Parted => f.write_str("sent in fragments"),
            Self::Opened { spi, sequence, .. } => {
                write!(f, "replay pass, ICV pass, opened with SPI {spi:#010x}, number {sequence}")
            }
            Self::PathLearned(path) => write!(f, "the peer is elsewhere: {path}"),
            Self::Expanded { from, to } => write!(f, "expanded, {from} to {to} octets"),
            Self::Delivered { octets } => write!(f, "delivered, {octets} octets"),
            Self::NotSent(reason) => write!(f, "dropped: {reason}"),
            Self::NotDelivered(reason) => write!(f, "dropped: {reason}"),
        }
    }
}

/// `acquire: initiatorAddress 192.0.2.1, responderAddress 192.0.2.2, protId 3, #transforms 2, sas 1`.
impl fmt::Display for AcquireTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("acquire: ")?;
        for (name, address) in
            [("initiatorAddress", self.initiator_address), ("responderAddress", self.responder_address)]
        {
            match address {
                Some(address) => write!(f, "{name} {address}, ")?,
                None => write!(f, "{name} any, ")?,
            }
        }
        write!(f, "protId {}, #transforms {}, sas {}", self.protocol_id, self.transforms, self.sas)
    }
}

impl fmt::Display for TracePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipsec => "IPSEC",
            Self::Esp => "ESP",
            Self::Ah => "AH",
            Self::Ipcomp => "COMP",
        })
    }
}

const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Outbound => "OUT",
        Direction::Inbound => "IN",
    }
}
