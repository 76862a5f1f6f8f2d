//! Control message authentication, RFC 3931 §4.3 and §5.4.1.

use crate::registry::AttributeType;
use crate::wire::{Avp, ControlMessage, DIGEST_VALUE, HidingKey};
use alloc::vec::Vec;
use drive::ct_eq;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use zeroize::Zeroizing;

drive::secret! {
    /// The secret (password) that both ends of a control connection share.
    pub struct SharedSecret;
}

/// The hash of a Message Digest AVP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestAlgorithm {
    /// HMAC-MD5, type 0, 16 octets; every endpoint has it.
    #[default]
    Md5,
    /// HMAC-SHA-1, type 1, 20 octets.
    Sha1,
}

impl DigestAlgorithm {
    /// Returns the digest type on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Md5 => 0,
            Self::Sha1 => 1,
        }
    }

    /// Returns the octets of a digest.
    pub const fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Md5),
            1 => Some(Self::Sha1),
            _ => None,
        }
    }
}

/// The keys derived from one secret.
#[derive(Debug)]
pub struct Keys {
    digest: DigestKey,
    hiding: HidingKey,
}

struct DigestKey(Zeroizing<[u8; 16]>);

impl core::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("DigestKey(16 octets)")
    }
}

impl Keys {
    /// Derives the keys. An empty secret gives those of the integrity check.
    ///
    /// ```text
    /// shared_key = HMAC_MD5 (shared_secret, 2)
    /// ```
    pub fn derive(secret: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 16]);
        // HMAC takes keys of every length.
        if let Ok(mac) = Hmac::<Md5>::new_from_slice(secret) {
            key.copy_from_slice(&mac.chain_update([2]).finalize().into_bytes());
        }
        Self { digest: DigestKey(key), hiding: HidingKey::derive(secret) }
    }

    /// Returns the key that hides AVPs.
    pub const fn hiding(&self) -> &HidingKey {
        &self.hiding
    }

    /// Computes a digest over parts that follow each other, into the front of `out`.
    ///
    /// ```text
    /// Message Digest = HMAC_Hash (shared_key, local_nonce + remote_nonce + control_message)
    /// ```
    fn digest(&self, algorithm: DigestAlgorithm, parts: &[&[u8]], out: &mut [u8; 20]) {
        match algorithm {
            DigestAlgorithm::Md5 => {
                if let Ok(mac) = Hmac::<Md5>::new_from_slice(&*self.digest.0) {
                    let mac = parts.iter().fold(mac, |mac, part| mac.chain_update(part));
                    out.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(out, octet)| *out = octet);
                }
            }
            DigestAlgorithm::Sha1 => {
                if let Ok(mac) = Hmac::<Sha1>::new_from_slice(&*self.digest.0) {
                    let mac = parts.iter().fold(mac, |mac, part| mac.chain_update(part));
                    out.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(out, octet)| *out = octet);
                }
            }
        }
    }
}

/// The nonces of a connection, as they go into a digest; empty where they do not (RFC 3931 §5.4.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Nonces<'a> {
    /// The nonce of the end that sends the message.
    pub sender: &'a [u8],
    /// The nonce of the end that receives it.
    pub receiver: &'a [u8],
}

/// Fills in the digests of a message that was emitted with room for them.
///
/// Digests that are there already are zeroed first, since each is computed with both empty.
pub fn sign(message: &mut [u8], digests: &[(DigestAlgorithm, &Keys)], nonces: Nonces<'_>) {
    let mut places = Vec::with_capacity(2);
    let mut at = DIGEST_VALUE;
    for (algorithm, keys) in digests {
        places.push((at..at + algorithm.length(), *algorithm, *keys));
        at += algorithm.length() + 7;
    }
    for (place, _, _) in &places {
        if let Some(value) = message.get_mut(place.clone()) {
            value.fill(0);
        }
    }
    let mut computed = Vec::with_capacity(2);
    for (_, algorithm, keys) in &places {
        let mut out = [0; 20];
        keys.digest(*algorithm, &[nonces.sender, nonces.receiver, message], &mut out);
        computed.push(out);
    }
    for ((place, _, _), digest) in places.into_iter().zip(computed) {
        if let Some(value) = message.get_mut(place) {
            value.iter_mut().zip(digest).for_each(|(octet, digest)| *octet = digest);
        }
    }
}

/// Where the digests of a received message stand: only directly behind the message type do they count.
#[derive(Clone, Copy, Debug)]
pub struct Digests<'a> {
    message: ControlMessage<'a>,
    found: [Option<Avp<'a>>; 2],
}

/// What a check of digests found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// A digest is right: the index of the keys that made it.
    Right(usize),
    /// There is no digest where one has to stand.
    Missing,
    /// Digests are there and none is right.
    Wrong,
}

impl<'a> Digests<'a> {
    /// Finds the digests of a message.
    pub fn of(message: &ControlMessage<'a>) -> Self {
        let mut found = [None; 2];
        let behind_type = message.avps().skip(1).map_while(Result::ok);
        let digests = behind_type.take_while(|avp| avp.is(AttributeType::MESSAGE_DIGEST));
        found.iter_mut().zip(digests).for_each(|(slot, avp)| *slot = Some(avp));
        Self { message: *message, found }
    }

    /// Returns whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.found[0].is_none()
    }

    /// Checks the digests with each of the keys and the algorithms that are allowed, in constant time
    /// for each comparison. One right digest is enough.
    pub fn check(&self, keys: &[&Keys], allowed: &[DigestAlgorithm], nonces: Nonces<'_>) -> Check {
        if self.is_empty() {
            return Check::Missing;
        }
        let octets = self.message.octets();
        let spans =
            self.found.map(|avp| avp.map_or(0..0, |avp| avp.offset + 7..avp.offset + 6 + avp.value.len().max(1)));
        let [first, second] = &spans;
        let second_start = second.start.max(first.end);
        const ZEROS: [u8; 64] = [0; 64];
        let zeros = |count: usize| ZEROS.get(..count);
        for avp in self.found.into_iter().flatten() {
            let Some((number, value)) = avp.value.split_first() else { continue };
            let Some(algorithm) = DigestAlgorithm::from_number(*number) else { continue };
            if value.len() != algorithm.length() || !allowed.contains(&algorithm) {
                continue;
            }
            let parts = (|| {
                Some([
                    nonces.sender,
                    nonces.receiver,
                    octets.get(..first.start)?,
                    zeros(first.len())?,
                    octets.get(first.end..second_start)?,
                    zeros(second.len())?,
                    octets.get(second.end.max(first.end)..)?,
                ])
            })();
            let Some(parts) = parts else { continue };
            for (index, keys) in keys.iter().enumerate() {
                let mut computed = [0; 20];
                keys.digest(algorithm, &parts, &mut computed);
                if ct_eq(computed.get(..algorithm.length()).unwrap_or_default(), value) {
                    return Check::Right(index);
                }
            }
        }
        Check::Wrong
    }
}
