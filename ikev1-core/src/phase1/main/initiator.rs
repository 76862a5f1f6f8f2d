use super::Authenticated;
use crate::crypto::{DhKeyPair, DhShared};
use crate::identity::Identity;
use crate::ids::{Cookies, Role};
use crate::keys::{IvChain, Phase1Keys};
use crate::message::built;
use crate::negotiate::offer_phase1;
use crate::phase1::proof::{self, Proof};
use crate::phase1::{self, Proven, Said};
use crate::plan::{ConnectionPlan, Phase1Mode};
use crate::proposal::Phase1Transform;
use crate::refused::Refused;
use crate::ride_along::certificate::Asked;
use crate::ride_along::vendor::Capabilities;
use crate::ride_along::{certificate, initial_contact, nat_detection, vendor};
use alloc::vec::Vec;
use drive::Path;
use ipsec_wire::isakmp::payload::{Emit, KeyExchange, Nonce};
use ipsec_wire::isakmp::{Chain, ChainBuilder, Payloads};
use ipsec_wire::registry::PayloadType;
use nat_t::Location;
use rand_core::CryptoRng;

/// Message 1 is sent: the offer is on its way.
#[derive(Debug)]
pub(crate) struct SaSent {
    offered: Vec<Phase1Transform>,
    sai_b: Vec<u8>,
}

/// Message 2 is lawful: one of our transforms, unchanged.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) transform: Phase1Transform,
    /// The number of the transform in our offer, from 1.
    pub(crate) number: usize,
    pub(crate) capabilities: Capabilities,
}

impl SaSent {
    /// Builds message 1: `HDR, SA`.
    pub(crate) fn start(connection: &ConnectionPlan) -> (Self, Chain) {
        let offered = connection.phase1_offer(Role::Initiator);
        let offer = offer_phase1(&offered);
        let sai_b = offer.to_body().unwrap_or_default();
        let mut chain = ChainBuilder::new();
        chain.push_body(PayloadType::SA, &sai_b);
        vendor::contribute_offer(connection, Phase1Mode::Main, &mut chain);
        (Self { offered, sai_b }, built(chain))
    }

    /// Checks message 2.
    pub(crate) fn check(&self, connection: &ConnectionPlan, payloads: &Payloads<'_>) -> Result<Answer, Refused> {
        let (transform, number) = phase1::answered(&self.offered, payloads)?;
        let capabilities = vendor::absorb_answer(connection, Phase1Mode::Main, payloads);
        Ok(Answer { transform, number, capabilities })
    }

    /// Builds message 3: `HDR, KE, Ni, [NAT-D..]`. Draws the private exponent, then the nonce.
    pub(crate) fn commit(
        self,
        answer: &Answer,
        connection: &ConnectionPlan,
        cookies: Cookies,
        path: Path,
        rng: &mut dyn CryptoRng,
    ) -> (KeSent, Chain) {
        let transform = answer.transform;
        let pair = DhKeyPair::generate(transform.group, connection.exponent_bits(transform.group), rng);
        let ni_b = phase1::draw_nonce(rng);
        let mut chain = ChainBuilder::new();
        chain.push(&KeyExchange { data: pair.public() });
        chain.push(&Nonce { data: &ni_b });
        if let Some(version) = answer.capabilities.nat_t {
            let force = connection.force_encapsulation;
            nat_detection::contribute(version, transform.hash, cookies, path, force, &mut chain);
        }
        let state = KeSent { cookies, transform, sai_b: self.sai_b, pair, ni_b, capabilities: answer.capabilities };
        (state, built(chain))
    }
}

/// Message 3 is sent: our half of the exchange is on its way.
#[derive(Debug)]
pub(crate) struct KeSent {
    cookies: Cookies,
    transform: Phase1Transform,
    sai_b: Vec<u8>,
    pair: DhKeyPair,
    ni_b: Vec<u8>,
    capabilities: Capabilities,
}

/// Message 4 is lawful: the shared value is known.
#[derive(Debug)]
pub(crate) struct Exchanged {
    shared: DhShared,
    g_xr: Vec<u8>,
    nr_b: Vec<u8>,
    asked: Asked,
    pub(crate) nat: Location,
}

impl KeSent {
    /// Checks message 4.
    pub(crate) fn check(&self, path: Path, payloads: &Payloads<'_>) -> Result<Exchanged, Refused> {
        let nr_b = phase1::peer_nonce(payloads, &self.ni_b)?.to_vec();
        let (g_xr, shared) = phase1::agree(payloads, &self.pair)?;
        let nat = self.capabilities.nat_t.map_or(Location::Unknown, |version| {
            nat_detection::absorb(version, self.transform.hash, self.cookies, &[path.local], path.remote, payloads)
        });
        Ok(Exchanged { shared, g_xr: g_xr.to_vec(), nr_b, asked: Asked::read(payloads), nat })
    }

    /// Builds message 5: `HDR*, IDii, HASH_I, [INITIAL-CONTACT]`, or with a signature
    /// `HDR*, IDii, [CERT..], SIG_I, [CERTREQ..], [INITIAL-CONTACT]`, to be encrypted.
    ///
    /// # Errors
    /// A key of this end that cannot sign.
    pub(crate) fn prove(
        &self,
        exchanged: Exchanged,
        connection: &ConnectionPlan,
        identity: &Identity,
        first_contact: bool,
        rng: &mut dyn CryptoRng,
    ) -> Result<(AuthSent, Chain), Refused> {
        let Self { cookies, transform, sai_b, pair, ni_b, .. } = self;
        let (cookies, transform) = (*cookies, *transform);
        let Exchanged { shared, g_xr, nr_b, asked, .. } = exchanged;
        let said = Said { cookies, sai_b: sai_b.clone(), g_xi: pair.public().to_vec(), g_xr };
        let keys =
            phase1::keys(&transform, connection.authentication.pre_shared_key(), (ni_b, &nr_b), &shared, cookies);
        let iv = IvChain::phase_1(transform.hash, transform.cipher, &said.g_xi, &said.g_xr);
        let identification = phase1::identification(identity);
        let hash_i = keys.hash_i(&said.transcript(), &phase1::identification_body(&identification));
        let mut chain = ChainBuilder::new();
        chain.push(&identification);
        proof::contribute(connection, &asked, &hash_i, rng, &mut chain)?;
        certificate::request(&connection.authentication, &mut chain);
        if first_contact {
            initial_contact::contribute(cookies, &mut chain);
        }
        Ok((AuthSent { said, transform, keys, iv }, built(chain)))
    }
}

/// Message 5 is sent: we have said who we are.
#[derive(Debug)]
pub(crate) struct AuthSent {
    said: Said,
    pub(crate) transform: Phase1Transform,
    pub(crate) keys: Phase1Keys,
    /// The IV chain of phase 1, past message 5.
    pub(crate) iv: IvChain,
}

impl AuthSent {
    /// Checks message 6, decrypted: first HASH_R, then whether the identity can be read. A signature is
    /// left to be checked.
    pub(crate) fn check(
        &self,
        connection: &ConnectionPlan,
        payloads: &Payloads<'_>,
    ) -> Result<(Authenticated, Proof), Refused> {
        let idir_b = phase1::body(payloads, PayloadType::IDENTIFICATION)?;
        let hash_r = self.keys.hash_r(&self.said.transcript(), idir_b);
        Authenticated::read(connection, hash_r, self.said.cookies, payloads)
    }

    /// Ends phase 1; the IV chain must be past message 6.
    pub(crate) fn commit(self, authenticated: Authenticated) -> Proven {
        authenticated.proven(self.keys, self.iv, self.transform)
    }
}
