//! Bundles: ESP, AH and IPComp together, negotiated, keyed and deleted.

use crate::common;
use crate::common::{A, B, End, Pair, connection, plan};
use drive::Verdict;
use ikev1_core::crypto::DhGroup;
use ikev1_core::proposal::{Bundle, Mode};
use ikev1_core::{
    Action, Command, ConnectionConfig, Event, Failure, PolicyConfig, RemoveReason, SpiSource, TrafficSelector,
};

fn net(third: u8) -> TrafficSelector {
    common::net([10, 10, third, 0])
}

fn policy(local: u8, remote: u8, text: &str) -> PolicyConfig {
    PolicyConfig::new("net").local(net(local)).remote(net(remote)).suites(Bundle::parse_alternatives(text).unwrap())
}

fn sides(left: &str, right: &str) -> (ConnectionConfig, ConnectionConfig) {
    (connection(A, B).policy(policy(1, 2, left)), connection(B, A).policy(policy(2, 1, right)))
}

fn agreed(left: &str, right: &str) -> Pair {
    let (one, other) = sides(left, right);
    let mut pair = Pair::new(plan(one), plan(other));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established(), "{left} with {right}");
    pair.assert_mirrored();
    pair
}

fn suites(end: &End) -> Vec<String> {
    end.endpoint.status().children[0].sas.iter().map(|sa| sa.suite.to_string()).collect()
}

#[test]
fn esp_and_ah_make_two_sas_each_way_with_keys_of_their_own() {
    let pair = agreed("ah-sha1 + esp-aes128-sha1", "esp-aes128-sha1 + ah-sha1");
    assert_eq!(pair.seen.len(), 9);
    assert_eq!(suites(&pair.left), ["ESP_AES-CBC 128, HMAC-SHA", "AH HMAC-SHA"]);
    assert_eq!(suites(&pair.right), suites(&pair.left));
    assert_eq!(pair.left.installed.len(), 4);
    let mut keys: Vec<_> = pair.left.installed.iter().map(|sa| sa.keys.1.clone()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4, "no SA shares its key with another");
}

#[test]
fn every_bundle_is_agreed_whatever_order_its_parts_are_written_in() {
    for (left, right, count) in [
        ("ipcomp-deflate + esp-aes128-sha1", "esp-aes128-sha1 + ipcomp-deflate", 2),
        ("ipcomp-lzs + esp-aes256gcm16 + ah-sha256", "ah-sha256 + ipcomp-lzs + esp-aes256gcm16", 3),
        ("ipcomp-lzs + ah-sha256", "ah-sha256 + ipcomp-lzs", 2),
        ("esp-aes128 + ah-sha1", "ah-sha1 + esp-aes128", 2),
        ("ah-sha512", "ah-sha512", 1),
    ] {
        let pair = agreed(left, right);
        assert_eq!(pair.left.installed.len(), 2 * count, "{left}");
        let layers: Vec<u8> = pair.left.endpoint.status().children[0].sas.iter().map(|sa| sa.suite.layer()).collect();
        assert!(layers.is_sorted(), "{left}");
    }
}

#[test]
fn the_offer_falls_back_from_a_bundle_to_what_the_peer_has() {
    let pair = agreed("ah-sha1 + esp-aes128-sha1, esp-aes256-sha256 | esp-aes128-sha1", "esp-aes128-sha1");
    assert_eq!(suites(&pair.left), ["ESP_AES-CBC 128, HMAC-SHA"]);
    let passed_over = pair.right.events.iter().find_map(|event| match event {
        Event::Phase2Negotiated { passed_over, .. } => Some(passed_over.to_string()),
        _ => None,
    });
    let expected = "proposal 1 against policy 1: AH with an SPI of 4 octets is not wanted\n\
                    proposal 1 against policy 1: ANDed ESP skipped\n\
                    proposal 2, transform 1 against policy 1: transform ESP_AES-CBC 256, wanted ESP_AES-CBC 128";
    assert_eq!(passed_over.unwrap(), expected);
}

