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

#[test]
fn the_scenario_of_signatures_is_sound_and_its_packets_travel_in_ah() {
    const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ikev1-core");
    let text = include_str!("../scenarios/signatures.toml").replace("\"ikev1-core", &format!("\"{ROOT}"));
    let (text, outcome) = told(&Scenario::parse(&text).unwrap(), 1);
    assert!(outcome.is_success, "{text}");
    assert_eq!(text.matches(": trusted").count(), 4, "{text}");
    assert!(text.contains("left   ah  ") && !text.contains("  esp  "), "{text}");
}

#[test]
fn the_scenario_of_a_roaming_user_is_sound_and_a_wrong_password_stops_him() {
    let text = include_str!("../scenarios/roaming.toml");
    let (told_well, outcome) = told(&Scenario::parse(text).unwrap(), 1);
    assert!(outcome.is_success, "{told_well}");
    assert!(told_well.contains("user alice is proven") && !told_well.contains("what only"), "{told_well}");
    let wrong = text.replacen("what only alice knows", "what mallory guesses", 1);
    let (told_badly, outcome) = told(&Scenario::parse(&wrong).unwrap(), 1);
    assert!(!outcome.is_success && told_badly.contains("not accepted"), "{told_badly}");
}

#[test]
fn two_sites_speak_base_mode_too() {
    let text = include_str!("../scenarios/roaming.toml").replace("aggressive\"", "base\"");
    let (text, outcome) = told(&Scenario::parse(&text).unwrap(), 1);
    assert!(outcome.is_success && text.contains("base mode message 4"), "{text}");
}
