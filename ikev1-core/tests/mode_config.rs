//! Mode-config: the client is given its address, and phase 2 is about that address.

use crate::common;
use crate::common::{A, B, End, Pair, SITE, connection, esp, left, net, plan, right};
use core::net::IpAddr;
use core::time::Duration;
use drive::{Instant, SecretBytes};
use ikev1_core::{
    Action, AddressSource, ClientSettings, Command, Config, ConnectionConfig, Dynamic, Event, Failure, Identity,
    ModeConfig, ModeConfigClient, ModeConfigServer, Network, Plan, PolicyConfig, RemoteIdentity, TrafficSelector,
    Unity, Users, Xauth, XauthClient, XauthServer,
};
use ipsec_wire::registry::{ConfigAttribute, ExchangeType};

fn ip(last: u8) -> IpAddr {
    [10, 20, 0, last].into()
}

fn everything() -> TrafficSelector {
    TrafficSelector::subnet([0, 0, 0, 0].into(), 0).unwrap()
}

/// A client that has no address of its own in the tunnel.
fn client(mode_config: ModeConfigClient) -> ConnectionConfig {
    let policy = PolicyConfig::new("net")
        .local(everything())
        .remote(net([10, 10, 2, 0]))
        .suites(vec![esp()])
        .dynamic(Dynamic::Local);
    connection(A, B).mode_config(ModeConfig::Client(mode_config)).policy(policy)
}

fn server(mode_config: ModeConfigServer) -> ConnectionConfig {
    let policy = PolicyConfig::new("net")
        .local(net([10, 10, 2, 0]))
        .remote(net([10, 20, 0, 0]))
        .suites(vec![esp()])
        .dynamic(Dynamic::Remote);
    connection(B, A).mode_config(ModeConfig::Server(mode_config)).policy(policy)
}

fn from_pool() -> ModeConfigServer {
    let unity = Unity { banner: Some("hello".into()), pfs: Some(0), ..Unity::default() };
    let settings = ClientSettings {
        dns: vec![[10, 10, 2, 53].into()],
        subnets: vec![Network::new([10, 10, 2, 0].into(), 24).unwrap()],
        version: Some("gateway 1".into()),
        unity,
        ..ClientSettings::default()
    };
    ModeConfigServer::new().addresses(AddressSource::Pool("clients".into())).settings(settings)
}

fn with_pool(connection: ConnectionConfig) -> Plan {
    Config::new().trace(true).address_pool("clients", ip(1), ip(2)).connection(connection).build().unwrap()
}

fn pair(client: ConnectionConfig, server: ConnectionConfig) -> Pair {
    Pair::new(plan(client), with_pool(server))
}

fn run(client: ConnectionConfig, server: ConnectionConfig) -> Pair {
    let mut pair = pair(client, server);
    pair.initiate();
    pair.settle();
    pair
}

fn configured(end: &End) -> Vec<ClientSettings> {
    let settings = |event: &Event| match event {
        Event::Configured { settings, .. } => Some((**settings).clone()),
        _ => None,
    };
    end.events.iter().filter_map(settings).collect()
}

fn selectors(end: &End) -> (TrafficSelector, TrafficSelector) {
    let status = end.endpoint.status();
    (status.children[0].local, status.children[0].remote)
}

fn transactions(pair: &Pair) -> Vec<(bool, u32)> {
    let of = |transmit: &drive::Transmit| {
        let message = ipsec_wire::isakmp::Message::parse(&transmit.payload).unwrap();
        let from_left = transmit.path.local.ip() == IpAddr::from(A);
        (message.header().exchange == ExchangeType::TRANSACTION).then_some((from_left, message.header().message_id.0))
    };
    pair.seen.iter().filter_map(of).collect()
}

fn assert_first_client(pair: &Pair) {
    assert!(pair.left.established() && pair.right.established(), "{:?}", pair.left.events);
    pair.assert_mirrored();
    assert_eq!(selectors(&pair.left), (TrafficSelector::host(ip(1)), net([10, 10, 2, 0])));
    assert_eq!(selectors(&pair.right), (net([10, 10, 2, 0]), TrafficSelector::host(ip(1))));
    for end in [&pair.left, &pair.right] {
        assert_eq!(end.endpoint.status().ike_sas[0].client_address, Some(ip(1)));
    }
    let leased = |event: &Event| matches!(event, Event::AddressLeased { address, .. } if *address == ip(1));
    assert!(pair.right.has(leased));
}

