use crate::auth::{Authentication, RemoteKey, RsaCredential};
use crate::defaults;
use crate::error::{ConfigError, ConfigProblem};
use crate::plan::SendCertificates;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Xauth, within, wrong};

/// The certificates that this end presents, at most; a peer presents no more either.
const MAX_CHAIN: u64 = crate::defaults::MAX_CHAIN as u64;
/// The keys for other authorities, at most.
const MAX_OTHER_KEYS: u64 = 16;
/// The authorities whose certificates a peer is asked for, at most.
const MAX_AUTHORITIES: u64 = 16;

/// Checks keys, certificates and names of authorities.
///
/// Hybrid authentication proves one end only; XAUTH proves the other, or nothing does.
pub(super) fn check_authentication(
    authentication: &Authentication,
    xauth: Option<&Xauth>,
    weak_allowed: bool,
    field: impl Fn(&str) -> String,
) -> Result<(), ConfigError> {
    let conflict = match (authentication, xauth) {
        (Authentication::HybridGateway(_), None | Some(Xauth::Client(_))) => {
            Some("the gateway of hybrid authentication must ask for the user")
        }
        (Authentication::HybridClient(_), None | Some(Xauth::Server(_))) => {
            Some("the client of hybrid authentication must be the user")
        }
        (Authentication::HybridGateway(_), Some(Xauth::Server(_)))
        | (Authentication::HybridClient(_), Some(Xauth::Client(_)))
        | (Authentication::PreSharedKey(_) | Authentication::RsaSignature { .. }, _) => None,
    };
    if let Some(conflict) = conflict {
        return Err(wrong(&field("xauth"), ConfigProblem::Conflict(conflict)));
    }
    if let Some(psk) = authentication.pre_shared_key() {
        within(&field("pre_shared_key"), psk.len() as u64, 1..=1_024)?;
    }
    if let Some(credential) = authentication.credential() {
        within(&field("authentication.others"), credential.others.len() as u64, 0..=MAX_OTHER_KEYS)?;
    }
    for credential in authentication.credential().into_iter().flat_map(RsaCredential::all) {
        if credential.key.verifying_key().is_weak() && !weak_allowed {
            return Err(wrong(&field("authentication.key"), ConfigProblem::Weak("an RSA key below 2048 bits".into())));
        }
        within(&field("authentication.chain"), credential.chain.len() as u64, 0..=MAX_CHAIN)?;
        let octets = credential.chain.iter().map(Vec::len).sum::<usize>();
        within(&field("authentication.chain"), octets as u64, 0..=defaults::MAX_CHAIN_OCTETS as u64)?;
        for certificate in &credential.chain {
            within(&field("authentication.chain"), certificate.len() as u64, 1..=defaults::MAX_CERTIFICATE as u64)?;
        }
    }
    match authentication.remote_key() {
        Some(RemoteKey::Key(key)) if key.is_weak() && !weak_allowed => {
            Err(wrong(&field("authentication.remote"), ConfigProblem::Weak("an RSA key below 2048 bits".into())))
        }
        Some(RemoteKey::Certificate { authorities }) => {
            within(&field("authentication.remote"), authorities.len() as u64, 0..=MAX_AUTHORITIES)?;
            authorities.iter().try_for_each(|name| {
                within(&field("authentication.remote"), name.len() as u64, 1..=defaults::MAX_AUTHORITY_NAME as u64)
            })
        }
        Some(RemoteKey::Key(_)) | None => Ok(()),
    }
}

/// Returns when certificates are sent if nothing is said: to who asks. The client of hybrid authentication has to
/// check its gateway, and old ones do not ask.
pub(super) const fn default_send_certificates(authentication: &Authentication) -> SendCertificates {
    match authentication {
        Authentication::HybridGateway(_) => SendCertificates::Always,
        Authentication::PreSharedKey(_) | Authentication::RsaSignature { .. } | Authentication::HybridClient(_) => {
            SendCertificates::IfAsked
        }
    }
}
