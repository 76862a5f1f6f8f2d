//! RSA keys and signatures, and the certificates that vouch for them.

use crate::support::pem;
use ikev1_core::auth::{KeyError, RsaSigningKey, RsaVerifyingKey, SignatureError};
use ikev1_core::crypto::HashAlgorithm;
use num_bigint::BigUint;
use rand_chacha::rand_core::SeedableRng;
use rsa::pkcs8::DecodePrivateKey;

fn rng() -> rand_chacha::ChaCha20Rng {
    rand_chacha::ChaCha20Rng::seed_from_u64(11)
}

#[test]
fn what_a_key_signs_its_public_half_accepts_for_every_hash_and_no_other_hash() {
    let private = RsaSigningKey::from_pem(&pem("left.key.pem")).unwrap();
    let public = private.verifying_key();
    assert_eq!(public, RsaVerifyingKey::from_pem(&pem("left.pub.pem")).unwrap());
    assert_eq!((public.bits(), public.is_weak()), (2048, false));
    for algorithm in HashAlgorithm::ALL {
        let hash = algorithm.digest(&[b"HASH_I"]);
        let signature = private.sign(&hash, &mut rng()).unwrap();
        assert_eq!(signature.len(), 256);
        assert_eq!(public.verify(&hash, &signature), Ok(()));
        assert_eq!(public.verify(&algorithm.digest(&[b"HASH_R"]), &signature), Err(SignatureError::Wrong));
        let other = RsaVerifyingKey::from_pem(&pem("right.pub.pem")).unwrap();
        assert_eq!(other.verify(&hash, &signature), Err(SignatureError::Wrong));
    }
}

#[test]
fn a_signature_of_any_other_length_is_refused_and_so_is_one_from_the_modulus_on() {
    let public = RsaVerifyingKey::from_pem(&pem("left.pub.pem")).unwrap();
    let hash = HashAlgorithm::Sha1.digest(&[b"x"]);
    for got in [0, 1, 128, 255, 257, 512] {
        let refused = public.verify(&hash, &vec![1; got]).unwrap_err();
        assert_eq!(refused, SignatureError::Length { wanted: 256, got });
    }
    for octet in [0, 1, 0xff] {
        assert_eq!(public.verify(&hash, &[octet; 256]), Err(SignatureError::Wrong));
    }
}

#[test]
fn blinding_leaves_no_trace_in_the_signature() {
    let private = RsaSigningKey::from_pem(&pem("left.key.pem")).unwrap();
    let hash = HashAlgorithm::Sha2_256.digest(&[b"x"]);
    let mut other = rand_chacha::ChaCha20Rng::seed_from_u64(12);
    assert_eq!(private.sign(&hash, &mut rng()).unwrap(), private.sign(&hash, &mut other).unwrap());
}

#[test]
fn keys_are_found_among_other_documents_and_text_and_nothing_else_is_taken_for_one() {
    let everything = format!("Some text\n{}between\n{}\nafter", pem("left.crt.pem"), pem("left.key.pem"));
    assert!(RsaSigningKey::from_pem(&everything).is_ok());
    assert_eq!(RsaSigningKey::from_pem(&pem("left.crt.pem")).unwrap_err(), KeyError::NoSuchDocument);
    assert_eq!(RsaVerifyingKey::from_pem("").unwrap_err(), KeyError::Pem);
    assert_eq!(RsaVerifyingKey::from_pem("-----BEGIN PUBLIC KEY-----").unwrap_err(), KeyError::Pem);
    assert_eq!(RsaVerifyingKey::from_pem("-----BEGIN -----END -----").unwrap_err(), KeyError::Pem);
    let renamed = pem("left.crt.pem").replace("CERTIFICATE", "PUBLIC KEY");
    assert_eq!(RsaVerifyingKey::from_pem(&renamed).unwrap_err(), KeyError::NotRsa);
    let text = pem("left.key.pem");
    for end in (0..text.len()).step_by(7) {
        assert!(RsaSigningKey::from_pem(&text[..end]).is_err());
    }
}

#[test]
fn debug_shows_the_length_of_a_key_and_nothing_of_it() {
    let private = RsaSigningKey::from_pem(&pem("left.key.pem")).unwrap();
    assert_eq!(format!("{private:?}"), "RsaSigningKey(2048 bits)");
    assert_eq!(format!("{:?}", private.verifying_key()), "RsaVerifyingKey(2048 bits)");
}

