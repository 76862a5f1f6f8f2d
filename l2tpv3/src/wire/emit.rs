use super::CONTROL_HEADER;
use super::attributes::{Attributes, VendorAvp};
use super::avp::{AVP_HEADER, MAX_AVP};
use super::hidden::{HidingKey, hide};
use crate::digest::DigestAlgorithm;
use crate::error::{WireError, WireErrorKind};
use crate::registry::{AttributeType, CiscoAttribute, MessageType, StopResult, VendorId};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::Range;

const MANDATORY: u16 = 0x8000;
const HIDDEN: u16 = 0x4000;
/// The octets of a Message Type AVP.
const MESSAGE_TYPE_AVP: usize = 8;
/// The place of the first digest's value: after the header, the message type, an AVP header and the digest type.
pub(crate) const DIGEST_VALUE: usize = CONTROL_HEADER + MESSAGE_TYPE_AVP + AVP_HEADER + 1;
/// The place of Ns and Nr.
pub(crate) const SEQUENCES: Range<usize> = 8..12;

/// Which sets of AVPs are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Those of the RFCs.
    #[default]
    Rfc,
    /// Those of the RFCs, and after each the draft of Cisco with the same meaning, with M clear.
    Cisco,
}

/// The Message Digest AVPs of a message: none, one or two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestSlots {
    /// The first.
    pub first: Option<DigestAlgorithm>,
    /// The second, for a change of secret or algorithm.
    pub second: Option<DigestAlgorithm>,
    /// The M bit: clear when the digest is a mere integrity check that the peer need not know.
    pub mandatory: bool,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmitOptions<'a> {
    /// The receiver's identifier of the connection, 0 if not known.
    pub connection_id: u32,
    /// Which sets of AVPs.
    pub dialect: Dialect,
    /// Which digests there is room for; their octets stay zero.
    pub digests: DigestSlots,
    /// The key, a fresh random vector and random padding, when AVPs that may be hidden are to be.
    pub hiding: Option<(&'a HidingKey, [u8; 16], [u8; 16])>,
}

/// Writes a control message from its flags word on, with Ns, Nr and digests zero.
///
/// The order is: message type, digests, random vector, then the AVPs by number.
///
/// # Errors
/// A value too long for an AVP, AVPs too long for a message.
pub fn emit(
    message: MessageType,
    attributes: &Attributes<'_>,
    options: &EmitOptions<'_>,
) -> Result<Vec<u8>, WireError> {
    let mut writer = Writer::new(3, options.connection_id);
    writer.avp(MANDATORY, 0, AttributeType::MESSAGE_TYPE.0, &message.0.to_be_bytes())?;
    let flags = if options.digests.mandatory { MANDATORY } else { 0 };
    for algorithm in [options.digests.first, options.digests.second].into_iter().flatten() {
        let mut value = [0; 21];
        value[0] = algorithm.number();
        let value = value.get(..=algorithm.length()).unwrap_or_default();
        writer.avp(flags, 0, AttributeType::MESSAGE_DIGEST.0, value)?;
    }
    if let Some((_, vector, _)) = &options.hiding {
        writer.avp(MANDATORY, 0, AttributeType::RANDOM_VECTOR.0, vector)?;
    }
    for (attribute, value) in attributes.values() {
        let flags = if attribute.is_mandatory() { MANDATORY } else { 0 };
        match &options.hiding {
            Some((key, vector, padding)) if attribute.may_be_hidden() => {
                let fill = (2 + value.len()).next_multiple_of(16) - 2 - value.len();
                let padding = padding.get(..fill).unwrap_or_default();
                writer.avp(flags | HIDDEN, 0, attribute.0, &hide(key, attribute, vector, &value, padding))?;
            }
            _ => writer.avp(flags, 0, attribute.0, &value)?,
        }
        if options.dialect == Dialect::Cisco
            && options.hiding.is_none()
            && let Some(draft) = draft_of(message, attribute)
        {
            writer.avp(0, VendorId::CISCO.0 as u16, draft.0, &value)?;
        }
    }
    if options.dialect == Dialect::Cisco && matches!(message, MessageType::SCCRQ | MessageType::SCCRP) {
        writer.avp(0, VendorId::CISCO.0 as u16, CiscoAttribute::DRAFT_VERSION.0, &1u16.to_be_bytes())?;
    }
    attributes.vendor.iter().try_for_each(|avp| writer.vendor(avp))?;
    writer.finish()
}

/// Writes a StopCCN of version 2 that refuses a peer of version 2 by name, RFC 2661 §4.4.2: result 5, error 3.
pub(crate) fn emit_version_2_refusal(peer_tunnel: u16, own_tunnel: u16, nr: u16) -> Result<Vec<u8>, WireError> {
    let mut writer = Writer::new(2, u32::from(peer_tunnel) << 16);
    writer.avp(MANDATORY, 0, AttributeType::MESSAGE_TYPE.0, &MessageType::STOP_CCN.0.to_be_bytes())?;
    writer.avp(MANDATORY, 0, AttributeType::ASSIGNED_TUNNEL_ID.0, &own_tunnel.to_be_bytes())?;
    let [high, low] = StopResult::BAD_VERSION.0.to_be_bytes();
    writer.avp(MANDATORY, 0, AttributeType::RESULT_CODE.0, &[high, low, 0, 3])?;
    let mut octets = writer.finish()?;
    if let Some(sequences) = octets.get_mut(SEQUENCES) {
        let [high, low] = nr.to_be_bytes();
        sequences.copy_from_slice(&[0, 0, high, low]);
    }
    Ok(octets)
}

