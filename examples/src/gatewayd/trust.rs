//! Keys and certificates from their files, and which peers' certificates are trusted.

use super::file::{Connection, File, FileError, read_secret};
use gateway::Command;
use ikev1_core::auth::{
    Authentication, CertificateError, PreSharedKey, RemoteKey, RsaCredential, RsaSigningKey, RsaVerifyingKey,
    TrustAnchors, certificates_from_pem, subject_of,
};
use ikev1_core::{Identity, VerifyCertificate};
use std::path::Path;

/// The authorities of each connection, in their order in the file.
#[derive(Debug)]
pub struct Trust(Vec<TrustAnchors>);

impl Trust {
    /// Reads the authorities of every connection.
    ///
    /// # Errors
    /// A file cannot be read, or holds no certificates.
    pub fn of(file: &File) -> Result<Self, FileError> {
        let anchors = file.connection.iter().enumerate();
        let anchors = anchors.map(|(index, connection)| connection.anchors(&format!("connection[{index}]")));
        Ok(Self(anchors.collect::<Result<_, _>>()?))
    }

    /// Judges a peer's certificates at a time in seconds since 1970: the answer, and why they are not trusted.
    pub fn judge(&self, question: &VerifyCertificate, now: u64) -> (Command, Option<CertificateError>) {
        let none = TrustAnchors::new();
        let anchors = usize::try_from(question.connection.0).ok().and_then(|index| self.0.get(index)).unwrap_or(&none);
        let certificates: Vec<&[u8]> = question.certificates.iter().map(Vec::as_slice).collect();
        let (key, error) = match anchors.verify(&certificates, &question.identity, now) {
            Ok(verified) => (Some(verified.key().clone()), None),
            Err(error) => (None, Some(error)),
        };
        (Command::CertificateVerdict { ticket: question.ticket, key }, error)
    }
}

impl Connection {
    /// Returns how both ends prove who they are.
    ///
    /// # Errors
    /// A key file cannot be read, or is no key.
    pub fn authentication(&self, field: &str) -> Result<Authentication, FileError> {
        Ok(match (&self.key_file, self.hybrid) {
            (None, false) => PreSharedKey::copied(self.key(field)?.expose()).into(),
            (None, true) => Authentication::HybridClient(self.remote_key(field)?),
            (Some(file), true) => Authentication::HybridGateway(self.credential(field, file)?),
            (Some(file), false) => {
                let local = self.credential(field, file)?;
                Authentication::RsaSignature { local, remote: self.remote_key(field)? }
            }
        })
    }

    fn credential(&self, field: &str, file: &Path) -> Result<RsaCredential, FileError> {
        let key = RsaSigningKey::from_pem(&text(file)?)
            .map_err(|error| FileError::refused(format!("{field}.key_file"), error.to_string()))?;
        Ok(RsaCredential::new(key, self.chain(field)?))
    }

    fn remote_key(&self, field: &str) -> Result<RemoteKey, FileError> {
        let Some(file) = &self.remote_key_file else {
            let authorities = self.anchors(field)?.names().map(<[u8]>::to_vec).collect();
            return Ok(RemoteKey::Certificate { authorities });
        };
        let key = RsaVerifyingKey::from_pem(&text(file)?);
        let key = key.map_err(|error| FileError::refused(format!("{field}.remote_key_file"), error.to_string()))?;
        Ok(RemoteKey::Key(key))
    }

    /// Returns the subject of our certificate: our identity, if no other is given.
    ///
    /// # Errors
    /// The file cannot be read, or its first certificate is malformed.
    pub fn subject(&self, field: &str) -> Result<Option<Identity>, FileError> {
        let chain = self.chain(field)?;
        let subject = chain.first().map(|own| subject_of(own)).transpose();
        subject.map_err(|error| FileError::refused(format!("{field}.cert_file"), error.to_string()))
    }

    fn chain(&self, field: &str) -> Result<Vec<Vec<u8>>, FileError> {
        let Some(file) = &self.cert_file else { return Ok(Vec::new()) };
        certificates_from_pem(&text(file)?)
            .map_err(|error| FileError::refused(format!("{field}.cert_file"), error.to_string()))
    }

    fn anchors(&self, field: &str) -> Result<TrustAnchors, FileError> {
        let mut anchors = TrustAnchors::new();
        if let Some(file) = &self.ca_file {
            anchors
                .add_pem(&text(file)?)
                .map_err(|error| FileError::refused(format!("{field}.ca_file"), error.to_string()))?;
        }
        Ok(anchors)
    }
}

fn text(path: &Path) -> Result<String, FileError> {
    let octets = read_secret(path)?;
    core::str::from_utf8(octets.expose()).map(str::to_owned).map_err(|_| FileError::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../gatewayd.toml");
    const CERTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ikev1-core/tests/vectors/certs");

    fn signing(lines: &str) -> Result<File, FileError> {
        let text = SAMPLE.replacen("psk = \"change me\"", &lines.replace("CERTS", CERTS), 1);
        File::parse(text.as_bytes())
    }

    #[test]
    fn a_connection_that_signs_makes_a_plan_and_is_called_as_its_certificate_says() {
        let lines =
            "key_file = \"CERTS/left.key.pem\"\ncert_file = \"CERTS/left.crt.pem\"\nca_file = \"CERTS/ca.crt.pem\"";
        let file = signing(lines).unwrap();
        assert!(file.plan().is_ok());
        let subject = file.connection[0].subject("office").unwrap().unwrap();
        assert_eq!(subject, Identity::distinguished_name("C=CH, O=Interop Lab, CN=left.example.org").unwrap());
        assert_eq!(Trust::of(&file).unwrap().0[0].names().count(), 1);
        let raw = "key_file = \"CERTS/left.key.pem\"\nremote_key_file = \"CERTS/right.pub.pem\"";
        assert!(signing(raw).unwrap().plan().is_ok());
        let user = "hybrid = true\nca_file = \"CERTS/ca.crt.pem\"\nxauth = { user = \"alice\", password = \"x\" }";
        assert!(signing(user).unwrap().plan().is_ok());
    }

    #[test]
    fn what_does_not_go_together_is_refused_by_name() {
        let refused = |lines: &str| match signing(lines) {
            Err(error) => error.to_string(),
            Ok(file) => file.plan().map(|_| ()).unwrap_err().to_string(),
        };
        assert_eq!(refused("key_file = \"x\""), "connection[0].ca_file: give ca_file or remote_key_file");
        assert_eq!(refused("psk = \"x\"\nca_file = \"y\""), "connection[0].ca_file: has no meaning without key_file");
        assert!(refused("hybrid = true\nkey_file = \"x\"\nca_file = \"y\"").starts_with("connection[0].hybrid: "));
        assert!(refused("hybrid = true\nca_file = \"CERTS/ca.crt.pem\"").contains("must be the user"));
        let both = "psk = \"x\"\nkey_file = \"CERTS/left.key.pem\"\nca_file = \"CERTS/ca.crt.pem\"";
        assert!(refused(both).starts_with("connection[0].key_file: "));
        let no_key = "key_file = \"CERTS/left.crt.pem\"\nca_file = \"CERTS/ca.crt.pem\"";
        assert_eq!(refused(no_key), "connection[0].key_file: no such document in the PEM text");
    }
}
