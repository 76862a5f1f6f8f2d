use crate::cipher::{OpenCipher, SealCipher};
use crate::integrity::Integrity;
use crate::provider::{BuiltIn, Provider, ProviderId};
use crate::suite::{CipherAlgorithm, Suite};
use core::fmt;

/// How wide an association's sequence numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum SequenceBits {
    /// 32 bits, all on the wire.
    #[default]
    Bits32,
    /// 64 bits, the lower half on the wire and the upper under the ICV (RFC 4303 §2.2.1).
    Bits64,
}

/// Why key material is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key material is not as long as the suite's.
    #[error("{given} octets of key material where {expected} are needed")]
    Length {
        /// Octets the suite needs.
        expected: usize,
        /// Octets given.
        given: usize,
    },
    /// A DES key is one of the weak ones, or 3DES keys repeat, so that it is no more than DES (RFC 2451 §2.3).
    #[error("weak DES key")]
    Weak,
    /// AH without an integrity algorithm protects nothing.
    #[error("no integrity algorithm")]
    NoIntegrity,
}

/// What sealing and opening need to know about a suite, worked out once.
///
/// Octets are kept as `u8`, because every association carries its own.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    iv: u8,
    align: u8,
    icv: u8,
    /// Whether the upper half of the sequence number goes under the ICV.
    pub(crate) extended: bool,
}

impl Frame {
    pub(crate) const fn new(suite: Suite, sequence: SequenceBits) -> Self {
        let lengths = suite.cipher().lengths();
        // At most 32 octets, all of them.
        Self {
            iv: lengths.iv as u8,
            align: if lengths.block > 4 { lengths.block as u8 } else { 4 },
            icv: suite.icv_len() as u8,
            extended: matches!(sequence, SequenceBits::Bits64),
        }
    }

    /// Returns the octets of SPI, sequence number and IV.
    #[inline]
    pub(crate) const fn header(self) -> usize {
        ipsec_wire::esp::HEADER_LEN + self.iv as usize
    }

    /// Returns the octets of the explicit IV.
    #[inline]
    pub(crate) const fn iv(self) -> usize {
        self.iv as usize
    }

    /// Returns what payload and trailer fill up to a multiple of: the block, at least four (RFC 4303 §2.4).
    #[inline]
    pub(crate) const fn align(self) -> usize {
        self.align as usize
    }

    /// Returns the octets of the ICV.
    #[inline]
    pub(crate) const fn icv(self) -> usize {
        self.icv as usize
    }
}

/// The parts of key material.
struct Parts<'a> {
    key: &'a [u8],
    salt: &'a [u8],
    integrity: &'a [u8],
}

impl<'a> Parts<'a> {
    fn new(suite: Suite, keymat: &'a [u8]) -> Result<Self, KeyError> {
        let lengths = suite.cipher().lengths();
        let wrong = wrong_length(suite, keymat);
        if keymat.len() != suite.keymat_len() {
            return Err(wrong);
        }
        let (key, rest) = keymat.split_at_checked(lengths.key).ok_or(wrong)?;
        let (salt, integrity) = rest.split_at_checked(lengths.salt).ok_or(wrong)?;
        if matches!(suite.cipher(), CipherAlgorithm::DesCbc | CipherAlgorithm::TripleDesCbc) {
            des::weak_key_test(key).map_err(|_| KeyError::Weak)?;
        }
        Ok(Self { key, salt, integrity })
    }
}

fn wrong_length(suite: Suite, keymat: &[u8]) -> KeyError {
    KeyError::Length { expected: suite.keymat_len(), given: keymat.len() }
}

/// The keys of one association for sealing: round keys, hash states, salt.
///
/// There is no way to read them back; they are wiped on drop.
pub struct SealKey {
    suite: Suite,
    pub(crate) frame: Frame,
    pub(crate) cipher: SealCipher,
    pub(crate) integrity: Integrity,
}

