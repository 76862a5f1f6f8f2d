//! The cryptography of phase 1 and quick mode against answers that others computed.

use crate::support::{cookie, octets, vectors};
use ikev1_core::auth::PreSharedKey;
use ikev1_core::crypto::{BlockIv, CipherAlgorithm, CipherKey, DhGroup, DhKeyPair, DhPrivate, DhShared, HashAlgorithm};
use ikev1_core::keys::{IvChain, KeymatInput, Phase1Seed, Transcript};
use ipsec_wire::registry::Group;
use num_bigint::BigUint;
use serde_json::Value;
use std::path::Path;

fn nist(name: &str) -> Value {
    match std::env::var_os("IPSEC_VECTORS") {
        Some(folder) => {
            let path = Path::new(&folder).join("ikev1-kdf").join(name);
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
        }
        None => vectors(name),
    }
}

fn group(value: &Value, key: &str) -> DhGroup {
    DhGroup::try_from(Group(value[key].as_u64().unwrap().try_into().unwrap())).unwrap()
}

fn message_id(value: &Value) -> u32 {
    u32::from_str_radix(value["message_id"].as_str().unwrap(), 16).unwrap()
}

#[test]
fn router_trace_comes_out_from_the_private_exponent_to_hash_r() {
    let trace = vectors("router-trace-phase1.json");
    let ours = DhKeyPair::from_private(DhGroup::Modp768, DhPrivate::new(octets(&trace, "dh_private_x"))).unwrap();
    assert_eq!(ours.public(), octets(&trace, "g_xi"));
    let g_xy = ours.agree(&octets(&trace, "g_xr")).unwrap();
    assert_eq!(g_xy.expose(), octets(&trace, "g_xy"));

    let psk = PreSharedKey::new(octets(&trace, "pre_shared_key"));
    let hash = HashAlgorithm::Sha1;
    let seed = Phase1Seed::from_psk(hash, &psk, &octets(&trace, "nonce_i"), &octets(&trace, "nonce_r"));
    assert_eq!(seed.skeyid().expose(), octets(&trace, "skeyid"));
    let (cky_i, cky_r) = (cookie(&trace, "cookie_i"), cookie(&trace, "cookie_r"));
    let keys = seed.expand(&g_xy, &cky_i, &cky_r, CipherAlgorithm::Des);
    assert_eq!(keys.isakmp().skeyid_d().expose(), octets(&trace, "skeyid_d"));
    assert_eq!(keys.isakmp().skeyid_a().expose(), octets(&trace, "skeyid_a"));
    assert_eq!(keys.isakmp().skeyid_e().expose(), octets(&trace, "skeyid_e"));
    assert_eq!(keys.isakmp().cipher().expose(), octets(&trace, "cipher_key"));

    let (g_xi, g_xr, sai_b) = (octets(&trace, "g_xi"), octets(&trace, "g_xr"), octets(&trace, "sa_i_body"));
    let iv = IvChain::phase_1(hash, CipherAlgorithm::Des, &g_xi, &g_xr);
    assert_eq!(iv.current().as_bytes(), octets(&trace, "cipher_iv"));
    let transcript = Transcript { cky_i: &cky_i, cky_r: &cky_r, g_xi: &g_xi, g_xr: &g_xr, sai_b: &sai_b };
    assert_eq!(keys.hash_i(&transcript, &octets(&trace, "id_i_body")).as_bytes(), octets(&trace, "hash_i"));
    assert_eq!(keys.hash_r(&transcript, &octets(&trace, "id_r_body")).as_bytes(), octets(&trace, "hash_r"));
}

fn nist_hash(group: &Value) -> HashAlgorithm {
    match group["hash"].as_str().unwrap() {
        "SHA-1" => HashAlgorithm::Sha1,
        "SHA-256" => HashAlgorithm::Sha2_256,
        "SHA-384" => HashAlgorithm::Sha2_384,
        "SHA-512" => HashAlgorithm::Sha2_512,
        other => panic!("hash {other}"),
    }
}

/// Walks a NIST file and returns how many vectors it held.
fn walk_nist(file: &Value, seed: impl Fn(HashAlgorithm, &Value) -> Phase1Seed) -> usize {
    let mut walked = 0;
    for group in file["groups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let seed = seed(nist_hash(group), test);
            assert_eq!(seed.skeyid().expose(), octets(test, "skeyid"));
            let g_xy = DhShared::new(octets(test, "g_xy"));
            let keys = seed.expand(&g_xy, &cookie(test, "cky_i"), &cookie(test, "cky_r"), CipherAlgorithm::Aes128);
            assert_eq!(keys.isakmp().skeyid_d().expose(), octets(test, "skeyid_d"));
            assert_eq!(keys.isakmp().skeyid_a().expose(), octets(test, "skeyid_a"));
            assert_eq!(keys.isakmp().skeyid_e().expose(), octets(test, "skeyid_e"));
            walked += 1;
        }
    }
    walked
}

