//! The repair of TCP and UDP checksums in transport mode behind a NAT (RFC 3948 §3.1.2).
//!
//! The sender computed the checksum over the addresses it knew; the receiver sees others. With the
//! originals from NAT-OA the difference is taken out, by the formula of RFC 1624:
//!
//! `HC' = ~(~HC + ~m + m')`

use core::net::IpAddr;
use ipsec_wire::checksum::Checksum;

const TCP: u8 = 6;
const UDP: u8 = 17;
/// Where the checksum stands in a TCP header.
const TCP_CHECKSUM: usize = 16;
/// Where the checksum stands in a UDP header.
const UDP_CHECKSUM: usize = 6;

/// What was done to a segment.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// The checksum was changed.
    Done,
    /// There is nothing to repair: another protocol, or UDP without a checksum.
    NotNeeded,
}

/// Why a segment could not be repaired; it is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChecksumError {
    /// It is too short to hold its checksum.
    #[error("the segment of {found} octets ends before its checksum")]
    Truncated {
        /// The octets there are.
        found: usize,
    },
    /// It is longer than IP can carry.
    #[error("a segment of {found} octets")]
    TooLong {
        /// The octets there are.
        found: usize,
    },
    /// The addresses are not all of one family.
    #[error("addresses of different families")]
    Family,
}

/// Corrects the checksum of a TCP or UDP segment that was computed over `original` addresses and arrived
/// with `received` ones. Each pair is source and destination.
///
/// # Errors
/// A truncated segment, or addresses of different families.
pub fn repair(
    protocol: u8,
    segment: &mut [u8],
    original: (IpAddr, IpAddr),
    received: (IpAddr, IpAddr),
) -> Result<Repair, ChecksumError> {
    let offset = match protocol {
        TCP => TCP_CHECKSUM,
        UDP => UDP_CHECKSUM,
        _ => return Ok(Repair::NotNeeded),
    };
    let addresses = [original.0, original.1, received.0, received.1];
    if addresses.iter().any(|address| address.is_ipv4() != received.0.is_ipv4()) {
        return Err(ChecksumError::Family);
    }
    let found = segment.len();
    let field = segment.get_mut(offset..).and_then(|rest| rest.first_chunk_mut::<2>());
    let field = field.ok_or(ChecksumError::Truncated { found })?;
    let old = u16::from_be_bytes(*field);
    if protocol == UDP && old == 0 {
        return Ok(Repair::NotNeeded);
    }
    let removed = complemented_words(original.0) + complemented_words(original.1);
    let added = words(received.0) + words(received.1);
    let new = !folded(u32::from(!old) + removed + added);
    // In UDP zero means no checksum, and the sum that comes out as zero is sent as all ones (RFC 768).
    let new = if protocol == UDP && new == 0 { 0xffff } else { new };
    *field = new.to_be_bytes();
    Ok(Repair::Done)
}

/// Computes the checksum of a TCP or UDP segment anew, from `source` to `destination`.
///
/// For what comes from a peer behind a NAT that did not tell its addresses. The segment must be known to be
/// authentic: a checksum made here proves nothing.
///
/// # Errors
/// A truncated segment, one too long for IP, or addresses of different families.
pub fn recompute(
    protocol: u8,
    segment: &mut [u8],
    (source, destination): (IpAddr, IpAddr),
) -> Result<Repair, ChecksumError> {
    let offset = match protocol {
        TCP => TCP_CHECKSUM,
        UDP => UDP_CHECKSUM,
        _ => return Ok(Repair::NotNeeded),
    };
    let found = segment.len();
    let truncated = ChecksumError::Truncated { found };
    let length = u16::try_from(found).map_err(|_| ChecksumError::TooLong { found })?;
    let sum = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Checksum::pseudo_ipv4(source, destination, protocol, length),
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Checksum::pseudo_ipv6(source, destination, protocol, length.into())
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return Err(ChecksumError::Family),
    };
    let (before, rest) = segment.split_at_mut_checked(offset).ok_or(truncated)?;
    let (field, after) = rest.split_first_chunk_mut::<2>().ok_or(truncated)?;
    if protocol == UDP && *field == [0, 0] && source.is_ipv4() {
        return Ok(Repair::NotNeeded);
    }
    let new = sum.with(before).with(after).finish();
    let new = if protocol == UDP && new == 0 { 0xffff } else { new };
    *field = new.to_be_bytes();
    Ok(Repair::Done)
}

/// Returns the sum of the 16-bit words of an address.
fn words(address: IpAddr) -> u32 {
    fold_words(address, |word| word)
}

