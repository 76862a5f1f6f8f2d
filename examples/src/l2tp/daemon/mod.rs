//! The parts of `l2tpd`: an L2TPv3 endpoint on raw IP or UDP sockets, with a TAP device for each circuit.
//!
//! [`mod@file`] is the configuration, [`sockets`] and [`tap`] touch the system, and [`run`] is the loop.

pub mod file;
pub mod run;
pub mod sockets;
pub mod status;
pub mod tap;