#[test]
fn nist_pre_shared_key_derivations_come_out() {
    let walked = walk_nist(&nist("cavp_ikev1_psk.json"), |hash, test| {
        let psk = PreSharedKey::new(octets(test, "psk"));
        Phase1Seed::from_psk(hash, &psk, &octets(test, "ni"), &octets(test, "nr"))
    });
    assert!(walked >= 34, "{walked}");
}

#[test]
fn nist_signature_derivations_come_out() {
    let walked = walk_nist(&nist("cavp_ikev1_dsa.json"), |hash, test| {
        let g_xy = DhShared::new(octets(test, "g_xy"));
        Phase1Seed::from_signature(hash, &octets(test, "ni"), &octets(test, "nr"), &g_xy)
    });
    assert!(walked >= 34, "{walked}");
}

#[test]
fn hash_r_of_published_aggressive_modes_comes_out() {
    let file = vectors("psk_hash_r.json");
    for vector in file["vectors"].as_array().unwrap() {
        let hash = match vector["prf"].as_str().unwrap() {
            "HMAC-MD5" => HashAlgorithm::Md5,
            "HMAC-SHA1" => HashAlgorithm::Sha1,
            other => panic!("prf {other}"),
        };
        let psk = PreSharedKey::copied(vector["psk_ascii"].as_str().unwrap().as_bytes());
        let seed = Phase1Seed::from_psk(hash, &psk, &octets(vector, "ni_b"), &octets(vector, "nr_b"));
        assert_eq!(seed.skeyid().expose(), octets(vector, "skeyid"));
        let (cky_i, cky_r) = (cookie(vector, "cky_i"), cookie(vector, "cky_r"));
        // HASH_R is keyed by SKEYID alone: any shared value will do.
        let keys = seed.expand(&DhShared::new(vec![2]), &cky_i, &cky_r, CipherAlgorithm::TripleDes);
        let (g_xi, g_xr, sai_b) = (octets(vector, "g_xi"), octets(vector, "g_xr"), octets(vector, "sai_b"));
        let transcript = Transcript { cky_i: &cky_i, cky_r: &cky_r, g_xi: &g_xi, g_xr: &g_xr, sai_b: &sai_b };
        assert!(keys.hash_r(&transcript, &octets(vector, "idir_b")).matches(&octets(vector, "hash_r")));
    }
}

#[test]
fn strongswan_main_and_quick_mode_comes_out_to_the_last_message() {
    let file = vectors("main_mode_psk_fullkeys.json");
    let hash = HashAlgorithm::Sha1;
    let psk = PreSharedKey::copied(file["psk_ascii"].as_str().unwrap().as_bytes());
    let (cky_i, cky_r) = (cookie(&file, "cky_i"), cookie(&file, "cky_r"));
    let seed = Phase1Seed::from_psk(hash, &psk, &octets(&file, "ni_b"), &octets(&file, "nr_b"));
    assert_eq!(seed.skeyid().expose(), octets(&file, "skeyid"));
    let keys = seed.expand(&DhShared::new(octets(&file, "g_xy")), &cky_i, &cky_r, CipherAlgorithm::Aes128);
    assert_eq!(keys.isakmp().cipher().expose(), octets(&file, "enc_key"));

    let (g_xi, g_xr, sai_b) = (octets(&file, "g_xi"), octets(&file, "g_xr"), octets(&file, "sai_b"));
    let transcript = Transcript { cky_i: &cky_i, cky_r: &cky_r, g_xi: &g_xi, g_xr: &g_xr, sai_b: &sai_b };
    assert!(keys.hash_i(&transcript, &octets(&file, "idii_b")).matches(&octets(&file, "hash_i")));
    assert!(keys.hash_r(&transcript, &octets(&file, "idir_b")).matches(&octets(&file, "hash_r")));

    let keys = keys.authenticated();
    let mut phase_1 = IvChain::phase_1(hash, CipherAlgorithm::Aes128, &g_xi, &g_xr);
    assert_eq!(phase_1.current().as_bytes(), octets(&file, "phase1_iv"));
    open_all(&mut phase_1, keys.cipher(), &file["phase1_ciphertexts"], &file["phase1_plaintexts"]);

    let quick = &file["quick"];
    let id = message_id(quick);
    let mut chain = phase_1.for_message_id(id);
    assert_eq!(chain.current().as_bytes(), octets(quick, "iv"));
    open_all(&mut chain, keys.cipher(), &quick["ciphertexts"], &quick["plaintexts"]);

    // After the HASH payload of 24 octets; what remains after the chain is padding.
    let plaintext = |n: usize| hex::decode(quick["plaintexts"][n].as_str().unwrap()).unwrap();
    let (first, second) = (plaintext(0), plaintext(1));
    let (ni_b, nr_b) = (octets(quick, "ni_b"), octets(quick, "nr_b"));
    assert!(keys.hash_1(id, &first[24..24 + chain_len(&first[24..])]).matches(&octets(quick, "hash1")));
    assert!(keys.hash_2(id, &ni_b, &second[24..24 + chain_len(&second[24..])]).matches(&octets(quick, "hash2")));
    assert!(keys.hash_3(id, &ni_b, &nr_b).matches(&octets(quick, "hash3")));

    for (spi, expected) in [("spi_i", "keymat_spi_i_64"), ("spi_r", "keymat_spi_r_64")] {
        let spi = octets(quick, spi);
        let input = KeymatInput { pfs: None, protocol: 3, spi: &spi, ni_b: &ni_b, nr_b: &nr_b };
        for len in [0, 1, 20, 21, 40, 64] {
            assert_eq!(keys.keymat(&input, len).expose(), &octets(quick, expected)[..len]);
        }
    }
}

