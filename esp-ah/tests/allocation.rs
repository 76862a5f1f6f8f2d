//! Nothing is allocated for a packet, sealed or opened, ESP, AH or IPComp.

use esp_ah::ah::{AhKey, ah_locate, ah_seal, ah_strip, ah_verify};
use esp_ah::ipcomp::{Compressed, Deflater, Inflater};
use esp_ah::mode::{Inner, OuterHeader, UdpPorts, tunnel_leave, udp_enter, udp_leave};
use esp_ah::{BuiltIn, IntegrityAlgorithm, OpenJob, OpenKey, Packet, Provider, SealJob, SealKey, SequenceBits, Suite};
use esp_ah::{open_batch, seal_batch};

const BATCH: usize = 32;

#[test]
fn no_suite_allocates_for_a_packet_or_a_batch() {
    Suite::all().for_each(|suite| allocates_nothing(suite, &BuiltIn));
}

#[cfg(feature = "ring")]
#[test]
fn no_suite_of_ring_allocates_for_a_packet_or_a_batch() {
    Suite::all().for_each(|suite| allocates_nothing(suite, &esp_ah::Ring));
}

#[cfg(feature = "openssl")]
#[test]
fn no_suite_of_openssl_allocates_for_a_packet_or_a_batch() {
    Suite::all().for_each(|suite| allocates_nothing(suite, &esp_ah::OpenSsl));
}

fn allocates_nothing(suite: Suite, provider: &dyn Provider) {
    let keymat: Vec<u8> = (0..suite.keymat_len()).map(|n| (n * 3 + 1) as u8).collect();
    let sealer = SealKey::with_provider(suite, SequenceBits::Bits64, &keymat, provider).unwrap();
    let opener = OpenKey::with_provider(suite, SequenceBits::Bits64, &keymat, provider).unwrap();
    let mut buffers = [[0x45u8; 256]; BATCH];
    let info = allocation_counter::measure(|| {
        let mut sequence = 0;
        let mut jobs = buffers.each_mut().map(|buffer| {
            sequence += 1;
            let packet = Packet::new(buffer, 64..64 + sequence as usize * 4).unwrap();
            Some(SealJob::new(&sealer, packet, 256, sequence, 4).with_filler(7))
        });
        // The first one alone, as a batch of one is.
        seal_batch(&mut jobs[..1]);
        seal_batch(&mut jobs);
        let mut sequence = 0;
        let mut jobs = jobs.map(|job| {
            sequence += 1;
            Some(OpenJob::new(&opener, job.unwrap().finish().unwrap(), sequence))
        });
        open_batch(&mut jobs[..1]);
        open_batch(&mut jobs);
        assert!(jobs.iter().flatten().all(|job| job.outcome() == Ok(4)));
    });
    assert_eq!(info.count_total, 0, "{suite}");
}

#[test]
fn headers_and_ah_allocate_nothing() {
    let outer = OuterHeader::new("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()).unwrap();
    let inner = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 59, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    for algorithm in IntegrityAlgorithm::ALL.into_iter().filter(|&algorithm| algorithm != IntegrityAlgorithm::None) {
        let key = AhKey::new(algorithm, SequenceBits::Bits64, &vec![7; algorithm.key_len()]).unwrap();
        let mut buffer = [0; 200];
        buffer[160..180].copy_from_slice(&inner);
        let info = allocation_counter::measure(|| {
            let mut packet = Packet::new(&mut buffer, 160..180).unwrap();
            let read = Inner::of(packet.octets()).unwrap();
            outer.prepend(&mut packet, 4, &read, 1).unwrap();
            ah_seal(&key, &mut packet, 256, 1).unwrap();
            let place = ah_locate(packet.octets()).unwrap();
            ah_verify(&key, &mut packet, &place, 1).unwrap();
            ah_strip(&mut packet, &place).unwrap();
            packet.trim_front(20).unwrap();
            tunnel_leave(&mut packet, 4, Some(0)).unwrap();
            udp_enter(&mut packet, UdpPorts::NAT_TRAVERSAL, (outer.source, outer.destination)).unwrap();
            udp_leave(&mut packet).unwrap();
            assert_eq!(packet.octets(), inner);
        });
        assert_eq!(info.count_total, 0, "{algorithm}");
    }
}

#[test]
fn compression_allocates_nothing_for_a_packet() {
    let (mut deflater, mut inflater) = (Deflater::new(), Inflater::new());
    let mut buffer = [7; 1000];
    let info = allocation_counter::measure(|| {
        let mut packet = Packet::whole(&mut buffer);
        assert_eq!(deflater.compress(&mut packet, 4, 2), Compressed::Yes);
        assert_eq!(inflater.expand(&mut packet, 2), Ok(4));
        assert_eq!(packet.len(), 1000);
    });
    assert_eq!(info.count_total, 0);
}
