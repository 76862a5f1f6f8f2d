use crate::auth::{Authentication, PreSharedKey};
use crate::crypto::{DhKeyPair, DhShared};
use crate::error::Failure;
use crate::identity::Identity;
use crate::ids::Cookies;
use crate::keys::{BaseProof, IvChain, Phase1Keys};
use crate::message::built;
use crate::negotiate::Phase1Choice;
use crate::phase1::base::proof_key;
use crate::phase1::proof::{self, Proof};
use crate::phase1::{self, Proven, Said};
use crate::plan::{ConnectionPlan, Phase1Mode};
use crate::proposal::Phase1Transform;
use crate::refused::Refused;
use crate::ride_along::certificate::Asked;
use crate::ride_along::vendor::Capabilities;
use crate::ride_along::{certificate, nat_detection, vendor};
use alloc::vec::Vec;
use drive::Path;
use ipsec_wire::isakmp::payload::{KeyExchange, Nonce};
use ipsec_wire::isakmp::{Chain, ChainBuilder, Payloads};
use ipsec_wire::registry::PayloadType;
use nat_t::Location;
use rand_core::CryptoRng;

/// Message 1 is lawful: one of its transforms is one of ours.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) choice: Phase1Choice,
    pub(crate) capabilities: Capabilities,
    sai_b: Vec<u8>,
    ni_b: Vec<u8>,
    idii_b: Vec<u8>,
    asked: Asked,
}

/// Checks message 1 against a connection.
pub(crate) fn check_offer(connection: &ConnectionPlan, payloads: &Payloads<'_>) -> Result<Offer, Refused> {
    let (choice, sai_b) = phase1::choose(connection, payloads, |_| true)?;
    let ni_b = phase1::peer_nonce(payloads, &[])?.to_vec();
    let idii_b = phase1::body(payloads, PayloadType::IDENTIFICATION)?.to_vec();
    let capabilities = vendor::absorb_offer(connection, Phase1Mode::Base, payloads);
    Ok(Offer { choice, capabilities, sai_b, ni_b, idii_b, asked: Asked::read(payloads) })
}

/// Message 2 is sent: the choice is made, and each end has said who it is.
#[derive(Debug)]
pub(crate) struct SaRecv {
    cookies: Cookies,
    transform: Phase1Transform,
    capabilities: Capabilities,
    pub(crate) peer: Identity,
    sai_b: Vec<u8>,
    ni_b: Vec<u8>,
    nr_b: Vec<u8>,
    idii_b: Vec<u8>,
    idir_b: Vec<u8>,
    key: BaseProof,
    /// What message 1 asked for.
    asked: Asked,
}

/// Message 3 is lawful in form; no power is computed yet.
#[derive(Debug)]
pub(crate) struct Received {
    g_xi: Vec<u8>,
    asked: Asked,
    pub(crate) nat: Location,
}

/// Our half of the exchange, and the shared value.
#[derive(Debug)]
pub(crate) struct Agreed {
    pair: DhKeyPair,
    shared: DhShared,
}

impl SaRecv {
    /// Builds message 2: `HDR, SA, IDir, Nr, [CERTREQ..]`. The peer must prove itself with `psk`, or sign.
    /// Draws the nonce.
    pub(crate) fn start(
        offer: Offer,
        connection: &ConnectionPlan,
        psk: Option<&PreSharedKey>,
        (peer, ours): (Identity, &Identity),
        cookies: Cookies,
        rng: &mut dyn CryptoRng,
    ) -> (Self, Chain) {
        let Offer { choice, capabilities, sai_b, ni_b, idii_b, asked } = offer;
        let transform = choice.transform;
        let nr_b = phase1::draw_nonce(rng);
        let identification = phase1::identification(ours);
        let mut chain = ChainBuilder::new();
        chain.push(&choice.answer);
        chain.push(&identification);
        chain.push(&Nonce { data: &nr_b });
        certificate::request(&connection.authentication, &mut chain);
        vendor::contribute_answer(connection, Phase1Mode::Base, capabilities, &mut chain);
        let key = proof_key(&transform, psk, &ni_b, &nr_b);
        let idir_b = phase1::identification_body(&identification);
        (Self { cookies, transform, capabilities, peer, sai_b, ni_b, nr_b, idii_b, idir_b, key, asked }, built(chain))
    }

