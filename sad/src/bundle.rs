use crate::{SaHandle, Sad, SadError};

impl Sad {
    /// Makes two associations neighbours in a bundle: `outer` is put around `inner`, as AH around ESP.
    ///
    /// Packets sent go through the inner one first. Of packets received the inner one takes only those
    /// that came through the outer one, and [`bundle_next`](Self::bundle_next) of the outer one says that
    /// the packet is not finished.
    ///
    /// # Errors
    /// [`SadError::Stale`], [`SadError::NotABundle`] for associations of two directions, one and the same, or
    /// neighbours of others.
    pub fn bundle(&mut self, outer: SaHandle, inner: SaHandle) -> Result<(), SadError> {
        let of_outer = self.common(outer).ok_or(SadError::Stale(outer))?;
        let of_inner = self.common(inner).ok_or(SadError::Stale(inner))?;
        let free = of_outer.inner.is_none() && of_inner.outer.is_none();
        // Growing at its ends only, a bundle is a chain; an end that meets itself would be a ring.
        let ring = core::iter::successors(Some(inner), |at| self.common(*at)?.inner).any(|at| at == outer);
        if outer.side() != inner.side() || !free || ring {
            return Err(SadError::NotABundle);
        }
        if let Some(common) = self.common_mut(outer) {
            common.inner = Some(inner);
        }
        if let Some(common) = self.common_mut(inner) {
            common.outer = Some(outer);
        }
        Ok(())
    }

    /// Returns the association that a packet must come through after this one; none when it is finished.
    pub fn bundle_next(&self, outer: SaHandle) -> Option<SaHandle> {
        self.common(outer)?.inner
    }

    /// Returns the associations of a bundle in the order packets are sent through: from `innermost` outwards.
    pub fn bundle_of(&self, innermost: SaHandle) -> impl Iterator<Item = SaHandle> {
        core::iter::successors(Some(innermost), |at| self.common(*at)?.outer)
    }
}