/// Returns the length of a chain of payloads that begins with an SA payload, padding excluded.
fn chain_len(payloads: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let next = payloads[at];
        at += usize::from(u16::from_be_bytes([payloads[at + 2], payloads[at + 3]]));
        if next == 0 {
            return at;
        }
    }
}

/// Decrypts every message, checks it, seals it again and moves the chain.
fn open_all(chain: &mut IvChain, key: &CipherKey, ciphertexts: &Value, plaintexts: &Value) {
    for (ciphertext, plaintext) in ciphertexts.as_array().unwrap().iter().zip(plaintexts.as_array().unwrap()) {
        let ciphertext = hex::decode(ciphertext.as_str().unwrap()).unwrap();
        let mut blocks = ciphertext.clone();
        let next = chain.open(key, &mut blocks).unwrap();
        assert_eq!(hex::encode(&blocks), plaintext.as_str().unwrap());
        let _ = chain.seal(key, &mut blocks).unwrap();
        assert_eq!(blocks, ciphertext);
        chain.commit(next);
    }
}

#[test]
fn captures_with_a_published_key_decrypt_and_a_retransmission_does_not_move_the_chain() {
    let file = vectors("decrypted_captures.json");
    for capture in file["captures"].as_array().unwrap() {
        let (cipher, hash) = match (capture["enc"].as_str().unwrap(), capture["hash"].as_str().unwrap()) {
            ("3DES-CBC", "md5") => (CipherAlgorithm::TripleDes, HashAlgorithm::Md5),
            ("AES-CBC-256", "sha256") => (CipherAlgorithm::Aes256, HashAlgorithm::Sha2_256),
            other => panic!("suite {other:?}"),
        };
        let key = CipherKey::new(cipher, &octets(capture, "enc_key")).unwrap();
        let mut phase_1 = IvChain::phase_1(hash, cipher, &octets(capture, "g_xi"), &octets(capture, "g_xr"));
        let mut later: Option<(u32, IvChain)> = None;
        let mut before = None;
        for message in capture["encrypted_messages"].as_array().unwrap() {
            let id = message_id(message);
            let chain = if id == 0 {
                &mut phase_1
            } else {
                if later.as_ref().is_none_or(|(known, _)| *known != id) {
                    later = Some((id, phase_1.for_message_id(id)));
                }
                &mut later.as_mut().unwrap().1
            };
            if message["retransmission"] == true {
                *chain = before.unwrap();
            }
            assert_eq!(chain.current().as_bytes(), octets(message, "iv"));
            let mut blocks = octets(message, "ciphertext");
            let next = chain.open(&key, &mut blocks).unwrap();
            assert_eq!(blocks, octets(message, "plaintext"));
            before = Some(*chain);
            chain.commit(next);
        }
    }
}

