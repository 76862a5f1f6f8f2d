use super::phase2::{bundles, reserved, spi};
use super::refusal::named;
use super::{AgreedPart, Agreement, Suite};
use crate::proposal::{
    AttributeError, IpsecTransform, Lifetime, Mismatch, OfferedIpsec, OfferedPhase1, Phase1Transform, Term,
    UdpEncapsulation,
};
use alloc::vec::Vec;
use ipsec_wire::isakmp::payload::{Proposal, SecurityAssociation, Transform};
use ipsec_wire::registry::{IsakmpTransform, ProtocolId};
use thiserror::Error;

/// Why an answer is not one of the offered transforms, unchanged (RFC 2409 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// An answer holds one proposal, or the ANDed ones of one number.
    #[error("{0} proposals in an answer")]
    Proposals(usize),
    /// Each proposal of an answer holds one transform.
    #[error("{0} transforms in an answer")]
    Transforms(usize),
    /// No suite that was offered has these protocols.
    #[error("{} was not offered so", named(*.0))]
    Protocols(ProtocolId),
    /// A phase 1 transform that is not KEY_IKE.
    #[error("transform id {0}, wanted KEY_IKE")]
    NotKeyIke(u8),
    /// The attributes could not be read.
    #[error("{0}")]
    Attributes(#[from] AttributeError),
    /// A term has a value that no offered transform has with the others.
    #[error("changed: {0}")]
    Changed(#[from] Mismatch),
    /// The SPI is one of the 256 that are reserved (RFC 4303 §2.1).
    #[error("SPI {0:#010x} is reserved")]
    ReservedSpi(u32),
}

/// Checks the answer to a phase 1 offer and returns the index of the suite that was chosen.
///
/// The answer must be one of the offered suites with every attribute as it was offered. If none is,
/// the error tells what was changed in the suite that bears the answer's transform number.
pub fn check_phase1_answer(
    offered: &[Phase1Transform],
    answer: &SecurityAssociation<'_>,
) -> Result<usize, AnswerError> {
    let mut proposals = answer.proposals();
    let (Some(proposal), None) = (proposals.next(), proposals.next()) else {
        return Err(AnswerError::Proposals(answer.proposal_count()));
    };
    if proposal.protocol != ProtocolId::ISAKMP {
        return Err(AnswerError::Protocols(proposal.protocol));
    }
    let transform = only_transform(&proposal)?;
    if transform.id != IsakmpTransform::KEY_IKE.0 {
        return Err(AnswerError::NotKeyIke(transform.id));
    }
    let read = OfferedPhase1::read(transform.attributes)?;
    let unchanged =
        |suite: &Phase1Transform| read.compare(suite).and_then(|()| same_lifetime(read.lifetime, suite.lifetime));
    match offered.iter().position(|suite| unchanged(suite).is_ok()) {
        Some(index) => Ok(index),
        None => {
            let named = usize::from(transform.number).checked_sub(1).and_then(|index| offered.get(index));
            named.or(offered.first()).map_or(Ok(()), unchanged)?;
            Err(AnswerError::Protocols(ProtocolId::ISAKMP))
        }
    }
}

/// Checks the answer to a phase 2 offer and returns what was agreed.
///
/// All proposals must have the same number, one transform each, and together be one of the offered
/// suites with every attribute as it was offered.
pub fn check_phase2_answer(
    offered: &[Suite],
    udp: Option<UdpEncapsulation>,
    answer: &SecurityAssociation<'_>,
) -> Result<Agreement, AnswerError> {
    let bundles = bundles(answer);
    let [bundle] = bundles.as_slice() else {
        return Err(AnswerError::Proposals(answer.proposal_count()));
    };
    let mut parts = Vec::new();
    for proposal in bundle {
        let transform = only_transform(proposal)?;
        let peer_spi = spi(proposal.spi);
        if reserved(proposal.protocol, peer_spi) {
            return Err(AnswerError::ReservedSpi(peer_spi));
        }
        parts.push((OfferedIpsec::read(proposal.protocol, &transform)?, peer_spi));
    }
    // The refusal worth telling is that of the suite which came nearest.
    let mut nearest: Option<(usize, AnswerError)> = None;
    for (index, suite) in offered.iter().enumerate() {
        match agree(&parts, suite, udp) {
            Ok(parts) => {
                let proposal_number = bundle.first().map_or(0, |proposal| proposal.number);
                return Ok(Agreement { suite: index, proposal_number, parts });
            }
            Err((depth, error)) => {
                if nearest.is_none_or(|(deepest, _)| depth > deepest) {
                    nearest = Some((depth, error));
                }
            }
        }
    }
    Err(nearest.map_or(AnswerError::Proposals(0), |(_, error)| error))
}

/// Fits the parts of an answer to a suite; an error tells how many parts had fitted.
fn agree(
    parts: &[(OfferedIpsec, u32)],
    suite: &Suite,
    udp: Option<UdpEncapsulation>,
) -> Result<Vec<AgreedPart>, (usize, AnswerError)> {
    let mut wanted: Vec<&IpsecTransform> = suite.parts.iter().collect();
    let mut agreed = Vec::new();
    for (read, peer_spi) in parts {
        let at = wanted.iter().position(|part| part.protection.protocol() == read.protocol);
        let Some(at) = at else {
            return Err((agreed.len(), AnswerError::Protocols(read.protocol)));
        };
        let part = wanted.remove(at);
        let encapsulated = read.encapsulation.and_then(UdpEncapsulation::of);
        read.compare(part, udp)
            .and_then(|()| same_lifetime(read.lifetime, part.lifetime))
            .map_err(|mismatch| (agreed.len(), mismatch.into()))?;
        agreed.push(AgreedPart { transform: *part, udp: encapsulated, peer_spi: *peer_spi });
    }
    match wanted.first() {
        None => Ok(agreed),
        Some(missing) => Err((agreed.len(), AnswerError::Protocols(missing.protection.protocol()))),
    }
}

fn only_transform<'a>(proposal: &Proposal<'a>) -> Result<Transform<'a>, AnswerError> {
    let mut transforms = proposal.transforms();
    match (transforms.next(), transforms.next()) {
        (Some(transform), None) => Ok(transform),
        _ => Err(AnswerError::Transforms(proposal.transform_count())),
    }
}

fn same_lifetime(answered: Lifetime, offered: Lifetime) -> Result<(), Mismatch> {
    if answered == offered {
        return Ok(());
    }
    Err(Mismatch { offered: Term::Lifetime(answered), wanted: Term::Lifetime(offered) })
}
