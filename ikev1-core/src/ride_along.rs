//! What rides along in the messages of phase 1: units that contribute payloads and absorb the peer's.

pub(crate) mod certificate;
pub(crate) mod initial_contact;
pub(crate) mod nat_detection;
pub(crate) mod vendor;
