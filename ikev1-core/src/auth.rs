//! Ways to authenticate a peer.

mod authentication;
#[cfg(feature = "x509")]
mod certificate;
mod issuer;
mod pem;
mod psk;
mod rsa_signature;

pub use authentication::{Authentication, ProofKind, RemoteKey, RsaCredential};
#[cfg(feature = "x509")]
pub use certificate::{
    CertificateError, MAX_CERTIFICATE, MAX_CERTIFICATES, TrustAnchors, VerifiedCertificate, certificates_from_pem,
    subject_of,
};
pub(crate) use issuer::issuer;
pub use psk::PreSharedKey;
pub use rsa_signature::{KeyError, RsaSigningKey, RsaVerifyingKey, SignatureError};
