use crate::proposal::{AttributeError, Mismatch};
use alloc::vec::Vec;
use core::fmt;
use ipsec_wire::registry::ProtocolId;
use thiserror::Error;

/// Refusals that are kept one by one; the others are counted.
///
/// A lawful offer of two dozen transforms against a handful of policies stays below; an offer made to
/// fill memory does not.
pub const MAX_REFUSALS: usize = 256;

/// Why a transform, or a proposal as a whole, was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// A term differs from the policy's.
    #[error("{0}")]
    Mismatch(#[from] Mismatch),
    /// The attributes could not be read.
    #[error("{0}")]
    Attributes(#[from] AttributeError),
    /// A phase 1 transform that is not KEY_IKE.
    #[error("transform id {0}, wanted KEY_IKE")]
    NotKeyIke(u8),
    /// The protocol is none that the policy has, with the octets of its SPI.
    #[error("{} with an SPI of {spi_len} octets is not wanted", named(*protocol))]
    Protocol {
        /// The protocol that came.
        protocol: ProtocolId,
        /// The length of its SPI.
        spi_len: usize,
    },
    /// An ANDed part of a proposal that was good so far has a protocol that the policy has not.
    #[error("ANDed {} with an SPI of {spi_len} octets is not wanted", named(*protocol))]
    Companion {
        /// The protocol that came.
        protocol: ProtocolId,
        /// The length of its SPI.
        spi_len: usize,
    },
    /// An ANDed part was not looked at: a part before it was refused.
    #[error("ANDed {} skipped", named(*.0))]
    Skipped(ProtocolId),
    /// The policy has a protocol more.
    #[error("no ANDed {}, which is wanted", named(*.0))]
    NoCompanion(ProtocolId),
    /// AH covers the addresses that the NAT between the ends changes (RFC 3947 §5).
    #[error("AH cannot pass the NAT between the ends")]
    AhBehindNat,
    /// The SPI is one of the 256 that are reserved (RFC 4303 §2.1).
    #[error("SPI {0:#010x} is reserved")]
    ReservedSpi(u32),
}

/// Returns what operators call a protocol.
pub(super) const fn named(protocol: ProtocolId) -> &'static str {
    match protocol {
        ProtocolId::ISAKMP => "ISAKMP",
        ProtocolId::AH => "AH",
        ProtocolId::ESP => "ESP",
        ProtocolId::IPCOMP => "IPComp",
        _ => "an unknown protocol",
    }
}

/// One refusal: what was offered where, against which policy, and why it was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Number of the proposal; `None` in phase 1, where there is but one.
    pub proposal: Option<u8>,
    /// Number of the transform; `None` when the proposal as a whole was refused.
    pub transform: Option<u8>,
    /// Number of the policy; `None` when no policy would take it.
    pub policy: Option<u32>,
    /// Why.
    pub reason: Reason,
}

/// `proposal 1, transform 1 against policy 10: encryption 3DES-CBC, wanted DES-CBC`
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { proposal, transform, policy, reason } = self;
        match (proposal, transform) {
            (Some(proposal), Some(transform)) => write!(f, "proposal {proposal}, transform {transform}")?,
            (Some(proposal), None) => write!(f, "proposal {proposal}")?,
            (None, Some(transform)) => write!(f, "transform {transform}")?,
            (None, None) => f.write_str("proposal")?,
        }
        if let Some(policy) = policy {
            write!(f, " against policy {policy}")?;
        }
        write!(f, ": {reason}")
    }
}

/// Every refusal of one negotiation, in the order they were found, up to [`MAX_REFUSALS`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusals {
    kept: Vec<Refusal>,
    omitted: usize,
}

impl Refusals {
    /// Keeps a refusal, unless it is the last one again.
    pub(super) fn push(&mut self, refusal: Refusal) {
        if self.kept.last() == Some(&refusal) {
            return;
        }
        if self.kept.len() < MAX_REFUSALS {
            self.kept.push(refusal);
        } else {
            self.omitted = self.omitted.saturating_add(1);
        }
    }

    /// Returns the refusals that were kept.
    pub fn iter(&self) -> impl Iterator<Item = &Refusal> {
        self.kept.iter()
    }

    /// Returns how many were found.
    pub fn len(&self) -> usize {
        self.kept.len().saturating_add(self.omitted)
    }

    /// Returns whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many were counted but not kept.
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

/// One line a refusal.
impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.kept.iter();
        if let Some(first) = lines.next() {
            write!(f, "{first}")?;
        }
        lines.try_for_each(|line| write!(f, "\n{line}"))?;
        match self.omitted {
            0 => Ok(()),
            omitted => write!(f, "\nand {omitted} more"),
        }
    }
}
