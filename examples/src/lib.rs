//! Parts that the example programs share.

pub mod gatewayd;
pub mod two_sites;
