use super::hash::{Digest, HashAlgorithm, MAX_HASH_LEN};
use digest::{FixedOutput, KeyInit, Update};
use hmac::Hmac;
use zeroize::Zeroizing;

/// The output of the prf: secret until its role says otherwise, wiped on drop, at most 64 octets.
pub struct PrfOutput {
    octets: Zeroizing<[u8; MAX_HASH_LEN]>,
    len: usize,
}

impl PrfOutput {
    /// Returns the octets.
    pub fn expose(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&*self.octets)
    }

    /// Declares the value public: a HASH payload's contents.
    pub fn into_digest(self) -> Digest {
        Digest::new(self.expose())
    }
}

impl HashAlgorithm {
    /// Computes prf(key, part | part | ..): the HMAC of this hash (RFC 2409 §4, RFC 2104).
    ///
    /// The key may have any length, none included.
    pub fn prf(self, key: &[u8], parts: &[&[u8]]) -> PrfOutput {
        match self {
            Self::Md5 => mac::<Hmac<md5::Md5>>(key, parts),
            Self::Sha1 => mac::<Hmac<sha1::Sha1>>(key, parts),
            Self::Sha2_256 => mac::<Hmac<sha2::Sha256>>(key, parts),
            Self::Sha2_384 => mac::<Hmac<sha2::Sha384>>(key, parts),
            Self::Sha2_512 => mac::<Hmac<sha2::Sha512>>(key, parts),
        }
    }
}

fn mac<M: KeyInit + Update + FixedOutput>(key: &[u8], parts: &[&[u8]]) -> PrfOutput {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut state = M::new_from_slice(key).expect("HMAC takes keys of every length");
    for part in parts {
        state.update(part);
    }
    let value = Zeroizing::new(state.finalize_fixed());
    let mut octets = Zeroizing::new([0; MAX_HASH_LEN]);
    for (to, from) in octets.iter_mut().zip(value.iter()) {
        *to = *from;
    }
    PrfOutput { octets, len: value.len().min(MAX_HASH_LEN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202 test case 2 and RFC 4231 test case 2: key "Jefe".
    #[test]
    fn hmac_of_jefe_is_that_of_rfc_2202_and_4231() {
        for (algorithm, expected) in [
            (HashAlgorithm::Md5, "750c783e6ab0b503eaa86e310a5db738"),
            (HashAlgorithm::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (HashAlgorithm::Sha2_256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                HashAlgorithm::Sha2_384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                HashAlgorithm::Sha2_512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let output = algorithm.prf(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
            assert_eq!(hex::encode(output.expose()), expected);
        }
    }

    #[test]
    fn an_empty_key_and_one_longer_than_a_block_are_taken() {
        assert_eq!(HashAlgorithm::Md5.prf(&[], &[]).expose().len(), 16);
        let long = [0xaa; 80];
        let expected = "aa4ae5e15272d00e95705637ce8a3b55ed402112";
        let output = HashAlgorithm::Sha1.prf(&long, &[b"Test Using Larger Than Block-Size Key - Hash Key First"]);
        assert_eq!(hex::encode(output.expose()), expected);
    }
}
