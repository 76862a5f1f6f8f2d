//! What tests need besides endpoints: vector files, and every suite there is.

use ikev1_core::crypto::{CipherAlgorithm, DhGroup, HashAlgorithm};
use ikev1_core::proposal::{
    AesKey, AuthenticationMethod, Compression, EspCipher, Icv, Integrity, Lifetime, Phase1Transform, Protection,
};
use ipsec_wire::isakmp::payload::{Emit, Offer, SecurityAssociation};
use serde_json::Value;
use std::path::Path;

/// Reads a file of `tests/vectors`.
pub fn vectors(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Reads a file of `tests/vectors/certs`.
pub fn pem(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/certs").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Reads the hexadecimal string under a key.
pub fn octets(value: &Value, key: &str) -> Vec<u8> {
    hex::decode(value[key].as_str().unwrap_or_else(|| panic!("no {key}"))).unwrap()
}

/// Reads a cookie under a key.
pub fn cookie(value: &Value, key: &str) -> [u8; 8] {
    octets(value, key).try_into().unwrap()
}

/// A suite that nobody need be ashamed of.
pub const STRONG: Phase1Transform = Phase1Transform {
    cipher: CipherAlgorithm::Aes256,
    hash: HashAlgorithm::Sha2_256,
    group: DhGroup::Modp2048,
    authentication: AuthenticationMethod::PreSharedKey,
    lifetime: Lifetime::seconds(3600),
};

/// Returns the body of an SA payload.
pub fn body(offer: &Offer) -> Vec<u8> {
    offer.to_body().unwrap()
}

/// Reads the body of an SA payload.
pub fn sa(body: &[u8]) -> SecurityAssociation<'_> {
    SecurityAssociation::parse(body).unwrap()
}

/// Returns every suite that phase 1 can be configured for.
pub fn every_phase1(lifetime: Lifetime) -> Vec<Phase1Transform> {
    let mut all = Vec::new();
    for cipher in CipherAlgorithm::ALL {
        for hash in HashAlgorithm::ALL {
            for group in DhGroup::ALL {
                for authentication in AuthenticationMethod::ALL {
                    all.push(Phase1Transform { cipher, hash, group, authentication, lifetime });
                }
            }
        }
    }
    all
}

/// Returns every lawful protection, but the one that shares its number with another.
pub fn every_protection() -> Vec<Protection> {
    let mut ciphers = vec![EspCipher::Null, EspCipher::Des, EspCipher::TripleDes];
    let mut integrity = vec![
        Integrity::HmacMd5,
        Integrity::HmacSha1,
        Integrity::HmacSha2_256,
        Integrity::HmacSha2_384,
        Integrity::HmacSha2_512,
        Integrity::AesXcbc,
    ];
    for key in AesKey::ALL {
        ciphers.extend([EspCipher::AesCbc(key), EspCipher::AesCtr(key), EspCipher::NullAesGmac(key)]);
        for icv in [Icv::Octets8, Icv::Octets12, Icv::Octets16] {
            ciphers.extend([EspCipher::AesCcm(key, icv), EspCipher::AesGcm(key, icv)]);
        }
        integrity.push(Integrity::AesGmac(key));
    }
    let mut all = vec![
        Protection::Ipcomp { compression: Compression::Deflate },
        Protection::Ipcomp { compression: Compression::Lzs },
    ];
    all.extend(integrity.iter().map(|integrity| Protection::Ah { integrity: *integrity }));
    for cipher in ciphers {
        all.push(Protection::Esp { cipher, integrity: None });
        all.extend(integrity.iter().map(|integrity| Protection::Esp { cipher, integrity: Some(*integrity) }));
    }
    all.retain(Protection::is_lawful);
    all
}