/// Returns the sum of the complements of the 16-bit words of an address.
fn complemented_words(address: IpAddr) -> u32 {
    fold_words(address, |word| !word)
}

fn fold_words(address: IpAddr, each: impl Fn(u16) -> u16) -> u32 {
    let sum =
        |octets: &[u8]| octets.as_chunks::<2>().0.iter().map(|word| u32::from(each(u16::from_be_bytes(*word)))).sum();
    match address {
        IpAddr::V4(address) => sum(&address.octets()),
        IpAddr::V6(address) => sum(&address.octets()),
    }
}

fn folded(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    let twice = (once & 0xffff) + (once >> 16);
    twice as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// The checksum as a sender computes it: over the pseudo-header and the segment with its field zero.
    fn computed(protocol: u8, segment: &[u8], (source, destination): (IpAddr, IpAddr)) -> u16 {
        let mut sum = words(source) + words(destination) + u32::from(protocol) + segment.len() as u32;
        for pair in segment.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        }
        !folded(sum)
    }

    fn segment(protocol: u8, payload: &[u8], addresses: (IpAddr, IpAddr)) -> Vec<u8> {
        let (header, offset) = if protocol == TCP { (20, TCP_CHECKSUM) } else { (8, UDP_CHECKSUM) };
        let mut octets: Vec<u8> = (1..=header).collect();
        octets[offset..offset + 2].fill(0);
        octets.extend(payload);
        let mut checksum = computed(protocol, &octets, addresses);
        if protocol == UDP && checksum == 0 {
            checksum = 0xffff;
        }
        octets[offset..offset + 2].copy_from_slice(&checksum.to_be_bytes());
        octets
    }

    fn v4(octets: [u8; 4]) -> IpAddr {
        octets.into()
    }

    fn pair() -> ((IpAddr, IpAddr), (IpAddr, IpAddr)) {
        ((v4([10, 1, 0, 10]), v4([192, 0, 2, 2])), (v4([192, 0, 2, 254]), v4([10, 2, 0, 9])))
    }

    #[test]
    fn udp_without_a_checksum_stays_without() {
        let (original, received) = pair();
        let mut octets = segment(UDP, b"payload", original);
        octets[6..8].fill(0);
        let before = octets.clone();
        assert_eq!(repair(UDP, &mut octets, original, received), Ok(Repair::NotNeeded));
        assert_eq!(octets, before);
    }

    #[test]
    fn other_protocols_are_left_alone() {
        let (original, received) = pair();
        let mut icmp = [8, 0, 0xf7, 0xff];
        assert_eq!(repair(1, &mut icmp, original, received), Ok(Repair::NotNeeded));
        assert_eq!(icmp, [8, 0, 0xf7, 0xff]);
    }

    #[test]
    fn truncated_segments_and_mixed_families_are_refused_unchanged() {
        let (original, received) = pair();
        let whole = segment(TCP, b"", original);
        for length in 0..18 {
            let mut octets = whole[..length].to_vec();
            let error = Err(ChecksumError::Truncated { found: length });
            assert_eq!(repair(TCP, &mut octets, original, received), error);
        }
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        let mut octets = whole.clone();
        assert_eq!(repair(TCP, &mut octets, (six, original.1), received), Err(ChecksumError::Family));
        assert_eq!(octets, whole);
    }

    proptest! {
        #[test]
        fn a_repaired_segment_has_the_checksum_a_fresh_sender_would_compute(
            tcp: bool,
            payload in proptest::collection::vec(any::<u8>(), 0..33),
            four in any::<[[u8; 4]; 4]>(),
            six in any::<Option<[[u8; 16]; 4]>>(),
        ) {
            let protocol = if tcp { TCP } else { UDP };
            let [a, b, c, d] = match six {
                Some(six) => six.map(IpAddr::from),
                None => four.map(IpAddr::from),
            };
            let mut octets = segment(protocol, &payload, (a, b));
            prop_assert_eq!(repair(protocol, &mut octets, (a, b), (c, d)), Ok(Repair::Done));
            // A sum over octets that hold their own checksum comes out as zero, in either form of zero.
            prop_assert_eq!(computed(protocol, &octets, (c, d)), 0);
            if protocol == UDP {
                prop_assert_ne!(&octets[6..8], &[0, 0]);
            }
            let mut anew = segment(protocol, &payload, (a, b));
            prop_assert_eq!(recompute(protocol, &mut anew, (c, d)), Ok(Repair::Done));
            prop_assert_eq!(anew, octets, "both ways give the same");
        }
    }
}
