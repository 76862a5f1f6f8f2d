use super::schedule::{Phase1Seed, Transcript};
use crate::auth::PreSharedKey;
use crate::crypto::{Digest, HashAlgorithm};

/// What the proofs of base mode are made with: it is known before g^xy is, so that nobody computes a power
/// for a peer that has proven nothing (draft-ietf-ipsec-ike-base-mode).
#[derive(Debug)]
pub struct BaseProof {
    hash: HashAlgorithm,
    key: ProofKey,
}

#[derive(Debug)]
enum ProofKey {
    /// SKEYID, which needs no g^xy with a pre-shared key.
    PreShared(Phase1Seed),
    /// A hash of the nonces, no secret: what is signed need not be one.
    Nonces(Digest),
}

impl BaseProof {
    /// Returns the key of proofs by a pre-shared key.
    ///
    /// ```text
    /// K = SKEYID = prf(pre-shared-key, Ni_b | Nr_b)
    /// ```
    pub fn from_psk(hash: HashAlgorithm, psk: &PreSharedKey, ni_b: &[u8], nr_b: &[u8]) -> Self {
        Self { hash, key: ProofKey::PreShared(Phase1Seed::from_psk(hash, psk, ni_b, nr_b)) }
    }

    /// Returns the key of the hashes that are signed.
    ///
    /// ```text
    /// K = hash(Ni_b | Nr_b)
    /// ```
    pub fn from_signature(hash: HashAlgorithm, ni_b: &[u8], nr_b: &[u8]) -> Self {
        Self { hash, key: ProofKey::Nonces(hash.digest(&[ni_b, nr_b])) }
    }

    /// Computes the initiator's hash; g^xr is not known yet.
    ///
    /// ```text
    /// HASH_I = prf(K, g^xi | CKY-I | CKY-R | SAi_b | IDii_b)
    /// ```
    pub fn hash_i(&self, g_xi: &[u8], cky_i: &[u8; 8], cky_r: &[u8; 8], sai_b: &[u8], idii_b: &[u8]) -> Digest {
        self.prf(&[g_xi, cky_i, cky_r, sai_b, idii_b])
    }

    /// Computes the responder's hash: with a pre-shared key that of main mode (RFC 2409 §5), with signatures
    /// one of its own.
    ///
    /// ```text
    /// pre-shared key:  HASH_R = prf(K, g^xr | g^xi | CKY-R | CKY-I | SAi_b | IDir_b)
    /// signatures:      HASH_R = prf(K, g^xi | g^xr | CKY-I | CKY-R | SAi_b | IDii_b)
    /// ```
    ///
    /// The responder's identity is not in what it signs: that is how racoon, the one implementation there is,
    /// has it. Who signed is told by its key alone, which is looked up by the identity and must be its.
    pub fn hash_r(&self, transcript: &Transcript<'_>, idii_b: &[u8], idir_b: &[u8]) -> Digest {
        let Transcript { cky_i, cky_r, g_xi, g_xr, sai_b } = transcript;
        match &self.key {
            ProofKey::PreShared(_) => self.prf(&[g_xr, g_xi, *cky_r, *cky_i, sai_b, idir_b]),
            ProofKey::Nonces(_) => self.prf(&[g_xi, g_xr, *cky_i, *cky_r, sai_b, idii_b]),
        }
    }

    fn prf(&self, parts: &[&[u8]]) -> Digest {
        let key = match &self.key {
            ProofKey::PreShared(seed) => seed.skeyid().expose(),
            ProofKey::Nonces(digest) => digest.as_bytes(),
        };
        self.hash.prf(key, parts).into_digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const TRANSCRIPT: Transcript<'_> =
        Transcript { cky_i: &[1; 8], cky_r: &[2; 8], g_xi: b"xi", g_xr: b"xr", sai_b: b"offer" };

    fn joined(parts: &[&[u8]]) -> alloc::vec::Vec<u8> {
        parts.concat()
    }

    /// Each formula once more, with its parts in one piece.
    #[test]
    fn proofs_by_a_key_are_keyed_by_skeyid_and_hash_r_is_that_of_main_mode() {
        let (cky_i, cky_r) = ([1; 8], [2; 8]);
        for hash in HashAlgorithm::ALL {
            let proof = BaseProof::from_psk(hash, &PreSharedKey::copied(b"key"), b"ni", b"nr");
            let skeyid = hash.prf(b"key", &[b"ninr"]);
            let said = joined(&[b"xi", &cky_i, &cky_r, b"offer", b"idii"]);
            let hash_i = proof.hash_i(b"xi", &cky_i, &cky_r, b"offer", b"idii");
            assert!(hash_i.matches(hash.prf(skeyid.expose(), &[&said]).expose()));
            let said = joined(&[b"xr", b"xi", &cky_r, &cky_i, b"offer", b"idir"]);
            let hash_r = proof.hash_r(&TRANSCRIPT, b"idii", b"idir");
            assert!(hash_r.matches(hash.prf(skeyid.expose(), &[&said]).expose()));
        }
    }

    #[test]
    fn what_is_signed_is_keyed_by_the_hash_of_the_nonces() {
        let (cky_i, cky_r) = ([1; 8], [2; 8]);
        for hash in HashAlgorithm::ALL {
            let proof = BaseProof::from_signature(hash, b"ni", b"nr");
            let key = hash.digest(&[b"ninr"]);
            let said = joined(&[b"xi", &cky_i, &cky_r, b"offer", b"idii"]);
            let hash_i = proof.hash_i(b"xi", &cky_i, &cky_r, b"offer", b"idii");
            assert!(hash_i.matches(hash.prf(key.as_bytes(), &[&said]).expose()));
            let said = joined(&[b"xi", b"xr", &cky_i, &cky_r, b"offer", b"idii"]);
            let hash_r = proof.hash_r(&TRANSCRIPT, b"idii", b"idir");
            assert!(hash_r.matches(hash.prf(key.as_bytes(), &[&said]).expose()));
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let proof = BaseProof::from_psk(HashAlgorithm::Sha1, &PreSharedKey::copied(b"key"), b"ni", b"nr");
        assert!(format!("{proof:?}").contains("Skeyid(20 octets)"));
    }
}
