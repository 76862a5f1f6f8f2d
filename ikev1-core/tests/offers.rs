//! First messages that are full of proposals, or lie about how many there are.

use crate::common::{A, B, End, endpoint, plan, right};
use drive::{Datagram, Instant, Path, Verdict};
use ikev1_core::negotiate::MAX_REFUSALS;
use ikev1_core::{DropReason, Event};
use ipsec_wire::isakmp::{ChainBuilder, Cookie, Header, MessageId};
use ipsec_wire::registry::{ExchangeType, PayloadType};

/// The attributes of AES-CBC 128, SHA-1, a pre-shared key and the group of 768 bits: what the responder takes.
const LAWFUL: [u8; 20] = [0x80, 1, 0, 7, 0x80, 2, 0, 2, 0x80, 3, 0, 1, 0x80, 4, 0, 1, 0x80, 14, 0, 128];

/// A transform for ISAKMP; with another cipher nobody wants it.
fn transform(more: bool, number: u8, cipher: u8) -> Vec<u8> {
    let mut attributes = LAWFUL;
    attributes[3] = cipher;
    let next = if more { 3 } else { 0 };
    [&[next, 0, 0, 28, number, 1, 0, 0], &attributes[..]].concat()
}

/// A proposal that announces so many transforms.
fn proposal(more: bool, number: u8, announced: u8, transforms: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + transforms.len()).unwrap().to_be_bytes();
    let next = if more { 2 } else { 0 };
    [&[next, 0, length[0], length[1], number, 1, 0, announced], transforms].concat()
}

/// Sends a first message with these proposals to an end, and returns what it makes of it.
fn offer(end: &mut End, cookie: u8, proposals: &[u8]) -> Verdict<DropReason> {
    let mut chain = ChainBuilder::new();
    chain.push_body(PayloadType::SA, &[&[0, 0, 0, 1, 0, 0, 0, 1], proposals].concat());
    let chain = chain.finish().unwrap();
    let header = Header::new(Cookie([cookie; 8]), Cookie::ZERO, ExchangeType::MAIN, MessageId::ZERO);
    let octets = header.enclose(chain.first(), chain.octets()).unwrap();
    let path = Path::new((B, 500).into(), (A, 500).into());
    let verdict = end.endpoint.handle_datagram(Instant::ZERO, Datagram { path, payload: &octets });
    end.drain(Instant::ZERO);
    verdict
}

fn fresh() -> End {
    End::new(endpoint(plan(right()), 2))
}

fn lawful(end: &mut End) {
    assert_eq!(offer(end, 99, &proposal(false, 1, 1, &transform(false, 1, 7))), Verdict::Accepted);
    assert_eq!(end.endpoint.status().ike_sas.len(), 1);
}

/// Row 9: as many transforms as a datagram holds, in one proposal and in many.
#[test]
fn row_9_an_offer_as_long_as_a_datagram_is_refused_with_a_bounded_number_of_reasons() {
    let many =
        |count: u8| -> Vec<u8> { (1..=count).flat_map(|number| transform(number < count, number, 250)).collect() };
    let one = proposal(false, 1, 255, &many(255));
    let alone: Vec<u8> =
        (0..1_700u16).flat_map(|at| proposal(at < 1_699, at as u8, 1, &transform(false, 1, 250))).collect();
    let full: Vec<u8> = (0..9u8).flat_map(|at| proposal(at < 8, at, 255, &many(255))).collect();
    for proposals in [one, alone, full] {
        let mut end = fresh();
        let verdict = offer(&mut end, 1, &proposals);
        let reasons = end.events.iter().find_map(|event| match event {
            Event::Phase1Failed { refusals, .. } => Some(refusals.iter().count()),
            _ => None,
        });
        match verdict {
            Verdict::Ignored(DropReason::Refused) => assert!((1..=MAX_REFUSALS).contains(&reasons.unwrap())),
            // There are more of them than are read.
            verdict => assert_eq!((verdict, reasons), (Verdict::Ignored(DropReason::Malformed), Some(0))),
        }
        assert!(end.endpoint.status().ike_sas.is_empty());
        lawful(&mut end);
    }
}

/// Row 9: counts that are not those of what is there.
#[test]
fn row_9_a_proposal_that_announces_more_or_fewer_transforms_than_it_has_is_malformed() {
    let two = [transform(true, 1, 250), transform(false, 2, 7)].concat();
    for announced in (0..=255).filter(|announced| *announced != 2) {
        let mut end = fresh();
        let verdict = offer(&mut end, 1, &proposal(false, 1, announced, &two));
        assert!(matches!(verdict, Verdict::Ignored(DropReason::Malformed | DropReason::Refused)), "{announced}");
        assert!(end.endpoint.status().ike_sas.is_empty());
    }
    assert_eq!(offer(&mut fresh(), 1, &proposal(false, 1, 2, &two)), Verdict::Accepted);
}

/// Row 9: the right transform stands last among many.
#[test]
fn row_9_the_last_of_two_hundred_and_fifty_five_transforms_is_found() {
    let all: Vec<u8> =
        (1..=255u8).flat_map(|number| transform(number < 255, number, if number < 255 { 250 } else { 7 })).collect();
    let mut end = fresh();
    assert_eq!(offer(&mut end, 1, &proposal(false, 1, 255, &all)), Verdict::Accepted);
    let chosen = |event: &Event| matches!(event, Event::Phase1Negotiated { number: 255, .. });
    assert!(end.has(chosen));
}
