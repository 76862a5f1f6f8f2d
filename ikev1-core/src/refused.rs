use crate::error::{DropReason, Failure};
use crate::negotiate::Refusals;
use crate::selector::TrafficSelector;

/// A message that was refused: nothing changed.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What the datagram counts as.
    pub(crate) drop: DropReason,
    /// What the exchange would end with if nothing better comes.
    pub(crate) failure: Option<Failure>,
    /// For an offer, why each transform was refused.
    pub(crate) refusals: Refusals,
    /// The SPI that the peer asked with, if it got that far.
    pub(crate) spi: Option<u32>,
    /// The traffic the peer asked for, if it got that far: its own side, then ours.
    pub(crate) asked: Option<(TrafficSelector, TrafficSelector)>,
}

impl Refused {
    pub(crate) fn because(failure: Failure) -> Self {
        Self::new(DropReason::Refused, Some(failure))
    }

    pub(crate) fn offer(failure: Failure, refusals: Refusals) -> Self {
        Self { refusals, ..Self::new(DropReason::Refused, Some(failure)) }
    }

    pub(crate) fn with_asked(self, spi: Option<u32>, theirs: TrafficSelector, ours: TrafficSelector) -> Self {
        Self { spi, asked: Some((theirs, ours)), ..self }
    }

    /// Returns whether the message proved to be the peer's, whatever it said.
    pub(crate) const fn is_proven(&self) -> bool {
        matches!(self.drop, DropReason::Refused | DropReason::Malformed)
    }

    fn new(drop: DropReason, failure: Option<Failure>) -> Self {
        Self { drop, failure, refusals: Refusals::default(), spi: None, asked: None }
    }
}

impl From<DropReason> for Refused {
    fn from(drop: DropReason) -> Self {
        let failure = if matches!(drop, DropReason::DecryptFailed | DropReason::CiphertextLength) {
            Some(Failure::ProbablyWrongKey)
        } else if matches!(drop, DropReason::WrongHash) {
            Some(Failure::AuthenticationFailed)
        } else if matches!(drop, DropReason::Malformed) {
            Some(Failure::Malformed)
        } else {
            None
        };
        Self::new(drop, failure)
    }
}
