use crate::error::{DropReason, Failure};
use crate::negotiate::Refusals;
use crate::selector::TrafficSelector;
use alloc::boxed::Box;

/// A message that was refused: nothing changed.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What the datagram counts as.
    pub(crate) drop: DropReason,
    why: Option<Box<Why>>,
}

/// Why a message that could be read was refused, in full.
#[derive(Debug)]
pub(crate) struct Why {
    /// What the exchange would end with if nothing better comes.
    pub(crate) failure: Failure,
    /// For an offer, why each transform was refused.
    pub(crate) refusals: Refusals,
    /// The SPI that the peer asked with, if it got that far.
    pub(crate) spi: Option<u32>,
    /// The traffic the peer asked for, if it got that far: its own side, then ours.
    pub(crate) asked: Option<(TrafficSelector, TrafficSelector)>,
}

impl Why {
    fn because(failure: Failure) -> Self {
        Self { failure, refusals: Refusals::default(), spi: None, asked: None }
    }
}

impl Refused {
    pub(crate) fn because(failure: Failure) -> Self {
        Self { drop: DropReason::Refused, why: Some(Box::new(Why::because(failure))) }
    }

    pub(crate) fn offer(failure: Failure, refusals: Refusals) -> Self {
        Self { drop: DropReason::Refused, why: Some(Box::new(Why { refusals, ..Why::because(failure) })) }
    }

    pub(crate) fn with_asked(mut self, spi: Option<u32>, theirs: TrafficSelector, ours: TrafficSelector) -> Self {
        if let Some(why) = &mut self.why {
            (why.spi, why.asked) = (spi, Some((theirs, ours)));
        }
        self
    }

    /// Returns whether the message proved to be the peer's, whatever it said.
    pub(crate) const fn is_proven(&self) -> bool {
        matches!(self.drop, DropReason::Refused | DropReason::Malformed)
    }

    /// Returns what the exchange would end with if nothing better comes.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.why.as_ref().map(|why| &why.failure)
    }

    /// Returns the reason in full; what has none is malformed.
    pub(crate) fn into_why(self) -> Why {
        self.why.map_or_else(|| Why::because(Failure::Malformed), |why| *why)
    }
}

impl From<DropReason> for Refused {
    fn from(drop: DropReason) -> Self {
        let failure = if matches!(drop, DropReason::DecryptFailed | DropReason::CiphertextLength) {
            Some(Failure::ProbablyWrongKey)
        } else if drop == DropReason::WrongHash {
            Some(Failure::AuthenticationFailed)
        } else if drop == DropReason::Malformed {
            Some(Failure::Malformed)
        } else {
            None
        };
        Self { drop, why: failure.map(|failure| Box::new(Why::because(failure))) }
    }
}
