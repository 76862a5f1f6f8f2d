use super::{KeyError, RsaVerifyingKey, pem};
use crate::action::VerifyCertificate;
use crate::command::Command;
use crate::crypto::HashAlgorithm;
use crate::identity::Identity;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;
use rsa::Pkcs1v15Sign;
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
    alg_id,
};
use thiserror::Error;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{KeyUsage, SubjectAltName};

/// Certificates that one peer may present.
pub const MAX_CERTIFICATES: usize = 16;

/// Octets of one certificate.
pub const MAX_CERTIFICATE: usize = crate::defaults::MAX_CERTIFICATE;

/// Why a certificate does not prove an identity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// No certificate came.
    #[error("no certificate")]
    None,
    /// More certificates than [`MAX_CERTIFICATES`].
    #[error("{0} certificates")]
    TooMany(usize),
    /// A certificate of more octets than [`MAX_CERTIFICATE`].
    #[error("a certificate of {0} octets")]
    TooLong(usize),
    /// The first certificate, the peer's own, cannot be read.
    #[error("the certificate is malformed")]
    Malformed,
    /// The identity of phase 1 is neither the subject nor among its alternative names.
    #[error("the certificate does not name {0}")]
    Identity(Identity),
    /// A use of keys that the certificate forbids.
    #[error("the certificate's key usage forbids it")]
    KeyUsage,
    /// The key is not an RSA key that can be used.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// No path leads to an authority that is trusted, at this time.
    #[error("no path to a trusted authority: {0}")]
    Path(webpki::Error),
}

impl From<webpki::Error> for CertificateError {
    fn from(error: webpki::Error) -> Self {
        Self::Path(error)
    }
}

/// A certificate that was checked in every respect, with the key that it vouches for.
///
/// There is no other way to one than [`TrustAnchors::verify`].
#[derive(Debug)]
pub struct VerifiedCertificate {
    key: RsaVerifyingKey,
    identity: Identity,
}

impl VerifiedCertificate {
    /// Returns the key that the peer's signature must be made with.
    pub fn key(&self) -> &RsaVerifyingKey {
        &self.key
    }

    /// Returns the identity that the certificate proves.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// The authorities that are trusted.
#[derive(Debug, Default)]
pub struct TrustAnchors {
    anchors: Vec<TrustAnchor<'static>>,
    names: Vec<Vec<u8>>,
    sha1: bool,
}

impl TrustAnchors {
    /// Returns no authority at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also takes signatures over SHA-1 on certificates, as old authorities make them.
    #[must_use]
    pub fn dangerously_allow_sha1(mut self) -> Self {
        self.sha1 = true;
        self
    }

    /// Adds the certificate of an authority, in DER.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`] or [`CertificateError::Path`].
    pub fn add_der(&mut self, der: &[u8]) -> Result<(), CertificateError> {
        let certificate = Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        let name = certificate.tbs_certificate().subject().to_der().map_err(|_| CertificateError::Malformed)?;
        let der = CertificateDer::from(der);
        let anchor = webpki::anchor_from_trusted_cert(&der)?.to_owned();
        self.anchors.push(anchor);
        self.names.push(name);
        Ok(())
    }

    /// Adds every `CERTIFICATE` of a PEM text, and returns how many there were.
    ///
    /// # Errors
    /// [`CertificateError::Key`] for a text without any, and those of [`add_der`](Self::add_der).
    pub fn add_pem(&mut self, text: &str) -> Result<usize, CertificateError> {
        let certificates = certificates_from_pem(text)?;
        certificates.iter().try_for_each(|der| self.add_der(der))?;
        Ok(certificates.len())
    }

    /// Returns the distinguished names of the authorities, as certificate requests carry them.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(Vec::as_slice)
    }

