//! Which certificates are sent, and with which key an end signs: what the peer asks for decides (RFC 4945 §3.2.7,
//! §3.3).

use crate::common;
use crate::common::signing::{credential, key, name, pair, payloads};
use crate::common::{left, right};
use drive::SecretBytes;
use ikev1_core::auth::{Authentication, RemoteKey, RsaCredential, RsaVerifyingKey};
use ikev1_core::{Config, ConnectionConfig, Phase1Mode, RemoteIdentity, SendCertificates, VerifyCertificate};
use ikev1_core::{UserName, Users, Xauth, XauthClient, XauthServer};
use ipsec_wire::registry::PayloadType;

/// A name of one common name, in DER.
fn authority(common: &str) -> Vec<u8> {
    let value = [&[6, 3, 0x55, 4, 3, 0x0c, u8::try_from(common.len()).unwrap()][..], common.as_bytes()].concat();
    let wrapped = |tag: u8, content: Vec<u8>| [&[tag, u8::try_from(content.len()).unwrap()][..], &content].concat();
    wrapped(0x30, wrapped(0x31, wrapped(0x30, value)))
}

/// As much of a certificate as says who issued it: to the endpoint the rest is octets.
fn certificate(subject: &str, issuer: &str) -> Vec<u8> {
    let sequence = |content: Vec<u8>| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82][..], &length, &content].concat()
    };
    let head = [0xa0, 3, 2, 1, 2, 2, 1, 7, 0x30, 2, 5, 0];
    sequence(sequence([&head[..], &authority(issuer), &authority(subject)].concat()))
}

