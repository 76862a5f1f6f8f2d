//! How long packets may be, as routers on the path report it.

use crate::common::{LEFT, LEFT_HOST, RIGHT, RIGHT_HOST, Side, Sites, echo};
use core::time::Duration;
use gateway::{Event, Fragmenting, OutboundDrop, Outcome, OuterRules, ReportRefusal};
use simnet::Link;

const SECOND: Duration = Duration::from_secs(1);

/// A tunnel whose left has sent three packets, and what travelled of the last, with an IP header.
fn sent(seed: u64) -> (Sites, Vec<u8>) {
    let mut sites = Sites::plain(seed);
    sites.up();
    sites.net.world.start_capture();
    for number in 0..3 {
        assert_eq!(sites.ping(sites.left, number), Outcome::Sent);
    }
    let sealed = sites.net.world.capture().unwrap().packets()[2].1.payload.clone();
    let mut packet = vec![0x45, 0, 5, 0xdc, 0, 0, 0x40, 0, 64, 50, 0, 0];
    packet.extend_from_slice(&LEFT.octets());
    packet.extend_from_slice(&RIGHT.octets());
    packet.extend_from_slice(&sealed);
    (sites, packet)
}

/// "Fragmentation needed" as a router says it that quotes the header and eight octets.
fn report(mtu: u16, quoted: &[u8]) -> Vec<u8> {
    let mut message = vec![3, 4, 0, 0, 0, 0];
    message.extend_from_slice(&mtu.to_be_bytes());
    message.extend_from_slice(&quoted[..28]);
    message
}

fn hear(sites: &mut Sites, message: &[u8]) -> Result<(), ReportRefusal> {
    let message = message.to_vec();
    sites.net.call(sites.left, move |now, gateway| gateway.handle_icmp(now, false, &message)).unwrap().map(drop)
}

/// An echo request of so many octets.
fn long_echo(length: u16, dont_fragment: bool) -> Vec<u8> {
    let mut packet = echo(LEFT_HOST, RIGHT_HOST, 9);
    packet.resize(length.into(), 0x61);
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[6] = if dont_fragment { 0x40 } else { 0 };
    packet
}

#[test]
fn a_report_lowers_the_mtu_and_the_sender_is_told_what_fits() {
    let (mut sites, packet) = sent(1);
    assert_eq!(sites.send(sites.left, &long_echo(1_400, true)), Outcome::Sent);
    assert_eq!(hear(&mut sites, &report(1_000, &packet)), Ok(()));
    let lowered = |event: &Event| matches!(event, Event::PathMtuLowered { mtu: 1_000, .. });
    sites.run(SECOND);
    assert!(sites.events(sites.left).any(lowered));
    let Outcome::Dropped(OutboundDrop::TooLong { mtu }) = sites.send(sites.left, &long_echo(1_400, true)) else {
        panic!("a packet too long for the path was sent");
    };
    let answer = sites.net.handler.answers.last().unwrap().1.clone();
    assert_eq!((answer[9], answer[20], answer[21]), (1, 3, 4), "ICMP, fragmentation needed");
    assert_eq!(answer[16..20], LEFT_HOST.octets(), "to the sender");
    assert_eq!(usize::from(u16::from_be_bytes([answer[26], answer[27]])), mtu);
    sites.net.world.start_capture();
    assert_eq!(sites.send(sites.left, &long_echo(mtu as u16, true)), Outcome::Sent);
    let sealed = sites.net.world.capture().unwrap().packets().last().unwrap().1.payload.len();
    assert!((985 - 16..=1_000).contains(&(sealed + 20)), "{sealed} octets use the path well");
    assert!(matches!(sites.send(sites.left, &long_echo(mtu as u16 + 1, true)), Outcome::Dropped(_)));
}

#[test]
fn what_may_be_fragmented_is_sent_whatever_its_length() {
    let (mut sites, packet) = sent(2);
    assert_eq!(hear(&mut sites, &report(1_000, &packet)), Ok(()));
    assert_eq!(sites.send(sites.left, &long_echo(1_400, false)), Outcome::Sent);
    assert!(sites.net.handler.answers.is_empty());
}

#[test]
fn what_was_learned_is_forgotten_after_ten_minutes() {
    let (mut sites, packet) = sent(3);
    assert_eq!(hear(&mut sites, &report(1_000, &packet)), Ok(()));
    sites.run(599 * SECOND);
    assert!(matches!(sites.send(sites.left, &long_echo(1_400, true)), Outcome::Dropped(_)));
    sites.run(2 * SECOND);
    assert_eq!(sites.send(sites.left, &long_echo(1_400, true)), Outcome::Sent);
}

