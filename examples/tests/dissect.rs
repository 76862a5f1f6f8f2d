//! `dissect` on captures, held against snapshots of its text.

use examples::dissect::keys::Keys;
use examples::dissect::run::{Settings, Totals, run};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dissect")
}

fn capture(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.pcap"))).unwrap()
}

fn key_file(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder().join(format!("{name}.keys.json"))).unwrap()).unwrap()
}

fn text(name: &str, settings: &Settings) -> (String, Totals) {
    let mut out = Vec::new();
    let totals = run(&capture(name), settings, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), totals)
}

fn snapshot(name: &str, text: &str) {
    let path = folder().join(format!("{name}.txt"));
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "write") {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{} differs; the text is now:\n{text}", path.display());
}

/// The key of the ISAKMP cipher and the keys of ESP.
fn with_cipher_keys(name: &str) -> Settings {
    let file = key_file(name);
    let mut keys = Keys::default();
    let text = |field: &str| file[field].as_str().unwrap().to_owned();
    keys.add_isakmp(&format!("{}:{}", text("initiator_cookie"), text("encryption_key"))).unwrap();
    file["esp"].as_array().unwrap().iter().for_each(|line| keys.add_esp(line.as_str().unwrap()).unwrap());
    Settings { keys, check: true, ..Settings::default() }
}

#[test]
fn main_mode_quick_mode_and_esp_are_opened() {
    let (text, totals) = text("main-psk", &with_cipher_keys("main-psk"));
    assert_eq!(totals, Totals { frames: 17, told: 17, breaches: 0 });
    assert!(!text.contains("Encrypted:"), "{text}");
    snapshot("main-psk", &text);
}

/// The pre-shared key and the shared secret.
fn with_secrets(name: &str, psk: &str) -> Settings {
    let file = key_file(name);
    let mut settings = with_cipher_keys(name);
    let text = |field: &str| file[field].as_str().unwrap();
    settings.keys.isakmp.clear();
    settings.keys.psk = Some(psk.as_bytes().to_vec());
    settings.keys.add_shared_secret(&format!("{}:{}", text("initiator_cookie"), text("dh_shared_secret"))).unwrap();
    settings
}

const PSK: &str = "psk for the interop lab";

/// The lines that tell of a hash.
fn hashes(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| line.starts_with("HASH")).collect()
}

#[test]
fn the_pre_shared_key_and_the_shared_secret_open_the_same_and_prove_every_hash() {
    let expected = text("main-psk", &with_cipher_keys("main-psk")).0;
    let (proven, totals) = text("main-psk", &with_secrets("main-psk", PSK));
    assert_eq!(totals.breaches, 0);
    let verified = ["HASH_I", "HASH_R", "HASH(1)", "HASH(2)", "HASH(3)", "HASH(1)", "HASH(1)"];
    assert_eq!(hashes(&proven), verified.map(|name| format!("{name}: verified")));
    // These peers claim to be behind a NAT, by hashes of addresses that they do not have.
    assert_eq!(proven.matches("NAT-D of the destination: as it is here").count(), 2);
    assert_eq!(proven.matches("NAT-D of the source: not as it is here").count(), 2);
    let without: String = proven.split_inclusive('\n').filter(|line| !line.contains(": verified")).collect();
    assert_eq!(without, expected);
}

#[test]
fn another_pre_shared_key_does_not_open_main_mode() {
    let wrong = text("main-psk", &with_secrets("main-psk", "another key")).0;
    assert!(wrong.contains("Not decrypted: decrypted to garbage"), "{wrong}");
}

#[test]
fn transactions_under_aggressive_mode_are_proven() {
    let (text, totals) = text("xauth-psk-aggressive", &with_secrets("xauth-psk-aggressive", PSK));
    assert_eq!(totals.breaches, 0, "{text}");
    assert!(!text.contains("Encrypted:") && text.contains("Transaction"), "{text}");
    let hashes = hashes(&text);
    assert!(hashes.len() >= 12 && hashes.iter().all(|line| line.ends_with(": verified")), "{hashes:?}");
    assert!(!text.contains("alice password"), "{text}");
    snapshot("xauth-psk-aggressive", &text);
}

#[test]
fn the_pre_shared_key_alone_proves_the_hash_of_aggressive_mode() {
    let mut settings = Settings { check: true, ..Settings::default() };
    settings.keys.psk = Some(PSK.as_bytes().to_vec());
    let (right, totals) = text("xauth-psk-aggressive", &settings);
    assert_eq!((hashes(&right), totals.breaches), (vec!["HASH_R: verified"], 0));
    settings.keys.psk = Some(b"another key".to_vec());
    let (wrong, totals) = text("xauth-psk-aggressive", &settings);
    assert_eq!(totals.breaches, 1);
    assert!(wrong.contains("HASH_R: WRONG") && wrong.contains("BREAKS: RFC 2409 §5"), "{wrong}");
}

