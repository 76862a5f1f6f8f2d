//! Offers against plans: what the responder chooses, what the initiator takes for an answer, and the
//! reason for every refusal.

mod answer;
mod phase1;
mod phase2;
mod refusal;
mod rules;

pub use answer::{AnswerError, check_phase1_answer, check_phase2_answer};
pub use phase1::{Phase1Choice, Phase1Policy, choose_phase1, offer_phase1};
pub(crate) use phase2::spi_octets;
pub use phase2::{AgreedPart, Agreement, Phase2Choice, Suite, choose_phase2, offer_phase2};
pub use refusal::{MAX_REFUSALS, Reason, Refusal, Refusals};
pub use rules::{Order, Rules};
