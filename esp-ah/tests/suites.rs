//! The table of suites, held against the registries and against itself.

use esp_ah::suite::{AesKey, MAX_ICV_LEN, MAX_IV_LEN};
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, KeyError, OpenKey, SealKey, SequenceBits, Suite, SuiteError};
use ipsec_wire::registry::{AhTransform, AuthAlgorithm, EspTransform};
use std::collections::BTreeSet;

#[test]
fn every_cipher_is_found_again_by_its_numbers() {
    let mut names = BTreeSet::new();
    for cipher in CipherAlgorithm::all() {
        assert_eq!(CipherAlgorithm::from_transform(cipher.transform_id(), cipher.key_length()), Some(cipher));
        assert!(names.insert(cipher.to_string()), "{cipher} twice");
        assert!(cipher.lengths().iv <= MAX_IV_LEN);
    }
    assert_eq!(names.len(), 4 + 3 * 3 + 2 * 9);
    let aes = CipherAlgorithm::AesCbc(AesKey::Bits128);
    assert_eq!(CipherAlgorithm::from_transform(12, None), Some(aes), "128 bits where nothing is said");
}

#[test]
fn every_number_of_the_registries_has_its_algorithm_or_none() {
    let ciphers: BTreeSet<u8> = CipherAlgorithm::all().map(|cipher| cipher.transform_id()).collect();
    for id in 0..=255 {
        for bits in [None, Some(0), Some(64), Some(128), Some(129), Some(192), Some(256), Some(u16::MAX)] {
            if let Some(cipher) = CipherAlgorithm::from_transform(id, bits) {
                assert_eq!(cipher.transform_id(), id);
                assert!(ciphers.contains(&id));
            }
        }
    }
    let name = |cipher: CipherAlgorithm| EspTransform(cipher.transform_id()).name();
    assert_eq!(name(CipherAlgorithm::DesCbc), EspTransform::DES.name());
    assert_eq!(name(CipherAlgorithm::TripleDesCbc), EspTransform::TRIPLE_DES.name());
    assert_eq!(name(CipherAlgorithm::Null), EspTransform::NULL.name());
    for cipher in CipherAlgorithm::all() {
        let registered = match cipher {
            CipherAlgorithm::AesCbc(_) => EspTransform::AES_CBC,
            CipherAlgorithm::AesCtr(_) => EspTransform::AES_CTR,
            CipherAlgorithm::AesGmac(_) => EspTransform::NULL_AUTH_AES_GMAC,
            CipherAlgorithm::AesGcm(_, icv) => {
                [EspTransform::AES_GCM_8, EspTransform::AES_GCM_12, EspTransform::AES_GCM_16][icv.octets() / 4 - 2]
            }
            CipherAlgorithm::AesCcm(_, icv) => {
                [EspTransform::AES_CCM_8, EspTransform::AES_CCM_12, EspTransform::AES_CCM_16][icv.octets() / 4 - 2]
            }
            _ => continue,
        };
        assert_eq!(cipher.transform_id(), registered.0);
    }
    for (integrity, attribute, transform) in [
        (IntegrityAlgorithm::HmacMd5_96, AuthAlgorithm::HMAC_MD5, AhTransform::MD5),
        (IntegrityAlgorithm::HmacSha1_96, AuthAlgorithm::HMAC_SHA, AhTransform::SHA),
        (IntegrityAlgorithm::HmacSha256_128, AuthAlgorithm::HMAC_SHA2_256, AhTransform::SHA2_256),
        (IntegrityAlgorithm::HmacSha384_192, AuthAlgorithm::HMAC_SHA2_384, AhTransform::SHA2_384),
        (IntegrityAlgorithm::HmacSha512_256, AuthAlgorithm::HMAC_SHA2_512, AhTransform::SHA2_512),
        (IntegrityAlgorithm::AesXcbc96, AuthAlgorithm::AES_XCBC_MAC, AhTransform::AES_XCBC_MAC),
    ] {
        assert_eq!(IntegrityAlgorithm::from_attribute(attribute.0), Some(integrity));
        assert_eq!(IntegrityAlgorithm::from_transform(transform.0), Some(integrity));
    }
    for value in (0..=u16::MAX).filter(|value| ![1, 2, 5, 6, 7, 9].contains(value)) {
        assert_eq!(IntegrityAlgorithm::from_attribute(value), None);
    }
}

