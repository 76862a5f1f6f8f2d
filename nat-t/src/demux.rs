//! What a datagram is on a port that IKE and ESP share (RFC 3948 §2).

use core::fmt;

/// Four octets of zero in front of each IKE message on port 4500, where an SPI would be (RFC 3948 §2.2).
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// Eight octets of zero in front of ESP on port 500, where the initiator cookie would be (drafts 00 and 01).
pub const NON_IKE_MARKER: [u8; 8] = [0; 8];
/// The keepalive: one octet (RFC 3948 §2.3).
pub const KEEPALIVE: [u8; 1] = [0xff];

/// The octets of an ISAKMP header: no message is shorter (RFC 2408 §3.1).
const ISAKMP_HEADER: usize = 28;
/// The octets of SPI and sequence number: no ESP packet is shorter (RFC 4303 §2).
const ESP_HEADER: usize = 8;
/// The last of the SPI values that are reserved (RFC 4303 §2.1).
const LAST_RESERVED_SPI: u32 = 255;

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// An IKE message, without its marker.
    Ike(&'a [u8]),
    /// An ESP packet, from its SPI on.
    Esp(&'a [u8]),
    /// A keepalive: it did its work in the NATs on its way.
    Keepalive,
}

/// Why a datagram is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotOurs {
    /// It has no octet.
    Empty,
    /// It is shorter than anything that may come, and no keepalive.
    TooShort,
    /// Behind the marker there is no room for an ISAKMP header.
    MarkerWithoutMessage,
    /// Its SPI is one of 1 to 255, which nobody uses.
    ReservedSpi,
}

impl fmt::Display for NotOurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "no octets",
            Self::TooShort => "too short",
            Self::MarkerWithoutMessage => "a marker without a message",
            Self::ReservedSpi => "a reserved SPI",
        })
    }
}

/// Tells what a datagram on port 4500 is.
///
/// | octets | content | |
/// |---|---|---|
/// | 0 | | `Empty` |
/// | 1 | `ff` | keepalive |
/// | 1 to 3 | other | `TooShort` |
/// | 4 to 31 | zero SPI | `MarkerWithoutMessage` |
/// | 32 and more | zero SPI | IKE |
/// | 4 and more | SPI 1 to 255 | `ReservedSpi` |
/// | 4 to 7 | other SPI | `TooShort` |
/// | 8 and more | other SPI | ESP |
///
/// # Errors
/// What the datagram lacks; it is to be counted and forgotten.
pub fn port_4500(payload: &[u8]) -> Result<Content<'_>, NotOurs> {
    if payload == KEEPALIVE {
        return Ok(Content::Keepalive);
    }
    let Some((spi, rest)) = payload.split_first_chunk::<4>() else {
        return Err(if payload.is_empty() { NotOurs::Empty } else { NotOurs::TooShort });
    };
    match u32::from_be_bytes(*spi) {
        0 if rest.len() < ISAKMP_HEADER => Err(NotOurs::MarkerWithoutMessage),
        0 => Ok(Content::Ike(rest)),
        1..=LAST_RESERVED_SPI => Err(NotOurs::ReservedSpi),
        _ if payload.len() < ESP_HEADER => Err(NotOurs::TooShort),
        _ => Ok(Content::Esp(payload)),
    }
}

/// Tells what a datagram on port 500 is, where drafts 00 and 01 are in use. Elsewhere all of it is IKE.
///
/// A keepalive is one octet here too.
///
/// # Errors
/// What the datagram lacks; it is to be counted and forgotten.
pub fn port_500(payload: &[u8]) -> Result<Content<'_>, NotOurs> {
    if payload == KEEPALIVE {
        return Ok(Content::Keepalive);
    }
    let Some(esp) = payload.strip_prefix(&NON_IKE_MARKER) else {
        return match payload.len() {
            0 => Err(NotOurs::Empty),
            ISAKMP_HEADER.. => Ok(Content::Ike(payload)),
            _ => Err(NotOurs::TooShort),
        };
    };
    match esp.first_chunk::<4>().map(|spi| u32::from_be_bytes(*spi)) {
        None => Err(NotOurs::TooShort),
        Some(0..=LAST_RESERVED_SPI) => Err(NotOurs::ReservedSpi),
        Some(_) if esp.len() < ESP_HEADER => Err(NotOurs::TooShort),
        Some(_) => Ok(Content::Esp(esp)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn short_datagrams_on_port_4500_follow_the_table() {
        assert_eq!(port_4500(&[]), Err(NotOurs::Empty));
        assert_eq!(port_4500(&[0xff]), Ok(Content::Keepalive));
        for octet in 0..0xff {
            assert_eq!(port_4500(&[octet]), Err(NotOurs::TooShort));
        }
        assert_eq!(port_4500(&[0xff, 0xff]), Err(NotOurs::TooShort));
        assert_eq!(port_4500(&[0, 0, 0]), Err(NotOurs::TooShort));
        for length in 4..32 {
            assert_eq!(port_4500(&vec![0; length]), Err(NotOurs::MarkerWithoutMessage), "{length}");
        }
        let smallest = vec![0; 32];
        assert_eq!(port_4500(&smallest), Ok(Content::Ike(&smallest[4..])));
        for length in 4..8 {
            assert_eq!(port_4500(&vec![1; length]), Err(NotOurs::TooShort), "{length}");
        }
        assert_eq!(port_4500(&[1; 8]), Ok(Content::Esp(&[1; 8])));
    }

    #[test]
    fn reserved_spis_are_dropped_and_the_first_real_one_is_not() {
        for spi in [1u32, 2, 255] {
            let packet = [&spi.to_be_bytes()[..], &[0; 40]].concat();
            assert_eq!(port_4500(&packet), Err(NotOurs::ReservedSpi), "{spi}");
            let marked = [&NON_IKE_MARKER[..], &packet].concat();
            assert_eq!(port_500(&marked), Err(NotOurs::ReservedSpi), "{spi}");
        }
        let packet = [&256u32.to_be_bytes()[..], &[0; 40]].concat();
        assert_eq!(port_4500(&packet), Ok(Content::Esp(&packet)));
    }

    #[test]
    fn the_old_drafts_tell_esp_from_ike_by_eight_octets() {
        let message: Vec<u8> = (1..=28).collect();
        assert_eq!(port_500(&message), Ok(Content::Ike(&message)));
        assert_eq!(port_500(&message[..27]), Err(NotOurs::TooShort));
        assert_eq!(port_500(&KEEPALIVE), Ok(Content::Keepalive));
        assert_eq!(port_500(&[]), Err(NotOurs::Empty));
        let packet = [&NON_IKE_MARKER[..], &[9; 20]].concat();
        assert_eq!(port_500(&packet), Ok(Content::Esp(&[9; 20])));
        assert_eq!(port_500(&packet[..15]), Err(NotOurs::TooShort));
        assert_eq!(port_500(&packet[..8]), Err(NotOurs::TooShort));
    }

    proptest! {
        #[test]
        fn what_comes_out_is_always_the_end_of_what_went_in(payload in proptest::collection::vec(any::<u8>(), 0..80)) {
            for content in [port_4500(&payload), port_500(&payload)] {
                match content {
                    Ok(Content::Ike(inner)) => prop_assert!(payload.ends_with(inner) && inner.len() >= 28),
                    Ok(Content::Esp(inner)) => prop_assert!(payload.ends_with(inner) && inner.len() >= 8),
                    Ok(Content::Keepalive) => prop_assert_eq!(&payload[..], &KEEPALIVE[..]),
                    Err(_) => {}
                }
            }
        }
    }
}
