use crate::Unsupported;
use core::fmt;
use digest::{FixedOutput, Update};
use ipsec_wire::registry::IkeHash;
use zeroize::Zeroize;

/// The longest output of a negotiated hash, in octets.
pub(crate) const MAX_HASH_LEN: usize = 64;

/// The hash algorithms that phase 1 negotiates; the prf is the HMAC of the same hash.
///
/// Numbers are those of the phase 1 attribute "Hash Algorithm" (RFC 2409 appendix A, RFC 4868).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// MD5, 16 octets.
    Md5,
    /// SHA-1, 20 octets.
    Sha1,
    /// SHA-256, 32 octets.
    Sha2_256,
    /// SHA-384, 48 octets.
    Sha2_384,
    /// SHA-512, 64 octets.
    Sha2_512,
}

impl HashAlgorithm {
    /// All members, weakest first.
    pub const ALL: [Self; 5] = [Self::Md5, Self::Sha1, Self::Sha2_256, Self::Sha2_384, Self::Sha2_512];

    /// Returns the attribute value on the wire.
    pub const fn number(self) -> IkeHash {
        match self {
            Self::Md5 => IkeHash::MD5,
            Self::Sha1 => IkeHash::SHA1,
            Self::Sha2_256 => IkeHash::SHA2_256,
            Self::Sha2_384 => IkeHash::SHA2_384,
            Self::Sha2_512 => IkeHash::SHA2_512,
        }
    }

    /// Returns the length of the output in octets.
    pub const fn output_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha2_256 => 32,
            Self::Sha2_384 => 48,
            Self::Sha2_512 => 64,
        }
    }

    /// Returns the name that operators know.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha2_256 => "SHA2-256",
            Self::Sha2_384 => "SHA2-384",
            Self::Sha2_512 => "SHA2-512",
        }
    }

    /// Returns whether a plan must ask for it by a `dangerously_` name.
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::Md5)
    }

    /// Hashes the concatenation of the parts.
    pub fn digest(self, parts: &[&[u8]]) -> Digest {
        match self {
            Self::Md5 => hash::<md5::Md5>(parts),
            Self::Sha1 => hash::<sha1::Sha1>(parts),
            Self::Sha2_256 => hash::<sha2::Sha256>(parts),
            Self::Sha2_384 => hash::<sha2::Sha384>(parts),
            Self::Sha2_512 => hash::<sha2::Sha512>(parts),
        }
    }
}

fn hash<D: Default + Update + FixedOutput>(parts: &[&[u8]]) -> Digest {
    let mut state = D::default();
    for part in parts {
        state.update(part);
    }
    Digest::new(&state.finalize_fixed())
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TryFrom<IkeHash> for HashAlgorithm {
    type Error = Unsupported;

    fn try_from(number: IkeHash) -> Result<Self, Unsupported> {
        Self::ALL.into_iter().find(|member| member.number() == number).ok_or(Unsupported(number.0))
    }
}

/// A hash value that travels on the wire or seeds an IV: at most 64 octets, not secret.
#[derive(Clone, Copy)]
pub struct Digest {
    octets: [u8; MAX_HASH_LEN],
    len: usize,
}

impl Digest {
    pub(super) fn new(value: &[u8]) -> Self {
        let mut octets = [0; MAX_HASH_LEN];
        for (to, from) in octets.iter_mut().zip(value) {
            *to = *from;
        }
        Self { octets, len: value.len().min(MAX_HASH_LEN) }
    }

    /// Returns the octets.
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&self.octets)
    }

    /// Returns whether a received value is the same, in time that depends on the lengths only.
    ///
    /// A value of any other length differs.
    #[must_use]
    pub fn matches(&self, received: &[u8]) -> bool {
        drive::ct_eq(self.as_bytes(), received)
    }
}

impl Zeroize for Digest {
    fn zeroize(&mut self) {
        self.octets.zeroize();
        self.len = 0;
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(")?;
        self.as_bytes().iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_abc_are_those_of_fips_180_and_rfc_1321() {
        for (algorithm, start) in [
            (HashAlgorithm::Md5, "900150983cd24fb0"),
            (HashAlgorithm::Sha1, "a9993e364706816a"),
            (HashAlgorithm::Sha2_256, "ba7816bf8f01cfea"),
            (HashAlgorithm::Sha2_384, "cb00753f45a35e8b"),
            (HashAlgorithm::Sha2_512, "ddaf35a193617aba"),
        ] {
            let digest = algorithm.digest(&[b"a", b"", b"bc"]);
            assert_eq!(hex::encode(&digest.as_bytes()[..8]), start);
            assert_eq!(digest.as_bytes().len(), algorithm.output_len());
        }
    }

    #[test]
    fn every_number_but_the_five_is_unsupported() {
        for number in 0..=u16::MAX {
            match HashAlgorithm::try_from(IkeHash(number)) {
                Ok(algorithm) => assert_eq!(algorithm.number().0, number),
                Err(refused) => assert!(refused == Unsupported(number) && ![1, 2, 4, 5, 6].contains(&number)),
            }
        }
    }

    #[test]
    fn a_received_hash_of_another_length_never_matches() {
        let digest = HashAlgorithm::Sha1.digest(&[b"x"]);
        assert!(digest.matches(digest.as_bytes()));
        assert!(!digest.matches(&[]));
        assert!(!digest.matches(&digest.as_bytes()[..19]));
        assert!(!digest.matches(&[digest.as_bytes(), &[0]].concat()));
    }
}
