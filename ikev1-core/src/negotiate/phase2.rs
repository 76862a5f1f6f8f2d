use super::{Order, Reason, Refusal, Refusals, Rules};
use crate::proposal::{IpsecTransform, Lifetime, OfferedIpsec, UdpEncapsulation};
use alloc::vec;
use alloc::vec::Vec;
use ipsec_wire::isakmp::payload::{
    Offer, OfferedProposal, OfferedTransform, Proposal, SecurityAssociation, Situation, Transform,
};
use ipsec_wire::registry::ProtocolId;

/// A phase 2 suite of the plan: the protocols that protect a packet together, each with its algorithms.
///
/// One part alone, or several that are ANDed: at most one for each protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// The number, for messages.
    pub number: u32,
    /// The parts, in the order in which they are applied to an outbound packet.
    pub parts: Vec<IpsecTransform>,
}

/// What the peers agreed on for one protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgreedPart {
    /// The suite's part, with the lifetime that was settled on.
    pub transform: IpsecTransform,
    /// How it is encapsulated in UDP, if it is.
    pub udp: Option<UdpEncapsulation>,
    /// The SPI that the peer wants to be reached by; of IPComp the CPI.
    pub peer_spi: u32,
}

/// What the peers agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Index of the suite.
    pub suite: usize,
    /// Number of the proposal.
    pub proposal_number: u8,
    /// Its parts, in the order of the proposal payloads.
    pub parts: Vec<AgreedPart>,
}

/// What a responder chose from a phase 2 offer.
#[derive(Debug, Clone)]
pub struct Phase2Choice {
    /// What was agreed.
    pub agreement: Agreement,
    /// What was refused before.
    pub refusals: Refusals,
    transforms: Vec<OfferedTransform>,
    lifetimes: Vec<Lifetime>,
}

impl Phase2Choice {
    /// Returns the lifetimes that were offered, one for each part of the agreement.
    pub(crate) fn offered_lifetimes(&self) -> impl Iterator<Item = Lifetime> {
        self.lifetimes.iter().copied()
    }

    /// Builds the SA payload to answer with: the chosen transforms unchanged, with SPIs of our own.
    pub fn answer(&self, our_spi: impl Fn(ProtocolId) -> u32) -> Offer {
        let parts = self.agreement.parts.iter().zip(&self.transforms);
        let proposals = parts.map(|(part, transform)| {
            let protocol = part.transform.protection.protocol();
            OfferedProposal {
                number: self.agreement.proposal_number,
                protocol,
                spi: spi_octets(protocol, our_spi(protocol)),
                transforms: vec![transform.clone()],
            }
        });
        Offer { situation: Situation::IDENTITY_ONLY, proposals: proposals.collect() }
    }
}

/// Builds the offer of an initiator; `our_spi` is asked for an SPI for each protocol.
///
/// Suites of one part that follow each other with the same protocol become the transforms of one
/// proposal; every other suite is a proposal of its own, its parts ANDed. Proposals beyond the 255th
/// cannot be numbered and are left out.
pub fn offer_phase2(suites: &[Suite], udp: Option<UdpEncapsulation>, our_spi: impl Fn(ProtocolId) -> u32) -> Offer {
    let mut proposals: Vec<OfferedProposal> = Vec::new();
    let mut number = 0_u8;
    let mut open = false;
    for suite in suites {
        if let ([part], true, Some(last)) = (suite.parts.as_slice(), open, proposals.last_mut()) {
            let next = last.transforms.len().checked_add(1).and_then(|next| u8::try_from(next).ok());
            if let (true, Some(next)) = (last.protocol == part.protection.protocol(), next) {
                last.transforms.push(part.to_offered(next, udp));
                continue;
            }
        }
        let Some(next) = number.checked_add(1) else { break };
        number = next;
        proposals.extend(suite.parts.iter().map(|part| {
            let protocol = part.protection.protocol();
            let spi = spi_octets(protocol, our_spi(protocol));
            OfferedProposal { number, protocol, spi, transforms: vec![part.to_offered(1, udp)] }
        }));
        open = suite.parts.len() == 1;
    }
    Offer { situation: Situation::IDENTITY_ONLY, proposals }
}

