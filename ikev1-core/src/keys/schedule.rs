use crate::auth::PreSharedKey;
use crate::crypto::{CipherAlgorithm, CipherKey, DhShared, Digest, HashAlgorithm};
use core::fmt;
use zeroize::Zeroizing;

drive::secret! {
    /// SKEYID, the root of a phase 1 exchange.
    pub struct Skeyid;
}

drive::secret! {
    /// SKEYID_d, from which the keys of other associations come.
    pub struct SkeyidD;
}

drive::secret! {
    /// SKEYID_a, which authenticates the messages after phase 1.
    pub struct SkeyidA;
}

drive::secret! {
    /// SKEYID_e, from which the key of the ISAKMP cipher comes.
    pub struct SkeyidE;
}

/// The first stage of the key schedule: SKEYID is known, g^xy is not used yet.
#[derive(Debug)]
pub struct Phase1Seed {
    hash: HashAlgorithm,
    skeyid: Skeyid,
}

impl Phase1Seed {
    /// Computes SKEYID for authentication by a pre-shared key (RFC 2409 §5.4).
    ///
    /// ```text
    /// SKEYID = prf(pre-shared-key, Ni_b | Nr_b)
    /// ```
    pub fn from_psk(hash: HashAlgorithm, psk: &PreSharedKey, ni_b: &[u8], nr_b: &[u8]) -> Self {
        Self::new(hash, Skeyid::copied(hash.prf(psk.expose(), &[ni_b, nr_b]).expose()))
    }

    /// Computes SKEYID for authentication by signatures (RFC 2409 §5.1).
    ///
    /// ```text
    /// SKEYID = prf(Ni_b | Nr_b, g^xy)
    /// ```
    pub fn from_signature(hash: HashAlgorithm, ni_b: &[u8], nr_b: &[u8], g_xy: &DhShared) -> Self {
        let nonces = [ni_b, nr_b].concat();
        Self::new(hash, Skeyid::copied(hash.prf(&nonces, &[g_xy.expose()]).expose()))
    }

    /// Computes SKEYID for authentication by public key encryption (RFC 2409 §5.2, §5.3).
    ///
    /// ```text
    /// SKEYID = prf(hash(Ni_b | Nr_b), CKY-I | CKY-R)
    /// ```
    pub fn from_public_key_encryption(
        hash: HashAlgorithm,
        ni_b: &[u8],
        nr_b: &[u8],
        cky_i: &[u8; 8],
        cky_r: &[u8; 8],
    ) -> Self {
        // In these modes the nonces are secret, and so is their hash.
        let key = Zeroizing::new(hash.digest(&[ni_b, nr_b]));
        Self::new(hash, Skeyid::copied(hash.prf(key.as_bytes(), &[cky_i, cky_r]).expose()))
    }

    fn new(hash: HashAlgorithm, skeyid: Skeyid) -> Self {
        Self { hash, skeyid }
    }

    /// Returns SKEYID, for known answers and key logs.
    pub fn skeyid(&self) -> &Skeyid {
        &self.skeyid
    }

    /// Computes the children of SKEYID and the key of the ISAKMP cipher (RFC 2409 §5).
    ///
    /// ```text
    /// SKEYID_d = prf(SKEYID, g^xy | CKY-I | CKY-R | 0)
    /// SKEYID_a = prf(SKEYID, SKEYID_d | g^xy | CKY-I | CKY-R | 1)
    /// SKEYID_e = prf(SKEYID, SKEYID_a | g^xy | CKY-I | CKY-R | 2)
    /// ```
    pub fn expand(self, g_xy: &DhShared, cky_i: &[u8; 8], cky_r: &[u8; 8], cipher: CipherAlgorithm) -> Phase1Keys {
        let Self { hash, skeyid } = self;
        let g_xy = g_xy.expose();
        let d = hash.prf(skeyid.expose(), &[g_xy, cky_i, cky_r, &[0]]);
        let a = hash.prf(skeyid.expose(), &[d.expose(), g_xy, cky_i, cky_r, &[1]]);
        let e = hash.prf(skeyid.expose(), &[a.expose(), g_xy, cky_i, cky_r, &[2]]);
        let skeyid_e = SkeyidE::copied(e.expose());
        let keys = IsakmpKeys {
            hash,
            skeyid_d: SkeyidD::copied(d.expose()),
            skeyid_a: SkeyidA::copied(a.expose()),
            cipher: CipherKey::derive(cipher, hash, &skeyid_e),
            skeyid_e,
        };
        Phase1Keys { skeyid, keys }
    }
}

/// What HASH_I and HASH_R cover, but for the identities; bodies are the octets as they travelled.
///
/// A body is a payload without its generic header.
#[derive(Clone, Copy)]
pub struct Transcript<'a> {
    /// CKY-I.
    pub cky_i: &'a [u8; 8],
    /// CKY-R.
    pub cky_r: &'a [u8; 8],
    /// g^xi: the body of the initiator's KE payload.
    pub g_xi: &'a [u8],
    /// g^xr: the body of the responder's KE payload.
    pub g_xr: &'a [u8],
    /// SAi_b: the body of the SA payload that the initiator offered.
    pub sai_b: &'a [u8],
}

/// The second stage: the peers authenticate each other with SKEYID, messages can be encrypted.
#[derive(Debug)]
pub struct Phase1Keys {
    skeyid: Skeyid,
    keys: IsakmpKeys,
}