    /// Checks that a peer's certificates prove its identity at a time, in seconds since 1970.
    ///
    /// The first certificate is the peer's own; the others help to find a path, in any order. Checked
    /// are signatures, validity, basic and name constraints, key usages and the identity; not
    /// revocation.
    ///
    /// # Errors
    /// Any [`CertificateError`].
    pub fn verify(
        &self,
        certificates: &[&[u8]],
        identity: &Identity,
        unix_seconds: u64,
    ) -> Result<VerifiedCertificate, CertificateError> {
        let (own, others) = certificates.split_first().ok_or(CertificateError::None)?;
        if certificates.len() > MAX_CERTIFICATES {
            return Err(CertificateError::TooMany(certificates.len()));
        }
        if let Some(long) = certificates.iter().find(|der| der.len() > MAX_CERTIFICATE) {
            return Err(CertificateError::TooLong(long.len()));
        }
        let read = Certificate::from_der(own).map_err(|_| CertificateError::Malformed)?;
        let own = CertificateDer::from(*own);
        let end_entity = EndEntityCert::try_from(&own)?;
        let intermediates: Vec<CertificateDer<'_>> = others.iter().copied().map(CertificateDer::from).collect();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(unix_seconds));
        let algorithms = if self.sha1 { ALGORITHMS_WITH_SHA1 } else { ALGORITHMS };
        let path =
            end_entity.verify_for_usage(algorithms, &self.anchors, &intermediates, time, IkePurpose, None, None)?;
        for authority in path.intermediate_certificates() {
            let authority = Certificate::from_der(&authority.der()).map_err(|_| CertificateError::Malformed)?;
            allows(&authority, |usage| usage.key_cert_sign())?;
        }
        allows(&read, |usage| usage.digital_signature() || usage.non_repudiation())?;
        if !names(&read, identity)? {
            return Err(CertificateError::Identity(identity.clone()));
        }
        let key = RsaVerifyingKey::from_der(&end_entity.subject_public_key_info())?;
        Ok(VerifiedCertificate { key, identity: identity.clone() })
    }
}

impl TrustAnchors {
    /// Answers the question of an endpoint at a time, in seconds since 1970: the command for it, and why if
    /// the certificates are not trusted.
    pub fn answer(&self, question: &VerifyCertificate, unix_seconds: u64) -> (Command, Option<CertificateError>) {
        let certificates: Vec<&[u8]> = question.certificates.iter().map(Vec::as_slice).collect();
        let (key, error) = match self.verify(&certificates, &question.identity, unix_seconds) {
            Ok(verified) => (Some(verified.key), None),
            Err(error) => (None, Some(error)),
        };
        (Command::CertificateVerdict { ticket: question.ticket, key }, error)
    }
}

/// Reads every `CERTIFICATE` of a PEM text, in DER and in order.
///
/// # Errors
/// [`KeyError::Pem`] or [`KeyError::NoSuchDocument`].
pub fn certificates_from_pem(text: &str) -> Result<Vec<Vec<u8>>, KeyError> {
    let documents = pem::documents(text)?.into_iter().filter(|document| document.label == "CERTIFICATE");
    let certificates: Vec<Vec<u8>> = documents.map(|document| document.octets.to_vec()).collect();
    if certificates.is_empty() { Err(KeyError::NoSuchDocument) } else { Ok(certificates) }
}

/// Returns the subject of a certificate in DER: what `ID_DER_ASN1_DN` carries.
///
/// # Errors
/// [`CertificateError::Malformed`].
pub fn subject_of(der: &[u8]) -> Result<Identity, CertificateError> {
    let certificate = Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    let name = certificate.tbs_certificate().subject().to_der().map_err(|_| CertificateError::Malformed)?;
    Ok(Identity::DistinguishedName(name))
}

/// Checks the key usage extension, if there is one (RFC 4945 §5.1.3.2).
fn allows(certificate: &Certificate, fits: impl Fn(&KeyUsage) -> bool) -> Result<(), CertificateError> {
    match certificate.tbs_certificate().get_extension::<KeyUsage>() {
        Ok(None) => Ok(()),
        Ok(Some((_, usage))) if fits(&usage) => Ok(()),
        Ok(Some(_)) => Err(CertificateError::KeyUsage),
        Err(_) => Err(CertificateError::Malformed),
    }
}

