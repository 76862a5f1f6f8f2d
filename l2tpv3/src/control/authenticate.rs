use super::{Connection, Hint, State};
use crate::action::ConnectionId;
use crate::config::PeerPlan;
use crate::digest::{Check, DigestAlgorithm, Digests, Keys, Nonces};
use crate::drops::DropReason;
use crate::endpoint::Endpoint;
use crate::registry::AttributeType;
use crate::wire::{Avp, ControlMessage};
use alloc::vec::Vec;
use rand_core::CryptoRng;

const EITHER: [DigestAlgorithm; 2] = [DigestAlgorithm::Md5, DigestAlgorithm::Sha1];

/// Finds the nonce in a message that is not authenticated yet: the digest depends on it.
pub(super) fn nonce_in<'a>(message: &ControlMessage<'a>) -> Option<&'a [u8]> {
    let is_nonce = |avp: &Avp<'_>| avp.is(AttributeType::NONCE) && !avp.hidden && !avp.value.is_empty();
    message.avps().map_while(Result::ok).find(is_nonce).map(|avp| avp.value)
}

/// Checks the digests of a message by the peer's secrets, or its integrity if there are none.
///
/// Returns the index of the keys that made it, `None` for an unauthenticated message.
pub(super) fn check(
    peer: &PeerPlan,
    integrity: &Keys,
    message: &ControlMessage<'_>,
    nonces: Nonces<'_>,
) -> Result<Option<usize>, DropReason> {
    let digests = Digests::of(message);
    if !peer.authenticates() {
        return match digests.check(&[integrity], &EITHER, Nonces::default()) {
            Check::Right(_) | Check::Missing => Ok(None),
            Check::Wrong => Err(DropReason::BadDigest),
        };
    }
    let keys: Vec<&Keys> = peer.keys.iter().collect();
    match digests.check(&keys, &peer.config.digests, nonces) {
        Check::Right(key) => Ok(Some(key)),
        Check::Missing => Err(DropReason::MissingDigest),
        Check::Wrong => Err(DropReason::BadDigest),
    }
}

impl Connection {
    fn hint(&mut self, new: Hint) {
        if let State::WaitReply { hint, .. } = &mut self.state {
            *hint = new;
        }
    }
}

impl<R: CryptoRng> Endpoint<R> {
    /// Checks a message for a connection, before anything in it is used.
    ///
    /// In wait-ctl-reply the peer's nonce is still in the message to come; a StopCCN there is made
    /// without it. What fails is remembered as the reason an attempt has no success.
    pub(super) fn authenticate(
        &mut self,
        id: ConnectionId,
        message: &ControlMessage<'_>,
    ) -> Result<Option<usize>, DropReason> {
        let connection = self.connections.get_mut(id.0).ok_or(DropReason::UnknownConnection)?;
        let peer = self.plan.peer(connection.peer).ok_or(DropReason::UnknownConnection)?;
        let waiting = matches!(connection.state, State::WaitReply { .. });
        let offered = if waiting { nonce_in(message) } else { None };
        if !peer.authenticates() && offered.is_some() {
            connection.hint(Hint::SecretNeeded);
            return Err(DropReason::AuthenticationMismatch);
        }
        let sender = offered.unwrap_or(&connection.remote_nonce);
        let nonces = Nonces { sender, receiver: &connection.local_nonce };
        let checked = check(peer, &self.plan.integrity, message, nonces);
        if checked.is_err() {
            connection.bad_digests += 1;
            connection.hint(Hint::NotAuthenticated);
        }
        checked
    }
}
