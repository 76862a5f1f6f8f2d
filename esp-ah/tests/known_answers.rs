//! Whole ESP packets from outside, and AH of a kernel: opened, and sealed again to the same octets.

use esp_ah::ah::{AhKey, ah_locate, ah_seal, ah_strip, ah_verify};
use esp_ah::mode::{self, transport_split, tunnel_leave};
use esp_ah::suite::{AesKey, IcvLen};
use esp_ah::{BuiltIn, CipherAlgorithm, IntegrityAlgorithm, Iv, OpenError, OpenJob, OpenKey, Packet, Provider};
use esp_ah::{SealJob, SealKey};
use esp_ah::{SequenceBits, Suite, open_batch, seal_batch};
use ipsec_wire::checksum::Checksum;
use ipsec_wire::ipv4::Ipv4Packet;
use serde_json::Value;

fn octets(value: &Value, field: &str) -> Vec<u8> {
    hex::decode(value[field].as_str().unwrap()).unwrap()
}

fn number(value: &Value) -> u64 {
    match value {
        Value::String(text) => u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap(),
        other => other.as_u64().unwrap(),
    }
}

/// All that may do the cryptography.
const PROVIDERS: &[&dyn Provider] = &[
    &BuiltIn,
    #[cfg(feature = "ring")]
    &esp_ah::Ring,
    #[cfg(feature = "openssl")]
    &esp_ah::OpenSsl,
];

/// Opens `packet`, checks that it seals to the same octets again, and returns payload and next header; by every
/// provider.
fn open_and_seal(
    suite: Suite,
    bits: SequenceBits,
    keymat: &[u8],
    packet: &[u8],
    sequence: u64,
) -> Result<(Vec<u8>, u8), OpenError> {
    let by = |provider| open_and_seal_by(provider, suite, bits, keymat, packet, sequence);
    let mut answers = PROVIDERS.iter().map(|&provider| by(provider));
    let first = answers.next().unwrap();
    for other in answers {
        assert_eq!(first, other);
    }
    first
}

fn open_and_seal_by(
    provider: &dyn Provider,
    suite: Suite,
    bits: SequenceBits,
    keymat: &[u8],
    packet: &[u8],
    sequence: u64,
) -> Result<(Vec<u8>, u8), OpenError> {
    let opener = OpenKey::with_provider(suite, bits, keymat, provider).unwrap();
    let mut buffer = packet.to_vec();
    let mut jobs = [OpenJob::new(&opener, Packet::whole(&mut buffer), sequence)];
    open_batch(&mut jobs);
    let [job] = jobs;
    let opened = job.finish()?;
    let (payload, next_header) = (opened.packet.octets().to_vec(), opened.next_header);

    let sealer = SealKey::with_provider(suite, bits, keymat, provider).unwrap();
    let mut iv = [0; 16];
    let iv_len = suite.cipher().lengths().iv;
    iv[..iv_len].copy_from_slice(&packet[8..8 + iv_len]);
    let mut buffer = vec![0; 24 + payload.len() + 60];
    buffer[24..24 + payload.len()].copy_from_slice(&payload);
    let inner = Packet::new(&mut buffer, 24..24 + payload.len()).unwrap();
    let spi = u32::from_be_bytes(packet[..4].try_into().unwrap());
    let mut jobs = [SealJob::new(&sealer, inner, spi, sequence, next_header).with_iv(Iv::Given(iv))];
    seal_batch(&mut jobs);
    let [job] = jobs;
    assert_eq!(hex::encode(job.finish().unwrap().octets()), hex::encode(packet), "{suite}");
    Ok((payload, next_header))
}

/// The cipher of this name, with `octets` of key and salt or nonce and `bits` of check value.
fn cipher(name: &str, octets: usize, bits: u64) -> CipherAlgorithm {
    let aes = |salt: usize| AesKey::from_bits((octets - salt) as u16 * 8).unwrap();
    let icv = match bits {
        64 => IcvLen::Octets8,
        96 => IcvLen::Octets12,
        128 => IcvLen::Octets16,
        other => panic!("{other}"),
    };
    match name {
        "AES_CBC" => CipherAlgorithm::AesCbc(aes(0)),
        "AES_CTR" => CipherAlgorithm::AesCtr(aes(4)),
        "AES_GCM" | "AES_GCM_16" => CipherAlgorithm::AesGcm(aes(4), icv),
        "AES_CCM" => CipherAlgorithm::AesCcm(aes(3), icv),
        "AES_GMAC" => CipherAlgorithm::AesGmac(aes(4)),
        "CHACHA20_POLY1305" => CipherAlgorithm::ChaCha20Poly1305,
        "3DES_CBC" => CipherAlgorithm::TripleDesCbc,
        "DES_CBC" => CipherAlgorithm::DesCbc,
        "NULL" => CipherAlgorithm::Null,
        other => panic!("{other}"),
    }
}