#[test]
fn a_client_that_asks_gets_address_and_settings_and_phase_2_is_about_them() {
    let pair = run(client(ModeConfigClient::new().version("client 1".into())), server(from_pool()));
    assert_first_client(&pair);
    let settings = configured(&pair.left).remove(0);
    assert_eq!(settings.dns, [IpAddr::from([10, 10, 2, 53])]);
    assert_eq!(settings.subnets[0].to_string(), "10.10.2.0/24");
    assert_eq!((settings.version.as_deref(), settings.unity.banner.as_deref()), (Some("gateway 1"), Some("hello")));
    assert_eq!(settings.expiry, Some(86_400));
    let [(true, request), (false, reply)] = transactions(&pair)[..] else { panic!("{:?}", transactions(&pair)) };
    assert_eq!(request, reply);
}

#[test]
fn a_client_that_waits_is_sent_its_settings() {
    let pair = run(client(ModeConfigClient::new().push(true)), server(from_pool().push(true)));
    assert_first_client(&pair);
    let [(false, set), (true, ack)] = transactions(&pair)[..] else { panic!("{:?}", transactions(&pair)) };
    assert_eq!(set, ack);
}

#[test]
fn ends_that_disagree_about_who_begins_come_together() {
    // Both begin: what comes first counts.
    assert_first_client(&run(client(ModeConfigClient::new()), server(from_pool().push(true))));
    // Neither begins: the client asks after a while.
    let mut pair = run(client(ModeConfigClient::new().push(true)), server(from_pool()));
    assert!(!pair.left.established());
    pair.advance(Duration::from_secs(11));
    assert_first_client(&pair);
}

#[test]
fn a_client_without_unity_is_told_nothing_of_it() {
    let pair = run(client(ModeConfigClient::new().unity(false)), server(from_pool()));
    assert_first_client(&pair);
    assert_eq!(configured(&pair.left)[0].unity, Unity::default());
}

#[test]
fn the_caller_can_have_the_addresses() {
    for push in [false, true] {
        let source = ModeConfigServer::new().addresses(AddressSource::Caller).push(push);
        let mut pair = run(client(ModeConfigClient::new().push(push).wish(ip(9))), server(source));
        let Some(Action::AllocateAddress(ask)) = pair.right.asked.pop() else { panic!() };
        assert_eq!(ask.wish, (!push).then_some(ip(9)));
        let answer = Command::ProvideAddress { ticket: ask.ticket, address: Some(ip(1)) };
        pair.right.endpoint.handle_command(pair.now, answer).unwrap();
        pair.settle();
        assert_first_client(&pair);
        let old = pair.left.endpoint.status().ike_sas[0].ike_sa;
        pair.command(Command::DeleteIke { ike_sa: old });
        pair.settle();
        let released = pair.right.asked.pop();
        assert!(matches!(released, Some(Action::ReleaseAddress { address, .. }) if address == ip(1)));
    }
}

#[test]
fn a_caller_without_an_address_or_an_answer_leaves_the_client_outside() {
    for answered in [true, false] {
        let source = ModeConfigServer::new().addresses(AddressSource::Caller);
        let mut pair = run(client(ModeConfigClient::new()), server(source));
        let Some(Action::AllocateAddress(ask)) = pair.right.asked.pop() else { panic!() };
        if answered {
            let answer = Command::ProvideAddress { ticket: ask.ticket, address: None };
            pair.right.endpoint.handle_command(pair.now, answer).unwrap();
            pair.settle();
        } else {
            pair.advance(Duration::from_secs(40));
        }
        let failed = |event: &Event| matches!(event, Event::Phase2Failed { failure: Failure::NoAddress, .. });
        assert!(pair.left.has(failed) && !pair.right.established());
        assert!(pair.right.has(|event| matches!(event, Event::NoAddressLeft { .. })));
        pair.advance(Duration::from_secs(300));
        for end in [&pair.left, &pair.right] {
            assert!(end.endpoint.status().ike_sas.is_empty());
            assert_eq!(end.endpoint.poll_timeout(), None);
        }
    }
}

