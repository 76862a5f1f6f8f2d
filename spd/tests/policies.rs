//! What a database of policies does with packets and with changes.

use core::ops::ControlFlow;
use spd::{
    Action, Applies, Arrival, Database, DatabaseError, Decision, Direction, InboundRefusal, InterfaceId, NameSelector,
    Origin, PacketKey, Peer, Policy, PolicyId, PortSet, Position, ProtocolSelector, Refusal, Selector, TemplateId,
    Upper, WhenEmpty,
};

const WAN: InterfaceId = InterfaceId(0);
const PROTECT: Action = Action::Protect(TemplateId(7));

fn database() -> Database {
    let mut database = Database::new();
    database.add_interface(WAN, WhenEmpty::Discard).unwrap();
    database
}

fn to(remote: &str) -> Selector {
    Selector { remote: remote.parse().unwrap(), ..Selector::default() }
}

fn policy(name: &str, selector: Selector, action: Action) -> Policy {
    Policy::new(name, selector, action).unwrap()
}

fn udp(remote: [u8; 4], port: u16) -> PacketKey {
    PacketKey {
        local: [10, 1, 0, 1].into(),
        remote: remote.into(),
        protocol: Some(17),
        upper: Upper::Ports { local: 5000, remote: port },
    }
}

fn add(database: &mut Database, position: Position, policy: Policy) -> PolicyId {
    database.insert(WAN, position, policy).unwrap()
}

#[test]
fn the_first_match_decides_and_what_none_matches_is_dropped() {
    let mut database = database();
    let all = add(&mut database, Position::Last, policy("site", to("10.2.0.0/16"), PROTECT));
    let key = udp([10, 2, 0, 1], 500);
    assert_eq!(database.outbound(WAN, &key), Decision::Protect { policy: all, template: TemplateId(7) });
    let ike = Selector { remote_port: PortSet::port(500), ..to("any") };
    let first = add(&mut database, Position::At(1), policy("ike", ike, Action::Bypass));
    assert_eq!(database.outbound(WAN, &key), Decision::Bypass { policy: Some(first) });
    assert_eq!(database.outbound(WAN, &udp([10, 3, 0, 1], 80)), Decision::Discard { policy: None });
    assert_eq!(database.outbound(InterfaceId(9), &key), Decision::Discard { policy: None });
    assert_eq!((database.hits(all), database.hits(first)), (Some(1), Some(1)));
    assert_eq!(database.counters().match_failed, 2);
    assert_eq!(database.policy_counters(first).unwrap().out_permit, 1);
}

#[test]
fn an_interface_without_policies_passes_all_only_if_it_says_so_and_none_once_it_has_one() {
    let mut database = Database::new();
    database.add_interface(WAN, WhenEmpty::Bypass).unwrap();
    let key = udp([10, 2, 0, 1], 80);
    assert_eq!(database.outbound(WAN, &key), Decision::Bypass { policy: None });
    assert_eq!(database.inbound(WAN, &key, Arrival::Clear), Ok(None));
    add(&mut database, Position::Last, policy("other", to("10.9.0.0/16"), Action::Bypass));
    assert_eq!(database.outbound(WAN, &key), Decision::Discard { policy: None });
    assert_eq!(database.inbound(WAN, &key, Arrival::Clear), Err(InboundRefusal::NoPolicy));
}

