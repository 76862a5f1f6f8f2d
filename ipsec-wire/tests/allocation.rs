//! The receive path allocates nothing.

mod common;

use ipsec_wire::isakmp::payload::{Identity, NotificationData, Payload};
use ipsec_wire::isakmp::{Body, Message, Payloads, vendor};

/// Reads everything there is to read in a chain, and counts it.
fn visit(payloads: Payloads<'_>) -> usize {
    let mut seen = 0;
    for raw in payloads {
        match Payload::parse(raw) {
            Ok(Payload::SecurityAssociation(sa)) => {
                for transform in sa.proposals().flat_map(|proposal| proposal.transforms()) {
                    seen += transform.attributes.iter().filter(|attribute| attribute.to_u64().is_ok()).count();
                }
            }
            Ok(Payload::Identification(id)) => match id.identity() {
                Ok(Identity::List(members)) => seen += members.count(),
                _ => seen += 1,
            },
            Ok(Payload::Notification(notification)) => match notification.typed_data() {
                Ok(NotificationData::ResponderLifetime(attributes)) => seen += attributes.iter().count(),
                _ => seen += 1,
            },
            Ok(Payload::Delete(delete)) => seen += delete.spis().count(),
            Ok(Payload::Configuration(config)) => seen += config.attributes.iter().count(),
            Ok(Payload::VendorId(id)) => seen += usize::from(vendor::recognise(id.data).is_some()),
            Ok(_) | Err(_) => seen += 1,
        }
    }
    seen
}

#[test]
fn reading_every_captured_message_allocates_nothing() {
    let messages = common::all_messages();
    let plain = common::json(&common::vectors().join("decrypted_captures.json"));
    let plaintexts: Vec<Vec<u8>> = plain["captures"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|capture| capture["encrypted_messages"].as_array().unwrap())
        .map(|entry| hex::decode(entry["plaintext"].as_str().unwrap()).unwrap())
        .collect();
    let mut seen = 0;
    let info = allocation_counter::measure(|| {
        for (_, message) in &messages {
            if let Ok(message) = Message::parse(message)
                && let Body::Clear(payloads) = message.body()
            {
                seen += visit(payloads);
            }
        }
        for plaintext in &plaintexts {
            for first in [5u8, 8] {
                if let Ok(payloads) = Payloads::parse_decrypted(first.into(), &plaintext[..]) {
                    seen += visit(payloads);
                }
            }
        }
    });
    assert!(seen > 300, "{seen}");
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn refusing_hostile_octets_allocates_nothing() {
    let messages = common::all_messages();
    let info = allocation_counter::measure(|| {
        for (_, message) in &messages {
            for length in 0..message.len() {
                assert!(Message::parse(&message[..length]).is_err());
            }
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}
