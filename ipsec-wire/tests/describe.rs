//! The text of messages, held against snapshots.
//!
//! `SNAPSHOTS=write cargo test -p ipsec-wire --test describe` writes them anew; read the difference.

mod common;

use ipsec_wire::isakmp::describe::{self, Options};
use ipsec_wire::isakmp::{Body, Header, Message, Payloads};
use std::fmt::Write;

/// Compares text with a committed file.
fn snapshot(name: &str, text: &str) {
    let path = common::vectors().join(format!("../snapshots/{name}.txt"));
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "write") {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{} differs; the text is now:\n{text}", path.display());
}

fn described(capture: &str) -> String {
    let mut text = String::new();
    for (frame, message) in common::messages(capture) {
        write!(text, "frame {frame}\n{}\n", describe::message(&message)).unwrap();
    }
    text
}

#[test]
fn main_mode_with_nat_detection_in_draft_numbers() {
    snapshot("main_quick_psk_cisco", &described("main_quick_psk_cisco"));
}

#[test]
fn a_windows_peer_and_its_vendor_ids() {
    snapshot("main_two_vid", &described("main_two_vid"));
}

#[test]
fn aggressive_mode_and_the_transactions_inside() {
    let mut text = described("aggressive_xauth_modecfg_keys");
    let plain = common::json(&common::vectors().join("decrypted_captures.json"));
    let messages = common::messages("aggressive_xauth_modecfg_keys");
    let capture = &plain["captures"][1];
    for entry in capture["encrypted_messages"].as_array().unwrap() {
        let number = usize::try_from(entry["message"].as_u64().unwrap()).unwrap();
        let header = Header::parse(&messages[number - 1].1).unwrap();
        let plaintext = hex::decode(entry["plaintext"].as_str().unwrap()).unwrap();
        write!(text, "message {number} decrypted\n{}\n", describe::decrypted(&header, &plaintext)).unwrap();
    }
    assert!(!text.contains("6d7061"), "the password is hidden");
    snapshot("aggressive_xauth_modecfg", &text);
}

#[test]
fn secrets_are_shown_only_when_asked() {
    let plain = common::json(&common::vectors().join("decrypted_captures.json"));
    let messages = common::messages("aggressive_xauth_modecfg_keys");
    let reply = plain["captures"][1]["encrypted_messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let number = usize::try_from(entry["message"].as_u64().unwrap()).unwrap();
            (
                Header::parse(&messages[number - 1].1).unwrap(),
                hex::decode(entry["plaintext"].as_str().unwrap()).unwrap(),
            )
        })
        .find(|(_, plaintext)| plaintext.windows(4).any(|window| window == b"mpa\0"))
        .unwrap();
    let hidden = describe::decrypted(&reply.0, &reply.1).to_string();
    assert!(hidden.contains("XAUTH_USER_PASSWORD (16522): (4 octets, not shown)"), "{hidden}");
    let options = Options { show_secrets: true, ..Options::default() };
    let shown = describe::decrypted(&reply.0, &reply.1).with(options).to_string();
    assert!(shown.contains("XAUTH_USER_PASSWORD (16522): \"mpa\\x00\""), "{shown}");
    let chain = Payloads::parse_decrypted(reply.0.next_payload, &reply.1[..]).unwrap();
    assert!(!format!("{chain:?}").is_empty());
}

#[test]
fn broken_messages_are_described_up_to_the_break() {
    let mut text = String::new();
    for capture in ["delete_segfault", "identification_segfault", "no_none_np", "payload_bad_length", "v1_attr_oobr"] {
        write!(text, "{capture}\n{}", described(capture)).unwrap();
    }
    snapshot("malformed", &text);
}

#[test]
fn the_text_grows_with_the_octets_and_not_faster() {
    for (name, message) in common::all_messages() {
        let text = describe::message(&message).to_string();
        assert!(text.len() < 400 + message.len() * 40, "{name}: {} characters", text.len());
    }
}

#[test]
fn every_cut_of_a_message_is_described() {
    for (name, message) in common::all_messages() {
        for length in 0..message.len() {
            let text = describe::message(&message[..length]).to_string();
            assert!(text.contains("ERROR"), "{name} cut to {length}:\n{text}");
        }
    }
}

#[test]
fn a_message_that_parses_has_no_error_in_its_text() {
    let mut seen = 0;
    for (name, message) in common::all_messages() {
        let Ok(Message { .. }) = Message::parse(&message) else { continue };
        let Body::Clear(payloads) = Message::parse(&message).unwrap().body() else { continue };
        if payloads.iter().any(|raw| ipsec_wire::isakmp::payload::Payload::parse(raw).is_err()) {
            continue;
        }
        let text = describe::message(&message).to_string();
        assert!(!text.contains("ERROR"), "{name}:\n{text}");
        seen += 1;
    }
    assert!(seen >= 16, "{seen}");
}

#[test]
fn a_hex_dump_has_sixteen_octets_a_row() {
    let octets: Vec<u8> = (0x30..0x52).collect();
    let expected = "\
0000:  30 31 32 33 34 35 36 37  38 39 3a 3b 3c 3d 3e 3f  0123456789:;<=>?
0010:  40 41 42 43 44 45 46 47  48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO
0020:  50 51                                             PQ
";
    assert_eq!(describe::hex_dump(&octets).to_string(), expected);
}
