//! Hybrid authentication: the gateway signs, the user has a password and nothing else; and XAUTH after
//! signatures of both.

use crate::common::signing::{
    LEFT, RIGHT, credential, failed_with, name, payloads, signing_left, signing_right, trust,
};
use crate::common::{End, Pair, left, plan, right};
use core::time::Duration;
use drive::SecretBytes;
use ikev1_core::auth::{Authentication, RemoteKey};
use ikev1_core::{
    Config, ConnectionConfig, Event, Failure, IkeSaState, Phase1Mode, RemoteIdentity, UserName, Users, Xauth,
    XauthClient, XauthServer,
};
use ipsec_wire::registry::{AuthMethod, PayloadType};

fn users() -> Option<Users> {
    let mut users = Users::new();
    users.insert("alice".into(), SecretBytes::copied(b"alice password"));
    Some(users)
}

fn password(password: &str) -> Xauth {
    let user: UserName = "alice".into();
    Xauth::Client(XauthClient::new().credentials(user, SecretBytes::copied(password.as_bytes())))
}

fn asks() -> Xauth {
    Xauth::Server(XauthServer::new())
}

/// Makes an end the user's.
fn client(config: ConnectionConfig, gateway: &str) -> ConnectionConfig {
    config
        .authentication(Authentication::HybridClient(RemoteKey::Certificate { authorities: Vec::new() }))
        .local_identity(name("user"))
        .remote_identity(RemoteIdentity::Exactly(name(gateway)))
        .xauth(password("alice password"))
}

/// Makes an end the gateway.
fn gateway(config: ConnectionConfig, ours: &str, chain: &[&[u8]]) -> ConnectionConfig {
    config
        .authentication(Authentication::HybridGateway(credential(ours, chain)))
        .local_identity(name(ours))
        .remote_identity(RemoteIdentity::Anyone)
        .xauth(asks())
}

fn run(left: ConnectionConfig, right: ConnectionConfig) -> Pair {
    let mut pair = Pair::new(plan(left), plan(right));
    pair.left.trust = Some(trust);
    pair.right.trust = Some(trust);
    (pair.left.users, pair.right.users) = (users(), users());
    pair.initiate();
    pair.settle();
    pair
}

fn method(end: &End) -> AuthMethod {
    end.endpoint.status().ike_sas[0].transform.unwrap().authentication.number()
}

#[test]
fn a_user_with_a_password_and_a_gateway_with_a_certificate_agree_in_both_modes_and_whoever_starts() {
    for mode in [Phase1Mode::Main, Phase1Mode::Aggressive] {
        let pair = run(client(left(), "right").mode(mode), gateway(right(), "right", &[RIGHT]).mode(mode));
        assert!(pair.left.established() && pair.right.established(), "{mode:?} {:?}", pair.left.events);
        pair.assert_mirrored();
        assert_eq!(
            (method(&pair.left), method(&pair.right)),
            (AuthMethod::HYBRID_INIT_RSA, AuthMethod::HYBRID_INIT_RSA)
        );
        assert_eq!((pair.left.questions.len(), pair.right.questions.len()), (1, 0));
        let pair = run(gateway(left(), "left", &[LEFT]).mode(mode), client(right(), "left").mode(mode));
        assert!(pair.left.established() && pair.right.established(), "{mode:?} {:?}", pair.left.events);
        assert_eq!(
            (method(&pair.left), method(&pair.right)),
            (AuthMethod::HYBRID_RESP_RSA, AuthMethod::HYBRID_RESP_RSA)
        );
        assert_eq!((pair.left.questions.len(), pair.right.questions.len()), (0, 1));
    }
}

