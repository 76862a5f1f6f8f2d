//! The primitives under the exchanges: hash and prf, Diffie-Hellman, CBC for ISAKMP payloads.

mod cipher;
mod dh;
mod hash;
mod prf;

pub use cipher::{BlockIv, CipherAlgorithm, CipherError, CipherKey};
pub use dh::{DhError, DhGroup, DhKeyPair, DhPrivate, DhShared};
pub use hash::{Digest, HashAlgorithm};
pub use prf::PrfOutput;
