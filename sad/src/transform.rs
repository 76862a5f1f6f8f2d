use crate::{SaProtocol, SequenceBits};
use core::fmt;
use esp_ah::{IntegrityAlgorithm, ProviderId, Suite};

/// What an association does to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaTransform {
    /// ESP, with these algorithms.
    Esp(Suite),
    /// AH, with this algorithm.
    Ah(IntegrityAlgorithm),
}

impl SaTransform {
    /// Returns the protocol.
    pub const fn protocol(self) -> SaProtocol {
        match self {
            Self::Esp(_) => SaProtocol::Esp,
            Self::Ah(_) => SaProtocol::Ah,
        }
    }
}

impl fmt::Display for SaTransform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Esp(suite) => write!(f, "ESP {suite}"),
            Self::Ah(integrity) => write!(f, "AH {integrity}"),
        }
    }
}

/// What there is to know about keys without having them.
///
/// As [`InboundKeys::Elsewhere`](crate::InboundKeys::Elsewhere) it stands for keys that this process does not hold.
/// Such an association takes packets in two steps only, with [`Sad::submit_seal`](crate::Sad::submit_seal) and its
/// kin; which of the holder's keys are meant the holder knows by the association. What holds for keys here holds for
/// these: a cipher that must not have static keys takes no manual ones, and a snapshot is the same, never having any
/// keys in it: whoever restores it says anew where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyDescription {
    /// What they are for.
    pub transform: SaTransform,
    /// How wide the sequence numbers are.
    pub bits: SequenceBits,
    /// Who does the cipher.
    pub provider: ProviderId,
    /// Who makes the ICVs.
    pub integrity_provider: ProviderId,
}
