use super::attributes::{attributes, configuration};
use super::walk::fault;
use super::{Field, Options, Sink, Value};
use crate::error::WireError;
use crate::isakmp::payload::{
    Configuration, Delete, Fragment, Identification, Identity, NatDetection, NatNumbering, NatOriginalAddress,
    Notification, NotificationData, Payload, Proposal, SecurityAssociation, Transform,
};
use crate::isakmp::{Header, vendor};
use crate::reader::Reader;
use crate::registry::{
    AhTransform, CertificateEncoding, EspTransform, IpcompTransform, IsakmpTransform, PayloadType, ProtocolId,
};
use core::fmt;

/// Describes the body of a payload; one that cannot be read is an error and its octets.
pub(super) fn payload(
    header: &Header,
    payload_type: PayloadType,
    body: Reader<'_>,
    offset: usize,
    options: Options,
    sink: &mut dyn Sink,
) -> fmt::Result {
    match read(payload_type, body, offset, options) {
        Ok(payload) => typed(header, &payload, body, options, sink),
        Err(error) => sink.line(&[fault(&error), Field::new("Body", Value::Octets(body.peek_rest()))]),
    }
}

/// Reads a body, with the numbers 15 and 16 in the meaning that the SA gave them.
fn read(
    payload_type: PayloadType,
    body: Reader<'_>,
    offset: usize,
    options: Options,
) -> Result<Payload<'_>, WireError> {
    let numbering = options.nat_numbering;
    if numbering == NatNumbering::Drafts04To08 && payload_type == numbering.nat_d() {
        return NatDetection::parse(numbering, body).map(Payload::NatDetection);
    }
    if numbering == NatNumbering::Drafts04To08 && payload_type == numbering.nat_oa() {
        return NatOriginalAddress::parse(numbering, body).map(Payload::NatOriginalAddress);
    }
    Payload::parse_body(payload_type, body, offset)
}

fn typed(
    header: &Header,
    payload: &Payload<'_>,
    body: Reader<'_>,
    options: Options,
    sink: &mut dyn Sink,
) -> fmt::Result {
    match payload {
        Payload::SecurityAssociation(sa) => security_association(sa, sink),
        Payload::KeyExchange(key) => octets("Key", key.data, sink),
        Payload::Identification(id) => identification("Value", id, sink),
        Payload::Certificate(cert) => encoded(cert.encoding, cert.data, sink),
        Payload::CertificateRequest(request) => encoded(request.encoding, request.data, sink),
        Payload::Hash(hash) => octets("Hash", hash.data, sink),
        Payload::Signature(signature) => octets("Signature", signature.data, sink),
        Payload::Nonce(nonce) => octets("Nonce", nonce.data, sink),
        Payload::Notification(notification) => notify(notification, sink),
        Payload::Delete(delete) => deletion(delete, sink),
        Payload::VendorId(id) => vendor_id(header, id.data, sink),
        Payload::Configuration(config) => transaction(config, options, sink),
        Payload::NatDetection(detection) => octets("Hash", detection.data, sink),
        Payload::NatOriginalAddress(original) => sink.line(&[Field::new("Address", Value::Address(original.address))]),
        Payload::Fragment(fragment) => part(fragment, sink),
        Payload::GroupKey(_) | Payload::Unknown(..) => octets("Body", body.peek_rest(), sink),
    }
}

fn octets(name: &'static str, octets: &[u8], sink: &mut dyn Sink) -> fmt::Result {
    sink.line(&[Field::new(name, Value::Octets(octets))])
}

fn security_association(sa: &SecurityAssociation<'_>, sink: &mut dyn Sink) -> fmt::Result {
    let situation = sa.situation();
    sink.line(&[
        Field::new("DOI", Value::Named(Some("IPSEC"), 1)),
        Field::new("Situation", Value::Bits(situation.bits().into(), 8)),
    ])?;
    if let Some(labels) = situation.labels {
        sink.line(&[Field::number("Labeled domain", labels.domain)])?;
        for (name, label) in [("Secrecy", labels.secrecy), ("Integrity", labels.integrity)] {
            if let Some(label) = label {
                sink.line(&[
                    Field::new(name, Value::Octets(label.level)),
                    Field::number("Category bits", label.category_bits),
                    Field::new("Categories", Value::Octets(label.categories)),
                ])?;
            }
        }
    }
    sa.proposals().try_for_each(|proposal| one_proposal(&proposal, sink))
}

fn one_proposal(proposal: &Proposal<'_>, sink: &mut dyn Sink) -> fmt::Result {
    sink.begin(
        "Proposal",
        &[
            Field::number("#", proposal.number),
            protocol(proposal.protocol),
            Field::count("#Trans", proposal.transform_count()),
            Field::new("SPI", Value::Octets(proposal.spi)),
        ],
    )?;
    for transform in proposal.transforms() {
        one_transform(proposal.protocol, &transform, sink)?;
    }
    sink.end()
}

fn one_transform(protocol: ProtocolId, transform: &Transform<'_>, sink: &mut dyn Sink) -> fmt::Result {
    let name = match protocol {
        ProtocolId::ISAKMP => IsakmpTransform(transform.id).name(),
        ProtocolId::AH => AhTransform(transform.id).name(),
        ProtocolId::ESP => EspTransform(transform.id).name(),
        ProtocolId::IPCOMP => IpcompTransform(transform.id).name(),
        _ => None,
    };
    sink.begin(
        "Transform",
        &[Field::number("#", transform.number), Field::new("ID", Value::Named(name, transform.id.into()))],
    )?;
    attributes(protocol, transform.attributes, sink)?;
    sink.end()
}

