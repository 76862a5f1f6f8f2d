//! What the kinds of pseudowire ask of their frames: RFC 4719, 4349, 4591.

use crate::registry::PseudowireType;

const ETHERNET_HEADER: usize = 14;
const TAG: usize = 4;
const TAG_TYPES: [[u8; 2]; 3] = [[0x81, 0x00], [0x88, 0xa8], [0x91, 0x00]];
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// Returns the least octets of a frame: a shorter one is a runt.
pub const fn minimum_frame(kind: PseudowireType) -> usize {
    match kind {
        PseudowireType::ETHERNET => ETHERNET_HEADER,
        PseudowireType::ETHERNET_VLAN => ETHERNET_HEADER + TAG,
        // Address and control, RFC 4349 §4.1; an address field, RFC 4591 §4.1; a protocol field.
        PseudowireType::HDLC | PseudowireType::FRAME_RELAY => 2,
        PseudowireType::IP => 20,
        _ => 1,
    }
}

/// Returns whether a frame carries a VLAN tag.
pub fn is_tagged(frame: &[u8]) -> bool {
    frame.get(12..14).is_some_and(|kind| TAG_TYPES.iter().any(|tag| tag == kind))
}

/// Writes a VLAN identifier into the first tag of a frame, as a receiver may (RFC 4719 §3.1).
pub fn rewrite_tag(frame: &mut [u8], vlan: u16) {
    if !is_tagged(frame) {
        return;
    }
    if let Some(control) = frame.get_mut(14..16) {
        let [high, low] = vlan.to_be_bytes();
        for (octet, (keep, new)) in control.iter_mut().zip([(0xf0, high & 0x0f), (0x00, low)]) {
            *octet = *octet & keep | new;
        }
    }
}

/// Returns whether a frame is known to carry IP: what cannot be told is not IP, RFC 3931 §5.4.4.
pub fn carries_ip(kind: PseudowireType, frame: &[u8]) -> bool {
    match kind {
        PseudowireType::ETHERNET | PseudowireType::ETHERNET_VLAN => {
            let mut at = 12;
            // Two tags at most are looked through.
            for _ in 0..3 {
                let Some(found) = frame.get(at..at + 2) else { return false };
                if found == IPV4 || found == IPV6 {
                    return true;
                }
                if !TAG_TYPES.iter().any(|tag| tag == found) {
                    return false;
                }
                at += TAG;
            }
            false
        }
        // PPP in HDLC framing without address and control, or with them.
        PseudowireType::PPP => {
            let protocol = frame.strip_prefix(&[0xff, 0x03]).unwrap_or(frame);
            matches!(protocol, [0x00, 0x21 | 0x57, ..] | [0x21 | 0x57, ..])
        }
        // Cisco HDLC: address, control, Ethernet type.
        PseudowireType::HDLC => frame.get(2..4).is_some_and(|found| found == IPV4 || found == IPV6),
        PseudowireType::IP => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(types: &[[u8; 2]]) -> alloc::vec::Vec<u8> {
        let mut frame = alloc::vec![2; 12];
        for kind in types {
            frame.extend_from_slice(kind);
            frame.extend_from_slice(&[0xef, 0xff]);
        }
        frame
    }

    #[test]
    fn ip_is_found_behind_up_to_two_tags() {
        let is_ip = |types: &[[u8; 2]]| carries_ip(PseudowireType::ETHERNET, &frame(types));
        assert!(is_ip(&[IPV4]) && is_ip(&[IPV6]));
        assert!(is_ip(&[[0x81, 0], IPV4]));
        assert!(is_ip(&[[0x88, 0xa8], [0x81, 0], IPV6]));
        assert!(!is_ip(&[[0x81, 0], [0x81, 0], [0x81, 0], IPV4]));
        assert!(!is_ip(&[[0x08, 0x06]]));
        assert!(!carries_ip(PseudowireType::ETHERNET, &[0; 12]));
    }

    #[test]
    fn a_tag_is_rewritten_and_its_priority_kept() {
        let mut tagged = frame(&[[0x81, 0], IPV4]);
        rewrite_tag(&mut tagged, 0x0123);
        assert_eq!(&tagged[12..18], [0x81, 0, 0xe1, 0x23, 8, 0]);
        let mut plain = frame(&[IPV4]);
        let before = plain.clone();
        rewrite_tag(&mut plain, 5);
        assert_eq!(plain, before);
    }
}
