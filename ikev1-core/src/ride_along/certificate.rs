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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::built;
    use alloc::vec;

    fn absorbed(certificates: &[(u8, &[u8])]) -> Result<Vec<Vec<u8>>, Refused> {
        let mut chain = ChainBuilder::new();
        for (encoding, data) in certificates {
            chain.push(&Certificate { encoding: CertificateEncoding(*encoding), data });
        }
        let chain = built(chain);
        absorb(&Payloads::parse(chain.first(), chain.octets()).unwrap())
    }

    #[test]
    fn certificates_come_in_their_order_and_every_other_encoding_is_passed_over() {
        let taken = |encoding: &u8| !absorbed(&[(*encoding, b"data")]).unwrap().is_empty();
        assert_eq!((0..=255).filter(taken).collect::<Vec<u8>>(), [4]);
        assert_eq!(absorbed(&[(4, b"own"), (7, b"list"), (4, b"other")]).unwrap(), [&b"own"[..], b"other"]);
        assert!(absorbed(&[(4, b""), (1, b"PKCS #7")]).unwrap().is_empty(), "a hybrid client sends one without data");
    }

    /// CVE class of certificates that are too big: one octet more than allowed is not looked at.
    #[test]
    fn a_certificate_that_is_too_long_refuses_the_message() {
        let longest = vec![0; defaults::MAX_CERTIFICATE];
        assert_eq!(absorbed(&[(4, &longest)]).unwrap(), core::slice::from_ref(&longest));
        let longer = vec![0; defaults::MAX_CERTIFICATE + 1];
        assert_eq!(absorbed(&[(4, b"own"), (4, &longer)]).unwrap_err().failure(), Some(&Failure::CertificateRefused));
    }

    #[test]
    fn a_request_names_each_authority_or_none() {
        let count = |authentication: &Authentication| {
            let mut chain = ChainBuilder::new();
            request(authentication, &mut chain);
            let chain = built(chain);
            Payloads::parse(chain.first(), chain.octets()).unwrap().iter().map(|payload| payload.body().len()).collect()
        };
        let names = |authorities| Authentication::HybridClient(RemoteKey::Certificate { authorities });
        let lengths: Vec<usize> = count(&names(vec![b"one".to_vec(), b"second".to_vec()]));
        assert_eq!(lengths, [4, 7]);
        let lengths: Vec<usize> = count(&names(Vec::new()));
        assert_eq!(lengths, [1]);
        let lengths: Vec<usize> = count(&crate::auth::PreSharedKey::copied(b"key").into());
        assert!(lengths.is_empty());
    }
}
