use super::mutable_fields::{MAX_CLEAR_HEADERS, mask};
use super::{AhError, AhKey};
use crate::integrity::Message;
use crate::mode::{ModeError, TransportSplit, transport_split};
use crate::packet::Packet;
use ipsec_wire::ah::{FIXED_LEN, PROTOCOL, emit_header};
use ipsec_wire::ipv6::{Ipv6Packet, MAX_EXTENSION_HEADERS};

/// Puts an Authentication Header into a whole IP packet, behind the headers that routers need.
///
/// The caller never gives a sequence number twice under one key. Octets behind the IP packet (link padding)
/// are cut off.
///
/// # Errors
/// Headers that lie or cannot be foretold, a fragment, no headroom, a sequence number out of range, a
/// packet too long for IP; the packet is unchanged then. A provider that fails; the packet is lost then.
pub fn ah_seal(key: &AhKey, packet: &mut Packet<'_>, spi: u32, sequence: u64) -> Result<(), AhError> {
    if sequence == 0 || (!key.extended && sequence > u32::MAX.into()) {
        return Err(AhError::Sequence(sequence));
    }
    let split = split(packet.octets())?;
    let v6 = packet.octets().first().is_some_and(|octet| octet >> 4 == 6);
    let header_len = key.header_len(v6);
    let total = split.total_len.saturating_add(header_len);
    let most = if v6 { ipsec_wire::ipv6::MAX_PACKET_LEN } else { ipsec_wire::ipv4::MAX_PACKET_LEN };
    if total > most {
        return Err(AhError::TooLong(total));
    }
    // Whether the headers can be masked is known before anything moves.
    if split.header_len > MAX_CLEAR_HEADERS {
        return Err(AhError::Headers);
    }
    if v6 && clear_headers(packet.octets(), split.header_len)? >= MAX_EXTENSION_HEADERS {
        // No receiver of ours would look for one more behind them.
        return Err(AhError::Headers);
    }
    mask(packet.octets_mut(), split.header_len)?.restore(packet.octets_mut());
    split.part(packet, header_len).map_err(ah_error)?;
    let low = (sequence & u64::from(u32::MAX)) as u32;
    emit_header(packet.grow_front(header_len)?, split.next_header, header_len, spi, low)?;
    split.join(packet, PROTOCOL).map_err(ah_error)?;

    let saved = mask(packet.octets_mut(), split.header_len)?;
    let message = Message::new(packet.octets(), key.extended, (sequence >> 32) as u32);
    let icv = key.integrity.icv(&message);
    let octets = packet.octets_mut();
    saved.restore(octets);
    let icv = icv?;
    let at = split.header_len.saturating_add(FIXED_LEN);
    let field = octets.get_mut(at..).unwrap_or_default();
    field.iter_mut().zip(icv).take(key.algorithm.icv_len()).for_each(|(to, from)| *to = from);
    Ok(())
}

/// Returns how many extension headers stand in the first octets of an IPv6 packet.
fn clear_headers(packet: &[u8], octets: usize) -> Result<usize, AhError> {
    let view = Ipv6Packet::new_checked(packet)?;
    Ok(view.extension_headers().take_while(|header| header.as_ref().is_ok_and(|header| header.offset < octets)).count())
}

fn split(packet: &[u8]) -> Result<TransportSplit, AhError> {
    transport_split(packet).map_err(ah_error)
}

/// Says an error of header work in the words of AH.
pub(super) fn ah_error(error: ModeError) -> AhError {
    match error {
        ModeError::Wire(error) => AhError::Wire(error),
        ModeError::BufferTooSmall(error) => AhError::BufferTooSmall(error),
        ModeError::TooLong(len) => AhError::TooLong(len),
        ModeError::Fragment => AhError::Fragment,
        ModeError::NextHeader(_) | ModeError::Congestion | ModeError::Family | ModeError::Dummy => AhError::Headers,
    }
}
