use crate::crypto::DhKeyPair;
use crate::error::Failure;
use crate::identity::Identity;
use crate::ids::{Cookies, Role};
use crate::keys::{BaseProof, IvChain, Phase1Keys};
use crate::message::built;
use crate::negotiate::offer_phase1;
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
use ipsec_wire::isakmp::payload::{Emit, KeyExchange, Nonce};
use ipsec_wire::isakmp::{Chain, ChainBuilder, Payloads};
use ipsec_wire::registry::PayloadType;
use nat_t::Location;
use rand_core::CryptoRng;

/// Message 1 is sent: the offer, and who we say we are.
#[derive(Debug)]
pub(crate) struct SaSent {
    offered: Vec<Phase1Transform>,
    sai_b: Vec<u8>,
    ni_b: Vec<u8>,
    idii_b: Vec<u8>,
}

/// Message 2 is lawful: one of our transforms, unchanged, and who the responder says it is.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) transform: Phase1Transform,
    /// The number of the transform in our offer, from 1.
    pub(crate) number: usize,
    pub(crate) capabilities: Capabilities,
    pub(crate) peer: Identity,
    nr_b: Vec<u8>,
    idir_b: Vec<u8>,
    asked: Asked,
}

impl SaSent {
    /// Builds message 1: `HDR, SA, IDii, Ni`. Draws the nonce.
    pub(crate) fn start(connection: &ConnectionPlan, identity: &Identity, rng: &mut dyn CryptoRng) -> (Self, Chain) {
        let offered = connection.phase1_offer(Role::Initiator);
        let sai_b = offer_phase1(&offered).to_body().unwrap_or_default();
        let ni_b = phase1::draw_nonce(rng);
        let identification = phase1::identification(identity);
        let mut chain = ChainBuilder::new();
        chain.push_body(PayloadType::SA, &sai_b);
        chain.push(&identification);
        chain.push(&Nonce { data: &ni_b });
        vendor::contribute_offer(connection, Phase1Mode::Base, &mut chain);
        let idii_b = phase1::identification_body(&identification);
        (Self { offered, sai_b, ni_b, idii_b }, built(chain))
    }

    /// Checks message 2.
    pub(crate) fn check(&self, connection: &ConnectionPlan, payloads: &Payloads<'_>) -> Result<Answer, Refused> {
        let (transform, number) = phase1::answered(&self.offered, payloads)?;
        let nr_b = phase1::peer_nonce(payloads, &self.ni_b)?.to_vec();
        let idir_b = phase1::body(payloads, PayloadType::IDENTIFICATION)?.to_vec();
        let peer = phase1::peer_identity(payloads)?;
        let capabilities = vendor::absorb_answer(connection, Phase1Mode::Base, payloads);
        let asked = Asked::read(payloads);
        Ok(Answer { transform, number, capabilities, peer, nr_b, idir_b, asked })
    }

    /// Builds message 3: `HDR, KE, HASH_I, [NAT-D..]`, or with `[CERT..], SIG_I, [CERTREQ..]` in place of the
    /// hash. Draws the private exponent.
    ///
    /// # Errors
    /// A key of this end that cannot sign.
    pub(crate) fn prove(
        &self,
        answer: Answer,
        connection: &ConnectionPlan,
        cookies: Cookies,
        path: Path,
        rng: &mut dyn CryptoRng,
    ) -> Result<(KeAuthSent, Chain), Refused> {
        let Answer { transform, capabilities, peer, nr_b, idir_b, asked, .. } = answer;
        let Self { sai_b, ni_b, idii_b, .. } = self;
        let pair = DhKeyPair::generate(transform.group, connection.exponent_bits(transform.group), rng);
        let key = proof_key(&transform, connection.authentication.pre_shared_key(), ni_b, &nr_b);
        let hash_i = key.hash_i(pair.public(), &cookies.initiator.0, &cookies.responder.0, sai_b, idii_b);
        let mut chain = ChainBuilder::new();
        chain.push(&KeyExchange { data: pair.public() });
        proof::contribute(connection, &asked, &hash_i, rng, &mut chain)?;
        certificate::request(&connection.authentication, &mut chain);
        if let Some(version) = capabilities.nat_t {
            let force = connection.force_encapsulation;
            nat_detection::contribute(version, transform.hash, cookies, path, force, &mut chain);
        }
        let (sai_b, ni_b, idii_b) = (sai_b.clone(), ni_b.clone(), idii_b.clone());
        let state = KeAuthSent {
            cookies,
            transform,
            capabilities,
            peer,
            sai_b,
            pair,
            ni_b,
            nr_b,
            idii_b,
            idir_b,
            key,
            doubted: None,
        };
        Ok((state, built(chain)))
    }
}

