//! Packets of a Linux kernel, as they were recorded, through gateways with the same manual keys.

use core::net::{IpAddr, Ipv4Addr};
use drive::{Datagram, Instant, Path, SecretBytes, Verdict};
use esp_ah::suite::AesKey;
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, Suite};
use gateway::{Action, Config, Gateway, Manual, ManualSa, Outcome};
use ikev1_core::TrafficSelector;
use ikev1_core::proposal::Mode;
use ipsec_wire::checksum::Checksum;
use ipsec_wire::ipv4::Ipv4Packet;

/// Returns the IPv4 packets of a capture of Ethernet, in order.
fn packets(capture: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &capture[24..];
    let mut packets = Vec::new();
    while let Some((header, after)) = rest.split_at_checked(16) {
        let length = u32::from_le_bytes(header[8..12].try_into().unwrap()) as usize;
        let (frame, after) = after.split_at(length);
        rest = after;
        if let Ok(packet) = Ipv4Packet::new_checked(&frame[14..]) {
            packets.push(frame[14..14 + packet.total_len()].to_vec());
        }
    }
    packets
}

fn ends(packet: &[u8]) -> (IpAddr, IpAddr) {
    let view = Ipv4Packet::new_checked(packet).unwrap();
    (view.source().into(), view.destination().into())
}

fn counting(from: u8, octets: u8) -> Vec<u8> {
    (from..from + octets).collect()
}

fn esp(cipher: CipherAlgorithm, integrity: IntegrityAlgorithm, spi: u32, keymat: &[Vec<u8>]) -> ManualSa {
    ManualSa::Esp { spi, suite: Suite::new(cipher, integrity).unwrap(), keymat: SecretBytes::new(keymat.concat()) }
}

fn tunnel(spi: u32) -> Vec<ManualSa> {
    let keys = [counting(0, 16), counting(1, 20)];
    vec![esp(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacSha1_96, spi, &keys)]
}

/// The CPIs of that capture end as its SPIs do.
fn compressed(spi: u32) -> Vec<ManualSa> {
    let cpi = 0x4000 | u16::try_from(spi & 0xff).unwrap();
    let keys = [counting(0, 24), counting(0, 16)];
    let esp = esp(CipherAlgorithm::TripleDesCbc, IntegrityAlgorithm::HmacMd5_96, spi, &keys);
    vec![ManualSa::Ipcomp { cpi }, esp]
}

fn ah(spi: u32) -> Vec<ManualSa> {
    vec![ManualSa::Ah { spi, integrity: IntegrityAlgorithm::HmacSha1_96, key: SecretBytes::new(counting(1, 20)) }]
}

/// A gateway in the place of the kernel that a packet went to, or came from.
fn gateway(mode: Mode, (local, remote): (IpAddr, IpAddr), sends: Vec<ManualSa>, receives: Vec<ManualSa>) -> Gateway {
    let mut pair = Manual::new("kernel", mode, local, remote).dangerously_allow_weak_algorithms();
    if mode == Mode::Tunnel {
        let any = TrafficSelector::subnet(Ipv4Addr::UNSPECIFIED.into(), 0).unwrap();
        pair = pair.traffic(any, any);
    }
    let pair = sends.into_iter().fold(pair, Manual::sends);
    let pair = receives.into_iter().fold(pair, Manual::receives);
    let plan = Config::new(ikev1_core::Config::new()).manual(pair).build().unwrap();
    Gateway::new(plan, Box::new(simnet::Entropy::new(1)))
}

/// Opens every packet of a capture at its receiver and returns what came out.
fn opened(capture: &[u8], mode: Mode, bundle: Bundle) -> Vec<Vec<u8>> {
    let captured = packets(capture);
    assert!(captured.len() >= 2);
    let mut gateways: Vec<(u32, Gateway)> = Vec::new();
    let mut clear = Vec::new();
    for packet in captured {
        let (source, destination) = ends(&packet);
        let protocol = packet[9];
        let spi_at = if protocol == 51 { 24 } else { 20 };
        let spi = u32::from_be_bytes(packet[spi_at..spi_at + 4].try_into().unwrap());
        if !gateways.iter().any(|(known, _)| *known == spi) {
            gateways.push((spi, gateway(mode, (destination, source), bundle(0xffff), bundle(spi))));
        }
        let (_, gateway) = gateways.iter_mut().find(|(known, _)| *known == spi).unwrap();
        let payload = if protocol == 51 { &packet[..] } else { &packet[20..] };
        let path = Path::ip(protocol, destination, source);
        let verdict = gateway.handle_datagram(Instant::ZERO, Datagram { path, payload });
        assert_eq!(verdict, Verdict::Accepted, "packet {}", clear.len());
        let Some(Action::Deliver(packet, _)) = gateway.poll_action() else { panic!("nothing was delivered") };
        clear.push(packet.to_vec());
    }
    clear
}

fn is_whole_ping(packet: &[u8]) -> bool {
    let view = Ipv4Packet::new_checked(packet).unwrap();
    view.total_len() == packet.len()
        && view.checksum_is_valid()
        && view.protocol() == 1
        && matches!(view.payload()[0], 0 | 8)
        && Checksum::new().with(view.payload()).is_valid()
}

/// What a capture's packets went through, by the SPI they carry.
type Bundle = fn(u32) -> Vec<ManualSa>;

#[test]
fn every_packet_that_a_kernel_sealed_is_opened() {
    let captures: [(&[u8], Mode, Bundle); 3] = [
        (include_bytes!("vectors/linux-esp-tunnel-aescbc-sha1.pcap"), Mode::Tunnel, tunnel),
        (include_bytes!("vectors/linux-esp-transport-3des-md5-ipcomp.pcap"), Mode::Transport, compressed),
        (include_bytes!("vectors/linux-ah-transport-sha1.pcap"), Mode::Transport, ah),
    ];
    for (capture, mode, bundle) in captures {
        let clear = opened(capture, mode, bundle);
        assert!(clear.iter().all(|packet| is_whole_ping(packet)), "{clear:x?}");
    }
}

/// AH has nothing random in it: the same packet under the same key is the same to the last bit.
#[test]
fn ah_is_sealed_bit_for_bit_as_a_kernel_does() {
    let capture = include_bytes!("vectors/linux-ah-transport-sha1.pcap");
    let clear = opened(capture, Mode::Transport, ah);
    for (clear, sealed) in clear.iter().zip(packets(capture)) {
        let spi = u32::from_be_bytes(sealed[24..28].try_into().unwrap());
        let mut gateway = gateway(Mode::Transport, ends(clear), ah(spi), ah(0xffff));
        assert_eq!(gateway.handle_packet(Instant::ZERO, clear), Outcome::Sent);
        let Some(Action::Transmit(transmit, _)) = gateway.poll_action() else { panic!("nothing was sent") };
        // Each direction's first packet has the sequence number 1. The identification of a reply is the
        // system's to choose where the kernel left it out.
        if clear[4..6] != [0, 0] {
            assert_eq!(transmit.payload[..], sealed[..]);
        }
    }
}