#[test]
fn key_material_has_a_length_for_every_pair_that_is_a_suite_and_no_other_pair_is_one() {
    for cipher in CipherAlgorithm::all() {
        for integrity in IntegrityAlgorithm::ALL {
            match Suite::new(cipher, integrity) {
                Ok(suite) => {
                    assert!(suite.icv_len() >= 8 && suite.icv_len() <= MAX_ICV_LEN);
                    assert!(suite.keymat_len() >= 16);
                }
                Err(SuiteError::NothingProtected) => {
                    assert_eq!((cipher, integrity), (CipherAlgorithm::Null, IntegrityAlgorithm::None));
                }
                Err(SuiteError::Unauthenticated) => {
                    assert!(cipher.is_confidential() && integrity == IntegrityAlgorithm::None);
                }
                Err(SuiteError::Combined) => {
                    assert!(cipher.is_combined() && integrity != IntegrityAlgorithm::None);
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn encryption_without_integrity_needs_the_dangerous_name() {
    for cipher in CipherAlgorithm::all() {
        match Suite::dangerously_unauthenticated(cipher) {
            Ok(suite) => assert!(suite.is_dangerous() && suite.icv_len() == 0),
            Err(SuiteError::Unauthenticated) => assert!(matches!(cipher, CipherAlgorithm::AesCtr(_))),
            Err(_) => assert!(cipher.is_combined() || cipher == CipherAlgorithm::Null),
        }
    }
    let dangerous = |cipher, integrity| Suite::new(cipher, integrity).unwrap().is_dangerous();
    assert!(dangerous(CipherAlgorithm::DesCbc, IntegrityAlgorithm::HmacSha1_96));
    assert!(dangerous(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacMd5_96));
    assert!(!dangerous(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacSha1_96));
}

#[test]
fn key_material_of_any_other_length_is_refused() {
    for suite in Suite::all() {
        for len in 0..=160 {
            let keymat: Vec<u8> = (0..len).map(|n| (n * 7 + 1) as u8).collect();
            let refused = Err(KeyError::Length { expected: suite.keymat_len(), given: len });
            let expected = if len == suite.keymat_len() { Ok(()) } else { refused };
            assert_eq!(SealKey::new(suite, SequenceBits::Bits32, &keymat).map(drop), expected);
            assert_eq!(OpenKey::new(suite, SequenceBits::Bits32, &keymat).map(drop), expected);
        }
    }
}

#[test]
fn weak_des_keys_are_refused() {
    for (cipher, len) in [(CipherAlgorithm::DesCbc, 8), (CipherAlgorithm::TripleDesCbc, 24)] {
        let suite = Suite::new(cipher, IntegrityAlgorithm::HmacSha1_96).unwrap();
        let keymat = [vec![1; len], vec![9; 20]].concat();
        assert_eq!(SealKey::new(suite, SequenceBits::Bits32, &keymat).map(drop), Err(KeyError::Weak));
        assert_eq!(OpenKey::new(suite, SequenceBits::Bits32, &keymat).map(drop), Err(KeyError::Weak));
    }
}

#[test]
fn keys_stay_small_and_silent() {
    let suite = Suite::new(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacSha1_96).unwrap();
    let keymat = [7; 36];
    let sealer = SealKey::new(suite, SequenceBits::Bits32, &keymat).unwrap();
    let opener = OpenKey::new(suite, SequenceBits::Bits32, &keymat).unwrap();
    assert_eq!(
        format!("{sealer:?} {opener:?}"),
        "SealKey(AES-128-CBC + HMAC-SHA1-96) OpenKey(AES-128-CBC + HMAC-SHA1-96)"
    );
    assert!(size_of::<SealKey>() <= 448, "{}", size_of::<SealKey>());
    assert!(size_of::<OpenKey>() <= 448, "{}", size_of::<OpenKey>());
}
