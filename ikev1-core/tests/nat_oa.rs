//! NAT-OA under the right keys: what a peer may say that its address was before any NAT.

use crate::common;
use crate::common::{A, B, connection, esp, plan};
use crate::scripted::{OUR_SPI, Scripted, chain};
use drive::Verdict;
use ikev1_core::negotiate::{Suite, offer_phase2};
use ikev1_core::proposal::{IpsecTransform, Lifetime, Mode, UdpEncapsulation};
use ikev1_core::{DropReason, Event, Failure, OriginalAddresses, PolicyConfig, TrafficSelector};
use ipsec_wire::isakmp::payload::{Emit, Nonce};
use ipsec_wire::registry::PayloadType;

const V4: u8 = 1;
const V6: u8 = 5;

fn natted() -> Scripted {
    let policy = PolicyConfig::new("net")
        .mode(Mode::Transport)
        .local(TrafficSelector::host(B.into()))
        .remote(TrafficSelector::host(A.into()))
        .suites(vec![esp()]);
    Scripted::natted(plan(connection(B, A).delete_delay(core::time::Duration::from_secs(1)).policy(policy)))
}

/// The body of a NAT-OA payload.
fn body(id_type: u8, address: &[u8]) -> Vec<u8> {
    [&[id_type, 0, 0, 0], address].concat()
}

/// Asks for transport mode in UDP with these payloads.
fn ask(peer: &mut Scripted, originals: &[(PayloadType, Vec<u8>)]) -> Verdict<DropReason> {
    let part =
        IpsecTransform { mode: Mode::Transport, lifetime: Lifetime::seconds(3_600), ..IpsecTransform::new(esp()) };
    let suites = [Suite { number: 1, parts: vec![part] }];
    let offer = offer_phase2(&suites, Some(UdpEncapsulation::Rfc3947), |_| OUR_SPI);
    let rest = chain(|chain| {
        chain.push_body(PayloadType::SA, &offer.to_body().unwrap());
        chain.push(&Nonce { data: &[0x4e; 16][..] });
        for (payload_type, body) in originals {
            chain.push_body(*payload_type, body);
        }
    });
    let id = peer.fresh_id();
    let message_1 = peer.quick_1(id, &rest);
    peer.deliver(&message_1)
}

fn original(peer: &Scripted) -> Option<OriginalAddresses> {
    *peer.end.originals.last().unwrap()
}

#[test]
fn row_121_lawful_payloads_are_believed_and_none_is_lawful_too() {
    let own = [10, 1, 0, 10];
    let rfc = PayloadType::NAT_OA;
    let cases = [
        (vec![(rfc, body(V4, &own)), (rfc, body(V4, &B))], Some(own)),
        (vec![(rfc, body(V4, &own))], Some(own)),
        (vec![], None),
    ];
    for (originals, source) in cases {
        let mut peer = natted();
        assert_eq!(ask(&mut peer, &originals), Verdict::Accepted, "{originals:?}");
        let wanted = source.map(|source| OriginalAddresses { source: source.into(), destination: B.into() });
        assert_eq!(original(&peer), wanted);
    }
}

#[test]
fn row_121_more_than_two_payloads_are_dropped() {
    let mut peer = natted();
    for count in 3..20 {
        let originals = vec![(PayloadType::NAT_OA, body(V4, &A)); count];
        assert!(matches!(ask(&mut peer, &originals), Verdict::Ignored(_)), "{count}");
    }
    assert!(peer.end.endpoint.status().children.is_empty());
    assert_eq!(ask(&mut peer, &[(PayloadType::NAT_OA, body(V4, &A))]), Verdict::Accepted);
}

#[test]
fn row_121_another_family_than_the_packets_is_refused_with_its_reason() {
    for at in 0..2 {
        let mut peer = natted();
        let mut originals = vec![(PayloadType::NAT_OA, body(V4, &A)), (PayloadType::NAT_OA, body(V4, &B))];
        originals[at].1 = body(V6, &[0x20; 16]);
        assert_eq!(ask(&mut peer, &originals), Verdict::Ignored(DropReason::Refused));
        let failed = |event: &Event| matches!(event, Event::Phase2Failed { failure: Failure::OriginalAddress, .. });
        assert!(peer.end.has(failed) && peer.end.endpoint.status().children.is_empty());
        assert_eq!(ask(&mut peer, &[(PayloadType::NAT_OA, body(V4, &A))]), Verdict::Accepted);
    }
}

/// Every type of identity, with every length about those of addresses.
#[test]
fn row_121_types_and_lengths_that_are_no_address_are_malformed() {
    let mut peer = natted();
    for id_type in (0..=255).filter(|id_type| *id_type < 16 || *id_type > 250) {
        for length in 0..20 {
            if (id_type, length) == (V4, 4) || (id_type, length) == (V6, 16) {
                continue;
            }
            let odd = body(id_type, &[10; 20][..length]);
            let verdict = ask(&mut peer, &[(PayloadType::NAT_OA, odd)]);
            let is_refused = matches!(verdict, Verdict::Ignored(DropReason::Malformed | DropReason::Refused));
            assert!(is_refused, "type {id_type} of {length} octets: {verdict:?}");
            peer.pass(core::time::Duration::from_millis(1_001));
        }
    }
    for cut in 0..4 {
        let verdict = ask(&mut peer, &[(PayloadType::NAT_OA, vec![V4; cut])]);
        assert!(matches!(verdict, Verdict::Ignored(_)), "{cut}");
    }
    assert!(peer.end.endpoint.status().children.is_empty());
}

/// The numbers that drafts had mean nothing where the RFC was agreed on.
#[test]
fn row_121_payloads_under_the_numbers_of_another_version_are_not_read() {
    for other in [PayloadType::NAT_OA_DRAFT, PayloadType::SA_TEK] {
        let mut peer = natted();
        let originals = [(other, body(V6, &[0x20; 16])), (PayloadType::NAT_OA, body(V4, &[10, 1, 0, 10]))];
        assert_eq!(ask(&mut peer, &originals), Verdict::Accepted);
        let wanted = OriginalAddresses { source: [10, 1, 0, 10].into(), destination: B.into() };
        assert_eq!(original(&peer), Some(wanted));
    }
}

/// Without a NAT nothing of it is looked at.
#[test]
fn row_121_without_a_nat_the_payloads_mean_nothing() {
    let mut peer = Scripted::up(plan(common::right()));
    let id = peer.fresh_id();
    let lawful = peer.quick_rest(&Scripted::lawful_ids());
    let rest = chain(|chain| {
        for payload in &ipsec_wire::isakmp::Payloads::parse(lawful.first(), lawful.octets()).unwrap() {
            chain.push_body(payload.payload_type(), payload.body());
        }
        chain.push_body(PayloadType::NAT_OA, &body(V6, &[0x20; 16]));
    });
    let message_1 = peer.quick_1(id, &rest);
    assert_eq!(peer.deliver(&message_1), Verdict::Accepted);
    assert_eq!(original(&peer), None);
}
