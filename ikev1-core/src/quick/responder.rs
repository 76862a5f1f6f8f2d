use crate::action::OriginalAddresses;
use crate::crypto::{DhKeyPair, Digest};
use crate::error::{DropReason, Failure};
use crate::ids::{PolicyId, Role};
use crate::keys::IsakmpKeys;
use crate::message::{built, check_hash_1, hashed};
use crate::negotiate::{Phase2Choice, Refusals, choose_phase2, spi_octets};
use crate::phase1::{draw_nonce, peer_nonce, peer_public};
use crate::plan::ConnectionPlan;
use crate::proposal::{Bundle, Mode};
use crate::quick::{Agreement, Ends, Half, Spis, Traffic, original, responder_lifetime, shortest, suites};
use crate::refused::Refused;
use alloc::vec::Vec;
use core::net::IpAddr;
use ipsec_wire::isakmp::payload::{KeyExchange, Nonce, Notification, SecurityAssociation};
use ipsec_wire::isakmp::{Chain, ChainBuilder, Payloads};
use ipsec_wire::registry::{Doi, NotifyType, PayloadType, ProtocolId};
use rand_core::CryptoRng;

/// Message 1 is lawful: one of its proposals is one of ours, for traffic of one of our policies.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) policy: PolicyId,
    pub(crate) choice: Phase2Choice,
    ends: Ends,
    traffic: Traffic,
    /// The identities as the peer sent them: they go back unchanged.
    ids: Option<Traffic>,
    original: Option<OriginalAddresses>,
    ni_b: Vec<u8>,
    g_xi: Option<Vec<u8>>,
}

/// Checks message 1: HASH(1) before anything else, then which policy has the traffic, then the proposals.
pub(crate) fn check_request(
    connection: &ConnectionPlan,
    ends: Ends,
    client: Option<IpAddr>,
    keys: &IsakmpKeys,
    message_id: u32,
    payloads: &Payloads<'_>,
) -> Result<Request, Refused> {
    check_hash_1(keys, message_id, payloads)?;
    let ids = Traffic::absorb(payloads)?;
    let asked = ids.map_or(Traffic::between(&ends), Traffic::mirrored);
    let udp = ends.udp();
    let payload = payloads.find(PayloadType::SA).ok_or(DropReason::PayloadSet)?;
    let offer = SecurityAssociation::parse(payload).map_err(|_| DropReason::Malformed)?;
    let ni_b = peer_nonce(payloads, &[])?.to_vec();
    let peer_spi = offer.proposals().next().and_then(|proposal| <[u8; 4]>::try_from(proposal.spi).ok());
    let peer_spi = peer_spi.map(u32::from_be_bytes);
    let mut refusals: Option<Refusals> = None;
    for (id, policy) in connection.policies_for(client) {
        let Some(traffic) = asked.taken(&policy, &ends) else { continue };
        match choose_phase2(&offer, &suites(&policy), udp, &policy.rules) {
            Ok(choice) => {
                let g_xi = match (policy.pfs, payloads.find(PayloadType::KEY_EXCHANGE)) {
                    (Some(group), Some(_)) => {
                        let public = peer_public(payloads, group)?;
                        group.check_public(public).map_err(|_| Refused::because(Failure::KeyExchange))?;
                        Some(public.to_vec())
                    }
                    (None, None) => None,
                    (Some(_), None) | (None, Some(_)) => {
                        let why = Refused::because(Failure::KeyExchange);
                        return Err(why.with_asked(peer_spi, asked.remote, asked.local));
                    }
                };
                let original = match policy.mode {
                    Mode::Tunnel => None,
                    Mode::Transport => original::absorb(&ends, Role::Responder, payloads)?,
                };
                return Ok(Request { policy: id, choice, ends, traffic, ids, original, ni_b, g_xi });
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
    .with_asked(peer_spi, asked.remote, asked.local))
}

impl Request {
    /// Returns what was chosen, in the order of the offer.
    pub(crate) fn bundle(&self) -> Bundle {
        Bundle::new(self.choice.agreement.parts.iter().map(|part| part.transform.protection).collect())
    }

    /// Returns the protocols that were chosen, each of which needs an SPI.
    pub(crate) fn wanted(&self) -> Vec<ProtocolId> {
        self.choice.agreement.parts.iter().map(|part| part.transform.protection.protocol()).collect()
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
    /// Builds message 2: `HASH(2), SA, Nr, [KE], [IDci, IDcr], [NAT-OAi, NAT-OAr]`, and returns the inbound
    /// half.
    ///
    /// Draws the nonce, then the private exponent.
    ///
    /// # Errors
    /// A public value of the peer that gives the secret away.
    pub(crate) fn start(
        request: Request,
        connection: &ConnectionPlan,
        spis: &Spis,
        keys: &IsakmpKeys,
        message_id: u32,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, Half, Chain), Failure> {
        let Request { choice, ends, traffic, ids, original, ni_b, g_xi, .. } = request;
        let (number, parts) = (choice.agreement.proposal_number, choice.agreement.parts.clone());
        let nr_b = draw_nonce(rng);
        let mut chain = ChainBuilder::new();
        chain.push(&choice.answer(|protocol| spis.of(protocol)));
        chain.push(&Nonce { data: &nr_b });
        let mut shared = None;
        let pfs = parts.iter().find_map(|part| part.transform.pfs);
        if let (Some(group), Some(g_xi)) = (pfs, g_xi) {
            let pair = DhKeyPair::generate(group, connection.exponent_bits(group), rng);
            chain.push(&KeyExchange { data: pair.public() });
            shared = Some(pair.agree(&g_xi).map_err(|_| Failure::KeyExchange)?);
        }
        if let Some(ids) = ids {
            ids.contribute(&mut chain);
        }
        if parts.iter().any(|part| part.transform.mode == Mode::Transport) {
            original::contribute(&ends, Role::Responder, &mut chain);
        }
        for (part, offered) in parts.iter().zip(choice.offered_lifetimes()) {
            // This end will keep a shorter life than the one that was offered.
            let lifetime = part.transform.lifetime;
            if offered != lifetime {
                let protocol = part.transform.protection.protocol();
                chain.push(&Notification {
                    doi: Doi::IPSEC,
                    protocol,
                    notify_type: NotifyType::RESPONDER_LIFETIME,
                    spi: spi_octets(protocol, part.peer_spi),
                    data: responder_lifetime::write(lifetime),
                });
            }
        }
        let rest = built(chain);
        let hash_2 = keys.hash_2(message_id, &ni_b, rest.octets());
        let hash_3 = keys.hash_3(message_id, &ni_b, &nr_b);
        let lifetime = shortest(&parts);
        let agreement = Agreement::new((number, parts), lifetime, traffic, original);
        let (inbound, outbound) = agreement.halves(keys, shared.as_ref(), spis, (&ni_b, &nr_b));
        Ok((Self { agreement, outbound, hash_3 }, inbound, hashed(&hash_2, &rest)))
    }

    /// Checks message 3: HASH(3) proves that message 1 was no replay.
    pub(crate) fn check(&self, payloads: &Payloads<'_>) -> Result<(), Refused> {
        let hash = payloads.find(PayloadType::HASH).ok_or(DropReason::PayloadSet)?;
        if self.hash_3.matches(hash.body()) { Ok(()) } else { Err(DropReason::WrongHash.into()) }
    }
}
