//! AH packets from outside, both ways; forgeries, mutable fields, headers that lie.

use esp_ah::ah::{AhError, AhKey, ah_locate, ah_seal, ah_strip, ah_verify};
use esp_ah::mode::{Inner, OuterHeader};
use esp_ah::{IntegrityAlgorithm, Packet, SequenceBits};
use ipsec_wire::ipv4::Ipv4Packet;
use serde_json::Value;

struct Vector {
    name: String,
    key: AhKey,
    spi: u32,
    sequence: u64,
    tunnel: bool,
    original: Vec<u8>,
    packet: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    let file: Value = serde_json::from_str(include_str!("vectors/ah_scapy.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap().iter().map(|vector| {
        let octets = |field: &str| hex::decode(vector[field].as_str().unwrap()).unwrap();
        let algorithm = match vector["algorithm"].as_str().unwrap() {
            "HMAC-MD5-96" => IntegrityAlgorithm::HmacMd5_96,
            "HMAC-SHA1-96" => IntegrityAlgorithm::HmacSha1_96,
            "SHA2-256-128" => IntegrityAlgorithm::HmacSha256_128,
            "SHA2-384-192" => IntegrityAlgorithm::HmacSha384_192,
            "SHA2-512-256" => IntegrityAlgorithm::HmacSha512_256,
            "AES-CMAC-96" => IntegrityAlgorithm::AesCmac96,
            other => panic!("{other}"),
        };
        let bits = if vector["esn"] == true { SequenceBits::Bits64 } else { SequenceBits::Bits32 };
        Vector {
            name: format!("{}, {algorithm}", vector["name"].as_str().unwrap()),
            key: AhKey::new(algorithm, bits, &octets("key")).unwrap(),
            spi: vector["spi"].as_u64().unwrap() as u32,
            sequence: vector["sequence"].as_u64().unwrap(),
            tunnel: vector["tunnel"] == true,
            original: octets("original"),
            packet: octets("packet"),
        }
    });
    vectors.collect()
}

fn open(key: &AhKey, packet: &[u8], sequence: u64) -> Result<(Vec<u8>, u8), AhError> {
    let mut buffer = packet.to_vec();
    let mut packet = Packet::whole(&mut buffer);
    let place = ah_locate(packet.octets())?;
    ah_verify(key, &mut packet, &place, sequence)?;
    ah_strip(&mut packet, &place)?;
    Ok((packet.octets().to_vec(), place.next_header))
}

fn seal(key: &AhKey, packet: &[u8], spi: u32, sequence: u64) -> Result<Vec<u8>, AhError> {
    let mut buffer = [&[0; 64][..], packet].concat();
    let mut packet = Packet::new(&mut buffer, 64..64 + packet.len()).unwrap();
    ah_seal(key, &mut packet, spi, sequence)?;
    Ok(packet.octets().to_vec())
}

fn with_checksum(mut packet: Vec<u8>) -> Vec<u8> {
    if packet[0] >> 4 == 4 {
        Ipv4Packet::new_checked(&mut packet[..]).unwrap().fill_checksum();
    }
    packet
}

#[test]
fn packets_made_by_scapy_are_accepted_and_come_out_as_they_went_in() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 21);
    for vector in vectors {
        let place = ah_locate(&vector.packet).unwrap();
        assert_eq!((place.spi, u64::from(place.sequence)), (vector.spi, vector.sequence & 0xffff_ffff));
        let (opened, next_header) = open(&vector.key, &vector.packet, vector.sequence).expect(&vector.name);
        if vector.tunnel {
            assert!(next_header == 4 || next_header == 41);
            assert!(opened.ends_with(&vector.original), "{}", vector.name);
        } else {
            assert_eq!(opened, vector.original, "{}", vector.name);
        }
    }
}

#[test]
fn our_packets_are_those_of_scapy() {
    for vector in vectors().into_iter().filter(|vector| !vector.tunnel) {
        let sealed = seal(&vector.key, &vector.original, vector.spi, vector.sequence).unwrap();
        assert_eq!(hex::encode(sealed), hex::encode(&vector.packet), "{}", vector.name);
    }
}