/// Chooses from a phase 2 offer as its responder.
///
/// Proposals of the same number are ANDed: all of them fit the same suite, or none is taken. `udp`
/// tells that a NAT was found.
pub fn choose_phase2(
    offer: &SecurityAssociation<'_>,
    suites: &[Suite],
    udp: Option<UdpEncapsulation>,
    rules: &Rules,
) -> Result<Phase2Choice, Refusals> {
    let mut refusals = Refusals::default();
    let bundles = bundles(offer);
    let tries: Vec<Try<'_, '_>> = bundles.iter().flat_map(|bundle| tries(bundle)).collect();
    let pairs: &mut dyn Iterator<Item = (&Try<'_, '_>, (usize, &Suite))> = match rules.order {
        Order::Offer => &mut tries.iter().flat_map(|one| suites.iter().enumerate().map(move |suite| (one, suite))),
        Order::Plan => &mut suites.iter().enumerate().flat_map(|suite| tries.iter().map(move |one| (one, suite))),
    };
    for (one, (index, suite)) in pairs {
        let mut fitting = Fitting { suite, udp, rules, refusals: &mut refusals };
        if let Some(fitted) = fitting.fit(one) {
            let mut choice = Phase2Choice {
                agreement: Agreement { suite: index, proposal_number: one.first.number, parts: Vec::new() },
                refusals,
                transforms: Vec::new(),
                lifetimes: Vec::new(),
            };
            for Fitted { part, transform, lifetime } in fitted {
                choice.agreement.parts.push(part);
                choice.transforms.push(transform);
                choice.lifetimes.push(lifetime);
            }
            return Ok(choice);
        }
    }
    Err(refusals)
}

/// One transform of the first proposal of a number, to be tried with the ANDed proposals behind it.
struct Try<'o, 'a> {
    first: &'o Proposal<'a>,
    transform: Transform<'a>,
    companions: &'o [Proposal<'a>],
    /// Whether no other transform of the first proposal follows.
    last: bool,
}

fn tries<'o, 'a>(bundle: &'o [Proposal<'a>]) -> impl Iterator<Item = Try<'o, 'a>> {
    bundle.split_first().into_iter().flat_map(|(first, companions)| {
        let count = first.transform_count();
        first.transforms().zip(1..).map(move |(transform, at)| Try { first, transform, companions, last: at == count })
    })
}

/// Gathers the proposals of the same number that follow each other.
pub(super) fn bundles<'a>(offer: &SecurityAssociation<'a>) -> Vec<Vec<Proposal<'a>>> {
    let mut bundles: Vec<Vec<Proposal<'a>>> = Vec::new();
    for proposal in offer.proposals() {
        match bundles.last_mut() {
            Some(bundle) if bundle.last().is_some_and(|before| before.number == proposal.number) => {
                bundle.push(proposal);
            }
            _ => bundles.push(vec![proposal]),
        }
    }
    bundles
}

/// One part of a suite, with the transform that fits it.
struct Fitted {
    part: AgreedPart,
    transform: OfferedTransform,
    /// The lifetime that was offered.
    lifetime: Lifetime,
}

/// Fits what was offered to one suite, and keeps the reasons why it does not.
struct Fitting<'s> {
    suite: &'s Suite,
    udp: Option<UdpEncapsulation>,
    rules: &'s Rules,
    refusals: &'s mut Refusals,
}

