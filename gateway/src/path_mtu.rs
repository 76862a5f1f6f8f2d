//! How long packets may be on the path of a pair, learned from routers on it, RFC 4301 §8.2.
//!
//! A router's report quotes the packet that was too long. It is believed if that packet bears an SPI and a
//! sequence number of a pair towards that peer, and only ever lowers the MTU, within bounds and for a while.
//! Fragments around what is sealed are the caller's system's affair; none are made here.

use crate::action::{Action, Event};
use crate::counters::count;
use crate::defaults;
use crate::demux::{AH, ESP, Ports};
use crate::layers::Layers;
use crate::outbound::OutboundDrop;
use crate::pair::Pair;
use crate::pump::Gateway;
use bytes::Bytes;
use core::net::IpAddr;
use drive::{Instant, Path};
use esp_ah::mode::{Encapsulation, MIN_MTU_V4, MIN_MTU_V6, fragments, too_big_reply};
use ikev1_core::ChildId;
use ikev1_core::proposal::Mode;
use ipsec_wire::icmp::IcmpMessage;
use ipsec_wire::ipv4::Ipv4Packet;
use ipsec_wire::ipv6::Ipv6Packet;
use ipsec_wire::udp;

/// What a pair knows about the length of its path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PathMtu {
    /// What was learned, and until when it holds.
    learned: Option<(usize, Instant)>,
}

impl PathMtu {
    /// Returns the MTU of the path, if there is anything to hold packets to.
    pub(crate) fn path(&self, now: Instant, configured: Option<usize>) -> Option<usize> {
        let learned = self.learned.filter(|(_, until)| *until > now).map(|(mtu, _)| mtu);
        [learned, configured].into_iter().flatten().min()
    }
}

/// Why a report about the path was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportRefusal {
    /// It is no report of a packet that was too long, or its headers lie.
    #[error("not a report of a packet too long")]
    Malformed,
    /// The packet it quotes was not sent by a pair of this gateway.
    #[error("about no packet of ours")]
    NotOurs,
    /// It would not lower what is known.
    #[error("nothing new")]
    NothingNew,
    /// More reports came than are looked at.
    #[error("too many reports")]
    TooMany,
    /// The gateway is closed.
    #[error("closed")]
    Closed,
}

/// How many reports are still looked at, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    since: Option<Instant>,
    used: u32,
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now - since >= defaults::REPORT_PERIOD) {
            *self = Self { since: Some(now), used: 0 };
        }
        self.used = self.used.saturating_add(1);
        self.used <= defaults::MAX_REPORTS
    }
}

/// The packet that a report quotes, as far as the report shows it.
struct Quoted {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    spi: u32,
    sequence: u32,
}

impl Gateway {
    /// Takes in an ICMP or ICMPv6 message, from its type on, that arrived at this machine for a packet it sent.
    ///
    /// From now on, and for ten minutes, the packets of that pair are held to the MTU it reports: what is
    /// longer and must not be fragmented comes back as [`Action::Reply`], for its sender.
    ///
    /// # Errors
    /// Why it is not believed; a counter is all that changed.
    pub fn handle_icmp(&mut self, now: Instant, v6: bool, message: &[u8]) -> Result<ChildId, ReportRefusal> {
        let now = self.clock.observe(now);
        let taken = self.learn_mtu(now, v6, message);
        if taken.is_err() {
            count(&mut self.counters.reports_refused);
        }
        taken
    }

    fn learn_mtu(&mut self, now: Instant, v6: bool, message: &[u8]) -> Result<ChildId, ReportRefusal> {
        if self.closed {
            return Err(ReportRefusal::Closed);
        }
        let (mtu, quoted) = read(self.ports, v6, message).ok_or(ReportRefusal::Malformed)?;
        if !self.reports.take(now) {
            return Err(ReportRefusal::TooMany);
        }
        let children = self.outbound_spis.get(&(quoted.spi, quoted.destination));
        let child = *children.ok_or(ReportRefusal::NotOurs)?;
        let pair = self.pairs.get_mut(&child).ok_or(ReportRefusal::NotOurs)?;
        let outermost = pair.outbound.ah.or(pair.outbound.esp).ok_or(ReportRefusal::NotOurs)?;
        let sent = self.sad.last_sequence(outermost).unwrap_or(0);
        // Only the lower half is on the wire; what was not sent yet cannot have been too long.
        let plausible = u64::from(quoted.sequence) <= sent || sent > u64::from(u32::MAX);
        let ours = quoted.source == pair.path.local.ip() && quoted.protocol == pair.path.protocol && plausible;
        if !ours || quoted.sequence == 0 {
            return Err(ReportRefusal::NotOurs);
        }
        let believed = mtu.max(if v6 { MIN_MTU_V6 } else { MIN_MTU_V4 });
        if pair.mtu.path(now, self.path_mtu).is_some_and(|known| known <= believed) {
            return Err(ReportRefusal::NothingNew);
        }
        pair.mtu.learned = Some((believed, now + defaults::MTU_AGE));
        count(&mut self.counters.reports_taken);
        self.news(Event::PathMtuLowered { child, mtu: believed });
        Ok(child)
    }

