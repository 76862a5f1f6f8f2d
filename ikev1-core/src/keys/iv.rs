use crate::crypto::{BlockIv, CipherAlgorithm, CipherError, CipherKey, HashAlgorithm};

/// The chain of IVs of one message id: each message begins where the last ended.
///
/// Nothing moves the chain but [`commit`](Self::commit): a message is opened with the current IV, and
/// only one that proved authentic moves it.
#[derive(Debug, Clone, Copy)]
pub struct IvChain {
    algorithm: CipherAlgorithm,
    hash: HashAlgorithm,
    current: BlockIv,
}

/// The IV that follows a message which was sealed or opened but not yet committed.
#[must_use = "the chain moves only when this is committed"]
#[derive(Debug, Clone, Copy)]
pub struct NextIv(BlockIv);

impl IvChain {
    /// Starts the chain of phase 1 (RFC 2409 appendix B).
    ///
    /// ```text
    /// IV = hash(g^xi | g^xr)      (its first block)
    /// ```
    pub fn phase_1(hash: HashAlgorithm, algorithm: CipherAlgorithm, g_xi: &[u8], g_xr: &[u8]) -> Self {
        Self::start(hash, algorithm, &[g_xi, g_xr])
    }

    /// Starts the chain of another message id from where phase 1 ended (RFC 2409 appendix B).
    ///
    /// ```text
    /// IV = hash(last phase 1 CBC output block | M-ID)      (its first block)
    /// ```
    ///
    /// Called on the chain of phase 1 only.
    pub fn for_message_id(&self, message_id: u32) -> Self {
        Self::start(self.hash, self.algorithm, &[self.current.as_bytes(), &message_id.to_be_bytes()])
    }

    fn start(hash: HashAlgorithm, algorithm: CipherAlgorithm, parts: &[&[u8]]) -> Self {
        #[expect(clippy::expect_used, reason = "every hash has 16 octets or more, no block has more")]
        let current = BlockIv::from_prefix(algorithm, hash.digest(parts).as_bytes()).expect("a hash fills a block");
        Self { algorithm, hash, current }
    }

    /// Returns the IV of the next message.
    pub fn current(&self) -> &BlockIv {
        &self.current
    }

    /// Encrypts a padded message in place.
    pub fn seal(&self, key: &CipherKey, blocks: &mut [u8]) -> Result<NextIv, CipherError> {
        key.encrypt(&self.current, blocks).map(NextIv)
    }

    /// Decrypts a message in place; on an error the octets are as they were.
    pub fn open(&self, key: &CipherKey, blocks: &mut [u8]) -> Result<NextIv, CipherError> {
        key.decrypt(&self.current, blocks).map(NextIv)
    }

    /// Moves the chain past a message that was sent, or that proved authentic.
    pub fn commit(&mut self, next: NextIv) {
        self.current = next.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::HashAlgorithm;

    const ALGORITHM: CipherAlgorithm = CipherAlgorithm::Aes128;

    fn chain() -> IvChain {
        IvChain::phase_1(HashAlgorithm::Sha1, ALGORITHM, &[1; 96], &[2; 96])
    }

    fn key() -> CipherKey {
        CipherKey::new(ALGORITHM, &[7; 16]).unwrap()
    }

    #[test]
    fn an_uncommitted_message_leaves_the_chain_where_it_was() {
        let (mut chain, key) = (chain(), key());
        let before = *chain.current();
        let mut message = [5; 32];
        let next = chain.seal(&key, &mut message).unwrap();
        let mut forged = [9; 32];
        let _ = chain.open(&key, &mut forged).unwrap();
        assert_eq!(*chain.current(), before);
        chain.commit(next);
        assert_eq!(chain.current().as_bytes(), &message[16..]);
    }

    #[test]
    fn both_ends_walk_the_same_chain_and_message_ids_do_not_disturb_each_other() {
        let (mut ours, mut theirs, key) = (chain(), chain(), key());
        for round in 0..5 {
            let mut message = [round; 48];
            let next = ours.seal(&key, &mut message).unwrap();
            ours.commit(next);
            let mut child = theirs.for_message_id(u32::from(round) + 1);
            let mut other = [round; 16];
            let next = child.seal(&key, &mut other).unwrap();
            child.commit(next);
            let next = theirs.open(&key, &mut message).unwrap();
            theirs.commit(next);
            assert_eq!(message, [round; 48]);
        }
    }

    #[test]
    fn every_message_id_has_a_chain_of_its_own() {
        let phase_1 = chain();
        assert_ne!(phase_1.for_message_id(1).current(), phase_1.for_message_id(2).current());
        assert_eq!(phase_1.for_message_id(1).current(), phase_1.for_message_id(1).current());
    }
}