impl Fitting<'_> {
    fn fit(&mut self, one: &Try<'_, '_>) -> Option<Vec<Fitted>> {
        let mut wanted: Vec<&IpsecTransform> = self.suite.parts.iter().collect();
        let mut fitted = Vec::new();
        let mut left = one.companions.iter();
        match self.part(one.first, &mut wanted, [one.transform].into_iter(), false) {
            Some(part) => fitted.push(part),
            None if one.last => {}
            None => return None,
        }
        if !fitted.is_empty() {
            for companion in left.by_ref() {
                let Some(part) = self.part(companion, &mut wanted, companion.transforms(), true) else { break };
                fitted.push(part);
            }
        }
        for skipped in left {
            self.refuse(skipped, None, Reason::Skipped(skipped.protocol));
        }
        if fitted.len() <= one.companions.len() {
            return None;
        }
        if let Some(missing) = wanted.first() {
            self.refuse(one.first, None, Reason::NoCompanion(missing.protection.protocol()));
            return None;
        }
        Some(fitted)
    }

    /// Finds the first of the transforms that the suite's part for this protocol takes.
    fn part<'a>(
        &mut self,
        proposal: &Proposal<'a>,
        wanted: &mut Vec<&IpsecTransform>,
        transforms: impl Iterator<Item = Transform<'a>>,
        companion: bool,
    ) -> Option<Fitted> {
        let (protocol, spi_len) = (proposal.protocol, proposal.spi.len());
        let Some(at) = wanted.iter().position(|part| part.protection.protocol() == protocol) else {
            let reason = match companion {
                true => Reason::Companion { protocol, spi_len },
                false => Reason::Protocol { protocol, spi_len },
            };
            self.refuse(proposal, None, reason);
            return None;
        };
        let part = wanted.remove(at);
        if protocol == ProtocolId::AH && self.udp.is_some() {
            self.refuse(proposal, None, Reason::AhBehindNat);
            return None;
        }
        let peer_spi = spi(proposal.spi);
        if reserved(protocol, peer_spi) {
            self.refuse(proposal, None, Reason::ReservedSpi(peer_spi));
            return None;
        }
        for transform in transforms {
            match self.judge(protocol, &transform, part) {
                Ok((agreed, udp, lifetime)) => {
                    let part = AgreedPart { transform: agreed, udp, peer_spi };
                    return Some(Fitted { part, transform: transform.to_offered(), lifetime });
                }
                Err(reason) => self.refuse(proposal, Some(transform.number), reason),
            }
        }
        None
    }

    fn judge(
        &self,
        protocol: ProtocolId,
        transform: &Transform<'_>,
        part: &IpsecTransform,
    ) -> Result<(IpsecTransform, Option<UdpEncapsulation>, Lifetime), Reason> {
        let offered = OfferedIpsec::read(protocol, transform)?;
        offered.compare(part, self.udp)?;
        // A lifetime that is not said has a default (RFC 2407 §4.5).
        let unsaid = offered.lifetime == Lifetime::default();
        let said = if unsaid { Lifetime::seconds(Lifetime::DEFAULT_SECONDS) } else { offered.lifetime };
        let lifetime = self.rules.settle(said, part.lifetime)?;
        let udp = offered.encapsulation.and_then(UdpEncapsulation::of);
        Ok((IpsecTransform { lifetime, ..*part }, udp, said))
    }

    fn refuse(&mut self, proposal: &Proposal<'_>, transform: Option<u8>, reason: Reason) {
        let (proposal, policy) = (Some(proposal.number), Some(self.suite.number));
        self.refusals.push(Refusal { proposal, transform, policy, reason });
    }
}

/// Reads an SPI of up to four octets; longer ones cannot come, the codec has checked.
pub(super) fn spi(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |value, octet| value << 8 | u32::from(*octet))
}

/// Returns whether the SPI is one that no SA may have (RFC 4303 §2.1, RFC 4302 §2.4).
pub(super) fn reserved(protocol: ProtocolId, spi: u32) -> bool {
    protocol != ProtocolId::IPCOMP && spi < 256
}

/// Writes an SPI: four octets, of IPComp two (RFC 3173 §4.1).
pub(crate) fn spi_octets(protocol: ProtocolId, spi: u32) -> Vec<u8> {
    let [_, _, high, low] = spi.to_be_bytes();
    match protocol {
        ProtocolId::IPCOMP => vec![high, low],
        _ => spi.to_be_bytes().to_vec(),
    }
}
