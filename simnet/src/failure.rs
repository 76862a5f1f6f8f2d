use drive::Instant;

/// Why a run was given up. Each is a fault of a machine or a handler, and tests unwrap it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The run did not come to its end.
    #[error("seed {seed}: the run was still going after {steps} steps, at {at}")]
    StepLimit {
        /// The seed of the world.
        seed: u64,
        /// The steps taken.
        steps: usize,
        /// The time reached.
        at: Instant,
    },
    /// A machine that was told that time passed wants the same time again: it would spin for ever.
    #[error("seed {seed}: after its timeout at {at}, {node} wants to be called at {wanted} ({reason})")]
    TimerNotLater {
        /// The seed of the world.
        seed: u64,
        /// The name of the node.
        node: String,
        /// The reason the machine gives.
        reason: &'static str,
        /// The time of the call.
        at: Instant,
        /// The time wanted.
        wanted: Instant,
    },
    /// There is no machine on the node.
    #[error("there is no machine on node {node}")]
    NoMachine {
        /// The name of the node.
        node: String,
    },
    /// One call led to more actions than any machine has reason for.
    #[error("seed {seed}: {node} gave {actions} actions in one call, at {at}")]
    ActionLimit {
        /// The seed of the world.
        seed: u64,
        /// The name of the node.
        node: String,
        /// The actions drained.
        actions: usize,
        /// The time of the call.
        at: Instant,
    },
}
