use super::Authenticated;
use crate::crypto::{DhKeyPair, DhShared};
use crate::error::Failure;
use crate::identity::Identity;
use crate::ids::Cookies;
use crate::keys::{IvChain, Phase1Keys};
use crate::message::built;
use crate::negotiate::Phase1Choice;
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
}

/// Checks message 1 against a connection.
pub(crate) fn check_offer(connection: &ConnectionPlan, payloads: &Payloads<'_>) -> Result<Offer, Refused> {
    let (choice, sai_b) = phase1::choose(connection, payloads, |_| true)?;
    Ok(Offer { choice, capabilities: vendor::absorb_offer(connection, Phase1Mode::Main, payloads), sai_b })
}

/// Message 2 is sent: the choice is made.
#[derive(Debug)]
pub(crate) struct SaRecv {
    cookies: Cookies,
    transform: Phase1Transform,
    sai_b: Vec<u8>,
    capabilities: Capabilities,
}

impl SaRecv {
    /// Builds message 2: `HDR, SA`.
    pub(crate) fn start(offer: Offer, connection: &ConnectionPlan, cookies: Cookies) -> (Self, Chain) {
        let Offer { choice, capabilities, sai_b } = offer;
        let mut chain = ChainBuilder::new();
        chain.push(&choice.answer);
        vendor::contribute_answer(connection, Phase1Mode::Main, capabilities, &mut chain);
        (Self { cookies, transform: choice.transform, sai_b, capabilities }, built(chain))
    }

    /// Checks message 3: nothing is computed yet.
    pub(crate) fn check(&self, path: Path, payloads: &Payloads<'_>) -> Result<Received, Refused> {
        let ni_b = phase1::peer_nonce(payloads, &[])?.to_vec();
        let g_xi = phase1::peer_public(payloads, self.transform.group)?.to_vec();
        let nat = self.capabilities.nat_t.map_or(Location::Unknown, |version| {
            nat_detection::absorb(version, self.transform.hash, self.cookies, &[path.local], path.remote, payloads)
        });
        Ok(Received { ni_b, g_xi, asked: Asked::read(payloads), nat })
    }

    /// Draws the private exponent, then the nonce, and computes g^xy.
    ///
    /// # Errors
    /// A public value of the peer that gives the secret away; what was drawn is wiped.
    pub(crate) fn agree(
        &self,
        received: &Received,
        connection: &ConnectionPlan,
        rng: &mut dyn CryptoRng,
    ) -> Result<Agreed, Refused> {
        let group = self.transform.group;
        group.check_public(&received.g_xi).map_err(|_| Refused::because(Failure::KeyExchange))?;
        let pair = DhKeyPair::generate(group, connection.exponent_bits(group), rng);
        let nr_b = phase1::draw_nonce(rng);
        let shared = pair.agree(&received.g_xi).map_err(|_| Refused::because(Failure::KeyExchange))?;
        Ok(Agreed { pair, nr_b, shared })
    }

    /// Builds message 4: `HDR, KE, Nr, [CERTREQ..], [NAT-D..]`. The peer is `known` to know as much after message 3.
    pub(crate) fn commit(
        self,
        received: Received,
        agreed: Agreed,
        connection: &ConnectionPlan,
        path: Path,
        known: Capabilities,
    ) -> (KeRecv, Chain) {
        let Self { cookies, transform, sai_b, capabilities } = self;
        let Received { ni_b, g_xi, asked, .. } = received;
        let Agreed { pair, nr_b, shared } = agreed;
        let mut chain = ChainBuilder::new();
        chain.push(&KeyExchange { data: pair.public() });
        chain.push(&Nonce { data: &nr_b });
        certificate::request(&connection.authentication, &mut chain);
        vendor::contribute_late(connection, Phase1Mode::Main, (capabilities, known), &mut chain);
        if let Some(version) = capabilities.nat_t {
            let force = connection.force_encapsulation;
            nat_detection::contribute(version, transform.hash, cookies, path, force, &mut chain);
        }
        let said = Said { cookies, sai_b, g_xi, g_xr: pair.public().to_vec() };
        let keys =
            phase1::keys(&transform, connection.authentication.pre_shared_key(), (&ni_b, &nr_b), &shared, cookies);
        let iv = IvChain::phase_1(transform.hash, transform.cipher, &said.g_xi, &said.g_xr);
        (KeRecv { said, asked, transform, keys, iv }, built(chain))
    }
}

/// Message 3 is lawful in form.
#[derive(Debug)]
pub(crate) struct Received {
    ni_b: Vec<u8>,
    g_xi: Vec<u8>,
    asked: Asked,
    pub(crate) nat: Location,
}

/// Our half of the exchange, and the shared value.
#[derive(Debug)]
pub(crate) struct Agreed {
    pair: DhKeyPair,
    nr_b: Vec<u8>,
    shared: DhShared,
}

/// Message 4 is sent: both ends can compute the keys.
#[derive(Debug)]
pub(crate) struct KeRecv {
    said: Said,
    /// What message 3 asked for.
    asked: Asked,
    pub(crate) transform: Phase1Transform,
    pub(crate) keys: Phase1Keys,
    /// The IV chain of phase 1, before message 5.
    pub(crate) iv: IvChain,
}

impl KeRecv {
    /// Checks message 5, decrypted: first HASH_I, then whether the identity can be read. A signature is
    /// left to be checked.
    pub(crate) fn check(
        &self,
        connection: &ConnectionPlan,
        payloads: &Payloads<'_>,
    ) -> Result<(Authenticated, Proof), Refused> {
        let idii_b = phase1::body(payloads, PayloadType::IDENTIFICATION)?;
        let hash_i = self.keys.hash_i(&self.said.transcript(), idii_b);
        Authenticated::read(connection, hash_i, self.said.cookies, payloads)
    }

    /// Builds message 6: `HDR*, IDir, HASH_R`, or `HDR*, IDir, [CERT..], SIG_R`, to be encrypted with the
    /// chain past message 5.
    ///
    /// # Errors
    /// A key of this end that cannot sign.
    pub(crate) fn answer(
        &self,
        authenticated: &Authenticated,
        connection: &ConnectionPlan,
        identity: &Identity,
        rng: &mut dyn CryptoRng,
    ) -> Result<Chain, Refused> {
        let identification = phase1::identification(identity);
        let hash_r = self.keys.hash_r(&self.said.transcript(), &phase1::identification_body(&identification));
        let mut chain = ChainBuilder::new();
        chain.push(&identification);
        let asked = authenticated.asked.clone().and(&self.asked);
        proof::contribute(connection, &asked, &hash_r, rng, &mut chain)?;
        Ok(built(chain))
    }

    /// Ends phase 1; the IV chain must be past message 6.
    pub(crate) fn commit(self, authenticated: Authenticated) -> Proven {
        authenticated.proven(self.keys, self.iv, self.transform)
    }
}
