use crate::inbound::Found;
use crate::{DropReason, KeyDescription, SaHandle, SaMode, Spi};
use esp_ah::ah::AhError;
use esp_ah::{OpenError, SealError};
use thiserror::Error;

/// The right and duty to seal one packet elsewhere: all that a worker or an engine needs to know but the key.
///
/// Nothing is kept for it here: one that is lost costs its sequence number, no more.
#[must_use = "its sequence number is taken"]
#[derive(Debug, PartialEq, Eq)]
pub struct SealTicket {
    pub(crate) association: SaHandle,
    pub(crate) spi: Spi,
    pub(crate) sequence: u64,
    pub(crate) mode: SaMode,
    pub(crate) keys: KeyDescription,
    pub(crate) octets: u64,
}

/// The right to open one packet elsewhere: all that a worker or an engine needs to know but the key.
///
/// Nothing is kept for it here: one that is lost is a packet lost on its way.
#[must_use = "without its completion the packet is lost"]
#[derive(Debug, PartialEq, Eq)]
pub struct OpenTicket {
    pub(crate) found: Found,
    pub(crate) spi: Spi,
    pub(crate) mode: SaMode,
    pub(crate) keys: KeyDescription,
    /// Whether the upper half of its number is the second that is tried.
    pub(crate) again: bool,
}

impl SealTicket {
    /// Returns the association.
    pub const fn association(&self) -> SaHandle {
        self.association
    }

    /// Returns the SPI that goes into the packet.
    pub const fn spi(&self) -> Spi {
        self.spi
    }

    /// Returns the whole sequence number, which no other packet of the association has or will have.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns how the packet is put in.
    pub const fn mode(&self) -> SaMode {
        self.mode
    }

    /// Returns the algorithms, how wide the sequence number is, and who holds the key.
    pub const fn keys(&self) -> KeyDescription {
        self.keys
    }
}

impl OpenTicket {
    /// Returns the association.
    pub fn association(&self) -> SaHandle {
        self.found.handle()
    }

    /// Returns the SPI that the packet shows.
    pub const fn spi(&self) -> Spi {
        self.spi
    }

    /// Returns the whole sequence number; its upper half, which packets do not show, is the one to try.
    pub const fn sequence(&self) -> u64 {
        self.found.sequence
    }

    /// Returns how the packet was put in.
    pub const fn mode(&self) -> SaMode {
        self.mode
    }

    /// Returns the algorithms, how wide the sequence number is, and who holds the key.
    pub const fn keys(&self) -> KeyDescription {
        self.keys
    }
}

/// What an engine, or whatever else does the cryptography, could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum EngineFailure {
    /// It did not take the packet: it has no room for it, or not the key.
    #[error("the engine did not take the packet")]
    NotTaken,
    /// It could not encrypt or decrypt.
    #[error("the engine failed in the cipher")]
    Cipher,
    /// It could not make an ICV. One that is wrong is no failure of the engine: that is [`OpenError::Icv`].
    #[error("the engine failed in the integrity algorithm")]
    Integrity,
}

/// Why a packet was not sealed elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealFailure {
    /// As [`esp_ah::SealJob`] says it.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// As [`esp_ah::ah::ah_seal`] says it.
    #[error(transparent)]
    Ah(#[from] AhError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineFailure),
}

/// Why a packet was not opened elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenFailure {
    /// As [`esp_ah::OpenJob`] says it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// As [`esp_ah::ah::ah_verify`] and [`esp_ah::ah::ah_strip`] say it.
    #[error(transparent)]
    Ah(#[from] AhError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineFailure),
}

/// What was found in a packet whose ICV is right, and its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenedPayload {
    /// What the payload is.
    pub next_header: u8,
    /// Its octets, filler included; with AH those of the whole packet that is left.
    pub octets: u64,
}

/// Why a completed ticket gave no packet.
#[derive(Debug, PartialEq, Eq, Error)]
#[must_use]
pub enum Unopened {
    /// The packet is dropped.
    #[error(transparent)]
    Dropped(#[from] DropReason),
    /// The ICV is wrong, and many before it were: try the same packet once more with the sequence number of this
    /// ticket, RFC 4303 appendix A3. Where the packet is lost by now, complete it with the same error.
    #[error("wrong ICV under an upper half of the sequence number that is in doubt")]
    Again(OpenTicket),
}
