//! Vendor ids of any length: what is cut or longer than a known one is another one.

use crate::common;
use crate::common::{A, B, End, endpoint, left, plan, right};
use drive::{Datagram, Instant, Path, Verdict};
use ikev1_core::Command;
use ipsec_wire::isakmp::{Body, ChainBuilder, Cookie, Header, Message, MessageId};
use ipsec_wire::registry::{ExchangeType, PayloadType};
use nat_t::Version;

/// The SA payload and the vendor ids of a first message of ours.
fn first() -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut end = End::new(endpoint(plan(left()), 1));
    end.endpoint.handle_command(Instant::ZERO, Command::Initiate { connection: common::SITE }).unwrap();
    let message = end.drain(Instant::ZERO).remove(0).payload;
    let message = Message::parse(&message).unwrap();
    let Body::Clear(payloads) = message.body() else { panic!("message 1 is clear") };
    let ids = payloads.iter().filter(|payload| payload.payload_type() == PayloadType::VENDOR_ID);
    let ids = ids.map(|payload| payload.body().to_vec()).collect();
    (payloads.find(PayloadType::SA).unwrap().body().to_vec(), ids)
}

/// Sends a first message with these vendor ids to a responder that knows nobody yet.
fn answered(sa: &[u8], ids: &[&[u8]]) -> End {
    let mut end = End::new(endpoint(plan(right()), 2));
    let mut chain = ChainBuilder::new();
    chain.push_body(PayloadType::SA, sa);
    for id in ids {
        chain.push_body(PayloadType::VENDOR_ID, id);
    }
    let chain = chain.finish().unwrap();
    let header = Header::new(Cookie([7; 8]), Cookie::ZERO, ExchangeType::MAIN, MessageId::ZERO);
    let octets = header.enclose(chain.first(), chain.octets()).unwrap();
    let path = Path::new((B, 500).into(), (A, 500).into());
    let verdict = end.endpoint.handle_datagram(Instant::ZERO, Datagram { path, payload: &octets });
    assert_eq!(verdict, Verdict::Accepted, "{ids:?}");
    assert_eq!(end.drain(Instant::ZERO).len(), 1);
    end
}

fn version(end: &End) -> Option<Version> {
    end.endpoint.status().ike_sas[0].nat_version
}

/// Row 18: every beginning of every id that we know, and every id with something behind it.
#[test]
fn row_18_a_cut_or_a_longer_vendor_id_is_not_the_one_of_a_version_of_nat_traversal() {
    let (sa, ids) = first();
    assert!(ids.len() > 4);
    for id in &ids {
        let whole = Version::ALL.into_iter().find(|version| version.vendor_id()[..] == id[..]);
        assert_eq!(version(&answered(&sa, &[id])), whole, "{id:02x?}");
        for cut in 0..id.len() {
            assert_eq!(version(&answered(&sa, &[&id[..cut]])), None, "{cut} octets of {id:02x?}");
        }
        for more in [1, 4, 44] {
            let longer = [&id[..], &vec![0; more]].concat();
            assert_eq!(version(&answered(&sa, &[&longer])), None, "{id:02x?} and {more} octets");
        }
    }
}

/// Row 18: an id as long as a datagram, an empty one, and the true one behind both.
#[test]
fn row_18_a_vendor_id_of_sixty_thousand_octets_hides_nothing() {
    let (sa, _) = first();
    let known = &Version::Rfc3947.vendor_id()[..];
    let long = vec![0x4a; 60_000];
    assert_eq!(version(&answered(&sa, &[&long, &[], known])), Some(Version::Rfc3947));
    let prefixed = [known, &long].concat();
    assert_eq!(version(&answered(&sa, &[&prefixed])), None);
}