#[test]
fn pfs_lifetimes_and_esn_hold_for_every_part() {
    let with = |policy: PolicyConfig| policy.pfs(DhGroup::Modp768).extended_sequence(true).kilobytes(4_608_000);
    let text = "ipcomp-deflate + esp-aes128-sha1 + ah-sha256";
    let left = connection(A, B).policy(with(policy(1, 2, text)));
    let right = connection(B, A).policy(with(policy(2, 1, text)));
    let mut pair = Pair::new(plan(left), plan(right));
    pair.initiate();
    pair.drain();
    let mut numbered = Vec::new();
    for _ in 0..1_000 {
        let Some(transmit) = pair.wire.pop_front() else { break };
        let _: Verdict<_> = pair.deliver(&transmit);
        for end in [&mut pair.left, &mut pair.right] {
            while let Some(action) = end.endpoint.poll_action() {
                match action {
                    Action::Transmit(transmit) => pair.wire.push_back(transmit),
                    Action::InstallSa(install) => {
                        let modes: Vec<Mode> = install.sas.iter().map(|sa| sa.mode).collect();
                        assert_eq!(modes, [Mode::Tunnel, Mode::Transport, Mode::Transport]);
                        assert_eq!(install.lifetimes.hard_kilobytes, Some(4_608_000));
                        numbered.extend(install.sas.iter().map(|sa| (sa.suite.ip_protocol(), sa.extended_sequence)));
                    }
                    _ => {}
                }
            }
        }
    }
    assert_eq!(numbered, [(108, false), (50, true), (51, true)].repeat(4));
}

#[test]
fn the_caller_is_asked_once_for_each_protocol_and_gets_back_what_is_not_used() {
    let (left, right) = sides("ipcomp-lzs + esp-aes128-sha1, esp-aes128-sha1, ah-sha1", "esp-aes128-sha1");
    let config = ikev1_core::Config::new().spi_source(SpiSource::Caller).connection(left).build().unwrap();
    let mut pair = Pair::new(config, plan(right));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
    pair.assert_mirrored();
    let asked: Vec<_> = pair.left.log.iter().filter(|line| line.contains("AllocateSpi")).collect();
    for (line, protocol) in asked.iter().zip([108, 50, 51]) {
        assert!(line.contains(&format!("protocol: {protocol},")), "{line}");
    }
    assert_eq!(asked.len(), 3);
    let released: Vec<_> = pair.left.log.iter().filter(|line| line.contains("ReleaseSpi")).collect();
    assert_eq!(released.len(), 2, "{released:?}");
    assert!(released[0].contains("protocol: 108") && released[1].contains("protocol: 51"));
}

#[test]
fn a_cpi_of_more_than_sixteen_bits_is_the_callers_mistake_and_can_be_put_right() {
    let (left, right) = sides("ipcomp-lzs + esp-aes128-sha1", "ipcomp-lzs + esp-aes128-sha1");
    let config = ikev1_core::Config::new().spi_source(SpiSource::Caller).connection(left).build().unwrap();
    let mut pair = Pair::new(config, plan(right));
    let now = pair.now;
    pair.left.endpoint.handle_command(now, Command::Initiate { connection: common::SITE }).unwrap();
    let mut wire = std::collections::VecDeque::new();
    let mut answered = 0;
    for _ in 0..200 {
        while let Some(action) = pair.left.endpoint.poll_action() {
            match action {
                Action::Transmit(transmit) => wire.push_back(transmit),
                Action::AllocateSpi(ask) => {
                    let mut give = |spi| {
                        pair.left
                            .endpoint
                            .handle_command(now, Command::ProvideSpi { ticket: ask.ticket, spi: Some(spi) })
                    };
                    if ask.protocol == 108 {
                        assert_eq!(give(65_536), Err(ikev1_core::CommandError::ReservedSpi(65_536)));
                    }
                    assert!(give(0xefff).is_ok());
                    answered += 1;
                }
                _ => {}
            }
        }
        wire.extend(pair.right.drain(now));
        let Some(transmit) = wire.pop_front() else { break };
        let _: Verdict<_> = pair.deliver(&transmit);
    }
    assert_eq!(answered, 2);
    assert_eq!(pair.right.installed.iter().filter(|sa| sa.spi == 0xefff).count(), 2);
}