#[test]
fn explain_names_the_selector_that_refused_each_policy_before_the_match() {
    let mut database = database();
    let far = add(&mut database, Position::Last, policy("far", to("10.9.0.0-10.9.0.9"), PROTECT));
    let tcp = Selector { protocol: ProtocolSelector::Number(6), ..to("any") };
    let tcp = add(&mut database, Position::Last, policy("tcp", tcp, PROTECT));
    let received = policy("received", to("any"), Action::Bypass).with_applies(Applies::Inbound);
    let received = add(&mut database, Position::Last, received);
    let web = Selector { remote_port: PortSet::port(80), ..to("any") };
    let web = add(&mut database, Position::Last, policy("web", web, PROTECT));
    let rest = add(&mut database, Position::Last, policy("rest", to("any"), Action::Discard));
    let explanation = database.explain(WAN, Direction::Outbound, &udp([10, 2, 0, 1], 53));
    assert_eq!(explanation.decision, Decision::Discard { policy: Some(rest) });
    let refused = [
        (far, Refusal::RemoteAddressRange),
        (tcp, Refusal::Protocol),
        (received, Refusal::Direction),
        (web, Refusal::RemotePort),
    ];
    assert_eq!(explanation.refused, refused);
    assert_eq!(database.filter_counters().remote_port, 1);
    assert_eq!(database.hits(rest), Some(0));
}

#[test]
fn explain_each_shows_the_policies_in_their_order_until_one_matches_or_the_visitor_has_seen_enough() {
    let mut database = database();
    let far = add(&mut database, Position::Last, policy("far", to("10.9.0.0/16"), PROTECT));
    let near = add(&mut database, Position::Last, policy("near", to("10.2.0.0/16"), PROTECT));
    add(&mut database, Position::Last, policy("rest", to("any"), Action::Discard));
    let key = udp([10, 2, 0, 1], 53);
    let mut asked = Vec::new();
    let decision = database.explain_each(WAN, Direction::Outbound, &key, |id, policy, refusal| {
        asked.push((id, policy.name().to_owned(), refusal));
        ControlFlow::Continue(())
    });
    assert_eq!(decision, Some(database.decide(WAN, Direction::Outbound, &key)));
    let refused = (far, "far".to_owned(), Some(Refusal::RemoteAddressMask));
    assert_eq!(asked, [refused, (near, "near".to_owned(), None)]);
    let enough = |_, _: &Policy, _| ControlFlow::Break(());
    assert_eq!(database.explain_each(WAN, Direction::Outbound, &key, enough), None);
    assert_eq!(database.filter_counters().remote_address_mask, 2);
}

#[test]
fn positions_count_from_1_and_impossible_ones_change_nothing() {
    let mut database = database();
    let a = add(&mut database, Position::Last, policy("a", to("any"), Action::Discard));
    let b = add(&mut database, Position::At(1), policy("b", to("any"), Action::Discard));
    let c = add(&mut database, Position::Before(a), policy("c", to("any"), Action::Discard));
    let names = |database: &Database| database.iter(WAN).map(|(_, p)| p.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&database), ["b", "c", "a"]);
    for asked in [0, 5] {
        let refused = database.insert(WAN, Position::At(asked), policy("d", to("any"), Action::Discard));
        assert_eq!(refused, Err(DatabaseError::Position { asked, last: 4 }));
    }
    let twice = database.insert(WAN, Position::Last, policy("a", to("any"), Action::Discard));
    assert_eq!(twice, Err(DatabaseError::DuplicateName));
    assert_eq!(database.counters().add_failed, 3);
    database.move_to(b, Position::Last).unwrap();
    assert_eq!(names(&database), ["c", "a", "b"]);
    database.move_to(b, Position::Before(c)).unwrap();
    assert_eq!(names(&database), ["b", "c", "a"]);
    database.move_to(b, Position::Before(a)).unwrap();
    assert_eq!(names(&database), ["c", "b", "a"]);
    database.move_to(a, Position::At(1)).unwrap();
    assert_eq!(names(&database), ["a", "c", "b"]);
    assert_eq!(database.move_to(a, Position::At(4)), Err(DatabaseError::Position { asked: 4, last: 3 }));
    assert_eq!((database.position(b), database.at(WAN, 1)), (Some(3), Some(a)));
    assert_eq!(database.at(WAN, 0), None);
}

