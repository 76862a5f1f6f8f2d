//! Ways to authenticate a peer.

mod psk;

pub use psk::PreSharedKey;
