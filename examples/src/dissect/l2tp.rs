//! L2TPv3 packets as text.

use ipsec_wire::isakmp::describe::{Field, Sink, Value};
use l2tpv3::wire::{Carrier, ControlMessage, Packet, classify};
use std::fmt;

/// Tells an L2TP packet.
///
/// # Errors
/// Those of the sink.
pub fn tell(carrier: Carrier, octets: &[u8], sink: &mut dyn Sink) -> fmt::Result {
    match classify(carrier, octets) {
        Ok(Packet::Control(message)) => control(&message, sink),
        Ok(Packet::Data(session)) => {
            sink.begin("L2TPv3 data", &[Field::new("Session", Value::Bits(session.into(), 8))])?;
            sink.line(&[Field::new("Octets", Value::Octets(octets))])?;
            sink.end()
        }
        Ok(Packet::Version2Data) => whole("L2TPv2 data", octets, sink),
        Ok(Packet::L2f) => whole("L2F", octets, sink),
        Err(error) => {
            sink.begin("L2TP", &[])?;
            sink.line(&[Field::new("ERROR", Value::Shown(&error)), Field::new("Octets", Value::Octets(octets))])?;
            sink.end()
        }
    }
}

fn whole(kind: &'static str, octets: &[u8], sink: &mut dyn Sink) -> fmt::Result {
    sink.begin(kind, &[Field::new("Octets", Value::Octets(octets))])?;
    sink.end()
}

fn control(message: &ControlMessage<'_>, sink: &mut dyn Sink) -> fmt::Result {
    sink.begin(
        "L2TPv3 control",
        &[
            Field::number("Version", message.header.version),
            Field::new("Connection", Value::Bits(message.header.connection_id.into(), 8)),
            Field::number("Ns", message.header.ns),
            Field::number("Nr", message.header.nr),
        ],
    )?;
    for avp in message.avps() {
        match avp {
            Ok(avp) => {
                let flags = format!("{}{}", if avp.mandatory { "M" } else { "-" }, if avp.hidden { "H" } else { "-" });
                let shown = format!("{:?} of {:?}", avp.attribute, avp.vendor);
                sink.line(&[
                    Field::new("AVP", Value::Shown(&shown)),
                    Field::new("Flags", Value::Shown(&flags)),
                    Field::new("Value", Value::Octets(avp.value)),
                ])?;
            }
            Err(error) => sink.line(&[Field::new("ERROR", Value::Shown(&error))])?,
        }
    }
    sink.end()
}
