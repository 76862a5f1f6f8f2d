//! Noise, damage and forgery at every state: nothing panics, no SA is lost, everything is counted.

use crate::common::{A, B, End, Pair, SITE, connection, endpoint, left, plan, policy, right, transform};
use core::time::Duration;
use drive::{Datagram, Instant, Path, Transmit, Verdict};
use ikev1_core::crypto::DhGroup;
use ikev1_core::{Command, DropReason, Event, Identity, Peer, RemoteIdentity};
use ipsec_wire::isakmp::payload::{Delete, Nonce, Notification};
use ipsec_wire::isakmp::{ChainBuilder, Cookie, Flags, Header, MessageId};
use ipsec_wire::registry::{Doi, ExchangeType, NotifyType, PayloadType, ProtocolId};
use proptest::prelude::*;

/// A handshake stopped before message `n` (from 0) is delivered, with that message.
fn stopped_before(n: usize) -> (Pair, Transmit) {
    let mut pair = Pair::ordinary();
    pair.initiate();
    for _ in 0..n {
        pair.step();
    }
    let next = pair.wire.pop_front().unwrap();
    (pair, next)
}

/// The lawful message is taken after all, and so are those that follow.
fn goes_on(mut pair: Pair, lawful: Transmit) {
    pair.wire.push_back(lawful);
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
}

fn altered(transmit: &Transmit, payload: Vec<u8>) -> Transmit {
    Transmit { path: transmit.path, payload: payload.into() }
}

/// Where the flags stand in the header.
const FLAGS: usize = 19;
/// The first block of message 5 that holds nothing of the identity and the HASH.
const AFTER_HASH: usize = 28 + 48;

/// Delivers a damaged message, checks that nothing was taken in, and that the lawful one still works.
///
/// IKEv1 covers neither the commit flag of the header nor what follows the HASH of message 5 (there is
/// INITIAL-CONTACT): damage there passes, and must change nothing else.
fn survives(n: usize, damage: impl Fn(&[u8]) -> Vec<Vec<u8>>) {
    let (mut pair, lawful) = stopped_before(n);
    let installed = (pair.left.installed.clone(), pair.right.installed.clone());
    for payload in damage(&lawful.payload) {
        let damaged = altered(&lawful, payload);
        let before = counted(pair.end_at(damaged.path));
        let verdict = pair.deliver(&damaged);
        let accepted = matches!(verdict, Verdict::Accepted);
        // Some bits of the first messages mean something else that is lawful: then it is another lawful
        // attempt. What is encrypted or follows it must never pass.
        let differs = |at: &usize| lawful.payload.get(*at) != damaged.payload.get(*at);
        let uncovered = damaged.payload.len() == lawful.payload.len()
            && (0..lawful.payload.len()).filter(differs).all(|at| at == FLAGS || n == 4 && at >= AFTER_HASH);
        if n >= 4 && !uncovered {
            assert!(!accepted, "message {} damaged was taken in", n + 1);
        }
        if matches!(verdict, Verdict::Ignored(_)) {
            assert!(counted(pair.end_at(damaged.path)) > before, "{verdict:?} is not counted");
        }
        if accepted {
            (pair, _) = stopped_before(n);
        }
        let now = pair.now;
        let _ = pair.left.drain(now);
        let _ = pair.right.drain(now);
    }
    assert_eq!((pair.left.installed.clone(), pair.right.installed.clone()), installed);
    pair.wire.push_back(lawful);
    pair.settle();
    pair.advance(Duration::from_secs(10));
    assert!(pair.left.established() && pair.right.established(), "message {} is refused after damage", n + 1);
}

fn counted(end: &mut End) -> u64 {
    let own = *end.endpoint.own_counters();
    let routers: u64 = end.endpoint.counters().iter().map(|(_, value)| value).sum();
    let ours = [
        own.unknown_cookies,
        own.wrong_hash,
        own.payload_set,
        own.replays,
        own.duplicates,
        own.half_open_refused,
        own.hints,
        own.unprotected,
        own.limits,
        own.no_connection,
        own.refused,
        own.fragments_refused,
    ];
    // Every datagram is counted as received; only what is counted besides is of interest.
    let received = end.endpoint.counters();
    routers + ours.iter().sum::<u64>()
        - received.message_rx
        - received.rx_plain
        - received.rx_encrypted
        - received.rx_decrypt_start
}

