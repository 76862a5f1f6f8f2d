//! The Encapsulating Security Payload (RFC 4303).

pub(crate) mod open;
pub(crate) mod seal;

use crate::cipher::gcm::Gcm;
use crate::keys::Frame;

/// The octets of the longest padding there is, 1, 2, 3 and so on (RFC 4303 §2.4).
const PADDING: [u8; 255] = {
    let mut octets = [0; 255];
    let mut rest = octets.as_mut_slice();
    let mut count = 0;
    while let [first, later @ ..] = rest {
        count += 1;
        *first = count;
        rest = later;
    }
    octets
};

/// Returns the associated data of a combined mode and its length: SPI | sequence number (RFC 4106 §5).
#[inline]
fn associated(spi: u32, sequence: u64, extended: bool) -> ([u8; 12], usize) {
    let [a, b, c, d] = spi.to_be_bytes();
    let [e, f, g, h, i, j, k, l] = sequence.to_be_bytes();
    if extended { ([a, b, c, d, e, f, g, h, i, j, k, l], 12) } else { ([a, b, c, d, i, j, k, l, 0, 0, 0, 0], 8) }
}

/// Returns the tag of GMAC over a framed packet (RFC 4543 §3.3).
fn gmac(gcm: &Gcm, iv: [u8; 8], packet: &[u8], frame: Frame, spi: u32, sequence: u64) -> [u8; 16] {
    let end = packet.len().saturating_sub(frame.icv());
    let covered = packet.get(..end).unwrap_or_default();
    if frame.extended {
        let (head, _) = associated(spi, sequence, true);
        gcm.gmac(iv, &head, covered.get(8..).unwrap_or_default())
    } else {
        gcm.tag(iv, covered, &[])
    }
}