#[test]
fn a_renewal_keeps_the_address_and_the_pairs() {
    for push in [false, true] {
        let mut pair = run(client(ModeConfigClient::new().push(push)), server(from_pool().push(push)));
        for _ in 0..3 {
            let old = pair.left.endpoint.status().ike_sas.last().unwrap().ike_sa;
            pair.command(Command::RekeyIke { ike_sa: old });
            pair.settle();
            pair.advance(Duration::from_secs(60));
        }
        for end in [&pair.left, &pair.right] {
            let status = end.endpoint.status();
            assert_eq!((status.ike_sas.len(), status.children.len()), (1, 1));
            assert_eq!(status.ike_sas[0].client_address, Some(ip(1)));
        }
        assert_eq!(pair.right.count(|event| matches!(event, Event::AddressReleased { .. })), 0);
        let child = pair.right.endpoint.status().children[0].child;
        pair.right.endpoint.handle_command(pair.now, Command::RekeyChild { child }).unwrap();
        pair.settle();
        assert_eq!(selectors(&pair.left).0, TrafficSelector::host(ip(1)), "the server renews the same pair");
    }
}

#[test]
fn the_address_goes_back_when_the_client_goes_and_comes_again_with_it() {
    let mut pair = run(client(ModeConfigClient::new()), server(from_pool()));
    for _ in 0..4 {
        let sa = pair.left.endpoint.status().ike_sas[0].ike_sa;
        pair.command(Command::DeleteIke { ike_sa: sa });
        pair.settle();
        assert!(pair.right.has(|event| matches!(event, Event::AddressReleased { address, .. } if *address == ip(1))));
        pair.initiate();
        pair.settle();
        assert_eq!(pair.left.endpoint.status().ike_sas[0].client_address, Some(ip(1)));
    }
}

/// Connects a client of a group to a server by hand.
fn connect(server: &mut End, seed: u64, name: &str, now: Instant) -> End {
    let xauth = XauthClient::new().credentials(name.into(), SecretBytes::copied(b"p"));
    let mut end = End::new(common::endpoint(plan(client(ModeConfigClient::new()).xauth(Xauth::Client(xauth))), seed));
    end.endpoint.handle_command(now, Command::Initiate { connection: SITE }).unwrap();
    for _ in 0..20 {
        for transmit in end.drain(now) {
            let _ = server.endpoint.handle_datagram(now, transmit.as_received());
        }
        for transmit in server.drain(now) {
            let _ = end.endpoint.handle_datagram(now, transmit.as_received());
        }
    }
    end
}

#[test]
fn two_users_behind_one_nat_have_two_addresses_and_a_third_finds_none() {
    let mut users = Users::new();
    for name in ["alice", "bob", "carol"] {
        users.insert(name.into(), SecretBytes::copied(b"p"));
    }
    let mut server_end =
        End::new(common::endpoint(with_pool(server(from_pool()).xauth(Xauth::Server(XauthServer::new()))), 9));
    server_end.users = Some(users);
    let now = Instant::from_secs(1);
    let alice = connect(&mut server_end, 1, "alice", now);
    let mut bob = connect(&mut server_end, 2, "bob", now);
    assert_eq!(selectors(&alice).0, TrafficSelector::host(ip(1)));
    assert_eq!(selectors(&bob).0, TrafficSelector::host(ip(2)));
    let carol = connect(&mut server_end, 3, "carol", now);
    assert!(!carol.established());
    assert!(server_end.has(|event| matches!(event, Event::NoAddressLeft { .. })));
    // Bob starts afresh and has his address again, though the pool is full.
    bob = connect(&mut server_end, 4, "bob", now);
    assert_eq!(selectors(&bob).0, TrafficSelector::host(ip(2)));
}

