//! L2TPv3 packets as text.

use super::l2tp_sessions::Session;
use ipsec_wire::isakmp::describe::{Field, Sink, Value};
use l2tpv3::registry::{
    AttributeType, CdnResult, CiscoAttribute, ErrorCode, MessageType, PseudowireType, SequencingLevel, StopResult,
    SublayerType, VendorId,
};
use l2tpv3::wire::{Avp, Carrier, ControlMessage, DataLayout, Packet, classify, sequence_in};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// Tells an L2TP packet, and returns the frame inside where its session is known.
///
/// # Errors
/// Those of the sink.
pub fn tell<'a>(
    carrier: Carrier,
    octets: &'a [u8],
    session: Option<&Session>,
    sink: &mut dyn Sink,
) -> Result<Option<&'a [u8]>, fmt::Error> {
    match classify(carrier, octets) {
        Ok(Packet::Control(message)) => control(&message, sink)?,
        Ok(Packet::Data(id)) => return data(carrier, octets, id, session, sink),
        Ok(Packet::Version2Data) => whole("L2TPv2 data", octets, sink)?,
        Ok(Packet::L2f) => whole("L2F", octets, sink)?,
        Err(error) => {
            sink.begin("L2TP", &[])?;
            sink.line(&[Field::new("ERROR", Value::Shown(&error)), Field::new("Octets", Value::Octets(octets))])?;
            sink.end()?;
        }
    }
    Ok(None)
}

/// Tells a data packet: as octets where nobody said what stands in front of its frame.
fn data<'a>(
    carrier: Carrier,
    octets: &'a [u8],
    id: u32,
    session: Option<&Session>,
    sink: &mut dyn Sink,
) -> Result<Option<&'a [u8]>, fmt::Error> {
    sink.begin("L2TPv3 data", &[Field::new("Session", Value::Bits(id.into(), 8))])?;
    let layout = session.and_then(|session| Some((session, session.cookie?, session.sublayer?)));
    let Some((session, cookie, sublayer)) = layout else {
        sink.line(&[Field::new("Octets", Value::Octets(octets))])?;
        sink.end()?;
        return Ok(None);
    };
    let rest = octets.get(DataLayout::cookie_at(carrier)..).unwrap_or_default();
    let split = rest.split_at_checked(cookie.len()).and_then(|(seen, rest)| {
        let (sublayer, frame) = rest.split_at_checked(sublayer.len())?;
        Some((seen, sublayer, frame))
    });
    let Some((seen, sublayer, frame)) = split else {
        sink.line(&[Field::new("ERROR", Value::Shown(&"shorter than its session's cookie and sublayer"))])?;
        sink.line(&[Field::new("Octets", Value::Octets(octets))])?;
        sink.end()?;
        return Ok(None);
    };
    let right = cookie.matches(seen) == Some(true);
    if !cookie.is_empty() {
        let says: &dyn fmt::Display = if right { &"as assigned" } else { &"NOT as assigned" };
        sink.line(&[Field::new("Cookie", Value::Octets(seen)), Field::new("It is", Value::Shown(says))])?;
    }
    match sublayer.first_chunk().copied().map(sequence_in) {
        Some(Some(number)) => sink.line(&[Field::number("Sequence", number)])?,
        Some(None) => sink.line(&[Field::new("Sequence", Value::Shown(&"not numbered"))])?,
        None => {}
    }
    let name = session.pseudowire.map_or(Value::Shown(&"unknown"), |kind| Value::Named(kind.name(), kind.0.into()));
    sink.line(&[Field::new("Pseudowire", name), Field::new("Frame", Value::Octets(frame))])?;
    sink.end()?;
    let is_ethernet = matches!(session.pseudowire, Some(PseudowireType::ETHERNET | PseudowireType::ETHERNET_VLAN));
    Ok((right && is_ethernet).then_some(frame))
}