#[test]
fn a_tunnel_is_an_outer_header_and_then_ah() {
    for vector in vectors().into_iter().filter(|vector| vector.tunnel) {
        let inner = Inner::of(&vector.original).unwrap();
        let mut buffer = [&[0; 128][..], &vector.original].concat();
        let mut packet = Packet::new(&mut buffer, 128..128 + vector.original.len()).unwrap();
        let outer = OuterHeader::new("192.0.2.7".parse().unwrap(), "192.0.2.8".parse().unwrap()).unwrap();
        outer.prepend(&mut packet, inner.next_header, &inner, 9).unwrap();
        ah_seal(&vector.key, &mut packet, vector.spi, vector.sequence).unwrap();
        let sealed = packet.octets().to_vec();
        assert!(Ipv4Packet::new_checked(&sealed).unwrap().checksum_is_valid());
        let (opened, next_header) = open(&vector.key, &sealed, vector.sequence).unwrap();
        assert_eq!((next_header, &opened[20..]), (inner.next_header, &vector.original[..]));
    }
}

#[test]
fn routers_may_change_mutable_fields_and_nothing_else() {
    for vector in vectors() {
        let place = ah_locate(&vector.packet).unwrap();
        let v6 = vector.packet[0] >> 4 == 6;
        for bit in 0..vector.packet.len() * 8 {
            let at = bit / 8;
            let mut changed = vector.packet.clone();
            changed[at] ^= 1 << (bit % 8);
            let lawful = if v6 {
                at == 1 || at == 2 || at == 3 || at == 7 || (at == 0 && bit % 8 < 4)
            } else {
                // Fragment offset and more-fragments make a fragment, which is refused.
                at == 1 || (at == 6 && bit % 8 >= 6) || at == 8 || at == 10 || at == 11
            };
            let verdict = open(&vector.key, &changed, vector.sequence);
            // Options and extension headers between are the next test's.
            let judged_here = at < if v6 { 40 } else { 20 } || at >= place.offset;
            if judged_here {
                assert_eq!(verdict.is_ok(), lawful, "{}: octet {at}", vector.name);
            }
        }
    }
}

#[test]
fn mutable_options_may_change_and_immutable_ones_may_not() {
    let find = |name: &str| vectors().into_iter().find(|vector| vector.name.starts_with(name)).unwrap();
    let vector = find("IPv4 with router alert, record route and end");
    let mut changed = vector.packet.clone();
    changed[27..31].copy_from_slice(&[9, 9, 9, 9]); // the recorded route
    assert!(open(&vector.key, &changed, 7).is_ok());
    changed[23] ^= 1; // the router alert's value
    assert_eq!(open(&vector.key, &changed, 7), Err(AhError::Icv));

    let vector = find("IPv6 with hop-by-hop options");
    let mut changed = vector.packet.clone();
    let at = changed.windows(4).position(|octets| octets == b"abcd").unwrap();
    changed[at..at + 4].copy_from_slice(b"wxyz");
    assert!(open(&vector.key, &changed, 7).is_ok());
    changed[at - 1] ^= 8; // the option's length is covered, and now lies
    assert!(open(&vector.key, &changed, 7).is_err());
}

#[test]
fn a_source_route_is_sealed_as_the_receiver_will_see_it() {
    let vector = vectors().swap_remove(0);
    // Loose source route with two hops to go.
    let mut packet = hex::decode("4800002c000000004006000001020304").unwrap();
    packet.extend([5, 6, 7, 8]);
    packet.extend([131, 11, 4, 10, 0, 0, 1, 10, 0, 0, 2, 0]);
    packet.extend([1; 12]);
    let packet = with_checksum(packet);
    let sealed = seal(&vector.key, &packet, 256, 1).unwrap();
    assert_eq!(sealed[16..20], [5, 6, 7, 8], "the true header is sent");
    let mut arrived = sealed;
    arrived[16..20].copy_from_slice(&[10, 0, 0, 2]);
    arrived[22] = 12;
    arrived[23..31].copy_from_slice(&[5, 6, 7, 8, 10, 0, 0, 1]);
    assert!(open(&vector.key, &arrived, 1).is_ok());
    arrived[16] ^= 1;
    assert_eq!(open(&vector.key, &arrived, 1), Err(AhError::Icv));
}

