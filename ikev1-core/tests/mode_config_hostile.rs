//! What a gateway that has proven itself may not do to its client in mode-config.

use crate::common::{A, B, connection, esp, net};
use crate::scripted::Scripted;
use crate::{common, scripted};
use core::net::IpAddr;
use core::time::Duration;
use drive::Verdict;
use ikev1_core::{
    Action, AddressSource, ClientSettings, Command, DropReason, Dynamic, Event, Failure, ModeConfig, ModeConfigClient,
    ModeConfigServer, PolicyConfig, RemoveReason, TrafficSelector,
};
use ipsec_wire::isakmp::payload::{Attribute, OwnedConfiguration};
use ipsec_wire::registry::{ConfigAttribute, ConfigType};

type Attributes = Vec<Attribute<Vec<u8>>>;

const IP4: ConfigAttribute = ConfigAttribute::INTERNAL_IP4_ADDRESS;
const OURS: [u8; 4] = [10, 20, 0, 7];

fn variable(class: ConfigAttribute, octets: &[u8]) -> Attribute<Vec<u8>> {
    Attribute::variable(class, octets.to_vec())
}

fn says(config_type: ConfigType, identifier: u16, attributes: Attributes) -> OwnedConfiguration {
    OwnedConfiguration { config_type, identifier, attributes }
}

/// A client of ours under the hand of a gateway.
fn client(mode_config: ModeConfigClient) -> Scripted {
    let policy = PolicyConfig::new("net")
        .local(TrafficSelector::subnet([0, 0, 0, 0].into(), 0).unwrap())
        .remote(net([10, 10, 1, 0]))
        .suites(vec![esp()])
        .dynamic(Dynamic::Local);
    Scripted::up(common::plan(connection(B, A).mode_config(ModeConfig::Client(mode_config)).policy(policy)))
}

/// A client that has asked for its settings, and the question.
fn asking() -> (Scripted, u32, u16) {
    let mut peer = client(ModeConfigClient::new());
    let (id, request) = peer.told();
    assert_eq!(request.config_type, ConfigType::REQUEST);
    (peer, id, request.identifier)
}

/// Returns the address that a client has, `None` without an SA.
fn address(peer: &Scripted) -> Option<Option<IpAddr>> {
    peer.end.endpoint.status().ike_sas.first().map(|sa| sa.client_address)
}

/// The lawful answer is still taken.
fn completes(mut peer: Scripted, id: u32, identifier: u16) {
    let reply = says(ConfigType::REPLY, identifier, vec![variable(IP4, &OURS)]);
    assert_eq!(peer.transact(id, &reply), Verdict::Accepted);
    assert_eq!(address(&peer), Some(Some(OURS.into())));
}

fn configured(peer: &Scripted) -> Vec<ClientSettings> {
    let settings = |event: &Event| match event {
        Event::Configured { settings, .. } => Some((**settings).clone()),
        _ => None,
    };
    peer.end.events.iter().filter_map(settings).collect()
}

/// Row 136: an address of every length but its own, in each class and form.
#[test]
fn row_136_an_address_of_another_length_in_a_reply_is_dropped_and_the_sa_stays() {
    let (mut peer, id, identifier) = asking();
    let mut odd: Vec<Attribute<Vec<u8>>> = (1..40).filter(|n| *n != 4).map(|n| variable(IP4, &vec![7; n])).collect();
    let other_v6 = |n: &usize| !(*n == 16 || *n == 17);
    odd.extend((1..40).filter(other_v6).map(|n| variable(ConfigAttribute::INTERNAL_IP6_ADDRESS, &vec![7; n])));
    odd.push(Attribute::basic(IP4, 7u16));
    let dropped = odd.len() as u64;
    let before = peer.end.endpoint.counters().rx_payload_length;
    for odd in odd {
        let reply = says(ConfigType::REPLY, identifier, vec![odd.clone()]);
        assert_eq!(peer.transact(id, &reply), Verdict::Ignored(DropReason::Malformed), "{odd:?}");
        assert_eq!(address(&peer), Some(None));
    }
    assert_eq!(peer.end.endpoint.counters().rx_payload_length - before, dropped);
    assert!(configured(&peer).is_empty() && peer.end.removed.is_empty());
    completes(peer, id, identifier);
}

