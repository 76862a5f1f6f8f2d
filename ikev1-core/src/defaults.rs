//! The values that stand where the operator says nothing, each with its reason.

use crate::crypto::{CipherAlgorithm, DhGroup, HashAlgorithm};
use crate::proposal::{AesKey, AuthenticationMethod, EspCipher, Integrity, Lifetime, Phase1Transform, Protection};
use alloc::vec::Vec;
use core::time::Duration;

/// Returns the transforms of phase 1, best first: what both RFC 8247's remains and old routers have.
pub fn phase1_offer() -> Vec<Phase1Transform> {
    let ciphers = [CipherAlgorithm::Aes256, CipherAlgorithm::Aes128];
    let hashes = [HashAlgorithm::Sha2_256, HashAlgorithm::Sha1];
    let offer = ciphers.into_iter().flat_map(|cipher| {
        hashes.into_iter().map(move |hash| Phase1Transform {
            cipher,
            hash,
            group: DhGroup::Modp2048,
            authentication: AuthenticationMethod::PreSharedKey,
            lifetime: Lifetime::default(),
        })
    });
    offer.collect()
}

/// Returns the protections of phase 2, best first.
pub fn phase2_offer() -> Vec<Protection> {
    let ciphers = [EspCipher::AesCbc(AesKey::Bits256), EspCipher::AesCbc(AesKey::Bits128)];
    let integrities = [Integrity::HmacSha2_256, Integrity::HmacSha1];
    let offer = ciphers
        .into_iter()
        .flat_map(|cipher| integrities.map(|integrity| Protection::Esp { cipher, integrity: Some(integrity) }));
    offer.collect()
}

/// The UDP port of ISAKMP, RFC 2408 §2.5.1.
pub const IKE_PORT: u16 = 500;
/// The UDP port that both ISAKMP and ESP move to behind a NAT, RFC 3947 §4.
pub const NAT_T_PORT: u16 = 4500;

/// The gap before the first resend, as routers have it.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(4);
/// The number of resends, as routers have it: with incremental back-off a message lives 292 s.
pub const MESSAGE_RETRIES: u32 = 8;
/// How long the sender of a last message keeps the exchange to answer repeats.
pub const DELETE_DELAY: Duration = Duration::from_secs(30);
/// How long a responder waits for each next message of an initiator that has proven nothing: five
/// sendings of the default schedule, so that one link in a thousand that loses a third gives up here.
pub const HALF_OPEN_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an end waits for CONNECTED after a peer set the commit bit.
pub const CONNECTED_TIMEOUT: Duration = Duration::from_secs(20);
/// When attempts without end come to an end, as routers have it.
pub const RETRY_END: Duration = Duration::from_secs(86_400);
/// By how much a life is extended while it is used, as routers have it.
pub const EXTENSION: Duration = Duration::from_secs(60);
/// How long a question to the caller may stay without answer.
pub const TICKET_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an exchange still waits for the right message after a signature proved nothing: a copy that
/// was bent on the way must not end it, and an honest peer is told soon.
pub const REFUSAL_GRACE: Duration = Duration::from_secs(10);

/// The life of an ISAKMP SA: 24 hours.
pub const IKE_LIFETIME: Duration = Duration::from_secs(86_400);
/// The life of an IPsec SA: 8 hours.
pub const CHILD_LIFETIME: Duration = Duration::from_secs(28_800);
/// The shortest life this end takes from a peer: below it rekeying is all that happens.
pub const MIN_PEER_LIFETIME: Duration = Duration::from_secs(2);
/// The part of a life, in thousandths, after which its initiator renews it: first.
pub const INITIATOR_SOFT_PER_MILLE: u32 = 875;
/// The part of a life, in thousandths, after which its responder renews it: only if the initiator did not.
pub const RESPONDER_SOFT_PER_MILLE: u32 = 950;
/// The largest random part, in thousandths of a life, taken off the soft limit so that SAs made together part.
pub const SOFT_JITTER_PER_MILLE: u32 = 10;

/// How long a peer is silent before it is asked whether it lives, RFC 3706 §5.5.
pub const DPD_IDLE: Duration = Duration::from_secs(20);
/// How often heartbeats are sent, as routers have it.
pub const HEARTBEAT_PERIOD: Duration = Duration::from_secs(20);
/// How many heartbeats in a row are missed when the peer is dead, as routers have it.
pub const HEARTBEATS_MISSED: u32 = 3;
/// The number of the notification that is a heartbeat: one of those for private use (RFC 2408 §3.14.1) that no
/// maker is known to use.
pub const HEARTBEAT_NOTIFY: u16 = 38_020;
/// How often a NAT mapping is kept open, RFC 3948 §4.
pub const NAT_KEEPALIVE: Duration = Duration::from_secs(20);

