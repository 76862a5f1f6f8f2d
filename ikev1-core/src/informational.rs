//! Informational exchanges: notifications, Deletes, liveness checks, RFC 2409 §5.7, RFC 3706.

pub(crate) mod delete;
pub(crate) mod dpd;
pub(crate) mod heartbeat;
pub(crate) mod notify;