/// A tie breaker has a draft in session messages only.
fn draft_of(message: MessageType, attribute: AttributeType) -> Option<CiscoAttribute> {
    match attribute {
        AttributeType::TIE_BREAKER if message.is_session() => Some(CiscoAttribute::TIE_BREAKER),
        attribute => CiscoAttribute::predecessor(attribute),
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn new(version: u8, connection_id: u32) -> Self {
        let mut octets = Vec::with_capacity(192);
        octets.extend_from_slice(&[0xc8, version, 0, 0]);
        octets.extend_from_slice(&connection_id.to_be_bytes());
        octets.extend_from_slice(&[0; 4]);
        Self(octets)
    }

    fn avp(&mut self, flags: u16, vendor: u16, attribute: u16, value: &[u8]) -> Result<(), WireError> {
        let length = AVP_HEADER + value.len();
        if length > MAX_AVP {
            return Err(WireError::new(WireErrorKind::TooLong, "AVP", self.0.len()));
        }
        self.0.extend_from_slice(&(flags | length as u16).to_be_bytes());
        self.0.extend_from_slice(&vendor.to_be_bytes());
        self.0.extend_from_slice(&attribute.to_be_bytes());
        self.0.extend_from_slice(value);
        Ok(())
    }

    fn vendor(&mut self, avp: &VendorAvp<'_>) -> Result<(), WireError> {
        let flags = if avp.mandatory { MANDATORY } else { 0 };
        if let Ok(vendor) = u16::try_from(avp.vendor.0) {
            return self.avp(flags, vendor, avp.attribute, &avp.value);
        }
        let mut value = avp.vendor.0.to_be_bytes().to_vec();
        value.extend_from_slice(&avp.attribute.to_be_bytes());
        value.extend_from_slice(&avp.value);
        self.avp(0, 0, AttributeType::EXTENDED_VENDOR.0, &value)
    }

    fn finish(mut self) -> Result<Vec<u8>, WireError> {
        let length = u16::try_from(self.0.len()).map_err(|_| WireError::new(WireErrorKind::TooLong, "message", 0))?;
        if let Some(field) = self.0.get_mut(2..4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        Ok(self.0)
    }
}

impl Attributes<'_> {
    /// Returns the values of the IETF's AVPs, by number.
    fn values(&self) -> Vec<(AttributeType, Cow<'_, [u8]>)> {
        use AttributeType as A;
        let mut values = Vec::with_capacity(16);
        let mut number = |attribute: A, value: Option<Vec<u8>>| {
            values.extend(value.map(|value| (attribute, Cow::Owned(value))));
        };
        let u16s = |value: Option<u16>| value.map(|value| value.to_be_bytes().to_vec());
        let u32s = |value: Option<u32>| value.map(|value| value.to_be_bytes().to_vec());
        let u64s = |value: Option<u64>| value.map(|value| value.to_be_bytes().to_vec());
        number(A::RESULT_CODE, self.result.as_ref().map(super::ResultCode::octets));
        number(A::TIE_BREAKER, self.tie_breaker.map(|value| value.to_vec()));
        number(A::RECEIVE_WINDOW, u16s(self.receive_window));
        number(A::SERIAL_NUMBER, u32s(self.serial_number));
        number(A::PHYSICAL_CHANNEL, u32s(self.physical_channel));
        number(A::CIRCUIT_ERRORS, self.circuit_errors.map(|errors| errors.octets().to_vec()));
        number(A::ROUTER_ID, u32s(self.router_id));
        number(A::ASSIGNED_CONNECTION_ID, u32s(self.assigned_connection_id.map(u32::from)));
        let list = |types: &Vec<_>| {
            types.iter().flat_map(|kind: &crate::registry::PseudowireType| kind.0.to_be_bytes()).collect()
        };
        number(A::PSEUDOWIRE_CAPABILITIES, self.capabilities.as_ref().map(list));
        number(A::LOCAL_SESSION_ID, u32s(self.local_session_id.map(u32::from)));
        number(A::REMOTE_SESSION_ID, u32s(self.remote_session_id));
        number(
            A::ASSIGNED_COOKIE,
            self.cookie.map(|cookie| {
                let mut octets = [0; 8];
                let length = cookie.write(&mut octets);
                octets.into_iter().take(length).collect()
            }),
        );
        number(A::APPLICATION_CODE, u16s(self.application_code));
        number(A::PSEUDOWIRE_TYPE, u16s(self.pseudowire.map(|kind| kind.0)));
        number(A::SUBLAYER, u16s(self.sublayer.map(|sublayer| sublayer.0)));
        number(A::DATA_SEQUENCING, u16s(self.sequencing.map(|level| level.0)));
        number(A::CIRCUIT_STATUS, u16s(self.circuit_status.map(super::CircuitStatus::bits)));
        number(A::TX_SPEED, u64s(self.tx_speed));
        number(A::RX_SPEED, u64s(self.rx_speed));
        number(A::FRAME_RELAY_HEADER, u16s(self.frame_relay_header));
        number(A::INTERFACE_MTU, u16s(self.interface_mtu));
        number(A::FCS_RETENTION, u16s(self.fcs_retention));
        for (attribute, value) in [
            (A::HOST_NAME, &self.host_name),
            (A::VENDOR_NAME, &self.vendor_name),
            (A::REMOTE_END_ID, &self.remote_end_id),
            (A::PREFERRED_LANGUAGE, &self.preferred_language),
            (A::NONCE, &self.nonce),
            (A::ATTACHMENT_GROUP, &self.attachment_group),
            (A::LOCAL_END_ID, &self.local_end_id),
        ] {
            values.extend(value.as_ref().map(|value| (attribute, Cow::Borrowed(&**value))));
        }
        values.sort_by_key(|(attribute, _)| *attribute);
        values
    }
}
