use crate::crypto::{DhKeyPair, Digest};
use crate::error::{DropReason, Failure};
use crate::ids::PolicyId;
use crate::keys::IsakmpKeys;
use crate::message::{built, check_hash_1, hashed};
use crate::negotiate::{AgreedPart, Phase2Choice, Refusals, Rules, choose_phase2};
use crate::phase1::{draw_nonce, peer_nonce, peer_public};
use crate::plan::{ConnectionPlan, PolicyPlan};
use crate::proposal::{IpsecTransform, OfferedIpsec, UdpEncapsulation};
use crate::quick::{Agreement, Half, client_ids, halves, identification, responder_lifetime, suites};
use crate::refused::Refused;
use crate::selector::TrafficSelector;
use alloc::vec::Vec;
use core::net::IpAddr;
use ipsec_wire::isakmp::payload::{Emit, KeyExchange, Nonce, Notification, Offer, SecurityAssociation};
use ipsec_wire::isakmp::{Chain, ChainBuilder, Payloads};
use ipsec_wire::registry::{Doi, NotifyType, PayloadType};
use rand_core::CryptoRng;

/// Message 1 is lawful: one of its proposals is one of ours, for traffic of one of our policies.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) policy: PolicyId,
    pub(crate) choice: Phase2Choice,
    part: AgreedPart,
    pub(crate) local: TrafficSelector,
    pub(crate) remote: TrafficSelector,
    ids_sent: bool,
    ni_b: Vec<u8>,
    g_xi: Option<Vec<u8>>,
}

/// Checks message 1: HASH(1) before anything else, then which policy has the traffic, then the proposals.
pub(crate) fn check_request(
    connection: &ConnectionPlan,
    (local_end, remote_end): (IpAddr, IpAddr),
    client: Option<IpAddr>,
    udp: Option<UdpEncapsulation>,
    keys: &IsakmpKeys,
    message_id: u32,
    payloads: &Payloads<'_>,
) -> Result<Request, Refused> {
    check_hash_1(keys, message_id, payloads)?;
    let ids = client_ids(payloads)?;
    let ends = (TrafficSelector::host(remote_end), TrafficSelector::host(local_end));
    let (remote, local) = ids.unwrap_or(ends);
    let payload = payloads.find(PayloadType::SA).ok_or(DropReason::PayloadSet)?;
    let offer = SecurityAssociation::parse(payload).map_err(|_| DropReason::Malformed)?;
    let ni_b = peer_nonce(payloads, &[])?.to_vec();
    let peer_spi = offer.proposals().next().and_then(|proposal| <[u8; 4]>::try_from(proposal.spi).ok());
    let peer_spi = peer_spi.map(u32::from_be_bytes);
    let takes = |policy: &PolicyPlan| {
        let exact = policy.local == local && policy.remote == remote;
        exact || policy.accept_narrower && policy.local.contains(&local) && policy.remote.contains(&remote)
    };
    let mut refusals: Option<Refusals> = None;
    for (id, policy) in connection.policies_for(client).filter(|(_, policy)| takes(policy)) {
        match choose_phase2(&offer, &suites(&policy), udp, &Rules::default()) {
            Ok(choice) => {
                let part = *choice.agreement.parts.first().ok_or(DropReason::Malformed)?;
                let g_xi = match (part.transform.pfs, payloads.find(PayloadType::KEY_EXCHANGE)) {
                    (Some(group), Some(_)) => {
                        let public = peer_public(payloads, group)?;
                        group.check_public(public).map_err(|_| Refused::because(Failure::KeyExchange))?;
                        Some(public.to_vec())
                    }
                    (None, None) => None,
                    (Some(_), None) | (None, Some(_)) => {
                        return Err(Refused::because(Failure::KeyExchange).with_asked(peer_spi, remote, local));
                    }
                };
                let ids_sent = ids.is_some();
                return Ok(Request { policy: id, choice, part, local, remote, ids_sent, ni_b, g_xi });
            }
            Err(why) => {
                refusals.get_or_insert(why);
            }
        }
    }
    Err(match refusals {
        Some(refusals) => Refused::offer(Failure::NoProposalChosen, refusals),
        None => Refused::because(Failure::NoPolicy),
    }
    .with_asked(peer_spi, remote, local))
}

