//! Messages going out, and ciphertext coming in.

use crate::crypto::{CipherKey, Digest};
use crate::error::DropReason;
use crate::keys::{IsakmpKeys, IvChain, NextIv};
use alloc::vec::Vec;
use bytes::Bytes;
use ipsec_wire::isakmp::payload::Hash;
use ipsec_wire::isakmp::{Chain, ChainBuilder, Flags, Header, Payloads};
use ipsec_wire::registry::PayloadType;
use ipsec_wire::{Reader, WireError};
use zeroize::Zeroizing;

/// The octets that tell IKE from ESP on the NAT-T port, RFC 3948 §2.2.
pub(crate) const NON_ESP_MARKER: [u8; 4] = [0; 4];

/// Returns a chain of our own making.
pub(crate) fn built(builder: ChainBuilder) -> Chain {
    ours(builder.finish())
}

#[expect(clippy::expect_used, reason = "identities, offers and nonces of a plan are far below any length field")]
fn ours<T>(result: Result<T, WireError>) -> T {
    result.expect("messages of our own fit their length fields")
}

/// Returns the chain with its HASH in front.
pub(crate) fn hashed(hash: &Digest, rest: &Chain) -> Chain {
    ours(rest.prepended(&Hash { data: hash.as_bytes() }))
}

/// Returns a clear message, behind the marker if it goes along the NAT-T port.
pub(crate) fn clear(header: Header, chain: &Chain, marker: bool) -> Bytes {
    enclose(header, chain.first(), chain.octets(), marker)
}

/// Returns an encrypted message and moves its IV chain past it.
///
/// Padding is zeros up to a whole block, RFC 2409 appendix B.
pub(crate) fn sealed(header: Header, chain: &Chain, iv: &mut IvChain, key: &CipherKey, marker: bool) -> Bytes {
    let mut body = chain.octets().to_vec();
    let block = key.algorithm().block_len();
    body.resize(body.len().next_multiple_of(block).max(block), 0);
    if let Ok(next) = iv.seal(key, &mut body) {
        iv.commit(next);
    }
    enclose(header.with_flags(header.flags.with(Flags::ENCRYPTION)), chain.first(), &body, marker)
}

fn enclose(header: Header, first: PayloadType, body: &[u8], marker: bool) -> Bytes {
    let mut message = Vec::with_capacity(NON_ESP_MARKER.len() + Header::LEN + body.len());
    if marker {
        message.extend_from_slice(&NON_ESP_MARKER);
    }
    ours(header.enclose_into(first, body, &mut message));
    message.into()
}

/// Ciphertext that was decrypted, with the IV that follows if it proves authentic.
pub(crate) struct Opened {
    first: PayloadType,
    /// What was decrypted may hold a password.
    octets: Zeroizing<Vec<u8>>,
    next: NextIv,
}

impl Opened {
    /// Decrypts the body of a message; the IV chain stays where it is.
    pub(crate) fn new(header: &Header, body: &[u8], iv: &IvChain, key: &CipherKey) -> Result<Self, DropReason> {
        let mut octets = Zeroizing::new(body.to_vec());
        let next = iv.open(key, &mut octets).map_err(|_| DropReason::CiphertextLength)?;
        Ok(Self { first: header.next_payload, octets, next })
    }

    /// Reads the payloads; whatever follows them is padding.
    pub(crate) fn payloads(&self) -> Result<Payloads<'_>, DropReason> {
        let reader = Reader::at(&self.octets, Header::LEN);
        let payloads = Payloads::parse_decrypted(self.first, reader).map_err(|_| DropReason::DecryptFailed)?;
        if payloads.is_empty() { Err(DropReason::DecryptFailed) } else { Ok(payloads) }
    }

    /// Returns the IV that follows, to be committed once the message proves authentic.
    pub(crate) const fn next_iv(&self) -> NextIv {
        self.next
    }
}

/// Checks that the first payload is the right HASH over the rest and the message id, RFC 2409 §5.7.
pub(crate) fn check_hash_1(keys: &IsakmpKeys, message_id: u32, payloads: &Payloads<'_>) -> Result<(), DropReason> {
    let hash = payloads.iter().next().ok_or(DropReason::PayloadSet)?;
    if keys.hash_1(message_id, payloads.after(&hash)).matches(hash.body()) {
        Ok(())
    } else {
        Err(DropReason::WrongHash)
    }
}