impl Phase1Keys {
    /// Computes the initiator's hash (RFC 2409 §5).
    ///
    /// ```text
    /// HASH_I = prf(SKEYID, g^xi | g^xr | CKY-I | CKY-R | SAi_b | IDii_b)
    /// ```
    pub fn hash_i(&self, transcript: &Transcript<'_>, idii_b: &[u8]) -> Digest {
        let Transcript { cky_i, cky_r, g_xi, g_xr, sai_b } = transcript;
        let parts: [&[u8]; 6] = [g_xi, g_xr, *cky_i, *cky_r, sai_b, idii_b];
        self.keys.hash.prf(self.skeyid.expose(), &parts).into_digest()
    }

    /// Computes the responder's hash (RFC 2409 §5).
    ///
    /// ```text
    /// HASH_R = prf(SKEYID, g^xr | g^xi | CKY-R | CKY-I | SAi_b | IDir_b)
    /// ```
    pub fn hash_r(&self, transcript: &Transcript<'_>, idir_b: &[u8]) -> Digest {
        let Transcript { cky_i, cky_r, g_xi, g_xr, sai_b } = transcript;
        let parts: [&[u8]; 6] = [g_xr, g_xi, *cky_r, *cky_i, sai_b, idir_b];
        self.keys.hash.prf(self.skeyid.expose(), &parts).into_digest()
    }

    /// Returns the keys that remain, for the encrypted messages of phase 1 itself.
    pub fn isakmp(&self) -> &IsakmpKeys {
        &self.keys
    }

    /// Returns SKEYID, for known answers and key logs.
    pub fn skeyid(&self) -> &Skeyid {
        &self.skeyid
    }

    /// Ends authentication: SKEYID is wiped, its children remain.
    pub fn authenticated(self) -> IsakmpKeys {
        self.keys
    }
}

/// The last stage: the keys of an ISAKMP SA as long as it lives.
pub struct IsakmpKeys {
    pub(super) hash: HashAlgorithm,
    pub(super) skeyid_d: SkeyidD,
    skeyid_a: SkeyidA,
    skeyid_e: SkeyidE,
    cipher: CipherKey,
}

impl IsakmpKeys {
    /// Computes HASH(1) of quick mode, and the hash of transaction and informational messages
    /// (RFC 2409 §5.5, §5.7).
    ///
    /// ```text
    /// HASH(1) = prf(SKEYID_a, M-ID | SA | Ni [ | KE ] [ | IDci | IDcr ])
    /// HASH(1) = prf(SKEYID_a, M-ID | N/D)
    /// ```
    ///
    /// `rest` is all that follows the HASH payload, generic headers included, padding excluded.
    pub fn hash_1(&self, message_id: u32, rest: &[u8]) -> Digest {
        self.message_hash(&[&message_id.to_be_bytes(), rest])
    }

    /// Computes HASH(2) of quick mode (RFC 2409 §5.5).
    ///
    /// ```text
    /// HASH(2) = prf(SKEYID_a, M-ID | Ni_b | SA | Nr [ | KE ] [ | IDci | IDcr ])
    /// ```
    pub fn hash_2(&self, message_id: u32, ni_b: &[u8], rest: &[u8]) -> Digest {
        self.message_hash(&[&message_id.to_be_bytes(), ni_b, rest])
    }

    /// Computes HASH(3) of quick mode (RFC 2409 §5.5).
    ///
    /// ```text
    /// HASH(3) = prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b)      (0 is one octet)
    /// ```
    pub fn hash_3(&self, message_id: u32, ni_b: &[u8], nr_b: &[u8]) -> Digest {
        self.message_hash(&[&[0], &message_id.to_be_bytes(), ni_b, nr_b])
    }

    fn message_hash(&self, parts: &[&[u8]]) -> Digest {
        self.hash.prf(self.skeyid_a.expose(), parts).into_digest()
    }

    /// Returns the negotiated hash.
    pub fn hash(&self) -> HashAlgorithm {
        self.hash
    }

    /// Returns the key of the ISAKMP cipher.
    pub fn cipher(&self) -> &CipherKey {
        &self.cipher
    }

    /// Returns SKEYID_d, for known answers and key logs.
    pub fn skeyid_d(&self) -> &SkeyidD {
        &self.skeyid_d
    }

    /// Returns SKEYID_a, for known answers and key logs.
    pub fn skeyid_a(&self) -> &SkeyidA {
        &self.skeyid_a
    }

    /// Returns SKEYID_e, for known answers and key logs.
    pub fn skeyid_e(&self) -> &SkeyidE {
        &self.skeyid_e
    }
}

impl fmt::Debug for IsakmpKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IsakmpKeys").field("hash", &self.hash).field("cipher", &self.cipher).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    /// RFC 2409 §5.2, each step by itself.
    #[test]
    fn skeyid_of_public_key_encryption_is_keyed_by_the_hash_of_the_nonces() {
        for hash in HashAlgorithm::ALL {
            let seed = Phase1Seed::from_public_key_encryption(hash, b"ni", b"nr", &[1; 8], &[2; 8]);
            let key = hash.digest(&[b"ninr"]);
            let cookies = [[1; 8], [2; 8]].concat();
            assert_eq!(seed.skeyid().expose(), hash.prf(key.as_bytes(), &[&cookies]).expose());
        }
    }

    #[test]
    fn debug_of_every_stage_shows_lengths_only() {
        let seed = Phase1Seed::from_psk(HashAlgorithm::Sha1, &PreSharedKey::copied(b"key"), b"ni", b"nr");
        assert_eq!(format!("{seed:?}"), "Phase1Seed { hash: Sha1, skeyid: Skeyid(20 octets) }");
        let keys = seed.expand(&DhShared::copied(&[7; 96]), &[1; 8], &[2; 8], CipherAlgorithm::Aes256);
        assert_eq!(
            format!("{:?}", keys.authenticated()),
            "IsakmpKeys { hash: Sha1, cipher: CipherKey(AES-CBC-256, 32 octets), .. }"
        );
    }
}