#[test]
fn verification_leaves_the_packet_as_it_came() {
    for vector in vectors() {
        for flip in [0, 1] {
            let mut buffer = vector.packet.clone();
            let last = buffer.len() - 1;
            buffer[last] ^= flip;
            let before = buffer.clone();
            let place = ah_locate(&buffer).unwrap();
            let verdict = ah_verify(&vector.key, &mut Packet::whole(&mut buffer), &place, vector.sequence);
            assert_eq!(verdict.is_ok(), flip == 0);
            assert_eq!(buffer, before);
        }
    }
}

#[test]
fn payload_lengths_that_are_not_the_algorithms_are_refused() {
    for vector in vectors() {
        let place = ah_locate(&vector.packet).unwrap();
        for words in 0..=255 {
            let mut changed = vector.packet.clone();
            changed[place.offset + 1] = words;
            let same = changed == vector.packet;
            assert_eq!(open(&vector.key, &changed, vector.sequence).is_ok(), same, "{}, {words}", vector.name);
        }
    }
}

#[test]
fn truncations_and_fragments_are_refused() {
    for vector in vectors() {
        for len in 0..vector.packet.len() {
            assert!(open(&vector.key, &vector.packet[..len], vector.sequence).is_err());
        }
        if vector.original[0] >> 4 == 4 {
            let mut fragment = vector.original.clone();
            fragment[6] |= 0x20;
            assert_eq!(seal(&vector.key, &fragment, 256, 1), Err(AhError::Fragment));
            if vector.packet[0] >> 4 == 4 {
                let mut fragment = vector.packet.clone();
                fragment[6] |= 0x20;
                assert_eq!(open(&vector.key, &fragment, 1), Err(AhError::Fragment));
            }
        }
    }
}

#[test]
fn ipv4_options_of_length_zero_one_or_past_the_end_are_typed_errors() {
    let vector = vectors().swap_remove(0);
    for option in [[7, 0, 0, 0], [7, 1, 0, 0], [7, 5, 0, 0], [1, 1, 1, 131]] {
        let mut packet = hex::decode("46000020000000004006000001020304").unwrap();
        packet.extend([5, 6, 7, 8]);
        packet.extend(option);
        packet.extend([1; 8]);
        let packet = with_checksum(packet);
        assert!(matches!(seal(&vector.key, &packet, 256, 1), Err(AhError::Wire(_))), "{option:?}");
    }
}

#[test]
fn a_packet_that_cannot_be_sealed_is_unchanged() {
    let vector = vectors().swap_remove(0);
    let need = vector.key.header_len(false);
    let mut buffer = [&vec![0xee; need - 1][..], &vector.original].concat();
    let before = buffer.clone();
    let mut packet = Packet::new(&mut buffer, need - 1..before.len()).unwrap();
    assert!(matches!(ah_seal(&vector.key, &mut packet, 256, 1), Err(AhError::BufferTooSmall(_))));
    assert_eq!(packet.octets(), vector.original);
    assert_eq!(ah_seal(&vector.key, &mut packet, 256, 0), Err(AhError::Sequence(0)));
    assert_eq!(ah_seal(&vector.key, &mut packet, 256, 1 << 32), Err(AhError::Sequence(1 << 32)));
    assert_eq!(buffer, before);
}

fn key() -> AhKey {
    AhKey::new(IntegrityAlgorithm::HmacSha256_128, SequenceBits::Bits32, &[3; 32]).unwrap()
}

