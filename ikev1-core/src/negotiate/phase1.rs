use super::{Order, Reason, Refusal, Refusals, Rules};
use crate::proposal::{OfferedPhase1, Phase1Transform};
use alloc::vec;
use alloc::vec::Vec;
use ipsec_wire::isakmp::payload::{Offer, OfferedProposal, SecurityAssociation, Situation, Transform};
use ipsec_wire::registry::{IsakmpTransform, ProtocolId};

/// A phase 1 suite of the plan, with the number that operators know it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Phase1Policy {
    /// The number, for messages.
    pub number: u32,
    /// The suite.
    pub transform: Phase1Transform,
}

/// What a responder chose from a phase 1 offer.
#[derive(Debug, Clone)]
pub struct Phase1Choice {
    /// Index of the policy that took it.
    pub policy: usize,
    /// Number of the transform that was chosen.
    pub transform_number: u8,
    /// The suite, with the lifetime that was settled on.
    pub transform: Phase1Transform,
    /// The SA payload to answer with: the chosen transform unchanged, octet for octet.
    pub answer: Offer,
    /// What was refused before.
    pub refusals: Refusals,
}

/// Builds the offer of an initiator: one proposal, a transform for each suite, numbered from 1.
///
/// Suites beyond the 255th cannot be numbered and are left out.
pub fn offer_phase1(suites: &[Phase1Transform]) -> Offer {
    let transforms = suites.iter().zip(1..=u8::MAX).map(|(suite, number)| suite.to_offered(number)).collect();
    Offer {
        situation: Situation::IDENTITY_ONLY,
        proposals: vec![OfferedProposal { number: 1, protocol: ProtocolId::ISAKMP, spi: Vec::new(), transforms }],
    }
}

/// Chooses from a phase 1 offer as its responder.
///
/// Every transform is compared with every policy, in the order that the rules name, until one fits;
/// the work is bounded by the transforms that an SA payload may hold times the policies.
pub fn choose_phase1(
    offer: &SecurityAssociation<'_>,
    policies: &[Phase1Policy],
    rules: &Rules,
) -> Result<Phase1Choice, Refusals> {
    let mut refusals = Refusals::default();
    let mut candidates = Vec::new();
    for proposal in offer.proposals() {
        if proposal.protocol != ProtocolId::ISAKMP {
            let reason = Reason::Protocol { protocol: proposal.protocol, spi_len: proposal.spi.len() };
            refusals.push(Refusal { proposal: Some(proposal.number), transform: None, policy: None, reason });
            continue;
        }
        for transform in proposal.transforms() {
            match read(&transform) {
                Ok(offered) => candidates.push(Candidate { proposal: proposal.number, transform, offered }),
                Err(reason) => refusals.push(refusal(&transform, None, reason)),
            }
        }
    }
    let pairs: &mut dyn Iterator<Item = (&Candidate<'_>, (usize, &Phase1Policy))> = match rules.order {
        Order::Offer => &mut candidates
            .iter()
            .flat_map(|candidate| policies.iter().enumerate().map(move |policy| (candidate, policy))),
        Order::Plan => &mut policies
            .iter()
            .enumerate()
            .flat_map(|policy| candidates.iter().map(move |candidate| (candidate, policy))),
    };
    for (candidate, (index, policy)) in pairs {
        let wanted = &policy.transform;
        let settled =
            candidate.offered.compare(wanted).and_then(|()| rules.settle(candidate.offered.lifetime, wanted.lifetime));
        match settled {
            Ok(lifetime) => {
                return Ok(Phase1Choice {
                    policy: index,
                    transform_number: candidate.transform.number,
                    transform: Phase1Transform { lifetime, ..*wanted },
                    answer: candidate.answer(),
                    refusals,
                });
            }
            Err(mismatch) => refusals.push(refusal(&candidate.transform, Some(policy.number), mismatch.into())),
        }
    }
    Err(refusals)
}

/// A transform of the offer whose attributes are in form.
struct Candidate<'a> {
    proposal: u8,
    transform: Transform<'a>,
    offered: OfferedPhase1,
}

impl Candidate<'_> {
    fn answer(&self) -> Offer {
        let proposal = OfferedProposal {
            number: self.proposal,
            protocol: ProtocolId::ISAKMP,
            spi: Vec::new(),
            transforms: vec![self.transform.to_offered()],
        };
        Offer { situation: Situation::IDENTITY_ONLY, proposals: vec![proposal] }
    }
}

fn read(transform: &Transform<'_>) -> Result<OfferedPhase1, Reason> {
    if transform.id != IsakmpTransform::KEY_IKE.0 {
        return Err(Reason::NotKeyIke(transform.id));
    }
    Ok(OfferedPhase1::read(transform.attributes)?)
}

fn refusal(transform: &Transform<'_>, policy: Option<u32>, reason: Reason) -> Refusal {
    Refusal { proposal: None, transform: Some(transform.number), policy, reason }
}
