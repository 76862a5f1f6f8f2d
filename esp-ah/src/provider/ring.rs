//! The combined modes of the `ring` library.

use crate::provider::{Aead, Provider, ProviderFailed, ProviderId};
use crate::suite::{AesKey, CipherAlgorithm, IcvLen};
use alloc::boxed::Box;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, Tag, UnboundKey};

/// The `ring` library: AES-128-GCM-16, AES-256-GCM-16 and ChaCha20-Poly1305 in assembly.
///
/// On processors with vector AES it takes half of the time that this crate takes. It does not wipe its keys when they
/// are dropped, which is the reason to stay without it where memory may be read afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ring;

impl Ring {
    /// Its number.
    pub const ID: ProviderId = ProviderId::new(1);
}

impl Provider for Ring {
    fn id(&self) -> ProviderId {
        Self::ID
    }

    fn aead(&self, cipher: CipherAlgorithm, key: &[u8], salt: &[u8]) -> Option<Box<dyn Aead>> {
        let algorithm = if cipher == CipherAlgorithm::AesGcm(AesKey::Bits128, IcvLen::Octets16) {
            &AES_128_GCM
        } else if cipher == CipherAlgorithm::AesGcm(AesKey::Bits256, IcvLen::Octets16) {
            &AES_256_GCM
        } else if cipher == CipherAlgorithm::ChaCha20Poly1305 {
            &CHACHA20_POLY1305
        } else {
            return None;
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
        Some(Box::new(RingKey { key, salt: salt.try_into().ok()? }))
    }
}

struct RingKey {
    key: LessSafeKey,
    salt: [u8; 4],
}

impl RingKey {
    /// nonce = salt | IV (RFC 4106 §4, RFC 7634 §2)
    #[inline]
    fn nonce(&self, iv: [u8; 8]) -> Nonce {
        let ([a, b, c, d], [e, f, g, h, i, j, k, l]) = (self.salt, iv);
        Nonce::assume_unique_for_key([a, b, c, d, e, f, g, h, i, j, k, l])
    }
}

impl Aead for RingKey {
    fn seal(&self, iv: [u8; 8], associated: &[u8], text: &mut [u8]) -> Result<[u8; 16], ProviderFailed> {
        // It fails above 64 GiB only.
        let sealed = self.key.seal_in_place_separate_tag(self.nonce(iv), Aad::from(associated), text);
        sealed.ok().and_then(|tag| tag.as_ref().try_into().ok()).ok_or(ProviderFailed)
    }

    fn open(&self, iv: [u8; 8], associated: &[u8], text: &mut [u8], icv: &[u8]) -> Result<bool, ProviderFailed> {
        let tag = Tag::try_from(icv).map_err(|_| ProviderFailed)?;
        let opened = self.key.open_in_place_separate_tag(self.nonce(iv), Aad::from(associated), tag, text, 0..);
        Ok(opened.is_ok())
    }
}