/// Returns the standard's attribute that an AVP is: Cisco's, from before the standard, have their own numbers.
pub fn standard(avp: &Avp<'_>) -> Option<AttributeType> {
    match avp.vendor {
        VendorId::IETF => Some(avp.attribute),
        VendorId::CISCO => CiscoAttribute(avp.attribute.0).successor(),
        _ => None,
    }
}

/// Returns what keeps an L2TP packet from being read.
pub fn fault(carrier: Carrier, octets: &[u8]) -> Option<l2tpv3::WireError> {
    match classify(carrier, octets) {
        Ok(Packet::Control(message)) => message.avps().find_map(Result::err),
        Ok(_) => None,
        Err(error) => Some(error),
    }
}

fn whole(kind: &'static str, octets: &[u8], sink: &mut dyn Sink) -> fmt::Result {
    sink.begin(kind, &[Field::new("Octets", Value::Octets(octets))])?;
    sink.end()
}

fn control(message: &ControlMessage<'_>, sink: &mut dyn Sink) -> fmt::Result {
    let header = message.header;
    let numbers = [Field::number("Ns", header.ns), Field::number("Nr", header.nr)];
    let kind = message
        .avps()
        .next()
        .and_then(Result::ok)
        .filter(|first| first.is(AttributeType::MESSAGE_TYPE))
        .and_then(|first| number(first.value))
        .map(|number| MessageType(number as u16));
    let what = match kind {
        Some(kind) => Field::new("Message", Value::Named(kind.name(), kind.0.into())),
        None if message.is_zero_length_body() => Field::new("Message", Value::Shown(&"acknowledgement, no body")),
        None => Field::new("Message", Value::Shown(&"no type")),
    };
    if header.version == 2 {
        let (tunnel, session) = header.version_2_ids();
        let ids = [Field::number("Tunnel", tunnel), Field::number("Session", session)];
        sink.begin("L2TPv2 control", &[&[what], &ids[..], &numbers[..]].concat())?;
    } else {
        let connection = Field::new("Connection", Value::Bits(header.connection_id.into(), 8));
        sink.begin("L2TPv3 control", &[&[what, connection], &numbers[..]].concat())?;
    }
    for avp in message.avps() {
        match avp {
            Ok(avp) => attribute(kind, &avp, sink)?,
            Err(error) => sink.line(&[Field::new("ERROR", Value::Shown(&error))])?,
        }
    }
    sink.end()
}

fn attribute(message: Option<MessageType>, avp: &Avp<'_>, sink: &mut dyn Sink) -> fmt::Result {
    let name = match avp.vendor {
        VendorId::IETF => avp.attribute.name(),
        VendorId::CISCO => CiscoAttribute(avp.attribute.0).name(),
        _ => None,
    };
    let kind = Field::new("Type", Value::Named(name, avp.attribute.0.into()));
    let vendor = Field::new("Vendor", Value::Named(avp.vendor.name(), avp.vendor.0.into()));
    let flags = format!("{}{}", if avp.mandatory { "M" } else { "-" }, if avp.hidden { "H" } else { "-" });
    let flags = Field::new("Flags", Value::Shown(&flags));
    if avp.vendor == VendorId::IETF {
        sink.begin("AVP", &[kind, flags])?;
    } else {
        sink.begin("AVP", &[kind, vendor, flags])?;
    }
    match standard(avp).filter(|_| !avp.hidden) {
        Some(attribute) => value(message, attribute, avp.value, sink)?,
        None if avp.hidden => sink.line(&[Field::new("Hidden value", Value::Octets(avp.value))])?,
        None => sink.line(&[Field::new("Value", Value::Octets(avp.value))])?,
    }
    sink.end()
}