#[test]
fn a_stale_id_is_an_error_and_never_another_policy() {
    let mut database = database();
    let old = add(&mut database, Position::Last, policy("old", to("any"), PROTECT));
    assert_eq!(database.remove(old), Ok(vec![old]));
    let new = add(&mut database, Position::Last, policy("new", to("any"), PROTECT));
    assert_ne!(old, new);
    assert_eq!(database.remove(old), Err(DatabaseError::NoPolicy(old)));
    assert!(database.policy(old).is_none() && database.position(old).is_none() && database.hits(old).is_none());
    let key = udp([10, 2, 0, 1], 53);
    let stale = Err(InboundRefusal::StalePolicy(old));
    assert_eq!(database.inbound(WAN, &key, Arrival::Protected { policy: old }), stale);
    assert_eq!(database.inbound(WAN, &key, Arrival::Protected { policy: new }), Ok(Some(new)));
}

#[test]
fn replacing_a_policy_keeps_its_place_and_drops_its_associations_and_instances() {
    let mut database = database();
    let a = add(&mut database, Position::Last, policy("a", to("10.1.0.0/16"), PROTECT));
    let b = add(&mut database, Position::Last, policy("b", to("10.2.0.0/16"), PROTECT));
    let client = database.instantiate(b, "client", Peer::Dynamic, None, "10.2.0.9".parse().unwrap()).unwrap();
    add(&mut database, Position::Last, policy("c", to("any"), PROTECT));
    assert_eq!(database.replace(b, policy("a", to("any"), PROTECT)), Err(DatabaseError::DuplicateName));
    let (new, gone) = database.replace(b, policy("b", to("10.9.0.0/16"), PROTECT)).unwrap();
    assert_eq!(gone, [client, b]);
    assert_eq!((database.position(a), database.position(new), database.len()), (Some(1), Some(2), 3));
    assert!(database.policy(b).is_none() && database.policy(client).is_none());
}

#[test]
fn an_instance_stands_before_its_policy_and_goes_with_it() {
    let mut database = database();
    let clients = policy("clients", to("any"), PROTECT).with_peer(Peer::Dynamic);
    let clients = add(&mut database, Position::Last, clients);
    let peer = Peer::Address([192, 0, 2, 7].into());
    let one = database.instantiate(clients, "client1", peer, None, "10.2.0.7".parse().unwrap()).unwrap();
    assert_eq!(database.policy(one).unwrap().origin(), Origin::Instance { of: clients });
    assert_eq!((database.position(one), database.position(clients)), (Some(1), Some(2)));
    let to_client = database.outbound(WAN, &udp([10, 2, 0, 7], 53));
    assert_eq!(to_client, Decision::Protect { policy: one, template: TemplateId(7) });
    assert_eq!(database.by_peer(WAN, [192, 0, 2, 7].into()), [one, clients]);
    assert_eq!(database.by_peer(WAN, [192, 0, 2, 8].into()), [clients]);
    assert_eq!(database.instances(clients), [one]);
    let again = database.instantiate(one, "x", Peer::Any, None, "10.2.0.8".parse().unwrap());
    assert_eq!(again, Err(DatabaseError::NotInstantiable(one)));
    assert_eq!(database.remove(clients), Ok(vec![one, clients]));
    assert!(database.is_empty());
}

