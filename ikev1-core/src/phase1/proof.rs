use crate::auth::{Authentication, ProofKind};
use crate::crypto::Digest;
use crate::error::{DropReason, Failure};
use crate::phase1::body;
use crate::plan::ConnectionPlan;
use crate::refused::Refused;
use crate::ride_along::certificate::{self, Asked};
use alloc::vec::Vec;
use ipsec_wire::isakmp::payload::{Hash, Signature};
use ipsec_wire::isakmp::{ChainBuilder, Payloads};
use ipsec_wire::registry::PayloadType;
use rand_core::CryptoRng;

/// What a message of the peer proves by itself.
#[derive(Debug)]
pub(crate) enum Proof {
    /// Its HASH is right: the peer knows the key.
    Known,
    /// Its signature is still to be checked, with a key that is still to be found.
    Claimed(Claim),
}

/// A signature that was not checked yet.
#[derive(Debug)]
pub(crate) struct Claim {
    /// The hash that was to be signed.
    pub(crate) hash: Digest,
    pub(crate) signature: Vec<u8>,
    /// The certificates that came with it, in DER.
    pub(crate) certificates: Vec<Vec<u8>>,
}

/// Adds this end's proof: `HASH`, or `[CERT..], SIG` (RFC 2409 §5.1), with the key and the certificates that the
/// peer asked for.
///
/// # Errors
/// A key that cannot sign.
pub(crate) fn contribute(
    connection: &ConnectionPlan,
    asked: &Asked,
    hash: &Digest,
    rng: &mut dyn CryptoRng,
    chain: &mut ChainBuilder,
) -> Result<(), Refused> {
    match connection.authentication.credential() {
        None => chain.push(&Hash { data: hash.as_bytes() }),
        Some(credential) => {
            let (key, certificates) = asked.choose(credential, connection.send_certificates);
            let signature = key.sign(hash, rng).map_err(|_| Refused::because(Failure::Signing))?;
            certificate::contribute(certificates, chain);
            chain.push(&Signature { data: signature });
        }
    }
    Ok(())
}

/// Reads the peer's proof over a hash, and checks it if that takes no key of the peer's.
///
/// # Errors
/// A wrong HASH, a certificate that is too long.
pub(crate) fn read(authentication: &Authentication, hash: Digest, payloads: &Payloads<'_>) -> Result<Proof, Refused> {
    match authentication.peer_proof() {
        ProofKind::Hash if hash.matches(body(payloads, PayloadType::HASH)?) => Ok(Proof::Known),
        ProofKind::Hash => Err(DropReason::WrongHash.into()),
        ProofKind::Signature => {
            let signature = body(payloads, PayloadType::SIGNATURE)?.to_vec();
            Ok(Proof::Claimed(Claim { hash, signature, certificates: certificate::absorb(payloads)? }))
        }
    }
}
