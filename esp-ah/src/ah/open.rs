use super::mutable_fields::mask;
use super::{AhError, AhKey};
use crate::integrity::Message;
use crate::packet::Packet;
use crate::suite::MAX_ICV_LEN;
use ipsec_wire::ah::{AhHeader, FIXED_LEN, PROTOCOL};
use ipsec_wire::ipv4::Ipv4Packet;
use ipsec_wire::ipv6::{HEADER_LEN, Ipv6Packet, next_header};
use ipsec_wire::{ErrorKind, WireError};
use subtle::ConstantTimeEq;

/// Where in an IP packet the Authentication Header stands, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AhPlace {
    /// Octets before it.
    pub offset: usize,
    /// Its octets, ICV and padding included.
    pub header_len: usize,
    /// The Security Parameters Index.
    pub spi: u32,
    /// The lower 32 bits of the sequence number.
    pub sequence: u32,
    /// What follows it: 4 or 41 for a tunnel.
    pub next_header: u8,
    total_len: usize,
    /// Where the number 51 stands that announces it.
    announced_at: usize,
    v6: bool,
}

/// Finds the Authentication Header of a received IP packet, for the caller to look its association up.
///
/// # Errors
/// Headers that lie, a fragment, or no Authentication Header.
pub fn ah_locate(packet: &[u8]) -> Result<AhPlace, AhError> {
    let (offset, total_len, announced_at, v6) = match packet.first().map(|octet| octet >> 4) {
        Some(4) => {
            let view = Ipv4Packet::new_checked(packet)?;
            if view.is_fragment() {
                return Err(AhError::Fragment);
            }
            if view.protocol() != PROTOCOL {
                return Err(AhError::Absent);
            }
            (view.header_len(), view.total_len(), 9, false)
        }
        Some(6) => {
            let (offset, announced_at, total_len) = locate_v6(&Ipv6Packet::new_checked(packet)?)?;
            (offset, total_len, announced_at, true)
        }
        Some(_) => return Err(WireError::new(ErrorKind::Range, "IP version", 0).into()),
        None => return Err(WireError::new(ErrorKind::Truncated, "IP version", 0).into()),
    };
    let header = AhHeader::new_checked(packet.get(offset..total_len).unwrap_or_default())?;
    Ok(AhPlace {
        offset,
        header_len: header.header_len(),
        spi: header.spi(),
        sequence: header.sequence(),
        next_header: header.next_header(),
        total_len,
        announced_at,
        v6,
    })
}

fn locate_v6(view: &Ipv6Packet<&[u8]>) -> Result<(usize, usize, usize), AhError> {
    let mut announced_at = 6;
    let mut kind = view.next_header();
    for header in view.extension_headers() {
        let header = header?;
        if header.kind == PROTOCOL {
            return Ok((header.offset, announced_at, view.total_len()));
        }
        if header.kind == next_header::FRAGMENT {
            return Err(AhError::Fragment);
        }
        announced_at = header.offset;
        kind = header.next_header();
    }
    debug_assert!(kind != PROTOCOL, "the walk steps on AH");
    Err(AhError::Absent)
}

/// Checks the ICV of a packet; the packet is the same afterwards, whatever came out.
///
/// `sequence` is the whole number: its upper half matters with 64-bit sequence numbers only. The replay window
/// is checked before this and moved after it, before [`ah_strip`].
///
/// # Errors
/// A header length that is not the algorithm's, headers that lie, a wrong ICV, or a provider that could not tell.
pub fn ah_verify(key: &AhKey, packet: &mut Packet<'_>, place: &AhPlace, sequence: u64) -> Result<(), AhError> {
    if place.header_len != key.header_len(place.v6) {
        return Err(AhError::PayloadLen);
    }
    let octets = packet.octets_mut().get_mut(..place.total_len).ok_or(AhError::Headers)?;
    let saved = mask(octets, place.offset)?;
    let icv_len = key.algorithm.icv_len();
    let at = place.offset.saturating_add(FIXED_LEN);
    let mut received = [0; MAX_ICV_LEN];
    let field = octets.get_mut(at..at.saturating_add(icv_len)).unwrap_or_default();
    received.iter_mut().zip(field.iter()).for_each(|(to, from)| *to = *from);
    field.fill(0);
    let message = Message::new(octets, key.extended, (sequence >> 32) as u32);
    let computed = key.integrity.icv(&message);
    saved.restore(octets);
    let field = octets.get_mut(at..at.saturating_add(icv_len)).unwrap_or_default();
    field.iter_mut().zip(received).for_each(|(to, from)| *to = from);
    let computed = computed?;
    let right = computed.get(..icv_len).unwrap_or_default().ct_eq(field);
    if field.is_empty() || !bool::from(right) { Err(AhError::Icv) } else { Ok(()) }
}

/// Takes the header out of a verified packet, closes the gap and makes the IP header fit.
///
/// What comes out is a whole IP packet: in tunnel mode the outer one, with the inner one as its payload.
///
/// # Errors
/// A packet that is not the one `place` was found in.
pub fn ah_strip(packet: &mut Packet<'_>, place: &AhPlace) -> Result<(), AhError> {
    let behind = packet.len().checked_sub(place.total_len).ok_or(AhError::Headers)?;
    packet.trim_back(behind).ok_or(AhError::Headers)?;
    packet.close_gap(place.offset, place.header_len).ok_or(AhError::Headers)?;
    let total = place.total_len.saturating_sub(place.header_len);
    let said = if place.v6 { total.saturating_sub(HEADER_LEN) } else { total };
    let said = u16::try_from(said).map_err(|_| AhError::TooLong(total))?;
    let octets = packet.octets_mut();
    if let Some(field) = octets.get_mut(place.announced_at) {
        *field = place.next_header;
    }
    let length_at = if place.v6 { 4 } else { 2 };
    if let Some(field) = octets.get_mut(length_at..).and_then(|rest| rest.first_chunk_mut()) {
        *field = said.to_be_bytes();
    }
    if place.v6 {
        Ipv6Packet::new_checked(octets)?;
    } else {
        Ipv4Packet::new_checked(octets)?.fill_checksum();
    }
    Ok(())
}