#[test]
fn forged_reports_change_nothing_and_a_true_one_still_does() {
    let (mut sites, packet) = sent(4);
    let forge = |at: usize, value: u8| {
        let mut forged = packet.clone();
        forged[at] = value;
        report(600, &forged)
    };
    let spi = forge(20, !packet[20]);
    let future = forge(27, 200);
    let zero = forge(27, 0);
    let elsewhere = forge(19, 77);
    let from_another = forge(15, 77);
    for (forged, what) in [
        (spi, "an SPI of nobody"),
        (future, "a sequence number that was not sent"),
        (zero, "a sequence number that is never sent"),
        (elsewhere, "another destination"),
        (from_another, "another source"),
    ] {
        assert_eq!(hear(&mut sites, &forged), Err(ReportRefusal::NotOurs), "{what}");
    }
    let whole = report(600, &packet);
    for length in 0..whole.len() {
        assert_eq!(hear(&mut sites, &whole[..length]), Err(ReportRefusal::Malformed), "{length} octets");
    }
    assert_eq!(hear(&mut sites, &report(65_000, &packet)), Ok(()));
    assert_eq!(hear(&mut sites, &report(65_001, &packet)), Err(ReportRefusal::NothingNew), "never up");
    assert_eq!(sites.send(sites.left, &long_echo(1_400, true)), Outcome::Sent);
    assert_eq!(hear(&mut sites, &report(0, &packet)), Ok(()), "held at the least that is believed");
    assert_eq!(sites.send(sites.left, &long_echo(500, true)), Outcome::Sent);
    assert!(matches!(sites.send(sites.left, &long_echo(1_400, true)), Outcome::Dropped(_)));
}

#[test]
fn a_flood_of_reports_costs_a_bounded_number_of_look_ups() {
    let (mut sites, packet) = sent(5);
    let mut forged = packet.clone();
    forged[20] = !packet[20];
    let refusals: Vec<_> = (0..500).map(|_| hear(&mut sites, &report(600, &forged)).unwrap_err()).collect();
    assert_eq!(refusals.iter().filter(|refusal| **refusal == ReportRefusal::NotOurs).count(), 100);
    assert_eq!(hear(&mut sites, &report(1_000, &packet)), Err(ReportRefusal::TooMany));
    sites.run(2 * SECOND);
    assert_eq!(hear(&mut sites, &report(1_000, &packet)), Ok(()));
    for _ in 0..500 {
        assert!(matches!(sites.send(sites.left, &long_echo(1_400, true)), Outcome::Dropped(_)));
    }
    sites.run(SECOND);
    assert_eq!(sites.net.handler.answers.len(), 100, "answers are bounded too");
}

#[test]
fn a_configured_mtu_holds_without_any_report() {
    let left = Side::left().config().path_mtu(1_280).build().unwrap();
    let mut sites = Sites::new(6, left, Side::right().plan());
    sites.net.world.set_links(Link::with_latency(Duration::from_millis(1)));
    sites.up();
    assert!(matches!(sites.send(sites.left, &long_echo(1_280, true)), Outcome::Dropped(OutboundDrop::TooLong { .. })));
    assert_eq!(sites.send(sites.left, &long_echo(1_200, true)), Outcome::Sent);
}

/// Puts together what was delivered of one packet.
fn joined(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut whole = vec![0; 20];
    whole.copy_from_slice(&parts[0][..20]);
    for part in parts {
        let offset = usize::from(u16::from_be_bytes([part[6], part[7]]) & 0x1fff) * 8;
        assert_eq!(20 + offset, whole.len(), "the parts come in their order");
        whole.extend_from_slice(&part[20..]);
    }
    whole
}

#[test]
fn what_may_be_fragmented_is_fragmented_before_or_after_it_is_sealed_as_the_policy_says() {
    for fragmenting in [Fragmenting::After, Fragmenting::Before] {
        let rules = OuterRules { fragmenting, ..OuterRules::default() };
        let left = Side::left().config().path_mtu(1_000).outer("net", rules).build().unwrap();
        let mut sites = Sites::new(7, left, Side::right().plan());
        sites.net.handler.silent = true;
        sites.up();
        let copied = |sites: &Sites| sites.machine(sites.left).snapshot(sites.net.now()).counters.out_copies;
        let before = copied(&sites);
        sites.net.world.start_capture();
        let long = long_echo(2_500, false);
        assert_eq!(sites.send(sites.left, &long), Outcome::Sent);
        assert!(matches!(sites.send(sites.left, &long_echo(2_500, true)), Outcome::Dropped(_)));
        assert_eq!(sites.send(sites.left, &long_echo(500, false)), Outcome::Sent);
        sites.run(SECOND);
        let lengths: Vec<_> =
            sites.net.world.capture().unwrap().packets().iter().map(|(_, packet)| packet.payload.len() + 20).collect();
        let delivered: Vec<_> = sites.net.handler.delivered.iter().map(|(_, _, packet)| packet.clone()).collect();
        let counted = sites.machine(sites.left).snapshot(sites.net.now()).counters.out_parted;
        if fragmenting == Fragmenting::Before {
            assert_eq!((lengths.len(), delivered.len(), counted), (4, 4, 1));
            // Each of three parts is made and put where it is sealed.
            assert_eq!(copied(&sites) - before, 3 + 3 * 2);
            assert!(lengths.iter().all(|length| *length <= 1_000), "{lengths:?}");
            assert_eq!(joined(&delivered[..3])[20..], long[20..]);
        } else {
            assert_eq!((lengths.len(), counted, copied(&sites) - before), (2, 0, 3));
            assert!(lengths[0] > 2_500);
            assert_eq!(delivered[0], long);
        }
    }
}
