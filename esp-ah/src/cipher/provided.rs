//! Combined modes by [`Provider`]s, and our own in the same form.

use super::ccm::Ccm;
use super::chacha::ChaCha;
use super::gcm::Gcm;
use crate::integrity::same;
use crate::provider::{Aead, Provider, ProviderFailed, ProviderId};
use crate::suite::CipherAlgorithm;
use alloc::boxed::Box;

/// A key that a provider made.
pub(crate) struct Provided {
    pub(crate) id: ProviderId,
    aead: Box<dyn Aead>,
    /// Our own key, for packets that must stay as they came if they are refused.
    keeping: Option<Box<dyn Aead>>,
}

impl Provided {
    /// Makes a key ready for sealing; `None` if the provider does not do this cipher.
    pub(crate) fn sealing(
        provider: &dyn Provider,
        algorithm: CipherAlgorithm,
        key: &[u8],
        salt: &[u8],
    ) -> Option<Self> {
        // Ciphers of other kinds are no provider's.
        let asked = algorithm.is_combined() && algorithm.is_confidential();
        let aead = asked.then(|| provider.aead(algorithm, key, salt)).flatten()?;
        Some(Self { id: provider.id(), aead, keeping: None })
    }

    /// Makes a key ready for opening; `twice` if packets may have to be tried twice.
    pub(crate) fn opening(
        provider: &dyn Provider,
        algorithm: CipherAlgorithm,
        key: &[u8],
        salt: &[u8],
        twice: bool,
    ) -> Option<Self> {
        let provided = Self::sealing(provider, algorithm, key, salt)?;
        let keeping = if twice && !provided.aead.keeps_refused() { Some(own(algorithm, key, salt)?) } else { None };
        Some(Self { keeping, ..provided })
    }

    #[inline]
    pub(crate) fn seal(&self, iv: [u8; 8], associated: &[u8], text: &mut [u8]) -> Result<[u8; 16], ProviderFailed> {
        self.aead.seal(iv, associated, text)
    }

    /// Decrypts if the ICV is right; a refused text stays as it came if `keeping` and packets may be tried twice.
    #[inline]
    pub(crate) fn open(
        &self,
        iv: [u8; 8],
        associated: &[u8],
        text: &mut [u8],
        icv: &[u8],
        keeping: bool,
    ) -> Result<bool, ProviderFailed> {
        let aead = self.keeping.as_ref().filter(|_| keeping).unwrap_or(&self.aead);
        aead.open(iv, associated, text, icv)
    }
}

/// Our own key of a combined mode.
fn own(algorithm: CipherAlgorithm, key: &[u8], salt: &[u8]) -> Option<Box<dyn Aead>> {
    match algorithm {
        CipherAlgorithm::AesGcm(..) => Some(Box::new(Gcm::new(key, salt)?)),
        CipherAlgorithm::AesCcm(_, icv) => Some(Box::new(Ccm::new(key, salt, icv.octets())?)),
        CipherAlgorithm::ChaCha20Poly1305 => Some(Box::new(ChaCha::new(key, salt)?)),
        CipherAlgorithm::Null
        | CipherAlgorithm::DesCbc
        | CipherAlgorithm::TripleDesCbc
        | CipherAlgorithm::AesCbc(_)
        | CipherAlgorithm::AesCtr(_)
        | CipherAlgorithm::AesGmac(_) => None,
    }
}

impl Aead for Gcm {
    fn seal(&self, iv: [u8; 8], associated: &[u8], text: &mut [u8]) -> Result<[u8; 16], ProviderFailed> {
        self.apply(iv, text);
        Ok(self.tag(iv, associated, text))
    }

    fn open(&self, iv: [u8; 8], associated: &[u8], text: &mut [u8], icv: &[u8]) -> Result<bool, ProviderFailed> {
        let right = same(icv, &self.tag(iv, associated, text));
        if right {
            self.apply(iv, text);
        }
        Ok(right)
    }

    fn keeps_refused(&self) -> bool {
        true
    }
}

impl Aead for Ccm {
    fn seal(&self, iv: [u8; 8], associated: &[u8], text: &mut [u8]) -> Result<[u8; 16], ProviderFailed> {
        let tag = self.tag(iv, associated, text);
        self.apply(iv, text);
        Ok(tag)
    }

    fn open(&self, iv: [u8; 8], associated: &[u8], text: &mut [u8], icv: &[u8]) -> Result<bool, ProviderFailed> {
        // The MAC covers the plaintext.
        self.apply(iv, text);
        let right = same(icv, &self.tag(iv, associated, text));
        if !right {
            self.apply(iv, text);
        }
        Ok(right)
    }

    fn keeps_refused(&self) -> bool {
        true
    }
}

impl Aead for ChaCha {
    fn seal(&self, iv: [u8; 8], associated: &[u8], text: &mut [u8]) -> Result<[u8; 16], ProviderFailed> {
        Ok(Self::seal(self, iv, associated, text))
    }

    fn open(&self, iv: [u8; 8], associated: &[u8], text: &mut [u8], icv: &[u8]) -> Result<bool, ProviderFailed> {
        Ok(icv.try_into().is_ok_and(|tag| Self::open(self, iv, associated, text, tag)))
    }

    fn keeps_refused(&self) -> bool {
        true
    }
}
