//! What comes out of associations and is not as it should be; sealed packets that were changed on their way.

use crate::common::{LEFT, LEFT_HOST, RIGHT, RIGHT_HOST, echo, subnet};
use drive::{Instant, Path, SecretBytes};
use esp_ah::suite::AesKey;
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, Suite};
use gateway::{
    Config, DropReason, Gateway, InPacket, Inbound, Manual, ManualSa, OutPacket, Outbound, Packet, ROOM, Snapshot,
};
use ikev1_core::TrafficSelector;
use ikev1_core::proposal::Mode;
use proptest::prelude::*;

const NOW: Instant = Instant::from_secs(1);

/// The associations from the left to the right, or back, in the order in which they are applied.
fn layers(bundle: &str, seed: u8) -> Vec<ManualSa> {
    let keys = |octets: usize| SecretBytes::new((0..octets).map(|at| at as u8 ^ seed).collect());
    let mut layers = Vec::new();
    if bundle.contains("ipcomp") {
        layers.push(ManualSa::Ipcomp { cpi: 0x4000 + u16::from(seed) });
    }
    if bundle.contains("esp") {
        let suite = Suite::new(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacSha1_96).unwrap();
        layers.push(ManualSa::Esp { spi: 0x1000 + u32::from(seed), suite, keymat: keys(36) });
    }
    if bundle.contains("ah") {
        let integrity = IntegrityAlgorithm::HmacSha256_128;
        layers.push(ManualSa::Ah { spi: 0x2000 + u32::from(seed), integrity, key: keys(32) });
    }
    layers
}

