//! Two ends that sign, for the tests of RSA signatures and of hybrid authentication.

use super::{End, Pair, left, plan, right};
use crate::support::pem;
use core::time::Duration;
use ikev1_core::auth::{Authentication, RemoteKey, RsaCredential, RsaSigningKey, RsaVerifyingKey};
use ikev1_core::{ConnectionConfig, Event, Failure, Identity, RemoteIdentity, VerifyCertificate};
use ipsec_wire::registry::PayloadType;

/// What stands for a certificate here: to the endpoint it is octets.
pub const LEFT: &[u8] = b"left's certificate";
pub const RIGHT: &[u8] = b"right's certificate";

pub fn key(name: &str) -> RsaVerifyingKey {
    RsaVerifyingKey::from_pem(&pem(&format!("{name}.pub.pem"))).unwrap()
}

pub fn credential(name: &str, chain: &[&[u8]]) -> RsaCredential {
    let key = RsaSigningKey::from_pem(&pem(&format!("{name}.key.pem"))).unwrap();
    RsaCredential::new(key, chain.iter().map(|certificate| certificate.to_vec()).collect())
}

/// Trusts both, each for its own name.
pub fn trust(question: &VerifyCertificate) -> Option<RsaVerifyingKey> {
    let named = |name: &str| question.identity == Identity::Fqdn(format!("{name}.example.org"));
    match question.certificates.first()?.as_slice() {
        LEFT if named("left") => Some(key("left")),
        RIGHT if named("right") => Some(key("right")),
        _ => None,
    }
}

pub fn by_certificate(name: &str, chain: &[&[u8]]) -> Authentication {
    let remote = RemoteKey::Certificate { authorities: vec![b"\x30\x00".to_vec()] };
    Authentication::RsaSignature { local: credential(name, chain), remote }
}

pub fn name(name: &str) -> Identity {
    Identity::Fqdn(format!("{name}.example.org"))
}

pub fn signing(config: ConnectionConfig, ours: &str, theirs: &str, chain: &[&[u8]]) -> ConnectionConfig {
    config
        .authentication(by_certificate(ours, chain))
        .local_identity(name(ours))
        .remote_identity(RemoteIdentity::Exactly(name(theirs)))
}

pub fn signing_left() -> ConnectionConfig {
    signing(left(), "left", "right", &[LEFT])
}

pub fn signing_right() -> ConnectionConfig {
    signing(right(), "right", "left", &[RIGHT])
}

pub fn pair(left: ConnectionConfig, right: ConnectionConfig) -> Pair {
    let mut pair = Pair::new(plan(left), plan(right));
    pair.left.trust = Some(trust);
    pair.right.trust = Some(trust);
    pair
}

pub fn agrees(left: ConnectionConfig, right: ConnectionConfig) -> Pair {
    let mut pair = pair(left, right);
    pair.initiate();
    pair.settle();
    assert!(pair.left.established() && pair.right.established(), "{:?} {:?}", pair.left.events, pair.right.events);
    pair.assert_mirrored();
    pair
}

/// The payloads of a message of phase 1 as an end sent or took it.
pub fn payloads(end: &End, number: u8) -> Vec<PayloadType> {
    let trace = |event: &Event| match event {
        Event::Message(trace) if trace.number == number && trace.message_id == 0 => Some(trace.payloads.clone()),
        _ => None,
    };
    end.events.iter().find_map(trace).unwrap()
}

pub fn failed_with(end: &End, wanted: &Failure) -> bool {
    end.has(|event| matches!(event, Event::Phase1Failed { failure, .. } if failure == wanted))
}

/// Leaves the question of one end about certificates open, then that of the other: phase 1 ends on both. Each pair comes
/// back with whether it was the left one that was not answered.
pub fn unanswered(
    left: impl Fn() -> ConnectionConfig,
    right: impl Fn() -> ConnectionConfig,
    time: Duration,
) -> [(Pair, bool); 2] {
    [true, false].map(|silent_left| {
        let mut pair = pair(left(), right());
        let silent = if silent_left { &mut pair.left } else { &mut pair.right };
        silent.trust = None;
        pair.initiate();
        pair.settle();
        pair.advance(time);
        assert!(failed_with(if silent_left { &pair.left } else { &pair.right }, &Failure::NoVerdict));
        for end in [&pair.left, &pair.right] {
            assert!(end.endpoint.status().ike_sas.is_empty(), "{silent_left}: {:?}", end.endpoint.status());
        }
        (pair, silent_left)
    })
}
