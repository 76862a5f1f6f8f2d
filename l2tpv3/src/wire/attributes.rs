use super::avp::Avp;
use super::cookie::Cookie;
use super::header::ControlMessage;
use super::hidden::{HidingKey, unhide};
use super::reader::Reader;
use super::values::{CircuitErrors, CircuitStatus, ResultCode};
use crate::error::{WireError, WireErrorKind};
use crate::registry::{
    AttributeType, CiscoAttribute, ErrorCode, MessageType, PseudowireType, SequencingLevel, SublayerType, VendorId,
};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;

/// A vendor's AVP, kept as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorAvp<'a> {
    /// The vendor; above 65535 the AVP travels inside an Extended Vendor ID AVP.
    pub vendor: VendorId,
    /// The vendor's number for the AVP.
    pub attribute: u16,
    /// The M bit.
    pub mandatory: bool,
    /// The value in clear.
    pub value: Cow<'a, [u8]>,
}

/// The meaning of the AVPs of one message; what is `None` was not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// Why a connection or session ends.
    pub result: Option<ResultCode<'a>>,
    /// The tie breaker of a connection or session: the lower value wins.
    pub tie_breaker: Option<[u8; 8]>,
    /// The sender's name.
    pub host_name: Option<Cow<'a, [u8]>>,
    /// The sender's make.
    pub vendor_name: Option<Cow<'a, [u8]>>,
    /// How many messages the sender takes before it acknowledges.
    pub receive_window: Option<u16>,
    /// The number people know the session by.
    pub serial_number: Option<u32>,
    /// A channel number for logs.
    pub physical_channel: Option<u32>,
    /// Counts of a WEN.
    pub circuit_errors: Option<CircuitErrors>,
    /// The sender's router id.
    pub router_id: Option<u32>,
    /// The sender's identifier of the connection.
    pub assigned_connection_id: Option<NonZeroU32>,
    /// What the sender can carry.
    pub capabilities: Option<Vec<PseudowireType>>,
    /// The sender's identifier of the session.
    pub local_session_id: Option<NonZeroU32>,
    /// The receiver's identifier of the session, 0 when the sender does not know it.
    pub remote_session_id: Option<u32>,
    /// What data for the sender must carry.
    pub cookie: Option<Cookie>,
    /// The circuit that is asked for.
    pub remote_end_id: Option<Cow<'a, [u8]>>,
    /// The application the session is for.
    pub application_code: Option<u16>,
    /// What the session carries.
    pub pseudowire: Option<PseudowireType>,
    /// The sublayer that data for the sender must have.
    pub sublayer: Option<SublayerType>,
    /// Which data for the sender must be numbered.
    pub sequencing: Option<SequencingLevel>,
    /// The state of the sender's circuit.
    pub circuit_status: Option<CircuitStatus>,
    /// The language for texts.
    pub preferred_language: Option<Cow<'a, [u8]>>,
    /// The sender's nonce; it says that messages are authenticated.
    pub nonce: Option<Cow<'a, [u8]>>,
    /// Transmit speed in bit/s.
    pub tx_speed: Option<u64>,
    /// Receive speed in bit/s.
    pub rx_speed: Option<u64>,
    /// Octets of a Frame Relay header: 2 or 4.
    pub frame_relay_header: Option<u16>,
    /// The group of the attachment circuit.
    pub attachment_group: Option<Cow<'a, [u8]>>,
    /// The sender's end of the circuit.
    pub local_end_id: Option<Cow<'a, [u8]>>,
    /// The MTU of the sender's interface.
    pub interface_mtu: Option<u16>,
    /// Octets of frame check sequence kept in the payload.
    pub fcs_retention: Option<u16>,
    /// AVPs of vendors, the drafts of Cisco excepted where their meaning is above.
    pub vendor: Vec<VendorAvp<'a>>,
}

/// What is wrong with an AVP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffenceKind {
    /// The AVP is not known.
    Unknown,
    /// Its length is not one its value can have.
    Length,
    /// Its value is out of range, or it is hidden though it must not be.
    Range,
    /// Its value is hidden and cannot be read.
    Hidden,
}

/// An AVP with the M bit set that could not be understood: it ends what the message is about, RFC 3931 §5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offence {
    /// Whose AVP.
    pub vendor: VendorId,
    /// Which AVP.
    pub attribute: AttributeType,
    /// What is wrong.
    pub kind: OffenceKind,
}

