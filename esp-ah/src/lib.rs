//! ESP and AH transforms on the caller's buffers, one packet or many in lockstep.
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod ah;
mod cipher;
mod esp;
mod integrity;
pub mod ipcomp;
mod keys;
pub mod mode;
mod packet;
mod provider;
pub mod suite;

pub use esp::open::{OpenError, OpenJob, OpenSlot, Opened, open_batch, open_batch_if};
pub use esp::seal::{Iv, MAX_ESP_LEN, SealError, SealJob, SealSlot, seal_batch};
pub use keys::{KeyError, OpenKey, SealKey, SequenceBits};
pub use packet::{BufferTooSmall, Packet, Room};
#[cfg(feature = "openssl")]
pub use provider::openssl::OpenSsl;
#[cfg(feature = "ring")]
pub use provider::ring::Ring;
pub use provider::{Aead, BuiltIn, Mac, Pieces, Provider, ProviderFailed, ProviderId};
pub use suite::{CipherAlgorithm, IntegrityAlgorithm, Suite, SuiteError};