/// Row 136: what else has a wrong length is passed over, told of, and the rest is taken.
#[test]
fn row_136_other_values_of_wrong_lengths_are_passed_over_and_the_rest_is_taken() {
    let (mut peer, id, identifier) = asking();
    let attributes = vec![
        variable(ConfigAttribute::INTERNAL_IP4_DNS, &[7; 5]),
        variable(ConfigAttribute::INTERNAL_IP4_SUBNET, &[7; 7]),
        variable(IP4, &OURS),
        variable(IP4, &[9; 8]),
        variable(ConfigAttribute::INTERNAL_IP4_DNS, &[10, 10, 1, 53]),
        variable(ConfigAttribute::INTERNAL_ADDRESS_EXPIRY, &[0xff; 8]),
    ];
    assert_eq!(peer.transact(id, &says(ConfigType::REPLY, identifier, attributes)), Verdict::Accepted);
    let settings = configured(&peer).remove(0);
    assert_eq!((settings.address, settings.dns), (Some(OURS.into()), vec![[10, 10, 1, 53].into()]));
    assert_eq!((settings.subnets.len(), settings.expiry), (0, None));
    assert_eq!(peer.end.count(|event| matches!(event, Event::AttributeNotSupported { .. })), 4);
    assert_eq!(address(&peer), Some(Some(OURS.into())));
}

/// Row 136: in settings that come unasked, the refused attribute is left out of the acknowledgement.
#[test]
fn row_136_an_address_of_another_length_in_a_set_is_not_acknowledged_and_a_right_one_is_taken_later() {
    let mut peer = client(ModeConfigClient::new().push(true));
    let set = |octets: &[u8]| {
        let dns = variable(ConfigAttribute::INTERNAL_IP4_DNS, &[10, 10, 1, 53]);
        says(ConfigType::SET, 5, vec![variable(IP4, octets), dns])
    };
    for (octets, acknowledged) in [(&OURS[..3], vec![3]), (&OURS[..], vec![1, 3])] {
        let id = peer.fresh_id();
        assert_eq!(peer.transact(id, &set(octets)), Verdict::Accepted);
        let (_, ack) = peer.told();
        assert_eq!((ack.config_type, ack.identifier), (ConfigType::ACK, 5));
        assert_eq!(ack.attributes.iter().map(|attribute| attribute.class).collect::<Vec<_>>(), acknowledged);
        assert_eq!(address(&peer), Some(acknowledged.contains(&1).then_some(OURS.into())));
    }
}

/// A gateway that never says an address ends the SA by the ordinary limits.
#[test]
fn a_gateway_that_only_says_odd_addresses_is_given_up() {
    let (mut peer, id, identifier) = asking();
    for _ in 0..30 {
        let _ = peer.transact(id, &says(ConfigType::REPLY, identifier, vec![variable(IP4, &[7; 3])]));
        peer.pass(Duration::from_secs(10));
    }
    let gone = |event: &Event| {
        let Event::IkeSaEnded { reason: RemoveReason::Failed(failure), .. } = event else { return false };
        matches!(failure, Failure::NoAddress | Failure::Timeout { .. })
    };
    assert!(address(&peer).is_none() && peer.end.has(gone), "{:?}", peer.end.events);
}

/// Row 138, the lawful traffic: strongSwan answers with identifier 0 whatever it was asked with.
#[test]
fn row_138_an_answer_without_an_identifier_is_taken() {
    let (peer, id, identifier) = asking();
    assert_ne!(identifier, 0);
    completes(peer, id, 0);
}

/// Row 138: an answer belongs to its question by message id and by identifier.
#[test]
fn row_138_an_answer_with_another_identifier_is_dropped_and_counted_and_the_right_one_is_taken() {
    let (mut peer, id, identifier) = asking();
    let others = (0..16).map(|bit| identifier ^ 1 << bit).chain([!identifier]);
    for other in others.clone() {
        let reply = says(ConfigType::REPLY, other, vec![variable(IP4, &[10, 66, 6, 6])]);
        assert_eq!(peer.transact(id, &reply), Verdict::Ignored(DropReason::Identifier(other)));
    }
    assert_eq!(peer.end.endpoint.own_counters().wrong_identifier, others.count() as u64);
    // The right identifier under another message id is no answer either.
    let elsewhere = peer.fresh_id();
    let reply = says(ConfigType::REPLY, identifier, vec![variable(IP4, &[10, 66, 6, 6])]);
    assert_eq!(peer.transact(elsewhere, &reply), Verdict::Ignored(DropReason::Unexpected));
    assert_eq!(address(&peer), Some(None));
    completes(peer, id, identifier);
}