#[test]
fn published_exchanges_of_every_modp_group_come_out() {
    let file = vectors("modp_exchanges.json");
    let mut groups = Vec::new();
    for vector in file["vectors"].as_array().unwrap() {
        let group = group(vector, "group");
        let pair = |key| DhKeyPair::from_private(group, DhPrivate::new(octets(vector, key))).unwrap();
        let (initiator, responder) = (pair("private_i"), pair("private_r"));
        assert_eq!(initiator.public(), octets(vector, "public_i"), "{group}");
        assert_eq!(responder.public(), octets(vector, "public_r"), "{group}");
        assert_eq!(initiator.agree(responder.public()).unwrap().expose(), octets(vector, "shared"), "{group}");
        assert_eq!(responder.agree(initiator.public()).unwrap().expose(), octets(vector, "shared"), "{group}");
        groups.push(group);
    }
    groups.sort();
    assert_eq!(groups, DhGroup::ALL[..8]);
}

#[test]
fn exchanges_of_rfc_5903_come_out_on_every_curve() {
    let file = vectors("ecp_rfc5903.json");
    let mut groups = Vec::new();
    for vector in file["vectors"].as_array().unwrap() {
        let group = group(vector, "group");
        let pair = |key| DhKeyPair::from_private(group, DhPrivate::new(octets(vector, key))).unwrap();
        let (initiator, responder) = (pair("private_i"), pair("private_r"));
        assert_eq!(initiator.public(), octets(vector, "public_i"), "{group}");
        assert_eq!(responder.public(), octets(vector, "public_r"), "{group}");
        assert_eq!(initiator.agree(responder.public()).unwrap().expose(), octets(vector, "shared_x"), "{group}");
        assert_eq!(responder.agree(initiator.public()).unwrap().expose(), octets(vector, "shared_x"), "{group}");
        groups.push(group);
    }
    assert_eq!(groups, DhGroup::ALL[8..]);
}

#[test]
fn every_modp_group_agrees_with_num_bigint_on_the_primes_of_the_rfcs() {
    use rand_chacha::rand_core::SeedableRng;
    let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(5);
    let file = vectors("groups.json");
    for entry in file["modp"].as_array().unwrap() {
        let group = group(entry, "id");
        let p = BigUint::from_bytes_be(&octets(entry, "p"));
        let g = BigUint::from(entry["g"].as_u64().unwrap());
        assert_eq!(p.bits(), entry["bits"].as_u64().unwrap());
        let padded = |value: BigUint| {
            let octets = value.to_bytes_be();
            [vec![0; group.public_len() - octets.len()], octets].concat()
        };
        // x is our own: an exponent that num-bigint knows as well.
        let x = [0x80, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 0xff];
        let ours = DhKeyPair::from_private(group, DhPrivate::copied(&x)).unwrap();
        assert_eq!(ours.public(), padded(g.modpow(&BigUint::from_bytes_be(&x), &p)), "{group}");
        let theirs = DhKeyPair::generate(group, group.default_exponent_bits(), &mut rng);
        let shared = BigUint::from_bytes_be(theirs.public()).modpow(&BigUint::from_bytes_be(&x), &p);
        assert_eq!(ours.agree(theirs.public()).unwrap().expose(), padded(shared), "{group}");
    }
}

/// From the strongSwan test vectors, where they come from NESSIE and NIST.
#[test]
fn des_and_aes_blocks_come_out() {
    // FIPS 197 appendix C, as the first CBC block with an IV of zeros.
    for (algorithm, key, expected) in [
        (CipherAlgorithm::Aes128, 16, "69c4e0d86a7b0430d8cdb78070b4c55a"),
        (CipherAlgorithm::Aes192, 24, "dda97ca4864cdfe06eaf70a0ec0d7191"),
        (CipherAlgorithm::Aes256, 32, "8ea2b7ca516745bfeafc49904b496089"),
    ] {
        let key: Vec<u8> = (0..key).collect();
        let mut block: Vec<u8> = (0..16).map(|n| n * 0x11).collect();
        let iv = BlockIv::from_prefix(algorithm, &[0; 16]).unwrap();
        let next = CipherKey::new(algorithm, &key).unwrap().encrypt(&iv, &mut block).unwrap();
        assert_eq!(hex::encode(&block), expected);
        assert_eq!(next.as_bytes(), block);
    }
    // FIPS 81 table C1: DES-CBC of "Now is the time for all ".
    let iv = BlockIv::from_prefix(CipherAlgorithm::Des, &hex::decode("1234567890abcdef").unwrap()).unwrap();
    let mut blocks = b"Now is the time for all ".to_vec();
    let key = CipherKey::new(CipherAlgorithm::Des, &hex::decode("0123456789abcdef").unwrap()).unwrap();
    key.encrypt(&iv, &mut blocks).unwrap();
    assert_eq!(hex::encode(blocks), "e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6");
}