#[test]
fn a_received_packet_must_come_the_way_its_policy_says() {
    let mut database = database();
    let site = add(&mut database, Position::Last, policy("site", to("10.2.0.0/16"), PROTECT));
    let other = add(&mut database, Position::Last, policy("other", to("10.3.0.0/16"), PROTECT));
    let open = add(&mut database, Position::Last, policy("open", to("10.4.0.0/16"), Action::Bypass));
    let shut = add(&mut database, Position::Last, policy("shut", to("10.5.0.0/16"), Action::Discard));
    let mut check = |remote: u8, arrival| database.inbound(WAN, &udp([10, remote, 0, 1], 53), arrival);
    let by = |policy| Arrival::Protected { policy };
    assert_eq!(check(2, by(site)), Ok(Some(site)));
    assert_eq!(check(2, Arrival::Clear), Err(InboundRefusal::NotProtected(site)));
    assert_eq!(check(3, by(site)), Err(InboundRefusal::OtherPolicy { association: site, packet: other }));
    assert_eq!(check(4, Arrival::Clear), Ok(Some(open)));
    assert_eq!(check(4, by(site)), Err(InboundRefusal::NotToBeProtected(open)));
    assert_eq!(check(5, by(site)), Err(InboundRefusal::Discarded(shut)));
    assert_eq!(check(6, by(site)), Err(InboundRefusal::NoPolicy));
    let counters = database.policy_counters(site).unwrap();
    assert_eq!((counters.in_process_start, counters.in_action_ipsec_fail), (1, 1));
    assert_eq!(counters.in_policy_action_fail, 1);
    assert_eq!(database.policy_counters(other).unwrap().in_pol_select_match_fail, 1);
    // Each packet met its policy or none, whatever became of it.
    let hits = [site, other, open, shut].map(|id| database.hits(id).unwrap());
    assert_eq!(hits, [2, 1, 2, 1]);
    assert_eq!((database.counters().match_good, database.counters().match_failed), (6, 1));
    let all = database.policy_counters(open).unwrap();
    assert_eq!((all.in_permit, all.in_policy_action_fail), (1, 1));
    assert_eq!(database.policy_counters(shut).unwrap().in_deny, 1);
    // An association whose policy is gone gives nothing.
    database.remove(site).unwrap();
    let late = database.inbound(WAN, &udp([10, 2, 0, 1], 53), Arrival::Protected { policy: site });
    assert_eq!(late, Err(InboundRefusal::StalePolicy(site)));
}

#[test]
fn a_fragment_without_ports_passes_over_policies_that_ask_for_ports() {
    let mut database = database();
    let web = Selector { remote_port: PortSet::port(80), ..to("10.2.0.0/16") };
    let web = add(&mut database, Position::Last, policy("web", web, PROTECT));
    let fragment = PacketKey { upper: Upper::Hidden, ..udp([10, 2, 0, 1], 0) };
    assert_eq!(database.outbound(WAN, &fragment), Decision::Discard { policy: None });
    let opaque = Selector {
        local_port: PortSet::opaque(),
        remote_port: PortSet::opaque(),
        protocol: ProtocolSelector::Number(17),
        ..to("10.2.0.0/16")
    };
    let fragments = add(&mut database, Position::Last, policy("fragments", opaque, PROTECT));
    assert_eq!(database.outbound(WAN, &fragment).policy(), Some(fragments));
    assert_eq!(database.outbound(WAN, &udp([10, 2, 0, 1], 80)).policy(), Some(web));
    assert_eq!(database.outbound(WAN, &udp([10, 2, 0, 1], 81)).policy(), None);
}

#[test]
fn a_full_database_refuses_and_says_its_limit() {
    let mut database = Database::with_limit(1);
    database.add_interface(WAN, WhenEmpty::Discard).unwrap();
    add(&mut database, Position::Last, policy("a", to("any"), PROTECT));
    let refused = database.insert(WAN, Position::Last, policy("b", to("any"), PROTECT));
    assert_eq!(refused, Err(DatabaseError::Full(1)));
}

#[test]
fn removing_an_interface_removes_its_policies() {
    let mut database = database();
    let a = add(&mut database, Position::Last, policy("a", to("any"), PROTECT));
    assert_eq!(database.add_interface(WAN, WhenEmpty::Bypass), Err(DatabaseError::InterfaceExists));
    assert_eq!(database.remove_interface(WAN), Ok(vec![a]));
    assert!(database.is_empty() && database.policy(a).is_none());
    assert_eq!(database.remove_interface(WAN), Err(DatabaseError::NoInterface));
}

