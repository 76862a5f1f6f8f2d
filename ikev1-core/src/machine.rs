//! The machine: one endpoint, all its ISAKMP SAs.

mod outbox;

use crate::action::Action;
use crate::command::{Command, Handle};
use crate::error::{CommandError, DropReason};
use crate::machine::outbox::Outbox;
use crate::plan::Plan;
use crate::status::Status;
use alloc::boxed::Box;
use drive::{Datagram, Instant, Verdict};
use rand_core::CryptoRng;

/// An IKEv1 endpoint.
pub struct Endpoint {
    plan: Plan,
    rng: Box<dyn CryptoRng + Send>,
    out: Outbox,
}