/// Returns whether the certificate names the identity (RFC 4945 §5.1.3.6): a distinguished name as its
/// subject, any other among its alternative names, without wildcards.
fn names(certificate: &Certificate, identity: &Identity) -> Result<bool, CertificateError> {
    let subject = certificate.tbs_certificate().subject().to_der().ok().map(Identity::DistinguishedName);
    let alternative = certificate.tbs_certificate().get_extension::<SubjectAltName>();
    let alternative = alternative.map_err(|_| CertificateError::Malformed)?;
    let alternative = alternative.map(|(_, names)| names.0).unwrap_or_default();
    let any = |fits: &dyn Fn(&GeneralName) -> bool| alternative.iter().any(fits);
    Ok(match identity {
        Identity::Fqdn(wanted) => {
            any(&|name| matches!(name, GeneralName::DnsName(name) if name.as_str().eq_ignore_ascii_case(wanted)))
        }
        Identity::UserFqdn(wanted) => {
            any(&|name| matches!(name, GeneralName::Rfc822Name(name) if name.as_str().eq_ignore_ascii_case(wanted)))
        }
        Identity::Address(IpAddr::V4(wanted)) => {
            any(&|name| matches!(name, GeneralName::IpAddress(octets) if octets.as_bytes() == wanted.octets()))
        }
        Identity::Address(IpAddr::V6(wanted)) => {
            any(&|name| matches!(name, GeneralName::IpAddress(octets) if octets.as_bytes() == wanted.octets()))
        }
        Identity::DistinguishedName(_) => subject.is_some_and(|subject| subject.matches(identity)),
        Identity::KeyId(_) => false,
    })
}

/// The purposes that a certificate for IKE may have, if it says any (RFC 4945 §5.1.3.12).
///
/// Those of TLS are among them, because most authorities set them whatever the certificate is for.
struct IkePurpose;

/// Object identifiers of purposes, from `anyExtendedKeyUsage` to `iKEIntermediate`.
const PURPOSES: [&[usize]; 8] = [
    &[2, 5, 29, 37, 0],
    &[1, 3, 6, 1, 5, 5, 7, 3, 17],
    &[1, 3, 6, 1, 5, 5, 8, 2, 2],
    &[1, 3, 6, 1, 5, 5, 7, 3, 5],
    &[1, 3, 6, 1, 5, 5, 7, 3, 6],
    &[1, 3, 6, 1, 5, 5, 7, 3, 7],
    &[1, 3, 6, 1, 5, 5, 7, 3, 1],
    &[1, 3, 6, 1, 5, 5, 7, 3, 2],
];

impl ExtendedKeyUsageValidator for IkePurpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut none = true;
        for purpose in purposes {
            none = false;
            if PURPOSES.contains(&purpose?.to_decoded_oid().as_slice()) {
                return Ok(());
            }
        }
        if none { Ok(()) } else { Err(webpki::Error::EmptyEkuExtension) }
    }
}

/// PKCS#1 v1.5 over one hash, as certificates are signed.
#[derive(Debug)]
struct RsaOver {
    hash: HashAlgorithm,
    /// DigestInfo before the hash (RFC 8017 §9.2 note 1).
    prefix: &'static [u8],
    id: AlgorithmIdentifier,
}

const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[&SHA256, &SHA384, &SHA512];
const ALGORITHMS_WITH_SHA1: &[&dyn SignatureVerificationAlgorithm] = &[&SHA256, &SHA384, &SHA512, &SHA1];

static SHA1: RsaOver = RsaOver {
    hash: HashAlgorithm::Sha1,
    prefix: b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14",
    // sha1WithRSAEncryption, with its NULL (RFC 3279 §2.2.1).
    id: AlgorithmIdentifier::from_slice(b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05\x05\x00"),
};
static SHA256: RsaOver = RsaOver {
    hash: HashAlgorithm::Sha2_256,
    prefix: b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
    id: alg_id::RSA_PKCS1_SHA256,
};
static SHA384: RsaOver = RsaOver {
    hash: HashAlgorithm::Sha2_384,
    prefix: b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
    id: alg_id::RSA_PKCS1_SHA384,
};
static SHA512: RsaOver = RsaOver {
    hash: HashAlgorithm::Sha2_512,
    prefix: b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
    id: alg_id::RSA_PKCS1_SHA512,
};

impl SignatureVerificationAlgorithm for RsaOver {
    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let key = RsaVerifyingKey::from_der(public_key).map_err(|_| InvalidSignature)?;
        let padding = Pkcs1v15Sign { hash_len: Some(self.hash.output_len()), prefix: Box::from(self.prefix) };
        let hash = self.hash.digest(&[message]);
        if key.verify_named(padding, hash.as_bytes(), signature) { Ok(()) } else { Err(InvalidSignature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.id
    }
}
