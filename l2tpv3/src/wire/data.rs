use super::cookie::Cookie;
use super::header::Carrier;
use crate::registry::SublayerType;
use core::num::NonZeroU32;

/// The most octets in front of a frame: flags word of UDP, session id, cookie, sublayer.
pub const MAX_DATA_HEADER: usize = 4 + 4 + 8 + 4;

/// Sequence numbers of data count modulo this, RFC 3931 §4.6.
pub const SEQUENCE_MODULUS: u32 = 1 << 24;

const SEQUENCE_BIT: u32 = 0x4000_0000;

/// The sublayers that can be sent and received here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sublayer {
    /// None.
    #[default]
    None,
    /// The default sublayer of four octets, RFC 3931 §4.6.
    Default,
}

impl Sublayer {
    /// Returns the number of octets.
    pub const fn len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Default => 4,
        }
    }

    /// Returns whether there is none.
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::None)
    }

    /// Returns the number on the wire.
    pub const fn number(self) -> SublayerType {
        match self {
            Self::None => SublayerType::NONE,
            Self::Default => SublayerType::DEFAULT,
        }
    }
}

impl TryFrom<SublayerType> for Sublayer {
    type Error = SublayerType;

    fn try_from(number: SublayerType) -> Result<Self, SublayerType> {
        match number {
            SublayerType::NONE => Ok(Self::None),
            SublayerType::DEFAULT => Ok(Self::Default),
            other => Err(other),
        }
    }
}

/// What stands in front of the frames of one direction of a session, RFC 3931 §4.1 and §4.6.
///
/// ```text
/// |0|x x x|x|x x x|x x x x|Ver =3 |          Reserved             |  over UDP only
/// |                           Session ID                          |
/// |               Cookie (optional, maximum 64 bits)...           |
/// |x|S|x|x|x|x|x|x|              Sequence Number                  |  with the default sublayer
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataLayout {
    /// What carries the packets.
    pub carrier: Carrier,
    /// The receiver's session id.
    pub session_id: NonZeroU32,
    /// The receiver's cookie.
    pub cookie: Cookie,
    /// The sublayer the receiver asked for.
    pub sublayer: Sublayer,
}

impl DataLayout {
    /// Returns the octets in front of a frame.
    pub const fn len(&self) -> usize {
        Self::cookie_at(self.carrier) + self.cookie.len() + self.sublayer.len()
    }

    /// Returns whether nothing stands in front of a frame: never.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Returns where the cookie starts.
    pub const fn cookie_at(carrier: Carrier) -> usize {
        match carrier {
            Carrier::Ip => 4,
            Carrier::Udp => 8,
        }
    }

    /// Returns the header with an empty sublayer, in the front of the array.
    pub(crate) fn template(&self) -> [u8; MAX_DATA_HEADER] {
        let mut header = [0; MAX_DATA_HEADER];
        let id_at = Self::cookie_at(self.carrier) - 4;
        if self.carrier == Carrier::Udp {
            header[1] = 3;
        }
        if let Some((id, rest)) = header.get_mut(id_at..).and_then(|out| out.split_first_chunk_mut::<4>()) {
            *id = self.session_id.get().to_be_bytes();
            self.cookie.write(rest);
        }
        header
    }
}

/// Returns the sublayer of a numbered frame.
pub(crate) const fn sequenced(number: u32) -> [u8; 4] {
    (SEQUENCE_BIT | (number % SEQUENCE_MODULUS)).to_be_bytes()
}

/// Returns the number in a default sublayer, `None` if the S bit is clear (RFC 3931 §4.6).
pub const fn sequence_in(sublayer: [u8; 4]) -> Option<u32> {
    let word = u32::from_be_bytes(sublayer);
    if word & SEQUENCE_BIT == 0 { None } else { Some(word % SEQUENCE_MODULUS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_the_header_of_the_rfc() {
        let session_id = NonZeroU32::new(0x0102_0304).unwrap();
        let cookie = Cookie::four(*b"cook");
        let layout = DataLayout { carrier: Carrier::Udp, session_id, cookie, sublayer: Sublayer::Default };
        assert_eq!(layout.len(), 16);
        assert_eq!(&layout.template()[..16], b"\x00\x03\x00\x00\x01\x02\x03\x04cook\x00\x00\x00\x00");
        let layout = DataLayout { carrier: Carrier::Ip, cookie: Cookie::NONE, sublayer: Sublayer::None, ..layout };
        assert_eq!(layout.len(), 4);
        assert_eq!(&layout.template()[..4], b"\x01\x02\x03\x04");
    }

    #[test]
    fn a_sequence_number_is_read_back_and_an_unset_s_bit_hides_it() {
        for number in [0, 1, SEQUENCE_MODULUS - 1] {
            assert_eq!(sequence_in(sequenced(number)), Some(number));
        }
        assert_eq!(sequence_in([0x00, 1, 2, 3]), None);
        assert_eq!(sequence_in([0xff, 0, 0, 9]), Some(9));
    }
}
