//! Which connection, and so which key, a peer gets: by its address, by the subnet it is in, by its
//! identity; the closest wins.

use crate::common;
use crate::common::{A, B, Pair, connection, left, plan, policy, transform};
use core::net::IpAddr;
use ikev1_core::auth::PreSharedKey;
use ikev1_core::crypto::DhGroup;
use ikev1_core::{Config, ConnectionConfig, Identity, Peer, Phase1Mode, Plan, RemoteIdentity};

fn subnet(address: [u8; 4], prefix: u8) -> Peer {
    Peer::Subnet { address: address.into(), prefix }
}

/// A connection of the responder whose key is its name.
fn site(name: &str, peer: Peer) -> ConnectionConfig {
    ConnectionConfig::new(name)
        .peer(peer)
        .local(IpAddr::from(B))
        .pre_shared_key(PreSharedKey::copied(name.as_bytes()))
        .phase1(vec![transform(DhGroup::Modp768)])
        .dangerously_allow_weak_algorithms(true)
        .policy(policy([10, 10, 2, 0], [10, 10, 1, 0]))
}

fn hub(sites: impl IntoIterator<Item = ConnectionConfig>) -> Plan {
    sites.into_iter().fold(Config::new(), Config::connection).build().unwrap()
}

fn with_key(name: &str) -> ConnectionConfig {
    left().pre_shared_key(PreSharedKey::copied(name.as_bytes()))
}

/// Worst first, so that the order of the plan does not decide.
fn classes() -> Vec<(&'static str, Peer)> {
    vec![
        ("any", Peer::Any),
        ("everything", subnet([0; 4], 0)),
        ("slash-8", subnet([192, 9, 9, 9], 8)),
        ("slash-24", subnet([192, 0, 2, 0], 24)),
        ("slash-32", subnet(A, 32)),
        ("address", Peer::Address(A.into())),
    ]
}

#[test]
fn the_longest_prefix_gives_the_key_in_main_mode() {
    let classes = classes();
    for best in 0..classes.len() {
        let other = site("other", subnet([198, 51, 100, 0], 24));
        let sites = classes[..=best].iter().map(|(name, peer)| site(name, *peer)).chain([other]);
        let (name, _) = classes[best];
        let mut pair = Pair::new(plan(with_key(name)), hub(sites));
        pair.initiate();
        pair.settle();
        assert!(pair.left.established() && pair.right.established(), "{name}");
        assert_eq!(pair.right.endpoint.status().ike_sas[0].name, name);
    }
}

#[test]
fn the_longest_prefix_wins_in_aggressive_mode_and_among_equals_the_identity() {
    let classes = classes();
    let aggressive = |site: ConnectionConfig| site.dangerously_allow_aggressive_mode(true);
    let group = || RemoteIdentity::Exactly(Identity::KeyId(b"labgroup".to_vec()));
    for best in 0..classes.len() {
        let mut sites: Vec<ConnectionConfig> =
            classes[..=best].iter().map(|(name, peer)| aggressive(site(name, *peer))).collect();
        let (_, peer) = classes[best];
        sites.push(aggressive(site("named", peer)).remote_identity(group()));
        let ours = aggressive(with_key("named"))
            .mode(Phase1Mode::Aggressive)
            .local_identity(Identity::KeyId(b"labgroup".to_vec()));
        let mut pair = Pair::new(plan(ours), hub(sites));
        pair.initiate();
        pair.settle();
        assert!(pair.left.established() && pair.right.established(), "{peer:?}");
        assert_eq!(pair.right.endpoint.status().ike_sas[0].name, "named");
    }
}

/// Main mode gives the key before the identity is known; with one key for several identities the
/// identity still tells which connection it is.
#[test]
fn in_main_mode_the_identity_picks_among_connections_with_one_key() {
    let key = || PreSharedKey::copied(b"one key");
    let named = |name: &str| RemoteIdentity::Exactly(Identity::Fqdn(format!("{name}.example.org")));
    let sites = ["first", "second", "third"]
        .map(|name| site(name, subnet([192, 0, 2, 0], 24)).pre_shared_key(key()).remote_identity(named(name)));
    let ours = left().pre_shared_key(key()).local_identity(Identity::Fqdn("third.example.org".into()));
    let mut pair = Pair::new(plan(ours), hub(sites));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established());
    assert_eq!(pair.right.endpoint.status().ike_sas[0].name, "third");
}

/// What is offered chooses too: the closest connection whose transforms fit.
#[test]
fn a_connection_that_refuses_the_offer_leaves_it_to_the_next_closest() {
    let strict = site("strict", Peer::Address(A.into())).phase1(vec![transform(DhGroup::Modp1024)]);
    let sites = [strict, site("lenient", subnet([192, 0, 2, 0], 24))];
    let mut pair = Pair::new(plan(with_key("lenient")), hub(sites));
    pair.initiate();
    pair.settle();
    assert!(pair.left.established());
    assert_eq!(pair.right.endpoint.status().ike_sas[0].name, "lenient");
}

#[test]
fn subnets_have_families_and_bounds_and_cannot_be_called() {
    let v6 = Peer::Subnet { address: core::net::Ipv6Addr::LOCALHOST.into(), prefix: 64 };
    assert_eq!(v6.closeness(IpAddr::from(A)), None);
    assert_eq!(v6.closeness(core::net::Ipv6Addr::LOCALHOST.into()), Some(65));
    assert_eq!(subnet(A, 33).closeness(IpAddr::from(A)), None);
    let refusal = |peer| Config::new().connection(connection(B, A).peer(peer)).build().unwrap_err().to_string();
    assert_eq!(refusal(subnet(A, 33)), "site.peer: 33 is not within 0 to 32");
    assert_eq!(refusal(v6), "site.local: address families differ");
    let mut pair = Pair::new(plan(left().peer(subnet(B, 24))), plan(common::right()));
    let refused =
        pair.left.endpoint.handle_command(pair.now, ikev1_core::Command::Initiate { connection: common::SITE });
    assert_eq!(refused, Err(ikev1_core::CommandError::NoPeerAddress(common::SITE)));
    pair.drain();
    assert!(pair.wire.is_empty());
}