fn integrity(name: &str) -> IntegrityAlgorithm {
    match name {
        "HMAC_MD5_96" => IntegrityAlgorithm::HmacMd5_96,
        "HMAC_SHA1_96" => IntegrityAlgorithm::HmacSha1_96,
        "HMAC_SHA2_256_128" => IntegrityAlgorithm::HmacSha256_128,
        "HMAC_SHA2_256_96" => IntegrityAlgorithm::HmacSha256_96,
        "HMAC_SHA2_384_192" => IntegrityAlgorithm::HmacSha384_192,
        "HMAC_SHA2_512_256" => IntegrityAlgorithm::HmacSha512_256,
        "AES_XCBC_96" => IntegrityAlgorithm::AesXcbc96,
        "AES_CMAC_96" => IntegrityAlgorithm::AesCmac96,
        other => panic!("{other}"),
    }
}

/// One association of the kernel: how its sequence numbers count, and its packets with theirs, each a ping in a tunnel.
struct OfKernel<'a> {
    association: &'a Value,
    bits: SequenceBits,
    packets: Vec<(Vec<u8>, u64)>,
}

fn of_kernel<'a>(vectors: &'a Value, protocol: &'a str) -> impl Iterator<Item = OfKernel<'a>> {
    let all = vectors["associations"].as_array().unwrap().iter();
    all.filter(move |association| association["protocol"] == protocol).map(|association| {
        let bits = if association["esn"] == true { SequenceBits::Bits64 } else { SequenceBits::Bits32 };
        let packets = association["packets"].as_array().unwrap();
        let packets = packets.iter().map(|packet| (octets(packet, "packet"), packet["sequence"].as_u64().unwrap()));
        let packets: Vec<_> = packets.collect();
        assert_eq!(packets.len(), 2);
        if bits == SequenceBits::Bits64 {
            assert_eq!((packets[0].1 as u32, packets[1].1 as u32), (u32::MAX, 0));
        }
        OfKernel { association, bits, packets }
    })
}

/// The pings that the kernel sent are whole: their ends and the checksum of all they carry.
fn is_ping(inner: &[u8]) -> bool {
    let header = Ipv4Packet::new_checked(inner).unwrap();
    let ends = (header.source(), header.destination()) == ([192, 168, 1, 1].into(), [192, 168, 2, 1].into());
    let message = header.payload();
    ends && header.total_len() == inner.len()
        && header.checksum_is_valid()
        && message[0] == 8
        && Checksum::new().with(message).is_valid()
}

#[test]
fn packets_of_a_linux_kernel_open_and_seal_to_the_same_octets_under_every_suite() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/linux_kernel.json")).unwrap();
    let mut suites = std::collections::BTreeSet::new();
    for OfKernel { association, bits, packets } in of_kernel(&vectors, "esp") {
        let key = octets(association, "cipher_key");
        let icv = association["icv_bits"].as_u64().unwrap_or(128);
        let cipher = cipher(association["cipher"].as_str().unwrap(), key.len(), icv);
        let (integrity, keymat) = match association["integrity"].as_str() {
            Some(name) => (integrity(name), [key, octets(association, "integrity_key")].concat()),
            None => (IntegrityAlgorithm::None, key),
        };
        let suite = Suite::new(cipher, integrity).unwrap();
        for (packet, sequence) in packets {
            let (inner, next_header) = open_and_seal(suite, bits, &keymat, &packet[20..], sequence).unwrap();
            assert!(next_header == mode::IPV4 && is_ping(&inner), "{suite}");
            let other = sequence ^ 1 << 32;
            if bits == SequenceBits::Bits64 {
                let forged = open_and_seal(suite, bits, &keymat, &packet[20..], other);
                assert_eq!(forged.unwrap_err(), OpenError::Icv, "{suite}: the upper half of the number");
            }
        }
        suites.insert((suite.to_string(), bits == SequenceBits::Bits64));
    }
    assert_eq!(suites.len(), 2 * (9 + 6 + 3 + 1 + 8 * 2 + 6), "{suites:?}");
}

