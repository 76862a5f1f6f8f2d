//! HASH payloads, checked where the keys are known.

use ikev1_core::crypto::Digest;
use ikev1_core::keys::IsakmpKeys;
use ipsec_wire::isakmp::Header;
use ipsec_wire::registry::ExchangeType;

/// What a HASH payload proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The hash it is, or must have been.
    pub name: &'static str,
    /// Where its formula stands.
    pub section: &'static str,
    /// What came out.
    pub verdict: Verdict,
}

/// What came of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The sender knows the keys, and nothing was changed.
    Right,
    /// The sender does not know the keys, or something was changed.
    Wrong,
    /// It cannot be told, and why.
    Unknown(&'static str),
}

/// The hashes that a HASH payload may lawfully be.
pub struct Proven {
    candidates: Vec<(&'static str, &'static str, Digest)>,
    /// Why none of them being right says nothing.
    lacks: Option<&'static str>,
}

impl Proven {
    /// The initiator's of phase 1.
    pub fn hash_i(digest: Digest) -> Self {
        Self { candidates: vec![("HASH_I", "RFC 2409 §5", digest)], lacks: None }
    }

    /// The responder's of phase 1.
    pub fn hash_r(digest: Digest) -> Self {
        Self { candidates: vec![("HASH_R", "RFC 2409 §5", digest)], lacks: None }
    }

    /// Those of a message after phase 1; `rest` is what follows the HASH payload, `nonces` the bodies
    /// that this message id has shown.
    pub fn later(keys: &IsakmpKeys, header: &Header, rest: &[u8], nonces: &[Vec<u8>]) -> Self {
        let id = header.message_id.0;
        if header.exchange != ExchangeType::QUICK {
            let section = if header.exchange == ExchangeType::INFORMATIONAL {
                "RFC 2409 §5.7"
            } else if header.exchange == ExchangeType::NEW_GROUP {
                "RFC 2409 §5.6"
            } else {
                "draft-ietf-ipsec-isakmp-mode-cfg §3.1"
            };
            return Self { candidates: vec![("HASH(1)", section, keys.hash_1(id, rest))], lacks: None };
        }
        let section = "RFC 2409 §5.5";
        match (nonces, rest) {
            ([], []) | ([_], []) => {
                Self { candidates: Vec::new(), lacks: Some("the nonces of this exchange are not seen") }
            }
            ([ni, nr, ..], []) => Self { candidates: vec![("HASH(3)", section, keys.hash_3(id, ni, nr))], lacks: None },
            (nonces, rest) => {
                let mut candidates = vec![("HASH(1)", section, keys.hash_1(id, rest))];
                if let [ni, nr, ..] = nonces {
                    // Some peers put notifications behind HASH(3).
                    candidates.push(("HASH(3)", section, keys.hash_3(id, ni, nr)));
                    candidates.push(("HASH(2)", section, keys.hash_2(id, ni, rest)));
                }
                Self { candidates, lacks: None }
            }
        }
    }

    /// Compares them with what came.
    pub fn compare(&self, received: &[u8]) -> Proof {
        let right = self.candidates.iter().find(|(_, _, digest)| digest.matches(received));
        let (name, section, verdict) = match (right, self.candidates.last(), self.lacks) {
            (Some((name, section, _)), _, _) => (*name, *section, Verdict::Right),
            (None, Some((name, section, _)), None) => (*name, *section, Verdict::Wrong),
            (None, _, lacks) => {
                ("HASH", "RFC 2409 §5.5", Verdict::Unknown(lacks.unwrap_or("nothing to compare it with")))
            }
        };
        Proof { name, section, verdict }
    }
}
