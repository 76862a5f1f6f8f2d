//! Phase 1: the two ends agree on keys and prove who they are, RFC 2409 §5.

pub(crate) mod aggressive;
pub(crate) mod base;
pub(crate) mod main;
pub(crate) mod proof;

use crate::auth::PreSharedKey;
use crate::crypto::{DhGroup, DhKeyPair, DhShared};
use crate::error::{DropReason, Failure};
use crate::identity::Identity;
use crate::ids::{Cookies, Role};
use crate::keys::{IsakmpKeys, IvChain, Phase1Keys, Phase1Seed, Transcript};
use crate::negotiate::{Phase1Choice, Phase1Policy, Rules, check_phase1_answer, choose_phase1};
use crate::plan::ConnectionPlan;
use crate::proposal::Phase1Transform;
use crate::refused::Refused;
use alloc::vec::Vec;
use ipsec_wire::isakmp::Payloads;
use ipsec_wire::isakmp::payload::{Emit, Identification, SecurityAssociation};
use ipsec_wire::registry::{IdType, PayloadType};
use rand_core::CryptoRng;

/// The lengths a nonce may have, RFC 2409 §5.
const NONCE: core::ops::RangeInclusive<usize> = 8..=256;

/// What both ends said so far, as it travelled: the hashes of phase 1 cover it.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) cookies: Cookies,
    /// SAi_b: the body of the SA payload that the initiator offered.
    pub(crate) sai_b: Vec<u8>,
    /// g^xi: the body of the initiator's KE payload.
    pub(crate) g_xi: Vec<u8>,
    /// g^xr: the body of the responder's KE payload.
    pub(crate) g_xr: Vec<u8>,
}

impl Said {
    pub(crate) fn transcript(&self) -> Transcript<'_> {
        Transcript {
            cky_i: &self.cookies.initiator.0,
            cky_r: &self.cookies.responder.0,
            g_xi: &self.g_xi,
            g_xr: &self.g_xr,
            sai_b: &self.sai_b,
        }
    }
}

/// What phase 1 leaves behind: the peer proved who it is.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) keys: IsakmpKeys,
    /// Where the IV chain of phase 1 ended: the IVs of all later exchanges come from it.
    pub(crate) iv: IvChain,
    pub(crate) transform: Phase1Transform,
    pub(crate) peer: Identity,
    pub(crate) initial_contact: bool,
}

/// Computes the keys: SKEYID from the pre-shared key, or as signatures have it (RFC 2409 §5).
pub(crate) fn keys(
    transform: &Phase1Transform,
    psk: Option<&PreSharedKey>,
    (ni_b, nr_b): (&[u8], &[u8]),
    g_xy: &DhShared,
    cookies: Cookies,
) -> Phase1Keys {
    let seed = match psk {
        Some(psk) => Phase1Seed::from_psk(transform.hash, psk, ni_b, nr_b),
        None => Phase1Seed::from_signature(transform.hash, ni_b, nr_b, g_xy),
    };
    seed.expand(g_xy, &cookies.initiator.0, &cookies.responder.0, transform.cipher)
}

/// Chooses from the offer of message 1, and returns SAi_b too. Of the transforms of the plan only those that fit
/// may be chosen, if any does.
pub(crate) fn choose(
    connection: &ConnectionPlan,
    payloads: &Payloads<'_>,
    fits: impl Fn(&Phase1Transform) -> bool,
) -> Result<(Phase1Choice, Vec<u8>), Refused> {
    let payload = payloads.find(PayloadType::SA).ok_or(DropReason::PayloadSet)?;
    let offer = SecurityAssociation::parse(payload).map_err(|_| DropReason::Malformed)?;
    let ours = connection.phase1_offer(Role::Responder);
    let any = ours.iter().any(&fits);
    let policies: Vec<Phase1Policy> = (1u32..)
        .zip(ours)
        .filter(|(_, transform)| !any || fits(transform))
        .map(|(number, transform)| Phase1Policy { number, transform })
        .collect();
    let choice = choose_phase1(&offer, &policies, &Rules::default())
        .map_err(|refusals| Refused::offer(Failure::NoProposalChosen, refusals))?;
    Ok((choice, payload.body().to_vec()))
}

