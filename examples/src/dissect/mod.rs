//! What `dissect` does: every ISAKMP, ESP, AH, NAT-keepalive and L2TPv3 packet of a capture as text.
//!
//! [`run`] goes through the frames; [`frame`] finds what each carries; [`isakmp`] follows the
//! ISAKMP SAs, puts fragments together and decrypts where [`keys`] were given; [`esp`] opens ESP;
//! [`rules`] says which packets break which rule. Everything is told to a
//! [`Sink`](ipsec_wire::isakmp::describe::Sink): text, or [`json`].

pub mod capture;
pub mod esp;
pub mod frame;
pub mod isakmp;
pub mod json;
pub mod keys;
pub mod l2tp;
pub mod rules;
pub mod run;
