//! The parts of the L2TPv3 programs: `l2tp-pair` over a simulated network, and `l2tpd` on a real one.
//!
//! [`router`] is an endpoint with its data plane as one machine, on IPsec or without; [`ipsec`] says
//! what IPsec protects; [`story`] says in a line what a
//! control message or an event is, [`pair`] is the script of `l2tp-pair`, and [`daemon`] is
//! `l2tpd`.

pub mod daemon;
pub mod ipsec;
pub mod pair;
pub mod router;
pub mod story;