/// A public key in PKCS#1.
fn pkcs1(modulus: &BigUint, exponent: &BigUint) -> Result<RsaVerifyingKey, KeyError> {
    fn wrapped(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        [&[tag, 0x82][..], &length[length.len() - 2..], content].concat()
    }
    // The short forms of lengths below 256 are those of DER.
    fn integer(value: &BigUint) -> Vec<u8> {
        let mut octets = value.to_bytes_be();
        if octets[0] >= 0x80 {
            octets.insert(0, 0);
        }
        match octets.len() {
            short @ 0..=0x7f => [&[2, short as u8][..], &octets].concat(),
            one @ 0x80..=0xff => [&[2, 0x81, one as u8][..], &octets].concat(),
            _ => wrapped(2, &octets),
        }
    }
    let body = [integer(modulus), integer(exponent)].concat();
    let der = match body.len() {
        short @ 0..=0x7f => [&[0x30, short as u8][..], &body].concat(),
        one @ 0x80..=0xff => [&[0x30, 0x81, one as u8][..], &body].concat(),
        _ => wrapped(0x30, &body),
    };
    RsaVerifyingKey::from_der(&der)
}

/// An odd number of so many bits; nobody knows its factors, nor needs to.
fn modulus(bits: u64) -> BigUint {
    (BigUint::from(1u8) << bits) - BigUint::from(0x1_2345u32)
}

/// CVE-2017-9022: exponents 0, 1, even or vast, and moduli that are even, too short or too long.
#[test]
fn keys_with_senseless_exponents_or_moduli_are_refused() {
    let (n, f4) = (modulus(2_048), BigUint::from(65_537u32));
    assert!(pkcs1(&n, &f4).is_ok() && pkcs1(&n, &BigUint::from(3u8)).is_ok());
    for exponent in [0u64, 1, 2, 4, 65_536, (1 << 33) + 1, u64::MAX] {
        assert_eq!(pkcs1(&n, &BigUint::from(exponent)), Err(KeyError::NotRsa), "{exponent}");
    }
    assert_eq!(pkcs1(&n, &(&n - 2u8)), Err(KeyError::NotRsa));
    assert_eq!(pkcs1(&(&n - 1u8), &f4), Err(KeyError::NotRsa), "even");
    for bits in [64, 512, 1_023, 8_193, 16_384, 100_000] {
        assert_eq!(pkcs1(&modulus(bits), &f4), Err(KeyError::NotRsa), "{bits}");
    }
    assert!(pkcs1(&modulus(1_024), &f4).is_ok() && pkcs1(&modulus(8_192), &f4).is_ok());
}

/// CVE-2006-4339 and CVE-2018-15836, CVE-2018-16152: with the exponent 3 a forger computes cube roots; what
/// padding or trailing octets a careless check passes over is his to choose.
#[test]
fn cube_roots_that_look_like_a_signature_are_refused() {
    let key = pkcs1(&modulus(2_048), &BigUint::from(3u8)).unwrap();
    let hash = (0u8..).map(|n| HashAlgorithm::Sha1.digest(&[&[n]])).find(|hash| hash.as_bytes()[19] & 1 == 1).unwrap();
    let octets = |value: &BigUint| {
        let bytes = value.to_bytes_be();
        [vec![0; 256 - bytes.len()], bytes].concat()
    };
    // 00 01 ff 00 HASH, then garbage.
    let block = [&[0, 1, 0xff, 0xff, 0][..], hash.as_bytes(), &[0xff; 231]].concat();
    let trailing = BigUint::from_bytes_be(&block).cbrt();
    assert_eq!(octets(&trailing.pow(3))[..25], block[..25]);
    assert_eq!(key.verify(&hash, &octets(&trailing)), Err(SignatureError::Wrong));
    // 00 01 ff .. garbage .. 00 HASH: the low bits of a cube are those of the root alone.
    let (low, mask) = (BigUint::from_bytes_be(&[&[0][..], hash.as_bytes()].concat()), BigUint::from(1u8) << 168u32);
    let mut root = BigUint::from(1u8);
    for bit in 1..168u32 {
        if (root.pow(3) ^ &low).bit(bit.into()) {
            root += BigUint::from(1u8) << bit;
        }
    }
    let high = BigUint::from_bytes_be(&[&[0, 1][..], &[0xff; 254]].concat()).cbrt();
    let garbled = ((high >> 168u32) << 168u32) + root;
    let cube = octets(&garbled.pow(3));
    assert_eq!((&cube[..40], &cube[236..]), (&[&[0, 1][..], &[0xff; 38]].concat()[..], hash.as_bytes()));
    assert_eq!(garbled.pow(3) % mask, low);
    assert_eq!(key.verify(&hash, &octets(&garbled)), Err(SignatureError::Wrong));
}

/// The signature of a certificate names its hash; that of IKE does not. Neither passes for the other.
#[test]
fn a_signature_that_names_its_hash_is_none_of_ike() {
    let private = rsa::RsaPrivateKey::from_pkcs8_pem(&pem("left.key.pem")).unwrap();
    let hash = HashAlgorithm::Sha1.digest(&[b"HASH_I"]);
    let prefix = b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14";
    let named = rsa::Pkcs1v15Sign { hash_len: Some(20), prefix: Box::from(&prefix[..]) };
    let signature = private.sign(named, hash.as_bytes()).unwrap();
    let public = RsaVerifyingKey::from_pem(&pem("left.pub.pem")).unwrap();
    assert_eq!(public.verify(&hash, &signature), Err(SignatureError::Wrong));
}