impl Offence {
    /// Returns the error code that a StopCCN or CDN gives for this.
    pub const fn error_code(self) -> ErrorCode {
        match self.kind {
            OffenceKind::Unknown => ErrorCode::UNKNOWN_AVP,
            OffenceKind::Length => ErrorCode::LENGTH,
            OffenceKind::Range | OffenceKind::Hidden => ErrorCode::RANGE,
        }
    }
}

/// The text that a StopCCN or CDN carries.
impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            OffenceKind::Unknown => "unknown mandatory AVP",
            OffenceKind::Length => "bad length of AVP",
            OffenceKind::Range => "bad value of AVP",
            OffenceKind::Hidden => "unreadable hidden AVP",
        })?;
        write!(f, " {}:{}", self.vendor.0, self.attribute.0)
    }
}

/// A message understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected<'a> {
    /// The type of the message.
    pub message_type: MessageType,
    /// Whose number the type is; only the IETF's are known here.
    pub message_vendor: VendorId,
    /// The M bit of the Message Type AVP.
    pub message_mandatory: bool,
    /// What the AVPs say.
    pub attributes: Attributes<'a>,
    /// The first AVP that ends what the message is about.
    pub offence: Option<Offence>,
    /// How many AVPs were passed over: unknown, malformed without the M bit, repeated.
    pub ignored: u16,
    /// Whether AVPs of Cisco's drafts were there.
    pub cisco_drafts: bool,
    /// The tunnel id that a peer of version 2 assigned.
    pub version_2_tunnel: Option<u16>,
}

impl<'a> Collected<'a> {
    /// Reads the AVPs of a message. `key` unhides hidden ones.
    ///
    /// Each AVP is taken alone: a fault in one says nothing about the next. Of AVPs that come twice
    /// the first counts. Of an AVP of the IETF and its draft of Cisco the IETF's counts.
    ///
    /// # Errors
    /// AVPs whose lengths do not add up, and a first AVP that is no Message Type.
    pub fn read(message: &ControlMessage<'a>, key: Option<&HidingKey>) -> Result<Self, WireError> {
        let mut avps = message.avps();
        let no_type = WireError::new(WireErrorKind::NoMessageType, "message type", super::CONTROL_HEADER);
        let first = avps.next().ok_or(no_type)??;
        if first.attribute != AttributeType::MESSAGE_TYPE || first.hidden || first.value.len() != 2 {
            return Err(no_type);
        }
        let mut collected = Self {
            message_type: MessageType(Reader::at(first.value, first.offset).u16("message type")?),
            message_vendor: first.vendor,
            message_mandatory: first.mandatory,
            attributes: Attributes::default(),
            offence: None,
            ignored: 0,
            cisco_drafts: false,
            version_2_tunnel: None,
        };
        let mut drafts = Attributes::default();
        let mut vector: Option<&[u8]> = None;
        for avp in avps {
            let avp = avp?;
            let outcome = collected.take(&avp, &mut drafts, &mut vector, key);
            collected.settle(&avp, outcome);
        }
        collected.attributes.fill_from(drafts);
        Ok(collected)
    }

    fn settle(&mut self, avp: &Avp<'a>, outcome: Outcome) {
        let kind = match outcome {
            Outcome::Taken => return,
            Outcome::Ignored => None,
            Outcome::Wrong(kind) => avp.mandatory.then_some(kind),
        };
        self.ignored = self.ignored.saturating_add(1);
        if let (Some(kind), None) = (kind, self.offence) {
            self.offence = Some(Offence { vendor: avp.vendor, attribute: avp.attribute, kind });
        }
    }

