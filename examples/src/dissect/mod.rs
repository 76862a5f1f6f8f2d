//! What `dissect` does: every ISAKMP, ESP, AH, NAT-keepalive and L2TPv3 packet of a capture as text.
//!
//! [`run`] goes through the frames; [`reassemble`] puts IP fragments together; [`frame`] finds what
//! each packet carries; [`ike_fragments`] puts ISAKMP fragments together; [`isakmp`] follows the
//! ISAKMP SAs and decrypts where [`keys`] were given; [`proof`] checks HASH payloads; [`esp`] opens
//! ESP; [`l2tp_sessions`] remembers what stands in front of L2TPv3 frames; [`rules`] says which packets break which rule. Everything is told to a
//! [`Sink`](ipsec_wire::isakmp::describe::Sink): text, or [`json`].

pub mod capture;
pub mod esp;
pub mod frame;
pub mod ike_fragments;
pub mod isakmp;
pub mod json;
pub mod keys;
pub mod l2tp;
pub mod l2tp_sessions;
mod messages;
pub mod proof;
pub mod reassemble;
pub mod rules;
pub mod run;
