//! The parts of `gatewayd`: the engine on real sockets and a TUN device.
//!
//! Here, and nowhere below, sockets are opened, the clock is read and lines are printed.

pub mod clock;
pub mod control;
pub mod file;
pub mod locate;
pub mod signals;
pub mod sockets;
pub mod tun;
pub mod words;
