//! What a client that has the key of the group may not do in XAUTH and mode-config.

use crate::common;
use crate::common::{A, B, connection, esp, net, policy};
use crate::scripted::{Scripted, chain, hashed};
use core::net::IpAddr;
use drive::{SecretBytes, Verdict};
use ikev1_core::proposal::AuthenticationMethod;
use ikev1_core::{
    AddressSource, Config, DropReason, Dynamic, Event, IkeSaState, ModeConfig, ModeConfigServer, PolicyConfig, Users,
    Xauth, XauthKind, XauthQuestion, XauthServer,
};
use ipsec_wire::isakmp::payload::{Attribute, OwnedConfiguration};
use ipsec_wire::registry::{ConfigAttribute, ConfigType, ExchangeType, PayloadType, XauthStatus};

type Attributes = Vec<Attribute<Vec<u8>>>;

fn text(class: ConfigAttribute, octets: &[u8]) -> Attribute<Vec<u8>> {
    Attribute::variable(class, octets.to_vec())
}

fn name(octets: &[u8]) -> Attribute<Vec<u8>> {
    text(ConfigAttribute::XAUTH_USER_NAME, octets)
}

fn password(octets: &[u8]) -> Attribute<Vec<u8>> {
    text(ConfigAttribute::XAUTH_USER_PASSWORD, octets)
}

fn lawful() -> Attributes {
    vec![name(b"alice"), password(b"alice password")]
}

fn says(config_type: ConfigType, identifier: u16, attributes: Attributes) -> OwnedConfiguration {
    OwnedConfiguration { config_type, identifier, attributes }
}

fn asked_by(server: XauthServer) -> Scripted {
    let plan =
        common::plan(connection(B, A).xauth(Xauth::Server(server)).policy(policy([10, 10, 2, 0], [10, 10, 1, 0])));
    let mut peer = Scripted::keyed_as(plan, AuthenticationMethod::XauthInitPreSharedKey);
    let mut users = Users::new();
    users.insert("alice".into(), SecretBytes::copied(b"alice password"));
    peer.end.users = Some(users);
    peer.proven()
}

/// A client that is asked who its user is.
fn asked() -> Scripted {
    asked_by(XauthServer::new())
}

fn state(peer: &Scripted) -> Option<IkeSaState> {
    peer.end.endpoint.status().ike_sas.first().map(|sa| sa.state)
}

/// Answers the question, and returns what the server says to it.
fn answered(peer: &mut Scripted, attributes: Attributes) -> OwnedConfiguration {
    let (id, request) = peer.told();
    assert_eq!(request.config_type, ConfigType::REQUEST);
    let _ = peer.transact(id, &says(ConfigType::REPLY, request.identifier, attributes));
    peer.told().1
}

fn status(told: &OwnedConfiguration) -> Option<u64> {
    assert_eq!(told.config_type, ConfigType::SET);
    let [status] = told.attributes.as_slice() else { panic!("{told:?}") };
    (status.class == ConfigAttribute::XAUTH_STATUS.0).then(|| status.to_u64().unwrap())
}

/// The lawful user gets through.
fn completes(mut peer: Scripted) {
    let (id, request) = peer.told();
    assert_eq!(peer.transact(id, &says(ConfigType::REPLY, request.identifier, lawful())), Verdict::Accepted);
    let (id, set) = peer.told();
    assert_eq!(status(&set), Some(1));
    assert_eq!(peer.transact(id, &says(ConfigType::ACK, set.identifier, Vec::new())), Verdict::Accepted);
    assert_eq!(state(&peer), Some(IkeSaState::Active));
    peer.quick();
}

fn quick(peer: &mut Scripted) -> Verdict<DropReason> {
    let id = peer.fresh_id();
    let message_1 = peer.quick_1(id, &peer.quick_rest(&Scripted::lawful_ids()));
    peer.deliver(&message_1)
}

/// Row 40: during XAUTH, at each of its steps.
#[test]
fn row_40_quick_mode_under_the_right_keys_during_xauth_is_refused_and_counted() {
    let mut peer = asked();
    assert_eq!(quick(&mut peer), Verdict::Ignored(DropReason::NotOpen));
    let (id, request) = peer.told();
    assert_eq!(peer.transact(id, &says(ConfigType::REPLY, request.identifier, lawful())), Verdict::Accepted);
    assert_eq!(quick(&mut peer), Verdict::Ignored(DropReason::NotOpen), "the outcome is not acknowledged");
    assert_eq!(peer.end.endpoint.own_counters().not_open, 2);
    let (id, set) = peer.told();
    assert_eq!(peer.transact(id, &says(ConfigType::ACK, set.identifier, Vec::new())), Verdict::Accepted);
    peer.quick();
}

