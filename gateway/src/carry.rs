//! What of a packet goes into an association, and how a packet is made again of what comes out.
//!
//! In tunnel mode the whole packet goes in. In transport mode the IP header stays outside: the caller's
//! system makes it again from the path, so what it would not make again is refused.

use crate::inbound::DropReason;
use crate::outbound::OutboundDrop;
use core::net::IpAddr;
use esp_ah::Packet;
use esp_ah::mode::{DontFragment, Dscp, EcnOutward, Inner, ModeError, OuterHeader, Ttl, transport_split, tunnel_leave};
use ikev1_core::proposal::Mode;
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

/// Leaves in `packet` what goes into the association, and returns what kind it is.
pub(crate) fn enter(mode: Mode, packet: &mut Packet<'_>) -> Result<u8, OutboundDrop> {
    let (clear, total, next_header) = match mode {
        Mode::Tunnel => {
            let inner = Inner::of(packet.octets()).map_err(ModeError::from)?;
            (0, inner.total_len, inner.next_header)
        }
        Mode::Transport => {
            let split = transport_split(packet.octets())?;
            let v6 = packet.octets().first().is_some_and(|octet| octet >> 4 == 6);
            if split.header_len != header_len(v6) {
                return Err(OutboundDrop::Options);
            }
            (split.header_len, split.total_len, split.next_header)
        }
    };
    let filler = packet.len().saturating_sub(total);
    let trimmed = packet.trim_back(filler).and_then(|()| packet.trim_front(clear));
    trimmed.map(|()| next_header).ok_or(OutboundDrop::Malformed)
}

/// Makes a whole packet, of the kind `next_header` announced, of what came out of an association.
pub(crate) fn leave(mode: Mode, ends: &Ends, next_header: u8, packet: &mut Packet<'_>) -> Result<(), DropReason> {
    match mode {
        Mode::Tunnel => tunnel_leave(packet, next_header, None).map(drop)?,
        Mode::Transport => {
            if ends.translated {
                mend(ends, next_header, packet)?;
            }
            // What the header said of its way is not told by datagrams, and says nothing about the payload.
            let header = OuterHeader {
                dont_fragment: DontFragment::Set,
                ttl: Ttl::Fixed(64),
                dscp: Dscp::Fixed(0),
                ecn: EcnOutward::Clear,
                ..OuterHeader::new(ends.remote, ends.local)?
            };
            let inner = Inner { next_header, traffic_class: 0, dont_fragment: true, ttl: 64, total_len: packet.len() };
            header.prepend(packet, next_header, &inner, 0)?;
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

const fn header_len(v6: bool) -> usize {
    if v6 { 40 } else { 20 }
}