#[cfg(feature = "x509")]
mod certificates {
    use super::*;
    use ikev1_core::Identity;
    use ikev1_core::auth::{CertificateError, MAX_CERTIFICATE, TrustAnchors, certificates_from_pem, subject_of};
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    /// The first second of 2030.
    const NOW: u64 = 1_893_456_000;

    /// The certificates of the made infrastructure by name: each name stands on the line before.
    fn pki() -> BTreeMap<String, Vec<u8>> {
        let text = pem("pki.pem");
        let begins = text.lines().zip(text.lines().skip(1)).filter(|(_, next)| next.contains("BEGIN"));
        begins.map(|(name, _)| name.to_owned()).zip(certificates_from_pem(&text).unwrap()).collect()
    }

    fn anchors() -> TrustAnchors {
        let mut anchors = TrustAnchors::new();
        anchors.add_der(&pki()["root"]).unwrap();
        anchors
    }

    fn fqdn(name: &str) -> Identity {
        Identity::Fqdn(name.to_owned())
    }

    fn peer() -> Identity {
        fqdn("peer.example")
    }

    fn verify(names: &[&str], identity: &Identity) -> Result<(), CertificateError> {
        let pki = pki();
        let certificates: Vec<&[u8]> = names.iter().map(|name| pki[*name].as_slice()).collect();
        anchors().verify(&certificates, identity, NOW).map(|_| ())
    }

    #[test]
    fn the_labs_certificates_prove_the_identities_they_name() {
        let mut anchors = TrustAnchors::new();
        assert_eq!(anchors.add_pem(&pem("ca.crt.pem")), Ok(1));
        assert_eq!(anchors.names().count(), 1);
        let left = certificates_from_pem(&pem("left.crt.pem")).unwrap().remove(0);
        let subject = subject_of(&left).unwrap();
        for identity in
            [fqdn("left.example.org"), fqdn("LEFT.example.org"), "192.0.2.1".parse::<IpAddr>().unwrap().into(), subject]
        {
            let verified = anchors.verify(&[&left], &identity, NOW).unwrap();
            assert_eq!(verified.identity(), &identity);
            assert_eq!(*verified.key(), RsaVerifyingKey::from_pem(&pem("left.pub.pem")).unwrap());
        }
        for identity in [
            fqdn("right.example.org"),
            fqdn("example.org"),
            fqdn("left.example.org."),
            "192.0.2.2".parse::<IpAddr>().unwrap().into(),
            Identity::UserFqdn("left.example.org".to_owned()),
            Identity::KeyId(b"left.example.org".to_vec()),
            Identity::DistinguishedName(Vec::new()),
            Identity::DistinguishedName(vec![0x30, 0]),
        ] {
            let refused = anchors.verify(&[&left], &identity, NOW).unwrap_err();
            assert_eq!(refused, CertificateError::Identity(identity));
        }
        let big = certificates_from_pem(&pem("big-left.crt.pem")).unwrap().remove(0);
        assert!(anchors.verify(&[&big], &fqdn("alias-number-40.example.org"), NOW).is_ok());
    }

    #[test]
    fn a_distinguished_name_is_compared_by_its_parts() {
        let mut anchors = TrustAnchors::new();
        anchors.add_pem(&pem("ca.crt.pem")).unwrap();
        let left = certificates_from_pem(&pem("left.crt.pem")).unwrap().remove(0);
        let subject = subject_of(&left).unwrap();
        let text = subject.to_string();
        for written in [text.clone(), text.to_uppercase(), text.replace(", ", ",")] {
            let identity = Identity::distinguished_name(&written).unwrap();
            assert!(identity.matches(&subject), "{written}");
            assert!(anchors.verify(&[&left], &identity, NOW).is_ok(), "{written}");
        }
        let other = Identity::distinguished_name(&format!("{text}, CN=other")).unwrap();
        assert!(anchors.verify(&[&left], &other, NOW).is_err());
    }

    #[test]
    fn the_ready_verifier_answers_the_question_of_an_endpoint() {
        let path = drive::Path::new(([192, 0, 2, 2], 500).into(), ([192, 0, 2, 1], 500).into());
        let mut question = ikev1_core::VerifyCertificate {
            ticket: ikev1_core::Ticket(7),
            ike_sa: ikev1_core::IkeSaId(1),
            connection: ikev1_core::ConnectionId(0),
            path,
            identity: peer(),
            certificates: vec![pki()["chained"].clone(), pki()["inter"].clone()],
        };
        let (command, error) = anchors().answer(&question, NOW);
        assert_eq!(error, None);
        assert!(
            matches!(command, ikev1_core::Command::CertificateVerdict { ticket, key: Some(_) } if ticket == question.ticket)
        );
        question.identity = fqdn("other.example");
        let (command, error) = anchors().answer(&question, NOW);
        assert_eq!(error, Some(CertificateError::Identity(fqdn("other.example"))));
        assert!(matches!(command, ikev1_core::Command::CertificateVerdict { key: None, .. }));
    }

