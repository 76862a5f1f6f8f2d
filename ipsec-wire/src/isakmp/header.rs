use crate::error::{ErrorKind, WireError};
use crate::reader::Reader;
use crate::registry::{ExchangeType, PayloadType};
use crate::writer::Writer;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// Half of what names an ISAKMP SA: eight octets that one side chose (RFC 2408 §2.5.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cookie(pub [u8; 8]);

impl Cookie {
    /// The cookie of a side that has not chosen one.
    pub const ZERO: Self = Self([0; 8]);

    /// Returns whether no one has chosen it yet.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cookie({self})")
    }
}

/// What names an exchange within an ISAKMP SA; 0 in phase 1 (RFC 2408 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MessageId(pub u32);

impl MessageId {
    /// The message id of phase 1.
    pub const ZERO: Self = Self(0);

    /// Returns the four octets of the wire, as hashes and IVs take them.
    pub const fn to_octets(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

/// Eight hexadecimal digits.
impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

/// The flags of a message (RFC 2408 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Everything after the header is encrypted.
    pub const ENCRYPTION: Self = Self(1);
    /// The SA must not be used before the exchange is over.
    pub const COMMIT: Self = Self(2);
    /// The payloads are authenticated but not encrypted.
    pub const AUTHENTICATION_ONLY: Self = Self(4);

    /// Returns whether every flag of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the flags of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether a flag is set that RFC 2408 does not define.
    pub const fn has_unknown(self) -> bool {
        self.0 & !0b111 != 0
    }
}

/// `01 (encryption)`, `00`.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)?;
        let names =
            [(Self::ENCRYPTION, "encryption"), (Self::COMMIT, "commit"), (Self::AUTHENTICATION_ONLY, "auth only")];
        let mut separator = " (";
        for (_, name) in names.iter().filter(|(flag, _)| self.contains(*flag)) {
            write!(f, "{separator}{name}")?;
            separator = ", ";
        }
        if self.has_unknown() {
            write!(f, "{separator}unknown")?;
            separator = ", ";
        }
        if separator == ", " { f.write_str(")") } else { Ok(()) }
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({self})")
    }
}

/// The header of every ISAKMP message (RFC 2408 §3.1).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       Initiator Cookie (8)                    |
/// |                       Responder Cookie (8)                    |
/// +---------------+-------+-------+---------------+---------------+
/// |  Next Payload | MjVer | MnVer | Exchange Type |     Flags     |
/// +---------------+-------+-------+---------------+---------------+
/// |                          Message ID                           |
/// |                            Length                             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The cookie of the side that began the ISAKMP SA.
    pub initiator_cookie: Cookie,
    /// The cookie of the other side; zero in the first message.
    pub responder_cookie: Cookie,
    /// The type of the first payload.
    pub next_payload: PayloadType,
    /// The kind of exchange.
    pub exchange: ExchangeType,
    /// The flags.
    pub flags: Flags,
    /// Which exchange it belongs to; 0 in phase 1.
    pub message_id: MessageId,
    /// The octets of the whole message, header included.
    pub length: u32,
}

impl Header {
    /// The octets of a header.
    pub const LEN: usize = 28;
    /// The version octet of ISAKMP 1.0.
    pub const VERSION: u8 = 0x10;

    /// Returns a header with no flags; [`enclose`](Self::enclose) sets the first payload and the length.
    pub const fn new(initiator: Cookie, responder: Cookie, exchange: ExchangeType, message_id: MessageId) -> Self {
        Self {
            initiator_cookie: initiator,
            responder_cookie: responder,
            next_payload: PayloadType::NONE,
            exchange,
            flags: Flags::NONE,
            message_id,
            length: 0,
        }
    }

    /// Returns the same header with `flags`.
    #[must_use]
    pub const fn with_flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    /// Reads a header and checks its version; the length is not yet compared with anything.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] below 28 octets; [`ErrorKind::Ikev2`], [`ErrorKind::MajorVersion`]
    /// or [`ErrorKind::MinorVersion`] for any version but 1.0.
    pub fn parse(octets: &[u8]) -> Result<Self, WireError> {
        HeaderView::new_checked(octets).map(|view| view.to_header())
    }

    /// Writes the header with its own next payload and length.
    pub fn emit(&self, writer: &mut Writer<'_>) {
        writer.octets(&self.initiator_cookie.0);
        writer.octets(&self.responder_cookie.0);
        writer.octets(&[self.next_payload.0, Self::VERSION, self.exchange.0, self.flags.0]);
        writer.u32(self.message_id.0);
        writer.u32(self.length);
    }

