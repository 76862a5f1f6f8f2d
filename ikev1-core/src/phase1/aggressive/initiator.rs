use crate::crypto::{DhGroup, DhKeyPair};
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

/// Message 1 is sent: the offer, our half of the exchange, and who we say we are.
#[derive(Debug)]
pub(crate) struct SaKeSent {
    offered: Vec<Phase1Transform>,
    sai_b: Vec<u8>,
    pair: DhKeyPair,
    ni_b: Vec<u8>,
    idii_b: Vec<u8>,
}

/// Message 2 is lawful.
#[derive(Debug)]
pub(crate) struct Authenticated {
    pub(crate) transform: Phase1Transform,
    /// The number of the transform in our offer, from 1.
    pub(crate) number: usize,
    pub(crate) capabilities: Capabilities,
    pub(crate) nat: Location,
    pub(crate) peer: Identity,
    pub(crate) keys: Phase1Keys,
    pub(crate) iv: IvChain,
    said: Said,
    asked: Asked,
}

impl SaKeSent {
    /// Builds message 1: `HDR, SA, KE, Ni, IDii, [CERTREQ..]`. Draws the private exponent, then the nonce.
    ///
    /// Only the transforms of one group are offered, since the public value travels along.
    pub(crate) fn start(
        connection: &ConnectionPlan,
        group: DhGroup,
        identity: &Identity,
        rng: &mut dyn CryptoRng,
    ) -> (Self, Chain) {
        let offered: Vec<Phase1Transform> =
            connection.phase1_offer(Role::Initiator).into_iter().filter(|transform| transform.group == group).collect();
        let sai_b = offer_phase1(&offered).to_body().unwrap_or_default();
        let pair = DhKeyPair::generate(group, connection.exponent_bits(group), rng);
        let ni_b = phase1::draw_nonce(rng);
        let identification = phase1::identification(identity);
        let mut chain = ChainBuilder::new();
        chain.push_body(PayloadType::SA, &sai_b);
        chain.push(&KeyExchange { data: pair.public() });
        chain.push(&Nonce { data: &ni_b });
        chain.push(&identification);
        certificate::request(&connection.authentication, &mut chain);
        vendor::contribute_offer(connection, Phase1Mode::Aggressive, &mut chain);
        let idii_b = phase1::identification_body(&identification);
        (Self { offered, sai_b, pair, ni_b, idii_b }, built(chain))
    }

    /// Checks message 2: the answer first, then g^xy and HASH_R, then whether the identity can be read. A
    /// signature is left to be checked.
    pub(crate) fn check(
        &self,
        connection: &ConnectionPlan,
        cookies: Cookies,
        path: Path,
        payloads: &Payloads<'_>,
    ) -> Result<(Authenticated, Proof), Refused> {
        let (transform, number) = phase1::answered(&self.offered, payloads)?;
        let nr_b = phase1::peer_nonce(payloads, &self.ni_b)?;
        let idir_b = phase1::body(payloads, PayloadType::IDENTIFICATION)?;
        let (g_xr, shared) = phase1::agree(payloads, &self.pair)?;
        let g_xi = self.pair.public().to_vec();
        let said = Said { cookies, sai_b: self.sai_b.clone(), g_xi, g_xr: g_xr.to_vec() };
        let keys =
            phase1::keys(&transform, connection.authentication.pre_shared_key(), (&self.ni_b, nr_b), &shared, cookies);
        let hash_r = keys.hash_r(&said.transcript(), idir_b);
        let proof = proof::read(&connection.authentication, hash_r, payloads)?;
        let peer = phase1::peer_identity(payloads)?;
        let iv = IvChain::phase_1(transform.hash, transform.cipher, &said.g_xi, &said.g_xr);
        let capabilities = vendor::absorb_answer(connection, Phase1Mode::Aggressive, payloads);
        let nat = capabilities.nat_t.map_or(Location::Unknown, |version| {
            nat_detection::absorb(version, transform.hash, cookies, &[path.local], path.remote, payloads)
        });
        let asked = Asked::read(payloads);
        Ok((Authenticated { transform, number, capabilities, nat, peer, keys, iv, said, asked }, proof))
    }

    /// Builds message 3: `HDR*, HASH_I, [NAT-D..], [INITIAL-CONTACT]`, or with `[CERT..], SIG_I` in place of
    /// the hash, to be encrypted. The path is the one that it takes, NAT-T ports included.
    ///
    /// # Errors
    /// A key of this end that cannot sign.
    pub(crate) fn message_3(
        &self,
        authenticated: &Authenticated,
        connection: &ConnectionPlan,
        path: Path,
        first_contact: bool,
        rng: &mut dyn CryptoRng,
    ) -> Result<Chain, Refused> {
        let Authenticated { transform, capabilities, keys, said, asked, .. } = authenticated;
        let hash_i = keys.hash_i(&said.transcript(), &self.idii_b);
        let mut chain = ChainBuilder::new();
        proof::contribute(connection, asked, &hash_i, rng, &mut chain)?;
        if let Some(version) = capabilities.nat_t {
            let force = connection.force_encapsulation;
            nat_detection::contribute(version, transform.hash, said.cookies, path, force, &mut chain);
        }
        if first_contact {
            initial_contact::contribute(said.cookies, &mut chain);
        }
        Ok(built(chain))
    }
}

impl Authenticated {
    /// Ends phase 1; the IV chain must be past message 3.
    ///
    /// INITIAL-CONTACT in message 2 is not acted on: nothing protects it.
    pub(crate) fn commit(self) -> Proven {
        Proven {
            keys: self.keys.authenticated(),
            iv: self.iv,
            transform: self.transform,
            peer: self.peer,
            initial_contact: false,
        }
    }
}
