//! Main mode with a pre-shared key, RFC 2409 §5.4.
//!
//! ```text
//! Initiator                        Responder
//! HDR, SA                    -->
//!                            <--   HDR, SA
//! HDR, KE, Ni, [NAT-D..]     -->
//!                            <--   HDR, KE, Nr, [NAT-D..]
//! HDR*, IDii, HASH_I         -->
//!                            <--   HDR*, IDir, HASH_R
//! ```

pub(crate) mod initiator;
pub(crate) mod responder;

use crate::crypto::Digest;
use crate::identity::Identity;
use crate::ids::Cookies;
use crate::keys::{IvChain, Phase1Keys};
use crate::phase1::proof::{self, Proof};
use crate::phase1::{self, Proven};
use crate::plan::ConnectionPlan;
use crate::proposal::Phase1Transform;
use crate::refused::Refused;
use crate::ride_along::certificate::Asked;
use crate::ride_along::initial_contact;
use ipsec_wire::isakmp::Payloads;

/// The last message of the peer, 5 or 6, is lawful.
#[derive(Debug)]
pub(crate) struct Authenticated {
    pub(crate) peer: Identity,
    initial_contact: bool,
    asked: Asked,
}

impl Authenticated {
    /// Reads the message, decrypted: first the HASH, then whether the identity can be read. A signature is left to
    /// be checked.
    fn read(
        connection: &ConnectionPlan,
        hash: Digest,
        cookies: Cookies,
        payloads: &Payloads<'_>,
    ) -> Result<(Self, Proof), Refused> {
        let proof = proof::read(&connection.authentication, hash, payloads)?;
        let peer = phase1::peer_identity(payloads)?;
        let initial_contact = initial_contact::absorb(cookies, payloads);
        Ok((Self { peer, initial_contact, asked: Asked::read(payloads) }, proof))
    }

    /// Ends phase 1; the IV chain must be past the last message.
    fn proven(self, keys: Phase1Keys, iv: IvChain, transform: Phase1Transform) -> Proven {
        Proven { keys: keys.authenticated(), iv, transform, peer: self.peer, initial_contact: self.initial_contact }
    }
}
