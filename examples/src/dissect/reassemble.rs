//! IP fragments: put together until the packet is whole, or given up with the reason.
//!
//! Everything is bounded: packets waiting, their octets and parts, and their age by the capture's
//! own clock. Overlapping fragments spoil their packet (RFC 5722 §3); the same fragment twice does not.

use super::capture::Frame;
use super::frame::{is_ours, network};
use ipsec_wire::ipv4::{self, Ipv4Packet};
use ipsec_wire::ipv6::{self, Ipv6Packet, next_header};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Packets that wait at a time; the oldest goes first.
const PACKETS: usize = 256;
/// Octets that all of them hold; the oldest packet goes first.
const OCTETS: usize = 4 << 20;
/// Parts of one packet: one of 65535 octets has no more at the smallest lawful MTU of IPv4 hosts, 576.
const PARTS: usize = 128;
/// How long a packet waits after its first part (RFC 8200 §4.5, RFC 1122 §3.3.2).
const AGE: Duration = Duration::from_secs(60);

/// What became of a frame.
#[derive(Debug)]
pub enum Taken {
    /// It is no fragment.
    Whole,
    /// It waits for the others.
    Waits,
    /// It was the last one missing.
    Complete(Joined),
}

/// A packet that was put together.
#[derive(Debug)]
pub struct Joined {
    /// The packet as it was before it was cut.
    pub octets: Vec<u8>,
    /// The numbers of the frames it came in.
    pub frames: Vec<u64>,
}

/// A packet of which nothing will come.
#[derive(Debug)]
pub struct GivenUp {
    /// The frames of its parts.
    pub frames: Vec<u64>,
    /// When the first of them was seen.
    pub time: Duration,
    /// Whom it is from.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// Why.
    pub reason: Reason,
}

/// Why a packet was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Parts are missing.
    #[error("parts are missing: octets {from} to {to} of its payload{}", if *.last { "" } else { ", and its end" })]
    Missing {
        /// The first octet that is missing.
        from: usize,
        /// The last one before the next part, or the first one.
        to: usize,
        /// Whether the last part has come.
        last: bool,
    },
    /// Parts overlap, or tell different lengths of the whole.
    #[error("its fragments contradict each other")]
    Overlap,
    /// A part that is not the last is no multiple of eight octets, or is empty.
    #[error("a fragment that is not the last is no multiple of eight octets")]
    Units,
    /// The whole would be longer than a packet can be.
    #[error("its fragments make more than an IP packet can hold")]
    TooLong,
    /// There are more parts than anyone needs.
    #[error("it comes in too many fragments")]
    TooMany,
    /// Others came and there was no room.
    #[error("too many packets were waiting for their parts")]
    NoRoom,
}

impl Reason {
    /// Returns the rule that the sender broke, if it broke one.
    pub fn section(self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } | Self::NoRoom | Self::TooMany => None,
            Self::Overlap => Some("RFC 5722 §3"),
            Self::Units => Some("RFC 791 §2.3, RFC 8200 §4.5"),
            Self::TooLong => Some("RFC 791 §3.1, RFC 8200 §4.5"),
        }
    }
}

/// The packets that wait for their parts.
#[derive(Debug, Default)]
pub struct Reassembly {
    waiting: BTreeMap<Name, Partial>,
    /// The names in the order of their first parts.
    order: VecDeque<Name>,
    octets: usize,
    given_up: Vec<GivenUp>,
}

/// What the parts of one packet have in common (RFC 791 §3.2, RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    source: IpAddr,
    destination: IpAddr,
    /// The protocol; 0 with IPv6, where only the first part's counts.
    protocol: u8,
    identification: u32,
}

#[derive(Debug)]
struct Partial {
    began: Duration,
    frames: Vec<u64>,
    /// The octets before the payload, made those of a whole packet: from the part at offset 0.
    head: Option<Vec<u8>>,
    /// The protocol of the payload, as the parts tell it.
    protocol: u8,
    parts: BTreeMap<usize, Vec<u8>>,
    /// How long the payload is, once the last part has come.
    length: Option<usize>,
    /// What cannot be mended.
    spoilt: Option<Reason>,
}

/// One part, taken out of its packet.
struct Part<'a> {
    name: Name,
    protocol: u8,
    offset: usize,
    more: bool,
    head: Vec<u8>,
    payload: &'a [u8],
}

