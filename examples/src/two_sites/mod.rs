//! The parts of `two-sites`: two gateways and two LANs over a simulated network.

pub mod contents;
pub mod lan;
pub mod page;
pub mod scenario;