/// draft-ietf-ipsec-isakmp-hybrid-auth-05 §3.2: HASH_I where SIG_I would be, SIG_R as ever.
#[test]
fn the_user_sends_a_hash_and_the_gateway_a_signature() {
    use PayloadType as P;
    let pair = run(client(left(), "right"), gateway(right(), "right", &[RIGHT]));
    assert_eq!(payloads(&pair.left, 5), [P::IDENTIFICATION, P::HASH, P::CERTIFICATE_REQUEST, P::NOTIFICATION]);
    assert_eq!(payloads(&pair.right, 6), [P::IDENTIFICATION, P::CERTIFICATE, P::SIGNATURE]);
}

/// The password goes to nobody but the gateway whose certificate is trusted for its name.
#[test]
fn a_gateway_that_is_not_trusted_or_is_another_gets_no_password() {
    for mode in [Phase1Mode::Main, Phase1Mode::Aggressive] {
        let forged = gateway(right(), "right", &[b"forged"]).mode(mode);
        let other = gateway(right(), "left", &[LEFT]).mode(mode);
        let stolen = gateway(right(), "left", &[RIGHT]).local_identity(name("right")).mode(mode);
        for (false_gateway, failure) in
            [(forged, Failure::CertificateRefused), (other, Failure::WrongIdentity), (stolen, Failure::WrongSignature)]
        {
            let mut pair = run(client(left(), "right").mode(mode), false_gateway);
            pair.advance(Duration::from_secs(100));
            assert!(failed_with(&pair.left, &failure), "{failure:?} {:?}", pair.left.events);
            assert!(!pair.left.has(|event| matches!(event, Event::Phase1Established { .. })));
            assert!(!pair.right.has(|event| matches!(event, Event::UserAuthenticated { .. })));
            assert!(!pair.left.established() && !pair.right.established());
        }
    }
}

#[test]
fn a_user_without_the_password_has_proven_nothing_and_the_sa_serves_nothing() {
    let wrong = client(left(), "right").xauth(password("a guess"));
    let pair = run(wrong, gateway(right(), "right", &[RIGHT]));
    assert!(!pair.left.established() && !pair.right.established());
    for end in [&pair.left, &pair.right] {
        assert!(end.endpoint.status().ike_sas.is_empty() && end.installed.is_empty());
    }
}

/// Until the user is known, a hybrid SA is not one that both ends are proven by.
#[test]
fn before_the_user_is_known_the_sa_does_xauth_and_no_quick_mode() {
    let mut pair = Pair::new(plan(client(left(), "right")), plan(gateway(right(), "right", &[RIGHT])));
    pair.left.trust = Some(trust);
    // Nobody answers whether the password is right.
    pair.initiate();
    pair.settle();
    assert!(pair.right.has(|event| matches!(event, Event::Phase1Established { .. })));
    assert_eq!(pair.right.endpoint.status().ike_sas[0].state, IkeSaState::DoingXauth);
    assert!(pair.left.installed.is_empty() && pair.right.installed.is_empty());
}

#[test]
fn a_plan_of_hybrid_authentication_without_a_user_is_refused() {
    let refused = |config: ConnectionConfig| Config::new().connection(config).build().unwrap_err().to_string();
    let hybrid =
        |config: ConnectionConfig| config.authentication(Authentication::HybridGateway(credential("right", &[RIGHT])));
    assert!(refused(hybrid(right())).starts_with("site.xauth: the gateway of hybrid authentication"));
    assert!(refused(hybrid(right()).xauth(password("x"))).starts_with("site.xauth: the gateway"));
    assert!(refused(client(left(), "right").xauth(asks())).starts_with("site.xauth: the client of hybrid"));
}

#[test]
fn signatures_of_both_and_a_user_on_top_agree_in_both_modes() {
    for mode in [Phase1Mode::Main, Phase1Mode::Aggressive] {
        let ours = signing_left().mode(mode).xauth(password("alice password"));
        let pair = run(ours, signing_right().mode(mode).xauth(asks()));
        assert!(pair.left.established() && pair.right.established(), "{mode:?}");
        assert_eq!(method(&pair.left), AuthMethod::XAUTH_INIT_RSA);
        assert_eq!((pair.left.questions.len(), pair.right.questions.len()), (1, 1));
    }
}