/// Message 3 is sent: we have proven who we are.
#[derive(Debug)]
pub(crate) struct KeAuthSent {
    cookies: Cookies,
    pub(crate) transform: Phase1Transform,
    capabilities: Capabilities,
    pub(crate) peer: Identity,
    sai_b: Vec<u8>,
    pair: DhKeyPair,
    ni_b: Vec<u8>,
    nr_b: Vec<u8>,
    idii_b: Vec<u8>,
    idir_b: Vec<u8>,
    key: BaseProof,
    /// The last message 4 whose signature was refused: if the exchange ends so, its sender is told.
    doubted: Option<Authenticated>,
}

/// Message 4 is lawful in form; the power is not computed yet.
#[derive(Debug)]
pub(crate) struct Authenticated {
    g_xr: Vec<u8>,
    pub(crate) nat: Location,
}

impl KeAuthSent {
    /// Checks message 4: HASH_R. A signature is left to be checked.
    pub(crate) fn check(
        &self,
        connection: &ConnectionPlan,
        path: Path,
        payloads: &Payloads<'_>,
    ) -> Result<(Authenticated, Proof), Refused> {
        let g_xr = phase1::peer_public(payloads, self.transform.group)?.to_vec();
        if g_xr == self.pair.public() {
            return Err(Refused::because(Failure::KeyExchange));
        }
        let said = self.said(g_xr);
        let hash_r = self.key.hash_r(&said.transcript(), &self.idii_b, &self.idir_b);
        let proof = proof::read(&connection.authentication, hash_r, payloads)?;
        let nat = self.capabilities.nat_t.map_or(Location::Unknown, |version| {
            nat_detection::absorb(version, self.transform.hash, self.cookies, &[path.local], path.remote, payloads)
        });
        Ok((Authenticated { g_xr: said.g_xr, nat }, proof))
    }

    fn said(&self, g_xr: Vec<u8>) -> Said {
        Said { cookies: self.cookies, sai_b: self.sai_b.clone(), g_xi: self.pair.public().to_vec(), g_xr }
    }

    /// Computes g^xy and the keys.
    ///
    /// # Errors
    /// A public value of the peer that gives the secret away.
    pub(crate) fn agree(
        &self,
        authenticated: &Authenticated,
        connection: &ConnectionPlan,
    ) -> Result<(Phase1Keys, IvChain), Refused> {
        let Self { cookies, transform, pair, ni_b, nr_b, .. } = self;
        let g_xr = &authenticated.g_xr;
        let shared = pair.agree(g_xr).map_err(|_| Refused::because(Failure::KeyExchange))?;
        let psk = connection.authentication.pre_shared_key();
        let keys = phase1::keys(transform, psk, (ni_b, nr_b), &shared, *cookies);
        Ok((keys, IvChain::phase_1(transform.hash, transform.cipher, pair.public(), g_xr)))
    }

    /// Remembers a message 4 whose signature was refused.
    pub(crate) fn doubt(&mut self, authenticated: Authenticated) {
        self.doubted = Some(authenticated);
    }

    /// Returns the last message 4 whose signature was refused.
    pub(crate) const fn doubted(&self) -> Option<&Authenticated> {
        self.doubted.as_ref()
    }

    /// Ends phase 1.
    ///
    /// INITIAL-CONTACT in message 4 is not acted on: nothing protects it.
    pub(crate) fn commit(self, keys: Phase1Keys, iv: IvChain) -> Proven {
        let Self { transform, peer, .. } = self;
        Proven { keys: keys.authenticated(), iv, transform, peer, initial_contact: false }
    }
}
