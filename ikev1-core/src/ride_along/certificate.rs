use crate::auth::{Authentication, RemoteKey, RsaCredential, RsaSigningKey, issuer};
use crate::defaults;
use crate::error::Failure;
use crate::flight::Fingerprint;
use crate::plan::SendCertificates;
use crate::refused::Refused;
use alloc::vec::Vec;
use ipsec_wire::isakmp::payload::{Certificate, CertificateRequest};
use ipsec_wire::isakmp::{ChainBuilder, Payloads};
use ipsec_wire::registry::{CertificateEncoding, PayloadType};

/// Adds certificates of this end, the key's own first.
pub(crate) fn contribute(certificates: &[Vec<u8>], chain: &mut ChainBuilder) {
    for certificate in certificates {
        chain.push(&Certificate { encoding: CertificateEncoding::X509_SIGNATURE, data: certificate });
    }
}

/// What a peer asked for in the messages of phase 1, RFC 2408 §3.10: certificates of any authority, or of some.
///
/// Of their names only fingerprints are kept, for a peer that has proven nothing may send many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    any: bool,
    authorities: Vec<Fingerprint>,
}

impl Asked {
    /// Reads the requests of a message. Those for X.509 in another wrapping name their authorities in the same
    /// way; those for anything else are passed over.
    ///
    /// How many there are at most is in the transition table.
    pub(crate) fn read(payloads: &Payloads<'_>) -> Self {
        let mut asked = Self::default();
        for payload in payloads.iter().filter(|payload| payload.payload_type() == PayloadType::CERTIFICATE_REQUEST) {
            match CertificateRequest::parse(payload) {
                Ok(CertificateRequest { encoding: CertificateEncoding::X509_SIGNATURE, data }) if !data.is_empty() => {
                    asked.authorities.push(Fingerprint::of(data));
                }
                Ok(CertificateRequest {
                    encoding: CertificateEncoding::X509_SIGNATURE | CertificateEncoding::PKCS7,
                    ..
                }) => asked.any = true,
                Ok(_) | Err(_) => {}
            }
        }
        asked
    }

    /// Returns what was asked for in both of two messages.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.any |= other.any;
        self.authorities.extend_from_slice(&other.authorities);
        self
    }

    /// Returns the place in a chain of the first certificate of an authority that was asked for.
    fn place(&self, chain: &[Vec<u8>]) -> Option<usize> {
        let named = |name: &[u8]| self.authorities.contains(&Fingerprint::of(name));
        chain.iter().position(|certificate| issuer(certificate).is_some_and(named))
    }

    /// Chooses the key to sign with and the certificates to send: the first key with a certificate of an authority
    /// that was asked for, else the first of all, RFC 4945 §3.3.7; the certificates up to that authority, which the
    /// peer has, else all.
    pub(crate) fn choose<'a>(
        &self,
        credential: &'a RsaCredential,
        send: SendCertificates,
    ) -> (&'a RsaSigningKey, &'a [Vec<u8>]) {
        let fitting = credential.all().find_map(|credential| Some((credential, self.place(&credential.chain)?)));
        let (credential, last) = fitting.unwrap_or((credential, credential.chain.len()));
        let sends = match send {
            SendCertificates::Always => true,
            SendCertificates::IfAsked => self.any || !self.authorities.is_empty(),
            SendCertificates::Never => false,
        };
        let certificates = credential.chain.get(..=last).unwrap_or(&credential.chain);
        (&credential.key, if sends { certificates } else { &[] })
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

    fn asked(requests: &[(u8, &[u8])]) -> Asked {
        let mut chain = ChainBuilder::new();
        for (encoding, data) in requests {
            chain.push(&CertificateRequest { encoding: CertificateEncoding(*encoding), data: *data });
        }
        let chain = built(chain);
        Asked::read(&Payloads::parse(chain.first(), chain.octets()).unwrap())
    }

    #[test]
    fn requests_for_signatures_count_and_those_for_anything_else_do_not() {
        let asks = |encoding: &u8| {
            let asked = asked(&[(*encoding, b"name")]);
            asked.any || !asked.authorities.is_empty()
        };
        assert_eq!((0..=255).filter(asks).collect::<Vec<u8>>(), [1, 4]);
        assert!(asked(&[(4, b"")]).any && asked(&[(1, b"name")]).any);
        let both = asked(&[(4, b"one")]).and(&asked(&[(4, b"two"), (4, b"")]));
        assert!(both.any && both.authorities == [Fingerprint::of(b"one"), Fingerprint::of(b"two")]);
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