/// Returns which of the transforms offered message 2 answers with, and its number, from 1.
pub(crate) fn answered(
    offered: &[Phase1Transform],
    payloads: &Payloads<'_>,
) -> Result<(Phase1Transform, usize), Refused> {
    let payload = payloads.find(PayloadType::SA).ok_or(DropReason::PayloadSet)?;
    let answer = SecurityAssociation::parse(payload).map_err(|_| DropReason::Malformed)?;
    let index =
        check_phase1_answer(offered, &answer).map_err(|error| Refused::because(Failure::AnswerNotOffered(error)))?;
    Ok((*offered.get(index).ok_or(DropReason::Malformed)?, index.saturating_add(1)))
}

/// Returns the body of the payload of a type, which the transition table says is there.
fn body<'a>(payloads: &Payloads<'a>, payload_type: PayloadType) -> Result<&'a [u8], DropReason> {
    payloads.find(payload_type).map(|payload| payload.body()).ok_or(DropReason::PayloadSet)
}

/// Draws a nonce.
pub(crate) fn draw_nonce(rng: &mut dyn CryptoRng) -> Vec<u8> {
    let mut nonce = alloc::vec![0; crate::defaults::NONCE_LENGTH];
    rng.fill_bytes(&mut nonce);
    nonce
}

/// Reads the peer's nonce; our own that comes back is a mirror.
pub(crate) fn peer_nonce<'a>(payloads: &Payloads<'a>, ours: &[u8]) -> Result<&'a [u8], Refused> {
    let nonce = body(payloads, PayloadType::NONCE)?;
    if NONCE.contains(&nonce.len()) && nonce != ours { Ok(nonce) } else { Err(Refused::because(Failure::Nonce)) }
}

/// Reads the peer's public value and computes g^xy; our own that comes back is a mirror.
pub(crate) fn agree<'a>(payloads: &Payloads<'a>, ours: &DhKeyPair) -> Result<(&'a [u8], DhShared), Refused> {
    let theirs = peer_public(payloads, ours.group())?;
    if theirs == ours.public() {
        return Err(Refused::because(Failure::KeyExchange));
    }
    let shared = ours.agree(theirs).map_err(|_| Refused::because(Failure::KeyExchange))?;
    Ok((theirs, shared))
}

/// Reads the peer's public value and checks its length: the rest is checked before any power is computed.
pub(crate) fn peer_public<'a>(payloads: &Payloads<'a>, group: DhGroup) -> Result<&'a [u8], Refused> {
    let theirs = body(payloads, PayloadType::KEY_EXCHANGE)?;
    if theirs.len() == group.public_len() { Ok(theirs) } else { Err(Refused::because(Failure::KeyExchange)) }
}

/// Returns the identification payload of this end.
pub(crate) fn identification(identity: &Identity) -> Identification<Vec<u8>> {
    Identification { id_type: IdType(identity.type_number()), protocol: 0, port: 0, data: identity.data() }
}

/// Returns its body as it is hashed: IDii_b or IDir_b.
pub(crate) fn identification_body(identification: &Identification<Vec<u8>>) -> Vec<u8> {
    identification.to_body().unwrap_or_default()
}

/// Reads the identification payload of the peer.
///
/// Protocol and port are 0 and 0, or UDP and the port of ISAKMP (RFC 2407 §4.6.2); behind a NAT the
/// port may be any, so it is not compared. An identity of no type and no octets is a key id of none: no
/// certificate proves it.
pub(crate) fn peer_identity(payloads: &Payloads<'_>) -> Result<Identity, Refused> {
    let payload = payloads.find(PayloadType::IDENTIFICATION).ok_or(DropReason::PayloadSet)?;
    let id = Identification::parse(payload).map_err(|_| DropReason::Malformed)?;
    // The client of hybrid authentication need not say who it is; XAUTH will.
    if id.id_type == IdType(0) && id.data.is_empty() {
        return Ok(Identity::KeyId(Vec::new()));
    }
    if !matches!((id.protocol, id.port), (0, 0) | (17, _)) {
        return Err(Refused::because(Failure::BadIdentity));
    }
    Identity::read(id.id_type.0, id.data).map_err(|_| Refused::because(Failure::BadIdentity))
}
