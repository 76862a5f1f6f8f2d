//! `wire`: walking and typing every payload of the largest captured messages, against a naive parser into owned structs.

use crate::measure::Report;
use ipsec_wire::isakmp::payload::{Payload, SecurityAssociation};
use ipsec_wire::isakmp::{Body, Message, Payloads};
use ipsec_wire::registry::PayloadType;
use std::hint::black_box;

/// Reading in place costs at most a third of building a tree.
const TARGET: f64 = 1.0 / 3.0;

/// A captured message: its name, its octets, and the type of the first payload if it was decrypted.
type Case = (&'static str, &'static [u8], Option<u8>);

const CASES: [Case; 4] = [
    ("aggressive mode 1, 24 transforms (vpnc)", include_bytes!("../data/wire/vpnc_aggressive_1.bin"), None),
    ("aggressive mode 1, 12 transforms (strongSwan)", include_bytes!("../data/wire/strongswan_aggressive_1.bin"), None),
    ("main mode 5, certificates (Openswan)", include_bytes!("../data/wire/certificates_decrypted.bin"), Some(5)),
    ("quick mode 1, 12 proposals (vpnc)", include_bytes!("../data/wire/vpnc_quick_1_decrypted.bin"), Some(8)),
];

/// Prints a line for each message.
///
/// # Panics
/// When the two parsers do not find the same: then there is nothing to compare.
pub fn run(report: &mut Report) {
    for (name, octets, first) in CASES {
        let (found, tree) = (ours(octets, first), naive::message(octets, first));
        assert_eq!(found, tree.count(), "{name}");
        assert!(found.payloads > 0, "{name}");
        let anchor = || naive::message(black_box(octets), first);
        report.compare(&format!("wire: {name}"), Some(TARGET), || ours(black_box(octets), first), anchor);
    }
}

/// What a message holds, by count: both parsers must agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    payloads: usize,
    proposals: usize,
    transforms: usize,
    attributes: usize,
    /// The sum of everything that was read, so that nothing can be left out.
    sum: u64,
}

/// Walks and types every payload, and visits everything in it.
fn ours(octets: &[u8], first: Option<u8>) -> Found {
    let mut found = Found::default();
    let payloads = match first {
        Some(first) => Payloads::parse_decrypted(PayloadType(first), octets).expect("a sound chain"),
        None => match Message::parse(octets).expect("a sound message").body() {
            Body::Clear(payloads) => payloads,
            Body::Encrypted(_) => return found,
        },
    };
    for raw in payloads {
        found.payloads += 1;
        match Payload::parse(raw).expect("a sound payload") {
            Payload::SecurityAssociation(sa) => security_association(&sa, &mut found),
            _ => found.sum += raw.body().len() as u64,
        }
    }
    found
}

fn security_association(sa: &SecurityAssociation<'_>, found: &mut Found) {
    for proposal in sa.proposals() {
        found.proposals += 1;
        found.sum += u64::from(proposal.number) + proposal.spi.len() as u64;
        for transform in proposal.transforms() {
            found.transforms += 1;
            found.sum += u64::from(transform.id);
            for attribute in transform.attributes {
                found.attributes += 1;
                found.sum += attribute.to_u64().unwrap_or(0);
            }
        }
    }
}

/// A parser as one writes it first: every payload copied into a struct of its own.
mod naive {
    use super::Found;

    pub(super) struct Message {
        payloads: Vec<Payload>,
    }

    enum Payload {
        SecurityAssociation(Vec<Proposal>),
        Other { _payload_type: u8, body: Vec<u8> },
    }

    struct Proposal {
        number: u8,
        spi: Vec<u8>,
        transforms: Vec<Transform>,
    }

    struct Transform {
        id: u8,
        attributes: Vec<Attribute>,
    }

    struct Attribute {
        _class: u16,
        value: Vec<u8>,
    }

    pub(super) fn message(octets: &[u8], first: Option<u8>) -> Message {
        let (mut next, mut rest) = match first {
            Some(first) => (first, octets),
            None => (octets[16], &octets[28..]),
        };
        let mut payloads = Vec::new();
        while next != 0 {
            let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            let body = rest[4..length].to_vec();
            payloads.push(match next {
                1 => Payload::SecurityAssociation(proposals(&body[8..])),
                _ => Payload::Other { _payload_type: next, body },
            });
            next = rest[0];
            rest = &rest[length..];
        }
        Message { payloads }
    }

    fn proposals(octets: &[u8]) -> Vec<Proposal> {
        items(octets, |body| {
            let spi = body[4..4 + usize::from(body[2])].to_vec();
            let transforms = items(&body[4 + spi.len()..], transform);
            Proposal { number: body[0], spi, transforms }
        })
    }

    fn transform(body: &[u8]) -> Transform {
        let mut attributes = Vec::new();
        let mut rest = &body[4..];
        while rest.len() >= 4 {
            let class = u16::from_be_bytes([rest[0], rest[1]]);
            let length = if class & 0x8000 != 0 { 0 } else { usize::from(u16::from_be_bytes([rest[2], rest[3]])) };
            let value = if class & 0x8000 != 0 { rest[2..4].to_vec() } else { rest[4..4 + length].to_vec() };
            attributes.push(Attribute { _class: class & 0x7fff, value });
            rest = &rest[4 + length..];
        }
        Transform { id: body[1], attributes }
    }

    fn items<T>(mut rest: &[u8], read: impl Fn(&[u8]) -> T) -> Vec<T> {
        let mut all = Vec::new();
        while rest.len() >= 4 {
            let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            all.push(read(&rest[4..length]));
            rest = &rest[length..];
        }
        all
    }

    impl Message {
        pub(super) fn count(&self) -> Found {
            let mut found = Found::default();
            for payload in &self.payloads {
                found.payloads += 1;
                match payload {
                    Payload::Other { body, .. } => found.sum += body.len() as u64,
                    Payload::SecurityAssociation(proposals) => {
                        for proposal in proposals {
                            found.proposals += 1;
                            found.sum += u64::from(proposal.number) + proposal.spi.len() as u64;
                            for transform in &proposal.transforms {
                                found.transforms += 1;
                                found.sum += u64::from(transform.id);
                                found.attributes += transform.attributes.len();
                                let value =
                                    |a: &super::naive::Attribute| a.value.iter().fold(0, |v, o| v << 8 | u64::from(*o));
                                found.sum += transform.attributes.iter().map(value).sum::<u64>();
                            }
                        }
                    }
                }
            }
            found
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parsers_find_the_same_in_every_message() {
        for (name, octets, first) in CASES {
            let found = ours(octets, first);
            assert_eq!(found, naive::message(octets, first).count(), "{name}");
            assert!(found.payloads > 1, "{name}");
        }
    }
}