#[test]
fn a_refused_spi_ends_the_exchange_and_gives_the_others_back() {
    let (left, right) = sides("ah-sha1 + esp-aes128-sha1", "ah-sha1 + esp-aes128-sha1");
    let config = ikev1_core::Config::new().spi_source(SpiSource::Caller).connection(left).build().unwrap();
    let mut pair = Pair::new(config, plan(right));
    pair.left.refuse_spi_of = Some(50);
    pair.initiate();
    pair.settle();
    assert!(pair.left.has(|event| matches!(event, Event::Phase2Failed { failure: Failure::NoSpi, .. })));
    assert!(pair.left.log.iter().any(|line| line.contains("ReleaseSpi") && line.contains("protocol: 51")));
    assert!(pair.right.installed.is_empty());
}

#[test]
fn one_message_deletes_every_protocol_of_a_bundle() {
    let mut pair = agreed("ipcomp-deflate + esp-aes128-sha1 + ah-sha1", "ipcomp-deflate + esp-aes128-sha1 + ah-sha1");
    let child = pair.left.endpoint.status().children[0].child;
    let before = pair.seen.len();
    pair.command(Command::DeleteChild { child });
    pair.settle();
    assert_eq!(pair.seen.len(), before + 1);
    let removed = pair.right.removed.last().unwrap();
    assert_eq!((removed.sas.len(), &removed.reason), (3, &RemoveReason::DeletedByPeer));
    assert!(pair.left.installed.is_empty() && pair.right.installed.is_empty());
}

#[test]
fn a_bundle_is_renewed_as_a_whole() {
    let mut pair = agreed("ah-sha1 + esp-aes128-sha1", "ah-sha1 + esp-aes128-sha1");
    let child = pair.left.endpoint.status().children[0].child;
    pair.command(Command::RekeyChild { child });
    pair.settle();
    assert_eq!(pair.left.installed.len(), 8);
    pair.assert_mirrored();
    pair.advance(core::time::Duration::from_secs(40));
    assert_eq!((pair.left.installed.len(), pair.right.installed.len()), (4, 4));
    pair.assert_mirrored();
}

#[test]
fn a_peer_without_the_bundle_refuses_it_and_says_why() {
    let (left, right) = sides("ah-sha1 + esp-aes128-sha1", "esp-aes128-sha1");
    let mut pair = Pair::new(plan(left), plan(right));
    pair.initiate();
    pair.settle();
    let refused = pair.right.events.iter().find_map(|event| match event {
        Event::Phase2Failed { failure: Failure::NoProposalChosen, refusals, .. } => Some(refusals.to_string()),
        _ => None,
    });
    assert_eq!(
        refused.unwrap(),
        "proposal 1 against policy 1: AH with an SPI of 4 octets is not wanted\n\
         proposal 1 against policy 1: ANDed ESP skipped"
    );
    assert!(pair.left.has(|event| matches!(event, Event::Phase2Failed { failure: Failure::RefusedByPeer(14), .. })));
    assert!(pair.left.installed.is_empty() && pair.right.installed.is_empty());
}

