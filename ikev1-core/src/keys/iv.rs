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