impl SealKey {
    /// Makes key material ready for sealing.
    ///
    /// `keymat` holds cipher key, salt and integrity key in this order, as IKE derives it (RFC 2409 §5.5,
    /// RFC 4106 §8.1): [`Suite::keymat_len`] octets. The source stays the caller's to wipe.
    ///
    /// # Errors
    /// Another number of octets, or a weak DES key.
    pub fn new(suite: Suite, sequence: SequenceBits, keymat: &[u8]) -> Result<Self, KeyError> {
        Self::with_provider(suite, sequence, keymat, &BuiltIn)
    }

    /// Makes key material ready for sealing, by the provider as far as it does the suite's algorithms, else as
    /// [`new`](Self::new) does.
    ///
    /// # Errors
    /// Another number of octets, or a weak DES key.
    pub fn with_provider(
        suite: Suite,
        sequence: SequenceBits,
        keymat: &[u8],
        provider: &dyn Provider,
    ) -> Result<Self, KeyError> {
        let parts = Parts::new(suite, keymat)?;
        let wrong = wrong_length(suite, keymat);
        Ok(Self {
            suite,
            frame: Frame::new(suite, sequence),
            cipher: SealCipher::new(provider, suite.cipher(), parts.key, parts.salt).ok_or(wrong)?,
            integrity: Integrity::new(provider, suite.integrity(), parts.integrity).ok_or(wrong)?,
        })
    }

    /// Returns the suite.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Returns how wide the sequence numbers are.
    pub const fn sequence_bits(&self) -> SequenceBits {
        if self.frame.extended { SequenceBits::Bits64 } else { SequenceBits::Bits32 }
    }

    /// Returns who does the cipher.
    pub const fn provider(&self) -> ProviderId {
        if let SealCipher::Provided(provided) = &self.cipher { provided.id } else { ProviderId::BUILT_IN }
    }

    /// Returns who makes the ICV: that of a combined mode, or of the integrity algorithm.
    pub const fn integrity_provider(&self) -> ProviderId {
        if self.suite.cipher().is_combined() { self.provider() } else { self.integrity.provider() }
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.suite)
    }
}

/// The keys of one association for opening.
///
/// There is no way to read them back; they are wiped on drop.
pub struct OpenKey {
    suite: Suite,
    pub(crate) frame: Frame,
    pub(crate) cipher: OpenCipher,
    pub(crate) integrity: Integrity,
}

impl OpenKey {
    /// Makes key material ready for opening; see [`SealKey::new`].
    ///
    /// # Errors
    /// Another number of octets, or a weak DES key.
    pub fn new(suite: Suite, sequence: SequenceBits, keymat: &[u8]) -> Result<Self, KeyError> {
        Self::with_provider(suite, sequence, keymat, &BuiltIn)
    }

    /// Makes key material ready for opening, by the provider as far as it does the suite's algorithms, else as
    /// [`new`](Self::new) does.
    ///
    /// # Errors
    /// Another number of octets, or a weak DES key.
    pub fn with_provider(
        suite: Suite,
        sequence: SequenceBits,
        keymat: &[u8],
        provider: &dyn Provider,
    ) -> Result<Self, KeyError> {
        let parts = Parts::new(suite, keymat)?;
        let wrong = wrong_length(suite, keymat);
        let frame = Frame::new(suite, sequence);
        Ok(Self {
            suite,
            frame,
            cipher: OpenCipher::new(provider, suite.cipher(), parts.key, parts.salt, frame.extended).ok_or(wrong)?,
            integrity: Integrity::new(provider, suite.integrity(), parts.integrity).ok_or(wrong)?,
        })
    }

    /// Returns the suite.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Returns how wide the sequence numbers are.
    pub const fn sequence_bits(&self) -> SequenceBits {
        if self.frame.extended { SequenceBits::Bits64 } else { SequenceBits::Bits32 }
    }

    /// Returns who does the cipher.
    pub const fn provider(&self) -> ProviderId {
        if let OpenCipher::Provided(provided) = &self.cipher { provided.id } else { ProviderId::BUILT_IN }
    }

    /// Returns who makes the ICV: that of a combined mode, or of the integrity algorithm.
    pub const fn integrity_provider(&self) -> ProviderId {
        if self.suite.cipher().is_combined() { self.provider() } else { self.integrity.provider() }
    }
}

impl fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenKey({})", self.suite)
    }
}
