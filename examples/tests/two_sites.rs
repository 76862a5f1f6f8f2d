//! The runs of `two-sites`: the same for the same seed, and told truthfully when they fail.

use examples::two_sites::run::{self, Keep, Outcome};
use examples::two_sites::scenario::{BUILT_IN, Scenario};

const KEEP: Keep = Keep { capture: Some(simnet::Tap::Sent), keys: true };

fn scenario(changes: &[(&str, &str)]) -> Scenario {
    let mut text = BUILT_IN.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the built-in scenario no longer contains {from}");
        text = text.replacen(from, to, 1);
    }
    Scenario::parse(&text).unwrap()
}

fn told(scenario: &Scenario, seed: u64) -> (String, Outcome) {
    let mut text = Vec::new();
    let outcome = run::run(scenario, seed, KEEP, &mut text).unwrap();
    (String::from_utf8(text).unwrap(), outcome)
}

fn captured(outcome: &Outcome) -> Vec<u8> {
    let mut file = Vec::new();
    outcome.capture.as_ref().unwrap().write_to(&mut file).unwrap();
    file
}

#[test]
fn the_same_seed_gives_the_same_text_capture_and_keys() {
    let scenario = scenario(&[]);
    let ((text, first), (again, second)) = (told(&scenario, 1), told(&scenario, 1));
    assert!(first.is_success, "{text}");
    assert_eq!(text, again);
    assert_eq!(captured(&first), captured(&second));
    assert!(first.keys == second.keys && !first.keys.is_empty());
    assert_ne!(told(&scenario, 2).0, text);
}

#[test]
fn every_seed_brings_a_tunnel_up_renews_it_and_closes_it() {
    for seed in 1..=12 {
        let (text, outcome) = told(&scenario(&[]), seed);
        assert!(outcome.is_success, "seed {seed}\n{text}");
    }
}

#[test]
fn behind_the_nat_all_packets_travel_in_udp_and_esp_on_port_4500() {
    let mut scenario = scenario(&[]);
    scenario.change(true, None).unwrap();
    let (text, outcome) = told(&scenario, 3);
    assert!(outcome.is_success, "{text}");
    let capture = outcome.capture.as_ref().unwrap();
    assert!(capture.packets().iter().all(|(_, packet)| packet.path.is_udp()));
    assert!(capture.packets().iter().any(|(_, packet)| packet.path.remote.port() == 4500));
    assert!(text.contains("keepalive"), "{text}");
}

#[test]
fn the_isakmp_sa_can_be_renewed_too() {
    let (text, outcome) = told(&scenario(&[("rekey = \"child\"", "rekey = \"ike\"")]), 4);
    assert!(outcome.is_success, "{text}");
}

#[test]
fn two_different_keys_fail_and_the_log_says_so() {
    let (text, outcome) = told(&scenario(&[("psk = \"a key", "psk = \"another key")]), 5);
    assert!(!outcome.is_success);
    assert!(text.contains("wrong pre-shared key"), "{text}");
}

#[test]
fn without_a_common_proposal_each_refusal_has_its_reason() {
    let changes = [(
        "\"aes256-sha256-modp2048\", \"aes128-sha1-modp2048\"]\nike_lifetime = \"8h\"\n#",
        "\"aes192-sha384-modp3072\"]\nike_lifetime = \"8h\"\n#",
    )];
    let (text, outcome) = told(&scenario(&changes), 6);
    assert!(!outcome.is_success);
    assert!(text.contains("no proposal chosen") && text.contains("wanted"), "{text}");
}

#[test]
fn the_scenario_of_bad_weather_is_sound_and_a_fifth_lost_stops_nobody() {
    let scenario = Scenario::parse(include_str!("../scenarios/bad-weather.toml")).unwrap();
    for seed in 1..=5 {
        let (text, outcome) = told(&scenario, seed);
        assert!(outcome.is_success, "seed {seed}\n{text}");
        assert!(text.contains("keepalive"), "{text}");
    }
}

/// Reads a scenario that names files of this repository from its root.
fn of_repository(text: &str) -> Scenario {
    const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ikev1-core");
    Scenario::parse(&text.replace("\"ikev1-core", &format!("\"{ROOT}"))).unwrap()
}

/// Runs a scenario and returns its text, which must hold all of `wanted`.
fn told_with(text: &str, seed: u64, wanted: &[&str]) -> String {
    let (told, outcome) = told(&of_repository(text), seed);
    assert!(outcome.is_success, "{told}");
    for wanted in wanted {
        assert!(told.contains(wanted), "{wanted} is not in\n{told}");
    }
    told
}