    fn take(
        &mut self,
        avp: &Avp<'a>,
        drafts: &mut Attributes<'a>,
        vector: &mut Option<&'a [u8]>,
        key: Option<&HidingKey>,
    ) -> Outcome {
        let ietf = avp.vendor == VendorId::IETF;
        if avp.hidden && ietf && !avp.attribute.may_be_hidden() {
            return Outcome::Wrong(OffenceKind::Range);
        }
        let value = if avp.hidden {
            let (Some(key), Some(vector)) = (key, *vector) else { return Outcome::Wrong(OffenceKind::Hidden) };
            let Some(value) = unhide(key, avp.attribute, vector, avp.value) else {
                return Outcome::Wrong(OffenceKind::Hidden);
            };
            Cow::Owned(value)
        } else {
            Cow::Borrowed(avp.value)
        };
        if avp.vendor == VendorId::CISCO {
            self.cisco_drafts = true;
            let draft = CiscoAttribute(avp.attribute.0);
            return match draft.successor() {
                Some(successor) => drafts.set(successor, value),
                None if draft.name().is_some() => Outcome::Ignored,
                None => self.attributes.keep(avp, value),
            };
        }
        if !ietf {
            return self.attributes.keep(avp, value);
        }
        match avp.attribute {
            AttributeType::MESSAGE_TYPE => Outcome::Wrong(OffenceKind::Range),
            // Checked before this is called, at their fixed place.
            AttributeType::MESSAGE_DIGEST => Outcome::Taken,
            AttributeType::RANDOM_VECTOR if avp.value.is_empty() => Outcome::Wrong(OffenceKind::Length),
            AttributeType::RANDOM_VECTOR => {
                *vector = Some(avp.value);
                Outcome::Taken
            }
            AttributeType::ASSIGNED_TUNNEL_ID => {
                self.version_2_tunnel = Reader::at(&value, 0).u16("tunnel id").ok();
                Outcome::Ignored
            }
            attribute if attribute.is_version_2_only() => Outcome::Ignored,
            attribute => self.attributes.set(attribute, value),
        }
    }
}

/// What became of one AVP.
enum Outcome {
    Taken,
    Ignored,
    Wrong(OffenceKind),
}

fn put<T>(slot: &mut Option<T>, value: Result<T, OffenceKind>) -> Outcome {
    match (value, &slot) {
        (Err(kind), _) => Outcome::Wrong(kind),
        (Ok(_), Some(_)) => Outcome::Ignored,
        (Ok(value), None) => {
            *slot = Some(value);
            Outcome::Taken
        }
    }
}

fn array<const N: usize>(value: &[u8]) -> Result<[u8; N], OffenceKind> {
    value.try_into().map_err(|_| OffenceKind::Length)
}

fn u16_of(value: &[u8]) -> Result<u16, OffenceKind> {
    array(value).map(u16::from_be_bytes)
}

fn u32_of(value: &[u8]) -> Result<u32, OffenceKind> {
    array(value).map(u32::from_be_bytes)
}

fn u64_of(value: &[u8]) -> Result<u64, OffenceKind> {
    array(value).map(u64::from_be_bytes)
}

fn id_of(value: &[u8]) -> Result<NonZeroU32, OffenceKind> {
    NonZeroU32::new(u32_of(value)?).ok_or(OffenceKind::Range)
}

fn some_octets(value: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, OffenceKind> {
    if value.is_empty() { Err(OffenceKind::Length) } else { Ok(value) }
}

fn pseudowires_of(value: &[u8]) -> Result<Vec<PseudowireType>, OffenceKind> {
    let (pairs, rest) = value.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(OffenceKind::Length);
    }
    Ok(pairs.iter().map(|pair| PseudowireType(u16::from_be_bytes(*pair))).collect())
}