fn protocol(protocol: ProtocolId) -> Field<'static> {
    Field::new("Protocol", Value::Named(protocol.name(), protocol.0.into()))
}

fn identification(name: &'static str, id: &Identification<&[u8]>, sink: &mut dyn Sink) -> fmt::Result {
    let head = [
        Field::new("Type", Value::Named(id.id_type.name(), id.id_type.0.into())),
        Field::number("ProtocolId", id.protocol),
        Field::number("Port", id.port),
    ];
    let [id_type, ip_protocol, port] = head;
    let mut say = |value| sink.line(&[id_type, ip_protocol, port, Field::new(name, value)]);
    match id.identity() {
        Ok(Identity::Ipv4(address)) => say(Value::Address(address.into())),
        Ok(Identity::Ipv6(address)) => say(Value::Address(address.into())),
        Ok(Identity::Fqdn(text) | Identity::UserFqdn(text) | Identity::KeyId(text)) => say(Value::Readable(text)),
        Ok(Identity::Ipv4Subnet(address, mask)) => say(Value::Shown(&format_args!("{address}:{mask}"))),
        Ok(Identity::Ipv6Subnet(address, mask)) => say(Value::Shown(&format_args!("{address} mask {mask}"))),
        Ok(Identity::Ipv4Range(first, last)) => say(Value::Shown(&format_args!("{first}-{last}"))),
        Ok(Identity::Ipv6Range(first, last)) => say(Value::Shown(&format_args!("{first}-{last}"))),
        Ok(Identity::DerDn(octets) | Identity::DerGn(octets) | Identity::Other(_, octets)) => {
            say(Value::Octets(octets))
        }
        Ok(Identity::List(mut members)) => {
            sink.line(&[id_type, ip_protocol, port])?;
            members.try_for_each(|member| identification("Member", &member, sink))
        }
        Err(kind) => say(Value::Broken(kind, id.data)),
    }
}

fn encoded(encoding: CertificateEncoding, data: &[u8], sink: &mut dyn Sink) -> fmt::Result {
    sink.line(&[
        Field::new("Encoding", Value::Named(encoding.name(), encoding.0.into())),
        Field::new("Data", Value::Octets(data)),
    ])
}

fn notify(notification: &Notification<&[u8]>, sink: &mut dyn Sink) -> fmt::Result {
    sink.line(&[
        Field::new("DOI", Value::Named(notification.doi.name(), notification.doi.0.into())),
        protocol(notification.protocol),
        Field::new("Type", Value::Named(notification.notify_type.name(), notification.notify_type.0.into())),
        Field::new("SPI", Value::Octets(notification.spi)),
    ])?;
    let mut say = |name, value| sink.line(&[Field::new(name, value)]);
    match notification.typed_data() {
        Ok(NotificationData::ResponderLifetime(list)) => attributes(notification.protocol, list, sink),
        Ok(NotificationData::ReplayStatus(on)) => say("Replay detection", Value::Shown(&if on { "on" } else { "off" })),
        Ok(NotificationData::AreYouThere(number) | NotificationData::AreYouThereAck(number)) => {
            say("Sequence number", Value::Number(number.into()))
        }
        Ok(NotificationData::LoadBalance(gateway)) => say("Gateway", Value::Address(gateway.into())),
        Ok(NotificationData::InvalidSpi(spi)) => say("Invalid SPI", Value::Bits(spi.into(), 8)),
        Ok(NotificationData::InitialContact) if notification.data.is_empty() => Ok(()),
        Ok(NotificationData::Heartbeat([]) | NotificationData::Opaque([])) => Ok(()),
        Ok(NotificationData::InitialContact | NotificationData::Heartbeat(_) | NotificationData::Opaque(_)) => {
            say("Data", Value::Octets(notification.data))
        }
        Err(kind) => say("Data", Value::Broken(kind, notification.data)),
    }
}

fn deletion(delete: &Delete<&[u8]>, sink: &mut dyn Sink) -> fmt::Result {
    sink.line(&[
        Field::new("DOI", Value::Named(delete.doi.name(), delete.doi.0.into())),
        protocol(delete.protocol),
        Field::number("SPI size", delete.spi_size),
        Field::count("#SPIs", delete.spis().count()),
    ])?;
    delete.spis().try_for_each(|spi| octets("SPI", spi, sink))
}

fn vendor_id(header: &Header, id: &[u8], sink: &mut dyn Sink) -> fmt::Result {
    let value = Field::new("Value", Value::Octets(id));
    match vendor::recognise_sent(header, id) {
        Some(known) => sink.line(&[Field::new("Known as", Value::Shown(&known)), value]),
        None => sink.line(&[value]),
    }
}

fn transaction(config: &Configuration<'_>, options: Options, sink: &mut dyn Sink) -> fmt::Result {
    sink.line(&[
        Field::new("Type", Value::Named(config.config_type.name(), config.config_type.0.into())),
        Field::number("Identifier", config.identifier),
    ])?;
    configuration(config.attributes, options, sink)
}

fn part(fragment: &Fragment<&[u8]>, sink: &mut dyn Sink) -> fmt::Result {
    sink.line(&[
        Field::number("Fragment ID", fragment.id),
        Field::number("Number", fragment.number),
        Field::new("Flags", Value::Bits(fragment.flags.into(), 2)),
        Field::new("Last", Value::Shown(&if fragment.is_last() { "yes" } else { "no" })),
        Field::new("Data", Value::Octets(fragment.data)),
    ])
}
