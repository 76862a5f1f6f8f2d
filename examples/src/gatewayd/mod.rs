//! The parts of `gatewayd`: the engine on real sockets and a TUN device.
//!
//! Here, and nowhere below, sockets are opened, the clock is read and lines are printed.

mod check;
pub mod clients;
pub mod clock;
pub mod control;
pub mod cryptography;
pub mod datagrams;
pub mod file;
pub mod keylog;
pub mod link;
pub mod locate;
pub mod log;
pub mod manual;
pub mod negotiation;
pub mod outer;
mod packets;
pub mod plan;
pub mod run;
pub mod signals;
pub mod sockets;
pub mod status;
pub mod trust;
pub mod tun;
pub mod udp_tunnel;
pub mod words;