/// The most Diffie-Hellman exchanges in a second for peers that have proven nothing: at 2048 bits they
/// take less than half of one core.
pub const MAX_UNPROVEN_DH: u32 = 200;
/// The longest IP datagram an IKE message travels in whole, if the peer takes parts: what IPv6 carries
/// anywhere, and what strongSwan and the clients of Apple have.
pub const FRAGMENT_SIZE: u16 = 1_280;
/// The most parts of one message: a chain of certificates in parts of 576 octets has some 30, and some
/// peers cut smaller than that.
pub const MAX_FRAGMENTS: u8 = 64;
/// The most messages in parts of one ISAKMP SA: a peer sends one at a time, and its resends bear the
/// same id.
pub const MAX_FRAGMENTED_PER_SA: usize = 4;
/// The most octets kept in parts, of all peers.
pub const MAX_FRAGMENT_OCTETS: usize = 4 << 20;
/// How long parts wait for the rest: three resends of the default schedule.
pub const FRAGMENT_AGE: Duration = Duration::from_secs(30);

/// The octets of a nonce this end sends; 8 to 256 are lawful, RFC 2409 §5.
pub const NONCE_LENGTH: usize = 32;
/// The most certificates in one message, the sender's own included.
pub const MAX_CHAIN: usize = 8;
/// The most octets of one certificate: a key of 8192 bits and a hundred names fit.
pub const MAX_CERTIFICATE: usize = 16 * 1024;
/// The most octets of all certificates that one end presents, so that a message fits a datagram.
pub const MAX_CHAIN_OCTETS: usize = 32 * 1024;
/// The most octets of the name of an authority in a certificate request.
pub const MAX_AUTHORITY_NAME: usize = 2_048;
/// The most signatures of the peer that are checked for one ISAKMP SA: forged copies of a message cost
/// no more than this.
pub const MAX_SIGNATURE_CHECKS: u8 = 4;
/// The most half-open ISAKMP SAs kept as a responder.
pub const MAX_HALF_OPEN: usize = 1_000;
/// The most half-open ISAKMP SAs kept for one address.
pub const MAX_HALF_OPEN_PER_ADDRESS: usize = 8;
/// The most ISAKMP SAs kept in all.
pub const MAX_IKE_SAS: usize = 100_000;
/// The most pairs of IPsec SAs that one peer gets, renewals and collisions included, or four for each policy
/// if that is more.
pub const MAX_CHILDREN_PER_PEER: usize = 256;
/// The most quick modes at work under one ISAKMP SA.
pub const MAX_EXCHANGES_PER_SA: usize = 32;
/// The most quick modes kept under one ISAKMP SA, finished ones that answer repeats included: the oldest
/// finished one is forgotten first.
pub const MAX_EXCHANGES_KEPT: usize = 128;
/// The most messages that a peer may begin an exchange with under one ISAKMP SA: each message id is remembered, so
/// that a replay never acts. At half of them the SA is renewed. A question after the peer's life every 10 s takes
/// 8640 in a day.
pub const MAX_FINISHED_IDS: usize = 32_768;
/// The most acquires that wait for one ISAKMP SA, or for a place under it: one for each policy.
pub const MAX_WAITING_ACQUIRES: usize = 1_024;
/// How often one stored reply answers a repeat.
pub const MAX_REPLY_RESENDS: u32 = 16;
/// How many octets go to an address that has proven nothing, for each octet it sent.
pub const AMPLIFICATION_FACTOR: u64 = 3;
/// How long XAUTH and mode-config may take each: a person types in it, and a message lives 292 s.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a client waits for settings to come unasked before it asks.
pub const PUSH_WAIT: Duration = Duration::from_secs(10);
/// After how many wrong answers a user is refused: one, so that a guess costs a whole phase 1.
pub const XAUTH_ATTEMPTS: u32 = 1;
/// The most rounds of questions to one user: name, password, passcode, next PIN twice, and to spare.
pub const XAUTH_ROUNDS: u32 = 8;
/// The most transactions at work, or kept for repeats, under one ISAKMP SA.
pub const MAX_TRANSACTIONS_PER_SA: usize = 32;
/// The most events about attributes that are not supported, for one message.
pub const MAX_UNSUPPORTED_EVENTS: usize = 32;
/// The most actions that wait for the caller; events are dropped first, and counted.
pub const MAX_ACTIONS: usize = 65_536;
/// The longest datagram taken in: a UDP payload cannot be longer.
pub const MAX_DATAGRAM: usize = 65_535;
