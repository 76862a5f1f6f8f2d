use super::avp::Avps;
use super::reader::Reader;
use crate::error::{WireError, WireErrorKind};
use drive::Path;

/// The flags T (control), L (length present) and S (sequence numbers present), all set in a control message.
const CONTROL_FLAGS: u16 = 0xc800;
const TYPE_BIT: u16 = 0x8000;
const VERSION_MASK: u16 = 0x000f;

/// The octets of a control header, without the zero session id of the IP form.
pub(crate) const CONTROL_HEADER: usize = 12;
/// The zero session id in front of a control header over IP.
pub(crate) const IP_CONTROL_PREFIX: usize = 4;

/// What carries L2TP, RFC 3931 §4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// IP protocol 115.
    Ip,
    /// UDP, port 1701 at first.
    Udp,
}

impl Carrier {
    /// The IP protocol number of L2TP.
    pub const PROTOCOL: u8 = 115;
    /// The UDP port of L2TP.
    pub const PORT: u16 = 1701;

    /// Returns the carrier of a path, `None` if the path carries something else.
    pub const fn of(path: Path) -> Option<Self> {
        match path.protocol {
            Self::PROTOCOL => Some(Self::Ip),
            Path::UDP => Some(Self::Udp),
            _ => None,
        }
    }
}

/// A control header, RFC 3931 §3.2.1.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |T|L|x|x|S|x|x|x|x|x|x|x|  Ver  |             Length            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                     Control Connection ID                     |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |               Ns              |               Nr              |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlHeader {
    /// 3; or 2, when the octets are those of L2TPv2 with all optional fields but the offset.
    pub version: u8,
    /// The receiver's identifier of the connection; in version 2 the tunnel id and the session id.
    pub connection_id: u32,
    /// The number of this message.
    pub ns: u16,
    /// The number of the message expected next.
    pub nr: u16,
}

impl ControlHeader {
    /// Returns the tunnel id and session id of a header of version 2.
    pub const fn version_2_ids(self) -> (u16, u16) {
        ((self.connection_id >> 16) as u16, self.connection_id as u16)
    }
}

/// A control message as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlMessage<'a> {
    /// Its header.
    pub header: ControlHeader,
    octets: &'a [u8],
}

impl<'a> ControlMessage<'a> {
    /// Takes apart a control message that starts at its flags word (not at the zero session id).
    ///
    /// The length field must be that of `octets`. The AVPs are not looked at.
    ///
    /// # Errors
    /// Octets that end early or late, flags that are not those of a control message, a version
    /// that is neither 2 nor 3.
    pub fn parse(octets: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::at(octets, 0);
        let flags = reader.u16("flags")?;
        if flags & CONTROL_FLAGS != CONTROL_FLAGS {
            return Err(WireError::new(WireErrorKind::BadFlags, "flags", 0));
        }
        let version = flags & VERSION_MASK;
        if !(2..=3).contains(&version) {
            return Err(WireError::new(WireErrorKind::BadVersion, "version", 0));
        }
        let length = usize::from(reader.u16("length")?);
        if length < CONTROL_HEADER || length > octets.len() {
            return Err(WireError::new(WireErrorKind::BadLength, "length", 2));
        }
        if length < octets.len() {
            return Err(WireError::new(WireErrorKind::Trailing, "message", length));
        }
        let connection_id = reader.u32("control connection id")?;
        let ns = reader.u16("Ns")?;
        let nr = reader.u16("Nr")?;
        let header = ControlHeader { version: if version == 2 { 2 } else { 3 }, connection_id, ns, nr };
        Ok(Self { header, octets })
    }

    /// Returns the octets from the flags word on, as they arrived.
    pub const fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// Returns an iterator over the AVPs.
    pub fn avps(&self) -> Avps<'a> {
        Avps::new(self.octets.get(CONTROL_HEADER..).unwrap_or_default(), CONTROL_HEADER)
    }

    /// Returns whether there are no AVPs: a zero-length body acknowledges and nothing else.
    pub const fn is_zero_length_body(&self) -> bool {
        self.octets.len() == CONTROL_HEADER
    }
}