#[test]
fn ah_of_a_linux_kernel_is_accepted_and_sealed_to_the_same_octets_under_every_algorithm() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/linux_kernel.json")).unwrap();
    let mut seen = 0;
    for OfKernel { association, bits, packets } in of_kernel(&vectors, "ah") {
        let algorithm = integrity(association["integrity"].as_str().unwrap());
        let key = AhKey::new(algorithm, bits, &octets(association, "integrity_key")).unwrap();
        for (original, sequence) in packets {
            let mut buffer = [&[0; 64][..], &original].concat();
            let mut packet = Packet::new(&mut buffer, 64..64 + original.len()).unwrap();
            let place = ah_locate(packet.octets()).unwrap();
            ah_verify(&key, &mut packet, &place, sequence).unwrap();
            ah_strip(&mut packet, &place).unwrap();
            assert!(place.next_header == mode::IPV4 && is_ping(&packet.octets()[20..]), "{algorithm}");
            ah_seal(&key, &mut packet, place.spi, sequence).unwrap();
            assert_eq!(hex::encode(packet.octets()), hex::encode(&original), "{algorithm}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2 * 2 * 8);
}

#[test]
fn packets_of_strongswan_open_and_seal_to_the_same_octets() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/esp_strongswan.json")).unwrap();
    let mut suites = std::collections::BTreeSet::new();
    for vector in vectors["packets"].as_array().unwrap() {
        let key = octets(vector, "cipher_key");
        let cipher = cipher(vector["cipher"].as_str().unwrap(), key.len(), 128);
        let integrity = vector["integrity"].as_str().map_or(IntegrityAlgorithm::None, integrity);
        let suite = Suite::new(cipher, integrity).unwrap();
        let keymat = [key, octets(vector, "integrity_key")].concat();
        let packet = octets(vector, "packet");
        let sequence = u32::from_be_bytes(packet[4..8].try_into().unwrap()).into();
        let (mut payload, next_header) =
            open_and_seal(suite, SequenceBits::Bits32, &keymat, &packet, sequence).unwrap();
        assert!(next_header == mode::IPV4 || next_header == 17 || next_header == 1, "{next_header}");
        if next_header == mode::IPV4 {
            let inner = tunnel_leave(&mut Packet::whole(&mut payload), next_header, None).unwrap();
            assert_eq!(inner.total_len, payload.len());
        }
        suites.insert(suite.to_string());
    }
    assert_eq!(suites.len(), 11, "{suites:?}");
}

#[test]
fn aes_cbc_packets_of_rfc_3602_open_and_seal_to_the_same_octets() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/esp_aes_cbc_rfc3602.json")).unwrap();
    let suite = Suite::dangerously_unauthenticated(CipherAlgorithm::AesCbc(AesKey::Bits128)).unwrap();
    for vector in vectors["vectors"].as_array().unwrap() {
        let packet = octets(vector, "packet");
        let split = transport_split(&packet).unwrap();
        assert_eq!(split.next_header, 50);
        let esp = &packet[split.header_len..];
        let (payload, next_header) =
            open_and_seal(suite, SequenceBits::Bits32, &octets(vector, "key"), esp, number(&vector["seq"])).unwrap();
        assert_eq!(u64::from(next_header), number(&vector["next_header"]));
        assert_eq!(octets(vector, "esp_plaintext")[..payload.len()], payload);
    }
}

#[test]
fn transport_mode_packets_of_rfc_3602_come_out_whole() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/esp_aes_cbc_rfc3602.json")).unwrap();
    let suite = Suite::dangerously_unauthenticated(CipherAlgorithm::AesCbc(AesKey::Bits128)).unwrap();
    let mut counted = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        if vector["mode"] != "transport" {
            continue;
        }
        counted += 1;
        let original = octets(vector, "original_packet");
        let split = transport_split(&original).unwrap();
        let gap = suite.headroom();
        let mut buffer = [&vec![0; gap][..], &original, &vec![0; suite.tailroom()]].concat();
        let mut packet = Packet::new(&mut buffer, gap..gap + original.len()).unwrap();
        split.part(&mut packet, gap).unwrap();
        let key = SealKey::new(suite, SequenceBits::Bits32, &octets(vector, "key")).unwrap();
        let iv = Iv::Given(octets(vector, "iv").try_into().unwrap());
        let spi = number(&vector["spi"]) as u32;
        let mut jobs = [SealJob::new(&key, packet, spi, number(&vector["seq"]), split.next_header).with_iv(iv)];
        seal_batch(&mut jobs);
        let [job] = jobs;
        let mut packet = job.finish().unwrap();
        split.join(&mut packet, 50).unwrap();
        assert_eq!(hex::encode(packet.octets()), vector["packet"].as_str().unwrap());
    }
    assert_eq!(counted, 2);
}

