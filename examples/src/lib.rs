//! Parts that the example programs share.

pub mod dissect;
pub mod gatewayd;
pub mod l2tp;
pub mod two_sites;
