//! The header as the ICV sees it: fields that change on the way are zero, those that change in a way the
//! sender can foretell are as the receiver will see them (RFC 4302 §3.3.3.1 and appendix A).

use super::AhError;
use ipsec_wire::ipv4::{self, Ipv4Packet};
use ipsec_wire::ipv6::{self, Ipv6Packet, next_header};

/// Octets of IP header and extension headers before AH that we work out an ICV for.
///
/// Room on the stack while the fields are zeroed in place; far more than any host sends.
pub const MAX_CLEAR_HEADERS: usize = 512;

/// The true octets of headers that are masked for the moment.
pub(super) struct Saved {
    octets: [u8; MAX_CLEAR_HEADERS],
    len: usize,
}

impl Saved {
    /// Puts the true octets back.
    pub(super) fn restore(&self, packet: &mut [u8]) {
        packet.iter_mut().zip(self.octets.iter().take(self.len)).for_each(|(to, from)| *to = *from);
    }
}

/// Masks the `clear` octets of headers at the start of `packet`, and returns what they were.
///
/// # Errors
/// Headers that lie, too many octets, or a routing header whose end cannot be foretold; nothing is masked then.
pub(super) fn mask(packet: &mut [u8], clear: usize) -> Result<Saved, AhError> {
    let mut saved = Saved { octets: [0; MAX_CLEAR_HEADERS], len: clear };
    let headers = packet.get(..clear).ok_or(AhError::Headers)?;
    saved.octets.get_mut(..clear).ok_or(AhError::Headers)?.copy_from_slice(headers);
    let masked = match packet.first().map(|octet| octet >> 4) {
        Some(4) => mask_v4(packet, &saved),
        _ => mask_v6(packet, &saved),
    };
    if masked.is_err() {
        saved.restore(packet);
    }
    masked.map(|()| saved)
}

fn zero(packet: &mut [u8], from: usize, len: usize) {
    if let Some(field) = packet.get_mut(from..from.saturating_add(len)) {
        field.fill(0);
    }
}

/// Options that stay as they are; all others are zeroed whole, the unknown too.
const IMMUTABLE_V4: [u8; 7] = [ipv4::END_OF_OPTIONS, ipv4::NO_OPERATION, 130, 133, 134, 148, 149];
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

fn mask_v4(packet: &mut [u8], saved: &Saved) -> Result<(), AhError> {
    zero(packet, 1, 1); // DSCP and ECN
    zero(packet, 6, 4); // flags, fragment offset, time to live: the protocol follows
    zero(packet, 10, 2); // checksum
    // The protocol stands between: put it back.
    if let (Some(to), Some(from)) = (packet.get_mut(9), saved.octets.get(9)) {
        *to = *from;
    }
    let header = saved.octets.get(..saved.len).unwrap_or_default();
    let mut view_octets = [0; ipv4::MAX_HEADER_LEN];
    let copied = view_octets.get_mut(..header.len()).ok_or(AhError::Headers)?;
    copied.copy_from_slice(header);
    // The walk needs a packet whose total length is the header's.
    if let (Some(field), Ok(len)) = (copied.get_mut(2..4), u16::try_from(header.len())) {
        field.copy_from_slice(&len.to_be_bytes());
    }
    for option in Ipv4Packet::new_checked(&*copied)?.options() {
        let option = option?;
        if matches!(option.kind, LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE) {
            foretell_destination_v4(packet, option.octets);
        }
        if !IMMUTABLE_V4.contains(&option.kind) {
            zero(packet, option.offset, option.octets.len());
        }
    }
    Ok(())
}

/// The receiver sees the last address of a source route as destination, once the pointer is past the end.
fn foretell_destination_v4(packet: &mut [u8], route: &[u8]) {
    let unfinished = matches!(route, [_, length, pointer, ..] if pointer <= length);
    if let (true, Some(last), Some(destination)) =
        (unfinished && route.len() >= 7, route.last_chunk::<4>(), packet.get_mut(16..20))
    {
        destination.copy_from_slice(last);
    }
}

fn mask_v6(packet: &mut [u8], saved: &Saved) -> Result<(), AhError> {
    if let Some(first) = packet.first_mut() {
        *first &= 0xf0; // traffic class
    }
    zero(packet, 1, 3); // traffic class and flow label
    zero(packet, 7, 1); // hop limit
    // The chain up to AH stands in the saved octets; the walk needs a packet of just these.
    let mut copy = saved.octets;
    let copied = copy.get_mut(..saved.len).ok_or(AhError::Headers)?;
    let payload_len = u16::try_from(saved.len.saturating_sub(ipv6::HEADER_LEN)).map_err(|_| AhError::Headers)?;
    Ipv6Packet::new_checked(&*packet)?;
    if let Some(field) = copied.get_mut(4..6) {
        field.copy_from_slice(&payload_len.to_be_bytes());
    }
    let view = Ipv6Packet::new_checked(&*copied)?;
    for header in view.extension_headers() {
        let Ok(header) = header else {
            // AH itself, or what it is to stand before, begins where the clear headers end.
            break;
        };
        match header.kind {
            next_header::HOP_BY_HOP | next_header::DESTINATION_OPTIONS => {
                for option in header.options() {
                    let option = option?;
                    if option.is_mutable() {
                        let at = header.offset.saturating_add(option.offset).saturating_add(2);
                        zero(packet, at, option.data.len());
                    }
                }
            }
            next_header::ROUTING => foretell_route_v6(packet, header.offset, header.octets)?,
            _ => return Err(AhError::Headers),
        }
    }
    Ok(())
}

/// A routing header of type 0 as its last hop leaves it: no segments left, every address moved one place
/// towards the start, the last one in the destination field (RFC 2460 §4.4).
fn foretell_route_v6(packet: &mut [u8], offset: usize, header: &[u8]) -> Result<(), AhError> {
    let &[_, _, kind, left, ..] = header else { return Err(AhError::Headers) };
    if left == 0 {
        return Ok(());
    }
    let (addresses, rest) = header.get(8..).unwrap_or_default().as_chunks::<16>();
    if kind != 0 || !rest.is_empty() || usize::from(left) > addresses.len() {
        return Err(AhError::Headers);
    }
    let first = addresses.len().saturating_sub(left.into());
    let (_, ahead) = addresses.split_at_checked(first).ok_or(AhError::Headers)?;
    let last = *ahead.last().ok_or(AhError::Headers)?;
    let mut place = *packet.get(24..).and_then(|rest| rest.first_chunk::<16>()).ok_or(AhError::Headers)?;
    let slots = packet.get_mut(offset.saturating_add(8)..).unwrap_or_default().as_chunks_mut::<16>().0;
    for (slot, address) in slots.iter_mut().skip(first).zip(ahead) {
        *slot = place;
        place = *address;
    }
    if let Some(field) = packet.get_mut(offset.saturating_add(3)) {
        *field = 0;
    }
    packet.get_mut(24..40).ok_or(AhError::Headers)?.copy_from_slice(&last);
    Ok(())
}
