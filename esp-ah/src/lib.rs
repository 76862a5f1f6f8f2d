//! ESP and AH transforms on the caller's buffers, one packet or many in lockstep.
//!
//! Features change who does the work and how fast, and no octet of what comes out. `lanes` hashes the packets of a batch in
//! vector lanes, if there are enough of them and the processor has the vectors. `fast-md5` is MD5 in assembly. `ring` and
//! `openssl` add the providers `Ring` and `OpenSsl`. `std`, on by default, says that there is a standard library, which
//! `lanes` asks for what the processor has.
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
