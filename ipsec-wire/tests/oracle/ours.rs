//! What this crate reads, under the oracle's names.

use crate::tree::Compared;
use ipsec_wire::WireError;
use ipsec_wire::isakmp::payload::*;
use ipsec_wire::isakmp::{Header, RawPayload};
use ipsec_wire::registry::ProtocolId;
use std::net::IpAddr;

/// Collects fields.
struct Fields(Vec<Compared>);

impl Fields {
    fn add(&mut self, name: &str, octets: impl AsRef<[u8]>) {
        self.0.push(Compared::new(&format!("isakmp.{name}"), octets.as_ref()));
    }

    /// Adds a field that the oracle leaves out when it is empty.
    fn some(&mut self, name: &str, octets: &[u8]) {
        if !octets.is_empty() {
            self.add(name, octets);
        }
    }
}

pub fn header(header: &Header) -> Vec<Compared> {
    let mut fields = Fields(Vec::new());
    fields.add("ispi", header.initiator_cookie.0);
    fields.add("rspi", header.responder_cookie.0);
    fields.add("nextpayload", [header.next_payload.0]);
    fields.add("version", [Header::VERSION]);
    fields.add("exchangetype", [header.exchange.0]);
    fields.add("flags", [header.flags.0]);
    fields.add("messageid", header.message_id.to_octets());
    fields.add("length", header.length.to_be_bytes());
    fields.0
}

pub fn payload(raw: RawPayload<'_>) -> Result<Vec<Compared>, WireError> {
    let mut fields = Fields(Vec::new());
    fields.add("nextpayload", [raw.next_payload().0]);
    fields.add("payloadlength", u16::try_from(raw.octets().len()).unwrap().to_be_bytes());
    match Payload::parse(raw)? {
        Payload::SecurityAssociation(sa) => security_association(&mut fields, &sa),
        Payload::KeyExchange(key) => fields.add("key_exchange.data", key.data),
        Payload::Identification(id) => identification(&mut fields, &id),
        Payload::Certificate(cert) => {
            fields.add("cert.encoding", [cert.encoding.0]);
            let value = format!("{} octets", cert.data.len());
            fields.0.push(Compared { name: "isakmp.cert.data".into(), value });
        }
        Payload::CertificateRequest(request) => {
            fields.add("certreq.type", [request.encoding.0]);
            fields.some("ike.certreq.authority.sig", request.data);
        }
        Payload::Hash(hash) => fields.add("hash", hash.data),
        Payload::Signature(signature) => fields.add("sig", signature.data),
        Payload::Nonce(nonce) => fields.add("nonce", nonce.data),
        Payload::Notification(notification) => {
            fields.add("notify.doi", notification.doi.0.to_be_bytes());
            fields.add("notify.protoid", [notification.protocol.0]);
            fields.add("spisize", [u8::try_from(notification.spi.len()).unwrap()]);
            fields.add("notify.msgtype", notification.notify_type.0.to_be_bytes());
            fields.some("spi", notification.spi);
            fields.some("notify.data", notification.data);
        }
        Payload::Delete(delete) => {
            fields.add("delete.doi", delete.doi.0.to_be_bytes());
            fields.add("delete.protoid", [delete.protocol.0]);
            fields.add("spisize", [delete.spi_size]);
            fields.add("spinum", u16::try_from(delete.spis().count()).unwrap().to_be_bytes());
            delete.spis().for_each(|spi| fields.add("delete.spi", spi));
        }
        Payload::VendorId(id) => fields.add("vid_bytes", id.data),
        Payload::Configuration(config) => {
            fields.add("cfg.type", [config.config_type.0]);
            fields.add("cfg.identifier", config.identifier.to_be_bytes());
            attributes(&mut fields, "cfg", config.attributes);
        }
        Payload::NatDetection(detection) => fields.add("ike.nat_hash", detection.data),
        Payload::NatOriginalAddress(original) => match original.address {
            IpAddr::V4(address) => {
                fields.add("id.type", [1]);
                fields.add("ike.nat_original_address_ipv4", address.octets());
            }
            IpAddr::V6(address) => {
                fields.add("id.type", [5]);
                fields.add("ike.nat_original_address_ipv6", address.octets());
            }
        },
        Payload::Fragment(fragment) => {
            fields.add("frag.packetid", fragment.id.to_be_bytes());
            fields.add("frag.seq", [fragment.number]);
            fields.add("frag.last", [fragment.flags]);
        }
        Payload::GroupKey(_) | Payload::Unknown(..) => {}
        other => panic!("{other:?}"),
    }
    Ok(fields.0)
}