impl Request {
    /// Returns the transform that was chosen.
    pub(crate) const fn transform(&self) -> &IpsecTransform {
        &self.part.transform
    }
}

/// Message 2 is sent: the inbound half is in force.
#[derive(Debug)]
pub(crate) struct WaitHash {
    pub(crate) agreement: Agreement,
    pub(crate) outbound: Half,
    hash_3: Digest,
}

impl WaitHash {
    /// Builds message 2: `HASH(2), SA, Nr, [KE], [IDci, IDcr]`, and returns the inbound half.
    ///
    /// Draws the nonce, then the private exponent.
    ///
    /// # Errors
    /// A public value of the peer that gives the secret away.
    pub(crate) fn start(
        request: Request,
        connection: &ConnectionPlan,
        spi: u32,
        keys: &IsakmpKeys,
        message_id: u32,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, Half, Chain), Failure> {
        let Request { choice, part, local, remote, ids_sent, ni_b, g_xi, .. } = request;
        let AgreedPart { transform, udp, peer_spi } = part;
        let nr_b = draw_nonce(rng);
        let mut chain = ChainBuilder::new();
        let answer = choice.answer(|_| spi);
        chain.push(&answer);
        chain.push(&Nonce { data: &nr_b });
        let mut shared = None;
        if let (Some(group), Some(g_xi)) = (transform.pfs, g_xi) {
            let pair = DhKeyPair::generate(group, connection.exponent_bits(group), rng);
            chain.push(&KeyExchange { data: pair.public() });
            shared = Some(pair.agree(&g_xi).map_err(|_| Failure::KeyExchange)?);
        }
        if ids_sent {
            chain.push(&identification(&remote));
            chain.push(&identification(&local));
        }
        if is_shortened(&answer, part) {
            chain.push(&Notification {
                doi: Doi::IPSEC,
                protocol: transform.protection.protocol(),
                notify_type: NotifyType::RESPONDER_LIFETIME,
                spi: peer_spi.to_be_bytes().to_vec(),
                data: responder_lifetime::write(transform.lifetime),
            });
        }
        let rest = built(chain);
        let hash_2 = keys.hash_2(message_id, &ni_b, rest.octets());
        let hash_3 = keys.hash_3(message_id, &ni_b, &nr_b);
        let (inbound, outbound) = halves(keys, &transform, shared.as_ref(), (spi, peer_spi), &ni_b, &nr_b);
        let number = choice.agreement.proposal_number;
        let agreement = Agreement { transform, number, udp, lifetime: transform.lifetime, local, remote };
        Ok((Self { agreement, outbound, hash_3 }, inbound, hashed(&hash_2, &rest)))
    }

    /// Checks message 3: HASH(3) proves that message 1 was no replay.
    pub(crate) fn check(&self, payloads: &Payloads<'_>) -> Result<(), Refused> {
        let hash = payloads.find(PayloadType::HASH).ok_or(DropReason::PayloadSet)?;
        if self.hash_3.matches(hash.body()) { Ok(()) } else { Err(DropReason::WrongHash.into()) }
    }
}

/// Returns whether this end will keep a shorter life than the one that was offered.
fn is_shortened(answer: &Offer, part: AgreedPart) -> bool {
    let body = answer.to_body().unwrap_or_default();
    let Ok(answer) = SecurityAssociation::parse(body.as_slice()) else { return false };
    let offered = answer.proposals().next().and_then(|proposal| {
        let transform = proposal.transforms().next()?;
        OfferedIpsec::read(proposal.protocol, &transform).ok()
    });
    offered.is_some_and(|offered| offered.lifetime.seconds > part.transform.lifetime.seconds)
}
