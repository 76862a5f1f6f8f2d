use super::{PreSharedKey, RsaSigningKey, RsaVerifyingKey};
use crate::ids::Role;
use crate::proposal::AuthenticationMethod;
use alloc::vec::Vec;

/// How the two ends of a connection prove to each other who they are in phase 1; XAUTH, which may
/// follow, is set apart.
#[derive(Debug)]
#[non_exhaustive]
pub enum Authentication {
    /// Both hold one key, RFC 2409 §5.4.
    PreSharedKey(PreSharedKey),
    /// Each signs with its own key, RFC 2409 §5.1.
    RsaSignature {
        /// What this end signs with.
        local: RsaCredential,
        /// What the peer's signature is checked with.
        remote: RemoteKey,
    },
    /// Hybrid authentication, this end being the gateway: it signs, the peer proves who it is as a user
    /// by XAUTH alone, draft-ietf-ipsec-isakmp-hybrid-auth.
    HybridGateway(RsaCredential),
    /// Hybrid authentication, this end being the user's: the gateway signs.
    HybridClient(RemoteKey),
}

/// A private key and the certificates that vouch for it.
#[derive(Debug)]
pub struct RsaCredential {
    pub(crate) key: RsaSigningKey,
    pub(crate) chain: Vec<Vec<u8>>,
    /// Other keys, for peers that ask for other authorities.
    pub(crate) others: Vec<RsaCredential>,
}

/// What a peer's signature is checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteKey {
    /// The key of a certificate that the caller trusts:
    /// [`Action::VerifyCertificate`](crate::Action::VerifyCertificate) asks for each.
    Certificate {
        /// The distinguished names in DER of the authorities that the peer is asked for; with none it is
        /// asked for any certificate.
        authorities: Vec<Vec<u8>>,
    },
    /// This key, whatever certificates come.
    Key(RsaVerifyingKey),
}

/// What a message of phase 1 proves its sender with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofKind {
    /// HASH_I or HASH_R itself.
    Hash,
    /// A signature over it.
    Signature,
}

impl RsaCredential {
    /// Returns a key with its certificates in DER, the key's own first; they travel in this order.
    pub const fn new(key: RsaSigningKey, chain: Vec<Vec<u8>>) -> Self {
        Self { key, chain, others: Vec::new() }
    }

    /// Returns the same with another key and its certificates, for peers that ask for certificates of an authority
    /// that issued none of those before it, RFC 4945 §3.3.7. Without such a request the first key signs.
    #[must_use]
    pub fn or(mut self, mut other: Self) -> Self {
        let more = core::mem::take(&mut other.others);
        self.others.push(other);
        self.others.extend(more);
        self
    }

    /// Returns this key, then the others in their order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Self> {
        let others: &[Self] = &self.others;
        core::iter::once(self).chain(others)
    }

    /// Returns the certificates in DER, the key's own first.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }
}

impl Authentication {
    /// Returns the method that an offer names when this end has a role in phase 1, without XAUTH after
    /// pre-shared keys or signatures.
    pub const fn method(&self, role: Role) -> AuthenticationMethod {
        match (self, role) {
            (Self::PreSharedKey(_), _) => AuthenticationMethod::PreSharedKey,
            (Self::RsaSignature { .. }, _) => AuthenticationMethod::RsaSignature,
            (Self::HybridClient(_), Role::Initiator) | (Self::HybridGateway(_), Role::Responder) => {
                AuthenticationMethod::HybridInitRsa
            }
            (Self::HybridClient(_), Role::Responder) | (Self::HybridGateway(_), Role::Initiator) => {
                AuthenticationMethod::HybridRespRsa
            }
        }
    }

    /// Returns the pre-shared key, if SKEYID comes from one.
    pub(crate) const fn pre_shared_key(&self) -> Option<&PreSharedKey> {
        match self {
            Self::PreSharedKey(psk) => Some(psk),
            Self::RsaSignature { .. } | Self::HybridGateway(_) | Self::HybridClient(_) => None,
        }
    }

    /// Returns what this end signs with, if it signs.
    pub(crate) const fn credential(&self) -> Option<&RsaCredential> {
        match self {
            Self::RsaSignature { local, .. } | Self::HybridGateway(local) => Some(local),
            Self::PreSharedKey(_) | Self::HybridClient(_) => None,
        }
    }

    /// Returns what the peer's signature is checked with, if it signs.
    pub(crate) const fn remote_key(&self) -> Option<&RemoteKey> {
        match self {
            Self::RsaSignature { remote, .. } | Self::HybridClient(remote) => Some(remote),
            Self::PreSharedKey(_) | Self::HybridGateway(_) => None,
        }
    }

    /// Returns what the peer proves itself with.
    pub(crate) const fn peer_proof(&self) -> ProofKind {
        if self.remote_key().is_some() { ProofKind::Signature } else { ProofKind::Hash }
    }

    /// Returns whether a proof under one is a proof under the other: the same pre-shared key, or
    /// signatures by the same ends, whose keys are looked up once the identity is known.
    pub(crate) fn proves_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::PreSharedKey(ours), Self::PreSharedKey(theirs)) => ours.ct_eq(theirs),
            (Self::RsaSignature { .. }, Self::RsaSignature { .. })
            | (Self::HybridGateway(_), Self::HybridGateway(_))
            | (Self::HybridClient(_), Self::HybridClient(_)) => true,
            (Self::PreSharedKey(_) | Self::RsaSignature { .. } | Self::HybridGateway(_) | Self::HybridClient(_), _) => {
                false
            }
        }
    }
}

impl From<PreSharedKey> for Authentication {
    fn from(psk: PreSharedKey) -> Self {
        Self::PreSharedKey(psk)
    }
}
