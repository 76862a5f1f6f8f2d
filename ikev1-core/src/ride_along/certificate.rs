use crate::auth::{Authentication, RemoteKey};
use crate::defaults;
use crate::error::Failure;
use crate::refused::Refused;
use alloc::vec::Vec;
use ipsec_wire::isakmp::payload::{Certificate, CertificateRequest};
use ipsec_wire::isakmp::{ChainBuilder, Payloads};
use ipsec_wire::registry::{CertificateEncoding, PayloadType};

/// Adds the certificates of this end, its own first.
pub(crate) fn contribute(certificates: &[Vec<u8>], chain: &mut ChainBuilder) {
    for certificate in certificates {
        chain.push(&Certificate { encoding: CertificateEncoding::X509_SIGNATURE, data: certificate });
    }
}

/// Adds a request for each authority whose certificates are trusted, or one for any certificate; none if
/// the peer's key is known or the peer does not sign.
pub(crate) fn request(authentication: &Authentication, chain: &mut ChainBuilder) {
    let Some(RemoteKey::Certificate { authorities }) = authentication.remote_key() else { return };
    let encoding = CertificateEncoding::X509_SIGNATURE;
    for name in authorities {
        chain.push(&CertificateRequest { encoding, data: name });
    }
    if authorities.is_empty() {
        chain.push(&CertificateRequest { encoding, data: [] });
    }
}

/// Reads the peer's certificates in the order they came; revocation lists, other encodings and
/// certificates without data are passed over.
///
/// How many there are at most is in the transition table.
///
/// # Errors
/// A certificate of more than [`defaults::MAX_CERTIFICATE`] octets.
pub(crate) fn absorb(payloads: &Payloads<'_>) -> Result<Vec<Vec<u8>>, Refused> {
    let mut certificates = Vec::new();
    for payload in payloads.iter().filter(|payload| payload.payload_type() == PayloadType::CERTIFICATE) {
        let Ok(certificate) = Certificate::parse(payload) else { continue };
        if certificate.data.len() > defaults::MAX_CERTIFICATE {
            return Err(Refused::because(Failure::CertificateRefused));
        }
        if certificate.encoding == CertificateEncoding::X509_SIGNATURE && !certificate.data.is_empty() {
            certificates.push(certificate.data.to_vec());
        }
    }
    Ok(certificates)
}