    /// Returns the message that this header makes of a body: `first` names its first payload, and
    /// the length is filled in.
    ///
    /// The body is a payload chain, or with [`Flags::ENCRYPTION`] its ciphertext.
    ///
    /// # Errors
    /// [`ErrorKind::TooLong`] when the length does not fit its field.
    pub fn enclose(self, first: PayloadType, body: &[u8]) -> Result<Vec<u8>, WireError> {
        let mut message = Vec::with_capacity(Self::LEN.saturating_add(body.len()));
        self.enclose_into(first, body, &mut message)?;
        Ok(message)
    }

    /// Appends what [`enclose`](Self::enclose) returns to `buffer`, which may hold a marker already.
    ///
    /// # Errors
    /// [`ErrorKind::TooLong`] when the length does not fit its field; `buffer` is then unchanged.
    pub fn enclose_into(mut self, first: PayloadType, body: &[u8], buffer: &mut Vec<u8>) -> Result<(), WireError> {
        self.next_payload = first;
        self.length = u32::try_from(Self::LEN.saturating_add(body.len()))
            .map_err(|_| WireError::new(ErrorKind::TooLong, "length", offset::LENGTH.start))?;
        let mut writer = Writer::new(buffer);
        self.emit(&mut writer);
        writer.octets(body);
        writer.finish()
    }
}

/// Where the fields stand.
mod offset {
    use super::Range;

    pub(super) const INITIATOR_COOKIE: Range<usize> = 0..8;
    pub(super) const RESPONDER_COOKIE: Range<usize> = 8..16;
    pub(super) const NEXT_PAYLOAD: usize = 16;
    pub(super) const VERSION: usize = 17;
    pub(super) const EXCHANGE: usize = 18;
    pub(super) const FLAGS: usize = 19;
    pub(super) const MESSAGE_ID: Range<usize> = 20..24;
    pub(super) const LENGTH: Range<usize> = 24..28;
}

/// A header in place: read without copying, changed without moving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderView<T> {
    octets: T,
}

impl<T: AsRef<[u8]>> HeaderView<T> {
    /// Returns a view of `octets`, whose first 28 must be a header of ISAKMP 1.0.
    ///
    /// # Errors
    /// As [`Header::parse`].
    pub fn new_checked(octets: T) -> Result<Self, WireError> {
        let error = |kind, field, offset| Err(WireError::new(kind, field, offset));
        let Some(header) = octets.as_ref().first_chunk::<{ Header::LEN }>() else {
            return error(ErrorKind::Truncated, "ISAKMP header", 0);
        };
        let version = at(header, offset::VERSION);
        match (version >> 4, version & 0x0f) {
            (1, 0) => Ok(Self { octets }),
            (1, _) => error(ErrorKind::MinorVersion, "version", offset::VERSION),
            (2, _) => error(ErrorKind::Ikev2, "version", offset::VERSION),
            _ => error(ErrorKind::MajorVersion, "version", offset::VERSION),
        }
    }

    /// Returns the cookie of the side that began.
    pub fn initiator_cookie(&self) -> Cookie {
        Cookie(self.field(offset::INITIATOR_COOKIE))
    }

    /// Returns the cookie of the other side.
    pub fn responder_cookie(&self) -> Cookie {
        Cookie(self.field(offset::RESPONDER_COOKIE))
    }

    /// Returns the type of the first payload.
    pub fn next_payload(&self) -> PayloadType {
        PayloadType(at(self.octets.as_ref(), offset::NEXT_PAYLOAD))
    }

    /// Returns the kind of exchange.
    pub fn exchange(&self) -> ExchangeType {
        ExchangeType(at(self.octets.as_ref(), offset::EXCHANGE))
    }

    /// Returns the flags.
    pub fn flags(&self) -> Flags {
        Flags(at(self.octets.as_ref(), offset::FLAGS))
    }

    /// Returns the message id.
    pub fn message_id(&self) -> MessageId {
        MessageId(u32::from_be_bytes(self.field(offset::MESSAGE_ID)))
    }

    /// Returns the length that the header states.
    pub fn length(&self) -> u32 {
        u32::from_be_bytes(self.field(offset::LENGTH))
    }

    /// Returns the owned form.
    pub fn to_header(&self) -> Header {
        Header {
            initiator_cookie: self.initiator_cookie(),
            responder_cookie: self.responder_cookie(),
            next_payload: self.next_payload(),
            exchange: self.exchange(),
            flags: self.flags(),
            message_id: self.message_id(),
            length: self.length(),
        }
    }

