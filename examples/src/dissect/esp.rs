//! ESP packets: header, and what is inside where a key is known.

use super::keys::Keys;
use esp_ah::{OpenJob, Packet, open_batch};
use ipsec_wire::esp::EspPacket;
use ipsec_wire::ipv4::Ipv4Packet;
use ipsec_wire::ipv6::Ipv6Packet;
use ipsec_wire::isakmp::describe::{Field, Sink, Value};
use std::fmt;
use std::net::IpAddr;

/// What an ESP packet protected: the protocol, and its octets.
pub type Opened = (u8, Vec<u8>);

/// Tells an ESP packet, and returns what is inside when it could be opened.
///
/// # Errors
/// Those of the sink.
pub fn tell(octets: &[u8], keys: &Keys, sink: &mut dyn Sink) -> Result<Option<Opened>, fmt::Error> {
    let packet = match EspPacket::new_checked(octets) {
        Ok(packet) => packet,
        Err(error) => {
            sink.begin("ESP", &[])?;
            sink.line(&[Field::new("ERROR", Value::Shown(&error)), Field::new("Octets", Value::Octets(octets))])?;
            sink.end()?;
            return Ok(None);
        }
    };
    sink.begin(
        "ESP",
        &[
            Field::new("SPI", Value::Bits(packet.spi().into(), 8)),
            Field::number("Sequence", packet.sequence()),
            Field::count("Length", octets.len()),
        ],
    )?;
    let mut inner = None;
    match keys.esp.get(&packet.spi()) {
        None => sink.line(&[Field::new("Encrypted", Value::Octets(packet.body()))])?,
        Some(key) => {
            let mut buffer = octets.to_vec();
            let mut jobs = [OpenJob::new(key, Packet::whole(&mut buffer), packet.sequence().into())];
            open_batch(&mut jobs);
            let [job] = jobs;
            match job.finish() {
                Ok(opened) => {
                    let payload = opened.packet.octets().to_vec();
                    let next_header = protocol("Next header", opened.next_header);
                    match ends(&payload).filter(|_| matches!(opened.next_header, 4 | 41)) {
                        None => sink.line(&[next_header])?,
                        Some((source, destination, carries)) => sink.line(&[
                            next_header,
                            Field::new("From", Value::Address(source)),
                            Field::new("To", Value::Address(destination)),
                            protocol("Protocol", carries),
                        ])?,
                    }
                    sink.line(&[Field::new("Payload", Value::Octets(&payload))])?;
                    inner = Some((opened.next_header, payload));
                }
                Err(error) => {
                    sink.line(&[Field::new("ERROR", Value::Shown(&error))])?;
                    sink.line(&[Field::new("Encrypted", Value::Octets(packet.body()))])?;
                }
            }
        }
    }
    sink.end()?;
    Ok(inner)
}

/// Returns a field of an IP protocol, with the names that one meets most.
pub fn protocol(field: &'static str, number: u8) -> Field<'static> {
    let name = match number {
        0 => "hop-by-hop options",
        1 => "ICMP",
        2 => "IGMP",
        4 => "IPv4",
        6 => "TCP",
        17 => "UDP",
        41 => "IPv6",
        43 => "routing header",
        44 => "fragment header",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        58 => "ICMPv6",
        59 => "no next header",
        60 => "destination options",
        89 => "OSPF",
        94 => "BEET",
        103 => "PIM",
        108 => "IPComp",
        112 => "VRRP",
        115 => "L2TP",
        132 => "SCTP",
        _ => return Field::new(field, Value::Named(None, number.into())),
    };
    Field::new(field, Value::Named(Some(name), number.into()))
}

/// Returns the ends of an IP packet, and what it carries.
fn ends(packet: &[u8]) -> Option<(IpAddr, IpAddr, u8)> {
    if let Ok(packet) = Ipv4Packet::new_checked(packet) {
        return Some((packet.source().into(), packet.destination().into(), packet.protocol()));
    }
    let packet = Ipv6Packet::new_checked(packet).ok()?;
    Some((packet.source().into(), packet.destination().into(), packet.next_header()))
}
