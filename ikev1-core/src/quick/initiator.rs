use crate::crypto::DhKeyPair;
use crate::error::{DropReason, Failure};
use crate::ids::Role;
use crate::keys::IsakmpKeys;
use crate::message::{built, hashed};
use crate::negotiate::{Rules, Suite, check_phase2_answer, offer_phase2};
use crate::phase1::{agree, draw_nonce, peer_nonce};
use crate::plan::{ConnectionPlan, PolicyPlan};
use crate::proposal::{Mode, Protection};
use crate::quick::{Agreement, Ends, Half, Spis, Traffic, original, protocols, responder_lifetime, shortest, suites};
use crate::refused::Refused;
use alloc::vec::Vec;
use ipsec_wire::isakmp::payload::{Hash, KeyExchange, Nonce, SecurityAssociation};
use ipsec_wire::isakmp::{Chain, ChainBuilder, Payloads};
use ipsec_wire::registry::{PayloadType, ProtocolId};
use rand_core::CryptoRng;

/// Message 1 is sent: the offer is on its way.
#[derive(Debug)]
pub(crate) struct WaitHashSaNonce {
    spis: Spis,
    offered: Vec<Suite>,
    ends: Ends,
    ni_b: Vec<u8>,
    pair: Option<DhKeyPair>,
    traffic: Traffic,
    rules: Rules,
    /// Whether the traffic was named; if not, it is that between the ends.
    named: bool,
}

/// Message 2 is lawful: one of our transforms, for our traffic.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) agreement: Agreement,
    pub(crate) inbound: Half,
    pub(crate) outbound: Half,
    nr_b: Vec<u8>,
}

/// Returns what is offered: a policy's suites, but those that a NAT would break.
fn offered(policy: &PolicyPlan, ends: &Ends) -> Vec<Suite> {
    let breaks = |suite: &Suite| suite.parts.iter().any(|part| matches!(part.protection, Protection::Ah { .. }));
    suites(policy).into_iter().filter(|suite| ends.nat.is_none() || !breaks(suite)).collect()
}

/// Returns the protocols that the offer of a policy names, each of which needs an SPI.
///
/// # Errors
/// A policy that nothing can be offered for: all of it is AH and a NAT was found, or transport mode for
/// other addresses than those of the ends.
pub(crate) fn wanted(policy: &PolicyPlan, ends: &Ends) -> Result<Vec<ProtocolId>, Failure> {
    Traffic::wanted(policy, ends)?;
    let protocols = protocols(&offered(policy, ends));
    if protocols.is_empty() { Err(Failure::AhBehindNat) } else { Ok(protocols) }
}

impl WaitHashSaNonce {
    /// Builds message 1: `HASH(1), SA, Ni, [KE], [IDci, IDcr], [NAT-OAi, NAT-OAr]`. Draws the nonce, then
    /// the private exponent.
    ///
    /// # Errors
    /// Transport mode for other addresses than those of the ends.
    pub(crate) fn start(
        (connection, policy): (&ConnectionPlan, &PolicyPlan),
        spis: Spis,
        ends: Ends,
        keys: &IsakmpKeys,
        message_id: u32,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, Chain), Failure> {
        let offered = offered(policy, &ends);
        let traffic = Traffic::wanted(policy, &ends)?;
        let ni_b = draw_nonce(rng);
        let pair = policy.pfs.map(|group| DhKeyPair::generate(group, connection.exponent_bits(group), rng));
        let named = policy.always_send_ids || traffic != Traffic::between(&ends);
        let mut chain = ChainBuilder::new();
        chain.push(&offer_phase2(&offered, ends.udp(), |protocol| spis.of(protocol)));
        chain.push(&Nonce { data: &ni_b });
        if let Some(pair) = &pair {
            chain.push(&KeyExchange { data: pair.public() });
        }
        if named {
            traffic.contribute(&mut chain);
        }
        if policy.mode == Mode::Transport {
            original::contribute(&ends, Role::Initiator, &mut chain);
        }
        let rest = built(chain);
        let hash_1 = keys.hash_1(message_id, rest.octets());
        let rules = policy.rules;
        Ok((Self { spis, offered, ends, ni_b, pair, traffic, rules, named }, hashed(&hash_1, &rest)))
    }

    /// Returns the inbound SPIs of the pair that is being made, those of every protocol offered.
    pub(crate) const fn spis(&self) -> &Spis {
        &self.spis
    }

    /// Checks message 2: HASH(2) before anything else.
    pub(crate) fn check(&self, keys: &IsakmpKeys, message_id: u32, payloads: &Payloads<'_>) -> Result<Answer, Refused> {
        let hash = payloads.find(PayloadType::HASH).ok_or(DropReason::PayloadSet)?;
        if !keys.hash_2(message_id, &self.ni_b, payloads.after(&hash)).matches(hash.body()) {
            return Err(DropReason::WrongHash.into());
        }
        let payload = payloads.find(PayloadType::SA).ok_or(DropReason::PayloadSet)?;
        let answer = SecurityAssociation::parse(payload).map_err(|_| DropReason::Malformed)?;
        let agreed = check_phase2_answer(&self.offered, self.ends.udp(), &answer)
            .map_err(|error| Refused::because(Failure::AnswerNotOffered(error)))?;
        let nr_b = peer_nonce(payloads, &self.ni_b)?.to_vec();
        let shared = match (&self.pair, payloads.find(PayloadType::KEY_EXCHANGE)) {
            (Some(pair), Some(_)) => Some(agree(payloads, pair)?.1),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(Refused::because(Failure::KeyExchange)),
        };
        // Without identities the ends themselves are meant.
        let answered = match Traffic::absorb(payloads)? {
            None if self.named => return Err(Refused::because(Failure::SelectorsChanged)),
            answered => answered.unwrap_or(self.traffic),
        };
        if answered != self.traffic {
            return Err(Refused::because(Failure::SelectorsChanged));
        }
        let announced = responder_lifetime::read(payloads);
        if self.rules.takes(announced).is_err() {
            return Err(Refused::because(Failure::Lifetime(announced)));
        }
        let lifetime = shortest(&agreed.parts).shorter(announced);
        let number = (agreed.proposal_number, agreed.parts);
        let mut agreement = Agreement::new(number, lifetime, self.traffic, None);
        if agreement.mode() == Mode::Transport {
            agreement.original = original::absorb(&self.ends, Role::Initiator, payloads)?;
        }
        let (inbound, outbound) = agreement.halves(keys, shared.as_ref(), &self.spis, (&self.ni_b, &nr_b));
        Ok(Answer { agreement, inbound, outbound, nr_b })
    }

    /// Builds message 3: `HASH(3)`.
    pub(crate) fn commit(self, answer: &Answer, keys: &IsakmpKeys, message_id: u32) -> Chain {
        let hash_3 = keys.hash_3(message_id, &self.ni_b, &answer.nr_b);
        let mut chain = ChainBuilder::new();
        chain.push(&Hash { data: hash_3.as_bytes() });
        built(chain)
    }
}