fn signer(key: &str, chain: &[Vec<u8>]) -> RsaCredential {
    credential(key, &chain.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// Trusts whatever the first certificate is for; without any, the identity alone tells, as if the certificate had
/// come another way.
fn trust(question: &VerifyCertificate) -> Option<RsaVerifyingKey> {
    let named = |key: &str| question.certificates.first().is_some_and(|of| of.ends_with(&authority(key)));
    let keys = ["left", "right", "big-left"];
    let found = keys.into_iter().find(|key| named(key));
    let by_name = || keys.into_iter().find(|key| question.identity == name(key));
    found.or_else(by_name).map(key)
}

fn asks(authorities: &[&str]) -> RemoteKey {
    RemoteKey::Certificate { authorities: authorities.iter().map(|common| authority(common)).collect() }
}

fn end(config: ConnectionConfig, ours: &str, local: RsaCredential, remote: RemoteKey) -> ConnectionConfig {
    let theirs = if ours == "left" { "right" } else { "left" };
    config
        .authentication(Authentication::RsaSignature { local, remote })
        .local_identity(name(ours))
        .remote_identity(RemoteIdentity::Exactly(name(theirs)))
}

/// An end that signs with one certificate of the authority R and does what the peer asks.
fn plain_right(remote: RemoteKey) -> ConnectionConfig {
    end(right(), "right", signer("right", &[certificate("right", "R")]), remote)
}

fn goes(left: ConnectionConfig, right: ConnectionConfig) -> common::Pair {
    let mut pair = pair(left, right);
    pair.left.trust = Some(trust);
    pair.right.trust = Some(trust);
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established(), "{:?} {:?}", pair.left.events, pair.right.events);
    pair
}

/// The certificates that the right end saw of the left one.
fn seen(left: RsaCredential, send: Option<SendCertificates>, remote: RemoteKey) -> Vec<Vec<u8>> {
    let mut ours = end(common::left(), "left", left, asks(&["R"]));
    if let Some(send) = send {
        ours = ours.send_certificates(send);
    }
    goes(ours, plain_right(remote)).right.questions[0].certificates.clone()
}

#[test]
fn certificates_go_to_a_peer_that_asks_unless_the_setting_says_otherwise() {
    let own = certificate("left", "L");
    let one = || signer("left", core::slice::from_ref(&own));
    for send in [None, Some(SendCertificates::IfAsked), Some(SendCertificates::Always)] {
        assert_eq!(seen(one(), send, asks(&["L"])), core::slice::from_ref(&own));
    }
    assert!(seen(one(), Some(SendCertificates::Never), asks(&["L"])).is_empty());
    // A peer that has the key asks for nothing.
    let sent = |send: Option<SendCertificates>| {
        let mut ours = end(left(), "left", one(), asks(&["R"]));
        if let Some(send) = send {
            ours = ours.send_certificates(send);
        }
        let pair = goes(ours, plain_right(RemoteKey::Key(key("left"))));
        payloads(&pair.left, 5).contains(&PayloadType::CERTIFICATE)
    };
    assert!(!sent(None) && !sent(Some(SendCertificates::IfAsked)) && !sent(Some(SendCertificates::Never)));
    assert!(sent(Some(SendCertificates::Always)));
}

#[test]
fn each_role_of_each_mode_hears_the_request_before_it_signs() {
    for mode in [Phase1Mode::Main, Phase1Mode::Aggressive, Phase1Mode::Base] {
        for (left_asks, right_asks) in [(true, true), (true, false), (false, true), (false, false)] {
            let remote = |asking: bool, peer: &str, authority: &str| match asking {
                true => asks(&[authority]),
                false => RemoteKey::Key(key(peer)),
            };
            let ours =
                end(left(), "left", signer("left", &[certificate("left", "L")]), remote(left_asks, "right", "R"));
            let theirs = plain_right(remote(right_asks, "left", "L"));
            let allow = |config: ConnectionConfig| {
                config.mode(mode).dangerously_allow_aggressive_mode(true).dangerously_allow_base_mode(true)
            };
            let pair = goes(allow(ours), allow(theirs));
            let proof = |end: &common::End, role: usize| {
                let numbers = match mode {
                    Phase1Mode::Main => [5, 6],
                    Phase1Mode::Aggressive => [3, 2],
                    Phase1Mode::Base => [3, 4],
                };
                payloads(end, numbers[role]).contains(&PayloadType::CERTIFICATE)
            };
            assert_eq!(proof(&pair.left, 0), right_asks, "{mode:?}");
            assert_eq!(proof(&pair.right, 1), left_asks, "{mode:?}");
        }
    }
}

#[test]
fn the_key_with_a_certificate_of_an_authority_that_was_asked_for_signs() {
    let (first, second) = (certificate("left", "L"), certificate("big-left", "B"));
    for (authorities, wanted) in [
        (&["B"][..], &second),
        (&["X", "B"], &second),
        (&["L"], &first),
        // Either will do, and the first is the one that is meant.
        (&["B", "L"], &first),
        // Nothing fits: the peer may know more than it says.
        (&["X"], &first),
        (&[], &first),
    ] {
        let local = signer("left", core::slice::from_ref(&first));
        let local = local.or(signer("big-left", core::slice::from_ref(&second)));
        assert_eq!(seen(local, None, asks(authorities)), core::slice::from_ref(wanted), "{authorities:?}");
    }
}

#[test]
fn certificates_that_the_peer_has_are_left_out() {
    let chain = [certificate("left", "sub"), certificate("sub", "root"), certificate("root", "root")];
    for (authorities, count) in [(&["root"][..], 2), (&["root", "sub"], 1), (&["sub"], 1), (&["X"], 3), (&[], 3)] {
        let sent = seen(signer("left", &chain), None, asks(authorities));
        assert_eq!(sent, chain[..count], "{authorities:?}");
    }
}

/// The client of hybrid authentication has to check its gateway, and old ones do not ask.
#[test]
fn a_hybrid_gateway_sends_its_certificate_unasked() {
    let sent = |change: fn(ConnectionConfig) -> ConnectionConfig| {
        let (user, password): (UserName, _) = ("alice".into(), || SecretBytes::copied(b"secret"));
        let client = left()
            .authentication(Authentication::HybridClient(RemoteKey::Key(key("right"))))
            .remote_identity(RemoteIdentity::Exactly(name("right")))
            .xauth(Xauth::Client(XauthClient::new().credentials(user.clone(), password())));
        let gateway = right()
            .authentication(Authentication::HybridGateway(signer("right", &[certificate("right", "R")])))
            .local_identity(name("right"))
            .remote_identity(RemoteIdentity::Anyone)
            .xauth(Xauth::Server(XauthServer::new()));
        let mut pair = pair(client, change(gateway));
        pair.left.trust = Some(trust);
        let mut users = Users::new();
        users.insert(user, password());
        pair.right.users = Some(users);
        pair.initiate();
        pair.settle();
        payloads(&pair.right, 6).contains(&PayloadType::CERTIFICATE)
    };
    assert!(sent(|gateway| gateway));
    assert!(!sent(|gateway| gateway.send_certificates(SendCertificates::IfAsked)));
}

#[test]
fn every_key_of_an_end_is_held_to_the_same_rules() {
    let refusal = |local: RsaCredential| {
        let config = end(left(), "left", local, asks(&[])).dangerously_allow_weak_algorithms(true);
        Config::new().connection(config).build().map(drop).map_err(|error| error.to_string())
    };
    let one = || signer("left", &[certificate("left", "L")]);
    assert_eq!(refusal(one().or(one())), Ok(()));
    let many = (0..17).fold(one(), |all, _| all.or(one()));
    assert_eq!(refusal(many), Err("site.authentication.others: 17 is not within 0 to 16".into()));
    let empty = one().or(signer("left", &[Vec::new()]));
    assert_eq!(refusal(empty), Err("site.authentication.chain: 0 is not within 1 to 16384".into()));
}
