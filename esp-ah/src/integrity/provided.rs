//! Integrity algorithms by [`Provider`]s.

use super::{Beside, Icv};
use crate::provider::{Mac, Provider, ProviderFailed, ProviderId};
use crate::suite::IntegrityAlgorithm;
use alloc::boxed::Box;

/// Octets that pieces of a message are multiples of: the longest block of a hash, so that none is put together.
const PIECE: usize = 128;

/// A key that a provider made.
pub(crate) struct Provided {
    pub(crate) id: ProviderId,
    mac: Box<dyn Mac>,
}

impl Provided {
    /// Makes a key ready; `None` if the provider does not do this algorithm.
    pub(crate) fn new(provider: &dyn Provider, algorithm: IntegrityAlgorithm, key: &[u8]) -> Option<Self> {
        let asked = algorithm != IntegrityAlgorithm::None;
        let mac = asked.then(|| provider.mac(algorithm, key)).flatten()?;
        Some(Self { id: provider.id(), mac })
    }

    /// Does the work once, however often the provider asks for it, and returns the ICV of the message.
    ///
    /// Work that it did not ask for is an error: a packet would leave unencrypted.
    pub(crate) fn icv_beside(&self, work: &mut dyn Beside) -> Icv {
        let mut done = false;
        let icv = self.mac.icv(&mut |update| {
            if core::mem::replace(&mut done, true) {
                return;
            }
            let mut taken = 0;
            work.work(&mut |octets| {
                let whole = octets.len() / PIECE * PIECE;
                if let Some(piece) = octets.get(taken..whole).filter(|piece| !piece.is_empty()) {
                    update(piece);
                    taken = whole;
                }
            });
            let message = work.message();
            for piece in [message.octets.get(taken..).unwrap_or_default(), message.suffix()] {
                if !piece.is_empty() {
                    update(piece);
                }
            }
        });
        if done { icv } else { Err(ProviderFailed) }
    }
}
