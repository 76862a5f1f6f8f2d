//! Phase 1.5: who the user is (XAUTH), and what the client is to use (mode-config).
//!
//! Both travel in transaction exchanges (draft-ietf-ipsec-isakmp-mode-cfg §3, draft-beaulieu-ike-xauth):
//! `HDR*, HASH, ATTR` each way, under a message id with an IV chain of its own,
//! `HASH = prf(SKEYID_a, M-ID | ATTR)`.

mod conceal;
mod network;
mod pool;
mod settings;
mod unity;
mod user;
mod users;
mod xauth;

pub(crate) use conceal::{conceal, concealed};
pub use network::Network;
pub(crate) use pool::{AddressPool, Owner};
pub use settings::ClientSettings;
pub(crate) use settings::{Wanted, address_is_refused, write_acknowledgement, write_request};
pub(crate) use unity::UNITY;
pub use unity::Unity;
pub use user::UserName;
pub use users::Users;
pub use xauth::{AskUser, UserVerdict, VerifyUser, XauthAnswer, XauthField, XauthKind, XauthQuestion};
pub(crate) use xauth::{
    MAX_FIELD, chap_response, read_answer, read_question, read_status, status, write_answer, write_question,
};
