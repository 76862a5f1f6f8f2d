//! The Authentication Header (RFC 4302).
//!
//! AH covers the IP header before it, so these functions work on whole IP packets: in tunnel mode the outer
//! header is put on first ([`crate::mode::OuterHeader`], with 4 or 41 as its protocol), in transport mode the
//! packet has its own.

mod mutable_fields;
mod open;
mod seal;

pub use mutable_fields::MAX_CLEAR_HEADERS;
pub use open::{AhPlace, ah_locate, ah_strip, ah_verify};
pub use seal::ah_seal;

use crate::integrity::Integrity;
use crate::keys::{KeyError, SequenceBits};
use crate::packet::BufferTooSmall;
use crate::provider::{BuiltIn, Provider, ProviderFailed, ProviderId};
use crate::suite::IntegrityAlgorithm;
use core::fmt;
use ipsec_wire::WireError;
use ipsec_wire::ah::FIXED_LEN;

/// Why an AH packet was not made or not accepted; it is unchanged then, unless the provider failed to seal it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AhError {
    /// Headers that lie.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The buffer has too little room before the packet.
    #[error(transparent)]
    BufferTooSmall(#[from] BufferTooSmall),
    /// The packet would be longer than IP can say.
    #[error("the packet would have {0} octets")]
    TooLong(usize),
    /// A fragment: AH protects whole datagrams only (RFC 4302 §3.3.4).
    #[error("a fragment")]
    Fragment,
    /// The sequence number is zero, or above 32 bits where the association has no more.
    #[error("sequence number {0} out of range")]
    Sequence(u64),
    /// A routing header whose end we cannot foretell, or too many octets of headers.
    #[error("headers whose ICV cannot be worked out")]
    Headers,
    /// There is no Authentication Header.
    #[error("no Authentication Header")]
    Absent,
    /// The header is not as long as the algorithm's ICV makes it.
    #[error("payload length does not fit the algorithm")]
    PayloadLen,
    /// The ICV is wrong: forged, damaged, another key, or a wrong guess of the sequence number's upper half.
    #[error("wrong ICV")]
    Icv,
    /// The provider of the integrity algorithm could not make the ICV.
    #[error("no ICV: {0}")]
    Integrity(#[from] ProviderFailed),
}

/// The key of an AH association; one serves for sealing and opening, each direction having its own.
pub struct AhKey {
    algorithm: IntegrityAlgorithm,
    extended: bool,
    integrity: Integrity,
}

impl AhKey {
    /// Makes a key ready.
    ///
    /// # Errors
    /// Another number of octets than the algorithm's key has, or the algorithm "none".
    pub fn new(algorithm: IntegrityAlgorithm, sequence: SequenceBits, key: &[u8]) -> Result<Self, KeyError> {
        Self::with_provider(algorithm, sequence, key, &BuiltIn)
    }

    /// Makes a key ready, by the provider if it does the algorithm, else as [`new`](Self::new) does.
    ///
    /// # Errors
    /// Another number of octets than the algorithm's key has, or the algorithm "none".
    pub fn with_provider(
        algorithm: IntegrityAlgorithm,
        sequence: SequenceBits,
        key: &[u8],
        provider: &dyn Provider,
    ) -> Result<Self, KeyError> {
        let wrong = KeyError::Length { expected: algorithm.key_len(), given: key.len() };
        if algorithm == IntegrityAlgorithm::None {
            return Err(KeyError::NoIntegrity);
        }
        let integrity = Integrity::new(provider, algorithm, key).ok_or(wrong)?;
        Ok(Self { algorithm, extended: sequence == SequenceBits::Bits64, integrity })
    }

    /// Returns the algorithm.
    pub const fn algorithm(&self) -> IntegrityAlgorithm {
        self.algorithm
    }

    /// Returns how wide the sequence numbers are.
    pub const fn sequence_bits(&self) -> SequenceBits {
        if self.extended { SequenceBits::Bits64 } else { SequenceBits::Bits32 }
    }

    /// Returns who makes the ICV.
    pub const fn provider(&self) -> ProviderId {
        self.integrity.provider()
    }

    /// Returns the octets of the whole header: a multiple of four in IPv4 and of eight in IPv6 (RFC 4302 §2.6).
    pub const fn header_len(&self, v6: bool) -> usize {
        (FIXED_LEN + self.algorithm.icv_len()).next_multiple_of(if v6 { 8 } else { 4 })
    }
}

impl fmt::Debug for AhKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AhKey({})", self.algorithm)
    }
}