/// An IPv6 packet of UDP from ..1 to ..2, with these extension headers; the first of them is of kind `first`.
fn ipv6(first: u8, extensions: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(((extensions.len() + 12) as u16).to_be_bytes());
    packet.extend([first, 64]);
    packet.extend([&[0x20; 15][..], &[1], &[0x20; 15], &[2]].concat());
    packet.extend(extensions);
    packet.extend([0, 9, 0, 9, 0, 12, 0, 0, 1, 2, 3, 4]);
    packet
}

/// The octets of a host of the network of [`ipv6`].
fn host(last: u8) -> [u8; 16] {
    let mut octets = [0x20; 16];
    octets[15] = last;
    octets
}

#[test]
fn a_routing_header_of_ipv6_is_sealed_as_the_receiver_will_see_it() {
    // Type 0, two segments left of three: one was visited.
    let route = |left: u8, hops: [u8; 3]| {
        let mut header = vec![17, 6, 0, left, 0, 0, 0, 0];
        header.extend(hops.map(host).concat());
        header
    };
    let packet = ipv6(43, &route(2, [9, 7, 8]));
    let sealed = seal(&key(), &packet, 256, 1).unwrap();
    assert_eq!(sealed[24..40], host(2), "the true header is sent");
    let mut arrived = sealed.clone();
    arrived[24..40].copy_from_slice(&host(8));
    arrived[40..96].copy_from_slice(&[&[51][..], &route(0, [9, 2, 7])[1..]].concat());
    let (opened, next_header) = open(&key(), &arrived, 1).unwrap();
    assert_eq!((next_header, &opened[96..]), (17, &packet[96..]));
    for at in [39, 47, 48 + 15, 64 + 15, 80 + 15] {
        let mut changed = arrived.clone();
        changed[at] ^= 1;
        assert_eq!(open(&key(), &changed, 1), Err(AhError::Icv), "octet {at}");
    }
    // Routes that nobody can follow to their end.
    for (left, kind) in [(4, 0), (2, 3), (255, 0)] {
        let mut packet = packet.clone();
        (packet[43], packet[42]) = (left, kind);
        assert_eq!(seal(&key(), &packet, 256, 1), Err(AhError::Headers), "{left} left, type {kind}");
    }
    let mut done = packet.clone();
    (done[43], done[42]) = (0, 3);
    assert!(seal(&key(), &done, 256, 1).is_ok(), "of any type, once it was followed");
}

#[test]
fn ah_stands_behind_the_headers_for_routers_and_before_those_for_the_end() {
    let options = |next: u8| [next, 0, 0x3e, 4, b'm', b'u', b't', b'a']; // a mutable option
    let packet = ipv6(0, &[options(60), options(43), [60, 0, 4, 0, 0, 0, 0, 0], options(17)].concat());
    let sealed = seal(&key(), &packet, 256, 1).unwrap();
    let place = ah_locate(&sealed).unwrap();
    assert_eq!((place.offset, place.next_header), (64, 60), "before the second destination options");
    assert_eq!(open(&key(), &sealed, 1).unwrap().0, packet);
    // What is mutable before AH may change; behind AH nothing may.
    for (at, lawful) in [(44, true), (43, false), (52, true), (51, false), (64 + 32 + 4, false)] {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(open(&key(), &changed, 1).is_ok(), lawful, "octet {at}");
    }
}

#[test]
fn every_option_of_ipv4_is_mutable_or_not_as_rfc_4302_appendix_a1_says() {
    let immutable = [130, 133, 134, 148, 149];
    for kind in (2..=255u8).filter(|kind| ![131, 137].contains(kind)) {
        let mut packet = hex::decode("47000020000000004006000001020304").unwrap();
        packet.extend([5, 6, 7, 8]);
        packet.extend([kind, 6, 1, 2, 3, 4, 1, 0]);
        packet.extend([9; 4]);
        let mut sealed = seal(&key(), &with_checksum(packet), 256, 1).unwrap();
        sealed[23] ^= 0x55;
        assert_eq!(open(&key(), &sealed, 1).is_ok(), !immutable.contains(&kind), "option {kind}");
    }
}