/// Row 41: the outcome is the server's to tell.
#[test]
fn row_41_a_status_from_the_client_proves_nothing() {
    let ok = || vec![Attribute::basic(ConfigAttribute::XAUTH_STATUS, XauthStatus::OK)];
    let mut peer = asked();
    let id = peer.fresh_id();
    assert_eq!(peer.transact(id, &says(ConfigType::SET, 0, ok())), Verdict::Ignored(DropReason::Unexpected));
    for config_type in [ConfigType::REPLY, ConfigType::ACK] {
        let id = peer.fresh_id();
        assert_eq!(peer.transact(id, &says(config_type, 0, ok())), Verdict::Ignored(DropReason::Unexpected));
    }
    assert_eq!(state(&peer), Some(IkeSaState::DoingXauth));
    completes(peer);
    // In place of the answer it is a refusal, whatever it says.
    for attributes in [ok(), [lawful(), ok()].concat()] {
        assert_eq!(status(&answered(&mut asked(), attributes)), Some(0));
    }
}

/// Row 59: what was not asked for is not looked at.
#[test]
fn row_59_no_xauth_and_attributes_that_were_not_asked_open_nothing() {
    let mut peer = asked();
    let id = peer.fresh_id();
    let settings = vec![text(ConfigAttribute::INTERNAL_IP4_ADDRESS, &[])];
    let request = says(ConfigType::REQUEST, 0, settings.clone());
    assert_eq!(peer.transact(id, &request), Verdict::Ignored(DropReason::NotOpen));
    assert_eq!(state(&peer), Some(IkeSaState::DoingXauth));
    peer.answers.truncate(1);
    completes(peer);
    let mut profile = settings;
    profile.push(text(ConfigAttribute::XAUTH_PASSCODE, b"123456"));
    profile.push(text(ConfigAttribute::UNITY_BANNER, b"hello"));
    assert_eq!(status(&answered(&mut asked(), profile.clone())), Some(0));
    assert_eq!(status(&answered(&mut asked(), [profile, lawful()].concat())), Some(1));
}

/// Row 60: names and passwords of every length, missing and doubled.
#[test]
fn row_60_odd_names_and_passwords_are_refused_and_bounded() {
    let long = vec![b'a'; 60_000];
    for attributes in [
        vec![],
        vec![name(b"alice")],
        vec![password(b"alice password")],
        vec![name(b""), password(b"alice password")],
        vec![name(b"alice"), password(b"")],
        vec![name(b"alice"), name(b"alice"), password(b"alice password")],
        vec![name(b"alice"), password(b"alice password"), password(b"x")],
        vec![name(&long), password(b"alice password")],
        vec![name(b"alice"), password(&long)],
        vec![name(b"alice\0"), password(b"alice password")],
        vec![name(b"ALICE"), password(b"alice password")],
        vec![name(b"alice"), Attribute::basic(ConfigAttribute::XAUTH_USER_PASSWORD, 7u16)],
    ] {
        let mut peer = asked();
        assert_eq!(status(&answered(&mut peer, attributes.clone())), Some(0), "{attributes:?}");
        assert_eq!(quick(&mut peer), Verdict::Ignored(DropReason::NotOpen));
    }
    for length in 1..40 {
        let attributes = vec![name(&vec![b'a'; length]), password(&vec![b'b'; length])];
        assert_eq!(status(&answered(&mut asked(), attributes)), Some(0));
    }
    completes(asked());
}

/// Row 61: the event says which side is proven.
#[test]
fn row_61_the_event_says_that_the_users_side_alone_is_proven() {
    let mut peer = asked();
    let set = answered(&mut peer, lawful());
    assert_eq!(status(&set), Some(1));
    let proven = |event: &Event| matches!(event, Event::UserAuthenticated { .. });
    assert!(!peer.end.has(proven), "not acknowledged");
    let mut peer = asked();
    let (id, request) = peer.told();
    assert_eq!(peer.transact(id, &says(ConfigType::REPLY, request.identifier, lawful())), Verdict::Accepted);
    let (id, set) = peer.told();
    assert_eq!(peer.transact(id, &says(ConfigType::ACK, set.identifier, Vec::new())), Verdict::Accepted);
    let peers = |event: &Event| matches!(event, Event::UserAuthenticated { user, is_peer: true, .. } if user.octets() == b"alice");
    assert_eq!((peer.end.count(proven), peer.end.count(peers)), (1, 1), "the client's user, and nothing of this end");
}

/// Row 173: responses to a challenge of every length.
#[test]
fn row_173_a_chap_response_of_any_other_length_is_refused() {
    for length in 0..40 {
        let question = XauthQuestion { kind: XauthKind::RadiusChap, ..XauthQuestion::password() };
        let mut peer = asked_by(XauthServer::new().question(question));
        let kind = Attribute::basic(ConfigAttribute::XAUTH_TYPE, 1u16);
        let attributes = vec![kind, name(b"alice"), password(&vec![0x41; length])];
        assert_eq!(status(&answered(&mut peer, attributes)), Some(0), "{length}");
    }
}

