//! Base mode, draft-ietf-ipsec-ike-base-mode and RFC 2408 §4.4.
//!
//! ```text
//! Initiator                              Responder
//! HDR, SA, IDii, Ni                -->
//!                                  <--   HDR, SA, IDir, Nr
//! HDR, KE, HASH_I, [NAT-D..]       -->
//!                                  <--   HDR, KE, HASH_R, [NAT-D..]
//! ```
//!
//! With signatures `[CERT..], SIG_I` and `[CERT..], SIG_R` stand in place of the hashes. All four travel in
//! clear. The proofs need no g^xy: each end checks the other's before it computes a power for it.

pub(crate) mod initiator;
pub(crate) mod responder;

use crate::auth::PreSharedKey;
use crate::keys::BaseProof;
use crate::proposal::Phase1Transform;

/// Returns what the proofs are made with: from the pre-shared key, or as signatures have it.
fn proof_key(transform: &Phase1Transform, psk: Option<&PreSharedKey>, ni_b: &[u8], nr_b: &[u8]) -> BaseProof {
    match psk {
        Some(psk) => BaseProof::from_psk(transform.hash, psk, ni_b, nr_b),
        None => BaseProof::from_signature(transform.hash, ni_b, nr_b),
    }
}
