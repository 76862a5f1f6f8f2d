//! Targets of the codecs.

use arbitrary::{Arbitrary, Unstructured};
use ipsec_wire::isakmp::broken::BrokenMessage;
use ipsec_wire::isakmp::payload::{Emit, OwnedPayload, Payload};
use ipsec_wire::isakmp::{
    self, Body, ChainBuilder, Header, HeaderView, Message, OwnedBody, OwnedMessage, Payloads, limits, vendor,
};
use ipsec_wire::registry::PayloadType;
use ipsec_wire::{ah, esp, icmp, ipcomp, ipv4, ipv6, udp};

/// A header that is read is written back as it came.
pub fn header(data: &[u8]) {
    let Ok(header) = Header::parse(data) else { return };
    let mut octets = Vec::new();
    let mut writer = ipsec_wire::Writer::new(&mut octets);
    header.emit(&mut writer);
    writer.finish().expect("a header always fits");
    assert_eq!(octets, data[..Header::LEN]);
    let view = HeaderView::new_checked(data).expect("it was read already");
    assert_eq!(view.to_header(), header);
}

/// A message that is read whole says the same when it is written and read again.
pub fn message(data: &[u8]) {
    let Ok(message) = Message::parse(data) else { return };
    assert_eq!(message.octets(), data);
    if let Body::Clear(payloads) = message.body() {
        chain(payloads);
    }
    let Ok(owned) = OwnedMessage::parse(data) else { return };
    // Padding inside an Attributes payload is not kept, so only what is said is compared.
    let written = owned.to_octets().expect("what was read can be written");
    assert_eq!(OwnedMessage::parse(&written).expect("what was written can be read").body, owned.body);
}

/// A decrypted chain keeps its padding apart, and its payloads tile it.
pub fn decrypted(data: &[u8]) {
    let Some((first, octets)) = data.split_first() else { return };
    let Ok(payloads) = Payloads::parse_decrypted(PayloadType(*first), octets) else { return };
    assert_eq!([payloads.octets(), payloads.padding()].concat(), octets);
    chain(payloads);
}

fn chain(payloads: Payloads<'_>) {
    assert!(payloads.len() <= limits::PAYLOADS);
    assert_eq!(payloads.iter().count(), payloads.len());
    let tiles: Vec<u8> = payloads.iter().flat_map(|raw| raw.octets().to_vec()).collect();
    assert_eq!(tiles, payloads.octets());
    for raw in payloads {
        assert!(payloads.octets().ends_with(payloads.after(&raw)));
        if let Ok(Payload::VendorId(id)) = Payload::parse(raw) {
            let _ = vendor::recognise(id.data).map(|known| known.to_string());
        }
    }
}

/// Any octets have a text, and it does not grow faster than they do.
pub fn describe(data: &[u8]) {
    let text = isakmp::describe::message(data).to_string();
    assert!(text.len() <= 1000 + data.len().saturating_mul(60), "{} characters", text.len());
    if let Ok(header) = Header::parse(data) {
        let _ = isakmp::describe::decrypted(&header, &data[Header::LEN..]).to_string();
    }
}

/// A message built from arbitrary parts reads back as itself.
pub fn structured(data: &[u8]) {
    let Ok(message) = OwnedMessage::arbitrary(&mut Unstructured::new(data)) else { return };
    let Ok(octets) = message.to_octets() else { return };
    let read = OwnedMessage::parse(&octets).expect("what was written can be read");
    assert_eq!(read.body, message.body);
    assert_eq!(read.to_octets().as_ref(), Ok(&octets));
    if let OwnedBody::Clear(payloads) = message.body {
        for payload in payloads {
            assert_eq!(payload.to_body().map(|body| body.len()), Ok(payload.emitted_len()));
        }
    }
    assert!(!isakmp::describe::message(&octets).to_string().contains("ERROR"));
}