    #[test]
    fn good_certificates_are_taken_straight_or_through_an_intermediate_in_any_order() {
        for good in [
            &["direct"][..],
            &["ike"],
            &["bare"],
            &["chained", "inter"],
            &["chained", "narrow", "inter"],
            &["chained", "inter", "root"],
            &["direct", "inter", "noca"],
        ] {
            assert_eq!(verify(good, &peer()), Ok(()), "{good:?}");
        }
        assert_eq!(verify(&["direct"], &Identity::UserFqdn("user@peer.example".to_owned())), Ok(()));
        assert_eq!(verify(&["direct"], &"192.0.2.7".parse::<IpAddr>().unwrap().into()), Ok(()));
        assert_eq!(verify(&["direct"], &"2001:db8::7".parse::<IpAddr>().unwrap().into()), Ok(()));
        assert_eq!(verify(&["inside", "narrow"], &fqdn("peer.inside.example")), Ok(()));
    }

    #[test]
    fn each_fault_is_refused() {
        let path = |names: &[&str]| matches!(verify(names, &peer()), Err(CertificateError::Path(_)));
        assert!(path(&["chained"]), "no intermediate");
        assert!(path(&["chained", "narrow"]), "another intermediate");
        assert!(path(&["under-noca", "noca"]), "signed by one that is no authority");
        assert!(path(&["outside", "narrow"]), "name constraints");
        assert!(path(&["code"]), "for signing code only");
        assert!(path(&["old"]), "signed over SHA-1");
        assert!(path(&["inter"]), "an authority is no peer");
        assert_eq!(verify(&["under-nosign", "nosign"], &peer()), Err(CertificateError::KeyUsage));
        assert_eq!(verify(&["encipher"], &peer()), Err(CertificateError::KeyUsage));
        assert_eq!(verify(&["wild"], &peer()), Err(CertificateError::Identity(peer())));
        assert_eq!(verify(&[], &peer()), Err(CertificateError::None));
    }

    #[test]
    fn sha1_is_taken_when_it_was_asked_for() {
        let mut anchors = TrustAnchors::new().dangerously_allow_sha1();
        anchors.add_der(&pki()["root"]).unwrap();
        assert!(anchors.verify(&[&pki()["old"]], &peer(), NOW).is_ok());
    }

    #[test]
    fn a_certificate_counts_only_within_its_time() {
        for (time, good) in
            [(0, false), (1_000_000_000, false), (NOW, true), (4_000_000_000, false), (u64::MAX / 2, false)]
        {
            let verified = anchors().verify(&[&pki()["direct"]], &peer(), time);
            assert_eq!(verified.is_ok(), good, "{time}");
        }
    }

    #[test]
    fn an_authority_of_the_same_name_with_another_key_is_not_trusted() {
        let mut other = TrustAnchors::new();
        other.add_pem(&pem("ca.crt.pem")).unwrap();
        assert!(matches!(other.verify(&[&pki()["direct"]], &peer(), NOW), Err(CertificateError::Path(_))));
        assert!(matches!(
            TrustAnchors::new().verify(&[&pki()["direct"]], &peer(), NOW),
            Err(CertificateError::Path(_))
        ));
    }

    #[test]
    fn too_many_certificates_or_too_long_ones_are_refused_before_any_work() {
        let direct = pki()["direct"].clone();
        let many = vec![direct.as_slice(); 17];
        assert_eq!(anchors().verify(&many, &peer(), NOW).unwrap_err(), CertificateError::TooMany(17));
        let long = vec![0; MAX_CERTIFICATE + 1];
        let refused = anchors().verify(&[&direct, &long], &peer(), NOW).unwrap_err();
        assert_eq!(refused, CertificateError::TooLong(MAX_CERTIFICATE + 1));
    }

    #[test]
    fn no_truncation_and_no_bent_octet_of_a_certificate_is_accepted() {
        let direct = pki()["direct"].clone();
        let anchors = anchors();
        for len in 0..direct.len() {
            assert!(anchors.verify(&[&direct[..len]], &peer(), NOW).is_err());
        }
        for at in (0..direct.len()).step_by(3) {
            let mut bent = direct.clone();
            bent[at] ^= 1 << (at % 8);
            assert!(anchors.verify(&[&bent], &peer(), NOW).is_err(), "octet {at}");
        }
    }
}
