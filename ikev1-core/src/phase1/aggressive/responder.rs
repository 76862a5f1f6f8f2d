use crate::auth::{Authentication, PreSharedKey};
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
use crate::ride_along::{certificate, initial_contact, nat_detection, vendor};
use alloc::vec::Vec;
use core::net::SocketAddr;
use drive::Path;
use ipsec_wire::isakmp::payload::{KeyExchange, Nonce};
use ipsec_wire::isakmp::{Chain, ChainBuilder, Payloads};
use ipsec_wire::registry::PayloadType;
use nat_t::Location;
use rand_core::CryptoRng;

/// Message 1 is lawful: one of its transforms is one of ours, and nothing is computed yet.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) choice: Phase1Choice,
    pub(crate) capabilities: Capabilities,
    sai_b: Vec<u8>,
    g_xi: Vec<u8>,
    ni_b: Vec<u8>,
    idii_b: Vec<u8>,
    asked: Asked,
}

/// Checks message 1 against a connection.
///
/// The group is the one of the public value that came: other transforms of the plan are no choice.
pub(crate) fn check_offer(connection: &ConnectionPlan, payloads: &Payloads<'_>) -> Result<Offer, Refused> {
    let g_xi = phase1::body(payloads, PayloadType::KEY_EXCHANGE)?;
    let fits = |transform: &Phase1Transform| transform.group.public_len() == g_xi.len();
    let (choice, sai_b) = phase1::choose(connection, payloads, fits)?;
    let g_xi = phase1::peer_public(payloads, choice.transform.group)?.to_vec();
    choice.transform.group.check_public(&g_xi).map_err(|_| Refused::because(Failure::KeyExchange))?;
    let ni_b = phase1::peer_nonce(payloads, &[])?.to_vec();
    let idii_b = phase1::body(payloads, PayloadType::IDENTIFICATION)?.to_vec();
    let capabilities = vendor::absorb_offer(connection, Phase1Mode::Aggressive, payloads);
    Ok(Offer { choice, capabilities, sai_b, g_xi, ni_b, idii_b, asked: Asked::read(payloads) })
}

/// Our half of the exchange, and the shared value.
#[derive(Debug)]
pub(crate) struct Agreed {
    pair: DhKeyPair,
    nr_b: Vec<u8>,
    shared: DhShared,
}

impl Offer {
    /// Draws the private exponent, then the nonce, and computes g^xy.
    ///
    /// # Errors
    /// A public value of the peer that gives the secret away.
    pub(crate) fn agree(&self, connection: &ConnectionPlan, rng: &mut dyn CryptoRng) -> Result<Agreed, Refused> {
        let group = self.choice.transform.group;
        let pair = DhKeyPair::generate(group, connection.exponent_bits(group), rng);
        let nr_b = phase1::draw_nonce(rng);
        let shared = pair.agree(&self.g_xi).map_err(|_| Refused::because(Failure::KeyExchange))?;
        Ok(Agreed { pair, nr_b, shared })
    }
}

/// Message 2 is sent: we have proven who we are, the peer has not.
#[derive(Debug)]
pub(crate) struct SaKeAuthSent {
    said: Said,
    idii_b: Vec<u8>,
    transform: Phase1Transform,
    capabilities: Capabilities,
    pub(crate) peer: Identity,
    pub(crate) keys: Phase1Keys,
    /// The IV chain of phase 1, before message 3.
    pub(crate) iv: IvChain,
}

impl SaKeAuthSent {
    /// Builds message 2: `HDR, SA, KE, Nr, IDir, HASH_R, [NAT-D..]`, proven with `psk`, or with
    /// `[CERT..], SIG_R, [CERTREQ..]` in place of the hash.
    ///
    /// # Errors
    /// A key of this end that cannot sign.
    pub(crate) fn start(
        offer: Offer,
        agreed: Agreed,
        connection: &ConnectionPlan,
        psk: Option<&PreSharedKey>,
        (peer, ours): (Identity, &Identity),
        (cookies, path): (Cookies, Path),
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, Chain), Refused> {
        let Offer { choice, capabilities, sai_b, g_xi, ni_b, idii_b, asked } = offer;
        let Agreed { pair, nr_b, shared } = agreed;
        let transform = choice.transform;
        let said = Said { cookies, sai_b, g_xi, g_xr: pair.public().to_vec() };
        let keys = phase1::keys(&transform, psk, (&ni_b, &nr_b), &shared, cookies);
        let iv = IvChain::phase_1(transform.hash, transform.cipher, &said.g_xi, &said.g_xr);
        let identification = phase1::identification(ours);
        let hash_r = keys.hash_r(&said.transcript(), &phase1::identification_body(&identification));
        let mut chain = ChainBuilder::new();
        chain.push(&choice.answer);
        chain.push(&KeyExchange { data: pair.public() });
        chain.push(&Nonce { data: &nr_b });
        chain.push(&identification);
        proof::contribute(connection, &asked, &hash_r, rng, &mut chain)?;
        certificate::request(&connection.authentication, &mut chain);
        vendor::contribute_answer(connection, Phase1Mode::Aggressive, capabilities, &mut chain);
        if let Some(version) = capabilities.nat_t {
            let force = connection.force_encapsulation;
            nat_detection::contribute(version, transform.hash, cookies, path, force, &mut chain);
        }
        Ok((Self { said, idii_b, transform, capabilities, peer, keys, iv }, built(chain)))
    }

    /// Checks message 3: HASH_I. A signature is left to be checked.
    ///
    /// The initiator's first NAT-D covers the port it used before or after it moved: `locals` holds
    /// both. INITIAL-CONTACT counts only if it came encrypted.
    pub(crate) fn check(
        &self,
        authentication: &Authentication,
        locals: &[SocketAddr],
        remote: SocketAddr,
        payloads: &Payloads<'_>,
        encrypted: bool,
    ) -> Result<(Authenticated, Proof), Refused> {
        let hash_i = self.keys.hash_i(&self.said.transcript(), &self.idii_b);
        let proof = proof::read(authentication, hash_i, payloads)?;
        let cookies = self.said.cookies;
        let nat = self.capabilities.nat_t.map_or(Location::Unknown, |version| {
            nat_detection::absorb(version, self.transform.hash, cookies, locals, remote, payloads)
        });
        let initial_contact = encrypted && initial_contact::absorb(cookies, payloads);
        Ok((Authenticated { nat, initial_contact }, proof))
    }

    /// Ends phase 1; the IV chain must be past message 3 if that came encrypted.
    pub(crate) fn commit(self, authenticated: &Authenticated) -> Proven {
        Proven {
            keys: self.keys.authenticated(),
            iv: self.iv,
            transform: self.transform,
            peer: self.peer,
            initial_contact: authenticated.initial_contact,
        }
    }
}

/// Message 3 is lawful.
#[derive(Debug)]
pub(crate) struct Authenticated {
    pub(crate) nat: Location,
    initial_contact: bool,
}
