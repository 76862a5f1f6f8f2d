use crate::suite::Suite;
use core::net::IpAddr;
use ipsec_wire::esp::{HEADER_LEN, TRAILER_LEN};
use ipsec_wire::{ipv4, ipv6, udp};

/// What stands around an ESP packet on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encapsulation {
    /// Whether the outer header is that of IPv6.
    pub v6: bool,
    /// Whether UDP stands between IP and ESP.
    pub udp: bool,
}

impl Encapsulation {
    /// Returns the encapsulation towards a peer.
    pub const fn towards(peer: IpAddr, udp: bool) -> Self {
        Self { v6: peer.is_ipv6(), udp }
    }

    /// Returns the octets of outer header and UDP.
    pub const fn octets(self) -> usize {
        let ip = if self.v6 { ipv6::HEADER_LEN } else { ipv4::MIN_HEADER_LEN };
        if self.udp { ip + udp::HEADER_LEN } else { ip }
    }
}

impl Suite {
    /// Returns what padding fills up to: the block, at least four (RFC 4303 §2.4).
    const fn alignment(self) -> usize {
        let block = self.cipher().lengths().block;
        if block > 4 { block } else { 4 }
    }

    /// Returns the octets that sealing needs before a payload: SPI, sequence number and IV.
    pub const fn headroom(self) -> usize {
        HEADER_LEN + self.cipher().lengths().iv
    }

    /// Returns the octets that sealing needs after a payload at most: padding, trailer and ICV.
    pub const fn tailroom(self) -> usize {
        self.alignment() - 1 + TRAILER_LEN + self.icv_len()
    }

    /// Returns the octets of the ESP packet that a payload of so many becomes.
    pub const fn sealed_len(self, payload: usize) -> usize {
        let text = payload.saturating_add(TRAILER_LEN);
        let filled = match text.checked_next_multiple_of(self.alignment()) {
            Some(filled) => filled,
            None => usize::MAX,
        };
        filled.saturating_add(self.headroom()).saturating_add(self.icv_len())
    }

    /// Returns the longest payload whose ESP packet has at most `room` octets; `None` if none has.
    pub const fn max_payload(self, room: usize) -> Option<usize> {
        let fixed = self.headroom() + self.icv_len();
        match room.checked_sub(fixed) {
            Some(text) => (text - text % self.alignment()).checked_sub(TRAILER_LEN),
            None => None,
        }
    }

    /// Returns the overhead as routers print it: headers, IV, one block for padding and trailer, and ICV.
    ///
    /// 56 for DES with HMAC-SHA-1 or HMAC-MD5 in an IPv4 tunnel. What a given packet gains is
    /// [`sealed_len`](Self::sealed_len) less its own length.
    pub const fn nominal_overhead(self, encapsulation: Encapsulation) -> usize {
        encapsulation.octets() + self.headroom() + self.alignment() + self.icv_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{CipherAlgorithm, IntegrityAlgorithm};

    const V4: Encapsulation = Encapsulation { v6: false, udp: false };

    #[test]
    fn des_with_sha1_or_md5_costs_56_as_the_manual_shows() {
        for integrity in [IntegrityAlgorithm::HmacSha1_96, IntegrityAlgorithm::HmacMd5_96] {
            let suite = Suite::new(CipherAlgorithm::DesCbc, integrity).unwrap();
            assert_eq!(suite.nominal_overhead(V4), 56);
            // The manual's packet pair: 40 octets inside, 96 outside.
            assert_eq!(V4.octets() + suite.sealed_len(40), 96);
            assert_eq!(V4.octets() + suite.sealed_len(44), 96);
        }
    }

    #[test]
    fn the_longest_payload_fits_and_the_next_does_not() {
        for suite in Suite::all() {
            for room in 0..200 {
                match suite.max_payload(room) {
                    Some(payload) => {
                        assert!(suite.sealed_len(payload) <= room);
                        assert!(suite.sealed_len(payload + 1) > room);
                    }
                    None => assert!(suite.sealed_len(0) > room),
                }
            }
            assert!(suite.sealed_len(usize::MAX) > 65535);
        }
    }

    #[test]
    fn outer_headers_have_their_lengths() {
        let peers: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let octets = peers.map(|peer| [false, true].map(|udp| Encapsulation::towards(peer, udp).octets()));
        assert_eq!(octets, [[20, 28], [40, 48]]);
    }
}