/// A sound message, taken apart and put together, is the same; changed, it does no harm.
pub fn broken(data: &[u8]) {
    let Some((change, data)) = data.split_first_chunk::<4>() else { return };
    let Ok(mut message) = BrokenMessage::from_sound(data) else { return };
    assert_eq!(message.to_octets(), data);
    let [which, what, value, more] = *change;
    let count = message.payloads.len().max(1);
    if let Some(payload) = message.payloads.get_mut(usize::from(which) % count) {
        match what % 4 {
            0 => payload.length = Some(u16::from_be_bytes([more, value])),
            1 => payload.next_payload = Some(PayloadType(value)),
            2 => payload.reserved = value,
            _ => payload.payload_type = PayloadType(value),
        }
        let copy = payload.clone();
        message.payloads.extend(vec![copy; usize::from(more % 4)]);
    }
    let octets = message.to_octets();
    self::message(&octets);
    describe(&octets);
}

/// IP, UDP, ESP, AH, IPComp and ICMP headers are read or refused.
pub fn ip(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    match which % 7 {
        0 => {
            if let Ok(packet) = ipv4::Ipv4Packet::new_checked(data) {
                assert!(packet.options().count() <= data.len());
                assert_eq!(packet.header_len() + packet.payload().len(), packet.total_len());
            }
        }
        1 => {
            if let Ok(packet) = ipv6::Ipv6Packet::new_checked(data) {
                assert!(packet.extension_headers().count() <= ipv6::MAX_EXTENSION_HEADERS + 1);
                let _ = packet.upper_layer();
            }
        }
        2 => {
            let _ = udp::UdpDatagram::new_checked(data).map(|udp| udp.payload().len());
        }
        3 => {
            let _ = esp::EspPacket::new_checked(data).map(|esp| (esp.spi(), esp.sequence(), esp.body().len()));
        }
        4 => {
            if let Ok(ah) = ah::AhHeader::new_checked(data) {
                assert_eq!(ah.header_len() + ah.payload().len(), data.len());
            }
        }
        5 => {
            let _ = ipcomp::IpcompDatagram::new_checked(data).map(|comp| (comp.cpi(), comp.payload().len()));
        }
        _ => {
            let _ = icmp::IcmpMessage::new_checked(data).map(|icmp| (icmp.kind(), icmp.fragmentation_needed()));
        }
    }
}

/// A body that is read can be written, as long as it says, and reads back as itself.
fn payload(payload_type: PayloadType, body: &[u8]) {
    let mut builder = ChainBuilder::new();
    builder.push_body(payload_type, body);
    let Ok(chain) = builder.finish() else { return };
    let read = |octets: &[u8]| -> Option<OwnedPayload> {
        let chain = Payloads::parse(payload_type, octets).expect("the chain was built well");
        Payload::parse(chain.iter().next()?).ok().map(|payload| payload.to_owned())
    };
    let Some(first) = read(chain.octets()) else { return };
    assert_eq!(first.payload_type(), payload_type);
    let mut again = ChainBuilder::new();
    again.push(&first);
    let written = again.finish().expect("what was read can be written");
    assert_eq!(written.octets().len(), first.emitted_len() + 4);
    assert_eq!(read(written.octets()), Some(first));
}

macro_rules! payload_targets {
    ($($name:ident: $payload_type:ident,)*) => {
        $(
            /// A body that is read can be written, as long as it says, and reads back as itself.
            pub fn $name(data: &[u8]) {
                payload(PayloadType::$payload_type, data);
            }
        )*
    };
}

payload_targets! {
    payload_sa: SA,
    payload_key_exchange: KEY_EXCHANGE,
    payload_identification: IDENTIFICATION,
    payload_certificate: CERTIFICATE,
    payload_certificate_request: CERTIFICATE_REQUEST,
    payload_hash: HASH,
    payload_signature: SIGNATURE,
    payload_nonce: NONCE,
    payload_notification: NOTIFICATION,
    payload_delete: DELETE,
    payload_vendor_id: VENDOR_ID,
    payload_attributes: ATTRIBUTES,
    payload_nat_d: NAT_D,
    payload_nat_oa: NAT_OA,
    payload_fragment: FRAGMENT,
    payload_group_key: SA_KEK,
}