#[test]
fn hashes_that_are_wrong_under_the_keys_are_told_with_their_rule() {
    let mut settings = with_secrets("main-psk", "another key");
    settings.keys.isakmp = with_cipher_keys("main-psk").keys.isakmp;
    let (text, totals) = text("main-psk", &settings);
    assert_eq!((hashes(&text).len(), totals.breaches), (7, 7));
    for section in ["RFC 2409 §5 ", "RFC 2409 §5.5 ", "RFC 2409 §5.7 "] {
        assert!(text.contains(&format!("BREAKS: {section}")), "{section}: {text}");
    }
}

#[test]
fn fragments_are_joined_and_what_they_make_is_opened() {
    let (text, totals) = text("aggressive-rsa", &with_cipher_keys("aggressive-rsa"));
    assert_eq!(totals.breaches, 0);
    assert_eq!(text.matches("Whole message from fragments").count(), 2);
    assert!(text.contains("Frames: "), "{text}");
    assert!(text.contains("Certificate (6)") && text.contains("Signature (9)"), "{text}");
    snapshot("aggressive-rsa", &text);
}

#[test]
fn without_keys_what_is_encrypted_stays_so_and_nothing_is_wrong() {
    let (text, totals) = text("main-psk", &Settings { check: true, ..Settings::default() });
    assert_eq!((totals.told, totals.breaches), (17, 0));
    assert_eq!(text.matches("Encrypted:").count(), 7 + 6);
}

#[test]
fn broken_packets_are_told_with_the_rule_they_break() {
    for (name, section) in [
        ("payload_bad_length", "RFC 2408 §3.2"),
        ("identification_segfault", "RFC 2408 §4.1"),
        ("esp_truncated", "RFC 791 §3.1"),
    ] {
        let (text, totals) = text(name, &Settings { check: true, ..Settings::default() });
        assert!(totals.breaches > 0 && text.contains(&format!("BREAKS: {section}")), "{name}:\n{text}");
    }
}

#[test]
fn json_is_one_object_for_each_frame_with_the_same_facts() {
    let settings = Settings { json: true, ..with_cipher_keys("main-psk") };
    let (text, totals) = text("main-psk", &settings);
    let frames: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(frames.len() as u64, totals.told);
    let message = &frames[0]["inside"][0];
    assert_eq!(message["kind"], "ISAKMP");
    assert_eq!(message["fields"]["Xchg"]["number"], 2);
    let sa = &message["inside"][0];
    let transform = &sa["inside"][0]["inside"][0];
    assert_eq!(transform["fields"]["Key Length"], 128);
    assert_eq!(frames[9]["inside"][0]["fields"]["SPI"], "1694cec2");
    assert_eq!(frames[9]["inside"][0]["fields"]["Protocol"]["name"], "ICMP");
    let settings = Settings { json: true, ..with_secrets("main-psk", PSK) };
    let proven = self::text("main-psk", &settings).0;
    let frames: Vec<Value> = proven.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(frames[2]["fields"]["NAT-D of the destination"], "as it is here");
    assert_eq!(frames[4]["fields"]["HASH_I"], "verified");
    assert_eq!(frames[8]["fields"]["HASH(3)"], "verified");
}

/// Words that the text holds, without its layout.
fn words(text: &str) -> std::collections::BTreeSet<String> {
    let kept = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    text.split(|character| !kept(character)).filter(|word| word.len() > 1).map(str::to_owned).collect()
}

#[test]
fn everything_that_the_text_says_stands_in_the_json() {
    for name in ["main-psk", "xauth-psk-aggressive", "aggressive-rsa"] {
        let plain = with_cipher_keys(name);
        let (told, _) = text(name, &plain);
        let (json, _) = text(name, &Settings { json: true, ..plain });
        // Long octets are broken into rows in the text; an octet count stands for hidden and long ones.
        let rows = |line: &&str| line.trim().len() < 64 || line.contains(": ");
        let told: String = told.lines().filter(rows).flat_map(|line| [line, "\n"]).collect();
        let known = words(&json);
        let layout = ["octets", "not", "shown", "empty"];
        let missing: Vec<_> = words(&told)
            .into_iter()
            .filter(|word| !known.contains(word) && !layout.contains(&word.as_str()) && !json.contains(word.as_str()))
            .filter(|word| word.parse::<u64>().is_err())
            .collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
    }
}

#[test]
fn every_cut_of_a_capture_is_an_error_or_fewer_frames() {
    let whole = capture("main-psk");
    let settings = with_cipher_keys("main-psk");
    for length in (0..whole.len()).step_by(37) {
        let mut out = Vec::new();
        if let Ok(totals) = run(&whole[..length], &settings, &mut out) {
            assert!(totals.frames < 17);
        }
    }
}

#[test]
fn flipped_bits_in_a_capture_do_no_harm() {
    let whole = capture("aggressive-rsa");
    let settings = with_cipher_keys("aggressive-rsa");
    for bit in (24 * 8..whole.len() * 8).step_by(611) {
        let mut broken = whole.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        let _ = run(&broken, &settings, &mut Vec::new());
    }
}
