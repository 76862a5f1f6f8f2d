//! Who does the cryptography of packets.

use super::file::FileError;
use esp_ah::{BuiltIn, Provider};
use serde::Deserialize;
use std::sync::Arc;

/// Who does the cryptography of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cryptography {
    /// The libraries of the family, in Rust.
    BuiltIn,
    /// The `ring` library for AES-GCM with an ICV of 16 octets and for ChaCha20-Poly1305, which it does faster; the
    /// libraries of the family for all else.
    Ring,
}

impl Default for Cryptography {
    fn default() -> Self {
        if cfg!(feature = "ring") { Self::Ring } else { Self::BuiltIn }
    }
}

impl Cryptography {
    /// Returns the provider.
    ///
    /// # Errors
    /// This program was built without it.
    pub fn provider(self) -> Result<Arc<dyn Provider>, FileError> {
        match self {
            Self::BuiltIn => Ok(Arc::new(BuiltIn)),
            #[cfg(feature = "ring")]
            Self::Ring => Ok(Arc::new(esp_ah::Ring)),
            #[cfg(not(feature = "ring"))]
            Self::Ring => Err(FileError::refused("daemon.cryptography", "this program was built without ring")),
        }
    }
}