/// Row 138: while the caller is asked for an address, a second request waits.
#[test]
fn row_138_a_second_request_while_one_is_open_asks_the_caller_nothing_more() {
    let policy = PolicyConfig::new("net")
        .local(net([10, 10, 2, 0]))
        .remote(net([10, 20, 0, 0]))
        .suites(vec![esp()])
        .dynamic(Dynamic::Remote);
    let server = ModeConfigServer::new().addresses(AddressSource::Caller);
    let mut peer = Scripted::up(common::plan(connection(B, A).mode_config(ModeConfig::Server(server)).policy(policy)));
    let (first, second) = (peer.fresh_id(), peer.fresh_id());
    let request = |identifier| says(ConfigType::REQUEST, identifier, vec![variable(IP4, &[])]);
    assert_eq!(peer.transact(first, &request(1)), Verdict::Accepted);
    assert_eq!(peer.transact(second, &request(2)), Verdict::Ignored(DropReason::Limit));
    let [Action::AllocateAddress(ask)] = peer.end.asked.as_slice() else { panic!("{:?}", peer.end.asked) };
    let answer = Command::ProvideAddress { ticket: ask.ticket, address: Some(OURS.into()) };
    peer.end.endpoint.handle_command(peer.now, answer).unwrap();
    peer.pass(Duration::ZERO);
    let (id, reply) = peer.told();
    assert_eq!((id, reply.identifier), (first, 1));
    // It comes again, and gets the same address without a question.
    assert_eq!(peer.transact(second, &request(2)), Verdict::Accepted);
    let (id, reply) = peer.told();
    assert_eq!((id, reply.identifier, reply.attributes[0].octets()), (second, 2, Some(&OURS[..])));
    assert_eq!(peer.end.asked.len(), 1);
}

/// Row 134, CVE-2010-3752, CVE-2018-10900: what a gateway says is words, and no line of a file.
#[test]
fn row_134_texts_hold_nothing_that_forges_a_display_or_a_line_of_a_file() {
    let (mut peer, id, identifier) = asking();
    let hostile = b"a.example\nIPSec secret x\r\n\0\x1b]0;t\x07\xe2\x80\xaeb\xc2\x9b,c.example\n";
    let attributes = vec![
        variable(IP4, &OURS),
        variable(ConfigAttribute::APPLICATION_VERSION, hostile),
        variable(ConfigAttribute::UNITY_BANNER, hostile),
        variable(ConfigAttribute::UNITY_DEF_DOMAIN, hostile),
        variable(ConfigAttribute::UNITY_SPLITDNS_NAME, hostile),
        variable(ConfigAttribute::UNITY_BACKUP_SERVERS, hostile),
        variable(ConfigAttribute::UNITY_DDNS_HOSTNAME, hostile),
    ];
    assert_eq!(peer.transact(id, &says(ConfigType::REPLY, identifier, attributes)), Verdict::Accepted);
    let ClientSettings { version, unity, .. } = configured(&peer).remove(0);
    let line = "a.exampleIPSec secret x]0;tb,c.example";
    for text in [&version, &unity.default_domain, &unity.backup_servers, &unity.host_name] {
        assert_eq!(text.as_deref(), Some(line));
    }
    assert_eq!(unity.split_dns, ["a.exampleIPSec secret x]0;tb", "c.example"]);
    // A banner has lines, and they stay.
    assert_eq!(unity.banner.as_deref(), Some("a.example\nIPSec secret x\n]0;tb,c.example\n"));
}

/// Row 137: networks that nobody asked for are told, and no policy widens by them.
#[test]
fn row_137_networks_that_come_unasked_are_told_and_change_no_policy() {
    let mut peer = client(ModeConfigClient::new().push(true));
    let everything = variable(ConfigAttribute::UNITY_SPLIT_INCLUDE, &[0; 14]);
    let set = says(ConfigType::SET, 0, vec![variable(IP4, &OURS), everything]);
    let id = peer.fresh_id();
    assert_eq!(peer.transact(id, &set), Verdict::Accepted);
    let _ = peer.told();
    assert_eq!(configured(&peer)[0].unity.split_include[0].to_string(), "0.0.0.0/0");
    // The gateway proposes what it announced: the client's policy says otherwise.
    let ids = [[0; 8], [0; 8]].map(|octets: [u8; 8]| scripted::id_body(4, 0, 0, &octets));
    let id = peer.fresh_id();
    let message_1 = peer.quick_1(id, &peer.quick_rest(&ids));
    assert!(matches!(peer.deliver(&message_1), Verdict::Ignored(DropReason::Refused)));
    // An address that comes later changes nothing of the SA that is open.
    let id = peer.fresh_id();
    let later = says(ConfigType::SET, 0, vec![variable(IP4, &[10, 66, 6, 6])]);
    assert_eq!(peer.transact(id, &later), Verdict::Accepted);
    assert_eq!(address(&peer), Some(Some(OURS.into())));
}