/// What a datagram is, from its first octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A control message of version 3, or a request of version 2 that may be one for automatic fallback.
    Control(ControlMessage<'a>),
    /// A data message: its session id. The octets of the datagram are the data plane's.
    Data(u32),
    /// A data message of L2TPv2.
    Version2Data,
    /// A packet of L2F (version 1).
    L2f,
}

/// Tells control from data, and version 3 from those before it, RFC 3931 §4.1.
///
/// # Errors
/// Octets too short for either, and all that [`ControlMessage::parse`] refuses.
pub fn classify(carrier: Carrier, octets: &[u8]) -> Result<Packet<'_>, WireError> {
    let mut reader = Reader::at(octets, 0);
    match carrier {
        Carrier::Ip => match reader.u32("session id")? {
            0 => ControlMessage::parse(reader.rest()).map(Packet::Control),
            session => Ok(Packet::Data(session)),
        },
        Carrier::Udp => {
            let flags = reader.u16("flags")?;
            match (flags & VERSION_MASK, flags & TYPE_BIT != 0) {
                (1, _) => Ok(Packet::L2f),
                (2, false) => Ok(Packet::Version2Data),
                (3, false) => {
                    reader.u16("reserved")?;
                    reader.u32("session id").map(Packet::Data)
                }
                (2 | 3, true) => ControlMessage::parse(octets).map(Packet::Control),
                _ => Err(WireError::new(WireErrorKind::BadVersion, "version", 0)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const HELLO: [u8; 20] = [0xc8, 3, 0, 20, 1, 2, 3, 4, 0, 5, 0, 6, 0x80, 8, 0, 0, 0, 0, 0, 6];

    #[test]
    fn a_control_message_is_read_over_both_carriers() {
        let expected = ControlHeader { version: 3, connection_id: 0x0102_0304, ns: 5, nr: 6 };
        let Ok(Packet::Control(message)) = classify(Carrier::Udp, &HELLO) else { panic!() };
        assert_eq!(message.header, expected);
        let mut over_ip: Vec<u8> = alloc::vec![0; 4];
        over_ip.extend_from_slice(&HELLO);
        let Ok(Packet::Control(message)) = classify(Carrier::Ip, &over_ip) else { panic!() };
        assert_eq!(message.header, expected);
        assert_eq!(message.octets(), HELLO);
    }

    #[test]
    fn data_is_told_from_control() {
        assert_eq!(classify(Carrier::Ip, &[0, 0, 0, 9, 1]), Ok(Packet::Data(9)));
        assert_eq!(classify(Carrier::Udp, &[0, 3, 0, 0, 0, 0, 0, 9]), Ok(Packet::Data(9)));
        assert_eq!(classify(Carrier::Udp, &[0x40, 2, 0, 0]), Ok(Packet::Version2Data));
        assert_eq!(classify(Carrier::Udp, &[0, 1, 0, 0]), Ok(Packet::L2f));
    }

    #[test]
    fn every_truncation_and_a_trailing_octet_are_refused() {
        for end in 0..HELLO.len() {
            assert!(ControlMessage::parse(&HELLO[..end]).is_err(), "{end}");
        }
        let mut longer = HELLO.to_vec();
        longer.push(0);
        assert_eq!(ControlMessage::parse(&longer).unwrap_err().kind, WireErrorKind::Trailing);
    }

    #[test]
    fn a_length_below_the_header_is_refused() {
        for length in 0..12 {
            let mut octets = HELLO;
            octets[3] = length;
            assert_eq!(ControlMessage::parse(&octets).unwrap_err().kind, WireErrorKind::BadLength);
        }
    }

    #[test]
    fn flags_other_than_t_l_s_are_ignored_and_those_are_needed() {
        let mut octets = HELLO;
        octets[0] |= 0x37;
        octets[1] |= 0xf0;
        assert!(ControlMessage::parse(&octets).is_ok());
        for bit in [0x80, 0x40, 0x08] {
            let mut octets = HELLO;
            octets[0] &= !bit;
            assert_eq!(ControlMessage::parse(&octets).unwrap_err().kind, WireErrorKind::BadFlags);
        }
    }

    #[test]
    fn only_versions_2_and_3_have_this_header() {
        for version in 0..16 {
            let mut octets = HELLO;
            octets[1] = version;
            assert_eq!(ControlMessage::parse(&octets).is_ok(), version == 2 || version == 3);
        }
    }
}