    /// Refuses a packet that is too long for its path and must not be fragmented, and makes the answer for its
    /// sender.
    pub(crate) fn hold_to_mtu(
        &mut self,
        now: Instant,
        child: ChildId,
        path: usize,
        packet: &[u8],
    ) -> Result<(), OutboundDrop> {
        let Some(pair) = self.pairs.get(&child) else { return Ok(()) };
        let v6 = packet.first().is_some_and(|octet| octet >> 4 == 6);
        let may_fragment = !v6 && Ipv4Packet::new_checked(packet).is_ok_and(|view| !view.dont_fragment());
        let most = longest(self.ports, pair, path);
        if packet.len() <= most || may_fragment {
            return Ok(());
        }
        // Senders of IPv6 do not go below its least MTU, RFC 8200 §5: what is left over has to be fragmented
        // outside.
        let told = if v6 { most.max(MIN_MTU_V6) } else { most };
        if packet.len() <= told {
            return Ok(());
        }
        count(&mut self.counters.out_too_long);
        let from = match pair.mode {
            Mode::Tunnel => self.reply_from(packet, v6),
            Mode::Transport => Some(pair.ends.local),
        };
        let mut reply = [0; MIN_MTU_V6];
        if let Some(from) = from
            && self.replies.take(now)
            && let Ok(length @ 1..) = too_big_reply(&mut reply, packet, from, told)
        {
            self.push(Action::Reply(Bytes::copy_from_slice(reply.get(..length).unwrap_or_default())));
        }
        Err(OutboundDrop::TooLong { mtu: told })
    }

    /// Seals a packet that is too long for its path in fragments, as actions, if it may be; returns whether it did.
    pub(crate) fn leaves_in_parts(&mut self, now: Instant, child: ChildId, path: usize, packet: &[u8]) -> bool {
        let Some(pair) = self.pairs.get(&child) else { return false };
        let all_ports = pair.local.port() == 0 && pair.remote.port() == 0;
        let most = longest(self.ports, pair, path);
        if pair.mode != Mode::Tunnel || !all_ports || packet.len() <= most {
            return false;
        }
        // What must not be fragmented, is IPv6, or has no room for eight octets a fragment is no packet for this.
        let Ok(parts) = fragments(packet, most) else { return false };
        for part in parts {
            count(&mut self.counters.out_copies);
            let whole = [part.header(), part.payload()].concat();
            // What finds no association any more waits, or is counted as dropped.
            let _ = self.seal_copy(now, &whole, |clear| Action::Bypass(Bytes::copy_from_slice(clear)));
        }
        count(&mut self.counters.out_parted);
        true
    }

    /// The address that a report to a sender comes from: that of whom it talks to, which its sender has a route
    /// to through this gateway.
    fn reply_from(&self, packet: &[u8], v6: bool) -> Option<IpAddr> {
        if v6 {
            return Ipv6Packet::new_checked(packet).ok().map(|view| view.destination().into());
        }
        Ipv4Packet::new_checked(packet).ok().map(|view| view.destination().into())
    }
}

/// Returns the longest packet that fits the path of a pair once it is sealed.
pub(crate) fn longest(ports: Ports, pair: &Pair, path: usize) -> usize {
    let path = path.saturating_sub(ports.marker(pair.path).len());
    let outside = Encapsulation::towards(pair.path.remote.ip(), pair.path.is_udp()).octets();
    let Layers { ah_len, suite, .. } = pair.outbound;
    let room = path.saturating_sub(outside).saturating_sub(ah_len);
    let payload = suite.map_or(Some(room), |suite| suite.max_payload(room)).unwrap_or(0);
    match pair.mode {
        Mode::Tunnel => payload,
        // The header is the packet's own.
        Mode::Transport => payload.saturating_add(Encapsulation::towards(pair.ends.remote, false).octets()),
    }
}

/// Reads the MTU that a report gives and the packet it quotes.
fn read(ports: Ports, v6: bool, message: &[u8]) -> Option<(usize, Quoted)> {
    let view = IcmpMessage::new_checked(message).ok()?;
    let mtu = if v6 { view.packet_too_big()? } else { view.fragmentation_needed()?.into() };
    let mtu = usize::try_from(mtu).ok()?;
    let quote = view.body();
    let (source, destination, protocol, rest): (IpAddr, IpAddr, u8, &[u8]) = if v6 {
        // A quote is cut off, which the view of a whole packet would refuse.
        let header = quote.first_chunk::<40>()?;
        let addresses = (header.get(8..24)?, header.get(24..40)?);
        let (from, to) = (<[u8; 16]>::try_from(addresses.0).ok()?, <[u8; 16]>::try_from(addresses.1).ok()?);
        if header.first()? >> 4 != 6 {
            return None;
        }
        (from.into(), to.into(), *header.get(6)?, quote.get(40..)?)
    } else {
        let header = quote.first_chunk::<20>()?;
        let [version, _, _, _, _, _, _, _, _, protocol, _, _, a, b, c, d, e, f, g, h] = *header;
        if version >> 4 != 4 {
            return None;
        }
        ([a, b, c, d].into(), [e, f, g, h].into(), protocol, quote.get(usize::from(version & 15) * 4..)?)
    };
    let (spi_at, sequence_at) = match protocol {
        ESP => (0, 4),
        AH => (4, 8),
        Path::UDP => {
            let port = rest.first_chunk().map(|port| u16::from_be_bytes(*port))?;
            let spi_at = udp::HEADER_LEN + ports.marker_from(port).len();
            (spi_at, spi_at + 4)
        }
        _ => return None,
    };
    let word = |at: usize| rest.get(at..).and_then(|rest| rest.first_chunk()).map(|word| u32::from_be_bytes(*word));
    // AH shows its sequence number behind the eight octets that old routers quote, so it may be missing.
    let sequence = word(sequence_at).or((protocol == AH).then_some(1))?;
    Some((mtu, Quoted { source, destination, protocol, spi: word(spi_at)?, sequence }))
}