#[test]
fn the_chacha20_poly1305_packet_of_rfc_7634_opens_and_seals_to_the_same_octets() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/esp_chacha20poly1305_rfc7634.json")).unwrap();
    let vector = &vectors["vectors"][0];
    let suite = Suite::new(CipherAlgorithm::ChaCha20Poly1305, IntegrityAlgorithm::None).unwrap();
    let packet = octets(vector, "packet");
    let opened = open_and_seal(suite, SequenceBits::Bits32, &octets(vector, "keymat"), &packet[20..], 5).unwrap();
    assert_eq!(opened, (octets(vector, "original_packet"), 4));
}

#[test]
fn aes_gcm_packets_of_mcgrew_open_and_seal_to_the_same_octets() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/esp_aes_gcm_mcgrew.json")).unwrap();
    let mut counted = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let aad = octets(vector, "aad");
        let bits = match aad.len() {
            8 => SequenceBits::Bits32,
            12 => SequenceBits::Bits64,
            _ => continue, // no ESP packet has such associated data
        };
        let text_len = octets(vector, "plaintext").len();
        if !text_len.is_multiple_of(4) {
            continue;
        }
        let key = octets(vector, "key");
        let aes = AesKey::from_bits(key.len() as u16 * 8).unwrap();
        let suite = Suite::new(CipherAlgorithm::AesGcm(aes, IcvLen::Octets16), IntegrityAlgorithm::None).unwrap();
        let keymat = [key, octets(vector, "salt")].concat();
        let sequence = aad[4..].iter().fold(0, |number, &octet| number << 8 | u64::from(octet));
        let packet = [
            &aad[..4],
            &aad[aad.len() - 4..],
            &octets(vector, "iv"),
            &octets(vector, "ciphertext"),
            &octets(vector, "icv"),
        ]
        .concat();
        // The first sequence numbers of ours are never zero; a peer's may be, as in the first of these.
        let opener = OpenKey::new(suite, bits, &keymat).unwrap();
        let mut buffer = packet.clone();
        let mut jobs = [OpenJob::new(&opener, Packet::whole(&mut buffer), sequence)];
        open_batch(&mut jobs);
        let [job] = jobs;
        match job.finish() {
            Ok(opened) => {
                assert!(octets(vector, "plaintext").starts_with(opened.packet.octets()));
                open_and_seal(suite, bits, &keymat, &packet, sequence).unwrap();
            }
            // The ICV is right; the text of some is no padded payload.
            Err(error) => assert!(matches!(error, OpenError::PadLength | OpenError::PadOctets), "{error}"),
        }
        counted += 1;
    }
    assert!(counted >= 4, "{counted}");
}

#[test]
fn aes_128_cbc_sha1_packets_of_a_capture_open_and_seal_to_the_same_octets() {
    let capture: Value = serde_json::from_str(include_str!("vectors/capture_tunnel_aes128cbc_sha1_keys.json")).unwrap();
    let suite = Suite::new(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacSha1_96).unwrap();
    for packet in capture["packets"].as_array().unwrap() {
        let keys = capture["keys"].as_array().unwrap().iter().find(|key| key["spi"] == packet["spi"]).unwrap();
        let keymat = [octets(keys, "enc_key"), octets(keys, "auth_key")].concat();
        let sealer = SealKey::new(suite, SequenceBits::Bits32, &keymat).unwrap();
        let payload = octets(packet, "payload");
        let mut buffer = [&[0; 24][..], &payload, &[0; 40]].concat();
        let inner = Packet::new(&mut buffer, 24..24 + payload.len()).unwrap();
        let iv = Iv::Given(octets(packet, "iv").try_into().unwrap());
        let (spi, sequence) = (number(&packet["spi"]) as u32, number(&packet["seq"]));
        let mut jobs = [SealJob::new(&sealer, inner, spi, sequence, 4).with_iv(iv)];
        seal_batch(&mut jobs);
        let [job] = jobs;
        let sealed = job.finish().unwrap().octets().to_vec();
        assert_eq!(sealed[sealed.len() - 12..], octets(packet, "icv"), "the ICV covers every octet before it");
        let opened = open_and_seal(suite, SequenceBits::Bits32, &keymat, &sealed, sequence).unwrap();
        assert_eq!(opened, (payload, 4));
    }
}
