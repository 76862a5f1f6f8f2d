//! Vendor ids that come in messages 3 to 6 only, as Cisco's routers send most of theirs.

use crate::common;
use crate::common::{Pair, left, plan, right};
use drive::{Transmit, Verdict};
use ikev1_core::{ConnectionConfig, DpdMode, DpdState, Fragmentation, Phase1Mode};
use ipsec_wire::isakmp::{Body, ChainBuilder, Header, Message};
use ipsec_wire::registry::PayloadType;

const FRAGMENTATION: [u8; 16] = *b"\x40\x48\xb7\xd5\x6e\xbc\xe8\x85\x25\xe7\xde\x7f\x00\xd6\xc2\xd3";
const DPD: [u8; 16] = *b"\xaf\xca\xd7\x13\x68\xa1\xf1\xc9\x6b\x86\x96\xfc\x77\x57\x01\x00";

fn is_fragmentation(body: &[u8]) -> bool {
    body.starts_with(&FRAGMENTATION)
}

/// Takes vendor ids out of a clear message, and puts others in.
fn edit(transmit: &mut Transmit, goes: impl Fn(&[u8]) -> bool, comes: &[&[u8]]) {
    let message = Message::parse(&transmit.payload).unwrap();
    let Body::Clear(payloads) = message.body() else { panic!("the message is clear") };
    let mut chain = ChainBuilder::new();
    for payload in &payloads {
        if payload.payload_type() != PayloadType::VENDOR_ID || !goes(payload.body()) {
            chain.push_body(payload.payload_type(), payload.body());
        }
    }
    for id in comes {
        chain.push_body(PayloadType::VENDOR_ID, id);
    }
    let chain = chain.finish().unwrap();
    transmit.payload = message.header().enclose(chain.first(), chain.octets()).unwrap().into();
}

fn has(transmit: &Transmit, wanted: impl Fn(&[u8]) -> bool) -> bool {
    let message = Message::parse(&transmit.payload).unwrap();
    let Body::Clear(payloads) = message.body() else { return false };
    payloads.iter().any(|payload| payload.payload_type() == PayloadType::VENDOR_ID && wanted(payload.body()))
}

fn parts(pair: &Pair, by_left: bool) -> usize {
    let from = if by_left { common::A } else { common::B };
    let of = pair.seen.iter().filter(|transmit| transmit.path.local.ip() == core::net::IpAddr::from(from));
    of.filter(|transmit| Header::parse(&transmit.payload).unwrap().next_payload == PayloadType::FRAGMENT).count()
}

fn cutting(connection: ConnectionConfig) -> ConnectionConfig {
    connection.fragmentation(Fragmentation::On).fragment_size(128)
}

fn id(mode: Phase1Mode) -> [u8; 20] {
    let word = if mode == Phase1Mode::Base { [0xc0, 0, 0, 0] } else { [0x80, 0, 0, 0] };
    let mut id = [0; 20];
    id[..16].copy_from_slice(&FRAGMENTATION);
    id[16..].copy_from_slice(&word);
    id
}

/// A responder that does not cut: what it sends stays whole, so that it can be edited.
fn whole(mode: Phase1Mode) -> Pair {
    let allow = |connection: ConnectionConfig| connection.mode(mode).dangerously_allow_base_mode(true);
    Pair::new(plan(allow(cutting(left()))), plan(allow(right().fragmentation(Fragmentation::On))))
}

#[test]
fn message_4_is_time_enough_for_the_initiator() {
    for mode in [Phase1Mode::Main, Phase1Mode::Base] {
        for late in [false, true] {
            let mut pair = whole(mode);
            pair.initiate();
            pair.step();
            edit(&mut pair.wire[0], is_fragmentation, &[]);
            pair.step();
            pair.step();
            let late_id = id(mode);
            let comes: &[&[u8]] = if late { &[&late_id] } else { &[] };
            edit(&mut pair.wire[0], |_| false, comes);
            pair.settle();
            assert!(pair.left.established() && pair.right.established(), "{mode:?}");
            assert_eq!(parts(&pair, true) > 0, late, "{mode:?}");
        }
    }
}

#[test]
fn message_3_is_time_enough_for_the_responder_and_message_4_says_so() {
    for mode in [Phase1Mode::Main, Phase1Mode::Base] {
        for late in [false, true] {
            let allow = |connection: ConnectionConfig| connection.mode(mode).dangerously_allow_base_mode(true);
            let right = right().fragmentation(Fragmentation::On).fragment_size(600);
            let mut pair = Pair::new(plan(allow(left().fragmentation(Fragmentation::On))), plan(allow(right)));
            pair.initiate();
            edit(&mut pair.wire[0], is_fragmentation, &[]);
            pair.step();
            assert!(!has(&pair.wire[0], is_fragmentation), "nobody asked for it");
            pair.step();
            let late_id = id(mode);
            let comes: &[&[u8]] = if late { &[&late_id] } else { &[] };
            edit(&mut pair.wire[0], |_| false, comes);
            pair.step();
            assert_eq!(has(&pair.wire[0], is_fragmentation), late, "{mode:?}");
            pair.settle();
            assert!(pair.left.established() && pair.right.established(), "{mode:?}");
        }
    }
}

#[test]
fn liveness_checks_may_be_announced_in_message_3() {
    let no_dpd = |transmit: &mut Transmit, comes: &[&[u8]]| edit(transmit, |id| id.starts_with(&DPD[..14]), comes);
    for late in [false, true] {
        let mut pair = Pair::new(plan(left()), plan(right().dpd(DpdMode::Both)));
        pair.initiate();
        no_dpd(&mut pair.wire[0], &[]);
        pair.step();
        pair.step();
        no_dpd(&mut pair.wire[0], if late { &[&DPD] } else { &[] });
        assert_eq!(pair.step(), Some(Verdict::Accepted));
        pair.settle();
        let wanted = if late { DpdState::Active } else { DpdState::None };
        assert_eq!(pair.right.endpoint.status().ike_sas[0].dpd, wanted);
    }
}
