//! What of a packet goes into its associations, and how a packet is made again of what comes out.
//!
//! In tunnel mode the whole packet goes in. In transport mode the IP header stays outside. Around AH, which
//! covers it, it stays as it is; else the caller's system makes it again from the path, so what it would not
//! make again is refused.

use crate::header::{Header, OuterRules};
use crate::inbound::DropReason;
use crate::layers::Layers;
use crate::outbound::OutboundDrop;
use core::net::IpAddr;
use core::ops::Range;
use esp_ah::Packet;
use esp_ah::mode::{IPV6, Inner, ModeError, TransportSplit, transport_split, tunnel_leave};
use ikev1_core::proposal::Mode;
use ipsec_wire::{ipv4, ipv6};
use nat_t::checksum::{recompute, repair};

/// The ends of a pair in transport mode, as they stand in the headers of what it carries.
///
/// They are those of the time when the pair was made: when a NAT changes its mapping later, what travels
/// changes its path and what is carried does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
    /// Whether checksums may have been made over other addresses than these: a NAT is on the way.
    pub(crate) translated: bool,
    /// Source and destination as the peer wrote them, if it told.
    pub(crate) original: Option<(IpAddr, IpAddr)>,
}

/// A packet before its first association.
#[derive(Debug)]
pub(crate) struct Entered {
    /// What goes in, and where in its buffer it lies.
    pub(crate) inside: Range<usize>,
    /// What kind it is.
    pub(crate) next_header: u8,
    /// What the header around it says.
    pub(crate) header: Header,
    /// Where the packet parts, if its own header waits right before what goes in.
    pub(crate) split: Option<TransportSplit>,
}

/// Finds what goes into the associations.
pub(crate) fn enter(
    mode: Mode,
    layers: &Layers,
    rules: &OuterRules,
    packet: &mut Packet<'_>,
) -> Result<Entered, OutboundDrop> {
    let mut inside = packet.reborrow();
    let fields = Inner::of(inside.octets()).map_err(ModeError::from)?;
    let trimmed = |inside: &mut Packet<'_>, head: usize, total: usize| {
        let behind = inside.len().saturating_sub(total);
        inside.trim_back(behind).and_then(|()| inside.trim_front(head)).ok_or(OutboundDrop::Malformed)
    };
    let (next_header, header, split) = match mode {
        Mode::Tunnel => {
            trimmed(&mut inside, 0, fields.total_len)?;
            (fields.next_header, rules.around(&fields), None)
        }
        Mode::Transport => {
            let Inner { traffic_class, dont_fragment, ttl, .. } = fields;
            let split = transport_split(inside.octets())?;
            let plain = if fields.next_header == IPV6 { ipv6::HEADER_LEN } else { ipv4::MIN_HEADER_LEN };
            let kept = layers.ah.is_some();
            if kept {
                split.part(&mut inside, layers.gap)?;
            } else if split.header_len == plain {
                trimmed(&mut inside, split.header_len, split.total_len)?;
            } else {
                return Err(OutboundDrop::Options);
            }
            (split.next_header, Header { traffic_class, dont_fragment, ttl }, kept.then_some(split))
        }
    };
    Ok(Entered { inside: inside.range(), next_header, header, split })
}

/// The header that stood around a payload, kept in the buffer before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around {
    split: TransportSplit,
    /// Where in the buffer the header ends.
    end: usize,
    /// DSCP and ECN.
    pub(crate) traffic_class: u8,
}

impl Around {
    /// Takes the header off a whole packet and keeps it.
    pub(crate) fn take(packet: &mut Packet<'_>) -> Result<Self, ModeError> {
        let split = transport_split(packet.octets())?;
        let traffic_class = Inner::of(packet.octets())?.traffic_class;
        let behind = packet.len().saturating_sub(split.total_len);
        let end = packet.range().start.saturating_add(split.header_len);
        let taken = packet.trim_back(behind).and_then(|()| packet.trim_front(split.header_len));
        taken.ok_or(ModeError::TooLong(split.total_len))?;
        Ok(Self { split, end, traffic_class })
    }

    /// Returns what the header announced.
    pub(crate) const fn protocol(&self) -> u8 {
        self.split.next_header
    }
}

/// Makes a whole packet, of the kind `next_header` announced, of what came out of the last association.
///
/// `traffic_class` is the outer header's, if it is known: a congestion mark on it is passed on, RFC 6040 §4.2.
pub(crate) fn leave(
    mode: Mode,
    ends: &Ends,
    next_header: u8,
    around: Option<&Around>,
    traffic_class: Option<u8>,
    packet: &mut Packet<'_>,
) -> Result<(), DropReason> {
    match (mode, around) {
        (Mode::Tunnel, _) => tunnel_leave(packet, next_header, traffic_class).map(drop)?,
        (Mode::Transport, Some(around)) => {
            let gap = packet.range().start.saturating_sub(around.end);
            around.split.rejoin(packet, gap, next_header)?;
        }
        (Mode::Transport, None) => {
            if ends.translated {
                mend(ends, next_header, packet)?;
            }
            let header = Header { traffic_class: traffic_class.unwrap_or(0), ..Header::default() };
            header.prepend_ip((ends.remote, ends.local), next_header, 0, packet)?;
        }
    }
    Ok(())
}

/// Makes the checksum of TCP or UDP fit the addresses that stand in the header here, RFC 3948 §3.1.2.
fn mend(ends: &Ends, protocol: u8, packet: &mut Packet<'_>) -> Result<(), DropReason> {
    let received = (ends.remote, ends.local);
    let mended = match ends.original {
        Some(original) => repair(protocol, packet.octets_mut(), original, received),
        // The payload is authentic: a checksum made anew says what one that was repaired would.
        None => recompute(protocol, packet.octets_mut(), received),
    };
    mended.map(drop).map_err(|_| DropReason::Inner)
}
