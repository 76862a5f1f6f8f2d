//! What the IP header around a packet is to say is told however the packet leaves: in the caller's buffer, at once as an
//! action, after it waited, or in parts.

use crate::common::{LEFT, LEFT_HOST, RIGHT, RIGHT_HOST, Side, echo};
use drive::{Instant, Path};
use esp_ah::mode::{DontFragment, Ttl};
use gateway::{Action, Fragmenting, Gateway, Header, OutPacket, Outbound, Outcome, OuterRules, Packet, ROOM};
use simnet::Entropy;

const NOW: Instant = Instant::from_secs(1);
const RULES: OuterRules = OuterRules {
    dont_fragment: DontFragment::Copy,
    ttl: Ttl::Fixed(77),
    dscp: esp_ah::mode::Dscp::Copy,
    ecn: esp_ah::mode::EcnOutward::Copy,
    fragmenting: Fragmenting::Before,
};

/// Two gateways without a network between them, and what each sent: path and header.
struct Two {
    gateways: [Gateway; 2],
    sent: Vec<(Path, Header)>,
}

impl Two {
    fn new() -> Self {
        let left = Side::left().config().outer("net", RULES).path_mtu(1_000).build().unwrap();
        let gateway = |plan, seed| Gateway::new(plan, Box::new(Entropy::new(seed)));
        Self { gateways: [gateway(left, 1), gateway(Side::right().plan(), 2)], sent: Vec::new() }
    }

    /// Carries what both send until both are silent.
    fn settle(&mut self) {
        let mut silent = 0;
        while silent < 2 {
            silent += 1;
            for from in [0, 1] {
                while let Some(action) = self.gateways[from].poll_action() {
                    let Action::Transmit(transmit, header) = action else { continue };
                    silent = 0;
                    self.sent.push((transmit.path, header));
                    let _ = self.gateways[1 - from].handle_datagram(NOW, transmit.as_received());
                }
            }
        }
    }

    /// Takes the headers of the ESP packets that were sent so far.
    fn esp(&mut self) -> Vec<Header> {
        let sent = core::mem::take(&mut self.sent);
        sent.into_iter().filter(|(path, _)| path.protocol == 50).map(|(_, header)| header).collect()
    }
}

/// A ping with DSCP EF that knows congestion marks.
fn marked(length: u16, dont_fragment: bool) -> Vec<u8> {
    let mut packet = echo(LEFT_HOST, RIGHT_HOST, 1);
    packet.resize(length.into(), 0x61);
    packet[1] = 0xba;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[6] = if dont_fragment { 0x40 } else { 0 };
    packet
}

#[test]
fn a_packet_that_waited_leaves_with_the_header_that_it_would_have_had_at_once() {
    let mut two = Two::new();
    let expected = |dont_fragment| Header { traffic_class: 0xba, dont_fragment, ttl: 77 };
    for dont_fragment in [true, false] {
        assert_eq!(two.gateways[0].handle_packet(NOW, &marked(84, dont_fragment)), Outcome::Waits);
    }
    two.settle();
    assert!(two.sent.iter().all(|(path, header)| !path.is_udp() || *header == Header::PLAIN));
    assert_eq!(two.esp(), [expected(true), expected(false)], "they waited");
    for dont_fragment in [true, false] {
        assert_eq!(two.gateways[0].handle_packet(NOW, &marked(84, dont_fragment)), Outcome::Sent);
        let mut buffer = [&[0; ROOM][..], &marked(84, dont_fragment), &[0; ROOM]].concat();
        let mut lot = [OutPacket::new(Packet::new(&mut buffer, ROOM..ROOM + 84).unwrap())];
        two.gateways[0].seal_batch(NOW, &mut lot);
        assert_eq!(lot[0].outcome, Outbound::Send(Path::ip(50, LEFT.into(), RIGHT.into())));
        assert_eq!(lot[0].header, expected(dont_fragment), "in the caller's buffer");
    }
    two.settle();
    assert_eq!(two.esp(), [expected(true), expected(false)], "at once");
}

#[test]
fn each_part_of_a_packet_that_was_fragmented_has_the_header_of_the_whole() {
    let mut two = Two::new();
    assert_eq!(two.gateways[0].handle_packet(NOW, &marked(84, false)), Outcome::Waits);
    two.settle();
    assert_eq!(two.esp().len(), 1);
    assert_eq!(two.gateways[0].handle_packet(NOW, &marked(2_500, false)), Outcome::Sent);
    two.settle();
    assert_eq!(two.esp(), [Header { traffic_class: 0xba, dont_fragment: false, ttl: 77 }; 3]);
}