/// Tells a value in the words of its attribute, and as octets where it is not what it should be.
fn value(message: Option<MessageType>, attribute: AttributeType, octets: &[u8], sink: &mut dyn Sink) -> fmt::Result {
    let mut say = |value| sink.line(&[Field::new("Value", value)]);
    let small = number(octets).filter(|_| octets.len() == 2).map(|number| number as u16);
    match (attribute, number(octets), small) {
        (AttributeType::MESSAGE_TYPE, _, Some(n)) => say(Value::Named(MessageType(n).name(), n.into())),
        (AttributeType::PSEUDOWIRE_TYPE, _, Some(n)) => say(Value::Named(PseudowireType(n).name(), n.into())),
        (AttributeType::SUBLAYER, _, Some(n)) => say(Value::Named(SublayerType(n).name(), n.into())),
        (AttributeType::DATA_SEQUENCING, _, Some(n)) => say(Value::Named(SequencingLevel(n).name(), n.into())),
        (AttributeType::CIRCUIT_STATUS, _, Some(n)) => {
            let status = format!(
                "{}{}",
                if n & 1 == 1 { "up" } else { "down" },
                if n & 2 == 2 { ", of a new circuit" } else { "" }
            );
            say(Value::Shown(&status))
        }
        (AttributeType::PSEUDOWIRE_CAPABILITIES, ..) if octets.len().is_multiple_of(2) => {
            for capability in octets.as_chunks::<2>().0 {
                let number = u16::from_be_bytes(*capability);
                say(Value::Named(PseudowireType(number).name(), number.into()))?;
            }
            Ok(())
        }
        (AttributeType::RESULT_CODE, ..) if octets.len() == 2 || octets.len() >= 4 => result(message, octets, sink),
        (AttributeType::ROUTER_ID, ..) => match <[u8; 4]>::try_from(octets) {
            Ok(address) => say(Value::Address(IpAddr::V4(Ipv4Addr::from(address)))),
            Err(_) => say(Value::Octets(octets)),
        },
        (
            AttributeType::ASSIGNED_CONNECTION_ID | AttributeType::LOCAL_SESSION_ID | AttributeType::REMOTE_SESSION_ID,
            Some(id),
            _,
        ) if octets.len() == 4 => say(Value::Bits(id, 8)),
        (
            AttributeType::HOST_NAME
            | AttributeType::VENDOR_NAME
            | AttributeType::REMOTE_END_ID
            | AttributeType::LOCAL_END_ID
            | AttributeType::PREFERRED_LANGUAGE,
            ..,
        ) => say(Value::Readable(octets)),
        (
            AttributeType::PROTOCOL_VERSION
            | AttributeType::FIRMWARE_REVISION
            | AttributeType::ASSIGNED_TUNNEL_ID
            | AttributeType::RECEIVE_WINDOW
            | AttributeType::SERIAL_NUMBER
            | AttributeType::PHYSICAL_CHANNEL
            | AttributeType::APPLICATION_CODE
            | AttributeType::TX_SPEED
            | AttributeType::RX_SPEED
            | AttributeType::FRAME_RELAY_HEADER
            | AttributeType::INTERFACE_MTU
            | AttributeType::FCS_RETENTION
            | AttributeType::EXTENDED_VENDOR,
            Some(number),
            _,
        ) => say(Value::Number(number)),
        _ => say(Value::Octets(octets)),
    }
}

/// Tells why a connection or a session ends (RFC 3931 §5.4.2).
fn result(message: Option<MessageType>, octets: &[u8], sink: &mut dyn Sink) -> fmt::Result {
    let Some((result, rest)) = octets.split_first_chunk::<2>() else { return Ok(()) };
    let result = u16::from_be_bytes(*result);
    let name = match message {
        Some(MessageType::STOP_CCN) => StopResult(result).name(),
        Some(MessageType::CDN) => CdnResult(result).name(),
        _ => None,
    };
    sink.line(&[Field::new("Result", Value::Named(name, result.into()))])?;
    let Some((error, text)) = rest.split_first_chunk::<2>() else { return Ok(()) };
    let error = ErrorCode(u16::from_be_bytes(*error));
    sink.line(&[Field::new("Error", Value::Named(error.name(), error.0.into()))])?;
    if text.is_empty() { Ok(()) } else { sink.line(&[Field::new("Text", Value::Readable(text))]) }
}

/// Reads a number of 1 to 8 octets.
fn number(octets: &[u8]) -> Option<u64> {
    let fits = (1..=8).contains(&octets.len());
    fits.then(|| octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)))
}