fn security_association(fields: &mut Fields, sa: &SecurityAssociation<'_>) {
    fields.add("sa.doi", 1u32.to_be_bytes());
    fields.add("sa.situation", sa.situation().bits().to_be_bytes());
    let mut proposals = sa.proposals().peekable();
    while let Some(proposal) = proposals.next() {
        let transforms: Vec<_> = proposal.transforms().collect();
        let lengths: Vec<usize> = transforms.iter().map(|transform| transform.attributes.octets().len() + 8).collect();
        item(
            fields,
            if proposals.peek().is_some() { 2 } else { 0 },
            proposal.spi.len() + 8 + lengths.iter().sum::<usize>(),
        );
        fields.add("prop.number", [proposal.number]);
        fields.add("prop.protoid", [proposal.protocol.0]);
        fields.add("spisize", [u8::try_from(proposal.spi.len()).unwrap()]);
        fields.add("prop.transforms", [u8::try_from(proposal.transform_count()).unwrap()]);
        fields.some("spi", proposal.spi);
        for (index, transform) in transforms.iter().enumerate() {
            item(fields, if index + 1 < transforms.len() { 3 } else { 0 }, lengths[index]);
            fields.add("trans.number", [transform.number]);
            fields.add("trans.id", [transform.id]);
            let kind = if proposal.protocol == ProtocolId::ISAKMP { "ike" } else { "ipsec" };
            attributes(fields, kind, transform.attributes);
        }
    }
}

/// The generic header of a proposal or transform.
fn item(fields: &mut Fields, next: u8, length: usize) {
    fields.add("nextpayload", [next]);
    fields.add("payloadlength", u16::try_from(length).unwrap().to_be_bytes());
}

fn attributes(fields: &mut Fields, kind: &str, list: Attributes<'_>) {
    for attribute in list {
        match attribute.value {
            AttributeValue::Basic(value) => {
                fields.add(&format!("{kind}.attr.type"), (attribute.class | 0x8000).to_be_bytes());
                fields.add(&format!("{kind}.attr.value"), value.to_be_bytes());
            }
            AttributeValue::Variable(octets) => {
                fields.add(&format!("{kind}.attr.type"), attribute.class.to_be_bytes());
                fields.add(&format!("{kind}.attr.length"), u16::try_from(octets.len()).unwrap().to_be_bytes());
                fields.some(&format!("{kind}.attr.value"), octets);
            }
        }
    }
}

fn identification(fields: &mut Fields, id: &Identification<&[u8]>) {
    fields.add("id.type", [id.id_type.0]);
    fields.add("id.protoid", [id.protocol]);
    fields.add("id.port", id.port.to_be_bytes());
    match id.identity().unwrap() {
        Identity::Ipv4(address) => fields.add("id.data.ipv4_addr", address.octets()),
        Identity::Ipv4Subnet(address, mask) => {
            fields.add("id.data.ipv4_addr", address.octets());
            fields.add("id.data.ipv4_subnet", mask.octets());
        }
        Identity::Ipv6(address) => fields.add("id.data.ipv6_addr", address.octets()),
        Identity::Ipv6Subnet(address, mask) => {
            fields.add("id.data.ipv6_addr", address.octets());
            fields.add("id.data.ipv6_subnet", mask.octets());
        }
        Identity::Fqdn(name) => fields.add("id.data.fqdn", name),
        Identity::UserFqdn(name) => fields.add("id.data.user_fqdn", name),
        Identity::KeyId(octets) => fields.add("id.data.key_id", octets),
        Identity::DerDn(octets) => fields.add("id.data.der_asn1_dn", octets),
        other => panic!("no capture had this before: {other:?}"),
    }
}