impl Reassembly {
    /// Takes a frame; one that is no fragment of a protocol that matters is left alone.
    pub fn take(&mut self, frame: &Frame) -> Taken {
        match network(frame.link, &frame.octets) {
            Some(packet) => self.take_packet(frame.number, frame.time, packet),
            None => Taken::Whole,
        }
    }

    /// Takes an IP packet that came in a frame.
    pub fn take_packet(&mut self, frame: u64, time: Duration, octets: &[u8]) -> Taken {
        self.forget_the_old(time);
        let Some(part) = part(octets) else { return Taken::Whole };
        let name = part.name;
        let packet = self.waiting.entry(name).or_insert_with(|| {
            self.order.push_back(name);
            Partial::new(time, part.protocol)
        });
        packet.frames.push(frame);
        if packet.spoilt.is_none() {
            let held = packet.octets();
            packet.spoilt = packet.add(part).err();
            if packet.spoilt.is_some() {
                packet.parts.clear();
            }
            self.octets = self.octets + packet.octets() - held;
            if let Some(octets) = packet.whole() {
                let frames = std::mem::take(&mut packet.frames);
                self.remove(name);
                return Taken::Complete(Joined { octets, frames });
            }
        }
        while self.waiting.len() > PACKETS || self.octets > OCTETS {
            self.give_up_the_oldest(Some(Reason::NoRoom));
        }
        Taken::Waits
    }

    /// Gives up everything: the capture has ended.
    pub fn end(&mut self) {
        while !self.order.is_empty() {
            self.give_up_the_oldest(None);
        }
    }

    /// Takes the packets that were given up since the last call.
    pub fn given_up(&mut self) -> Vec<GivenUp> {
        std::mem::take(&mut self.given_up)
    }

    fn forget_the_old(&mut self, now: Duration) {
        while let Some(oldest) = self.order.front().and_then(|name| self.waiting.get(name)) {
            if now.saturating_sub(oldest.began) <= AGE {
                break;
            }
            self.give_up_the_oldest(None);
        }
    }

    fn give_up_the_oldest(&mut self, reason: Option<Reason>) {
        let Some(name) = self.order.front().copied() else { return };
        let Some(packet) = self.remove(name) else { return };
        if !packet.may_be_ours() {
            return;
        }
        let reason = packet.spoilt.or(reason).unwrap_or_else(|| packet.missing());
        let (source, destination) = (name.source, name.destination);
        self.given_up.push(GivenUp { frames: packet.frames, time: packet.began, source, destination, reason });
    }

    fn remove(&mut self, name: Name) -> Option<Partial> {
        self.order.retain(|waiting| *waiting != name);
        let packet = self.waiting.remove(&name)?;
        self.octets -= packet.octets();
        Some(packet)
    }
}

impl Partial {
    fn new(began: Duration, protocol: u8) -> Self {
        let (head, parts, length, spoilt) = (None, BTreeMap::new(), None, None);
        Self { began, frames: Vec::new(), head, protocol, parts, length, spoilt }
    }

    fn octets(&self) -> usize {
        self.parts.values().map(Vec::len).sum()
    }

    fn add(&mut self, part: Part<'_>) -> Result<(), Reason> {
        let end = part.offset + part.payload.len();
        if part.more && (part.payload.is_empty() || !part.payload.len().is_multiple_of(8)) {
            return Err(Reason::Units);
        }
        let is_ipv6 = part.head.first().is_some_and(|octet| octet >> 4 == 6);
        if part.head.len() + end > if is_ipv6 { ipv6::MAX_PACKET_LEN } else { ipv4::MAX_PACKET_LEN } {
            return Err(Reason::TooLong);
        }
        if self.parts.get(&part.offset).is_some_and(|held| held == part.payload) {
            return Ok(());
        }
        let before = self.parts.range(..=part.offset).next_back().map_or(0, |(at, held)| at + held.len());
        let after = self.parts.range(part.offset..).next().map_or(usize::MAX, |(at, _)| *at);
        let ends_otherwise = self.length.is_some_and(|length| end > length || (!part.more && end != length));
        let ends_too_soon = !part.more && self.parts.last_key_value().is_some_and(|(at, held)| at + held.len() > end);
        if before > part.offset || after < end || ends_otherwise || ends_too_soon {
            return Err(Reason::Overlap);
        }
        if self.parts.len() == PARTS {
            return Err(Reason::TooMany);
        }
        if part.offset == 0 {
            self.head = Some(part.head);
            self.protocol = part.protocol;
        }
        if !part.more {
            self.length = Some(end);
        }
        self.parts.insert(part.offset, part.payload.to_vec());
        Ok(())
    }