/// The values of these AVPs are read whether borrowed or unhidden; the text of a result is copied
/// in the second case only.
fn result_of(value: Cow<'_, [u8]>) -> Result<ResultCode<'_>, OffenceKind> {
    match value {
        Cow::Borrowed(value) => ResultCode::parse(value).ok_or(OffenceKind::Length),
        Cow::Owned(_) => Err(OffenceKind::Range),
    }
}

impl<'a> Attributes<'a> {
    fn set(&mut self, attribute: AttributeType, value: Cow<'a, [u8]>) -> Outcome {
        match attribute {
            AttributeType::RESULT_CODE => put(&mut self.result, result_of(value)),
            AttributeType::TIE_BREAKER => put(&mut self.tie_breaker, array(&value)),
            AttributeType::HOST_NAME => put(&mut self.host_name, some_octets(value)),
            AttributeType::VENDOR_NAME => put(&mut self.vendor_name, Ok(value)),
            AttributeType::RECEIVE_WINDOW => put(
                &mut self.receive_window,
                u16_of(&value).and_then(|size| if size == 0 { Err(OffenceKind::Range) } else { Ok(size) }),
            ),
            AttributeType::SERIAL_NUMBER => put(&mut self.serial_number, u32_of(&value)),
            AttributeType::PHYSICAL_CHANNEL => put(&mut self.physical_channel, u32_of(&value)),
            AttributeType::CIRCUIT_ERRORS => {
                put(&mut self.circuit_errors, CircuitErrors::parse(&value).ok_or(OffenceKind::Length))
            }
            AttributeType::EXTENDED_VENDOR => self.keep_extended(&value),
            AttributeType::ROUTER_ID => put(&mut self.router_id, u32_of(&value)),
            AttributeType::ASSIGNED_CONNECTION_ID => put(&mut self.assigned_connection_id, id_of(&value)),
            AttributeType::PSEUDOWIRE_CAPABILITIES => put(&mut self.capabilities, pseudowires_of(&value)),
            AttributeType::LOCAL_SESSION_ID => put(&mut self.local_session_id, id_of(&value)),
            AttributeType::REMOTE_SESSION_ID => put(&mut self.remote_session_id, u32_of(&value)),
            AttributeType::ASSIGNED_COOKIE => {
                put(&mut self.cookie, Cookie::from_slice(&value).ok_or(OffenceKind::Length))
            }
            AttributeType::REMOTE_END_ID => put(&mut self.remote_end_id, Ok(value)),
            AttributeType::APPLICATION_CODE => put(&mut self.application_code, u16_of(&value)),
            AttributeType::PSEUDOWIRE_TYPE => put(&mut self.pseudowire, u16_of(&value).map(PseudowireType)),
            AttributeType::SUBLAYER => put(&mut self.sublayer, u16_of(&value).map(SublayerType)),
            AttributeType::DATA_SEQUENCING => put(&mut self.sequencing, u16_of(&value).map(SequencingLevel)),
            AttributeType::CIRCUIT_STATUS => {
                put(&mut self.circuit_status, u16_of(&value).map(CircuitStatus::from_bits))
            }
            AttributeType::PREFERRED_LANGUAGE => put(&mut self.preferred_language, Ok(value)),
            AttributeType::NONCE => put(&mut self.nonce, some_octets(value)),
            AttributeType::TX_SPEED => put(&mut self.tx_speed, u64_of(&value)),
            AttributeType::RX_SPEED => put(&mut self.rx_speed, u64_of(&value)),
            AttributeType::FRAME_RELAY_HEADER => put(
                &mut self.frame_relay_header,
                u16_of(&value)
                    .and_then(|octets| if matches!(octets, 2 | 4) { Ok(octets) } else { Err(OffenceKind::Range) }),
            ),
            AttributeType::ATTACHMENT_GROUP => put(&mut self.attachment_group, Ok(value)),
            AttributeType::LOCAL_END_ID => put(&mut self.local_end_id, Ok(value)),
            AttributeType::INTERFACE_MTU => put(&mut self.interface_mtu, u16_of(&value)),
            AttributeType::FCS_RETENTION => put(&mut self.fcs_retention, u16_of(&value)),
            _ => Outcome::Wrong(OffenceKind::Unknown),
        }
    }

    fn keep(&mut self, avp: &Avp<'a>, value: Cow<'a, [u8]>) -> Outcome {
        let (vendor, attribute, mandatory) = (avp.vendor, avp.attribute.0, avp.mandatory);
        self.vendor.push(VendorAvp { vendor, attribute, mandatory, value });
        if mandatory { Outcome::Wrong(OffenceKind::Unknown) } else { Outcome::Taken }
    }

    fn keep_extended(&mut self, value: &[u8]) -> Outcome {
        let mut reader = Reader::at(value, 0);
        let (Ok(vendor), Ok(attribute)) = (reader.u32("vendor"), reader.u16("type")) else {
            return Outcome::Wrong(OffenceKind::Length);
        };
        let value = Cow::Owned(reader.rest().to_vec());
        self.vendor.push(VendorAvp { vendor: VendorId(vendor), attribute, mandatory: false, value });
        Outcome::Taken
    }

    /// Takes from `drafts` what is not here: the fields that drafts of Cisco can set.
    fn fill_from(&mut self, drafts: Self) {
        self.assigned_connection_id = self.assigned_connection_id.or(drafts.assigned_connection_id);
        self.capabilities = self.capabilities.take().or(drafts.capabilities);
        self.local_session_id = self.local_session_id.or(drafts.local_session_id);
        self.remote_session_id = self.remote_session_id.or(drafts.remote_session_id);
        self.cookie = self.cookie.or(drafts.cookie);
        self.remote_end_id = self.remote_end_id.take().or(drafts.remote_end_id);
        self.pseudowire = self.pseudowire.or(drafts.pseudowire);
        self.circuit_status = self.circuit_status.or(drafts.circuit_status);
        self.tie_breaker = self.tie_breaker.or(drafts.tie_breaker);
        self.interface_mtu = self.interface_mtu.or(drafts.interface_mtu);
    }
}