#[test]
fn every_truncation_of_every_handshake_message_is_dropped_and_counted() {
    for n in 0..9 {
        survives(n, |payload| (0..payload.len()).map(|length| payload[..length].to_vec()).collect());
    }
}

#[test]
fn every_one_bit_flip_of_every_handshake_message_is_survived() {
    for n in 0..9 {
        survives(n, |payload| {
            (0..payload.len() * 8)
                .map(|bit| {
                    let mut flipped = payload.to_vec();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    flipped
                })
                .collect()
        });
    }
}

#[test]
fn trailing_octets_and_doubled_messages_are_dropped() {
    for n in 0..9 {
        survives(n, |payload| vec![[payload, &[0]].concat(), [payload, payload].concat()]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn noise_of_up_to_64_kib_at_any_state_is_dropped(
        n in 0usize..9,
        length in prop_oneof![0usize..200, 0usize..65_536],
        seed: u64,
        as_isakmp: bool,
    ) {
        let (mut pair, lawful) = stopped_before(n);
        let mut state = seed | 1;
        let mut noise: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        if as_isakmp && noise.len() >= 28 {
            // The right cookies, version and length, so that the noise comes further.
            noise[..28].copy_from_slice(&lawful.payload[..28]);
            let total = (noise.len() as u32).to_be_bytes();
            noise[24..28].copy_from_slice(&total);
        }
        let verdict = pair.deliver(&altered(&lawful, noise));
        prop_assert!(matches!(verdict, Verdict::Ignored(_)), "{:?}", verdict);
        pair.wire.push_back(lawful);
        pair.settle();
        pair.advance(Duration::from_secs(10));
        prop_assert!(pair.left.established() && pair.right.established());
    }
}

fn clear(pair: &Pair, exchange: ExchangeType, chain: ChainBuilder) -> Vec<u8> {
    let cookies = pair.right.endpoint.status().ike_sas[0].cookies;
    let header = Header::new(cookies.initiator, cookies.responder, exchange, MessageId(0x5151_5151));
    let chain = chain.finish().unwrap();
    header.enclose(chain.first(), chain.octets()).unwrap()
}

fn notification(notify_type: NotifyType, spi: &[u8]) -> Notification<Vec<u8>> {
    Notification { doi: Doi::IPSEC, protocol: ProtocolId::ISAKMP, notify_type, spi: spi.to_vec(), data: Vec::new() }
}

fn to_right() -> Path {
    Path::new((B, 500).into(), (A, 500).into())
}

fn inject(pair: &mut Pair, payload: &[u8]) -> Verdict<DropReason> {
    let now = pair.now;
    pair.right.endpoint.handle_datagram(now, Datagram { path: to_right(), payload })
}

#[test]
fn clear_deletes_never_act() {
    let mut pair = Pair::established();
    let cookies = pair.right.endpoint.status().ike_sas[0].cookies;
    let spi = pair.right.endpoint.status().children[0].sas[0].outbound;
    let deletes = [
        Delete { doi: Doi::IPSEC, protocol: ProtocolId::ESP, spi_size: 4, data: spi.to_be_bytes().to_vec() },
        Delete {
            doi: Doi::IPSEC,
            protocol: ProtocolId::ISAKMP,
            spi_size: 16,
            data: [cookies.initiator.0, cookies.responder.0].concat(),
        },
    ];
    for delete in deletes {
        let mut chain = ChainBuilder::new();
        chain.push(&delete);
        let forged = clear(&pair, ExchangeType::INFORMATIONAL, chain);
        assert_eq!(inject(&mut pair, &forged), Verdict::Ignored(DropReason::Unprotected));
    }
    assert_eq!(pair.right.installed.len(), 2);
    assert_eq!(pair.right.endpoint.status().ike_sas.len(), 1);
}

#[test]
fn no_notification_in_clear_acts_whatever_its_number() {
    let mut pair = Pair::established();
    let before = pair.right.endpoint.status();
    for number in (0u16..300).chain([16_384, 24_576, 24_577, 24_578, 36_136, 36_137, 65_535]) {
        let mut chain = ChainBuilder::new();
        chain.push(&notification(NotifyType(number), &[]));
        let forged = clear(&pair, ExchangeType::INFORMATIONAL, chain);
        assert!(matches!(inject(&mut pair, &forged), Verdict::Ignored(DropReason::Hint | DropReason::Unprotected)));
    }
    let after = pair.right.endpoint.status();
    assert_eq!((before.ike_sas, before.children), (after.ike_sas, after.children));
    let now = pair.now;
    assert!(pair.right.drain(now).is_empty());
}

#[test]
fn a_forged_error_while_phase_1_runs_is_a_hint_only() {
    for n in [1, 3, 5] {
        let (mut pair, lawful) = stopped_before(n);
        let cookies = pair.left.endpoint.status().ike_sas[0].cookies;
        let mut chain = ChainBuilder::new();
        chain.push(&notification(NotifyType::NO_PROPOSAL_CHOSEN, &[]));
        let header = Header::new(cookies.initiator, cookies.responder, ExchangeType::INFORMATIONAL, MessageId(7));
        let chain = chain.finish().unwrap();
        let forged = header.enclose(chain.first(), chain.octets()).unwrap();
        let path = Path::new((A, 500).into(), (B, 500).into());
        let now = pair.now;
        let verdict = pair.left.endpoint.handle_datagram(now, Datagram { path, payload: &forged });
        assert_eq!(verdict, Verdict::Ignored(DropReason::Hint));
        pair.wire.push_back(lawful);
        pair.settle();
        assert!(pair.left.established());
    }
}

#[test]
fn a_forged_message_5_costs_a_counter_and_the_lawful_one_still_completes() {
    let (mut pair, lawful) = stopped_before(4);
    for octet in 0..20u8 {
        let mut forged = lawful.payload[..28].to_vec();
        forged.extend([octet; 64]);
        forged[24..28].copy_from_slice(&92u32.to_be_bytes());
        let verdict = pair.deliver(&altered(&lawful, forged));
        assert!(matches!(verdict, Verdict::Ignored(DropReason::DecryptFailed)), "{verdict:?}");
    }
    assert_eq!(pair.right.endpoint.counters().rx_decrypt_failed, 20);
    pair.right.drain(pair.now);
    pair.wire.push_back(lawful);
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
}

#[test]
fn quick_mode_before_phase_1_is_proven_is_not_looked_at() {
    for n in 1..6 {
        let (mut pair, _) = stopped_before(n);
        let sas = pair.right.endpoint.status().ike_sas;
        let Some(sa) = sas.first().filter(|sa| sa.established.is_none()) else { continue };
        let header = Header::new(sa.cookies.initiator, sa.cookies.responder, ExchangeType::QUICK, MessageId(9))
            .with_flags(Flags::ENCRYPTION);
        let forged = header.enclose(PayloadType::HASH, &[0x77; 64]).unwrap();
        assert_eq!(inject(&mut pair, &forged), Verdict::Ignored(DropReason::Unexpected));
    }
}

#[test]
fn a_message_of_another_exchange_or_with_odd_flags_or_version_is_dropped() {
    let (mut pair, lawful) = stopped_before(2);
    for exchange in (0u8..=255).filter(|exchange| *exchange != 2) {
        let mut changed = lawful.payload.to_vec();
        changed[18] = exchange;
        assert!(matches!(inject(&mut pair, &changed), Verdict::Ignored(_)), "{exchange}");
    }
    for flags in (0u8..=255).filter(|flags| *flags != 0 && *flags != 2) {
        let mut changed = lawful.payload.to_vec();
        changed[19] = flags;
        assert!(matches!(inject(&mut pair, &changed), Verdict::Ignored(_)), "{flags}");
    }
    for version in (0u8..=255).filter(|version| *version != 0x10) {
        let mut changed = lawful.payload.to_vec();
        changed[17] = version;
        assert_eq!(inject(&mut pair, &changed), Verdict::Ignored(DropReason::Version(version)));
    }
    assert_eq!(pair.right.endpoint.counters().rx_bad_version, 255);
    goes_on(pair, lawful);
}

#[test]
fn every_header_length_but_the_true_one_is_refused() {
    let (mut pair, lawful) = stopped_before(0);
    let true_length = lawful.payload.len() as u32;
    for length in (0..2 * true_length).chain([65_535, 0x7fff_ffff, 0x8000_0000, u32::MAX]) {
        if length == true_length {
            continue;
        }
        let mut changed = lawful.payload.to_vec();
        changed[24..28].copy_from_slice(&length.to_be_bytes());
        assert_eq!(inject(&mut pair, &changed), Verdict::Ignored(DropReason::InconsistentLength));
    }
    goes_on(pair, lawful);
}

#[test]
fn zero_and_equal_cookies_are_refused() {
    let (mut pair, lawful) = stopped_before(2);
    let mut zero = lawful.payload.to_vec();
    zero[..8].fill(0);
    assert_eq!(inject(&mut pair, &zero), Verdict::Ignored(DropReason::BadCookies));
    let mut equal = lawful.payload.to_vec();
    equal.copy_within(0..8, 8);
    assert_eq!(inject(&mut pair, &equal), Verdict::Ignored(DropReason::BadCookies));
    let mut swapped = lawful.payload.to_vec();
    swapped.copy_within(8..16, 0);
    swapped[8..16].copy_from_slice(&lawful.payload[..8]);
    assert_eq!(inject(&mut pair, &swapped), Verdict::Ignored(DropReason::UnknownCookies));
    goes_on(pair, lawful);
}

#[test]
fn the_cookies_of_an_unproven_sa_from_another_address_are_refused() {
    let (mut pair, lawful) = stopped_before(2);
    for path in
        [Path::new((B, 500).into(), ([198, 51, 100, 1], 500).into()), Path::new((B, 500).into(), (A, 501).into())]
    {
        let now = pair.now;
        let verdict = pair.right.endpoint.handle_datagram(now, Datagram { path, payload: &lawful.payload });
        assert_eq!(verdict, Verdict::Ignored(DropReason::WrongSource));
    }
    pair.wire.push_back(lawful);
    pair.settle();
    assert!(pair.left.established());
}

#[test]
fn degenerate_public_values_and_bad_nonces_are_refused_and_the_lawful_message_still_works() {
    let (mut pair, lawful) = stopped_before(2);
    let length = DhGroup::Modp768.public_len();
    let build = |public: Vec<u8>, nonce: Vec<u8>| {
        let mut chain = ChainBuilder::new();
        chain.push_body(PayloadType::KEY_EXCHANGE, &public);
        chain.push_body(PayloadType::NONCE, &nonce);
        chain
    };
    let mut one = vec![0; length];
    one[length - 1] = 1;
    let good_nonce = vec![9; 16];
    let publics = [vec![0; length], one, vec![0xff; length], vec![5; length - 1], vec![5; length + 1], vec![5]];
    let nonces = [vec![7; 7], vec![7; 257]];
    let bad = publics
        .into_iter()
        .map(|public| build(public, good_nonce.clone()))
        .chain(nonces.into_iter().map(|nonce| build(vec![5; length], nonce)));
    for chain in bad {
        let cookies = pair.right.endpoint.status().ike_sas[0].cookies;
        let header = Header::new(cookies.initiator, cookies.responder, ExchangeType::MAIN, MessageId(0));
        let chain = chain.finish().unwrap();
        let forged = header.enclose(chain.first(), chain.octets()).unwrap();
        assert_eq!(inject(&mut pair, &forged), Verdict::Ignored(DropReason::Refused));
    }
    pair.wire.push_back(lawful);
    pair.settle();
    assert!(pair.left.established());
}

#[test]
fn a_mirror_of_our_own_messages_is_no_peer() {
    let mut end = End::new(endpoint(plan(left().peer(Peer::Address(B.into()))), 1));
    let now = Instant::from_secs(1);
    end.endpoint.handle_command(now, Command::Initiate { connection: SITE }).unwrap();
    let mut answers = end.drain(now);
    for _ in 0..20 {
        let Some(transmit) = answers.pop() else { break };
        let back = Datagram { path: transmit.path, payload: &transmit.payload };
        let verdict = end.endpoint.handle_datagram(now, back);
        assert!(
            !matches!(verdict, Verdict::Accepted)
                || end.endpoint.status().ike_sas.iter().all(|sa| sa.established.is_none())
        );
        answers.extend(end.drain(now));
    }
    assert!(!end.established());
}

#[test]
fn a_flood_of_first_messages_is_capped_per_address_and_in_all_and_ages_out() {
    let capped =
        ikev1_core::Config::new().connection(connection(B, A).peer(Peer::Any)).max_half_open(20, 3).build().unwrap();
    let mut end = End::new(endpoint(capped, 1));
    let mut initiator = End::new(endpoint(plan(left()), 2));
    let now = Instant::from_secs(1);
    initiator.endpoint.handle_command(now, Command::Initiate { connection: SITE }).unwrap();
    let first = initiator.drain(now).remove(0).payload.to_vec();
    for address in 0..100u8 {
        for cookie in 1..=5u8 {
            let mut message = first.clone();
            message[..8].fill(cookie);
            let path = Path::new((B, 500).into(), ([203, 0, 113, address], 500).into());
            let _ = end.endpoint.handle_datagram(now, Datagram { path, payload: &message });
        }
    }
    assert_eq!(end.endpoint.status().embryonic, 20);
    assert_eq!(end.endpoint.own_counters().half_open_refused, 480);
    end.drain(now);
    end.endpoint.handle_timeout(Instant::from_secs(100));
    end.drain(now);
    assert_eq!(end.endpoint.status().embryonic, 0);
    assert_eq!(end.endpoint.poll_timeout(), None);
    let path = Path::new((B, 500).into(), ([203, 0, 113, 1], 500).into());
    let verdict = end.endpoint.handle_datagram(now, Datagram { path, payload: &first });
    assert_eq!(verdict, Verdict::Accepted);
}

#[test]
fn ten_thousand_refused_offers_leave_no_state() {
    let mut end = End::new(endpoint(plan(right().phase1(vec![transform(DhGroup::Modp1024)]).peer(Peer::Any)), 1));
    let mut initiator = End::new(endpoint(plan(left()), 2));
    let now = Instant::from_secs(1);
    initiator.endpoint.handle_command(now, Command::Initiate { connection: SITE }).unwrap();
    let first = initiator.drain(now).remove(0).payload.to_vec();
    for number in 1..=10_000u64 {
        let mut message = first.clone();
        message[..8].copy_from_slice(&number.to_be_bytes());
        let path = Path::new((B, 500).into(), (A, 500).into());
        let verdict = end.endpoint.handle_datagram(now, Datagram { path, payload: &message });
        assert_eq!(verdict, Verdict::Ignored(DropReason::Refused));
        for answer in end.drain(now) {
            assert!(answer.payload.len() <= 3 * message.len());
        }
        end.events.clear();
        end.log.clear();
    }
    assert!(end.endpoint.status().ike_sas.is_empty());
    assert_eq!(end.endpoint.poll_timeout(), None);
}

#[test]
fn a_delete_for_the_sa_of_another_peer_does_nothing() {
    // Two peers of one hub; the first names the SPI of the second in its own protected Delete. Both hold
    // the same key and policy, so only who they are keeps them apart.
    let site = |name: &str| Identity::Fqdn(name.into());
    let hub = || {
        connection(B, A)
            .peer(Peer::Any)
            .remote_identity(RemoteIdentity::Anyone)
            .policy(policy([10, 10, 2, 0], [10, 10, 1, 0]))
    };
    let mut pair = Pair::new(plan(left().local_identity(site("one.example.org"))), plan(hub()));
    pair.initiate();
    pair.settle();
    let first = pair.right.endpoint.status().children[0].clone();
    let mut second = End::new(endpoint(plan(left().local_identity(site("two.example.org"))), 9));
    std::mem::swap(&mut pair.left, &mut second);
    pair.initiate();
    pair.settle();
    assert_eq!(pair.right.endpoint.status().children.len(), 2);
    // The second ends everything it has: the first is untouched.
    pair.command(Command::CloseConnection { connection: SITE });
    pair.settle();
    let left_over = pair.right.endpoint.status().children;
    assert_eq!(left_over.len(), 1);
    assert_eq!(left_over[0].child, first.child);
}

#[test]
fn informational_under_unknown_cookies_is_dropped_without_an_answer() {
    let mut pair = Pair::established();
    let header = Header::new(Cookie([1; 8]), Cookie([2; 8]), ExchangeType::INFORMATIONAL, MessageId(3))
        .with_flags(Flags::ENCRYPTION);
    let forged = header.enclose(PayloadType::HASH, &[0; 32]).unwrap();
    assert_eq!(inject(&mut pair, &forged), Verdict::Ignored(DropReason::UnknownCookies));
    let now = pair.now;
    assert!(pair.right.drain(now).is_empty());
}

#[test]
fn every_bit_flip_of_a_protected_delete_does_nothing() {
    let mut pair = Pair::established();
    let child = pair.left.endpoint.status().children[0].child;
    pair.command(Command::DeleteChild { child });
    let delete = pair.wire.pop_front().unwrap();
    for bit in 0..delete.payload.len() * 8 {
        let mut flipped = delete.payload.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if bit == FLAGS * 8 + 1 {
            // The commit flag is covered by nothing: that message is as good as the lawful one.
            continue;
        }
        let verdict = pair.deliver(&altered(&delete, flipped));
        assert!(matches!(verdict, Verdict::Ignored(_)), "bit {bit}: {verdict:?}");
        assert_eq!(pair.right.installed.len(), 2);
    }
    assert_eq!(pair.deliver(&delete), Verdict::Accepted);
    pair.drain();
    assert!(pair.right.installed.is_empty());
}

#[test]
fn a_clear_nonce_message_where_encryption_is_due_is_dropped() {
    let (mut pair, lawful) = stopped_before(4);
    let mut chain = ChainBuilder::new();
    chain.push(&Nonce { data: [1; 16] });
    let cookies = pair.right.endpoint.status().ike_sas[0].cookies;
    let chain = chain.finish().unwrap();
    let header = Header::new(cookies.initiator, cookies.responder, ExchangeType::MAIN, MessageId(0));
    let forged = header.enclose(chain.first(), chain.octets()).unwrap();
    assert_eq!(inject(&mut pair, &forged), Verdict::Ignored(DropReason::ClearText));
    pair.wire.push_back(lawful);
    pair.settle();
    assert!(pair.left.established());
}

#[test]
fn no_datagram_makes_an_event_of_its_own_without_end() {
    let mut pair = Pair::established();
    let before = pair.right.events.len();
    for octet in 0..2_000u32 {
        let mut noise = vec![0; 64];
        noise[..4].copy_from_slice(&octet.to_be_bytes());
        let _ = inject(&mut pair, &noise);
    }
    let now = pair.now;
    pair.right.drain(now);
    assert_eq!(pair.right.events.len(), before);
    assert!(!pair.right.has(|event| matches!(event, Event::Closed)));
}

/// Row 88: first messages of aggressive mode each cost an exponentiation, whoever sent them.
#[test]
fn row_88_work_for_unproven_peers_is_limited_and_a_named_peer_still_gets_in() {
    let aggressive = |connection: ikev1_core::ConnectionConfig| connection.dangerously_allow_aggressive_mode(true);
    let anyone = aggressive(connection(B, A).peer(Peer::Any)).policy(policy([10, 10, 2, 0], [10, 10, 1, 0]));
    let named = aggressive(ikev1_core::ConnectionConfig::new("named").peer(Peer::Address(A.into())))
        .local(B.into())
        .pre_shared_key(ikev1_core::auth::PreSharedKey::copied(b"psk for the interop lab"))
        .phase1(vec![transform(DhGroup::Modp768)])
        .dangerously_allow_weak_algorithms(true)
        .policy(policy([10, 10, 2, 0], [10, 10, 1, 0]));
    let config = ikev1_core::Config::new().max_unproven_dh(10).connection(anyone).connection(named);
    let ours = aggressive(left()).mode(ikev1_core::Phase1Mode::Aggressive);
    let mut pair = Pair::new(plan(ours), config.build().unwrap());
    pair.initiate();
    let first = pair.wire.pop_front().unwrap();
    let now = pair.now;
    let mut taken = 0;
    for source in 0..=255u8 {
        let mut payload = first.payload.to_vec();
        payload[0] ^= source;
        let path = Path::new((B, 500).into(), ([203, 0, 113, source], 500).into());
        let verdict = pair.right.endpoint.handle_datagram(now, Datagram { path, payload: &payload });
        match verdict {
            Verdict::Accepted => taken += 1,
            other => assert_eq!(other, Verdict::Ignored(DropReason::WorkLimit)),
        }
    }
    assert_eq!(taken, 10);
    assert_eq!(pair.right.endpoint.own_counters().work_refused, 246);
    drop(pair.right.drain(now));
    // The peer that the plan names has the other half, and anyone gets in when the flood is over.
    pair.wire.push_back(first);
    pair.settle();
    assert!(pair.left.established() && pair.right.established());
}

/// Row 88 in main mode: message 3 is the one that costs; its resend passes once there is time for it.
#[test]
fn row_88_a_third_message_above_the_limit_is_dropped_and_its_resend_is_taken() {
    let config = ikev1_core::Config::new().max_unproven_dh(1).connection(right().peer(Peer::Any));
    let mut pair = Pair::new(plan(left()), config.build().unwrap());
    pair.initiate();
    pair.settle();
    assert!(pair.right.established());
    pair.command(Command::CloseConnection { connection: SITE });
    pair.settle();
    pair.initiate();
    pair.settle();
    assert_eq!(pair.right.endpoint.own_counters().work_refused, 1);
    pair.advance(Duration::from_secs(10));
    assert_eq!(pair.right.count(|event| matches!(event, Event::SaEstablished { .. })), 2);
}