    /// Checks message 3: HASH_I. A signature is left to be checked.
    pub(crate) fn check(
        &self,
        authentication: &Authentication,
        path: Path,
        payloads: &Payloads<'_>,
    ) -> Result<(Received, Proof), Refused> {
        let g_xi = phase1::peer_public(payloads, self.transform.group)?.to_vec();
        let Cookies { initiator, responder } = self.cookies;
        let hash_i = self.key.hash_i(&g_xi, &initiator.0, &responder.0, &self.sai_b, &self.idii_b);
        let proof = proof::read(authentication, hash_i, payloads)?;
        let nat = self.capabilities.nat_t.map_or(Location::Unknown, |version| {
            nat_detection::absorb(version, self.transform.hash, self.cookies, &[path.local], path.remote, payloads)
        });
        Ok((Received { g_xi, asked: Asked::read(payloads), nat }, proof))
    }

    /// Draws the private exponent and computes g^xy.
    ///
    /// # Errors
    /// A public value of the peer that gives the secret away.
    pub(crate) fn agree(
        &self,
        received: &Received,
        connection: &ConnectionPlan,
        rng: &mut dyn CryptoRng,
    ) -> Result<Agreed, Refused> {
        let group = self.transform.group;
        group.check_public(&received.g_xi).map_err(|_| Refused::because(Failure::KeyExchange))?;
        let pair = DhKeyPair::generate(group, connection.exponent_bits(group), rng);
        let shared = pair.agree(&received.g_xi).map_err(|_| Refused::because(Failure::KeyExchange))?;
        Ok(Agreed { pair, shared })
    }

    /// Builds message 4: `HDR, KE, HASH_R, [NAT-D..]`, or with `[CERT..], SIG_R` in place of the hash. The peer is
    /// `known` to know as much after message 3.
    ///
    /// # Errors
    /// A key of this end that cannot sign.
    pub(crate) fn prove(
        &self,
        received: Received,
        agreed: &Agreed,
        connection: &ConnectionPlan,
        (path, known): (Path, Capabilities),
        rng: &mut dyn CryptoRng,
    ) -> Result<(Keyed, Chain), Refused> {
        let Self { cookies, transform, ni_b, nr_b, idii_b, idir_b, .. } = self;
        let Agreed { pair, shared } = agreed;
        let psk = connection.authentication.pre_shared_key();
        let keys = phase1::keys(transform, psk, (ni_b, nr_b), shared, *cookies);
        let said =
            Said { cookies: *cookies, sai_b: self.sai_b.clone(), g_xi: received.g_xi, g_xr: pair.public().to_vec() };
        let iv = IvChain::phase_1(transform.hash, transform.cipher, &said.g_xi, &said.g_xr);
        let hash_r = self.key.hash_r(&said.transcript(), idii_b, idir_b);
        let mut chain = ChainBuilder::new();
        chain.push(&KeyExchange { data: pair.public() });
        let asked = received.asked.and(&self.asked);
        proof::contribute(connection, &asked, &hash_r, rng, &mut chain)?;
        vendor::contribute_late(connection, Phase1Mode::Base, (self.capabilities, known), &mut chain);
        if let Some(version) = self.capabilities.nat_t {
            let force = connection.force_encapsulation;
            nat_detection::contribute(version, transform.hash, *cookies, path, force, &mut chain);
        }
        Ok((Keyed { keys, iv }, built(chain)))
    }

    /// Ends phase 1.
    ///
    /// INITIAL-CONTACT in message 3 is not acted on: nothing protects it.
    pub(crate) fn commit(self, keyed: Keyed) -> Proven {
        let Self { transform, peer, .. } = self;
        Proven { keys: keyed.keys.authenticated(), iv: keyed.iv, transform, peer, initial_contact: false }
    }
}

/// Message 4 is built: the keys are there.
#[derive(Debug)]
pub(crate) struct Keyed {
    pub(crate) keys: Phase1Keys,
    iv: IvChain,
}
