//! NAT-D against hashes that others computed: see `vectors/README.md`.

use core::net::{IpAddr, SocketAddr};
use md5::{Digest, Md5};
use nat_t::Location;
use nat_t::detect::{Cookies, HashInput, detect, nat_d};
use serde_json::Value;
use sha1::Sha1;
use sha2::Sha256;

fn vectors(part: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("vectors/natd.json")).unwrap();
    all[part].as_array().unwrap().clone()
}

fn octets(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn cookies(case: &Value) -> Cookies {
    let cookie = |name: &str| octets(&case[name]).try_into().unwrap();
    Cookies { initiator: cookie("cky_i"), responder: cookie("cky_r") }
}

fn end(case: &Value, address: &str, port: &str) -> SocketAddr {
    let ip: IpAddr = case[address].as_str().unwrap().parse().unwrap();
    SocketAddr::new(ip, u16::try_from(case[port].as_u64().unwrap()).unwrap())
}

fn hash(case: &Value) -> fn(&[u8]) -> Vec<u8> {
    match case["hash"].as_str().unwrap() {
        "md5" => |input| Md5::digest(input).to_vec(),
        "sha1" | "SHA-1" => |input| Sha1::digest(input).to_vec(),
        "sha256" => |input| Sha256::digest(input).to_vec(),
        other => panic!("{other}"),
    }
}

#[test]
fn hash_inputs_and_outputs_are_those_strongswan_printed() {
    let cases = vectors("from_logs");
    assert_eq!(cases.len(), 12);
    for case in &cases {
        let (cookies, end) = (cookies(case), end(case, "address", "port"));
        assert_eq!(HashInput::new(&cookies, end).as_ref(), octets(&case["input"]));
        assert_eq!(nat_d(&cookies, end, hash(case)), octets(&case["natd"]));
    }
}

#[test]
fn captured_messages_are_located_as_their_headers_say() {
    let cases = vectors("from_captures");
    assert_eq!(cases.len(), 13);
    for case in &cases {
        let received: Vec<_> = case["natd"].as_array().unwrap().iter().map(octets).collect();
        let bodies = received.iter().map(Vec::as_slice);
        // The message as its receiver sees it.
        let (local, remote) = (end(case, "dst", "dport"), end(case, "src", "sport"));
        let found = detect(bodies, &cookies(case), &[local], remote, hash(case)).unwrap();
        let matches = |name: &str| case[name].as_bool().unwrap();
        let expected = match (matches("first_matches_destination"), matches("any_other_matches_source")) {
            (true, true) => Location::None,
            (true, false) => Location::Remote,
            (false, true) => Location::Local,
            (false, false) => Location::Both,
        };
        assert_eq!(found.location, expected, "{}, frame {}", case["pcap"], case["frame"]);
    }
}
