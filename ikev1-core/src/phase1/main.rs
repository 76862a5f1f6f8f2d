//! Main mode with a pre-shared key, RFC 2409 §5.4.
//!
//! ```text
//! Initiator                        Responder
//! HDR, SA                    -->
//!                            <--   HDR, SA
//! HDR, KE, Ni, [NAT-D..]     -->
//!                            <--   HDR, KE, Nr, [NAT-D..]
//! HDR*, IDii, HASH_I         -->
//!                            <--   HDR*, IDir, HASH_R
//! ```

pub(crate) mod initiator;
pub(crate) mod responder;