fn gateway(bundle: &str, mode: Mode, left: bool) -> Gateway {
    let (local, remote) = if left { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
    let mut pair = Manual::new("manual", mode, local.into(), remote.into());
    if mode == Mode::Tunnel {
        let (near, far) = (subnet([10, 10, 1, 0].into()), subnet([10, 10, 2, 0].into()));
        pair = if left { pair.traffic(near, far) } else { pair.traffic(far, near) };
    }
    let (sends, receives) = if left { (1, 2) } else { (2, 1) };
    let pair = layers(bundle, sends).into_iter().fold(pair, Manual::sends);
    let pair = layers(bundle, receives).into_iter().fold(pair, Manual::receives);
    let plan = Config::new(ikev1_core::Config::new()).manual(pair).build().unwrap();
    Gateway::new(plan, Box::new(simnet::Entropy::new(u64::from(left))))
}

/// Seals a clear packet and returns what goes on the wire, and on which path.
fn seal(gateway: &mut Gateway, clear: &[u8]) -> (Path, Vec<u8>) {
    let mut buffer = [&[0; ROOM][..], clear, &[0; ROOM]].concat();
    let end = ROOM + clear.len();
    let mut items = [OutPacket::new(Packet::new(&mut buffer, ROOM..end).unwrap())];
    gateway.seal_batch(NOW, &mut items);
    let Outbound::Send(path) = items[0].outcome else { panic!("{:?}", items[0].outcome) };
    (path, items[0].packet.octets().to_vec())
}

/// Opens what came along the reverse of `path` and returns the outcome and what is in the buffer.
fn open(gateway: &mut Gateway, path: Path, wire: &[u8], traffic_class: Option<u8>, room: usize) -> (Inbound, Vec<u8>) {
    let mut buffer = [&vec![0; room][..], wire, &[0; 2048]].concat();
    let mut item = InPacket::new(path.reversed(), Packet::new(&mut buffer, room..room + wire.len()).unwrap());
    item.traffic_class = traffic_class;
    gateway.open_batch(NOW, core::slice::from_mut(&mut item));
    (item.outcome, item.packet.octets().to_vec())
}

fn long_echo(mode: Mode, length: u16) -> Vec<u8> {
    let (from, to) = if mode == Mode::Tunnel { (LEFT_HOST, RIGHT_HOST) } else { (LEFT, RIGHT) };
    let mut packet = echo(from, to, 1);
    packet.resize(length.into(), 0x61);
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    fill_checksum(&mut packet);
    packet
}

fn fill_checksum(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let sum: u32 = packet[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let sum = !((folded & 0xffff) + (folded >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn shown(gateway: &Gateway) -> Snapshot {
    gateway.snapshot(NOW)
}

#[test]
fn all_16_pairs_of_ecn_leave_the_tunnel_as_rfc_6040_says_and_the_unlawful_one_is_counted() {
    // Inner and outer 00, 01, 10, 11: figure 4 of the RFC.
    let expected = [
        [Some(0), Some(0), Some(0), None],
        [Some(1), Some(1), Some(1), Some(3)],
        [Some(2), Some(1), Some(2), Some(3)],
        [Some(3), Some(3), Some(3), Some(3)],
    ];
    let (mut left, mut right) = (gateway("esp", Mode::Tunnel, true), gateway("esp", Mode::Tunnel, false));
    for (inner, row) in (0u8..).zip(expected) {
        for (outer, expected) in (0u8..).zip(row) {
            let mut clear = long_echo(Mode::Tunnel, 84);
            clear[1] = 0xb8 | inner;
            fill_checksum(&mut clear);
            let (path, wire) = seal(&mut left, &clear);
            let (outcome, got) = open(&mut right, path, &wire, Some(0x28 | outer), ROOM);
            if let Some(ecn) = expected {
                assert!(matches!(outcome, Inbound::Deliver { .. }), "{inner} {outer}: {outcome:?}");
                clear[1] = 0xb8 | ecn;
                fill_checksum(&mut clear);
                assert_eq!(got, clear, "{inner} {outer}: the inner DSCP stays, the checksum fits");
            } else {
                assert_eq!(outcome, Inbound::Dropped(DropReason::Congestion));
            }
        }
    }
    let shown = shown(&right);
    assert_eq!((shown.counters.in_congestion, shown.counters.in_malformed, shown.counters.in_opened), (1, 0, 15));
    let of = &shown.policies[0].counters;
    assert_eq!((of.in_process_start, of.in_process_done, of.in_process_fail), (16, 15, 1));
}

#[test]
fn esp_within_esp_is_dropped_where_the_bundle_has_one() {
    for bundle in ["esp", "ah", "esp ah"] {
        let (mut left, mut right) = (gateway(bundle, Mode::Transport, true), gateway(bundle, Mode::Transport, false));
        for inside in [50, 51] {
            let mut clear = long_echo(Mode::Transport, 84);
            clear[9] = inside;
            fill_checksum(&mut clear);
            let (path, wire) = seal(&mut left, &clear);
            let (outcome, _) = open(&mut right, path, &wire, None, ROOM);
            assert_eq!(outcome, Inbound::Dropped(DropReason::BeyondBundle), "{bundle}, {inside}");
        }
        let of = shown(&right).policies.remove(0).counters;
        assert_eq!((of.in_process_start, of.in_end_of_bundle, of.in_process_done), (2, 2, 0));
    }
}

#[test]
fn a_buffer_without_room_is_counted_apart_from_what_is_malformed() {
    let bundle = "ipcomp esp";
    let (mut left, mut right) = (gateway(bundle, Mode::Tunnel, true), gateway(bundle, Mode::Tunnel, false));
    let (path, wire) = seal(&mut left, &long_echo(Mode::Tunnel, 1_400));
    assert!(wire.len() < 200, "it shrank");
    let mut buffer = wire.clone();
    let mut item = InPacket::new(path.reversed(), Packet::whole(&mut buffer));
    right.open_batch(NOW, core::slice::from_mut(&mut item));
    assert!(matches!(item.outcome, Inbound::Dropped(DropReason::Compression(_))), "{:?}", item.outcome);
    let counters = shown(&right).counters;
    assert_eq!((counters.in_no_room, counters.in_malformed), (1, 0));
}

#[test]
fn packets_that_do_not_shrink_are_tried_less_and_less() {
    let bundle = "ipcomp esp";
    let (mut left, mut right) = (gateway(bundle, Mode::Tunnel, true), gateway(bundle, Mode::Tunnel, false));
    let mut noise = simnet::Entropy::new(5);
    let mut pass = |random: bool| {
        let mut clear = long_echo(Mode::Tunnel, 400);
        if random {
            clear[28..].iter_mut().for_each(|octet| *octet = noise.below(256) as u8);
        }
        let (path, wire) = seal(&mut left, &clear);
        let (outcome, got) = open(&mut right, path, &wire, None, ROOM);
        assert!(matches!(outcome, Inbound::Deliver { .. }));
        assert_eq!(got, clear);
        let counters = shown(&left).protocol_counters.compression;
        (counters.out_start, counters.out_non_expansion_backoff, counters.out_good)
    };
    for number in 1..=4 {
        assert_eq!(pass(true), (number, 0, 0));
    }
    for number in 1..=16 {
        assert_eq!(pass(false), (4, number, 0), "would shrink, and is not tried");
    }
    assert_eq!(pass(false), (5, 16, 1));
    assert_eq!(pass(false), (6, 16, 2));
}

#[test]
fn what_is_outside_the_agreed_traffic_is_dropped_and_counted_whatever_its_keys() {
    let (from, to) = (subnet([10, 10, 0, 0].into()), subnet([10, 10, 2, 0].into()));
    let wide = |left: bool| {
        let (local, remote) = if left { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
        let whole = TrafficSelector::subnet([0, 0, 0, 0].into(), 0).unwrap();
        let pair = Manual::new("manual", Mode::Tunnel, local.into(), remote.into());
        let pair =
            if left { pair.traffic(whole, whole) } else { pair.traffic(to, from.with_protocol(17).with_port(53)) };
        let (sends, receives) = if left { (1, 2) } else { (2, 1) };
        let pair = layers("esp", sends).into_iter().fold(pair, Manual::sends);
        let pair = layers("esp", receives).into_iter().fold(pair, Manual::receives);
        let plan = Config::new(ikev1_core::Config::new()).manual(pair).build().unwrap();
        Gateway::new(plan, Box::new(simnet::Entropy::new(u64::from(left))))
    };
    let (mut left, mut right) = (wide(true), wide(false));
    let dns = |source: [u8; 4], destination: [u8; 4], protocol: u8, port: u16| {
        let mut packet = echo(source.into(), destination.into(), 1);
        packet[9] = protocol;
        packet[20..22].copy_from_slice(&port.to_be_bytes());
        fill_checksum(&mut packet);
        packet
    };
    let lawful = dns([10, 10, 0, 1], [10, 10, 2, 1], 17, 53);
    let mut later = lawful.clone();
    later[7] = 100;
    fill_checksum(&mut later);
    for (clear, wanted) in [
        (lawful, true),
        (dns([10, 10, 1, 1], [10, 10, 2, 1], 17, 53), false),
        (dns([10, 10, 0, 1], [10, 10, 3, 1], 17, 53), false),
        (dns([10, 10, 0, 1], [10, 10, 2, 1], 6, 53), false),
        (dns([10, 10, 0, 1], [10, 10, 2, 1], 17, 54), false),
        // A later fragment does not show its ports.
        (later, false),
    ] {
        let (path, wire) = seal(&mut left, &clear);
        let outcome = open(&mut right, path, &wire, None, ROOM).0;
        assert_eq!(matches!(outcome, Inbound::Deliver { .. }), wanted, "{outcome:?}");
        assert_eq!(outcome == Inbound::Dropped(DropReason::Outside), !wanted, "{outcome:?}");
    }
    let shown = shown(&right);
    assert_eq!((shown.counters.in_outside, shown.counters.in_opened), (5, 1));
    let of = &shown.policies[0].counters;
    assert_eq!((of.in_process_start, of.in_process_done, of.in_pol_select_match_fail), (6, 1, 5));
}

#[test]
fn of_a_bundle_every_other_order_is_dropped_and_counted_for_what_it_is() {
    let mode = Mode::Transport;
    let (mut whole, mut right) = (gateway("esp ah", mode, true), gateway("esp ah", mode, false));
    let clear = long_echo(mode, 84);
    let (path, bundle) = seal(&mut whole, &clear);
    assert!(matches!(open(&mut right, path, &bundle, None, ROOM).0, Inbound::Deliver { .. }));
    // ESP alone.
    let (native, esp) = seal(&mut gateway("esp", mode, true), &clear);
    assert!(matches!(open(&mut right, native, &esp, None, ROOM).0, Inbound::Dropped(DropReason::Association(_))));
    // AH alone, around what is no ESP.
    let (path, ah) = seal(&mut gateway("ah", mode, true), &clear);
    assert_eq!(open(&mut right, path, &ah, None, ROOM).0, Inbound::Dropped(DropReason::BundleUnfinished));
    // AH within AH.
    let (path, twice) = seal(&mut gateway("ah", mode, true), &ah);
    assert_eq!(open(&mut right, path, &twice, None, ROOM).0, Inbound::Dropped(DropReason::BundleUnfinished));
    // AH within ESP.
    let (native, inside_out) = seal(&mut gateway("esp", mode, true), &ah);
    assert!(matches!(
        open(&mut right, native, &inside_out, None, ROOM).0,
        Inbound::Dropped(DropReason::Association(_))
    ));
    // AH around ESP that is of no bundle.
    let mut stray = esp.clone();
    stray[..4].copy_from_slice(&0x7777_u32.to_be_bytes());
    let mut around = clear[..20].to_vec();
    around.extend(stray);
    let total = (around.len() as u16).to_be_bytes();
    around[2..4].copy_from_slice(&total);
    around[9] = 50;
    fill_checksum(&mut around);
    let (path, strange) = seal(&mut gateway("ah", mode, true), &around);
    assert!(matches!(open(&mut right, path, &strange, None, ROOM).0, Inbound::Dropped(DropReason::Association(_))));
    let shown = shown(&right);
    assert_eq!(
        (shown.counters.in_bundle_unfinished, shown.counters.in_not_opened, shown.counters.in_opened),
        (2, 3, 1)
    );
    let of = &shown.policies[0].counters;
    assert_eq!((of.in_not_first_sa_in_bundle, of.in_premature_end_bundle, of.in_process_done), (2, 2, 1));
}

/// One way to change a packet.
#[derive(Clone, Debug)]
enum Change {
    Flip(prop::sample::Index),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, u8),
    Append(Vec<u8>),
    Replace(Vec<u8>),
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => any::<prop::sample::Index>().prop_map(Change::Flip),
        1 => any::<prop::sample::Index>().prop_map(Change::Cut),
        1 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, octet)| Change::Insert(at, octet)),
        1 => proptest::collection::vec(any::<u8>(), 1..40).prop_map(Change::Append),
        1 => proptest::collection::vec(any::<u8>(), 0..200).prop_map(Change::Replace),
    ]
}

impl Change {
    fn apply(self, packet: &mut Vec<u8>) {
        match self {
            Self::Flip(at) => {
                let bit = at.index(packet.len() * 8);
                packet[bit / 8] ^= 1 << (bit % 8);
            }
            Self::Cut(at) => packet.truncate(at.index(packet.len())),
            Self::Insert(at, octet) => packet.insert(at.index(packet.len()), octet),
            Self::Append(octets) => packet.extend(octets),
            Self::Replace(octets) => *packet = octets,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn packets_changed_on_their_way_move_counters_and_nothing_else(
        bundle in prop::sample::select(&["esp", "ah", "ipcomp esp", "ipcomp ah", "esp ah", "ipcomp esp ah"][..]),
        transport: bool,
        length in 84u16..600,
        changes in proptest::collection::vec(changes(), 1..24),
        traffic_class in proptest::option::of(any::<u8>()),
    ) {
        let mode = if transport { Mode::Transport } else { Mode::Tunnel };
        let (mut left, mut right) = (gateway(bundle, mode, true), gateway(bundle, mode, false));
        let clear = long_echo(mode, length);
        let (path, wire) = seal(&mut left, &clear);
        let count = changes.len() as u64;
        for change in changes {
            let mut changed = wire.clone();
            change.apply(&mut changed);
            let (outcome, got) = open(&mut right, path, &changed, traffic_class, ROOM);
            if let Inbound::Deliver { .. } = outcome {
                // Only what routers may change around AH, and octets behind the packet, are not covered.
                prop_assert!(bundle.contains("ah"), "{bundle}: a changed packet was delivered");
                let (same, from) = (changed.len() >= wire.len(), if transport { 12 } else { 0 });
                prop_assert!(same && changed[12..wire.len()] == wire[12..]);
                prop_assert_eq!(&got[from..], &clear[from..]);
            }
        }
        let (outcome, got) = open(&mut right, path, &wire, None, ROOM);
        prop_assert!(matches!(outcome, Inbound::Deliver { .. }), "{:?}", outcome);
        let from = if transport { 12 } else { 0 };
        prop_assert_eq!(&got[from..], &clear[from..]);
        // Each packet is counted once, for what became of it.
        let counters = shown(&right).counters;
        prop_assert_eq!(counters.in_packets, count + 1);
        let ends = [
            counters.in_opened,
            counters.in_not_opened,
            counters.in_malformed,
            counters.in_congestion,
            counters.in_no_room,
            counters.in_bundle_unfinished,
            counters.in_outside,
            counters.in_policy_refused,
            counters.in_fragments_refused,
            counters.in_flow_taken,
        ];
        prop_assert_eq!(ends.iter().sum::<u64>(), counters.in_packets);
    }
}