/// The seven proposals of a Cisco client, in its order; those of one protocol that follow each other share a
/// proposal here.
fn cisco_client() -> Vec<Bundle> {
    let texts = [
        "esp-3des-md5 + ipcomp-lzs, esp-3des-sha1 + ipcomp-lzs, esp-3des-md5, esp-3des-sha1",
        "esp-des-md5 + ipcomp-lzs, esp-des-sha1 + ipcomp-lzs, esp-des-md5",
    ];
    texts.iter().flat_map(|text| Bundle::parse_alternatives(text).unwrap()).collect()
}

#[test]
fn a_router_for_esp_des_and_md5_takes_the_last_proposal_of_a_cisco_client_and_says_why_not_the_others() {
    let client = connection(A, B).policy(PolicyConfig::new("net").local(net(1)).remote(net(2)).suites(cisco_client()));
    let mut pair = Pair::new(plan(client), plan(connection(B, A).policy(policy(2, 1, "esp-des-md5"))));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
    pair.assert_mirrored();
    assert_eq!(suites(&pair.left), ["ESP_DES, HMAC-MD5"]);
    let negotiated = pair.right.events.iter().find_map(|event| match event {
        Event::Phase2Negotiated { number, passed_over, .. } => Some((*number, passed_over.to_string())),
        _ => None,
    });
    let (number, passed_over) = negotiated.unwrap();
    assert_eq!(number, 6);
    assert_eq!(
        passed_over.lines().collect::<Vec<_>>(),
        [
            "proposal 1, transform 1 against policy 1: transform ESP_3DES, wanted ESP_DES",
            "proposal 1 against policy 1: ANDed IPComp skipped",
            "proposal 2, transform 1 against policy 1: transform ESP_3DES, wanted ESP_DES",
            "proposal 2 against policy 1: ANDed IPComp skipped",
            "proposal 3, transform 1 against policy 1: transform ESP_3DES, wanted ESP_DES",
            "proposal 3, transform 2 against policy 1: transform ESP_3DES, wanted ESP_DES",
            "proposal 4 against policy 1: ANDed IPComp with an SPI of 2 octets is not wanted",
            "proposal 5, transform 1 against policy 1: authenticator HMAC-SHA, wanted HMAC-MD5",
            "proposal 5 against policy 1: ANDed IPComp skipped",
        ]
    );
}

#[test]
fn a_router_with_compression_takes_the_first_proposal_of_a_cisco_client_whole() {
    let client = connection(A, B).policy(PolicyConfig::new("net").local(net(1)).remote(net(2)).suites(cisco_client()));
    let mut pair = Pair::new(plan(client), plan(connection(B, A).policy(policy(2, 1, "ipcomp-lzs + esp-3des-md5"))));
    pair.initiate();
    pair.settle();
    pair.assert_mirrored();
    assert_eq!(suites(&pair.right), ["IPComp LZS", "ESP_3DES, HMAC-MD5"]);
    assert!(pair.right.endpoint.status().children[0].sas[0].inbound <= 0xffff);
}

/// A peer deletes a bundle by a payload for each protocol, and the first takes all of it.
#[test]
fn deletes_of_the_rest_of_a_bundle_are_no_errors() {
    for text in ["ah-sha1 + esp-aes128-sha1", "ipcomp-lzs + esp-aes256gcm16 + ah-sha256", "esp-aes128-sha1"] {
        let mut pair = agreed(text, text);
        let child = pair.left.endpoint.status().children[0].child;
        pair.command(Command::DeleteChild { child });
        pair.settle();
        assert!(pair.right.endpoint.status().children.is_empty(), "{text}");
        assert_eq!(pair.right.endpoint.counters().info_phase2_sa_not_found, 0, "{text}");
        let told = pair.right.events.iter().filter_map(|event| match event {
            Event::DeleteReceived { spis, .. } => Some(spis.len()),
            _ => None,
        });
        assert!(told.clone().all(|spis| spis == 1) && told.count() == text.split('+').count(), "{text}");
        assert_eq!(pair.right.count(|event| matches!(event, Event::SaEnded { .. })), 1, "{text}");
    }
}
