//! Work grows with the octets of a message and not faster: reads are counted, not timed.

use super::broken::{BrokenMessage, BrokenPayload};
use super::payload::{Emit, Fragment, Payload};
use super::{Body, Message, Payloads, limits};
use crate::ErrorKind;
use crate::reader::meter;
use crate::registry::{PayloadType, ProtocolId};
use alloc::vec;
use alloc::vec::Vec;

/// Reads of one octet of input that any message may cost: walking, typing, iterating.
///
/// A header of four octets takes three reads in a walk and the walk is made up to four times (the
/// chain when it is checked, when it is iterated; the same for what is nested).
const READS_PER_OCTET: usize = 4;

/// Walks a message, types every payload, and visits everything in it.
fn visit(datagram: &[u8]) -> usize {
    meter::of(|| {
        let Ok(message) = Message::parse(datagram) else { return };
        let Body::Clear(payloads) = message.body() else { return };
        for raw in payloads {
            match Payload::parse(raw) {
                Ok(Payload::SecurityAssociation(sa)) => {
                    let transforms = sa.proposals().flat_map(|proposal| proposal.transforms());
                    assert!(transforms.flat_map(|transform| transform.attributes).count() < 100_000);
                }
                Ok(Payload::Configuration(config)) => assert!(config.attributes.iter().count() <= limits::ATTRIBUTES),
                Ok(Payload::Delete(delete)) => assert!(delete.spis().count() <= limits::SPIS),
                _ => {}
            }
        }
    })
}

fn message(payloads: Vec<BrokenPayload>) -> Vec<u8> {
    BrokenMessage { payloads, ..BrokenMessage::default() }.to_octets()
}

fn assert_linear(name: &str, datagram: &[u8]) {
    let reads = visit(datagram);
    assert!(
        reads <= datagram.len().saturating_mul(READS_PER_OCTET),
        "{name}: {reads} reads of {} octets",
        datagram.len()
    );
}

/// A transform with as many attributes of four octets.
fn transform(attributes: usize) -> BrokenPayload {
    BrokenPayload::transform(1, 1, &[0x80, 1, 0, 1].repeat(attributes))
}

#[test]
fn the_worst_messages_cost_work_that_grows_with_their_octets() {
    let proposal = |transforms: Vec<BrokenPayload>| {
        BrokenPayload::proposal(1, ProtocolId::ISAKMP, &[], u8::try_from(transforms.len()).unwrap(), transforms)
    };
    let sa = BrokenPayload::security_association;
    let vendor_ids = |count| message(vec![BrokenPayload::new(PayloadType::VENDOR_ID, vec![1]); count]);
    assert_linear("the longest chain", &vendor_ids(limits::PAYLOADS));
    assert_linear("a chain that is too long", &vendor_ids(13_000));
    assert_linear("the most proposals", &message(vec![sa(vec![proposal(vec![transform(0)]); limits::PROPOSALS])]));
    assert_linear("too many proposals", &message(vec![sa(vec![proposal(vec![]); 8000])]));
    assert_linear("the most transforms", &message(vec![sa(vec![proposal(vec![transform(0); 255]); 4])]));
    assert_linear("too many transforms", &message(vec![sa(vec![proposal(vec![transform(0); 255]); 30])]));
    assert_linear("the most attributes", &message(vec![sa(vec![proposal(vec![transform(limits::ATTRIBUTES); 60])])]));
    assert_linear("too many attributes", &message(vec![sa(vec![proposal(vec![transform(15_000)])])]));
    let many_sas = vec![sa(vec![proposal(vec![transform(8); 20])]); 60];
    assert_linear("many SA payloads", &message(many_sas));
    let delete = [&[0, 0, 0, 1, 3, 4, 4, 0][..], &[7; 4096]].concat();
    assert_linear("the most SPIs", &message(vec![BrokenPayload::new(PayloadType::DELETE, delete)]));
    let fragment = Fragment { id: 1, number: 1, flags: 1, data: vec![0; 60_000] }.to_body().unwrap();
    assert_linear("one large fragment", &message(vec![BrokenPayload::new(PayloadType::FRAGMENT, fragment)]));
}

#[test]
fn the_walk_of_a_chain_takes_at_most_a_step_for_every_four_octets() {
    for length in [0usize, 4, 100, 1000, 65_000] {
        let octets = [13, 0, 0, 4].repeat(length / 4);
        // Three reads of the generic header and one of the body in each step, and one that fails.
        let reads = meter::of(|| {
            assert!(Payloads::parse(PayloadType::VENDOR_ID, &octets[..]).is_err());
        });
        assert!(reads <= length.min(limits::PAYLOADS * 4) + 4, "{reads} reads of {length} octets");
    }
}

#[test]
fn each_limit_is_reached_and_not_passed() {
    let of = |payloads| Message::parse(&message(payloads)).map(|_| ()).map_err(|error| error.kind);
    let id = || BrokenPayload::new(PayloadType::VENDOR_ID, vec![1]);
    assert_eq!(of(vec![id(); limits::PAYLOADS]), Ok(()));
    assert_eq!(of(vec![id(); limits::PAYLOADS + 1]), Err(ErrorKind::TooMany));

    let typed = |proposals: Vec<BrokenPayload>| {
        let octets = message(vec![BrokenPayload::security_association(proposals)]);
        let Body::Clear(chain) = Message::parse(&octets).unwrap().body() else { unreachable!() };
        Payload::parse(chain.iter().next().unwrap()).map(|_| ()).map_err(|error| error.kind)
    };
    let proposal =
        |count: u8| BrokenPayload::proposal(1, ProtocolId::ISAKMP, &[], count, vec![transform(0); usize::from(count)]);
    assert_eq!(typed(vec![proposal(1); limits::PROPOSALS]), Ok(()));
    assert_eq!(typed(vec![proposal(1); limits::PROPOSALS + 1]), Err(ErrorKind::TooMany));
    assert_eq!(typed([vec![proposal(255); 4], vec![proposal(4)]].concat()), Ok(()));
    assert_eq!(typed([vec![proposal(255); 4], vec![proposal(5)]].concat()), Err(ErrorKind::TooMany));
    let full = |count| vec![BrokenPayload::proposal(1, ProtocolId::ISAKMP, &[], 1, vec![transform(count)])];
    assert_eq!(typed(full(limits::ATTRIBUTES)), Ok(()));
    assert_eq!(typed(full(limits::ATTRIBUTES + 1)), Err(ErrorKind::TooMany));
}