/// All subsets of what a transaction may hold, in both orders of HASH: only lawful ones are looked at.
#[test]
fn a_transaction_holds_a_hash_in_front_and_one_attributes_payload() {
    let (id, request) = asked().told();
    let reply = says(ConfigType::REPLY, request.identifier, lawful());
    let others = [PayloadType::NOTIFICATION, PayloadType::VENDOR_ID, PayloadType::DELETE, PayloadType::NONCE];
    for subset in 0u32..1 << 6 {
        let mut peer = asked();
        assert_eq!(peer.told().0, id, "the same seed asks the same");
        let has = |bit: u32| subset >> bit & 1 == 1;
        let rest = chain(|chain| {
            if has(0) {
                chain.push(&reply);
            }
            for (bit, payload_type) in (1u32..).zip(others) {
                if has(bit) {
                    chain.push_body(payload_type, &[0; 16]);
                }
            }
        });
        let hash = peer.keys.isakmp().hash_1(id, rest.octets());
        let whole = if has(5) { hashed(hash.as_bytes(), &rest) } else { rest };
        if whole.octets().is_empty() {
            continue;
        }
        let octets = peer.sealed(ExchangeType::TRANSACTION, id, &whole);
        let is_lawful = has(0) && has(5) && !has(3) && !has(4);
        assert_eq!(peer.deliver(&octets) == Verdict::Accepted, is_lawful, "{subset:06b}");
    }
}

#[test]
fn a_transaction_in_clear_under_a_wrong_hash_or_a_bad_message_id_is_dropped() {
    let mut peer = asked();
    let reply = says(ConfigType::REPLY, 0, lawful());
    let rest = chain(|chain| chain.push(&reply));
    let request = Scripted::fresh_id(&mut peer);
    let header = ipsec_wire::isakmp::Header::new(
        peer.cookies[0],
        peer.cookies[1],
        ExchangeType::TRANSACTION,
        ipsec_wire::isakmp::MessageId(request),
    );
    let clear = header.enclose(rest.first(), rest.octets()).unwrap();
    assert_eq!(peer.deliver(&clear), Verdict::Ignored(DropReason::ClearText));
    let wrong = peer.sealed(ExchangeType::TRANSACTION, request, &hashed(&[7; 20], &rest));
    assert_eq!(peer.deliver(&wrong), Verdict::Ignored(DropReason::WrongHash));
    let zero = peer.sealed(ExchangeType::TRANSACTION, 0, &hashed(&[7; 20], &rest));
    assert_eq!(peer.deliver(&zero), Verdict::Ignored(DropReason::MessageId(0)));
    completes(peer);
}

fn with_pool() -> Scripted {
    let remote = PolicyConfig::new("net")
        .local(net([10, 10, 2, 0]))
        .remote(net([10, 20, 0, 0]))
        .suites(vec![esp()])
        .dynamic(Dynamic::Remote);
    let server = ModeConfigServer::new().addresses(AddressSource::Pool("clients".into()));
    let address = |last: u8| IpAddr::from([10, 20, 0, last]);
    let plan = Config::new()
        .address_pool("clients", address(1), address(2))
        .connection(connection(B, A).mode_config(ModeConfig::Server(server)).policy(remote))
        .build()
        .unwrap();
    Scripted::up(plan)
}

/// Row 135: long attributes and many of them; and however often a client asks, it has one address.
#[test]
fn row_135_odd_requests_for_settings_are_answered_or_dropped_and_lend_one_address() {
    let mut peer = with_pool();
    let ask = |class: u16, octets: Vec<u8>| Attribute::variable(class, octets);
    let mut requests: Vec<Attributes> =
        (0..40).map(|length| vec![ask(1, vec![7; length]), ask(3, vec![7; length])]).collect();
    requests.push((0..100).map(|_| ask(1, vec![10, 20, 0, 2])).collect());
    requests.push((1..=100).map(|class| ask(class, Vec::new())).collect());
    requests.push(vec![ask(7, vec![b'a'; 60_000])]);
    requests.push((0..5_000).map(|_| ask(3, Vec::new())).collect());
    for attributes in requests {
        let id = peer.fresh_id();
        match peer.transact(id, &says(ConfigType::REQUEST, 9, attributes)) {
            Verdict::Accepted => {
                let (_, reply) = peer.told();
                assert_eq!((reply.config_type, reply.identifier), (ConfigType::REPLY, 9));
            }
            verdict => assert_eq!(verdict, Verdict::Ignored(DropReason::Malformed)),
        }
    }
    assert_eq!(peer.end.endpoint.status().ike_sas[0].client_address, Some([10, 20, 0, 1].into()));
    let told = peer.end.count(|event| matches!(event, Event::AttributeNotSupported { .. }));
    assert!(told <= 2 * 32, "{told} events");
}

/// A client may not fill memory with transactions: those that are done give way.
#[test]
fn a_flood_of_transactions_is_bounded() {
    let mut peer = with_pool();
    for _ in 0..500 {
        let id = peer.fresh_id();
        let request = says(ConfigType::REQUEST, 0, vec![text(ConfigAttribute::APPLICATION_VERSION, b"")]);
        assert_eq!(peer.transact(id, &request), Verdict::Accepted);
        let _ = peer.told();
    }
    let status = peer.end.endpoint.status();
    assert!(status.ike_sas[0].transactions.len() <= 32);
    assert_eq!(status.ike_sas.len(), 1);
}