#[test]
fn the_scenario_of_signatures_is_sound_and_its_packets_travel_in_ah() {
    let told = told_with(include_str!("../scenarios/signatures.toml"), 1, &["left   ah  "]);
    assert_eq!(told.matches(": trusted").count(), 4, "{told}");
    assert!(!told.contains("  esp  "), "{told}");
}

#[test]
fn the_scenario_of_a_roaming_user_is_sound_and_a_wrong_password_stops_him() {
    let text = include_str!("../scenarios/roaming.toml");
    let told_well = told_with(text, 1, &["user alice is proven", "aggressive mode message 3"]);
    assert!(!told_well.contains("what only"), "{told_well}");
    let wrong = text.replacen("what only alice knows", "what mallory guesses", 1);
    let (told_badly, outcome) = told(&Scenario::parse(&wrong).unwrap(), 1);
    assert!(!outcome.is_success && told_badly.contains("not accepted"), "{told_badly}");
}

#[test]
fn the_scenario_of_a_laptop_is_sound_its_certificate_comes_in_parts_and_it_gets_its_settings() {
    let text = include_str!("../scenarios/hybrid.toml");
    let wanted = [
        "HybridInitRSA",
        "part 1 of an IKE message",
        "our user alice is proven",
        "10.20.0.1 lent to keyid:laptops as alice",
        "networks 10.10.2.0/24",
        "Client has...... 10.20.0.1",
        "10.20.0.1 is free again",
    ];
    for seed in 1..=3 {
        let told = told_with(text, seed, &wanted);
        assert!(!told.contains("what only"), "{told}");
    }
    // A gateway with a certificate of its own making is none, and no password is given to it.
    let foreign = text.replace("right.crt.pem", "left.crt.pem").replace("right.key.pem", "left.key.pem");
    let (told_badly, outcome) = told(&of_repository(&foreign), 1);
    assert!(!outcome.is_success && told_badly.contains("not trusted"), "{told_badly}");
    assert!(!told_badly.contains("XAUTH_USER_NAME alice"), "{told_badly}");
}

#[test]
fn the_scenario_of_settings_sent_unasked_is_sound() {
    let wanted =
        ["ISAKMP_CFG_SET, Identifier 0, INTERNAL_IP4_ADDRESS 10.20.0.1", "given 10.20.0.1", "user office is proven"];
    let told = told_with(include_str!("../scenarios/push.toml"), 1, &wanted);
    assert!(!told.contains("ISAKMP_CFG_REQUEST, Identifier 0, INTERNAL"), "{told}");
}

#[test]
fn the_scenario_of_base_mode_is_sound_and_tells_its_weak_spot() {
    let wanted = ["base mode message 4", "a hash over the pre-shared key went to"];
    let told = told_with(include_str!("../scenarios/base.toml"), 1, &wanted);
    assert!(!told.contains("main mode"), "{told}");
}

#[test]
fn the_scenario_of_parts_is_sound_and_lost_parts_come_again() {
    for seed in 1..=4 {
        told_with(include_str!("../scenarios/fragments.toml"), seed, &["part 4 (last) of an IKE message", ": trusted"]);
    }
}

#[test]
fn the_scenario_of_transport_mode_is_sound_and_both_ends_find_out_that_the_wire_is_cut() {
    let wanted = ["R-U-THERE-ACK", "transport, directly in IP", "Protection...... IPComp DEFLATE"];
    let text = include_str!("../scenarios/transport.toml");
    let told_well = told_with(text, 1, &wanted);
    assert_eq!(told_well.matches("peer is dead, isakmp-sa 1 and 1").count(), 2, "{told_well}");
    let refusal = Scenario::parse(&text.replace("dpd_idle = \"40s\"", "")).unwrap_err().to_string();
    assert!(refusal.contains("right.dpd_idle"), "{refusal}");
}

#[test]
fn a_proposal_that_nobody_wants_is_refused_like_in_the_debug_output_of_a_router() {
    let left = "esp = [\"aes256-sha512-modp2048\", \"aes128-sha256-modp2048\"]";
    let (text, outcome) = told(&scenario(&[(left, "esp = [\"aes256-sha512-modp2048\"]")]), 1);
    assert!(!outcome.is_success);
    assert!(
        text.contains("proposal 1, transform 1 against policy 1: transform ESP_AES-CBC 256, wanted ESP_AES-CBC 128")
    );
    assert!(text.contains("proposal 1, transform 1 against policy 2: transform ESP_AES-CBC 256, wanted ESP_3DES"));
    assert!(text.contains("the peer refused: NO-PROPOSAL-CHOSEN"), "{text}");
}