#[test]
fn what_an_operator_asks_for_is_counted() {
    let mut database = database();
    let site = add(&mut database, Position::Last, policy("site", to("10.2.0.0/16"), PROTECT));
    let last = add(&mut database, Position::Last, policy("last", to("any"), Action::Discard));
    assert_eq!(database.look_up(WAN, "last"), Some(last));
    assert_eq!(database.look_up(WAN, "lost"), None);
    let shown = database.configuration(last).unwrap();
    assert_eq!((shown.interface, shown.position, shown.policy.name()), (WAN, 2, "last"));
    database.remove(site).unwrap();
    assert_eq!(database.configuration(last).map(|shown| shown.position), Some(1));
    assert_eq!(database.configuration(site), None);
    let counters = database.counters();
    assert_eq!((counters.get_good, counters.get_failed), (1, 1));
    assert_eq!((counters.get_config_good, counters.get_config_failed), (2, 1));
}

#[test]
fn a_batch_to_send_is_decided_and_counted_as_one_packet_after_another() {
    let (mut single, mut batch) = (database(), database());
    let mut decisions = [Decision::Discard { policy: None }; 100];
    let keys: Vec<_> = (0..100).map(|number| udp([10, number % 5, 0, 1], 53)).collect();
    for database in [&mut single, &mut batch] {
        add(database, Position::Last, policy("site", to("10.2.0.0/16"), PROTECT));
        add(database, Position::Last, policy("open", to("10.3.0.0/16"), Action::Bypass));
        add(database, Position::Last, policy("shut", to("10.4.0.0/16"), Action::Discard));
    }
    batch.outbound_batch(WAN, &keys, &mut decisions);
    let expected: Vec<_> = keys.iter().map(|key| single.outbound(WAN, key)).collect();
    assert_eq!(decisions.as_slice(), expected);
    assert_eq!(batch.counters(), single.counters());
    for (id, _) in single.iter(WAN) {
        assert_eq!(batch.hits(id), single.hits(id));
        assert_eq!(batch.policy_counters(id), single.policy_counters(id));
    }
    // Room for fewer than there are packets: those are decided and counted, no more.
    batch.outbound_batch(WAN, &keys, &mut decisions[..10]);
    assert_eq!(batch.counters().match_good + batch.counters().match_failed, 110);
}

#[test]
fn an_origin_stays_with_its_policy_and_what_is_made_for_a_client_is_marked_as_such() {
    let mut database = database();
    let of = |name: &str, origin| policy(name, to("10.2.0.0/16"), PROTECT).with_origin(origin);
    let map = add(&mut database, Position::Last, of("map", Origin::CryptoMap));
    let list = add(&mut database, Position::Last, of("list", Origin::AccessList).with_peer(Peer::Any));
    let own = add(&mut database, Position::Last, policy("own", to("any"), PROTECT));
    let client = database.instantiate(list, "client", Peer::Any, None, "10.2.0.7".parse().unwrap()).unwrap();
    let origin = |id| database.policy(id).map(Policy::origin);
    assert_eq!([map, list, own].map(origin), [Origin::CryptoMap, Origin::AccessList, Origin::Configured].map(Some));
    assert_eq!(origin(client), Some(Origin::Instance { of: list }));
    assert_eq!(database.outbound(WAN, &udp([10, 2, 0, 7], 1)).policy(), Some(map));
    assert_eq!([map, client].map(|id| database.hits(id)), [Some(1), Some(0)]);
}

#[test]
fn of_clients_with_a_policy_each_the_name_says_which() {
    let mut database = database();
    let ids = ["client1", "client2", "client3"].map(|name| {
        let selector = Selector { remote_name: NameSelector::Name(name.into()), ..to("any") };
        add(&mut database, Position::Last, policy(name, selector, PROTECT).with_peer(Peer::Dynamic))
    });
    assert_eq!(database.by_names(WAN, None, Some("client2")), [ids[1]]);
    assert_eq!(database.by_names(WAN, None, Some("client4")), []);
    assert_eq!(database.by_names(WAN, None, None), []);
}
