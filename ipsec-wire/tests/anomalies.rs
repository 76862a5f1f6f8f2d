//! The classes of the PROTOS c09-isakmp suite, made from captured messages of main and aggressive
//! mode: an anomaly in every field, empty and repeated payloads, payloads cut and drawn out.
//!
//! Each is refused or read, and all of it can be described in a text that stays in proportion.

mod common;

use ipsec_wire::isakmp::broken::{BrokenMessage, BrokenPayload};
use ipsec_wire::isakmp::payload::Payload;
use ipsec_wire::isakmp::{Body, Flags, Message, describe, limits};

/// Captured messages in clear, as parts that can be broken.
fn messages() -> Vec<(String, Vec<u8>, BrokenMessage)> {
    common::all_messages()
        .into_iter()
        .filter(|(name, octets)| octets.len() < 600 && !name.contains("synthetic"))
        .filter(|(_, octets)| Message::parse(octets).is_ok_and(|m| !m.header().flags.contains(Flags::ENCRYPTION)))
        .map(|(name, octets)| {
            let parts = BrokenMessage::from_sound(&octets).unwrap();
            (name, octets, parts)
        })
        .collect()
}

/// Reads and describes octets; returns whether they are a message whose payloads can all be read.
fn survives(name: &str, octets: &[u8]) -> bool {
    let text = describe::message(octets).to_string();
    assert!(text.len() < 300 + octets.len() * 120, "{name}: {} octets of text for {}", text.len(), octets.len());
    let Ok(message) = Message::parse(octets) else { return false };
    assert_eq!(message.octets(), octets, "{name}");
    let Body::Clear(chain) = message.body() else { return false };
    assert!(chain.len() <= limits::PAYLOADS, "{name}");
    chain.iter().all(|raw| Payload::parse(raw).is_ok())
}

/// The bodies of the payloads of a sound message.
fn bodies(message: &BrokenMessage) -> Vec<Vec<u8>> {
    let octets = message.to_octets();
    match Message::parse(&octets).unwrap().body() {
        Body::Clear(chain) => chain.iter().map(|raw| raw.body().to_vec()).collect(),
        Body::Encrypted(_) => Vec::new(),
    }
}

#[test]
fn the_captured_messages_themselves_are_read() {
    let messages = messages();
    assert!(messages.len() >= 12, "{}", messages.len());
    for (name, octets, parts) in messages {
        assert_eq!(parts.to_octets(), octets, "{name}");
        assert!(survives(&name, &octets), "{name}");
    }
}

#[test]
fn an_anomaly_in_any_octet_or_pair_does_no_harm() {
    let mut refused = 0;
    for (name, octets, _) in messages() {
        for at in 0..octets.len() {
            for value in [0u8, 1, 3, 0x7f, 0x80, 0xff] {
                let mut broken = octets.clone();
                broken[at] = value;
                refused += usize::from(!survives(&name, &broken));
                if let Some(pair) = broken.get_mut(at..at + 2) {
                    pair.fill(value);
                    refused += usize::from(!survives(&name, &broken));
                }
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn every_payload_left_out_emptied_repeated_cut_or_drawn_out_does_no_harm() {
    for (name, _, parts) in messages() {
        for index in 0..parts.payloads.len() {
            let with = |change: &dyn Fn(&mut Vec<BrokenPayload>)| {
                let mut broken = parts.clone();
                change(&mut broken.payloads);
                survives(&name, &broken.to_octets())
            };
            with(&|payloads| drop(payloads.remove(index)));
            with(&|payloads| payloads.swap(0, index));
            let body = bodies(&parts)[index].clone();
            let with_body = |body: &[u8]| {
                with(&|payloads| payloads[index] = BrokenPayload::new(payloads[index].payload_type, body.to_vec()))
            };
            for length in 0..=body.len().min(64) {
                with_body(&body[..length]);
                with_body(&body[body.len() - length..]);
            }
            for more in [1, 2, 3, 4, 255, 4096, 60_000] {
                with_body(&[&body[..], &vec![0xff; more]].concat());
                with_body(&[&body[..], &vec![0; more]].concat());
            }
            for count in [1, 2, 64, 254, 255, 256, 300] {
                let repeated = with(&|payloads| {
                    let again = payloads[index].clone();
                    payloads.splice(index..index, std::iter::repeat_n(again, count));
                });
                let fits = parts.payloads.len() + count <= limits::PAYLOADS;
                assert!(fits || !repeated, "{name}: {count} more");
            }
        }
    }
}