    fn field<const N: usize>(&self, range: Range<usize>) -> [u8; N] {
        // The length was checked when the view was made, so the default is never returned.
        self.octets.as_ref().get(range).and_then(|field| field.first_chunk()).copied().unwrap_or([0; N])
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> HeaderView<T> {
    /// Sets the cookie of the side that did not begin.
    pub fn set_responder_cookie(&mut self, cookie: Cookie) {
        self.set(offset::RESPONDER_COOKIE, &cookie.0);
    }

    /// Sets the flags.
    pub fn set_flags(&mut self, flags: Flags) {
        self.set(offset::FLAGS..offset::MESSAGE_ID.start, &[flags.0]);
    }

    /// Sets the message id.
    pub fn set_message_id(&mut self, id: MessageId) {
        self.set(offset::MESSAGE_ID, &id.to_octets());
    }

    /// Sets the length.
    pub fn set_length(&mut self, length: u32) {
        self.set(offset::LENGTH, &length.to_be_bytes());
    }

    fn set(&mut self, range: Range<usize>, value: &[u8]) {
        if let Some(field) = self.octets.as_mut().get_mut(range) {
            field.copy_from_slice(value);
        }
    }
}

fn at(octets: &[u8], offset: usize) -> u8 {
    octets.get(offset).copied().unwrap_or(0)
}

/// Reads the generic header of a payload: the type of the next one, and the octets that follow it
/// (RFC 2408 §3.2). The reserved octet must be zero (RFC 2408 §5.3).
#[inline]
pub(crate) fn generic<'a>(reader: &mut Reader<'a>) -> Result<(PayloadType, Reader<'a>), WireError> {
    let mut rest = *reader;
    let [next, reserved, high, low] = rest.array("generic payload header")?;
    if reserved != 0 {
        return Err(WireError::new(ErrorKind::Reserved, "reserved octet", reader.offset().saturating_add(1)));
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    let body = length.checked_sub(GENERIC_LEN).and_then(|length| rest.sub(length, "payload").ok());
    let Some(body) = body else {
        return Err(WireError::new(ErrorKind::Length, "payload length", reader.offset().saturating_add(2)));
    };
    *reader = rest;
    Ok((PayloadType(next), body))
}

/// The octets of a generic payload header.
pub(crate) const GENERIC_LEN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn sample() -> Vec<u8> {
        let mut octets = vec![];
        octets.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        octets.extend([9, 10, 11, 12, 13, 14, 15, 16]);
        octets.extend([1, 0x10, 2, 0]);
        octets.extend([0xde, 0xad, 0xbe, 0xef]);
        octets.extend([0, 0, 1, 0]);
        octets
    }

    #[test]
    fn every_field_is_read_where_the_rfc_puts_it_and_written_back() {
        let header = Header::parse(&sample()).unwrap();
        assert_eq!(header.initiator_cookie.to_string(), "0102030405060708");
        assert_eq!(header.responder_cookie.to_string(), "090a0b0c0d0e0f10");
        assert_eq!(header.next_payload, PayloadType::SA);
        assert_eq!(header.exchange, ExchangeType::MAIN);
        assert_eq!(header.flags, Flags::NONE);
        assert_eq!(header.message_id.to_string(), "deadbeef");
        assert_eq!(header.length, 256);
        let mut out = vec![0xaa];
        let mut writer = Writer::new(&mut out);
        header.emit(&mut writer);
        writer.finish().unwrap();
        assert_eq!(out[1..], sample());
    }

    #[test]
    fn every_length_below_the_header_is_refused_as_short() {
        for length in 0..Header::LEN {
            let error = Header::parse(&sample()[..length]).unwrap_err();
            assert_eq!(error, WireError::new(ErrorKind::Truncated, "ISAKMP header", 0));
        }
    }

    #[test]
    fn every_version_octet_but_one_is_refused_with_its_own_error() {
        for version in 0..=255u8 {
            let mut octets = sample();
            octets[17] = version;
            let kind = match version {
                0x10 => None,
                0x11..=0x1f => Some(ErrorKind::MinorVersion),
                0x20..=0x2f => Some(ErrorKind::Ikev2),
                _ => Some(ErrorKind::MajorVersion),
            };
            assert_eq!(
                Header::parse(&octets).err().map(|error| (error.kind, error.offset)),
                kind.map(|kind| (kind, 17))
            );
        }
    }

    #[test]
    fn setters_change_their_field_alone() {
        let mut octets = sample();
        let mut view = HeaderView::new_checked(&mut octets).unwrap();
        view.set_responder_cookie(Cookie([0xcc; 8]));
        view.set_flags(Flags::ENCRYPTION.with(Flags::COMMIT));
        view.set_message_id(MessageId(5));
        view.set_length(28);
        let header = view.to_header();
        let expected = Header {
            responder_cookie: Cookie([0xcc; 8]),
            flags: Flags(3),
            message_id: MessageId(5),
            length: 28,
            ..Header::parse(&sample()).unwrap()
        };
        assert_eq!(header, expected);
    }

    #[test]
    fn flags_print_their_names_and_the_unknown_bits() {
        assert_eq!(Flags(0).to_string(), "00");
        assert_eq!(Flags(1).to_string(), "01 (encryption)");
        assert_eq!(Flags(0x87).to_string(), "87 (encryption, commit, auth only, unknown)");
        assert_eq!(Flags(0x08).to_string(), "08 (unknown)");
    }
}
