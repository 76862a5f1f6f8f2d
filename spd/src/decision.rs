use crate::{Action, FragmentRefusal, PolicyId, Refusal, TemplateId};
use alloc::vec::Vec;
use thiserror::Error;

/// What the policies say about a packet.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may leave only protected.
    Protect {
        /// The policy that matched.
        policy: PolicyId,
        /// What protection means.
        template: TemplateId,
    },
    /// It may pass in the clear.
    Bypass {
        /// The policy that matched; none on an interface that has no policies and says so.
        policy: Option<PolicyId>,
    },
    /// It is dropped.
    Discard {
        /// The policy that matched; none when no policy did.
        policy: Option<PolicyId>,
    },
}

impl Decision {
    /// What a policy decides.
    pub(crate) const fn of(policy: PolicyId, action: Action) -> Self {
        match action {
            Action::Protect(template) => Self::Protect { policy, template },
            Action::Bypass => Self::Bypass { policy: Some(policy) },
            Action::Discard => Self::Discard { policy: Some(policy) },
        }
    }

    /// Returns the policy that matched.
    pub const fn policy(self) -> Option<PolicyId> {
        match self {
            Self::Protect { policy, .. } => Some(policy),
            Self::Bypass { policy } | Self::Discard { policy } => policy,
        }
    }
}

/// How a packet came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// In the clear.
    Clear,
    /// Out of an association that was made for this policy.
    Protected {
        /// The policy of the association.
        policy: PolicyId,
    },
}

/// Why a received packet is dropped, RFC 4301 §5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InboundRefusal {
    /// No policy matches.
    #[error("no policy matches")]
    NoPolicy,
    /// The policy that matches says discard.
    #[error("policy {0} says discard")]
    Discarded(PolicyId),
    /// The policy that matches says protect and the packet came in the clear.
    #[error("policy {0} says protect and the packet was clear")]
    NotProtected(PolicyId),
    /// The packet came protected and the policy that matches does not say protect.
    #[error("policy {0} does not say protect and the packet was protected")]
    NotToBeProtected(PolicyId),
    /// The packet came out of an association that was made for another policy.
    #[error("the association is of policy {association}, the packet of policy {packet}")]
    OtherPolicy {
        /// The policy of the association.
        association: PolicyId,
        /// The policy of the packet.
        packet: PolicyId,
    },
    /// The policy of the association was removed or changed.
    #[error("policy {0} is gone")]
    StalePolicy(PolicyId),
    /// It is a fragment that a [`FragmentTracker`](crate::FragmentTracker) refused.
    #[error(transparent)]
    Fragment(#[from] FragmentRefusal),
}

impl InboundRefusal {
    /// Returns the policy that names the packet, if there is one and it was asked.
    pub const fn policy(self) -> Option<PolicyId> {
        match self {
            Self::Discarded(policy)
            | Self::NotProtected(policy)
            | Self::NotToBeProtected(policy)
            | Self::OtherPolicy { packet: policy, .. } => Some(policy),
            Self::NoPolicy | Self::StalePolicy(_) | Self::Fragment(_) => None,
        }
    }
}

/// Why a packet met its decision: the policies before the one that matched, each with the selector
/// that refused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What the policies say.
    pub decision: Decision,
    /// The policies asked before, in order, and what refused each.
    pub refused: Vec<(PolicyId, Refusal)>,
}
