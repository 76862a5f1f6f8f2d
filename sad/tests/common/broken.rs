//! A provider of cryptography that fails.

use esp_ah::suite::MAX_ICV_LEN;
use esp_ah::{Aead, CipherAlgorithm, IntegrityAlgorithm, Mac, Pieces, Provider, ProviderFailed, ProviderId};

/// It takes every key, and every packet is lost with it.
#[derive(Debug)]
pub struct Broken;

impl Broken {
    pub const ID: ProviderId = ProviderId::new(4000);
}

impl Provider for Broken {
    fn id(&self) -> ProviderId {
        Self::ID
    }

    fn aead(&self, _: CipherAlgorithm, _: &[u8], _: &[u8]) -> Option<Box<dyn Aead>> {
        Some(Box::new(Self))
    }

    fn mac(&self, _: IntegrityAlgorithm, _: &[u8]) -> Option<Box<dyn Mac>> {
        Some(Box::new(Self))
    }
}

impl Mac for Broken {
    fn icv(&self, _: &mut Pieces<'_>) -> Result<[u8; MAX_ICV_LEN], ProviderFailed> {
        Err(ProviderFailed)
    }
}

impl Aead for Broken {
    fn seal(&self, _: [u8; 8], _: &[u8], _: &mut [u8]) -> Result<[u8; 16], ProviderFailed> {
        Err(ProviderFailed)
    }

    fn open(&self, _: [u8; 8], _: &[u8], _: &mut [u8], _: &[u8]) -> Result<bool, ProviderFailed> {
        Err(ProviderFailed)
    }
}