    /// Returns the packet when nothing is missing.
    fn whole(&self) -> Option<Vec<u8>> {
        let head = self.head.as_ref().filter(|_| Some(self.octets()) == self.length)?;
        let mut octets = head.clone();
        self.parts.values().for_each(|part| octets.extend_from_slice(part));
        let length = octets.len();
        if let Ok(mut packet) = Ipv4Packet::new_checked(&mut octets[..]) {
            packet.set_total_len(u16::try_from(length).ok()?);
            packet.fill_checksum();
        } else {
            Ipv6Packet::new_checked(&mut octets[..])
                .ok()?
                .set_payload_len(u16::try_from(length - ipv6::HEADER_LEN).ok()?);
        }
        Some(octets)
    }

    /// Returns the first gap.
    fn missing(&self) -> Reason {
        let mut from = 0;
        for (at, part) in &self.parts {
            if *at > from {
                return Reason::Missing { from, to: at - 1, last: self.length.is_some() };
            }
            from = at + part.len();
        }
        Reason::Missing { from, to: from, last: self.length.is_some() }
    }

    /// Returns whether it could have been something of ours: the ports of UDP tell, where they came.
    fn may_be_ours(&self) -> bool {
        match (self.protocol, self.parts.get(&0)) {
            (17, Some(first)) => match first.first_chunk::<4>() {
                Some([a, b, c, d]) => [[*a, *b], [*c, *d]].iter().any(|port| is_ours(u16::from_be_bytes(*port))),
                None => true,
            },
            _ => true,
        }
    }
}

/// Reads a fragment of a protocol that matters.
fn part(octets: &[u8]) -> Option<Part<'_>> {
    match octets.first()? >> 4 {
        4 => ipv4_part(octets),
        6 => ipv6_part(octets),
        _ => None,
    }
}

fn ipv4_part(octets: &[u8]) -> Option<Part<'_>> {
    let packet = Ipv4Packet::new_checked(octets).ok().filter(Ipv4Packet::is_fragment)?;
    let protocol = packet.protocol();
    if ![17, 50, 51, 115].contains(&protocol) {
        return None;
    }
    let payload = octets.get(packet.header_len()..packet.total_len())?;
    let mut head = packet.header().to_vec();
    // Neither flags nor offset, and for now a length that the header alone fills.
    head.get_mut(6..8)?.fill(0);
    let length = u16::try_from(head.len()).ok()?.to_be_bytes();
    head.get_mut(2..4)?.copy_from_slice(&length);
    let name = Name {
        source: packet.source().into(),
        destination: packet.destination().into(),
        protocol,
        identification: packet.identification().into(),
    };
    Some(Part { name, protocol, offset: packet.fragment_offset(), more: packet.more_fragments(), head, payload })
}

fn ipv6_part(octets: &[u8]) -> Option<Part<'_>> {
    let packet = Ipv6Packet::new_checked(octets).ok()?;
    // Where the header before announces the fragment header.
    let mut announced = 6;
    let header = packet.extension_headers().map_while(Result::ok).find(|header| {
        let found = header.kind == next_header::FRAGMENT;
        if !found {
            announced = header.offset;
        }
        found
    })?;
    let field: &[u8; 8] = header.octets.first_chunk()?;
    let place = u16::from_be_bytes([field[2], field[3]]);
    let (offset, more) = (usize::from(place & 0xfff8), place & 1 != 0);
    let protocol = field[0];
    let matters = [17, 50, 51, 115, next_header::DESTINATION_OPTIONS, next_header::ROUTING].contains(&protocol);
    // One that is alone is whole (RFC 6946 §4).
    if !matters || (offset == 0 && !more) {
        return None;
    }
    let mut head = octets.get(..header.offset)?.to_vec();
    *head.get_mut(announced)? = protocol;
    head.get_mut(4..6)?.fill(0);
    let name = Name {
        source: packet.source().into(),
        destination: packet.destination().into(),
        protocol: 0,
        identification: u32::from_be_bytes([field[4], field[5], field[6], field[7]]),
    };
    let payload = octets.get(header.offset + field.len()..packet.total_len())?;
    Some(Part { name, protocol, offset, more, head, payload })
}
