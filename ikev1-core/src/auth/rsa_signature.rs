use super::pem;
use crate::crypto::Digest;
use alloc::vec::Vec;
use core::fmt;
use rand_core::CryptoRng;
use rsa::pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use thiserror::Error;

/// The shortest modulus in bits: below it a hash of 64 octets hardly fits.
const LEAST_BITS: u32 = 1_024;

/// Why a key could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not PEM.
    #[error("not PEM")]
    Pem,
    /// The text holds other documents than the one looked for.
    #[error("no such document in the PEM text")]
    NoSuchDocument,
    /// The octets are no RSA key that can be used: a modulus of 1024 to 8192 bits, two primes, an odd
    /// public exponent from 3 to 2^33.
    #[error("not a usable RSA key")]
    NotRsa,
}

/// Why a signature was not made or not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// A signature has exactly the length of the modulus.
    #[error("a signature of {got} octets, the key has {wanted}")]
    Length {
        /// The length of the modulus.
        wanted: usize,
        /// The length that came.
        got: usize,
    },
    /// It was not made by this key over this hash.
    #[error("wrong signature")]
    Wrong,
    /// The key could not sign.
    #[error("the key could not sign")]
    Signing,
}

/// A private RSA key that signs HASH_I or HASH_R.
pub struct RsaSigningKey(RsaPrivateKey);

impl RsaSigningKey {
    /// Reads PKCS#8 or PKCS#1, in DER.
    ///
    /// # Errors
    /// [`KeyError::NotRsa`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        RsaPrivateKey::from_pkcs8_der(der)
            .ok()
            .or_else(|| RsaPrivateKey::from_pkcs1_der(der).ok())
            .filter(|key| key.n().as_ref().bits_vartime() >= LEAST_BITS)
            .map(Self)
            .ok_or(KeyError::NotRsa)
    }

    /// Reads the first `PRIVATE KEY` or `RSA PRIVATE KEY` of a PEM text.
    ///
    /// # Errors
    /// Any [`KeyError`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_der(&pem::first(text, &["PRIVATE KEY", "RSA PRIVATE KEY"])?.octets)
    }

    /// Returns the public half.
    pub fn verifying_key(&self) -> RsaVerifyingKey {
        RsaVerifyingKey(self.0.to_public_key())
    }

    /// Signs a hash (RFC 2409 §5.1): PKCS#1 v1.5 padding around the bare hash, without the name of the
    /// hash algorithm; as long as the modulus.
    ///
    /// Randomness blinds the computation and leaves no trace in the signature.
    ///
    /// # Errors
    /// [`SignatureError::Signing`].
    pub fn sign(&self, hash: &Digest, rng: &mut dyn CryptoRng) -> Result<Vec<u8>, SignatureError> {
        let padding = Pkcs1v15Sign::new_unprefixed();
        self.0.sign_with_rng(rng, padding, hash.as_bytes()).map_err(|_| SignatureError::Signing)
    }
}

impl fmt::Debug for RsaSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaSigningKey({} bits)", self.0.size() * 8)
    }
}

/// A public RSA key that a peer's signature is checked with.
#[derive(Clone, PartialEq, Eq)]
pub struct RsaVerifyingKey(RsaPublicKey);

impl RsaVerifyingKey {
    /// Reads a SubjectPublicKeyInfo or a bare PKCS#1 key, in DER.
    ///
    /// # Errors
    /// [`KeyError::NotRsa`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        RsaPublicKey::from_public_key_der(der)
            .ok()
            .or_else(|| RsaPublicKey::from_pkcs1_der(der).ok())
            .filter(|key| key.n().as_ref().bits_vartime() >= LEAST_BITS)
            .map(Self)
            .ok_or(KeyError::NotRsa)
    }

    /// Reads the first `PUBLIC KEY` or `RSA PUBLIC KEY` of a PEM text.
    ///
    /// # Errors
    /// Any [`KeyError`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_der(&pem::first(text, &["PUBLIC KEY", "RSA PUBLIC KEY"])?.octets)
    }

    /// Returns the length of the modulus in bits.
    pub fn bits(&self) -> usize {
        self.0.n().as_ref().bits_vartime() as usize
    }

    /// Returns whether a plan must ask for it by a `dangerously_` name: fewer than 2048 bits.
    pub fn is_weak(&self) -> bool {
        self.bits() < 2048
    }

    /// Checks the signature over a hash that [`RsaSigningKey::sign`] makes.
    ///
    /// # Errors
    /// [`SignatureError::Length`] or [`SignatureError::Wrong`].
    pub fn verify(&self, hash: &Digest, signature: &[u8]) -> Result<(), SignatureError> {
        let wanted = self.0.size();
        if signature.len() != wanted {
            return Err(SignatureError::Length { wanted, got: signature.len() });
        }
        let padding = Pkcs1v15Sign::new_unprefixed();
        self.0.verify(padding, hash.as_bytes(), signature).map_err(|_| SignatureError::Wrong)
    }

    /// Checks the signature of a certificate: PKCS#1 v1.5 with the name of the hash algorithm.
    #[cfg(feature = "x509")]
    pub(super) fn verify_named(&self, padding: Pkcs1v15Sign, hash: &[u8], signature: &[u8]) -> bool {
        self.0.verify(padding, hash, signature).is_ok()
    }
}

impl fmt::Debug for RsaVerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaVerifyingKey({} bits)", self.bits())
    }
}