/// cves.md row 59: the client proposes an address that it was not given.
#[test]
fn quick_mode_for_an_address_that_was_not_given_is_refused() {
    let thief =
        PolicyConfig::new("net").local(TrafficSelector::host(ip(77))).remote(net([10, 10, 2, 0])).suites(vec![esp()]);
    let ours = connection(A, B).mode_config(ModeConfig::Client(ModeConfigClient::new())).policy(thief);
    let pair = run(ours, server(from_pool()));
    assert!(!pair.left.established() && !pair.right.established());
    let refused = |event: &Event| matches!(event, Event::Phase2Failed { failure: Failure::NoPolicy, .. });
    assert!(pair.right.has(refused));
    // The lawful client gets through.
    assert_first_client(&run(client(ModeConfigClient::new()), server(from_pool())));
}

#[test]
fn quick_mode_before_the_address_is_given_is_refused_and_counted() {
    let eager = PolicyConfig::new("net").local(everything()).remote(net([10, 10, 2, 0])).suites(vec![esp()]);
    let pair = run(connection(A, B).policy(eager), server(from_pool()));
    assert!(!pair.right.established());
    assert_eq!(pair.right.endpoint.own_counters().not_open, 1);
}

#[test]
fn an_address_outside_the_policy_makes_no_pair() {
    let narrow = PolicyConfig::new("net")
        .local(net([10, 99, 0, 0]))
        .remote(net([10, 10, 2, 0]))
        .suites(vec![esp()])
        .dynamic(Dynamic::Local);
    let ours = connection(A, B).mode_config(ModeConfig::Client(ModeConfigClient::new())).policy(narrow);
    let pair = run(ours, server(from_pool()));
    assert!(!pair.left.established());
    assert!(pair.left.has(|event| matches!(event, Event::Phase2Failed { failure: Failure::NoAddress, .. })));
    assert_eq!(pair.left.endpoint.status().ike_sas.len(), 1);
}

#[test]
fn what_a_client_asks_for_and_nobody_has_is_told_once_each() {
    // A server that has nothing answers all the same.
    let pair = run(client(ModeConfigClient::new()), connection(B, A));
    assert_eq!(transactions(&pair).len(), 2);
    assert!(pair.left.has(|event| matches!(event, Event::Phase2Failed { failure: Failure::NoAddress, .. })));
    let unsupported = |event: &Event| matches!(event, Event::AttributeNotSupported { attribute, .. } if *attribute == ConfigAttribute::INTERNAL_IP4_DHCP);
    assert_eq!(pair.right.count(unsupported), 0);
}

#[test]
fn a_server_takes_no_settings_and_a_client_gives_none() {
    // Two servers: what the one pushes the other does not take.
    let both =
        server(from_pool().push(true)).remote_identity(RemoteIdentity::Exactly(Identity::Address(IpAddr::from(A))));
    let mut pair =
        Pair::new(with_pool(connection(A, B).mode_config(ModeConfig::Server(from_pool().push(true)))), with_pool(both));
    pair.initiate();
    pair.settle();
    assert!(configured(&pair.left).is_empty() && configured(&pair.right).is_empty());
    assert!(pair.left.endpoint.counters().rx_unexpected > 0);
}

#[test]
fn mistakes_in_the_settings_are_named() {
    let refusal = |config: Config| config.build().unwrap_err().to_string();
    let unknown = refusal(Config::new().connection(server(from_pool())));
    assert_eq!(unknown, "site.mode_config.addresses: no pool has that name");
    let no_client = PolicyConfig::new("net").local(everything()).remote(net([10, 10, 2, 0])).dynamic(Dynamic::Local);
    let text = refusal(Config::new().connection(connection(A, B).policy(no_client)));
    assert_eq!(text, "site.net.dynamic: no mode_config gives the address of that side");
    let pools = |first, last| Config::new().address_pool("a", ip(1), ip(9)).address_pool("b", first, last);
    assert_eq!(refusal(pools(ip(9), ip(20))), "b: it overlaps another pool");
    assert_eq!(refusal(pools(ip(20), ip(19))), "b: the range ends before it begins");
    assert_eq!(refusal(pools(ip(20), core::net::Ipv6Addr::LOCALHOST.into())), "b: address families differ");
    assert!(pools(ip(20), ip(20)).build().is_ok());
}

#[test]
fn ends_without_mode_config_are_not_touched() {
    let mut pair = Pair::new(plan(left()), plan(right()));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && transactions(&pair).is_empty());
}
