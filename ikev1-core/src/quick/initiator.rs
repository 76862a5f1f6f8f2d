use crate::crypto::DhKeyPair;
use crate::error::{DropReason, Failure};
use crate::keys::IsakmpKeys;
use crate::message::{built, hashed};
use crate::negotiate::{Suite, check_phase2_answer, offer_phase2};
use crate::phase1::{agree, draw_nonce, peer_nonce};
use crate::plan::{ConnectionPlan, PolicyPlan};
use crate::proposal::UdpEncapsulation;
use crate::quick::{
    Agreement, Half, Spis, client_ids, identification, protocols, responder_lifetime, shortest, suites,
};
use crate::refused::Refused;
use crate::selector::TrafficSelector;
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
    udp: Option<UdpEncapsulation>,
    ni_b: Vec<u8>,
    pair: Option<DhKeyPair>,
    local: TrafficSelector,
    remote: TrafficSelector,
}

/// Message 2 is lawful: one of our transforms, for our traffic.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) agreement: Agreement,
    pub(crate) inbound: Half,
    pub(crate) outbound: Half,
    nr_b: Vec<u8>,
}

/// Returns the protocols that the offer of a policy names, each of which needs an SPI.
pub(crate) fn wanted(policy: &PolicyPlan) -> Vec<ProtocolId> {
    protocols(&suites(policy))
}

impl WaitHashSaNonce {
    /// Builds message 1: `HASH(1), SA, Ni, [KE], IDci, IDcr`. Draws the nonce, then the private exponent.
    pub(crate) fn start(
        (connection, policy): (&ConnectionPlan, &PolicyPlan),
        spis: Spis,
        udp: Option<UdpEncapsulation>,
        keys: &IsakmpKeys,
        message_id: u32,
        rng: &mut dyn CryptoRng,
    ) -> (Self, Chain) {
        let offered = suites(policy);
        let ni_b = draw_nonce(rng);
        let pair = policy.pfs.map(|group| DhKeyPair::generate(group, connection.exponent_bits(group), rng));
        let (local, remote) = (policy.local, policy.remote);
        let mut chain = ChainBuilder::new();
        chain.push(&offer_phase2(&offered, udp, |protocol| spis.of(protocol)));
        chain.push(&Nonce { data: &ni_b });
        if let Some(pair) = &pair {
            chain.push(&KeyExchange { data: pair.public() });
        }
        chain.push(&identification(&local));
        chain.push(&identification(&remote));
        let rest = built(chain);
        let hash_1 = keys.hash_1(message_id, rest.octets());
        (Self { spis, offered, udp, ni_b, pair, local, remote }, hashed(&hash_1, &rest))
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
        let agreed = check_phase2_answer(&self.offered, self.udp, &answer)
            .map_err(|error| Refused::because(Failure::AnswerNotOffered(error)))?;
        let nr_b = peer_nonce(payloads, &self.ni_b)?.to_vec();
        let shared = match (&self.pair, payloads.find(PayloadType::KEY_EXCHANGE)) {
            (Some(pair), Some(_)) => Some(agree(payloads, pair)?.1),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(Refused::because(Failure::KeyExchange)),
        };
        if client_ids(payloads)? != Some((self.local, self.remote)) {
            return Err(Refused::because(Failure::SelectorsChanged));
        }
        let lifetime = shortest(&agreed.parts).shorter(responder_lifetime::read(payloads));
        let agreement = Agreement::new((agreed.proposal_number, agreed.parts), lifetime, (self.local, self.remote));
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