#[test]
fn a_strict_source_route_and_one_already_followed_are_sealed_as_they_will_be_seen() {
    let routed = |kind: u8, pointer: u8| {
        let mut packet = hex::decode("48000024000000004006000001020304").unwrap();
        packet.extend([5, 6, 7, 8]);
        packet.extend([kind, 11, pointer, 10, 0, 0, 1, 10, 0, 0, 2, 0]);
        packet.extend([9; 4]);
        with_checksum(packet)
    };
    for kind in [131, 137] {
        let sealed = seal(&key(), &routed(kind, 8), 256, 1).unwrap();
        let mut arrived = sealed.clone();
        arrived[16..20].copy_from_slice(&[10, 0, 0, 2]);
        arrived[22] = 12;
        assert!(open(&key(), &arrived, 1).is_ok());
        // The route is followed: the destination is what it is.
        let sealed = seal(&key(), &routed(kind, 12), 256, 1).unwrap();
        assert!(open(&key(), &sealed, 1).is_ok());
        let mut moved = sealed;
        moved[16] ^= 1;
        assert_eq!(open(&key(), &moved, 1), Err(AhError::Icv));
    }
}

#[test]
fn fragments_of_ipv6_are_refused_both_ways() {
    let packet = ipv6(44, &[17, 0, 0, 1, 0, 0, 0, 7]);
    assert_eq!(seal(&key(), &packet, 256, 1), Err(AhError::Fragment));
    let mut sealed = seal(&key(), &ipv6(60, &[17, 0, 1, 4, 0, 0, 0, 0]), 256, 1).unwrap();
    sealed[6] = 44;
    assert_eq!(ah_locate(&sealed).err(), Some(AhError::Fragment));
}

#[test]
fn headers_beyond_what_is_worked_out_are_refused_and_the_packet_is_unchanged() {
    let long = |units: u8| {
        let mut header = vec![17, units, 1, 0];
        let filler = usize::from(units) * 8 + 8 - 4;
        header[3] = (filler.min(255)) as u8;
        header.resize(4 + filler, 0);
        header
    };
    // 40 octets and 248, which is 288; and twice that: more than 512.
    let first = long(30);
    assert!(seal(&key(), &ipv6(0, &first), 256, 1).is_ok());
    let mut two = first.clone();
    two[0] = 43;
    let mut route = vec![17, 60, 0, 0, 0, 0, 0, 0];
    route.resize(8 * 61, 0);
    let packet = ipv6(0, &[two, route].concat());
    let mut buffer = [&[0xee; 64][..], &packet].concat();
    let before = buffer.clone();
    let mut sealed = Packet::new(&mut buffer, 64..64 + packet.len()).unwrap();
    assert_eq!(ah_seal(&key(), &mut sealed, 256, 1), Err(AhError::Headers));
    assert_eq!(sealed.octets(), packet);
    assert_eq!(buffer, before);
}

#[test]
fn ah_is_not_put_behind_more_extension_headers_than_a_receiver_reads() {
    for (headers, fits) in [(13, true), (14, false)] {
        // Routing headers without segments, the last one before UDP.
        let mut clear = vec![0x60, 0, 0, 0, 0, 8 * headers + 8, 43, 64];
        clear.extend([0x20; 32]);
        for left in (0..headers).rev() {
            clear.extend([if left == 0 { 17 } else { 43 }, 0, 4, 0, 0, 0, 0, 0]);
        }
        clear.extend([0, 7, 0, 7, 0, 8, 0, 0]);
        let mut buffer = [&[0; 64][..], &clear, &[0; 64]].concat();
        let mut packet = Packet::new(&mut buffer, 64..64 + clear.len()).unwrap();
        let sealed = ah_seal(&key(), &mut packet, 0x1234, 5);
        if fits {
            sealed.unwrap();
            let place = ah_locate(packet.octets()).unwrap();
            ah_verify(&key(), &mut packet, &place, 5).unwrap();
        } else {
            assert_eq!(sealed, Err(AhError::Headers));
            assert_eq!(packet.octets(), clear);
        }
    }
}
