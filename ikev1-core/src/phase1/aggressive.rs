//! Aggressive mode with a pre-shared key, RFC 2409 §5.4.
//!
//! ```text
//! Initiator                        Responder
//! HDR, SA, KE, Ni, IDii      -->
//!                            <--   HDR, SA, KE, Nr, IDir, HASH_R, [NAT-D..]
//! HDR(*), HASH_I, [NAT-D..]  -->
//! ```
//!
//! Message 3 may travel in clear or encrypted; ours is encrypted. Identities travel in clear, and
//! HASH_R lets whoever asked try keys offline.

pub(crate) mod initiator;
pub(crate) mod responder;
